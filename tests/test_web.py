"""The table in the browser as it is served: what is told to a seat, what is asked for, and what is refused."""

import json
import os
import random
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path

import pytest
import torch

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("uvicorn", reason="pip install 'vecgame[web]'")

from net import BlobNet, InferenceNet
from tests.every_game import EVERY, Named
from tests.tables import CARD
from tests.web import Served, a_match, actions, random_bots, waits_for_the_person
from vecgame import Blob, identity, make_game, text
from vecgame.cards import unpack
from veclab import play
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena.bots import RandomBot
from veclab.game_flags import identities
from veclab.lock import alone_at
from veclab.presets import from_flags
from veclab.progress import Display
from veclab.report.games import sample
from veclab.report.played import play_all
from veclab.table.advice import give_hint, where_cards_lie
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, Match, Settings, begin, is_told, walk
from veclab.table.sight import look
from veclab.web import server
from veclab.web.message import hint_told, move_told, seen_told
from veclab.web.sitting import Sitting, Table

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")
JSON = {"Content-Type": "application/json"}
every_game = pytest.mark.parametrize("named", EVERY, ids=str)


# -- what a seat is told ----------------------------------------------------------------------------------------------


def messages(match: Match) -> str:
    """All that a page is told of a match, but for the log, as the bytes that are sent."""
    told = [Sitting(match, RandomBot(), "", resting=resting).told(PERSON) for resting in (False, bool(match.results))]
    return json.dumps(told, allow_nan=False)


@every_game
def test_messages_of_worlds_that_look_alike_are_the_same(named: Named) -> None:
    """From a decision of the person on, in the true deal and in another that it may take for it: as long as both look
    alike to it, every message is the same, also where other seats do different things that it is not shown."""
    compared = 0
    for seed in (2, 3):  # a game may end before two deals could be compared, as one of Skat does
        match, rng = begin(Settings(named.make(), games=1, agent="random", seed=3)), random.Random(seed)
        for step in range(24):
            if match.over:
                break
            if match.mover == PERSON and (step < 4 or step % 8 < 4):
                for world in range(4):
                    twin = replace(match, state=match.game.determinize(match.state, 4, step)[world])
                    compared += same_messages(match, twin, rng)
            match = match.act(rng.choice(match.legal))
        if compared:
            break
    assert compared


def same_messages(one: Match, twin: Match, rng: random.Random) -> int:
    """Plays both on together and compares what is told; returns how many times they were different deals."""
    compared = 0
    for _ in range(3):
        assert messages(one) == messages(twin)
        pairs = zip(one.state.tensors().values(), twin.state.tensors().values(), strict=True)
        compared += not all(torch.equal(*pair) for pair in pairs)
        both = [action for action in one.legal if action in twin.legal]
        if one.over or not both:
            break
        action = other = rng.choice(both)
        if one.mover != PERSON and not is_told(one, action, PERSON):
            unseen = [a for a in twin.legal if not is_told(twin, a, PERSON)]
            other = rng.choice(unseen)
        after, twin_after = one.act(action), twin.act(other)
        if after.results or look(after, PERSON) != look(twin_after, PERSON):
            break  # by now the two deals are told apart by their cards
        assert move_told(one, after, PERSON) == move_told(twin, twin_after, PERSON)
        one, twin = after, twin_after
    return compared


class Recorded(Served):
    """Keeps the body of every answer."""

    def __init__(self, table: Table) -> None:
        self.bodies: list[bytes] = []
        super().__init__(table)

    def request(self, *arguments: object) -> tuple[int, Mapping[str, str], bytes]:
        answer = super().request(*arguments)
        self.bodies.append(answer[2])
        return answer


def open_to(match: Match, seat: int) -> set[str]:
    """The cards that a seat has in its hand or has seen played, by name."""
    tricks = [trick for result in match.results for trick in result.tricks] + list(match.tricks)
    played = {move.name for trick in tricks for move in trick.plays}
    return played | {text.card_name(match.game.layout, card) for card in look(match, seat).hand(seat)}


def test_no_opponents_card_is_in_the_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole match with hints and choices taken back, by what goes over the wire, while agents think as well: no card
    that at that moment lies in another hand or in the deck, nor the seed."""
    matches, put, rng, decisions = {}, Table._put, random.Random(1), 0

    def recorded(table: Table, sitting: Sitting, keep: bool = False) -> None:
        put(table, sitting, keep)
        matches[table._stamp(table._version)] = sitting.match

    monkeypatch.setattr(Table, "_put", recorded)
    one = Recorded(Table(a_match(), random_bots, PERSON, delay=0.02))
    first = one.table._sitting.match
    try:
        while not (told := one.wait(waits_for_the_person))["over"]:
            if told["resting"]:
                assert "hand" not in told and one.ask("go on")[0] == 200
                continue
            assert one.ask("hint")[0] == 200 and one.wait(lambda told: told["hint"])
            assert one.ask("act", action=rng.choice(actions(told)))[0] == 200
            decisions += 1
            if decisions == 2:
                one.wait(waits_for_the_person)
                assert one.ask("undo")[0] == 200
    finally:
        one.stop()
        one.table.close(20)
    shown = {}
    for body in one.bodies:
        assert b"seed" not in body and b"history" not in body
        told = json.loads(body)
        match = matches.get(told.get("version"), first)
        cards = set(CARD.findall(json.dumps(told, ensure_ascii=False)))
        assert cards <= (open_to(match, PERSON) if "version" in told else set())
        shown[told.get("version")] = cards
    assert len(shown) > 20 and decisions > 5 and told["sheet"]["rows"][-1][0] == "sum"


@every_game
def test_every_choice_is_told_once_and_is_standard_json(named: Named) -> None:
    match, rng = begin(Settings(named.make(), games=1, agent="random", seed=5)), random.Random(4)
    for _ in range(20):
        for viewer in (PERSON, None):
            told = json.loads(json.dumps(seen_told(look(match, viewer)), allow_nan=False))
            expected = sorted(match.legal) if match.mover == viewer and not match.over else []
            assert sorted(actions(told)) == expected and bool(told["prompt"]) == bool(expected)
            assert {seat for row in told["places"] for seat in row} - {None} == set(range(match.game.seats))
        if match.over:
            break
        match = match.act(rng.choice(match.legal))


def test_spectators_see_all_hands_and_the_person_sees_its_own() -> None:
    match = a_match(cards=3)
    watched, played = seen_told(look(match, None)), seen_told(look(match, PERSON))
    assert [len(seat["hand"]) for seat in watched["seats"]] == [3] * 4 and watched["hand"] == []
    assert [(len(seat["hand"]), seat["unseen"]) for seat in played["seats"]] == [(0, 0), (0, 3), (0, 3), (0, 3)]
    assert len(played["hand"]) == 3


# -- what is asked for ------------------------------------------------------------------------------------------------


def test_a_match_is_kept_taken_back_and_opened_again(served: Served) -> None:
    first = served.wait(waits_for_the_person)
    assert served.ask("undo")[0] == 409  # there is nothing yet
    assert served.ask("save")[0] == 200
    (name,) = json.loads(served.request("GET", "/saved")[2])["saved"]
    action = actions(first)[0]
    assert served.ask("act", action=action)[0] == 200
    later = served.wait(waits_for_the_person)
    assert later["kept"] == name and load_match(Path(name)) == served.table._sitting.match
    assert served.ask("undo")[0] == 200
    again = served.wait(waits_for_the_person)
    stamps = ("version", "turn", "kept")
    assert {k: v for k, v in again.items() if k not in stamps} == {k: v for k, v in first.items() if k not in stamps}
    assert load_match(Path(name)) == served.table._sitting.match
    assert served.ask("act", action=action)[0] == 200
    served.wait(waits_for_the_person)
    left = served.table._sitting.match
    assert served.ask("new")[0] == 200
    assert served.table._sitting.match.settings.seed != 3 or served.table._sitting.match.history != left.history
    assert load_match(Path(name)) == left  # another match, in another file
    assert served.ask("open", name=name)[0] == 200
    assert served.table._sitting.match == left and served.told()["kept"] == name


def test_only_saved_matches_of_the_folder_are_opened(served: Served) -> None:
    Path("mine.json").write_text('{"format": "something else"}')
    save_match(Path("..") / "match.json", a_match())
    before = served.wait(waits_for_the_person)
    for name in ("../match.json", "none.json", "/etc/passwd", "mine.json", 7, None, ["a"]):
        status, answer = served.ask("open", name=name)
        assert status == 409 and "no saved match" in answer["error"] and served.told() == before


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have names in UTF-8 only")
def test_a_file_whose_name_is_not_utf8_is_told_and_opened(served: Served) -> None:
    odd, plain = Path(os.fsdecode(b"caf\xe9.json")), Path("caf\u00e9 ♠.json")
    for path in (odd, plain):
        save_match(path, a_match(seed=8))
    served.wait(waits_for_the_person)
    status, _, body = served.request("GET", "/saved")
    assert status == 200 and plain.name in body.decode()  # as UTF-8, whatever else there is
    assert json.loads(body)["saved"] == sorted([odd.name, plain.name])
    assert served.ask("open", name=odd.name)[0] == 200 and served.told()["kept"] == odd.name


def test_a_damaged_match_is_not_opened(served: Served) -> None:
    Path("bad.json").write_text('{"format": "vecgame-match-2", "settings": 1}')
    before = served.wait(waits_for_the_person)
    status, answer = served.ask("open", name="bad.json")
    assert status == 409 and "damaged" in answer["error"] and "\n" not in answer["error"] and served.told() == before


def test_a_file_is_played_on_by_one_process_at_a_time(served: Served) -> None:
    """The page has the file of its present match for itself, and lets go of the one before."""

    def held() -> list[str]:
        return sorted(path.name.removesuffix(".lock") for path in Path().glob("*.lock"))

    save_match(Path("other.json"), a_match(seed=5))
    served.wait(waits_for_the_person)
    assert held() == []
    assert served.ask("save")[0] == 200
    first = served.told()["kept"]
    assert held() == [first]
    with pytest.raises(ValueError, match="in use by"), alone_at(Path(first)):
        pass
    with alone_at(Path("other.json")):
        before = served.wait(waits_for_the_person)
        status, answer = served.ask("open", name="other.json")
        assert status == 409 and "other.json cannot be opened: " in answer["error"]
        assert f"is in use by process {os.getpid()}" in answer["error"] and served.told() == before
    assert held() == [first]
    Path("bad.json").write_text('{"format": "vecgame-match-2", "settings": 1}')
    assert served.ask("open", name="bad.json")[0] == 409 and held() == [first]
    for name in ("other.json", "other.json", first):  # its own file is not refused
        assert served.ask("open", name=name)[0] == 200 and served.told()["kept"] == name
        assert held() == [name]
    assert served.ask("new")[0] == 200
    assert held() == [served.told()["kept"]] != [first]
    served.table.close()
    assert held() == []


def test_a_match_is_not_kept_in_a_file_that_is_in_use(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veclab.web.sitting.new_file", lambda folder: folder / "match.json")
    before = served.wait(waits_for_the_person)
    with alone_at(Path("match.json")):
        status, answer = served.ask("save")
        assert status == 409 and "cannot be kept" in answer["error"] and "is in use by" in answer["error"]
        assert served.told() == before and not Path("match.json").exists()


def test_agents_that_are_watched_let_go_of_their_file_when_another_match_is_opened() -> None:
    save_match(Path("mine.json"), a_match(games=1))
    with pytest.raises(ValueError, match="in use by"), alone_at(Path("own.json")):
        Table(a_match(), random_bots, None, Path("own.json"))
    table = Table(a_match(seed=4), random_bots, None, Path("own.json"), delay=60)
    try:
        with pytest.raises(ValueError, match="in use by"), alone_at(Path("own.json")):
            pass
        with alone_at(Path("mine.json")):  # it is only read
            table.open("mine.json")
        with alone_at(Path("own.json")):
            assert table.path is None
    finally:
        table.close()


def test_the_page_of_the_command_lets_go_of_a_file_with_its_match(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(table: Table, bound: object) -> None:
        with pytest.raises(ValueError, match="in use by"), alone_at(Path("match.json")):
            pass
        table.begin()
        with alone_at(Path("match.json")):
            assert load_match(Path("match.json")).history == ()
        with pytest.raises(ValueError, match="in use by"), alone_at(table.path):
            pass

    monkeypatch.setattr(server, "serve", serve)
    assert play.main(["--web", "--agent", "random", "--cards", "1", "--save", "match.json"]) == 130
    assert not list(Path().glob("*.lock"))


def test_hints_come_and_go(served: Served) -> None:
    told = served.wait(lambda told: actions(told))
    assert served.ask("hint")[0] == 200
    hinted = served.wait(lambda told: told["hint"])
    assert sorted(one["action"] for one in hinted["hint"]["advice"]) == sorted(actions(told))
    assert sum(one["probability"] for one in hinted["hint"]["advice"]) == pytest.approx(1, abs=0.01)
    assert hinted["turn"] == told["turn"]  # a page that does not show it yet may still play
    assert served.ask("act", told["turn"], action=actions(told)[0])[0] == 200 and served.told()["hint"] is None


def test_agents_can_be_watched_and_told_to_wait() -> None:
    one = Served(Table(a_match(games=1), random_bots, None, delay=0.05))
    try:
        assert one.ask("pause")[0] == 200
        told = one.wait(lambda told: told["hint"])  # what the agent thinks, while it waits
        assert told["watching"] and told["paused"] and not actions(told)
        assert (
            one.request("GET", f"/table?since={told['version']}")[2]
            == json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        )
        assert one.ask("go on")[0] == 200 and one.wait(lambda told: told["over"])["sheet"]
        for name in ("hint", "undo", "act"):
            assert one.ask(name)[0] == 409
    finally:
        one.stop()
        one.table.close()


def test_agents_that_are_watched_do_not_play_a_persons_match_on_in_its_file() -> None:
    """Not even one in which nobody has moved yet."""
    save_match(Path("mine.json"), a_match(games=1))
    before, table = Path("mine.json").read_bytes(), Table(a_match(seed=4), random_bots, None, delay=0)
    try:
        table.open("mine.json")
        one = Served(table)
        assert one.wait(lambda told: told["over"])["kept"] is None
        assert Path("mine.json").read_bytes() == before
        one.stop()
    finally:
        table.close()


def test_a_match_that_cannot_be_written_goes_on_and_says_so(served: Served, monkeypatch) -> None:
    told = served.wait(waits_for_the_person)
    assert served.ask("save")[0] == 200

    def full(path: Path, match: Match) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("veclab.web.sitting.save_match", full)
        assert served.ask("act", action=actions(told)[0])[0] == 200
        told = served.wait(waits_for_the_person)
        assert "cannot be written: No space left on device" in told["trouble"]
    if not told["resting"]:
        assert served.ask("act", action=actions(told)[0])[0] == 200
        assert not served.wait(waits_for_the_person)["trouble"]


def test_agents_that_fail_are_said_to(capsys) -> None:
    class Broken(RandomBot):
        def act(self, *arguments: object) -> torch.Tensor:
            raise RuntimeError("no weights")

    one = Table(a_match(), lambda match: (Broken(), ""), None, delay=0)
    while not one.told()["trouble"]:
        pass
    told = one.told()
    assert told["trouble"] == "The agents have failed: RuntimeError: no weights" and told["paused"]
    assert one.close() and "no weights" in capsys.readouterr().err


# -- matches looked into -----------------------------------------------------------------------------------------------


def finished(match: Match) -> Match:
    rng = random.Random(8)
    while not match.over:
        match = match.act(rng.choice(match.legal))
    return match


def test_a_saved_match_is_looked_at_move_by_move(monkeypatch, capsys) -> None:
    save_match(Path("match.json"), finished(a_match()))
    match, tables, before = load_match(Path("match.json")), [], Path("match.json").read_bytes()
    monkeypatch.setattr(server, "serve", lambda table, bound: tables.append(table))
    assert play.main(["--web", "--look", "match.json"]) == 130
    told = capsys.readouterr()
    assert told.out.startswith("http://127.0.0.1:")
    assert told.err == "You have left the match; match.json stays as it was\n"  # and not that --save would keep it
    table = Table(match, random_bots, None)
    one = Served(table)
    try:
        for at, shown in enumerate(walk(match.settings, match.history)):
            assert one.ask("step", to=at)[0] == 200
            told = one.wait(lambda told: told["hint"] or told["over"])
            assert told == {**told, **json.loads(json.dumps(seen_told(look(shown, None))))}
            assert (told["at"], told["moves"], told["watching"]) == (at, len(match.history), True)
            assert told["taken"] == (None if shown.over else match.history[at])
            if not shown.over:
                assert sorted(one["action"] for one in told["hint"]["advice"]) == list(shown.legal)
                assert at < 4 or shown.moves == () or told["log"]
                others = [row for row in told["lies"] if row["seat"] not in (None, shown.mover)]
                hidden = sum(len(look(shown, None).hand(seat)) for seat in range(4) if seat != shown.mover)
                assert len(others) == hidden and all(row["shares"][shown.mover] == 0 for row in others)
        for to in (-1, len(match.history) + 1, "1", None, True):
            assert one.ask("step", to=to)[0] == 409
        assert Path("match.json").read_bytes() == before and table.path is None
    finally:
        one.stop()
        table.close(20)


@pytest.mark.parametrize("flags", [{"cards": "2,1", "trump": "spades"}, {"game": "kuhn"}], ids=["blob", "kuhn"])
def test_a_runs_games_are_those_of_its_report(flags: dict[str, str], monkeypatch, capsys) -> None:
    """Move by move as `veclab.report` has them, dealer and all; they open one after the other, and can be kept."""
    settings = from_flags("document", {**flags, "seed": 7, "updates": 1, "learner": "policy-gradient"})
    games = settings.games()
    torch.manual_seed(1)
    net = BlobNet(network_config("small", games[0])).eval()
    run = Path("runs/one")
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(asdict(settings)))
    save_network(run / "network-update-000001.safetensors", net, {"updates": 1, "games": identities(games)})
    played = sample(play_all(games, InferenceNet(net, dtype=torch.float32), 7, 12, Display(quiet=True)))
    tables = []
    monkeypatch.setattr(server, "serve", lambda table, bound: tables.append(table))
    assert play.main(["--web", "--look", "runs/one", "--worlds", "1", "--simulations", "2"]) == 130
    assert "error" not in capsys.readouterr().err
    (table,) = tables
    assert table.saved() == [title for title, *_ in played] and len(played) == 3
    table = Table(table.others[played[0][0]], table.seating, None, others=table.others)
    one = Served(table)
    try:
        for title, part, lane in played:
            assert one.ask("open", name=title)[0] == 200
            told = one.wait(lambda told, title=title: told["title"].startswith(title) and told["hint"])
            assert told["again"] and "runs/one" in told["title"] and "its newest network alone" in told["title"]
            match = table.others[title]
            assert match.over and told["moves"] == len(match.history) and told["at"] == 0
            first, *_ = walk(match.settings, ())
            for name, tensor in first.state.tensors().items():
                assert tensor.equal(part.start.tensors()[name][lane : lane + 1]), name
            assert list(match.history) == part.action[part.live[:, lane], lane].tolist()
            assert match.results[0].points == tuple(part.game.scores(part.end)[lane].tolist())
        assert one.ask("save")[0] == 200
        assert load_match(table.path) == match
    finally:
        one.stop()
        table.close(20)


def test_a_match_that_is_played_is_not_looked_into(served: Served) -> None:
    told = served.wait(waits_for_the_person)
    status, answer = served.ask("step", to=0)
    assert status == 409 and "--look" in answer["error"]
    assert served.told() == told and not {"lies", "at", "taken"} & set(told)


def test_shares_of_where_cards_lie() -> None:
    match = begin(Settings(Blob(cards=13), games=1, seed=4))
    lies, hand = where_cards_lie(match, 64), match.state.hands[0, match.mover]
    assert lies.shape == (52, 4) and torch.allclose(lies.sum(-1), torch.ones(52))
    assert torch.equal(lies[:, match.mover] == 1, unpack(hand))
    assert where_cards_lie(begin(Settings(make_game("kuhn"), games=1))).shape == (0, 2)


def test_thoughts_of_a_network_are_its_own(own_games: Path) -> None:
    game = Blob(cards=2)
    save_network(Path("net.safetensors"), BlobNet(network_config("small", game)), {"games": [identity(game)]})
    match = begin(Settings(game, games=1, agent="net.safetensors", worlds=2, simulations=4))
    agent = play.make_agent(match.settings)
    hint = give_hint(agent, match)
    assert sum(one.prior for one in hint.advice) == pytest.approx(1, abs=1e-4) and len(hint.values) == 4
    told = hint_told(hint)
    assert all(0 <= one["prior"] <= 1 for one in told["advice"]) and len(told["values"]) == 4
    assert all(one.prior is None for one in give_hint(RandomBot(), match).advice)


# -- what is refused --------------------------------------------------------------------------------------------------


MEANINGLESS = {
    b"": "must be JSON",
    b"\xff\xfe{": "must be JSON",
    b"[" * 4000: "must be JSON",
    b"[]": "must be an object",
    b'{"do": "act"}': "must be an object",
    b'{"do": "rob", "turn": "x"}': "must be one of act, undo",
    b'{"do": ["act"], "turn": "x"}': "must be one of act, undo",
    b'{"do": "act", "turn": "x", "action": 1}': "has moved on",
    b" " * 5000: "at most 4096 bytes",
}


def test_what_means_nothing_gets_one_line_and_changes_nothing(served: Served) -> None:
    before = served.wait(waits_for_the_person)
    for body, words in MEANINGLESS.items():
        status, _, answer = served.request("POST", "/do", body, JSON)
        error = json.loads(answer)["error"]
        assert status in (400, 409) and words in error and "\n" not in error and served.told() == before


def test_what_is_not_allowed_changes_nothing(served: Served) -> None:
    before = served.wait(waits_for_the_person)
    for action in (-1, 999, True, "3", None, 1.0, [1], float("nan"), 10**30):
        status, answer = served.ask("act", action=action)
        assert status == 409 and "not allowed" in answer["error"] and served.told() == before


def test_an_old_choice_of_another_tab_is_refused(served: Served) -> None:
    old = served.wait(waits_for_the_person)
    assert served.ask("act", action=actions(old)[0])[0] == 200
    now = served.wait(waits_for_the_person)
    status, answer = served.ask("act", old["turn"], action=actions(old)[0])
    assert status == 409 and "has moved on" in answer["error"] and served.told() == now


FOREIGN = [
    ({"Host": "evil.example"}, 400),
    ({"Host": "127.0.0.1.evil.example:80"}, 400),
    ({"Host": ""}, 400),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "https://127.0.0.1"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({}, 200),
]


def test_other_sites_and_other_hosts_are_refused(served: Served) -> None:
    before = served.wait(waits_for_the_person)
    asked = json.dumps({"do": "act", "turn": before["turn"], "action": actions(before)[0]}).encode()
    for headers, status in FOREIGN:
        answers = [served.request("GET", "/table", None, headers)]
        answers.append(served.request("POST", "/do", asked, {**JSON, **headers}))
        for found, sent, body in answers:
            assert found == status and "frame-ancestors 'none'" in sent["content-security-policy"]
            assert "access-control-allow-origin" not in sent
            assert status == 200 or b"hand" not in body
        assert (served.told() == before) == (status != 200)


def test_a_form_of_another_page_cannot_ask(served: Served) -> None:
    """Which browsers send without asking first, as text."""
    told = served.wait(waits_for_the_person)
    asked = json.dumps({"do": "act", "turn": told["turn"], "action": actions(told)[0]}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert served.request("POST", "/do", asked, {"Content-Type": kind})[0] == 400
    assert served.request("GET", "/do")[0] == 405 and served.request("GET", "/../veclab/play.py")[0] == 404
    assert served.told() == told


def test_thoughts_are_not_called_a_search() -> None:
    """They may be rollouts."""
    source = (resources.files("veclab.web") / "page" / "table.js").read_text(encoding="utf-8")
    assert '"after thinking"' in source and '"search"' not in source


def test_the_page_asks_nothing_of_others_and_words_stay_words(served: Served) -> None:
    for path in server.FILES:
        status, headers, body = served.request("GET", path)
        source = body.decode()
        assert status == 200 and "default-src 'none'" in headers["content-security-policy"]
        assert set(re.findall(r"\w+://[^\s\"'>]+", source)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", source)
        assert not re.search(r"<[^>]+ (on\w+|style)=", source)  # which the policy would not run
    assert {f"/{path.name}" for path in (resources.files("veclab.web") / "page").iterdir()} - {"/index.html"} == set(
        server.FILES
    ) - {"/"}


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "80"], "--port is for --web"),
        (["--web", "--port", "70000"], "--port must be from 0 to 65535"),
        (["--web", "--plain"], "--plain is for a terminal"),
        (["--look", "match.json"], "--look shows a match as a page: add --web"),
        (["--web", "--look", "match.json", "--seed", "1"], "leave out --seed"),
        (["--web", "--look", "none.json"], "none.json cannot be read"),
    ],
)
def test_bad_flags_get_one_line(flags: list[str], words: str, capsys) -> None:
    assert play.main([*flags, "--agent", "random"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.startswith("error: ") and error.count("\n") == 1


def test_a_port_that_is_taken_gets_one_line(served: Served, capsys) -> None:
    assert play.main(["--web", "--agent", "random", "--port", str(served.port)]) == 2
    assert f"--port {served.port} cannot be had" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_there_is_one_line(missing: str, monkeypatch, capsys) -> None:
    for name in [name for name in sys.modules if name.startswith(("veclab.web", f"{missing}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert play.main(["--web", "--agent", "random"]) == 2
    assert capsys.readouterr().err == f"error: {missing} is not installed: pip install 'vecgame[web]'\n"

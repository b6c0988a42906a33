"""Looking on in the browser: hints, agents that are watched, and matches that are looked into move by move."""

import json
import random
import threading
import time
from dataclasses import asdict
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
import torch

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("uvicorn", reason="pip install 'vecgame[web]'")

from net import BlobNet, InferenceNet
from tests.web import Served, a_match, actions, random_bots, waits_for_the_person
from vecgame import Blob, identity, make_game
from vecgame.cards import unpack
from veclab import play
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena.bots import RandomBot
from veclab.game_flags import identities
from veclab.presets import from_flags
from veclab.progress import Display
from veclab.report.games import sample
from veclab.report.played import play_all
from veclab.table.advice import Hint, give_hint, where_cards_lie
from veclab.table.saving import load_match, save_match
from veclab.table.session import Match, Settings, begin, walk
from veclab.table.sight import look
from veclab.web import server, sitting
from veclab.web.message import hint_told, move_told, seen_told
from veclab.web.sitting import Table

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")


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


def test_who_looks_on_is_not_kept_between_games() -> None:
    """And of each game is told what was said in that one."""
    one = Served(Table(a_match(games=2), random_bots, None, delay=0))
    try:
        told = one.wait(lambda told: told["over"])
        steps = pairwise(one.table._sitting.past[12:])  # the first game has four bids and eight cards
        second = [line for before, after in steps for line in move_told(before, after, None)]
        assert len(told["sheet"]["rows"]) == 4 and told["log"] == second and len(second) > 8
    finally:
        one.stop()
        one.table.close()


def test_a_hint_for_a_decision_that_was_taken_back_is_not_shown_for_another(served: Served, monkeypatch) -> None:
    first = served.wait(lambda told: actions(told))
    assert served.ask("act", action=actions(first)[0])[0] == 200
    served.wait(lambda told: actions(told))
    asked, go_on = [], threading.Event()

    def slow(agent: object, match: Match) -> Hint:
        asked.append(len(match.history))
        go_on.wait(60)
        return Hint(f"after {len(match.history)} moves", "points", 1, ())

    monkeypatch.setattr(sitting, "give_hint", slow)
    assert served.ask("hint")[0] == 200
    served.wait(lambda told: asked)
    assert served.ask("undo")[0] == 200 and served.ask("hint")[0] == 200
    go_on.set()
    hint = served.wait(lambda told: told["hint"] and not told["asked"])["hint"]
    assert len(asked) == 2 and asked[0] > asked[1] and hint["source"] == f"after {asked[1]} moves"


def test_a_move_that_was_thought_of_for_another_match_is_not_made(monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(agent: object, match: Match) -> int:
        begun.set()
        go_on.wait(60)
        return match.legal[0]

    monkeypatch.setattr(sitting, "choose", slow)
    table = Table(a_match(games=1), random_bots, None, delay=0)
    try:
        assert begun.wait(60)
        table.begin()
        other = table._sitting.match.settings
        go_on.set()
        deadline = time.monotonic() + 60
        while not table._sitting.match.over and time.monotonic() < deadline:
            assert table._sitting.match.settings == other
            time.sleep(0.01)
        assert table._sitting.match.over and table._sitting.match.settings == other != a_match(games=1).settings
    finally:
        table.close()


def test_thoughts_are_not_called_a_search() -> None:
    """They may be rollouts."""
    source = (resources.files("veclab.web") / "page" / "table.js").read_text(encoding="utf-8")
    assert '"after thinking"' in source and '"search"' not in source


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

"""What a seat is told at the table in the browser: all of its choices, and no card that it does not see."""

import json
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources

import pytest
import torch

pytest.importorskip("starlette", reason="pip install 'vecgame[web]'")
pytest.importorskip("uvicorn", reason="pip install 'vecgame[web]'")

from tests.every_game import EVERY, Named
from tests.small_hands import Tray
from tests.tables import CARD
from tests.web import Served, a_match, actions, random_bots, waits_for_the_person
from vecgame import make_game, naming
from veclab.arena.bots import RandomBot
from veclab.table.session import PERSON, Match, Settings, begin, is_told
from veclab.table.sight import look
from veclab.web.message import lies_told, move_told, seen_told
from veclab.web.sitting import Sitting, Table

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")
every_game = pytest.mark.parametrize("named", EVERY, ids=str)


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
    return played | {naming.card_name(match.game.layout, card) for card in look(match, seat).hand(seat)}


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


PAGE = """
function made() { return { set: {}, children: [], setAttribute(name, value) { this.set[name] = value; },
  append(...more) { this.children.push(...more); }, replaceChildren(...all) { this.children = all; },
  addEventListener() {}, classList: { add() {} } }; }
const parts = {};
globalThis.document = { createElement: made, addEventListener() {}, getElementById: (id) => parts[id] ??= made() };
globalThis.fetch = () => new Promise(() => {});
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js on this machine")
def test_a_card_of_no_suit_is_called_by_its_name_alone() -> None:
    """As a screen reader hears it: "play Wizard", not "play Wizard, "."""
    match = begin(Settings(make_game("wizard", cards=15), games=1, seed=1, agent="random"))
    while match.mover != PERSON or not look(match, PERSON).playable:
        match = match.act(match.legal[0])
    told = seen_told(look(match, PERSON))
    script = (resources.files("veclab.web") / "page" / "table.js").read_text()
    asked = f"{PAGE}{script}; drawHand({json.dumps(told)});"
    asked += "console.log(JSON.stringify(parts.hand.children.map((one) => one.set['aria-label'])));"
    found = json.loads(subprocess.run(["node", "-e", asked], capture_output=True, text=True, check=True).stdout)
    assert len(found) == len(told["hand"]) and {bool(card["suit"]) for card in told["hand"]} == {False, True}
    for label, card in zip(found, told["hand"], strict=True):
        played = f"{card['word']} " * (card["action"] is not None)
        assert label == f"{played}{card['name']}" + f", {card['suit']}" * bool(card["suit"])


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js on this machine")
def test_cards_that_lie_on_the_table_are_drawn_and_chosen_there() -> None:
    """Each that is legal is one button with its action, in the middle or beside its seat."""
    match = begin(Settings(Tray(decisions=9), games=1, seed=1, agent="random"))
    for _ in range(8):
        match = match.act(match.legal[0] if match.state.made % 3 == 2 else 10)
    told = seen_told(look(match, PERSON))
    script = (resources.files("veclab.web") / "page" / "table.js").read_text()
    asked = f"""{PAGE}{script}; drawFelt({json.dumps(told)});
        const all = (one) => [one, ...(one.children ?? []).filter(Boolean).flatMap(all)];
        const drawn = all(parts.felt).filter((one) => one.className?.startsWith("card "));
        console.log(JSON.stringify(drawn.map((one) => [one.set["aria-label"], one.set["data-action"] ?? null])));"""
    found = json.loads(subprocess.run(["node", "-e", asked], capture_output=True, text=True, check=True).stdout)
    lie = [
        card
        for pile in [*(p for seat in told["seats"] for p in seat["piles"]), *told["piles"]]
        for card in pile["cards"]
    ]
    assert sorted(action for _, action in found if action is not None) == list(match.legal) and len(match.legal) > 1
    assert len(found) == len(lie) > len(match.legal) and all(", " in label for label, _ in found)


def test_the_best_card_of_a_trick_is_marked() -> None:
    match, rng, marks = a_match(cards=3, games=1), random.Random(2), set()
    while not match.over:
        seen = look(match, PERSON)
        if seen.trick is not None:
            best, word = seen.winning, "winning"
        else:
            best, word = (None, "") if seen.last_trick is None else (seen.last_trick.winner, "takes it")
        assert [one["best"] for one in seen_told(seen)["seats"]] == [word * (seat == best) for seat in range(4)]
        marks.add(word)
        match = match.act(rng.choice(match.legal))
    assert marks == {"", "winning", "takes it"}


def test_where_cards_lie_is_told_of_those_whose_place_the_mover_does_not_know() -> None:
    """One that is never where it truly lies in the worlds that were drawn is one of them."""
    seen = look(a_match(cards=2), None)
    lies = torch.zeros(seen.one.layout.size, 4)
    for seat in range(4):
        for card in seen.hand(seat):
            lies[card, seat] = 1
    unknown, elsewhere = seen.hand(1)[0], seen.hand(2)[0]
    lies[unknown], lies[elsewhere] = 0, torch.tensor([0.0, 0.251, 0.0, 0.5])
    told = {row["card"]["name"]: (row["seat"], row["shares"]) for row in lies_told(seen, lies)}
    names = {card: naming.card_name(seen.one.layout, card) for card in (unknown, elsewhere)}
    assert told == {names[unknown]: (1, [0, 0, 0, 0]), names[elsewhere]: (2, [0, 0.251, 0, 0.5])}

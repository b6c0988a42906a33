"""What the table tells of games of one's own without tricks, at the terminal and on the page."""

from __future__ import annotations

import json
import random
from contextlib import closing
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.every_game import EVERY, Named
from tests.hanabi import Hanabi
from tests.small_hands import Tray
from tests.tables import Recorder, one_game
from tests.uno import Uno
from vecgame import HandGame, HandState, Hidden, Layout, contract, hidden, naming, piles
from vecgame.card_pictures import ink_of
from vecgame.observation import blocks
from veclab.arena.bots import RandomBot
from veclab.arena.told import states_told
from veclab.table import lines
from veclab.table.advice import give_hint
from veclab.table.app import Sitting
from veclab.table.commands import Mistake, allowed, parse
from veclab.table.glyphs import ASCII, UNICODE, suit_style
from veclab.table.session import PERSON, Match, Settings, begin, is_told
from veclab.table.sight import look
from veclab.table.ui import PlainLines
from veclab.web.message import hint_told, move_told, seen_told
from veclab.web.sitting import Table

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")


@dataclass(frozen=True)
class CountRules:
    """What may be changed."""

    players: int = 2
    decisions: int = 4


@dataclass(frozen=True)
class CountState(HandState):
    """What each seat has done so often."""

    gained: torch.Tensor  # [B, P] int64


class Count(HandGame):
    """Two seats add to what they have, without any cards."""

    name = "count"
    rules_type, state_type = CountRules, CountState
    cards, plays_cards, highest = 0, False, 4.0
    others = ("rise", "bid 1", "bid 2")

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, gained=torch.zeros_like(hands))

    def act(self, state, action, card):
        gained = state.gained + piles.only(state.to_move, action, 2)
        return replace(state, gained=gained, to_move=1 - state.to_move)

    def points(self, state):
        return state.gained.float()


def a_match(game: HandGame, **others: object) -> Match:
    return begin(Settings(game, **{"games": 1, "agent": "random", "seed": 3, **others}))


def sat(match: Match, *typed: str, person: int | None = PERSON) -> str:
    """What plain lines tell of a match in which a person types these lines."""
    record, given = Recorder(200), iter(typed)

    def read(prompt: str) -> str:
        record.console.print(prompt, markup=False)
        if (line := next(given, None)) is None:
            raise EOFError
        return line

    Sitting(RandomBot(), person, PlainLines(record.console, UNICODE, read), None).play(match, "title")
    return record.take()


class Sudden(Count):
    """Some games are over as they are dealt."""

    at_once: ClassVar[tuple[int, ...]] = (0,)

    def over(self, state):
        number = state.index % 4
        return (number[:, None] == torch.tensor(self.at_once)).any(-1)


def test_games_that_are_over_as_they_are_dealt_are_played_through() -> None:
    class Always(Sudden):
        at_once = (0, 1, 2, 3)

    match = a_match(Always(), games=3)
    assert match.over and len(match.results) == 3
    told = sat(match)
    assert "Points in game 3: You 0, North 0." in told and "After 3 of 3 games" in told
    assert sat(a_match(Always(), games=1), person=None).count("Points in game") == 1


def test_a_game_that_is_over_as_it_is_dealt_is_told_beside_the_one_before_it() -> None:
    class Later(Sudden):
        at_once = (0, 2)

    match = a_match(Later(), games=4)
    assert len(match.results) == 1 and not match.over
    told = sat(match, *["bid 1"] * 20)
    for number in range(1, 5):
        assert told.count(f"Points in game {number}:") == 1
    assert "Game 2 of 4" in told and "Game 3 of 4" not in told and "The match is over" in told


@dataclass(frozen=True)
class NoteState(CountState):
    """With notes of the game's own, of seats and of all."""

    holds: ClassVar = {"asked": "ranks", "open": "ranks"}
    untold: ClassVar = ("noted", "secret", "tally", "may")

    asked: torch.Tensor  # [B, 2, 2] int8, ranks
    open: torch.Tensor  # [B] int8, a rank
    noted: torch.Tensor  # [B, 2] int64
    secret: torch.Tensor  # [B, 2] int64, of which a seat sees its own
    tally: torch.Tensor  # [B] int64


class Notes(Count):
    state_type = NoteState

    def begin(self, stream, hands, stock):
        none = torch.full_like(hands, -1, dtype=torch.int8)
        asked = torch.stack([none, none + piles.only(hands[:, 0], hands[:, 0] + 4, 2).to(torch.int8)], -1)
        own = {"gained": torch.zeros_like(hands), "noted": hands + 7, "secret": hands + 8, "tally": hands[:, 0] + 9}
        return self.start(stream, hands, asked=asked, open=none[:, 0] + 13, **own)  # an ace

    def hidden(self, state):
        sees = hidden.own(2, state.batch_size, state.device)
        return {**super().hidden(state), "secret": Hidden(sees, "number")}


def test_fields_that_a_state_keeps_off_the_table_are_told_everywhere_else() -> None:
    match = a_match(Notes())
    seen, told = look(match, PERSON), sat(match, "rise")
    page = json.dumps(seen_told(seen))
    for name in ("noted", "secret", "tally"):
        assert name not in told.lower() and name not in page
        assert name in match.game.text(match.state, seat=PERSON) and name in str(match.game.columns())
    assert "Open A." not in told and "asked You: 5; open A" in told.replace("Asked", "asked")
    assert match.game.text(match.state, seat=PERSON).count("?") == 1  # what North keeps to itself


def test_a_name_that_is_no_field_cannot_be_kept_off_the_table() -> None:
    @dataclass(frozen=True)
    class Wrong(CountState):
        untold: ClassVar = ("gaind",)

    class Misspelt(Count):
        state_type = Wrong

    with pytest.raises(ValueError, match=r"untold of Wrong names 'gaind', which is none of index, hands"):
        look(a_match(Misspelt()), PERSON)


def test_ranks_are_told_by_their_names_and_one_by_one_to_networks_and_programs() -> None:
    game = Notes()
    state = game.deal(2)
    told = dict(zip([words for _, words in game.columns()], (width for width, _ in game.columns()), strict=True))
    assert told["open: ranks"] == 13 and told["asked: ranks, the viewer's first"] == 4 * 13
    seen = dict(blocks(game, state, torch.tensor([0, 1])))
    assert seen["open: ranks"].tolist() == [[0] * 12 + [1]] * 2
    asked = seen["asked: ranks, the viewer's first"].unflatten(1, (4, 13))
    assert asked.nonzero().tolist() == [[0, 1, 3], [1, 3, 3]]  # counted from the viewer
    (one, _) = states_told(game, state, torch.tensor([0, 0]))
    assert one["open"] == "A" and one["asked"] == [[None, "5"], [None, None]]
    assert "open            A\n" in game.text(state) and "open            12\n" in str(state)


def test_hands_are_not_told_of_where_there_are_no_cards() -> None:
    assert "card" not in sat(a_match(Count()), "rise")


class Stow(Tray):
    """With a verb for what is done with cards."""

    verbs = ("swipe", "carry", "stow")


def moves_told(match: Match, *actions: int, viewer: int | None = PERSON) -> list[str]:
    told = []
    for action in actions:
        match, before = match.act(action), match
        told += move_told(before, match, viewer)
    return told


def test_moves_are_told_by_the_verbs_of_their_names() -> None:
    match = a_match(Stow())
    own, other = look(match, PERSON).hand(0)[0], look(match.act(10), 1).hand(1)[0]
    lies, names = look(match, PERSON).one.held("tray")[0], [naming.card_name(Tray.layout, card) for card in range(10)]
    assert moves_told(match, own, other, lies)[:3] == [
        f"You stow {names[own]}.",
        "North stows a card.",
        f"You take {names[lies]}.",
    ]
    assert moves_told(match, 10, 11, viewer=None) == ["South swipes left.", "North says sing."]
    assert moves_told(match, 12, 12, viewer=None)[1] == "North carries."
    seen = look(match, PERSON)
    assert lines.prompt(seen, UNICODE) == "Your choice: " and f"stow {names[own]}" in seen.choices.values()


def test_a_move_is_told_by_the_word_of_those_that_look_the_same() -> None:
    """Though another seat could have done something else, which would have been seen."""

    class Secret(Count):
        others = ("place a rose", "place a skull", "rise")

        def act(self, state, action, card):
            after = super().act(state, action % 2, card)
            return replace(after, made=state.made, gained=after.gained + (action == 2)[:, None] * 2)

        def hidden(self, state):
            return {**super().hidden(state), "gained": Hidden(hidden.own(2, state.batch_size, state.device), "number")}

    class Open(Secret):
        def hidden(self, state):
            odd = (state.gained < 2).all(-1)[:, None, None]
            return {
                **Count.hidden(self, state),
                "gained": Hidden(~odd | super().hidden(state)["gained"].sees, "number"),
            }

    match = a_match(Open()).act(0)
    assert moves_told(match, 0)[:1] == ["North places."] and moves_told(match, 2)[:1] == ["North says rise."]


def fives(match: Match) -> list[int]:
    """Those on the tray."""
    return [card for card in look(match, PERSON).one.held("tray") if card % 5 == 4]


def test_what_a_game_remarks_is_told_after_the_move_and_at_the_end() -> None:
    match = next(match for seed in range(20) if fives(match := a_match(Stow(), seed=seed)))
    best = fives(match)[0]
    told = moves_told(match, 10, 10, best, 10, 10)
    assert told[2:4] == [f"You take {naming.card_name(Tray.layout, best)}.", "A five for You."]
    for action in (10, 10, best, 10, 10):
        match = match.act(action)
    last = next(card for card in match.legal if card % 5 != 4)
    assert moves_told(match, last)[:2] == [f"North takes {naming.card_name(Tray.layout, last)}.", "That is all."]
    contract.check(Tray())


def test_a_remark_on_what_a_seat_does_not_see_breaks_the_contract() -> None:
    class Tells(Tray):
        def remark(self, before, action, after, names):
            return str(int(before.hands[0, 1]))

    with pytest.raises(AssertionError, match=r"remark tells seat 0 of what it does not see: '\d+' or '\d+'"):
        contract.check(Tells())


def test_a_whole_hand_that_has_come_is_shown_once() -> None:
    """With the next decision, or to spectators in a line."""

    class Swap(Count):
        name, cards, others = "swap", 2, ("swap",)

        def act(self, state, action, card):
            return replace(super().act(state, action, card), hands=state.hands.flip(1))

    match = a_match(Swap())
    assert not any("get" in line for line in moves_told(match, 0))
    assert sum("gets" in line for line in moves_told(match, 0, viewer=None)) == 2


class Eggs(HandGame):
    """Cards of which several look alike, played one after the other."""

    name, layout = "eggs", Layout(0, 0, 6, extra_names=("egg", "egg", "egg", "roe", "roe", "tea"))
    seats, cards, decisions, highest = 2, 3, 6, 1.0

    def begin(self, stream, hands, stock):
        return self.start(stream, torch.tensor([[0b1011, 0b110100]]).expand_as(hands))

    def act(self, state, action, card):
        return replace(state, to_move=1 - state.to_move)

    def points(self, state):
        return torch.zeros(len(state), 2)


class OnTable(Eggs):
    """Where all of them lie between the seats."""

    def legal_cards(self, state):
        return torch.full_like(state.made, self.deck)


def test_cards_that_look_alike_are_told_together_and_each_is_a_card() -> None:
    match = a_match(Eggs())
    seen = look(match, PERSON)
    assert lines.decision_lines(seen, UNICODE) == ["You may play  1:roe  2,3:egg"]
    assert allowed(seen) == "roe, egg" and [card["action"] for card in seen_told(seen)["hand"]] == [3, 1, 0]
    assert [parse(word, seen, UNICODE) in (0, 1) for word in ("egg", "2", "3", "1")] == [True, True, True, False]
    apart = look(a_match(OnTable()), PERSON)
    assert lines.choices_line(apart, UNICODE) == "You may choose  1:egg  2:roe  3:tea"
    assert [choice["name"] for choice in seen_told(apart)["choices"]] == ["egg", "roe", "tea"]
    assert [parse(word, apart, UNICODE) for word in ("2", "tea")] == [3, 5]
    colours = {(name, ink_of(Eggs.layout, card)) for card, name in enumerate(Eggs.layout.extra_names)}
    assert colours == {("egg", 0), ("roe", 1), ("tea", 2)}


def test_a_hint_adds_up_what_it_says_of_cards_that_look_alike() -> None:
    hint = give_hint(RandomBot(), match := a_match(OnTable()))
    found = {one.name: {one.action, *one.copies} for one in hint.advice}
    assert found == {"egg": {0, 1, 2}, "roe": {3, 4}, "tea": {5}} and len(hint.advice) == 3
    shares = {one.name: one.probability for one in hint.advice}
    assert shares == pytest.approx({"egg": 1 / 2, "roe": 1 / 3, "tea": 1 / 6}) and "50%" in str(
        lines.hint_lines(hint, UNICODE)
    )
    told = hint_told(hint)["advice"][0]
    assert match.mover == PERSON and {told["action"], *told["copies"]} == {0, 1, 2}


class Coins(Eggs):
    """A deck with a suit that has a sign beside others."""

    layout = Layout(4, 3, suit_names=("coins", "cups", "swords", "clubs"), rank_names=("2", "3", "10"))

    def begin(self, stream, hands, stock):
        held = sum(1 << card for card in (0, 4, 9, 10, 11))  # 2 of coins, 3 of cups, 2, 3 and 10 of clubs
        return self.start(stream, torch.tensor([[held, 0]]).expand_as(hands))


@pytest.mark.parametrize(
    ("line", "action"),
    [("2 of clubs", 9), ("2 OF Coins", 0), ("2cl", 9), ("2co", 0), ("3 cups", 4), ("tcl", 11), ("10 of clubs", 11)],
)
def test_cards_of_suits_without_signs_are_typed_as_they_are_printed_or_shorter(line: str, action: int) -> None:
    seen = look(a_match(Coins()), PERSON)
    assert parse(line, seen, UNICODE) == parse(line, seen, ASCII) == action
    assert "2 of clubs" in lines.decision_lines(seen, UNICODE)[-1] and "♣" not in str(seen_told(seen))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2c", "'2c' may be 2 of coins, 2 of cups or 2 of clubs: type more of it, or its number; ? for help."),
        ("2 c", "'2 c' may be"),
        ("3 of  coins", "You do not hold 3 of coins."),
        ("9 of clubs", "'9 of clubs' is no card: type one such as 2 of coins, or its number; ? for help."),
    ],
)
def test_short_names_of_several_cards_are_refused_and_lines_quoted_as_typed(line: str, said: str) -> None:
    mistake = parse(line, look(a_match(Coins()), PERSON), UNICODE)
    assert isinstance(mistake, Mistake) and mistake.text.startswith(said)


def test_what_is_a_choice_at_other_times_is_told_from_what_is_none() -> None:
    class Passing(Coins):
        others = ("pass",)

        def legal_others(self, state):
            return [state.made > 0]

    match = a_match(Passing())
    assert parse("pass", look(match, PERSON), UNICODE).text.startswith("'pass' is not allowed now: you may choose 2 of")
    assert "is no card" in parse("pas", look(match, PERSON), UNICODE).text


def test_suits_that_have_colours_of_their_own_beside_a_usual_one() -> None:
    assert [ink_of(Coins.layout, 3 * suit) for suit in range(4)] == [0, 1, 2, 3]
    assert len({suit_style(Coins.layout, suit) for suit in range(4)}) == 4


def test_a_number_alone_means_the_same_at_every_decision() -> None:
    """In a game with bids beside other choices a bid, in one of several such names a place in the list."""

    class First(Count):
        def legal_others(self, state):
            bids = state.made >= 2
            return [torch.ones_like(bids), bids, bids]

    class Several(First):
        others = ("rise", "play 1", "throw 2")

        def legal_others(self, state):
            return [state.made < 0, state.made >= 0, state.made >= 2]

    match = a_match(First())
    seen, later = look(match, PERSON), look(match.act(0).act(0), PERSON)
    assert lines.choices_line(seen, UNICODE) == "You may choose  rise" and isinstance(
        parse("1", seen, UNICODE), Mistake
    )
    assert "You say rise. There was no other choice.\n" in sat(match)
    assert lines.choices_line(later, UNICODE) == "You may choose  rise  bid 1-2" and parse("1", later, UNICODE) == 1
    assert [choice["number"] for choice in seen_told(later)["choices"]] == [None, 1, 2]
    match = a_match(Several())
    for one, told in ((match, "1:play 1"), (match.act(1).act(1), "1:play 1  2:throw 2")):
        assert lines.choices_line(look(one, PERSON), UNICODE) == f"You may choose  {told}"
        assert parse("1", look(one, PERSON), UNICODE) == 1


def test_nobody_is_asked_for_what_is_no_card_and_leaves_no_choice() -> None:
    """Of Uno to draw, where nothing fits: done at the terminal and on a page, and taken back with what led to it."""
    match = begin(Settings(game=Uno(decisions=80), games=1, seed=2, agent="random"))
    told = sat(match, *["1"] * 30)
    assert told.count("You draw. There was no other choice.") > 1
    assert told.count("You keep.") == told.count("You keep. There was no other choice.") < told.count("You draw.")
    assert "(Enter: draw)" not in told and "(Enter: keep)" not in told
    with closing(Table(match, lambda match: (RandomBot(), "random"), PERSON, delay=0)) as table:
        said, asked = [], 0
        for _ in range(200):
            now, shown = table._sitting.match, table.told()  # in this order: its own turn lasts
            said += shown["log"]
            if now.over:
                break
            if now.mover == PERSON and now.only is None:
                assert len(now.legal) > 1 or now.legal[0] < now.game.first_other
                table.act(shown["turn"], now.legal[0])
                asked += 1
            table.told(shown["version"])
        assert now.over and asked > 2 and any("There was no other choice." in line for line in said)


@pytest.mark.parametrize("named", EVERY, ids=str)
def test_help_tells_of_choices_that_there_are_as_they_can_be_typed(named: Named) -> None:
    match, rng, told = one_game(named), random.Random(3), 0
    while not match.over and told < 6:
        if match.mover == PERSON:
            seen = look(match, PERSON)
            line = lines.help_lines(seen, 0, 1, "points")[0]
            examples = line.partition(": ")[2].removesuffix(".").split(", ")
            for example in examples:
                ways, _, name = example.partition(" for ")
                found = {parse(way, seen, UNICODE) for way in (*ways.split(" or "), *[name] * bool(name))}
                assert len(found) == 1 and found <= set(seen.legal), (line, found)
            told += 1
        match = match.act(rng.choice(match.legal))
    assert told


def test_cards_on_the_table_are_told_to_the_page_as_cards() -> None:
    """In the middle and beside their seats, those that others do not see by their number, and no words for them."""
    match = a_match(Tray())
    own = look(match, PERSON).hand(PERSON)[0]
    for action in (own, look(match.act(own), 1).hand(1)[0]):
        match = match.act(action)
    match = match.act(first := look(match, PERSON).pile("tray")[0]).act(10).act(10)
    match = match.act(second := look(match, PERSON).pile("tray")[0])
    seen, told = look(match, PERSON), seen_told(look(match, PERSON))
    tray, row = told["piles"]
    names = [naming.card_name(Tray.layout, card) for card in (first, second, own)]
    assert (tray["label"], tray["unseen"], row["label"]) == ("tray", 0, "row")
    assert [card["name"] for card in row["cards"]] == [names[1], names[0]]  # by their places
    beside = [[(p["label"], [c["name"] for c in p["cards"]], p["unseen"]) for p in s["piles"]] for s in told["seats"]]
    assert beside[0] == [("aside", [names[2]], 0), ("out", [names[0]], 0)]
    assert beside[1] == [("aside", [], 1), ("out", [names[1]], 0)]
    assert told["facts"] == "" and len(seen.facts) == 4  # which the terminal tells in words
    assert all(card["action"] is None for card in tray["cards"])


def test_marks_on_cards_that_lie_elsewhere_are_told_in_words() -> None:
    class Marked(Tray):
        def hidden(self, state):
            sees = ~hidden.nobody(state.out, 2)
            return {**super().hidden(state), "out": Hidden(sees, place=False)}

    match = a_match(Marked()).act(10).act(10)
    match = match.act(look(match, PERSON).pile("tray")[0])
    assert seen_told(look(match, PERSON))["facts"].startswith("Out You:")
    match = a_match(Hanabi())
    match = match.act(next(action for action in match.legal if "hint" in match.game.action_name(action)))
    seen = look(match, PERSON)
    assert "may" not in seen.piles and "May North: " in seen_told(seen)["facts"]


def test_cards_on_the_table_that_may_be_chosen_are_chosen_there_and_nowhere_else() -> None:
    match = a_match(Tray(decisions=9)).act(10).act(10)
    match = match.act(look(match, PERSON).pile("tray")[0]).act(10).act(10).act(match.legal[0])
    for _ in range(2):
        match = match.act(10)
    assert match.mover == PERSON
    seen = look(match, PERSON)
    told = seen_told(seen)
    (tray,) = [pile for pile in told["piles"] if pile["label"] == "tray"]
    assert [card["action"] for card in tray["cards"]] == seen.pile("tray") and sorted(match.legal) == sorted(
        seen.pile("tray")
    )
    assert {card["word"] for card in tray["cards"]} == {"take"} and told["choices"] == []
    assert [card["number"] for card in tray["cards"]] and all(card["action"] is None for card in told["hand"])


class Lost(Count):
    """Each has lost its skull or not, which it alone knows, and then lays down a skull or a rose, or rises."""

    others = ("lay a rose", "lay a skull", "rise")

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, gained=torch.tensor([[1, 0]]).expand_as(hands))

    def hidden(self, state):
        return super().hidden(state) | {"gained": Hidden(hidden.own(2, state.batch_size, state.device), "number")}

    def legal_others(self, state):
        has = piles.entry(state.gained, state.to_move) > 0
        return [state.made >= 0, has, state.made >= 0]

    def act(self, state, action, card):
        return replace(state, to_move=torch.where(action == 2, state.to_move, 1 - state.to_move))


def test_a_move_that_is_the_only_one_by_what_its_seat_hides_is_told_as_in_other_deals() -> None:
    """It would say what the seat has lost, in hands that look the same."""
    match = a_match(Lost()).act(0)
    assert match.legal == (0, 2) and not is_told(match, 0, PERSON) and is_told(match, 2, PERSON)
    assert moves_told(match, 0) == ["North lays."] and moves_told(match, 2) == ["North says rise."]
    assert moves_told(match, 0, viewer=1) == ["You lay a rose."]

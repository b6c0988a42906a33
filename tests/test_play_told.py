"""What the table tells of a game in its own words: moves, shown cards, deals, what is counted, and scores."""

import random
import re
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.every_game import Named
from tests.small_games import Draw, DrawState
from tests.tables import Recorder, name, one_game, played, position
from vecgame import Blob, Game, HandGame, HandState, Spades, Whist, make_game, naming, piles, starts
from vecgame.hidden import Hidden, nobody
from veclab.arena.bots import RandomBot
from veclab.table import lines, rows, view
from veclab.table.advice import give_hint
from veclab.table.commands import Mistake, parse
from veclab.table.glyphs import UNICODE
from veclab.table.session import PERSON, Settings, begin, public
from veclab.table.sight import LISTED, SEAT_NAMES, look, said
from veclab.table.ui import PlainLines
from veclab.web.message import hint_told, seen_told

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")


def test_moves_that_others_may_not_know_are_told_without_their_names() -> None:
    told = set()
    for named, kinds in (
        (Named("hearts", "passing=left"), {"West passes a card.", "North passes a card.", "East passes a card."}),
        (Named("skat"), {"West puts away a card.", "East puts away a card."}),
        (Named("euchre"), {"West puts away a card.", "North puts away a card.", "East puts away a card."}),
        (Named("blob", "cards=2,bidding=once,hook=false"), {"West bids.", "North bids.", "East bids."}),
    ):
        for seed in range(2):
            match = one_game(named, seed=seed)
            rng = random.Random(seed)
            while not match.over:
                after = match.act(rng.choice(match.legal))
                if match.mover != PERSON:
                    move = said(match, after, PERSON)
                    line = " ".join(lines.narrate(look(match, PERSON), move, look(match, PERSON), UNICODE))
                    if move.name != after.last.name:
                        assert line in kinds
                        told.add(line)
                    elif after.last.plays:
                        assert after.last.name in line
                match = after
    assert {"West passes a card.", "West bids."} <= told and any("puts away a card" in line for line in told)


@pytest.mark.parametrize(
    "game",
    [
        Blob(trump="turned", cards=2),
        make_game("blob-match", trump="turned", cards=2),
        make_game("wizard", cards=2),
    ],
    ids=str,
)
def test_the_card_turned_up_is_shown_through_each_deal(game: Game) -> None:
    match, rng, record, deals = begin(Settings(game, games=1, seed=3)), random.Random(5), Recorder(), set()
    plain = PlainLines(record.console, UNICODE, lambda prompt: "")
    while not match.over:
        if not (match.state.trick >= 0).any() and len(match.tricks) == 0:
            (card,) = [card for card in range(match.game.layout.size) if int(match.state.seen) >> card & 1]
            told = f"Turned up {naming.card_name(match.game.layout, card)}."
            deals.add(look(match, None).deal)
        seen = look(match, PERSON)
        assert seen_told(seen)["facts"] == told
        record.console.print(view.screen(seen, UNICODE, 80, []))
        assert told in record.take()
        plain.begin(look(match, None), "")  # a spectator is told it with the hands
        assert told in record.take()
        if match.mover == PERSON:
            plain.decision(seen)
            assert told in record.take()
        match = match.act(rng.choice(match.legal))
    assert len(deals) == (7 if game.name == "blob-match" else 1)
    assert not look(begin(Settings(Blob(cards=13, trump="turned"), games=1)), PERSON).facts  # all cards are dealt


@pytest.mark.parametrize(
    "game", [make_game("blob-match", cards=2, trump="rotate", games=3), make_game("euchre-match", target=5)], ids=str
)
def test_each_deal_of_a_match_is_begun_and_ended_in_words(game: Game) -> None:
    """Who deals, what is trump, and the standing, also where another match follows."""
    match, rng, record = begin(Settings(game, games=2, seed=3)), random.Random(5), Recorder(200)
    plain, deals, matches = PlainLines(record.console, UNICODE, lambda prompt: ""), 0, 0
    while not match.over:
        action = rng.choice(match.legal)
        before, match, counted = match, match.act(action), match.game.step(match.state, torch.tensor([action]))
        seen = look(match, PERSON)
        plain.moved(look(before, PERSON), said(before, match, PERSON), seen)
        told, ended = record.take(), len(match.results) > len(before.results)
        begins = not match.over and (ended or int(match.state.number) > int(before.state.number))
        assert (lines.game_line(seen, UNICODE) in told) == begins
        if begins or match.over:
            totals = zip(seen.names, counted.totals[0].tolist(), strict=True)
            standing = ", ".join(f"{name} {total:g}" for name, total in totals)
            assert f"Game {int(before.state.number) + 1} of it is over: {standing}." in told
        deals, matches = deals + begins, matches + ended
        plain.went_back(seen)
        assert match.over or lines.game_line(seen, UNICODE) in record.take()
    assert matches == 2 and deals > 2


def test_a_card_on_the_forehead_is_seen_by_the_others_only() -> None:
    match = begin(Settings(Blob(cards=1, sight="forehead", sight_to=1), games=1, seed=5))
    while match.mover != PERSON:
        match = match.act(match.legal[0])
    seen, record = look(match, PERSON), Recorder()
    hands = [int(hand).bit_length() - 1 for hand in match.state.hands[0]]
    names = [UNICODE.card(match.game.layout, card) for card in hands]
    record.console.print(view.screen(seen, UNICODE, 80, []))
    PlainLines(record.console, UNICODE, lambda prompt: "").decision(seen)
    told = record.take()
    assert names[PERSON] not in told and "│ ?  │" in told and "You hold 1 unseen card." in told
    for who, card in zip(SEAT_NAMES[4][1:], names[1:], strict=True):
        assert re.search(rf"{who}: +{card}", told) and f"{who} holds {card}." in told
    while len(match.moves) < 4 or match.mover != PERSON:
        match = match.act(match.legal[0])
    assert look(match, PERSON).hand(PERSON) == (hands[PERSON],)


@pytest.mark.parametrize("seats", range(2, 9))
def test_seats_sit_clockwise(seats: int) -> None:
    for bottom in range(seats):
        seated = rows.places(seats, bottom)
        left = [row[0] for row in reversed(seated) if row[0] is not None]
        middle = [row[1] for row in seated if row[1] is not None]
        right = [row[2] for row in seated if row[2] is not None]
        around = [bottom, *left, *[seat for seat in middle if seat != bottom], *right]
        assert around == [(bottom + place) % seats for place in range(seats)] and seated[-1] == (None, bottom, None)
    assert len(set(SEAT_NAMES[seats])) == seats
    match, record = played(Settings(Blob(players=seats, cards=6), games=1), stop=seats + 3), Recorder(60)
    record.console.print(view.screen(look(match, PERSON), UNICODE, 60, ["West leads A."]))
    told = record.take().splitlines()
    assert max(map(len, told)) <= 60 and all(row.count("╭") == row.count("╮") for row in told)


UNITS = {"kuhn": "chips", "leduc": "chips", "hearts": "points", "hearts-match": "wins", "blob-match": "wins"}


@pytest.mark.parametrize("name", UNITS)
def test_what_a_game_counts_is_said(name: str) -> None:
    unit, rng = UNITS[name], random.Random(2)
    match = begin(Settings(make_game(name), games=1, agent="random", seed=3))
    while not match.over:
        before, match = match, match.act(rng.choice(match.legal))
    hint = give_hint(RandomBot(), before)
    told = [
        *lines.hint_lines(hint, UNICODE)[1:],
        lines.help_lines(look(before, before.mover), 0, 1, match.game.unit)[-1],
    ]
    told += [lines.result_lines(look(match, None))[0].lower(), rows.sheet_title(look(match, None))]
    told += [lines.final_line(replace(look(match, None), totals=(2.0,) * match.game.seats, deal=None))]
    assert hint.advice and all(unit in line for line in told) and hint_told(hint)["unit"] == unit
    assert unit == "points" or not any("point" in line for line in told)


@pytest.mark.parametrize(
    ("game", "actions", "shown"),
    [
        (make_game("kuhn"), "pass bet bet", [0, 1]),
        (make_game("kuhn"), "pass pass", [0, 1]),
        (make_game("kuhn"), "pass bet pass", []),
        (make_game("kuhn", players=3), "pass bet pass bet", [0, 1]),
        (make_game("leduc"), "call call raise call", [0, 1]),
        (make_game("leduc"), "raise call raise fold", []),
    ],
    ids=str,
)
def test_after_a_showdown_the_cards_that_were_compared_are_shown(game, actions: str, shown: list[int]) -> None:
    """To every seat, and of a seat that has given up to none; also when the next game has been dealt."""
    for games in (1, 2):
        match = begin(Settings(game, games=games, agent="random", seed=3))
        before = [look(match, None).hand(seat) for seat in range(game.seats)]
        for action in actions.split():
            earlier, match = match, match.act(game.action_names.index(action))
        assert match.results[-1].shown == tuple(before[seat] if seat in shown else () for seat in range(game.seats))
        for viewer in range(game.seats):
            seen, first = look(match, viewer), look(earlier, viewer)
            told = lines.narrate(first, match.last, seen, UNICODE)[1:]
            words = [
                f"{lines.verb(seen.names[seat], 'show')} {UNICODE.card(game.layout, before[seat][0])}" for seat in shown
            ]
            assert told == ([f"{', '.join(words)}."] if shown else [])
            if games == 1:
                assert lines.shown_hands(seen) == [seat for seat in shown if seat != viewer]


@pytest.mark.parametrize(("name", "what"), [("kuhn", "game"), ("hearts-match", "match")])
def test_a_match_that_is_one_of_several_is_called_so(name: str, what: str) -> None:
    """By its heading, its result, the score sheet and what comes next."""
    match, rng = begin(Settings(make_game(name), games=2, agent="random", seed=3)), random.Random(2)
    while not match.results:
        match = match.act(rng.choice(match.legal))
    seen, plural = look(match, PERSON), {"game": "games", "match": "matches"}[what]
    won, totals = lines.result_lines(seen)
    assert f" in {what} 1: " in won and totals.startswith(f"After 1 of 2 {plural}: ")
    assert lines.game_line(seen, UNICODE).startswith(f"{what.capitalize()} 2 of 2")
    assert rows.sheet_rows(seen, UNICODE)[0][0] == what and f"the next {what}," in lines.rest_prompt(seen)


@dataclass(frozen=True)
class ShownState(DrawState):
    holds: ClassVar = {"played": "sets"}


class Shown(Draw):
    """A stock to draw from; what is played lies on the table and is said to hold cards."""

    def deal(self, *arguments, **options):
        return ShownState(**super().deal(*arguments, **options).tensors())


def test_cards_are_played_without_tricks_too_and_shown_where_the_game_says_that_they_lie() -> None:
    match = begin(Settings(Shown(), games=1, agent="random", seed=3))
    after = match.act(match.legal[0])
    before, card, seen = look(match, PERSON), after.last.name, look(after, PERSON)
    (drawn,) = set(seen.hand(PERSON)) - set(before.hand(PERSON))
    got = f"You get {naming.card_name(match.game.layout, drawn)}."
    assert lines.narrate(before, after.last, seen, UNICODE) == [f"You play {card}.", got]
    assert any(fact.startswith("played ") for fact in look(after, PERSON).facts)
    plain = begin(Settings(Draw(), games=1, agent="random", seed=3)).act(match.legal[0])
    assert not any(fact.startswith("played ") for fact in look(plain, PERSON).facts)


@pytest.mark.parametrize(
    ("names", "told", "typed_as_1"),
    [
        (("raise 1", "fold", "raise 2"), "You may choose  fold  raise 1-2", "raise 1"),
        (("play 1", "throw 1", "tell"), "You may choose  1:play 1  2:throw 1  3:tell", "play 1"),
        (("swap none", "swap 2", "swap 1 2"), "You may choose  1:swap none  2:swap 2  3:swap 1 2", "swap none"),
        (("4", "5", "9"), "You may choose  4-9, not 6 or 7 or 8", None),
    ],
)
def test_choices_are_counted_by_their_own_numbers_only_if_those_tell_them_apart(
    names: tuple[str, ...], told: str, typed_as_1: str | None
) -> None:
    one = look(begin(Settings(Draw(), games=1, agent="random", seed=3)), PERSON)
    seen = replace(one, one=replace(one.one, legal=(20, 21, 22), choices=names))
    assert lines.choices_line(seen, UNICODE) == told
    action = parse("1", seen, UNICODE)
    assert isinstance(action, Mistake) if typed_as_1 is None else seen.choices[action] == typed_as_1


def test_a_prompt_for_bids_says_where_a_number_is_a_place_in_the_list() -> None:
    """As in a game that has "play 3" beside "bid 3", where a number alone means the same at every decision."""
    one = look(begin(Settings(Draw(), games=1, agent="random", seed=3)), PERSON)
    bids = replace(one, one=replace(one.one, legal=(20, 21, 22), choices=("pass", "bid 1", "bid 3")))
    assert lines.prompt(bids, UNICODE) == "Your bid (pass, 1-3, not 2): " and parse("3", bids, UNICODE) == 22
    placed = replace(bids, numbered=LISTED)
    assert lines.prompt(placed, UNICODE) == "Your bid (1:pass, 2:bid 1, 3:bid 3): "
    assert parse("2", placed, UNICODE) == parse("bid 1", placed, UNICODE) == 21


@dataclass(frozen=True)
class SaidState(HandState):
    holds: ClassVar = {"said": ("ace", "king")}

    said: torch.Tensor = starts(-1, "seats", dtype=torch.int8)


class Said(HandGame):
    """Seats say a rank in turn."""

    name, state_type, plays_cards, others = "said", SaidState, False, ("ace", "king")
    seats, cards, decisions, lowest, highest = 3, 1, 6, 0.0, 1.0

    def act(self, state, action, card):
        return replace(state, said=piles.changed(state.said, state.to_move, action), to_move=(state.to_move + 1) % 3)

    def points(self, state):
        return (state.said == 1).float()


def test_of_what_seats_have_said_those_are_told_that_have() -> None:
    match = begin(Settings(Said(), games=1, agent="random", seed=3))
    told = []
    for action in (0, 1, 0):
        match = match.act(action)
        told.append(lines.tally_line(look(match, None)))
    assert [line.count(",") for line in told] == [0, 1, 2] and all("0" not in line for line in told)
    assert told[0].startswith("Said: ") and told[0].endswith(" ace.") and told[2].count("ace") == 2


def test_one_of_what_a_game_counts() -> None:
    told = [lines.counted(value, unit) for value, unit in ((1, "chips"), (-1, "chips"), (0.5, "wins"), (1, "$"))]
    assert told == ["1 chip", "-1 chips", "0.5 wins", "1 $"]
    values = (1_234_567.0, -20_000_001.0, 1234.5625, 1 / 240, 0.1 + 0.2, -0.0)
    assert [lines.points(value) for value in values] == ["1234567", "-20000001", "1234.5625", "0.0042", "0.3", "0"]


def test_columns_of_scores_are_told_apart() -> None:
    """In matches of Hearts, points of the game and totals are what one does not want; wins are those of matches."""
    match, rng = begin(Settings(make_game("hearts-match"), games=2, agent="random", seed=3)), random.Random(2)
    while not match.results:
        match = match.act(rng.choice(match.legal))
    seen = look(match, PERSON)
    assert rows.score_rows(seen, UNICODE)[0] == ["player", "won", "points", "totals", "wins"]
    assert rows.score_rows(replace(seen, unit="points"), UNICODE)[0][-2:] == ["totals", "match"]
    hearts = look(begin(Settings(make_game("hearts"), games=2, agent="random")), PERSON)
    assert rows.score_rows(hearts, UNICODE)[0] == ["player", "won", "points", "match"]


def test_only_bids_that_are_to_be_met_exactly_are_marked() -> None:
    """In Spades tricks beyond a bid are bags, and a partner makes up for what is missing."""
    marks = {}
    for game in ("blob", "spades"):
        match = begin(Settings(make_game(game, cards=3), games=1, seed=3, agent="random"))
        while not match.over:
            match = match.act(match.legal[0])
            seen = look(match, None)
            marks.setdefault(game, set()).update(rows.progress(seen, seat) for seat in range(4))
    assert marks == {"blob": {"", "met", "lost"}, "spades": {""}}


def test_tricks_are_numbered_and_bids_marked_as_they_stand() -> None:
    """West, North and East bid one of two tricks, South none; East takes both."""
    match = position(["2c 3c", "Kc 2d", "4c 5d", "2h 6d"], trump=1, dealer=0, actions=[1, 1, 1, 0])
    told = []
    for card in ("Kc", "4c", "2h", "2c", "6d", "3c", "2d"):
        seen = look(match, PERSON)
        told.append((rows.trick_titles(seen), [rows.progress(seen, seat) for seat in range(4)]))
        match = match.act(name(card))
    of_first, of_second = ["met", "", "", ""], ["met", "", "", "met"]
    assert told == [
        (("first trick", "West leads first"), of_first),
        (("trick 1 of 2, West led", "West winning so far"), of_first),
        (("trick 1 of 2, West led", "West winning so far"), of_first),
        (("trick 1 of 2, West led", "East winning so far"), of_first),
        (("trick 1 of 2", "East takes it"), of_second),
        (("trick 2 of 2, East led", "East winning so far"), of_second),
        (("trick 2 of 2, East led", "East winning so far"), of_second),
    ]


def test_who_leads_is_not_told_where_a_partner_may_sit_out() -> None:
    """In Euchre the seat that would lead may be the partner of the one who plays alone."""
    assert look(begin(Settings(make_game("euchre"), games=1)), PERSON).leader is None
    blob = begin(Settings(Blob(cards=2), games=1))
    assert look(blob, PERSON).leader == (int(blob.state.dealer) + 1) % 4


class HighestBidLeads(Spades):
    """Who has bid most leads, of equals the seat with the lowest number."""

    def bid(self, state, place, bid, bidding):
        after = super().bid(state, place, bid, bidding)
        last = bidding & (state.made == self.opening - 1)
        return replace(after, leader=torch.where(last, after.bids.argmax(-1).to(torch.int8), after.leader))


def test_who_leads_is_not_told_while_bids_are_made_that_say_it() -> None:
    """Until it is so, from the last bid on."""
    match = begin(Settings(HighestBidLeads(), games=1, agent="random"))
    first = look(match, None)
    assert first.opening == "bidding" and first.leader is None and rows.trick_titles(first) == ("bidding", "")
    for bid in (0, 3, 5, 5):
        assert look(match, None).leader is None
        match = match.act(52 + bid)
    leader = int(match.state.bids.argmax())
    assert int(match.state.bids[0, leader]) == 5
    assert look(match, None).leader == leader and rows.trick_titles(look(match, None))[1].endswith("first")


def test_a_match_that_is_over_is_at_its_last_game() -> None:
    match = played(Settings(make_game("kuhn"), games=3, agent="random"))
    assert match.over and look(match, PERSON).number == 3
    assert seen_told(look(match, None))["heading"].startswith("Game 3 of 3")
    match = played(Settings(make_game("blob-match", cards=2, games=3), games=1, agent="random"))
    assert seen_told(look(match, None))["heading"].startswith("Match 1 of 1, game 3: ")


def test_what_only_some_see_is_not_public() -> None:
    """Bids that are made at once, before all are made."""
    match = played(Settings(Blob(cards=2, bidding="once", hook=False), games=1), stop=2)
    sees = match.game.hidden(match.state)["bids"].sees
    assert sees.any() and public(match.game, match.state, "bids") is None
    match = match.act(match.legal[0]).act(0)
    assert public(match.game, match.state, "bids") == match.state.bids[0].tolist()


class Secret(Whist):
    """Whist whose trump nobody is told."""

    name = "secret"

    def hidden(self, state):
        return {**super().hidden(state), "trump": Hidden(nobody(state.trump, self.seats), "number")}


def test_hands_are_not_held_by_a_trump_that_is_not_told() -> None:
    match = begin(Settings(Secret(cards=5, trump="random"), games=1, seed=1))
    others = [replace(match, state=replace(match.state, trump=torch.full_like(match.state.trump, t))) for t in range(4)]
    assert len({look(other, PERSON).hand(PERSON) for other in others}) == 1
    assert {lines.trump_words(look(other, PERSON)) for other in others} == {None}
    assert len({look(other, None).hand(PERSON) for other in others}) > 1

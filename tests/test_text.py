"""Games, actions and cards in words: whole, readable, and no word of what a seat does not see."""

import re
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.card_tables import COINS, SECRET, WIZARDS, CoinState, TableGame, WizardState
from tests.micro_games import MicroGame
from vecgame import (
    GAMES,
    Blob,
    BlobMatch,
    Euchre,
    Game,
    Hearts,
    Kuhn,
    Leduc,
    Spades,
    State,
    TrickGame,
    TrickState,
    Whist,
    make_game,
    register,
)
from vecgame.cards import STANDARD, Layout
from vecgame.contract import random_action
from vecgame.game import actions_of
from vecgame.naming import card_name, cards_text, suit_name
from vecgame.pictures import picture
from vecgame.seeing import see
from vecgame.text import words
from veclab.table import lines
from veclab.table.session import Settings, begin
from veclab.table.sight import look


def played(game: Game, decisions: int, batch_size: int = 3) -> State:
    """Games after some random decisions."""
    state = game.deal(batch_size, seed=5)
    for _ in range(decisions):
        state = game.step(state, random_action(game, state))
    return state


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_of_cards() -> None:
    assert [card_name(STANDARD, card) for card in (0, 10, 21, 38, 51)] == ["2♠", "Q♠", "10♥", "A♣", "A♦"]
    assert len({card_name(STANDARD, card) for card in range(52)}) == 52
    assert [card_name(WIZARDS, card) for card in (51, 52, 59)] == ["A♦", "jester 1", "wizard 4"]
    assert [card_name(COINS, card) for card in (7, 19, 29)] == ["fante of coins", "re of cups & <swords>", "re♣"]
    for card in (-1, 52):
        with pytest.raises(ValueError, match=f"from 0 to 51, got {card}"):
            card_name(STANDARD, card)


def test_sets_of_cards_suit_after_suit_from_the_highest() -> None:
    assert cards_text(STANDARD, 1 << 12 | 1 << 0 | 1 << 8 | 1 << 39) == "♠ A 10 2  ♦ 2"
    assert cards_text(WIZARDS, 1 << 59 | 1 << 13) == "♥ 2  wizard 4"
    assert cards_text(Layout(suits=0, ranks=0, extra=2, extra_names=("fool", "world")), 3) == "world fool"
    assert cards_text(COINS, 1 << 7 | 1) == "coins fante 1" and cards_text(STANDARD, 0) == ""


def test_names_of_suits() -> None:
    assert [suit_name(STANDARD, suit) for suit in (1, 4)] == ["hearts ♥", "none"]
    assert [suit_name(COINS, suit) for suit in range(4)] == ["coins", "cups & <swords>", "♣", "none"]


# -- actions ----------------------------------------------------------------------------------------------------------


def test_bids_of_blob_share_ids_with_cards() -> None:
    game = Blob(cards=2)
    state = game.deal(3)
    assert game.action_name(1, state) == "bid 1"
    after = played(game, 4)
    assert game.action_name(1, after, 2) == "3♠"
    with pytest.raises(ValueError, match="give action_name the state as well"):
        game.action_name(1)


def test_bids_after_the_cards_need_no_state() -> None:
    assert [Spades().action_name(action) for action in (0, 51, 52, 55)] == ["2♠", "A♦", "nil", "bid 3"]
    for number in (np.int64(12), torch.tensor(12), torch.tensor([12], dtype=torch.int8)[0]):
        assert (Whist().action_name(number), card_name(STANDARD, number)) == ("A♠", "A♠")
    assert Spades().action_name(torch.tensor(55)) == "bid 3" and Leduc().action_name(torch.tensor(1)) == "call"
    for action in (-1, Spades().num_actions, 2.5, True, "3", None):
        with pytest.raises(ValueError, match=f"action must be from 0 to 65, got {action!r}"):
            Spades().action_name(action)


def test_bids_of_euchre_name_suits() -> None:
    game = Euchre(dealer=3)
    hands = torch.tensor([[list(range(13 * seat + 7, 13 * seat + 12)) for seat in range(4)]])
    state = game.from_hands(hands, upcard=13 + 12)  # the ace of hearts
    named = [game.action_name(52 + bid, state) for bid in range(7)]
    assert named[:3] == ["pass", "order up hearts", "name clubs"]
    assert named[3:] == ["name diamonds", "name spades", "alone", "with partner"]
    assert [game.action_name(52 + bid) for bid in (0, 1, 5)] == ["pass", "order up", "alone"]


def test_cards_that_are_given_away() -> None:
    hearts = Hearts(passing="left")
    state = played(hearts, 2)
    assert hearts.action_name(10, state) == "pass Q♠" and hearts.action_name(10) == "Q♠"
    assert hearts.action_name(10, played(hearts, 12)) == "Q♠"
    euchre = Euchre()
    taken = euchre.step(euchre.deal(1), [53])
    legal = euchre.legal_mask(taken)[0].nonzero()[:, 0].tolist()
    assert all(euchre.action_name(action, taken).startswith("put away ") for action in legal)


@pytest.mark.parametrize("name", list(GAMES))
def test_every_legal_action_has_a_name_of_its_own(name: str) -> None:
    game = make_game(name)
    for decisions in (0, 3, 9, 20):
        state = played(game, decisions)
        for lane in range(3):
            legal = game.legal_mask(state)[lane].nonzero()[:, 0].tolist()
            assert len({game.action_name(action, state, lane) for action in legal}) == len(legal)


@pytest.mark.parametrize(
    "actions", [[1, 2, 0], (1, 2, 0), np.array([1, 2, 0], np.uint16), [np.int8(1), np.int64(2), 0]]
)
def test_actions_as_python_and_numpy_have_them(actions: object) -> None:
    state = Blob(cards=2).deal(3)
    assert actions_of(actions, state).tolist() == [1, 2, 0]
    assert Blob(cards=2).step(state, actions) == Blob(cards=2).step(state, torch.tensor([1, 2, 0]))


@pytest.mark.parametrize("action", [1, np.int16(1), torch.tensor(1), [1], np.array(1)])
def test_one_number_for_one_game(action: object) -> None:
    state = Blob(cards=2).deal(1)
    assert actions_of(action, state).tolist() == [1]


def test_no_actions_for_no_games() -> None:
    assert actions_of([], Blob().deal(2)[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("actions", "got"),
    [
        (1, r"shape \[\] of torch.int64"),
        ([1, 2], r"shape \[2\] of torch.int64"),
        ([], r"shape \[0\] of torch.int64"),
        ([[1, 2, 0]], r"shape \[1, 3\]"),
        ([1.0, 2.0, 0.0], r"shape \[3\] of torch.float64"),
        ([True, False, True], r"shape \[3\] of torch.bool"),
        (np.zeros(3, np.float32), r"shape \[3\] of torch.float32"),
        (np.zeros(3, np.complex64), r"shape \[3\] of torch.complex64"),
        (torch.zeros(3), r"shape \[3\] of torch.float32"),
        ([[1], [2, 3], 0], "a list"),
        ([None, 1, 2], "a list"),
        ("abc", "a str"),
        (None, "a NoneType"),
    ],
)
def test_what_is_no_action_for_each_game_is_one_line(actions: object, got: str) -> None:
    with pytest.raises(ValueError, match=rf"action must be 3 integers of shape \[3\], got {got}") as error:
        Blob(cards=2).step(Blob(cards=2).deal(3), actions)
    assert "\n" not in str(error.value)


# -- games ------------------------------------------------------------------------------------------------------------


def test_a_game_of_blob_in_words() -> None:
    game = Blob(cards=2, hook=False)
    hands = torch.tensor([[[12, 0], [11, 20], [30, 40], [25, 51]]])  # AS 2S, KS 9H, 6C 3D, AH AD
    state = game.from_hands(hands, dealer=3, trump=1)
    for action in (2, 0, 0, 1, 12):
        state = game.step(state, [action])
    assert game.text(state).splitlines() == [
        "blob, game 0",
        "  seat 0  ♠ 2       bid 2  won 0",
        "▸ seat 1  ♠ K  ♥ 9  bid 0  won 0",
        "  seat 2  ♣ 6  ♦ 3  bid 0  won 0",
        "  seat 3  ♥ A  ♦ A  bid 1  won 0",
        "  trick           A♠ (seat 0)",
        "  seen            ♠ A",
        "  leader          seat 0",
        "  decisions made  5",
        "  trump           hearts ♥",
        "  dealer          seat 3",
        "  to move         seat 1: K♠",
    ]
    seen = game.text(state, seat=2)
    assert "▸ seat 1        2 cards   bid 0  won 0" in seen and "seat 2 (you)  ♣ 6  ♦ 3" in seen
    assert seen.endswith("to move         seat 1") and "K" not in seen
    for action in (11, 30, 51, 0, 20, 40, 25):
        state = game.step(state, [action])
    assert re.search(r"seat 0 +no cards +bid 2 +won 1 +score 0", game.text(state))
    assert re.search(r"seat 1 +no cards +bid 0 +won 0 +no ♠ +score 10", game.text(state))
    assert game.text(state).endswith("over")


def test_a_total_of_minus_one_is_told() -> None:
    """While an integer of -1 is a bid that is not made."""
    match = BlobMatch(cards=1, miss_penalty=1)
    state = match.from_hands(torch.arange(4).view(1, 4, 1), 0, 4, totals=torch.tensor([[-1, 0, 2, -3]]), number=1)
    seats = match.text(state).splitlines()[1:5]
    assert [line.split("totals ")[1] for line in seats] == ["-1", "0", "2", "-3"] and "bid" not in "".join(seats)
    assert "totals -1" in picture(match, state)


@dataclass(frozen=True)
class DebtState(TrickState):
    """B games of Debts."""

    holds: ClassVar = {"pile": "sets", "last": "cards"}

    chips: Tensor  # [B, 4] int64
    debt: Tensor  # [B, 4] int8
    pot: Tensor  # [B] int64
    owed: Tensor  # [B] int8
    pile: Tensor  # [B] int64, cards
    last: Tensor  # [B, 4] int8, a card of each seat


class Debts(TrickGame):
    """Of tricks, and of chips that nobody wins."""

    name = "debts"
    state_type = DebtState
    highest = 13.0

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor) -> DebtState:
        each = torch.ones(len(index), 4, dtype=torch.int64)
        chips = {"chips": 5 * each, "debt": -each.to(torch.int8), "pot": 20 * each[:, 0], "owed": -each[:, 0]}
        return self.start(hands, index, leader=dealer, **chips, pile=5 * each[:, 0], last=each.to(torch.int8))

    def points(self, state: DebtState) -> Tensor:
        return state.won.float()


def test_what_a_field_holds_is_said_and_else_it_is_numbers() -> None:
    """Whatever its dtype: chips are no cards, nor is a debt of -1 none."""
    game = Debts()
    state = game.deal(1)
    for told in (game.text(state), repr(state), picture(game, state)):
        assert told.count("chips 5  debt -1") == 4
        assert all(re.search(f"  {line}$", told, re.M) for line in ("pot +20", "owed +-1", "pile +♠ 4 2"))
    table = look(begin(Settings(game, games=1, agent="random")), None)
    assert table.columns == ("won", "chips", "debt")
    assert (lines.cell(table, "chips", 0), lines.cell(table, "debt", 0)) == ("5", "-1")
    assert {"pot 20", "owed -1", "pile ♠ 4 2"} <= set(table.facts)


CALLS = ("pass", "double", "one")


@dataclass(frozen=True)
class AuctionState(DebtState):
    """B games with an auction of up to 40 calls."""

    holds: ClassVar = {"calls": CALLS, "by_seat": CALLS, "asked": "seats"}

    calls: Tensor  # [B, 40] int64, as all of these
    by_seat: Tensor  # [B, 4, 3]
    asked: Tensor  # [B, 5]
    sums: Tensor  # [B, 3]


class Auction(Debts):
    name, state_type = "auction", AuctionState

    def start(self, hands, index, leader, **own):
        places = {"calls": (40,), "by_seat": (4, 3), "asked": (5,), "sums": (3,)}
        none = {name: torch.full((len(index), *shape), -1) for name, shape in places.items()}
        return super().start(hands, index, leader, **own, **none)


def test_what_is_not_used_yet_of_a_field_is_not_told() -> None:
    """From the last place back, whoever shows it; a -1 between others is none, and among numbers a number."""
    game = Auction()
    state = game.deal(1)
    for told in (game.text(state), repr(state)):
        assert not re.search("calls|by_seat|asked|none", told) and re.search("^  sums +-1 -1 -1$", told, re.M)
    state.calls[0, :4], state.asked[0, 1] = torch.tensor([2, 0, 1, 0]), 3
    state.by_seat[0, 1, :2] = torch.tensor([1, 0])
    for told in (game.text(state), repr(state)):
        assert re.search("^  calls +one pass double pass$", told, re.M)
        assert re.search("^  asked +none seat 3$", told, re.M) and told.count("by_seat double pass") == 1
    state.calls[:] = 0
    assert re.search(f"^  calls {' pass' * 24} and 16 more$", re.sub("  +calls +", "  calls  ", game.text(state)), re.M)


def test_seats_by_their_names() -> None:
    game = Blob(cards=2)
    told = words(see(game, played(game, 4), 0, 1), ["Ann", "Bob", "Cleo", "Dan"])
    assert "Bob (you)  ♠" in told and "seat" not in told


def cards_in(told: str) -> set[str]:
    """The cards that a text speaks of, as suit and rank."""
    found = {rank + suit for rank, suit in re.findall(r"(10|[2-9JQKA])([♠♥♣♦])", told)}
    for suit, ranks in re.findall(r"([♠♥♣♦])((?: (?:10|[2-9JQKA])\b)+)", told):
        found |= {rank + suit for rank in ranks.split()}
    return found


@pytest.mark.parametrize(
    "game",
    [
        *(make_game(name) for name in GAMES),
        Hearts(passing="left"),
        Blob(cards=1, sight="forehead"),
        Blob(cards=1, sight="blind"),
        Blob(cards=5, bidding="once", hook=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("decisions", [0, 3, 5, 14, 30])
def test_what_a_seat_reads_is_the_same_in_every_world(game: Game, decisions: int) -> None:
    state = played(game, decisions)
    worlds = game.determinize(state, 3, seed=2)
    for lane in (~game.is_terminal(state[:3])).nonzero()[:, 0].tolist():  # at the end scores may tell of hidden cards
        seat = int(game.mover(state)[lane])
        told = {game.text(worlds, 3 * lane + world, seat) for world in range(3)}
        assert told == {game.text(state, lane, seat)}


@pytest.mark.parametrize("game", [Blob(cards=5), Blob(cards=7, players=7), Hearts(), Spades(cards=9)], ids=repr)
@pytest.mark.parametrize("decisions", [0, 10, 23])
def test_a_seat_reads_of_no_card_in_other_hands(game: Game, decisions: int) -> None:
    state = played(game, decisions)
    for lane in range(3):
        hands = [cards_in(cards_text(game.layout, bits)) for bits in state.hands[lane].tolist()]
        assert cards_in(game.text(state, lane)) >= set().union(*hands)
        for seat in range(game.seats):
            told = cards_in(game.text(state, lane, seat))
            assert told >= hands[seat] and not told & set().union(*hands[:seat], *hands[seat + 1 :])


@pytest.mark.parametrize("state_type", [WizardState, CoinState])
def test_a_stock_and_a_number_that_nobody_knows(state_type: type) -> None:
    game = TableGame(3, 4, state_type)
    state = game.played(2)
    for seat in range(3):
        seen = see(game, state, 1, seat)
        assert seen.values["stock"] is None and seen.count("stock") == game.layout.size - 13
        assert seen.values["secret"] is None and str(SECRET) not in game.text(state, 1, seat).replace(",", "")
        assert f"stock           {game.layout.size - 13} cards" in game.text(state, 1, seat)
    assert f"{SECRET:,}" in game.text(state, 1)


@pytest.mark.parametrize(
    "game",
    [Euchre(), make_game("euchre-match"), make_game("skat"), make_game("wizard"), Blob(cards=2, trump="bidder")],
    ids=str,
)
def test_trump_is_not_told_before_it_is_named(game: Game) -> None:
    state = game.deal(32, seed=1)
    state = state.take((~game.trump_named(state)).nonzero()[:4, 0])  # in Wizard few dealers name it
    assert len(state) > 0
    for _ in range(game.seats + 2):
        named = game.trump_named(state)
        for lane in range(len(state)):
            told, drawn = game.text(state, lane), picture(game, state, lane)
            assert (re.search(r"trump +not named", told) is None) == bool(named[lane])
            assert ("trump not named" in drawn) == (not named[lane])
        state = game.step(state, random_action(game, state))
    assert named.any() and Whist().trump_named(Whist().deal(1)) is None


def test_cards_in_places_are_told_place_by_place() -> None:
    game, jack_of_spades, king_of_hearts = make_game("leduc"), 0, 5
    lines = []
    for own, public in ((jack_of_spades, king_of_hearts), (king_of_hearts, jack_of_spades)):
        state = replace(game.deal(1), cards=torch.tensor([[own, 4, public]], dtype=torch.int8))
        first = game.text(state, seat=0)
        state = game.step(game.step(state, torch.tensor([1])), torch.tensor([1]))
        lines += [told.splitlines()[1].split(maxsplit=1)[1] for told in (first, game.text(state, seat=0))]
    assert lines == ["J♠ ? ?", "J♠ ? K♥", "K♥ ? ?", "K♥ ? J♠"]
    assert "cards    K♥ Q♥ J♠" in game.text(state)
    stock, game = make_game("briscola").deal(1), make_game("briscola")
    assert "stock           33 cards" in game.text(stock, seat=0)
    drawn = replace(stock, stock=torch.tensor([[-1] * 31 + [4, 12]], dtype=torch.int8))
    assert "stock           7♠ 5♥\n" in game.text(drawn)


def test_a_seat_that_does_not_see_its_own_cards_reads_of_the_others_only() -> None:
    class Foreheads(TableGame):
        def hidden(self, state: State) -> dict:
            fields = super().hidden(state)
            return {**fields, "hands": replace(fields["hands"], sees=~fields["hands"].sees)}

    game = Foreheads(4, 3)
    state = game.played(2)
    seat = int(game.mover(state)[0])
    hands = [cards_in(cards_text(game.layout, bits)) for bits in state.hands[0].tolist()]
    told = cards_in(game.text(state, 0, seat))
    assert not told & hands[seat] and told >= set().union(*hands[:seat], *hands[seat + 1 :])
    assert cards_in(game.text(state, 0, (seat + 1) % 4)) >= hands[seat]


def test_views_that_there_are_not_are_one_line() -> None:
    game = Blob(cards=2)
    state = game.deal(2)
    with pytest.raises(IndexError, match="a state of 2 lanes has no lane 2"):
        game.text(state, 2)
    for seat in (-1, 4, True, "0"):
        with pytest.raises(ValueError, match="seat must be from 0 to 3, or None to see all"):
            game.text(state, 0, seat)


def test_a_game_without_cards_in_words() -> None:
    game = MicroGame([0, 1], [[0, 1], [0, 1, 2]], lambda moves: moves.float().repeat(1, 2))
    told = game.text(game.step(game.new(2), torch.tensor([1, 0])), 1)
    assert told.splitlines() == [
        "MicroGame, game 1",
        "  moves           0 -1",
        "  decisions made  1",
        "  to move         seat 1: 0, 1, 2",
    ]
    with pytest.raises(NotImplementedError, match="does not say what is hidden"):
        game.text(game.new(2), 0, 1)


# -- what prints ------------------------------------------------------------------------------------------------------


def test_a_large_batch_prints_its_first_games() -> None:
    told = repr(Spades().deal(10_000))
    assert told.startswith("SpadesState of 10,000 games on cpu\ngame 0\n") and told.endswith("and 9,997 more games")
    assert "tensor(" not in told and len(told.splitlines()) < 40
    assert repr(Spades().deal(4)).endswith("and 1 more game")
    assert repr(Spades().deal(1)).startswith("SpadesState of 1 game on cpu\ngame 0\n  seat 0  ♠")
    assert repr(Spades().deal(1)[:0]) == "SpadesState of 0 games on cpu"


def test_a_state_without_cards_prints_field_by_field() -> None:
    game = MicroGame([0] * 30, [[0]] * 30, lambda moves: moves)
    assert repr(game.new(5)).splitlines()[:3] == [
        "MicroState of 5 games on cpu",
        "game 0",
        "  moves           " + " ".join(["-1"] * 24) + " and 6 more",
    ]


def test_a_state_without_values_prints_its_shapes() -> None:
    state = Hearts().deal(2)
    with FakeTensorMode() as mode:
        fake = state.map(mode.from_tensor)
        assert "HeartsState of 2 games, values unknown; index: [2] torch.int64, hands: [2, 4] torch.int64" in repr(fake)
        assert fake._repr_svg_() is None
    assert "values unknown" in repr(state.to("meta"))
    assert "values unknown" in repr(state.map(lambda tensor: tensor[:, None] if tensor.ndim == 1 else tensor[:1]))


def test_nothing_is_read_within_a_compiled_function(monkeypatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert "values unknown" in repr(Hearts().deal(2)) and Hearts().deal(2)._repr_svg_() is None


# -- a notebook's cell that is run again ------------------------------------------------------------------------------


def cell(name: str, qualname: str = "Mine", module: str = "__main__") -> type[Game]:
    """The class that a cell defines."""
    return type(qualname, (Whist,), {"name": name, "__module__": module, "__qualname__": qualname})


def test_a_registered_class_that_is_defined_again_takes_its_place() -> None:
    """Also in a file that has moved; the games that come with vecgame keep their names."""
    try:
        register(cell("again"))
        for newer in (cell("again"), cell("again", module="elsewhere")):
            register(newer)
            assert GAMES["again"] is newer and type(make_game("again")) is newer
        with pytest.raises(ValueError, match="there is a game named 'whist' already"):
            register(cell("whist"))
    finally:
        GAMES.pop("again", None)


def test_points_of_a_million_are_told_in_full() -> None:
    """In the row of each seat, and in a game without hands in a row of their own."""
    for game, told in ((Blob(cards=1), "score 1234567"), (Kuhn(), "over 1234567 0")):
        state = game.deal(1)
        while not game.is_terminal(state).all():
            state = game.step(state, random_action(game, state))
        scores = [1234567.0, *[0.0] * (game.seats - 1)]
        assert told in " ".join(words(replace(see(game, state), scores=scores)).split())

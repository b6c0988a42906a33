"""Sets and runs: the best arrangement and what is laid off, against all arrangements, and against OpenSpiel's."""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import bits_of
from vecgame import HandGame, HandState, Layout, contract, piles, starts
from vecgame.cards import Table, bit, unpack
from vecgame.contract import random_action
from vecgame.melds import Melding, Melds
from vecgame.naming import card_name

GIN = Layout(rank_names=("A", *map(str, range(2, 11)), "J", "Q", "K"))
WORTH = [min(rank + 1, 10) for rank in range(13)] * 4
CORNERS = ("closed", "ace", "open")
Cards = frozenset[int]


class Scalar:
    """The same in plain Python, by trying everything."""

    def __init__(self, melding: Melding) -> None:
        self.layout, self.worth, ranks = melding.layout, melding.worth, melding.layout.ranks
        last = self.layout.rank_names[-1] == "A"
        cuts = {"closed": [0], "ace": [0, ranks - 1 if last else 1], "open": range(ranks)}[melding.corner]
        lines = [[(cut + place) % ranks for place in range(ranks)] for cut in cuts]
        self.runs = {
            frozenset(ranks * suit + rank for rank in line[first:end])
            for suit in range(self.layout.suits)
            for line in lines
            for first, end in itertools.combinations(range(ranks + 1), 2)
            if end - first >= 3
        }
        rows = [[rank + ranks * suit for suit in range(self.layout.suits)] for rank in range(ranks)]
        self.sets = {
            frozenset(cards) for row in rows for n in range(3, len(row) + 1) for cards in itertools.combinations(row, n)
        }

    def total(self, cards: Cards) -> float:
        return sum(self.worth[card] for card in cards)

    def least(self, hand: Cards) -> float:
        """Of the first card first: it is left over, or in one of the melds."""
        melds = [meld for meld in self.sets | self.runs if meld <= hand]

        def of(left: Cards) -> float:
            if not left:
                return 0
            card = min(left)
            ways = [self.worth[card] + of(left - {card})]
            return min(ways + [of(left - meld) for meld in melds if card in meld and meld <= left])

        return of(hand)

    def fitting(self, table: tuple[Cards, ...]) -> Iterator[tuple[int, tuple[Cards, ...]]]:
        """Cards that can be laid off at once, and the table afterwards."""
        for place, meld in enumerate(table):
            for card in range(self.layout.suits * self.layout.ranks):
                if card not in set().union(*table) and meld | {card} in (self.sets if meld in self.sets else self.runs):
                    yield card, (*table[:place], meld | {card}, *table[place + 1 :])

    def after(self, hand: Cards, table: tuple[Cards, ...]) -> dict[tuple[Cards, tuple[Cards, ...]], None]:
        """All that can come of laying off."""
        found, new = {(hand, table): None}, [(hand, table)]
        while new:
            left, lies = new.pop()
            for card, grown in self.fitting(lies):
                one = (left - {card}, grown)
                if card in left and one not in found:
                    found[one] = None
                    new.append(one)
        return found

    def table(self, hand: Cards, rng: random.Random, count: int) -> tuple[Cards, ...]:
        """So many melds, as far as there are any, of cards that the hand does not hold."""
        table: list[Cards] = []
        for meld in rng.sample(sorted(self.sets | self.runs, key=sorted), len(self.sets | self.runs)):
            ranks = {min(one) % self.layout.ranks for one in table if one in self.sets}
            again = meld in self.sets and min(meld) % self.layout.ranks in ranks
            if len(table) < count and not again and not meld & hand.union(*table) and len(meld) < 5:
                table.append(meld)
        return tuple(table)

    def as_melds(self, table: tuple[Cards, ...]) -> Melds:
        sets = bits_of([card for meld in table if meld in self.sets for card in meld])
        return Melds(
            torch.tensor(sets), torch.tensor(bits_of([c for meld in table if meld in self.runs for c in meld]))
        )


@st.composite
def meldings(draw) -> Melding:
    suits, ranks, extra = draw(st.integers(1, 5)), draw(st.integers(1, 7)), draw(st.integers(0, 1))
    names = tuple("23456789A"[-ranks:]) if draw(st.booleans()) else tuple("A23456789"[:ranks])
    layout = Layout(suits, ranks, extra, tuple("abcde"[:suits]), names, ("x",) * extra)
    number = st.integers(0, 12) if draw(st.booleans()) else st.integers(0, 40).map(lambda n: n / 4)
    worth = draw(st.lists(number, min_size=layout.size, max_size=layout.size))
    return Melding(layout, worth, most=draw(st.integers(0, 11)), corner=draw(st.sampled_from(CORNERS)))


def check_arrangements(melding: Melding, rng: random.Random) -> None:
    scalar, layout = Scalar(melding), melding.layout
    hands = [frozenset(rng.sample(range(layout.size), min(layout.size, melding.most))) for _ in range(4)]
    bits = torch.tensor([bits_of(hand) for hand in hands])
    least, melds = melding.deadwood(bits), melding.arranged(bits)
    assert least.tolist() == [scalar.least(hand) for hand in hands]
    assert layout.total(bits & ~melds.cards, melding.worth).tolist() == least.tolist()
    assert (melds.cards & ~bits == 0).all() and (melds.sets & melds.runs == 0).all()
    for lane in range(len(hands)):
        sets, runs = Melds(*(part[lane] for part in melds))
        assert all(number == 0 or number >= 3 for number in layout.counts(sets).tolist())
        assert scalar.least(frozenset(c for c in range(layout.size) if int(runs) >> c & 1)) == 0 or not int(runs)
    assert torch.equal(melding.deadwood(bits.view(2, 1, 2)), least.view(2, 1, 2))
    cards = [rng.choices(range(-1, layout.size), k=3) for _ in hands]
    gone = [[scalar.least(hand - {card}) for card in row] for hand, row in zip(hands, cards, strict=True)]
    assert melding.without(bits, torch.tensor(cards)).tolist() == gone


def check_layoffs(melding: Melding, rng: random.Random) -> None:
    scalar, layout = Scalar(melding), melding.layout
    hand = frozenset(rng.sample(range(layout.size), min(layout.size // 2, melding.most)))
    table = scalar.table(hand, rng, rng.randint(0, 3))
    onto, bits = scalar.as_melds(table), torch.tensor(bits_of(hand))
    found = scalar.after(hand, table)
    assert melding.deadwood(bits, onto) == min(scalar.least(left) for left, _ in found)
    assert int(melding.layoffs(bits, onto)) == bits_of(set().union(*(hand - left for left, _ in found)))
    assert int(melding.fits(onto)) == bits_of({card for card, _ in scalar.fitting(table)})
    melds = melding.arranged(bits, onto)
    assert layout.total(bits & ~melds.cards, melding.worth) == melding.deadwood(bits, onto)
    assert onto.sets & ~melds.sets == 0 and onto.runs & ~melds.runs == 0 and melds.sets & melds.runs == 0
    left, _ = rng.choice(list(found))
    laid = melding.laid_off(torch.tensor(bits_of(hand - left)), onto)
    assert int(laid.cards) == bits_of((hand - left).union(*table))


any_of = given(meldings(), st.integers(0, 2**32).map(random.Random))
test_no_arrangement_leaves_less = settings(max_examples=30, deadline=None)(any_of(check_arrangements))
test_nothing_better_can_be_laid_off = settings(max_examples=30, deadline=None)(any_of(check_layoffs))


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_arrangements, check_layoffs])
def test_so_it_is_in_many(check: Callable[[Melding, random.Random], None]) -> None:
    settings(max_examples=1500, deadline=None)(any_of(check))()


def test_gin_hands_are_as_in_openspiel() -> None:
    pyspiel = pytest.importorskip("pyspiel")
    utils, melding, rng = pyspiel.gin_rummy.GinRummyUtils(13, 4, 10), Melding(GIN, WORTH), random.Random(3)
    hands = [rng.sample([card for card in range(52) if card % 13 < ranks], 10) for ranks in range(3, 14)] * 40
    hands = [rng.sample(hand, size) for hand, size in zip(hands, itertools.cycle(range(1, 11)), strict=False)]
    bits = torch.tensor([bits_of(hand) for hand in hands])
    assert melding.deadwood(bits).tolist() == [utils.min_deadwood(hand) for hand in hands]
    names = {frozenset(meld) for meld in utils.int_to_meld.values()}
    assert {frozenset(meld) for meld in melding.named().values()} == names and len(melding.named()) == 185


def test_known_hands() -> None:
    melding, cards = Melding(GIN, WORTH), ids("6♠ 7♠ 8♠ 6♣ 7♣ 8♣ 8♥ K♥")
    bits = torch.tensor(bits_of(cards))
    melds = melding.arranged(bits)
    assert melding.deadwood(bits) == 18 and int(melds.runs) == bits_of(ids("6♠ 7♠ 8♠ 6♣ 7♣ 8♣")) and not melds.sets
    onto = Melds(torch.tensor(bits_of(ids("K♠ K♣ K♦"))), torch.tensor(bits_of(ids("9♥ 10♥ J♥"))))
    assert melding.deadwood(bits, onto) == 0 and int(melding.layoffs(bits, onto)) == bits_of(ids("8♥ K♥"))
    assert int(melding.fits(onto)) == bits_of(ids("K♥ 8♥ Q♥"))
    far = torch.tensor(bits_of(ids("5♥ 6♥ 7♥ 8♥ 3♥ Q♥ K♥")))
    assert int(melding.layoffs(far, onto)) == bits_of(ids("5♥ 6♥ 7♥ 8♥ Q♥ K♥"))
    after = melding.laid_off(far & ~torch.tensor(bits_of(ids("3♥"))), onto)
    assert int(after.runs) == bits_of(ids("5♥ 6♥ 7♥ 8♥ 9♥ 10♥ J♥ Q♥ K♥")) and torch.equal(after.sets, onto.sets)


@pytest.mark.parametrize(("corner", "left"), [("closed", [1, 21, 13]), ("ace", [0, 0, 13]), ("open", [0, 0, 0])])
def test_what_lies_round_the_corner(corner: str, left: list[int]) -> None:
    hands = torch.tensor([bits_of(ids(hand)) for hand in ("A♠ J♠ Q♠ K♠", "Q♥ K♥ A♥", "K♦ A♦ 2♦")])
    melding = Melding(GIN, WORTH, corner=corner)
    assert melding.deadwood(hands).tolist() == left
    last = Melding(Layout(), [*range(2, 11), 10, 10, 10, 1] * 4, corner=corner)
    turned = (hands >> 1) & ~GIN.rank_bits(12) | (hands & GIN.rank_bits(0)) << 12
    closed = [0, 0, 13]  # the ace is the highest
    assert last.deadwood(turned).tolist() == (closed if corner == "closed" else left)
    onto = Melds(torch.tensor(0), torch.tensor(bits_of(ids("A♠ 2♠ 3♠"))))  # whose ace stays where it is
    left = {"closed": 20, "ace": 20, "open": 0}[corner]
    assert melding.deadwood(torch.tensor(bits_of(ids("Q♠ K♠"))), onto) == left
    assert len(melding.named(3)) == 65 + 4 * {"closed": 11, "ace": 12, "open": 13}[corner]


def ids(names: str) -> list[int]:
    """Cards of Gin: "5♠ J♥"."""
    cards = [f"{rank}{suit}" for suit in "♠♥♣♦" for rank in GIN.rank_names]
    return [cards.index(name) for name in names.split()]


def test_melds_are_named_for_what_actions_take() -> None:
    named = Melding(GIN, WORTH).named()
    assert named["7♠ 7♥ 7♣"] == (6, 19, 32) and named["3♥ 4♥ 5♥ 6♥"] == (15, 16, 17, 18)
    assert list(named)[:5] == ["A♠ A♥ A♣", "A♠ A♥ A♦", "A♠ A♣ A♦", "A♥ A♣ A♦", "A♠ A♥ A♣ A♦"]
    assert max(map(len, named.values())) == 5 and max(map(len, Melding(GIN, WORTH).named(13).values())) == 13


def test_hands_of_more_cards_have_more_ways_and_too_many_are_refused() -> None:
    rng = random.Random(4)
    for most in (7, 13, 17):
        melding = Melding(GIN, WORTH, most=most)
        hands = [frozenset(rng.sample([c for c in range(52) if c % 13 < 6], most)) for _ in range(3)]
        bits = torch.tensor([bits_of(hand) for hand in hands])
        assert melding.deadwood(bits).tolist() == [Scalar(melding).least(hand) for hand in hands]
    with pytest.raises(ValueError, match=r"of 20 cards sets are taken in 1\d,\d+ ways; there may be 4,096"):
        Melding(GIN, WORTH, most=20)


def test_what_makes_no_melds_is_refused_in_a_line() -> None:
    refused = {
        "worth has a number for each of 52 cards, got 3": {"worth": [1, 2, 3]},
        "cards are worth 0 or more, and less than": {"worth": [-1] * 52},
        "less than 67,108,864 in all": {"worth": [float("nan")] * 52},
        "corner must be closed, ace or open, got 'round'": {"corner": "round"},
        "most must be a number of cards, got 2.5": {"most": 2.5},
        "melds are of 1 to 16 ranks, got 21": {
            "layout": Layout(3, 21, rank_names=tuple(map(str, range(21)))),
            "worth": [1] * 63,
        },
        "melds are of 1 to 8 suits, got 9": {"layout": Layout(9, 4, suit_names=tuple("abcdefghi")), "worth": [1] * 36},
    }
    for message, wrong in refused.items():
        with pytest.raises(ValueError, match=message):
            Melding(**{"layout": GIN, "worth": WORTH} | wrong)


def test_equal_meldings_are_one_and_survive_pickling() -> None:
    melding = Melding(GIN, Table(WORTH))
    hand = torch.tensor([bits_of(ids("A♠ 2♠ 3♠ K♥"))])
    assert melding.deadwood(hand).tolist() == [10] and melding == Melding(GIN, WORTH)
    again = pickle.loads(pickle.dumps(melding))
    assert again == melding and hash(again) == hash(melding) and again.deadwood(hand).tolist() == [10]
    assert melding.deadwood(hand).dtype == torch.int64
    assert Melding(GIN, [n / 2 for n in WORTH]).deadwood(hand).dtype == torch.float32
    none = melding.arranged(hand[:0])
    assert none.sets.shape == none.runs.shape == (0,) and melding.deadwood(hand[:0]).shape == (0,)


# --- a game whose seats lay melds on the table ---


@dataclass(frozen=True)
class RummyState(HandState):
    layout, holds = GIN, {"pile": "sets", "top": "cards", "sets": "sets", "runs": "sets"}

    stock: torch.Tensor
    shown: torch.Tensor
    pile: torch.Tensor
    top: torch.Tensor
    drawn: torch.Tensor = starts(False)
    sets: torch.Tensor = starts(0)
    runs: torch.Tensor = starts(0)


class Rummy(HandGame):
    """Draw, lay melds and cards that fit on them, discard; who is out first gets what the other holds."""

    name, state_type, seats, cards, decisions = "rummy", RummyState, 2, 4, 14
    lowest, sum_of_scores = -30.0, 0.0
    deck = bits_of([13 * suit + rank for suit in range(4) for rank in (0, 1, 2)])

    def set_up(self):
        self.melding, self.highest = Melding(GIN, WORTH), 30.0
        melds = {f"lay {name}": cards for name, cards in self.melding.named().items() if max(c % 13 for c in cards) < 3}
        self.takes = melds | {f"add {card_name(GIN, card)}": (card,) for card in range(52)}
        self.others, self.first_added = ("draw", "take", *self.takes), 52 + 2 + len(melds)

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, stock=piles.draw(stock, 1)[1], pile=bit(stock[:, 0]), top=stock[:, 0])

    def legal_cards(self, state):
        return super().legal_cards(state) * state.drawn

    def legal_others(self, state):
        draws, fits = ~state.drawn & (state.stock[:, 0] >= 0), self.melding.fits(Melds(state.sets, state.runs))
        lays = state.drawn[:, None].expand(-1, self.first_added - 54)
        added = unpack(fits) & state.drawn[:, None]
        return torch.cat([draws[:, None], (~state.drawn & (state.top >= 0))[:, None], lays, added], -1)

    def over(self, state):
        return (self.held(state) == 0).any(-1) | (state.stock[:, 0] < 0) & (state.top < 0) & ~state.drawn

    def act(self, state, action, card):
        mover, discards, adds = state.to_move, action < 52, action >= self.first_added
        got, stock = piles.draw(state.stock, action == 52)
        known = torch.where(action == 53, bit(state.top.clamp(min=0)), 0)
        onto = self.melding.laid_down(card * ~(discards | adds), Melds(state.sets, state.runs))
        onto = self.melding.laid_off(card * adds, onto)
        return replace(
            state, stock=stock, hands=piles.joined(state.hands, mover, got), sets=onto.sets, runs=onto.runs,
            shown=piles.joined(state.shown, mover, known), pile=state.pile & ~known | card * discards,
            top=torch.where(discards, action, torch.where(known != 0, -1, state.top)).to(torch.int8),
            drawn=torch.where(discards, False, state.drawn | (action < 54)),
            to_move=torch.where(discards, 1 - mover, mover))  # fmt: skip

    def points(self, state):
        worth = GIN.total(self.held(state), WORTH).float() * (self.held(state) == 0).any(-1, keepdim=True)
        return worth.flip(-1) - worth


def test_a_game_of_melds_on_the_table_is_made_of_these() -> None:
    game = Rummy()
    state, scalar, met = game.deal(200, seed=1), Scalar(game.melding), set()
    for _ in range(game.decisions):
        state = game.step(state, random_action(game, state))
        for sets, runs in zip(state.sets.tolist(), state.runs.tolist(), strict=True):
            rows = [frozenset(c for c in range(52) if sets >> c & 1 and c % 13 == rank) for rank in range(13)]
            rows += [frozenset(c for c in range(52) if runs >> c & 1 and c // 13 == suit) for suit in range(4)]
            met |= {len(row) for row in rows}
            assert all(not row or row in scalar.sets | scalar.runs for row in rows) and sets & runs == 0
    assert met == {0, 3, 4} and game.scores(state).any()


@pytest.mark.slow
def test_that_game_keeps_the_contract() -> None:
    told = contract.check(Rummy(), pasts=6)
    assert len(told) == 1 and "games are ended by decisions=14" in told[0]  # those played at random

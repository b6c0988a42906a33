"""All deals of a game: each kind of game beside how often it deals what, and what cannot be listed."""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.card_tables import TableGame
from tests.helpers import chi_square_p
from tests.small_games import Draw, FiveSuits, FiveSuitsState, Small
from tests.small_games import Kuhn as SmallKuhn
from tests.small_hands import Raise
from vecgame import Blob, BlobMatch, Briscola, Game, Hidden, Kuhn, Leduc, Purpose, State, Stream, dealing, hidden
from vecgame.cards import Layout
from vecgame.dealing import future_of
from vecgame.philox import check_seed
from veclab.exact.deals import every_deal, fillings, later_deals, with_last_dealer
from vecmcts import random_action

ERROR_RATE = 1e-6  # of each test of a distribution that is right


class SmallBriscola(Briscola):
    """With queens, kings, threes and aces of two suits: three cards in each hand, one to draw, one turned up."""

    def set_up(self) -> None:
        super().set_up()
        self.deck = sum(0b1111 << 10 * suit + 6 for suit in range(2))
        self.tricks = 4


@dataclass(frozen=True)
class VulnerableState(FiveSuitsState):
    vulnerable: Tensor  # [B] int8
    price: Tensor  # [B] int8


class Vulnerable(FiveSuits):
    """Two numbers of its own are drawn, as docs/new-game.md says."""

    state_type = VulnerableState

    def chance(self):
        return {**super().chance(), "vulnerable": 3, "price": ("low", "fair", "high")}


GAMES = {
    "numbers of its own": Vulnerable(cards=1, players=2),
    "blob": Blob(cards=1, suits=2, ranks=2),
    "blob, two cards": Blob(cards=2, suits=2, ranks=2, players=2, trump="hearts"),
    "blob, trump and dealer go round": Blob(cards=1, suits=2, ranks=2, players=3, trump="rotate", dealer="rotate"),
    "blob, trump turned": Blob(cards=1, suits=1, ranks=5, trump="turned"),
    "blob, trump turned, all dealt": Blob(cards=1, suits=1, ranks=4, trump="turned"),
    "blob, bidder": Blob(cards=2, suits=2, ranks=3, players=2, trump="bidder"),
    "blob, 5 players": Blob(cards=1, suits=1, ranks=5, players=5, trump="none"),
    "kuhn": Kuhn(),
    "kuhn, 4 players": Kuhn(players=4),
    "leduc": Leduc(),
    "match": BlobMatch(cards=1, suits=1, ranks=3, players=2),
    "match, trump turned": BlobMatch(cards=2, suits=1, ranks=5, players=2, trump="turned"),
    "small kuhn": SmallKuhn(),
    "a stock": Draw(stock=2),
    "cards face up, some out of play": Draw(face_up=True, stock=1, out=1),
    "briscola": SmallBriscola(),
    "five suits, the dealer drawn": FiveSuits(cards=1, players=2),
}


def rows_of(game: Game, state: State) -> list[tuple]:
    """All fields but the games' numbers and what later games of a match are dealt from."""
    fields = [field for name, field in state.tensors().items() if name not in ("index", "future")]
    return list(map(tuple, torch.cat([field.reshape(len(field), -1).double() for field in fields], -1).tolist()))


@pytest.mark.parametrize("name", GAMES)
def test_a_game_deals_what_is_listed_as_often_as_it_is_listed(name: str) -> None:
    game = GAMES[name]
    listed = Counter(rows_of(game, every_deal(game)))
    total = sum(listed.values())
    often = -(-8 * total // 1) if total < 8000 else 6 * total
    dealt = Counter(rows_of(game, with_last_dealer(game).deal(often, seed=5)))
    assert set(dealt) <= set(listed)
    if len(listed) > 1:
        expected = [often * count / total for count in listed.values()]
        assert chi_square_p([dealt[row] for row in listed], expected) > ERROR_RATE


def test_all_dealers_are_listed_where_a_network_sees_which_seat_it_is() -> None:
    """It need not play as well after every dealer, so that the last seat's deals tell nothing of the others'."""
    game = Raise()
    deals = every_deal(game)
    assert with_last_dealer(game) == game and Counter(deals.dealer.tolist()) == dict.fromkeys(range(3), 6 * 5 * 4)
    assert (every_deal(Raise(dealer=1)).dealer == 1).all() and with_last_dealer(Blob(cards=1)) == Blob(
        cards=1, dealer=3
    )


def test_each_is_listed_once_and_the_dealer_is_the_last_seat() -> None:
    deals = every_deal(Blob(cards=1, suits=2, ranks=3, trump="spades"))
    assert deals.batch_size == 6 * 5 * 4 * 3 == len({tuple(hands) for hands in deals.hands.tolist()})
    assert (deals.dealer == 3).all() and deals.index.tolist() == list(range(360))
    assert every_deal(Blob(cards=2, suits=2, ranks=4, trump="none")).batch_size == 2520
    assert every_deal(Blob(cards=2, suits=2, ranks=4)).batch_size == 3 * 2520
    assert every_deal(Blob(cards=1, suits=1, ranks=6, trump="turned")).batch_size == 720
    assert every_deal(Leduc()).batch_size == 120
    assert every_deal(Blob(cards=1, players=2, trump="none")).batch_size == 52 * 51


def test_a_games_own_numbers_are_given_with_hands_too() -> None:
    game = Vulnerable(cards=1, players=2)
    state = game.from_hands(torch.tensor([[[3], [7]]] * 2), vulnerable=torch.tensor([3, 0]), price=1)
    assert state.vulnerable.tolist() == [3, 0] and state.price.tolist() == [1, 1]
    with pytest.raises(ValueError, match="vulnerable must be from 0 to 3, got 4"):
        game.from_hands(torch.tensor([[[3], [7]]]), vulnerable=4)


def test_fillings_are_all_and_different() -> None:
    filled = fillings([(1,), (0, 4), (2, 3, 5)])
    assert len(filled) == math.factorial(6) // (2 * 6) == len(filled.unique(dim=0))
    assert (filled.sort(-1).values == torch.arange(6)).all()
    assert ((filled[:, 0] < filled[:, 4]) & (filled[:, 2] < filled[:, 3]) & (filled[:, 3] < filled[:, 5])).all()


def test_a_later_game_of_a_match_deals_what_is_listed() -> None:
    """One card and then two, of six, with a card turned up for trump."""
    game = BlobMatch(cards=2, suits=2, ranks=3, players=2, trump="turned", schedule="up-down", dealer=0)
    before = game.deal(4000, seed=2)
    for _ in range(3):
        before = game.step(before, random_action(game, before, torch.rand(4000)))
    action = game.legal_actions(before)[:, 0]
    after = game.step(before, action)
    assert (after.number == 1).all()
    some = torch.arange(3)
    states, origin, chance = later_deals(game, before[some], action[some], after[some], most=10**6)
    assert origin.tolist() == some.repeat_interleave(180).tolist() and torch.allclose(chance * 180, chance * 0 + 1)
    assert torch.equal(states.totals, after.totals[origin])

    def cards(state: State) -> list[tuple]:
        return list(map(tuple, torch.cat([state.hands, state.seen[:, None], state.trump[:, None]], -1).tolist()))

    listed, dealt = Counter(cards(states[:180])), Counter(cards(after))
    assert len(listed) == 180 and set(dealt) <= set(listed)
    assert chi_square_p([dealt[row] for row in listed], [4000 / 180] * 180) > ERROR_RATE


@dataclass(frozen=True)
class FlagState(State):
    hands: Tensor  # [B, 2] int64
    flag: Tensor  # [B] bool
    made: Tensor  # [B] int64


class Seldom(Small):
    """A card each of ten; a flag that depends on the order of two others, where the first hand has the lowest card."""

    name, layout = "seldom", Layout(suits=1, ranks=10)
    deck = layout.bits

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        order = dealing.shuffled(stream, self.deck, 10)
        flag = (order[:, 0] == 0) & (order[:, 1] == 1) & (order[:, 2] < order[:, 3])
        return FlagState(stream.game, 1 << order[:, :2], flag, stream.game * 0)

    mover = legal_mask = step = is_terminal = points = None


class Tossed(Seldom):
    """A flag that no integer and no order gives."""

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        state = super().deal(batch_size, stream)
        return replace(state, flag=stream.uniform(Purpose.TRUMP, 1)[:, 0] < 0.3)


class TwoBounds(Seldom):
    """Makes two integers of different ranges of one random number."""

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        two, three = (stream.integers(Purpose.TRUMP, bound) for bound in (2, 3))
        return replace(super().deal(batch_size, stream), flag=two == three)


class OwnStream(Seldom):
    """Deals by a stream that it makes of the seed itself."""

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        index = torch.arange(first_index, first_index + batch_size)
        order = dealing.shuffled(Stream(check_seed(seed), index, 0 * index), self.deck, 10)
        return FlagState(index, 1 << order[:, :2], order[:, 0] == 0, 0 * index)


@dataclass(frozen=True)
class FutureState(FlagState):
    shuffle: Tensor  # [B] int64, by which the cards are shuffled in mid-game


class Reshuffled(Seldom):
    """Shuffles again later, by a hidden number that it draws as matches do."""

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        return FutureState(**super().deal(batch_size, stream).tensors(), shuffle=future_of(stream))

    def hidden(self, state):
        nobody = hidden.nobody(state.shuffle, 2)
        return {**super().hidden(state), "shuffle": Hidden(nobody, holds="number")}

    def mover(self, state):
        return state.made


@dataclass(frozen=True)
class RanksRules:
    ranks: int = 7


class Unchecked(Seldom):
    """Three cards in each hand, which a deck of fewer cards cannot give: the deal fails by an error of torch's."""

    rules_type = RanksRules

    def __init__(self, rules=None, **changes):
        super().__init__(rules, **changes)
        self.layout, self.decisions = Layout(suits=2, ranks=self.rules.ranks), self.rules.ranks
        self.deck = self.layout.bits

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        order = dealing.shuffled(stream, self.deck, self.layout.size)
        hands = (1 << order[:, :6]).view(batch_size, 2, 3).sum(-1)
        return FlagState(stream.game, hands * order[:, 6:7], order[:, 7] > order[:, 8], stream.game * 0)


def test_what_depends_on_the_order_of_two_cards_seldom_is_found() -> None:
    listed = Counter(rows_of(Seldom(), every_deal(Seldom())))
    total = sum(listed.values())
    orders = Counter()
    for order in itertools.permutations(range(10), 4):
        orders[
            (*(float(1 << card) for card in order[:2]), float(order[:2] == (0, 1) and order[2] < order[3]), 0.0)
        ] += 1
    assert {row: count / total for row, count in listed.items()} == {row: n / 5040 for row, n in orders.items()}


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (TableGame(3, 2), "cannot be listed: the hidden number secret, by which chance comes in mid-game, may be any"),
        (TwoBounds(), "cannot be listed: one random number is asked for with two bounds"),
        (OwnStream(), "cannot be listed: they take random numbers from elsewhere than"),
        (Tossed(), "they take other random numbers than"),
        (Reshuffled(), r"cannot be listed: the hidden number shuffle, by which chance"),
        (Unchecked(), "is too large to enumerate: .*; make smaller: ranks "),
        (Blob(), r"Blob\(cards=5\) is too large to enumerate: .* deals, .*cards \(5\), suits \(4\), ranks \(13\)"),
        (Briscola(), "its rules offer none that is small enough"),
    ],
)
def test_what_cannot_be_listed_says_so_in_one_line(game: Game, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        every_deal(game)
    assert "\n" not in str(caught.value)

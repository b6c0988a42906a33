"""What is larger than in the package's games: more actions than 16 bits number, hidden fields of hundreds of entries,
playouts of more than 256 decisions."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from vecgame import HandGame, HandState, Hidden, Stream, piles, starts
from vecmcts import Past, PlayoutEvaluator, SearchConfig, search
from vecmcts.evaluators import play_out
from vecmcts.tree import action_type

ACTIONS, WINS, LOSES = 40_000, 39_000, 10
ENTRIES, SIDES = 200, 6


@dataclass(frozen=True)
class SaidState(HandState):
    """The number that each seat has said."""

    said: Tensor = starts(0, "seats")  # [B, P] int64


class Sayings(HandGame):
    """Each says one of two numbers, of which the larger wins."""

    name, state_type, plays_cards = "sayings", SaidState, False
    others = tuple(f"say {number}" for number in range(ACTIONS))
    decisions = seats = max_legal = 2
    cards, lowest, highest = 1, 0.0, 1.0

    def legal_others(self, state):
        number = torch.arange(ACTIONS)
        return ((number == WINS) | (number == LOSES)).expand(len(state), -1)

    def act(self, state, action, card):
        return replace(state, said=piles.changed(state.said, state.to_move, action), to_move=1 - state.to_move)

    def points(self, state):
        return (state.said == WINS).float()


def test_actions_beyond_16_bits_are_searched_and_remembered() -> None:
    game = Sayings()
    state = game.deal(3)
    found = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=2, simulations=12), seed=1)
    assert found.policy.argmax(-1).tolist() == [WINS] * 3
    assert (found.q[:, WINS] == 1).all() and (found.q[:, LOSES] == 0).all()
    past = Past.none(game, 3).then(state, torch.tensor([WINS, LOSES, ACTIONS - 1]))
    assert past.actions[:, 0].tolist() == [WINS, LOSES, ACTIONS - 1]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(128, torch.int8), (129, torch.int16), (32_768, torch.int16), (32_769, torch.int32), (ACTIONS, torch.int32)],
)
def test_a_type_has_all_actions(number: int, kind: torch.dtype) -> None:
    game = Sayings()
    game.num_actions = number
    assert action_type(game) == kind and torch.tensor([number - 1, -1]).to(kind).tolist() == [number - 1, -1]


@dataclass(frozen=True)
class BoardState(HandState):
    """Two boards of each seat, which it alone sees."""

    one: Tensor = starts(0, "seats", ENTRIES)  # [B, P, entries] int64
    two: Tensor = starts(0, "seats", ENTRIES)


class Boards(HandGame):
    """Nothing but hidden numbers."""

    name, state_type, plays_cards, others = "boards", BoardState, False, ("wait", "go")
    seats, cards, decisions, lowest, highest = 3, 1, 4, 0.0, 1.0

    def act(self, state, action, card):
        return replace(state, to_move=(state.to_move + 1) % 3)

    def points(self, state):
        return torch.zeros_like(state.hands).float()

    def hidden(self, state):
        even = torch.ones(*state.one.shape, SIDES)
        boards = {name: Hidden("own", "number", weights=even) for name in ("one", "two")}
        return super().hidden(state) | boards


def test_no_two_hidden_numbers_are_drawn_by_the_same_random_ones() -> None:
    """In 600 worlds two independent entries are alike in a sixth, and in 0.35 with a probability of 1e-28 a pair."""
    game = Boards()
    drawn = game.determinize(game.deal(1), 600, seed=1)
    entries = torch.cat([drawn.one[:, 1:].flatten(1), drawn.two[:, 1:].flatten(1)], 1)
    marked = torch.nn.functional.one_hot(entries, SIDES).float()
    alike = torch.einsum("w i k, w j k -> i j", marked, marked) / len(entries)
    assert alike.fill_diagonal_(0).max() < 0.35


@dataclass(frozen=True)
class CoinState(HandState):
    """What was done first, and what at decision 256."""

    first: Tensor = starts(0)  # [B] int64
    late: Tensor = starts(0)  # [B] int64


class Coins(HandGame):
    """Each names a side, three hundred times or more."""

    name, state_type, plays_cards, others = "coins", CoinState, False, ("heads", "tails")
    seats, cards, lowest, highest = 2, 1, 0.0, 3.0
    decisions = 300

    def act(self, state, action, card):
        first = torch.where(state.made == 0, action, state.first)
        late = torch.where(state.made == 256, action, state.late)
        return replace(state, to_move=1 - state.to_move, first=first, late=late)

    def points(self, state):
        return (state.first + 2 * state.late)[:, None].expand(-1, 2).float()


def test_playouts_of_long_games_have_random_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    game, ends = Coins(), []

    def watched(game: Coins, state: CoinState, stream: Stream) -> Tensor:
        ends.append(play_out(game, state, stream))
        return ends[-1]

    monkeypatch.setattr("vecmcts.evaluators.play_out", watched)
    state = game.deal(2000)
    stream = Stream(1, state.index, game.turn(state))
    PlayoutEvaluator(2).evaluate(game, state, stream)
    first, second = ((3 * values[:, 0]).round().long() for values in ends)
    alike = (first // 2 == second % 2).float().mean()
    assert 0.44 < alike < 0.56  # five standard deviations


def test_more_playouts_than_there_are_random_numbers_for_are_refused() -> None:
    game = Coins()
    game.decisions = 1 << 15
    state = game.deal(1)
    stream = Stream(1, state.index, game.turn(state))
    with pytest.raises(ValueError, match=r"^playouts must be from 1 to 2 in a game of up to 32,768 decisions$"):
        PlayoutEvaluator(3).evaluate(game, state, stream)


class Broad(Boards):
    """Says for all entries of a board at once how likely each number is."""

    def hidden(self, state):
        told = Hidden("own", "number", weights=torch.tensor([1.0, 0, 0, 3, 0, 0]))
        return super().hidden(state) | {"one": told}


class Misshapen(Boards):
    """Has weights for one board of fewer seats."""

    def hidden(self, state):
        return super().hidden(state) | {"one": Hidden("own", "number", weights=torch.ones(2, ENTRIES, SIDES))}


def test_weights_may_be_for_all_entries_at_once() -> None:
    game = Broad()
    drawn = game.determinize(game.deal(2), 40, seed=1)
    others = drawn.one[:, 1:]
    assert others.unique().tolist() == [0, 3] and 0.7 < (others == 3).double().mean() < 0.8
    assert (drawn.one[:, 0] == game.deal(2).one[:1, 0]).all()  # its own
    with pytest.raises(ValueError, match=r"^weights of one are \[2, 200, 6\], where they are \[2, 3, 200, 6\]$"):
        Misshapen().determinize(Misshapen().deal(1), 2)

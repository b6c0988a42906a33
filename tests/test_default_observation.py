"""What a game that writes no `observe` tells of a state: all that a seat sees of it, and nothing else."""

from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from net import InferenceNet, NetConfig
from tests.crazy_eights import CrazyEights
from tests.every_game import BLOB, OTHERS, Named
from tests.small_games import Count, Draw, Small
from tests.small_games import Kuhn as SmallKuhn
from tests.test_search_sync import assert_no_wait
from vecgame import Game, Hidden, Kuhn, Layout, Leduc, State, concatenate, contract
from vecgame.contract.rules import every_decision
from vecgame.contract.worlds import hidden_cards_are_hidden
from vecgame.hidden import nobody, own
from veclab.arena.bots import NetworkPlayer, RandomBot
from veclab.arena.matches import play_match
from veclab.exact import sight
from veclab.exact.deals import every_deal
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.learner import Learner

CPU = torch.device("cpu")
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=32, policy_hidden=16, value_hidden=16)


def by_default(game: Game) -> Game:
    """The game without an `observe` of its own."""
    plain = copy(game)
    vars(plain)["observe"] = partial(Game.observe, plain)
    vars(plain)["features"] = plain.observe(plain.deal(1)).shape[1]
    return plain


@pytest.mark.parametrize("named", [*OTHERS, *BLOB[-6:]], ids=str)
def test_no_game_tells_what_is_hidden(named: Named) -> None:
    game = by_default(named.make())
    every_decision(game)
    hidden_cards_are_hidden(game)


def every_state(game: Game) -> State:
    """All positions of a game, those to which no deal leads left out."""
    states = [every_deal(game)]
    for _ in range(game.decisions):
        now = states[-1]
        lanes, actions = (game.legal_mask(now) & ~game.is_terminal(now)[:, None]).nonzero(as_tuple=True)
        states.append(game.step(now[lanes], actions))
    return concatenate(states)


LISTED = [SmallKuhn(), Kuhn(), Kuhn(players=3), Leduc(), Draw(stock=1), Draw(face_up=True, stock=1), Count()]


@pytest.mark.parametrize("game", LISTED, ids=lambda game: type(game).__name__)
def test_two_views_are_equal_where_the_same_is_seen(game: Game) -> None:
    """In every position of a small game, against what `veclab.exact.sight` has best responses know."""
    state = every_state(game)
    assert_same_partition(game, state)


def test_two_views_are_equal_where_the_same_is_seen_after_cards_were_shuffled_again() -> None:
    game = CrazyEights(players=2, cards=2, suits=2, ranks=4, decisions=12)
    assert_same_partition(game, concatenate(list(contract.positions(game, 2000))))


def assert_same_partition(game: Game, state: State) -> None:
    seen = sight.look(game, state, sight.beginning(state, game.seats))
    for seat in range(game.seats):
        views = Game.observe(game, state, torch.full_like(state.index, seat)).unique(dim=0, return_inverse=True)[1]
        known = seen[:, seat].unique(dim=0, return_inverse=True)[1]
        pairs = torch.stack([views, known]).unique(dim=1).shape[1]
        assert pairs == views.max() + 1 == known.max() + 1


@dataclass(frozen=True)
class TableState(State):
    holds: ClassVar = {"top": "cards", "suit": "suits", "dealer": "seats", "bids": ("low", "high")}

    hands: Tensor  # [B, 3] int64, which their owners see
    stock: Tensor  # [B, 10] int8, of which all see the second
    coin: Tensor  # [B] int64, which nobody sees
    bids: Tensor  # [B, 3] int8, which their owners see
    top: Tensor  # [B] int8
    suit: Tensor  # [B] int8
    dealer: Tensor  # [B] int8
    won: Tensor  # [B, 3] int8
    over: Tensor  # [B] bool


class Table(Small):
    """A state with a field of each kind."""

    seats, layout = 3, Layout(suits=2, ranks=2)
    deck = layout.bits
    legal_mask = step = is_terminal = points = None

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        return TableState(
            index=torch.tensor([5]),
            hands=torch.tensor([[0b0001, 0b0110, 0]]),
            stock=torch.tensor([[-1, 3, *[-1] * 8]]).to(torch.int8),
            coin=torch.tensor([77]),
            bids=torch.tensor([[0, 1, -1]]).to(torch.int8),
            top=torch.tensor([2]).to(torch.int8),
            suit=torch.tensor([2]).to(torch.int8),
            dealer=torch.tensor([0]).to(torch.int8),
            won=torch.tensor([[0, 8, -1]]).to(torch.int8),
            over=torch.tensor([True]),
        )

    def mover(self, state):
        return torch.full_like(state.index, 2)

    def hidden(self, state):
        owner, second = own(3, state.batch_size, state.device), torch.arange(10) == 1
        return {
            "hands": Hidden(owner),
            "stock": Hidden(second.expand(state.batch_size, 3, -1), holds="cards"),
            "coin": Hidden(nobody(state.coin, 3), holds="number"),
            "bids": Hidden(owner, holds="number"),
        }


def test_columns_of_a_state_made_by_hand() -> None:
    """Seat 1 looks: so its own entries come first, then those of seats 2 and 0."""
    game = Table()
    assert [told for _, told in game.columns()] == [
        "the viewer's seat",
        "to move, the viewer first",
        "hands: how many cards, the viewer's first",
        "hands: cards, the viewer's first, if seen",
        "stock: which places hold a card",
        "stock: cards, 1 in the first place and less in later ones, if seen",
        "coin: which entries are seen",
        "coin: numbers x as x / (s + |x|), s = 1, 8, 64, if seen",
        "bids: which entries are seen, the viewer's first",
        "bids: low, high, the viewer's first, if seen",
        "top: the card in each place",
        "suit: suits, and none",
        "dealer: seats, the viewer first",
        "won: numbers x as x / (s + |x|), s = 1, 8, 64, the viewer's first",
        "over: whether it is so",
    ]
    expected = [
        [0, 1, 0],
        [0, 1, 0],
        [2 / 3, 2 / 10, 2 / 66, 0, 0, 0, 1 / 2, 1 / 9, 1 / 65],
        [0, 1, 1, 0, *[0] * 4, *[0] * 4],
        [0, 1, *[0] * 8],
        [0, 0, 0, 0.9],
        [0],
        [0, 0, 0],
        [1, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1],
        [0, 0, 1],
        [8 / 9, 8 / 16, 8 / 72, -1 / 2, -1 / 9, -1 / 65, 0, 0, 0],
        [1],
    ]
    assert [count for count, _ in game.columns()] == [len(block) for block in expected]
    row = torch.tensor([number for block in expected for number in block])
    assert torch.equal(game.observe(game.deal(1), torch.tensor([1]))[0], row) and game.features == len(row)


def test_numbers_of_any_size_are_told_apart() -> None:
    game, numbers = Count(), torch.tensor([*range(30_000), 10**6, 2 * 10**6, 2**62])
    state = replace(game.deal(len(numbers)), made=numbers)
    for rows in (game.observe(state), game.observe(replace(state, made=-numbers))):
        assert len(rows.unique(dim=0)) == len(numbers) and rows.abs().max() <= 1


class OwnColumns(SmallKuhn):
    """Adds to what is told by default, and does not count it."""

    def observe(self, state, seat=None):
        """What is told by default, and 1."""
        return torch.cat([super().observe(state, seat), torch.ones(state.batch_size, 1)], -1)


def test_columns_are_counted_whoever_makes_them() -> None:
    game = OwnColumns()
    assert game.features == SmallKuhn().features + 1
    assert game.columns() == [(game.features, "What is told by default, and 1.")]
    assert contract.check(game) == ()


def test_no_host_waits(monkeypatch) -> None:
    game = CrazyEights()
    assert_no_wait(
        game.deal(4), lambda there: game.observe(there, torch.arange(4, device=there.device) % 3), monkeypatch
    )


@pytest.mark.gpu
def test_a_gpu_tells_the_same() -> None:
    game = CrazyEights()
    state = contract.mixed_positions(game, 60)
    there = game.observe(state.to("cuda"))
    torch.testing.assert_close(there.cpu(), game.observe(state), rtol=0, atol=1e-6)  # a GPU divides by multiplying


def test_policy_gradient_learns_from_it() -> None:
    torch.manual_seed(0)
    game = CrazyEights(cards=3, decisions=40)
    config = replace(SMALL, observation=game.features, actions=game.num_actions, values=game.seats)
    learner = Learner(Settings(learning_rate=2e-3), config, CPU)
    for number in range(6):
        network = InferenceNet(learner.net, dtype=torch.float32)
        rollout = policy_gradient.play(game, network, 128, 0, 128 * number, CPU)
        policy_gradient.update(learner, rollout, 0.01, number)
    player = NetworkPlayer(InferenceNet(learner.net, dtype=torch.float32))
    match = play_match([game], player, RandomBot(), 60, seed=1)
    assert match.significant and match.player.mean > 0

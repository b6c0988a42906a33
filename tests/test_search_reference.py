"""The batched search against the scalar reference: the same visits and values, tree for tree."""

import math

import pytest
import torch

from tests.helpers import to_reference
from tests.positions import HashEvaluator, hash_reference, mixed_batch
from vecgame import Blob, Stream
from vecgame.philox import dirichlet
from veclab.reference import mcts
from vecmcts import SearchConfig, search
from vecmcts.selection import improved_policy


def compare(game: Blob, games: int, config: SearchConfig, seed: int) -> int:
    """Searches a mixed batch both ways; returns how many lanes had a choice."""
    state = mixed_batch(game, games, seed)
    result = search(game, state, HashEvaluator(), config, seed)
    worlds = game.determinize(state, config.worlds, seed)
    legal = game.legal_mask(state)
    actions = game.legal_actions(state)
    stream = Stream.of_worlds(seed, state.index, game.turn(state), 1)
    noise = dirichlet(stream, actions >= 0, config.noise_alpha)
    scalar = mcts.SearchConfig(config.simulations, config.c_puct, config.leaves_per_step)
    evaluations = 0
    for lane in range(games):
        expected = mcts.search_worlds(
            to_reference(game, state, lane)[0],
            [to_reference(game, worlds, lane * config.worlds + world)[1] for world in range(config.worlds)],
            hash_reference,
            scalar,
            {int(a): float(n) for a, n in zip(actions[lane], noise[lane], strict=True) if a >= 0},
            config.noise_fraction,
        )
        evaluations += expected.evaluations
        options = legal[lane].nonzero()[:, 0].tolist()
        assert {a: int(result.visits[lane, a]) for a in options} == expected.visits
        assert result.visits[lane].sum() == config.worlds * config.simulations
        assert result.value[lane].tolist() == pytest.approx(expected.value, abs=1e-12)
        mover = int(game.mover(state)[lane])
        improved = mcts.improved_policy(
            expected.prior, expected.visits, expected.totals, expected.root_value[mover], config.c_visit, config.c_scale
        )
        for a in options:
            assert float(result.prior[lane, a]) == pytest.approx(expected.prior[a], abs=1e-12)
            assert float(result.policy[lane, a]) == pytest.approx(improved[a], abs=1e-9)
            if expected.visits[a]:
                assert float(result.q[lane, a]) == pytest.approx(expected.totals[a] / expected.visits[a], abs=1e-12)
            else:
                assert result.q[lane, a].isnan()
        for name in ("visits", "policy", "prior"):
            assert (getattr(result, name)[lane][~legal[lane]] == 0).all()
    assert int(result.evaluations) == evaluations
    return int((actions[:, 1] >= 0).sum())


@pytest.mark.parametrize("cards", range(1, 14))
def test_single_trees(cards: int) -> None:
    """One world, so that every tree stands for itself; all decisions of a game and all trumps in one batch."""
    choices = compare(Blob(cards=cards), 16, SearchConfig(worlds=1, simulations=40), seed=cards)
    assert choices >= 5


@pytest.mark.parametrize("cards", [1, 3, 5, 9])
@pytest.mark.parametrize("leaves", [4, 64])
def test_virtual_loss(cards: int, leaves: int) -> None:
    """Several leaves a step, and more of them than simulations."""
    compare(Blob(cards=cards), 16, SearchConfig(worlds=2, simulations=30, leaves_per_step=leaves), seed=leaves)


@pytest.mark.parametrize("cards", [2, 5, 13])
def test_worlds_are_summed(cards: int) -> None:
    compare(Blob(cards=cards), 12, SearchConfig(worlds=3, simulations=30), seed=5)


@pytest.mark.parametrize("cards", [1, 5])
def test_root_noise(cards: int) -> None:
    config = SearchConfig(worlds=2, simulations=30, noise_fraction=0.4, noise_alpha=0.5, c_puct=2.0, c_scale=1.0)
    compare(Blob(cards=cards), 16, config, seed=6)


def test_deep_trees() -> None:
    compare(Blob(cards=4), 8, SearchConfig(worlds=1, simulations=250, c_puct=0.2), seed=7)


@pytest.mark.parametrize(
    "changes",
    [
        {"hook": False},
        {"suits": 3, "ranks": 6, "cards": 4},
        {"miss_points_per_trick": 1.0},
        {"miss_penalty": 1.0},
    ],
)
def test_other_rules(changes: dict[str, object]) -> None:
    compare(Blob(**{"cards": 4, **changes}), 12, SearchConfig(worlds=2, simulations=40), seed=8)


@pytest.mark.slow
@pytest.mark.parametrize("cards", range(1, 14))
def test_many_trees(cards: int) -> None:
    for seed in range(100, 104):
        compare(Blob(cards=cards), 48, SearchConfig(worlds=3, simulations=100, leaves_per_step=1 + seed % 3), seed)


def test_leaves_of_the_batch_are_played_on_as_the_reference_does() -> None:
    """The evaluator is never asked about a position with one legal action, or about a finished game."""
    game = Blob(cards=3)
    state = mixed_batch(game, 40, seed=9)
    asked: list[torch.Tensor] = []

    class Watching(HashEvaluator):
        def evaluate(self, game, state, stream):
            asked.append(torch.stack([(game.legal_mask(state).sum(-1) > 1), ~game.is_terminal(state)]))
            return super().evaluate(game, state, stream)

    search(game, state, Watching(), SearchConfig(worlds=2, simulations=20), seed=9)
    assert torch.cat(asked[1:], dim=1).all()  # the first call is for the roots, which are taken as they are


@pytest.mark.parametrize("trusted", [0.0, 20.0, 100.0, 1e6])
def test_trust_in_q_is_bounded(trusted: float) -> None:
    """The improved policy of roots that were visited far more often than that, as the reference has it."""
    random = torch.Generator().manual_seed(1)
    log_prior = torch.randn(20, 4, generator=random, dtype=torch.float64).log_softmax(-1)
    visits = torch.randint(0, 400, (20, 4), generator=random).double()
    value_sum = visits * torch.rand(20, 4, generator=random, dtype=torch.float64)
    config = SearchConfig(trusted_visits=trusted)
    ours = improved_policy(log_prior, visits, value_sum, torch.full((20,), 0.4).double(), config)
    for row in range(20):
        prior, n, w = (dict(enumerate(x[row].tolist())) for x in (log_prior.exp(), visits, value_sum))
        theirs = mcts.improved_policy(prior, n, w, 0.4, trusted_visits=trusted)
        assert ours[row].tolist() == pytest.approx(list(theirs.values()), abs=1e-9)
    sharpest = mcts.improved_policy({0: 0.5, 1: 0.5}, {0: 900, 1: 900}, {0: 90.0, 1: 0.0}, 0.4)
    assert sharpest[0] == pytest.approx(1 / (1 + math.exp(-0.2 * 150 * 0.1)))

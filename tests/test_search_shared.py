"""PUCT over the sums of all worlds at the root: against the scalar reference, and what it is for."""

import functools
from types import SimpleNamespace

import pytest
import torch

from tests.helpers import to_reference
from tests.micro_games import Flat, MicroGame
from tests.positions import HashEvaluator, mixed_batch
from tests.test_search_evaluators import OpenEvaluator, open_reference
from tests.test_search_lanes import EVALUATORS, assert_lanes_are_independent, assert_same
from tests.test_search_sync import positions, search_twice
from vecgame import Blob, lanes
from vecgame.philox import Stream, dirichlet
from veclab.reference import mcts, roots
from veclab.settings import Settings
from vecmcts import SearchConfig, best_action, search
from vecmcts.root import SharedStatistics

SHARED = functools.partial(SearchConfig, root_selection="shared")


@pytest.mark.parametrize("cards", [1, 2, 5, 13])
@pytest.mark.parametrize(("worlds", "simulations", "noise"), [(1, 40, 0.0), (3, 10, 0.0), (4, 20, 0.25), (7, 3, 0.0)])
def test_the_scalar_reference_makes_the_same_visits(cards: int, worlds: int, simulations: int, noise: float) -> None:
    game = Blob(cards=cards)
    state = mixed_batch(game, 12, seed=cards)
    config = SHARED(worlds=worlds, simulations=simulations, noise_fraction=noise)
    result = search(game, state, OpenEvaluator(logits=True), config, seed=4)  # worlds of different priors and values
    drawn = game.determinize(state, worlds, 4)
    actions = game.legal_actions(state)
    stream = Stream.of_worlds(4, state.index, game.turn(state), worlds)
    numbers = dirichlet(stream.take(torch.arange(12) * worlds), actions >= 0, config.noise_alpha)
    evaluations = 0
    for lane in range(state.batch_size):
        options = [a for a in actions[lane].tolist() if a >= 0]
        expected = roots.search_sharing_worlds(
            to_reference(game, state, lane)[0],
            [to_reference(game, drawn, lane * worlds + world)[1] for world in range(worlds)],
            open_reference(logits=True),
            mcts.SearchConfig(simulations, config.c_puct),
            dict(zip(options, numbers[lane].tolist(), strict=False)),
            noise,
        )
        evaluations += expected.evaluations
        assert {a: int(result.visits[lane, a]) for a in options} == expected.visits
        assert result.value[lane].tolist() == pytest.approx(expected.value, abs=1e-12)
    assert int(result.evaluations) == evaluations


@pytest.mark.parametrize("leaves", [1, 4])
def test_one_world_shares_with_nobody(leaves: int) -> None:
    game = Blob(cards=5)
    state = mixed_batch(game, 20, seed=3)
    config = SearchConfig(worlds=1, simulations=30, leaves_per_step=leaves, noise_fraction=0.25)
    shared = SHARED(worlds=1, simulations=30, leaves_per_step=leaves, noise_fraction=0.25)
    ours, theirs = (search(game, state, HashEvaluator(), one, seed=1) for one in (shared, config))
    assert_same(ours, theirs, atol=1e-12)


def test_all_worlds_together_try_more() -> None:
    """Four actions and one simulation in each of twelve worlds: alone, every world tries the one it likes best."""
    game = MicroGame([0], [list(range(4))], lambda moves: (3 - moves[:, :1]).expand(-1, 4) / 3)
    state = game.new(2)
    alone = search(game, state, Flat(), SearchConfig(worlds=12, simulations=1), seed=0)
    together = search(game, state, Flat(), SHARED(worlds=12, simulations=1), seed=0)
    assert ((alone.visits > 0).sum(-1) == 1).all() and (alone.visits.sum(-1) == 12).all()
    assert ((together.visits > 0).sum(-1) >= 3).all() and (together.visits.sum(-1) == 12).all()


def test_the_prior_is_the_mean_of_the_worlds() -> None:
    """0.3, 0.4, 0.3: no world likes the second action best, and it is the first to be tried; after it the first one."""
    prior, nothing = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.4, 0.6]]), torch.zeros(1, 3)
    tree = SimpleNamespace(prior=prior, slots=3, rows=lambda node: slice(0, 2), root_sums=lambda w: (nothing, nothing))
    assert SharedStatistics(torch.tensor([0.5]), SHARED(worlds=2))(tree, 1).tolist() == [1, 0]


CONFIG = SHARED(worlds=3, simulations=10, noise_fraction=0.2)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
def test_lanes_are_independent(evaluator, monkeypatch) -> None:
    assert_lanes_are_independent(evaluator, CONFIG, monkeypatch)


@pytest.mark.parametrize("merged", [False, True])
def test_finished_games_get_no_visits(merged: bool) -> None:
    game = Blob(cards=5)
    state = positions(game)
    result = search(game, state, HashEvaluator(), SHARED(worlds=2, simulations=8, merge_equivalent=merged), seed=1)
    assert (result.visits[~game.is_terminal(state)].sum(-1) == 16).all()
    assert (result.visits[game.is_terminal(state)] == 0).all()
    assert best_action(game, state, result.policy, result.visits, CONFIG, 0).equal(result.policy.argmax(-1))


def test_no_operation_waits(monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    search_twice(Blob(cards=5), positions(Blob(cards=5)), HashEvaluator(), CONFIG)


def test_settings_of_a_run() -> None:
    settings = Settings(root_selection="shared")
    training, match = settings.search(self_play=True), settings.search()
    assert (training.root_selection, training.noise_fraction) == ("shared", settings.noise_fraction)
    assert (match.root_selection, match.noise_fraction) == ("shared", 0.0)

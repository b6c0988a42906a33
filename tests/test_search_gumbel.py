"""Sequential Halving with Gumbel at the root: against the scalar reference, mctx and what is known of it."""

import functools
import itertools
import math

import pytest
import torch

from tests.helpers import chi_square_p, to_reference
from tests.micro_games import Flat, MicroGame
from tests.positions import HashEvaluator, hash_reference, mixed_batch
from tests.test_search_golden import COMPILE_LITTLE, MASKED, HashGame, Judge, mctx_game, unvisited_take_the_node_value
from tests.test_search_lanes import EVALUATORS, assert_lanes_are_independent
from tests.test_search_sync import positions, search_twice
from vecgame import Blob, lanes
from veclab.reference import mcts, roots
from veclab.settings import Settings
from vecmcts import SearchConfig, best_action, search
from vecmcts.root import gumbel, schedule

GUMBEL = functools.partial(SearchConfig, root_selection="gumbel")

# (simulations, considered actions) -> visits of the root's actions in `HashGame` with seed 0, scale 1, by mctx 0.0.71
GOLDEN = {
    (8, 4): [[3, 1, 1, 3], [0, 1, 3, 4], [3, 1, 4, 0], [0, 4, 4, 0], [3, 3, 1, 1], [0, 3, 1, 4]],
    (16, 2): [[8, 8, 0, 0], [0, 0, 8, 8], [0, 8, 8, 0], [0, 8, 8, 0], [8, 8, 0, 0], [0, 8, 0, 8]],
    (30, 4): [[12, 3, 3, 12], [0, 5, 12, 13], [5, 13, 12, 0], [0, 15, 15, 0], [12, 3, 3, 12], [0, 13, 5, 12]],
    (100, 3): [[42, 42, 0, 16], [0, 16, 42, 42], [42, 42, 16, 0], [0, 50, 50, 0], [42, 42, 16, 0], [0, 42, 16, 42]],
}


def test_schedules_by_hand() -> None:
    assert schedule(1, 4) == (0, 1, 2, 3)
    assert schedule(2, 6) == (0, 0, 1, 1, 2, 2)
    assert schedule(4, 8) == (0, 0, 0, 0, 1, 1, 2, 2)  # two phases of four simulations
    assert schedule(4, 16) == (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)
    assert schedule(8, 5) == (0, 0, 0, 0, 0)  # not even a round


@pytest.mark.parametrize("considered", range(1, 18))
def test_schedules_halve(considered: int) -> None:
    """However long, the first round is as wide as the race, later ones are half as wide or equal, the last ones two."""
    for simulations in (1, 7, 32, 100, 400):
        taken = schedule(considered, simulations)
        assert len(taken) == simulations and list(taken) == sorted(taken)
        widths = [len(list(group)) for _, group in itertools.groupby(taken)]
        assert widths[0] == min(considered, simulations)
        whole = widths[:-1]
        assert all(after in (before, max(2, before // 2)) for before, after in itertools.pairwise(whole))
        if simulations == 400 and considered > 1:
            assert whole[-1] == 2
            # ceil(log2 m) phases of about one cost: every width but the last takes no more than its share.
            share = simulations / math.ceil(math.log2(considered))
            assert all(widths.count(width) * width <= share for width in set(whole) if width > 3)


@pytest.mark.parametrize("cards", [1, 2, 5, 13])
@pytest.mark.parametrize(("worlds", "simulations", "considered"), [(1, 40, 16), (3, 8, 4), (3, 30, 3), (2, 5, 16)])
def test_the_scalar_reference_makes_the_same_visits(cards: int, worlds: int, simulations: int, considered: int) -> None:
    game = Blob(cards=cards)
    state = mixed_batch(game, 12, seed=cards)
    config = GUMBEL(worlds=worlds, simulations=simulations, considered_actions=considered)
    result = search(game, state, HashEvaluator(), config, seed=4)
    drawn = game.determinize(state, worlds, 4)
    noise = gumbel(game, state, config, 4)
    evaluations = 0
    for lane in range(state.batch_size):
        options = game.legal_mask(state)[lane].nonzero()[:, 0].tolist()
        expected = roots.search_by_halving(
            to_reference(game, state, lane)[0],
            [to_reference(game, drawn, lane * worlds + world)[1] for world in range(worlds)],
            hash_reference,
            {action: float(noise[lane, action]) for action in options},
            considered,
            mcts.SearchConfig(simulations, config.c_puct),
        )
        evaluations += expected.evaluations
        assert {a: int(result.visits[lane, a]) for a in options} == expected.visits
        assert result.value[lane].tolist() == pytest.approx(expected.value, abs=1e-12)
        assert [float(result.q[lane, a]) * n for a, n in expected.visits.items() if n] == pytest.approx(
            [expected.totals[a] for a, n in expected.visits.items() if n], abs=1e-9
        )
    assert int(result.evaluations) == evaluations


@pytest.mark.parametrize(("simulations", "considered"), GOLDEN)
def test_the_trees_of_mctx(simulations: int, considered: int) -> None:
    game = HashGame()
    config = GUMBEL(worlds=1, simulations=simulations, considered_actions=considered)
    result = search(game, game.new(), Judge(), config)
    assert result.visits.tolist() == GOLDEN[simulations, considered]


@pytest.mark.parametrize(("simulations", "considered"), GOLDEN)
def test_mctx_still_says_so(simulations: int, considered: int) -> None:
    assert mctx_visits(simulations, considered) == GOLDEN[simulations, considered]


def mctx_visits(simulations: int, considered: int) -> list[list[int]]:
    """mctx's own root selection over the tree below that `tests.test_search_golden` compares, with our noise."""
    mctx = pytest.importorskip("mctx")
    import jax
    import jax.numpy as jnp
    from mctx._src import action_selection, qtransforms
    from mctx._src.search import search as mctx_search

    game = HashGame()
    noise = gumbel(game, game.new(), GUMBEL(), 0).numpy()
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)

    def counts():
        follow, root = mctx_game(jnp, mctx)
        masked = jnp.where(jnp.array(MASKED), jnp.finfo(jnp.float64).min, root.prior_logits)
        tree = mctx_search(
            None,
            jax.random.PRNGKey(0),
            root=root.replace(prior_logits=masked),
            recurrent_fn=follow,
            root_action_selection_fn=functools.partial(
                action_selection.gumbel_muzero_root_action_selection,
                num_simulations=simulations,
                max_num_considered_actions=considered,
                qtransform=functools.partial(
                    qtransforms.qtransform_completed_by_mix_value,
                    value_scale=0.2,
                    maxvisit_init=50.0,
                    rescale_values=False,
                ),
            ),
            interior_action_selection_fn=functools.partial(
                action_selection.muzero_action_selection,
                pb_c_init=0.6,
                pb_c_base=1e30,
                qtransform=unvisited_take_the_node_value(jnp),
            ),
            num_simulations=simulations,
            invalid_actions=jnp.array(MASKED),
            extra_data=action_selection.GumbelMuZeroExtraData(root_gumbel=jnp.array(noise)),
        )
        return tree.summary().visit_counts

    try:
        return jax.jit(counts, compiler_options=COMPILE_LITTLE)().tolist()
    finally:
        jax.config.update("jax_enable_x64", before)


def test_worlds_that_are_alike_multiply_the_visits() -> None:
    """As long as sigma does not change the order: its weight of Q grows with the visits of all worlds."""
    game = HashGame()
    one, three = (search(game, game.new(), Judge(), GUMBEL(worlds=w, simulations=16, c_visit=1e6)) for w in (1, 3))
    assert torch.equal(3 * one.visits, three.visits)


def test_every_game_decision_and_seed_has_noise_of_its_own() -> None:
    game = Blob(cards=3)
    state = game.deal(5, seed=1)
    later = game.step(state, game.legal_actions(state)[:, 0])
    noise = gumbel(game, state, GUMBEL(), 0)
    for other in (noise.roll(1, 0), gumbel(game, later, GUMBEL(), 0), gumbel(game, state, GUMBEL(), 1)):
        assert (noise != other).all()


def test_the_best_action_of_equal_ones_is_a_draw_from_the_prior() -> None:
    """Gumbel-max: with all values the same, the winner has exactly the prior's probabilities. chi-square, p > 1e-4."""
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5, 0.0])

    class Prefers(Flat):
        def evaluate(self, game, state, stream):
            return logits.expand(state.batch_size, -1), super().evaluate(game, state, stream)[1]

    game = MicroGame([0], [[0, 1, 2, 3, 4]], lambda moves: torch.full((len(moves), 4), 0.5))
    state = game.new(4000)
    for simulations in (3, 12):
        config = GUMBEL(worlds=2, simulations=simulations)
        result = search(game, state, Prefers(), config, seed=simulations)
        chosen = best_action(game, state, result.policy, result.visits, config, seed=simulations)
        assert chi_square_p(chosen.bincount(minlength=5), 4000 * logits.softmax(0)) > 1e-4


def test_without_noise_the_best_action_is_found() -> None:
    """Five actions, of which the evaluator likes the worst best; four simulations a phase tell them apart."""

    class Misled(Flat):
        def evaluate(self, game, state, stream):
            logits, values = super().evaluate(game, state, stream)
            return logits + 0.5 * torch.arange(5), values

    game = MicroGame([1], [[0, 1, 2, 3, 4]], lambda moves: 1 - moves[:, :1].expand(-1, 4) / 4)
    config = GUMBEL(worlds=2, simulations=12, gumbel_scale=0.0)
    state = game.new(3)
    result = search(game, state, Misled(), config)
    # Rounds of 5; then of 2, the best ones, to the end of the budget.
    assert result.visits.tolist() == [[2 * n for n in (5, 4, 1, 1, 1)]] * 3
    assert best_action(game, state, result.policy, result.visits, config, 0).tolist() == [0, 0, 0]


def test_only_the_most_visited_are_recommended() -> None:
    game = MicroGame([0], [[0, 1, 2]], lambda moves: torch.ones(len(moves), 4))
    policy, visits = torch.tensor([[0.2, 0.1, 0.7, 0.0, 0.0]]), torch.tensor([[4.0, 4.0, 1.0, 0.0, 0.0]])
    config = GUMBEL(gumbel_scale=0.0)
    assert best_action(game, game.new(1), policy, visits, config, 0).tolist() == [0]
    assert best_action(game, game.new(1), policy, visits, SearchConfig(), 0).tolist() == [2]


def test_the_most_visited_are_recommended_even_where_the_policy_has_nothing_for_them() -> None:
    """Of the two last ones both turned out so bad, with values of great weight, that the policy is another's."""
    game = MicroGame([0], [[1, 2, 3]], lambda moves: torch.ones(len(moves), 4))
    policy, visits = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 4.0, 1.0, 4.0, 0.0]])
    for scale in (0.0, 1.0):
        action = best_action(
            game, game.new(50), policy.expand(50, -1), visits.expand(50, -1), GUMBEL(gumbel_scale=scale), 0
        )
        assert ((action == 1) | (action == 3)).all()


CONFIG = GUMBEL(worlds=2, simulations=14, considered_actions=4)


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda e: type(e).__name__)
@pytest.mark.slow
def test_lanes_are_independent(evaluator, monkeypatch) -> None:
    assert_lanes_are_independent(evaluator, CONFIG, monkeypatch)


def test_merged_moves_are_one_and_finished_games_get_no_visits() -> None:
    game = Blob(cards=5)
    state = positions(game)
    config = GUMBEL(worlds=2, simulations=8, merge_equivalent=True)
    result = search(game, state, HashEvaluator(), config, seed=1)
    assert (result.visits[~game.is_terminal(state)].sum(-1) == 16).all()
    assert (result.visits[game.is_terminal(state)] == 0).all()
    best = best_action(game, state, result.policy, result.visits, config, 1)
    assert game.legal_mask(state).gather(1, best[:, None]).all()
    assert (game.merged().legal_actions(state) == best[:, None]).any(-1).all()


def test_no_operation_waits(monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    search_twice(Blob(cards=5), positions(Blob(cards=5)), HashEvaluator(), CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root_selection": "best"}, "root_selection must be one of"),
        ({"considered_actions": 0}, "considered_actions must be an integer from 1"),
        ({"gumbel_scale": -0.5}, "gumbel_scale must be at least 0"),
        ({"root_selection": "gumbel", "leaves_per_step": 2}, "needs leaves_per_step=1, got 2"),
        ({"root_selection": "gumbel", "noise_fraction": 0.25}, "needs noise_fraction=0, got 0.25"),
    ],
)
def test_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SearchConfig(**change)
    assert "\n" not in str(caught.value)


def test_settings_of_a_run() -> None:
    settings = Settings(root_selection="gumbel", considered_actions=4)
    training, match = settings.search(self_play=True), settings.search()
    assert (training.root_selection, training.considered_actions) == ("gumbel", 4)
    assert (training.gumbel_scale, training.noise_fraction) == (1.0, 0.0)
    assert match.gumbel_scale == 0.0
    with pytest.raises(ValueError, match="--root-selection must be one of"):
        Settings(root_selection="best")

"""The batched search against mctx (google-deepmind/mctx 0.0.71): the same visits in the same two-player trees.

mctx's `muzero_policy` selects by the same formula once its exploration constant is held fixed (a huge `pb_c_base`) and
unvisited actions take their node's value (a `qtransform`). The numbers below came out of it; with mctx installed, in
any environment, `test_mctx_still_says_so` draws them anew.
"""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.positions import INCREMENT, MULTIPLIER, fraction, mix
from vecgame import Game, State, Stream
from vecmcts import SearchConfig, search

ACTIONS, LANES = 4, 6
MASKED = [[lane % 2 == 1, False, False, lane // 2 % 2 == 1] for lane in range(LANES)]  # illegal at the roots

# (simulations, c_puct) -> visits and Q of the root's actions, value of the root to its mover
GOLDEN = {
    (30, 0.6): (
        [[24, 6, 0, 0], [0, 1, 11, 18], [4, 10, 16, 0], [0, 8, 22, 0], [7, 21, 1, 1], [0, 18, 0, 12]],
        [
            [0.15303279, -0.141467914, 0.0, 0.0],
            [0.0, -0.4333597, 0.10613231, 0.228926758],
            [-0.019320783, -0.20901003, -0.028731514, 0.0],
            [0.0, -0.070999041, -0.074181159, 0.0],
            [-0.050466505, 0.185651592, -0.168013663, -0.325309351],
            [0.0, 0.106508857, 0.0, 0.15694739],
        ],
        [0.073965506, 0.16835318, -0.067921791, -0.044731488, 0.107978279, 0.113597695],
    ),
    (100, 1.5): (
        [[40, 53, 0, 7], [0, 7, 63, 30], [5, 76, 19, 0], [0, 20, 80, 0], [1, 96, 2, 1], [0, 60, 0, 40]],
        [
            [0.14315183, 0.126338938, 0.0, -0.009093119],
            [0.0, -0.136620729, 0.09151303, 0.136280407],
            [-0.017043774, 0.007825987, -0.016108183, 0.0],
            [0.0, 0.009547275, 0.00645395, 0.0],
            [-0.000572914, 0.041601743, -0.43588816, -0.325309351],
            [0.0, 0.005752738, 0.0, 0.019804035],
        ],
        [0.117102340, 0.091698606, 0.007178344, 0.015055081, 0.030607331, 0.008498278],
    ),
}

# mctx's trees are small: to compile them takes longer than to search them, and longest one operation at a time.
COMPILE_LITTLE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclass(frozen=True)
class HashState(State):
    """B positions of two players who move in turn."""

    key: Tensor  # [B] int64, names the position
    made: Tensor  # [B] int64


class HashGame(Game):
    """Four actions, endlessly; the lanes' roots differ in which of them are legal."""

    seats = 2
    num_actions = max_legal = ACTIONS
    decisions = 250
    max_forced_run = 0

    def new(self) -> HashState:
        index = torch.arange(LANES)
        return HashState(index, mix(index, 0), torch.zeros_like(index))

    def mover(self, state: HashState) -> Tensor:
        return state.made % 2

    def turn(self, state: HashState) -> Tensor:
        return state.made

    def legal_mask(self, state: HashState) -> Tensor:
        return ~torch.tensor(MASKED)[state.index] | (state.made > 0)[:, None]

    def step(self, state: HashState, action: Tensor) -> HashState:
        return replace(state, key=mix(state.key, action + 1), made=state.made + 1)

    def is_terminal(self, state: HashState) -> Tensor:
        return torch.zeros_like(state.made, dtype=torch.bool)

    def values(self, state: HashState, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(state.batch_size, 2, dtype=dtype)

    def determinize(self, state: HashState, count: int, seed: int) -> HashState:
        return state.repeat(count)


class Judge:
    """Logits in [-2, 2) and a value in [-1, 1) for the mover, its negative for the other."""

    sees_hidden = True

    def evaluate(self, game: HashGame, state: HashState, stream: Stream) -> tuple[Tensor, Tensor]:
        logits = 4 * fraction(mix(mix(state.key[:, None], torch.arange(ACTIONS)), 7)) - 2
        own = 2 * fraction(mix(mix(state.key, 1000), 7)) - 1
        sign = torch.where(game.mover(state)[:, None] == torch.arange(2), 1.0, -1.0)
        return logits, own[:, None] * sign


@pytest.mark.parametrize(("simulations", "c_puct"), GOLDEN)
def test_the_trees_of_mctx(simulations: int, c_puct: float) -> None:
    visits, q, value = GOLDEN[simulations, c_puct]
    game = HashGame()
    result = search(game, game.new(), Judge(), SearchConfig(worlds=1, simulations=simulations, c_puct=c_puct))
    assert result.visits.tolist() == visits
    assert result.q.nan_to_num().flatten().tolist() == pytest.approx([x for row in q for x in row], abs=1e-8)
    assert result.value[:, 0].tolist() == pytest.approx(value, abs=1e-8)
    assert result.value[:, 1].tolist() == pytest.approx([-x for x in value], abs=1e-8)


def test_worlds_that_are_alike_multiply_the_visits() -> None:
    visits, _, value = GOLDEN[30, 0.6]
    game = HashGame()
    result = search(game, game.new(), Judge(), SearchConfig(worlds=3, simulations=30, c_puct=0.6))
    assert result.visits.tolist() == [[3 * n for n in row] for row in visits]
    assert result.value[:, 0].tolist() == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize(("simulations", "c_puct"), GOLDEN)
def test_mctx_still_says_so(simulations: int, c_puct: float) -> None:
    mctx = pytest.importorskip("mctx")
    import jax
    import jax.numpy as jnp

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)

    def summary():
        follow, root = mctx_game(jnp, mctx)
        return mctx.muzero_policy(
            None,
            jax.random.PRNGKey(0),
            root,
            follow,
            simulations,
            invalid_actions=jnp.array(MASKED),
            qtransform=unvisited_take_the_node_value(jnp),
            dirichlet_fraction=0.0,
            pb_c_init=c_puct,
            pb_c_base=1e30,
        ).search_tree.summary()

    try:
        tree = jax.jit(summary, compiler_options=COMPILE_LITTLE)()
    finally:
        jax.config.update("jax_enable_x64", before)
    visits, q, root = GOLDEN[simulations, c_puct]
    assert tree.visit_counts.tolist() == visits
    assert tree.qvalues.flatten().tolist() == pytest.approx([x for row in q for x in row], abs=1e-8)
    assert tree.value.tolist() == pytest.approx(root, abs=1e-8)


def mctx_game(jnp, mctx) -> tuple:
    """`HashGame` and `Judge` for mctx: its recurrent function and its roots. JAX must have 64-bit floats."""

    def mix(h, x):
        h = h * jnp.int64(MULTIPLIER) + x + jnp.int64(INCREMENT)
        return h ^ ((h >> 29) & ((1 << 35) - 1))

    def fraction(h):
        return ((h >> 11) & ((1 << 53) - 1)).astype(jnp.float64) * 2.0**-53

    def judge(key):
        logits = 4 * fraction(mix(mix(key[:, None], jnp.arange(ACTIONS)), 7)) - 2
        return logits, 2 * fraction(mix(mix(key, 1000), 7)) - 1

    def follow(params, rng, action, key):
        key = mix(key, action + 1)
        logits, value = judge(key)
        zeros = jnp.zeros_like(value)
        return mctx.RecurrentFnOutput(reward=zeros, discount=zeros - 1, prior_logits=logits, value=value), key

    key = mix(jnp.arange(LANES), 0)
    logits, value = judge(key)
    return follow, mctx.RootFnOutput(prior_logits=logits, value=value, embedding=key)


def unvisited_take_the_node_value(jnp):
    """mctx's name for it is a qtransform."""
    return lambda tree, node: jnp.where(tree.children_visits[node] > 0, tree.qvalues(node), tree.raw_values[node])

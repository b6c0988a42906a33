"""Throughput of other people's software, measured in the same process and run as ours.

OpenSpiel (Lanctot et al., "OpenSpiel: A framework for reinforcement learning in games", 2019) plays the same card game.
mctx (Babuschkin et al., "The DeepMind JAX Ecosystem", 2020; Danihelka et al., "Policy improvement by planning with
Gumbel", 2022) is batched tree search in JAX. It has one value and no hidden hands, so that the two searches meet in a
toy game for two players that both play exactly: they then grow the same trees, visit for visit (`tests/test_peers.py`),
and only the handling of the trees takes time.

None of these packages is needed for anything else; each function imports its own and raises ModuleNotFoundError where
it is missing.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vecgame import Game, State, Stream
from vecgame.cards import SEATS
from veclab.arena import oh_hell
from veclab.bench.measure import Timing, timed
from veclab.bench.parts import FLAG, Rate
from veclab.room import check_room, of_search
from vecmcts import SearchConfig, search

SLICES = 3  # parts of OpenSpiel's time, for a median and a spread

ACTIONS = 6  # the slots of a search of Blob with 5 cards
DECISIONS = 12  # so deep that 30 simulations do not see the end
ROWS = 1024  # of the judge's table
C_PUCT = SearchConfig().c_puct


def openspiel_engine(cards: int, seconds: float, players: int = SEATS) -> Rate:
    """Random games a second of OpenSpiel's C++ `oh_hell`, called from Python on one core, for about ``seconds``.

    Raises:
        ModuleNotFoundError: when OpenSpiel is not installed.
        ValueError: when it does not deal so many cards.
    """
    if not 1 <= cards <= oh_hell.max_cards(players):
        raise ValueError(f"OpenSpiel deals 1 to {oh_hell.max_cards(players)} cards, got {cards}")
    game = oh_hell.load(cards, players=players)
    chooser = random.Random(0)

    def play() -> None:
        state = game.new_initial_state()
        while not state.is_terminal():
            state.apply_action(chooser.choice(state.legal_actions()))

    play()  # the first one also pays for what is set up only once
    times = [seconds_a_call(play, seconds / SLICES) for _ in range(SLICES)]
    return Rate.of(f"OpenSpiel {version('open_spiel')} (C++ from Python), one core", 1, 1, Timing.of(times))


def seconds_a_call(work: Callable[[], object], seconds: float) -> float:
    """Mean time of a call, over as many as fit into ``seconds`` and at least one."""
    calls, begun = 0, time.perf_counter()
    while True:
        work()
        calls += 1
        elapsed = time.perf_counter() - begun
        if elapsed >= seconds:
            return elapsed / calls


# The toy game, written once for tensors and for JAX's arrays: 32-bit integers wrap alike in both, and JAX has no
# others by default. A position is its key; a judge's prior and value of it stand in one row of a table, so that the
# "network" is one look-up on both sides.


def child_key(key: Any, action: Any) -> Any:
    """Names the position after ``action``: [B] int32, [B] int32 -> [B] int32, an array of the same library."""
    key = (key + action * -1640531535 + 1013904223) * 1664525
    return key ^ ((key >> 15) & 0x1FFFF)


def table_row(key: Any) -> Any:
    """The position's row in the judge's table: [B] int32 -> [B] int32; the low bits of a product are its worst."""
    return (key >> 8) & (ROWS - 1)


def root_keys(trees: int) -> np.ndarray:
    """Keys of the positions to search, no two the same: [trees] int32."""
    return child_key(np.arange(trees, dtype=np.int32), np.full(trees, ACTIONS, dtype=np.int32))


@cache
def judgements() -> np.ndarray:
    """The judge's table: [ROWS, ACTIONS + 1] float64, logits within 2 of zero and the value to the mover.

    Values lie within half of zero: a scale as wide as Blob's [0, 1], for which `SearchConfig.c_puct` is set.
    """
    generator = np.random.default_rng(0)
    logits = generator.uniform(-2, 2, (ROWS, ACTIONS))
    return np.concatenate([logits, generator.uniform(-0.5, 0.5, (ROWS, 1))], axis=1)


@cache
def judgements_tensor(device: torch.device, dtype: torch.dtype) -> Tensor:
    """`judgements` on a device."""
    return torch.from_numpy(judgements()).to(device, dtype)


@dataclass(frozen=True)
class ToyState(State):
    """B positions of two players who move in turn."""

    key: Tensor  # [B] int32, names the position
    ply: Tensor  # [B] int64, decisions made

    @classmethod
    def of(cls, keys: np.ndarray, device: torch.device) -> ToyState:
        index = torch.arange(len(keys), device=device)
        return cls(index, torch.from_numpy(keys).to(device), torch.zeros_like(index))


@dataclass(frozen=True)
class ToyGame(Game):
    """Every action is always legal, both players see everything, and one wins what the other loses."""

    decisions: int = DECISIONS
    seats = 2
    num_actions = max_legal = ACTIONS
    features = 0  # it is judged by the state itself
    max_forced_run = 0

    def deal(
        self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0
    ) -> ToyState:
        """Different positions, the same ones whatever the seed."""
        return ToyState.of(root_keys(batch_size), torch.device(device))

    def mover(self, state: ToyState) -> Tensor:
        return state.ply % 2

    def turn(self, state: ToyState) -> Tensor:
        return state.ply

    def legal_mask(self, state: ToyState) -> Tensor:
        return torch.ones(state.batch_size, ACTIONS, dtype=torch.bool, device=state.device)

    def legal_actions(self, state: ToyState) -> Tensor:
        return torch.arange(ACTIONS, device=state.device).expand(state.batch_size, -1)

    def step(self, state: ToyState, action: Tensor) -> ToyState:
        over = self.is_terminal(state)
        key = torch.where(over, state.key, child_key(state.key, action.to(state.key.dtype)))
        return replace(state, key=key, ply=torch.where(over, state.ply, state.ply + 1))

    def is_terminal(self, state: ToyState) -> Tensor:
        return state.ply == self.decisions

    def values(self, state: ToyState, dtype: torch.dtype = torch.float32) -> Tensor:
        return by_seat(judgements_tensor(state.device, dtype)[table_row(state.key), ACTIONS], state)

    def observe(self, state: ToyState, seat: Tensor | None = None) -> Tensor:
        return torch.stack([state.key, state.ply], dim=1).float()

    def determinize(self, state: ToyState, count: int, seed: int) -> ToyState:
        return state.repeat(count)


@dataclass(frozen=True)
class TableJudge:
    """Looks logits and value up in `judgements`, in a precision that is then the trees'."""

    dtype: torch.dtype = torch.float32
    sees_hidden = True  # there is one world a game, and nothing to share

    def evaluate(self, game: Game, state: ToyState, stream: Stream) -> tuple[Tensor, Tensor]:
        judged = judgements_tensor(state.device, self.dtype)[table_row(state.key)]
        return judged[:, :ACTIONS], by_seat(judged[:, ACTIONS], state)


def by_seat(own: Tensor, state: ToyState) -> Tensor:
    """Values [B] to the mover -> [B, 2] by absolute seat."""
    first = torch.where(state.ply % 2 == 0, own, -own)
    return torch.stack([first, -first], dim=1)


def _checked(trees: int, simulations: int, device: torch.device) -> SearchConfig:
    """How the toy game is searched. Raises `NoRoomError` where so many trees do not fit."""
    config = SearchConfig(worlds=1, simulations=simulations, c_puct=C_PUCT)
    check_room(device, of_search(trees, ToyGame(), config, FLAG))
    return config


def vecmcts_search(trees: int, simulations: int, device_name: str, repeats: int) -> Rate:
    """Tree-simulations a second of `vecmcts.search` on the toy game, from ``trees`` different positions at once."""
    device, game, judge = torch.device(device_name), ToyGame(), TableJudge()
    config = _checked(trees, simulations, device)
    state = game.deal(trees, device=device)
    timing = timed(lambda: search(game, state, judge, config), device, repeats)
    return Rate.of(f"vecmcts (PyTorch, {device_name})", trees, trees * simulations, timing)


def mctx_search(trees: int, simulations: int, device_name: str, repeats: int) -> Rate:
    """Tree-simulations a second of `mctx.search` in the same trees; the compilation is not timed.

    Against ours: JAX runs a search as one program, where PyTorch dispatches some hundred operations a simulation; so
    few trees are faster in mctx. But its loops are batched over trees that end at different depths, which makes XLA
    choose between old and new for whole trees at each step: its time a simulation grows with trees x nodes.

    On a CPU, JAX has a pool of as many threads as there are cores and asks neither OMP_NUM_THREADS nor PyTorch.

    Args:
        trees: positions searched at once.
        simulations: in each.
        device_name: "cpu", "cuda" or "cuda:N".
        repeats: timed searches.

    Raises:
        ModuleNotFoundError: when mctx or JAX is not installed.
        ValueError: when JAX does not have the device.
    """
    _checked(trees, simulations, torch.device(device_name))  # mctx's trees are no smaller
    run = mctx_searcher(simulations)
    jax, device = load_jax(), jax_device(device_name)
    if device is None:
        raise ValueError(f"JAX has no device {device_name}")
    inputs = jax.device_put((judgements().astype(np.float32), root_keys(trees)), device)
    timing = timed(lambda: jax.block_until_ready(run(*inputs)), torch.device("cpu"), repeats)
    return Rate.of(f"mctx {version('mctx')} (JAX, {device_name})", trees, trees * simulations, timing)


def load_jax() -> ModuleType:
    """JAX, which else takes most of a GPU that PyTorch is using."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    return jax


def jax_device(name: str) -> Any:
    """JAX's device "cpu", "cuda" or "cuda:N"; None where it has none, as its build for CPUs has no GPU."""
    platform, _, number = name.partition(":")
    try:
        found = load_jax().devices(platform)
    except RuntimeError:
        return None
    return found[int(number or 0)] if int(number or 0) < len(found) else None


def mctx_searcher(simulations: int, decisions: int = DECISIONS, c_puct: float = C_PUCT) -> Callable[..., Any]:
    """mctx's search of the toy game, compiled on the first call.

    Returns:
        (judgements [ROWS, ACTIONS + 1] float, keys [T] int32) -> mctx's summary of the T roots: `visit_counts` and
        `qvalues` [T, ACTIONS], `value` [T] to the mover.
    """
    jax = load_jax()
    import jax.numpy as jnp
    import mctx

    def follow(table: Any, rng: Any, action: Any, state: Any) -> Any:
        key, ply = child_key(state[0], action.astype(jnp.int32)), state[1] + 1
        judged = table[table_row(key)]
        own, over = judged[:, ACTIONS], ply >= decisions
        # mctx knows no end: it searches on below one. A discount of zero keeps what it finds there out of the tree
        # above, which sees the reward: the result, to the player who made the last move.
        output = mctx.RecurrentFnOutput(
            reward=jnp.where(over, -own, 0.0),
            discount=jnp.where(over, 0.0, -1.0).astype(own.dtype),
            prior_logits=judged[:, :ACTIONS],
            value=own,
        )
        return output, (key, ply)

    def select(tree: Any, node: Any) -> Any:
        """`vecmcts.selection.puct`; mctx's own counts a node's evaluation as a visit, so its N is 1 + sum of n too,
        but draws noise against ties, at a cost of its own."""
        prior = jax.nn.softmax(tree.children_prior_logits[node])
        visits = tree.children_visits[node].astype(prior.dtype)
        q = jnp.where(visits > 0, tree.qvalues(node), tree.raw_values[node])
        return (q + c_puct * prior * jnp.sqrt(1 + visits.sum()) / (1 + visits)).argmax().astype(jnp.int32)

    @jax.jit
    def run(table: Any, keys: Any) -> Any:
        judged = table[table_row(keys)]
        root = mctx.RootFnOutput(
            prior_logits=judged[:, :ACTIONS], value=judged[:, ACTIONS], embedding=(keys, jnp.zeros_like(keys))
        )
        return mctx.search(
            table,
            jax.random.PRNGKey(0),
            root=root,
            recurrent_fn=follow,
            root_action_selection_fn=lambda rng, tree, node: select(tree, node),
            interior_action_selection_fn=lambda rng, tree, node, depth: select(tree, node),
            num_simulations=simulations,
        ).summary()

    return run

"""Single-observer information-set Monte Carlo tree search (SO-ISMCTS) over many games at once.

Source: Cowling, Powley, Whitehouse, "Information Set Monte Carlo Tree Search" (IEEE TCIAIG 4, 2012), algorithm 1.
One tree a game, whose nodes are what has been played since the root. Every simulation draws a world of its own, exactly
uniform, and walks down by the actions that are legal in it: as long as some of them are untried, one of these at
random; otherwise the largest

    W / n + exploration * sqrt(log a / n),

with n the visits of the action, W the sum of their values to the node's mover, and a how often it was available: in the
tree, and legal in the world of a descent through the node. So nobody acts differently in worlds that the root's mover
cannot tell apart, as players do in `vecmcts.search` (strategy fusion); the price is that the others' nodes do not tell
apart what those players alone know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.lanes import pick, working
from vecgame.philox import Purpose, Stream, check_seed
from vecgame.state import State
from vecmcts.config import check_config, take_numpys_numbers
from vecmcts.evaluators import SIMULATION_BITS, Evaluator, Network, as_evaluator, check_answer
from vecmcts.search import SearchResult
from vecmcts.selection import improved_policy
from vecmcts.tree import UNEXPANDED


@dataclass(frozen=True)
class IsmctsConfig:
    """Settings of `ismcts`. Raises ValueError on a value out of range."""

    simulations: int = 90  # descents, each in a world of its own
    exploration: float = 0.7  # the paper's, for values in [0, 1]
    c_visit: float = 50.0  # improved policy, as in `SearchConfig`
    c_scale: float = 0.2
    trusted_visits: float = 100.0

    def __post_init__(self) -> None:
        take_numpys_numbers(self)
        count = self.simulations
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count < 1 << 15:
            raise ValueError(f"simulations must be an integer from 1 to {(1 << 15) - 1}, got {count!r}")
        for name in ("exploration", "c_visit", "c_scale", "trusted_visits"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")


@dataclass(frozen=True)
class InformationTree:
    """B trees of N = simulations + 1 nodes; node n of game b is row ``n * B + b``, and simulation s may add node s.

    Columns are the game's action ids: which of them are legal differs from world to world.
    """

    visits: Tensor  # [N * B, num_actions] float
    value_sum: Tensor  # [N * B, num_actions] float, sum over those visits of the leaf's value to the node's mover
    available: Tensor  # [N * B, num_actions] float, a of the module's docstring
    child: Tensor  # [N * B, num_actions] int64, row of the node that the action leads to, or UNEXPANDED

    @classmethod
    def allocate(cls, game: Game, state: State, simulations: int, dtype: torch.dtype) -> InformationTree:
        """Trees with room for ``simulations`` nodes below the roots of B games."""
        shape, device = (state.batch_size * (simulations + 1), game.num_actions), state.device
        visits, value_sum, available = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(3))
        return cls(visits, value_sum, available, torch.full(shape, UNEXPANDED, device=device))


@dataclass(frozen=True)
class Step:
    """One step of the descents of K trees."""

    edge: Tensor  # [K] int64, row * num_actions + action
    tree: Tensor  # [K] int64
    mover: Tensor  # [K] int64, seat that chose the action
    taken: Tensor  # [K] bool; False for one of a tree that is only carried along


@torch.no_grad()
def ismcts(
    game: Game, state: State, evaluator: Evaluator | Network, config: IsmctsConfig = IsmctsConfig(), seed: int = 0
) -> SearchResult:
    """Searches the current decision of every game in one tree over all its worlds.

    Arguments and result are those of `vecmcts.search`. The evaluator's values count at the leaves, its policy only in
    the result's ``prior`` and ``policy``: another player's policy depends on the world, which a node does not know.
    """
    game.check_state(state)
    check_config(config, IsmctsConfig)
    evaluator, seed, games = as_evaluator(evaluator), check_seed(seed), state.batch_size
    worlds = game.determinize(state, config.simulations, seed)
    streams = Stream.of_worlds(seed, state.index, game.turn(state), config.simulations)
    first = torch.arange(games, device=state.device) * config.simulations  # the first world of each game

    # In a world drawn, not the true one, so that hidden cards have no say.
    some = worlds.take(first)
    logits, values = check_answer(evaluator.evaluate(game, some, streams.take(first)), evaluator, game, some)
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    root_value = torch.where(game.is_terminal(state)[:, None], game.values(state, values.dtype), values)
    tree = InformationTree.allocate(game, state, config.simulations, values.dtype)
    leaf_sum = torch.zeros_like(root_value)
    evaluations = torch.full((), games, dtype=torch.int64, device=state.device)
    for simulation in range(1, config.simulations + 1):
        lanes = first + (simulation - 1)
        stream = streams.take(lanes)
        leaf, steps = descend(game, tree, worlds.take(lanes), simulation, config.exploration, stream)
        value, judged = evaluate_leaves(game, leaf, evaluator, stream, values.dtype)
        for step in steps:
            own = value.index_select(0, step.tree).gather(1, step.mover[:, None])[:, 0]
            tree.value_sum.view(-1).index_add_(0, step.edge, own * step.taken)
        leaf_sum += value
        evaluations += judged
    return summarize(game, state, tree, logits.to(values.dtype), root_value, leaf_sum, evaluations, config)


def descend(
    game: Game, tree: InformationTree, world: State, node: int, exploration: float, stream: Stream
) -> tuple[State, list[Step]]:
    """Walks down every tree in a world of its own, to an action untried, whose node becomes ``node``, or to the end.

    Visits and availability are counted on the way.

    Args:
        world: B lanes, each game's world of this simulation.
        stream: B lanes of random numbers.

    Returns:
        The game where each walk has ended, B lanes; the steps.
    """
    columns = game.num_actions
    every = torch.arange(world.batch_size, device=world.device)
    state, leaf, steps = world, world, []
    trees, row, going = None, every, ~game.is_terminal(world)  # trees: those on their way, None for all
    for level in range(min(node, game.decisions)):
        lanes = working(going)
        if lanes is not None:
            if len(lanes) == 0:
                break
            trees, row, going = lanes if trees is None else trees[lanes], row[lanes], going[lanes]
            state = state.take(lanes)
        legal = game.legal_mask(state)
        visits, value_sum, available = (
            field.index_select(0, row) for field in (tree.visits, tree.value_sum, tree.available)
        )
        known = legal & (visits > 0)
        uniform = stream.take(trees).at(level).uniform(Purpose.EXPANSION, 1)[:, 0]
        action = select(legal, visits, value_sum, available, exploration, uniform)
        edge = row * columns + action
        steps.append(Step(edge, pick(every, trees), game.mover(state), going))
        counted = (known | (torch.arange(columns, device=row.device) == action[:, None])) & going[:, None]
        tree.available.index_add_(0, row, counted.to(visits.dtype))
        tree.visits.view(-1).index_add_(0, edge, going.to(visits.dtype))
        old = tree.child.view(-1).index_select(0, edge)
        grows = old == UNEXPANDED
        child = torch.where(grows & going, pick(every, trees) + node * world.batch_size, old)
        tree.child.view(-1).index_copy_(0, edge, child)
        state = game.step(state, action).where(going, state)
        leaf = state if trees is None else leaf.put(trees, state)
        going = going & ~grows & ~game.is_terminal(state)
        row = torch.where(going, child, row)
    return leaf, steps


def select(
    legal: Tensor, visits: Tensor, value_sum: Tensor, available: Tensor, exploration: float, uniform: Tensor
) -> Tensor:
    """One of the untried legal actions at random, or the one with the largest bound of the module's docstring.

    Args:
        legal: [K, num_actions] bool; visits, value_sum, available: [K, num_actions].
        uniform: [K] in [0, 1).

    Returns:
        [K] int64.
    """
    untried = legal & (visits == 0)
    count = untried.sum(-1)
    chosen = torch.minimum((uniform * count).long(), (count - 1).clamp(min=0))
    fresh = (untried & (untried.cumsum(-1) > chosen[:, None])).to(torch.int8).argmax(-1)
    tries = visits.clamp(min=1)
    bound = value_sum / tries + exploration * (available.clamp(min=1).log() / tries).sqrt()
    return torch.where(count > 0, fresh, torch.where(legal, bound, -torch.inf).argmax(-1))


def evaluate_leaves(
    game: Game, leaf: State, evaluator: Evaluator, stream: Stream, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Values [B, seats] of the leaves, exact where only forced moves are left, and how many were judged, [] int64."""
    leaf = game.play_forced(leaf)
    value, alive = game.values(leaf, dtype), ~game.is_terminal(leaf)
    lanes = working(alive)
    if lanes is None or len(lanes):
        numbers = stream.take(lanes).at(1 << SIMULATION_BITS)  # below lie those of the root
        _, judged = evaluator.evaluate(game, leaf.take(lanes), numbers)
        judged = judged.to(dtype)
        value = torch.where(alive[:, None], judged, value) if lanes is None else value.index_copy(0, lanes, judged)
    return value, alive.sum()


def summarize(
    game: Game,
    state: State,
    tree: InformationTree,
    logits: Tensor,
    root_value: Tensor,
    leaf_sum: Tensor,
    evaluations: Tensor,
    config: IsmctsConfig,
) -> SearchResult:
    """The result from the root's row of each game: logits [B, num_actions] are the evaluator's, at its columns."""
    games = state.batch_size
    actions = torch.arange(game.num_actions, device=state.device).expand(games, -1)
    actions = torch.where(game.legal_mask(state), actions, -1)
    slot = logits.gather(1, game.policy_columns(state, actions))
    log_prior = torch.where(actions >= 0, slot, -torch.inf).log_softmax(-1)
    visits, value_sum = tree.visits[:games], tree.value_sum[:games]
    own_value = root_value.gather(1, game.mover(state)[:, None])[:, 0]
    return SearchResult(
        visits=visits,
        policy=improved_policy(log_prior, visits, value_sum, own_value, config),
        value=(root_value + leaf_sum) / (1 + config.simulations),
        prior=log_prior.exp(),
        q=value_sum / visits.where(visits > 0, torch.nan),
        evaluations=evaluations,
    )

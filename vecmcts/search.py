"""Determinised Monte Carlo tree search over many games at once.

Every game is searched in several worlds, deals drawn from what its mover can know, each as a game of perfect
information with one value for each seat (max^n, Luckhardt and Irani 1986; determinization, Ginsberg 2001). It is a
strong heuristic, not an equilibrium: it suffers from strategy fusion (Frank and Basin 1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from vecgame.game import Game
from vecgame.lanes import compacts, entries, pick, placed, working
from vecgame.philox import Stream, check_seed, dirichlet
from vecgame.state import State
from vecmcts.config import SearchConfig
from vecmcts.evaluators import SIMULATION_BITS, Evaluator, Network, as_evaluator
from vecmcts.selection import improved_policy, puct
from vecmcts.tree import ROOT, UNEXPANDED, Rows, Tree, some, write


@dataclass(frozen=True)
class SearchResult:
    """What a search says of the decisions of B games. Columns are the game's own action ids (real cards)."""

    visits: Tensor  # [B, num_actions] float, visits of the root's actions, summed over the worlds
    policy: Tensor  # [B, num_actions] float, the prior improved by completed Q-values
    value: Tensor  # [B, seats] float, mean value of each absolute seat over root and leaves
    prior: Tensor  # [B, num_actions] float, the evaluator's policy, without noise
    q: Tensor  # [B, num_actions] float, mean value to the mover of each visited action, nan where there is none
    evaluations: Tensor  # [] int64, positions judged by the evaluator

    @property
    def visit_policy(self) -> Tensor:
        """Visits as a distribution: [B, num_actions]; all zero in a game that is over."""
        return self.visits / self.visits.sum(-1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class Descent:
    """One walk from the root in each of the T trees: the E edges taken, all depths together, and where it ended."""

    row: Tensor  # [E] int64, row of the node that the edge leaves
    edge: Tensor  # [E] int64, row * A + slot
    taken: Tensor  # [E] bool; False for one of a tree that is only carried along
    leaf: Tensor  # [T] int64, row of the node at the end
    new: Tensor  # [T] bool, the leaf is a node that this descent adds
    parent: Tensor  # [T] int64, row of the node above a new leaf
    action: Tensor  # [T] int64, action that leads to a new leaf


@dataclass(frozen=True)
class Leaves:
    """K new leaves: the game after the action and every forced move."""

    rows: Rows  # K rows of the tree
    state: State  # [K] lanes
    alive: Tensor  # [K] bool, to be judged: a new leaf where the game is not over
    exact: Tensor  # [K, seats] float, values where it is

    def take(self, lanes: Tensor | None) -> Leaves:
        """Some of the leaves ([K] int64), or all of them for None."""
        return Leaves(some(self.rows, lanes), self.state.take(lanes), pick(self.alive, lanes), pick(self.exact, lanes))


def search(
    game: Game, state: State, evaluator: Evaluator | Network, config: SearchConfig = SearchConfig(), seed: int = 0
) -> SearchResult:
    """Searches the current decision of every game.

    A game's result depends on the seed, the game's own number and position only, not on the rest of the batch (up to
    the rounding of a network, which may change with the batch's shape).

    Args:
        game: the rules.
        state: B games, at any decisions. One with a single legal action is searched like any other; callers save time
            by leaving it out. A finished one gets no visits.
        evaluator: an `Evaluator`, or a network (observation, legal mask) -> (logits, values by relative seat).
        config: how much to search.
        seed: of the worlds, the noise and the playouts; may be the seed of the deal.

    Returns:
        A `SearchResult`.
    """
    evaluator = as_evaluator(evaluator)
    stream = Stream.of_worlds(check_seed(seed), state.index, game.turn(state), config.worlds)
    worlds = game.determinize(state, config.worlds, seed)
    tree, log_prior, root_value, evaluations = plant(game, worlds, evaluator, config, stream)
    leaf_sum = torch.zeros_like(tree.value[: tree.trees])
    for first in range(1, config.simulations + 1, config.leaves_per_step):
        nodes = range(first, min(first + config.leaves_per_step, config.simulations + 1))
        descents = [descend(game, tree, node, min(node, game.decisions), config) for node in nodes]
        for node, descent in zip(nodes, descents, strict=True):
            evaluations += expand(game, tree, node, descent, evaluator, stream.at(node << SIMULATION_BITS))
            leaf_sum += back_up(tree, descent)
    return summarize(game, state, tree, log_prior, root_value, leaf_sum, evaluations, config)


def plant(
    game: Game, worlds: State, evaluator: Evaluator, config: SearchConfig, stream: Stream
) -> tuple[Tree, Tensor, Tensor, Tensor]:
    """Trees whose roots are evaluated, so that even the first descents follow the prior.

    Args:
        worlds: T = B * config.worlds lanes, those of a game adjacent.
        stream: T lanes of random numbers.

    Returns:
        The trees; the root's log prior without noise, [T, A]; the root's values, [T, seats]; evaluations, [] int64.
    """
    finished = game.is_terminal(worlds)
    game_stream = stream.take(torch.arange(0, stream.game.shape[0], config.worlds, device=worlds.device))
    if evaluator.sees_hidden:
        logits, values = evaluator.evaluate(game, worlds, stream)
    else:  # the mover knows the same in all worlds of a game, so the first speaks for them all
        logits, values = evaluator.evaluate(game, worlds[:: config.worlds], game_stream)
        logits, values = (repeat(x, "b ... -> (b w) ...", w=config.worlds) for x in (logits, values))
    values = values.to(torch.promote_types(values.dtype, torch.float32))  # bfloat16 counts visits to 256 only
    values = torch.where(finished[:, None], game.values(worlds, values.dtype), values)

    tree = Tree.allocate(game, worlds, config.simulations, values.dtype)
    slot_logits = write_evaluation(game, tree, tree.rows(ROOT), worlds, logits, values)
    log_prior = slot_logits.log_softmax(-1)
    tree.open[tree.rows(ROOT)] = ~finished
    if config.noise_fraction > 0:
        legal = reduce(log_prior > -torch.inf, "(b w) slot -> b slot", "max", w=config.worlds)
        noise = dirichlet(game_stream, legal, config.noise_alpha).to(values.dtype)
        noisy = (1 - config.noise_fraction) * log_prior.exp() + config.noise_fraction * repeat(
            noise, "b slot -> (b w) slot", w=config.worlds
        )
        tree.prior[tree.rows(ROOT)] = torch.where(log_prior > -torch.inf, noisy, -torch.inf)
    judged = tree.trees if evaluator.sees_hidden else tree.trees // config.worlds
    # Filled in on the device: torch.tensor(judged, device=..) would copy from the host, which waits for the copy.
    return tree, log_prior, values, torch.full((), judged, dtype=torch.int64, device=worlds.device)


def write_evaluation(game: Game, tree: Tree, rows: Rows, state: State, logits: Tensor, values: Tensor) -> Tensor:
    """Puts the evaluator's judgement of K states at K rows.

    Returns:
        [K, A] logits of the slots, -inf beyond the legal actions.
    """
    actions = game.legal_actions(state)
    mover = game.mover(state)
    logits = logits.to(values.dtype).gather(1, game.policy_columns(state, actions))
    logits = torch.where(actions >= 0, logits, -torch.inf)
    # Over the first axis, which a CPU does 20 times as fast as over a last axis of a few slots.
    prior = torch.where(actions >= 0, logits.t().contiguous().softmax(0).t(), -torch.inf)
    write(tree.actions, rows, actions)
    write(tree.prior, rows, prior)
    write(tree.mover, rows, mover)
    write(tree.value, rows, values)
    write(tree.own_value, rows, values.gather(1, mover[:, None])[:, 0])
    return logits


def descend(game: Game, tree: Tree, node: int | Tensor, depth: int, config: SearchConfig) -> Descent:
    """Walks down every tree to a slot without a child, which becomes ``node``, or to a node that is not open.

    Where lanes are left out (`vecgame.lanes`), the walk goes on with the trees that are still on their way; elsewhere
    with all of them, ``depth`` steps. The trees are read only until it is over, for no walk meets a node twice.

    Args:
        node: number of the node that is set aside for the new leaf; as a tensor [] int64 it is no constant of a graph.
        depth: steps of the longest possible path; a tree of n nodes has none of more than n.
    """
    every = torch.arange(tree.trees, device=tree.open.device)
    new_row = every + node * tree.trees
    trees, row = None, every  # those on their way (None: all of them), and where they are; the root of tree t is row t
    going = started = tree.open[: tree.trees]
    leaf, last_edge = every, every * tree.slots
    walked = []
    for level in range(depth):
        lanes = working(going)
        if lanes is not None:
            if len(lanes) == 0:
                break
            trees, row, going = lanes if trees is None else trees[lanes], row[lanes], going[lanes]
        at_root = level == 0 and lanes is None
        prior, visits, value_sum, own_value = (
            field[: tree.trees] if at_root else field.index_select(0, row)
            for field in (tree.prior, tree.visits, tree.value_sum, tree.own_value)
        )
        edge = row * tree.slots + puct(prior, visits, value_sum, own_value, config.c_puct).argmax(-1)
        walked.append((row, edge, going))
        child = tree.child.view(-1).index_select(0, edge)
        grows = child == UNEXPANDED
        child = torch.where(grows, pick(new_row, trees), child)
        # A tree that is carried along without going on stays where it is.
        last_edge = placed(last_edge, trees, torch.where(going, edge, pick(last_edge, trees)))
        leaf = placed(leaf, trees, torch.where(going, child, pick(leaf, trees)))
        going = going & ~grows & tree.open.index_select(0, child)
        row = torch.where(going, child, row)
    rows, edges, taken = (torch.cat(parts) for parts in zip(*walked, strict=True)) if walked else (every[:0],) * 3
    tree.visits.view(-1).index_add_(0, edges, taken.to(tree.visits.dtype))
    tree.child.view(-1).index_copy_(0, last_edge, torch.where(started, leaf, UNEXPANDED))
    parent = torch.div(last_edge, tree.slots, rounding_mode="floor")
    action = tree.actions.view(-1).index_select(0, last_edge).long()
    return Descent(rows, edges, taken, leaf, leaf == new_row, parent, action)


def expand(
    game: Game, tree: Tree, node: int, descent: Descent, evaluator: Evaluator, stream: Stream
) -> Tensor:
    """Makes and judges the new leaves.

    Returns:
        [] int64, positions judged.
    """
    lanes = working(descent.new)
    leaves = grow(game, tree, node, descent, lanes)
    judged = working(leaves.alive)
    if judged is None or len(judged):
        living = leaves.take(judged)
        logits, values = evaluator.evaluate(game, living.state, stream.take(lanes).take(judged))
        settle(game, tree, living, logits, values)
    return leaves.alive.sum()


def grow(game: Game, tree: Tree, node: int | Tensor, descent: Descent, lanes: Tensor | None) -> Leaves:
    """Puts the new leaves of some trees ([K] int64, None for all) into them, with the exact values of finished games.

    A tree without a new leaf gets one all the same where all are carried along; no edge leads to it.
    """
    state = tree.state.take(pick(descent.parent, lanes))
    state = game.play_forced(game.step(state, pick(descent.action, lanes)))
    alive = pick(descent.new, lanes) & ~game.is_terminal(state)
    leaves = Leaves(tree.rows(node, lanes), state, alive, game.values(state, tree.value.dtype))
    tree.write_states(leaves.rows, state)
    write(tree.value, leaves.rows, leaves.exact)
    return leaves


def settle(game: Game, tree: Tree, leaves: Leaves, logits: Tensor, values: Tensor) -> None:
    """Puts the evaluator's judgement of the K leaves into their trees, but for the values of finished games."""
    values = values.to(tree.value.dtype)
    if not compacts(tree.open.device):
        values = torch.where(leaves.alive[:, None], values, leaves.exact)
    write_evaluation(game, tree, leaves.rows, leaves.state, logits, values)
    write(tree.open, leaves.rows, leaves.alive)


def back_up(tree: Tree, descent: Descent) -> Tensor:
    """Adds the leaf's value to every edge on the way, each as its own mover sees it.

    Returns:
        [T, seats] the leaves' values by absolute seat.
    """
    value = tree.value.index_select(0, descent.leaf)
    mover = tree.mover.index_select(0, descent.row)
    own = entries(value, (descent.row % tree.trees) * value.shape[1] + mover)
    tree.value_sum.view(-1).index_add_(0, descent.edge, own * descent.taken)
    return value


def summarize(
    game: Game,
    state: State,
    tree: Tree,
    log_prior: Tensor,
    root_value: Tensor,
    leaf_sum: Tensor,
    evaluations: Tensor,
    config: SearchConfig,
) -> SearchResult:
    """Sums the worlds of each game and puts the slots back at the game's action ids."""
    worlds, roots = config.worlds, tree.rows(ROOT)
    visits = reduce(tree.visits[roots], "(b w) slot -> b slot", "sum", w=worlds)
    value_sum = reduce(tree.value_sum[roots], "(b w) slot -> b slot", "sum", w=worlds)
    # The mean over the worlds, which differ only under an evaluator that lets hidden cards speak in its logits.
    log_prior = rearrange(log_prior, "(b w) slot -> b w slot", w=worlds).logsumexp(1) - math.log(worlds)
    root_value = reduce(root_value, "(b w) seat -> b seat", "mean", w=worlds)
    leaf_mean = reduce(leaf_sum, "(b w) seat -> b seat", "sum", w=worlds) / worlds
    own_value = root_value.gather(1, game.mover(state)[:, None])[:, 0]
    policy = improved_policy(log_prior, visits, value_sum, own_value, config)

    actions = game.legal_actions(state)
    columns = torch.where(actions >= 0, actions, game.num_actions)

    def spread(slots: Tensor, empty: float = 0.0) -> Tensor:
        wide = slots.new_full((state.batch_size, game.num_actions + 1), empty)  # the last column takes the filler
        return wide.scatter(1, columns, slots)[:, :-1]

    return SearchResult(
        visits=spread(visits),
        policy=spread(policy),
        value=(root_value + leaf_mean) / (1 + config.simulations),
        prior=spread(log_prior.exp()),
        q=spread(value_sum / visits.where(visits > 0, torch.nan), torch.nan),
        evaluations=evaluations,
    )

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
from vecgame.lanes import compacts, entries, pick, working
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
    """One walk from the root in each of the T trees: the edges taken, and where it ended."""

    edges: list[tuple[Tensor, Tensor, Tensor]]  # a depth: trees [K] int64, edges [K] int64 (row * A + slot), taken [K]
    leaf: Tensor  # [T] int64, row of the node at the end
    parent: Tensor  # [T] int64, row of the node above a new leaf
    action: Tensor  # [T] int64, action that leads to a new leaf
    new: Tensor  # [T] bool, the leaf is a node that this descent adds
    node: int  # number of the node that is set aside for the new leaf


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
    for first in range(0, config.simulations, config.leaves_per_step):
        last = min(first + config.leaves_per_step, config.simulations)
        descents = [descend(game, tree, simulation + 1, config) for simulation in range(first, last)]
        for simulation, descent in zip(range(first, last), descents, strict=True):
            simulation_stream = stream.at((simulation + 1) << SIMULATION_BITS)
            evaluations = evaluations + expand(game, tree, descent, evaluator, simulation_stream)
        for descent in descents:
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
    evaluations = torch.tensor(logits.shape[0] if evaluator.sees_hidden else tree.trees // config.worlds)
    return tree, log_prior, values, evaluations.to(worlds.device)


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


def descend(game: Game, tree: Tree, node: int, config: SearchConfig) -> Descent:
    """Walks down every tree to a slot without a child, which becomes ``node``, or to a node that is not open.

    Where lanes are left out (`vecgame.lanes`), the walk goes on with the trees that are still on their way; elsewhere
    with all of them, for as many steps as the longest possible path has.
    """
    device = tree.open.device
    every = torch.arange(tree.trees, device=device)
    trees, row = every, every  # the root of tree t is row t
    new_row = every + node * tree.trees
    going = started = tree.open[: tree.trees]
    last_edge = every * tree.slots
    edges = []
    for depth in range(min(node, game.decisions)):  # a tree of `node` nodes is no deeper
        lanes = working(going)
        if lanes is not None:
            if len(lanes) == 0:
                break
            trees, row, going = trees[lanes], row[lanes], going[lanes]
        at_root = depth == 0 and lanes is None
        prior, visits, value_sum, own_value = (
            field[: tree.trees] if at_root else field.index_select(0, row)
            for field in (tree.prior, tree.visits, tree.value_sum, tree.own_value)
        )
        slot = puct(prior, visits, value_sum, own_value, config.c_puct).argmax(-1)
        edge = row * tree.slots + slot
        edges.append((trees, edge, going))
        tree.visits.view(-1).index_add_(0, edge, going.to(tree.visits.dtype))

        child = tree.child.view(-1).index_select(0, edge)
        grows = child == UNEXPANDED
        child = torch.where(grows, new_row.index_select(0, trees), child)
        last_edge = last_edge.index_copy(0, trees, torch.where(going, edge, last_edge.index_select(0, trees)))
        # A lane that is carried along without going on keeps its tree as it is.
        tree.child.view(-1).index_copy_(0, edge, torch.where(grows & ~going, UNEXPANDED, child))
        going = going & ~grows & tree.open.index_select(0, child)
        row = torch.where(going, child, row)
    leaf = torch.where(started, tree.child.view(-1).index_select(0, last_edge), every)
    parent = torch.div(last_edge, tree.slots, rounding_mode="floor")
    action = tree.actions.view(-1).index_select(0, last_edge).long()
    return Descent(edges, leaf, parent, action, leaf == new_row, node)


def expand(game: Game, tree: Tree, descent: Descent, evaluator: Evaluator, stream: Stream) -> Tensor:
    """Makes and judges the new leaves: the game after the action and every forced move, its exact values at an end.

    Returns:
        [] int64, positions judged.
    """
    lanes = working(descent.new)
    rows = tree.rows(descent.node, lanes)  # a lane without a new leaf leaves its row unreachable
    state = tree.state.take(pick(descent.parent, lanes))
    state = game.play_forced(game.step(state, pick(descent.action, lanes)))
    finished = game.is_terminal(state)
    tree.write_states(rows, state)
    exact = game.values(state, tree.value.dtype)
    write(tree.value, rows, exact)
    alive = pick(descent.new, lanes) & ~finished
    judged = working(alive)
    if judged is None or len(judged):
        state, rows = state.take(judged), some(rows, judged)
        logits, values = evaluator.evaluate(game, state, stream.take(lanes).take(judged))
        values = values.to(tree.value.dtype)
        if not compacts(tree.open.device):
            values = torch.where(alive[:, None], values, exact)
        write_evaluation(game, tree, rows, state, logits, values)
        write(tree.open, rows, pick(alive, judged))
    return alive.sum()


def back_up(tree: Tree, descent: Descent) -> Tensor:
    """Adds the leaf's value to every edge on the way, each as its own mover sees it.

    Returns:
        [T, seats] the leaves' values by absolute seat.
    """
    value = tree.value.index_select(0, descent.leaf)
    for trees, edge, taken in descent.edges:
        mover = tree.mover.index_select(0, torch.div(edge, tree.slots, rounding_mode="floor"))
        own = entries(value, trees * value.shape[1] + mover)
        tree.value_sum.view(-1).index_add_(0, edge, own * taken)
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

"""One simulation in every tree at once: descend to a new leaf, expand it, back its value up.

With all lanes and masks, so that no shape depends on data (`vecgame.lanes`), these functions are the specification.
Each device has one way that gives the same trees: a CPU runs them with the lanes that need work only, and a GPU has
kernels for parts of them (`vecmcts.kernels`), all of it in a graph (`vecmcts.graphs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.lanes import compacts, entries, pick, placed, working, worth_listing
from vecgame.philox import Stream
from vecgame.state import State
from vecmcts.config import SearchConfig
from vecmcts.evaluators import SIMULATION_BITS, Evaluator, only
from vecmcts.selection import puct
from vecmcts.tree import UNEXPANDED, Rows, Tree, some, write


@dataclass(frozen=True)
class End:
    """Where one walk from the root in each of the T trees ended."""

    leaf: Tensor  # [T] int64, row of the node at the end
    new: Tensor  # [T] bool, the leaf is a node that this descent adds
    parent: Tensor  # [T] int64, row of the node above a new leaf
    action: Tensor  # [T] int64, action that leads to a new leaf


@dataclass(frozen=True)
class Descent(End):
    """One walk from the root in each of the T trees: the E edges taken, all depths together, and where it ended."""

    row: Tensor  # [E] int64, row of the node that the edge leaves
    edge: Tensor  # [E] int64, row * A + slot
    taken: Tensor  # [E] bool; False for one of a tree that is only carried along


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


@dataclass(frozen=True)
class Judgement:
    """What the trees are told of K states, beside their values."""

    actions: Tensor  # [K, A] int64, the legal actions, -1 beyond them
    logits: Tensor  # [K, A], -inf beyond the legal actions
    prior: Tensor  # [K, A], the policy over the slots, likewise
    mover: Tensor  # [K] int64
    own_value: Tensor  # [K], the value to the mover

    @classmethod
    def of(cls, game: Game, state: State, logits: Tensor, values: Tensor) -> Judgement:
        """By the evaluator's logits [K, num_actions] and values [K, seats]."""
        actions = game.legal_actions(state)
        mover = game.mover(state)
        logits = game.slot_logits(state, actions, logits.to(values.dtype))
        # Over the first axis, which a CPU does 20 times as fast as over a last axis of a few slots.
        prior = torch.where(actions >= 0, logits.t().contiguous().softmax(0).t(), -torch.inf)
        return cls(actions, logits, prior, mover, values.gather(1, mover[:, None])[:, 0])


def write_evaluation(game: Game, tree: Tree, rows: Rows, state: State, logits: Tensor, values: Tensor) -> Tensor:
    """Puts the evaluator's judgement of K states at K rows.

    Returns:
        [K, A] logits of the slots, -inf beyond the legal actions.
    """
    judgement = Judgement.of(game, state, logits, values)
    write(tree.actions, rows, judgement.actions)
    write(tree.prior, rows, judgement.prior)
    write(tree.mover, rows, judgement.mover)
    write(tree.value, rows, values)
    write(tree.own_value, rows, judgement.own_value)
    return judgement.logits


def descend(
    game: Game,
    tree: Tree,
    node: int,
    depth: int,
    config: SearchConfig,
    root_slot: Tensor | None = None,
) -> Descent:
    """Walks down every tree to a slot without a child, which becomes ``node``, or to a node that is not open.

    Where lanes are left out (`vecgame.lanes`), the walk goes on with the trees that are still on their way; elsewhere
    with all of them, ``depth`` steps. The trees are read only until it is over, for no walk meets a node twice.

    Args:
        node: number of the node that is set aside for the new leaf.
        depth: steps of the longest possible path; a tree of n nodes has none of more than n.
        root_slot: [T] int64, the slots to take at the roots; None for those of PUCT.
    """
    every = torch.arange(tree.trees, device=tree.open.device)
    new_row = every + node * tree.trees
    trees, row = None, every  # those on their way (None: all of them), and where they are; the root of tree t is row t
    going = started = tree.open[: tree.trees]
    leaf, last_edge = every, every * tree.slots
    walked = []
    for level in range(depth):
        lanes = worth_listing(going)
        if lanes is not None:
            if len(lanes) == 0:
                break
            trees, row, going = lanes if trees is None else trees[lanes], row[lanes], going[lanes]
        at_root = level == 0 and lanes is None
        prior, visits, value_sum, own_value = (
            field[: tree.trees] if at_root else field.index_select(0, row)
            for field in (tree.prior, tree.visits, tree.value_sum, tree.own_value)
        )
        if level == 0 and root_slot is not None:
            slot = pick(root_slot, lanes)
        else:
            slot = puct(prior, visits, value_sum, own_value, config.c_puct).argmax(-1)
        edge = row * tree.slots + slot
        walked.append((row, edge, going))
        child = tree.child.view(-1).index_select(0, edge)
        grows = child == UNEXPANDED
        child = torch.where(grows, pick(new_row, trees), child)
        # What a tree comes to that is carried along without going on counts for nothing.
        last_edge = placed(last_edge, trees, torch.where(going, edge, pick(last_edge, trees)))
        leaf = placed(leaf, trees, torch.where(going, child, pick(leaf, trees)))
        going = going & ~grows & tree.open.index_select(0, child)
        row = child
    rows, edges, taken = (torch.cat(parts) for parts in zip(*walked, strict=True)) if walked else (every[:0],) * 3
    tree.visits.view(-1).index_add_(0, edges, taken.to(tree.visits.dtype))
    tree.child.view(-1).index_copy_(0, last_edge, torch.where(started, leaf, UNEXPANDED))
    parent = torch.div(last_edge, tree.slots, rounding_mode="floor")
    action = tree.actions.view(-1).index_select(0, last_edge).long()
    return Descent(leaf, leaf == new_row, parent, action, rows, edges, taken)


def expand(
    game: Game,
    tree: Tree,
    nodes: Sequence[int],
    descents: Sequence[End],
    evaluator: Evaluator,
    stream: Stream,
    grown: Callable[..., Leaves] | None = None,
    settled: Callable[..., None] | None = None,
) -> Tensor:
    """Makes and judges the new leaves of some descents, all of them together.

    Args:
        nodes: S numbers in a row, those of the descents.
        descents: S.
        stream: T lanes of random numbers.
        grown: what does `grow`'s work in its place (`vecmcts.kernels`).
        settled: likewise `settle`'s.

    Returns:
        [] int64, positions judged.
    """
    new, parent, action = (
        torch.cat([getattr(descent, name) for descent in descents]) if len(descents) > 1 else getattr(descents[0], name)
        for name in ("new", "parent", "action")
    )
    lanes = working(new)
    rows = tree.rows(nodes[0], lanes, len(nodes))
    leaves = (grown or grow)(game, tree, rows, pick(new, lanes), pick(parent, lanes), pick(action, lanes))
    judged = working(leaves.alive)
    if judged is None or len(judged):
        living = leaves.take(judged)
        numbers = stream.repeat([node << SIMULATION_BITS for node in nodes]).take(lanes).take(judged)
        judge = only(living.alive, evaluator) if judged is None else evaluator
        (settled or settle)(game, tree, living, *judge.evaluate(game, living.state, numbers))
    return leaves.alive.sum()


def grow(game: Game, tree: Tree, rows: Rows, new: Tensor, parent: Tensor, action: Tensor) -> Leaves:
    """Puts K new leaves into their rows, with the exact values of finished games.

    A tree without a ``new`` [K] bool leaf gets one all the same where all are carried along; no edge leads to it.
    """
    state = tree.state.take(parent)
    state = game.play_forced(game.step(state, action))
    leaves = Leaves(rows, state, new & ~game.is_terminal(state), game.values(state, tree.value.dtype))
    tree.write_states(rows, state)
    write(tree.value, rows, leaves.exact)
    return leaves


def settle(game: Game, tree: Tree, leaves: Leaves, logits: Tensor, values: Tensor) -> None:
    """Puts the evaluator's judgement of the K leaves into their trees, but for the values of finished games."""
    values = values.to(tree.value.dtype)
    if not compacts(tree.open.device):
        values = torch.where(leaves.alive[:, None], values, leaves.exact)
    write_evaluation(game, tree, leaves.rows, leaves.state, logits, values)
    write(tree.open, leaves.rows, leaves.alive)


def back_up(tree: Tree, descent: Descent, leaf_sum: Tensor) -> None:
    """Adds the leaf's value to every edge on the way, each as its own mover sees it.

    Args:
        leaf_sum: [T, seats], the leaves' values by absolute seat are added to it.
    """
    value = tree.value.index_select(0, descent.leaf)
    mover = tree.mover.index_select(0, descent.row)
    own = entries(value, (descent.row % tree.trees) * value.shape[1] + mover)
    tree.value_sum.view(-1).index_add_(0, descent.edge, own * descent.taken)
    leaf_sum += value

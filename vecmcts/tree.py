"""Many search trees at once, as one frozen dataclass of tensors that the search updates in place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import reduce
from torch import Tensor

from vecgame.game import Game
from vecgame.state import State

UNEXPANDED = -1
WORKING_BYTES = 16_384  # a tree, at most, beside its nodes: a leaf's features, masks, states and network activations
ROOT = 0

Rows = Tensor | slice
"""Rows of the node tensors: [K] int64, or a slice where they lie together."""


def action_type(game: Game) -> torch.dtype:
    """The smallest type that has all of a game's actions, and -1."""
    kinds = (torch.int8, torch.int16, torch.int32)
    return next(kind for kind in kinds if game.num_actions - 1 <= torch.iinfo(kind).max)


@dataclass(frozen=True)
class Tree:
    """T trees of N nodes with A slots each, where T = games x worlds, N = simulations + 1 and A = `game.max_legal`.

    A slot is an index into a node's legal actions in ascending order. Node n of tree t is row ``n * T + t`` of every
    node tensor, so that what is written for all trees at once lies together; node 0 is the root and the leaf of
    simulation s gets node s + 1, whether or not it turns out to be new.
    Visits are counted on the way down and values added on the way up, so that a visit whose leaf has not been
    evaluated yet counts with value 0: with one leaf a step this is PUCT, with more it is virtual loss.
    """

    state: State  # [N * T] lanes, the game at each node
    actions: Tensor  # [N * T, A] `action_type`: the legal ones, -1 beyond them
    prior: Tensor  # [N * T, A] float, the policy over the slots, -inf beyond the legal actions
    visits: Tensor  # [N * T, A] float, number of descents through each slot
    value_sum: Tensor  # [N * T, A] float, sum over those descents of the leaf's value to the node's mover
    child: Tensor  # [N * T, A] int64, row of the node that the slot leads to, or UNEXPANDED
    mover: Tensor  # [N * T] int64, seat to move
    value: Tensor  # [N * T, seats] float, the evaluator's value of the node, or the exact one at the end of a game
    own_value: Tensor  # [N * T] float, that value to the mover
    open: Tensor  # [N * T] bool, evaluated and not the end of a game: a descent may go on from here
    nodes: int  # N

    @classmethod
    def allocate(cls, game: Game, root: State, simulations: int, dtype: torch.dtype) -> Tree:
        """Trees with room for ``simulations`` leaves over the roots (T lanes), none of them evaluated yet."""
        trees, nodes, slots, device = root.batch_size, simulations + 1, game.max_legal, root.device
        rows = trees * nodes
        tree = cls(
            state=root.map(lambda tensor: tensor.new_empty((rows, *tensor.shape[1:]))),
            actions=torch.full((rows, slots), -1, dtype=action_type(game), device=device),
            prior=torch.full((rows, slots), -torch.inf, dtype=dtype, device=device),
            visits=torch.zeros((rows, slots), dtype=dtype, device=device),
            value_sum=torch.zeros((rows, slots), dtype=dtype, device=device),
            child=torch.full((rows, slots), UNEXPANDED, device=device),
            mover=torch.zeros(rows, dtype=torch.int64, device=device),
            value=torch.zeros((rows, game.seats), dtype=dtype, device=device),
            own_value=torch.zeros(rows, dtype=dtype, device=device),
            open=torch.zeros(rows, dtype=torch.bool, device=device),
            nodes=nodes,
        )
        tree.write_states(tree.rows(ROOT), root)
        return tree

    @classmethod
    def bytes_per_tree(cls, game: Game, simulations: int, dtype: torch.dtype = torch.float32) -> int:
        """What `allocate` takes for each tree, and what a search needs beside it."""
        tree = cls.allocate(game, game.deal(1), 1, dtype)
        tensors = [*tree.state.tensors().values(), *(t for t in vars(tree).values() if isinstance(t, Tensor))]
        node = sum(tensor[0].numel() * tensor.element_size() for tensor in tensors)
        return node * (simulations + 1) + WORKING_BYTES

    @property
    def trees(self) -> int:
        return self.open.shape[0] // self.nodes

    @property
    def slots(self) -> int:
        return self.actions.shape[1]

    def rows(self, node: int, trees: Tensor | None = None, count: int = 1) -> Rows:
        """Rows of one node in some trees ([K] int64) or in all of them (None); or of ``count`` nodes from ``node`` on,
        tree t of the i-th being ``i * T + t`` in ``trees``."""
        first = node * self.trees
        return slice(first, first + count * self.trees) if trees is None else trees + first

    def root_sums(self, worlds: int) -> tuple[Tensor, Tensor]:
        """Visits and sums of values at the roots over each game's ``worlds`` trees: [B, A] each."""
        roots = self.rows(ROOT)
        return tuple(
            reduce(field[roots], "(b w) slot -> b slot", "sum", w=worlds) for field in (self.visits, self.value_sum)
        )

    def write_states(self, rows: Rows, state: State) -> None:
        """Puts K states at K rows."""
        for mine, new in zip(self.state.tensors().values(), state.tensors().values(), strict=True):
            write(mine, rows, new)


def write(target: Tensor, rows: Rows, values: Tensor) -> None:
    """Puts K rows of values into the target."""
    if isinstance(rows, slice):
        target[rows] = values
    else:
        target.index_copy_(0, rows, values.to(target.dtype))


def some(rows: Rows, lanes: Tensor | None) -> Rows:
    """Some of the rows: those at ``lanes`` [K] int64, or all of them for None."""
    if lanes is None:
        return rows
    return lanes + rows.start if isinstance(rows, slice) else rows.index_select(0, lanes)

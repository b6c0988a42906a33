"""Many search trees at once, as one frozen dataclass of tensors that the search updates in place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.state import State

UNEXPANDED = -1
ROOT = 0


@dataclass(frozen=True)
class Tree:
    """T trees of N nodes with A slots each, where T = games x worlds, N = simulations + 1 and A = `game.max_legal`.

    A slot is an index into a node's legal actions in ascending order. Node n of tree t is row ``t * N + n`` of every
    node tensor; node 0 is the root and the leaf of simulation s gets node s + 1, whether or not it turns out to be new.
    Visits are counted on the way down and values added on the way up, so that a visit whose leaf has not been
    evaluated yet counts with value 0: with one leaf a step this is PUCT, with more it is virtual loss.
    """

    state: State  # [T * N] lanes, the game at each node
    actions: Tensor  # [T * N, A] int8, the legal actions, -1 beyond them
    prior: Tensor  # [T * N, A] float, the policy over the slots, -inf beyond the legal actions
    visits: Tensor  # [T * N, A] float, number of descents through each slot
    value_sum: Tensor  # [T * N, A] float, sum over those descents of the leaf's value to the node's mover
    child: Tensor  # [T * N, A] int64, row of the node that the slot leads to, or UNEXPANDED
    mover: Tensor  # [T * N] int64, seat to move
    value: Tensor  # [T * N, seats] float, the evaluator's value of the node, or the exact one at the end of a game
    own_value: Tensor  # [T * N] float, that value to the mover
    open: Tensor  # [T * N] bool, evaluated and not the end of a game: a descent may go on from here
    nodes: int  # N

    @classmethod
    def allocate(cls, game: Game, root: State, simulations: int, dtype: torch.dtype) -> Tree:
        """Trees with room for ``simulations`` leaves over the roots (T lanes), none of them evaluated yet."""
        trees, nodes, slots, device = root.batch_size, simulations + 1, game.max_legal, root.device
        rows = trees * nodes
        tree = cls(
            state=root.map(lambda tensor: tensor.new_empty((rows, *tensor.shape[1:]))),
            actions=torch.full((rows, slots), -1, dtype=torch.int8, device=device),
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

    @property
    def trees(self) -> int:
        return self.open.shape[0] // self.nodes

    @property
    def slots(self) -> int:
        return self.actions.shape[1]

    def rows(self, node: int) -> Tensor:
        """Row of one node of every tree: [T] int64."""
        return torch.arange(self.trees, device=self.open.device) * self.nodes + node

    def write_states(self, rows: Tensor, state: State) -> None:
        """Puts K states at K rows."""
        for mine, new in zip(self.state.tensors().values(), state.tensors().values(), strict=True):
            mine.index_copy_(0, rows, new)

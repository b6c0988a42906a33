"""New leaves in one launch, their features and what is told of them in others: `grow` and `settle` of
`vecmcts.simulation`, with the game's own rules in them, and its ``observe``.

The kernels are written from the game's functions (`vecmcts.kernels.lanes`), so a game has one if these are not too many
operations, and of a known kind. Forced moves are one of them in a loop, which ends as soon as no lane has another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.state import State
from vecmcts.kernels.lanes import LaneKernel
from vecmcts.simulation import Judgement, Leaves
from vecmcts.tree import Tree, action_type

log = logging.getLogger("vecgame.fallback")


@dataclass(frozen=True)
class Growth:
    """The kernel of a game; called like `vecmcts.simulation.grow`."""

    kernel: LaneKernel

    def __call__(self, game: Game, tree: Tree, rows: slice, new: Tensor, parent: Tensor, action: Tensor) -> Leaves:
        """`vecmcts.simulation.grow` of leaves that lie together."""
        fields = list(tree.state.tensors().values())
        alive = torch.empty_like(new)
        self.kernel([*fields, action, new], parent, [*fields, tree.value], [alive], rows.start, len(new))
        state = tree.state.map(lambda tensor: tensor[rows])
        return Leaves(rows, state, alive, tree.value[rows])

    def build(self, game: Game, tree: Tree) -> None:
        """Has Triton build the kernel, or raise what it does where it cannot."""
        self(game, tree, slice(0, 0), tree.open[:0], tree.mover[:0], tree.mover[:0])

    @classmethod
    def of(cls, game: Game, dtype: torch.dtype) -> Growth:
        """For trees with values of a type. Raises `UnknownError`, or what following the game brings up."""
        deal = game.deal(1)
        names = list(deal.tensors())

        def grown(*tensors: Tensor) -> list[Tensor]:
            *fields, action, new = tensors
            state = deal.from_tensors(dict(zip(names, fields, strict=True)))
            state = game.play_forced(game.step(state, action))
            values, alive = game.values(state, dtype), new & ~game.is_terminal(state)
            return [*state.tensors().values(), values, alive]

        examples = [*deal.tensors().values(), game.legal_actions(deal)[:, 0].clone(), deal.index == 0]
        return cls(LaneKernel("grow_kernel", grown, examples, len(names), len(names) + 1, rows_given=True))


@dataclass(frozen=True)
class Settlement:
    """The kernel of a game; called like `vecmcts.simulation.settle`."""

    kernel: LaneKernel

    def __call__(self, game: Game, tree: Tree, leaves: Leaves, logits: Tensor, values: Tensor) -> None:
        """`vecmcts.simulation.settle` of all leaves, which lie together; their exact values are in the tree."""
        dtype = tree.value.dtype
        inputs = [*tree.state.tensors().values(), tree.value, logits.to(dtype).contiguous()]
        places = [tree.actions, tree.prior, tree.mover, tree.value, tree.own_value, tree.open]
        inputs += [values.to(dtype).contiguous(), leaves.alive]
        self.kernel(inputs, None, places, [], leaves.rows.start, len(leaves.alive))

    def build(self, game: Game, tree: Tree) -> None:
        """Has Triton build the kernel, or raise what it does where it cannot."""
        none = slice(0, 0)
        leaves = Leaves(none, tree.state, tree.open[none], tree.value[none])
        self(game, tree, leaves, tree.value.new_empty(0, game.num_actions), tree.value[none])

    @classmethod
    def of(cls, game: Game, dtype: torch.dtype) -> Settlement:
        """For trees with values of a type. Raises `UnknownError`, or what following the game brings up."""
        deal = game.deal(1)
        names = list(deal.tensors())

        def settled(*tensors: Tensor) -> list[Tensor]:
            *fields, exact, logits, values, alive = tensors
            state = deal.from_tensors(dict(zip(names, fields, strict=True)))
            values = torch.where(alive[:, None], values, exact)
            told = Judgement.of(game, state, logits, values)
            return [told.actions.to(action_type(game)), told.prior, told.mover, values, told.own_value, alive]

        values = torch.zeros(1, game.seats, dtype=dtype)
        logits = torch.zeros(1, game.num_actions, dtype=dtype)
        examples = [*deal.tensors().values(), values, logits, values.clone(), deal.index == 0]
        return cls(LaneKernel("settle_kernel", settled, examples, len(names) + 1, 6, rows_given=False))


@dataclass(frozen=True)
class Observation:
    """The kernel of a game; called like its ``observe`` of what the movers know."""

    kernel: LaneKernel

    def __call__(self, game: Game, state: State) -> Tensor:
        """[K, features] float32."""
        features = torch.empty(state.batch_size, game.features, device=state.device)
        fields = [tensor.contiguous() for tensor in state.tensors().values()]  # a game's own step may leave others
        self.kernel(fields, None, [], [features], 0, state.batch_size)
        return features

    def build(self, game: Game, tree: Tree) -> None:
        """Has Triton build the kernel, or raise what it does where it cannot."""
        self(game, tree.state.map(lambda tensor: tensor[:0]))

    @classmethod
    def of(cls, game: Game, dtype: torch.dtype) -> Observation:
        """Raises `UnknownError`, or what following the game brings up."""
        deal = game.deal(1)
        names = list(deal.tensors())

        def observed(*tensors: Tensor) -> list[Tensor]:
            return [game.observe(deal.from_tensors(dict(zip(names, tensors, strict=True))))]

        return cls(LaneKernel("observe_kernel", observed, [*deal.tensors().values()], 0, 0, rows_given=False))


Part = Growth | Settlement | Observation
PARTS = {"moves": Growth, "leaves' judgement": Settlement, "features": Observation}
_known: dict[tuple[Game, torch.dtype, torch.device, str], Part | None] = {}


def part(game: Game, tree: Tree, what: str) -> Part | None:
    """The kernel of a game for one of `PARTS`, written and built at the first call; None, and a line in the log, where
    there is none."""
    key = game, tree.value.dtype, tree.open.device, what
    if key not in _known:
        try:
            found = PARTS[what].of(game, tree.value.dtype)
            found.build(game, tree)
            _known[key] = found
        except torch.OutOfMemoryError:
            raise  # the caller tries a smaller batch
        except Exception as error:  # whatever a game of somebody's own does that cannot be followed
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            log.warning("searches of %s go on without a kernel for its %s: %s", game.name, what, reason)
            _known[key] = None
    return _known[key]

"""Parts of a search as Triton kernels, for a GPU: one launch each, where operations of tensors take hundreds.

A kernel is beside the function of tensors that says what it does, and tests hold the two equal: `vecmcts.kernels.tree`
beside `vecmcts.simulation`, `vecmcts.kernels.worlds` beside `vecgame.worlds`. Triton comes with PyTorch's CUDA build;
nothing of it is loaded before a GPU searches.
Where it is missing or its kernels cannot be built, one line in the log says so, and the functions of tensors go on.

A kernel is built when a search of its kind first meets it, in about a second, and kept on disk for later processes by
Triton itself (`TRITON_CACHE_DIR`). Nothing about a kernel depends on the number of games or of the simulation, so that
one build does for all sizes of a batch, and it waits for nothing, so that `vecmcts.graphs` records it.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.state import State
from vecgame.worlds import BY_CARD, DRAWN_BY
from vecmcts.simulation import End, Leaves
from vecmcts.tree import Tree

log = logging.getLogger("vecgame.fallback")

DEVICES = {"cuda"}  # types of device whose trees are searched by kernels
_failed: set[str] = set()  # those of them for which none can be built here
_built: set[tuple] = set()  # kinds of trees whose kernels have been built
_other_numbers: set[int] = set()  # of hidden hands, for which there is no kernel, which has been said


def usable(device: torch.device) -> bool:
    """Whether trees there are searched by kernels, as far as is known."""
    return device.type in DEVICES and device.type not in _failed


@dataclass(frozen=True)
class Kernels:
    """What the functions of these names in `vecmcts.simulation` do, by kernels."""

    trees: ModuleType
    grow: Callable[..., Leaves] | None  # None in a game whose moves have no kernel
    settle: Callable[..., None] | None  # likewise
    observe: Callable[[Game, State], Tensor] | None  # likewise, of the game

    @property
    def descend(self) -> Callable[..., End]:
        return self.trees.descend

    @property
    def back_up(self) -> Callable[..., None]:
        return self.trees.back_up


def of_trees(game: Game, tree: Tree) -> Kernels | None:
    """The kernels for trees of this kind, once they are built; None where there are none.

    The first call for a kind builds them, so it must not be made while a graph is being recorded.
    """
    device = tree.open.device
    if not usable(device):
        return None
    kind = device, tree.value.dtype, tree.slots, tree.value.shape[1]
    try:
        from vecmcts.kernels import leaves
        from vecmcts.kernels import tree as trees

        if kind not in _built:
            trees.build(tree)
            _built.add(kind)
        return Kernels(trees, *(leaves.part(game, tree, what) for what in leaves.PARTS))
    except torch.OutOfMemoryError:
        raise  # the caller tries a smaller batch
    except Exception as error:  # whatever a missing package, compiler or driver makes of itself
        return _without(device, error)


def draw_hands(
    unseen: Tensor, needs: Tensor, may: Tensor, index: Tensor, turn: Tensor, count: int, seed: int
) -> Tensor | None:
    """`vecgame.worlds.draw_hands` of three hands, by kernels; None for other numbers of hands, which one line in the
    log says, where hands cannot be drawn, or where there are no kernels."""
    device, number = unseen.device, len(needs)
    if not usable(device):
        return None
    if number != BY_CARD:
        if number not in _other_numbers:
            _other_numbers.add(number)
            log.warning("worlds of %d hidden hands are drawn without a kernel, which there is for %d", number, BY_CARD)
        return None
    try:
        from vecmcts.kernels import worlds as by_kernels

        return by_kernels.draw_hands(unseen, needs, may, index, turn, count, seed)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return _without(device, error)


def _without(device: torch.device, error: Exception) -> None:
    """Goes on by tensors on devices of this type from now on, and says why in one line."""
    _failed.add(device.type)
    reason = (str(error) or type(error).__name__).strip().splitlines()[0]
    log.warning("searches on %s go on without kernels: %s", device.type, reason)


DRAWN_BY["cuda"] = draw_hands


def owners(device: torch.device) -> list[ModuleType]:
    """The modules whose ``descend`` and ``back_up`` searches call there beside those of `vecmcts.search`, for whoever
    measures them."""
    return [importlib.import_module("vecmcts.kernels.tree")] * (usable(device) and find_spec("triton") is not None)

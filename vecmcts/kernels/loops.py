"""Steps that may be many, as a loop of a kernel: `vecgame.lanes.steps_while`, whose step is followed once.

While a function is followed, its loop is two operations of our own around the operations of one step; all between them
is said again and again, in terms of the state as it is then. As an operation of torch each gives back what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from vecgame.lanes import carrying_all, looping
from vecgame.state import State
from vecmcts.kernels.writer import Lanes, UnknownError, Writer, rule

_library = torch.library.Library("vecmcts", "DEF")
_library.define("loop_begins(Tensor[] state, int most) -> Tensor[]")
_library.define("loop_ends(Tensor[] state, Tensor going) -> Tensor[]")
_library.impl("loop_begins", lambda state, most: [x.clone() for x in state], "CompositeExplicitAutograd")
_library.impl("loop_ends", lambda state, going: [x.clone() for x in state], "CompositeExplicitAutograd")


@contextmanager
def following() -> Iterator[None]:
    """Within the block a function's operations are those of which a kernel is written: the same ones for all lanes, and
    of steps that may be many those of one."""
    with carrying_all(), looping(loop), torch.no_grad():
        yield


def loop(
    state: State,
    most: int,
    forced: Callable[[State], tuple[Tensor, Tensor]],
    step: Callable[[State, Tensor], State],
) -> State:
    """One step of `vecgame.lanes.steps_while`, marked as what is done up to ``most`` times."""
    if most == 0:
        return state
    names = list(state.tensors())
    fields = torch.ops.vecmcts.loop_begins(list(state.tensors().values()), most)
    before = state.from_tensors(dict(zip(names, fields, strict=True)))
    mask, told = forced(before)
    after = step(before, told).where(mask, before)
    for name, field in after.tensors().items():
        if field.dtype != (old := getattr(before, name)).dtype or field.shape != old.shape:
            raise UnknownError(f"a step makes {name} {field.dtype} {list(field.shape[1:])} of {old.dtype}")
    fields = torch.ops.vecmcts.loop_ends(list(after.tensors().values()), mask)
    return state.from_tensors(dict(zip(names, fields, strict=True)))


@rule(torch.ops.vecmcts.loop_begins.default)
def begins(write: Writer, out: Sequence[Tensor], state: Sequence[Lanes], most: int) -> list[Lanes]:
    arrays = [_names(write, value, x) for value, x in zip(state, out, strict=True)]
    return [Lanes(names, x.dtype) for names, x in zip(write.begin(most, arrays), out, strict=True)]


@rule(torch.ops.vecmcts.loop_ends.default)
def ends(write: Writer, out: Sequence[Tensor], state: Sequence[Lanes], going: Lanes) -> list[Lanes]:
    arrays = [_names(write, value, x) for value, x in zip(state, out, strict=True)]
    after = write.end(arrays, write.of(going, torch.bool)[0])
    return [Lanes(names, x.dtype) for names, x in zip(after, out, strict=True)]


def _names(write: Writer, value: Lanes, out: Tensor) -> np.ndarray:
    return np.broadcast_to(write.of(value, out.dtype), write.shape(out.shape))

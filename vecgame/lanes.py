"""Leaving out lanes that need no work, where that is cheap.

On a CPU a list of the lanes that do costs nothing, and the others' work is saved. On a GPU the host would have to wait
for the list's length, so all lanes are carried along and masks keep those that need no work as they are. The results
are the same; tests hold the two ways against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from vecgame.state import State, StateT

COMPACT = {"cpu": True, "cuda": False}
LOOK = 64  # decisions between two looks at whether all games are over, where the host has to wait for the answer
FEW = 64  # lanes, of which a list costs more than their work: an operation on one of them takes as long to issue
Loop = Callable[..., State]  # called like `steps_while`
_carrying_all: ContextVar[bool] = ContextVar("carrying_all", default=False)
_loop: ContextVar[Loop | None] = ContextVar("loop", default=None)


def compacts(device: torch.device) -> bool:
    """Whether lanes without work are left out on this device."""
    return COMPACT[device.type] and not _carrying_all.get()


@contextmanager
def carrying_all() -> Iterator[None]:
    """Leaves no lane out on any device within the block, in this thread."""
    token = _carrying_all.set(True)
    try:
        yield
    finally:
        _carrying_all.reset(token)


@contextmanager
def looping(loop: Loop) -> Iterator[None]:
    """Has ``loop`` do the work of `steps_while` within the block, in this thread: for who follows a function's
    operations to write a program of them, in which steps that may be many are a loop."""
    token = _loop.set(loop)
    try:
        yield
    finally:
        _loop.reset(token)


def has_choice(actions: Tensor) -> Tensor:
    """Whether there is more than one of the ``actions`` [L, max_legal] of `Game.legal_actions`: [L] bool. In games that
    may be over ask `Game.chooses`."""
    if actions.shape[1] == 1:
        return torch.zeros_like(actions[:, 0], dtype=torch.bool)
    return actions[:, 1] >= 0  # those that there are come first


def working(mask: Tensor) -> Tensor | None:
    """The lanes to work on: [K] int64, those marked in ``mask`` [B] bool; None for all of them, where none is left out
    or none would be."""
    if not compacts(mask.device):
        return None
    lanes = mask.nonzero()[:, 0]
    return lanes if lanes.shape[0] < mask.shape[0] else None


def worth_listing(mask: Tensor) -> Tensor | None:
    """`working`, but None too where there are `FEW` lanes in all and any is marked."""
    return working(mask) if mask.shape[0] > FEW or none(mask) else None


def none(mask: Tensor) -> bool:
    """Whether no lane is marked, where the host can know that without waiting; else False."""
    return compacts(mask.device) and not bool(mask.any())


def ended(over: Callable[[], Tensor], number: int, device: torch.device) -> bool:
    """Whether all games are over after so many decisions, and a loop over as many as there may be need not go on, for a
    bound on a game's length may lie far above how long it takes; False where that is not worth a look. On a GPU the
    host has to wait for the answer, and asks after every `LOOK` decisions only, and never while a graph is recorded.
    Likewise of forced moves, of which there may be many in a row.

    Args:
        over: gives [B] bool, whether each game is over.
    """
    if not compacts(device):
        recording = device.type == "cuda" and torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
        if number == 0 or number % LOOK or recording:
            return False
    return bool(over().all())


def pick(tensor: Tensor, lanes: Tensor | None) -> Tensor:
    """The lanes [K] int64 of a tensor [B, ...], or all of it for None."""
    return tensor if lanes is None else tensor.index_select(0, lanes)


def placed(tensor: Tensor, lanes: Tensor | None, values: Tensor) -> Tensor:
    """The tensor [B] with its lanes [K] int64 replaced by values [K], or all of it for None."""
    return values if lanes is None else tensor.index_copy(0, lanes, values)


def steps_while(
    state: StateT,
    most: int,
    forced: Callable[[StateT], tuple[Tensor, Tensor]],
    step: Callable[[StateT, Tensor], StateT],
) -> StateT:
    """The state after up to ``most`` steps of each lane, made as long as it is forced.

    Args:
        state: B lanes.
        forced: lanes -> ([K] bool, whether a step is forced; [K] int64, what ``step`` is told of it).
        step: (lanes, [K] int64) -> the lanes after it.
    """
    if (loop := _loop.get()) is not None:
        return loop(state, most, forced, step)
    part, place = state, None  # the lanes that may be forced still, and where they are (None: all of them)
    for number in range(most):
        mask, told = forced(part)
        lanes = worth_listing(mask)
        if lanes is not None and len(lanes) == 0:
            break
        if not compacts(mask.device) and ended(mask.logical_not, number, mask.device):
            break
        before = part.take(lanes)
        part = step(before, pick(told, lanes))
        if lanes is None:
            part = part.where(mask, before)
        else:
            place = lanes if place is None else place[lanes]
        state = part if place is None else state.put(place, part)
    return state


def entries(tensor: Tensor, place: Tensor) -> Tensor:
    """One entry of each lane: tensor [B, C], place [B] int64 = C * lane + column -> [B].

    A flat look-up: measured a fifth of the time of `gather` with a [B, 1] index on a CPU.
    """
    return tensor.flatten().index_select(0, place)


def with_entries(tensor: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """The tensor [B, C] with one entry of each lane, at ``place`` as in `entries`, replaced by values [B]."""
    return tensor.flatten().index_copy(0, place, values).view(tensor.shape)


def with_added(tensor: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """The tensor [B, C] with values [B] added to one entry of each lane, at ``place`` as in `entries`, in its dtype."""
    return with_entries(tensor, place, entries(tensor, place) + values.to(tensor.dtype))


def place_of(seat: Tensor, seats: int = 4) -> Tensor:
    """Where seat [B] of each lane is found in a flattened [B, seats] field: [B] int64, for `entries`."""
    return torch.arange(0, seats * len(seat), seats, device=seat.device) + seat


def around(seat: Tensor, seats: int = 4) -> Tensor:
    """Integers counted round a table of ``seats`` seats: their remainders 0 .. seats - 1, those of negative ones too.

    A mask does it for four seats; a division takes seven times as long on a CPU.
    """
    return seat & (seats - 1) if seats & (seats - 1) == 0 else torch.remainder(seat, seats)

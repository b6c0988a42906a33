"""Operations that choose among a lane's numbers or join them: look-ups, sums, the best, softmax."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vecmcts.kernels.arithmetic import div
from vecmcts.kernels.writer import Lanes, UnknownError, Value, Writer, aten, inner, rule

MOST_COMPARED = 16  # numbers of an argument from which one is chosen by comparisons, rather than in its memory
MOST_CHOSEN = 64  # of other numbers
MOST_SORTED = 8


def _chosen(write: Writer, entries: Sequence[str], place: str, dtype: torch.dtype) -> str:
    """The entry at a place: the last of those that are compared with it."""
    found = entries[0]
    for number, entry in enumerate(entries[1:], 1):
        found = write.line(f"tl.where({place} == {write.constant(number, dtype)}, {entry}, {found})")
    return found


@rule(aten.index_select.default)
def index_select(write: Writer, out: Tensor, a: Value, dim: int, index: Value) -> Lanes:
    if isinstance(a, Lanes) and isinstance(index, Lanes) and _places_in(a, index):
        entries = list(a.names[0])
        names = write.each(lambda place: _chosen(write, entries, place, index.dtype), index.names)
        return Lanes(names, a.dtype, index.flat, axis=index.axis)
    if isinstance(a, Lanes) and isinstance(index, Tensor):
        return Lanes(np.take(a.names, index.tolist(), axis=inner(a, dim)), a.dtype)
    if isinstance(a, Tensor) and dim == 0 and isinstance(index, Lanes) and not index.stride:
        return _looked_up(write, a, index)
    raise UnknownError("index_select")


def _places_in(a: Lanes, index: Lanes) -> bool:
    """Whether the index counts places in the flat [B * P] tensor ``a``."""
    return a.flat and a.names.ndim == 2 and a.names.shape[0] == 1 and index.stride == a.names.shape[1]


def _looked_up(write: Writer, table: Tensor, index: Lanes) -> Lanes:
    """Rows of a table [N, ...] that is known: loads, or of numbers' bits these themselves."""
    if _of_bits(table):
        names = np.empty((*index.names.shape, table.shape[1]), dtype=object)
        for where in np.ndindex(*names.shape):
            row = write.cast(index.names[where[:-1]], index.dtype, torch.int32)
            bit = write.line(f"({row} >> {where[-1]}) & 1")
            write.whole.add(bit)
            names[where] = write.cast(bit, torch.int32, table.dtype)
        return Lanes(names, table.dtype, index.flat, axis=index.axis)
    pointer, size = write.table(table), int(np.prod(table.shape[1:]))
    names = np.empty((*index.names.shape, *table.shape[1:]), dtype=object)
    for where in np.ndindex(*index.names.shape):
        row = index.names[where]
        for number, place in enumerate(np.ndindex(*table.shape[1:])):
            names[(*where, *place)] = write.line(
                f"tl.load({pointer} + {row}.to(tl.int64) * {size} + {number}, mask=inside, other=0)"
            )
    return Lanes(names, table.dtype, index.flat, axis=index.axis)


def _of_bits(table: Tensor) -> bool:
    """Whether a table holds in row n the bits of n, as that of `vecgame.cards.unpack` does."""
    if table.ndim != 2 or len(table) != 1 << table.shape[1]:
        return False
    row, place = (torch.arange(size, device=table.device) for size in table.shape)
    return torch.equal(table, (row[:, None] >> place & 1).to(table.dtype))


@rule(aten.gather.default)
def gather(write: Writer, out: Tensor, a: Value, dim: int, index: Value) -> Lanes:
    if not (isinstance(index, Lanes) and isinstance(a, Lanes) and a.names.ndim == 2 and dim % 2 == 1):
        raise UnknownError("gather")
    entries = list(a.names[0])
    number, _, size = write.loads.get(entries[0], (0, 0, 0))
    whole = size == len(entries) and entries == [f"x{number}_{entry}" for entry in range(size)]
    if whole and size > MOST_COMPARED:
        return Lanes(write.each(lambda at: write.line(write.load(number, at, size, a.dtype)), index.names), a.dtype)
    if len(entries) > MOST_CHOSEN:
        raise UnknownError(f"one of {len(entries)} numbers")
    return Lanes(write.each(lambda place: _chosen(write, entries, place, index.dtype), index.names), a.dtype)


@rule(aten.index.Tensor)
def index(write: Writer, out: Tensor, a: Value, places: Sequence[Value]) -> Lanes:
    """One of the entries along the second axis, in each lane its own: ``a[torch.arange(len(a)), place]``."""
    lane, *others = places
    if not isinstance(a, Lanes) or not isinstance(lane, Lanes) or lane.stride != 1 or len(others) != 1:
        raise UnknownError("an index")
    place = write.of(others[0], others[0].dtype)
    if place.shape != (1,) or a.axis != 0:
        raise UnknownError("an index of several entries")
    each = write.of(a, a.dtype)
    names = np.empty((1, *each.shape[2:]), dtype=object)
    for where in np.ndindex(*each.shape[2:]):
        entries = list(each[(0, slice(None), *where)])
        names[(0, *where)] = _chosen(write, entries, place[0], others[0].dtype)
    return Lanes(names, a.dtype)


@rule(aten.scatter_add.default)
def scatter_add(write: Writer, out: Tensor, a: Lanes, dim: int, index: Lanes, values: Value) -> Lanes:
    """One number a lane added to one of its entries."""
    if index.names.shape != (1, 1) or dim % 2 != 1:
        raise UnknownError("a sum of several numbers at places")
    place, new, names = index.names[0, 0], write.of(values, a.dtype)[0, 0], write.of(a, a.dtype).copy()
    for number in range(names.shape[1]):
        same = write.line(f"{place} == {write.constant(number, index.dtype)}")
        more = write.line(f"{names[0, number]} + {new}")
        names[0, number] = write.line(f"tl.where({same}, {more}, {names[0, number]})")
    return Lanes(names, a.dtype)


@rule(aten.sort.stable)
def sort(
    write: Writer, out: Sequence[Tensor], a: Lanes, stable: bool = False, dim: int = -1, descending: bool = False
) -> list[Lanes]:
    """A few numbers by exchanges of neighbours, as often as there may be places to go; equal ones stay in order."""
    axis, dtype = inner(a, dim), a.dtype
    if a.names.shape[axis] > MOST_SORTED:
        raise UnknownError(f"{a.names.shape[axis]} numbers sorted")
    small = dtype if dtype != torch.bool else torch.int8
    values = [np.take(write.of(a, small), number, axis=axis) for number in range(a.names.shape[axis])]
    places = [np.full(values[0].shape, write.constant(n, torch.int64), dtype=object) for n in range(len(values))]
    better = "<" if descending else ">"
    for last in reversed(range(1, len(values))):
        for n in range(last):
            beats = write.each(lambda x, y: write.line(f"{x} {better} {y}"), values[n], values[n + 1])
            for row in (values, places):
                row[n], row[n + 1] = (
                    write.each(lambda m, x, y: write.line(f"tl.where({m}, {y}, {x})"), beats, x, y)
                    for x, y in ((row[n], row[n + 1]), (row[n + 1], row[n]))
                )
    names = Lanes(np.stack(values, axis), small), Lanes(np.stack(places, axis), torch.int64)
    return [Lanes(write.of(names[0], dtype), dtype), names[1]]


@rule(aten.index_copy.default)
def index_copy(write: Writer, out: Tensor, a: Lanes, dim: int, index: Lanes, values: Value) -> Lanes:
    if not (isinstance(a, Lanes) and isinstance(index, Lanes) and index.names.size == 1 and _places_in(a, index)):
        raise UnknownError("index_copy")
    place, new = index.names[0], write.of(values, a.dtype)[0]
    names = a.names.copy()
    for number in range(names.shape[1]):
        same = write.line(f"{place} == {write.constant(number, index.dtype)}")
        names[0, number] = write.line(f"tl.where({same}, {new}, {names[0, number]})")
    return Lanes(names, a.dtype, flat=True)


def _reduced(
    write: Writer, a: Lanes, dims: Any, keep: bool, dtype: torch.dtype, join: Callable[[str, str], str]
) -> Lanes:
    dims = [dims] if isinstance(dims, int) else dims
    names = write.of(a, dtype)
    for dim in sorted((inner(a, dim) for dim in dims), reverse=True):
        parts = [np.take(names, number, axis=dim) for number in range(names.shape[dim])]
        names = functools.reduce(lambda x, y: write.each(join, x, y), parts)
        if keep:
            names = np.expand_dims(names, dim)
    return Lanes(names, dtype)


@rule(aten.sum.dim_IntList)
def total(write: Writer, out: Tensor, a: Lanes, dims: Any, keepdim: bool = False, **options: object) -> Lanes:
    names = write.of(a, out.dtype)
    if out.dtype.is_floating_point and not write.whole.issuperset(names.flat):
        raise UnknownError("a sum of floating point, whose order is torch's")
    return _reduced(write, a, dims, keepdim, out.dtype, lambda x, y: write.line(f"{x} + {y}"))


@rule(aten.mean.dim)
def mean(write: Writer, out: Tensor, a: Lanes, dims: Any, keepdim: bool = False, **options: object) -> Lanes:
    whole = total(write, out, a, dims, keepdim)
    return div(write, out, whole, a.names.size // whole.names.size)


@rule(aten.any.dim)
def any_of(write: Writer, out: Tensor, a: Lanes, dim: int, keepdim: bool = False) -> Lanes:
    return _reduced(write, a, dim, keepdim, torch.bool, lambda x, y: write.line(f"{x} | {y}"))


@rule(aten.all.dim)
def all_of(write: Writer, out: Tensor, a: Lanes, dim: int, keepdim: bool = False) -> Lanes:
    return _reduced(write, a, dim, keepdim, torch.bool, lambda x, y: write.line(f"{x} & {y}"))


@rule(aten.amax.default)
def amax(write: Writer, out: Tensor, a: Lanes, dims: Any, keepdim: bool = False) -> Lanes:
    return _reduced(write, a, dims, keepdim, out.dtype, lambda x, y: write.line(f"tl.maximum({x}, {y})"))


@rule(aten.amin.default)
def amin(write: Writer, out: Tensor, a: Lanes, dims: Any, keepdim: bool = False) -> Lanes:
    return _reduced(write, a, dims, keepdim, out.dtype, lambda x, y: write.line(f"tl.minimum({x}, {y})"))


@rule(aten.argmax.default)
def argmax(write: Writer, out: Tensor, a: Lanes, dim: int | None = None, keepdim: bool = False) -> Lanes:
    return _first_best(write, a, dim, keepdim, ">")


@rule(aten.argmin.default)
def argmin(write: Writer, out: Tensor, a: Lanes, dim: int | None = None, keepdim: bool = False) -> Lanes:
    return _first_best(write, a, dim, keepdim, "<")


def _first_best(write: Writer, a: Lanes, dim: int | None, keep: bool, better: str) -> Lanes:
    """The place of the first of the greatest or the least."""
    if dim is None:
        raise UnknownError("the best of all lanes")
    axis = inner(a, dim)
    best, *others = [np.take(a.names, number, axis=axis) for number in range(a.names.shape[axis])]
    place = write.each(lambda _: write.constant(0, torch.int64), best)
    for number, other in enumerate(others, 1):
        beats = write.each(lambda x, y: write.line(f"{x} {better} {y}"), other, best)
        best = write.each(lambda m, x, y: write.line(f"tl.where({m}, {x}, {y})"), beats, other, best)
        here = write.constant(number, torch.int64)
        place = write.each(lambda m, y, x=here: write.line(f"tl.where({m}, {x}, {y})"), beats, place)
    return Lanes(np.expand_dims(place, axis) if keep else place, torch.int64)


@rule(aten._softmax.default)
def softmax(write: Writer, out: Tensor, a: Lanes, dim: int, to_float: bool) -> Lanes:
    """Rounded otherwise than torch's in the last place: exponentials are Triton's own."""
    if to_float or a.dtype not in (torch.float32, torch.float64) or out.shape[dim] == write.lanes:
        raise UnknownError("softmax")
    parts = [np.take(a.names, [number], axis=dim) for number in range(a.names.shape[dim])]
    most = functools.reduce(lambda x, y: write.each(lambda p, q: write.line(f"tl.maximum({p}, {q})"), x, y), parts)
    powers = [write.each(lambda p, q: write.line(f"tl.exp({p} - {q})"), part, most) for part in parts]
    total = functools.reduce(lambda x, y: write.each(lambda p, q: write.line(f"{p} + {q}"), x, y), powers)
    shares = [div(write, out, Lanes(part, a.dtype), Lanes(total, a.dtype)).names for part in powers]
    return Lanes(np.concatenate(shares, axis=dim), a.dtype)

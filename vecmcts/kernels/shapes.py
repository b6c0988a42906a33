"""Operations that put a lane's numbers in other places: shapes, parts, and what is the same in all lanes."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vecmcts.kernels.writer import Lanes, UnknownError, Value, Writer, aten, inner, plain, rule


@rule(aten.alias.default, aten.detach.default, aten.clone.default, aten.lift_fresh_copy.default)
def same(write: Writer, out: Tensor, a: Lanes, **options: object) -> Lanes:
    return a


@rule(aten.view.default, aten._unsafe_view.default, aten.expand.default)
def view(write: Writer, out: Tensor, a: Value, *sizes: object) -> Lanes:
    axis, shape = write.axis(out.shape), write.shape(out.shape)
    if not isinstance(a, Lanes):  # the same in all lanes
        return Lanes(np.broadcast_to(_alike(write, a, out), shape), out.dtype)
    if axis < 0:  # flat along the first axis
        if a.flat or a.names.size * write.lanes != out.shape[0] or out.ndim > 1:
            raise UnknownError("a flat tensor of more than one axis")
        return Lanes(a.names, a.dtype, flat=True, stride=a.stride, axis=a.axis)
    if a.names.size != int(np.prod(shape)):  # expanded
        plain(a)
        return Lanes(np.broadcast_to(a.names, shape), a.dtype)
    if int(np.prod(a.names.shape[: a.axis])) != int(np.prod(shape[:axis])):
        raise UnknownError("lanes that a view puts elsewhere")
    return Lanes(a.names.reshape(shape), a.dtype, stride=a.stride)


@rule(aten.unsqueeze.default)
def unsqueeze(write: Writer, out: Tensor, a: Lanes, dim: int) -> Lanes:
    plain(a)
    return Lanes(np.expand_dims(a.names, dim % out.ndim), a.dtype)


@rule(aten.select.int)
def select(write: Writer, out: Tensor, a: Lanes, dim: int, index: int) -> Lanes:
    return Lanes(np.take(a.names, index, axis=inner(a, dim)), a.dtype)


@rule(aten.unbind.int)
def unbind(write: Writer, out: Sequence[Tensor], a: Lanes, dim: int = 0) -> list[Lanes]:
    return [select(write, out[number], a, dim, number) for number in range(a.names.shape[inner(a, dim)])]


@rule(aten.roll.default)
def roll(write: Writer, out: Tensor, a: Lanes, shifts: Sequence[int], dims: Sequence[int] = ()) -> Lanes:
    if not dims:
        raise UnknownError("a roll of all lanes")
    return Lanes(np.roll(a.names, shifts, axis=tuple(inner(a, dim) for dim in dims)), a.dtype)


@rule(aten.slice.Tensor)
def cut(
    write: Writer, out: Tensor, a: Lanes, dim: int = 0, start: int = 0, end: int | None = None, step: int = 1
) -> Lanes:
    if dim == 0 and out.shape[0] == write.lanes:
        return a
    places = [slice(None)] * a.names.ndim
    places[inner(a, dim)] = slice(start, end, step)
    return Lanes(a.names[tuple(places)], a.dtype)


@rule(aten.cat.default)
def cat(write: Writer, out: Tensor, parts: Sequence[Value], dim: int = 0) -> Lanes:
    plain(*parts)
    if dim % out.ndim == write.axis(out.shape) or write.axis(out.shape) < 0:
        raise UnknownError("lanes one after the other")
    return Lanes(np.concatenate([_alike(write, part, out) for part in parts], axis=dim), out.dtype)


@rule(aten.stack.default)
def stack(write: Writer, out: Tensor, parts: Sequence[Value], dim: int = 0) -> Lanes:
    plain(*parts)
    return Lanes(np.stack([_alike(write, part, out) for part in parts], axis=dim), out.dtype)


def _alike(write: Writer, part: Value, out: Tensor) -> np.ndarray:
    """A part's names. One that is known was made by no argument, so it is the same in all lanes."""
    if isinstance(part, Lanes):
        return write.of(part, out.dtype)
    axis = write.axis(part.shape)
    return write.of(part if axis < 0 else part.narrow(axis, 0, 1), out.dtype)


@rule(aten.t.default)
def transposed(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    plain(a)
    return Lanes(a.names.T, a.dtype)


@rule(aten.arange.start_step)
def arange(write: Writer, out: Tensor, start: int, end: int, step: int = 1, **options: object) -> Value:
    if start == 0 and end == step * write.lanes:
        return Lanes(np.array([write.constant(0, out.dtype)], dtype=object), out.dtype, stride=step)
    raise UnknownError("arange")


@rule(aten.arange.default)
def numbers(write: Writer, out: Tensor, end: int, **options: object) -> Value:
    return arange(write, out, 0, end)


@rule(
    aten.full_like.default,
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full.default,
    aten.zeros.default,
    aten.ones.default,
    aten.new_zeros.default,
    aten.new_full.default,
)
def filled(write: Writer, out: Tensor, *arguments: object, **options: object) -> Value:
    if write.axis(out.shape) < 0:
        raise UnknownError("an array of other lanes")
    name = write.constant(out.flatten()[0].item(), out.dtype)
    return Lanes(np.full(write.shape(out.shape), name, dtype=object), out.dtype)


@rule(aten.empty.memory_format, aten.new_empty.default, aten.empty_like.default)
def empty(write: Writer, out: Tensor, *arguments: object, **options: object) -> Value:
    """Room, to be filled by `copy`; what has not been filled has no name."""
    if write.axis(out.shape) < 0:
        raise UnknownError("an array of other lanes")
    return Lanes(np.full(write.shape(out.shape), None, dtype=object), out.dtype)


@rule(aten.copy_.default)
def copy(write: Writer, out: Tensor, a: Lanes, new: Value, *options: object) -> Lanes:
    """Into room that `empty` has made, or a part of it: parts share their names with it."""
    plain(a, new)
    if any(name is not None for name in a.names.flat):
        raise UnknownError("a change of what has been written")
    a.names[...] = write.of(new, a.dtype)
    return a


@rule(operator.getitem)
def item(write: Writer, out: Tensor, parts: Sequence[Value], index: int) -> Value:
    return parts[index]

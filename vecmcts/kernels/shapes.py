"""Operations that put a lane's numbers in other places: shapes, parts, and what is the same in all lanes."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vecmcts.kernels.writer import Lanes, UnknownError, Value, Writer, aten, inner, lanes_first, rule


@rule(aten.alias.default, aten.detach.default, aten.clone.default, aten.lift_fresh_copy.default)
def same(write: Writer, out: Tensor, a: Lanes, **options: object) -> Lanes:
    return a


@rule(aten.view.default, aten._unsafe_view.default, aten.expand.default)
def view(write: Writer, out: Tensor, a: Lanes, *sizes: object) -> Lanes:
    if a.axis:
        raise UnknownError("lanes that are not first")
    shape, flat = write.shape(out.shape)
    if a.names.size == int(np.prod(shape)):
        return Lanes(a.names.reshape(shape), a.dtype, flat, a.stride)
    return Lanes(np.broadcast_to(a.names, shape), a.dtype)


@rule(aten.unsqueeze.default)
def unsqueeze(write: Writer, out: Tensor, a: Lanes, dim: int) -> Lanes:
    lanes_first(a)
    if dim % out.ndim == 0:
        raise UnknownError("a new axis before the lanes")
    return Lanes(a.names.reshape(write.shape(out.shape)[0]), a.dtype)


@rule(aten.select.int)
def select(write: Writer, out: Tensor, a: Lanes, dim: int, index: int) -> Lanes:
    return Lanes(np.take(a.names, index, axis=inner(a, dim)), a.dtype)


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
    lanes_first(*parts)
    if dim % out.ndim == 0:
        raise UnknownError("lanes one after the other")
    return Lanes(np.concatenate([_first(write, part, out.dtype) for part in parts], axis=dim), out.dtype)


@rule(aten.stack.default)
def stack(write: Writer, out: Tensor, parts: Sequence[Value], dim: int = 0) -> Lanes:
    lanes_first(*parts)
    dim %= out.ndim
    if dim == 0:
        raise UnknownError("a new axis before the lanes")
    return Lanes(np.stack([_first(write, part, out.dtype) for part in parts], axis=dim), out.dtype)


def _first(write: Writer, part: Value, dtype: torch.dtype) -> np.ndarray:
    """A part's names. One that is known was made by no argument, so it is the same in all lanes."""
    return write.of(part, dtype) if isinstance(part, Lanes) else write.of(part[:1], dtype)


@rule(aten.t.default)
def transposed(write: Writer, out: Tensor, a: Lanes) -> Lanes:
    if a.flat or a.stride:
        raise UnknownError("a transposed flat tensor")
    return Lanes(a.names.T, a.dtype)


@rule(aten.arange.start_step)
def arange(write: Writer, out: Tensor, start: int, end: int, step: int = 1, **options: object) -> Value:
    if start == 0 and end == step * write.lanes:
        return Lanes(np.array([write.constant(0, out.dtype)], dtype=object), out.dtype, stride=step)
    raise UnknownError("arange")


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
    if out.shape[0] != write.lanes:
        raise UnknownError("an array of other lanes")
    name = write.constant(out.flatten()[0].item(), out.dtype)
    return Lanes(np.full((1, *out.shape[1:]), name, dtype=object), out.dtype)


@rule(operator.getitem)
def item(write: Writer, out: Tensor, parts: Sequence[Value], index: int) -> Value:
    return parts[index]

"""What an operation on the emulated GPU would move through a real one's memory, and multiply.

Counted as asked for: each number that is read or written once an operation, broadcast ones as many times as they lie in
memory. What the rest of a sector of 32 bytes costs, and what a cache saves, is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
LOOKS_UP = {aten.index_select, aten.gather, aten.index}  # as much of its first argument as its result has
PUTS = {aten.index_copy_, aten.index_put_, aten._index_put_impl_, aten.scatter_, aten.index_fill_}  # its last argument
ADDS = {aten.index_add_, aten.scatter_add_}  # likewise, reading what it adds to
OVERWRITES = {aten.copy_, aten.fill_, aten.zero_}  # its first argument, unread
LONG, INT, FLOAT, BYTE, FLAG = 8, 4, 4, 1, 1  # bytes of a number
STEP, NARROWEST = 64, 16  # of `net.fused_kernel`, which needs Triton to be loaded
FACTOR = {  # argument whose last axis a product sums over
    aten.mm: 0,
    aten.bmm: 0,
    aten.linear: 0,
    aten.addmm: 1,
    aten.addmm_: 1,
    aten._addmm_activation: 1,
}


@dataclass(frozen=True)
class Moved:
    """What a kernel moves and multiplies."""

    bytes: int = 0  # read and written
    products: int = 0  # multiply-adds of matrices


def filled(columns: int) -> int:
    """The next multiple of `STEP`."""
    return -(-columns // STEP) * STEP


def touched(tensor: Tensor) -> int:
    """Bytes of a tensor, an axis along which it is broadcast counting once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * math.prod(size if stride or not size else 1 for size, stride in sizes)


def tensors_of(arguments: Iterable[Any]) -> list[Tensor]:
    """The tensors among some arguments, each once, those in lists too."""
    found: dict[int, Tensor] = {}
    for argument in arguments:
        inside = argument if isinstance(argument, (tuple, list)) else [argument]
        found |= {id(x): x for x in inside if isinstance(x, Tensor)}
    return list(found.values())


def of_operation(func: Any, args: tuple, kwargs: dict, out: object) -> Moved:
    """Of an operation of torch and its result."""
    packet = func.overloadpacket
    given, made = tensors_of([*args, *kwargs.values()]), sum(map(touched, tensors_of([out])))
    rest = sum(map(touched, given[1:]))
    if packet in LOOKS_UP:
        moved = min(touched(given[0]), made) + rest + made
    elif packet in PUTS or packet in ADDS:
        put = given[-1].numel() * given[0].element_size()
        moved = rest + put * (2 if packet in ADDS else 1)
    elif packet in OVERWRITES:
        moved = rest + made
    else:
        moved = sum(map(touched, given)) + made
    factor = FACTOR.get(packet)
    return Moved(moved, 0 if factor is None else out.numel() * args[factor].shape[-1])


def of_lanes(
    inputs: Sequence[Tensor], gathered: int, places: Sequence[Tensor], outputs: Sequence[Tensor], count: int
) -> Moved:
    """Of a kernel of ``count`` lanes (`vecmcts.kernels.lanes.LaneKernel`), as if it read all that it is given."""
    rows = [*inputs[:gathered], *places]
    return Moved(sum(count * touched(x[:1]) for x in rows) + sum(map(touched, [*inputs[gathered:], *outputs])))


def of_kernel(name: str, given: dict[str, Any]) -> Moved:
    """Of a kernel of Triton's, once it has run: those of `vecmcts.kernels.tree` by the edges that the walks have taken,
    another as if it read all that it is given.

    Args:
        name: the kernel's.
        given: its arguments by name.
    """
    if name == "evaluate_kernel":
        return of_network(given)
    if name not in ("descend_kernel", "back_up_kernel"):
        return Moved(sum(map(touched, tensors_of(given.values()))))
    number, slots = given["value_sum"].element_size(), given["SLOTS"]
    trees, edges = given["trees"], int(given["length_out" if name == "descend_kernel" else "length"].sum())
    if name == "descend_kernel":
        level = (
            3 * slots * number + number + LONG + FLAG
        )  # visits, prior and sums; own value, child, whether it is open
        level += number + LONG + (LONG if given["ROOT_GIVEN"] else 0)  # a visit and the edge, written
        return Moved(edges * level + trees * (FLAG + LONG + LONG + FLAG + LONG + BYTE + LONG + INT))
    level = 2 * LONG + number + 2 * number  # edge, mover and value, the sum read and written
    return Moved(edges * level + trees * (LONG + 3 * given["SEATS"] * number + INT))


def of_network(given: dict[str, Any]) -> Moved:
    """Of `net.fused_kernel.evaluate_kernel`: rows that are live and, once, all weights; products with what they are
    filled up by."""
    rows = int(given["count"]) if given["listed"] else given["lanes"]
    features, hidden, dim, heads, answers = (given[x] for x in ("FEATURES", "HIDDEN", "DIM", "HEADS", "ANSWERS"))
    row = FLOAT * (features + hidden + given["ACTIONS"] + given["VALUES"]) + INT * given["listed"]
    layer = dim * dim + 2 * dim * given["FFN"]
    products = filled(features) * dim + given["LAYERS"] * layer + dim * heads + heads * answers
    if hidden:
        products += dim * (2 * dim + filled(hidden) + NARROWEST)
    weights = {id(given[name]): given[name] for name in ("matrices", "vectors", "eighths", "scales")}  # some are one
    return Moved(rows * row + sum(map(touched, weights.values())), rows * products)

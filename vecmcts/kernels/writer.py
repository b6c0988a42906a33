"""What operations of torch become in a kernel that has a thread for each lane: lines on numbers of one lane.

A tensor [B, ...] is there an array of the names of its entries in one lane, with a first axis of length 1 in the lanes'
place. What is known when the kernel is written (tables, constants) stays a tensor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

aten = torch.ops.aten
TYPES = {
    torch.bool: "tl.int1",
    torch.int8: "tl.int8",
    torch.uint8: "tl.uint8",
    torch.int16: "tl.int16",
    torch.int32: "tl.int32",
    torch.int64: "tl.int64",
    torch.float32: "tl.float32",
    torch.float64: "tl.float64",
}


class UnknownError(Exception):
    """An operation that no kernel can be made of, or not of these arguments."""


# What makes whole numbers of whole numbers.
JOINED = re.compile(r"(\w+) [-+*] (\w+)|tl\.(?:maximum|minimum)\((\w+), (\w+)\)|tl\.where\(\w+, (\w+), (\w+)\)")


@dataclass(frozen=True)
class Lanes:
    """A tensor with a lane for each thread."""

    names: np.ndarray  # of str, the shape of the tensor with 1 for its lanes
    dtype: torch.dtype
    # The tensor is seen as flat along its first axis, all lanes' entries one after the other, as by
    # `vecgame.lanes.entries`; the names have the shape that it had before.
    flat: bool = False
    # What is in it counts from the lane's own first entry in a flat tensor of so many entries a lane.
    stride: int = 0
    axis: int = 0  # of the lanes


Value = Any  # Lanes, a Tensor that is known, a number, or a sequence of these


@dataclass
class Loop:
    """Lines that are run again and again, as long as some lane of the program has more to do."""

    number: int
    most: int  # times
    before: dict[str, str]  # its variables, and what they are before the first time
    lines: list[str | Loop]
    after: dict[str, str]  # what they are after a time
    going: str  # whether a lane may have more to do then


class Writer:
    """The lines of a kernel, as its operations are met.

    Args:
        lanes: the number of lanes in the traced tensors, by which the axis is known; no other size is a multiple of it.
        gathered: of how many of the arguments, the first ones, other rows are read than the lane's own.
    """

    def __init__(self, lanes: int, gathered: int = 0) -> None:
        self.lanes, self.known, self.named = lanes, {}, 0
        self.lines: list[str | Loop] = []
        self.loops: list[tuple[Loop, list, dict[str, str]]] = []  # open ones, and the lines and names around them
        self.looped = 0
        self.whole: set[str] = set()  # names of whole numbers, small enough for sums in any order to be the same
        self.loads: dict[str, tuple[int, int, int]] = {}  # name -> number of an argument, entry, entries of a lane
        self.gathered = gathered
        self.tables: list[Tensor] = []  # that are read as the kernel runs

    def table(self, table: Tensor) -> str:
        """The name of a pointer to a table."""
        for number, other in enumerate(self.tables):
            if other is table:
                return f"table{number}"
        self.tables.append(table)
        return f"table{len(self.tables) - 1}"

    def argument(self, number: int, tensor: Tensor) -> Lanes:
        """An argument of the function, whose entries are loaded where they are used."""
        names = np.empty((1, *tensor.shape[1:]), dtype=object)
        for entry, place in enumerate(np.ndindex(names.shape)):
            names[place] = f"x{number}_{entry}"
            self.loads[names[place]] = number, entry, names.size
        return Lanes(names, tensor.dtype)

    def load(self, number: int, entry: object, size: int, dtype: torch.dtype) -> str:
        """The expression of an argument's entry, which may be a number or a name."""
        row = "source" if number < self.gathered else "lane"
        cast = ".to(tl.int1)" if dtype == torch.bool else ""
        return f"tl.load(in{number} + {row} * {size} + {entry}, mask=inside, other=0){cast}"

    def line(self, expression: str) -> str:
        """A new name for an expression, or that of the same one before."""
        if expression not in self.known:
            name = self.known[expression] = f"v{self.named}"
            self.named += 1
            joined = JOINED.fullmatch(expression)
            if joined and all(part in self.whole for part in joined.groups() if part):
                self.whole.add(name)
            self.lines.append(f"{self.known[expression]} = {expression}")
        return self.known[expression]

    def begin(self, most: int, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Begins a loop whose variables are of these values before it: the variables' names."""
        number, before = self.looped, {}
        self.looped += 1
        variables = [np.empty(array.shape, dtype=object) for array in arrays]
        for array, names in zip(arrays, variables, strict=True):
            for place in np.ndindex(array.shape):
                names[place] = f"s{number}_{len(before)}"
                before[names[place]] = array[place]
        loop = Loop(number, most, before, [], {}, "")
        self.loops.append((loop, self.lines, self.known))
        self.lines, self.known = loop.lines, dict(self.known)
        return variables

    def end(self, arrays: Sequence[np.ndarray], going: str) -> list[np.ndarray]:
        """Ends the loop that was begun last; its variables become these: their names."""
        loop, self.lines, self.known = self.loops.pop()
        names = iter(loop.before)
        for array in arrays:
            loop.after.update((next(names), value) for value in array.flat)
        loop.going = going
        self.lines.append(loop)
        names = iter(loop.before)
        return [np.array([next(names) for _ in array.flat], dtype=object).reshape(array.shape) for array in arrays]

    def constant(self, number: Any, dtype: torch.dtype) -> str:
        if dtype == torch.bool:
            written = bool(number)
        elif dtype.is_floating_point:
            written = repr(float(number)) if np.isfinite(float(number)) else f'float("{float(number)}")'
        else:
            written = int(number)
        name = self.line(f"tl.full([BLOCK], {written}, {TYPES[dtype]})")
        if abs(number) < 1 << 7 and number == int(number):
            self.whole.add(name)
        return name

    def cast(self, name: str, old: torch.dtype, new: torch.dtype) -> str:
        if old == new:
            return name
        if new == torch.bool:
            return self.line(f"{name} != {self.constant(0, old)}")
        cast = self.line(f"{name}.to({TYPES[new]})")
        if old.itemsize == 1 or name in self.whole:
            self.whole.add(cast)
        return cast

    def of(self, value: Value, dtype: torch.dtype) -> np.ndarray:
        """The names of a value's entries as numbers of a type."""
        if isinstance(value, Lanes):
            if value.flat or value.stride:
                raise UnknownError("arithmetic with places")
            return self.each(lambda name: self.cast(name, value.dtype, dtype), value.names)
        known = torch.as_tensor(value)
        return self.each(lambda number: self.constant(number, dtype), np.array(known.tolist(), dtype=object))

    @staticmethod
    def each(function: Callable[..., str], *arrays: np.ndarray) -> np.ndarray:
        """The function of all entries, the arrays broadcast."""
        arrays = np.broadcast_arrays(*arrays)
        out = np.empty(arrays[0].shape, dtype=object)
        for place in np.ndindex(out.shape):
            out[place] = function(*(array[place] for array in arrays))
        return out

    def shape(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """The sizes with 1 in the lanes' place."""
        return tuple(1 if size == self.lanes else size for size in sizes)

    def axis(self, sizes: Sequence[int]) -> int:
        """Which of the sizes is that of the lanes; -1 for those of a flat tensor."""
        if list(sizes).count(self.lanes) > 1:
            raise UnknownError("lanes along two axes")
        return list(sizes).index(self.lanes) if self.lanes in sizes else -1


RULES: dict[object, Callable[..., Value]] = {}
Rule = Callable[..., Value]


def rule(*operations: Any) -> Callable[[Rule], Rule]:
    """Enters a function (writer, result as traced, *arguments) -> value for operations."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return enter


def inner(a: Lanes, dim: int) -> int:
    """An axis that is not the lanes'."""
    dim %= a.names.ndim
    if dim == a.axis or a.flat or a.stride:
        raise UnknownError("an operation along the axis of the lanes")
    return dim


def plain(*values: Value) -> None:
    """Raises `UnknownError` if a value is flat or counts places."""
    for value in values:
        if isinstance(value, Lanes) and (value.flat or value.stride):
            raise UnknownError("a flat tensor")

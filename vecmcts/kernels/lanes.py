"""A function of lanes, such as a game's step, as one kernel: written by following the function's operations.

The function is run once on a few lanes of the CPU while its operations are noted (`torch.fx`), and each of them becomes
a line of a Triton kernel with a thread for each lane (`vecmcts.kernels.writer`). So there is one description of a
game, and what the kernel does is what the function does, or it is not written at all.
"""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.fx
import triton
import triton.language as tl
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from vecmcts.kernels import arithmetic, choices, shapes  # noqa: F401  their rules are entered as they are loaded
from vecmcts.kernels.launching import on
from vecmcts.kernels.loops import following
from vecmcts.kernels.writer import RULES, Lanes, Loop, UnknownError, Writer

Function = Callable[..., list[Tensor]]
TRACED = 1009  # lanes while a function is followed: a prime that is no other size
MOST_OPERATIONS = 1200  # of a function: of 670 a kernel of 1,000 lines is made, which Triton builds in 5 s
TOGETHER = 4  # numbers that are stored at once
BLOCK = 128


class Counting(TorchDispatchMode):
    """Ends a function that is too long."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.count += 1
        if self.count > MOST_OPERATIONS:
            raise UnknownError(f"they are more than {MOST_OPERATIONS:,} operations")
        return func(*args, **kwargs or {})


class Follower(torch.fx.Interpreter):
    """Runs a function's operations one by one and has each of them written."""

    def __init__(self, graph: torch.fx.GraphModule, write: Writer, inputs: list[Lanes]) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.write, self.inputs, self.values = write, list(inputs), {}

    def run_node(self, node: torch.fx.Node) -> Any:
        out = super().run_node(node)
        if node.op == "placeholder":
            self.values[node] = self.inputs.pop(0)
        elif node.op == "get_attr":
            self.values[node] = self._known(out)
        elif node.op == "call_function":
            self.values[node] = self._written(node, out)
        return out

    def _known(self, out: Any) -> Any:
        if _has_lanes(out):
            raise UnknownError("a table of the size of the batch")
        return out

    def _written(self, node: torch.fx.Node, out: Any) -> Any:
        arguments, options = torch.fx.node.map_arg((node.args, node.kwargs), self.values.__getitem__)
        parts = torch.utils._pytree.tree_leaves(arguments, is_leaf=lambda x: isinstance(x, Lanes))
        if not _has_lanes(out) and not any(isinstance(part, Lanes) for part in parts):
            return out
        if node.target not in RULES:
            raise UnknownError(f"{node.target}")
        return _checked(RULES[node.target](self.write, out, *arguments, **options), out)


def _has_lanes(out: Any) -> bool:
    return isinstance(out, Tensor) and any(size and size % TRACED == 0 for size in out.shape)


def _checked(value: Any, out: Tensor) -> Any:
    """What has been written of an operation, if it has the form of what the operation gave.

    Raises:
        UnknownError: if it has not, which would be a fault of the rule.
    """
    if not isinstance(value, Lanes) or not isinstance(out, Tensor):
        return value
    expected = tuple(1 if size == TRACED else size for size in out.shape)
    fits = value.names.size * TRACED == out.numel() if value.flat else value.names.shape == expected
    if not fits or value.dtype != out.dtype or out.shape.count(TRACED) + value.flat != 1:
        raise UnknownError(f"{value.dtype} {list(value.names.shape)} written of {out.dtype} {list(out.shape)}")
    return value if value.flat else replace(value, axis=tuple(out.shape).index(TRACED))


@dataclass(frozen=True)
class Spec:
    """Of a tensor of lanes."""

    shape: tuple[int, ...]  # of a lane
    dtype: torch.dtype


class LaneKernel:
    """A function of lanes as a kernel.

    Args:
        name: of the kernel.
        function: tensors [B, ...] -> tensors [B, ...]; changes none of its arguments.
        examples: arguments of some lanes, on a CPU.
        gathered: how many of the arguments, the first ones, are read at rows of larger tensors.
        rows_given: these are rows that another tensor names; else those that the results are put into.
        placed: how many of the results, the first ones, are put into rows of larger tensors.

    Raises:
        UnknownError: when it does what no kernel is written for.
    """

    def __init__(
        self,
        name: str,
        function: Function,
        examples: Sequence[Tensor],
        gathered: int,
        placed: int,
        rows_given: bool,
    ) -> None:
        self.function, self.gathered, self.placed, self.rows_given = function, gathered, placed, rows_given
        again = -(-TRACED // len(examples[0]))
        examples = [x.repeat(again, *[1] * (x.ndim - 1))[:TRACED] for x in examples]
        with following():
            with Counting():
                function(*examples)  # which also makes the tables that are kept
            try:
                graph = make_fx(function, tracing_mode="real")(*examples)
            except RuntimeError as error:
                raise UnknownError("they are other operations for other numbers") from error
            write = Writer(TRACED, gathered)
            inputs = [write.argument(number, x) for number, x in enumerate(examples)]
            follower = Follower(graph, write, inputs)
            results = follower.run(*examples)
        self.inputs = [Spec(tuple(x.shape[1:]), x.dtype) for x in examples]
        self.outputs = [Spec(tuple(x.shape[1:]), x.dtype) for x in results]
        self.tables = write.tables
        self._on: dict[torch.device, list[Tensor]] = {}
        output = next(node for node in graph.graph.nodes if node.op == "output")
        values = [follower.values[node] for node in output.args[0]]
        self.source = self._source(name, write, values)
        self.kernel = compiled(name, self.source, [f"out{n}" for n in range(placed, len(self.outputs))])

    def _source(self, name: str, write: Writer, values: list[Any]) -> str:
        inputs = [f"in{n}" for n in range(len(self.inputs))]
        outputs = [f"out{n}" for n in range(len(self.outputs))]
        tables = [f"table{n}" for n in range(len(self.tables))]
        names = [
            list(np.broadcast_to(write.of(value, spec.dtype), (1, *spec.shape)).reshape(-1))
            for value, spec in zip(values, self.outputs, strict=True)
        ]
        order = [re.match(r"\w+", line)[0] if isinstance(line, str) else "" for line in write.lines]
        places = {entry: place for place, entry in enumerate(order)}
        places |= {entry: len(order) for loop in write.lines if isinstance(loop, Loop) for entry in loop.before}
        stores: dict[str, list[str]] = {}  # by the name of which the value is there last
        for number, entries in enumerate(names):
            for first in range(0, len(entries), TOGETHER):
                for some, line in self._stored(number, entries, first):
                    last = max(some, key=lambda entry: places.get(entry, -1))
                    stores.setdefault(last, []).append(line)
        used = {entry for entries in names for entry in entries}
        body = used_lines(write.lines, used, stores)
        body += [line for lines in stores.values() for line in lines]  # of arguments and loops, as they are
        read = [
            f"{entry} = {write.load(number, k, size, self.inputs[number].dtype)}"
            for entry, (number, k, size) in write.loads.items()
            if entry in used
        ]
        lines = [
            "lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)",
            "inside = lane < lanes",
            "to = lane + first",
            "source = tl.load(rows + lane, mask=inside, other=0)" if self.rows_given else "source = to",
            *read,
            *body,
        ]
        head = ", ".join([*inputs, *outputs, *tables, "rows", "first", "lanes", "BLOCK: tl.constexpr"])
        return "\n    ".join([f"def {name}({head}):", *lines]) + "\n"

    def _stored(self, number: int, entries: list[str], first: int) -> list[tuple[list[str], str]]:
        """Lines that store entries ``first`` .. of a result, and which of them each does: `TOGETHER` in a tensor of
        their own, where a lane's lie side by side and begin as memory does. So a GPU has fewer to write, and Triton,
        which looks at each line that moves something in the light of all others, a half to two thirds of the work.
        """
        some, size = entries[first : first + TOGETHER], len(entries)
        if number < self.placed or len(some) < TOGETHER:
            row = "to" if number < self.placed else "lane"
            at = [f"out{number} + {row} * {size} + {first + k}" for k in range(len(some))]
            return [([entry], f"tl.store({to}, {entry}, mask=inside)") for entry, to in zip(some, at, strict=True)]
        a, b, c, d = some
        joined = f"tl.join(tl.join({a}, {c}), tl.join({b}, {d})).reshape(BLOCK, {TOGETHER})"
        at = f"out{number} + lane[:, None] * {size} + {first} + tl.arange(0, {TOGETHER})[None, :]"
        return [(some, f"tl.store({at}, {joined}, mask=inside[:, None])")]

    def __call__(
        self,
        inputs: Sequence[Tensor],
        rows: Tensor | None,
        places: Sequence[Tensor],
        outputs: Sequence[Tensor],
        first: int,
        count: int,
    ) -> None:
        """Runs the kernel for K lanes.

        Args:
            inputs: the function's arguments, contiguous.
            rows: [K] int64, of the first ``gathered`` of them, if rows are given.
            places: the first ``placed`` results are put into their rows from ``first`` on.
            outputs: the others, [K, ...].
            count: K.
        """
        device = inputs[0].device
        if device not in self._on:
            self._on[device] = [table.contiguous().to(device) for table in self.tables]
        with on(device):
            self.kernel[(triton.cdiv(count, BLOCK),)](
                *inputs,
                *places,
                *outputs,
                *self._on[device],
                inputs[0] if rows is None else rows,
                first,
                count,
                BLOCK=BLOCK,
                num_warps=4,
                enable_fp_fusion=False,
            )


def used_lines(lines: Sequence[str | Loop], used: set[str], stores: dict[str, list[str]]) -> list[str]:
    """The lines without what nobody uses.

    Args:
        used: names that are used after them; those that the lines use are added.
        stores: what stores a name, by name: put where there is that name, and taken out.
    """
    body: list[str] = []
    for line in reversed(lines):
        if isinstance(line, Loop):
            body[:0] = looped_lines(line, used)
            continue
        entry, _, expression = line.partition(" = ")
        if entry in used:
            body[:0] = [line, *stores.pop(entry, [])]
            used.update(re.findall(r"\w+", expression))
    return body


def looped_lines(loop: Loop, used: set[str]) -> list[str]:
    """Likewise of a loop. A variable is one of its own if a line of the loop uses it, or what comes after."""
    variables: set[str] = set()
    while True:  # what one variable becomes may be made of others
        inside = {loop.going, *(loop.after[name] for name in variables)}
        body = used_lines(loop.lines, inside, {})
        more = {name for name in loop.before if name in used or name in inside}
        if more == variables:
            break
        variables = more
    if not variables & used:
        return []
    kept = [name for name in loop.before if name in variables]
    outer = inside - variables
    used.update(outer)
    used.update(loop.before[name] for name in kept)
    turn, going = f"turn{loop.number}", f"going{loop.number}"
    moved = {name: loop.after[name] for name in kept if loop.after[name] != name}
    first = [f"n{name} = {value}" for name, value in moved.items() if value in moved]  # before that becomes another
    then = [f"{name} = {f'n{name}' if value in moved else value}" for name, value in moved.items()]
    inner = [*body, *first, *then, f"{going} = {loop.going} & inside", f"{turn} += 1"]
    return [
        *(f"{name} = {loop.before[name]}" for name in kept),
        f"{going} = inside",
        f"{turn} = 0",
        f"while ({turn} < {loop.most}) & (tl.max({going}.to(tl.int32), axis=0) > 0):",
        *("    " + line for line in inner),
    ]


def compiled(name: str, source: str, aligned: Sequence[str] = ()) -> Any:
    """The kernel of a source, which Triton reads by inspection; the ``aligned`` arguments are tensors of their own,
    which begin where memory is allocated."""
    file = f"<vecmcts kernel {name} {hash(source)}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    space: dict[str, Any] = {"tl": tl}
    exec(compile(source, file, "exec"), space)
    # Not by where others begin: rows of larger ones begin anywhere.
    pointers = [x for x in inspect.signature(space[name]).parameters if x not in ("BLOCK", *aligned)]
    return triton.jit(space[name], do_not_specialize=["first", "lanes"], do_not_specialize_on_alignment=pointers)

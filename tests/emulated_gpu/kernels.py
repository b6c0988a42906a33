"""Triton's kernels on the emulated GPU: run by Triton's interpreter on the CPU, one launch each. Those that are written
from functions of lanes (`vecmcts.kernels.lanes`), thousands of lines, are run as these functions, and so are those that
draw worlds; that they do the same is tested without a GPU.

The interpreter is chosen when triton is first imported, by ``TRITON_INTERPRET``, which this package sets where there is
no GPU. Where triton is missing there are no kernels. The network's kernel (`net.fused`) is run as `network.evaluate`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from tests.emulated_gpu import network
from tests.emulated_gpu.record import project_lines
from tests.emulated_gpu.tensors import EmulatedTensor
from tests.emulated_gpu.traffic import of_kernel, of_lanes
from vecgame import worlds
from vecgame.cards import popcount
from vecgame.lanes import carrying_all

if TYPE_CHECKING:
    from tests.emulated_gpu.gpu import EmulatedGpu


BY_TENSORS = {"evaluate_kernel": network.evaluate}  # in whose place the interpreter would take too long


class Schema:
    """As an operation of torch has one."""

    is_mutable = True  # kernels return nothing


class Kernel:
    """A kernel with its grid, as an operation that a graph replays."""

    _schema = Schema

    def __init__(self, run: Callable[..., None], executor: Any) -> None:
        self.run, self.executor = run, executor

    def __call__(self, *arguments: object, **options: object) -> None:
        with _disable_current_modes():
            self.run(self.executor, *arguments, **options)


def replacements(gpu: EmulatedGpu) -> list[tuple[object, dict[str, object]]]:
    """What is replaced in triton: (owner, name -> the emulation's)."""
    if importlib.util.find_spec("triton") is None:
        return []
    from triton import language
    from triton.language import core
    from triton.runtime import interpreter

    import vecmcts.kernels.lanes as lane_kernels
    import vecmcts.kernels.worlds as world_kernels
    from vecmcts.kernels.lanes import Function, LaneKernel
    from vecmcts.kernels.loops import following

    run, patch = interpreter.GridExecutor.__call__, interpreter._patch_lang
    built: set[tuple] = set()  # kernels that have been launched before
    patched: dict[frozenset[str], Any] = {}  # what the interpreter has made of the language, in the launch under way

    def launch(executor: Any, *arguments: Any, **options: Any) -> None:
        tensors = [x for x in (*arguments, *options.values()) if hasattr(x, "data_ptr")]
        if not any(isinstance(x, EmulatedTensor) for x in tensors):
            run(executor, *arguments, **options)
            return
        for place, x in enumerate(tensors):
            if not isinstance(x, EmulatedTensor):
                raise ValueError(f"Pointer argument (at {place}) cannot be accessed from Triton (cpu tensor?)")
        inner = [x.inner if isinstance(x, EmulatedTensor) else x for x in arguments]
        options = {name: x.inner if isinstance(x, EmulatedTensor) else x for name, x in options.items()}
        name = executor.fn.__name__
        kernel = Kernel(BY_TENSORS.get(name, run), executor)
        kind = (name, *(x.dtype for x in tensors), *sorted(options.items()))
        if gpu.capturing is not None and kind not in built:
            gpu.record.errors[name, project_lines(), "a kernel is built within a recording"] += 1
        built.add(kind)
        if 0 in executor.grid:
            return  # Triton launches nothing then
        gpu.changing(x for x in (*inner, *options.values()) if isinstance(x, Tensor))
        kernel(*inner, **options)
        given = {**dict(zip(executor.arg_names, inner, strict=False)), **options}
        gpu.record.launch(name, lambda: of_kernel(name, given))
        gpu.launched(kernel, tuple(inner), options, None)

    def patch_once(function: Any) -> object:
        """A kernel calls functions that find the language patched already, for which the interpreter would look through
        all of it again, in half of a launch's time."""
        seen = frozenset(name for name, value in function.__globals__.items() if value is language or value is core)
        if seen not in patched:
            scope = patched[seen] = patch(function)
            if len(patched) == 1:  # the kernel's own, with which the launch ends
                restore = scope.restore
                scope.restore = lambda: (patched.clear(), restore())
        return patched[seen]

    def of_function(
        kernel: LaneKernel,
        name: str,
        function: Function,
        examples: Sequence[Tensor],
        gathered: int,
        placed: int,
        rows_given: bool,
    ) -> None:
        with following(), lane_kernels.Counting():
            function(*examples)
        kernel.name, kernel.function, kernel.gathered, kernel.placed = name, function, gathered, placed

    def by_function(
        kernel: LaneKernel,
        inputs: Sequence[Tensor],
        rows: Tensor | None,
        places: Sequence[Tensor],
        outputs: Sequence[Tensor],
        first: int,
        count: int,
    ) -> None:
        if not any(isinstance(x, EmulatedTensor) for x in inputs):
            called(kernel, inputs, rows, places, outputs, first, count)
            return

        def work(
            inputs: Sequence[Tensor], rows: list[Tensor], places: Sequence[Tensor], outputs: Sequence[Tensor]
        ) -> None:
            with _disable_current_modes(), carrying_all():
                read = rows[0] if rows else slice(first, first + count)
                read = [x[read] if number < kernel.gathered else x for number, x in enumerate(inputs)]
                results = kernel.function(*read)
                for target, result in zip(places, results, strict=False):
                    target[first : first + count] = result
                for target, result in zip(outputs, results[kernel.placed :], strict=True):
                    target.copy_(result)

        arguments = tuple(_inner(part) for part in (inputs, [] if rows is None else [rows], places, outputs))
        work._schema = Schema
        if count:
            gpu.changing((*arguments[2], *arguments[3]))
            work(*arguments)
            inputs, _, places, outputs = arguments
            gpu.record.launch(kernel.name, lambda: of_lanes(inputs, kernel.gathered, places, outputs, count))
            gpu.launched(work, arguments, {}, None)

    def counted(work: Callable[..., None], name: str, *arguments: Any) -> None:
        inner = tuple(x.inner if isinstance(x, EmulatedTensor) else x for x in arguments)

        def on_the_cpu(*inner: Any) -> None:
            with _disable_current_modes(), carrying_all():
                work(*inner)

        on_the_cpu._schema = Schema
        on_the_cpu(*inner)
        gpu.record.kernels[gpu.record.phase_now, name] += 1
        gpu.launched(on_the_cpu, inner, {}, None)

    called = LaneKernel.__call__
    return [
        (world_kernels, {"measure": partial(counted, _measure, "measure_kernel")}),
        (world_kernels, {"deal": partial(counted, _deal, "deal_kernel")}),
        (interpreter.GridExecutor, {"__call__": launch}),
        (interpreter, {"_patch_lang": patch_once}),
        (LaneKernel, {"__init__": of_function, "__call__": by_function}),
    ]


def _measure(unseen: Tensor, needs: Tensor, may: Tensor, told: Tensor) -> None:
    """`vecmcts.kernels.worlds.measure`, of tables that need no room."""
    told[0] = 0
    told[1] = torch.cat([needs - popcount(unseen & may), (needs.sum(0) - popcount(unseen))[None]]).amax(0)


def _deal(*arguments: Any) -> None:
    """`vecmcts.kernels.worlds.deal`, without its tables."""
    *games, _, hands, count, seed, _ = arguments
    hands.copy_(worlds.draw_hands(*games, count, seed))


def _inner(tensors: Sequence[Tensor]) -> list[Tensor]:
    if not all(isinstance(x, EmulatedTensor) and x.is_contiguous() for x in tensors):
        raise ValueError("Pointer argument cannot be accessed from Triton (cpu tensor?), or is not contiguous")
    return [x.inner for x in tensors]

"""The emulated GPU: its record, memory, streams, and the capture that is under way."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from tests.emulated_gpu.graphs import Graph, Pool
from tests.emulated_gpu.memory import Memory
from tests.emulated_gpu.record import Record, project_lines
from tests.emulated_gpu.streams import DEFAULT, Stream
from vecmcts.search import way_of

SYNC_MODES = {"default": 0, "warn": 1, "error": 2}


class EmulatedGpu:
    """One emulation, from its installation to its end."""

    def __init__(self) -> None:
        self.record = Record()
        self.memory = Memory()
        self.stream: Stream = DEFAULT  # the current one
        self.capturing: Graph | None = None  # the graph that is being recorded
        self.pools: dict[tuple[int, int], Pool] = {}
        self.graphs: weakref.WeakSet[Graph] = weakref.WeakSet()  # those that have been captured
        self.sync_mode = 0

    def changing(self, tensors: Iterable[Tensor]) -> None:
        """A kernel will change the CPU's tensors: in a capture it does not yet, whose end puts them back."""
        if self.capturing is not None and self.capturing.stream is self.stream:
            self.capturing.keep(tensors)

    def launched(self, func: Any, args: tuple, kwargs: dict, out: object) -> None:
        """A kernel was started: a capture on the current stream records it."""
        if self.capturing is not None and self.capturing.stream is self.stream:
            self.capturing.add(func, args, kwargs, out)

    def wait(self, what: str, copy: bool = False, asynchronous: bool = False) -> None:
        """The host waits for the current stream, because of a copy between host and device or otherwise.

        Args:
            asynchronous: it does not wait after all; a capture refuses it nevertheless, as the host's memory is not
                pinned.
        """
        graph = self.capturing
        if graph is not None and graph.stream is self.stream:
            graph.broken = True
            if copy:
                raise RuntimeError(
                    "Cannot copy between CPU and CUDA tensors during CUDA graph capture unless the CPU tensor is "
                    f"pinned ({what} at {project_lines()})"
                )
            raise torch.AcceleratorError(
                f"CUDA error: operation not permitted when stream is capturing ({what} at {project_lines()})"
            )
        if asynchronous:
            return
        if self.sync_mode == 2:
            raise RuntimeError(f"called a synchronizing CUDA operation ({what} at {project_lines()})")
        if self.sync_mode == 1:
            warnings.warn(f"called a synchronizing CUDA operation ({what})", stacklevel=2)
        self.record.waits[project_lines(), what] += 1

    def synchronize(self) -> None:
        """The host waits for everything, which no debug mode minds."""
        if self.capturing is not None:
            self.capturing.broken = True
            raise torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing")
        self.record.waits[project_lines(), "torch.cuda.synchronize"] += 1

    def set_sync_mode(self, mode: int | str) -> None:
        """`torch.cuda.set_sync_debug_mode`."""
        if isinstance(mode, str) and mode not in SYNC_MODES:
            raise RuntimeError("invalid value of debug_mode, expected one of `default`, `warn`, `error`")
        self.sync_mode = SYNC_MODES[mode] if isinstance(mode, str) else mode

    def pool(self, handle: tuple[int, int]) -> Pool:
        """The memory pool of that name."""
        return self.pools.setdefault(handle, Pool())


_installed: list[EmulatedGpu] = []  # none or one


def sized(real: int, emulated: int) -> int:
    """The size of a test on a real GPU, and on the emulated one that is on."""
    return emulated if _installed else real


def gpu_way(graph: bool = False) -> str:
    """How a search on a GPU runs, by the names of `vecmcts.search.WAYS`."""
    return way_of(find_spec("triton") is not None, graph)


def the_gpu() -> EmulatedGpu:
    """The emulation that is on."""
    if not _installed:
        raise RuntimeError("a tensor of an emulated GPU is used after the emulation's end")
    return _installed[-1]

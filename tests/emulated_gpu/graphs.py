"""CUDA graphs of the emulated GPU, with the traps of the real ones.

A capture notes every operation with the CPU's tensors that it read and wrote; a replay does them again, into the same
memory. As with CUDA

* a capture does nothing: what was in memory before it is there after it;
* nothing may be captured on the default stream;
* what makes the host wait raises in a capture, and breaks it: `capture_end` then raises too, and `torch.cuda.graph`,
  which calls it first, leaves the capture's stream the current one;
* the pool of a broken capture is taken for being recorded to until the allocator is told that it is not, and for being
  in use until it is released (PyTorch 2.11);
* a pool whose graphs are all gone cannot be captured into again (PyTorch 2.11, where libraries hold memory in it);
* the end of a graph frees what cuBLAS works in on its stream, and so spoils all others with products (from 2.12 on).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from tests.emulated_gpu.streams import DEFAULT, Stream

_pool_numbers = itertools.count(1)
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}
MODES = ("global", "thread_local", "relaxed")


def new_pool() -> tuple[int, int]:
    """`torch.cuda.graph_pool_handle`."""
    return 0, next(_pool_numbers)


@dataclass
class Pool:
    """Memory that some graphs share."""

    sizes: dict[int, int] = field(default_factory=dict)  # bytes that each living graph needs of it
    used: bool = False  # some graph has been captured into it
    recording: bool = False
    users: int = 0  # graphs, and captures that broke

    @property
    def size(self) -> int:
        """One graph runs at a time: the largest one's."""
        return max(self.sizes.values(), default=0)


class Graph:
    """`torch.cuda.CUDAGraph`."""

    def __init__(self, keep_graph: bool = False) -> None:
        self.steps: list[tuple[Any, tuple, dict, object]] | None = None
        self.broken = False
        self.stream: Stream = DEFAULT
        self.mode = ""
        self.gpu: Any = None  # whose graph it is
        self.spoilt = False
        self.handle: tuple[int, int] | None = None
        self.before: dict[
            int, tuple[Tensor, Tensor]
        ] = {}  # by place: memory that the capture has changed, a copy of it

    def capture_begin(
        self, pool: tuple[int, int] | None = None, capture_error_mode: str = "global", **other: object
    ) -> None:
        from tests.emulated_gpu.gpu import the_gpu

        gpu = the_gpu()
        if capture_error_mode not in MODES:
            raise RuntimeError(f"Unknown capture error mode. Expected one of {MODES}, got {capture_error_mode!r}")
        if self.steps is not None:
            raise RuntimeError("This CUDAGraph instance already owns a captured graph")
        if gpu.stream is DEFAULT:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        if gpu.capturing is not None:
            raise RuntimeError("a capture is under way already")
        self.handle = new_pool() if pool is None else pool
        shared = gpu.pool(self.handle)
        if shared.recording:
            raise RuntimeError("beginAllocateToPool: already recording to mempool_id")
        if shared.used and not shared.sizes:
            raise RuntimeError("use_count > 0 INTERNAL ASSERT FAILED: all graphs of this pool are gone")
        shared.recording = shared.used = True
        shared.users += 1
        self.gpu, self.stream, self.mode, self.steps, self.broken = gpu, gpu.stream, capture_error_mode, [], False
        self.begun = gpu.memory.high = gpu.memory.allocated
        gpu.capturing = self

    def capture_end(self) -> None:
        gpu = self.gpu
        if gpu is None or gpu.capturing is not self:
            raise RuntimeError("capture_end() called before capture_begin().")
        if gpu.stream is not self.stream:
            raise RuntimeError("Capture must end on the same stream it began on.")
        gpu.capturing = None
        for memory, before in self.before.values():
            memory.copy_(before)
        self.before = {}
        if self.broken:
            self.steps = None
            raise torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
        shared = gpu.pool(self.handle)
        shared.recording = False
        self._resize(gpu.memory.high - self.begun)
        gpu.graphs.add(self)

    def add(self, func: Any, args: tuple, kwargs: dict, out: object) -> None:
        """Notes an operation on the CPU's tensors. Numbers of the host are baked in as they are now."""
        if self.broken:
            raise torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
        self.steps.append((func, args, kwargs, out))

    def keep(self, tensors: Iterable[Tensor]) -> None:
        """Notes what there is in the CPU's tensors that an operation of the capture is about to change."""
        for tensor in tensors:
            place = tensor.untyped_storage().data_ptr()
            if place not in self.before:
                with torch.no_grad(), _disable_current_modes():
                    memory = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
                    self.before[place] = memory, memory.clone()

    def replay(self) -> None:
        if self.steps is None or self.gpu.capturing is self:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        if self.spoilt:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        self.gpu.record.replays += 1
        with torch.no_grad(), _disable_current_modes():
            for func, args, kwargs, out in self.steps:
                again = func(*args, **kwargs)
                if not func._schema.is_mutable:
                    for old, new in zip(pytree.tree_leaves(out), pytree.tree_leaves(again), strict=True):
                        if isinstance(old, Tensor):
                            old.copy_(new)

    def reset(self) -> None:
        if self.steps is not None:
            self.steps = None
            self._resize(None)
            self.gpu.graphs.discard(self)
            for other in list(self.gpu.graphs):
                if other.stream is self.stream:
                    done = (getattr(func, "overloadpacket", None) for func, *_ in other.steps or ())
                    other.spoilt |= any(getattr(one, "__name__", "") in PRODUCTS for one in done)

    def pool(self) -> tuple[int, int]:
        if self.steps is None:
            raise RuntimeError("Called CUDAGraph::pool() without a preceding successful capture.")
        return self.handle

    def __del__(self) -> None:
        self.reset()

    def _resize(self, size: int | None) -> None:
        """Tells the pool how many bytes this graph needs of it, None that it is gone."""
        shared, memory = self.gpu.pool(self.handle), self.gpu.memory
        memory.pooled -= shared.size
        if size is None:
            shared.sizes.pop(id(self), None)
            shared.users -= 1
        else:
            shared.sizes[id(self)] = size
        memory.pooled += shared.size


def end_allocate_to_pool(device: int, handle: tuple[int, int]) -> None:
    """`torch._C._cuda_endAllocateToPool`."""
    from tests.emulated_gpu.gpu import the_gpu

    pool = the_gpu().pool(handle)
    if not pool.recording:
        raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
    pool.recording = False


def release_pool(device: int, handle: tuple[int, int]) -> None:
    """`torch._C._cuda_releasePool`."""
    from tests.emulated_gpu.gpu import the_gpu

    pool = the_gpu().pool(handle)
    if pool.users <= len(pool.sizes):
        raise RuntimeError("use_count INTERNAL ASSERT FAILED: the pool's graphs are all that uses it")
    pool.users -= 1

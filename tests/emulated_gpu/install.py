"""Puts the emulated GPU into torch, and takes it out again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch._subclasses.fake_tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.emulated_gpu import autograd, graphs, guard, kernels, streams
from tests.emulated_gpu.gpu import EmulatedGpu, _installed
from tests.emulated_gpu.operations import run
from tests.emulated_gpu.tensors import EmulatedTensor

NAME = "emulated H200"
CAPABILITY = (9, 0)
_run_thread = threading.Thread.run
PACKAGES = ("vecgame", "vecmcts", "net", "veclab")


class Mode(TorchDispatchMode):
    """Sends every operation of a thread to the emulation."""

    def __init__(self, gpu: EmulatedGpu) -> None:
        super().__init__()
        self.gpu = gpu

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; torch's guard against it costs as much as the rest of the emulation."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if EmulatedTensor not in types and (not kwargs or "device" not in kwargs):
            return func(*args, **(kwargs or {}))  # of the CPU's
        return run(self.gpu, func, args, kwargs or {})


@contextmanager
def emulated_gpu() -> Iterator[EmulatedGpu]:
    """Within the block this machine has a CUDA device, for this thread and those that begin meanwhile.

    Tables that the project keeps for a device are dropped before and after: whether a test waits for their making does
    not depend on the tests before it, and no emulated tensor is found by work that comes later.

    Raises:
        NoCompilerError: see `guard.ensure`.
        RuntimeError: when the machine has a real one, or another emulation is on.
    """
    if torch.cuda.is_available():
        raise RuntimeError("there is a CUDA device already")
    guard.ensure()
    gpu = EmulatedGpu()
    lifts_cpu_only = torch._C._only_lift_cpu_tensors()
    with ExitStack() as stack:
        for owner, functions in [*replacements(gpu), *kernels.replacements(gpu)]:
            for name, function in functions.items():
                stack.enter_context(mock.patch.object(owner, name, function, create=True))
        clear_tables()
        stack.callback(clear_tables)
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(.., device="cuda") is a copy from the host
        stack.callback(torch._C._set_only_lift_cpu_tensors, lifts_cpu_only)
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)  # tests are small: threads would wait for each other longer than they work
        _installed.append(gpu)
        stack.callback(_installed.clear)
        stack.enter_context(Mode(gpu))
        yield gpu


def replacements(gpu: EmulatedGpu) -> list[tuple[object, dict[str, object]]]:
    """What is replaced: (owner, name -> the emulation's)."""
    memory = gpu.memory
    properties = SimpleNamespace(
        name=NAME, major=CAPABILITY[0], minor=CAPABILITY[1], total_memory=memory.total, multi_processor_count=132
    )

    def set_stream(stream: streams.Stream) -> None:
        gpu.stream = stream if stream is not None else gpu.stream

    def reset_peak(*device: object) -> None:
        memory.peak = memory.allocated

    def set_memory_fraction(fraction: float, device: object = None) -> None:
        memory.limit = int(fraction * memory.total) if fraction < 1 else None

    def run_thread(thread: threading.Thread) -> None:
        with Mode(gpu):
            _run_thread(thread)

    def nothing(*arguments: object, **options: object) -> None:
        pass

    def always(value: object) -> Any:
        return lambda *arguments, **options: value

    cuda = {
        "_lazy_init": nothing,
        "is_available": always(True),
        "is_initialized": always(True),
        "device_count": always(1),
        "current_device": always(0),
        "set_device": nothing,
        "_exchange_device": always(0),
        "_maybe_exchange_device": always(0),
        "manual_seed": nothing,
        "manual_seed_all": nothing,
        "get_device_properties": always(properties),
        "get_device_name": always(NAME),
        "get_device_capability": always(CAPABILITY),
        "is_bf16_supported": always(True),
        "utilization": always(50),
        "mem_get_info": lambda *device: (memory.free, memory.total),
        "memory_allocated": lambda *device: memory.allocated,
        "memory_reserved": lambda *device: memory.reserved,
        "max_memory_allocated": lambda *device: memory.peak,
        "max_memory_reserved": lambda *device: memory.peak + memory.pooled,
        "memory_snapshot": memory.snapshot,
        "get_allocator_backend": always("native"),
        "reset_peak_memory_stats": reset_peak,
        "set_per_process_memory_fraction": set_memory_fraction,
        "empty_cache": nothing,
        "synchronize": lambda *device: gpu.synchronize(),
        "set_sync_debug_mode": gpu.set_sync_mode,
        "get_sync_debug_mode": lambda: gpu.sync_mode,
        "Stream": streams.Stream,
        "Event": streams.Event,
        "current_stream": lambda *device: gpu.stream,
        "default_stream": lambda *device: streams.DEFAULT,
        "set_stream": set_stream,
        "is_current_stream_capturing": lambda: gpu.capturing is not None and gpu.capturing.stream is gpu.stream,
        "CUDAGraph": graphs.Graph,
        "graph_pool_handle": graphs.new_pool,
    }
    return [
        (torch.cuda, cuda),
        (
            torch.cuda.memory,
            {"_cuda_endAllocateToPool": graphs.end_allocate_to_pool, "_cuda_releasePool": graphs.release_pool},
        ),
        (torch.cuda.graph, {"default_capture_stream": None}),
        # A tensor around another cannot be made in inference mode, which promises less than no_grad.
        (torch._C, {"_InferenceMode": _NoGrad, "_host_emptyCache": nothing}),
        (threading.Thread, {"run": run_thread}),
        (torch.Tensor, {"backward": autograd.backward}),
        (torch.optim.Optimizer, {"_accelerator_graph_capture_health_check": nothing}),
        (torch._subclasses.fake_tensor, {"init_gpu_context": nothing}),
    ]


class _NoGrad:
    """`torch._C._InferenceMode`, but gradients are all that it turns off."""

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(self.before and not self.mode)

    def __exit__(self, *error: object) -> None:
        torch.set_grad_enabled(self.before)


def clear_tables() -> None:
    """Empties every `functools.cache` of the project's modules."""
    for name, module in sys.modules.copy().items():  # another thread may be importing
        if name.partition(".")[0] in PACKAGES:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()

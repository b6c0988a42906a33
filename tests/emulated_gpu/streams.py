"""Streams and events of the emulated GPU: all work is done at once, so that only which one is current matters."""

from __future__ import annotations

import itertools
import time
from typing import Any

import torch

from tests.emulated_gpu.tensors import CUDA

_numbers = itertools.count()


class Stream:
    """`torch.cuda.Stream`."""

    device = CUDA
    device_index = 0

    def __init__(self, device: object = None, priority: int = 0, **other: object) -> None:
        self.stream_id = self.cuda_stream = next(_numbers)
        self.priority = priority

    def wait_stream(self, other: Stream) -> None:
        pass

    def wait_event(self, event: Event) -> None:
        pass

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        from tests.emulated_gpu.gpu import the_gpu

        the_gpu().wait("Stream.synchronize")

    def __enter__(self) -> Stream:
        self.context = torch.cuda.stream(self)
        self.context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.context.__exit__(*error)

    def __repr__(self) -> str:
        return f"<emulated stream {self.stream_id}>"


DEFAULT = Stream()


class Event:
    """`torch.cuda.Event`."""

    def __init__(self, enable_timing: bool = False, **other: object) -> None:
        self.when = 0.0

    def record(self, stream: Stream | None = None) -> None:
        self.when = time.perf_counter()

    def wait(self, stream: Stream | None = None) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        from tests.emulated_gpu.gpu import the_gpu

        the_gpu().wait("Event.synchronize")

    def elapsed_time(self, end: Event) -> float:
        return 1000 * (end.when - self.when)

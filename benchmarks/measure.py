"""How everything here is timed, and what is written down beside each figure."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median and extremes of the repeats."""

    median: float
    low: float
    high: float
    repeats: int

    @property
    def spread(self) -> float:
        """Width of the repeats as a share of the median."""
        return (self.high - self.low) / self.median


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], device: torch.device, repeats: int = 3, warmup: int = 1) -> Timing:
    """Times a call after ``warmup`` calls that do not count, waiting for the device before and after each."""
    for _ in range(warmup):
        work()
    seconds = []
    for _ in range(repeats):
        synchronize(device)
        begun = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return Timing(statistics.median(seconds), min(seconds), max(seconds), repeats)


def cpu_name() -> str:
    """The processor's own name for itself."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment(device: torch.device) -> dict[str, object]:
    """What a figure depends on: machine, versions, threads, command."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d"),
    }


def peak_memory(device: torch.device) -> float:
    """Most memory used so far, in GiB: of the GPU if that is the device, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


class Utilisation:
    """Share of the processor's cores, and of the GPU where NVML can tell, that was busy within a `with` block."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = 0.0
        self.gpu: float | None = None  # None: not known, which is printed as n/a

    def __enter__(self) -> Utilisation:
        self.begun, times = time.perf_counter(), os.times()
        self.used = times.user + times.system
        self.samples: list[float] = []
        return self

    def sample(self) -> None:
        """Reads the GPU's utilisation over its last fraction of a second; call it now and then."""
        if self.device.type != "cuda":
            return
        try:
            self.samples.append(float(torch.cuda.utilization(self.device)))
        except (ModuleNotFoundError, RuntimeError):  # NVML's Python package is not installed, or cannot be used
            return

    def __exit__(self, *error: object) -> None:
        times = os.times()
        elapsed = time.perf_counter() - self.begun
        self.cpu = (times.user + times.system - self.used) / elapsed / (os.cpu_count() or 1)
        self.gpu = statistics.mean(self.samples) / 100 if self.samples else None

"""How everything here is timed, and what is written down beside each figure."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import torch

from net import Float8Net, InferenceNet, Int8Net
from veclab.bench.fallback import Fallbacks
from veclab.cores import cores
from veclab.training import steps
from vecmcts.search import WAYS

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median and extremes of the repeats."""

    median: float
    low: float
    high: float
    repeats: int
    ways: dict[str, int] = field(default_factory=dict)  # searches or steps of the repeats, by the way they ran

    @classmethod
    def of(cls, seconds: Sequence[float], ways: Mapping[str, int] = MappingProxyType({})) -> Timing:
        """Of repeats that took so long."""
        return cls(statistics.median(seconds), min(seconds), max(seconds), len(seconds), dict(ways))

    def times(self, factor: float) -> Timing:
        """The same of ``factor`` times as much work."""
        return replace(self, median=factor * self.median, low=factor * self.low, high=factor * self.high)

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
    with counted_ways() as ways:
        for _ in range(repeats):
            synchronize(device)
            begun = time.perf_counter()
            work()
            synchronize(device)
            seconds.append(time.perf_counter() - begun)
    return Timing.of(seconds, ways)


@contextmanager
def counted_ways() -> Iterator[dict[str, int]]:
    """The searches made within a `with` block, by the way they ran (keys as of `vecmcts.search.WAYS`); where there are
    none, the steps of learning and decisions of games (`veclab.training.steps.WAYS`)."""
    before, found = (WAYS.copy(), steps.WAYS.copy()), {}
    try:
        yield found
    finally:
        found.update(WAYS - before[0] or steps.WAYS - before[1])


def described(ways: dict[str, int]) -> str:
    """The way that all searches (or steps) ran, or of several each with its number; nothing for none."""
    return next(iter(ways)) if len(ways) == 1 else ", ".join(f"{way} {count:,}" for way, count in ways.items())


def arithmetic(network: InferenceNet) -> str:
    """What the network's products are computed in, by the name of the type."""
    if isinstance(network, Float8Net) and network.rounds:
        return "float8"
    return "int8" if isinstance(network, Int8Net) else name_of(network.dtype)


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class Watch:
    """What is said of a row beside its figure, of what is measured within a `with` block: the lines about what went on
    otherwise than asked, and the most memory in use."""

    def __init__(self, device: torch.device) -> None:
        self.peak = PeakMemory(device)
        self.fell_back: list[str] = []
        self.fallbacks = Fallbacks(self.fell_back.append)

    def __enter__(self) -> Watch:
        self.fallbacks.__enter__()
        self.peak.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.fallbacks.__exit__(*error)

    def figures(self) -> dict[str, object]:
        """The lines so far; the memory in GiB, None where it cannot be told apart from that of earlier rows."""
        return {"fell_back": list(self.fell_back), "memory": self.peak.read()}


class PeakMemory:
    """Most memory in use since `begin`, in GiB: of the GPU if that is the device, else of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.known = False

    def begin(self) -> None:
        """Forgets what was used before."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.known = True
            return
        try:
            CLEAR_REFS.write_text("5")  # Linux: the mark VmHWM goes back to what is in use
            self.known = True
        except OSError:
            self.known = False

    def read(self) -> float | None:
        """The most so far; None where the system does not tell."""
        if not self.known:
            return None
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**30
        marks = [line.split() for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(marks[0][1]) / 2**20 if marks else None


class Utilisation:
    """Share of the cores that this process may use, and of the GPU where NVML can tell, that was busy within a `with`
    block."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = 0.0
        self.gpu: float | None = None  # None: not known, which is printed as n/a

    def __enter__(self) -> Utilisation:
        self.begun, times = time.perf_counter(), os.times()
        self.used = times.user + times.system
        self.samples: list[float] = []
        self.asks = self.device.type == "cuda"
        return self

    def sample(self) -> None:
        """Reads the GPU's utilisation over its last fraction of a second; call it now and then."""
        if not self.asks:
            return
        try:
            self.samples.append(float(torch.cuda.utilization(self.device)))
        except Exception:  # NVML's package is missing, or raises errors of its own, whose base is not RuntimeError
            self.asks = False

    def __exit__(self, *error: object) -> None:
        times = os.times()
        elapsed = time.perf_counter() - self.begun
        self.cpu = (times.user + times.system - self.used) / elapsed / cores()
        self.gpu = statistics.mean(self.samples) / 100 if self.samples else None

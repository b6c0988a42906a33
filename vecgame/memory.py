"""How much memory there is, and how many workers of a size fit into it."""

import os
from pathlib import Path

import torch

RESERVE = 0.1  # share of the available memory that is left alone

# Limit and use of a container's memory, cgroup version 2 and 1. Without a limit the first says "max" or is huge.
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def max_workers(bytes_per_worker: int, available: int) -> int:
    """Processes of this size that fit into the available bytes, `RESERVE` left free; may be 0."""
    if bytes_per_worker < 1:
        raise ValueError(f"bytes_per_worker must be at least 1, got {bytes_per_worker}")
    return max(int(available * (1 - RESERVE)) // bytes_per_worker, 0)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device, what PyTorch keeps for reuse included; None where it is not known."""
    if device.type == "cpu":
        return available_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def available_memory() -> int | None:
    """Bytes that new processes can take without swapping; None where the system does not tell."""
    found = [bytes_ for bytes_ in (_of_system(), *map(_of_cgroup, _CGROUPS)) if bytes_ is not None]
    return min(found, default=None)


def private_memory() -> int | None:
    """Bytes that only this process uses, hence what one more process like it takes; None where the system does not
    tell. Libraries and other pages that processes share are not counted."""
    kilobytes = _table(Path("/proc/self/smaps_rollup"))
    if kilobytes is None:
        return None
    return 1024 * sum(kilobytes.get(name, 0) for name in ("Private_Clean", "Private_Dirty", "Swap"))


def _of_system() -> int | None:
    kilobytes = _table(Path("/proc/meminfo"))
    if kilobytes is not None and "MemAvailable" in kilobytes:
        return 1024 * kilobytes["MemAvailable"]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_cgroup(files: tuple[str, str]) -> int | None:
    try:
        limit, used = (int(Path(file).read_text()) for file in files)
    except (OSError, ValueError):
        return None
    return max(limit - used, 0)


def _table(path: Path) -> dict[str, int] | None:
    """The lines "Name:  123 kB" of a file of /proc."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return None
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}

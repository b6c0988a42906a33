"""How much memory there is, and how many workers of a size fit into it."""

import os
from pathlib import Path

import torch

NO_POOL = (0, 0)  # the id that memory has which any tensor can take
RESERVE = 0.1  # share of the available memory that is left alone

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Limit and use of a container's memory, cgroup version 2 and 1. Without a limit the first says "max" or is huge.
_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def max_workers(bytes_per_worker: int, available: int) -> int:
    """Processes of this size that fit into the available bytes, `RESERVE` left free; may be 0."""
    if bytes_per_worker < 1:
        raise ValueError(f"bytes_per_worker must be at least 1, got {bytes_per_worker}")
    return max(int(available * (1 - RESERVE)) // bytes_per_worker, 0)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device, what PyTorch keeps for reuse included, but not what it keeps for the
    graphs that have been recorded; None where it is not known. To ask takes a GPU milliseconds."""
    unused = unused_memory(device)
    return unused if device.type == "cpu" else unused - _idle_in_pools(device)


def unused_memory(device: torch.device) -> int | None:
    """Likewise, with what only graphs can take; at once."""
    if device.type == "cpu":
        return available_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def number_of(device: torch.device) -> int:
    """Which of the GPUs it is."""
    return torch.cuda.current_device() if device.index is None else device.index


def _idle_in_pools(device: torch.device) -> int:
    """Bytes that no tensor has and only graphs can take, as they replay."""
    if torch.cuda.get_allocator_backend() != "native":  # no other one tells
        return 0
    place = number_of(device)
    return sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in torch.cuda.memory_snapshot()
        if segment["device"] == place and tuple(segment["segment_pool_id"]) != NO_POOL
    )


def available_memory() -> int | None:
    """Bytes that new processes can take without swapping; None where the system does not tell."""
    found = [bytes_ for bytes_ in (_of_system(), _of_process(), *map(_of_cgroup, _cgroups())) if bytes_ is not None]
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


def _of_process() -> int | None:
    """What ``ulimit -v`` leaves."""
    try:
        import resource  # which Windows has not

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else max(limit - pages * os.sysconf("SC_PAGE_SIZE"), 0)


def _cgroups() -> list[Path]:
    """The folders of the groups that this process is in, whose limits all count: containers may lie in others."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        lines = []
    named = [CGROUPS / kinds / path.strip("/") for _, kinds, path in lines if kinds in ("", "memory")]
    inner = [folder for one in named for folder in (one, *one.parents) if CGROUPS in folder.parents]
    return list(dict.fromkeys([*inner, CGROUPS, CGROUPS / "memory"]))


def _of_cgroup(folder: Path) -> int | None:
    """What a group may still take. What it holds of files that nobody reads now it gives back."""
    for limit, used in _FILES:
        try:
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            told = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        return max(left + int(told.get("total_inactive_file", told.get("inactive_file", 0))), 0)
    return None


def _table(path: Path) -> dict[str, int] | None:
    """The lines "Name:  123 kB" of a file of /proc."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return None
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}

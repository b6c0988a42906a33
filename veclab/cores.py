"""How many cores there are to use. Nothing here loads PyTorch, whose threads they are counted for."""

import math
import os
from pathlib import Path

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int:
    """How many of the machine's cores this process may use at a time, which `taskset` or a container can make fewer
    than it has; all of them where the system does not tell."""
    quota = quota_of_cores()
    return allowed_cores() if quota is None else min(allowed_cores(), quota)


def allowed_cores() -> int:
    """On how many cores the system lets this process run, however little of their time it may have."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota_of_cores() -> int | None:
    """How many cores the processor time amounts to that a container may have, rounded up; None where it is not limited.
    More threads than that are all stopped for the rest of a period, soon after it has begun."""
    quotas = [quota for folder in _cgroups() if (quota := _of_cgroup(folder)) is not None]
    return max(1, math.ceil(min(quotas))) if quotas else None


def _cgroups() -> list[Path]:
    """The folders of the groups that this process is in, whose quotas all count: containers may lie in others. As
    `vecgame.memory` finds them, which PyTorch is loaded with."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        lines = []
    named = [CGROUPS / kinds / path.strip("/") for _, kinds, path in lines if kinds == "" or "cpu" in kinds.split(",")]
    inner = [folder for one in named for folder in (one, *one.parents) if CGROUPS in folder.parents]
    return list(dict.fromkeys([*inner, CGROUPS, CGROUPS / "cpu", CGROUPS / "cpu,cpuacct"]))


def _of_cgroup(folder: Path) -> float | None:
    """The quota of a group in cores: cgroup version 2 says "max" or two numbers, version 1 -1 where there is none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = map(int, (folder / "cpu.max").read_text().split())
        else:
            quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None

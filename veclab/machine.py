"""The machine and the version that files of a run and of figures name."""

from __future__ import annotations

import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from vecgame import __version__
from veclab.cores import cores


def cpu_name() -> str:
    """The processor's own name for itself."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def commit() -> str | None:
    """The commit of the clone that this program runs from, with -dirty where files of it were changed; None if it runs
    from no clone."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def made_by(device: torch.device) -> dict[str, object]:
    """The version and the machine of this process, as a JSON value."""
    return {
        "vecgame": __version__,
        "commit": commit(),
        "host": socket.gethostname(),
        "cpu": cpu_name(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def command_of(program: str, arguments: Sequence[object] | None) -> str:
    """A program's call as a shell takes it; ``arguments`` None: those of this process."""
    return " ".join([program, shlex.join(map(str, sys.argv[1:] if arguments is None else arguments))]).strip()


def environment(device: torch.device, command: str) -> dict[str, object]:
    """What a figure depends on: machine, versions, threads, and the command that made it, as a JSON value."""
    return {
        "vecgame": __version__,
        "commit": commit(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "cpu": cpu_name(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
    }

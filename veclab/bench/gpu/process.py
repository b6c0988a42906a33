"""The driver's side of a worker process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

Event = dict[str, object]
ROOT = Path(__file__).resolve().parents[3]  # of the repository


class Worker:
    """A worker that has been started; `veclab.bench.gpu.worker` says what it does.

    Args:
        work: the module with the functions of the parts.
        log: where it prints what belongs to no part.
    """

    def __init__(self, work: str, log: Path) -> None:
        self.log = log
        self.source, sink = os.pipe()
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "veclab.bench.gpu.worker", work, str(sink)],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(sink,),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl+C at the terminal is for the driver, who ends its workers in order
            )
        os.close(sink)
        self.rest = b""
        self.ended = False

    def order(self, **what: object) -> None:
        """Tells it what to run; a worker that has died is noticed by its next event."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(what).encode() + b"\n")
            self.process.stdin.flush()

    def events(self, seconds: float) -> list[Event]:
        """What it has told, after a wait of ``seconds`` at most; `ended` is set once it is gone."""
        if not select.select([self.source], [], [], max(seconds, 0))[0]:
            return []
        data = os.read(self.source, 1 << 16)
        if not data:
            self.ended = True
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def interrupt(self) -> None:
        """Asks it to end its part."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def end(self, seconds: float = 0.0) -> int:
        """Has it end within so many seconds, and kills what is left of it and its children: its exit status."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        os.close(self.source)
        return status


def how_it_ended(status: int) -> str:
    """A process's exit status in words."""
    if status >= 0:
        return f"the worker ended with exit status {status}"
    return f"the worker was killed by {signal.Signals(-status).name}"


def last_line(log: Path) -> str:
    """The last line of a log that says something; nothing where there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""
    return ""

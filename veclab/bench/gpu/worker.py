"""A process that runs parts one after the other, as it is told.

    python -m veclab.bench.gpu.worker MODULE FD

Orders come as JSON lines on its standard input, and what it has to tell goes as JSON lines to the file descriptor FD.
What a part prints goes to a log of its own. An interrupt (SIGINT) ends the part under way, and nothing else.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from veclab.bench.fallback import Fallbacks
from veclab.command_line import bound_threads

LOG, ROWS = "log.txt", "rows.jsonl"  # files of a part

Send = Callable[..., None]


class Report:
    """Where a part tells what it finds.

    Attributes:
        folder: for its files, which come home.
        device: cpu or cuda.
    """

    def __init__(self, send: Send, folder: Path, device: str) -> None:
        self.send, self.folder, self.device = send, folder, device
        self.rows = 0

    def row(self, figure: dict[str, Any], line: str, number: int | None = None) -> None:
        """A row that has been measured, and its line; again under its ``number`` (from 0) when more of it is known."""
        number = self.rows if number is None else number
        self.rows = max(self.rows, number + 1)
        with (self.folder / ROWS).open("a") as file:
            file.write(json.dumps({"row": number, "line": line, **figure}, default=str) + "\n")
        self.send("row", number=number, line=line)

    def headline(self, text: str) -> None:
        """The figure that a summary gives for the part: the best one so far."""
        self.send("headline", text=text)

    def degraded(self, reason: str) -> None:
        """Something that went on otherwise than asked."""
        self.send("degraded", reason=reason)


def run(module: ModuleType, order: dict[str, Any], send: Send) -> None:
    """Runs a part as ordered, and tells how it ended."""
    folder = Path(order["folder"])
    report = Report(send, folder, order["device"])
    told = (lambda line: None) if order["tests"] else report.degraded
    state, reason = "ok", ""
    with output_to(folder / LOG), Fallbacks(told):
        try:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                getattr(module, order["work"])(report, [list(command) for command in order["commands"]])
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:
            state = "stopped"
        except BaseException as error:  # the end of a part, also by sys.exit, is not the end of the worker
            traceback.print_exc()
            state, reason = "failed", one_line(error)
    send("done", state=state, reason=reason)


def one_line(error: BaseException) -> str:
    """An exception by its name and the first line of its message."""
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Everything that is printed within a `with` block, by other languages and child processes too, goes to a file."""
    sys.stdout.flush(), sys.stderr.flush()
    before = [os.dup(1), os.dup(2)]
    with path.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)


def take_orders() -> TextIO:
    """Standard input for the worker alone: what parts start reads nothing."""
    orders = os.fdopen(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders


def main() -> None:
    """Loads the module, says what it says of the machine, and runs parts until there are no more orders."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    name, number = sys.argv[1:]
    orders, events = take_orders(), os.fdopen(int(number), "w", buffering=1)
    os.set_inheritable(int(number), False)

    def send(event: str, **what: object) -> None:
        events.write(json.dumps({"event": event, **what}, default=str) + "\n")

    bound_threads()
    module = importlib.import_module(name)
    send("ready", facts=module.prepare())
    for line in orders:
        run(module, json.loads(line), send)


if __name__ == "__main__":
    main()

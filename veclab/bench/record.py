"""Figures as they are measured: a line at once for each row, and a file that is whole after every one of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from veclab.command_line import (
    HANGUP,
    STOPS,
    check_place,
    leave_closed_terminal,
    on_stop,
    out_of_memory,
    what_was_needed,
)
from veclab.files import json_text, write_atomically

T = TypeVar("T")
Figure = dict[str, object]
Listener = Callable[[int, Figure, str], None]
"""Called with (number of the row, its figures, its line); again when more of the same row is known."""


class Record:
    """The rows of a benchmark.

    Args:
        console: where lines are printed.
        path: of the JSON file: what was measured, of which games, where, whether that is all of it, and the rows; None
            for no file.
        what: the benchmark's name.
        environment: what the figures depend on.
        listener: is told of every row.

    Raises ValueError, in one line, when there is no folder for the file.
    """

    def __init__(
        self,
        console: Console,
        path: Path | None,
        what: str,
        environment: dict[str, object],
        listener: Listener | None = None,
    ) -> None:
        check_place("--json", path)
        self.console, self.path, self.listener = console, path, listener
        self.what, self.environment = what, environment
        self.figures: list[Figure] = []
        self.lines: list[str] = []
        self.left_out: list[str] = []  # what could not be measured, a line each
        self.not_compared: list[str] = []  # other software that there is no comparison with, and why, a line each
        self.games: list[dict[str, object]] = []  # what was played, each as `vecgame.identity` says it
        self.of_the_document = False  # whether all was as the document's criteria have it
        self.complete = False

    def add(self, figure: Figure, line: str) -> int:
        """A row that has been measured; returns its number."""
        self.figures.append(figure)
        self.lines.append(line)
        self._show(len(self.figures) - 1, line)
        return len(self.figures) - 1

    def change(self, number: int, figure: Figure, line: str, news: str) -> None:
        """More is known of a row: its figures and its line now, and what is printed of it."""
        self.figures[number], self.lines[number] = figure, line
        self._show(number, news)

    def leave_out(self, line: str) -> None:
        """A row that could not be measured, and why."""
        self.left_out.append(line)
        self.console.print(line)
        self.write()

    def compare_without(self, line: str) -> None:
        """What there is no comparison with here, other software or an arithmetic, and why."""
        self.not_compared.append(line)
        self.console.print(line)
        self.write()

    def finish(self) -> None:
        """All that was asked for has been measured."""
        self.complete = True
        self.write()

    def _show(self, number: int, news: str) -> None:
        self.console.print(news)
        self.write()
        if self.listener is not None:
            self.listener(number, self.figures[number], self.lines[number])

    def plain(self) -> dict[str, object]:
        """What the file holds."""
        terms = {"what": self.what, "games": self.games, "environment": self.environment, "complete": self.complete}
        terms["of_the_document"] = self.of_the_document
        return {**terms, "figures": self.figures, "left_out": self.left_out, "not_compared": self.not_compared}

    def write(self) -> None:
        """Writes the file as far as it goes; before the first row there is nothing worth an earlier file's figures."""
        if self.path is not None and (self.figures or self.complete):
            write_atomically(self.path, json_text(self.plain(), indent=1).encode())

    def stopped(self) -> str:
        """One line of what there is when the benchmark is stopped."""
        count = len(self.lines)
        rows = f"{count} {'row' if count == 1 else 'rows'}"
        kept = f", kept in {self.path} as incomplete" if self.path is not None and self.figures else ""
        return f"stopped after {rows}{kept}" + (f": {'; '.join(self.lines)}" if self.lines else "")


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Has SIGTERM and a terminal that is closed raise KeyboardInterrupt, as Ctrl+C does, within a `with` block of the
    main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: object) -> None:
        if signum == HANGUP:
            signal.signal(signum, signal.SIG_IGN)  # a shell says it again
            leave_closed_terminal()
        raise KeyboardInterrupt

    with on_stop(stop, [number for number in STOPS if number != signal.SIGINT]):
        yield


class Attempts:
    """Measures rows one by one; a row that does not fit in memory is said in one line, and the others still run."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __call__(self, label: str, measure: Callable[[], Iterator[T]]) -> Iterator[T]:
        """What the measurement yields, as far as it goes."""
        try:
            yield from measure()
        except Exception as error:
            if not out_of_memory(error):
                raise
            self.record.leave_out(f"{label}: does not fit in memory ({what_was_needed(error)}); left out")

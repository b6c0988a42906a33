"""Progress of long work: bars on a terminal, plain lines elsewhere; and tables that are readable in 60 columns."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from veclab.files import harmless

LINE_SECONDS = 15.0  # between plain lines
BAR_COLUMNS = 30  # of a bar, its percentage and the time that has passed


class Output(Console):
    """A console that prints text as it is, brackets and colons too, but no character that would control a terminal,
    and whose lines break between words.

    In a file or a pipe a line stays one, however long. What nobody reads any more is a BrokenPipeError.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})
        self.soft_wrap = not self.is_terminal

    def print(self, *objects: object, soft_wrap: bool | None = None, **options: object) -> None:
        whole = self.soft_wrap and all(isinstance(thing, str) for thing in objects)  # tables have a width everywhere
        super().print(*objects, soft_wrap=whole if soft_wrap is None else soft_wrap, **options)

    def render_str(self, text: str, **options: object) -> Text:
        """What a person or a file has named may hold characters that would control the terminal."""
        return super().render_str(harmless(text), **options)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


class Task:
    """One piece of work with a known end; `update` is cheap to call often."""

    def __init__(self, display: Display, name: str, total: float, unit: str) -> None:
        self.display, self.name, self.total, self.unit = display, name, total, unit
        self.start = time.monotonic()
        self.last_line = self.start
        self.bar = display.progress.add_task(name, total=total, note="") if display.progress else None

    def update(self, done: float, **rates: float) -> None:
        """``done`` of ``total`` units; ``rates`` are counts so far, shown a second (``evaluations=12000``)."""
        now = time.monotonic()
        if self.bar is None and (self.display.quiet or now - self.last_line < self.display.line_seconds):
            return
        elapsed = max(now - self.start, 1e-9)
        parts = self._parts(done, elapsed, rates)
        if self.bar is not None:
            room = self.display.console.width - len(self.name) - BAR_COLUMNS
            self.display.progress.update(self.bar, completed=done, note=fitting(parts, room))
        else:
            self.last_line = now
            count = f"{done:,.0f} of {self.total:,.0f} {self.unit}"
            self.display.console.print(f"  {self.name}: {', '.join([count, *parts])}")

    def _parts(self, done: float, elapsed: float, rates: dict[str, float]) -> list[str]:
        """What there is to say of the work, that first which is last to be left out."""
        parts = [f"{duration(elapsed * (self.total - done) / done)} left"] if done > 0 else []
        parts += [_rate(done / elapsed, self.unit)]
        parts += [self.display.run_left] if self.display.run_left else []
        return parts + [f"{count / elapsed:,.0f} {name}/s" for name, count in rates.items()]


class Display:
    """Where progress and results are shown.

    Args:
        quiet: results are, but no progress.
        verbose: a line of progress every second where there is no terminal for a bar.
    """

    def __init__(self, console: Console | None = None, quiet: bool = False, verbose: bool = False) -> None:
        self.console = console or Output()
        self.quiet, self.line_seconds = quiet, 1.0 if verbose else LINE_SECONDS
        self.progress: Progress | None = None
        self.run_left = ""  # how long the whole run will still take, once that is known

    @contextmanager
    def task(self, name: str, total: float, unit: str) -> Iterator[Task]:
        """Shows a piece of work while it lasts."""
        if not self.console.is_terminal or self.quiet:
            yield Task(self, name, total, unit)
            return
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:3.0f}%", markup=False),
            TimeElapsedColumn(),  # which goes on while nothing else does
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.console, transient=True) as self.progress:
            try:
                yield Task(self, name, total, unit)
            finally:
                progress, self.progress = self.progress, None
                progress.refresh()

    def line(self, text: str, whole: bool = False) -> None:
        """A line of what has happened; ``whole`` if it is to be copied, and must not be broken."""
        self.console.print(text, soft_wrap=True if whole else None)

    def news(self, text: str) -> None:
        """Likewise, of what a quiet display leaves out."""
        if not self.quiet:
            self.line(text)


def add_display_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of `display_of`."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="results only, no progress")
    how.add_argument(
        "--verbose",
        action="store_true",
        help=f"where output is no terminal, a line of progress every second instead of every {LINE_SECONDS:.0f}",
    )


def display_of(own: argparse.Namespace) -> Display:
    """The display that the flags ask for."""
    return Display(quiet=own.quiet, verbose=own.verbose)


def silent() -> Display:
    """A display that shows nothing, for processes that do not lead."""
    return Display(Console(quiet=True))


def fitting(parts: Sequence[str], room: int) -> str:
    """As many of the parts as fit into so many columns, the first of them at least."""
    text = ""
    for part in parts:
        longer = f"{text}, {part}" if text else part
        if text and len(longer) > room:
            break
        text = longer
    return text


def print_table(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose cells are never broken; where it is too wide for the console, an entry for each row instead.

    Args:
        head: names of the columns; the first one's cells name the rows.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1))
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if Measurement.get(console, console.options.update(max_width=1000), table).maximum <= console.width:
        console.print(table)
        return
    console.print(title, soft_wrap=False)
    for first, *cells in rows:
        console.print(f"  {first}" if first else "")
        for name, cell in zip(head[1:], cells, strict=True):
            if cell:
                console.print(f"    {name}: {cell}", soft_wrap=False)


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min 10 s, 5 h 12 min, 3 d 4 h."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def _rate(per_second: float, unit: str) -> str:
    """So many a minute; of what is rarer than one a minute, an hour."""
    return f"{60 * per_second:,.0f} {unit}/min" if per_second >= 1 / 60 else f"{3600 * per_second:,.1f} {unit}/h"

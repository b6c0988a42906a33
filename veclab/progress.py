"""Progress of long work: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LINE_SECONDS = 15.0  # between plain lines


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
        if self.bar is None and now - self.last_line < LINE_SECONDS:
            return
        elapsed = max(now - self.start, 1e-9)
        note = self._note(done, elapsed, rates)
        if self.bar is not None:
            self.display.progress.update(self.bar, completed=done, note=note)
        else:
            self.last_line = now
            self.display.console.print(f"  {self.name}: {done:,.0f} of {self.total:,.0f} {self.unit}, {note}")

    def _note(self, done: float, elapsed: float, rates: dict[str, float]) -> str:
        parts = [f"{60 * done / elapsed:,.0f} {self.unit}/min"]
        parts += [f"{count / elapsed:,.0f} {name}/s" for name, count in rates.items()]
        if done > 0:
            parts.append(f"{duration(elapsed * (self.total - done) / done)} left")
        if self.display.run_left:
            parts.append(self.display.run_left)
        return ", ".join(parts)


class Display:
    """Where progress and results are shown."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.progress: Progress | None = None
        self.run_left = ""  # how long the whole run will still take, once that is known

    @contextmanager
    def task(self, name: str, total: float, unit: str) -> Iterator[Task]:
        """Shows a piece of work while it lasts."""
        if not self.console.is_terminal:
            yield Task(self, name, total, unit)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}% {task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as self.progress:
            try:
                yield Task(self, name, total, unit)
            finally:
                progress, self.progress = self.progress, None
                progress.refresh()

    def line(self, text: str) -> None:
        self.console.print(text)


def silent() -> Display:
    """A display that shows nothing, for processes that do not lead."""
    return Display(Console(quiet=True))


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

"""What an emulated GPU has seen: kernels, waits, and operations that a real one would refuse."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.emulated_gpu.traffic import Moved

ROOT = str(Path(__file__).parents[2]) + "/"
HERE = str(Path(__file__).parent) + "/"
OTHER = "other"  # the phase of all work that nobody has named


class EmulationError(AssertionError):
    """Operations that a real GPU would refuse, or answer otherwise."""


class Record:
    """Counts since the start, or since `clear`."""

    def __init__(self) -> None:
        self.phase_now = OTHER
        self.weighing = False  # whether bytes and products are counted too, which takes time
        self.clear()

    def clear(self) -> None:
        """Begins anew; errors that nobody has raised are forgotten too."""
        self.kernels: Counter[tuple[str, str]] = Counter()  # (phase, operation) -> launches
        self.bytes: Counter[tuple[str, str]] = Counter()  # likewise, read and written, while ``weighing``
        self.products: Counter[tuple[str, str]] = Counter()  # likewise, multiply-adds of matrices
        self.waits: Counter[tuple[str, str]] = Counter()  # (the project's lines, operation) -> times
        self.errors: Counter[tuple[str, str, str]] = Counter()  # (operation, the project's lines, message) -> times
        self.replays = 0  # of graphs

    def launch(self, name: str, moved: Callable[[], Moved]) -> None:
        """Counts a kernel, and what it has ``moved``."""
        key = self.phase_now, name
        self.kernels[key] += 1
        if self.weighing:
            found = moved()
            self.bytes[key] += found.bytes
            self.products[key] += found.products

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Kernels within the block count for phase ``name``; an inner phase's do not count for the outer one."""
        before, self.phase_now = self.phase_now, name
        try:
            yield
        finally:
            self.phase_now = before

    @property
    def launches(self) -> int:
        """Kernels started one by one; those of a graph's replay are not among them."""
        return self.kernels.total()

    def by_phase(self, counts: Counter[tuple[str, str]] | None = None) -> Counter[str]:
        """Kernels by phase, or another of the counts."""
        phases: Counter[str] = Counter()
        for (phase, _), times in (self.kernels if counts is None else counts).items():
            phases[phase] += times
        return phases

    def raise_errors(self) -> None:
        """Raises `EmulationError` with all operations that a GPU would refuse, if there were any."""
        if self.errors:
            lines = [f"{op} at {where}: {what} (x{times})" for (op, where, what), times in self.errors.items()]
            raise EmulationError("a GPU would not do this:\n  " + "\n  ".join(lines))


def project_lines(most: int = 3) -> str:
    """The innermost of the project's lines that are being run, without the emulation's: "file:line < file:line"."""
    frame, found = sys._getframe(1), []
    while frame is not None and len(found) < most:
        name = frame.f_code.co_filename
        if name.startswith(ROOT) and not name.startswith(HERE) and "/.venv/" not in name:
            found.append(f"{name.removeprefix(ROOT)}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found) or "?"

"""The files that keep the matches of pages: their names, which of a folder they are, and who goes on with one."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

from veclab.lock import alone_at


def new_file(folder: Path) -> Path:
    """A file that there is not yet, called by the time of day."""
    stem = time.strftime("match-%Y%m%d-%H%M%S")
    names = (f"{stem}{f'-{n}' if n else ''}.json" for n in range(1000))
    return next(folder / name for name in names if not (folder / name).exists())


def matches_in(folder: Path) -> list[str]:
    """The names of the files of a folder that look like saved matches, in alphabetical order."""
    return sorted(path.name for path in folder.glob("*.json") if _keeps_match(path))


def held_alone(path: Path | None) -> ExitStack:
    """Holds the right to go on with a file, if there is one. Raises ValueError when another process has it."""
    with ExitStack() as held:
        held.enter_context(alone_at(path))
        return held.pop_all()


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths are those of one file, which there need not be yet."""
    first, second = (one.parent.resolve() / one.name for one in (path, other))
    return first == second


def _keeps_match(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > 1 << 20:  # reading a pipe would wait for its writer
            return False
        saved = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(saved, dict) and str(saved.get("format", "")).startswith("vecgame-match-")

"""A run's metrics: a file of JSON lines that only grows, cut back to the checkpoint from which the run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from veclab.agents.checkpoint import cannot_write, write_atomically
from veclab.agents.folder import entry_of_today

Entry = dict[str, object]


def append(path: Path, entry: Entry) -> None:
    """Adds a line."""
    try:
        with path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise cannot_write(path, error) from None


def sync(path: Path) -> None:
    """Waits until the lines so far are on the disk, as they must be before a checkpoint that counts on them."""
    if path.exists():
        with path.open("a") as file:
            os.fsync(file.fileno())


def read(path: Path) -> list[Entry]:
    """All entries; a line that was being written when the machine stopped or the disk was full is left out."""
    entries = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            entries.append(entry_of_today(json.loads(line)))
        except json.JSONDecodeError:
            continue
    return entries


def keep(path: Path, wanted: Callable[[Entry], bool]) -> None:
    """Drops the entries that are not ``wanted``, and lines that are not whole."""
    if path.exists():
        kept = [json.dumps(entry) + "\n" for entry in read(path) if wanted(entry)]
        write_atomically(path, "".join(kept).encode())

"""Atomic writes, for programs with PyTorch and without."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp"  # how the name of a file ends while it is being written


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that, whenever the machine stops, either the old or the new one is there whole.

    Raises:
        OSError: that names the file, when it cannot be written; the old one stays.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # a full disk needs the room
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> OSError:
    """The same error in words that name the file."""
    return OSError(f"cannot write {path}: {error.strerror or error}")


def remove_temporaries(folder: Path) -> None:
    """Removes what writes that were cut off have left in a folder."""
    for path in folder.glob(f"*{TEMPORARY}"):
        path.unlink(missing_ok=True)

"""Files that are written and read again, by programs with PyTorch and without.

They are written atomically, as standard JSON, with digests. What is read may come from elsewhere, or be damaged: it is
opened without following links, and every fault of it is a `DamagedError` in one line.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"  # how the name of a file ends while it is being written
DIGEST = "sha256"  # the field of a sealed file that has the digest of the others


class DamagedError(ValueError):
    """A file is not as it was written, or is no such file."""


def write_atomically(path: Path, data: bytes, more: Iterable[memoryview] = (), previous: Path | None = None) -> None:
    """Writes a file so that, whenever the machine stops, either the old or the new one is there whole.

    Args:
        more: what comes after ``data``, in parts.
        previous: the name that the old one gets, if it shall be kept: between the two renames only that is there.

    Raises:
        OSError: that names the file, when it cannot be written; the old one stays.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        temporary.unlink(missing_ok=True)  # a link of that name, which "xb" does not follow either
        with temporary.open("xb") as file:
            file.write(data)
            for part in more:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException as error:  # Ctrl+C among them
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # a full disk needs the room
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def cannot_write(path: Path, error: OSError) -> OSError:
    """The same error in words that name the file."""
    return OSError(f"cannot write {path}: {error.strerror or error}")


def open_own(path: Path) -> BinaryIO:
    """Opens a file to read it and to write at its end, each write at once; it is made if need be.

    Raises:
        ValueError: in one line, where the name is a link, a pipe or a folder: another file would be written.
    """
    refused = f"{path} is a link, or no file at all; remove it, as it would lead into another file"
    if path.is_symlink():
        raise ValueError(refused)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except IsADirectoryError:
        raise ValueError(refused) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(refused)
    return os.fdopen(descriptor, "ab+", buffering=0)


def json_text(value: object, indent: int | None = None) -> str:
    """Standard JSON, in which a number that does not exist, such as an infinite interval, is null."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_existing(value), indent=indent, allow_nan=False)


def _existing(value: object) -> object:
    """The value with None for floats that are not finite."""
    if isinstance(value, dict):
        return {name: _existing(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_existing(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse_json(data: bytes | str) -> object:
    """What JSON says; NaN and Infinity, which earlier versions wrote, are None.

    Raises:
        ValueError: on anything else.
    """
    try:
        return json.loads(data, parse_constant=lambda name: None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> dict[str, object]:
    """The JSON object that a file holds.

    Raises:
        DamagedError: in one line, if it holds something else.
        OSError: if there is none.
    """
    try:
        value = parse_json(path.read_bytes())
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: it is not JSON ({printable(error)})") from None
    if not isinstance(value, dict):
        raise DamagedError(f"{path} is damaged: it holds {shown(value)}, not an object")
    return value


def sealed(value: dict[str, object]) -> bytes:
    """A JSON object as text for people, with a field that has the digest of all others; see `is_intact`."""
    plain = parse_json(json_text(value))
    return json_text({**plain, DIGEST: _digest(plain)}, indent=1).encode()


def is_intact(value: dict[str, object]) -> bool:
    """Whether a JSON object that was `sealed` says what it said then; what has no digest, as of earlier versions, is
    taken as it is."""
    return DIGEST not in value or value[DIGEST] == _digest({n: one for n, one in value.items() if n != DIGEST})


def _digest(value: dict[str, object]) -> str:
    """SHA-256 of what a JSON object says, however it is laid out."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def controls(text: str) -> bool:
    """Whether characters of a text would do something to a terminal, or to the order in which it is read."""
    return any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text)


def printable(text: object) -> str:
    """A text of a file in one line for a terminal, which no character of it controls."""
    return harmless(" ".join(str(text).split()))


def harmless(text: str) -> str:
    """A text for a terminal, which no character of it controls, but for the ends of its lines."""
    return "".join(ascii(c)[1:-1] if controls(c) and c != "\n" else c for c in text)


def shown(value: object) -> str:
    """A value of a file, cut short, for a message; as `repr` has it, nothing of it controls a terminal."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} .."


def is_there(name: str | Path) -> bool:
    """Whether there is a file or folder of that name; the empty one is no name of the folder that one is in."""
    try:
        return name != "" and Path(name).exists()
    except OSError:  # no file may be called so
        return False

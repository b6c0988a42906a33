"""A run's metrics: a file of JSON lines that only grows, cut back to the checkpoint from which the run goes on.

Each line ends with the CRC-32 of its entry, and is written at once, so that whoever reads the file meanwhile finds
whole lines. Of earlier versions' lines none has one.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path

from veclab import typed
from veclab.agents.checkpoint import cannot_write, write_atomically
from veclab.agents.folder import OLD_UPDATE, UPDATE, entry_of_today
from veclab.files import DamagedError, json_text, open_own, parse_json, printable

Entry = dict[str, object]

COUNTER = {UPDATE: "updates", OLD_UPDATE: "updates", "iteration": "iteration"}  # that an entry of a kind has
SEALED = re.compile(r'(?s)(\{.+), "crc32": "([0-9a-f]{8})"\}')

_INTERVAL = typed.record({"mean": typed.number, "half": typed.number})
_MATCH = typed.record({"player": _INTERVAL, "opponents": _INTERVAL, "lead": _INTERVAL, "games": typed.count})
RESULTS = typed.named(typed.named(_MATCH))  # of an evaluation: player -> opponent -> match
_ENTRY = typed.record({"kind": typed.text}, {"updates": typed.count, "iteration": typed.count, "results": RESULTS})


def append(path: Path, entry: Entry) -> None:
    """Adds a line."""
    try:
        with open_own(path) as file:
            line = _line(entry)
            while line:  # at once; a disk that is nearly full takes a part, and refuses the rest
                line = line[file.write(line) :]
    except OSError as error:
        raise cannot_write(path, error) from None


def sync(path: Path) -> None:
    """Waits until the lines so far are on the disk, as they must be before a checkpoint that counts on them."""
    if path.exists():
        with open_own(path) as file:
            os.fsync(file.fileno())


def read(path: Path) -> list[Entry]:
    """All entries; a last line that is being written, or was when the machine stopped or the disk was full, is left
    out.

    Raises:
        DamagedError: in one line, that tells the number of a line that is no entry.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    entries, sealed = [], False
    for number, line in enumerate(lines, 1):
        try:
            entry, has_crc = _entry(line)
            if sealed and not has_crc:
                raise ValueError("it has no crc32, as those before it have")
        except ValueError as error:
            raise _damaged(path, f"line {number} is no entry: {printable(error)}") from None
        sealed = sealed or has_crc
        entries.append(entry_of_today(entry))
    return entries


def ends_within_a_line(path: Path) -> bool:
    """Whether the last line is not whole: it was being written when the process or the machine stopped."""
    return path.exists() and bool(path.read_bytes().rpartition(b"\n")[2])


def check_whole(path: Path, progress: tuple[int, int]) -> None:
    """Raises DamagedError, in one line, where the entry of a step up to this one is missing; not where there is no
    file, or none of the first entries, as where somebody has moved the file away since: then there may be evaluations
    alone, of the steps before."""
    if not path.exists() or (done := sum(progress)) == 0:
        return
    entries = read(path)
    steps = [entry for entry in entries if entry["kind"] in (UPDATE, "iteration")]
    if entries and not steps:
        return
    if any("updates" not in entry or "iteration" not in entry for entry in steps):
        return  # of an early version
    there = {entry["updates"] + entry["iteration"] for entry in steps}
    if gone := set(range(min(there, default=done), done + 1)) - there:
        raise _damaged(path, f"of {done} updates and iterations the line of number {min(gone)} is missing")


def keep(path: Path, wanted: Callable[[Entry], bool]) -> None:
    """Drops the entries that are not ``wanted``, and a last line that is not whole; the file, if nothing is left."""
    if not path.exists():
        return
    if kept := [_line(entry) for entry in read(path) if wanted(entry)]:
        write_atomically(path, b"".join(kept))
    else:
        path.unlink()


def check_results(results: object) -> None:
    """Raises ValueError, in one line, unless these are the results of an evaluation."""
    RESULTS(results, "results")


def _damaged(path: Path, how: str) -> DamagedError:
    return DamagedError(
        f"{path} is damaged: {how}; put back a copy of the file, or move it away to go on without what it told"
    )


def _line(entry: Entry) -> bytes:
    text = json_text(entry)
    return f'{text[:-1]}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def _entry(line: bytes) -> tuple[Entry, bool]:
    """The entry of a line, and whether it had a CRC-32, which was right then. Raises ValueError where it is none."""
    text = line.decode()
    if has_crc := SEALED.fullmatch(text):
        text = f"{has_crc[1]}}}"
        if f"{zlib.crc32(text.encode()):08x}" != has_crc[2]:
            raise ValueError("its crc32 does not fit")
    entry = parse_json(text)
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    _ENTRY(entry, "it")
    if any(isinstance(value, int) and abs(value) >> 63 for value in entry.values()):
        raise ValueError("it has a whole number that is out of all bounds")
    if (counter := COUNTER.get(entry["kind"])) is not None and counter not in entry:
        raise ValueError(f"it has no {counter}")
    return entry, has_crc is not None

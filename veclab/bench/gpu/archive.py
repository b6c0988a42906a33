"""One archive of limited size, of whatever parts have left in a folder."""

from __future__ import annotations

import io
import tarfile
import zlib
from fnmatch import fnmatch
from pathlib import Path

NAME = "results.tar.gz"
MOST = 16 * 2**20 - 2**16  # bytes of the archive: a little less than 16 MiB
MOST_LOG = 512 * 1024  # bytes of a log
LOGS = "*.txt"
APART = ("run/checkpoint*.safetensors", "run/lock", "*.tmp")  # what only going on needs; unfinished files
SIZES = ("B", "KiB", "MiB", "GiB")


def pack(folder: Path, texts: dict[str, str], most: int = MOST) -> tuple[bytes, list[str]]:
    """The archive of a folder's files.

    Args:
        folder: a folder a part.
        texts: files beside the parts' folders, by name; they are always in it.
        most: bytes. Of the files, those that are the largest once they are packed are left out until it fits.

    Returns:
        The archive, and a line for each file that is not in it.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: path for name, path in files.items() if not apart(name)}
    left_out: list[str] = []
    # A file that is many times as large will not fit, and reading it takes memory and time.
    for name in [name for name, path in files.items() if path.stat().st_size > 8 * most and not fnmatch(name, LOGS)]:
        left_out.append(not_in_it(name, files.pop(name)))
    contents = {name: read(name, path) for name, path in files.items()}
    always = {name: text.encode() for name, text in texts.items()}
    while len(data := packed({**contents, **always})) > most and contents:
        largest = max(contents, key=lambda name: len(zlib.compress(contents[name], 1)))
        del contents[largest]
        left_out.append(not_in_it(largest, files[largest]))
    return data, left_out


def apart(name: str) -> bool:
    """Whether a file, by its path within the folder, is none that is to come home."""
    within = name.partition("/")[2]
    return any(fnmatch(within, pattern) for pattern in APART)


def read(name: str, path: Path) -> bytes:
    """A file's bytes; a log that is too long is cut, and says so in its last line."""
    if not fnmatch(name, LOGS):
        return path.read_bytes()
    with path.open("rb") as file:
        data = file.read(MOST_LOG)
    more = path.stat().st_size - len(data)
    return data + f"\n(cut here: {size(more)} more)\n".encode() if more > 0 else data


def not_in_it(name: str, path: Path) -> str:
    return f"{name} ({size(path.stat().st_size)})"


def size(count: float) -> str:
    """A number of bytes for people."""
    unit = 0
    while count >= 1024 and unit < len(SIZES) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:,.1f} {SIZES[unit]}" if unit else f"{count} B"


def packed(contents: dict[str, bytes]) -> bytes:
    """A gzipped tar file, all of it within a folder ``results``."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as tar:
        for name, data in contents.items():
            entry = tarfile.TarInfo(f"results/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()

"""One process at a time works on a run's folder, or goes on with a file of results."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from veclab import typed
from veclab.command_line import WINDOWS
from veclab.files import json_text, open_own, parse_json

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, which `_check_system` says
    fcntl = None

LOCK = "lock"
_OWNER = typed.record({"pid": typed.count, "host": typed.text, "since": typed.text})


class FolderLock:
    """The right to write into a folder, held until `release` or the end of the process, SIGKILL included.

    The file stays where it is: to remove it would let a third process lock a file that a second one is about to lock.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    def take(cls, folder: Path) -> FolderLock:
        """Locks a folder, which is made if need be.

        Raises:
            ValueError: in one line, that names the process that holds it, or says that it is no folder; on Windows.
        """
        _check_system()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{folder} is, or lies in, a file; name a folder for the run") from None
        return cls(_locked(folder / LOCK, folder, "folder"))

    def release(self) -> None:
        """Lets others have the folder."""
        self._file.close()


@contextmanager
def alone_at(path: Path | None) -> Iterator[None]:
    """The right to go on with a file of results within a `with` block: who has read it and later writes it whole would
    lose what another process has added meanwhile. Nothing to hold where there is none.

    A file beside it is locked, as it is itself replaced by every write, and removed at the end.

    Raises:
        ValueError: in one line, that names the process that goes on with it; on Windows.
    """
    if path is None:
        yield
        return
    _check_system()
    beside = path.with_name(f"{path.name}.{LOCK}")
    file = _locked(beside, path, "file")
    while not _is_at(file, beside):  # who held it has removed it, between our opening and locking it
        file.close()
        file = _locked(beside, path, "file")
    try:
        yield
    finally:
        with suppress(OSError):
            beside.unlink()  # before it is let go, so that it is nobody else's
        file.close()


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _check_system() -> None:
    if fcntl is None:
        raise ValueError(WINDOWS)


def _locked(path: Path, what: Path, kind: str) -> BinaryIO:
    """A file that is locked, and says by whom, as long as it is open; it is made if need be.

    Raises:
        ValueError: in one line, that names the process that holds ``what``, which is of a ``kind``.
    """
    file = open_own(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(file)
        file.close()
        raise ValueError(f"{what} is in use by {holder}; stop that one, or name another {kind}") from None
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with suppress(OSError):  # a full disk: the lock holds all the same, without a name
        file.truncate(0)
        file.write(json_text(owner).encode())
    return file


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        owner = parse_json(file.read())
        _OWNER(owner, "it")
    except ValueError:
        return "another process"  # which has taken the lock, but not yet written its name
    return "process {pid} on {host}, since {since}".format(**owner)

"""One process at a time works on a run's folder."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from veclab import typed
from veclab.command_line import WINDOWS
from veclab.files import json_text, open_own, parse_json

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where `FolderLock.take` says so
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
        if fcntl is None:
            raise ValueError(WINDOWS)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{folder} is, or lies in, a file; name a folder for the run") from None
        file = open_own(folder / LOCK)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            raise ValueError(f"{folder} is in use by {holder}; stop that one, or name another folder") from None
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with suppress(OSError):  # a full disk: the lock holds all the same, without a name
            file.truncate(0)
            file.write(json_text(owner).encode())
        return cls(file)

    def release(self) -> None:
        """Lets others have the folder."""
        self._file.close()


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        owner = parse_json(file.read())
        _OWNER(owner, "it")
    except ValueError:
        return "another process"  # which has taken the lock, but not yet written its name
    return "process {pid} on {host}, since {since}".format(**owner)

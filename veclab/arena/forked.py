"""Work shared out among processes that are forked for it, each of which computes with one thread.

Players in Python alone, which decide game after game, hold the interpreter all the time, so that threads are no use to
them. What is forked has an interpreter of its own, begins at once, and has all that this process has, whatever the
players are. OpenMP's threads are not copied with the rest, and what waited for them would wait for ever, so that it
computes with one, as PyTorch's own loading of data does; and GPUs are not shared out.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from mmap import mmap
from multiprocessing.connection import Connection, wait

import torch
from torch import Tensor

from veclab.command_line import STOPS

Report = Callable[[float], None]
"""Called with the share of the work that is done."""

RECORD = 4  # bytes that a piece of work is in a pipe, which are read all at once or not at all
MOST = 4096 // RECORD  # pieces, whose numbers any pipe holds
SECONDS = 0.2  # between two looks at what the others have done, when this process has nothing left to do


def most_processes(device: torch.device) -> int:
    """Among how many processes work on a device is shared out at most: as many as PyTorch has threads, of a CPU under
    Linux; elsewhere a process is not copied safely, or its device is not."""
    return torch.get_num_threads() if sys.platform == "linux" and device.type == "cpu" else 1


def shared(*shape: int, dtype: torch.dtype) -> Tensor:
    """Zeros in memory that this process has in common with those that it forks from now on."""
    size = torch.Size(shape)
    return torch.frombuffer(mmap(-1, max(1, size.numel() * dtype.itemsize)), dtype=dtype, count=size.numel()).view(size)


def in_processes(work: Callable[[int, Report], None], pieces: int, processes: int, report: Report) -> None:
    """Has ``work(number, report)`` done for each number of so many pieces, by this process and forked ones, of which
    each takes the next number as soon as it is free. What work makes, it leaves in `shared` memory.

    Args:
        work: if it raises, in whichever process, all the others are ended.
        processes: at most, this one too; 1 does it all here, with as many threads as ever.
        report: called in this process only, with the share of all the pieces that is done.

    Raises:
        Exception: as ``work`` does, in whichever process.
        ChildProcessError: in one line, when a process has been killed.
    """
    if not 0 < pieces <= MOST:
        raise ValueError(f"work must come in 1 to {MOST:,} pieces, got {pieces:,}")
    if min(processes, pieces) == 1:
        for number in range(pieces):
            work(number, lambda share, number=number: report((number + share) / pieces))
        return
    done = shared(pieces, dtype=torch.float64)
    with _one_thread(), _numbers(pieces) as numbers:
        others = _Others(min(processes, pieces) - 1, work, numbers, done)

        def look() -> None:
            others.check()
            report(float(done.sum()) / pieces)

        try:
            for number in _taken(numbers):
                work(number, _noting(done, number, look))
                done[number] = 1.0
            while others.wait():
                look()
        finally:
            others.end()
    report(1.0)


def _noting(done: Tensor, number: int, then: Callable[[], None]) -> Report:
    """Notes the share of a piece that is done, and what is done ``then``."""

    def note(share: float) -> None:
        done[number] = share
        then()

    return note


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch's operations are not split meanwhile."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _numbers(pieces: int) -> Iterator[int]:
    """A pipe that all processes read the pieces' numbers from, the next one each time: it needs no lock, which somebody
    who is killed could keep."""
    reads, writes = os.pipe()
    try:
        os.write(writes, b"".join(number.to_bytes(RECORD, "little") for number in range(pieces)))
        os.close(writes)
        yield reads
    finally:
        os.close(reads)


def _taken(numbers: int) -> Iterator[int]:
    """The numbers that this process gets, until there are no more."""
    while record := os.read(numbers, RECORD):
        yield int.from_bytes(record, "little")


class _Others:
    """The forked processes."""

    def __init__(self, count: int, work: Callable[[int, Report], None], numbers: int, done: Tensor) -> None:
        self.running: dict[multiprocessing.Process, Connection] = {}  # with where it tells what ended it
        context = multiprocessing.get_context("fork")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until the copy knows what to do about them
        try:
            for _ in range(count):
                reads, writes = context.Pipe(duplex=False)
                arguments = (work, numbers, done, os.getpid(), writes, before)
                process = context.Process(target=_work, args=arguments, daemon=True)
                with warnings.catch_warnings():  # Python's, and of whom has threads: they are not copied, nor needed
                    warnings.simplefilter("ignore", DeprecationWarning)
                    warnings.simplefilter("ignore", RuntimeWarning)
                    process.start()
                writes.close()
                self.running[process] = reads
        except BaseException:
            self.end()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def wait(self) -> bool:
        """Waits a little for one of them to end; whether there are any."""
        wait([process.sentinel for process in self.running], SECONDS)
        return bool(self.running)

    def check(self) -> None:
        """Raises what has ended one of them, if not that there was nothing left to do."""
        for process, reads in list(self.running.items()):
            if process.is_alive():
                continue
            process.join()
            del self.running[process]
            with reads, suppress(EOFError):
                raise reads.recv()
            if process.exitcode:
                raise ChildProcessError(
                    f"a process that some of the work was left to was killed, by signal {-process.exitcode}; with "
                    "OMP_NUM_THREADS=1 there is one for all of it, which needs less memory"
                )

    def end(self) -> None:
        """Ends those that still run."""
        for process in self.running:
            process.kill()
        for process, reads in self.running.items():
            process.join()
            reads.close()
        self.running.clear()


def _work(
    work: Callable[[int, Report], None],
    numbers: int,
    done: Tensor,
    parent: int,
    errors: Connection,
    mask: set[signal.Signals],
) -> None:
    """What a forked process does, until it ends. What was to be printed by the process that it is a copy of stays to be
    printed there, and is not looked at on the way out."""
    for number in STOPS:  # what is said to all at once the parent decides on
        signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def look() -> None:
        if os.getppid() != parent:
            os._exit(1)

    try:
        for number in _taken(numbers):
            work(number, _noting(done, number, look))
            done[number] = 1.0
    except BaseException as error:
        _tell(errors, error)
    os._exit(0)


def _tell(errors: Connection, error: BaseException) -> None:
    """Tells the parent of an error; of one that cannot be sent, what it said."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    errors.send(error)

"""Work on parts of a batch side by side, in threads that share out PyTorch's.

By itself PyTorch splits each operation among its threads, which then wait for each other: thousands of times a second
here, where operations are small. A thread that works by itself on a part of the rows waits once, when all of the part
is done. Beside another busy program, which any of the thousand waits may be for, that is several times as fast.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import torch

R = TypeVar("R")


class SideBySide:
    """Does the same with each of some parts, one in this thread and the others in the ``pool``'s, if there is one."""

    def __init__(self, size: int, pool: ThreadPoolExecutor | None = None) -> None:
        self.size = size  # parts that are worked on at a time
        self.pool = pool

    def split(self, count: int, least: int) -> list[tuple[int, int]]:
        """A part of ``count`` things for each thread, as (first, number), but for threads that would have fewer than
        ``least``: nearly even, at least one part."""
        parts = max(1, min(self.size, count // least))
        edges = [count * part // parts for part in range(parts + 1)]
        return [(first, end - first) for first, end in pairwise(edges)]

    def map(self, work: Callable[..., R], parts: Sequence[tuple]) -> list[R]:
        """What ``work`` returns for each part, called with what it consists of; in the order of the parts.

        Raises:
            Exception: as ``work`` does for the first part that fails; by then no part is worked on any more.
        """
        others = [self.pool.submit(work, *part) for part in parts[1:]] if self.pool else []
        try:
            own = [work(*part) for part in parts[: len(parts) - len(others)]]
        finally:
            wait(others)
        return own + [other.result() for other in others]


ALONE = SideBySide(1)
_open = threading.local()  # what this thread has opened by `side_by_side`


def current() -> SideBySide:
    """What this thread may work side by side with: `ALONE` outside of `side_by_side`."""
    return getattr(_open, "threads", ALONE)


@contextmanager
def side_by_side(device: torch.device, worth: bool = True) -> Iterator[SideBySide]:
    """As many threads as PyTorch has for ``device``, each of which works by itself: one on a GPU. Meanwhile PyTorch
    splits no operation of this thread. Within another call of this it gives what that has. If it is not ``worth`` it,
    all stays as it is: of small batches operations that are split are faster than parts."""
    size = torch.get_num_threads()
    if device.type != "cpu" or size == 1 or not worth:
        yield current()
        return
    with shared_out(size) as pool:
        _open.threads = SideBySide(size, pool)
        try:
            yield _open.threads
        finally:
            del _open.threads


@contextmanager
def shared_out(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of so many threads, among which PyTorch's are shared out as long as it is there."""
    threads = torch.get_num_threads()
    each = max(1, threads // workers)
    torch.set_num_threads(each)  # of this thread; those of the pool have numbers of their own
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(each,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)

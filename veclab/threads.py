"""Work on parts of a batch side by side, in threads that share out PyTorch's.

By itself PyTorch splits each operation among its threads, which then wait for each other: thousands of times a second
here, where operations are small. A thread that works by itself on a part of the games or examples waits once, when all
of it is done. That is faster where nothing else runs, and much faster beside another busy program, which any of the
thousand waits may be for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

P, R = TypeVar("P"), TypeVar("R")


def number_of_threads(device: torch.device) -> int:
    """Threads that there are for work of the host's: PyTorch's on a CPU; 1 on a GPU, which works side by side itself."""
    return torch.get_num_threads() if device.type == "cpu" else 1


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


class SideBySide:
    """Does the same with each of some parts, one in this thread and the others in the ``pool``'s, if there is one."""

    def __init__(self, size: int, pool: ThreadPoolExecutor | None = None) -> None:
        self.size = size  # parts that are worked on at a time
        self.pool = pool

    def map(self, work: Callable[[P], R], parts: Sequence[P]) -> list[R]:
        """What ``work`` returns for each part, in the order of the parts.

        Raises:
            Exception: as ``work`` does for the first part that fails; by then no part is worked on any more.
        """
        if self.pool is None:
            return [work(part) for part in parts]
        others = [self.pool.submit(work, part) for part in parts[1:]]
        try:
            own = [work(part) for part in parts[:1]]
        finally:
            wait(others)
        return own + [other.result() for other in others]


@contextmanager
def side_by_side(device: torch.device) -> Iterator[SideBySide]:
    """As many threads as PyTorch has for ``device``, each of which works by itself."""
    size = number_of_threads(device)
    if size == 1:
        yield SideBySide(1)
        return
    with shared_out(size) as pool:
        yield SideBySide(size, pool)

"""One network for many threads: a queue of requests, and a thread that evaluates them in batches."""

import queue
import threading
import time
from array import array

from veclab.reference.network import Answer, DirectNetwork, Traffic


class _Request:
    """Rows that a thread waits for. `done` is held until there is an answer or an error."""

    __slots__ = ("answer", "count", "done", "error", "rows")

    def __init__(self, rows: array, count: int) -> None:
        self.rows, self.count = rows, count
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class BatchedEvaluator:
    """A `Network` for threads, which block in it until their answer is there.

    A batch is evaluated as soon as it is full, or every client waits in it, or its first request has waited for
    `timeout_ms`. An error of the network goes to every thread of its batch; later batches are not affected.

    Args:
        network: evaluates a batch; called from the evaluator's own thread only.
        batch_size: rows at most in one call, unless a single request has more.
        timeout_ms: how long a request waits for company.
        clients: threads that send requests, each one at a time; see `leave`. 0 = unknown, so that only size and timeout
            end a batch.

    Use it as a context manager, or call `close`: it answers what has been asked so far and ends the thread.
    """

    def __init__(self, network: DirectNetwork, batch_size: int, timeout_ms: float, clients: int = 0) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not timeout_ms >= 0:
            raise ValueError(f"timeout_ms must be at least 0, got {timeout_ms}")
        self.traffic = Traffic()
        self._network, self._batch_size, self._timeout = network, batch_size, timeout_ms / 1000
        self._clients = clients if clients > 0 else float("inf")
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()  # None: no more requests
        self._closed = False
        self._lock = threading.Lock()  # so that no request follows the None
        self._thread = threading.Thread(target=self._collect, name="batched-evaluator", daemon=True)
        self._thread.start()

    def __call__(self, rows: array, count: int) -> Answer:
        request = _Request(rows, count)
        with self._lock:
            if self._closed:
                raise RuntimeError("the evaluator is closed")
            self._queue.put(request)
        request.done.acquire()
        if request.error is not None:
            raise request.error
        return request.answer

    def leave(self) -> None:
        """A client tells that it will send no more, so that nobody waits for it."""
        with self._lock:
            self._clients -= 1

    def close(self) -> None:
        """Answer all requests made so far, then end the thread. Later requests get a RuntimeError."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> "BatchedEvaluator":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _collect(self) -> None:
        """The thread: fill a batch, evaluate it, and again."""
        request = self._queue.get()
        while request is not None:
            batch, request = self._fill(request)
            self._evaluate(batch)
            if request is _NOTHING_YET:
                request = self._queue.get()

    def _fill(self, first: _Request) -> tuple[list[_Request], "_Request | None"]:
        """A batch that begins with `first`, and what follows it in the queue: a request that had no more room, None at
        the end, or _NOTHING_YET."""
        batch, rows = [first], first.count
        deadline = time.monotonic() + self._timeout
        while rows < self._batch_size and len(batch) < self._clients:
            try:
                request = self._queue.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                break
            if request is None or rows + request.count > self._batch_size:
                return batch, request
            batch.append(request)
            rows += request.count
        return batch, _NOTHING_YET

    def _evaluate(self, batch: list[_Request]) -> None:
        try:
            rows = array("f")
            for request in batch:
                rows.extend(request.rows)
            count = sum(request.count for request in batch)
            logits, values = self._network.compute(rows, count)
            start = 0
            for request in batch:
                end = start + request.count
                request.answer = logits[start:end], values[start:end]
                start = end
            self.traffic.requests += len(batch)
            self.traffic.add_call(count)
        except BaseException as error:  # whatever it is, nobody may be left waiting
            for request in batch:
                request.error = error
        for request in batch:
            request.done.release()


_NOTHING_YET = _Request(array("f"), 0)

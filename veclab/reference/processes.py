"""Strategy 2: isolated worker processes, each with its own copy of the network.

A worker is started by `spawn`, loads the network, warms up, reports how much memory it takes, and waits. When all are
ready they are told the time of the start; each plays its share and sends back one `Tally`. A worker never outlives its
parent, by whatever cause that ends.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import torch

from net import BlobNet, InferenceNet, NetConfig
from vecgame.memory import available_memory, max_workers, private_memory
from veclab.reference.measure import Budget, Settings, StrategyResult, Tally, play_share, summarize, tuned, warm_up
from veclab.reference.network import DirectNetwork, views_of

PATIENCE = 5.0  # seconds for a worker to end by itself


class WorkerError(RuntimeError):
    """A worker process has failed or died."""


@dataclass(frozen=True)
class _Ready:
    """A worker's message that it can start."""

    private_bytes: int | None
    device_free: int | None  # bytes free on the GPU, now that the worker has what it needs


@dataclass(frozen=True)
class _Done:
    """A worker's message that it has played its share."""

    tally: Tally
    end: float  # time.monotonic()
    cpu_seconds: float


@dataclass(frozen=True)
class _Worker:
    number: int
    process: BaseProcess
    pipe: Connection

    def receive(self) -> _Ready | _Done:
        """The next message. WorkerError when the worker has failed."""
        try:
            message = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(PATIENCE)
            code = self.process.exitcode
            hint = " (killed: out of memory?)" if code == -signal.SIGKILL else ""
            raise WorkerError(f"worker {self.number} died with exit code {code}{hint}") from None
        if isinstance(message, str):
            raise WorkerError(f"worker {self.number} failed:\n{message}")
        return message


def processes(net: BlobNet, settings: Settings, budget: Budget) -> StrategyResult:
    """Play with `settings.workers` processes, or as many as memory allows."""
    context = multiprocessing.get_context("spawn")
    next_game = context.Value("q", 0)
    workers: list[_Worker] = []
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pt"
        torch.save({"config": net.config.to_dict(), "state": net.state_dict()}, weights)

        def start_one() -> None:
            ours, theirs = context.Pipe()
            arguments = (theirs, settings, budget, str(weights), next_game)
            process = context.Process(target=_work, args=arguments, name=f"player-{len(workers)}", daemon=True)
            try:
                with interrupts_held():  # so that a Ctrl+C reaches this process only
                    process.start()
            finally:
                theirs.close()
            workers.append(_Worker(len(workers), process, ours))

        finished = False
        try:
            # The first ones tell how much memory the others will take.
            probes: list[_Ready] = []
            for _ in range(min(settings.workers, 1 if torch.device(settings.device).type == "cpu" else 2)):
                start_one()
                probes.append(workers[-1].receive())
            count, note = _fitting(settings.workers, probes)
            while len(workers) < count:
                start_one()
            for worker in workers[len(probes) :]:
                worker.receive()
            start = time.monotonic()
            for worker in workers:
                worker.pipe.send(start)
            reports = list(_receive_all(workers))
            finished = True
        finally:
            _end(workers, PATIENCE if finished else 0.0)
    tally = Tally()
    for report in reports:
        tally.add(report.tally)
    seconds = max(report.end for report in reports) - start
    cpu_seconds = sum(report.cpu_seconds for report in reports)
    return summarize("processes", settings, tally, seconds, cpu_seconds, len(workers), probes[0].private_bytes, note)


def _fitting(asked: int, probes: Sequence[_Ready]) -> tuple[int, str]:
    """How many of the workers fit into memory, and a remark if not all do, or if nobody knows."""
    running = len(probes)
    count, notes = asked, []
    size, free = probes[0].private_bytes, available_memory()
    if size is None or free is None:
        notes.append("memory of this system unknown: number of workers not checked against it")
    else:
        count = min(count, running + max_workers(size, free))
        if count < asked:
            notes.append(f"{asked} workers asked for, {count} fit: {size >> 20} MiB each, {free >> 20} MiB available")
    if running > 1 and probes[1].device_free is not None:
        free = probes[1].device_free
        size = max(probes[0].device_free - free, 1)
        if count > running + max_workers(size, free):
            count = running + max_workers(size, free)
            notes.append(f"{asked} workers asked for, {count} fit on the GPU: {size >> 20} MiB each")
    return count, "; ".join(notes)


def _receive_all(workers: Sequence[_Worker]) -> Iterator[_Done]:
    """One message of each worker, in the order of arrival."""
    waiting = {worker.pipe: worker for worker in workers}
    while waiting:
        for pipe in wait(list(waiting)):
            yield waiting.pop(pipe).receive()


def _end(workers: Sequence[_Worker], patience: float) -> None:
    """Leave no process: close their pipes, and kill those that have not ended within so many seconds."""
    for worker in workers:
        worker.pipe.close()
    deadline = time.monotonic() + patience
    for worker in workers:
        worker.process.join(max(deadline - time.monotonic(), 0))
    for worker in workers:
        if worker.process.is_alive():
            worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.process.close()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Processes started in here never see a Ctrl+C; one that comes meanwhile is delivered afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in the worker ---


def end_with_parent() -> None:
    """Has this process end with the one that has started it by `multiprocessing`; it would work on, and then wait
    forever."""

    def wait_for_it() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()


def _work(pipe: Connection, settings: Settings, budget: Budget, weights: str, next_game: "Synchronized[int]") -> None:
    """The worker process."""
    end_with_parent()
    with suppress(EOFError, ConnectionError):  # the parent is gone or wants no answer
        try:
            pipe.send(_play(pipe, settings, budget, weights, next_game))
        except (EOFError, ConnectionError):
            raise
        except BaseException:
            pipe.send(traceback.format_exc())


def _play(pipe: Connection, settings: Settings, budget: Budget, weights: str, next_game: "Synchronized[int]") -> _Done:
    def take() -> int:
        with next_game.get_lock():
            next_game.value += 1
            return next_game.value - 1

    with tuned(settings):
        saved = torch.load(weights, weights_only=True)
        net = BlobNet(NetConfig.from_dict(saved["config"]))
        net.load_state_dict(saved["state"])
        network = DirectNetwork(InferenceNet(net, settings.dtype, settings.device))
        del net, saved
        warm_up(settings, network.net, settings.positions_per_request)
        device_free = torch.cuda.mem_get_info(settings.device)[0] if network.net.device.type == "cuda" else None
        pipe.send(_Ready(private_memory(), device_free))
        start = pipe.recv()
        cpu_start = time.process_time()
        views = views_of(network.net, settings.rules.players)
        tally = play_share(settings, budget, network, views, take, budget.until(start))
        end, cpu_end = time.monotonic(), time.process_time()
    tally.traffic.add(network.traffic)
    return _Done(tally, end, cpu_end - cpu_start)

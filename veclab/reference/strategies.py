"""The document's self-play strategies 1 to 3, each as fast as such a design can be:

1. `sequential`: one game at a time, the network called directly;
2. `processes`: isolated worker processes, each with its own copy of the network;
3. `threads`: threads that share one network, directly or through a `BatchedEvaluator`.

All play the same games: game number i of a seed is the same in each of them, up to the rounding of the network.

    result = run("threads", BlobNet(), Settings(workers=16, batched=True), seconds=20)
    print(result.games_per_minute(), result.mean_batch)

A script that runs `processes` must do so under `if __name__ == "__main__":`, for every worker imports the script.
"""

import itertools
import threading
import time
from array import array

from net import BlobNet, InferenceNet
from veclab.reference.batched_evaluator import BatchedEvaluator
from veclab.reference.measure import (
    Budget,
    Settings,
    StrategyResult,
    Tally,
    play_share,
    summarize,
    tuned,
    warm_up,
)
from veclab.reference.network import DirectNetwork, Network, views_of
from veclab.reference.processes import processes


def run(
    strategy: str,
    net: BlobNet,
    settings: Settings,
    games: int | None = None,
    seconds: float | None = None,
    keep_games: bool = False,
) -> StrategyResult:
    """Play `games` games, or for `seconds` seconds, by one of the `STRATEGIES`."""
    if strategy not in STRATEGIES:
        raise ValueError(f"no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    return STRATEGIES[strategy](net, settings, Budget(games, seconds, keep_games))


def sequential(net: BlobNet, settings: Settings, budget: Budget) -> StrategyResult:
    """Strategy 1: one game at a time, one thread of Python."""
    if settings.workers > 1 or settings.batched:
        raise ValueError("the sequential strategy has one worker, and no other games to batch with")
    with tuned(settings):
        network = DirectNetwork(InferenceNet(net, settings.dtype, settings.device))
        warm_up(settings, network.net, settings.positions_per_request)
        take = itertools.count().__next__
        start, cpu_start = time.monotonic(), time.process_time()
        views = views_of(network.net, settings.rules.players)
        tally = play_share(settings, budget, network, views, take, budget.until(start))
        seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu_start
    tally.traffic.add(network.traffic)
    return summarize("sequential", settings, tally, seconds, cpu_seconds)


def threads(net: BlobNet, settings: Settings, budget: Budget) -> StrategyResult:
    """Strategy 3: threads that share one network."""
    with tuned(settings):
        inference = InferenceNet(net, settings.dtype, settings.device)
        most = settings.positions_per_request
        if not settings.batched:
            warm_up(settings, inference, most)
            return _run_threads(settings, budget, inference, None)
        warm_up(settings, inference, min(settings.workers * most, max(settings.batch_size, most)))
        network = DirectNetwork(inference)
        with BatchedEvaluator(network, settings.batch_size, settings.timeout_ms, settings.workers) as evaluator:
            return _run_threads(settings, budget, inference, evaluator)


def _run_threads(
    settings: Settings, budget: Budget, inference: InferenceNet, evaluator: BatchedEvaluator | None
) -> StrategyResult:
    tally, lock, errors, stopped = Tally(), threading.Lock(), [], threading.Event()
    ended = threading.Semaphore(0)
    take = itertools.count().__next__
    clock = []
    views = views_of(inference, settings.rules.players)

    def start_clock() -> None:
        clock.extend((time.monotonic(), time.process_time()))

    begin = threading.Barrier(settings.workers, start_clock)

    def work() -> None:
        direct = DirectNetwork(inference)
        network: Network = evaluator or direct
        try:
            blank = array("f", bytes(4 * inference.config.observation))
            direct.compute(blank, 1)  # torch prepares each thread at its first call
            begin.wait()
            mine = play_share(settings, budget, network, views, take, budget.until(clock[0]), stopped)
            mine.traffic.add(direct.traffic)
            with lock:
                tally.add(mine)
        except threading.BrokenBarrierError:
            pass  # another thread has failed, or the main thread has been interrupted
        except BaseException as error:
            errors.append(error)
            stopped.set()
            begin.abort()
        finally:
            if evaluator is not None:
                evaluator.leave()
            ended.release()

    workers = [threading.Thread(target=work, name=f"player-{i}", daemon=True) for i in range(settings.workers)]
    started = []
    try:
        for worker in workers:
            worker.start()
            started.append(worker)
        for _ in workers:
            ended.acquire()  # not join, which would take a thread for ended if Ctrl+C comes meanwhile (Python 3.11)
        end, cpu_end = time.monotonic(), time.process_time()
    finally:  # interrupted, or a thread could not be started: none may be left
        stopped.set()
        begin.abort()
        for worker in started:
            worker.join()
    if errors:
        raise errors[0]
    if evaluator is not None:
        tally.traffic.add(evaluator.traffic)
    return summarize("threads", settings, tally, end - clock[0], cpu_end - clock[1], settings.workers)


STRATEGIES = {"sequential": sequential, "processes": processes, "threads": threads}

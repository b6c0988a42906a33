"""The document's strategies 1 to 3: the same games in all of them, honest counts, clean ends."""

import math
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.reference_selfplay import THREE, TOGETHER, assert_same_games, inference_net, settings, tiny_net
from vecgame.memory import available_memory, max_workers, private_memory
from veclab.reference import processes, strategies
from veclab.reference.measure import Budget, StrategyResult
from veclab.reference.network import DirectNetwork, NetworkJudge
from veclab.reference.rules import Rules
from veclab.reference.selfplay import PlayConfig
from veclab.reference.strategies import run


def check_counts(result: StrategyResult) -> None:
    assert result.calls <= result.requests <= result.evaluations
    assert result.mean_batch == pytest.approx(result.evaluations / result.calls)
    assert result.mean_batch <= result.max_batch
    assert result.seconds > 0 and result.cpu_seconds > 0
    assert result.evaluations == sum(game.evaluations for game in result.results.values())
    assert result.decisions == sum(len(game.decisions) for game in result.results.values())
    assert result.games_per_minute() == pytest.approx(60 * result.games / result.seconds)


@pytest.fixture(scope="module")
def played_sequentially() -> StrategyResult:
    return run("sequential", tiny_net(), settings(), games=6, keep_games=True)


def test_sequential(played_sequentially: StrategyResult) -> None:
    check_counts(played_sequentially)
    assert played_sequentially.workers == 1 and played_sequentially.games == 6
    assert played_sequentially.max_batch == 1 and played_sequentially.calls == played_sequentially.requests
    together = run("sequential", tiny_net(), settings(TOGETHER), games=6, keep_games=True)
    assert_same_games(together.results, played_sequentially.results)
    assert together.max_batch == 2
    with pytest.raises(ValueError, match="one worker"):
        run("sequential", tiny_net(), settings(workers=2), games=1)


def test_threads_play_the_same_games(played_sequentially: StrategyResult) -> None:
    before = threading.active_count(), torch.get_num_threads()
    result = run("threads", tiny_net(), settings(workers=4), games=6, keep_games=True)
    check_counts(result)
    assert_same_games(result.results, played_sequentially.results)
    assert result.workers == 4 and result.games == 6
    assert result.max_batch == 1 and result.requests == result.calls == result.evaluations
    assert (threading.active_count(), torch.get_num_threads()) == before


def test_threads_with_a_shared_evaluator_play_the_same_games(played_sequentially: StrategyResult) -> None:
    before = threading.active_count()
    options = settings(TOGETHER, workers=4, batched=True, batch_size=7, timeout_ms=200)
    result = run("threads", tiny_net(), options, games=6, keep_games=True)
    check_counts(result)
    assert_same_games(result.results, played_sequentially.results)
    assert 2 < result.max_batch <= 7 and result.mean_batch > 2 and result.requests > result.calls
    assert threading.active_count() == before


def test_single_rows_in_float32_are_the_same_bit_for_bit() -> None:
    """Batches may round differently, and a near-tie may then fall the other way; single rows do not."""
    one, two = (
        run(strategy, tiny_net(), settings(workers=workers, dtype=torch.float32), games=3, keep_games=True)
        for strategy, workers in (("sequential", 1), ("threads", 3))
    )
    assert one.results == two.results


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.slow
def test_processes_play_the_same_games(played_sequentially: StrategyResult, batched: bool) -> None:
    options = {"play": TOGETHER, "batched": True, "games_per_worker": 5} if batched else {}
    result = run("processes", tiny_net(), settings(workers=2, **options), games=6, keep_games=True)
    check_counts(result)
    assert_same_games(result.results, played_sequentially.results)
    assert result.workers == 2 and result.games == 6 and not result.note
    assert result.max_batch == (2 * 3 if batched else 1)  # worlds x games: no worker takes more than its half of them
    if private_memory() is not None:
        assert 10 << 20 < result.bytes_per_worker < 4 << 30
    assert not multiprocessing.active_children()


def test_playing_for_a_time_counts_unfinished_games() -> None:
    result = run("sequential", tiny_net(), settings(rules=Rules(cards=13)), seconds=0.2)
    assert 0.2 <= result.seconds < 2
    assert result.evaluations > 0 and not result.results
    assert result.games_per_minute(100) == pytest.approx(60 * result.evaluations / 100 / result.seconds)
    if result.games == 0:
        assert math.isnan(result.games_per_minute())


def test_a_failing_thread_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    play_share, calls = strategies.play_share, []

    def fail_in_the_third(*args: object) -> object:
        calls.append(None)
        if len(calls) == 3:
            raise OSError("the third thread")
        return play_share(*args)

    monkeypatch.setattr(strategies, "play_share", fail_in_the_third)
    before = threading.active_count()
    for batched in (False, True):
        calls.clear()
        with pytest.raises(OSError, match="the third thread"):
            run("threads", tiny_net(), settings(workers=4, batched=batched), seconds=60)
        assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
@pytest.mark.parametrize("batched", [False, True])
def test_an_interrupt_leaves_no_thread(batched: bool) -> None:
    before = threading.active_count()
    main = threading.main_thread().ident
    over = threading.Event()

    def interrupt() -> None:  # again when the first came where Python drops exceptions, as in a callback of torch
        over.wait(0.5)
        while not over.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            over.wait(5.0)

    timer = threading.Thread(target=interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run("threads", tiny_net(), settings(workers=4, batched=batched), seconds=60)
    over.set()
    timer.join()
    assert threading.active_count() == before


@pytest.mark.slow
def test_a_failing_worker_ends_them_all() -> None:
    with pytest.raises(processes.WorkerError, match="floating type"):
        run("processes", tiny_net(), settings(workers=2, dtype=torch.int32), games=1)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_an_interrupt_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C comes when the only worker has begun to play without end."""

    def interrupt(pipes: list) -> list:
        time.sleep(0.2)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("processes", tiny_net(), settings(), seconds=3600)
    assert not multiprocessing.active_children()


PLAYING = """
import multiprocessing, time
from tests.reference_selfplay import settings, tiny_net
from veclab.reference import processes
from veclab.reference.strategies import run

def told(pipes):
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(600)

processes.wait = told
run("processes", tiny_net(), settings(), seconds=3600)
"""


@pytest.mark.slow
def test_a_worker_ends_with_its_parent() -> None:
    """Killed as it waits for the worker, which plays without end."""
    command, root = [sys.executable, "-c", PLAYING], Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root) as process:
        worker = Path("/proc") / process.stdout.readline().decode().strip()
        assert worker.exists()
        process.kill()
    deadline = time.monotonic() + 20
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


@pytest.mark.slow
def test_processes_are_capped_to_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "available_memory", lambda: 1 << 20)
    result = run("processes", tiny_net(), settings(workers=64), games=2)
    assert result.workers == 1 and result.games == 2
    assert result.note.startswith("64 workers asked for, 1 fit") or result.bytes_per_worker is None


def test_memory_guard() -> None:
    assert max_workers(100, 1000) == 9  # a tenth is left alone
    assert max_workers(100, 50) == 0
    with pytest.raises(ValueError, match="at least 1"):
        max_workers(0, 1000)
    if Path("/proc/meminfo").exists():
        assert available_memory() > 1 << 20
        assert 1 << 20 < private_memory() < 1 << 40

    def fitting(asked: int, *free_on_device: int) -> tuple[int, str]:
        return processes._fitting(asked, [processes._Ready(1, free) for free in free_on_device])

    assert fitting(8, None) == (8, "")
    count, note = fitting(100, 1000, 900)  # of the 900 that two have left, 810 may be used by workers of 100
    assert count == 10 and "GPU" in note
    assert fitting(10, 1000, 900) == (10, "")
    assert processes._fitting(5, [processes._Ready(None, None)])[0] == 5
    if available_memory() is not None:
        count, note = processes._fitting(1000, [processes._Ready(available_memory() // 10, None)])
        assert 9 <= count <= 10 and note.startswith("1000 workers asked for, ")


def test_wrong_settings_are_refused() -> None:
    for changes in ({"workers": 0}, {"games_per_worker": 2}, {"batch_size": 0}, {"torch_threads": 0}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            settings(**changes)
    for budget in ({}, {"games": 1, "seconds": 1.0}, {"games": 0}, {"seconds": -1.0}):
        with pytest.raises(ValueError, match="games"):
            Budget(**budget)
    with pytest.raises(ValueError, match="sequential, processes, threads"):
        run("magic", tiny_net(), settings(), games=1)
    with pytest.raises(ValueError, match="policy_target"):
        PlayConfig(policy_target="best")
    with pytest.raises(ValueError, match="worlds"):
        PlayConfig(worlds=0)
    with pytest.raises(ValueError, match="views"):
        NetworkJudge(THREE, DirectNetwork(inference_net()), views=2)

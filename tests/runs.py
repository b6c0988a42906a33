"""Tiny runs for tests, and real processes that train them: cheap to start, as they fork from one that has torch."""

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from io import StringIO
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from rich.console import Console

from veclab.agents.checkpoint import load_network, load_tensors
from veclab.agents.folder import CHECKPOINT, METRICS, RESULTS
from veclab.progress import Display
from veclab.settings import OF_POLICY_GRADIENT, OF_SEARCH, Settings
from veclab.training.run import Run

TINY = Settings(
    games_per_iter=12,
    iterations=2,
    epochs=2,
    cards="1-2",
    worlds=2,
    simulations=4,
    network="small",
    batch_size=32,
    replay_examples=150,
    updates=2,
    update_games=16,
    eval_every=0,
    eval_deals=3,
    checkpoint_seconds=0,
    tensorboard=False,
)
# What a run records of its speed, which nobody can repeat.
TIMES = ("seconds", "self_play_seconds", "learn_seconds", "games_per_minute", "evaluations_per_second")
TIMES += ("examples_per_second", "crc32")

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["torch", "torch._dynamo", "torch.distributed", "veclab.training.command"])


def changed(**changes: object) -> Settings:
    """`TINY` with other values."""
    return Settings(**{**asdict(TINY), **changes})


SMALLEST = changed(
    games_per_iter=4,
    cards="1-2",
    worlds=1,
    simulations=2,
    batch_size=8,
    replay_examples=20,
    update_games=4,
    eval_deals=2,
    average_decay=0.9,
    device="cpu",
)
# All phases of a run. Imitation takes a few steps for each of three rounds of games (`tests.killing.AT_ONCE`).
ENDURED = changed(**{**vars(SMALLEST), "imitated_games": 20})


def flags_of(settings: Settings) -> list[str]:
    """The command line's flags for settings, all that its learner has."""
    flags = []
    idle = {"search": OF_POLICY_GRADIENT, "policy-gradient": OF_SEARCH}.get(settings.learner, ())
    for name, value in asdict(settings).items():
        if name in idle:
            continue
        flag = name.replace("_", "-")
        flags.append(f"--{'' if value else 'no-'}{flag}" if isinstance(value, bool) else f"--{flag}={value}")
    return flags


def train_at(folder: Path, *more: str) -> list[str]:
    """What begins a run of all phases in a folder, or goes on with it."""
    return [*flags_of(ENDURED), f"--run={folder}", "--resume-if-exists", *more]


def quiet() -> Display:
    return Display(Console(file=StringIO(), width=120, soft_wrap=True))


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / CHECKPOINT)[0]


def metrics_of(folder: Path) -> list[dict[str, object]]:
    """The metrics without timings; evaluations that ran beside training come last, as nobody knows when one ends."""
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    entries = [{k: v for k, v in line.items() if k not in TIMES} for line in lines]
    return sorted(entries, key=lambda entry: entry["kind"] == "evaluation")


def same(first: Path, second: Path) -> bool:
    """Whether two runs have the same weights, averages, optimiser, replay buffer and counters, bit for bit."""
    ours, theirs = tensors_of(first), tensors_of(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def assert_alike(folder: Path, whole: Path) -> None:
    """A run has the weights, state, networks, metrics and results of another, bit for bit."""
    assert same(folder, whole)
    assert metrics_of(folder) == metrics_of(whole)
    assert (folder / RESULTS).read_text() == (whole / RESULTS).read_text()
    for name in ("network-000000.safetensors", "network-000002.safetensors"):
        ours, theirs = (load_network(path / name).state_dict() for path in (folder, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name


def wait_until(ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupt_at(run: Run, checks: int) -> None:
    """Has the user press Ctrl+C at the run's check number ``checks``, counted from 1."""
    check, calls = run.check, []

    def interrupt_later() -> None:
        calls.append(1)
        if len(calls) == checks:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)  # the handler runs between two byte codes
        check()

    run.check = interrupt_later


def start(work: Callable[..., None], *arguments: object, **environment: str) -> BaseProcess:
    """Starts a process that calls ``work``, a function of a test module, with one thread and these variables set."""
    process = _forks.Process(target=_begin, args=(environment, work, arguments))
    process.start()
    return process


def _begin(environment: dict[str, str], work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    work(*arguments)


def start_group(size: int, work: Callable[..., None], *arguments: object) -> list[BaseProcess]:
    """Starts ``size`` processes that can form a `veclab.training.distributed.Group`, as torchrun would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0"}
    return [start(work, *arguments, **shared, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(size)]


def ends(processes: list[BaseProcess], seconds: float = 120) -> list[int | None]:
    """The exit codes of processes, once they have ended; what takes longer than allowed is killed and reads None."""
    codes = []
    for process in processes:
        process.join(seconds)
        codes.append(process.exitcode)
        if process.exitcode is None:
            process.kill()
            process.join()
    return codes

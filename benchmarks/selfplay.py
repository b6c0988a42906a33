"""Self-play throughput by batch size, with its limit and where its time goes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor

from benchmarks.measure import Utilisation, peak_memory, synchronize, timed
from net import InferenceNet
from training.selfplay import Report, SelfPlay, self_play, threads_for
from vecgame import Blob
from vecgame.memory import free_memory
from vecgame.observation import FEATURES
from vecmcts import SearchConfig, graphs
from vecmcts.tree import Tree

LIMIT_EVALUATIONS = {"cpu": 1_500_000, "cuda": 100_000_000}  # at most, for the limit: some 15 seconds
PHASES = ("select", "step", "observe", "network", "backup", "worlds", "other")


class CountingNetwork:
    """A network that notes the size of every batch it is asked for, thread by thread."""

    needs_mask = False

    def __init__(self, network: InferenceNet) -> None:
        self.network, self.has_critic = network, getattr(network, "has_critic", False)
        self.by_thread: defaultdict[int, list[int]] = defaultdict(list)

    def __call__(self, observation: Tensor, mask: Tensor | None, *hidden: Tensor) -> tuple[Tensor, Tensor]:
        self.by_thread[threading.get_ident()].append(observation.shape[0])
        return self.network(observation, mask, *hidden)

    @property
    def batches(self) -> list[int]:
        return [size for sizes in self.by_thread.values() for size in sizes]


@dataclass(frozen=True)
class SelfPlayRow:
    """Self-play of one batch of games."""

    games: int
    games_per_minute: float
    evaluations_per_game: float
    evaluations_per_second: float
    requests: int
    mean_batch: float
    max_batch: int
    cpu: float  # share of all cores that was busy
    gpu: float | None  # likewise of the GPU, None where it is not known
    memory: float  # GiB, the most so far
    limit: float  # games/min if the network's evaluations alone took time, in the same batches, measured beside it
    shares: dict[str, float]  # of the time, by phase

    @property
    def share_of_limit(self) -> float:
        return self.games_per_minute / self.limit


@dataclass(frozen=True)
class Spent:
    """Seconds of a piece of work."""

    wall: float
    cpu: float  # of the processor, all cores together


def play_once(
    game: Blob,
    network: InferenceNet | CountingNetwork,
    config: SearchConfig,
    games: int,
    device: torch.device,
    first_index: int = 0,
    seed: int = 0,
    report: Report | None = None,
    compile: bool = False,
) -> tuple[SelfPlay, Spent]:
    """Plays ``games`` games at once, on a CPU as one chunk in each thread that plays."""
    at_once = -(-games // threads_for(games, device))
    check_memory(game, config, games, device)
    synchronize(device)
    begun, cpu = time.perf_counter(), time.process_time()
    played = self_play(
        game,
        network,
        config,
        games,
        seed,
        first_index,
        device=device,
        chunk_games=at_once,
        compile=compile,
        report=report,
    )
    synchronize(device)
    return played, Spent(time.perf_counter() - begun, time.process_time() - cpu)


def check_memory(game: Blob, config: SearchConfig, games: int, device: torch.device) -> None:
    """Raises MemoryError in one line when so many games at once cannot fit. A GPU finds out by itself."""
    free = free_memory(device)
    needed = games * config.worlds * Tree.bytes_per_tree(game, config.simulations)
    if device.type == "cpu" and free is not None and needed > free:
        raise MemoryError(f"{games:,} games at once need about {needed / 2**30:,.1f} GiB, {free / 2**30:,.1f} are free")


def measure_self_play(
    game: Blob,
    network: InferenceNet,
    config: SearchConfig,
    games: int,
    device: torch.device,
    seed: int = 0,
    compile: bool = False,
) -> SelfPlayRow:
    """Plays ``games`` games at once; on a GPU twice, for the time, and again, slower, for where the time goes.

    Raises:
        MemoryError: when they would not fit.
    """
    counting = CountingNetwork(network)
    check_memory(game, config, games, device)
    # Warm-up; compiled searches are compiled for each size that will come.
    play_once(game, network, config, games if compile else min(games, 64), device, seed=seed, compile=compile)
    clock = PhaseClock(device)
    # Reading the clock between phases makes a GPU wait, and a recorded graph asks no network that counts.
    again = device.type == "cuda"
    with Utilisation(device) as used, contextlib.nullcontext() if again else phases(clock, counting):
        played, spent = play_once(
            game,
            network if again else counting,
            config,
            games,
            device,
            seed=seed,
            report=lambda *_: used.sample(),
            compile=compile,
        )
    if again:
        with phases(clock, counting), mock.patch.object(graphs, "DEVICES", frozenset()):
            play_once(game, counting, config, games, device, seed=seed, compile=compile)
    return SelfPlayRow(
        games=games,
        games_per_minute=60 * games / spent.wall,
        evaluations_per_game=played.evaluations / games,
        evaluations_per_second=played.evaluations / spent.wall,
        requests=len(counting.batches),
        mean_batch=sum(counting.batches) / len(counting.batches),
        max_batch=max(counting.batches),
        cpu=used.cpu,
        gpu=used.gpu,
        memory=peak_memory(device),
        limit=60 * games / network_seconds(network, list(counting.by_thread.values()), device, game.features),
        shares=clock.shares(),
    )


def network_seconds(
    network: InferenceNet, requests: list[list[int]], device: torch.device, features: int = FEATURES
) -> float:
    """Time of the network alone for as many evaluations: the physical limit of a search that asks for them.

    The lesser of two: the same requests, each thread's in a thread of its own; and all of them in batches of 2,048 (on
    a GPU 16,384) by all threads together. Of many requests every n-th is timed, and its time counts n times.

    Args:
        requests: the sizes of the batches that each thread asked for.
        features: of an observation.
    """
    total = sum(map(sum, requests))
    every = -(-total // LIMIT_EVALUATIONS[device.type])
    apart = [sizes[::every] for sizes in requests]
    best = 16_384 if device.type == "cuda" else 2048
    together = [best] * (sum(map(sum, apart)) // best) or [total]
    return total * min(seconds_each(network, parts, device, features) for parts in (apart, [together]))


def seconds_each(network: InferenceNet, requests: list[list[int]], device: torch.device, features: int) -> float:
    """Time of one evaluation when each list of requests is asked for by a thread of its own; one list by all of
    PyTorch's threads together."""
    random = torch.Generator().manual_seed(0)
    rows = (torch.rand(max(map(max, requests)), features, generator=random) < 0.2).float().to(device)

    def ask(sizes: list[int]) -> None:
        for size in sizes:
            network(rows[:size], None)

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // len(requests)))
    try:
        with ThreadPoolExecutor(
            len(requests), initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
        ) as pool:
            timing = timed(lambda: list(pool.map(ask, requests)), device, repeats=1, warmup=0)
    finally:
        torch.set_num_threads(threads)
    return timing.median / sum(map(sum, requests))


class PhaseClock:
    """Exclusive time by phase, added up over threads: an inner phase's time does not count for the outer one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent = dict.fromkeys(PHASES, 0.0)
        self.lock = threading.Lock()
        self.mine = threading.local()  # each thread's phases under way, and when the last border was

    def book(self) -> None:
        """Books the time since this thread's last border to its phase under way."""
        synchronize(self.device)
        now = time.perf_counter()
        if hasattr(self.mine, "last"):
            with self.lock:
                self.spent[self.mine.phases[-1]] += now - self.mine.last
        else:
            self.mine.phases = ["other"]
        self.mine.last = now

    def shares(self) -> dict[str, float]:
        """Share of the time so far in each phase."""
        total = sum(self.spent.values())
        return {phase: seconds / total for phase, seconds in self.spent.items()}

    def wrap(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """The function, its time booked as phase ``name``."""

        @functools.wraps(function)
        def wrapped(*arguments: object, **options: object) -> object:
            self.book()
            self.mine.phases.append(name)
            try:
                return function(*arguments, **options)
            finally:
                self.book()
                self.mine.phases.pop()

        return wrapped


@contextlib.contextmanager
def phases(clock: PhaseClock, network: CountingNetwork) -> Iterator[None]:
    """Has the clock book every phase of a self-play with this network, within a `with` block."""
    search = importlib.import_module("vecmcts.search")  # the module; the package's name `search` is the function
    places = {
        "select": [(search, "descend")],
        "backup": [(search, "back_up")],
        "step": [(Blob, "step"), (Blob, "play_forced"), (Blob, "legal_actions")],
        "observe": [(Blob, "observe"), (Blob, "policy_mask")],
        "worlds": [(Blob, "determinize")],
        "network": [(network, "network")],
    }
    with contextlib.ExitStack() as patches:
        for phase, owners in places.items():
            for owner, name in owners:
                patches.enter_context(mock.patch.object(owner, name, clock.wrap(phase, getattr(owner, name))))
        yield

"""Self-play throughput by batch size, with its limit and where its time goes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor

from benchmarks.measure import Utilisation, peak_memory, synchronize, timed
from net import InferenceNet
from training.selfplay import self_play
from vecgame import Blob
from vecmcts import SearchConfig

PHASES = ("select", "step", "observe", "network", "backup", "worlds", "other")


class CountingNetwork:
    """A network that notes the size of every batch it is asked for."""

    needs_mask = False

    def __init__(self, network: InferenceNet) -> None:
        self.network = network
        self.batches: list[int] = []

    def __call__(self, observation: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        self.batches.append(observation.shape[0])
        return self.network(observation, mask)


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


def measure_self_play(
    game: Blob, network: InferenceNet, config: SearchConfig, games: int, device: torch.device, seed: int = 0
) -> SelfPlayRow:
    """Plays ``games`` games at once twice: for the time, and again, slower, for where the time goes."""
    counting = CountingNetwork(network)
    self_play(game, network, config, min(games, 64), seed, device=device, chunk_games=games)  # warm-up
    with Utilisation(device) as used:
        synchronize(device)
        begun = time.perf_counter()
        played = self_play(
            game, counting, config, games, seed, device=device, chunk_games=games, report=lambda *_: used.sample()
        )
        synchronize(device)
        seconds = time.perf_counter() - begun
    return SelfPlayRow(
        games=games,
        games_per_minute=60 * games / seconds,
        evaluations_per_game=played.evaluations / games,
        evaluations_per_second=played.evaluations / seconds,
        requests=len(counting.batches),
        mean_batch=sum(counting.batches) / len(counting.batches),
        max_batch=max(counting.batches),
        cpu=used.cpu,
        gpu=used.gpu,
        memory=peak_memory(device),
        limit=60 * games / network_seconds(network, counting.batches, device),
        shares=time_shares(game, network, config, games, device, seed),
    )


def network_seconds(network: InferenceNet, batches: list[int], device: torch.device) -> float:
    """Time of the network alone for requests of these sizes: the physical limit of a search that makes them."""
    random = torch.Generator().manual_seed(0)
    rows = (torch.rand(max(batches), 256, generator=random) < 0.2).float().to(device)
    mask = torch.ones(len(rows), 52, dtype=torch.bool, device=device)

    def work() -> None:
        for size in batches:
            network(rows[:size], mask[:size])

    return timed(work, device, repeats=1, warmup=0).median


class PhaseClock:
    """Exclusive time by phase: what is spent in an inner phase does not count for the outer one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent = dict.fromkeys(PHASES, 0.0)
        self.phases = ["other"]
        self.last = time.perf_counter()

    def book(self) -> None:
        """Books the time since the last border to the phase under way."""
        synchronize(self.device)
        now = time.perf_counter()
        self.spent[self.phases[-1]] += now - self.last
        self.last = now

    def wrap(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """The function, its time booked as phase ``name``."""

        @functools.wraps(function)
        def wrapped(*arguments: object, **options: object) -> object:
            self.book()
            self.phases.append(name)
            try:
                return function(*arguments, **options)
            finally:
                self.book()
                self.phases.pop()

        return wrapped


def time_shares(
    game: Blob, network: InferenceNet, config: SearchConfig, games: int, device: torch.device, seed: int
) -> dict[str, float]:
    """Share of the time in each phase, waiting for the device at each border."""
    search = importlib.import_module("vecmcts.search")  # the module; the package's name `search` is the function
    places = {
        "select": [(search, "descend")],
        "backup": [(search, "back_up")],
        "step": [(Blob, "step"), (Blob, "play_forced"), (Blob, "legal_actions")],
        "observe": [(Blob, "observe"), (Blob, "policy_mask")],
        "worlds": [(Blob, "determinize")],
    }
    clock = PhaseClock(device)
    with contextlib.ExitStack() as patches:
        for phase, owners in places.items():
            for owner, name in owners:
                patches.enter_context(mock.patch.object(owner, name, clock.wrap(phase, getattr(owner, name))))
        self_play(game, clock.wrap("network", network), config, games, seed, device=device, chunk_games=games)
    clock.book()
    total = sum(clock.spent.values())
    return {phase: seconds / total for phase, seconds in clock.spent.items()}

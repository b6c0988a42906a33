"""What the self-play strategies share: their settings, what they report, and one worker's share of the work."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from net import InferenceNet
from veclab.reference.mcts import SearchConfig
from veclab.reference.network import DirectNetwork, Network, NetworkJudge, Traffic, views_of
from veclab.reference.rules import Rules
from veclab.reference.selfplay import GameResult, PlayConfig, game_rng, play_games


@dataclass(frozen=True)
class Settings:
    """What is played, and how."""

    rules: Rules = field(default_factory=Rules)
    play: PlayConfig = field(default_factory=PlayConfig)
    seed: int = 0
    workers: int = 1  # processes or threads
    batched: bool = False  # processes: a worker's games share batches; threads: all do, through a `BatchedEvaluator`
    games_per_worker: int = 1  # that a batched worker plays at a time
    batch_size: int = 1024  # of the `BatchedEvaluator`, rows
    timeout_ms: float = 5.0  # of the `BatchedEvaluator`
    dtype: torch.dtype | None = None  # of the network; None: net.default_inference_dtype
    device: str = "cpu"
    torch_threads: int = 1  # that one call of the network uses

    def __post_init__(self) -> None:
        for name in ("workers", "games_per_worker", "batch_size", "torch_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.games_per_worker > 1 and not self.batched:
            raise ValueError("games_per_worker above 1 needs batched=True")

    @property
    def positions_per_request(self) -> int:
        """Positions at most that a worker needs judged at a time."""
        worlds = self.play.worlds if self.play.worlds_together else 1
        return self.games_per_worker * worlds * self.play.search.leaves_per_step


@dataclass(frozen=True)
class Budget:
    """How much to play: a number of games to their end, or for some seconds, dropping the games then under way."""

    games: int | None = None
    seconds: float | None = None
    keep_games: bool = False  # return the `GameResult` of every game

    def __post_init__(self) -> None:
        if (self.games is None) == (self.seconds is None):
            raise ValueError("say either how many games or how many seconds")
        if not (self.games or self.seconds or 0) > 0:
            raise ValueError("games or seconds must be above 0")

    def until(self, start: float) -> float:
        """The time.monotonic() at which to stop."""
        return float("inf") if self.seconds is None else start + self.seconds


@dataclass
class Tally:
    """What one or several workers have done."""

    games: int = 0  # finished
    game_evaluations: int = 0  # of the finished games
    decisions: int = 0  # searched in the finished games
    evaluations: int = 0  # of all games
    results: dict[int, GameResult] = field(default_factory=dict)  # by game number, if kept
    traffic: Traffic = field(default_factory=Traffic)

    def add(self, other: "Tally") -> None:
        self.games += other.games
        self.game_evaluations += other.game_evaluations
        self.decisions += other.decisions
        self.evaluations += other.evaluations
        self.results |= other.results
        self.traffic.add(other.traffic)


@dataclass(frozen=True)
class StrategyResult:
    """A measurement. Starting and warming up the workers is no part of it."""

    strategy: str
    settings: Settings
    workers: int  # that played; fewer than the settings ask for if memory does not allow more
    games: int  # finished
    decisions: int  # searched in the finished games
    seconds: float
    cpu_seconds: float  # processor time of all workers
    evaluations: int  # positions judged, those of dropped games included
    evaluations_per_game: float  # mean of the finished games, nan if there is none
    requests: int  # of the games to the network or the `BatchedEvaluator`
    calls: int  # of the network
    mean_batch: float  # rows of a call
    max_batch: int
    bytes_per_worker: int | None = None  # memory that one more process takes, measured
    note: str = ""
    results: dict[int, GameResult] = field(default_factory=dict)  # by game number, if kept

    def games_per_minute(self, evaluations_per_game: float | None = None) -> float:
        """Throughput. A dropped game counts as the share of a mean game's evaluations that it has had.

        Args:
            evaluations_per_game: the mean of these settings from a longer run. To be given when few games were finished
                in the time: those tend to be the short ones.
        """
        return 60 * self.evaluations / (evaluations_per_game or self.evaluations_per_game) / self.seconds


def summarize(
    strategy: str,
    settings: Settings,
    tally: Tally,
    seconds: float,
    cpu_seconds: float,
    workers: int = 1,
    bytes_per_worker: int | None = None,
    note: str = "",
) -> StrategyResult:
    return StrategyResult(
        strategy=strategy,
        settings=settings,
        workers=workers,
        games=tally.games,
        decisions=tally.decisions,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        evaluations=tally.evaluations,
        evaluations_per_game=tally.game_evaluations / tally.games if tally.games else float("nan"),
        requests=tally.traffic.requests,
        calls=tally.traffic.calls,
        mean_batch=tally.traffic.mean_batch,
        max_batch=tally.traffic.largest,
        bytes_per_worker=bytes_per_worker,
        note=note,
        results=tally.results,
    )


def play_share(
    settings: Settings,
    budget: Budget,
    network: Network,
    views: int,
    take: Callable[[], int],
    until: float,
    stopped: threading.Event | None = None,
) -> Tally:
    """One worker's part of the work; the caller adds the traffic.

    Args:
        take: gives the number of the next game to play; all workers draw from it.
        until: the time.monotonic() at which to stop.
        stopped: set when to stop before.
    """
    tally = Tally()
    limit = float("inf") if budget.games is None else budget.games

    def on_end(number: int, result: GameResult) -> None:
        tally.games += 1
        tally.game_evaluations += result.evaluations
        tally.decisions += len(result.decisions)
        if budget.keep_games:
            tally.results[number] = result

    def games() -> Iterator[tuple]:
        while (number := take()) < limit:
            yield number, game_rng(settings.seed, number)

    def stop() -> bool:
        return time.monotonic() >= until or (stopped is not None and stopped.is_set())

    concurrent = settings.games_per_worker
    if budget.games is not None:  # leave some to the other workers
        concurrent = min(concurrent, -(-budget.games // settings.workers))
    judge = NetworkJudge(settings.rules, network, views)
    tally.evaluations = play_games(settings.rules, judge, settings.play, games(), on_end, concurrent, stop)
    return tally


def warm_up(settings: Settings, net: InferenceNet, most_positions: int) -> None:
    """Have the network seen batches of all sizes that will come, and Python the code of a game."""
    network, views = DirectNetwork(net), views_of(net, settings.rules.players)
    sizes = [1 << k for k in range(7)] + list(range(128, 2049, 64))  # what an `InferenceNet` rounds batches up to
    for size in sizes:
        network.net(torch.zeros(size, net.config.observation, device=net.device))
        if size >= most_positions * views:
            break
    short = PlayConfig(worlds=1, search=SearchConfig(simulations=2))
    play_games(
        settings.rules,
        NetworkJudge(settings.rules, network, views),
        short,
        iter([(0, game_rng(0, 0))]),
        lambda *_: None,
    )


@contextmanager
def tuned(settings: Settings) -> Iterator[None]:
    """Limits the threads of torch, and has Python look for garbage cycles less often: playing makes none (measured),
    and looking took 10 to 30% of a worker's time."""
    torch_threads, thresholds = torch.get_num_threads(), gc.get_threshold()
    torch.set_num_threads(settings.torch_threads)
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        gc.set_threshold(*thresholds)

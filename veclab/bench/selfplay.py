"""Self-play throughput by batch size, with its limit and where its time goes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from unittest import mock

import torch
from torch import Tensor

from net import InferenceNet
from vecgame import Game
from veclab.bench.measure import Timing, Utilisation, arithmetic, counted_ways, synchronize, timed
from veclab.room import check_room, of_search
from veclab.training.selfplay import Report, SelfPlay, self_play, threads_for
from vecmcts import SearchConfig, kernels, search
from vecmcts import graphs as recordings
from vecmcts.evaluators import Network
from vecmcts.search import way_of

LIMIT_REPEATS = 3  # timings of the limit, after one that does not count
LIMIT_EVALUATIONS = {"cpu": 375_000, "cuda": 25_000_000}  # at most, of each of these: some 4 seconds of a CPU
# Batches for the limit: the best, or great enough to be bound by arithmetic.
TOGETHER = {"cpu": (2048,), "cuda": (16_384, 131_072)}
COUNTED_GAMES = 16_384  # games of the slower pass for phases and rows, at most
MOST_PASSES = 3
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
        """Rows of every call so far."""
        return [size for sizes in self.by_thread.values() for size in sizes]


@dataclass(frozen=True)
class Play:
    """Self-play to be measured, but for the number of games."""

    game: Game
    network: InferenceNet | CountingNetwork | Network
    config: SearchConfig
    device: torch.device
    graphs: bool = True
    seed: int = 0

    @property
    def recorded(self) -> bool:
        """Whether its searches are to be recorded, each at the second use of a size."""
        return self.graphs and self.device.type in recordings.DEVICES

    @property
    def way(self) -> str:
        """How its searches are to run, by the names of `vecmcts.search.way_of`."""
        return way_of(self.device.type in kernels.DEVICES, self.recorded)


@dataclass(frozen=True)
class SelfPlayRow:
    """The time of self-play of one batch of games."""

    games: int
    games_per_minute: float  # the median of the passes that count: of the settled ones, before these of the last one
    games_per_minute_low: float  # the slowest of them
    games_per_minute_high: float
    repeats: int  # how many they are
    evaluations_per_game: float  # positions that a search had judged and uses
    evaluations_per_second: float  # of the same median
    passes: int  # times that the games were played: what is built or recorded at a first use costs the first ones
    settled: bool  # whether another pass would run no other way
    precision: str  # of the network's products
    network_compiled: bool
    asked: str  # the way that its searches were to run
    ways: dict[str, int]  # searches of the passes that count, by the way they ran
    cpu: float  # share of the cores that it may use that was busy in the last pass
    gpu: float | None  # likewise of the GPU, None where it is not known


@dataclass(frozen=True)
class Counted:
    """What self-play asked of the network, and where its time went."""

    games: int
    requests: list[list[int]]  # thread by thread, the rows of each call
    shares: dict[str, float]  # of the time, by phase

    @property
    def rows(self) -> int:
        return sum(map(sum, self.requests))


@dataclass(frozen=True)
class Detail:
    """What takes longer to find out than the time. Rows of a game are what goes to the network for it: where all lanes
    are carried along (`vecgame.lanes`) that is more than the evaluations that count."""

    counted_games: int  # games that the counts and the shares are of: the same ones, the first of them
    rows_per_game: float
    requests: int
    mean_batch: float
    max_batch: int
    network_per_second: float  # rows, if nothing but the network took time: the median of some timings
    network_per_second_low: float  # the slowest of them
    network_per_second_high: float
    network_repeats: int  # how many they are
    limit_by_rows: float  # games/min at that median for all these rows
    limit_by_evaluations: float  # likewise if only what counts went to the network
    share_by_rows: float  # of that limit
    share_by_evaluations: float
    shares: dict[str, float]  # of the time, by phase


@dataclass(frozen=True)
class Spent:
    """Seconds of a piece of work."""

    wall: float
    cpu: float  # of the processor, all cores together


def play_once(play: Play, games: int, first_index: int = 0, report: Report | None = None) -> tuple[SelfPlay, Spent]:
    """Plays ``games`` games at once, on a CPU as one chunk in each thread that plays."""
    device = play.device
    at_once = -(-games // threads_for(games, device))
    check_memory(play, games)
    synchronize(device)
    begun, cpu = time.perf_counter(), time.process_time()
    played = self_play(
        play.game,
        play.network,
        play.config,
        games,
        play.seed,
        first_index,
        device=device,
        chunk_games=at_once,
        graphs=play.graphs,
        report=report,
    )
    synchronize(device)
    return played, Spent(time.perf_counter() - begun, time.process_time() - cpu)


def check_memory(play: Play, games: int) -> None:
    """Raises `NoRoomError` in one line when so many games at once cannot fit. A GPU finds out by itself."""
    if play.device.type == "cpu":
        check_room(play.device, of_search(games, play.game, play.config, "number of games"))


def timed_self_play(
    play: Play,
    games: int,
    counted: dict[int, Counted],
    report: Report = lambda done, evaluations: None,
    repeats: int = 1,
) -> Iterator[SelfPlayRow]:
    """Plays ``games`` games at once, after a search of as many: yields a row after each pass, the last one's counts.

    A search is recorded at the second use of a size, and a game has many sizes. So the games are played until the
    searches run the same way twice running, `MOST_PASSES` times at most. That pass counts, and as many more of the same
    games as ``repeats`` asks for.

    Args:
        counted: on a CPU, where counting costs nothing, the counts of these games are put here.
        report: called as the games of a pass are played.
        repeats: passes that are to count.

    Raises:
        NoRoomError: when they would not fit.
    """
    check_memory(play, games)
    first = play.game.deal(games, play.seed, play.device)
    search(play.game, first, play.network, play.config, play.seed, play.graphs, largest=games)
    settled, before = False, set()
    seconds: list[float] = []  # of the passes that count
    ran: Counter[str] = Counter()  # their searches
    for number in itertools.count(1):
        with Utilisation(play.device) as used, counted_ways() as ways:

            def told(done: float, evaluations: int, used: Utilisation = used) -> None:
                used.sample()
                report(done, evaluations)

            if counts_as_it_plays(play):
                played, spent, counted[games] = play_counted(play, games, report)
            else:
                played, spent = play_once(play, games, report=told)
        if not settled:
            settled = settles(play, before, set(ways), number)
            before, seconds, ran = set(ways), [], Counter()
        seconds.append(spent.wall)
        ran.update(ways)
        timing = Timing.of(seconds, ran)
        yield SelfPlayRow(
            games=games,
            games_per_minute=60 * games / timing.median,
            games_per_minute_low=60 * games / timing.high,
            games_per_minute_high=60 * games / timing.low,
            repeats=timing.repeats,
            evaluations_per_game=played.evaluations / games,
            evaluations_per_second=played.evaluations / timing.median,
            passes=number,
            settled=settled,
            precision=arithmetic(play.network),
            network_compiled=play.network.compiled,
            asked=play.way,
            ways=timing.ways,
            cpu=used.cpu,
            gpu=used.gpu,
        )
        if settled and timing.repeats >= repeats:
            return


def settles(play: Play, before: set[str], ways: set[str], number: int) -> bool:
    """Whether one more pass would run no other way than pass ``number`` did, and ``before`` it the last one."""
    return not play.recorded or ways == before or number == MOST_PASSES


def counts_as_it_plays(play: Play) -> bool:
    """Whether rows and phases are noted in the timed pass itself: on a GPU the clock would make the host wait between
    phases, and a recorded search calls no network that could count."""
    return play.device.type == "cpu" and play.way == "eager"


def play_counted(play: Play, games: int, report: Report | None = None) -> tuple[SelfPlay, Spent, Counted]:
    """Plays with searches that are not recorded, every phase and every call of the network noted."""
    counting, clock = CountingNetwork(play.network), PhaseClock(play.device)
    with phases(clock, counting, type(play.game)):
        played, spent = play_once(replace(play, network=counting, graphs=False), games, report=report)
    return played, spent, Counted(games, list(counting.by_thread.values()), clock.shares())


def detail(play: Play, row: SelfPlayRow, counted: dict[int, Counted]) -> Detail:
    """Rows, limits and phases of a timed row.

    On a GPU rows are counted in an untimed pass of the same games, the first `COUNTED_GAMES` of them at most. What
    recorded searches add to fill their batches up (`vecmcts.sizes`; 8% over all card counts) is not among them.

    Args:
        counted: counts by the number of games; what is missing is counted and added.
    """
    games = min(row.games, COUNTED_GAMES) if row.games not in counted else row.games
    if games not in counted:
        counted[games] = play_counted(play, games)[2]
    found = counted[games]
    alone = network_timing(play.network, found.requests, play.device, play.game.features).times(1 / found.rows)  # a row
    per_game, calls = found.rows / games, [size for sizes in found.requests for size in sizes]
    by_rows, by_evaluations = (60 / (alone.median * count) for count in (per_game, row.evaluations_per_game))
    return Detail(
        counted_games=games,
        rows_per_game=per_game,
        requests=len(calls),
        mean_batch=found.rows / len(calls),
        max_batch=max(calls),
        network_per_second=1 / alone.median,
        network_per_second_low=1 / alone.high,
        network_per_second_high=1 / alone.low,
        network_repeats=alone.repeats,
        limit_by_rows=by_rows,
        limit_by_evaluations=by_evaluations,
        share_by_rows=row.games_per_minute / by_rows,
        share_by_evaluations=row.games_per_minute / by_evaluations,
        shares=found.shares,
    )


def network_timing(network: InferenceNet, requests: list[list[int]], device: torch.device, features: int) -> Timing:
    """Time of the network alone for as many rows: the physical limit of a search that asks for them.

    That of these whose median is the least: the same requests, each thread's in a thread of its own; and all of them in
    batches of a size in `TOGETHER` by all threads together. Of many requests every n-th is timed, and its time counts n
    times.

    Args:
        requests: the sizes of the batches that each thread asked for.
        features: of an observation.
    """
    total = sum(map(sum, requests))
    every = -(-total // LIMIT_EVALUATIONS[device.type])
    apart = [sizes[::every] for sizes in requests]
    sizes = {min(size, total) for size in TOGETHER[device.type]}
    together = [[[size] * max(1, sum(map(sum, apart)) // size)] for size in sorted(sizes)]
    ways = (timing_each(network, parts, device, features) for parts in (apart, *together))
    return min(ways, key=lambda timing: timing.median).times(total)


def timing_each(network: InferenceNet, requests: list[list[int]], device: torch.device, features: int) -> Timing:
    """Time of one evaluation when each list of requests is asked for by a thread of its own; one list by all of
    PyTorch's threads together."""
    random = torch.Generator().manual_seed(0)
    rows = (torch.rand(max(map(max, requests)), features, generator=random) < 0.2).float().to(device)
    stopped = threading.Event()  # no thread asks any more, for its pool waits for it

    def ask(sizes: list[int]) -> None:
        for size in sizes:
            if stopped.is_set():
                return
            network(rows[:size], None)

    def ask_all() -> None:
        try:
            list(pool.map(ask, requests))
        except BaseException:
            stopped.set()
            raise

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // len(requests)))
    try:
        with ThreadPoolExecutor(
            len(requests), initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
        ) as pool:
            timing = timed(ask_all, device, LIMIT_REPEATS)
    finally:
        torch.set_num_threads(threads)
    return timing.times(1 / sum(map(sum, requests)))


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
def phases(clock: PhaseClock, network: CountingNetwork, game: type[Game]) -> Iterator[None]:
    """Has the clock book every phase of a self-play of a game with this network, within a `with` block."""
    searching = importlib.import_module("vecmcts.search")  # the module; the package's name `search` is the function
    of_trees = [searching, *kernels.owners(clock.device)]
    places = {
        "select": [(owner, "descend") for owner in of_trees],
        "backup": [(owner, "back_up") for owner in of_trees],
        "step": [(game, "step"), (game, "play_forced"), (game, "legal_actions")],
        "observe": [(game, "observe"), (game, "policy_mask")],
        "worlds": [(game, "determinize")],
        "network": [(network, "network")],
    }
    with contextlib.ExitStack() as patches:
        for phase, owners in places.items():
            for owner, name in owners:
                patches.enter_context(mock.patch.object(owner, name, clock.wrap(phase, getattr(owner, name))))
        yield

"""The document's four strategies side by side: same rules, network and search settings, one row a configuration."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from net import BlobNet, InferenceNet, default_inference_dtype
from vecgame import Blob
from veclab.bench.measure import arithmetic, counted_ways, name_of
from veclab.bench.selfplay import CountingNetwork, Play, play_once, settles
from veclab.cores import cores
from veclab.precision import inference_net
from veclab.reference.mcts import SearchConfig as ReferenceSearch
from veclab.reference.measure import Settings
from veclab.reference.processes import WorkerError
from veclab.reference.rules import Rules
from veclab.reference.selfplay import PlayConfig
from veclab.reference.strategies import run
from vecmcts import SearchConfig

SEQUENTIAL, PROCESSES, THREADS, VECTORISED = range(1, 5)
LEAVES = 8  # leaves a step of the document's phase 1


@dataclass(frozen=True)
class Plan:
    """One configuration to measure."""

    label: str
    strategy: int  # 1 to 4, as the document numbers them
    workers: int = 1  # processes or threads
    batched: bool = False  # the network's requests are collected into batches
    games: int = 1  # at once: of each worker, or of the whole batch
    leaves: int = 1  # leaves a step, under virtual loss
    precision: str = "auto"  # arithmetic of the network


@dataclass(frozen=True)
class StrategyRow:
    """What a configuration did."""

    label: str
    strategy: int
    workers: int
    batched: bool
    leaves_per_step: int
    games: int  # finished
    games_per_minute: float | None  # None: it could not be run, see the note
    evaluations_per_second: float | None
    mean_batch: float | None  # None: not counted
    max_batch: int | None
    cpu: float | None  # share of the cores that it may use
    note: str = ""
    precision: str | None = None  # of the network's products, None where it was not asked
    network_compiled: bool = False
    ways: dict[str, int] = field(default_factory=dict)  # searches of `vecmcts`, by the way they ran
    asked: str | None = None  # the way that these were to run, None where there are none
    settled: bool = True  # more games would run no other way


def plans(cores: int, workers: list[int], quick: bool, vectorised_games: int, int8: bool) -> list[Plan]:
    """The rows, in the document's order.

    Args:
        workers: how many processes and threads to try.
        quick: small forms of all.
        vectorised_games: games at once for the vectorised rows.
        int8: also a vectorised row with the network in 8-bit integers.
    """
    leaves = f"{LEAVES} leaves a step"
    # Enough games to a batched worker that the workers of a machine have some hundred positions at a time.
    concurrent = 4 if quick else 32
    rows = [Plan("1. sequential, one game at a time", SEQUENTIAL)]
    for count in workers:
        rows.append(Plan(f"2. {count} processes", PROCESSES, count))
    rows.append(Plan(f"2. {cores} processes, {concurrent} games each in batches", PROCESSES, cores, True, concurrent))
    for count in workers:
        rows.append(Plan(f"3. {count} threads", THREADS, count))
        rows.append(Plan(f"3. {count} threads, BatchedEvaluator", THREADS, count, True))
    many = vectorised_games
    other = [
        Plan(f"4. {many:,} games at once, network in int8", VECTORISED, games=many, batched=True, precision="int8")
    ]
    return [
        *rows,
        Plan(f"4. one game, {leaves} (phase 1)", VECTORISED, leaves=LEAVES),
        Plan("4. one game, 1 leaf a step", VECTORISED),
        Plan(f"4. {many:,} games at once (phase 2)", VECTORISED, games=many, batched=True),
        Plan(f"4. {many:,} games at once, {leaves}", VECTORISED, games=many, batched=True, leaves=LEAVES),
        *(other if int8 else []),
    ]


def measure_strategies(
    rows: list[Plan], net: BlobNet, game: Blob, config: SearchConfig, seconds: float, device: torch.device
) -> Iterator[StrategyRow]:
    """Measures the rows one after another as they are asked for, each for about ``seconds``.

    Strategies 1 to 3 finish few games in that time. A game that is cut off counts as the share of a mean game's
    evaluations that it has had, the mean being that of the vectorised engine, which plays the same games: beforehand,
    so that neither its time nor its memory is a row's.
    """
    mean = mean_evaluations(net, game, config, device)
    return (
        vectorised(plan, net, game, config, seconds, device)
        if plan.strategy == VECTORISED
        else by_reference(plan, net, game, config, seconds, device, mean)
        for plan in rows
    )


def mean_evaluations(net: BlobNet, game: Blob, config: SearchConfig, device: torch.device) -> float:
    """Evaluations of a game of these settings, over 256 games."""
    played, _ = play_once(Play(game, InferenceNet(net, device=device), config, device), 256)
    return played.evaluations / 256


def by_reference(
    plan: Plan,
    net: BlobNet,
    game: Blob,
    config: SearchConfig,
    seconds: float,
    device: torch.device,
    mean_evaluations_per_game: float,
) -> StrategyRow:
    """A row of strategies 1 to 3; one that memory does not allow comes back without figures."""
    settings = Settings(
        rules=Rules(cards=game.cards),
        play=PlayConfig(
            worlds=config.worlds,
            search=ReferenceSearch(config.simulations, config.c_puct, plan.leaves),
            worlds_together=plan.batched,
            noise_fraction=config.noise_fraction,
            noise_alpha=config.noise_alpha,
        ),
        workers=plan.workers,
        batched=plan.batched,
        games_per_worker=plan.games if plan.batched else 1,
        device=str(device),
        # A single worker may use all cores for the network; several share them.
        torch_threads=torch.get_num_threads() if plan.strategy == SEQUENTIAL else 1,
    )
    name = {SEQUENTIAL: "sequential", PROCESSES: "processes", THREADS: "threads"}[plan.strategy]
    try:
        result = run(name, net, settings, seconds=seconds)
    except (MemoryError, WorkerError) as error:
        return StrategyRow(
            plan.label,
            plan.strategy,
            0,
            plan.batched,
            plan.leaves,
            0,
            None,
            None,
            None,
            None,
            None,
            str(error).splitlines()[0],
        )
    label = plan.label
    if result.workers < plan.workers:
        label = label.replace(f" {plan.workers} ", f" {result.workers} of {plan.workers} ", 1)
    return StrategyRow(
        label=label,
        strategy=plan.strategy,
        workers=result.workers,
        batched=plan.batched,
        leaves_per_step=plan.leaves,
        games=result.games,
        games_per_minute=result.games_per_minute(mean_evaluations_per_game),
        evaluations_per_second=result.evaluations / result.seconds,
        mean_batch=result.mean_batch,
        max_batch=result.max_batch,
        cpu=result.cpu_seconds / result.seconds / cores(),
        note=result.note,
        precision=name_of(default_inference_dtype(device)),
    )


def vectorised(
    plan: Plan, net: BlobNet, game: Blob, config: SearchConfig, seconds: float, device: torch.device
) -> StrategyRow:
    """A row of strategy 4: batches of games, whole ones only, until the time is over."""
    network = inference_net(copy.deepcopy(net).to(device), plan.precision, [game])
    play = Play(game, network, replace(config, leaves_per_step=plan.leaves), device)
    warm_up(play, plan.games)
    # On a GPU searches are recorded, and a recorded search calls no network that could count.
    counting = CountingNetwork(network) if device.type == "cpu" else None
    games = evaluations = 0
    spent = cpu = 0.0
    with counted_ways() as ways:
        while spent < seconds:
            played, timing = play_once(replace(play, network=counting or network), plan.games, first_index=games)
            games += plan.games
            evaluations += played.evaluations
            spent += timing.wall
            cpu += timing.cpu
    return StrategyRow(
        label=plan.label,
        strategy=plan.strategy,
        workers=1,
        batched=plan.batched,
        leaves_per_step=plan.leaves,
        games=games,
        games_per_minute=60 * games / spent,
        evaluations_per_second=evaluations / spent,
        mean_batch=sum(counting.batches) / len(counting.batches) if counting else None,
        max_batch=max(counting.batches) if counting else None,
        cpu=cpu / spent / cores(),
        precision=arithmetic(network),
        ways=ways,
        asked=play.way,
    )


def warm_up(play: Play, games: int) -> None:
    """Plays games that do not count: a few, or where searches are recorded, size by size, as many as are timed at once,
    until more would run no other way."""
    before: set[str] = set()
    for number in itertools.count(1):
        with counted_ways() as ways:
            play_once(play, games if play.recorded else min(games, 64))
        if settles(play, before, set(ways), number):
            return
        before = set(ways)

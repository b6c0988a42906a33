"""How long one person waits for a search: each decision of a few games searched by itself."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from net import InferenceNet
from vecgame import Game
from veclab.bench.agreement import self_played
from veclab.bench.measure import arithmetic, counted_ways, synchronize
from vecmcts import SearchConfig, search

WORLDS = 30  # of a search, as `vecgame play` asks for


@dataclass(frozen=True)
class Waiting:
    """Searches of one game at a time."""

    label: str
    decisions: int  # with a choice, that were searched
    milliseconds: float  # of one, the median
    slowest: float
    cpu_milliseconds: float  # of the processor's time, all cores together; the median. Other programs add little to it
    evaluations: float  # of a decision, the mean
    precision: str  # of the network's products
    ways: dict[str, int]  # searches by the way they ran
    network_compiled: bool = False


def waiting(
    game: Game, network: InferenceNet, config: SearchConfig, games: int, most: int, device: torch.device
) -> Waiting:
    """Times the search of every decision with a choice, ``most`` of them at most, of games in which the network plays
    its own policy; the first one is searched before, twice, for what is made once."""
    positions = self_played(game, network, games, device)[:most]
    wall, processor, evaluations = [], [], []
    for _ in range(2):  # on a GPU the second search of its kind is recorded
        search(game, positions[:1], network, config)
    with counted_ways() as ways:
        for number in range(len(positions)):
            state = positions[number : number + 1]
            synchronize(device)
            begun, cpu = time.perf_counter(), time.process_time()
            result = search(game, state, network, config)
            synchronize(device)
            wall.append(1e3 * (time.perf_counter() - begun))
            processor.append(1e3 * (time.process_time() - cpu))
            evaluations.append(int(result.evaluations))
    return Waiting(
        label=f"{game.name}, {config.worlds}x{config.simulations}, one game",
        decisions=len(positions),
        milliseconds=statistics.median(wall),
        slowest=max(wall),
        cpu_milliseconds=statistics.median(processor),
        evaluations=statistics.mean(evaluations),
        precision=arithmetic(network),
        ways=ways,
    )

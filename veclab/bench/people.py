"""How long one person waits for another player: each decision of a few games made by itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from net import InferenceNet
from vecgame import Game, State
from veclab.arena import matches
from veclab.arena.bots import NetworkPlayer, RolloutPlayer, SearchPlayer, rollout_config, rollout_player, usual_thinking
from veclab.bench.measure import arithmetic, counted_ways, synchronize
from veclab.bench.selfplay import CountingNetwork, Play
from vecmcts import Past, SearchConfig
from vecmcts.evaluators import Network

WORLDS = 30  # in which a network thinks, as in `vecgame play`


@dataclass(frozen=True)
class Way:
    """A way in which a network may think."""

    player: Callable[[Network], NetworkPlayer | RolloutPlayer | SearchPlayer]  # that thinks so
    as_played: bool  # whether `vecgame play` makes this player of a network, if it is not told how to think
    asked: str | None  # the way that its searches are to run, None where it does not search


@dataclass(frozen=True)
class Decision:
    """One with a choice."""

    state: State  # of one game
    past: Past  # of the games that were played with it
    lane: torch.Tensor  # [1] int64, which of these it is


@dataclass(frozen=True)
class Waiting:
    """Decisions of one game at a time."""

    label: str
    player: str  # who made them, by the name that says how it thinks
    as_played: bool  # see `Way`
    decisions: int
    milliseconds: float  # of one, the median
    mean: float  # likewise
    slowest: float
    cpu_milliseconds: float  # of the processor's time, all cores together; the median. Other programs add little to it
    rows: float | None  # that the network was asked for a decision, the mean; None: not counted
    precision: str  # of the network's products
    ways: dict[str, int]  # searches by the way they ran
    asked: str | None  # see `Way`
    settled: bool = True  # more decisions would run no other way
    network_compiled: bool = False


def ways_of(game: Game, network: InferenceNet, config: SearchConfig, device: torch.device) -> list[Way]:
    """That of `vecgame play`, and a search where that is none; on a GPU, where `vecgame play` does not think, the
    search alone."""
    usual = usual_thinking([game]) if device.type == "cpu" else None
    plain = config == SearchConfig(worlds=config.worlds, simulations=config.simulations)
    searching = Play(game, network, config, device).way
    ways = [Way(lambda network: SearchPlayer(network, config), usual == "search" and plain, searching)]
    if usual == "rollouts":
        rolled = rollout_config([game], config.worlds)
        ways.insert(0, Way(lambda network: rollout_player(network, rolled), True, None))
    if usual == "policy":
        ways.insert(0, Way(lambda network: NetworkPlayer(network, sample=True), True, None))
    return ways


def waiting(game: Game, network: InferenceNet, way: Way, games: int, most: int, device: torch.device) -> Waiting:
    """Times a player at decisions of games in which the network plays its own policy: ``most`` of them at most, from
    all of their course. The first and the last one are made before, twice, for what is made once."""
    decisions = decisions_of(game, network, games, device)
    decisions = decisions[:: -(-len(decisions) // most)]
    # On a GPU searches are recorded, and a recorded search calls no network that could count.
    counting = CountingNetwork(network) if device.type == "cpu" else None
    player = way.player(counting or network)

    def decide(decision: Decision) -> tuple[float, float]:
        """Milliseconds, and those of the processor."""
        past = decision.past.take(decision.lane) if hasattr(player, "act_after") else None
        synchronize(device)
        begun, cpu = time.perf_counter(), time.process_time()
        if past is None:
            player.act(game, decision.state, 0)
        else:
            player.act_after(game, decision.state, past, 0)
        synchronize(device)
        return 1e3 * (time.perf_counter() - begun), 1e3 * (time.process_time() - cpu)

    for decision in (decisions[0], decisions[-1]) * 2:  # on a GPU the second search of its kind is recorded
        decide(decision)
    before = sum(counting.batches) if counting else 0
    with counted_ways() as ways:
        wall, processor = zip(*map(decide, decisions), strict=True)
    return Waiting(
        label=f"{game.name}, {player.name}, one game",
        player=player.name,
        as_played=way.as_played,
        decisions=len(decisions),
        milliseconds=statistics.median(wall),
        mean=statistics.mean(wall),
        slowest=max(wall),
        cpu_milliseconds=statistics.median(processor),
        rows=(sum(counting.batches) - before) / len(decisions) if counting else None,
        precision=arithmetic(network),
        ways=ways,
        asked=way.asked,
    )


def decisions_of(game: Game, network: InferenceNet, games: int, device: torch.device) -> list[Decision]:
    """Those with a choice in games where every decision is drawn from the network's policy, the first ones first."""
    kept = []
    for decision in matches.self_played(game, NetworkPlayer(network, sample=True), games, 0, device, keep_past=True):
        choosing = game.chooses(decision.state, game.legal_actions(decision.state)).nonzero()[:, 0]
        kept += [Decision(decision.state.take(lane), decision.past, lane) for lane in choosing[:, None]]
    return kept

"""A game solved: the policy that comes nearest to an equilibrium, found by `veclab.exact.regret`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from vecgame import Game, State
from veclab.exact import sight
from veclab.exact.deals import can_list, every_deal, told_apart, too_large
from veclab.exact.regret import Solver, Tables
from veclab.exact.tree import MARGIN, Level, estimated_sizes, lay_out, uniform_policy

ENOUGH = 5e-5  # gain of a best response that is as good as none, as a share of what scores range over
ITERATIONS = 10_000  # at most, and no more than go through `WORK` nodes, but at least `FEWEST`
WORK, FEWEST = 250_000_000, 30
GROWTH = 1.5  # of the iterations after which gains are looked at
FALL, LOOKS = 0.7, 4  # of the gain over so many looks, at least, or it is as near as it gets
MOST_NODES = 30_000_000  # of all levels, `NODE_BYTES` each
NODE_BYTES = 200  # at least, of an estimated one, with its state and what is learned of it
FEW_DEALS, FEW_NODES = 1 << 16, 10_000_000  # that are solved in less than a minute of a core

Report = Callable[[int, float], None]
"""Told the iterations so far, and which share of the way to a gain of `ENOUGH` is gone, by its logarithm."""


@dataclass(frozen=True)
class Part:
    """Those deals of a solved game that are alike in what all see of them, as in their trump."""

    share: float  # of all deals
    solver: Solver
    states: list[State]  # of each level, L nodes
    tables: Tables  # of each level, [K, A] float64


@dataclass(frozen=True)
class Solution:
    """A policy of a whole game."""

    game: Game
    parts: list[Part]
    iterations: int
    points: Tensor  # [P] float64, of each seat by the policy; a dealer that is no fixed seat is the last
    response: Tensor  # [P] float64, of each seat by a best response to it

    @property
    def gain(self) -> float:
        """What a best response gains, mean over the seats."""
        return float((self.response - self.points).mean())

    @property
    def forgets(self) -> bool:
        """Whether it plays information sets alike that are different ones."""
        return any(part.solver.forgets for part in self.parts)


class _Best:
    """The best policy so far, of all parts together."""

    def __init__(self, game: Game, solvers: list[tuple[float, Solver]]) -> None:
        self.game, self.solvers = game, solvers
        self.gains: list[float] = []  # at each look, the smallest so far
        self.points = self.response = torch.zeros(game.seats, dtype=torch.float64)
        self.tables: list[Tables] = []

    def look(self) -> None:
        """Computes what a best response gains against the average and against the last policies."""
        found = self.gains[-1] if self.gains else torch.inf
        for tables in ([solver.average() for _, solver in self.solvers], [solver.last for _, solver in self.solvers]):
            points = torch.zeros(2, self.game.seats, dtype=torch.float64)
            for (share, solver), own in zip(self.solvers, tables, strict=True):
                points += share * torch.stack(solver.points(own))
            gain = float((points[1] - points[0]).mean())
            if gain < found:
                found, self.tables, (self.points, self.response) = gain, tables, points
        self.gains.append(found)

    @property
    def enough(self) -> float:
        """A gain that is as good as none, in points."""
        return ENOUGH * (self.game.highest - self.game.lowest)

    @property
    def share(self) -> float:
        """See `Report`."""
        if not self.gains or self.gains[0] <= self.enough:
            return float(bool(self.gains))
        return min(1.0, math.log(self.gains[0] / self.gains[-1]) / math.log(self.gains[0] / self.enough))

    @property
    def near_enough(self) -> bool:
        """Whether more iterations bring little."""
        if self.gains[-1] <= self.enough:
            return True
        return len(self.gains) > 2 * LOOKS and self.gains[-1] > FALL * self.gains[-1 - LOOKS]


def solve(game: Game, by_observation: bool = False, report: Report = lambda done, share: None) -> Solution:
    """The policy with which a best response gains least, as far as CFR+ finds it: until that is `ENOUGH`, or hardly
    falls any more, or `ITERATIONS` are over. It is computed on the CPU, the same wherever it is used.

    Args:
        by_observation: by what `Game.observe` tells alone, as a network plays; else by all that a seat has seen.
        report: called after each iteration; what it raises ends the work.

    Raises:
        ValueError: in one line, when the game is too large to be laid out, or deals what cannot be listed.
    """
    deals, solvers, states, nodes = every_deal(game), [], [], 0
    for lanes in told_apart(game, deals):
        states.append([])
        levels = lay_out(game, uniform_policy, deals.take(lanes), MOST_NODES, states[-1])
        if (nodes := nodes + sum(len(level.mover) for level in levels)) > MOST_NODES:
            raise too_large(game, f"more than {MOST_NODES:,} nodes in all", MOST_NODES)
        alike = [_observed(game, *pair) for pair in zip(states[-1], levels, strict=True)] if by_observation else None
        solvers.append((len(lanes) / len(deals), Solver(levels, game.seats, alike)))
    best, done, due, most = _Best(game, solvers), 0, 4, max(FEWEST, min(ITERATIONS, WORK // nodes))
    while done < most:
        for _, solver in solvers:
            solver.iterate()
        done += 1
        if done == min(due, most):
            due = round(GROWTH * due)
            best.look()
            if best.near_enough:
                break
        report(done, best.share)
    rows = zip(solvers, states, best.tables, strict=True)
    parts = [Part(share, solver, nodes, tables) for (share, solver), nodes, tables in rows]
    return Solution(game, parts, done, best.points, best.response)


def _observed(game: Game, state: State, level: Level) -> Tensor:
    """The kinds of a level's information sets, by what is observed there and may be done: [K] int64."""
    some = state.take(sight.places(level.information, len(level.legal)))
    return sight.kinds(game.observe(some), game.legal_actions(some))


@lru_cache(maxsize=64)
def is_small(game: Game) -> bool:
    """Whether a game is solved in less than a minute: few deals, all of which can be listed, and few nodes."""
    if not can_list(game, FEW_DEALS):
        return False
    try:
        return nodes_of(game) <= FEW_NODES
    except Exception:  # whatever a game of one's own makes of such streams: it is learned as it deals itself
        return False


@lru_cache(maxsize=64)
def nodes_of(game: Game) -> int:
    """How many nodes a game has when it is laid out, about. Raises ValueError, in one line, where there are too many,
    or deals cannot be listed."""
    nodes = round(sum(estimated_sizes(game, uniform_policy, every_deal(game))))
    if nodes > MARGIN * MOST_NODES:
        raise too_large(game, f"about {float(f'{nodes:.2g}'):,.0f} nodes in all", MOST_NODES)
    return nodes

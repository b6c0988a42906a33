"""A solved game as a table: what to do, and what it is worth, by what a network sees.

A decision is found by its observation, by which actions are legal, and by its number in the game. Where
`veclab.exact.deals.every_deal` has the last seat deal, in the place of one that is drawn, an observation is counted
from its viewer on, so that decisions after another's deal are found too: it would only have other names for the seats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame import Game, State
from veclab.exact import sight
from veclab.exact.solution import Part, Report, Solution, solve
from veclab.exact.tree import Level

SLIP = 1e-9  # with which others do something else than the solution, so that each decision comes up
LEAST = torch.finfo(torch.float64).tiny
SAME = 1e-6  # probabilities that differ by no more are alike
KEPT = 16  # tables of games

_tables: dict[Game, Table] = {}


@dataclass(frozen=True)
class Decisions:
    """The K information sets of a level at which there is a choice, of one part of a solution."""

    level: int  # its number
    places: Tensor  # [K] int64, a node of each, the likeliest
    policy: Tensor  # [K, A] float64, of the mover's actions by slot
    worth: Tensor  # [K, A] float64, points to the mover after them where all play on by the solution; 0: none
    comes_up: Tensor  # [K] float64, how often a game comes there where all play by the solution


def decisions_of(game: Game, part: Part) -> Iterator[Decisions]:
    """What there is to decide in a part of a solution, level by level. What actions are worth where nobody ever comes
    is by what others do who slip, each as often as another (`SLIP`)."""
    solver, tables = part.solver, part.tables
    slipping = [
        torch.lerp(table, level.legal / level.legal.sum(-1, keepdim=True).double(), SLIP)
        for table, level in zip(tables, solver.levels, strict=True)
    ]
    worths = [torch.zeros_like(table) for table in tables]
    reaches, comes_up = ([torch.zeros_like(level.reach) for level in solver.levels] for _ in range(2))  # by node
    for seat in range(solver.seats):
        reach, truly, towards = solver.reach(slipping, seat), solver.reach(tables, seat), solver.towards(tables, seat)
        for number, after, _ in solver.backwards(tables, seat):
            own = (solver.levels[number].mover == seat).nonzero()[:, 0]
            reaches[number][own] = reach[number][own]
            comes_up[number][own] = part.share * truly[number][own] * towards[number][own]
            sets = solver.levels[number].information[own]
            worths[number].index_add_(0, sets, reach[number][own, None] * after[own])
    for number, (level, state) in enumerate(zip(solver.levels, part.states, strict=True)):
        total, often = (_of_sets(rows[number], level) for rows in (reaches, comes_up))
        place = _likeliest(level.information, reaches[number], len(level.legal))
        some = state.take(place)
        chosen = game.chooses(some, game.legal_actions(some)).nonzero()[:, 0]
        if len(chosen):
            worth = (worths[number] / total.clamp(min=LEAST)[:, None])[chosen].masked_fill(~level.legal[chosen], 0)
            yield Decisions(number, place[chosen], tables[number][chosen], worth, often[chosen])


def _of_sets(values: Tensor, level: Level) -> Tensor:
    """Sums of the nodes' values [L] float64 over each information set: [K] float64."""
    return values.new_zeros(len(level.legal)).index_add_(0, level.information, values)


def _likeliest(sets: Tensor, reach: Tensor, count: int) -> Tensor:
    """Of each information set the node that is come to most often, the first of these: [count] int64."""
    most = reach.new_zeros(count).scatter_reduce_(0, sets, reach, "amax")
    nodes = (reach == most[sets]).nonzero()[:, 0].flip(0)
    return nodes[sight.places(sets[nodes], count)]


@dataclass(frozen=True)
class Table:
    """The N decisions of a solved game."""

    game: Game
    keys: Tensor  # [N, 2] int64, see `keys_of`, in ascending order
    policy: Tensor  # [N, A] float64, probabilities of the legal actions by slot
    worth: Tensor  # [N, A] float64, points after them to who decides, see `Decisions`
    points: Tensor  # [P] float64, of each seat, see `Solution`
    gain: float  # of a best response, in points, mean over the seats
    iterations: int

    @classmethod
    def of(cls, solution: Solution) -> Table:
        """The table of a solution by observation. Raises ValueError, in one line, where it does one thing in one part
        of the game and another in another, though a network sees the same."""
        game, rows = solution.game, []
        for part in solution.parts:
            for found in decisions_of(game, part):
                some = part.states[found.level].take(found.places)
                rows.append((keys_of(game, some), found.policy, found.worth, found.comes_up))
        keys, policy, worth, comes_up = (torch.cat(column) for column in zip(*rows, strict=True))
        number, place = sight.number(keys)
        if ((policy - policy[place[number]]).abs() > SAME).any():
            raise ValueError(f"{game!r} is solved by more than a network sees of it, such as which suit is trump")
        # Decisions that look alike: what they are worth is a mean, by how often each comes up.
        weight = (comes_up + LEAST)[:, None]
        total = weight.new_zeros(len(place), 1).index_add_(0, number, weight)
        worth = torch.zeros_like(worth[place]).index_add_(0, number, weight * worth) / total
        order = keys[place, 0].argsort()
        found = (keys[place][order], policy[place][order], worth[order])
        return cls(game, *found, solution.points, solution.gain, solution.iterations)

    def find(self, state: State) -> Tensor:
        """Where decisions are found: [B] int64. Raises LookupError on one that is not there."""
        keys = keys_of(self.game, state.to("cpu"))
        place = torch.searchsorted(self.keys[:, 0].contiguous(), keys[:, 0].contiguous()).clamp(max=len(self.keys) - 1)
        missing = (self.keys[place] != keys).any(-1)
        if missing.any():
            lane = int(missing.nonzero()[0])
            told = self.game.text(state, lane, int(self.game.mover(state)[lane]))
            raise LookupError(f"the solution of {self.game!r} knows no such decision: {' '.join(told.split())}")
        return place


def keys_of(game: Game, state: State) -> Tensor:
    """Two numbers by which decisions are known: of the same two, it is the same that a network sees, may do, and has
    in its policy's columns, after as many decisions: [B, 2] int64."""
    actions = game.legal_actions(state)
    return sight.numbers(game.observe(state), actions, game.policy_columns(state, actions), game.turn(state))


def table_of(game: Game, report: Report = lambda done, share: None) -> Table:
    """The table of a game, which is solved when it is first asked for; errors as `solve` and `Table.of`."""
    if game not in _tables:
        while len(_tables) >= KEPT:
            del _tables[next(iter(_tables))]
        _tables[game] = Table.of(solve(game, by_observation=True, report=report))
    return _tables[game]


def is_known(game: Game) -> bool:
    """Whether a game's table is there already."""
    return game in _tables

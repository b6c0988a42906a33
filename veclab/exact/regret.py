"""Equilibria of games small enough to lay out whole, by counterfactual regret minimisation.

At each information set the regret of an action is what it would have won more than the policy, weighed with the
probability that the deal and the others lead there. CFR+ keeps the regrets of all iterations summed, from zero upwards,
plays each action in proportion to them, and changes the seats' policies in turn (Tammelin 2014, "Solving large
imperfect information games using CFR+", arXiv:1407.5042; Zinkevich et al., "Regret minimization in games with
incomplete information", NeurIPS 2007). With two seats whose points sum to a constant the average of its policies comes
to an equilibrium. In other games nothing is promised, and often the last policy comes nearer than the average; how much
a best response gains is exact for both.

Nodes and information sets are those of `veclab.exact.tree`: an iteration is for each seat a pass down all levels and
one up, and all nodes of a level are one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from veclab.exact.sight import places
from veclab.exact.tree import Level, come_to, values_of

Tables = list[Tensor]
"""A policy, for each level: [K, A] float64, probabilities of the mover's actions by slot."""


@dataclass(frozen=True)
class _Links:
    """How the nodes of a level, but for the ends, lead to those of the next: [G] int64 each."""

    going: Tensor  # among those that follow
    parent: Tensor  # node of the level
    entry: Tensor  # of the level's table: A * information set + slot
    mover: Tensor  # the seat that acted


@dataclass(frozen=True)
class _Own:
    """What of a level is a seat's."""

    nodes: Tensor  # [N] int64
    kinds: Tensor  # [N] int64, of their information sets
    sets: Tensor  # [S] int64, information sets
    places: Tensor  # [S] int64, a node of each


class Solver:
    """CFR+ on a game that is laid out.

    Args:
        levels: of `veclab.exact.tree.lay_out` with a policy that leaves no action out.
        seats: P.
        alike: for each level the kind, from 0 on, of each information set, [K] int64, where those of a kind are to be
            played alike, as by who remembers less; each its own if None.
    """

    def __init__(self, levels: Sequence[Level], seats: int, alike: Sequence[Tensor] | None = None) -> None:
        self.levels, self.seats, self.iterations = list(levels), seats, 0
        self.kinds = [torch.arange(len(one.legal)) for one in self.levels] if alike is None else list(alike)
        self.legal = [_of_kinds(*pair) for pair in zip((one.legal for one in self.levels), self.kinds, strict=True)]
        self._links = [_link(level) for level in self.levels[:-1]]
        pairs = list(zip(self.levels, self.kinds, strict=True))
        self._owned = [[_owned(level, kinds, seat) for level, kinds in pairs] for seat in range(seats)]
        self._regrets = [torch.zeros_like(legal, dtype=torch.float64) for legal in self.legal]
        self._sums = [torch.zeros_like(regrets) for regrets in self._regrets]
        self.last: Tables = [self._table(self._regrets, number) for number in range(len(self.levels))]

    @property
    def forgets(self) -> bool:
        """Whether there are information sets of a kind."""
        return any(len(legal) < len(kinds) for legal, kinds in zip(self.legal, self.kinds, strict=True))

    def iterate(self) -> None:
        """One iteration: of each seat in turn the regrets against the others' last policies, and its next policy."""
        self.iterations += 1
        for seat, owned in enumerate(self._owned):
            reach, towards = self.reach(self.last, seat), self.towards(self.last, seat)
            for number, after, values in self.backwards(self.last, seat):
                own, table = owned[number], self.last[number]
                if not len(own.nodes):
                    continue
                weights = self.iterations * towards[number][own.places, None]
                self._sums[number].index_add_(0, self.kinds[number][own.sets], weights * table[own.sets])
                regret = (after[own.nodes] - values[own.nodes, None]) * reach[number][own.nodes, None]
                regrets = self._regrets[number].index_add_(0, own.kinds, regret)
                regrets.clamp_(min=0).masked_fill_(~self.legal[number], 0)
            for number, own in enumerate(owned):
                if len(own.nodes):
                    self.last[number] = self._table(self._regrets, number)

    def average(self) -> Tables:
        """The average of the policies before the last, each by how likely its seat gets there and by its number."""
        return [self._table(self._sums, number) for number in range(len(self.levels))]

    def points(self, tables: Tables) -> tuple[Tensor, Tensor]:
        """Points of each seat by the policy and by the best response to it, which sees what there is to see: [P]
        float64 each."""
        levels = []
        for level, table, reach in zip(self.levels, tables, self.by_seats(self.reach, tables), strict=True):
            levels.append(replace(level, policy=table, reach=reach.gather(1, level.mover[:, None])[:, 0]))
        return values_of(levels, self.seats)

    def by_seats(self, of: Callable[[Tables, int], list[Tensor]], tables: Tables) -> list[Tensor]:
        """What one of the methods below tells of each seat: of each level [L, P] float64."""
        return [torch.stack(rows, -1) for rows in zip(*(of(tables, seat) for seat in range(self.seats)), strict=True)]

    def values(self, tables: Tables, seat: int) -> list[Tensor]:
        """What the nodes of each level are worth to a seat where all play the policy: [L] float64."""
        return [values for _, _, values in self.backwards(tables, seat)][::-1]

    def reach(self, tables: Tables, seat: int) -> list[Tensor]:
        """For the nodes of each level the probability of the deal and of what all but the seat did: [L] float64."""
        rows = [torch.full_like(self.levels[0].mover, 1 / len(self.levels[0].mover), dtype=torch.float64)]
        for level, links, table in zip(self.levels, self._links, tables, strict=False):
            chance = table.flatten().index_select(0, links.entry).masked_fill(links.mover == seat, 1.0)
            if level.chance is not None:
                chance = chance * level.chance[links.going]
            rows.append(rows[-1].index_select(0, links.parent) * chance)
        return rows

    def towards(self, tables: Tables, seat: int) -> list[Tensor]:
        """For the nodes of each level the probability that the seat does what leads there: [L] float64."""
        rows = [torch.ones_like(self.levels[0].mover, dtype=torch.float64)]
        for links, table in zip(self._links, tables, strict=False):
            chance = table.flatten().index_select(0, links.entry).masked_fill(links.mover != seat, 1.0)
            rows.append(rows[-1].index_select(0, links.parent) * chance)
        return rows

    def backwards(self, tables: Tables, seat: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Of each level, from the last on: its number, what the actions of its nodes come to for a seat, [L, A]
        float64, and what the nodes are worth to it by the policy, [L] float64."""
        values = self.levels[-1].scores.new_empty(0)
        for number in reversed(range(len(self.levels))):
            level = self.levels[number]
            after = come_to(level, values, seat)
            values = (tables[number].index_select(0, level.information) * after).sum(-1)
            yield number, after, values

    def _table(self, weights: Sequence[Tensor], number: int) -> Tensor:
        """A level's policy by the weights of the actions of each kind: [K, A] float64."""
        return _normalised(weights[number], self.legal[number]).index_select(0, self.kinds[number])


def _link(level: Level) -> _Links:
    actions = level.legal.shape[1]
    going = (~level.over).nonzero()[:, 0]
    parent, slot = level.origin[going] // actions, level.origin[going] % actions
    return _Links(going, parent, level.information[parent] * actions + slot, level.mover[parent])


def _owned(level: Level, kinds: Tensor, seat: int) -> _Own:
    nodes = (level.mover == seat).nonzero()[:, 0]
    sets, within = level.information[nodes].unique(return_inverse=True)
    return _Own(nodes, kinds[level.information[nodes]], sets, nodes[places(within, len(sets))])


def _of_kinds(legal: Tensor, kinds: Tensor) -> Tensor:
    """Which actions the information sets of each kind have, by those of all sets, [K, A] bool, and their kinds, [K]
    int64: [C, A] bool. Raises ValueError where sets of a kind have different ones."""
    found = legal[places(kinds, int(kinds.max()) + 1)]
    if not torch.equal(found[kinds], legal):
        raise ValueError("information sets that are to be played alike have different actions")
    return found


def _normalised(weights: Tensor, legal: Tensor) -> Tensor:
    """Weights [C, A] float64 as probabilities; where all are 0, all ``legal`` [C, A] actions alike."""
    total = weights.sum(-1, keepdim=True)
    alike = legal.double() / legal.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(torch.float64).tiny), alike)

"""A whole game laid out as lanes, a level for each decision, and played by a policy or by best responses to it.

One pass from the last level to the first finds the best response of every seat:

    at a node of another seat   value = sum of policy(action) * value(child)
    at one of the seat's own    value = value(child) by the action that maximises, over the nodes of the information
                                set, sum of reach(node) * value(child)

where reach is the probability of the deal and of what the *others* did. What a seat has seen and done so far is its
information set (`veclab.exact.sight`); nothing is forgotten, so the sets of one seat form a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vecgame import Game, State
from veclab.exact import sight
from veclab.exact.deals import deals_after, later_deals, too_large
from vecmcts import Past

MOST_NODES = 3_000_000  # of one level; over 100 bytes each are kept
SAMPLES, MARGIN = 1000, 1.25  # games by which the number of nodes is estimated before they are laid out; its error
CHUNK = 4096  # information sets that the policy judges at a time

Policy = Callable[[Game, State], Tensor]
"""Probabilities of the mover's actions, by slot of `Game.legal_actions`: [B, max_legal] float64, rows of sum 1. One
with an attribute ``told`` that is true is given the games' `Past` as a third argument."""


def uniform_policy(game: Game, state: State) -> Tensor:
    """Every legal action alike: [B, max_legal] float64."""
    legal = (game.legal_actions(state) >= 0).double()
    return legal / legal.sum(-1, keepdim=True)


@dataclass(frozen=True)
class Level:
    """The L nodes before one decision, of K information sets, and the N that follow them, of which E are ends."""

    mover: Tensor  # [L] int64
    information: Tensor  # [L] int64, number 0.. of the mover's information set
    policy: Tensor  # [K, A] float64, probabilities of the mover's actions by slot, 0 where there is none
    legal: Tensor  # [K, A] bool, slots that hold an action
    reach: Tensor  # [L] float64, probability of the deal and of what the others did, all but the mover
    origin: Tensor  # [N] int64, A * node + slot that leads there; none leads to where no seat can get against others
    # that play the policy
    chance: Tensor | None  # [N] float64, probability of what a match deals on the way; None in other games: 1
    over: Tensor  # [N] bool, which of them are ends
    scores: Tensor  # [E, P] float64


def lay_out(
    game: Game, policy: Policy, deals: State, most: int = MOST_NODES, states: list[State] | None = None
) -> list[Level]:
    """All that may come after some deals, each as likely as the other: a level for each decision.

    Args:
        deals: D games before the first decision.
        most: nodes of one level.
        states: is given the games at the nodes of each level, L lanes each.

    Raises:
        ValueError: in one line, when there are more, or the game or the policy is none.
    """
    _check_size(game, policy, deals, most)
    state, levels, trail = deals, [], []
    reach = torch.full((len(deals), game.seats), 1 / len(deals), dtype=torch.float64, device=deals.device)
    known = sight.look(game, state, sight.beginning(state, game.seats))
    while len(state):
        if states is not None:
            states.append(state)
        mover = game.mover(state)
        information, place = sight.number(known[torch.arange(len(mover), device=mover.device), mover])
        actions = game.legal_actions(state)
        some = actions[place]
        if not torch.equal(some[information], actions):
            raise ValueError(f"{game!r} lets a seat do more or less by cards that it does not see")
        table = _judged(game, policy, state.take(place), some, partial(_past, game, trail, place))
        kept = actions >= 0
        if not (reach > 0).all():
            kept &= _reached(table[information], reach, mover)
        parent, slot = kept.nonzero().unbind(-1)
        if len(parent) > most:
            raise too_large(game, f"{len(parent):,} nodes after {len(levels) + 1} decisions", most)
        origin, chance = actions.shape[1] * parent + slot, None
        taken = actions.flatten().index_select(0, origin)
        before, own = state, reach.gather(1, mover[:, None])[:, 0]
        state = game.step(before.take(parent), taken)
        if hasattr(game, "later"):
            state, place, chance = later_deals(game, before.take(parent), taken, state, most)
            parent, slot, taken, origin = parent[place], slot[place], taken[place], origin[place]
        over, scores = _ends(game, state, len(levels) + 1)
        levels.append(Level(mover, information, table, some >= 0, own, origin, chance, over, scores))
        if over.any():
            going = (~over).nonzero()[:, 0]
            state, parent, slot, taken = state.take(going), parent[going], slot[going], taken[going]
            chance = None if chance is None else chance[going]
        if getattr(policy, "told", False):
            trail.append((before, parent, taken))
        if len(state):
            mover = mover.index_select(0, parent)
            taken_with = table.flatten().index_select(0, information.index_select(0, parent) * table.shape[1] + slot)
            reach = _after(reach.index_select(0, parent), taken_with, mover)
            if chance is not None:
                reach *= chance[:, None]
            known = sight.look(game, state, sight.acted(known.index_select(0, parent), mover, taken))
    return levels


def values_of(levels: list[Level], seats: int) -> tuple[Tensor, Tensor]:
    """Points of each seat over all deals, by playing the policy and by the best response to it: [P] float64 each."""
    values = torch.empty(seats, 0, 2, dtype=torch.float64, device=levels[-1].mover.device)
    for level in reversed(levels):
        chances = level.policy.index_select(0, level.information)
        each = (_value(level, chances, come_to(level, values[seat], seat), seat) for seat in range(seats))
        values = torch.stack(list(each))
    points = values.mean(1)
    return points[:, 0], points[:, 1]


def come_to(level: Level, values: Tensor, seat: int) -> Tensor:
    """What the actions of each node come to for a seat: [L, A, ..] float64, 0 where there is none.

    Args:
        values: [M, ..] float64, of the next level's nodes; of the last level [0, ..].
    """
    ones, following = (1,) * (values.ndim - 1), values
    if len(level.scores):
        following = values.new_empty(len(level.over), *values.shape[1:])
        following[level.over] = level.scores[:, seat].view(-1, *ones).expand(-1, *values.shape[1:])
        following[~level.over] = values
    if level.chance is not None:
        following = following * level.chance.view(-1, *ones)
    after = following.new_zeros(len(level.mover) * level.legal.shape[1], *values.shape[1:])
    add = after.index_copy_ if level.chance is None else after.index_add_
    return add(0, level.origin, following).view(len(level.mover), -1, *values.shape[1:])


def _value(level: Level, chances: Tensor, after: Tensor, seat: int) -> Tensor:
    """What the nodes are worth to a seat, by the policy and by its best response: [L, 2] float64.

    Args:
        chances: [L, A] float64, of the actions by the policy.
        after: [L, A, 2] float64, what the actions come to for the seat.
    """
    values = torch.einsum("la,lav->lv", chances, after)
    mine = (level.mover == seat).nonzero()[:, 0]
    if len(mine):
        sets, best = level.information[mine], after[mine, :, 1]
        total = torch.zeros_like(level.policy).index_add_(0, sets, level.reach[mine, None] * best)
        choice = total.masked_fill(~level.legal, -torch.inf).argmax(-1)
        values[mine, 1] = best.gather(1, choice[sets, None])[:, 0]
    return values


def _past(game: Game, trail: Sequence[tuple[State, Tensor, Tensor]], place: Tensor, part: Tensor) -> Past:
    """How the nodes ``place[part]`` of the last level came about.

    Args:
        trail: of each level so far its nodes, and of each node that followed on the next one its parent, [N] int64, and
            the action that led there, [N] int64.
    """
    nodes, states = place[part], []
    actions = Past.none(game, len(nodes), nodes.device).actions
    for number in reversed(range(len(trail))):
        before, parent, taken = trail[number]
        actions[:, number] = taken[nodes]
        nodes = parent[nodes]
        states.append(before.take(nodes))
    return Past(tuple(reversed(states)), actions)


def _judged(game: Game, policy: Policy, state: State, actions: Tensor, past: Callable[[Tensor], Past]) -> Tensor:
    """What the policy does in K positions, which is asked only where there is a choice: [K, A] float64.

    Args:
        past: of some of the positions, [L] int64, for a policy that is told it.
    """
    table = (actions >= 0).double()
    choices = (table.sum(-1) > 1).nonzero()[:, 0]
    for part in choices.split(CHUNK) if len(choices) else ():
        told = (past(part),) if getattr(policy, "told", False) else ()
        chances = policy(game, state.take(part), *told)
        good = chances.shape == table[part].shape and ((chances >= 0) & (table[part] >= (chances > 0))).all()
        if not good or ((chances.sum(-1) - 1).abs() > 1e-6).any():
            raise ValueError("a policy must give probabilities of the legal actions, by slot, that sum to 1")
        table[part] = chances.double()
    return table


def _reached(chances: Tensor, reach: Tensor, mover: Tensor) -> Tensor:
    """By which actions some seat gets on against others that play the policy: [L, A] bool. The mover by all, where it
    gets to; elsewhere another seat does, by those of the policy.

    Args:
        chances: [L, A] float64, of the actions by the policy.
        reach: [L, P] float64, of each seat: probability of the deal and of what the others did; not 0 for all.
    """
    return (reach.gather(1, mover[:, None]) > 0) | (chances > 0)


def _after(reach: Tensor, chance: Tensor, mover: Tensor) -> Tensor:
    """Reach [N, P] float64 after an action of probability ``chance`` [N] float64, which costs the mover [N] int64
    itself none."""
    own = torch.arange(reach.shape[1], device=mover.device) == mover[:, None]
    return reach * torch.where(own, 1.0, chance[:, None])


def _ends(game: Game, state: State, decisions: int) -> tuple[Tensor, Tensor]:
    """Which games are over, or are decided as all that is left is forced, [N] bool, and these games' scores [E, P]
    float64, after so many decisions."""
    if decisions >= game.decisions - game.seats and not hasattr(game, "later"):  # a match would deal on the way
        ended = game.play_forced(state)
        over = game.is_terminal(ended)
        return over, game.scores(ended)[over].double()
    over = game.is_terminal(state)
    return over, game.scores(state)[over].double() if over.any() else state.index.new_zeros(0, game.seats).double()


def _check_size(game: Game, policy: Policy, deals: State, most: int) -> None:
    """Raises ValueError, in one line, when a level would have more nodes by an estimate, and not just by its error."""
    sizes = estimated_sizes(game, policy, deals)
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    if sizes[largest] > MARGIN * most:
        raise too_large(game, f"about {float(f'{sizes[largest]:.2g}'):,.0f} nodes after {largest + 1} decisions", most)


def estimated_sizes(game: Game, policy: Policy, deals: State, samples: int = SAMPLES) -> list[float]:
    """Estimates how many nodes there are after each decision.

    Each sample plays on at random and counts for as many nodes as it had ways to go: Knuth, "Estimating the efficiency
    of backtrack programs" (1975). The estimate is right in the mean.
    """
    generator = torch.Generator().manual_seed(0)
    state = deals.take(torch.randint(len(deals), (samples,), generator=generator).to(deals.device))
    reach = torch.ones(samples, game.seats, dtype=torch.float64, device=deals.device)
    weight = torch.full((samples,), len(deals) / samples, dtype=torch.float64, device=deals.device)
    sizes, past = [], Past.none(game, samples, deals.device)
    while len(state):
        mover, actions = game.mover(state), game.legal_actions(state)
        chances = _judged(game, policy, state, actions, past.take)
        kept = (actions >= 0) & _reached(chances, reach, mover)
        keys = torch.rand(kept.shape, generator=generator).to(kept.device)
        slot = torch.where(kept, keys, -1.0).argmax(-1, keepdim=True)
        weight = weight * kept.sum(-1)
        taken = actions.gather(1, slot)[:, 0]
        reach = _after(reach, chances.gather(1, slot)[:, 0], mover)
        before, state = state, game.step(state, taken)
        if hasattr(game, "later"):
            weight = weight * deals_after(game, before, taken, state, MOST_NODES)
        sizes.append(float(weight.sum()))
        going = (~_ends(game, state, len(sizes))[0]).nonzero()[:, 0]
        past = past.then(before, taken).take(going)
        state, reach, weight = state.take(going), reach[going], weight[going]
    return sizes

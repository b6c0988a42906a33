"""Worlds of games of any size against the past: from a world the decisions before it are gone back one by one.

A decision moves cards between the places that `Game.hidden` declares, what nobody holds, and the open. The true game
tells between which; in a world other cards lie where the viewer does not look, and are moved back to where the true
ones came from. In the state that this gives the same seat has to be allowed to do the same, with a result that looks
the same to the viewer. That is asked where no other past is possible: the action was no secret, no chance came by a
hidden number, and in all worlds of the position before the cards move between the same places. Elsewhere going back
ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame.cards import list_cards, popcount, union
from vecgame.contract.played import GAMES, SEED, positions, random_action
from vecgame.contract.views import looks_alike, viewed_by
from vecgame.game import Game
from vecgame.hidden import places, seen_places, with_places
from vecgame.state import State

WORLDS = 8  # of a position, whose pasts are gone back
POSITIONS = 5  # of each game
BACK = 10  # decisions
OTHERS = 4  # worlds of the position before, by which other pasts are looked for
MANY_OTHERS = 200  # likewise, before anything is called wrong
NUMBERS = 64  # hidden numbers with which a decision leads where it does if it does not depend on them
CHOICES = 70  # ways to choose the cards that came from elsewhere, at most, for each world
NOT_ASKED = "worlds: whether the past could have been is not asked, as hidden cards or chance decide where cards go"


def worlds_fit_the_past(game: Game) -> str | None:
    """In the worlds of a position the decisions before it could have been made, and would have looked as they did."""
    states = list(positions(game, GAMES))
    hidden = game.hidden(states[0])
    if game.copies or not any(field.is_place for field in hidden.values()):
        return None
    actions = [random_action(game, state) for state in states]
    last = max(number for number, state in enumerate(states) if not game.is_terminal(state).all())
    asked = 0
    for number in sorted({last - last * part // POSITIONS for part in range(POSITIONS)} - {0}):
        going = ~game.is_terminal(states[number])
        first = max(0, number - BACK)
        past = [(state[going], action[going]) for state, action in zip(states, actions, strict=True)][
            first : number + 1
        ]
        asked += _goes_back(game, past)
    return None if asked or not last else NOT_ASKED


def _goes_back(game: Game, past: list[tuple[State, Tensor]]) -> int:
    """Draws worlds of the last of some games' states and goes back from these; how many decisions were asked for."""
    now, asked = past[-1][0], 0
    viewer = game.mover(now)
    states = game.determinize(now, WORLDS, SEED)  # that a world may have been in, for each world at least one
    world = torch.arange(len(states))
    for (before, action), (after, _) in reversed(list(itertools.pairwise(past))):
        step = Step(game, before, action, after, viewer)
        lane = world // WORLDS
        sure = step.is_sure(OTHERS)[lane]
        states, world = states[sure], world[sure]
        if not len(world):
            break
        earlier, which = step.before_of(states, world // WORLDS)
        could, led = step.fits(earlier, states[which], world[which] // WORLDS)
        asked += len(world[which].unique() // WORLDS)
        _refuse(step, earlier, world[which], could)
        states, world = earlier[led], world[which][led]
        few = world.bincount(minlength=1)[world] <= CHOICES
        states, world = states[few], world[few]
    return asked


def _refuse(step: Step, earlier: State, world: Tensor, could: Tensor) -> None:
    """Raises AssertionError if a world's every state before a decision is one in which it could not have been made."""
    right = torch.zeros(int(world.max()) + 1 if len(world) else 0, dtype=torch.bool)
    right[world[could]] = True
    for one in world[~right[world]].unique().tolist():
        lane = one // WORLDS
        alone = step.of(lane)
        if alone.is_sure(MANY_OTHERS).all() and not alone.chance(earlier[world == one]):
            game, action = step.game, int(step.action[lane])
            name = game.action_name(action, step.before[lane])
            did = f"seat {int(game.mover(step.before)[lane])} could not have done {name!r}, as it did"
            seat = int(step.viewer[lane])
            raise AssertionError(
                f"a world is drawn in which the past would be illegal or look otherwise: for seat {seat}, where {did}"
            )


@dataclass(frozen=True)
class Step:
    """A decision of each of L games, as a seat of each sees it."""

    game: Game
    before: State
    action: Tensor  # [L]
    after: State
    viewer: Tensor  # [L]

    def of(self, lane: int) -> Step:
        one = slice(lane, lane + 1)
        return Step(self.game, self.before[one], self.action[one], self.after[one], self.viewer[one])

    def worlds(self, count: int, seed: int) -> State:
        """Worlds of the states before, for the viewers: L * count lanes."""
        drawn = self.before.repeat(count)
        for seat in self.viewer.unique().tolist():
            mine = (self.viewer == seat).nonzero()[:, 0]
            lanes = (mine[:, None] * count + torch.arange(count)).flatten()
            drawn = drawn.put(lanes, viewed_by(self.game, seat).determinize(self.before[mine], count, seed))
        return drawn

    def numbers(self) -> list[str]:
        return [name for name, field in self.game.hidden(self.before).items() if field.holds == "number"]

    def is_sure(self, count: int) -> Tensor:
        """Lanes in which no other action, chance or way of the cards is met that would look the same, among so many
        worlds: [L] bool."""
        game, lanes = self.game, len(self.action)
        begun = torch.arange(lanes * (count + 1)) % (count + 1) == 0  # the true game first
        states = self.worlds(count + 1, SEED + 1).where(~begun, self.before.repeat(count + 1))
        row, action = game.legal_mask(states).nonzero(as_tuple=True)
        lane = row // (count + 1)
        states, begun = states[row], begun[row]
        led = game.step(states, action)
        alike, did = looks_alike(game, led, self.after[lane], self.viewer[lane]), action == self.action[lane]
        sure, met = torch.ones(lanes, dtype=torch.bool), torch.zeros(lanes, dtype=torch.bool)
        met[lane[alike & did & ~begun]] = True
        sure[lane[alike & ~did]] = False
        same = (alike & did & sure[lane]).nonzero()[:, 0]
        moves, true = self.moves(states[same], led[same]), self.moves(self.before, self.after)
        sure[lane[same][(moves != true[lane[same]]).flatten(1).any(-1)]] = False
        if self.numbers():
            again = self.worlds(count + 1, SEED + 2)[row]
            sure[lane[did & self.chance_differs(states, again, action)]] = False
        return sure & met

    def chance(self, states: State) -> bool:
        """Whether the decision leads elsewhere from some states of one lane with other hidden numbers."""
        if not self.numbers():
            return False
        again, states = self.worlds(len(states) * NUMBERS, SEED + 3), states.repeat(NUMBERS)
        return bool(self.chance_differs(states, again, self.action.expand(len(states))).any())

    def chance_differs(self, states: State, others: State, action: Tensor) -> Tensor:
        """Lanes in which an action leads elsewhere with the hidden numbers of others: [B] bool."""
        given = replace(states, **{name: getattr(others, name) for name in self.numbers()})
        led, changed = self.game.step(states, action), self.game.step(given, action)
        differs = self.differ(led, changed)
        for name in self.numbers():  # of which each may stay what it is
            one, two = getattr(led, name), getattr(changed, name)
            stay = (one == getattr(states, name)) & (two == getattr(given, name))
            differs |= ((one != two) & ~stay).unsqueeze(-1).flatten(1).any(-1)
        return differs

    def differ(self, a: State, b: State) -> Tensor:
        """Lanes in which two states differ in more than hidden numbers: [B] bool."""
        names = a.tensors().keys() - set(self.numbers())
        return torch.stack([(getattr(a, n) != getattr(b, n)).unsqueeze(-1).flatten(1).any(-1) for n in names]).any(0)

    def lie(self, state: State) -> Tensor:
        """The cards in each place, and after these what nobody holds: [B, E + 1] int64."""
        held = places(self.game.hidden(state), state)
        return torch.cat([held, (self.game.deck & ~(union(held) | self.game.open_cards(state)))[:, None]], -1)

    def moves(self, before: State, after: State) -> Tensor:
        """How many cards go from each place into each: [B, E + 1, E + 1]."""
        return popcount(self.lie(before)[:, :, None] & self.lie(after)[:, None])

    def before_of(self, states: State, lane: Tensor) -> tuple[State, Tensor]:
        """States before the decision, of states [N] after it of lanes [N], as far as all of them can be listed, and
        the number of the state that each is of: [M] int64."""
        game, hidden = self.game, self.game.hidden(self.before)
        old, new = self.lie(self.before), self.lie(self.after)
        none = torch.zeros(len(old), 1, dtype=torch.bool)
        saw = torch.cat([seen_places(hidden, self.before, self.viewer), none], -1)
        sees = torch.cat([seen_places(game.hidden(self.after), self.after, self.viewer), none], -1)
        flow = old[:, :, None] & new[:, None]
        known = (saw & sees)[:, None]
        mixed = ((flow != 0) & ~known).sum(1) > 1  # places whose cards came from several
        bare = (new & ~union(old)[:, None] != 0) & ~(saw & sees)  # or from the open
        choice = mixed.long().argmax(-1)
        rows = torch.arange(len(old))
        parts = popcount(flow[rows, :, choice])
        few = ((parts > 0).sum(-1) <= 2) & (mixed.sum(-1) <= 1) & ~(bare & (flow != 0).any(1)).any(-1)
        marks, kept = self.marks(hidden)
        states_of, keep = [], (few & kept)[lane]
        which = keep.nonzero()[:, 0]
        held = self.lie(states)
        single = (flow != 0) & ~known & ~mixed[:, None]
        sure = torch.where(known, flow, 0).sum(-1) | old & game.open_cards(self.after)[:, None]
        # Of a place that is filled from two some cards came from the second: any.
        second = (parts > 0).long().cumsum(-1).eq(2).long().argmax(-1)
        first = (parts > 0).long().argmax(-1)
        number = torch.where(mixed.any(-1), parts[rows, second], 0)
        for total, some in {(int(parts[k].sum()), int(number[k])) for k in lane[which].tolist()}:
            mine = which[(parts.sum(-1)[lane[which]] == total) & (number[lane[which]] == some)]
            ways = list(itertools.islice(itertools.combinations(range(total), some), CHOICES + 1))
            if len(ways) > CHOICES:
                continue
            at = lane[mine]
            back = torch.where(single[at], held[mine][:, None], 0).sum(-1) | sure[at]
            back = back.repeat_interleave(len(ways), 0)
            if some:
                pile = held[mine, choice[at]]
                ids = list_cards(pile, total)
                taken = (1 << ids[:, torch.tensor(ways)]).sum(-1).flatten()
                repeated, rest = at.repeat_interleave(len(ways)), pile.repeat_interleave(len(ways)) & ~taken
                line = torch.arange(len(back))
                back[line, first[repeated]] |= rest
                back[line, second[repeated]] |= taken
            states_of.append((back, mine.repeat_interleave(len(ways))))
        if not states_of:
            return states[:0], which[:0]
        back, which = (torch.cat(parts) for parts in zip(*states_of, strict=True))
        at = lane[which]
        back = torch.where(saw[at], old[at], back)[:, :-1]
        hides = ~saw[at][:, :-1]
        shown = torch.where(saw, old, 0).sum(-1) | game.open_cards(self.before)
        whole = (popcount(back) == popcount(old[at][:, :-1])).all(-1) & (
            popcount(back).sum(-1) == popcount(union(back))
        )
        whole &= (torch.where(hides, back, 0) & shown[at][:, None] == 0).all(-1)
        back, which, at = back[whole], which[whole], at[whole]
        earlier = with_places(hidden, self.before[at], back)
        there = {
            name: torch.where(same[at], getattr(states, name)[which], getattr(earlier, name))
            for name, same in marks.items()
        }
        earlier = replace(earlier, **there)
        like = looks_alike(game, earlier, self.before[at], self.viewer[at]) & (
            game.mover(earlier) == game.mover(self.before)[at]
        )
        return earlier[like], which[like]

    def marks(self, hidden: Mapping) -> tuple[dict[str, Tensor], Tensor]:
        """Of each hidden field that is no place the entries that stay as they are in a world, and the lanes in which
        all others are known: [L] bool."""
        stays, kept = {}, torch.ones(len(self.action), dtype=torch.bool)
        for name, field in hidden.items():
            if field.is_place:
                continue
            old, new = getattr(self.before, name), getattr(self.after, name)
            seen = field.seen_by(self.viewer).reshape(old.shape)
            stays[name] = ~seen & (old == new)
            known = seen | (old == new)
            if field.holds != "number":
                known = known | (field.bits(old) == 0).reshape(old.shape)
            kept &= known.reshape(len(old), old[:1].numel()).all(-1)
        return stays, kept

    def fits(self, earlier: State, states: State, lane: Tensor) -> tuple[Tensor, Tensor]:
        """Whether the decision could be made in states [M] and looks as it did, and whether it also leads to the
        states after it: [M] bool each."""
        action = self.action[lane]
        led = self.game.step(earlier, action)
        legal = self.game.legal_mask(earlier).gather(1, action[:, None])[:, 0]
        could = legal & looks_alike(self.game, led, self.after[lane], self.viewer[lane])
        return could, could & ~self.differ(led, states)

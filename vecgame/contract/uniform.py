"""Whether worlds are all the deals with which the past would have looked the same, each as likely as the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import comb, prod

import torch
from torch import Tensor

from vecgame.cards import popcount, unpack
from vecgame.contract.copied import copies_dealt, lie, several_alike
from vecgame.contract.played import GAMES, SEED, numbered, positions, random_action, same
from vecgame.contract.views import lie_as_said, looks_alike
from vecgame.game import Game
from vecgame.hands import HandGame
from vecgame.hidden import places, seen_places, unseen, with_places
from vecgame.state import State, concatenate

TOLD = 6  # moves of a past in which worlds are wrong
PASTS = 2  # games in which worlds are compared, for each number of decisions before the end
MOST_DEALS = 1500  # that a test of the worlds' distribution lists
MOST_BEGINNINGS = 10_000  # likewise, of games that are played again from the first decision on
NUMBERS = 64  # hidden numbers, at least, with which a step leads where it does if it does not depend on them
DRAWS = 12  # worlds for each of them, and of these
MOST_DRAWN = 3000  # worlds of a position beyond the first `PASTS`, but for
FEWEST_DRAWS = 3  # for each deal
TOGETHER = 3  # are of one game
Z_LIMIT = 5.0  # standard errors: a right game fails with probability below 1e-5
TOO_FEW = (
    "worlds: not enough positions to compare their distribution; there may be with more pasts, or in a small form of "
    "the game, with fewer cards by its rules or, in a subclass, in its deck"
)
NUMBERS_ONLY = "worlds: how often hidden numbers come is not compared, nor whether the past could have been with them"


def worlds_are_uniform(game: Game, pasts: int = PASTS) -> str | None:
    """Worlds are all the deals in which the past looks to the mover as it did, each as likely as the other.

    Lists every way to fill the places that the mover does not see at some late decision of a game, plays the past again
    with each, and compares what is left with what `determinize` draws; for so many decisions before the end in
    ``pasts`` games.
    """
    hidden = game.hidden(game.deal(1, SEED))
    if not any(lie(game, state).any() for state in positions(game, GAMES)):  # as of dice or discs
        return NUMBERS_ONLY if any(field.holds == "number" for field in hidden.values()) else None
    tested = 0
    for past, first in _pasts(game, pasts):
        now = past[-1][0]
        found = _consistent(game, past)
        if found is None:
            continue
        deals, chances, even = found
        draws = DRAWS if first else min(max(MOST_DRAWN // max(len(deals), 1), FEWEST_DRAWS), DRAWS)
        games = max(draws // TOGETHER * len(deals), 1)
        many = replace(now.repeat(games), index=torch.arange(games))  # other numbers, other worlds
        drawn = game.determinize(many, TOGETHER, SEED)
        parts = deals, lie(game, now), lie(game, drawn)
        rows, which = numbered(torch.cat(parts)).unique(return_inverse=True)
        which = which.split([len(part) for part in parts])
        ways, truth, counts = (part.bincount(minlength=len(rows)) for part in which)
        assert (ways[truth > 0] > 0).all(), "the true deal is not among those in which the past is legal"
        if not (ways > 0).all():
            wrong = drawn[int((ways[which[2]] == 0).nonzero()[0])]
            raise AssertionError(
                f"a world is drawn in which the past would be illegal or look otherwise: {_told_of(game, past, wrong)}"
            )
        if len(rows) > 1 and even:
            weight = torch.zeros(len(rows), dtype=torch.float64).index_add(0, which[0], chances)
            expected = len(drawn) / chances.sum() * weight
            z = _standard_errors(*_pooled(counts, expected))
            if z >= Z_LIMIT:
                row = int(((counts - expected) ** 2 / expected).argmax())
                where = f"{int(counts[row])} of {len(drawn)} worlds, where {float(expected[row]):.0f} are right"
                some = (which[2] == row).nonzero()[:1, 0]
                where += f": {_told_of(game, past, drawn[some])}" if len(some) else f", {_moves(game, past)}"
                raise AssertionError(
                    f"worlds are not uniform: {z:.1f} standard errors over {len(rows)} deals, most of all {where}"
                )
            tested += 1
    return None if tested >= 3 else TOO_FEW


def _pooled(counts: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Counts and what is expected, with deals of which less than `FEWEST_DRAWS` are expected counted as one, as of few
    Pearson's statistic is not what it is taken for. With copies deals differ in how likely they are."""
    few = expected < FEWEST_DRAWS
    pair = (torch.cat([tensor[~few].double(), tensor[few].sum()[None].double()]) for tensor in (counts, expected))
    return tuple(pair) if few.any() else (counts, expected)


def _standard_errors(counts: Tensor, expected: Tensor) -> float:
    """Pearson's statistic as a standard normal one, by the cube root of Wilson and Hilferty, "The distribution of
    chi-square" (1931)."""
    freedom = max(len(counts) - 1, 1)
    spread = 2 / (9 * freedom)
    return ((float(((counts - expected) ** 2 / expected).sum()) / freedom) ** (1 / 3) - 1 + spread) / spread**0.5


Past = list[tuple[State, Tensor]]  # a game's states and actions, one lane each, up to the decision that is looked at


def _pasts(game: Game, each: int) -> Iterator[tuple[Past, bool]]:
    """Some games up to a decision late enough that the deals can be listed: for so many decisions before the end a game
    in which as much has been told of the hands as in most, one in which more has, and then others, ``each`` in all; and
    whether it is one of the first two."""
    states = list(positions(game, 200))
    actions = [random_action(game, state) for state in states]
    length = sum((~game.is_terminal(state)).long() for state in states)  # [200], decisions of each game
    for left in range(1, 9):
        lanes = (length >= left).nonzero()[:, 0].tolist()
        if not lanes:
            return
        at = [(int(length[lane]) - left, lane) for lane in lanes]
        told = _told(game, concatenate([states[when][lane : lane + 1] for when, lane in at]))
        order = sorted(range(len(at)), key=told.__getitem__)  # stable: of equals the first
        others = (number * len(order) // max(each - 2, 1) for number in range(each - 2))
        for place, number in enumerate(dict.fromkeys((len(order) // 2, len(order) * 7 // 8, *others))):
            when, lane = at[order[number]]
            one = slice(lane, lane + 1)
            yield [(states[t][one], actions[t][one]) for t in range(when + 1)], place < PASTS


def _told(game: Game, state: State) -> list[int]:
    """How many cards have been ruled out of hands, by what all know or for the mover of each lane, as far as the game
    says it."""
    if isinstance(game, HandGame) and hasattr(state, "may"):
        return popcount(game.deck & ~state.may).flatten(1).sum(-1).tolist()
    if not hasattr(game, "may_hold"):
        return [0] * state.batch_size
    return popcount(unseen(game, state) & ~game.may_hold(state, game.mover(state))).sum(0).tolist()


def _consistent(game: Game, past: Past) -> tuple[Tensor, Tensor, bool] | None:
    """The cards in each place now, in every deal with which the past would have looked the same to the mover: [N, E]
    int64, equal rows for different beginnings; in how many ways each came about, [N] float64; and whether each way is
    as likely as the other. None where they cannot be listed.

    Cards that came from one hidden place into another may have been any, so the past begins after that if the game says
    what is known then (`may_hold`), and else with the first decision. The cards played since are those they were. What
    others did in secret may have been any of what they might do, and each way is a row. Pasts in which chance came by a
    hidden number are not listed. With copies, who plays one of two cards that look alike might have played either, so
    that such a past tells which deals there may be, but not how likely they are.
    """
    now, seat = past[-1][0], int(game.mover(past[-1][0])[0])
    viewer = game.mover(now)
    dealt = _copies_dealt(game, past) if game.copies else _dealt(game, past)
    if dealt is None:
        return None
    begin, fixed, again, ways = dealt
    even, secret = True, _are_secret(game, [state for state, _ in past[begin:]], now, seat)
    for (state, action), was_secret in zip(past[begin:-1], secret, strict=True):
        alike = looks_alike(game, again, state.repeat(again.batch_size), viewer.expand(again.batch_size))
        alike &= game.mover(again) == game.mover(state)
        again, ways = again[alike], ways[alike]
        may = game.legal_mask(again)
        if int(game.mover(state)[0]) == seat or not was_secret:
            may = may & (torch.arange(game.num_actions) == action)
        lanes, actions = may.nonzero(as_tuple=True)
        again, ways = again[lanes], ways[lanes]
        if len(lanes) > MOST_BEGINNINGS or (not fixed and _draws_by_number(game, state, again, actions)):
            return None
        before, again = again, game.step(again, actions)
        even = even and not several_alike(game, before, again, viewer)
    alike = looks_alike(game, again, now.repeat(again.batch_size), viewer.expand(again.batch_size))
    return lie(game, again[alike]), ways[alike], even


def _told_of(game: Game, past: Past, world: State) -> str:
    """A world [1] drawn for who is to move after a past, and that past, in a line."""
    return f"{_moves(game, past)} {' '.join(game.text(world, 0).split())}"


def _moves(game: Game, past: Past) -> str:
    """For whom worlds are drawn after a past, and its last moves."""
    names = [game.action_name(int(action), state) for state, action in past[:-1]][-TOLD:]
    made = f"after {len(past) - 1} moves" + (f", the last of them {', '.join(names)}," if names else "")
    return f"for seat {int(game.mover(past[-1][0])[0])} {made}"


Dealt = tuple[int, bool, State, Tensor]
"""The number of the decision from which on a past is played again, whether all is known that left its place since and
there is nothing that came, all deals before it, [N], and in how many ways each comes about, [N] float64."""


def _copies_dealt(game: Game, past: Past) -> Dealt | None:
    """In a game with copies, from the first decision on; None where these are too many."""
    found = copies_dealt(game, past[0][0], game.mover(past[-1][0]), MOST_BEGINNINGS)
    return None if found is None else (0, False, *found)


def _dealt(game: Game, past: Past) -> Dealt | None:
    """In any other game; None where these are too many."""
    now = past[-1][0]
    fixed_since = _fixed_since(game, past)
    says = hasattr(game, "may_hold")
    begin = fixed_since if says else 0
    first = past[begin][0]
    hidden, viewer = game.hidden(first), game.mover(now)
    held, seen = places(hidden, first)[0], seen_places(hidden, first, viewer)[0]
    fixed = begin == fixed_since
    played = 0
    if fixed:
        played = held & ~places(game.hidden(now), now)[0]
        seen = seen | seen_places(game.hidden(now), now, viewer)[0]
    known = torch.where(seen, held, played)
    unseen = game.deck & ~int(known.sum() | game.open_cards(first)[0])
    needs = popcount(held & ~known).tolist()
    cards = tuple(card for card in range(unseen.bit_length()) if unseen >> card & 1)
    ways = prod(comb(len(cards) - sum(needs[:place]), need) for place, need in enumerate(needs))
    if ways > (MOST_DEALS if fixed else MOST_BEGINNINGS):
        return None
    filled = _filled(cards, tuple(needs))
    again = with_places(hidden, first.repeat(len(filled)), known | filled)
    again = again[lie_as_said(game, first, again, viewer)] if says else again
    return begin, fixed, again, torch.ones(len(again), dtype=torch.float64)


def _draws_by_number(game: Game, state: State, lanes: State, action: Tensor) -> bool:
    """Whether a step from some lanes [N] leads elsewhere with other hidden numbers, those of worlds of a state [1]."""
    if not lanes.batch_size or not any(field.holds == "number" for field in game.hidden(state).values()):
        return False
    often = -(-NUMBERS // lanes.batch_size)
    lanes, action = lanes.repeat(often), action.repeat_interleave(often)
    world = game.determinize(state, lanes.batch_size, SEED + 1)
    numbers = {name: getattr(world, name) for name, field in game.hidden(world).items() if field.holds == "number"}
    after, other = game.step(lanes, action), game.step(replace(lanes, **numbers), action)
    return not same(after, replace(other, **{name: getattr(after, name) for name in numbers}))


def _fixed_since(game: Game, past: Past) -> int:
    """The first decision since which cards have left their places for the table only, and come into none."""
    since = 0
    for number, ((before, _), (after, _)) in enumerate(itertools.pairwise(past), start=1):
        held, holds = (places(game.hidden(state), state) for state in (before, after))
        if (holds & ~held != 0).any() or (held & ~holds & ~game.open_cards(after)[:, None] != 0).any():
            since = number
    return since


def _are_secret(game: Game, states: list[State], now: State, seat: int) -> list[bool]:
    """For each of a game's states [1] but the last, whether another action would have led where it looks to a seat as
    the next state does, and what it would have changed is not seen now."""
    if len(states) < 2:
        return []
    before, following = concatenate(states[:-1]), concatenate(states[1:])
    lanes, legal = game.legal_mask(before).nonzero(as_tuple=True)
    after = game.step(before[lanes], legal)
    alike = looks_alike(game, after, following[lanes], torch.full_like(lanes, seat))
    after, lanes = after[alike], lanes[alike]
    secret = torch.zeros(before.batch_size, dtype=torch.bool)
    for name, field in game.hidden(now).items():
        old = getattr(following, name)
        told = field.seen_by(torch.tensor([seat])) & (getattr(now, name) == old)
        changed = ((getattr(after, name) != old[lanes]) & ~told[lanes]).reshape(len(lanes), -1).any(-1)
        secret[lanes[changed]] = True
    return secret.tolist()


def _filled(cards: tuple[int, ...], needs: tuple[int, ...]) -> Tensor:
    """Every way to give places so many of the cards each: [N, E] int64 bitboards."""
    chosen = unpack(_by_number(len(cards), needs), torch.int64, max(len(cards), 1))
    return (chosen * (1 << torch.tensor(cards or (0,)))).sum(-1)


@lru_cache(maxsize=64)
def _by_number(count: int, needs: tuple[int, ...]) -> Tensor:
    """Likewise of the cards 0 .. ``count`` - 1."""
    return torch.tensor(list(_fillings(tuple(range(count)), list(needs))))


def _fillings(cards: tuple[int, ...], needs: list[int]) -> Iterator[list[int]]:
    """Every way to give places so many of the cards each, as bitboards."""
    if not needs:
        yield []
        return
    for chosen in itertools.combinations(cards, needs[0]):
        rest = tuple(card for card in cards if card not in chosen)
        for others in _fillings(rest, needs[1:]):
            yield [sum(1 << card for card in chosen), *others]

"""Games played at random, to be looked at: once for all that a check looks at, many positions at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.philox import Purpose, Stream, check_seed
from vecgame.state import State, concatenate

SEED = 11
GAMES = 24  # that are played to look at every decision
AT_ONCE = 1000  # lanes that are looked at together, of many decisions
KEPT = "_positions_kept"  # attribute of a game: whose they are, and the positions of games played once
MOST_KEPT = 200  # of these games


def random_action(game: Game, state: State, seed: int = SEED) -> Tensor:
    """A uniformly random legal action, by the game's own numbers: [B] int64."""
    actions = game.legal_actions(state)
    count = (actions >= 0).sum(-1)
    uniform = Stream(check_seed(seed), state.index, game.turn(state)).uniform(Purpose.ACTION, 1)[:, 0]
    return actions.gather(1, (uniform * count).long()[:, None])[:, 0]


def keeping_positions(game: Game) -> Game:
    """The same game, of which `positions` of up to `MOST_KEPT` games are played once, and kept as long as it lives."""
    other = copy(game)
    vars(other)[KEPT] = (id(other), [])  # a copy of it, such as one that is watched, plays its own
    return other


def positions(game: Game, games: int, seed: int = SEED) -> Iterator[State]:
    """Every state of some games played at random, from the first to that in which all are over."""
    whose, kept = vars(game).get(KEPT, (None, []))
    if whose != id(game) or games > MOST_KEPT or seed != SEED:
        yield from _played(game, games, seed)
        return
    if not kept:
        kept.extend(_played(game, MOST_KEPT, seed))
    for state in kept:
        yield state[:games]
        if all_over(game, state[:games]):
            return


def _played(game: Game, games: int, seed: int) -> Iterator[State]:
    state = game.deal(games, seed)
    yield state
    for _ in range(game.decisions):
        before, kept = state, state.clone()
        state = game.step(before, random_action(game, before))
        assert same(before, kept), "step changes the state that it is given: that must stay as it is"
        yield state
        if all_over(game, state):
            return


def all_over(game: Game, state: State) -> bool:
    over = game.is_terminal(state)  # which has not been looked at yet
    return isinstance(over, Tensor) and over.dtype == torch.bool and bool(over.all())


def some_positions(game: Game, games: int, most: int = 12) -> Iterator[State]:
    """Of all those at most so many, evenly spread from the first on, in each of which some game goes on."""
    states = list(positions(game, games))
    for state in states[:: max(1, -(-(len(states) - 1) // most))]:
        going = ~game.is_terminal(state)
        if going.any():
            yield state[going]


def in_each(look: Callable[..., None], *states: Sequence[State]) -> None:
    """Looks at states of B games each, many of them as one, of about `AT_ONCE` lanes, for they are independent. Where
    that finds something wrong the states are looked at one by one, so that the first of which it is so is named.

    Args:
        look: is called with how many states have been before, and with a state.
        states: in a row; of several such rows with one of each.
    """
    few = max(1, AT_ONCE // len(states[0][0])) if states[0] else 1
    for first in range(0, len(states[0]), few):
        parts = [row[first : first + few] for row in states]
        try:
            look(first, *map(concatenate, parts))
            continue
        except AssertionError as error:
            wrong = error
        for number, one in enumerate(zip(*parts, strict=True)):
            look(first + number, *one)
        raise wrong


def numbered(rows: Tensor) -> Tensor:
    """A number for each row [N, E] int64, the same for equal ones: [N] int64. Two that differ share one with a
    probability of 2**-63 or so; `Tensor.unique` of rows takes several times as long as that of numbers."""
    words = torch.randint(1 << 62, (rows.shape[1],), generator=torch.Generator().manual_seed(SEED)) * 2 + 1
    mixed = rows * words
    return ((mixed ^ mixed >> 29) * words).sum(-1)


def mixed_positions(game: Game, games: int) -> State:
    """Games at decisions of their own, from the first to the end."""
    states = list(positions(game, games))
    return concatenate([states[lane * len(states) // games][lane : lane + 1] for lane in range(games)])


def same(a: State, b: State) -> bool:
    """Whether two states are equal in every field, dtype and bit."""
    pairs = zip(a.tensors().values(), b.tensors().values(), strict=True)
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)

"""How long games get, and how many actions there are at once, when many of them are played.

What a game says of it has to hold, and its author may want to know."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.contract.played import SEED, random_action
from vecgame.game import Game
from vecgame.hands import MOST_DECISIONS, HandGame
from vecgame.state import State

MANY = 1000  # games
NEARLY_ALL = 0.98  # of them


@dataclass(frozen=True)
class Met:
    """What games played at random came to, beside what the game says of itself.

    The more games, the larger; a game's own numbers must be as large as any that can be.
    """

    games: int
    decisions: int  # of the longest game
    max_legal: int  # most actions that were legal at once
    max_forced_run: int  # most decisions in a row with one legal action each
    said: tuple[int, int, int]  # the game's own
    cut_off: float | None  # share of the games that `decisions` ended, not `over`; None where they are not told apart

    def __str__(self) -> str:
        rows = (
            ("decisions of the longest game", self.decisions, "decisions"),
            ("most legal actions", self.max_legal, "max_legal"),
            ("longest run of forced moves", self.max_forced_run, "max_forced_run"),
        )
        lines = [f"{what}: {met} ({name}={said})" for (what, met, name), said in zip(rows, self.said, strict=True)]
        return "\n".join([f"met in {self.games} games played at random", *(f"  {line}" for line in lines)])


def met(game: Game, games: int = MANY, seed: int = 0) -> Met:
    """Plays games at random and says how large they got.

    Args:
        game: anything that plays.
        games: how many, at least 1.
        seed: from 0 on; by another one other games are played.
    """
    longest = legal = forced = 0
    run, cut = None, 0
    for number, (state, mask, going) in enumerate(_played(game, games, SEED + seed)):
        counts = mask.sum(-1)[going]
        run = torch.zeros(games, dtype=torch.int64) if run is None else run
        lanes = state.index[going]
        run[lanes] = torch.where(counts == 1, run[lanes] + 1, 0)
        forced = max(forced, int(run.max()))
        if len(counts):
            longest, legal = number + 1, max(legal, int(counts.max()))
        if _tells_apart(game):
            cut += int((~going & ~game.over(state)).sum())
    said = game.decisions, game.max_legal, game.max_forced_run
    return Met(games, longest, legal, forced, said, cut / games if _tells_apart(game) else None)


def _played(game: Game, games: int, seed: int = SEED) -> Iterator[tuple[State, Tensor, Tensor]]:
    """The states of some games, each game up to its first state that is over, with their masks [B, A] and whether they
    go on [B] bool."""
    state = game.deal(games, seed)
    while len(state):
        mask, going = game.legal_mask(state), ~game.is_terminal(state)
        yield state, mask, going
        state = state[going]
        if len(state):
            state = game.step(state, random_action(game, state, seed))


def _tells_apart(game: Game) -> bool:
    """Whether a game says when it is over beside when all its decisions have been made."""
    kind = type(game)
    own = isinstance(game, HandGame) and kind.is_terminal is HandGame.is_terminal
    return own and kind.over is not HandGame.over


def sizes_hold(game: Game) -> str | None:
    """No position has more legal actions than are listed, no more moves are forced in a row than are said, and games
    end by themselves before all their decisions have been made, where they do so at all: a rule ``decisions`` says that
    it is meant otherwise."""
    found = met(game)
    at_once, in_a_row = f"{found.max_legal} are at once", f"{found.max_forced_run} are in a row"
    assert found.max_legal <= game.max_legal, f"more than max_legal={game.max_legal} actions are legal: {at_once}"
    forced = f"more than max_forced_run={game.max_forced_run} moves are forced: {in_a_row}"
    assert found.max_forced_run <= game.max_forced_run, forced
    if not found.cut_off or hasattr(game.rules, "decisions"):
        return None
    by = f"by decisions={game.decisions}, not by over()"
    if found.cut_off >= NEARLY_ALL and (needed := _needed(game)):
        told = f"with more they end by themselves, after up to {needed}; if it is meant, make it a rule"
        raise AssertionError(f"{found.cut_off:.0%} of games are ended {by}: {told}")
    return f"decisions: {found.cut_off:.1%} of games are ended {by}"


def _needed(game: HandGame) -> int:
    """Decisions of the longest game that could take as many as there can be; 0 where games do not end by themselves
    then either, or cannot go on: their last decision is meant to be the last."""
    longer = copy(game)
    longer.decisions, cut, longest = MOST_DECISIONS, 0, 0
    try:
        for number, (state, mask, going) in enumerate(_played(longer, MANY)):
            if not mask.any(-1).all():
                return 0
            cut, longest = cut + int((~going & ~longer.over(state)).sum()), number
    except Exception:  # of rules that were not meant to be asked by then
        return 0
    return longest if cut < (1 - NEARLY_ALL) * MANY else 0

"""A match as a pure function of its settings and the actions so far.

Nothing here reads input, prints or decides: `Match.act` gives the match after an action, `undo` an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from vecgame import Blob, BlobState
from vecgame.cards import RANKS, SEATS
from vecgame.philox import check_seed
from vecmcts import SearchConfig

PERSON = 0  # the seat of the person, if one plays

# Number of a match's first game. No run learns from these deals and no evaluation uses them, and it is a multiple of
# 4 seats and of 5 trumps, so that the rotation begins with seat 0 as dealer and spades as trump.
FIRST_INDEX = 5 << 48


def schedule(cards: int) -> tuple[int, ...]:
    """Cards in each game of a match: C, C-1, .., 1, then one-card games for every seat, then 2, .., C."""
    return (*range(cards, 0, -1), *[1] * SEATS, *range(2, cards + 1))


@dataclass(frozen=True)
class Settings:
    """What fixes a match but for the person's choices. Raises ValueError on values that cannot work."""

    cards: int = 5  # of the largest hand
    games: int = 0  # only so many of the schedule's games, 0 = all of them
    seed: int = 0
    agent: str = "rules"  # a name in `veclab.table.agents.BOTS`, or the path of a network
    worlds: int = 30  # of an agent that samples them
    simulations: int = 30  # of an agent that searches

    def __post_init__(self) -> None:
        self._check_range("cards", 1, RANKS)
        self._check_range("games", 0, len(schedule(self.cards)))
        check_seed(self.seed)
        SearchConfig(worlds=self.worlds, simulations=self.simulations)
        if not isinstance(self.agent, str):
            raise ValueError(f"agent must be text, got {self.agent!r}")

    def _check_range(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"--{name} must be an integer from {low} to {high}, got {value!r}")

    @property
    def hands(self) -> tuple[int, ...]:
        """Cards in each game of this match."""
        return schedule(self.cards)[: self.games or None]


@dataclass(frozen=True)
class Move:
    """One decision: a bid or a card."""

    seat: int
    action: int


@dataclass(frozen=True)
class Trick:
    """The cards of a trick in the order in which they were played."""

    plays: tuple[Move, ...]
    winner: int | None  # of a complete trick


@dataclass(frozen=True)
class Result:
    """A finished game. Tuples are by seat."""

    cards: int
    trump: int
    bids: tuple[int, ...]
    won: tuple[int, ...]
    points: tuple[float, ...]
    tricks: tuple[Trick, ...]


@dataclass(frozen=True)
class Match:
    """A match after some actions. Two are equal when their settings and actions are: all else follows from these."""

    settings: Settings
    history: tuple[int, ...]  # every action of the match so far
    game: Blob = field(compare=False)  # the rules of the game that is played
    state: BlobState = field(compare=False)  # of that game, a batch of one
    moves: tuple[Move, ...] = field(compare=False)  # of that game
    results: tuple[Result, ...] = field(compare=False)  # of the games before it, and of itself when the match is over

    @property
    def over(self) -> bool:
        return len(self.results) == len(self.settings.hands)

    @property
    def mover(self) -> int:
        return int(self.game.mover(self.state))

    @cached_property
    def legal(self) -> tuple[int, ...]:
        """The mover's legal actions in ascending order; none when the match is over."""
        return () if self.over else tuple(a for a in self.game.legal_actions(self.state)[0].tolist() if a >= 0)

    @property
    def tricks(self) -> tuple[Trick, ...]:
        """The tricks of the current game, the unfinished one included."""
        plays = self.moves[SEATS:]
        chunks = [plays[start : start + SEATS] for start in range(0, len(plays), SEATS)]
        # Who takes a trick leads the next one.
        leaders = [chunk[0].seat for chunk in chunks[1:]] + [int(self.state.leader)]
        return tuple(Trick(c, w if len(c) == SEATS else None) for c, w in zip(chunks, leaders, strict=bool(chunks)))

    @property
    def totals(self) -> tuple[float, ...]:
        """Points of each seat in the finished games."""
        return tuple(sum(result.points[seat] for result in self.results) for seat in range(SEATS))

    def act(self, action: int) -> Match:
        """The match after the mover's ``action``; after the last one of a game the next game is dealt.

        Raises:
            ValueError: when the match is over or the action is not legal.
        """
        if action not in self.legal:
            raise ValueError("the match is over" if self.over else f"action {action!r} is not one of {self.legal}")
        move = Move(self.mover, action)
        state = self.game.step(self.state, torch.tensor([action]))
        after = replace(self, history=(*self.history, action), state=state, moves=(*self.moves, move))
        return after._finish_game() if self.game.is_terminal(state) else after

    def _finish_game(self) -> Match:
        state = self.state
        result = Result(
            cards=self.game.cards,
            trump=int(state.trump),
            bids=tuple(state.bids[0].tolist()),
            won=tuple(state.won[0].tolist()),
            points=tuple(self.game.scores(state)[0].tolist()),
            tricks=self.tricks,
        )
        over = replace(self, results=(*self.results, result))
        if over.over:
            return over
        game, state = _deal(self.settings, len(over.results))
        return replace(over, game=game, state=state, moves=())


def _deal(settings: Settings, number: int) -> tuple[Blob, BlobState]:
    """Game ``number`` of the match, dealer and trump rotating."""
    game = Blob(cards=settings.hands[number], trump="rotate", dealer="rotate")
    return game, game.deal(1, settings.seed, first_index=FIRST_INDEX + number)


def begin(settings: Settings) -> Match:
    """A match before its first action."""
    game, state = _deal(settings, 0)
    return Match(settings, (), game, state, (), ())


def walk(settings: Settings, history: Sequence[int]) -> Iterator[Match]:
    """The match before the first action and after each one.

    Raises:
        ValueError: as `Match.act`.
    """
    match = begin(settings)
    yield match
    for action in history:
        match = match.act(action)
        yield match


def undo(match: Match, seat: int) -> Match | None:
    """The match as it was at the last decision of ``seat`` that was a choice, or None when there has been none."""
    *past, _ = walk(match.settings, match.history)
    return next((m for m in reversed(past) if m.mover == seat and len(m.legal) > 1), None)

"""Matches on duplicate deals, with intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.bots import Player
from vecgame import Game
from vecgame.cards import SEATS

FIRST_INDEX = 1 << 48  # of a match's deals: no run deals these to learn from


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% confidence interval, mean - half .. mean + half."""

    mean: float
    half: float

    @classmethod
    def of(cls, samples: Tensor) -> Interval:
        """Of independent samples [N], by the normal approximation; one sample has an infinite interval."""
        if len(samples) < 2:
            return cls(float(samples.mean()), math.inf)
        return cls(float(samples.mean()), 1.96 * float(samples.std()) / math.sqrt(len(samples)))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.half:.2f}"


@dataclass(frozen=True)
class MatchResult:
    """One player against three of another; in a game of partners, two against two."""

    player: Interval  # points a game of the player
    opponents: Interval  # points a game of one opponent
    lead: Interval  # their difference in the same games
    games: int

    @property
    def significant(self) -> bool:
        """The player is ahead and the interval of its lead excludes zero."""
        return self.lead.mean - self.lead.half > 0

    def to_dict(self) -> dict[str, object]:
        """Plain numbers for a JSON file."""
        return dataclasses.asdict(self)


def play_match(
    games: Sequence[Game],
    player: Player,
    opponent: Player,
    deals: int,
    seed: int,
    device: str | torch.device = "cpu",
    report: Callable[[float], None] | None = None,
) -> MatchResult:
    """Plays every deal four times, with the player at each seat in turn and three opponents at the others; in a game of
    partners twice, with the player at both seats of each side in turn.

    What the deal gives a seat thus counts for both sides alike. The games of a deal are not independent; the intervals
    are over deals.

    Args:
        games: rules to mix; the deals are shared out among them.
        seed: of the deals and of everything random that the players do.
        report: called with the share of the match that is over.
    """
    own, others = [], []
    for number, game in enumerate(games):
        count = deals // len(games) + (number < deals % len(games))
        if count == 0:
            continue
        begun, share = number / len(games), 1 / len(games)
        inner = None if report is None else lambda done, begun=begun, share=share: report(begun + share * done)
        points = _play_deals(game, player, opponent, count, seed, device, inner)
        own.append(points[0])
        others.append(points[1])
    mine, theirs = torch.cat(own), torch.cat(others)
    return MatchResult(
        Interval.of(mine), Interval.of(theirs), Interval.of(mine - theirs), len(mine) * seatings_of(games[0])
    )


def seatings_of(game: Game) -> int:
    """How often a match plays each deal."""
    return 2 if game.partners else SEATS


def opponents_of(game: Game) -> int:
    """How many seats the opponent has in a match."""
    return 2 if game.partners else SEATS - 1


def _play_deals(
    game: Game,
    player: Player,
    opponent: Player,
    deals: int,
    seed: int,
    device: str | torch.device,
    report: Callable[[float], None] | None,
) -> tuple[Tensor, Tensor]:
    """Mean points of the player, and of one opponent, over the games of each deal: two [deals] float64."""
    seatings = seatings_of(game)
    state = game.deal(deals, seed, device, FIRST_INDEX).repeat(seatings)
    own_seat = torch.arange(seatings, device=state.device).repeat(deals)
    own = torch.arange(SEATS, device=state.device) == own_seat[:, None]  # [games, 4] the player's seats
    if game.partners:
        own = own | own.roll(2, dims=-1)
    for decision in range(game.decisions):
        mine = own.gather(1, game.mover(state)[:, None])[:, 0]
        action = torch.zeros(state.batch_size, dtype=torch.int64, device=state.device)
        for lanes, who in ((mine.nonzero()[:, 0], player), ((~mine).nonzero()[:, 0], opponent)):
            if len(lanes):
                action[lanes] = who.act(game, state.take(lanes), seed)
        state = game.step(state, action)
        if report is not None:
            report((decision + 1) / game.decisions)
    scores = game.scores(state).double()
    points = [(scores * side).sum(-1) / side.sum(-1) for side in (own, ~own)]
    return tuple(side.view(deals, seatings).mean(-1) for side in points)

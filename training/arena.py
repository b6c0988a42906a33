"""Matches on duplicate deals, with intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.bots import Player
from vecgame import Blob
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
    """One player against three of another."""

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
    games: Sequence[Blob],
    player: Player,
    opponent: Player,
    deals: int,
    seed: int,
    device: str | torch.device = "cpu",
    report: Callable[[float], None] | None = None,
) -> MatchResult:
    """Plays every deal four times, with the player at each seat in turn and three opponents at the others.

    What the deal gives a seat thus counts for both sides alike. The four games of a deal are not independent; the
    intervals are over deals.

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
    return MatchResult(Interval.of(mine), Interval.of(theirs), Interval.of(mine - theirs), len(mine) * SEATS)


def _play_deals(
    game: Blob,
    player: Player,
    opponent: Player,
    deals: int,
    seed: int,
    device: str | torch.device,
    report: Callable[[float], None] | None,
) -> tuple[Tensor, Tensor]:
    """Mean points of the player, and of one opponent, over the four games of each deal: two [deals] float64."""
    state = game.deal(deals, seed, device, FIRST_INDEX).repeat(SEATS)
    own_seat = torch.arange(SEATS, device=state.device).repeat(deals)
    for decision in range(game.decisions):
        mine = game.mover(state) == own_seat
        action = torch.zeros(state.batch_size, dtype=torch.int64, device=state.device)
        for lanes, who in ((mine.nonzero()[:, 0], player), ((~mine).nonzero()[:, 0], opponent)):
            if len(lanes):
                action[lanes] = who.act(game, state.take(lanes), seed)
        state = game.step(state, action)
        if report is not None:
            report((decision + 1) / game.decisions)
    scores = game.scores(state).double()
    own = scores.gather(1, own_seat[:, None])[:, 0]
    others = (scores.sum(-1) - own) / (SEATS - 1)
    return own.view(deals, SEATS).mean(-1), others.view(deals, SEATS).mean(-1)

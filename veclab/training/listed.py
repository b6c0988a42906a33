"""Deals of a small deck in turn: each comes up once before any comes up again.

What an action is worth differs from world to world far more than by what is drawn later on, once a policy is sure of
itself (docs/learning.md); and where deals are few, those that are drawn at random leave many out and repeat others. So
they are listed, and dealt without replacement: means over a stratified sample are the same, and have less spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from vecgame import Game, Purpose, State, Stream
from vecgame.philox import check_seed
from veclab.exact.deals import can_list, every_deal

MOST = 1 << 15  # deals that are listed


@dataclass(frozen=True)
class Listed:
    """All deals of a game, in an order of their own each time round."""

    every: State  # D games, each deal as likely as the others

    def deal(self, count: int, seed: int, first_index: int, together: int = 1) -> State:
        """Games ``first_index`` onwards, ``together`` that follow one another of the same deal: ``count`` lanes. Which
        deal a game has depends on the seed and its number only."""
        deals, device = self.every.batch_size, self.every.device
        index = torch.arange(first_index, first_index + count, device=device)
        turn = index // together
        first, last = (number // together // deals for number in (first_index, first_index + count - 1))
        rounds = torch.arange(first, last + 1, device=device)
        order = Stream(check_seed(seed), rounds, torch.zeros_like(rounds)).keys(Purpose.LISTED, deals).argsort(-1)
        return replace(self.every.take(order[turn // deals - first, turn % deals]), index=index)


@lru_cache(maxsize=16)
def listed(game: Game, device: torch.device) -> Listed | None:
    """The deals of a game; None where there are more than `MOST`, where they cannot be listed, and of matches, whose
    later deals are drawn as they come."""
    if not can_list(game, MOST):
        return None
    try:
        return Listed(every_deal(game, device, MOST))
    except Exception:  # whatever a game of one's own makes of such streams: it is dealt as it deals itself
        return None

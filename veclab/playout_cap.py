"""Playout cap randomisation: few decisions searched in full and learned from, the others made fast.

Source: Wu, "Accelerating self-play learning in Go" (2019, arXiv:1902.10565), section 3.1. Value targets want many games
and policy targets want deep searches. So a game's decisions are searched in full at random, with exploration, and only
these become examples; the others get a small search that plays as well as it can, which brings the game to its end.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vecgame import Game, Purpose, State, Stream
from vecmcts import SearchConfig


@dataclass(frozen=True)
class PlayoutCap:
    """Which decisions are searched in full, and how the others are searched."""

    full_share: float  # probability with which a decision is searched in full
    fast: SearchConfig  # of the others: fewer simulations, nothing random at the root

    def in_full(self, game: Game, state: State, seed: int) -> Tensor:
        """Whether each decision is searched in full, drawn by its game's number and its turn: [B] bool."""
        stream = Stream(seed, state.index, game.turn(state))
        return stream.uniform(Purpose.PLAYOUT_CAP, 1)[:, 0] < self.full_share

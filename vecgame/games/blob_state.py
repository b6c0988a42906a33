"""The state of games of Blob."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vecgame.state import State


@dataclass(frozen=True)
class BlobState(State):
    """B games of Blob for P players. Sets of cards are int64 bitboards (`vecgame.cards`), small numbers int8."""

    hands: Tensor  # [B, P] int64, the cards that each absolute seat still holds
    seen: Tensor  # [B] int64, the cards played so far, those of the current trick included, and the one turned up
    trick: Tensor  # [B, P] int8, the card each seat has played to the current trick, -1 = none yet
    bids: Tensor  # [B, P] int8, -1 = not yet made
    won: Tensor  # [B, P] int8, tricks won
    voids: Tensor  # [B, P] int8, bit s: the seat has shown that it holds no card of suit s
    trump: Tensor  # [B] int8, suit 0..3, 4 = none
    dealer: Tensor  # [B] int8
    leader: Tensor  # [B] int8, who leads the current trick; during the bidding the seat after the dealer
    made: Tensor  # [B] int8, decisions made, 0 .. P + P * cards

"""The state of games of Blob."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.cards import RANKS, SUITS
from vecgame.own_rules import TrickState


@dataclass(frozen=True)
class BlobState(TrickState):
    """B games of Blob for P players. `leader` is the seat after the dealer during the bidding, `seen` has the card
    turned up, and `lacks` are whole suits."""

    bids: Tensor  # [B, P] int8, -1 = not yet made
    trump: Tensor  # [B] int8, suit 0..3, 4 = none
    dealer: Tensor  # [B] int8

    @property
    def voids(self) -> Tensor:
        """[B, P] int8, bit s: the seat has shown that it holds no card of suit s."""
        suit = torch.arange(SUITS, device=self.device)
        return ((self.lacks[..., None] >> RANKS * suit & 1) << suit).sum(-1).to(torch.int8)

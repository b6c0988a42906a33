"""The suits and strengths of a trick game's cards as tables, to look up for many tricks at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from vecgame.cards import Layout

MOST_STRENGTH = torch.iinfo(torch.int8).max


class HasStrengths(Protocol):
    """A trick game, as far as its cards go; see `vecgame.own_rules.OwnRules`."""

    layout: Layout
    led_suits: int

    def suits_of_cards(self) -> Tensor: ...

    def strengths(self) -> Tensor: ...


@dataclass(frozen=True)
class Tables:
    """`OwnRules.suits_of_cards` and `OwnRules.strengths` to look up, with a column before the cards for none (-1)."""

    suits: Tensor  # [T * (size + 1)] int8, -1 for no card
    members: Tensor  # [T * (led_suits + 1)] int64, the cards of each suit, and before them all cards for none
    strengths: Tensor  # [T * led_suits * (size + 1)] int8, -1 for no card


@cache
def tables(game: HasStrengths, device: torch.device) -> Tables:
    """The tables of a game on a device. Raises ValueError on strengths that they cannot hold."""
    suits, strengths, cards = game.suits_of_cards(), game.strengths(), torch.arange(game.layout.size)
    if ((strengths < 0) | (strengths > MOST_STRENGTH)).any():
        name, low, high = type(game).__name__, int(strengths.min()), int(strengths.max())
        raise ValueError(f"{name} has strengths from {low} to {high}; they must be from 0 to {MOST_STRENGTH}")
    members = torch.where(suits[:, None] == torch.arange(game.led_suits)[:, None], 1 << cards, 0).sum(-1)
    no_card = -torch.ones_like(strengths[..., :1])
    return Tables(
        torch.cat([no_card[:, 0].to(suits.dtype), suits], -1).flatten().to(device, torch.int8),
        torch.cat([torch.full_like(members[:, :1], -1), members], -1).flatten().to(device),
        torch.cat([no_card, strengths], -1).flatten().to(device, torch.int8),
    )


@cache
def stronger(game: HasStrengths, device: torch.device) -> Tensor:
    """The cards stronger than each card, in the places of `Tables.strengths`; all cards for none:
    [T * led_suits * (size + 1)] int64."""
    size = game.layout.size
    strengths = tables(game, device).strengths.view(-1, size + 1)
    above = strengths[:, None, 1:] > strengths[:, :, None]
    return torch.where(above, 1 << torch.arange(size, device=device), 0).sum(-1).flatten()

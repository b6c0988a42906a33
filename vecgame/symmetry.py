"""Suits that only their names tell apart: a position is worth the same, and to be played the same, under other names.

Observations and policies are turned so that trump comes first, which leaves the three other suits, or all four without
trump, in an order that means nothing. An example may be learned from in any of these orders (as AlphaGo Zero did with
the symmetries of the board, Silver et al. 2017).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vecgame.cards import STANDARD, Layout, pack, unpack
from vecgame.philox import Purpose, Stream


def orders(suits: int) -> tuple[tuple[int, ...], ...]:
    """Every order of the suits, the suit at each place; those that leave suit 0 first come first."""
    return tuple(itertools.permutations(range(suits)))


@dataclass(frozen=True)
class SuitSymmetry:
    """Which columns of a game's observations and policies follow their suit."""

    boards: tuple[int, ...]  # first of the observation columns that are cards, as many as the layout has
    suits: tuple[int, ...]  # first of the observation columns that are suits, as many as the layout has
    trump: int  # observation column that is 1 where the first suit is trump, and so stays first
    bidding: int | None = None  # observation column that is 1 where the policy's columns are bids, if they ever are
    layout: Layout = STANDARD

    def orders(self, stream: Stream, observation: Tensor) -> Orders:
        """One order a row, drawn uniformly from those that mean the same by one random number.

        Args:
            stream: E lanes.
            observation: [E, F].
        """
        suits = self.layout.suits
        count = torch.where(observation[:, self.trump] > 0, math.factorial(suits - 1), math.factorial(suits))
        number = (stream.uniform(Purpose.SUITS, 1)[:, 0] * count).long()
        policy = number if self.bidding is None else torch.where(observation[:, self.bidding] > 0, 0, number)
        return Orders(self, number, policy)


@dataclass(frozen=True)
class Orders:
    """An order of the suits for each of E positions."""

    symmetry: SuitSymmetry
    observation: Tensor  # [E] int64, number in `orders`
    policy: Tensor  # [E] int64, likewise for the policy, whose columns may be bids

    def observations(self, rows: Tensor) -> Tensor:
        """Observations [E, F] in these orders."""
        return rows.gather(1, _observation_sources(self.symmetry, rows.shape[1], rows.device)[self.observation])

    def policies(self, rows: Tensor) -> Tensor:
        """Policies, masks or logits [E, A] in these orders."""
        return rows.gather(1, _policy_sources(self.symmetry.layout, rows.shape[1], rows.device)[self.policy])

    def cards(self, sets: Tensor) -> Tensor:
        """Sets of cards [E, K] int64, turned as an observation is, in these orders: [E, K] int64."""
        size = self.symmetry.layout.size
        sources = _policy_sources(self.symmetry.layout, size, sets.device)[self.observation]
        return pack(unpack(sets, size=size).gather(-1, sources[:, None].expand(*sets.shape, size)))

    def columns(self, columns: Tensor, actions: int) -> Tensor:
        """Where policy columns [E, K] int64 of ``actions`` come to lie: [E, K] int64."""
        return _policy_places(self.symmetry.layout, actions, columns.device)[self.policy].gather(1, columns)


def _cards(layout: Layout) -> Tensor:
    """The card that each card's place is taken from, in every order: [O, size] int64; extra cards stay."""
    suited = layout.ranks * torch.tensor(orders(layout.suits))[:, :, None] + torch.arange(layout.ranks)
    extra = torch.arange(layout.size - layout.extra, layout.size).expand(len(suited), -1)
    return torch.cat([suited.flatten(1), extra], -1)


@cache
def _observation_sources(symmetry: SuitSymmetry, features: int, device: torch.device) -> Tensor:
    """The observation column that each column is taken from, in every order: [O, features] int64."""
    layout = symmetry.layout
    every = torch.tensor(orders(layout.suits))
    table = torch.arange(features).repeat(len(every), 1)
    for start in symmetry.boards:
        table[:, start : start + layout.size] = start + _cards(layout)
    for start in symmetry.suits:
        table[:, start : start + layout.suits] = start + every
    return table.to(device)


@cache
def _policy_sources(layout: Layout, actions: int, device: torch.device) -> Tensor:
    """The policy column that each column is taken from: [O, actions] int64; columns after the cards stay."""
    cards = _cards(layout)
    after = torch.arange(layout.size, actions).expand(len(cards), -1)
    return torch.cat([cards, after], dim=1).to(device)


@cache
def _policy_places(layout: Layout, actions: int, device: torch.device) -> Tensor:
    """The inverse of `_policy_sources`: where each policy column goes to, [O, actions] int64."""
    return _policy_sources(layout, actions, device).argsort(-1)

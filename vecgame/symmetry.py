"""Suits that only their names tell apart: a position is worth the same, and to be played the same, under other names.

Observations and policies are turned so that trump comes first, which leaves the three other suits, or all four without
trump, in an order that means nothing. An example may be learned from in any of these orders (as AlphaGo Zero did with
the symmetries of the board, Silver et al. 2017).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vecgame.cards import DECK, RANKS, SUITS, pack, unpack
from vecgame.philox import Purpose, Stream

ORDERS = tuple(itertools.permutations(range(SUITS)))  # suit at each place; the first six leave suit 0 first
WITH_FIRST_FIXED = sum(order[0] == 0 for order in ORDERS)


@dataclass(frozen=True)
class SuitSymmetry:
    """Which columns of a game's observations and policies follow their suit."""

    boards: tuple[int, ...]  # first of 52 observation columns that are cards, 13 a suit
    suits: tuple[int, ...]  # first of 4 observation columns that are suits
    trump: int  # observation column that is 1 where the first suit is trump, and so stays first
    bidding: int | None = None  # observation column that is 1 where the policy's columns are bids, if they ever are

    def orders(self, stream: Stream, observation: Tensor) -> Orders:
        """One order a row, drawn uniformly from those that mean the same by one random number.

        Args:
            stream: E lanes.
            observation: [E, F].
        """
        count = torch.where(observation[:, self.trump] > 0, WITH_FIRST_FIXED, len(ORDERS))
        number = (stream.uniform(Purpose.SUITS, 1)[:, 0] * count).long()
        policy = number if self.bidding is None else torch.where(observation[:, self.bidding] > 0, 0, number)
        return Orders(self, number, policy)


@dataclass(frozen=True)
class Orders:
    """An order of the suits for each of E positions."""

    symmetry: SuitSymmetry
    observation: Tensor  # [E] int64, number in `ORDERS`
    policy: Tensor  # [E] int64, likewise for the policy, whose columns may be bids

    def observations(self, rows: Tensor) -> Tensor:
        """Observations [E, F] in these orders."""
        return rows.gather(1, _observation_sources(self.symmetry, rows.shape[1], rows.device)[self.observation])

    def policies(self, rows: Tensor) -> Tensor:
        """Policies, masks or logits [E, A] in these orders."""
        return rows.gather(1, _policy_sources(rows.shape[1], rows.device)[self.policy])

    def cards(self, sets: Tensor) -> Tensor:
        """Sets of cards [E, K] int64, turned as an observation is, in these orders: [E, K] int64."""
        sources = _card_sources(sets.device)[self.observation]
        return pack(unpack(sets).gather(-1, sources[:, None].expand(*sets.shape, DECK)))

    def columns(self, columns: Tensor, actions: int) -> Tensor:
        """Where policy columns [E, K] int64 of ``actions`` come to lie: [E, K] int64."""
        return _policy_places(actions, columns.device)[self.policy].gather(1, columns)


def _cards() -> Tensor:
    """The card that each card's place is taken from, in every order: [24, 52] int64."""
    return (RANKS * torch.tensor(ORDERS)[:, :, None] + torch.arange(RANKS)).flatten(1)


@cache
def _card_sources(device: torch.device) -> Tensor:
    """`_cards` on a device."""
    return _cards().to(device)


@cache
def _observation_sources(symmetry: SuitSymmetry, features: int, device: torch.device) -> Tensor:
    """The observation column that each column is taken from, in every order: [24, features] int64."""
    table = torch.arange(features).repeat(len(ORDERS), 1)
    for start in symmetry.boards:
        table[:, start : start + DECK] = start + _cards()
    for start in symmetry.suits:
        table[:, start : start + SUITS] = start + torch.tensor(ORDERS)
    return table.to(device)


@cache
def _policy_sources(actions: int, device: torch.device) -> Tensor:
    """The policy column that each column is taken from: [24, actions] int64; columns after the cards stay."""
    after = torch.arange(DECK, actions).repeat(len(ORDERS), 1)
    return torch.cat([_cards(), after], dim=1).to(device)


@cache
def _policy_places(actions: int, device: torch.device) -> Tensor:
    """The inverse of `_policy_sources`: where each policy column goes to, [24, actions] int64."""
    return _policy_sources(actions, device).argsort(-1)

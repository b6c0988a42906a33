"""What Blob and Wizard share: every seat bids how many tricks it will win, and the points depend on whether it does."""

from dataclasses import replace

import torch
from torch import Tensor

from vecgame.cards import bit
from vecgame.lanes import entries, none, with_entries
from vecgame.own_rules import TrickState
from vecgame.tricks import TrickGame


class ExactBids(TrickGame):
    """A trick game whose states have `bids` [B, P] int8, -1 = not yet made, and `trump` [B] int8; whose rules have
    `hook`: the last to bid may not make the bids sum to the tricks."""

    last_bid: int  # decision at which it is made

    def from_hands(self, hands: Tensor, index: Tensor | None = None, **given: Tensor | int) -> TrickState:
        """As of any `TrickGame`.

        Raises:
            ValueError: also if the card ``turned`` up is in a hand, or none of the deck.
        """
        state = super().from_hands(hands, index, **given)
        if (state.seen & (state.hands.sum(-1) | ~self.deck) != 0).any():
            raise ValueError("turned must be a card of the deck that is not dealt")
        return state

    def start(self, hands: Tensor, index: Tensor, leader: Tensor, **own: Tensor) -> TrickState:
        bids = torch.full(hands.shape[:2], -1, dtype=torch.int8, device=hands.device)
        return super().start(hands, index, leader, bids=bids, **own)

    def cards_of(self, state: TrickState) -> int | Tensor:
        """Cards dealt to each seat: one number for all lanes, or [B] int64."""
        return self.cards

    def first_suit(self, state: TrickState) -> Tensor:
        return torch.where(state.trump == self.layout.suits, 0, state.trump)

    def legal_bids(self, state: TrickState) -> Tensor:
        return ((1 << (self.cards_of(state) + 1)) - 1) & ~self.hook_bits(state)

    def hook_bits(self, state: TrickState) -> Tensor:
        """The bid that the hook forbids the last to bid, as a bitboard: [B] int64, 0 where none is forbidden."""
        bound = self.hooked(state)
        if not self.rules.hook or none(bound):
            return torch.zeros_like(state.seen)
        left = self.cards_of(state) - state.bids.clamp(min=0).sum(-1)  # the last bid itself is still -1
        return torch.where(bound & (left >= 0), bit(left.clamp(min=0)), 0)

    def hooked(self, state: TrickState) -> Tensor:
        """[B] bool, the hook binds the next bid, under rules that have it."""
        return state.made == self.last_bid

    def bid(self, state: TrickState, place: Tensor, bid: Tensor, bidding: Tensor) -> TrickState:
        made = torch.where(bidding, bid, entries(state.bids, place))
        return replace(state, bids=with_entries(state.bids, place, made))

    def bids_met(self, state: TrickState) -> Tensor:
        return state.bids == state.won

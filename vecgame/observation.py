"""The 256 features of what one seat knows.

Seats are relative to the viewer (0 = the viewer, 1 = the next to play, ..); suits are turned so that trump comes first
(the deck's order without trump), which makes positions that differ only in the names of suits look alike. "Cards" below
are 52 columns, 13 a suit from two to ace, trump suit first; fractions are of the cards dealt to a seat.

| columns | feature |
|---|---|
| 0-51    | cards in the viewer's hand |
| 52-103  | cards that the viewer has not seen: in the other hands or undealt |
| 104-155 | cards of the current trick |
| 156-207 | the card that is winning the current trick |
| 208-211 | suit led to the current trick |
| 212     | there is a trump suit |
| 213-216 | bid of each seat as a fraction, 0 before it is made |
| 217-220 | each seat has bid |
| 221-224 | tricks won by each seat, as a fraction |
| 225-228 | tricks that each seat still needs for its bid (below 0: too many), as a fraction, 0 before it has bid |
| 229-232 | who leads the current trick; during the bidding, who bids first |
| 233-236 | who is winning the current trick |
| 237-248 | suits that seats 1, 2, 3 have shown they do not hold: 3 seats x 4 suits |
| 249     | cards left in the viewer's hand, of 13 |
| 250     | cards dealt to a seat, of 13: constant at one card count, tells the counts of a mixed run apart |
| 251     | sum of the bids so far, as a fraction |
| 252     | the bidding is going on |
| 253     | the hook forbids the viewer a bid now |
| 254     | the bid that it forbids, as a fraction |
| 255     | tricks left less those that all seats still need, as a fraction (below 0: fought over); 0 while bidding |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vecgame.cards import DECK, NO_TRUMP, RANKS, SEATS, SUITS, bit, popcount, rotate_suits, suit_of, unpack

if TYPE_CHECKING:
    from vecgame.blob import Blob, BlobState

FEATURES = 256


def first_suit(state: BlobState) -> Tensor:
    """The suit that comes first in features and policy: [B] int8, trump, or spades when there is none."""
    return torch.where(state.trump == NO_TRUMP, 0, state.trump)


def observe(game: Blob, state: BlobState, viewer: Tensor) -> Tensor:
    """The table above for seat ``viewer`` [B] int64 of every lane: [B, 256] float32."""
    first = first_suit(state)
    relative = (viewer[:, None] + torch.arange(SEATS, device=state.device)) & (SEATS - 1)  # [B, 4] absolute seats
    scale = 1.0 / game.cards

    hand = state.hands.gather(1, viewer[:, None])[:, 0]
    best, led = _current_trick(state)
    trick = torch.where(state.trick >= 0, bit(state.trick.clamp(min=0)), 0).sum(-1)
    unseen = game.deck & ~(hand | state.seen)
    best_card = state.trick.gather(1, best[:, None])[:, 0]
    winning = torch.where(led >= 0, bit(best_card.clamp(min=0)), 0)
    boards = rotate_suits(torch.stack([hand, unseen, trick, winning], dim=-1), first[:, None])

    bids = state.bids.gather(1, relative)
    has_bid = bids >= 0
    bids = bids.clamp(min=0).float()
    won = state.won.gather(1, relative).float()
    needs = torch.where(has_bid, bids - won, 0.0)
    bidding = state.made < SEATS
    tricks_left = game.cards - won.sum(-1)
    hook = game._hook_bits(state) * (viewer == game.mover(state))
    hooked = hook != 0
    forbidden = torch.where(hooked, game.cards - bids.sum(-1), 0.0)

    def column(values: Tensor) -> Tensor:
        return values.float()[:, None]

    return torch.cat(
        [
            unpack(boards, torch.float32).flatten(1),
            _one_hot(torch.where(led >= 0, (led - first) & (SUITS - 1), -1)),
            column(state.trump != NO_TRUMP),
            bids * scale,
            has_bid.float(),
            won * scale,
            needs * scale,
            _one_hot((state.leader - viewer) & (SEATS - 1)),
            _one_hot(torch.where(led >= 0, (best - viewer) & (SEATS - 1), -1)),
            _voids(state, relative[:, 1:], first),
            column(popcount(hand)) / RANKS,
            torch.full_like(column(bidding), game.cards / RANKS),
            column(bids.sum(-1)) * scale,
            column(bidding),
            column(hooked),
            column(forbidden) * scale,
            column(torch.where(bidding, 0.0, tricks_left - needs.clamp(min=0).sum(-1))) * scale,
        ],
        dim=-1,
    )


def _one_hot(index: Tensor) -> Tensor:
    """[B] integers 0..3, or -1 for none -> [B, 4] float32."""
    return (index[:, None] == torch.arange(SEATS, device=index.device)).float()


def _current_trick(state: BlobState) -> tuple[Tensor, Tensor]:
    """Seat that is winning the current trick, [B] int64, and suit led, [B] int8, -1 (and any seat) when none is out."""
    led_card = state.trick.gather(1, state.leader.long()[:, None])[:, 0]
    led = torch.where(led_card >= 0, suit_of(led_card), -1)
    suit = suit_of(state.trick)
    power = torch.where(suit == state.trump[:, None], DECK, torch.where(suit == led[:, None], RANKS, 0))
    rank = state.trick - RANKS * suit
    strength = torch.where(state.trick >= 0, rank + power, -1)
    return strength.argmax(-1), led


def _voids(state: BlobState, seats: Tensor, first: Tensor) -> Tensor:
    """Voids shown by ``seats`` [B, 3]: [B, 12] float32, suits turned so that ``first`` [B] comes first."""
    suits = (first[:, None] + torch.arange(SUITS, device=state.device)) & (SUITS - 1)
    shown = state.voids.gather(1, seats)[:, :, None] >> suits[:, None, :].to(torch.int8)
    return (shown & 1).flatten(1).float()

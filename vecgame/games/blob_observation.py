"""The features of what one seat knows: 216 + 10 P of them with P players, 256 with four.

Seats are relative to the viewer (0 = the viewer, 1 = the next to play, ..); suits are turned so that trump comes first
(the deck's order without trump), which makes positions that differ only in the names of suits look alike. "Cards" below
are 52 columns, 13 a suit from two to ace, trump suit first; fractions are of the cards dealt to a seat. Columns are
those of four players; with more or fewer the rows come in the same order, and those that name seats have P columns for
4, P - 1 seats for 3.

| columns | feature |
|---|---|
| 0-51    | cards in the viewer's hand |
| 52-103  | cards that the viewer has not seen: in the other hands or undealt, and not turned up for trump |
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
| 256-411 | only with `Rules.sight` "forehead": the hands of seats 1, 2, 3 where all have seen them: 3 x cards |

While a seat does not see its own cards (`Blob.veiled`), it has none in its hand here; bids made at once are told once
all are made.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from vecgame.cards import (
    DECK,
    NO_TRUMP,
    RANKS,
    SUITS,
    bit,
    popcount,
    rotate_suits,
    unpack,
)
from vecgame.games.blob_rules import FOREHEAD, ONCE, Rules
from vecgame.games.blob_state import BlobState
from vecgame.lanes import around, entries, place_of
from vecgame.symmetry import SuitSymmetry


class Seen(Protocol):
    """What a game of Blob says about itself that is seen."""

    rules: Rules
    seats: int
    deck: int  # bitboard

    def cards_of(self, state: BlobState) -> int | Tensor: ...

    def mover(self, state: BlobState) -> Tensor: ...

    def hook_bits(self, state: BlobState) -> Tensor: ...

    def veiled(self, state: BlobState) -> Tensor | None: ...

    def unsighted(self, state: BlobState) -> Tensor | None: ...

    def suit_led(self, state: BlobState, trick: Tensor) -> Tensor: ...

    def winner(self, state: BlobState, trick: Tensor, led: Tensor) -> Tensor: ...


def features(seats: int, shown: bool = False) -> int:
    """Columns of an observation with this many players, whose cards the others may be shown."""
    return SUITS * DECK + 8 + 10 * seats + shown * (seats - 1) * DECK


@cache
def symmetry(seats: int, shown: bool = False) -> SuitSymmetry:
    """Which of the columns follow their suit; arguments as for `features`."""
    led = SUITS * DECK
    voids = led + SUITS + 1 + 6 * seats
    after = voids + SUITS * (seats - 1)
    last = range(features(seats), features(seats, shown), DECK)
    boards, suits = (*range(0, led, DECK), *last), (led, *range(voids, after, SUITS))
    return SuitSymmetry(boards=boards, suits=suits, trump=led + SUITS, bidding=after + 3)


FEATURES = features(4)


def first_suit(state: BlobState) -> Tensor:
    """The suit that comes first in features and policy: [B] int8, trump, or spades when there is none."""
    return torch.where(state.trump == NO_TRUMP, 0, state.trump)


def observe(game: Seen, state: BlobState, viewer: Tensor) -> Tensor:
    """The table above for seat ``viewer`` [B] int64 of every lane: [B, 216 + 10 P] float32.

    Columns are made as rows of length B and turned at the end, which a CPU does in half the time of joining [B, n]
    pieces.
    """
    first, players = first_suit(state), game.seats
    seat = torch.arange(players, device=state.device)[:, None]
    lane = torch.arange(0, players * len(viewer), players, device=state.device)
    relative = around(viewer + seat, players) + lane  # [P, B] places of the seats after the viewer in a [B, P] field
    cards = game.cards_of(state)
    scale = 1.0 / cards

    def seats(field: Tensor) -> Tensor:
        return entries(field, relative.flatten()).view(players, -1)

    hands = seats(state.hands)
    hand, held = hands[0], popcount(hands[0])
    shown = None  # [P - 1, B] int64, the other hands where their cards are on their foreheads
    if (veiled := game.veiled(state)) is not None:
        hand = torch.where(veiled, 0, hand)
        shown = torch.where(game.unsighted(state), hands[1:], 0) if game.rules.sight == FOREHEAD else None
    led = game.suit_led(state, state.trick)
    best = game.winner(state, state.trick, led)
    best_card = entries(state.trick, place_of(best, players))
    trick = torch.where(state.trick >= 0, bit(state.trick.clamp(min=0)), 0).sum(-1)
    unseen = game.deck & ~(hand | state.seen)
    unseen = unseen if shown is None else unseen & ~shown.sum(0)
    winning = torch.where(led >= 0, bit(best_card.clamp(min=0)), 0)
    boards = rotate_suits(torch.stack([hand, unseen, trick, winning]), first).t()

    bids = seats(state.bids)
    if game.rules.bidding == ONCE:
        bids = torch.where((seat > 0) & (state.made < players), -1, bids)
    has_bid = bids >= 0
    bids = bids.clamp(min=0).float()
    won = seats(state.won).float()
    needs = (bids - won) * has_bid
    bidding = state.made < game.rules.opening
    tricks_left = cards - won.sum(0)
    hooked = (game.hook_bits(state) != 0) & (viewer == game.mover(state))
    forbidden = (cards - bids.sum(0)) * hooked

    def one_hot(index: Tensor, places: Tensor = seat) -> Tensor:
        """[B] integers, or -1 for none -> [places, B]."""
        return index == places

    suits = torch.arange(SUITS, device=state.device)[:, None]
    rows = [
        one_hot(torch.where(led >= 0, (led - first) & (SUITS - 1), -1), suits),
        (state.trump != NO_TRUMP)[None],
        bids * scale,
        has_bid,
        won * scale,
        needs * scale,
        one_hot(around(state.leader - viewer, players)),
        one_hot(torch.where(led >= 0, around(best - viewer, players), -1)),
        _voids(seats(state.lacks)[1:], first),
        held[None] / RANKS,
        (torch.zeros_like(hand, dtype=torch.float32) + cards)[None] / RANKS,
        bids.sum(0)[None] * scale,
        bidding[None],
        hooked[None],
        forbidden[None] * scale,
        ((tricks_left - needs.clamp(min=0).sum(0)) * ~bidding)[None] * scale,
    ]
    columns = torch.empty(len(viewer), features(players), device=state.device)
    columns[:, : SUITS * DECK] = unpack(boards, torch.float32).flatten(1)
    columns[:, SUITS * DECK :] = torch.cat([row.float() for row in rows]).t()
    if game.rules.sight != FOREHEAD:
        return columns
    return torch.cat([columns, unpack(rotate_suits(shown, first).t(), torch.float32).flatten(1)], dim=-1)


def _voids(lacks: Tensor, first: Tensor) -> Tensor:
    """Suits that n seats lack, of sets of cards [n, B] int64 -> [4 n, B] bool, turned so that ``first`` [B] comes
    first."""
    suits = (first + torch.arange(SUITS, device=first.device)[:, None]) & (SUITS - 1)  # [4, B]
    return ((lacks[:, None] >> RANKS * suits) & 1).flatten(0, 1)

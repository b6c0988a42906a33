"""The features of what one seat knows: 216 + 10 P of them with P players, 256 with four; and 52 more for each of the
other hands where they are seen on foreheads.

Seats are relative to the viewer (0 = the viewer, 1 = the next to play, ..); suits are turned so that trump comes first
(the deck's order without trump), which makes positions that differ only in the names of suits look alike. "Cards" are
52 columns, 13 a suit from two to ace, trump suit first; fractions are of the cards dealt to a seat. `columns` says what
they are, in their order.

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


def columns(seats: int, shown: bool = False) -> list[tuple[int, str]]:
    """Those in their order, see `Game.columns`; arguments as for `features`."""
    others = range(1, seats)
    table = [
        (DECK, "cards in the viewer's hand"),
        (DECK, "cards that the viewer has not seen: in the other hands or undealt, and not turned up for trump"),
        (DECK, "cards of the current trick"),
        (DECK, "the card that is winning the current trick"),
        (SUITS, "suit led to the current trick"),
        (1, "there is a trump suit"),
        (seats, "bid of each seat as a fraction, 0 before it is made"),
        (seats, "each seat has bid"),
        (seats, "tricks won by each seat, as a fraction"),
        (seats, "tricks that each seat still needs for its bid, below 0: too many, as a fraction, 0 before it has bid"),
        (seats, "who leads the current trick; during the bidding, who bids first"),
        (seats, "who is winning the current trick"),
        *((SUITS, f"suits that seat {seat} has shown it does not hold") for seat in others),
        (1, f"cards left in the viewer's hand, of {RANKS}"),
        # Constant at one card count; it tells the counts of a mixed run apart.
        (1, f"cards dealt to a seat, of {RANKS}"),
        (1, "sum of the bids so far, as a fraction"),
        (1, "the bidding is going on"),
        (1, "the hook forbids the viewer a bid now"),
        (1, "the bid that it forbids, as a fraction"),
        (1, "tricks left less those that all seats still need, as a fraction, below 0: fought over; 0 while bidding"),
    ]
    hands = ((DECK, f"the hand of seat {seat}, where all the others have seen it") for seat in others)
    return [*table, *hands] if shown else table


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
    """`columns` for seat ``viewer`` [B] int64 of every lane: [B, `features`] float32.

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
    columns = torch.empty(len(viewer), features(players), dtype=torch.float32, device=state.device)
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

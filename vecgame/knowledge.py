"""Features of what one seat of a trick game knows; a game adds a block of its own (`TrickGame.own_block`).

Seats are relative to the viewer (0 = the viewer, 1 = the next to play, ..). "Cards" are 52 columns, 13 a suit from two
to ace, the game's `first_suit` first.

| columns | feature |
|---|---|
| 0-51    | cards in the viewer's hand |
| 52-207  | cards not seen yet that seats 1, 2 and 3 may hold, by all that the viewer knows: 3 x cards |
| 208-259 | cards of the current trick |
| 260-311 | the card that is winning the current trick |
| 312-315 | suit led to the current trick, the game's first suit first |
| 316-319 | who leads the current trick; during the opening, who began it |
| 320-323 | who is winning the current trick |
| 324-327 | tricks won by each seat, as a fraction of the cards dealt to a seat |
| 328     | cards left in the viewer's hand, of 13 |
| 329     | there is a trump suit |
| 330     | the opening is going on |
| 331     | cards dealt to a seat, of 13: constant at one card count, tells the counts of a mixed run apart |
| 332..   | the game's own block |
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vecgame.cards import (
    DECK,
    NO_TRUMP,
    RANKS,
    SEATS,
    SUITS,
    bit,
    popcount,
    rotate_suits,
    unpack,
)
from vecgame.lanes import entries, place_of
from vecgame.own_rules import OwnRules, TrickState
from vecgame.symmetry import SuitSymmetry

BOARDS = 6  # of 52 columns each
FEATURES = BOARDS * DECK + 20
TRUMP = 329  # column


def observe(game: OwnRules, state: TrickState, viewer: Tensor) -> Tensor:
    """The table above, and the game's own block, for seat ``viewer`` [B] int64 of every lane: [B, F] float32."""
    hand = entries(state.hands, place_of(viewer))
    unseen = game.deck & ~(hand | state.seen)
    trump = game.trump(state)
    led = game.suit_led(state, state.trick)
    best = game.winner(state, state.trick, led)
    best_card = entries(state.trick, place_of(best))
    trick = torch.where(state.trick >= 0, bit(state.trick.clamp(min=0)), 0).sum(-1)
    winning = torch.where(led >= 0, bit(best_card.clamp(min=0)), 0)
    boards = torch.cat([hand[None], game.may_hold(state, viewer) & unseen, trick[None], winning[None]])
    first = game.first_suit(state)
    if first is not None:
        boards = rotate_suits(boards, first)
    suit = led if first is None else led - first
    rows = [
        one_hot(torch.where(led >= 0, suit & (SUITS - 1), -1)),
        one_hot((state.leader - viewer) & (SEATS - 1)),
        one_hot(torch.where(led >= 0, (best - viewer) & (SEATS - 1), -1)),
        by_seat(state.won, viewer) / game.cards,
        popcount(hand)[None] / RANKS,
        (trump != NO_TRUMP)[None],
        (state.made < game.opening)[None],
        torch.full_like(hand, game.cards)[None] / RANKS,
    ]
    own = [row if row.ndim == 2 else row[None] for row in game.own_block(state, viewer)]
    numbers = torch.cat([row.float() for row in (*rows, *own)]).t()
    return torch.cat([unpack(boards.t(), torch.float32).flatten(1), numbers], dim=-1)


def suits_alike(own_boards: Sequence[int] = ()) -> SuitSymmetry:
    """The columns above that follow their suit, for a game whose suits but for the first differ in their names only.

    Args:
        own_boards: first of 52 columns of its own that are cards, counted from the start of its own block.
    """
    own = (FEATURES + start for start in own_boards)
    return SuitSymmetry(boards=(*range(0, BOARDS * DECK, DECK), *own), suits=(BOARDS * DECK,), trump=TRUMP)


def one_hot(index: Tensor) -> Tensor:
    """[B] integers 0..3, or -1 for none -> [4, B] bool."""
    return index == torch.arange(4, device=index.device)[:, None]


def by_seat(field: Tensor, viewer: Tensor) -> Tensor:
    """A field [B, 4] by absolute seat as rows by relative seat, 0 = ``viewer`` [B] int64: [4, B]."""
    seat = torch.arange(SEATS, device=viewer.device)[:, None]
    return entries(field, (place_of(viewer & 0) + ((viewer + seat) & (SEATS - 1))).flatten()).view(SEATS, -1)


def cards(bits: Tensor, first: Tensor | None = None) -> Tensor:
    """A set of cards a lane as 52 rows, suit ``first`` [B] first: [B] int64 -> [52, B]."""
    return unpack(bits if first is None else rotate_suits(bits, first), torch.float32).t()

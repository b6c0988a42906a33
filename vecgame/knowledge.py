"""Features of what one seat of a trick game knows; a game adds a block of its own (`TrickGame.own_block`).

Seats are relative to the viewer (0 = the viewer, 1 = the next to play, ..). "Cards" are a column for each id of the
game's layout, the game's `first_suit` first. `columns` says what they are, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vecgame.cards import RANKS, SEATS, STANDARD, Layout, bit, popcount, unpack
from vecgame.lanes import around, entries, place_of
from vecgame.own_rules import OwnRules, TrickState
from vecgame.symmetry import SuitSymmetry


def features(layout: Layout, seats: int, led_suits: int) -> int:
    """How many `columns` there are."""
    return (2 + seats) * layout.size + led_suits + 3 * seats + 4


def columns(game: OwnRules) -> list[tuple[int, str]]:
    """The features in their order, see `Game.columns`; the game's own block comes after them."""
    cards, seats = game.layout.size, game.seats
    others = range(1, seats)
    return [
        (cards, "cards in the viewer's hand"),
        *((cards, f"cards not seen yet that seat {seat} may hold, by all that the viewer knows") for seat in others),
        (cards, "cards of the current trick"),
        (cards, "the card that is winning the current trick"),
        (game.led_suits, "suit led to the current trick"),
        (seats, "who leads the current trick; during the opening, who began it"),
        (seats, "who is winning the current trick"),
        (seats, "tricks won by each seat, as a fraction of a game's"),
        (1, f"cards left in the viewer's hand, of {RANKS}"),
        (1, "there is a trump suit"),
        (1, "the opening is going on"),
        # Constant at one card count; it tells the counts of a mixed run apart.
        (1, f"cards dealt to a seat, of {RANKS}"),
    ]


def observe(game: OwnRules, state: TrickState, viewer: Tensor) -> Tensor:
    """What `columns` says, and the game's own block, for seat ``viewer`` [B] int64 of every lane: [B, F] float32."""
    seats, layout = game.seats, game.layout
    hand = entries(state.hands, place_of(viewer, seats))
    unseen = game.deck & ~(hand | state.seen)
    trump = game.trump(state)
    led = game.suit_led(state, state.trick)
    best = game.winner(state, state.trick, led)
    best_card = entries(state.trick, place_of(best, seats))
    trick = torch.where(state.trick >= 0, bit(state.trick.clamp(min=0)), 0).sum(-1)
    some = trick != 0
    winning = torch.where(some, bit(best_card.clamp(min=0)), 0)
    boards = torch.cat([hand[None], game.may_hold(state, viewer) & unseen, trick[None], winning[None]])
    first = game.first_suit(state)
    if first is not None:
        boards = layout.rotate(boards, first)
        suited = (led >= 0) & (led < layout.suits)
        led = torch.where(suited, around(led - first, layout.suits), led)
    rows = [
        one_hot(led, game.led_suits),
        one_hot(around(state.leader - viewer, seats), seats),
        one_hot(torch.where(some, around(best - viewer, seats), -1), seats),
        by_seat(state.won, viewer) / game.tricks,
        popcount(hand)[None] / RANKS,
        (trump < layout.suits)[None],
        (state.made < game.opening)[None],
        torch.full_like(hand, game.cards)[None] / RANKS,
    ]
    own = [row if row.ndim == 2 else row[None] for row in game.own_block(state, viewer)]
    numbers = torch.cat([row.float() for row in (*rows, *own)]).t()
    return torch.cat([unpack(boards.t(), torch.float32, layout.size).flatten(1), numbers], dim=-1)


def suits_alike(game: OwnRules, own_boards: Sequence[int] = ()) -> SuitSymmetry:
    """The columns that follow their suit, for a game whose suits but for the first differ in their names only.

    Args:
        own_boards: first of the columns of its own that are cards, counted from the start of its own block.

    Where bids have columns of cards, those stay during the opening. A game in which cards are given away in it as well
    needs a `SuitSymmetry` of its own, and a column that is 1 while bidding.
    """
    layout, led = game.layout, (2 + game.seats) * game.layout.size
    trump = led + game.led_suits + 3 * game.seats + 1
    opening = trump + 1 if game.bids and game.first_bid < layout.suits * layout.ranks else None
    own = (features(layout, game.seats, game.led_suits) + start for start in own_boards)
    boards = (*range(0, led, layout.size), *own)
    return SuitSymmetry(boards, suits=(led,), trump=trump, bidding=opening, layout=layout)


def one_hot(index: Tensor, count: int = SEATS) -> Tensor:
    """[B] integers 0 .. count - 1, or -1 for none -> [count, B] bool."""
    return index == torch.arange(count, device=index.device)[:, None]


def by_seat(field: Tensor, viewer: Tensor) -> Tensor:
    """A field [B, P] by absolute seat as rows by relative seat, 0 = ``viewer`` [B] int64: [P, B]."""
    seats = field.shape[1]
    seat = torch.arange(seats, device=viewer.device)[:, None]
    return entries(field, (place_of(viewer & 0, seats) + around(viewer + seat, seats)).flatten()).view(seats, -1)


def cards(bits: Tensor, first: Tensor | None = None, layout: Layout = STANDARD) -> Tensor:
    """A set of cards a lane as rows, suit ``first`` [B] first: [B] int64 -> [size, B]."""
    return unpack(bits if first is None else layout.rotate(bits, first), torch.float32, layout.size).t()

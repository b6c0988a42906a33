"""The stock of a trick game: cards that are dealt to nobody, and come into hands later.

A state that has a field ``stock``, [B, N] int8 card ids, the next one first and then -1, is given the cards not dealt
in it, in random order, and nobody sees them. If the game says by `turned_up` in which place of it a card lies face up,
the state's field ``turned``, [B] int8, is that card, all see it in the stock, and it is in ``seen`` until somebody has
it. A field ``shown``, [B, P] int64, are then cards that all know to be in a hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from vecgame import hidden, piles
from vecgame.cards import bit
from vecgame.hidden import Hidden
from vecgame.lanes import around
from vecgame.state import StateT


class HasStock(Protocol):
    """A trick game, as far as its stock goes."""

    seats: int
    turned_up: int | None  # the place in the stock of the card that lies face up, -1 for the last; None for no card


def begun(game: HasStock, stock: Tensor | None) -> dict[str, Tensor]:
    """The fields of a state to begin with that follow from its stock [B, N], if it has one."""
    if stock is None:
        return {}
    stock = stock.to(torch.int8)
    if game.turned_up is None:
        return {"stock": stock}
    turned = stock[:, game.turned_up]
    return {"stock": stock, "turned": turned, "seen": bit(turned)}


def seen_by(game: HasStock, state: StateT) -> Tensor:
    """Who sees which card of the stock: [B, P, N] bool."""
    nobody = hidden.nobody(state.stock, game.seats)
    return nobody if game.turned_up is None else nobody | (state.stock == state.turned[:, None])[:, None]


def open_cards(game: HasStock, state: StateT) -> Tensor:
    """The cards in ``seen`` that do not lie in the stock: [B] int64."""
    if game.turned_up is None:
        return state.seen
    return state.seen & ~torch.where(state.stock == state.turned[:, None], bit(state.turned)[:, None], 0).sum(-1)


def draw(state: StateT, counts: Tensor, first: Tensor | None = None) -> StateT:
    """Deals cards of the stock to hands, as long as there are any.

    Whoever has the card that lay face up, of that all know: it is ``shown``, in a state that has such a field, which
    loses what is no longer in hand. In any other all seats but that one lack it, which says where it is once no card is
    left undealt.

    Args:
        state: B games for P seats.
        counts: how many cards each seat draws, [B, P] int64, or all seats alike, [B] int64 or bool.
        first: [B] integers, the seat that draws first, the others after it in turn; by default seat 0.

    Returns:
        The state with other ``stock``, ``hands``, ``seen``, and ``shown`` or ``lacks``.
    """
    seats = state.hands.shape[1]
    counts = (counts if counts.ndim == 2 else counts[:, None].expand(-1, seats)).long()
    order = None
    if first is not None:
        order = around(first.long()[:, None] + torch.arange(seats, device=first.device), seats)
    drawn, stock = piles.draw(state.stock, counts, order)
    turned, hands = drawn & state.seen[:, None], state.hands | drawn  # of the stock only that one was seen
    one = turned.sum(-1, keepdim=True)
    if hasattr(state, "shown"):
        known = {"shown": (state.shown | turned) & hands}
    else:
        known = {"lacks": state.lacks | one & ~turned}
    return replace(state, stock=stock, hands=hands, seen=state.seen & ~one[:, 0], **known)


def hides(game: HasStock, state: StateT) -> dict[str, Hidden]:
    """The stock for `Game.hidden`, if the state has one."""
    return {"stock": Hidden(seen_by(game, state), holds="cards")} if hasattr(state, "stock") else {}

"""Decks in which many cards look alike, and of more cards than a word has bits.

Where a game's ``copies`` say how many cards of each id its deck has, sets of cards are *counts*: how many there are of
each id, [..., size] int8. A hand is [B, size], and what all hands hold [B, P, size]. Cards by their ids, and sets of
ids such as all of a suit, stay what they are elsewhere.

Each card is one by itself for worlds: of a kind of which two are not seen, one is twice as likely to lie in a place as
of a kind of which one is not. Who plays a kind of which a seat holds two has played either of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from vecgame.cards import Table, pack, unpack
from vecgame.philox import Purpose, Stream
from vecgame.state import State, StateT

MOST_COPIES = 127  # of one id: int8
KINDS = ("counts", "cards")  # what fields hold of cards


class Told(Protocol):
    """What `vecgame.Hidden` says of a field, see there."""

    holds: str
    is_place: bool

    def seen_by(self, seat: Tensor) -> Tensor: ...


class Declares(Protocol):
    """A game with copies that says what is hidden."""

    copies: Sequence[int]

    def open_cards(self, state: State) -> Tensor: ...


def check(copies: Sequence[int], deck: int, size: int) -> None:
    """Raises ValueError, in one line, where copies are none of a layout of so many ids, or not those of the deck."""
    if len(copies) != size:
        raise ValueError(f"copies are one number for each of the layout's {size} ids, got {len(copies)}")
    for card, number in enumerate(copies):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST_COPIES:
            raise ValueError(f"copies of an id are 0 to {MOST_COPIES}, got {number!r} of id {card}")
        if bool(number) != bool(deck >> card & 1):
            has = "has" if deck >> card & 1 else "lacks"
            raise ValueError(f"the deck {has} id {card}, of which there are {number} copies")


def of_deck(copies: Sequence[int], device: torch.device) -> Tensor:
    """How many there are of each id in the deck: [size] int64, which stays on the device."""
    return _of_deck(tuple(copies), device)


@cache
def _of_deck(copies: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(copies, device=device)


def ids_of(counts: Tensor) -> Tensor:
    """The ids of which there is a card at least, as bitboards: [..., size] integers -> [...] int64."""
    return pack(counts > 0)


def counts_of(bits: Tensor, size: int) -> Tensor:
    """One card of each id in a set: [...] int64 bitboards -> [..., size] int8."""
    return unpack(bits, torch.int8, size)


def tallied(ids: Tensor, size: int) -> Tensor:
    """How many there are of each id: [B, N] ids, or [B] of one card each, -1 for none, -> [B, size] int8."""
    ids = ids[:, None] if ids.ndim == 1 else ids
    places = torch.where(ids >= 0, ids, size).long()
    one = torch.ones((), dtype=torch.int8, device=ids.device).expand(places.shape)
    return one.new_zeros(len(ids), size + 1).scatter_add(1, places, one)[:, :size]


def by_number(cards: Sequence[Counter[int]]) -> dict[int, Table]:
    """Of N hands, such as actions take, the ids of which there are so many, as bitboards [N] int64, for 1 and each
    other number that there is: whether a hand holds another is then asked of these ids only."""
    numbers = sorted({1, *(number for hand in cards for number in hand.values())})
    sets = [[sum(1 << card for card, count in hand.items() if count == number) for hand in cards] for number in numbers]
    return dict(zip(numbers, map(Table, sets), strict=True))


def in_order(keys: Tensor, counts: Tensor) -> Tensor:
    """The cards that are counted, in the order of their keys.

    Args:
        keys: [B, C] int64, a random number for each of as many cards as there can be.
        counts: [B, size] integers, C in all at most.

    Returns:
        [B, C] int64 ids, then -1.
    """
    ends = counts.long().cumsum(-1)
    ids = torch.searchsorted(ends, _places(keys), right=True)  # counts.shape[-1] beyond the last card
    beyond = ids == counts.shape[-1]
    order = torch.where(beyond, torch.iinfo(torch.int64).max, keys).argsort(dim=-1, stable=True)
    return torch.where(beyond, -1, ids).gather(1, order)


def cut(cards: Tensor, ends: Tensor, size: int) -> Tensor:
    """What lies between cuts of a row of cards.

    Args:
        cards: [B, N] ids, -1 for none.
        ends: [B, E] int64, ascending: how many cards lie before the end of each part, the first of which begins at 0.
        size: ids that there are.

    Returns:
        [B, E, size] int8 counts.
    """
    parts = ends.shape[1]
    part = torch.searchsorted(ends, _places(cards), right=True)  # E beyond the last
    kind = torch.where(cards >= 0, cards, size).long()
    one = torch.ones((), dtype=torch.int8, device=cards.device).expand(cards.shape)
    counted = one.new_zeros(len(cards), (parts + 1) * (size + 1)).scatter_add(1, part * (size + 1) + kind, one)
    return counted.view(len(cards), parts + 1, size + 1)[:, :parts, :size]


def _places(row: Tensor) -> Tensor:
    """The numbers 0 .. N - 1 for each row of [B, N], in memory as `torch.searchsorted` wants them."""
    return torch.arange(row.shape[1], device=row.device).expand(row.shape).contiguous()


def held(field: Tensor, holds: str, size: int) -> Tensor:
    """The cards in each entry of a field [B, ...] that holds "counts" or "cards": [B, E, size] int8."""
    if holds == "counts":
        return field.to(torch.int8).view(len(field), -1, size) if len(field) else field.new_zeros(0, 1, size).char()
    entries = field.unsqueeze(-1).flatten(1)
    return (entries[..., None] == torch.arange(size, device=field.device)).to(torch.int8)


def of_all(field: Tensor, holds: str, size: int, where: Tensor | None = None) -> Tensor:
    """The cards in all entries of a field [B, ...], or in those ``where`` [B, ...] is so: [B, size] int64."""
    if holds == "counts":
        chosen = field.long() if where is None else torch.where(where, field.long(), 0)
        return chosen.reshape(len(field), field[:1].numel() // size, size).sum(1)
    ids = (field if where is None else torch.where(where, field, -1)).unsqueeze(-1).flatten(1)
    return tallied(ids, size).long()


def unseen(
    game: Declares, state: State, fields: Mapping[str, Told], seat: Tensor, given: Collection[str] = ()
) -> Tensor:
    """The cards that ``seat`` [B] int64 does not see, but for those in fields that are ``given``: [B, size] int64."""
    size = len(game.copies)
    left = of_deck(game.copies, state.device) - game.open_cards(state)
    for name, told in fields.items():
        if told.is_place:
            left = left - of_all(getattr(state, name), told.holds, size, None if name in given else told.seen_by(seat))
    return left


def dealt_anew(
    stream: Stream, game: Declares, lanes: StateT, fields: Mapping[str, Told], seat: Tensor, given: Collection[str]
) -> StateT:
    """The lanes with the cards that ``seat`` [L] int64 does not see dealt anew, as many to each entry as it had."""
    size, deck = len(game.copies), sum(game.copies)
    order = in_order(stream.keys(Purpose.HIDDEN, deck), unseen(game, lanes, fields, seat, given))
    used, changed = torch.zeros_like(seat)[:, None], {}
    for name, told in fields.items():
        if not told.is_place or name in given:
            continue
        field, stays = getattr(lanes, name), told.seen_by(seat)
        if told.holds == "counts":
            rows, kept = (tensor.reshape(len(field), -1, size) for tensor in (field, stays))
            ends = used + torch.where(kept, 0, rows).sum(-1, dtype=torch.int64).cumsum(-1)
            dealt = cut(order, torch.cat([used, ends], -1), size)[:, 1:]
            changed[name] = torch.where(kept, rows, dealt.to(field.dtype)).view(field.shape)
            used = ends[:, -1:]
        else:
            row, kept = (tensor.unsqueeze(-1).flatten(1) for tensor in (field, stays))
            takes = ~kept & (row >= 0)
            place = used + takes.long().cumsum(-1) - 1
            dealt = order.gather(1, place.clamp(0, deck - 1))
            changed[name] = torch.where(takes, dealt.to(field.dtype), row).view(field.shape)
            used = used + takes.sum(-1, keepdim=True)
    return replace(lanes, **changed)


def places(fields: Mapping[str, Told], state: State, size: int) -> Tensor:
    """The cards in every place that the fields are, one field's entries after the other's: [B, E, size] int8."""
    parts = [held(getattr(state, name), told.holds, size) for name, told in fields.items() if told.is_place]
    return torch.cat(parts, 1) if parts else state.index.new_zeros(state.batch_size, 0, size).to(torch.int8)


def seen_places(fields: Mapping[str, Told], seat: Tensor, size: int) -> Tensor:
    """Which of these ``seat`` [B] int64 sees: [B, E] bool."""
    parts = []
    for told in fields.values():
        if told.is_place:
            seen = told.seen_by(seat).unsqueeze(-1).flatten(1)
            parts.append(seen[:, ::size] if told.holds == "counts" else seen)
    return torch.cat(parts, 1) if parts else torch.zeros(len(seat), 0, dtype=torch.bool, device=seat.device)


def with_places(fields: Mapping[str, Told], state: StateT, counts: Tensor) -> StateT:
    """The state with other cards [B, E, size] in these places."""
    changed, start, size = {}, 0, counts.shape[-1]
    for name, told in fields.items():
        if not told.is_place:
            continue
        old = getattr(state, name)
        entries = old[:1].numel() // (size if told.holds == "counts" else 1)
        part = counts[:, start : start + entries]
        if told.holds != "counts":
            part = torch.where(part.sum(-1) > 0, part.argmax(-1), -1)
        changed[name] = part.reshape(old.shape).to(old.dtype)
        start += entries
    return replace(state, **changed)

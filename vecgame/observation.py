"""What a seat knows as numbers, made of what its game declares anyway: the default of `Game.observe`.

Each field of a state is a block of columns, by what it holds (`seeing.kinds`): cards, seats, suits and names have one
for each that there is, numbers some that tell small ones and large ones apart. Of what the viewer does not see, as
`Game.hidden` says, only that is told which everybody knows: how many cards there are. Seats, and fields by seat, are
counted from the viewer on, so that what is learned in one seat holds for all; as seats may differ, the viewer's own is
told too. So two observations are equal if and only if the same is seen, but for numbers above 30,000 or so.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from vecgame import copies, seeing
from vecgame.cards import Layout, popcount, unpack
from vecgame.lanes import around
from vecgame.state import State

SCALES = (1, 8, 64)  # a number x is told as x / (scale + |x|), from -1 to 1 however large it is
EACH = 8  # places of cards, of which each has columns of its own; more than these share them
TOLD = {
    "sets": "cards",
    "cards": "the card in each place",
    "places": "cards, 1 in the first place and less in later ones",
    "counts": "the share of each card's copies",
    "seats": "seats, the viewer first",
    "suits": "suits, and none",
    "ranks": "ranks",
    "number": f"numbers x as x / (s + |x|), s = {', '.join(map(str, SCALES))}",
    "bool": "whether it is so",
}
OF_ALL = {
    **dict.fromkeys(("sets", "counts"), "how many cards"),
    **dict.fromkeys(("cards", "places"), "which places hold a card"),
}


def blocks(game, state: State, viewer: Tensor) -> list[tuple[str, Tensor]]:
    """What seat ``viewer`` [B] int64 of a `vecgame.Game` knows, in blocks: in words, and as columns [B, n]."""
    seats = torch.arange(game.seats, device=state.device)
    names = [name for name in state.tensors() if name != "index"]  # of which all that is hidden follows
    seat = ("the viewer's seat", (viewer[:, None] == seats).float())
    return [seat, to_move(game, state, viewer), *blocks_of(game, state, viewer, names)]


def to_move(game, state: State, viewer: Tensor) -> tuple[str, Tensor]:
    """A block of who is to move."""
    seat = around(game.mover(state) - viewer, game.seats)
    return "to move, the viewer first", (seat[:, None] == torch.arange(game.seats, device=state.device)).float()


def blocks_of(
    game, state: State, viewer: Tensor, names: Collection[str], first_suit: Tensor | None = None
) -> list[tuple[str, Tensor]]:
    """Those of the fields ``names`` of the state, with the suits turned so that ``first_suit`` [B] is the first."""
    hidden, told = game.hidden(state), []
    for name, kind in seeing.kinds(state, hidden).items():
        if name not in names:
            continue
        field = getattr(state, name)
        by_seat = field.shape[1:2] == (game.seats,)
        first, parts, order = (viewer, game.seats, ", the viewer's first") if by_seat else (None, 1, "")
        row = _row(field, first, parts)
        if kind == "number" and field.dtype == torch.bool:
            kind = "bool"
        elif kind == "cards" and row.shape[1] > EACH * parts:
            kind = "places"
        if name in hidden:
            seen = _row(hidden[name].seen_by(viewer), first, parts)
            words = OF_ALL.get(kind, "which entries are seen")
            told.append((f"{name}: {words}{order}", _of_all(kind, row, seen, game)))
            row = torch.where(seen, row, 0 if kind in ("sets", "counts", "number", "bool") else -1)
            order = f"{order}, if seen"
        if kind == "seats":
            row = torch.where(row >= 0, around(row - viewer[:, None], game.seats), -1)
        if first_suit is not None:
            row = _turned(kind, row, first_suit[:, None], game.layout)
        words = TOLD[kind] if isinstance(kind, str) else ", ".join(kind)
        told.append((f"{name}: {words}{order}", _columns(kind, row, parts, game)))
    return [(words, columns.float()) for words, columns in told if columns.shape[1]]


def _of_all(kind: str | tuple[str, ...], row: Tensor, seen: Tensor, game) -> Tensor:
    """What everybody sees of the entries [B, E] of a hidden field that holds ``kind``, those that are ``seen`` or not:
    [B, n]."""
    if kind == "counts":
        return numbers(row.unflatten(1, (-1, game.layout.size)).sum(-1))
    return numbers(popcount(row)) if kind == "sets" else row >= 0 if kind in OF_ALL else seen


def _turned(kind: str | tuple[str, ...], row: Tensor, first: Tensor, layout: Layout) -> Tensor:
    """Entries [B, E] that hold cards or suits with suit ``first`` [B, 1] as the first; all others as they are."""
    if kind == "sets":
        return layout.rotate(row.long(), first)
    if kind not in ("cards", "places", "suits"):
        return row
    size, shift = (
        (layout.suits, first) if kind == "suits" else (layout.suits * layout.ranks, layout.ranks * first.long())
    )
    return torch.where((row >= 0) & (row < size), torch.remainder(row - shift, max(size, 1)), row)


def _row(field: Tensor, first: Tensor | None, seats: int) -> Tensor:
    """All entries of a field [B, ...], of one by seat those of seat ``first`` [B] first: [B, E]."""
    row = field.unsqueeze(-1).flatten(1)
    if first is None:
        return row
    lane = torch.arange(0, len(row) * seats, seats, device=row.device)[:, None]  # whole entries, not number by number
    turned = lane + around(first[:, None] + torch.arange(seats, device=row.device), seats)
    return row.reshape(len(row) * seats, row.shape[1] // seats).index_select(0, turned.flatten()).view(row.shape)


def _columns(kind: str | tuple[str, ...], row: Tensor, parts: int, game) -> Tensor:
    """The columns of entries [B, E] that hold ``kind``, -1 or 0 where there is none: [B, n]."""
    size = game.layout.size
    if kind == "bool":
        return row
    if kind == "number":
        return numbers(row)
    if kind == "counts":
        most = copies.of_deck(game.copies, row.device).clamp(min=1)
        return (row.unflatten(1, (-1, size)) / most).flatten(1)
    if kind == "sets":
        return unpack(row.long(), torch.float32, size).flatten(1)
    if kind == "places":
        return _by_place(row.long().unflatten(1, (parts, -1)), size).flatten(1)
    counts = {"cards": size, "seats": game.seats, "suits": game.layout.suits + 1, "ranks": game.layout.ranks}
    count = counts[kind] if isinstance(kind, str) else len(kind)
    return (row[..., None] == torch.arange(count, device=row.device)).flatten(1)


def numbers(row: Tensor) -> Tensor:
    """Each number of [B, E] by every scale: [B, E * S]. Small scales tell small numbers apart, large ones the large."""
    number = row.float()
    return torch.stack([number / (scale + number.abs()) for scale in SCALES], -1).flatten(1)


def _by_place(cards: Tensor, size: int) -> Tensor:
    """Where each card lies among card ids [B, N, K], -1 for none, the first place as 1, none as 0: [B, N, size]."""
    places = cards.shape[-1]
    near = (1 - torch.arange(places, device=cards.device) / places).expand(cards.shape)
    told = near.new_zeros(*cards.shape[:-1], size + 1)
    return told.scatter_reduce(-1, cards % (size + 1), near, "amax")[..., :size]

"""Games in words, made from what a seat sees of them (`vecgame.seeing`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from vecgame.naming import card_name, listed_text, points
from vecgame.seeing import LABELS, MAY, Seen, cards_in, flat, see_all

SHOWN_GAMES = 3  # of a batch
SHOWN_NUMBERS = 24  # of a field that is no card
MOST_UNSEEN = 8  # places one after the other that are told each by itself, as many as there can be seats
POINTER = "▸"


def words(seen: Seen, names: Sequence[str] | None = None) -> str:
    """A game in lines: each seat with its cards, the trick, what else there is, whose turn it is and what it may do."""
    lines = [seen.title, *_seat_rows(seen, names)]
    rows = [("trick", "  ".join(f"{card_name(seen.layout, c)} ({seen.seat_name(s, names)})" for s, c in seen.plays()))]
    rows += [(LABELS.get(name, name), field_words(seen, name, names)) for name in others(seen)]
    if seen.mover is not None:
        choices = f": {', '.join(seen.choices)}" if seen.choices else ""
        rows.append(("to move", f"{seen.mover_name(names)}{choices}"))
    elif seen.scores is not None:
        rows.append(("over", "" if "hands" in seen.values else " ".join(map(points, seen.scores))))
    rows = [row for row in rows if row[1] or row[0] == "over"]
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join([*lines, *(f"  {label:<{width}}  {told}".rstrip() for label, told in rows)])


def _seat_rows(seen: Seen, names: Sequence[str] | None) -> list[str]:
    """A line for each seat, in columns; none in a state that has no hands."""
    if not seated(seen):
        return []
    rows = [
        (
            f"{POINTER if seat == seen.mover else ' '} {seen.seat_name(seat, names)}",
            hand_words(seen, seat) or "no cards",
            "  ".join(seen.notes(seat, names)),
        )
        for seat in range(seen.seats)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{name:<{widths[0]}}  {cards:<{widths[1]}}  {notes}".rstrip() for name, cards, notes in rows]


def seated(seen: Seen) -> bool:
    """Whether the state has hands, for a row of each seat's."""
    return "hands" in seen.counts and seen.per_seat("hands")


def set_words(seen: Seen, name: str, entry: int | None = None) -> str:
    """The cards of a field or of one entry of it, those that are not seen by their number; "" for none."""
    held = seen.held(name, entry)
    if held and seen.has_places(name, entry):
        return place_words(seen, name, entry)
    if name == MAY and _rule_nothing_out(seen, held):
        return ""
    return _counted_words(seen, held, seen.count(name, entry))


def hand_words(seen: Seen, seat: int) -> str:
    """As `set_words` of a seat's hand, with the cards that are known to be in it."""
    held, count = seen.hand(seat)
    if held and seen.has_places("hands", seat):
        return place_words(seen, "hands", seat)
    return _counted_words(seen, held, count)


def _counted_words(seen: Seen, held: Sequence[int], count: int) -> str:
    unknown = count - len(held)
    parts = [listed_text(seen.layout, held)] if held else []
    return " + ".join([*parts, *([f"{unknown} card{'s' * (unknown > 1)}"] if unknown > 0 else [])])


def place_words(seen: Seen, name: str, entry: int) -> str:
    """What lies in the places of an entry, in their order, "?" where it is not seen and "-" in an empty place before
    others: a card each, or sets, such as what the card in a place may be; "" where all may be any."""
    places = list(zip(flat(seen.values[name][entry]), flat(seen.counts[name][entry]), strict=True))
    while places and not places[-1][1]:
        places.pop()
    single, told = all(count <= 1 for _, count in places), []
    for value, count in places:
        held = cards_in(seen.kinds[name], value)
        words = card_name(seen.layout, held[0]) if single and held else listed_text(seen.layout, held)
        words = "any" if name == MAY and _rule_nothing_out(seen, held) else words
        told.append(words or ("?" if count else "-"))
    return "" if set(told) == {"any"} else (" " if single else " | ").join(told)


def _rule_nothing_out(seen: Seen, cards: Iterable[int]) -> bool:
    """Whether these are all cards that are in play."""
    return _bits(cards) == (seen.layout.bits if seen.deck is None else seen.deck)


def _bits(cards: Iterable[int]) -> int:
    return sum(1 << card for card in set(cards))


def row_words(seen: Seen, name: str) -> str:
    """The cards of a field of several places: ids in the order of the places, "?" where one is not seen, as a place may
    tell whose a card is, or how many of a stock; as `set_words` does where none is seen, and in a field of sets."""
    places = list(zip(flat(seen.values[name]), flat(seen.counts[name]), strict=True))
    if seen.kinds[name] != "cards" or all(card is None for card, _ in places):
        return set_words(seen, name)
    told = ["?" if card is None else card_name(seen.layout, card) for card, count in places if count]
    runs = [(card, len(list(run))) for card, run in itertools.groupby(told)]
    return " ".join(
        f"({run} cards)" if card == "?" and run > MOST_UNSEEN else " ".join([card] * run) for card, run in runs
    )


def others(seen: Seen) -> list[str]:
    """The fields that neither the rows of the seats nor the title tell."""
    rows = seated(seen)
    told = {"index", "lacks", "trick"} if rows else {"index"}
    if seen.mover is not None or seen.scores is not None:  # or a state is shown without its game
        told.add("to_move")
    return [
        name
        for name in seen.values
        if name not in told and not (rows and (name == "hands" or (name not in seen.counts and seen.per_seat(name))))
    ]


def field_words(seen: Seen, name: str, names: Sequence[str] | None) -> str:
    value = seen.values[name]
    if name in seen.counts:
        if not seen.per_seat(name):
            if isinstance(value, list):
                return row_words(seen, name)
            held = seen.held(name)
            one = seen.kinds[name] == "cards" and held
            return card_name(seen.layout, held[0]) if one else set_words(seen, name)
        parts = [(seen.seat_name(seat, names), set_words(seen, name, seat)) for seat in range(seen.seats)]
        return ", ".join(f"{seat}: {cards}" for seat, cards in parts if cards)
    if seen.kinds[name] == "seats" and not isinstance(value, list) and value is not None and value >= 0:
        return seen.seat_name(value, names)
    entries = seen.used(name, value) if isinstance(value, list) else [value]
    if not entries:
        return ""
    if all(entry is None for entry in entries):
        return "hidden"
    told = " ".join(seen.worded(name, entry) for entry in entries[:SHOWN_NUMBERS])
    return told + (f" and {len(entries) - SHOWN_NUMBERS} more" if len(entries) > SHOWN_NUMBERS else "")


def state_text(state: Any) -> str:
    """A batch in words: its first games with all cards open, and how many more there are; where values are not to be
    had, under `torch.compile` or while a CUDA graph is recorded, the shapes of its fields."""
    name, size = type(state).__name__, state.batch_size
    if not readable(state):
        shapes = (f"{field}: {list(tensor.shape)} {tensor.dtype}" for field, tensor in state.tensors().items())
        return f"{name} of {size} games, values unknown; {', '.join(shapes)}"
    lines = [f"{name} of {size:,} game{'s' * (size != 1)} on {state.device}"]
    lines += [words(see_all(state, lane, f"game {int(state.index[lane])}")) for lane in range(min(size, SHOWN_GAMES))]
    if size > SHOWN_GAMES:
        lines.append(f"and {size - SHOWN_GAMES:,} more game{'s' * (size > SHOWN_GAMES + 1)}")
    return "\n".join(lines)


def readable(state: Any) -> bool:
    """Whether a state is a batch of plain tensors whose values can be read now."""
    if torch.compiler.is_compiling():
        return False
    tensors = [getattr(state, field.name) for field in fields(state)]
    plain = all(type(tensor) is Tensor and not tensor.is_meta and tensor.ndim > 0 for tensor in tensors)
    if not plain or len({len(tensor) for tensor in tensors}) > 1:
        return False
    return not (state.index.is_cuda and torch.cuda.is_current_stream_capturing())

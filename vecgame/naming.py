"""What cards, suits and points are called, by a game's `Layout`."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence

from vecgame.cards import SUIT_NAMES, Layout

SYMBOLS = dict(zip(SUIT_NAMES, "♠♥♣♦", strict=True))
SEAT_AFTER = re.compile(r"@([0-7])\b")  # in the name of an action: the seat so many after who does it
SEAT = re.compile(r"\bseat ([0-7])\b")
AS_TEXT = "\ufe0e"  # after a suit's sign: to be shown as text, not as an emoji


def suit_symbol(layout: Layout, suit: int) -> str:
    """A suit's sign where all suits have usual ones, else its name, so that clubs beside coins are no sign alone."""
    name = layout.suit_names[suit]
    return SYMBOLS[name] if usual_suits(layout) else name


def usual_suits(layout: Layout) -> bool:
    """Whether all suits are of those that have signs."""
    return all(name in SYMBOLS for name in layout.suit_names)


def suit_name(layout: Layout, suit: int) -> str:
    """A suit with its sign, as "hearts ♥"; "none" for the number after the last."""
    if not 0 <= suit < layout.suits:
        return "none"
    name, symbol = layout.suit_names[suit], suit_symbol(layout, suit)
    return name if name == symbol else f"{name} {symbol}"


def card_name(layout: Layout, card: int) -> str:
    """A card as people write it: "Q♠", "7 of coins", "wizard". Raises ValueError on an id that is none."""
    card = operator.index(card)
    if not 0 <= card < layout.size:
        raise ValueError(f"card must be an id from 0 to {layout.size - 1}, got {card}")
    if card >= layout.suits * layout.ranks:
        return layout.extra_names[card - layout.suits * layout.ranks]
    suit, rank = divmod(card, layout.ranks)
    symbol = suit_symbol(layout, suit)
    return layout.rank_names[rank] + (symbol if len(symbol) == 1 else f" of {symbol}")


def card_ids(layout: Layout, bits: int) -> list[int]:
    """The cards of a bitboard as they are held, see `in_order`."""
    return in_order(layout, (card for card in range(layout.size) if bits >> card & 1))


def in_order(layout: Layout, cards: Iterable[int]) -> list[int]:
    """Cards as they are held: suit after suit, the highest of each first, those of no suit last."""
    return sorted(cards, key=lambda card: (_suit(layout, card), -card))


def _suit(layout: Layout, card: int) -> int:
    """The suit of a card, `Layout.suits` for a card of no suit."""
    return min(card // layout.ranks, layout.suits) if layout.ranks else layout.suits


def cards_text(layout: Layout, bits: int) -> str:
    """A set of cards, suit after suit: "♠ A K 10  ♥ 3"."""
    return listed_text(layout, card_ids(layout, bits))


def listed_text(layout: Layout, held: Sequence[int]) -> str:
    """Cards by their ids likewise, some of which may be there several times."""
    parts = []
    for suit in range(layout.suits + 1):
        cards = in_order(layout, (card for card in held if _suit(layout, card) == suit))
        if cards and suit < layout.suits:
            ranks = " ".join(layout.rank_names[card % layout.ranks] for card in cards)
            parts.append(f"{suit_symbol(layout, suit)} {ranks}")
        elif cards:
            parts.append(" ".join(card_name(layout, card) for card in cards))
    return "  ".join(parts)


def points(value: float) -> str:
    """Points without needless decimals, as fine as those of Skat, a 240th; never -0."""
    return f"{round(value, 4) + 0.0:.15g}"


def aimed(name: str, mover: int | None, seats: int) -> str:
    """The name of an action that says by "@1" whom it is aimed at, the seat after the mover: "ask seat 2 for 7";
    without a mover "ask +1 for 7"."""
    if mover is None:
        return SEAT_AFTER.sub(r"+\1", name)
    return SEAT_AFTER.sub(lambda match: f"seat {(mover + int(match[1])) % seats}", name)


def with_names(told: str, names: Sequence[str]) -> str:
    """What is told of seats by their numbers with what these are called, "You" as it stands within a sentence."""

    def called(match: re.Match[str]) -> str:
        name = names[int(match[1])] if int(match[1]) < len(names) else match[0]
        return "you" if name == "You" else name

    return SEAT.sub(called, told)

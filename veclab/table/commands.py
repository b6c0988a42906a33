"""What a typed line means at a decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vecgame.cards import RANK_NAMES, RANKS
from veclab.table.glyphs import SUIT_LETTERS, SUIT_SYMBOLS, Glyphs
from veclab.table.sight import Seen


class Request(Enum):
    """What a person may ask for instead of a move."""

    HINT = "h"
    UNDO = "u"
    HELP = "?"
    QUIT = "q"


@dataclass(frozen=True)
class Mistake:
    """A line that means nothing here, and what to say of it."""

    text: str


REQUESTS = {
    **{request.value: request for request in Request},
    **{"hint": Request.HINT, "undo": Request.UNDO, "help": Request.HELP, "quit": Request.QUIT, "exit": Request.QUIT},
}
SUITS = {**{letter: suit for suit, letter in enumerate(SUIT_LETTERS)}, **dict(zip(SUIT_SYMBOLS, range(4), strict=True))}
RANK_INDEX = {**{name.lower(): rank for rank, name in enumerate(RANK_NAMES)}, "t": RANK_NAMES.index("10")}


def parse(line: str, seen: Seen, glyphs: Glyphs) -> int | Request | Mistake:
    """The action, request or mistake of a line typed at the viewer's own decision."""
    word = "".join(line.split()).lower()
    if word in REQUESTS:
        return REQUESTS[word]
    if not word:
        return seen.legal[0] if len(seen.legal) == 1 else Mistake("Type a move, or ? for help.")
    return _parse_bid(word, seen) if seen.bidding else _parse_card(word, seen, glyphs)


def _number(word: str) -> int | None:
    """A short number; None otherwise."""
    return int(word) if word.isdecimal() and len(word) <= 3 else None


def _parse_bid(word: str, seen: Seen) -> int | Mistake:
    bid = _number(word)
    if bid is None or bid > seen.cards:
        return Mistake(f"A bid is a number from 0 to {seen.cards}; ? for help.")
    if bid not in seen.legal:
        return Mistake(f"The dealer may not bid {bid}: all bids would sum to the {seen.cards} tricks.")
    return bid


def _parse_card(word: str, seen: Seen, glyphs: Glyphs) -> int | Mistake:
    hand = seen.sorted_hand(seen.viewer)
    number = _number(word)
    if number is not None:
        if not 1 <= number <= len(hand):
            return Mistake(f"There is no card number {number}; ? for help.")
        card = hand[number - 1]
    elif word[:-1] in RANK_INDEX and word[-1] in SUITS:
        card = RANKS * SUITS[word[-1]] + RANK_INDEX[word[:-1]]
    else:
        shown = word if len(word) <= 12 else word[:12] + ".."
        return Mistake(f"{shown!a} is no card: type one such as qs or 10h, or its number; ? for help.")
    if card not in hand:
        return Mistake(f"You do not hold {glyphs.card(card)}.")
    if card not in seen.legal:
        return Mistake(f"{glyphs.card(card)} is not allowed: you must follow {glyphs.suit(seen.led_suit)}.")
    return card


def bid_range(seen: Seen) -> str:
    """The legal bids in words: 0-5, or 0-5 but not 2."""
    forbidden = sorted(set(range(seen.cards + 1)) - set(seen.legal))
    return f"0-{seen.cards}" + (f", not {forbidden[0]}" if forbidden else "")

"""How cards are written: suit symbols where the terminal can show them, letters elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vecgame import naming, text
from vecgame.cards import SUIT_NAMES, Layout

SUIT_LETTERS = {symbol: name[0] for name, symbol in naming.SYMBOLS.items()}
SUIT_STYLES = ("bold", "bold red", "bold green", "bold bright_blue")  # four colours tell apart what two would not
NAMED = re.compile(rf"({'|'.join(SUIT_NAMES)}) [{''.join(SUIT_LETTERS)}]")


@dataclass(frozen=True)
class Glyphs:
    """The characters beyond plain words."""

    symbols: bool  # whether suits have theirs
    pointer: str
    empty: str
    bar: str
    box: tuple[tuple[str, str | None, str], ...]  # lines of a card: left, middle, right; None for its name

    def say(self, words: str) -> str:
        """Words with suits' symbols as they can be shown: Q♠ or Qs, hearts ♥ or hearts."""
        return words if self.symbols else NAMED.sub(r"\1", words).translate(str.maketrans(SUIT_LETTERS))

    def card(self, layout: Layout, card: int) -> str:
        """A card's short name, such as Q♠ or Qs."""
        return self.say(naming.card_name(layout, card))

    def suit(self, layout: Layout, suit: int) -> str:
        """A suit with its symbol, where that is not just its first letter."""
        return self.say(naming.suit_name(layout, suit))


UNICODE = Glyphs(True, text.POINTER, "·", "█", (("╭", "─", "╮"), ("│", None, "│"), ("╰", "─", "╯")))
ASCII = Glyphs(False, ">", "-", "#", (("+", "-", "+"), ("|", None, "|"), ("+", "-", "+")))


def glyphs_for(encoding: str | None) -> Glyphs:
    """The characters that an output of this encoding can show."""
    return UNICODE if (encoding or "").lower().replace("-", "").startswith("utf") else ASCII


def suit_style(layout: Layout, suit: int) -> str:
    """The colour of a suit, of cards of no suit that of black ones."""
    if suit >= layout.suits:
        return SUIT_STYLES[0]
    usual = naming.usual_suits(layout)
    return SUIT_STYLES[(SUIT_NAMES.index(layout.suit_names[suit]) if usual else suit) % len(SUIT_STYLES)]


def card_style(layout: Layout, card: int) -> str:
    """The colour of a card."""
    return suit_style(layout, card // layout.ranks if layout.ranks else layout.suits)

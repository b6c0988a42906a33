"""How cards are written: suit symbols where the terminal can show them, letters elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from vecgame import text
from vecgame.cards import NO_TRUMP, STANDARD, Layout

SUIT_LETTERS = "shcd"
SUIT_SYMBOLS = "".join(text.SYMBOLS.values())
SUIT_STYLES = ("bold", "bold red", "bold green", "bold bright_blue")  # four colours tell apart what two would not


@dataclass(frozen=True)
class Glyphs:
    """The characters beyond plain words."""

    layout: Layout  # by which cards are named
    pointer: str
    empty: str
    bar: str
    box: tuple[str, str, str]  # top, middle and bottom of a card; {} is its name

    def card(self, card: int) -> str:
        """A card's short name, such as Q♠ or Qs."""
        return text.card_name(self.layout, card)

    def trump(self, trump: int) -> str:
        """A trump with its symbol."""
        return "no trump" if trump == NO_TRUMP else f"trump {self.suit(trump)}"

    def suit(self, suit: int) -> str:
        """A suit's name with its symbol, where that is not just its first letter."""
        return STANDARD.suit_names[suit] if self is ASCII else text.suit_name(self.layout, suit)


UNICODE = Glyphs(STANDARD, text.POINTER, "·", "█", ("╭────╮", "│{}│", "╰────╯"))
ASCII = Glyphs(Layout(suit_names=tuple(SUIT_LETTERS)), ">", "-", "#", ("+----+", "|{}|", "+----+"))


def glyphs_for(encoding: str | None) -> Glyphs:
    """The characters that an output of this encoding can show."""
    return UNICODE if (encoding or "").lower().replace("-", "").startswith("utf") else ASCII

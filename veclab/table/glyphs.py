"""How cards are written: suit symbols where the terminal can show them, letters elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from vecgame.cards import NO_TRUMP, RANKS, TRUMP_NAMES

RANK_NAMES = ("2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A")
SUIT_LETTERS = "shcd"
SUIT_SYMBOLS = "♠♥♣♦"
SUIT_STYLES = ("bold", "bold red", "bold green", "bold bright_blue")  # four colours tell apart what two would not


@dataclass(frozen=True)
class Glyphs:
    """The characters beyond plain words."""

    suits: str  # by suit
    pointer: str
    empty: str
    bar: str
    box: tuple[str, str, str]  # top, middle and bottom of a card; {} is its name

    def card(self, card: int) -> str:
        """A card's short name, such as Q♠ or Qs."""
        return RANK_NAMES[card % RANKS] + self.suits[card // RANKS]

    def trump(self, trump: int) -> str:
        """A trump with its symbol."""
        return "no trump" if trump == NO_TRUMP else f"trump {self.suit(trump)}"

    def suit(self, suit: int) -> str:
        """A suit's name with its symbol, where that is not just its first letter."""
        name = TRUMP_NAMES[suit]
        return name if self is ASCII else f"{name} {self.suits[suit]}"


UNICODE = Glyphs(SUIT_SYMBOLS, "▸", "·", "█", ("╭────╮", "│{}│", "╰────╯"))
ASCII = Glyphs(SUIT_LETTERS, ">", "-", "#", ("+----+", "|{}|", "+----+"))


def glyphs_for(encoding: str | None) -> Glyphs:
    """The characters that an output of this encoding can show."""
    return UNICODE if (encoding or "").lower().replace("-", "").startswith("utf") else ASCII

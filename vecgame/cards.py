"""Cards, suits and sets of cards as 64-bit words.

A card is an id ``ranks * suit + rank``, 13 ranks a suit unless a game's `Layout` says otherwise; a set of cards is one
int64 whose bit ``c`` says whether card ``c`` is in it (a *bitboard*). Up to 63 cards leave the sign bit alone, so every
shift below is free of sign extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce

import torch
from torch import Tensor

SEATS = 4
SUITS = 4
RANKS = 13
DECK = SUITS * RANKS
NO_TRUMP = 4
SUIT_NAMES = ("spades", "hearts", "clubs", "diamonds")
TRUMP_NAMES = (*SUIT_NAMES, "none")
RANK_NAMES = ("2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A")
MOST_CARDS = 63  # of a deck: the sign bit of a word stays clear
EACH_BYTE = 0x0101010101010101
TOP_OF_BYTES = -0x7F7F7F7F7F7F7F80  # the highest bit of each byte, as an int64

SUIT_BITS = (1 << RANKS) - 1
DECK_BITS = (1 << DECK) - 1
TOP_RANKS = sum(1 << (RANKS * suit + RANKS - 1) for suit in range(SUITS))


@dataclass(frozen=True)
class Layout:
    """How the ids of a deck's cards are laid out: suit after suit, then cards of no suit. Two cards that look alike are
    two ids. Raises ValueError beyond 63 cards, and on names that are not one for each suit, rank and extra card."""

    suits: int = SUITS
    ranks: int = RANKS  # ids of each suit
    extra: int = 0  # cards of no suit, such as jokers; their ids come last
    suit_names: tuple[str, ...] = ()  # by default the first of spades, hearts, clubs, diamonds
    rank_names: tuple[str, ...] = ()  # by default the highest of two .. ace
    extra_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.suits >= 0 and self.ranks >= 0 and self.extra >= 0 and 1 <= self.size <= MOST_CARDS):
            raise ValueError(f"a deck has 1 to {MOST_CARDS} cards; {self.suits} x {self.ranks} + {self.extra} are not")
        object.__setattr__(self, "suit_names", self.suit_names or SUIT_NAMES[: self.suits])
        object.__setattr__(self, "rank_names", self.rank_names or RANK_NAMES[-self.ranks :] * (self.ranks > 0))
        for what, count in (("suit", self.suits), ("rank", self.ranks), ("extra", self.extra)):
            names = getattr(self, f"{what}_names")
            if len(names) != count:
                raise ValueError(f"{what}_names must be {count} names, got {len(names)}: {', '.join(names) or 'none'}")

    @property
    def size(self) -> int:
        """Card ids: 0 .. size - 1."""
        return self.suits * self.ranks + self.extra

    @property
    def bits(self) -> int:
        """All cards, as a bitboard."""
        return (1 << self.size) - 1

    def suit_of(self, card: Tensor) -> Tensor:
        """Suit of each card id, ``suits`` for an extra card, -1 for -1, in the card tensor's shape and dtype.

        5 / 64 is near enough to 1 / 13 up to card 63; a shift takes a seventh of a division's time on a CPU.
        """
        wide = card.to(torch.int16)
        if self.ranks == RANKS and self.extra <= RANKS:
            return ((wide * 5) >> 6).to(card.dtype)
        return torch.div(wide, max(self.ranks, 1), rounding_mode="floor").clamp(max=self.suits).to(card.dtype)

    def rank_of(self, card: Tensor) -> Tensor:
        """Rank of each card id, ``ranks`` for an extra card, -1 for -1, in the card tensor's shape and dtype."""
        suited = card % max(self.ranks, 1)
        return torch.where(card < 0, card, torch.where(card < self.suits * self.ranks, suited, self.ranks))

    def rank_bits(self, rank: Tensor | int) -> Tensor | int:
        """Bitboards of all cards of a rank: [...] integer ranks -> [...] int64, or one of Python's for one of these."""
        first = sum(1 << self.ranks * suit for suit in range(self.suits))
        return first << (rank if isinstance(rank, int) else rank.long())

    def grid(self, bits: Tensor) -> Tensor:
        """Sets of cards by suit and rank, without extra cards: [...] int64 -> [..., suits, ranks] bool."""
        return unpack(bits, size=self.suits * self.ranks).unflatten(-1, (self.suits, self.ranks))

    def counts(self, bits: Tensor) -> Tensor:
        """How many cards of each rank a set holds, without extra cards: [...] int64 -> [..., ranks] int64."""
        return self.grid(bits).sum(-2)

    def total(self, bits: Tensor, table: Table | Sequence[float] | Tensor) -> Tensor:
        """The sum over the cards of each set of what a table [size] has for them: [...] int64 -> [...], int64 where the
        table's numbers are integers."""
        numbers = table if isinstance(table, Tensor) else as_table(table).on(bits.device)
        return (unpack(bits, size=self.size) * numbers).sum(-1)

    def suit_bits(self, suit: Tensor) -> Tensor:
        """Bitboards of whole suits: [...] integer suits -> [...] int64."""
        return ((1 << self.ranks) - 1) << (self.ranks * suit.long())

    def above(self, card: Tensor) -> Tensor:
        """The cards of each card's suit that have a higher rank, as bitboards: [...] integer ids -> [...] int64; none
        for an extra card or -1."""
        suited = (1 << self.suits * self.ranks) - 1
        higher = self.suit_bits(self.suit_of(card.clamp(min=0))) & -(bit(card.clamp(min=0)) << 1)
        return torch.where(card >= 0, higher & suited, 0)

    def same_rank(self, bits: Tensor) -> Tensor:
        """All cards that have the rank of a card in each set, those cards included: [...] int64 -> [...] int64. Extra
        cards have none."""
        ranks = torch.zeros_like(bits)
        for suit in range(self.suits):
            ranks = ranks | bits >> self.ranks * suit & self.block(0)
        return ranks * sum(1 << self.ranks * suit for suit in range(self.suits))

    def rotate(self, bits: Tensor, first: Tensor) -> Tensor:
        """Renames suits so that suit ``first`` becomes suit 0, the others following in order; extra cards stay.

        Args:
            bits: [...] int64 bitboards.
            first: integers 0 .. suits - 1 that broadcast against ``bits``.
        """
        width, shift = self.suits * self.ranks, self.ranks * first.long()
        turning = (1 << width) - 1
        body = bits & turning if self.extra else bits
        turned = ((body >> shift) | (body << (width - shift))) & turning
        return turned | (bits & ~turning) if self.extra else turned

    def part_of(self, rules: object) -> int:
        """The cards with which rules are played that may name ``suits``, the first so many, and ``ranks``, the lowest
        so many of each, as a bitboard: by default all."""
        suits, ranks = (getattr(rules, name, None) for name in ("suits", "ranks"))
        if suits is None and ranks is None:
            return self.bits
        each = (1 << (self.ranks if ranks is None else ranks)) - 1
        return sum(each << self.ranks * suit for suit in range(self.suits if suits is None else suits))

    def block(self, suit: int) -> int:
        """The cards of a suit, or the extra ones for ``suits``, as a bitboard."""
        return self.bits & (
            ((1 << self.ranks) - 1) << self.ranks * suit if suit < self.suits else -1 << self.size - self.extra
        )


class Table:
    """Numbers to look up, such as what each card is worth, on the device of whoever asks: ``WORTH[card]``."""

    def __init__(self, numbers: Sequence | Tensor) -> None:
        self.numbers = torch.as_tensor(numbers)
        self._on: dict[torch.device, Tensor] = {}

    def __getitem__(self, place: Tensor) -> Tensor:
        """What stands at each place, an integer of any type: [...] -> [...], or rows. Place -1 is the last."""
        return self.on(place.device)[place.long()]

    def on(self, device: torch.device) -> Tensor:
        """All of it."""
        if device not in self._on:
            self._on[device] = self.numbers.to(device)
        return self._on[device]

    def __getstate__(self) -> dict[str, object]:
        return {"numbers": self.numbers, "_on": {}}


def as_table(numbers: Table | Sequence[float]) -> Table:
    """A table of such numbers, of equal ones the same."""
    return numbers if isinstance(numbers, Table) else _table_of(tuple(numbers))


@cache
def _table_of(numbers: tuple[float, ...]) -> Table:
    return Table(numbers)


STANDARD = Layout()
BY_NUMBER = Layout(suits=0, ranks=0, extra=MOST_CARDS, extra_names=tuple(map(str, range(MOST_CARDS))))
suit_of, suit_bits, rotate_suits = STANDARD.suit_of, STANDARD.suit_bits, STANDARD.rotate


def deck_bits(suits: int = SUITS, ranks: int = RANKS) -> int:
    """The bitboard of a deck with the first ``suits`` suits and the lowest ``ranks`` ranks of each."""
    return sum(((1 << ranks) - 1) << (RANKS * suit) for suit in range(suits))


def bit(card: Tensor) -> Tensor:
    """Bitboards of single cards: [...] integer ids -> [...] int64."""
    return 1 << card.long()


@cache
def _suit_masks(device: torch.device, dtype: torch.dtype) -> Tensor:
    """The 13 bits of every set of cards of one suit: [8192, 13]."""
    bits = torch.arange(1 << RANKS, device=device)
    return ((bits[:, None] >> torch.arange(RANKS, device=device)) & 1).to(dtype)


def unpack(bits: Tensor, dtype: torch.dtype = torch.bool, size: int = DECK) -> Tensor:
    """Bitboards as masks of cards 0 .. size - 1: [...] int64 -> [..., size].

    A table look-up for each 13 cards: measured 14 times as fast on a CPU as shifting 52 copies of each word.
    """
    suits = -(-size // RANKS)
    words = (bits.unsqueeze(-1) >> RANKS * torch.arange(suits, device=bits.device)) & SUIT_BITS
    rows = _suit_masks(bits.device, dtype).index_select(0, words.flatten())
    return rows.view(*bits.shape, suits * RANKS)[..., :size]


def pack(mask: Tensor) -> Tensor:
    """Masks as bitboards: [..., width] bool -> [...] int64."""
    position = torch.arange(mask.shape[-1], device=mask.device)
    return (mask.long() << position).sum(-1)


def pack_mask(mask: Tensor) -> Tensor:
    """Masks of any width as words of 52 columns: [..., A] bool -> [...] int64, or [..., ceil(A / 52)] beyond 52."""
    if mask.shape[-1] <= DECK:
        return pack(mask)
    return torch.stack([pack(part) for part in mask.split(DECK, dim=-1)], dim=-1)


def unpack_mask(words: Tensor, columns: int) -> Tensor:
    """The inverse of `pack_mask` for ``columns`` columns: [..., columns] bool."""
    mask = unpack(words)
    return (mask if columns <= DECK else mask.flatten(-2))[..., :columns]


def union(bits: Tensor) -> Tensor:
    """The cards in any of the sets [B, E] int64: [B] int64, none of no sets."""
    return reduce(torch.bitwise_or, bits.unbind(-1), torch.zeros_like(bits.sum(-1)))


def popcount(bits: Tensor) -> Tensor:
    """Number of cards in each set: [...] int64 (bit 63 clear) -> [...] int64."""
    return _counts_by_byte(bits) >> 56


def _counts_by_byte(bits: Tensor) -> Tensor:
    """In byte i of each word, how many bits of its bytes 0 .. i are set.

    The usual parallel sum of bits (Warren, Hacker's Delight, 5-1); torch has no population count of its own.
    """
    bits = bits - ((bits >> 1) & 0x5555555555555555)
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    return ((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F) * EACH_BYTE


def nth_card(bits: Tensor, nth: Tensor) -> Tensor:
    """The card of each set that has ``nth`` others below it, as a bitboard: [...] int64 twice -> [...] int64. The
    highest one where there are not so many, 0 in an empty set.

    Which byte it is in is a comparison of eight counts in one word (Vigna, "Broadword implementation of rank/select
    queries", 2008), the rest a table look-up.
    """
    counts = _counts_by_byte(bits)
    nth = torch.minimum(nth, (counts >> 56) - 1).clamp(min=0)
    not_below = ((nth * EACH_BYTE | TOP_OF_BYTES) - counts >> 7) & EACH_BYTE  # 1 in the bytes that end before the card
    shift = (not_below * EACH_BYTE >> 53) & 56
    nth = nth - (counts << 8 >> shift & 0xFF)
    return _bits_of_bytes(bits.device).take((bits >> shift & 0xFF) << 3 | nth) << shift


@cache
def _bits_of_bytes(device: torch.device) -> Tensor:
    """At 8 * byte + n the set bit of the byte with n others below it, 0 where there is none: [2048] int64."""
    mask = (torch.arange(256)[:, None] >> torch.arange(8)) & 1 == 1
    bits = torch.where(mask, 1 << torch.arange(8), 1 << 8).sort(-1).values & 0xFF
    return bits.flatten().to(device)


def lowest_card(bits: Tensor) -> Tensor:
    """Id of the lowest card of each non-empty set: [...] int64 -> [...] int64; an empty set gives a negative number.

    The lowest bit, a power of two, is exact as a float64, whose exponent field is its position.
    """
    low = bits & -bits
    return (low.double().view(torch.int64) >> 52) - 1023


def highest_card(bits: Tensor) -> Tensor:
    """Id of the highest card of each non-empty set: [...] int64 -> [...] int64; an empty set gives a negative number.

    Without the cards that have the next one above them, no rounding of a float64 reaches the next power of two.
    """
    return ((bits & ~(bits >> 1)).double().view(torch.int64) >> 52) - 1023


def list_cards(bits: Tensor, count: int) -> Tensor:
    """The cards of each set in ascending order: [B] int64 -> [B, count] int64, filled up with -1; count may be 0."""
    left = [bits]
    for _ in range(1, count):
        left.append(left[-1] & (left[-1] - 1))
    return lowest_card(torch.stack(left[:count], dim=-1)).clamp(min=-1) if count else bits.new_empty(*bits.shape, 0)


def same_as_lower(cards: Tensor, apart: Tensor) -> Tensor:
    """Which cards of each set have a lower card of the set in their suit with nothing between the two that counts.

    Such neighbours win and lose against the same cards. A marker one above each card runs up through the empty places,
    carried by an addition, and stops at the next place that is taken: by a card of the set, one that counts, or the top
    of a suit.

    Args:
        cards: [...] int64 bitboards.
        apart: [...] int64, the cards that tell their neighbours apart; disjoint from ``cards``.
    """
    empty = DECK_BITS & ~(cards | apart | TOP_RANKS)
    return (empty + ((cards & ~TOP_RANKS) << 1)) & cards

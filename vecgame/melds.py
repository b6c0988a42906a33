"""Sets and runs, by which games of the rummy family are won: the best arrangement of a hand, and what can be laid off.

A set is three or more cards of a rank, a run three or more in a row of a suit, and no card is in two melds; what is in
none is *deadwood*. The cards of a suit that are in no set are melded as far as they lie in stretches of three or more,
whatever they are worth, so a table knows what is left over of them. What remains is to say which sets to take: a hand
of eleven has three of at most three ranks, and all 72 ways to take some of these are tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vecgame.cards import Layout, Table, bit
from vecgame.naming import card_name

LEAST = 3  # cards of a meld
MOST_RANKS, MOST_SUITS = 16, 8  # tables have an entry for each set of them
MOST_WAYS = 4096  # to take sets out of a hand
NEVER = 1 << 26  # what a way costs that there is not, where worths are integers: 31 of these are an int32


class Melds(NamedTuple):
    """Melds that lie together. Which of the cards of a rank are in a set, and which of a suit in runs, is all there is
    to know of them: two runs that touch are as good as one."""

    sets: Tensor  # [...] int64 bitboards
    runs: Tensor  # [...] int64

    @property
    def cards(self) -> Tensor:
        """All of them: [...] int64."""
        return self.sets | self.runs

    def where(self, mask: Tensor) -> Melds:
        """These where a mask [...] says so, elsewhere none."""
        return Melds(torch.where(mask, self.sets, 0), torch.where(mask, self.runs, 0))


@dataclass(frozen=True)
class Melding:
    """How the cards of a game are melded, and what they are worth where they are not.

    Its methods take hands of any shape, [...] int64 bitboards, each by itself, and melds of shapes that broadcast with
    these. Raises ValueError on numbers that make no such game, and where hands of so many cards have more ways to take
    sets than `MOST_WAYS`: of four suits they may be of 17 cards.
    """

    layout: Layout  # its extra cards are in no meld
    worth: Sequence[float]  # of each card that is left over, [layout.size], 0 or more
    most: int = 11  # cards in a hand; of one with more, not all arrangements may be tried
    # What lies between the highest rank and the lowest: runs end there; or they do, but the ace may be at either end
    # (the last rank if that is called A, else the first); or they go on round the corner.
    corner: Literal["closed", "ace", "open"] = "closed"

    def __post_init__(self) -> None:
        layout, worth = self.layout, self.worth.numbers.tolist() if isinstance(self.worth, Table) else self.worth
        object.__setattr__(self, "worth", tuple(worth))
        if len(self.worth) != layout.size:
            raise ValueError(f"worth has a number for each of {layout.size} cards, got {len(self.worth)}")
        if not (all(number >= 0 for number in self.worth) and sum(self.worth) < NEVER):
            raise ValueError(f"cards are worth 0 or more, and less than {NEVER:,} in all, got {self.worth}")
        for what, count, most in (("ranks", layout.ranks, MOST_RANKS), ("suits", layout.suits, MOST_SUITS)):
            if not 1 <= count <= most:
                raise ValueError(f"melds are of 1 to {most} {what}, got {count}")
        if self.corner not in ("closed", "ace", "open"):
            raise ValueError(f"corner must be closed, ace or open, got {self.corner!r}")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 0:
            raise ValueError(f"most must be a number of cards, got {self.most!r}")
        if (ways := prod(map(len, self._slots))) > MOST_WAYS:
            raise ValueError(f"of {self.most} cards sets are taken in {ways:,} ways; there may be {MOST_WAYS:,}")

    def deadwood(self, hands: Tensor, onto: Melds | None = None) -> Tensor:
        """The least that the cards left over are worth: [...], int64 where all worths are integers, else float32.

        Args:
            hands: [...] int64.
            onto: melds on which cards may be laid off too, [...].
        """
        ways = self._ways(self._suit_costs(*_together(hands, onto))[0])
        return self._in_all(reduce(torch.add, ways).amin(0), hands)

    def without(self, hands: Tensor, cards: Tensor) -> Tensor:
        """What the `deadwood` is without a card, for each of some that might be discarded: [..., N], in less than half
        of the time in which as many hands are arranged.

        Args:
            hands: [...] int64.
            cards: [..., N] integer ids; -1, or of a card that is not held, for the hand as it is.
        """
        costs, taken, some = self._suit_costs(hands, None)
        ways, ranks, card = self._ways(costs), self.layout.ranks, cards.movedim(-1, 0).long()
        suit = (card // ranks).clamp(0, self.layout.suits - 1)
        gone = torch.where((card >= 0) & (card < self.layout.suits * ranks), bit(card % ranks), 0)
        held, taken, some = self._by_suit(hands).gather(0, suit), taken[:, None], some[:, None]  # [2 ** slots, N, ...]
        here = self._left(held & ~gone & ~taken, suit << ranks, None)[0]
        here = torch.where((some & ~held) | (taken & gone & held) == 0, here, self._never)
        least = []  # of each suit, by what is taken in it, what all others leave over
        for number, alike in enumerate(self._alike.on(hands.device)):
            rest = reduce(torch.add, ways[:number] + ways[number + 1 :], torch.zeros_like(ways[0]))
            least.append(rest.index_select(0, alike.flatten()).unflatten(0, alike.shape).amin(1))
        others = torch.stack(least, 1).gather(1, suit.expand(len(taken), *suit.shape))
        left = hands[..., None] & ~torch.where(cards >= 0, bit(cards.clamp(min=0)), 0)
        return self._in_all((here + others).amin(0).movedim(0, -1), left)

    def arranged(self, hands: Tensor, onto: Melds | None = None) -> Melds:
        """The melds of a best arrangement, [...], the same one on any device; with ``onto`` all that lie there then,
        those before among them. Left over are the cards ``hands & ~melds.cards``."""
        hands, onto = _together(hands, onto)
        costs, taken, _ = self._suit_costs(hands, onto)
        costs = reduce(torch.add, self._ways(costs))
        ways = torch.arange(len(costs), device=hands.device).view(-1, *[1] * hands.ndim)
        first = torch.where(costs == costs.amin(0), ways, len(ways)).amin(0)
        held = self._by_suit(hands)
        sets = taken.gather(0, self._index.on(hands.device)[:, first]) & held
        rest, left = held & ~sets, self._left((held & ~sets)[:, None], self._places(held), onto)[1][:, 0]
        if onto is None:
            return Melds(self._bits(sets), self._bits(rest & ~left))
        sets, left = self._bits(sets), self._bits(left)
        sets = onto.sets | sets | left & self._fourths(onto.sets)
        return Melds(sets, onto.runs | self._bits(rest) & ~left)

    def layoffs(self, hands: Tensor, onto: Melds) -> Tensor:
        """The cards of the hands that can be laid off, some of them on others of the same hand: [...] int64."""
        hands, onto = _together(hands, onto)
        return self._reached(hands, onto, self.layout.ranks) | self._fourths(onto.sets) & hands

    def fits(self, onto: Melds) -> Tensor:
        """The cards that can be laid off at once, whoever holds them: [...] int64."""
        every = torch.full_like(onto.runs, self.layout.bits)
        return (self._reached(every, onto, 1) | self._fourths(onto.sets)) & ~onto.cards

    def laid_down(self, cards: Tensor, onto: Melds) -> Melds:
        """The melds and another, [...]: a set if its cards are of one rank, else a run; the same ones where none is."""
        ranks = self.layout.same_rank(cards & -cards)
        return Melds(onto.sets | cards * (cards & ~ranks == 0), onto.runs | cards * (cards & ~ranks != 0))

    def laid_off(self, cards: Tensor, onto: Melds) -> Melds:
        """The melds with some of their `layoffs`, [...]: on runs as far as these reach, the others on sets."""
        cards, onto = _together(cards, onto)
        reached = self._reached(cards, onto, self.layout.ranks)
        return Melds(onto.sets | cards & ~reached, onto.runs | reached)

    def named(self, longest: int = 5) -> dict[str, tuple[int, ...]]:
        """The ids of the cards of each meld, by names such as "7♠ 7♥ 7♣": sets by rank, then runs by suit, of as many
        cards as ``longest``, for of two of these any longer one is made. What a game `takes` can be made of it."""
        suits, ranks = range(self.layout.suits), self.layout.ranks
        chosen = [each for number in suits[LEAST - 1 :] for each in itertools.combinations(suits, number + 1)]
        melds = [tuple(ranks * suit + rank for suit in each) for rank in range(ranks) for each in chosen]
        melds += [tuple(ranks * suit + rank for rank in run) for suit in suits for run in self._runs(longest)]
        return {" ".join(card_name(self.layout, card) for card in cards): cards for cards in melds}

    def _runs(self, longest: int) -> list[tuple[int, ...]]:
        """The ranks of each run, the shortest first."""
        ranks, runs = self.layout.ranks, {}
        for number in range(LEAST, min(longest, ranks) + 1):
            for cut in range(ranks) if self.corner == "open" else self._cuts:
                for first in range(ranks - number + 1):
                    run = tuple((cut + first + place) % ranks for place in range(number))
                    runs.setdefault(frozenset(run), run)
        return list(runs.values())

    # --- the ways to take sets ---

    @cached_property
    def _slots(self) -> list[list[int]]:
        """For each rank of which a hand may have a set, the fullest first, what may be taken of it, as sets of suits:
        all or nothing where it can be of three cards only."""
        suits = self.layout.suits
        every, most = (1 << suits) - 1, min(self.most // LEAST, self.layout.ranks) if suits >= LEAST else 0
        some = [0, *(chosen for chosen in range(every + 1) if chosen.bit_count() >= LEAST)]
        return [some if suits > LEAST and self.most // (slot + 1) > LEAST else [0, every] for slot in range(most)]

    @cached_property
    def _index(self) -> Table:
        """For each suit and way, whether the rank of slot k is taken in this suit as bit k: [suits, ways] int64."""
        ways = list(itertools.product(*self._slots))
        return Table(
            [[sum((cards >> suit & 1) << k for k, cards in enumerate(way)) for way in ways] for suit in self._suits]
        )

    @cached_property
    def _some(self) -> Table:
        """Of each set of slots those with more choices than all or nothing: [2 ** slots] int64."""
        choices = sum(1 << k for k, slot in enumerate(self._slots) if len(slot) > 2)
        return Table(torch.arange(1 << len(self._slots)) & choices)

    @cached_property
    def _alike(self) -> Table:
        """The ways in which the same is taken in a suit, some of them twice: [suits, 2 ** slots, N] int64."""
        rows = [
            [[way for way, bits in enumerate(row) if bits == each] for each in range(1 << len(self._slots))]
            for row in self._index.numbers.tolist()
        ]
        most = max(len(ways) for row in rows for ways in row)
        return Table([[[*ways, *ways[:1] * (most - len(ways))] for ways in row] for row in rows])

    def _ranks(self, held: Tensor) -> list[Tensor]:
        """The ranks of which hands [suits, ...] have three or more, the fullest first: a bit [...] for each slot."""
        more = [torch.zeros_like(held[0]) for _ in range(len(held) + 1)]  # ranks with so many, or more
        for place, suit in enumerate(held):
            for number in range(place + 1, 1, -1):
                more[number] = more[number] | more[number - 1] & suit
            more[1] = more[1] | suit
        more, ranks = more[LEAST:], []
        for _ in self._slots:
            fullest = more[0]
            for some in more[1:]:
                fullest = torch.where(some != 0, some, fullest)
            ranks.append(fullest & -fullest)
            more = [some & ~ranks[-1] for some in more]
        return ranks

    def _suit_costs(self, hands: Tensor, onto: Melds | None) -> tuple[Tensor, Tensor, Tensor]:
        """What the cards of each suit are worth that are left over, by the slots whose ranks are taken in it, [suits,
        2 ** slots, ...], with `_never` where these are not there; all these ranks, [2 ** slots, ...] int64, and those
        of slots of which there may be other choices than all or nothing.

        The hands come last: rows of them are copied at once.
        """
        held = self._by_suit(hands)
        taken = torch.zeros_like(hands)[None]
        for rank in self._ranks(held):
            taken = torch.cat([taken, taken | rank])
        some = taken.index_select(0, self._some.on(hands.device))
        costs = self._left(held[:, None] & ~taken, self._places(held), onto)[0]
        return torch.where(some & ~held[:, None] == 0, costs, self._never), taken, some

    def _ways(self, costs: Tensor) -> list[Tensor]:
        """Of each suit what each way leaves over, by its costs [suits, 2 ** slots, ...]: [ways, ...] each."""
        return [suit.index_select(0, ways) for suit, ways in zip(costs, self._index.on(costs.device), strict=True)]

    def _in_all(self, costs: Tensor, hands: Tensor) -> Tensor:
        """With what cards of no suit are worth, in the type in which it is told: [...]."""
        suited, size = self.layout.suits * self.layout.ranks, self.layout.size
        costs = sum(((hands >> card & 1) * self.worth[card] for card in range(suited, size)), costs)
        return costs if costs.is_floating_point() else costs.long()

    # --- suits by themselves ---

    def _by_suit(self, bits: Tensor) -> Tensor:
        """Sets of cards as sets of ranks: [...] int64 -> [suits, ...] int64."""
        return torch.stack([bits >> self.layout.ranks * suit & self.layout.block(0) for suit in self._suits])

    def _bits(self, ranks: Tensor) -> Tensor:
        """The inverse of `_by_suit`."""
        return reduce(torch.bitwise_or, (ranks[suit] << self.layout.ranks * suit for suit in self._suits))

    def _places(self, suits: Tensor) -> Tensor:
        """Where in `_worths` the sets of each suit begin: for [suits, ...] as [suits, 1, ...] int64."""
        first = torch.arange(len(suits), device=suits.device) << self.layout.ranks
        return first.view(-1, *[1] * suits.ndim)

    def _left(self, rest: Tensor, places: Tensor, onto: Melds | None) -> tuple[Tensor, Tensor]:
        """The least that the cards left over in a suit are worth, where those in no set are melded in runs, and these
        cards: for ranks [suits, N, ...] int64, both of that shape. Without ``onto`` any that ``places`` fit."""
        device, least, cards = rest.device, None, None
        if onto is not None:  # of a stretch that the runs are in, the rest is laid off on them
            runs, free = self._by_suit(onto.runs)[:, None], self._by_suit(self._fourths(onto.sets))[:, None]
        for table in self._lefts:
            left = table.on(device).take(rest if onto is None else rest | runs)
            cost = self._worths.on(device).take((left if onto is None else left & ~free) + places)
            if onto is not None and len(self._lefts) > 1:  # they need not lie in this line
                cost = torch.where(table.on(device).take(runs) == 0, cost, self._never)
            cards = left if least is None else torch.where(cost < least, left, cards)
            least = cost if least is None else torch.minimum(least, cost)
        return least, cards

    @property
    def _suits(self) -> range:
        return range(self.layout.suits)

    @cached_property
    def _cuts(self) -> list[int]:
        """The ranks with which the lines begin in which runs may lie."""
        last = self.layout.rank_names[-1] == "A"
        return [0] if self.corner != "ace" else [0, self.layout.ranks - 1 if last else 1]

    @cached_property
    def _lefts(self) -> list[Table]:
        """For each line, of each set of ranks those that are in no run: [2 ** ranks] int64."""
        ranks, every = self.layout.ranks, torch.arange(1 << self.layout.ranks)
        if self.corner == "open" and ranks >= LEAST:
            twice = _stretches(every | every << ranks)
            return [Table(every & ~(twice | twice >> ranks))]
        lines = [(cut, _turned(every, cut, ranks)) for cut in self._cuts]
        return [Table(_turned(line & ~_stretches(line), -cut % ranks, ranks)) for cut, line in lines]

    @cached_property
    def _worths(self) -> Table:
        """What each set of ranks of each suit is worth: [suits * 2 ** ranks] int32 or float32."""
        ranks, suits = self.layout.ranks, self.layout.suits
        bits = torch.arange(1 << ranks)[:, None] >> torch.arange(ranks) & 1
        sums = (bits * torch.as_tensor(self.worth)[: suits * ranks].view(suits, 1, ranks)).sum(-1).flatten()
        return Table(sums if sums.is_floating_point() else sums.int())

    @cached_property
    def _never(self) -> float:
        return float("inf") if self._worths.numbers.is_floating_point() else NEVER

    # --- what can be laid off ---

    def _fourths(self, sets: Tensor) -> Tensor:
        """What is lacking in sets: [...] int64 -> [...] int64."""
        return self.layout.same_rank(sets) & ~sets

    def _reached(self, hands: Tensor, onto: Melds, steps: int) -> Tensor:
        """The cards of the hands that go on runs in so many steps: [...] int64."""
        ranks, runs = self.layout.ranks, self._by_suit(onto.runs)
        joined, reached = self._by_suit(hands) | runs, torch.zeros_like(runs)
        for cut, table in zip(self._cuts, self._lefts, strict=True):
            here, there = _turned(torch.where(table[runs] == 0, runs, 0), cut, ranks), _turned(joined, cut, ranks)
            for _ in range(steps):
                around = (here >> ranks - 1 | here << ranks - 1) * (self.corner == "open")
                here = here | (here << 1 | here >> 1 | around) & there
            reached = reached | _turned(here, -cut % ranks, ranks)
        return self._bits(reached) & hands & ~onto.runs


def _together(hands: Tensor, onto: Melds | None) -> tuple[Tensor, Melds | None]:
    """Hands and melds in a common shape."""
    if onto is None:
        return hands, None
    hands, *melds = torch.broadcast_tensors(hands, *onto)
    return hands, Melds(*melds)


def _stretches(ranks: Tensor) -> Tensor:
    """Those of some ranks that lie in a row of `LEAST` or more: [...] int64 -> [...] int64."""
    rows = ranks & ranks >> 1 & ranks >> 2
    return rows | rows << 1 | rows << 2


def _turned(ranks: Tensor, first: int, count: int) -> Tensor:
    """Sets of ranks counted from another one on, and round the corner: [...] int64 -> [...] int64."""
    return ranks >> first | (ranks & (1 << first) - 1) << count - first

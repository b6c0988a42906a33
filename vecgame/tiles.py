"""How far hands are from melds of three and pairs, where an id has several cards, as in Mahjong.

A meld is three alike, or three in a row of a suit; a pair is two alike. What is melded in one suit changes nothing in
another. So a table knows of each suit, for all counts of cards that a hand may have there, how many cards are lacking
to so many melds and pairs in that suit; what is left is to share out melds and pairs among the suits. Programs that
play Mahjong have such tables; one of nine ranks of four cards has 5 ** 9 rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from math import prod

import torch
from torch import Tensor

from vecgame import copies
from vecgame.cards import Layout, Table

MOST_ROWS = 1 << 21  # of a table
MOST_COLUMNS = 64  # a number of melds and one of pairs each
NEVER = 63  # lacking to what cannot be; twice that is an int8
RUN = 3  # cards in a row


@dataclass(frozen=True)
class TileMelding:
    """Which hands are complete, and how many cards others lack.

    Raises ValueError on numbers that make no such game, and where the counts of a suit are more than `MOST_ROWS`, which
    those of nine ranks of four cards are not.
    """

    layout: Layout  # its extra cards, such as winds and dragons, are in no run
    copies: Sequence[int]  # cards of each id, [layout.size]
    melds: int = 4  # of a complete hand
    pairs: int = 1  # likewise, no two of them alike

    def __post_init__(self) -> None:
        object.__setattr__(self, "copies", tuple(self.copies))
        copies.check(self.copies, sum(1 << card for card, number in enumerate(self.copies) if number), self.layout.size)
        for what, number in (("melds", self.melds), ("pairs", self.pairs)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise ValueError(f"{what} of a hand are a number from 0 on, got {number!r}")
        columns = (self.melds + 1) * (self.pairs + 1)
        if columns > MOST_COLUMNS or 3 * self.melds + 2 * self.pairs >= NEVER:
            raise ValueError(f"a hand of {self.melds} melds and {self.pairs} pairs is too large")
        for ids in self._blocks:
            if (rows := self._rows(ids)) > MOST_ROWS:
                raise ValueError(f"ids {ids[0]} to {ids[-1]}, a suit, have {rows:,} counts, more than {MOST_ROWS:,}")

    def __getstate__(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # tables are made again

    def lacking(self, hands: Tensor, melds: Tensor | None = None) -> Tensor:
        """How many cards hands would have to get, in place of others if need be, to be complete: 0 of one that is, and
        in Mahjong one more than its *shanten*.

        Args:
            hands: [..., size] counts, integers of any type, 0 or more; of any number of cards, of which some may be in
                no meld and no pair. More of an id than its ``copies`` are as good as these.
            melds: [...] integers, the melds that each hand needs, where some of its others lie open: 0 to
                ``self.melds``, by default so many.

        Returns:
            [...] int64; `NEVER` where the whole deck has not so many melds and pairs.
        """
        device, most = hands.device, copies.of_deck(self.copies, hands.device)
        counts = torch.minimum(hands.reshape(-1, self.layout.size).long(), most)
        least = None
        for ids, strides, table in self._tables:
            row = (counts[:, ids[0] : ids[-1] + 1] * strides.on(device)).sum(-1)
            here = table.on(device).index_select(0, row).t().contiguous()
            least = here if least is None else self._in_both(least, here)
        if melds is None:
            return least[-1].long().view(hands.shape[:-1])
        column = melds.long().expand(hands.shape[:-1]).reshape(1, -1) * (self.pairs + 1) + self.pairs
        return least.gather(0, column)[0].long().view(hands.shape[:-1])

    def _in_both(self, one: Tensor, other: Tensor) -> Tensor:
        """What is lacking to so many melds and pairs in some suits, by what is in one part of these and in the other:
        [columns, L] int8 each; the hands come last, so that rows of them are added at once."""
        first, second = self._shares.on(one.device).unbind()
        sums = one.index_select(0, first.flatten()) + other.index_select(0, second.flatten())
        return sums.unflatten(0, first.shape).amin(1).clamp(max=NEVER)

    @cached_property
    def _shares(self) -> Table:
        """The ways to share out the melds and pairs of each column among two parts, some of them twice: the columns of
        both, [2, columns, N] int64."""
        columns = list(itertools.product(range(self.melds + 1), range(self.pairs + 1)))
        ways = [
            [(columns.index(part), columns.index((melds - part[0], pairs - part[1])))
             for part in columns if part[0] <= melds and part[1] <= pairs]
            for melds, pairs in columns
        ]  # fmt: skip
        most = len(columns)
        filled = [[*each, *each[:1] * (most - len(each))] for each in ways]
        return Table(torch.tensor(filled).permute(2, 0, 1))

    @cached_property
    def _blocks(self) -> list[range]:
        """The ids of each suit, and extra ones, as many together as a table may hold."""
        ranks, first = self.layout.ranks, self.layout.suits * self.layout.ranks
        blocks = [range(ranks * suit, ranks * (suit + 1)) for suit in range(self.layout.suits) if ranks]
        for end in range(first + 1, self.layout.size + 1):
            if end == self.layout.size or self._rows(range(first, end + 1)) > MOST_ROWS:
                blocks.append(range(first, end))
                first = end
        return blocks

    def _rows(self, ids: range) -> int:
        return prod(self.copies[card] + 1 for card in ids)

    @cached_property
    def _tables(self) -> list[tuple[range, Table, Table]]:
        """The ids of each block, the rows that one more card of each is further down, and its table."""
        tables = []
        for ids in self._blocks:
            numbers = tuple(self.copies[card] for card in ids)
            strides = [prod(number + 1 for number in numbers[:place]) for place in range(len(numbers))]
            table = _lacking(numbers, ids[0] < self.layout.suits * self.layout.ranks, self.melds, self.pairs)
            tables.append((ids, Table(strides), table))
        return tables


@cache
def _lacking(numbers: tuple[int, ...], runs: bool, melds: int, pairs: int) -> Table:
    """What is lacking to so many melds and pairs of some ids, for all counts of cards of these: [rows, columns] int8,
    the first id's count being the one that changes from row to row.

    Args:
        numbers: cards of each id.
        runs: whether three ids in a row are a meld.
    """
    nothing = torch.full((melds + 1, pairs + 1, 1), NEVER, dtype=torch.int8)  # the rows come last
    nothing[0, 0, 0] = 0
    # By the runs that began one id before and two before, two of each at most: three alike are as good as three sets.
    ways = {(0, 0): nothing}
    for place, number in enumerate(numbers):
        more: dict[tuple[int, int], Tensor] = {}
        began = range(RUN if runs and place + RUN <= len(numbers) else 1)
        for begin, (one, two), sets, pair in itertools.product(
            began, ways, range(min(number // 3, melds) + 1), range(min(pairs, 1) + 1)
        ):
            before, used = ways[one, two], begin + one + two + 3 * sets + 2 * pair
            if used > number or begin + sets > melds:
                continue
            least = more.setdefault(
                (begin, one), before.new_full((*before.shape[:2], number + 1, before.shape[2]), NEVER)
            )
            before = before[: melds + 1 - begin - sets, : pairs + 1 - pair]
            for count in range(number + 1):
                there = least[begin + sets :, pair:, count]
                torch.minimum(there, before + max(used - count, 0), out=there)
        ways = {key: least.flatten(2) for key, least in more.items()}
    return Table(ways[0, 0].flatten(0, 1).t().contiguous())

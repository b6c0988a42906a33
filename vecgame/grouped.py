"""Sampling hidden hands of which more is known than which cards they may hold: exactly uniform over what is possible.

The cards are told apart in groups, such as the four of a rank. Of each group a hand may be known to hold one at least,
and the game may say of any part of a group whether a seat could hold just that. So what is known of one group says
nothing of another, and two things are enough to count deals: in how many ways a group's unseen cards can lie, by how
many of them each hand gets, and the same of all groups after it together. Worlds are dealt group after group by these.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vecgame import worlds
from vecgame.cards import Layout, bit, list_cards, popcount
from vecgame.philox import Purpose, Stream, check_count

MOST_WAYS = 1 << 14  # to deal the unseen cards of a group to the hands and what is not dealt


def draw_hands(
    unseen: Tensor,
    counts: Tensor,
    may: Tensor,
    needs: Tensor,
    shown: Tensor,
    groups: Sequence[int],
    keeps: Callable[[Tensor], Tensor],
    *,
    index: Tensor,
    turn: Tensor,
    count: int,
    seed: int,
    layout: Layout,
) -> Tensor:
    """Draws E hands from the unseen cards, every way to do so with the same probability. What they leave is undealt.

    Args:
        unseen: [B] int64 bitboards, the cards that may be anywhere.
        counts: [B, E] int64, cards that each hand gets; 0 for a hand that is known, and out of ``unseen``.
        may: [B, E] int64 bitboards, the cards that each hand may hold, unseen or not.
        needs: [B, E] int64 bitboards; of those of them that are in a group a hand gets one at least.
        shown: [B, E] int64 bitboards, what each hand holds beside the cards that it gets.
        groups: bitboards, no two with a card in common; a card in none is a group of its own.
        keeps: whether a hand may hold just these cards of a group, shown ones among them: [...] int64 -> [...] bool.
        index, turn, count, seed: as of `vecgame.worlds.draw_hands`, W = ``count``.
        layout: of the cards.

    Returns:
        [E, W, B] int64 bitboards.

    Raises:
        ValueError: on a count below 1, where there is no such deal, or where a group has more cards than can be listed
            for so many hands.
    """
    count = check_count(count)
    if counts.numel() == 0:
        return counts.new_zeros(counts.shape[1], count, len(index))
    # Hands that are known take no part: the others of each game come first, and there are at most K of them.
    order = (counts == 0).to(torch.int8).argsort(dim=-1, stable=True)
    counts, may, needs, shown = (field.gather(1, order) for field in (counts, may, needs, shown))
    most = counts.amax(0).tolist()
    hands = sum(number > 0 for number in most)
    sizes = [number + 1 for number in most[:hands]]
    if not hands:
        return counts.new_zeros(counts.shape[1], count, len(index))
    fields = [field[:, :hands] for field in (counts, may, torch.where(counts > 0, needs, 0), shown)]
    single = [1 << card for card in range(layout.size) if not any(group >> card & 1 for group in groups)]
    anywhere = functools.reduce(torch.bitwise_or, fields[2].unbind(-1), unseen)
    # Each is dealt by a number of its own, whichever of them the other games of the batch have cards of.
    numbered = {place: group for place, group in enumerate((*groups, *single)) if (anywhere & group != 0).any()}
    largest = [int(popcount(unseen & group).amax()) for group in numbered.values()]
    ways = (hands + 1) ** max(largest)
    if ways > MOST_WAYS:
        raise ValueError(f"{max(largest)} unseen cards of a group can lie in {ways} ways; there may be {MOST_WAYS}")
    table = torch.Size(sizes).numel()
    entries = sum(table + (hands + 1) ** cards * (3 * hands + 1) for cards in largest) + 4 * count * ways * (hands + 1)
    chunk = worlds.games_at_once(unseen.device, 8 * entries)
    drawn = []
    for start in range(0, len(index), chunk):
        part = slice(start, start + chunk)
        stream = Stream.of_worlds(seed, index[part], turn[part], count)
        drawn.append(_draw(unseen[part], *(field[part] for field in fields), numbered, keeps, sizes, stream, count))
    dealt = torch.cat(drawn)  # [B, W, K]
    place = order[:, None].expand(-1, count, -1)[..., :hands]
    return dealt.new_zeros(len(order), count, order.shape[1]).scatter(-1, place, dealt).permute(2, 1, 0)


def _draw(
    unseen: Tensor,
    counts: Tensor,
    may: Tensor,
    needs: Tensor,
    shown: Tensor,
    groups: dict[int, int],
    keeps: Callable[[Tensor], Tensor],
    sizes: list[int],
    stream: Stream,
    count: int,
) -> Tensor:
    """`draw_hands` for the games of a chunk and its K hands, group by group with the random number of that place:
    [B, W, K] int64."""
    steps = torch.tensor([torch.Size(sizes[place + 1 :]).numel() for place in range(len(sizes))], device=unseen.device)
    after = torch.zeros(len(unseen), *sizes, dtype=torch.float64, device=unseen.device)
    after.flatten(1)[:, 0] = 1.0  # where there are no more cards, hands that get none can be dealt in one way
    listed = []
    for group in reversed(groups.values()):
        parts, numbers, fits = _parts(unseen & group, counts, may, needs & group, shown & group, keeps)
        listed.append((after, parts, numbers, fits))
        after = _before(after, numbers, fits)
    if (after.flatten(1).gather(1, (counts * steps).sum(-1, keepdim=True)) == 0).any():
        raise ValueError("no cards are left that hidden hands could hold by what is known of them")
    uniform = stream.uniform(Purpose.WORLD, max(groups, default=0) + 1).view(len(unseen), count, -1, 1)
    left = counts[:, None].expand(-1, count, -1)  # [B, W, K]
    hands = torch.zeros_like(left)
    for place, (table, parts, numbers, fits) in zip(groups, reversed(listed), strict=True):
        enough = (left[:, :, None] >= numbers).all(-1) & fits[:, None]  # [B, W, A]
        entry = (left * steps).sum(-1, keepdim=True) - (numbers * steps).sum(-1)
        ways = table.flatten(1).gather(1, torch.where(enough, entry, 0).flatten(1)).view(entry.shape)
        ends = torch.where(enough, ways, 0.0).cumsum(-1)
        chosen = (ends <= uniform[:, :, place] * ends[..., -1:]).sum(-1)
        hands = hands | parts.gather(1, chosen[..., None].expand(-1, -1, parts.shape[-1]))
        left = left - numbers[chosen]
    return hands


def _parts(
    cards: Tensor, counts: Tensor, may: Tensor, needs: Tensor, shown: Tensor, keeps: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The A ways in which a group's unseen cards [B] may lie: what each hand gets, [B, A, K] int64, how many that is,
    [A, K] int64, and whether it fits what is known, [B, A] bool. No deal is there twice where a game has fewer cards
    than another."""
    number, hands = int(popcount(cards).amax()), may.shape[1]
    ways = list(itertools.product(range(hands + 1), repeat=number))
    owner = torch.tensor(ways, dtype=torch.int64, device=cards.device).view(
        len(ways), number, 1
    )  # [A, N, 1], K: nobody
    mine = owner == torch.arange(hands, device=cards.device)
    each = list_cards(cards, number)[:, None]  # [B, 1, N]
    parts = torch.where(mine, torch.where(each >= 0, bit(each.clamp(min=0)), 0)[..., None], 0).sum(2)
    fits = ((each >= 0) | (owner[..., 0] == hands)).all(-1)  # a card that is not there goes to nobody
    known = (parts & ~may[:, None] == 0) & ((needs[:, None] == 0) | (parts & needs[:, None] != 0))
    known = known & keeps(parts | shown[:, None]) | (counts == 0)[:, None]  # which gets none anyway
    return parts, mine.sum(1), fits & known.all(-1)


def _before(after: Tensor, numbers: Tensor, fits: Tensor) -> Tensor:
    """In how many ways a group and all after it can be dealt, by how many cards each hand gets of these.

    Args:
        after: [B, n + 1, ..] float64, the same of all after it.
        numbers: [A, K] int64, how many cards of the group each hand gets.
        fits: [B, A] bool.

    Returns:
        [B, n + 1, ..] float64.
    """
    kinds, which = numbers.unique(dim=0, return_inverse=True)
    ways = after.new_zeros(len(after), len(kinds)).index_add(1, which, fits.to(after.dtype))
    before = torch.zeros_like(after)
    for kind, taken in enumerate(kinds.tolist()):
        pairs = list(zip(taken, after.shape[1:], strict=True))
        here = (slice(None), *(slice(number, None) for number, _ in pairs))
        there = (slice(None), *(slice(0, max(size - number, 0)) for number, size in pairs))
        before[here] += ways[:, kind].view(-1, *[1] * len(taken)) * after[there]
    return before

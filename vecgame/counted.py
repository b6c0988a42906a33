"""Sampling hidden hands of a deck in which cards look alike: exactly uniform over what hands may hold.

Each card is one by itself, as everywhere (`vecgame.copies`). A hand is *bound* if it may not hold every id that is
unseen. Cards of ids that some bound hand may not hold come first and are dealt one by one (`vecgame.counts`), to the
bound hands or to all the rest. What places are then left in bound hands get any of the other cards, and the hands that
are not bound any of those that nobody has got.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor

from vecgame.cards import unpack
from vecgame.copies import cut, in_order
from vecgame.counts import deal_items, table_size
from vecgame.philox import Purpose, Stream, check_count
from vecgame.worlds import games_at_once

# Where in a world's stream the keys of cards begin that go anywhere: two words for each card of the largest deck.
FREE, OTHERS = 1 << 13, 1 << 14
MOST_ENTRIES = 1 << 28  # of a game's tables, float64: 2 GiB


def draw_hands(
    unseen: Tensor, needs: Tensor, may: Tensor, *, index: Tensor, turn: Tensor, count: int, seed: int
) -> Tensor:
    """Draws E hands from the unseen cards, every way to do so with the same probability. What they leave is undealt.

    The host waits for the device once, for the sizes of the tables, which have one more than its cards on a side for
    each bound hand.

    Args:
        unseen: [B, size] int64, how many cards of each id may be anywhere.
        needs: [B, E] int64, cards that each hand gets; 0 for a hand that is known, and out of ``unseen``.
        may: [B, E] int64 bitboards, the ids that each hand may hold, unseen or not, so that some deal is possible.
        index: [B] int64, the games' numbers.
        turn: [B] int64, `vecgame.Game.turn` of each.
        count: W, worlds a game, at least 1.
        seed: of the draw; with the game's number, the decision and the world's number it fixes the hands.

    Returns:
        [B, W, E, size] int8 counts.

    Raises:
        ValueError: on a count below 1, where hands need more cards than they may hold, or where so many of so many
            cards are bound that the tables would not fit into memory.
    """
    count, size = check_count(count), unseen.shape[1]
    if needs.numel() == 0:
        return needs.new_zeros(len(needs), count, needs.shape[1], size, dtype=torch.int8)
    fits = unpack(may, size=size)  # [B, E, size]
    bound = (needs > 0) & (~fits & (unseen > 0)[:, None]).any(-1)
    order = bound.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    bound, needs, fits = bound.gather(1, order), needs.gather(1, order), fits.gather(1, _rows(order, size))
    fits = fits | ~bound[..., None]
    apart = torch.where(fits.all(1), 0, unseen)  # cards that are dealt one by one
    taken = needs * bound
    rest = unseen.sum(-1) - taken.sum(-1)
    numbers = [unseen.sum(-1), apart.sum(-1), bound.sum(-1), *(taken + 1).t(), rest + 1]
    short = torch.cat([needs - (unseen[:, None] * fits).sum(-1), (needs.sum(-1) - unseen.sum(-1))[:, None]], -1)
    most_short, deck, listed, hands, *sides = torch.stack([short.amax(-1), *numbers]).amax(1).tolist()
    if most_short > 0:
        raise ValueError(f"hidden hands need {most_short} cards more than they may hold")
    stream = Stream.of_worlds(seed, index, turn, count)
    sides = [*sides[:hands], sides[-1]]
    got = _one_by_one(apart, taken[:, :hands], rest, fits[:, :hands], sides, stream, count, listed)
    drawn = got.new_zeros(len(stream.game), needs.shape[1], size)
    drawn[:, :hands] = got
    needs, pool = (repeat(field, "lane n -> (lane world) n", world=count) for field in (needs, unseen))
    free = repeat(unseen - apart, "lane n -> (lane world) n", world=count)
    left = taken.repeat_interleave(count, 0) - drawn.sum(-1, dtype=torch.int64)
    drawn = drawn + _any(stream.at(FREE), free, left, deck)
    pool = pool - drawn.sum(1, dtype=torch.int64)
    drawn = drawn + _any(stream.at(OTHERS), pool, needs - drawn.sum(-1, dtype=torch.int64), deck)
    drawn = rearrange(drawn, "(lane world) hand size -> lane world hand size", world=count)
    place = repeat(order.argsort(-1), "lane hand -> lane world hand size", world=count, size=size)
    return drawn.gather(2, place)


def _rows(order: Tensor, size: int) -> Tensor:
    return order[..., None].expand(-1, -1, size)


def _any(stream: Stream, pool: Tensor, needs: Tensor, deck: int) -> Tensor:
    """So many cards of a pool [L, size] int64 for each hand, [L, E] int64, whichever: [L, E, size] int8."""
    return cut(in_order(stream.keys(Purpose.WORLD, deck), pool), needs.cumsum(-1), pool.shape[1])


def _one_by_one(
    cards: Tensor, needs: Tensor, rest: Tensor, fits: Tensor, sides: list[int], stream: Stream, count: int, listed: int
) -> Tensor:
    """What bound hands get of the cards that some of them may not hold.

    Args:
        cards: [B, size] int64, at most ``listed`` in all.
        needs: [B, K] int64, cards that each hand gets, of these or others.
        rest: [B] int64, cards that no bound hand gets.
        fits: [B, K, size] bool, the ids that each may hold.
        sides: one more than the most that each hand gets, and than the most that are left for the rest.
        stream: B * W lanes, W = ``count``.

    Returns:
        [B * W, K, size] int8.
    """
    (games, size), hands = cards.shape, needs.shape[1]
    got = torch.zeros(len(stream.game), hands, size + 1, dtype=torch.int8, device=cards.device)
    if not hands:
        return got[..., :size]
    entries = table_size(listed, sides)
    if entries > MOST_ENTRIES:
        held = " x ".join(str(side - 1) for side in sides[:hands])
        raise ValueError(
            f"hands of {held} cards may each not hold all: too many, to count in how many ways they are dealt"
        )
    chunk = min(games_at_once(cards.device, 8 * entries), games)
    workspace = torch.empty(chunk * entries, dtype=torch.float64, device=cards.device)
    place = torch.arange(listed, device=cards.device).expand(games, -1).contiguous()
    ids = torch.searchsorted(cards.cumsum(-1), place, right=True)  # [B, N], ``size`` beyond the last card
    takes = torch.cat([fits, torch.ones_like(fits[:, :1])], 1)  # the rest takes any
    takes = torch.cat([takes, torch.zeros_like(takes[..., :1])], -1).gather(2, repeat(ids, "b n -> b k n", k=hands + 1))
    takes = rearrange(takes, "lane bin item -> item bin lane")
    places = torch.cat([needs, rest[:, None]], 1).t()
    draws = rearrange(stream.uniform(Purpose.WORLD, listed), "(lane world) item -> item world lane", world=count)
    axis = torch.eye(hands + 1, dtype=torch.bool, device=cards.device)[:, :, None]
    for start in range(0, games, chunk):
        part = slice(start, start + chunk)
        bins, uniform = takes[..., part].contiguous(), draws[..., part].contiguous()
        dealt = deal_items(places[:, part].contiguous(), bins, bins, axis, sides, uniform, workspace)
        to = got[start * count : (start + chunk) * count]
        for card, (taken, *_) in zip(ids[part].t(), dealt, strict=True):
            card = repeat(card, "lane -> (lane world) hand 1", world=count, hand=hands)
            to.scatter_add_(2, card, rearrange(taken[:hands].to(torch.int8), "hand world lane -> (lane world) hand 1"))
    return got[..., :size]

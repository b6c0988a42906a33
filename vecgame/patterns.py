"""Sampling hidden hands for any number of opponents: exactly uniform, by counting suit patterns.

`vecgame.worlds` counts by how many cards each opponent still gets, in tables of one axis an opponent: the right shape
for three of them, too large for six. The tables here have one axis a suit, whatever the number of opponents.

A *need* is one card that an opponent still gets. List the needs of all opponents one after the other, then the undealt
cards, and call the suits of the cards in these places the deal's *pattern*. Whether a deal is consistent with the voids
shown depends on its pattern alone, and every pattern comes from equally many deals: prod n_s! of them, n_s being the
unseen cards of suit s. So a uniform pattern, and for each place any card of its suit that is left, is a uniform deal.
With m = (m_1, .., m_4) cards left of each suit, the patterns of the places i, i+1, .. number

    G_i(m) = sum of G_{i+1}(m - e_s) over the suits s that the owner of place i may hold,

so that suit s is drawn with probability G_{i+1}(m - e_s) / G_i(m). The needs of opponents who have shown a void in an
unseen suit come first in the list. From there on every place may take every card: G is a multinomial coefficient, and
the place takes any card that is left. The number of cards left is known at every place, so three of the m_s tell the
fourth, and a table has three axes. Counts are float64: exact below 2**53, and within a relative 1e-14 of exact above.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from vecgame.cards import DECK, RANKS, SUIT_BITS, SUITS, popcount, suit_bits, unpack
from vecgame.philox import Stream
from vecgame.state import StateT
from vecgame.worlds import HiddenHands, chunk_of, in_chunks, opponents, repeat_with, uniforms

AXES = SUITS - 1  # of a table: the cards left of the first three suits


def determinize(game: HiddenHands, state: StateT, count: int, seed: int) -> StateT:
    """``count`` worlds of every game, drawn with replacement, as `vecgame.worlds.determinize` does it for four seats.

    Args:
        game: one whose `may_hold` leaves out whole suits only.
        state: B games; a finished one has nothing hidden and comes back ``count`` times.
        count: worlds a game, at least 1.

    Returns:
        B * count lanes, the worlds of a game adjacent.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if state.batch_size == 0:
        return state
    sizes = _sizes(game, state)
    bound, _, sides = sizes
    bytes_per_game = 8 * (bound + 1) * sides[0] * sides[1] * sides[2]
    chunk = chunk_of(state, bytes_per_game)
    return in_chunks(state, chunk, lambda part: _determinize_chunk(game, part, count, seed, sizes))


def _sizes(game: HiddenHands, state: StateT) -> tuple[int, int, tuple[int, ...]]:
    """What bounds the shapes: the batch's most needs of opponents with voids, most of the others, and for the first
    three suits one more than the most unseen cards. The host waits for them once, as in `vecgame.worlds._sizes`.
    """
    unseen, _, allowed, needs = _hidden(game, state)
    bound = ~allowed.all(1)
    most = [(needs * wanted).sum(0).max() for wanted in (bound, ~bound)]
    bound, unbound, *sides = torch.stack([*most, *(unseen.amax(1)[:AXES] + 1)]).tolist()
    return bound, unbound, tuple(sides)


def _hidden(game: HiddenHands, state: StateT) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the mover knows of the other hands.

    Returns:
        [4, B] unseen cards of each suit, as numbers; [B] the unseen cards, as bitboards; [P - 1, 4, B] bool, the
        opponent may hold the suit, or none of the suit is unseen; [P - 1, B] cards that each opponent holds.
    """
    mover = game.mover(state)
    own = state.hands.gather(1, mover[:, None])[:, 0]
    cards = game.deck & ~(own | state.seen)
    suits = suit_bits(torch.arange(SUITS, device=state.device))[:, None]
    unseen = cards & suits  # [4, B]
    may = game.may_hold(state, mover)[:, None] & unseen
    needs = popcount(state.hands).gather(1, opponents(mover, game.seats)).t()
    return popcount(unseen), cards, (may != 0) | (unseen == 0), needs


def _determinize_chunk(
    game: HiddenHands, state: StateT, count: int, seed: int, sizes: tuple[int, int, tuple[int, ...]]
) -> StateT:
    bound, unbound, sides = sizes
    unseen, cards, allowed, needs = _hidden(game, state)
    free = allowed.all(1)  # [P - 1, B]
    stream = Stream.of_worlds(seed, state.index, game.turn(state), count)
    left = torch.stack([cards >> RANKS * suit & SUIT_BITS for suit in range(SUITS)])
    left = left[:, None].repeat(1, count, 1)  # [4, W, B]
    hands = torch.zeros(len(needs), *left.shape[1:], dtype=torch.int64, device=state.device)
    if bound:
        owner, wanted = _owners(needs * ~free, bound)
        may = _allowed(allowed, owner, wanted)
        table = pattern_counts(may, unseen, wanted.sum(0), sides)
        left, hands = _deal_bound(table, may, owner, unseen, left, hands, uniforms(stream, count, bound))
    owner, wanted = _owners(needs * free, unbound)
    hands = _deal_free(owner, wanted, left, hands, uniforms(stream.at(DECK), count, unbound))
    return repeat_with(state, count, opponents(game.mover(state), game.seats), hands)


def _owners(needs: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """Whose each place of the list is.

    Args:
        needs: [P - 1, B] int64, how many places each opponent has, one opponent after the other.
        places: N, at least the most places of a lane.

    Returns:
        [N, B] int64 opponents, the last one after a lane's places; [N, B] bool, it is one of the lane's places.
    """
    ends = needs.cumsum(0)
    place = torch.arange(places, device=needs.device)[:, None]
    owner = (place[:, None] >= ends).sum(1)
    return owner.clamp(max=len(needs) - 1), place < ends[-1]


def _allowed(allowed: Tensor, owner: Tensor, wanted: Tensor) -> Tensor:
    """The suits that the owner of each place may hold: [P - 1, 4, B] and [N, B] twice -> [N, 4, B] bool, no suit where
    a place is not the lane's."""
    index = owner[:, None].expand(-1, SUITS, -1)
    return allowed.gather(0, index) & wanted[:, None]


def pattern_counts(may: Tensor, unseen: Tensor, places: Tensor, sides: tuple[int, ...]) -> Tensor:
    """The tables G_i of the module's docstring.

    Args:
        may: [N, 4, B] bool, suits that place i may take; none of them in places that are not the lane's.
        unseen: [4, B] int64, unseen cards of each suit.
        places: [B] int64, the lane's number of places, at most N.
        sides: one more than the most cards of each of the first three suits.

    Returns:
        [N + 1, *sides, B] float64 at [i, m_1, m_2, m_3]. The batch comes last: the shifts then run over long rows.
    """
    table = torch.empty(len(may) + 1, *sides, may.shape[-1], dtype=torch.float64, device=may.device)
    table[-1] = _multinomials(unseen.sum(0) - places, sides)
    weight = may.double()
    idle = ~may.any(1)  # a place that is not the lane's changes nothing
    for i in reversed(range(len(may))):
        after, now = table[i + 1], table[i]
        torch.mul(after, weight[i, AXES] + idle[i], out=now)
        now[1:].addcmul_(after[:-1], weight[i, 0])
        now[:, 1:].addcmul_(after[:, :-1], weight[i, 1])
        now[:, :, 1:].addcmul_(after[:, :, :-1], weight[i, 2])
    return table


def _multinomials(left: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Orders of ``left`` [B] suits of which m_1, m_2, m_3 are the first three: [*sides, B] float64, 0 where that is
    more than there are."""
    choose = _binomials(left.device)
    rest, ways = left.expand(*sides, -1), torch.ones((), dtype=torch.float64, device=left.device)
    for axis, side in enumerate(sides):
        taken = torch.arange(side, device=left.device).view(-1, *[1] * (AXES - axis))
        ways = ways * choose[rest.clamp(min=0), taken]
        rest = rest - taken
    return torch.where(rest >= 0, ways, 0.0)


@cache
def _binomials(device: torch.device) -> Tensor:
    """n over k: [53, 14] float64, exact."""
    row = torch.zeros(RANKS + 1, dtype=torch.float64)
    row[0] = 1
    rows = [row]
    for _ in range(DECK):
        rows.append(torch.cat([rows[-1][:1], rows[-1][1:] + rows[-1][:-1]]))
    return torch.stack(rows).to(device)


def _deal_bound(
    table: Tensor, may: Tensor, owner: Tensor, unseen: Tensor, left: Tensor, hands: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor]:
    """Deals to the places of opponents with voids, place after place, by the tables.

    Args:
        table: [N + 1, *sides, B], see `pattern_counts`.
        may: [N, 4, B] bool.
        owner: [N, B] int64.
        unseen: [4, B] int64.
        left: [4, W, B] int64, the 13 bits of each suit's cards that are not dealt.
        hands: [P - 1, W, B] int64 bitboards.
        uniform: [N, W, B] float64 in [0, 1).

    Returns:
        left and hands after these places.
    """
    lanes, (_, second, third) = unseen.shape[1], table.shape[1:4]
    steps = (lanes * second * third, lanes * third, lanes, 0)  # in a table, for one card less of each suit
    here = sum(number * step for number, step in zip(unseen, steps, strict=True))
    here = (here + torch.arange(lanes, device=left.device)).expand(left.shape[1:])  # G_i(m) in its table: [W, B]
    for i in range(len(may)):
        after = table[i + 1].view(-1)
        reached = torch.stack([here - step for step in steps]).clamp(min=0)  # [4, W, B]
        ways = after.index_select(0, reached.view(-1)).view(reached.shape)
        suit, card, left = _take(left, ways * (may[i][:, None] & (left != 0)), uniform[i])
        here = torch.where(card != 0, reached.gather(0, suit[None])[0], here)
        hands = hands.scatter_add(0, owner[i].expand(1, *here.shape), card[None])
    return left, hands


def _deal_free(owner: Tensor, wanted: Tensor, left: Tensor, hands: Tensor, uniform: Tensor) -> Tensor:
    """Deals to the places of opponents who may hold anything: `_deal_bound` with any card that is left; ``wanted``
    [N, B] bool marks the lane's places."""
    for i in range(len(owner)):
        number = _ranks_of(left.device)[1].index_select(0, left.view(-1)).view(left.shape)
        _, card, left = _take(left, number * wanted[i], uniform[i])
        hands = hands.scatter_add(0, owner[i].expand(1, *card.shape), card[None])
    return hands


def _take(left: Tensor, ways: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Takes a card from a suit drawn in proportion to ``ways``, each card of the suit alike.

    Args:
        left: [4, W, B] int64, the 13 bits of each suit's cards.
        ways: [4, W, B] float64, 0 where a suit has no cards; no card is taken where all are 0.
        uniform: [W, B] float64 in [0, 1).

    Returns:
        [W, B] int64 suits; [W, B] int64 bitboards of one card or none; left without it.
    """
    first, second, third = ways[0], ways[0] + ways[1], ways[0] + ways[1] + ways[2]
    total = third + ways[3]
    draw = uniform * total
    suit = (draw >= first).long() + (draw >= second) + (draw >= third)
    below = draw - torch.where(suit == 0, 0, torch.where(suit == 1, first, torch.where(suit == 2, second, third)))
    bits, width = (tensor.gather(0, suit[None])[0] for tensor in (left, ways))
    nth, number = _ranks_of(left.device)
    # What the suit's interval leaves of the draw is uniform again, and says which of the suit's cards it is.
    number = number.index_select(0, bits.view(-1)).view(bits.shape)
    which = torch.minimum(torch.where(width > 0, below / width * number, 0), number - 1).clamp(min=0).long()
    rank = nth.index_select(0, (bits * RANKS + which).view(-1)).view(bits.shape)
    card = torch.where(total > 0, 1 << rank, 0)
    return suit, card << RANKS * suit, left.scatter(0, suit[None], (bits ^ card)[None])


@cache
def _ranks_of(device: torch.device) -> tuple[Tensor, Tensor]:
    """For every set of cards of one suit: its ranks in ascending order, [8192 * 13] int64 at 13 * bits + number (0 from
    its end on), and how many they are, [8192] float64."""
    mask = unpack(torch.arange(SUIT_BITS + 1))[:, :RANKS]
    ranks = torch.where(mask, torch.arange(RANKS), RANKS).sort(-1).values
    return (ranks % RANKS).flatten().to(device), mask.sum(-1).double().to(device)

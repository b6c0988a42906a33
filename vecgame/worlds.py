"""Sampling hidden hands: exactly uniform over every deal that the mover's information allows.

The mover knows its own hand, the cards played, how many cards each seat holds, how many are undealt, and cards that a
seat has shown it does not hold: whole suits, for the most part. `vecgame.counts` deals items into bins of places, and
there are two lists of items. Those that may go anywhere need no counting, as all of them during the bidding.

- Of cards, with the hands and the undealt pile for bins. Cards that some hand may not hold come first. The tables have
  an axis a hand: the right shape for three of them, too large for six.
- Of *needs*, with the cards for places. A need is one card that a hand still gets. Needs of hands that may not hold
  every unseen card come first; all others take any card that is left. The tables have an axis for each class of cards,
  which are those that the same hands may hold: a few, however many hands there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor

from vecgame.cards import DECK, SEATS, STANDARD, Layout, nth_card, popcount
from vecgame.counts import deal_items, table_size
from vecgame.lanes import around, none
from vecgame.memory import unused_memory
from vecgame.philox import Purpose, Stream, check_count
from vecgame.state import State, StateT

# Tables are built for as many games at a time as fit in this many bytes. On a CPU that is little enough for its cache
# to help; a GPU is kept busiest by all games in one piece, so there it is a share of the memory that is free.
TABLE_BYTES = {"cpu": 32 << 20}
TABLE_SHARE = 0.25
BY_CARD = 3  # so many hands are drawn by the list of cards

# What is asked first to do the work of `draw_hands`, by type of device. It gives None where it does not.
DRAWN_BY: dict[str, Callable[..., Tensor | None]] = {}

Sizes = list[
    int
]  # that bound the shapes: most items that are counted, most others, most bins, and a side for each axis
Draw = Callable[[slice, Tensor, Sizes, Tensor], Tensor]  # games, random numbers [I, W, B], .., workspace -> hands


class HiddenHands(Protocol):
    """A game whose hidden hands can be drawn. Its states have `hands` [B, P] and `seen` [B], int64 bitboards of the
    cards that each seat holds and of those that everybody has seen."""

    seats: int
    deck: int  # bitboard
    layout: Layout

    def mover(self, state: State) -> Tensor:
        """[B] int64, the seat that knows its own hand."""

    def turn(self, state: State) -> Tensor:
        """[B] int64, how many decisions have been made."""

    def may_hold(self, state: State, viewer: Tensor) -> Tensor:
        """[P - 1, B] int64, the cards that the seats after ``viewer`` [B] may hold as far as it knows, whether they are
        still out or not."""


def determinize(game: HiddenHands, state: StateT, count: int, seed: int) -> StateT:
    """``count`` worlds of every game, drawn with replacement. The host waits for the device once, for `_sizes`.

    Everything public stays as it is, and so does the mover's hand; the other hands are drawn. The draw depends on
    the seed, the game's number, the decision and the world's number within the game only.

    Args:
        state: B games; a finished one has nothing hidden and comes back ``count`` times.
        count: worlds a game, at least 1.

    Returns:
        B * count lanes, the worlds of a game adjacent.
    """
    others, unseen, may = unknown(game, state)
    needs = popcount(state.hands).gather(1, others).t()
    hands = draw_hands(unseen, needs, may, state.index, game.turn(state), count, seed, game.layout)
    drawn = rearrange(hands, "opponent world lane -> (lane world) opponent")
    worlds = state.repeat(count)
    return replace(worlds, hands=worlds.hands.scatter(1, others.repeat_interleave(count, dim=0), drawn))


def unknown(game: HiddenHands, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """What the movers of B games do not see: the other seats [B, P - 1] int64 in their order after the mover, the cards
    that may be anywhere [B], and those that each of the others may hold, unseen or not, [P - 1, B] int64 bitboards."""
    mover = game.mover(state)
    unseen = game.deck & ~(state.hands.gather(1, mover[:, None])[:, 0] | state.seen)
    return opponents(mover, game.seats), unseen, game.may_hold(state, mover)


def opponents(mover: Tensor, seats: int = SEATS) -> Tensor:
    """The seats after the mover [B]: [B, seats - 1] int64."""
    return around(mover[:, None] + torch.arange(1, seats, device=mover.device), seats)


def draw_hands(
    unseen: Tensor,
    needs: Tensor,
    may: Tensor,
    index: Tensor,
    turn: Tensor,
    count: int,
    seed: int,
    layout: Layout = STANDARD,
) -> Tensor:
    """Draws K hands from the unseen cards, every way to do so with the same probability. What they leave is undealt.

    `determinize` draws the hands of all seats but the mover. A game in which the mover has not looked at its own hand,
    or sees all but its own, calls this with the hands that are hidden from it.

    Args:
        unseen: [B] int64 bitboards, the cards that may be anywhere.
        needs: [K, B] int64, cards that each hand gets; 0 for a hand that is known, and out of ``unseen``.
        may: [K, B] int64 bitboards, the cards that each hand may hold, unseen or not, so that some deal is possible.
            With another number of hands than three, memory is for a few classes of cards, not for dozens.
        index: [B] int64, the games' numbers.
        turn: [B] int64, how many decisions have been made in each.
        count: W, worlds a game, at least 1.
        seed: of the draw; with the game's number, the decision and the world's number it fixes the hands.
        layout: of the cards.

    Returns:
        [K, W, B] int64 bitboards.

    Raises:
        ValueError: on a count below 1, or where hands need more cards than they may hold.
    """
    count = check_count(count)
    if needs.numel() == 0:
        return needs.new_zeros(len(needs), count, len(index))
    draw = DRAWN_BY.get(unseen.device.type)
    if draw and (hands := draw(unseen, needs, may, index, turn, count, seed)) is not None:
        return hands
    if len(needs) == BY_CARD:
        numbers, draw = _cards_into_hands(unseen, needs, may)
    else:
        numbers, draw = _needs_from_classes(unseen, needs, may, layout)
    short = torch.cat([needs - popcount(unseen & may), (needs.sum(0) - popcount(unseen))[None]])
    *sizes, most_short = _sizes(torch.cat([numbers, short.amax(0)[None]]))
    if most_short > 0:
        raise ValueError(f"hidden hands need {most_short} cards more than they may hold")
    listed, others, _, *sides = sizes
    entries = table_size(listed, sides)
    chunk = min(games_at_once(unseen.device, 8 * (entries + 2 * listed * sum(sides))), len(index))
    workspace = torch.empty(chunk * entries if listed else 0, dtype=torch.float64, device=unseen.device)
    hands = []
    for start in range(0, len(index), chunk):
        part = slice(start, start + chunk)
        stream = Stream.of_worlds(seed, index[part], turn[part], count)
        uniform = torch.cat([_uniforms(stream, count, listed), _uniforms(stream.at(DECK), count, others)])
        hands.append(draw(part, uniform, sizes, workspace))
    return hands[0] if len(hands) == 1 else torch.cat(hands, -1)


def _sizes(numbers: Tensor) -> Sizes:
    """The largest of each row of [n, B] int64. Read from the device together, for which the host waits once.

    That pays on a GPU too: the game's own bounds would mean tables of the whole deck at every decision, in the bidding
    as well, where no card is restricted.
    """
    return numbers.amax(1).tolist()


def games_at_once(device: torch.device, bytes_per_game: int) -> int:
    """Games whose tables fit into `TABLE_BYTES`, or on a GPU into `TABLE_SHARE` of its free memory; at least one."""
    room = TABLE_BYTES.get(device.type)
    if room is None:
        room = int(TABLE_SHARE * unused_memory(device))
    return max(1, room // bytes_per_game)


def _uniforms(stream: Stream, count: int, items: int) -> Tensor:
    """Random numbers for every item of every world: [items, W, B] float64."""
    uniform = stream.uniform(Purpose.WORLD, items)
    return rearrange(uniform, "(lane world) item -> item world lane", world=count)


# --- the two lists: the numbers [n, B] whose largest are `Sizes`, and how to draw ---


def _cards_into_hands(unseen: Tensor, needs: Tensor, may: Tensor) -> tuple[Tensor, Draw]:
    """Items are the unseen cards, those first that some hand may not hold; bins are the hands and the undealt pile."""
    free = unseen & reduce(torch.bitwise_and, may)
    restricted = unseen ^ free
    places = torch.cat([needs, (popcount(unseen) - needs.sum(0))[None]])  # [K + 1, B]

    def draw(part: slice, uniform: Tensor, sizes: Sizes, workspace: Tensor) -> Tensor:
        listed, others, _, *sides = sizes
        cards = _single_cards(restricted[part], listed)  # [N, B]
        takes = torch.cat([cards[:, None] & may[:, part] != 0, cards[:, None] != 0], 1)
        axis = torch.eye(len(places), dtype=torch.bool, device=uniform.device)[:, :, None]
        hands = torch.zeros(len(needs), *uniform.shape[1:], dtype=torch.int64, device=uniform.device)
        dealt = deal_items(places[:, part], takes, takes, axis, sides, uniform, workspace)
        for card, (taken, *_) in zip([*cards, *_single_cards(free[part], others)], dealt, strict=True):
            hands |= card & -taken[: len(hands)]
        return hands

    bins = torch.full_like(unseen, len(places))
    return torch.stack([popcount(restricted), popcount(free), bins, *(places + 1)]), draw


def _needs_from_classes(unseen: Tensor, needs: Tensor, may: Tensor, layout: Layout) -> tuple[Tensor, Draw]:
    """Items are needs, those of hands first that may not hold every unseen card; bins are sets of cards of a class."""
    bound = unseen & ~may != 0  # [K, B]
    bins, classes = _classes(unseen, may, bound & (needs > 0), layout)

    def draw(part: slice, uniform: Tensor, sizes: Sizes, workspace: Tensor) -> Tensor:
        listed, others, most_bins, *sides = sizes
        owner, wanted = _owners((needs * bound)[:, part], listed)
        left = unseen[part].expand(uniform.shape[1:])
        hands = torch.zeros(len(needs), *left.shape, dtype=torch.int64, device=uniform.device)
        if listed:
            sides = [side for side in sides if side > 1]
            sets, same = bins[:most_bins, part], classes[: len(sides), part]  # [S, B], [A, B]
            mine = torch.where(wanted, may[:, part].gather(0, owner), 0)[:, None]
            takes, counted = mine & sets != 0, mine & same != 0
            dealt = deal_items(
                popcount(sets), takes, counted, same[:, None] & sets != 0, sides, uniform[:listed], workspace
            )
            for seat, (taken, draw, bounds, each) in zip(owner, dealt, strict=True):
                # What the bin's interval leaves of the draw is uniform again, and says which of its cards it is.
                beyond, ways = ((taken * number).sum(0) for number in (draw - bounds[:-1], each))
                card = nth_card(left & (taken * sets[:, None]).sum(0), (beyond / ways.clamp(min=1)).long())
                left = left ^ card
                _give(hands, seat, card)
        remaining = popcount(unseen[part]) - wanted.sum(0)
        owner, wanted = _owners((needs * ~bound)[:, part], others)
        for place, number in enumerate(uniform[listed:]):
            card = nth_card(torch.where(wanted[place], left, 0), (number * (remaining - place)).long())
            left = left ^ card
            _give(hands, owner[place], card)
        return hands

    items = torch.stack([(needs * bound).sum(0), (needs * ~bound).sum(0), (bins != 0).sum(0)])
    return torch.cat([items, popcount(classes) + 1]), draw


def _give(hands: Tensor, owner: Tensor, card: Tensor) -> None:
    """Puts ``card`` [W, B] into the hand of ``owner`` [B], of hands [K, W, B]."""
    hands |= card & -(owner == torch.arange(len(hands), device=owner.device)[:, None, None]).long()


def _single_cards(bits: Tensor, count: int) -> Tensor:
    """The cards of each set in ascending order, as bitboards of one card: [B] int64 -> [count, B], filled up with 0."""
    cards = []
    for _ in range(count):
        rest = bits & (bits - 1)
        cards.append(bits ^ rest)
        bits = rest
    return torch.stack(cards) if cards else bits.new_empty(0, *bits.shape)


def _owners(needs: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """Whose each place of the list is.

    Args:
        needs: [K, B] int64, how many places each hand has, one hand after the other.
        places: N, at least the most places of a lane.

    Returns:
        [N, B] int64 hands, the last one after a lane's places; [N, B] bool, it is one of the lane's places.
    """
    ends = needs.cumsum(0)
    place = torch.arange(places, device=needs.device)[:, None]
    owner = (place[:, None] >= ends).sum(1)
    return owner.clamp(max=len(needs) - 1), place < ends[-1]


def _classes(unseen: Tensor, may: Tensor, bound: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """The classes of cards that the same bound hands may hold; cards that no bound hand may hold are in none.

    Args:
        unseen: [B] int64.
        may: [K, B] int64.
        bound: [K, B] bool.

    Returns:
        [C, B] int64, the cards of each class and suit, by suit; [C, B] int64, the classes, the largest first. Both are
        filled up with empty sets.
    """
    cards = unseen & reduce(torch.bitwise_or, torch.where(bound, may, 0))
    may = torch.where(bound, may, -1)
    may_not = ~may
    sets, classes = [torch.zeros_like(cards)], [torch.zeros_like(cards)]
    for suit in range(layout.suits + 1):
        rest = cards & layout.block(suit)
        for _ in range(min(layout.block(suit).bit_count(), (1 << len(may)) - 1)):
            if none(rest != 0):
                break
            alike = torch.where(may & (rest & -rest) != 0, may, may_not)
            classes.append(reduce(torch.bitwise_and, alike, cards))
            sets.append(rest & classes[-1])
            rest = rest ^ sets[-1]
    sets, classes = torch.stack(sets), torch.stack(classes)
    classes = torch.where(classes & -classes & sets != 0, classes, 0)  # once each, with the set of its lowest card
    by_size = popcount(classes).sort(dim=0, descending=True, stable=True).indices
    return sets.gather(0, (sets == 0).sort(dim=0, stable=True).indices), classes.gather(0, by_size)

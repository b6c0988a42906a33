"""Sampling hidden hands: exactly uniform over every deal that the mover's information allows.

The mover knows its own hand, the cards played, how many cards each seat holds, how many are undealt, and cards that a
seat has shown it does not hold: whole suits, for the most part. Items are dealt one after the other into bins of
places, all of which are told apart, so that every deal comes from equally many ways to do it. The ways to place the
items i, i+1, .. with m_a places left in bin a are

    N_i(m) = sum of m_a N_{i+1}(m - e_a) over the bins a that may take item i,    N_end = 1,

and dealing item after item into bin a with probability m_a N_{i+1}(m - e_a) / N_i(m) makes every consistent deal
equally likely, without rejection. Only items that some bin may not take need counting. What comes after them may go
anywhere, in equally many ways whatever was done before: there N is the same everywhere, and no table is needed, as
during all of the bidding. There are two lists of items:

- of cards, with the opponents and the undealt pile for bins (`_cards_into_hands`). Cards that some opponent is known not
  to hold come first. The tables have an axis an opponent: the right shape for three of them, too large for six.
- of *needs*, with the cards for places (`_needs_from_classes`). A need is one card that an opponent still gets. Needs of
  opponents who may not hold every unseen card come first, then all others take any card that is left. A bin is a class of
  cards, those that the same opponents may hold: a few for any number of opponents.

The places left in all bins are known at every item, so the bin with the most places follows from the others and takes no
axis. Counts are float64: exact below 2**53, and within a relative 1e-14 of exact above. They are summed in the order of
the bins, so that a game's worlds do not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, reduce
from math import prod
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor

from vecgame.cards import DECK, SEATS, STANDARD, SUITS, Layout, nth_card, popcount, suit_bits
from vecgame.lanes import around, none
from vecgame.memory import free_memory
from vecgame.philox import Purpose, Stream
from vecgame.state import State, StateT

# Tables are built for as many games at a time as fit in this many bytes. On a CPU that is little enough for its cache to
# help; a GPU is kept busiest by all games in one piece, so there it is a share of the memory that is free.
TABLE_BYTES = {"cpu": 32 << 20}
TABLE_SHARE = 0.25
BY_CARD = 3  # hands for which the list of cards is used

Sizes = list[int]  # what bounds the shapes: most items that need counting, most others, most bins, a side for each axis
Draw = Callable[[slice, Tensor, Sizes, Tensor], Tensor]  # of some games, [I, W, B] random numbers: their hands [K, W, B]


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
    mover = game.mover(state)
    others = opponents(mover, game.seats)
    unseen = game.deck & ~(state.hands.gather(1, mover[:, None])[:, 0] | state.seen)
    needs = popcount(state.hands).gather(1, others).t()
    may = game.may_hold(state, mover)
    hands = draw_hands(unseen, needs, may, state.index, game.turn(state), count, seed, game.layout)
    drawn = rearrange(hands, "opponent world lane -> (lane world) opponent")
    worlds = state.repeat(count)
    return replace(worlds, hands=worlds.hands.scatter(1, others.repeat_interleave(count, dim=0), drawn))


def opponents(mover: Tensor, seats: int = SEATS) -> Tensor:
    """The seats after the mover [B]: [B, seats - 1] int64."""
    return around(mover[:, None] + torch.arange(1, seats, device=mover.device), seats)


@cache
def suits_left(device: torch.device) -> Tensor:
    """The cards of the suits whose bit is not set: [16] int64."""
    suits = torch.arange(SUITS)
    missing = (torch.arange(1 << SUITS)[:, None] >> suits) & 1
    return (suit_bits(suits) * (1 - missing)).sum(-1).to(device)


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

    `determinize` draws the hands of all seats but the mover. A game in which the mover has not looked at its own hand, or
    sees the others' and not its own, calls this with the hands that are hidden from it.

    Args:
        unseen: [B] int64 bitboards, the cards that may be anywhere.
        needs: [K, B] int64, cards that each hand gets; 0 for a hand that is known, and out of ``unseen``.
        may: [K, B] int64 bitboards, the cards that each hand may hold, unseen or not.
        index: [B] int64, the games' numbers.
        turn: [B] int64, how many decisions have been made in each.
        count: W, worlds a game, at least 1.
        seed: of the draw; with the game's number, the decision and the world's number it fixes the hands.
        layout: of the cards.

    Returns:
        [K, W, B] int64 bitboards.

    Raises:
        ValueError: on a count below 1, or where hands need more cards than there are.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if needs.numel() == 0:
        return needs.new_zeros(len(needs), count, len(index))
    if len(needs) == BY_CARD:
        numbers, draw = _cards_into_hands(unseen, needs, may)
    else:
        numbers, draw = _needs_from_classes(unseen, needs, may, layout)
    *sizes, beyond = _sizes([*numbers, needs.sum(0) - popcount(unseen)])
    if beyond > 0:
        raise ValueError(f"hands need {beyond} more cards than are unseen")
    listed, others, _, *sides = sizes
    entries = (listed + 1) * prod(_axes(sides))  # of a game's tables
    chunk = min(_chunk(unseen.device, 8 * (entries + 2 * listed * sum(sides))), len(index))
    workspace = torch.empty(chunk * entries if listed else 0, dtype=torch.float64, device=unseen.device)
    hands = []
    for start in range(0, len(index), chunk):
        part = slice(start, start + chunk)
        stream = Stream.of_worlds(seed, index[part], turn[part], count)
        uniform = torch.cat([_uniforms(stream, count, listed), _uniforms(stream.at(DECK), count, others)])
        hands.append(draw(part, uniform, sizes, workspace))
    return hands[0] if len(hands) == 1 else torch.cat(hands, -1)


def _sizes(numbers: Sequence[Tensor]) -> Sizes:
    """The largest of each [B] in the batch. Read from the device together, for which the host waits once.

    That pays on a GPU too: the game's own bounds would mean tables of the whole deck at every decision, in the bidding
    as well, where no card is restricted.
    """
    return torch.stack([number.max() for number in numbers]).tolist()


def _chunk(device: torch.device, bytes_per_game: int) -> int:
    """Games whose tables fit into `TABLE_BYTES`, or on a GPU into `TABLE_SHARE` of its free memory; at least one."""
    room = TABLE_BYTES.get(device.type)
    if room is None:
        room = int(TABLE_SHARE * free_memory(device))
    return max(1, room // bytes_per_game)


def _uniforms(stream: Stream, count: int, items: int) -> Tensor:
    """Random numbers for every item of every world: [items, W, B] float64."""
    uniform = stream.uniform(Purpose.WORLD, items)
    return rearrange(uniform, "(lane world) item -> item world lane", world=count)


# --- the two lists: items, bins, and the largest of their numbers ---


def _cards_into_hands(unseen: Tensor, needs: Tensor, may: Tensor) -> tuple[list[Tensor], Draw]:
    """Items are the unseen cards, those first that some hand may not hold; bins are the hands and the undealt pile."""
    free = unseen & reduce(torch.bitwise_and, may)
    restricted = unseen ^ free
    places = torch.cat([needs, (popcount(unseen) - needs.sum(0))[None]])  # [K + 1, B]

    def draw(part: slice, uniform: Tensor, sizes: Sizes, workspace: Tensor) -> Tensor:
        listed, others, bins, *sides = sizes
        cards = _single_cards(restricted[part], listed)  # [N, B]
        takes = torch.cat([cards[:, None] & may[:, part] != 0, cards[:, None] != 0], 1)
        axis = torch.eye(bins, dtype=torch.bool, device=uniform.device)[:, :, None]
        hands = torch.zeros(len(needs), *uniform.shape[1:], dtype=torch.int64, device=uniform.device)
        dealt = _deal(places[:, part], takes, takes, axis, sides, uniform, workspace)
        for card, (taken, *_) in zip([*cards, *_single_cards(free[part], others)], dealt, strict=True):
            hands |= card & -taken[: len(hands)]
        return hands

    return [popcount(restricted), popcount(free), torch.full_like(unseen, len(places)), *(places + 1)], draw


def _needs_from_classes(unseen: Tensor, needs: Tensor, may: Tensor, layout: Layout) -> tuple[list[Tensor], Draw]:
    """Items are needs, those of hands first that may not hold every unseen card; bins are sets of cards of a class."""
    bound = unseen & ~may != 0  # [K, B]
    bins, classes = _classes(unseen, may, bound & (needs > 0), layout)

    def draw(part: slice, uniform: Tensor, sizes: Sizes, workspace: Tensor) -> Tensor:
        listed, others, most_bins, *sides = sizes
        owner, wanted = _owners((needs * bound)[:, part], listed)
        left = unseen[part].expand(uniform.shape[1:])
        hands = torch.zeros(len(needs), *left.shape, dtype=torch.int64, device=uniform.device)
        if listed:
            sets, same = bins[:most_bins, part], classes[: len(sides), part]  # [S, B], [A, B]
            mine = torch.where(wanted, may[:, part].gather(0, owner), 0)[:, None]
            takes, counted = mine & sets != 0, mine & same != 0
            dealt = _deal(popcount(sets), takes, counted, same[:, None] & sets != 0, sides, uniform[:listed], workspace)
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

    sides = [number for number in popcount(classes) + 1]
    return [(needs * bound).sum(0), (needs * ~bound).sum(0), (bins != 0).sum(0), *sides], draw


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
        [C, B] int64, the cards of each class and suit, by suit; [C, B] int64, the classes, the largest first. Empty sets
        fill up both.
    """
    cards = unseen & reduce(torch.bitwise_or, torch.where(bound, may, 0))
    may = torch.where(bound, may, -1)
    sets, classes = [torch.zeros_like(cards)], [torch.zeros_like(cards)]
    for suit in range(layout.suits + 1):
        rest = cards & layout.block(suit)
        for _ in range(min(layout.block(suit).bit_count(), (1 << len(may)) - 1)):
            if none(rest != 0):
                break
            low = rest & -rest
            alike = cards & reduce(torch.bitwise_and, torch.where(may & low != 0, may, ~may))
            sets.append(rest & alike)
            classes.append(torch.where(alike & -alike == low, alike, 0))  # once each, with its lowest card
            rest = rest & ~alike
    sets, classes = torch.stack(sets), torch.stack(classes)
    by_size = popcount(classes).sort(dim=0, descending=True, stable=True).indices
    return sets.gather(0, (sets == 0).sort(dim=0, stable=True).indices), classes.gather(0, by_size)


# --- the recursion ---


def _deal(
    places: Tensor,
    takes: Tensor,
    counted: Tensor,
    axis: Tensor,
    sides: Sequence[int],
    uniform: Tensor,
    workspace: Tensor,
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Deals I items into n bins, item after item; those after the first N may go anywhere.

    Args:
        places: [n, B] int64, places in each bin.
        takes: [N, n, B] bool, the bin may take the item; none of them where the item is not the lane's.
        counted: [N, A, B] bool, the same of the bins that each axis counts together.
        axis: [A, n, B or 1] bool, which those are.
        sides, workspace: see `_completions`.
        uniform: [I, W, B] float64 in [0, 1).

    Yields:
        For each item [n, W, B] int64, 1 for the bin that takes it, 0 for all if the lane has no such item; and how it was
        drawn: [W, B] float64, the draw; [n + 1, W, B], the bounds between the bins; [n, W, B], the ways for each of the
        bin's places. After the first N items the last bin is left out of all.
    """
    left = places.double()[:, None].repeat(1, uniform.shape[1], 1)  # [n, W, B]
    bounds = torch.zeros(len(left) + 1, *left.shape[1:], dtype=left.dtype, device=left.device)
    if len(takes):
        table, steps = _completions(counted, places.sum(0), sides, workspace)
        step = sum(size * counts for size, counts in zip(steps, axis, strict=True))[:, None]  # [n, 1, B or 1]
        here = (places[:, None] * step).sum(0) + torch.arange(places.shape[1], device=left.device)  # N_i(m): [1, B]
        weight = takes.double()[:, :, None]
    for i, number in enumerate(uniform[: len(takes)]):
        # A bin that has no place left may lead to another bin's entry, or another game's. It counts 0 times.
        reached = (here - step).clamp_(min=0)
        each = table[i + 1].view(-1).index_select(0, reached.view(-1)).view(reached.shape).mul_(weight[i])
        torch.cumsum(left * each, 0, out=bounds[1:])
        draw = number * bounds[-1]
        taken = _bin_of(draw, bounds, left)
        yield taken, draw, bounds, each
        here = here - (taken * step).sum(0)
    remaining, left, bounds = left.sum(0), left[:-1], bounds[:-1]
    for i, number in enumerate(uniform[len(takes) :]):  # what the last bin gets is what the others do not
        torch.cumsum(left, 0, out=bounds[1:])
        draw = number * (remaining - i)
        yield _bin_of(draw, bounds, left), draw, bounds, left


def _bin_of(draw: Tensor, bounds: Tensor, left: Tensor) -> Tensor:
    """The bin whose interval ``draw`` [W, B] is in: [n, W, B] int64, 1 for that one, which has a place less ``left``
    [n, W, B] then. In float64, as comparisons to bool take twice as long on a CPU."""
    below = torch.lt(draw, bounds, out=torch.empty_like(bounds))
    taken = below[1:] - below[:-1]
    left -= taken
    return taken.long()


def _axes(sides: Sequence[int]) -> list[int]:
    """The sides of a table: the longest, whose bin follows from the others, is 1."""
    longest = sides.index(max(sides))
    return [*sides[:longest], 1, *sides[longest + 1 :]]


def _completions(
    counted: Tensor, places: Tensor, sides: Sequence[int], workspace: Tensor
) -> tuple[Tensor, list[int]]:
    """The tables N_i of the module's docstring.

    Args:
        counted: [N, A, B] bool, the bins of the axis may take the item.
        places: [B] int64, in all bins together.
        sides: A, one more than the most places that count on the axis in the batch.
        workspace: [at least (N + 1) * prod(_axes(sides)) * B] float64, overwritten.

    Returns:
        [N + 1, *_axes(sides), B] float64 in the workspace. The batch comes last: the shifts then run over long rows. And
        for each axis, how far apart in a table the entries for one place more and less are.
    """
    items, bins, lanes = counted.shape
    axes, implied = _axes(sides), sides.index(max(sides))
    steps = [lanes * prod(axes[k + 1 :]) if k != implied else 0 for k in range(bins)]
    table = workspace[: (items + 1) * prod(axes) * lanes].view(items + 1, *axes, lanes)
    table[items] = 1
    dealt, taken = (torch.arange(n, device=counted.device) for n in (items, sum(axes) - bins + 1))
    left = places - dealt[:, None, None] - taken[:, None]  # of the bin without an axis, by those of all others together
    left = torch.where(counted.any(1)[:, None], left.clamp(min=0) * counted[:, implied, None], 1).double()
    terms = {implied: left.as_strided((items, *axes, lanes), (len(taken) * lanes, *[lanes] * bins, 1))}
    for k, side in enumerate(axes):
        if side > 1:
            weight = counted[:, k, None] * torch.arange(1, side, device=counted.device)[:, None]
            terms[k] = weight.double().view(items, side - 1, *[1] * (bins - 1 - k), lanes)
    for i in reversed(range(items)):
        after, now = table[i + 1], table[i]
        for number, k in enumerate(sorted(terms)):  # in the same order whichever bin has no axis
            less = int(k != implied)
            source, target = after.narrow(k, 0, axes[k] - less), now.narrow(k, less, axes[k] - less)
            if number:
                target.addcmul_(source, terms[k][i])
            else:
                now.narrow(k, 0, less).zero_()
                torch.mul(source, terms[k][i], out=target)
    return table, steps

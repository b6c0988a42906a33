"""Sampling hidden hands: exactly uniform over every deal that the mover's information allows.

The mover knows its own hand, the cards played, how many cards each seat holds, how many are undealt, and cards that a
seat has shown it does not hold: whole suits, for the most part. List the unseen cards in any order and let
N_i(r1, r2, r3) be the number of ways to give cards i, i+1, .. to owners so that the three opponents get r1, r2 and r3
of them and the undealt pile the rest:

    N_i(r) = sum of N_{i+1}(r - e_owner) over the owners that may hold card i,    N_end(0) = 1, N_end(r) = 0 otherwise.

Dealing card after card to an owner with probability N_{i+1}(r - e_owner) / N_i(r) makes every consistent deal equally
likely, without rejection. Counts are float64: exact below 2**53, and within a relative 1e-14 of exact above.

Cards that some opponent is known not to hold come first in the list. From there on every owner may hold every card: the
N_i are multinomial coefficients, and a card goes to an opponent with probability r_k / (cards left). So the tables are
as long as the *restricted* cards, and no table is needed where there are none, as during all of the bidding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor

from vecgame.cards import DECK, SEATS, SUITS, popcount, suit_bits
from vecgame.lanes import around
from vecgame.memory import free_memory
from vecgame.philox import Purpose, Stream
from vecgame.state import State, StateT, concatenate

# Completion tables are built for as many games at a time as fit in this many bytes. On a CPU that is little enough for
# its cache to help; a GPU is kept busiest by all games in one piece, so there it is a share of the memory that is free.
TABLE_BYTES = {"cpu": 32 << 20}
TABLE_SHARE = 0.25
OPPONENTS = SEATS - 1  # of the tables below; `vecgame.patterns` samples for any other number of them


class HiddenHands(Protocol):
    """A game whose hidden hands can be drawn. Its states have `hands` [B, P] and `seen` [B], int64 bitboards of the
    cards that each seat holds and of those that everybody has seen."""

    seats: int
    deck: int  # bitboard
    cards: int  # dealt to a seat, at most

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
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if state.batch_size == 0:
        return state
    sizes = _sizes(game, state)
    restricted, _, held = sizes
    bytes_per_game = 8 * (restricted + 1) * (held + 1) ** OPPONENTS
    chunk = chunk_of(state, bytes_per_game)
    workspace = torch.empty(chunk * bytes_per_game // 8, dtype=torch.float64, device=state.device)
    return in_chunks(state, chunk, lambda part: _determinize_chunk(game, part, count, seed, sizes, workspace))


def chunk_of(state: State, bytes_per_game: int) -> int:
    """Games whose tables fit into `TABLE_BYTES`, or on a GPU into `TABLE_SHARE` of its free memory; at least one."""
    room = TABLE_BYTES.get(state.device.type)
    if room is None:
        room = int(TABLE_SHARE * free_memory(state.device))
    return min(max(1, room // bytes_per_game), state.batch_size)


def in_chunks(state: StateT, chunk: int, draw: Callable[[StateT], StateT]) -> StateT:
    """What ``draw`` makes of ``chunk`` games at a time, joined."""
    parts = [draw(state[start : start + chunk]) for start in range(0, state.batch_size, chunk)]
    return parts[0] if len(parts) == 1 else concatenate(parts)


def _sizes(game: HiddenHands, state: State) -> tuple[int, int, int]:
    """What bounds the shapes: the batch's most restricted cards, most free ones, most cards that a seat holds.

    Read from the device together, for which the host waits once. That pays on a GPU too: the game's own bounds would
    mean tables of the whole deck at every decision, in the bidding as well, where no card is restricted.
    """
    restricted, free, _ = _unseen(game, state)
    sizes = torch.stack([popcount(bits).max() for bits in (restricted, free, state.hands)])
    return tuple(sizes.tolist())


def _unseen(game: HiddenHands, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """The cards that the mover has not seen, as bitboards.

    Returns:
        [B] those that some opponent is known not to hold; [B] the others; [3, B] the cards that the mover's next,
        second and third opponent may hold.
    """
    mover = game.mover(state)
    own = state.hands.gather(1, mover[:, None])[:, 0]
    unseen = game.deck & ~(own | state.seen)
    may = game.may_hold(state, mover)
    free = unseen & may[0] & may[1] & may[2]
    return unseen ^ free, free, may


def opponents(mover: Tensor, seats: int = SEATS) -> Tensor:
    """The seats after the mover [B]: [B, seats - 1] int64."""
    return around(mover[:, None] + torch.arange(1, seats, device=mover.device), seats)


@cache
def suits_left(device: torch.device) -> Tensor:
    """The cards of the suits whose bit is not set: [16] int64."""
    suits = torch.arange(SUITS)
    missing = (torch.arange(1 << SUITS)[:, None] >> suits) & 1
    return (suit_bits(suits) * (1 - missing)).sum(-1).to(device)


def _determinize_chunk(
    game: HiddenHands, state: StateT, count: int, seed: int, sizes: tuple[int, int, int], workspace: Tensor
) -> StateT:
    listed, dealt_freely, held = sizes
    mover = game.mover(state)
    others = opponents(mover)
    restricted, free, may = _unseen(game, state)
    cards = single_cards(restricted, listed)  # [R, B]
    allowed = (cards[:, None] & may) != 0  # [R, 3, B]
    stream = Stream.of_worlds(seed, state.index, game.turn(state), count)
    left = popcount(state.hands).gather(1, others).t().double()  # [3, B]
    left = list(left[:, None].expand(OPPONENTS, count, state.batch_size))  # cards each opponent still gets: 3 x [W, B]
    hands = [torch.zeros(count, state.batch_size, dtype=torch.int64, device=state.device)] * OPPONENTS

    if listed:
        bottom = _multinomials(held, state.device).index_select(0, popcount(free)).t()
        table = completion_counts(allowed, bottom, workspace)
        uniform = uniforms(stream, count, listed)
        hands, left = _deal_restricted(table, cards, allowed, held, hands, left, uniform)
    uniform = uniforms(stream.at(DECK), count, dealt_freely)
    hands = _deal_freely(single_cards(free, dealt_freely), popcount(free), hands, left, uniform)

    return repeat_with(state, count, others, torch.stack(hands))


def repeat_with(state: StateT, count: int, others: Tensor, hands: Tensor) -> StateT:
    """``count`` worlds a game with other hands.

    Args:
        others: [B, P - 1] int64, the seats whose hands are drawn.
        hands: [P - 1, W, B] int64, their hands.

    Returns:
        B * W lanes, the worlds of a game adjacent.
    """
    drawn = rearrange(hands, "opponent world lane -> (lane world) opponent")
    worlds = state.repeat(count)
    return replace(worlds, hands=worlds.hands.scatter(1, others.repeat_interleave(count, dim=0), drawn))


def uniforms(stream: Stream, count: int, cards: int) -> Tensor:
    """Random numbers for every card of every world: [cards, W, B] float64."""
    uniform = stream.uniform(Purpose.WORLD, max(cards, 1))
    return rearrange(uniform, "(lane world) card -> card world lane", world=count).contiguous()


def single_cards(bits: Tensor, count: int) -> Tensor:
    """The cards of each set in ascending order, as bitboards of one card: [B] int64 -> [count, B], filled up with 0."""
    cards = []
    for _ in range(count):
        rest = bits & (bits - 1)
        cards.append(bits ^ rest)
        bits = rest
    return torch.stack(cards) if cards else bits.new_empty(0, *bits.shape)


def completion_counts(allowed: Tensor, bottom: Tensor, workspace: Tensor) -> Tensor:
    """The tables N_i of the module's docstring.

    Args:
        allowed: [U, 3, B] bool, opponent k may hold card i; a card that no opponent may hold is left undealt.
        bottom: [side**3, B] float64, N_end: the ways to deal what comes after the listed cards.
        workspace: [at least (U + 1) * side**3 * B] float64, overwritten and returned as the tables.

    Returns:
        [U + 1, side, side, side, B] float64. The batch comes last: the shifts then run over long rows.
    """
    listed, _, lanes = allowed.shape
    side = round(bottom.shape[0] ** (1 / OPPONENTS))
    table = workspace[: (listed + 1) * side**OPPONENTS * lanes].view(listed + 1, side, side, side, lanes)
    table[listed] = bottom.view(side, side, side, lanes)
    weight = allowed.double()
    for i in reversed(range(listed)):
        after, now = table[i + 1], table[i]
        now.copy_(after)
        now[1:].addcmul_(after[:-1], weight[i, 0])
        now[:, 1:].addcmul_(after[:, :-1], weight[i, 1])
        now[:, :, 1:].addcmul_(after[:, :, :-1], weight[i, 2])
    return table


@cache
def _multinomials(held: int, device: torch.device) -> Tensor:
    """Ways to give r1, r2 and r3 of n cards to three opponents that may hold any: [53, (held + 1)**3] float64 at
    [n, r]."""
    side = held + 1
    nothing = torch.zeros(side**OPPONENTS, 1, dtype=torch.float64)
    nothing[0] = 1
    anything = torch.ones(DECK, OPPONENTS, 1, dtype=torch.bool)
    workspace = torch.empty((DECK + 1) * side**OPPONENTS, dtype=torch.float64)
    return completion_counts(anything, nothing, workspace).flatten(1).flip(0).to(device)


def _deal_restricted(
    table: Tensor,
    cards: Tensor,
    allowed: Tensor,
    held: int,
    hands: list[Tensor],
    left: list[Tensor],
    uniform: Tensor,
) -> tuple[list[Tensor], list[Tensor]]:
    """Deals the restricted cards, card after card, by the tables.

    Args:
        table: [R + 1, side, side, side, B], see `completion_counts`.
        cards: [R, B] int64 bitboards of one card or none.
        allowed: [R, 3, B] bool.
        held: side - 1.
        hands: 3 times [W, B] int64 bitboards.
        left: 3 times [W, B] float64, cards that each opponent still gets.
        uniform: [R, W, B] float64 in [0, 1).

    Returns:
        hands and left after these cards.
    """
    lanes, side = cards.shape[1], held + 1
    strides = (lanes * side * side, lanes * side, lanes)  # in a table, for one card to each opponent
    here = sum(count.long() * stride for count, stride in zip(left, strides, strict=True))
    here = here + torch.arange(lanes, device=cards.device)  # N_i(left) in its table: [W, B]
    for i in range(len(cards)):
        after = table[i + 1].view(-1)
        bounds, bound = [], 0.0
        for k, stride in enumerate(strides):
            may = allowed[i, k] & (left[k] > 0)
            bound = bound + _look_up(after, (here - stride).clamp(min=0)) * may
            bounds.append(bound)
        taken = _owner(uniform[i] * (bound + _look_up(after, here)), bounds)
        here = here - sum(mine * stride for mine, stride in zip(taken, strides, strict=True))
        left = [count - mine.double() for count, mine in zip(left, taken, strict=True)]
        hands = [hand | mine * cards[i] for hand, mine in zip(hands, taken, strict=True)]
    return hands, left


def _deal_freely(
    cards: Tensor, count: Tensor, hands: list[Tensor], left: list[Tensor], uniform: Tensor
) -> list[Tensor]:
    """Deals cards that every opponent may hold: `_deal_restricted` with probabilities in closed form.

    Args:
        cards: [F, B] int64 bitboards of one card or none.
        count: [B] int64, how many there are.
        hands, left, uniform: as there.
    """
    remaining = count.double()  # [B] cards not dealt yet
    for i in range(len(cards)):
        first, second = left[0], left[0] + left[1]
        taken = _owner(uniform[i] * remaining, [first, second, second + left[2]])
        left = [mine - hit.double() for mine, hit in zip(left, taken, strict=True)]
        hands = [hand | hit * cards[i] for hand, hit in zip(hands, taken, strict=True)]
        remaining = (remaining - 1).clamp(min=0)
    return hands


def _look_up(table: Tensor, place: Tensor) -> Tensor:
    return table.index_select(0, place.view(-1)).view(place.shape)


def _owner(draw: Tensor, bounds: list[Tensor]) -> list[Tensor]:
    """Which opponent gets a card, as 3 masks: the first whose cumulated ways exceed the draw, none if none does."""
    below = [draw < bound for bound in bounds]
    return [below[0], below[1] & ~below[0], below[2] & ~below[1]]

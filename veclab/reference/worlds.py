"""The deals that the player to move must reckon with: every one by brute force (small decks only), or one at random."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from math import comb, prod

from veclab.reference.rules import SEATS, Rules, State, deck, is_bidding, mover, suit_of

World = tuple[frozenset[int], ...]  # the hands still held, by seat


def unseen_cards(rules: Rules, state: State) -> frozenset[int]:
    """The cards that the mover neither holds nor has seen played or turned up: the other hands, the undealt cards."""
    played = set()
    if not is_bidding(state):
        played = {card for _, card in state.history[rules.players :]}
    return frozenset(deck(rules)) - state.hands[mover(rules, state)] - played - {state.turned}


def consistent_worlds(rules: Rules, state: State) -> Iterator[World]:
    """Each world that agrees with what the mover knows, once.

    The mover knows its own hand, the cards played, how many cards each other seat holds, and each suit in which a seat
    has failed to follow, in the current trick as well. Bids tell nothing. Cards left over are the undealt ones.
    """
    me = mover(rules, state)
    others = [seat for seat in range(rules.players) if seat != me]

    def fill(index: int, unseen: frozenset[int], hands: dict[int, frozenset[int]]) -> Iterator[World]:
        if index == len(others):
            yield tuple(hands[seat] for seat in range(rules.players))
            return
        seat = others[index]
        possible = sorted(card for card in unseen if suit_of(card) not in state.voids[seat])
        for cards in combinations(possible, len(state.hands[seat])):
            hand = frozenset(cards)
            yield from fill(index + 1, unseen - hand, {**hands, seat: hand})

    yield from fill(0, unseen_cards(rules, state), {me: state.hands[me]})


def world_state(state: State, hands: Sequence[frozenset[int]]) -> State:
    """The same public position with these hands."""
    state = state.copy()
    state.hands = [frozenset(hand) for hand in hands]
    return state


def sample_world(rules: Rules, state: State, rng: random.Random) -> State:
    """One of `consistent_worlds` as a state, all with exactly the same probability.

    Hands are dealt one after the other. How many cards a hand takes from each pool of equivalent cards (those that the
    same seats may hold) is drawn in proportion to the number of deals that follow, an exact integer; which cards of a
    pool is then pure chance. The undealt pile is what is left over.
    """
    if rules.players != SEATS:
        return _sample_by_suits(rules, state, rng)
    me = mover(rules, state)
    # Seats with the most voids first, as their hands come from the fewest pools.
    a, b, c = sorted((s for s in range(SEATS) if s != me), key=lambda s: (-len(state.voids[s]), s))
    size_a, size_b, size_c = len(state.hands[a]), len(state.hands[b]), len(state.hands[c])
    pools_a: dict[tuple[bool, bool], list[int]] = {}  # cards that a may hold, by whether b may and whether c may
    others: dict[tuple[bool, bool], list[int]] = {}  # the rest likewise
    for card in sorted(unseen_cards(rules, state)):
        suit = suit_of(card)
        pools = others if suit in state.voids[a] else pools_a
        pools.setdefault((suit not in state.voids[b], suit not in state.voids[c]), []).append(card)

    kinds = list(pools_a)
    sizes = [len(pool) for pool in pools_a.values()]

    def ways(split: tuple[int, ...]) -> int:
        """Deals in which seat a takes `split` cards from its pools."""
        left = {kind: len(pool) for kind, pool in others.items()}
        for kind, size, taken in zip(kinds, sizes, split, strict=True):
            left[kind] = left.get(kind, 0) + size - taken
        only_b, only_c, both = left.get((True, False), 0), left.get((False, True), 0), left.get((True, True), 0)
        shared = range(min(both, size_b) + 1)
        for_b_and_c = sum(_ways_of_two(only_b, only_c, both, size_b, size_c, n) for n in shared)
        return for_b_and_c * prod(map(comb, sizes, split))

    hands = list(state.hands)
    split = _draw(list(_splits(sizes, size_a)), ways, rng)
    hands[a] = frozenset(card for n, pool in zip(split, pools_a.values(), strict=True) for card in _take(pool, n, rng))

    only_b, only_c, both = (
        pools_a.get(kind, []) + others.get(kind, []) for kind in ((True, False), (False, True), (True, True))
    )
    shared = range(min(len(both), size_b) + 1) if only_b else range(size_b, size_b + 1)
    n = _draw(shared, lambda n: _ways_of_two(len(only_b), len(only_c), len(both), size_b, size_c, n), rng)
    hands[b] = frozenset(_take(both, n, rng) + _take(only_b, size_b - n, rng))
    hands[c] = frozenset(_take(both + only_c, size_c, rng))
    return world_state(state, hands)


def _sample_by_suits(rules: Rules, state: State, rng: random.Random) -> State:
    """`sample_world` for any number of players: a hand takes cards from the four suits, in numbers drawn in proportion
    to the deals that follow."""
    me = mover(rules, state)
    suits = [[card for card in sorted(unseen_cards(rules, state)) if suit_of(card) == suit] for suit in range(4)]
    others = sorted((seat for seat in range(rules.players) if seat != me), key=lambda seat: -len(state.voids[seat]))

    def splits(seat: int, left: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The numbers of cards of each suit that a seat may get, with so many of each left."""
        most = [0 if suit in state.voids[seat] else number for suit, number in enumerate(left)]
        found = (split for split in _splits(left, len(state.hands[seat])))
        return [split for split in found if all(n <= limit for n, limit in zip(split, most, strict=True))]

    @cache
    def ways(index: int, left: tuple[int, ...]) -> int:
        """Deals to the seats from others[index] on."""
        if index == len(others) or not state.voids[others[index]]:  # nobody from here on has shown a void
            total, count = sum(left), 1
            for seat in others[index:]:
                count, total = count * comb(total, len(state.hands[seat])), total - len(state.hands[seat])
            return count
        return sum(after(index, left, split) for split in splits(others[index], left))

    def after(index: int, left: tuple[int, ...], split: tuple[int, ...]) -> int:
        rest = tuple(number - taken for number, taken in zip(left, split, strict=True))
        return prod(map(comb, left, split)) * ways(index + 1, rest)

    hands = list(state.hands)
    for index, seat in enumerate(others):
        left = tuple(map(len, suits))
        split = _draw(splits(seat, left), lambda split, index=index, left=left: after(index, left, split), rng)
        hands[seat] = frozenset(card for n, suit in zip(split, suits, strict=True) for card in _take(suit, n, rng))
    return world_state(state, hands)


def _ways_of_two(only_b: int, only_c: int, both: int, size_b: int, size_c: int, n: int) -> int:
    """Deals to two seats, the first of which takes n of the `both` cards that either may hold."""
    return comb(both, n) * comb(only_b, size_b - n) * comb(both - n + only_c, size_c)


def _splits(sizes: Sequence[int], total: int) -> Iterator[tuple[int, ...]]:
    """All ways to take `total` cards from pools of these sizes, as numbers taken from each."""
    if len(sizes) <= 1:
        if total <= sum(sizes):
            yield (total,) * len(sizes)
        return
    for first in range(min(sizes[0], total) + 1):
        for rest in _splits(sizes[1:], total - first):
            yield (first, *rest)


def _draw(options: Sequence, ways: Callable[..., int], rng: random.Random):
    """One of the options, with probability in proportion to its number of ways."""
    if len(options) == 1:
        return options[0]
    weights = [ways(option) for option in options]
    ticket = rng.randrange(sum(weights))
    for option, weight in zip(options, weights, strict=True):
        ticket -= weight
        if ticket < 0:
            return option
    raise AssertionError("unreachable: the ticket is below the sum of the weights")


def _take(pool: list[int], count: int, rng: random.Random) -> list[int]:
    """Remove `count` random cards from the pool, in place, and return them."""
    taken = rng.sample(pool, count)
    pool[:] = [card for card in pool if card not in taken]
    return taken

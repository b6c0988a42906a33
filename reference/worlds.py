"""Every deal that the player to move must reckon with, by brute force. For small decks only."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from reference.rules import SEATS, Rules, State, deck, is_bidding, mover, suit_of

World = tuple[frozenset[int], ...]  # the four hands still held, by seat


def unseen_cards(rules: Rules, state: State) -> frozenset[int]:
    """The cards that the mover neither holds nor has seen played: the other hands and the undealt cards."""
    played = set()
    if not is_bidding(state):
        played = {card for _, card in state.history[SEATS:]}
    return frozenset(deck(rules)) - state.hands[mover(rules, state)] - played


def consistent_worlds(rules: Rules, state: State) -> Iterator[World]:
    """Each world that agrees with what the mover knows, once.

    The mover knows its own hand, the cards played, how many cards each other seat holds, and each suit in which a seat
    has failed to follow, in the current trick as well. Bids tell nothing. Cards left over are the undealt ones.
    """
    me = mover(rules, state)
    others = [seat for seat in range(SEATS) if seat != me]

    def fill(index: int, unseen: frozenset[int], hands: dict[int, frozenset[int]]) -> Iterator[World]:
        if index == len(others):
            yield tuple(hands[seat] for seat in range(SEATS))
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

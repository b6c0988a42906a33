"""Games of the scalar reference by the names of their cards."""

import random

from veclab.reference.rules import NO_TRUMP, Rules, State, apply_action, deal, legal_actions, new_state, step

TWO = Rules(cards=2, hook=False)


def card(name: str) -> int:
    """The number of a card such as "AS" or "2H"."""
    return 13 * "SHCD".index(name[1]) + "23456789TJQKA".index(name[0])


def cards(names: str) -> list[int]:
    return [card(name) for name in names.split()]


def start(rules: Rules, *hands: str, dealer: int = 3, trump: int = NO_TRUMP) -> State:
    return new_state(rules, [cards(hand) for hand in hands], dealer, trump)


def play(rules: Rules, state: State, *actions: int | str) -> State:
    """Make bids (numbers) and plays (card names)."""
    for action in actions:
        state = step(rules, state, card(action) if isinstance(action, str) else action)
    return state


def random_state(rules: Rules, rng: random.Random, moves: int) -> State:
    state = deal(rules, rng)
    for _ in range(moves):
        apply_action(rules, state, rng.choice(legal_actions(rules, state)))
    return state

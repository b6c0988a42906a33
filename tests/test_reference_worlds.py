"""The reference's list of worlds against an even simpler program, and by hand."""

import random
from itertools import permutations

import pytest

from tests.reference_games import random_state
from veclab.reference.rules import NO_TRUMP, Rules, State, apply_action, deck, legal_actions, mover, new_state, step
from veclab.reference.worlds import consistent_worlds, unseen_cards, world_state


def naive_worlds(rules: Rules, state: State) -> set:
    """Every way to hand out the unseen cards under which all moves so far were legal. Knows nothing of voids."""
    me, n_played = mover(rules, state), max(0, len(state.history) - 4)
    played = state.history[4:]
    assert n_played == len(played)
    seen = state.hands[me] | {c for _, c in played}
    unseen = [c for c in deck(rules) if c not in seen]
    found = set()
    for order in permutations(unseen):
        left, hands = list(order), []
        for seat in range(4):
            size = len(state.hands[seat])
            if seat == me:
                hands.append(state.hands[me])
            else:
                hands.append(frozenset(left[:size]))
                left = left[size:]
        hands = tuple(hands)
        if hands not in found and could_have_happened(rules, state, hands):
            found.add(hands)
    return found


def could_have_happened(rules: Rules, state: State, hands) -> bool:
    first_hands = [hands[seat] | {c for s, c in state.history[4:] if s == seat} for seat in range(4)]
    again = new_state(rules, first_hands, state.dealer, state.trump)
    for seat, action in state.history:
        if mover(rules, again) != seat or action not in legal_actions(rules, again):
            return False
        apply_action(rules, again, action)
    return True


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("moves", [2, 5, 6, 7, 8, 9, 10])
def test_worlds_are_those_with_a_legal_past(moves, seed):
    rules = Rules(cards=2, ranks=3, suits=3)
    state = random_state(rules, random.Random(100 * moves + seed), moves)
    listed = list(consistent_worlds(rules, state))
    assert len(listed) == len(set(listed))
    assert set(listed) == naive_worlds(rules, state)
    assert tuple(state.hands) in listed


def test_worlds_by_hand():
    rules = Rules(cards=2, ranks=3, suits=3, hook=False)
    state = new_state(rules, [[0, 13], [14, 26], [1, 15], [2, 27]], dealer=3, trump=NO_TRUMP)  # 28 is not dealt
    for action in (0, 0, 0, 0):
        state = step(rules, state, action)
    assert sum(1 for _ in consistent_worlds(rules, state)) == 7 * 15 * 6  # C(7,2) C(5,2) C(3,2)
    state = step(rules, state, 0)
    state = step(rules, state, 14)  # seat 1 has no card of suit 0
    assert unseen_cards(rules, state) == {2, 13, 26, 27, 28}
    listed = list(consistent_worlds(rules, state))
    # seat 0 holds one card of five, seat 1 one that is not card 2, seat 3 two of the last three
    assert len(listed) == (4 * 3 + 1 * 4) * 3
    assert all(2 not in hands[1] and hands[2] == {1, 15} for hands in listed)


def test_world_state_changes_only_the_hands():
    rules = Rules(cards=2, ranks=3, suits=3)
    state = random_state(rules, random.Random(1), 6)
    true_hands = list(state.hands)
    for hands in consistent_worlds(rules, state):
        world = world_state(state, hands)
        assert tuple(world.hands) == hands
        assert legal_actions(rules, world) == legal_actions(rules, state)
        assert world_state(world, true_hands) == state
    assert state.hands == true_hands

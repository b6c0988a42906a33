"""Random worlds of the scalar reference: exactly uniform over the full enumeration."""

import random
from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest

from tests.helpers import chi_square_p
from veclab.reference.rules import SEATS, Rules, State, apply_action, deal, is_terminal, legal_actions, mover, suit_of
from veclab.reference.worlds import consistent_worlds, sample_world, unseen_cards, world_state

UNDEALT = Rules(cards=3, ranks=4, suits=4)  # 4 of 16 cards stay undealt
ALL_DEALT = Rules(cards=4, ranks=4, suits=4)
TWO_SUITS = Rules(cards=3, ranks=9, suits=2)  # a void says a lot
POSITIONS_TESTED = 40
ERROR_RATE = (
    1e-3  # the chance that a correct sampler fails this whole file's chi-square tests, were the seeds not fixed
)


class AllChoices(random.Random):
    """Makes every sequence of choices once, in the way of a mileometer, and tells its probability."""

    def __init__(self) -> None:
        super().__init__(0)
        self.wheels: list[list[int]] = []  # [chosen, number of options] of each choice so far
        self.position = 0

    def choose(self, options: int) -> int:
        if self.position == len(self.wheels):
            self.wheels.append([0, options])
        chosen, before = self.wheels[self.position]
        assert before == options
        self.position += 1
        return chosen

    def randrange(self, stop: int) -> int:
        return self.choose(stop)

    def sample(self, population: list[int], k: int) -> list[int]:
        subsets = list(combinations(population, k))  # equally likely; their order does not matter for a hand
        return list(subsets[self.choose(len(subsets))])

    def probability(self) -> Fraction:
        result = Fraction(1)
        for _, options in self.wheels:
            result /= options
        return result

    def turn(self) -> bool:
        """Go on to the next sequence; False when there is none."""
        self.position = 0
        while self.wheels:
            self.wheels[-1][0] += 1
            if self.wheels[-1][0] < self.wheels[-1][1]:
                return True
            self.wheels.pop()
        return False


def positions(rules: Rules, seed: int, void_seats: int, most_worlds: int, count: int) -> list[State]:
    """Random positions in which so many opponents have shown voids, with 2 to `most_worlds` worlds."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        state = deal(rules, rng)
        for _ in range(rng.randrange(SEATS, SEATS * (rules.cards + 1))):
            apply_action(rules, state, rng.choice(legal_actions(rules, state)))
        opponents = [seat for seat in range(SEATS) if seat != mover(rules, state)]
        if sum(bool(state.voids[seat]) for seat in opponents) == void_seats:
            for number, _ in enumerate(consistent_worlds(rules, state), start=1):
                if number > most_worlds:
                    break
            if 2 <= number <= most_worlds:
                found.append(state)
    return found


@pytest.mark.parametrize("rules", [UNDEALT, ALL_DEALT, TWO_SUITS])
@pytest.mark.parametrize("void_seats", [0, 1, 2, 3])
def test_every_world_has_exactly_the_same_probability(rules: Rules, void_seats: int) -> None:
    """No sampling: all that the random generator may say is tried, and probabilities are added as fractions."""
    for state in positions(rules, void_seats, void_seats, most_worlds=40, count=4):
        probability: Counter = Counter()
        rng, going = AllChoices(), True
        while going:
            world = sample_world(rules, state, rng)
            probability[tuple(world.hands)] += rng.probability()
            going = rng.turn()
        listed = list(consistent_worlds(rules, state))
        assert probability == dict.fromkeys(listed, Fraction(1, len(listed)))


@pytest.mark.parametrize("rules", [UNDEALT, TWO_SUITS])
@pytest.mark.parametrize("void_seats", [0, 1, 2, 3])
def test_frequencies(rules: Rules, void_seats: int) -> None:
    rng = random.Random(100 + void_seats)
    for state in positions(rules, 10 + void_seats, void_seats, most_worlds=200, count=POSITIONS_TESTED // 8):
        listed = list(consistent_worlds(rules, state))
        seen = Counter(tuple(sample_world(rules, state, rng).hands) for _ in range(20 * len(listed)))
        assert set(seen) <= set(listed)
        assert chi_square_p([seen[world] for world in listed], [20.0] * len(listed)) > ERROR_RATE / POSITIONS_TESTED


@pytest.mark.parametrize("cards", range(1, 14))
def test_worlds_agree_with_what_the_mover_knows(cards: int) -> None:
    """Whole games with the full deck, where worlds are too many to list."""
    rules, rng = Rules(cards=cards), random.Random(cards)
    for _ in range(3):
        state = deal(rules, rng)
        while not is_terminal(state):
            me, before = mover(rules, state), state.copy()
            world = sample_world(rules, state, rng)
            assert state == before
            assert world == world_state(state, world.hands)
            assert world.hands[me] == state.hands[me]
            hidden = [card for seat in range(SEATS) if seat != me for card in world.hands[seat]]
            assert len(hidden) == len(set(hidden)) and set(hidden) <= unseen_cards(rules, state)
            for seat in range(SEATS):
                assert len(world.hands[seat]) == len(state.hands[seat])
                assert seat == me or not {suit_of(card) for card in world.hands[seat]} & state.voids[seat]
            apply_action(rules, state, rng.choice(legal_actions(rules, state)))


def test_same_seed_same_world() -> None:
    state = deal(Rules(), random.Random(0))
    worlds = [sample_world(Rules(), state, random.Random(seed)) for seed in (1, 1, 2)]
    assert worlds[0] == worlds[1] != worlds[2]

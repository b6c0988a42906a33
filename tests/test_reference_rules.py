"""The reference's rules against hand-worked games."""

import random
from copy import deepcopy

import pytest

from tests.reference_games import TWO, card, cards, play, random_state, start
from veclab.reference.rules import (
    NO_TRUMP,
    Rules,
    deal,
    is_terminal,
    legal_actions,
    mover,
    new_state,
    play_forced,
    scores,
    step,
    trick_winner,
)


def test_bidding_goes_round_and_the_dealer_bids_last():
    state = start(TWO, "AS 2H", "KS 3H", "2S 4H", "3S 5H", dealer=1)
    seats = []
    for bid in (2, 0, 1, 2):
        seats.append(mover(TWO, state))
        assert legal_actions(TWO, state) == [0, 1, 2]
        state = step(TWO, state, bid)
    assert seats == [2, 3, 0, 1]
    assert state.bids == [1, 2, 2, 0]
    assert mover(TWO, state) == 2  # the seat after the dealer leads
    assert legal_actions(TWO, state) == cards("2S 4H")


@pytest.mark.parametrize(
    ("n_cards", "bids", "dealer_may"),
    [
        (2, (0, 0, 0), [0, 1]),
        (2, (1, 0, 1), [1, 2]),
        (2, (1, 0, 0), [0, 2]),
        (2, (2, 2, 2), [0, 1, 2]),
        (1, (0, 0, 0), [0]),
        (1, (0, 1, 0), [1]),
        (1, (1, 1, 0), [0, 1]),
    ],
)
def test_hook_binds_the_dealer_only(n_cards, bids, dealer_may):
    rules = Rules(cards=n_cards)
    state = deal(rules, random.Random(0))
    for bid in bids:
        assert legal_actions(rules, state) == list(range(n_cards + 1))
        state = step(rules, state, bid)
    assert mover(rules, state) == state.dealer
    assert legal_actions(rules, state) == dealer_may
    free = Rules(cards=n_cards, hook=False)
    assert legal_actions(free, state) == list(range(n_cards + 1))


def test_suit_must_be_followed_and_a_discard_shows_a_void():
    state = start(TWO, "AS 2H", "KS 3H", "2C 4H", "3S 5S", trump=1)
    state = play(TWO, state, 0, 0, 0, 0, "AS")
    assert legal_actions(TWO, state) == cards("KS")
    with pytest.raises(ValueError, match="not among the legal"):
        step(TWO, state, card("3H"))
    state = play(TWO, state, "KS")
    assert legal_actions(TWO, state) == cards("4H 2C")  # may trump, need not
    assert state.voids[2] == set()
    state = play(TWO, state, "4H")
    assert [set(voids) for voids in state.voids] == [set(), set(), {0}, set()]  # at once, within the trick
    state = play(TWO, state, "3S")
    assert state.won == [0, 0, 1, 0]
    assert mover(TWO, state) == 2
    state = play_forced(TWO, state)
    assert is_terminal(state)
    assert [set(voids) for voids in state.voids] == [{2}, {2}, {0}, {2}]
    assert state.won == [0, 1, 1, 0]  # the 3H beats the 2H and the 2C that was led


def test_trick_winner():
    def winner(names: str, trump: int) -> int:
        return trick_winner(list(zip((2, 3, 0, 1), cards(names), strict=True)), trump)

    assert winner("TS JS 2S 9S", trump=1) == 3  # the highest of the suit led
    assert winner("TS AH AC AD", trump=NO_TRUMP) == 2  # other suits do not count
    assert winner("TS 2H AS 3C", trump=1) == 3  # the smallest trump beats the ace
    assert winner("TS 2H AS 3H", trump=1) == 1  # the highest trump
    assert winner("TH 2S JH AS", trump=1) == 0  # trump led
    assert winner("2D AS AH AC", trump=NO_TRUMP) == 2


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, [0, 10, 11, 0]),
        ({"miss_penalty": 1}, [-1, 10, 11, -2]),
        ({"miss_points_per_trick": 1}, [1, 10, 11, 0]),
        ({"exact_bonus": 5, "points_per_trick": 2}, [0, 5, 7, 0]),
        ({"miss_points_per_trick": 3, "miss_penalty": 2}, [1, 10, 11, -4]),
    ],
)
def test_scores(kwargs, expected):
    rules = Rules(cards=2, hook=False, **kwargs)
    state = start(rules, "AS 2H", "KS 3H", "2S 5H", "3S 4H")
    state = play(rules, state, 2, 0, 1, 2, "AS", "KS", "2S", "3S")
    with pytest.raises(ValueError, match="not over"):
        scores(rules, state)
    state = play(rules, state, "2H", "3H", "5H", "4H")
    assert state.won == [1, 0, 1, 0]
    assert scores(rules, state) == expected
    assert legal_actions(rules, state) == []


def test_max_score_is_the_score_of_winning_everything():
    assert Rules().max_score == 15
    assert Rules(cards=2, exact_bonus=5, points_per_trick=2).max_score == 9


def test_play_forced_stops_at_a_choice_and_at_the_end():
    state = play(TWO, start(TWO, "AS 2H", "KS 3H", "2S 5S", "3S 4H"), 2, 0, 1, 2)
    assert play_forced(TWO, state) == state  # the leader has a choice
    after_lead = play(TWO, state, "AS")
    assert play_forced(TWO, after_lead) == play(TWO, after_lead, "KS")  # seat 2 holds two spades
    before = deepcopy(after_lead)
    end = play_forced(TWO, play(TWO, after_lead, "KS", "2S"))
    assert is_terminal(end) and end.won == [1, 0, 0, 1]
    assert after_lead == before  # nothing happens in place


def test_step_leaves_its_state_alone():
    rules, rng = Rules(cards=3), random.Random(5)
    state = deal(rules, rng)
    while not is_terminal(state):
        before = deepcopy(state)
        after = step(rules, state, rng.choice(legal_actions(rules, state)))
        assert state == before != after
        state = after


def test_bad_games_are_refused():
    with pytest.raises(ValueError):
        Rules(cards=14)
    with pytest.raises(ValueError):
        Rules(cards=3, ranks=3, suits=3)
    with pytest.raises(ValueError):
        start(TWO, "AS 2H", "KS 3H", "2S 4H", "AS 5H")  # a card twice
    with pytest.raises(ValueError):
        new_state(Rules(cards=1, ranks=2, suits=2), [[0], [1], [13], [15]], 0, 0)  # not in this deck
    with pytest.raises(ValueError):
        start(TWO, "AS 2H", "KS 3H", "2S 4H", "3S 5H", trump=5)


def test_random_players_average_1_9_points_at_5_cards():
    rules, rng = Rules(), random.Random(3)
    games = [random_state(rules, rng, 24) for _ in range(3000)]
    mean = sum(sum(scores(rules, state)) for state in games) / (4 * len(games))
    assert mean == pytest.approx(1.9, abs=0.15)

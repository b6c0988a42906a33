"""What may be changed about Blob: which values are refused, and what the score is."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from vecgame import Blob, Rules, score


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cards": 14}, r"cards must be an integer from 1 to 13, got 14"),
        ({"cards": 0}, r"cards must be an integer from 1 to 13, got 0"),
        ({"cards": 5.0}, r"cards must be an integer from 1 to 13, got 5\.0"),
        ({"cards": "5"}, r"cards must be an integer from 1 to 13, got '5'"),
        ({"cards": True}, r"cards must be an integer from 1 to 13, got True"),
        ({"suits": 0}, r"suits must be an integer from 1 to 4, got 0"),
        ({"suits": 5}, r"suits must be an integer from 1 to 4, got 5"),
        ({"ranks": 14}, r"ranks must be an integer from 1 to 13, got 14"),
        ({"ranks": 0}, r"ranks must be an integer from 1 to 13, got 0"),
        (
            {"cards": 3, "suits": 3, "ranks": 3},
            r"cards=3 to each of 4 seats needs 12 cards, but the deck has 3 suits x 3 ranks = 9",
        ),
        (
            {"trump": "swords"},
            r"trump must be one of random, rotate, turned, .*, none or 0\.\.4, got 'swords'",
        ),
        ({"trump": 5}, r"trump must be one of .* got 5"),
        ({"trump": -1}, r"trump must be one of .* got -1"),
        ({"trump": True}, r"trump must be one of .* got True"),
        ({"trump": None}, r"trump must be one of .* got None"),
        ({"trump": "diamonds", "suits": 3}, r"trump 'diamonds' is not a suit of a deck with suits=3"),
        ({"trump": 1, "suits": 1, "cards": 1}, r"trump 'hearts' is not a suit of a deck with suits=1"),
        ({"dealer": 4}, r"dealer must be a seat 0\.\.3, 'random' or 'rotate', got 4"),
        ({"dealer": -1}, r"dealer must be a seat .* got -1"),
        ({"dealer": "north"}, r"dealer must be a seat .* got 'north'"),
        ({"hook": 1}, r"hook must be True or False, got 1"),
        ({"exact_bonus": 0, "points_per_trick": 0}, r"every bid scores 0, whatever is won"),
        ({"exact_bonus": float("nan")}, "exact_bonus must be a number of points up to 1,000,000, got nan"),
        ({"miss_penalty": float("inf")}, "miss_penalty must be a number of points up to 1,000,000, got inf"),
        ({"bidding": "once"}, r"bidding 'once' needs hook=False"),
        ({"hook_from": 5, "hook_to": 2}, "hook_from must be at most hook_to=2, got 5"),
        ({"hook_from": 3, "hook_to": 2, "hook": False}, "hook_from must be at most hook_to=2, got 3"),
        ({"sight": "none"}, r"sight must be one of own, forehead, blind, got 'none'"),
        ({"scoring": "nowhere.py:points"}, r"nowhere.py cannot be loaded: FileNotFoundError: there is no such file"),
        ({"scoring": "points"}, r"'points' is no FILE.py:NAME"),
        ({"scoring": lambda bids, won: (bids == won) / 0}, r"a bid of 0 with 0 tricks won scores inf"),
        ({"scoring": lambda bids, won: bids * 0}, r"every bid scores 0, whatever is won"),
        ({"scoring": lambda bids, won: bids.sum()}, r"must give points of the shape of bids, \[36, 4\], not \[\]"),
        ({"scoring": lambda bids, won: won - won.mean(-1, keepdim=True)}, r"a seat points for its own bid and tricks"),
        ({"scoring": lambda bids, won: won + won.sum(-1, keepdim=True)}, r"a seat points for its own bid and tricks"),
        ({"scoring": lambda bids, won: won + (bids.sum(-1, True) == 5)}, r"a seat points for its own bid and tricks"),
        ({"scoring": lambda bids, won: won + (won == won.amax(-1, True))}, r"its own bid and tricks, whatever the oth"),
    ],
)
def test_values_that_make_no_game_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Rules(**changes)
    with pytest.raises(ValueError, match=message):
        Blob(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"cards": 1},
        {"cards": 13},
        {"cards": 1, "suits": 1, "ranks": 4},
        {"cards": 3, "suits": 4, "ranks": 3},
        {"trump": 4, "suits": 2},
        {"trump": "none", "suits": 2},
        {"trump": "hearts", "suits": 2},
        {"trump": "rotate", "dealer": "rotate"},
        {"dealer": 3},
        {"cards": 3, "hook_from": 5},
        {"cards": 3, "hook_from": 2, "hook_to": 2},
    ],
)
def test_values_that_make_a_game(changes):
    game = Blob(**changes)
    state = game.deal(3, seed=0)
    for _ in range(game.decisions):
        state = game.step(state, game.legal_actions(state)[:, 0], validate=True)
    assert game.is_terminal(state).all()
    assert (state.won.sum(-1) == game.cards).all()


def test_defaults():
    rules = Rules()
    assert (rules.cards, rules.trump, rules.dealer, rules.hook) == (5, "random", "random", True)
    assert (rules.suits, rules.ranks) == (4, 13)
    assert Blob().rules == rules


def test_trump_by_number_is_trump_by_name():
    for number, name in enumerate(("spades", "hearts", "clubs", "diamonds", "none")):
        assert Rules(trump=number) == Rules(trump=name)
        assert Rules(trump=number).trump == name


def test_trumps_are_the_suits_of_the_deck_then_none():
    assert Rules().trumps == ("spades", "hearts", "clubs", "diamonds", "none")
    assert Rules(suits=2).trumps == ("spades", "hearts", "none")


def test_decisions_and_the_most_points():
    assert [Rules(cards=cards).decisions for cards in (1, 5, 13)] == [8, 24, 56]
    assert [Rules(cards=cards).range for cards in (1, 5, 13)] == [(0, 11), (0, 15), (0, 23)]
    assert Rules(cards=2, exact_bonus=5, points_per_trick=2).range == (0, 9)


def test_rules_are_frozen_and_hashable():
    assert hash(Rules(cards=4, trump=0)) == hash(Rules(cards=4, trump="spades"))
    with pytest.raises(FrozenInstanceError):
        Rules().cards = 6


def test_blob_from_rules_or_from_fields():
    assert Blob(cards=4, hook=False) == Blob(Rules(cards=4, hook=False)) == Blob(Rules(cards=4), hook=False)
    assert hash(Blob(cards=4)) == hash(Blob(Rules(cards=4)))
    assert Blob(cards=4) != Blob(cards=4, hook=False)
    assert Blob(cards=4) != Rules(cards=4)
    assert (Blob(cards=4).decisions, Blob(cards=4).max_legal, Blob(cards=4).num_actions) == (20, 5, 52)
    assert "cards=4" in repr(Blob(cards=4))
    with pytest.raises(ValueError, match=r"rules must be a Rules, got 4; .* write Blob\(NAME=VALUE\)"):
        Blob(4)
    with pytest.raises(TypeError):
        Blob(card=4)


# --- scores ---

# (rules, bid, tricks won, points)
TABLE = [
    ({}, 0, 0, 10),
    ({}, 3, 3, 13),
    ({}, 5, 5, 15),
    ({}, 3, 2, 0),
    ({}, 0, 1, 0),
    ({"miss_penalty": 1}, 3, 3, 13),
    ({"miss_penalty": 1}, 3, 1, -2),
    ({"miss_penalty": 1}, 1, 3, -2),
    ({"miss_points_per_trick": 1}, 3, 4, 4),
    ({"miss_points_per_trick": 1}, 3, 0, 0),
    ({"miss_points_per_trick": 1}, 0, 0, 10),
    ({"exact_bonus": 5, "points_per_trick": 2}, 2, 2, 9),
    ({"exact_bonus": 5, "points_per_trick": 2}, 2, 1, 0),
    ({"exact_bonus": 0, "points_per_trick": 0.5}, 3, 3, 1.5),
    ({"miss_points_per_trick": 3, "miss_penalty": 2}, 2, 1, 1),
    ({"miss_points_per_trick": 3, "miss_penalty": 2}, 2, 4, 8),
    ({"miss_points_per_trick": 3, "miss_penalty": 2}, 4, 0, -8),
]


@pytest.mark.parametrize(("changes", "bid", "won", "points"), TABLE)
def test_score_by_hand(changes, bid, won, points):
    rules = Rules(**changes)
    bids, tricks = torch.tensor([bid], dtype=torch.int8), torch.tensor([won], dtype=torch.int8)
    assert score(rules, bids, tricks).tolist() == [points]
    assert score(rules, bids, tricks).dtype == torch.float32
    assert score(rules, bids.long(), tricks.long()).tolist() == [points]


@pytest.mark.parametrize("off_bid_penalty", [True, False])
def test_the_two_scorings_of_openspiel_are_configurations(off_bid_penalty):
    """A hit earns 10 and a point a trick; a miss costs its distance, or earns a point a trick. All bids and tricks."""
    rules = Rules(cards=13, **({"miss_penalty": 1} if off_bid_penalty else {"miss_points_per_trick": 1}))
    for bid in range(14):
        won = torch.arange(14)
        expected = [10 + w if w == bid else (-abs(w - bid) if off_bid_penalty else w) for w in range(14)]
        assert score(rules, torch.full_like(won, bid), won).tolist() == expected


def test_score_keeps_the_seats_apart():
    bids, won = torch.tensor([[0, 1, 2, 2], [1, 0, 3, 1]]), torch.tensor([[0, 1, 1, 3], [2, 0, 3, 0]])
    assert score(Rules(), bids, won).tolist() == [[10, 11, 0, 0], [0, 10, 13, 0]]


def test_values_are_scores_on_the_scale_of_the_most_points():
    """One game by hand: spades are led and won by seat 0; nobody holds another trump."""
    game = Blob(cards=1, hook=False)
    hands = torch.tensor([[[12], [0], [20], [30]]])  # AS 2S 9H 6C
    state = game.from_hands(hands, dealer=3, trump=0)
    assert game.scores(state).tolist() == [[0, 0, 0, 0]] == game.values(state).tolist()
    for action in (1, 0, 1, 0, 12, 0, 20):
        state = game.step(state, torch.tensor([action]))
        assert game.scores(state).tolist() == [[0, 0, 0, 0]]
    state = game.step(state, torch.tensor([30]))
    assert game.scores(state).tolist() == [[11, 10, 0, 10]]
    assert game.values(state).tolist() == torch.tensor([[11, 10, 0, 10]]).div(11).tolist()
    exact = game.values(state, torch.float64)
    assert exact.dtype == torch.float64 and exact.tolist() == [[1, 10 / 11, 0, 10 / 11]]

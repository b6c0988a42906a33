"""The reference rules against OpenSpiel: every mover, every legal set, every score."""

import random

import pytest

from tests.openspiel_oracle import OracleGame, play_games, rules_kwargs
from veclab.reference.rules import Rules, State, is_terminal, legal_actions, mover, new_state, scores, step

pytest.importorskip("pyspiel")


def replay(rules: Rules, game: OracleGame) -> State:
    """Play the oracle's game with our rules, comparing on the way."""
    state = new_state(rules, game.hands, game.dealer, game.trump)
    for seat, legal, action in game.decisions:
        assert mover(rules, state) == seat
        assert legal_actions(rules, state) == legal
        state = step(rules, state, action)
    assert is_terminal(state)
    return state


@pytest.mark.parametrize("off_bid_penalty", [True, False])
@pytest.mark.parametrize("cards", range(1, 13))
def test_games_agree(cards, off_bid_penalty):
    rules = Rules(**rules_kwargs(cards, off_bid_penalty))
    for game in play_games(random.Random(cards), 25, cards, off_bid_penalty):
        assert scores(rules, replay(rules, game)) == game.returns


@pytest.mark.parametrize("off_bid_penalty", [True, False])
@pytest.mark.parametrize("cards", range(1, 10))
def test_games_without_trump_agree(cards, off_bid_penalty):
    rules = Rules(**rules_kwargs(cards, off_bid_penalty))
    for game in play_games(random.Random(cards), 15, cards, off_bid_penalty, no_trump=True):
        assert game.trump == 4
        assert scores(rules, replay(rules, game)) == game.returns


@pytest.mark.parametrize("cards", [1, 5, 12])
def test_default_scores_are_the_positive_returns(cards):
    rules = Rules(cards=cards)
    for game in play_games(random.Random(100 + cards), 40, cards, off_bid_penalty=True):
        assert scores(rules, replay(rules, game)) == [max(0, points) for points in game.returns]


def test_oracle_games_vary():
    """Otherwise the comparisons above would prove little."""
    games = list(play_games(random.Random(7), 100, cards=3))
    assert {game.dealer for game in games} == {0, 1, 2, 3}
    assert {game.trump for game in games} == {0, 1, 2, 3}
    assert {len(game.decisions) for game in games} == {4 + 4 * 3}
    assert len({points for game in games for points in game.returns}) > 5

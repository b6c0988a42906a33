"""The exact solver against the scalar max^n, and the player that cheats."""

import pytest
import torch

from tests.helpers import to_reference
from tests.positions import mixed_batch
from vecgame import Blob, concatenate
from veclab.arena.bots import SearchPlayer
from veclab.arena.cheating import CheatingSearch, OpenHands
from veclab.arena.matches import play_match
from veclab.reference.maxn import maxn_value
from vecmcts import PlayoutEvaluator, SearchConfig, endgame
from vecmcts.endgame import solve
from vecmcts.evaluators import random_action


@pytest.mark.parametrize("changes", [{}, {"hook": False, "trump": "none"}, {"miss_penalty": 1.0}])
@pytest.mark.parametrize(("cards", "lanes"), [(1, 20), (2, 20), (3, 6)])
def test_the_scalar_solver_says_the_same(cards: int, lanes: int, changes: dict[str, object], monkeypatch) -> None:
    """All stages of a game but the bids of longer ones; values, all best actions and the one played. In one piece and
    in many."""
    game = Blob(cards=cards, **changes)
    state = mixed_batch(game, lanes * 3, seed=cards)
    state = state[state.made >= (4 if cards > 1 else 0)][:lanes]
    solution = solve(game, state)
    for lane in range(state.batch_size):
        rules, scalar = to_reference(game, state, lane)
        scores, best = maxn_value(rules, scalar)
        assert game.score_of(solution.values[lane]).tolist() == pytest.approx(scores, abs=1e-4)
        assert solution.best[lane].nonzero()[:, 0].tolist() == sorted(best)
        assert int(solution.action[lane]) == min(best)
    monkeypatch.setattr(endgame, "POSITIONS", 12)
    pieces = solve(game, state)
    assert torch.equal(pieces.values, solution.values) and torch.equal(pieces.best, solution.best)
    assert torch.equal(pieces.action, solution.action)


def test_finished_games_have_their_scores_and_no_action() -> None:
    game = Blob(cards=1)
    state = game.deal(5, seed=1)
    for _ in range(game.decisions):
        state = game.step(state, random_action(game, state, torch.zeros(5)))
    solution = solve(game, state)
    assert torch.equal(solution.values, game.values(state))
    assert (solution.action == -1).all() and not solution.best.any()
    beside = solve(game, concatenate([state, game.deal(5, seed=1)]))  # others of whose batch go on
    assert torch.equal(beside.values[:5], solution.values) and torch.equal(beside.action[:5], solution.action)
    assert beside.best.any(-1).tolist() == [False] * 5 + [True] * 5


@pytest.mark.slow
def test_the_cheat_looks_at_the_true_hands_and_gains_by_it() -> None:
    game = Blob(cards=3)
    state = mixed_batch(game, 9, seed=1)
    assert torch.equal(OpenHands(game.rules).determinize(state, 2).hands, state.hands.repeat_interleave(2, 0))
    config = SearchConfig(worlds=4, simulations=8)
    cheat, honest = (kind(PlayoutEvaluator(), config) for kind in (CheatingSearch, SearchPlayer))
    assert "CHEATS" in cheat.name
    assert play_match([game], cheat, honest, 50, seed=1).significant


def test_the_cheat_plays_endings_as_solved() -> None:
    game = Blob(cards=2)
    state = mixed_batch(game, 30, seed=2)
    state = state[state.made >= 4]
    action = CheatingSearch(PlayoutEvaluator(), SearchConfig(worlds=1, simulations=1)).act(game, state, 0)
    assert torch.equal(action, solve(game, state).action)


def test_bad_exact_tricks() -> None:
    with pytest.raises(ValueError, match="exact_tricks must be from 0 to 4, got 9"):
        CheatingSearch(PlayoutEvaluator(), SearchConfig(), exact_tricks=9)

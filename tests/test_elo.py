"""Elo ratings against closed forms, a model that is known, and their intervals' coverage."""

import math

import pytest
import torch

from veclab.arena import elo
from veclab.arena.elo import fit, rate


def expected_wins(ratings: torch.Tensor, games: float) -> tuple[torch.Tensor, torch.Tensor]:
    """What agents of these Elo ratings win from each other on average: games and wins [N, N]."""
    chance = 1 / (1 + 10 ** ((ratings - ratings[:, None]) / 400))
    played = games * (1 - torch.eye(len(ratings), dtype=torch.float64))
    return played, played * chance


def test_two_agents_by_hand() -> None:
    """30 of 40 deals, with one drawn deal added to them: odds of 30.5 to 10.5."""
    games = torch.tensor([[0, 40], [40, 0]], dtype=torch.float64)
    wins = torch.tensor([[0, 30], [10, 0]], dtype=torch.float64)
    assert fit(games, wins, anchor=1).tolist() == pytest.approx([400 * math.log10(30.5 / 10.5), 0])
    assert fit(games, wins, anchor=0).tolist() == pytest.approx([0, -400 * math.log10(30.5 / 10.5)])


def test_a_known_model_is_found() -> None:
    ratings = torch.tensor([0.0, 250.0, -400.0, 31.0, 900.0], dtype=torch.float64)
    games, wins = expected_wins(ratings, 1e9)
    assert torch.allclose(fit(games, wins, anchor=0), ratings, atol=1e-3)
    games[0, 4] = games[4, 0] = wins[0, 4] = wins[4, 0] = 0  # not every pairing need be played
    assert torch.allclose(fit(games, wins, anchor=3), ratings - 31, atol=1e-3)


def test_a_batch_is_fitted_one_by_one() -> None:
    sets = [expected_wins(torch.tensor([0.0, x, 2 * x], dtype=torch.float64), 50) for x in (-80.0, 10.0, 300.0)]
    games, wins = (torch.stack(parts) for parts in zip(*sets, strict=True))
    assert torch.allclose(fit(games, wins, 0), torch.stack([fit(g, w, 0) for g, w in sets]))


def test_winning_everything_is_finite() -> None:
    games = torch.tensor([[0, 10], [10, 0]], dtype=torch.float64)
    wins = torch.tensor([[0, 10], [0, 0]], dtype=torch.float64)
    assert fit(games, wins, anchor=1)[0] == pytest.approx(400 * math.log10(10.5 / 0.5))


def test_agents_that_never_met_have_no_common_scale() -> None:
    games = torch.zeros(4, 4, dtype=torch.float64)
    games[0, 1] = games[1, 0] = games[2, 3] = games[3, 2] = 5
    with pytest.raises(ValueError, match="do not connect all agents"):
        fit(games, games / 2, anchor=0)


def test_intervals_cover_the_truth(monkeypatch) -> None:
    """150 ladders of three agents: the 95% intervals hold the true ratings about 95% of the time."""
    monkeypatch.setattr(elo, "RESAMPLES", 200)
    generator = torch.Generator().manual_seed(5)
    ratings = torch.tensor([0.0, 60.0, -100.0], dtype=torch.float64)
    _, chance = expected_wins(ratings, 1)
    below = above = 0
    for seed in range(150):
        shares = {}
        for a, b in ((0, 1), (0, 2), (2, 1)):
            games = torch.rand(80, 6, generator=generator, dtype=torch.float64) < chance[a, b]
            shares[a, b] = games.double().mean(-1)
        rated = rate(3, shares, anchor=0, seed=seed)
        assert (rated[0].elo, rated[0].low, rated[0].high) == (0, 0, 0)
        below += sum(rated[agent].high < ratings[agent] for agent in (1, 2))
        above += sum(rated[agent].low > ratings[agent] for agent in (1, 2))
    assert 4 <= below + above <= 30  # 15 expected of 300, standard deviation 3.8 were they independent
    assert below <= 20 and above <= 20


def test_resampling_keeps_deals_together() -> None:
    """Two pairings with opposite luck in each deal: a from b and b from c. What a deal gives b cancels in the rating of
    a against c, so that its interval is a point; resampled apart it would not be."""
    luck = (torch.arange(60, dtype=torch.float64) % 3) / 2
    rated = rate(3, {(0, 1): luck, (1, 2): 1 - luck}, anchor=2)
    assert rated[0].elo == pytest.approx(0, abs=1e-9)
    assert rated[0].high - rated[0].low < 1e-6 < rated[1].high - rated[1].low


def test_resamples_are_the_same_a_few_at_a_time(monkeypatch) -> None:
    """A thousand of a million deals at once would take 32 GB."""
    shares = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = elo._resampled(shares, seed=2)
    monkeypatch.setattr(elo, "AT_ONCE", 120)
    assert whole.shape == (elo.RESAMPLES, 3) and torch.allclose(elo._resampled(shares, seed=2), whole, rtol=1e-12)

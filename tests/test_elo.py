"""Elo ratings against closed forms, a model that is known, and their intervals' coverage."""

import math

import pytest
import torch

from veclab.arena import elo
from veclab.arena.elo import Rating, fit, rate


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


def test_who_has_not_met_draws_nothing() -> None:
    """In a chain of three each link is as far as if it were alone: a drawn deal is added to what was played only."""
    games, wins = torch.zeros(2, 3, 3, dtype=torch.float64)
    for better, worse in ((0, 1), (1, 2)):
        games[better, worse] = games[worse, better] = 40
        wins[better, worse], wins[worse, better] = 30, 10
    link = 400 * math.log10(30.5 / 10.5)
    assert fit(games, wins, anchor=2).tolist() == pytest.approx([2 * link, link, 0])


def test_winning_everything_is_finite() -> None:
    games = torch.tensor([[0, 10], [10, 0]], dtype=torch.float64)
    wins = torch.tensor([[0, 10], [0, 0]], dtype=torch.float64)
    assert fit(games, wins, anchor=1)[0] == pytest.approx(400 * math.log10(10.5 / 0.5))


def test_agents_that_never_met_have_no_common_scale() -> None:
    games = torch.zeros(4, 4, dtype=torch.float64)
    games[0, 1] = games[1, 0] = games[2, 3] = games[3, 2] = 5
    linked = games.clone()
    linked[1, 2] = linked[2, 1] = 5
    for results in (games, torch.stack([linked, games])):  # one of a batch is enough
        with pytest.raises(ValueError, match="do not connect all agents"):
            fit(results, results / 2, anchor=0)


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


@pytest.mark.parametrize("deals", [2, 10, 100, 1000])
def test_who_won_everything_is_at_least_so_much_better(deals: int) -> None:
    """The exact limit is the share that wins every deal once in 40 times; one drawn deal more than that was won."""
    won = torch.ones(deals, dtype=torch.float64)
    share = (deals * 0.025 ** (1 / deals) + 0.5) / (deals + 1)
    limit = pytest.approx(400 * math.log10(share / (1 - share)), abs=5)
    better, worse = (rate(2, {(0, 1): shares}, anchor=1)[0] for shares in (won, 1 - won))
    assert (better.low, better.high) == (limit, math.inf) and (-worse.high, worse.low) == (limit, -math.inf)
    assert better.interval == f"at least {better.low:+.0f}" and worse.interval == f"at most {worse.high:+.0f}"
    assert better.low < better.elo < math.inf and worse.elo == pytest.approx(-better.elo)


def test_intervals_cover_the_truth_where_nearly_all_is_won() -> None:
    """Exactly, over all numbers of 60 deals that may be lost; of 0.99 more than half of all ladders have none.

    2.5% at each end would be right. With an average of four to six losses it is most: 8% lie below the low end, for
    who happens to have one or two has resamples with few more.
    """
    lost = torch.ones(61, 60, dtype=torch.float64).tril(-1)
    ratings = [rate(2, {(0, 1): 1 - one}, anchor=1)[0] for one in lost]
    for lost_on_average in (0.05 * n for n in range(1, 400)):
        chance = 1 - lost_on_average / 60
        truth, above, below = 400 * math.log10(chance / (1 - chance)), 0.0, 0.0
        for count, rating in enumerate(ratings):
            weight = math.comb(60, count) * (1 - chance) ** count * chance ** (60 - count)
            above += weight * (rating.low > truth)
            below += weight * (rating.high < truth)
        assert above < 0.085 and below < 0.065, lost_on_average


def test_groups_that_only_won_from_others_are_apart_by_nobody_knows_how_much() -> None:
    """Within such a group all is as ever. Of two who have only beaten a third, nothing is known."""
    level, won = (torch.arange(40) % 2).double(), torch.ones(40, dtype=torch.float64)
    pairings = {(0, 1): level, (2, 3): level, (0, 2): won, (0, 3): won, (1, 2): won, (1, 3): won}
    rated = rate(4, pairings, anchor=3)
    assert [math.isinf(one.high) for one in rated] == [True, True, False, False]
    assert all(one.low > 300 for one in rated[:2]) and rated[3] == Rating(0, 0, 0)
    alone = rate(2, {(0, 1): level}, anchor=1)[0]
    assert (rated[2].low, rated[2].high) == pytest.approx((alone.low, alone.high), rel=0.2)
    third = rate(3, {(0, 1): won, (2, 1): won}, anchor=0)
    assert third[2].interval == "not known" and third[1].interval.startswith("at most -")


def test_who_has_won_by_way_of_many_others_is_not_apart() -> None:
    """Six in a ring, of whom each has only beaten the next: all are as good as one another."""
    rated = rate(6, {(one, (one + 1) % 6): torch.ones(20, dtype=torch.float64) for one in range(6)}, anchor=0)
    assert all((abs(one.elo), abs(one.low), abs(one.high)) == pytest.approx((0, 0, 0), abs=1e-6) for one in rated)


def test_one_deal_tells_nothing() -> None:
    rated = rate(2, {(0, 1): torch.tensor([0.75])}, anchor=1)
    assert (rated[0].low, rated[0].high, rated[1]) == (-math.inf, math.inf, Rating(0, 0, 0))


def test_resamples_vary_as_means_of_deals_do() -> None:
    """The variance of the sum of 3 deals is 3 times the unbiased one, as 1,000 resamples have it but for 5 standard
    deviations; drawn as 3 of 3 it is a third less. By strata it is that within them."""
    deals = torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64)
    for shares, strata in ((deals, None), (torch.cat([deals, deals + 7]), [3, 3])):
        sums = elo._resampled(shares, torch.Generator().manual_seed(1), strata)
        variance = len(shares) * 0.25
        assert float(sums.var()) == pytest.approx(variance, abs=5 * variance * math.sqrt(2 / elo.RESAMPLES))
        assert float(sums.mean()) == pytest.approx(float(shares.sum()), abs=5 * math.sqrt(variance / elo.RESAMPLES))


def test_what_differs_between_rules_is_no_chance() -> None:
    shares = torch.tensor([0.9] * 20 + [0.3] * 20, dtype=torch.float64)
    by_rules, mixed = (rate(2, {(0, 1): shares}, anchor=1, strata=strata)[0] for strata in ([20, 20], None))
    assert by_rules.high - by_rules.low < 1e-6 and mixed.high - mixed.low > 50


def test_resamples_are_by_the_seed() -> None:
    shares = {(0, 1): torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))}
    once, again, other = (rate(2, shares, anchor=1, seed=seed) for seed in (1, 1, 2))
    assert once == again != other and once[0].elo == other[0].elo


def test_resamples_are_the_same_a_few_at_a_time(monkeypatch) -> None:
    """A thousand of a million deals at once would take 32 GB."""
    shares = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for strata in (None, [30, 20]):
        whole = elo._resampled(shares, torch.Generator().manual_seed(2), strata)
        with monkeypatch.context() as patch:
            patch.setattr(elo, "AT_ONCE", 120)
            parts = elo._resampled(shares, torch.Generator().manual_seed(2), strata)
        assert whole.shape == (elo.RESAMPLES, 3) and torch.allclose(parts, whole, rtol=1e-12)

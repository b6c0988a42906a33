"""Elo ratings by maximum likelihood from results on shared deals, with bootstrap intervals, open where all was won.

Model: agent a beats agent b with probability 1 / (1 + 10**((R_b - R_a) / 400)) (Bradley and Terry, "Rank Analysis of
Incomplete Block Designs", Biometrika 39, 1952; the scale is Elo's). A tie counts half a win for each. The likelihood is
concave in the ratings; Newton's method finds its maximum. One rating, the anchor's, is fixed at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCALE = 400 / math.log(10)  # Elo points of one natural unit of the logistic
PRIOR_DEALS = 1.0  # drawn deals added to each pairing that was played: ratings stay finite where one side won it all
NEWTON_STEPS = 30
MAX_STEP = 2.0  # natural units, 350 points: keeps the first steps from overshooting
RESAMPLES = 1000
TINY = 1e-6  # deals that are none, but for rounding
AT_ONCE = 1 << 22  # numbers of deals drawn at a time: what a rating of many deals takes in memory


@dataclass(frozen=True)
class Rating:
    """An agent's Elo rating with its 95% interval, which may be open: infinite where nothing tells how much better or
    worse it may be."""

    elo: float  # finite by `PRIOR_DEALS` in any case
    low: float
    high: float

    @property
    def interval(self) -> str:
        """In words."""
        if math.isfinite(self.low):
            return f"{self.low:+.0f} .. {self.high:+.0f}" if math.isfinite(self.high) else f"at least {self.low:+.0f}"
        return f"at most {self.high:+.0f}" if math.isfinite(self.high) else "not known"


def fit(games: Tensor, wins: Tensor, anchor: int) -> Tensor:
    """Ratings that make the results most likely.

    Args:
        games: [..., N, N] float64, symmetric: how much was played between two agents (deals, say); 0 = nothing.
        wins: [..., N, N] float64: how much of it the row's agent won, ties as halves; wins + wins.T = games.
        anchor: the agent whose rating is 0.

    Returns:
        [..., N] float64 Elo points.

    Raises:
        ValueError: when results do not connect all agents, so that they have no common scale.
    """
    _check_connected(games)
    count = games.shape[-1]
    prior = PRIOR_DEALS * (games > 0)
    games, wins = games + prior, wins + prior / 2
    free = torch.tensor([agent for agent in range(count) if agent != anchor], dtype=torch.int64, device=games.device)
    theta = games.new_zeros(games.shape[:-1])
    for _ in range(NEWTON_STEPS):
        chance = torch.sigmoid(theta[..., :, None] - theta[..., None, :])
        gradient = (wins - games * chance).sum(-1)
        weight = games * chance * (1 - chance)
        information = torch.diag_embed(weight.sum(-1)) - weight
        step = torch.linalg.solve(information[..., free[:, None], free], gradient[..., free])
        theta[..., free] += step.clamp(-MAX_STEP, MAX_STEP)
    return SCALE * theta


def _check_connected(games: Tensor) -> None:
    linked = games.flatten(0, -3).amin(0) > 0 if games.ndim > 2 else games > 0
    reached = torch.zeros(len(linked), dtype=torch.bool, device=games.device)
    reached[0] = True
    for _ in range(len(linked)):
        reached |= (linked & reached[:, None]).any(0)
    if not reached.all():
        raise ValueError("the results do not connect all agents: some have played none of the others")


def rate(
    agents: int,
    pairings: dict[tuple[int, int], Tensor],
    anchor: int,
    strata: Sequence[int] | None = None,
    seed: int = 0,
) -> list[Rating]:
    """Ratings of all agents from their pairings, with intervals by the percentile bootstrap over deals.

    All pairings are played on the same deals, numbered alike, so a resample draws deal numbers with replacement once
    and takes every pairing's results of them: what a deal has in common for all pairings stays in common. It draws one
    deal less than there are, each of which counts for as much more, so that the variance is the unbiased one (McCarthy
    and Snowden, "The Bootstrap and Finite Population Sampling", Vital and Health Statistics 2-95, 1985).

    How far an agent is ahead that won all of what connects it with the anchor nothing tells: that end is open, see
    `_open_ends`. Nor would such results vary, and so in a resample in which one side wins all D deals of a pairing, it
    is taken to have won a share of u ** (1 / D), u between 0 and 1: who wins that share of deals wins all D with
    probability u, and the lowest 2.5% of u are the exact limit (Clopper and Pearson, Biometrika 26, 1934).

    Args:
        agents: their number N.
        pairings: (a, b) -> [D] float64 in 0..1, the share of each deal that a won from b.
        anchor: the agent whose rating is 0, without an interval.
        strata: how many of the deals, in their order, are by each of several rules, two of each or more, whose shares
            are fixed (`veclab.arena.intervals.strata_of`): each is resampled for itself. None: all are by one.
        seed: of the resamples.
    """
    keys = list(pairings)
    shares = torch.stack([pairings[key].double() for key in keys], dim=-1)  # [D, P]
    deals, generator = len(shares), torch.Generator().manual_seed(seed)
    elo = fit(*_results(agents, keys, shares.sum(0, keepdim=True), deals), anchor)[0]
    if deals < 2:
        return [
            Rating(one, *([0.0] * 2 if n == anchor else [-math.inf, math.inf])) for n, one in enumerate(elo.tolist())
        ]
    won = _resampled(shares, generator, strata)  # [RESAMPLES, P]
    u = (torch.randperm(RESAMPLES, generator=generator)[:, None] + 0.5) / RESAMPLES
    least = deals * u.double() ** (1 / deals)
    games, wins = _results(agents, keys, won, deals)
    resampled, (above, below) = fit(games, wins, anchor), _open_ends(wins, anchor)
    if (above | below).any():
        not_all = torch.where(won > deals - TINY, least, torch.where(won < TINY, deals - least, won))
        open_ended = fit(*_results(agents, keys, not_all, deals), anchor)
        resampled = torch.where(above | below, open_ended, resampled)
    low = torch.where(below, -math.inf, resampled).quantile(0.025, dim=0, interpolation="lower")
    high = torch.where(above, math.inf, resampled).quantile(0.975, dim=0, interpolation="higher")
    return [Rating(*row) for row in zip(elo.tolist(), low.tolist(), high.tolist(), strict=True)]


def _results(agents: int, keys: Sequence[tuple[int, int]], won: Tensor, deals: int) -> tuple[Tensor, Tensor]:
    """What was played and won, as `fit` takes it, of the deals [R, P] that a pairing's first won: 2 x [R, N, N]."""
    games, wins = (torch.zeros(len(won), agents, agents, dtype=torch.float64) for _ in range(2))
    for number, (a, b) in enumerate(keys):
        games[:, a, b] = games[:, b, a] = deals
        wins[:, a, b] = won[:, number]
        wins[:, b, a] = deals - won[:, number]
    return games, wins


def _open_ends(wins: Tensor, anchor: int) -> tuple[Tensor, Tensor]:
    """Which ratings of results [R, N, N] may be as high, and as low, as one likes: 2 x [R, N] bool.

    Without a prior the likelihood has a maximum where everybody has won something from everybody else, if only by way
    of others (Ford, "Solution of a Ranking Problem from Binary Comparisons", American Mathematical Monthly 64, 1957).
    An agent from which the anchor has won nothing, by any way, has no upper end, and one that has won nothing from the
    anchor no lower one.
    """
    count = wins.shape[-1]
    over = ((wins > TINY) | torch.eye(count, dtype=torch.bool)).double()
    for _ in range(count.bit_length()):
        over = (over @ over > 0).double()  # by way of up to twice as many others
    return over[:, anchor] == 0, over[:, :, anchor] == 0


def _resampled(shares: Tensor, generator: torch.Generator, strata: Sequence[int] | None = None) -> Tensor:
    """Sums of the shares [D, P] over each of the resamples, as of D deals, a few at a time: [RESAMPLES, P] float64."""
    sums = torch.zeros(RESAMPLES, shares.shape[1], dtype=torch.float64)
    for part in shares.split(list(strata or [len(shares)])):
        size = len(part)
        for rows in torch.arange(RESAMPLES).split(max(1, AT_ONCE // size)):
            drawn = torch.randint(size, (len(rows), size - 1), generator=generator)
            counts = torch.zeros(len(rows), size, dtype=torch.float64)
            counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
            sums[rows] += counts @ part * (size / (size - 1))
    return sums

"""Elo ratings by maximum likelihood from results on shared deals, with bootstrap intervals.

Model: agent a beats agent b with probability 1 / (1 + 10**((R_b - R_a) / 400)) (Bradley and Terry, "Rank Analysis of
Incomplete Block Designs", Biometrika 39, 1952; the scale is Elo's). A tie counts half a win for each. The likelihood is
concave in the ratings; Newton's method finds its maximum. One rating, the anchor's, is fixed at 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SCALE = 400 / math.log(10)  # Elo points of one natural unit of the logistic
PRIOR_DEALS = 1.0  # drawn deals added to each pairing that was played: ratings stay finite where one side won it all
NEWTON_STEPS = 30
MAX_STEP = 2.0  # natural units, 350 points: keeps the first steps from overshooting
RESAMPLES = 1000
AT_ONCE = 1 << 22  # numbers of deals drawn at a time: what a rating of many deals takes in memory


@dataclass(frozen=True)
class Rating:
    """An agent's Elo rating with its 95% interval."""

    elo: float
    low: float
    high: float


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


def rate(agents: int, pairings: dict[tuple[int, int], Tensor], anchor: int, seed: int = 0) -> list[Rating]:
    """Ratings of all agents from their pairings, with intervals by the percentile bootstrap over deals.

    All pairings are played on the same deals, numbered alike, so a resample draws deal numbers with replacement once
    and takes every pairing's results of them: what a deal has in common for all pairings stays in common.

    Args:
        agents: their number N.
        pairings: (a, b) -> [D] float64 in 0..1, the share of each deal that a won from b.
        anchor: the agent whose rating is 0, without an interval.
        seed: of the resamples.
    """
    keys = list(pairings)
    shares = torch.stack([pairings[key].double() for key in keys], dim=-1)  # [D, P]
    deals = len(shares)
    won = torch.cat([shares.sum(0, keepdim=True), _resampled(shares, seed)])  # [1 + RESAMPLES, P], the deals first
    games, wins = (torch.zeros(len(won), agents, agents, dtype=torch.float64) for _ in range(2))
    for number, (a, b) in enumerate(keys):
        games[:, a, b] = games[:, b, a] = deals
        wins[:, a, b] = won[:, number]
        wins[:, b, a] = deals - won[:, number]
    elo = fit(games, wins, anchor)
    low, high = torch.quantile(elo[1:], torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    return [Rating(*row) for row in zip(elo[0].tolist(), low.tolist(), high.tolist(), strict=True)]


def _resampled(shares: Tensor, seed: int) -> Tensor:
    """Sums of the shares [D, P] over each of the resamples of D deals, a few at a time: [RESAMPLES, P] float64."""
    deals, generator, sums = len(shares), torch.Generator().manual_seed(seed), []
    for rows in torch.arange(RESAMPLES).split(max(1, AT_ONCE // deals)):
        drawn = torch.randint(deals, (len(rows), deals), generator=generator)
        counts = torch.zeros(len(rows), deals, dtype=torch.float64)
        counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
        sums.append(counts @ shares)
    return torch.cat(sums)

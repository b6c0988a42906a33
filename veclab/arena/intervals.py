"""Means with their 95% confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame import Game
from veclab.shares import even_shares

T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # two-sided, 1 to 9 degrees of freedom


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% confidence interval, mean - half .. mean + half."""

    mean: float
    half: float

    @classmethod
    def of(cls, samples: Tensor, strata: Sequence[int] | None = None, span: float = math.inf) -> Interval:
        """Of independent samples [N], by Student's t.

        It is infinite of one sample. Of several that are all equal it is what others could move the mean by: a share p
        of them is missed by N samples with probability (1 - p)**N, so with 95% there are no more than
        1 - 0.05**(1 / N) of them (Clopper and Pearson, Biometrika 26, 1934), and each is within ``span``.

        Args:
            span: how far apart samples can be.
            strata: how many samples, in their order, are of each of several kinds that have fixed shares of them
                (`strata_of`). How the kinds differ on average is then no error of the mean, and the degrees of freedom
                are Satterthwaite's ("An Approximate Distribution of Estimates of Variance Components", Biometrics 2,
                1946), rounded down. None: all are of one kind.
        """
        parts = samples.double().split(list(strata or [len(samples)]))
        mean, count = float(samples.double().mean()), len(samples)
        if min(map(len, parts)) < 2:
            return cls(mean, math.inf)
        if all(torch.allclose(part, part[:1], rtol=1e-9, atol=1e-12) for part in parts):  # but for rounding
            return cls(mean, span * (1 - 0.05 ** (1 / count)))
        freedoms = [len(part) - 1 for part in parts]
        adds = [len(part) * float(part.var()) / count**2 for part in parts]  # to the variance of the mean
        freedom = sum(adds) ** 2 / sum(add**2 / own for add, own in zip(adds, freedoms, strict=True))
        return cls(mean, t_95(max(1, math.floor(freedom + 1e-9))) * math.sqrt(sum(adds)))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.half:.2f}"


def t_95(freedom: int) -> float:
    """Student's t, two-sided 95%: the table, and beyond it the first terms of its expansion about the normal
    distribution, which are right to 0.003."""
    return T_95[freedom - 1] if freedom <= len(T_95) else 1.960 + 2.372 / freedom + 2.823 / freedom**2


def span_of(games: Sequence[Game]) -> float:
    """How far apart the points of a game can be."""
    return max(game.highest for game in games) - min(game.lowest for game in games)


def strata_of(deals: int, rules: int) -> list[int]:
    """How many of a match's deals, in their order, are by each of its rules; all of them as one where some rules have
    fewer than two deals, which tell nothing of their spread: that makes intervals wider, not narrower."""
    return even_shares(deals, rules) if deals >= 2 * rules else [deals]

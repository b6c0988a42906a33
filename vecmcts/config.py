"""How much and how to search, by trees and by rollouts."""

import math
from dataclasses import dataclass

import numpy as np

from vecgame.game import Game

ROOT_SELECTIONS = ("puct", "shared", "gumbel")


@dataclass(frozen=True)
class SearchConfig:
    """Settings of `vecmcts.search`; the defaults are the document's 3 worlds x 30 simulations.

    Raises ValueError on a value out of range.
    """

    worlds: int = 3  # sampled deals a game, each searched in a tree of its own
    simulations: int = 30  # descents in each tree
    c_puct: float = 0.6  # weight of prior against value in the selection, for values in [0, 1]
    leaves_per_step: int = 1  # descents a tree before their leaves are evaluated together, under virtual loss
    noise_fraction: float = 0.0  # share of Dirichlet noise in the root's prior; self-play sets it
    noise_alpha: float = 1.0  # concentration of that noise
    c_visit: float = 50.0  # improved policy: sigma(q) = (c_visit + most visits) * c_scale * q
    c_scale: float = 0.2
    # Visits beyond these add no more to that weight: what Q then has of error is the network's, and strategy fusion's,
    # which more visits do not average out. Measured: uncapped, 30 worlds x 30 simulations played worse than no search.
    trusted_visits: float = 100.0
    merge_equivalent: bool = False  # moves that differ in name only (`Game.merged`) are searched as one
    # "shared": by PUCT over the sums of all worlds; "gumbel": Sequential Halving, for few simulations (`vecmcts.root`)
    root_selection: str = "puct"
    considered_actions: int = 16  # of Sequential Halving: how many root actions it begins with, at most
    gumbel_scale: float = 1.0  # of its noise: 1 for self-play, 0 for a search without chance
    candidates: int = 0  # uniform worlds from which those of the search are drawn by likelihood (`vecmcts.inference`)
    trust: float = 0.9  # then: in the others' following the evaluator's policy, rather than acting at random

    def __post_init__(self) -> None:
        take_numpys_numbers(self)
        for name in ("worlds", "simulations", "leaves_per_step", "considered_actions"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 1 << 15:
                raise ValueError(f"{name} must be an integer from 1 to {(1 << 15) - 1}, got {value!r}")
        if not isinstance(self.merge_equivalent, bool):
            raise ValueError(f"merge_equivalent must be True or False, got {self.merge_equivalent!r}")
        for name in (
            "c_puct",
            "noise_fraction",
            "noise_alpha",
            "c_visit",
            "c_scale",
            "gumbel_scale",
            "trust",
            "trusted_visits",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
        for name in ("c_puct", "noise_alpha", "c_scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        if not 0 <= self.noise_fraction <= 1:
            raise ValueError(f"noise_fraction must be from 0 to 1, got {self.noise_fraction!r}")
        _check_candidates(self.worlds, self.candidates, self.trust)
        for name in ("c_visit", "gumbel_scale", "trusted_visits"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)!r}")
        if self.root_selection not in ROOT_SELECTIONS:
            raise ValueError(f"root_selection must be one of {ROOT_SELECTIONS}, got {self.root_selection!r}")
        if self.root_selection == "gumbel" and self.leaves_per_step > 1:
            raise ValueError(
                "root_selection 'gumbel' compares values that are known: it needs leaves_per_step=1, "
                f"got {self.leaves_per_step}"
            )
        if self.root_selection == "gumbel" and self.noise_fraction > 0:
            raise ValueError(
                "root_selection 'gumbel' has noise of its own: it needs noise_fraction=0, "
                f"got {self.noise_fraction!r}; see gumbel_scale"
            )

    def view(self, game: Game) -> Game:
        """The game as a search with these settings looks at it."""
        return game.merged() if self.merge_equivalent else game


@dataclass(frozen=True)
class RolloutConfig:
    """Settings of `vecmcts.rollouts`; the defaults are what was measured to pay, see docs/learning.md.

    Raises ValueError on a value out of range.
    """

    worlds: int = 32  # sampled deals a game, in each of which every action that is tried is played out once
    actions: int = 4  # tried at most, those of the largest prior
    least_prior: float = 0.01  # of an action that is tried; where there is one such action, nothing is
    caution: float = 1.0  # standard errors of an action's gain that do not count
    scale: float = 200.0  # weight of the gain that counts, for values in [0, 1], against the logarithm of the prior
    candidates: int = 128  # uniform worlds of which those of the rollouts are drawn by likelihood; 0: all alike
    trust: float = 0.9  # then: in the others' following the evaluator's policy, rather than acting at random

    def __post_init__(self) -> None:
        take_numpys_numbers(self)
        for name in ("worlds", "actions"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value < 1 << 15:
                raise ValueError(f"{name} must be an integer from 2 to {(1 << 15) - 1}, got {value!r}")
        for name in ("least_prior", "caution", "scale", "trust"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
        if not self.least_prior <= 0.5:
            raise ValueError(f"least_prior must be from 0 to 0.5, got {self.least_prior!r}")
        _check_candidates(self.worlds, self.candidates, self.trust)


def check_config(config: object, kind: type) -> None:
    """Raises ValueError, in one line, on what is no configuration of this kind of search."""
    if not isinstance(config, kind):
        raise ValueError(f"config must be of {kind.__name__}, got a {type(config).__name__}")


def take_numpys_numbers(config: object) -> None:
    """Puts Python's numbers in the place of numpy's, which JSON and torch have no use for."""
    for name, value in vars(config).items():
        if isinstance(value, np.generic):
            object.__setattr__(config, name, value.item())


def _check_candidates(worlds: int, candidates: int, trust: float) -> None:
    """Raises ValueError unless so many worlds can be drawn from so many candidates (`vecmcts.inference`)."""
    whole = isinstance(candidates, int) and not isinstance(candidates, bool)
    if not whole or not (candidates == 0 or worlds <= candidates < 1 << 15):
        raise ValueError(
            f"candidates must be 0, or an integer from worlds={worlds} to {(1 << 15) - 1}, got {candidates!r}"
        )
    if not 0 <= trust < 1:
        raise ValueError(f"trust must be from 0 to below 1, got {trust!r}")

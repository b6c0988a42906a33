"""How the learning rate falls over a learner's steps, and how it goes on falling when a run is given more of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

FINAL_SHARE = 0.1  # of the learning rate, that is left at the last step


@dataclass(frozen=True)
class Schedule:
    """A cosine from ``share`` of the full rate at step ``start`` to `FINAL_SHARE` of it at the last one.

    The number of steps is no part of it: a run that gets more of them, or fewer, takes another schedule from where it
    stands, which begins at the share that the first has reached. So the rate never rises.
    """

    start: int = 0
    share: float = 1.0

    def at(self, step: int, steps: int) -> float:
        """The share of the full rate at ``step``, of ``steps`` in all; `FINAL_SHARE` at the last and after it."""
        if step >= steps:
            return FINAL_SHARE
        done = (step - self.start) / (steps - self.start)
        return FINAL_SHARE + (self.share - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))

    def from_here(self, step: int, steps: int) -> Schedule:
        """The one to go on with from ``step`` when the number of steps, ``steps`` so far, becomes another."""
        return Schedule(step, self.at(step, steps))

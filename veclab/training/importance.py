"""Which decisions of an update are learned from: those that teach more, more often.

Of a policy that plays well most decisions teach next to nothing: it was sure of its action, or the action turned out as
expected. So each pass draws some, by how large a step each asks for, and what is drawn seldom counts for more where it
is drawn: the mean over a draw is, on the average, the mean over all (importance sampling; Katharopoulos and Fleuret
2018, arXiv:1803.00942, likewise by a bound of the gradient at the network's output).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Of a decision's chance the part that all have alike, for their values and entropies are learned too: none counts for
# more than 1 / EVEN times the mean.
EVEN = 0.3


@dataclass(frozen=True)
class Sampling:
    """How draws of ``count`` of E decisions are made."""

    chance: Tensor  # [E] float64, to be in a draw; they sum to ``count``
    count: int

    @property
    def weight(self) -> Tensor:
        """What a decision counts for where it is drawn, 1 on the average of a draw: [E] float32."""
        return (self.count / len(self.chance) / self.chance).float()

    def draw(self, offset: float) -> Tensor:
        """One draw, in the order of the decisions: [count] int64.

        Systematic sampling: marks lie at ``offset`` + 0, 1, 2, .. along the chances laid end to end. With an offset
        that is uniform in [0, 1) every decision has its chance, and a draw has neighbours, such as the decisions made
        at one time, in proportion.
        """
        ends = self.chance.cumsum(0)
        marks = (torch.arange(self.count, dtype=torch.float64, device=ends.device) + offset) * (ends[-1] / self.count)
        return torch.searchsorted(ends, marks, right=True).clamp(max=len(ends) - 1)


def teaches(advantage: Tensor, log_prob: Tensor) -> Tensor:
    """How large a step of the policy's logits a decision asks for: [E] float32.

    The gradient of advantage x log-probability by the logits is advantage x (one-hot action - policy), whose norm is
    |advantage| x (1 - probability), up to a factor of sqrt(2).

    Args:
        advantage: [E] float32, of mean 0 and deviation 1.
        log_prob: [E] float32, of the action taken.
    """
    return advantage.abs() * -torch.expm1(log_prob)


def sampling_by(worth: Tensor, share: float) -> Sampling:
    """Draws of a share of E decisions, by what each is ``worth``.

    Chances are in proportion to `EVEN` parts of 1 and the rest of ``worth`` over its mean, as far as none is above 1:
    what is worth most is in every draw.

    Args:
        worth: [E] float, not below 0.
        share: from above 0 to 1; at least one decision is drawn.
    """
    worth = worth.double()
    number, count = len(worth), max(1, round(share * len(worth)))
    score = EVEN + (1 - EVEN) * worth / worth.mean().clamp(min=torch.finfo(torch.float32).tiny)
    # With the k highest scores certain, the others share what is left of the count in proportion. The right k is the
    # first with which none of these comes above 1.
    highest = score.sort(descending=True).values
    certain = torch.arange(number, device=worth.device)
    rate = (count - certain).clamp(min=0) / highest.flip(0).cumsum(0).flip(0)
    first = (rate * highest <= 1 + 1e-12).to(torch.int8).argmax()
    return Sampling((rate[first] * score).clamp(max=1), count)

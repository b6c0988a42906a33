"""Signs that learning comes to nothing, though no figure is NaN and nothing stops: each is said once, until it goes."""

from __future__ import annotations

import torch
from torch import Tensor

from net import BlobNet
from veclab.progress import Display

SETTLED = 0.002  # nats of a decision, below which a policy draws next to nothing
# Of the encoder's output: 0.5 in new networks, 0.4 to 1.2 in agents, 0.07 at least after a few updates of a few games
# with one or two cards; 0.003 and 0.006 in two networks that had collapsed.
COLLAPSED = 0.02
RECOVERED = 0.1  # what one that was below that has come to where it learns after all
POSITIONS = 64  # that are looked at


class Signs:
    """What has been said of a run."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.settled = self.collapsed = False

    def look_at_entropy(self, entropy: float, after: str) -> None:
        """Says when hardly anything is drawn any more: what everybody has settled on may be a poor game that nobody
        leaves alone, such as that all pass, and looks like any other run by its figures.

        Args:
            entropy: of a decision, in nats.
            after: what has been learned so far, in words.
        """
        if self.settled or entropy >= SETTLED:
            return
        self.settled = True
        self.display.line(
            f"after {after} the policy takes one action nearly everywhere (entropy {entropy:.4f}) and learns of no "
            "other any more; where that is a poor one, as when all always pass, begin anew with larger --update-games "
            "or --entropy"
        )

    def look_at_spread(self, spread: float | None, rate: float, after: str) -> None:
        """Says when the network answers the same whatever it sees, as deep ones may come to by steps that are too large
        and do not recover from; and when it has recovered, as shallow ones may that a first update threw there.

        Args:
            spread: `spread_of` the network.
            rate: the run's learning rate.
            after: as above.
        """
        if self.collapsed and spread is not None and spread >= RECOVERED:
            self.collapsed = False
            self.display.line(f"after {after} the network tells positions apart again (by {spread:.2f})")
        if self.collapsed or spread is None or spread >= COLLAPSED:
            return
        self.collapsed = True
        self.display.line(
            f"after {after} the network answers nearly the same in all positions (its encoder's outputs differ by "
            f"{spread:.4f}, those of networks that learn by 0.3 and more) and seldom recovers: if this goes on, begin "
            f"anew with a smaller --learning-rate than {rate:g}"
        )


@torch.no_grad()
def spread_of(net: BlobNet, observations: Tensor) -> float | None:
    """By how much a network's encoder tells positions apart: the standard deviation of its output over some of them,
    mean of its columns; None where there are none or they look the same themselves.

    Args:
        observations: [E, observation], of which some are taken.
    """
    some = observations[:: max(1, -(-len(observations) // POSITIONS))].float()
    if bool((some == some[:1]).all()):
        return None
    return float(net.encode(some).std(0).mean())

"""The gate: which network plays self-play, the newest always, or one that has been beaten at a stated error rate.

Candidate and player meet on fresh deals, two against two in all seatings (`veclab.arena.matches.even_seatings_of`),
with the search of self-play and in its arithmetic, but for its noise: without it, networks whose best actions are the
same could not be told apart. A deal gives x, the candidate's mean points a game less the player's; with several card
counts, the mean over one deal of each. The match has at most D deals. The candidate passes as soon as, at one of the
looks every `CHUNK` deals,

    x_1 + .. + x_d  >  z * s * sqrt(D)

where s is the standard deviation of the deals so far and z the normal quantile of 1 - error / 2. For equal players x is
symmetric about 0, and by Levy's inequality the sum is above a bound at any look with at most twice the probability that
it is at the end: 2 * error / 2. (For Brownian motion this is the reflection principle, and the boundary is that of
O'Brien and Fleming, "A multiple testing procedure for clinical trials", Biometrics 35, 1979.) A much better candidate
passes early; one that is no better plays all D deals.

In 20,000 simulated matches at error 0.05 (differences between random players, standard deviation 2.4 points a deal):

| the candidate is ahead by, points a game | 0 | 0.1 | 0.2 | 0.3 | 0.5 | 1 |
|---|---|---|---|---|---|---|
| passes in 250 deals | 3.0% | 11% | 28% | 53% | 91% | 100% |
| passes in 1,000 deals | 3.6% | 30% | 77% | 98% | 100% | 100% |
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from net import BlobNet
from vecgame import Game
from veclab.arena.bots import Player, search_player
from veclab.arena.intervals import Interval, span_of
from veclab.arena.matches import even_seatings_of, play_deals, side_points
from veclab.precision import inference_net
from veclab.progress import Display
from veclab.settings import Settings

GATE_INDEX = 1 << 49  # number of the first deal of the gate's matches
DEAL_BITS = 24  # room for the deals of one match
CHUNK = 100  # deals of each card count between two looks
MIN_ROUNDS = 30  # deals of each card count, at least, for the normal approximation

Figures = dict[str, object]
"""Of a match, for the metrics: gate_passed, gate_deals, gate_lead."""


@dataclass(frozen=True)
class Verdict:
    """What a match has shown."""

    passed: bool  # the candidate is better, at the error rate
    deals: int  # played
    lead: Interval  # points a game that the candidate was ahead


def crossing(differences: Tensor, error: float, rounds: int) -> bool:
    """Whether the deals so far, [d] float64, let the candidate of a match of ``rounds`` deals pass at this look."""
    bound = float(torch.special.ndtri(torch.tensor(1 - error / 2, dtype=torch.float64)))
    return bool(differences.sum() > bound * differences.std() * math.sqrt(rounds))


def judge(
    games: Sequence[Game],
    candidate: Player,
    player: Player,
    error: float,
    deals: int,
    seed: int,
    first_index: int,
    device: str | torch.device = "cpu",
    check: Callable[[], None] = lambda: None,
) -> Verdict:
    """Plays a match for the place of the one who plays.

    Args:
        games: rules to mix.
        error: largest probability that a candidate that is not better passes, above 0 and below 1.
        deals: at most so many, shared out among the rules, but `MIN_ROUNDS` of each.
        first_index: number of the first deal.
        check: called often; an exception that it raises ends the match.
    """
    rounds, seatings = max(MIN_ROUNDS, deals // len(games)), even_seatings_of(games[0])
    differences = torch.zeros(0, dtype=torch.float64, device=device)
    passed = False
    while len(differences) < rounds and not passed:
        count = min(CHUNK, rounds - len(differences))
        number = first_index + len(differences) * len(games)
        players, fresh = (candidate, player), count * len(games)
        points = play_deals(games, players, seatings, fresh, seed, device, lambda share: check(), number)
        mine, theirs = side_points(points, seatings).view(len(games), count, 2).unbind(-1)
        differences = torch.cat([differences, (mine - theirs).mean(0)])
        passed = crossing(differences, error, rounds)
    return Verdict(passed, len(differences) * len(games), Interval.of(differences, span=2 * span_of(games)))


class Gate:
    """The network that plays self-play in a run, and how it came to."""

    def __init__(self, settings: Settings, newest: BlobNet, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.net = copy.deepcopy(newest) if settings.gate == "test" else None  # None: the newest
        self.judged = 0  # the last iteration whose player was chosen; that of the first is the newest
        self.figures: Figures = {}  # of that choice, for the metrics

    def choose(
        self,
        newest: BlobNet,
        iteration: int,
        games: Sequence[Game],
        display: Display,
        check: Callable[[], None] = lambda: None,
        by_leader: Callable[[Callable[[], Figures]], Figures] = lambda make: make(),
        changing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> BlobNet:
        """The network that plays iteration ``iteration``, counted from 0. Interrupted by ``check``, nothing changes.

        Args:
            by_leader: has one of several processes play the match, and tells all of them its outcome.
            changing: a context around the moments in which the gate's state changes.
        """
        if self.net is None:
            return newest
        if iteration == 0:
            with changing():
                self.net.load_state_dict(newest.state_dict())
        elif self.judged != iteration:
            figures = by_leader(lambda: self._match(newest, iteration, games, check))
            with changing():
                if figures["gate_passed"]:
                    self.net.load_state_dict(newest.state_dict())
                self.judged, self.figures = iteration, figures
            outcome = "the newest network takes over" if figures["gate_passed"] else "the older network plays on"
            display.line(f"gate: {outcome} after {figures['gate_deals']} deals")
        return self.net

    def _match(self, newest: BlobNet, iteration: int, games: Sequence[Game], check: Callable[[], None]) -> Figures:
        """The newest network against the one that plays."""
        settings = self.settings
        nets = (inference_net(net, settings.precision, games) for net in (newest, self.net))
        candidate, player = (search_player(net, settings.search()) for net in nets)
        error, deals, first = settings.gate_error, settings.gate_deals, GATE_INDEX + (iteration << DEAL_BITS)
        verdict = judge(games, candidate, player, error, deals, settings.seed, first, self.device, check)
        return {"gate_passed": verdict.passed, "gate_deals": verdict.deals, "gate_lead": verdict.lead.mean}

    def state_dict(self) -> dict[str, Tensor]:
        """The player's weights, if it is not always the newest."""
        return {} if self.net is None else {f"gate.{name}": tensor for name, tensor in self.net.state_dict().items()}

    def load_state_dict(self, tensors: dict[str, Tensor], counters: dict[str, object]) -> None:
        """The inverse of `state_dict` and `counters`; other tensors are ignored."""
        if self.net is not None:
            own = {name.removeprefix("gate."): t for name, t in tensors.items() if name.startswith("gate.")}
            self.net.load_state_dict(own)
        self.judged, self.figures = counters["judged"], counters["figures"]

    def counters(self) -> dict[str, object]:
        return {"judged": self.judged, "figures": self.figures}

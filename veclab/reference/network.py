"""A network as the judge of a search: observations in, logits of the legal actions and values by seat out."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from net import InferenceNet
from veclab.reference.mcts import Evaluation, Node
from veclab.reference.observation import observe_float32, policy_column
from veclab.reference.rules import SEATS, Rules

Answer = tuple[list[list[float]], list[list[float]]]
"""For each row its 52 logits, and its values by relative seat."""

Network = Callable[[array, int], Answer]
"""Evaluates rows of features; takes them one after the other in an array of float32, and their number."""


@dataclass
class Traffic:
    """What has gone through a network. A row is one observation."""

    requests: int = 0  # of the games, each for one or more rows
    calls: int = 0  # of the network, each for one or more requests
    rows: int = 0
    largest: int = 0  # rows of the largest call

    def add_call(self, rows: int) -> None:
        self.calls += 1
        self.rows += rows
        self.largest = max(self.largest, rows)

    def add(self, other: "Traffic") -> None:
        self.requests += other.requests
        self.calls += other.calls
        self.rows += other.rows
        self.largest = max(self.largest, other.largest)

    @property
    def mean_batch(self) -> float:
        """Rows of a call, 0 when there was none."""
        return self.rows / self.calls if self.calls else 0.0


class DirectNetwork:
    """Calls the network in the caller's own thread. Every thread needs a `DirectNetwork` of its own, for its counts;
    the `InferenceNet` below it may be shared."""

    def __init__(self, net: InferenceNet) -> None:
        self.net = net
        self.traffic = Traffic()

    def __call__(self, rows: array, count: int) -> Answer:
        answer = self.compute(rows, count)
        self.traffic.requests += 1
        self.traffic.add_call(count)
        return answer

    def compute(self, rows: array, count: int) -> Answer:
        """The answer, uncounted."""
        observations = (
            torch.frombuffer(rows, dtype=torch.float32).view(count, self.net.config.observation).to(self.net.device)
        )
        logits, values = self.net(observations)
        return logits.tolist(), values.tolist()


class NetworkJudge:
    """A judge (see `veclab.reference.selfplay`) that shows a network what the mover of each node knows.

    Args:
        views: 1 for a network with a value for each seat. A network that values the viewer only is asked for the view
            of each seat.
    """

    def __init__(self, rules: Rules, network: Network, views: int = 1) -> None:
        if views not in (1, rules.players):
            raise ValueError(f"views must be 1 or {rules.players}, got {views}")
        self.rules, self.network, self.views = rules, network, views

    def __call__(self, nodes: Sequence[Node]) -> list[Evaluation]:
        rules, views, seats = self.rules, self.views, self.rules.players
        rows = array("f")
        for node in nodes:
            for k in range(views):
                rows += observe_float32(rules, node.state, (node.mover + k) % seats)
        logits, values = self.network(rows, views * len(nodes))
        if views > 1:
            logits = logits[::views]
            values = [[value for (value,) in values[i : i + views]] for i in range(0, len(values), views)]
        return [
            (
                {action: row[policy_column(node.state, action)] for action in node.actions},
                relative[seats - node.mover :] + relative[: seats - node.mover],
            )
            for node, row, relative in zip(nodes, logits, values, strict=True)
        ]


def views_of(net: InferenceNet, players: int = SEATS) -> int:
    """The `views` that a `NetworkJudge` needs with this network."""
    return 1 if net.config.values == players else players

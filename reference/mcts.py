"""Tree search in one fully known world, and its sum over several worlds of one decision.

The tree has one value for each of the four seats, and the player to move at a node reads its own. Values are scores
divided by `Rules.max_score`. The batched search of the tensor code must make the same visits.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reference.rules import SEATS, Rules, State, is_terminal, legal_actions, mover, play_forced, scores, step

Evaluator = Callable[[Rules, State], tuple[Mapping[int, float], Sequence[float]]]
"""Maps a position to (a logit for each legal action, a value for each seat)."""


@dataclass(frozen=True)
class SearchConfig:
    """How much to search."""

    simulations: int = 30  # descents from the root of each world
    c_puct: float = 0.6  # weight of the prior against the values
    leaves_per_step: int = 1  # descents before their leaves are evaluated; above 1 they repel by virtual loss


@dataclass(eq=False)
class Node:
    """A position of the tree. `prior`, `visits`, `totals` and `children` are keyed by action."""

    state: State
    actions: list[int]  # ascending; empty at the end of the game
    mover: int | None = None  # None at the end of the game
    value: list[float] | None = None  # by seat; None until evaluated
    prior: dict[int, float] = field(default_factory=dict)
    visits: dict[int, int] = field(default_factory=dict)
    totals: dict[int, float] = field(default_factory=dict)  # sums of the mover's backed-up values
    children: dict[int, "Node"] = field(default_factory=dict)


Path = list[tuple[Node, int]]  # (node, action taken there), from the root down


@dataclass(frozen=True)
class SearchResult:
    """What a search has found out about its root. Mappings are keyed by action, lists by seat."""

    visits: dict[int, int]
    totals: dict[int, float]  # W: sums of the backed-up values of the root's mover
    value: list[float]  # mean of the root's own value and all backed-up ones
    prior: dict[int, float]  # the evaluator's at the root, without noise
    root_value: list[float]  # the evaluator's at the root
    evaluations: int  # evaluator calls


def softmax(logits: Mapping[int, float]) -> dict[int, float]:
    """Probabilities in proportion to exp(logit)."""
    top = max(logits.values())
    weights = {action: math.exp(logit - top) for action, logit in logits.items()}
    total = sum(weights.values())
    return {action: weight / total for action, weight in weights.items()}


def search(
    rules: Rules,
    state: State,
    evaluator: Evaluator,
    config: SearchConfig = SearchConfig(),
    root_noise: Mapping[int, float] | None = None,
    noise_fraction: float = 0.0,
) -> SearchResult:
    """Search one world with perfect information.

    Args:
        state: the root, not terminal; it is never played forward, even if it has only one legal action.
        root_noise: for each legal action; the root's prior becomes (1 - noise_fraction) * prior + noise_fraction * it.
    """
    if is_terminal(state):
        raise ValueError("nothing to search: the game is over")
    if config.leaves_per_step < 1:
        raise ValueError("leaves_per_step must be at least 1")
    root = _new_node(rules, state)
    evaluate(rules, root, evaluator)
    evaluations = 1
    prior, value_sum = root.prior, root.value
    if root_noise is not None:
        root.prior = {a: (1 - noise_fraction) * p + noise_fraction * root_noise[a] for a, p in root.prior.items()}
    for first in range(0, config.simulations, config.leaves_per_step):
        count = min(config.leaves_per_step, config.simulations - first)
        descents = [descend(rules, root, config.c_puct) for _ in range(count)]
        for _, leaf in descents:
            if leaf.value is None:  # two descents may have ended in the same new leaf
                evaluate(rules, leaf, evaluator)
                evaluations += 1
        for path, leaf in descents:
            back_up(path, leaf.value)
            value_sum = [total + v for total, v in zip(value_sum, leaf.value, strict=True)]
    value = [total / (1 + config.simulations) for total in value_sum]
    return SearchResult(root.visits, root.totals, value, prior, root.value, evaluations)


def descend(rules: Rules, root: Node, c_puct: float) -> tuple[Path, Node]:
    """Walk down to a leaf: a new node, one that still awaits its evaluation, or the end of a game.

    Every edge on the way gets its visit here and its value later, in `back_up`: until then the visit counts
    with value 0.
    """
    path, node = [], root
    while node.value is not None and node.actions:
        action = select(node, c_puct)
        node.visits[action] += 1
        path.append((node, action))
        if action not in node.children:
            node.children[action] = _new_node(rules, play_forced(rules, step(rules, node.state, action)))
            return path, node.children[action]
        node = node.children[action]
    return path, node


def select(node: Node, c_puct: float) -> int:
    """The action with the highest upper confidence bound, the lowest action on a tie."""
    root_of_visits = math.sqrt(1 + sum(node.visits.values()))

    def bound(action: int) -> float:
        n = node.visits[action]
        q = node.totals[action] / n if n > 0 else node.value[node.mover]
        return q + c_puct * node.prior[action] * root_of_visits / (1 + n)

    return max(node.actions, key=bound)  # max keeps the first of equals, and actions ascend


def evaluate(rules: Rules, node: Node, evaluator: Evaluator) -> None:
    """Give a node that is not terminal its prior and its value."""
    logits, values = evaluator(rules, node.state)
    node.prior = softmax({action: logits[action] for action in node.actions})
    node.value = [float(v) for v in values]


def back_up(path: Path, value: Sequence[float]) -> None:
    """Add a leaf's value to every edge of its path, as seen by the player who chose that edge."""
    for node, action in path:
        node.totals[action] += value[node.mover]


def _new_node(rules: Rules, state: State) -> Node:
    if is_terminal(state):
        return Node(state, [], value=[score / rules.max_score for score in scores(rules, state)])
    actions = legal_actions(rules, state)
    zeros = dict.fromkeys(actions, 0)
    return Node(state, actions, mover(rules, state), visits=dict(zeros), totals=dict.fromkeys(actions, 0.0))


def search_worlds(
    rules: Rules,
    worlds: Sequence[State],
    evaluator: Evaluator,
    config: SearchConfig = SearchConfig(),
    root_noise: Mapping[int, float] | None = None,
    noise_fraction: float = 0.0,
) -> SearchResult:
    """Search several worlds of one decision: visits and totals are summed over the worlds, all else is their mean.

    The mover's hand must be the same in all worlds, and the noise is.
    """
    results = [search(rules, world, evaluator, config, root_noise, noise_fraction) for world in worlds]
    actions = list(results[0].visits)
    if any(list(result.visits) != actions for result in results):
        raise ValueError("the worlds differ in the mover's legal actions")
    return SearchResult(
        visits={a: sum(result.visits[a] for result in results) for a in actions},
        totals={a: sum(result.totals[a] for result in results) for a in actions},
        value=[sum(result.value[seat] for result in results) / len(results) for seat in range(SEATS)],
        prior={a: sum(result.prior[a] for result in results) / len(results) for a in actions},
        root_value=[sum(result.root_value[seat] for result in results) / len(results) for seat in range(SEATS)],
        evaluations=sum(result.evaluations for result in results),
    )


def improved_policy(
    prior: Mapping[int, float],
    visits: Mapping[int, int],
    totals: Mapping[int, float],
    v_hat: float,
    c_visit: float = 50,
    c_scale: float = 0.2,
) -> dict[int, float]:
    """The policy target of Gumbel MuZero (Danihelka et al. 2022, equations 10, 11 and 33).

    Actions without visits get the value v_mix, so that not having been tried is neither a merit nor a fault.

    Args:
        prior: the evaluator's probabilities at the root, without noise.
        totals: sums of the mover's backed-up values.
        v_hat: the evaluator's value of the root for the mover.
    """
    prior = {a: max(p, sys.float_info.min) for a, p in prior.items()}  # its logarithm is needed
    q = {a: totals[a] / visits[a] for a in prior if visits[a] > 0}
    v_mix = v_hat
    if q:
        visit_sum, tried_prior = sum(visits.values()), sum(prior[a] for a in q)
        v_mix = (v_hat + visit_sum / tried_prior * sum(prior[a] * q[a] for a in q)) / (1 + visit_sum)
    weight = (c_visit + max(visits.values())) * c_scale
    return softmax({a: math.log(p) + weight * q.get(a, v_mix) for a, p in prior.items()})

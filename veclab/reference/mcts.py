"""Tree search in one fully known world, and its sum over several worlds of one decision.

The tree has one value for each of the four seats, and the player to move at a node reads its own. Values are scores
on the scale of `Rules.worth`. The batched search of the tensor code must make the same visits.

The search itself is a generator: it yields the nodes that it needs judged and goes on when it is sent the judgements.
So one thread can run the searches of many games and have their nodes judged in one batch.
"""

import math
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from veclab.reference.rules import Rules, State, apply_action, is_terminal, legal_actions, mover, scores

Evaluation = tuple[Mapping[int, float], Sequence[float]]
"""What an evaluator says of a position: a logit for each legal action, a value for each seat."""

Evaluator = Callable[[Rules, State], Evaluation]


@dataclass(frozen=True)
class SearchConfig:
    """How much to search."""

    simulations: int = 30  # descents from the root of each world
    c_puct: float = 0.6  # weight of the prior against the values
    leaves_per_step: int = 1  # descents before their leaves are evaluated; above 1 they repel by virtual loss


@dataclass(eq=False, slots=True)
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

T = TypeVar("T")
Steps = Generator[list[Node], Sequence[Evaluation], T]  # yields nodes to judge, is sent their evaluations, returns a T


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
    return run(rules, search_steps(rules, state, config, root_noise, noise_fraction), evaluator)


def run(rules: Rules, steps: Steps[T], evaluator: Evaluator) -> T:
    """Do the work to its end, with the nodes judged one by one."""
    evaluations = None
    while True:
        try:
            nodes = steps.send(evaluations)
        except StopIteration as end:
            return end.value
        evaluations = [evaluator(rules, node.state) for node in nodes]


def search_steps(
    rules: Rules,
    state: State,
    config: SearchConfig = SearchConfig(),
    root_noise: Mapping[int, float] | None = None,
    noise_fraction: float = 0.0,
    root_evaluation: Evaluation | None = None,
) -> Steps[SearchResult]:
    """`search` as a generator; with `root_evaluation` given, the root is not yielded for one."""
    if is_terminal(state):
        raise ValueError("nothing to search: the game is over")
    if config.leaves_per_step < 1:
        raise ValueError("leaves_per_step must be at least 1")
    root = new_node(rules, state, legal_actions(rules, state))
    evaluations = 0
    if root_evaluation is None:
        (root_evaluation,) = yield [root]
        evaluations = 1
    take_in(root, root_evaluation)
    prior, value_sum = root.prior, root.value
    if root_noise is not None:
        root.prior = {a: (1 - noise_fraction) * p + noise_fraction * root_noise[a] for a, p in root.prior.items()}
    for first in range(0, config.simulations, config.leaves_per_step):
        count = min(config.leaves_per_step, config.simulations - first)
        descents = [descend(rules, root, config.c_puct) for _ in range(count)]
        # Two descents may have ended in the same new leaf.
        new = list(dict.fromkeys(leaf for _, leaf in descents if leaf.value is None))
        if new:
            evaluations += len(new)
            for leaf, evaluation in zip(new, (yield new), strict=True):
                take_in(leaf, evaluation)
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
            node.children[action] = _leaf(rules, node.state, action)
            return path, node.children[action]
        node = node.children[action]
    return path, node


def select(node: Node, c_puct: float) -> int:
    """The action with the highest upper confidence bound, the lowest action on a tie."""
    root_of_visits = math.sqrt(1 + sum(node.visits.values()))
    prior, visits, totals, own_value = node.prior, node.visits, node.totals, node.value[node.mover]
    best, best_bound = node.actions[0], -math.inf
    for action in node.actions:  # ascending, so that the first of equals stays
        n = visits[action]
        q = totals[action] / n if n > 0 else own_value
        bound = q + c_puct * prior[action] * root_of_visits / (1 + n)
        if bound > best_bound:
            best, best_bound = action, bound
    return best


def back_up(path: Path, value: Sequence[float]) -> None:
    """Add a leaf's value to every edge of its path, as seen by the player who chose that edge."""
    for node, action in path:
        node.totals[action] += value[node.mover]


def _leaf(rules: Rules, state: State, action: int) -> Node:
    """The position after the action and all forced moves that follow it."""
    state = state.copy()
    apply_action(rules, state, action)
    while len(actions := legal_actions(rules, state)) == 1:
        apply_action(rules, state, actions[0])
    return new_node(rules, state, actions)


def new_node(rules: Rules, state: State, actions: list[int]) -> Node:
    """A node of a position with these legal actions; the end of a game is judged by its scores."""
    if not actions:
        return Node(state, [], value=[rules.worth(score) for score in scores(rules, state)])
    zeros = dict.fromkeys(actions, 0)
    return Node(state, actions, mover(rules, state), visits=zeros, totals=dict.fromkeys(actions, 0.0))


def take_in(node: Node, evaluation: Evaluation) -> None:
    """Give a node that is not terminal its prior and its value."""
    logits, values = evaluation
    node.prior = softmax({action: logits[action] for action in node.actions})
    node.value = [float(v) for v in values]


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
    return combine([search(rules, world, evaluator, config, root_noise, noise_fraction) for world in worlds])


def search_worlds_steps(
    rules: Rules,
    worlds: Sequence[State],
    config: SearchConfig = SearchConfig(),
    root_noise: Mapping[int, float] | None = None,
    noise_fraction: float = 0.0,
    together: bool = False,
) -> Steps[SearchResult]:
    """`search_worlds` as a generator, for evaluators that judge by what the mover knows: the root, which is then the
    same in all worlds, is evaluated once. With `together`, nodes of all worlds are yielded at once; no result changes.
    """
    if is_terminal(worlds[0]):
        raise ValueError("nothing to search: the game is over")
    (root_evaluation,) = yield [new_node(rules, worlds[0], legal_actions(rules, worlds[0]))]
    searches = [search_steps(rules, world, config, root_noise, noise_fraction, root_evaluation) for world in worlds]
    if together:
        results = yield from in_step(searches)
    else:
        results = []
        for one in searches:
            results.append((yield from one))
    return replace(combine(results), evaluations=1 + sum(result.evaluations for result in results))


def in_step(works: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Several works at a time: what they ask for is yielded as one list."""
    results: list[T | None] = [None] * len(works)
    replies: list[Sequence[Evaluation] | None] = [None] * len(works)
    active = list(range(len(works)))
    while active:
        asked: list[tuple[int, list[Node]]] = []
        for i in active:
            try:
                asked.append((i, works[i].send(replies[i])))
            except StopIteration as end:
                results[i] = end.value
        active = [i for i, _ in asked]
        if active:
            evaluations = yield [node for _, nodes in asked for node in nodes]
            start = 0
            for i, nodes in asked:
                replies[i] = evaluations[start : start + len(nodes)]
                start += len(nodes)
    return results


def combine(results: Sequence[SearchResult]) -> SearchResult:
    """The results of several worlds of one decision as one: sums of visits and totals, means of all else."""
    actions = list(results[0].visits)
    if any(list(result.visits) != actions for result in results):
        raise ValueError("the worlds differ in the mover's legal actions")

    def means(vectors: Sequence[Sequence[float]]) -> list[float]:
        return [sum(values) / len(vectors) for values in zip(*vectors, strict=True)]

    return SearchResult(
        visits={a: sum(result.visits[a] for result in results) for a in actions},
        totals={a: sum(result.totals[a] for result in results) for a in actions},
        value=means([result.value for result in results]),
        prior={a: sum(result.prior[a] for result in results) / len(results) for a in actions},
        root_value=means([result.root_value for result in results]),
        evaluations=sum(result.evaluations for result in results),
    )


def improved_policy(
    prior: Mapping[int, float],
    visits: Mapping[int, int],
    totals: Mapping[int, float],
    v_hat: float,
    c_visit: float = 50,
    c_scale: float = 0.2,
    trusted_visits: float = 100,
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
    weight = (c_visit + min(max(visits.values()), trusted_visits)) * c_scale
    return softmax({a: math.log(p) + weight * q.get(a, v_mix) for a, p in prior.items()})

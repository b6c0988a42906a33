"""Searches of several worlds of one decision that choose at their roots together: Sequential Halving, or shared sums.

Below the roots both are `veclab.reference.mcts.search_worlds`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from veclab.reference.mcts import (
    Evaluator,
    Node,
    SearchConfig,
    SearchResult,
    back_up,
    combine,
    descend,
    improved_policy,
    new_node,
    take_in,
)
from veclab.reference.rules import Rules, State, legal_actions


def _judged_roots(rules: Rules, worlds: Sequence[State], evaluator: Evaluator) -> list[Node]:
    roots = [new_node(rules, world, legal_actions(rules, world)) for world in worlds]
    for root in roots:
        take_in(root, evaluator(rules, root.state))
    return roots


def _gather(
    roots: Sequence[Node], value_sums: Sequence[Sequence[float]], config: SearchConfig, evaluations: int
) -> SearchResult:
    """What the searches below some roots have come to; ``value_sums`` are of each root's own and its leaves' values."""
    means = [[total / (1 + config.simulations) for total in sums] for sums in value_sums]
    results = [
        SearchResult(root.visits, root.totals, value, root.prior, root.value, 0)
        for root, value in zip(roots, means, strict=True)
    ]
    return replace(combine(results), evaluations=evaluations)


def search_by_halving(
    rules: Rules,
    worlds: Sequence[State],
    evaluator: Evaluator,
    noise: Mapping[int, float],
    considered: int = 16,
    config: SearchConfig = SearchConfig(),
) -> SearchResult:
    """Search several worlds of one decision, with the root's actions chosen by Sequential Halving with Gumbel.

    All worlds take the same root action at every simulation: of those still in the race and tried least, the one with
    the largest noise + log prior + weighted value, as in `improved_policy`. Below the root it is `search_worlds`.

    Args:
        noise: a Gumbel number for each legal action.
        considered: how many actions the race begins with, at most.
    """
    roots = _judged_roots(rules, worlds, evaluator)
    actions, seat, judged = roots[0].actions, roots[0].mover, list(roots)
    value_sums = [list(root.value) for root in roots]

    def gathered() -> SearchResult:
        return _gather(roots, value_sums, config, len(judged))

    def merit(action: int) -> float:
        now = gathered()
        policy = improved_policy(now.prior, now.visits, now.totals, now.root_value[seat])
        return noise[action] + math.log(policy[action])

    def simulate(action: int) -> None:
        for root, values in zip(roots, value_sums, strict=True):
            root.actions = [action]  # the only one that the descent may take there
            path, leaf = descend(rules, root, config.c_puct)
            root.actions = actions
            if leaf.value is None:
                take_in(leaf, evaluator(rules, leaf.state))
                judged.append(leaf)
            back_up(path, leaf.value)
            values[:] = [total + v for total, v in zip(values, leaf.value, strict=True)]

    left, round_, budget = min(considered, len(actions)), 0, config.simulations
    phases = max(1, math.ceil(math.log2(left)))
    while budget > 0:
        for _ in range(max(1, config.simulations // (phases * left))):
            for _ in range(min(left, budget)):
                simulate(max((a for a in actions if roots[0].visits[a] == round_), key=merit))
                budget -= 1
            round_ += 1
        left = min(left, max(2, left // 2))
    return gathered()


def search_sharing_worlds(
    rules: Rules,
    worlds: Sequence[State],
    evaluator: Evaluator,
    config: SearchConfig = SearchConfig(),
    root_noise: Mapping[int, float] | None = None,
    noise_fraction: float = 0.0,
) -> SearchResult:
    """Search several worlds of one decision, whose roots choose by PUCT over the sums of all worlds.

    In every simulation one world after the other descends, and no leaf is backed up before all have: to those after
    it a descent is a visit of which nothing else is known (Liu et al. 2020). Below the root it is `search_worlds`, and
    as there it takes one leaf a step.
    """
    roots = _judged_roots(rules, worlds, evaluator)
    actions, seat, judged = roots[0].actions, roots[0].mover, list(roots)
    values = [list(root.value) for root in roots]
    clean = {a: sum(root.prior[a] for root in roots) / len(roots) for a in actions}
    own_value = sum(root.value[seat] for root in roots) / len(roots)
    prior = clean
    if root_noise is not None:
        prior = {a: (1 - noise_fraction) * p + noise_fraction * root_noise[a] for a, p in clean.items()}

    def choose(known: Mapping[int, int], mean: Mapping[int, float], on_the_way: Sequence[int]) -> int:
        tried = {a: known[a] + on_the_way.count(a) for a in actions}
        spread = config.c_puct * math.sqrt(1 + sum(tried.values()))
        return max(actions, key=lambda a: mean[a] + spread * prior[a] / (1 + tried[a]))

    for _ in range(config.simulations):
        known = {a: sum(root.visits[a] for root in roots) for a in actions}
        total = {a: sum(root.totals[a] for root in roots) for a in actions}
        mean = {a: total[a] / n if n else own_value for a, n in known.items()}
        taken: list[int] = []
        descents = []
        for root in roots:
            taken.append(choose(known, mean, taken))
            root.actions = [taken[-1]]  # the only one that the descent may take there
            descents.append(descend(rules, root, config.c_puct))
            root.actions = actions
        for number, (path, leaf) in enumerate(descents):
            if leaf.value is None:
                take_in(leaf, evaluator(rules, leaf.state))
                judged.append(leaf)
            back_up(path, leaf.value)
            values[number] = [total + v for total, v in zip(values[number], leaf.value, strict=True)]
    return _gather(roots, values, config, len(judged))

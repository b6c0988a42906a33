"""Exhaustive max^n: what perfectly informed players who each maximise their own score would reach.

For endgames of a few cards a seat.
"""

from veclab.reference.rules import Rules, State, is_terminal, legal_actions, mover, scores, step

Solution = tuple[tuple[float, ...], frozenset[int]]  # scores by seat, the mover's equally good actions


def maxn_value(rules: Rules, state: State, memo: dict | None = None) -> Solution:
    """The scores that follow from best play, and all the best actions of the mover (none at the end of the game).

    A player with several best actions plays the lowest one. This decides what the others get, hence it is part of the
    definition.

    Args:
        memo: solved positions of the same rules; pass the same dict to solve several related positions.
    """
    if is_terminal(state):
        return tuple(scores(rules, state)), frozenset()
    memo = {} if memo is None else memo
    key = _key(state)
    if key not in memo:
        seat = mover(rules, state)
        outcomes = {a: maxn_value(rules, step(rules, state, a), memo)[0] for a in legal_actions(rules, state)}
        best = max(outcome[seat] for outcome in outcomes.values())
        best_actions = frozenset(a for a, outcome in outcomes.items() if outcome[seat] == best)
        memo[key] = outcomes[min(best_actions)], best_actions
    return memo[key]


def _key(state: State) -> tuple:
    """All that the rest of the game depends on."""
    return (*state.hands, state.dealer, state.trump, *state.bids, *state.won, *state.trick, state.leader)

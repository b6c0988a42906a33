"""Who of some games plays by which rules, where a run mixes several, such as numbers of cards.

Every step of learning should see them all. A policy that learns from one number of cards after another unlearns at each
what it had learned at the others (docs/learning.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from vecgame import Game
from veclab.shares import shares_in_turn


def shared_out(games: Sequence[Game], count: int, turn: int) -> list[tuple[Game, int, int]]:
    """Shares ``count`` games out among the rules ``games``, as many to each entry; entries may be equal.

    Args:
        turn: see `shares_in_turn`.

    Returns:
        (rules, first, number) of all different rules that have some: the games ``first`` onwards are theirs.
    """
    numbers = dict.fromkeys(games, 0)
    for game, share in zip(games, shares_in_turn(count, len(games), turn), strict=True):
        numbers[game] += share
    parts, first = [], 0
    for game, number in numbers.items():
        if number:
            parts.append((game, first, number))
        first += number
    return parts

"""How much better the actions of a seat turned out than was expected of its positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def advantages(
    baseline: Tensor, result: Tensor, player: Tensor, players: int, counts: Sequence[int], gae_lambda: float
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438), undiscounted, of games that pay at
    their end: the positions of a player are those at its own decisions, and after its last comes the result.

    With 1 it is the result less the baseline. The smaller, the less of what came long after an action is put down to
    it, and the more what its player expected shortly after: less chance, and the errors of the baseline instead.

    Args:
        baseline: [E] float32, value of the mover at each of E decisions, in order of time.
        result: [E] float32, how the game ended for the mover.
        player: [E] int64, who that is: a seat of one of the games, numbered through from 0 to ``players``.
        counts: how many of the decisions come at each time; nobody has two of them.
        gae_lambda: from 0 to 1.

    Returns:
        [E] float32.
    """
    if gae_lambda == 1:
        return result - baseline
    after = torch.empty(players, device=baseline.device).index_copy_(0, player, result)  # all of a player are the same
    later = torch.zeros_like(after)  # the advantage at its next decision
    found = []
    for values, movers in zip(reversed(baseline.split(counts)), reversed(player.split(counts)), strict=True):
        advantage = after[movers] - values + gae_lambda * later[movers]
        later[movers], after[movers] = advantage, values
        found.append(advantage)
    return torch.cat(found[::-1])

"""The last tricks of known hands solved exactly: max^n over many positions at once, level by level.

Source: Luckhardt and Irani, "An algorithmic solution of n-person games" (AAAI 1986). Every player maximises its own
value; one with several equally good actions plays the lowest, which decides what the others get. Nothing is pruned, so
it is for the end of a game: the last trick is forced, two cards a seat have up to 2**4 lines, three up to (3 * 2)**4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.state import State

POSITIONS = 1 << 18  # expanded at a time; a wider level is cut, and its parts solved one after the other


@dataclass(frozen=True)
class Solution:
    """What perfectly informed players reach from B positions."""

    values: Tensor  # [B, seats] float, by absolute seat
    action: Tensor  # [B] int64, the mover's lowest best action, -1 where the game is over
    best: Tensor  # [B, num_actions] bool, all its best actions, none where the game is over


def solve(game: Game, state: State, dtype: torch.dtype = torch.float32) -> Solution:
    """Exhaustive max^n on the hands as they are.

    The host waits for every level's number of positions, so this is for judging searches, not for the inside of one.

    Args:
        state: B games, near their ends; those that are over keep their values.
        dtype: of the values.
    """
    over = game.is_terminal(state)
    values, slot, best = _solve(game, state, dtype)
    actions = game.legal_actions(state)
    columns = torch.where(best, actions, game.num_actions)
    wide = torch.zeros((state.batch_size, game.num_actions + 1), dtype=torch.bool, device=state.device)
    action = torch.where(over, -1, actions.gather(1, slot[:, None])[:, 0])
    return Solution(values, action, wide.scatter(1, columns, True)[:, :-1])


def _solve(game: Game, state: State, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Values [B, seats], lowest best slot [B] and all best slots [B, A] of B positions."""
    most = max(1, POSITIONS // game.max_legal)
    if state.batch_size > most:
        parts = [_solve(game, state[start : start + most], dtype) for start in range(0, state.batch_size, most)]
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))
    actions = game.legal_actions(state)
    slots, over = actions.shape[1], game.is_terminal(state)
    edge = ((actions >= 0) & ~over[:, None]).flatten().nonzero()[:, 0]  # parent * A + slot of every child
    values = game.values(state, dtype)
    if len(edge) == 0:
        nothing = torch.zeros_like(actions)
        return values, nothing[:, 0], nothing.bool()
    parent = edge // slots
    after = game.play_forced(game.step(state.take(parent), actions.flatten()[edge]))
    reached, _, _ = _solve(game, after, dtype)
    mover = game.mover(state)
    own = torch.full_like(actions, -torch.inf, dtype=dtype)
    own.view(-1)[edge] = reached.gather(1, mover[parent][:, None])[:, 0]
    slot = own.argmax(-1)  # the first of equals
    line = reached.new_zeros((len(over) * slots, game.seats)).index_copy(0, edge, reached)
    chosen = line[torch.arange(len(over), device=slot.device) * slots + slot]
    return torch.where(over[:, None], values, chosen), slot, (own == own.amax(-1, keepdim=True)) & (own > -torch.inf)

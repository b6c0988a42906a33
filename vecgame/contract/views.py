"""What one seat sees of two states: whether they look the same to it, and whether cards lie as it knows."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from vecgame.game import Game
from vecgame.hidden import places
from vecgame.state import State


def viewed_by(game: Game, seat: int) -> Game:
    """The game as if a seat was always to move, to draw worlds for seats that are not."""
    view = copy(game)
    vars(view)["mover"] = lambda state: torch.full_like(state.index, seat)
    return view


def looks_alike(game: Game, a: State, b: State, viewer: Tensor) -> Tensor:
    """Lanes in which seat ``viewer`` [B] sees the same in both states: [B] bool."""
    alike = torch.ones(a.batch_size, dtype=torch.bool, device=viewer.device)
    fields, others = game.hidden(a), game.hidden(b)
    for name, field in a.tensors().items():
        rows, more = (tensor.unsqueeze(-1).flatten(1) for tensor in (field, getattr(b, name)))
        equal = rows == more
        if name in fields:
            seen, there = (hidden[name].seen_by(viewer).reshape(rows.shape) for hidden in (fields, others))
            counts = fields[name].count(field) == fields[name].count(getattr(b, name))
            equal = (equal | ~seen & counts) & (seen == there)
        alike &= equal.all(-1)
    return alike


def lie_as_said(game: Game, first: State, again: State, viewer: Tensor) -> Tensor:
    """Lanes whose cards lie as the game says at the first decision that they may, by `may_hold`, `shows` and `placed`:
    [N] bool. A card that all have seen from the beginning is an example."""
    after = (viewer[:, None] + torch.arange(1, game.seats)) % game.seats
    others = again.hands.gather(1, after.expand(again.batch_size, -1)).t()
    legal = (others & ~game.may_hold(first, viewer) == 0).all(0)
    shown, placed = (getattr(game, name, lambda state: None)(first) for name in ("shows", "placed"))
    if placed is not None:
        legal &= placed & ~places(game.hidden(again), again).sum(-1) == 0
    return legal if shown is None else legal & (shown & ~again.hands == 0).all(-1)

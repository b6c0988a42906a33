"""What one seat sees of two states: whether they look the same to it."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from vecgame.game import Game
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

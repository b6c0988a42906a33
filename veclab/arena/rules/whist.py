"""The rule-based player of Whist: every trick counts the same."""

import torch
from torch import Tensor

from vecgame import TrickGame, TrickState
from veclab.arena.rules.reading import read, without
from veclab.arena.rules.sides import choose, trick_worths


def act(game: TrickGame, state: TrickState) -> Tensor:
    """A legal action for the mover of every lane: [B] int64."""
    reading = read(game, state)
    one = torch.ones(len(reading.mover), dtype=torch.float64, device=state.device)
    return choose(game, reading, trick_worths(reading, without(reading), one), game.legal_mask(state))

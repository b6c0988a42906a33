"""What others learn of a move: what it changes in the state, and nothing else."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from vecgame.contract.rules import GAMES, some_positions
from vecgame.game import Game
from vecgame.state import State

FEWEST = 8  # positions in which both of two actions are legal, to say that they always lead to the same
POSITIONS = 12  # of each game


def moves_are_told_apart(game: Game) -> str | None:
    """No two actions lead to the same state wherever both are legal; a note where some do, as of what is said aloud
    and written nowhere: others do not learn which of the two it was, nor networks, nor worlds."""
    alike: Counter[tuple[int, int]] = Counter()
    both: Counter[tuple[int, int]] = Counter()
    states = [state[~game.is_terminal(state)] for state in some_positions(game, GAMES, most=POSITIONS)]
    for state in states:
        lanes, actions = game.legal_mask(state).nonzero(as_tuple=True)
        rows = torch.stack([lanes, *_numbers(game.step(state.take(lanes), actions))], -1)
        _, which, counts = rows.unique(dim=0, return_inverse=True, return_counts=True)
        for number in (counts > 1).nonzero()[:, 0].tolist():
            same = actions[which == number].tolist()
            alike.update((a, b) for place, a in enumerate(same) for b in same[place + 1 :])
    for state in states:
        mask = game.legal_mask(state)
        both.update({(a, b): int((mask[:, a] & mask[:, b]).sum()) for a, b in alike})
    for (a, b), number in alike.items():
        if number == both[a, b] >= FEWEST:
            names = " and ".join(repr(game.action_names[action] if game.action_names else action) for action in (a, b))
            return (
                f"moves: {names} lead to the same state wherever both may be chosen, so that nobody learns which it "
                "was: what is said needs a field"
            )
    return None


def _numbers(state: State) -> list[Tensor]:
    """Two numbers for each lane, the same for lanes that are alike but for the games' numbers: [B] int64 each."""
    tensors = [tensor for name, tensor in state.tensors().items() if name != "index"]
    wide = [tensor.double().view(torch.int64) if tensor.is_floating_point() else tensor.long() for tensor in tensors]
    rows = torch.cat([tensor.unsqueeze(-1).flatten(1) for tensor in wide], -1)
    words = torch.randint(1 << 62, (2, rows.shape[1]), generator=torch.Generator().manual_seed(0)) * 2 + 1
    mixed = rows[None] * words[:, None]
    return list(((mixed ^ mixed >> 29) * words[:, None]).sum(-1))

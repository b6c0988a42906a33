"""What others learn of a move: what it changes in the state, and nothing else."""

from __future__ import annotations

from collections import Counter

import torch

from vecgame.contract.played import GAMES, numbered, some_positions
from vecgame.game import Game

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
        led = game.step(state.take(lanes), actions)
        fields = (tensor for name, tensor in led.tensors().items() if name != "index")
        wide = (field.double().view(torch.int64) if field.is_floating_point() else field.long() for field in fields)
        number = numbered(torch.cat([lanes[:, None], *(field.unsqueeze(-1).flatten(1) for field in wide)], -1))
        _, which, counts = number.unique(return_inverse=True, return_counts=True)
        for group in (counts > 1).nonzero()[:, 0].tolist():
            same = actions[which == group].tolist()
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

"""Games so small that the right answer is known, after boardlaw's validation games."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import Game, State, Stream

SEATS = 4


@dataclass(frozen=True)
class MicroState(State):
    """B games: the moves made so far."""

    moves: Tensor  # [B, decisions] int64, -1 = not yet made
    made: Tensor  # [B] int64


class MicroGame(Game):
    """A game given by tables: who moves when, what is legal, and what the end is worth.

    Args:
        movers: seat to move at each decision.
        legal: [decisions][first move or None] -> number of legal actions 0..n-1, by decision only.
        worth: maps the moves [B, decisions] to values [B, 4].
    """

    num_actions = 5
    max_legal = 5
    max_forced_run = 4

    def __init__(self, movers: list[int], choices: list[list[int]], worth) -> None:
        self.movers, self.choices, self.worth = torch.tensor(movers), choices, worth
        self.decisions = len(movers)

    def new(self, batch: int) -> MicroState:
        index = torch.arange(batch)
        return MicroState(index, torch.full((batch, self.decisions), -1), torch.zeros_like(index))

    def turn(self, state: MicroState) -> Tensor:
        return state.made

    def mover(self, state: MicroState) -> Tensor:
        return self.movers[state.made.clamp(max=self.decisions - 1)]

    def legal_mask(self, state: MicroState) -> Tensor:
        table = torch.zeros(self.decisions + 1, self.num_actions, dtype=torch.bool)
        for decision, actions in enumerate(self.choices):
            table[decision, actions] = True
        table[self.decisions, 0] = True
        return table[state.made]

    def step(self, state: MicroState, action: Tensor) -> MicroState:
        alive = ~self.is_terminal(state)
        place = torch.arange(self.decisions) == state.made[:, None]
        moves = torch.where(place & alive[:, None], action[:, None], state.moves)
        return replace(state, moves=moves, made=state.made + alive.long())

    def is_terminal(self, state: MicroState) -> Tensor:
        return state.made == self.decisions

    def values(self, state: MicroState, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.where(self.is_terminal(state)[:, None], self.worth(state.moves).to(dtype), 0)

    def determinize(self, state: MicroState, count: int, seed: int) -> MicroState:
        return state.repeat(count)


class Flat:
    """Uniform priors and the same value everywhere, counting what it is asked."""

    sees_hidden = False

    def __init__(self, value: float = 0.5) -> None:
        self.value, self.asked = value, 0

    def evaluate(self, game: Game, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        batch = state.batch_size
        self.asked += batch
        shape = (batch, SEATS)
        return torch.zeros(batch, game.num_actions), torch.full(shape, self.value, dtype=torch.float64)

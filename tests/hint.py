"""A cooperative game so small that the best joint policy is found by trying all: Tiny Hanabi (Foerster et al. 2019,
"Bayesian action decoder", arXiv:1811.01458), dealt from a deck of four cards."""

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import Game, Hidden, State, dealing, hidden
from vecgame.cards import Layout

PAYS = torch.tensor(  # by the kinds of both seats' cards and the actions of both, as OpenSpiel's `tiny_hanabi` has them
    [
        [[[10, 0, 0], [4, 8, 4], [10, 0, 0]], [[0, 0, 10], [4, 8, 4], [0, 0, 10]]],
        [[[0, 0, 10], [4, 8, 4], [0, 0, 0]], [[10, 0, 0], [4, 8, 4], [10, 0, 0]]],
    ],
    dtype=torch.float32,
)
ACTIONS = ("a", "b", "c")


@dataclass(frozen=True)
class HintState(State):
    """B games."""

    holds: ClassVar = {"done": ACTIONS}

    cards: Tensor  # [B, 2] int8, the card of each seat
    done: Tensor  # [B, 2] int8, the action of each seat, -1 = not yet


class Hint(Game):
    """Two cards are of one kind and two of another; each seat has one that the other does not see. The first acts, the
    second sees it and acts, and both win what `PAYS` says: the first action tells its card, or is worth something."""

    name = "hint"
    state_type = HintState
    seats = decisions = 2
    cooperative = True
    layout = Layout(suits=1, ranks=4)  # cards 0 and 1 are of one kind, 2 and 3 of the other
    deck = layout.bits
    lowest, highest = 0.0, 10.0
    num_actions = max_legal = 3
    action_names = ACTIONS
    max_forced_run = 0

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        cards = dealing.shuffled(stream, self.deck, self.layout.size)[:, :2].to(torch.int8)
        return HintState(stream.game, cards, torch.full_like(cards, -1))

    def turn(self, state):
        return (state.done >= 0).sum(-1)

    def mover(self, state):
        return self.turn(state) % 2

    def is_terminal(self, state):
        return self.turn(state) == 2

    def legal_mask(self, state):
        return torch.ones(state.batch_size, 3, dtype=torch.bool, device=state.device)

    def step(self, state, action):
        here = torch.arange(2, device=state.device) == self.turn(state)[:, None]  # nowhere at the end
        return replace(state, done=torch.where(here, action[:, None].to(torch.int8), state.done))

    def scores(self, state):
        kinds, done = (state.cards // 2).long(), state.done.clamp(min=0).long()
        won = PAYS.to(state.device)[kinds[:, 0], kinds[:, 1], done[:, 0], done[:, 1]]
        return torch.where(self.is_terminal(state), won, 0.0)[:, None].expand(-1, 2).contiguous()

    def hidden(self, state):
        return {"cards": Hidden(hidden.own(2, state.batch_size, state.device), holds="cards")}


class Table:
    """Plays a joint policy: first [2], the first seat's action by its kind; second [2][3], the second's by its kind and
    what the first has done."""

    name = "table"

    def __init__(self, first: tuple[int, ...], second: tuple[tuple[int, ...], ...]) -> None:
        self.first, self.second = torch.tensor(first), torch.tensor(second)

    def act(self, game: Hint, state: HintState, seed: int) -> Tensor:
        kinds = (state.cards // 2).long()
        answer = self.second[kinds[:, 1], state.done[:, 0].clamp(min=0).long()]
        return torch.where(game.mover(state) == 0, self.first[kinds[:, 0]], answer)


def best() -> tuple[Table, float]:
    """The best joint policy, and what it wins on the average: the second does its best for what the first tells."""
    chance = torch.tensor([[1.0, 2.0], [2.0, 1.0]]) / 6  # of both kinds: of four cards one is gone
    found = (-1.0, None)
    for first in product(range(3), repeat=2):
        worth, second = 0.0, [[0] * 3, [0] * 3]
        for kind, told in product(range(2), range(3)):
            told_by = [own for own in range(2) if first[own] == told]
            each = sum((chance[own, kind] * PAYS[own, kind, told] for own in told_by), torch.zeros(3))
            second[kind][told], worth = int(each.argmax()), worth + float(each.max())
        found = max(found, (worth, (first, tuple(map(tuple, second)))), key=lambda entry: entry[0])
    return Table(*found[1]), found[0]

"""A cooperative game so small that the best joint policy is found by trying all: Tiny Hanabi (Foerster et al. 2019,
"Bayesian action decoder", arXiv:1811.01458), dealt from a deck of four cards."""

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import HandGame, HandState, piles
from vecgame.cards import Layout, lowest_card

PAYS = torch.tensor(  # by the kinds of both seats' cards and the actions of both, as OpenSpiel's `tiny_hanabi` has them
    [
        [[[10, 0, 0], [4, 8, 4], [10, 0, 0]], [[0, 0, 10], [4, 8, 4], [0, 0, 10]]],
        [[[0, 0, 10], [4, 8, 4], [0, 0, 0]], [[10, 0, 0], [4, 8, 4], [10, 0, 0]]],
    ],
    dtype=torch.float32,
)
ACTIONS = ("a", "b", "c")


@dataclass(frozen=True)
class HintState(HandState):
    """B games."""

    holds: ClassVar = {"done": ACTIONS}

    done: Tensor  # [B, 2] int8, the action of each seat, -1 = not yet


class Hint(HandGame):
    """Two cards are of one kind and two of another; each seat has one that the other does not see. The first acts, the
    second sees it and acts, and both win what `PAYS` says: the first action tells its card, or is worth something."""

    name = "hint"
    state_type = HintState
    seats = decisions = 2
    cooperative = True
    layout = Layout(suits=1, ranks=4)  # cards 0 and 1 are of one kind, 2 and 3 of the other
    lowest, highest = 0.0, 10.0
    plays_cards, others = False, ACTIONS
    max_forced_run = 0

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, done=torch.full_like(hands, -1, dtype=torch.int8))

    def act(self, state, action, card):
        done = state.done + piles.only(state.to_move, action.to(torch.int8) + 1, 2)
        return replace(state, done=done, to_move=1 - state.to_move)

    def points(self, state):
        kinds, done = kinds_of(state), state.done.clamp(min=0).long()
        won = PAYS.to(state.device)[kinds[:, 0], kinds[:, 1], done[:, 0], done[:, 1]]
        return won[:, None].expand(-1, 2)


def kinds_of(state: HintState) -> Tensor:
    """[B, 2] int64, the kind of each seat's card."""
    return lowest_card(state.hands).long() // 2


class Table:
    """Plays a joint policy: first [2], the first seat's action by its kind; second [2][3], the second's by its kind and
    what the first has done."""

    name = "table"

    def __init__(self, first: tuple[int, ...], second: tuple[tuple[int, ...], ...]) -> None:
        self.first, self.second = torch.tensor(first), torch.tensor(second)

    def act(self, game: Hint, state: HintState, seed: int) -> Tensor:
        kinds = kinds_of(state)
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

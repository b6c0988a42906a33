"""A card that comes to lie in two open places at once is a note; what only repeats cards of others is none."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.crazy_eights import CrazyEights
from tests.hanabi import Hanabi
from vecgame import HandGame, HandState, piles
from vecgame.cards import lowest_card
from vecgame.contract.fields import open_cards_lie_once


@dataclass(frozen=True)
class TakeState(HandState):
    holds: ClassVar = {"table": "sets", "taken": "sets", "last": "cards", "marked": "sets", "so_far": "sets"}

    table: torch.Tensor  # [B] int64
    taken: torch.Tensor  # [B, P] int64
    last: torch.Tensor  # [B, 2] int8, the last cards played
    marked: torch.Tensor  # [B] int64, the lower half of the table
    so_far: torch.Tensor  # [B] int64, all cards played


class Take(HandGame):
    """Lay a card down; every third takes all that lie there."""

    name, state_type, cards, seats, decisions, lowest, highest = "take", TakeState, 4, 2, 8, 0.0, 52.0

    def begin(self, stream, hands, stock):
        none = hands[:, 0] * 0
        last = torch.full((len(hands), 2), -1, dtype=torch.int8)
        return self.start(stream, hands, table=none, taken=hands * 0, last=last, marked=none, so_far=none)

    def act(self, state, action, card):
        takes, table = state.made % 3 == 2, state.table | card
        taken = self.take(state, torch.where(takes, table, 0))
        left = torch.where(takes, self.left(state.table), table)
        last = torch.stack([lowest_card(card).to(torch.int8), state.last[:, 0]], -1)
        moved = {"table": left, "taken": taken, "last": last, "marked": left & 0x3FFFFFF, "so_far": state.so_far | card}
        return replace(state, to_move=1 - state.to_move, **moved)

    def take(self, state, cards):
        return state.taken | piles.only(state.to_move, cards, 2)

    def left(self, table):
        return table * 0

    def points(self, state):
        return torch.zeros_like(state.hands).float()


class LeavesThem(Take):
    """Cards that are taken stay on the table."""

    def left(self, table):
        return table


class TakenByBoth(Take):
    def take(self, state, cards):
        return state.taken | cards[:, None]


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (LeavesThem(), "table and in taken"),
        (TakenByBoth(), "taken of seat 0 and in taken of seat 1"),
    ],
)
def test_a_card_in_two_open_fields_is_a_note(broken, where: str) -> None:
    note = open_cards_lie_once(broken)
    assert note is not None and note.endswith(f" comes to lie in {where} at once; of places it must leave one")


@pytest.mark.parametrize("right", [Take(), CrazyEights(), Hanabi()], ids=lambda game: game.name)
def test_histories_and_marks_are_none(right) -> None:
    assert open_cards_lie_once(right) is None

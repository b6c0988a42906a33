"""Moves that nothing in the state tells apart are named by the contract, as nobody learns which of them was made."""

from dataclasses import dataclass, replace

import pytest
import torch

from tests.test_copies import Pairs, PairsState
from vecgame import contract, piles, starts

SAID = "moves: 'bet high' and 'bet low' lead to the same state wherever both may be chosen, so that nobody learns"


class Says(Pairs):
    """Who bets says how sure it is, and nobody hears it."""

    name, others = "says", ("check", "bet high", "bet low")

    def act(self, state, action, card):
        return super().act(state, action.clamp(max=1), card)


@dataclass(frozen=True)
class HeardState(PairsState):
    said: torch.Tensor = starts(-1, "seats", dtype=torch.int8)  # [B, 2]


class Heard(Says):
    """The same, and all hear it."""

    name, state_type = "heard", HeardState

    def act(self, state, action, card):
        return replace(super().act(state, action, card), said=piles.changed(state.said, state.to_move, action))


class Seldom(Says):
    """Who bets may say how sure it is where it has a pair of kings, in too few positions to tell."""

    name = "seldom"

    def legal_others(self, state):
        kings = piles.entry(state.hands, state.to_move)[:, 2] == 2
        yes = torch.ones_like(kings)
        return [yes, yes, kings & (state.index == 0)]


@pytest.mark.parametrize(("kind", "note"), [(Says, SAID), (Heard, None), (Seldom, None)])
def test_what_is_said_and_written_nowhere_is_told(kind: type[Pairs], note: str | None) -> None:
    notes = contract.check(kind())
    assert notes == () if note is None else len(notes) == 1 and notes[0].startswith(note)

"""Worlds that contradict the past are found in games too large to list their deals; others pass."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.crazy_eights import CrazyEights
from tests.hanabi import Hanabi
from tests.small_games import Draw, FiveSuits, Kuhn
from tests.test_contract_faults import (
    Dice,
    DrawsWhenItMust,
    FaceDown,
    ForgetsVoids,
    Luckier,
    Lucky,
)
from vecgame import Blob, HandGame, HandState, Hidden, Stream, hidden, piles
from vecgame.contract import uniform
from vecgame.contract.pasts import NOT_ASKED, worlds_fit_the_past
from vecgame.dealing import future_of
from vecgame.philox import Purpose


@dataclass(frozen=True)
class FollowState(HandState):
    holds: ClassVar = {"table": "sets", "led": "suits"}

    may: torch.Tensor  # [B, P] int64
    table: torch.Tensor  # [B] int64
    led: torch.Tensor  # [B] int8, -1: the mover leads


class Follow(HandGame):
    """Seat by seat leads a card, and the other follows suit or says that it cannot, keeping its cards."""

    name, state_type, cards, seats, decisions, others = "follow", FollowState, 10, 2, 16, ("cannot",)
    lowest, highest, tells = 0.0, 1.0, True

    def begin(self, stream, hands, stock):
        none = hands[:, 0] * 0
        return self.start(stream, hands, may=hands * 0 + self.deck, table=none, led=none.to(torch.int8) - 1)

    def legal_cards(self, state):
        suit = self.layout.suit_bits(state.led.clamp(min=0))
        hand = piles.entry(state.hands, state.to_move)
        return torch.where(state.led < 0, hand, hand & suit)

    def legal_others(self, state):
        return [self.legal_cards(state) == 0]

    def act(self, state, action, card):
        cannot = action == self.first_other
        suit = self.layout.suit_bits(state.led.clamp(min=0))
        lacks = piles.only(state.to_move, torch.where(cannot & self.tells, suit, 0), 2)
        led = torch.where(state.led < 0, self.layout.suit_of(action.clamp(max=51)), -1).to(torch.int8)
        to_move = torch.where(state.led < 0, 1 - state.to_move, state.to_move)
        return replace(state, may=state.may & ~lacks, table=state.table | card, led=led, to_move=to_move)

    def points(self, state):
        return torch.zeros_like(state.hands).float()


class ForgetsWhoCannot(Follow):
    tells = False


@dataclass(frozen=True)
class LostState(HandState):
    future: torch.Tensor  # [B] int64
    lost: torch.Tensor  # [B, P] int64, which its seat alone knows


class Loses(HandGame):
    """Who bets in secret loses by a hidden number or not, which it alone gets to know."""

    name, state_type, cards, seats, decisions = "loses", LostState, 2, 2, 6
    plays_cards, others, lowest, highest = False, ("wait", "bet"), 0.0, 1.0

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, future=future_of(stream), lost=hands * 0)

    def hidden(self, state):
        own = hidden.own(2, state.batch_size, state.device)
        return {**super().hidden(state), "lost": Hidden(own, "number")}

    def act(self, state, action, card):
        luck = Stream(0, state.future, state.made).uniform(Purpose.HIDDEN, 1)[:, 0] < 0.3
        lost = piles.only(state.to_move, ((action == 1) & luck).long(), 2)
        return replace(state, lost=state.lost + lost, to_move=1 - state.to_move)

    def points(self, state):
        return torch.zeros_like(state.hands).float()


@pytest.mark.parametrize(
    ("broken", "did"),
    [
        (ForgetsWhoCannot(), "could not have done 'cannot', as it did"),
        (DrawsWhenItMust(), "could not have done 'draw', as it did"),
        (DrawsWhenItMust(players=2, cards=2, suits=2, ranks=4), "could not have done "),
        (ForgetsVoids(cards=12), "could not have done "),
        (ForgetsVoids(cards=5, players=5), "could not have done "),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value),
)
def test_a_world_that_contradicts_the_past(broken, did: str) -> None:
    with pytest.raises(
        AssertionError, match="a world is drawn in which the past would be illegal or look otherwise: for "
    ) as error:
        worlds_fit_the_past(broken)
    assert did in str(error.value) and "\n" not in str(error.value)


RIGHT = [
    Follow(),
    CrazyEights(),
    CrazyEights(players=2, cards=2, suits=2, ranks=4),
    Hanabi(),
    Draw(),
    Draw(face_up=True, stock=8),
    FaceDown(),  # in secret
    Lucky(),
    Luckier(),  # by a hidden number
    FiveSuits(),
    Kuhn(),
    Dice(),
    *(Blob(cards=cards, players=players) for cards, players in ((13, 4), (5, 5), (12, 2))),
]


@pytest.mark.parametrize("right", RIGHT, ids=lambda game: type(game).__name__)
def test_right_worlds_pass(right) -> None:
    assert worlds_fit_the_past(right) is None


def test_a_game_of_hands_without_cards_is_told_of_its_numbers() -> None:
    """Whose deck is the usual one, of which it deals none: fewer cards would help nobody."""
    bare = type("Bare", (Loses,), {"cards": 0})()
    assert uniform.worlds_are_uniform(bare) == uniform.NUMBERS_ONLY


def test_what_cannot_be_asked_is_a_note() -> None:
    """Of what seats do in secret another thing may have been done."""
    assert worlds_fit_the_past(Loses()) == NOT_ASKED

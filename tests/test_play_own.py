"""What the table tells of games of one's own without tricks, at the terminal and on the page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.tables import Recorder
from vecgame import HandGame, HandState, piles
from veclab.arena.bots import RandomBot
from veclab.table.app import Sitting
from veclab.table.glyphs import UNICODE
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.ui import PlainLines

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")


@dataclass(frozen=True)
class CountRules:
    """What may be changed."""

    players: int = 2
    decisions: int = 4


@dataclass(frozen=True)
class CountState(HandState):
    """What each seat has done so often."""

    gained: torch.Tensor  # [B, P] int64


class Count(HandGame):
    """Two seats add to what they have, without any cards."""

    name = "count"
    rules_type, state_type = CountRules, CountState
    cards, plays_cards, highest = 0, False, 4.0
    others = ("rise", "bid 1", "bid 2")

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, gained=torch.zeros_like(hands))

    def act(self, state, action, card):
        gained = state.gained + piles.only(state.to_move, action, 2)
        return replace(state, gained=gained, to_move=1 - state.to_move)

    def points(self, state):
        return state.gained.float()


def a_match(game: HandGame, **others: object) -> Match:
    return begin(Settings(game, **{"games": 1, "agent": "random", "seed": 3, **others}))


def sat(match: Match, *typed: str, person: int | None = PERSON) -> str:
    """What plain lines tell of a match in which a person types these lines."""
    record, given = Recorder(200), iter(typed)

    def read(prompt: str) -> str:
        record.console.print(prompt, markup=False)
        if (line := next(given, None)) is None:
            raise EOFError
        return line

    Sitting(RandomBot(), person, PlainLines(record.console, UNICODE, read), None).play(match, "title")
    return record.take()


class Sudden(Count):
    """Some games are over as they are dealt."""

    at_once: ClassVar[tuple[int, ...]] = (0,)

    def over(self, state):
        number = state.index % 4
        return (number[:, None] == torch.tensor(self.at_once)).any(-1)


def test_games_that_are_over_as_they_are_dealt_are_played_through() -> None:
    class Always(Sudden):
        at_once = (0, 1, 2, 3)

    match = a_match(Always(), games=3)
    assert match.over and len(match.results) == 3
    told = sat(match)
    assert "Points in game 3: You 0, North 0." in told and "After 3 of 3 games" in told
    assert sat(a_match(Always(), games=1), person=None).count("Points in game") == 1


def test_a_game_that_is_over_as_it_is_dealt_is_told_beside_the_one_before_it() -> None:
    class Later(Sudden):
        at_once = (0, 2)

    match = a_match(Later(), games=4)
    assert len(match.results) == 1 and not match.over
    told = sat(match, *["bid 1"] * 20)
    for number in range(1, 5):
        assert told.count(f"Points in game {number}:") == 1
    assert "Game 2 of 4" in told and "Game 3 of 4" not in told and "The match is over" in told

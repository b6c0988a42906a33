"""What the table tells of games of one's own without tricks, at the terminal and on the page."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.tables import Recorder
from vecgame import HandGame, HandState, Hidden, hidden, piles
from vecgame.observation import blocks
from veclab.arena.bots import RandomBot
from veclab.arena.told import states_told
from veclab.table.app import Sitting
from veclab.table.glyphs import UNICODE
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.sight import look
from veclab.table.ui import PlainLines
from veclab.web.message import seen_told

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


@dataclass(frozen=True)
class NoteState(CountState):
    """With notes of the game's own, of seats and of all."""

    holds: ClassVar = {"asked": "ranks", "open": "ranks"}
    untold: ClassVar = ("noted", "secret", "tally", "may")

    asked: torch.Tensor  # [B, 2, 2] int8, ranks
    open: torch.Tensor  # [B] int8, a rank
    noted: torch.Tensor  # [B, 2] int64
    secret: torch.Tensor  # [B, 2] int64, of which a seat sees its own
    tally: torch.Tensor  # [B] int64


class Notes(Count):
    state_type = NoteState

    def begin(self, stream, hands, stock):
        none = torch.full_like(hands, -1, dtype=torch.int8)
        asked = torch.stack([none, none + piles.only(hands[:, 0], hands[:, 0] + 4, 2).to(torch.int8)], -1)
        own = {"gained": torch.zeros_like(hands), "noted": hands + 7, "secret": hands + 8, "tally": hands[:, 0] + 9}
        return self.start(stream, hands, asked=asked, open=none[:, 0] + 13, **own)  # an ace

    def hidden(self, state):
        sees = hidden.own(2, state.batch_size, state.device)
        return {**super().hidden(state), "secret": Hidden(sees, "number")}


def test_fields_that_a_state_keeps_off_the_table_are_told_everywhere_else() -> None:
    match = a_match(Notes())
    seen, told = look(match, PERSON), sat(match, "rise")
    page = json.dumps(seen_told(seen))
    for name in ("noted", "secret", "tally"):
        assert name not in told.lower() and name not in page
        assert name in match.game.text(match.state, seat=PERSON) and name in str(match.game.columns())
    assert "Open A." not in told and "asked You: 5; open A" in told.replace("Asked", "asked")
    assert match.game.text(match.state, seat=PERSON).count("?") == 1  # what North keeps to itself


def test_a_name_that_is_no_field_cannot_be_kept_off_the_table() -> None:
    @dataclass(frozen=True)
    class Wrong(CountState):
        untold: ClassVar = ("gaind",)

    class Misspelt(Count):
        state_type = Wrong

    with pytest.raises(ValueError, match=r"untold of Wrong names 'gaind', which is none of index, hands"):
        look(a_match(Misspelt()), PERSON)


def test_ranks_are_told_by_their_names_and_one_by_one_to_networks_and_programs() -> None:
    game = Notes()
    state = game.deal(2)
    told = dict(zip([words for _, words in game.columns()], (width for width, _ in game.columns()), strict=True))
    assert told["open: ranks"] == 13 and told["asked: ranks, the viewer's first"] == 4 * 13
    seen = dict(blocks(game, state, torch.tensor([0, 1])))
    assert seen["open: ranks"].tolist() == [[0] * 12 + [1]] * 2
    asked = seen["asked: ranks, the viewer's first"].unflatten(1, (4, 13))
    assert asked.nonzero().tolist() == [[0, 1, 3], [1, 3, 3]]  # counted from the viewer
    (one, _) = states_told(game, state, torch.tensor([0, 0]))
    assert one["open"] == "A" and one["asked"] == [[None, "5"], [None, None]]
    assert "open            A\n" in game.text(state) and "open            12\n" in str(state)


def test_hands_are_not_told_of_where_there_are_no_cards() -> None:
    assert "card" not in sat(a_match(Count()), "rise")

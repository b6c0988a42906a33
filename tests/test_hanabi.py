"""Hanabi, a game of hands whose places count and whose actions rule cards out: from its contract to the table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.hanabi import Hanabi
from vecgame import contract, game_of, identity
from vecgame.cards import lowest_card, popcount
from vecgame.contract import random_action
from vecgame.naming import card_name
from veclab.game_flags import DEFAULTS, canonical, flags_of, games_of
from veclab.table import lines
from veclab.table.glyphs import UNICODE
from veclab.table.session import PERSON, Settings, begin
from veclab.table.sight import look

ADDRESS = f"{Path(__file__).with_name('hanabi.py')}:Hanabi"


@pytest.mark.parametrize("rules", [{"copies": (2, 1), "hints": 2}, {"copies": (2, 2), "hints": 3}])
def test_it_keeps_the_contract(rules: dict) -> None:
    (note,) = contract.check(Hanabi(places=2, **rules))
    assert note.startswith("moves: 'hint ") and "lead to the same state" in note  # of two suits or ranks one tells both


def test_a_rule_of_several_numbers_is_read_from_flags_and_files_and_written_there() -> None:
    flags = canonical({**DEFAULTS, "game": ADDRESS, "rules": "copies=2/1,hints=3"})
    (game,) = games_of(flags)
    assert flags["rules"] == "copies=2/1,hints=3" and game.rules.copies == (2, 1)
    (again,) = games_of(flags_of([game]))
    assert again == game == game_of(json.loads(json.dumps(identity(game)))) and hash(again) == hash(game)
    assert Hanabi(copies=[2, 1]) == Hanabi(copies=(2, 1))
    with pytest.raises(ValueError, match=r"--rules copies must be numbers such as 3/2/1, got '\(2'"):
        canonical({**DEFAULTS, "game": ADDRESS, "rules": "copies=(2,1)"})


def test_worlds_keep_to_what_hints_have_told() -> None:
    game, told = Hanabi(players=3), 0
    state = game.deal(200, seed=3)
    for _ in range(12):
        worlds = game.determinize(state, 4, seed=1)
        assert (worlds.hands & ~worlds.may == 0).all()
        told += int((popcount(state.may) < game.layout.size).sum())
        state = game.step(state, random_action(game, state))
    assert told > 0 and torch.equal(game.scores(state).sum(-1), 3 * game.scores(state)[:, 0])


def test_a_game_that_deals_its_hands_itself_can_be_named_by_flags() -> None:
    told = canonical({**DEFAULTS, "game": ADDRESS, "rules": "places=2"})
    (game,) = games_of(told)
    assert game == Hanabi(places=2) and (told["cards"], canonical(told)) == ("0", told)
    with pytest.raises(ValueError, match="cards must be an integer from 1 to 13, got 0"):
        canonical({**DEFAULTS, "cards": "0"})
    line = lines.game_line(look(begin(Settings(game, games=1, seed=1)), PERSON), UNICODE)
    assert "cards each" not in line


def test_hands_and_marks_are_told_by_their_places() -> None:
    """Sorted, they would not tell which card is in which place."""
    game = Hanabi()
    state = game.deal(50, seed=1)
    state = game.step(state, torch.full((50,), game.others.index("hint 1")))
    for lane in range(50):
        hand = [card_name(game.layout, int(card)) for card in lowest_card(state.hands[lane, 1])]
        if not any(name[0] == "1" for name in hand):
            continue  # of whom it may not be said
        seen, own = game.text(state, lane, 0), game.text(state, lane, 1)
        marks = " | ".join("♠ 1 1 1  ♥ 1 1 1" if name[0] == "1" else "♠ 3 2 2  ♥ 3 2 2" for name in hand)
        assert f"▸ seat 1        {' '.join(hand)}\n" in seen and "seat 1 (you)  3 cards\n" in own
        assert f"seat 1: {marks}\n" in seen and f"seat 1 (you): {marks}\n" in own
    after = replace(state, hands=state.hands * torch.tensor([[1, 1, 1], [0, 1, 1]]))
    assert f"▸ seat 1        - {' '.join(hand[1:])}\n" in game.text(after, 49, 0)
    match = begin(Settings(game, games=1, seed=1))
    assert look(match, PERSON).hand(1) == tuple(lowest_card(match.state.hands[0, 1]).tolist()) == (0, 6, 10)

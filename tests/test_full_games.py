"""The tests' games without tricks as they are played, with whole decks, of which other tests check small forms."""

from __future__ import annotations

import pytest

from tests.crazy_eights import CrazyEights
from tests.cribbage import Cribbage
from tests.durak import Durak
from tests.gin import Gin
from tests.go_fish import GoFish
from tests.scopa import Scopa
from vecgame import HandGame, contract
from vecgame.contract.rules import lanes_do_not_meet

GAMES = (CrazyEights(), Cribbage(), Durak(), Gin(), Scopa())


@pytest.mark.parametrize("game", [*GAMES, GoFish()], ids=repr)
def test_each_game_of_a_batch_goes_its_own_way(game: HandGame) -> None:
    """Books of Go Fish that are complete in some of the games only, for one, change nothing in the worlds of others."""
    lanes_do_not_meet(game)


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES, ids=repr)
def test_they_keep_the_contract(game: HandGame) -> None:
    """But for Go Fish, of whose hands more is known than a field says once cards have been drawn unseen."""
    notes = contract.check(game)
    assert all("not enough positions to compare" in note for note in notes)

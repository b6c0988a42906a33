"""A game says what it is, as JSON, and whoever reads that gets the same game back."""

import json
import subprocess
import sys

import pytest

from tests.test_variants import steep
from vecgame import GAMES, Blob, BlobMatch, Hearts, game_of, identity, make_game

OWN = """
import vecgame
from dataclasses import dataclass

@dataclass(frozen=True)
class MineRules(vecgame.games.whist.WhistRules):
    bonus: int = 3

class Mine(vecgame.Whist):
    name = "mine"
    rules_type = MineRules

def points(bids, won):
    return won - bids
"""


@pytest.mark.parametrize(
    "game",
    [
        Blob(),
        Blob(cards=3, trump="bidder", zero_bonus=5.0, players=6),
        Blob(cards=3, scoring=steep),
        BlobMatch(cards=3, schedule="up-down"),
        Hearts(passing="rotate"),
        *(make_game(name) for name in GAMES),
    ],
    ids=repr,
)
def test_the_same_game_comes_back(game) -> None:
    told = json.loads(json.dumps(identity(game)))
    again = game_of(told)
    assert identity(again) == told and type(again) is type(game)
    if not callable(getattr(game.rules, "scoring", None)):
        assert again == game


def test_only_what_differs_is_told() -> None:
    assert identity(Blob(cards=5, hook=False)) == {"game": "blob", "rules": {"hook": False}}


@pytest.mark.slow
def test_a_game_of_ones_own_is_found_by_another_process(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    game = make_game("mine.py:Mine", bonus=4, trump="none")
    told = identity(game)
    assert told["game"] == f"{tmp_path / 'mine.py'}:Mine"
    assert told["rules"] == {"trump": "none", "bonus": 4}
    own = identity(make_game("blob", scoring="mine.py:points"))
    assert own["rules"] == {"scoring": f"{tmp_path / 'mine.py'}:points"}
    code = "import json, sys, vecgame; print(vecgame.game_of(json.loads(sys.argv[1])).rules.bonus)"
    answer = subprocess.run([sys.executable, "-c", code, json.dumps(told)], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "4"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"game": "zwicker", "rules": {}}, "there is no game 'zwicker'; there are blob, .*FILE.py:CLASS"),
        ({"game": "gone.py:Mine", "rules": {}}, "gone.py cannot be loaded: FileNotFoundError"),
        ({"game": "vecgame:score", "rules": {}}, "vecgame:score is no class of a game"),
        ({"game": "vecgame:nothing", "rules": {}}, "vecgame has no 'nothing'"),
        ({"game": "blob", "rules": {"deck": 2}}, "blob has no rule deck"),
        ({"game": "blob"}, "a game is told by 'game' and 'rules', not by rules"),
    ],
)
def test_what_cannot_be_had_is_one_line(told, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        game_of(told)
    assert "\n" not in str(error.value)


def test_what_no_process_could_find_is_refused() -> None:
    with pytest.raises(ValueError, match="put it at the top of a file"):
        identity(Blob(scoring=lambda bids, won: won - bids))

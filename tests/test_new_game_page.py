"""docs/new-game.md does what it says: its blocks of code are run one after the other."""

import re
import sys
from pathlib import Path

import pytest

from vecgame import GAMES

PAGE = (Path(__file__).parents[1] / "docs" / "new-game.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with the page's file in it, which can be imported from; the game is forgotten afterwards."""
    (tmp_path / "polignac.py").write_text(BLOCKS[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    GAMES.pop("polignac", None)
    sys.modules.pop("polignac", None)


def test_the_game_is_as_short_as_the_page_says() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 60


def run(number: int) -> None:
    """Runs a block of the page; block 0 is the file of the game, which the others import."""
    exec(compile(BLOCKS[number], f"docs/new-game.md, block {number}", "exec"), {})


def test_the_page_builds_a_game(desk: Path, capsys) -> None:
    run(1)
    run(2)
    assert "points of the four seats in game 0, played at random: [" in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_trains_an_agent(desk: Path, capsys) -> None:
    assert len(BLOCKS) == 4
    run(3)
    assert "polignac, 8 cards, polignac=3" in capsys.readouterr().out
    assert (desk / "runs" / "polignac" / "results.json").is_file()


def test_the_page_names_files_that_are_there() -> None:
    root = Path(__file__).parents[1]
    for path in re.findall(r"`((?:vecgame|tests)/[\w/]+\.py)`", PAGE):
        assert (root / path).is_file(), path

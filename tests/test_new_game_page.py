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


def test_the_page_runs(desk: Path, capsys) -> None:
    for number, block in enumerate(BLOCKS[1:], start=1):
        exec(compile(block, f"docs/new-game.md, block {number}", "exec"), {})
    assert "points of the four seats in game 0, played at random: [" in capsys.readouterr().out
    assert (desk / "runs" / "polignac" / "results.json").is_file()


def test_the_page_names_files_that_are_there() -> None:
    root = Path(__file__).parents[1]
    for path in re.findall(r"`((?:vecgame|tests)/[\w/]+\.py)`", PAGE):
        assert (root / path).is_file(), path

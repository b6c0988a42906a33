"""The pages on how to write a game do what they say: their blocks of code are run one after the other."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Page:
    """A page of docs, whose first block is the file of a game, which the others import."""

    name: str
    game: str
    most_lines: int
    blocks_between: int  # the game's file and the one that trains it
    plays: str
    trains: str

    @property
    def text(self) -> str:
        return (ROOT / "docs" / self.name).read_text()

    @property
    def blocks(self) -> list[str]:
        return re.findall(r"^```python\n(.*?)^```", self.text, flags=re.M | re.S)

    def run(self, number: int) -> None:
        exec(compile(self.blocks[number], f"docs/{self.name}, block {number}", "exec"), {})


PAGES = (
    Page(
        "new-game.md",
        "polignac",
        60,
        2,
        "points of the four seats in game 0, played at random: [",
        ": polignac, polignac=3, 2 updates of policy gradient and 1 iteration of search, ",
    ),
    Page(
        "new-game-without-tricks.md",
        "bluff",
        45,
        3,
        "beside nothing above a six: bets in 100%\nchips won by the three seats in game 0, played at random: [",
        ": bluff, bet=2, 4 updates of policy gradient and 1 iteration of search, ",
    ),
)


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Page:
    return request.param


@pytest.fixture
def desk(page: Page, own_games, monkeypatch) -> Path:
    """A folder with the page's file in it, which can be imported from."""
    monkeypatch.syspath_prepend(own_games)
    return own_games


def test_the_game_is_short(page: Page) -> None:
    assert len([line for line in page.blocks[0].splitlines() if line.strip()]) <= page.most_lines


@pytest.mark.slow
def test_the_page_builds_a_game(page: Page, desk: Path, capsys) -> None:
    for number in range(1, 1 + page.blocks_between):
        page.run(number)
    assert page.plays in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_trains_an_agent(page: Page, desk: Path, capsys) -> None:
    assert len(page.blocks) == page.blocks_between + 2
    page.run(-1)
    assert page.trains in capsys.readouterr().out
    assert (desk / "runs" / page.game / "results.json").is_file()


def test_the_page_names_files_that_are_there(page: Page) -> None:
    for path in re.findall(r"`((?:vecgame|tests)/[\w/]+\.py)`", page.text):
        assert (ROOT / path).is_file(), path

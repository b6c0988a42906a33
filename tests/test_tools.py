"""Every pair of a tool and a game does what `docs/tools.md` says of it."""

import re

import pytest

from tests.every_game import EVERY, Named
from tests.tools import MUST_WORK, PAGE, TOOLS, WORKS, all_tried

TEXT = PAGE.read_text()
NOTES = dict(re.findall(r"^(\d+)\. (.*)$", TEXT, flags=re.M))
ROWS = {
    cells[0].strip(): [WORKS if cell == " + " else NOTES[cell.strip(" []")] for cell in cells[1:]]
    for cells in (line.strip("|").split("|") for line in re.findall(r"^\| [a-z].*\|$", TEXT, flags=re.M))
}


def test_the_page_has_every_game_and_tool() -> None:
    assert list(ROWS) == [str(named) for named in EVERY]
    head = re.search(r"^\| \|(.*)\|$", TEXT, flags=re.M)[1]
    assert [cell.strip() for cell in head.split("|")] == [tool.name for tool in TOOLS]


def test_what_works_with_every_game() -> None:
    for named, row in ROWS.items():
        broken = [tool.name for tool, entry in zip(TOOLS, row, strict=True) if entry != WORKS]
        assert not MUST_WORK & set(broken), (named, broken)


@pytest.mark.slow
@pytest.mark.parametrize("named", EVERY, ids=str)
def test_every_tool_does_what_the_page_says(named: Named) -> None:
    for extra in ("pettingzoo", "gymnasium", "torchrl", "pyspiel", "onnx"):
        pytest.importorskip(extra)
    assert dict(zip([t.name for t in TOOLS], all_tried(named), strict=True)) == dict(
        zip([t.name for t in TOOLS], ROWS[str(named)], strict=True)
    )

"""docs/own-parts.md does what it says: its blocks of code are run one after the other."""

import re
import sys
from pathlib import Path

import pytest
import torch

from vecgame import Blob, Spades, TrickGame, Wizard

PAGE = (Path(__file__).parents[1] / "docs" / "own-parts.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_the_page_runs(number: int, tmp_path, monkeypatch) -> None:
    (tmp_path / "careful.py").write_text(BLOCKS[0])
    monkeypatch.syspath_prepend(tmp_path)
    try:
        exec(compile(BLOCKS[number], f"docs/own-parts.md, block {number}", "exec"), {"__name__": "page"})
    finally:
        sys.modules.pop("careful", None)


@pytest.mark.parametrize("game", [Wizard(), Wizard(players=3, cards=20), Blob(cards=13), Spades()], ids=repr)
def test_the_careful_player_bids_as_little_as_it_may(game: TrickGame) -> None:
    exec(compile(BLOCKS[0], "docs/own-parts.md, block 0", "exec"), page := {})
    state = game.deal(20, seed=8)
    while game.bidding(state).any():
        action = page["Careful"]().act(game, state, seed=8)
        assert torch.equal(action, torch.where(game.bidding(state), game.legal_actions(state)[:, 0], action))
        state = game.step(state, action, validate=True)


def test_the_page_has_one_of_each() -> None:
    headings = re.findall(r"^## (.*)$", PAGE, flags=re.M)
    assert headings == ["A player", "An evaluator", "A network", "A training loop"] and len(BLOCKS) == 6
    for path in re.findall(r"`((?:vecgame|veclab|tests)/[\w/]+\.py)`", PAGE):
        assert (Path(__file__).parents[1] / path).is_file(), path

"""docs/own-parts.md does what it says: its blocks of code are run one after the other."""

import io
import re
import sys
from pathlib import Path

import pytest
import torch

from net import BlobNet
from vecgame import Blob, Spades, TrickGame, Wizard, identity
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena import evaluate
from veclab.cli import call

PAGE = (Path(__file__).parents[1] / "docs" / "own-parts.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
COMMANDS = re.findall(r"^    vecgame (.*)$", PAGE, flags=re.M)
QUICK = {
    "play": "--games=1 --seed=1",
    "ladder": "--eval-deals=2 --device=cpu",
    "evaluate": "--eval-deals=2 --device=cpu --players=alone",
    "exploit": "--device=cpu --updates=1 --update-games=16 --update-batch=16 --curve-deals=2 --deals=2",
    "train": "--run=run --network=small --updates=1 --update-games=4 --games-per-iter=4 --iterations=1 --epochs=1 "
    "--worlds=1 --simulations=2 --batch-size=32 --eval-deals=2 --eval-every=0 --device=cpu",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the page's player."""
    (tmp_path / "careful.py").write_text(BLOCKS[0])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("careful", None)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_takes_the_player(line: str, folder: Path, monkeypatch, capsys) -> None:
    game = Blob(cards=2)
    save_network(Path("RUN"), BlobNet(network_config("small", game)), {"games": [identity(game)]})
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    monkeypatch.delitem(evaluate.BOTS, "flat")  # which takes longest
    assert call([*line.split(), *QUICK[line.split()[0]].split()]) == 0
    assert f"careful of {folder}/careful.py:Careful" in capsys.readouterr().out.replace("\n", "").replace("  ", "")


def test_the_page_names_the_commands() -> None:
    assert [line.split()[0] for line in COMMANDS] == list(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_the_page_runs(number: int, folder: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(folder)
    exec(compile(BLOCKS[number], f"docs/own-parts.md, block {number}", "exec"), {"__name__": "page"})


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

"""Every tool of the arena with every game: evaluation, ladder, gate, all bots, and programs."""

import json
import sys
from pathlib import Path

import pytest
import torch

from net import BlobNet, NetConfig
from tests.every_game import EVERY, Named, write_tutorials
from vecgame import game_of, identity
from veclab.agents.checkpoint import save_network
from veclab.arena import evaluate, ladder
from veclab.arena.bots import FlatMonteCarlo, IsmctsPlayer, RandomBot, SearchPlayer
from veclab.arena.gate import judge
from veclab.arena.matches import decisions, even_seatings_of, play_deals, seatings_of
from veclab.arena.told import history_told, states_told
from vecmcts import IsmctsConfig, PlayoutEvaluator, SearchConfig

BOT = f"cmd:{sys.executable} {Path(__file__).parents[1] / 'examples' / 'bot.py'}"
LONG = ("hearts", "match", "doppelkopf", "skat", "briscola", "polignac", "euchre")
QUICK = ("--eval-deals=1", "--device=cpu")


def of_every_game(*, long: bool = True):
    """All games; those that take longer are left to the slow tests where ``long`` is False."""
    slow = [not long and any(name in named.game for name in LONG) for named in EVERY]
    marks = [[pytest.mark.slow] if is_slow else [] for is_slow in slow]
    return pytest.mark.parametrize("named", [pytest.param(*z, id=str(z[0])) for z in zip(EVERY)])


@pytest.fixture
def network(named: Named, tmp_path, monkeypatch) -> Path:
    """A small network for a game, as a run would have saved it, in a folder with the tutorials' games."""
    monkeypatch.chdir(tmp_path)
    write_tutorials(tmp_path)
    game = named.make(tmp_path)
    torch.manual_seed(0)
    config = NetConfig(16, 1, 1, 16, game.features, game.num_actions, game.seats, 16, 16)
    path = tmp_path / "run" / "network-000001.safetensors"
    path.parent.mkdir()
    save_network(path, BlobNet(config), {"game": game.name, "games": [identity(game)]})
    monkeypatch.setitem(evaluate.BOTS, "flat", lambda: FlatMonteCarlo(1))
    return path

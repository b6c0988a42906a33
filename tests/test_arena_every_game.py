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
from veclab.arena.bots import FlatMonteCarlo, IsmctsPlayer, RandomBot, RuleBot, why_not
from veclab.arena.gate import judge
from veclab.arena.matches import decisions, even_seatings_of, play_deals, seatings_of
from veclab.arena.told import history_told, states_told
from vecmcts import IsmctsConfig, PlayoutEvaluator

BOT = f"cmd:{sys.executable} {Path(__file__).parents[1] / 'examples' / 'bot.py'}"
FEW = ("blob players=5,cards=2", "blob cards=2,sight=forehead", "wizard players=3,cards=2", "kuhn", "leduc", "bluff")
EACH = [named if str(named) in FEW else pytest.param(named, marks=pytest.mark.slow) for named in EVERY]
every_game = pytest.mark.parametrize("named", EACH, ids=str)
FLAGS = ("--eval-deals=1", "--device=cpu")
SEARCH = ("--worlds=1", "--simulations=2")


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
    save_network(path, BlobNet(config), {"games": [identity(game)]})
    monkeypatch.delitem(evaluate.BOTS, "flat")  # which takes longest, and plays in the other tests
    return path


@every_game
def test_evaluations_and_ladders(named: Named, network: Path, tmp_path, capsys) -> None:
    """By what the network's file says of its game; every way to play, every bot that can, and a program."""
    game, out = named.make(tmp_path), tmp_path / "strength.json"
    flags = ["--players", "policy", "search", "--opponents", "random", BOT, *FLAGS, *SEARCH, "--json", str(out)]
    rules = ["rule-based"] if why_not(RuleBot(), game) is None else []
    assert evaluate.main([str(network), *flags]) == 0, capsys.readouterr().err
    stored = json.loads(out.read_text())
    assert [game_of(one) for one in stored["games"]] == [game] and stored["other_rules"] is None
    rows = stored["results"]
    assert list(rows) == ["network's policy", "search 1x2"]
    assert all(list(row) == ["random", BOT] for row in rows.values())
    assert {match["games"] for row in rows.values() for match in row.values()} == {len(seatings_of(game))}
    assert ladder.main([str(network.parent), BOT, *FLAGS]) == 0, capsys.readouterr().err
    stored = json.loads((network.parent / "ladder.json").read_text())
    assert [game_of(one) for one in stored["terms"]["games"]] == [game]
    assert set(stored["agents"]) == {"random", "run/network-000001", BOT, *rules}
    assert stored["ratings"][rules[0] if rules else "random"]["elo"] == 0


@every_game
def test_matches(named: Named, tmp_path) -> None:
    """Flat Monte Carlo, SO-ISMCTS, and what a program is told of each decision."""
    game = named.make(tmp_path)
    players = (FlatMonteCarlo(1), IsmctsPlayer(PlayoutEvaluator(), IsmctsConfig(simulations=2)))
    points = play_deals([game], players, even_seatings_of(game)[:1], 1, seed=1)
    assert points.isfinite().all()
    steps = decisions(game, game.deal(2, seed=1), [RandomBot()], torch.zeros(2, game.seats, dtype=int), 1, True)
    for number, step in enumerate(steps):
        if number % 7 == 0:
            told = states_told(game, step.state, step.seat)
            json.dumps(told)
            history = history_told(game, step.past, step.seat)
            assert [len(lane) for lane in history] == [number, number]
            own = [
                [action for seat, action in lane if seat == viewer]
                for lane, viewer in zip(history, step.seat, strict=True)
            ]
            assert all(None not in lane for lane in own)


@every_game
def test_the_gate(named: Named, tmp_path) -> None:
    game = named.make(tmp_path)
    verdict = judge([game], RandomBot(), RandomBot(), 0.05, 30, seed=1, first_index=0)
    assert not verdict.passed and verdict.lead.mean == pytest.approx(0, abs=1e-6)

"""bench.py measures every game, and its file says which."""

import json
import sys
from pathlib import Path

import pytest
import torch

from net import BlobNet, int8_available
from tests.every_game import EVERY, Named
from tests.small_benches import small
from vecgame import game_of, identity
from veclab import precision
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.bench import command as bench
from veclab.bench import parts

# One of each kind; the others are slow ones, for all of them together take minutes.
QUICK = ("blob cards=2", "whist cards=3,trump=random", "wizard players=3,cards=2", "kuhn", "leduc", "bluff")
GAMES = [pytest.param(named, marks=[pytest.mark.slow] * (str(named) not in QUICK), id=str(named)) for named in EVERY]


@pytest.fixture(autouse=True)
def alone(monkeypatch) -> None:
    """Without what other libraries do, and without the time that the product's peak takes."""
    for name in ("pyspiel", "mctx"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(parts, "matmul_peak", lambda dtype, device: 1e9)


def measured(what: str, named: Named, path: Path, *more: str) -> dict:
    """The file of a benchmark of a game."""
    assert bench.main([*small(what, simulations=2), *named.flags, "--json", str(path), *more]) == 0
    written = json.loads(path.read_text())
    assert written["complete"] and written["games"] == [identity(named.make())]
    assert game_of(written["games"][0]) == named.make()
    return written


@pytest.mark.parametrize("named", GAMES)
def test_the_parts_of_every_game(named: Named, own_games, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(bench, "available", lambda device: ("float32",))
    monkeypatch.setattr(parts, "precisions", lambda device: (torch.float32,))
    for what, batch in (("engine", "2"), ("search", "2"), ("net", "512"), ("train", "4")):
        written = measured(what, named, tmp_path / f"{what}.json", "--batches", batch)
        assert written["figures"] and all(figure["per_second"] > 0 for figure in written["figures"])
        assert named.make().name in capsys.readouterr().out.lower()


@pytest.mark.parametrize("named", GAMES)
def test_self_play_of_every_game(named: Named, own_games, tmp_path, capsys) -> None:
    row, learner = measured("self-play", named, tmp_path / "a.json", "--batches", "2")["figures"]
    assert row["games_per_minute"] > 0 and learner["per_second"] > 0
    assert all(row["shares"][phase] > 0 for phase in ("select", "step", "observe", "worlds", "network"))
    assert "criteria" not in capsys.readouterr().out  # the document's are for its own game, search and network
    rows = measured("sweep", named, tmp_path / "b.json", "--set", "games=1,2")["figures"]
    assert [row["settings"] for row in rows] == [{"games": 1}, {"games": 2}]
    assert all(row["game"] == identity(named.make()) for row in rows)


@pytest.mark.skipif(not int8_available(), reason="needs a CPU with VNNI instructions")
def test_the_ranges_of_8_bits_are_those_of_the_games_positions(tmp_path, monkeypatch) -> None:
    asked = []
    ranges = precision.positions
    monkeypatch.setattr(precision, "positions", lambda games, count: asked.append(games) or ranges(games, count))
    measured("net", Named("kuhn"), tmp_path / "net.json", "--batches", "512")
    assert asked == [[Named("kuhn").make()]]


def test_a_sweep_of_the_cards_of_another_game(tmp_path) -> None:
    path = tmp_path / "figures.json"
    game = ["--game", "wizard", "--rules", "players=3"]
    assert bench.main([*small("sweep", 2), *game, "--json", str(path), "--set", "cards=1,2", "--timing-only"]) == 0
    written = json.loads(path.read_text())
    games = [{"game": "wizard", "rules": {"players": 3, "cards": cards}} for cards in (1, 2)]
    assert [row["game"] for row in written["figures"]] == written["games"] == games


def test_agreement_by_the_rules_of_the_network(tmp_path, capsys) -> None:
    named, path = Named("kuhn", "players=3"), tmp_path / "network.safetensors"
    torch.manual_seed(3)
    net = BlobNet(network_config("small", named.make()))
    save_network(path, net, {"games": [identity(named.make())]})
    figures = tmp_path / "figures.json"
    flags = [*small("agreement", 2), "--weights", str(path), "--json", str(figures)]
    assert bench.main(flags) == 0
    written = json.loads(figures.read_text())
    assert written["games"] == [identity(named.make())] and written["figures"][0]["same_action"] == 1
    assert written["figures"][0]["other_rules"] is None
    # Games are over after 3 to 5 decisions, and what comes after is no position.
    assert 8 * 3 <= written["figures"][0]["positions"] <= 8 * 5
    assert bench.main([*flags, "--game", "kuhn", "--rules", "players=2"]) == 2
    assert "is a network for" in capsys.readouterr().err


def test_agreement_by_other_rules_says_so(tmp_path, capsys) -> None:
    named, path = Named("blob", "cards=1"), tmp_path / "network.safetensors"
    save_network(path, BlobNet(network_config("small", named.make())), {"games": [identity(named.make())]})
    figures = tmp_path / "figures.json"
    flags = [*small("agreement", 2), "--weights", str(path), "--json", str(figures)]
    assert bench.main([*flags, "--rules", "hook=false"]) == 0
    line = json.loads(figures.read_text())["figures"][0]["other_rules"]
    assert "by other rules than" in line and line in capsys.readouterr().out

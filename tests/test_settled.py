"""Networks that are read while a run at work replaces them: name, digest and weights are of one moment."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from net import BlobNet, NetConfig
from vecgame import Kuhn, identity
from veclab.agents import networks
from veclab.agents.checkpoint import load_network, save_network
from veclab.agents.folder import NEWEST
from veclab.agents.networks import load_agent, read_saved, settings_for, settled
from veclab.arena import ladder

NUMBERED = "network-000002.safetensors"


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    write(1)
    return Path("run")


def write(iteration: int, name: str = NEWEST) -> None:
    """As a run does; a numbered network takes the place of the newest one."""
    torch.manual_seed(iteration)
    game = Kuhn()
    config = NetConfig(16, 1, 1, 16, game.features, game.num_actions, game.seats, 16, 16)
    save_network(Path("run") / name, BlobNet(config), {"games": [identity(game)], "iteration": iteration})
    if name != NEWEST:
        (Path("run") / NEWEST).unlink()


def writes_once(module, function: str, monkeypatch, name: str = NEWEST) -> None:
    """Has the run write iteration 2 just before a function of a module is called for the first time."""
    real, left = getattr(module, function), [2]

    def late(*arguments: object, **options: object) -> object:
        if left:
            write(left.pop(), name)
        return real(*arguments, **options)

    monkeypatch.setattr(module, function, late)


@pytest.mark.parametrize("name", [NEWEST, NUMBERED])
@pytest.mark.parametrize("function", ["load_network", "other_rules"])
def test_a_ladder_names_what_it_plays(function: str, name: str, run: Path, monkeypatch) -> None:
    writes_once(networks, function, monkeypatch, name)
    monkeypatch.setattr(ladder, "play_pairing", lambda *_: [1, 1, 2])
    assert ladder.main(["run", "--json", "ladder.json", "--device", "cpu", "--eval-deals", "3"]) == 0
    agents = json.loads(Path("ladder.json").read_text())["agents"]
    (entry,) = [one for one in agents.items() if one[0].startswith("run/")]
    called = "run/network-newest (iteration 2)" if name == NEWEST else "run/network-000002"
    assert entry == (called, hashlib.sha256((run / name).read_bytes()).hexdigest())


@pytest.mark.parametrize("name", [NEWEST, NUMBERED])
@pytest.mark.parametrize("function", ["load_network", "how_far", "other_rules"])
def test_a_network_is_told_as_what_it_is(function: str, name: str, run: Path, monkeypatch) -> None:
    settings = settings_for(run, {})
    writes_once(networks, function, monkeypatch, name)
    saved = read_saved(run, settings, "cpu", Kuhn())
    assert saved.told == f"run/{name}" + " (iteration 2)" * (name == NEWEST) and saved.other_rules is None
    assert saved.label == saved.told.removeprefix("run/").replace(".safetensors", "")
    for here, there in zip(saved.network.parameters(), load_network(run / name).parameters(), strict=True):
        assert torch.equal(here, there)


def test_an_agent_whose_file_is_replaced_is_the_numbered_one(run: Path, monkeypatch) -> None:
    writes_once(networks, "settings_for", monkeypatch, NUMBERED)
    assert load_agent("run").path == run / NUMBERED


def test_what_never_comes_to_rest_is_one_line_and_what_is_wrong_is_said_at_once(run: Path) -> None:
    with pytest.raises(ValueError, match="run is written again faster than it can be read; name a network"):
        settled([run], lambda: (run / NEWEST).write_bytes((run / NEWEST).read_bytes() + b"."))
    calls = []
    with pytest.raises(ValueError, match="invalid literal"):
        settled([run, Path("none")], lambda: calls.append(1) or int("x"))
    assert len(calls) == 1

"""Ways to learn that are compared (`bench.py peers learn`): each learns, plays, and is counted."""

import json

import pytest
import torch

from vecgame import Blob, identity
from veclab.arena.bots import RandomBot
from veclab.arena.matches import play_match
from veclab.bench import command, compared, learners
from veclab.bench.command import main
from veclab.bench.learners import OpenSpielPlayer, games_of
from veclab.machine import cpu_name
from veclab.presets import from_flags

pytest.importorskip("tree", reason="OpenSpiel's learners need dm-tree, of the extra peers")
pytest.importorskip("pyspiel")
pytest.importorskip("torchrl")


@pytest.mark.parametrize("place", range(len(learners.ALL)))
def test_a_learner_goes_on_and_plays(place: int, monkeypatch) -> None:
    monkeypatch.setattr(compared, "TRIALS", (1, 2))
    monkeypatch.setattr(learners.TorchRL, "GAMES", 16)
    few = {"update_games": 32, "update_batch": 64}
    monkeypatch.setattr(learners, "from_flags", lambda preset, given: from_flags(preset, {**given, **few}))
    learner = learners.ALL[place](2, seed=1)
    first = learner.learn(0.2)
    learned = learner.games
    assert first > 0 and learned > 0
    assert learner.learn(0.6) > 0 and learner.games >= learned
    assert play_match(games_of(2), learner.player(), RandomBot(), 4, seed=1).games == 16


def test_openspiels_agents_see_their_own_seat() -> None:
    """Each is asked at its own turn only, for an action that is legal there, and not told to learn."""
    asked = []

    class Agent:
        def __init__(self, seat: int) -> None:
            self.seat = seat

        def step(self, step, is_evaluation: bool):
            assert is_evaluation and step.observations["current_player"] == self.seat
            asked.append(self.seat)
            legal = step.observations["legal_actions"][self.seat]
            return type("Output", (), {"action": legal[-1]})

    play_match(games_of(2), OpenSpielPlayer([Agent(seat) for seat in range(4)]), RandomBot(), 4, seed=1)
    assert set(asked) == set(range(4))


def test_the_command_writes_every_row(tmp_path, monkeypatch, capsys) -> None:
    class Fake:
        name, games = "fake", 0

        def __init__(self, cards: int, seed: int) -> None: ...

        def learn(self, seconds: float) -> float:
            self.games += 10
            return seconds + 1

        def player(self) -> RandomBot:
            return RandomBot()

    monkeypatch.setattr(learners, "ALL", (Fake,))
    monkeypatch.setattr(command, "choose_device", lambda name: torch.device("cuda" if name == "auto" else name))
    out = tmp_path / "learn.json"
    flags = ["peers", "learn", "--cards", "1", "--quick", "--minutes", "2", "1", "--json", str(out)]
    assert main([*flags, "--plot", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "fake, 1.0 min, 10 games" in said and "fake, 2.0 min, 20 games" in said
    stored = json.loads(out.read_text())
    assert stored["environment"]["device"] == cpu_name()
    assert [row["minutes"] for row in stored["figures"]] == [1, 2] and stored["complete"]
    assert stored["games"] == [identity(game) for game in games_of(1)] and (tmp_path / "peers-learning.png").exists()
    assert games_of(1)[0] == Blob(cards=1, miss_penalty=1, trump="spades")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["engine", "learn"], "learn is for peers"),
        (["peers", "--minutes", "1"], "--minutes is for peers learn"),
        (["peers", "learn", "--minutes", "0"], "--minutes must be above 0"),
        (["peers", "learn", "--device", "cuda"], "all learn on the CPU in peers learn; leave out --device cuda"),
    ],
)
def test_wrong_flags_are_one_line(flags: list[str], message: str, capsys) -> None:
    assert main(flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1

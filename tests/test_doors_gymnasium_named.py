"""The Gymnasium environments by their names: registered games, rendering, wrappers, bad arguments, docs and example."""

from pathlib import Path

import numpy as np
import pytest

from tests.doors_docs import choices, run_example, run_snippet
from vecgame import GAMES, Blob, Hearts

pytest.importorskip("gymnasium")
import gymnasium
from gymnasium.vector import AutoresetMode

from veclab.doors import gymnasium_env
from veclab.doors.gymnasium_env import GameEnv
from veclab.doors.gymnasium_vector import GameVectorEnv


def test_games_are_known_by_name() -> None:
    table = gymnasium.make("vecgame/Blob-v0", rules={"players": 3, "cards": 2}, seat=2, opponents="rules")
    assert table.unwrapped.game == Blob(players=3, cards=2)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(table.spec.to_json()))
    assert again.unwrapped.game == table.unwrapped.game
    tables = gymnasium.make_vec("vecgame/Blob-v0", num_envs=3, rules={"cards": 2})
    assert isinstance(tables.unwrapped, GameVectorEnv) and tables.reset(seed=1)[0].shape == (3, 256)
    for kind in GAMES.values():
        if kind.__module__.startswith("vecgame."):
            assert f"vecgame/{kind.__name__}-v0" in gymnasium.registry


def test_a_game_of_ones_own_is_named_by_its_file(own_games: Path) -> None:
    table = gymnasium.make("vecgame/Game-v0", game="polignac.py:Polignac", opponents="flat")
    assert table.reset(seed=1)[0].shape == (344,) and table.unwrapped.game.name == "polignac"


@pytest.mark.parametrize("name", ["Hearts", "Game"])
def test_an_id_does_not_depend_on_what_is_registered_before_it(name: str, monkeypatch) -> None:
    """A game of one's own whose class is called as one of the package's, or as the id of all, does not take its id."""
    monkeypatch.setitem(GAMES, "mine", type(name, (Hearts,), {"name": "mine"}))
    monkeypatch.setattr(gymnasium.envs.registration, "registry", {})
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    gymnasium_env.register()
    assert gymnasium.spec("vecgame/Hearts-v0").kwargs == {"game": "hearts"}
    assert gymnasium.spec("vecgame/Game-v0").kwargs == {}


def test_gymnasiums_wrappers_take_it() -> None:
    tables = gymnasium.make_vec("vecgame/Kuhn-v0", num_envs=8, autoreset_mode=AutoresetMode.SAME_STEP)
    tables = gymnasium.wrappers.vector.RecordEpisodeStatistics(tables)
    observations, infos = tables.reset(seed=1)
    for _ in range(10):
        observations, rewards, over, _, infos = tables.step(choices(observations, infos))
        if over.any():
            assert np.array_equal(infos["episode"]["r"][over], rewards[over])
    assert len(tables.return_queue) > 20


def test_a_game_as_text_and_as_a_picture(capsys) -> None:
    game = Blob(cards=2)
    for seat in range(4):
        table = GameEnv(game, seat=seat, render_mode="ansi")
        table.reset(seed=1)
        assert table.render() == game.text(table.table.state, seat=seat)
    table = GameEnv(game, render_mode="human")
    _, info = table.reset(seed=1)
    assert table.render() is None and capsys.readouterr().out.count("to move") == 1
    table.step(info["action_mask"].argmax())
    assert capsys.readouterr().out.count("to move") == 1
    tables = GameVectorEnv(3, game, render_mode="svg")
    tables.reset(seed=1)
    assert [text[:4] for text in tables.render()] == 3 * ["<svg"]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"seat": 4}, "seat must be from 0 to 3, or 'random', got 4"),
        ({"seat": True}, "seat must be from 0 to 3, or 'random', got True"),
        ({"opponents": ["random"]}, "opponents must be one, or one for each of the 3 others, got 1"),
        ({"opponents": "rulez"}, "there is no opponent 'rulez'; the nearest is rules; there are "),
        ({"opponents": ""}, "there is no opponent ''; there are "),  # nor is it a run in the folder that one is in
        ({"opponents": "x" * 5000}, "there is no opponent 'xxx"),
        ({"game": "kuhn", "opponents": "rules"}, "the rule-based player knows blob, hearts, .*, not kuhn"),
        ({"opponents": 3}, "an opponent is a bot's name, a network's file or a player with `act`, not 3"),
        ({"game": "whisk"}, "there is no game 'whisk'"),
        ({"game": Blob(), "rules": {"cards": 3}}, "rules belong to a game's name; Blob.cards=5. has its own"),
        ({"rules": {"card": 3}}, "blob has no rule card"),
        ({"game": None}, "game must be a game, or the name or address of one, got None"),
        ({"render_mode": "rgb_array"}, "render_mode must be None or one of"),
        ({"device": "tpu"}, "device must be 'cpu', 'cuda' or 'cuda:N', got 'tpu'"),
    ],
)
@pytest.mark.parametrize("make", [GameEnv, GameVectorEnv])
def test_bad_arguments_get_one_clear_line(make, given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make(**given)
    assert "\n" not in str(error.value)


def test_bad_arguments_of_a_batch_get_one_clear_line() -> None:
    with pytest.raises(ValueError, match="the number of games must be a whole number of at least 1, got 0"):
        GameVectorEnv(0)
    with pytest.raises(ValueError, match="render_mode 'human' is for one game; of many take 'ansi'"):
        GameVectorEnv(render_mode="human")
    for table in (GameEnv(), GameVectorEnv()):
        with pytest.raises(ValueError, match="seed must be an integer from 0"):
            table.reset(seed=2**64)


def test_the_page_shows_code_that_runs(capsys) -> None:
    run_snippet("Gymnasium")
    assert capsys.readouterr().out.endswith("(512, 256) (512,)\n")


def test_the_example_learns(monkeypatch, capsys) -> None:
    """Kuhn poker's middle card and worst card are soon played better than at random."""
    run_example(monkeypatch, "gymnasium_actor_critic.py", "--env vecgame/Kuhn-v0 --opponents random --updates 8")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert float(last.split()[1]) > float(first.split()[2]) + 0.2


@pytest.mark.parametrize("env", ["vecgame/Game-v0", "CartPole-v1", "nothing"])
def test_the_example_names_the_games(env: str, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_example(monkeypatch, "gymnasium_actor_critic.py", f"--env {env}")
    error = capsys.readouterr().err
    assert error.startswith("error: --env must be one of vecgame/Blob-v0, ") and error.endswith(f"got {env!r}\n")

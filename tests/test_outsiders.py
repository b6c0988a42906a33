"""A player of one's own is taken by its address wherever a bot can be named, and is told from every other."""

import json
import os
import pickle
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from net import BlobNet, NetConfig
from tests.runs import changed, quiet
from tests.tables import run_without_agents as play
from vecgame import Blob, Game, identity, loading, make_game
from veclab.agents.checkpoint import load_network, save_network
from veclab.arena import evaluate, ladder
from veclab.arena.bots import FlatMonteCarlo, NetworkPlayer, RandomBot
from veclab.arena.matches import play_match
from veclab.arena.outsiders import is_address, own_player
from veclab.cli import call
from veclab.exploit.command import opponent_of
from veclab.play import open_match, parse
from veclab.table.agents import make_agent
from veclab.table.saving import load_match
from veclab.training.state import RunState

ROOT = Path(__file__).parents[1]
PLAYERS = """
import torch

class Highest:
    name = "mine"
    def act(self, game, state, seed):
        return game.legal_actions(state).max(-1).values

class Told(Highest):
    name = "told"
    act = None
    def act_after(self, game, state, past, seed):
        assert past.actions.shape[0] == state.batch_size
        return game.legal_actions(state)[:, 0]

class Closes(Told):
    name = "closes"
    def close(self):
        with open("closed", "a") as file:
            file.write("closed ")

class Choosy(Highest):
    def refuses(self, game):
        return None if game.name == "hearts" else "Hearts is all that I know"

class Cheat:
    name = "cheat"
    def act(self, game, state, seed):
        return torch.full_like(state.index, game.num_actions - 1)

class Fails:
    def act(self, game, state, seed):
        return int("no number")

class Odd(Highest):
    name = 7

class TwoLines(Highest):
    name = "two\\nlines"

class Needy(Highest):
    def __init__(self, worlds):
        self.worlds = worlds

class Exits(Highest):
    def __init__(self):
        raise SystemExit(3)

class Nobody:
    pass

class Untold(Highest):
    act_after = None

class Unnamed(Told):
    @property
    def name(self):
        raise AttributeError("none")

highest = Highest()
"""
FLAGS = ("--eval-deals=2", "--device=cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with `PLAYERS` in mine.py and another one with a player of the same name."""
    (tmp_path / "mine.py").write_text(PLAYERS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.py").write_text(PLAYERS.replace(".max(-1).values", "[:, 0]"))
    (tmp_path / "wrong.py").write_text("import no_such_thing\n")
    (tmp_path / "script.py").write_text(f"{PLAYERS}\nraise SystemExit('usage: script')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # another test's
    monkeypatch.setitem(evaluate.BOTS, "flat", lambda: FlatMonteCarlo(1))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("mine"):
            del sys.modules[name]


def network(game: Game, name: str = "network-000001.safetensors") -> str:
    torch.manual_seed(0)
    config = NetConfig(16, 1, 1, 16, game.features, game.num_actions, game.seats, 16, 16)
    save_network(Path(name), BlobNet(config), {"games": [identity(game)]})
    return name


def refused(main, arguments: list[str], capsys) -> str:
    """The one line that a command ends with."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_what_an_address_may_mean_is_what_a_file_defines(folder: Path) -> None:
    """Its classes, functions and objects; not what it imports, nor its numbers."""
    (folder / "mine_too.py").write_text(
        "from dataclasses import dataclass, replace\nimport torch\nimport vecgame\nfrom vecgame import Whist\n"
        "SEVEN, NAMES, TABLE = 7, ('a', 'b'), torch.arange(3)\n"
        "class Belote(Whist): pass\ndef score(won): return won\nGAME = Belote()\n"
    )
    (folder / "mine_empty.py").write_text("from vecgame import Whist\nSEVEN = 7\n")
    with pytest.raises(ValueError, match=r"^mine_too.py has no 'Belot'; the nearest is Belote; ") as caught:
        loading.load("mine_too.py:Belot")
    assert str(caught.value).endswith("there are Belote, score, GAME")
    with pytest.raises(ValueError, match=r"^mine_empty.py has no 'Belot'; there are Whist, SEVEN$"):
        loading.load("mine_empty.py:Belot")


def test_what_is_an_address(folder: Path) -> None:
    (folder / "run:one").mkdir()
    for name in ("mine.py:Highest", "/a b/mine.py:Highest", "mine:Highest", "a.b:C", "mine.py:", "mine.py"):
        assert is_address(name), name
    for name in ("random", "cmd:./bot", "cmd:x.py:Y", "cmd:x.py", "run:one", "runs/12:30", "a/b:c", "12:30", ":x", ""):
        assert not is_address(name), name


def test_a_class_is_made_and_an_object_taken_as_it_is(folder: Path) -> None:
    file = folder / "mine.py"
    assert own_player("mine.py:Highest").name == f"mine of {file}:Highest"
    assert own_player("mine:Highest").address == f"{file}:Highest"  # for in another folder that is another module
    made, again = own_player("mine.py:highest"), own_player(f"{file}:highest")
    assert made.player is again.player and made.name == again.name == f"mine of {file}:highest"
    assert own_player("mine.py:Unnamed").name == f"Unnamed of {file}:Unnamed"
    assert own_player("veclab.arena.bots:RandomBot").name == "random of veclab.arena.bots:RandomBot"
    told = own_player("mine.py:Told")
    assert hasattr(told, "act_after") and not hasattr(told, "act") and hasattr(made, "act")
    assert hasattr(own_player("mine.py:Untold"), "act") and not hasattr(own_player("mine.py:Untold"), "act_after")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("none.py:Highest", "none.py cannot be loaded: FileNotFoundError: there is no such file"),
        ("no_module:Highest", "no_module cannot be loaded: ModuleNotFoundError"),
        ("wrong.py:Highest", "wrong.py cannot be loaded: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("script.py:Highest", "script.py cannot be loaded: SystemExit: usage: script"),
        ("mine.py:Exits", "mine.py:Exits cannot be made without arguments: SystemExit: 3"),
        ("mine.py:Higest", "mine.py has no 'Higest'; the nearest is Highest"),
        ("mine.py:", "'mine.py:' is no FILE.py:NAME"),
        ("mine.py", "'mine.py' is no FILE.py:NAME or MODULE:NAME"),
        ("mine.py:torch", "mine.py:torch is no player: it has no method act or act_after"),
        ("mine.py:Nobody", "mine.py:Nobody is no player"),
        ("mine.py:Needy", "mine.py:Needy cannot be made without arguments: TypeError: "),
        ("mine.py:Odd", "mine.py:Odd: a player's name is text, not 7"),
        ("mine.py:TwoLines", r"'mine.py:TwoLines': a player's name has no control characters, unlike 'two\nlines of /"),
    ],
)
def test_what_is_no_player_is_one_line_in_every_command(address: str, said: str, monkeypatch, capsys) -> None:
    path = network(make_game("kuhn"))
    for main, arguments in (
        (evaluate.main, [path, "--opponents", address, *FLAGS]),
        (ladder.main, [path, address, *FLAGS]),
        (call, ["exploit", path, "--updates=1", "--device=cpu", "--opponents", address]),
    ):
        assert said in refused(main, arguments, capsys)
    status, output, error = play(monkeypatch, capsys, "", "--game", "kuhn", "--agent", address)
    assert status == 2 and said in error and error.count("\n") == 1 and output == ""


def test_unknown_names_tell_of_addresses(monkeypatch, capsys) -> None:
    path = network(make_game("kuhn"))
    error = refused(evaluate.main, [path, "--opponents", "highest", *FLAGS], capsys)
    assert (
        "no opponent 'highest'; there are random, rules, flat, solved, ismcts, cmd:COMMAND and FILE.py:CLASS" in error
    )
    assert "FILE.py:CLASS" in play(monkeypatch, capsys, "", "--agent", "no-such")[2]


def test_players_of_one_name_meet_one_network(folder: Path) -> None:
    """By an evaluation they play what they play from Python, and each is there once, whatever it is called."""
    game = Blob(cards=2)
    path, names = network(game), ["mine.py:Highest", "mine:Highest", "other/mine.py:Highest", "mine.py:Told"]
    flags = ["--players=alone", "--precision=float32", "--eval-deals=20", "--device=cpu", "--json=found.json"]
    assert evaluate.main([path, "--opponents", *names, *flags]) == 0
    stored = json.loads(Path("found.json").read_text())
    found = stored["results"]["network alone"]
    expected = {f"mine of {folder}/mine.py:Highest": "mine.py:Highest"}
    expected |= {f"mine of {folder}/other/mine.py:Highest": "other/mine.py:Highest"}
    expected |= {f"told of {folder}/mine.py:Told": "mine.py:Told"}
    assert list(found) == list(expected) and stored["complete"]
    for name, address in expected.items():
        played = play_match([game], NetworkPlayer(load_network(Path(path))), own_player(address).player, 20, seed=0)
        assert found[name]["lead"]["mean"] == pytest.approx(played.lead.mean)
    leads = {one["lead"]["mean"] for one in found.values()}
    assert len(leads) == 2  # the lowest action is what both the other file's and the one that is told take


def test_it_may_refuse_and_may_not_cheat(folder: Path, monkeypatch, capsys) -> None:
    """With a network for Blob, where the last action is a bid that few hands allow."""
    path, file = network(Blob(cards=2)), folder / "mine.py"
    choosy = f"mine of {file}:Choosy: Hearts is all that I know"
    cheat = f"cheat of {file}:Cheat in blob took action "
    evaluation = [path, "--players=alone", *FLAGS]
    assert choosy in refused(evaluate.main, [*evaluation, "--opponents", "mine.py:Choosy"], capsys)
    assert cheat in refused(evaluate.main, [*evaluation, "--opponents", "mine.py:Cheat"], capsys)
    assert choosy in refused(ladder.main, [path, "mine.py:Choosy", *FLAGS], capsys)
    assert cheat in refused(ladder.main, [path, "mine.py:Cheat", *FLAGS], capsys)
    with pytest.raises(ValueError, match="Hearts is all that I know"):
        opponent_of("mine.py:Choosy", None, "float32", [Blob(cards=2)])
    assert evaluate.main([*evaluation, "--opponents", "mine.py:Fails"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error in Fails of {file}:Fails: invalid literal for int()") and error.count("\n") == 1
    table = ("--watch", "--cards", "2", "--seed", "1", "--agent")
    status, output, error = play(monkeypatch, capsys, "", *table, "mine.py:Choosy")
    assert status == 2 and choosy in error and error.count("\n") == 1 and output == ""
    status, _, error = play(monkeypatch, capsys, "", *table, "mine.py:Cheat")
    assert status == 2 and cheat in error and error.count("\n") == 1
    assert "at decision 1 of a game, seat " in error and "which is not legal; legal there: " in error


def test_a_ladder_finds_its_players_again_from_another_folder(folder: Path, monkeypatch, capsys) -> None:
    flags = ["--game=kuhn", "--rules=players=3", f"--json={folder}/ladder.json", *FLAGS]
    assert ladder.main(["mine.py:Highest", "other/mine.py:Highest", "mine:Highest", *flags]) == 0
    stored = json.loads(Path("ladder.json").read_text())
    names = [f"mine of {folder}/{file}:Highest" for file in ("mine.py", "other/mine.py")]
    assert list(stored["agents"]) == ["random", "flat Monte Carlo", *names] and len(stored["ratings"]) == 4
    assert len({stored["agents"][name] for name in names}) == 2  # by their files
    assert len(stored["pairings"]) == 6
    monkeypatch.chdir(folder / "other")
    monkeypatch.setattr(ladder, "play_pairing", None)  # there is nothing to play
    assert ladder.main(["../mine.py:Highest", "mine.py:Highest", *flags]) == 0
    assert json.loads((folder / "ladder.json").read_text()) == stored
    with (folder / "mine.py").open("a") as file:
        file.write("# another version")
    assert f"called {names[0]}; name another --json" in refused(ladder.main, ["../mine.py:Highest", *flags], capsys)


def test_a_table_takes_it_and_a_saved_match_finds_it_from_another_folder(folder: Path, monkeypatch, capsys) -> None:
    table = ("--cards", "2", "--seed", "3", "--games", "1")
    status, output, error = play(monkeypatch, capsys, "q\n", *table, "--agent", "mine.py:Told", "--save", "match.json")
    assert (status, error) == (0, "") and f"against three agents (told of {folder}/mine.py:Told): Blob," in output
    path = folder / "match.json"
    assert load_match(path).settings.agent == f"{folder}/mine.py:Told"
    monkeypatch.chdir(folder / "other")
    status, output, error = play(monkeypatch, capsys, "h\n" + "1\n" * 9, "--resume", str(path))
    assert (status, error) == (0, "") and "Hint by random playouts" in output and load_match(path).over
    play(monkeypatch, capsys, "q\n", *table, "--agent", "mine.py:Highest", "--save", "here.json")
    status, _, error = play(monkeypatch, capsys, "", "--resume", "here.json", "--agent", "../mine.py:Highest")
    assert status == 0 and load_match(Path("here.json")).settings.agent == f"{folder}/mine.py:Highest"
    with ExitStack() as held:  # what a page looks into
        flags = ["--web", "--look", "here.json", "--agent", "mine.py:highest"]
        match, _ = open_match(*parse(flags), held)
    assert make_agent(match.settings).name == f"mine of {folder}/other/mine.py:highest"


@pytest.mark.parametrize("flag", ["--worlds=4", "--simulations=4", "--thinking=rollouts"])
def test_flags_of_a_networks_thinking_are_not_its(flag: str, folder: Path, monkeypatch, capsys) -> None:
    status, _, error = play(monkeypatch, capsys, "", "--agent", "mine.py:Told", flag)
    assert status == 2 and f"the agent {folder}/mine.py:Told" in error and "leave it out" in error


def test_an_environment_takes_it_and_another_process_finds_it(folder: Path) -> None:
    pytest.importorskip("gymnasium")
    from veclab.doors.gymnasium_vector import GameVectorEnv

    game, address = Blob(cards=2), "mine.py:Highest"
    tables = GameVectorEnv(4, game, seat=0, opponents=[address, "random", "other/mine.py:Highest"])
    names = [f"mine of {folder}/mine.py:Highest", "random", f"mine of {folder}/other/mine.py:Highest"]
    assert [player.name for player in tables.table.players] == names
    tables.reset(seed=1)
    state = game.deal(4, seed=1)
    by_seat = (None, own_player(address), RandomBot(), own_player("other/mine.py:Highest"))
    while not (mine := game.mover(state) == 0).all():  # the own seat's first decision, played without the environment
        moves = torch.zeros_like(state.index)
        for seat, player in enumerate(by_seat):
            if player is not None:
                moves = torch.where(game.mover(state) == seat, player.act(game, state, 1), moves)
        state = state.where(mine, game.step(state, moves))
    assert tables.table.state == state
    (folder / "players").write_bytes(pickle.dumps(tables.table.players))
    code = "import pickle; print([one.name for one in pickle.load(open('../players', 'rb'))])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder / "other", env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == str(names), done.stderr
    with pytest.raises(ValueError, match="Hearts is all that I know"):
        GameVectorEnv(4, game, opponents="mine.py:Choosy")
    with pytest.raises(ValueError, match=r"cmd:COMMAND, FILE\.py:CLASS, and networks"):
        GameVectorEnv(4, game, opponents="highest")


@pytest.mark.slow
def test_evaluations_of_a_run_play_it_from_any_folder(folder: Path, monkeypatch, capsys) -> None:
    """Beside the run, in a process of its own, and at its end, whose results are those of another file no more once it
    is changed."""
    flags = "--run=run --network=small --cards=2 --games-per-iter=4 --iterations=2 --epochs=1 --worlds=1 --updates=1 "
    flags += "--update-games=4 --simulations=2 --batch-size=32 --eval-deals=2 --eval-every=1 --device=cpu"
    asked = ["--eval-opponents", "mine.py:Told, random"]
    assert "mine of" in refused(call, ["train", *flags.split(), "--eval-opponents=mine.py:Choosy"], capsys)
    assert "there is no bot 'highest'; there are random, rules, flat, solved and FILE.py:CLASS" in refused(
        call, ["train", *flags.split(), "--eval-opponents=highest"], capsys
    )
    assert call(["train", *flags.split(), *asked]) == 0
    names = ["random", f"told of {folder}/mine.py:Told"]
    metrics = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    found = {entry["kind"]: entry["results"] for entry in metrics if "evaluation" in entry["kind"]}
    assert all(list(row)[:2] == names for results in found.values() for row in results.values())
    assert list(found) == ["evaluation", "final evaluation"]
    monkeypatch.chdir(folder / "other")
    capsys.readouterr()
    assert call(["train", "--resume=../run"]) == 0
    assert "finished before" in capsys.readouterr().out
    with (folder / "mine.py").open("a") as file:
        file.write("# another version")
    assert call(["train", "--resume=../run"]) == 0
    assert "finished before" not in capsys.readouterr().out


def test_a_run_keeps_a_players_address_in_full_and_the_file_that_it_has_loaded(folder: Path, monkeypatch) -> None:
    """Whatever the folder is called that it lies in, and whatever becomes of the file meanwhile."""
    (folder / "a,b").mkdir()
    (folder / "a,b" / "mine_too.py").write_text(PLAYERS)
    monkeypatch.chdir(folder / "a,b")
    asked = "mine_too:Told,mine_too.py:Highest, random"
    run = RunState(folder / "run", changed(eval_opponents=asked), quiet())
    names = ["random", *(f"{folder}/a,b/mine_too.py:{name}" for name in ("Told", "Highest"))]
    assert run.settings.eval_opponents == ",".join(names) == replace(run.settings).eval_opponents
    monkeypatch.chdir(folder / "other")
    assert evaluate.bots_of(run.games, run.settings.eval_opponents) == names
    loaded = own_player(names[1]).digest()
    (folder / "a,b" / "mine_too.py").write_text(PLAYERS + "# another version")
    assert run.players == dict.fromkeys(names[1:], loaded) and own_player(names[1]).digest() != loaded


def test_it_is_exploited(folder: Path) -> None:
    """In Kuhn's poker, by a player of its own file."""
    agent = network(make_game("kuhn"), "agent.safetensors")
    flags = "--updates=1 --update-games=32 --update-batch=32 --curve-deals=8 --deals=8 --every=1 --critic-updates=0"
    flags = [*flags.split()[:-1], "--seed=1", "--device=cpu", "--quiet", "--json=gain.json"]
    assert call(["exploit", agent, "--opponents", "mine.py:Told", *flags]) == 0
    written = json.loads(Path("gain.json").read_text())
    assert written["complete"] and written["environment"]["terms"]["opponents"] == f"{folder}/mine.py:Told"


COMMANDS = {
    "evaluate": "AGENT --opponents mine.py:Closes --players alone --eval-deals=2",
    "ladder": "mine.py:Closes --game kuhn --json ladder.json --eval-deals=2",
    "exploit": "AGENT --opponents mine.py:Closes --updates=1 --update-games=32 --update-batch=32 --deals=8 "
    "--curve-deals=8 --every=1 --critic-updates=0",
    "play": "--game kuhn --watch --plain --delay 0 --seed 1 --agent mine.py:Closes",
    "train": "--game kuhn --run run --network small --learner policy-gradient --updates 1 --update-games 32 "
    "--update-batch 32 --eval-every 0 --eval-deals 2 --eval-opponents mine.py:Closes --device cpu",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_it_has_open_is_closed_once_it_has_played(command: str, folder: Path, capsys) -> None:
    agent = network(make_game("kuhn"), "agent.safetensors")
    words = [agent if word == "AGENT" else word for word in COMMANDS[command].split()]
    assert call([command, *words]) == 0, capsys.readouterr()
    assert (folder / "closed").read_text() == "closed "

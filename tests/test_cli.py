"""The command `vecgame`: it finds its commands, says what is wrong in one line, and loads PyTorch only when it must."""

import ast
import importlib
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import vecgame
from vecgame import GAMES, default_rules
from veclab import cli, games
from veclab.command_line import called, fitted
from veclab.game_flags import read_rules

ROOT = Path(__file__).parents[1]


def test_every_command_has_a_main_function() -> None:
    for command in cli.COMMANDS.values():
        assert callable(importlib.import_module(command.module).main)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("trian", "there is no command trian; the nearest is train ("),
        ("best_response", "the nearest is best-response ("),
        ("xyzzy", "there are train, play, evaluate, "),
        ("--versoin", "there is no command --versoin"),
    ],
)
def test_an_unknown_command_is_one_line(command: str, message: str, capsys) -> None:
    assert cli.call([command, "--help"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and message in shown.err and shown.err.count("\n") == 1


def test_help_and_version(capsys) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert cli.call(arguments) == 0
        shown = capsys.readouterr().out
        assert all(f"\n  {name} " in shown for name in cli.COMMANDS)
    assert cli.call(["--version"]) == 0
    assert capsys.readouterr().out == f"vecgame {vecgame.__version__}\n"


def test_the_flags_are_the_commands(capsys) -> None:
    """They get what follows, and what they return is the exit status."""
    assert cli.call(["train", "--cards", "99"]) == 2
    assert "cards" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        cli.call(["evaluate", "--nonsense"])
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("module", ["veclab", "veclab.cli"])
def test_a_module_is_run_as_the_command(module: str) -> None:
    run = [sys.executable, "-m", module, "trian"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: there is no command trian; the nearest is train")


@pytest.mark.parametrize("arguments", [["--help"], ["trian"]])
def test_pytorch_is_not_loaded_in_vain(arguments: list[str]) -> None:
    code = f"import sys; from veclab.cli import call; call({arguments}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.slow
def test_threads_are_bounded_before_pytorch_is_loaded(monkeypatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    code = """import os
from veclab.cli import main
try:
    main('--version')
finally:
    print(os.environ['GOMP_SPINCOUNT'])"""
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert shown.splitlines()[-1] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")  # the user's own stays
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert shown.splitlines()[-1] == "7"


def test_streams_that_are_closed_lead_nowhere() -> None:
    """As by `>&-` in a shell: what a command has done is no failure over it."""
    code = "import sys; sys.argv = ['vecgame', '--help']; from veclab.cli import main; main()"
    for closed in (">&-", "<&- >&- 2>&-"):
        command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["train", "bench", "play"])
@pytest.mark.slow
def test_a_script_of_a_clone_is_its_command(name: str) -> None:
    """The script holds nothing but the call, and its help says how to call it again."""
    tree = ast.parse((ROOT / f"{name}.py").read_text())
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) for node in ast.walk(tree))
    shown = subprocess.run([sys.executable, f"{name}.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stdout.startswith(f"usage: python {name}.py ")
    assert f"\npython {name}.py --" in shown.stdout or f"\npython {name}.py engine" in shown.stdout
    assert f"vecgame {name} " not in shown.stdout


def test_how_a_command_is_called_again(monkeypatch) -> None:
    for script, command in [
        ("train.py", "python train.py"),
        ("../clone/train.py", "python ../clone/train.py"),
        ("/usr/bin/vecgame", "vecgame train"),
        ("bench.py", "vecgame train"),
    ]:
        monkeypatch.setattr(sys, "argv", [script])
        assert called("train") == command


def test_the_games_and_their_rules(capsys) -> None:
    """Every rule stands there in the form that --rules takes, with its default."""
    assert games.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [number for number, line in enumerate(lines) if not line.startswith(" ")]
    assert [lines[number].partition(":")[0] for number in heads] == list(GAMES)
    for start, stop in zip(heads, [*heads[1:], None], strict=True):
        known = default_rules(lines[start].partition(":")[0])
        assert read_rules(",".join(line.strip() for line in lines[start + 1 : stop]), known) == known
    assert games.main(["whist"]) == 0
    assert capsys.readouterr().out.startswith("whist: 4 players, 52 decisions\n  cards=13\n")
    assert games.main(["whisk"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no game 'whisk'; ")


@pytest.mark.parametrize("columns", [60, 80])
def test_help_fits_into_a_narrow_terminal(columns: int, monkeypatch, capsys) -> None:
    """But for what is to be copied, a command of several words, and the usage of what has a long name."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in [None, "play", "ladder", "evaluate", "report", "bench"]:
        with suppress(SystemExit):
            cli.call(["--help"] if name is None else [name, "--help"])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 5 and max(map(len, lines)) <= columns, name


@pytest.mark.parametrize("columns", [1, 8])
def test_help_is_had_in_a_terminal_too_narrow_for_it(columns: int, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.call(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in cli.COMMANDS) and max(map(len, told.splitlines())) <= 60


def test_what_is_too_wide_is_broken_between_words() -> None:
    prose, first = "What it does,\nin two lines.\n\n", "vecgame x     does this\n              and that\n\n"
    text = f"{prose}{first}vecgame y     does very much more than that"
    assert fitted(text, 43) == text
    assert fitted(text, 42).splitlines() == [
        "What it does, in two lines.",
        "",
        "vecgame x     does this and that",
        "",
        "vecgame y     does very much more than",
        "              that",
    ]
    assert fitted("vecgame x     does this and that and more", 38) == (
        "vecgame x     does this and that and\n              more"
    )
    assert fitted("vecgame x --with many --flags yes     does it", 38) == (
        "vecgame x --with many --flags yes\n    does it"
    )
    assert (
        fitted("a paragraph that is\nlonger than twenty columns", 20)
        == "a paragraph that is\nlonger than twenty\ncolumns"
    )

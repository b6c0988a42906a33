"""The wheel: it holds four packages and the agents, and in an environment without the clone every command runs."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

import vecgame
from veclab.cli import COMMANDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("vecgame", "vecmcts", "net", "veclab")
# A deck small enough for an exact best response, and as little of everything else as there can be.
RUN = (
    "--cards 1 --suits 2 --ranks 2 --network small --updates 1 --update-games 16 --iterations 2 "
    "--games-per-iter 8 --worlds 1 --simulations 2 --batch-size 8 --eval-every 1 --eval-deals 2 --device cpu --run run"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, as a build in the clone would take up what earlier ones have left there."""
    folder = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "train.py", "bench.py", "play.py"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(folder))
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory) -> Path:
    """An environment with the wheel; what it needs is taken from this one, but not this one's own vecgame.

    A path in a .pth file is searched for packages, and .pth files in it, such as that of an editable install, are not
    followed.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    needed = ("torch", "numpy", "einops", "rich", "safetensors", "onnx", "onnxruntime", "starlette", "uvicorn")
    found = [spec.origin for spec in map(importlib.util.find_spec, needed) if spec is not None]
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text("".join(f"{path}\n" for path in {Path(name).parents[1] for name in found}))
    pip("--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    return folder


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_four_names_at_the_top_and_the_agents_below(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    own = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in own} == set(PACKAGES)
    ours = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert {name for name in own if name.endswith(".py")} == ours
    kept = [path for path in (ROOT / "veclab" / "agents").rglob("*.*") if path.suffix not in (".py", ".pyc")]
    agents = {str(path.relative_to(ROOT)) for path in kept}
    page = {f"veclab/web/page/{path.name}" for path in (ROOT / "veclab" / "web" / "page").iterdir()}
    assert agents | page == own - ours


def page_is_served(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """The process prints an address, its page, style sheet and script come from there, and Ctrl+C ends it."""
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True)
    try:
        line = process.stdout.readline()
        match = re.match(r"http://127\.0\.0\.1:\d+", line)
        assert match, line + process.stderr.read()
        for path, words in (
            ("/", "<title>vecgame</title>"),
            ("/table.css", "prefers-color-scheme"),
            ("/table.js", "watch();"),
        ):
            with urllib.request.urlopen(match[0] + path, timeout=60) as answer:
                assert words in answer.read().decode()
        with urllib.request.urlopen(match[0] + "/table", timeout=60) as answer:
            assert json.load(answer)["heading"].startswith("Game 1 of ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.communicate()


@pytest.mark.long
def test_every_command_runs_from_another_folder(home: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment["OMP_NUM_THREADS"] = "1"
    tried = set()

    def call(line: str, typed: str = "", status: int = 0) -> str:
        tried.add(line.split()[0])
        command = [str(home / "bin" / "vecgame"), *line.split()]
        done = subprocess.run(command, cwd=tmp_path, env=environment, input=typed, capture_output=True, text=True)
        assert done.returncode == status, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr

    code = "import net, vecgame, vecmcts, veclab; print(*(m.__file__ for m in (net, vecgame, vecmcts, veclab)))"
    python = [str(home / "bin" / "python"), "-c", code]
    files = subprocess.run(python, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert all(Path(file).is_relative_to(home) for file in files.split())

    assert call("--version") == f"vecgame {vecgame.__version__}\n"
    assert "there is no command trian; the nearest is train " in call("trian", status=2)
    assert call("games whist").startswith("whist: 4 players, ")
    assert "keeps the contract" in call("contract kuhn")
    assert "best response gains" in " ".join(call("solve kuhn").split())

    shown = call(f"train {RUN}")
    assert "evaluation of iteration 1, search 1x2: " in shown  # by another process, which finds the package too
    assert f"the network: {Path('run') / 'network-000002.safetensors'}" in shown
    call("train --resume run --iterations 3")
    shown = call("train --resume run --cards 5", status=2)
    assert shown.startswith("error: ") and shown.count("\n") == 1

    call("evaluate run --eval-deals 2 --worlds 1 --simulations 2 --opponents rules random --json evaluation.json")
    assert set(json.loads((tmp_path / "evaluation.json").read_text())["results"]) == {"network alone", "search 1x2"}
    call("ladder run --eval-deals 2")
    assert "run/network-000003" in json.loads((tmp_path / "run" / "ladder.json").read_text())["ratings"]
    assert "run/network-000003" in call("best-response run --most 1")
    assert "exploit" in call("exploit run --updates 1 --update-games 16 --deals 4 --curve-deals 4 --device cpu")
    if importlib.util.find_spec("matplotlib") is None:
        assert "pip install 'vecgame[plot]'" in call("report run --games 16", status=2)
    else:
        call("report run --games 16")
        assert (tmp_path / "run" / "report.html").read_text().startswith("<!DOCTYPE html>")

    if importlib.util.find_spec("onnx") is None:
        assert "pip install 'vecgame[onnx]'" in call("export run --onnx agent.onnx", status=2)
    else:
        assert "network-000003.safetensors -> agent.onnx" in call("export run --onnx agent.onnx")

    small = "--plain --cards 1 --seed 1 --worlds 1 --simulations 2"
    shown = call(f"play {small} --save match.json", "0\nq\n")
    assert "(blob-4-players, search 1x2)" in shown and "You bid 0." in shown  # an agent that came with the wheel
    assert shown.endswith("go on by vecgame play --resume match.json\n")
    assert "Your bid" not in call("play --plain --resume match.json", "q\n")  # it has been made
    assert "(network-000003, " in call(f"play {small} --watch --games 1 --agent run --delay 0")

    if importlib.util.find_spec("starlette") is None:
        assert "is not installed: pip install " in call("play --web --agent random", status=2)
    else:
        own = "play --web --cards 1 --seed 1 --agent random"
        page_is_served([str(home / "bin" / "vecgame"), *own.split()], tmp_path, environment)

    call("bench engine --quick --repeats 1 --device cpu --json bench.json")
    assert json.loads((tmp_path / "bench.json").read_text())["figures"]
    assert tried == {*COMMANDS, "--version", "trian"}

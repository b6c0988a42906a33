"""A user's own game in a folder of their own, from an installed wheel: trained, and taken by every command."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.every_game import write_tutorials
from tests.test_wheel import home, wheel  # noqa: F401 - fixtures
from veclab.agents.folder import read_config

pytestmark = pytest.mark.slow

RUN = (
    "--game polignac.py:Polignac --rules polignac=3 --network small --updates 1 --update-games 16 "
    "--iterations 2 --games-per-iter 4 --worlds 1 --simulations 2 --batch-size 8 --eval-every 1 --eval-deals 2 "
    "--device cpu"
)


class Shell:
    """Commands of the installed program in a folder, in which nothing else of vecgame can be found."""

    def __init__(self, home: Path, folder: Path) -> None:  # noqa: F811
        self.home, self.folder = home, folder
        hidden = ("PYTHONPATH", "PYTHONHOME")
        self.environment = {name: value for name, value in os.environ.items() if name not in hidden}
        self.environment |= {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}

    def __call__(self, line: str, typed: str = "", status: int = 0, program: str = "vecgame") -> str:
        command = [str(self.home / "bin" / program), *line.split()]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, input=typed, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == status, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Shell:  # noqa: F811
    write_tutorials(tmp_path)
    return Shell(home, tmp_path)


def test_a_game_of_ones_own_goes_through_every_command(shell: Shell, tmp_path: Path) -> None:
    shown = shell(f"train {RUN} --run run")
    assert "polignac, polignac=3, 1 update of policy gradient and 2 iterations of search, " in shown
    assert "evaluation of iteration 1, search 1x2: " in shown  # by a process beside it, which finds the game too
    kept = read_config(tmp_path / "run")
    assert kept["game"] == f"{tmp_path / 'polignac.py'}:Polignac" and kept["rules"] == "polignac=3"

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shell.folder = elsewhere
    assert "network-000003" in shell("train --resume ../run --iterations 3")
    shell("evaluate ../run --eval-deals 2 --worlds 1 --simulations 2 --opponents random --json evaluation.json")
    told = [{"game": kept["game"], "rules": {"polignac": 3}}]
    assert json.loads((elsewhere / "evaluation.json").read_text())["games"] == told
    shell("ladder ../run --eval-deals 2")
    assert json.loads((tmp_path / "run" / "ladder.json").read_text())["terms"]["games"] == told
    shell("report ../run --games 4")
    assert "polignac=3" in (tmp_path / "run" / "report.html").read_text()
    shown = shell("best-response ../run", status=2)
    assert "too large" in shown and shown.count("\n") == 1
    if importlib.util.find_spec("onnx") is not None:
        assert "agent.onnx" in shell("export ../run --onnx agent.onnx")
    shown = shell("play --agent ../run --plain --seed 1 --worlds 1 --simulations 2 --save match.json", "h\n1\nq\n")
    assert "polignac=3" in shown
    shell("play --resume match.json --plain", "q\n")
    shell(f"bench engine --game {tmp_path / 'polignac.py'} --quick --repeats 1 --batches 4 --device cpu")

    (tmp_path / "polignac.py").rename(elsewhere / "mine.py")
    shown = shell("evaluate ../run --eval-deals 2", status=2)
    assert "polignac.py cannot be loaded" in shown and shown.count("\n") == 1
    shell("evaluate ../run --eval-deals 2 --players alone --opponents random --game mine.py:Polignac")


def test_processes_of_torchrun_share_a_game_of_ones_own(shell: Shell, tmp_path: Path) -> None:
    train = "-m torch.distributed.run --standalone --nproc-per-node=2 -m veclab train"
    shown = shell(f"{train} {RUN} --run-folder shared", program="python")
    assert "polignac, polignac=3, 1 update of policy gradient and 2 iterations of search, " in shown
    assert (tmp_path / "shared" / "network-000002.safetensors").is_file()

"""How every command, module and example ends: in one line, with its status, and with no process left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runs import TINY, flags_of
from veclab.command_line import STOPPED

ROOT = Path(__file__).parents[1]
AGENT = str(ROOT / "veclab" / "agents" / "blob-1-13.safetensors")
SECONDS = 5.0  # that a command may take to end
WORKING = 15.0  # seconds after which it is at work
LONG = ["--eval-deals", "20000", "--device", "cpu"]
EXACT = ["--cards", "2", "--suits", "2", "--ranks", "4"]

# What takes minutes, of each command, module and example.
WORK = {
    "train": ["-m", "veclab", "train", "--run", "run", "--learner", "policy-gradient", "--device", "cpu"],
    "play": ["-m", "veclab", "play", "--watch", "--plain", "--delay", "0"],
    "evaluate": ["-m", "veclab", "evaluate", AGENT, *LONG],
    "evaluate.py": ["-m", "veclab.arena.evaluate", AGENT, *LONG],
    "ladder": ["-m", "veclab", "ladder", AGENT, "--json", "ladder.json", *LONG],
    "best-response": ["-m", "veclab", "best-response", AGENT, *EXACT],
    "exploit": ["-m", "veclab", "exploit", AGENT, "--cards", "5"],
    "report": ["-m", "veclab", "report", "run", "--games", "1000000"],
    "bench": ["-m", "veclab", "bench", "--device", "cpu"],
    "bench strategies": ["-m", "veclab", "bench", "strategies", "--device", "cpu"],
    "bench engine": ["-m", "veclab", "bench", "engine", "--device", "cpu"],
    "bench net": ["-m", "veclab", "bench", "net", "--device", "cpu"],
    "bench search": ["-m", "veclab", "bench", "search", "--device", "cpu"],
    "bench train": ["-m", "veclab", "bench", "train", "--device", "cpu"],
    "bench agreement": ["-m", "veclab", "bench", "agreement", "--weights", AGENT, "--device", "cpu"],
    "bench sweep": ["-m", "veclab", "bench", "sweep", "--device", "cpu"],
    "ablation": ["-m", "veclab.bench.ablation", AGENT],
    "exact": ["-m", "veclab.bench.exact"],
    "searches": ["-m", "veclab.bench.searches", AGENT],
    "rule_players": ["-m", "veclab.bench.rule_players"],
    "gpu_all": ["-m", "veclab.bench.gpu_all", "results", "--smoke"],
    "strategy_fusion": [str(ROOT / "examples" / "strategy_fusion.py")],
    "gymnasium": [str(ROOT / "examples" / "gymnasium_actor_critic.py"), "--updates", "100000"],
    "pettingzoo": [str(ROOT / "examples" / "pettingzoo_agents.py"), "--games", "100000"],
    "torchrl": [str(ROOT / "examples" / "torchrl_ppo.py"), "--updates", "100000"],
    "openspiel": [str(ROOT / "examples" / "openspiel_cfr.py"), "--ranks", "4"],
}
NEEDS = {"gymnasium": "gymnasium", "pettingzoo": "pettingzoo", "torchrl": "torchrl", "openspiel": "pyspiel"}
NEEDS |= {"strategy_fusion": "matplotlib"}


def start(arguments: list[str], folder: Path, **options: object) -> subprocess.Popen:
    """A Python process in a session of its own, so that a signal to its group is a terminal's Ctrl+C."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    both["preexec_fn"] = lambda: signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # a shell's job in the background has none
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, text=True, env=environment, start_new_session=True, **both
    )


def stop(process: subprocess.Popen) -> tuple[int, str, float]:
    """Ctrl+C at the terminal of a process: its status, what it says on stderr, and how long it takes."""
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        took = time.monotonic() - begun
        left = processes_of(process.pid)
        if left:
            os.killpg(process.pid, signal.SIGKILL)
    assert not left, "processes are left"
    return process.returncode, error, took


def processes_of(group: int) -> list[int]:
    """Processes of a group that are alive."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = status.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize("name", WORK)
def test_ctrl_c(name: str, tmp_path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name == "report":
        short = start(["-m", "veclab", "train", *flags_of(TINY), "--run", "run"], tmp_path)
        assert short.wait(120) == 0
    process = start(WORK[name], tmp_path, stdin=subprocess.DEVNULL)
    time.sleep(WORKING)
    assert process.poll() is None, process.communicate()
    status, error, took = stop(process)
    assert status == STOPPED and "Traceback" not in error, error
    said = error.splitlines()
    assert len(said) <= 1 and (said or name == "train" or name == "gpu_all"), error
    assert took < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_ctrl_c_while_modules_load(name: str, tmp_path) -> None:
    process = start(WORK[name], tmp_path, stdin=subprocess.DEVNULL)
    time.sleep(0.6)
    status, error, took = stop(process)
    assert (status, error) == (STOPPED, "stopped\n") and took < SECONDS

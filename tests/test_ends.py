"""How every command, module and example ends: in one line, with its status, and with no process left."""

import codecs
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.runs import TINY, flags_of
from veclab import cli, command_line, export
from veclab.arena import best_response, evaluate, ladder
from veclab.bench import ablation, exact, rule_players, searches
from veclab.bench import command as bench
from veclab.command_line import (
    NO_MEMORY,
    NO_READER,
    STOPPED,
    WRONG,
    NoRunError,
    check_folder,
    ends_in_one_line,
    run_or_network,
)
from veclab.exploit import command as exploit
from veclab.files import controls
from veclab.progress import Output, print_table
from veclab.report import page
from veclab.training import distributed

ROOT = Path(__file__).parents[1]
AGENT = str(ROOT / "veclab" / "agents" / "blob-4-players.safetensors")
SECONDS = 10.0  # that a command may take to end: less than 5 where it has a core, twice that beside other tests
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
    "solve": ["-m", "veclab", "solve", "blob", "--rules", "players=3,suits=2,ranks=5", "--cards", "2"],
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
    "values": ["-m", "veclab.bench.values", AGENT, "--cards", "9"],
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
        deadline = time.monotonic() + 2  # multiprocessing has a helper that ends when it finds its parent gone
        while (left := processes_of(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
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
@pytest.mark.sampled
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
@pytest.mark.sampled
@pytest.mark.parametrize("name", WORK)
def test_ctrl_c_while_modules_load(name: str, tmp_path) -> None:
    process = start(WORK[name], tmp_path, stdin=subprocess.DEVNULL)
    time.sleep(0.6)
    status, error, took = stop(process)
    assert (status, error) == (STOPPED, "stopped\n") and took < SECONDS


# -- without a process ------------------------------------------------------------------------------------------------


def failing(error: BaseException) -> int:
    """The status of a command that ends by this."""

    @ends_in_one_line(needs_less="a smaller --games", package="peers")
    def main() -> None:
        raise error

    return main()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("--games must be at least 1, got 0"), WRONG, "error: --games must be at least 1, got 0"),
        (OSError(28, "No space left on device"), WRONG, "error: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), STOPPED, "stopped"),
        (KeyboardInterrupt("stopped after 1 row"), STOPPED, "stopped after 1 row"),
        (BrokenPipeError(32, "Broken pipe"), NO_READER, "stopped, for nobody reads the output any more"),
        (
            BrokenPipeError("the run is saved"),
            NO_READER,
            "stopped, for nobody reads the output any more; the run is saved",
        ),
        (
            ModuleNotFoundError("No module named 'jax'", name="jax"),
            WRONG,
            "error: jax is not installed: pip install 'vecgame[peers]'",
        ),
        (
            RuntimeError("[enforce fail at x] can't allocate memory: you tried to allocate 4294967296 bytes. Error"),
            NO_MEMORY,
            "error: out of memory: 4.00 GiB more could not be had; a smaller --games needs less",
        ),
        (MemoryError(), NO_MEMORY, "error: out of memory: no more could be had; a smaller --games needs less"),
    ],
)
def test_what_ends_a_command(error: BaseException, status: int, said: str, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command_line, "_stop_writing", lambda: None)
    assert failing(error) == status
    assert capsys.readouterr() == ("", f"{said}\n")


def test_what_is_a_fault_of_ours_stays_a_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        failing(RuntimeError("shapes cannot be multiplied"))


def test_ascii_terminals_show_something_of_everything() -> None:
    codecs.register_error("plain", command_line._in_plain_characters)
    assert "2.50 ± 0.28 · ┏━┳│ é ♥ …".encode("ascii", "plain") == b"2.50 +- 0.28 . +-+| e ? ..."
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "plain")


NAMED = "run\x1b[2J\u202e"  # a name that clears the screen, and has what follows read from right to left


def test_no_name_controls_the_terminal(capsys) -> None:
    assert failing(ValueError(f"{NAMED} holds no run")) == WRONG
    assert cli.call([NAMED]) == WRONG
    with pytest.raises(SystemExit):
        evaluate.main([AGENT, f"--{NAMED}"])
    console = Output(width=100)
    console.print(f"{NAMED}: Blob\nand more")
    print_table(console, NAMED, ["name", "points"], [[NAMED, "1"]])
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 3 and shown.err.count(r"run\x1b[2J\u202e") == 3
    assert shown.out.count(r"run\x1b[2J\u202e") == 3 and "Blob\nand more" in shown.out
    assert not controls((shown.out + shown.err).replace("\n", ""))


def test_the_newest_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoRunError, match="there is none"):
        run_or_network("newest")
    for number, name in enumerate(("b", "a")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").touch()
        os.utime(tmp_path / "runs" / name / "config.json", (number, number))
    (tmp_path / "runs" / "none").mkdir()
    assert run_or_network("newest") == Path("runs/a") and run_or_network("runs/b") == Path("runs/b")
    (tmp_path / "newest").mkdir()
    assert run_or_network("newest") == Path("newest")
    with pytest.raises(NoRunError, match="an empty name is no run's"):  # nor is it the folder that one is in
        run_or_network("")


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (evaluate.main, [AGENT, "--json"]),
        (ladder.main, [AGENT, "--json"]),
        (best_response.main, [AGENT, "--json"]),
        (exploit.main, [AGENT, "--json"]),
        (export.main, [AGENT, "--onnx"]),
        (page.main, ["run", "--out"]),
        (bench.main, ["engine", "--json"]),
        (ablation.main, [AGENT, "--json"]),
        (exact.main, ["--json"]),
        (searches.main, [AGENT, "--json"]),
        (rule_players.main, ["--json"]),
    ],
)
def test_a_file_that_cannot_be_written_is_said_before_any_work(main, arguments: list[str], tmp_path, capsys) -> None:
    for path, said in ((tmp_path / "none" / "file", "there is no folder"), (tmp_path, "is a folder")):
        assert main([*arguments, str(path)]) == WRONG
        shown = capsys.readouterr()
        assert said in shown.err and shown.err.count("\n") == 1


@pytest.mark.parametrize(("main", "arguments"), [(bench.main, ["engine", "--plot"]), (exploit.main, [AGENT, "--plot"])])
def test_a_folder_that_cannot_be_made_is_said_before_any_work(main, arguments: list[str], tmp_path, capsys) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "plots"):
        assert main([*arguments, str(path)]) == WRONG
        shown = capsys.readouterr()
        assert f"{tmp_path / 'file'} is a file; name a folder" in shown.err and shown.err.count("\n") == 1
    check_folder("--plot", tmp_path / "none" / "plots")
    check_folder("--plot", None)


@pytest.mark.parametrize(
    ("part", "module", "extras"), [([], "mctx", "[peers]"), (["learn"], "torchrl", "[peers,doors]")]
)
def test_a_package_that_is_missing_is_said_before_any_row(
    part: list[str], module: str, extras: str, monkeypatch, capsys
) -> None:
    for name in ("pyspiel", "mctx", "torchrl"):
        monkeypatch.setitem(sys.modules, name, sys)
    monkeypatch.setitem(sys.modules, module, None)
    assert bench.main(["peers", *part, "--device", "cpu"]) == WRONG
    shown = capsys.readouterr()
    assert extras in shown.err and shown.err.count("\n") == 1 and "games/s" not in shown.out


def test_a_stopped_evaluation_keeps_its_rows(tmp_path, monkeypatch, capsys) -> None:
    play, path = evaluate.play_match, tmp_path / "strength.json"

    def play_one(games, player, opponent, *rest):
        if opponent.name == "rule-based":
            raise KeyboardInterrupt
        return play(games, player, opponent, *rest)

    monkeypatch.setattr(evaluate, "play_match", play_one)
    flags = ["--players", "alone", "--cards", "1", "--eval-deals", "2", "--device", "cpu", "--json", str(path)]
    assert evaluate.main([AGENT, *flags]) == STOPPED
    shown = capsys.readouterr()
    assert shown.err == f"stopped after 1 pairing, kept in {path} as incomplete\n"
    assert "against 3 x random" in shown.out
    stored = json.loads(path.read_text())
    assert not stored["complete"] and list(stored["results"]["network alone"]) == ["random"]


# -- pipes, paths and systems -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_that_nobody_reads_is_saved(tmp_path) -> None:
    process = start(["-m", "veclab", "train", *flags_of(TINY), "--run", "run", "--verbose"], tmp_path)
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(120) == NO_READER
    assert error.startswith("stopped, for nobody reads the output any more; ") and error.count("\n") == 1
    assert "Go on with: vecgame train --resume run" in error
    again = start(["-m", "veclab", "train", "--resume", "run"], tmp_path)
    again.communicate()
    assert again.returncode == 0


@pytest.mark.slow
def test_a_training_of_which_only_the_first_line_is_read_is_saved(tmp_path) -> None:
    """The second line is of the curves, whose files may fail."""
    flags = [*flags_of(TINY), "--run", "run", "--tensorboard"]
    process = start(["-m", "veclab", "train", *flags], tmp_path)
    assert process.stdout.readline().startswith("run: Blob")
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(120) == NO_READER and "Go on with: vecgame train --resume run" in error, error


@pytest.mark.slow
def test_a_path_that_is_no_utf_8_is_refused(tmp_path) -> None:
    process = start(["-m", "veclab", "train", "--run", os.fsdecode(b"r\xff")], tmp_path)
    _, error = process.communicate()
    assert process.returncode == WRONG and error.count("\n") == 1 and "is no UTF-8" in error


def test_windows_is_refused(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit, match="2"):
        command_line.begin()
    assert capsys.readouterr().err == (
        "error: vecgame runs on Linux and macOS; on Windows, run it within WSL (wsl --install)\n"
    )


@pytest.mark.parametrize(
    ("variables", "by_user", "threads"),
    [
        ({"LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "1"}, b"", 8),
        (
            {"LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "1"},
            b"A=1\0OMP_NUM_THREADS=1",
            None,
        ),
        ({"LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "4"}, b"OMP_NUM_THREADS=4", None),
        ({"LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "x"}, b"", None),
        ({}, b"", None),
    ],
)
def test_processes_share_the_cores(variables: dict[str, str], by_user: bytes, threads: int, monkeypatch) -> None:
    for name in ("LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    given = []
    monkeypatch.setattr(distributed.Path, "read_bytes", lambda path: by_user)
    monkeypatch.setattr(distributed, "cores", lambda: 16)
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    distributed.share_cores()
    assert given == ([] if threads is None else [threads])


def test_how_a_job_is_asked_for_again(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert distributed.how_to_call(distributed.ALONE) == "python train.py"
    group = distributed.Group(0, 4, 0, 4)
    assert distributed.how_to_call(group) == "torchrun --standalone --nproc-per-node=4 train.py"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/veclab/__main__.py"])
    assert distributed.how_to_call(distributed.Group(0, 4, 0, 2)) == (
        "torchrun --nnodes=2 --nproc-per-node=2 -m veclab train"
    )

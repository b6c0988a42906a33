"""Runs that are killed at any moment, lose their disk, meet a NaN, or meet each other."""

import fcntl
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.killing import (
    AIMS,
    PHASES,
    aimed_command_line,
    command_line,
    counting_command_line,
    dying_command_line,
    evaluated_command_line,
)
from tests.runs import SMALLEST, changed, ends, flags_of, metrics_of, quiet, same, start, tensors_of
from veclab import lock
from veclab.agents.checkpoint import load_network
from veclab.agents.folder import CHECKPOINT, CONFIG, METRICS, RESULTS
from veclab.arena.evaluate import main as evaluate_main
from veclab.command_line import WINDOWS, on_stop
from veclab.files import open_own
from veclab.lock import FolderLock
from veclab.training import command as train
from veclab.training import metrics
from veclab.training.learner import Learner, Losses
from veclab.training.run import Run

KILLS = int(os.environ.get("VECGAME_SLOW_KILLS", 50))
WRITES = 60  # of a run as below: about as many files are synced, renamed, and their folder synced
STARVED = 900  # seconds after which a run that is not over hangs, on a machine that others keep busy


def train_at(folder: Path, *more: str) -> list[str]:
    return [*flags_of(SMALLEST), f"--run={folder}", "--resume-if-exists", *more]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("endurance") / "whole"
    assert ends([start(command_line, train_at(folder))]) == [0]
    return folder


def assert_alike(folder: Path, whole: Path) -> None:
    """A run has the weights, state, networks, metrics and results of another, bit for bit."""
    assert same(folder, whole)
    assert metrics_of(folder) == metrics_of(whole)
    assert (folder / RESULTS).read_text() == (whole / RESULTS).read_text()
    for name in ("network-000000.safetensors", "network-000002.safetensors"):
        ours, theirs = (load_network(path / name).state_dict() for path in (folder, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name


def kill_again_and_again(folders: Iterator[Path], kills: int, seed: int, whole: Path) -> None:
    """Kills runs within each of `AIMS` in turn, and goes on with each run until it is over.

    Prints a line for each kill and for each run that has come to its end all the same (`pytest -s` shows them).
    """
    draw = random.Random(seed)
    began, counted = time.monotonic(), next(folders)
    assert ends([start(counting_command_line, train_at(counted), whole.parent / "calls.json")]) == [0]
    calls = json.loads((whole.parent / "calls.json").read_text())
    assert set(calls) == set(PHASES)
    lasts = time.monotonic() - began
    done, folder, times, aims = (
        0,
        next(folders),
        0,
        Counter(),
    )  # kills in all, a run, how often it was killed, and where

    def compare() -> None:
        assert_alike(folder, whole)
        print(f"{folder.name}, killed {times} times, has ended bit for bit as the one that never was")

    while done < kills:
        aim = AIMS[done % len(AIMS)]
        if aim in PHASES:
            again = aim in ("an update", "learning")  # what comes before it has chosen the first or the second time
            event = draw.randint(1, max(1, calls[aim] // (2 if again else 1)))
            moment = f"within {aim}, at its call number {event}"
            process = start(aimed_command_line, train_at(folder), aim, event)
            process.join(STARVED)
        elif aim == "a write":
            event = draw.randint(1, WRITES)
            moment = f"within its write number {event}"
            process = start(dying_command_line, train_at(folder), event, draw.random())
            process.join(STARVED)
        else:
            seconds = draw.uniform(0, lasts)
            moment = f"after {seconds:.2f} s"
            process = start(command_line, train_at(folder))
            process.join(seconds)
            process.kill()
            process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if (folder / CHECKPOINT).exists():
            assert tensors_of(folder)
        if process.exitcode == 0:  # it was faster
            compare()
            folder, times = next(folders), 0
        else:
            done, times = done + 1, times + 1
            aims[aim] += 1
            print(f"kill {done} of {kills}: {folder.name} {moment}")
    assert ends([start(command_line, train_at(folder))]) == [0]
    compare()
    assert not list(folder.glob("*.tmp"))
    print(", ".join(f"{count} in {aim}" for aim, count in aims.items()))


def numbered(parent: Path) -> Iterator[Path]:
    number = 0
    while True:
        number += 1
        yield parent / f"run-{number}"


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_killed_at_any_moment_a_run_goes_on_bit_for_bit(undisturbed: Path, tmp_path) -> None:
    """Real processes, SIGKILL, 50 of them; VECGAME_SLOW_KILLS sets another number."""
    kill_again_and_again(numbered(tmp_path), KILLS, 0, undisturbed)


@pytest.mark.slow
def test_killed_within_learning_a_run_goes_on_bit_for_bit(undisturbed: Path, tmp_path) -> None:
    folder = tmp_path / "run"
    assert ends([start(aimed_command_line, train_at(folder), "learning", 2)]) == [-signal.SIGKILL]
    assert ends([start(command_line, train_at(folder))]) == [0]
    assert_alike(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_killed_while_an_evaluation_runs_beside_it_a_run_goes_on_bit_for_bit(tmp_path) -> None:
    """One kill for each 25 of VECGAME_SLOW_KILLS."""
    draw, whole = random.Random(0), tmp_path / "whole"
    assert ends([start(command_line, train_at(whole, "--eval-every=1"))]) == [0]
    assert any(entry["kind"] == "evaluation" for entry in metrics_of(whole))
    for kill in range(max(1, KILLS // 25)):
        folder, seconds = tmp_path / f"run-{kill}", draw.uniform(0, 10)
        arguments = train_at(folder, "--eval-every=1")
        assert ends([start(evaluated_command_line, arguments, seconds)]) == [-signal.SIGKILL]
        assert ends([start(command_line, arguments)]) == [0]
        assert_alike(folder, whole)
        print(f"kill {kill + 1}: {seconds:.1f} s after an evaluation had begun")


@pytest.mark.slow
def test_killed_within_a_write_a_run_goes_on_bit_for_bit(undisturbed: Path, tmp_path) -> None:
    """Its first checkpoint half written, then a later one complete but not yet in its place."""
    folder = tmp_path / "run"
    for event, share in ((7, 0.5), (15, 0.2)):
        assert ends([start(dying_command_line, train_at(folder), event, share)]) == [-signal.SIGKILL]
        assert list(folder.glob(f"{CHECKPOINT}.*.tmp"))
    assert ends([start(command_line, train_at(folder))]) == [0]
    assert_alike(folder, undisturbed)
    assert not list(folder.glob("*.tmp"))


# -- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_full_disk_gets_one_line_and_costs_nothing(undisturbed: Path, tmp_path, monkeypatch, capsys) -> None:
    """Whichever file meets it, at its first write or after it: each attempt gets further, half of the last on disk."""
    folder = tmp_path / "run"
    real_open, writes, room = Path.open, 0, 0

    class Full:
        """A file of a disk that becomes full."""

        def __init__(self, file: io.IOBase) -> None:
            self.file, self.writes = file, 0

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def write(self, data: bytes) -> int:
            nonlocal writes
            self.writes += 1
            writes += self.writes <= 2  # a checkpoint has a write a tensor: what follows the second is as the second
            if writes > room:
                self.file.write(data[: len(data) // 2])
                raise OSError(28, "No space left on device")
            return self.file.write(data)

    def open_full(path: Path, mode: str = "r", *arguments: object, **options: object) -> object:
        file = real_open(path, mode, *arguments, **options)
        return Full(file) if mode == "xb" and folder in path.parents else file

    status, failures = 2, 0
    while status == 2:
        writes, room = 0, room + 1
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", open_full)
            patch.setattr(metrics, "open_own", lambda path: Full(open_own(path)))
            status = train.main(train_at(folder))
        if status == 2:
            failures += 1
            error = capsys.readouterr().err
            assert error.startswith(f"error: cannot write {folder}") and error.count("\n") == 1
            assert "No space left on device" in error
            assert not list(folder.glob("*.tmp"))
            if (folder / CHECKPOINT).exists():
                assert tensors_of(folder)
    assert status == 0 and failures > 4
    assert_alike(folder, undisturbed)


@pytest.mark.slow
def test_a_file_that_the_system_cuts_off(undisturbed: Path, tmp_path, capsys) -> None:
    """A real failed write, after a megabyte, of a checkpoint that is larger."""
    folder = tmp_path / "run"
    assert train.main(train_at(folder, "--iterations=1")) == 0
    before = (folder / CHECKPOINT).read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    capsys.readouterr()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited[1]))
    try:
        status = train.main(["--resume", str(folder), "--iterations=2"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    error = capsys.readouterr().err
    assert status == 2 and error == f"error: cannot write {folder / CHECKPOINT}: File too large\n"
    assert (folder / CHECKPOINT).read_bytes() == before and tensors_of(folder)


# -- losses that are not finite ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("stretch", ["update 1", "iteration 2"])
def test_a_run_whose_loss_is_nan_is_saved_and_says_why(
    undisturbed: Path, tmp_path, monkeypatch, capsys, stretch: str
) -> None:
    folder = tmp_path / "run"
    poisoned = {"update 1": "forward", "iteration 2": "losses"}[stretch]
    real = getattr(Learner, poisoned)

    def poison(learner: Learner, *arguments: object) -> object:
        result = real(learner, *arguments)
        if stretch == "update 1":
            return replace(result, values=result.values * torch.nan)
        rate = learner.optimizer.param_groups[0]["lr"]
        return result if rate == SMALLEST.learning_rate else Losses(result.policy, result.value * torch.nan)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, poisoned, poison)
        assert train.main(train_at(folder)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"error: in {stretch} the loss or its gradient was NaN or inf")
    assert str(folder) in error
    assert all(tensor.isfinite().all() for tensor in tensors_of(folder).values())
    assert train.main(["--resume", str(folder)]) == 0
    assert_alike(folder, undisturbed)


@pytest.mark.slow
def test_a_steps_loss_that_is_not_finite_costs_that_step_only(tmp_path, monkeypatch) -> None:
    settings = changed(**{**vars(SMALLEST), "batch_size": 4, "iterations": 1, "epochs": 3})
    calls, real = [], Learner.losses

    def poison(learner: Learner, *arguments: object) -> Losses:
        calls.append(1)
        losses = real(learner, *arguments)
        return losses if len(calls) != 2 else Losses(losses.policy, losses.value * torch.inf)

    monkeypatch.setattr(Learner, "losses", poison)
    assert Run.create(tmp_path / "run", settings, quiet()).train(judge=False) is not None
    entry = metrics_of(tmp_path / "run")[2]
    assert entry["skipped_steps"] == 1 < len(calls) and 0 < entry["value_loss"] < 10
    assert all(tensor.isfinite().all() for tensor in tensors_of(tmp_path / "run").values())


# -- two at once ------------------------------------------------------------------------------------------------------


def hold(folder: Path) -> None:
    """Locks a folder and waits to be killed."""
    lock = FolderLock.take(folder)
    (folder / "held").touch()
    time.sleep(600)
    lock.release()


def test_a_folder_belongs_to_one_process_until_it_dies(tmp_path, capsys) -> None:
    holder = start(hold, tmp_path)
    try:
        wait_until(lambda: (tmp_path / "held").exists())
        assert train.main(train_at(tmp_path)) == 2
        error = capsys.readouterr().err
        assert f"{tmp_path} is in use by process {holder.pid} on " in error and error.count("\n") == 1
        assert not (tmp_path / CONFIG).exists()
    finally:
        holder.kill()
        holder.join()
    lock = FolderLock.take(tmp_path)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
        FolderLock.take(tmp_path)
    lock.release()
    FolderLock.take(tmp_path).release()


def test_a_system_that_cannot_lock_is_refused_in_one_line(tmp_path, monkeypatch, capsys) -> None:
    """Windows, where a program that imports the library comes so far."""
    monkeypatch.setattr(lock, "fcntl", None)
    assert train.main(train_at(tmp_path / "run")) == 2
    assert capsys.readouterr().err == f"error: {WINDOWS}\n" and not (tmp_path / "run").exists()


def test_a_run_that_is_over_or_has_failed_lets_its_folder_go(tmp_path, undisturbed: Path) -> None:
    for settings in (changed(**{**vars(SMALLEST), "values": 1}), SMALLEST):
        with pytest.raises(ValueError, match="already holds a run"):
            Run.create(undisturbed, settings, quiet())
    FolderLock.take(undisturbed).release()


# -- going on ---------------------------------------------------------------------------------------------------------


def test_the_checkpoint_knows_its_settings(undisturbed: Path, tmp_path, capsys) -> None:
    """A config.json that was changed by hand is named; so is a flag that the same command did not have."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / CHECKPOINT).write_bytes((undisturbed / CHECKPOINT).read_bytes())
    told = json.loads((undisturbed / CONFIG).read_text())["settings"]
    (folder / CONFIG).write_text(json.dumps({**told, "seed": 7}))
    assert train.main(["--resume", str(folder)]) == 2
    assert "does not fit the run's config.json: --seed (config: 7, checkpoint: 0)" in capsys.readouterr().err
    assert train.main([f"--run={undisturbed}", "--resume-if-exists"]) == 2
    error = capsys.readouterr().err
    assert "cannot change" in error and "--games-per-iter (run: 4, flag: 10000)" in error and error.count("\n") == 1
    assert train.main(["--resume-if-exists"]) == 2
    assert "needs --run FOLDER" in capsys.readouterr().err


def test_a_run_that_is_over_is_evaluated_again_and_records_it_once(undisturbed: Path, tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for file in undisturbed.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / METRICS).write_bytes((folder / METRICS).read_bytes() + b'{"kind": "iterat')  # cut off
    assert train.main(train_at(folder)) == 0
    assert_alike(folder, undisturbed)


@pytest.mark.slow
def test_sigterm_stops_a_run_as_ctrl_c_does(undisturbed: Path, tmp_path) -> None:
    folder = tmp_path / "run"
    process = start(command_line, train_at(folder))
    wait_until(lambda: (folder / METRICS).exists())
    os.kill(process.pid, signal.SIGTERM)
    assert ends([process]) == [130]
    assert not (folder / RESULTS).exists()
    assert ends([start(command_line, train_at(folder))]) == [0]
    assert_alike(folder, undisturbed)


@pytest.mark.slow
def test_a_closed_terminal_stops_a_run_as_ctrl_c_does(undisturbed: Path, tmp_path) -> None:
    """All processes of the terminal get a SIGHUP, its shell sends another one, and every write to it fails."""
    folder = tmp_path / "run"
    terminal, process = start_at_terminal(["-m", "veclab", "train", *train_at(folder)])
    wait_until(lambda: (folder / METRICS).exists())
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 130
    assert not (folder / RESULTS).exists() and tensors_of(folder)
    assert ends([start(command_line, train_at(folder))]) == [0]
    assert_alike(folder, undisturbed)


def start_at_terminal(arguments: list[str]) -> tuple[int, subprocess.Popen]:
    """A Python process at a terminal of its own, whose other end is returned as a file descriptor."""
    terminal, end = os.openpty()

    def begin() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    streams = {"stdin": end, "stdout": end, "stderr": end}
    process = subprocess.Popen([sys.executable, *arguments], env=environment, preexec_fn=begin, **streams)
    os.close(end)
    return terminal, process


def test_a_run_that_nohup_has_started_does_not_stop_with_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    seen = []
    try:
        with on_stop(lambda number, frame: seen.append(number)):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with on_stop(lambda number, frame: seen.append(number)):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIGTERM, signal.SIGHUP]


@pytest.mark.slow
def test_an_evaluation_that_a_stop_has_cut_off_is_made_when_the_run_goes_on(tmp_path) -> None:
    settings = changed(**{**vars(SMALLEST), "eval_every": 1, "iterations": 3})
    run = Run.create(tmp_path / "run", settings, quiet())
    iterate = run._iterate

    def iterate_and_stop() -> None:
        iterate()
        run.stopping = run.iteration == 2

    run._iterate = iterate_and_stop
    assert run.train() is None
    evaluations = [entry for entry in metrics_of(tmp_path / "run") if entry["kind"] == "evaluation"]
    assert len(evaluations) < 2
    assert Run.resume(tmp_path / "run", settings, quiet()).train(judge=False) is not None
    evaluations = [entry for entry in metrics_of(tmp_path / "run") if entry["kind"] == "evaluation"]
    assert [entry["iteration"] for entry in evaluations] == [1, 2]


@pytest.mark.slow
def test_an_evaluation_ends_with_the_process_that_wanted_it(undisturbed: Path, capsys) -> None:
    network = str(undisturbed / "network-000002.safetensors")
    flags = ["--cards=1", "--eval-deals=1", "--device=cpu"]
    assert evaluate_main([network, *flags, f"--parent={os.getppid()}"]) == 0
    assert evaluate_main([network, *flags, "--parent=1000000000"]) == 2
    assert "process 1000000000, for which this evaluation was made, is gone" in capsys.readouterr().err


def test_averaged_weights_are_what_is_saved_and_evaluated(undisturbed: Path) -> None:
    tensors = tensors_of(undisturbed)
    network = load_network(undisturbed / "network-000002.safetensors").state_dict()
    names = [name.removeprefix("average.") for name in tensors if name.startswith("average.")]
    assert set(names) == set(network)
    assert all(torch.equal(network[name], tensors[f"average.{name}"]) for name in names)
    assert not torch.equal(tensors["average.policy_out.weight"], tensors["net.policy_out.weight"])


def wait_until(ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)

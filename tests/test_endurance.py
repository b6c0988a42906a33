"""Runs that are killed at any moment, lose their disk, or meet a NaN go on as one that nothing disturbed."""

import io
import json
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
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
from tests.runs import ENDURED, SMALLEST, assert_alike, changed, ends, metrics_of, quiet, start, tensors_of, train_at
from veclab.agents.folder import CHECKPOINT
from veclab.files import open_own
from veclab.training import command as train
from veclab.training import metrics
from veclab.training.learner import Learner, Losses
from veclab.training.run import Run

pytestmark = pytest.mark.usefixtures("imitates_as_processes_do")
KILLS = int(os.environ.get("VECGAME_SLOW_KILLS", 50))
WRITES = 100  # of a run as below: about as many files are synced, renamed, and their folder synced
STARVED = 900  # seconds after which a run that is not over hangs, on a machine that others keep busy


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
@pytest.mark.parametrize("stretch", ["imitation", "update 1", "iteration 2"])
def test_a_run_whose_loss_is_nan_is_saved_and_says_why(
    undisturbed: Path, tmp_path, monkeypatch, capsys, stretch: str
) -> None:
    folder = tmp_path / "run"
    poisoned = "forward" if stretch == "update 1" else "losses"
    real = getattr(Learner, poisoned)

    def poison(learner: Learner, *arguments: object) -> object:
        result, imitates = real(learner, *arguments), learner.settings.epochs == 1
        if imitates != (stretch == "imitation"):
            return result
        if stretch == "update 1":
            return replace(result, values=result.values * torch.nan)
        rate = learner.optimizer.param_groups[0]["lr"]  # the full one in the first iteration and round
        return result if rate == ENDURED.learning_rate else Losses(result.policy, result.value * torch.nan)

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

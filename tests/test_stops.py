"""Whatever stops a run, its folder holds the newest network, and the tools that are given the folder take that one."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch

from tests.runs import changed, ends, flags_of, metrics_of, quiet, same, start
from vecgame import Blob
from veclab.agents.checkpoint import load_network, load_tensors, save_network
from veclab.agents.folder import CHECKPOINT, NEWEST
from veclab.agents.networks import label, newest_network, progress_of
from veclab.arena.evaluate import main as evaluate_main
from veclab.table.agents import make_agent
from veclab.table.session import Settings as MatchSettings
from veclab.training import command as train
from veclab.training import saving
from veclab.training.learner import Learner
from veclab.training.run import Run

# No checkpoint but the one at the beginning, unless the stop makes one.
SETTINGS = changed(average_decay=0.9, checkpoint_seconds=3600, device="cpu")
CHECKPOINTS = changed(average_decay=0.9, checkpoint_seconds=0, device="cpu")  # the same with one after every step
FIRST, LAST_UPDATE = "network-000000.safetensors", "network-update-000002.safetensors"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("stops") / "whole"
    assert Run.create(folder, SETTINGS, quiet()).train(judge=False) is not None
    return folder


def assert_newest_is_the_checkpoints(folder: Path) -> None:
    """The newest network is that of the checkpoint, and has learned."""
    tensors, counters = load_tensors(folder / CHECKPOINT)
    newest = newest_network(folder)
    assert progress_of(newest) == (counters["iteration"], counters["updates"]) > (0, 0)
    weights, first = load_network(newest).state_dict(), load_network(folder / FIRST).state_dict()
    assert all(torch.equal(tensor, tensors[f"average.{name}"]) for name, tensor in weights.items())
    assert not torch.equal(weights["policy_out.weight"], first["policy_out.weight"])


def assert_goes_on_to_the_same_end(folder: Path, finished: Path) -> None:
    """Bit for bit, with the same files."""
    assert Run.resume(folder, SETTINGS, quiet()).train(judge=False) is not None
    assert same(folder, finished) and metrics_of(folder) == metrics_of(finished)
    assert {file.name for file in folder.iterdir()} == {file.name for file in finished.iterdir()}


STAGES: dict[str, Callable[[Run], bool]] = {
    "policy gradient": lambda run: run.updates == 1,
    "self-play": lambda run: run.updates == 2 and run.pending is None,
    "learning": lambda run: run.iteration == 0 and run.pending is not None,
    "second self-play": lambda run: run.iteration == 1 and run.pending is None,
}
# Where the newest network is when a run is stopped in a stage: the last one of policy gradient is kept.
FILES = {"policy gradient": NEWEST, "self-play": LAST_UPDATE, "learning": LAST_UPDATE, "second self-play": NEWEST}


def signal_in(run: Run, stage: str, number: int, times: int = 1) -> None:
    """Sends this process a signal at the second check of a stage, so many times."""
    check, calls = run.check, []

    def signal_then() -> None:
        if STAGES[stage](run):
            calls.append(1)
        if len(calls) == 2:
            for _ in range(times):
                os.kill(os.getpid(), number)
        check()

    run.check = signal_then


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        *[(stage, signal.SIGINT) for stage in STAGES],
        ("learning", signal.SIGTERM),
        *[pytest.param(s, signal.SIGTERM, marks=pytest.mark.slow) for s in STAGES if s != "learning"],
    ],
)
def test_a_signal(finished: Path, tmp_path, stage: str, number: int) -> None:
    folder = tmp_path / "run"
    run = Run.create(folder, SETTINGS, quiet())
    signal_in(run, stage, number)
    assert run.train() is None
    assert_newest_is_the_checkpoints(folder)
    output = run.display.console.file.getvalue()
    assert f"Stopped and saved. Go on with: vecgame train --resume {folder}\n" in output
    assert output.endswith(f"in all; the network: {folder / FILES[stage]}\n")
    assert_goes_on_to_the_same_end(folder, finished)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_second_ctrl_c_between_two_steps_or_in_one_that_is_undone(finished: Path, tmp_path, stage: str) -> None:
    folder = tmp_path / "run"
    run = Run.create(folder, SETTINGS, quiet())
    signal_in(run, stage, signal.SIGINT, times=2)
    with pytest.raises(KeyboardInterrupt) as stop:
        run.train()
    assert str(stop.value).startswith(f"the run is saved. Go on with: vecgame train --resume {folder}; the network: ")
    assert str(stop.value).endswith(str(folder / FILES[stage]))
    assert_newest_is_the_checkpoints(folder)
    assert_goes_on_to_the_same_end(folder, finished)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["record", "buffer"])
def test_a_second_ctrl_c_within_a_step_leaves_the_last_checkpoint(
    finished: Path, tmp_path, monkeypatch, capsys, where: str
) -> None:
    """When the counters say an iteration is done but the metrics do not; when half of the examples are in the ring."""
    folder = tmp_path / "run"

    def begin(*_: object) -> Run:
        run = Run.create(folder, CHECKPOINTS, quiet())
        target, name = (run, "record") if where == "record" else (run.buffer, "add")
        real = getattr(target, name)

        def cut_off(*arguments: object, **numbers: object) -> None:
            if run.iteration == 1:
                run.stopping = True
                os.kill(os.getpid(), signal.SIGINT)
            real(*arguments, **numbers)

        monkeypatch.setattr(target, name, cut_off)
        return run

    with monkeypatch.context() as patch:
        patch.setattr(train, "open_run", begin)
        assert train.main([]) == 130
    error = capsys.readouterr().err
    assert error.startswith("stopped at once; within a step, so the run goes on from its last checkpoint. Go on with: ")
    assert (
        error.endswith(f"; the network: {folder / (LAST_UPDATE if where == 'record' else NEWEST)}\n")
        and error.count("\n") == 1
    )
    assert_newest_is_the_checkpoints(folder)
    assert_goes_on_to_the_same_end(folder, finished)


def test_a_second_ctrl_c_while_the_stop_is_saved(finished: Path, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "run"
    run, real, calls = Run.create(folder, SETTINGS, quiet()), saving.save_tensors, []

    def cut_off(*arguments: object, **options: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        real(*arguments, **options)

    monkeypatch.setattr(saving, "save_tensors", cut_off)
    signal_in(run, "learning", signal.SIGINT)
    assert run.train() is None and len(calls) == 2
    assert_newest_is_the_checkpoints(folder)
    assert_goes_on_to_the_same_end(folder, finished)


@pytest.mark.slow
@pytest.mark.parametrize(("error", "status"), [(torch.OutOfMemoryError("no room"), 3), (OSError("no device"), 2)])
def test_an_error_while_learning(finished: Path, tmp_path, monkeypatch, capsys, error: Exception, status: int) -> None:
    folder, real = tmp_path / "run", Learner.losses

    def fail(learner: Learner, *arguments: object) -> object:
        if learner.steps == 12:
            raise error
        return real(learner, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "losses", fail)
        assert train.main([*flags_of(SETTINGS), f"--run={folder}"]) == status
    assert capsys.readouterr().err.count("\n") == 1
    assert_newest_is_the_checkpoints(folder)
    assert_goes_on_to_the_same_end(folder, finished)


def test_an_error_when_the_disk_is_full_says_that_the_last_checkpoint_stands(tmp_path, monkeypatch) -> None:
    run = Run.create(tmp_path / "run", SETTINGS, quiet())

    def fail(*arguments: object, **options: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(saving, "save_tensors", fail)
    monkeypatch.setattr(run, "_iterate", fail)
    with pytest.raises(OSError, match="no space"):
        run.train()
    output = run.display.console.file.getvalue()
    assert output.endswith("Not saved, so the run goes on from its last checkpoint: no space\n")


# -- kill -9 ----------------------------------------------------------------------------------------------------------


def killed_at(arguments: list[str], kind: str, iteration: int, updates: int) -> None:
    """train.py with arguments, killed when it has something of this kind to record."""
    record = Run.record

    def die(run: Run, entry: str, **numbers: object) -> None:
        if (entry, run.iteration, run.updates) == (kind, iteration, updates):
            os.kill(os.getpid(), signal.SIGKILL)
        record(run, entry, **numbers)

    Run.record, sys.stdout = die, StringIO()
    train.main(arguments)


@pytest.mark.parametrize(
    ("moment", "progress"), [(("update", 0, 2), (0, 1)), (("iteration", 1, 2), (0, 2)), (("iteration", 2, 2), (1, 2))]
)
@pytest.mark.slow
def test_kill_9(finished: Path, tmp_path, moment: tuple[str, int, int], progress: tuple[int, int]) -> None:
    """The last checkpoint's network is there."""
    folder = tmp_path / "run"
    process = start(killed_at, [*flags_of(CHECKPOINTS), f"--run={folder}"], *moment)
    assert ends([process]) == [-signal.SIGKILL]
    assert newest_network(folder).name == (LAST_UPDATE if progress == (0, 2) else NEWEST)
    assert progress_of(newest_network(folder)) == progress
    assert_newest_is_the_checkpoints(folder)
    assert_goes_on_to_the_same_end(folder, finished)


def killed_within_its_last_checkpoint(arguments: list[str]) -> None:
    """train.py with arguments, killed when it is about to write the checkpoint of its last iteration."""
    save = saving.save_tensors

    def die(path: Path, tensors: dict[str, torch.Tensor], counters: dict[str, object], **options: object) -> None:
        if counters["iteration"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        save(path, tensors, counters, **options)

    saving.save_tensors, sys.stdout = die, StringIO()
    train.main(arguments)


@pytest.mark.slow
def test_kill_9_within_a_checkpoint_finds_the_network_saved_before_it(finished: Path, tmp_path) -> None:
    folder = tmp_path / "run"
    process = start(killed_within_its_last_checkpoint, [*flags_of(CHECKPOINTS), f"--run={folder}"])
    assert ends([process]) == [-signal.SIGKILL]
    assert progress_of(newest_network(folder)) == (2, 2) and load_tensors(folder / CHECKPOINT)[1]["iteration"] == 1
    assert_goes_on_to_the_same_end(folder, finished)


# -- files ------------------------------------------------------------------------------------------------------------


def test_one_file_for_one_network(finished: Path, tmp_path) -> None:
    """A numbered network takes the newest one's place; what is there is not written again when the run goes on."""
    assert not (finished / NEWEST).exists() and newest_network(finished).name == "network-000002.safetensors"
    folder = tmp_path / "run"
    run = Run.create(folder, SETTINGS, quiet())
    assert {file.name for file in folder.glob("network-*")} == {FIRST}
    signal_in(run, "policy gradient", signal.SIGINT)
    run.train()
    written = (folder / NEWEST).stat().st_ino
    run = Run.resume(folder, SETTINGS, quiet())
    run.save()
    assert (folder / NEWEST).stat().st_ino == written
    run.save_network()
    assert not (folder / NEWEST).exists() and progress_of(newest_network(folder)) == (0, 1)
    assert newest_network(folder).name == "network-update-000001.safetensors"
    run.save()
    assert not (folder / NEWEST).exists()
    run.lock.release()


def test_a_damaged_newest_network_is_written_again(tmp_path) -> None:
    folder = tmp_path / "run"
    run = Run.create(folder, SETTINGS, quiet())
    signal_in(run, "policy gradient", signal.SIGINT)
    run.train()
    (folder / NEWEST).write_bytes((folder / NEWEST).read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{NEWEST} is damaged"):
        newest_network(folder)
    run = Run.resume(folder, SETTINGS, quiet())
    run.save()
    run.lock.release()
    assert_newest_is_the_checkpoints(folder)


AHEAD = {"policy gradient": LAST_UPDATE, "second self-play": "network-000002.safetensors"}  # of what is not done yet


@pytest.mark.parametrize(
    ("stage", "same_weights"),
    [
        ("policy gradient", True),
        ("second self-play", False),
        pytest.param("policy gradient", False, marks=pytest.mark.slow),
        pytest.param("second self-play", True, marks=pytest.mark.slow),
    ],
)
def test_networks_ahead_of_the_checkpoint_are_put_aside(finished, tmp_path, stage: str, same_weights: bool) -> None:
    """As a kill leaves them that comes after such a file was written, and before the next checkpoint."""
    folder = tmp_path / "run"
    run = Run.create(folder, SETTINGS, quiet())
    signal_in(run, stage, signal.SIGINT)
    run.train()
    (folder / NEWEST).unlink()  # as it is once a numbered one has been written
    path, aside = folder / AHEAD[stage], folder / f"{Path(AHEAD[stage]).stem}-ahead-1.safetensors"
    shutil.copy(finished / path.name, path)
    if not same_weights:
        iteration, updates = progress_of(path)
        save_network(path, load_network(finished / FIRST), {"iteration": iteration, "updates": updates})
    written = path.read_bytes()
    assert newest_network(folder) == path
    run = Run.resume(folder, SETTINGS, quiet())
    assert f"{path} is of work that the checkpoint does not have, and is kept as {aside.name}" in (
        run.display.console.file.getvalue()
    )
    assert not path.exists() and aside.read_bytes() == written and newest_network(folder) == folder / NEWEST
    assert_newest_is_the_checkpoints(folder)
    run.lock.release()
    if same_weights:
        assert_goes_on_to_the_same_end(folder, finished)
    else:
        assert Run.resume(folder, SETTINGS, quiet()).train(judge=False) is not None
        assert same(folder, finished) and path.read_bytes() == (finished / path.name).read_bytes()
        assert aside.read_bytes() == written


def test_only_the_network_of_the_checkpoint_is_taken_for_written(tmp_path) -> None:
    """And not one that is ahead of it, as when the kill came within the checkpoint's write."""
    folder = tmp_path / "run"
    run = Run.create(folder, SETTINGS, quiet())
    signal_in(run, "policy gradient", signal.SIGINT)
    run.train()
    save_network(folder / NEWEST, load_network(folder / FIRST), {"iteration": 0, "updates": 2})
    run = Run.resume(folder, SETTINGS, quiet())
    assert run.network_written is None
    run.updates = 2  # with other weights than those of the file
    run._write_network(folder / NEWEST)
    weights, first = (load_network(folder / name).state_dict() for name in (NEWEST, FIRST))
    assert not torch.equal(weights["policy_out.weight"], first["policy_out.weight"])
    run.lock.release()


# -- tools ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A run that Ctrl+C has stopped in policy gradient."""
    folder = tmp_path_factory.mktemp("stops") / "stopped"
    run = Run.create(folder, SETTINGS, quiet())
    signal_in(run, "policy gradient", signal.SIGINT)
    assert run.train() is None
    return folder


def test_evaluation_takes_the_newest_network_of_a_stopped_run(stopped: Path, tmp_path, capsys) -> None:
    output, flags = tmp_path / "strength.json", ["--cards=2", "--eval-deals=1", "--simulations=2", "--device=cpu"]
    flags += ["--opponents=random", "--players=search", f"--against={stopped / NEWEST}", f"--json={output}"]
    assert evaluate_main([str(stopped), *flags]) == 0
    shown = capsys.readouterr().out
    assert f"{stopped / NEWEST} (update 1)\n" in shown and "4 games a pairing" in shown
    rows = json.loads(output.read_text())["results"]["search 3x2"]
    assert list(rows) == ["random", "search with network-newest (update 1)"]
    assert rows["search with network-newest (update 1)"]["lead"]["mean"] == 0  # against itself


def test_the_table_names_it(stopped: Path) -> None:
    agent = make_agent(MatchSettings(Blob(cards=2), agent=str(newest_network(stopped)), worlds=1, simulations=2))
    assert agent.name == "network-newest (update 1), search 1x2"
    assert label(stopped / FIRST) == "network-000000"

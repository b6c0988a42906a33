"""A run's folder belongs to one process at a time, and a run that was stopped, or is over, goes on in it."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import torch

from tests.killing import command_line
from tests.runs import SMALLEST, assert_alike, changed, ends, metrics_of, quiet, start, tensors_of, train_at, wait_until
from veclab import lock
from veclab.agents.checkpoint import load_network
from veclab.agents.folder import CHECKPOINT, CONFIG, METRICS, RESULTS
from veclab.arena.evaluate import main as evaluate_main
from veclab.command_line import WINDOWS, on_stop
from veclab.lock import FolderLock
from veclab.training import command as train
from veclab.training.run import Run

pytestmark = pytest.mark.usefixtures("imitates_as_processes_do")

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


@pytest.mark.slow
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
    code = "import sys; from tests.killing import shown_command_line; shown_command_line(sys.argv[1:])"
    terminal, process = start_at_terminal(["-c", code, *train_at(folder)])
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

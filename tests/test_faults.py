"""Every file of a run damaged at every kind of place: a clean line or harmless, none silent, none a traceback."""

import json
import os
import random
import re
import shutil
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from tests.faults import BYTES, FILES, TOLD, outcome, read_all
from tests.runs import SMALLEST, quiet
from veclab.agents.checkpoint import load_tensors, save_tensors
from veclab.agents.folder import CHECKPOINT, CONFIG, DAMAGED, METRICS, PREVIOUS, RESULTS, read_config
from veclab.files import DIGEST, DamagedError
from veclab.going_on import for_resume
from veclab.report.metrics import read_metrics
from veclab.settings import Settings
from veclab.training import command as train
from veclab.training import metrics
from veclab.training.background import BackgroundEvaluation
from veclab.training.run import Run

FAULTS = int(os.environ.get("VECGAME_SLOW_FAULTS", 500))
QUICK = 12


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "whole"
    assert Run.create(folder, SMALLEST, quiet()).train() is not None
    return folder


def copy_of(undamaged: Path, folder: Path) -> Path:
    """A copy of a run, whose larger files are the same ones: they are only ever replaced, not written to."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in undamaged.iterdir():
        (os.link if path.suffix == ".safetensors" else shutil.copyfile)(path, folder / path.name)
    return folder


def inject(undamaged: Path, parent: Path, faults: int, seed: int) -> None:
    """Damages one file after the other, each time of a whole run. Prints what comes of it (`pytest -s` shows it)."""
    draw, counts, failed = random.Random(seed), Counter(), []
    whole = read_all(copy_of(undamaged, parent / "run"))
    for number in range(faults):
        work, name = copy_of(undamaged, parent / "run"), FILES[number % len(FILES)]
        shutil.copyfile(undamaged / name, other := work / "other")
        other.replace(work / name)
        ways = TOLD[name] if (number // len(FILES)) % 2 else BYTES
        damage = draw.choice(ways)
        how = damage(work / name, draw)
        edited = damage.__name__ in ("misconfigured", "misreported", "misjudged", "mistold")
        try:
            came = outcome(work, whole, name)
        except Exception as error:
            came = repr(error)
        if came == "silent" and edited:  # with a digest that fits, of the right type and in range
            came = "told anew"
        print(line := f"fault {number}, {name}: {how}: {came}")
        if came in ("a line", "harmless", "told anew"):
            counts[name, came] += 1
        else:
            failed.append(line)
    for (name, came), count in sorted(counts.items()):
        print(f"{name}: {count} {came}")
    assert not failed, "\n".join(failed)


@pytest.mark.slow
def test_damaged_files_get_a_line_or_do_no_harm(undamaged: Path, tmp_path) -> None:
    inject(undamaged, tmp_path, QUICK, 1)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(0)
def test_every_file_damaged_at_every_kind_of_place(undamaged: Path, tmp_path) -> None:
    """500 faults; VECGAME_SLOW_FAULTS sets another number."""
    inject(undamaged, tmp_path, FAULTS, 0)


@pytest.fixture
def folder(undamaged: Path, tmp_path) -> Path:
    """A copy of the run."""
    return copy_of(undamaged, tmp_path / "run")


def replace_file(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def refused(folder: Path, capsys) -> str:
    """The one line of a run that does not go on."""
    capsys.readouterr()
    assert train.main(["--resume", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "\x1b" not in error, error
    return error


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(folder: Path) -> None:
    data = bytearray((folder / CHECKPOINT).read_bytes())
    data[len(data) // 2] ^= 1
    replace_file(folder / CHECKPOINT, data)
    display = quiet()
    run = Run.resume(folder, SMALLEST, display)
    assert f"{CHECKPOINT} is damaged" in display.console.file.getvalue() and DAMAGED in display.console.file.getvalue()
    assert (folder / DAMAGED).read_bytes() == data and not (folder / CHECKPOINT).exists()
    assert run.progress < (2, 2) or load_tensors(folder / PREVIOUS)[1]["iteration"] == run.iteration
    run.lock.release()


def test_where_both_checkpoints_are_damaged_both_are_named(folder: Path, capsys) -> None:
    for name in (CHECKPOINT, PREVIOUS):
        replace_file(folder / name, (folder / name).read_bytes()[:-1])
    error = refused(folder, capsys)
    assert CHECKPOINT in error and PREVIOUS in error
    assert (folder / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("iterations", "5", "--iterations must be a whole number such as 500, got '5'"),
        ("iterations", True, "--iterations must be a whole number such as 500, got True"),
        ("c_puct", None, "--c-puct must be a finite number such as 0.6, got None"),
        ("hook", 1, "--hook must be true or false, got 1"),
        ("game", "\x1b[2J", "--game must be a text without control characters, got '\\x1b[2J'"),
        ("batch_size", 0, "--batch-size must be at least 1, got 0"),
        ("itertions", 5, "does not know: itertions; the nearest is iterations"),
        ("\x1b]0;", 5, "does not know: \\x1b]0;"),
    ],
)
def test_a_setting_that_is_edited_wrong_is_named(folder: Path, capsys, name: str, value: object, message: str) -> None:
    told = json.loads((folder / CONFIG).read_text())
    del told[DIGEST]
    told["settings"][name] = value
    (folder / CONFIG).write_text(json.dumps(told))
    assert message in refused(folder, capsys)


def test_an_edited_config_counts_once_its_digest_is_removed(folder: Path, capsys) -> None:
    told = json.loads((folder / CONFIG).read_text())
    told["settings"]["eval_deals"] = 3
    (folder / CONFIG).write_text(json.dumps(told))
    assert f'remove its field "{DIGEST}"' in refused(folder, capsys)
    del told[DIGEST]
    (folder / CONFIG).write_text(json.dumps(told))
    assert for_resume(read_config(folder), {}) == replace(SMALLEST, eval_deals=3)
    (folder / CONFIG).write_text(json.dumps(told["settings"]))  # as earlier versions wrote it
    assert for_resume(read_config(folder), {}) == replace(SMALLEST, eval_deals=3)


def test_every_setting_is_read_by_its_type() -> None:
    for item in fields(Settings):
        with pytest.raises(ValueError, match="--" + item.name.replace("_", "-")):
            Settings(**{item.name: [1]})


def test_a_checkpoint_that_tells_of_a_billion_iterations_is_refused(folder: Path, capsys) -> None:
    for name in (CHECKPOINT, PREVIOUS):
        tensors, told = load_tensors(folder / name)
        save_tensors(folder / name, tensors, {**told, "iteration": 10**9})
    assert "the run has done 1000000000 iterations, more than the 2 of its settings" in refused(folder, capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"5\n", "line 2 is no entry: it is no object"),
        (b'{"kind": 5}\n', "line 2 is no entry: it.kind must be a text without control characters, got 5"),
        (b'{"kind": "update", "updates": "x"}\n', "line 2 is no entry: it.updates must be a whole number from 0 on"),
        (b"\xff\n", "line 2 is no entry"),
        (b'{"kind": "update"}\n', "line 2 is no entry: it has no updates"),
        (b'{"kind": "update", "updates": 2}\n', "line 2 is no entry: it has no crc32"),
        (b"", "of 4 updates and iterations the line of number 2 is missing"),
    ],
)
def test_a_line_of_the_metrics_that_is_no_entry_is_named(folder: Path, line: bytes, message: str) -> None:
    lines = (folder / METRICS).read_bytes().splitlines(keepends=True)
    (folder / METRICS).write_bytes(b"".join([lines[0], line, *lines[2:]]))
    with pytest.raises(DamagedError, match=re.escape(f"{METRICS} is damaged: {message}")) as caught:
        metrics.check_whole(folder / METRICS, (2, 2))
    assert "\n" not in str(caught.value)


def test_a_run_whose_metrics_were_moved_away_goes_on(folder: Path) -> None:
    (folder / METRICS).unlink()
    for _ in range(2):
        display = quiet()
        Run.resume(folder, SMALLEST, display).lock.release()
        assert f"{METRICS} is not there" in display.console.file.getvalue()


def test_evaluations_alone_are_no_damage_where_the_metrics_were_moved_away(folder: Path) -> None:
    """The table of a finished run, or of a network whose evaluation ended before the next step."""
    (folder / METRICS).unlink()
    run = Run.resume(folder, SMALLEST, quiet())
    run.record("evaluation", results={})
    run.lock.release()
    longer = replace(SMALLEST, iterations=3)
    assert Run.resume(folder, longer, quiet()).train(judge=False) is not None
    assert [entry["kind"] for entry in metrics.read(folder / METRICS)] == ["evaluation", "iteration"]
    Run.resume(folder, longer, quiet()).lock.release()


def test_metrics_are_whole_lines_of_standard_json(tmp_path) -> None:
    path = tmp_path / METRICS
    metrics.append(path, {"kind": "update", "updates": 1, "iteration": 0, "loss": float("nan"), "of": [float("inf")]})
    assert path.read_bytes().endswith(b"}\n")
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["loss"] is None
    path.write_bytes(path.read_bytes() + b'{"kind": "upda')  # being written
    assert [entry["updates"] for entry in metrics.read(path)] == [1]


def test_all_files_of_a_run_are_standard_json_and_say_who_made_them(undamaged: Path) -> None:
    for name in (CONFIG, RESULTS):
        json.loads((undamaged / name).read_text(), parse_constant=pytest.fail)
    for line in (undamaged / METRICS).read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    made = json.loads((undamaged / CONFIG).read_text())["made_by"]
    assert {"vecgame", "commit", "host", "cpu", "threads", "torch"} <= set(made)
    assert made["threads"] == torch.get_num_threads()
    assert len(read_metrics(undamaged)) == 5


def test_links_in_a_folder_lead_nowhere(folder: Path, capsys) -> None:
    """A run that comes from elsewhere may hold links to one's own files."""
    target = folder.parent / "mine"
    for name in ("lock", METRICS):
        target.write_text("precious")
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).symlink_to(target)
        assert f"{name} is" in refused(folder, capsys)
        assert target.read_text() == "precious"
        (folder / name).unlink()
        (folder / name).write_bytes(kept)


def test_the_log_of_evaluations_is_no_link_either(folder: Path) -> None:
    target = folder.parent / "mine"
    target.write_text("precious")
    (folder / "evaluation.log").symlink_to(target)
    networks = (folder / "network-000002.safetensors", folder / "network-000000.safetensors")
    with pytest.raises(ValueError, match=r"evaluation\.log is a link"):
        BackgroundEvaluation(folder, (2, 1), networks, SMALLEST, torch.device("cpu"))
    assert target.read_text() == "precious"


def test_only_what_a_write_of_the_run_has_left_is_removed(folder: Path) -> None:
    ours = ["checkpoint.safetensors.12.tmp", "network-update-000010.safetensors.7.tmp", "metrics.jsonl.3.tmp"]
    others = ["thesis.tmp", "checkpoint.safetensors.tmp", "notes.12.tmp", "network-mine.safetensors.12.tmp"]
    for name in ours + others:
        (folder / name).touch()
    Run.resume(folder, SMALLEST, quiet()).lock.release()
    assert sorted(path.name for path in folder.glob("*.tmp")) == sorted(others)

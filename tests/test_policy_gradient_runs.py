"""Runs that learn by policy gradient alone, runs that are made longer, and runs of earlier versions that go on."""

import json
import os
import re
import shutil
import signal
import sys
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.runs import changed, ends, flags_of, interrupt_at, metrics_of, quiet, same, start
from veclab.agents.checkpoint import load_tensors, save_tensors
from veclab.agents.folder import CHECKPOINT, CONFIG, METRICS, NEWEST, read_config
from veclab.agents.networks import newest_network, saved_networks
from veclab.arena.ladder import main as ladder_main
from veclab.going_on import for_resume
from veclab.progress import Display
from veclab.report.page import report
from veclab.training import command as train
from veclab.training import judge, policy_gradient
from veclab.training.learner import Learner
from veclab.training.run import Run
from veclab.training.saving import SavedRun
from veclab.training.schedule import FINAL_SHARE, Schedule

GRADIENT = changed(learner="policy-gradient", updates=4, cards="2", average_decay=0.9, device="cpu")
GRADIENT = replace(GRADIENT, magnet=0.1, magnet_rate=0.3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("gradient") / "whole"
    assert Run.create(folder, GRADIENT, quiet()).train()
    return folder


def test_a_run_of_policy_gradient_alone_has_everything(finished: Path) -> None:
    assert [entry["kind"] for entry in metrics_of(finished)] == ["update"] * 4 + ["final evaluation"]
    assert {file.name for file in finished.glob("network-*")} == {
        "network-000000.safetensors",
        "network-update-000004.safetensors",
    }
    results = json.loads((finished / "results.json").read_text())["results"]
    trained = results["trained network alone"]["random"]["player"]
    assert trained["mean"] != results["before training, search 2x4"]["random"]["player"]["mean"]


def test_a_run_says_what_its_game_counts(tmp_path, monkeypatch) -> None:
    file = StringIO()
    monkeypatch.setattr(judge, "evaluate", lambda *_: {})
    settings = replace(GRADIENT, game="kuhn", cards="1", updates=1)
    assert Run.create(tmp_path / "run", settings, Display(Console(file=file, width=200))).train() == {}
    assert re.findall(r"\w+ a game", file.getvalue()) == ["chips a game"] * 2  # against itself, and the table's


@pytest.mark.parametrize("entropies", [(0.3, 0.0015, 0.001, 0.2, 0.0001), (0.3, 0.002, 0.1, 0.1, 0.1)])
def test_a_policy_that_draws_nothing_any_more_is_told_once(entropies, tmp_path, monkeypatch) -> None:
    """As in games with an auction in which to pass is worth 0, and what is bid for is played badly at first."""
    file, left, update = StringIO(), list(entropies), policy_gradient.update
    monkeypatch.setattr(judge, "evaluate", lambda *_: {})
    monkeypatch.setattr(policy_gradient, "update", lambda *given: update(*given) | {"entropy": left.pop(0)})
    settings = replace(GRADIENT, game="kuhn", cards="1", updates=5)
    assert Run.create(tmp_path / "run", settings, Display(Console(file=file, width=300))).train() == {}
    told = [line for line in file.getvalue().splitlines() if "nearly everywhere" in line]
    assert len(told) == (min(entropies) < 0.002)
    assert all("after 2 updates" in line and "entropy 0.0015" in line for line in told)


def test_its_examples_take_no_memory(finished: Path) -> None:
    assert load_tensors(finished / CHECKPOINT)[0]["replay.policy"].shape[0] == 0
    assert SavedRun(finished, GRADIENT, quiet()).buffer.capacity == 0


@pytest.mark.parametrize("checks", [2, 5])
def test_it_is_interrupted_and_goes_on_bit_for_bit(finished: Path, tmp_path, checks: int) -> None:
    folder = tmp_path / "stopped"
    run = Run.create(folder, GRADIENT, quiet())
    interrupt_at(run, checks)
    assert run.train() is None and newest_network(folder).name in (NEWEST, "network-000000.safetensors")
    assert Run.resume(folder, GRADIENT, quiet()).train(judge=False) is not None
    assert same(finished, folder) and metrics_of(finished)[:-1] == metrics_of(folder)


def killed_in_update_3(arguments: list[str]) -> None:
    """train.py with arguments, killed when it has the third update to record."""
    record = Run.record

    def die(run: Run, kind: str, **numbers: object) -> None:
        if run.updates == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        record(run, kind, **numbers)

    Run.record, sys.stdout = die, StringIO()
    train.main(arguments)


@pytest.mark.slow
def test_it_is_killed_and_goes_on_bit_for_bit(finished: Path, tmp_path) -> None:
    folder = tmp_path / "killed"
    assert ends([start(killed_in_update_3, [*flags_of(GRADIENT), f"--run={folder}"])]) == [-signal.SIGKILL]
    assert newest_network(folder).name == NEWEST
    settings = for_resume(read_config(folder), {})
    assert Run.resume(folder, settings, quiet()).train(judge=False) is not None
    assert same(finished, folder) and metrics_of(finished)[:-1] == metrics_of(folder)


@pytest.mark.slow
def test_its_networks_are_evaluated_on_the_way(tmp_path, monkeypatch) -> None:
    """Ten updates count as an iteration, here one; the last network waits for the final evaluation."""
    asked = []

    class Evaluation:
        running = False

        def __init__(self, folder: Path, progress: tuple[int, int], networks: tuple[Path, Path], *_: object) -> None:
            assert all(network.is_file() for network in networks)
            asked.append([network.name for network in networks])
            self.progress = progress

        def results(self) -> dict[str, object]:
            interval = {"mean": 1.0, "half": 0.5}
            match = {"player": interval, "opponents": interval, "lead": interval, "games": 4}
            return {"search 2x4": {"random": match}}

        def stop(self) -> None:
            pass

    monkeypatch.setattr(judge, "BackgroundEvaluation", Evaluation)
    monkeypatch.setattr(judge, "UPDATES_PER_ITERATION", 1)
    settings, folder = replace(GRADIENT, eval_every=2, updates=5), tmp_path / "run"
    run = Run.create(folder, settings, quiet())
    run.train(judge=False)
    first = "network-000000.safetensors"
    assert asked == [["network-update-000002.safetensors", first], ["network-update-000004.safetensors", first]]
    found = [entry for entry in metrics_of(folder) if entry["kind"] == "evaluation"]
    assert [(entry["updates"], entry["iteration"]) for entry in found] == [(2, 0), (4, 0)]
    assert "evaluation of update 4, search 2x4: 1.00 : 1.00 random" in run.display.console.file.getvalue()
    names = [name.split("/")[1] for name in saved_networks([folder], 10)]
    assert names == ["network-000000", *(f"network-update-00000{n}" for n in (2, 4, 5))]
    page = report(folder, 0, quiet())
    assert "Policy gradient" in page and "5 of 5" in page and "Iterations" not in page and "Lead, search 2x4" in page
    assert ladder_main([str(folder), "--cards=2", "--eval-deals=1"]) == 0


@pytest.mark.slow
def test_a_longer_run_goes_on_with_the_rate_that_it_had(finished: Path, tmp_path, monkeypatch) -> None:
    """And with the weight of the entropy, which falls alike."""
    rates, real = [], Learner.set_rate
    weights, update = [], policy_gradient.update

    def keep(learner: Learner, rollout: policy_gradient.Rollout, entropy_weight: float, *rest) -> dict[str, float]:
        weights.append(entropy_weight)
        return update(learner, rollout, entropy_weight, *rest)

    monkeypatch.setattr(policy_gradient, "update", keep)

    def set_rate(learner: Learner, share: float) -> None:
        rates.append(share)
        real(learner, share)

    monkeypatch.setattr(Learner, "set_rate", set_rate)
    folder = tmp_path / "run"
    Run.create(folder, replace(GRADIENT, updates=2), quiet()).train(judge=False)
    Run.resume(folder, replace(GRADIENT, updates=4), quiet()).train(judge=False)
    Run.resume(folder, replace(GRADIENT, updates=5), quiet()).train(judge=False)
    assert rates[0] == 1 and len(rates) == 5 and rates == sorted(rates, reverse=True)
    assert rates[2:] == pytest.approx([FINAL_SHARE] * 3)
    assert weights == pytest.approx([GRADIENT.entropy * rate for rate in rates])


def test_a_longer_run_that_is_stopped_keeps_its_schedule(finished: Path, tmp_path) -> None:
    folder, longer = tmp_path / "run", replace(GRADIENT, updates=6)
    shutil.copytree(finished, folder)
    run = Run.resume(folder, longer, quiet())
    assert run.rates["updates"] == Schedule(4, FINAL_SHARE)
    run.save()
    run.lock.release()
    assert Run.resume(folder, longer, quiet()).rates == run.rates


def test_a_schedule_that_is_made_longer_never_rises() -> None:
    schedule, shares = Schedule(), []
    for until, steps in ((60, 100), (90, 200), (150, 120), (160, 400)):  # each given up for the next one
        begun = len(shares)
        shares += [schedule.at(step, steps) for step in range(begun, until)]
        schedule = schedule.from_here(until, steps)
    assert shares == sorted(shares, reverse=True) and shares[0] == 1
    assert shares[60] == pytest.approx(Schedule().at(60, 100)) and shares[-1] >= FINAL_SHARE
    assert Schedule().at(100, 100) == Schedule().at(101, 100) == FINAL_SHARE


@pytest.mark.slow
def test_a_run_of_an_earlier_version_goes_on(tmp_path) -> None:
    """With the names that it had: warm-up in settings, metrics and checkpoint, and one schedule only."""
    settings = changed(cards="2", device="cpu", update_batch=4096, gae_lambda=1.0)
    whole, folder = tmp_path / "whole", tmp_path / "old"
    Run.create(whole, settings, quiet()).train(judge=False)
    run = Run.create(folder, settings, quiet())
    interrupt_at(run, 12)
    assert run.train() is None
    saved = asdict(settings)
    del saved["learner"], saved["update_epochs"], saved["update_batch"], saved["gae_lambda"]
    for new, old in (("updates", "warmup_updates"), ("update_games", "warmup_games"), ("entropy", "warmup_entropy")):
        saved[old] = saved.pop(new)
    tensors, counters = load_tensors(folder / CHECKPOINT)
    del counters["rates"]
    save_tensors(folder / CHECKPOINT, tensors, {**counters, "settings": saved})
    (folder / CONFIG).write_text(json.dumps(saved))
    lines = re.sub(r', "crc32": "\w+"', "", (folder / METRICS).read_text())
    (folder / METRICS).write_text(lines.replace('"update",', '"warm-up",'))
    assert train.main(["--resume", str(folder), "--eval-deals=1"]) == 0
    assert same(whole, folder)
    kinds = [entry["kind"] for entry in metrics_of(folder)]
    assert kinds == ["update", "update", "iteration", "iteration", "final evaluation"]

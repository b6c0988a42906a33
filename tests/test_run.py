"""Whole runs: they finish, stop, are killed, and go on as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from rich.console import Console

from net import InferenceNet
from tests.runs import TINY, changed, flags_of, interrupt_at, metrics_of, quiet, same
from veclab import precision
from veclab.agents.checkpoint import load_network
from veclab.agents.folder import CHECKPOINT, METRICS, NEWEST, RESULTS, read_config
from veclab.agents.networks import network_config
from veclab.arena.evaluate import main as evaluate_main
from veclab.arena.evaluate import make_players
from veclab.files import DIGEST, sealed
from veclab.going_on import for_resume
from veclab.progress import Display, duration
from veclab.training import command as train
from veclab.training import heading as heading_module
from veclab.training import judge as judge_module
from veclab.training import policy_gradient, state
from veclab.training import run as run_module
from veclab.training.curves import player_of
from veclab.training.heading import heading
from veclab.training.judge import Judge
from veclab.training.learner import Learner
from veclab.training.run import Run
from veclab.training.schedule import Schedule


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    assert Run.create(folder, TINY, quiet()).train() is not None
    return folder


def test_a_finished_run_has_everything(finished: Path) -> None:
    kinds = [entry["kind"] for entry in metrics_of(finished)]
    assert kinds == ["update", "update", "iteration", "iteration", "final evaluation"]
    stored = json.loads((finished / RESULTS).read_text())
    assert stored["games"] == [{"game": "blob", "rules": {"cards": cards}} for cards in (1, 2)]
    results = stored["results"]
    assert [name.split(",")[0] for name in results] == ["before training", "trained network alone", "trained"]
    assert all(list(row) == ["random", "rule-based", "flat Monte Carlo"] for row in results.values())
    assert json.loads((finished / "config.json").read_text())["settings"] == vars(TINY)
    first, last = (load_network(finished / f"network-{n:06d}.safetensors") for n in (0, 2))
    assert not torch.equal(first.policy_out.weight, last.policy_out.weight)
    entry = metrics_of(finished)[2]
    assert entry["games"] == 12 and entry["evaluations"] > entry["examples"] > 12
    assert entry["examples_learned"] == 2 * entry["examples"]


def test_rate_and_entropy_fall_over_each_learners_steps_and_every_step_has_an_order_of_its_own(
    tmp_path, monkeypatch
) -> None:
    settings = changed(cards="1", updates=3, iterations=3, learning_rate=2e-3, entropy=0.05, gae_lambda=0.7)
    rates, entropies, seeds, lambdas = [], [], [], []
    play, update, learn = policy_gradient.play, policy_gradient.update, run_module.learn

    def playing(*arguments, gae_lambda):
        lambdas.append(gae_lambda)
        return play(*arguments, gae_lambda=gae_lambda)

    def updating(learner, rollout, entropy, seed, *rest):
        entropies.append(entropy)
        return noted(update, seed, learner, rollout, entropy, seed, *rest)

    def learning(learner, buffer, new, seed, *rest):
        return noted(learn, seed, learner, buffer, new, seed, *rest)

    def noted(step, seed, learner, *rest):
        rates.append(learner.optimizer.param_groups[0]["lr"])
        seeds.append(seed)
        return step(learner, *rest)

    monkeypatch.setattr(policy_gradient, "play", playing)
    monkeypatch.setattr(policy_gradient, "update", updating)
    monkeypatch.setattr(run_module, "learn", learning)
    run = Run.create(tmp_path / "run", settings, quiet())
    run.rates["iterations"] = Schedule(share=0.5)  # as of one that was made longer
    run.train(judge=False)
    shares = [Schedule().at(step, 3) for step in range(3)]
    later = [Schedule(share=0.5).at(step, 3) for step in range(3)]
    assert rates == pytest.approx([2e-3 * share for share in shares + later])
    assert entropies == pytest.approx([0.05 * share for share in shares])
    assert len(set(seeds)) == 6 and lambdas == [0.7] * 3


def test_each_evaluation_that_a_run_owes_is_found_once(tmp_path) -> None:
    """The network at the end of policy gradient is the one at the start of search, in two files."""
    run = Run.create(tmp_path / "run", changed(eval_every=1, updates=10, iterations=3), quiet())
    run.updates, run.iteration = 10, 2
    for progress in ((10, 0), (10, 1), (10, 2)):
        run._write_network(run.network_path(progress))
    judge = Judge(run, check=lambda: None)
    judge.find_due()
    assert judge.due == [(10, 0), (10, 1), (10, 2)]
    run.record("evaluation", updates=10, iteration=1, results={})
    judge.find_due()
    assert judge.due == [(10, 0), (10, 2)]
    run.iteration = 3
    run._write_network(run.network_path((10, 3)))
    judge.find_due()
    assert judge.due == [(10, 0), (10, 2)]  # the last one is evaluated in the end


def test_what_an_evaluation_found_is_told_of_the_search(tmp_path) -> None:
    run = Run.create(tmp_path / "run", changed(), quiet())
    interval = {"mean": 1.0, "half": 0.5}
    match = {"player": interval, "opponents": interval, "lead": interval, "games": 4}
    results = {name: {"random": match} for name in ("network alone", "search 2x4")}
    Judge(run, check=lambda: None)._take_in(SimpleNamespace(progress=(2, 1), results=lambda: results))
    assert "evaluation of iteration 1, search 2x4: 1.00 : 1.00 random" in run.display.console.file.getvalue()
    entry = metrics_of(run.folder)[-1]
    assert (entry["kind"], entry["updates"], entry["iteration"], entry["results"]) == ("evaluation", 2, 1, results)


@pytest.mark.parametrize("candidates", [0, 12])
def test_players_of_the_end_are_called_as_beside_the_run(candidates: int, tmp_path, monkeypatch) -> None:
    """Or their curves would break in two."""
    settings, names = changed(candidates=candidates), []
    run = Run.create(tmp_path / "run", settings, quiet())
    run._write_network(run.network_path((0, 0)))
    monkeypatch.setattr(judge_module, "evaluate", lambda _, players, *more: names.extend(p.name for p in players) or {})
    Judge(run, check=lambda: None).finish(0.0)
    beside = [player.name for player in make_players(InferenceNet(run.learner.net), ("search", "alone"), settings)]
    assert [player_of(name, 9) for name in names] == list(zip([beside[0], *beside[::-1]], (0, 9, 9), strict=True))


def test_averaged_weights_are_judged_at_the_end(tmp_path, monkeypatch) -> None:
    run, players = Run.create(tmp_path / "run", changed(average_decay=0.9), quiet()), []
    run._write_network(run.network_path((0, 0)))
    torch.nn.init.normal_(run.learner.net.policy_out.weight)
    monkeypatch.setattr(judge_module, "evaluate", lambda _, given, *more: players.extend(given) or {})
    Judge(run, check=lambda: None).finish(0.0)
    observation = torch.rand(3, run.games[0].features)
    networks = (players[0].evaluator, players[1].network, players[2].evaluator)
    for network in networks:  # of which nothing was learned yet
        expected = run.learner.averaged()(observation)[0]
        torch.testing.assert_close(network(observation)[0], expected, rtol=0.1, atol=0.05)


def test_evaluations_play_those_that_are_asked_for(finished: Path, tmp_path, monkeypatch) -> None:
    """Beside the run and at its end, whose results of before are of others."""
    folder, played, called, display = tmp_path / "run", [], [], quiet()
    shutil.copytree(finished, folder)
    monkeypatch.setattr(judge_module, "evaluate", lambda _, __, bots, *___: played.extend(b.name for b in bots) or {})
    monkeypatch.setattr("subprocess.Popen", lambda command, **_: called.extend(command) or Mock())
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    settings = replace(TINY, eval_opponents="rules, random")
    run = Run.resume(folder, settings, display)
    run.judge._start_evaluation(run.progress).log.close()
    run.train()
    assert played == ["random", "rule-based"] and "finished before" not in display.console.file.getvalue()
    assert json.loads((folder / RESULTS).read_text())["opponents"] == ["random", "rules"]
    assert called[(at := called.index("--opponents")) : at + 3] == ["--opponents", "random", "rules"]


@pytest.mark.parametrize(
    ("game", "asked", "message"),
    [
        ("blob", "random,rulez", "--eval-opponents: there is no bot 'rulez'; the nearest is rules; there are random"),
        ("blob", "random,", "--eval-opponents: there is no bot ''; there are random, rules, flat"),
        ("kuhn", "rules", "--eval-opponents rules: the rule-based player knows blob, hearts"),
    ],
)
def test_opponents_of_evaluations_that_there_are_not_are_refused_at_once(game, asked, message, tmp_path) -> None:
    told = {} if game == "blob" else {"game": game, "cards": "1"}
    with pytest.raises(ValueError, match=message):
        Run.create(tmp_path / "run", changed(eval_opponents=asked, **told), quiet())


@pytest.mark.parametrize("left", ["network-000003.safetensors", NEWEST, METRICS, RESULTS])
def test_a_run_is_not_begun_amid_what_another_has_left(left: str, tmp_path) -> None:
    (tmp_path / left).touch()
    with pytest.raises(ValueError, match=f"already holds {left} of another run; move that away, or name another --run"):
        Run.create(tmp_path, TINY, quiet())
    assert [path.name for path in tmp_path.iterdir()] == [left]


@pytest.mark.parametrize("of_this_run", [True, False])
def test_only_results_of_the_runs_own_network_are_those_of_before(of_this_run, finished, tmp_path, monkeypatch) -> None:
    """Not those of another run of as many steps, by whatever way they came into its folder."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    stored = json.loads((folder / RESULTS).read_text())
    del stored[DIGEST]
    (folder / RESULTS).write_bytes(sealed(stored if of_this_run else {**stored, "network": 64 * "0"}))
    monkeypatch.setattr(judge_module, "evaluate", lambda *_: {})
    display = quiet()
    Run.resume(folder, TINY, display).train()
    assert ("The run was finished before" in display.console.file.getvalue()) == of_this_run
    assert json.loads((folder / RESULTS).read_text())["network"] == stored["network"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(finished: Path, tmp_path) -> None:
    Run.create(tmp_path / "again", TINY, quiet()).train()
    assert same(finished, tmp_path / "again")
    assert metrics_of(finished) == metrics_of(tmp_path / "again")


@pytest.mark.parametrize("checks", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 9, 20)), 33])
def test_an_interrupted_run_goes_on_bit_for_bit(finished: Path, tmp_path, checks: int) -> None:
    """Ctrl+C after some number of safe points, in policy gradient, in self-play or while learning."""
    folder = tmp_path / "stopped"
    run = Run.create(folder, TINY, quiet())
    interrupt_at(run, checks)
    assert run.train() is None
    assert f"--resume {folder}" in run.display.console.file.getvalue()
    assert not same(finished, folder)
    judged = checks == 33  # one of them to the end of its final evaluation, which takes most of a tiny run's time
    assert Run.resume(folder, TINY, quiet()).train(judged) is not None
    assert same(finished, folder)
    assert (metrics_of(finished) if judged else metrics_of(finished)[:-1]) == metrics_of(folder)


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path) -> None:
    """SIGKILL to a real process, some way into its work."""
    command = [sys.executable, "train.py", *flags_of(changed(iterations=4))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[1]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, "--run", str(whole)], cwd=root, env=environment, check=True, capture_output=True)
    process = subprocess.Popen([*command, "--run", str(killed)], cwd=root, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (killed / METRICS).exists() and "iteration" in (killed / METRICS).read_text().split('"kind": ')[-1]:
            break
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / RESULTS).exists()
    resume = [sys.executable, "train.py", "--resume", str(killed)]
    subprocess.run(resume, cwd=root, env=environment, check=True, capture_output=True)
    assert same(whole, killed)
    assert metrics_of(whole) == metrics_of(killed)


@pytest.mark.slow
def test_evaluations_run_beside_training(tmp_path) -> None:
    """Every few iterations another process plays the bots and the first network; their results reach the metrics."""
    settings = changed(eval_every=1, learner="search")
    display = quiet()
    Run.create(tmp_path / "run", settings, display).train(judge=False)
    entries = [entry for entry in metrics_of(tmp_path / "run") if entry["kind"] == "evaluation"]
    assert [(entry["updates"], entry["iteration"]) for entry in entries] == [(0, 1)]
    searcher = entries[0]["results"]["search 2x4"]
    assert list(searcher)[:3] == ["random", "rule-based", "flat Monte Carlo"]
    assert list(searcher)[3] == "search with network-000000"
    assert "evaluation of iteration 1" in display.console.file.getvalue()


def test_a_run_that_goes_on_takes_no_larger_chunks_than_fit_a_gpu_now(tmp_path) -> None:
    """They are those of before as long as there is room, for the rounding hangs on them."""
    run = Run.create(tmp_path / "run", TINY, quiet())
    tensors, counters = run._state()
    run.device = torch.device("cuda")
    for fit, goes_on_with in (([50, 400], [50, 300]), ([1000, 1000], [200, 300])):
        run.chunks = fit
        run._load_state(tensors, counters | {"device": "cuda", "chunks": [200, 300]})
        assert run.chunks == goes_on_with


def test_a_checkpoint_of_another_network_gets_one_line(finished: Path) -> None:
    with pytest.raises(ValueError, match=r"does not fit the run's config\.json") as caught:
        Run.resume(finished, changed(values=1), quiet())
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_gets_one_line(finished: Path, tmp_path, capsys) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "config.json").write_text((finished / "config.json").read_text())
    (folder / CHECKPOINT).write_bytes((finished / CHECKPOINT).read_bytes()[:1000])
    assert train.main(["--resume", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_scalar_network_trains(tmp_path) -> None:
    settings = changed(values=1, iterations=1, cards="2")
    assert Run.create(tmp_path / "scalar", settings, quiet()).train(judge=False) is not None
    assert load_network(tmp_path / "scalar" / "network-000001.safetensors").config.values == 1


def test_a_run_begins_with_a_saved_network(finished: Path, tmp_path) -> None:
    saved = finished / "network-000002.safetensors"
    changes = {"initial_network": str(saved), "average_decay": 0.9, "learner": "search", "iterations": 1}
    Run.create(tmp_path / "second", changed(**changes), quiet()).train(judge=False)
    first, last = (load_network(tmp_path / "second" / f"network-{n:06d}.safetensors") for n in (0, 1))
    for name, weight in load_network(saved).state_dict().items():
        assert torch.equal(first.state_dict()[name], weight)
    assert not torch.equal(first.policy_out.weight, last.policy_out.weight)


def test_a_run_stopped_before_its_first_save_still_begins_with_the_saved_network(finished: Path, tmp_path) -> None:
    saved, folder = finished / "network-000002.safetensors", tmp_path / "early"
    settings = changed(initial_network=str(saved), learner="search", iterations=1)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(vars(settings)))
    Run.resume(folder, settings, quiet()).lock.release()
    first = load_network(folder / "network-000000.safetensors")
    assert torch.equal(first.policy_out.weight, load_network(saved).policy_out.weight)


def test_a_run_goes_on_where_its_precision_cannot_be_computed(tmp_path, monkeypatch, capsys) -> None:
    """As one that was begun on a GPU in 8 bits and goes on on a CPU: told how, and then in the arithmetic of there."""
    folder, settings = tmp_path / "run", changed(learner="search", iterations=1, precision="float8", device="cpu")
    with monkeypatch.context() as gpu:
        gpu.setattr(state, "check_precision", lambda precision, device: None)
        Run.create(folder, settings, quiet()).lock.release()
    assert train.main(["--resume", str(folder)]) == 2
    assert "(a run that has float8 goes on there with --precision auto)" in capsys.readouterr().err
    for given, said in (({"precision": "auto"}, True), ({}, False)):
        run = Run.resume(folder, for_resume(read_config(folder), given), quiet())
        run.lock.release()
        told = run.display.console.file.getvalue()
        assert ("from here on the network plays by --precision auto; before, by float8\n" in told) is said
        run.save()
        assert run._player() is not None


@pytest.mark.parametrize(
    ("native", "told"),
    [
        (torch.bfloat16, "played in bfloat16 and learned"),
        (
            torch.float32,
            "and, searched, in bfloat16 (for which cpu has no instructions: auto is float32) and",
        ),
    ],
)
def test_a_run_tells_of_arithmetic_that_its_processor_is_slow_at(native: torch.dtype, told: str, monkeypatch) -> None:
    for module in (heading_module, precision):
        monkeypatch.setattr(module, "default_inference_dtype", lambda device: native)
    settings = replace(TINY, precision="bfloat16", updates=1, iterations=1)
    learner = Learner(settings, network_config(settings.network, settings.games()[0]), torch.device("cpu"))
    assert told in heading(Path("run"), settings, learner)


def test_an_initial_network_of_other_sizes_gets_one_line(finished: Path, tmp_path, capsys) -> None:
    saved = finished / "network-000002.safetensors"
    folder = tmp_path / "none"
    assert train.main(["--initial-network", str(saved), "--values", "1", "--run", str(folder)]) == 2
    assert "other sizes than the run's: dim 128, not 256, " in (error := capsys.readouterr().err)
    assert error.count("\n") == 1
    assert not folder.exists()


@pytest.mark.slow
def test_the_evaluation_command(finished: Path, tmp_path, capsys) -> None:
    output = tmp_path / "result.json"
    network = str(finished / "network-000002.safetensors")
    flags = ["--eval-deals", "2", "--cards", "2", "--simulations", "4", "--device", "cpu"]
    assert evaluate_main([str(finished), *flags, "--json", str(output), "--against", network]) == 0  # a run: its newest
    shown = " ".join(capsys.readouterr().out.split())
    assert "rule-based" in shown and "network-000002.safetensors" in shown and "8 games a pairing, 2 cards" in shown
    assert json.loads(output.read_text())["results"]["search 3x4"]["random"]["games"] == 8
    assert evaluate_main([str(tmp_path / "none.safetensors"), *flags]) == 2
    assert "is not a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(42.9, "42 s"), (190, "3 min 10 s"), (5 * 3600 + 12 * 60, "5 h 12 min"), (3 * 86400 + 4 * 3600, "3 d 4 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_falls_back_to_plain_lines(monkeypatch) -> None:
    monkeypatch.setattr("veclab.progress.LINE_SECONDS", 0.0)
    display = quiet()
    display.run_left = "run: 3 s left"
    with display.task("self-play 1", 100, "games") as task:
        time.sleep(0.01)
        task.update(50, evaluations=1000)
    line = display.console.file.getvalue()
    assert "self-play 1: 50 of 100 games" in line
    assert "games/min" in line and "evaluations/s" in line and "run: 3 s left" in line
    assert "\x1b" not in line


def test_progress_draws_bars_on_a_terminal() -> None:
    display = Display(Console(file=StringIO(), force_terminal=True, width=120))
    with display.task("learning 1", 100, "examples") as task:
        task.update(50, examples=50)
    assert "learning 1" in display.console.file.getvalue() and "━" in display.console.file.getvalue()


@pytest.mark.parametrize(("change", "flag"), [({"compile": True}, "--compile"), ({"graphs": False}, "--no-graphs")])
def test_what_only_a_gpu_can_do_is_refused_on_a_cpu(tmp_path, change: dict[str, bool], flag: str) -> None:
    with pytest.raises(
        ValueError, match=f"^{flag} is for GPUs; leave it out on cpu, .* there with --(no-compile|graphs)"
    ):
        Run.create(tmp_path / "run", changed(**change, device="cpu"), quiet())
    assert not (tmp_path / "run").exists()

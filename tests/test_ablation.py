"""The comparisons of options: their arithmetic by hand, and small runs of both commands."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import veclab.agents
from net import PRESETS, BlobNet, InferenceNet
from vecgame import Blob
from veclab.agents.checkpoint import save_network
from veclab.arena.bots import NetworkPlayer, RandomBot, RolloutPlayer
from veclab.arena.intervals import Interval
from veclab.bench import ablation, searches
from veclab.bench.ablation import BASELINE, Trained, gain, report
from veclab.bench.compared import t_95
from veclab.bench.learners import Vecgame
from veclab.progress import silent
from veclab.training.run import Run


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(0)
    save_network(tmp_path / "start.safetensors", BlobNet(PRESETS["small"]), {"game": "blob"})
    return tmp_path / "start.safetensors"


def runs(option: str, leads: list[float]) -> list[Trained]:
    return [Trained(option, seed, 5, 10.0, lead, 2 * lead) for seed, lead in enumerate(leads)]


def test_a_gain_by_hand() -> None:
    """Differences 0.3, 0.5 and 0.7: mean 0.5, standard deviation 0.2, and 4.30 * 0.2 / sqrt(3)."""
    ours, baseline = runs("PUCT 3x8", [1.3, 2.5, 0.7]), runs(BASELINE, [1.0, 2.0, 0.0])
    mean, half = gain(ours, baseline, "alone")
    assert mean == pytest.approx(0.5) and half == pytest.approx(4.30 * 0.2 / math.sqrt(3))
    assert gain(ours, baseline, "searching")[0] == pytest.approx(1.0)
    assert gain(ours[:1], baseline[:1], "alone") == (pytest.approx(0.3), math.inf)
    assert gain(ours[:2], baseline[::-1], "alone")[0] == pytest.approx(0.4)  # seed by seed, whatever else there is


@pytest.mark.parametrize(("freedom", "t"), [(1, 12.71), (9, 2.26), (10, 2.228), (15, 2.131), (30, 2.042), (500, 1.965)])
def test_students_t(freedom: int, t: float) -> None:
    assert t_95(freedom) == pytest.approx(t, abs=0.003)


def test_the_report_has_every_option_once() -> None:
    _, rows = report([*runs(BASELINE, [1.0, 2.0]), *runs("PUCT 3x8", [1.0, 3.0])])
    assert [row["option"] for row in rows] == [BASELINE, "PUCT 3x8"]
    assert rows[0]["alone_gain"] == 0 and rows[1]["alone_gain"] == 0.5


@pytest.mark.parametrize("option", ablation.OPTIONS)
def test_options_are_settings(option: str, network) -> None:
    settings = ablation.settings_of(option, network, "5", seed=3, length=7)
    assert 7 in (settings.iterations, settings.updates) and settings.seed == 3
    for name, value in ablation.OPTIONS[option].items():
        assert name == "updates" or getattr(settings, name) == value


@pytest.mark.slow
def test_an_ablation_trains_and_plays(network, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(ablation.BASE, "games_per_iter", 8)
    monkeypatch.setattr(ablation, "SEARCH", ablation.SearchConfig(worlds=1, simulations=2))
    result = ablation.run_one("PUCT 3x8", network, "2", 1, seconds=0.5, deals=2)
    assert result.length >= 1 and result.seconds > 0
    again = ablation.run_one("PUCT 3x8", network, "2", 1, seconds=0.5, deals=2, length=result.length)
    assert (again.alone, again.searching) == (result.alone, result.searching)


@pytest.mark.parametrize(
    "learn",
    [
        lambda network, folder: ablation.train(ablation.settings_of(BASELINE, network, "2", 1, 3), folder / "run"),
        lambda network, folder: Vecgame(2, seed=1).learn(60.0),
    ],
)
def test_a_run_that_is_stopped_is_no_result(learn, network, tmp_path, monkeypatch) -> None:
    """A run ends at the next step after Ctrl+C, and saves what it is then."""

    def stopped(run: Run) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        run.check()

    monkeypatch.setattr(Run, "_work", stopped)
    with pytest.raises(KeyboardInterrupt):
        learn(network, tmp_path)


@pytest.fixture
def played(monkeypatch) -> list[tuple[str, int, int]]:
    """Has runs cost nothing: those that were made, an option, seed and length each."""
    made = []

    class Pool:
        """Does the work at once, in this process."""

        def __init__(self, *_, **__) -> None: ...
        def shutdown(self) -> None: ...
        def submit(self, work, *arguments):
            future = ablation.Future()
            future.set_result(work(*arguments))
            return future

    def run_one(option, start, cards, seed, seconds, deals, length=0):
        made.append((option, seed, length))
        return Trained(option, seed, length or 7, seconds, float(seed), 2.0)

    monkeypatch.setattr(ablation, "_Pool", Pool)
    monkeypatch.setattr(ablation, "run_one", run_one)
    return made


def test_a_file_keeps_runs_and_their_terms(played, network, tmp_path, capsys) -> None:
    out = tmp_path / "ablation.json"
    few = [str(network), "--options", "PUCT 3x8", "--json", str(out)]
    assert ablation.main([*few, "--seeds", "1"]) == 0
    assert played == [(BASELINE, 1, 0), ("PUCT 3x8", 1, 0)]
    assert ablation.main([*few, "--seeds", "2"]) == 0
    assert played[2:] == [(BASELINE, 2, 7), ("PUCT 3x8", 2, 7)]  # what there is, is not run again
    stored = json.loads(out.read_text())
    assert [row["alone"] for row in stored["results"]] == [1.5, 1.5] and len(stored["runs"]) == 4
    assert ablation.main([*few, "--seconds", "5"]) == 2
    assert "was made with other terms: seconds (file: 120, here: 5.0); name another" in capsys.readouterr().err
    out.write_text("{}")
    assert ablation.main(few) == 2
    assert "holds no ablation" in capsys.readouterr().err


def test_a_file_goes_on_with_fewer_seeds_and_another_option(played, network, tmp_path) -> None:
    """The option's gain is over the baseline's runs of the same seeds, and the others are kept."""
    out = tmp_path / "ablation.json"
    flags = [str(network), "--json", str(out), "--options"]
    assert ablation.main([*flags, "PUCT 3x8", "--seeds", "3"]) == 0
    assert ablation.main([*flags, "Gumbel 3x8", "--seeds", "2"]) == 0
    assert played[6:] == [("Gumbel 3x8", 1, 0), ("Gumbel 3x8", 2, 7)]
    stored = json.loads(out.read_text())
    assert len(stored["runs"]) == 8 and set(stored["settings"]) == {BASELINE, "PUCT 3x8", "Gumbel 3x8"}
    assert [(row["option"], len(row["lengths"])) for row in stored["results"]] == [(BASELINE, 2), ("Gumbel 3x8", 2)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _, patch: patch.setitem(ablation.BASE, "learning_rate", 0.5), "learning_rate (file: 0.001, here: 0.5)"),
        (lambda _, patch: patch.delitem(ablation.OPTIONS, "PUCT 3x8"), "'PUCT 3x8', which is no option here"),
        (lambda start, _: save_network(start, BlobNet(PRESETS["small"]), {"game": "blob"}), "terms: start (file: "),
    ],
)
def test_a_file_goes_on_with_the_same_only(change, said, played, network, tmp_path, monkeypatch, capsys) -> None:
    """From the same network, by settings that are the same though the option is called the same."""
    flags = [str(network), "--seeds", "1", "--json", str(tmp_path / "ablation.json"), "--options"]
    assert ablation.main([*flags, "PUCT 3x8"]) == 0
    change(network, monkeypatch)
    assert ablation.main([*flags, "Gumbel 3x8"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and len(played) == 2


def test_searches_of_several_numbers_of_cards_have_intervals_by_each() -> None:
    """How a lead, and a gain, differ with the cards is no chance."""
    games, deals = [Blob(cards=1), Blob(cards=8)], 41
    makers = {"random": lambda _: RandomBot(), "again": lambda network: NetworkPlayer(network, sample=True)}
    torch.manual_seed(0)
    ways = searches.measure(makers, InferenceNet(BlobNet(PRESETS["small"])), games, deals, 1, silent())
    rows = searches.rows_of(ways)
    assert rows[0]["gain"] == {"mean": 0, "half": 0}  # over itself
    gain = Interval.of(ways[1].lead - ways[0].lead, [21, 20])
    told = [(row["lead"], Interval.of(way.lead, [21, 20])) for row, way in zip(rows, ways, strict=True)]
    assert all(row == asdict(interval) for row, interval in [*told, (rows[1]["gain"], gain)])


@pytest.mark.slow
def test_searches_on_the_same_deals(network, tmp_path, monkeypatch) -> None:
    out = tmp_path / "searches.json"
    names = ["PUCT 3x30", "SO-ISMCTS 90"]
    assert searches.main([str(network), "--searches", *names, "--cards", "1", "--deals", "2", "--json", str(out)]) == 0
    first, second = json.loads(out.read_text())["results"]
    assert (first["name"], second["name"]) == tuple(names)
    assert first["gain"] == {"mean": 0, "half": 0} and first["evaluations"] > 0  # over itself
    flags = [str(network), "--searches", names[1], "--cards", "3", "--deals", "2", "--json", str(out)]
    rows = [searches.main([*flags, "--seed", seed]) or json.loads(out.read_text())["results"] for seed in "112"]
    leads = [row["lead"] for _, row in rows]
    assert leads[0] == leads[1] != leads[2]  # other deals


def test_searches_of_another_game(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Partners, and cards that change hands: worlds by likelihood are refused, or left out if nobody asks for them."""
    agent, out = str(Path(veclab.agents.__file__).with_name("euchre.safetensors")), tmp_path / "searches.json"
    assert searches.main([agent, "--searches", "rollouts, 32 of 128"]) == 2
    said = (
        "error: no search 'rollouts, 32 of 128' here: rollouts in 32 of 128 worlds: in this euchre cards change hands"
    )
    assert said in capsys.readouterr().err
    played = {name: searches.PUCT for name in searches.CONFIGS if "of" not in name}
    played["rollouts, 32 of 128"] = searches.ROLLOUTS
    monkeypatch.setattr(searches, "CONFIGS", played)
    monkeypatch.setattr(searches, "player_of", stand_in)
    assert searches.main([agent, "--deals", "2", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert "2 x network alone" in found["title"] and found["games"][0]["game"] == "euchre"
    assert [row["name"] for row in found["results"]] == [name for name in played if "of" not in name]


def stand_in(network: object, config: object) -> RandomBot | RolloutPlayer:
    """A player that costs nothing where there would be one."""
    return RolloutPlayer(network, config) if getattr(config, "candidates", 0) else RandomBot()


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (ablation.main, ["nowhere"], "nowhere"),
        (ablation.main, ["nowhere", "--seeds", "0"], "--seeds must be above 0"),
        (ablation.main, ["nowhere", "--seconds", "inf"], "--seconds must be above 0 and finite, got inf"),
        (searches.main, ["nowhere"], "nowhere"),
        (searches.main, ["nowhere", "--deals", "1"], "--deals must be at least 2"),
    ],
)
def test_errors_are_one_line(command, arguments, message, capsys) -> None:
    assert command(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_workers_see_no_interrupt_not_even_while_they_load() -> None:
    """A terminal's Ctrl+C goes to all of its processes; what is blocked when a process is started stays so."""
    with ablation.workers(1) as pool:
        assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


ALONE = """
import os, time
from veclab.bench import ablation
if __name__ == "__main__":
    with ablation.workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_command(stop: signal.Signals, tmp_path: Path) -> None:
    """They had gone on training, and then waited for more for good."""
    (tmp_path / "alone.py").write_text(ALONE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(tmp_path / "alone.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        worker = int(process.stdout.readline())
        process.send_signal(stop)
        process.wait(20)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()

"""bench.py: every benchmark runs, and its figures are what they say."""

import json

import pytest
import torch

import bench
from benchmarks.measure import Utilisation, timed
from benchmarks.parts import multiply_adds
from benchmarks.selfplay import PHASES, measure_self_play, network_seconds
from net import BlobNet, InferenceNet, NetConfig
from vecgame import Blob
from vecmcts import SearchConfig

CPU = torch.device("cpu")
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


@pytest.mark.parametrize("what", ["self-play", *bench.BENCHES])
def test_every_benchmark_runs(what: str, tmp_path, capsys) -> None:
    path = tmp_path / "figures.json"
    flags = ["--quick", "--repeats", "1", "--network", "small", "--cards", "2", "--device", "cpu", "--json", str(path)]
    assert bench.main([what, *flags]) == 0
    assert "PyTorch" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["what"] == what
    assert {"device", "torch", "threads", "command", "date"} <= written["environment"].keys()
    rates = [figure.get("per_second", figure.get("games_per_minute")) for figure in written["figures"]]
    assert rates and all(rate > 0 for rate in rates)


def test_self_play_figures_add_up() -> None:
    network = InferenceNet(BlobNet(SMALL))
    row = measure_self_play(Blob(cards=3), network, SearchConfig(worlds=2, simulations=6), 20, CPU)
    assert sum(row.shares.values()) == pytest.approx(1)
    assert set(row.shares) == set(PHASES) and all(share > 0 for share in row.shares.values())
    assert row.evaluations_per_second == pytest.approx(row.evaluations_per_game * row.games_per_minute / 60)
    assert row.mean_batch * row.requests == pytest.approx(20 * row.evaluations_per_game)
    assert row.mean_batch <= row.max_batch <= 20 * 2
    assert row.gpu is None and 0 < row.cpu <= 1.5


def test_the_limit_is_the_time_of_the_same_requests() -> None:
    asked: list[int] = []

    def network(rows: torch.Tensor, mask: torch.Tensor) -> None:
        asked.append(len(rows))

    assert network_seconds(network, [[5, 9, 2]], CPU) > 0
    assert asked == [16, 5, 9, 2]  # all together first, in batches of at most 2,048
    asked.clear()
    network_seconds(network, [[3000, 2], [7]], CPU)
    assert asked[:2] == [2048, 961] and sorted(asked[2:]) == [2, 7, 3000]


def test_multiply_adds_of_the_documents_network() -> None:
    """The design's 3.7 million of the folded form."""
    assert multiply_adds(NetConfig()) == pytest.approx(3.7e6, rel=0.01)


def test_timing_takes_the_median_after_the_warm_up() -> None:
    calls: list[int] = []
    timing = timed(lambda: calls.append(1), CPU, repeats=5, warmup=2)
    assert len(calls) == 7 and timing.repeats == 5
    assert timing.low <= timing.median <= timing.high


def test_utilisation_counts_busy_cores() -> None:
    with Utilisation(CPU) as used:
        used.sample()
        total = sum(range(3_000_000))
    assert total and used.cpu > 0 and used.gpu is None


def test_verdict_names_the_documents_criteria() -> None:
    text = bench.verdict(600.0, 40_000.0)
    assert "target (> 500): met" in text and "stretch (> 1000): missed" in text
    assert "5 d 18 h of self-play" in text  # 5 million games at 600 a minute
    assert "5 h 33 min of learning" in text  # 800 million examples at 40,000 a second


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cards", "14"], "cards must be an integer from 1 to 13"),
        (["--batches", "0"], "--batches must be at least 1"),
        (["--device", "tpu"], "device must be"),
        (["net", "--repeats", "0"], "--repeats and --batches must be at least 1"),
    ],
)
def test_bad_flags_get_one_line(flags: list[str], message: str, capsys) -> None:
    assert bench.main(flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_missing_openspiel_is_said_and_the_rest_runs(monkeypatch, capsys) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyspiel", None)
    assert bench.main(["engine", "--quick", "--cards", "2", "--device", "cpu", "--repeats", "1"]) == 0
    output = capsys.readouterr().out
    assert "OpenSpiel is not installed" in output and "random games" in output

"""bench.py: every benchmark runs, and its figures are what they say."""

import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from itertools import chain
from types import SimpleNamespace

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig, int8_available
from tests.small_benches import small
from vecgame import Blob, Game, Kuhn, identity, make_game
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.bench import command as bench
from veclab.bench import plot, selfplay, strategies, sweep
from veclab.bench.measure import Utilisation, timed
from veclab.bench.parts import multiply_adds
from veclab.bench.people import WORLDS, ways_of
from veclab.bench.selfplay import LIMIT_REPEATS, PHASES, Counted, Play, detail, network_timing, timed_self_play
from veclab.bench.tables import verdict
from veclab.cores import cores
from veclab.play import thinking_as_usual
from veclab.table.agents import make_agent
from veclab.table.session import Settings as TableSettings
from vecmcts import SearchConfig

CPU = torch.device("cpu")
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


@pytest.mark.parametrize(
    "what", [what for what in bench.BENCHES if what not in ("strategies", "peers", "agreement", "people")]
)
@pytest.mark.slow
def test_every_benchmark_runs(what: str, tmp_path, capsys) -> None:
    path = tmp_path / "figures.json"
    assert bench.main([*small(what), "--cards", "2", "--json", str(path)]) == 0
    assert "PyTorch" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["what"] == what
    assert {"device", "torch", "threads", "command", "date"} <= written["environment"].keys()
    rates = [figure.get("per_second", figure.get("games_per_minute")) for figure in written["figures"]]
    assert rates and all(rate > 0 for rate in rates)


@pytest.mark.slow
@pytest.mark.parametrize("game", [["--game", "euchre"], ["--rules", "players=3", "--cards", "2"]])
def test_self_play_of_other_games(game: list[str], tmp_path, capsys) -> None:
    """With a network for their observations, and no verdict on the document's criteria, which are for its own game."""
    path = tmp_path / "figures.json"
    flags = ["--quick", "--network", "small", "--simulations", "2", "--device", "cpu", "--repeats", "1"]
    assert bench.main(["self-play", *game, *flags, "--batches", "4", "--json", str(path)]) == 0
    row, learner = json.loads(path.read_text())["figures"]
    assert row["games_per_minute"] > 0 and 0 < row["share_by_rows"] < 1 and learner["per_second"] > 0
    assert "criteria" not in capsys.readouterr().out


def test_a_limit_that_is_stopped_asks_for_nothing_more() -> None:
    """The pool waits for its threads, which have seconds of requests before them."""
    asked, handler = [], signal.signal(signal.SIGINT, signal.default_int_handler)

    def network(rows: torch.Tensor, mask: None) -> None:
        asked.append(len(rows))
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    try:
        with pytest.raises(KeyboardInterrupt):
            selfplay.timing_each(network, [[1] * 1000, [1] * 1000], CPU, 4)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(asked) < 1000


@pytest.mark.slow
def test_strategies_side_by_side(tmp_path, capsys) -> None:
    path = tmp_path / "figures.json"
    flags = ["--quick", "--network", "small", "--cards", "1", "--simulations", "3", "--batches", "16"]
    flags += ["--workers", "2", "--seconds", "0.2", "--device", "cpu", "--json", str(path)]
    assert bench.main(["strategies", *flags]) == 0
    rows = json.loads(path.read_text())["figures"]
    vectorised = [4] * (5 if int8_available() else 4)
    assert [row["strategy"] for row in rows] == [1, 2, 2, 3, 3, *vectorised]
    assert [row["workers"] for row in rows[:5]] == [1, 2, cores(), 2, 2]
    assert all(row["games_per_minute"] > 0 and row["cpu"] > 0 for row in rows)
    one_by_one = [row for row in rows if row["strategy"] < 4 and not row["batched"]]
    assert all(row["max_batch"] == 1 for row in one_by_one)
    assert rows[7]["max_batch"] > rows[6]["max_batch"]  # 16 games at once and one game
    assert capsys.readouterr().out.count("phase") == 2 * 2  # a line as it is measured, a row in the table
    assert {tuple(row["ways"]) for row in rows[:5]} == {()} and {tuple(row["ways"]) for row in rows[5:]} == {("eager",)}
    assert rows[1]["memory"] is None and all(row["precision"] for row in rows)


def test_a_game_that_is_cut_off_counts_by_its_evaluations(monkeypatch) -> None:
    """A row in which no game ends still has a throughput, by the mean of the same settings."""
    result = SimpleNamespace(workers=2, games=0, evaluations=500, seconds=2.0, mean_batch=1.0, max_batch=1)
    result.cpu_seconds, result.note = 3.0, "cut"
    result.games_per_minute = lambda mean: 60 * 500 / mean / 2.0
    asked = []
    monkeypatch.setattr(strategies, "run", lambda *a, **k: (asked.append((a, k)), result)[1])
    plan = strategies.Plan("2. 4 processes", strategies.PROCESSES, 4)
    config = SearchConfig(worlds=2, simulations=7, noise_fraction=0.25)
    row = strategies.by_reference(plan, BlobNet(SMALL), Blob(cards=3), config, 2.0, CPU, 100.0)
    assert row.games_per_minute == 150 and row.evaluations_per_second == 250 and row.note == "cut"
    assert row.label == "2. 2 of 4 processes" and row.workers == 2  # as many as fit
    (name, _, settings), options = asked[0]
    assert name == "processes" and options == {"seconds": 2.0} and settings.workers == 4
    play = settings.play
    assert (play.worlds, play.search.simulations, play.noise_fraction, settings.rules.cards) == (2, 7, 0.25, 3)


@pytest.mark.slow
def test_a_strategy_that_cannot_run_leaves_the_others(monkeypatch, capsys) -> None:
    def die(*arguments: object, **options: object) -> None:
        raise MemoryError("no memory for a single worker")

    monkeypatch.setattr(strategies, "run", die)
    flags = ["--quick", "--network", "small", "--cards", "1", "--simulations", "2", "--seconds", "0.1"]
    assert bench.main(["strategies", "--device", "cpu", *flags]) == 0
    output = capsys.readouterr().out
    assert "no memory for a single worker" in output and "4. one game" in output


@pytest.mark.slow
def test_a_batch_that_does_not_fit_leaves_the_others(capsys) -> None:
    assert bench.main([*small("self-play"), "--cards", "2", "--batches", "4", "1000000000"]) == 3
    output = capsys.readouterr().out
    assert "1,000,000,000 games: does not fit in memory (a search of 1,000,000,000 games at once" in output
    assert "games/min" in output and "examples/s" in output  # the batch of 4 ran
    assert bench.main([*small("net"), "--cards", "2", "--batches", "4", "100000000000"]) == 3
    output = capsys.readouterr().out
    assert "batch 100,000,000,000: does not fit in memory" in output and "float32" in output
    assert bench.main([*small("sweep"), "--cards", "2", "--set", "games=4,1000000000"]) == 3
    output = capsys.readouterr().out
    assert "games=1000000000: does not fit in memory" in output and "games=4" in output


@pytest.mark.slow
def test_a_sweep_spans_the_grid(tmp_path) -> None:
    path = tmp_path / "figures.json"
    flags = ["--quick", "--cards", "2", "--device", "cpu", "--network", "small", "--json", str(path)]
    assert bench.main(["sweep", *flags, "--set", "worlds=1,2", "simulations=2,4"]) == 0
    rows = json.loads(path.read_text())["figures"]
    grid = [(1, 2), (1, 4), (2, 2), (2, 4)]
    assert [tuple(row["settings"].values()) for row in rows] == grid
    evaluations = [row["evaluations_per_game"] for row in rows]
    assert evaluations == sorted(evaluations) and rows[0]["max_batch"] < rows[3]["max_batch"]


def test_agreement_of_a_network_in_a_file(tmp_path, capsys) -> None:
    path = tmp_path / "network.safetensors"
    save_network(path, BlobNet(SMALL), {})
    figures = tmp_path / "figures.json"
    flags = ["agreement", "--quick", "--cards", "2", "--simulations", "4", "--device", "cpu", "--json", str(figures)]
    assert bench.main([*flags, "--weights", str(path)]) == 0
    rows = json.loads(figures.read_text())["figures"]
    assert [row["precision"] for row in rows][:2] == ["float32", "bfloat16"] and rows[0]["same_action"] == 1
    assert bench.main(flags) == 2 and "--weights" in capsys.readouterr().err


def test_how_long_a_person_waits(tmp_path, capsys) -> None:
    figures, agent = tmp_path / "figures.json", "veclab/agents/blob-4-players.safetensors"
    flags = ["people", "--quick", "--cards", "2", "--simulations", "4", "--device", "cpu", "--json", str(figures)]
    assert bench.main([*flags, "--weights", agent]) == 0
    rolled, searched = json.loads(figures.read_text())["figures"]
    assert rolled["player"] == "rollouts in 30 of 120 worlds" and rolled["as_played"] and rolled["ways"] == {}
    assert searched["player"] == "search 30x4" and not searched["as_played"] and searched["ways"] == {"eager": 3}
    assert (rolled["asked"], searched["asked"]) == (None, "eager")
    for row in (rolled, searched):
        assert row["decisions"] == 3 and row["label"].endswith(f"{row['player']}, one game") and row["rows"] > 0
        assert 0 < row["milliseconds"] <= row["slowest"] and row["mean"] > 0 and row["cpu_milliseconds"] > 0
    output = " ".join(capsys.readouterr().out.split())
    assert "rollouts in 30 of 120 worlds, one game, as vecgame play: " in output and "search 30x4, one game: " in output
    assert bench.main(flags) == 2 and "people searches with a trained network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("game", "thinking"),
    [(Blob(cards=2), "rollouts"), (Kuhn(), "policy"), (make_game("blob-match", cards=2), "search")],
)
def test_the_player_that_is_timed_is_the_one_that_is_played_against(game: Game, thinking: str, tmp_path) -> None:
    path = tmp_path / "network.safetensors"
    net = BlobNet(network_config("small", game))
    save_network(path, net, {"games": [identity(game)]})
    settings = thinking_as_usual(TableSettings(game, agent=str(path)), {})
    agent, network = make_agent(settings), InferenceNet(net)
    assert settings.thinking == thinking and settings.worlds == WORLDS
    ways = ways_of(game, network, SearchConfig(worlds=WORLDS, simulations=settings.simulations), CPU)
    (player,) = (way.player(network) for way in ways if way.as_played)
    config = [getattr(one, "config", None) for one in (player, agent)]
    assert type(player) is type(agent) and config[0] == config[1] and len(ways) == 1 + (thinking != "search")
    assert getattr(player, "sample", False) == getattr(agent, "sample", False) == (thinking == "policy")
    other = SearchConfig(worlds=WORLDS, simulations=settings.simulations, leaves_per_step=8)
    assert [way.as_played for way in ways_of(game, network, other, CPU)] == [True, False][thinking == "search" :]
    on_gpu = ways_of(game, network, other, torch.device("cuda"))  # where the table's agents are not
    assert [(way.as_played, way.asked) for way in on_gpu] == [(False, "kernels graph")]


def test_a_sweep_by_threads_and_precision() -> None:
    threads = torch.get_num_threads()
    points = sweep.points(sweep.read_grid(["threads=1", "precision=float32"], sweep.DEFAULTS), sweep.DEFAULTS)
    point = {**points[0], "games": 4, "cards": 1, "network": "small"}
    with sweep.prepared(point, Blob(hook=False), CPU, compile=False, graphs=True) as play:
        assert play.game == Blob(hook=False, cards=1)
        assert torch.get_num_threads() == 1
        (row,) = timed_self_play(play, 4, {})
    assert row.games == 4 and row.precision == "float32" and torch.get_num_threads() == threads


@pytest.mark.slow
def test_charts_are_drawn(tmp_path, capsys) -> None:
    pytest.importorskip("matplotlib")
    flags = ["--quick", "--repeats", "1", "--network", "small", "--cards", "2", "--device", "cpu"]
    assert bench.main(["train", *flags, "--plot", str(tmp_path)]) == 0
    (chart,) = tmp_path.glob("*.png")
    assert f"wrote {chart}" in capsys.readouterr().out.replace("\n", "")


def test_self_play_figures_add_up() -> None:
    """On a CPU, where every row of the network is an evaluation that counts."""
    play = Play(Blob(cards=3), InferenceNet(BlobNet(SMALL)), SearchConfig(worlds=2, simulations=6), CPU)
    counted = {}
    (row,) = timed_self_play(play, 20, counted)
    found = detail(play, row, counted)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert set(found.shares) == set(PHASES) and all(share > 0 for share in found.shares.values())
    assert row.evaluations_per_second == pytest.approx(row.evaluations_per_game * row.games_per_minute / 60)
    assert found.mean_batch * found.requests == pytest.approx(20 * row.evaluations_per_game)
    assert found.mean_batch <= found.max_batch <= 20 * 2 and found.counted_games == row.games == 20
    assert found.rows_per_game == pytest.approx(row.evaluations_per_game)
    assert found.limit_by_rows == pytest.approx(found.limit_by_evaluations)
    assert found.share_by_rows == pytest.approx(row.games_per_minute / found.limit_by_rows)
    assert row.gpu is None and 0 < row.cpu <= 1.5
    assert set(row.ways) == {"eager"} and row.passes == 1 and not row.network_compiled


@pytest.mark.slow
def test_the_limit_is_the_time_of_the_same_evaluations() -> None:
    """The same requests in as many threads, or batches of 2,048 in one, whichever is faster."""
    asked: dict[int, list[int]] = defaultdict(list)
    cost = {"many": 0.0}

    def network(rows: torch.Tensor, mask: None) -> None:
        asked[threading.get_ident()].append(len(rows))
        time.sleep(cost["many"] if len(rows) == 2048 else 0.02)

    fast = network_timing(network, [[1000, 1000, 1000], [1200]], CPU, 4).median
    passes = 1 + LIMIT_REPEATS
    assert sorted(chain.from_iterable(asked.values())) == sorted([1000, 1000, 1000, 1200, 2048, 2048] * passes)
    assert len(asked) == 2  # in two threads, for the requests of two
    assert fast < 0.02  # two batches of 2,048 at no cost, against three of 0.02 s in the slower thread
    cost["many"] = 1.0
    assert 0.06 <= network_timing(network, [[1000, 1000, 1000], [1200]], CPU, 4).median < 0.5


def test_of_many_requests_a_part_is_timed_for_the_limit(monkeypatch) -> None:
    """By a clock that only the network moves."""
    asked: list[int] = []
    clock = [0.0]
    monkeypatch.setitem(selfplay.LIMIT_EVALUATIONS, "cpu", 3000)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def network(rows: torch.Tensor, mask: None) -> None:
        asked.append(len(rows))
        clock[0] += 0.01

    timing = network_timing(network, [[500] * 24], CPU, 4)
    passes = 1 + LIMIT_REPEATS
    assert asked == [500] * 6 * passes + [2048] * passes  # every fourth
    assert timing.median == pytest.approx(12_000 / 2048 * 0.01)


def test_the_limit_is_a_median_after_a_warm_up(monkeypatch) -> None:
    """Of a network that is slow when it is first used, and then not always as fast; with both ends beside it."""
    clock, costs = [0.0], [9.0, 0.4, 0.1, 0.2] * 2  # of the two ways of asking, one after the other

    def network(rows: torch.Tensor, mask: None) -> None:
        clock[0] += costs.pop(0)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    timing = network_timing(network, [[100]], CPU, 4)
    assert not costs and (timing.low, timing.median, timing.high) == pytest.approx((0.1, 0.2, 0.4))
    clock[0], costs[:] = 0.0, [9.0, 0.4, 0.1, 0.2] * 2
    game, config = Blob(cards=1), SearchConfig(worlds=1, simulations=1)
    row = SimpleNamespace(games=10, evaluations_per_game=5.0, games_per_minute=600.0)
    found = detail(
        Play(game, network, config, CPU), row, {10: Counted(10, [[100]], dict.fromkeys(PHASES, 1 / len(PHASES)))}
    )
    rates = found.network_per_second_low, found.network_per_second, found.network_per_second_high
    assert rates == pytest.approx((250, 500, 1000)) and found.network_repeats == 3
    assert (found.limit_by_rows, found.limit_by_evaluations) == pytest.approx((60 * 500 / 10, 60 * 500 / 5))


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
    text = verdict(600.0, 40_000.0)
    assert "target (> 500): met" in text and "stretch (> 1000): missed" in text
    assert "5 d 18 h of self-play" in text  # 5 million games at 600 a minute
    assert "5 h 33 min of learning" in text  # 800 million examples at 40,000 a second


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], True),
        (["--precision", "float32"], True),
        (["--cards", "2"], False),
        (["--rules", "hook=false"], False),
        (["--worlds", "2"], False),
        (["--simulations", "8"], False),
        (["--leaves-per-step", "2"], False),
        (["--network", "small"], False),
        (["--merge-equivalent"], False),
        (["--quick"], False),
    ],
)
def test_the_documents_criteria_are_for_its_settings(flags: list[str], told: bool, monkeypatch, capsys) -> None:
    def timed(running: bench.Bench, *_: object, **__: object) -> tuple[int, SimpleNamespace]:
        number = running.record.add({"games_per_minute": 600.0}, "600 games/min")
        return number, SimpleNamespace(games_per_minute=600.0, games=4)

    monkeypatch.setattr(bench.Bench, "timed", timed)
    monkeypatch.setattr(bench.Bench, "detailed", lambda *_: None)
    monkeypatch.setattr(bench.Bench, "rate", lambda *_, **__: iter([{"per_second": 4e4}]))
    monkeypatch.setattr(bench, "rate_line", lambda _: "40,000 examples/s")
    monkeypatch.setattr(bench, "print_self_play", lambda *_: None)
    monkeypatch.setattr(bench, "Play", lambda *_: None)
    monkeypatch.setattr(bench, "inference_net", lambda *_: None)
    assert bench.main(["self-play", "--device", "cpu", "--batches", "4", *flags]) == 0
    assert ("Its whole workload here" in " ".join(capsys.readouterr().out.split())) == told


@pytest.mark.parametrize(
    ("told", "command", "drawn"),
    [
        ({"of_the_document": True}, "python bench.py", True),
        ({"of_the_document": False}, "python bench.py", False),
        ({}, "python bench.py --json a.json", True),  # of earlier versions, which did not say it
        ({}, "python bench.py --cards 13 --batches 2048", False),
        ({}, "python bench.py --worlds=1", False),
    ],
)
def test_the_documents_criteria_are_drawn_for_its_settings(told: dict, command: str, drawn: bool) -> None:
    pytest.importorskip("matplotlib")
    row = {"kind": "self-play", "games": 64, "games_per_minute": 400.0, "limit": 600.0}
    figures = {"what": "self-play", "environment": {"command": command}, "figures": [row], **told}
    axes = plot.self_play_throughput(figures).axes[0]
    assert any(text.get_text() == "target: 500" for text in axes.texts) == drawn


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cards", "14"], "cards must be an integer from 1 to 13"),
        (["--batches", "0"], "--batches must be at least 1"),
        (["--device", "tpu"], "device must be"),
        (["net", "--repeats", "0"], "--repeats must be at least 1"),
        (["strategies", "--workers", "0"], "--workers must be at least 1"),
        (["strategies", "--seconds", "-1"], "--seconds must be 0 or more"),
        (["sweep", "--set", "colour=1"], "--set takes NAME=VALUE,.. with a name of games, cards"),
        (["sweep", "--set", "worlds=one"], "--set worlds takes int values separated by commas, got 'one'"),
        (
            ["sweep", "--set", "games=64", "games=256"],
            "--set has games twice; give all its values at once, as in games=",
        ),
        (["sweep", "--set", "network=huge"], "network must be one of document, small"),
        (["sweep", "--set", "games=0"], "games must be at least 1, got 0"),
        (["sweep", "--set", "threads=1,-1"], "threads must be at least 0, got -1"),
        (["sweep", "--set", "precision=float32,int9"], "precision must be one of auto, "),
        (["sweep", "--device", "cpu", "--set", "precision=auto,float8"], "precision float8 needs an NVIDIA GPU"),
        (["sweep", "--set", "c_puct=0.5,0"], "c_puct must be above 0"),
        (["sweep", "--set", "cards=1,14"], "cards must be an integer from 1 to 13"),
        (["sweep", "--cards", "3", "--set", "cards=2,4"], "--cards and --set cards contradict each other"),
        (["sweep", "--rules", "cards=3", "--set", "cards=2"], "--rules cards=3 and --set cards contradict each other"),
        (["sweep", "--worlds", "2", "--set", "worlds=1,3"], "--worlds and --set worlds contradict each other"),
        (["sweep", "--batches", "4", "--set", "games=8"], "--batches and --set games contradict each other"),
        (["sweep", "--game", "kuhn", "--set", "cards=2"], "--set takes NAME=VALUE,.. with a name of games, worlds"),
        (["--cards", "3", "--rules", "cards=4"], "--cards 3 and --rules cards=4 contradict each other"),
        (["engine", "--game", "kuhn", "--cards", "3"], "--cards must be 1 in kuhn"),
        (["engine", "--game", "heart"], "the nearest is hearts"),
        (["engine", "--game", "none.py:None"], "none.py cannot be loaded"),
        (["strategies", "--game", "hearts"], "strategies is for Blob by its usual rules"),
        (["peers", "--rules", "hook=false"], "peers is for Blob by its usual rules"),
        (
            ["engine", "--precision", "float32"],
            "--precision is for self-play, sweep; it would change nothing of engine",
        ),
        (["net", "--merge-equivalent"], "--merge-equivalent is for self-play, search, agreement, people, sweep"),
        (["--set", "worlds=1"], "--set is for sweep; it would change nothing of self-play"),
        (
            ["search", "--weights", "a.safetensors"],
            "--weights is for agreement, people; it would change nothing of search",
        ),
        (["engine", "--workers", "2"], "--workers is for strategies; it would change nothing of engine"),
    ],
)
def test_bad_flags_get_one_line(flags: list[str], message: str, monkeypatch, capsys) -> None:
    """Before anything is measured, a sweep's first points included."""
    monkeypatch.setattr(bench.Bench, "timed", lambda *_, **__: pytest.fail("measured"))
    assert bench.main(flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_missing_openspiel_is_said_and_the_rest_runs(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    assert bench.main(["engine", "--quick", "--cards", "2", "--device", "cpu", "--repeats", "1"]) == 0
    output = capsys.readouterr().out
    assert (
        "OpenSpiel is not installed: no comparison with it (pip install 'vecgame[peers]')\n" in output
        and "random games" in output
    )
    assert bench.main(["peers", "--quick", "--device", "cpu"]) == 2  # there it is what was asked for
    error = capsys.readouterr().err
    assert error == "error: OpenSpiel is not installed: no comparison with it (pip install 'vecgame[peers]')\n"


def test_a_missing_matplotlib_is_said_before_anything_is_measured(monkeypatch, capsys) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert bench.main(["engine", "--quick", "--device", "cpu", "--plot", "charts"]) == 2
    captured = capsys.readouterr()
    assert "matplotlib is not installed" in captured.err and captured.err.count("\n") == 1 and captured.out == ""

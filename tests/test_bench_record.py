"""What bench.py writes down beside a figure, and that it is written as soon as it is measured."""

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.small_benches import small
from vecgame import Blob, __version__, lanes
from veclab import precision
from veclab.bench import command as bench
from veclab.bench import measure, parts, peers, selfplay
from veclab.bench.fallback import Fallbacks
from veclab.bench.flags_of import BATCHED, REPEATED, SEARCHING, WITH_NETWORK
from veclab.bench.measure import PeakMemory, Timing, Utilisation, Watch, described
from veclab.bench.selfplay import Counted, Play, detail, timed_self_play
from veclab.bench.tables import deviations, limit_line, rate_line, self_play_line
from veclab.cores import cores
from veclab.machine import commit, environment
from veclab.training.learner import Learner
from vecmcts import SearchConfig
from vecmcts import graphs as recordings
from vecmcts.search import WAYS

CPU = torch.device("cpu")
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
fallback = logging.getLogger("vecgame.fallback")


def small_play(**more: object) -> Play:
    return Play(Blob(cards=2), InferenceNet(BlobNet(SMALL)), SearchConfig(worlds=2, simulations=4), CPU, **more)


def stopping_at(monkeypatch: pytest.MonkeyPatch, size: int, stop) -> None:
    """Has the engine's benchmark call ``stop`` at one size of a batch."""
    measured = parts.engine

    def engine(game, n, *rest):
        if n == size:
            stop()
        return measured(game, n, *rest)

    monkeypatch.setattr(parts, "engine", engine)
    monkeypatch.setitem(sys.modules, "pyspiel", None)


def test_every_row_is_in_the_file_when_it_is_measured(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    path, seen = tmp_path / "figures.json", []

    def listener(number: int, figure: dict, line: str) -> None:
        written = json.loads(path.read_text())
        assert written["figures"][number] == figure and line in capsys.readouterr().out
        seen.append((number, len(written["figures"]), written["complete"]))

    assert bench.main([*small("engine"), "--cards", "1", "--batches", "3", "5", "--json", str(path)], listener) == 0
    assert seen == [(0, 1, False), (1, 2, False)]
    assert json.loads(path.read_text())["complete"] is True


def test_the_time_of_self_play_is_written_before_its_phases(tmp_path) -> None:
    path, seen = tmp_path / "figures.json", []

    def listener(number: int, figure: dict, line: str) -> None:
        written = json.loads(path.read_text())["figures"]
        seen.append((number, "shares" in written[number], figure["games_per_minute"] if number == 0 else None))

    flags = [*small("self-play"), "--cards", "1", "--simulations", "2", "--batches", "3", "--json", str(path)]
    assert bench.main(flags, listener) == 0
    rate = seen[0][2]
    assert seen == [(0, False, rate), (0, True, rate), (1, False, None)]
    row = json.loads(path.read_text())["figures"][0]
    assert row["precision"] in ("bfloat16", "float32") and set(row["ways"]) == {"eager"} and row["fell_back"] == []
    assert (row["repeats"], row["network_repeats"]) == (1, 3)
    assert row["network_per_second_low"] <= row["network_per_second"] <= row["network_per_second_high"]
    assert bench.main([*(flag for flag in flags if "repeats" not in flag), "--timing-only", "--repeats=2"]) == 0
    (row,) = json.loads(path.read_text())["figures"]
    assert "shares" not in row and row["repeats"] == row["passes"] == 2
    assert 0 < row["games_per_minute_low"] <= row["games_per_minute"] <= row["games_per_minute_high"]


def test_figures_name_version_and_commit_where_git_can_say_it(tmp_path, monkeypatch) -> None:
    told = environment(CPU, "bench")
    assert told["vecgame"] == __version__ and told["commit"] == commit()
    root = Path(__file__).parents[1]
    if (root / ".git").exists():
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        assert commit().removesuffix("-dirty") == asked.stdout.strip()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit.__wrapped__() is None  # without git


def test_the_cores_are_those_that_the_process_may_use(monkeypatch) -> None:
    """Of a machine's sixteen, where `taskset` or a container leaves it two."""
    monkeypatch.setattr("veclab.cores.quota_of_cores", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert cores() == environment(CPU, "bench")["cores"] == 2
    clock, spent = (
        iter([0.0, 10.0]),
        iter([SimpleNamespace(user=0.0, system=0.0), SimpleNamespace(user=9.0, system=1.0)]),
    )
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(os, "times", lambda: next(spent))
    with Utilisation(CPU) as used:
        pass
    assert used.cpu == 0.5
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == 16  # of a system that does not tell


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_benchmark_keeps_its_rows(number: int, tmp_path, monkeypatch, capsys) -> None:
    before = signal.getsignal(signal.SIGTERM)
    stopping_at(monkeypatch, 5, lambda: os.kill(os.getpid(), number))
    path = tmp_path / "figures.json"
    assert bench.main([*small("engine"), "--cards", "1", "--batches", "3", "5", "7", "--json", str(path)]) == 130
    error = capsys.readouterr().err
    assert error.startswith("stopped after 1 row, kept in ") and error.count("\n") == 1
    assert "random games, batch 3: " in error and "games/s" in error
    written = json.loads(path.read_text())
    assert written["complete"] is False and [row["size"] for row in written["figures"]] == [3]
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_stopped_before_its_first_row_leaves_the_file_that_is_there(tmp_path, monkeypatch, capsys) -> None:
    """Even where it has said already what it is not compared with."""
    stopping_at(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
    path = tmp_path / "figures.json"
    path.write_text("of before")
    assert bench.main([*small("engine"), "--cards", "1", "--batches", "3", "--json", str(path)]) == 130
    output = capsys.readouterr()
    assert output.err == "stopped after 0 rows\n" and "no comparison" in output.out
    assert path.read_text() == "of before"


def test_a_missing_folder_is_said_before_any_work(tmp_path, capsys) -> None:
    assert bench.main([*small("engine"), "--cards", "1", "--json", str(tmp_path / "none" / "figures.json")]) == 2
    captured = capsys.readouterr()
    assert "there is no folder" in captured.err and captured.err.count("\n") == 1 and captured.out == ""


@pytest.mark.slow
def test_what_did_not_fit_is_in_the_file(tmp_path) -> None:
    path = tmp_path / "figures.json"
    assert bench.main([*small("net"), "--cards", "1", "--batches", "2", "100000000000", "--json", str(path)]) == 3
    written = json.loads(path.read_text())
    assert written["complete"] and all("does not fit in memory" in line for line in written["left_out"])
    assert written["left_out"] and written["figures"]


def test_what_went_on_otherwise_than_asked_is_beside_the_figure(tmp_path, monkeypatch, capsys) -> None:
    said = "searches on cuda go on without graphs: no"
    stopping_at(monkeypatch, 5, lambda: fallback.warning("searches on %s go on without graphs: %s", "cuda", "no"))
    path = tmp_path / "figures.json"
    assert bench.main([*small("engine"), "--cards", "1", "--batches", "3", "5", "7", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["figures"]
    assert [row["fell_back"] for row in rows] == [[], [said], []]
    assert capsys.readouterr().out.count(f"  fell back: {said}\n") == 1
    assert not [handler for handler in fallback.handlers if isinstance(handler, Fallbacks)]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--cards", "13"], "OpenSpiel deals 12 cards at most: no comparison with it"),
        (["--rules", "players=2"], "OpenSpiel is for 3 to 7 players: no comparison with it"),
        (["--game", "kuhn"], "the comparison with OpenSpiel is of Blob by its usual rules: there is none of kuhn"),
    ],
)
def test_what_is_not_compared_is_said(flags: list[str], line: str, tmp_path, capsys) -> None:
    """And in the file; where nothing but the comparison was asked for, it is refused."""
    path = tmp_path / "figures.json"
    assert bench.main([*small("engine"), "--cards", "1", "--batches", "2", *flags, "--json", str(path)]) == 0
    (said,) = json.loads(path.read_text())["not_compared"]
    assert said.startswith(line) and line in " ".join(capsys.readouterr().out.split())
    if "13" in flags:  # of another game peers is refused in any case
        assert bench.main([*small("peers"), "--cards", "1", *flags]) == 2
        assert capsys.readouterr().err == f"error: {line}\n"


@pytest.mark.parametrize("native", [torch.float32, torch.bfloat16])
def test_arithmetic_without_instructions_is_not_measured(native: torch.dtype, tmp_path, monkeypatch, capsys) -> None:
    """Minutes would go into products that nobody computes so."""
    monkeypatch.setattr(precision, "default_inference_dtype", lambda device: native)
    asked: list[str] = []

    def measured(*arguments: object) -> parts.Rate:
        asked.append(arguments[3])
        return parts.Rate.of(arguments[3], 2, 2, Timing(1.0, 1.0, 1.0, 1))

    monkeypatch.setattr(parts, "network", measured)
    path = tmp_path / "figures.json"
    assert bench.main([*small("net"), "--cards", "1", "--batches", "2", "--json", str(path)]) == 0
    line = "cpu has no instructions for bfloat16: not measured"
    emulated = native == torch.float32
    assert json.loads(path.read_text())["not_compared"] == [line] * emulated
    assert (line in capsys.readouterr().out) == emulated
    assert ("bfloat16" in asked) != emulated and "float32" in asked


def test_a_peak_is_that_of_the_largest_product_which_takes_no_longer_than_it_may(monkeypatch) -> None:
    asked: list[tuple[int, ...]] = []

    def multiplied(work, device: torch.device, **_: int) -> Timing:
        asked.append(tuple(work().shape))
        seconds = asked[-1][0] ** 3 / 1e8
        return Timing(seconds, seconds, seconds, 1)

    monkeypatch.setattr(parts, "timed", multiplied)
    assert parts.matmul_peak(torch.float32, CPU) == pytest.approx(1e8)
    assert asked == [(256, 256)]  # 0.17 s; the next larger one would take 1.3
    monkeypatch.setattr(parts, "LONGEST_PRODUCT", 1.5)
    assert parts.matmul_peak(torch.float32, CPU) == pytest.approx(1e8)
    assert asked[1:] == [(256, 256), (512, 512)]
    monkeypatch.setattr(parts, "LONGEST_PRODUCT", 1e9)
    parts.matmul_peak(torch.float32, CPU)
    assert asked[-1] == (2048, 2048)


def test_jax_without_the_device_is_left_out(tmp_path, monkeypatch, capsys) -> None:
    """As its build for CPUs is, beside a GPU."""
    pytest.importorskip("mctx")
    jax = peers.load_jax()
    devices = jax.devices
    monkeypatch.setattr(jax, "devices", lambda name: devices("another" if name == "cpu" else name))
    path = tmp_path / "figures.json"
    assert bench.main([*small("search", 2), "--cards", "1", "--batches", "2", "--json", str(path)]) == 0
    line = "JAX has no cpu here: no comparison with mctx (pip install 'jax[cuda12]')"
    written = json.loads(path.read_text())
    assert written["not_compared"] == [line] and line in capsys.readouterr().out
    assert len(written["figures"]) == 1 and written["complete"]
    monkeypatch.setitem(sys.modules, "pyspiel", sys)
    assert bench.main([*small("peers"), "--cards", "1"]) == 2 and capsys.readouterr().err == f"error: {line}\n"


@pytest.mark.parametrize(("games", "asked", "measured"), [(200, 64, 64), (8, 4096, None), (40, 300, None)])
def test_policy_gradients_rate_is_of_the_minibatches_it_takes(games: int, asked: int, measured, monkeypatch) -> None:
    """Few games have minibatches of another size than that asked for, and each pass leaves out some decisions."""
    steps: list[int] = []

    def timed(work, *_: object) -> Timing:
        work()
        return Timing(1.0, 1.0, 1.0, 1)

    step_in = Learner.step_in
    monkeypatch.setattr(parts, "timed", timed)
    monkeypatch.setattr(parts, "matmul_peak", lambda *_: 1e12)
    monkeypatch.setattr(Learner, "step_in", lambda *a: (steps.append(len(a[2])), step_in(*a))[1])
    rate = parts.updates(Blob(cards=2), SMALL, "small", asked, games, CPU, 1)
    assert {rate.size} == set(steps) and rate.per_second == sum(steps)
    assert rate.size == measured or (measured is None and rate.size != asked)


def test_lines_of_rows_are_short() -> None:
    ran = {"ways": {"kernels graph": 20}, "precision": "bfloat16", "network_compiled": True, "fell_back": []}
    row = {
        **ran,
        "games_per_minute": 812_345.0,
        "passes": 2,
        "repeats": 1,
        "settled": True,
        "rows_per_game": 1432.0,
        "evaluations_per_game": 1116.0,
    }
    line = self_play_line("131,072 games", row)
    assert line == "131,072 games: 812,345 games/min (pass 2), kernels graph, bfloat16, network compiled"
    limits = limit_line({**row, "share_by_rows": 0.43, "share_by_evaluations": 0.34})
    assert limits == "  of the network's limit: 43% by 1,432 rows, 34% by 1,116 evaluations"
    rate = {**ran, "label": "bfloat16, 8,192 at a time", "size": 131_072, "per_second": 51e6, "unit": "evaluations/s"}
    assert max(map(len, (line, limits, rate_line({**rate, "ways": {}})))) <= 90
    assert described({"graph": 18, "eager": 2}) == "graph 18, eager 2" and described({}) == ""


def test_trouble_with_nvml_costs_no_run(monkeypatch) -> None:
    class NVMLError(Exception):  # as in pynvml: no RuntimeError
        pass

    asked = []

    def utilization(device: torch.device) -> int:
        asked.append(device)
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    with Utilisation(torch.device("cuda")) as used:
        used.sample()
        used.sample()
    assert used.gpu is None and len(asked) == 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak of a row")
def test_the_peak_of_memory_is_the_rows_own() -> None:
    found = []
    for mebibytes in (400, 10):
        with Watch(CPU) as watch:
            torch.ones(mebibytes << 18)
            found.append(watch.figures()["memory"])
    assert found[0] - found[1] > 0.25  # GiB; not "the most so far"


def test_memory_that_cannot_be_told_by_row_is_not_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(measure, "CLEAR_REFS", tmp_path / "none" / "clear_refs")
    peak = PeakMemory(CPU)
    peak.begin()
    assert peak.read() is None


@pytest.mark.slow
def test_a_gpus_batches_are_measured_from_the_largest(monkeypatch) -> None:
    asked: dict[str, list[int]] = {}
    for what in ("self-play", "engine", "net", "search", "train"):
        monkeypatch.setattr(
            bench.Bench, "sizes", lambda self, cpu, cuda, what=what: asked.setdefault(what, cuda) and [2]
        )
        assert bench.main([*small(what), "--cards", "1"]) == 0
    assert asked["self-play"] == [131_072, 16_384, 4096, 1024]
    assert all(sizes == sorted(sizes, reverse=True) for sizes in asked.values()) and len(asked) == 5


def test_rows_of_the_network_beside_evaluations_that_count(monkeypatch) -> None:
    """In the GPU's way all lanes are carried along, and more rows go to the network than count."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    play, counted = small_play(), {}
    (row,) = timed_self_play(play, 8, counted)
    found = detail(play, row, counted)
    assert found.rows_per_game > 1.05 * row.evaluations_per_game
    assert found.mean_batch * found.requests == pytest.approx(8 * found.rows_per_game)
    assert found.limit_by_rows < found.limit_by_evaluations
    assert found.share_by_rows > found.share_by_evaluations
    by_rows, by_evaluations = found.limit_by_rows * found.rows_per_game, found.limit_by_evaluations
    assert by_rows == pytest.approx(by_evaluations * row.evaluations_per_game)


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ([{"eager": 3, "graph": 1}, {"graph": 4}, {"graph": 4}], 3),  # recorded at the second use of a size
        ([{"graph": 4}, {"graph": 4}], 2),  # at the first
        ([{"eager": 4}, {"eager": 4}], 2),  # recording has failed: no pass will be another
    ],
)
def test_games_are_played_until_searches_run_the_same_way(passes: list, expected: int, monkeypatch) -> None:
    left = list(passes)

    def self_play(*arguments: object, report, **options: object) -> SimpleNamespace:
        WAYS.update(left.pop(0))
        report(1.0, 1)
        return SimpleNamespace(evaluations=80)

    monkeypatch.setattr(recordings, "DEVICES", frozenset({"cpu"}))
    monkeypatch.setattr(selfplay, "search", lambda *arguments, **options: None)
    monkeypatch.setattr(selfplay, "self_play", self_play)
    counted: dict[int, Counted] = {}
    play = small_play()
    rows = list(timed_self_play(play, 8, counted))
    assert play.way == "graph" and [row.passes for row in rows] == list(range(1, expected + 1))
    assert [row.settled for row in rows] == [False] * (expected - 1) + [True]
    said = [deviations({**asdict(row), "fell_back": []}) for row in rows]
    failed = passes[-1] == {"eager": 4}
    assert said == [[]] * (expected - 1) + [["searches ran eager, not graph"] if failed else []]
    assert [row.ways for row in rows] == passes and not left and not counted
    assert {row.repeats for row in rows} == {1}


def test_searches_that_are_not_recorded_are_told(monkeypatch) -> None:
    """Of the trees alone too, where a GPU would replay a graph."""

    def told() -> list[str]:
        rate = parts.searches(Blob(cards=1), 2, SearchConfig(worlds=1, simulations=1), CPU, 2)
        return deviations({**asdict(rate), "fell_back": []})

    monkeypatch.setattr(parts, "search", lambda *arguments, **options: WAYS.update(["eager"]))
    assert told() == []
    monkeypatch.setattr(recordings, "DEVICES", frozenset({"cpu"}))
    assert told() == ["searches ran eager, not graph"]


def test_passes_that_count_are_repeated(monkeypatch) -> None:
    """Not those that record, which are slow; the rate is the median, and the ways are those of all of them."""
    passes = [{"eager": 3, "graph": 1}, {"graph": 4}, {"graph": 4}, {"graph": 3, "eager": 1}, {"graph": 4}]
    left, seconds, clock = list(passes), [90.0, 60.0, 4.0, 2.0, 3.0], [0.0]

    def self_play(*arguments: object, **options: object) -> SimpleNamespace:
        WAYS.update(left.pop(0))
        clock[0] += seconds.pop(0)
        return SimpleNamespace(evaluations=80)

    monkeypatch.setattr(recordings, "DEVICES", frozenset({"cpu"}))
    monkeypatch.setattr(selfplay, "search", lambda *arguments, **options: None)
    monkeypatch.setattr(selfplay, "self_play", self_play)
    monkeypatch.setattr(selfplay.time, "perf_counter", lambda: clock[0])
    rows = list(timed_self_play(small_play(), 8, {}, repeats=3))
    assert [row.passes for row in rows] == [1, 2, 3, 4, 5] and not left
    assert [row.settled for row in rows] == [False, False, True, True, True]
    assert [row.repeats for row in rows] == [1, 1, 1, 2, 3]
    last = rows[-1]
    rates = last.games_per_minute_low, last.games_per_minute, last.games_per_minute_high
    assert rates == pytest.approx((8 * 60 / 4, 8 * 60 / 3, 8 * 60 / 2))
    assert last.evaluations_per_second == pytest.approx(80 / 3) and last.ways == {"graph": 11, "eager": 1}
    figure = {**asdict(last), "fell_back": []}
    assert deviations(figure) == ["searches ran graph 11, eager 1, not graph"]
    assert self_play_line("8 games", figure).startswith("8 games: 160 games/min (median of 3, 75% apart), graph 11")


def test_phases_of_many_games_are_those_of_fewer_in_eager_searches(monkeypatch) -> None:
    """Where a recorded search calls no network that could count."""
    played = selfplay.self_play
    asked: list[tuple[int, bool]] = []

    def self_play(*arguments, graphs: bool, **options):
        asked.append((arguments[3], graphs))
        return played(*arguments, graphs=graphs, **options)

    play, counted = small_play(), {}
    (row,) = timed_self_play(play, 8, {})
    monkeypatch.setattr(selfplay, "self_play", self_play)
    monkeypatch.setattr(selfplay, "COUNTED_GAMES", 4)
    monkeypatch.setattr(recordings, "DEVICES", frozenset({"cpu"}))
    found = detail(play, row, counted)
    assert found.counted_games == 4 and asked == [(4, False)]
    assert asdict(detail(play, row, counted))["shares"] == found.shares and len(asked) == 1  # counted once


FOR_GPUS = "is for GPUs; leave it out on cpu, where it would change nothing (a run that has it goes on there with"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["self-play", "--compile"], f"--compile {FOR_GPUS} --no-compile)"),
        (["sweep", "--no-graphs"], f"--no-graphs {FOR_GPUS} --graphs)"),
        (["engine", "--compile"], "--compile is for self-play, sweep, net; it would change nothing of engine"),
        (["search", "--compile"], "--compile is for self-play, sweep, net; it would change nothing of search"),
        (["net", "--no-graphs"], "--no-graphs is for self-play, search, sweep, train; it would change nothing of net"),
        (
            ["self-play", "--timing-only", "--plot", "."],
            "--plot draws limits and phases, which --timing-only leaves out",
        ),
        *(
            ([*what, flag, value], f"{flag} is for {', '.join(names)}; it would change nothing of {' '.join(what)}")
            for flag, value, names, others in (
                ("--worlds", "3", SEARCHING, (["engine"], ["net"], ["train"], ["peers", "learn"])),
                ("--simulations", "30", SEARCHING, (["engine"], ["peers", "learn"])),
                ("--network", "small", WITH_NETWORK, (["engine"], ["search"], ["people"], ["peers"])),
                ("--repeats", "3", REPEATED, (["strategies"], ["sweep"], ["agreement"], ["peers", "learn"])),
                ("--batches", "2", BATCHED, (["peers", "learn"],)),
            )
            for what in others
        ),
        (["peers", "learn", "--minutes", "1", "inf"], "--minutes must be above 0 and finite, got inf"),
        (["train", "--timing-only"], "--timing-only is for self-play, sweep; it would change nothing of train"),
        (
            ["strategies", "--leaves-per-step", "8"],
            "--leaves-per-step is for self-play, search, agreement, people, sweep, peers; it would change nothing of "
            "strategies",
        ),
        *(
            (
                [what, "--batches", "2", "4"],
                "several --batches is for self-play, engine, net, search, train, people, peers; it would change "
                f"nothing of {what}",
            )
            for what in ("strategies", "agreement", "sweep")
        ),
        *(
            (
                [what, "--plot", "."],
                "--plot is for self-play, strategies, sweep, peers learn, engine, net, search, train; no chart suits "
                f"{what}",
            )
            for what in ("agreement", "people", "peers")
        ),
    ],
)
def test_flags_that_would_change_nothing_are_refused(flags: list[str], message: str, capsys) -> None:
    assert bench.main([*flags, "--quick", "--cards", "1", "--device", "cpu"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"

"""The GPU script: parts are run within their times, apart from each other, and all that they find comes home."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from net import BlobNet, NetConfig
from vecgame import __version__
from veclab.agents.checkpoint import load_network, load_tensors, save_network
from veclab.bench import command as bench
from veclab.bench import gpu_all
from veclab.bench.gpu import archive, plan, summary, work
from veclab.bench.gpu.plan import PARTS
from veclab.bench.gpu.worker import Report
from veclab.bench.options import check, parse
from veclab.machine import commit
from veclab.training import command as train

ROOT = Path(__file__).parents[1]


def drive(folder: Path, *parts: str, flags: tuple[str, ...] = (), **options: int) -> tuple[int, dict, str]:
    """Runs fake parts: the exit status, the parts of summary.json by name, and summary.txt."""
    arguments = [str(folder), "--plan", "tests.fake_gpu_parts", "--parts", *parts, *flags]
    status = gpu_all.main(arguments, **options)
    assert {path.name for path in folder.iterdir()} == {"results.tar.gz", "summary.txt"}
    text = (folder / "summary.txt").read_text()
    assert files(folder)["summary.txt"] == text.encode()
    found = {part["name"]: part for part in json.loads(files(folder)["summary.json"])["parts"]}
    return status, found, text


def files(folder: Path) -> dict[str, bytes]:
    """The archive's files by name."""
    with tarfile.open(folder / "results.tar.gz") as tar:
        return {name.removeprefix("results/"): tar.extractfile(name).read() for name in tar.getnames()}


def rows(folder: Path, part: str) -> list[dict]:
    return [json.loads(line) for line in files(folder)[f"{part}/rows.jsonl"].splitlines()]


def states(parts: dict) -> dict[str, str]:
    return {name: part["state"] for name, part in parts.items()}


def test_parts_that_succeed_share_a_worker(tmp_path, capsys) -> None:
    status, parts, text = drive(tmp_path, "second", "first")
    assert status == 0 and list(states(parts).items()) == [("first", "ok"), ("second", "ok")]  # in the plan's order
    assert parts["first"]["rows"]["0"] == "row 0, late" and len(parts["first"]["rows"]) == 3
    first, second = rows(tmp_path, "first"), rows(tmp_path, "second")
    assert [row["row"] for row in first] == [0, 1, 0, 2]  # as they came
    assert first[-1]["pid"] == second[-1]["pid"] != os.getpid()
    assert second[-1]["commands"] == [["a", "b"], ["c"]] and second[-1]["device"] == "cuda"
    assert text.startswith("vecgame on a fake, PyTorch 0: 2 parts in ") and " by 1 worker\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("first ")]
    assert line.split()[2:] == ["10", "ok", "7", "games/min"]
    output = capsys.readouterr().out
    assert output.index("== first, at most 10 s\n   row 0, early\n   row 1\n") < output.index("== first: ok after ")
    shown = text.partition(" parts in ")[2].partition(" s by ")[2]  # without the seconds so far
    assert output.endswith(shown)


@pytest.mark.parametrize(
    ("name", "state", "status", "reasons", "kept"),
    [
        ("fallback", "degraded", 4, ["searches on cuda go on without graphs: no luck"], []),
        ("fails", "failed", 1, ["ValueError: an illegal memory access"], ["the row before"]),
        ("exits", "failed", 1, ["SystemExit: out"], []),
        ("dies", "failed", 1, ["the worker was killed by SIGKILL", "out of luck"], ["the last row"]),
        ("interrupted", "failed", 1, ["it was interrupted, not by the driver"], []),
        ("slow", "cut", 1, ["cut at 1 s of 1 with 1 row"], ["asleep"]),
        (
            "hangs",
            "cut",
            1,
            ["cut at 2 s of 1 with 1 row", "killed, for it did not end within 0.5 s of being interrupted"],
            ["asleep"],
        ),
    ],
)
@pytest.mark.slow
def test_after_a_part_that_is_not_ok_comes_another_worker(
    name: str, state: str, status: int, reasons: list[str], kept: list[str], tmp_path
) -> None:
    found, parts, text = drive(tmp_path, "first", "second", name, "apart")
    assert found == status
    assert states(parts) == {"first": "ok", "second": "ok", name: state, "apart": "ok"}
    assert parts[name]["reasons"] == reasons and list(parts[name]["rows"].values()) == kept
    for reason in reasons:
        assert f"{name}, {state}: {reason}\n" in text
    if kept:
        assert [row["line"] for row in rows(tmp_path, name)] == kept
    pids = [rows(tmp_path, part)[-1]["pid"] for part in ("first", "second", "apart")]
    assert pids[0] == pids[1] != pids[2] and " by 2 workers\n" in text


@pytest.mark.slow
def test_a_part_may_want_a_worker_of_its_own(tmp_path) -> None:
    assert drive(tmp_path, "first", "apart")[0] == 0
    assert rows(tmp_path, "first")[-1]["pid"] != rows(tmp_path, "apart")[-1]["pid"]


def test_what_tests_provoke_is_no_fallback(tmp_path) -> None:
    status, parts, _ = drive(tmp_path, "provoking")
    assert status == 0 and states(parts) == {"provoking": "ok"}


def test_the_children_of_a_worker_go_with_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_CHILD", str(tmp_path / "child"))
    (tmp_path / "out").mkdir()
    assert drive(tmp_path / "out", "parent")[0] == 1
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int((tmp_path / "child").read_text()), 0)
            time.sleep(0.05)


@pytest.mark.slow
def test_the_last_part_has_the_time_that_is_left(tmp_path) -> None:
    """And is ok when that is over."""
    begun = time.monotonic()
    status, parts, _ = drive(tmp_path, "last", flags=("--seconds", "8"))
    assert status == 0 and states(parts) == {"last": "ok"} and parts["last"]["headline"] == "saved"
    assert 2 < parts["last"]["limit"] < 3 and time.monotonic() - begun < 8  # 8 less the grace and the start


def test_without_time_parts_are_not_run(tmp_path) -> None:
    status, parts, text = drive(tmp_path, "slow", "dies", "last", flags=("--seconds", "5.5"))
    assert status == 1 and states(parts) == {"slow": "not run", "dies": "not run", "last": "not run"}
    assert "slow, dies, last, not run: no time is left\n" in text


def test_a_smoke_test_says_what_needs_a_gpu(tmp_path) -> None:
    status, parts, text = drive(tmp_path, "second", "gpu", flags=("--smoke",))
    assert status == 0 and states(parts) == {"second": "ok", "gpu": "not run"}
    assert rows(tmp_path, "second")[-1]["commands"] == [["quick"]] and rows(tmp_path, "second")[-1]["device"] == "cpu"
    assert "gpu, not run: needs a GPU\n" in text


def test_what_does_not_fit_is_named(tmp_path) -> None:
    most = 100_000
    status, _, text = drive(tmp_path, "first", "large", most=most)
    assert status == 0 and (tmp_path / "results.tar.gz").stat().st_size <= most
    found = files(tmp_path)
    assert "large/noise.safetensors" not in found and "large/run/checkpoint.safetensors" not in found
    assert "not in the archive: large/noise.safetensors (293.0 KiB)\n" in text
    assert found["large/small.json"] == b"{}" and rows(tmp_path, "first")
    log = found["large/log.txt"].decode()
    assert len(log) < archive.MOST_LOG + 100 and log.endswith("KiB more)\n") and "(cut here: " in log


def test_an_archive_of_nothing_but_large_files(tmp_path) -> None:
    (tmp_path / "part").mkdir()
    for name in ("a", "b"):
        (tmp_path / "part" / name).write_bytes(os.urandom(5000))
    data, left_out = archive.pack(tmp_path, {"summary.txt": "all"}, most=1000)
    assert len(data) <= 1000 and left_out == ["part/a (4.9 KiB)", "part/b (4.9 KiB)"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_driver_brings_home_what_there_is(number: int, tmp_path) -> None:
    command = ["bash", str(ROOT / "benchmarks" / "gpu_all.sh"), "out", "--plan", "tests.fake_gpu_parts"]
    command += ["--parts", "first", "last", "slow"]
    driver = subprocess.Popen(
        command, env={**os.environ, "PYTHON": sys.executable}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    said = ""
    while "asleep" not in said:
        line = driver.stdout.readline()
        assert line, f"the driver has ended: {said}"
        said += line
    driver.send_signal(number)
    rest = driver.communicate(timeout=30)[0]
    name = signal.Signals(number).name
    assert driver.returncode == 130
    found = {part["name"]: part for part in json.loads(files(tmp_path / "out")["summary.json"])["parts"]}
    # The plan's order: the part that was asleep is the slow one, or the last if there is time for it.
    assert found["first"]["state"] == "ok" and found["last"]["state"] in ("cut", "not run")
    assert f"stopped by {name} at " in rest and rows(tmp_path / "out", "first")


@pytest.mark.slow
def test_without_cuda_nothing_is_run(tmp_path, capsys) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert gpu_all.main([str(tmp_path), "--parts", "device", "training"]) == 1
    assert (
        "device, training, not run: PyTorch sees no CUDA device here; --smoke is for a CPU" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--parts", "nets"], "--parts takes names of device, graph-tests, self-play, "),
        (["--seconds", "0"], "--seconds must be above 0"),
    ],
)
def test_bad_arguments_get_one_line(flags: list[str], message: str, tmp_path, capsys) -> None:
    assert gpu_all.main([str(tmp_path), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    (tmp_path / "results.tar.gz").write_text("earlier")
    assert gpu_all.main([str(tmp_path)]) == 2 and "already holds results.tar.gz" in capsys.readouterr().err


def test_all_parts_fit_into_nine_minutes() -> None:
    """With the time to kill each of them: a minute of the ten is left for the machine's start and the archive."""
    assert plan.TOTAL <= 540
    assert plan.START + sum(part.seconds + part.grace for part in PARTS) <= plan.TOTAL
    assert len({part.name for part in PARTS}) == len(PARTS)
    names = [part.name for part in PARTS]
    assert names[:3] == ["device", "graph-tests", "self-play"] and names[-1] == "training" and PARTS[-1].open_ended


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_the_commands_of_parts_are_accepted(part: plan.Part) -> None:
    for device, commands in (("cuda", part.commands), ("cpu", part.smoke or ())):
        for command in commands:
            if part.work == "benchmarks":
                check(parse(list(command), "", tuple(bench.BENCHES)), torch.device(device))
            elif part.work == "training":
                train.parse(list(command))
    assert callable(getattr(work, part.work)) and (part.smoke is None or part.smoke or part.name == "device")


@pytest.mark.slow
def test_a_part_on_a_cpu(tmp_path) -> None:
    """Through the true worker."""
    assert gpu_all.main([str(tmp_path), "--smoke", "--parts", "engine", "graphs"]) == 0
    written = json.loads(files(tmp_path)["engine/figures-1-engine.json"])
    assert written["complete"] and written["figures"][0]["per_second"] > 0
    assert "random games, batch 16: " in (tmp_path / "summary.txt").read_text()


def fake_report(folder: Path) -> tuple[Report, list[dict]]:
    told: list[dict] = []
    return Report(lambda event, **what: told.append({"event": event, **what}), folder, "cpu"), told


def test_searches_that_ran_another_way_than_asked_degrade_a_part(tmp_path, monkeypatch) -> None:
    ran = {"fell_back": ["smaller chunks"], "asked": "graph", "settled": True, "ways": {"eager": 2, "graph": 18}}

    def main(arguments: list[str], listener) -> int:
        Path(arguments[-1]).write_text(json.dumps({"left_out": ["131,072 games: does not fit in memory"]}))
        listener(0, {**ran, "fell_back": [], "ways": {"graph": 3}, "games_per_minute": 9.0}, "9 games/min")
        listener(1, {**ran, "games_per_minute": 5.0}, "5 games/min")
        return 3

    monkeypatch.setattr(bench, "main", main)
    report, told = fake_report(tmp_path)
    work.benchmarks(report, [["self-play"]])
    assert [event["reason"] for event in told if event["event"] == "degraded"] == [
        "131,072 games: does not fit in memory",
        "smaller chunks",
        "searches ran eager 2, graph 18, not graph",
    ]
    assert [event["text"] for event in told if event["event"] == "headline"] == ["9 games/min"]


def test_a_benchmark_that_fails_says_why(tmp_path) -> None:
    report, _ = fake_report(tmp_path)
    with pytest.raises(RuntimeError, match="exit status 2, error: --compile is for GPUs"):
        work.benchmarks(report, [["net", "--compile"]])


def test_a_benchmark_that_memory_ends_has_failed(tmp_path, monkeypatch) -> None:
    """Though its status is that of one in which some rows did not fit, which is only degraded."""

    def measured(running: bench.Bench) -> None:
        running.record.add({"label": "random games", "per_second": 1.0, "fell_back": []}, "a row")
        raise MemoryError("no memory at all")

    monkeypatch.setitem(bench.BENCHES, "engine", measured)
    report, _ = fake_report(tmp_path)
    with pytest.raises(RuntimeError, match="exit status 3, error: out of memory: no memory at all"):
        work.benchmarks(report, [["engine"]])
    assert json.loads((tmp_path / "figures-1-engine.json").read_text())["environment"]["command"] == (
        f"python bench.py engine --device cpu --json {tmp_path / 'figures-1-engine.json'}"
    )


def test_the_facts_of_a_machine_name_version_and_commit(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(work, "timed", lambda *_, **__: SimpleNamespace(median=1.0))
    monkeypatch.setattr(work, "matmul_peak", lambda *_: 1e12)
    report, _ = fake_report(tmp_path)
    work.facts(report, [])
    (machine, *_) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert machine["vecgame"] == __version__ and machine["commit"] == commit()


@pytest.mark.slow
def test_tests_are_told_one_by_one(tmp_path, monkeypatch) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(
        "import pytest\n\ndef test_a(): pass\n\ndef test_b(): assert 1 == 2, 'unequal'\n\n"
        "@pytest.mark.skip\ndef test_c(): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    report, told = fake_report(tmp_path)
    with pytest.raises(
        RuntimeError, match=r"1 of 3 tests failed; tests/test_some\.py::test_b: AssertionError: unequal"
    ):
        work.tests(report, [["-k", "test", "-p", "no:xdist"]])
    found = [(json.loads(line)["outcome"]) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert found == ["passed", "failed", "skipped"]
    assert told[-1]["text"] == "1 failed, 1 passed, 1 skipped of 3 selected"
    with pytest.raises(RuntimeError, match="no test was selected"):
        work.tests(report, [["-k", "nothing"]])
    (tmp_path / "tests" / "test_broken.py").write_text("import no_such_package\n")
    with pytest.raises(RuntimeError, match=r"2 of 3 tests failed.*test_broken.py.*no_such_package"):  # the others run
        work.tests(report, [["-p", "no:xdist"]])


def test_a_network_is_kept_rounded(tmp_path) -> None:
    """At half the size, which an archive has room for; what reads networks reads it."""
    run, net = tmp_path / work.RUN, BlobNet(NetConfig(dim=32, layers=1, heads=2, ffn=64))
    run.mkdir()
    save_network(run / "network-000003.safetensors", net, {"iteration": 3, "game": "blob"})
    entry = {"kind": "iteration", "iteration": 3, "games_per_minute": 1000.0, "examples_per_second": 50.0}
    (run / "metrics.jsonl").write_text(json.dumps(entry) + "\n")
    whole = (run / "network-000003.safetensors").stat().st_size
    report, told = fake_report(tmp_path)
    work.keep(report, run)
    kept = tmp_path / "network-000003.safetensors"
    assert kept.stat().st_size < 0.6 * whole and not (run / kept.name).exists()
    assert load_tensors(kept)[1]["rounded"] == "bfloat16"
    for name, tensor in load_network(kept).state_dict().items():
        dead = 2 * 32 if "in_proj" in name else 0  # rows of query and key, which come back as zeros
        assert tensor.dtype == torch.float32 and tensor[dead:].allclose(net.state_dict()[name][dead:], rtol=2**-8)
    assert told[0]["text"] == "iteration 3: 1,000 games/min, 50 examples/s"


def test_a_summary_fits_its_width() -> None:
    part = SimpleNamespace(name="a-part")
    outcomes = [summary.Outcome(part, "failed", 3.0, 10.0, "h" * 200, ["why " * 60])]
    text = summary.summary("title", outcomes, ["file " * 50])
    assert max(map(len, text.splitlines())) <= summary.WIDTH and text.splitlines()[3].endswith("h..")

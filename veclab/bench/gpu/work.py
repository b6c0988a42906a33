"""What the parts of `veclab.bench.gpu.plan` do, in the worker's process."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from net import default_inference_dtype
from vecgame import __version__
from veclab.agents.folder import METRICS, UPDATE
from veclab.agents.networks import newest_network
from veclab.agents.rounded import round_network
from veclab.bench import command as bench
from veclab.bench.gpu.worker import Report
from veclab.bench.measure import timed
from veclab.bench.parts import matmul_peak
from veclab.bench.tables import deviations
from veclab.command_line import NO_MEMORY, STOPPED
from veclab.cores import cores
from veclab.machine import commit, cpu_name
from veclab.training import command as train
from veclab.training import metrics

RUN = "run"  # folder of the training's run, within the part's


def prepare() -> dict[str, object]:
    """What the driver wants to know of the machine."""
    cuda = torch.cuda.is_available()
    return {"cuda": cuda, "device": torch.cuda.get_device_name() if cuda else cpu_name(), "torch": torch.__version__}


def facts(report: Report, commands: list[list[str]]) -> None:
    """The machine, and the four rates that arithmetic about self-play starts from."""
    device = torch.device(report.device)
    machine: dict[str, object] = {
        **prepare(),
        "vecgame": __version__,
        "commit": commit(),
        "cpu": cpu_name(),
        "cores": cores(),
        "python": platform.python_version(),
        "cuda_version": torch.version.cuda,
        "compilers": [name for name in ("cc", "gcc", "g++", "clang", "nvcc", "ptxas") if shutil.which(name)],
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine["memory_gib"] = round(properties.total_memory / 2**30, 1)
        machine["processors"] = properties.multi_processor_count
        machine["capability"] = f"{properties.major}.{properties.minor}"
    report.row(machine, ", ".join(f"{name} {value}" for name, value in machine.items()))
    rates = {
        "TFLOP/s of a product": lambda: 2 * matmul_peak(default_inference_dtype(device), device) / 1e12,
        "GB/s of a copy": lambda: copy_rate(device) / 1e9,
        "us a launch": lambda: 1e6 * launch_seconds(device),
        "us a node of a graph": lambda: 1e6 * graph_node_seconds(device),
    }
    if device.type == "cpu":
        del rates["us a node of a graph"]
    lines = []
    for unit, measure in rates.items():
        value = measure()
        lines.append(f"{value:,.1f} {unit}")
        report.row({"unit": unit, "value": value}, lines[-1])
        report.headline(", ".join(lines))


def copy_rate(device: torch.device) -> float:
    """Bytes a second that a copy within the device's memory reads and writes."""
    size = (1 << 30) if device.type == "cuda" else (1 << 26)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / timed(lambda: target.copy_(source), device).median


LAUNCHES = 1000


def launch_seconds(device: torch.device) -> float:
    """Time of a small operation that Python issues, one after another."""
    small = torch.zeros(16, device=device)

    def work() -> None:
        for _ in range(LAUNCHES):
            small.add_(1)

    return timed(work, device).median / LAUNCHES


def graph_node_seconds(device: torch.device) -> float:
    """Time of the same operation as a node of a CUDA graph."""
    small = torch.zeros(16, device=device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(LAUNCHES):
            small.add_(1)
    return timed(graph.replay, device).median / LAUNCHES


def benchmarks(report: Report, commands: list[list[str]]) -> None:
    """Command lines of vecgame bench, one after the other, each with a JSON file."""
    for place, command in enumerate(commands):
        benchmark(report, command, report.folder / f"figures-{place + 1}-{command[0]}.json")


def benchmark(report: Report, command: list[str], path: Path) -> None:
    """One command line of vecgame bench."""
    rows = Rows(report)

    def written() -> dict[str, Any]:
        return json.loads(path.read_text()) if path.is_file() else {"left_out": [], "complete": False}

    def fine(status: int) -> bool:
        """Memory that is out for some rows is said there; what it has ended is no whole benchmark."""
        return status == 0 or (status == NO_MEMORY and written().get("complete", True))

    try:
        call(lambda: bench.main([*command, "--device", report.device, "--json", str(path)], rows.add), fine)
    finally:
        for line in written()["left_out"]:
            report.degraded(line)
        for figure in rows.figures.values():
            for reason in deviations(figure):
                report.degraded(reason)


class Rows:
    """Rows of one benchmark as they come, passed on as those of a part."""

    def __init__(self, report: Report) -> None:
        self.report, self.first = report, report.rows
        self.figures: dict[int, dict[str, Any]] = {}
        self.best: float = 0.0

    def add(self, number: int, figure: dict[str, Any], line: str) -> None:
        """A listener of vecgame bench; the best rate is the part's headline."""
        self.figures[number] = figure
        first = line.splitlines()[0]
        self.report.row(figure, first, self.first + number)
        # The learner is measured beside self-play; brackets name the software of others, and ours in their toy game.
        if figure.get("kind") == "learner" or "(" in figure.get("label", ""):
            return
        rate = figure.get("games_per_minute") or figure.get("per_second") or figure.get("divergence") or 0.0
        if rate >= self.best:
            self.best = rate
            self.report.headline(first)


def call(program: Callable[[], int], fine: Callable[[int], bool]) -> int:
    """A program's main function: its exit status, if that is ``fine``.

    Raises:
        KeyboardInterrupt: when it was interrupted, and that is not.
        RuntimeError: on another status, with the last line that it printed as an error.
    """
    said = Said(sys.stderr)
    with contextlib.redirect_stderr(said):
        status = program()
    if fine(status):
        return status
    if status == STOPPED:
        raise KeyboardInterrupt
    lines = said.getvalue().strip().splitlines()
    raise RuntimeError(f"exit status {status}" + (f", {lines[-1]}" if lines else ""))


class Said(io.StringIO):
    """Keeps what is written to a stream, and writes it."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(text)
        return super().write(text)


def tests(report: Report, commands: list[list[str]]) -> None:
    """Tests by pytest, in this process, of the files and folders that the commands name; with --collect-only they are
    selected only."""
    import pytest

    for arguments in commands:
        outcomes = Outcomes(report)
        options = ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
        status = pytest.main([*arguments, *options], plugins=[outcomes])
        if status == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if outcomes.selected == 0 and not outcomes.lines:
            raise RuntimeError("no test was selected")
        if "--collect-only" in arguments:
            report.headline(f"{outcomes.selected} tests selected, none run")
        failed = [line for line in outcomes.lines if line]
        if status != pytest.ExitCode.OK:
            raise RuntimeError(f"{len(failed)} of {outcomes.selected} tests failed" + "".join(f"; {x}" for x in failed))


class Outcomes:
    """A plugin of pytest that passes on how each test ended."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.selected = 0
        self.counts: dict[str, int] = {}
        self.lines: list[str] = []

    def pytest_collection_finish(self, session: Any) -> None:
        self.selected = len(session.items)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.lines.append(f"{report.nodeid}: {last_line(report)}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return
        self.counts[report.outcome] = self.counts.get(report.outcome, 0) + 1
        figure = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration}
        if report.failed:
            figure["error"] = last_line(report)
            self.lines.append(f"{report.nodeid}: {figure['error']}")
        self.report.row(figure, f"{report.outcome} {report.nodeid}, {report.duration:.1f} s")
        counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))
        self.report.headline(f"{counted} of {self.selected} selected")


def last_line(report: Any) -> str:
    """What went wrong in a test, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return (text.strip().splitlines() or [""])[0 if crash is not None else -1]


def training(report: Report, commands: list[list[str]]) -> None:
    """A training run until it is interrupted; its metrics and its newest network, which an archive has room for."""
    run = report.folder / RUN
    try:
        for command in commands:
            arguments = [*command, "--device", report.device, "--run", str(run)]
            call(lambda arguments=arguments: train.main(arguments), lambda status: status in (0, STOPPED))
    finally:
        if run.is_dir():
            keep(report, run)
        else:
            report.degraded("training did not begin")


def keep(report: Report, run: Path) -> None:
    """Tells the run's metrics, and puts its newest network, rounded, in the place of all of them."""
    for entry in metrics.read(run / METRICS):
        if entry["kind"] == "iteration":
            text = f"{entry['games_per_minute']:,.0f} games/min, {entry['examples_per_second']:,.0f} examples/s"
            report.headline(f"iteration {entry['iteration']}: {text}")
            report.row(entry, f"iteration {entry['iteration']}: {text}")
        elif entry["kind"] == UPDATE:
            report.row(entry, f"update {entry['updates']}: {entry['seconds']:.2f} s")
    try:
        newest = newest_network(run)
    except ValueError as error:  # the run was stopped before it had one
        report.degraded(str(error))
        return
    round_network(newest, report.folder / newest.name)
    for network in run.glob("network*.safetensors"):
        network.unlink()

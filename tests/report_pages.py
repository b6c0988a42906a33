"""Runs with every kind of line in their metrics, and how tests read what a page of them shows."""

import json
import math
import re
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from rich.console import Console

from net import InferenceNet, NetConfig
from tests.test_net import random_net
from veclab.agents.checkpoint import save_network
from veclab.progress import Display
from veclab.report.drawing import BOTTOM, TOP
from veclab.settings import Settings

TINY = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
NAME = """a <b> & "c" 'd'"""
SETTINGS = Settings(cards="2-3", trump="none", iterations=9, value_weight=2.0, network="small")


def match(own: float, others: float, half: float = 0.25) -> dict[str, object]:
    intervals = {"player": own, "opponents": others, "lead": own - others}
    return {**{name: {"mean": mean, "half": half} for name, mean in intervals.items()}, "games": 40}


def results(players: dict[str, float]) -> dict[str, dict[str, object]]:
    return {name: {"random": match(own, 1.5), "rule-based": match(own, 5.5)} for name, own in players.items()}


def entries() -> list[dict[str, object]]:
    """Metrics with every kind of line, and one number that no chart knows."""
    lines: list[dict[str, object]] = []
    for update in (1, 2, 3):
        numbers = {"seconds": 1.1 * update, "surrogate": 0.01 / update, "entropy": 1.3 / update, "score": 2.0 + update}
        numbers |= {"value_loss": 0.4 / update, "critic_loss": 0.3 / update, "tricks_loss": 1.9 / update}
        numbers |= {"magnet_divergence": 0.02 * update}
        lines.append({"kind": "update", "updates": update, "iteration": 0, **numbers})
    for iteration in (1, 2, 3, 4):
        lines.append(
            {"kind": "iteration", "updates": 3, "iteration": iteration, "games": 100, "examples": 1500 + iteration}
            | {"evaluations": 110_000 + iteration, "self_play_seconds": 9.5 / iteration, "learn_seconds": 1 / 3}
            | {"games_per_minute": 631.578947 * iteration, "evaluations_per_second": 11_578.1 * iteration}
            | {"score": 3.1 + iteration / 7, "bids_met": 0.3 + iteration / 70, "policy_entropy": 1.1 / iteration}
            | {"prior_divergence": 0.07 / iteration, "policy_loss": 1.2 / iteration, "value_loss": 0.43 / iteration}
            | {
                "examples_learned": 3000,
                "examples_per_second": 23_230.5 + iteration,
                "brand_new": 0.123456789 * iteration,
            }
        )
        if iteration == 2:
            found = results({"network alone": 4.0, "search 3x30": 4.5})
            found["search 3x30"]["search with network-000000"] = match(8.0, 2.0)
            lines.append({"kind": "evaluation", "updates": 3, "iteration": 1, "results": found})
    final = results({"before training, search 3x30": 1.0, "trained network alone": 5.0, "trained, search 3x30": 6.0})
    lines.append({"kind": "final evaluation", "updates": 3, "iteration": 4, "results": final})
    return lines


def write_run(folder: Path, lines: list[dict[str, object]], rest: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(asdict(SETTINGS)))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + rest)
    save_network(folder / "network-000000.safetensors", random_net(TINY, seed=5), {"iteration": 0})
    save_network(folder / "network-000004.safetensors", random_net(TINY, seed=6), {"iteration": 4})
    return folder


def newest_network() -> InferenceNet:
    """The newest network of such a run."""
    return InferenceNet(random_net(TINY, seed=6), dtype=torch.float32)


def quiet() -> Display:
    return Display(Console(file=StringIO(), width=120, soft_wrap=True))


def values_of(element: ElementTree.Element) -> list[float]:
    """The exact numbers of a table."""
    return [float(data.get("value")) for data in element.iter("data")]


def figure(document: ElementTree.Element, title: str) -> ElementTree.Element:
    found = [f for f in document.iter("figure") if f.find("figcaption").text == title]
    assert len(found) == 1, title
    return found[0]


def column(table: ElementTree.Element, number: int) -> list[float]:
    return [float(row[number].find("data").get("value")) for row in table.find("tbody") if len(row[number])]


def paths(svg: ElementTree.Element, name: str) -> list[list[tuple[float, float]]]:
    """The corners of every unbroken line of the paths of a name, pixels."""
    found = [path.get("d") for path in svg.iter("path") if path.get("class") == name]
    lines = [line for path in found for line in path.split("M")[1:]]
    return [[tuple(map(float, corner.split())) for corner in re.split("[LCHVZz]", line) if corner] for line in lines]


def pixels(svg: ElementTree.Element, colour: str) -> list[list[tuple[float, float]]]:
    """The unbroken lines of one series."""
    return paths(svg, f"line {colour}")


def heights(svg: ElementTree.Element, name: str) -> list[float]:
    """Of bars, or of the lines of intervals."""
    corners = [[y for _, y in line] for line in paths(svg, name)]
    return [max(ys) - min(ys) for ys in corners if name.startswith("bar") or max(ys) > min(ys)]


def on_scale(value: float, low: float, high: float, bottom: float = BOTTOM, log: bool = False) -> object:
    """Where a value is on a y axis from ``low`` to ``high``, to the digit that is written."""
    share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
    return pytest.approx(bottom - share * (bottom - TOP), abs=0.06)

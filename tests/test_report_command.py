"""The command that writes a run's page: what it needs, what it does without, and errors in one line."""

import json
import math
import re
import sys
from xml.etree import ElementTree

import pytest

from tests.report_pages import TINY, entries, figure, pixels, quiet, write_run
from tests.test_net import random_net
from veclab.agents.checkpoint import save_network
from veclab.agents.folder import NEWEST
from veclab.report.page import main, report


def test_the_page_of_a_stopped_run_is_about_its_newest_network(tmp_path) -> None:
    folder = write_run(tmp_path / "run", entries())
    save_network(folder / NEWEST, random_net(TINY, seed=7), {"iteration": 5, "updates": 2})
    page = report(folder, 5, quiet())
    assert "network-newest (iteration 5)" in page and "network-000004" not in page


def test_the_command_writes_the_page(tmp_path, capsys) -> None:
    folder = write_run(tmp_path / "run", entries())
    assert main([str(folder), "--games", "5"]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Calibration of the value head" in page and "network-000004" in page
    assert str(folder / "report.html") in capsys.readouterr().out
    ElementTree.fromstring(page)


def test_charts_need_an_extra_which_is_said_before_games_are_played(tmp_path, capsys, monkeypatch) -> None:
    folder = write_run(tmp_path / "run", entries())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([str(folder)]) == 2
    assert capsys.readouterr().err == "error: matplotlib is not installed: pip install 'vecgame[plot]'\n"
    assert not (folder / "report.html").exists()


def test_without_games_no_network_is_needed(tmp_path) -> None:
    folder = write_run(tmp_path / "run", entries())
    for network in folder.glob("network-*"):
        network.unlink()
    assert main([str(folder), "--games", "0", "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Self-play throughput" in page and "Calibration" not in page and "Game 1" not in page
    assert not (folder / "report.html").exists()


def test_a_run_that_has_only_had_updates(tmp_path) -> None:
    folder = write_run(tmp_path / "run", entries()[:2])
    document = ElementTree.fromstring(report(folder, 0, quiet()))
    titles = [section.text for section in document.iter("h2")]
    assert titles == ["Policy gradient", "Settings"]


def test_what_is_no_number_leaves_the_page_whole(tmp_path) -> None:
    """One deal has an infinite interval, and a loss that blew up is nan."""
    lines = entries()
    lines[3]["policy_loss"] = math.nan
    lines[-1]["results"]["trained, search 3x30"]["random"]["lead"]["half"] = math.inf
    document = ElementTree.fromstring(report(write_run(tmp_path / "run", lines), 1, quiet()))
    assert [len(run) for run in pixels(figure(document, "Policy loss and total loss"), "c0")] == [3]
    assert not re.search(r'(?:points|d|x|y|height|x1|y1)="[^"]*(?:nan|inf)', ElementTree.tostring(document, "unicode"))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("none", "holds no run"),
        ("no metrics", "has no metrics yet"),
        ("cut metrics", "has no metrics yet"),
        ("a number without bounds", "line 1 is no entry: it has a whole number that is out of all bounds"),
        ("damaged config", "is damaged"),
        ("unknown setting", "does not know"),
        ("no network", "holds no network"),
        ("damaged network", "is damaged"),
        ("negative", "--games must be at least 0"),
        ("no folder for it", "there is no folder"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, broken: str, message: str) -> None:
    folder = tmp_path / "run"
    arguments = [str(folder), "--games", "-1" if broken == "negative" else "4"]
    if broken != "none":
        write_run(folder, entries())
    if broken == "no metrics":
        (folder / "metrics.jsonl").unlink()
    if broken == "cut metrics":
        (folder / "metrics.jsonl").write_text('{"kind": "update", "upd')
    if broken == "a number without bounds":
        line = {"kind": "update", "updates": 1, "iteration": 0, "score": 10**400}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    if broken == "damaged config":
        (folder / "config.json").write_text("{")
    if broken == "unknown setting":
        (folder / "config.json").write_text('{"colour": 1}')
    if broken == "no network":
        for network in folder.glob("network-*"):
            network.unlink()
    if broken == "damaged network":
        (folder / "network-000004.safetensors").write_bytes(b"no")
    if broken == "no folder for it":
        arguments += ["--out", str(tmp_path / "none" / "page.html")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (folder / "report.html").exists()

"""The page of a run: charts that put numbers where they belong, tables that keep them, games as they were played."""

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from rich.console import Console

from net import InferenceNet, NetConfig
from tests.helpers import cards_of, to_reference
from tests.test_net import random_net
from vecgame import Blob
from veclab.agents.checkpoint import save_network
from veclab.agents.folder import NEWEST
from veclab.arena.matches import t_95
from veclab.progress import Display
from veclab.report.charts import Series, bar_chart, calibration_chart, line_chart
from veclab.report.drawing import BOTTOM, ENDS, LEFT, RIGHT, TOP, new_axes, steps_axis, values_axis
from veclab.report.markup import STYLE, number_text, table_html
from veclab.report.metrics import Strength, read_metrics, read_strength, strength_charts
from veclab.report.page import main, report
from veclab.report.played import bids_met, calibration, calibration_error, play, play_all
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


def quiet() -> Display:
    return Display(Console(file=StringIO(), width=120, soft_wrap=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / NAME, entries())


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return report(folder, 60, quiet())


@pytest.fixture(scope="module")
def document(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


@pytest.fixture(scope="module")
def network() -> InferenceNet:
    return InferenceNet(random_net(TINY, seed=6), dtype=torch.float32)


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


# -- axes and charts --


@pytest.mark.parametrize(
    ("values", "log", "ends", "ticks"),
    [
        ([1.13, 4.9], False, (1, 5), [1, 2, 3, 4, 5]),
        ([2, 4], False, (2, 4), [2, 2.5, 3, 3.5, 4]),
        ([-0.031, 0.02], False, (-0.04, 0.02), None),
        ([0.5, math.nan, 0.7, math.inf], False, (0.5, 0.7), None),
        ([7.0], False, (6, 8), None),
        ([0.0], False, (-1, 1), None),
        ([], False, (0.9, 1.1), None),
        ([18.8, 6466], True, (10, 10_000), [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]),
        ([100, 100, 0, -5], True, (100, 200), [100, 200]),
        ([1, 1e7], True, (1, 1e8), [10.0**k for k in range(9)]),
    ],
)
def test_an_axis_surrounds_what_it_shows(values: list[float], log: bool, ends: tuple, ticks: list | None) -> None:
    axes = new_axes("x", "y")
    values_axis(axes, values, log)
    assert axes.get_ylim() == pytest.approx(ends)
    assert ticks is None or axes.get_yticks().tolist() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("steps", "ends", "ticks"), [([1, 57], (1, 57), None), ([3], (2, 4), [2, 3, 4]), ([1, 2, 3], (1, 3), [1, 2, 3])]
)
def test_an_axis_of_steps_ends_with_them(steps: list[float], ends: tuple[int, int], ticks: list | None) -> None:
    axes = new_axes("x", "y")
    steps_axis(axes, steps)
    (low, high), inside = axes.get_xlim(), (RIGHT - LEFT - 2 * ENDS) / (RIGHT - LEFT)
    assert (high - low) * inside == pytest.approx(ends[1] - ends[0]) and high - ends[1] == pytest.approx(ends[0] - low)
    assert ticks is None or axes.get_xticks().tolist() == pytest.approx(ticks)


def test_a_line_lies_where_its_numbers_say() -> None:
    points = [(1, 2.0), (2, 4.0), (3, math.nan), (4, 3.0)]
    svg = ElementTree.fromstring(line_chart("T", [Series("s", points)], "x", "y", references=((2.5, "limit"),)))
    left, right = LEFT + ENDS, RIGHT - ENDS
    runs = pixels(svg, "c0")
    assert runs[0] == [(left, BOTTOM), (pytest.approx(left + (right - left) / 3, abs=0.06), TOP)]
    assert runs[1] == [(right, (TOP + BOTTOM) / 2)] and len(runs) == 2  # a gap where there is no number
    ((start, end),) = paths(svg, "reference")
    assert (start[0], end[0]) == (LEFT, RIGHT) and start[1] == end[1] == on_scale(2.5, 2, 4)
    assert any(element.text == "limit" for element in svg.iter("text"))
    places = [path.get("transform") for path in svg.iter("path") if path.get("class") == "point c0"]
    corners = [corner for run in runs for corner in run]
    assert places == [f"translate({x:g} {y:g})" for x, y in corners]


def test_intervals_reach_as_far_as_they_should() -> None:
    series = [Series("a", [(1, 2.0), (2, 4.0)], [3.0, math.inf]), Series("b", [(1, 0.0)], [0.0])]
    svg = ElementTree.fromstring(line_chart("T", series, "x", "y"))
    ((x, top), (_, bottom)), *others = paths(svg, "whisker c0")
    assert sorted((top, bottom)) == [on_scale(5, -2, 6), on_scale(-1, -2, 6)]
    assert all(start[1] == end[1] for start, end in others) and len(heights(svg, "whisker c0")) == 1  # not the infinite
    assert x != pixels(svg, "c1")[0][0][0]  # intervals at one place stand side by side


def test_an_axis_from_zero() -> None:
    chart = line_chart("T", [Series("s", [(1, 90.0), (2, 100.0)])], "x", "y", zero=True)
    assert pixels(ElementTree.fromstring(chart), "c0")[0][1][1] == TOP
    assert pixels(ElementTree.fromstring(chart), "c0")[0][0][1] == pytest.approx(
        BOTTOM - 0.9 * (BOTTOM - TOP), abs=0.06
    )


def test_bars_are_as_high_as_their_values() -> None:
    svg = ElementTree.fromstring(bar_chart("T", [("5", 0.25, 0.05), ("6", 1.0, math.inf)], "cards", "share", 1.0))
    assert heights(svg, "bar c0") == [pytest.approx((BOTTOM - TOP) / 4, abs=0.06), BOTTOM - TOP]
    assert heights(svg, "whisker ink") == [pytest.approx(0.1 * (BOTTOM - TOP), abs=0.06)]


def test_numbers_are_rounded_to_read_and_kept_exact() -> None:
    for value, shown in [(1234567, "1,234,567"), (0.0123456, "0.01235"), (-2.5, "\N{MINUS SIGN}2.5"), (4.0, "4")]:
        assert number_text(value) == shown
    assert number_text(math.nan) == "\N{EN DASH}" and number_text(math.inf) == "∞"
    table = ElementTree.fromstring(table_html("T", ["a", "b"], [[1 / 3, "<x>"], [None, 2]]))
    assert values_of(table) == [1 / 3, 2.0]
    assert [data.text for data in table.iter("data")] == ["0.3333", "2"]
    assert [cell.text for cell in table.iter("td")] == [None, "<x>", None, None]


# -- calibration and bids --


def test_calibration_of_a_hand_made_example() -> None:
    predicted = torch.tensor([-0.2, 0.1, 0.25, 0.3, 0.74, 0.75, 1.0, 1.5])
    realised = torch.tensor([0.0, 0.4, 0.0, 1.0, 0.6, 0.5, 1.0, 0.9])
    rows = calibration(predicted, realised, bins=4)
    assert [row[:3] for row in rows] == [(0, 0.25, 2), (0.25, 0.5, 2), (0.5, 0.75, 1), (0.75, 1, 3)]
    assert [row[3] for row in rows] == pytest.approx([-0.05, 0.275, 0.74, 3.25 / 3])
    assert [row[4] for row in rows] == pytest.approx([0.2, 0.5, 0.6, 2.4 / 3])
    expected = (2 * 0.25 + 2 * 0.225 + 1 * 0.14 + 3 * (0.85 / 3)) / 8
    assert calibration_error(rows) == pytest.approx(expected)


def test_an_empty_bin_stays_in_the_table_and_out_of_the_line() -> None:
    rows = calibration(torch.tensor([0.1, 0.9]), torch.tensor([0.2, 0.8]), bins=3)
    assert rows[1][2] == 0 and math.isnan(rows[1][3]) and calibration_error(rows) == pytest.approx(0.1)
    svg = ElementTree.fromstring(calibration_chart("T", rows, "x", "y"))
    floor = BOTTOM - 50
    expected = [(LEFT + x * (RIGHT - LEFT), floor - y * (floor - TOP)) for x, y in ((0.1, 0.2), (0.9, 0.8))]
    assert pixels(svg, "c0") == [[pytest.approx(point, abs=0.06) for point in expected]]
    assert paths(svg, "reference") == [[(LEFT, floor), (RIGHT, TOP)]]
    assert heights(svg, "bar muted") == [42, 0, 42]
    assert [float(cell.get("value")) for cell in svg.iter("data")][2::5] == [1, 0, 1]


def test_games_are_played_and_recorded_as_they_were(network: InferenceNet) -> None:
    """Every action is the most probable legal one, by probabilities over the legal actions, and every end is real."""
    game = Blob(cards=3)
    played = play(game, network, 50, seed=4)
    state = played.start
    for decision in range(game.decisions):
        logits, values = network(game.observe(state))
        assert torch.equal(played.mover[decision], game.mover(state))
        assert torch.equal(played.value[decision], values[:, 0])
        for lane in range(50):
            actions = [action for action in game.legal_actions(state)[lane].tolist() if action >= 0]
            columns = game.policy_columns(state, torch.tensor(actions).expand(50, -1))[lane]
            chances = logits[lane, columns].softmax(-1)
            assert int(played.action[decision, lane]) == actions[int(chances.argmax())]
            assert float(played.chance[decision, lane]) == pytest.approx(float(chances.max()), abs=1e-6)
            assert bool(played.free[decision, lane]) == (len(actions) > 1)
        state = game.step(state, played.action[decision], validate=True)
    assert bool(game.is_terminal(state).all()) and torch.equal(played.end.won, state.won)
    realised = played.realised()
    for lane in range(50):
        rules, end = to_reference(game, state, lane)
        points = [10 + bid if bid == won else 0 for bid, won in zip(end.bids, end.won, strict=True)]
        for decision in range(game.decisions):
            seat = int(played.mover[decision, lane])
            assert float(realised[decision, lane]) == points[seat] <= 10 + rules.cards


def test_card_counts_share_the_games_and_their_bids(network: InferenceNet) -> None:
    games = Settings(cards="1-3").games()
    played = play_all(games, network, 0, 8, quiet())
    assert [(part.game.cards, part.start.batch_size) for part in played] == [(1, 3), (2, 3), (3, 2)]
    generator = torch.Generator().manual_seed(0)
    played = [  # bids above and below what was won, which one network does not make
        replace(part, end=replace(part.end, bids=torch.randint(0, 3, part.end.bids.shape, generator=generator)))
        for part in played
    ]
    for part, (name, share, half) in zip(played, bids_met(played), strict=True):
        each = [
            sum(b == w for b, w in zip(bids, won, strict=True)) / 4
            for bids, won in zip(part.end.bids.tolist(), part.end.won.tolist(), strict=True)
        ]
        mean = sum(each) / len(each)
        spread = math.sqrt(sum((x - mean) ** 2 for x in each) / (len(each) - 1) / len(each))
        half_of_each = t_95(len(each) - 1) * spread
        assert (name, share, half) == (str(part.game.cards), pytest.approx(mean), pytest.approx(half_of_each))
    assert [part.game.cards for part in play_all(games, network, 0, 2, quiet())] == [1, 2]
    repeated = play_all(Settings(cards="1-3,2,2").games(), network, 0, 8, quiet())  # a deal is shown once
    assert [(part.game.cards, part.start.batch_size) for part in repeated] == [(1, 3), (2, 3), (3, 2)]


# -- the page --


def test_every_metric_is_drawn_with_its_exact_numbers(document: ElementTree.Element) -> None:
    figures = {f.find("figcaption").text: f for f in document.iter("figure")}
    drawn: dict[str, list[list[float]]] = {}
    for title, element in figures.items():
        table = element.find(".//table")
        drawn[title] = [column(table, number) for number in range(len(table.find("thead/tr")))]
    for kind, x_key in (("iteration", "iteration"), ("update", "updates")):
        lines = [entry for entry in entries() if entry["kind"] == kind]
        for key in lines[0].keys() - {"kind", "updates", "iteration"}:
            numbers = [float(entry[key]) for entry in lines]
            holding = [title for title, columns in drawn.items() if numbers in columns[1:]]
            assert holding, key
            assert drawn[holding[0]][0] == [float(entry[x_key]) for entry in lines]
            assert len(pixels(figures[holding[0]], "c0")[0]) == len(lines)
    assert "brand new" in figures


def test_the_loss_of_each_head_of_policy_gradient_stands_where_it_belongs(document: ElementTree.Element) -> None:
    table = figure(document, "Value loss of policy gradient").find(".//table")
    assert [head.text for head in table.findall("thead/tr/th")] == ["update", "value", "critic"]
    assert column(table, 2) == [pytest.approx(0.3 / update) for update in (1, 2, 3)]
    assert column(figure(document, "Divergence from the magnet").find(".//table"), 1) == [0.02, 0.04, 0.06]
    assert figure(document, "Loss of the tricks' head in policy gradient") is not None


def test_the_total_loss_weighs_the_value_loss(document: ElementTree.Element) -> None:
    table = figure(document, "Policy loss and total loss").find(".//table")
    assert column(table, 2) == [pytest.approx((1.2 + 2.0 * 0.43) / iteration) for iteration in (1, 2, 3, 4)]


def test_throughput_stands_beside_the_documents_targets(document: ElementTree.Element) -> None:
    chart = figure(document, "Self-play throughput")
    lines = [start[1] for start, _ in paths(chart, "reference")]
    assert lines == [on_scale(target, 100, 5000, log=True) for target in (100, 500, 1000)]
    drawn = [y for _, y in pixels(chart, "c0")[0]]
    assert drawn == [on_scale(631.578947 * iteration, 100, 5000, log=True) for iteration in (1, 2, 3, 4)]


def test_strength_over_the_steps_of_a_run(folder: Path, document: ElementTree.Element) -> None:
    leads = {(s.player, s.opponent, s.step): s.match["lead"]["mean"] for s in read_strength(folder, entries())}
    assert leads == {
        ("search 3x30", "random", 0): -0.5,
        ("search 3x30", "rule-based", 0): -4.5,
        ("network alone", "random", 4): 2.5,
        ("network alone", "rule-based", 4): -1.5,
        ("search 3x30", "random", 4): 3.0,
        ("search 3x30", "rule-based", 4): -1.0,
        ("search 3x30", "search with network-000000", 4): 6.0,
        ("network alone", "random", 7): 3.5,
        ("network alone", "rule-based", 7): -0.5,
        ("search 3x30", "random", 7): 4.5,
        ("search 3x30", "rule-based", 7): 0.5,
    }
    chart = figure(document, "Lead, search 3x30")
    table = chart.find(".//table")
    assert [column(table, number) for number in range(5)] == [
        [0, 4, 7],
        [-0.5, 3, 4.5],
        [0.25] * 3,
        [-4.5, -1, 0.5],
        [0.25] * 3,
    ]
    assert [len(heights(chart, f"whisker {colour}")) for colour in ("c0", "c1")] == [3, 3]
    everything = next(
        t for t in document.iter("table") if (c := t.find("caption")) is not None and c.text == "All matches"
    )
    assert len(everything.find("tbody")) == 11
    tiles = {tile.find("dt").text: tile.find("dd").text for tile in document.findall(".//dl/div")}
    assert tiles["Lead over rule-based, search 3x30"] == "0.50 ± 0.25" and tiles["Iterations"] == "4 of 9"
    assert tiles["Self-play games"] == "400" and tiles["Games/min, last"] == "2,526"


def test_metrics_of_earlier_versions(tmp_path, folder: Path) -> None:
    """Their updates were called a warm-up, and an evaluation told its network's iteration beside."""
    lines = [{**line, "kind": "warm-up"} if line["kind"] == "update" else line for line in entries()]
    lines = [{**line, "iteration": 2, "of": 1} if line["kind"] == "evaluation" else line for line in lines]
    run = write_run(tmp_path / NAME, lines)
    config = json.loads((run / "config.json").read_text())
    del config["learner"]
    for new, old in (("updates", "warmup_updates"), ("update_games", "warmup_games"), ("entropy", "warmup_entropy")):
        config[old] = config.pop(new)
    (run / "config.json").write_text(json.dumps(config))
    assert read_metrics(run) == entries() and report(run, 0, quiet()) == report(folder, 0, quiet())


def test_results_count_where_the_metrics_do_not_have_them_yet(tmp_path) -> None:
    folder = write_run(tmp_path / "run", entries()[:-1])
    (folder / "results.json").write_text(json.dumps(results({"trained, search 3x30": 6.5})))
    newest = read_strength(folder, entries()[:-1])[-1]
    assert (newest.player, newest.step, newest.match["player"]["mean"]) == ("search 3x30", 7, 6.5)
    assert read_strength(folder, entries())[-1].match["player"]["mean"] == 6.0


def test_the_page_needs_nothing_from_elsewhere(text: str) -> None:
    for forbidden in ("http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"):
        assert forbidden not in text, forbidden


def test_text_of_the_user_is_escaped(document: ElementTree.Element, text: str) -> None:
    assert document.find(".//h1").text == NAME and document.find("head/title").text == f"vecgame: {NAME}"
    assert "<b>" not in text
    opponent = {"search with <i>&": match(1, 2)}
    chart = strength_charts([Strength("<p>", name, 0, m) for name, m in opponent.items()], "points", "iteration")
    assert "<i>" not in chart and "<p>" not in chart and "search with &lt;i&gt;&amp;" in chart


def test_the_page_can_be_read_by_everyone(document: ElementTree.Element, text: str) -> None:
    assert document.get("lang") == "en"
    assert any(meta.get("name") == "viewport" for meta in document.iter("meta"))
    for element in document.iter("figure"):
        chart = next(svg for svg in element.iter("svg") if svg.get("class") == "chart")
        assert chart.get("role") == "img" and chart.get("viewBox") and chart.get("width") is None
        assert chart.get("aria-label").startswith(element.find("figcaption").text + ". ")
        assert element.find("details/summary") is not None and element.find("details//table") is not None
    light, dark = re.search(r":root \{(.*?)\}.*?prefers-color-scheme: dark\) \{ :root \{(.*?)\}", STYLE, re.S).groups()
    colours = set(re.findall(r"(--[\w]+):", light))
    assert colours == set(re.findall(r"(--[\w]+):", dark)) == set(re.findall(r"var\((--[\w]+)\)", STYLE))


def cards(text: str) -> list[int]:
    """Ids of the cards in a text, such as 10♠."""
    ranks = ["2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A"]
    return [13 * "♠♥♣♦".index(suit) + ranks.index(rank) for rank, suit in re.findall(r"(10|[2-9JQKA])([♠♥♣♦])", text)]


def shown_games(
    document: ElementTree.Element,
) -> Iterator[tuple[str, list[list[str]], list[list[str]], list[list[str]]]]:
    """Title, rows of hands, of bids and tricks, and of all decisions, as text."""
    for article in document.iter("article"):
        tables = [
            [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")]
            for table in article.iter("table")
        ]
        yield article.find("h3").text, *tables


def test_annotated_games_obey_the_rules(document: ElementTree.Element) -> None:
    games = list(shown_games(document))
    assert [title.split(",")[0] for title, *_ in games] == ["Game 1: 2 cards", "Game 2: 2 cards", "Game 3: 3 cards"]
    assert games[0][1] != games[1][1]
    for title, hands, (bids, *tricks), decisions in games:
        assert "trump none" in title and bids[0] == "Bids"
        dealer = int(re.search(r"dealer seat (\d)", title).group(1))
        assert [row[0] for row in hands] == [f"Seat {seat}" for seat in range(4)]
        held = [set(cards(row[1])) for row in hands]
        assert all(cards(row[1]) == sorted(cards(row[1]), key=lambda card: (card // 13, -card)) for row in hands)
        won, leader = [0] * 4, (dealer + 1) % 4
        for number, trick in enumerate(tricks, start=1):
            assert trick[0] == f"Trick {number}"
            plays = [cards(cell) for cell in trick[1:]]
            assert all(len(play) == 1 and play[0] in held[seat] for seat, play in enumerate(plays))
            assert [seat for seat in range(4) if "leads" in trick[1 + seat]] == [leader]
            for seat, (card,) in enumerate(plays):
                held[seat].remove(card)
            led = plays[leader][0] // 13  # without trump its highest card wins
            leader = max((card, seat) for seat, (card,) in enumerate(plays) if card // 13 == led)[1]
            assert [seat for seat in range(4) if "wins" in trick[1 + seat]] == [leader]
            won[leader] += 1
        assert all(re.search(r"forced, \N{MINUS SIGN}?\d+\.\d", cell) for cell in tricks[-1][1:])
        for seat, row in enumerate(hands):
            bid = int(re.match(r"bid (\d)(?:\d+%|forced), \N{MINUS SIGN}?\d+\.\d$", bids[1 + seat]).group(1))
            assert row[2] == f"bid {bid}, won {won[seat]}, score {10 + bid if bid == won[seat] else 0}"
        assert len(decisions) == 4 + 4 * len(tricks)
        assert [row[1] for row in decisions[:4]] == [f"Seat {(dealer + k) % 4}" for k in (1, 2, 3, 4)]


def test_annotated_games_are_those_that_were_played(
    folder: Path, document: ElementTree.Element, network: InferenceNet
) -> None:
    """The first bid of the first game: its hand, and what the newest network thought."""
    part = play_all(SETTINGS.games(), network, SETTINGS.seed, 60, quiet())[0]
    _, hands, (bids, *_), decisions = next(shown_games(document))
    logits, values = network(part.game.observe(part.start))
    chances = logits[0, :3].softmax(-1)
    seat = int(part.mover[0, 0])
    best = int(chances.argmax())
    expected = f"bid {best}{100 * float(chances[best]):.0f}%, {12 * float(values[0, 0]):.1f}"
    assert bids[1 + seat] == expected.replace("-", "\N{MINUS SIGN}")
    assert set(cards(hands[seat][1])) == cards_of(int(part.start.hands[0, seat]))
    order = chances.argsort(descending=True).tolist()
    assert decisions[0][2] == ", ".join(f"bid {bid} {100 * float(chances[bid]):.0f}%" for bid in order)
    told = [f"{12 * float(value):.1f}".replace("-", "\N{MINUS SIGN}") for value in values[0]]
    assert [decisions[0][3 + (seat + place) % 4] for place in range(4)] == told
    suits = {(card.text[-2], card.get("class")) for card in document.iter("span") if "card" in card.get("class")}
    assert suits == {("♠", "card"), ("♣", "card"), ("♥", "card red"), ("♦", "card red")}


def test_the_page_is_the_same_again(folder: Path, text: str) -> None:
    assert report(folder, 60, quiet()) == text


# -- the command --


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


def test_a_line_cut_short_is_left_out(tmp_path, folder: Path) -> None:
    cut = write_run(tmp_path / NAME, entries(), rest='{"kind": "iteration", "updates": 3, "iter')
    assert read_metrics(cut) == entries()
    assert report(cut, 0, quiet()) == report(folder, 0, quiet())


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

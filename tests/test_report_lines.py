"""Lines that people can read: means over faint points, a line a card count, no saw, and nothing that is empty."""

import math
from xml.etree import ElementTree

import pytest
import torch

from net import InferenceNet
from tests.report_pages import TINY, paths, pixels, quiet
from tests.test_net import random_net
from vecgame import Blob
from veclab.report.charts import Series, line_chart, window_for
from veclab.report.drawing import BOTTOM, TOP
from veclab.report.metrics import Chart, metric_charts
from veclab.report.played import bids_met, play_all

SCORE = (Chart("Score", {"score": "points"}, "points"),)


def updates(scores: list[float]) -> list[dict[str, object]]:
    return [{"kind": "update", "updates": n, "iteration": 0, "score": score} for n, score in enumerate(scores, 1)]


def charts_of(scores: list[float]) -> ElementTree.Element:
    return ElementTree.fromstring(f"<p>{metric_charts(updates(scores), SCORE, 'updates', 'update')}</p>")


@pytest.mark.parametrize(("points", "window"), [(3, 1), (40, 1), (41, 2), (2000, 80)])
def test_of_how_many_points_a_mean_is(points: int, window: int) -> None:
    assert window_for(points) == window


def test_a_long_series_is_its_mean_over_faint_points() -> None:
    points = [(float(x), 1.0 if x % 2 else 3.0) for x in range(1, 7)]
    drawing = ElementTree.fromstring(line_chart("T", [Series("s", points, window=2)], "x", "y"))
    ((*line,),) = pixels(drawing, "c0")
    assert len(line) == 5 and {y for _, y in line} == {(TOP + BOTTOM) / 2}
    (faint,) = [path for path in drawing.iter("path") if path.get("class") == "faint c0"]
    assert faint.get("d").count("h0") == 6
    assert len(paths(drawing, "point c0")) == 1  # at its end
    assert "the mean over 2 of them" in "".join(drawing.itertext())
    assert [float(d.get("value")) for d in drawing.iter("data")][1::2] == [y for _, y in points]  # as recorded


def test_a_value_that_is_no_number_is_a_gap_as_wide_as_the_mean() -> None:
    line = Series("s", [(1, 1.0), (2, math.nan), (3, 2.0), (4, 4.0)], window=2).line(log=False)
    assert [math.isnan(y) for _, y in line] == [True, True, False] and line[-1] == (3.5, 3.0)


def test_updates_are_one_line_whatever_they_mix() -> None:
    """Each of them has games of all card counts."""
    drawing = charts_of([1, 5, 2, 6, 3, 7])
    ((*line,),) = pixels(drawing, "c0")
    assert len(line) == 6 and not list(drawing.iter("li"))


def test_empty_charts_are_left_out() -> None:
    assert list(charts_of([0.0] * 4).iter("svg")) == [] and "0 throughout: Score." in "".join(
        charts_of([0.0] * 4).itertext()
    )
    assert list(charts_of([math.nan] * 4).iter("svg")) == []
    single = charts_of([2.5])
    assert list(single.iter("svg")) == [] and [d.get("value") for d in single.iter("data")] == ["2.5"]


def test_bars_stand_in_the_order_of_the_card_counts() -> None:
    network = InferenceNet(random_net(TINY, seed=6), dtype=torch.float32)
    games = [Blob(cards=count) for count in (1, 5, 2)]
    assert [name for name, _, _ in bids_met(play_all(games, network, 0, 6, quiet()))] == ["1", "2", "5"]

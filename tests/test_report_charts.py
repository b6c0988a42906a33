"""Charts put numbers where they belong: axes, lines, intervals, bars; and tables keep them exact."""

import math
from xml.etree import ElementTree

import pytest

from tests.report_pages import heights, on_scale, paths, pixels, values_of
from veclab.report.charts import Series, bar_chart, line_chart
from veclab.report.drawing import BOTTOM, ENDS, LEFT, RIGHT, TOP, new_axes, steps_axis, values_axis
from veclab.report.markup import number_text, table_html


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
    bars = [("5", 0.1, 0.3), ("6", 0.9, 0.3)]  # shares that no interval reaches beyond
    svg = ElementTree.fromstring(bar_chart("T", bars, "cards", "share", 1.0))
    assert heights(svg, "whisker ink") == 2 * [pytest.approx(0.4 * (BOTTOM - TOP), abs=0.06)]


def test_numbers_are_rounded_to_read_and_kept_exact() -> None:
    for value, shown in [(1234567, "1,234,567"), (0.0123456, "0.01235"), (-2.5, "\N{MINUS SIGN}2.5"), (4.0, "4")]:
        assert number_text(value) == shown
    assert number_text(math.nan) == "\N{EN DASH}" and number_text(math.inf) == "∞"
    table = ElementTree.fromstring(table_html("T", ["a", "b"], [[1 / 3, "<x>"], [None, 2]]))
    assert values_of(table) == [1 / 3, 2.0]
    assert [data.text for data in table.iter("data")] == ["0.3333", "2"]
    assert [cell.text for cell in table.iter("td")] == [None, "<x>", None, None]


def test_a_chart_is_told_by_where_its_lines_begin_and_end() -> None:
    """Also one that ends as high as it began; of a single point there is no end."""
    series = [Series("level", [(1, 2.5), (2, 9.0), (3, 2.5)]), Series("point", [(2, 4.0)])]
    svg = next(ElementTree.fromstring(line_chart("T", series, "step", "y")).iter("svg"))
    assert svg.get("aria-label") == "T. level: 2.5 at step 1, 2.5 at 3; point: 4 at step 2"

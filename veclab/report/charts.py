"""Charts as inline SVG, with their figures as tables; XHTML-conforming, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from veclab.plotting import load_matplotlib
from veclab.report.drawing import (
    BOTTOM,
    DOTS,
    drawable,
    fixed_axis,
    markup,
    named_ticks,
    new_axes,
    range_axis,
    steps_axis,
    strip_below,
    values_axis,
)
from veclab.report.markup import details, number_text, table_html

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTS_HEIGHT = 42  # pixels of the histogram under a calibration
GAP = 8  # above it
MOST_MARKERS = 40  # points of a longer series are faint, with their mean as the line
MEANS = 25  # of a long series, about so many that share no point
MARKERS = "os^D"  # of the series: colour is not all that tells them apart
SIGNS = "\N{BLACK CIRCLE}\N{BLACK SQUARE}\N{BLACK UP-POINTING TRIANGLE}\N{BLACK DIAMOND}"  # these in a legend
COLOURS = len(MARKERS)  # the most series that can be told apart
WIDEST_BAR = 0.13  # of the axes
DODGE = 5  # pixels between the intervals of several series at one x
CAP = 3  # half the width of an interval's ends, in pixels


@dataclass(frozen=True)
class Series:
    """A named line: points (x, y), and halves of 95% intervals beside them if it has any.

    With a ``window`` above 1 the points are faint, and the line is their mean over so many in a row.
    """

    name: str
    points: Sequence[tuple[float, float]]
    halves: Sequence[float] = ()
    window: int = 1

    def line(self, log: bool) -> list[tuple[float, float]]:
        """The points of the line, nan where a value of the window cannot be drawn."""
        if self.window == 1:
            return list(self.points)
        runs = (self.points[first : first + self.window] for first in range(len(self.points) - self.window + 1))
        return [
            (
                sum(x for x, _ in run) / self.window,
                sum(y for _, y in run) / self.window if all(drawable(y, log) for _, y in run) else math.nan,
            )
            for run in runs
        ]


def window_for(points: int) -> int:
    """How many of a series' points a mean is of: 1 for a short one."""
    return 1 if points <= MOST_MARKERS else max(1, round(points / MEANS))


# -- charts -----------------------------------------------------------------------------------------------------------


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    log: bool = False,
    zero: bool = False,
    references: Sequence[tuple[float, str]] = (),
    note: str = "",
) -> str:
    """Lines over whole numbers, on an axis that begins at 0 if ``zero``, with named horizontal reference lines."""
    axes = new_axes(x_label, y_label)
    ends = [y + sign * half for line in series for (_, y), half in _with_halves(line) for sign in (-1, 1)]
    ys = [y for line in series for _, y in line.points] + [y for y, _ in references]
    steps_axis(axes, [x for line in series for x, _ in line.points])
    values_axis(axes, [*ys, *ends, *([0.0] if zero else [])], log)
    for value, _ in references:
        axes.axhline(value, gid="reference")
    for number, line in enumerate(series):
        shift = DODGE * (number - (len(series) - 1) / 2) if any(line.halves for line in series) else 0
        _draw(axes, line, number, shift, log)
    for value, text in references:  # over the lines, or they cross it out
        above = {"xytext": (0, 4), "textcoords": "offset points", "ha": "right"}
        axes.annotate(text, (1, value), xycoords=("axes fraction", "data"), gid="reference", **above)
    if windows := sorted({line.window for line in series} - {1}):
        over = " or ".join(map(number_text, windows))
        note = f"{note} Points: as recorded; line: the mean over {over} of them.".strip()
    legend = _legend([line.name for line in series]) if len(series) > 1 else ""
    table = _series_table(title, series, x_label)
    said = "; ".join(_in_words(line, x_label) for line in series)
    return _figure(title, said, axes, table, legend, note)


def bar_chart(
    title: str, bars: Sequence[tuple[str, float, float]], x_label: str, y_label: str, high: float, note: str = ""
) -> str:
    """Bars from 0 to ``high``: (name, value, half of its 95% interval) each."""
    axes = new_axes(x_label, y_label)
    fixed_axis(axes, 0, high)
    axes.set_xlim(-0.5, len(bars) - 0.5)
    named_ticks(axes, range(len(bars)), [name for name, _, _ in bars])
    for number, (_, value, half) in enumerate(bars):
        axes.bar(number, value, min(0.6, WIDEST_BAR * len(bars)), gid="bar c0")
        if math.isfinite(half):
            _whisker(axes, number, max(value - half, 0), min(value + half, high), "ink")
    rows = [[name, value, half] for name, value, half in bars]
    table = table_html(title, [x_label, y_label, "± (95%)"], rows)
    said = "; ".join(f"{name}: {number_text(value)}" for name, value, _ in bars)
    return _figure(title, said, axes, table, note=note)


def calibration_chart(title: str, rows: Sequence[Sequence[float]], x_label: str, y_label: str, note: str = "") -> str:
    """Means of what was predicted and of what came, by bins of the prediction, above a histogram of the counts.

    Args:
        rows: (low, high, count, mean predicted, mean realised) of each bin; an empty one's means are nan.
    """
    floor = BOTTOM - COUNTS_HEIGHT - GAP
    axes = new_axes(x_label, y_label, floor)
    below = strip_below(axes, BOTTOM - COUNTS_HEIGHT)
    least, best = rows[0][0], rows[-1][1]
    fixed_axis(axes, least, best)
    range_axis(axes, least, best)
    axes.tick_params(axis="x", pad=BOTTOM - floor + 6)  # below the histogram
    axes.axline((least, least), (best, best), gid="reference")
    below.set(xlim=(least, best), ylim=(0, max((row[2] for row in rows), default=0) or 1))
    for low, high, count, *_ in rows:
        below.bar((low + high) / 2, count, 0.95 * (high - low), gid="bar muted")
    met = [(predicted, realised) for _, _, count, predicted, realised in rows if count]
    _draw(axes, Series("realised", met), 0, 0, False)
    header = ["from", "to", "decisions", "predicted", "realised"]
    said = "; ".join(f"predicted {number_text(p)}, realised {number_text(r)}" for p, r in met)
    return _figure(title, said, axes, table_html(title, header, rows), note=note)


def _draw(axes: Axes, series: Series, number: int, shift: float, log: bool) -> None:
    """One series ``shift`` pixels to the right of its places: its line with gaps where a value cannot be drawn, its
    intervals, and its points."""
    to_the_right = load_matplotlib().transforms.ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    moved = axes.transData + to_the_right
    colour, of_all = f"c{number % COLOURS}", {"transform": moved}
    line = [(x, y if drawable(y, log) else math.nan) for x, y in series.line(log)]
    if series.window > 1:  # dots: ends of lines that have no length
        dots = [dot for dot in series.points if drawable(dot[1], log)]
        ends = [end for dot in dots for end in (dot, dot, (math.nan, math.nan))]
        axes.plot(*_columns(ends), gid=f"{DOTS} {colour}", **of_all)
    axes.plot(*_columns(line), gid=f"line {colour}", **of_all)
    for (x, y), half in _with_halves(series):
        if drawable(y, log) and math.isfinite(half):
            _whisker(axes, x, y - half, y + half, colour, **of_all)
    marked = [point for index, point in enumerate(line) if series.window == 1 or index == len(line) - 1]
    look = {"marker": MARKERS[number % COLOURS], "markersize": 8, "linestyle": ""}
    axes.plot(*_columns(marked), gid=f"point {colour}", **look, **of_all)


def _whisker(axes: Axes, x: float, low: float, high: float, colour: str, **options: Any) -> None:
    """An interval, with its ends."""
    axes.plot((x, x), (low, high), marker="_", markersize=2 * CAP, gid=f"whisker {colour}", **options)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _with_halves(series: Series) -> Iterable[tuple[tuple[float, float], float]]:
    return zip(series.points, series.halves, strict=True) if series.halves else ()


def _in_words(series: Series, x_label: str) -> str:
    """The line's first and last point."""
    (x0, y0), (x1, y1) = series.points[0], series.points[-1]
    start = f"{series.name}: {number_text(y0)} at {x_label} {number_text(x0)}"
    return start if x0 == x1 else f"{start}, {number_text(y1)} at {number_text(x1)}"


# -- around a chart ----------------------------------------------------------------------------------------------------


def _series_table(title: str, series: Sequence[Series], x_label: str) -> str:
    """All figures of a line chart, a row for each x."""
    header, columns = [x_label], []
    for line in series:
        header.append(line.name)
        columns.append(dict(line.points))
        if line.halves:
            header.append("± (95%)")
            columns.append({x: half for (x, _), half in _with_halves(line)})
    xs = sorted({x for column in columns for x in column})
    return table_html(title, header, [[x, *(column.get(x) for column in columns)] for x in xs])


def _legend(names: Sequence[str]) -> str:
    signs = (
        f'<span class="sign c{number % COLOURS}" aria-hidden="true">{SIGNS[number % COLOURS]}</span>'
        for number in range(len(names))
    )
    entries = "".join(f"<li>{sign}{escape(name)}</li>" for sign, name in zip(signs, names, strict=True))
    return f'<ul class="legend">{entries}</ul>'


def _figure(title: str, said: str, axes: Axes, table: str, legend: str = "", note: str = "") -> str:
    """A chart with its name, its legend and its table. ``said`` is what the chart shows, for those who hear it."""
    drawing = markup(axes, f"{title}. {said}")
    told = f"<p>{escape(note)}</p>" if note else ""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{legend}{drawing}{told}{details('Figures', table)}</figure>"
    )

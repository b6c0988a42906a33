"""Charts as inline SVG, with their figures as tables; XHTML-conforming, nothing from elsewhere."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from veclab.report.markup import details, number_text, short_number, table_html

WIDTH, HEIGHT = 440, 250  # of a chart; the page scales it, so that 11 pixels stay legible on a telephone
LEFT, RIGHT, TOP, BOTTOM = 54, 430, 10, 208
COUNTS_HEIGHT = 42  # of the histogram under a calibration
MOST_MARKERS = 40  # points of a longer series are faint, with their mean as the line
MEANS = 25  # of a long series, about so many that share no point
COLOURS = 4  # and shapes: the most series that can be told apart
WIDEST_BAR = 48
DODGE = 5  # pixels between the intervals of several series at one x


@dataclass(frozen=True)
class Scale:
    """Maps data from ``low`` .. ``high`` to pixels ``start`` .. ``end``, by value or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, log: bool = False, whole: bool = False) -> Scale:
        """Of the range of the values that can be drawn, widened to round numbers unless ``whole`` (an axis of
        iterations, which ends at its first and last)."""
        drawn = [value for value in values if drawable(value, log)] or [1.0]
        low, high = min(drawn), max(drawn)
        if log:
            # A little above the highest value, so that no two equal ends are left.
            return cls(_round_1_2_5(low, math.floor), _round_1_2_5(high * (1 + 1e-6), math.ceil), start, end, True)
        if low == high:
            margin = 1 if whole else abs(low) / 10 or 1
            low, high = low - margin, high + margin
        if not whole:
            step = _step(low, high)
            low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        return cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, whole: bool = False) -> list[float]:
        """Round numbers on the scale, some five of them; ``whole`` ones only, on request."""
        if self.log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            digits = (1, 2, 5) if len(exponents) <= 4 else (1,)
            ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
            return [tick for tick in ticks if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]
        step = max(_step(self.low, self.high), 1 if whole else 0)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]


def drawable(value: float, log: bool = False) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _step(low: float, high: float) -> float:
    """1, 2 or 5 times a power of ten: the least that cuts low .. high into five parts or fewer."""
    return _round_1_2_5((high - low) / 5, math.ceil)


def _round_1_2_5(value: float, rounding) -> float:
    """The nearest of .. 0.5, 1, 2, 5, 10 .. at or below (math.floor) or at or above (math.ceil) a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    candidates = [digit * power for digit in (1, 2, 5, 10)]
    if rounding is math.floor:
        return max(c for c in candidates if c <= value * (1 + 1e-9))
    return min(c for c in candidates if c >= value * (1 - 1e-9))


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


def window_for(points: int, round_of: int = 1) -> int:
    """How many of a series' points a mean is of: 1 for a short one, and always whole rounds of ``round_of`` points."""
    if points <= MOST_MARKERS:
        return round_of
    return round_of * max(1, round(points / MEANS / round_of))


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
    xs = [x for line in series for x, _ in line.points]
    ends = [y + sign * half for line in series for (_, y), half in _with_halves(line) for sign in (-1, 1)]
    ys = [y for line in series for _, y in line.points] + [y for y, _ in references]
    x_scale = Scale.around(xs, LEFT + 8, RIGHT - 8, whole=True)
    y_scale = Scale.around([*ys, *ends, *([0.0] if zero else [])], BOTTOM, TOP, log)
    parts = [_axes(x_scale, y_scale, x_label, y_label, whole=True)]
    for value, _ in references:
        y = y_scale(value)
        parts.append(f'<line class="reference" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for number, line in enumerate(series):
        shift = DODGE * (number - (len(series) - 1) / 2) if any(line.halves for line in series) else 0
        parts.append(_line(line, number, x_scale, y_scale, shift, log))
    for value, text in references:  # over the lines, or they cross it out
        place = f'x="{RIGHT}" y="{y_scale(value) - 4:.1f}"'
        parts.append(f'<text class="reference" {place} text-anchor="end">{escape(text)}</text>' if text else "")
    if windows := sorted({line.window for line in series} - {1}):
        over = " or ".join(map(number_text, windows))
        note = f"{note} Points: as recorded; line: the mean over {over} of them.".strip()
    legend = _legend([line.name for line in series]) if len(series) > 1 else ""
    table = _series_table(title, series, x_label)
    said = "; ".join(_in_words(line, x_label) for line in series)
    return _figure(title, said, parts, table, legend, note)


def bar_chart(
    title: str, bars: Sequence[tuple[str, float, float]], x_label: str, y_label: str, high: float, note: str = ""
) -> str:
    """Bars from 0 to ``high``: (name, value, half of its 95% interval) each."""
    y_scale = Scale(0, high, BOTTOM, TOP)
    parts = [_axes(None, y_scale, x_label, y_label)]
    width = (RIGHT - LEFT) / len(bars)
    thick = min(0.6 * width, WIDEST_BAR)
    for number, (name, value, half) in enumerate(bars):
        y, middle = y_scale(value), LEFT + (number + 0.5) * width
        place = f'x="{middle - thick / 2:.1f}" y="{y:.1f}" width="{thick:.1f}" height="{BOTTOM - y:.1f}"'
        text = f"{name}: {number_text(value)} ± {number_text(half)}"
        parts.append(f'<rect class="bar c0" {place}><title>{escape(text)}</title></rect>')
        if math.isfinite(half):
            parts.append(_whisker(middle, y_scale(min(value + half, high)), y_scale(max(value - half, 0)), "ink"))
        parts.append(_tick_text(middle, name))
    rows = [[name, value, half] for name, value, half in bars]
    table = table_html(title, [x_label, y_label, "± (95%)"], rows)
    said = "; ".join(f"{name}: {number_text(value)}" for name, value, _ in bars)
    return _figure(title, said, parts, table, note=note)


def calibration_chart(title: str, rows: Sequence[Sequence[float]], x_label: str, y_label: str, note: str = "") -> str:
    """Means of what was predicted and of what came, by bins of the prediction, above a histogram of the counts.

    Args:
        rows: (low, high, count, mean predicted, mean realised) of each bin; an empty one's means are nan.
    """
    floor = BOTTOM - COUNTS_HEIGHT - 8
    least, best = rows[0][0], rows[-1][1]
    x_scale, y_scale = Scale(least, best, LEFT, RIGHT), Scale(least, best, floor, TOP)
    most = max((row[2] for row in rows), default=0) or 1
    parts = [_axes(x_scale, y_scale, x_label, y_label)]
    parts.append(f'<line class="reference" x1="{LEFT}" y1="{floor}" x2="{RIGHT}" y2="{TOP}"/>')
    for low, high, count, *_ in rows:
        x, height = x_scale(low) + 1, COUNTS_HEIGHT * count / most
        parts.append(
            f'<rect class="bar muted" x="{x:.1f}" y="{BOTTOM - height:.1f}" width="{x_scale(high) - x - 1:.1f}" '
            f'height="{height:.1f}"><title>{number_text(count)} decisions</title></rect>'
        )
    met = [(predicted, realised) for _, _, count, predicted, realised in rows if count]
    parts.append(_line(Series("realised", met), 0, x_scale, y_scale, 0, False))
    header = ["from", "to", "decisions", "predicted", "realised"]
    said = "; ".join(f"predicted {number_text(p)}, realised {number_text(r)}" for p, r in met)
    return _figure(title, said, parts, table_html(title, header, rows), note=note)


def _axes(x_scale: Scale | None, y_scale: Scale, x_label: str, y_label: str, whole: bool = False) -> str:
    """Grid, ticks and names of the axes."""
    parts = []
    for tick in y_scale.ticks():
        y = y_scale(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short_number(tick)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>')
    parts += [_tick_text(x_scale(tick), number_text(tick)) for tick in x_scale.ticks(whole)] if x_scale else []
    parts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    middle = (y_scale.start + y_scale.end) / 2
    place = f'transform="translate(11 {middle:.1f}) rotate(-90)"'
    parts.append(f'<text {place} text-anchor="middle">{escape(y_label)}</text>')
    return "".join(parts)


def _tick_text(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'


def _line(series: Series, number: int, x_scale: Scale, y_scale: Scale, shift: float, log: bool) -> str:
    """One series: its line with gaps where a value cannot be drawn, its intervals, and its points."""
    colour = f"c{number % COLOURS}"
    line, parts = series.line(log), []
    if series.window > 1:
        dots = (f"M{x_scale(x) + shift:.1f},{y_scale(y):.1f}h0" for x, y in series.points if drawable(y, log))
        parts.append(f'<path class="faint {colour}" d="{"".join(dots)}"/>')
    for drawn, run in itertools.groupby(line, lambda point: drawable(point[1], log)):
        if drawn:
            pixels = " ".join(f"{x_scale(x) + shift:.1f},{y_scale(y):.1f}" for x, y in run)
            parts.append(f'<polyline class="line {colour}" points="{pixels}"/>')
    for (x, y), half in _with_halves(series):
        if drawable(y, log) and math.isfinite(half):
            parts.append(_whisker(x_scale(x) + shift, y_scale(y + half), y_scale(y - half), colour))
    for index, (x, y) in enumerate(line):
        if drawable(y, log) and (series.window == 1 or index == len(line) - 1):
            text = f"{series.name}, {number_text(x)}: {number_text(y)}"
            parts.append(_marker(number, x_scale(x) + shift, y_scale(y), text))
    return "".join(parts)


def _whisker(x: float, top: float, bottom: float, colour: str) -> str:
    return (
        f'<path class="whisker {colour}" d="M{x:.1f},{top:.1f}V{bottom:.1f}'
        f'M{x - 3:.1f},{top:.1f}h6M{x - 3:.1f},{bottom:.1f}h6"/>'
    )


def _marker(number: int, x: float, y: float, text: str = "") -> str:
    """A point, of another shape for every series so that colour is not all that tells them apart."""
    shapes = ("M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M-4,-4h8v8h-8z", "M0,-5l5,9h-10z", "M0,-5l5,5l-5,5l-5,-5z")
    title = f"<title>{escape(text)}</title>" if text else ""
    place = f'transform="translate({x:.1f} {y:.1f})"'
    return f'<path class="point c{number % COLOURS}" {place} d="{shapes[number % len(shapes)]}">{title}</path>'


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
    entries = "".join(
        f'<li><svg viewBox="-7 -7 14 14" aria-hidden="true">{_marker(number, 0, 0)}</svg>{escape(name)}</li>'
        for number, name in enumerate(names)
    )
    return f'<ul class="legend">{entries}</ul>'


def _figure(title: str, said: str, parts: Sequence[str], table: str, legend: str = "", note: str = "") -> str:
    """A chart with its name, its legend and its table. ``said`` is what the chart shows, for those who hear it."""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{legend}"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}. {said}")}">'
        f"{''.join(parts)}</svg>{f'<p>{escape(note)}</p>' if note else ''}{details('Figures', table)}</figure>"
    )

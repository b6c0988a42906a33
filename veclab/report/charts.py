"""Charts as inline SVG, their figures as tables, and the page around them; XHTML-conforming, nothing from elsewhere."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 440, 250  # of a chart; the page scales it, so that 11 pixels stay legible on a telephone
LEFT, RIGHT, TOP, BOTTOM = 54, 430, 10, 208
COUNTS_HEIGHT = 42  # of the histogram under a calibration
MOST_MARKERS = 40  # points of a longer series are not marked one by one
COLOURS = 4
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
    """A named line: points (x, y), and halves of 95% intervals beside them if it has any."""

    name: str
    points: Sequence[tuple[float, float]]
    halves: Sequence[float] = ()


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
    """Means of what was predicted and of what came, by bins of 0 .. 1, above a histogram of the counts.

    Args:
        rows: (low, high, count, mean predicted, mean realised) of each bin; an empty one's means are nan.
    """
    floor = BOTTOM - COUNTS_HEIGHT - 8
    x_scale, y_scale = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, floor, TOP)
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
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
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
    parts = []
    for drawn, run in itertools.groupby(series.points, lambda point: drawable(point[1], log)):
        if drawn:
            pixels = " ".join(f"{x_scale(x) + shift:.1f},{y_scale(y):.1f}" for x, y in run)
            parts.append(f'<polyline class="line {colour}" points="{pixels}"/>')
    for (x, y), half in _with_halves(series):
        if drawable(y, log) and math.isfinite(half):
            parts.append(_whisker(x_scale(x) + shift, y_scale(y + half), y_scale(y - half), colour))
    for index, (x, y) in enumerate(series.points):
        if drawable(y, log) and (len(series.points) <= MOST_MARKERS or index == len(series.points) - 1):
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


# -- charts of metrics -------------------------------------------------------------------------------------------------

COUNTERS = ("updates", "iteration")  # numbers of an entry that say when it was


@dataclass(frozen=True)
class Chart:
    """Which numbers of the metrics share a chart."""

    title: str
    names: dict[str, str]  # key in the metrics -> name in the chart
    y_label: str = ""
    log: bool = False
    zero: bool = False
    references: tuple[tuple[float, str], ...] = ()
    note: str = ""


def metric_charts(entries: Sequence[dict[str, object]], charts: Sequence[Chart], x_key: str, x_label: str) -> str:
    """The charts whose numbers the entries hold."""
    drawn = []
    for chart in charts:
        series = [
            Series(name, [(entry[x_key], entry[key]) for entry in entries if is_number(entry.get(key))])
            for key, name in chart.names.items()
        ]
        if series := [line for line in series if line.points]:
            looks = chart.y_label, chart.log, chart.zero, chart.references, chart.note
            drawn.append(line_chart(chart.title, series, x_label, *looks))
    return grid(drawn)


def other_charts(entries: Sequence[dict[str, object]], charts: Sequence[Chart]) -> tuple[Chart, ...]:
    """A chart for each number of the entries that no chart knows."""
    known = {key for chart in charts for key in chart.names} | set(COUNTERS)
    keys = dict.fromkeys(key for entry in entries for key in entry if is_number(entry[key]) and key not in known)
    return tuple(Chart(key.replace("_", " "), {key: key.replace("_", " ")}) for key in keys)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def grid(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


# -- html -------------------------------------------------------------------------------------------------------------


def number_text(value: float) -> str:
    """A number as people read it: 1,234 and 0.01235 and 4."""
    if isinstance(value, int) or (math.isfinite(value) and (abs(value) >= 1000 or value == int(value))):
        return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}").replace("nan", "\N{EN DASH}").replace("inf", "\N{INFINITY}")


def _short(value: float) -> str:
    """A number for an axis: 20k, 3M."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{number_text(value / unit)}{letter}"
    return number_text(value)


def table_html(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of figures: numbers rounded to read, exact in the ``value`` of their <data>; None is an empty cell."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}: table"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | bool):
        return escape(str(value))
    return f'<data value="{value!r}">{number_text(value)}</data>'


def details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


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


def page(title: str, body: str) -> str:
    """A whole document, of which the title is text and the body markup."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"/><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f'<meta name="color-scheme" content="light dark"/>\n<style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )


STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --card: #fff; --ink: #1c1c1a; --muted: #5d5c57; --grid: #e3e2dd;
  --edge: #d5d4ce; --red: #b3261e; --c0: #1a69ad; --c1: #bd4a14; --c2: #157653; --c3: #87459f; }
@media (prefers-color-scheme: dark) { :root { --page: #141413; --card: #1d1d1b; --ink: #eceae4; --muted: #a9a79f;
  --grid: #33322e; --edge: #3d3c37; --red: #ff8a80; --c0: #6cb4ee; --c1: #f2935c; --c2: #4cc79b; --c3: #cb9be0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; } p { margin: .25rem 0 .75rem; max-width: 46rem; }
.lead, figure p, .small { color: var(--muted); font-size: .875rem; }
.tiles, .charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.tiles { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); margin: 1.25rem 0 0; }
.tiles div, figure, .game { background: var(--card); border: 1px solid var(--edge); border-radius: .5rem;
  padding: .75rem 1rem; margin: 0; min-width: 0; }
.tiles dt { color: var(--muted); font-size: .8rem; } .tiles dd { margin: 0; font-size: 1.2rem; font-weight: 600; }
.game { margin-bottom: 1rem; } figcaption { font-weight: 600; }
.chart { display: block; width: 100%; max-width: 36rem; height: auto; margin: .25rem 0; }
.chart text { font: 11px system-ui, sans-serif; fill: var(--muted); }
.chart text.reference { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--muted); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .whisker { fill: none; stroke-width: 1.5; }
.line.c0, .whisker.c0 { stroke: var(--c0); } .line.c1, .whisker.c1 { stroke: var(--c1); }
.line.c2, .whisker.c2 { stroke: var(--c2); } .line.c3, .whisker.c3 { stroke: var(--c3); }
.whisker.ink { stroke: var(--ink); } line.reference { stroke: var(--ink); stroke-dasharray: 4 4; opacity: .6; }
.point { stroke: var(--card); stroke-width: 1; } .point.c0, .bar.c0 { fill: var(--c0); } .point.c1 { fill: var(--c1); }
.point.c2 { fill: var(--c2); } .point.c3 { fill: var(--c3); } .bar.muted { fill: var(--muted); opacity: .45; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; margin: .25rem 0; padding: 0;
  font-size: .8rem; } .legend svg { width: .9em; height: .9em; margin-right: .35em; vertical-align: -.1em; }
.charts + details { margin-top: .75rem; } summary { cursor: pointer; font-size: .8rem; color: var(--muted); }
.scroll { overflow-x: auto; max-height: 24rem; }
table { border-collapse: collapse; font-size: .8rem; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem .2rem 0; border-bottom: 1px solid var(--grid);
  overflow-wrap: normal; } tbody tr:last-child > * { border-bottom: 0; } th { font-weight: 600; }
.game table { margin-bottom: .75rem; font-size: .875rem; } .game small { display: block; color: var(--muted); }
.game .won, .game .won small { font-weight: 700; } .card { white-space: nowrap; } .red { color: var(--red); }
"""

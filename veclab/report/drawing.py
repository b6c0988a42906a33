"""A chart that matplotlib lays out, as inline SVG that the page's own style draws, light or dark.

Of matplotlib's SVG the places are kept: every path and text of an artist with a name (``gid``), the name as its class,
and all else that a page does with its style sheet left out. So a chart refers to nothing, within itself or elsewhere.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from veclab.plotting import load_matplotlib
from veclab.report.markup import number_text, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 440, 250  # of a chart; the page scales it, so that 11 pixels stay legible on a telephone
LEFT, RIGHT, TOP, BOTTOM = 54, 430, 10, 208  # of its axes
FONT = 11
ENDS = 8  # pixels from the ends of an axis of steps to the first and last of them
TICKS = 5  # of an axis, at most one more
DOTS = "faint"  # the name of an artist whose lines have no length
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
LOOK = {
    "svg.fonttype": "none",  # letters, not their outlines
    "path.simplify": False,
    "text.parse_math": False,  # a unit of somebody's own game may have a dollar's sign
    "font.size": FONT,
    "axes.grid": False,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
}


def new_axes(x_label: str, y_label: str, bottom: float = BOTTOM) -> Axes:
    """Axes of a new figure, as high as their ``bottom`` says, in pixels from above; the x axis has a line."""
    matplotlib = load_matplotlib()
    figure = matplotlib.figure.Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    with matplotlib.rc_context(LOOK):
        axes = figure.add_axes(_share(TOP, bottom))
        for x, y, text, turn in ((LEFT + RIGHT) / 2, HEIGHT - 6, x_label, 0), (11, (TOP + bottom) / 2, y_label, 90):
            place = x / WIDTH, 1 - y / HEIGHT
            figure.text(*place, text, ha="center", va="baseline", rotation=turn, rotation_mode="anchor")
    axes.spines["bottom"].set_gid("axis")
    return axes


def strip_below(axes: Axes, top: float) -> Axes:
    """Axes below others in the same figure, from ``top`` to the usual bottom, without anything of their own."""
    below = axes.figure.add_axes(_share(top, BOTTOM))
    below.set_axis_off()
    return below


def _share(top: float, bottom: float) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of axes as shares of the figure."""
    return LEFT / WIDTH, 1 - bottom / HEIGHT, (RIGHT - LEFT) / WIDTH, (bottom - top) / HEIGHT


def drawable(value: float, log: bool = False) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def values_axis(axes: Axes, values: Iterable[float], log: bool = False) -> None:
    """A y axis around those of the values that can be drawn, from one round number to another, with a grid."""
    drawn = [value for value in values if drawable(value, log)] or [1.0]
    low, high = min(drawn), max(drawn)
    if log:
        axes.set_yscale("log")
        decades = math.log10(high / low)
        locator = load_matplotlib().ticker.LogLocator(subs=(1, 2, 5) if decades <= 3 else (1,), numticks=100)
        high *= 1 + 1e-6  # so that no two equal ends are left
    else:
        margin = (abs(low) / 10 or 1) if low == high else 0
        low, high = low - margin, high + margin
        locator = _locator()
    around = (low / 10, high * 10) if log else (low, high)
    ticks, near = [float(tick) for tick in locator.tick_values(*around)], 1e-9 * abs(high - low)
    first, last = max(t for t in ticks if t <= low + near), min(t for t in ticks if t >= high - near)
    fixed_axis(axes, first, last, [tick for tick in ticks if first <= tick <= last])


def fixed_axis(axes: Axes, low: float, high: float, ticks: Iterable[float] | None = None) -> None:
    """A y axis of these ends, with a grid."""
    axes.set_ylim(low, high)
    ticks = [t for t in _locator().tick_values(low, high) if low <= t <= high] if ticks is None else list(ticks)
    axes.set_yticks(ticks, [short_number(_plain(tick)) for tick in ticks], fontsize=FONT)
    axes.set_yticks([], minor=True)
    for tick in ticks:
        axes.axhline(tick, gid="grid", zorder=0)  # below all else


def steps_axis(axes: Axes, steps: Iterable[float]) -> None:
    """An x axis of whole numbers that ends a little beyond the first and last of the steps."""
    low, high = min(steps := list(steps)), max(steps)
    if low == high:
        low, high = low - 1, high + 1
    end = (high - low) * ENDS / (RIGHT - LEFT - 2 * ENDS)
    ticks = [t for t in _locator(integer=True).tick_values(low, high) if low - 1e-9 <= t <= high + 1e-9]
    range_axis(axes, low - end, high + end, ticks)


def range_axis(axes: Axes, low: float, high: float, ticks: Iterable[float] | None = None) -> None:
    """An x axis of these ends."""
    axes.set_xlim(low, high)
    ticks = [t for t in _locator().tick_values(low, high) if low <= t <= high] if ticks is None else list(ticks)
    named_ticks(axes, ticks, [number_text(_plain(tick)) for tick in ticks])


def named_ticks(axes: Axes, places: Iterable[float], names: Iterable[str]) -> None:
    """An x axis with these names."""
    axes.set_xticks(list(places), list(names), fontsize=FONT)


def _locator(**options: Any) -> Any:
    return load_matplotlib().ticker.MaxNLocator(TICKS, steps=[1, 2, 5, 10], **options)


def _plain(tick: float) -> float:
    """A tick without what its computation left in the last places."""
    return round(float(tick), 12)


# -- the markup -------------------------------------------------------------------------------------------------------


def markup(axes: Axes, said: str) -> str:
    """The figure of the axes as an element ``svg``; ``said`` is what the chart shows, for those who hear it."""
    drawn = "".join(_elements(_svg(axes.figure)))
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">{drawn}</svg>'


def _svg(figure: Figure) -> ElementTree.Element:
    buffer = io.StringIO()
    with load_matplotlib().rc_context(LOOK):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return ElementTree.fromstring(buffer.getvalue())


def _elements(svg: ElementTree.Element) -> Iterator[str]:
    """Its named paths and all its texts."""
    shapes = {shape.get("id"): shape.get("d", "") for shape in svg.iter(f"{SVG}path")}
    named = re.compile(r"^(?!\w+_\d+$)(?!matplotlib)")  # what matplotlib calls an artist without a name

    def walk(element: ElementTree.Element, name: str) -> Iterator[str]:
        if element.tag == f"{SVG}defs":
            return
        if element.tag == f"{SVG}g":
            own = element.get("id", "")
            name = own if own and named.match(own) else name
        label = f'class="{escape(name)}" ' if name else ""
        if element.tag == f"{SVG}path" and name:
            path = _short(element.get("d", ""))
            if name.startswith(DOTS):  # of lines without length, matplotlib leaves the beginnings only
                path = re.sub("M[^M]+", r"\g<0>h0", path)
            yield f'<path {label}d="{path}"/>'
        elif element.tag == f"{SVG}use" and name:
            x, y = (_digits(float(element.get(axis, 0))) for axis in "xy")
            yield f'<path {label}transform="translate({x} {y})" d="{_short(shapes[element.get(HREF, "")[1:]])}"/>'
        elif element.tag == f"{SVG}text" and element.text:
            yield _text(element, label)
        for child in element:
            yield from walk(child, name)

    yield from walk(svg, "")


def _text(element: ElementTree.Element, label: str) -> str:
    x, y = (_digits(float(element.get(axis, 0))) for axis in "xy")
    anchor = re.search(r"text-anchor: (\w+)", element.get("style", ""))
    turned = re.match(r"rotate\((-?\d+)", element.get("transform", ""))
    place = f'x="{x}" y="{y}"'
    if turned and int(turned[1]):
        place += f' transform="rotate({turned[1]} {x} {y})"'
    if anchor and anchor[1] != "start":
        place += f' text-anchor="{anchor[1]}"'
    return f"<text {label}{place}>{escape(element.text or '')}</text>"


def _short(path: str) -> str:
    """A path without spaces, and with as many digits as can be seen."""
    compact = re.sub(r"-?\d+\.?\d*(?:e-?\d+)?", lambda number: _digits(float(number[0])), path)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(compact.split()))


def _digits(value: float) -> str:
    return f"{round(value, 1) + 0:g}" if abs(value) < 1e5 else f"{value:.1f}"

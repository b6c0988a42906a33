"""What the charts of measurements have in common: fonts and colours, a new chart and a finished one, log axes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from veclab.plotting import load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 8.0, 4.5, 120  # inches; many bars make a chart higher
SMALL, PLAIN, LARGE = 9, 10, 13  # fonts, in points
INK, FAINT = "#222222", "#6b6b6b"
BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito's colour-blind-safe set
ORANGE, SKY, YELLOW, GREY = "#E69F00", "#56B4E9", "#F0E442", "#999999"
LEGEND = {"loc": "lower left", "frameon": False, "fontsize": SMALL, "borderaxespad": 0.3}
COLOURS = (BLUE, RED, GREEN, PINK, ORANGE, SKY)


def number(value: float) -> str:
    """A figure with separators of thousands; small ones keep three digits."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def new_chart(environment: dict[str, Any], height: float = HEIGHT, grid: str = "y") -> Axes:
    """Axes of a new figure of this height in inches, with what was measured on as its caption."""
    matplotlib = load_matplotlib()
    size = (WIDTH, max(HEIGHT, height))
    figure = matplotlib.figure.Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
    figure.supxlabel(caption(environment), x=0.0125, ha="left", fontsize=SMALL, color=FAINT)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color="#e6e6e6", linewidth=0.8)
    return axes


def new_bars(environment: dict[str, Any], labels: list[str]) -> tuple[Axes, float]:
    """Axes for horizontal bars with these labels, the first on top, high enough for all; and the bars' thickness."""
    labels = [textwrap.fill(label, 36) for label in labels]
    lines = sum(label.count("\n") + 1 for label in labels)
    axes = new_chart(environment, 1.7 + 0.15 * lines + 0.15 * len(labels), grid="x")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    return axes, min(0.68, 0.25 * len(labels))  # few bars do not fill the chart


def caption(environment: dict[str, Any]) -> str:
    """Device, cores, threads, PyTorch's version and date, those of them that are known."""
    parts = {"device": "{}", "cores": "{} cores", "threads": "{} threads", "torch": "PyTorch {}", "date": "{}"}
    known = [text.format(environment[name]) for name, text in parts.items() if environment.get(name) is not None]
    return textwrap.fill(", ".join(known), 105)


def note(axes: Axes, text: str, point: tuple[float, float], **options: Any) -> None:
    """A text beside a point of the axes: to its right, unless another offset in points is given."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}  # grid lines do not cross it out
    offset = options.pop("offset", (5, 0))
    axes.annotate(text, point, offset, textcoords="offset points", fontsize=SMALL, bbox=box, **options)


def finished(axes: Axes, title: str, x: str, y: str = "") -> Figure:
    """The axes' figure with its title and, between that and the axes, where no figure is in its way, the legend."""
    entries = list(zip(*axes.get_legend_handles_labels(), strict=True))
    handles, names = zip(*sorted(entries, key=lambda entry: entry[1].startswith("limit")), strict=True)  # limits last
    fit = max(1, 100 // (max(map(len, names)) + 6))  # columns, of about as many characters as fit
    lines = math.ceil(len(names) / fit)
    axes.legend(handles, names, ncols=math.ceil(len(names) / lines), bbox_to_anchor=(0, 1), **LEGEND)
    axes.set_title(title, loc="left", fontsize=LARGE, color=INK, pad=10 + 16 * lines)
    axes.set_xlabel(x, fontsize=PLAIN)
    axes.set_ylabel(y, fontsize=PLAIN)
    return axes.figure


def log_axes(axes: Axes, sizes: list[int], rates: list[float], base: int) -> None:
    """Two log axes: the sizes themselves are the ticks of x, round numbers those of y."""
    axes.set_xscale("log", base=base)
    axes.set_yscale("log")
    left, right = roomy(sizes, 1.3, 0.06)
    low, high = roomy(rates, 1.6, 0.1)
    axes.set(xlim=(left, right), ylim=(low, high))
    label_ticks(axes.xaxis, thinned(sizes, left, right, width(map(number, sizes))))
    label_ticks(axes.yaxis, thinned(log_ticks(low, high), low, high, 0.05))


def roomy(values: list[float], factor: float, share: float) -> tuple[float, float]:
    """Ends of a log axis: at least a factor, or a share of the values' own span, beyond them."""
    room = max(factor, (max(values) / min(values)) ** share)
    return min(values) / room, max(values) * room


def width(texts: Iterable[str]) -> float:
    """Share of a chart's width that the longest of the texts needs, about."""
    return 0.01 + 0.016 * max(map(len, texts))


def label_ticks(axis: Any, values: list[float]) -> None:
    """These ticks and no minor ones."""
    axis.set_ticks(values, labels=[number(value) for value in values])
    axis.set_ticks([], minor=True)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high: powers of ten, with their multiples where those alone are fewer than three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 2, 5), range(1, 10)):
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            break
    return ticks


def thinned(values: Iterable[float], low: float, high: float, gap: float) -> list[float]:
    """The values, from the largest down, that are at least ``gap`` of a log axis from low to high apart: ascending."""
    kept: list[float] = []
    for value in sorted(set(values), reverse=True):
        if not kept or math.log(kept[-1] / value) >= gap * math.log(high / low):
            kept.append(value)
    return kept[::-1]

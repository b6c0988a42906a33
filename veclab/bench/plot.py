"""Charts, as PNG files, of the figures that `vecgame bench` writes as JSON.

python -m veclab.bench.plot benchmarks/results/*.json --out FOLDER
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]

WIDTH, HEIGHT, DPI = 8.0, 4.5, 120  # inches; many bars make a chart higher
SMALL, PLAIN, LARGE = 9, 10, 13  # fonts, in points
INK, FAINT = "#222222", "#6b6b6b"
BLUE, RED, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito's colour-blind-safe set
ORANGE, SKY, YELLOW, GREY = "#E69F00", "#56B4E9", "#F0E442", "#999999"
LEGEND = {"loc": "lower left", "frameon": False, "fontsize": SMALL, "borderaxespad": 0.3}
COLOURS = (BLUE, RED, GREEN, PINK, ORANGE, SKY)

LIMIT = "limit: nothing but the network takes time"
CRITERIA = {"minimum viable": 100, "target": 500, "stretch": 1000}  # the document's, games/min
STRATEGIES = {1: "sequential", 2: "processes", 3: "threads", 4: "vectorised"}
STRATEGY_COLOURS = {"sequential": GREY, "processes": ORANGE, "threads": SKY, "vectorised": BLUE}
PHASES = ("select", "step", "observe", "network", "backup", "worlds", "other")
PHASE_COLOURS = dict(zip(PHASES, (SKY, ORANGE, GREEN, BLUE, YELLOW, PINK, GREY), strict=True))
TITLES = {  # of the parts' charts, and what their size counts
    "engine": ("Random games", "games at once"),
    "net": ("The network's evaluations", "batch"),
    "search": ("Search with a network that costs nothing", "games, or trees of the toy game, at once"),
    "train": ("The learner, all of a step", "batch"),
}


def load_matplotlib() -> tuple[type, type]:
    """The classes of a figure and of its canvas: without pyplot there is no display and no global state.

    Raises:
        ModuleNotFoundError: when matplotlib is not installed.
    """
    try:
        from matplotlib import figure
        from matplotlib.backends import backend_agg
    except ModuleNotFoundError as error:
        message = "matplotlib is not installed: pip install -e '.[plot]'"
        raise ModuleNotFoundError(message, name="matplotlib") from error
    return figure.Figure, backend_agg.FigureCanvasAgg


def plot(figures: dict[str, Any], folder: Path) -> list[Path]:
    """Writes the charts that suit what `vecgame bench` measured as `<what>-<chart>.png`; returns their paths, if any.

    Raises:
        ModuleNotFoundError: when matplotlib is not installed.
        ValueError: when a row lacks a figure that its chart needs.
    """
    paths = []
    for name, draw in CHARTS.get(figures["what"], {}).items():
        chart = draw(figures)
        if chart is not None:
            folder.mkdir(parents=True, exist_ok=True)
            paths.append(folder / f"{figures['what']}-{name}.png")
            chart.savefig(paths[-1], dpi=DPI)
    return paths


def self_play_throughput(figures: dict[str, Any]) -> Figure | None:
    """Games a minute by games at once, the limit beside them, and the document's criteria that fit the axis."""
    rows = sorted(rows_of(figures, "self-play", "games", "limit"), key=lambda row: row["games"])
    if not rows:
        return None
    axes = new_chart(figures["environment"])
    sizes = [row["games"] for row in rows]
    measured, limits = ([row[name] for row in rows] for name in ("games_per_minute", "limit"))
    axes.plot(sizes, measured, "o-", color=BLUE, label="measured")
    axes.plot(sizes, limits, "s--", color=RED, label=LIMIT)
    log_axes(axes, sizes, [*measured, *limits], base=2)
    labelled = thinned(axes.get_xticks(), *axes.get_xlim(), width(map(number, limits)))
    for values, colour, above in ((measured, BLUE, False), (limits, RED, True)):
        for size, value in zip(sizes, values, strict=True):
            if size in labelled:
                place = {"offset": (0, 8 if above else -8), "va": "bottom" if above else "top", "ha": "center"}
                note(axes, number(value), (size, value), color=colour, **place)
    draw_criteria(axes)
    return finished(axes, "Self-play by batch size", "games at once", "games/min")


def draw_criteria(axes: Axes) -> None:
    """The document's criteria within the axis, named to the right of it, where no figure can be in the way."""
    low, high = axes.get_ylim()
    right = axes.get_yaxis_transform()
    within = thinned((least for least in CRITERIA.values() if low <= least <= high), low, high, 0.05)
    for name, least in CRITERIA.items():
        if least in within:
            axes.axhline(least, color=FAINT, linewidth=1, linestyle=":", zorder=1)
            note(axes, f"{name}: {least:,}", (1, least), xycoords=right, va="center", color=FAINT)


def self_play_time(figures: dict[str, Any]) -> Figure | None:
    """Share of self-play's time by phase: a stacked bar for each batch size."""
    rows = sorted(rows_of(figures, "self-play", "games", "shares"), key=lambda row: row["games"])
    if not rows:
        return None
    axes, thickness = new_bars(figures["environment"], [f"{row['games']:,}" for row in rows])
    starts = [0.0] * len(rows)
    for phase in dict.fromkeys(phase for row in rows for phase in row["shares"]):
        colour = PHASE_COLOURS.get(phase, RED)
        shares = [row["shares"].get(phase, 0.0) for row in rows]
        style = {"color": colour, "edgecolor": "white", "linewidth": 0.8}
        axes.barh(range(len(rows)), shares, thickness, starts, label=phase, **style)
        for place, (start, share) in enumerate(zip(starts, shares, strict=True)):
            if share >= 0.05:  # narrower than its own text otherwise
                ink = "white" if colour == BLUE else INK
                axes.text(start + share / 2, place, f"{share:.0%}", ha="center", va="center", color=ink, fontsize=SMALL)
        starts = [start + share for start, share in zip(starts, shares, strict=True)]
    axes.set_xlim(0, 1)
    axes.set_xticks([step / 5 for step in range(6)], [f"{step / 5:.0%}" for step in range(6)])
    return finished(axes, "Where self-play's time goes", "share of the time", "games at once")


def strategies(figures: dict[str, Any]) -> Figure | None:
    """Games a minute of each strategy that could run, on a log axis, in the order given."""
    rows = rows_of(figures, "strategy", "label", "strategy")
    if not rows:
        return None
    axes, thickness = new_bars(figures["environment"], [row["label"] for row in rows])
    names = [STRATEGIES.get(row["strategy"], str(row["strategy"])) for row in rows]
    rates = [row["games_per_minute"] for row in rows]
    for name in dict.fromkeys(names):
        places = [place for place, other in enumerate(names) if other == name]
        colour = STRATEGY_COLOURS.get(name, RED)
        axes.barh(places, [rates[place] for place in places], thickness, color=colour, label=name)
    low = 10.0 ** math.floor(math.log10(min(rates) / 1.5))  # a log axis has no zero: at least some of each bar shows
    high = max(rates) * (max(rates) / low) ** 0.18  # room for the figure at the longest bar's end
    axes.set(xscale="log", xlim=(low, high))
    label_ticks(axes.xaxis, thinned(log_ticks(low, high), low, high, 0.15))
    for place, rate in enumerate(rates):
        note(axes, number(rate), (rate, place), va="center")
    return finished(axes, "Self-play by strategy", "games/min (log scale)")


def part_throughput(figures: dict[str, Any]) -> Figure | None:
    """A second's count by batch size: a line a label, its physical limit thin and dashed in the same colour.

    A label with one size among others with several, such as another engine's, is a horizontal line.
    """
    rows = rows_of(figures, None, "label", "size", "spread")
    if not rows:
        return None
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["label"], []).append(row)
    lines = {label: group for label, group in groups.items() if len({row["size"] for row in group}) > 1}
    axes = new_chart(figures["environment"])
    for place, (label, group) in enumerate(groups.items()):
        colour = COLOURS[place % len(COLOURS)]
        if label in lines or not lines:
            draw_rates(axes, label, sorted(group, key=lambda row: row["size"]), colour)
        else:
            rate = group[0]["per_second"]
            axes.axhline(rate, color=colour, linestyle="--", linewidth=1.5, label=f"{label}: {number(rate)}")
        draw_limits(axes, label, group, colour, across=label not in lines)
    shown = [row for group in (lines or groups).values() for row in group]
    rates = [row["per_second"] / share for row in rows for share in (1, row.get("share")) if share]
    log_axes(axes, [row["size"] for row in shown], rates, base=10)
    title, sizes = TITLES[figures["what"]]
    return finished(axes, title, sizes, rows[0].get("unit", "per second"))


def draw_rates(axes: Axes, label: str, group: list[Row], colour: str) -> None:
    """A label's line with the spread of its repeats, half of it to either side, by factors as fits a log axis."""
    rates = [row["per_second"] for row in group]
    factors = [1 + row["spread"] / 2 for row in group]
    below = [rate - rate / factor for rate, factor in zip(rates, factors, strict=True)]
    above = [rate * factor - rate for rate, factor in zip(rates, factors, strict=True)]
    sizes = [row["size"] for row in group]
    axes.plot(sizes, rates, "o-", markersize=5, color=colour, label=label)
    axes.errorbar(sizes, rates, yerr=[below, above], fmt="none", capsize=3, color=colour)


def draw_limits(axes: Axes, label: str, group: list[Row], colour: str, across: bool) -> None:
    """The physical limit that a label's shares imply, where it has any; ``across`` the chart for a single size."""
    limits = sorted((row["size"], row["per_second"] / row["share"]) for row in group if row.get("share"))
    style = {"color": colour, "linestyle": "--", "linewidth": 1.0, "label": f"limit of {label}"}
    if limits and across:
        axes.axhline(limits[0][1], **style)
    elif limits:
        axes.plot(*zip(*limits, strict=True), **style)


def sweep(figures: dict[str, Any]) -> Figure | None:
    """Games a minute by setting, the limit of each as a marker; None for fewer than two settings."""
    rows = rows_of(figures, "sweep", "settings", "limit")
    if len(rows) < 2:
        return None
    labels = [", ".join(f"{name}={value}" for name, value in row["settings"].items()) for row in rows]
    axes, thickness = new_bars(figures["environment"], labels)
    rates = [row["games_per_minute"] for row in rows]
    axes.barh(range(len(rows)), rates, thickness, color=SKY, label="measured")
    limits = [(row["limit"], place) for place, row in enumerate(rows) if row["limit"]]
    if limits:
        style = {"marker": "|", "markersize": 15, "markeredgewidth": 2.5, "linestyle": "none", "color": RED}
        axes.plot(*zip(*limits, strict=True), **style, label=LIMIT)
    for place, row in enumerate(rows):  # in a column of their own, where no marker is in the way
        share = f"  ({row['games_per_minute'] / row['limit']:.0%} of limit)" if row["limit"] else ""
        text = number(row["games_per_minute"]) + share
        note(axes, text, (1, place), xycoords=axes.get_yaxis_transform(), va="center")
    axes.set_xlim(0, 1.05 * max([*rates, *(limit for limit, _ in limits)]))
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    return finished(axes, "Self-play by setting", "games/min")


CHARTS: dict[str, dict[str, Callable[[dict[str, Any]], Any]]] = {
    "self-play": {"throughput": self_play_throughput, "time": self_play_time},
    "strategies": {"bars": strategies},
    "sweep": {"bars": sweep},
    **{what: {"throughput": part_throughput} for what in TITLES},
}


def rows_of(figures: dict[str, Any], kind: str | None, *needed: str) -> list[Row]:
    """The rows of a kind, or without one those of a rate a second, that could be measured.

    Raises:
        ValueError: when one lacks a figure that is needed.
    """
    rate = "games_per_minute" if kind else "per_second"
    rows = [row for row in figures["figures"] if (row.get("kind") == kind if kind else rate in row)]
    # Beside a rate of games belongs the limit of what the games need; older files have one limit only.
    rows = [{"limit": row["limit_by_evaluations"], **row} if "limit_by_evaluations" in row else row for row in rows]
    for row in rows:
        missing = [name for name in (rate, *needed) if name not in row]
        if missing:
            raise ValueError(f"a row of {figures['what']} has no {missing[0]!r}")
    return [row for row in rows if row[rate]]


def number(value: float) -> str:
    """A figure with separators of thousands; small ones keep three digits."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def new_chart(environment: dict[str, Any], height: float = HEIGHT, grid: str = "y") -> Axes:
    """Axes of a new figure of this height in inches, with what was measured on as its caption."""
    figure_class, canvas_class = load_matplotlib()
    figure = figure_class(figsize=(WIDTH, max(HEIGHT, height)), dpi=DPI, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    canvas_class(figure)
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


def read(path: Path) -> dict[str, Any]:
    """The figures of a file that `vecgame bench` wrote.

    Raises:
        ValueError: when it is another kind of file.
    """
    try:
        figures = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON of vecgame bench: {error}") from error
    shape = {"what": str, "environment": dict, "figures": list}
    whole = isinstance(figures, dict) and all(isinstance(figures.get(name), kind) for name, kind in shape.items())
    if not whole or not all(isinstance(row, dict) for row in figures["figures"]):
        raise ValueError(f"{path} is no JSON of vecgame bench: it needs what, environment and a list of figures")
    return figures


@ends_in_one_line
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.plot", description="Charts of vecgame bench's JSON files.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="written by vecgame bench --json")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="for the PNG files; of several FILEs, in a folder each",
    )
    options = parser.parse_args(arguments)
    found = {path: read(path) for path in options.files}
    if len({path.stem for path in found}) < len(found):
        raise ValueError("two files have one name, and so would the folders of their charts")
    for path, figures in found.items():
        written = plot(figures, options.out / path.stem if len(found) > 1 else options.out)
        print("\n".join(map(str, written)) or f"{path}: no chart suits it")
    return 0


if __name__ == "__main__":
    sys.exit(main())

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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veclab.bench.axes import (
    BLUE,
    COLOURS,
    DPI,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PINK,
    RED,
    SKY,
    SMALL,
    YELLOW,
    finished,
    label_ticks,
    log_axes,
    log_ticks,
    new_bars,
    new_chart,
    note,
    number,
    thinned,
    width,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]

LIMIT = "limit: nothing but the network takes time"
CRITERIA = {"minimum viable": 100, "target": 500, "stretch": 1000}  # the document's, games/min
OTHER_SETTINGS = {"--game", "--rules", "--cards", "--worlds", "--simulations", "--leaves-per-step"}  # than its own
OTHER_SETTINGS |= {"--network", "--merge-equivalent", "--quick"}
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
    """Games a minute by games at once, the limit beside them, and, of its settings, the document's criteria that fit
    the axis."""
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
    if is_the_documents(figures):
        draw_criteria(axes)
    return finished(axes, "Self-play by batch size", "games at once", "games/min")


def is_the_documents(figures: dict[str, Any]) -> bool:
    """Whether the criteria are for these figures: as the file says, or of earlier versions by its command."""
    command = figures["environment"].get("command", "").split()
    return figures.get("of_the_document", not OTHER_SETTINGS & {word.partition("=")[0] for word in command})


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


def learning(figures: dict[str, Any]) -> Figure | None:
    """Lead over rule-based players by minutes of learning, a line a learner, with 95% intervals."""
    rows = [row for row in figures["figures"] if row.get("kind") == "learning"]
    if not rows:
        return None
    axes = new_chart(figures["environment"])
    for place, learner in enumerate(dict.fromkeys(row["learner"] for row in rows)):
        own = sorted((row for row in rows if row["learner"] == learner), key=lambda row: row["minutes"])
        leads, halves = ([row["lead"][name] for row in own] for name in ("mean", "half"))
        minutes = [row["minutes"] for row in own]
        axes.errorbar(minutes, leads, halves, fmt="o-", capsize=3, color=COLOURS[place % len(COLOURS)], label=learner)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xscale("log")
    label_ticks(axes.xaxis, sorted({row["minutes"] for row in rows}))
    return finished(axes, "What minutes of learning make", "minutes of learning", "lead over a rule-based player")


CHARTS: dict[str, dict[str, Callable[[dict[str, Any]], Any]]] = {
    "self-play": {"throughput": self_play_throughput, "time": self_play_time},
    "strategies": {"bars": strategies},
    "sweep": {"bars": sweep},
    "peers": {"learning": learning},
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

"""What the benchmarks print: a short line for each row as it is measured, and tables of all of them."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from veclab.bench.measure import described
from veclab.bench.selfplay import PHASES
from veclab.progress import duration, print_table

ITERATIONS, GAMES, EXAMPLES, EPOCHS = 500, 10_000, 80_000_000, 10  # the document's whole workload
TARGETS = (("minimum viable", 100), ("target", 500), ("stretch", 1000))  # its decision criteria, games/min
DOCUMENT_DAYS, DOCUMENT_BEST = 196, 18.8

Figures = list[dict[str, Any]]


def ran(figure: dict[str, Any]) -> str:
    """How a row ran: the way of its searches, the network's arithmetic, and whether that was compiled."""
    words = [described(figure["ways"]), figure["precision"] or ""]
    return ", ".join(filter(None, [*words, "network compiled" if figure["network_compiled"] else ""]))


def row_line(label: str, rate: str, figure: dict[str, Any]) -> str:
    """A row in one line, and one more for each thing that went on otherwise than asked."""
    first = ", ".join(filter(None, (f"{label}: {rate}", ran(figure))))
    return "\n".join([first, *(f"  fell back: {line}" for line in deviations(figure))])


def deviations(figure: dict[str, Any]) -> list[str]:
    """What went on otherwise than asked, a line each."""
    asked = figure.get("asked")
    other = asked is not None and figure["settled"] and set(figure["ways"]) != {asked}
    what = figure.get("ran", "searches")
    ways = [f"{what} ran {described(figure['ways']) or 'not at all'}, not {asked}"] if other else []
    return [*figure["fell_back"], *ways]


def self_play_line(label: str, figure: dict[str, Any]) -> str:
    """Of a timed row of self-play."""
    again = f" (pass {figure['passes']})" if figure["passes"] > 1 or not figure["settled"] else ""
    if figure["repeats"] > 1:
        again = f" (median of {figure['repeats']}, {spread(figure, 'games_per_minute')} apart)"
    return row_line(label, f"{figure['games_per_minute']:,.0f} games/min{again}", figure)


def spread(figure: dict[str, Any], name: str) -> str:
    """Width of the repeats of a rate as a share of their median."""
    return f"{(figure[f'{name}_high'] - figure[f'{name}_low']) / figure[name]:.0%}"


def limit_line(figure: dict[str, Any]) -> str:
    """Of the same row, once its limits are known."""
    return (
        f"  of the network's limit: {figure['share_by_rows']:.0%} by {figure['rows_per_game']:,.0f} rows, "
        f"{figure['share_by_evaluations']:.0%} by {figure['evaluations_per_game']:,.0f} evaluations"
    )


def rate_line(figure: dict[str, Any]) -> str:
    """Of a rate."""
    label = f"{figure['label']}, batch {figure['size']:,}"
    said = {**figure, "precision": None} if figure["precision"] in label.split(", ") else figure
    return row_line(label, f"{figure['per_second']:,.0f} {figure['unit']}", said)


def print_self_play(console: Console, title: str, rows: list[tuple[str, dict[str, Any]]], first: str) -> None:
    """Self-play rows, each with its label for the column ``first``: their speed, then where the time went."""
    repeated = any(row["repeats"] > 1 for _, row in rows)
    cells = [
        (
            label,
            f"{row['games_per_minute']:,.0f}",
            *([spread(row, "games_per_minute")] * repeated),
            ran(row),
            f"{row['evaluations_per_game']:,.0f}",
            f"{row['cpu']:.0%}",
            "n/a" if row["gpu"] is None else f"{row['gpu']:.0%}",
            gibibytes(row["memory"]),
        )
        for label, row in rows
    ]
    rate = ("games/min", *["spread"] * repeated)
    print_table(console, title, (first, *rate, "ran", "evaluations a game", "CPU", "GPU", "GiB"), cells)
    detailed = [(label, row) for label, row in rows if "shares" in row]
    if detailed:
        print_limits(console, detailed, first)
        print_phases(console, detailed, first)


def print_limits(console: Console, rows: list[tuple[str, dict[str, Any]]], first: str) -> None:
    """How near the rows come to what the network alone allows, and what was asked of it."""
    for counted in ("rows", "evaluations"):
        cells = [
            (
                label,
                f"{row[f'{counted}_per_game']:,.0f}",
                f"{row[f'limit_by_{counted}']:,.0f}",
                spread(row, "network_per_second"),
                f"{row[f'share_by_{counted}']:.0%}",
            )
            for label, row in rows
        ]
        print_table(
            console,
            f"the network's limit by {counted}",
            (first, f"{counted} a game", "games/min", "spread", "of it"),
            cells,
        )
    cells = [
        (label, f"{row['requests']:,}", f"{row['mean_batch']:,.0f}", f"{row['max_batch']:,}") for label, row in rows
    ]
    print_table(console, "what the network was asked", (first, "requests", "mean batch", "max batch"), cells)
    console.print("limit: games/min if nothing but the network took time for so many a game, measured in the same run.")
    console.print("rows: what goes to the network; where lanes without work are carried along, more than evaluations.")


def print_phases(console: Console, rows: list[tuple[str, dict[str, Any]]], first: str) -> None:
    """Where the time went, and of which games that is known."""
    cells = [(label, *(f"{row['shares'][phase]:.0%}" for phase in PHASES)) for label, row in rows]
    print_table(console, "share of the time, by phase; worlds: sampling hidden hands", (first, *PHASES), cells)
    for label, row in rows:
        if row["counted_games"] != row["games"] or set(row["ways"]) != {"eager"}:
            games = f"{row['counted_games']:,} of the games, searched eagerly"
            console.print(f"{first} {label}: rows, batches and phases are of {games}.")


def gibibytes(memory: float | None) -> str:
    return "n/a" if memory is None else f"{memory:.1f}"


def print_rates(console: Console, title: str, figures: Figures) -> None:
    """Rates, all of one unit."""
    if not figures:
        return
    limited = any(figure["share"] is not None for figure in figures)
    cells = []
    for figure in figures:
        share = ["" if figure["share"] is None else f"{figure['share']:.0%}"] if limited else []
        rate = [f"{figure['size']:,}", f"{figure['per_second']:,.0f}", f"{figure['spread']:.0%}"]
        cells.append((figure["label"], *rate, *share, ran(figure), gibibytes(figure["memory"])))
    shares = ["of the product's peak"] if limited else []
    print_table(console, title, ("", "batch", figures[0]["unit"], "spread", *shares, "ran", "GiB"), cells)


def strategy_line(figure: dict[str, Any]) -> str:
    """Of a row of the strategies."""
    rate = figure["games_per_minute"]
    return row_line(figure["label"], figure["note"] if rate is None else f"{rate:,.1f} games/min", figure)


def print_strategies(console: Console, title: str, rows: Figures) -> None:
    """The strategies side by side, each with its multiple of the first row's throughput."""
    first = next((row["games_per_minute"] for row in rows if row["games_per_minute"]), None)
    cells = []
    for row in rows:
        if row["games_per_minute"] is None or first is None:
            cells.append((row["label"], *["n/a"] * 6, row["note"]))
            continue
        cells.append(
            (
                row["label"],
                f"{row['games_per_minute']:,.1f}",
                f"{row['games_per_minute'] / first:,.1f}",
                f"{row['evaluations_per_second']:,.0f}",
                "n/a" if row["mean_batch"] is None else f"{row['mean_batch']:,.1f}",
                "n/a" if row["max_batch"] is None else f"{row['max_batch']:,}",
                f"{row['cpu']:.0%}",
                row["note"],
            )
        )
    head = ("strategy", "games/min", "times the first", "evaluations/s", "mean batch", "max batch", "CPU", "note")
    print_table(console, title, head, cells)


def learning_line(figure: dict[str, Any]) -> str:
    """Of a learner after some minutes."""
    lead = f"lead {figure['lead']['mean']:+.2f} ± {figure['lead']['half']:.2f}"
    time = f"{figure['seconds'] / 60:.1f} min, {figure['learned']:,} games"
    return f"{figure['learner']}, {time}: {points(figure)} against 3 rule-based players, {lead}"


def points(figure: dict[str, Any]) -> str:
    """Points a game of the learner and of one opponent."""
    return f"{figure['player']['mean']:.2f} : {figure['opponents']['mean']:.2f}"


def print_learning(console: Console, title: str, figures: Figures) -> None:
    """A row for each learner, a column for each of the times; the lead and its 95% interval."""
    minutes = list(dict.fromkeys(figure["minutes"] for figure in figures))
    rows = []
    for learner in dict.fromkeys(figure["learner"] for figure in figures):
        own = {figure["minutes"]: figure for figure in figures if figure["learner"] == learner}
        cells = (own.get(limit) for limit in minutes)
        rows.append((learner, *("" if f is None else f"{points(f)} ({f['lead']['mean']:+.2f})" for f in cells)))
    print_table(console, title, ("", *(f"{limit:g} min" for limit in minutes)), rows)


def waiting_line(figure: dict[str, Any]) -> str:
    """Of a row of people."""
    cpu = f"{figure['cpu_milliseconds']:,.0f} ms of the processor's"
    label = f"{figure['label']}{', as vecgame play' * figure['as_played']}"
    return row_line(label, f"{figure['milliseconds']:,.0f} ms a decision, {cpu}", figure)


def print_waiting(console: Console, title: str, figures: Figures) -> None:
    """How long one person waits for another player."""
    names = ("player", "decisions", "ms, median", "mean", "slowest", "of the processor", "rows judged", "ran")
    cells = [
        (
            f"{row['player']}{' *' * row['as_played']}",
            f"{row['decisions']:,}",
            f"{row['milliseconds']:,.1f}",
            f"{row['mean']:,.1f}",
            f"{row['slowest']:,.1f}",
            f"{row['cpu_milliseconds']:,.1f}",
            "n/a" if row["rows"] is None else f"{row['rows']:,.0f}",
            ran(row),
        )
        for row in figures
    ]
    print_table(console, title, names, cells)
    console.print("ms of one decision; * the player that vecgame play makes of a network")


def agreement_line(figure: dict[str, Any]) -> str:
    """Of a row of agreement."""
    return row_line(
        f"network in {figure['precision']}",
        f"{figure['same_action']:.2%} same best action in {figure['positions']:,} positions",
        {**figure, "precision": None},
    )


def print_agreement(console: Console, title: str, rows: Figures) -> None:
    """Searches by the network's arithmetic, against those in float32."""
    names = ("network in", "positions", "same best action", "policy, nats", "network's policy, nats", "value error")
    cells = [
        (
            row["precision"],
            f"{row['positions']:,}",
            f"{row['same_action']:.2%}",
            f"{row['divergence']:.5f}",
            f"{row['network_divergence']:.6f}",
            f"{row['value_error']:.5f}",
        )
        for row in rows
    ]
    print_table(console, title, names, cells)
    console.print(
        "nats: mean Kullback-Leibler divergence from float32. Value error: root mean square, of the best score."
    )


def verdict(games_per_minute: float, examples_per_second: float) -> str:
    """The document's decision criteria, and its workload in this machine's time."""
    met = [f"{name} (> {least}): {'met' if games_per_minute > least else 'missed'}" for name, least in TARGETS]
    play = 60 * ITERATIONS * GAMES / games_per_minute
    learn = EXAMPLES * EPOCHS / examples_per_second
    return (
        f"The document's criteria at {games_per_minute:,.0f} games/min: {', '.join(met)}.\n"
        f"Its whole workload here: {duration(play)} of self-play and {duration(learn)} of learning "
        f"({examples_per_second:,.0f} examples/s), {duration(play + learn)} in all; the document projected "
        f"{DOCUMENT_DAYS} days of self-play at {DOCUMENT_BEST} games/min."
    )

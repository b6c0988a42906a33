"""What the benchmarks print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks.agreement import Agreement
from benchmarks.parts import Rate
from benchmarks.selfplay import PHASES, SelfPlayRow
from benchmarks.strategies import StrategyRow
from training.progress import duration

ITERATIONS, GAMES, EXAMPLES, EPOCHS = 500, 10_000, 80_000_000, 10  # the document's whole workload
TARGETS = (("minimum viable", 100), ("target", 500), ("stretch", 1000))  # its decision criteria, games/min
DOCUMENT_DAYS, DOCUMENT_BEST = 196, 18.8

Figures = list[dict[str, object]]
SELF_PLAY_COLUMNS = ("games/min", "limit", "of limit", "evaluations", "requests", "mean batch", "max batch")


def print_self_play(console: Console, title: str, rows: list[tuple[str, SelfPlayRow]], first: str) -> None:
    """Self-play rows, each with its label for the column ``first``."""
    table = Table(title=title)
    for name in (first, *SELF_PLAY_COLUMNS, "CPU", "GPU", "GiB", *PHASES):
        table.add_column(name, justify="right")
    for label, row in rows:
        table.add_row(label, *self_play_cells(row))
    console.print(table)
    console.print("limit: games/min if nothing but the network took time, for as many evaluations in the same run.")
    console.print("evaluations: of the network, a game. Phases: share of the time; worlds: sampling hidden hands.")


def self_play_cells(row: SelfPlayRow) -> list[str]:
    """A row of the table, without its label."""
    return [
        f"{row.games_per_minute:,.0f}",
        f"{row.limit:,.0f}",
        f"{row.share_of_limit:.0%}",
        f"{row.evaluations_per_game:,.0f}",
        f"{row.requests:,}",
        f"{row.mean_batch:,.0f}",
        f"{row.max_batch:,}",
        f"{row.cpu:.0%}",
        "n/a" if row.gpu is None else f"{row.gpu:.0%}",
        f"{row.memory:.1f}",
        *(f"{row.shares[phase]:.0%}" for phase in PHASES),
    ]


def self_play_figures(row: SelfPlayRow, **more: object) -> dict[str, object]:
    """A row as plain figures."""
    return {**more, **asdict(row), "share_of_limit": row.share_of_limit}


def print_rates(console: Console, title: str, unit: str, rates: list[Rate]) -> Figures:
    """Rates as a table; returns them as plain figures."""
    table = Table(title=title)
    limited = any(rate.share is not None for rate in rates)
    for name in ("", "batch", unit, "spread", *(["of the matrix product's peak"] if limited else [])):
        table.add_column(name, justify="right")
    for rate in rates:
        shares = ["" if rate.share is None else f"{rate.share:.0%}"] if limited else []
        table.add_row(rate.label, f"{rate.size:,}", f"{rate.per_second:,.0f}", f"{rate.spread:.0%}", *shares)
    if rates:
        console.print(table)
    return [{"unit": unit, **asdict(rate)} for rate in rates]


def print_strategies(console: Console, title: str, rows: list[StrategyRow]) -> None:
    """The strategies side by side, each with its multiple of the first row's throughput."""
    table = Table(title=title)
    table.add_column("strategy")
    for name in ("games/min", "times the first", "evaluations/s", "mean batch", "max batch", "CPU"):
        table.add_column(name, justify="right")
    table.add_column("note")
    first = next((row.games_per_minute for row in rows if row.games_per_minute), None)
    for row in rows:
        if row.games_per_minute is None or first is None:
            table.add_row(row.label, *["n/a"] * 6, row.note)
            continue
        table.add_row(
            row.label,
            f"{row.games_per_minute:,.1f}",
            f"{row.games_per_minute / first:,.1f}",
            f"{row.evaluations_per_second:,.0f}",
            f"{row.mean_batch:,.1f}",
            f"{row.max_batch:,}",
            f"{row.cpu:.0%}",
            row.note,
        )
    console.print(table)


def print_agreement(console: Console, title: str, rows: list[Agreement]) -> None:
    """Searches by the network's arithmetic, against those in float32."""
    table = Table(title=title)
    for name in (
        "network in",
        "positions",
        "same best action",
        "policy, nats",
        "network's policy, nats",
        "value error",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.precision,
            f"{row.positions:,}",
            f"{row.same_action:.2%}",
            f"{row.divergence:.5f}",
            f"{row.network_divergence:.6f}",
            f"{row.value_error:.5f}",
        )
    console.print(table)
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


class Attempts:
    """Measures rows one by one; a row that does not fit in memory is said in one line, and the others still run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.failed = 0

    def __call__(self, label: str, measure: Callable[[], object]) -> Iterator[object]:
        """The measurement, or nothing."""
        try:
            yield measure()
        except Exception as error:
            if not out_of_memory(error):
                raise
            self.failed += 1
            self.console.print(f"{label}: does not fit in memory ({str(error).splitlines()[0]}); left out")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is out, the host's (PyTorch has no class for that) or a GPU's."""
    from torch import OutOfMemoryError

    return isinstance(error, MemoryError | OutOfMemoryError) or "can't allocate memory" in str(error)

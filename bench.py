"""Measures throughput on this machine, with the physical limit beside it.

python bench.py              self-play by batch size in the document's setting, and what that means for its workload
python bench.py engine       random games a second, and OpenSpiel's in the same run
python bench.py net          evaluations a second by precision and batch
python bench.py search       tree-simulations a second with a network that costs nothing
python bench.py train        examples a second of the learner
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

# OpenMP's threads spin at every barrier for as long as they like, by default; beside another busy process that made a
# search over 5 times slower (measured, two cores). A bounded spin costs 4% on an idle machine. Read as torch loads.
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "20000")

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import parts
from benchmarks.measure import environment
from benchmarks.selfplay import PHASES, SelfPlayRow, measure_self_play
from net import PRESETS, BlobNet, InferenceNet
from training.checkpoint import write_atomically
from training.evaluate import choose_device
from training.progress import duration
from vecgame import Blob
from vecmcts import SearchConfig

ITERATIONS, GAMES, EXAMPLES, EPOCHS = 500, 10_000, 80_000_000, 10  # the document's whole workload
TARGETS = (("minimum viable", 100), ("target", 500), ("stretch", 1000))  # its decision criteria, games/min
DOCUMENT_DAYS, DOCUMENT_BEST = 196, 18.8


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="self-play", choices=("self-play", *BENCHES))
    parser.add_argument("--cards", type=int, default=5, help="cards dealt to a seat (default: 5)")
    parser.add_argument("--worlds", type=int, default=3, help="worlds of a search (default: 3)")
    parser.add_argument("--simulations", type=int, default=30, help="simulations in each (default: 30)")
    parser.add_argument("--network", choices=tuple(PRESETS), default="document", help="size of the network")
    parser.add_argument("--batches", type=int, nargs="+", metavar="N", help="batch sizes (default: by benchmark)")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats of each part (default: 3)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="small batches only: a check that all of it works")
    return parser.parse_args(arguments)


def bench_self_play(options: argparse.Namespace, device: torch.device, console: Console) -> list[dict[str, object]]:
    """Self-play by batch size, the learner beside it, and the document's workload at the best of them."""
    game = Blob(cards=options.cards)
    config = SearchConfig(worlds=options.worlds, simulations=options.simulations, noise_fraction=0.25)
    network = InferenceNet(BlobNet(PRESETS[options.network]).to(device))
    table = Table(
        title=f"self-play, {options.cards} cards, {options.worlds} worlds x {options.simulations} simulations"
    )
    for name in (
        "games at once",
        "games/min",
        "limit",
        "of limit",
        "evaluations",
        "requests",
        "mean batch",
        "max batch",
    ):
        table.add_column(name, justify="right")
    for name in ("CPU", "GPU", "GiB", *PHASES):
        table.add_column(name, justify="right")
    rows = []
    for games in options.batches or default_batches(options, device, [64, 256, 1024, 2048], [1024, 4096, 10_000]):
        rows.append(measure_self_play(game, network, config, games, device))
        table.add_row(*cells(rows[-1]))
    console.print(table)
    console.print("limit: games/min if nothing but the network took time, in the same batches in the same run.")
    console.print("evaluations: of the network, a game. Phases: share of the time; worlds: sampling hidden hands.")
    best = max(row.games_per_minute for row in rows)
    size = 64 if options.quick else 2048
    learner = parts.learning(PRESETS[options.network], options.network, [size], device, options.repeats)[0]
    console.print(verdict(best, learner.per_second))
    return [{"kind": "self-play", **asdict(row), "share_of_limit": row.share_of_limit} for row in rows] + [
        {"kind": "learner", **asdict(learner)}
    ]


def cells(row: SelfPlayRow) -> list[str]:
    """A row of the table."""
    return [
        f"{row.games:,}",
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


def bench_engine(options: argparse.Namespace, device: torch.device, console: Console) -> list[dict[str, object]]:
    """The rules alone."""
    game = Blob(cards=options.cards)
    sizes = options.batches or default_batches(options, device, [100, 1000, 10_000, 100_000], [10_000, 1_000_000])
    rates = parts.engine(game, sizes, device, options.repeats)
    if options.cards <= 12:  # OpenSpiel stalls at 13
        try:
            rates.append(parts.openspiel_engine(options.cards, 0.2 if options.quick else 3.0))
        except ModuleNotFoundError:
            console.print("OpenSpiel is not installed: no comparison (pip install open_spiel)")
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    steps = f"a game has {game.decisions} decisions; " + (f"{threads} threads" if threads else "on the GPU")
    return show(console, f"random play, {options.cards} cards; {steps}", "games/s", rates)


def bench_net(options: argparse.Namespace, device: torch.device, console: Console) -> list[dict[str, object]]:
    """The network alone."""
    sizes = options.batches or default_batches(options, device, [1, 32, 256, 2048, 8192], [1, 256, 4096, 32_768])
    rates = parts.network(PRESETS[options.network], sizes, device, options.repeats)
    return show(console, f"network {options.network}, folded", "evaluations/s", rates)


def bench_search(options: argparse.Namespace, device: torch.device, console: Console) -> list[dict[str, object]]:
    """The trees alone."""
    config = SearchConfig(worlds=options.worlds, simulations=options.simulations)
    sizes = options.batches or default_batches(options, device, [16, 256, 2048], [256, 4096, 16_384])
    rates = parts.searches(Blob(cards=options.cards), sizes, config, device, options.repeats)
    return show(console, "search of the first bid, a network that costs nothing", "tree-simulations/s", rates)


def bench_train(options: argparse.Namespace, device: torch.device, console: Console) -> list[dict[str, object]]:
    """The learner alone."""
    sizes = options.batches or default_batches(options, device, [256, 2048], [2048, 16_384])
    rates = parts.learning(PRESETS[options.network], options.network, sizes, device, options.repeats)
    return show(console, "learner, all of a step: forward, backward, clipping, AdamW", "examples/s", rates)


BENCHES = {"engine": bench_engine, "net": bench_net, "search": bench_search, "train": bench_train}


def default_batches(options: argparse.Namespace, device: torch.device, cpu: list[int], cuda: list[int]) -> list[int]:
    """Batch sizes for the device; the smallest of them for a quick check."""
    sizes = cuda if device.type == "cuda" else cpu
    return [min(sizes[0], 16)] if options.quick else sizes


def show(console: Console, title: str, unit: str, rates: list[parts.Rate]) -> list[dict[str, object]]:
    """Prints rates as a table; returns them as plain figures."""
    table = Table(title=title)
    limited = any(rate.share is not None for rate in rates)
    for name in ("", "batch", unit, "spread", *(["of the matrix product's peak"] if limited else [])):
        table.add_column(name, justify="right")
    for rate in rates:
        shares = [f"{rate.share:.0%}"] if limited else []
        table.add_row(rate.label, f"{rate.size:,}", f"{rate.per_second:,.0f}", f"{rate.spread:.0%}", *shares)
    console.print(table)
    return [{"unit": unit, **asdict(rate)} for rate in rates]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parse(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 190)
    try:
        device = choose_device(options.device)
        if options.repeats < 1 or min(options.batches or [1]) < 1:
            raise ValueError("--repeats and --batches must be at least 1")
        settings = environment(device)
        console.print(
            f"{settings['device']}, {settings['cores']} cores, {settings['threads']} threads, "
            f"PyTorch {settings['torch']}, {settings['system']}"
        )
        figures = BENCHES.get(options.what, bench_self_play)(options, device, console)
        if options.json is not None:
            text = json.dumps({"what": options.what, "environment": settings, "figures": figures}, indent=1)
            write_atomically(options.json, text.encode())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        print(f"error: out of GPU memory; try smaller --batches. {str(error).splitlines()[0]}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

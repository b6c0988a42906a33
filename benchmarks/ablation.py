"""What learns best in equal time: each option of training alone against the baseline, several seeds.

    python -m benchmarks.ablation start.safetensors --seconds 120 --seeds 4 --json ablation.json

Every run begins with the same network (for instance one of `train.py --warmup-updates N --games-per-iter 1
--iterations 1 --epochs 0`) and has one thread. Its length comes from a trial run, so that all take about as much
processor time, which other work on the machine changes little; what they took is in the table. Then it plays deals that
are the same for all: alone against three of the starting network, and with a search of 3 x 30 against three rule-based
players. The figure of an option is its lead over the opponents less the baseline's with the same seed, with a 95%
interval over the seeds (Student's t), which has in it what differs from run to run as well as the luck of the deals.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import environment
from net import InferenceNet
from training.arena import ONE_AGAINST_THREE, play_deals, side_points
from training.bots import NetworkPlayer, RuleBot, SearchPlayer
from training.checkpoint import load_network, write_atomically
from training.progress import Display, silent
from training.run import Run
from training.settings import Settings, from_flags
from vecmcts import SearchConfig

BASE = {
    "games_per_iter": 256,
    "epochs": 4,
    "eval_every": 0,
    "checkpoint_seconds": 10**6,
    "learning_rate": 5e-4,
    "device": "cpu",
    "warmup_updates": 0,
}
BASELINE = "baseline: PUCT 3x30"
POLICY_GRADIENT = {"games_per_iter": 1, "iterations": 1, "epochs": 0}
OPTIONS: dict[str, dict[str, object]] = {
    BASELINE: {},
    "PUCT 3x8": {"simulations": 8},
    "Gumbel 3x8": {"root_selection": "gumbel", "simulations": 8},
    "worlds share statistics": {"root_selection": "shared"},
    "worlds by likelihood, 3 of 12": {"candidates": 12},
    "visit counts as target": {"policy_target": "visits"},
    "playout cap, 1 of 4 in full": {"full_share": 0.25, "fast_simulations": 6},
    "suit augmentation": {"augment_suits": True},
    "tricks head": {"tricks_weight": 0.1},
    "leaf values of the sampled world": {"leaf_values": "world"},
    "averaged weights": {"average_decay": 0.99},
    "policy gradient": {**POLICY_GRADIENT, "warmup_updates": 1},
    "policy gradient, suit augmentation": {**POLICY_GRADIENT, "warmup_updates": 1, "augment_suits": True},
    "policy gradient, critic": {**POLICY_GRADIENT, "warmup_updates": 1, "leaf_values": "world"},
    "policy gradient, tricks head": {**POLICY_GRADIENT, "warmup_updates": 1, "tricks_weight": 0.1},
}
SEARCH = SearchConfig(worlds=3, simulations=30)
T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # two-sided, 1 to 9 degrees of freedom


@dataclass(frozen=True)
class Trained:
    """One run and what it came to."""

    option: str
    seed: int
    length: int  # iterations, or updates of policy gradient
    seconds: float  # of processor time
    alone: list[float]  # lead over three of the starting network in each deal, without search
    searching: list[float]  # lead over three rule-based players in each deal, with search


def settings_of(option: str, start: Path, cards: str, seed: int, length: int) -> Settings:
    """Those of a run of that length."""
    unit = "warmup_updates" if "warmup_updates" in OPTIONS[option] else "iterations"
    given = {**BASE, **OPTIONS[option], "cards": cards, "seed": seed, "initial_network": str(start), unit: length}
    return from_flags("quick", given)


def run_one(option: str, start: Path, cards: str, seed: int, seconds: float, deals: int, length: int = 0) -> Trained:
    """Trains for about so many seconds of processor time, or for a length that is known, and plays the deals."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if not length:
            trial = 3
            taken = _train(settings_of(option, start, cards, seed, trial), Path(folder) / "trial")[0]
            length = max(1, round(seconds * trial / taken))
        taken, network = _train(settings_of(option, start, cards, seed, length), Path(folder) / "run")
    beginning = InferenceNet(load_network(start))
    games = settings_of(option, start, cards, seed, 1).games()

    def leads(player: object, opponent: object, count: int) -> list[float]:
        points = play_deals(games, (player, opponent), ONE_AGAINST_THREE, count, 1)
        mine, theirs = side_points(points, ONE_AGAINST_THREE).unbind(-1)
        return (mine - theirs).tolist()

    alone = leads(NetworkPlayer(network), NetworkPlayer(beginning), 4 * deals)
    searching = leads(SearchPlayer(network, SEARCH), RuleBot(), deals)
    return Trained(option, seed, length, taken, alone, searching)


def _train(settings: Settings, folder: Path) -> tuple[float, InferenceNet]:
    """Processor seconds of a run, and its network."""
    begun = time.process_time()
    run = Run.create(folder, settings, silent())
    run.train(judge=False)
    return time.process_time() - begun, InferenceNet(run.learner.averaged())


def run_all(
    options: Sequence[str], start: Path, cards: str, seeds: int, seconds: float, deals: int, jobs: int, display: Display
) -> list[Trained]:
    """Every option with every seed, ``jobs`` at a time. The first seed of an option says how long the others are."""
    done: list[Trained] = []
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        display.task("ablation", seeds * len(options), "runs") as task,
    ):
        waiting = {pool.submit(run_one, option, start, cards, 1, seconds, deals) for option in options}
        while waiting:
            future = next(as_completed(waiting))
            waiting.remove(future)
            result = future.result()
            done.append(result)
            task.update(len(done))
            if result.seed == 1:
                for seed in range(2, seeds + 1):
                    job = (run_one, result.option, start, cards, seed, seconds, deals, result.length)
                    waiting.add(pool.submit(*job))
    return sorted(done, key=lambda result: (options.index(result.option), result.seed))


def gain(results: Sequence[Trained], baseline: Sequence[Trained], match: str) -> tuple[float, float]:
    """Mean of an option's lead less the baseline's, seed by seed, and half its 95% interval over the seeds."""
    differences = [
        statistics.fmean(getattr(ours, match)) - statistics.fmean(getattr(theirs, match))
        for ours, theirs in zip(results, baseline, strict=True)
    ]
    if len(differences) < 2:
        return differences[0], math.inf
    spread = T_95[min(len(differences) - 2, len(T_95) - 1)] * statistics.stdev(differences)
    return statistics.fmean(differences), spread / math.sqrt(len(differences))


def report(results: Sequence[Trained], title: str) -> tuple[Table, list[dict[str, object]]]:
    """A table, and the same as plain numbers."""
    table = Table(title=title, title_justify="left", caption="gain: over the baseline, 95% interval over the seeds")
    table.add_column("option", no_wrap=True)
    for column in ("seconds", "lead alone", "gain", "lead searching", "gain"):
        table.add_column(column, justify="right")
    rows = []
    by_option = {
        option: [r for r in results if r.option == option] for option in dict.fromkeys(r.option for r in results)
    }
    for option, runs in by_option.items():
        row: dict[str, object] = {"option": option, "settings": OPTIONS[option], "lengths": [r.length for r in runs]}
        row["seconds"] = statistics.fmean(r.seconds for r in runs)
        cells = [option, f"{row['seconds']:.0f}"]
        for match in ("alone", "searching"):
            row[match] = statistics.fmean(statistics.fmean(getattr(r, match)) for r in runs)
            row[f"{match}_by_seed"] = [statistics.fmean(getattr(r, match)) for r in runs]
            row[f"{match}_gain"], row[f"{match}_gain_half"] = gain(runs, by_option[BASELINE], match)
            itself = option == BASELINE
            cells += [
                f"{row[match]:+.2f}",
                "" if itself else f"{row[f'{match}_gain']:+.2f} ± {row[f'{match}_gain_half']:.2f}",
            ]
        table.add_row(*cells)
        rows.append(row)
    return table, rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("start", type=Path, metavar="NETWORK", help="the network that all runs begin with")
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS), metavar="NAME")
    parser.add_argument("--cards", default="5", help="as of train.py (default: 5)")
    parser.add_argument("--seconds", type=float, default=120, help="processor time of a run (default: 120)")
    parser.add_argument("--seeds", type=int, default=4, help="runs of each option (default: 4)")
    parser.add_argument(
        "--deals", type=int, default=250, help="of a match with search (default: 250); four times without"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file")
    own = parser.parse_args(arguments)
    options = list(dict.fromkeys([BASELINE, *own.options]))
    console = Console()
    try:
        for name in ("seconds", "seeds", "deals", "jobs"):
            if not getattr(own, name) > 0:
                raise ValueError(f"--{name} must be above 0, got {getattr(own, name)}")
        settings_of(BASELINE, own.start, own.cards, 1, 1)
        load_network(own.start)
        results = run_all(options, own.start, own.cards, own.seeds, own.seconds, own.deals, own.jobs, Display())
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    title = (
        f"{own.seeds} runs of about {own.seconds:.0f} s of one thread each, {own.cards} cards, from {own.start.name}"
    )
    table, rows = report(results, title)
    console.print(table)
    if own.json is not None:
        stored = {**environment(torch.device("cpu")), "title": title, "search": asdict(SEARCH), "base": BASE}
        stored["command"] = " ".join(["python -m benchmarks.ablation", *(arguments or sys.argv[1:])])
        stored["results"] = rows
        write_atomically(own.json, json.dumps(stored, indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

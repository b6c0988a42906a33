"""What learns best in equal time: each option of training alone against the baseline, several seeds.

    python -m veclab.bench.ablation start.safetensors --seconds 120 --seeds 4 --json ablation.json

Every run begins with the same network (for instance one of `vecgame train --learner policy-gradient --updates N`) and
has one thread. Its length comes from trial runs, so that all take about as much processor time, which other work on
the machine changes little; what they took is in the table. Then it plays deals that are the same for all: alone against
three of the starting network, and with a search of 3 x 30 against three rule-based players. The figure of an option is
its lead over the opponents less the baseline's with the same seed, with a 95% interval over the seeds (Student's t),
which has in it what differs from run to run, and not the luck of the deals that all of them play.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import argparse
import hashlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from net import InferenceNet
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.arena.bots import NetworkPlayer, RuleBot, SearchPlayer
from veclab.arena.matches import ONE_AGAINST_THREE, play_deals, side_points
from veclab.bench.compared import (
    check_settings,
    differences,
    fitting,
    half_interval,
    shared_settings,
    stored_runs,
    trained,
)
from veclab.bench.record import termination_as_interrupt
from veclab.files import json_text
from veclab.lock import alone_at
from veclab.machine import command_of, environment
from veclab.presets import from_flags
from veclab.progress import Display, add_display_flags, display_of, print_table
from veclab.reference.processes import end_with_parent, interrupts_held
from veclab.settings import Settings
from veclab.training import equilibrium
from vecmcts import SearchConfig

BASE = {
    "simulations": 30,
    "leaf_values": "mover",
    "eval_every": 0,
    "checkpoint_seconds": 10**6,
    "device": "cpu",
}
BY_SEARCH = {"learner": "search", "games_per_iter": 256, "epochs": 4}
BASELINE = "baseline: PUCT 3x30"
POLICY_GRADIENT = {"learner": "policy-gradient"}
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
    "PUCT 3x8, leaf values of the sampled world": {"simulations": 8, "leaf_values": "world"},
    "Gumbel 3x8, leaf values of the sampled world": {
        "root_selection": "gumbel",
        "simulations": 8,
        "leaf_values": "world",
    },
    "averaged weights": {"average_decay": 0.99},
    "policy gradient": POLICY_GRADIENT,
    "policy gradient, suit augmentation": {**POLICY_GRADIENT, "augment_suits": True},
    "policy gradient, critic": {**POLICY_GRADIENT, "leaf_values": "world"},
    "policy gradient, tricks head": {**POLICY_GRADIENT, "tricks_weight": 0.1},
}
SEARCH = SearchConfig(worlds=3, simulations=30)


@dataclass(frozen=True)
class Trained:
    """One run and what it came to."""

    option: str
    seed: int
    length: int  # iterations, or updates of policy gradient
    seconds: float  # of processor time
    alone: float  # mean lead over three of the starting network, without search
    searching: float  # mean lead over three rule-based players, with search

    def __str__(self) -> str:
        return f"{self.option}, seed {self.seed}: alone {self.alone:+.2f}, searching {self.searching:+.2f}"


def settings_of(option: str, start: Path, cards: str, seed: int, length: int) -> Settings:
    """Those of a run of that length."""
    chosen = OPTIONS[option] if "learner" in OPTIONS[option] else {**BY_SEARCH, **OPTIONS[option]}
    unit = "updates" if chosen["learner"] == "policy-gradient" else "iterations"
    given = {**BASE, **chosen, "cards": cards, "seed": seed, "initial_network": str(start), unit: length}
    return from_flags("quick", given)


def run_one(option: str, start: Path, cards: str, seed: int, seconds: float, deals: int, length: int = 0) -> Trained:
    """Trains for about so many seconds of processor time, or for a length that is known, and plays the deals."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if not length:

            def takes(length: int) -> float:
                return train(
                    settings_of(option, start, cards, seed, length), Path(tempfile.mkdtemp(dir=folder), "trial")
                )[0]

            length = fitting(takes, seconds)
        taken, network = train(settings_of(option, start, cards, seed, length), Path(folder) / "run")
    beginning = InferenceNet(load_network(start))
    games = settings_of(option, start, cards, seed, 1).games()

    def lead(player: object, opponent: object, count: int) -> float:
        points = play_deals(games, (player, opponent), ONE_AGAINST_THREE, count, 1)
        mine, theirs = side_points(points, ONE_AGAINST_THREE).mean(0).tolist()
        return mine - theirs

    alone = lead(NetworkPlayer(network), NetworkPlayer(beginning), 4 * deals)
    searching = lead(SearchPlayer(network, SEARCH), RuleBot(), deals)
    return Trained(option, seed, length, taken, alone, searching)


def train(settings: Settings, folder: Path) -> tuple[float, InferenceNet]:
    """Processor seconds of a run, as of one in a process of its own, and its network."""
    equilibrium.forget()
    begun = time.process_time()
    run = trained(folder, settings)
    return time.process_time() - begun, InferenceNet(run.learner.averaged())


def run_all(
    own: argparse.Namespace,
    options: Sequence[str],
    done: list[Trained],
    keep: Callable[[list[Trained]], None],
    display: Display,
) -> None:
    """Every option with every seed that is not ``done`` yet, ``own.jobs`` at a time; ``keep`` is called after each.

    The first seed of an option says how long the others are.
    """
    terms = (own.start, own.cards)
    waiting: set[Future[Trained]] = set()

    def go_on(option: str) -> None:
        """Puts to work what is left of an option."""
        seeds = {result.seed: result for result in done if result.option == option}
        if 1 not in seeds:
            waiting.add(pool.submit(run_one, option, *terms, 1, own.seconds, own.deals))
            return
        for seed in range(2, own.seeds + 1):
            if seed not in seeds:
                length = seeds[1].length
                waiting.add(pool.submit(run_one, option, *terms, seed, own.seconds, own.deals, length))

    with workers(own.jobs) as pool, display.task("ablation", own.seeds * len(options), "runs") as task:
        for option in options:
            go_on(option)
        while waiting:
            future = next(as_completed(waiting))
            waiting.remove(future)
            done.append(future.result())
            keep(done)
            display.news(str(done[-1]))
            task.update(len(asked(done, options, own.seeds)))
            if done[-1].seed == 1:
                go_on(done[-1].option)


def asked(done: Sequence[Trained], options: Sequence[str], seeds: int) -> list[Trained]:
    """The runs of these options and so many seeds; a file may hold others."""
    return [run for run in done if run.option in options and run.seed <= seeds]


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes for long work, which end with the `with` block, whatever they are at if that fails, and with
    this process if it is killed. SIGTERM ends the block as Ctrl+C does."""
    pool = _Pool(jobs, mp_context=get_context("spawn"), initializer=end_with_parent)
    try:
        with termination_as_interrupt():
            yield pool
    except BaseException:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        raise
    pool.shutdown()


class _Pool(ProcessPoolExecutor):
    """Processes that never see a Ctrl+C, which at a terminal goes to all, not even while they load; and all of which
    are known when it comes. They are started as work is submitted."""

    def submit(self, *work: object) -> Future:
        with interrupts_held():
            return super().submit(*work)


def gain(results: Sequence[Trained], baseline: Sequence[Trained], match: str) -> tuple[float, float]:
    """Mean of an option's lead less the baseline's, seed by seed, and half its 95% interval over the seeds."""
    theirs = {run.seed: getattr(run, match) for run in baseline}
    differences = [getattr(run, match) - theirs[run.seed] for run in results]
    return statistics.fmean(differences), half_interval(differences)


HEAD = ("option", "seconds", "lead alone", "gain", "lead searching", "gain")


def report(results: Sequence[Trained]) -> tuple[list[list[str]], list[dict[str, object]]]:
    """The cells of a table (`HEAD`), and the same as plain numbers."""
    table, rows = [], []
    by_option = {
        option: [r for r in results if r.option == option] for option in dict.fromkeys(r.option for r in results)
    }
    for option, runs in by_option.items():
        row: dict[str, object] = {"option": option, "settings": OPTIONS[option], "lengths": [r.length for r in runs]}
        row["seconds"] = statistics.fmean(r.seconds for r in runs)
        cells = [option, f"{row['seconds']:.0f}"]
        for match in ("alone", "searching"):
            row[match] = statistics.fmean(getattr(r, match) for r in runs)
            mean, half = gain(runs, by_option[BASELINE], match)
            row[f"{match}_gain"], row[f"{match}_gain_half"] = mean, half if half < math.inf else None
            itself = option == BASELINE
            cells += [
                f"{row[match]:+.2f}",
                "" if itself else f"{mean:+.2f} ± {half:.2f}",
            ]
        table.append(cells)
        rows.append(row)
    return table, rows


@ends_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.ablation", description=__doc__)
    parser.add_argument("start", type=Path, metavar="NETWORK", help="the network that all runs begin with")
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS), metavar="NAME")
    parser.add_argument("--cards", default="5", help="as of vecgame train (default: 5)")
    parser.add_argument("--seconds", type=float, default=120, help="processor time of a run (default: 120)")
    parser.add_argument("--seeds", type=int, default=4, help="runs of each option (default: 4)")
    parser.add_argument("--deals", type=int, default=250, help="of a match with search; 4 times without (default: 250)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every run here, and go on with those there are")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    options = list(dict.fromkeys([BASELINE, *own.options]))
    command = command_of("python -m veclab.bench.ablation", arguments)
    title = f"{own.seeds} runs of about {own.seconds:.0f} s of one thread, {own.cards} cards, from {own.start.name}"

    def settings(option: str) -> dict[str, object] | None:
        return shared_settings(settings_of(option, own.start, own.cards, 1, 1)) if option in OPTIONS else None

    def keep(done: list[Trained]) -> None:
        if own.json is not None:
            found = {**environment(torch.device("cpu"), command), "title": title, "terms": terms}
            found["settings"] = {run.option: settings(run.option) for run in done}
            found["runs"] = [asdict(run) for run in done]
            found["results"] = report(whole(done))[1]
            write_atomically(own.json, json_text(found, indent=1).encode())

    def whole(done: list[Trained]) -> list[Trained]:
        """The runs of options that all seeds have run."""
        runs = asked(done, options, own.seeds)
        full = [o for o in options if sum(run.option == o for run in runs) == own.seeds]
        runs = [run for run in runs if run.option in full] if BASELINE in full else []
        return sorted(runs, key=lambda run: (options.index(run.option), run.seed))

    for name in ("seconds", "seeds", "deals", "jobs"):
        if not 0 < getattr(own, name) < math.inf:
            raise ValueError(f"--{name} must be above 0 and finite, got {getattr(own, name)}")
    check_place("--json", own.json, own.start)
    settings(BASELINE)
    load_network(own.start)
    terms = {
        "start": hashlib.sha256(own.start.read_bytes()).hexdigest(),
        "cards": own.cards,
        "seconds": own.seconds,
        "deals": own.deals,
        "search": asdict(SEARCH),
    }
    with alone_at(own.json):
        stored, done = stored_runs(own.json, Trained, "ablation")
        if stored and (different := differences(stored.get("terms"), terms)):
            raise ValueError(f"{own.json} was made with other terms: {different}; name another --json")
        check_settings(own.json, stored, {run.option: settings(run.option) for run in done})
        display = display_of(own)

        def show() -> None:
            print_table(display.console, title, HEAD, report(whole(done))[0])
            display.line("gain: over the baseline, 95% interval over the seeds")

        try:
            run_all(own, options, done, keep, display)
        except KeyboardInterrupt:
            if whole(done):
                show()
            kept = "; the same command goes on after them" if own.json is not None else ""
            count = f"{len(asked(done, options, own.seeds))} of {own.seeds * len(options)} runs"
            raise KeyboardInterrupt(f"stopped after {count}{kept}") from None
        show()
        return 0


if __name__ == "__main__":
    sys.exit(main())

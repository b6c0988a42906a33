"""How exactly each way of learning plays, in equal time: what an exact best response gains against it on small decks.

    python -m veclab.bench.exact --seconds 120 --seeds 3 --json exact.json

Every run begins from nothing and has one thread. Its length comes from trial runs, so that all take about as much
processor time; what they took is in the table. Then all deals and all sequences of actions of its deck are laid out
and the gain of a best response is computed (`veclab.arena.best_response`), which has no error: the 95% interval is that
over the seeds (Student's t).
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
from rich.console import Console

from veclab.agents.checkpoint import write_atomically
from veclab.arena.best_response import best_response, network_policy
from veclab.bench.ablation import train, workers
from veclab.bench.compared import check_settings, fitting, half_interval, shared_settings, stored_runs
from veclab.files import json_text
from veclab.lock import alone_at
from veclab.machine import command_of, environment
from veclab.presets import from_flags
from veclab.progress import add_display_flags, display_of, print_table
from veclab.settings import CFR, IDLE, NEURD, OF_SHORT_GAMES, OF_SHORT_WITHOUT_TRICKS, PPO, Settings

DECKS: dict[str, dict[str, object]] = {
    "4 players, 2 cards of 2 x 4": {"cards": "2", "suits": 2, "ranks": 4},
    "3 players, 2 cards of 2 x 4": {"cards": "2", "suits": 2, "ranks": 4, "rules": "players=3"},
    "2 players, 3 cards of 2 x 4": {"cards": "3", "suits": 2, "ranks": 4, "rules": "players=2"},
    "Kuhn poker": {"game": "kuhn"},  # gains in chips
    "Leduc poker": {"game": "leduc"},
}
USUAL = tuple(name for name, settings in DECKS.items() if "game" not in settings)  # Blob's: all options can have them
BASE = {"network": "small", "leaf_values": "mover", "eval_every": 0, "checkpoint_seconds": 10**6, "device": "cpu"}
POLICY_GRADIENT = {"learner": "policy-gradient"}  # by the rule that the deck has by itself
DRAWN = {**POLICY_GRADIENT, "update_rule": PPO}
OF_LONG_GAMES = {name: getattr(Settings, name) for name in ("update_rule", *OF_SHORT_GAMES, *OF_SHORT_WITHOUT_TRICKS)}
SEARCH = {"learner": "search", "games_per_iter": 256, "epochs": 4}
SMALL_SEARCH = {**SEARCH, "simulations": 8, "leaf_values": "world"}
BOTH = "policy gradient, then PUCT 3x8 of the sampled world"
OPTIONS: dict[str, dict[str, object]] = {
    "policy gradient": POLICY_GRADIENT,
    "policy gradient, drawn actions": DRAWN,
    "policy gradient, all actions": {**POLICY_GRADIENT, "update_rule": NEURD},
    "equilibrium": {**POLICY_GRADIENT, "update_rule": CFR},
    "policy gradient, steps of 4,096": {**DRAWN, "update_batch": 4096},
    "policy gradient, as in long games": {**DRAWN, **OF_LONG_GAMES},
    "policy gradient, steps of 1,024": {**DRAWN, "update_batch": 1024},
    "policy gradient, updates of 2,048 games": {**DRAWN, "update_games": 2048},
    "policy gradient, entropy 0.01": {**DRAWN, "entropy": 0.01},
    "policy gradient, entropy 0.2": {**DRAWN, "entropy": 0.2},
    "policy gradient, one pass": {**DRAWN, "update_epochs": 1},
    "policy gradient, lambda 0.5": {**DRAWN, "gae_lambda": 0.5},
    "policy gradient, critic": {**DRAWN, "leaf_values": "world"},
    "policy gradient, tricks head": {**DRAWN, "tricks_weight": 0.1},
    "policy gradient, averaged weights": {**DRAWN, "average_decay": 0.99},
    "PUCT 3x30": SEARCH,
    "PUCT 3x8 of the sampled world": SMALL_SEARCH,
    "Gumbel 3x8 of the sampled world": {**SMALL_SEARCH, "root_selection": "gumbel"},
    BOTH: {**SMALL_SEARCH, "learner": "both", "update_rule": PPO},
}
SHARE = 0.8  # of the time of a run with both learners, that is policy gradient's
LENGTH = {"policy-gradient": "updates", "search": "iterations"}
SOME = 3  # updates, or iterations, of settings that are asked for without a run


@dataclass(frozen=True)
class Played:
    """One run and what it came to."""

    option: str
    deck: str
    seed: int
    lengths: dict[str, int]  # updates, iterations
    seconds: float  # of processor time
    gain: float  # of an exact best response, points a game, mean of the seats


def settings_of(option: str, deck: str, seed: int, lengths: dict[str, int]) -> Settings:
    """Those of a run with so many updates and iterations, or with one of the two alone, without the other's."""
    learner = "both" if len(lengths) == 2 else next(name for name, unit in LENGTH.items() if unit in lengths)
    own = {name: value for name, value in OPTIONS[option].items() if name not in IDLE[learner]}
    return from_flags("document", {**BASE, **own, **DECKS[deck], "seed": seed, "learner": learner, **lengths})


def label_of(run: Played) -> str:
    """What a file of results calls the runs of the same option on the same deck."""
    return f"{run.option}: {run.deck}"


def shared_by(run: Played) -> dict[str, object] | None:
    """What all runs of its option on its deck have here; None where one of the two is not known."""
    if run.option not in OPTIONS or run.deck not in DECKS:
        return None
    return shared_settings(settings_of(run.option, run.deck, 1, dict.fromkeys(run.lengths, SOME)))


def run_one(option: str, deck: str, seed: int, seconds: float) -> Played:
    """Trains for about so many seconds of processor time, and computes the gain of a best response."""
    torch.set_num_threads(1)
    learner = OPTIONS[option]["learner"]
    shares = {learner: 1.0} if learner != "both" else {"policy-gradient": SHARE, "search": 1 - SHARE}
    with tempfile.TemporaryDirectory() as folder:
        lengths = {}
        for part, share in shares.items():

            def takes(length: int, part: str = part) -> float:
                trial = settings_of(option, deck, seed, {LENGTH[part]: length})
                return train(trial, Path(tempfile.mkdtemp(dir=folder), "trial"))[0]

            lengths[LENGTH[part]] = fitting(takes, share * seconds)
        settings = settings_of(option, deck, seed, lengths)
        taken, network = train(settings, Path(folder) / "run")
    gain = best_response(settings.games()[0], network_policy(network)).gain.mean()
    return Played(option, deck, seed, lengths, taken, float(gain))


def summary(runs: Sequence[Played]) -> list[dict[str, object]]:
    """A row for each option and deck: the mean gain and half its 95% interval over the seeds, None of one seed. Of runs
    with the same seed, which tell nothing of the spread over seeds, the first counts."""
    rows, first = [], {}
    for run in runs:
        first.setdefault((run.option, run.deck, run.seed), run)
    for option, deck in dict.fromkeys((run.option, run.deck) for run in runs):
        own = [run for run in first.values() if (run.option, run.deck) == (option, deck)]
        gains = [run.gain for run in own]
        row = {"option": option, "deck": deck, "settings": OPTIONS[option], "lengths": [run.lengths for run in own]}
        row["seconds"] = statistics.fmean(run.seconds for run in own)
        half = half_interval(gains) if len(gains) > 1 else None  # JSON has no infinity
        rows.append({**row, "gain": statistics.fmean(gains), "half": half})
    return rows


def print_rows(console: Console, rows: Sequence[dict[str, object]], title: str) -> None:
    """The options by the decks, best mean first."""
    options, decks = (list(dict.fromkeys(row[name] for row in rows)) for name in ("option", "deck"))
    gains = {(row["option"], row["deck"]): row for row in rows}
    worst = {option: [gains[option, deck]["gain"] for deck in decks if (option, deck) in gains] for option in options}
    cells = []
    for option in sorted(options, key=lambda option: statistics.fmean(worst[option])):
        found = (gains.get((option, deck)) for deck in decks)
        cells.append((option, *("" if cell is None else _shown(cell["gain"], cell["half"]) for cell in found)))
    print_table(console, title, ("option", *decks), cells)
    console.print("gain of a best response, points (poker: chips) a game; 95% over the seeds")


def _shown(gain: float, half: float | None) -> str:
    return f"{gain:.3f}" if half is None else f"{gain:.3f} ± {half:.3f}"


@ends_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.exact", description=__doc__)
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS), metavar="NAME")
    parser.add_argument("--decks", nargs="+", default=list(USUAL), choices=list(DECKS), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=120, help="processor time of a run (default: 120)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each option and deck (default: 3)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every run here, and go on with those there are")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    own.options, own.decks = (list(dict.fromkeys(names)) for names in (own.options, own.decks))
    title = f"{own.seeds} runs of about {own.seconds:.0f} s of one thread"
    command = command_of("python -m veclab.bench.exact", arguments)

    def keep(runs: list[Played]) -> None:
        if own.json is not None:
            found = {**environment(torch.device("cpu"), command), "asked": own.seconds}
            found["settings"] = {label_of(run): shared_by(run) for run in runs}
            found |= {"runs": [asdict(run) for run in runs], "results": summary(runs)}
            write_atomically(own.json, json_text(found, indent=1).encode())

    for name in ("seconds", "seeds", "jobs"):
        if not 0 < getattr(own, name) < math.inf:
            raise ValueError(f"--{name} must be above 0 and finite, got {getattr(own, name)}")
    check_place("--json", own.json)
    with alone_at(own.json):
        stored, runs = stored_runs(own.json, Played, "runs of this comparison")
        if stored and (asked := stored.get("asked")) != own.seconds:
            raise ValueError(f"{own.json} has runs of {asked} seconds, not {own.seconds}; name another --json")
        check_settings(own.json, stored, {label_of(run): shared_by(run) for run in runs})
        display = display_of(own)
        known = {(run.option, run.deck, run.seed) for run in runs}
        asked = [(o, d, seed) for seed in range(1, own.seeds + 1) for d in own.decks for o in own.options]
        for option, deck in product(own.options, own.decks):
            learner = OPTIONS[option]["learner"]
            settings_of(option, deck, 1, {unit: SOME for part, unit in LENGTH.items() if learner in (part, "both")})

        def rows() -> list[dict[str, object]]:
            """Of the runs that are asked for; a file may hold others."""
            return summary([run for run in runs if (run.option, run.deck, run.seed) in asked])

        missing = [run for run in asked if run not in known]
        try:
            with workers(own.jobs) as pool, display.task("runs", len(missing), "runs") as task:
                for future in as_completed([pool.submit(run_one, *run, own.seconds) for run in missing]):
                    runs.append(future.result())
                    keep(runs)
                    display.news(f"{runs[-1].option}, {runs[-1].deck}, seed {runs[-1].seed}: gain {runs[-1].gain:.3f}")
                    task.update(len(runs) - len(known))
        except KeyboardInterrupt:
            if rows():
                print_rows(display.console, rows(), title)
            kept = "; the same command goes on after them" if own.json is not None else ""
            raise KeyboardInterrupt(f"stopped after {len(runs) - len(known)} of {len(missing)} runs{kept}") from None
        print_rows(display.console, rows(), title)
        return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures throughput on this machine, with the physical limit beside it.

python bench.py              self-play by batch size in the document's setting, and what that means for its workload
python bench.py strategies   the document's four strategies side by side
python bench.py engine       random games a second, and OpenSpiel's in the same run
python bench.py net          evaluations a second by precision and batch
python bench.py search       tree-simulations a second with a network that costs nothing, and mctx's in the same run
python bench.py train        examples a second of the learner
python bench.py agreement    the search's answer by the network's arithmetic: --weights a network-*.safetensors
python bench.py sweep        self-play over a grid: --set games=256,2048 worlds=1,3
python bench.py engine --game hearts               the same of another game; search knows them, too
python bench.py peers        engine and search beside OpenSpiel and mctx: pip install -e '.[peers]'
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

# OpenMP's threads spin at every barrier for as long as they like, by default; beside another busy process that made a
# search over 5 times slower (measured, two cores). A bounded spin costs 4% on an idle machine. Read as torch loads.
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "20000")

import torch
from rich.console import Console

from benchmarks import parts, peers, plot, strategies, sweep
from benchmarks.agreement import agreement, available, comparable
from benchmarks.measure import environment
from benchmarks.selfplay import measure_self_play
from benchmarks.tables import (
    Attempts,
    Figures,
    print_agreement,
    print_rates,
    print_self_play,
    print_strategies,
    self_play_figures,
    verdict,
)
from net import PRESETS, BlobNet, int8_available
from training.checkpoint import load_network, write_atomically
from training.command_line import Parser
from training.evaluate import choose_device
from training.networks import network_config
from training.oh_hell import max_cards
from training.precision import PRECISIONS, inference_net
from training.settings import read_rules
from vecgame import GAMES, default_rules, make_game
from vecmcts import SearchConfig

INSTALL = "pip install -e '.[peers]'"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("what", nargs="?", default="self-play", choices=tuple(BENCHES))
    parser.add_argument(
        "--game", default="blob", choices=tuple(GAMES), help="self-play, engine, search: the game (default: blob)"
    )
    parser.add_argument(
        "--rules", default="", metavar="NAME=V,..", help="there: other rules of the game, such as players=5"
    )
    parser.add_argument("--cards", type=int, help="cards dealt to a seat (default: 5 in blob, else 13)")
    parser.add_argument("--worlds", type=int, default=3, help="worlds of a search (default: 3)")
    parser.add_argument("--simulations", type=int, default=30, help="simulations in each (default: 30)")
    parser.add_argument("--leaves-per-step", type=int, default=1, help="leaves of a tree judged together (default: 1)")
    parser.add_argument("--merge-equivalent", action="store_true", help="cards that are the same move searched as one")
    parser.add_argument("--network", choices=tuple(PRESETS), default="document", help="size of the network")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="self-play: the network's arithmetic")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="agreement: the network to compare")
    parser.add_argument("--batches", type=int, nargs="+", metavar="N", help="batch sizes (default: by benchmark)")
    parser.add_argument("--workers", type=int, nargs="+", metavar="N", help="strategies: processes and threads to try")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="S", help="strategies: time of a row")
    parser.add_argument("--set", nargs="+", metavar="NAME=V,..", default=[], help="sweep: the grid")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats of each part (default: 3)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="also draw them: PNG charts in this folder")
    parser.add_argument(
        "--compile", action="store_true", help="self-play, net: compiled searches and network, on a GPU"
    )
    parser.add_argument("--quick", action="store_true", help="small batches only: a check that all of it works")
    return parser.parse_args(arguments)


class Bench:
    """One run of a benchmark: its options, where it prints, and what did not fit in memory."""

    def __init__(self, options: argparse.Namespace, device: torch.device, console: Console) -> None:
        self.options, self.device, self.console = options, device, console
        self.attempt = Attempts(console)
        cards = {} if options.cards is None else {"cards": options.cards}
        self.game = make_game(options.game, **{**cards, **read_rules(options.rules, default_rules(options.game))})
        options.cards = self.game.cards
        self.config = SearchConfig(
            worlds=options.worlds,
            simulations=options.simulations,
            leaves_per_step=options.leaves_per_step,
            merge_equivalent=options.merge_equivalent,
            noise_fraction=0.25,
        )
        self.terms = ", ".join(filter(None, (options.game, f"{options.cards} cards", options.rules)))
        self.setting = f"{self.terms}, {options.worlds} worlds x {options.simulations} simulations"

    def sizes(self, cpu: list[int], cuda: list[int]) -> list[int]:
        """Batch sizes: as asked for, else those for the device; the smallest of them for a quick check."""
        sizes = cuda if self.device.type == "cuda" else cpu
        return self.options.batches or ([min(sizes[0], 16)] if self.options.quick else sizes)

    def rates(self, title: str, unit: str, measures: list[tuple[str, Callable[[], parts.Rate]]]) -> Figures:
        """Measures and prints rates."""
        rates = [rate for label, measure in measures for rate in self.attempt(label, measure)]
        return print_rates(self.console, title, unit, rates)

    def self_play(self) -> Figures:
        """Self-play by batch size, the learner beside it, and the document's workload at the best of them."""
        config = network_config(self.options.network, self.game)
        net = BlobNet(config).to(self.device)
        network = inference_net(net, self.options.precision, [self.game], self.options.compile)
        rows = []
        for games in self.sizes([64, 512, 4096], [1024, 4096, 10_000, 16_384]):
            rows += self.attempt(
                f"{games:,} games at once",
                lambda n=games: measure_self_play(
                    self.game, network, self.config, n, self.device, compile=self.options.compile
                ),
            )
        if not rows:
            return []
        print_self_play(self.console, f"self-play, {self.setting}", [(f"{r.games:,}", r) for r in rows], "games")
        best = max(row.games_per_minute for row in rows)
        name, size = self.options.network, 64 if self.options.quick else 2048
        dtype = parts.precisions(self.device)[0]
        learner = parts.learning(config, name, size, dtype, self.device, self.options.repeats)
        if self.options.game == "blob" and not self.options.rules:  # which is what the document's criteria are for
            self.console.print(verdict(best, learner.per_second))
        return [self_play_figures(row, kind="self-play") for row in rows] + [{"kind": "learner", **asdict(learner)}]

    def strategies(self) -> Figures:
        """The four strategies, one row a configuration."""
        options, quick = self.options, self.options.quick
        cores = os.cpu_count() or 1
        workers = options.workers or ([cores] if quick else [cores, 128, 256])
        games = (options.batches or [64 if quick else 4096 if self.device.type == "cpu" else 10_000])[0]
        rows: list[strategies.StrategyRow] = []
        for row in strategies.measure_strategies(
            strategies.plans(cores, workers, quick, games, self.device.type == "cpu" and int8_available()),
            BlobNet(PRESETS[options.network]),
            self.game,
            self.config,
            options.seconds or (1.0 if quick else 20.0),
            self.device,
        ):
            rows.append(row)
            if not self.console.is_terminal:  # the table comes last, and some rows take minutes to set up
                print(f"{row.label}: {row.games_per_minute or float('nan'):,.1f} games/min", file=sys.stderr)
        print_strategies(self.console, f"strategies, {self.setting}, network {options.network}", rows)
        return [{"kind": "strategy", **asdict(row)} for row in rows]

    def engine(self, required: bool = False) -> Figures:
        """The rules alone, and OpenSpiel's."""
        game, repeats = self.game, self.options.repeats
        measures = [
            (f"batch {size:,}", lambda n=size: parts.engine(game, n, self.device, repeats))
            for size in self.sizes([100, 1000, 10_000, 100_000], [10_000, 100_000, 1_000_000])
        ]
        seconds = 0.3 if self.options.quick else 3.0
        blob = self.options.game == "blob"
        if blob and game.cards <= max_cards(game.seats) and self.has("pyspiel", "OpenSpiel", required):
            measures.append(("OpenSpiel", lambda: peers.openspiel_engine(game.cards, seconds, game.seats)))
        threads = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else "on the GPU"
        title = f"random play, {self.terms}; a game has {game.decisions} decisions; {threads}"
        return self.rates(title, "games/s", measures)

    def net(self) -> Figures:
        """The network alone."""
        config, repeats, fused = PRESETS[self.options.network], self.options.repeats, self.options.compile
        measures = [
            (f"batch {size:,}", lambda n=size, p=name: parts.network(config, n, p, self.device, repeats, fused))
            for name in available(self.device)
            for size in self.sizes([1, 32, 256, 2048, 8192], [1, 256, 4096, 32_768])
        ]
        return self.rates(f"network {self.options.network}, folded", "evaluations/s", measures)

    def search(self, required: bool = False) -> Figures:
        """The trees alone, and mctx's in a game that both can play."""
        options, repeats = self.options, self.options.repeats
        sizes = self.sizes([16, 256, 2048], [256, 4096, 16_384])
        measures = [
            (f"batch {size:,}", lambda n=size: parts.searches(self.game, n, self.config, self.device, repeats))
            for size in sizes
        ]
        if self.has("mctx", "mctx", required):
            for trees in [size * options.worlds for size in sizes]:
                for engine in (peers.vecmcts_search, peers.mctx_search):
                    measures.append(
                        (
                            f"toy game, {trees:,} trees",
                            lambda n=trees, run=engine: run(n, options.simulations, str(self.device), repeats),
                        )
                    )
        title = (
            f"search of the first decision, {self.options.game}, a network that costs nothing; and of a toy game of "
            "6 actions that mctx plays too"
        )
        return self.rates(title, "tree-simulations/s", measures)

    def train(self) -> Figures:
        """The learner alone."""
        name, repeats = self.options.network, self.options.repeats
        measures = [
            (
                f"batch {size:,}",
                lambda n=size, d=dtype: parts.learning(PRESETS[name], name, n, d, self.device, repeats),
            )
            for dtype in parts.precisions(self.device)
            for size in self.sizes([256, 2048], [2048, 16_384])
        ]
        title = "learner, all of a step: forward, backward, clipping, AdamW"
        return self.rates(title, "examples/s", measures)

    def agreement(self) -> Figures:
        """Searches by the network's arithmetic, against those in float32."""
        options = self.options
        if options.weights is None:
            raise ValueError("agreement compares searches with a trained network: --weights network-*.safetensors")
        net = load_network(options.weights, self.device)
        games = (options.batches or [8 if options.quick else 256])[0]
        config = replace(self.config, noise_fraction=0.0)
        rows = agreement(net, self.game, config, games, comparable(self.device), self.device)
        print_agreement(self.console, f"{options.weights.name}, {self.setting}", rows)
        return [{"kind": "agreement", **asdict(row)} for row in rows]

    def sweep(self) -> Figures:
        """Self-play over a grid of settings."""
        options = self.options
        named = ("cards", "worlds", "simulations", "leaves_per_step", "network")
        defaults = {**sweep.DEFAULTS, **{name: getattr(options, name) for name in named}}
        defaults["games"] = (options.batches or [16 if options.quick else 1024])[0]
        grid = sweep.read_grid(options.set or (["games=8,16"] if options.quick else ["games=64,256,1024"]), defaults)
        rows, figures = [], []
        for names, row in sweep.measure_sweep(grid, defaults, self.device):
            label = ", ".join(f"{name}={value}" for name, value in names.items())
            if isinstance(row, str):
                self.attempt.failed += 1
                self.console.print(f"{label}: {row}; left out")
                continue
            rows.append((label, row))
            figures.append(self_play_figures(row, kind="sweep", settings=names))
        if rows:
            print_self_play(self.console, "self-play", rows, "setting")
        return figures

    def peers(self) -> Figures:
        """Everything that compares with other people's software."""
        return self.engine(required=True) + self.search(required=True)

    def has(self, module: str, name: str, required: bool) -> bool:
        """Whether a package is installed; if not, one line says so, or ends the program where it is required."""
        try:
            __import__(module)
            return True
        except ModuleNotFoundError:
            line = f"{name} is not installed: no comparison with it ({INSTALL})"
            if required:
                raise ValueError(line) from None
            self.console.print(line)
            return False


BENCHES: dict[str, Callable[[Bench], Figures]] = {
    "self-play": Bench.self_play,
    "strategies": Bench.strategies,
    "engine": Bench.engine,
    "net": Bench.net,
    "search": Bench.search,
    "train": Bench.train,
    "agreement": Bench.agreement,
    "sweep": Bench.sweep,
    "peers": Bench.peers,
}


OF_ANY_GAME = ("self-play", "engine", "search")  # what measures other games than the document's


def check(options: argparse.Namespace) -> None:
    """Raises ValueError on an option out of range."""
    counts = {"repeats": [options.repeats], "batches": options.batches or [1], "workers": options.workers or [1]}
    for name, values in counts.items():
        if min(values) < 1:
            raise ValueError(f"--{name} must be at least 1, got {min(values)}")
    if options.game != "blob" and options.what not in OF_ANY_GAME:
        raise ValueError(f"--game {options.game} is for {', '.join(OF_ANY_GAME)}; {options.what} measures blob")
    if options.rules and options.what not in OF_ANY_GAME:
        raise ValueError(f"--rules are for {', '.join(OF_ANY_GAME)}; {options.what} measures blob as it is")
    if not 0 <= options.seconds < float("inf"):
        raise ValueError(f"--seconds must be 0 or more, got {options.seconds}")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parse(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 190)
    try:
        check(options)
        device = choose_device(options.device)
        if options.plot is not None:
            plot.load_matplotlib()  # its absence is better known before minutes of work
        settings = environment(device)
        console.print(
            f"{settings['device']}, {settings['cores']} cores, {settings['threads']} threads, "
            f"PyTorch {settings['torch']}, {settings['system']}"
        )
        bench = Bench(options, device, console)
        written = {"what": options.what, "environment": settings, "figures": BENCHES[options.what](bench)}
        if options.json is not None:
            write_atomically(options.json, json.dumps(written, indent=1).encode())
        if options.plot is not None:
            for path in plot.plot(written, options.plot):
                console.print(f"wrote {path}")
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 3 if bench.attempt.failed else 0


if __name__ == "__main__":
    sys.exit(main())

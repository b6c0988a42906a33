"""Measures throughput on this machine, with the physical limit beside it.

vecgame bench              self-play by batch size in the document's setting, and what that means for its workload;
                           the document: the specification that this project was written to (docs/performance.md)
vecgame bench strategies   its four strategies side by side
vecgame bench engine       random games a second, and OpenSpiel's in the same run
vecgame bench net          evaluations a second by precision and batch
vecgame bench search       tree-simulations a second with a network that costs nothing, and mctx's in the same run
vecgame bench train        examples a second of the learner, and of policy gradient with its games
vecgame bench people       how long one person waits for a player of `vecgame play`: --weights a network-*.safetensors
vecgame bench agreement    the search's answer by the network's arithmetic: --weights a network-*.safetensors
vecgame bench sweep        self-play over a grid: --set games=256,2048 worlds=1,3
vecgame bench peers        engine and search beside OpenSpiel and mctx: pip install 'vecgame[peers]'
vecgame bench peers learn  points against rule-based players after --minutes of learning, for vecgame, OpenSpiel's DQN
                           and NFSP, and TorchRL's PPO: pip install 'vecgame[peers,doors]'
vecgame bench engine --game hearts --rules passing=rotate
                           the same of another game; strategies and peers are for Blob
"""

from collections.abc import Callable
from dataclasses import asdict, replace

import torch

from net import PRESETS, BlobNet, int8_available
from veclab.agents.checkpoint import load_network
from veclab.agents.networks import network_config
from veclab.arena.evaluate import choose_device
from veclab.bench import learners, parts, peers, plot, strategies, sweep
from veclab.bench.agreement import agreement, available, comparable
from veclab.bench.measure import Watch
from veclab.bench.options import check, parse
from veclab.bench.people import waiting, ways_of
from veclab.bench.record import Listener, Record, termination_as_interrupt
from veclab.bench.running import Running
from veclab.bench.selfplay import Counted, Play, SelfPlayRow
from veclab.bench.tables import (
    agreement_line,
    learning_line,
    print_agreement,
    print_learning,
    print_self_play,
    print_strategies,
    print_waiting,
    rate_line,
    strategy_line,
    verdict,
    waiting_line,
)
from veclab.command_line import NO_MEMORY, check_folder, check_place, ends_in_one_line
from veclab.cores import cores
from veclab.game_flags import identities
from veclab.machine import command_of, environment
from veclab.plotting import load_matplotlib
from veclab.precision import inference_net, is_emulated
from veclab.progress import display_of
from veclab.settings import Settings
from veclab.training import policy_gradient

MICRO_BATCH = 8192  # rows whose widest layer stays in the L2 cache of a large GPU


class Bench(Running):
    """The benchmarks, a method each."""

    def self_play(self) -> None:
        """Self-play by batch size, the learner beside it, and the document's workload at the best of them."""
        options, device = self.options, self.device
        config = network_config(options.network, self.game)
        network = inference_net(BlobNet(config).to(device), options.precision, [self.game], options.compile)
        play = Play(self.game, network, self.config, device, options.graphs)
        counted: dict[int, Counted] = {}
        rows: list[tuple[str, int, SelfPlayRow]] = []
        later = device.type == "cuda"  # where limits and phases take a slower pass: after the times of all batches
        for games in self.sizes([64, 512, 4096], [131_072, 16_384, 4096, 1024]):
            label = f"{games:,} games"
            number, row = self.timed(play, games, label, counted, kind="self-play")
            if row is not None:
                rows.append((label, number, row))
                if not later and not options.timing_only:
                    self.detailed(play, label, number, row, counted)
        if not rows:
            return
        for label, number, row in rows if later and not options.timing_only else []:
            self.detailed(play, label, number, row, counted)
        figures = self.record.figures
        print_self_play(
            self.console, f"self-play, {self.setting}", [(f"{r.games:,}", figures[n]) for _, n, r in rows], "games"
        )
        if options.timing_only:
            return
        dtype, size = parts.precisions(device)[0], 64 if options.quick else 2048
        terms = config, options.network, size, dtype, device, options.repeats, options.graphs
        measure = lambda: parts.learning(*terms)  # noqa: E731
        for learner in self.rate("examples/s", measure, kind="learner"):
            self.record.add(learner, rate_line(learner))
            if self.record.of_the_document:  # which is what the document's criteria are for
                best = max(row.games_per_minute for _, _, row in rows)
                self.console.print(verdict(best, learner["per_second"]))

    def strategies(self) -> None:
        """The four strategies, one row a configuration."""
        options, quick = self.options, self.options.quick
        count = cores()
        workers = options.workers or ([count] if quick else [count, 128, 256])
        games = (options.batches or [64 if quick else 4096 if self.device.type == "cpu" else 10_000])[0]
        plans = strategies.plans(count, workers, quick, games, self.device.type == "cpu" and int8_available())
        rows = strategies.measure_strategies(
            plans,
            BlobNet(PRESETS[options.network]),
            self.game,
            self.config,
            options.seconds or (1.0 if quick else 20.0),
            self.device,
        )
        with self.display.task("strategies", len(plans), "rows") as task:
            for number in range(1, len(plans) + 1):
                with Watch(self.device) as watch:
                    row = next(rows)
                    figure = {"kind": "strategy", **asdict(row), **watch.figures()}
                if row.strategy == strategies.PROCESSES:
                    figure["memory"] = None  # it is in other processes
                self.record.add(figure, strategy_line(figure))
                task.update(number)
        title = f"strategies, {self.setting}, network {options.network}"
        print_strategies(self.console, title, self.record.figures)

    def engine(self, required: bool = False) -> None:
        """The rules alone, and OpenSpiel's."""
        game, repeats = self.game, self.options.repeats
        measures = [
            (f"batch {size:,}", lambda n=size: parts.engine(game, n, self.device, repeats))
            for size in self.sizes([100, 1000, 10_000, 100_000], [1_000_000, 100_000, 10_000])
        ]
        seconds = 0.3 if self.options.quick else 3.0
        if self.has_openspiel(required):
            measures.append(("OpenSpiel", lambda: peers.openspiel_engine(game.cards, seconds, game.seats)))
        threads = f"{torch.get_num_threads()} threads" if self.device.type == "cpu" else "on the GPU"
        title = f"random play, {self.terms}; a game has up to {game.decisions} decisions; {threads}"
        self.rates(title, "games/s", measures)

    def net(self) -> None:
        """The network alone, on a GPU also operation by operation, all rows at once and in micro-batches."""
        config = network_config(self.options.network, self.game)
        repeats, fused = self.options.repeats, self.options.compile
        cuda = self.device.type == "cuda"
        precisions = []
        for name in available(self.device):
            if is_emulated(name, self.device):
                self.record.compare_without(f"{self.device} has no instructions for {name}: not measured")
            else:
                precisions.append(name)
        measures = [
            (
                f"batch {size:,}",
                lambda n=size, p=name, m=micro: parts.network(self.game, config, n, p, self.device, repeats, fused, m),
            )
            for size in self.sizes([1, 32, 256, 2048, 8192], [131_072, 32_768, 4096, 256, 1])
            for name in precisions
            for micro in dict.fromkeys([None, size, min(size, MICRO_BATCH)] if cuda else [None])
        ]
        self.rates(f"network {self.options.network}, folded, for {self.terms}", "evaluations/s", measures)

    def search(self, required: bool = False) -> None:
        """The trees alone, and mctx's in a game that both can play."""
        options, repeats = self.options, self.options.repeats
        sizes = self.sizes([16, 256, 2048], [131_072, 16_384, 4096, 256])
        measures = [
            (
                f"batch {size:,}",
                lambda n=size: parts.searches(self.game, n, self.config, self.device, repeats, options.graphs),
            )
            for size in sizes
        ]
        if self.has_mctx(required):
            for trees in [size * options.worlds for size in sizes]:
                for engine in (peers.vecmcts_search, peers.mctx_search):
                    measures.append(
                        (
                            f"toy game, {trees:,} trees",
                            lambda n=trees, run=engine: run(n, options.simulations, str(self.device), repeats),
                        )
                    )
        title = (
            f"search of the first decision, {self.terms}, a network that costs nothing; and of a toy game of "
            "6 actions that mctx plays too"
        )
        self.rates(title, "tree-simulations/s", measures)

    def train(self) -> None:
        """The learner alone: of searched examples, and of policy gradient with its games."""
        name, graphs = self.options.network, self.options.graphs
        config, terms = network_config(name, self.game), (self.device, self.options.repeats, graphs)
        measures = [
            (f"batch {size:,}", lambda n=size, d=dtype: parts.learning(config, name, n, d, *terms))
            for dtype in parts.precisions(self.device)
            for size in self.sizes([256, 2048], [16_384, 4096, 2048])
        ]
        few = 16 if self.options.quick else Settings.update_games
        many = 8 if self.device.type == "cuda" and not self.options.quick else 0  # games for a place of the minibatch
        measures += [
            (
                f"policy gradient, batch {size:,}",
                lambda n=size: parts.updates(self.game, config, name, n, max(few, many * n), *terms),
            )
            for size in self.sizes([Settings.update_batch, 4096], [16_384, 4096, Settings.update_batch])
        ]
        measures += [
            (
                f"policy gradient, {games:,} games",
                lambda n=games: parts.games_of_policy_gradient(self.game, config, name, n, *terms),
            )
            for games in ([policy_gradient.MOST_AT_ONCE, few] if many else [few])
        ]
        title = f"learner, all of a step: forward, backward, clipping, AdamW; {self.terms}"
        self.rates(title, "examples/s", measures)

    def agreement(self) -> None:
        """Searches by the network's arithmetic, against those in float32."""
        options = self.options
        net = load_network(options.weights, self.device, self.game)
        if self.other_rules is not None:
            self.console.print(self.other_rules)
        games = (options.batches or [8 if options.quick else 256])[0]
        config, precisions = replace(self.config, noise_fraction=0.0), comparable(self.device)
        found = agreement(net, self.game, config, games, precisions, self.device)
        with self.display.task("agreement", len(precisions), "rows") as task:
            for number in range(1, len(precisions) + 1):
                with Watch(self.device) as watch:
                    row, ways = next(found)
                    figure = {"kind": "agreement", **asdict(row), "ways": ways, "network_compiled": False}
                    figure |= {"other_rules": self.other_rules, **watch.figures()}
                self.record.add(figure, agreement_line(figure))
                task.update(number)
        print_agreement(self.console, f"{options.weights.name}, {self.setting}", self.record.figures)

    def people(self) -> None:
        """The time of one game's decisions, each made by itself."""
        options, most = self.options, 3 if self.options.quick else 1000
        net = load_network(options.weights, self.device, self.game)
        if self.other_rules is not None:
            self.console.print(self.other_rules)
        network, config = inference_net(net, "auto", [self.game]), replace(self.config, noise_fraction=0.0)
        if self.device.type != "cpu":
            self.console.print(
                "vecgame play thinks on the CPU, which --device cpu measures; here only a search is timed"
            )
        for games in options.batches or [1 if options.quick else 4]:
            for way in ways_of(self.game, network, config, self.device):
                with Watch(self.device) as watch:
                    row = waiting(self.game, network, way, games, most, self.device)
                    figure = {"kind": "people", **asdict(row), **watch.figures()}
                self.record.add(figure, waiting_line(figure))
        print_waiting(self.console, f"{options.weights.name}, {self.terms}", self.record.figures)

    def sweep(self) -> None:
        """Self-play over a grid of settings."""
        options = self.options
        defaults = sweep.defaults_of(options, self.game)
        grid = sweep.read_grid(options.set or (["games=8,16"] if options.quick else ["games=64,256,1024"]), defaults)
        sweep.check_grid(grid, options)
        points = sweep.points(grid, defaults)
        for point in points:  # a bad one is better known before the others are measured
            sweep.check_point(point, self.game, self.device)
        self.record.games = identities(dict.fromkeys(sweep.game_at(self.game, point) for point in points))
        labels = []
        for point in points:
            settings = sweep.named(grid, point)
            label, counted = ", ".join(f"{name}={value}" for name, value in settings.items()), {}
            ways = options.compile, options.graphs, options.merge_equivalent
            with sweep.prepared(point, self.game, self.device, *ways) as play:
                terms = {"settings": settings, "game": identities([play.game])[0]}
                number, row = self.timed(play, point["games"], label, counted, kind="sweep", **terms)
                if row is None:
                    continue
                labels.append(label)
                if not options.timing_only:
                    self.detailed(play, label, number, row, counted)
        if labels:
            rows = list(zip(labels, self.record.figures, strict=True))
            print_self_play(self.console, f"self-play, {self.game.name}", rows, "setting")

    def peers(self) -> None:
        """Everything that compares with other people's software, but for learning, which takes long."""
        if self.options.part == "learn":
            self.peers_learn()
            return
        self.has_openspiel(required=True)  # before minutes of work
        self.has_mctx(required=True)
        self.engine(required=True)
        self.search(required=True)

    def peers_learn(self) -> None:
        """How strong each way of learning is after so many minutes."""
        options, deals = self.options, 20 if self.options.quick else 500
        cards = self.game.cards if self.options.cards is None else self.options.cards
        for module, name in (("pyspiel", "OpenSpiel"), ("torchrl", "TorchRL")):
            self.has(module, name, required=True, learning=True)
        games = learners.games_of(cards)
        self.record.games = identities(games)
        minutes = sorted(options.minutes or ([0.1] if options.quick else [1.0, 5.0, 20.0]))
        total = minutes[-1] * len(learners.ALL)  # of the longest; vecgame's shorter runs, which are others, come on top
        with self.display.task("learning", total, "minutes") as task:
            for number, make in enumerate(learners.ALL):
                learner = make(cards, seed=1)
                for limit in minutes:
                    found = learners.judged(learner, 60 * limit, games, deals)
                    figure = {"kind": "learning", "minutes": limit, **found}
                    self.record.add(figure, learning_line(figure))
                    task.update(number * minutes[-1] + limit)
        title = f"points a game : of one rule-based player, {cards} cards, {learners.RULES}, {4 * deals:,} games"
        print_learning(self.console, title, self.record.figures)


BENCHES: dict[str, Callable[[Bench], None]] = {
    "self-play": Bench.self_play,
    "strategies": Bench.strategies,
    "engine": Bench.engine,
    "net": Bench.net,
    "search": Bench.search,
    "train": Bench.train,
    "agreement": Bench.agreement,
    "people": Bench.people,
    "sweep": Bench.sweep,
    "peers": Bench.peers,
}


@ends_in_one_line(needs_less="a smaller --batches")
def main(arguments: list[str] | None = None, listener: Listener | None = None) -> int:
    """The command line; returns the exit status. ``listener`` is told of every row."""
    options = parse(arguments, __doc__, tuple(BENCHES))
    display, record = display_of(options), None
    try:
        with termination_as_interrupt():
            device = choose_device("cpu" if options.part == "learn" else options.device)  # where all of them learn
            check(options, device)
            if options.plot is not None:
                check_folder("--plot", options.plot)
                load_matplotlib()  # its absence is better known before minutes of work
            check_place("--json", options.json, options.weights)
            settings = environment(device, command_of("python bench.py", arguments))
            record = Record(display.console, options.json, options.what, settings, listener)
            display.line(
                f"{settings['device']}, {settings['cores']} cores, {settings['threads']} threads, "
                f"PyTorch {settings['torch']}, {settings['system']}"
            )
            if options.quick:
                display.line("--quick checks that all of it works; its batches are too small to compare anything by")
            BENCHES[options.what](Bench(options, device, display, record))
            record.finish()
            if options.plot is not None:
                for path in plot.plot(record.plain(), options.plot):
                    display.line(f"wrote {path}", whole=True)
    except KeyboardInterrupt:
        if record is None:
            raise
        record.write()
        raise KeyboardInterrupt(record.stopped()) from None
    return NO_MEMORY if record.left_out else 0

"""What all benchmarks have in common: options, the display, where rows go, and how one is made of a measurement."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Literal

import torch

from vecgame import Blob
from veclab.arena.oh_hell import PLAYERS, max_cards
from veclab.bench import parts, peers
from veclab.bench.flags_of import OF_THE_DOCUMENT
from veclab.bench.measure import Watch
from veclab.bench.options import played
from veclab.bench.record import Attempts, Figure, Record
from veclab.bench.selfplay import Counted, Play, SelfPlayRow, detail, timed_self_play
from veclab.bench.tables import limit_line, print_rates, rate_line, self_play_line
from veclab.game_flags import described, identities
from veclab.progress import Display
from vecmcts import SearchConfig

INSTALL, INSTALL_LEARNERS = "pip install 'vecgame[peers]'", "pip install 'vecgame[peers,doors]'"


class Running:
    """What every benchmark does, in one run: its options, where it prints, and where its rows go."""

    def __init__(self, options: argparse.Namespace, device: torch.device, display: Display, record: Record) -> None:
        self.options, self.device, self.display, self.record = options, device, display, record
        self.console = display.console
        self.attempt = Attempts(record)
        self.flags, self.game, self.other_rules = played(options)
        record.games = identities([self.game])
        self.config = SearchConfig(
            worlds=options.worlds,
            simulations=options.simulations,
            leaves_per_step=options.leaves_per_step,
            merge_equivalent=options.merge_equivalent,
            noise_fraction=0.25,
        )
        self.terms = described({**self.flags, "cards": str(self.game.cards)})
        self.setting = f"{self.terms}, {options.worlds} worlds x {options.simulations} simulations"
        record.of_the_document = self.game == Blob() and is_the_documents(options)
        if options.what in OF_THE_DOCUMENT and self.game != Blob(cards=self.game.cards):
            raise ValueError(f"{options.what} is for Blob by its usual rules, which others play too; not {self.terms}")

    def sizes(self, cpu: list[int], cuda: list[int]) -> list[int]:
        """Batch sizes: as asked for, else those for the device; the smallest of them for a quick check."""
        sizes = cuda if self.device.type == "cuda" else cpu
        return self.options.batches or ([min(*sizes, 16)] if self.options.quick else sizes)

    def rates(self, title: str, unit: str, measures: list[tuple[str, Callable[[], parts.Rate]]]) -> None:
        """Measures and prints rates."""
        first = len(self.record.figures)
        with self.display.task("measuring", len(measures), "rows") as task:
            for number, (label, measure) in enumerate(measures, 1):
                for figure in self.attempt(label, lambda measure=measure: self.rate(unit, measure)):
                    self.record.add(figure, rate_line(figure))
                task.update(number)
        print_rates(self.console, title, self.record.figures[first:])

    def rate(self, unit: str, measure: Callable[[], parts.Rate], **more: object) -> Iterator[Figure]:
        """The figures of one rate."""
        with Watch(self.device) as watch:
            yield {**more, "unit": unit, **asdict(measure()), **watch.figures()}

    def timed(
        self, play: Play, games: int, label: str, counted: dict[int, Counted], **more: object
    ) -> tuple[int, SelfPlayRow | None]:
        """Times self-play of so many games: the number of its row, and the row; None if it does not fit in memory."""
        number, last = -1, None
        repeats = self.options.repeats if "repeats" in self.options.given else 1  # for it takes long
        with self.display.task(label, games, "games") as task, Watch(self.device) as watch:

            def report(done: float, evaluations: int) -> None:
                task.update(done, evaluations=evaluations)

            for row in self.attempt(label, lambda: timed_self_play(play, games, counted, report, repeats)):
                figure = {**more, **asdict(row), **watch.figures()}
                line = self_play_line(label, figure)
                if last is None:
                    number = self.record.add(figure, line)
                else:
                    self.record.change(number, figure, line, news=line)
                last = row
        return number, last

    def detailed(self, play: Play, label: str, number: int, row: SelfPlayRow, counted: dict[int, Counted]) -> None:
        """Adds limits and phases to a timed row."""
        before, line = self.record.figures[number], self.record.lines[number]
        with self.display.task(f"{label}: its limit", 1, "measurements"), Watch(self.device) as watch:
            for found in self.attempt(f"{label}: its limit", lambda: iter([detail(play, row, counted)])):
                fell_back = [*before["fell_back"], *watch.fell_back]
                figure = {**before, **asdict(found), "fell_back": fell_back}
                self.record.change(number, figure, line, news=f"{label}:\n{limit_line(figure)}")

    def has(self, module: str, name: str, required: bool, learning: bool = False) -> bool:
        """Whether a package is installed; if not, one line says so, or ends the program where it is required."""
        try:
            __import__(module)
            return True
        except ModuleNotFoundError:
            install = INSTALL_LEARNERS if learning else INSTALL
            return self.without(f"{name} is not installed: no comparison with it ({install})", required)

    def has_mctx(self, required: bool) -> bool:
        """The same of mctx, which must also have the device: the CPU's build of JAX knows no GPU."""
        if not self.has("mctx", "mctx", required):
            return False
        if peers.jax_device(str(self.device)) is not None:
            return True
        line = f"JAX has no {self.device} here: no comparison with mctx (pip install 'jax[cuda12]')"
        return self.without(line, required)

    def has_openspiel(self, required: bool) -> bool:
        """The same of OpenSpiel, which must also have the game."""
        game, line = self.game, None
        if not isinstance(game, Blob) or game != Blob(cards=game.cards, players=game.seats):
            line = f"the comparison with OpenSpiel is of Blob by its usual rules: there is none of {self.terms}"
        elif game.seats not in PLAYERS:
            line = f"OpenSpiel is for {PLAYERS[0]} to {PLAYERS[-1]} players: no comparison with it"
        elif game.cards > (most := max_cards(game.seats)):
            line = f"OpenSpiel deals {most} cards at most: no comparison with it"
        return self.has("pyspiel", "OpenSpiel", required) if line is None else self.without(line, required)

    def without(self, line: str, required: bool) -> Literal[False]:
        """One line says that there is no comparison, or ends the program where that is what was asked for."""
        if required:
            raise ValueError(line)
        self.record.compare_without(line)
        return False


def is_the_documents(options: argparse.Namespace) -> bool:
    """Whether search and network are those that the document's criteria are for, and all of it is measured."""
    search = (options.worlds, options.simulations, options.leaves_per_step, options.merge_equivalent)
    return search == (3, 30, 1, False) and options.network == "document" and not options.quick

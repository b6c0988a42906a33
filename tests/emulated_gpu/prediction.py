"""What a search takes on a GPU that nobody has measured: launches, bytes and products by part, and the time and games a
minute that they come to on two GPUs.

    python -m tests.emulated_gpu.prediction [--cards 5 13] [--simulations 30]

prints the tables of docs/performance.md. A search is counted on the emulated GPU, of some games and of the same ones
twice, so that what grows with their number is told apart from what does not, such as reading the network's weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

import torch

from net import BlobNet, InferenceNet
from tests.emulated_gpu.gpu import EmulatedGpu
from tests.emulated_gpu.install import emulated_gpu
from tests.emulated_gpu.launches import phases
from vecgame import Blob, Game, Purpose, Stream
from veclab.agents.networks import network_config
from vecmcts import SearchConfig, kernels, random_action, search
from vecmcts.sizes import rounded
from vecmcts.tree import Tree

HOST, NODE = 6e-6, 1.8e-6  # seconds of a launch: by the host one by one, and as a node of a graph
REACHED = 0.5  # of the peak, by matrices as narrow as the network's
SHARE = 0.5  # of the memory, that trees may take
MOST = 131_072  # games at once, at most
COUNTED = 2  # games
PLAYED = 4096  # random games, by which it is known how many decisions are searched
SEARCHED = 32  # of them, by which it is known how many positions count


@dataclass(frozen=True)
class Gpu:
    """A GPU as its data sheet has it."""

    name: str
    bandwidth: float  # bytes a second
    peak: float  # multiply-adds a second of bfloat16 matrices, dense, sums in float32
    memory: float  # bytes


GPUS = (
    Gpu("H200", 4.8e12, 790e12 / 2, 141e9),
    Gpu("RTX 4060", 272e9, 30e12 / 2, 8e9),
)


@dataclass(frozen=True)
class Part:
    """A part of a search of B games: what it launches, and ``fixed + B * each`` of what else it takes."""

    launches: int
    fixed: int = 0  # bytes
    each: float = 0.0  # bytes a game
    products: float = 0.0  # multiply-adds a game

    def times(self, factor: float) -> Part:
        """The same of so many times the work in each game."""
        return replace(self, each=factor * self.each, products=factor * self.products)

    def seconds(self, gpu: Gpu, games: int) -> float:
        """Of its memory traffic or its products, whichever take longer, launches left out."""
        moved = (self.fixed + games * self.each) / gpu.bandwidth
        return max(moved, games * self.products / (REACHED * gpu.peak))


@dataclass(frozen=True)
class Decision:
    """A search by parts; those in ``hosted`` are not in a graph."""

    parts: dict[str, Part]
    hosted: tuple[str, ...] = ("worlds",)
    live: float | None = None  # positions a game that the network evaluates; None if those that do not count, too

    @property
    def launches(self) -> int:
        return sum(part.launches for part in self.parts.values())

    @property
    def each(self) -> float:
        """Bytes a game."""
        return sum(part.each for part in self.parts.values())

    @property
    def fixed(self) -> int:
        """Bytes whatever the number of games."""
        return sum(part.fixed for part in self.parts.values())

    def launching(self, graph: bool) -> float:
        """Seconds of its launches, all of them the host's or most of them in a graph."""
        each = [HOST if name in self.hosted or not graph else NODE for name in self.parts]
        return sum(seconds * part.launches for seconds, part in zip(each, self.parts.values(), strict=True))

    def seconds(self, gpu: Gpu, games: int, graph: bool = True) -> float:
        """Of a search of so many games: launches, and each part's work after them."""
        return self.launching(graph) + sum(part.seconds(gpu, games) for part in self.parts.values())


@contextmanager
def by_tensors() -> Iterator[None]:
    """Leaves out the kernels of searches within the block."""
    with mock.patch.object(kernels, "DEVICES", set()):
        yield


def decision(gpu: EmulatedGpu, game: Game, config: SearchConfig, network: InferenceNet) -> Decision:
    """Counts a search of the first decision of a game, by kernels where there is Triton."""
    few = game.deal(COUNTED, 0, "cuda")
    counts = []
    search(game, few, network, replace(config, simulations=1), 3, graphs=False)  # makes what is made once
    gpu.record.weighing = True
    try:
        for times in (1, 2):  # the same games, so that they lead to as many forced moves and as deep trees
            state = few.take(torch.arange(COUNTED, device="cuda").repeat(times))
            gpu.record.clear()
            with phases(gpu):
                judged = search(game, state, network, config, 3, graphs=False).evaluations
            record = gpu.record
            counts.append([record.by_phase(kind) for kind in (record.kernels, record.bytes, record.products)])
            live = int(judged) / state.batch_size if network.skips_rows else None
    finally:
        gpu.record.weighing = False
    (launched, once, one), (again, twice, two) = counts
    if launched != again:
        raise RuntimeError("the number of launches depends on the number of games")
    parts = {}
    for name, count in launched.most_common():
        each = (twice[name] - once[name]) / COUNTED
        parts[name] = Part(count, round(once[name] - COUNTED * each), each, (two[name] - one[name]) / COUNTED)
    return Decision(parts, live=live)


@dataclass(frozen=True)
class Played:
    """How many searches self-play of a game makes."""

    decisions: int  # at which some game is searched
    searched: float  # decisions a game that are searched, those included that fill batches up
    judged: float = 0.0  # positions that count in such a search, of all decisions alike

    @classmethod
    def of(cls, game: Game, config: SearchConfig) -> Played:
        """By random play on a CPU; a few of the games are searched."""
        state, decisions, searched, judged = game.deal(PLAYED), 0, 0.0, []
        torch.manual_seed(0)
        network = InferenceNet(BlobNet(network_config("small", game)), torch.float32)
        for _ in range(game.decisions):
            choice = (game.legal_actions(state) >= 0).sum(-1) > 1
            choices = int(choice.sum())
            decisions += choices > 0
            searched += rounded(choices, PLAYED) / PLAYED
            some = state.take(choice.nonzero()[:SEARCHED, 0])
            judged.append(int(search(game, some, network, config, 3).evaluations) * choices / max(some.batch_size, 1))
            uniform = Stream(1, state.index, game.turn(state)).uniform(Purpose.ACTION, 1)[:, 0]
            state = game.step(state, random_action(game, state, uniform))
        return cls(decisions, searched, sum(judged) / PLAYED / searched)

    def games_per_minute(self, found: Decision, gpu: Gpu, games: int, graph: bool = True) -> float:
        """Of self-play of so many games at once."""
        launching = self.decisions * found.launching(graph)
        whole = int(self.searched * games)  # as if they were one search, but for what is read once each
        parts = dict(found.parts)
        if found.live is not None:  # at the first decision nearly all positions count
            parts["network"] = parts["network"].times(self.judged / found.live)
        work = sum(part.seconds(gpu, whole) for part in parts.values())
        once = sum(part.fixed for part in found.parts.values()) / gpu.bandwidth
        return 60 * games / (launching + work + (self.decisions - 1) * once)


def at_once(game: Game, config: SearchConfig, gpu: Gpu) -> int:
    """Games that self-play searches at once, by memory as `veclab.training.selfplay.largest_chunk`."""
    return min(MOST, int(SHARE * gpu.memory) // (config.worlds * Tree.bytes_per_tree(game, config.simulations)))


def document_network(fused: bool = True) -> InferenceNet:
    """The document's network in bfloat16 on the emulated GPU, by its kernel or operation by operation."""
    torch.manual_seed(0)
    return InferenceNet(BlobNet().to("cuda"), torch.bfloat16, fused=fused)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.emulated_gpu.prediction", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--cards", type=int, nargs="+", default=[5, 13], help="dealt to a seat (default: 5 13)")
    parser.add_argument("--simulations", type=int, default=30, help="in each of 3 worlds (default: 30)")
    asked = parser.parse_args(arguments)
    config = SearchConfig(worlds=3, simulations=asked.simulations, noise_fraction=0.25)
    people = SearchConfig(worlds=30, simulations=asked.simulations)
    for cards in asked.cards:
        game = Blob(cards=cards)
        with emulated_gpu() as gpu:
            network = document_network()
            with by_tensors():
                before = decision(gpu, game, config, document_network(fused=False))
            after = decision(gpu, game, config, network)
            alone = decision(gpu, game, people, network)
            gpu.record.raise_errors()
        print_parts(cards, config, before, after)
        print_predictions(game, config, before, after, alone)
    return 0


def print_parts(cards: int, config: SearchConfig, before: Decision, after: Decision) -> None:
    """Launches and bytes of a decision by part."""
    print(f"\n{cards} cards, {config.worlds}x{config.simulations}\n")
    print("| part | launches, tensors | kernels | KB a game, tensors | kernels | KB once, kernels |")
    print("|---|---|---|---|---|---|")
    none = Part(0)
    rows = [(name, before.parts.get(name, none), part) for name, part in sorted(after.parts.items())]
    for name, old, new in [*rows, ("in all", total(before), total(after))]:
        cells = f"{old.launches:,}", f"{new.launches:,}", kilobytes(old.each), kilobytes(new.each), kilobytes(new.fixed)
        print(f"| {name} | {' | '.join(cells)} |")


def total(found: Decision) -> Part:
    """All parts of a search together."""
    return Part(found.launches, found.fixed, found.each, sum(part.products for part in found.parts.values()))


def kilobytes(count: float) -> str:
    return f"{count / 1e3:,.0f}"


def print_predictions(game: Game, config: SearchConfig, before: Decision, after: Decision, alone: Decision) -> None:
    """Games a minute, and the time of one decision for a person."""
    played = Played.of(game, config)
    searched = f"{played.searched:.1f} of a game searched, {played.judged:.1f} positions each"
    print(f"\n{played.decisions} decisions, {searched}\n")
    print("| | games at once | by tensors, the host | by tensors, graphs | kernels, graphs | one game at 30x30 |")
    print("|---|---|---|---|---|---|")
    for gpu in GPUS:
        games = at_once(game, config, gpu)
        ways = (before, False), (before, True), (after, True)
        cells = [f"{played.games_per_minute(found, gpu, games, graph):,.0f}" for found, graph in ways]
        person = f"{1e3 * alone.seconds(gpu, 1, graph=False):.0f} ms, {1e3 * alone.seconds(gpu, 1):.0f} ms in a graph"
        print(f"| {gpu.name} | {games:,} | {' | '.join(cells)} | {person} |")


if __name__ == "__main__":
    raise SystemExit(main())

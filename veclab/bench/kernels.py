"""How many operations a simulation takes: kernels of its compiled graphs against operations dispatched one by one.

    python -m veclab.bench.kernels [--cards 5 13] [--games 64] [--worlds 3] [--simulations 30]

Both ways carry all lanes along, as on a GPU, and leave the network's own operations out. Counted on this machine's CPU,
whose inductor fuses a little less than a GPU's; a compiled pair of graphs takes it minutes.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vecgame import Blob, lanes
from veclab.bench.parts import free_network
from veclab.progress import add_display_flags, display_of, print_table
from vecmcts import NetworkEvaluator, SearchConfig, compiled, search


@dataclass(frozen=True)
class Count:
    """What one simulation takes, the mean over those of a search."""

    cards: int
    dispatched: float  # operations, one by one; views, which run nothing, left out
    walk: int  # kernels of each compiled graph
    settle: int


class Operations(TorchDispatchMode):
    """Counts the operations that would run a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        allocates = func.overloadpacket in (torch.ops.aten.empty, torch.ops.aten.new_empty, torch.ops.aten.empty_like)
        self.count += not (func.is_view or allocates)
        return func(*args, **kwargs or {})


def dispatched(game: Blob, state: object, config: SearchConfig) -> int:
    """Operations of one search."""
    evaluator = NetworkEvaluator(free_network(game.seats))
    with Operations() as operations:
        search(game, state, evaluator, config)
    return operations.count


def count(cards: int, games: int, config: SearchConfig) -> Count:
    """Counts for one card count, from the first bid.

    Raises RuntimeError where nothing can be compiled.
    """
    from torch._inductor import metrics

    game = Blob(cards=cards)
    state = game.deal(games)
    kernels = {}
    make, kept = compiled._compiled, lanes.COMPACT["cpu"]

    def counting(function: compiled.Function, tensors: list[torch.Tensor]) -> compiled.Function | None:
        metrics.reset()
        graph = make(function, tensors)
        kernels[function.__name__] = metrics.generated_kernel_count
        return graph

    try:
        lanes.COMPACT["cpu"], compiled._compiled = False, counting
        one = dispatched(game, state, replace(config, simulations=1))
        every = dispatched(game, state, config)
        compiled.PAIRS.drop()
        with torch._inductor.config.patch(force_disable_caches=True):  # a graph from a cache generates no kernel
            search(game, state, free_network(game.seats), config, compile=True)
    finally:
        lanes.COMPACT["cpu"], compiled._compiled = kept, make
    if compiled._failed:
        raise RuntimeError("torch.compile does not work here, so there is nothing to count")
    # The first simulation is the same in both searches.
    simulations = max(config.simulations - 1, 1)
    return Count(cards, (every - one) / simulations, kernels["walk"], kernels["finish"])


@ends_in_one_line(needs_less="a smaller --games")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.kernels", description=__doc__)
    parser.add_argument("--cards", type=int, nargs="+", default=[5, 13])
    parser.add_argument("--games", type=int, default=64)
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--simulations", type=int, default=30)
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    config = SearchConfig(worlds=own.worlds, simulations=own.simulations)
    display, rows = display_of(own), []
    with display.task("kernels", len(own.cards), "card counts") as task:
        for cards in own.cards:
            result = count(cards, own.games, config)
            rows.append((str(cards), f"{result.dispatched:,.0f}", str(result.walk), str(result.settle)))
            display.news(f"{cards} cards: {rows[-1][1]} operations one by one, {rows[-1][2]} and {rows[-1][3]} kernels")
            task.update(len(rows))
    title = f"a simulation in {own.games} x {config.worlds} trees of {config.simulations}"
    print_table(display.console, title, ("cards", "operations one by one", "kernels: walk", "kernels: settle"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

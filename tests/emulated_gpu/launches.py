"""Kernels of one search, by phase of its work: what a GPU that is bound by launches takes its time for.

    python -m tests.emulated_gpu.launches --cards 5 --simulations 30 --games 4

Their number does not depend on the number of games, as long as the tables of the worlds fit (`vecgame.worlds`).
"""

from __future__ import annotations

import argparse
import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from importlib.util import find_spec
from unittest import mock

import torch

import vecmcts.simulation as simulation
from net import BlobNet, InferenceNet
from tests.emulated_gpu.gpu import EmulatedGpu
from tests.emulated_gpu.install import emulated_gpu
from vecgame import Blob
from vecmcts import SearchConfig, kernels, search

search_module = importlib.import_module("vecmcts.search")  # the package's attribute of that name is the function
TREES = [search_module, *kernels.owners(torch.device("cuda"))]  # by tensors, and by kernels where there is Triton
OF_GAMES = {"grow": [], "settle": [], "observe": []}  # kernels of a game's own
if find_spec("triton") is not None:
    from vecmcts.kernels.leaves import Growth, Observation, Settlement

    OF_GAMES = {
        "grow": [(Growth, "__call__")],
        "settle": [(Settlement, "__call__")],
        "observe": [(Observation, "__call__")],
    }
PLANTING = "roots"  # a phase of its own, in which only the network is told apart
PHASES = {  # of the innermost of these functions
    "descend": [(owner, "descend") for owner in TREES],
    "backup": [(owner, "back_up") for owner in TREES],
    "step, forced moves": [(Blob, "step"), (Blob, "play_forced"), (simulation, "grow"), *OF_GAMES["grow"]],
    "observe": [(Blob, "observe"), *OF_GAMES["observe"]],
    "worlds": [(Blob, "determinize")],
    "settle": [(simulation, "settle"), *OF_GAMES["settle"]],
    PLANTING: [(search_module, "plant")],
    "network": [(InferenceNet, "__call__")],
    "summarize": [(search_module, "summarize")],
}


@contextmanager
def phases(gpu: EmulatedGpu) -> Iterator[None]:
    """Has the emulated GPU count the kernels of searches of `Blob` by `PHASES` within the block."""
    with ExitStack() as patches:
        for phase, owners in PHASES.items():
            for owner, name in owners:
                counted = _counted(gpu, phase, getattr(owner, name))
                patches.enter_context(mock.patch.object(owner, name, counted))
        yield


def _counted(gpu: EmulatedGpu, phase: str, function: Callable[..., object]) -> Callable[..., object]:
    @wraps(function)
    def counted(*arguments: object, **options: object) -> object:
        if gpu.record.phase_now == PLANTING and phase != "network":
            return function(*arguments, **options)
        with gpu.record.phase(phase):
            return function(*arguments, **options)

    return counted


def launches(gpu: EmulatedGpu, work: Callable[[], object], calls: int = 1) -> Counter[str]:
    """Kernels that the host starts one by one in a call of ``work``, by phase, after ``calls`` of it that make what is
    made once: the tables that are kept for a device, and by the second one a graph."""
    for _ in range(calls):
        work()
    gpu.record.clear()
    with phases(gpu):
        work()
    return gpu.record.by_phase()


def search_launches(
    gpu: EmulatedGpu, cards: int, simulations: int, games: int, worlds: int = 3, replayed: bool = False
) -> Counter[str]:
    """Kernels of the search of the first decision of ``games`` games by the document's network in bfloat16, run as it
    is or replayed from a graph, whose kernels the host does not start."""
    game, config = Blob(cards=cards), SearchConfig(worlds=worlds, simulations=simulations, noise_fraction=0.25)
    torch.manual_seed(0)
    network = InferenceNet(BlobNet().to("cuda"), torch.bfloat16)
    state = game.deal(games, 0, "cuda")
    return launches(gpu, lambda: search(game, state, network, config, 3, graphs=replayed), calls=2 if replayed else 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulated_gpu.launches", description=__doc__.splitlines()[0])
    parser.add_argument("--cards", type=int, default=5, help="dealt to a seat (default: 5)")
    parser.add_argument("--simulations", type=int, default=30, help="in each world (default: 30)")
    parser.add_argument("--games", type=int, default=4, help="searched at once (default: 4)")
    parser.add_argument("--worlds", type=int, default=3, help="of a search (default: 3)")
    asked = parser.parse_args(arguments)
    with emulated_gpu() as gpu:
        search_of = partial(search_launches, gpu, asked.cards, asked.simulations, asked.games, asked.worlds)
        found = search_of()
        waits = gpu.record.waits.copy()
        replayed = search_of(replayed=True).total()
        gpu.record.raise_errors()
    print(f"{asked.cards} cards, {asked.worlds}x{asked.simulations}, {asked.games} games")
    for phase, count in found.most_common():
        print(f"  {phase:20}{count:8,}{count / asked.simulations:10,.1f} a simulation")
    print(f"  {'in all':20}{found.total():8,}")
    print(f"  replayed: {replayed:,} kernels that the host starts one by one, and a graph")
    for (where, what), times in waits.items():
        print(f"  waits for {what} at {where}: {times}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

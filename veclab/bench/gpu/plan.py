"""The parts that bring home every figure from ten minutes on a GPU, the most valuable first.

Everything here is read by the driver, which does not load PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

from veclab.bench.flags_of import REPEATED, WITH_NETWORK

Command = tuple[str, ...]

WORK = "veclab.bench.gpu.work"  # the module of the parts' functions, which the worker loads once
TOTAL = 540.0  # seconds of all parts, unless the command line gives others: a minute less than a machine is had for
START = 8.0  # seconds that loading PyTorch may take, once


@dataclass(frozen=True)
class Part:
    """What is run and stopped as one."""

    name: str
    work: str  # the name of a function in the module of work
    seconds: float  # when it is stopped by an interrupt, as of Ctrl+C
    commands: tuple[Command, ...] = ()  # what the function is given, on a GPU
    smoke: tuple[Command, ...] | None = ()  # the same on a CPU, as small as can be; None: it needs a GPU
    grace: float = 3.0  # seconds from the interrupt to the kill
    open_ended: bool = False  # goes on for as long as there is time; an interrupt is its end, and no fault
    fresh: bool = False  # in a worker of its own
    tests: bool = False  # tests, which provoke what elsewhere would be a fallback


ONE, SMALL = ("--repeats", "1"), ("--network", "small")
COLLECT = ("--collect-only", "-m")


def bench(name: str, seconds: float, *commands: str, smoke: str | None = None, gpu_only: bool = False) -> Part:
    """A part of command lines of `vecgame bench`; on a CPU the quick form of the first, with ``smoke`` added."""
    split = tuple(tuple(command.split()) for command in commands)
    quick = split[0] if smoke is None else tuple(smoke.split())
    what = quick[0]
    quick = (*quick, "--quick", *ONE * (what in REPEATED), *SMALL * (what in WITH_NETWORK))
    return Part(name, "benchmarks", seconds, split, None if gpu_only else (quick,))


def tests(name: str, seconds: float, selection: str, *places: str) -> Part:
    """A part of tests in some files or folders; without a GPU they are selected, and not run."""
    return Part(name, "tests", seconds, (("-m", selection, *places),), ((*COLLECT, selection, *places),), tests=True)


# Of learning and searching by graphs: what has gone wrong in silence elsewhere would be seen here.
OF_GRAPHS = "recorded_steps", "gpu_training", "search_graphs", "search_graphs_kept", "gpu_network"
GRAPHS = tuple(f"tests/test_{name}.py" for name in OF_GRAPHS)


TRAINING = "--games-per-iter 10000 --iterations 500 --updates 100 --eval-every 0 --eval-deals 500"
QUICK_TRAINING = "--preset quick --games-per-iter 20 --iterations 1 --updates 1 --update-games 32 --eval-deals 4"

PARTS = (
    Part("device", "facts", 15),
    tests("graph-tests", 50, "gpu and not slow", *GRAPHS),
    bench("self-play", 66, "self-play --batches 131072 16384 1024", smoke="self-play --batches 16 8"),
    bench("graphs", 25, "self-play --no-graphs --timing-only --batches 16384 1024", gpu_only=True),
    bench("network", 30, "net"),
    bench("search", 20, "search"),
    bench("learner", 22, "train", "train --no-graphs --batches 16384 2048"),
    bench("engine", 10, "engine"),
    bench("agreement", 20, "agreement --weights veclab/agents/blob-4-players.safetensors"),
    bench(  # one game's search; as `vecgame play` thinks it is a figure of a CPU
        "people",
        15,
        "people --weights veclab/agents/blob-4-players.safetensors",
        "people --weights veclab/agents/blob-4-players.safetensors --cards 13",
    ),
    tests("tests", 60, "gpu and not slow", "tests", *(f"--ignore={place}" for place in GRAPHS)),
    tests("slow-tests", 40, "gpu and slow", "tests"),
    bench("self-play-float8", 30, "self-play --timing-only --precision float8 --batches 131072 16384", gpu_only=True),
    bench("network-compiled", 20, "net --compile --batches 131072 32768", gpu_only=True),
    Part(
        "training",
        "training",
        45,
        (tuple(TRAINING.split()),),
        (tuple(QUICK_TRAINING.split()),),
        grace=20,
        open_ended=True,
        fresh=True,
    ),
)

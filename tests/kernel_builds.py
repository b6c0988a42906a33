"""The kernels of `vecmcts.kernels` built for GPUs that are not there: seconds of a core, registers, and what spills.

    python -m tests.kernel_builds [--capabilities 89 90] [--cards 5 13] [--float8]

prints a line of JSON for each kernel, as a search of Blob by a network would have it built (sm_89: RTX 4060; sm_90:
H200), with bytes of shared memory and its size, by Triton's operations and by NVIDIA's instructions. Needs the package
triton, which brings NVIDIA's assembler. It has Triton believe in a GPU, so it is for a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)  # with which nothing is built; read when triton is imported

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia import __file__ as nvidia
from triton.runtime.jit import JITFunction

from net import PRESETS, BlobNet, Float8Net, NetConfig
from net.fused import Fused, Shape, shape_for
from net.inference import folded_weights
from vecgame import Blob, Game
from vecmcts import kernels
from vecmcts.kernels import worlds
from vecmcts.kernels.leaves import _known
from vecmcts.tree import Tree

WARP = 32
CUOBJDUMP = Path(nvidia).parent / "bin" / "cuobjdump"
USAGE = re.compile(r"REG:(\d+) STACK:(\d+).* LOCAL:(\d+)")


def pretend(capability: int) -> None:
    """Makes Triton build for such a GPU."""
    target = GPUTarget("cuda", capability, WARP)
    triton.runtime.driver.set_active(
        SimpleNamespace(
            get_current_target=lambda: target,
            get_current_device=lambda: capability,
            get_current_stream=lambda device: 0,
        )
    )


def used(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread of the kernel, and bytes of it that do not fit into them."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    registers, *spilled = map(int, USAGE.search(said).groups())
    return registers, sum(spilled)


def busy() -> float:
    """Seconds that this process and those it has called, such as the assembler, have had a core."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def builds(game: Game, config: NetConfig, shape: Shape, float8: bool) -> Iterator[dict[str, object]]:
    """What becomes of each kernel of a search of the game by a network; the seconds of a kernel that is written from
    the game's functions are also those of writing it."""
    run, found, begun = JITFunction.run, [], [busy()]

    def built(kernel: JITFunction, *arguments: Any, warmup: bool, **options: Any) -> None:
        found.append((kernel.__name__, run(kernel, *arguments, warmup=True, **options), busy() - begun[-1]))
        begun.append(busy())

    JITFunction.run = built
    try:
        kernels.of_trees(game, Tree.allocate(game, game.deal(1), 1, torch.float32))
        build_worlds(game.deal(1).index)
        build_network(game, config, shape, float8)
    finally:
        JITFunction.run = run
    for name, kernel, seconds in found:
        registers, spilled = used(kernel.asm["cubin"])
        row = {"registers": registers, "spilled": spilled, "shared": kernel.metadata.shared}
        size = {"operations": operations(kernel.asm["ttir"]), "instructions": instructions(kernel.asm["ptx"])}
        yield {"kernel": name, "seconds": round(seconds, 2), **size, **row}


def operations(ttir: str) -> int:
    """Of a kernel in Triton's own language."""
    return sum(" = " in line and not line.startswith("#") for line in ttir.splitlines())


def instructions(ptx: str) -> int:
    """Of a kernel as NVIDIA's assembler gets it."""
    return sum(line.startswith("\t") and line.endswith(";") and line[1] != "." for line in ptx.splitlines())


def build_worlds(game: Tensor, count: int = 3) -> None:
    """Has the kernels built that draw ``count`` worlds of one game, [1] int64."""
    three, width = game.repeat(3, 1), triton.next_power_of_2(count)
    worlds.measure(game, three, three, game.repeat(2, 1))
    tables, hands = torch.zeros(1, worlds.CARD_NUMBERS * width, dtype=torch.float64), game.repeat(3, count, 1)
    worlds.deal(game, three, three, game, game, tables, hands, count, seed=0, width=width)


def build_network(game: Game, config: NetConfig, shape: Shape, float8: bool) -> None:
    """Has the kernels built that evaluate live positions by a network of such sizes."""
    net, observation = BlobNet(config), game.observe(game.deal(1))
    eighths = Float8Net(net, observation)._eighths() if float8 else ()
    kernel = Fused(config, folded_weights(net), [], torch.device("cpu"), shape, eighths)
    live = torch.ones(1, dtype=torch.bool)
    logits, values = torch.zeros(1, config.actions), torch.zeros(1, config.values)
    kernel(observation, None, live, logits, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capabilities", type=int, nargs="+", default=[89, 90])
    parser.add_argument("--cards", type=int, nargs="+", default=[5, 13])
    parser.add_argument("--network", choices=tuple(PRESETS), default="document")
    parser.add_argument("--float8", action="store_true", help="the network's products of 8-bit floats")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # or a kernel of an earlier call would be found
        os.environ["TRITON_CACHE_DIR"] = folder
        kernels.DEVICES.add("cpu")  # where the trees are
        for capability in given.capabilities:
            pretend(capability)
            kernels._built.clear()
            _known.clear()
            for cards in given.cards:
                shape = shape_for(divmod(capability, 10))
                for row in builds(Blob(cards=cards), PRESETS[given.network], shape, given.float8):
                    print(json.dumps({"capability": capability, "cards": cards, **row}))


if __name__ == "__main__":
    main()

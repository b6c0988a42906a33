"""What inductor makes of the compiled simulations for a GPU, without one: traced with tensors that have a device but no
data, lowered, and written out as the Triton kernels that an H200 would be given. Needs the package triton.

    python -m tests.generated_code [--cards 5] [--games 64] [--selection puct] [--folder FOLDER]

prints for each graph the kernels that it launches and the lines of each. Triton compiles a kernel in a time that grows
faster than its length (2,950 lines: 366 s for sm_90; 200 lines: seconds), so the longest one tells whether a first
search takes seconds or minutes. It changes torch beyond repair, so it is for a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from tests.emulated_gpu.guard import ensure

KERNEL = re.compile(r"async_compile\.triton\('(\w+)', '''\n(.*?)'''", re.S)
CAPABILITY = 90  # sm_90: Hopper
H200 = SimpleNamespace(
    name="NVIDIA H200",
    type="cuda",
    index=0,
    major=CAPABILITY // 10,
    minor=CAPABILITY % 10,
    total_memory=141 << 30,
    multi_processor_count=132,
    warp_size=32,
    regs_per_multiprocessor=65_536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    L2_cache_size=60 << 20,
    shared_memory_per_block=49_152,
    shared_memory_per_block_optin=232_448,
    gcnArchName="",
)


class Written(BaseException):
    """The code of a graph, once inductor has written it and before it would load it; no Exception, which would be taken
    for a failed compilation."""


@dataclass(frozen=True)
class Graph:
    """The code of one graph."""

    name: str  # walk or finish
    launches: int  # of Triton kernels
    kernels: dict[str, str]  # source by name

    @property
    def longest(self) -> int:
        """Lines of the longest kernel."""
        return max(source.count("\n") for source in self.kernels.values())

    @classmethod
    def of(cls, name: str, code: str) -> Graph:
        return cls(name, code.count(".run("), dict(KERNEL.findall(code)))


def pretend() -> None:
    """Makes torch believe in a GPU as far as writing code for it goes."""
    import torch._dynamo.device_interface as interfaces
    import torch._inductor.compile_fx
    import torch._inductor.config as config
    import torch._inductor.fx_passes.joint_graph as joint_graph
    import torch._inductor.graph as graphs
    import torch.utils._triton as has
    import triton
    from triton.backends.compiler import GPUTarget

    ensure()
    torch.cuda.get_device_properties = lambda *_, **__: H200
    torch.cuda.get_device_capability = lambda *_, **__: (H200.major, H200.minor)
    torch.cuda.is_bf16_supported = lambda *_, **__: True
    cuda = interfaces.CudaInterface
    answers = {
        "get_device_properties": H200,
        "get_compute_capability": CAPABILITY,
        "is_available": True,
        "current_device": 0,
        "is_triton_capable": True,
        "raise_if_triton_unavailable": None,
        "maybe_exchange_device": 0,
        "exchange_device": 0,
        "set_device": None,
        "synchronize": None,
        "is_bf16_supported": True,
    }
    for name, answer in answers.items():
        setattr(cuda, name, staticmethod(lambda *_, answer=answer, **__: answer))
    cuda.Worker.get_device_properties = staticmethod(lambda *_, **__: H200)
    has.has_triton = has.has_triton_package = lambda *_, **__: True
    config.force_disable_caches = True
    config.compile_threads = 1
    target = GPUTarget("cuda", CAPABILITY, H200.warp_size)
    triton.runtime.driver.set_active(
        SimpleNamespace(
            get_current_target=lambda: target,
            get_current_device=lambda: 0,
            get_active_torch_device=lambda: torch.device("cuda", 0),
        )
    )

    deduce = joint_graph.UniformValueConstantFolder._deduce_value

    def deduce_on_the_cpu(self: object, node: torch.fx.Node) -> object:
        """Constants are folded on the device, which is not there."""
        kept = node.kwargs
        if str(kept.get("device", "")).startswith("cuda"):
            node.kwargs = {**kept, "device": torch.device("cpu")}
        try:
            return deduce(self, node)
        finally:
            node.kwargs = kept

    def written(self: object, code: object) -> None:
        raise Written(code.value)

    joint_graph.UniformValueConstantFolder._deduce_value = deduce_on_the_cpu
    graphs.GraphLowering._compile_to_module_lines = written


def generate(cards: int, games: int, selection: str) -> list[Graph]:
    """The graphs of the first simulation of searches 3x30 of the first bid."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    import vecgame.dealing
    from vecgame import Blob
    from vecmcts import NetworkEvaluator, SearchConfig, compiled
    from vecmcts.search import _search

    pretend()
    vecgame.dealing.resolve_device = torch.device
    compile_for_real, graphs = compiled._compiled, []

    def note(function: compiled.Function, tensors: list[Tensor]) -> None:
        try:
            compile_for_real(function, tensors)
        except Written as code:
            graphs.append(Graph.of(function.__name__, str(code)))
        return None  # and on with the function itself

    def network(observation: Tensor, mask: None) -> tuple[Tensor, Tensor]:
        rows = len(observation)
        return observation.new_zeros(rows, game.num_actions), observation.new_zeros(rows, game.seats)

    network.needs_mask = False
    compiled._compiled = note
    game = Blob(cards=cards)
    noise = 0.0 if selection == "gumbel" else 0.25
    config = SearchConfig(worlds=3, simulations=30, noise_fraction=noise, root_selection=selection)
    run, ran = compiled.Simulator.run, []

    def once(self: compiled.Simulator, *arguments: object) -> None:
        """One simulation is enough."""
        if not ran:
            ran.append(run(self, *arguments))

    compiled.Simulator.run = once
    with FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True, allow_non_fake_inputs=True):
        state = game.deal(games, 0, "cuda")
        live = torch.ones(games, dtype=torch.bool, device="cuda")
        _search(game, state, state.repeat(config.worlds), live, NetworkEvaluator(network), config, 3, compile=True)
    if compiled._failed or len(graphs) != 2:
        raise RuntimeError(f"inductor wrote {len(graphs)} graphs, not 2")
    return graphs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=int, default=5)
    parser.add_argument("--games", type=int, default=64)
    parser.add_argument("--selection", default="puct")
    parser.add_argument("--folder", type=Path, help="also write the kernels' sources there")
    given = parser.parse_args()
    for graph in generate(given.cards, given.games, given.selection):
        lines = {name: source.count("\n") for name, source in graph.kernels.items()}
        if given.folder:
            given.folder.mkdir(parents=True, exist_ok=True)
            for name, source in graph.kernels.items():
                (given.folder / f"{graph.name}-{name}.py").write_text(source)
        print(json.dumps({"graph": graph.name, "launches": graph.launches, "longest": graph.longest, "lines": lines}))


if __name__ == "__main__":
    main()

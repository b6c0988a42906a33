"""What a search moves through a GPU's memory, counted on the emulated one and by hand.

The bounds are what was counted when docs/performance.md's tables were made (`python -m tests.emulated_gpu.prediction`);
a change that adds a pass over memory has to say why, one that saves one lowers them.
"""

import math

import pytest
import torch

from net import PRESETS, BlobNet, InferenceNet
from tests.emulated_gpu import EmulatedGpu
from tests.emulated_gpu.prediction import GPUS, HOST, NODE, Decision, Part, Played, decision, document_network
from tests.emulated_gpu.traffic import Moved, of_operation
from vecgame import Blob
from vecmcts import SearchConfig

aten = torch.ops.aten
FLOAT = 4


def moved(func: object, *args: object) -> Moved:
    return of_operation(func, args, {}, func(*args))


def test_operations_by_hand() -> None:
    a, lanes = torch.zeros(8, 3), torch.tensor([1, 5])
    assert moved(aten.add.Tensor, a, a[:1].expand(8, 3)).bytes == (24 + 3 + 24) * FLOAT
    assert moved(aten.index_select.default, a, 0, lanes).bytes == (6 + 6) * FLOAT + 16
    assert moved(aten.index_copy_.default, a, 0, lanes, torch.zeros(2, 3)).bytes == (6 + 6) * FLOAT + 16
    assert moved(aten.index_add_.default, a, 0, lanes, torch.zeros(2, 3)).bytes == (6 + 2 * 6) * FLOAT + 16
    assert moved(aten.copy_.default, a, torch.zeros(1, 3)).bytes == (3 + 24) * FLOAT
    assert moved(aten.add_.Tensor, a, torch.zeros(3)).bytes == (24 + 3 + 24) * FLOAT
    product = moved(aten.addmm.default, torch.zeros(5), a, torch.zeros(3, 5))
    assert product == Moved((5 + 24 + 15 + 40) * FLOAT, 8 * 3 * 5)


def test_a_prediction_by_hand() -> None:
    """A memory-bound part that is in a graph, and a product that the host starts."""
    gpu = GPUS[0]
    found = Decision({"descend": Part(30, fixed=0, each=4.8e6), "worlds": Part(10, products=395e6)})
    assert found.launching(graph=True) == pytest.approx(30 * NODE + 10 * HOST)
    assert found.launching(graph=False) == pytest.approx(40 * HOST)
    assert found.seconds(gpu, 7) == pytest.approx(30 * NODE + 10 * HOST + 7e-6 + 7 * 2e-6)
    a_minute = Played(decisions=20, searched=15.0).games_per_minute(found, gpu, 1000)
    few = Decision({"network": Part(1, products=395e6)}, live=90.0)
    half = Played(decisions=1, searched=1.0, judged=45.0).games_per_minute(few, gpu, 1000)
    assert half == pytest.approx(60 * 1000 / (NODE + 1000 * 1e-6))
    assert a_minute == pytest.approx(60 * 1000 / (20 * found.launching(graph=True) + 15_000 * 3e-6))


def test_random_play_counts_the_searches_of_a_game() -> None:
    """With one card the first three bid from two, the last from one or two, and nobody chooses a card."""
    played = Played.of(Blob(cards=1), SearchConfig(worlds=2, simulations=3))
    assert played.decisions == 4 and 3 < played.searched <= 4
    # Two worlds have one root; of their three leaves each those are judged that are not the end.
    assert 1 < played.judged < 1 + 2 * 3


SIMULATIONS = 3
MOST = {  # bytes a game of a search of 3 worlds x 3 simulations at 5 cards, at most, by part
    "descend": 1_224,
    "step, forced moves": 1_962,
    "observe": 10_080,
    "settle": 3_564,
    "backup": 792,
    "worlds": 2_400,
    "roots": 215_137,
    "summarize": 6_416,
    "other": 2_198,
}


@pytest.mark.gpu
def test_a_search_moves_no_more_bytes(gpu: EmulatedGpu | None) -> None:
    pytest.importorskip("triton", reason="parts of a search on a GPU are Triton's kernels")
    if gpu is None:
        pytest.skip("bytes are counted on the emulated GPU")
    torch.manual_seed(0)
    network = InferenceNet(BlobNet(PRESETS["small"]).to("cuda"), torch.bfloat16)
    config = SearchConfig(worlds=3, simulations=SIMULATIONS, noise_fraction=0.25)
    parts = decision(gpu, Blob(cards=5), config, network).parts
    each = {name: part.each for name, part in parts.items() if name != "network"}
    assert {name: bytes for name, bytes in each.items() if bytes > MOST[name]} == {}
    assert all(each[name] > 0.8 * most for name, most in MOST.items())  # or the bounds are to be lowered
    assert sum(part.fixed for name, part in parts.items() if name != "network") < 8_000


def row_and_call(gpu: EmulatedGpu, network: InferenceNet) -> tuple[float, float, float]:
    """What a row takes of bytes and products, and bytes of a call beside its rows."""
    found = []
    network(torch.zeros(2, network.config.observation, device="cuda"))  # compares the kernel with the operations
    gpu.record.weighing = True
    for rows in (2, 4):
        observation = torch.zeros(rows, network.config.observation, device="cuda")
        gpu.record.clear()
        network(observation)
        found.append((gpu.record.bytes.total(), gpu.record.products.total()))
    row, products = ((after - before) / 2 for before, after in zip(*found, strict=True))
    return row, products, found[0][0] - 2 * row


@pytest.mark.gpu
def test_the_network_moves_no_more_bytes(gpu: EmulatedGpu | None) -> None:
    """The document's network in bfloat16, operation by operation: of a row what its layers read and write, and its
    weights once a call."""
    if gpu is None:
        pytest.skip("bytes are counted on the emulated GPU")
    network = document_network(fused=False)
    row, products, call = row_and_call(gpu, network)
    weights = sum(block.weight.numel() + block.bias.numel() for block in network._blocks) * 2
    assert products == pytest.approx(3.7e6, rel=0.02)
    assert 66_000 < row <= 67_600
    assert call == pytest.approx(weights, rel=0.01) and math.isclose(weights, 7.5e6, rel_tol=0.05)


@pytest.mark.gpu
def test_by_its_kernel_only_features_and_answers_leave_the_chip(gpu: EmulatedGpu | None) -> None:
    pytest.importorskip("triton", reason="the kernel is Triton's")
    if gpu is None:
        pytest.skip("bytes are counted on the emulated GPU")
    network = document_network()
    row, products, call = row_and_call(gpu, network)
    assert row == FLOAT * (network.config.observation + network.config.actions + network.config.values)
    assert products == pytest.approx(3.7e6, rel=0.03)  # some are with zeros
    assert call == pytest.approx(7.5e6, rel=0.05)


@pytest.mark.gpu
def test_rows_that_are_not_live_are_not_counted(gpu: EmulatedGpu | None) -> None:
    pytest.importorskip("triton", reason="the kernel is Triton's")
    if gpu is None:
        pytest.skip("bytes are counted on the emulated GPU")
    network, found = document_network(), []
    observation = torch.zeros(8, network.config.observation, device="cuda")
    network(observation)
    gpu.record.weighing = True
    for count in (2, 6):
        live = torch.arange(8, device="cuda") < count
        gpu.record.clear()
        network(observation, None, None, live)
        found.append(gpu.record.products.total())
    assert 3 * found[0] == found[1] > 0

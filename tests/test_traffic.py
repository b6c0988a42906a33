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
    assert a_minute == pytest.approx(60 * 1000 / (20 * found.launching(graph=True) + 15_000 * 3e-6))


def test_random_play_counts_the_searches_of_a_game() -> None:
    """With one card the first three bid from two, the last from one or two, and nobody chooses a card."""
    played = Played.of(Blob(cards=1))
    assert played.decisions == 4 and 3 < played.searched <= 4


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


@pytest.mark.gpu
def test_the_network_moves_no_more_bytes(gpu: EmulatedGpu | None) -> None:
    """The document's network in bfloat16: of a row what its layers read and write, and its weights once a call."""
    if gpu is None:
        pytest.skip("bytes are counted on the emulated GPU")
    network, game = document_network(), Blob(cards=5)
    gpu.record.weighing, found = True, []
    for rows in (2, 4):
        observation = torch.zeros(rows, game.features, device="cuda")
        gpu.record.clear()
        network(observation, None)
        found.append((gpu.record.bytes.total(), gpu.record.products.total()))
    row, products = ((after - before) / 2 for before, after in zip(*found, strict=True))
    weights = sum(block.weight.numel() + block.bias.numel() for block in network._blocks) * 2
    assert products == pytest.approx(3.7e6, rel=0.02)
    assert 66_000 < row <= 67_600
    assert found[0][0] - 2 * row == pytest.approx(weights, rel=0.01) and math.isclose(weights, 7.5e6, rel_tol=0.05)

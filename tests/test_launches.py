"""How many kernels a search takes, and a step of learning: a GPU that has little to do waits for them to be started.

The bounds are what they were when docs/performance.md's tables were made (`python -m tests.emulated_gpu.launches`, and
`learning` there); a change that needs more has to say why, one that needs fewer lowers them.
"""

import pytest

from tests.emulated_gpu import EmulatedGpu, learning
from tests.emulated_gpu.launches import search_launches

pytest.importorskip("triton", reason="parts of a search on a GPU are Triton's kernels")

SIMULATIONS = 6
OPERATIONS = {  # of a search of 3 worlds x 6 simulations, at most, by phase
    5: {"worlds": 47, "network": 31},
    13: {"worlds": 47, "network": 31},
}
KERNELS = ("descend", "step, forced moves", "observe", "settle", "backup")  # that are one launch a simulation


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize("cards", OPERATIONS)
def test_a_search_takes_no_more_kernels(cards: int, gpu: EmulatedGpu | None) -> None:
    if gpu is None:
        pytest.skip("kernels are counted on the emulated GPU")
    found = search_launches(gpu, cards, SIMULATIONS, games=2)
    assert {phase: found[phase] for phase in OPERATIONS[cards] if found[phase] > OPERATIONS[cards][phase]} == {}
    assert {phase: found[phase] for phase in KERNELS} == dict.fromkeys(KERNELS, SIMULATIONS)
    assert found.total() <= sum(OPERATIONS[cards].values()) + 900  # roots, sums
    waits = list(gpu.record.waits.items())
    assert len(waits) == 1 and waits[0][1] == 1 and waits[0][0][0].startswith("vecmcts/kernels/worlds.py")


@pytest.mark.slow
@pytest.mark.gpu
def test_a_decision_takes_no_more_than_1300_kernels(gpu: EmulatedGpu | None) -> None:
    """At 5 cards, 3 worlds x 30 simulations, the network included."""
    if gpu is None:
        pytest.skip("kernels are counted on the emulated GPU")
    assert search_launches(gpu, 5, 30, games=2).total() <= 1300


@pytest.mark.slow
@pytest.mark.gpu
def test_a_replayed_search_takes_those_of_its_worlds_and_one_graph(gpu: EmulatedGpu | None) -> None:
    if gpu is None:
        pytest.skip("kernels are counted on the emulated GPU")
    found = search_launches(gpu, 5, SIMULATIONS, games=2, replayed=True)
    assert found.total() <= OPERATIONS[5]["worlds"] + 60  # to copy the games to their places, and the result
    assert gpu.record.replays == 1 and sum(gpu.record.waits.values()) == 1


@pytest.mark.parametrize(
    ("network", "of_search", "of_update"),
    [("small", 286, 327), pytest.param("document", 436, 477, marks=pytest.mark.slow)],
)
@pytest.mark.gpu
def test_a_step_of_learning_takes_no_more_kernels(
    network: str, of_search: int, of_update: int, gpu: EmulatedGpu | None
) -> None:
    """Recorded, the host starts the copy of the index and a graph."""
    if gpu is None:
        pytest.skip("kernels are counted on the emulated GPU")
    for count, most in ((learning.of_search, of_search), (learning.of_update, of_update)):
        assert count(gpu, network, graphs=False) <= most
        assert count(gpu, network, graphs=True) == 1


@pytest.mark.slow
@pytest.mark.gpu
def test_a_decision_of_policy_gradients_games_takes_no_more_kernels(gpu: EmulatedGpu | None) -> None:
    if gpu is None:
        pytest.skip("kernels are counted on the emulated GPU")
    assert learning.of_decision(gpu, "document", graphs=False) <= (518, 3)
    assert learning.of_decision(gpu, "document", graphs=True) <= (29, 3)

"""Searches replayed from recorded CUDA graphs against the same ones run as they are, on a GPU or an emulated one."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from net import PRESETS, BlobNet, Float8Net, InferenceNet
from tests.emulated_gpu import EmulatedGpu, gpu_way
from tests.recorded_searches import CONFIG, compare, games_of, network, to_cpu, ways_of
from tests.test_search_lanes import FIELDS, assert_same
from vecgame import Blob, BlobMatch, make_game
from vecgame.contract import mixed_positions
from veclab.training.selfplay import self_play
from vecmcts import NetworkEvaluator, Past, SearchResult, graphs, kernels, search
from vecmcts.search import WAYS


@pytest.mark.gpu
@pytest.mark.parametrize("leaves", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_graph_searches_other_games(leaves: int) -> None:
    """The first search of its kind runs as it is, the second is recorded; 17 to 20 games are of one size."""
    game, net = Blob(cards=2), network()
    config = replace(CONFIG, leaves_per_step=leaves)
    steps = (18, False, 0), (17, True, 1), (5, False, 1), (20, True, 1), (5, True, 2)
    for games, graph, recorded in steps:
        state, before = games_of(game, games, seed=games), WAYS.copy()
        ours = search(game, state, net, config, seed=2)
        assert WAYS - before == {gpu_way(graph): 1}
        compare(ours, search(game, state, net, config, seed=2, graphs=False))
        assert len(graphs.GRAPHS.kept) == recorded and not graphs.GRAPHS.failed


@pytest.mark.gpu
def test_without_triton_a_graph_has_the_functions_of_tensors(monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "vecmcts.kernels.tree", raising=False)
    monkeypatch.delattr(kernels, "tree", raising=False)
    monkeypatch.setattr(kernels, "_failed", set())
    game, net = Blob(cards=2), network()
    with caplog.at_level(logging.WARNING, "vecgame.fallback"):
        for graph in (False, True):
            state, before = games_of(game, 5), WAYS.copy()
            ours = search(game, state, net, CONFIG, seed=2)
            assert WAYS - before == {"graph" if graph else "eager": 1}
            compare(ours, search(game, state, net, CONFIG, seed=2, graphs=False))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "searches on cuda go on without kernels"
    ]


SEARCHES = {
    "gumbel": (Blob(cards=3), replace(CONFIG, root_selection="gumbel", noise_fraction=0.0)),
    "shared": (Blob(cards=3), replace(CONFIG, root_selection="shared")),
    "merged": (Blob(cards=5), replace(CONFIG, merge_equivalent=True)),
    "three players": (Blob(cards=2, players=3), CONFIG),
    "five players, turned trump": (Blob(cards=2, players=5, trump="turned"), CONFIG),
    "a match": (BlobMatch(cards=2), replace(CONFIG, simulations=2)),
    "hearts, passing": (make_game("hearts", passing="left"), replace(CONFIG, simulations=2)),
    "euchre": (make_game("euchre"), replace(CONFIG, simulations=2)),
    "spades": (make_game("spades"), replace(CONFIG, simulations=2)),
    "whist": (make_game("whist"), replace(CONFIG, simulations=2)),
}


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("gumbel", "shared", "three players") else pytest.mark.slow)
        for name in SEARCHES
    ],
)
def test_every_search_and_game_is_recorded(name: str) -> None:
    """Recorded on some positions and replayed on others, against a CPU's searches."""
    game, config = SEARCHES[name]
    net = network(game=game)
    here = InferenceNet(cpu_source(net), torch.float64, "cpu")
    positions = mixed_positions(game, 24)
    for first in (0, 1, 2, 3):
        state = positions.take(torch.arange(first, 24, 4))
        ours = search(game, state.to("cuda"), net, config, seed=7)
        compare(ours, search(game, state, here, config, seed=7))
    assert len(graphs.GRAPHS.kept) == 1 and not graphs.GRAPHS.failed


def cpu_source(net: InferenceNet) -> BlobNet:
    """The network on a CPU that `network` has made with seed 0."""
    torch.manual_seed(0)
    return BlobNet(net.config)


@pytest.mark.slow
@pytest.mark.gpu
def test_a_critic_and_worlds_by_likelihood_are_recorded() -> None:
    game = Blob(cards=3)
    net = network(critic=3 * 52)
    config = replace(CONFIG, candidates=4)
    for seed in (1, 2, 3):
        state, past = game.deal(6, seed, "cuda"), Past.none(game, 6, "cuda")
        for _ in range(3):
            action = game.legal_actions(state)[:, 0]
            past, state = past.then(state, action), game.step(state, action)
        ours = search(game, state, net, config, seed=3, past=past)
        compare(ours, search(game, state, net, config, seed=3, past=past, graphs=False))
    assert len(graphs.GRAPHS.kept) == 1


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize("arithmetic", ["bfloat16", "float8"])
def test_networks_in_low_precision_are_recorded(arithmetic: str) -> None:
    game = Blob(cards=3)
    torch.manual_seed(0)
    source = BlobNet(PRESETS["small"]).to("cuda")
    states = [games_of(game, 6, seed) for seed in (1, 2, 3)]
    net = InferenceNet(source, torch.bfloat16)
    if arithmetic == "float8":
        net = Float8Net(source, game.observe(states[0]))
    for state in states:
        ours = search(game, state, net, CONFIG, seed=2)
        compare(ours, search(game, state, net, CONFIG, seed=2, graphs=False), atol=1e-3)
    assert len(graphs.GRAPHS.kept) == 1


@pytest.mark.gpu(emulated=False, reason="compiles kernels with Triton")
@pytest.mark.slow
def test_a_compiled_network_is_recorded() -> None:
    game, net = Blob(cards=3), network(dtype=torch.float32, compile=True)
    for seed in (1, 2, 3):
        state = games_of(game, 6, seed)
        ours = search(game, state, net, CONFIG, seed=2)
        compare(ours, search(game, state, net, CONFIG, seed=2, graphs=False), atol=1e-4)
    assert len(graphs.GRAPHS.kept) == 1 and net._compiled is not None


@pytest.mark.gpu
def test_a_result_outlives_the_next_search() -> None:
    game, net = Blob(cards=2), network()
    search(game, games_of(game, 8, seed=3), net, CONFIG)
    first = search(game, games_of(game, 8, seed=1), net, CONFIG)
    kept = to_cpu(first)
    search(game, games_of(game, 8, seed=2), net, CONFIG)
    assert len(graphs.GRAPHS.kept) == 1
    assert_same(to_cpu(first), kept, atol=0.0)


class Tempered(NetworkEvaluator):
    """Priors of a temperature, which no graph would know of."""

    def __init__(self, network: InferenceNet, temperature: float) -> None:
        super().__init__(network)
        self.temperature = temperature

    def evaluate(self, *position: object) -> tuple[torch.Tensor, torch.Tensor]:
        logits, values = super().evaluate(*position)
        return logits / self.temperature, values


@pytest.mark.gpu
def test_an_evaluator_of_ones_own_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    game, net = Blob(cards=2), network()
    state = games_of(game, 4)
    cold, warm = Tempered(net, 0.01), Tempered(net, 100.0)
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        results = [search(game, state, evaluator, CONFIG) for evaluator in (cold, cold, warm, warm)]
    assert not torch.allclose(results[1].prior.cpu(), results[3].prior.cpu(), atol=0.1)
    assert len(graphs.GRAPHS.kept) == 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("searches by Tempered go on without graphs")
    other = NetworkEvaluator(net).observing(lambda game, state: 0 * game.observe(state))
    blind = [search(game, state, other, CONFIG) for _ in range(2)]
    assert torch.equal(blind[0].prior.cpu(), blind[1].prior.cpu()) and len(graphs.GRAPHS.kept) == 0


@pytest.mark.gpu
def test_a_search_that_was_recorded_in_inference_mode_goes_on_outside_of_it() -> None:
    game, net = Blob(cards=2), network()
    state = games_of(game, 4)
    with torch.inference_mode():
        for _ in range(2):
            search(game, state, net, CONFIG)
    assert ways_of(lambda: search(game, state, net, CONFIG)) == {gpu_way(graph=True): 1}


def test_the_places_of_inputs_can_be_written_to_outside_of_inference_mode() -> None:
    class Still:
        """A recorder of nothing."""

        def run(self, work: Callable[[], None]) -> None: ...

        def record(self, work: Callable[[], None]) -> None: ...

    with torch.inference_mode():
        recorded = graphs.Recorded.of(Still(), lambda x: x, (torch.ones(2),))
    assert not recorded.inputs[0].is_inference()


@pytest.mark.slow
@pytest.mark.gpu
def test_only_networks_that_say_so_are_recorded() -> None:
    game, net = Blob(cards=2), network()
    state = games_of(game, 4)

    def plain(observation, mask):
        return net(observation, mask)

    for evaluator in (plain, NetworkEvaluator(plain)):
        assert ways_of(lambda e=evaluator: [search(game, state, e, CONFIG) for _ in range(3)]) == {gpu_way(): 3}
    assert ways_of(lambda: [search(game, state, net, CONFIG, graphs=False) for _ in range(3)]) == {gpu_way(): 3}
    assert len(graphs.GRAPHS.kept) == 0


def test_a_cpu_records_nothing() -> None:
    game = Blob(cards=2)
    net = InferenceNet(BlobNet(PRESETS["small"]))
    assert net.capturable
    assert ways_of(lambda: [search(game, game.deal(4), net, CONFIG) for _ in range(3)]) == {"eager": 3}


@pytest.fixture
def played() -> Iterator[Callable[..., object]]:
    """Self-play of 12 games at a time on the GPU."""
    game = Blob(cards=1)
    net = network(game=game)

    def play(**options: object) -> object:
        return self_play(game, net, CONFIG, 12, seed=3, device="cuda", **options)

    yield play


@pytest.mark.slow
@pytest.mark.gpu
def test_self_play_replays_and_makes_the_same_games(played) -> None:
    before, found = WAYS.copy(), [played() for _ in range(2)]
    assert set(WAYS - before) == {gpu_way(False), gpu_way(True)}
    without = played(graphs=False)
    for ours in found:
        assert torch.equal(ours.scores.cpu(), without.scores.cpu()) and ours.evaluations == without.evaluations
        assert torch.equal(ours.examples.policy.cpu(), without.examples.policy.cpu())
    assert len(graphs.GRAPHS.kept) <= 2  # the bids of all games, and the plays of a half or more of them


@pytest.mark.gpu
@pytest.mark.slow
def test_graphs_make_room_when_memory_runs_out(played, gpu: EmulatedGpu | None, caplog) -> None:
    """An allocation that fails in mid-game cuts the chunk in two, and the graphs let go of their memory."""
    if gpu is None:
        pytest.skip("needs a memory that runs out when it shall")
    whole = played()
    played()
    assert len(graphs.GRAPHS.kept)
    gpu.memory.fail_at = 300
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        cut = played()
    assert [record.getMessage() for record in caplog.records] == [
        "out of GPU memory with 12 games at a time: going on with 6"
    ]
    assert torch.equal(cut.scores.cpu(), whole.scores.cpu())


def test_results_have_the_fields_that_are_compared() -> None:
    assert {*FIELDS, "evaluations"} == set(SearchResult.__dataclass_fields__)

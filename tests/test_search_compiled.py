"""Compiled simulations against the same functions uncompiled: the same trees, visit for visit."""

import logging
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from net import PRESETS, BlobNet, InferenceNet
from tests.positions import HashEvaluator, linear_network, mixed_batch
from tests.test_search_lanes import assert_same
from tests.test_search_sync import NoWaiting, positions
from vecgame import Blob, BlobMatch, Game, lanes, make_game
from vecgame.contract import mixed_positions
from vecmcts import NetworkEvaluator, SearchConfig, SearchResult, compiled, graphs, search
from vecmcts.search import WAYS, _search

MINUTES = pytest.mark.skipif(
    not os.environ.get("VECGAME_COMPILE"), reason="minutes of compiling: set VECGAME_COMPILE=1"
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    """The way of a GPU on a CPU, with no graph made yet."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    monkeypatch.setattr(compiled, "PAIRS", compiled.no_pairs())
    monkeypatch.setattr(compiled, "_failed", set())


def masked(network):
    """A network that is given legal masks, and adds them to its logits so that they count."""

    def with_mask(observation, mask):
        logits, values = network(observation, mask)
        return logits + 2.0 * mask, values

    return NetworkEvaluator(with_mask)


def unmasked(values: int) -> NetworkEvaluator:
    """A network that needs no legal masks."""
    evaluator = NetworkEvaluator(linear_network(values))
    evaluator.needs_mask = False
    return evaluator


def both(game: Blob, state, evaluator, config: SearchConfig) -> tuple[SearchResult, SearchResult]:
    """A search compiled, and uncompiled."""
    ours = search(game, state, evaluator, config, seed=2, compile=True)
    assert len(compiled.PAIRS) and not compiled._failed
    return ours, search(game, state, evaluator, config, seed=2, graphs=False)


def compare(game: Blob, state, evaluator, config: SearchConfig) -> None:
    ours, theirs = both(game, state, evaluator, config)
    assert_same(ours, theirs, atol=1e-12)
    assert ours.evaluations == theirs.evaluations


@pytest.mark.slow
def test_a_small_search_is_the_same_in_every_lane() -> None:
    """Bids and plays, finished games, a batch that is filled up: 27 games filled up to 28."""
    game = Blob(cards=2)
    config = SearchConfig(worlds=1, simulations=3, noise_fraction=0.25)
    evaluator, state = unmasked(4), positions(game)
    compare(game, state, evaluator, config)
    graphs = compiled.PAIRS.values()
    for count in (27, 28):  # one size: nothing is compiled anew, nothing waits
        state = positions(game, count)
        with NoWaiting():
            ours = search(game, state, evaluator, config, seed=2, compile=True)
        assert_same(ours, search(game, state, evaluator, config, seed=2), atol=1e-12)
    assert compiled.PAIRS.values() == graphs


GAMES = {
    "three players": Blob(cards=2, players=3),
    "five players, turned trump": Blob(cards=2, players=5, trump="turned"),
    "a match": BlobMatch(cards=2),
    "hearts, passing": make_game("hearts", passing="left"),
    "euchre": make_game("euchre"),
    "spades": make_game("spades"),
    "whist": make_game("whist"),
}


@pytest.mark.parametrize(
    "game",
    [pytest.param(game, id=name, marks=[] if type(game) is Blob else pytest.mark.slow) for name, game in GAMES.items()],
)
def test_every_game_is_traced_into_the_same_search(game: Game, monkeypatch) -> None:
    """The traced graphs themselves, which inductor would compile: their shapes depend on no data."""
    traced = []
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, tensors: traced.append(graph) or graph)
    network = linear_network(game.seats, features=game.features, actions=game.num_actions)
    config = SearchConfig(worlds=1, simulations=3, noise_fraction=0.25)
    ours, theirs = both(game, mixed_positions(game, 20), NetworkEvaluator(network), config)
    assert_same(ours, theirs, atol=1e-12)
    assert len(traced) == 2


@pytest.mark.slow
@MINUTES
@pytest.mark.parametrize("leaves", [1, 3])
@pytest.mark.parametrize("cards", [1, 5])
def test_searches_are_the_same(cards: int, leaves: int) -> None:
    game = Blob(cards=cards)
    config = SearchConfig(worlds=2, simulations=12, noise_fraction=0.25, leaves_per_step=leaves)
    compare(game, mixed_batch(game, 41, seed=3), masked(linear_network(4)), config)


@pytest.mark.slow
@MINUTES
def test_a_scalar_network_is_asked_for_every_seat() -> None:
    game = Blob(cards=2)
    compare(game, mixed_batch(game, 12, seed=4), unmasked(1), SearchConfig(worlds=1, simulations=4))


@pytest.mark.slow
@MINUTES
def test_full_hands() -> None:
    game = Blob(cards=13)
    compare(game, mixed_batch(game, 16, seed=5), unmasked(4), SearchConfig(worlds=1, simulations=10))


def test_without_a_compiler_the_search_goes_on(monkeypatch, caplog) -> None:
    def fail(*arguments):
        raise RuntimeError("no C++ compiler\nand a long explanation")

    monkeypatch.setattr(torch._inductor, "compile", fail)
    game = Blob(cards=2)
    state, evaluator = mixed_batch(game, 10, seed=6), unmasked(4)
    config = SearchConfig(worlds=1, simulations=4)
    with caplog.at_level(logging.WARNING):
        results = [search(game, state, evaluator, config, seed=2, compile=True) for _ in range(2)]
    assert [record.getMessage() for record in caplog.records] == ["searches on cpu go on uncompiled: no C++ compiler"]
    for result in results:
        assert_same(result, search(game, state, evaluator, config, seed=2), atol=1e-12)


def test_other_evaluators_and_a_cpu_that_leaves_lanes_out_are_not_compiled(monkeypatch) -> None:
    game = Blob(cards=2)
    state = mixed_batch(game, 6, seed=7)
    config = SearchConfig(worlds=1, simulations=3)
    search(game, state, HashEvaluator(), config, compile=True)
    search(game, state[:0], linear_network(4), config, compile=True)
    monkeypatch.setitem(lanes.COMPACT, "cpu", True)
    search(game, state, linear_network(4), config, compile=True)
    assert not len(compiled.PAIRS)


@pytest.mark.gpu(emulated=False, reason="compiles kernels with Triton")
@pytest.mark.slow
@pytest.mark.parametrize("leaves", [1, 3])
def test_a_gpu_compiles_the_same_search(leaves: int) -> None:
    """Compiled at the first call, recorded with its compiled simulations at the second, and neither in vain."""
    game = Blob(cards=5)
    torch.manual_seed(0)
    network = InferenceNet(BlobNet(PRESETS["small"]).to("cuda"), torch.float64)
    config = SearchConfig(worlds=2, simulations=12, leaves_per_step=leaves)
    before = WAYS.copy()
    for seed in (3, 4, 5):
        state = mixed_batch(game, 41, seed=seed).to("cuda")
        ours, theirs = both(game, state, network, config)
        assert_same(ours.map(Tensor.cpu), theirs.map(Tensor.cpu), atol=1e-9)
    ways = WAYS - before
    assert ways["compiled"] == 1 and ways["compiled graph"] == 2 and not graphs.GRAPHS.failed
    drawn, evaluator = game.determinize(state, config.worlds, 2), NetworkEvaluator(network)
    live = torch.ones(41, dtype=torch.bool, device="cuda")
    for mode in ("default", "error"):
        torch.cuda.set_sync_debug_mode(mode)
        try:
            _search(game, state, drawn, live, evaluator, config, 2, compile=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")


CACHED = """
import torch
from torch._dynamo.utils import counters
from vecmcts import compiled

def add(a, b):
    a += b.softmax(-1)
    return [(2 * a).sum(-1)]

graph = compiled._compiled(add, [torch.zeros(8, 5), torch.zeros(8, 5)])
a, b = torch.rand(8, 5), torch.rand(8, 5)
expected = add(a.clone(), b)[0]
assert graph(a, b)[0].allclose(expected)
print(sum(count for table in counters.values() for name, count in table.items() if name.endswith("cache_hit")))
"""


@pytest.mark.slow
def test_what_was_compiled_is_found_on_disk_by_the_next_process(tmp_path) -> None:
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CACHED]
    hits = [
        int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    assert hits[0] == 0 and hits[1] > 0


def test_the_least_recently_used_pairs_go_when_memory_is_short(monkeypatch) -> None:
    """Of 4, 8 and 16 games; the 8 have waited longest."""
    monkeypatch.setattr(compiled, "_compiled", lambda function, tensors: None)
    game, evaluator = Blob(cards=1), unmasked(4)
    config = SearchConfig(worlds=1, simulations=2)
    room = iter([3 * compiled.PAIR_BYTES, 3 * compiled.PAIR_BYTES, 2 * compiled.PAIR_BYTES])
    monkeypatch.setattr(compiled.PAIRS, "_most", lambda: next(room))
    for games in (4, 8, 4, 16):
        search(game, mixed_batch(game, games, seed=1), evaluator, config, compile=True)
    assert [key[1] for key in compiled.PAIRS] == [4, 16]

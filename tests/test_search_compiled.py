"""Compiled simulations against the same functions uncompiled: the same trees, visit for visit."""

import logging
import os

import pytest
import torch

from tests.positions import HashEvaluator, linear_network, mixed_batch
from tests.test_search_lanes import assert_same
from tests.test_search_sync import NoWaiting, positions
from vecgame import Blob, BlobMatch, Game, lanes, make_game
from vecgame.contract import mixed_positions
from vecmcts import NetworkEvaluator, SearchConfig, SearchResult, compiled, search

MINUTES = pytest.mark.skipif(
    not os.environ.get("VECGAME_COMPILE"), reason="minutes of compiling: set VECGAME_COMPILE=1"
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    """The way of a GPU on a CPU, with no graph made yet."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    monkeypatch.setattr(compiled, "_kept", {})
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
    assert compiled._kept and not compiled._failed
    return ours, search(game, state, evaluator, config, seed=2)


def compare(game: Blob, state, evaluator, config: SearchConfig) -> None:
    ours, theirs = both(game, state, evaluator, config)
    assert_same(ours, theirs, atol=1e-12)
    assert ours.evaluations == theirs.evaluations


def test_buckets() -> None:
    assert [compiled.bucket(n) for n in (1, 7, 16, 17, 33, 1000, 1024, 1025)] == [1, 7, 16, 18, 36, 1024, 1024, 1152]
    assert all(n <= compiled.bucket(n) <= max(n * 9 / 8, n) for n in range(1, 3000))
    assert len({compiled.bucket(n) for n in range(1025, 2049)}) == compiled.STEPS


@pytest.mark.slow
def test_a_small_search_is_the_same_in_every_lane() -> None:
    """Bids and plays, finished games, a batch that is filled up: 27 games in a bucket of 28."""
    game = Blob(cards=2)
    config = SearchConfig(worlds=1, simulations=3, noise_fraction=0.25)
    evaluator, state = unmasked(4), positions(game)
    compare(game, state, evaluator, config)
    graphs = list(compiled._kept.values())
    for count in (27, 28):  # one bucket: nothing is compiled anew, nothing waits
        state = positions(game, count)
        with NoWaiting():
            ours = search(game, state, evaluator, config, seed=2, compile=True)
        assert_same(ours, search(game, state, evaluator, config, seed=2), atol=1e-12)
    assert list(compiled._kept.values()) == graphs


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
    [
        pytest.param(game, id=name, marks=[] if isinstance(game, Blob) or name == "euchre" else pytest.mark.slow)
        for name, game in GAMES.items()
    ],
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
    assert not compiled._kept


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("leaves", [1, 3])
def test_a_gpu_compiles_the_same_search(leaves: int) -> None:
    game = Blob(cards=5)
    state = mixed_batch(game, 41, seed=3).to("cuda")
    weight = torch.randn(256, 56, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to("cuda") / 4

    def network(observation, mask):
        output = (observation.double()[:, :, None] * weight).sum(1)
        return output[:, :52], output[:, 52:].sigmoid()

    config = SearchConfig(worlds=2, simulations=12, leaves_per_step=leaves)
    ours, theirs = both(game, state, network, config)
    assert_same(ours, theirs, atol=1e-9)
    torch.cuda.set_sync_debug_mode("error")
    try:
        search(game, state, network, config, seed=2, compile=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")

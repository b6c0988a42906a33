"""Recorded searches against the same ones run directly. On a CPU a recording that runs the work again stands for the
graph; all else (places of inputs and results, sizes, what is kept) is the GPU's."""

import gc
import logging

import pytest
import torch

from net import PRESETS, BlobNet, InferenceNet
from tests.positions import mixed_batch
from tests.test_search_lanes import assert_same
from vecgame import Blob, lanes
from vecmcts import NetworkEvaluator, SearchConfig, compiled, graphs, search

CONFIG = SearchConfig(worlds=2, simulations=6, noise_fraction=0.25)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """The way of a GPU on a CPU, with nothing recorded yet and nothing compiled; the devices recorded on."""
    made: list[torch.device] = []

    def record(work: graphs.Work, device: torch.device) -> graphs.Work:
        work()
        made.append(device)
        return work

    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    monkeypatch.setattr(compiled, "_compiled", lambda function, tensors: None)
    monkeypatch.setattr(compiled, "_kept", {})
    monkeypatch.setattr(graphs, "DEVICES", {"cpu"})
    monkeypatch.setattr(graphs, "_failed", set())
    monkeypatch.setattr(graphs, "record", record)
    return made


def network(seed: int = 0) -> InferenceNet:
    torch.manual_seed(seed)
    return InferenceNet(BlobNet(PRESETS["small"]), torch.float64)


@pytest.mark.parametrize("leaves", [1, 4])
def test_a_recording_searches_other_games(recordings: list, leaves: int) -> None:
    """17 and 18 games are of one bucket and share a recording; 5 are of another."""
    game, evaluator = Blob(cards=4), NetworkEvaluator(network())
    config = SearchConfig(worlds=2, simulations=6, noise_fraction=0.25, leaves_per_step=leaves)
    for games, made in ((18, 1), (17, 1), (5, 2), (18, 2)):
        state = mixed_batch(game, games, seed=games)
        ours = search(game, state, evaluator, config, seed=2, compile=True)
        theirs = search(game, state, evaluator, config, seed=2)
        assert len(recordings) == made
        assert_same(ours, theirs, atol=1e-9)
        assert ours.evaluations == theirs.evaluations


def test_a_result_outlives_the_next_search(recordings: list) -> None:
    game, evaluator = Blob(cards=3), NetworkEvaluator(network())
    first = search(game, mixed_batch(game, 8, seed=1), evaluator, CONFIG, compile=True)
    kept = first.map(torch.clone)
    search(game, mixed_batch(game, 8, seed=2), evaluator, CONFIG, compile=True)
    assert len(recordings) == 1
    assert_same(first, kept, atol=0.0)


def test_new_weights_in_place_are_seen_and_a_new_network_is_recorded(recordings: list) -> None:
    game, state = Blob(cards=3), mixed_batch(Blob(cards=3), 8, seed=1)
    net = network()
    before = search(game, state, net, CONFIG, compile=True)
    torch.manual_seed(7)
    net.refresh(BlobNet(PRESETS["small"]))
    after = search(game, state, net, CONFIG, compile=True)
    assert len(recordings) == 1 and not torch.equal(before.policy, after.policy)
    assert_same(after, search(game, state, net, CONFIG), atol=1e-9)
    search(game, state, network(), CONFIG, compile=True)
    assert len(recordings) == 2


def test_what_the_search_depends_on_is_part_of_the_key(recordings: list) -> None:
    net = network()
    game = Blob(cards=3)
    state = mixed_batch(game, 8, seed=1)
    search(game, state, net, CONFIG, seed=1, compile=True)
    search(game, state, net, CONFIG, seed=2, compile=True)
    search(game, state, net, SearchConfig(worlds=2, simulations=5), seed=1, compile=True)
    search(Blob(cards=3, hook=False), state, net, CONFIG, seed=1, compile=True)
    assert len(recordings) == 4
    search(game, state, net, CONFIG, seed=2, compile=True)
    assert len(recordings) == 4


def test_recordings_go_with_their_network(recordings: list, monkeypatch) -> None:
    """A graph, unlike what stands for it in the other tests, does not hold the work that it was recorded from."""
    monkeypatch.setattr(graphs, "record", lambda work, device: (work(), int)[1])
    net = network()
    game = Blob(cards=2)
    search(game, mixed_batch(game, 4, seed=1), net, CONFIG, compile=True)
    assert net in graphs._kept
    held = len(graphs._kept)
    del net
    gc.collect()
    assert len(graphs._kept) == held - 1


def test_a_failed_recording_is_said_once_and_the_search_goes_on(recordings: list, monkeypatch, caplog) -> None:
    def fail(work: graphs.Work, device: torch.device) -> graphs.Work:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(graphs, "record", fail)
    game, net = Blob(cards=2), network()
    state = mixed_batch(game, 5, seed=1)
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        results = [search(game, state, net, CONFIG, compile=True) for _ in range(2)]
    assert [record.getMessage() for record in caplog.records] == [
        "searches on cpu go on without graphs: operation not permitted when stream is capturing"
    ]
    for result in results:
        assert_same(result, search(game, state, net, CONFIG), atol=1e-9)


def test_graphs_are_for_gpus() -> None:
    with pytest.raises(RuntimeError, match="for CUDA devices"):
        graphs.record(lambda: None, torch.device("cpu"))


@pytest.mark.gpu
def test_a_gpu_replays_the_same_search(monkeypatch) -> None:
    """With uncompiled simulations, which are recorded as well as compiled ones."""
    monkeypatch.setattr(compiled, "_compiled", lambda function, tensors: None)
    monkeypatch.setattr(compiled, "_kept", {})
    monkeypatch.setattr(graphs, "_failed", set())
    game = Blob(cards=5)
    net = InferenceNet(BlobNet(PRESETS["small"]).to("cuda"), torch.float64)
    for seed in (1, 2):
        state = mixed_batch(game, 18, seed=seed).to("cuda")
        assert_same(search(game, state, net, CONFIG, compile=True), search(game, state, net, CONFIG), atol=1e-9)
    assert not graphs._failed and len(graphs._kept[net]) == 1

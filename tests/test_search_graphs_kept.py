"""Recorded CUDA graphs of searches: what they are kept for, how long, and what becomes of them when something fails."""

import gc
import logging
import sys
from dataclasses import replace

import pytest
import torch

from net import BlobNet
from tests.emulated_gpu import EmulatedGpu, gpu_way
from tests.recorded_searches import CONFIG, compare, games_of, network, ways_of
from vecgame import Blob
from vecgame.memory import free_memory, unused_memory
from vecmcts import NetworkEvaluator, graphs, search
from vecmcts.kept import Names


@pytest.mark.gpu
def test_new_weights_in_place_are_seen_and_a_new_network_is_recorded() -> None:
    game, net = Blob(cards=2), network()
    state = games_of(game, 8)
    before = [search(game, state, net, CONFIG) for _ in range(2)][-1]
    torch.manual_seed(7)
    net.refresh(BlobNet(net.config).to("cuda"))
    after = search(game, state, net, CONFIG)
    assert len(graphs.GRAPHS.kept) == 1 and not torch.equal(before.policy.cpu(), after.policy.cpu())
    compare(after, search(game, state, net, CONFIG, graphs=False))
    other = network(seed=5)
    theirs = [search(game, state, other, CONFIG) for _ in range(2)][-1]
    assert len(graphs.GRAPHS.kept) == 2
    compare(theirs, search(game, state, other, CONFIG, graphs=False))
    compare(search(game, state, net, CONFIG), after)


@pytest.mark.slow
@pytest.mark.gpu
def test_what_the_search_depends_on_is_part_of_the_key() -> None:
    net, game = network(critic=3 * 52), Blob(cards=2)
    state = games_of(game, 4)
    for _ in range(2):
        search(game, state, net, CONFIG, seed=1)
        search(game, state, NetworkEvaluator(net), CONFIG, seed=1)
        search(game, state, net, CONFIG, seed=2)
        search(game, state, net, replace(CONFIG, simulations=2), seed=1)
        search(Blob(cards=2, hook=False), state, net, CONFIG, seed=1)
    assert len(graphs.GRAPHS.kept) == 5
    search(game, state, net, CONFIG, seed=2)
    assert len(graphs.GRAPHS.kept) == 5


@pytest.mark.gpu
def test_graphs_go_with_their_network() -> None:
    net, game = network(), Blob(cards=2)
    state = games_of(game, 4)
    for _ in range(2):
        search(game, state, net, CONFIG)
    recorder = graphs.GRAPHS.recorders[torch.device("cuda", 0)]
    assert len(graphs.GRAPHS.kept) == 1 and recorder.pool is not None
    del net
    gc.collect()
    assert len(graphs.GRAPHS.kept) == 0 and recorder.pool is None
    net = network(seed=1)  # which may lie where the other lay
    for _ in range(2):  # into a pool of its own
        ours = search(game, state, net, CONFIG)
    compare(ours, search(game, state, net, CONFIG, graphs=False))
    assert len(graphs.GRAPHS.kept) == 1


def test_a_network_that_goes_while_another_is_recorded_takes_its_graphs_along_afterwards(monkeypatch) -> None:
    mine, device = graphs.Graphs.new(), torch.device("cpu")
    for what in ("unused_memory", "free_memory"):
        monkeypatch.setattr(graphs, what, lambda device: 1 << 30)
    mine.recorders[device] = graphs.Recorder(device, None)
    mine.kept.put((1, "search"), "graph", 1)

    def record(recorder: graphs.Recorder) -> str:
        mine.forget(1)
        assert len(mine.kept) == 1
        return "other graph"

    assert mine.record((2, "search"), record, device) == "other graph"
    assert list(mine.kept) == [(2, "search")]


@pytest.mark.gpu
def test_a_network_that_goes_as_soon_as_another_is_recorded_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has waited is collected as soon as it may be: the last network that had graphs, in this case."""
    nets, game, enable = [network(seed) for seed in range(2)], Blob(cards=2), gc.enable
    state, other = games_of(game, 4), nets[1]
    for _ in range(2):
        search(game, state, nets[0], CONFIG)
    search(game, state, other, CONFIG)

    def enable_and_collect() -> None:
        enable()
        nets.clear()
        gc.collect()

    monkeypatch.setattr(gc, "enable", enable_and_collect)
    ours = search(game, state, other, CONFIG)
    assert not nets and len(graphs.GRAPHS.kept) == 1
    compare(ours, search(game, state, other, CONFIG, graphs=False))


@pytest.mark.gpu
@pytest.mark.slow
def test_a_graph_that_goes_leaves_the_others_what_they_work_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of one spoils all of its stream, so they end together: with the last, or where too many wait for that."""
    monkeypatch.setattr(graphs, "MOST_RETIRED", 2)
    nets, game = [network(seed) for seed in range(4)], Blob(cards=2)
    state = games_of(game, 4)
    for net in nets[:3]:
        for _ in range(2):
            search(game, state, net, CONFIG)
    expected = search(game, state, nets[0], CONFIG, graphs=False)
    del net, nets[1:3]
    gc.collect()
    assert len(graphs.GRAPHS.kept) == 1 and len(graphs.GRAPHS.retired) == 2
    assert ways_of(lambda: compare(search(game, state, nets[0], CONFIG), expected)) == {gpu_way(graph=True): 1}
    for _ in range(2):  # before this one is recorded all that was recorded ends
        ours = search(game, state, nets[1], CONFIG)
    compare(ours, search(game, state, nets[1], CONFIG, graphs=False))
    assert len(graphs.GRAPHS.kept) == 1 and not graphs.GRAPHS.retired
    assert ways_of(lambda: compare(search(game, state, nets[0], CONFIG), expected)) == {gpu_way(graph=True): 1}
    graphs.clear()
    assert not graphs.GRAPHS.retired


@pytest.mark.gpu
def test_what_graphs_share_is_not_free_and_leaves_room_for_several(gpu: EmulatedGpu | None) -> None:
    if gpu is None:
        pytest.skip("needs to know how much the pool holds")
    game, net, device = Blob(cards=2), network(), torch.device("cuda", 0)
    state = games_of(game, 4)
    for _ in range(2):
        search(game, state, net, CONFIG)
    assert gpu.memory.pooled > 0 and free_memory(device) == unused_memory(device) - gpu.memory.pooled
    gpu.memory.pooled += int(0.6 * gpu.memory.total)
    assert 0 < graphs.GRAPHS.kept.bytes < graphs.GRAPHS.room() < free_memory(device)


@pytest.mark.gpu
def test_what_cannot_be_recorded_is_done_where_no_error_holds_its_memory() -> None:
    handled = []

    def work() -> None:
        handled.append(sys.exc_info()[0])
        if torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize()

    device = torch.device("cuda", 0)
    for _ in range(2):
        assert not graphs.repeated(Names, ("key",), work, device, "work")
    assert len(handled) == 3 and handled[-1] is None


@pytest.mark.gpu
@pytest.mark.slow
def test_the_least_recently_used_graphs_go_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    game, net = Blob(cards=2), network()
    small, middle, large = (games_of(game, count) for count in (4, 8, 16))

    def sizes() -> list[int]:
        return [key[-1] for key in graphs.GRAPHS.kept]

    for state in (small, middle) * 2:
        search(game, state, net, CONFIG)
    assert sizes() == [4, 8]
    search(game, small, net, CONFIG)  # now the 8 have waited longest
    monkeypatch.setattr(graphs.GRAPHS.kept, "_most", lambda: graphs.GRAPHS.kept.bytes - 1)
    for _ in range(2):
        ours = search(game, large, net, CONFIG)
    assert sizes() == [4, 16]
    compare(ours, search(game, large, net, CONFIG, graphs=False))
    ours = search(game, middle, net, CONFIG)  # recorded anew
    assert sizes() == [16, 8]
    compare(ours, search(game, middle, net, CONFIG, graphs=False))
    graphs.clear()
    assert sizes() == [] and all(recorder.pool is None for recorder in graphs.GRAPHS.recorders.values())
    ways = ways_of(lambda: [search(game, small, net, CONFIG) for _ in range(2)])
    assert ways == {gpu_way(): 1, gpu_way(graph=True): 1}


class Waiting:
    """A network that waits for the device, though it says that it may be recorded."""

    capturable, needs_mask = True, False

    def __init__(self) -> None:
        self.net = network()

    def __call__(self, observation, mask):
        if torch.cuda.is_current_stream_capturing():
            float(observation.sum())
        return self.net(observation, mask)


@pytest.mark.slow
@pytest.mark.gpu
def test_a_failed_recording_is_said_once_and_the_search_goes_on(
    gpu: EmulatedGpu | None, caplog: pytest.LogCaptureFixture
) -> None:
    game, net = Blob(cards=2), Waiting()
    state = games_of(game, 5)
    expected = search(game, state, net, CONFIG, graphs=False)
    stream = torch.cuda.current_stream()
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        results = [search(game, state, net, CONFIG) for _ in range(3)]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("searches on cuda:0 go on without graphs: ") and "captur" in line
    assert torch.cuda.current_stream() == stream
    assert all(recorder.pool is None for recorder in graphs.GRAPHS.recorders.values())
    assert not any(pool.recording or pool.users for pool in (gpu.pools.values() if gpu else ()))
    for result in results:
        compare(result, expected)
    assert ways_of(lambda: search(game, state, network(), CONFIG)) == {gpu_way(): 1}
    graphs.GRAPHS.failed.clear()
    other = network()
    for _ in range(2):  # all is as it was before the failure
        ours = search(game, state, other, CONFIG)
    compare(ours, search(game, state, other, CONFIG, graphs=False))
    assert len(graphs.GRAPHS.kept) == 1

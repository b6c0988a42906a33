"""Whole searches as CUDA graphs: the host starts one graph instead of thousands of kernels.

A graph replays the kernels of one search on the same memory: its inputs are copied to where the recorded search found
them, its results from where it left them. It holds the network's weights by their place too, so a network that is
evaluated by graphs must load new weights in place, as `net.InferenceNet.refresh` does; a new network gets new graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from vecgame.state import State

log = logging.getLogger("vecgame.fallback")

Work = Callable[[], None]
Body = Callable[[State, Tensor], Any]
"""(games, lanes that count [B] bool) -> a result with `map`, as a `SearchResult` has it."""

DEVICES = frozenset({"cuda"})  # types of device that have graphs
MOST_KEPT = 64  # graphs of a network: a run of 13 card counts with 5 sizes of a batch each

_kept: WeakKeyDictionary[object, dict[tuple, Recorded]] = WeakKeyDictionary()
_failed: set[str] = set()  # types of device on which a recording has failed
_pools: dict[torch.device, object] = {}


def record(work: Work, device: torch.device) -> Work:
    """What repeats the work's kernels, after two calls of it: one for what is made at a first call only (constants,
    compiled code, the libraries' workspaces), one to record. All graphs of a device share their memory, for one runs
    at a time."""
    if device.type != "cuda":
        raise RuntimeError(f"graphs are for CUDA devices, not {device}")
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    if device not in _pools:
        _pools[device] = torch.cuda.graph_pool_handle()
    with torch.cuda.graph(graph, pool=_pools[device]):
        work()
    return graph.replay


@dataclass
class Recorded:
    """A search that was recorded, the places of its inputs, and its result's."""

    state: State
    live: Tensor  # [B] bool
    result: Any
    replay: Work

    @classmethod
    def of(cls, body: Body, state: State, live: Tensor) -> Recorded:
        """Records the search of these games."""
        recorded = cls(state.map(torch.clone), live.clone(), None, lambda: None)

        def work() -> None:
            recorded.result = body(recorded.state, recorded.live)

        recorded.replay = record(work, state.device)
        return recorded

    def __call__(self, state: State, live: Tensor) -> Any:
        """The search of other games, as many of them."""
        for mine, new in zip(self.state.tensors().values(), state.tensors().values(), strict=True):
            mine.copy_(new)
        self.live.copy_(live)
        self.replay()
        return self.result.map(torch.clone)


def replayed(network: object, key: tuple, body: Body, state: State, live: Tensor) -> Any:
    """The body's result for these games by a recorded graph, recorded now if there is none yet.

    Where a graph cannot be recorded, one line in the log says so, and the body runs as it is from then on.

    Args:
        network: what the body evaluates with; its graphs are kept as long as it lives.
        key: whatever else the body depends on, but for the games; hashable.
        body: a function of tensors that waits for nothing.
        state: B games.
        live: [B] bool, lanes that count.
    """
    device = state.device
    if device.type in _failed:
        return body(state, live)
    kept = _kept.setdefault(network, {})
    key = (*key, state.batch_size, device)
    if key not in kept:
        while len(kept) >= MOST_KEPT:
            del kept[next(iter(kept))]
        try:
            kept[key] = Recorded.of(body, state, live)
        except torch.OutOfMemoryError:
            raise  # the caller tries a smaller batch
        except RuntimeError as error:
            _failed.add(device.type)
            log.warning("searches on %s go on without graphs: %s", device.type, str(error).splitlines()[0])
            return body(state, live)
    return kept[key](state, live)

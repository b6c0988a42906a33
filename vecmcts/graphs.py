"""Whole searches, and other work, as CUDA graphs: the host starts one graph instead of thousands of kernels.

A graph replays the kernels of one search on the same memory: its inputs are copied to where the recorded search found
them, its results from where it left them. It holds the network's weights by their place too, so a network that is
evaluated by graphs must load new weights in place, as `net.InferenceNet.refresh` does, and says so by an attribute
``capturable = True``; a new network gets new graphs.

Four things about memory (PyTorch's own `torch.cuda.graph` leaves them to the caller):

- All graphs of a device share one pool, for one runs at a time. A pool without graphs is given up, for PyTorch 2.11
  does not record into one again.
- What cuBLAS works in must not lie in that pool (pytorch#193402). It is kept for each stream, so all recording is done
  on one stream, on which large products have run before.
- From PyTorch 2.12 on the end of any graph frees what cuBLAS works in on its stream, which all others go on using. So
  graphs that are dropped are retired, and end together when none is left.
- A recording that fails leaves PyTorch on its stream, half a graph in the pool, and the allocator of PyTorch 2.11 at
  recording: the stream is put back, the recording ended, and the pool given up.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.cuda import memory as allocator

from vecgame.memory import free_memory, number_of, unused_memory
from vecgame.state import State
from vecmcts.kept import Kept, Names

log = logging.getLogger("vecgame.fallback")

Work = Callable[[], None]
Inputs = tuple[State | Tensor, ...]
Body = Callable[..., Any]
"""Inputs -> a result with `map`, as a `SearchResult` has it."""
T = TypeVar("T")

SEARCHES = "searches"  # what is recorded, if nothing else is said
DEVICES = frozenset({"cuda"})  # types of device that have graphs
MEMORY_SHARE = 0.25  # of the memory that graphs have or could have, which they may take for themselves
MOST_NOTED = 4096  # searches that have run once, of which it is remembered
MOST_RETIRED = 32  # graphs that are dropped and not ended before all are: each holds some megabytes
WIDEST_PRODUCT = 4096  # side of the products that make cuBLAS take the memory it works in


@dataclass
class Recorder:
    """Where one device records: its stream, and the pool of its graphs."""

    device: torch.device
    stream: Any  # torch.cuda.Stream
    pool: Any = None  # None: the next recording begins a new one

    def run(self, work: Work) -> None:
        """Runs work on the recording stream, in its place among that of the current stream."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        try:
            with torch.cuda.stream(self.stream):
                work()
        finally:  # what was begun before an error may read what the current stream would take for free
            current.wait_stream(self.stream)

    def record(self, work: Work) -> Any:
        """The graph (`torch.cuda.CUDAGraph`) of the work's kernels, which does not do it yet. What is made at a first
        call only must have been, by `run`.

        Raises:
            RuntimeError: when the work cannot be recorded; all is as it was then.
        """
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        if self.pool is None:
            self.run(lambda: _large_products(self.device))
            self.pool = torch.cuda.graph_pool_handle()
        try:
            # Other threads may go on with what a recording must not do.
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                work()
        except BaseException:
            torch.cuda.set_stream(current)
            _end_recording(self.device, self.pool)
            with contextlib.suppress(RuntimeError):
                graph.reset()  # now, not when the error is let go of
            self.pool = None
            raise
        return graph


def _end_recording(device: torch.device, pool: Any) -> None:
    """Tells the allocator that a recording into a pool has failed, which PyTorch does itself from 2.12 on.

    Until it is told, it never reuses what two streams have used, cannot give back its cache when memory runs out, and
    keeps what the recording had taken.
    """
    try:
        allocator._cuda_endAllocateToPool(number_of(device), pool)
    except RuntimeError:  # it knows
        return
    allocator._cuda_releasePool(number_of(device), pool)


def _large_products(device: torch.device) -> None:
    """Products of all kinds that a network may ask for, by cuBLAS and cuBLASLt."""
    for dtype in (torch.float32, torch.bfloat16):
        square = torch.zeros(WIDEST_PRODUCT, WIDEST_PRODUCT, dtype=dtype, device=device)
        torch.mm(square, square)
        torch.addmm(square[0], square, square)


@dataclass
class Recorded:
    """A search that was recorded, the places of its inputs, and its result's."""

    inputs: Inputs
    result: Any
    graph: Any  # torch.cuda.CUDAGraph

    @classmethod
    def of(cls, recorder: Recorder, body: Body, inputs: Inputs) -> Recorded:
        """Records the search of these games."""
        with torch.inference_mode(False):  # else nothing could be copied there outside of it
            recorded = cls(tuple(_each(part, torch.clone) for part in inputs), None, None)

        def work() -> None:
            recorded.result = body(*recorded.inputs)

        recorder.run(work)
        recorded.graph = recorder.record(work)
        return recorded

    def __call__(self, inputs: Inputs) -> Any:
        """The search of other games, as many of them."""
        for mine, new in zip(self.inputs, inputs, strict=True):
            for place, tensor in zip(_tensors(mine), _tensors(new), strict=True):
                place.copy_(tensor)
        self.graph.replay()
        return self.result.map(torch.clone)


@dataclass
class Graphs:
    """The graphs of this process, the least recently used dropped first."""

    kept: Kept[Any]  # `Recorded`, or of work without inputs the graph itself
    names: Names
    recorders: dict[torch.device, Recorder] = field(default_factory=dict)
    failed: set[tuple[str, torch.device]] = field(default_factory=set)  # what could not be recorded, and where
    seen: OrderedDict[Hashable, None] = field(default_factory=OrderedDict)  # searches that have run once
    gone: set[int] = field(default_factory=set)  # networks that have ceased to be, by name
    retired: list[Any] = field(default_factory=list)  # graphs (`torch.cuda.CUDAGraph`) that have been dropped
    lock: threading.RLock = field(default_factory=threading.RLock)  # a graph has one place for its inputs
    recording: bool = False

    @classmethod
    def new(cls) -> Graphs:
        """No graphs yet."""
        graphs = cls(
            Kept(lambda: graphs.room(), lambda gone: graphs.retire(gone)), Names(lambda name: graphs.forget(name))
        )
        return graphs

    def room(self) -> int:
        """Bytes that all graphs together may take beside what they share, the pools."""
        return int(MEMORY_SHARE * sum(self.kept.bytes + (free_memory(device) or 0) for device in self.recorders))

    def retire(self, gone: list[Any]) -> None:
        """Lets go of graphs' inputs and results; of themselves, and of the pools, when no graph is left."""
        self.retired += [one.graph if isinstance(one, Recorded) else one for one in gone]
        if not len(self.kept):
            self.retired.clear()
            for recorder in self.recorders.values():
                recorder.pool = None

    def forget(self, name: int) -> None:
        """Drops a network's graphs; not in the middle of a recording, which may be when the network goes."""
        self.gone.add(name)
        if self.lock.acquire(blocking=False):  # who has it, in another thread, looks at its next search
            try:
                self.drop_gone()
            finally:
                self.lock.release()

    def drop_gone(self) -> None:
        """Drops the graphs of networks that have ceased to be."""
        gone = set()
        while self.gone and not self.recording:
            gone.add(self.gone.pop())
        if gone:
            self.kept.drop(lambda key: key[0] in gone)

    def first(self, key: Hashable) -> bool:
        """Whether a search has not run before, as far as is remembered."""
        new = key not in self.seen
        self.seen[key] = None
        self.seen.move_to_end(key)
        while len(self.seen) > MOST_NOTED:
            self.seen.popitem(last=False)
        return new

    def recorder(self, device: torch.device) -> Recorder:
        """The device's, made at the first call."""
        if device not in self.recorders:
            self.recorders[device] = Recorder(device, torch.cuda.Stream(device))
        return self.recorders[device]

    def record(self, key: Hashable, make: Callable[[Recorder], T], device: torch.device) -> T:
        """What is made by recording on the device, kept at the key."""
        if len(self.retired) >= MOST_RETIRED:
            self.kept.drop()
        recorder, before = self.recorder(device), unused_memory(device)
        collects, self.recording = gc.isenabled(), True
        gc.disable()  # a graph or a tensor that is collected while another is being recorded would spoil it
        try:
            recorded = make(recorder)
            # Kept before networks may go again: with the last graph that is kept end those dropped before, and pools.
            self.kept.put(key, recorded, max(0, before - unused_memory(device)))
        except BaseException:
            self.kept.drop()  # the graph that was begun ends now
            raise
        finally:
            self.recording = False
            if collects:
                gc.enable()
        self.drop_gone()  # those that went meanwhile
        return recorded


GRAPHS = Graphs.new()


def clear() -> None:
    """Drops all graphs, for whoever needs the memory."""
    with GRAPHS.lock:
        GRAPHS.kept.drop()
        GRAPHS.seen.clear()


def drop(owner: object) -> None:
    """Drops an owner's graphs, where they would read or write what lies elsewhere now, or what is yet to be made: its
    next call of a kind is a first one again."""
    with GRAPHS.lock:
        name = GRAPHS.names.of(owner)
        GRAPHS.kept.drop(lambda key: key[0] == name)
        for key in [key for key in GRAPHS.seen if key[0] == name]:
            del GRAPHS.seen[key]


def recordable(network: object, device: torch.device, what: str = SEARCHES) -> bool:
    """Whether a search by the network may be recorded there, or ``what`` else is done with it."""
    capturable = bool(getattr(network, "capturable", False))
    return capturable and device.type in DEVICES and (what, device) not in GRAPHS.failed


def replayed(
    network: object, key: tuple, body: Body, *inputs: State | Tensor, what: str = SEARCHES
) -> tuple[Any, bool]:
    """The body's result for these inputs, by a recorded graph from the second such call on.

    A first call runs as it is, for there may be no other. Where a graph cannot be recorded, one line in the log says
    so, and the body runs as it is from then on.

    Args:
        network: what the body evaluates with; its graphs are kept as long as it lives.
        key: whatever else the body depends on, but for the inputs; hashable.
        body: a function of the inputs, and of tensors, that waits for nothing.
        inputs: states and tensors of the same shapes whenever the key is the same.
        what: the body does, for the log.

    Returns:
        The result, and whether it is a graph's.

    Raises:
        torch.OutOfMemoryError: as the body does; the caller tries a smaller batch.
    """
    device = inputs[0].device
    with GRAPHS.lock:
        GRAPHS.drop_gone()
        if not recordable(network, device, what):
            return body(*inputs), False
        key = (GRAPHS.names.of(network), device, what, *key)
        recorded = GRAPHS.kept.get(key)
        if recorded is None:
            if GRAPHS.first(key):
                return body(*inputs), False
            try:
                recorded = GRAPHS.record(key, lambda recorder: Recorded.of(recorder, body, inputs), device)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                _give_up(what, device, error)
        if recorded is None:  # no longer where the error holds on to what the recording had taken
            return body(*inputs), False
        return recorded(inputs), True


def repeated(owner: object, key: tuple, work: Work, device: torch.device, what: str) -> bool:
    """Does work that changes tensors in their places, once, by a recorded graph from the second such call on.

    A first call does it on the stream of recordings, where what is made at a first call only is made then. Where it
    cannot be recorded, if only for want of memory, one line in the log says so, and it is done as it is from then on.

    Args:
        owner: whose work it is; its graphs are kept as long as it lives.
        key: whatever the work depends on, with the places (`Tensor.data_ptr`) of all that it reads and writes but
            makes none of, unless these stay as long as the owner does; hashable.
        work: waits for nothing, and leaves nothing behind but in those places.
        device: that it is done on.
        what: is done, for the log.

    Returns:
        Whether a graph has done it.
    """
    with GRAPHS.lock:
        GRAPHS.drop_gone()
        if device.type not in DEVICES or (what, device) in GRAPHS.failed:
            work()
            return False
        key = (GRAPHS.names.of(owner), device, what, *key)
        graph = GRAPHS.kept.get(key)
        if graph is None and GRAPHS.first(key):
            GRAPHS.recorder(device).run(work)
            return False
        if graph is None:
            try:
                graph = GRAPHS.record(key, lambda recorder: recorder.record(work), device)
            except RuntimeError as error:
                _give_up(what, device, error)
        if graph is None:  # no longer where the error holds on to what the recording had taken
            work()
            return False
        graph.replay()
        return True


def _give_up(what: str, device: torch.device, error: RuntimeError) -> None:
    """Says that something cannot be recorded on a device, and remembers it."""
    GRAPHS.failed.add((what, device))
    log.warning("%s on %s go on without graphs: %s", what, device, str(error).splitlines()[0])


def _tensors(part: State | Tensor) -> list[Tensor]:
    return [part] if isinstance(part, Tensor) else list(part.tensors().values())


def _each(part: State | Tensor, function: Callable[[Tensor], Tensor]) -> State | Tensor:
    return function(part) if isinstance(part, Tensor) else part.map(function)

"""Tests marked `gpu` run on a CUDA device, or on an emulated one where there is none; parallel test workers take one
thread each."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.emulated_gpu import EmulatedGpu, NoCompilerError, emulated_gpu
from tests.every_game import TUTORIALS
from vecgame import GAMES
from vecmcts import graphs

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

EMULATION = pytest.StashKey[EmulatedGpu]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what an emulation cannot do: `gpu(emulated=False, reason="..")`."""
    marker = item.get_closest_marker("gpu")
    if marker and not marker.kwargs.get("emulated", True) and not torch.cuda.is_available():
        pytest.skip(f"needs a real CUDA device: {marker.kwargs['reason']}")


@pytest.fixture(autouse=True)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedGpu | None]:
    """The emulated GPU of a test marked `gpu`; None on a real one, and in other tests. No graph is recorded yet."""
    if request.node.get_closest_marker("gpu") is None:
        yield None
        return
    monkeypatch.setattr(graphs, "GRAPHS", graphs.Graphs.new())
    if torch.cuda.is_available():
        yield None
        return
    monkeypatch.setattr(graphs, "WIDEST_PRODUCT", 16)  # it makes a GPU take memory, and a CPU work for seconds
    try:
        emulation = emulated_gpu()
        request.node.stash[EMULATION] = emulation.__enter__()
    except NoCompilerError as error:
        pytest.skip(str(error))
    try:
        yield request.node.stash[EMULATION]
    finally:
        emulation.__exit__(None, None, None)


@pytest.fixture(scope="module")
def own_games(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder into which `tests.every_game.Named.make` writes the games of the tutorials, for the tests of one file;
    afterwards their names are free for the files of others."""
    yield tmp_path_factory.mktemp("own")
    for address in TUTORIALS:
        GAMES.pop(address.rpartition(":")[2].lower(), None)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Operations that a GPU would refuse fail the test that did them."""
    result = yield
    emulation = pyfuncitem.stash.get(EMULATION, None)
    if emulation is not None:
        emulation.record.raise_errors()
    return result

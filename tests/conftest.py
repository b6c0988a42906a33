"""Tests marked `gpu` run on a CUDA device, or on an emulated one where there is none; parallel test workers take one
thread each. And games of a user's own, as files, a table in the browser, and a run."""

import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch

from tests.emulated_gpu import EmulatedGpu, NoCompilerError, emulated_gpu
from tests.every_game import FILES, TUTORIALS, Named, write_tutorials
from vecgame import GAMES, loading
from vecmcts import graphs

if TYPE_CHECKING:
    from tests.web import Served

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

os.fsync = lambda descriptor: None  # no test cuts the power, and runs that wait for the disk take twice as long
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
        graphs.clear()  # which would else end in the middle of another test
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


QUICK_SHARE = 10  # of the quick tests of every game one in so many, other games for each test; the rest are slow ones


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Makes most of the quick tests of every game slow ones, and with VECGAME_SLOW_SHARE=N leaves all but one in N of
    those out, and of tests marked `sampled`; not of those marked `all_games`. Those marked `long` come first."""
    share, gone = int(os.environ.get("VECGAME_SLOW_SHARE", "1")), []
    for item in items:
        games = [value for value in getattr(item, "callspec", Spec).params.values() if isinstance(value, Named)]
        if not games and item.get_closest_marker("sampled") is None:
            continue
        number = zlib.crc32((f"{item.originalname} of {games[0]}" if games else item.name).encode())
        if item.get_closest_marker("slow") is None and number % QUICK_SHARE != 0:
            item.add_marker(pytest.mark.slow)
        left_out = number % share != 1 % share and item.get_closest_marker("all_games") is None
        if item.get_closest_marker("slow") is not None and left_out:
            gone.append(item)
    config.hook.pytest_deselected(items=gone)
    left = [item for item in items if item not in gone]
    items[:] = sorted(left, key=lambda item: item.get_closest_marker("long") is None)


class Spec:
    """Of a test without parameters."""

    params: ClassVar[dict[str, object]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Operations that a GPU would refuse fail the test that did them."""
    result = yield
    emulation = pyfuncitem.stash.get(EMULATION, None)
    if emulation is not None:
        emulation.record.raise_errors()
    return result


@pytest.fixture
def own_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the tutorials' games as a user's own files, which this process has not met before and
    will not remember."""
    write_tutorials(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(loading, "_modules", {})
    monkeypatch.setattr(loading, "_folders", set())
    names = [address.partition(".")[0] for address in (*TUTORIALS, *FILES)]
    known = [sys.modules.pop(name, None) for name in names]
    games = dict(GAMES)
    yield tmp_path
    GAMES.clear()
    GAMES.update(games)
    for name, module in zip(names, known, strict=True):
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def in_a_folder_of_ones_own(own_games: Path) -> None:
    """The tutorials' files lie in the current folder."""


@pytest.fixture
def served(in_a_folder_of_ones_own: None) -> "Iterator[Served]":
    """A table in the browser: a match of two games of two cards against random agents."""
    from tests.web import Served, a_match, random_bots  # which not everybody has installed
    from veclab.table.session import PERSON
    from veclab.web.sitting import Table

    one = Served(Table(a_match(), random_bots, PERSON, delay=0))
    yield one
    one.stop()
    assert one.table.close(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A browser without a window, for the tests of a file."""
    from playwright import sync_api

    from tests.browser import CHROMIUM

    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all phases, which nothing disturbed."""
    from tests.killing import command_line
    from tests.runs import ends, start, train_at

    folder = tmp_path_factory.mktemp("endurance") / "whole"
    assert ends([start(command_line, train_at(folder))]) == [0]
    return folder


@pytest.fixture
def imitates_as_processes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few games at a time as the processes of `tests.killing`."""
    from tests.killing import AT_ONCE
    from veclab.training import imitation

    monkeypatch.setattr(imitation, "AT_ONCE", AT_ONCE)

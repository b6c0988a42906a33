"""Other people's software: mctx grows the same trees as ours, and every comparison runs or says what is missing."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from veclab.bench import peers
from veclab.bench.peers import ACTIONS, ToyGame, ToyState, judgements, root_keys
from vecmcts import SearchConfig, SearchResult, search

CPU = torch.device("cpu")
ROOTS = 400


@pytest.fixture
def doubles() -> Iterator[None]:
    """JAX with 64-bit floats, which it has only on demand."""
    pytest.importorskip("mctx")
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def ours(roots: int, config: SearchConfig, decisions: int, dtype: torch.dtype = torch.float64) -> SearchResult:
    state = ToyState.of(root_keys(roots), CPU)
    return search(ToyGame(decisions), state, peers.TableJudge(dtype), config)


@pytest.mark.parametrize(
    ("simulations", "decisions", "c_puct"),
    [
        (1, 12, 0.6),
        (30, 12, 0.6),
        (100, 12, 1.5),  # wide
        (100, 12, 0.05),  # deep
        (30, 1, 0.6),  # every leaf an end
        (100, 3, 0.2),
    ],
)
def test_the_same_trees_as_mctx(simulations: int, decisions: int, c_puct: float, doubles: None) -> None:
    """Visits to the last one, in positions with and without ends within reach. In single precision they are the same
    in all but some 1 of 15,000 trees (100 simulations), where two bounds differ by less than the rounding: mctx keeps
    running means where we keep sums."""
    theirs = peers.mctx_searcher(simulations, decisions, c_puct)(judgements(), root_keys(ROOTS))
    config = SearchConfig(worlds=1, simulations=simulations, c_puct=c_puct)
    result = ours(ROOTS, config, decisions)
    assert result.visits.tolist() == np.asarray(theirs.visit_counts).tolist()
    assert len(result.visits.unique(dim=0)) >= min(simulations, ROOTS // 4, ACTIONS if simulations == 1 else ROOTS)
    assert result.q.nan_to_num().numpy() == pytest.approx(np.asarray(theirs.qvalues), abs=1e-13)
    assert result.value[:, 0].numpy() == pytest.approx(np.asarray(theirs.value), abs=1e-13)
    assert torch.equal(result.value[:, 1], -result.value[:, 0])


def test_the_timed_searches_grow_the_same_trees() -> None:
    """In single precision, as the rates are measured."""
    pytest.importorskip("mctx")
    theirs = np.asarray(peers.mctx_searcher(30)(judgements().astype(np.float32), root_keys(ROOTS)).visit_counts)
    result = ours(ROOTS, SearchConfig(worlds=1, simulations=30, c_puct=peers.C_PUCT), peers.DECISIONS, torch.float32)
    assert result.visits.dtype == torch.float32
    assert (result.visits.numpy() == theirs).all(axis=1).sum() >= ROOTS - 1


def test_the_toy_game_is_one_game_in_both() -> None:
    """The step wraps alike in PyTorch, NumPy and exact integers; positions and the judge's rows are spread out."""
    keys = root_keys(5000)
    assert len(set(keys.tolist())) == 5000
    action = np.arange(5000, dtype=np.int32) % ACTIONS
    stepped = ToyGame().step(ToyState.of(keys, CPU), torch.from_numpy(action).long())
    assert stepped.key.dtype == torch.int32 and stepped.ply.tolist() == [1] * 5000
    assert stepped.key.tolist() == peers.child_key(keys, action).tolist()
    assert stepped.key[:50].tolist() == [exact_child(*pair) for pair in zip(keys[:50].tolist(), action, strict=False)]
    counts = np.bincount(peers.table_row(stepped.key.numpy()), minlength=peers.ROWS)
    assert counts.sum() == 5000 and counts.max() < 20 and (counts == 0).mean() < 0.05


def exact_child(key: int, action: int) -> int:
    """`child_key` by Python's unbounded integers."""
    key = (key - 1640531535 * int(action) + 1013904223) * 1664525 % 2**32
    key ^= key >> 15 & 0x1FFFF
    return key - 2**32 if key >= 2**31 else key


def test_a_finished_toy_game_stays_and_one_wins_what_the_other_loses() -> None:
    game = ToyGame(decisions=1)
    state = game.step(ToyState.of(root_keys(10), CPU), torch.arange(10) % ACTIONS)
    assert game.is_terminal(state).all()
    again = game.step(state, torch.zeros(10, dtype=torch.int64))
    assert torch.equal(again.key, state.key) and torch.equal(again.ply, state.ply)
    values = game.values(state, torch.float64)
    mine = torch.from_numpy(judgements()[peers.table_row(state.key.numpy()), ACTIONS])
    assert torch.equal(values, torch.stack([-mine, mine], dim=1))  # after one move, seat 1 would be next


@pytest.mark.parametrize("measure", [peers.vecmcts_search, peers.mctx_search])
def test_a_search_has_a_rate(measure: Callable[..., peers.Rate]) -> None:
    if measure is peers.mctx_search:
        pytest.importorskip("mctx")
    rate = measure(trees=5, simulations=3, device_name="cpu", repeats=2)
    assert rate.size == 5 and rate.per_second > 0 and rate.spread >= 0
    assert rate.label.startswith(measure.__name__.removesuffix("_search")) and rate.label.endswith("cpu)")


def test_a_rate_counts_simulations_of_all_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timed call is a whole search of all the trees, waited for: JAX returns before it has computed."""
    pytest.importorskip("mctx")
    import jax

    waited: list[int] = []

    def wait(summary: object) -> None:
        waited.append(len(summary.value))

    def two_seconds(work: Callable[[], object], device: torch.device, repeats: int) -> peers.Timing:
        work()
        return peers.Timing(2.0, 1.0, 2.0, repeats)

    monkeypatch.setattr(jax, "block_until_ready", wait)
    monkeypatch.setattr(peers, "timed", two_seconds)
    for measure in (peers.vecmcts_search, peers.mctx_search):
        assert measure(8, 5, "cpu", 3).per_second == 20.0
    assert waited == [8]


def test_openspiel_has_a_rate() -> None:
    pytest.importorskip("pyspiel")
    rate = peers.openspiel_engine(cards=2, seconds=0.06)
    assert rate.label.startswith("OpenSpiel") and rate.size == 1
    assert 100 < rate.per_second < 10_000_000 and rate.spread > 0


@pytest.mark.parametrize("cards", [0, 13])
def test_openspiel_is_not_asked_for_what_stalls_it(cards: int) -> None:
    pytest.importorskip("pyspiel")
    with pytest.raises(ValueError, match="1 to 12 cards"):
        peers.openspiel_engine(cards, 0.01)


def test_a_mean_time_is_of_at_least_one_call() -> None:
    calls: list[int] = []
    assert peers.seconds_a_call(lambda: calls.append(1), 0.0) > 0 and len(calls) == 1
    calls.clear()
    assert 0 < peers.seconds_a_call(lambda: calls.append(1), 0.01) * len(calls) < 1 and len(calls) > 1


@pytest.mark.parametrize(
    ("package", "first", "work"),
    [
        ("pyspiel", "torch", lambda: peers.openspiel_engine(2, 0.01)),
        ("mctx", "jax", lambda: peers.mctx_search(2, 2, "cpu", 1)),
        ("jax", "torch", lambda: peers.mctx_search(2, 2, "cpu", 1)),
    ],
)
def test_a_missing_package_is_named(
    package: str, first: str, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(first)  # what is imported before it
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=package):
        work()


@pytest.mark.slow
def test_the_import_needs_none_of_them() -> None:
    code = "import sys, veclab.bench.peers; print(sorted({'jax', 'mctx', 'pyspiel'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

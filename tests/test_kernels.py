"""The kernels of searches do what the functions of tensors do that they stand beside, bit for bit, in Triton's
interpreter; and where there are none, these go on, and one line says so."""

import importlib
import logging
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.every_game import EVERY, Named
from tests.positions import linear_network, mixed_batch
from tests.test_search_lanes import assert_same
from vecgame import Blob, Game, Stream, lanes
from vecgame.contract import mixed_positions
from vecmcts import NetworkEvaluator, SearchConfig, kernels, search
from vecmcts.root import SELECTIONS
from vecmcts.search import WAYS, over_worlds, plant
from vecmcts.simulation import back_up, descend, expand
from vecmcts.tree import Tree

interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="here tests marked gpu run the kernels themselves")
CONFIG = SearchConfig(worlds=2, simulations=6, noise_fraction=0.25)
FORMS = {
    "puct": CONFIG,
    "shared": replace(CONFIG, root_selection="shared"),
    "gumbel": replace(CONFIG, root_selection="gumbel", noise_fraction=0.0),
    "three leaves": replace(CONFIG, leaves_per_step=3),
    "merged": replace(CONFIG, merge_equivalent=True),
}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a GPU on a CPU."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    monkeypatch.setattr(kernels, "_failed", set())


@pytest.fixture
def by_kernels(monkeypatch):
    """`vecmcts.kernels.tree`; the kernels of games, which take the interpreter seconds, are left out."""
    pytest.importorskip("triton", reason="the kernels are Triton's")
    monkeypatch.setattr(importlib.import_module("vecmcts.kernels.leaves"), "part", lambda game, tree, what: None)
    return importlib.import_module("vecmcts.kernels.tree")


def network(game: Game, dtype: torch.dtype = torch.float64):
    plain = linear_network(game.seats, features=game.features, actions=game.num_actions)
    return lambda observation, mask: tuple(answer.to(dtype) for answer in plain(observation, mask))


def planted(game: Game, dtype: torch.dtype, config: SearchConfig, games: int):
    """Trees of games at all stages, and what a search has besides them."""
    state = mixed_positions(game, games)
    worlds, evaluator = game.determinize(state, config.worlds, 3), NetworkEvaluator(network(game, dtype))
    stream = Stream.of_worlds(3, state.index, game.turn(state), config.worlds)
    tree, log_prior, value, _ = plant(game, worlds, evaluator, config, stream)
    log_prior, value = over_worlds(log_prior, value, config.worlds)
    own = value.gather(1, game.mover(state)[:, None])[:, 0]
    choose = SELECTIONS[config.root_selection](game, state, log_prior, own, config, 3)
    return tree, evaluator, stream, choose


def copied(tree: Tree) -> Tree:
    own = {field.name: getattr(tree, field.name) for field in fields(tree) if field.name != "nodes"}
    return replace(tree, **{name: part.clone() for name, part in own.items()})


def assert_equal_trees(mine: Tree, theirs: Tree) -> None:
    for name in ("actions", "prior", "visits", "value_sum", "child", "mover", "value", "own_value", "open"):
        assert torch.equal(getattr(mine, name), getattr(theirs, name)), name


@interpreted
@pytest.mark.parametrize(
    ("selection", "dtype", "games"),
    [
        ("puct", torch.float32, 150),  # of trees more than a program has
        ("puct", torch.float64, 5),
        ("shared", torch.float32, 5),
        pytest.param("gumbel", torch.float64, 60, marks=pytest.mark.slow),
    ],
)
def test_walks_and_trees_are_the_same_at_every_step(by_kernels, selection: str, dtype, games: int) -> None:
    game, config = Blob(cards=4), replace(FORMS[selection], worlds=1)
    theirs, evaluator, stream, choose = planted(game, dtype, config, games)
    mine, sums = copied(theirs), [torch.zeros_like(theirs.value[: theirs.trees]) for _ in range(2)]
    for node in range(1, config.simulations + 1):
        slots = choose(theirs, node)
        expected = descend(game, theirs, node, min(node, game.decisions), config, slots)
        walk = by_kernels.descend(game, mine, node, min(node, game.decisions), config, slots)
        for name in ("leaf", "new", "parent", "action"):
            assert torch.equal(getattr(walk, name), getattr(expected, name))
        assert torch.equal(walk.edge[taken(walk.length, len(walk.edge))], expected.edge[expected.taken])
        for tree, descent in ((theirs, expected), (mine, walk)):
            expand(game, tree, [node], [descent], evaluator, stream)
        back_up(theirs, expected, sums[0])
        by_kernels.back_up(mine, walk, sums[1])
        assert_equal_trees(mine, theirs)
    assert torch.equal(*sums) and mine.visits.sum() > 0


def taken(length: Tensor, depth: int) -> Tensor:
    """Which edges of walks are set: [depth, T] bool for lengths [T]."""
    return torch.arange(depth)[:, None] < length


def assert_equal_searches(game: Game, config: SearchConfig, games: int, dtype: torch.dtype = torch.float64) -> None:
    """A search by kernels, and one without, of the same games."""
    state, before = mixed_positions(game, games), WAYS.copy()
    mine = search(game, state, network(game, dtype), config, seed=2)
    assert WAYS - before == Counter(kernels=1)
    kernels.DEVICES.clear()
    theirs = search(game, state, network(game, dtype), config, seed=2)
    assert WAYS - before == Counter(kernels=1, eager=1)
    assert_same(mine, theirs)
    assert mine.evaluations == theirs.evaluations


@interpreted
@pytest.mark.parametrize("named", EVERY, ids=str)
def test_every_game(by_kernels, named: Named, tmp_path: Path) -> None:
    assert_equal_searches(named.make(tmp_path), replace(CONFIG, worlds=1), games=6, dtype=torch.float32)


@interpreted
@pytest.mark.parametrize(
    "form", ["three leaves", *(pytest.param(f, marks=pytest.mark.slow) for f in ("gumbel", "merged", "shared"))]
)
def test_every_form_of_search(by_kernels, form: str) -> None:
    assert_equal_searches(Blob(cards=5), FORMS[form], games=6)


@interpreted
@pytest.mark.slow
def test_full_hands(by_kernels) -> None:
    assert_equal_searches(Blob(cards=13), replace(CONFIG, simulations=16), games=20)


@interpreted
def test_what_is_no_number_stays_in_its_lane(by_kernels) -> None:
    """It must not lead to a slot beyond the node's, which is another tree's."""
    game, config = Blob(cards=2), replace(CONFIG, worlds=1)
    tree = planted(game, torch.float32, config, 4)[0]
    lame = int(tree.open[: tree.trees].nonzero()[0, 0])
    tree.prior[lame], tree.own_value[lame] = torch.nan, torch.nan
    clean = copied(tree)
    walk = by_kernels.descend(game, tree, 1, 1, config)
    assert walk.edge[0, lame] == lame * tree.slots
    tree.visits[lame] = clean.visits[lame]
    started = clean.open[: tree.trees].clone()
    started[lame] = False
    assert torch.equal(tree.visits.sum(-1)[: tree.trees], started.to(tree.visits.dtype))


def test_without_triton_tensors_go_on_and_one_line_says_so(monkeypatch, caplog) -> None:
    game = Blob(cards=2)
    state, before = mixed_batch(game, 5, seed=6), WAYS.copy()
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "vecmcts.kernels.tree", raising=False)
    monkeypatch.delattr(kernels, "tree", raising=False)
    with caplog.at_level(logging.WARNING, "vecgame.fallback"):
        found = [search(game, state, network(game), CONFIG) for _ in range(2)]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and said[0].startswith("searches on cpu go on without kernels: ") and "triton" in said[0]
    assert WAYS - before == Counter(eager=2)
    assert_same(*found)


@interpreted
def test_a_kernel_that_cannot_be_built_is_done_without(by_kernels, monkeypatch, caplog) -> None:
    def fail(tree: Tree) -> None:
        raise RuntimeError("Failed to find C compiler\nand a long explanation")

    monkeypatch.setattr(by_kernels, "build", fail)
    monkeypatch.setattr(kernels, "_built", set())
    game, before = Blob(cards=2), WAYS.copy()
    with caplog.at_level(logging.WARNING, "vecgame.fallback"):
        search(game, mixed_batch(game, 5, seed=6), network(game), CONFIG)
    assert [record.getMessage() for record in caplog.records] == [
        "searches on cpu go on without kernels: Failed to find C compiler"
    ]
    assert WAYS - before == Counter(eager=1)


def test_a_cpu_has_no_kernels(monkeypatch) -> None:
    monkeypatch.undo()
    game, before = Blob(cards=2), WAYS.copy()
    search(game, game.deal(2), network(game), CONFIG)
    assert WAYS - before == Counter(eager=1)

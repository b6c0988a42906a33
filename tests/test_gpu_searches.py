"""On a GPU every kind of search finds what it finds on a CPU, in every kind of game, and waits for nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from net import BlobNet, Float8Net, InferenceNet, NetConfig, float8_products
from tests.emulated_gpu import sized
from tests.positions import mixed_batch
from tests.test_search_lanes import FIELDS, assert_same
from vecgame import Blob, BlobMatch, Game, State, make_game
from vecgame.contract import mixed_positions
from veclab.arena.bots import FlatMonteCarlo, RandomBot
from vecmcts import IsmctsConfig, Past, PlayoutEvaluator, SearchConfig, SearchResult, ismcts, search
from vecmcts.endgame import solve
from vecmcts.evaluators import as_evaluator
from vecmcts.search import _search

pytestmark = pytest.mark.gpu
CONFIG = SearchConfig(worlds=2, simulations=4, noise_fraction=0.25)
SEARCHES = {
    "shared": replace(CONFIG, root_selection="shared"),
    "gumbel": replace(CONFIG, root_selection="gumbel", noise_fraction=0.0),
    "merged moves": replace(CONFIG, merge_equivalent=True),
    "three leaves": replace(CONFIG, leaves_per_step=3),
    "one world": replace(CONFIG, worlds=1, simulations=8),
}
GAMES = {
    "blob": Blob(cards=5),
    "blob, 3 players": Blob(cards=2, players=3, trump="turned"),
    "blob, 5 players": Blob(cards=2, players=5, trump="turned"),
    "match": BlobMatch(cards=2),
    "hearts, passing": make_game("hearts", passing="left"),
    "euchre": make_game("euchre"),
    "spades": make_game("spades"),
    "whist": make_game("whist"),
}


def small(game: Game, critic: bool = False, values: int | None = None) -> BlobNet:
    torch.manual_seed(0)
    heads = {"critic": (game.seats - 1) * 52} if critic else {}
    sizes = {"dim": 32, "layers": 1, "heads": 4, "ffn": 64, "policy_hidden": 32, "value_hidden": 16, **heads}
    rows = {"observation": game.features, "actions": game.num_actions, "values": values or game.seats}
    return BlobNet(NetConfig(**sizes, **rows))


def network(game: Game, device: str, **heads: object) -> InferenceNet:
    """The same weights on both devices, in float64, so that both choose alike."""
    return InferenceNet(small(game, **heads).to(device), torch.float64)


def positions(game: Game) -> State:
    """Games at all stages."""
    return mixed_positions(game, sized(200, 6))


def moved(result: SearchResult) -> SearchResult:
    assert all(getattr(result, name).device.type == "cuda" for name in FIELDS)
    return SearchResult(*(getattr(result, name).cpu() for name in (*FIELDS, "evaluations")))


def assert_a_gpu_agrees(work: Callable[[State, str], SearchResult], state: State) -> None:
    """The work, given the games and their device, finds the same on both."""
    expected, found = work(state, "cpu"), moved(work(state.to("cuda"), "cuda"))
    assert_same(found, expected, atol=1e-9)
    assert int(found.evaluations) == int(expected.evaluations)


@pytest.mark.parametrize("name", GAMES)
def test_games(name: str) -> None:
    game = GAMES[name]
    assert_a_gpu_agrees(lambda state, device: search(game, state, network(game, device), CONFIG, 7), positions(game))


@pytest.mark.parametrize("name", SEARCHES)
def test_kinds_of_search(name: str) -> None:
    game = Blob(cards=4)
    assert_a_gpu_agrees(
        lambda state, device: search(game, state, network(game, device), SEARCHES[name], 7), positions(game)
    )


def test_candidates() -> None:
    """Worlds by how likely they make what was bid and played, together with the other options."""
    game = Blob(cards=3)
    config = replace(CONFIG, candidates=3, root_selection="shared", merge_equivalent=True)
    state, past = game.deal(sized(200, 6), 5), Past.none(game, sized(200, 6))
    for _ in range(5):
        action = RandomBot().act(game, state, 3)
        past, state = past.then(state, action), game.step(state, action)

    def work(state: State, device: str) -> SearchResult:
        told = Past(tuple(before.to(device) for before in past.states), past.actions.to(device))
        return search(game, state, network(game, device), config, 7, past=told)

    assert_a_gpu_agrees(work, state)


@pytest.mark.parametrize("heads", [{"critic": True}, {"values": 1}], ids=["critic", "scalar"])
def test_other_heads(heads: dict[str, object]) -> None:
    game = Blob(cards=3)
    assert_a_gpu_agrees(
        lambda state, device: search(game, state, network(game, device, **heads), CONFIG, 7), positions(game)
    )


def test_playouts() -> None:
    game, config = Blob(cards=2), replace(CONFIG, simulations=2)
    assert_a_gpu_agrees(lambda state, device: search(game, state, PlayoutEvaluator(2), config, 7), positions(game))


def test_one_tree_over_all_worlds() -> None:
    game = Blob(cards=3)
    assert_a_gpu_agrees(
        lambda state, device: ismcts(game, state, network(game, device), IsmctsConfig(simulations=5), 7),
        positions(game),
    )


def test_endgames_are_solved_alike() -> None:
    game = Blob(cards=2, suits=2, ranks=5)
    state = game.play_forced(mixed_batch(game, sized(100, 6), seed=2))
    here, there = solve(game, state), solve(game, state.to("cuda"))
    for name, tensor in vars(here).items():
        torch.testing.assert_close(getattr(there, name).cpu(), tensor, rtol=0, atol=1e-6, equal_nan=True)


def test_flat_monte_carlo_acts_alike() -> None:
    game = Blob(cards=3)
    state = positions(game)
    assert torch.equal(FlatMonteCarlo(3).act(game, state.to("cuda"), 1).cpu(), FlatMonteCarlo(3).act(game, state, 1))


def test_a_float8_network_is_searched() -> None:
    """Its rounding is its own, so that the results are compared in the mean only."""
    if not float8_products(torch.device("cuda")):
        pytest.skip("this GPU multiplies no 8-bit floats")
    game = Blob(cards=4)
    state = positions(game)
    rows = game.observe(mixed_positions(game, 500))
    form = Float8Net(small(game).to("cuda"), rows.to("cuda"))
    found = moved(search(game, state.to("cuda"), form, CONFIG, 7))
    expected = search(game, state, network(game, "cpu"), CONFIG, 7)
    assert (found.value - expected.value).abs().mean() < 0.02


def test_nothing_waits_once_the_worlds_are_drawn() -> None:
    """By torch's own debug mode, for the kinds of search that `tests.test_search_sync` does not have."""
    game = Blob(cards=2)
    state, net = positions(game).to("cuda"), network(game, "cuda")
    for name in ("shared", "gumbel"):
        config = replace(SEARCHES[name], simulations=2)
        drawn = game.determinize(state, config.worlds, 7)
        _search(game, state, drawn, None, as_evaluator(net), config, 7)
        torch.cuda.set_sync_debug_mode("error")
        try:
            _search(game, state, drawn, None, as_evaluator(net), config, 7)
        finally:
            torch.cuda.set_sync_debug_mode("default")

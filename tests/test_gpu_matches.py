"""Matches, evaluations, best responses and the benchmarks' parts on a GPU: the same figures as on a CPU, where they are
no timings."""

import pytest
import torch
from torch.utils._pytree import tree_flatten

import veclab.bench.parts as parts
import veclab.bench.selfplay as self_play_benchmark
from net import InferenceNet
from tests.emulated_gpu import gpu_way, sized
from tests.runs import quiet
from tests.test_gpu_searches import network, small
from vecgame import Blob, make_game
from veclab.arena.best_response import best_response, network_policy, player_policy
from veclab.arena.bots import IsmctsPlayer, NetworkPlayer, Player, RandomBot, RuleBot, search_player
from veclab.arena.evaluate import evaluate, results_json
from veclab.arena.matches import play_match
from veclab.bench.agreement import agreement, comparable
from veclab.bench.people import waiting, ways_of
from vecmcts import IsmctsConfig, SearchConfig

pytestmark = pytest.mark.gpu
CONFIG = SearchConfig(worlds=2, simulations=2)
GAME = Blob(cards=1, ranks=4)
PLAYERS = {
    "network": lambda device: NetworkPlayer(network(GAME, device)),
    "search": lambda device: search_player(network(GAME, device), CONFIG),
    "candidates": lambda device: search_player(network(GAME, device), SearchConfig(2, 2, candidates=3)),
    "IS-MCTS": lambda device: IsmctsPlayer(network(GAME, device), IsmctsConfig(simulations=2)),
}
GPU = torch.device("cuda")


def assert_near(here: object, there: object) -> None:
    """That figures are the same but for the last bits of means, which each device takes in its own order."""
    (ours, shape), (theirs, other) = tree_flatten(here), tree_flatten(there)
    assert shape == other and ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAYERS)
def test_matches_end_alike(name: str) -> None:
    """Against the rule-based bot."""

    def match(device: str) -> dict[str, object]:
        return play_match([GAME], PLAYERS[name](device), RuleBot(), sized(50, 2), 3, device).to_dict()

    assert_near(match("cuda"), match("cpu"))


def test_partners_meet_alike() -> None:
    game = make_game("whist", cards=2, trump="random")

    def match(device: str) -> dict[str, object]:
        player = NetworkPlayer(network(game, device))
        return play_match([game], player, RandomBot(), sized(50, 3), 3, device).to_dict()

    assert_near(match("cuda"), match("cpu"))


@pytest.mark.slow
def test_evaluations_are_alike() -> None:
    players: list[Player] = [RuleBot(), RandomBot()]
    here, there = (
        evaluate([GAME, Blob(cards=2)], players, [RandomBot()], sized(50, 3), 1, device, quiet())
        for device in (torch.device("cpu"), GPU)
    )
    assert_near(results_json(here), results_json(there))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network", "rules"])
def test_best_responses_gain_alike(name: str) -> None:
    game = Blob(cards=1, suits=2, ranks=3)

    def gains(device: str) -> dict[str, object]:
        policy = network_policy(network(game, device)) if name == "network" else player_policy(RuleBot())
        return best_response(game, policy, device).to_dict()

    here, there = gains("cpu"), gains("cuda")
    for figure, number in here.items():
        assert there[figure] == pytest.approx(number, abs=1e-9)


@pytest.fixture
def no_large_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulation does not measure the peak of matrix products, which takes a CPU minutes."""
    if sized(False, True):
        monkeypatch.setattr(parts, "matmul_peak", lambda dtype, device: 1e12)


@pytest.mark.slow
@pytest.mark.usefixtures("no_large_product")
def test_parts_are_measured() -> None:
    config = small(GAME).config
    rates = [
        parts.engine(GAME, sized(1000, 3), GPU, 1),
        *[parts.network(GAME, config, 64, precision, GPU, 1) for precision in ("float32", "bfloat16")],
        parts.searches(GAME, sized(1000, 3), CONFIG, GPU, 1),
        *[parts.learning(config, "small", 16, dtype, GPU, 1) for dtype in parts.precisions(GPU)],
    ]
    assert all(rate.per_second > 0 for rate in rates)


def test_arithmetics_are_compared() -> None:
    compared = agreement(small(GAME).to("cuda"), GAME, CONFIG, sized(100, 3), comparable(GPU), GPU)
    found = [row for row, ways in compared if ways == {gpu_way(): 1}]
    assert {row.precision for row in found} >= {"float32", "bfloat16"}
    exact = next(row for row in found if row.precision == "float32")
    assert exact.same_action == 1 and exact.value_error == 0


def test_one_games_searches_are_measured_once_recorded() -> None:
    """Alone, for the table's agents think on the CPU."""
    net = InferenceNet(small(GAME).to("cuda"), torch.float32)
    (way,) = ways_of(GAME, net, CONFIG, GPU)
    row = waiting(GAME, net, way, 1, 2, GPU)
    assert row.ways == {gpu_way(graph=True): row.decisions} and row.player == "search 2x2" and row.rows is None
    assert not row.as_played and row.settled and row.asked == "kernels graph"


@pytest.mark.slow
def test_self_play_is_measured() -> None:
    net = InferenceNet(small(GAME).to("cuda"), torch.float32)
    play = self_play_benchmark.Play(GAME, net, CONFIG, GPU)
    rows = list(self_play_benchmark.timed_self_play(play, sized(200, 3), counted := {}))
    assert rows[-1].settled and set(rows[-1].ways) == {gpu_way(graph=True)} and rows[-1].games_per_minute > 0
    detail = self_play_benchmark.detail(play, rows[-1], counted)
    assert detail.rows_per_game >= rows[-1].evaluations_per_game and detail.limit_by_rows > 0
    assert sum(detail.shares.values()) == pytest.approx(1)

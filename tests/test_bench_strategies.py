"""The benchmark of the four strategies: where its networks run, and what is of no row."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from vecgame import Blob
from veclab.bench import selfplay, strategies
from veclab.bench.selfplay import Play
from veclab.bench.strategies import VECTORISED, Plan
from veclab.bench.tables import deviations
from vecmcts import SearchConfig
from vecmcts import graphs as recordings
from vecmcts.search import WAYS

NET = BlobNet(NetConfig(dim=16, layers=1, heads=2, ffn=16, policy_hidden=8, value_hidden=8))
TERMS = NET, Blob(cards=1), SearchConfig(worlds=1, simulations=2)
PLAN = Plan("4. two games at once", VECTORISED, games=2, batched=True)


class BegunError(Exception):
    """Raised where games would be played."""


def test_networks_are_where_the_games_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """They had stayed on the CPU, where the caller has made the network, whatever the device of the games."""
    where: list[tuple[torch.device, str]] = []

    def play_once(play: Play, games: int, **rest: int) -> None:
        where.append((play.network.device, str(play.device)))
        raise BegunError

    monkeypatch.setattr(strategies, "play_once", play_once)
    device = torch.device("meta")
    with pytest.raises(BegunError):
        strategies.mean_evaluations(*TERMS, device)
    with pytest.raises(BegunError):
        strategies.vectorised(PLAN, *TERMS, 1.0, device)
    assert where == [(device, "meta")] * 2 and NET.position.device.type == "cpu"


def test_a_mean_game_is_measured_before_the_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its 256 games at once would count as the time and memory of a row of one."""
    begun: list[str] = []
    monkeypatch.setattr(strategies, "mean_evaluations", lambda *terms: begun.append("mean") or 1.0)
    monkeypatch.setattr(strategies, "vectorised", lambda *terms: begun.append("row"))
    rows = strategies.measure_strategies([PLAN], *TERMS, 0.0, torch.device("cpu"))
    assert begun == ["mean"]
    assert list(rows) == [None] and begun == ["mean", "row"]


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([{"eager": 3, "graph": 1}, {"graph": 4}, {"graph": 4}, {"graph": 4}], []),
        ([{"eager": 4}, {"eager": 4}, {"eager": 4}], ["searches ran eager, not graph"]),  # recording has failed
    ],
)
def test_no_recording_is_timed(batches: list, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where searches are recorded, at the second use of a size: the games of the warm-up are as many as those timed."""
    left, asked, clock = list(batches), [], [0.0]

    def self_play(*arguments: object, **options: object) -> SimpleNamespace:
        WAYS.update(left.pop(0))
        asked.append(arguments[3])
        clock[0] += 9.0 if left else 0.5
        return SimpleNamespace(evaluations=80)

    monkeypatch.setattr(recordings, "DEVICES", frozenset({"cpu"}))
    monkeypatch.setattr(selfplay, "self_play", self_play)
    monkeypatch.setattr(selfplay.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(strategies, "CountingNetwork", lambda network: SimpleNamespace(batches=[1]))
    row = strategies.vectorised(Plan("4.", VECTORISED, games=100), *TERMS, 0.5, torch.device("cpu"))
    assert asked == [100] * len(batches) and not left
    assert row.games == 100 and row.games_per_minute == 60 * 100 / 0.5 and row.ways == batches[-1]
    assert row.settled and row.asked == "graph" and deviations({**asdict(row), "fell_back": []}) == told


def test_few_games_warm_up_where_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(strategies, "play_once", lambda play, games: asked.append(games))
    play = Play(TERMS[1], InferenceNet(NET), TERMS[2], torch.device("cpu"))
    for games in (100, 3):
        strategies.warm_up(play, games)
    assert asked == [64, 3]

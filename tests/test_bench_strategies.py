"""The benchmark of the four strategies: where its networks run, and what is of no row."""

import pytest
import torch

from net import BlobNet, NetConfig
from vecgame import Blob
from veclab.bench import strategies
from veclab.bench.selfplay import Play
from veclab.bench.strategies import VECTORISED, Plan
from vecmcts import SearchConfig

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

"""Networks, settings and comparisons for self-play of the scalar reference."""

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from veclab.reference import mcts, selfplay
from veclab.reference.measure import Settings
from veclab.reference.rules import Rules
from veclab.reference.selfplay import PlayConfig

TINY = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
PLAY = PlayConfig(worlds=2, search=mcts.SearchConfig(simulations=8))
TOGETHER = PlayConfig(worlds=2, search=mcts.SearchConfig(simulations=8), worlds_together=True)
THREE = Rules(cards=3)


def tiny_net(seed: int = 0, **changes: int) -> BlobNet:
    """A network with opinions: as it begins, its policy is nearly uniform and its values nearly equal."""
    torch.manual_seed(seed)
    net = BlobNet(NetConfig(**(TINY.to_dict() | changes)))
    with torch.no_grad():
        net.policy_out.weight.mul_(30)
        net.value_out.weight.mul_(10)
    return net


def inference_net(dtype: torch.dtype = torch.float64, **changes: int) -> InferenceNet:
    return InferenceNet(tiny_net(**changes), dtype)


def settings(play: PlayConfig = PLAY, **changes: object) -> Settings:
    return Settings(**({"rules": THREE, "play": play, "seed": 3, "dtype": torch.float64} | changes))


def assert_same_games(games: dict[int, selfplay.GameResult], expected: dict[int, selfplay.GameResult]) -> None:
    assert games.keys() == expected.keys()
    for number, game in expected.items():
        other = games[number]
        assert other.scores == game.scores and other.evaluations == game.evaluations
        assert [(d.action, d.visits) for d in other.decisions] == [(d.action, d.visits) for d in game.decisions]
        for one, two in zip(other.examples, game.examples, strict=True):
            assert one.observation == two.observation
            assert one.policy == pytest.approx(two.policy, abs=1e-4)

"""What values tell of how games end, beside how much there is to tell."""

import json
from dataclasses import replace

import pytest
import torch

from net import BlobNet, NetConfig
from tests.runs import quiet
from vecgame import Blob, identity
from veclab.agents.checkpoint import save_network
from veclab.bench import values
from veclab.bench.values import Explained, measure, share

GAME = Blob(cards=2, players=2)
SMALL = NetConfig(32, 1, 4, 64, GAME.features, GAME.num_actions, GAME.seats, 32, 16)


class Knowing(BlobNet):
    """Its policy is to take the first legal action, and its values are how the game then ends."""

    def forward(self, obs, legal_mask=None, tricks=False, hidden=None):
        logits, other = super().forward(obs)
        known = self.known if len(obs) == len(self.known) else other
        return -1e4 * torch.arange(logits.shape[1]).expand_as(logits).float(), known


def network(kind: type[BlobNet] = BlobNet, **changes: int) -> BlobNet:
    torch.manual_seed(0)
    return kind(replace(SMALL, **changes)).eval()


def rows_of(net: BlobNet, **ways: int) -> list[Explained]:
    return list(measure(net, GAME, **{"deals": 200, "times": 8, "every": 2, **ways}, display=quiet()))


def test_there_is_more_to_tell_the_later_it_is_and_random_weights_tell_nothing() -> None:
    rows = rows_of(network(critic=52))
    assert [row.decisions for row in rows] == [0, 2, 4]
    most = [row.most.mean for row in rows]
    assert -0.1 < most[0] < most[-1] and all(row.most.mean <= 1 for row in rows)
    assert all(row.value.mean < 0.1 and row.critic.mean < 0.1 and row.positions == 200 for row in rows)
    assert all(row.critic is None for row in rows_of(network(), every=4))


def test_who_knows_the_end_tells_all_of_it() -> None:
    net = network(Knowing)
    state = GAME.deal(40, first_index=values.FIRST_INDEX)
    mover, end = GAME.mover(state), state
    while not GAME.is_terminal(end).all():
        end = GAME.step(end, GAME.legal_actions(end)[:, 0])
    net.known = GAME.values(end).gather(1, mover[:, None]).expand(-1, GAME.seats)
    generator = torch.Generator().manual_seed(0)
    row = values.explained(net, GAME, state, 2, 0, generator)
    assert row.value.mean == pytest.approx(1, abs=1e-6) and row.most.mean == pytest.approx(1, abs=1e-6)


def test_intervals_hold_the_share_as_often_as_they_say() -> None:
    """Errors are half of the spread in the mean: of 300 intervals at 95% some 15 miss that; 30 would be 4 sigma."""
    generator, missed = torch.Generator().manual_seed(0), 0
    for _ in range(300):
        spread = torch.rand(200, generator=generator) + 0.5
        errors = spread * torch.rand(200, generator=generator)
        found = share(errors, spread)
        missed += abs(found.mean - 0.5) > found.half
    assert 4 < missed < 30


def test_the_command(tmp_path, capsys) -> None:
    path = tmp_path / "network.safetensors"
    save_network(path, network(critic=52), {"games": [identity(GAME)]})
    flags = ["--deals", "20", "--times", "4", "--every", "3", "--json", str(tmp_path / "values.json")]
    assert values.main([str(path), *flags]) == 0
    assert "shares of the variance of the mover's result" in capsys.readouterr().out
    stored = json.loads((tmp_path / "values.json").read_text())
    assert [row["decisions"] for row in stored["results"]] == [0, 3] and stored["complete"]
    assert values.main([str(path), "--times", "1"]) == 2
    assert "--times must be at least 2, got 1" in capsys.readouterr().err

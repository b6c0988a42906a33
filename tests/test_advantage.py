"""What actions are judged by: generalised advantage estimation against a loop over one player's decisions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from net import BlobNet, InferenceNet, NetConfig
from vecgame import Blob
from vecgame.games.hearts import Hearts
from veclab.arena.bots import RuleBot
from veclab.exploit.rollout import play_against
from veclab.training import policy_gradient
from veclab.training.advantage import advantages

CPU = torch.device("cpu")


def of_one(values: list[float], result: float, gae_lambda: float) -> list[float]:
    """The advantages at one player's decisions, as the paper's sum over all that comes later (its equation 16)."""
    errors = [after - value for value, after in zip(values, [*values[1:], result], strict=True)]
    return [sum(gae_lambda**i * error for i, error in enumerate(errors[k:])) for k in range(len(errors))]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_players_advantages_are_those_of_its_own_decisions(data: st.DataObject) -> None:
    """Players decide at some of the times, in any order; numbers that are never used stand between theirs."""
    players, times = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    movers = [data.draw(st.lists(st.integers(0, players - 1), unique=True)) for _ in range(times)]
    player = torch.tensor([mover for at in movers for mover in at], dtype=torch.int64)
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    baseline = torch.rand(len(player), generator=random)
    results = torch.rand(players, generator=random)
    gae_lambda = data.draw(st.sampled_from((0.0, 0.3, 0.7, 1.0)))
    found = advantages(baseline, results[player], player, players, [len(at) for at in movers], gae_lambda)
    for one in set(player.tolist()):
        rows = player == one
        expected = of_one(baseline[rows].tolist(), float(results[one]), gae_lambda)
        assert found[rows].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("game", [Blob(cards=3), Blob(cards=2, players=6), Hearts()], ids=repr)
def test_a_rollout_has_the_advantages_of_its_games(game: Blob | Hearts) -> None:
    """In one piece and in chunks; who decides in which game is no field of a rollout, so the games are played again."""
    network = InferenceNet(BlobNet(config_of(game)), dtype=torch.float32)
    whole, parts = (
        policy_gradient.play(game, network, 12, 1, 0, CPU, chunk_games=size, gae_lambda=0.6) for size in (0, 5)
    )
    assert torch.allclose(whole.advantage, parts.advantage, atol=1e-5)
    alone = policy_gradient.play(game, network, 12, 1, 0, CPU)  # judged by the result less the baseline
    baseline = alone.value[:, 0] - alone.advantage
    state, decided = game.deal(12, seed=1), []
    for _ in range(game.decisions):
        actions = game.legal_actions(state)
        lanes = (actions[:, 1] >= 0).nonzero()[:, 0]
        decided += [(int(lane), int(game.mover(state)[lane])) for lane in lanes]
        columns = whole.column[len(decided) - len(lanes) : len(decided)]
        slots = (game.policy_columns(state, actions)[lanes] == columns[:, None]) & (actions[lanes] >= 0)
        action = actions[:, 0].index_copy(0, lanes, actions[lanes].gather(1, slots.int().argmax(-1)[:, None])[:, 0])
        state = game.step(state, action)
    assert len(decided) == len(whole.advantage)
    values = game.values(state)
    for player in set(decided):
        rows = [row for row, other in enumerate(decided) if other == player]
        expected = of_one(baseline[rows].tolist(), float(values[player]), 0.6)
        assert whole.advantage[rows].tolist() == pytest.approx(expected, abs=1e-5)


def config_of(game: Blob | Hearts) -> NetConfig:
    sizes = NetConfig(dim=32, layers=1, heads=2, ffn=32, policy_hidden=16, value_hidden=16)
    fields = sizes.to_dict() | {"observation": game.features, "actions": game.num_actions, "values": game.seats}
    return NetConfig(**fields)


def test_an_exploiters_actions_are_judged_alike() -> None:
    """With 1 by the results; with less by what its seat expects next, where there is a next decision."""
    game = Blob(cards=3)
    network = InferenceNet(BlobNet(config_of(game)), dtype=torch.float32)
    plain, nearer = (play_against(game, network, RuleBot(), 40, 0, 7, CPU, gae_lambda) for gae_lambda in (1.0, 0.0))
    results, expected = plain.value[:, 0], network(plain.observation)[1][:, 0]
    assert torch.allclose(plain.advantage, results - expected, atol=1e-5)
    assert torch.equal(plain.column, nearer.column)
    after = nearer.advantage + expected  # the value of a seat's next position, or after its last decision the result
    last = torch.isclose(after, results, atol=1e-5)
    assert 0 < last.sum() < len(after) and torch.isclose(after[~last, None], expected, atol=1e-5).any(-1).all()

"""The policy that the learning one is held near to."""

from __future__ import annotations

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from vecgame import Blob
from vecgame.cards import unpack_mask
from veclab.presets import from_flags
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.learner import Learner
from veclab.training.magnet import Magnet

CPU = torch.device("cpu")
GAME = Blob(cards=3)
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


def learner_of(**changes: object) -> Learner:
    learner = Learner(Settings(**{"cards": "3", "update_batch": 256, **changes}), SMALL, CPU)
    learner.amp = torch.float32
    return learner


def rollout_of(learner: Learner) -> policy_gradient.Rollout:
    return policy_gradient.play(GAME, InferenceNet(learner.net, dtype=torch.float32), 64, 7, 0, CPU)


def divergence(learner: Learner, before: Magnet, rollout: policy_gradient.Rollout) -> float:
    """Mean KL(policy || before) over the decisions of a rollout, nats."""
    now = Magnet(learner.net).log_policy(rollout.observation, rollout.legal)
    mask = unpack_mask(rollout.legal, SMALL.actions)
    then = before.log_policy(rollout.observation, rollout.legal)
    return float((now.exp() * (now - then) * mask).sum(-1).mean())


def test_its_policy_is_the_networks_own() -> None:
    net = BlobNet(SMALL)
    rollout = rollout_of(learner_of())
    found = Magnet(net).log_policy(rollout.observation, rollout.legal)
    mask = unpack_mask(rollout.legal, SMALL.actions)
    with torch.no_grad():
        expected = net(rollout.observation)[0].masked_fill(~mask, -torch.inf).softmax(-1)
    assert torch.allclose(torch.where(mask, found.exp(), 0.0), expected, atol=1e-6)
    assert bool((found[~mask] == 0).all()) and not found.requires_grad


def test_it_follows_so_far_as_it_is_told() -> None:
    first, second = BlobNet(SMALL), BlobNet(SMALL)
    magnet = Magnet(first)
    magnet.follow(second, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(magnet.net.parameters(), first.parameters(), strict=True))
    magnet.follow(second, 0.25)
    for here, a, b in zip(magnet.net.parameters(), first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(here, 0.75 * a + 0.25 * b, atol=1e-6)
    magnet.follow(second, 1.0)
    assert all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(magnet.net.parameters(), second.parameters(), strict=True)
    )


def test_where_the_policy_is_the_magnet_nothing_pulls() -> None:
    """The divergence has its least value there, so that the first step is that of a learner without."""
    rollout = rollout_of(learner_of())
    step = {"update_batch": len(rollout.legal), "update_epochs": 1}
    with_it, without = (learner_of(**step, magnet=magnet) for magnet in (5.0, 0.0))
    for learner in (with_it, without):
        policy_gradient.update(learner, rollout, 0.01, seed=1)
    assert with_it.steps == without.steps == 1
    for a, b in zip(with_it.parameters, without.parameters, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_it_holds_the_policy_near() -> None:
    """Twenty updates at a high rate, from the same weights and of the same games."""
    found = {}
    for weight in (0.0, 3.0):
        learner = learner_of(learning_rate=3e-3, magnet=weight)
        first, rollout = Magnet(learner.net), rollout_of(learner)
        for number in range(20):
            policy_gradient.update(learner, rollout, 0.0, seed=number)
        found[weight] = divergence(learner, first, rollout)
    assert found[3.0] < 0.2 * found[0.0]


def test_it_moves_at_every_update_and_is_kept() -> None:
    learner = learner_of(magnet=0.1, magnet_rate=0.5)
    first = {name: tensor.clone() for name, tensor in learner.magnet.net.state_dict().items()}
    rollout = rollout_of(learner)
    for number in range(2):  # the first begins where the policy is
        policy_gradient.update(learner, rollout, 0.01, seed=number)
    kept = learner.state_dict()
    assert any(not torch.equal(kept[f"magnet.{name}"], tensor) for name, tensor in first.items())
    other = learner_of(magnet=0.1, magnet_rate=0.5)
    other.load_state_dict({name: tensor.clone() for name, tensor in kept.items()})
    assert all(torch.equal(tensor, kept[name]) for name, tensor in other.state_dict().items())


def test_it_begins_as_the_network_that_a_run_begins_with() -> None:
    learner, net = learner_of(magnet=0.1), BlobNet(SMALL)
    learner.begin_with(net)
    assert all(torch.equal(a, b) for a, b in zip(learner.magnet.net.parameters(), net.parameters(), strict=True))
    assert learner_of().magnet is None and not any("magnet" in name for name in learner_of().state_dict())


def test_a_rate_without_a_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--magnet-rate 0\.1 would change nothing without --magnet"):
        from_flags("quick", {"magnet_rate": 0.1})

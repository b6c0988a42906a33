"""Decisions are drawn by how much they teach, and count so that all have the weight that they would have without."""

import statistics
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from net import InferenceNet, NetConfig
from vecgame import Blob
from vecgame.cards import unpack_mask
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.importance import EVEN, sampling_by, teaches
from veclab.training.learner import Learner

CPU = torch.device("cpu")
OFFSETS = [(place + 0.5) / 2000 for place in range(2000)]


def heavy_tailed(count: int, seed: int = 0) -> Tensor:
    """As decisions are: few teach much, many nothing."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator).pow(8) * torch.randn(count, generator=generator).abs()


@given(st.integers(1, 300), st.floats(0.001, 1), st.integers(0, 1000), st.sampled_from([0.0, 1.0, 30.0]))
@settings(deadline=None)
def test_chances_are_chances_and_weights_are_bounded(count: int, share: float, seed: int, scale: float) -> None:
    sampling = sampling_by(scale * heavy_tailed(count, seed), share)
    assert sampling.count == max(1, round(share * count))
    assert float(sampling.chance.min()) > 0 and float(sampling.chance.max()) <= 1
    assert float(sampling.chance.sum()) == pytest.approx(sampling.count)
    assert float(sampling.weight.max()) <= 1 / EVEN + 1e-5
    drawn = sampling.draw(0.3)
    assert drawn.shape == (sampling.count,) and len(drawn.unique()) == sampling.count
    assert bool((drawn.diff() > 0).all())


def test_what_teaches_more_is_drawn_more_often_and_the_most_always() -> None:
    worth = heavy_tailed(1000)
    sampling = sampling_by(worth, 0.25)
    order = worth.argsort()
    assert bool((sampling.chance[order].diff() >= 0).all())
    assert float(sampling.chance[order[-1]]) == 1.0 and float(sampling.chance[order[0]]) < 0.25
    plain = worth < worth.median()  # of these chances are in proportion
    ratio = sampling.chance / (EVEN + (1 - EVEN) * worth / worth.mean())
    torch.testing.assert_close(ratio[plain], ratio[plain][:1].expand(int(plain.sum())))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
def test_every_decision_is_drawn_as_often_as_its_chance_says(share: float) -> None:
    sampling = sampling_by(heavy_tailed(150), share)
    found = torch.zeros(150, dtype=torch.float64)
    for offset in OFFSETS:
        found[sampling.draw(offset)] += 1
    # A decision is drawn by the offsets in a stretch as long as its chance, of which there are so many or one more.
    assert float((found / len(OFFSETS) - sampling.chance).abs().max()) <= 1.001 / len(OFFSETS)


def test_the_mean_over_draws_is_the_mean_over_all_with_less_spread_than_even_draws() -> None:
    """2,000 draws, the decisions in another order each time; the mean is within four of its standard errors."""
    generator, worth = torch.Generator().manual_seed(5), heavy_tailed(400)
    numbers = worth.double() * torch.randn(400, generator=generator)
    orders = [torch.randperm(400, generator=generator) for _ in OFFSETS]
    spreads = []
    for weights in (worth, torch.ones(400)):
        found = []
        for order, offset in zip(orders, OFFSETS, strict=True):
            sampling = sampling_by(weights[order], 0.25)
            drawn = sampling.draw(offset)
            found.append(float((sampling.weight.double() * numbers[order])[drawn].mean()))
        mean, spread = statistics.fmean(found), statistics.stdev(found)
        assert abs(mean - float(numbers.mean())) < 4 * spread / len(found) ** 0.5
        spreads.append(spread)
    assert spreads[0] < spreads[1] / 2


@pytest.mark.parametrize("worth", [torch.zeros(7), torch.ones(7), heavy_tailed(7)])
def test_a_share_of_one_is_every_decision_once(worth: Tensor) -> None:
    sampling = sampling_by(worth, 1.0)
    assert sampling.weight.tolist() == [1.0] * 7
    assert sampling.draw(0.99).tolist() == list(range(7)) == sampling.draw(0.0).tolist()


def test_what_a_decision_teaches_bounds_the_gradient_at_the_policys_output() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = (3 * torch.randn(200, 6, generator=generator)).requires_grad_()
    advantage, action = torch.randn(200, generator=generator), torch.randint(6, (200,), generator=generator)
    log_prob = logits.log_softmax(-1).gather(1, action[:, None])[:, 0]
    (gradient,) = torch.autograd.grad((advantage * log_prob).sum(), logits)
    ratio = gradient.norm(dim=1) / teaches(advantage, log_prob.detach())
    assert float(ratio.min()) >= 1 - 1e-4 and float(ratio.max()) <= 2**0.5 + 1e-4


SEEN = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16, tricks=14, critic=156)


def learner_with_all(**changes: object) -> tuple[Learner, policy_gradient.Rollout]:
    """A learner with every term of the loss, whose policy is not even, and games of it."""
    asked = {"cards": "2", "magnet": 0.5, "tricks_weight": 0.5, "leaf_values": "world", "update_epochs": 1}
    learner = Learner(Settings(**{**asked, **changes}), SEEN, CPU)
    learner.amp = torch.float32
    torch.nn.init.normal_(learner.net.policy_out.weight, std=0.5)
    network = InferenceNet(learner.net, dtype=torch.float32)
    return learner, policy_gradient.play(Blob(cards=2), network, 64, 1, 0, CPU, extras=("tricks", "hidden"))


def test_in_every_term_of_the_loss_a_decision_counts_for_its_weight() -> None:
    """What several come to together is what they do one by one, each times its weight."""
    learner, rollout = learner_with_all()
    torch.nn.init.normal_(learner.net.policy_out.weight, std=0.5)  # another policy than the games', and the magnet's
    read = {**rollout.tensors(), "magnet": learner.magnet.log_policy(rollout.observation, rollout.legal)}
    count, entropy_weight = len(rollout.legal), torch.tensor(0.3)
    weight = torch.rand(count, generator=torch.Generator().manual_seed(4)) * 3

    def losses(weights: Tensor, index: Tensor) -> Tensor:
        loss, figures = policy_gradient._loss(learner, {**read, "weight": weights}, entropy_weight, index, count)
        return torch.cat([loss[None], figures])

    with torch.no_grad():
        together = losses(weight, torch.arange(count))
        alone = torch.stack([losses(torch.ones(count), torch.tensor([number])) for number in range(count)])
    torch.testing.assert_close(together, weight @ alone, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_single_decision_is_learned_from() -> None:
    """Its advantage as it is, for which there is no spread: a good action becomes likelier."""
    learner, rollout = learner_with_all(magnet=0.0)
    one = {name: tensor[:1] for name, tensor in rollout.tensors().items()}
    one["advantage"] = torch.ones(1)
    told = policy_gradient.update(learner, policy_gradient.Rollout(**one, score=0.0, games=1), 0.0, 0)
    assert told["skipped_steps"] == 0 and told["surrogate"] == pytest.approx(1, abs=0.01)
    with torch.no_grad():
        logits = learner.net(one["observation"])[0]
        mask = unpack_mask(one["legal"], SEEN.actions)
        after = logits.masked_fill(~mask, -torch.inf).log_softmax(-1).gather(1, one["column"][:, None])
    assert float(after) > float(one["log_prob"])


def test_an_updates_figures_are_what_its_loss_is_made_of() -> None:
    learner, rollout = learner_with_all(learning_rate=1e-12, update_batch=10**6, magnet_rate=0.0, value_weight=0.7)
    torch.nn.init.normal_(learner.magnet.net.policy_out.weight, std=0.5)  # another policy than the learner's
    losses, descend = [], learner._descend
    learner._descend = lambda loss, gradients: losses.append(float(loss)) or descend(loss, gradients)
    told = policy_gradient.update(learner, rollout, 0.3, 0)
    parts = 0.7 * (told["value_loss"] + told["critic_loss"]) - told["surrogate"] - 0.3 * told["entropy"]
    parts += 0.5 * (told["magnet_divergence"] + told["tricks_loss"])
    assert losses == [pytest.approx(parts, rel=1e-4)] and told["magnet_divergence"] > 0.01
    bare = Learner(Settings(cards="2"), replace(SEEN, tricks=0, critic=0), CPU)
    assert policy_gradient.figures_of(bare) == ["surrogate", "entropy", "value_loss"]


def test_passes_shuffle_the_decisions_and_read_standardised_advantages(monkeypatch) -> None:
    learner, rollout = learner_with_all(update_epochs=2, update_batch=50)
    rollout = replace(rollout, advantage=5 + 3 * rollout.advantage)
    read, _ = policy_gradient._drawn(learner, rollout, torch.Generator())
    expected = (rollout.advantage - rollout.advantage.mean()) / rollout.advantage.std()
    torch.testing.assert_close(read["advantage"], expected, rtol=1e-4, atol=1e-5)
    steps: list[Tensor] = []
    monkeypatch.setattr(learner, "step_in", lambda stretch, index, *_: steps.append(index))
    policy_gradient.update(learner, rollout, 0.0, 0)
    passes = [torch.cat(steps[: len(steps) // 2]).tolist(), torch.cat(steps[len(steps) // 2 :]).tolist()]
    assert len(steps) >= 4 and all(len(set(each)) == len(each) for each in passes)
    assert passes[0] != passes[1] and all(each != sorted(each) for each in passes)
    orders = []
    for seed in (0, 1, 0):
        steps.clear()
        policy_gradient.update(learner, rollout, 0.0, seed)
        orders.append(torch.cat(steps).tolist())
    assert orders[0] == orders[2] != orders[1]


def test_an_updates_figures_are_of_all_decisions_whatever_the_share() -> None:
    """A rate of next to nothing leaves the network as it is; 100 updates, the mean within four of its standard errors.
    Were decisions that are drawn not weighted, they would be of those that the policy is least sure of."""
    learner, rollout = learner_with_all(learning_rate=1e-12, update_share=0.25, update_batch=10**6)
    whole = Learner(replace(learner.settings, update_share=1.0), SEEN, CPU)
    whole.amp = torch.float32
    whole.net.load_state_dict(learner.net.state_dict())
    exact = policy_gradient.update(whole, rollout, 0.0, 0)
    found = [policy_gradient.update(learner, rollout, 0.0, seed) for seed in range(100)]
    for name in ("entropy", "value_loss", "tricks_loss", "critic_loss"):
        own = [figures[name] for figures in found]
        assert abs(statistics.fmean(own) - exact[name]) < 4 * statistics.stdev(own) / len(own) ** 0.5

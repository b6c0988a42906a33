"""The loss, the optimiser's step and the order of examples."""

import math
from dataclasses import replace

import pytest
import torch

from net import InferenceNet, NetConfig
from net.threads import ALONE
from tests.test_search_sync import NoWaiting
from vecgame import Blob
from vecgame.cards import pack_mask
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.learner import SHALLOW, WARM_UP, Learner, Losses, Outputs, learn
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.schedule import FINAL_SHARE, Schedule
from veclab.training.steps import MAX_SKIPPED, NotFiniteError, StepCount

SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
CPU = torch.device("cpu")


def make_learner(net: NetConfig = SMALL, **changes: object) -> Learner:
    learner = Learner(Settings(batch_size=16, **changes), net, CPU)
    learner.amp = torch.float32
    return learner


def make_examples(count: int, seed: int = 0) -> Examples:
    random = torch.Generator().manual_seed(seed)
    legal = torch.randint(1, 1 << 52, (count,), generator=random)
    policy = torch.rand(count, 52, generator=random) * ((legal[:, None] >> torch.arange(52)) & 1)
    return Examples(
        observation=torch.rand(count, 256, generator=random).half(),
        legal=legal,
        policy=(policy / policy.sum(-1, keepdim=True)).half(),
        value=torch.rand(count, 4, generator=random),
    )


def step(learner: Learner, loss: torch.Tensor) -> torch.Tensor:
    """A step down a loss [], made as learning makes steps: [] bool, whether it was taken."""
    stretch, figure = learner.stretch("test", 1), torch.ones(1, device=learner.device)  # added up of steps taken
    stretch.begin((), ())
    index = torch.zeros(1, dtype=torch.int64, device=learner.device)
    learner.step_in(stretch, index, lambda index, total: (loss, figure), ALONE, usual=False)
    return stretch.sums[0] == 1


def losses_of(learner: Learner, batch: Examples) -> Losses:
    with torch.no_grad():
        return learner.losses(batch)


def test_policy_loss_is_one_masked_softmax() -> None:
    """Against the definition, in Python: a second softmax or a missing mask (the original's mistake) fails."""
    learner, batch = make_learner(), make_examples(5)
    logits, values = (output.detach() for output in learner.net(batch.observation.float()))
    policy_loss = value_loss = 0.0
    for row in range(5):
        columns = [c for c in range(52) if int(batch.legal[row]) >> c & 1]
        total = sum(math.exp(float(logits[row, c])) for c in columns)
        policy_loss -= sum(
            float(batch.policy[row, c]) * math.log(math.exp(float(logits[row, c])) / total) for c in columns
        )
        value_loss += sum((float(values[row, s]) - float(batch.value[row, s])) ** 2 for s in range(4))
    losses = losses_of(learner, batch)
    assert float(losses.policy) == pytest.approx(policy_loss / 5, rel=1e-4)
    assert float(losses.value) == pytest.approx(value_loss / 5, rel=1e-4)


def test_the_loss_of_policy_gradient_is_what_its_papers_say() -> None:
    """The clipped surrogate (equation 7 of PPO's), less the entropy, and the divergence from the magnet, in Python: of
    ratios inside the clip and on both sides of it, with gains of both signs."""
    learner, total = make_learner(value_weight=0.5, magnet=0.7), 8
    decisions = [  # the policy over the legal columns, of which the first is taken; ratio, gain, what they come to
        ((0.6, 0.3, 0.1), 1.5, 2.0, 1.2 * 2.0),
        ((0.5, 0.3, 0.2), 1.5, -1.0, 1.5 * -1.0),
        ((0.4, 0.6), 0.5, 1.0, 0.5 * 1.0),
        ((0.3, 0.3, 0.4), 0.5, -2.0, 0.8 * -2.0),
        ((0.7, 0.2, 0.1), 1.1, 3.0, 1.1 * 3.0),
    ]
    weights, error, pull = (0.5, 2.0, 1.0, 1.5, 0.25), 4 * 0.3**2, (0.2, 0.5, 0.3)
    log_policy = torch.full((5, 52), -torch.inf)
    magnet = torch.zeros(5, 52)
    surrogate = entropy = divergence = 0.0
    for row, ((policy, _, _, worth), weight) in enumerate(zip(decisions, weights, strict=True)):
        columns = torch.tensor((40, 3, 17)[: len(policy)])
        log_policy[row, columns] = torch.tensor(policy).log()
        magnet[row, columns] = torch.tensor(pull[: len(policy)]).log()
        surrogate += weight * worth / total
        entropy -= weight * sum(p * math.log(p) for p in policy) / total
        divergence += weight * sum(p * math.log(p / q) for p, q in zip(policy, pull, strict=False)) / total
    value_loss = sum(weights) * error / total
    rollout = {
        "observation": torch.zeros(5, 256),
        "legal": pack_mask(log_policy > -torch.inf),
        "column": torch.full((5,), 40),
        "log_prob": torch.tensor([math.log(policy[0] / ratio) for policy, ratio, _, _ in decisions]),
        "advantage": torch.tensor([gain for _, _, gain, _ in decisions]),
        "value": torch.full((5, 4), 0.8),
        "weight": torch.tensor(weights),
        "magnet": magnet,
    }
    index = torch.tensor([3, 0, 4, 1, 2])
    learner.forward = lambda *_: Outputs(log_policy[index], torch.full((5, 4), 0.5), None, None)
    loss, figures = policy_gradient._loss(learner, rollout, torch.tensor(0.3), index, total)
    assert figures.tolist() == pytest.approx([surrogate, entropy, value_loss, divergence], rel=1e-5)
    assert float(loss) == pytest.approx(0.5 * value_loss - surrogate - 0.3 * entropy + 0.7 * divergence, rel=1e-5)


def test_illegal_logits_change_no_loss() -> None:
    learner, batch = make_learner(), make_examples(6)
    forward = learner.net.forward

    def raised(observation: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, values = forward(observation, mask)
        return logits + 50.0 * ~mask, values

    before = losses_of(learner, batch)
    learner.net.forward = raised
    after = losses_of(learner, batch)
    assert torch.equal(before.policy, after.policy)


def test_a_scalar_network_learns_the_movers_value() -> None:
    learner = make_learner(NetConfig(**{**SMALL.to_dict(), "values": 1}), values=1)
    batch = make_examples(8)
    _, values = learner.net(batch.observation.float())
    assert float(losses_of(learner, batch).value) == pytest.approx(
        float((values[:, 0] - batch.value[:, 0]).square().mean().detach()), rel=1e-5
    )


def test_learning_fits_the_examples() -> None:
    learner = make_learner(epochs=60, learning_rate=3e-3)
    buffer = ReplayBuffer(64, CPU)
    buffer.add(make_examples(32))
    before = losses_of(learner, make_examples(32))
    learn(learner, buffer, 32, seed=0)
    after = losses_of(learner, make_examples(32))
    assert float(after.policy) < float(before.policy)
    assert float(after.value) < 0.3 * float(before.value)


def test_an_epoch_draws_each_example_once() -> None:
    learner = make_learner(epochs=3)
    buffer = ReplayBuffer(64, CPU)
    buffer.add(make_examples(40))
    seen: list[int] = []
    take = buffer.examples.take
    object.__setattr__(buffer.examples, "take", lambda index: (seen.extend(index.tolist()), take(index))[1])
    report: list[tuple[int, int]] = []
    numbers = learn(learner, buffer, 40, seed=1, report=lambda done, total: report.append((done, total)))
    assert len(seen) == numbers["examples_learned"] == 120
    for epoch in range(3):
        assert sorted(seen[40 * epoch : 40 * epoch + 40]) == list(range(40))
    assert seen[:40] != seen[40:80]
    assert report[-1] == (120, 120)


def test_an_epoch_is_as_many_of_all_examples_as_are_new() -> None:
    learner = make_learner(epochs=2)
    buffer, seen = ReplayBuffer(64, CPU), []
    buffer.add(make_examples(40))
    take = buffer.examples.take
    object.__setattr__(buffer.examples, "take", lambda index: (seen.append(index), take(index))[1])
    assert learn(learner, buffer, 25, seed=1)["examples_learned"] == 50
    first, second = (set(part.tolist()) for part in torch.cat(seen).split(25))
    assert len(first) == len(second) == 25 and first != second and max(first | second) > 30


def test_the_gradient_is_clipped() -> None:
    learner = make_learner(grad_clip=1e-3)
    step(learner, 1e6 * learner.losses(make_examples(16)).value)
    moments = [tensor for name, tensor in learner.state_dict().items() if name.endswith(".exp_avg")]
    norm = torch.stack([moment.norm() for moment in moments]).norm()
    assert float(norm) == pytest.approx(0.1 * 1e-3, rel=1e-3)  # AdamW's first moment after one step


def test_the_rate_falls_as_a_cosine() -> None:
    learner = make_learner(learning_rate=2e-3)
    rates = []
    for step in (0, 5, 10):
        learner.set_rate(Schedule().at(step, 10))
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([2e-3, 2e-3 * (1 + FINAL_SHARE) / 2, 2e-3 * FINAL_SHARE])


def test_the_first_steps_of_a_deep_network_take_a_part_of_the_rate(monkeypatch) -> None:
    """Those of a learner, not of a stretch of learning; one that is restored knows how many it has made."""
    rates, real, batch = [], torch.optim.AdamW.step, make_examples(16)

    def noted(optimizer: torch.optim.AdamW) -> None:
        rates.append(optimizer.param_groups[0]["lr"])
        real(optimizer)

    def make(layers: int = SHALLOW + 1) -> Learner:
        return make_learner(replace(SMALL, layers=layers), learning_rate=2e-3)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    learner = make()
    for _ in range(20):
        step(learner, learner.losses(batch).policy)
    saved, learner = learner.state_dict(), make()
    learner.load_state_dict(saved)
    for _ in range(WARM_UP):
        learner.set_rate(0.5)
        step(learner, learner.losses(batch).policy)
    learner.set_rate(1.0)
    step(learner, learner.losses(batch).policy)
    rising = [(taken + 1) / WARM_UP for taken in range(WARM_UP)]
    expected = rising[:20] + [0.5 * share for share in rising[20:]] + [0.5] * 20 + [1.0]
    assert rates == pytest.approx([2e-3 * share for share in expected])
    new = make()
    step(new, new.losses(batch).policy)
    new.load_state_dict(learner.state_dict())
    step(new, new.losses(batch).policy)
    shallow = make(SHALLOW)
    step(shallow, shallow.losses(batch).policy)
    assert rates[-3:] == pytest.approx([2e-3 / WARM_UP, 2e-3, 2e-3])


def test_a_restored_learner_goes_on_bit_for_bit() -> None:
    first, second = make_learner(), make_learner()
    buffer = ReplayBuffer(64, CPU)
    buffer.add(make_examples(40))
    learn(first, buffer, 40, seed=1)
    second.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()})
    for learner in (first, second):
        learn(learner, buffer, 40, seed=2)
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_documents_network_learns(seed: int) -> None:
    """At the default rate, in float32, where rounding does not help. With PyTorch's own initial weights, or the whole
    rate from the first step on, its six post-norm layers collapse: the output becomes the same for every observation,
    and the loss stays at the targets' variance."""
    learner = Learner(Settings(seed=seed), NetConfig(), CPU)
    learner.amp = torch.float32
    random = torch.Generator().manual_seed(seed)
    for _ in range(75):
        batch = make_examples(512, seed=int(torch.randint(1 << 30, (), generator=random)))
        observation = (batch.observation > 0.5).half()
        value = observation[:, :8].float().view(-1, 4, 2).mean(-1)
        batch = Examples(observation, batch.legal, batch.policy, value)
        losses = learner.losses(batch)
        step(learner, losses.policy + losses.value)
    variance = float(value.var(0).sum())
    assert float(losses_of(learner, batch).value) < 0.7 * variance
    assert float(learner.net(observation.float())[1].detach().std(0).mean()) > 0.1


def state_of(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in learner.state_dict().items() if name != "steps"}


@pytest.mark.parametrize("bad", ["loss nan", "loss inf", "gradient only"])
def test_a_step_that_is_not_finite_changes_nothing(bad: str) -> None:
    """Neither weights nor moments nor the optimiser's own count of steps; the next step is as if it had not been."""
    learner, undisturbed = make_learner(), make_learner()
    for each in (learner, undisturbed):
        assert step(each, each.losses(make_examples(16)).value)
    before = state_of(learner)
    loss = learner.losses(make_examples(16, seed=1)).value
    zero = (learner.net.embed.weight * 0).sum()
    bad_loss = {"loss nan": loss * torch.nan, "loss inf": loss * torch.inf, "gradient only": loss + zero.sqrt()}[bad]
    assert bad_loss.isfinite() == (bad == "gradient only")
    assert not step(learner, bad_loss)
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(learner).items())
    for each in (learner, undisturbed):
        assert step(each, each.losses(make_examples(16, seed=2)).policy)
    ours, theirs = state_of(learner), state_of(undisturbed)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_step_never_waits_for_the_device() -> None:
    learner, batch = make_learner(average_decay=0.9), make_examples(16)
    step(learner, learner.losses(batch).policy)  # the first one makes the optimiser's state
    with NoWaiting():
        losses = learner.losses(batch)
        step(learner, losses.policy + losses.value)


def test_skipped_steps_are_counted_and_too_many_end_learning() -> None:
    def counted(taken: list[bool]) -> int:
        count = StepCount(CPU)
        for flag in taken:
            count.note(torch.tensor(flag))
            count.look()
        return count.skipped()

    assert counted([]) == 0
    assert counted([True] * 100) == 0
    assert counted([False] * (MAX_SKIPPED - 1) + [True] + [False] * (MAX_SKIPPED - 1)) == 2 * (MAX_SKIPPED - 1)
    for taken in ([True] * 90 + [False] * MAX_SKIPPED + [True], [False]):
        with pytest.raises(NotFiniteError, match="NaN or infinite in"):
            counted(taken)


def test_poisoned_examples_cost_their_steps_and_stay_out_of_the_means() -> None:
    learner = make_learner(epochs=2)
    buffer = ReplayBuffer(48, CPU)
    buffer.add(make_examples(48))
    buffer.examples.value[5, 2] = torch.nan
    numbers = learn(learner, buffer, 48, seed=0)
    assert numbers["skipped_steps"] == 2  # one of three in each epoch
    assert 0 < numbers["value_loss"] < 10 and numbers["examples_learned"] == 96
    assert all(tensor.isfinite().all() for tensor in learner.state_dict().values())


def test_means_are_over_the_steps_taken() -> None:
    """All examples, and all decisions, are one; two of whose steps are poisoned."""
    learner, number = (
        make_learner(epochs=1, learning_rate=1e-12, update_batch=16, update_epochs=1),
        torch.zeros(64).long(),
    )
    buffer = ReplayBuffer(64, CPU)
    buffer.add(make_examples(1).take(number))
    buffer.examples.value[5] = torch.nan
    with torch.no_grad():
        expected = float(learner.losses(make_examples(1)).policy)
    found = learn(learner, buffer, 64, seed=0)
    assert found["skipped_steps"] == 1 and found["policy_loss"] == pytest.approx(expected, rel=1e-3)
    game = Blob(cards=2)
    played = policy_gradient.play(game, InferenceNet(learner.net, dtype=torch.float32), 1, 0, 0, CPU)
    same = {name: tensor[number] for name, tensor in played.tensors().items()}
    whole = policy_gradient.update(learner, policy_gradient.Rollout(**same, score=0.0, games=1), 0.0, 0)
    same["value"][5] = torch.nan
    found = policy_gradient.update(learner, policy_gradient.Rollout(**same, score=0.0, games=1), 0.0, 0)
    assert found["skipped_steps"] == 1 and found["entropy"] == pytest.approx(whole["entropy"], rel=1e-3)


def test_averaged_weights_follow_the_weights() -> None:
    """Against the definition; the first steps have (1 + n) / (10 + n) in the decay's place."""
    learner, decay = make_learner(average_decay=0.5, learning_rate=1e-2), 0.5
    name = "policy_out.weight"
    expected = learner.net.policy_out.weight.detach().clone()
    for number in range(1, 13):
        step(learner, learner.losses(make_examples(16, seed=number)).policy)
        kept = min(decay, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * learner.net.policy_out.weight.detach()
        assert torch.allclose(learner.average[name], expected, atol=1e-6)
    averaged = learner.averaged()
    assert torch.equal(averaged.policy_out.weight, learner.average[name])
    assert not torch.equal(averaged.policy_out.weight, learner.net.policy_out.weight)
    restored = make_learner(average_decay=0.5)
    restored.load_state_dict(learner.state_dict())
    assert restored.steps == 12 and torch.equal(restored.average[name], learner.average[name])


def test_without_averaging_the_network_itself_is_played() -> None:
    learner = make_learner()
    assert learner.averaged() is learner.net and not any("average" in name for name in learner.state_dict())

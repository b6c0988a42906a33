"""The head that learns how many tricks each seat will win: its targets, its loss, and that nothing else knows of it."""

import math
from dataclasses import asdict, replace

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig, parameter_count
from net.inference import folded_weights
from tests.positions import HashEvaluator
from tests.runs import changed, quiet
from tests.test_learner import make_examples
from vecgame import Blob, Hearts, Spades, Whist
from vecgame.contract import positions
from veclab.agents.checkpoint import load_network, save_network
from veclab.agents.folder import CONFIG, read_config
from veclab.going_on import for_resume
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.distributed import ALONE, Group
from veclab.training.learner import Learner, learn, tricks_errors
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.run import Run
from veclab.training.selfplay import SelfPlay, self_play
from vecmcts import SearchConfig

CPU = torch.device("cpu")
PLAIN = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
HEADED = replace(PLAIN, tricks=14)
SEARCH = SearchConfig(worlds=1, simulations=2)


def with_tricks(examples: Examples, seed: int = 3) -> Examples:
    tricks = torch.randint(14, (len(examples), 4), generator=torch.Generator().manual_seed(seed))
    return replace(examples, tricks=tricks.to(torch.int8))


def make_learner(config: NetConfig, group: Group = ALONE, **changes: object) -> Learner:
    learner = Learner(Settings(batch_size=16, epochs=2, **changes), config, CPU, group)
    learner.amp = torch.float32
    return learner


# -- the network ------------------------------------------------------------------------------------------------------


def test_the_head_changes_no_other_initial_weight() -> None:
    nets = []
    for config in (PLAIN, HEADED):
        torch.manual_seed(5)
        nets.append(BlobNet(config))
    plain, headed = nets
    assert parameter_count(headed) - parameter_count(plain) == 33 * 16 + 17 * 4 * 14
    ours, theirs = plain.state_dict(), headed.state_dict()
    assert {name.split(".")[0] for name in theirs.keys() - ours.keys()} == {"tricks_hidden", "tricks_out"}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert parameter_count(BlobNet(NetConfig())) == 4_917_688


def test_logits_come_when_asked_for() -> None:
    net, observation = BlobNet(HEADED), torch.rand(5, 256)
    assert len(net(observation)) == 2
    logits, values, tricks = net(observation, tricks=True)
    assert tricks.shape == (5, 4, 14)
    assert torch.equal(logits, net(observation)[0]) and torch.equal(values, net(observation)[1])


def test_play_does_not_know_of_the_head() -> None:
    """`folded_weights` is what all inference forms are made of: `InferenceNet`, its 8-bit form and the ONNX file."""
    torch.manual_seed(2)
    headed, plain = BlobNet(HEADED), BlobNet(PLAIN)
    plain.load_state_dict({name: headed.state_dict()[name] for name in plain.state_dict()})
    observation = torch.rand(7, 256)
    ours, theirs = (InferenceNet(net, dtype=torch.float32)(observation) for net in (headed, plain))
    assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    for mine, other in zip(folded_weights(headed), folded_weights(plain), strict=True):
        assert all(map(torch.equal, mine, other))


def test_a_saved_network_keeps_its_head(tmp_path) -> None:
    path, net = tmp_path / "network.safetensors", BlobNet(HEADED)
    save_network(path, net, {})
    read = load_network(path)
    assert read.config == HEADED and torch.equal(read.tricks_out.weight, net.tricks_out.weight)


@pytest.mark.parametrize("tricks", [-1, 2.0, True])
def test_a_bad_size_of_the_head(tricks: object) -> None:
    with pytest.raises(ValueError, match=r"NetConfig.tricks must be a positive integer, or 0 for no head, not"):
        NetConfig(tricks=tricks)


# -- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", [Blob(cards=3), Whist(cards=2, trump="random"), Spades(cards=2), Hearts()])
def test_tricks_won_add_up(game) -> None:
    *_, end = positions(game, 20)
    won = game.tricks_won(end)
    assert won.shape == (20, 4) and won.dtype == torch.int8 and (won.sum(-1) == game.cards).all()
    assert not game.tricks_won(game.deal(2)).any()


def test_targets_are_the_tricks_of_relative_seats() -> None:
    """By the scores: with seat 3 dealing and bids in the observation, tricks say which bids were met."""
    game = Blob(cards=2, dealer=3)
    played = self_play(game, HashEvaluator(), SEARCH, 12, seed=3, extras=("tricks",), chunk_games=7)
    tricks, examples = played.examples.tricks, played.examples
    assert tricks.dtype == torch.int8 and (tricks.sum(-1) == 2).all()
    all_bid = examples.observation[:, 217:221].sum(-1) == 4
    bids = (examples.observation[:, 213:217].float() * 2).round()[all_bid]
    met = examples.value[all_bid] > 0
    assert all_bid.sum() >= 12 and torch.equal(tricks[all_bid] == bids, met)
    others = self_play(game, HashEvaluator(), SEARCH, 12, seed=3, chunk_games=7).examples
    assert others.tricks is None
    assert all(torch.equal(tensor, getattr(examples, name)) for name, tensor in others.tensors().items())


def test_rollouts_tell_the_tricks() -> None:
    game, network = Blob(cards=3, dealer=0), InferenceNet(BlobNet(PLAIN), dtype=torch.float32)
    plain, told = (policy_gradient.play(game, network, 40, 1, 0, CPU, extras=extras) for extras in ((), ("tricks",)))
    assert plain.tricks is None and torch.equal(plain.column, told.column)
    all_bid = told.observation[:, 217:221].sum(-1) == 4
    bids = (told.observation[:, 213:217] * 3).round()
    assert torch.equal((told.tricks == bids)[all_bid], told.value[all_bid] > 0) and (told.tricks.sum(-1) == 3).all()


def test_no_games_give_no_tricks() -> None:
    assert SelfPlay.nothing(Blob(cards=2), CPU, extras=("tricks",)).examples.tricks.shape == (0, 4)


# -- learning ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_each_seat() -> None:
    """Against the definition, in Python."""
    learner, batch = make_learner(HEADED, tricks_weight=0.5), with_tricks(make_examples(5))
    with torch.no_grad():
        logits = learner.net(batch.observation.float(), tricks=True)[2]
        losses = learner.losses(batch)
    expected = 0.0
    for row in range(5):
        for seat in range(4):
            total = sum(math.exp(float(x)) for x in logits[row, seat])
            expected -= math.log(math.exp(float(logits[row, seat, batch.tricks[row, seat]])) / total)
    assert float(losses.tricks) == pytest.approx(expected / 20, rel=1e-4)
    assert float(losses.weighted(learner.settings)) == pytest.approx(
        float(losses.policy + losses.value + 0.5 * losses.tricks)
    )
    none = tricks_errors(logits[:0], batch.tricks[:0])  # a process's part of a small batch may be empty
    assert none.shape == (0,)


def test_without_the_head_learning_is_as_before() -> None:
    """The same losses and steps whether or not examples tell the tricks."""
    weights = []
    for examples in (make_examples(40), with_tricks(make_examples(40))):
        learner, buffer = make_learner(PLAIN), ReplayBuffer(64, CPU)
        buffer.add(examples)
        assert set(learn(learner, buffer, 40, seed=1)) == {
            "policy_loss", "value_loss", "examples_learned", "skipped_steps",
        }  # fmt: skip
        weights.append(learner.net.state_dict())
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_the_head_learns() -> None:
    """Tricks that a feature a seat tells: the loss falls far below that of the best constant guess, log 2."""
    examples, told = make_examples(256), torch.arange(256) < 4
    examples = replace(examples, observation=((examples.observation > 0.5) & told).half())
    tricks = (2 * examples.observation[:, :4]).to(torch.int8)
    learner = make_learner(HEADED, tricks_weight=1.0, learning_rate=3e-3)
    buffer = ReplayBuffer(256, CPU, extras=("tricks",))
    buffer.add(replace(examples, tricks=tricks))
    losses = [learn(learner, buffer, 256, seed)["tricks_loss"] for seed in range(10)]
    assert losses[0] > math.log(2) and losses[-1] < 0.5 * math.log(2)


def test_the_ring_keeps_and_restores_the_tricks() -> None:
    first, second = (ReplayBuffer(10, CPU, extras=("tricks",)) for _ in range(2))
    examples = with_tricks(make_examples(13))
    first.add(examples)
    second.load_state_dict(first.state_dict())
    for buffer in (first, second):
        rows = torch.cat([buffer.examples.tricks, buffer.examples.value.to(torch.int8)], dim=1)
        assert sorted(buffer.examples.tricks.tolist()) == sorted(examples.tricks[3:].tolist()) and len(rows) == 10
    assert "tricks" not in ReplayBuffer(10, CPU).state_dict()


def test_an_initial_network_may_lack_the_head_or_have_one() -> None:
    plain, headed = make_learner(PLAIN), make_learner(HEADED, seed=4)
    own = headed.net.tricks_out.weight.clone()
    headed.begin_with(plain.net)
    assert torch.equal(headed.net.policy_out.weight, plain.net.policy_out.weight)
    assert torch.equal(headed.net.tricks_out.weight, own)
    with torch.no_grad():
        headed.net.policy_out.weight.mul_(2)
    plain.begin_with(headed.net)
    assert torch.equal(headed.net.policy_out.weight, plain.net.policy_out.weight)
    with pytest.raises(ValueError, match="value_hidden 8, not 16"):
        plain.begin_with(BlobNet(replace(PLAIN, value_hidden=8)))


# -- runs -------------------------------------------------------------------------------------------------------------


def test_settings_of_runs_without_the_setting_are_read(tmp_path) -> None:
    run = Run.create(tmp_path / "run", changed(device="cpu"), quiet())
    run.lock.release()
    saved = read_config(tmp_path / "run")
    del saved["tricks_weight"]
    assert for_resume(saved, {}) == run.settings
    assert (tmp_path / "run" / CONFIG).exists() and asdict(run.settings)["tricks_weight"] == 0


def test_games_without_tricks(monkeypatch) -> None:
    monkeypatch.setattr(Blob, "tricks_won", lambda game, state: None)
    with pytest.raises(ValueError, match=r"--tricks-weight is for games of tricks, which Blob, 5 cards.* is not"):
        Settings(tricks_weight=1.0)
    with pytest.raises(ValueError, match=r"--tricks-weight must be at least 0"):
        Settings(tricks_weight=-1.0)

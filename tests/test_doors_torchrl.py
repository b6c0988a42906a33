"""The TorchRL environment passes TorchRL's own check, is the game that vecgame plays, and credits every seat."""

import pytest
import torch
from torch import Tensor, nn

from tests.doors_docs import run_example, run_snippet
from tests.helpers import reshuffle
from tests.test_search_sync import NoWaiting
from vecgame import Blob, lanes

pytest.importorskip("torchrl")
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.envs.utils import check_env_specs
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from veclab.doors.torchrl_env import BlobEnv, by_seat

RULES = [{"cards": 5}, {"cards": 1, "suits": 2, "ranks": 2}, {"cards": 3, "hook": False, "trump": "none"}]


def networks(device: str = "cpu") -> tuple[ProbabilisticActor, ValueOperator]:
    torch.manual_seed(0)
    actor = ProbabilisticActor(
        TensorDictSequential(TensorDictModule(nn.Linear(256, 52).to(device), ["observation"], ["logits"])),
        in_keys={"logits": "logits", "mask": "action_mask"},
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    return actor, ValueOperator(nn.Linear(256, 1).to(device), in_keys=["observation"])


@pytest.mark.parametrize("games", [1, 7])
@pytest.mark.parametrize("rules", RULES)
def test_torchrl_finds_nothing_wrong(rules: dict, games: int) -> None:
    check_env_specs(BlobEnv(Blob(**rules), games), seed=5, break_when_any_done="both")


def test_what_a_policy_can_see() -> None:
    keys = set(BlobEnv(games=3).rollout(2).keys())
    assert keys == {"observation", "action_mask", "mover", "action", "done", "terminated", "truncated", "next"}


@pytest.mark.parametrize("rules", RULES)
def test_games_are_those_of_vecgame(rules: dict) -> None:
    """Two batches of random games, one after the other: every step of every lane."""
    game = Blob(**rules)
    env = BlobEnv(game, games=6, seed=9)
    env.set_seed(21)
    torch.manual_seed(0)
    for batch in range(2):
        rollout, state = env.rollout(game.decisions), game.deal(6, 21, first_index=6 * batch)
        for step in rollout.unbind(1):
            assert torch.equal(step["observation"], game.observe(state))
            assert torch.equal(step["action_mask"], game.policy_mask(state))
            assert torch.equal(step["mover"], game.mover(state))
            options = game.legal_actions(state)
            chosen = (game.policy_columns(state, options) == step["action"][:, None]) & (options >= 0)
            assert torch.equal(chosen.sum(-1), torch.ones(6, dtype=torch.int64))  # random actions are legal
            state = game.step(state, options[chosen])
            assert torch.equal(step["next", "reward"], game.scores(state))
            over = game.is_terminal(state)[:, None]
            assert torch.equal(step["next", "done"], over) and torch.equal(step["next", "terminated"], over)
            assert not step["next", "truncated"].any()
        assert step["next", "done"].all()


def test_nobody_sees_what_is_hidden() -> None:
    """What a policy reads is the same with other cards in the hands that the mover does not see."""
    env, changed = BlobEnv(Blob(cards=4), games=9), 0
    step = env.reset()
    for decision in range(env.game.decisions):
        true = env.position
        env.position = reshuffle(env.game, true, step["mover"], seed=decision)
        changed += not torch.equal(env.position.hands, true.hands)
        seen = env._outcome()
        assert all(torch.equal(seen[key], step[key]) for key in ("observation", "action_mask", "mover", "done"))
        env.position = true
        step = env.step(env.rand_action(step))["next"]
    assert changed == env.game.decisions - 1  # the last card of the last trick has nothing hidden but undealt cards


def test_some_lanes_reset_alone() -> None:
    env = BlobEnv(Blob(cards=2), games=4, seed=3)
    begun = env.rollout(5)[:, -1]["next"].exclude("reward")
    chosen = torch.tensor([True, False, False, True])
    after = env.reset(begun.clone().set("_reset", chosen[:, None]))
    fresh = env.game.observe(env.game.deal(4, 3, first_index=4))
    assert env.position.index.tolist() == [4, 1, 2, 7]
    assert env.position.made.tolist() == [0, 5, 5, 0]
    assert torch.equal(after["observation"], torch.where(chosen[:, None], fresh, begun["observation"]))
    following = env.step(env.rand_action(after))["next"]
    assert torch.equal(following["observation"], env.game.observe(env.position))
    assert env.position.made.tolist() == [1, 6, 6, 1]


@pytest.mark.parametrize("rules", RULES)
def test_each_seat_gets_its_own_trajectory(rules: dict) -> None:
    """Two games a lane, against a plain loop over steps."""
    game, lanes_, per_lane = Blob(**rules), 3, 2
    env = BlobEnv(game, lanes_, seed=4)
    torch.manual_seed(1)
    rollout = env.rollout(per_lane * game.decisions, break_when_any_done=False)
    result = by_seat(game, rollout)
    assert result.shape == (lanes_ * per_lane, 4, 1 + game.cards)
    for number in range(lanes_ * per_lane):
        lane, first = number // per_lane, number % per_lane * game.decisions
        steps = rollout[lane, first : first + game.decisions]
        for seat in range(4):
            own = [step for step in steps if int(step["mover"]) == seat]
            assert len(own) == 1 + game.cards
            for turn, step in enumerate(own):
                at, last = result[number, seat, turn], turn == game.cards
                for key in ("observation", "action_mask", "mover", "action", "done"):
                    assert torch.equal(at[key], step[key])
                following = step if last else own[turn + 1]
                for key in ("observation", "action_mask", "mover"):
                    assert torch.equal(at["next", key], following[key])
                assert at["next", "reward"].tolist() == [float(steps["next", "reward"][-1, seat]) if last else 0.0]
                assert at["next", "done"].tolist() == at["next", "terminated"].tolist() == [last]
                assert not at["next", "truncated"].any()


def test_an_advantage_is_the_seats_own() -> None:
    """TorchRL's GAE over the regrouped rollout, against the recursion written out for each seat's own values."""
    env, (actor, critic) = BlobEnv(Blob(cards=3), games=5, seed=2), networks()
    batch = by_seat(env.game, env.rollout(env.game.decisions, actor)).detach()
    discount, trace = 0.9, 0.8
    GAE(gamma=discount, lmbda=trace, value_network=critic)(batch)
    values = critic(batch.select("observation"))["state_value"].squeeze(-1).detach()
    score = batch["next", "reward"][:, :, -1, 0]
    assert score.any()
    advantage = score - values[:, :, -1]
    assert torch.allclose(batch["advantage"][:, :, -1, 0], advantage, atol=1e-5)
    for turn in range(env.game.cards - 1, -1, -1):
        advantage = discount * values[:, :, turn + 1] - values[:, :, turn] + discount * trace * advantage
        assert torch.allclose(batch["advantage"][:, :, turn, 0], advantage, atol=1e-5)


def test_a_collector_may_play() -> None:
    """TorchRL's own loop; its frames are whole games if they are asked for so."""
    game = Blob(cards=2)
    env, (actor, _) = BlobEnv(game, games=4), networks()
    frames = 4 * game.decisions
    collector = Collector(env, actor, frames_per_batch=frames, total_frames=3 * frames)
    batches = [by_seat(game, rollout.exclude("collector", "logits")) for rollout in collector]
    collector.shutdown()
    assert len(batches) == 3
    for batch in batches:
        assert batch.shape == (4, 4, 3)
        assert torch.equal(batch["mover"], torch.arange(4)[None, :, None].expand(4, 4, 3))


def test_part_of_a_game_is_refused() -> None:
    env = BlobEnv(Blob(cards=2), games=3)
    with pytest.raises(ValueError, match=r"must be \[games, K \* 12\] steps, whole games of .*; got \[3, 7\]"):
        by_seat(env.game, env.rollout(7))


def test_bad_arguments_get_one_clear_line() -> None:
    with pytest.raises(ValueError, match="games must be at least 1, got 0"):
        BlobEnv(games=0)
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        BlobEnv(seed=-1)
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N', got 'tpu'"):
        BlobEnv(device="tpu")


def ppo_loss(batch: TensorDict, actor: ProbabilisticActor, critic: ValueOperator) -> tuple[Tensor, TensorDict]:
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0)
    losses = loss(batch.reshape(-1))
    return losses["loss_objective"] + losses["loss_critic"], losses


def test_ppo_takes_it_as_it_is() -> None:
    """With the policy that played, the clipped objective is minus the mean advantage, and its gradient the policy
    gradient of each seat's own choices."""
    env, (actor, critic) = BlobEnv(Blob(cards=3), games=16, seed=6), networks()
    with torch.no_grad():
        batch = by_seat(env.game, env.rollout(env.game.decisions, actor).exclude("logits"))
        GAE(gamma=1.0, lmbda=0.95, value_network=critic)(batch)
    losses = ppo_loss(batch, actor, critic)[1]
    assert losses["loss_objective"].item() == pytest.approx(-float(batch["advantage"].mean()), abs=1e-5)
    assert float(losses["mean_ratio"]) == pytest.approx(1)
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0)
    loss(batch.reshape(-1))["loss_objective"].backward()
    (weight,) = [p for name, p in loss.named_parameters() if name.startswith("actor") and name.endswith("weight")]
    flat = batch.reshape(-1)
    logits = (flat["observation"] @ weight.detach().T + _bias(actor)).masked_fill(~flat["action_mask"], -torch.inf)
    taken = nn.functional.one_hot(flat["action"], 52) - logits.softmax(-1)
    expected = -(flat["advantage"] * taken).T @ flat["observation"] / len(flat)
    assert torch.allclose(weight.grad, expected, atol=1e-5)


def _bias(actor: ProbabilisticActor) -> Tensor:
    return next(p for name, p in actor.named_parameters() if name.endswith("bias")).detach()


def test_a_step_never_waits(monkeypatch) -> None:
    """No operation of a step, nor of regrouping, would make the host wait if the tensors were on a GPU."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    env = BlobEnv(Blob(cards=2), games=5)
    env.rollout(env.game.decisions)  # makes the tables that are kept for a device
    step, steps = env.reset(), []
    for _ in range(env.game.decisions):
        step["action"] = step["action_mask"].to(torch.int8).argmax(-1)
        with NoWaiting():
            steps.append(env.step(step).clone())
        step = steps[-1]["next"].exclude("reward")
    rollout = torch.stack(steps, 1)
    with NoWaiting():
        by_seat(env.game, rollout)
    assert rollout["next", "done"][:, -1].all()


@pytest.mark.gpu
def test_all_of_it_stays_on_the_gpu() -> None:
    """Rollout, regrouping, advantage and loss are CUDA tensors, and the games those of the CPU."""
    env, (actor, critic) = BlobEnv(Blob(cards=3), games=64, seed=6, device="cuda"), networks("cuda")
    with torch.no_grad():
        rollout = env.rollout(env.game.decisions, actor)
        batch = by_seat(env.game, rollout)
        GAE(gamma=1.0, lmbda=0.95, value_network=critic)(batch)
    total, _ = ppo_loss(batch.exclude("logits"), actor, critic)
    total.backward()
    assert all(entry.is_cuda for entry in batch.values(True, True)) and total.is_cuda
    first = BlobEnv(env.game, games=64, seed=6).reset()
    assert torch.equal(rollout[:, 0]["observation"].cpu(), first["observation"])


def test_the_page_shows_code_that_runs(capsys) -> None:
    run_snippet("TorchRL")
    assert "torch.Size([512, 24, 256]) torch.Size([512, 24, 52]) torch.Size([512, 24])" in capsys.readouterr().out


def test_the_example_learns(monkeypatch, capsys) -> None:
    """A few updates on hands of one card, whose bids are easily met."""
    run_example(monkeypatch, "torchrl_ppo.py", "--updates 20 --games 256 --cards 1")
    scores = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines() if line.startswith("update")]
    assert len(scores) == 3 and scores[2] > scores[0] + 1

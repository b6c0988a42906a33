"""The TorchRL environment passes TorchRL's own check, is the game that vecgame plays, and credits every seat."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.doors_docs import run_example, run_snippet
from tests.every_game import EVERY, Named
from tests.helpers import reshuffle
from tests.test_search_sync import NoWaiting
from vecgame import Blob, Game, lanes, make_game

pytest.importorskip("torchrl")
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.envs import ActionMask, Compose, SerialEnv, StepCounter, TransformedEnv
from torchrl.envs.utils import check_env_specs
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from veclab.doors.torchrl_env import GameEnv, by_seat

UNEVEN = [Named("kuhn"), Named("leduc"), Named("euchre"), Named("whist-match", "target=2,cards=3,trump=random,games=3")]
LONG = ("match", "hearts", "doppelkopf", "briscola", "polignac")  # of many decisions


def networks(game: Game, device: str = "cpu") -> tuple[ProbabilisticActor, ValueOperator]:
    torch.manual_seed(0)
    logits = nn.Linear(game.features, game.num_actions).to(device)
    actor = ProbabilisticActor(
        TensorDictSequential(TensorDictModule(logits, ["observation"], ["logits"])),
        in_keys={"logits": "logits", "mask": "action_mask"},
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    return actor, ValueOperator(nn.Linear(game.features, 1).to(device), in_keys=["observation"])


@pytest.mark.all_games
@pytest.mark.parametrize("named", EVERY, ids=str)
def test_torchrl_finds_nothing_wrong(named: Named, own_games: Path) -> None:
    game = named.make(own_games)
    check_env_specs(GameEnv(game, 3), seed=5, break_when_any_done="both")
    check_env_specs(GameEnv(game, 1), seed=5)


def test_what_a_policy_can_see() -> None:
    keys = set(GameEnv(games=3).rollout(2).keys())
    assert keys == {"observation", "action_mask", "mover", "game", "action", "done", "terminated", "truncated", "next"}


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(named, id=str(named), marks=[pytest.mark.slow] * any(word in str(named) for word in LONG))
        for named in EVERY
    ],
)
def test_games_are_those_of_vecgame(named: Named, own_games: Path) -> None:
    """Random games, each new one in the lane of one that is over: every step of every lane."""
    game, games = named.make(own_games), 6
    env = GameEnv(game, games, seed=9)
    env.set_seed(21)
    torch.manual_seed(0)
    rollout = env.rollout(game.decisions + 5, break_when_any_done=False)
    state, begun = game.deal(games, 21), games
    for step in rollout.unbind(1):
        assert torch.equal(step["observation"], game.observe(state))
        assert torch.equal(step["action_mask"], game.policy_mask(state))
        assert torch.equal(step["mover"], game.mover(state))
        assert torch.equal(step["game"], state.index)
        options = game.legal_actions(state)
        chosen = (game.policy_columns(state, options) == step["action"][:, None]) & (options >= 0)
        assert torch.equal(chosen.sum(-1), torch.ones(games, dtype=torch.int64))  # random actions are legal
        state = game.step(state, options[chosen])
        over = game.is_terminal(state)
        assert torch.equal(step["next", "reward"], game.scores(state))
        assert torch.equal(step["next", "observation"], game.observe(state))
        assert all(torch.equal(step["next", name], over[:, None]) for name in ("done", "terminated"))
        assert not step["next", "truncated"].any()
        for lane in over.nonzero()[:, 0].tolist():  # the next games of the run, in order
            state = state.put(torch.tensor([lane]), game.deal(1, 21, first_index=begun))
            begun += 1
    assert begun > games


def test_a_game_may_be_named() -> None:
    assert GameEnv("kuhn").game == make_game("kuhn") and GameEnv().game == GameEnv("blob").game


def test_without_a_seed_deals_are_fresh() -> None:
    first, second = (GameEnv(Blob(cards=5), games=8).reset()["observation"] for _ in range(2))
    assert not torch.equal(first, second)
    first, second = (GameEnv(Blob(cards=5), games=8, seed=3).reset()["observation"] for _ in range(2))
    assert torch.equal(first, second)


def test_a_seed_begins_its_run_with_its_first_games() -> None:
    env = GameEnv(Blob(cards=2), games=3, seed=3)
    env.reset(), env.reset()
    assert env.position.index.tolist() == [3, 4, 5]
    env.set_seed(4)
    env.reset()
    assert env.position == env.game.deal(3, seed=4)


@pytest.mark.parametrize("named", [Named("kuhn"), Named("whist", "cards=3,trump=random")], ids=str)
def test_an_illegal_action_is_refused(named: Named) -> None:
    """It raises, or ends the game of its lane, and no other."""
    game = named.make()
    env, other = GameEnv(game, 4, seed=1), GameEnv(game, 4, seed=1, illegal="end")
    step = env.rand_action(env.reset())
    step["action"][2] = game.num_actions if named.game == "kuhn" else (~step["action_mask"][2]).nonzero()[0, 0]
    legal = step["action_mask"][2].nonzero()[:, 0].tolist()
    with pytest.raises(ValueError, match="is illegal in game 2 of the batch; its action_mask allows ") as caught:
        env.step(step.clone())
    assert str(caught.value).endswith(f"allows {legal}")
    other.reset()
    mover, after = int(step["mover"][2]), other.step(step.clone())["next"]
    assert after["terminated"][:, 0].tolist() == after["done"][:, 0].tolist() == [False, False, True, False]
    fine = torch.zeros(4, game.seats)
    fine[2, mover] = game.lowest
    assert torch.equal(after["reward"], fine)
    assert other.position[2] == game.deal(4, 1)[2] and other.position[0] != game.deal(4, 1)[0]
    begun = other.reset(after.exclude("reward").set("_reset", after["done"]))
    assert begun["done"].sum() == 0 and other.position.index.tolist() == [0, 1, 4, 3]


def test_moves_that_are_the_same_are_all_legal() -> None:
    """Of the moves that `Blob.merged` makes one, an environment knows every one."""
    env = GameEnv(Blob(cards=5, suits=1, players=2, trump="none").merged(), games=16, seed=2)
    torch.manual_seed(0)
    assert env.rollout(env.game.decisions)["next", "done"][:, -1].all()


def test_a_game_that_is_over_is_paid_once() -> None:
    """Where TorchRL leaves it as it is until all are over, and where it is stepped nevertheless."""
    game = make_game("kuhn")
    env = GameEnv(game, games=32, seed=4)
    torch.manual_seed(0)
    rollout = env.rollout(game.decisions, break_when_any_done=False, break_when_all_done=True)
    lengths = (~rollout["next", "done"][..., 0]).sum(-1) + 1
    assert set(lengths.tolist()) == {2, 3}
    assert torch.equal(by_seat(rollout)["next", "reward"].sum(2)[..., 0], rollout["next", "reward"][:, -1])
    assert by_seat(rollout)["valid"].sum() == lengths.sum()
    step = rollout[:, -1]["next"].exclude("reward")
    step["action"] = torch.full((32,), 7)  # where nothing is to be done nothing is wrong
    after = env.step(step)["next"]
    assert not after["reward"].any() and after["done"].all()


def test_games_of_one_illegal_step_are_not_taken_for_one_another() -> None:
    """Two in a row may have the same card, mover and action; with the numbers of their games both count."""
    first_illegal = TensorDictModule(lambda mask: (~mask).to(torch.int8).argmax(-1), ["action_mask"], ["action"])
    env = GameEnv(make_game("leduc"), games=8, seed=3, illegal="end")
    rollout = env.rollout(24, first_illegal, break_when_any_done=False)
    result = by_seat(rollout)
    assert rollout["next", "done"].all() and result["valid"].sum() == 8 * 24
    assert result["next", "reward"].sum() == rollout["next", "reward"].sum() == 8 * 24 * env.game.lowest


def test_only_some_lanes_make_a_step() -> None:
    env = GameEnv(Blob(cards=2), games=4, seed=3)
    step = env.rand_action(env.reset())
    chosen = torch.tensor([True, False, True, False])
    env.step(step.set("_step", chosen[:, None]))
    assert env.position.made.tolist() == [1, 0, 1, 0]


def test_nobody_sees_what_is_hidden() -> None:
    """What a policy reads is the same with other cards in the hands that the mover does not see."""
    env, changed = GameEnv(Blob(cards=4), games=9), 0
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
    env = GameEnv(Blob(cards=2), games=4, seed=3)
    begun = env.rollout(5)[:, -1]["next"].exclude("reward")
    chosen = torch.tensor([True, False, False, True])
    after = env.reset(begun.clone().set("_reset", chosen[:, None]))
    fresh = env.game.observe(env.game.deal(2, 3, first_index=4))[[0, 0, 0, 1]]
    assert env.position.index.tolist() == [4, 1, 2, 5]  # the next games of the run
    assert env.position.made.tolist() == [0, 5, 5, 0]
    assert torch.equal(after["observation"], torch.where(chosen[:, None], fresh, begun["observation"]))
    following = env.step(env.rand_action(after))["next"]
    assert torch.equal(following["observation"], env.game.observe(env.position))
    assert env.position.made.tolist() == [1, 6, 6, 1]


def plain_trajectories(steps: list[TensorDict], seat: int) -> list[tuple[TensorDict, TensorDict | None, float, bool]]:
    """What `by_seat` regroups, of one lane: own decision, next one in that game, points until then, cut off there."""
    found, games, start = [], [], 0
    for number, step in enumerate(steps):
        if step["next", "done"].item():
            games.append((steps[start : number + 1], True))
            start = number + 1
    games.append((steps[start:], False))
    for game, over in games:
        own = [number for number, step in enumerate(game) if int(step["mover"]) == seat]
        for turn, number in enumerate(own):
            last = turn == len(own) - 1
            if last and not over:
                continue
            until = len(game) if last else own[turn + 1]
            points = sum(float(step["next", "reward"][seat]) for step in game[number:until])
            cut = not over and turn == len(own) - 2
            found.append((game[number], None if last else game[own[turn + 1]], points, cut))
    return found


@pytest.mark.parametrize("named", [Named("blob", "cards=3"), *UNEVEN, Named("skat"), Named("bluff.py:Bluff")], ids=str)
def test_each_seat_gets_its_own_trajectory(named: Named, own_games: Path) -> None:
    """Of games that end at different times, and the last of which are cut off, against a plain loop over steps."""
    game = named.make(own_games)
    torch.manual_seed(1)
    rollout = GameEnv(game, games=3, seed=4).rollout(game.decisions + 7, break_when_any_done=False)
    result = by_seat(rollout)
    for lane in range(3):
        steps = list(rollout[lane].unbind(0))
        for seat in range(game.seats):
            row = result[lane, seat]
            expected = plain_trajectories(steps, seat)
            assert int(row["valid"].sum()) == len(expected)
            for at, (step, following, points, cut) in zip(row[row["valid"]].unbind(0), expected, strict=True):
                for key in ("observation", "action_mask", "mover", "action", "done"):
                    assert torch.equal(at[key], step[key])
                for key in ("observation", "action_mask", "mover"):
                    assert torch.equal(at["next", key], (step if following is None else following)[key])
                assert at["next", "reward"].item() == pytest.approx(points)
                assert at["next", "terminated"].item() == (following is None)
                assert at["next", "truncated"].item() == cut
                assert at["next", "done"].item() == (cut or following is None)
    filler = result[~result["valid"]]
    assert not filler["next", "reward"].any() and filler["next", "terminated"].all()


def test_whole_games_of_equal_length_are_rows_without_gaps() -> None:
    game = Blob(cards=2)
    result = by_seat(GameEnv(game, 4, seed=1).rollout(2 * game.decisions, break_when_any_done=False))
    assert result.shape == (4, 4, 2 * (1 + game.cards)) and result["valid"].all()
    assert torch.equal(result["mover"], torch.arange(4)[None, :, None].expand(4, 4, 6))


def test_a_truncated_game_has_no_score() -> None:
    """As one that the end of the rollout cuts off, in the middle of it."""
    game = Blob(cards=2)
    env = TransformedEnv(GameEnv(game, 4, seed=1), Compose(StepCounter(9), ActionMask()))
    rollout = env.rollout(18, break_when_any_done=False)
    assert rollout["next", "truncated"].sum() == 8
    result = by_seat(rollout)
    assert result["valid"].sum() == 4 * 2 * (9 - 4) and result["next", "truncated"].sum() == 4 * 2 * 4
    assert not result["next", "terminated"][result["valid"]].any() and not result["next", "reward"].any()


def test_an_advantage_is_the_seats_own() -> None:
    """TorchRL's GAE over the regrouped rollout, against the recursion written out for each seat's own values."""
    env, (actor, critic) = GameEnv(Blob(cards=3), games=5, seed=2), networks(Blob())
    batch = by_seat(env.rollout(env.game.decisions, actor)).detach()
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


@pytest.mark.parametrize("named", UNEVEN, ids=str)
def test_an_advantage_stays_in_its_game(named: Named) -> None:
    """With games of different lengths in a row, fillers and games that are cut off."""
    game = named.make()
    actor, critic = networks(game)
    with torch.no_grad():
        batch = by_seat(GameEnv(game, 4, seed=2).rollout(game.decisions + 8, actor, break_when_any_done=False))
        GAE(gamma=0.9, lmbda=0.8, value_network=critic)(batch)
        now, then = (critic(part.select("observation").clone())["state_value"] for part in (batch, batch["next"]))
    ends, after, compared = batch["next"], 0.0, 0
    for turn in range(batch.shape[-1] - 1, -1, -1):
        terminated, done = (ends[name][:, :, turn].float() for name in ("terminated", "done"))
        delta = ends["reward"][:, :, turn] + 0.9 * (1 - terminated) * then[:, :, turn] - now[:, :, turn]
        after = delta + 0.9 * 0.8 * (1 - done) * after
        valid = batch["valid"][:, :, turn]
        assert torch.allclose(batch["advantage"][:, :, turn][valid], after[valid], atol=1e-4)
        compared += int(valid.sum())
    assert compared > 20 and not batch["valid"].all()


@pytest.mark.parametrize("named", [Named("blob", "cards=2"), *UNEVEN[:2]], ids=str)
def test_a_collector_may_play(named: Named) -> None:
    """TorchRL's own loop, which goes on with the games that a batch of frames cuts off."""
    game, games = named.make(), 4
    actor, _ = networks(game)
    frames = games * game.decisions
    collector = Collector(GameEnv(game, games, seed=1), actor, frames_per_batch=frames, total_frames=3 * frames)
    rollouts = [rollout.clone() for rollout in collector]
    collector.shutdown()
    assert len(rollouts) == 3
    following = [rollout[:, 0]["observation"] for rollout in rollouts[1:]]
    for rollout, after in zip(rollouts, following, strict=False):
        going = ~rollout[:, -1]["next", "done"][:, 0]
        assert torch.equal(rollout[:, -1]["next", "observation"][going], after[going])
    whole = by_seat(torch.cat(rollouts, 1).exclude("collector", "logits"))
    assert whole["valid"].sum() > 2 * frames
    losses = ppo_loss(advantages(whole, named.make()), *networks(game))[1]
    assert losses["loss_objective"].isfinite()


def advantages(batch: TensorDict, game: Game) -> TensorDict:
    """The valid decisions of trajectories with their advantages."""
    with torch.no_grad():
        GAE(gamma=1.0, lmbda=0.95, value_network=networks(game)[1])(batch)
    return batch[batch["valid"]]


def test_several_environments_side_by_side() -> None:
    """TorchRL's own, each of which deals games of its own."""
    game = make_game("kuhn")
    env, (actor, _) = SerialEnv(2, lambda: GameEnv(game, games=8)), networks(game)
    rollout = env.rollout(12, actor, break_when_any_done=False)
    assert rollout.shape == (2, 8, 12) and not torch.equal(rollout[0]["observation"], rollout[1]["observation"])
    assert by_seat(rollout.flatten(0, 1))["valid"].sum() >= 2 * 8 * (12 - 2)


def test_a_rollout_needs_a_time_axis() -> None:
    with pytest.raises(ValueError, match=r"the rollout must be \[games, steps\], got \[3\]"):
        by_seat(GameEnv(games=3).rollout(2)[:, 0])


def test_bad_arguments_get_one_clear_line() -> None:
    with pytest.raises(ValueError, match="games must be at least 1, got 0"):
        GameEnv(games=0)
    with pytest.raises(ValueError, match="illegal must be 'raise' or 'end', got 'skip'"):
        GameEnv(illegal="skip")
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        GameEnv(seed=-1)
    with pytest.raises(ValueError, match="there is no game 'whisk'"):
        GameEnv("whisk")
    with pytest.raises(ValueError, match="game must be a game, or the name or address of one, got 3"):
        GameEnv(3)
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N', got 'tpu'"):
        GameEnv(device="tpu")


def ppo_loss(batch: TensorDict, actor: ProbabilisticActor, critic: ValueOperator) -> tuple[Tensor, TensorDict]:
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0)
    losses = loss(batch.reshape(-1))
    return losses["loss_objective"] + losses["loss_critic"], losses


def test_ppo_takes_it_as_it_is() -> None:
    """With the policy that played, the clipped objective is minus the mean advantage, and its gradient the policy
    gradient of each seat's own choices."""
    env, (actor, critic) = GameEnv(Blob(cards=3), games=16, seed=6), networks(Blob())
    with torch.no_grad():
        batch = by_seat(env.rollout(env.game.decisions, actor).exclude("logits"))
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
    """No operation of a step would make the host wait if the tensors were on a GPU."""
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    env = GameEnv(Blob(cards=2), games=5, illegal="end")
    env.rollout(env.game.decisions)  # makes the tables that are kept for a device
    step, steps = env.reset(), []
    for _ in range(env.game.decisions):
        step["action"] = step["action_mask"].to(torch.int8).argmax(-1)
        with NoWaiting():
            steps.append(env.step(step).clone())
        step = steps[-1]["next"].exclude("reward")
    rollout = torch.stack(steps, 1)
    assert rollout["next", "done"][:, -1].all() and by_seat(rollout)["valid"].all()


@pytest.mark.gpu
def test_all_of_it_stays_on_the_gpu() -> None:
    """Rollout, regrouping, advantage and loss are CUDA tensors, and the games those of the CPU."""
    env, (actor, critic) = GameEnv(Blob(cards=3), games=64, seed=6, device="cuda"), networks(Blob(), "cuda")
    with torch.no_grad():
        rollout = env.rollout(env.game.decisions, actor)
        batch = by_seat(rollout)
        GAE(gamma=1.0, lmbda=0.95, value_network=critic)(batch)
    total, _ = ppo_loss(batch.exclude("logits"), actor, critic)
    total.backward()
    assert all(entry.is_cuda for entry in batch.values(True, True)) and total.is_cuda
    first = GameEnv(env.game, games=64, seed=6).reset()
    torch.testing.assert_close(rollout[:, 0]["observation"].cpu(), first["observation"], rtol=0, atol=1e-6)


def test_the_page_shows_code_that_runs(capsys) -> None:
    run_snippet("TorchRL")
    assert "torch.Size([512, 24, 256]) torch.Size([512, 24, 52]) torch.Size([512, 24])" in capsys.readouterr().out


def test_the_example_learns(monkeypatch, capsys) -> None:
    """A few updates on hands of one card, whose bids are easily met."""
    run_example(monkeypatch, "torchrl_ppo.py", "--updates 20 --games 256 --cards 1")
    scores = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines() if line.startswith("update")]
    assert len(scores) == 3 and scores[2] > scores[0] + 1


def test_a_game_that_an_illegal_action_ended_is_followed_by_one_that_goes_on() -> None:
    table = GameEnv(make_game("kuhn"), games=2, seed=1, illegal="end")
    told = table.reset()
    told["action"] = torch.tensor([-1, 0])
    told = table.step(told)["next"]
    assert told["done"][:, 0].tolist() == [True, False]
    told = table.reset(told.exclude("reward").set("_reset", told["done"]))
    assert told["game"].tolist() == [2, 1] and not told["done"].any()

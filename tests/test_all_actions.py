"""All legal actions judged: what is kept of games against all that can happen in them, the loss by hand, and runs."""

import itertools
import logging
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from net import BlobNet, InferenceNet
from tests.emulated_gpu import EmulatedGpu
from tests.runs import changed, interrupt_at, metrics_of, quiet, same
from tests.test_learner import make_learner
from tests.test_recorded_steps import Forced, RowByRow, ways_of
from tests.test_recorded_steps import make_learner as make_gpu_learner
from tests.test_selfplay import Two, sized_for
from vecgame import Blob, Game, State
from vecgame.cards import pack_mask, unpack, unpack_mask
from vecgame.games.kuhn import Kuhn
from vecgame.games.leduc import Leduc
from vecgame.games.whist import Whist
from vecgame.lanes import carrying_all
from veclab.arena.best_response import network_policy
from veclab.exact.deals import every_deal
from veclab.training import all_actions, policy_gradient, steps
from veclab.training.all_actions import Judged, play
from veclab.training.learner import Outputs
from veclab.training.run import Run

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
RUN = changed(learner="policy-gradient", updates=3, cards="2", update_rule="neurd", gae_lambda=1.0, device="cpu")
RUN = replace(RUN, magnet=0.1, magnet_rate=0.3, tricks_weight=0.1, leaf_values="world", augment_suits=True)


def uneven(game: Game, **changes: object) -> InferenceNet:
    """A network of a policy that is not even, but plays no action so rarely that means would tell little of it."""
    torch.manual_seed(3)
    net = BlobNet(replace(sized_for(game), **changes))
    torch.nn.init.normal_(net.policy_out.weight, std=0.2)
    return InferenceNet(net, dtype=torch.float32)


def assert_same(ours: Judged, theirs: Judged, fine: float = 0.0) -> None:
    here, there = ours.tensors(), theirs.tensors()
    assert here.keys() == there.keys() and ours.games == theirs.games
    assert ours.score == pytest.approx(theirs.score, abs=1e-6)
    for name in here:
        torch.testing.assert_close(here[name].cpu(), there[name].cpu(), rtol=0, atol=fine)


# -- what is kept of games --------------------------------------------------------------------------------------------


class Everything:
    """All that can happen in a small game whose seats play a network's policy, of which one is judged, with so much of
    a chance at each of its decisions."""

    def __init__(self, game: Game, network: InferenceNet, share: float) -> None:
        self.game, self.policy = game, network_policy(network)
        state = every_deal(game)
        # By who is judged, how often a game's branches come here.
        reach = torch.full((len(state), game.seats), 1 / len(state) / game.seats, dtype=torch.float64)
        seen: list[tuple[Tensor, ...]] = []
        while len(state):
            actions = game.legal_actions(state)
            chances, (values, each) = self.policy(game, state), self.of_actions(state)
            columns, mover = game.policy_columns(state, actions), game.mover(state)
            own = each.gather(2, mover[:, None, None].expand(*actions.shape, 1))[:, :, 0]
            legal, choice = actions >= 0, game.chooses(state, actions)
            gain = torch.where(legal, own - values.gather(1, mover[:, None]), 0.0)
            by_column = torch.zeros(len(state), game.num_actions, dtype=torch.float64).scatter_add(1, columns, gain)
            worth = torch.stack([values[lane].roll(-int(seat)) for lane, seat in enumerate(mover)])
            often = share * reach.gather(1, mover[:, None])
            told = torch.cat([torch.ones_like(often), by_column, worth], 1) * often
            seen.append((game.observe(state)[choice], told[choice]))
            lane, slot = legal.nonzero().unbind(1)
            judged = (torch.arange(game.seats) == mover[:, None])[lane]
            chance = chances[lane, slot][:, None]
            reach = reach[lane] * torch.where(judged, share + (1 - share) * chance, chance)
            state = game.step(state.take(lane), actions[lane, slot])
            going = ~game.is_terminal(state)
            state, reach = state[going], reach[going]
        observation, told = map(torch.cat, zip(*seen, strict=True))
        self.situations, place = observation.unique(dim=0, return_inverse=True)
        # Of each situation that a seat may see, in one game on the average: how often it is judged, and sums over these
        # times of the actions' advantages and the seats' values.
        self.expected = told.new_zeros(len(self.situations), told.shape[1]).index_add(0, place, told)

    def of_actions(self, state: State) -> tuple[Tensor, Tensor]:
        """Values of B games by absolute seat, [B, seats] float64, and after each action [B, max_legal, seats]."""
        game, actions = self.game, self.game.legal_actions(state)
        lane, slot = ((actions >= 0) & ~game.is_terminal(state)[:, None]).nonzero().unbind(1)
        each = torch.zeros(*actions.shape, game.seats, dtype=torch.float64)
        if not len(lane):
            return game.values(state).double(), each
        each[lane, slot] = self.of_actions(game.step(state.take(lane), actions[lane, slot]))[0]
        mean = (self.policy(game, state)[:, :, None] * each).sum(1)
        return torch.where(game.is_terminal(state)[:, None], game.values(state).double(), mean), each


SMALL_GAMES = [Kuhn(), Kuhn(players=3), Blob(cards=2, players=2, suits=2, ranks=2)]
BY_SHARE = [
    pytest.param(game, share, marks=[pytest.mark.slow] * (game.name == "blob"), id=f"{game!r}-{share}")
    for game in SMALL_GAMES
    for share in (1.0, 0.4)
]


@pytest.mark.parametrize(("game", "share"), BY_SHARE)
def test_advantages_are_those_of_all_that_can_happen(game: Game, share: float, monkeypatch) -> None:
    """On the average: each decision with a choice is judged as often as chance, the others and what branches let games
    come to it, and its actions' advantages and the seats' values are the exact ones. Means of 20,000 games within six
    standard errors, of situations that come up 50 times or more: some 1,000 numbers, of which one is further off with a
    probability below 0.001, were they normal below 0.00001."""
    assert all_actions.share_judged(game) == 1
    monkeypatch.setattr(all_actions, "share_judged", lambda _: share)
    network, games = uneven(game), 20_000
    exact = Everything(game, network, share)
    judged = play(game, network, games, seed=5, first_index=0, device=CPU)
    found = (judged.observation[:, None] == exact.situations).all(-1)
    assert (found.sum(1) == 1).all()
    told = torch.cat([torch.ones(len(found), 1), judged.advantage, judged.value], 1).double()
    number = found.int().argmax(1)
    means, squares = (torch.zeros_like(exact.expected).index_add(0, number, told**power) / games for power in (1, 2))
    off, error = (means - exact.expected).abs(), ((squares - means**2) / games).sqrt()
    often = games * exact.expected[:, 0] >= 50
    assert (off[often] <= 6 * error[often] + 1e-6).all() and often.sum() >= 12
    assert (error[often] > 0).sum() < 1200
    clear = exact.expected[often].abs() > 10 * error[often]
    assert clear[:, 1 : 1 + game.num_actions].any() and clear[:, 1 + game.num_actions :].any()


@pytest.mark.parametrize("game", [Blob(cards=3), Leduc(), Whist(cards=3, trump="random")], ids=lambda game: game.name)
def test_only_legal_actions_of_decisions_with_a_choice_are_judged(game: Game) -> None:
    network = uneven(game)
    judged = play(game, network, 60, 1, 0, CPU)
    mask = unpack_mask(judged.legal, game.num_actions)
    assert (mask.sum(-1) >= 2).all() and len(mask) > 100
    assert not judged.advantage[~mask].any() and not judged.log_policy[~mask].any()
    said = network(judged.observation)[0].masked_fill(~mask, -torch.inf).log_softmax(-1)
    assert said.masked_fill(~mask, 0.0).allclose(judged.log_policy, atol=1e-5)
    policy = judged.log_policy.exp().masked_fill(~mask, 0.0)
    assert (policy * judged.advantage).sum(-1).abs().max() < 1e-5 and judged.advantage.abs().max() > 0.1


def test_the_score_is_the_mean_over_the_policy() -> None:
    """As of games that it plays, within six standard errors (scores lie within 2 of their mean nearly always)."""
    game = Blob(cards=2)
    network, games = uneven(game), 4000
    played = policy_gradient.play(game, network, games, 1, 10**6, CPU)
    assert abs(play(game, network, games, 1, 0, CPU).score - played.score) < 6 * 2 * (2 / games) ** 0.5


def test_long_games_have_as_many_branches_as_short_ones() -> None:
    """What branches is drawn where all that could would be too many: never more than there may be on the average."""
    found = {}
    for cards in (2, 5, 13):
        game = Blob(cards=cards)
        found[cards] = len(play(game, RowByRow(), 40, 1, 0, CPU).legal) / 40
        assert (all_actions.share_judged(game) == 1) == (cards == 2)
    assert all(0.3 < number < all_actions.BRANCHES for number in found.values())


def test_what_is_drawn_depends_on_no_other_game() -> None:
    """In any chunks, on a CPU, which lists what has work, and by a GPU's way, with all carried along; and alone."""
    game, network = Blob(cards=3), RowByRow()
    extras = ("tricks", "hidden")
    whole = play(game, network, 13, 1, 5, CPU, game.suit_symmetry(), extras, chunk_games=13)
    assert len(whole.legal) > 13 and whole.advantage.abs().max() > 0
    assert_same(play(game, network, 13, 1, 5, CPU, game.suit_symmetry(), extras, chunk_games=4), whole)
    with carrying_all():
        assert_same(play(game, network, 13, 1, 5, CPU, game.suit_symmetry(), extras), whole)
        assert_same(play(game, network, 13, 1, 5, CPU, game.suit_symmetry(), extras, chunk_games=5), whole)
    each = [play(game, network, 1, 1, 5 + number, CPU, game.suit_symmetry(), extras) for number in range(13)]
    alone = Judged.concatenate(each)
    for name, tensor in whole.tensors().items():
        rows = [sorted(some.double().view(len(some), -1).tolist()) for some in (tensor, alone.tensors()[name])]
        assert rows[0] == rows[1], name
    other = play(game, network, 13, 2, 5, CPU, game.suit_symmetry(), extras)
    assert not torch.equal(other.advantage[:10], whole.advantage[:10])


def test_actions_that_lead_to_the_same_have_no_advantage() -> None:
    """For what others draw is the same after all of them."""

    class Alike(Kuhn):
        """Kuhn poker in which the first seat bets, whatever it does."""

        def step(self, state: State, action: Tensor) -> State:
            return super().step(state, torch.where(self.turn(state) == 0, 1, action))

    game = Alike()
    judged = play(game, uneven(game), 400, 1, 0, CPU)
    opening = ~judged.observation[:, 6:].any(-1)  # nothing has been done yet
    assert opening.sum() == 200 and judged.advantage[opening].abs().max() < 1e-5
    assert judged.advantage[~opening].abs().max() > 0.5


def test_a_critic_and_a_tricks_head_are_told_what_they_learn() -> None:
    game = Blob(cards=2)
    network, symmetry = uneven(game, critic=156), game.suit_symmetry()
    plain, told = (play(game, network, 30, 1, 0, CPU, symmetry, extras) for extras in ((), ("hidden", "tricks")))
    assert plain.hidden is None and plain.tricks is None and torch.equal(plain.advantage, told.advantage)
    unseen = told.observation[:, 52:104] > 0
    assert (unseen[:, None] | ~unpack(told.hidden)).all() and unpack(told.hidden).any()
    assert (told.tricks.sum(-1) == 2).all()


@pytest.mark.slow
def test_tricks_are_those_of_an_end_that_the_policy_draws() -> None:
    """The first to bid wins on the average as many as in games that the policy plays, within five standard errors."""
    game, games = Blob(cards=3, players=2, suits=2, ranks=4), 12_000

    def network(observation: Tensor, mask: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Plays high, seldom low."""
        return 0.5 * torch.arange(mask.shape[1]).expand(mask.shape), torch.zeros(len(observation), 2)

    judged = play(game, network, 2 * games, 1, 0, CPU, extras=("tricks",))
    drawn = policy_gradient.play(game, network, games, 2, 0, CPU, extras=("tricks",))
    opening = judged.tricks[:games, 0].double(), drawn.tricks[:games, 0].double()  # of two games one judges that seat
    spread = sum(float(tricks.var()) / games for tricks in opening) ** 0.5
    assert abs(float(opening[0].mean() - opening[1].mean())) < 5 * spread


def test_what_two_processes_judge_is_one() -> None:
    game = Blob(cards=2)
    judged = play(game, uneven(game), 12, 1, 0, CPU)
    both = judged.gather(Two())
    assert both.games == 24 and both.score == pytest.approx(judged.score)
    assert torch.equal(both.advantage, torch.cat([judged.advantage] * 2)) and len(both.legal) == 2 * len(judged.legal)


def test_every_seat_is_judged_after_every_dealer(monkeypatch) -> None:
    """A dealer that goes round with the games' numbers is not always the seat that is judged."""
    game = Blob(cards=3, suits=3, ranks=4, players=3, dealer="rotate")
    judged, branch = [], all_actions._Terms.branch

    def watched(self, state: State, judging: Tensor):
        if not judged:
            judged.extend(zip(((judging - state.dealer) % 3).tolist(), state.dealer.tolist(), strict=True))
        return branch(self, state, judging)

    monkeypatch.setattr(all_actions._Terms, "branch", watched)
    play(game, uneven(game), 27, 1, 5, CPU)
    assert Counter(judged) == dict.fromkeys(itertools.product(range(3), range(3)), 3)
    assert all_actions.judged_seat(torch.arange(12), 4).tolist() == [0, 1, 2, 3, 1, 2, 3, 0, 2, 3, 0, 1]


# -- what is learned --------------------------------------------------------------------------------------------------


def test_the_loss_is_what_its_papers_say() -> None:
    """Neural replicator dynamics with a threshold, less the entropy, in Python: of logits beyond the threshold and of
    probabilities that have moved far, in the advantage's direction and against it."""
    learner, total = make_learner(value_weight=0.5, magnet=0.7), 8
    decisions = [  # policy over the legal columns, how far the log-probabilities have moved, advantages, which count
        ((0.6, 0.3, 0.1), (0.0, 0.1, -0.1), (1.0, -0.5, 2.0), (1, 1, 1)),
        ((0.7, 0.3), (0.25, -0.25), (1.0, -1.0), (0, 0)),
        ((0.7, 0.3), (0.25, -0.25), (-1.0, 1.0), (1, 1)),
        ((0.9997, 0.0003), (0.0, 0.0), (0.5, -2.0), (0, 0)),
        ((0.9997, 0.0003), (0.0, 0.0), (-0.5, 2.0), (1, 1)),
    ]
    weights, error, pull, places = (0.5, 2.0, 1.0, 1.5, 0.25), 4 * 0.3**2, (0.2, 0.5, 0.3), (40, 3, 17)
    log_policy, magnet = torch.full((5, 52), -torch.inf), torch.zeros(5, 52)
    advantage, before = torch.zeros(5, 52), torch.zeros(5, 52)
    objective = entropy = divergence = 0.0
    for row, ((policy, moved, gains, counts), weight) in enumerate(zip(decisions, weights, strict=True)):
        columns, number = torch.tensor(places[: len(policy)]), len(policy)
        logs = [math.log(p) for p in policy]
        log_policy[row, columns] = torch.tensor(logs)
        magnet[row, columns] = torch.tensor(pull[:number]).log()
        advantage[row, columns] = torch.tensor(gains)
        before[row, columns] = torch.tensor([log - move for log, move in zip(logs, moved, strict=True)])
        logits = [log - sum(logs) / number for log in logs]
        assert all(abs(logit) > 4 for logit in logits) == (row >= 3)
        each = sum(c * y * g for c, y, g in zip(counts, logits, gains, strict=True)) / number
        objective += weight * each / total
        entropy -= weight * sum(p * log for p, log in zip(policy, logs, strict=True)) / total
        divergence += weight * sum(p * math.log(p / q) for p, q in zip(policy, pull, strict=False)) / total
    judged = {
        "observation": torch.zeros(5, 256),
        "legal": pack_mask(log_policy > -torch.inf),
        "log_policy": before,
        "advantage": advantage,
        "value": torch.full((5, 4), 0.8),
        "weight": torch.tensor(weights),
        "magnet": magnet,
    }
    index = torch.tensor([3, 0, 4, 1, 2])
    learner.forward = lambda *_: Outputs(log_policy[index], torch.full((5, 4), 0.5), None, None)
    loss, figures = all_actions.loss(learner, judged, torch.tensor(0.3), index, total)
    value_loss = sum(weights) * error / total
    assert figures.tolist() == pytest.approx([objective, entropy, value_loss, divergence], rel=1e-5)
    assert float(loss) == pytest.approx(0.5 * value_loss - objective - 0.3 * entropy + 0.7 * divergence, rel=1e-5)


def test_logits_move_by_their_advantages_whatever_their_probability() -> None:
    """The gradient by the logits is the advantages less their mean, and nothing where an action is illegal."""
    learner = make_learner(value_weight=0.0)
    logits = torch.zeros(1, 52)
    logits[0, :3] = torch.tensor([2.0, 0.0, -1.5])
    logits.requires_grad_()
    mask = torch.arange(52)[None] < 3
    log_policy = logits.masked_fill(~mask, -torch.inf).log_softmax(-1)
    advantage = torch.zeros(1, 52)
    advantage[0, :3] = torch.tensor([0.5, -2.0, 3.0])
    judged = {"observation": torch.zeros(1, 256), "legal": pack_mask(mask), "value": torch.zeros(1, 4)}
    judged |= {"log_policy": log_policy.detach().masked_fill(~mask, 0.0), "weight": torch.ones(1)}
    learner.forward = lambda *_: Outputs(log_policy, torch.zeros(1, 4), None, None)
    (
        -all_actions.loss(learner, {**judged, "advantage": advantage}, torch.tensor(0.0), torch.tensor([0]), 1)[0]
    ).backward()
    assert logits.grad[0, :3].tolist() == pytest.approx([0.0, -2.5 / 3, 2.5 / 3], abs=1e-6)
    assert not logits.grad[0, 3:].any()


def test_decisions_teach_as_far_as_a_logit_may_still_move() -> None:
    """By hand: an even policy, one that is sure and right, one that is sure and wrong."""
    mask = torch.tensor([[True, True, True, False]] * 3)
    policy = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1 - 2e-9, 1e-9, 1e-9], [1e-9, 1 - 2e-9, 1e-9]])
    log_policy = torch.cat([policy.log(), torch.zeros(3, 1)], 1)
    advantage = torch.tensor([[0.5, -1.0, 0.0, 0.0], [0.1, -2.0, -3.0, 0.0], [2.0, 0.0, -3.0, 0.0]])
    found = all_actions.teaches(advantage, log_policy, mask)
    assert found.tolist() == pytest.approx([(1.25 / 3) ** 0.5, 0.0, (4.0 / 3) ** 0.5])


def test_passes_draw_those_that_teach_and_advantages_are_scaled(monkeypatch) -> None:
    """Over their root mean square; what is drawn with a smaller chance counts for more, so that the mean stays."""
    game, made = Blob(cards=3), {}
    judged = play(game, uneven(game), 200, 1, 0, CPU)

    def in_passes(learner, played, read, passes, *_: object) -> None:
        made["read"], made["passes"] = read, passes

    monkeypatch.setattr(all_actions, "in_passes", in_passes)
    all_actions.update(make_learner(update_epochs=2, update_share=1.0), judged, 0.0, 0)
    read, mask = made["read"], unpack_mask(judged.legal, 52)
    assert float(read["advantage"][mask].square().mean()) == pytest.approx(1, rel=1e-5)
    assert read["weight"].tolist() == [1.0] * len(judged.legal)
    assert [one.tolist() for one in made["passes"]] == [list(range(len(judged.legal)))] * 2
    worth = all_actions.teaches(read["advantage"], judged.log_policy, mask)
    all_actions.update(make_learner(update_epochs=2, update_share=0.1), judged, 0.0, 0)
    read, passes = made["read"], made["passes"]
    assert passes.shape == (2, round(0.1 * len(judged.legal))) and not torch.equal(*passes)
    drawn = all_actions.teaches(read["advantage"], read["log_policy"], unpack_mask(read["legal"], 52))
    assert drawn[passes].mean() > 1.2 * worth.mean()
    assert float((read["weight"] * drawn)[passes].mean()) == pytest.approx(float(worth.mean()), rel=0.1)


def test_every_pass_is_over_all_decisions_in_another_order(monkeypatch) -> None:
    game = Blob(cards=2)
    learner = make_learner(update_epochs=2, update_batch=16)
    steps_made: list[Tensor] = []
    monkeypatch.setattr(learner, "step_in", lambda stretch, index, *_: steps_made.append(index))
    judged = play(game, uneven(game), 8, 1, 0, CPU)
    all_actions.update(learner, judged, 0.0, 0)
    number, size = len(judged.legal), len(steps_made[0])
    assert {len(index) for index in steps_made} == {size} and len(steps_made) == 2 * (number // size) and size >= 16
    passes = [torch.cat(steps_made[: number // size]).tolist(), torch.cat(steps_made[number // size :]).tolist()]
    assert passes[0] != passes[1] and all(len(set(one)) == len(one) == number // size * size for one in passes)
    assert number - size < len(passes[0]) and set(passes[0] + passes[1]) <= set(range(number))


@pytest.mark.parametrize("device", [CPU, pytest.param(CUDA, marks=pytest.mark.gpu)], ids=str)
def test_games_without_a_choice_are_refused_in_one_line(device: torch.device) -> None:
    """Alone; beside games with choices they are some games more."""
    forced = play(Forced(cards=1), RowByRow(), 3, 1, 0, device, chunk_games=2)
    with pytest.raises(ValueError, match=r"^in 3 games there was nothing to decide: nothing can be learned from them$"):
        all_actions.update(make_learner(), forced, 0.0, 0)
    free = play(Blob(cards=1), RowByRow(), 3, 1, 0, device)
    both = Judged.concatenate([forced, free])
    assert both.games == 6 and len(both.legal) == len(free.legal) == 3


def test_what_is_hardly_ever_drawn_is_learned() -> None:
    """A king is bet in one game of 400, and twice as often after three passes over 4,000 games."""
    game = Kuhn()
    learner = make_learner(sized_for(game), update_rule="neurd", gae_lambda=1.0, update_batch=256, entropy=0.0)
    with torch.no_grad():
        learner.net.policy_out.weight.zero_()
        learner.net.policy_out.bias.copy_(torch.tensor([3.0, -3.0]))  # pass and bet
    network = InferenceNet(learner.net, dtype=torch.float32)
    judged = play(game, network, 4000, 1, 0, CPU)
    all_actions.update(learner, judged, 0.0, 0)
    network.refresh(learner.net)
    bets = network(judged.observation)[0].softmax(-1)[:, 1]
    assert float(bets[judged.observation[:, 2] > 0].mean()) > 2 / (1 + math.exp(6))


def test_a_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """With all that a loss may have beside the policy."""
    whole, folder = tmp_path / "whole", tmp_path / "stopped"
    assert Run.create(whole, RUN, quiet()).train(judge=False) is not None
    run = Run.create(folder, RUN, quiet())
    interrupt_at(run, 4)
    assert run.train(judge=False) is None and run.updates < 3
    assert Run.resume(folder, RUN, quiet()).train(judge=False) is not None
    assert same(whole, folder) and metrics_of(whole) == metrics_of(folder)
    names = {"surrogate", "entropy", "value_loss", "magnet_divergence", "tricks_loss", "critic_loss", "score"}
    assert names <= metrics_of(whole)[0].keys()


# -- on a GPU ---------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_gpus_games_wait_for_the_number_of_branches_alone(gpu: EmulatedGpu | None) -> None:
    game, network = Blob(cards=1), RowByRow()
    here = play(game, network, 6, 1, 0, CPU, extras=("tricks",))
    assert_same(play(game, network, 6, 1, 0, CUDA, extras=("tricks",)), here, 1e-6)
    before = steps.WAYS.copy()
    if gpu is not None:
        gpu.record.clear()
    play(game, network, 6, 1, 6, CUDA, extras=("tricks",))
    assert dict(steps.WAYS - before) == {"eager": game.decisions}
    if gpu is not None:
        assert gpu.record.waits.total() <= 2 * game.decisions + 2


@pytest.mark.gpu
def test_recorded_steps_are_the_same() -> None:
    """Over two updates of as many games."""
    game, found, ways = Blob(cards=1), [], []
    judged = [play(game, RowByRow(), 64, 1, 64 * number, CUDA) for number in range(2)]
    both = [make_gpu_learner(recorded, update_share=1.0) for recorded in (True, False)]
    for learner in both:
        updates = lambda learner=learner: [  # noqa: E731
            found.append(all_actions.update(learner, some, 0.1, seed)) for seed, some in enumerate(judged)
        ]
        ways.append(ways_of(updates))
    assert ways == [{"eager": 1, "graph": 27}, {"eager": 28}] and found[:2] == found[2:]
    here, there = (learner.state_dict() for learner in both)
    assert [name for name in here if not torch.equal(here[name].cpu(), there[name].cpu())] == []


@pytest.mark.gpu
def test_games_that_do_not_fit_are_played_in_halves(gpu: EmulatedGpu | None, caplog) -> None:
    if gpu is None:
        pytest.skip("needs a memory that runs out when it shall")
    game, network = Blob(cards=1), RowByRow()
    whole = play(game, network, 6, 1, 0, CUDA, graphs=False)
    gpu.memory.fail_at = 200
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        cut = play(game, network, 6, 1, 0, CUDA, graphs=False)
    assert [record.getMessage() for record in caplog.records] == [
        "out of GPU memory with 6 games at a time: going on with 3"
    ]
    assert_same(cut, whole)


def test_as_many_games_are_played_at_once_as_their_branches_allow() -> None:
    game = Blob(cards=5)
    assert all_actions.turns_of(game) == 6 and all_actions.at_once(game, 77, CPU) == 77
    assert all_actions.at_once(game, 10**6, CPU) * all_actions.BRANCHES == all_actions.CPU_LANES
    assert all_actions.at_once(game, 1, CPU) == 1 and policy_gradient.largest_rollout(game, 777, CPU) == 777
    few = Kuhn()
    assert all_actions.at_once(few, 10**6, CPU) * few.max_legal ** all_actions.turns_of(few) == all_actions.CPU_LANES

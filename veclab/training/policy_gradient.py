"""Policy gradient: self-play without search, which costs some 20 evaluations a game instead of 1,100.

Proximal policy optimisation (Schulman et al. 2017) in which all four seats are the learning network: a batch of games,
the final score as the return of each decision, the value head as its baseline, or the critic if the network has one:
it sees all hands, and so leaves less to chance (Pinto et al., "Asymmetric actor critic", 2017). Minutes of it make a
player, and give a search a network worth searching with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from net import InferenceNet
from vecgame import Game, Purpose, Stream, SuitSymmetry
from vecgame.cards import pack_mask, unpack, unpack_mask
from veclab.training.distributed import Group
from veclab.training.learner import Learner, StepCount, tricks_error, value_error
from veclab.training.replay import EXTRAS
from veclab.training.selfplay import sample
from vecmcts.evaluators import to_relative

CLIP = 0.2


@dataclass(frozen=True)
class Rollout:
    """E sampled decisions, in the frame of their mover."""

    observation: Tensor  # [E, features] float32
    legal: Tensor  # [E] int64, bitboard of the legal policy columns; [E, words] with more than 52 (`cards.pack_mask`)
    column: Tensor  # [E] int64, policy column of the action taken
    log_prob: Tensor  # [E] float32, of that action when it was taken
    baseline: Tensor  # [E] float32, value of the mover then
    value: Tensor  # [E, seats] float32, how the game ended for each relative seat
    score: float  # mean points a game and seat
    games: int
    tricks: Tensor | None = None  # [E, seats] int8, see `Examples`
    hidden: Tensor | None = None  # [E, seats - 1] int64, likewise

    def gather(self, group: Group) -> Rollout:
        """The rollouts of all processes as one, in the order of the processes."""
        if group.size == 1:
            return self
        names = ["observation", "legal", "column", "log_prob", "baseline", "value"]
        names += [name for name in EXTRAS if getattr(self, name) is not None]
        points, games = group.sum(torch.tensor([self.score * self.games, self.games], dtype=torch.float64)).tolist()
        fields = {name: group.gather(getattr(self, name)) for name in names}
        return Rollout(**fields, score=points / games, games=int(games))


def play(
    game: Game,
    network: InferenceNet,
    games: int,
    seed: int,
    first_index: int,
    device: torch.device,
    symmetry: SuitSymmetry | None = None,
    extras: Collection[str] = (),
) -> Rollout:
    """Plays games in which every decision is drawn from the network's policy; forced moves are not stored.

    With ``symmetry`` the network sees each position with its suits in a random order. It has to be here: were examples
    turned in `update`, their probabilities would be those of other inputs than the ones that the actions came from.
    ``extras`` names the fields of `replay.EXTRAS` that the rollout shall have.
    """
    state = game.deal(games, seed, device, first_index)
    stored = []
    for _ in range(game.decisions):
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = (actions[:, 1] >= 0).nonzero()[:, 0]
        if len(lanes):
            choosing = state.take(lanes)
            observation, mask = game.observe(choosing), game.policy_mask(choosing)
            columns = game.policy_columns(choosing, actions[lanes])
            hidden = [game.others_hands(choosing)] if "hidden" in extras else []
            stream = Stream(seed, choosing.index, game.turn(choosing))
            if symmetry is not None:
                orders = symmetry.orders(stream, observation)
                observation, mask = orders.observations(observation), orders.policies(mask)
                columns = orders.columns(columns, game.num_actions)
                hidden = [orders.cards(hands) for hands in hidden]
            # A critic's baseline, which may depend on what the policy must not see, for the action does not change it.
            others = unpack(hidden[0], torch.float32, game.layout.size).flatten(1) if hidden else None
            logits, values = network(observation, mask, others)
            log_policy = logits.masked_fill(~mask, -torch.inf).log_softmax(-1)
            column = sample(log_policy.exp(), stream.uniform(Purpose.ACTION, 1)[:, 0])
            log_prob = log_policy.gather(1, column[:, None])[:, 0]
            slot = ((columns == column[:, None]) & (actions[lanes] >= 0)).to(torch.int8).argmax(-1)
            action = action.index_copy(0, lanes, actions[lanes].gather(1, slot[:, None])[:, 0])
            legal = pack_mask(mask)
            stored.append((lanes, game.mover(choosing), observation, legal, column, log_prob, values[:, 0], *hidden))
        state = game.step(state, action)

    def ends(by_seat: Tensor) -> Tensor:
        """[games, seats] by absolute seat -> [E, seats] by relative seat."""
        return torch.cat([to_relative(by_seat[lanes], mover) for lanes, mover, *_ in stored])

    observation, legal, column, log_prob, baseline, *hidden = (
        torch.cat(parts) for parts in list(zip(*stored, strict=True))[2:]
    )
    return Rollout(
        observation,
        legal,
        column,
        log_prob,
        baseline,
        value=ends(game.values(state)),
        score=float(game.scores(state).mean()),
        games=games,
        tricks=ends(game.tricks_won(state)) if "tricks" in extras else None,
        hidden=hidden[0] if hidden else None,
    )


def update(
    learner: Learner, rollout: Rollout, entropy_weight: float, seed: int, report: Callable[[], None] | None = None
) -> dict[str, float]:
    """A few passes of clipped policy gradient over a rollout, which all processes of the learner's group hold.

    Returns:
        Means over the steps taken, the rollout's score, and the number of steps skipped.

    Raises:
        NotFiniteError: see `StepCount.skipped`.
    """
    advantage = rollout.value[:, 0] - rollout.baseline
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    settings, order = learner.settings, torch.Generator().manual_seed(seed)
    sums = torch.zeros(3, device=learner.device)
    count = StepCount(learner.device)
    learner.net.train()
    for _ in range(settings.update_epochs):
        shuffled = torch.randperm(len(advantage), generator=order).to(learner.device)
        for batch in shuffled.split(settings.update_batch):
            index = learner.group.part(batch)
            mask = unpack_mask(rollout.legal[index], learner.net.config.actions)
            hidden = None if rollout.hidden is None else rollout.hidden[index]
            outputs = learner.forward(rollout.observation[index], mask, hidden)
            log_policy = outputs.log_policy
            finite = log_policy.masked_fill(~mask, 0.0)
            log_prob = finite.gather(1, rollout.column[index, None])[:, 0]
            ratio = (log_prob - rollout.log_prob[index]).exp()
            gain = advantage[index]
            surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).sum() / len(batch)
            entropy = -(log_policy.exp() * finite).sum() / len(batch)
            values = outputs.values
            value_loss = (values - rollout.value[index, : values.shape[1]]).square().sum() / len(batch)
            loss = settings.value_weight * value_loss - surrogate - entropy_weight * entropy
            if outputs.tricks is not None:
                error = tricks_error(outputs.tricks, rollout.tricks[index])
                loss = loss + settings.tricks_weight * error / len(batch)
            if outputs.critic is not None:
                loss = loss + settings.value_weight * value_error(outputs.critic, rollout.value[index]) / len(batch)
            taken = learner.step(loss)
            sums += torch.where(taken, torch.stack([surrogate, entropy, value_loss]).detach(), 0)
            count.add(taken)
            if report is not None:
                report()
    learner.net.eval()
    skipped = count.skipped()
    surrogate, entropy, value_loss = (learner.group.sum(sums) / max(count.steps - skipped, 1)).tolist()
    numbers = {"surrogate": surrogate, "entropy": entropy, "value_loss": value_loss, "score": rollout.score}
    return {**numbers, "skipped_steps": skipped}

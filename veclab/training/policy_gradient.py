"""Policy gradient: self-play without search, which costs some 20 evaluations a game instead of 1,100.

Proximal policy optimisation (Schulman et al. 2017) in which all four seats are the learning network: a batch of games,
the final score as the return of each decision, the value head as its baseline, or the critic if the network has one:
it sees all hands, and so leaves less to chance (Pinto et al., "Asymmetric actor critic", 2017). Minutes of it make a
player, and give a search a network worth searching with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from net import InferenceNet
from net.threads import side_by_side
from vecgame import Game, Purpose, State, Stream, SuitSymmetry
from vecgame.cards import pack_mask, unpack, unpack_mask
from veclab.training.distributed import Group
from veclab.training.learner import ROWS_PER_THREAD, Learner, tricks_error, value_error
from veclab.training.replay import EXTRAS
from veclab.training.selfplay import sample
from vecmcts.evaluators import to_relative

CLIP = 0.2
GRAIN = 256  # sizes of minibatches are multiples of it


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

    def tensors(self) -> dict[str, Tensor]:
        """The fields that say something of each decision, by name, without what is None."""
        names = ["observation", "legal", "column", "log_prob", "baseline", "value", *EXTRAS]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def gather(self, group: Group) -> Rollout:
        """The rollouts of all processes as one, in the order of the processes."""
        if group.size == 1:
            return self
        points, games = group.sum(torch.tensor([self.score * self.games, self.games], dtype=torch.float64)).tolist()
        fields = {name: group.gather(tensor) for name, tensor in self.tensors().items()}
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
    state, stored = game.deal(games, seed, device, first_index), []
    with side_by_side(device):  # for the network
        for _ in range(game.decisions):
            actions = game.legal_actions(state)
            action = actions[:, 0]
            lanes = (actions[:, 1] >= 0).nonzero()[:, 0]
            if len(lanes):
                choosing = state.take(lanes)
                chosen, *kept = _choose(game, network, choosing, actions[lanes], seed, symmetry, "hidden" in extras)
                action = action.index_copy(0, lanes, chosen)
                stored.append((lanes, game.mover(choosing), *kept))
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


def _choose(
    game: Game,
    network: InferenceNet,
    state: State,
    actions: Tensor,
    seed: int,
    symmetry: SuitSymmetry | None,
    with_hidden: bool,
) -> tuple[Tensor, ...]:
    """Draws an action for each of L games that have a choice of ``actions`` [L, max_legal].

    Returns:
        [L] int64, the actions drawn, and then the fields of `Rollout` for these decisions: observation, legal, column,
        log_prob, baseline and, ``with_hidden``, hidden.
    """
    observation, mask = game.observe(state), game.policy_mask(state)
    columns = game.policy_columns(state, actions)
    hidden = [game.others_hands(state)] if with_hidden else []
    stream = Stream(seed, state.index, game.turn(state))
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
    slot = ((columns == column[:, None]) & (actions >= 0)).to(torch.int8).argmax(-1)
    chosen = actions.gather(1, slot[:, None])[:, 0]
    return chosen, observation, pack_mask(mask), column, log_prob, values[:, 0], *hidden


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
    size = _even(len(advantage), settings.update_batch)
    stretch = learner.stretch("policy gradient", 3, entropy_weight=torch.float32)
    seen = rollout.observation.to(learner.amp)  # as the network's products want it
    read = {**rollout.tensors(), "observation": seen, "advantage": advantage}
    del read["baseline"]  # which is in the advantage
    held = stretch.hold(read)
    stretch.begin((learner.amp,), held.values(), entropy_weight=entropy_weight)
    loss_of = partial(_loss, learner, held, stretch.numbers["entropy_weight"])
    learner.net.train()
    with side_by_side(learner.device, worth=size >= 2 * ROWS_PER_THREAD) as threads:
        for _ in range(settings.update_epochs):
            shuffled = torch.randperm(len(advantage), generator=order).to(learner.device)
            for batch in shuffled[: len(shuffled) // size * size].split(size):
                learner.step_in(stretch, batch, loss_of, threads)
                if report is not None:
                    report()
    learner.net.eval()
    count = stretch.count
    skipped = count.skipped()
    surrogate, entropy, value_loss = (learner.group.sum(stretch.sums) / max(count.steps - skipped, 1)).tolist()
    numbers = {"surrogate": surrogate, "entropy": entropy, "value_loss": value_loss, "score": rollout.score}
    return {**numbers, "skipped_steps": skipped}


def _even(decisions: int, wanted: int) -> int:
    """The size of minibatches: as near to ``wanted`` as makes them equal, and one of few.

    Kernels of matrix products are made for each size that there has not been, which costs as much as three steps. So a
    pass leaves out what is too little for a minibatch, some of the decisions, others each time.
    """
    size = decisions // max(1, round(decisions / wanted))
    return size - size % GRAIN if size >= GRAIN else size


def _loss(
    learner: Learner, rollout: dict[str, Tensor], entropy_weight: Tensor, index: Tensor, total: int
) -> tuple[Tensor, Tensor]:
    """The loss [] of the decisions ``index`` [K] int64, as part of the mean over ``total``; and of what it is made:
    surrogate, entropy and value loss, [3].

    Args:
        rollout: what `Rollout.tensors` has of E decisions, and ``advantage`` [E] float32.
        entropy_weight: [] float32.
    """
    settings = learner.settings
    batch = {name: tensor[index] for name, tensor in rollout.items()}
    mask = unpack_mask(batch["legal"], learner.net.config.actions)
    outputs = learner.forward(batch["observation"], mask, batch.get("hidden"))
    log_policy = outputs.log_policy
    finite = log_policy.masked_fill(~mask, 0.0)
    log_prob = finite.gather(1, batch["column"][:, None])[:, 0]
    ratio = (log_prob - batch["log_prob"]).exp()
    gain = batch["advantage"]
    surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).sum() / total
    entropy = -(log_policy.exp() * finite).sum() / total
    value_loss = value_error(outputs.values, batch["value"]) / total
    loss = settings.value_weight * value_loss - surrogate - entropy_weight * entropy
    if outputs.tricks is not None:
        loss = loss + settings.tricks_weight * tricks_error(outputs.tricks, batch["tricks"]) / total
    if outputs.critic is not None:
        loss = loss + settings.value_weight * value_error(outputs.critic, batch["value"]) / total
    return loss, torch.stack([surrogate, entropy, value_loss])

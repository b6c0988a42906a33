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
from vecgame import Game, State, SuitSymmetry
from vecgame.cards import pack_mask, unpack_mask
from vecgame.lanes import compacts, ended
from vecgame.memory import free_memory
from veclab.room import FLOAT
from veclab.training.advantage import advantages
from veclab.training.drawing import Chunk, Played, Terms, play_all
from veclab.training.importance import sampling_by, teaches
from veclab.training.learner import ROWS_PER_THREAD, Learner, Outputs, tricks_errors, value_errors
from veclab.training.selfplay import MEMORY_SHARE, split
from veclab.training.steps import WAYS
from vecmcts.evaluators import to_relative

CLIP = 0.2
MOST_AT_ONCE = 131_072  # games that a GPU plays at a time
Loss = Callable[[Learner, dict[str, Tensor], Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""The learner, what is read of all decisions, the entropy's weight [], which decisions [K] int64, of how many a batch
is -> their part of the batch's mean loss [], and of the means of `figures_of` [F]."""
WORTH_LEAVING = 0.75  # share of games that go on, up to which a copy of them costs less than the others' steps
MANY = 8  # minibatches, of which one less is little
GRAIN = 64  # other sizes of minibatches than that asked for are multiples of it, if they are large


@dataclass(frozen=True, kw_only=True)
class Rollout(Played):
    """E sampled decisions; values learn how their games ended."""

    column: Tensor  # [E] int64, policy column of the action taken
    log_prob: Tensor  # [E] float32, of that action when it was taken
    advantage: Tensor  # [E] float32, of that action over the value of the mover then: `veclab.training.advantage`


def play(
    game: Game,
    network: InferenceNet,
    games: int,
    seed: int,
    first_index: int,
    device: torch.device,
    symmetry: SuitSymmetry | None = None,
    extras: Collection[str] = (),
    graphs: bool = True,
    chunk_games: int = 0,
    gae_lambda: float = 1.0,
) -> Rollout:
    """Plays games in which every decision is drawn from the network's policy; forced moves are not stored.

    With ``symmetry`` the network sees each position with its suits in a random order. It has to be here: were examples
    turned in `update`, their probabilities would be those of other inputs than the ones that the actions came from.
    ``extras`` names the fields of `replay.EXTRAS` that the rollout shall have, ``gae_lambda`` see `advantages`.

    On a GPU games are played in chunks that fit into its memory, of ``chunk_games`` unless that is 0, and with
    ``graphs`` a decision of a chunk is one CUDA graph from the second one on. The rollout is the same in any chunks,
    but for the rounding of the network.

    There may have been nothing to decide, which `update` refuses.
    """
    terms = _Terms(game, network, seed, device, symmetry, "hidden" in extras, "tricks" in extras, graphs, gae_lambda)
    parts = split(games, chunk_games or largest_rollout(game, games, device), 1)
    chunks = [_Chunk(terms, first_index + start, count) for start, count in parts]
    return Rollout(**play_all(chunks, games, device))


def largest_rollout(game: Game, games: int, device: torch.device) -> int:
    """Games to play at a time: all on a CPU. On a GPU a power of two, so that it seldom changes with the memory that is
    free. What all decisions leave may take `MEMORY_SHARE` of it, once as it comes and once without forced moves."""
    free = free_memory(device)
    if device.type == "cpu" or free is None:
        return games
    row = FLOAT * (game.features + 3 * game.seats + 9)  # values and hidden hands; legal moves, action, mover, ..
    needed = 2 * game.decisions * row
    return min(MOST_AT_ONCE, 1 << max(0, (int(MEMORY_SHARE * free) // needed).bit_length() - 1))


@dataclass(frozen=True)
class _Terms(Terms):
    """What all chunks of a call of `play` have in common."""

    gae_lambda: float

    def choose(self, state: State, actions: Tensor, choice: Tensor | None = None) -> dict[str, Tensor]:
        """Draws an action for each of L games that have a choice of ``actions`` [L, max_legal]; with ``choice`` [L]
        bool for those that are marked, and what has no meaning for the others.

        Returns:
            ``action`` [L] int64, the one drawn, ``mover`` [L], ``baseline`` [L] float32, the value of the mover, and
            the fields of `Rollout` for these decisions: observation, legal, column, log_prob and, with hidden hands,
            hidden.
        """
        view = self.look(state, actions, choice)
        action, column = self.draw(view, actions)
        return {
            "action": action,
            "mover": self.game.mover(state),
            "observation": view.observation,
            "legal": pack_mask(view.mask),
            "column": column,
            "log_prob": view.log_policy.gather(1, column[:, None])[:, 0],
            "baseline": view.baseline,
            **({} if view.hidden is None else {"hidden": view.hidden}),
        }

    def decide(self, state: State) -> _Decision:
        """A decision of all B games, in those that have none to make too, without a wait for the device."""
        actions = self.game.legal_actions(state)
        choice = self.game.chooses(state, actions)
        rows = self.choose(state, actions, choice)
        action = torch.where(choice, rows.pop("action"), actions[:, 0])
        return _Decision(self.game.step(state, action), choice, rows)


@dataclass(frozen=True)
class _Decision:
    """One decision of B games."""

    after: State  # the games after it
    choice: Tensor  # [B] bool, whether there was a choice
    rows: dict[str, Tensor]  # what is stored of it where there was, [B, ..] each; elsewhere of no meaning

    def map(self, function: Callable[[Tensor], Tensor]) -> _Decision:
        """The same with all tensors changed by a function."""
        rows = {name: function(tensor) for name, tensor in self.rows.items()}
        return _Decision(self.after.map(function), function(self.choice), rows)


class _Chunk(Chunk):
    """Games that are played together, and what has been stored of them, by decision."""

    def play(self) -> None:
        """Deals the games and plays them to the end."""
        game = self.terms.game
        state = self.terms.deal(self.count, self.first_index)
        state, lanes, rows = (self._by_lists if compacts(state.device) else self._with_all)(state)
        mover = rows.pop("mover")
        value = to_relative(game.values(state)[lanes], mover)
        player, players = lanes * game.seats + mover, self.count * game.seats
        expected = rows.pop("baseline")
        advantage = advantages(expected, value[:, 0], player, players, self.counts, self.terms.gae_lambda)
        self.rows = {**rows, "advantage": advantage, "value": value}
        if self.terms.with_tricks:
            self.rows["tricks"] = to_relative(game.tricks_won(state)[lanes], mover)
        self.score = float(game.scores(state).mean())

    def _by_lists(self, state: State) -> tuple[State, Tensor, dict[str, Tensor]]:
        """Plays the games on, those that have a choice listed at each decision: (the games at their end, [E] int64 the
        lanes of all decisions with a choice, and what is stored of them)."""
        game, stored = self.terms.game, []
        part, place = state, None  # the games that go on, some that are over among them, and where they are (None: all)
        for _ in range(game.decisions):
            going = (~game.is_terminal(part)).nonzero()[:, 0]
            if len(going) == 0 and stored:
                break
            if 0 < len(going) <= WORTH_LEAVING * part.batch_size:
                state = part if place is None else state.put(place, part)
                part, place = part.take(going), going if place is None else place[going]
            actions = game.legal_actions(part)
            action = actions[:, 0]
            lanes = game.chooses(part, actions).nonzero()[:, 0]
            self.counts.append(len(lanes))
            WAYS["eager"] += 1
            if len(lanes) or not stored:  # those of no games still have names and types
                rows = self.terms.choose(part.take(lanes), actions[lanes])
                action = action.index_copy(0, lanes, rows.pop("action"))
                stored.append({"lane": lanes if place is None else place[lanes], **rows})
            part = game.step(part, action)
        joined = {name: torch.cat([rows[name] for rows in stored]) for name in stored[0]}
        return part if place is None else state.put(place, part), joined.pop("lane"), joined

    def _with_all(self, state: State) -> tuple[State, Tensor, dict[str, Tensor]]:
        """As `_by_lists`, all games carried along: the host waits for the device at their end only, and in long games
        to see whether they are at it."""
        game, decisions = self.terms.game, []
        for number in range(game.decisions):
            if ended(partial(game.is_terminal, state), number, state.device):
                break
            decisions.append(self.terms.recorded(self.terms.decide, state))
            state = decisions[-1].after
        choice = torch.stack([decision.choice for decision in decisions])
        self.counts, place = choice.sum(1).tolist(), choice.flatten().nonzero()[:, 0]
        rows = {}
        for name in list(decisions[0].rows):
            rows[name] = torch.cat([decision.rows.pop(name) for decision in decisions]).index_select(0, place)
        return state, place % self.count, rows


def update(
    learner: Learner, rollout: Rollout, entropy_weight: float, seed: int, report: Callable[[], None] | None = None
) -> dict[str, float]:
    """A few passes of clipped policy gradient over a rollout, which all processes of the learner's group hold, each
    over a draw of its decisions (`veclab.training.importance`). See `in_passes`."""
    rollout.check()
    order = torch.Generator().manual_seed(seed)
    read, passes = _drawn(learner, rollout, order)
    return in_passes(learner, rollout, read, passes, order, _loss, entropy_weight, report)


def in_passes(
    learner: Learner,
    played: Played,
    read: dict[str, Tensor],
    passes: Tensor,
    order: torch.Generator,
    loss: Loss,
    entropy_weight: float,
    report: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Passes over what was played, in minibatches, each in another order.

    Args:
        read: what the loss reads of D decisions, [D, ..] each; see `as_read`.
        passes: [passes, N] int64, which of these each pass learns from.
        order: of minibatches.
        loss: see `Loss`.
        entropy_weight: of the policy's entropy.
        report: called after each step.

    Returns:
        Means over the steps taken of `figures_of`, the score of what was played, and the number of steps skipped.

    Raises:
        NotFiniteError: see `StepCount.skipped`.
    """
    size = minibatch_size(passes.shape[1], learner.settings.update_batch)
    names = figures_of(learner)
    stretch = learner.stretch("policy gradient", len(names), entropy_weight=torch.float32)
    held = stretch.hold(read)
    stretch.begin((loss, learner.amp), held.values(), entropy_weight=entropy_weight)
    loss_of = partial(loss, learner, held, stretch.numbers["entropy_weight"])
    learner.net.train()
    with side_by_side(learner.device, worth=size >= 2 * ROWS_PER_THREAD) as threads:
        for chosen in passes:
            shuffled = chosen[torch.randperm(len(chosen), generator=order).to(learner.device)]
            for batch in shuffled[: len(shuffled) // size * size].split(size):
                learner.step_in(stretch, batch, loss_of, threads)
                if report is not None:
                    report()
    learner.net.eval()
    count = stretch.count
    skipped = count.skipped()
    means = (learner.group.sum(stretch.sums) / max(count.steps - skipped, 1)).tolist()
    return {**dict(zip(names, means, strict=True)), "score": played.score, "skipped_steps": skipped}


def figures_of(learner: Learner) -> list[str]:
    """The names of the F figures of a learner's steps: of what its loss is made, by the heads that its network has and
    the magnet, from which the policy is a ``magnet_divergence`` away, if there is one."""
    config = learner.net.config
    parts = {"magnet_divergence": learner.magnet, "tricks_loss": config.tricks, "critic_loss": config.critic}
    return ["surrogate", "entropy", "value_loss", *(name for name, part in parts.items() if part)]


def _drawn(learner: Learner, rollout: Rollout, order: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """What the passes of an update read of a rollout; see `drawn`."""
    advantage = rollout.advantage
    if len(advantage) > 1:  # one alone has no spread to be measured by
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    return drawn(learner, {**rollout.tensors(), "advantage": advantage}, teaches(advantage, rollout.log_prob), order)


def drawn(
    learner: Learner, rows: dict[str, Tensor], worth: Tensor, order: torch.Generator
) -> tuple[dict[str, Tensor], Tensor]:
    """What the passes of an update read, of the D decisions that any of them draws: the ``rows`` that a loss needs of
    all E decisions, [E, ..], with what each counts for, [D, ..]; and which of these each pass draws, [passes, N] int64.

    Args:
        worth: [E] float, how much each decision teaches: see `sampling_by`.
        order: of draws.
    """
    settings = learner.settings
    sampling = sampling_by(worth, settings.update_share)
    offsets = torch.rand(settings.update_epochs, generator=order, dtype=torch.float64).tolist()
    passes = torch.stack([sampling.draw(offset) for offset in offsets])
    used = torch.zeros(len(worth), dtype=torch.bool, device=passes.device).index_fill_(0, passes.flatten(), True)
    chosen, places = used.nonzero()[:, 0], used.cumsum(0) - 1
    read = {**rows, "weight": sampling.weight}
    if len(chosen) < len(worth):  # of all there need be no copy
        read = {name: tensor.index_select(0, chosen) for name, tensor in read.items()}
    return as_read(learner, read), places[passes]


def as_read(learner: Learner, rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rows of `Played.tensors` as a loss reads them: observations as the network's products want them, and with what
    the magnet says, which follows the network first."""
    read = {**rows, "observation": rows["observation"].to(learner.amp)}
    if learner.magnet is not None:
        learner.magnet.follow(learner.net, learner.settings.magnet_rate)
        read["magnet"] = learner.magnet.log_policy(read["observation"], read["legal"])
    return read


def minibatch_size(decisions: int, wanted: int) -> int:
    """The size of all minibatches of a pass over so many decisions: the ``wanted`` one where there are `MANY` of that
    size or more, else near to it, so that they are equal.

    Kernels of matrix products are made for each size that there has not been, which costs as much as three steps. So a
    pass leaves out what is too little for a minibatch, some of the decisions, others each time, and sizes are few.
    """
    if decisions >= MANY * wanted:
        return wanted
    size = decisions // max(1, round(decisions / wanted))
    return size - size % GRAIN if size >= MANY * GRAIN else size


def _loss(
    learner: Learner, rollout: dict[str, Tensor], entropy_weight: Tensor, index: Tensor, total: int
) -> tuple[Tensor, Tensor]:
    """The loss [] of the decisions ``index`` [K] int64, as part of the mean over ``total``; and of what it is made,
    `figures_of` [F].

    Args:
        rollout: what `Rollout.tensors` has of E decisions, ``advantage`` [E] float32 among it, and where the learner
            has a magnet its ``magnet`` [E, actions] float32, see `Magnet.log_policy`; and ``weight`` [E] float32, what
            each counts for.
        entropy_weight: [] float32.
    """
    batch = {name: tensor[index] for name, tensor in rollout.items()}
    mask = unpack_mask(batch["legal"], learner.net.config.actions)
    outputs = learner.forward(batch["observation"], mask, batch.get("hidden"))
    finite = outputs.log_policy.masked_fill(~mask, 0.0)
    log_prob = finite.gather(1, batch["column"][:, None])[:, 0]
    ratio = (log_prob - batch["log_prob"]).exp()
    gain = batch["advantage"]
    surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain)
    return with_other_terms(learner, batch, outputs, finite, surrogate, entropy_weight, total)


def with_other_terms(
    learner: Learner,
    batch: dict[str, Tensor],
    outputs: Outputs,
    finite: Tensor,
    surrogate: Tensor,
    entropy_weight: Tensor,
    total: int,
) -> tuple[Tensor, Tensor]:
    """The loss [] and `figures_of` [F] of K decisions, as part of the means over ``total``: the surrogate objective of
    each [K], and beside it the policy's entropy, its divergence from the magnet, and the heads beside the policy.

    Args:
        batch: of what a loss reads, the rows of these decisions.
        outputs: what the network says of them.
        finite: [K, actions] float32, their log policy, 0 where illegal.
    """
    settings, log_policy = learner.settings, outputs.log_policy

    def mean(each: Tensor) -> Tensor:
        """Of the decisions' [K]: []."""
        return torch.dot(batch["weight"], each) / total

    figures = [mean(surrogate), -mean((log_policy.exp() * finite).sum(-1))]
    figures.append(mean(value_errors(outputs.values, batch["value"])))
    loss = settings.value_weight * figures[2] - figures[0] - entropy_weight * figures[1]
    if learner.magnet is not None:
        figures.append(mean((log_policy.exp() * (finite - batch["magnet"])).sum(-1)))
        loss = loss + settings.magnet * figures[-1]
    if outputs.tricks is not None:
        figures.append(mean(tricks_errors(outputs.tricks, batch["tricks"])))
        loss = loss + settings.tricks_weight * figures[-1]
    if outputs.critic is not None:
        figures.append(mean(value_errors(outputs.critic, batch["value"])))
        loss = loss + settings.value_weight * figures[-1]
    return loss, torch.stack(figures)

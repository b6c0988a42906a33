"""All legal actions of one decision a game judged, each by playing on to the game's end; and how logits follow.

Where only drawn actions are judged, those that are hardly ever drawn hardly ever are, and what they would gain stays
unknown (docs/learning.md). So of each game one decision is kept, any of them alike, and each of its legal actions is
played on by the policy of all seats, as in external sampling (Lanctot et al., "Monte Carlo sampling for regret
minimization in extensive games", NeurIPS 2009). An action's value to the mover, less the mean over the policy, is its
advantage (all-action policy gradient: Srinivasan et al. 2018, arXiv:1810.09026). As all are judged whatever their
probability, logits can follow the advantages themselves, not times the probability as a policy gradient has them
(neural replicator dynamics: Hennes et al. 2020, arXiv:1906.00190), and a rare action is learned as fast as a frequent
one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from net import InferenceNet
from net.threads import side_by_side
from vecgame import Game, Purpose, State, Stream, SuitSymmetry
from vecgame.cards import pack_mask, unpack_mask
from vecgame.lanes import none, pick, placed, working
from veclab.training.drawing import Chunk, Played, Terms
from veclab.training.learner import Learner
from veclab.training.policy_gradient import CLIP, as_read, in_passes, largest_rollout, with_other_terms
from veclab.training.selfplay import play_in_turn, split
from vecmcts.evaluators import to_relative

THRESHOLD = 4.0  # how far a logit may be from the mean of its decision's legal ones before it goes no further
CPU_LANES = 1 << 18  # that a CPU plays on at a time


@dataclass(frozen=True, kw_only=True)
class Judged(Played):
    """E decisions, at most one a game; values learn the mean over the policy of how it ends, tricks those of the game
    itself."""

    log_policy: Tensor  # [E, actions] float32, by which the games were played; 0 where illegal
    advantage: Tensor  # [E, actions] float32, value of each to the mover, less its mean over the policy; likewise
    weight: Tensor  # [E] float32, how many decisions with a choice the game had, of which this is one


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
) -> Judged:
    """Plays games by the network's policy, and all legal actions of one decision of each to the end.

    Every decision that a game comes to with a choice has the same chance to be the one. What is drawn is a function of
    the seed, the game's number, the decision and, once games are played on from one decision in several ways, of the
    action's place among the legal ones. Arguments are those of `policy_gradient.play`. The result has the games in
    their order, without those in which there was nothing to decide, and is the same in any chunks, but for the rounding
    of the network.
    """
    terms = _Terms(game, network, seed, device, symmetry, "hidden" in extras, "tricks" in extras, graphs)
    parts = split(games, chunk_games or at_once(game, games, device), 1)
    chunks = [_Chunk(terms, first_index + start, count) for start, count in parts]
    with side_by_side(device):  # for the network
        play_in_turn(chunks)
    return Judged.concatenate([Judged(**chunk.rows, score=chunk.score, games=chunk.count) for chunk in chunks])


def at_once(game: Game, games: int, device: torch.device) -> int:
    """Games to play at a time, each of which is played on in as many ways as it has actions."""
    if device.type == "cpu":
        return min(games, max(1, CPU_LANES // game.max_legal))
    return max(1, largest_rollout(game, games * game.max_legal, device) // game.max_legal)


@dataclass(frozen=True)
class _Kept:
    """B games, and the decision of each that is kept so far."""

    state: State  # the games
    decision: State  # at that decision; of no meaning in a game without one
    number: Tensor  # [B] int64, decisions with a choice so far

    def map(self, function: Callable[[Tensor], Tensor]) -> _Kept:
        """The same with all tensors changed by a function."""
        return _Kept(self.state.map(function), self.decision.map(function), function(self.number))


@dataclass(frozen=True)
class _Terms(Terms):
    """What all chunks of a call of `play` have in common. Nothing in it waits for a GPU."""

    def act(self, state: State, branch: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The actions of B games [B] int64, drawn by the policy where there is a choice, and where that is [B] bool;
        ``branch`` see `look`."""
        actions = self.game.legal_actions(state)
        choice, forced = self.game.chooses(state, actions), actions[:, 0]
        if none(choice):
            return forced, choice
        lanes = working(choice)
        some = pick(actions, lanes)
        view = self.look(state.take(lanes), some, pick(choice, lanes), None if branch is None else pick(branch, lanes))
        return torch.where(choice, placed(forced, lanes, self.draw(view, some)[0]), forced), choice

    def keep(self, state: State, decision: State, number: Tensor) -> _Kept:
        """One decision further on: of those with a choice the n-th is kept in the place of the one before with a chance
        of 1/n, so that in the end each has the same (reservoir sampling)."""
        action, choice = self.act(state)
        number = number + choice
        stream = Stream(self.seed, state.index, self.game.turn(state))
        kept = choice & (stream.uniform(Purpose.JUDGED, 1)[:, 0] * number < 1)
        return _Kept(self.game.step(state, action), state.where(kept, decision), number)

    def onward(self, state: State, branch: Tensor) -> State:
        """One decision further on in games [B] that are played on in several ways, ``branch`` [B] int64."""
        return self.game.step(state, self.act(state, branch)[0])

    def ends(self, state: State, branch: Tensor) -> Tensor:
        """How L games end that are played on, at least one decision before: [L, seats] float32, values by absolute
        seat."""
        values, place = torch.zeros((len(branch), self.game.seats), device=self.device), None
        for _ in range(self.game.decisions - 1):
            lanes = working(~self.game.is_terminal(state))
            if lanes is not None:
                if not len(lanes):
                    break
                values = placed(values, place, self.game.values(state))  # of those that are over
                state, branch = state.take(lanes), branch[lanes]
                place = lanes if place is None else place[lanes]
            state = self.recorded(self.onward, state, branch)
        return placed(values, place, self.game.values(state))

    def judge(self, decision: State) -> dict[str, Tensor]:
        """All legal actions of L decisions played on: the fields of `Judged` for these, but weight and tricks."""
        game = self.game
        actions, mover = game.legal_actions(decision), game.mover(decision)
        view, legal = self.look(decision, actions), actions >= 0
        policy = torch.where(legal, view.log_policy.gather(1, view.columns).exp(), 0.0)
        listed, slots = working(legal.flatten()), actions.shape[1]
        every = torch.arange(legal.numel(), device=legal.device)
        place = every if listed is None else listed
        lane = place // slots
        action = torch.where(legal, actions, actions[:, :1]).flatten()[place]  # where there is none, one that is legal
        playing = replace(self, with_hidden=False)  # which needs no baseline
        reached = playing.ends(game.step(decision.take(lane), action), place % slots + 1)
        reached = to_relative(reached, mover[lane])
        values = reached.new_zeros((legal.numel(), game.seats)).index_copy(0, place, reached)
        values = values.view(*legal.shape, game.seats)
        value = (policy[:, :, None] * values).sum(1)
        advantage = torch.where(legal, values[:, :, 0] - value[:, :1], 0.0)
        beyond = view.log_policy.shape[1]  # a column for what is no action
        framed = advantage.new_zeros((len(legal), beyond + 1))
        framed = framed.scatter(1, torch.where(legal, view.columns, beyond), advantage)[:, :beyond]
        return {
            "observation": view.observation,
            "legal": pack_mask(view.mask),
            "log_policy": view.log_policy.masked_fill(~view.mask, 0.0),
            "advantage": framed,
            "value": value,
            **({} if view.hidden is None else {"hidden": view.hidden}),
        }


class _Chunk(Chunk):
    """Games that are played together, and what they leave of a decision each."""

    def play(self) -> None:
        """Deals the games, plays them to the end and judges a decision of each: on a CPU of those that have one, else
        of all, and the host waits at the end only, for which these are."""
        terms, game = self.terms, self.terms.game
        playing = replace(terms, with_hidden=False)  # which needs no baseline
        state = game.deal(self.count, terms.seed, terms.device, self.first_index)
        kept = _Kept(state, state, torch.zeros_like(state.index))
        for _ in range(game.decisions):
            kept = playing.recorded(playing.keep, kept.state, kept.decision, kept.number)
        decided = kept.number > 0
        lanes = working(decided)
        judged, number = kept.decision.take(lanes), pick(kept.number, lanes)
        rows = {**terms.judge(judged), "weight": number.float()}
        if terms.with_tricks:
            rows["tricks"] = to_relative(pick(game.tricks_won(kept.state), lanes), game.mover(judged))
        if lanes is None:
            places = decided.nonzero()[:, 0]
            rows = {name: tensor.index_select(0, places) for name, tensor in rows.items()}
        self.rows = rows
        self.score = float(game.scores(kept.state).mean())


def update(
    learner: Learner, judged: Judged, entropy_weight: float, seed: int, report: Callable[[], None] | None = None
) -> dict[str, float]:
    """A few passes of neural replicator dynamics over judged decisions, which all processes of the learner's group
    hold. Arguments, figures and errors are those of `policy_gradient.update`."""
    judged.check()
    count, device = len(judged.legal), judged.legal.device
    passes = torch.arange(count, device=device).expand(learner.settings.update_epochs, count)
    order = torch.Generator().manual_seed(seed)
    return in_passes(learner, judged, read_of(learner, judged), passes, order, loss, entropy_weight, report)


def read_of(learner: Learner, judged: Judged) -> dict[str, Tensor]:
    """What `loss` reads: advantages over their root mean square of all legal actions, and weights over their mean."""
    number = unpack_mask(judged.legal, judged.advantage.shape[1]).sum()
    scale = (judged.advantage.square().sum() / number).sqrt() + 1e-8
    scaled = {"advantage": judged.advantage / scale, "weight": judged.weight / judged.weight.mean()}
    return as_read(learner, {**judged.tensors(), **scaled})


def loss(
    learner: Learner, judged: dict[str, Tensor], entropy_weight: Tensor, index: Tensor, total: int
) -> tuple[Tensor, Tensor]:
    """See `policy_gradient.Loss`. The objective of a decision is the mean over its legal actions of centred logit times
    advantage, of which the gradient by the logits is the advantages less their mean, each over the number of actions.

    Left out are actions whose logit is beyond `THRESHOLD` in the direction of its advantage, and those whose
    log-probability has moved by more than `CLIP` in it since the games were played.

    Args:
        judged: of E decisions, see `read_of`.
    """
    batch = {name: tensor[index] for name, tensor in judged.items()}
    mask = unpack_mask(batch["legal"], learner.net.config.actions)
    outputs = learner.forward(batch["observation"], mask, batch.get("hidden"))
    finite = outputs.log_policy.masked_fill(~mask, 0.0)
    number = mask.sum(-1)
    logit = (finite - finite.sum(-1, keepdim=True) / number[:, None]).masked_fill(~mask, 0.0)
    direction = batch["advantage"].sign()
    done = (direction * logit > THRESHOLD) | (direction * (finite - batch["log_policy"]) > CLIP)
    objective = (logit * batch["advantage"]).masked_fill(done, 0.0).sum(-1) / number
    return with_other_terms(learner, batch, outputs, finite, objective, entropy_weight, total)

"""All actions of one seat's decisions judged, each by what it comes to in the end; and how logits follow.

Where only drawn actions are judged, those that are hardly ever drawn hardly ever are, and what they would gain stays
unknown (docs/learning.md). So of each game one seat is judged: at its decisions a game goes on in as many branches as
there are legal actions, and at the others' by one that their policy draws, as in external sampling (Lanctot et al.,
"Monte Carlo sampling for regret minimization in extensive games", NeurIPS 2009). A branch ends in values; at a decision
of the seat an action's value less the mean over the policy is its advantage (all-action policy gradient: Srinivasan et
al. 2018, arXiv:1810.09026). How often a decision comes up is so a matter of chance and the others alone: what follows
a rare action is learned as well as what follows a frequent one, as in counterfactual regret (Zinkevich et al. 2007).
And logits can follow the advantages themselves, not times the probability as a policy gradient has them (neural
replicator dynamics: Hennes et al. 2020, arXiv:1906.00190), so that a rare action is learned as fast as a frequent one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from net import InferenceNet
from vecgame import Game, Purpose, State, Stream, SuitSymmetry
from vecgame.cards import pack_mask, unpack_mask
from vecgame.lanes import pick, placed, working
from veclab.training.drawing import Chunk, Played, Terms, View, by_column, play_all
from veclab.training.learner import Learner
from veclab.training.policy_gradient import CLIP, drawn, in_passes, largest_rollout, with_other_terms
from veclab.training.selfplay import split
from veclab.training.steps import WAYS
from vecmcts.evaluators import to_relative

THRESHOLD = 4.0  # how far a logit may be from the mean of its decision's legal ones before it goes no further
BRANCHES = 256  # that a game has on the average, at most
CPU_LANES = 1 << 17  # branches that a CPU plays at a time, on the average
SAMPLE = 64  # games that tell how many decisions are judged


@dataclass(frozen=True, kw_only=True)
class Judged(Played):
    """E decisions; values learn the mean over the policy of how they end, tricks those of one end, drawn by it."""

    log_policy: Tensor  # [E, actions] float32, by which the games were played; 0 where illegal
    advantage: Tensor  # [E, actions] float32, value of each to the mover, less its mean over the policy; likewise


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
    """Plays games by the network's policy, and at the decisions of one seat of each all legal actions.

    The seats are judged in turn, by the games' numbers. What is drawn is a function of the seed, the game's number and
    the decision, the same in all branches of a game, so that advantages owe as little as can be to what is drawn. In
    long games not all decisions of a seat branch, see `share_judged`.

    Arguments are those of `policy_gradient.play`; branches come as they come, so that nothing is recorded for
    ``graphs``, and at each decision the host waits for their number. The result is in the order of decisions, and of
    games in each, and the same in any chunks, but for the rounding of the network.
    """
    terms = _Terms(game, network, seed, device, symmetry, "hidden" in extras, "tricks" in extras, graphs)
    parts = split(games, chunk_games or at_once(game, games, device), 1)
    chunks = [_Chunk(terms, first_index + start, count) for start, count in parts]
    return Judged(**play_all(chunks, games, device))


def turns_of(game: Game) -> int:
    """Decisions that a seat has in a game of the longest, forced ones too, where all have as many."""
    return -(-game.decisions // game.seats)


def share_judged(game: Game) -> float:
    """The chance of each decision of a seat to be judged, one in short games: so that a game in which each had about
    half of the most actions, as where hands get smaller, would have `BRANCHES` branches on the average. The others are
    drawn, as those of the other seats."""
    return min(1.0, 2 * (BRANCHES ** (1 / turns_of(game)) - 1) / max(1, game.max_legal - 1))


def judged_a_game(game: Game) -> float:
    """Decisions of a game that are judged, as a few games tell whose seats take all actions alike."""

    def even(observation: Tensor, mask: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor]:
        return torch.zeros(mask.shape), torch.zeros((len(observation), game.seats))

    return len(play(game, even, SAMPLE, 0, 0, torch.device("cpu")).legal) / SAMPLE


def at_once(game: Game, games: int, device: torch.device) -> int:
    """Games to play at a time, with all their branches."""
    branches = min(BRANCHES, game.max_legal ** turns_of(game))
    if device.type == "cpu":
        return min(games, CPU_LANES // branches)
    return min(games, max(1, largest_rollout(game, games * branches, device) // branches))


@dataclass(frozen=True)
class _Decision:
    """One decision of L branches, the N after it, and what is learned of the E that are judged at it."""

    parent: Tensor  # [N] int64, which of the branches before it each comes from
    slot: Tensor  # [N] int64, by which of its actions; 0 where it goes on by one that is drawn
    share: Tensor  # [L, max_legal] float32, what each action counts for in the value: by the policy where it is judged
    drawn: Tensor  # [L] int64, which of the branches after it is drawn by the policy
    judged: Tensor  # [E] int64, the branches that are judged
    mover: Tensor  # [E] int64
    columns: Tensor  # [E, max_legal] int64, the policy column of each action
    legal: Tensor  # [E, max_legal] bool
    rows: dict[str, Tensor]  # the fields of `Judged` that are known by then, [E, ..] each

    def each(self, ends: Tensor) -> Tensor:
        """What the actions come to: of the branches after it [N, K] float32 -> [L, max_legal, K], 0 where none is."""
        lanes, slots = self.share.shape
        place = self.parent * slots + self.slot
        return ends.new_zeros((lanes * slots, ends.shape[1])).index_copy(0, place, ends).view(lanes, slots, -1)

    def learned(self, each: Tensor, value: Tensor, tricks: Tensor | None) -> dict[str, Tensor]:
        """The fields of `Judged`, of `each` [L, max_legal, K], the means over the policy [L, K] and the tricks won
        [L, seats], all by absolute seat."""
        number, slots = self.legal.shape
        seats = value.shape[1]
        own = to_relative(each[self.judged].view(number * slots, seats), self.mover.repeat_interleave(slots))[:, 0]
        value = to_relative(value[self.judged], self.mover)
        advantage = torch.where(self.legal, own.view(number, slots) - value[:, :1], 0.0)
        framed = by_column(advantage, self.columns, self.legal, self.rows["log_policy"].shape[1])
        told = {} if tricks is None else {"tricks": to_relative(tricks[self.judged], self.mover)}
        return {**self.rows, **told, "advantage": framed, "value": value}


class _Terms(Terms):
    """What all chunks of a call of `play` have in common."""

    def judges(self, state: State, choice: Tensor, judging: Tensor) -> Tensor:
        """Which of L branches with a ``choice`` [L] bool are judged, and so branch further: [L] bool. See `branch`."""
        judged = choice & (self.game.mover(state) == judging)
        if (share := share_judged(self.game)) < 1:
            stream = Stream(self.seed, state.index, self.game.turn(state))
            judged &= stream.uniform(Purpose.JUDGED, 1)[:, 0] < share
        return judged

    def branch(self, state: State, judging: Tensor) -> tuple[State, Tensor, _Decision]:
        """A decision of L branches, of games in which the seats ``judging`` [L] int64 are judged: the N after it and
        who is judged in them."""
        game = self.game
        actions = game.legal_actions(state)
        choice = game.chooses(state, actions)
        branching = self.judges(state, choice, judging)
        lanes = working(choice)
        some = pick(actions, lanes)
        view = self.look(state if lanes is None else state.take(lanes), some, pick(choice, lanes))
        action = placed(actions[:, 0], lanes, self.draw(view, some)[0])
        action = torch.where(choice, action, actions[:, 0])
        legal = actions >= 0
        parent, slot, first = spread(torch.where(branching, legal.sum(1), 1))
        taken = torch.where(branching[parent], actions[parent, slot], action[parent])
        drawn_slot = ((actions == action[:, None]) & legal).to(torch.int8).argmax(1)
        place = pick(branching, lanes).nonzero()[:, 0]  # in the view
        judged = place if lanes is None else lanes[place]
        rows, policy = judged_rows(view, legal[judged], place)
        share = torch.zeros_like(legal, dtype=torch.float32)
        share[:, 0] = 1.0
        decision = _Decision(
            parent,
            slot,
            share.index_copy(0, judged, policy),
            first + torch.where(branching, drawn_slot, 0),
            judged,
            game.mover(state)[judged],
            view.columns[place],
            legal[judged],
            rows,
        )
        return game.step(state.take(parent), taken), judging[parent], decision


def spread(number: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L branches that become ``number`` [L] int64 each, N in all, those of one together: which each of the N comes
    from, and the how manieth of it each is, [N] int64 both; and which is the first of each of the L, [L] int64."""
    parent = torch.arange(len(number), device=number.device)
    parent = parent.repeat_interleave(number, output_size=int(number.sum()))  # for which a GPU's host waits
    first = number.cumsum(0) - number
    return parent, torch.arange(len(parent), device=number.device) - first[parent], first


def judged_rows(view: View, legal: Tensor, place: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Of the decisions ``place`` [E] int64 of a view, with the actions ``legal`` [E, max_legal] bool, what fields of
    `Judged` it tells, and the probabilities of these actions [E, max_legal] float32, 0 where there is none."""
    mask, log_policy, columns = view.mask[place], view.log_policy[place], view.columns[place]
    rows = {"observation": view.observation[place], "legal": pack_mask(mask)}
    rows["log_policy"] = log_policy.masked_fill(~mask, 0.0)
    if view.hidden is not None:
        rows["hidden"] = view.hidden[place]
    return rows, torch.where(legal, log_policy.gather(1, columns).exp(), 0.0)


def judged_seat(index: Tensor, seats: int) -> Tensor:
    """Which seat's decisions are judged in each game, by its number [B] int64: [B] int64.

    So many games that follow one another have each seat once, whose deal is one if deals are `listed`. The next as many
    begin with the next seat, for what goes round with the games' numbers, such as the dealer, would else always be the
    same for it.
    """
    return (index + index // seats) % seats


class _Chunk(Chunk):
    """Games that are played together, and what they leave of the decisions that are judged."""

    def play(self) -> None:
        """Deals the games, plays all their branches to the end and goes back over them."""
        terms, game = self.terms, self.terms.game
        state = terms.deal(self.count, self.first_index, together=game.seats)  # each seat is judged in each deal
        judging, decisions = judged_seat(state.index, game.seats), []
        for _ in range(game.decisions):
            state, judging, decision = terms.branch(state, judging)
            decisions.append(decision)
            WAYS["eager"] += 1
        seats = game.seats
        ends = torch.cat([game.values(state), game.scores(state).float().mean(1, keepdim=True)], 1)
        tricks = game.tricks_won(state) if terms.with_tricks else None
        learned = []
        for decision in reversed(decisions):
            each = decision.each(ends)
            ends = (decision.share[:, :, None] * each).sum(1)
            tricks = None if tricks is None else tricks[decision.drawn]
            learned.append(decision.learned(each[:, :, :seats], ends[:, :seats], tricks))
        learned.reverse()
        self.counts = [len(rows["legal"]) for rows in learned]
        self.rows = {name: torch.cat([rows[name] for rows in learned]) for name in learned[0]}
        self.score = float(ends[:, seats].mean())


def update(
    learner: Learner, judged: Judged, entropy_weight: float, seed: int, report: Callable[[], None] | None = None
) -> dict[str, float]:
    """A few passes of neural replicator dynamics over judged decisions, which all processes of the learner's group
    hold, each over a draw of them. Arguments, figures and errors are those of `policy_gradient.update`."""
    judged.check()
    order = torch.Generator().manual_seed(seed)
    mask = unpack_mask(judged.legal, judged.advantage.shape[1])
    scale = (judged.advantage.square().sum() / mask.sum()).sqrt() + 1e-8
    rows = {**judged.tensors(), "advantage": judged.advantage / scale}
    read, passes = drawn(learner, rows, teaches(rows["advantage"], judged.log_policy, mask), order)
    return in_passes(learner, judged, read, passes, order, loss, entropy_weight, report)


def teaches(advantage: Tensor, log_policy: Tensor, mask: Tensor) -> Tensor:
    """How large a step of the logits E decisions ask for, the root mean square of their actions': [E] float32. An
    action that is far enough asks for none, as in `loss`: so do nearly all decisions once the policy is sure of them.

    Args:
        advantage: [E, actions] float32, over the root mean square of all legal actions'.
        log_policy: [E, actions] float32, by which the games were played.
        mask: [E, actions] bool, legal actions.
    """
    step = advantage.masked_fill(far_enough(advantage, centred(log_policy, mask)), 0.0)
    return (step.square().sum(-1) / mask.sum(-1)).sqrt()


def centred(log_policy: Tensor, mask: Tensor) -> Tensor:
    """Logits less the mean of the legal ones, 0 where illegal; arguments and result [E, actions]."""
    finite = log_policy.masked_fill(~mask, 0.0)
    return (finite - finite.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)).masked_fill(~mask, 0.0)


def far_enough(advantage: Tensor, logit: Tensor) -> Tensor:
    """Whether a centred logit is beyond `THRESHOLD` in the direction of its advantage: all [E, actions]."""
    return advantage.sign() * logit > THRESHOLD


def loss(
    learner: Learner, judged: dict[str, Tensor], entropy_weight: Tensor, index: Tensor, total: int
) -> tuple[Tensor, Tensor]:
    """See `policy_gradient.Loss`. The objective of a decision is the mean over its legal actions of centred logit times
    advantage, of which the gradient by the logits is the advantages less their mean, each over the number of actions.

    Left out are actions whose logit is beyond `THRESHOLD` in the direction of its advantage, and those whose
    log-probability has moved by more than `CLIP` in it since the games were played.

    Args:
        judged: what `Judged.tensors` has of E decisions, ``advantage`` over the root mean square of all legal actions',
            ``weight`` [E] float32, what each counts for, and with a magnet ``magnet``, see `policy_gradient`.
    """
    batch = {name: tensor[index] for name, tensor in judged.items()}
    mask = unpack_mask(batch["legal"], learner.net.config.actions)
    outputs = learner.forward(batch["observation"], mask, batch.get("hidden"))
    finite = outputs.log_policy.masked_fill(~mask, 0.0)
    advantage, logit = batch["advantage"], centred(outputs.log_policy, mask)
    done = far_enough(advantage, logit) | (advantage.sign() * (finite - batch["log_policy"]) > CLIP)
    objective = (logit * advantage).masked_fill(done, 0.0).sum(-1) / mask.sum(-1)
    return with_other_terms(learner, batch, outputs, finite, objective, entropy_weight, total)

"""Rollouts by the policy itself: what departing from it at this one decision gains, over many worlds.

The mover's most probable actions are all tried in the same worlds, and from there on every seat draws its actions from
the evaluator's policy, of what it would know there. So nobody acts on cards that it does not see, as players do in the
trees of `vecmcts.search` (strategy fusion): all that is asked is whether one decision of the policy can be bettered.
Sources: Tesauro and Galperin, "On-line policy improvement using Monte-Carlo search" (NeurIPS 1996); Bertsekas,
Tsitsiklis, Wu, "Rollout algorithms for combinatorial optimization" (Journal of Heuristics 3, 1997).

A few dozen deals say little about two actions that are nearly alike, and the policy has learned from many more. So of
an action's gain over the policy's best only that counts which is left after ``caution`` standard errors of it:

    policy = softmax(log P + scale * sign(gain) * max(0, |gain| - caution * error)).

The gain is a mean of differences in the same worlds, with the same random numbers. Worlds that inference has drawn from
one candidate are one observation, and the error is that of a mean over such groups; where all of the worlds are one,
nothing is known and nothing counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from vecgame.game import Game
from vecgame.lanes import compacts, ended, pick, working
from vecgame.philox import Purpose, Stream, check_seed
from vecgame.state import State
from vecmcts.config import RolloutConfig, check_config
from vecmcts.evaluators import (
    CriticEvaluator,
    Evaluator,
    Network,
    NetworkEvaluator,
    as_evaluator,
    check_answer,
    only,
    policy_of,
)
from vecmcts.inference import LANES, Past, check_past, follows, infer
from vecmcts.search import SearchResult, at_actions

DrawWorlds = Callable[[Game, State, int, int], tuple[State, Tensor]]
"""Draws worlds: the game, B games, W, the seed -> as `infer`, B * W lanes, and [B, W] int64 numbers by which those that
are one and the same are known."""


@dataclass(frozen=True)
class Root:
    """B decisions and the K actions of each that may be tried, the most probable first."""

    state: State  # B games
    actions: Tensor  # [B, K] int64, action ids, -1 where there is none
    tried: Tensor  # [B, K] bool; where it is one action only, nothing is to be found out
    past: Past | None  # of the B games, where their worlds are inferred from it

    def take(self, lanes: Tensor) -> Root:
        """Some of the decisions, [L] int64."""
        past = None if self.past is None else self.past.take(lanes)
        return Root(self.state.take(lanes), pick(self.actions, lanes), pick(self.tried, lanes), past)


@dataclass(frozen=True)
class Trial:
    """What became of the K actions of B decisions."""

    value: Tensor  # [B, K, seats] float32, mean over the worlds, by absolute seat; 0 where nothing was tried
    gain: Tensor  # [B, K] float32, mean difference from the first action's value to the mover; 0 likewise
    error: Tensor  # [B, K] float32, standard error of the gain
    evaluations: Tensor  # [] int64, positions judged in playing on


@torch.no_grad()
def rollouts(
    game: Game,
    state: State,
    evaluator: Evaluator | Network,
    config: RolloutConfig = RolloutConfig(),
    seed: int = 0,
    past: Past | None = None,
    draw: DrawWorlds | None = None,
) -> SearchResult:
    """Judges the current decision of every game by rollouts of the evaluator's policy.

    A game's result depends on the seed, the game's own number and position only, not on the rest of the batch (up to
    the rounding of a network, which may change with the batch's shape). On a GPU the host waits for nothing but what
    bounds the worlds (`vecgame.worlds`).

    Args:
        game: the rules.
        state: B games, at any decisions; in one that is over nothing is tried.
        evaluator: a network, or an evaluator whose policy is of what the mover knows.
        config: how much to try, and what to make of it.
        seed: of the worlds and of what is drawn in playing on; may be the seed of the deal.
        past: of these games, for ``config.candidates``.
        draw: where the worlds come from, with ``config.candidates`` 0; None for uniform ones.

    Returns:
        A `SearchResult`. Its ``visits`` are the worlds in which an action was tried, ``q`` their mean value to the
        mover, ``value`` the mean value of the policy's best action or, where nothing was tried, the evaluator's, and
        ``evaluations`` do not count those of the inference.

    Raises:
        ValueError: when the evaluator's policy is not of what the mover knows; when the config has candidates, and
            there is no past, the game's hands are not fixed, or there is a ``draw`` as well.
    """
    game.check_state(state)
    check_config(config, RolloutConfig)
    evaluator, seed = as_evaluator(evaluator), check_seed(seed)
    if not follows(evaluator):
        raise ValueError("rollouts need a network, whose policy is of what the mover knows")
    if isinstance(
        evaluator, CriticEvaluator
    ):  # only its policy is asked; its values would tell of cards that are hidden
        evaluator = NetworkEvaluator(evaluator.network)
    if config.candidates and draw is not None:
        raise ValueError("worlds are drawn by draw or from config.candidates, not by both: set candidates=0")
    if config.candidates:
        check_past(game, past, evaluator, config.candidates)
    stream = Stream(seed, state.index, game.turn(state))
    logits, value = check_answer(evaluator.evaluate(game, state, stream), evaluator, game, state)
    value = value.to(torch.promote_types(value.dtype, torch.float32))
    over = game.is_terminal(state)[:, None]
    actions = game.legal_actions(state)
    log_prior = game.slot_logits(state, actions, logits.to(value.dtype)).log_softmax(-1)
    order = log_prior.argsort(dim=-1, descending=True, stable=True)
    actions, log_prior = actions.gather(1, order), log_prior.gather(1, order)

    most = min(config.actions, actions.shape[1])
    likely = (log_prior.exp() >= config.least_prior) & (actions >= 0) & ~over
    tried = (likely & (likely.sum(-1, keepdim=True) > 1))[:, :most]
    trial = _attempt_all(game, Root(state, actions[:, :most], tried, past), evaluator, config, seed, draw)
    gain, error = (torch.nn.functional.pad(x, (0, actions.shape[1] - most)) for x in (trial.gain, trial.error))
    own = trial.value.gather(2, repeat(game.mover(state), "b -> b k 1", k=most))[:, :, 0]
    return SearchResult(
        visits=at_actions(game, actions[:, :most], config.worlds * tried.float()),
        policy=at_actions(game, actions, bettered(log_prior, gain, error, config)),
        value=torch.where(
            tried[:, :1], trial.value[:, 0].to(value.dtype), torch.where(over, game.values(state, value.dtype), value)
        ),
        prior=at_actions(game, actions, log_prior.exp()),
        q=at_actions(game, actions[:, :most], own.where(tried, torch.nan), torch.nan),
        evaluations=trial.evaluations + state.batch_size,
    )


def bettered(log_prior: Tensor, gain: Tensor, error: Tensor, config: RolloutConfig) -> Tensor:
    """The policy of the module's docstring: [B, A] probabilities.

    Args:
        log_prior: [B, A] log P, -inf in slots without an action.
        gain: [B, A], 0 in those that were not tried.
        error: [B, A], its standard error; infinite where nothing is known.
    """
    sure = gain.sign() * (gain.abs() - config.caution * error).clamp(min=0)
    return (log_prior + config.scale * torch.where(error.isfinite(), sure, 0.0)).softmax(-1)


def standard_error(gain: Tensor, drawn: Tensor) -> Tensor:
    """That of the mean over worlds some of which are one and the same: [B, K].

    The differences from the mean are summed over each group of equal worlds, for what these have in common is counted
    so many times (a mean of groups; Liang and Zeger 1986), and n groups of equal weight are taken for n - 1.

    Args:
        gain: [B, W, K] differences in W worlds.
        drawn: [B, W] numbers; equal ones are the same world.

    Returns:
        Infinity where all worlds are one.
    """
    same = (drawn[:, :, None] == drawn[:, None, :]).to(gain.dtype)
    off = gain - gain.mean(1, keepdim=True)
    square = (off * (same @ off)).sum(1).clamp(min=0) / drawn.shape[1] ** 2
    groups = (drawn.shape[1] ** 2 / same.sum((1, 2)))[:, None]  # effective number of them, 1 or more
    return torch.where(groups > 1, square * groups / (groups - 1), torch.inf).sqrt()


def _attempt_all(
    game: Game, root: Root, evaluator: Evaluator, config: RolloutConfig, seed: int, draw: DrawWorlds | None
) -> Trial:
    """`attempt`, for some of the decisions at a time, and for those only that have something to be tried."""
    games, most = root.actions.shape
    device = root.actions.device
    value = torch.zeros((games, most, game.seats), device=device)
    gain, error = torch.zeros((games, most), device=device), torch.zeros((games, most), device=device)
    evaluations = torch.zeros((), dtype=torch.int64, device=device)
    lanes = working(root.tried[:, 0])
    lanes = torch.arange(games, device=device) if lanes is None else lanes
    for some in lanes.split(max(1, LANES[device.type] // (config.worlds * most))):
        if len(some):
            trial = attempt(game, root.take(some), evaluator, config, seed, draw)
            value, gain = value.index_copy(0, some, trial.value), gain.index_copy(0, some, trial.gain)
            error, evaluations = error.index_copy(0, some, trial.error), evaluations + trial.evaluations
    return Trial(value, gain, error, evaluations)


def attempt(
    game: Game, root: Root, evaluator: Evaluator, config: RolloutConfig, seed: int, draw: DrawWorlds | None
) -> Trial:
    """Plays B decisions out after each of their K actions in ``config.worlds`` worlds."""
    games, most = root.actions.shape
    axes = {"w": config.worlds, "k": most}
    device, turn = root.actions.device, game.turn(root.state)
    if draw is not None:
        worlds, drawn = draw(game, root.state, config.worlds, seed)
    elif config.candidates:
        worlds, drawn = infer(game, root.state, root.past, evaluator, config, seed)
    else:
        worlds = game.determinize(root.state, config.worlds, seed)
        drawn = torch.arange(config.worlds, device=device).expand(games, -1)
    going = repeat(root.tried, "b k -> (b w k)", w=config.worlds)
    action = torch.where(root.tried, root.actions, root.actions[:, :1])  # one that is legal in any case
    action = repeat(action, "b k -> (b w k)", w=config.worlds)
    world = torch.arange(worlds.batch_size, device=device).repeat_interleave(most)
    lanes = working(going)
    world, action = pick(world, lanes), pick(action, lanes)
    stream = Stream.of_worlds(seed, root.state.index, turn, config.worlds).take(world)
    after = game.play_forced(game.step(worlds.take(world), action))
    reached, evaluations = play_on(game, after, pick(going, lanes), evaluator, stream)
    if lanes is not None:
        reached = reached.new_zeros((len(going), game.seats)).index_copy(0, lanes, reached)
    reached = rearrange(reached, "(b w k) seat -> b w k seat", **axes)
    own = reached.gather(3, repeat(game.mover(root.state), "b -> b w k 1", **axes))[..., 0]
    gain = torch.where(root.tried[:, None], own - own[:, :, :1], 0.0)
    mean = torch.where(root.tried[..., None], reduce(reached, "b w k seat -> b k seat", "mean"), 0.0)
    return Trial(mean, gain.mean(1), standard_error(gain, drawn), evaluations)


def play_on(game: Game, state: State, live: Tensor, evaluator: Evaluator, stream: Stream) -> tuple[Tensor, Tensor]:
    """Plays every lane to its end by actions drawn from the evaluator's policy.

    Args:
        state: L lanes.
        live: [L] bool, the lanes whose evaluations count.
        stream: L lanes; of equal ones all draw by the same numbers.

    Returns:
        [L, seats] float32 values by absolute seat; [] int64, positions judged.
    """
    values, place = game.values(state), None  # where the lanes that go on are found (None: all of them)
    evaluations = torch.zeros((), dtype=torch.int64, device=state.device)
    for decision in range(game.decisions):
        going = ~game.is_terminal(state)
        lanes = working(going)
        if not compacts(state.device) and ended(partial(game.is_terminal, state), decision, state.device):
            break
        if lanes is not None:
            if len(lanes) == 0:
                break
            state, stream, live, going = state.take(lanes), stream.take(lanes), live[lanes], going[lanes]
            place = lanes if place is None else place[lanes]
        evaluations = evaluations + (going & live).sum()
        judge = only(going & live, evaluator) if lanes is None else evaluator
        logits = policy_of(judge, game, state, stream)
        uniform = stream.at(decision).uniform(Purpose.PLAYOUT, 1)
        state = game.play_forced(game.step(state, drawn_action(game, state, logits, uniform)))
        reached = game.values(state)
        values = reached if place is None else values.index_copy(0, place, reached)
    return values, evaluations


def drawn_action(game: Game, state: State, logits: Tensor, uniform: Tensor) -> Tensor:
    """An action of each of L lanes drawn from a policy: [L] int64.

    Args:
        logits: [L, num_actions], at the policy's columns.
        uniform: [L, 1] float64 in [0, 1).
    """
    actions = game.legal_actions(state)
    share = game.slot_logits(state, actions, logits).double().softmax(-1).cumsum(-1)
    slot = (share < uniform * share[:, -1:]).sum(-1, keepdim=True)
    return actions.gather(1, slot)[:, 0]

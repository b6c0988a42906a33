"""Worlds by how likely they make what was bid and played, instead of uniformly drawn ones.

Source: Rebstock, Solinas, Buro, Sturtevant, "Policy based inference in trick-taking card games" (IEEE CoG 2019). Of
many worlds drawn uniformly, each is weighed by the product, over the other seats' past decisions, of

    trust * pi(action | what its mover knew then) + (1 - trust) / number of choices,

pi being the evaluator's policy, and the search's worlds are drawn from them by these weights (sampling, importance
resampling: Rubin 1988; exact as the number of candidates grows). The mover's own decisions weigh all worlds alike, for
it held the same cards in each. ``trust`` keeps a world possible that the policy, which others need not follow, would
rule out. What another seat did unseen, such as a bid that is turned up with the others', does not count before that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor

from vecgame.game import Game
from vecgame.lanes import has_choice, pick, working
from vecgame.philox import Purpose, Stream
from vecgame.state import State, concatenate
from vecmcts.config import RolloutConfig, SearchConfig
from vecmcts.evaluators import CriticEvaluator, Evaluator, policy_of
from vecmcts.tree import action_type

LANES = {"cpu": 1 << 14, "cuda": 1 << 18}  # candidates weighed at a time, about


@dataclass(frozen=True)
class Past:
    """How B games came to where they are, decision by decision, all of them from their deals on."""

    # T times B lanes: the game before each of its decisions so far; anything in a game that has made fewer than T
    states: tuple[State, ...]
    actions: Tensor  # [B, decisions] `action_type`, the actions taken, -1 beyond them

    @classmethod
    def none(cls, game: Game, games: int, device: str | torch.device = "cpu") -> Past:
        """That of games that have just been dealt."""
        return cls((), torch.full((games, game.decisions), -1, dtype=action_type(game), device=device))

    def then(self, state: State, action: Tensor) -> Past:
        """The past once ``action`` [B] was taken in ``state``, B lanes."""
        column = torch.arange(self.actions.shape[1], device=action.device) == len(self.states)
        actions = torch.where(column, action[:, None].to(self.actions.dtype), self.actions)
        return Past((*self.states, state), actions)

    def take(self, lanes: Tensor | None) -> Past:
        """The past of some games ([K] int64), or of all of them for None."""
        if lanes is None:
            return self
        return Past(tuple(state.take(lanes) for state in self.states), self.actions.index_select(0, lanes))


def follows(evaluator: Evaluator) -> bool:
    """Whether the evaluator's policy is of what a seat knows, so that the seats might follow it."""
    return not evaluator.sees_hidden or isinstance(evaluator, CriticEvaluator)


def check_past(game: Game, past: Past | None, evaluator: Evaluator, candidates: int) -> None:
    """Raises ValueError, in one line, unless worlds can be drawn by likelihood from so many candidates."""
    if past is None or not follows(evaluator):
        need = "the games' past" if past is None else "a network, whose policy is of what the mover knows"
        raise ValueError(f"candidates={candidates} needs {need}")
    if not game.fixed_hands:
        raise ValueError(f"candidates={candidates}: in this {game.name} cards change hands; use candidates=0")


def infer(
    game: Game,
    state: State,
    past: Past,
    evaluator: Evaluator,
    config: SearchConfig | RolloutConfig,
    seed: int,
) -> tuple[State, Tensor]:
    """``config.worlds`` worlds of every game, drawn by likelihood from ``config.candidates`` uniform ones.

    The game's hands must be fixed (`Game.fixed_hands`): those at an earlier decision are those of now and the cards
    played since.

    Args:
        game: the rules, as played (not `Game.merged`).
        state: B games, whose states have ``hands`` [B, seats], int64 bitboards.
        past: of these games; decisions beyond a game's own number of them are passed over.
        evaluator: its policy is what the other seats are thought to follow (`follows`).

    Returns:
        B * config.worlds lanes, the worlds of a game adjacent; the candidates that they are, [B, config.worlds] int64
        in ascending order.
    """
    size = max(1, LANES[state.device.type] // config.candidates)
    parts, numbers = [], []
    for games in torch.arange(state.batch_size, device=state.device).split(size):
        some = state.take(games)
        candidates = game.determinize(some, config.candidates, seed)
        weights = log_likelihood(game, some, candidates, past.take(games), evaluator, config.trust)
        weights = rearrange(weights, "(b c) -> b c", b=some.batch_size)
        drawn, chosen = drawn_by_weight(game, some, candidates, weights, config.worlds, seed)
        numbers.append(chosen)
        parts.append(drawn)
    return concatenate(parts), torch.cat(numbers)


def drawn_by_weight(
    game: Game, state: State, candidates: State, log_weights: Tensor, count: int, seed: int
) -> tuple[State, Tensor]:
    """``count`` worlds of every game, drawn from its candidates by weights; what is returned see `infer`.

    Args:
        state: B games.
        candidates: B * C lanes, the candidates of a game adjacent.
        log_weights: [B, C], see `resample`.
    """
    uniform = Stream(seed, state.index, game.turn(state)).uniform(Purpose.INFERENCE, 1)
    chosen = resample(log_weights, uniform, count)
    first = log_weights.shape[1] * torch.arange(state.batch_size, device=state.device)
    return candidates.take(rearrange(first[:, None] + chosen, "b w -> (b w)")), chosen


@torch.no_grad()
def log_likelihood(game: Game, state: State, worlds: State, past: Past, evaluator: Evaluator, trust: float) -> Tensor:
    """How likely each world makes the past of its game: [B * C] float64, logarithms.

    Args:
        state: B games.
        worlds: B * C lanes, the worlds of a game adjacent.
    """
    count = worlds.batch_size // state.batch_size
    every = torch.arange(state.batch_size, device=state.device)
    mover = game.mover(state)
    total = torch.zeros(worlds.batch_size, dtype=torch.float64, device=state.device)
    sees = {name: field.seen_by(mover) for name, field in game.hidden(state).items() if name != "hands"}
    for number, before in enumerate(past.states):
        told = (game.mover(before) != mover) & (past.actions[:, number] >= 0) & ~game.is_terminal(state)
        if sees:
            told &= ~_unseen(game, sees, before, past.actions[:, number].long())
        lanes = working(told)
        if lanes is not None and len(lanes) == 0:
            continue
        rows = rearrange(count * pick(every, lanes)[:, None] + torch.arange(count, device=state.device), "k c -> (k c)")
        played = pick(before.hands & ~state.hands, lanes)  # since then, by each seat
        there = before.take(lanes).repeat(count)
        there = replace(there, hands=worlds.hands.index_select(0, rows) | played.repeat_interleave(count, dim=0))
        action = pick(past.actions[:, number], lanes).repeat_interleave(count)
        log_chance = _log_chance(game, there, action.long(), evaluator, trust)
        total.index_add_(0, rows, torch.where(pick(told, lanes).repeat_interleave(count), log_chance, 0.0))
    return total


def _unseen(game: Game, sees: dict[str, Tensor], before: State, action: Tensor) -> Tensor:
    """Whether the movers of B games do not know yet what was done, ``action`` [B] int64 in ``before``: [B] bool.

    That is so if it is told by entries of the state that the mover does not see: those that another legal action would
    have left otherwise. Of one that was forced there is nothing to know.

    Args:
        sees: of each hidden field but the hands, the entries that the mover sees by now, [B, ..] bool.
    """
    unseen = torch.zeros_like(action, dtype=torch.bool)
    actions = game.legal_actions(before)
    another = torch.where(actions == action[:, None], -1, actions).amax(-1)
    here, there = (game.step(before, took) for took in (action.clamp(min=0), torch.where(another < 0, action, another)))
    for name, seen in sees.items():
        unseen |= ((getattr(here, name) != getattr(there, name)) & ~seen).reshape(len(action), -1).any(-1)
    return unseen


def _log_chance(game: Game, state: State, action: Tensor, evaluator: Evaluator, trust: float) -> Tensor:
    """Logarithm of the probability of each lane's action [K], -inf where it is not legal: [K] float64."""
    actions = game.legal_actions(state)
    taken = (actions >= 0) & (actions == action[:, None])
    some = working(has_choice(actions))  # who has one action takes it, whatever the policy
    if some is not None:
        chance = taken.any(-1).double().log()
        if len(some) == 0:
            return chance
        return chance.index_copy(0, some, _log_chance(game, state.take(some), action[some], evaluator, trust))
    logits = policy_of(evaluator, game, state, Stream(0, state.index, game.turn(state)))
    policy = game.slot_logits(state, actions, logits.double()).softmax(-1)
    policy = trust * policy + (1 - trust) / (actions >= 0).sum(-1, keepdim=True).double()
    return torch.where(taken, policy, 0.0).sum(-1).log()


def resample(log_weights: Tensor, uniform: Tensor, count: int) -> Tensor:
    """Draws by weights, systematically: by one random number a game, at equal steps, so that a candidate comes up as
    often as its share of the weights says, or once more.

    Args:
        log_weights: [B, C]; a game whose weights are all -inf draws uniformly.
        uniform: [B, 1] in [0, 1).

    Returns:
        [B, count] int64, numbers of candidates in ascending order.
    """
    hopeless = log_weights.amax(-1, keepdim=True) == -math.inf
    share = torch.where(hopeless, 0.0, log_weights).softmax(-1).cumsum(-1)
    steps = (torch.arange(count, device=uniform.device) + uniform) / count * share[:, -1:]
    return torch.searchsorted(share, steps, right=True).clamp(max=log_weights.shape[1] - 1)

"""How a search chooses at its root: by PUCT in each world's tree, as everywhere else in it; by PUCT over the sums of
all worlds; or by Sequential Halving with Gumbel. Only the root differs; below it PUCT goes on.

Sequential Halving: Danihelka, Guez, Schrittwieser, Silver, "Policy improvement by planning with Gumbel" (ICLR 2022),
algorithm 2, with PUCT below the root ("Gumbel MuZero", not the paper's "Full Gumbel MuZero"). Of the m actions with the
largest ``g + log P``, g being Gumbel noise, each is simulated equally often; then the worse half by
``g + log P + sigma(Q)`` is dropped, and so on until two are left. A game's worlds are one bandit here: at every
simulation all its trees take the same root action, and Q and visits are sums over its worlds. So the schedule of one
tree holds for all, and the actions are compared in the same worlds, whose luck they share. The budget that is halved is
the simulations of one world: many worlds of few simulations try few actions.

Shared sums: the mover must act alike in all worlds, so what an action is worth is its mean over them, and one bandit of
``worlds * simulations`` pulls finds that out with fewer of them than a bandit in each world. The worlds of a simulation
descend at the same time all the same: to the later ones the earlier are visits of unknown value, which count for the
exploration and not for the mean (WU-UCT: Liu et al., "Watch the unobserved", ICLR 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from vecgame.game import Game
from vecgame.philox import Purpose, Stream
from vecgame.state import State
from vecmcts.config import SearchConfig
from vecmcts.selection import exploration, improved_logits
from vecmcts.tree import ROOT, Tree

Choose = Callable[[Tree, int], Tensor | None]
"""(trees, number of the simulation from 1 on) -> [T] int64 slots to take at the roots, None for those of PUCT."""


@dataclass(frozen=True)
class SequentialHalving:
    """Root slots of B games; called with (trees, simulation) it gives those of their T trees."""

    noise: Tensor  # [B, A] float, Gumbel numbers times their scale
    log_prior: Tensor  # [B, A] float, the evaluator's, -inf in slots without an action
    own_value: Tensor  # [B] float, the evaluator's value of the root to its mover
    rounds: Tensor  # [B, N] int64, visits so far of the action that each simulation takes
    config: SearchConfig

    @classmethod
    def of(
        cls, game: Game, state: State, log_prior: Tensor, own_value: Tensor, config: SearchConfig, seed: int
    ) -> SequentialHalving:
        """The choice for B games, whose log priors [B, A] and root values to the mover [B] are known."""
        actions = game.legal_actions(state)
        noise = gumbel(game, state, config, seed).gather(1, actions.clamp(min=0)).to(log_prior.dtype)
        table = schedules(config.considered_actions, config.simulations, state.device)
        count = (actions >= 0).sum(-1).clamp(max=config.considered_actions)
        return cls(noise, log_prior, own_value, table.index_select(0, count), config)

    def __call__(self, tree: Tree, simulation: int) -> Tensor:
        worlds = self.config.worlds
        visits, value_sum = tree.root_sums(worlds)
        score = self.noise + improved_logits(self.log_prior, visits, value_sum, self.own_value, self.config)
        considered = visits == worlds * self.rounds[:, simulation - 1, None]
        return repeat(torch.where(considered, score, -torch.inf).argmax(-1), "b -> (b w)", w=worlds)


@dataclass(frozen=True)
class SharedStatistics:
    """Root slots of B games by one PUCT bandit each; called with (trees, simulation) it gives those of their trees."""

    own_value: Tensor  # [B] float, the evaluator's value of the root to its mover
    config: SearchConfig

    @classmethod
    def of(cls, game: Game, state: State, log_prior: Tensor, own_value: Tensor, config: SearchConfig, seed: int):
        """The choice for B games; the priors are the trees', which have the noise."""
        return cls(own_value, config)

    def __call__(self, tree: Tree, simulation: int) -> Tensor:
        worlds = self.config.worlds
        visits, value_sum = tree.root_sums(worlds)
        prior = reduce(tree.prior[tree.rows(ROOT)], "(b w) slot -> b slot", "mean", w=worlds)
        q = torch.where(visits > 0, value_sum / visits.clamp(min=1), self.own_value[:, None])
        slots, columns = [], torch.arange(tree.slots, device=visits.device)
        for _ in range(worlds):
            slots.append((q + exploration(prior, visits, self.config.c_puct)).argmax(-1))
            visits = visits + (slots[-1][:, None] == columns)
        return rearrange(torch.stack(slots, dim=1), "b w -> (b w)")


def schedule(considered: int, simulations: int) -> tuple[int, ...]:
    """For each simulation, how often the action that it takes has been visited before: Sequential Halving (Karnin,
    Koren and Somekh, 2013) with the budget shared out evenly over ceil(log2 considered) phases.

    Among the actions with that many visits the best is taken, so the order within a round is the order of merit, and
    the worse half drops out by never having enough. What is left of the budget goes to the last two.
    """
    if considered <= 1:
        return tuple(range(simulations))
    phases = math.ceil(math.log2(considered))
    taken: list[int] = []
    visits, left = 0, considered
    while len(taken) < simulations:
        for _ in range(max(1, simulations // (phases * left))):
            taken += [visits] * left
            visits += 1
        left = max(2, left // 2)
    return tuple(taken[:simulations])


@cache
def schedules(considered: int, simulations: int, device: torch.device) -> Tensor:
    """`schedule` for 0 .. ``considered`` actions: [considered + 1, simulations] int64."""
    return torch.tensor([schedule(count, simulations) for count in range(considered + 1)]).to(device)


def gumbel(game: Game, state: State, config: SearchConfig, seed: int) -> Tensor:
    """The Gumbel number of each action at each game's decision, times the scale: [B, num_actions] float64."""
    stream = Stream(seed, state.index, game.turn(state))
    uniform = stream.uniform(Purpose.GUMBEL, game.num_actions).clamp(min=2.0**-53)
    return -config.gumbel_scale * (-uniform.log()).log()


def best_action(game: Game, state: State, policy: Tensor, visits: Tensor, config: SearchConfig, seed: int) -> Tensor:
    """The action that a search recommends: [B] int64.

    By PUCT the best one of the improved policy. By Sequential Halving the best one, noise included, of those that were
    visited most: with a ``gumbel_scale`` of 1 a draw (nearly) from the improved policy, with 0 nothing random.

    Args:
        state: the B games that were searched.
        policy: [B, num_actions], the result's.
        visits: likewise.
        config: the search's.
        seed: likewise.
    """
    if config.root_selection != "gumbel":
        return policy.argmax(-1)
    finalists = visits == visits.amax(-1, keepdim=True)
    log_policy = policy.clamp(min=torch.finfo(policy.dtype).tiny).log()
    score = gumbel(game, state, config, seed).to(policy.dtype) + log_policy
    return torch.where(finalists, score, -torch.inf).argmax(-1)


def by_puct(*_: object) -> Choose:
    """Leaves the root to the descent."""
    return lambda tree, simulation: None


SELECTIONS: dict[str, Callable[..., Choose]] = {
    "puct": by_puct,
    "shared": SharedStatistics.of,
    "gumbel": SequentialHalving.of,
}

"""Self-play: many games at once, every decision searched, every searched decision an example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.replay import Examples
from vecgame import Blob, BlobState, Purpose, Stream
from vecgame.cards import pack
from vecmcts import Evaluator, SearchConfig, search
from vecmcts.evaluators import Network, to_relative

Report = Callable[[float, int], None]
"""Called as work goes on with (games finished so far, in fractions, and evaluations so far)."""

# Games searched at a time. On a CPU the leaves of one simulation then fill a few network batches of 2,048; on a GPU
# they fill the chip.
CHUNK_GAMES = {"cpu": 2048, "cuda": 16_384}


@dataclass(frozen=True)
class SelfPlay:
    """What self-play yields."""

    examples: Examples
    scores: Tensor  # [G, 4] float32, points by absolute seat
    bids_met: float  # share of bids met
    evaluations: int  # positions judged by the network
    policy_entropy: float  # mean entropy of the targets, nats
    prior_divergence: float  # mean Kullback-Leibler divergence of the targets from the network's policy, nats


def self_play(
    game: Blob,
    evaluator: Evaluator | Network,
    config: SearchConfig,
    games: int,
    seed: int,
    first_index: int = 0,
    device: str | torch.device = "cpu",
    sampled_share: float = 0.5,
    policy_target: str = "improved",
    chunk_games: int = 0,
    report: Report | None = None,
) -> SelfPlay:
    """Plays ``games`` games, numbers ``first_index`` onwards of the run that ``seed`` names.

    Decisions in the first ``sampled_share`` of a game are drawn from the target policy, later ones take its best
    action. A mover with one legal action is neither searched nor stored.
    """
    chunk = chunk_games or CHUNK_GAMES[torch.device(device).type]
    parts: list[_Chunk] = []
    evaluations = 0
    for start in range(0, games, chunk):
        count = min(chunk, games - start)
        state = game.deal(count, seed, device, first_index + start)
        played = _Chunk(game, config, seed, int(sampled_share * game.decisions), policy_target)
        for decision in range(game.decisions):
            state = played.decide(state, evaluator, decision)
            if report is not None:
                done = start + count * (decision + 1) / game.decisions
                report(done, evaluations + int(played.evaluations))
        played.finish(state)
        evaluations += int(played.evaluations)
        parts.append(played)
    examples = Examples.concatenate([part.examples for part in parts])
    decided = max(len(examples), 1)
    met = torch.cat([part.met for part in parts])
    return SelfPlay(
        examples=examples,
        scores=torch.cat([part.scores for part in parts]),
        bids_met=float(met.float().mean()),
        evaluations=evaluations,
        policy_entropy=float(sum(part.entropy for part in parts)) / decided,
        prior_divergence=float(sum(part.divergence for part in parts)) / decided,
    )


class _Chunk:
    """The games that are searched together, and what has been stored of them."""

    def __init__(self, game: Blob, config: SearchConfig, seed: int, sampled: int, policy_target: str) -> None:
        self.game, self.config, self.seed, self.sampled = game, config, seed, sampled
        self.policy_target = policy_target
        self.stored: list[tuple[Tensor, ...]] = []  # a decision: lanes, movers, observation, legal, policy
        self.evaluations: Tensor | int = 0
        self.entropy: Tensor | float = 0.0
        self.divergence: Tensor | float = 0.0

    def decide(self, state: BlobState, evaluator: Evaluator | Network, decision: int) -> BlobState:
        """Makes decision number ``decision`` in every game."""
        game = self.game
        actions = game.legal_actions(state)
        action = actions[:, 0]
        lanes = (actions[:, 1] >= 0).nonzero()[:, 0] if actions.shape[1] > 1 else actions.new_empty(0)
        if len(lanes):
            choosing = state.take(lanes)
            result = search(game, choosing, evaluator, self.config, self.seed)
            policy = result.policy if self.policy_target == "improved" else result.visit_policy
            action = action.index_copy(0, lanes, self._choose(choosing, policy, decision))
            self._store(lanes, choosing, policy, result.prior)
            self.evaluations = self.evaluations + result.evaluations
        return game.step(state, action)

    def _choose(self, state: BlobState, policy: Tensor, decision: int) -> Tensor:
        if decision >= self.sampled:
            return policy.argmax(-1)
        stream = Stream(self.seed, state.index, self.game.turn(state))
        return sample(policy, stream.uniform(Purpose.ACTION, 1)[:, 0])

    def _store(self, lanes: Tensor, state: BlobState, policy: Tensor, prior: Tensor) -> None:
        game = self.game
        columns = game.policy_columns(state, torch.arange(game.num_actions, device=state.device).expand_as(policy))
        framed = torch.zeros_like(policy).scatter(1, columns, policy)
        log_policy = policy.clamp(min=1e-12).log()
        self.entropy = self.entropy - (policy * log_policy).sum()
        self.divergence = self.divergence + (policy * (log_policy - prior.clamp(min=1e-12).log())).sum()
        self.stored.append(
            (lanes, game.mover(state), game.observe(state).half(), pack(game.policy_mask(state)), framed.half())
        )

    def finish(self, state: BlobState) -> None:
        """Adds to every stored decision how its game ended."""
        values = self.game.values(state)
        self.scores = self.game.scores(state)
        self.met = state.bids == state.won
        self.examples = Examples.concatenate(
            [
                Examples(observation, legal, policy, to_relative(values[lanes], mover))
                for lanes, mover, observation, legal, policy in self.stored
            ]
        )


def sample(policy: Tensor, uniform: Tensor) -> Tensor:
    """One action a lane from distributions [B, K] by numbers [B] in [0, 1): [B] int64, never one of probability 0."""
    cumulated = policy.double().cumsum(-1)
    draw = uniform[:, None] * cumulated[:, -1:]
    return (cumulated <= draw).sum(-1).clamp(max=policy.shape[1] - 1)

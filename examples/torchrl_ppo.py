"""Learns Blob by self-play with TorchRL's own GAE and ClipPPOLoss: `python examples/torchrl_ppo.py`.

One network plays all four seats of every game. Each update plays a batch of whole games, regroups them into what each
seat went through (`veclab.doors.torchrl_env.by_seat`), and makes a few passes of PPO over that. At the end, and at the
beginning, the network meets three rule-based players.
"""

from __future__ import annotations

import argparse
import time

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import Tensor, nn
from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from vecgame import Blob, BlobState
from vecgame.cards import DECK
from vecgame.games.blob_observation import FEATURES
from veclab.arena.bots import RuleBot
from veclab.arena.matches import play_match
from veclab.doors.torchrl_env import GameEnv, actions_of_columns, by_seat

EPOCHS, MINIBATCH = 2, 1024


def mlp(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(FEATURES, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, outputs))


class Learner:
    """The policy at the table, in its most probable action; a `veclab.arena.bots.Player`."""

    name = "learner"

    def __init__(self, logits: nn.Module) -> None:
        self.logits = logits

    @torch.no_grad()
    def act(self, game: Blob, state: BlobState, seed: int) -> Tensor:
        logits = self.logits(game.observe(state)).masked_fill(~game.policy_mask(state), -torch.inf)
        return actions_of_columns(game, state, logits.argmax(-1))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=40, help="batches of games to learn from")
    parser.add_argument("--games", type=int, default=512, help="games a batch")
    parser.add_argument("--cards", type=int, default=5, help="cards to each seat")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    env = GameEnv(Blob(cards=args.cards), args.games, args.seed, args.device)
    game = env.game
    logits = mlp(DECK).to(env.device)
    actor = ProbabilisticActor(
        TensorDictSequential(TensorDictModule(logits, in_keys=["observation"], out_keys=["logits"])),
        in_keys={"logits": "logits", "mask": "action_mask"},
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    critic = ValueOperator(mlp(1), in_keys=["observation"]).to(env.device)
    advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic)
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.01, normalize_advantage=True, loss_critic_type="l2")
    optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)

    def against_bots() -> str:
        return f"{play_match([game], Learner(logits), RuleBot(), 250, args.seed + 1, env.device).player}"

    begun, before = time.perf_counter(), against_bots()
    for update in range(1, args.updates + 1):
        with torch.no_grad():
            rollout = env.rollout(game.decisions, actor)
            batch = by_seat(rollout.exclude("logits"))
            batch["next", "reward"] /= game.highest - game.lowest
            advantage(batch)
        batch = batch[batch["valid"] & (batch["action_mask"].sum(-1) > 1)]  # a forced move teaches the policy nothing
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(batch), device=env.device).split(MINIBATCH):
                losses = loss(batch[rows])
                total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
                optimizer.step()
        if update == 1 or update % 10 == 0:
            score = rollout["next", "reward"][:, -1].mean()
            print(f"update {update:4}: {score:.2f} points a game and seat in self-play")
    print(f"against three rule-based players: {before} points a game before, {against_bots()} after")
    print(f"{args.updates * args.games:,} games, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()

"""Learns Blob by self-play with TorchRL's own GAE and ClipPPOLoss: `python examples/torchrl_ppo.py`.

One network plays all four seats of every game. Each update plays a batch of whole games, regroups them into what each
seat went through (`veclab.doors.torchrl_env.by_seat`), and makes a few passes of PPO over that. At the end, and at the
beginning, the network meets three rule-based players.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
import time

import torch
from torch import Tensor, nn

from vecgame import Blob, BlobState
from vecgame.cards import DECK
from vecgame.games.blob_observation import FEATURES
from veclab.arena.bots import RuleBot
from veclab.arena.matches import play_match
from veclab.doors.shared import action_at
from veclab.progress import Display

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
        return action_at(game, state, logits.argmax(-1))[0]


@ends_in_one_line(package="torchrl", needs_less="a smaller --games")
def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--updates", type=int, default=40, help="batches of games to learn from")
    parser.add_argument("--games", type=int, default=512, help="games a batch")
    parser.add_argument("--cards", type=int, default=5, help="cards to each seat")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    from tensordict.nn import TensorDictModule, TensorDictSequential  # here: help needs nothing installed
    from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE

    from veclab.doors.torchrl_env import GameEnv, by_seat

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

    def learn() -> float:
        """One update; returns the points a game and seat of its games."""
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
        return float(rollout["next", "reward"][:, -1].mean())

    begun, before, display = time.perf_counter(), against_bots(), Display()
    with display.task("PPO", args.updates, "updates") as task:
        for update in range(1, args.updates + 1):
            score = learn()
            task.update(update, games=update * args.games)
            if update == 1 or update % 10 == 0:
                display.line(f"update {update:4}: {score:.2f} points a game and seat in self-play")
    display.line(f"against three rule-based players: {before} points a game before, {against_bots()} after")
    display.line(f"{args.updates * args.games:,} games, {time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

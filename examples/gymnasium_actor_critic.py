"""A masked actor-critic at one seat against bots, in a Gymnasium vector: `python examples/gymnasium_actor_critic.py`.

The agent has one seat of each of 512 games, and sees its own decisions only: what the opponents do between two of them
is the environment's doing. Any game will do: `--env vecgame/Whist-v0 --rules cards=3 trump=random`, or `--env
vecgame/Kuhn-v0 --opponents random`, which the rule-based players do not know.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from vecgame import default_rules
from veclab.game_flags import read_rules
from veclab.progress import Display

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

BLOB = "vecgame/Blob-v0"


def network(inputs: int, actions: int) -> nn.Module:
    """A logit for each action, and the value of the position last: [B, F] -> [B, A + 1]."""
    return nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, actions + 1))


def policy_and_value(net: nn.Module, observations: Tensor, masks: Tensor) -> tuple[Categorical, Tensor]:
    """The policy over legal actions and the value [B] of positions [B, F] with masks [B, A] bool."""
    out = net(observations)
    return Categorical(logits=out[:, :-1].masked_fill(~masks, -torch.inf), validate_args=False), out[:, -1]


@torch.no_grad()
def collect(tables: VectorEnv, net: nn.Module, start: tuple[np.ndarray, dict], steps: int) -> tuple[dict, tuple]:
    """So many steps of all games, and where to go on: tensors [steps, B, ..] by name."""
    rows, (observations, infos) = [], start
    for _ in range(steps):
        seen, masks = torch.from_numpy(observations), torch.from_numpy(infos["action_mask"]).bool()
        action = policy_and_value(net, seen, masks)[0].sample()
        observations, rewards, over, _, infos = tables.step(action.numpy())
        rows.append((seen, masks, action, torch.from_numpy(rewards).float(), torch.from_numpy(over)))
    names = ("observation", "mask", "action", "reward", "over")
    return dict(zip(names, map(torch.stack, zip(*rows, strict=True)), strict=True)), (observations, infos)


def returns(reward: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
    """What each decision's game was worth, and whether it was played to its end: [steps, B] float32 and bool."""
    worth, known = torch.zeros_like(reward), torch.zeros_like(over)
    for step in reversed(range(len(reward))):
        later = (worth[step + 1], known[step + 1]) if step + 1 < len(reward) else (0.0, torch.zeros_like(over[step]))
        worth[step] = torch.where(over[step], reward[step], later[0])
        known[step] = over[step] | later[1]
    return worth, known


def update(net: nn.Module, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor]) -> None:
    """One step of the policy gradient with the value as the baseline, on decisions of finished games."""
    worth, known = returns(batch["reward"], batch["over"])
    rows = {name: entry[known] for name, entry in batch.items()}
    policy, value = policy_and_value(net, rows["observation"], rows["mask"])
    lead = worth[known] - value
    gain = lead.detach() / lead.detach().std().clamp(min=1e-6)
    loss = (lead.square() - gain * policy.log_prob(rows["action"])).mean() - 0.01 * policy.entropy().mean()
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


@torch.no_grad()
def points(tables: VectorEnv, net: nn.Module | None, games: int, seed: int) -> str:
    """Points a game with 95%, of the most probable actions, or of random ones without a network."""
    (observations, infos), scores = tables.reset(seed=seed), []
    while len(scores) < games:
        masks = torch.from_numpy(infos["action_mask"]).bool()
        uniform = Categorical(probs=masks.float())
        action = (
            uniform.sample() if net is None else policy_and_value(net, torch.from_numpy(observations), masks)[0].mode
        )
        observations, rewards, over, _, infos = tables.step(action.numpy())
        scores += rewards[over].tolist()
    return f"{np.mean(scores):.2f} ± {1.96 * np.std(scores) / len(scores) ** 0.5:.2f}"


@ends_in_one_line(package="gymnasium", needs_less="a smaller --games")
def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--env", default=BLOB)
    parser.add_argument("--rules", nargs="*", metavar="NAME=VALUE", help="default: in Blob cards=2, else none")
    parser.add_argument("--opponents", default="rules", help="a bot, a network's file or a run's folder")
    parser.add_argument("--updates", type=int, default=80)
    parser.add_argument("--games", type=int, default=512, help="at once")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import gymnasium  # here: help needs nothing installed
    from gymnasium.vector import AutoresetMode

    import veclab.doors.gymnasium_env  # noqa: F401 - registers the games

    games = {name: spec.kwargs["game"] for name, spec in gymnasium.registry.items() if "game" in spec.kwargs}
    if args.env not in games:
        raise ValueError(f"--env must be one of {', '.join(games)}, got {args.env!r}")
    torch.manual_seed(args.seed)
    given = args.rules if args.rules is not None else ["cards=2"] if args.env == BLOB else []
    rules = read_rules(",".join(given), default_rules(games[args.env]))
    tables = gymnasium.make_vec(
        args.env,
        num_envs=args.games,
        rules=rules,
        seat="random",
        opponents=args.opponents,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    net = network(tables.single_observation_space.shape[0], int(tables.single_action_space.n))
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    display = Display()
    display.line(f"at random: {points(tables, None, 4000, seed=args.seed + 1)} points a game")
    start = tables.reset(seed=args.seed)
    with display.task("actor-critic", args.updates, "updates") as task:
        for number in range(1, args.updates + 1):
            batch, start = collect(tables, net, start, steps=8)
            update(net, optimiser, batch)
            task.update(number, decisions=number * 8 * args.games)
            if number == 1 or number % 20 == 0:
                score = float(batch["reward"].sum() / batch["over"].sum())
                display.line(f"update {number:4}: {score:.2f} points a game")
    display.line(f"learned:   {points(tables, net, 4000, seed=args.seed + 1)} points a game")
    return 0


if __name__ == "__main__":
    sys.exit(main())

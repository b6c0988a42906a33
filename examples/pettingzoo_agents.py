"""A rule-based player against three random ones in PettingZoo: `python examples/pettingzoo_agents.py`."""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from typing import TYPE_CHECKING

from vecgame import Blob
from veclab.arena.bots import RuleBot
from veclab.progress import Display

if TYPE_CHECKING:
    from veclab.doors.pettingzoo_env import GameAEC


def rule_based_action(blob: GameAEC, seed: int) -> int:
    """What a bot of this project plays here, as an action of the environment. It looks at its own hand only."""
    action = RuleBot().act(blob.game, blob.position, seed)
    return int(blob.game.policy_columns(blob.position, action[:, None])[0, 0])


@ends_in_one_line(package="pettingzoo")
def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--games", type=int, default=100)
    parser.add_argument("--cards", type=int, default=5, help="cards to each seat")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.games < 1:
        raise ValueError(f"--games must be at least 1, got {args.games}")
    from veclab.doors.pettingzoo_env import env  # here: help needs nothing installed

    blob = env(Blob(cards=args.cards), render_mode="ansi")
    agents = blob.possible_agents
    for seat, agent in enumerate(agents):
        blob.action_space(agent).seed(args.seed + seat)
    points = {"rule-based": 0.0, "random": 0.0}
    display = Display()
    with display.task("matches", args.games, "games") as task:
        for number in range(args.games):
            blob.reset(seed=args.seed if number == 0 else None)
            expert = agents[number % len(agents)]
            for agent in blob.agent_iter():
                observation, reward, termination, truncation, _ = blob.last()
                if termination or truncation:
                    points["rule-based" if agent == expert else "random"] += reward
                    blob.step(None)
                elif agent == expert:
                    blob.step(rule_based_action(blob.unwrapped, args.seed))
                else:
                    blob.step(blob.action_space(agent).sample(observation["action_mask"]))
            task.update(number + 1)
    display.line(blob.render())
    mean = {name: total / args.games for name, total in points.items()}
    display.line(
        f"\n{args.games} games, points a game: rule-based {mean['rule-based']:.2f}, random {mean['random'] / 3:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

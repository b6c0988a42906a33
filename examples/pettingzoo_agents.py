"""A rule-based player against three random ones in PettingZoo: `python examples/pettingzoo_agents.py`."""

from __future__ import annotations

import argparse

from vecgame import Blob
from veclab.arena.bots import RuleBot
from veclab.doors.pettingzoo_env import GameAEC, env


def rule_based_action(blob: GameAEC, seed: int) -> int:
    """What a bot of this project plays here, as an action of the environment. It looks at its own hand only."""
    action = RuleBot().act(blob.game, blob.position, seed)
    return int(blob.game.policy_columns(blob.position, action[:, None])[0, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--games", type=int, default=100)
    parser.add_argument("--cards", type=int, default=5, help="cards to each seat")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    blob = env(Blob(cards=args.cards), render_mode="ansi")
    agents = blob.possible_agents
    for seat, agent in enumerate(agents):
        blob.action_space(agent).seed(args.seed + seat)
    points = {"rule-based": 0.0, "random": 0.0}
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
    print(blob.render())
    print(f"\n{args.games} games, points a game: ", end="")
    print(f"rule-based {points['rule-based'] / args.games:.2f}, random {points['random'] / args.games / 3:.2f}")


if __name__ == "__main__":
    main()

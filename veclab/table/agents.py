"""The agents at the table.

An agent gets the true state, as in the arena, and looks at it through `observe` and `determinize` only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from net import InferenceNet
from vecgame import Blob
from veclab.agents.checkpoint import load_network
from veclab.agents.networks import label
from veclab.arena.bots import FlatMonteCarlo, Player, RandomBot, RuleBot, SearchPlayer
from veclab.table.session import Match, Settings
from vecmcts import SearchConfig

BOTS: dict[str, Callable[[Settings], Player]] = {
    "rules": lambda settings: RuleBot(),
    "random": lambda settings: RandomBot(),
    "flat": lambda settings: FlatMonteCarlo(settings.worlds),
}


def make_agent(settings: Settings) -> Player:
    """The agent that the settings name.

    Raises:
        ValueError: when it is neither a bot nor a file with a network.
    """
    if settings.agent in BOTS:
        return BOTS[settings.agent](settings)
    path = Path(settings.agent)
    if not path.is_file():
        raise ValueError(
            f"--agent {path} is no file; give a network-*.safetensors, a run's folder, or {', '.join(BOTS)}"
        )
    config = SearchConfig(worlds=settings.worlds, simulations=settings.simulations)
    name = f"{label(path)}, search {config.worlds}x{config.simulations}"
    return SearchPlayer(InferenceNet(load_network(path, game=Blob())), config, name)


def default_agent(folder: Path, cards: int) -> str:
    """Of the networks in a folder, called NAME-LOW-HIGH, the one that is for the fewest numbers of cards with ``cards``
    among them; the rule-based bot where there is none."""
    ranges = {
        path: range(int(found[1]), int(found[2]) + 1)
        for path in sorted(folder.glob("*.safetensors"))
        if (found := re.search(r"-(\d+)-(\d+)$", path.stem))
    }
    fitting = [path for path, counts in ranges.items() if cards in counts]
    return str(min(fitting, key=lambda path: len(ranges[path]))) if fitting else "rules"


def choose(agent: Player, match: Match) -> int:
    """The agent's action for the mover: the same for the same match."""
    return int(agent.act(match.game, match.state, match.settings.seed))

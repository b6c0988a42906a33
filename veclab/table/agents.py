"""The agents at the table.

An agent gets the true state, as in the arena, and looks at it through `observe` and `determinize` only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from net import InferenceNet
from vecgame import Blob
from vecgame.games.blob_rules import OWN
from veclab.agents.checkpoint import load_network
from veclab.agents.networks import label, other_rules, trained_by
from veclab.arena.bots import FlatMonteCarlo, Player, RandomBot, RuleBot, SearchPlayer
from veclab.game_flags import games_of
from veclab.settings import Settings as TrainingSettings
from veclab.table.session import Match, Settings
from vecmcts import SearchConfig


def _rule_bot(settings: Settings) -> Player:
    game = settings.game
    if not isinstance(game, Blob):
        raise ValueError(f"--agent rules: no rule-based bot plays {game.name}; take flat, random or a network")
    if game.rules.sight != OWN:
        raise ValueError("--agent rules: the rule-based bot bids by its own cards, which these rules hide from it")
    return RuleBot()


BOTS: dict[str, Callable[[Settings], Player]] = {
    "rules": _rule_bot,
    "random": lambda settings: RandomBot(),
    "flat": lambda settings: FlatMonteCarlo(settings.worlds),
}


def make_agent(settings: Settings) -> Player:
    """The agent that the settings name.

    Raises:
        ValueError: when it is neither a bot for the game nor a file with a network that can play it.
    """
    if settings.agent in BOTS:
        return BOTS[settings.agent](settings)
    path = network_at(Path(settings.agent))
    config = SearchConfig(worlds=settings.worlds, simulations=settings.simulations)
    name = f"{label(path)}, search {config.worlds}x{config.simulations}"
    return SearchPlayer(InferenceNet(load_network(path, game=settings.game)), config, name)


def network_at(path: Path) -> Path:
    """The path itself. Raises ValueError where there is no file."""
    if not path.is_file():
        raise ValueError(
            f"--agent {path} is no file; give a network-*.safetensors, a run's folder, or {', '.join(BOTS)}"
        )
    return path


def default_agent(folder: Path, asked: TrainingSettings) -> str:
    """Of the networks in a folder that were trained by the rules that are asked for, those of the largest hand, the one
    that is for the fewest numbers of cards; flat Monte Carlo where there is none."""
    known = {path: trained_by(path) for path in sorted(folder.glob("*.safetensors"))}
    fitting = {
        path: len(games_of(flags))
        for path, flags in known.items()
        if flags is not None and other_rules(path, asked) is None
    }
    return str(min(fitting, key=fitting.get)) if fitting else "flat"


def choose(agent: Player, match: Match) -> int:
    """The agent's action for the mover: the same for the same match."""
    return int(agent.act(match.game, match.state, match.settings.seed))

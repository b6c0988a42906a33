"""The agents at the table.

An agent gets the true state, as in the arena, and looks at it through `observe` and `determinize` only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from net import InferenceNet
from veclab.agents.checkpoint import load_network
from veclab.agents.networks import label, other_rules, trained_by
from veclab.arena.bots import (
    FlatMonteCarlo,
    HistoryPlayer,
    NetworkPlayer,
    Player,
    RandomBot,
    RuleBot,
    SearchPlayer,
    rollout_config,
    rollout_player,
    rollouts_name,
    why_not,
)
from veclab.arena.matches import decided
from veclab.arena.outsiders import ADDRESS, is_address, own_player
from veclab.arena.solved import SolvedBot
from veclab.game_flags import games_of
from veclab.progress import Display
from veclab.room import check_room, of_search
from veclab.settings import Settings as TrainingSettings
from veclab.table.session import POLICY, ROLLOUTS, Match, Settings
from vecmcts import SearchConfig

Agent = Player | HistoryPlayer


def _rule_bot(settings: Settings) -> Player:
    if (reason := why_not(RuleBot(), settings.game)) is not None:
        raise ValueError(f"--agent rules: {reason}; take flat, random or a network")
    return RuleBot()


def _solved_bot(settings: Settings) -> Player:
    bot, courses = SolvedBot(), settings.course
    if (reason := why_not(bot, *courses)) is not None:
        raise ValueError(f"--agent {bot.name}: {reason}; take rules, flat, random or a network")
    bot.get_ready(courses, Display())
    return bot


BOTS: dict[str, Callable[[Settings], Player]] = {
    "rules": _rule_bot,
    "random": lambda settings: RandomBot(),
    "flat": lambda settings: FlatMonteCarlo(settings.worlds),
    SolvedBot.name: _solved_bot,
}


def is_network(agent: str) -> bool:
    """Whether an agent's name is that of a network: neither a bot's nor the address of a player of one's own."""
    return agent not in BOTS and not is_address(agent)


def make_agent(settings: Settings) -> Agent:
    """The agent that the settings name.

    Raises:
        ValueError: when it is neither a bot or a player of one's own for the game nor a file with a network that can
            play it.
    """
    if settings.agent in BOTS:
        return BOTS[settings.agent](settings)
    if is_address(settings.agent):
        agent = own_player(settings.agent)
        if (reason := why_not(agent, *settings.course)) is not None:
            raise ValueError(reason)
        return agent
    path = network_at(Path(settings.agent))
    if settings.thinking == POLICY:
        network = InferenceNet(load_network(path, game=settings.game))
        return NetworkPlayer(network, f"{label(path)}, its policy", sample=True)
    if settings.thinking == ROLLOUTS:
        rolled = rollout_config(settings.course, settings.worlds)
        network = InferenceNet(load_network(path, game=settings.game))
        return rollout_player(network, rolled, f"{label(path)}, {rollouts_name(rolled)}")
    config = SearchConfig(worlds=settings.worlds, simulations=settings.simulations)
    check_room(torch.device("cpu"), of_search(1, settings.game, config))
    name = f"{label(path)}, search {config.worlds}x{config.simulations}"
    return SearchPlayer(InferenceNet(load_network(path, game=settings.game)), config, name)


def network_at(path: Path) -> Path:
    """The path itself. Raises ValueError where there is no file."""
    if not path.is_file():
        raise ValueError(
            f"--agent {path} is no file; give a network-*.safetensors, a run's folder, {ADDRESS}, or {', '.join(BOTS)}"
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


def choose(agent: Agent, match: Match) -> int:
    """The agent's action for the mover: the same for the same match. Raises ValueError on one that is not legal."""
    past = match.past if hasattr(agent, "act_after") else None
    return int(decided(agent, match.game, match.state, past, match.settings.seed, len(match.moves) + 1))

"""Games that a run's newest network has played, as matches that a page looks into."""

from __future__ import annotations

from pathlib import Path

import torch

from net import InferenceNet
from veclab.agents.checkpoint import load_network
from veclab.agents.folder import read_config
from veclab.agents.networks import newest_network, settings_for
from veclab.arena.bots import usual_thinking
from veclab.arena.matches import FIRST_INDEX
from veclab.going_on import for_resume
from veclab.progress import Display
from veclab.report.games import sample
from veclab.report.played import SHOWN_GAMES, play_all
from veclab.table.session import Match, Settings, walk


def sample_games(folder: Path, told: dict[str, object]) -> dict[str, Match]:
    """The games that the report of its run shows, each a match of one game, by what they are called there: every seat
    took the network's most probable action, without a search.

    Args:
        folder: the run's.
        told: of the matches' settings, the agent whose thoughts the page shows (that network by default) and how it
            thinks; the rest is the run's.

    Raises:
        ValueError: in one line, when the folder holds no run, or a network that cannot be read.
    """
    run = for_resume(read_config(folder), {})
    seed, network = run.seed, newest_network(folder)
    games = settings_for(network, {"game": run.game}).games()
    net = InferenceNet(load_network(network, game=games[0]), dtype=torch.float32)
    played = play_all(games, net, seed, SHOWN_GAMES * len(set(games)), Display(quiet=True))
    matches = {}
    for title, part, lane in sample(played):
        deal = {"games": 1, "seed": seed, "first_index": FIRST_INDEX + lane}
        usual = {"agent": str(network.resolve()), "thinking": usual_thinking(games)}
        own = Settings(part.game, **{**usual, **told, **deal})
        *_, matches[title] = walk(own, part.action[part.live[:, lane], lane].tolist())
    return matches

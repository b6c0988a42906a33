"""Strength of networks against the known opponents.

python -m training.evaluate runs/NAME/network-000010.safetensors --deals 1000
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.table import Table

from net import InferenceNet
from training.arena import MatchResult, opponents_of, play_match, seatings_of
from training.bots import FlatMonteCarlo, NetworkPlayer, Player, RandomBot, RuleBot, SearchPlayer
from training.checkpoint import load_network, write_atomically
from training.progress import Display
from training.settings import add_flags, from_flags
from vecgame import Game, resolve_device

Results = dict[str, dict[str, MatchResult]]
"""Of each player (by its name) against three of each opponent (by its name); with its partner, against two."""


def bots(game: str = "blob") -> list[Player]:
    """The known opponents in a game, weakest first. Rules to play by there are for Blob only."""
    return [RandomBot(), *([RuleBot()] if game == "blob" else []), FlatMonteCarlo()]


def evaluate(
    games: Sequence[Game],
    players: Sequence[Player],
    opponents: Sequence[Player],
    deals: int,
    seed: int,
    device: torch.device,
    display: Display,
    check: Callable[[], None] = lambda: None,
) -> Results:
    """Plays every player against every opponent as `play_match` does, all on the same deals.

    Args:
        check: called often; an exception that it raises ends the evaluation.
    """
    total, seatings = len(players) * len(opponents), seatings_of(games[0])
    results: Results = {}
    with display.task("evaluation", seatings * deals * total, "games") as task:
        for row, player in enumerate(players):
            for column, opponent in enumerate(opponents):
                begun = row * len(opponents) + column

                def report(share: float, begun: int = begun) -> None:
                    check()
                    task.update(seatings * deals * (begun + share))

                match = play_match(games, player, opponent, deals, seed, device, report)
                results.setdefault(player.name, {})[opponent.name] = match
    return results


def results_table(results: Results, title: str, opponents: int = 3) -> Table:
    """Points a game of player and opponent in each pairing, with 95% intervals; a star marks a significant lead.

    Args:
        opponents: how many of them sit at a table, `opponents_of` the game.
    """
    table = Table(title=title, title_justify="left", caption="* ahead, and the 95% interval of the lead excludes zero")
    table.add_column("points a game (95%)")
    for opponent in next(iter(results.values())):
        table.add_column(f"against {opponents} x {opponent}", justify="right")
    for player, row in results.items():
        cells = [f"{m.player} : {m.opponents}{' *' if m.significant else '  '}" for m in row.values()]
        table.add_row(player, *cells)
    return table


def results_json(results: Results) -> dict[str, object]:
    """The results as plain numbers."""
    return {player: {name: match.to_dict() for name, match in row.items()} for player, row in results.items()}


def choose_device(name: str) -> torch.device:
    """The device that a setting names; ``auto`` is a GPU if there is one."""
    return resolve_device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path, help="a network-*.safetensors of a run")
    parser.add_argument("--against", type=Path, help="also play three of this network, searching alike")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    add_flags(parser)
    given = vars(parser.parse_args(arguments))
    path, against, json_path = (given.pop(name, None) for name in ("network", "against", "json"))
    try:
        settings = from_flags("document", given)
        device = choose_device(settings.device)
        network = InferenceNet(load_network(path, device, settings.game))
        players = [NetworkPlayer(network), SearchPlayer(network, settings.search())]
        opponents = bots(settings.game)
        if against is not None:
            rival = InferenceNet(load_network(against, device, settings.game))
            opponents.append(SearchPlayer(rival, settings.search(), name=f"search with {against.stem}"))
        display, games = Display(), settings.games()
        results = evaluate(games, players, opponents, settings.eval_deals, settings.seed, device, display)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    display.console.print(results_table(results, str(path), opponents_of(games[0])))
    if json_path is not None:
        write_atomically(json_path, json.dumps(results_json(results), indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Strength of networks against the known opponents.

python -m training.evaluate runs/NAME/network-000010.safetensors --deals 1000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.table import Table

from training.arena import MatchResult, play_match
from training.bots import FlatMonteCarlo, NetworkPlayer, Player, RandomBot, RuleBot, SearchPlayer
from training.checkpoint import load_network, write_atomically
from training.precision import inference_net
from training.progress import Display
from training.settings import add_flags, from_flags
from vecgame import Blob, resolve_device

Results = dict[str, dict[str, MatchResult]]
"""Of each player (by its name) against three of each opponent (by its name)."""


def bots() -> list[Player]:
    """The three known opponents, weakest first."""
    return [RandomBot(), RuleBot(), FlatMonteCarlo()]


def evaluate(
    games: Sequence[Blob],
    players: Sequence[Player],
    opponents: Sequence[Player],
    deals: int,
    seed: int,
    device: torch.device,
    display: Display,
    check: Callable[[], None] = lambda: None,
) -> Results:
    """Plays every player against three of every opponent, all on the same deals.

    Args:
        check: called often; an exception that it raises ends the evaluation.
    """
    total = len(players) * len(opponents)
    results: Results = {}
    with display.task("evaluation", 4 * deals * total, "games") as task:
        for row, player in enumerate(players):
            for column, opponent in enumerate(opponents):
                begun = row * len(opponents) + column

                def report(share: float, begun: int = begun) -> None:
                    check()
                    task.update(4 * deals * (begun + share))

                match = play_match(games, player, opponent, deals, seed, device, report)
                results.setdefault(player.name, {})[opponent.name] = match
    return results


def results_table(results: Results, title: str) -> Table:
    """Points a game of player and opponent in each pairing, with 95% intervals; a star marks a significant lead."""
    table = Table(title=title, title_justify="left", caption="* ahead, and the 95% interval of the lead excludes zero")
    table.add_column("points a game (95%)")
    for opponent in next(iter(results.values())):
        table.add_column(f"against 3 x {opponent}", justify="right")
    for player, row in results.items():
        cells = [f"{m.player} : {m.opponents}{' *' if m.significant else '  '}" for m in row.values()]
        table.add_row(player, *cells)
    return table


def results_json(results: Results) -> dict[str, object]:
    """The results as plain numbers."""
    return {player: {name: match.to_dict() for name, match in row.items()} for player, row in results.items()}


def choose_device(name: str, number: int = 0) -> torch.device:
    """The device that a setting names; ``auto`` is a GPU if there is one, and a GPU without a number is ``number``."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    return resolve_device(f"cuda:{number}" if name == "cuda" and number else name)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path, help="a network-*.safetensors of a run")
    parser.add_argument("--against", type=Path, help="also play three of this network, searching alike")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--parent", type=int, metavar="PID", help="give up when this is no longer the parent process")
    add_flags(parser)
    given = vars(parser.parse_args(arguments))
    path, against, json_path, parent = (given.pop(name, None) for name in ("network", "against", "json", "parent"))

    def check() -> None:
        if parent is not None and os.getppid() != parent:
            raise ValueError(f"process {parent}, for which this evaluation was made, is gone")

    try:
        settings = from_flags("document", given)
        device = choose_device(settings.device)
        games = settings.games()
        network = inference_net(load_network(path, device), settings.precision, games)
        players = [NetworkPlayer(network), SearchPlayer(network, settings.search())]
        opponents = bots()
        if against is not None:
            rival = inference_net(load_network(against, device), settings.precision, games)
            opponents.append(SearchPlayer(rival, settings.search(), name=f"search with {against.stem}"))
        display = Display()
        results = evaluate(games, players, opponents, settings.eval_deals, settings.seed, device, display, check)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    display.console.print(results_table(results, str(path)))
    if json_path is not None:
        write_atomically(json_path, json.dumps(results_json(results), indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

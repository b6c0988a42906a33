"""Strength of networks against the known opponents, and against programs in any language.

vecgame evaluate runs/NAME/network-000010.safetensors --eval-deals 1000
vecgame evaluate runs/NAME/network-000010.safetensors --opponents ismcts --ismcts-simulations 1000
vecgame evaluate runs/NAME --players policy --opponents random 'cmd:node examples/bot.js'

By the rules of the run that the network lies in, unless flags give others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.table import Table

from vecgame import Game, resolve_device
from vecgame.loading import nearest
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import how_far, label, newest_network, other_rules, settings_for
from veclab.arena import oh_hell
from veclab.arena.bots import (
    FlatMonteCarlo,
    HistoryPlayer,
    NetworkPlayer,
    Player,
    RandomBot,
    RolloutPlayer,
    RuleBot,
    rollout_config,
    search_player,
    why_not,
)
from veclab.arena.ismcts import ISMCTSPlayer
from veclab.arena.matches import ONE_AGAINST_THREE, MatchResult, Seatings, play_match, seatings_of
from veclab.arena.programs import PREFIX, SECONDS, ProgramPlayer, ending
from veclab.command_line import parser_of
from veclab.files import json_text
from veclab.game_flags import identities
from veclab.precision import inference_net
from veclab.progress import Display
from veclab.settings import Settings, add_flags
from vecmcts.evaluators import Network

Results = dict[str, dict[str, MatchResult]]
"""Of each player (by its name) against each opponent (by its name) at all other seats; with a partner, against two."""


BOTS: dict[str, Callable[[], Player]] = {"random": RandomBot, "rules": RuleBot, "flat": FlatMonteCarlo}


def bots_of(games: Sequence[Game]) -> list[str]:
    """Names of the known opponents that play all of the games, weakest first."""
    return [name for name, bot in BOTS.items() if all(why_not(bot(), game) is None for game in games)]


def bots(games: Sequence[Game]) -> list[Player]:
    """The known opponents that play all of the games, weakest first."""
    return [BOTS[name]() for name in bots_of(games)]


def evaluate(
    games: Sequence[Game],
    players: Sequence[Player],
    opponents: Sequence[Player | HistoryPlayer],
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
    total, seatings = len(players) * len(opponents), len(seatings_of(games[0]))
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


def results_table(results: Results, title: str, seatings: Seatings = ONE_AGAINST_THREE) -> Table:
    """Points a game of player and opponent in each pairing, with 95% intervals; a star marks a significant lead.

    Args:
        seatings: those of the matches, `seatings_of` the game.
    """
    opponents = sum(seatings[0])
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


def choose_device(name: str, number: int = 0) -> torch.device:
    """The device that a setting names; ``auto`` is a GPU if there is one, and a GPU without a number is ``number``."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    return resolve_device(f"cuda:{number}" if name == "cuda" and number else name)


OWN_FLAGS = ("network", "against", "json", "parent", "players", "opponents", "ismcts_simulations", "program_seconds")
ISMCTS = "ismcts"
PLAYERS = {
    "alone": "its best action",
    "policy": "an action drawn from its policy",
    "search": "searching by trees",
    "rollouts": "its best action unless rollouts of its policy find a better one",
}


def terms(game: Game, settings: Settings) -> str:
    """How many games a pairing has and how they are dealt, for a title."""
    seats = "both sides" if game.partners else "every seat"
    count = len(seatings_of(game)) * settings.eval_deals
    return f"{count:,} games a pairing, {settings.cards} cards, each deal played from {seats}"


def add_player_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that choose who plays whom."""
    ways = ", ".join(f"{name}: {what}" for name, what in PLAYERS.items())
    default = ("alone", "search")
    parser.add_argument(
        "--players",
        nargs="+",
        choices=tuple(PLAYERS),
        default=default,
        help=f"how the network plays; {ways} (default: {' '.join(default)})",
    )
    parser.add_argument(
        "--opponents",
        nargs="+",
        metavar="NAME",
        help=f"whom to play: {', '.join(BOTS)}; {PREFIX}COMMAND, a program that speaks the protocol of "
        f"docs/protocol.md; {ISMCTS}, OpenSpiel's IS-MCTS, which needs pip install 'vecgame[peers]' and thinks about "
        "0.1 s a decision on one core (default: all bots that play the game)",
    )
    parser.add_argument(
        "--ismcts-simulations", type=int, default=1000, metavar="N", help="its simulations a decision (default: 1000)"
    )
    add_program_flags(parser)


def add_program_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of players in other programs."""
    parser.add_argument(
        "--program-seconds",
        type=float,
        default=SECONDS,
        metavar="X",
        help=f"how long a {PREFIX}COMMAND may take for a decision (default: {SECONDS:g})",
    )


def make_opponent(name: str, own: argparse.Namespace) -> Player | HistoryPlayer:
    """The opponent that ``--opponents`` names.

    Raises:
        ValueError: on a name that is none, or when it cannot play here.
    """
    if name.startswith(PREFIX):
        return ProgramPlayer(name.removeprefix(PREFIX), own.program_seconds)
    if name == ISMCTS:
        return ISMCTSPlayer(own.ismcts_simulations)
    if name not in BOTS:
        raise ValueError(f"there is no opponent {name!r}; {nearest(name, (*BOTS, ISMCTS))} and {PREFIX}COMMAND")
    return BOTS[name]()


def check_players(players: Sequence[Player | HistoryPlayer], games: Sequence[Game]) -> None:
    """Raises ValueError, in one line, unless all of the players can play all of the games."""
    for player in players:
        for game in games:
            if (reason := why_not(player, game)) is not None:
                raise ValueError(reason)


def make_players(network: Network, ways: Sequence[str], settings: Settings) -> list[Player | HistoryPlayer]:
    """A network as a player in each of the ways of `PLAYERS`."""
    make = {
        "alone": lambda: NetworkPlayer(network),
        "policy": lambda: NetworkPlayer(network, sample=True),
        "search": lambda: search_player(network, settings.search()),
        "rollouts": lambda: RolloutPlayer(network, rollout_config(settings.games())),
    }
    return [make[way]() for way in ways]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("evaluate", __doc__.splitlines()[0])
    parser.add_argument("network", type=Path, help="a network-*.safetensors, or a run for its newest")
    parser.add_argument("--against", type=Path, help="also play three of this network, searching alike")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--parent", type=int, metavar="PID", help="give up when this is no longer the parent process")
    add_player_flags(parser)
    add_flags(parser)
    given = vars(parser.parse_args(arguments))
    own = argparse.Namespace(**{name: given.pop(name) for name in OWN_FLAGS})

    def check() -> None:
        if own.parent is not None and os.getppid() != own.parent:
            raise ValueError(f"process {own.parent}, for which this evaluation was made, is gone")

    try:
        own.network = newest_network(own.network)
        settings = settings_for(own.network, given)
        device = choose_device(settings.device)
        games = settings.games()
        fits = {"device": device, "game": games[0]}
        judged = f"{own.network}{how_far(own.network)}"  # now: a run that is at work may write another
        network = inference_net(load_network(own.network, **fits), settings.precision, games)
        players = make_players(network, own.players, settings)
        opponents = [make_opponent(name, own) for name in own.opponents or bots_of(games)]
        display = Display()
        if others := other_rules(own.network, settings):
            display.line(f"it plays {others}")
        if ISMCTS in (own.opponents or ()):
            games = [playable for game in games for playable in oh_hell.playable(game)]
            display.line("OpenSpiel's oh_hell always has a trump suit: no deals without trump are played")
        if own.against is not None:
            if also := other_rules(own.against, settings):
                display.line(f"its rival plays {also}")
            rival = inference_net(load_network(own.against, **fits), settings.precision, games)
            opponents.append(search_player(rival, settings.search(), name=f"search with {label(own.against)}"))
        with ending(opponents):
            check_players(opponents, games)
            results = evaluate(games, players, opponents, settings.eval_deals, settings.seed, device, display, check)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing of the evaluation is kept", file=sys.stderr)
        return 130
    display.console.print(results_table(results, f"{judged}: {terms(games[0], settings)}", seatings_of(games[0])))
    if own.json is not None:
        stored = {
            "games": identities(games),
            "network": judged,
            "other_rules": others,
            "command": ["vecgame", "evaluate", *(sys.argv[1:] if arguments is None else arguments)],
            "terms": {"deals": settings.eval_deals, "seed": settings.seed, "search": asdict(settings.search())},
            "results": results_json(results),
        }
        write_atomically(own.json, json_text(stored, indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

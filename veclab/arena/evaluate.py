"""Strength of networks against the known opponents, and against programs in any language or players of your own.

vecgame evaluate runs/NAME/network-000010.safetensors --eval-deals 1000
vecgame evaluate runs/NAME/network-000010.safetensors --opponents ismcts --ismcts-simulations 1000
vecgame evaluate runs/NAME --players policy --opponents random 'cmd:node examples/bot.js' careful.py:Careful

By the rules of the run that the network lies in, unless flags give others.
"""

from __future__ import annotations

from veclab.command_line import A_RUN, begin, check_place, ends_in_one_line, parser_of, run_or_network, showing

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import argparse
import math
import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.padding import Padding
from rich.table import Table

from vecgame import Game, resolve_device
from vecgame.loading import nearest
from veclab.agents.checkpoint import write_atomically
from veclab.agents.networks import newest_network, read_saved, settings_for, settled
from veclab.arena import oh_hell
from veclab.arena.bots import (
    LONGEST_ROLLED,
    FlatMonteCarlo,
    HistoryPlayer,
    NetworkPlayer,
    Player,
    RandomBot,
    RuleBot,
    any_told,
    rollout_config,
    rollout_player,
    search_player,
    usual_thinking,
    why_not,
)
from veclab.arena.forked import most_processes
from veclab.arena.intervals import Interval
from veclab.arena.ismcts import SIMULATIONS, ISMCTSPlayer
from veclab.arena.matches import ONE_AGAINST_THREE, MatchResult, Seatings, opposed, play_match, rivalries, seatings_of
from veclab.arena.outsiders import ADDRESS, OUTSIDERS, is_address, is_outsider, outsider, own_player
from veclab.arena.programs import PREFIX, SECONDS, ending, is_program
from veclab.arena.solved import SolvedBot, gains_line, get_ready, told_of
from veclab.files import json_text
from veclab.game_flags import RULES, identities
from veclab.machine import command_of, environment
from veclab.precision import inference_net
from veclab.progress import Display, add_display_flags, display_of
from veclab.room import check_deals, check_match
from veclab.setting_flags import OF_THE_SEARCH, add_flags, own_and_settings
from veclab.settings import Settings, flag_name, players_of
from vecmcts import RolloutConfig
from vecmcts.evaluators import Network

Results = dict[str, dict[str, MatchResult]]
"""Of each player (by its name) against each opponent (by its name) at all other seats; with a partner, against two."""


BOTS: dict[str, Callable[[], Player]] = {"random": RandomBot, "rules": RuleBot, "flat": FlatMonteCarlo}
ASKED: dict[str, Callable[[], Player]] = {SolvedBot.name: SolvedBot}  # those that play only where they are asked for


def known_bots() -> dict[str, Callable[[], Player]]:
    """All known opponents by their names."""
    return {**BOTS, **ASKED}


def bots_of(games: Sequence[Game], asked: str = "") -> list[str]:
    """Names of the known opponents that play all of the games, weakest first; of those that are ``asked`` for, with
    commas between, if any are, after which come the addresses of players of one's own.

    Raises:
        ValueError: in one line, where one is asked for that there is not, or that does not play the games.
    """
    if not asked:
        return [name for name, bot in BOTS.items() if why_not(bot(), *games) is None]
    wanted, known, own = players_of(asked), known_bots(), []
    for name in wanted:
        if name not in known and not is_address(name):
            raise ValueError(f"--eval-opponents: there is no bot {name!r}; {nearest(name, known)} and {ADDRESS}")
        if (reason := why_not(bot := bot_named(name), *games)) is not None:
            raise ValueError(f"--eval-opponents {name}: {reason}")
        own += [] if name in known else [bot.address]
    return [*(name for name in known if name in wanted), *dict.fromkeys(own)]


def bots(games: Sequence[Game], asked: str = "") -> list[Player | HistoryPlayer]:
    """The opponents that `bots_of` names."""
    return [bot_named(name) for name in bots_of(games, asked)]


def bot_named(name: str) -> Player | HistoryPlayer:
    """A known opponent by its name, or else a player of one's own by its address; raises as `own_player`."""
    known = known_bots()
    return known[name]() if name in known else own_player(name)


def evaluate(
    games: Sequence[Game],
    players: Sequence[Player],
    opponents: Sequence[Player | HistoryPlayer],
    deals: int,
    seed: int,
    device: torch.device,
    display: Display,
    check: Callable[[], None] = lambda: None,
    keep: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Plays every player against every opponent as `play_match` does, all on the same deals, by as many processes as
    the device allows (`most_processes`).

    Args:
        check: called often; an exception that it raises ends the evaluation.
        keep: is given the results so far after every pairing.
    """
    total, seatings = len(players) * len(opponents), len(seatings_of(games[0]))
    get_ready((*players, *opponents), games, display)  # once, not in each of the processes
    results: Results = {}
    with display.task("evaluation", seatings * deals * total, "games") as task:
        for row, player in enumerate(players):
            for column, opponent in enumerate(opponents):
                begun = row * len(opponents) + column

                def report(share: float, begun: int = begun) -> None:
                    check()
                    task.update(seatings * deals * (begun + share))

                match = play_match(games, player, opponent, deals, seed, device, report, most_processes(device))
                results.setdefault(player.name, {})[opponent.name] = match
                points = f"{match.player} : {match.opponents} {games[0].unit} a game"
                display.news(f"{player.name} against {opponent.name}: {points}")
                keep(results)
    return results


def results_table(results: Results, title: str, seatings: Seatings = ONE_AGAINST_THREE, unit: str = "points") -> Table:
    """Points a game of player and opponent in each pairing, with 95% intervals; a star marks a significant lead.

    Args:
        seatings: those of the matches, `seatings_of` the game.
        unit: what the game counts.
    """
    against = rivalries(seatings)  # else each plays with itself
    sides = "the player's : one opponent's" if against else "the player's with itself : the other's with itself"
    caption = f"{unit} a game, {sides}, with 95% intervals; * ahead, and the 95% interval of the lead excludes zero"
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    table.add_column("player", overflow="fold")
    table.add_column("its own : an opponent's" if against else "its own : the other's", justify="right", no_wrap=True)
    for opponent in dict.fromkeys(name for row in results.values() for name in row):
        table.add_row(opposed(seatings) + opponent)
        for player, row in results.items():
            if opponent in row:
                match = row[opponent]
                points = f"{match.player} : {match.opponents}{' *' if match.significant else '  '}"
                table.add_row(Padding(player, (0, 0, 0, 2)), points)
        table.add_section()
    return table


def results_json(results: Results) -> dict[str, object]:
    """The results as plain numbers."""
    return {player: {name: match.to_dict() for name, match in row.items()} for player, row in results.items()}


def results_of(stored: dict[str, dict[str, dict[str, object]]]) -> Results:
    """The inverse of `results_json`."""
    return {
        player: {
            name: MatchResult(*(_interval(match[side]) for side in ("player", "opponents", "lead")), match["games"])
            for name, match in row.items()
        }
        for player, row in stored.items()
    }


def _interval(stored: dict[str, float | None]) -> Interval:
    """An interval that was written as JSON, which has no infinity."""
    return Interval(stored["mean"], math.inf if stored["half"] is None else stored["half"])


def choose_device(name: str, number: int = 0) -> torch.device:
    """The device that a setting names; ``auto`` is a GPU if there is one, and a GPU without a number is ``number``."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    return resolve_device(f"cuda:{number}" if name == "cuda" and number else name)


FLAGS = (*RULES, *OF_THE_SEARCH, "eval_deals", "seed", "device", "precision")
ISMCTS = "ismcts"
PLAYERS = {
    "alone": "its best action",
    "policy": "an action drawn from its policy",
    "search": "searching by trees",
    "rollouts": "its best action unless rollouts of its policy find a better one",
}


def terms(game: Game, settings: Settings) -> str:
    """How many games a pairing has and how they are dealt, for a title."""
    seats = "from both sides" if game.partners else "by each with itself" if game.cooperative else "from every seat"
    count = len(seatings_of(game)) * settings.eval_deals
    parts = (f"{count:,} games a pairing", settings.cards_dealt(), f"each deal played {seats}")
    return ", ".join(part for part in parts if part)


def add_player_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that choose who plays whom."""
    ways = ", ".join(f"{name}: {what}" for name, what in PLAYERS.items())
    parser.add_argument(
        "--players",
        nargs="+",
        choices=tuple(PLAYERS),
        metavar="WAY",
        help=f"how the network plays; {ways} (default: alone, and policy in games so small that training solves them, "
        "rollouts in others, or search in matches, in games of more than "
        f"{LONGEST_ROLLED} decisions, and where a flag of the search is given)",
    )
    parser.add_argument(
        "--opponents",
        nargs="+",
        metavar="NAME",
        help=f"whom to play: {', '.join(BOTS)}; {SolvedBot.name}, the solution of a game small enough; {OUTSIDERS}; "
        f"{ISMCTS}, OpenSpiel's IS-MCTS, which needs pip install 'vecgame[peers]' and thinks about 0.1 s a decision on "
        f"one core (default: {', '.join(BOTS)}, those of them that play the game)",
    )
    parser.add_argument(
        "--ismcts-simulations", type=int, metavar="N", help=f"its simulations a decision (default: {SIMULATIONS})"
    )
    add_program_flags(parser)


def add_program_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of players in other programs."""
    parser.add_argument(
        "--program-seconds",
        type=float,
        metavar="X",
        help=f"how long a {PREFIX}COMMAND may take for a decision (default: {SECONDS:g})",
    )


def check_flag_of(player: str, flag: str, value: object, plays: bool) -> None:
    """Raises ValueError, in one line, where a flag of one kind of player is given and nobody of that kind plays."""
    if value is not None and not plays:
        raise ValueError(f"{flag} {value} would change nothing: no {player} plays; leave it out, or name one")


def check_opponents_flags(own: argparse.Namespace) -> None:
    """Raises ValueError, in one line, where a flag is given of opponents that are not."""
    names = own.opponents or ()
    check_flag_of(ISMCTS, "--ismcts-simulations", own.ismcts_simulations, ISMCTS in names)
    check_flag_of(f"{PREFIX}COMMAND", "--program-seconds", own.program_seconds, any(map(is_program, names)))


def make_opponent(name: str, own: argparse.Namespace) -> Player | HistoryPlayer:
    """The opponent that ``--opponents`` names.

    Raises:
        ValueError: on a name that is none, or when it cannot play here.
    """
    if is_outsider(name):
        return outsider(name, own.program_seconds)
    if name == ISMCTS:
        return ISMCTSPlayer(SIMULATIONS if own.ismcts_simulations is None else own.ismcts_simulations)
    if name not in (known := known_bots()):
        near = nearest(name, (*known, ISMCTS))
        raise ValueError(f"there is no opponent {name!r}; {near}, {PREFIX}COMMAND and {ADDRESS}")
    return known[name]()


def check_players(players: Sequence[Player | HistoryPlayer], games: Sequence[Game]) -> None:
    """Raises ValueError, in one line, unless all of the players can play all of the games."""
    for player in players:
        if (reason := why_not(player, *games)) is not None:
            raise ValueError(reason)


def check_search_flags(given: Collection[str], used: Collection[str], instead: str) -> None:
    """Raises ValueError, in one line, where a flag of the search is given that nobody who plays makes use of.

    Args:
        given: names of the settings that are given.
        used: those that somebody uses.
        instead: the flag that asks for a search.
    """
    if idle := [flag_name(name) for name in OF_THE_SEARCH if name in given and name not in used]:
        raise ValueError(f"{', '.join(idle)} would change nothing where nobody searches; {instead} does")


def make_players(
    network: Network, ways: Sequence[str], settings: Settings, worlds: int = RolloutConfig.worlds
) -> list[Player | HistoryPlayer]:
    """A network as a player in each of the ways of `PLAYERS`; rollouts are in so many ``worlds``."""
    make = {
        "alone": lambda: NetworkPlayer(network),
        "policy": lambda: NetworkPlayer(network, sample=True),
        "search": lambda: search_player(network, settings.search()),
        "rollouts": lambda: rollout_player(network, rollout_config(settings.games(), worlds)),
    }
    return [make[way]() for way in ways]


def are_told(own: argparse.Namespace, settings: Settings, opponents: Sequence[Player | HistoryPlayer]) -> bool:
    """Whether one of the players is told how games came to where they are (`HistoryPlayer`)."""
    inferring = "rollouts" in own.players and rollout_config(settings.games()).candidates > 0
    return inferring or settings.candidates > 0 or any_told(opponents)


@ends_in_one_line(needs_less="a smaller --eval-deals")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("evaluate", __doc__)
    parser.add_argument("network", type=run_or_network, help=f"a network-*.safetensors, or {A_RUN} for its newest")
    parser.add_argument(
        "--against",
        type=run_or_network,
        help="also play this network, at all seats but a player's own and a partner's, in the last way of --players",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    parser.add_argument("--parent", type=int, metavar="PID", help=argparse.SUPPRESS)  # gives up when it is gone
    add_display_flags(parser)
    add_player_flags(parser)
    add_flags(parser, FLAGS)
    own, given = own_and_settings(parser, arguments)

    def check() -> None:
        if own.parent is not None and os.getppid() != own.parent:
            raise ValueError(f"process {own.parent}, for which this evaluation was made, is gone")

    check_opponents_flags(own)
    read = [path for path in (own.network, own.against) if path is not None]
    check_place("--json", own.json, *settled(read, lambda: [newest_network(path) for path in read]))
    settings = settled([own.network], lambda: settings_for(newest_network(own.network), given))
    device = choose_device(settings.device)
    games = settings.games()
    fits = {"device": device, "game": games[0]}
    asked_for_search = own.against is not None or any(name in given for name in OF_THE_SEARCH)
    usual = ("alone", "search" if asked_for_search else usual_thinking(games))
    own.players = tuple(dict.fromkeys(own.players or usual))
    searches = "search" in own.players
    of_rollouts = ("worlds",) * ("rollouts" in own.players)
    check_search_flags(given, OF_THE_SEARCH if searches else of_rollouts, "--players search")
    seatings, config = len(seatings_of(games[0])), settings.search() if searches else None
    made = [make_opponent(name, own) for name in dict.fromkeys(own.opponents or bots_of(games))]
    opponents = list({opponent.name: opponent for opponent in made}.values())  # one may have two addresses
    remembered = are_told(own, settings, opponents)
    check_match(device, games, settings.eval_deals, seatings, config, "--eval-deals", remembered)
    saved = read_saved(own.network, settings, **fits)
    judged, others = saved.told, saved.other_rules
    network = inference_net(saved.network, settings.precision, games)
    players = make_players(network, own.players, settings, given.get("worlds", RolloutConfig.worlds))
    display = display_of(own)
    if others:
        display.line(f"it plays {others}")
    if ISMCTS in (own.opponents or ()):
        games = [playable for game in games for playable in oh_hell.playable(game)]
        check_deals(games, settings.eval_deals, "--eval-deals")
        display.line("OpenSpiel's oh_hell always has a trump suit: no deals without trump are played")
    against = None if own.against is None else read_saved(own.against, settings, **fits)
    if against is not None:
        if against.other_rules:
            display.line(f"its rival plays {against.other_rules}")
        rival = inference_net(against.network, settings.precision, games)
        way = own.players[-1]
        opponents += make_players(rival, [way], settings, given.get("worlds", RolloutConfig.worlds))
        said = "search with" if way == "search" else f"{opponents[-1].name} of"  # curves of runs have the former
        opponents[-1].name = f"{said} {against.label}"
    told = {
        "games": identities(games),
        "network": judged,
        "other_rules": others,
        "against": against and against.told,
        "against_other_rules": against and against.other_rules,
        "environment": environment(device, command_of("vecgame evaluate", arguments)),
        "terms": {"deals": settings.eval_deals, "seed": settings.seed, "search": config and asdict(config)},
    }
    finished: Results = {}

    def keep(results: Results) -> None:
        finished.update(results)
        if own.json is not None:
            complete = sum(map(len, results.values())) == len(players) * len(opponents)
            notes = told_of(opponents, games)
            about = {"opponents": notes} if notes else {}
            stored = {**told, **about, "complete": complete, "results": results_json(results)}
            write_atomically(own.json, json_text(stored, indent=1).encode())

    def show() -> None:
        if not finished:
            return
        display.line(judged, whole=True)
        table = results_table(finished, terms(games[0], settings), seatings_of(games[0]), games[0].unit)
        display.console.print(table)
        for notes in told_of(opponents, games).values():
            display.line(gains_line(notes, games[0].unit))

    with showing(show, lambda: stopped(finished, own.json)), ending(opponents):
        check_players(opponents, games)
        evaluate(games, players, opponents, settings.eval_deals, settings.seed, device, display, check, keep)
    return 0


def stopped(finished: Results, path: Path | None) -> str:
    """One line of what there is when an evaluation is stopped."""
    count = sum(map(len, finished.values()))
    kept = f", kept in {path} as incomplete" if path is not None and count else ""
    return f"stopped after {count} {'pairing' if count == 1 else 'pairings'}{kept}"


if __name__ == "__main__":
    sys.exit(main())

"""Plays a match of Blob at the terminal: you against three agents.

vecgame play                                    a match of 13 games, hands of 5, 4, .., 1, .., 4, 5 cards
vecgame play --agent runs/NAME/network-000003.safetensors --save match.json
vecgame play --resume match.json                goes on with a saved match
vecgame play --watch                            agents among themselves
"""

import argparse
import secrets
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from veclab.agents import SHIPPED
from veclab.agents.networks import newest_network
from veclab.command_line import called, parser_of
from veclab.table.agents import BOTS, default_agent, make_agent
from veclab.table.app import Sitting
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.ui import open_interface

CHANGEABLE = ("agent", "worlds", "simulations")  # what a resumed match may change: its deals stay the same


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, object]]:
    """Flags of the command itself, and the match settings that were given."""
    parser = parser_of("play", __doc__)
    given = {"default": argparse.SUPPRESS, "metavar": "N", "type": int}
    parser.add_argument("--cards", **given, help="cards of the largest hand, 1-13 (default: 5)")
    parser.add_argument("--games", **given, help="play only the first N games of the match, 0 = all (default: 0)")
    parser.add_argument("--seed", **given, help="of the deals and of all that agents do (default: a new one)")
    agents = f"a network-*.safetensors, a run, or {', '.join(BOTS)} (default: the one that comes for the largest hand)"
    parser.add_argument("--agent", default=argparse.SUPPRESS, metavar="PATH", help=agents)
    parser.add_argument("--worlds", **given, help="deals that a network's search or flat samples (default: 30)")
    parser.add_argument("--simulations", **given, help="simulations of a search in each of them (default: 30)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the match in this new file, move by move")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on with the match in this file, and keep it; with another --agent if you like",
    )
    parser.add_argument("--watch", action="store_true", help="agents take all four seats")
    parser.add_argument("--delay", type=float, metavar="S", help="seconds after a move (default: 0.6 on a terminal)")
    parser.add_argument("--plain", action="store_true", help="plain lines even on a terminal, as for screen readers")
    flags = vars(parser.parse_args(arguments))
    settings = {item.name: flags.pop(item.name) for item in fields(Settings) if item.name in flags}
    return argparse.Namespace(**flags), settings


def open_match(own: argparse.Namespace, given: dict[str, object]) -> tuple[Match, Path | None]:
    """The match that the flags ask for, and the file that keeps it."""
    if own.delay is not None and not 0 <= own.delay <= 60:
        raise ValueError(f"--delay must be from 0 to 60 seconds, got {own.delay}")
    if own.resume is not None:
        if own.watch:
            raise ValueError("--watch would play your seat on in the file of --resume; leave one of them out")
        fixed = [f"--{name}" for name in given if name not in CHANGEABLE] + ["--save"] * (own.save is not None)
        if fixed:
            raise ValueError(f"--resume takes these from its file, and keeps the match there: leave out {fixed[0]}")
        match = load_match(own.resume)
        return replace(match, settings=replace(match.settings, **with_agent(given))), own.resume
    if own.save is not None and own.save.is_dir():
        raise ValueError(f"--save {own.save} is a folder; name a file in it, such as {own.save / 'match.json'}")
    if own.save is not None and own.save.exists():
        raise ValueError(f"{own.save} exists; go on with it by --resume {own.save}, or give --save another name")
    cards = given.get("cards", Settings.cards)
    chosen = {"seed": secrets.randbelow(1_000_000), "agent": default_agent(SHIPPED, cards), **given}
    return begin(Settings(**with_agent(chosen))), own.save


def with_agent(settings: dict[str, object]) -> dict[str, object]:
    """The settings with a network's path in full, so that a saved match can be resumed from anywhere."""
    agent = settings.get("agent")
    if agent is None or agent in BOTS:
        return settings
    return {**settings, "agent": str(newest_network(Path(agent)).resolve())}


def saver(path: Path | None) -> Callable[[Match], None]:
    """What keeps a match in a file, if there is one."""
    return (lambda match: None) if path is None else (lambda match: save_match(path, match))


def left_line(path: Path | None) -> str:
    """What to say when the person leaves before the end."""
    kept = "it is not saved (--save FILE would)" if path is None else f"go on by {called('play')} --resume {path}"
    return f"You have left the match; {kept}"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # odd bytes are a wrong answer, not the end of a match
    own, given = parse(arguments)
    path = None
    try:
        match, path = open_match(own, given)
        agent = make_agent(match.settings)
        interface = open_interface(own.plain, own.watch, own.delay)
        who = "Four agents" if own.watch else "You against three agents"
        title = f"{who} ({agent.name}), seed {match.settings.seed}." + ("" if own.watch else " ? for help.")
        over = Sitting(agent, None if own.watch else PERSON, interface, saver(path)).play(match, title)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{left_line(path)}")
        return 130
    if not over:
        print(left_line(path))
    return 0

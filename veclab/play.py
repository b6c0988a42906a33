"""Plays at the terminal or in a browser, you against agents: a match of Blob, or any other game.

vecgame play                                    a match of 13 games, hands of 5, 4, .., 1, .., 4, 5 cards
vecgame play --agent RUN --save match.json      the game and the rules that a run's network was trained by
vecgame play --game hearts --rules passing=left --games 4
vecgame play --agent careful.py:Careful         against a player of your own, see docs/own-parts.md
vecgame play --resume match.json                goes on with a saved match
vecgame play --watch                            agents among themselves
vecgame play --web                              as a page in the browser of this machine, with all of these
vecgame play --web --look match.json            a saved match move by move, with all hands and what agents think
vecgame play --web --look RUN                   likewise the games that the run's report shows, by its newest network
"""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from shlex import quote
from typing import NoReturn

from vecgame import Game, default_rules
from veclab.agents import SHIPPED
from veclab.agents.networks import newest_network, other_rules, settings_for
from veclab.arena.bots import usual_thinking
from veclab.arena.outsiders import ADDRESS, is_address, own_player
from veclab.arena.programs import ending
from veclab.command_line import A_RUN, STOPPED, called, check_place, ends_in_one_line, parser_of, run_or_network
from veclab.files import harmless
from veclab.game_flags import RULES, counts_text, described, flags_of
from veclab.lock import alone_at
from veclab.presets import from_flags
from veclab.setting_flags import add_flags
from veclab.settings import Settings as TrainingSettings
from veclab.table.agents import BOTS, Agent, default_agent, is_network, make_agent, network_at
from veclab.table.app import Sitting
from veclab.table.saving import load_match, save_match
from veclab.table.session import PERSON, POLICY, ROLLOUTS, SEARCH, THINKING, Match, Settings, begin
from veclab.table.ui import open_interface

CHANGEABLE = ("agent", "thinking", "worlds", "simulations")  # what a resumed match may change: its deals stay the same
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, object], dict[str, object]]:
    """Flags of the command itself, and those that were given of the game and of the match."""
    parser = parser_of("play", __doc__)
    add_flags(parser, RULES)
    given = {"default": argparse.SUPPRESS, "metavar": "N", "type": int}
    count = "play so many games, of a match of Blob the first N; 0 = as many as is usual (default: 0)"
    parser.add_argument("--games", **given, help=count)
    parser.add_argument("--seed", **given, help="of the deals and of all that agents do (default: a new one)")
    agents = f"a network-*.safetensors, {A_RUN}, {ADDRESS} for a player of your own, or {', '.join(BOTS)}"
    usual = "the network that comes with the program for these rules, or flat"
    parser.add_argument("--agent", default=argparse.SUPPRESS, metavar="PATH", help=f"{agents} (default: {usual})")
    ways = "; ".join(f"{name}: {what}" for name, what in THINKING.items())
    usual = (
        f"{POLICY} in games so small that training solves them, {ROLLOUTS} in others of tricks, unless --simulations "
    )
    usual += f"asks for a {SEARCH}; in all else and in matches {SEARCH}"
    how = f"how a network thinks; {ways} (default: {usual})"
    parser.add_argument("--thinking", default=argparse.SUPPRESS, choices=list(THINKING), help=how)
    parser.add_argument("--worlds", **given, help="deals that a network or flat samples (default: 30)")
    parser.add_argument("--simulations", **given, help="simulations of a search in each of them (default: 30)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the match in this new file, move by move")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on with the match in this file, and keep it; with another --agent if you like",
    )
    parser.add_argument("--watch", action="store_true", help="agents take all seats")
    parser.add_argument("--delay", type=float, metavar="S", help="seconds a move (default: 0.6, 0 in plain lines)")
    looked = f"with --web: a saved match, move by move; or, of {A_RUN}, games that its newest network has played"
    parser.add_argument("--look", type=run_or_network, metavar="PATH", help=looked)
    parser.add_argument("--web", action="store_true", help="a page for the browser, at an address of this machine only")
    parser.add_argument("--port", type=int, metavar="N", help="of --web, 0 = a free one (default: 0)")
    parser.add_argument("--plain", action="store_true", help="plain lines even on a terminal, as for screen readers")
    flags = vars(parser.parse_args(arguments))
    rules = {name: flags.pop(name) for name in RULES if name in flags}
    names = [item.name for item in fields(Settings)]
    flags["games_of_run"] = {}  # to look at
    return argparse.Namespace(**flags), rules, {name: flags.pop(name) for name in names if name in flags}


def open_match(
    own: argparse.Namespace, rules: dict[str, object], given: dict[str, object], held: ExitStack
) -> tuple[Match, Path | None]:
    """The match that the flags ask for, and the file that keeps it, which is nobody else's until ``held`` is closed."""
    if own.delay is not None and not 0 <= own.delay <= 60:
        raise ValueError(f"--delay must be from 0 to 60 seconds, got {own.delay}")
    if (own.web and own.plain) or (own.port is not None and not own.web):
        raise ValueError("--plain is for a terminal, not for --web" if own.web else "--port is for --web")
    if own.look is not None:
        if not own.web:
            raise ValueError("--look shows a match as a page: add --web")
        unfit = ["save"] * (own.save is not None) + ["resume"] * (own.resume is not None)
        unfit += [name for name in (*rules, *given) if name not in CHANGEABLE]
        if unfit:
            raise ValueError(f"--look takes its match from its file, which stays as it is: leave out --{unfit[0]}")
        own.watch = True
        return looked_at(own, with_agent(given)), None
    if own.resume is not None:
        if own.watch:
            raise ValueError("--watch would play your seat on in the file of --resume; leave one of them out")
        fixed = [f"--{name}" for name in (*rules, *given) if name not in CHANGEABLE] + ["--save"] * (
            own.save is not None
        )
        if fixed:
            raise ValueError(f"--resume takes these from its file, and keeps the match there: leave out {fixed[0]}")
        check_place("--resume", own.resume)
        held.enter_context(alone_at(own.resume))
        match = load_match(own.resume)
        return replace(match, settings=taken_up(match.settings, with_agent(given))), own.resume
    if own.save is not None and own.save.is_dir():
        raise ValueError(f"--save {own.save} is a folder; name a file in it, such as {own.save / 'match.json'}")
    if own.save is not None and own.save.exists():
        raise ValueError(f"{own.save} exists; go on with it by --resume {own.save}, or give --save another name")
    check_place("--save", own.save)
    held.enter_context(alone_at(own.save))
    given = with_agent({"seed": secrets.randbelow(1_000_000), **given})
    settings = Settings(largest(asked_for(given.get("agent"), rules)), **given)
    if "agent" not in given:
        settings = replace(settings, agent=default_agent(SHIPPED, from_flags("document", flags_of([settings.game]))))
    return begin(thinking_as_usual(settings, given)), own.save


def looked_at(own: argparse.Namespace, given: dict[str, object]) -> Match:
    """The match that --look names, or the first of a run's games; ``own.games_of_run`` are all of these."""
    if own.look.is_dir():
        from veclab.web.samples import sample_games

        own.games_of_run = sample_games(own.look, given)
        return next(iter(own.games_of_run.values()))
    match = load_match(own.look)
    return replace(match, settings=taken_up(match.settings, given))


def taken_up(settings: Settings, given: dict[str, object]) -> Settings:
    """The settings of a saved match with those that are given; an agent that is another one thinks as is usual."""
    changed = replace(settings, **given)
    return changed if changed.agent == settings.agent else thinking_as_usual(changed, given)


def thinking_as_usual(settings: Settings, given: dict[str, object]) -> Settings:
    """The settings with a network that thinks as is usual in their games, unless it is given how."""
    if "thinking" in given or not is_network(settings.agent):
        return settings
    return replace(settings, thinking=usual_thinking(settings.course))


def asked_for(agent: str | None, rules: dict[str, object]) -> TrainingSettings:
    """The game of the flags, and by else the rules that the agent's network was trained by."""
    trained = agent is not None and is_network(agent)
    return settings_for(run_or_network(agent), rules) if trained else from_flags("document", rules)


def largest(asked: TrainingSettings) -> Game:
    """Of the games that settings name that of the largest hand of a match: as many cards as is usual, else the most."""
    games = {game.cards: game for game in asked.games()}
    return games.get(default_rules(asked.game).get("cards"), games[max(games)])


def check_search(settings: Settings, given: Collection[str]) -> None:
    """Raises ValueError, in one line, where a flag of thinking is given that the agent makes no use of."""
    agent, idle = settings.agent, ("simulations", "worlds")
    if is_network(agent):
        if settings.thinking == POLICY and "worlds" in given:
            raise ValueError(
                f"--worlds would change nothing with --thinking {POLICY}; leave it out, or give another one"
            )
        return
    idle = idle[:1] if agent == "flat" else idle
    if named := [f"--{name}" for name in idle if name in given]:
        raise ValueError(f"{', '.join(named)} would change nothing with the agent {agent}; leave it out")


def with_agent(settings: dict[str, object]) -> dict[str, object]:
    """The settings with a network's path or a player's address in full, so that a saved match can be resumed from
    anywhere, and with a search where simulations are asked for."""
    if "simulations" in settings:
        if settings.get("thinking", SEARCH) != SEARCH:
            raise ValueError(f"--simulations are those of a search; leave them out, or give --thinking {SEARCH}")
        settings = {**settings, "thinking": SEARCH}
    agent = settings.get("agent")
    if agent is None or agent in BOTS:
        return settings
    if is_address(agent):
        return {**settings, "agent": own_player(agent).address}
    return {**settings, "agent": str(network_at(newest_network(run_or_network(agent)).resolve()))}


def played_by(settings: Settings) -> TrainingSettings:
    """Settings of all the games of a match, with as many cards as are dealt in one of them."""
    counts = counts_text(sorted({game.cards for game in settings.course}))
    return from_flags("document", {**flags_of([settings.game]), "cards": counts})


def title_of(settings: Settings, agent: Agent, watch: bool) -> str:
    """The first line: who plays what by which seed; and a second one where a network was trained by other rules."""
    who, *other = players_lines(settings, agent, watch)
    return "\n".join([f"{who}, seed {settings.seed}.{'' if watch else ' ? for help.'}", *other])


def players_lines(settings: Settings, agent: Agent, watch: bool) -> list[str]:
    """Who plays what, and a second line where a network was trained by other rules."""
    seats = settings.game.seats
    who = f"{COUNTS[seats].capitalize()} agents"
    if not watch:
        who = f"You against {COUNTS[seats - 1]} agent{'s' * (seats > 2)}"
    line = f"{who} ({agent.name}): {described(flags_of([settings.game]))}"
    network = is_network(settings.agent)
    other = other_rules(Path(settings.agent), played_by(settings)) if network else None
    return [line] if other is None else [line, f"The agents play {other}."]


def saver(path: Path | None) -> Callable[[Match], None] | None:
    """What keeps a match in a file, if there is one."""
    return None if path is None else (lambda match: save_match(path, match))


def left_line(path: Path | None, looked: Path | None) -> str:
    """What to say when the person leaves before the end a match that ``path`` keeps, or one that is ``looked`` at."""
    if path is not None:
        kept = f"go on by {called('play')} --resume {quote(str(path))}"
    else:
        kept = "it is not saved (--save FILE would)" if looked is None else f"{looked} stays as it was"
    return f"You have left the match; {kept}"


def play_on_page(own: argparse.Namespace, match: Match, path: Path | None, held: ExitStack) -> NoReturn:
    """Serves the match as a page until Ctrl+C; the table lets go of what is ``held`` of its file.

    Raises:
        KeyboardInterrupt: then, with what is kept. ModuleNotFoundError without the extra ``web``, ValueError in one
            line when the port is not to be had.
    """
    from veclab.web import server
    from veclab.web.sitting import Table

    seated: list[Agent] = []

    def seating(match: Match) -> tuple[Agent, str]:
        agent = make_agent(match.settings)
        seated.append(agent)
        told = ". ".join(players_lines(match.settings, agent, own.watch)).removesuffix(".")
        title = next((title for title, one in own.games_of_run.items() if one == match), None)
        if title is not None:
            rules = described(flags_of([match.settings.game]))
            told = f"{title}, of {own.look}: {rules}. Played by its newest network alone; thoughts: {agent.name}"
        return agent, f"{told}."

    bound = server.listen(own.port or 0)
    delay = 0.6 if own.delay is None else own.delay
    table = Table(match, seating, None if own.watch else PERSON, path, delay, own.games_of_run, held)
    print(f"http://{server.HOST}:{bound.getsockname()[1]} (seed {match.settings.seed}; Ctrl+C ends it)", flush=True)
    with ending(seated):
        server.serve(table, bound)
        if not table.close():  # an agent is in the midst of a search, which would have to be waited for
            print(f"\n{left_line(table.path, own.look)}", file=sys.stderr, flush=True)
            os._exit(STOPPED)
    raise KeyboardInterrupt(left_line(table.path, own.look))


def sit_down(
    own: argparse.Namespace, match: Match, path: Path | None, given: dict[str, object], held: ExitStack
) -> bool:
    """Plays the match where the flags say; whether it came to its end."""
    if "thinking" in given and not is_network(match.settings.agent):
        raise ValueError(f"--thinking is a network's; leave it out with the agent {match.settings.agent}")
    check_search(match.settings, given)
    agent = make_agent(match.settings)
    if own.web:
        play_on_page(own, match, path, held)
    interface = open_interface(own.plain, own.watch, own.delay)
    title = title_of(match.settings, agent, own.watch)
    with ending([agent]):
        return Sitting(agent, None if own.watch else PERSON, interface, saver(path)).play(match, title)


@ends_in_one_line(needs_less="a smaller --worlds or --simulations", package="web")
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")  # odd bytes are a wrong answer, not the end of a match
    own, rules, given = parse(arguments)
    path = None
    try:
        with ExitStack() as held:
            match, path = open_match(own, rules, given, held)
            over = sit_down(own, match, path, given, held)
    except NotImplementedError as error:
        raise ValueError(str(error)) from None
    except KeyboardInterrupt as stop:
        print()
        raise KeyboardInterrupt(str(stop) or left_line(path, own.look)) from None
    if not over:
        print(harmless(left_line(path, own.look)))
    return 0

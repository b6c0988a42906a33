"""A run as one web page: strength, learning, speed, the value head's calibration, and games with what it thought.

vecgame report runs/NAME               writes runs/NAME/report.html
vecgame report runs/NAME --games 0     from the metrics alone, without playing

The page needs nothing beside itself, neither scripts nor other files, and is the same whenever it is made again.
"""

from __future__ import annotations

from veclab.command_line import A_RUN, begin, check_place, ends_in_one_line, parser_of, run_or_network

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import dataclasses
import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch

from net import InferenceNet
from vecgame import Game
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.folder import CONFIG, METRICS, RESULTS, UPDATE, read_config
from veclab.agents.networks import label, newest_network, settings_for
from veclab.arena.intervals import Interval
from veclab.game_flags import DEFAULTS, RULES, identities
from veclab.going_on import for_resume
from veclab.plotting import load_matplotlib
from veclab.progress import Display, add_display_flags, display_of
from veclab.report.games import annotated_games
from veclab.report.markup import details, number_text, page, table_html
from veclab.report.metrics import (
    Entry,
    Strength,
    learning_charts,
    metric_charts,
    other_charts,
    policy_gradient_charts,
    read_metrics,
    read_strength,
    speed_charts,
    steps_of,
    strength_charts,
    strongest_leads,
    with_total,
)
from veclab.report.played import GAMES, play_all, played_charts
from veclab.settings import Settings
from veclab.training.curves import is_number


def report(folder: Path, games: int, display: Display) -> str:
    """The page of a run as text.

    Raises:
        ValueError: in one line, when the folder holds no run or no metrics, or a network that cannot be read.
    """
    settings = for_resume(read_config(folder), {})
    rules = settings.games()
    entries = read_metrics(folder)
    iterations = [with_total(entry, settings) for entry in entries if entry["kind"] == "iteration"]
    updates = [entry for entry in entries if entry["kind"] == UPDATE]
    strengths = read_strength(folder, entries)
    values = shown = network = ""
    if games:
        path = newest_network(folder)
        network = label(path)  # before the games are played: a run that is at work may write another
        rules = settings_for(path, {"game": settings.game}).games()
        net = load_network(path, game=rules[0])
        played = play_all(rules, InferenceNet(net, dtype=torch.float32), settings.seed, games, display)
        values, shown = played_charts(played, network), annotated_games(played)
    unit, document = rules[0].unit, Settings().games()[0]
    learning, speed = learning_charts(unit), speed_charts(targets=type(rules[0]) is type(document))
    gradient = policy_gradient_charts(unit)
    others = other_charts(iterations, (*learning, *speed)), other_charts(updates, gradient)
    rows = settings_rows(settings)
    sections = {
        "Strength": strength_charts(strengths, unit, steps_of(settings)) if strengths else "",
        "Policy gradient": metric_charts(updates, (*gradient, *others[1]), "updates", "update"),
        "Learning": metric_charts(iterations, learning, "iteration", "iteration"),
        "Speed": metric_charts(iterations, speed, "iteration", "iteration"),
        "Other numbers": metric_charts(iterations, others[0], "iteration", "iteration"),
        "What it expects": values,
        "Games": shown,
        "Settings": details("All settings", table_html("Settings", ["setting", "value"], rows)),
    }
    body = "".join(f"<section><h2>{title}</h2>{content}</section>\n" for title, content in sections.items() if content)
    name = folder.resolve().name
    return page(f"vecgame: {name}", _header(name, settings, rules, entries, strengths) + body)


def _header(
    name: str, settings: Settings, games: Sequence[Game], entries: Sequence[Entry], strengths: Sequence[Strength]
) -> str:
    """The run's name, what it is, the game and its rules, and a few figures."""
    iterations = [entry for entry in entries if entry["kind"] == "iteration"]
    updates = sum(entry["kind"] == UPDATE for entry in entries)
    tiles = [("Updates", f"{updates:,} of {settings.updates:,}")] if settings.updates else []
    if settings.iterations:
        tiles.append(("Iterations", f"{len(iterations)} of {settings.iterations}"))
    if counts := [entry["games"] for entry in iterations if is_number(entry.get("games"))]:
        tiles.append(("Self-play games", number_text(sum(counts))))
    if rates := [entry["games_per_minute"] for entry in iterations if is_number(entry.get("games_per_minute"))]:
        tiles.append(("Games/min, last", number_text(round(rates[-1]))))
    for strength in strongest_leads(strengths):
        lead = Interval(**strength.match["lead"])
        title = f"Lead over {strength.opponent}, {strength.player}"
        tiles.append((title, str(lead).replace("-", "\N{MINUS SIGN}")))
    text = (
        f"{settings.describe()}; {games[0].seats} players; search of {settings.worlds} worlds x "
        f"{settings.simulations} simulations; network {settings.network}."
    )
    drawn = "".join(f"<div><dt>{escape(title)}</dt><dd>{escape(value)}</dd></div>" for title, value in tiles)
    lines = "".join(f'<p class="lead">{escape(line)}</p>' for line in (text, rules_text(games)))
    return f'<header><h1>{escape(name)}</h1>{lines}<dl class="tiles">{drawn}</dl></header>\n'


def settings_rows(settings: Settings) -> list[list[str]]:
    """Every setting and its value; those that say what is played as the rules of the game, of Blob as its flags."""
    told = {name: str(value) for name, value in dataclasses.asdict(settings).items()}
    if settings.game != DEFAULTS["game"]:
        games = settings.games()
        for name in RULES[1:]:
            del told[name]
        for item in dataclasses.fields(games[0].rules_type):
            values = dict.fromkeys(str(getattr(game.rules, item.name)) for game in games)
            told[f"rule {item.name}"] = " or ".join(values)
    first = [name for name in told if name == "game" or name.startswith("rule ")]
    return [[name, told[name]] for name in dict.fromkeys([*first, *told])]


def rules_text(games: Sequence[Game]) -> str:
    """The game by its name or address, and every rule that is not the default, of games of one kind."""
    told = identities(games)
    rules = {
        name: list(dict.fromkeys(json.dumps(getattr(game.rules, name), default=str) for game in games))
        for name in sorted({name for one in told for name in one["rules"]})
    }
    listed = ", ".join(f"{name} = {' or '.join(values)}" for name, values in rules.items())
    return f"Game: {told[0]['game']}. Rules: {listed or 'the defaults'}."


@ends_in_one_line(needs_less="a smaller --games")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("report", __doc__)
    parser.add_argument("run", type=run_or_network, help=A_RUN)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page to write (default: RUN/report.html)")
    parser.add_argument(
        "--games", type=int, default=GAMES, metavar="N", help=f"games to play for the page, 0 = none (default: {GAMES})"
    )
    add_display_flags(parser)
    given = parser.parse_args(arguments)
    target = given.out or given.run / "report.html"
    if given.games < 0:
        raise ValueError(f"--games must be at least 0, got {given.games}")
    if given.out is not None or given.run.is_dir():
        told = (given.run / name for name in (CONFIG, METRICS, RESULTS))
        check_place("--out", target, *told, *given.run.glob("*.safetensors"))
    load_matplotlib()  # its absence is better known before games are played
    display = display_of(given)
    write_atomically(target, report(given.run, given.games, display).encode("utf-8", "replace"))
    display.line(str(target), whole=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Saved matches: game, settings and actions as JSON, read without trust; but a game of one's own, or its scoring, is
loaded from the file that the match names, as `--game` would, and when it is played on its agent, as `--agent` would."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from vecgame import Blob, Game, game_of, identity
from veclab.agents import SHIPPED
from veclab.agents.checkpoint import write_atomically
from veclab.files import json_text
from veclab.table.session import Match, Settings, walk

FORMAT = "vecgame-match-2"
BLOB_FORMAT = "vecgame-match-1"  # of a match of Blob, with the cards of its largest hand among the settings
LATER = {"first_index", "thinking"}  # settings that earlier files do not have, where the default holds
NAMES = {item.name for item in fields(Settings)} - {"game", *LATER}


def save_match(path: Path, match: Match) -> None:
    """Writes the match, so that at any moment the file holds it whole, as it was before or after."""
    usual = {item.name: item.default for item in fields(Settings)}
    settings = {name: getattr(match.settings, name) for name in (*NAMES, *LATER)}
    settings = {name: value for name, value in settings.items() if name in NAMES or value != usual[name]}
    games = [identity(match.settings.game)]
    saved = {"format": FORMAT, "games": games, "settings": settings, "history": list(match.history)}
    write_atomically(path, (json_text(saved) + "\n").encode())


def load_match(path: Path) -> Match:
    """Reads what `save_match` wrote, playing its actions again.

    Raises:
        ValueError: in one line, when there is no such file, or it is damaged or something else, or of a game that
            cannot be had.
    """
    try:
        saved = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is damaged or no saved match: it is not JSON") from None
    try:
        return _replay(saved)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or no saved match: {error}") from None


def _replay(saved: object) -> Match:
    if not isinstance(saved, dict) or saved.get("format") not in (FORMAT, BLOB_FORMAT):
        raise ValueError(f"its format is not {FORMAT}")
    settings, history = saved.get("settings"), saved.get("history")
    of_blob = saved["format"] == BLOB_FORMAT
    if not isinstance(settings, dict) or set(settings) - LATER != NAMES | ({"cards"} if of_blob else set()):
        raise ValueError("its settings are not those of a match")
    if not isinstance(history, list) or not all(type(action) is int for action in history):
        raise ValueError("its history is not a list of actions")
    game = Blob(cards=settings["cards"]) if of_blob else _game(saved.get("games"))
    others = {name: settings[name] for name in (*NAMES, *LATER) if name in settings}
    *_, match = walk(Settings(game, **{**others, "agent": _found(settings["agent"])}), history)
    return match


def _game(told: object) -> Game:
    """The game that a file tells by what `vecgame.identity` gives of it."""
    if not isinstance(told, list) or len(told) != 1 or not isinstance(one := told[0], dict):
        raise ValueError("it does not say its game")
    if not isinstance(one.get("game"), str) or not isinstance(one.get("rules"), dict):
        raise ValueError("its game is not told by a name and rules")
    return game_of(one)


def _found(agent: object) -> object:
    """Where a network is that came with the program, if the match was saved when it was elsewhere."""
    try:
        if not isinstance(agent, str) or Path(agent).is_file():
            return agent
    except (OSError, ValueError):  # no file may be called so
        return agent
    here = SHIPPED / Path(agent).name
    return str(here) if Path(agent).parent.name == SHIPPED.name and here.is_file() else agent

"""Saved matches: settings and actions as JSON, read without trust."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from veclab.agents import SHIPPED
from veclab.agents.checkpoint import write_atomically
from veclab.table.session import Match, Settings, walk

FORMAT = "vecgame-match-1"


def save_match(path: Path, match: Match) -> None:
    """Writes the match, so that at any moment the file holds it whole, as it was before or after."""
    saved = {"format": FORMAT, "settings": asdict(match.settings), "history": list(match.history)}
    write_atomically(path, (json.dumps(saved) + "\n").encode())


def load_match(path: Path) -> Match:
    """Reads what `save_match` wrote, playing its actions again.

    Raises:
        ValueError: in one line, when there is no such file, or it is damaged or something else.
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
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    settings, history = saved.get("settings"), saved.get("history")
    if not isinstance(settings, dict) or set(settings) != {item.name for item in fields(Settings)}:
        raise ValueError("its settings are not those of a match")
    if not isinstance(history, list) or not all(type(action) is int for action in history):
        raise ValueError("its history is not a list of actions")
    *_, match = walk(Settings(**{**settings, "agent": _found(settings["agent"])}), history)
    return match


def _found(agent: object) -> object:
    """Where a network is that came with the program, if the match was saved when it was elsewhere."""
    if not isinstance(agent, str) or "\0" in agent or Path(agent).is_file():
        return agent
    here = SHIPPED / Path(agent).name
    return str(here) if Path(agent).parent.name == SHIPPED.name and here.is_file() else agent

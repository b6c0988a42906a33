"""The games by name: what ``vecgame train --game NAME`` knows."""

from __future__ import annotations

import dataclasses

from vecgame.game import Game
from vecgame.games.blob import Blob
from vecgame.games.blob_match import BlobMatch
from vecgame.games.briscola import Briscola
from vecgame.games.euchre import Euchre
from vecgame.games.hearts import Hearts
from vecgame.games.kuhn import Kuhn
from vecgame.games.leduc import Leduc
from vecgame.games.spades import Spades
from vecgame.games.whist import Whist

GAMES: dict[str, type[Game]] = {}


def register(game: type[Game]) -> type[Game]:
    """Makes a game known by its `name`; usable as a decorator.

    Args:
        game: a class with `name` and `rules_type`, a frozen dataclass whose fields are the class's keyword arguments.

    Raises:
        ValueError: if another class has that name.
    """
    if GAMES.get(game.name, game) is not game:
        raise ValueError(f"there is a game named {game.name!r} already")
    GAMES[game.name] = game
    return game


def game_class(name: str) -> type[Game]:
    """The class of a game. Raises ValueError on a name that is none."""
    if name not in GAMES:
        raise ValueError(
            f"there is no game {name!r}; there are {', '.join(GAMES)}, and your own once the file that registers it is "
            "imported"
        )
    return GAMES[name]


def default_rules(name: str) -> dict[str, object]:
    """What may be changed about a game: the names of its rules and their defaults."""
    return {field.name: field.default for field in dataclasses.fields(game_class(name).rules_type)}


def make_game(name: str, **rules: object) -> Game:
    """A game by name, with some of its rules changed: ``make_game("whist", cards=5, trump="random")``.

    Raises:
        ValueError: on a name that is none, or a rule that the game does not have or that makes no game.
    """
    known = default_rules(name)
    if unknown := sorted(set(rules) - set(known)):
        raise ValueError(f"{name} has no rule {', '.join(unknown)}; its rules are {', '.join(known) or 'fixed'}")
    return game_class(name)(**rules)


for _game in (Blob, Hearts, Spades, Whist, Euchre, BlobMatch, Briscola, Kuhn, Leduc):
    register(_game)

"""The games by name: what ``vecgame train --game NAME`` knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vecgame.game import Game
from vecgame.games.blob import Blob
from vecgame.games.blob_match import BlobMatch
from vecgame.games.briscola import Briscola
from vecgame.games.doppelkopf import Doppelkopf
from vecgame.games.euchre import Euchre
from vecgame.games.hearts import Hearts
from vecgame.games.kuhn import Kuhn
from vecgame.games.leduc import Leduc
from vecgame.games.matches import EuchreMatch, HeartsMatch, SpadesMatch, WhistMatch
from vecgame.games.skat import Skat
from vecgame.games.spades import Spades
from vecgame.games.whist import Whist
from vecgame.games.wizard import Wizard
from vecgame.loading import address_of, can_import, load, load_module, nearest

GAMES: dict[str, type[Game]] = {}


def register(game: type[Game]) -> type[Game]:
    """Makes a game known by its `name`; usable as a decorator. Of one's own games with one name, as of a cell of a
    notebook that is run again or of a file that has moved, the newest counts.

    Args:
        game: a class with `name` and `rules_type`, a frozen dataclass whose fields are the class's keyword arguments.

    Raises:
        ValueError: if it has no name, or a game that comes with vecgame has the same.
    """
    if not (isinstance(getattr(game, "name", None), str) and game.name):
        raise ValueError(f"{game.__name__} has no name, by which it would be known: name = {game.__name__.lower()!r}")
    if game.name in GAMES and _comes_with_it(GAMES[game.name]) and GAMES[game.name] is not game:
        raise ValueError(f"there is a game named {game.name!r} already")
    GAMES[game.name] = game
    return game


def game_class(name: str) -> type[Game]:
    """The class of a game by its name, or its address: ``FILE.py:CLASS`` or ``MODULE:CLASS``. Where there is one game,
    ``:CLASS`` may be left out.

    Raises:
        ValueError: on a name or address that is none.
    """
    if name in GAMES:
        return GAMES[name]
    if ":" in name:
        found = load(name)
        if not (isinstance(found, type) and issubclass(found, Game)):
            raise ValueError(f"{name} is no class of a game: it is {found!r}")
        return found
    if not name.endswith(".py") and not can_import(name):
        raise ValueError(
            f"there is no game {name!r}; {nearest(name, GAMES)}, and your own by its address, FILE.py:CLASS"
        )
    module = load_module(name)
    games = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Game) and thing.__module__ == module.__name__
    ]
    if len(games) != 1:
        found = ", ".join(f"{name}:{game.__name__}" for game in games) or "none"
        raise ValueError(f"{name} must have one game to go without its name, FILE.py:CLASS; found: {found}")
    return games[0]


def default_rules(name: str) -> dict[str, object]:
    """What may be changed about a game: the names of its rules and their defaults."""
    return {field.name: field.default for field in dataclasses.fields(game_class(name).rules_type)}


def make_game(name: str, /, **rules: object) -> Game:
    """A game by name, with some of its rules changed: ``make_game("whist", cards=5, trump="random")``.

    Raises:
        ValueError: on a name that is none, or a rule that the game does not have or that makes no game.
    """
    known = default_rules(name)
    if unknown := sorted(set(rules) - set(known)):
        told = nearest(unknown[0], known, "its rules are") or "its rules are fixed"
        raise ValueError(f"{name} has no rule {', '.join(unknown)}; {told}")
    kind = game_class(name)
    if missing := sorted(kind.__abstractmethods__):
        raise ValueError(f"{name} is no whole game: it has no {', '.join(missing)}")
    return kind(**rules)


def identity(game: Game) -> dict[str, object]:
    """What a game is, as a JSON value: its name, or its class's address, and those of its rules that are not the
    defaults; `game_of` gives the same game back.

    Raises:
        ValueError: if the class, or a function among the rules, stands nowhere that it could be loaded from.
    """
    kind, rules = type(game), {}
    for field in dataclasses.fields(kind.rules_type):
        value = getattr(game.rules, field.name)
        if value != field.default:
            rules[field.name] = address_of(value) if callable(value) else value
    return {"game": known_as(kind), "rules": rules}


def known_as(kind: type[Game]) -> str:
    """What names a class of games in every process: its name, or its address. Raises ValueError if nothing does."""
    return kind.name if _comes_with_it(kind) else address_of(kind)


def game_of(identity: Mapping[str, object]) -> Game:
    """The game of an `identity`. Raises ValueError, in one line, where it cannot be had."""
    unknown = sorted(set(identity) ^ {"game", "rules"})
    if unknown:
        raise ValueError(f"a game is told by 'game' and 'rules', not by {', '.join(unknown)}")
    return make_game(identity["game"], **identity["rules"])


def _comes_with_it(kind: type[Game]) -> bool:
    """Whether every process knows the game by its name."""
    return GAMES.get(kind.name) is kind and kind.__module__.partition(".")[0] == "vecgame"


for _game in (Blob, Hearts, Spades, Whist, Euchre, Wizard, Skat, Doppelkopf, Briscola, Kuhn, Leduc):
    register(_game)
for _game in (BlobMatch, HeartsMatch, SpadesMatch, WhistMatch, EuchreMatch):
    register(_game)

"""Players that do not come with the package, by what a command line calls them: programs in any language, as
``cmd:COMMAND``, and players of one's own in Python, as ``FILE.py:CLASS`` or ``MODULE:CLASS``.

A class is made without arguments, and an object is taken as it is. What it must have is in docs/own-parts.md.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vecgame import Game
from vecgame.loading import lasting, load
from veclab.arena.bots import HistoryPlayer, Player, name_of, why_not
from veclab.arena.programs import PREFIX, is_program, program_player
from veclab.files import controls, is_there, shown

ADDRESS = "FILE.py:CLASS"
OUTSIDERS = f"{PREFIX}COMMAND, a program that speaks the protocol of docs/protocol.md; {ADDRESS}, a player of your own "
OUTSIDERS += "(docs/own-parts.md)"  # for the help of a flag that takes both
Result = TypeVar("Result")


def is_address(name: str) -> bool:
    """Whether a command line means a player of one's own by a name: so by that of a Python file without a class, which
    `own_player` refuses, and not so by that of a file or folder of another kind."""
    where, _, thing = name.rpartition(":")
    if is_program(name):
        return False
    is_module = all(part.isidentifier() for part in (*where.split("."), thing))
    return where.endswith(".py") or name.endswith(".py") or (is_module and not is_there(name))


def is_outsider(name: str) -> bool:
    """Whether a command line means a program or a player of one's own by a name."""
    return is_program(name) or is_address(name)


def outsider(name: str, seconds: float | None = None) -> Player | HistoryPlayer:
    """The player that a command line means by such a name.

    Args:
        seconds: of a program, for each decision; see `program_player`.

    Raises:
        ValueError: in one line, see `program_player` and `own_player`.
    """
    return program_player(name, seconds) if is_program(name) else own_player(name)


class OwnPlayer:
    """A player of one's own, called ``NAME of ADDRESS``, which no other player is. It is pickled as its address, by
    which another process loads it; see `own_player`."""

    def __init__(self, player: Player | HistoryPlayer, address: str) -> None:
        self.player, self.address = player, address
        self.name = f"{name_of(player)} of {address}"
        self.games_a_process = getattr(player, "games_a_process", None)  # it may have what two cannot share
        if callable(getattr(player, "act_after", None)):
            self.act_after = self._named(player.act_after)
        else:
            self.act = self._named(player.act)

    def refuses(self, game: Game) -> str | None:
        """Why it does not play a game, as it says itself; None if it does."""
        reason = self._named(why_not)(self.player, game)
        return None if reason is None else f"{self.name}: {reason}"

    def _named(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """The function, of whose errors is noted whose they are, as commands tell some of them in one line alone."""

        def named(*arguments: object) -> Result:
            try:
                return function(*arguments)
            except Exception as error:
                error.add_note(f" in {self.name}")
                raise

        return named

    def digest(self, game: Game | None = None) -> str:
        """SHA-256 of the files that its address names and that its class stands in, whatever the game."""
        modules = (sys.modules.get(type(self.player).__module__), sys.modules.get(self.address.rpartition(":")[0]))
        files = {self.address.rpartition(":")[0], *(getattr(module, "__file__", None) for module in modules)}
        found = hashlib.sha256()
        for file in sorted(file for file in files if file is not None and Path(file).is_file()):
            found.update(Path(file).read_bytes())
        return found.hexdigest()

    def close(self) -> None:
        """Ends what it has running, if it has a method for that."""
        getattr(self.player, "close", lambda: None)()

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return own_player, (self.address,)


def own_player(address: str) -> OwnPlayer:
    """The player that stands at an address; one without a name is called by its class.

    Raises:
        ValueError: in one line, on an address that is none, a file or name that is not there, a file or class that
            fails, or what is no player.
    """
    player = load(address)
    if isinstance(player, type):
        try:
            player = player()
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())
            raise ValueError(f"{address} cannot be made without arguments: {type(error).__name__}: {said}") from error
    if not any(callable(getattr(player, method, None)) for method in ("act", "act_after")):
        raise ValueError(f"{address} is no player: it has no method act or act_after (docs/own-parts.md)")
    if not isinstance(name_of(player), str):
        raise ValueError(f"{address}: a player's name is text, not {name_of(player)!r}")
    made = OwnPlayer(player, lasting(address))
    if (least := made.games_a_process) is not None and not (type(least) is int and least > 0):
        raise ValueError(f"{address}: games_a_process is a number of games from 1 on, or None, not {least!r}")
    if controls(made.name):  # which no file of results may hold
        raise ValueError(f"{shown(address)}: a player's name has no control characters, unlike {shown(made.name)}")
    return made

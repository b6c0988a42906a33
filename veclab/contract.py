"""Whether a game keeps what search and training rely on.

vecgame contract hearts --rules passing=rotate
vecgame contract mine.py:Mine
vecgame contract mine.py:Mine --pasts 50      in more games, for worlds of one's own

What it finds is one line, and its exit status 2; what could not be checked it notes. It says what games came to.
"""

from __future__ import annotations

from veclab.command_line import begin, check_least, ends_in_one_line, parser_of

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import vecgame
from vecgame import Game, contract
from veclab.game_flags import DEFAULTS, canonical, games_of
from veclab.progress import Display, add_display_flags, display_of


def keeps(game: Game, display: Display, pasts: int = contract.PASTS, seed: int = 0) -> None:
    """Checks a game and shows what is found.

    Raises:
        ValueError: in one line, if it breaks a promise, or fails.
    """
    display.line(f"{game.name}: {game.seats} players, {game.decisions} decisions")
    notes = []
    try:
        with display.task("contract", len(contract.CHECKS), "checks") as task:
            for done, note in enumerate(contract.notes(game, pasts, seed), start=1):
                notes += [note] * (note is not None)
                task.update(done)
        found = contract.met(game, seed=seed)
    except AssertionError as error:
        told = " ".join(str(error).split()) or _where(error)  # of an assertion of the game's own without words
        raise ValueError(f"{game.name} breaks the contract: {told}") from error
    except Exception as error:
        told = " ".join(str(error).split())
        raise ValueError(f"{game.name} fails: {type(error).__name__}: {told} ({_where(error)})") from error
    display.line(str(found))
    for note in notes:
        display.line(f"note: {note}")
    display.line("keeps the contract" + ", but for what is said above" * bool(notes))


def _where(error: Exception) -> str:
    """The last line that is not the package's or a library's, as the game's author knows it."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = Path(vecgame.__file__).parent
    own = [one for one in frames if "site-packages" not in one.filename and inner not in Path(one.filename).parents]
    last = own[-1] if own and Path(own[-1].filename) != Path(__file__) else frames[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


@ends_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("contract", __doc__)
    parser.add_argument("game", metavar="GAME", help="by its name, see vecgame games, or your own: FILE.py:CLASS")
    parser.add_argument("--rules", default="", metavar="TEXT", help="of the game: NAME=VALUE,.. (default: its own)")
    parser.add_argument("--cards", default="auto", metavar="TEXT", help="dealt to a seat; of 3-5 or 3,5 each in turn")
    told = "games in which worlds are compared, for each of the last decisions (default: %(default)s)"
    parser.add_argument("--pasts", type=int, default=contract.PASTS, metavar="N", help=told)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other games (default: 0)")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    check_least(own, pasts=1, seed=0)
    for game in games_of(canonical({**DEFAULTS, "game": own.game, "rules": own.rules, "cards": own.cards})):
        keeps(game, display_of(own), own.pasts, own.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())

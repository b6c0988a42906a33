"""The games, with their rules and the rules' defaults.

vecgame games             all of them
vecgame games hearts      one

A rule is changed by `--rules NAME=VALUE,..` of `vecgame train` and `vecgame bench`, with the values as they stand here.
"""

from __future__ import annotations

from veclab.command_line import begin, ends_in_one_line, parser_of

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from collections.abc import Sequence

from vecgame import GAMES, default_rules, make_game
from veclab.game_flags import rules_text


def described(name: str) -> list[str]:
    """Lines about a game: its name, players and decisions by its own rules, then a line for each rule.

    Raises:
        ValueError: on a name that is none.
    """
    game = make_game(name)
    lines = [f"  {rules_text({rule: value})}" for rule, value in default_rules(name).items()]
    return [f"{name}: {game.seats} players, {game.decisions} decisions", *lines]


@ends_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("games", __doc__)
    parser.add_argument("names", nargs="*", metavar="GAME", help="only these (default: all)")
    for name in parser.parse_args(arguments).names or GAMES:
        print("\n".join(described(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The rule-based player: of each game that it knows the rules in a file of their own."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

from torch import Tensor

from vecgame import Blob, Euchre, Game, Hearts, Spades, State, Whist
from vecgame.cards import STANDARD
from veclab.arena.rules import blob, euchre, hearts, odds, reading, sides, spades, whist
from veclab.arena.versions import digest_of

RULES: dict[type[Game], Callable[[Game, State], Tensor]] = {
    Blob: blob.act,
    Hearts: hearts.act,
    Spades: spades.act,
    Whist: whist.act,
    Euchre: euchre.act,
}
"""How it plays a game and what derives from it, such as its matches: (game, B games) -> legal actions [B] int64."""


class RuleBot:
    """Plays by rules, without search or network: Blob, Hearts, Spades, Whist and Euchre, and matches of them.

    In a match it plays each game for its points, whatever the standing. It draws nothing: the same position, the same
    action, whatever the seed.
    """

    name = "rule-based"

    def refuses(self, game: Game) -> str | None:
        """Why it cannot play a game, in one line; None if it can."""
        if _rules_of(game) is not None:
            return None
        return f"the rule-based player knows {', '.join(kind.name for kind in RULES)}, not {game.name}"

    def act(self, game: Game, state: State, seed: int) -> Tensor:
        """A legal action for the mover of every lane: [B] int64. Raises ValueError on a game that it refuses."""
        rules = _rules_of(game)
        if rules is None:
            raise ValueError(self.refuses(game))
        return rules(game, state) if len(state) else game.mover(state).long()

    def digest(self, game: Game) -> str:
        """SHA-256 of the files that it plays a game by: the game's own, and those that games share."""
        return digest_of(inspect.getmodule(_rules_of(game)), sys.modules[__name__], odds, reading, sides)


def _rules_of(game: Game) -> Callable[[Game, State], Tensor] | None:
    """How a game is played; None of one that is not known, or was made of a known one with other cards or actions."""
    for kind, rules in RULES.items():
        if isinstance(game, kind):
            first = 0 if kind is Blob else STANDARD.size
            return rules if (game.layout, game.first_bid) == (STANDARD, first) else None
    return None

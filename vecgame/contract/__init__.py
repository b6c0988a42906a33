"""What every game must keep to be searched and learned, as functions that check it.

``contract.check(game)`` runs all of them in seconds and raises AssertionError at the first promise that is broken. They
know what a seat sees from `Game.hidden` alone. Games are played at random; what is compared is compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy

from vecgame.contract.fields import fields_hold_something, open_cards_lie_once
from vecgame.contract.methods import methods_give_what_is_asked
from vecgame.contract.moves import moves_are_told_apart
from vecgame.contract.pasts import worlds_fit_the_past
from vecgame.contract.played import keeping_positions, mixed_positions, positions, random_action, same
from vecgame.contract.rules import (
    deals_do_not_depend_on_the_cut,
    declarations,
    ends,
    every_decision,
    lanes_do_not_meet,
    lowest_and_highest_end,
    masks_do_as_lists,
)
from vecgame.contract.shuffles import shuffled_are_counted
from vecgame.contract.sizes import Met, met, sizes_hold
from vecgame.contract.told import (
    columns_are_named,
    suits_led_are_told_apart,
    teaches_what_is_so,
    trumps_are_told_apart,
)
from vecgame.contract.uniform import PASTS, worlds_are_uniform
from vecgame.contract.worlds import hands_are_as_said, hidden_cards_are_hidden, worlds_keep_what_is_known
from vecgame.game import Game
from vecgame.state import State

__all__ = [
    "CHECKS",
    "PASTS",
    "Met",
    "check",
    "keeping_positions",
    "met",
    "mixed_positions",
    "notes",
    "positions",
    "random_action",
    "same",
]

# What is looked at first is not broken when the next is, so that the message names the rule and not a neighbour.
CHECKS: tuple[Callable[..., str | None], ...] = (
    declarations,
    methods_give_what_is_asked,
    columns_are_named,
    deals_do_not_depend_on_the_cut,
    every_decision,
    lowest_and_highest_end,
    open_cards_lie_once,
    fields_hold_something,
    ends,
    sizes_hold,
    moves_are_told_apart,
    suits_led_are_told_apart,
    trumps_are_told_apart,
    teaches_what_is_so,
    hands_are_as_said,
    lanes_do_not_meet,
    masks_do_as_lists,
    worlds_keep_what_is_known,
    hidden_cards_are_hidden,
    shuffled_are_counted,
    worlds_fit_the_past,
    worlds_are_uniform,
)


def check(game: Game, pasts: int = PASTS, seed: int = 0) -> tuple[str, ...]:
    """Plays the game and compares.

    Args:
        game: anything that plays.
        pasts: games in which worlds are compared, for each of up to eight numbers of decisions before the end. What
            seats learn of each other only now and then, as by a comparison of two hands, takes some hundred to be met.
        seed: from 0 on; by another one other games are played.

    Returns:
        One line for each promise that could not be compared in this game, and for what its author has to judge; empty
        when all is as it should be.

    Raises:
        AssertionError: with one line of what is wrong, if the game breaks a promise.
        RuntimeError: where Python leaves assertions out, and nothing would be checked.
    """
    return tuple(note for note in notes(game, pasts, seed) if note)


def notes(game: Game, pasts: int = PASTS, seed: int = 0) -> Iterator[str | None]:
    """As `check`, one of `CHECKS` after the other: its note, or None."""
    if not __debug__:
        raise RuntimeError("contract.check needs Python's assertions, which -O and PYTHONOPTIMIZE leave out")
    given = {worlds_are_uniform: {"pasts": pasts}}
    game = keeping_positions(_of_other_games(game, seed) if seed else game)
    for one in CHECKS:
        yield one(game, **given.get(one, {}))


def _of_other_games(game: Game, by: int) -> Game:
    """The game, which deals by other seeds than it is asked for."""
    other = copy(game)

    def deal(batch_size: int, seed: int = 0, device: str = "cpu", first_index: int = 0) -> State:
        return game.deal(batch_size, seed + by, device, first_index)

    vars(other)["deal"] = deal
    return other

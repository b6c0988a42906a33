"""What every game must keep to be searched and learned, as functions that check it.

``contract.check(game)`` runs all of them in seconds and raises AssertionError at the first promise that is broken. They
know what a seat sees from `Game.hidden` alone. Games are played at random; what is compared is compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

from vecgame.contract.fields import open_cards_lie_once
from vecgame.contract.methods import methods_give_what_is_asked
from vecgame.contract.pasts import worlds_fit_the_past
from vecgame.contract.rules import (
    deals_do_not_depend_on_the_cut,
    declarations,
    ends,
    every_decision,
    lanes_do_not_meet,
    lowest_and_highest_end,
    masks_do_as_lists,
    mixed_positions,
    positions,
    random_action,
    same,
)
from vecgame.contract.sizes import Met, met, sizes_hold
from vecgame.contract.told import (
    columns_are_named,
    suits_led_are_told_apart,
    teaches_what_is_so,
    trumps_are_told_apart,
)
from vecgame.contract.worlds import (
    PASTS,
    hands_are_as_said,
    hidden_cards_are_hidden,
    worlds_are_uniform,
    worlds_keep_what_is_known,
)
from vecgame.game import Game

__all__ = ["CHECKS", "Met", "check", "met", "mixed_positions", "positions", "random_action", "same"]

# What is looked at first is not broken when the next is, so that the message names the rule and not a neighbour.
CHECKS: tuple[Callable[..., str | None], ...] = (
    declarations,
    methods_give_what_is_asked,
    columns_are_named,
    deals_do_not_depend_on_the_cut,
    every_decision,
    lowest_and_highest_end,
    open_cards_lie_once,
    ends,
    sizes_hold,
    suits_led_are_told_apart,
    trumps_are_told_apart,
    teaches_what_is_so,
    hands_are_as_said,
    lanes_do_not_meet,
    masks_do_as_lists,
    worlds_keep_what_is_known,
    hidden_cards_are_hidden,
    worlds_fit_the_past,
    worlds_are_uniform,
)


def check(game: Game, pasts: int = PASTS) -> tuple[str, ...]:
    """Plays the game and compares.

    Args:
        game: anything that plays.
        pasts: games in which worlds are compared, for each of up to eight numbers of decisions before the end. What
            seats learn of each other only now and then, as by a comparison of two hands, takes some hundred to be met.

    Returns:
        One line for each promise that could not be compared in this game; empty when all were.

    Raises:
        AssertionError: with one line of what is wrong, if the game breaks a promise.
        RuntimeError: where Python leaves assertions out, and nothing would be checked.
    """
    if not __debug__:
        raise RuntimeError("contract.check needs Python's assertions, which -O and PYTHONOPTIMIZE leave out")
    given = {worlds_are_uniform: {"pasts": pasts}}
    return tuple(note for one in CHECKS if (note := one(game, **given.get(one, {}))))

"""Whether the numbers of a trick game make a game."""

from __future__ import annotations

from dataclasses import fields

from vecgame import dealing, kinds
from vecgame.cards import MOST_CARDS
from vecgame.own_rules import OwnRules

MOST_DECISIONS = 127  # that a state's `made` can count
FOLLOW = {  # numbers that a class cannot set, and what they follow from
    "layout": "the layout of its state's class",
    "first_other": "first_bid and bids",
    "num_actions": "the layout, first_bid, bids and others",
    "max_legal": "held, others and most_bids",
    "length": "opening, seats and tricks",
    "decisions": "opening, seats, tricks and most_others",
    "max_forced_run": "seats and forced_leads",
}
NEEDED = (  # what a game may have, and the field that its state then needs
    ("others", "done", "[B] int8"),
    ("card_points", "points", "[B, P]"),
    ("turned_up", "stock", "[B, N] int8"),
    ("turned_up", "turned", "[B] int8"),
)


def check_own(game: OwnRules, base: type[OwnRules]) -> None:
    """Raises ValueError where a game's class below ``base``, or `set_up`, sets a number that follows from others."""
    classes = type(game).__mro__[: type(game).__mro__.index(base)]
    of_classes = {name for one in classes for name in vars(one)}
    own = of_classes | vars(game).keys()
    if game.layout is game.state_type.layout and "layout" not in of_classes:
        own.discard("layout")
    for name, source in FOLLOW.items():
        if name in own:
            raise ValueError(f"{type(game).__name__} sets {name}, which would change nothing: it follows from {source}")


def check(game: OwnRules, base: type[OwnRules]) -> None:
    """Raises ValueError on numbers that make no game, and on a state that says what it holds of no field.

    Args:
        base: the class whose ``mover`` goes by `OwnRules.in_turn`.
    """
    if game.copies:
        kind = type(game).__name__
        raise ValueError(f"{kind} has copies, but cards of a trick game have an id each: those alike share a name")
    dealing.check_sizes(game)
    if not game.has_own("dealers"):
        dealing.check_dealer_of(game)
    for one, choices in game.chance().items():
        if one != "dealer" and not isinstance(choices, int) and hasattr(game.rules, one):
            dealing.check_choice(one, getattr(game.rules, one), choices)
    kinds.check_holds(game.state_type, game.bare_states)
    name = type(game).__name__
    if game.length > MOST_DECISIONS:
        raise ValueError(f"{name} has {game.length} decisions; there may be {MOST_DECISIONS}")
    if (bids := max(game.bids, game.most_bids)) > MOST_CARDS:
        raise ValueError(f"{name} has {bids} bids; there may be {MOST_CARDS}, the bits of a word")
    if len(game.others) > MOST_CARDS - game.other_bit:
        raise ValueError(f"{name} has {len(game.others)} others; there may be {MOST_CARDS - game.other_bit}")
    there = {field.name for field in fields(game.state_type)}
    for what, field, shape in NEEDED:
        if getattr(game, what) not in ((), None) and field not in there:
            raise ValueError(f"{name} has {what}, so its {game.state_type.__name__} needs a field {field}, {shape}")
    if game.card_points and len(game.card_points) != game.layout.size:
        raise ValueError(f"{name} has {len(game.card_points)} card_points; its layout has {game.layout.size} cards")
    if game.plays_for_others and type(game).mover is not base.mover:
        raise ValueError(f"{name} has player_of, so who comes next it must say in in_turn, not in mover")
    if game.bids and game.first_bid not in (0, game.layout.size):
        raise ValueError(f"{name} has first_bid={game.first_bid}; it must be 0 or {game.layout.size}")
    if game.suits_of_cards().max() >= game.led_suits and not game.has_own("suit_led"):
        raise ValueError(
            f"{name} has cards that belong to none of the {game.led_suits} suits that may be led: set led_suits or "
            "say in suit_led what a lead of them is to be followed by"
        )

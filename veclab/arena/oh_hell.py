"""OpenSpiel's `oh_hell` in our numbers: cards, actions, deals.

OpenSpiel asks chance for the number of tricks, the dealer, the cards one by one (to seats 0, 1, .., 0, 1, ..) and a
card that is turned up to name trump, in this order. Its cards are 4 * rank + suit, the suits being clubs, diamonds,
spades, hearts, and its bids are the actions from 52 on. It checks none of these actions, and hands and turned-up card
are apart in it, so a card may be turned up that has been dealt as well.

OpenSpiel (the extra ``peers``) is imported by `load` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from vecgame import Blob, Game
from vecgame.cards import DECK, NO_TRUMP, RANKS, SEATS, SUITS, TRUMP_NAMES
from vecgame.games.blob_rules import BIDDER, OWN, TURN, TURNED, Rules
from vecgame.naming import points

if TYPE_CHECKING:
    import pyspiel

FULL_DECK = (SUITS, RANKS)
PLAYERS = range(3, 8)
SCORING = ("exact_bonus", "points_per_trick", "points_per_square", "zero_bonus", "miss_points_per_trick")
SCORING += ("miss_penalty", "miss_step", "scoring")

OUR_SUIT = {0: 2, 1: 3, 2: 0, 3: 1}  # of OpenSpiel's suit
THEIR_SUIT = {ours: theirs for theirs, ours in OUR_SUIT.items()}


def load(cards: int, off_bid_penalty: bool = True, players: int = SEATS) -> pyspiel.Game:
    """The game of ``cards`` cards to each of so many seats.

    Raises:
        ModuleNotFoundError: when OpenSpiel is not installed.
    """
    import pyspiel

    options = {
        "players": players,
        "num_tricks_fixed": cards,
        "points_per_trick": 1,
        "off_bid_penalty": off_bid_penalty,
    }
    return pyspiel.load_game("oh_hell", options)


def our_card(card: int) -> int:
    """Our number of OpenSpiel's card."""
    return RANKS * OUR_SUIT[card % SUITS] + card // SUITS


def their_card(card: int) -> int:
    """OpenSpiel's number of our card."""
    return SUITS * (card % RANKS) + THEIR_SUIT[card // RANKS]


def our_action(action: int) -> int:
    """Our number of a decision of OpenSpiel's: bids count from 0."""
    return action - DECK if action >= DECK else our_card(action)


def max_cards(players: int) -> int:
    """The most cards to a seat: one more must be left to turn up; with 13 to each of four seats OpenSpiel stalls."""
    return min((DECK - 1) // players, RANKS)


def their_actions(history: Sequence[int], players: int = SEATS) -> list[int]:
    """OpenSpiel's numbers of a game's decisions from its first on: a bid of each player, then cards."""
    return [DECK + action if turn < players else their_card(action) for turn, action in enumerate(history)]


def begin(game: pyspiel.Game, hands: Sequence[Sequence[int]], dealer: int, turned_up: int) -> pyspiel.State:
    """The state before the first bid.

    Args:
        game: of `load`.
        hands: our cards of each seat, by seat.
        turned_up: our card that names trump.
    """
    cards = len(hands[0])
    dealt = [their_card(hand[number]) for number in range(cards) for hand in hands]
    state = game.new_initial_state()
    for outcome in (cards, dealer, *dealt, their_card(turned_up)):
        state.apply_action(outcome)
    return state


def check_game(game: Game) -> Rules:
    """The rules of a game that OpenSpiel's oh_hell can play, but for deals without trump, which it does not know.

    Raises:
        ValueError: in one line, on another game, or on rules that it does not have.
    """
    if type(game) is not Blob:
        raise ValueError(f"OpenSpiel's oh_hell plays Blob itself, not {game!r}, whose rules it does not know")
    rules = game.rules
    if rules.players not in PLAYERS:
        raise ValueError(f"OpenSpiel's oh_hell is for {PLAYERS[0]} to {PLAYERS[-1]} players, not {rules.players}")
    if rules.cards > max_cards(rules.players):
        raise ValueError(
            f"OpenSpiel's oh_hell deals 1 to {max_cards(rules.players)} cards to a seat, not {rules.cards}"
        )
    if not rules.hook or not rules.hook_from <= rules.cards <= rules.hook_to or (rules.suits, rules.ranks) != FULL_DECK:
        raise ValueError("OpenSpiel's oh_hell is played with 52 cards and the hook here; leave --no-hook out")
    if rules.trump in (TRUMP_NAMES[NO_TRUMP], BIDDER):
        raise ValueError(
            f"OpenSpiel's oh_hell always has a trump suit, which nobody names, not trump={rules.trump}; choose random, "
            "turned or a suit"
        )
    if rules.bidding != TURN or (rules.sight != OWN and rules.cards <= rules.sight_to):
        raise ValueError(
            "OpenSpiel's oh_hell has bids in turn, by one's own cards, not "
            f"bidding={rules.bidding}, sight={rules.sight}"
        )
    off_bid_penalty(rules)
    return rules


def off_bid_penalty(rules: Rules) -> bool:
    """The scoring of OpenSpiel's that stands for that of some rules: whether a missed bid costs a point for each trick
    away from it, or earns one for each trick won. Our default, where it scores 0, is played by the first.

    Raises:
        ValueError: in one line, on another scoring.
    """
    scored = {item.name: getattr(rules, item.name) for item in fields(Rules) if item.name in SCORING}
    changed = {name: value for name, value in scored.items() if value != getattr(Rules, name)}
    if changed not in ({}, {"miss_penalty": 1}, {"miss_points_per_trick": 1}):
        words = {n: points(v) if isinstance(v, float) else getattr(v, "__name__", v) for n, v in changed.items()}
        listed = ", ".join(f"{name}={word}" for name, word in words.items())
        raise ValueError(
            "OpenSpiel's oh_hell scores a bid that is met by 10 points and one a trick, and a missed one by "
            f"miss_penalty=1, miss_points_per_trick=1 or nothing; it does not know {listed}"
        )
    return "miss_points_per_trick" not in changed


def playable(game: Game) -> list[Blob]:
    """The game as OpenSpiel can play it: the same one, or, where trump varies, one for each suit as trump.

    OpenSpiel always has a trump suit, so deals without trump are left out. Its own rule is trump "turned".

    Raises:
        ValueError: as `check_game`.
    """
    rules = check_game(game)
    if rules.trump in (*TRUMP_NAMES, TURNED):
        return [game]
    return [Blob(replace(rules, trump=name)) for name in TRUMP_NAMES[:NO_TRUMP]]

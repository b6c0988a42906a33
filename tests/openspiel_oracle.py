"""Random games of OpenSpiel's `oh_hell`, told in our card numbers. Nobody here wrote its rules."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from vecgame.cards import DECK, NO_TRUMP, SEATS
from veclab.arena.oh_hell import OUR_SUIT, load, max_cards, our_action, our_card


@dataclass(frozen=True)
class OracleGame:
    """One finished game."""

    cards: int
    hands: list[list[int]]  # by seat, as dealt
    dealer: int
    trump: int  # 0..3, or NO_TRUMP
    turned: int  # the card that names trump
    decisions: list[tuple[int, list[int], int]]  # (mover, its legal actions ascending, the action it took)
    returns: list[float]  # by seat, in OpenSpiel's scoring


def rules_kwargs(cards: int, off_bid_penalty: bool, players: int = SEATS) -> dict:
    """Arguments of our rules that score as OpenSpiel does with points_per_trick=1.

    A missed bid costs one point for each trick away from it, or else earns one point for each trick won. Our default of
    0 for any miss is max(0, return) under the penalty.
    """
    return {"players": players, "cards": cards, "miss_penalty" if off_bid_penalty else "miss_points_per_trick": 1}


def play_games(
    rng: random.Random,
    count: int,
    cards: int,
    off_bid_penalty: bool = True,
    no_trump: bool = False,
    players: int = SEATS,
) -> Iterator[OracleGame]:
    """Games of random moves.

    Args:
        cards: to each seat; one card more is turned up, so up to 12 for four seats, or up to 9 with no trump.
        no_trump: deal three suits only and turn up a card of the fourth, so that nobody ever holds a trump.
    """
    if not 1 <= cards <= (39 // players if no_trump else max_cards(players)):
        raise ValueError(f"OpenSpiel cannot deal {cards} cards to each seat here")
    oh_hell = load(cards, off_bid_penalty, players)
    for _ in range(count):
        yield _play(oh_hell, rng, cards, no_trump, players)


def _play(oh_hell, rng: random.Random, cards: int, no_trump: bool, players: int) -> OracleGame:
    dealer = rng.randrange(players)
    pack = rng.sample(range(DECK), DECK)
    if no_trump:  # a stable sort: the cards of the trump suit go last
        trump_suit = rng.randrange(4)
        pack.sort(key=lambda card: card % 4 == trump_suit)
        dealt, turned_up = pack[: players * cards], pack[-1]
    else:
        dealt, turned_up = pack[: players * cards], pack[players * cards]
    state = oh_hell.new_initial_state()
    for outcome in (cards, dealer, *dealt, turned_up):
        assert state.is_chance_node()
        state.apply_action(outcome)
    decisions = []
    while not state.is_terminal():
        legal, mover = state.legal_actions(), state.current_player()
        action = rng.choice(legal)
        decisions.append((mover, sorted(map(our_action, legal)), our_action(action)))
        state.apply_action(action)
    hands = [[our_card(card) for card in dealt[seat::players]] for seat in range(players)]
    trump = NO_TRUMP if no_trump else OUR_SUIT[turned_up % 4]
    return OracleGame(cards, hands, dealer, trump, our_card(turned_up), decisions, state.returns())

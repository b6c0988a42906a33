"""What one seat knows, as the features of a network's input: 216 + 10 P with P players, 256 with four.

Seats are relative to the viewer (0 = the viewer, 1 = the next to play, ..). Suits are turned so that trump comes first;
without trump they keep the deck's order. "Cards" are 52 columns, 13 a suit from two to ace; fractions are of the cards
dealt to a seat. Columns are those of four players; rows that name seats grow and shrink with their number.

| columns | feature |
|---|---|
| 0-51    | cards in the viewer's hand |
| 52-103  | cards that the viewer has not seen: in the other hands or undealt, and not turned up for trump |
| 104-155 | cards of the current trick |
| 156-207 | the card that is winning the current trick |
| 208-211 | suit led to the current trick |
| 212     | there is a trump suit |
| 213-216 | bid of each seat as a fraction, 0 before it is made |
| 217-220 | each seat has bid |
| 221-224 | tricks won by each seat, as a fraction |
| 225-228 | tricks that each seat still needs for its bid (below 0: too many), as a fraction, 0 before it has bid |
| 229-232 | who leads the current trick; during the bidding, who bids first |
| 233-236 | who is winning the current trick |
| 237-248 | suits that seats 1, 2, 3 have shown they do not hold: 3 seats x 4 suits |
| 249     | cards left in the viewer's hand, of 13 |
| 250     | cards dealt to a seat, of 13 |
| 251     | sum of the bids so far, as a fraction |
| 252     | the bidding is going on |
| 253     | the hook forbids the viewer a bid now |
| 254     | the bid that it forbids, as a fraction |
| 255     | tricks left less the tricks that all seats still need, as a fraction; 0 during the bidding |
"""

from array import array
from collections.abc import MutableSequence
from functools import cache

from veclab.reference.rules import NO_TRUMP, SUIT_STRIDE, Rules, State, deck, is_bidding, suit_of, trick_winner

COLUMNS = 52
SUITS = COLUMNS // SUIT_STRIDE


def features_of(players: int) -> int:
    """The number of features."""
    return 216 + 10 * players


FEATURES = features_of(4)

# By the suit that comes first, then by card: the card's column.
_COLUMN_OF = tuple(tuple((card - SUIT_STRIDE * first) % COLUMNS for card in range(COLUMNS)) for first in range(SUITS))


def first_suit(state: State) -> int:
    """The suit whose columns come first."""
    return 0 if state.trump == NO_TRUMP else state.trump


def policy_column(state: State, action: int) -> int:
    """The column of one of the mover's actions in a policy of 52: bids as they are, cards with the first suit first."""
    return action if is_bidding(state) else _COLUMN_OF[first_suit(state)][action]


def observe(rules: Rules, state: State, viewer: int) -> list[float]:
    """The table above for seat `viewer`."""
    features = list(_blank(rules, first_suit(state)))
    _write(rules, state, viewer, features)
    return features


def observe_float32(rules: Rules, state: State, viewer: int) -> array:
    """`observe` as an array of C floats, which is how a network takes it."""
    features = _blank(rules, first_suit(state))[:]
    _write(rules, state, viewer, features)
    return features


def _write(rules: Rules, state: State, viewer: int, features: MutableSequence[float]) -> None:
    """Turn a `_blank` into the features."""
    first = first_suit(state)
    column_of = _COLUMN_OF[first]
    players = rules.players
    leads = 213 + 4 * players  # the bids begin at 213, then come three more columns a seat
    voids = leads + 2 * players
    rest = voids + SUITS * (players - 1)
    hand = state.hands[viewer]
    for card in hand:
        features[column_of[card]] = 1.0
        features[52 + column_of[card]] = 0.0
    for _, card in state.history[players:]:
        features[52 + column_of[card]] = 0.0
    if state.turned is not None:
        features[52 + column_of[state.turned]] = 0.0
    if state.trick:
        for _, card in state.trick:
            features[104 + column_of[card]] = 1.0
        winner = trick_winner(state.trick, state.trump)
        winning_card = next(card for seat, card in state.trick if seat == winner)
        features[156 + column_of[winning_card]] = 1.0
        features[208 + (suit_of(state.trick[0][1]) - first) % SUITS] = 1.0
        features[leads + players + (winner - viewer) % players] = 1.0
    features[212] = float(state.trump != NO_TRUMP)
    features[leads + (state.leader - viewer) % players] = 1.0

    cards, bid_sum, tricks_won, tricks_needed = rules.cards, 0, 0, 0
    for relative in range(players):
        seat = (viewer + relative) % players
        bid, won = state.bids[seat], state.won[seat]
        features[213 + 2 * players + relative] = won / cards
        tricks_won += won
        if bid is not None:
            features[213 + relative] = bid / cards
            features[213 + players + relative] = 1.0
            features[213 + 3 * players + relative] = (bid - won) / cards
            bid_sum += bid
            tricks_needed += max(bid - won, 0)
        if relative > 0:
            for suit in state.voids[seat]:
                features[voids + SUITS * (relative - 1) + (suit - first) % SUITS] = 1.0

    features[rest] = len(hand) / 13
    features[rest + 1] = cards / 13
    features[rest + 2] = bid_sum / cards
    if not is_bidding(state):
        features[rest + 6] = (cards - tricks_won - tricks_needed) / cards
        return
    features[rest + 3] = 1.0
    if rules.hook and viewer == state.dealer and state.bids.count(None) == 1 and bid_sum <= cards:
        features[rest + 4] = 1.0
        features[rest + 5] = (cards - bid_sum) / cards


@cache
def _blank(rules: Rules, first: int) -> array:
    """The features of nothing but a whole deck that has not been seen."""
    features = array("f", bytes(4 * features_of(rules.players)))
    for card in deck(rules):
        features[52 + _COLUMN_OF[first][card]] = 1.0
    return features

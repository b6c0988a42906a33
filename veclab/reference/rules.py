"""The rules of Blob for two to eight players, one game at a time.

A *game* is one deal of `cards` cards to each seat. Seat dealer+1 bids first and the dealer last. Seat dealer+1
leads the first trick, then each trick's winner leads. Players follow suit if they can. A bid met exactly scores.

Cards are numbered 13*suit + rank (rank 0 = two .. 12 = ace). Bids are the actions 0..cards, plays are card numbers; the
phase of the game tells the two apart.

    state = new_state(rules, hands, dealer=3, trump=0)
    while not is_terminal(state):
        state = step(rules, state, legal_actions(rules, state)[0])
    print(scores(rules, state))
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

SEATS = 4  # unless the rules say otherwise
NO_TRUMP = 4
SUIT_STRIDE = 13  # card number = SUIT_STRIDE * suit + rank, also in decks with fewer ranks


@dataclass(frozen=True)
class Rules:
    """The options of a game. A smaller deck has the ranks 0..ranks-1 of the suits 0..suits-1."""

    cards: int = 5  # to each seat
    hook: bool = True  # the dealer may not make the bids sum to `cards`
    exact_bonus: float = 10  # for a bid that is met exactly
    points_per_trick: float = 1  # for each trick won, when the bid is met
    miss_points_per_trick: float = 0  # for each trick won, when the bid is missed
    miss_penalty: float = 0  # taken off for each trick away from the bid, when it is missed
    ranks: int = 13
    suits: int = 4
    players: int = SEATS

    def __post_init__(self) -> None:
        if not 2 <= self.players <= 8:
            raise ValueError(f"Blob is for 2 to 8 players, not {self.players}")
        if not (1 <= self.ranks <= SUIT_STRIDE and 1 <= self.suits <= 4):
            raise ValueError(f"no deck has {self.suits} suits of {self.ranks} ranks")
        if not 1 <= self.cards <= self.ranks * self.suits // self.players:
            raise ValueError(f"cannot deal {self.cards} cards to each of {self.players} seats")

    @property
    def max_score(self) -> float:
        """The score of bidding and winning every trick: the upper end of the scale of the search's values."""
        return self.exact_bonus + self.points_per_trick * self.cards

    @cached_property
    def min_score(self) -> float:
        """The lowest score of any bid: the lower end of it."""
        tricks = range(self.cards + 1)
        return min(_seat_score(self, bid, won) for bid in tricks for won in tricks)

    def worth(self, score: float) -> float:
        """A score on the scale from 0 to 1."""
        return (score - self.min_score) / (self.max_score - self.min_score)


@dataclass(slots=True)
class State:
    """One position. `step` leaves it alone; only `apply_action` changes it."""

    hands: list[frozenset[int]]  # by seat: cards still held
    dealer: int
    trump: int  # 0..3, or NO_TRUMP
    bids: list[int | None]  # by seat: None until made
    won: list[int]  # by seat: tricks won so far
    trick: list[tuple[int, int]]  # the unfinished trick: (seat, card) in order of play
    leader: int  # seat that led, or leads, the current trick
    voids: list[frozenset[int]]  # by seat: suits it has shown it does not hold
    history: list[tuple[int, int]]  # every (mover, action) so far
    turned: int | None = None  # the undealt card that was turned up for trump, if one was

    def copy(self) -> "State":
        """A state that shares nothing changeable with this one."""
        return State(
            self.hands[:],
            self.dealer,
            self.trump,
            self.bids[:],
            self.won[:],
            self.trick[:],
            self.leader,
            self.voids[:],
            self.history[:],
            self.turned,
        )


def suit_of(card: int) -> int:
    """The suit of a card."""
    return card // SUIT_STRIDE


def deck(rules: Rules) -> list[int]:
    """All cards of the deck, ascending."""
    return [SUIT_STRIDE * suit + rank for suit in range(rules.suits) for rank in range(rules.ranks)]


def new_state(
    rules: Rules, hands: Sequence[Iterable[int]], dealer: int, trump: int, turned: int | None = None
) -> State:
    """The start of a game: nobody has bid yet. All know the card ``turned`` up, if there is one."""
    seats, held = rules.players, [frozenset(hand) for hand in hands]
    dealt = frozenset().union(*held)
    if [len(hand) for hand in held] != [rules.cards] * seats or len(dealt) != seats * rules.cards:
        raise ValueError(f"{seats} hands of {rules.cards} different cards needed, not {hands}")
    if not dealt <= frozenset(deck(rules)):
        raise ValueError(f"cards {sorted(dealt - frozenset(deck(rules)))} are not in the deck")
    if dealer not in range(seats) or not (trump in range(rules.suits) or trump == NO_TRUMP):
        raise ValueError(f"no such dealer or trump: {dealer}, {trump}")
    if turned is not None and (turned in dealt or turned not in deck(rules) or suit_of(turned) != trump):
        raise ValueError(f"card {turned} cannot be turned up for trump {trump}")
    bids, won, voids = [None] * seats, [0] * seats, [frozenset()] * seats
    return State(held, dealer, trump, bids, won, [], (dealer + 1) % seats, voids, [], turned)


def deal(rules: Rules, rng: random.Random) -> State:
    """A random game: hands, dealer and trump (any suit of the deck, or none) are uniform."""
    seats = rules.players
    cards = rng.sample(deck(rules), seats * rules.cards)
    hands = [cards[seat::seats] for seat in range(seats)]
    return new_state(rules, hands, rng.randrange(seats), rng.choice([*range(rules.suits), NO_TRUMP]))


def is_bidding(state: State) -> bool:
    """Whether a bid is still missing; the dealer's is the last."""
    return state.bids[state.dealer] is None


def is_terminal(state: State) -> bool:
    """Whether every card has been played."""
    return not any(state.hands)


def mover(rules: Rules, state: State) -> int:
    """The seat to move. ValueError when the game is over."""
    if is_terminal(state):
        raise ValueError("the game is over: nobody is to move")
    if is_bidding(state):
        return (state.dealer + 1 + len(state.history)) % rules.players
    return (state.leader + len(state.trick)) % rules.players


def legal_actions(rules: Rules, state: State) -> list[int]:
    """The mover's legal actions, ascending; empty when the game is over."""
    if is_terminal(state):
        return []
    seat = mover(rules, state)
    if is_bidding(state):
        forbidden = None
        if rules.hook and seat == state.dealer:
            forbidden = rules.cards - sum(bid for bid in state.bids if bid is not None)
        return [bid for bid in range(rules.cards + 1) if bid != forbidden]
    hand = state.hands[seat]
    if state.trick:
        led = suit_of(state.trick[0][1])
        following = [card for card in hand if suit_of(card) == led]
        if following:
            return sorted(following)
    return sorted(hand)


def trick_winner(trick: Sequence[tuple[int, int]], trump: int) -> int:
    """The seat that wins a trick of (seat, card): the highest trump, or else the highest card of the led suit."""
    led = suit_of(trick[0][1])
    trumps = [(card, seat) for seat, card in trick if suit_of(card) == trump]
    followers = [(card, seat) for seat, card in trick if suit_of(card) == led]
    return max(trumps or followers)[1]


def step(rules: Rules, state: State, action: int) -> State:
    """The state after the mover's action. ValueError when the action is illegal."""
    if action not in legal_actions(rules, state):
        raise ValueError(f"action {action} is not among the legal {legal_actions(rules, state)}")
    state = state.copy()
    apply_action(rules, state, action)
    return state


def apply_action(rules: Rules, state: State, action: int) -> None:
    """Make the mover's action, which must be legal, in place and unchecked."""
    seat = mover(rules, state)
    state.history.append((seat, action))
    if is_bidding(state):
        state.bids[seat] = action
        return
    if state.trick:
        led = suit_of(state.trick[0][1])
        if suit_of(action) != led:
            state.voids[seat] |= {led}
    state.hands[seat] -= {action}
    state.trick.append((seat, action))
    if len(state.trick) == rules.players:
        state.leader = trick_winner(state.trick, state.trump)
        state.won[state.leader] += 1
        state.trick.clear()


def play_forced(rules: Rules, state: State) -> State:
    """The next state in which the mover has a choice, or the end of the game."""
    state = state.copy()
    while len(actions := legal_actions(rules, state)) == 1:
        apply_action(rules, state, actions[0])
    return state


def scores(rules: Rules, state: State) -> list[float]:
    """The seats' scores of a finished game."""
    if not is_terminal(state):
        raise ValueError("the game is not over")
    return [_seat_score(rules, bid, won) for bid, won in zip(state.bids, state.won, strict=True)]


def _seat_score(rules: Rules, bid: int, won: int) -> float:
    if won == bid:
        return float(rules.exact_bonus + rules.points_per_trick * won)
    return float(rules.miss_points_per_trick * won - rules.miss_penalty * abs(won - bid))

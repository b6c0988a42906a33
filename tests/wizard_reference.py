"""Wizard for one game at a time, in words and lists, written from the rules alone: no tensors and no bits of ours.

A card is a string: rank and suit, such as "7h" or "10s", or "W1" .. "W4", "J1" .. "J4" for wizards and jesters.
"""

import random

SUITS = "shcd"
RANKS = ["2", "3", "4", "5", "6", "7", "8", "9", "10", "j", "q", "k", "a"]
DECK = (
    [rank + suit for suit in SUITS for rank in RANKS] + [f"W{n}" for n in range(1, 5)] + [f"J{n}" for n in range(1, 5)]
)


class Wizard:
    """One game. Moves are "name h" for a trump, "bid 2", or a card."""

    def __init__(self, hands: list[list[str]], dealer: int, turned: str | None, hook: bool = False) -> None:
        self.hands = [list(hand) for hand in hands]
        self.players, self.cards = len(hands), len(hands[0])
        self.dealer, self.hook = dealer, hook
        self.trump = turned[-1] if turned and turned[0] not in "WJ" else None
        self.naming = turned is not None and turned.startswith("W")
        self.bids: dict[int, int] = {}
        self.won = [0] * self.players
        self.trick: list[tuple[int, str]] = []
        self.turn = dealer if self.naming else (dealer + 1) % self.players

    def over(self) -> bool:
        return not self.trick and not any(self.hands)

    def suit_to_follow(self) -> str | None:
        for _, card in self.trick:
            if card.startswith("W"):
                return None
            if not card.startswith("J"):
                return card[-1]
        return None

    def legal(self) -> list[str]:
        if self.naming:
            return [f"name {suit}" for suit in SUITS]
        if len(self.bids) < self.players:
            last = len(self.bids) == self.players - 1
            bids = range(self.cards + 1)
            return [f"bid {b}" for b in bids if not (self.hook and last and sum(self.bids.values()) + b == self.cards)]
        hand, suit = self.hands[self.turn], self.suit_to_follow()
        follows = [card for card in hand if card[0] not in "WJ" and card[-1] == suit]
        return follows + [card for card in hand if card[0] in "WJ"] if follows else list(hand)

    def play(self, move: str) -> None:
        assert move in self.legal()
        if move.startswith("name"):
            self.trump, self.naming = move[-1], False
        elif move.startswith("bid"):
            self.bids[self.turn] = int(move.split()[1])
        else:
            self.hands[self.turn].remove(move)
            self.trick.append((self.turn, move))
        self.turn = (self.turn + 1) % self.players
        if len(self.trick) == self.players:
            self.turn = self.winner()
            self.won[self.turn] += 1
            self.trick = []

    def winner(self) -> int:
        """The first wizard; else the highest trump; else the highest of the suit led; else, all jesters, the first."""
        for seat, card in self.trick:
            if card.startswith("W"):
                return seat
        for suit in (self.trump, self.suit_to_follow()):
            of_it = [(RANKS.index(card[:-1]), seat) for seat, card in self.trick if card[0] != "J" and card[-1] == suit]
            if of_it:
                return max(of_it)[1]
        return self.trick[0][0]

    def scores(self) -> list[int]:
        met = [self.bids[seat] == self.won[seat] for seat in range(self.players)]
        off = [abs(self.bids[seat] - self.won[seat]) for seat in range(self.players)]
        return [20 + 10 * won if m else -10 * o for m, won, o in zip(met, self.won, off, strict=True)]


def random_deal(rng: random.Random, players: int, cards: int) -> tuple[list[list[str]], str | None]:
    """Hands, and the card turned up if any is left; wizards and jesters more often than they come."""
    deck = rng.sample(DECK, len(DECK))
    if rng.random() < 0.3:
        deck.sort(key=lambda card: card[0] not in "WJ")  # stable: the other cards stay in random order
        special = deck[:8]
        rest = deck[8:]
        deck = [card for pair in zip(special, rest[:8], strict=True) for card in pair] + rest[8:]
        front = deck[: players * cards + 1]
        rng.shuffle(front)
        deck[: players * cards + 1] = front
    hands = [deck[seat * cards : (seat + 1) * cards] for seat in range(players)]
    return hands, deck[players * cards] if players * cards < len(deck) else None

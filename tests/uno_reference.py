"""Scalar rules of Uno in plain Python, begun where a state of `tests.uno` is: what `test_uno` compares it with."""

from __future__ import annotations

from collections import Counter

import torch

from tests.hand_references import Scalar
from tests.uno import UnoState
from vecgame import Stream, piles

COLOURS, RANKS = 4, 13
WILD, FOUR, DRAW, KEEP, FIRST_NAME = 52, 53, 54, 55, 56


class ScalarUno(Scalar):
    """One game: `turn`, `legal`, `play`, `over` and `scores`."""

    def __init__(self, state: UnoState) -> None:
        self.hands = [Counter(dict(enumerate(hand.tolist()))) for hand in state.hands[0]]
        self.stock = [card for card in state.stock[0].tolist() if card >= 0]
        self.discards = [card for card, count in enumerate(state.discards[0].tolist()) for _ in range(count)]
        self.top, self.colour, self.turn = int(state.top[0]), int(state.colour[0]), int(state.to_move[0])
        self.ahead, self.future, self.made, self.drawn = int(state.ahead[0]), state.future, 0, None
        self.shuffles = 0

    def over(self) -> bool:
        return any(not hand.total() for hand in self.hands)

    def legal(self) -> set[int]:
        if self.colour < 0:
            return {FIRST_NAME + colour for colour in range(COLOURS)}
        held = {card for card, count in self.hands[self.turn].items() if count}
        fits = {card for card in held if self.fits(card)}
        return fits | {DRAW} if self.drawn is None else (fits & {self.drawn}) | {KEEP}

    def fits(self, card: int) -> bool:
        if card >= WILD:
            return True
        return card // RANKS == self.colour or (self.top < WILD and card % RANKS == self.top % RANKS)

    def play(self, action: int) -> None:
        drawn, self.drawn = self.drawn, None
        if action == DRAW:
            got = self.take(self.turn, 1)
            if got:
                self.drawn = got[0]
            else:
                self.pass_on(1)
        elif action == KEEP:
            assert drawn is not None
            self.pass_on(1)
        elif action >= FIRST_NAME:
            self.colour = action - FIRST_NAME
            if self.made:  # who begins names a colour, and then plays
                self.pass_on(2 if self.top == FOUR else 1)
        else:
            self.lay(action)
        self.made += 1

    def lay(self, card: int) -> None:
        self.hands[self.turn][card] -= 1
        self.discards.append(card)
        self.top, self.colour = card, card // RANKS if card < WILD else -1
        rank = ("skip", "reverse", "two")[card % RANKS - 10] if card < WILD and card % RANKS >= 10 else None
        if rank == "reverse":
            self.ahead = -self.ahead
        following = (self.turn + self.ahead) % len(self.hands)
        self.take(following, 2 if rank == "two" else 4 if card == FOUR else 0)
        if card < WILD:
            misses = rank in ("skip", "two") or (rank == "reverse" and len(self.hands) == 2)
            self.pass_on(2 if misses else 1)

    def pass_on(self, seats: int) -> None:
        self.turn = (self.turn + self.ahead * seats) % len(self.hands)

    def take(self, seat: int, count: int) -> list[int]:
        if count > len(self.stock):
            under = Counter(self.discards)
            under[self.top] -= 1
            counts = torch.tensor([[under[card] for card in range(54)]])
            shuffled = piles.stock_of(Stream(0, self.future, torch.tensor([self.made])), counts, 108)[0].tolist()
            self.stock += [card for card in shuffled if card >= 0]  # the order alone is the library's
            self.discards, self.shuffles = [self.top], self.shuffles + 1
        got, self.stock = self.stock[:count], self.stock[count:]
        self.hands[seat].update(got)
        return got

    def scores(self) -> list[float]:
        worth = [sum(self.worth(card) * count for card, count in hand.items()) for hand in self.hands]
        return [float(sum(worth)) * (not hand.total()) for hand in self.hands]

    @staticmethod
    def worth(card: int) -> int:
        return 50 if card >= WILD else min(card % RANKS, 10) * (2 if card % RANKS >= 10 else 1)

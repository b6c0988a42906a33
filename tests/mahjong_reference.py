"""Scalar rules of Mahjong in plain Python, begun where a state of `tests.mahjong` is: what `test_mahjong` compares it
with."""

from __future__ import annotations

from collections import Counter
from functools import cache

from tests.hand_references import Scalar
from tests.mahjong import MahjongState

SUITED, RANKS = 27, 9
WIN, PASS, PONG, LOW, MIDDLE, HIGH, DRAW = range(34, 41)
STEPS = {LOW: (1, 2), MIDDLE: (-1, 1), HIGH: (-2, -1)}


@cache
def complete(tiles: tuple[int, ...], pair: bool = False) -> bool:
    """Whether sorted tiles are melds and one pair, by taking the first one into any."""
    if not tiles:
        return pair
    first, rest = tiles[0], list(tiles[1:])
    ways = [] if pair else [((first,), True)]
    ways += [((first, first), pair)]
    if first < SUITED and first % RANKS < RANKS - 2:
        ways += [((first + 1, first + 2), pair)]
    for others, paired in ways:
        left = Counter(rest)
        left.subtract(others)
        if min(left.values(), default=0) >= 0 and complete(tuple(sorted(left.elements())), paired):
            return True
    return False


class ScalarMahjong(Scalar):
    """One game: `turn`, `legal`, `play`, `over` and `scores`."""

    def __init__(self, state: MahjongState) -> None:
        self.hands = [Counter(dict(enumerate(hand.tolist()))) for hand in state.hands[0]]
        self.wall = [tile for tile in state.stock[0].tolist() if tile >= 0]
        self.seats, self.turn, self.drawn = len(self.hands), int(state.to_move[0]), True
        self.melds: list[list[list[int]]] = [[] for _ in self.hands]
        self.offered: int | None = None
        self.by = self.winner = None
        self.waiting: list[int] = []  # seats that are still to be asked
        self.pongs: int | None = None

    def over(self) -> bool:
        used_up = self.offered is not None and not self.waiting and not self.wall
        return self.winner is not None or used_up

    def completes(self, tiles: list[int]) -> bool:
        return complete(tuple(sorted([*self.hands[self.turn].elements(), *tiles])))

    def legal(self) -> set[int]:
        hand = self.hands[self.turn]
        if self.offered is None:
            wins = self.drawn and self.completes([])
            return {tile for tile, number in hand.items() if number} | ({WIN} if wins else set())
        if self.waiting:
            pong = self.pongs is None and hand[self.offered] >= 2
            return {PASS} | ({WIN} if self.completes([self.offered]) else set()) | ({PONG} if pong else set())
        return {DRAW} | {chow for chow, steps in STEPS.items() if self.fits(steps)}

    def fits(self, steps: tuple[int, int]) -> bool:
        run = [self.offered + step for step in steps]
        suit = [tile // RANKS for tile in (self.offered, *run)]
        return self.offered < SUITED and len(set(suit)) == 1 and all(self.hands[self.turn][tile] for tile in run)

    def play(self, action: int) -> None:
        hand = self.hands[self.turn]
        if action == WIN:
            self.winner = self.turn
        elif action == DRAW:
            hand[self.wall.pop(0)] += 1
            self.offered, self.drawn = None, True
        elif action in STEPS:
            run = [self.offered + step for step in STEPS[action]]
            hand.subtract(run)
            self.lay(run)
        elif action in (PASS, PONG):
            if action == PONG:
                self.pongs = self.turn
                hand.subtract([self.offered] * 2)  # which all have seen
            self.waiting.pop(0)
            self.turn = self.waiting[0] if self.waiting else (self.by + 1) % self.seats
            if not self.waiting and self.pongs is not None:
                self.turn = self.pongs
                self.lay([self.offered] * 2)
        else:
            hand[action] -= 1
            self.offered, self.by, self.pongs = action, self.turn, None
            self.waiting = [(self.turn + step) % self.seats for step in range(1, self.seats)]
            self.turn = self.waiting[0]

    def lay(self, tiles: list[int]) -> None:
        """A meld of the discard and two tiles of the seat that is to move."""
        self.melds[self.turn].append(sorted([*tiles, self.offered]))
        self.offered, self.drawn = None, False

    def scores(self) -> list[float]:
        if self.winner is None:
            return [0.0] * self.seats
        most = self.seats - 1.0
        paid = [-1.0] * self.seats if self.offered is None else [-most * (k == self.by) for k in range(self.seats)]
        return [most if k == self.winner else paid[k] for k in range(self.seats)]

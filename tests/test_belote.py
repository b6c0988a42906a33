"""Belote against a plain Python game of its rules, by hand, and as a game that tells no more than it may."""

import random

import pytest
import torch

from tests.belote import Belote
from vecgame import contract

GAME = Belote()
PLAIN = dict(zip(range(8), (0, 0, 0, 2, 3, 4, 10, 11), strict=True))
TRUMP = {**PLAIN, 2: 14, 3: 20}  # nine and jack
STRONGEST = [3, 2, 7, 6, 5, 4, 1, 0]  # trumps: J 9 A 10 K Q 8 7
QUEEN, KING, PASS, LAST = 4, 5, 0, 10


class Reference:
    """One game, card by card."""

    def __init__(self, hands: list[set[int]], turned: int, stock: list[int], first: int) -> None:
        self.hands, self.turned, self.stock, self.leader = hands, turned, stock, first
        self.bids: list[int] = []
        self.trump = self.maker = None
        self.trick: list[tuple[int, int]] = []  # seat, card
        self.points, self.won, self.over = [0, 0], [0, 0], False
        self.royal = [0, 0]

    def mover(self) -> int:
        return (self.leader + len(self.bids if self.trump is None else self.trick)) % 4

    def strength(self, card: int) -> int:
        if card // 8 == self.trump:
            return 100 - STRONGEST.index(card % 8)
        return card % 8 + 10 * (card // 8 == self.trick[0][1] // 8)

    def best(self) -> tuple[int, int]:
        return max(self.trick, key=lambda play: self.strength(play[1]))

    def legal(self) -> set[int]:
        if self.trump is None:
            suits = {self.turned // 8} if len(self.bids) < 4 else set(range(4)) - {self.turned // 8}
            return {32 + PASS} | {33 + suit for suit in suits}
        hand, seat = self.hands[self.mover()], self.mover()
        if not self.trick:
            return hand
        led, (winner, best) = self.trick[0][1] // 8, self.best()
        follow, trumps = ({card for card in hand if card // 8 == suit} for suit in (led, self.trump))
        higher = {card for card in trumps if best // 8 != self.trump or self.strength(card) > self.strength(best)}
        if led == self.trump:
            return higher or trumps or hand
        if follow:
            return follow
        return hand if (winner - seat) % 4 == 2 else higher or trumps or hand

    def step(self, action: int) -> None:
        seat = self.mover()
        if self.trump is None:
            self.bids.append(action - 32)
            self.over = self.bids == [PASS] * 8
            if self.bids[-1] != PASS:
                self.take(seat, action - 33)
            return
        self.hands[seat].remove(action)
        self.trick.append((seat, action))
        if len(self.trick) < 4:
            return
        self.leader, _ = self.best()
        self.over = not self.hands[seat]
        values = [(TRUMP if card // 8 == self.trump else PLAIN)[card % 8] for _, card in self.trick]
        self.points[self.leader % 2] += sum(values) + LAST * self.over
        self.won[self.leader % 2] += 1
        self.trick = []

    def take(self, seat: int, trump: int) -> None:
        self.trump, self.maker = trump, seat
        self.hands[seat].add(self.turned)
        for turn in range(4):
            other = (self.leader + turn) % 4
            for _ in range(3 - (other == seat)):
                self.hands[other].add(self.stock.pop(0))
        for side in range(2):
            pair = {8 * trump + QUEEN, 8 * trump + KING}
            self.royal[side] = 20 * (pair <= self.hands[side] or pair <= self.hands[side + 2])

    def scores(self) -> list[int]:
        if self.trump is None:
            return [0] * 4
        assert sum(self.points) == 162
        ours, theirs = self.maker % 2, 1 - self.maker % 2
        every = 8 in self.won
        points = [252 * (won == 8) for won in self.won] if every else self.points
        total = [points[side] + self.royal[side] for side in range(2)]
        if total[ours] < total[theirs]:
            total[ours], total[theirs] = self.royal[ours], (252 if every else 162) + self.royal[theirs]
        elif total[ours] == total[theirs]:
            total[ours] = 0
        return [total[seat % 2] - total[1 - seat % 2] for seat in range(4)]


def test_it_plays_as_the_reference_does() -> None:
    """In 400 games at random, in half of which nobody bids as long as it may pass."""
    state, rng, found = GAME.deal(400, seed=11), random.Random(3), set()
    games = [
        Reference(
            [{card for card in range(32) if bits >> card & 1} for bits in hands.tolist()],
            int(turned),
            stock[1:].tolist(),  # without the card turned up
            int(first),
        )
        for hands, turned, stock, first in zip(state.hands, state.turned, state.stock, state.leader, strict=True)
    ]
    for _ in range(GAME.decisions):
        masks, movers, over = GAME.legal_mask(state), GAME.mover(state).tolist(), GAME.is_terminal(state).tolist()
        actions = []
        for lane, game in enumerate(games):
            assert over[lane] == game.over
            if game.over:
                actions.append(0)
                continue
            legal = game.legal()
            assert set(masks[lane].nonzero()[:, 0].tolist()) == legal and movers[lane] == game.mover()
            passes = lane % 2 and game.trump is None and len(game.bids) < 4 + lane % 5
            actions.append(32 + PASS if passes else rng.choice(sorted(legal)))
            game.step(actions[-1])
        state = GAME.step(state, torch.tensor(actions))
    assert GAME.is_terminal(state).all()
    for game, scores in zip(games, GAME.scores(state).tolist(), strict=True):
        assert scores == game.scores()
        found.add("passed" if game.trump is None else "made" if scores[game.maker] > 0 else "lost")
        found |= {"belote"} if sum(game.royal) else set()
    assert found == {"passed", "made", "lost", "belote"}


@pytest.mark.parametrize(
    ("won", "taken", "belote", "maker", "scores"),
    [
        ([4, 2, 1, 1], [90, 30, 2, 40], [0, 0, 0, 0], 0, 92 - 70),
        ([4, 2, 1, 1], [80, 51, 0, 31], [0, 0, 0, 0], 0, -162),
        ([4, 2, 1, 1], [80, 51, 0, 31], [0, 0, 1, 0], 0, 100 - 82),
        ([4, 2, 1, 1], [80, 51, 0, 31], [0, 1, 0, 0], 0, -182),
        ([4, 2, 1, 1], [50, 50, 31, 31], [0, 0, 0, 0], 0, -81),  # even: what the makers have waits
        ([4, 2, 1, 1], [50, 50, 31, 31], [0, 0, 0, 0], 1, 81),
        ([5, 0, 3, 0], [102, 0, 60, 0], [0, 0, 0, 0], 2, 252),
        ([5, 0, 3, 0], [102, 0, 60, 0], [0, 1, 0, 0], 1, 252 - 20),
        ([5, 0, 3, 0], [102, 0, 60, 0], [0, 1, 0, 0], -1, 0),
    ],
)
def test_points(won, taken, belote, maker, scores) -> None:
    state = GAME.deal(1)
    fields = {"won": won, "taken": taken, "belote": belote}
    changed = {name: torch.tensor([row]).to(getattr(state, name).dtype) for name, row in fields.items()}
    state = state.from_tensors({**state.tensors(), **changed, "maker": torch.tensor([maker], dtype=torch.int8)})
    assert GAME.points(state).tolist() == [[scores, -scores, scores, -scores]]


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    assert contract.check(GAME) == ()

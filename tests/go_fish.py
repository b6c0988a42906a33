"""Go Fish: ask a seat for a rank that you hold; it gives you all of it, or you fish a card from the stock.

Who asks holds a card of the rank, who has given all of a rank holds none, and nobody keeps four of a rank: worlds know
that. They no longer know of a hand what it lacked before it drew a card that nobody saw.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

import vecgame
from vecgame import piles, starts
from vecgame.cards import popcount


@dataclass(frozen=True)
class GoFishRules:
    players: int = 3
    cards: int = 5
    ranks: int = 13
    decisions: int = 200  # a game that goes on longer ends with the books that there are


@dataclass(frozen=True)
class GoFishState(vecgame.HandState):
    holds: ClassVar = {"out": "sets"}

    stock: torch.Tensor  # [B, N] int8
    shown: torch.Tensor  # [B, P] bitboards, cards that all know a seat to hold
    may: torch.Tensor  # [B, P] bitboards, what its other cards may be
    needs: torch.Tensor  # [B, P] bitboards of ranks, of which it has one among these
    out: torch.Tensor = starts(0)  # [B] bitboard, books laid down
    books: torch.Tensor = starts(0, "seats")  # [B, P]


class GoFish(vecgame.HandGame):
    """A game is worth the books."""

    name, rules_type, state_type, plays_cards = "go-fish", GoFishRules, GoFishState, False

    def set_up(self):
        self.highest, left = float(self.layout.ranks), range(1, self.seats)
        self.others = tuple(f"ask @{seat} for {rank}" for seat in left for rank in self.layout.rank_names)

    def begin(self, stream, hands, stock):
        return self.laid(super().begin(stream, hands, stock))

    def books_of(self, cards):
        """The cards of which all of a rank are among these."""
        return cards & ~self.layout.same_rank(self.deck & ~cards)

    def keeps(self, cards):
        return self.books_of(cards) == 0

    def laid(self, state):
        """Lays books down, finds who can go on, and lets that seat draw if it has no card."""
        book = self.books_of(self.held(state))
        out = state.out | book.sum(-1)
        hands, shown = state.hands & ~book, state.shown & ~book
        has = hands | shown != 0
        turn = piles.seat_after((state.to_move - 1) % self.seats, has | (state.stock[:, :1] >= 0))
        drawn, stock = piles.draw(state.stock, ~piles.entry(has, turn))
        may = piles.changed(state.may, turn, self.deck, where=drawn != 0)
        return replace(
            state, hands=piles.joined(hands, turn, drawn), shown=shown, stock=stock, out=out, to_move=turn,
            may=may & ~out[:, None], needs=state.needs & ~out[:, None], books=state.books + popcount(book) // 4,
        )  # fmt: skip

    def legal_others(self, state):
        held = self.held(state)
        mine = self.layout.counts(piles.entry(held, state.to_move)) > 0
        after = (state.to_move[:, None] + torch.arange(1, self.seats, device=state.device)) % self.seats
        asked = held.gather(1, after) != 0
        asked = asked | ~asked.any(-1, keepdim=True)  # where nobody else has cards, of anybody
        return (asked[:, :, None] & mine[:, None]).flatten(1)

    def over(self, state):
        return state.out == self.deck

    def act(self, state, action, card):
        mover, ranks = state.to_move, self.layout.ranks
        target, rank = (mover + 1 + action // ranks) % self.seats, self.layout.rank_bits(action % ranks)
        given = piles.entry(self.held(state), target) & rank
        drawn, stock = piles.draw(state.stock, given == 0)
        lucky, secret = drawn & rank, drawn & ~rank
        again, gone = given | lucky != 0, ~piles.only(target, rank, self.seats)
        known = piles.entry(state.shown, mover) & rank != 0
        return self.laid(replace(
            state, stock=stock, to_move=torch.where(again, mover, (mover + 1) % self.seats),
            hands=piles.joined(state.hands & gone, mover, secret),
            shown=piles.joined(state.shown & gone, mover, given | lucky),
            may=piles.changed(state.may & gone, mover, self.deck, where=secret != 0),
            needs=piles.joined(state.needs, mover, rank, where=~known) & gone))  # fmt: skip

    def points(self, state):
        return state.books.float()

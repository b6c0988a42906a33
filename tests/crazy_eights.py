"""Crazy Eights: cards drawn in mid-game, a pile that is shuffled again, turns of several decisions, a suit to name.

Play a card of the suit or the rank of the last one, or an eight, and name the suit that is to follow it; or draw a
card, and then play or pass. Who is out first takes a chip of everybody; after so many decisions who has the fewest.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

import vecgame
from vecgame import piles, starts
from vecgame.cards import Layout, bit, popcount

RANKS = ("8", "2", "3", "4", "5", "6", "7", "9", "10", "J", "Q", "K", "A")  # the eights first


@dataclass(frozen=True)
class CrazyEightsRules:
    """What may be changed."""

    players: int = 3
    cards: int = 5
    suits: int = 4
    ranks: int = 7  # of each suit, the eights among them
    decisions: int = 80


@dataclass(frozen=True)
class CrazyEightsState(vecgame.HandState):
    """B games for P seats, with N cards. The card played last is the last of the pile."""

    holds: ClassVar = {"pile": "sets", "top": "cards", "suit": "suits"}

    stock: torch.Tensor  # [B, N] int8, cards to draw
    pile: torch.Tensor  # [B] int64, all that lie open
    top: torch.Tensor  # [B] int8, the card to match
    suit: torch.Tensor  # [B] int8, the suit to match; -1: the mover is to name it
    drawn: torch.Tensor = starts(False)  # [B], the mover has drawn a card
    future: torch.Tensor  # [B] int64, by which the pile is shuffled again
    shuffled: torch.Tensor  # [B] int64, what was the last time


class CrazyEights(vecgame.HandGame):
    """Actions are the cards, then the suits to name, then to draw and to pass."""

    name, unit = "crazy-eights", "chips"
    rules_type, state_type = CrazyEightsRules, CrazyEightsState
    lowest, sum_of_scores = -1.0, 0.0

    def set_up(self):
        self.layout = Layout(self.rules.suits, self.rules.ranks, rank_names=RANKS[: self.rules.ranks])
        self.size = self.max_legal = self.layout.size
        if self.size <= self.seats * self.cards:
            raise ValueError(f"{self.size} cards are not enough for {self.seats} x {self.cards} and one to begin with")
        self.others = (*(f"name {suit}" for suit in self.layout.suit_names), "draw", "pass")
        self.draw, self.highest = self.size + self.layout.suits, self.seats - 1.0

    def begin(self, stream, hands, stock):
        top, suit = stock[:, 0], self.layout.suit_of(stock[:, 0])
        pile, stock = piles.draw(stock, 1)
        return self.start(stream, hands, stock=stock, pile=pile, top=top, suit=suit)

    def over(self, state):
        return (state.hands == 0).any(-1)

    def legal_cards(self, state):
        suit = self.layout.suit_bits(state.suit.clamp(min=0))
        fits = suit | self.layout.same_rank(bit(state.top) | 1)  # the first card is an eight
        return torch.where(state.suit < 0, 0, piles.entry(state.hands, state.to_move) & fits)

    def legal_others(self, state):
        naming, some = state.suit < 0, (state.stock[:, 0] >= 0) | (popcount(state.pile) > 1)
        draws = some & ~naming & ~state.drawn
        return [*[naming] * self.layout.suits, draws, ~draws & ~naming]

    def act(self, state, action, card):
        plays, draws = card != 0, action == self.draw
        again = draws & (state.stock[:, 0] < 0)  # of an empty stock: all of the pile but its top are shuffled into it
        under = torch.where(again, state.pile & ~bit(state.top), 0)
        stock = piles.refilled(state.stock, under, vecgame.Stream(0, state.future, state.made))
        drawn, stock = piles.draw(stock, draws)
        hands = piles.joined(state.hands, state.to_move, drawn)
        lies = {"stock": stock, "pile": state.pile & ~under | card, "hands": hands, "drawn": draws}
        lies["shuffled"] = torch.where(under != 0, under, state.shuffled)
        named = torch.where(plays, self.layout.suit_of(action), action - self.size)
        eight = plays & (action % self.layout.ranks == 0) & (lies["hands"] != 0).all(-1)
        suit = torch.where(eight, -1, torch.where(action < self.draw, named, state.suit)).to(torch.int8)
        top = torch.where(plays, action, state.top).to(torch.int8)
        to_move = torch.where(~draws & (suit >= 0), (state.to_move + 1) % self.seats, state.to_move)
        return replace(state, top=top, suit=suit, to_move=to_move, **lies)

    def points(self, state):
        left = popcount(state.hands)
        best = (left == left.amin(-1, keepdim=True)).float()
        return best * self.seats / best.sum(-1, keepdim=True) - 1

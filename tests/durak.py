"""Durak, podkidnoy: attacks that grow, cards taken up that all know of, a trump that lies open and is drawn last.

The next seat beats a card, by a higher one of its suit or a trump, or takes up what lies there. The others throw in
cards of the ranks on the table, in turn, each until it passes. Then all draw, the defender last; if it has beaten all
it attacks next. Who alone holds cards at last pays each of the others a chip; nobody does if the last go out at once.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from vecgame import HandGame, HandState, Hidden, piles, starts
from vecgame.cards import bit, popcount


@dataclass(frozen=True)
class DurakRules:
    players: int = 3
    cards: int = 6  # dealt, and drawn up to
    suits: int = 4
    ranks: int = 9  # of each suit, the highest
    most: int = 6  # attacks in a bout, where the defender holds so many
    decisions: int = 800  # of a game that goes on longer all who still hold cards share the loss


@dataclass(frozen=True)
class DurakState(HandState):
    holds: ClassVar = {"turned": "cards", "target": "cards", "table": "sets", "out": "sets"}
    holds |= {"attacker": "seats", "defender": "seats"}

    stock: torch.Tensor  # [B, N] int8
    turned: torch.Tensor  # [B] int8, the last of the stock, whose suit is trump
    shown: torch.Tensor  # [B, P] bitboards, what was taken up, and the trump turned up
    attacker: torch.Tensor = starts(0)  # [B], who began the bout
    defender: torch.Tensor = starts(1)  # [B]
    table: torch.Tensor = starts(0)  # [B] bitboard, all cards of the bout
    target: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], the card to beat, -1 = none
    taking: torch.Tensor = starts(False)  # [B], the defender has given up, and others still throw in
    left: torch.Tensor = starts("first_left")  # [B], how many attacks there may still be in the bout
    out: torch.Tensor = starts(0)  # [B] bitboard, what was beaten


class Durak(HandGame):
    name, unit, others = "durak", "chips", ("take", "pass")
    rules_type, state_type, highest, sum_of_scores = DurakRules, DurakState, 1.0, 0.0

    def set_up(self):
        self.lowest, self.first_left = 1.0 - self.seats, min(self.rules.most, self.cards)
        if self.layout.size <= self.seats * self.cards:
            raise ValueError(f"{self.layout.size} cards are not enough for {self.seats} x {self.cards} and a trump")

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, stock=stock, turned=piles.last(stock))

    def hidden(self, state):
        turned = (state.stock == state.turned[:, None])[:, None].expand(-1, self.seats, -1)
        return super().hidden(state) | {"stock": Hidden(turned, "cards")}

    def over(self, state):
        return (state.table == 0) & ((self.held(state) != 0).sum(-1) <= 1)

    def legal_cards(self, state):
        suit, trump = self.layout.suit_of(state.target), self.layout.suit_of(state.turned)
        beats = self.layout.above(state.target) | torch.where(suit == trump, 0, self.layout.suit_bits(trump))
        throws = torch.where(state.table == 0, self.deck, self.layout.same_rank(state.table))
        return super().legal_cards(state) & torch.where(state.target >= 0, beats, throws)

    def legal_others(self, state):
        return [state.target >= 0, (state.target < 0) & (state.table != 0)]

    def act(self, state, action, card):
        mover, attacks = state.to_move, (card != 0) & (state.to_move != state.defender)
        taking, left = state.taking | (action == self.first_other), state.left - attacks.long()
        target = torch.where(attacks & ~taking, action, -1).to(torch.int8)
        place = (torch.arange(self.seats, device=state.device) - state.attacker[:, None]) % self.seats  # 0: asked first
        first = torch.where(mover == state.defender, 0, piles.entry(place, mover) + (card == 0).long())
        asked = (self.held(state) != 0) & (place >= first[:, None]) & ~piles.only(state.defender, True, self.seats)
        turn = torch.where(asked, place, self.seats).amin(-1)  # `seats` where nobody is left to be asked
        on = torch.where(target >= 0, state.defender, (state.attacker + turn) % self.seats)
        state = replace(state, table=state.table | card, target=target, taking=taking, left=left, to_move=on)
        return self.next_bout(state).where((target < 0) & ((turn == self.seats) | (left == 0)), state)

    def next_bout(self, state):
        seat, turned = torch.arange(self.seats, device=state.device), bit(state.turned)[:, None]
        shown = piles.joined(state.shown, state.defender, state.table, where=state.taking)
        order = (state.attacker[:, None] + torch.cat([seat[:1], seat[2:], seat[1:2]])) % self.seats  # the defender last
        drawn, stock = piles.draw(state.stock, (self.cards - popcount(state.hands | shown)).clamp(min=0), order)
        hands, shown = state.hands | drawn & ~turned, shown | drawn & turned
        attacker = piles.seat_after((state.defender - 1 + state.taking) % self.seats, hands | shown != 0)
        defender = piles.seat_after(attacker, hands | shown != 0)
        return replace(
            state, hands=hands, shown=shown, stock=stock, attacker=attacker, defender=defender, table=state.table & 0,
            out=state.out | torch.where(state.taking, 0, state.table), taking=state.taking & False, to_move=attacker,
            left=popcount(piles.entry(hands | shown, defender)).clamp(max=self.rules.most))  # fmt: skip

    def points(self, state):
        fools = (self.held(state) != 0).float()
        return fools.amax(-1, keepdim=True) - self.seats * fools / fools.sum(-1, keepdim=True).clamp(min=1)

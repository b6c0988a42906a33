"""Scopa for two: capture cards on the table by a card of their value, or of the sum of their values."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

import vecgame
from vecgame import piles, starts
from vecgame.cards import Layout, Table, bit, highest_card, popcount

SUITS = ("coins", "cups", "swords", "clubs")
LAYOUT = Layout(4, 10, suit_names=SUITS, rank_names=("A", "2", "3", "4", "5", "6", "7", "J", "H", "K"))
COINS, SETTE_BELLO = LAYOUT.block(0), 1 << 6
VALUE = Table([*range(1, 11)] * 4)
PRIME = Table([16, 12, 13, 14, 15, 18, 21, 10, 10, 10])  # what each rank counts for the primiera


@dataclass(frozen=True)
class ScopaState(vecgame.HandState):
    layout = LAYOUT
    holds: ClassVar = {"table": "sets", "chosen": "sets", "card": "cards", "captured": "sets", "last": "seats"}

    stock: torch.Tensor  # [B, 40] int8
    table: torch.Tensor  # [B] bitboard
    card: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], that captures; -1 between turns
    chosen: torch.Tensor = starts(0)  # [B] bitboard, what it has taken so far
    captured: torch.Tensor = starts(0, "seats")  # [B, 2] bitboards
    scope: torch.Tensor = starts(0, "seats")  # [B, 2]
    last: torch.Tensor = starts(-1)  # [B], who has captured last, -1 = nobody


class Scopa(vecgame.HandGame):
    """One deal of 40 cards: play a card, and then take what it captures, in ascending order. A game is worth the points
    by which a seat is ahead."""

    name, state_type, layout = "scopa", ScopaState, LAYOUT
    seats, cards, decisions = 2, 3, 75  # each card on the table is taken at most once, of which there are at most 39
    lowest, highest, sum_of_scores = -21.0, 21.0, 0.0

    def begin(self, stream, hands, stock):
        table, stock = piles.draw(stock, 4)
        return self.start(stream, hands, stock=stock, table=table)

    def captures(self, table, need, first):
        """Cards that may be taken next, from card ``first`` on, of those on the table for what is still needed."""
        sums, legal = torch.ones_like(table), torch.zeros_like(table)  # bit s: some of the higher cards sum to s
        for card in reversed(range(self.layout.size)):
            there = (table >> card & 1).bool() & (card >= first)
            rest = need - card % 10 - 1
            legal = legal | (there & (rest >= 0) & (sums >> rest.clamp(min=0) & 1).bool()).long() << card
            sums = torch.where(there, (sums | sums << card % 10 + 1) & 2047, sums)
        same = self.layout.rank_bits((need - 1).clamp(min=0)) & table
        return torch.where((same != 0) & (first == 0), same, legal)

    def legal_cards(self, state):
        need = state.card.long() % 10 + 1 - self.layout.total(state.chosen, VALUE)
        first = (highest_card(state.chosen) + 1).clamp(min=0)
        hand = piles.entry(state.hands, state.to_move)
        return torch.where(state.card < 0, hand, self.captures(state.table, need, first))  # beyond the hand, too

    def over(self, state):
        return (state.hands == 0).all(-1) & (state.card < 0)

    def act(self, state, action, card):
        mover, plays = state.to_move, state.card < 0
        played = torch.where(plays, action, state.card.long())
        can = self.captures(state.table, played % 10 + 1, torch.zeros_like(action)) != 0
        chosen = torch.where(plays, 0, state.chosen | card)
        table = torch.where(plays, torch.where(can, state.table, state.table | card), state.table & ~card)
        takes = ~plays & (self.layout.total(chosen, VALUE) == played % 10 + 1)
        done = takes | plays & ~can
        anew = done & (state.hands == 0).all(-1)
        drawn, stock = piles.draw(state.stock, 3 * anew[:, None].expand(-1, 2))
        end, last = anew & (state.stock[:, 0] < 0), torch.where(takes, mover, state.last)
        captured = piles.joined(state.captured, mover, chosen | bit(played), where=takes)
        return replace(
            state, hands=state.hands | drawn, stock=stock, last=last, table=torch.where(end, 0, table),
            card=torch.where(done, -1, played).to(torch.int8), chosen=torch.where(takes, 0, chosen),
            captured=piles.joined(captured, last, table, where=end),
            scope=piles.added(state.scope, mover, 1, where=takes & (table == 0) & ~end),
            to_move=torch.where(done, 1 - mover, mover))  # fmt: skip

    def points(self, state):
        mine = state.captured
        prime = (self.layout.grid(mine) * PRIME.on(mine.device)).amax(-1).sum(-1)
        counts = torch.stack([popcount(mine), popcount(mine & COINS), mine & SETTE_BELLO, prime])
        total = (counts > counts.flip(-1)).sum(0) + state.scope
        return (total - total.flip(-1)).float()

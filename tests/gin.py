"""Gin Rummy for two, one deal: draw, discard, and knock when ten points or less are in no meld. Nobody decides how: the
knocker melds so that the least is left over, and then, unless that is nothing, the other lays off and melds likewise.
Nobody wins when two cards are left to draw, or when both in turn have put back the card that they had just taken."""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import piles, starts
from vecgame.cards import Layout, Table, bit, list_cards
from vecgame.melds import Melding

LAYOUT = Layout(rank_names=("A", *map(str, range(2, 11)), "J", "Q", "K"))
WORTH = tuple(min(rank + 1, 10) for rank in range(13)) * 4
PHASES = ("first offer", "second offer", "stock", "turn", "discard", "knock", "wall", "drawn game", "over")
(DRAW, TAKE, PASS, KNOCK), (OFFER, _, _, TURN, DISCARD, KNOCKS, WALL, DRAWN, OVER) = range(52, 56), range(9)
MAY = Table([[bool(may & 1 << k) for k in range(4)] for may in (6, 6, 1, 3, 8, 0, 12, 0, 0)])  # draw, take, pass, knock


@dataclass(frozen=True)
class GinRules(vecgame.DealerRules):
    cards: int = 10
    knock: int = 10  # points left over, at most
    gin: int = 25  # more for who knocks with none
    undercut: int = 25  # more for the other who has less
    decisions: int = 200  # then nobody wins


@dataclass(frozen=True)
class GinState(vecgame.HandState):
    layout, holds, untold = LAYOUT, {"pile": "sets", "top": "cards", "taken": "cards", "phase": PHASES}, ("taken",)

    dealer: torch.Tensor  # [B]
    stock: torch.Tensor  # [B, 52] int8
    shown: torch.Tensor  # [B, 2] bitboards
    pile: torch.Tensor  # [B] bitboard
    top: torch.Tensor  # [B] int8, the newest of the pile, -1: somebody has it
    phase: torch.Tensor = starts(OFFER, dtype=torch.int8)  # [B]
    taken: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], what the mover has just taken from the pile
    back: torch.Tensor = starts(False)  # [B], the top was put back by who had just taken it


class Gin(vecgame.HandGame):
    name, rules_type, state_type, others = "gin", GinRules, GinState, ("draw", "take", "pass", "knock")
    seats, max_forced_run, sum_of_scores = 2, 1, 0.0

    def set_up(self):
        self.melding, self.max_legal = Melding(LAYOUT, WORTH, self.cards + 1), self.cards + 2
        self.highest = 10.0 * self.cards + max(self.rules.gin, self.rules.knock + self.rules.undercut)
        self.lowest = -self.highest

    def action_name(self, action, state=None, lane=0):
        return "discard " * (state is not None and action < DRAW) + super().action_name(action, state, lane)

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, stock=piles.draw(stock, 1)[1], pile=bit(stock[:, 0]), top=stock[:, 0])

    def knocks(self, state):
        """The cards after which the mover may knock, of those that it holds, at the wall with the top."""
        mine = piles.entry(self.held(state), state.to_move)
        mine = mine | torch.where(state.phase == WALL, bit(state.top.clamp(min=0)), 0)
        cards = list_cards(mine, self.cards + 1)
        low = (cards >= 0) & (self.melding.without(mine, cards) <= self.rules.knock)
        return torch.where(low, bit(cards.clamp(min=0)), 0).sum(-1)

    def legal_cards(self, state):
        free = super().legal_cards(state) * (state.phase == DISCARD)
        return torch.where(state.phase == KNOCKS, self.knocks(state), free)

    def legal_others(self, state):
        draw, take, passes, knock = MAY[state.phase].unbind(-1)
        return [draw, take, passes, knock & (self.knocks(state) != 0)]

    def over(self, state):
        return state.phase >= DRAWN

    def act(self, state, action, card):
        mover, phase, discards, back = state.to_move, state.phase, card != 0, action == state.taken
        got, stock = piles.draw(state.stock, action == DRAW)
        known = torch.where((action == TAKE) | (action == KNOCK) & (phase == WALL), bit(state.top.clamp(min=0)), 0)
        turn = torch.where(state.back & back, DRAWN, torch.where(stock[:, 2] < 0, WALL, TURN))
        other = torch.where(action == PASS, phase + 1, torch.where(action == KNOCK, KNOCKS, DISCARD))
        turn = torch.where(discards, torch.where(phase == KNOCKS, OVER, turn), other)
        return replace(
            state, stock=stock, pile=state.pile & ~known | card, phase=turn.to(torch.int8),
            hands=piles.joined(state.hands, mover, got), shown=piles.joined(state.shown, mover, known),
            top=torch.where(discards, action, torch.where(known != 0, -1, state.top)).to(torch.int8),
            taken=torch.where(action == TAKE, state.top, -1), back=torch.where(discards, back, state.back),
            to_move=torch.where((action == PASS) | discards & (phase == DISCARD), 1 - mover, mover))  # fmt: skip

    def points(self, state):
        mine, other = (piles.entry(self.held(state), seat) for seat in (state.to_move, 1 - state.to_move))
        melds = self.melding.arranged(mine)
        left = self.layout.total(mine & ~melds.cards, WORTH)
        lead = self.melding.deadwood(other, melds.where(left > 0)) - left
        lead = lead + self.rules.gin * (left == 0) - self.rules.undercut * (lead < 0)
        lead = piles.only(state.to_move, torch.where(state.phase == OVER, lead, 0).float(), 2)
        return lead - lead.flip(-1)

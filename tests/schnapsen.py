"""Schnapsen: marriages, the trump jack, a stock that may be closed, and who is first of two to have 66 points.

Before it leads a seat may announce a marriage, of which it then leads a card, exchange the jack of trump for the card
turned up, and close the stock: from then on, as when it is empty, suit has to be followed.
"""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import piles, starts, stocks
from vecgame.cards import Layout, bit

JACK, QUEEN, KING = range(3)


@dataclass(frozen=True)
class SchnapsenRules(vecgame.DealerRules):
    cards: int = 5
    suits: int = 4
    needed: int = 66


@dataclass(frozen=True)
class SchnapsenState(vecgame.TrickState):
    layout, holds = Layout(ranks=5, rank_names=("J", "Q", "K", "10", "A")), {"pair": "sets", "closer": "seats"}

    stock: torch.Tensor  # [B, S] int8
    turned: torch.Tensor  # [B] int8, the last of it, whose suit is trump
    shown: torch.Tensor = starts(0, "seats")  # [B, 2], cards that all know to be in a hand
    points: torch.Tensor = starts(0, "seats", dtype=torch.int16)  # [B, 2], which count from the first trick on
    closer: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], who has closed the stock, -1 for nobody
    behind: torch.Tensor = starts(0, dtype=torch.int8)  # [B], what it is worth then to win
    pair: torch.Tensor = starts(0)  # [B], the marriage to lead from, 0 for none
    done: torch.Tensor  # [B] int8


class Schnapsen(vecgame.TrickGame):
    """A game is worth one to three points to who wins it, and the other loses as many."""

    name, turned_up, card_points = "schnapsen", -1, (2, 3, 4, 10, 11) * 4
    rules_type, state_type = SchnapsenRules, SchnapsenState
    others = ("close", "exchange", *(f"marry in {suit}" for suit in SchnapsenState.layout.suit_names))
    seats, most_others, highest, lowest, sum_of_scores = 2, 6, 3.0, -3.0, 0.0

    def is_open(self, state):
        return (state.stock[:, 0] >= 0) & (state.closer < 0)

    def preferences(self, state, led):
        card, suit = piles.entry(state.trick, state.leader), self.followed(state, led)
        free, lead = self.is_open(state) | (led < 0), torch.where(state.pair != 0, state.pair, -1)
        trump = self.layout.suit_bits(self.trump(state))
        return [torch.where(free, lead, cards) for cards in (self.layout.above(card), suit, trump)]

    def legal_others(self, state):
        hand, leads = piles.entry(state.hands, self.mover(state)), (state.trick < 0).all(-1) & (state.pair == 0)
        may, held = leads & self.is_open(state) & (state.stock[:, 2] >= 0), self.layout.grid(hand)
        jack, marriages = bit(5 * self.trump(state) + JACK), held[:, :, QUEEN] & held[:, :, KING] & leads[:, None]
        return [may, may & (hand & jack != 0), *marriages.unbind(-1)]

    def do(self, state, place, other, doing):
        closes, exchanges, marries = doing & (other == 0), doing & (other == 1), doing & (other > 1)
        suit, trump, mover = (other - 2).clamp(min=0), self.trump(state), self.mover(state)
        jack, pair = 5 * trump + JACK, torch.where(marries, (1 << QUEEN | 1 << KING) << 5 * suit, 0)
        both = torch.where(exchanges, bit(jack) | bit(state.turned), 0)
        return replace(
            state, hands=state.hands ^ piles.only(mover, both, 2), seen=state.seen ^ both, pair=state.pair | pair,
            stock=torch.where(exchanges[:, None] & (state.stock == state.turned[:, None]), jack[:, None], state.stock),
            turned=torch.where(exchanges, jack, state.turned),
            shown=piles.joined(state.shown, mover, pair | both & bit(state.turned)),
            points=piles.added(state.points, mover, marries * torch.where(suit == trump, 40, 20)),
            closer=torch.where(closes, mover, state.closer).to(torch.int8),
            behind=torch.where(closes, self.worth(state, 1 - mover), state.behind).to(torch.int8))  # fmt: skip

    def taken(self, state, trick, place, complete):
        state = super().taken(state, trick, place, complete)
        state = stocks.draw(state, complete & self.is_open(state), state.leader)
        return replace(state, pair=torch.where((trick < 0).all(-1), state.pair, 0))

    def over(self, state):
        return (self.total(state) >= self.rules.needed).any(-1) | (state.hands == 0).all(-1)

    def total(self, state):
        return torch.where(state.won > 0, state.points, 0)

    def worth(self, state, seat):
        """What it is worth to win against the seats ``seat`` [B]: [B] int64."""
        few, none = self.total(state) < self.rules.needed / 2, state.won == 0
        return 1 + piles.entry(few.long() + none.long(), seat)

    def points(self, state):
        reached, closed = self.total(state) >= self.rules.needed, state.closer >= 0
        last = torch.where(closed, 1 - state.closer, state.leader).long()
        winner = torch.where(reached.any(-1), reached.long().argmax(-1), last)
        behind = torch.where(winner == state.closer, state.behind, state.behind.clamp(min=2))
        worth = torch.where(closed, behind, self.worth(state, 1 - winner)).float()[:, None]
        return torch.where(piles.only(winner, True, 2), worth, -worth)

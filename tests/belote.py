"""Belote for four in two teams: five cards each, a suit is taken, three more; trump is to be played and beaten.

The card turned up is trump if a seat takes it; if all pass, each may name another suit, and if all pass again nobody
wins anything. Who takes is dealt the card turned up and two more, the others three. Sequences are left out.
"""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import piles, starts, stocks
from vecgame.cards import Layout, bit
from vecgame.lanes import with_added
from vecgame.own_rules import partners, side_of

QUEEN, KING = 4, 5
WORTH = torch.tensor([[0, 0, 0, 2, 3, 4, 10, 11], [0, 0, 14, 20, 3, 4, 10, 11]])  # of each rank, and as trump


@dataclass(frozen=True)
class BeloteState(vecgame.TrickState):
    layout = Layout(ranks=8, rank_names=("7", "8", "9", "J", "Q", "K", "10", "A"))

    stock: torch.Tensor  # [B, 12] int8, dealt once trump is named
    turned: torch.Tensor  # [B] int8, the first of it
    trump: torch.Tensor = starts(4, dtype=torch.int8)  # [B], 4 = none yet
    maker: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], -1 = none yet
    belote: torch.Tensor = starts(False, "seats")  # [B, 4], has king and queen of trump and has played one
    taken: torch.Tensor = starts(0, "seats", dtype=torch.int16)  # [B, 4], points in the tricks


class Belote(vecgame.TrickGame):
    """A game is worth the points of one's team less those of the other."""

    name, partners = "belote", True
    rules_type, state_type, turned_up = vecgame.DealerRules, BeloteState, 0
    cards, held, bids, opening = 5, 8, 5, 8
    bid_names = ("pass", "spades", "hearts", "clubs", "diamonds")
    trump_order = ("J", "9", "A", "10", "K", "Q", "8", "7")
    highest, lowest, sum_of_scores = 272.0, -272.0, 0.0

    def legal_bids(self, state):
        suit = 2 << self.layout.suit_of(state.turned).long()
        return torch.where(state.made < 4, 1 | suit, 31 ^ suit)

    def bid(self, state, place, bid, bidding):
        seat, takes = place % 4, bidding & (bid > 0)
        up = piles.only(seat, takes.long(), 4)  # who takes has the card turned up, and then all draw
        state = stocks.draw(stocks.draw(state, up), 3 * takes[:, None] - up, state.leader)
        return replace(
            state,
            trump=torch.where(takes, bid - 1, state.trump),
            maker=torch.where(takes, seat, state.maker).to(torch.int8),
            made=torch.where(takes, 7, state.made).to(torch.int8),
        )

    def over(self, state):
        return (state.made == self.opening) & (state.maker < 0)

    def preferences(self, state, led):
        trumps, follow = self.layout.suit_bits(self.trump(state) % 4), self.followed(state, led)
        higher = self.beating(state, state.trick, led) & trumps
        free = (self.winner(state, state.trick, led) - self.mover(state)) % 4 == 2
        follows = torch.where(led == self.trump(state), higher, follow), follow
        return [*follows, *(torch.where(free, -1, cards) for cards in (higher, trumps))]

    def taken(self, state, trick, place, complete):
        suit, rank, trump = trick // 8, trick.long() % 8, state.trump[:, None]
        worth = WORTH.to(trick.device)[(suit == trump).long(), rank].sum(-1) + 10 * (state.hands == 0).all(-1)
        royal = (trick >= 0) & (suit == trump) & ((rank == QUEEN) | (rank == KING))
        mate = torch.where(royal, bit(8 * trump % 32 + QUEEN + KING - rank), 0)  # tells by silence, too
        told = torch.where(state.hands & mate != 0, mate, 0)
        return replace(
            state,
            taken=with_added(state.taken, place, torch.where(complete, worth, 0)),
            belote=state.belote | (told != 0),
            lacks=state.lacks | mate & ~told | told.sum(-1, keepdim=True) & ~told,
        )

    def points(self, state):
        own, tricks, belote = partners(state.taken), partners(state.won), 20 * partners(state.belote.long())
        every, makers = (tricks == 8).any(-1, keepdim=True), side_of(state.maker)
        total = torch.where(every, 252 * (tricks == 8), own) + belote
        other = total.roll(1, -1)
        made, even = torch.where(makers, total > other, total < other), total == other  # even: the makers' points wait
        lost = torch.where(makers, belote * ~even, torch.where(even, total, torch.where(every, 252, 162) + belote))
        score = torch.where(made, total, lost) * (state.maker >= 0)[:, None]
        return (score - score.roll(1, -1)).float()

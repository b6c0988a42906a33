"""Skat as OpenSpiel plays it: who first wants to plays alone, for more than half of the 120 points in cards.

In turn each seat passes or names its game: a suit as trump; grand, in which only jacks are; or null, without trump, to
win no trick. The soloist takes up the two cards of the skat and puts two away, which count for it. If all pass it ends.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import Layout, bit, unpack
from vecgame.hidden import Hidden
from vecgame.own_rules import TrickState
from vecgame.tricks import TrickGame

LAYOUT = Layout(4, 8, 0, ("diamonds", "hearts", "spades", "clubs"), ("7", "8", "9", "Q", "K", "10", "A", "J"))
POINTS = 0x2BA43000  # of each rank, four bits each
GAMES, GRAND, NULL = (*LAYOUT.suit_names, "grand", "null"), 4, 5  # by what is trump
GAME, CARD = torch.arange(NULL + 1)[:, None], torch.arange(LAYOUT.size)
JACK, NULL_SHIFT = CARD % 8 == 7, torch.tensor((0, 1, 2, 5, 6, 3, 7, 4))[CARD % 8] - CARD % 8  # in a null game


@dataclass(frozen=True)
class SkatState(TrickState):
    """B games of Skat."""

    layout, holds = LAYOUT, {"soloist": "seats", "trump": GAMES, "skat": "sets"}
    soloist: Tensor  # [B] int8, -1 = none
    trump: Tensor  # [B] int8, suit 0..3, 4 = jacks only (and until a game is named), 5 = nothing
    skat: Tensor  # [B] int64, the cards that nobody holds, then those that the soloist has put away
    points: Tensor  # [B] int8, in cards that the soloist has taken


class Skat(TrickGame):
    """Bid 0 passes, 1 + trump names a game. The soloist scores a 120th of its points above 60; null counts 90 or 30."""

    name, state_type = "skat", SkatState
    bid_names, give_word = ("pass", *GAMES), "put away"
    fixed_hands, own_features = False, 3 + 6 + 32 + 2
    lowest, highest, sum_of_scores = -0.5, 0.5, 0.0

    def set_up(self) -> None:
        self.seats, self.cards, self.held, self.opening = 3, 10, 12, 3 + 2
        self.bids, self.most_bids, self.led_suits = 7, 7, 5  # in grand the jacks are a suit of their own

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor) -> SkatState:
        skat, zero = self.deck & ~bit(hands).sum((1, 2)), torch.zeros_like(dealer, dtype=torch.int8)
        return self.start(hands, index, (dealer + 1) % 3, soloist=zero - 1, trump=zero + GRAND, skat=skat, points=zero)

    def mover(self, state: SkatState) -> Tensor:
        return torch.where(self.giving(state), state.soloist.long(), super().mover(state))

    def bid(self, state: SkatState, place: Tensor, bid: Tensor, bidding: Tensor) -> SkatState:
        named, seat = bidding & (bid > 0), self.mover(state).to(torch.int8)
        state = self.give(state, place, torch.where(named, state.skat, 0), named)  # takes the skat up
        soloist, trump = torch.where(named, seat, state.soloist), torch.where(named, bid - 1, state.trump)
        made = torch.where(bidding & (state.made == 2), self.length, state.made)
        made = torch.where(named, 2, made).to(torch.int8)  # `step` adds one
        return replace(state, soloist=soloist, trump=trump, made=made)

    def giving(self, state: SkatState) -> Tensor:
        return (state.made >= 3) & (state.made < self.opening)

    def give(self, state: SkatState, place: Tensor, card: Tensor, giving: Tensor) -> SkatState:
        return replace(super().give(state, place, card, giving), skat=state.skat ^ card)

    def suits_of_cards(self) -> Tensor:
        return torch.where(JACK & (GAME != NULL), GAME, CARD // 8)

    def strengths(self) -> Tensor:
        return super().strengths() + torch.where(GAME == NULL, NULL_SHIFT, JACK * CARD // 8)[:, None]  # jacks by suit

    def taken(self, state: SkatState, trick: Tensor, place: Tensor, complete: Tensor) -> SkatState:
        alone = complete & (state.leader == state.soloist)  # who leads next has won the trick
        points = state.points + torch.where(alone, self.worth(bit(trick.clamp(min=0)).sum(-1)), 0)
        made = torch.where(alone & (state.trump == NULL), self.length, state.made)
        return replace(state, points=points.to(torch.int8), made=made.to(torch.int8))

    def points(self, state: SkatState) -> Tensor:
        null, cards = 30 - 60 * (state.leader == state.soloist), state.points + self.worth(state.skat) - 60
        above = torch.where(state.trump == NULL, null, cards) * (state.soloist >= 0)
        return torch.where(knowledge.one_hot(state.soloist, 3), above / 120, -above / 240).t().float()

    def own_block(self, state: SkatState, viewer: Tensor) -> list[Tensor]:
        soloist = torch.where(state.soloist < 0, -1, (state.soloist - viewer) % 3)
        game, away = torch.where(soloist < 0, -1, state.trump), torch.where(soloist == 0, state.skat, 0)
        shown = knowledge.one_hot(soloist, 3), knowledge.one_hot(game, 6), knowledge.cards(away, layout=LAYOUT)
        return [*shown, state.points / 120, self.worth(state.seen) / 120]

    def own_columns(self) -> list[tuple[int, str]]:
        named = (3, "who plays alone"), (6, f"the game: {', '.join(GAMES)}")
        points = (1, "points of the soloist, of 120"), (1, "points of the cards played, of 120")
        return [*named, (32, "what the viewer has put away"), *points]

    def hidden(self, state: SkatState) -> dict[str, Hidden]:
        return {**super().hidden(state), "skat": Hidden(knowledge.one_hot(state.soloist, 3).t())}

    def may_hold(self, state: SkatState, viewer: Tensor) -> Tensor:
        return super().may_hold(state, viewer) & ~torch.where(viewer == state.soloist, state.skat, 0)

    def worth(self, cards: Tensor) -> Tensor:
        """Points of the cards of each set: [B] int64 -> [B] int64."""
        return (unpack(cards, size=32) * (POINTS >> 4 * (torch.arange(32, device=cards.device) % 8) & 15)).sum(-1)

"""Schnapsen: marriages, the trump jack, a stock that may be closed, and who is first of two to have 66 points.

Before it leads a seat may announce a marriage, of which it then leads a card, exchange the jack of trump for the card
turned up, and close the stock: from then on, as when it is empty, suit has to be followed.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

import vecgame
from vecgame import Hidden, knowledge, piles
from vecgame.cards import Layout, bit, unpack
from vecgame.hidden import nobody
from vecgame.lanes import entries, place_of, with_added

JACK, QUEEN, KING = range(3)
WORTH = torch.tensor([2, 3, 4, 10, 11, 0], dtype=torch.int16)  # of each rank; of no card


@dataclass(frozen=True)
class SchnapsenRules:
    """What may be changed."""

    cards: int = 5
    suits: int = 4
    needed: int = 66
    dealer: str | int = "random"


@dataclass(frozen=True)
class SchnapsenState(vecgame.TrickState):
    """B games. The card turned up is in `seen` until it is drawn, as the last of the stock."""

    layout = Layout(ranks=5, rank_names=("J", "Q", "K", "10", "A"))
    holds: ClassVar = {"turned": "cards", "shown": "sets", "pair": "sets", "closer": "seats"}

    stock: torch.Tensor  # [B, S] int8, the next one first, then -1
    turned: torch.Tensor  # [B] int8, trump is its suit
    shown: torch.Tensor  # [B, 2] int64, cards that all know to be in a hand
    points: torch.Tensor  # [B, 2] int16, of tricks and marriages; they count from the first trick on
    closer: torch.Tensor  # [B] int8, who has closed the stock, -1 for nobody
    behind: torch.Tensor  # [B] int8, what it is worth then to win
    pair: torch.Tensor  # [B] int64, the marriage to lead from, 0 for none
    done: torch.Tensor  # [B] int8


class Schnapsen(vecgame.TrickGame):
    """A game is worth one to three points to who wins it, and the other loses as many."""

    name, fixed_hands = "schnapsen", False
    rules_type, state_type = SchnapsenRules, SchnapsenState
    others = ("close", "exchange", *(f"marry in {suit}" for suit in SchnapsenState.layout.suit_names))
    most_others, own_features = 6, 4 * 20 + 6
    highest, lowest, sum_of_scores = 3.0, -3.0, 0.0

    def set_up(self):
        of = self.rules
        self.seats, self.tricks, self.deck = 2, 5 * of.suits // 2, (1 << 5 * of.suits) - 1

    def draw(self, stream, rest):
        return {**super().draw(stream, rest), "stock": rest.to(torch.int8)}

    def begin(self, hands, index, dealer, stock):
        turned, none = stock[:, -1], torch.zeros_like(hands[:, :, 0])
        own = {"turned": turned, "seen": bit(turned), "shown": none, "points": none.short(), "pair": none[:, 0]}
        behind = torch.zeros_like(turned)
        return self.start(hands, index, (dealer + 1) % 2, stock=stock, closer=behind - 1, behind=behind, **own)

    def trump(self, state):
        return self.layout.suit_of(state.turned)

    def is_open(self, state):
        return (state.stock[:, 0] >= 0) & (state.closer < 0)

    def preferences(self, state, led):
        card, suit = entries(state.trick, place_of(state.leader, 2)), self.followed(state, led)
        free, lead = self.is_open(state) | (led < 0), torch.where(state.pair != 0, state.pair, -1)
        trump = self.layout.suit_bits(self.trump(state))
        return [torch.where(free, lead, cards) for cards in (self.layout.above(card), suit, trump)]

    def legal_others(self, state):
        hand, leads = (
            entries(state.hands, place_of(self.mover(state), 2)),
            (state.trick < 0).all(-1) & (state.pair == 0),
        )
        may = leads & self.is_open(state) & (state.stock[:, 2] >= 0)
        held = unpack(hand, size=20).view(-1, 4, 5)
        marriages = held[:, :, QUEEN] & held[:, :, KING] & leads[:, None]
        return [may, may & held[:, :, JACK].gather(1, self.trump(state).long()[:, None])[:, 0], *marriages.unbind(-1)]

    def do(self, state, place, other, doing):
        closes, exchanges, marries = doing & (other == 0), doing & (other == 1), doing & (other > 1)
        suit, trump, mover = (other - 2).clamp(min=0), self.trump(state), self.mover(state)
        jack, pair = 5 * trump + JACK, torch.where(marries, (1 << QUEEN | 1 << KING) << 5 * suit, 0)
        both = torch.where(exchanges, bit(jack) | bit(state.turned), 0)
        behind = torch.where(closes, self.worth(state, place_of(1 - mover, 2)), state.behind)
        swapped = exchanges[:, None] & (state.stock == state.turned[:, None])
        state = replace(
            state,
            hands=state.hands ^ piles.only(mover, both, 2),
            seen=state.seen ^ both,
            stock=torch.where(swapped, jack[:, None], state.stock),
            turned=torch.where(exchanges, jack, state.turned),
            shown=state.shown | piles.only(mover, pair | both & bit(state.turned), 2),
            points=with_added(state.points, place, marries * torch.where(suit == trump, 40, 20)),
            closer=torch.where(closes, mover, state.closer).to(torch.int8),
            behind=behind.to(torch.int8),
            pair=state.pair | pair,
        )
        return self.ended(state)

    def taken(self, state, trick, place, complete):
        rank = torch.where(trick >= 0, trick % 5, 5).long()
        worth = WORTH.to(trick.device).index_select(0, rank.flatten()).view(rank.shape).sum(-1) * complete
        draws = (complete & self.is_open(state)).long()[:, None].expand(-1, 2)
        card, stock = piles.draw(state.stock, draws, torch.stack([state.leader, 1 - state.leader], -1).long())
        turned, hands = state.seen & card.sum(-1), state.hands | card
        points = with_added(state.points, place, worth)
        shown, pair = (state.shown | turned[:, None] & card) & hands, torch.where((trick < 0).all(-1), state.pair, 0)
        fields = {"hands": hands, "seen": state.seen & ~turned, "stock": stock, "points": points, "shown": shown}
        return self.ended(replace(state, pair=pair, **fields))

    def ended(self, state):
        """Where somebody has what is needed, or no cards are left, no trick is left either."""
        over = (self.total(state) >= self.rules.needed).any(-1) | (state.hands == 0).all(-1)
        return replace(state, made=torch.where(over, self.length, state.made).to(torch.int8))

    def total(self, state):
        return torch.where(state.won > 0, state.points, 0)

    def worth(self, state, place):
        """What it is worth to win against the seats at ``place`` [B]: [B] int64."""
        return 1 + (entries(self.total(state), place) < self.rules.needed / 2).long() + (entries(state.won, place) == 0)

    def points(self, state):
        reached, seat = self.total(state) >= self.rules.needed, torch.arange(2, device=state.device)
        last = torch.where(state.closer >= 0, 1 - state.closer, state.leader)
        winner = torch.where(reached.any(-1), reached.long().argmax(-1), last)[:, None]
        closed = torch.where(winner[:, 0] == state.closer, state.behind, state.behind.clamp(min=2))
        worth = torch.where(state.closer >= 0, closed, self.worth(state, place_of(1 - winner[:, 0], 2))).float()[
            :, None
        ]
        return torch.where(seat == winner, worth, -worth)

    def shows(self, state):
        return state.shown

    def hidden(self, state):
        sees = nobody(state.stock, 2) | (state.stock == state.turned[:, None])[:, None]
        return {**super().hidden(state), "stock": Hidden(sees, holds="cards")}

    def open_cards(self, state):
        return torch.where(state.stock[:, 0] >= 0, state.seen & ~bit(state.turned), state.seen)

    def own_block(self, state, viewer):
        sets = [bit(state.turned), state.pair, *knowledge.by_seat(state.shown, viewer)]
        closer = torch.where(state.closer < 0, -1, (state.closer - viewer) % 2)
        told = [knowledge.by_seat(state.points, viewer) / 66, knowledge.one_hot(closer, 2), state.behind / 3]
        return [*(knowledge.cards(cards, None, self.layout) for cards in sets), *told, (state.stock >= 0).sum(-1) / 20]

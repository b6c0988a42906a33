"""Briscola: three cards in hand, no suit has to be followed, and whoever takes a trick draws first from the stock."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing, knowledge
from vecgame.cards import Layout, bit
from vecgame.lanes import around, with_added
from vecgame.own_rules import TrickState, partners
from vecgame.symmetry import SuitSymmetry
from vecgame.tricks import TrickGame

ALL_POINTS = 120


@dataclass(frozen=True)
class BriscolaRules:
    """What may be changed about Briscola. Raises ValueError on values that make no game."""

    players: int = 2  # or 4, partners opposite each other
    dealer: str | int = "random"  # a seat, "random" per game, or "rotate" with the game's number; the next seat leads

    def __post_init__(self) -> None:
        if type(self.players) is not int or self.players not in (2, 4):
            raise ValueError(f"players must be 2 or 4, got {self.players!r}")
        dealing.check_dealer(self.dealer, self.players)


@dataclass(frozen=True)
class BriscolaState(TrickState):
    """B games of Briscola. The card turned up, which is trump, is drawn last; until then it is in `seen`."""

    layout = Layout(ranks=10, rank_names=("2", "4", "5", "6", "7", "J", "Q", "K", "3", "A"))  # in order of strength
    holds: ClassVar = {"stock": "cards", "turned": "cards"}

    stock: Tensor  # [B, 39 - 3 P] int8, the cards to be drawn before that one, in order; -1 once drawn
    turned: Tensor  # [B] int8
    points: Tensor  # [B, P] int8, of the cards that each seat has taken


class Briscola(TrickGame):
    """A game is worth the points in the tricks taken, 120 in all: ace 11, three 10, king 4, queen 3, jack 2."""

    name = "briscola"
    rules_type, state_type = BriscolaRules, BriscolaState
    highest = float(ALL_POINTS)

    def set_up(self) -> None:
        self.cards, self.partners = 3, self.seats == 4
        self.own_features = self.layout.size + self.seats + 1
        self.sum_of_scores = ALL_POINTS * self.seats / 2

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor, stock: Tensor) -> BriscolaState:
        own = {"stock": stock[:, :-1], "turned": stock[:, -1], "points": torch.zeros_like(stock[:, : self.seats])}
        return self.start(hands, index, around(dealer + 1, self.seats), seen=bit(stock[:, -1]), **own)

    def preferences(self, state: BriscolaState, led: Tensor) -> list[Tensor]:
        return [torch.full_like(state.seen, -1)]

    def first_suit(self, state: BriscolaState) -> Tensor:
        return self.layout.suit_of(state.turned)

    trump = first_suit

    def suit_symmetry(self) -> SuitSymmetry:
        return knowledge.suits_alike(self, own_boards=[0])

    def taken(self, state: BriscolaState, trick: Tensor, place: Tensor, complete: Tensor) -> BriscolaState:
        rank, pile = trick % self.layout.ranks, torch.cat([state.stock, state.turned[:, None]], -1)
        worth = torch.where(rank >= 8, rank + 2, torch.where(rank >= 5, rank - 3, 0)).sum(-1) * complete  # aces are 9
        seat, drawn = torch.arange(self.seats, device=rank.device), self.seats * state.won.sum(-1, keepdim=True)
        top = drawn - self.seats + around(seat - state.leader[:, None], self.seats)  # who leads next has drawn first
        card = bit(pile.gather(1, top.clamp(0, pile.shape[1] - 1)).clamp(min=0))
        card = torch.where(complete[:, None] & (top < pile.shape[1]), card, 0)
        return replace(  # that the others lack the last card tells where it is, as then all cards are in hands
            state,
            hands=state.hands | card,
            seen=state.seen & ~card.sum(-1),
            lacks=state.lacks | (state.seen & card.sum(-1))[:, None] & ~card,
            stock=torch.where(torch.arange(pile.shape[1] - 1, device=rank.device) < drawn, -1, state.stock),
            points=with_added(state.points, place, worth),
        )

    def points(self, state: BriscolaState) -> Tensor:
        return partners(state.points.float()) if self.partners else state.points.float()

    def own_block(self, state: BriscolaState, viewer: Tensor) -> list[Tensor]:
        turned = knowledge.cards(bit(state.turned), self.first_suit(state), self.layout)
        return [turned, knowledge.by_seat(state.points, viewer) / ALL_POINTS, (state.stock >= 0).float().mean(-1)]

    def own_columns(self) -> list[tuple[int, str]]:
        turned, points = (self.layout.size, "the card turned up"), (self.seats, f"points of each seat, of {ALL_POINTS}")
        return [turned, points, (1, "share of the stock that is left")]

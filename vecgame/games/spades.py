"""Spades: two partnerships bid how many tricks they will win; spades are trumps; a bid of nil is for one seat alone."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import RANKS, SEATS, SUIT_BITS
from vecgame.games.checks import MOST_POINTS, check_rules
from vecgame.lanes import entries, with_entries
from vecgame.own_rules import TrickState, partners
from vecgame.symmetry import SuitSymmetry
from vecgame.tricks import TrickGame

SPADES = 0
ALL_SPADES = SUIT_BITS << RANKS * SPADES
LEAD_CHOICES = ("broken", "last")
POINTS = ("trick_points", "bag_points", "bag_penalty", "nil_points")  # rules that are none below 0


@dataclass(frozen=True)
class SpadesRules:
    """What may be changed about Spades. Raises ValueError on values that make no game."""

    cards: int = 13  # dealt to each of the four seats, 1..13
    dealer: str | int = "random"  # seat 0..3, "random" per game, or "rotate" with the game's number; bids last
    lead_spades: str = "broken"  # once one has been played, or "last": only by who holds nothing else
    trick_points: int = 10  # for each trick bid, won or lost by the partnership together
    bag_points: int = 1  # for each trick above
    bag_penalty: int = 100  # lost for each ten of those
    nil_points: int = 100  # won or lost by a bid of nil
    capped_bids: bool = False  # partners may not bid more tricks together than there are

    def __post_init__(self) -> None:
        check_rules(self, cards=(1, RANKS), **dict.fromkeys(POINTS, (0, MOST_POINTS)))
        if self.lead_spades not in LEAD_CHOICES:
            raise ValueError(f"lead_spades must be one of {', '.join(LEAD_CHOICES)}, got {self.lead_spades!r}")
        if self.trick_points == 0:
            raise ValueError("trick_points must be above 0: it is what the game is about")


@dataclass(frozen=True)
class SpadesState(TrickState):
    """B games of Spades."""

    bids: Tensor  # [B, 4] int8, -1 = not yet made, 0 = nil
    dealer: Tensor  # [B] int8


class Spades(TrickGame):
    """The seat after the dealer bids first and leads. A game is worth the points of one's partnership."""

    name = "spades"
    partners = True
    rules_type = SpadesRules
    state_type = SpadesState
    forced_leads = SEATS  # once for each seat, with spades unbroken and one other card left
    own_features = 3 * SEATS + 2
    bid_names = ("nil",)

    def set_up(self) -> None:
        # As many bids whatever the cards, so that one network can play with any number of them.
        self.bids, self.most_bids, self.opening = RANKS + 1, self.cards + 1, SEATS
        self.lowest, self.highest = self._extremes()

    def _extremes(self) -> tuple[float, float]:
        """The fewest and the most points of a partnership, over all bids and tricks of two partners."""
        bid, other, won, others = torch.cartesian_prod(*[torch.arange(self.cards + 1)] * 4).unbind(-1)
        points = self._partnership_points(
            torch.stack([bid, bid, other, other], -1), torch.stack([won, won, others, others], -1)
        )
        possible = won + others <= self.cards
        if self.rules.capped_bids:
            possible &= bid + other <= self.cards
        return float(points[possible].min()), float(points[possible].max())

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor) -> SpadesState:
        bids = torch.full(hands.shape[:2], -1, dtype=torch.int8, device=hands.device)
        return self.start(hands, index, leader=(dealer + 1) % SEATS, bids=bids, dealer=dealer.to(torch.int8))

    def legal_bids(self, state: SpadesState) -> Tensor:
        if not self.rules.capped_bids:
            return super().legal_bids(state)
        partner = state.bids.gather(1, ((self.mover(state) + 2) & (SEATS - 1))[:, None])[:, 0].clamp(min=0)
        return (1 << (self.cards + 1 - partner).long()) - 1

    def bid(self, state: SpadesState, place: Tensor, bid: Tensor, bidding: Tensor) -> SpadesState:
        made = torch.where(bidding, bid, entries(state.bids, place))
        return replace(state, bids=with_entries(state.bids, place, made))

    def broken(self, state: SpadesState) -> Tensor:
        """[B] bool, spades may be led."""
        if self.rules.lead_spades == "last":
            return torch.zeros_like(state.seen, dtype=torch.bool)
        return state.seen & ALL_SPADES != 0

    def preferences(self, state: SpadesState, led: Tensor) -> list[Tensor]:
        lead = torch.where(self.broken(state), -1, ~ALL_SPADES)
        return [torch.where(led >= 0, self.followed(state, led), lead)]

    def trump(self, state: SpadesState) -> Tensor:
        return torch.full_like(state.leader, SPADES)

    def suit_symmetry(self) -> SuitSymmetry:
        return knowledge.suits_alike(self)

    def points(self, state: SpadesState) -> Tensor:
        return self._partnership_points(state.bids, state.won)

    def _partnership_points(self, bids: Tensor, won: Tensor, bags: Tensor | int = 0) -> Tensor:
        """Bids and tricks won by seat, [B, 4] each, and ``bags`` of earlier games, under 10 -> points of each seat's
        partnership, [B, 4] float32."""
        rules, bids, won = self.rules, bids.clamp(min=0).float(), won.float()
        contract, over = partners(bids), partners(won - bids)
        bags = rules.bag_points * over - rules.bag_penalty * ((bags + over) / 10).floor()
        kept = torch.where(over >= 0, rules.trick_points * contract + bags, -rules.trick_points * contract)
        nil = torch.where(bids == 0, torch.where(won == 0, rules.nil_points, -rules.nil_points), 0)
        return kept + partners(nil)

    def bids_met(self, state: SpadesState) -> Tensor:
        """A nil is met without a trick; another bid if the partnership has as many tricks as it bid."""
        return torch.where(state.bids == 0, state.won == 0, partners(state.won) >= partners(state.bids))

    def own_block(self, state: SpadesState, viewer: Tensor) -> list[Tensor]:
        """Bids, as a fraction, 0 before they are made; who has bid; who has bid nil; tricks that the viewer's and the
        other partnership still need, as a fraction, below 0 for bags."""
        bids = knowledge.by_seat(state.bids, viewer)
        needs = knowledge.by_seat(partners(state.bids.clamp(min=0) - state.won), viewer)[:2]
        return [bids.clamp(min=0) / self.cards, bids >= 0, bids == 0, needs / self.cards]

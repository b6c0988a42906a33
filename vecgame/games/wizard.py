"""Wizard: bid how many tricks you will win, with four wizards that win a trick and four jesters that lose it.

The suit of the next card, turned up, is trump: none for a jester or if all are dealt; for a wizard the dealer names it.
Both may always be played, the first of equals wins. A jester led leaves the suit to the next card, a wizard to none.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import SUITS, Layout, bit
from vecgame.games.checks import check_rules
from vecgame.games.exact_bids import ExactBids
from vecgame.lanes import around, entries, place_of
from vecgame.own_rules import TrickState
from vecgame.philox import Stream

LAYOUT = Layout(extra=8, extra_names=("wizard",) * 4 + ("jester",) * 4)
WIZARD, JESTER, NAME = 52, 56, 21  # the first of four each; the "bid" that names suit 0 trump, after 0 .. 20 tricks


@dataclass(frozen=True)
class WizardRules:
    """What may be changed about Wizard. Raises ValueError on values that make no game."""

    players: int = 4  # 3..6
    cards: int = 5  # dealt to each seat, 1 .. 60 / players
    dealer: str | int = "random"  # a seat, "random" per game, or "rotate" with the game's number; bids last
    hook: bool = False  # the dealer may not make the bids sum to `cards`

    def __post_init__(self) -> None:
        check_rules(self, players=(3, 6))
        check_rules(self, cards=(1, LAYOUT.size // self.players))


@dataclass(frozen=True)
class WizardState(TrickState):
    """B games of Wizard. They begin with decision 1, the first bid, but where the dealer names trump."""

    layout = LAYOUT
    trump: Tensor  # [B] int8, suit 0..3, 4 = none, or not yet named
    bids: Tensor  # [B, P] int8, -1 = not yet made


class Wizard(ExactBids):
    """A bid that is met gives 20 points and 10 a trick; another takes 10 for each trick too many or too few."""

    name, rules_type, state_type = "wizard", WizardRules, WizardState
    free_cards, first_of_equals = LAYOUT.block(SUITS), True
    bid_names = (*(f"bid {tricks}" for tricks in range(NAME)), *(f"name {suit}" for suit in LAYOUT.suit_names))

    def set_up(self) -> None:
        self.bids, self.most_bids = NAME + SUITS, max(SUITS, self.cards + 1)  # for one network at any number of cards
        self.opening, self.last_bid = 1 + self.seats, self.seats
        self.lowest, self.highest, self.own_features = -10.0 * self.cards, 20.0 + 10 * self.cards, 3 * self.seats + 1

    def chance(self) -> dict[str, int]:
        return {**super().chance(), **({"turned": LAYOUT.size - 1} if self.seats * self.cards < LAYOUT.size else {})}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        return {**super().draw(stream, rest), **({"turned": rest[:, 0]} if rest.shape[1] else {})}

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor, turned: Tensor | None = None) -> WizardState:
        seen, turned = (0 * index, 0 * index + JESTER) if turned is None else (bit(turned), turned)
        leader, trump = around(dealer + 1, self.seats), LAYOUT.suit_of(turned).to(torch.int8)
        state = self.start(hands, index, leader, seen=seen, trump=trump)
        return replace(state, made=1 - ((turned >= WIZARD) & (turned < JESTER)).to(torch.int8))

    def mover(self, state: WizardState) -> Tensor:
        """[B] int64. The seat before the leader may name trump; from the leader on bids go round, as plays do."""
        return around(super().mover(state) - (state.made < self.opening).long(), self.seats)

    def trump_named(self, state: WizardState) -> Tensor:
        """[B] bool. Where the dealer does not name it, it is known before decision 1."""
        return state.made > 0

    def legal_bids(self, state: WizardState) -> Tensor:
        return torch.where(state.made == 0, ((1 << SUITS) - 1) << NAME, super().legal_bids(state))

    def bid(self, state: WizardState, place: Tensor, bid: Tensor, bidding: Tensor) -> WizardState:
        naming = bidding & (state.made == 0)
        state = replace(state, trump=torch.where(naming, (bid - NAME).clamp(min=0), state.trump))
        return super().bid(state, place, bid, bidding & ~naming)

    def suit_led(self, state: WizardState, trick: Tensor) -> Tensor:
        turn = around(torch.arange(self.seats, device=trick.device) - state.leader[:, None], self.seats)
        first = torch.where((trick >= 0) & (trick < JESTER), turn, self.seats).argmin(-1)  # the first that is no jester
        suit = LAYOUT.suit_of(entries(trick, place_of(first, self.seats)))
        return torch.where(suit == SUITS, -1, suit)

    def strengths(self) -> Tensor:
        cards = torch.arange(LAYOUT.size)
        return torch.where(cards < WIZARD, super().strengths(), 99 * (cards < JESTER))

    def points(self, state: WizardState) -> Tensor:
        off = (state.bids - state.won).abs()
        return torch.where(off == 0, 20 + 10 * state.won.float(), -10 * off.float())

    def own_block(self, state: WizardState, viewer: Tensor) -> list[Tensor]:
        bids, won = knowledge.by_seat(state.bids, viewer), knowledge.by_seat(state.won, viewer)
        return [bids.clamp(min=0) / self.cards, bids >= 0, (bids - won) / self.cards, state.made == 0]

    def own_columns(self) -> list[tuple[int, str]]:
        bids = (self.seats, "bid of each seat as a fraction, 0 before it is made"), (self.seats, "each seat has bid")
        needs = (self.seats, "tricks that each seat still needs for its bid, as a fraction")
        return [*bids, needs, (1, "trump is to be named")]

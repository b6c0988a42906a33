"""Whist: four hands, two partnerships, follow suit, the highest trump or the highest card of the suit led wins."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing, knowledge
from vecgame.cards import DECK, NO_TRUMP, RANKS, SEATS, TRUMP_NAMES, bit, suit_of
from vecgame.games.checks import check_rules
from vecgame.own_rules import TrickState, partners
from vecgame.philox import Stream
from vecgame.symmetry import SuitSymmetry
from vecgame.tricks import TrickGame

TRUMP_CHOICES = ("turned", "random", "rotate", *TRUMP_NAMES)


@dataclass(frozen=True)
class WhistRules:
    """What may be changed about Whist. Raises ValueError on values that make no game."""

    cards: int = 13  # dealt to each of the four seats, 1..13
    trump: str = "turned"  # of the dealer's last card, which all see; a suit, "none", "random" per game, or "rotate"
    dealer: str | int = "random"  # seat 0..3, "random" per game, or "rotate" with the game's number

    def __post_init__(self) -> None:
        check_rules(self, cards=(1, RANKS))
        if self.trump not in TRUMP_CHOICES:
            raise ValueError(f"trump must be one of {', '.join(TRUMP_CHOICES)}, got {self.trump!r}")
        if self.trump == "turned" and self.cards < RANKS:
            raise ValueError("trump='turned' needs the whole deck dealt, cards=13; name a trump or take 'random'")


@dataclass(frozen=True)
class WhistState(TrickState):
    """B games of Whist."""

    holds: ClassVar = {"turned": "sets"}

    trump: Tensor  # [B] int8, suit 0..3, 4 = none
    turned: Tensor  # [B] int64, the dealer's last card if it was turned up (bitboard of one), else 0
    dealer: Tensor  # [B] int8


class Whist(TrickGame):
    """The seat after the dealer leads. A game is worth the tricks of one's partnership."""

    name = "whist"
    partners = True
    rules_type = WhistRules
    state_type = WhistState
    own_features = DECK + SEATS

    def set_up(self) -> None:
        self.highest, self.sum_of_scores = float(self.cards), 2.0 * self.cards

    def chance(self) -> Mapping[str, int]:
        turned = self.rules.trump == "turned"
        return {"dealer": SEATS - 1} if turned else {"dealer": SEATS - 1, "trump": NO_TRUMP}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        drawn = super().draw(stream, rest)
        if self.rules.trump != "turned":
            drawn["trump"] = dealing.trumps(stream, self.rules.trump, TRUMP_NAMES)
        return drawn

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor, trump: Tensor | None = None) -> WhistState:
        last = hands[:, :, -1].gather(1, dealer[:, None])[:, 0]
        turned = torch.zeros_like(last) if trump is not None else bit(last)
        trump = suit_of(last) if trump is None else trump
        others = torch.arange(SEATS, device=hands.device) != dealer[:, None]
        state = self.start(
            hands,
            index,
            leader=(dealer + 1) % SEATS,
            trump=trump.to(torch.int8),
            turned=turned,
            dealer=dealer.to(torch.int8),
        )
        # Everybody knows that the dealer has it: with all cards dealt, that is to say that nobody else does.
        return replace(state, lacks=torch.where(others, turned[:, None], 0))

    def first_suit(self, state: WhistState) -> Tensor:
        return torch.where(state.trump == NO_TRUMP, 0, state.trump)

    def suit_symmetry(self) -> SuitSymmetry:
        return knowledge.suits_alike(self, own_boards=[0])

    def points(self, state: WhistState) -> Tensor:
        return partners(state.won.float())

    def own_block(self, state: WhistState, viewer: Tensor) -> list[Tensor]:
        return [
            knowledge.cards(state.turned, self.first_suit(state)),
            knowledge.one_hot((state.dealer - viewer) & (SEATS - 1)),
        ]

    def own_columns(self) -> list[tuple[int, str]]:
        return [(DECK, "the card turned up, played or not"), (SEATS, "who dealt")]

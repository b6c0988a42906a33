"""Hearts: take no hearts and not the queen of spades, or take all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import RANKS, SEATS, SUIT_BITS, bit, suit_of
from vecgame.lanes import entries, with_entries
from vecgame.philox import Stream
from vecgame.tricks import TrickGame, TrickState, followed

SPADES, HEARTS, CLUBS, DIAMONDS = range(4)
QUEEN = 1 << (RANKS * SPADES + 10)
ALL_HEARTS = SUIT_BITS << RANKS * HEARTS
POINT_CARDS = ALL_HEARTS | QUEEN
OPENING_CARD = 1 << (RANKS * CLUBS)  # the two of clubs
QUEEN_POINTS = 13
ALL_POINTS = RANKS + QUEEN_POINTS


@dataclass(frozen=True)
class HeartsRules:
    """What may be changed about Hearts. Raises ValueError on values that make no game."""

    queen_breaks: bool = True  # the queen of spades breaks hearts, too
    safe_first_trick: bool = True  # no points on the first trick, for those who hold anything else
    moon: bool = True  # who takes all points takes none, and everybody else takes them all

    def __post_init__(self) -> None:
        for name in ("queen_breaks", "safe_first_trick", "moon"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class HeartsState(TrickState):
    """B games of Hearts."""

    points: Tensor  # [B, 4] int8, points taken


class Hearts(TrickGame):
    """Thirteen cards each, no passing. The two of clubs leads; hearts are led once they are broken, or by who holds
    nothing else. A game is worth 26 less the points against a seat."""

    name = "hearts"
    rules_type = HeartsRules
    state_type = HeartsState
    # The first lead; and once for each seat, with hearts unbroken and one other card left.
    forced_leads = 1 + SEATS
    own_features = SEATS + 2

    def chance(self) -> Mapping[str, int]:
        return {}

    def draw(self, stream: Stream) -> dict[str, Tensor]:
        return {}

    def begin(self, hands: Tensor, index: Tensor) -> HeartsState:
        holder = (bit(hands).sum(-1) & OPENING_CARD != 0).to(torch.int8).argmax(-1)
        points = torch.zeros(hands.shape[:2], dtype=torch.int8, device=hands.device)
        return self.start(hands, index, leader=holder, points=points)

    def broken(self, state: HeartsState) -> Tensor:
        """[B] bool, hearts may be led."""
        return state.seen & (POINT_CARDS if self.rules.queen_breaks else ALL_HEARTS) != 0

    def preferences(self, state: HeartsState, led: Tensor) -> list[Tensor]:
        lead = torch.where(self.broken(state), -1, ~ALL_HEARTS)
        first = torch.where(led >= 0, followed(led), torch.where(state.made == 0, OPENING_CARD, lead))
        if not self.rules.safe_first_trick:
            return [first]
        return [first, torch.where(state.made < SEATS, ~POINT_CARDS, -1)]

    def taken(self, state: HeartsState, trick: Tensor, place: Tensor, complete: Tensor) -> HeartsState:
        worth = (suit_of(trick) == HEARTS) + QUEEN_POINTS * (bit(trick.clamp(min=0)) == QUEEN)
        points = torch.where(complete, worth.sum(-1), 0).to(torch.int8)
        return replace(state, points=with_entries(state.points, place, entries(state.points, place) + points))

    def points(self, state: HeartsState) -> Tensor:
        against = state.points.float()
        if self.rules.moon:
            shot = (state.points == ALL_POINTS).any(-1, keepdim=True)
            against = torch.where(shot, ALL_POINTS - against, against)
        return ALL_POINTS - against

    def worth(self, points: Tensor) -> Tensor:
        return points / ALL_POINTS

    def own_block(self, state: HeartsState, viewer: Tensor) -> list[Tensor]:
        """Points taken by each seat, of 26; hearts are broken; the queen of spades has been played."""
        return [
            knowledge.by_seat(state.points, viewer) / ALL_POINTS,
            self.broken(state),
            state.seen & QUEEN != 0,
        ]

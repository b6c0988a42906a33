"""Whole matches of Blob as one game whose value is the match's outcome, so that an agent plays for the win.

A match of C cards and P players is 2 C - 1 + P games: C, C - 1, .., 1 cards to a seat, P further games of one card,
then 2, .., C; `MatchRules` has other schedules. The dealer moves on with every game. A finished match is worth 1 to the
seat with the most points over all games, shared among those who tie for it, and nothing to the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import DECK
from vecgame.games.blob import DOWN_UP, UP_DOWN, Blob, schedule
from vecgame.games.blob_rules import TURNED, Rules
from vecgame.games.blob_state import BlobState
from vecgame.games.checks import check_rules
from vecgame.games.match import Match, Standing
from vecgame.philox import Stream

MOST_ONES = 8
LEAD_SCALE = 2.0  # of the features that tell how far a seat is ahead, in times the most points of a game, won or lost


@dataclass(frozen=True)
class MatchRules(Rules):
    """The rules of every game of a match; ``cards`` are those of the largest. Dealer "random" or a seat is that of the
    first game, "rotate" follows the match's number; trump "rotate" follows the game's number in its match."""

    schedule: str = DOWN_UP  # cards, .., 1, .., cards; or "up-down": 1, .., cards, .., 1
    # games of one card in a row, in the middle or at either end; 0: players + 1 in the middle, 1 at an end
    ones: int = 0
    games: int = 0  # only the first so many games, 0 = all of them

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule not in (DOWN_UP, UP_DOWN):
            raise ValueError(f"schedule must be {DOWN_UP} or {UP_DOWN}, got {self.schedule!r}")
        check_rules(self, ones=(0, MOST_ONES))
        check_rules(self, games=(0, len(schedule(self.cards, self.players, self.schedule, self.ones))))

    @property
    def hands(self) -> tuple[int, ...]:
        """Cards to a seat in each game of the match."""
        return schedule(self.cards, self.players, self.schedule, self.ones)[: self.games or None]

    @property
    def decisions(self) -> int:
        """Decisions of one match."""
        return sum(self.opening + self.players * cards for cards in self.hands)


@dataclass(frozen=True)
class MatchState(Standing, BlobState):
    """B matches, each in one of its games, which is what `BlobState` holds; `made` counts that game's decisions."""


class BlobMatch(Match, Blob):
    """``BlobMatch(cards=3, players=4)``: 9 games. `scores` and `values` alike are the outcome of a finished match.

    Observations are those of Blob (`vecgame.games.blob_observation`), then how many points each seat is ahead of the
    viewer, over twice the most points of a game and within -4 .. 4, the games left after this one as a share of all,
    and whether this is the last.
    """

    name = "blob-match"
    rules_type = MatchRules
    state_type = MatchState

    def __init__(self, rules: MatchRules | None = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        self.decisions = self.rules.decisions
        self.lead_scale = LEAD_SCALE * max(map(abs, self.rules.range))

    def limits(self) -> tuple[float, int]:
        return math.inf, len(self.rules.hands)

    @property
    def turns(self) -> bool:
        """Whether cards are turned up for trump: -1 for none in games in which all are dealt."""
        return self.rules.trump == TURNED

    # -- beginning a game ---------------------------------------------------------------------------------------------

    def from_hands(
        self,
        hands: Tensor,
        dealer: Tensor | int,
        trump: Tensor | int | None = None,
        index: Tensor | None = None,
        turned: Tensor | int | None = None,
        totals: Tensor | None = None,
        number: int = 0,
    ) -> MatchState:
        """Matches before the first bid of a game with given hands; arguments as for `Blob.from_hands`, and

        Args:
            hands: [B, P, cards of that game] integer card ids.
            totals: [B, P] points of the games before; none by default.
            number: how many games are finished.

        Raises:
            ValueError: as `Blob.from_hands`, on totals of another shape or that cannot be, or a number no game has.
        """
        self._check_number(number)
        shared = {name: getattr(self.rules, name) for name in Rules.__dataclass_fields__}
        one = Blob(**{**shared, "cards": self.rules.hands[number]}).from_hands(hands, dealer, trump, index, turned)
        return self.standing_at(MatchState(**one.tensors(), **self.no_standing(one.index)), totals, number)

    def cut(self, deck: Tensor, stream: Stream) -> tuple[Tensor, Tensor]:
        cards = self._cards_in(stream.number)[:, None, None]
        seat, card = torch.arange(self.seats, device=deck.device)[:, None], torch.arange(self.cards, device=deck.device)
        hands = deck.gather(1, (seat * cards + card).flatten(1).clamp(max=DECK - 1)).view(-1, self.seats, self.cards)
        dealt = self.seats * cards[:, :, 0]
        left = torch.where(dealt < self.deck.bit_count(), deck.gather(1, dealt.clamp(max=DECK - 1)), -1)
        return torch.where(card < cards, hands, -1), left

    def _cards_in(self, number: Tensor) -> Tensor:
        """Cards to a seat in game ``number`` [B] of a match: [B] int64."""
        return _table(self.rules.hands, number.device).index_select(0, number.clamp(max=self.games - 1).long())

    # -- playing it ---------------------------------------------------------------------------------------------------

    def cards_of(self, state: MatchState) -> Tensor:
        return self._cards_in(state.number)

    def game_over(self, state: MatchState) -> Tensor:
        return state.made == self.opening + self.seats * self.cards_of(state)

    def standing_column(self) -> tuple[int, str]:
        return self.seats, f"points that each seat is ahead of the viewer, over {self.lead_scale:g}, within -4 .. 4"

    def standing(self, state: MatchState, viewer: Tensor) -> Tensor:
        totals = knowledge.by_seat(state.totals, viewer)
        return ((totals - totals[0]) / self.lead_scale).clamp(-4, 4)


@cache
def _table(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers, device=device)

"""The matches of Hearts, Spades, Euchre and Whist: when they are over, and what a game adds to the totals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.games.euchre import Euchre, EuchreRules, EuchreState
from vecgame.games.hearts import ALL_POINTS, Hearts, HeartsRules, HeartsState, PassingState
from vecgame.games.match import Limits, Match, Standing
from vecgame.games.spades import Spades, SpadesRules, SpadesState
from vecgame.games.whist import Whist, WhistRules, WhistState
from vecgame.own_rules import partners

BAGS = 10  # of Spades: so many cost the penalty


@dataclass(frozen=True)
class HeartsMatchRules(Limits, HeartsRules):
    """The rules of every game, and when the match is over. The sixteenth game brings somebody to 100."""

    passing: str = "rotate"
    target: int = 100
    games: int = 16


@dataclass(frozen=True)
class HeartsMatchState(Standing, HeartsState):
    """B matches of Hearts without passing."""


@dataclass(frozen=True)
class PassingMatchState(Standing, PassingState):
    """B matches of Hearts in which cards are passed."""


class HeartsMatch(Match, Hearts):
    """Totals are the points taken. Who has the fewest wins when somebody has 100."""

    name = "hearts-match"
    rules_type = HeartsMatchRules
    state_type = HeartsMatchState
    fewest_wins = True
    forced_leads = 2 * Hearts.forced_leads  # at the end of a game and at the beginning of the next

    def set_up(self) -> None:
        super().set_up()
        self.fixed_hands = False
        self.state_type = PassingMatchState if self.passes else HeartsMatchState

    def tally(self, state: HeartsState) -> Tensor:
        return ALL_POINTS - self.points(state)


@dataclass(frozen=True)
class SpadesMatchRules(Limits, SpadesRules):
    """The rules of every game, and when the match is over."""

    target: int = 500
    games: int = 20


@dataclass(frozen=True)
class SpadesMatchState(Standing, SpadesState):
    """B matches of Spades."""

    bags: Tensor  # [B, 4] int8, those of each seat's partnership since it last lost points for ten


class SpadesMatch(Match, Spades):
    """The side that has more when one has 500 wins. Tricks above the bids are counted on from game to game, and each
    ten of them cost their penalty."""

    name = "spades-match"
    rules_type = SpadesMatchRules
    state_type = SpadesMatchState
    carried = (*Match.carried, "bags")
    own_features = Spades.own_features + 2

    def no_standing(self, index: Tensor) -> dict[str, Tensor]:
        bags = torch.zeros(len(index), self.seats, dtype=torch.int8, device=index.device)
        return {**super().no_standing(index), "bags": bags}

    def counted(self, state: SpadesMatchState) -> SpadesMatchState:
        over = partners(state.won - state.bids).clamp(min=0)
        return replace(super().counted(state), bags=(state.bags + over) % BAGS)

    def tally(self, state: SpadesMatchState) -> Tensor:
        return self._partnership_points(state.bids, state.won, state.bags)

    def own_block(self, state: SpadesMatchState, viewer: Tensor) -> list[Tensor]:
        return [*super().own_block(state, viewer), knowledge.by_seat(state.bags, viewer)[:2] / BAGS]

    def own_columns(self) -> list[tuple[int, str]]:
        return [*super().own_columns(), (2, f"bags of the viewer's and the other partnership, of {BAGS}")]


@dataclass(frozen=True)
class EuchreMatchRules(Limits, EuchreRules):
    """The rules of every game, and when the match is over. The nineteenth game brings a side to 10 if every game is
    worth something, which it is unless the dealer may pass."""

    target: int = 10
    games: int = 19


@dataclass(frozen=True)
class EuchreMatchState(Standing, EuchreState):
    """B matches of Euchre."""


class EuchreMatch(Match, Euchre):
    """The side that has 10 first wins. What a side gets the other does not lose."""

    name = "euchre-match"
    rules_type = EuchreMatchRules
    state_type = EuchreMatchState

    def tally(self, state: EuchreState) -> Tensor:
        return self.points(state).clamp(min=0)


@dataclass(frozen=True)
class WhistMatchRules(Limits, WhistRules):
    """The rules of every game, and when the match is over. The ninth game brings a side to 5."""

    target: int = 5
    games: int = 9


@dataclass(frozen=True)
class WhistMatchState(Standing, WhistState):
    """B matches of Whist."""


class WhistMatch(Match, Whist):
    """A side gets a point for each trick above half of them, six of thirteen. The side that has 5 first wins."""

    name = "whist-match"
    rules_type = WhistMatchRules
    state_type = WhistMatchState

    def set_up(self) -> None:
        super().set_up()
        self.forced_leads = self.rules.games if self.cards == 1 else 0  # of games of one card, all

    def tally(self, state: WhistState) -> Tensor:
        return (self.points(state) - self.cards // 2).clamp(min=0)

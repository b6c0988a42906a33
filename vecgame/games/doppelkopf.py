"""Doppelkopf: each of twenty-four cards twice; who holds a queen of clubs plays with who holds the other, untold.

Trumps are, from the highest, the tens of hearts, the queens and the jacks (clubs, spades, hearts, diamonds), and ace,
ten, king and nine of diamonds. The other suits rank ace, ten, king, nine. Of two equal cards the first played wins. Who
held a queen of clubs wins with 121 of the 240 points in the tricks, the others with 120; who held both is alone against
three. The winning side gets 1, and 1 more each if the other has under 90, 60 and 30 points and no trick, and if it beat
two seats with a queen each. The losers pay as much; who is alone gets or pays it three times. Nothing is announced.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vecgame import dealing, knowledge
from vecgame.cards import SEATS, Layout
from vecgame.lanes import entries, with_entries
from vecgame.own_rules import TrickState
from vecgame.tricks import TrickGame

POINTS = {"9": 0, "J": 2, "Q": 3, "K": 4, "10": 10, "A": 11}  # in the order of ranks
JACK, QUEEN, TEN, ACE = 1, 2, 4, 5
HEARTS, CLUBS, DIAMONDS = 1, 2, 3
FACE = torch.arange(2 * 4 * len(POINTS)) // 2  # [48] int64, by card id: the same number for the two copies of a card
SUIT, RANK = FACE // len(POINTS), FACE % len(POINTS)
ABOVE = torch.tensor([2, 1, 3, 0])[SUIT] + torch.where(RANK == JACK, 10, 20)  # the order of the jacks and the queens
POWER = torch.where((RANK == JACK) | (RANK == QUEEN), ABOVE, torch.where((RANK == TEN) & (SUIT == HEARTS), 30, RANK))
OLD = len(POINTS) * CLUBS + QUEEN  # the number of the queens of clubs in `FACE`
ALL_POINTS, NEEDED = 240, 121


@dataclass(frozen=True)
class DoppelkopfRules:
    """What may be changed about Doppelkopf. Raises ValueError on values that make no game."""

    dealer: str | int = "random"  # seat 0..3, "random" per game, or "rotate" with the game's number

    def __post_init__(self) -> None:
        dealing.check_dealer(self.dealer)


@dataclass(frozen=True)
class DoppelkopfState(TrickState):
    """B games of Doppelkopf. A card's two copies are ``12 * suit + 2 * rank`` and one more, written Q and Q'."""

    layout = Layout(4, 2 * len(POINTS), rank_names=tuple(name + copy for name in POINTS for copy in ("", "'")))

    card_points: Tensor  # [B, 4] int16, those in the tricks of each seat
    queens: Tensor  # [B, 4] int8, queens of clubs that each seat has played to tricks that are complete


class Doppelkopf(TrickGame):
    """Twelve cards each; the seat after the dealer leads. A game is worth what one's side gets or pays."""

    name = "doppelkopf"
    rules_type = DoppelkopfRules
    state_type = DoppelkopfState
    first_of_equals = True
    own_features = 2 * SEATS
    sum_of_scores = 0.0
    lowest, highest = -15.0, 15.0  # of who is alone, without a trick for the losers

    def set_up(self) -> None:
        self.cards = 12

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor) -> DoppelkopfState:
        nothing = torch.zeros(hands.shape[:2], dtype=torch.int8, device=hands.device)
        return self.start(hands, index, leader=(dealer + 1) % SEATS, card_points=nothing.short(), queens=nothing)

    def suits_of_cards(self) -> Tensor:
        return torch.where(POWER > ACE, DIAMONDS, SUIT).expand(self.layout.suits + 1, -1)

    def strengths(self) -> Tensor:
        suits, led = self.suits_of_cards()[:, None], torch.arange(self.led_suits)[:, None]
        return POWER + torch.where(suits == DIAMONDS, 60, torch.where(suits == led, 10, 0))

    def taken(self, state: DoppelkopfState, trick: Tensor, place: Tensor, complete: Tensor) -> DoppelkopfState:
        card = trick // 2
        points = sum(points * (card % len(POINTS) == rank) for rank, points in enumerate(POINTS.values()))
        points = entries(state.card_points, place) + torch.where(complete, points.sum(-1), 0).short()
        queens = state.queens + (complete[:, None] & (card == OLD))
        return replace(state, card_points=with_entries(state.card_points, place, points), queens=queens)

    def points(self, state: DoppelkopfState) -> Tensor:
        old = state.queens > 0  # [B, 4], those who play together for 121
        points, tricks = ((field * old).sum(-1, keepdim=True) for field in (state.card_points, state.won))
        won, alone = points >= NEEDED, old.sum(-1, keepdim=True) == 1
        points, tricks = torch.where(won, ALL_POINTS - points, points), torch.where(won, self.tricks - tricks, tricks)
        worth = 1 + sum((points < step).float() for step in (90, 60, 30)) + (tricks == 0) + ~(won | alone)
        return torch.where(old == won, worth, -worth) * torch.where(old & alone, 3, 1)

    def own_block(self, state: DoppelkopfState, viewer: Tensor) -> list[Tensor]:
        queens = state.queens + (state.trick // 2 == OLD)
        return [knowledge.by_seat(queens, viewer) / 2, knowledge.by_seat(state.card_points, viewer) / ALL_POINTS]

    def own_columns(self) -> list[tuple[int, str]]:
        played = (SEATS, "queens of clubs that each seat has played, of 2")
        return [played, (SEATS, f"points in the tricks of each seat, of {ALL_POINTS}")]

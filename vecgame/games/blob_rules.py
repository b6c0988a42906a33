"""The rules of Blob as data, and scoring as a function of tensors.

This is the one place to edit for a house rule: a field of `Rules`, or `score`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vecgame.cards import NO_TRUMP, RANKS, SEATS, SUITS, TRUMP_NAMES
from vecgame.dealing import check_dealer

TURNED = "turned"  # the trump rule by which the next card of the deck is turned up after the deal
TRUMP_CHOICES = ("random", "rotate", TURNED, *TRUMP_NAMES)
FEWEST_PLAYERS, MOST_PLAYERS = 3, 7


@dataclass(frozen=True)
class Rules:
    """What may be changed about Blob without touching code. Raises ValueError on values that make no game."""

    cards: int = 5  # dealt to each seat, 1..13
    # a suit or "none" (0..4 likewise), "random" per game, "rotate" over a match, or the suit of a card "turned" up
    trump: str | int = "random"
    dealer: str | int = "random"  # a seat, "random" per game, or "rotate" over a match
    hook: bool = True  # the dealer may not make the bids sum to `cards`
    exact_bonus: float = 10.0  # points for winning exactly the tricks bid
    points_per_trick: float = 1.0  # points for each trick won, when the bid was met
    miss_points_per_trick: float = 0.0  # points for each trick won, when the bid was missed
    miss_penalty: float = 0.0  # points lost for each trick above or below the bid
    suits: int = SUITS  # the first 1..4 of spades, hearts, clubs, diamonds
    ranks: int = RANKS  # the lowest 1..13 ranks of each suit, two upwards
    players: int = SEATS  # 3..7 seats

    def __post_init__(self) -> None:
        limits = {
            "cards": (1, RANKS),
            "suits": (1, SUITS),
            "ranks": (1, RANKS),
            "players": (FEWEST_PLAYERS, MOST_PLAYERS),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
        if self.players * self.cards > self.suits * self.ranks:
            raise ValueError(
                f"cards={self.cards} to each of {self.players} seats needs {self.players * self.cards} cards, "
                f"but the deck has {self.suits} suits x {self.ranks} ranks = {self.suits * self.ranks}"
            )
        object.__setattr__(self, "trump", self._canonical_trump())
        if self.trump == TURNED and self.players * self.cards == self.suits * self.ranks:
            raise ValueError(
                f"trump 'turned' needs a card that is not dealt, but {self.players} seats x {self.cards} cards are the "
                f"whole deck of {self.suits * self.ranks}"
            )
        check_dealer(self.dealer, self.players)
        if not isinstance(self.hook, bool):
            raise ValueError(f"hook must be True or False, got {self.hook!r}")
        if self.max_score <= 0:
            raise ValueError("exact_bonus + points_per_trick * cards must be positive: it is the scale of all values")

    def _canonical_trump(self) -> str:
        trump = self.trump
        if isinstance(trump, int) and not isinstance(trump, bool) and 0 <= trump <= NO_TRUMP:
            trump = TRUMP_NAMES[trump]
        if trump not in TRUMP_CHOICES:
            raise ValueError(f"trump must be one of {', '.join(TRUMP_CHOICES)} or 0..4, got {self.trump!r}")
        if trump in self.trumps or trump in ("random", "rotate", TURNED):
            return trump
        raise ValueError(f"trump {trump!r} is not a suit of a deck with suits={self.suits}")

    @property
    def trumps(self) -> tuple[str, ...]:
        """The trumps of a match in rotation: each suit of the deck, then none."""
        return (*TRUMP_NAMES[: self.suits], TRUMP_NAMES[NO_TRUMP])

    @property
    def max_score(self) -> float:
        """The most points one game can give, and the divisor of every value in search and learning."""
        return self.exact_bonus + self.points_per_trick * self.cards

    @property
    def decisions(self) -> int:
        """Decisions of one game: a bid and `cards` plays by each seat."""
        return self.players * (1 + self.cards)


def score(rules: Rules, bids: Tensor, won: Tensor) -> Tensor:
    """Points of a finished game.

    Args:
        rules: the scoring fields of `Rules`.
        bids: [..., P] tricks bid.
        won: [..., P] tricks won.

    Returns:
        [..., P] float32.
    """
    bids, won = bids.float(), won.float()
    exact = rules.exact_bonus + rules.points_per_trick * won
    miss = rules.miss_points_per_trick * won - rules.miss_penalty * (bids - won).abs()
    return torch.where(bids == won, exact, miss)

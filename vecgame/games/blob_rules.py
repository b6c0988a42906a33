"""The rules of Blob as data, and scoring as a function of tensors.

A house rule is a field of `Rules`; a scoring of one's own is a function, given as the field ``scoring``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vecgame.cards import NO_TRUMP, RANKS, SEATS, SUITS, TRUMP_NAMES
from vecgame.games.checks import check_rules
from vecgame.loading import absolute, load

TURNED, BIDDER = "turned", "bidder"  # trump rules: of the next card, turned up; named by the highest bidder
TRUMP_CHOICES = ("random", "rotate", TURNED, BIDDER, *TRUMP_NAMES)
TURN, ONCE = "turn", "once"
OWN, FOREHEAD, BLIND = "own", "forehead", "blind"
LIMITS = {"suits": (1, SUITS), "ranks": (1, RANKS), "players": (2, 8)}
LIMITS |= dict.fromkeys(("hook_from", "hook_to", "sight_to"), (1, SUITS * RANKS))


@dataclass(frozen=True)
class Rules:
    """What may be changed about Blob without touching code. Raises ValueError on values that make no game."""

    cards: int = 5  # dealt to each seat, 1..13, or as many as the deck has for few players, 17 for three
    # a suit or "none" (0..4 likewise), "random" per game, "rotate" over a match, the suit of a card "turned" up (none
    # when all cards are dealt), or as the highest "bidder" says, the first of several
    trump: str | int = "random"
    dealer: str | int = "random"  # a seat, "random" per game, or "rotate" over a match
    hook: bool = True  # the dealer may not make the bids sum to `cards`
    hook_from: int = 1  # in games of so many cards to a seat or more,
    hook_to: int = 52  # and of so many or fewer
    bidding: str = TURN  # or "once": nobody knows the others' bids before all are made; without the hook
    sight: str = (
        OWN  # while bidding a seat sees its own cards, on its "forehead" only those of the others, "blind" none
    )
    sight_to: int = 1  # that is not its own: in games of so many cards to a seat or fewer
    exact_bonus: float = 10.0  # points for winning exactly the tricks bid
    points_per_trick: float = 1.0  # points for each trick won, when the bid was met
    points_per_square: float = 0.0  # points for the tricks won times themselves, when the bid was met
    zero_bonus: float | None = None  # points for winning no trick as bid; None: `exact_bonus`
    miss_points_per_trick: float = 0.0  # points for each trick won, when the bid was missed
    miss_penalty: float = 0.0  # points lost for each trick above or below the bid
    miss_step: float = 0.0  # points lost for the first of these, twice as many for the second, and so on
    # In place of all these points: a function of bids and tricks won, both [..., P] float32 -> [..., P] points, of each
    # seat by its own bid and tricks; or where one is found, FILE.py:NAME. "": none.
    scoring: str | Callable[[Tensor, Tensor], Tensor] = ""
    suits: int = SUITS  # the first 1..4 of spades, hearts, clubs, diamonds
    ranks: int = RANKS  # the lowest 1..13 ranks of each suit, two upwards
    players: int = SEATS  # 2..8 seats

    def __post_init__(self) -> None:
        check_rules(self, **LIMITS)
        check_rules(self, cards=(1, max(RANKS, self.suits * self.ranks // self.players)))
        if self.players * self.cards > self.suits * self.ranks:
            raise ValueError(
                f"cards={self.cards} to each of {self.players} seats needs {self.players * self.cards} cards, "
                f"but the deck has {self.suits} suits x {self.ranks} ranks = {self.suits * self.ranks}"
            )
        object.__setattr__(self, "trump", self._canonical_trump())
        for name, choices in (("bidding", (TURN, ONCE)), ("sight", (OWN, FOREHEAD, BLIND))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.hook_from > self.hook_to:  # `cards` may lie below or above both, as those of some games of a match do
            raise ValueError(
                f"hook_from must be at most hook_to={self.hook_to}, got {self.hook_from}; hook=False plays without it"
            )
        if self.hook and self.bidding == ONCE:
            raise ValueError("bidding 'once' needs hook=False: the dealer does not know the other bids")
        if not isinstance(self.scoring, str) and not callable(self.scoring):
            raise ValueError(f"scoring must be FILE.py:NAME or a function of bids and tricks won, got {self.scoring!r}")
        if isinstance(self.scoring, str):
            object.__setattr__(self, "scoring", absolute(self.scoring))
        _ = self.range  # refuses points that are no scale

    def _canonical_trump(self) -> str:
        trump = self.trump
        if isinstance(trump, int) and not isinstance(trump, bool) and 0 <= trump <= NO_TRUMP:
            trump = TRUMP_NAMES[trump]
        if trump not in TRUMP_CHOICES:
            raise ValueError(f"trump must be one of {', '.join(TRUMP_CHOICES)} or 0..4, got {self.trump!r}")
        if trump in self.trumps or trump not in TRUMP_NAMES:
            return trump
        raise ValueError(f"trump {trump!r} is not a suit of a deck with suits={self.suits}")

    @property
    def trumps(self) -> tuple[str, ...]:
        """The trumps of a match in rotation: each suit of the deck, then none."""
        return (*TRUMP_NAMES[: self.suits], TRUMP_NAMES[NO_TRUMP])

    @property
    def opening(self) -> int:
        """Decisions before the first trick: a bid of each seat, and what is trump where a bidder says it."""
        return self.players + (self.trump == BIDDER)

    @property
    def decisions(self) -> int:
        """Decisions of one game: the opening and `cards` plays by each seat."""
        return self.opening + self.players * self.cards

    @cached_property
    def range(self) -> tuple[float, float]:
        """The fewest and the most points that one game can give, over all bids and tricks won: (low, high).

        Raises:
            ValueError: if they are not numbers, or the same, or depend on what other seats bid and win.
        """
        pairs = torch.cartesian_prod(*[torch.arange(self.cards + 1)] * 2)  # [N, 2] int64, a bid and tricks won
        alike = torch.arange(len(pairs))[:, None].expand(-1, self.players)  # [N, P], the pair of each seat
        points = self._scored(*pairs[alike].unbind(-1))
        if not points.isfinite().all():
            bid, tricks = pairs[alike[~points.isfinite()][0]].tolist()
            raise ValueError(f"a bid of {bid} with {tricks} tricks won scores {float(points[~points.isfinite()][0])}")
        steps = (1, self.cards + 2) if self.scoring else ()  # to the next seat's pair: other tricks, and another bid
        for step in steps:
            others = (alike + step * torch.arange(self.players)) % len(pairs)
            if not self._scored(*pairs[others].unbind(-1)).allclose(points.gather(0, others)):
                raise ValueError("scoring must give a seat points for its own bid and tricks, whatever the others have")
        low, high = float(points.min()), float(points.max())
        if not low < high:
            raise ValueError(f"every bid scores {high:g}, whatever is won: points must be able to differ")
        return low, high

    def _scored(self, bids: Tensor, won: Tensor) -> Tensor:
        """`score`; raises ValueError where a function of one's own fails, or gives points of another shape."""
        try:
            points = score(self, bids, won)
        except Exception as error:  # whatever one's own function makes of it
            raise ValueError(f"scoring {self.scoring} fails: {type(error).__name__}: {error}") from error
        if points.shape != bids.shape:
            raise ValueError(
                f"scoring must give points of the shape of bids, {list(bids.shape)}, not {list(points.shape)}"
            )
        return points


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
    if rules.scoring:
        function = load(rules.scoring) if isinstance(rules.scoring, str) else rules.scoring
        return torch.as_tensor(function(bids, won)).float()
    exact = rules.exact_bonus + rules.points_per_trick * won
    if rules.points_per_square:
        exact = exact + rules.points_per_square * won * won
    if rules.zero_bonus is not None:
        exact = torch.where(won == 0, rules.zero_bonus, exact)
    off = (bids - won).abs()
    miss = rules.miss_points_per_trick * won - rules.miss_penalty * off
    if rules.miss_step:
        miss = miss - rules.miss_step * off * (off + 1) / 2
    return torch.where(bids == won, exact, miss)

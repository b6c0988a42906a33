"""Whole matches as one game whose value is the match's outcome, so that an agent plays for the win.

A match is one deal of its game after the other, the dealer moving on, until a total reaches the target or so many
games have been played. A finished match is worth 1 to the winner, or to each partner of the winning side, shared among
those who tie, and nothing to the others.

The cards of later games are as hidden as the other hands are: `future` names them, and every world draws its own. So a
search may look past the end of a game, into the games of its worlds, and its evaluator judges what the standing is
worth there. At the end of a match values are exact.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from vecgame import dealing, hidden, knowledge
from vecgame.games.checks import MOST_POINTS, check_rules
from vecgame.hidden import Hidden
from vecgame.lanes import around, working
from vecgame.own_rules import TrickState
from vecgame.philox import LATER_BITS, Stream, check_count, check_seed, whole
from vecgame.state import State
from vecgame.tricks import TrickGame

MOST_WORLDS = 1 << 16
MOST_GAMES = 127
# What may be lost of totals when float32 adds their games, as a share; no more than this, so that whole points count.
ROUNDED, MOST_ROUNDED = 2.0**-18, 0.01


@dataclass(frozen=True)
class Limits:
    """When a match is over. Dealer "random" or a seat is that of the first game, "rotate" follows the match's number;
    other rules that "rotate" follow the game's number in its match."""

    target: int  # points in all: who has them ends the match
    games: int  # after so many games it is over, too

    def __post_init__(self) -> None:
        if hasattr(super(), "__post_init__"):  # the rules of a game need not check anything
            super().__post_init__()
        check_rules(self, target=(1, MOST_POINTS), games=(1, MOST_GAMES))


@dataclass(frozen=True)
class Standing(State):
    """What a match adds to the state of its game, whose fields are those of the game that is on."""

    totals: Tensor  # [B, P] float32, points of the finished games
    number: Tensor  # [B] int8, how many games are finished
    future: Tensor  # [B] int64, 0 <= future < 2**56: with the game's number it fixes what is dealt; nobody knows it


class Match(TrickGame):
    """Makes matches of a game: ``class HeartsMatch(Match, Hearts)``, with a state that is a `Standing`, too, and rules
    that are `Limits`. If the game has a dealer, the state has a field `dealer` [B] int8: where the game itself forgets
    who dealt, that of a match adds it. `scores` and `values` alike are the outcome of a finished match.

    Observations are those of the game, then the totals of all seats, by the target and within -4 .. 4, the games that
    may be left after this one as a share of all, and whether this is the last.
    """

    fixed_hands = False  # every game is dealt anew
    unit = "wins"
    sum_of_scores = None  # of a game; shares of a match's win may be rounded
    fewest_wins = False
    carried: tuple[str, ...] = ("totals", "number", "future")  # what is not begun anew with a game

    def __init__(self, rules: object = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        self.has_dealer = "dealer" in self.chance()
        self._check_parts()
        self.target, self.games = self.limits()
        self.largest = max(abs(self.lowest), abs(self.highest))  # points of one game
        self.reached = self.target - min(ROUNDED * max(self.largest, self.target), MOST_ROUNDED)
        self.decisions *= self.games
        self.lowest, self.highest = 0.0, 1.0
        self.sum_of_scores = type(self).sum_of_scores  # not what the game has set for itself
        self.plain = False  # after the last trick of a game there is another

    def _check_parts(self) -> None:
        """Raises ValueError unless the state is one of matches."""
        name, state = type(self).__name__, self.state_type
        if not issubclass(state, Standing):
            raise ValueError(f"{name} plays on a {state.__name__}, which must be a Standing, too")
        if self.has_dealer and "dealer" not in {field.name for field in fields(state)}:
            raise ValueError(f"{name} must know who deals next: its {state.__name__} needs a field dealer, [B] int8")

    def limits(self) -> tuple[float, int]:
        """The total that ends a match, and the most games of one."""
        if not isinstance(self.rules, Limits):
            name, rules = type(self).__name__, type(self.rules).__name__
            raise ValueError(f"{name} ends by no rule: its rules are {rules}, which must be Limits, too")
        return self.rules.target, self.rules.games

    def sitting(self, games: int = 0) -> tuple[TrickGame, ...]:
        """One match, or so many."""
        return (self,) * (games or 1)

    # -- beginning a game ---------------------------------------------------------------------------------------------

    def deal(
        self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0
    ) -> TrickState:
        """Begins matches ``first_index`` .. ``first_index + batch_size - 1`` of the run that ``seed`` names."""
        stream = dealing.numbers(batch_size, seed, device, first_index)
        future, number = dealing.future_of(stream), torch.zeros_like(stream.game)
        dealer = self.dealers(stream) if self.has_dealer else None
        return replace(self._deal_game(stream.game, future, number, dealer), future=future)

    def from_hands(
        self,
        hands: Tensor,
        index: Tensor | None = None,
        totals: Tensor | None = None,
        number: int = 0,
        **given: Tensor | int,
    ) -> TrickState:
        """Matches at the beginning of a game with given hands; arguments as for the game, and

        Args:
            totals: [B, P] points of the games before, the same for partners; none by default.
            number: how many games are finished. What is not given and goes round is that of this game of the match,
                its dealer so many seats after the first game's; other things are drawn.

        Raises:
            ValueError: as the game, on totals of another shape, that cannot be or of a match that is over, or a number
                no game has.
        """
        self._check_number(number)
        hands = dealing.checked_hands(hands, self.deck, self.cards, self.seats, self.layout)
        match = dealing.given_games(index, hands)
        if self.has_dealer and "dealer" not in given:
            given["dealer"] = (self.dealers(match) + number) % self.seats
        game = self.later(match.game, torch.full_like(match.game, number))
        return self.standing_at(super().from_hands(hands, game, **given), totals, number)

    def standing_at(self, state: TrickState, totals: Tensor | None, number: int) -> TrickState:
        """The state with these `totals` and ``number`` games finished; see `from_hands`."""
        self._check_number(number)
        totals = torch.zeros_like(state.totals) if totals is None else self._checked_totals(totals, state)
        if (totals >= self.reached).any():
            raise ValueError(f"totals must be below {self.target}, where a match ends")
        return replace(
            state,
            totals=totals,
            number=torch.full_like(state.made, number),
            future=dealing.future_of(Stream(0, state.index, torch.zeros_like(state.index))),
        )

    def _checked_totals(self, totals: Tensor, state: TrickState) -> Tensor:
        """Given totals as float32. Raises ValueError on those of another shape, or that no match can have."""
        seats = state.totals.shape[1]
        wanted = f"totals must be {list(state.totals.shape)} points"
        given = dealing.tensor_of(totals, wanted, state.device)
        if given.shape != state.totals.shape or given.is_complex():
            got = f"{given.dtype}" if given.is_complex() else f"shape {list(given.shape)}"
            raise ValueError(f"{wanted}, got {got}")
        totals = given.float()
        if (wrong := ~totals.isfinite()).any():
            raise ValueError(f"totals must be finite, got {float(totals[wrong][0])}")
        if self.partners and (wrong := (totals != totals.roll(seats // 2, -1)).any(-1)).any():
            got = totals[wrong][0].tolist()
            raise ValueError(f"totals must be the same for partners, such as seats 0 and {seats // 2}, got {got}")
        return totals

    def _check_number(self, number: int) -> None:
        """Raises ValueError unless it is the number of a game of the match."""
        if whole(number, -1) not in range(self.games):
            raise ValueError(f"number must be from 0 to {self.games - 1}, got {number!r}")

    def start(self, hands: Tensor, index: Tensor, leader: Tensor, **own: Tensor) -> TrickState:
        dealer = {"dealer": torch.zeros_like(index, dtype=torch.int8)} if self.has_dealer else {}
        return super().start(hands, index, leader, **{**dealer, **self.no_standing(index), **own})

    def begin(self, hands: Tensor, index: Tensor, **drawn: Tensor) -> TrickState:
        state = super().begin(hands, index, **drawn)
        return replace(state, dealer=drawn["dealer"].to(torch.int8)) if self.has_dealer else state

    def no_standing(self, index: Tensor) -> dict[str, Tensor]:
        """The fields that are `carried`, before the first of matches ``index`` [B] int64."""
        totals = torch.zeros(len(index), self.seats, dtype=torch.float32, device=index.device)
        return {
            "totals": totals,
            "number": torch.zeros_like(index, dtype=torch.int8),
            "future": torch.zeros_like(index),
        }

    def _deal_game(self, index: Tensor, future: Tensor, number: Tensor, dealer: Tensor | None) -> TrickState:
        """Game ``number`` [B] int64 of each match, before its first decision; ``dealer`` [B] int64, if it has one."""
        given = {} if dealer is None else {"dealer": dealer}
        return self.deal_by(self.later(future, number), index, **given)

    def later(self, future: Tensor, number: Tensor) -> Stream:
        """The numbers that deal game ``number`` [B] int64 of each match, by its `Standing.future`."""
        return LaterGame(0, future, number)

    # -- playing it ---------------------------------------------------------------------------------------------------

    def turn(self, state: TrickState) -> Tensor:
        """A number of its own for each decision of a match: [B] int64."""
        return super().turn(state) | (state.number.long() << LATER_BITS)

    def is_terminal(self, state: TrickState) -> Tensor:
        return (state.number == self.games) | (state.totals >= self.reached).any(-1)

    def game_over(self, state: TrickState) -> Tensor:
        """[B] bool, the last card of the game that is on has been played."""
        return state.made == self.length

    def stands_still(self, state: TrickState) -> Tensor:
        return self.is_terminal(state) | self.game_over(state)

    def step(self, state: TrickState, action: Tensor) -> TrickState:
        """As of the game; after its last card its points are counted and the next game is dealt."""
        after = super().step(state, action)
        ended = self.game_over(after) & ~self.is_terminal(after)
        lanes = working(ended)
        if lanes is not None and len(lanes) == 0:
            return after
        following = self._following(after.take(lanes))
        return after.put(lanes, following) if lanes is not None else following.where(ended, after)

    def _following(self, state: TrickState) -> TrickState:
        """What comes after games that have just ended: the next game, or the end of the match."""
        counted = self.counted(state)
        dealer = around(state.dealer + 1, self.seats).long() if self.has_dealer else None
        dealt = self._deal_game(state.index, state.future, counted.number.long(), dealer)
        dealt = replace(dealt, **{name: getattr(counted, name) for name in self.carried})
        return counted.where(self.is_terminal(counted), dealt)

    def counted(self, state: TrickState) -> TrickState:
        """States at the end of a game with that game counted among the finished."""
        return replace(state, totals=state.totals + self.tally(state), number=state.number + 1)

    def tally(self, state: TrickState) -> Tensor:
        """What a finished game adds to the totals: [B, P] float32."""
        return self.points(state)

    # -- ending it ----------------------------------------------------------------------------------------------------

    def scores(self, state: TrickState) -> Tensor:
        """The outcome for each absolute seat, 1 in all or to each side: [B, P] float32; 0 before the end. Totals tie
        that differ by no more than what their rounding may make of the same points in another order."""
        totals = -state.totals if self.fewest_wins else state.totals
        size = totals.abs().amax(-1, keepdim=True).clamp(min=self.largest)
        rounding = (ROUNDED * size).clamp(max=MOST_ROUNDED)
        winners = (totals >= totals.amax(-1, keepdim=True) - rounding).float()
        share = (2 if self.partners else 1) * winners / winners.sum(-1, keepdim=True)
        return torch.where(self.is_terminal(state)[:, None], share, 0.0)

    def tricks_won(self, state: TrickState) -> None:
        """Not told: a match's decisions are in games whose tricks its last state no longer has."""
        return None

    # -- what a player knows ------------------------------------------------------------------------------------------

    def observe(self, state: TrickState, seat: Tensor | None = None) -> Tensor:
        viewer = self.mover(state) if seat is None else seat
        left = (self.games - 1 - state.number.long()).clamp(min=0)
        told = torch.cat([self.standing(state, viewer), (left / self.games)[None], (left == 0)[None]]).t().float()
        return torch.cat([super().observe(state, viewer), told], dim=-1)

    @functools.cached_property
    def features(self) -> int:
        """Columns of an observation: those of the game, and two more than seats."""
        return super().features + self.seats + 2

    def _own_fields(self) -> list[str]:
        standing = {field.name for field in fields(Standing)}
        return [name for name in super()._own_fields() if name not in standing]

    def standing(self, state: TrickState, viewer: Tensor) -> Tensor:
        """Features of the totals for seat ``viewer`` [B] int64: [P, B] float32."""
        return (knowledge.by_seat(state.totals, viewer) / self.target).clamp(-4, 4)

    def columns(self) -> list[tuple[int, str]]:
        left = (1, "games that may be left after this one, as a share of all"), (1, "this is the last game")
        return [*super().columns(), self.standing_column(), *left]

    def standing_column(self) -> tuple[int, str]:
        """What `standing` tells."""
        return self.seats, f"total of each seat, of {self.target}, within -4 .. 4"

    def hidden(self, state: TrickState) -> dict[str, Hidden]:
        """Nobody knows what is dealt later."""
        later = Hidden(hidden.nobody(state.future, self.seats), holds="number", place=False)
        return {**super().hidden(state), "future": later}

    def determinize(self, state: TrickState, count: int = 3, seed: int = 0) -> TrickState:
        """As of the game, and another future in each world."""
        if (count := check_count(count)) > MOST_WORLDS:
            raise ValueError(f"count must be at most {MOST_WORLDS}, got {count}")
        seed = check_seed(seed)
        worlds = super().determinize(state, count, seed)
        # Further on in the stream than `deal` reads: under its seed, the first world of a match would hold the truth.
        stream = Stream.of_worlds(seed, state.index, self.turn(state), count).at(1)
        return replace(worlds, future=dealing.future_of(stream))


class LaterGame(Stream):
    """The numbers of a game of a match: `game` is the match's future, `stream` the game's number in the match."""

    @property
    def number(self) -> Tensor:
        return self.stream

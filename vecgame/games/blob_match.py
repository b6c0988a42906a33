"""Whole matches of Blob as one game whose value is the match's outcome, so that an agent plays for the win.

A match of C cards and P players is 2 C - 1 + P games: C, C - 1, .., 1 cards to a seat, P further games of one card,
then 2, .., C; `MatchRules` has other schedules. The dealer moves on with every game. A finished match is worth 1 to the
seat with the most points over all games, shared among those who tie for it, and nothing to the others.

The cards of later games are as hidden as the other hands are: `future` names them, and every world draws its own. So a
search may look past the end of a game, into the games of its worlds, and its evaluator judges what the standing is
worth there. In the last game the ends have their exact value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing, hidden
from vecgame.cards import DECK, NO_TRUMP, bit, suit_of
from vecgame.games import blob_observation
from vecgame.games.blob import Blob
from vecgame.games.blob_rules import BIDDER, TURNED, Rules, score
from vecgame.games.blob_state import BlobState
from vecgame.hidden import Hidden
from vecgame.lanes import around, entries, working
from vecgame.philox import Purpose, Stream

GAME_SHIFT = 24  # of a game's number in `BlobMatch.turn`: above `Stream`'s bits for the decision and 2**16 worlds
MOST_WORLDS = 1 << 16
DOWN_UP, UP_DOWN = "down-up", "up-down"
MOST_ONES = 8
LEAD_SCALE = 2.0  # of the features that tell how far a seat is ahead, in times the most points of a game, won or lost
OWN_FEATURES = 2  # beside one for each seat


def schedule(cards: int, players: int, order: str = DOWN_UP, ones: int = 0) -> tuple[int, ...]:
    """Cards to a seat in each game of a match; ``ones`` games of one card in a row, 0 = as many as is usual."""
    if order == DOWN_UP:
        return (*range(cards, 1, -1), *[1] * (ones or players + 1), *range(2, cards + 1))
    end = [1] * (ones or 1)
    return (*end, *range(2, cards + 1), *range(cards - 1, 1, -1), *(end if cards > 1 else []))


@dataclass(frozen=True)
class MatchRules(Rules):
    """The rules of every game of a match; ``cards`` are those of the largest. Dealer "random" or a seat is that of the
    first game, "rotate" follows the match's number; trump "rotate" follows the game's number in its match."""

    schedule: str = DOWN_UP  # cards, .., 1, .., cards; or "up-down": 1, .., cards, .., 1
    ones: int = (
        0  # games of one card in a row, in the middle or at either end; 0: players + 1 in the middle, 1 at an end
    )
    games: int = 0  # only the first so many games, 0 = all of them

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule not in (DOWN_UP, UP_DOWN):
            raise ValueError(f"schedule must be {DOWN_UP} or {UP_DOWN}, got {self.schedule!r}")
        if isinstance(self.ones, bool) or not isinstance(self.ones, int) or not 0 <= self.ones <= MOST_ONES:
            raise ValueError(f"ones must be an integer from 0 to {MOST_ONES}, got {self.ones!r}")
        most = len(schedule(self.cards, self.players, self.schedule, self.ones))
        if isinstance(self.games, bool) or not isinstance(self.games, int) or not 0 <= self.games <= most:
            raise ValueError(f"games must be an integer from 0 (all) to {most}, got {self.games!r}")

    @property
    def hands(self) -> tuple[int, ...]:
        """Cards to a seat in each game of the match."""
        return schedule(self.cards, self.players, self.schedule, self.ones)[: self.games or None]

    @property
    def decisions(self) -> int:
        """Decisions of one match."""
        return sum(self.opening + self.players * cards for cards in self.hands)


@dataclass(frozen=True)
class MatchState(BlobState):
    """B matches, each in one of its games, which is what `BlobState` holds; `made` counts that game's decisions."""

    holds: ClassVar = {"future": "number"}

    totals: Tensor  # [B, P] float32, points of the finished games
    number: Tensor  # [B] int8, how many games are finished
    future: Tensor  # [B] int64, 0 <= future < 2**56: with the game's number it fixes what is dealt; nobody knows it


class BlobMatch(Blob):
    """``BlobMatch(cards=3, players=4)``: 9 games. `scores` and `values` alike are the outcome of a finished match.

    Observations are those of Blob (`vecgame.games.blob_observation`), then how many points each seat is ahead of the
    viewer, over twice the most points of a game and within -4 .. 4, the games left after this one as a share of all,
    and whether this is the last.
    """

    name = "blob-match"
    fixed_hands = False  # every game is dealt anew
    rules_type = MatchRules

    def __init__(self, rules: MatchRules | None = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        self.games, self.decisions = len(self.rules.hands), self.rules.decisions
        self.lowest, self.highest = 0.0, 1.0
        self.lead_scale = LEAD_SCALE * max(map(abs, self.rules.range))
        self.features += self.seats + OWN_FEATURES

    # -- beginning a game ---------------------------------------------------------------------------------------------

    def deal(
        self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0
    ) -> MatchState:
        """Begins matches ``first_index`` .. ``first_index + batch_size - 1`` of the run that ``seed`` names."""
        stream = dealing.numbers(batch_size, seed, device, first_index)
        index = stream.game
        dealer = dealing.dealers(stream, self.rules.dealer, self.seats)
        totals = torch.zeros(batch_size, self.seats, device=index.device)
        return self._deal_game(index, _future(stream), torch.zeros_like(index), totals, dealer)

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
            ValueError: as `Blob.from_hands`, on totals of another shape, or a number that no game has.
        """
        if number not in range(self.games):
            raise ValueError(f"number must be from 0 to {self.games - 1}, got {number!r}")
        shared = {name: getattr(self.rules, name) for name in Rules.__dataclass_fields__}
        one = Blob(**{**shared, "cards": self.rules.hands[number]}).from_hands(hands, dealer, trump, index, turned)
        if totals is None:
            totals = torch.zeros_like(one.bids)
        if totals.shape != one.bids.shape:
            raise ValueError(f"totals must be [{len(one.bids)}, {self.seats}] points, got shape {list(totals.shape)}")
        return MatchState(
            **one.tensors(),
            totals=totals.to(one.device, torch.float32),
            number=torch.full_like(one.made, number),
            future=_future(Stream(0, one.index, torch.zeros_like(one.index))),
        )

    def _deal_game(self, index: Tensor, future: Tensor, number: Tensor, totals: Tensor, dealer: Tensor) -> MatchState:
        """Game ``number`` [B] int64 of each match, before its first bid; ``dealer`` [B] int64."""
        stream = Stream(0, future, number)
        deck = dealing.shuffled(stream, self.deck)
        cards = self._cards_in(number)
        place = torch.arange(DECK, device=index.device) // cards[:, None]  # whose card: P and above are nobody's
        hands = torch.zeros(len(index), self.seats + 1, dtype=torch.int64, device=index.device)
        hands = hands.scatter_add(1, place.clamp(max=self.seats), bit(deck))[:, :-1]
        seen = torch.zeros_like(index)
        if self.rules.trump == TURNED:
            dealt = self.seats * cards
            turned, every = deck.gather(1, dealt.clamp(max=DECK - 1)[:, None])[:, 0], dealt == self.deck.bit_count()
            seen, trump = torch.where(every, 0, bit(turned)), torch.where(every, NO_TRUMP, suit_of(turned))
        elif self.rules.trump == BIDDER:
            trump = torch.full_like(index, NO_TRUMP)
        else:
            of = replace(stream, game=number) if self.rules.trump == "rotate" else stream
            trump = dealing.trumps(of, self.rules.trump, self.rules.trumps)
        zeros = torch.zeros(len(index), self.seats, dtype=torch.int8, device=index.device)
        return MatchState(
            index=index,
            hands=hands,
            seen=seen,
            trick=zeros - 1,
            bids=zeros - 1,
            won=zeros,
            lacks=torch.zeros_like(hands),
            trump=trump.to(torch.int8),
            dealer=dealer.to(torch.int8),
            leader=around(dealer + 1, self.seats).to(torch.int8),
            made=zeros[:, 0].clone(),
            totals=totals,
            number=number.to(torch.int8),
            future=future,
        )

    def _cards_in(self, number: Tensor) -> Tensor:
        """Cards to a seat in game ``number`` [B] of a match: [B] int64."""
        return _table(self.rules.hands, number.device).index_select(0, number.clamp(max=self.games - 1).long())

    # -- playing it ---------------------------------------------------------------------------------------------------

    def cards_of(self, state: MatchState) -> Tensor:
        return self._cards_in(state.number)

    def turn(self, state: MatchState) -> Tensor:
        """A number of its own for each decision of a match: [B] int64."""
        return state.made.long() | (state.number.long() << GAME_SHIFT)

    def is_terminal(self, state: MatchState) -> Tensor:
        return state.number == self.games

    def step(self, state: MatchState, action: Tensor, validate: bool = False) -> MatchState:
        """As `Blob.step`; after the last card of a game its points are counted and the next game is dealt."""
        after = super().step(state, action, validate)
        ended = (after.made == self.opening + self.seats * self.cards_of(after)) & ~self.is_terminal(after)
        lanes = working(ended)
        if lanes is not None and len(lanes) == 0:
            return after
        following = self._following(after.take(lanes))
        return after.put(lanes, following) if lanes is not None else following.where(ended, after)

    def _following(self, state: MatchState) -> MatchState:
        """What comes after games that have just ended: the next game, or the end of the match."""
        totals = state.totals + score(self.rules, state.bids, state.won)
        number = state.number + 1
        dealer = around(state.dealer + 1, self.seats).long()
        dealt = self._deal_game(state.index, state.future, number.long().clamp(max=self.games - 1), totals, dealer)
        return replace(state, totals=totals, number=number).where(number == self.games, dealt)

    def play_forced(self, state: MatchState) -> MatchState:
        """Plays on while the mover has one legal action; the first bid of a game never is the only one."""
        return self.single_moves(state, self.max_forced_run, lambda part: ~self.is_terminal(part))

    # -- ending it ----------------------------------------------------------------------------------------------------

    def scores(self, state: MatchState) -> Tensor:
        """The outcome for each absolute seat, 1 in all for the most points: [B, P] float32; 0 before the end."""
        winners = (state.totals == state.totals.amax(-1, keepdim=True)).float()
        share = winners / winners.sum(-1, keepdim=True)
        return torch.where(self.is_terminal(state)[:, None], share, 0.0)

    def tricks_won(self, state: MatchState) -> None:
        """Not told: a match's decisions are in games whose tricks its last state no longer has."""
        return None

    # -- what a player knows ------------------------------------------------------------------------------------------

    def observe(self, state: MatchState, seat: Tensor | None = None) -> Tensor:
        viewer = self.mover(state) if seat is None else seat
        relative = around(viewer + torch.arange(self.seats, device=state.device)[:, None], self.seats)  # [P, B]
        lane = torch.arange(0, self.seats * len(viewer), self.seats, device=state.device)
        totals = entries(state.totals, (relative + lane).flatten()).view(self.seats, -1)
        lead = ((totals - totals[0]) / self.lead_scale).clamp(-4, 4)
        left = (self.games - 1 - state.number.long()).clamp(min=0)
        standing = torch.cat([lead, (left / self.games)[None], (left == 0)[None].float()]).t()
        return torch.cat([blob_observation.observe(self, state, viewer), standing], dim=-1)

    def hidden(self, state: MatchState) -> dict[str, Hidden]:
        """Nobody knows what is dealt later."""
        later = Hidden(hidden.nobody(state.future, self.seats), holds="number")
        return {**super().hidden(state), "future": later}

    def determinize(self, state: MatchState, count: int = 3, seed: int = 0) -> MatchState:
        """As `Blob.determinize`, and another future in each world."""
        if count > MOST_WORLDS:
            raise ValueError(f"count must be at most {MOST_WORLDS}, got {count}")
        worlds = super().determinize(state, count, seed)
        # Further on in the stream than `deal` reads: under its seed, the first world of a match would hold the truth.
        stream = Stream.of_worlds(seed, state.index, self.turn(state), count).at(1)
        return replace(worlds, future=_future(stream))


def _future(stream: Stream) -> Tensor:
    """[B] int64, 56 random bits."""
    words = stream.words(Purpose.MATCH, 2)
    return (words[:, 0] << 24) | (words[:, 1] >> 8)


@cache
def _table(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers, device=device)

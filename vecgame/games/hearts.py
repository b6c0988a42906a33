"""Hearts: take no hearts and not the queen of spades, or take all of them.

With a rule of *passing* every seat first gives three cards to another one. The seats choose one after the other, seat 0
first, but none sees what the others have chosen: the cards change hands once all twelve are chosen. Until then they
stay in `hands`, marked in `passed`.

What a seat learns from that is what it gave and what it got. Its own three cards lie with the receiver until they are
played, and so they do in every world that is drawn for it. The choices of the others are drawn, too: any three of the
cards that the seat had are as likely as any other three, so that pairs of a deal and choices in it are uniform over all
that agree with what the mover has seen. That people pass high cards rather than low ones is not modelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import DECK, RANKS, SEATS, SUIT_BITS, bit, suit_of, unpack
from vecgame.games.checks import check_rules
from vecgame.hidden import Hidden
from vecgame.lanes import entries, none, place_of, with_added, with_entries
from vecgame.own_rules import TrickState
from vecgame.philox import Purpose, Stream, check_seed
from vecgame.tricks import TrickGame

SPADES, HEARTS, CLUBS, DIAMONDS = range(4)
QUEEN = 1 << (RANKS * SPADES + 10)
ALL_HEARTS = SUIT_BITS << RANKS * HEARTS
POINT_CARDS = ALL_HEARTS | QUEEN
OPENING_CARD = 1 << (RANKS * CLUBS)  # the two of clubs
QUEEN_POINTS = 13
ALL_POINTS = RANKS + QUEEN_POINTS
PASSED = 3  # cards that a seat gives away
DIRECTIONS = ("none", "left", "across", "right")  # a seat's cards go to the seat that comes so many after it
ROTATION = (1, 3, 2, 0)  # the directions of four games in a row


@dataclass(frozen=True)
class HeartsRules:
    """What may be changed about Hearts. Raises ValueError on values that make no game."""

    queen_breaks: bool = True  # the queen of spades breaks hearts, too
    safe_first_trick: bool = True  # no points on the first trick, for those who hold anything else
    moon: bool = True  # who takes all points takes none, and everybody else takes them all
    passing: str = "none"  # or left, across, right; "random" per game, or "rotate": left, right, across, none

    def __post_init__(self) -> None:
        choices = (*DIRECTIONS, "random", "rotate")
        if self.passing not in choices:
            raise ValueError(f"passing must be one of {', '.join(choices)}, got {self.passing!r}")
        check_rules(self)


@dataclass(frozen=True)
class HeartsState(TrickState):
    """B games of Hearts."""

    points: Tensor  # [B, 4] int8, points taken


@dataclass(frozen=True)
class PassingState(HeartsState):
    """B games of Hearts in which cards are passed. Those that pass in no direction begin with decision 12."""

    holds: ClassVar = {"direction": DIRECTIONS, "passed": "sets", "played": "sets"}

    direction: Tensor  # [B] int8, how many seats further on the cards go: index in `DIRECTIONS`
    passed: Tensor  # [B, 4] int64, the cards that each seat has chosen to pass, whether it has handed them over or not
    played: Tensor  # [B, 4] int64, the cards that each seat has played to tricks that are complete


class Hearts(TrickGame):
    """Thirteen cards each, passed on or not. The two of clubs leads; hearts are led once they are broken, or by who
    holds nothing else. A game is worth 26 less the points against a seat."""

    name = "hearts"
    rules_type = HeartsRules
    state_type = HeartsState
    # The first lead; and once for each seat, with hearts unbroken and one other card left.
    forced_leads = 1 + SEATS
    own_features = SEATS + 2
    give_word = "pass"
    highest = float(ALL_POINTS)

    def set_up(self) -> None:
        self.passes = self.rules.passing != "none"
        self.fixed_hands = not self.passes
        if self.passes:
            self.opening = SEATS * PASSED
            self.state_type = PassingState
            self.own_features = Hearts.own_features + 2 * DECK + SEATS

    def chance(self) -> Mapping[str, int]:
        return {"direction": SEATS - 1} if self.rules.passing in ("random", "rotate") else {}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        if self.rules.passing == "random":
            return {"direction": stream.integers(Purpose.DIRECTION, SEATS)}
        if self.rules.passing == "rotate":
            packed = sum(direction << 2 * number for number, direction in enumerate(ROTATION))  # no table to be copied
            return {"direction": packed >> 2 * (stream.number % SEATS) & 3}
        return {}

    def begin(self, hands: Tensor, index: Tensor, direction: Tensor | None = None) -> HeartsState:
        """``direction`` [B] int64 only where it differs from game to game."""
        points = torch.zeros(hands.shape[:2], dtype=torch.int8, device=hands.device)
        held = bit(hands).sum(-1)
        if not self.passes:
            return self.start(hands, index, leader=_opener(held), points=points)
        if direction is None:
            direction = torch.full_like(index, DIRECTIONS.index(self.rules.passing))
        empty = torch.zeros_like(held)
        state = self.start(
            hands,
            index,
            leader=torch.where(direction == 0, _opener(held), 0),
            points=points,
            direction=direction.to(torch.int8),
            passed=empty,
            played=empty.clone(),
        )
        return replace(state, made=torch.where(direction == 0, self.opening, 0).to(torch.int8))

    def mover(self, state: HeartsState) -> Tensor:
        """Seat to move: [B] int64. Seat 0 passes its cards, then seats 1, 2 and 3; plays go round from the leader."""
        mover = super().mover(state)
        return torch.where(self.giving(state), state.made.long() // PASSED, mover) if self.passes else mover

    def giving(self, state: HeartsState) -> Tensor | None:
        return state.made < self.opening if self.passes else None

    def give(self, state: PassingState, place: Tensor, card: Tensor, giving: Tensor) -> PassingState:
        """Marks a card, the first three of a seat for now; the twelfth of all hands them over and tells who leads."""
        passed = with_entries(state.passed, place, entries(state.passed, place) | card)
        last = (giving & (state.made == self.opening - 1))[:, None]
        got = passed.gather(1, _seats_on(-state.direction))
        hands = torch.where(last, state.hands & ~passed | got, state.hands)
        leader = torch.where(last[:, 0], _opener(hands).to(torch.int8), state.leader)
        return replace(state, passed=passed, hands=hands, leader=leader)

    def broken(self, state: HeartsState) -> Tensor:
        """[B] bool, hearts may be led."""
        return state.seen & (POINT_CARDS if self.rules.queen_breaks else ALL_HEARTS) != 0

    def preferences(self, state: HeartsState, led: Tensor) -> list[Tensor]:
        lead = torch.where(self.broken(state), -1, ~ALL_HEARTS)
        first = torch.where(
            led >= 0, self.followed(state, led), torch.where(state.made == self.opening, OPENING_CARD, lead)
        )
        if self.passes:
            mine = entries(state.passed, place_of(self.mover(state)))
            first = torch.where(self.giving(state), ~mine, first)
        if not self.rules.safe_first_trick:
            return [first]
        return [first, torch.where(state.made < self.opening + SEATS, ~POINT_CARDS, -1)]

    def taken(self, state: HeartsState, trick: Tensor, place: Tensor, complete: Tensor) -> HeartsState:
        worth = (suit_of(trick) == HEARTS) + QUEEN_POINTS * (bit(trick.clamp(min=0)) == QUEEN)
        points = torch.where(complete, worth.sum(-1), 0).to(torch.int8)
        state = replace(state, points=with_added(state.points, place, points))
        if not self.passes:
            return state
        cards = torch.where(complete[:, None], bit(trick.clamp(min=0)), 0)
        return replace(state, played=state.played | cards)

    def points(self, state: HeartsState) -> Tensor:
        against = state.points.float()
        if self.rules.moon:
            shot = (state.points == ALL_POINTS).any(-1, keepdim=True)
            against = torch.where(shot, ALL_POINTS - against, against)
        return ALL_POINTS - against

    def own_block(self, state: HeartsState, viewer: Tensor) -> list[Tensor]:
        block = [
            knowledge.by_seat(state.points, viewer) / ALL_POINTS,
            self.broken(state),
            state.seen & QUEEN != 0,
        ]
        if not self.passes:
            return block
        given = entries(state.passed, place_of(viewer))
        got = entries(state.passed, place_of((viewer - state.direction) & (SEATS - 1)))
        return [
            *block,
            knowledge.cards(given),
            knowledge.cards(torch.where(self.giving(state), 0, got)),
            knowledge.one_hot(state.direction),
        ]

    def own_columns(self) -> list[tuple[int, str]]:
        taken = (SEATS, f"points taken by each seat, of {ALL_POINTS}")
        columns = [taken, (1, "hearts are broken"), (1, "the queen of spades has been played")]
        if not self.passes:
            return columns
        passed = (DECK, "cards that the viewer has chosen to pass"), (DECK, "cards that the viewer was passed")
        return [*columns, *passed, (SEATS, "direction of passing: none, left, across, right")]

    def hidden(self, state: HeartsState) -> dict[str, Hidden]:
        """A seat also sees what it passes, and what it was passed once it has it; the cards lie in a hand, too."""
        fields = super().hidden(state)
        if not self.passes:
            return fields
        mine = fields["hands"].sees
        giver = _seats_on(-state.direction)[:, :, None] == torch.arange(SEATS, device=state.device)
        return {**fields, "passed": Hidden(mine | (giver & ~self.giving(state)[:, None, None]), place=False)}

    def may_hold(self, state: HeartsState, viewer: Tensor) -> Tensor:
        may = super().may_hold(state, viewer)
        if not self.passes:
            return may
        given = entries(state.passed, place_of(viewer))
        # Nobody but the receiver has what the viewer passed. Before it is handed over the viewer has it itself.
        other = torch.arange(1, SEATS, device=viewer.device)[:, None] != state.direction
        return may & ~torch.where(other, given, 0)

    def determinize(self, state: HeartsState, count: int = 3, seed: int = 0) -> HeartsState:
        """Worlds drawn uniformly from all deals, and choices of the cards that others have passed, consistent with what
        the mover knows: B * count lanes, those of a game adjacent; see `vecgame.worlds`."""
        seed = check_seed(seed)
        drawn = super().determinize(state, count, seed)
        if not self.passes or state.batch_size == 0:
            return drawn
        giving = self.giving(drawn)[:, None]
        had = drawn.hands | drawn.played | torch.where(drawn.trick >= 0, bit(drawn.trick.clamp(min=0)), 0)
        had = torch.where(giving, drawn.hands, had.gather(1, _seats_on(drawn.direction)))
        unknown = ~self.hidden(drawn)["passed"].seen_by(self.mover(drawn)) & (drawn.passed != 0)
        if none(unknown.any(-1)):
            return drawn
        # The three cards of each set with the smallest numbers; sets do not meet, so one number a card is enough.
        keys = Stream.of_worlds(seed, state.index, self.turn(state), count).uniform(Purpose.GIVEN, DECK)
        keys = torch.where(unpack(had), keys[:, None], 2.0)
        chosen = bit(keys.topk(PASSED, largest=False).indices).sum(-1)
        return replace(drawn, passed=torch.where(unknown, chosen, drawn.passed))


def _opener(hands: Tensor) -> Tensor:
    """Who holds the two of clubs: hands [B, 4] int64 -> [B] int64."""
    return (hands & OPENING_CARD != 0).to(torch.int8).argmax(-1)


def _seats_on(steps: Tensor) -> Tensor:
    """The seat so many steps after each seat: [B] integers -> [B, 4] int64."""
    return (torch.arange(SEATS, device=steps.device) + steps[:, None].long()) & (SEATS - 1)

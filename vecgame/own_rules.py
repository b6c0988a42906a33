"""What a trick-taking game says about itself: its state, and the methods that it overrides.

What a player must play is said by *preferences*: sets of cards, in order, of which the first that meets the hand has to
be played from. To follow suit is one such set; "no hearts are led before one has been played" is another. From the same
sets follows what a play tells: whoever plays a card outside of a preferred set holds none of that set. Hidden hands are
drawn, and observations made, from what has been told.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing, hidden, worlds
from vecgame.cards import NO_TRUMP, SEATS, STANDARD, Layout, suit_bits, suit_of, trick_winner
from vecgame.game import Game
from vecgame.hidden import Hidden
from vecgame.lanes import entries, place_of
from vecgame.philox import Stream
from vecgame.state import State


@dataclass(frozen=True)
class TrickState(State):
    """B games. Sets of cards are int64 bitboards (`vecgame.cards`), small numbers int8. A game adds its own fields."""

    layout: ClassVar[Layout] = STANDARD  # of the card ids in it

    hands: Tensor  # [B, 4] int64, the cards that each absolute seat still holds
    seen: Tensor  # [B] int64, the cards played so far, those of the current trick included, and others lying open
    trick: Tensor  # [B, 4] int8, the card each seat has played to the current trick, -1 = none yet
    won: Tensor  # [B, 4] int8, tricks won
    lacks: Tensor  # [B, 4] int64, cards that everybody knows the seat does not hold, beside those seen
    leader: Tensor  # [B] int8, who leads the current trick; during the opening who began it
    made: Tensor  # [B] int8, decisions made


class OwnRules(Game):
    """The part of `vecgame.TrickGame` that is a game's own: class attributes to set and methods to override."""

    state_type: ClassVar[type[TrickState]] = TrickState
    forced_leads: ClassVar[int] = 0  # most leads of a game that leave a seat no choice though it holds several cards
    own_features: ClassVar[int] = 0  # columns of `own_block`
    give_word: ClassVar[str] = "give"  # what is done with a card where `giving` holds

    cards: int  # dealt to a seat
    bids: int  # bids of the opening are 0 .. bids - 1
    most_bids: int  # most of them that can be legal at a decision
    opening: int  # decisions of the opening: a multiple of four; bids go round from the leader

    def set_up(self) -> None:
        """Sets what the rules change of cards, deck, bids and opening."""

    def chance(self) -> Mapping[str, int]:
        """What is drawn or given for a game beside its hands: names, and the largest number of each."""
        return {"dealer": SEATS - 1}

    def draw(self, stream: Stream) -> dict[str, Tensor]:
        """Draws what `chance` names: [B] int64 each."""
        return {"dealer": dealing.dealers(stream, getattr(self.rules, "dealer", "random"))}

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor) -> TrickState:
        """The state before the first decision; arguments after ``index`` are those that `chance` names.

        Args:
            hands: [B, 4, cards] int64 card ids, in the order in which they were dealt.
            index: [B] int64.
        """
        return self.start(hands, index, leader=(dealer + 1) % SEATS)

    def legal_bids(self, state: TrickState) -> Tensor:
        """Legal bids in the opening: [B] int64, bit b for bid b, at least one in each lane."""
        return torch.full_like(state.seen, (1 << self.most_bids) - 1)

    def bid(self, state: TrickState, place: Tensor, bid: Tensor, bidding: Tensor) -> TrickState:
        """Records a bid.

        Args:
            place: [B] int64, the mover's place in a flattened [B, 4] field (`vecgame.lanes.entries`).
            bid: [B] int8.
            bidding: [B] bool, lanes in the opening; nothing changes in the others.
        """
        return state

    def giving(self, state: TrickState) -> Tensor | None:
        """[B] bool, lanes of the opening whose mover gives a card away rather than play it; None in a game in which
        nobody ever does."""
        return None

    def give(self, state: TrickState, place: Tensor, card: Tensor, giving: Tensor) -> TrickState:
        """Gives a card away.

        Args:
            place: [B] int64, the mover's place in a flattened [B, 4] field (`vecgame.lanes.entries`).
            card: [B] int64 bitboards of one card, 0 in other lanes.
            giving: [B] bool, see `giving`; nothing changes in the other lanes.
        """
        return state

    def preferences(self, state: TrickState, led: Tensor) -> list[Tensor]:
        """Sets of cards to be played from: [B] int64 each; the first that meets the hand binds, none does if none meets
        it. By default the suit led ([B] int8, -1 for a lead)."""
        return [followed(led)]

    def trump(self, state: TrickState) -> Tensor:
        """[B] int8, suit 0..3 or 4 for none, which is the default."""
        return torch.full_like(state.leader, NO_TRUMP)

    def suit_led(self, state: TrickState, trick: Tensor) -> Tensor:
        """The suit of the first card of a trick [B, 4] int8: [B] int8, -1 before there is one."""
        return suit_of(entries(trick, place_of(state.leader)))

    def winner(self, state: TrickState, trick: Tensor, led: Tensor) -> Tensor:
        """Who wins a trick [B, 4] int8, or is winning it so far: [B] int64 seats, any where ``led`` [B] int8 is -1."""
        return trick_winner(trick, led, self.trump(state))

    def sits_out(self, state: TrickState) -> Tensor | None:
        """[B] integers, the seat that plays no cards though it holds some, -1 for none; it leads no trick either. None
        in a game in which that never happens."""
        return None

    def taken(self, state: TrickState, trick: Tensor, place: Tensor, complete: Tensor) -> TrickState:
        """Counts what a trick is worth beside being one.

        Args:
            trick: [B, 4] int8, the cards of the trick.
            place: [B] int64, its winner's place in a flattened [B, 4] field.
            complete: [B] bool; nothing changes in the other lanes.
        """
        return state

    @abstractmethod
    def points(self, state: TrickState) -> Tensor:
        """Points of a finished game: [B, 4] float32 by absolute seat."""

    def first_suit(self, state: TrickState) -> Tensor | None:
        """[B] int8, the suit that comes first in observations and policies, so that positions look alike that differ in
        the names of the suits only; None where suits have names of their own."""
        return None

    def own_block(self, state: TrickState, viewer: Tensor) -> list[Tensor]:
        """Features beside those of `vecgame.knowledge`: rows [n, B] or [B], `own_features` in all, of what seat
        ``viewer`` [B] int64 knows."""
        return []

    def shows(self, state: TrickState) -> Tensor | None:
        """[B, 4] int64, cards that everybody knows the seat to hold; None in a game that leaves cards undealt never, or
        in which no such card is ever known. Other seats lack them."""
        return None

    def hidden(self, state: TrickState) -> dict[str, Hidden]:
        """A seat sees its own hand only."""
        return {"hands": Hidden(hidden.own(self.seats, state.batch_size, state.device))}

    def may_hold(self, state: TrickState, viewer: Tensor) -> Tensor:
        """Cards that the three seats after ``viewer`` [B] may hold as far as it knows, seen or not: [3, B] int64."""
        return ~state.lacks.gather(1, worlds.opponents(viewer)).t()

    def bid_name(self, bid: int, state: TrickState | None = None) -> str:
        """What people call a bid; ``state`` is one lane, if the bid's meaning depends on it."""
        return f"bid {bid}"

    def action_name(self, action: int, state: TrickState | None = None, lane: int = 0) -> str:
        """A card's name, `give_word` before it where it is given away, or `bid_name`. Raises ValueError on a number
        that is no action, and without a state where bids have the ids of cards."""
        first, one = getattr(self, "first_bid", self.layout.size), None if state is None else state[lane]
        name = super().action_name(action)
        if first < self.layout.size and one is None:
            raise ValueError(f"{self.name}: action {action} may be a card or a bid; give action_name the state as well")
        if bool(self.bidding(one)) if first < self.layout.size else action >= first:
            return self.bid_name(action - first, one)
        giving = None if one is None else self.giving(one)
        return name if giving is None or not bool(giving) else f"{self.give_word} {name}"

    @abstractmethod
    def start(self, hands: Tensor, index: Tensor, leader: Tensor, **own: Tensor) -> TrickState:
        """A state with nothing played yet; ``own`` are the fields that the game adds."""


def followed(led: Tensor) -> Tensor:
    """The cards that follow suit: [B] int64, all of them where none is led ([B] int8 suit, -1 for a lead)."""
    return torch.where(led >= 0, suit_bits(led.clamp(min=0)), -1)


def partners(field: Tensor) -> Tensor:
    """Each seat's entry plus its partner's, the seat opposite: [B, 4] -> [B, 4]."""
    return field + field.roll(2, dims=-1)

"""What a trick-taking game says about itself: its state, and the methods that it overrides.

What a player must play is said by *preferences*: sets of cards, in order, of which the first that meets the hand has to
be played from. To follow suit is one such set; "no hearts are led before one has been played" is another. From the same
sets follows what a play tells: whoever plays a card outside of a preferred set holds none of that set. Hidden hands are
drawn, and observations made, from what has been told.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing, hidden, observation, stocks, worlds
from vecgame.cards import RANKS, SEATS, STANDARD, Layout, bit
from vecgame.game import Game
from vecgame.hidden import Hidden
from vecgame.lanes import around, entries, place_of, with_added, with_entries
from vecgame.philox import Stream
from vecgame.piles import only
from vecgame.state import State
from vecgame.trick_tables import stronger, tables

NAMERS = ("maker", "declarer", "soloist")  # fields [B] of the seat that has named trump, -1 = nobody yet
MOST_SMALL = torch.iinfo(torch.int8).max


@dataclass(frozen=True)
class TrickState(State):
    """B games for P seats. Sets of cards are int64 bitboards (`vecgame.cards`), small numbers int8. A game adds its own
    fields, and to `holds` which of them hold cards."""

    layout: ClassVar[Layout] = STANDARD  # of the card ids in it

    hands: Tensor  # [B, P] int64, the cards that each absolute seat still holds
    seen: Tensor  # [B] int64, the cards played so far, those of the current trick included, and others lying open
    trick: Tensor  # [B, P] int8, the card each seat has played to the current trick, -1 = none yet
    won: Tensor  # [B, P] int8, tricks won
    lacks: Tensor  # [B, P] int64, cards that everybody knows the seat does not hold, beside those seen
    leader: Tensor  # [B] int8, who leads the current trick; during the opening who began it
    made: Tensor  # [B] int8, decisions made


class OwnRules(Game):
    """The part of `vecgame.TrickGame` that is a game's own: class attributes to set and methods to override."""

    state_type: ClassVar[type[TrickState]] = TrickState
    bare_states = (State, TrickState)
    of_seats = "won"
    fixed_hands = True  # but in a game whose state has a stock
    forced_leads: ClassVar[int] = 0  # most leads of a game that leave a seat no choice though it holds several cards
    free_cards: ClassVar[int] = 0  # bitboard of cards that may be played whatever is led, and tell nothing
    first_of_equals: ClassVar[bool] = False  # of cards equally strong the one played first wins
    trump_order: ClassVar[tuple[str, ...]] = ()  # ranks by name, the strongest trump first; () as in other suits
    card_points: Sequence[int] = ()  # of each card by its id, for who takes it in a trick: in a field `points`, [B, P]
    turned_up: ClassVar[int | None] = None  # the place in a `stock` of the card that lies face up: `vecgame.stocks`
    own_features: ClassVar[int | None] = None  # columns of `own_block`: by default counted; 0 for none at all
    bid_names: ClassVar[tuple[str, ...]] = ()  # what people call the first bids, if not by their numbers
    give_word: ClassVar[str] = "give"  # what is done with a card where `giving` holds
    others: ClassVar[tuple[str, ...]] = ()  # what a seat may do before it plays a card, by name
    most_others: ClassVar[int] = 0  # most times that any of it is done in a deal, of which a field `done` keeps count

    cards: int = RANKS  # dealt to a seat: by default what the rules' `cards` say, or 13
    held: int = 0  # most cards that a seat ever holds: by default those dealt
    tricks: int = 0  # of a game: by default as many as cards are dealt to a seat
    led_suits: int = 0  # suits that may be led, those of `suits_of_cards`: by default the layout's
    bids: int = 0  # bids of the opening are 0 .. bids - 1, at most 63 of them, each a bit of an int64
    most_bids: int = 0  # most of them that can be legal at a decision: by default all
    first_bid: int  # action that is bid 0: by default the number after the last card's; or 0
    first_other: int  # action that is the first of `others`, after all cards and bids
    opening: int = 0  # decisions before the first trick, of any number; bids go round from the leader
    length: int  # decisions of one deal: where a match has several, fewer than `decisions`

    def has_own(self, name: str) -> bool:
        """Whether the game has a method of its own in place of the one here."""
        return getattr(type(self), name) is not getattr(OwnRules, name)

    def set_up(self) -> None:
        """Sets what the rules change of the above, of seats and deck, and the lowest and highest score. What is 0 in it
        still is by default what is said above."""

    def chance(self) -> Mapping[str, int | Sequence[str]]:
        """What is drawn or given for a game beside its hands: names, and the largest number of each, or what its
        numbers 0, 1, .. are called."""
        return {"dealer": self.seats - 1}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        """Draws what `chance` names, [B] int64 each, where it is not drawn by itself: any number, each as likely as the
        other, or what the rule of that name says, one of them or "rotate" (`vecgame.dealing.drawn`). ``rest`` [B, R]
        int64 are the cards not dealt, in random order, the ``stock`` of a state that has one."""
        stock = {"stock": rest.to(torch.int8)} if "stock" in self._own_fields() else {}
        return {"dealer": self.dealers(stream), **stock}

    def dealers(self, stream: Stream) -> Tensor:
        """Who deals each game: [B] int64, by the rule `dealer`, a seat, "random" or "rotate", and at random in a game
        without one. Of a game with another method the rule is not checked."""
        return dealing.dealers(stream, getattr(self.rules, "dealer", "random"), self.seats)

    def begin(
        self, hands: Tensor, index: Tensor, dealer: Tensor, stock: Tensor | None = None, **drawn: Tensor
    ) -> TrickState:
        """The state before the first decision. By default the seat after the dealer is the first, and what is drawn
        goes into the fields of its name, if the state has such.

        Args:
            hands: [B, P, cards] int64 card ids, in the order in which they were dealt; -1 for none.
            index: [B] int64.
            dealer, drawn: what `chance` names, [B] int64 each; in a field int8, where the largest number is one.
            stock: [B, N] int8 card ids, in a game whose state has one.
        """
        limits, own = self.chance(), stocks.begun(self, stock)
        for name, number in {"dealer": dealer, **drawn}.items():
            if name in self._own_fields():
                own[name] = number.to(torch.int8) if dealing.most(limits.get(name, 0)) <= MOST_SMALL else number
        return self.start(hands, index, leader=(dealer + 1) % self.seats, **own)

    def player_of(self, state: TrickState, seat: Tensor) -> Tensor:
        """Who decides for ``seat`` [B] int64, whose turn it is: [B] int64, by default itself. Where another seat does,
        that is the `mover`; the hand that it plays from, the place in the trick and what a card tells are the seat's. A
        game that has this, or a `dummy`, says who comes next in `in_turn` instead of `mover`."""
        dummy = self.dummy(state)
        return seat if dummy is None else torch.where(seat == dummy, (seat + self.seats // 2) % self.seats, seat)

    def dummy(self, state: TrickState) -> Tensor | None:
        """[B] int64, the seat whose hand lies open and is played by the seat opposite, -1 for none so far; None in a
        game without one."""
        return None

    def legal_bids(self, state: TrickState) -> Tensor:
        """Legal bids in the opening: [B] int64, bit b for bid b, at least one in each lane."""
        return torch.full_like(state.seen, (1 << self.most_bids) - 1)

    def bid(self, state: TrickState, place: Tensor, bid: Tensor, bidding: Tensor) -> TrickState:
        """Records a bid. The decision is counted after it, unless it ends the game: ``made`` set to ``length``.

        Args:
            place: [B] int64, the mover's place in a flattened [B, P] field (`vecgame.lanes.entries`).
            bid: [B] int8.
            bidding: [B] bool, lanes in the opening; nothing changes in the others.
        """
        return state

    def giving(self, state: TrickState) -> Tensor | None:
        """[B] bool, lanes of the opening whose mover gives a card away rather than play it; None in a game in which
        nobody ever does."""
        return None

    def give(self, state: TrickState, place: Tensor, card: Tensor, giving: Tensor) -> TrickState:
        """Gives a card away: by default it leaves the mover's hand. It is counted, and may end the game, as a bid.

        Args:
            place: [B] int64, the mover's place in a flattened [B, P] field (`vecgame.lanes.entries`).
            card: [B] int64 bitboards of one card, 0 in other lanes.
            giving: [B] bool, see `giving`; nothing changes in the other lanes.
        """
        return replace(state, hands=with_entries(state.hands, place, entries(state.hands, place) ^ card))

    def legal_others(self, state: TrickState) -> Sequence[Tensor]:
        """Which of the ``others`` the mover may do, where it is to play a card: [B] bool each. By default all."""
        return [torch.ones_like(state.made, dtype=torch.bool)] * len(self.others)

    def do(self, state: TrickState, place: Tensor, other: Tensor, doing: Tensor) -> TrickState:
        """What one of the ``others`` does beside being counted; the mover goes on with its turn.

        Args:
            place: [B] int64, the mover's place in a flattened [B, P] field (`vecgame.lanes.entries`).
            other: [B] int64, which of them.
            doing: [B] bool; nothing changes in the other lanes.
        """
        return state

    def preferences(self, state: TrickState, led: Tensor) -> list[Tensor]:
        """Sets of cards to be played from: [B] int64 each; the first that meets the hand binds, none does if none meets
        it. By default the suit led ([B] int8, -1 where nothing is to be followed)."""
        return [self.followed(state, led)]

    def followed(self, state: TrickState, led: Tensor) -> Tensor:
        """The cards that follow a suit [B] int8: [B] int64, all cards for -1."""
        if self.own_suits:
            return torch.where(led >= 0, self.layout.suit_bits(led.clamp(min=0)), -1)
        return tables(self, led.device).members.index_select(
            0, self.trump(state).long() * (self.led_suits + 1) + led + 1
        )

    def suit_of(self, state: TrickState, card: Tensor) -> Tensor:
        """The suit that a card [B] int8 belongs to: [B] int8, -1 for no card (-1)."""
        if self.own_suits:
            return self.layout.suit_of(card)
        row = self.trump(state).long() * (self.layout.size + 1) + 1
        return tables(self, card.device).suits.index_select(0, row + card)

    def trump(self, state: TrickState) -> Tensor:
        """[B] int8, a suit, or the number of suits for none: by default the state's field `trump`, without it the suit
        of the card that is `turned_up`, or none."""
        if hasattr(state, "trump"):
            return state.trump
        turned = self.turned_up is not None
        return self.layout.suit_of(state.turned) if turned else torch.full_like(state.leader, self.layout.suits)

    def trump_named(self, state: TrickState) -> Tensor | None:
        """As of any `Game`: by default whether somebody has, in a state with a field of who that is, `NAMERS`."""
        named = [getattr(state, name) >= 0 for name in NAMERS if hasattr(state, name)]
        return named[0] if named else None

    def suits_of_cards(self) -> Tensor:
        """The suit that each card belongs to under each trump, 0 .. ``led_suits`` - 1 or more for none: [T, size]
        integers. By default its own whatever is trump, and none for extra cards."""
        return self.layout.suit_of(torch.arange(self.layout.size)).expand(self.layout.suits + 1, -1)

    def strengths(self) -> Tensor:
        """How strong each card is in a trick, under each trump when each suit is led: [T, led_suits, size] integers
        0 .. 127. By default its rank, above those when its suit is led, and above these when it is trump, whose ranks
        `trump_order` may order otherwise."""
        suits, size, ranks = self.suits_of_cards()[:, None], self.layout.size, self.layout.ranks
        trump, led = torch.arange(len(suits))[:, None, None], torch.arange(self.led_suits)[:, None]
        above = ranks * min(self.layout.suits, 2)  # of trump, which has no other suit to beat where there is none
        power = torch.where(suits == trump, above, torch.where(suits == led, ranks, 0))
        rank, suited = torch.arange(size) % ranks, suits < self.led_suits
        if self.trump_order:
            rank = torch.where((suits == trump) & suited, self._ranks_of_trump()[rank], rank)
        return rank + torch.where(suited, power, 0)

    def _ranks_of_trump(self) -> Tensor:
        """The place of each rank in `trump_order` from the weakest up: [ranks] int64. Raises ValueError unless that
        names every rank once."""
        names, order = self.layout.rank_names, self.trump_order[::-1]
        if sorted(names) != sorted(order):
            name, told = type(self).__name__, ", ".join(self.trump_order)
            raise ValueError(f"{name} has trump_order {told}; it must name each rank once: {', '.join(names)}")
        return torch.tensor([order.index(rank) for rank in names])

    def suit_led(self, state: TrickState, trick: Tensor) -> Tensor:
        """The suit that the first card of a trick [B, P] int8 belongs to: [B] int8, -1 before there is one."""
        return self.suit_of(state, entries(trick, place_of(state.leader, self.seats)))

    def winner(self, state: TrickState, trick: Tensor, led: Tensor) -> Tensor:
        """Who wins a trick [B, P] int8, or is winning it so far: [B] int64 seats, any where ``led`` [B] int8 is -1."""
        row = (self.trump(state).long() * self.led_suits + led.clamp(min=0)) * (self.layout.size + 1) + 1
        strengths = tables(self, trick.device).strengths
        strength = strengths.index_select(0, (row[:, None] + trick).flatten()).view(trick.shape)
        if self.first_of_equals:
            turn = around(torch.arange(self.seats, device=trick.device) - state.leader[:, None], self.seats)
            strength = self.seats * strength.long() - turn
        return strength.argmax(-1)

    def beating(self, state: TrickState, trick: Tensor, led: Tensor) -> Tensor:
        """The cards that would beat a trick [B, P] int8 as it lies, for `preferences` in games in which that is a duty:
        [B] int64, all cards where there is none yet; arguments as of `winner`."""
        best = entries(trick, place_of(self.winner(state, trick, led), self.seats))
        row = (self.trump(state).long() * self.led_suits + led.clamp(min=0)) * (self.layout.size + 1) + 1
        return stronger(self, trick.device).index_select(0, row + best)

    def over(self, state: TrickState) -> Tensor | None:
        """[B] bool, where the game ends before its last trick, asked after every decision; None in a game in which it
        never does, or that sets ``made`` to ``length`` itself."""
        return None

    def sits_out(self, state: TrickState) -> Tensor | None:
        """[B] integers, the seat that plays no cards though it holds some, -1 for none; it leads no trick either. None
        in a game in which that never happens."""
        return None

    def taken(self, state: TrickState, trick: Tensor, place: Tensor, complete: Tensor) -> TrickState:
        """Counts what a trick is worth beside being one: by default the `card_points` of its cards, if there are any.

        Args:
            trick: [B, P] int8, the cards of the trick.
            place: [B] int64, its winner's place in a flattened [B, P] field.
            complete: [B] bool; nothing changes in the other lanes.
        """
        if not self.card_points:
            return state
        worth = self.layout.total(bit(trick.clamp(min=0)).sum(-1), self.card_points)
        return replace(state, points=with_added(state.points, place, torch.where(complete, worth, 0)))

    @abstractmethod
    def points(self, state: TrickState) -> Tensor:
        """Points of a finished game: [B, P] float32 by absolute seat."""

    def first_suit(self, state: TrickState) -> Tensor | None:
        """[B] int8, the suit that comes first in observations and policies, so that positions look alike that differ in
        the names of the suits only; None where suits have names of their own."""
        return None

    def own_block(self, state: TrickState, viewer: Tensor) -> list[Tensor]:
        """Features beside those of `vecgame.knowledge`: rows [n, B] or [B], of what seat ``viewer`` [B] int64 knows. By
        default the fields that the game adds to a `TrickState`, as far as that seat sees them, and how far the opening
        is: see `vecgame.observation`."""
        return [columns.t() for _, columns in self._own_blocks(state, viewer)]

    def own_columns(self) -> list[tuple[int, str]]:
        """What the columns of `own_block` tell, as `Game.columns` does."""
        if self.own_features is not None:
            return [(self.own_features, f"what {self.name} adds")] if self.own_features else []
        state = self.deal(1)
        viewer = self.mover(state)
        if type(self).own_block is OwnRules.own_block:
            return [(columns.shape[1], told) for told, columns in self._own_blocks(state, viewer)]
        rows = self.own_block(state, viewer)
        return [(sum(row.shape[0] if row.ndim == 2 else 1 for row in rows), f"what {self.name} adds")]

    def _own_blocks(self, state: TrickState, viewer: Tensor) -> list[tuple[str, Tensor]]:
        """What `own_block` tells by default, in words and as columns [B, n]."""
        if self.own_features == 0:
            return []
        told = observation.blocks_of(self, state, viewer, self._own_fields(), self.first_suit(state))
        if not self.opening:
            return told
        made = observation.numbers(state.made.clamp(max=self.opening)[:, None])
        words = f"decisions of the opening made: {observation.TOLD['number']}"
        return [observation.to_move(self, state, viewer), (words, made), *told]

    def _own_fields(self) -> list[str]:
        """The fields that the game adds to those of every trick game."""
        usual = {field.name for field in fields(TrickState)}
        return [field.name for field in fields(self.state_type) if field.name not in usual]

    def lies_open(self, state: TrickState) -> Tensor | None:
        """[B, P] bool, seats whose hand lies open on the table, by default the `dummy`; None in a game in which none
        ever does. What is hidden, `may_hold` and worlds follow from it."""
        dummy = self.dummy(state)
        return None if dummy is None else only(dummy, True, self.seats)

    def shows(self, state: TrickState) -> Tensor | None:
        """[B, P] int64, cards that everybody knows the seat to hold, by default the hands that lie open, or what of a
        state's field ``shown`` is in hand; None in a game that leaves cards undealt never, or in which no such card is
        ever known. Other seats lack them."""
        if hasattr(state, "shown"):
            return state.shown & state.hands
        laid = self.lies_open(state)
        return None if laid is None else torch.where(laid, state.hands, 0)

    def placed(self, state: TrickState) -> Tensor | None:
        """[B] int64, cards that everybody knows to lie in a hidden place, though perhaps not in which; None in a game
        in which no such card is ever known."""
        return None

    def hidden(self, state: TrickState) -> dict[str, Hidden]:
        """A seat sees its own hand, and those that lie open; nobody a stock, but for a card that lies face up."""
        sees, laid = hidden.own(self.seats, state.batch_size, state.device), self.lies_open(state)
        return {"hands": Hidden(sees if laid is None else sees | laid[:, None]), **stocks.hides(self, state)}

    def may_hold(self, state: TrickState, viewer: Tensor) -> Tensor:
        """Cards that the seats after ``viewer`` [B] may hold as far as it knows, seen or not: [P - 1, B] int64."""
        may, laid = ~state.lacks, self.lies_open(state)
        if laid is not None:
            shown = torch.where(laid, state.hands, 0)
            may = torch.where(shown != 0, shown, may & ~shown.sum(-1, keepdim=True))
        return may.gather(1, worlds.opponents(viewer, self.seats)).t()

    def bid_name(self, bid: int, state: TrickState | None = None) -> str:
        """What people call a bid; ``state`` is one lane, if the bid's meaning depends on it."""
        return self.bid_names[bid] if bid < len(self.bid_names) else f"bid {bid}"

    def action_name(self, action: int, state: TrickState | None = None, lane: int = 0) -> str:
        """A card's name, `give_word` before it where it is given away, or `bid_name`. Raises ValueError on a number
        that is no action, and without a state where bids have the ids of cards."""
        first, one = self.first_bid, None if state is None else state[lane]
        name, action = super().action_name(action), int(action)
        if self.others and action >= self.first_other:
            return self.others[action - self.first_other]
        if first < self.layout.size and one is None:
            raise ValueError(f"{self.name}: action {action} may be a card or a bid; give action_name the state as well")
        if bool(self.bidding(one)) if first < self.layout.size else action >= first:
            return self.bid_name(action - first, one)
        giving = None if one is None else self.giving(one)
        return name if giving is None or not bool(giving) else f"{self.give_word} {name}"

    def action_columns(self) -> list[tuple[int, str]]:
        bids, cards = [self.bid_name(bid) for bid in range(self.bids)], self.layout.size
        others = [(1, other) for other in self.others]
        if bids and self.first_bid < cards:
            told = f"cards; while bidding, from column {self.first_bid} on: {', '.join(bids)}"
            return [(self.num_actions - len(others), told), *others]
        return [(cards, "cards"), *((1, bid) for bid in bids), *others]

    @abstractmethod
    def start(self, hands: Tensor, index: Tensor, leader: Tensor, **own: Tensor) -> TrickState:
        """A state with nothing played yet; ``own`` are the fields that the game adds."""


def partners(field: Tensor) -> Tensor:
    """Each seat's entry plus its partner's, the seat opposite of four: [B, 4] -> [B, 4]."""
    return field + field.roll(2, dims=-1)


def side_of(seat: Tensor) -> Tensor:
    """Which of four seats are ``seat`` [B], or its partner: [B, 4] bool."""
    return (torch.arange(SEATS, device=seat.device) - seat[:, None]) % 2 == 0

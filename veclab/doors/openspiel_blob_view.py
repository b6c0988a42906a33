"""What the seats of `veclab.doors.openspiel_blob` see: as tensors of named pieces, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyspiel

from vecgame import Rules
from vecgame.cards import NO_TRUMP, RANKS, TRUMP_NAMES
from vecgame.games.blob_rules import BIDDER, FOREHEAD, ONCE, OWN
from veclab.reference import rules as blob


@dataclass(frozen=True, slots=True)
class Position:
    """Where a game stands: the deal so far, and, when it is complete, the table."""

    dealer: int | None  # None: not drawn yet
    trump: int | None  # 0..3, 4 = none; None: not drawn yet
    owners: tuple[int, ...] = ()  # of the cards dealt so far, ascending: a seat, or their number for the undealt pile
    turned: int | None = None  # the card turned up for trump
    table: blob.State | None = None  # None while cards are dealt; never changed in place
    named: int | None = None  # the trump that the highest bidder has named

    def __deepcopy__(self, memo: dict) -> Position:
        """Itself: OpenSpiel copies the attributes of a state deeply to clone it, and this one cannot change."""
        return self


class Deck(Protocol):
    """What is asked of a `veclab.doors.openspiel_blob.BlobGame`."""

    house: Rules
    rules: blob.Rules
    deck: list[int]
    turns: bool

    def hand(self, position: Position, seat: int) -> list[int]: ...

    def dealt_from(self, position: Position) -> list[int]: ...


class Placed(Protocol):
    """Its states."""

    position: Position


def sees_hand(game: Deck, position: Position, player: int, seat: int) -> bool:
    """Whether a player sees the cards of a seat: its own, unless it bids without a sight of them (`Rules.sight`)."""
    rules = game.house
    unsighted = rules.sight != OWN and rules.cards <= rules.sight_to
    if seat != player:
        return unsighted and rules.sight == FOREHEAD
    return not unsighted or (position.table is not None and not blob.is_bidding(position.table))


def sees_bid(game: Deck, position: Position, player: int, seat: int) -> bool:
    """Whether a player knows a bid that a seat has made: not those made at once until all are."""
    return game.house.bidding != ONCE or seat == player or not blob.is_bidding(position.table)


class BlobObserver:
    """What one player sees, as a tensor of named pieces and as a string; OpenSpiel's PyObserver interface.

    With perfect recall: the hand as dealt and every move so far. Without: the hand still held, the bids, the tricks won
    and the trick on the table. Cards are columns of this game's deck, ascending. The card turned up and the hands on
    the others' foreheads are pieces under such rules only.
    """

    def __init__(self, game: Deck, iig_obs_type: pyspiel.IIGObservationType, params: Mapping[str, Any] | None) -> None:
        if params:
            raise ValueError(f"this game's observations have no parameters, got {params}")
        if iig_obs_type.private_info == pyspiel.PrivateInfoType.ALL_PLAYERS:
            raise ValueError("an observation of all players' hands is not offered: it would be the whole state")
        self.game = game
        self.private = iig_obs_type.private_info == pyspiel.PrivateInfoType.SINGLE_PLAYER
        self.public, self.recall = iig_obs_type.public_info, iig_obs_type.perfect_recall
        self.column = {card: column for column, card in enumerate(game.deck)}
        shapes = self._shapes()
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        self.tensor = np.zeros(sum(sizes), np.float32)
        parts = np.split(self.tensor, np.cumsum(sizes)[:-1])  # views, so that writing to a piece writes to the tensor
        self.dict = {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The pieces by name."""
        game = self.game
        seats, cards, width = game.rules.players, game.rules.cards, len(game.deck)
        shapes = {"player": (seats,)}
        if self.private:
            shapes["hand"] = (width,)
            shapes |= {"others": (seats, width)} if sees_hand(game, Position(None, None), 0, 1) else {}
        if self.public:
            shapes |= {"dealer": (seats,), "trump": (NO_TRUMP + 1,), "bids": (seats, cards + 1)}
            shapes |= {"turned": (width,)} if game.turns else {}
            shapes |= {"plays": (seats * cards, width)} if self.recall else {"won": (seats, cards + 1)}
            shapes |= {} if self.recall else {"trick": (seats, width)}
        return shapes

    def set_from(self, state: Placed, player: int) -> None:
        """Writes `tensor`, of which the pieces of `dict` are views."""
        self.tensor.fill(0)
        game, position = self.game, state.position
        self.dict["player"][player] = 1
        for seat in range(game.rules.players) if self.private else ():
            if sees_hand(game, position, player, seat):
                row = self.dict["hand"] if seat == player else self.dict["others"][seat]
                row[self._columns(self._hand(position, seat))] = 1
        if self.public:
            self._write_public(position, player)

    def _columns(self, cards: Iterable[int]) -> list[int]:
        return [self.column[card] for card in cards]

    def _write_public(self, position: Position, player: int) -> None:
        game, table = self.game, position.table
        if position.dealer is not None:
            self.dict["dealer"][position.dealer] = 1
        if _trump(game, position) is not None:
            self.dict["trump"][position.trump] = 1
        if position.turned is not None:
            self.dict["turned"][self.column[position.turned]] = 1
        if table is None:
            return
        for seat, bid in enumerate(table.bids):
            if bid is not None and self._knows(position, player, seat):
                self.dict["bids"][seat, bid] = 1
        if self.recall:
            for turn, (_, card) in enumerate(table.history[game.rules.players :]):
                self.dict["plays"][turn, self.column[card]] = 1
            return
        self.dict["won"][range(game.rules.players), table.won] = 1
        for seat, card in table.trick:
            self.dict["trick"][seat, self.column[card]] = 1

    def _knows(self, position: Position, player: int, seat: int) -> bool:
        """Whether a bid that was made is told: one's own that others do not know yet is private."""
        return sees_bid(self.game, position, player if self.private else -1, seat)

    def string_from(self, state: Placed, player: int) -> str:
        """The same as the tensor says, in words."""
        game, position = self.game, state.position
        words = [f"seat {player}"]
        if self.public:
            words.append(_public(game, position))
        if self.private:
            own = sees_hand(game, position, player, player)
            words.append(f"hand {_cards(self._hand(position, player)) if own else '?'}")
            seats = [seat for seat in range(game.rules.players) if seat != player]
            words += [
                f"{seat}: {_cards(self._hand(position, seat))}"
                for seat in seats
                if sees_hand(game, position, player, seat)
            ]
        if self.public and position.table is not None:
            known = [self._knows(position, player, seat) for seat in range(game.rules.players)]
            words.append(_moves(game, position, known) if self.recall else _summary(position.table, known))
        return " ".join(words).rstrip()

    def _hand(self, position: Position, seat: int) -> list[int]:
        if position.table is None or self.recall:
            return self.game.hand(position, seat)
        return sorted(position.table.hands[seat])


def everything(game: Deck, position: Position) -> str:
    """A position in words, all hands and bids open."""
    seats = range(game.rules.players)
    hands = "/".join(_cards(game.hand(position, seat)) for seat in seats)
    return f"{_public(game, position)} hands {hands} {_moves(game, position, [True for _ in seats])}".rstrip()


def chance_name(game: Deck, position: Position, outcome: int) -> str:
    """What chance does by an outcome."""
    if position.dealer is None:
        return f"seat {outcome} deals"
    if position.trump is None:
        return f"trump {TRUMP_NAMES[outcome]}"
    if game.turns and position.turned is None:
        return f"{card_name(outcome)} turned up"
    card = card_name(game.dealt_from(position)[len(position.owners)])
    return f"{card} undealt" if outcome == game.rules.players else f"{card} to seat {outcome}"


def card_name(card: int) -> str:
    """A card as rank and suit, such as ``Ts`` for the ten of spades."""
    return "23456789TJQKA"[card % RANKS] + "shcd"[card // RANKS]


def _trump(game: Deck, position: Position) -> int | None:
    """Trump, None while it is to be drawn, turned up or named."""
    unknown = position.named is None if game.house.trump == BIDDER else game.turns and position.turned is None
    return None if unknown else position.trump


def _public(game: Deck, position: Position) -> str:
    dealer, trump = position.dealer, _trump(game, position)
    words = f"dealer {'?' if dealer is None else dealer} trump {'?' if trump is None else TRUMP_NAMES[trump]}"
    return words if position.turned is None else f"{words} turned {card_name(position.turned)}"


def _moves(game: Deck, position: Position, known: list[bool]) -> str:
    """Bids and plays in the order they were made; who made each follows from the rules."""
    history, seats = position.table.history if position.table is not None else [], game.rules.players
    bids = " ".join(str(bid) if known[seat] else "?" for seat, bid in history[:seats])
    return f"bids {bids} plays {_cards([card for _, card in history[seats:]])}" if history else ""


def _summary(table: blob.State, known: list[bool]) -> str:
    made = zip(table.bids, known, strict=True)
    bids = " ".join("-" if bid is None else str(bid) if told else "?" for bid, told in made)
    trick = " ".join(f"{seat}:{card_name(card)}" for seat, card in table.trick)
    return f"bids {bids} won {' '.join(map(str, table.won))} trick {trick}"


def _cards(cards: Iterable[int]) -> str:
    return " ".join(map(card_name, cards))

"""What one seat sees of a match. Everything that is shown is made from this, so nothing hidden can be shown.

The game itself is a `vecgame.seeing.Seen`, made by way of `Game.hidden`; beside it stand what the table has kept of the
game, its tricks and who is winning, and the points of the games before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache

import torch

from vecgame import Game, State, TrickGame, naming, seeing, text
from vecgame.games.exact_bids import ExactBids
from vecgame.seeing import Seen as SeenGame
from veclab.arena.bots import RandomBot
from veclab.table.advice import Hint
from veclab.table.session import Match, Move, Result, Trick, alike, cards_of, deal_of, is_giving, is_match, is_told

# Clockwise, as the turn goes, by the number of seats.
SEAT_NAMES = {
    2: ("South", "North"),
    3: ("South", "West", "East"),
    4: ("South", "West", "North", "East"),
    5: ("South", "West", "NW", "NE", "East"),
    6: ("South", "SW", "NW", "North", "NE", "SE"),
    7: ("South", "SW", "West", "NW", "NE", "East", "SE"),
    8: ("South", "SW", "West", "NW", "North", "NE", "East", "SE"),
}
TOLD = {"trump", "dealer"}  # fields that the line above the table tells, trump in trick games only
OPENINGS = 64  # that are played to see whether bids say who leads
HELD = "cards"  # a column: how many a seat holds
# Those that tell nothing of use at a table. Where there are no tricks a name says less: what `holds` names is told.
UNTOLD = {"made", "leader", "seen", "played", "number", "future", "place"}
# What numbers alone mean throughout a game: those that names end in, such as bids, or places in a list of choices.
COUNTED, LISTED = "counted", "listed"
ENDS_IN_NUMBER = re.compile(r"(|.*\s)(\d+)")


@dataclass(frozen=True)
class Seen:
    """A match as a seat sees it, or as a spectator who sees all hands. Tuples are by seat."""

    one: SeenGame  # the game that is played, or the last one
    names: tuple[str, ...]
    number: int  # of the game, from 1
    games: int  # of the match
    unit: str  # what their points count
    deal: int | None  # how many deals of a game of several are finished; None in a game of one
    cards: int | None  # dealt to a seat; None in a game without cards
    most_tricks: int  # of the game
    exact: bool  # whether bids are to be met exactly
    cooperative: bool  # whether all seats have the same points, so that nobody wins
    hands_in: str | None  # the field of the cards that seats hold
    suits: tuple[int, ...]  # the suit that each card belongs to
    trump: int | None  # suit, the number of suits for none; None where trump is not known, or there is no such thing
    opening: str  # what goes on before the first trick: "bidding", "giving cards", or "" once cards are played
    leader: int | None  # who leads to the first trick, where that is known
    trick: Trick | None  # the unfinished trick
    last_trick: Trick | None  # the last complete one
    winning: int | None  # seat that is winning the unfinished trick
    led: int | None  # suit of the unfinished trick that is to be followed
    turned: tuple[int, ...]  # cards that lie open and nobody has played, of which no other field tells
    marks: tuple[str, ...]  # the fields of marks on cards that lie elsewhere
    numbered: str | None  # `COUNTED` or `LISTED`; None: as each decision has it
    verbs: tuple[str, ...]  # of the game's own, by which what is done may begin
    every: tuple[str, ...]  # what each action is called, be it allowed now or not, in a game that says so once for all
    results: tuple[Result, ...]  # of the finished games
    totals: tuple[float, ...]

    @property
    def viewer(self) -> int | None:
        """A seat; None is a spectator."""
        return self.one.viewer

    @property
    def mover(self) -> int | None:
        """Seat to move; None when the match is over."""
        return self.one.mover

    @property
    def acting(self) -> int | None:
        """The seat whose cards the mover plays, itself as a rule; None when the match is over."""
        return self.one.acting

    @property
    def what(self) -> str:
        """What is played ``games`` times: "match" where it is of several deals itself, else "game"."""
        return "game" if self.deal is None else "match"

    @property
    def own_turn(self) -> bool:
        return self.mover is not None and self.mover == self.viewer

    @property
    def legal(self) -> tuple[int, ...]:
        """The viewer's legal actions when it is to move, else none."""
        return tuple(self.one.legal) if self.own_turn else ()

    @property
    def choices(self) -> dict[int, str]:
        """What these are called."""
        return dict(zip(self.one.legal, self.one.choices, strict=True)) if self.own_turn else {}

    @property
    def playable(self) -> dict[int, str] | None:
        """Where every choice of the viewer is a card of its hand, or of that it plays for another: what is done with
        each but to play it. Else None."""
        cards = self.one.playable() if self.own_turn else {}
        held = bool(cards) and cards.keys() <= set(self.hand(self.acting))
        return cards if held and len(cards) == len(self.one.legal) else None

    def ahead(self, seat: int) -> bool:
        """Whether no total is higher, but for the last bits, in which sums of the same points may differ."""
        return math.isclose(self.totals[seat], max(self.totals), rel_tol=1e-6, abs_tol=1e-6)

    def hand(self, seat: int) -> tuple[int, ...]:
        """The cards of a seat that are seen, as players hold them: by their places, if hands have any; else trumps
        first, each suit from its highest down."""
        if self.hands_in is None:
            return ()
        held, _ = self.one.hand(seat, self.hands_in)
        if self.one.has_places(self.hands_in, seat):
            return tuple(held)
        return tuple(sorted(held, key=lambda card: (self.suits[card] != self.trump, self.suits[card], -card)))

    def unseen(self, seat: int) -> int:
        """How many cards a seat holds beside those."""
        return self.holds(seat) - len(self.hand(seat))

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that hold a number for each seat, bids first, and `HELD` where it tells anything."""
        one = self.one
        fields = [name for name in one.kinds if one.per_seat(name) and one.kinds[name] not in seeing.CARDS]
        fields = [name for name in fields if not any(isinstance(entry, list) for entry in one.values[name])]
        fields = [name for name in fields if name not in one.untold]
        return (*sorted(fields, key=lambda name: name != "bids"), *[HELD] * self._sizes_tell())

    def holds(self, seat: int) -> int:
        """How many cards a seat holds."""
        return 0 if self.hands_in is None else self.one.hand(seat, self.hands_in)[1]

    def _sizes_tell(self) -> bool:
        """Whether not all seats hold as many cards as they were dealt, in a game without tricks, where that goes on by
        itself."""
        own = self.hands_in == "hands" and not {HELD, "trick"} & self.one.values.keys()
        return own and any(self.holds(seat) != self.cards for seat in range(len(self.names)))

    @property
    def bids(self) -> tuple[int | None, ...] | None:
        """Bids of all seats, None for one not made or not seen; None in a game without bids."""
        if "bids" not in self.columns:
            return None
        return tuple(None if bid is None or bid < 0 else bid for bid in self.one.values["bids"])

    @property
    def won(self) -> tuple[int, ...] | None:
        """Tricks won; None in a game without tricks."""
        return tuple(self.one.values["won"]) if "won" in self.columns else None

    @property
    def facts(self) -> tuple[str, ...]:
        """What else the viewer sees of the game: cards that lie somewhere, who plays alone, and so on."""
        return self.facts_beside(())

    def facts_beside(self, drawn: Collection[str]) -> tuple[str, ...]:
        """Likewise, without the fields that are ``drawn``."""
        open_cards = " ".join(naming.card_name(self.one.layout, card) for card in self.turned)
        told = [f"turned up {open_cards}"] if open_cards else []
        for name in self._other_fields():
            if name not in drawn and (words := self._told(name)):
                told.append(f"{self.label(name)} {words}")
        return tuple(told)

    def label(self, name: str) -> str:
        """What a field is called."""
        return "on the table" if name == self.hands_in else seeing.LABELS.get(name, name).replace("_", " ")

    def _other_fields(self) -> list[str]:
        """The fields that are told beside the hands, the trick, and what is counted of seats."""
        unnamed = {name for name, kind in self.one.kinds.items() if kind == "number"}
        tricks = "trick" in self.one.values
        untold = {*TOLD, *UNTOLD, "done"} if tricks else {"dealer", *UNTOLD & unnamed}
        untold |= {"index", "lacks", "trick", "hands", "to_move", *self.one.untold, *self.columns}
        untold |= {"shown"} if self.hands_in is not None and self.one.shows_hands(self.hands_in) else set()
        return [name for name in self.one.values if name not in untold]

    @property
    def piles(self) -> tuple[str, ...]:
        """In a game without tricks the fields of cards that lie in no hand, of which the viewer sees some: where they
        are not the seats', all."""
        one = self.one
        fields = [] if "trick" in one.values else [name for name in self._other_fields() if name in one.counts]
        fields = [name for name in fields if name not in (self.hands_in, *self.marks) and one.held(name)]
        alike = "counts" in one.kinds.values()  # where it may be another that looks like the one in a hand
        held = set() if alike or one.seats is None else {card for seat in range(one.seats) for card in self.hand(seat)}
        fields = [name for name in fields if not held & set(one.held(name))]  # what names those in a hand is no place
        return tuple(name for name in fields if one.per_seat(name) or one.count(name) == len(self.pile(name)))

    def pile(self, name: str, seat: int | None = None) -> list[int]:
        """The cards that are seen in such a field, or a seat's: ids in the order of their places, sets as held."""
        value = self.one.values[name] if seat is None else self.one.values[name][seat]
        if self.one.kinds[name] != "cards":
            return self.one.held(name, seat)
        return [card for card in seeing.flat(value) if card is not None and card >= 0]

    def _told(self, name: str) -> str:
        one, value = self.one, self.one.values[name]
        if name == self.hands_in:  # the hands are shown; what lies behind them is not
            rest = value[one.seats :] if isinstance(value, list) else []
            return " ".join(naming.card_name(one.layout, card) for card in rest if card is not None and card >= 0)
        if name in one.counts and one.per_seat(name):
            words = {seat: text.set_words(one, name, seat) for seat in range(one.seats) if one.held(name, seat)}
            return ", ".join(f"{self.names[seat]}: {told}" for seat, told in words.items() if told)
        if name in one.counts or one.kinds[name] == "seats":
            words = text.field_words(one, name, self.names).replace(" (you)", "")
            return "" if words in ("none", "hidden") else words
        if one.per_seat(name):  # each entry a list, as one number a seat is a column
            words = {seat: one.listed(name, entry, self.names) for seat, entry in enumerate(value)}
            return ", ".join(f"{self.names[s]}: {told}" for s, told in words.items() if told).replace(" (you)", "")
        entries = list(seeing.flat(value))
        told = [entry for entry in entries if entry is not None and entry is not False and not one.is_none(name, entry)]
        return " ".join(word for word in (one.worded(name, entry) for entry in told) if word != "none")


def look(match: Match, viewer: int | None) -> Seen:
    """The match as seat ``viewer`` sees it; None sees every hand."""
    game, state = match.game, match.state
    one, names = seeing.see(game, state, 0, viewer), _names(game, viewer)
    one = replace(one, choices=[naming.with_names(choice, names) for choice in one.choices])
    complete = [trick for trick in match.tricks if trick.winner is not None]
    unfinished = next((trick for trick in match.tricks if trick.winner is None), None)
    suits, trump = _suits(game, state, one)
    return Seen(
        one=one,
        names=names,
        number=len(match.results) + (not match.over),
        games=len(match.settings.course),
        unit=game.unit,
        deal=deal_of(state) if is_match(state) else None,
        cards=cards_of(game, state) if game.deck else None,
        most_tricks=_most_tricks(game, state),
        exact=isinstance(game, ExactBids),
        cooperative=game.cooperative,
        hands_in=_hands_in(game, state, one) if _has_cards(game, one) else None,
        suits=suits,
        trump=trump,
        opening=_opening(game, state),
        leader=_leader(game, state),
        trick=unfinished,
        last_trick=complete[-1] if complete else None,
        winning=None if unfinished is None else _winning(match),
        led=None if unfinished is None else _led(match),
        turned=_turned(match, one),
        marks=(*seeing.MARKS, *(name for name, hidden in game.hidden(state).items() if not hidden.place)),
        numbered=_numbered(game),
        verbs=tuple(game.verbs),
        every=tuple(game.action_names),
        results=match.results,
        totals=match.totals,
    )


def said(match: Match, after: Match, viewer: int | None) -> Move:
    """The move that has led from one match to the other, by a name that tells the viewer no more than it sees, and what
    the game says of it."""
    move, game, seats = after.last, match.game, _names(match.game, viewer)
    end = game.step(match.state, torch.tensor([move.action]))  # of the same game, which another may have followed
    more = game.remark(match.state, move.action, end, seats) or ""
    forced = match.only is not None and move.seat == viewer
    move = replace(move, name=naming.with_names(move.name, seats), more=more, forced=forced)
    if viewer is None or is_told(match, move.action, viewer):
        return move
    names = (game.action_name(action, match.state) for action in alike(match, move.action, viewer))
    word, *others = dict.fromkeys(name.partition(" ")[0] for name in names)
    layout = game.layout
    if move.action < layout.size and move.name.endswith(card := naming.card_name(layout, move.action)):
        return replace(move, name=f"{move.name.removesuffix(card) or 'play '}a card")
    return replace(move, name="choose" if others else word)


def named(hint: Hint, match: Match, viewer: int | None) -> Hint:
    """A hint with the seats' names where it tells of them by their numbers."""
    names = _names(match.game, viewer)
    advice = tuple(replace(one, name=naming.with_names(one.name, names)) for one in hint.advice)
    return replace(hint, advice=advice)


def _names(game: Game, viewer: int | None) -> tuple[str, ...]:
    """What seats are called to the viewer."""
    return tuple("You" if seat == viewer else name for seat, name in enumerate(SEAT_NAMES[game.seats]))


def _suits(game: Game, state: State, one: SeenGame) -> tuple[tuple[int, ...], int | None]:
    """The suit of each card, and which of them is trump, as far as it is told."""
    layout, cards = game.layout, torch.arange(game.layout.size)
    own = tuple(layout.suit_of(cards).tolist())
    if not isinstance(game, TrickGame) or one.values.get("trump", 0) is None:
        return own, None
    suits = tuple(game.suit_of(state, cards.to(torch.int8)).tolist())
    return suits, None if "trump" in one.unnamed else int(game.trump(state))


def _numbered(game: Game) -> str | None:
    """In a game without tricks some of whose actions that are no cards end in numbers, which all those begin alike or
    not, beside some that do not: what a number alone means at each of its decisions."""
    names = () if isinstance(game, TrickGame) else game.action_names[getattr(game, "first_other", 0) :]
    ends = {match[1] for name in names if (match := ENDS_IN_NUMBER.fullmatch(name))}
    if len(ends) > 1:
        return LISTED
    return COUNTED if ends and not all(map(ENDS_IN_NUMBER.fullmatch, names)) else None


def _most_tricks(game: Game, state: State) -> int:
    if not isinstance(game, TrickGame):
        return 0
    return cards_of(game, state) if hasattr(game, "cards_of") else game.tricks


def _opening(game: Game, state: State) -> str:
    if not isinstance(game, TrickGame) or bool(game.is_terminal(state)):
        return ""
    return "giving cards" if is_giving(game, state) else "bidding" if game.bidding(state) else ""


def _leader(game: Game, state: State) -> int | None:
    """Who will lead to the first trick, from whom bids go round in most games. Not told where cards are given away or
    a seat may sit out, and while bids are made that may say who leads."""
    if not isinstance(game, TrickGame) or is_giving(game, state) or game.sits_out(state) is not None:
        return None
    if bool(state.made < game.opening) and not _who_begins_leads(game):
        return None
    return int(state.leader)


@cache
def _who_begins_leads(game: TrickGame) -> bool:
    """Whether who begins the opening leads to the first trick, in games other than the one that is looked at: from that
    one it could be learned what bids will be made."""
    state, players = game.deal(OPENINGS), RandomBot()
    began = state.leader
    for _ in range(game.opening):
        before = (state.made < game.opening) & ~game.is_terminal(state)
        state = game.step(state, players.act(game, state, 0)).where(before, state)
    return torch.equal(state.leader, began)


def _has_cards(game: Game, one: SeenGame) -> bool:
    """Whether seats have cards at all: they are dealt some, or some lie somewhere."""
    return game.cards > 0 or any(map(one.count, one.counts))


def _hands_in(game: Game, state: State, one: SeenGame) -> str | None:
    """The field of the cards that seats hold: ``hands``, or else the first whose entries are the seats', be there more
    behind them that are nobody's."""
    fields = [name for name in one.counts if one.per_seat(name)]
    if "hands" in fields:
        return "hands"
    for name, hidden in game.hidden(state).items():
        sees, count = hidden.sees[0], len(one.values[name]) if isinstance(one.values[name], list) else 0
        if name in one.counts and count > game.seats and bool(sees.diagonal().all()):  # its own card, at least
            return name
    return fields[0] if fields else None


def _winning(match: Match) -> int:
    """Seat whose card takes the unfinished trick as it lies: a seat without a card (-1) beats nobody."""
    game, state = match.game, match.state
    return int(game.winner(state, state.trick, game.suit_led(state, state.trick)))


def _turned(match: Match, one: SeenGame) -> tuple[int, ...]:
    """The cards that lie open beside those that were played and those that another field tells."""
    if not isinstance(match.game, TrickGame):
        return ()
    played = {move.action for trick in match.tricks for move in trick.plays}
    told = {card for name in one.counts if name not in ("seen", "lacks") for card in one.held(name)}
    return tuple(card for card in one.held("seen") if card not in played | told)


def _led(match: Match) -> int | None:
    suit = int(match.game.suit_led(match.state, match.state.trick))
    return suit if 0 <= suit < match.game.layout.suits else None

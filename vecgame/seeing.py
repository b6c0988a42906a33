"""What one seat sees of a game.

That is a `Seen`, plain Python values made by way of `Game.hidden`; text and pictures are made from it, so that nothing
hidden can get into them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vecgame.cards import BY_NUMBER, Layout
from vecgame.kinds import said
from vecgame.naming import card_name, in_order, points, suit_name, suit_symbol

TRICK_KINDS = {
    **dict.fromkeys(("hands", "seen", "lacks"), "sets"),
    "trick": "cards",
    "leader": "seats",
    "dealer": "seats",
    **dict.fromkeys(("maker", "declarer", "soloist"), "seats"),
    "trump": "suits",
    "stock": "cards",
    "turned": "cards",
    "shown": "sets",
}
LABELS = {"bids": "bid", "made": "decisions made", "to_move": "to move"}
MAY = "may"  # the field of marks of what hands may hold (`vecgame.hands`), of which all cards rule nothing out
SHUFFLED = "shuffled"  # the field of cards that all know to have been shuffled into the stock
MARKS = (MAY, "needs", SHUFFLED)  # fields of marks of what is known of hidden cards

Value = Any
"""A field of one lane as `Tensor.tolist` gives it, with None for every entry that is hidden. An entry of counts is a
tuple of them."""
CARDS = ("sets", "cards", "counts")  # kinds of fields that hold cards


@dataclass(frozen=True)
class Seen:
    """One game as one seat sees it, or as somebody who sees all."""

    title: str
    layout: Layout
    viewer: int | None  # a seat; None sees all
    seats: int | None  # None where the state alone does not tell
    values: Mapping[str, Value]  # by field, entries that the viewer does not see are None
    counts: Mapping[str, Value]  # by field that holds cards: how many each entry holds, hidden ones too
    kinds: Mapping[str, str | tuple[str, ...]]  # by field, see `kinds`
    mover: int | None = None  # None: the game is over, or it is not known
    acting: int | None = None  # the seat that the mover decides for, itself as a rule
    legal: Sequence[int] = ()  # the mover's actions, if the viewer may know them
    choices: Sequence[str] = ()  # their names
    scores: Sequence[float] | None = None  # of a finished game
    deck: int | None = None  # bitboard of the cards in play; None: all of the layout
    unnamed: Sequence[str] = ()  # the fields that players have not said anything for yet, see `Game.trump_named`
    untold: Sequence[str] = ()  # the fields that are kept off the table, see `State.untold`

    def seat_name(self, seat: int, names: Sequence[str] | None = None) -> str:
        name = f"seat {seat}" if names is None else names[seat]
        return f"{name} (you)" if seat == self.viewer else name

    def mover_name(self, names: Sequence[str] | None = None) -> str:
        """Who is to move, and whose cards it plays, where these are not its own."""
        name = self.seat_name(self.mover, names)
        return name if self.acting in (None, self.mover) else f"{name} for {self.seat_name(self.acting, names)}"

    def held(self, name: str, entry: int | None = None) -> list[int]:
        """The cards that are seen in a field, or in one entry of it, as held; by their places, if it has any."""
        value = self.values[name] if entry is None else self.values[name][entry]
        cards = cards_in(self.kinds[name], value)
        if "counts" not in self.kinds.values():  # each card is the only one that looks like it
            cards = list(dict.fromkeys(cards))
        return cards if self.has_places(name, entry) else in_order(self.layout, cards)

    def has_places(self, name: str, entry: int | None) -> bool:
        """Whether an entry of a field is places of cards, whose order may tell something, as a seat's in [B, P, H]."""
        return entry is not None and isinstance(self.values[name][entry], list)

    def count(self, name: str, entry: int | None = None) -> int:
        """How many cards a field holds, or one entry of it."""
        return sum(flat(self.counts[name] if entry is None else self.counts[name][entry]))

    def hand(self, seat: int, name: str = "hands") -> tuple[list[int], int]:
        """The cards of a seat's hand that are seen, and how many it has in all. What is ``shown`` lies beside the
        ``hands`` of a `vecgame.HandGame`, and is some of those of a trick game."""
        held, count = self.held(name, seat), self.count(name, seat)
        if not self.shows_hands(name):
            return held, count
        known, beside = self.held("shown", seat), "trick" not in self.values
        held += known if beside else [card for card in known if card not in held]
        count += len(known) if beside else 0
        return held if self.has_places(name, seat) else in_order(self.layout, held), count

    def shows_hands(self, name: str = "hands") -> bool:
        """Whether some cards of that field of hands are told in another, ``shown``."""
        return name == "hands" and "shown" in self.counts and self.per_seat("shown")

    def plays(self) -> list[tuple[int, int]]:
        """The trick on the table: (seat, card) in the order of play."""
        trick = self.values.get("trick") or []
        first = self.values.get("leader") or 0
        turns = [(first + place) % len(trick) for place in range(len(trick))]
        return [(seat, trick[seat]) for seat in turns if trick[seat] is not None and trick[seat] >= 0]

    def playable(self) -> dict[int, str]:
        """The cards among the choices, with what is done with each but to play it: "" or such as "pass"."""
        cards = {card: card_name(self.layout, card) for card in self.legal if card < self.layout.size}
        named = dict(zip(self.legal, self.choices, strict=True))
        return {c: named[c].removesuffix(name).strip() for c, name in cards.items() if named[c].endswith(name)}

    def per_seat(self, name: str) -> bool:
        """Whether a field has one entry for each seat."""
        value = self.values[name]
        return isinstance(value, list) and len(value) == self.seats and name != "trick"

    def notes(self, seat: int, names: Sequence[str] | None = None) -> list[str]:
        """What is to be said of a seat beside its cards: bids, tricks, points."""
        notes = []
        for name in sorted(self.kinds, key=lambda name: name != "bids"):  # bids first, then as the state has them
            if not self.per_seat(name) or self.kinds[name] in CARDS:
                continue
            value = self.values[name][seat]
            if value is True:
                notes.append(name)
            elif isinstance(value, list):
                told = self.listed(name, value, names)
                notes += [f"{LABELS.get(name, name)} {told}"] * bool(told)
            elif value is not False and not self.is_none(name, value):
                notes.append(f"{LABELS.get(name, name)} {self.worded(name, value)}")
        if void := " ".join(suit_symbol(self.layout, suit) for suit in self._voids(seat)):
            notes.append(f"no {void}")
        return notes if self.scores is None else [*notes, f"score {points(self.scores[seat])}"]

    def _voids(self, seat: int) -> list[int]:
        """The suits that a seat is known to be out of, by `TrickState.lacks`."""
        lacks = self.values["lacks"][seat] or 0 if "lacks" in self.values else 0
        return [suit for suit in range(self.layout.suits) if not self.layout.block(suit) & ~lacks]

    def is_none(self, name: str, value: Value) -> bool:
        """Whether an entry of a field that holds no cards says that there is none yet: -1, of numbers in bids only, as
        others may be below 0."""
        return value == -1 and (name == "bids" or self.kinds[name] != "number")

    def used(self, name: str, value: list[Value]) -> list[Value]:
        """The entries of a list in a field that holds no cards, without those at its end that say that there is none,
        as of an auction the calls that have not been made."""
        entries = list(flat(value))
        while entries and self.is_none(name, entries[-1]):
            entries.pop()
        return entries

    def listed(self, name: str, value: list[Value], names: Sequence[str] | None = None) -> str:
        """A list that is one entry of a field that holds no cards: of whether each seat does something those that do,
        of whether anything else is so their places from 1 on; "" where there is nothing to tell."""
        entries = self.used(name, value)
        told = [entry for entry in entries if entry is not None]
        if all(isinstance(entry, bool) for entry in told):
            seats = len(entries) == len(value) == self.seats
            places = (place for place, entry in enumerate(entries) if entry)
            return ", ".join(self.seat_name(place, names) if seats else str(place + 1) for place in places)
        return " ".join(self.worded(name, entry) for entry in entries if entry is None or not self.is_none(name, entry))

    def worded(self, name: str, value: Value) -> str:
        """One entry of a field that holds no cards."""
        kind = self.kinds[name]
        if name in self.unnamed:
            return "not named"
        if value is None:
            return "?"
        if kind == "seats":
            return "none" if value < 0 else f"seat {value}"
        if kind == "suits":
            return suit_name(self.layout, value)
        if kind == "ranks":
            return self.layout.rank_names[value] if 0 <= value < self.layout.ranks else "none"
        if isinstance(kind, tuple):
            return kind[value] if 0 <= value < len(kind) else "none"
        return (
            str(value).lower()
            if isinstance(value, bool)
            else f"{value:g}"
            if isinstance(value, float)
            else f"{value:,}"
        )


def kinds(state: Any, hidden: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """What each field of a state holds: "sets" (bitboards), "cards" (ids, -1 none), "counts" (of each id), "seats",
    "suits" and "ranks" (numbers of such, -1 none), "number", or a tuple of names that its numbers stand for.

    ``State.holds`` says so, of the state's class and those it extends, or `Game.hidden`; in a state with a trick also
    `TRICK_KINDS`, by the names that fields have in trick games. ``hands`` that are int64 are sets. All others are
    numbers, whatever their dtype.
    """
    names, told = list(state.tensors()), said(type(state))
    usual = TRICK_KINDS if {"hands", "trick"} <= set(names) else {}
    if "hands" in names and state.hands.dtype == torch.int64:
        usual = {"hands": "sets"} | usual
    shown = {name: field.holds for name, field in hidden.items()}
    return {name: told.get(name) or shown.get(name) or usual.get(name, "number") for name in names}


def see(game: Any, state: Any, lane: int = 0, seat: int | None = None) -> Seen:
    """What ``seat`` sees of a lane; everything for None.

    Raises:
        ValueError: on a seat that is none. IndexError on such a lane, NotImplementedError for the view of a seat in a
            game that does not say what is hidden.
    """
    if seat is not None and (isinstance(seat, bool) or seat not in range(game.seats)):
        raise ValueError(f"seat must be from 0 to {game.seats - 1}, or None to see all, got {seat!r}")
    one = state[operator.index(lane)].to("cpu")
    try:
        hidden = game.hidden(one)
    except NotImplementedError:
        if seat is not None:
            raise
        hidden = {}
    over, mover, named = bool(game.is_terminal(one)), int(game.mover(one)), game.trump_named(one)
    legal = [] if over or seat not in (None, mover) else game.legal_mask(one)[0].nonzero()[:, 0].tolist()
    seen = _seen(
        one,
        hidden,
        seat,
        title=f"{getattr(game, 'name', type(game).__name__)}, game {int(one.index)}",
        layout=game.layout,
        deck=game.deck,
        seats=game.seats,
        mover=None if over else mover,
        acting=None if over else int(game.acting(one)),
        legal=legal,
        choices=[game.action_name(action, one) for action in legal],
        scores=_scores(game, one) if over else None,
        unnamed=() if named is None or bool(named) else ("trump",),
    )
    if seat is None or "hands" not in hidden or bool(hidden["hands"].sees[0, seat, seat].all()):
        return seen
    blind = [choice for choice in zip(seen.legal, seen.choices, strict=True) if choice[0] not in seen.playable()]
    return replace(seen, legal=[action for action, _ in blind], choices=[name for _, name in blind])


def see_all(state: Any, lane: int, title: str) -> Seen:
    """All of a lane, as far as a state tells without its game: cards and suits by number where its class has no
    ``layout``, or None for one that depends on the rules."""
    one = state[lane].to("cpu")
    seats = one.hands.shape[1] if "hands" in one.tensors() and one.hands.ndim > 1 else None
    layout = getattr(type(state), "layout", None)
    seen = _seen(one, {}, None, title=title, layout=layout or BY_NUMBER, seats=seats)
    if layout is not None:
        return seen
    named = ("suits", "ranks")
    return replace(seen, kinds={name: "number" if kind in named else kind for name, kind in seen.kinds.items()})


def _seen(one: Any, hidden: Mapping[str, Any], seat: int | None, layout: Layout, **other: Any) -> Seen:
    what, values, counts = kinds(one, hidden), {}, {}
    veiled = () if seat is None else hidden
    for name, tensor in one.tensors().items():
        if what[name] == "sets":
            tensor = tensor & layout.bits
        value, sees = listed(what[name], tensor[0], hidden[name].sees[0, seat] if name in veiled else None)
        if what[name] in CARDS:
            counts[name] = _mapped(value, lambda entry, kind=what[name]: len(cards_in(kind, entry)))
        values[name] = _veiled(value, sees) if name in veiled else value
    untold = tuple(type(one).untold)
    if missing := [name for name in untold if name not in values and name not in MARKS]:
        raise ValueError(f"untold of {type(one).__name__} names {missing[0]!r}, which is none of {', '.join(values)}")
    return Seen(layout=layout, viewer=seat, values=values, counts=counts, kinds=what, untold=untold, **other)


def _scores(game: Any, one: Any) -> list[float] | None:
    try:
        return (game.scores(one)[0] + 0.0).tolist()  # no -0
    except NotImplementedError:  # a game that is only searched
        return None


def listed(kind: str | tuple[str, ...], field: Tensor, sees: Tensor | None = None) -> tuple[Value, Value]:
    """A field as `Tensor.tolist` gives it, and which of its entries are seen, if ``sees`` says it, else True; the
    counts of an entry are one value."""
    value, counted = field.tolist(), kind == "counts"
    seen = True if sees is None else (sees[..., 0] if counted else sees).tolist()
    return entries_of(value) if counted else value, seen


def entries_of(counts: list) -> Value:
    """Counts as `Tensor.tolist` gives them, with those of each entry as one value."""
    return tuple(counts) if not counts or not isinstance(counts[0], list) else [entries_of(each) for each in counts]


def ids_counted(counts: Sequence[int]) -> list[int]:
    """The ids in counts, as often as they are there, ascending."""
    return [card for card, number in enumerate(counts) for _ in range(number)]


def _veiled(value: Value, sees: Value) -> Value:
    """A value with None for what is not seen."""
    if isinstance(value, list):
        return [_veiled(*pair) for pair in zip(value, sees, strict=True)]
    return value if sees else None


def _mapped(value: Value, function: Any) -> Value:
    return [_mapped(entry, function) for entry in value] if isinstance(value, list) else function(value)


def flat(value: Value) -> Iterator[Any]:
    """The entries of a value, of whatever lists it is."""
    if isinstance(value, list):
        for entry in value:
            yield from flat(entry)
    else:
        yield value


def cards_in(kind: str | tuple[str, ...], value: Value) -> list[int]:
    """The ids in a value that holds cards, without those that are hidden."""
    known = [entry for entry in flat(value) if entry is not None]
    if kind == "counts":
        return [card for counts in known for card in ids_counted(counts)]
    if kind == "cards":
        return [card for card in known if card >= 0]
    return [card for bits in known for card in range(bits.bit_length()) if bits >> card & 1]

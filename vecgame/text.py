"""Cards, actions and games in words.

What one seat sees of a game is a `Seen`, plain Python values made by way of `Game.hidden`; text and pictures are made
from it, so that nothing hidden can get into them. Names come from the game's `Layout`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from vecgame.cards import BY_NUMBER, SUIT_NAMES, Layout
from vecgame.kinds import said

SYMBOLS = dict(zip(SUIT_NAMES, "♠♥♣♦", strict=True))
AS_TEXT = "\ufe0e"  # after a suit's sign: to be shown as text, not as an emoji
SHOWN_GAMES = 3  # of a batch
SHOWN_NUMBERS = 24  # of a field that is no card
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
POINTER = "▸"
MAY = "may"  # the field of marks of what hands may hold (`vecgame.hands`), of which all cards rule nothing out
MARKS = (MAY, "needs")  # fields of marks of what is known of hands

Value = Any
"""A field of one lane as `Tensor.tolist` gives it, with None for every entry that is hidden. An entry of counts is a
tuple of them."""
CARDS = ("sets", "cards", "counts")  # kinds of fields that hold cards


# -- names ------------------------------------------------------------------------------------------------------------


def suit_symbol(layout: Layout, suit: int) -> str:
    """A suit's sign where all suits have usual ones, else its name, so that clubs beside coins are no sign alone."""
    name = layout.suit_names[suit]
    return SYMBOLS[name] if usual_suits(layout) else name


def usual_suits(layout: Layout) -> bool:
    """Whether all suits are of those that have signs."""
    return all(name in SYMBOLS for name in layout.suit_names)


def suit_name(layout: Layout, suit: int) -> str:
    """A suit with its sign, as "hearts ♥"; "none" for the number after the last."""
    if not 0 <= suit < layout.suits:
        return "none"
    name, symbol = layout.suit_names[suit], suit_symbol(layout, suit)
    return name if name == symbol else f"{name} {symbol}"


def card_name(layout: Layout, card: int) -> str:
    """A card as people write it: "Q♠", "7 of coins", "wizard". Raises ValueError on an id that is none."""
    card = operator.index(card)
    if not 0 <= card < layout.size:
        raise ValueError(f"card must be an id from 0 to {layout.size - 1}, got {card}")
    if card >= layout.suits * layout.ranks:
        return layout.extra_names[card - layout.suits * layout.ranks]
    suit, rank = divmod(card, layout.ranks)
    symbol = suit_symbol(layout, suit)
    return layout.rank_names[rank] + (symbol if len(symbol) == 1 else f" of {symbol}")


def card_ids(layout: Layout, bits: int) -> list[int]:
    """The cards of a bitboard as they are held, see `in_order`."""
    return in_order(layout, (card for card in range(layout.size) if bits >> card & 1))


def in_order(layout: Layout, cards: Iterable[int]) -> list[int]:
    """Cards as they are held: suit after suit, the highest of each first, those of no suit last."""
    return sorted(cards, key=lambda card: (_suit(layout, card), -card))


def _suit(layout: Layout, card: int) -> int:
    """The suit of a card, `Layout.suits` for a card of no suit."""
    return min(card // layout.ranks, layout.suits) if layout.ranks else layout.suits


def cards_text(layout: Layout, bits: int) -> str:
    """A set of cards, suit after suit: "♠ A K 10  ♥ 3"."""
    return listed_text(layout, card_ids(layout, bits))


def listed_text(layout: Layout, held: Sequence[int]) -> str:
    """Cards by their ids likewise, some of which may be there several times."""
    parts = []
    for suit in range(layout.suits + 1):
        cards = in_order(layout, (card for card in held if _suit(layout, card) == suit))
        if cards and suit < layout.suits:
            ranks = " ".join(layout.rank_names[card % layout.ranks] for card in cards)
            parts.append(f"{suit_symbol(layout, suit)} {ranks}")
        elif cards:
            parts.append(" ".join(card_name(layout, card) for card in cards))
    return "  ".join(parts)


# -- what is seen -----------------------------------------------------------------------------------------------------


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
        cards = _cards(self.kinds[name], value)
        if "counts" not in self.kinds.values():  # each card is the only one that looks like it
            cards = list(dict.fromkeys(cards))
        return cards if self.has_places(name, entry) else in_order(self.layout, cards)

    def has_places(self, name: str, entry: int | None) -> bool:
        """Whether an entry of a field is places of cards, whose order may tell something, as a seat's in [B, P, H]."""
        return entry is not None and isinstance(self.values[name][entry], list)

    def count(self, name: str, entry: int | None = None) -> int:
        """How many cards a field holds, or one entry of it."""
        return sum(flat(self.counts[name] if entry is None else self.counts[name][entry]))

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
    for name, tensor in one.tensors().items():
        if what[name] == "sets":
            tensor = tensor & layout.bits
        value, counted = tensor[0].tolist(), what[name] == "counts"
        if counted:
            value = entries_of(value)
        if what[name] in CARDS:
            counts[name] = _mapped(value, lambda entry, kind=what[name]: len(_cards(kind, entry)))
        if name in hidden and seat is not None:
            sees = hidden[name].sees[0, seat]
            value = _veiled(value, (sees[..., 0] if counted else sees).tolist())
        values[name] = value
    untold = tuple(type(one).untold)
    if missing := [name for name in untold if name not in values and name not in MARKS]:
        raise ValueError(f"untold of {type(one).__name__} names {missing[0]!r}, which is none of {', '.join(values)}")
    return Seen(layout=layout, viewer=seat, values=values, counts=counts, kinds=what, untold=untold, **other)


def _scores(game: Any, one: Any) -> list[float] | None:
    try:
        return (game.scores(one)[0] + 0.0).tolist()  # no -0
    except NotImplementedError:  # a game that is only searched
        return None


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


def _cards(kind: str | tuple[str, ...], value: Value) -> list[int]:
    """The ids in a value that holds cards, without those that are hidden."""
    known = [entry for entry in flat(value) if entry is not None]
    if kind == "counts":
        return [card for counts in known for card in ids_counted(counts)]
    if kind == "cards":
        return [card for card in known if card >= 0]
    return [card for bits in known for card in range(bits.bit_length()) if bits >> card & 1]


# -- in words ---------------------------------------------------------------------------------------------------------


def points(value: float) -> str:
    """Points without needless decimals, as fine as those of Skat, a 240th; never -0."""
    return f"{round(value, 4) + 0.0:.15g}"


def words(seen: Seen, names: Sequence[str] | None = None) -> str:
    """A game in lines: each seat with its cards, the trick, what else there is, whose turn it is and what it may do."""
    lines = [seen.title, *_seat_rows(seen, names)]
    rows = [("trick", "  ".join(f"{card_name(seen.layout, c)} ({seen.seat_name(s, names)})" for s, c in seen.plays()))]
    rows += [(LABELS.get(name, name), field_words(seen, name, names)) for name in others(seen)]
    if seen.mover is not None:
        choices = f": {', '.join(seen.choices)}" if seen.choices else ""
        rows.append(("to move", f"{seen.mover_name(names)}{choices}"))
    elif seen.scores is not None:
        rows.append(("over", "" if "hands" in seen.values else " ".join(map(points, seen.scores))))
    rows = [row for row in rows if row[1] or row[0] == "over"]
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join([*lines, *(f"  {label:<{width}}  {told}".rstrip() for label, told in rows)])


def _seat_rows(seen: Seen, names: Sequence[str] | None) -> list[str]:
    """A line for each seat, in columns; none in a state that has no hands."""
    if not seated(seen):
        return []
    rows = [
        (
            f"{POINTER if seat == seen.mover else ' '} {seen.seat_name(seat, names)}",
            set_words(seen, "hands", seat) or "no cards",
            "  ".join(seen.notes(seat, names)),
        )
        for seat in range(seen.seats)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{name:<{widths[0]}}  {cards:<{widths[1]}}  {notes}".rstrip() for name, cards, notes in rows]


def seated(seen: Seen) -> bool:
    """Whether the state has hands, for a row of each seat's."""
    return "hands" in seen.counts and seen.per_seat("hands")


def set_words(seen: Seen, name: str, entry: int | None = None) -> str:
    """The cards of a field or of one entry of it, those that are not seen by their number; "" for none."""
    held = seen.held(name, entry)
    if held and seen.has_places(name, entry):
        return place_words(seen, name, entry)
    if name == MAY and _rule_nothing_out(seen, held):
        return ""
    unknown = seen.count(name, entry) - len(held)
    parts = [listed_text(seen.layout, held)] if held else []
    return " + ".join([*parts, *([f"{unknown} card{'s' * (unknown > 1)}"] if unknown > 0 else [])])


def place_words(seen: Seen, name: str, entry: int) -> str:
    """What lies in the places of an entry, in their order, "?" where it is not seen and "-" in an empty place before
    others: a card each, or sets, such as what the card in a place may be; "" where all may be any."""
    places = list(zip(flat(seen.values[name][entry]), flat(seen.counts[name][entry]), strict=True))
    while places and not places[-1][1]:
        places.pop()
    single, told = all(count <= 1 for _, count in places), []
    for value, count in places:
        held = _cards(seen.kinds[name], value)
        words = card_name(seen.layout, held[0]) if single and held else listed_text(seen.layout, held)
        words = "any" if name == MAY and _rule_nothing_out(seen, held) else words
        told.append(words or ("?" if count else "-"))
    return "" if set(told) == {"any"} else (" " if single else " | ").join(told)


def _rule_nothing_out(seen: Seen, cards: Iterable[int]) -> bool:
    """Whether these are all cards that are in play."""
    return _bits(cards) == (seen.layout.bits if seen.deck is None else seen.deck)


def _bits(cards: Iterable[int]) -> int:
    return sum(1 << card for card in set(cards))


def row_words(seen: Seen, name: str) -> str:
    """The cards of a field of several places: ids in the order of the places, "?" where one is not seen, as a place may
    tell whose a card is; as `set_words` does where none is seen, and in a field of sets."""
    places = list(zip(flat(seen.values[name]), flat(seen.counts[name]), strict=True))
    if seen.kinds[name] != "cards" or all(card is None for card, _ in places):
        return set_words(seen, name)
    return " ".join("?" if card is None else card_name(seen.layout, card) for card, count in places if count)


def others(seen: Seen) -> list[str]:
    """The fields that neither the rows of the seats nor the title tell."""
    rows = seated(seen)
    told = {"index", "lacks", "trick"} if rows else {"index"}
    if seen.mover is not None or seen.scores is not None:  # or a state is shown without its game
        told.add("to_move")
    return [
        name
        for name in seen.values
        if name not in told and not (rows and (name == "hands" or (name not in seen.counts and seen.per_seat(name))))
    ]


def field_words(seen: Seen, name: str, names: Sequence[str] | None) -> str:
    value = seen.values[name]
    if name in seen.counts:
        if not seen.per_seat(name):
            return row_words(seen, name) if isinstance(value, list) else set_words(seen, name)
        parts = [(seen.seat_name(seat, names), set_words(seen, name, seat)) for seat in range(seen.seats)]
        return ", ".join(f"{seat}: {cards}" for seat, cards in parts if cards)
    if seen.kinds[name] == "seats" and not isinstance(value, list) and value is not None and value >= 0:
        return seen.seat_name(value, names)
    entries = seen.used(name, value) if isinstance(value, list) else [value]
    if not entries:
        return ""
    if all(entry is None for entry in entries):
        return "hidden"
    told = " ".join(seen.worded(name, entry) for entry in entries[:SHOWN_NUMBERS])
    return told + (f" and {len(entries) - SHOWN_NUMBERS} more" if len(entries) > SHOWN_NUMBERS else "")


def state_text(state: Any) -> str:
    """A batch in words: its first games with all cards open, and how many more there are; where values are not to be
    had, under `torch.compile` or while a CUDA graph is recorded, the shapes of its fields."""
    name, size = type(state).__name__, state.batch_size
    if not readable(state):
        shapes = (f"{field}: {list(tensor.shape)} {tensor.dtype}" for field, tensor in state.tensors().items())
        return f"{name} of {size} games, values unknown; {', '.join(shapes)}"
    lines = [f"{name} of {size:,} game{'s' * (size != 1)} on {state.device}"]
    lines += [words(see_all(state, lane, f"game {int(state.index[lane])}")) for lane in range(min(size, SHOWN_GAMES))]
    if size > SHOWN_GAMES:
        lines.append(f"and {size - SHOWN_GAMES:,} more game{'s' * (size > SHOWN_GAMES + 1)}")
    return "\n".join(lines)


def readable(state: Any) -> bool:
    """Whether a state is a batch of plain tensors whose values can be read now."""
    if torch.compiler.is_compiling():
        return False
    tensors = [getattr(state, field.name) for field in fields(state)]
    plain = all(type(tensor) is Tensor and not tensor.is_meta and tensor.ndim > 0 for tensor in tensors)
    if not plain or len({len(tensor) for tensor in tensors}) > 1:
        return False
    return not (state.index.is_cuda and torch.cuda.is_current_stream_capturing())

"""A game as a picture: the table from above, as one SVG without scripts, fonts or anything else from elsewhere.

The viewer, or seat 0, sits at the bottom, the next to play on its left. Colours are attributes, and a style sheet of a
few lines changes them where a dark scheme is preferred; viewers that know none of it show the light one. Suits are told
by their signs, seats by their names. Whoever cannot see it is read the same in words (`vecgame.text.words`).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from vecgame import naming, seeing, text
from vecgame.card_pictures import CLASSES, FELT, LARGE, PAGE, RIM, SMALL, TURN, back, face, written
from vecgame.naming import AS_TEXT
from vecgame.seeing import Seen

MOST_SEATS = 8
MOST_PILES = 2  # on the table; others are told below it
WIDTH = 560
EDGE = 14  # free around everything
SIDE = 122  # width of the columns of seats to the left and the right of the table
LEAST_TABLE = 252  # height of the table, more for a ring of more than four cards
LEAST_RING = 300
LONGEST_NAME = 15  # of a seat, in characters
LINE = 15  # from one line of small print to the next
APART = 14  # seats of one column


@dataclass(frozen=True)
class View:
    """A game as one seat sees it, or as somebody who sees all: prints as text, and is a picture in a notebook."""

    seen: Seen
    names: tuple[str, ...] | None = None  # of the seats

    def __repr__(self) -> str:
        return text.words(self.seen, self.names)

    def _repr_svg_(self) -> str | None:
        return svg(self.seen, self.names) if drawable(self.seen) else None


def picture(game: Any, state: Any, lane: int = 0, seat: int | None = None, names: Sequence[str] | None = None) -> str:
    """The SVG of a game as ``seat`` sees it, or of all cards for None.

    Args:
        game: a `vecgame.Game` of 2 to 8 seats whose state has ``hands``.
        names: of the seats; "seat 0" and so on by default.

    Raises:
        ValueError: on a game without hands, a seat that is none, or another number of names. IndexError on such a lane.
    """
    seen = seeing.see(game, state, lane, seat)
    if not drawable(seen):
        raise ValueError(f"{seen.title}: there are no hands of 2 to {MOST_SEATS} seats to draw")
    if names is not None and len(names) != seen.seats:
        raise ValueError(f"names must be {seen.seats}, one for each seat, got {len(names)}")
    return svg(seen, names)


def state_picture(state: Any) -> str | None:
    """The first game of a batch with all cards open; None where there is none, or nothing to draw."""
    if not text.readable(state) or state.batch_size == 0:
        return None
    first = f"{type(state).__name__}, game {int(state.index[0])}"
    more = f", the first of {state.batch_size:,}" if state.batch_size > 1 else ""
    seen = seeing.see_all(state, 0, first + more)
    return svg(seen) if drawable(seen) else None


def drawable(seen: Seen) -> bool:
    """Whether there are hands, of as many seats as there is room for."""
    return text.seated(seen) and 2 <= seen.seats <= MOST_SEATS


# -- the picture ------------------------------------------------------------------------------------------------------


def svg(seen: Seen, names: Sequence[str] | None = None) -> str:
    """The picture of what is `drawable`."""
    left, top, right = _round_the_table(seen.seats, seen.viewer or 0)
    facts, foot = _wrapped(_facts(seen), 86), _wrapped(_footer(seen, names), 86)
    above = EDGE + 20 + LINE * len(facts) + 6
    table_top = above + (_row_height(SMALL) if top else 0)
    blocks = {seat: _side_height(seen, seat) for seat in (*left, *right)}
    stacks = [sum(blocks[seat] for seat in column) + APART * max(len(column) - 1, 0) for column in (left, right)]
    table = max(LEAST_TABLE if seen.seats <= 4 else LEAST_RING, *stacks)
    bottom = table_top + table + 8
    height = bottom + _row_height(LARGE) + LINE * len(foot) + EDGE

    parts = [_table(seen, table_top, table)]
    for column, x, stack in ((left, EDGE, stacks[0]), (right, WIDTH - EDGE - SIDE, stacks[1])):
        y = table_top + (table - stack) / 2
        for seat in column:
            parts.append(_side_seat(seen, seat, names, x, y))
            y += blocks[seat] + APART
    for number, seat in enumerate(top):
        x = WIDTH * (2 * number + 1) / (2 * len(top))
        parts.append(_row_seat(seen, seat, names, x, above, WIDTH / len(top) - 2 * EDGE, *SMALL))
    parts.append(_row_seat(seen, seen.viewer or 0, names, WIDTH / 2, bottom, WIDTH - 2 * EDGE, *LARGE))
    parts += _trick(seen, table_top, table)
    parts.append(written(seen.title, EDGE, EDGE + 12, "ink", 15, bold=True))
    parts += [written(line, EDGE, EDGE + 14 + LINE * (number + 1), "faint") for number, line in enumerate(facts)]
    parts += [written(line, EDGE, height - EDGE - LINE * (len(foot) - 1 - n), "faint") for n, line in enumerate(foot)]
    return _page(seen, names, height, parts)


def _page(seen: Seen, names: Sequence[str] | None, height: float, parts: Sequence[str]) -> str:
    dark = "".join(f".vecgame .vg-{name}{{fill:{colours[1]}}}" for name, colours in CLASSES.items())
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    font = 'font-family="system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="vecgame" role="img" {size} {font} '
            'style="max-width:100%;height:auto">',
            f"<title>{escape(seen.title)}</title>",
            f"<desc>{escape(text.words(seen, names))}</desc>",
            f"<style>@media (prefers-color-scheme:dark){{{dark}}}</style>",
            f'<rect class="vg-page" width="{WIDTH}" height="{height:.0f}" rx="10" fill="{PAGE[0]}"/>',
            *parts,
            "</svg>",
        ]
    )


def _round_the_table(seats: int, bottom: int) -> tuple[list[int], list[int], list[int]]:
    """The seats to the left from above, those at the top, and those to the right from above, in clockwise order."""
    others = [(bottom + step) % seats for step in range(1, seats)]
    top = {2: 1, 3: 0, 5: 2, 7: 2}.get(seats, 1)
    side = (seats - 1 - top) // 2
    return others[:side][::-1], others[side : side + top], others[side + top :]


def _table(seen: Seen, y: float, height: float) -> str:
    """The table, in its middle the cards that are no seat's, or else the sign of the trump suit."""
    x, width, middle = SIDE + 2 * EDGE, WIDTH - 2 * SIDE - 4 * EDGE, y + height / 2
    place = f'x="{x}" y="{y:.1f}" width="{width}" height="{height:.1f}" rx="44"'
    parts = [f'<rect class="vg-felt" {place} fill="{FELT[0]}" stroke="{RIM}" stroke-width="3"/>', *_piles(seen, middle)]
    trump = None if "trump" in seen.unnamed else seen.values.get("trump")
    if seen.kinds.get("trump") == "suits" and trump is not None and 0 <= trump < seen.layout.suits:
        symbol = naming.suit_symbol(seen.layout, trump)
        if len(symbol) == 1 and len(parts) == 1:
            place = f'x="{WIDTH / 2}" y="{middle + 14:.1f}" text-anchor="middle" font-size="64"'
            parts.append(f'<text {place} fill="#ffffff" fill-opacity="0.3">{symbol}{AS_TEXT}</text>')
        parts.append(
            written(f"trump {seen.layout.suit_names[trump]}", WIDTH / 2, middle + 34, "white", 11, anchor="middle")
        )
    return "".join(parts)


def _trick(seen: Seen, y: float, height: float) -> list[str]:
    """The cards on the table, in a ring, each where its seat is."""
    parts, (wide, high) = [], LARGE
    for place, (seat, card) in enumerate(seen.plays()):
        angle = 2 * math.pi * (seat - (seen.viewer or 0)) / seen.seats  # from below, clockwise
        middle_x = WIDTH / 2 - (WIDTH / 2 - SIDE - 2 * EDGE - wide / 2 - 20) * math.sin(angle)
        middle_y = y + height / 2 + (height / 2 - high / 2 - 20) * math.cos(angle)
        parts.append(face(seen.layout, card, middle_x - wide / 2, middle_y - high / 2, wide, high, whole=True))
        if place == 0:
            beside = middle_y + (high / 2 + 13 if math.cos(angle) > 0.1 else -high / 2 - 5)
            parts.append(written("led", middle_x, beside, "white", 11, anchor="middle"))
    return parts


def _facts(seen: Seen) -> list[str]:
    """What concerns the whole game, in small print under its title."""
    told = []
    for name in text.others(seen):
        value = seen.values[name]
        scalar = name not in seen.counts and not isinstance(value, list) and value is not None
        if scalar and not (seen.kinds[name] == "seats" and value >= 0):  # which stands at its seat
            told.append(f"{seeing.LABELS.get(name, name)} {seen.worded(name, value)}")
    return told


def _footer(seen: Seen, names: Sequence[str] | None) -> list[str]:
    """Whose turn it is, and which choices are no cards of its hand; then the cards that lie nowhere on the table."""
    told = []
    playable = seen.playable()
    if seen.mover is not None:
        others = [name for action, name in zip(seen.legal, seen.choices, strict=True) if action not in playable]
        may = ", ".join([*sorted({*playable.values()} - {""}), *others])
        told.append(f"{seen.mover_name(names)} to move{': ' + may if may else ''}")
    elif seen.scores is not None:
        told.append("the game is over")
    drawn = {"hands", "trick", "lacks", *_pile_fields(seen)}
    for name in seen.counts:
        if name not in drawn and (cards := text.field_words(seen, name, names)):
            told.append(f"{seeing.LABELS.get(name, name)}: {cards}")
    return told


def _wrapped(told: Sequence[str], columns: int) -> list[str]:
    """Pieces of text in as few lines as they need, no piece cut that fits into a line."""
    lines: list[str] = []
    for piece in told:
        joined = f"{lines[-1]}  ·  {piece}" if lines else piece
        if lines and len(joined) <= columns:
            lines[-1] = joined
        else:
            lines += textwrap.wrap(piece, columns, break_on_hyphens=False) or [""]
    return lines


# -- seats ------------------------------------------------------------------------------------------------------------


def _marks(seen: Seen, seat: int) -> list[str]:
    """What is to be said of a seat, the roles that it has first; whose turn it is an arrow tells, if that is known."""
    here = {name for name, kind in seen.kinds.items() if kind == "seats" and seen.values[name] == seat}
    told = {"to_move"} if seen.mover is not None or seen.scores is not None else set()
    roles = [seeing.LABELS.get(name, name) for name in seen.kinds if name in here - told]
    held, count = seen.hand(seat)
    unknown = count - len(held)
    return [*roles, *seen.notes(seat), *([f"{unknown} card{'s' * (unknown > 1)}"] if unknown else [])]


def _name(seen: Seen, seat: int, names: Sequence[str] | None, x: float, y: float, anchor: str) -> str:
    """A seat's name, on a shield with an arrow where it is to move."""
    name = textwrap.shorten(seen.seat_name(seat, names), LONGEST_NAME, placeholder="…") or "…"
    if seat != seen.mover:
        return written(name, x, y, "ink", 13, bold=True, anchor=anchor)
    name = f"{text.POINTER} {name}"
    wide = 7.4 * len(name) + 12
    left = {"start": x - 6, "middle": x - wide / 2, "end": x - wide + 6}[anchor]
    shield = f'<rect x="{left:.1f}" y="{y - 13:.1f}" width="{wide:.1f}" height="18" rx="9" fill="{TURN}"/>'
    return shield + written(name, x, y, "onturn", 13, bold=True, anchor=anchor)


def _side_height(seen: Seen, seat: int) -> float:
    return LINE * (1 + len(_wrapped(_marks(seen, seat), 21))) + 8 + _column_height(seen, seat)


def _column_height(seen: Seen, seat: int) -> float:
    held, count = seen.hand(seat)
    return (26 if count else 0) + (16 if held else 5) * max(count - 1, 0) + 4


def _side_seat(seen: Seen, seat: int, names: Sequence[str] | None, x: float, y: float) -> str:
    """A seat beside the table: its name, what is to be said of it, its cards one below the other."""
    onwards = x < WIDTH / 2
    anchor, edge = ("start", x) if onwards else ("end", x + SIDE)
    parts = [_name(seen, seat, names, edge, y + 12, anchor)]
    lines = _wrapped(_marks(seen, seat), 21)
    parts += [written(line, edge, y + 14 + LINE * (n + 1), "faint", anchor=anchor) for n, line in enumerate(lines)]
    top = y + LINE * (1 + len(lines)) + 8
    (held, count), legal = seen.hand(seat), _legal_cards(seen, seat)
    for number in range(count):
        if number < len(held):
            out = 10 if held[number] in legal else 0
            left = edge + out if onwards else edge - 52 - out
            parts.append(face(seen.layout, held[number], left, top + 16 * number, 52, 26, strip=True))
        else:
            parts.append(back(edge if onwards else edge - 52, top + 5 * number, 52, 26))
    return "".join(parts)


def _row_height(card: tuple[int, int]) -> float:
    return 2 * LINE + 14 + card[1] + 10


def _row_seat(
    seen: Seen, seat: int, names: Sequence[str] | None, x: float, y: float, room: float, width: int, height: int
) -> str:
    """A seat above or below the table, around ``x``: its name, what is to be said of it, its cards side by side."""
    parts = [_name(seen, seat, names, x, y + 12, "middle")]
    parts.append(written("  ·  ".join(_marks(seen, seat)), x, y + 14 + LINE, "faint", anchor="middle"))
    top = y + 2 * LINE + 14
    (held, count), legal = seen.hand(seat), _legal_cards(seen, seat)
    widest = (width + 4 if count * (width + 4) <= room else (room - width) / max(count - 1, 1)) if held else 9
    pitch = min(widest, (room - width) / max(count - 1, 1))
    left = x - (pitch * (count - 1) + width) / 2
    for number in range(count):
        if number < len(held):
            up = 8 if held[number] in legal else 0
            whole = number == count - 1 or pitch > 0.9 * width
            parts.append(face(seen.layout, held[number], left, top - up, width, height, whole=whole))
        else:
            parts.append(back(left, top, width, height))
        left += pitch
    return "".join(parts)


def _legal_cards(seen: Seen, seat: int) -> set[int]:
    """The cards of a seat that it may play, where not all are."""
    legal = set(seen.playable()) if seat == seen.acting else set()
    return legal if len(legal) < seen.hand(seat)[1] else set()


# -- piles ------------------------------------------------------------------------------------------------------------


def _pile_fields(seen: Seen) -> list[str]:
    """The fields of cards that are no seat's and not drawn yet, such as a stock or the card turned up."""
    shown = {card for seat in range(seen.seats) for card in seen.hand(seat)[0]} | {card for _, card in seen.plays()}
    fields = [name for name in seen.counts if name not in ("seen", "trick") and not seen.per_seat(name)]
    return [name for name in fields if seen.count(name) and not shown & set(seen.held(name))][:MOST_PILES]


def _piles(seen: Seen, middle: float) -> list[str]:
    """Those side by side, each with its name, around the height ``middle``."""
    parts, fields = [], _pile_fields(seen)
    for place, name in enumerate(fields):
        x, y = WIDTH / 2 - 17 + 48 * (place - (len(fields) - 1) / 2), middle - 40
        held, count = seen.held(name), seen.count(name)
        parts += [back(x + 2 * n, y + n, 34, 46) for n in range(min(count, 4))] if not held or count > 1 else []
        if held:
            parts.append(face(seen.layout, held[0], x, y, 34, 46, whole=True))
        told = name if count == 1 else f"{name}: {count}"
        parts.append(written(told, x + 17, y + 60, "white", 10, anchor="middle"))
    return parts

"""What the page is told: a match as one seat sees it, as JSON values.

All of it is made from a `veclab.table.sight.Seen`, and the words from what the terminal says, so that nothing that the
seat does not see can be in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vecgame import naming
from vecgame.card_pictures import corner, ink_of
from veclab.table import lines, rows
from veclab.table.advice import Hint
from veclab.table.commands import distinct, listed_choices
from veclab.table.glyphs import UNICODE
from veclab.table.session import Match, Move, Trick
from veclab.table.sight import Seen, look, said

Json = object
"""What `json.dumps` takes."""


def seen_told(seen: Seen) -> dict[str, Json]:
    """A match as it is seen: the seats, the trick, the viewer's hand and choices, what is counted, the score sheet."""
    above, below = rows.trick_titles(seen) if seen.most_tricks else (seen.opening, "")
    return {
        "heading": lines.game_line(seen, UNICODE),
        "number": seen.number,
        "places": rows.places(len(seen.names), seen.viewer or 0),
        "seats": [_seat(seen, seat) for seat in range(len(seen.names))],
        "above": above,
        "below": below,
        "last": [] if seen.last_trick is None or seen.trick is None else _plays(seen, seen.last_trick),
        "hand": _hand(seen),
        "unseen": 0 if seen.viewer is None else seen.unseen(seen.viewer),
        "choices": _choices(seen),
        "prompt": lines.prompt(seen, UNICODE).rstrip(": ") if seen.own_turn else "",
        "scores": rows.score_rows(seen, UNICODE),
        "progress": [rows.progress(seen, seat) for seat in range(len(seen.names))],
        "bids": rows.bids_line(seen) or "",
        "facts": lines.facts_line(seen, seen.piles),
        "piles": [_pile(seen, name) for name in seen.piles if not seen.one.per_seat(name)],
        "sheet": {"title": rows.sheet_title(seen), "rows": rows.sheet_rows(seen, UNICODE)} if seen.results else None,
        "over": seen.mover is None,
    }


def card_told(seen: Seen, card: int) -> dict[str, Json]:
    """A card's face: its name, what stands in its corner, the number of its colour, and its suit in a word."""
    layout = seen.one.layout
    rank, sign = corner(layout, card)
    suit = layout.suit_names[card // layout.ranks] if sign else ""
    name, ink = naming.card_name(layout, card), ink_of(layout, card)
    return {"name": name, "rank": rank, "sign": sign, "ink": ink, "suit": suit}


def _seat(seen: Seen, seat: int) -> dict[str, Json]:
    """A seat: its card of the trick on the table, and of its hand what is seen; the viewer's own is told apart."""
    trick = seen.trick or seen.last_trick
    move = next((move for move in trick.plays if move.at == seat), None) if trick else None
    best = seen.winning if seen.trick else trick and trick.winner
    other = seat != seen.viewer
    return {
        "name": seen.names[seat],
        "mover": seat == seen.mover,
        "dealer": seen.one.values.get("dealer") == seat,
        "notes": _notes(seen, seat),
        "played": None if move is None else card_told(seen, move.action),
        "best": ("winning" if seen.trick else "takes it") if move is not None and seat == best else "",
        "hand": _others(seen, seat) if other else [],
        "unseen": seen.unseen(seat) if other else 0,
        "piles": [
            _pile(seen, name, seat) for name in seen.piles if seen.one.per_seat(name) and seen.one.count(name, seat)
        ],
    }


def _notes(seen: Seen, seat: int) -> str:
    """What is counted for a seat, in a line."""
    if seen.bids is not None and seen.won is not None:
        bid = seen.bids[seat]
        return "" if bid is None else f"bid {bid}, won {seen.won[seat]}"
    cells = {lines.heading(column): lines.cell(seen, column, seat) for column in seen.columns}
    return ", ".join(name if told == lines.YES else f"{name} {told}" for name, told in cells.items() if told)


def _plays(seen: Seen, trick: Trick) -> list[Json]:
    return [
        {"who": seen.names[move.at], "card": card_told(seen, move.action), "best": move.at == trick.winner}
        for move in trick.plays
    ]


def _pile(seen: Seen, name: str, seat: int | None = None) -> Json:
    """Cards that lie on the table, or beside a seat: their name, those seen, and how many are not."""
    cards = seen.pile(name, seat)
    unseen = seen.one.count(name, seat) - len(cards)
    return {"label": seen.label(name), "cards": _cards(seen, cards), "unseen": unseen}


def _hand(seen: Seen) -> list[Json]:
    """The viewer's cards as it holds them."""
    return [] if seen.viewer is None else _held(seen, seen.viewer)


def _others(seen: Seen, seat: int) -> list[Json]:
    """What is seen of another hand; of one that the viewer plays from, as of its own."""
    plays = seen.own_turn and seat == seen.acting
    return _held(seen, seat) if plays else [card_told(seen, card) for card in seen.hand(seat)]


def _held(seen: Seen, seat: int) -> list[Json]:
    """The cards of a hand that the viewer may play from."""
    return _cards(seen, seen.hand(seat), seat == seen.acting)


def _cards(seen: Seen, cards: Sequence[int], may: bool = True) -> list[Json]:
    """Cards, with the action of each that the viewer may choose, if it ``may``, and what is done with it."""
    playable, numbers = seen.one.playable() if seen.own_turn and may else {}, _numbers(seen)
    return [
        {
            **card_told(seen, card),
            "action": card if card in playable else None,
            "word": playable.get(card) or "play",
            "number": numbers.get(card) if card in playable else None,
        }
        for card in cards
    ]


def _choices(seen: Seen) -> list[Json]:
    """The viewer's choices that are no cards of the hand that it plays from, nor of a pile."""
    if not seen.own_turn:
        return []
    seats = range(len(seen.names))
    lie = [(name, seat) for name in seen.piles for seat in (seats if seen.one.per_seat(name) else [None])]
    cards = {*seen.hand(seen.acting), *(card for name, seat in lie for card in seen.pile(name, seat))}
    cards &= seen.one.playable().keys()
    numbers = _numbers(seen)
    others = {action: name for action, name in seen.choices.items() if action not in cards}
    return [
        {"action": action, "name": name, "number": numbers.get(action)} for action, name in distinct(others).items()
    ]


def _numbers(seen: Seen) -> dict[int, int]:
    """The choices' numbers, by action."""
    return {action: number for number, action in listed_choices(seen).items()} if seen.own_turn else {}


def hint_told(hint: Hint) -> dict[str, Json]:
    """A hint: who gives it, what its points count, and of each action its name, probability and expected points, the
    best first."""
    advice = [
        {
            "action": one.action,
            "copies": one.copies,
            "name": one.name,
            "probability": round(one.probability, 4),
            "prior": None if one.prior is None else round(one.prior, 4),
            "points": hint.told(one.points),
        }
        for one in hint.advice
    ]
    values = None if hint.values is None else [hint.told(value) for value in hint.values]
    return {"source": hint.source, "unit": hint.unit, "advice": advice, "values": values}


def lies_told(seen: Seen, lies: Tensor) -> list[Json]:
    """For spectators: each card that the mover does not know the place of, where it lies and how often it lies with
    each seat in deals that the mover may take for the true one."""
    held = {card: seat for seat in range(len(seen.names)) for card in seen.hand(seat)}
    rows = []
    for card, often in enumerate(lies.tolist()):
        if any(0 < share < 1 for share in often) or (card in held and max(often) == 0):
            shares = [round(share, 3) for share in often]
            rows.append({"card": card_told(seen, card), "seat": held.get(card), "shares": shares})
    return rows


def move_told(match: Match, after: Match, viewer: int | None) -> list[str]:
    """What one move did, in sentences that tell the viewer no more than it sees; at a game's end also its points."""
    move: Move = said(match, after, viewer)
    seen = look(after, viewer)
    told, known = lines.narrate(look(match, viewer), move, seen, UNICODE), len(match.results)
    return told + lines.result_lines(seen, known) if len(after.results) > known else told

"""A match in rows and columns: who sits where, what is counted, the score sheet; for any way to show them."""

from __future__ import annotations

from vecgame.naming import points
from veclab.table.glyphs import Glyphs
from veclab.table.lines import cell, heading, score_cells, verb
from veclab.table.session import Result
from veclab.table.sight import Seen


def places(seats: int, bottom: int) -> list[tuple[int | None, int | None, int | None]]:
    """Where seats sit, in rows of left, middle and right: ``bottom`` below, the others clockwise from its left."""
    sides = [(place, None, seats - place) for place in range((seats - 1) // 2, 0, -1)]
    rows = [*([(None, seats // 2, None)] if seats % 2 == 0 else []), *sides, (None, 0, None)]
    return [tuple(None if place is None else (bottom + place) % seats for place in row) for row in rows]


def trick_titles(seen: Seen) -> tuple[str, str]:
    """What stands above and below the trick on the table, or the last one until the next is led."""
    trick = seen.trick or seen.last_trick
    if trick is None:
        leads = "" if seen.leader is None else f"{verb(seen.names[seen.leader], 'lead')} first"
        return seen.opening or "first trick", leads
    number = f"trick {sum(seen.won or ()) + (seen.trick is not None)} of {seen.most_tricks}"
    if seen.trick is None:
        return number, f"{verb(seen.names[trick.winner], 'take')} it"
    return f"{number}, {seen.names[trick.plays[0].at]} led", f"{seen.names[seen.winning]} winning so far"


def score_rows(seen: Seen, glyphs: Glyphs) -> list[list[str]]:
    """The rows of the table of scores, its head first: the player, what is counted, and the match's points if there are
    several games: where each is itself a match, by what is counted of it, if nothing else is called so."""
    head = ["player", *(heading(column) for column in seen.columns)]
    total = seen.unit if seen.deal is not None and seen.unit not in head else "match"
    rows = [head + [total] * (seen.games > 1)]
    for seat, name in enumerate(seen.names):
        dealer = " (dealer)" if seen.one.values.get("dealer") == seat else ""
        row = [name + dealer, *(cell(seen, column, seat) or glyphs.empty for column in seen.columns)]
        rows.append(row + [points(seen.totals[seat])] * (seen.games > 1))
    return rows


def bids_line(seen: Seen) -> str | None:
    """What has been bid so far, for how many tricks."""
    if seen.bids is None or seen.won is None:
        return None
    made = [bid for bid in seen.bids if bid is not None]
    tricks = "1 trick" if seen.most_tricks == 1 else f"{seen.most_tricks} tricks"
    return f"bids: {sum(made)} for {tricks}" + ("" if len(made) == len(seen.bids) else " so far")


def progress(seen: Seen, seat: int) -> str:
    """ "met" while the bid stands exactly, "lost" once it cannot be met any more; "" by else, and in games in which
    a bid may be exceeded."""
    if not seen.exact or seen.bids is None or seen.won is None or None in seen.bids:
        return ""
    bid, won = seen.bids[seat], seen.won[seat]
    if won > bid or bid - won > seen.most_tricks - sum(seen.won):
        return "lost"
    return "met" if won == bid else ""


def sheet_title(seen: Seen, tally: bool = True) -> str:
    """What the score sheet counts."""
    return seen.unit + " (won/bid)" * (tally and any(result.bids is not None for result in seen.results))


def sheet_rows(seen: Seen, glyphs: Glyphs, tally: bool = True, facts: bool = True) -> list[list[str]]:
    """The score sheet: its head, every finished game and the sums; of a game with its number of cards and its trump if
    ``facts`` are asked for, with tricks won of tricks bid if the ``tally`` is."""
    bids, trump = (any(getattr(result, name) is not None for result in seen.results) for name in ("bids", "trump"))
    cards = facts and (bids or len({result.cards for result in seen.results}) > 1)
    trump = facts and trump
    rows = [[seen.what, *["cards"] * cards, *["trump"] * trump, *seen.names]]
    for number, result in enumerate(seen.results, 1):
        told = [*[str(result.cards)] * cards, *[_trump(seen, result, glyphs)] * trump]
        rows.append([str(number), *told, *score_cells(result, tally)])
    return [*rows, ["sum", *[""] * (cards + trump), *(points(total) for total in seen.totals)]]


def _trump(seen: Seen, result: Result, glyphs: Glyphs) -> str:
    layout = seen.one.layout
    named = result.trump is not None and 0 <= result.trump < layout.suits
    return glyphs.suit(layout, result.trump) if named else "none"

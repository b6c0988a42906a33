"""A match in plain sentences."""

from __future__ import annotations

from vecgame.cards import SEATS
from veclab.table.advice import Hint
from veclab.table.commands import bid_range
from veclab.table.glyphs import Glyphs
from veclab.table.session import Result
from veclab.table.sight import Seen

HELP = (
    "A bid is a number. A card is typed as qs, 10h (or th), 2c, or as its number.",
    "Enter plays the only card that is allowed.",
    "h hint   u undo, back to your last choice   ? this help   q quit (or Ctrl+D)",
    "Follow suit if you can. Tricks exactly as bid: 10 points and 1 for each, else 0.",
)


def verb(name: str, word: str) -> str:
    """The verb as it goes with a name: You bid, West bids."""
    return f"{name} {word}" if name == "You" else f"{name} {word}s"


def listed(names: list[str]) -> str:
    """Names as people list them: A, B and C."""
    return " and ".join(([", ".join(names[:-1])] if names[1:] else []) + names[-1:])


def narrate(before: Seen, action: int, after: Seen, glyphs: Glyphs) -> list[str]:
    """What one action did at the table, up to the end of its game."""
    name = before.names[before.mover]
    if before.bidding:
        return [f"{verb(name, 'bid')} {action}."]
    lines = [f"{verb(name, 'lead' if before.trick is None else 'play')} {glyphs.card(action)}."]
    if len(after.results) > len(before.results):
        tally, trick = after.results[-1], after.results[-1].tricks[-1]
    else:
        tally, trick = after, None if after.trick else after.last_trick
    if trick is not None:
        winner = trick.winner
        taken = f"{tally.won[winner]} won, {tally.bids[winner]} bid"
        lines.append(f"{verb(after.names[winner], 'take')} the trick: {taken}.")
    return lines


def game_line(seen: Seen, glyphs: Glyphs) -> str:
    """How a game begins."""
    cards = "1 card each" if seen.cards == 1 else f"{seen.cards} cards each"
    dealer = verb(seen.names[seen.dealer], "deal")
    return f"Game {seen.number} of {seen.games}: {cards}, {glyphs.trump(seen.trump)}. {dealer}."


def result_lines(seen: Seen) -> list[str]:
    """The last finished game and the match so far, or its end."""
    number, result = len(seen.results), seen.results[-1]
    parts = [
        f"{name} {points(result.points[seat])} (bid {result.bids[seat]}, won {result.won[seat]})"
        for seat, name in enumerate(seen.names)
    ]
    totals = ", ".join(f"{name} {points(seen.totals[seat])}" for seat, name in enumerate(seen.names))
    lines = [f"Points in game {number}: {', '.join(parts)}.", f"After {number} of {seen.games} games: {totals}."]
    return lines if seen.mover is not None else [*lines, final_line(seen)]


def final_line(seen: Seen) -> str:
    """Who has won the match."""
    best = max(seen.totals)
    winners = [name for seat, name in enumerate(seen.names) if seen.totals[seat] == best]
    won = verb(winners[0], "win") if len(winners) == 1 else f"{listed(winners)} share the win"
    return f"The match is over: {won} with {points(best)} points."


def points(value: float) -> str:
    """Points without needless decimals."""
    return f"{value:g}"


def score_cells(result: Result) -> list[str]:
    """A finished game for a score sheet: points of each seat, with tricks won of tricks bid."""
    return [f"{points(result.points[seat])} ({result.won[seat]}/{result.bids[seat]})" for seat in range(SEATS)]


def hand_line(seen: Seen, seat: int, glyphs: Glyphs) -> str:
    """A visible hand."""
    cards = " ".join(glyphs.card(card) for card in seen.sorted_hand(seat))
    return f"{verb(seen.names[seat], 'hold')} {cards}."


def decision_lines(seen: Seen, glyphs: Glyphs) -> list[str]:
    """What the viewer must know to decide."""
    if seen.bidding:
        return [hand_line(seen, seen.viewer, glyphs)]
    hand = seen.sorted_hand(seen.viewer)
    choices = "  ".join(f"{n}:{glyphs.card(card)}" for n, card in enumerate(hand, 1) if card in seen.legal)
    others = " ".join(glyphs.card(card) for card in hand if card not in seen.legal)
    tally = ", ".join(f"{name} {seen.won[seat]}/{seen.bids[seat]}" for seat, name in enumerate(seen.names))
    lines = [
        f"Tricks won/bid: {tally}.",
        f"You may play  {choices}" + (f"  (you also hold {others})" if others else ""),
    ]
    if seen.trick is not None:
        table = ", ".join(f"{seen.names[move.seat]} {glyphs.card(move.action)}" for move in seen.trick.plays)
        lines.insert(0, f"On the table: {table}; {verb_winning(seen)}.")
    return lines


def verb_winning(seen: Seen) -> str:
    """Who is winning the trick as it lies."""
    name = seen.names[seen.winning]
    return "you are winning" if name == "You" else f"{name} is winning"


def prompt(seen: Seen, glyphs: Glyphs) -> str:
    """What stands before the person's answer."""
    if len(seen.legal) == 1:
        only = str(seen.legal[0]) if seen.bidding else glyphs.card(seen.legal[0])
        return f"Your {'bid' if seen.bidding else 'card'} (Enter: {only}): "
    return f"Your bid ({bid_range(seen)}): " if seen.bidding else "Your card: "


def hint_lines(hint: Hint, bidding: bool, glyphs: Glyphs) -> list[str]:
    """A hint, the best action first."""
    lines = [f"Hint by {hint.source}:"]
    for one in hint.advice:
        name = f"bid {one.action}" if bidding else glyphs.card(one.action)
        bar = glyphs.bar * round(20 * one.probability)
        lines.append(f"  {name:>6} {one.probability:>5.0%}  {one.points:>4.1f} points  {bar}".rstrip())
    return lines

"""A match as rich renderables: pure functions of what a seat sees."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vecgame.cards import RANKS, SEATS, TRUMP_NAMES
from veclab.table.glyphs import SUIT_STYLES, Glyphs
from veclab.table.lines import game_line, score_cells, verb
from veclab.table.lines import points as points_text
from veclab.table.session import Result, Trick
from veclab.table.sight import Seen

CARD_WIDTH = 6
TRICK_WIDTH = 32
WIDE = 76  # columns for the trick and the scores side by side
COMPASS = ((None, 2, None), (1, None, 3), (None, 0, None))  # seats as they sit, seat 0 at the bottom


def screen(seen: Seen, glyphs: Glyphs, width: int, log: list[str]) -> RenderableType:
    """The whole table, for a terminal of ``width`` columns; ``log`` says what has happened last."""
    parts = [trick_panel(seen, glyphs), scores_table(seen, glyphs)]
    if width >= WIDE:
        middle = Table.grid(padding=(0, 1))
        middle.add_row(*parts)
        parts = [middle]
    hands = [hand_cards(seen, glyphs, width)] if seen.viewer is not None else [spectator_hands(seen, glyphs)]
    return Group(header(seen, glyphs), *parts, Text(" ".join(log), style="italic"), *hands)


def header(seen: Seen, glyphs: Glyphs) -> Text:
    """The line above the table."""
    text = Text(game_line(seen, glyphs), style="bold")
    if seen.trump < len(SUIT_STYLES):
        text.highlight_words([glyphs.trump(seen.trump)], f"{SUIT_STYLES[seen.trump]} reverse")
    return text


def card_text(card: int, glyphs: Glyphs, style: str = "") -> Text:
    """A card's name in its suit's colour, with ``style`` on top."""
    return Text(glyphs.card(card), style=f"{SUIT_STYLES[card // RANKS]} {style}".strip())


def trick_panel(seen: Seen, glyphs: Glyphs) -> Panel:
    """The cards on the table as the players sit: the current trick, or the last one until the next is led."""
    trick = seen.trick or seen.last_trick
    grid = Table.grid(expand=True)
    for _ in range(3):
        grid.add_column(justify="center", ratio=1)
    for row in COMPASS:
        grid.add_row(*(Text() if seat is None else _place(seen, seat, trick, glyphs) for seat in row))
    title, subtitle = _trick_titles(seen, trick)
    return Panel(grid, title=title, subtitle=subtitle, width=TRICK_WIDTH)


def _place(seen: Seen, seat: int, trick: Trick | None, glyphs: Glyphs) -> Text:
    """A seat at the table and its card of the trick."""
    card = next((move.action for move in trick.plays if move.seat == seat), None) if trick else None
    name = Text(seen.names[seat], style="bold" if seat == seen.mover else "")
    if seat == seen.mover:
        name = Text(f"{glyphs.pointer} ").append_text(name)
    if card is None:
        return Text("\n").join([name, Text(glyphs.empty, style="dim")])
    best = seen.winning if seen.trick else trick.winner
    return Text("\n").join([name, card_text(card, glyphs, "reverse" if seat == best else "")])


def _trick_titles(seen: Seen, trick: Trick | None) -> tuple[str, str]:
    if seen.bidding or trick is None:
        leader = seen.names[(seen.dealer + 1) % SEATS]
        return ("bidding" if seen.bidding else "first trick"), f"{verb(leader, 'lead')} first"
    number = sum(seen.won) + (seen.trick is not None)
    name = seen.names[trick.plays[0].seat]
    if seen.trick is None:
        return f"trick {number} of {seen.cards}", f"{verb(seen.names[trick.winner], 'take')} it"
    return f"trick {number} of {seen.cards}, {name} led", f"{seen.names[seen.winning]} winning so far"


def scores_table(seen: Seen, glyphs: Glyphs) -> Table:
    """Bids, tricks and match points of each player."""
    made = [bid for bid in seen.bids if bid is not None]
    tricks = "1 trick" if seen.cards == 1 else f"{seen.cards} tricks"
    caption = f"bids: {sum(made)} for {tricks}" + ("" if len(made) == SEATS else " so far")
    table = Table(box=box.ROUNDED, caption=caption, caption_justify="left")
    for name in ("", "player", "bid", "won", "match"):
        table.add_column(name, justify="left" if name in ("", "player") else "right", no_wrap=True)
    for seat, name in enumerate(seen.names):
        bid = glyphs.empty if seen.bids[seat] is None else str(seen.bids[seat])
        table.add_row(
            glyphs.pointer if seat == seen.mover else " ",
            name + (" (dealer)" if seat == seen.dealer else ""),
            bid,
            Text(str(seen.won[seat]), style=_progress_style(seen, seat)),
            points_text(seen.totals[seat]),
            style="bold" if seat == seen.mover else "",
        )
    return table


def _progress_style(seen: Seen, seat: int) -> str:
    """Green while the bid stands exactly, red once it cannot be met any more."""
    bid, won = seen.bids[seat], seen.won[seat]
    if bid is None or seen.bidding:
        return ""
    if won > bid or bid - won > seen.cards - sum(seen.won):
        return "red"
    return "green" if won == bid else ""


def hand_cards(seen: Seen, glyphs: Glyphs, width: int) -> RenderableType:
    """The viewer's hand as cards. When a card is to be played, legal ones are bright and numbered, the rest dim."""
    playing = seen.own_turn and not seen.bidding
    hand = seen.sorted_hand(seen.viewer)
    a_row = max(1, width // CARD_WIDTH)
    rows = []
    for start in range(0, len(hand), a_row):
        top, middle, bottom, numbers = (Text() for _ in range(4))
        for number, card in enumerate(hand[start : start + a_row], start + 1):
            legal = not playing or card in seen.legal
            style = SUIT_STYLES[card // RANKS] if legal else "dim"
            for line, part in zip((top, middle, bottom), glyphs.box, strict=True):
                line.append(part.format(f"{glyphs.card(card):^4}"), style=style)
            numbers.append(f"{number if playing and legal else '':^{CARD_WIDTH}}", style="bold")
        rows.extend([top, middle, bottom, numbers])
    return Group(*rows)


def spectator_hands(seen: Seen, glyphs: Glyphs) -> Table:
    """All hands, for someone who only watches."""
    grid = Table.grid(padding=(0, 1))
    for seat, name in enumerate(seen.names):
        cards = Text(" ").join([card_text(card, glyphs) for card in seen.sorted_hand(seat)])
        grid.add_row(f"{name}:", cards)
    return grid


def score_sheet(seen: Seen, glyphs: Glyphs) -> Table:
    """Every finished game: points, with tricks won of tricks bid."""
    table = Table(box=box.ROUNDED, title="points (won/bid)", title_justify="left", show_footer=True)
    table.add_column("game", footer="sum", justify="right")
    table.add_column("cards", justify="right")
    table.add_column("trump")
    best = max(seen.totals)
    for seat, name in enumerate(seen.names):
        total = seen.totals[seat]
        footer = Text(points_text(total), style="bold green" if total == best else "")
        table.add_column(name, footer=footer, justify="right")
    for number, result in enumerate(seen.results, 1):
        table.add_row(str(number), str(result.cards), _trump_text(result, glyphs), *score_cells(result))
    return table


def _trump_text(result: Result, glyphs: Glyphs) -> Text:
    if result.trump < len(SUIT_STYLES):
        return Text(glyphs.suit(result.trump), style=SUIT_STYLES[result.trump])
    return Text(TRUMP_NAMES[result.trump])

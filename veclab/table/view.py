"""A match as rich renderables: pure functions of what a seat sees."""

from __future__ import annotations

from itertools import product

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from veclab.table.glyphs import Glyphs, card_style, suit_style
from veclab.table.lines import choices_line, facts_line, game_line, has_list, shown_hands, trump_words
from veclab.table.rows import bids_line, places, progress, score_rows, sheet_rows, sheet_title, trick_titles
from veclab.table.session import Move, Result
from veclab.table.sight import Seen

CARD_WIDTH = 6  # at least
TRICK_WIDTH = 32
PROGRESS_STYLES = {"met": "green", "lost": "red", "": ""}  # of tricks won


def screen(seen: Seen, glyphs: Glyphs, width: int, log: list[str], in_lines: int = 0) -> RenderableType:
    """The whole table, for a terminal of ``width`` columns; ``log`` says what has happened last. To save height the
    first ``in_lines`` of the viewer's hand and the trick are lines of text."""
    scores = scores_table(seen, glyphs)
    trick = trick_line if in_lines > 1 else trick_panel
    parts = [trick(seen, glyphs), scores] if seen.most_tricks else [scores]
    if len(parts) > 1 and in_lines < 2 and width >= TRICK_WIDTH + 1 + _width(scores):
        middle = Table.grid(padding=(0, 1))
        middle.add_row(*parts)
        parts = [middle]
    facts = facts_line(seen)
    told = [Text(glyphs.say(facts))] if facts else []
    hands = _shown(seen, glyphs, width, in_lines > 0)
    return Group(header(seen, glyphs), *parts, *told, Text(" ".join(log), style="italic"), *hands)


def _shown(seen: Seen, glyphs: Glyphs, width: int, in_lines: bool) -> list[RenderableType]:
    """The cards that the viewer sees in hands, its own last, and its choices where they are no cards of them."""
    if seen.viewer is None:
        return [open_hands(seen, range(len(seen.names)), glyphs)]
    others = shown_hands(seen)
    parts = [open_hands(seen, others, glyphs)] if others else []
    own = hand_text(seen, glyphs) if in_lines else hand_cards(seen, glyphs, width)
    parts += [own] if seen.hands_in else []
    return [*parts, *([Text(choices_line(seen, glyphs))] if has_list(seen) else [])]


def header(seen: Seen, glyphs: Glyphs) -> Text:
    """The line above the table."""
    line, layout = Text(game_line(seen, glyphs), style="bold"), seen.one.layout
    trump = trump_words(seen)
    if trump is not None and seen.one.kinds["trump"] == "suits" and seen.trump < layout.suits:
        line.highlight_words([glyphs.say(trump)], f"{suit_style(layout, seen.trump)} reverse")
    return line


def card_text(seen: Seen, card: int, glyphs: Glyphs, style: str = "") -> Text:
    """A card's name in its suit's colour, with ``style`` on top."""
    return Text(glyphs.card(seen.one.layout, card), style=f"{card_style(seen.one.layout, card)} {style}".strip())


def trick_panel(seen: Seen, glyphs: Glyphs) -> Panel:
    """The cards on the table as the players sit: the current trick, or the last one until the next is led."""
    trick = seen.trick or seen.last_trick
    grid = Table.grid(expand=True)
    for _ in range(3):
        grid.add_column(justify="center", ratio=1)
    plays = trick.plays if trick else ()
    for row in places(len(seen.names), seen.viewer or 0):
        grid.add_row(*(Text() if seat is None else _place(seen, seat, plays, glyphs) for seat in row))
    title, subtitle = trick_titles(seen)
    return Panel(grid, title=title, subtitle=subtitle, width=TRICK_WIDTH)


def trick_line(seen: Seen, glyphs: Glyphs) -> Text:
    """What `trick_panel` shows but the seats' places, in a sentence."""
    (title, subtitle), trick = trick_titles(seen), seen.trick or seen.last_trick
    plays = trick.plays if trick else ()
    cards = [Text(f"{seen.names[move.at]} ").append_text(card_text(seen, move.action, glyphs)) for move in plays]
    parts = [Text(", ").join(cards)] * bool(cards) + [Text(subtitle)] * bool(subtitle)
    return Text(f"{title[:1].upper()}{title[1:]}{': ' * bool(parts)}").append_text(Text("; ").join(parts)).append(".")


def _place(seen: Seen, seat: int, plays: tuple[Move, ...], glyphs: Glyphs) -> Text:
    """A seat at the table and its card of the trick."""
    card = next((move.action for move in plays if move.at == seat), None)
    name = Text(seen.names[seat], style="bold" if seat == seen.mover else "")
    if seat == seen.mover:
        name = Text(f"{glyphs.pointer} ").append_text(name)
    if card is None:
        return Text("\n").join([name, Text(glyphs.empty, style="dim")])
    best = seen.winning if seen.trick else plays[-1].winner
    return Text("\n").join([name, card_text(seen, card, glyphs, "reverse" if seat == best else "")])


def _width(scores: Table) -> int:
    """Columns of the terminal that a table takes."""
    columns = [[str(words) for words in (column.header, *column.cells, column.footer)] for column in scores.columns]
    return 1 + sum(3 + max(len(line) for words in column for line in words.split("\n")) for column in columns)


def scores_table(seen: Seen, glyphs: Glyphs) -> Table:
    """What is counted for each player: bids, tricks, points of the game, and of the match."""
    head, *rows = score_rows(seen, glyphs)
    table = Table(box=box.ROUNDED, caption=bids_line(seen), caption_justify="left")
    table.add_column("")
    for place, name in enumerate(head):
        table.add_column("\n".join(name.split()), justify="right" if place else "left", no_wrap=True)
    for seat, row in enumerate(rows):
        styled = [
            Text(words, style=PROGRESS_STYLES[progress(seen, seat)]) if name == "won" else words
            for name, words in zip(head, row, strict=True)
        ]
        moves = seat == seen.mover
        table.add_row(glyphs.pointer if moves else " ", *styled, style="bold" if moves else "")
    return table


def hand_cards(seen: Seen, glyphs: Glyphs, width: int) -> RenderableType:
    """The viewer's hand as cards. Where one is to be chosen, legal ones are bright and numbered, the rest dim; cards
    that it does not see itself lie face down."""
    cards = _cards(seen, seen.viewer, glyphs)
    wide = max([CARD_WIDTH - 2, *(len(name) for name, _, _ in cards)])
    a_row = max(1, width // (wide + 2))
    rows = []
    for start in range(0, len(cards), a_row):
        lines = [Text() for _ in range(4)]
        for name, style, number in cards[start : start + a_row]:
            for line, (left, fill, right) in zip(lines, glyphs.box, strict=False):
                line.append(f"{left}{(name if fill is None else fill * wide):^{wide}}{right}", style=style)
            lines[3].append(f"{number:^{wide + 2}}", style="bold")
        rows.extend(lines)
    return Group(*rows)


def hand_text(seen: Seen, glyphs: Glyphs) -> Text:
    """What `hand_cards` shows, in words: 1:Q♠  2:9♠  A♥."""
    return Text("  ").join([Text("Your hand:"), *_numbered(seen, seen.viewer, glyphs)])


def _numbered(seen: Seen, seat: int, glyphs: Glyphs) -> list[Text]:
    """The cards of a hand, with the numbers of those that the viewer may choose."""
    cards = _cards(seen, seat, glyphs)
    return [
        Text(f"{number}:" if number else "", style="bold").append(name, style=style) for name, style, number in cards
    ]


def _cards(seen: Seen, seat: int, glyphs: Glyphs) -> list[tuple[str, str, str]]:
    """The cards of a hand: name, style, and the number of one that the viewer may choose."""
    legal, layout, found = seen.playable if seat == seen.acting else None, seen.one.layout, []
    for number, card in enumerate(seen.hand(seat), 1):
        bright = legal is None or card in legal
        style = card_style(layout, card) if bright else "dim"
        found.append((glyphs.card(layout, card), style, str(number) if legal is not None and bright else ""))
    return found + [("?", "dim", "")] * seen.unseen(seat)


def open_hands(seen: Seen, seats: list[int] | range, glyphs: Glyphs) -> Table:
    """The hands of some seats, as far as they are seen."""
    grid = Table.grid(padding=(0, 1))
    for seat in seats:
        grid.add_row(f"{seen.names[seat]}:", Text(" ").join(_numbered(seen, seat, glyphs)))
    return grid


def score_sheet(seen: Seen, glyphs: Glyphs, width: int) -> Table:
    """Every finished game: points, with tricks won of tricks bid. Where ``width`` columns do not hold all of it, the
    games' cards and trumps are left out, else the tally, else both."""
    sheets = [_sheet(seen, glyphs, tally, facts) for tally, facts in product((True, False), repeat=2)]
    return next((sheet for sheet in sheets if _width(sheet) <= width), sheets[-1])


def _sheet(seen: Seen, glyphs: Glyphs, tally: bool, facts: bool) -> Table:
    head, *rows, sums = sheet_rows(seen, glyphs, tally, facts)
    table = Table(box=box.ROUNDED, title=sheet_title(seen, tally), title_justify="left", show_footer=True)
    first = len(head) - len(seen.names)
    for place, (name, footer) in enumerate(zip(head, sums, strict=True)):
        won = place >= first and seen.ahead(place - first) and not seen.cooperative
        text = Text(footer, style="bold green" if won else "")
        table.add_column(name, footer=text, justify="left" if name == "trump" else "right", overflow="fold")
    for result, row in zip(seen.results, rows, strict=True):
        cells = zip(head, row, strict=True)
        table.add_row(*(_in_suit(seen, result, words) if name == "trump" else words for name, words in cells))
    return table


def _in_suit(seen: Seen, result: Result, words: str) -> Text:
    """The name of a game's trump in its colour."""
    layout = seen.one.layout
    named = result.trump is not None and 0 <= result.trump < layout.suits
    return Text(words, style=suit_style(layout, result.trump) if named else "")

"""What is typed at the table, and what is shown: nothing hidden, at any width."""

import io
import random
import re
from dataclasses import replace

import pytest
from rich.console import Console

from tests.tables import CARD, Recorder, name, of_blob, played, position
from vecgame import Blob, make_game
from vecgame.cards import STANDARD
from veclab.arena.bots import RuleBot
from veclab.table import lines, view
from veclab.table.app import Sitting
from veclab.table.commands import Mistake, Request, allowed, listed_choices, parse
from veclab.table.glyphs import ASCII, SUIT_STYLES, UNICODE, glyphs_for
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.sight import Seen, look, said
from veclab.table.ui import PlainLines, Screen

# -- typed lines ----------------------------------------------------------------------------------------------------


def hearts_led() -> Seen:
    """South follows hearts with 10 and queen; sorted hand: 2 of spades (trump), Q, 10 of hearts, ace of clubs."""
    hands = ["Qh 10h Ac 2s", "2h 3h 4h 5h", "6h 7h 8h 9h", "2c 3c 4c 5c"]
    return look(position(hands, 0, 0, [1, 1, 1, 0, name("2h"), name("6h"), name("2c")]), PERSON)


@pytest.mark.parametrize(
    ("line", "card"),
    [
        ("qh", "Qh"),
        (" QH ", "Qh"),
        ("10h", "10h"),
        ("th", "10h"),
        ("q♥", "Qh"),
        ("q h", "Qh"),
        ("2", "Qh"),
        ("3", "10h"),
    ],
)
def test_cards_are_understood(line: str, card: str) -> None:
    assert parse(line, hearts_led(), UNICODE) == name(card)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ac", "A♣ is not allowed: you must follow hearts"),
        ("1", "2♠ is not allowed: you must follow hearts"),
        ("4", "A♣ is not allowed: you must follow hearts"),
        ("kh", "You do not hold K♥"),
        ("3h", "You do not hold 3♥"),  # another hand's, but that is not said
        ("5", "no card number 5"),
        ("0", "no card number 0"),
        ("-1", "is no card"),
        ("1h", "is no card"),
        ("²", "is no card"),
        ("h1", "is no card"),
        ("\x1b[A", "is no card"),
        ("ü\u202e", "'\\xfc\\u202e' is no card"),  # what not every terminal can show, or shows otherwise
        ("x" * 5000, "is no card"),
        ("9" * 5000, "is no card"),
        ("", "Type a move"),
    ],
)
def test_wrong_cards_get_one_printable_line(line: str, part: str) -> None:
    answer = parse(line, hearts_led(), UNICODE)
    assert isinstance(answer, Mistake) and part in answer.text
    assert len(answer.text) < 100 and answer.text.isprintable()


def test_who_may_do_else_than_follow_is_not_told_to_follow() -> None:
    """A wizard may always be played."""
    told, rng = set(), random.Random(1)
    for seed in range(20):
        match = begin(Settings(make_game("wizard", cards=5), games=1, seed=seed, agent="random"))
        while not match.over:
            seen = look(match, PERSON)
            if seen.playable and seen.led is not None:
                wrong = [card for card in seen.hand(PERSON) if card not in seen.playable]
                free = any(seen.suits[card] != seen.led for card in seen.playable)
                for card in wrong:
                    text = parse(UNICODE.card(match.game.layout, card), seen, UNICODE).text
                    assert ("you may choose" in text) == free and ("you must follow" in text) != free
                    told.add(free)
            match = match.act(rng.choice(match.legal))
    assert told == {False, True}


def test_bids_are_understood() -> None:
    seen = look(position(["2h 3h", "2c 3c", "4c 5c", "6c 7c"], 0, 0, [0, 1, 0]), PERSON)
    assert [parse(line, seen, UNICODE) for line in ("0", " 2 ")] == [0, 2]
    for line in ("1", "bid 1", "3", "-1", "x", "2h", "1.0", "²", "b"):
        assert "is not allowed: you may choose 0-2, not 1" in parse(line, seen, UNICODE).text
    assert [parse(line, seen, UNICODE) for line in ("bid 0", "BID2")] == [0, 2]
    assert parse(" Bid  1 ", seen, UNICODE).text.startswith("'Bid 1' is not allowed")  # as it was typed
    assert allowed(seen) == "0-2, not 1" and lines.prompt(seen, UNICODE) == "Your bid (0-2, not 1): "


def test_requests_and_the_only_card() -> None:
    seen = hearts_led()
    wanted = {"h": Request.HINT, "U": Request.UNDO, "?": Request.HELP, "q": Request.QUIT, "quit": Request.QUIT}
    assert {line: parse(line, seen, UNICODE) for line in wanted} == wanted
    only = replace(seen, one=replace(seen.one, legal=[name("Qh")], choices=["Q♥"]))
    assert parse("", only, UNICODE) == name("Qh") and "Q♥" in lines.prompt(only, UNICODE)


# -- what is shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Screen, PlainLines])
def test_only_the_own_hand_and_played_cards_are_shown(kind: type[PlainLines]) -> None:
    record, rng = Recorder(), random.Random(1)
    interface = kind(record.console, UNICODE, lambda prompt: "")
    match = begin(of_blob(cards=4, games=3, seed=4))
    known: set[str] = set()

    def check(match: Match) -> str:
        state = match.state
        own, seen = int(state.hands[0, PERSON]), int(state.seen[0])
        known.update(UNICODE.card(STANDARD, card) for card in range(52) if (own | seen) >> card & 1)
        text = record.take()
        assert set(CARD.findall(text)) <= known
        return text

    interface.begin(look(match, PERSON), "title")
    while not match.over:
        if match.mover == PERSON:
            interface.decision(look(match, PERSON))
            text = check(match)
            hand = [UNICODE.card(STANDARD, card) for card in look(match, PERSON).hand(PERSON)]
            assert hand and all(card in text for card in hand)
        before, match = match, match.act(rng.choice(match.legal))
        ended = len(match.results) > len(before.results)
        known = known | {UNICODE.card(STANDARD, match.history[-1])}
        interface.moved(look(before, PERSON), said(before, match, PERSON), look(match, PERSON))
        check(match)
        if ended:
            known = set()


def test_what_a_seat_sees_holds_no_other_hand() -> None:
    match = played(of_blob(cards=5), stop=7)
    for viewer in range(4):
        seen = look(match, viewer)
        assert [bool(seen.hand(seat)) for seat in range(4)] == [seat == viewer for seat in range(4)]
        assert (seen.legal != ()) == (match.mover == viewer)
    assert all(look(match, None).hand(seat) for seat in range(4)) and look(match, None).legal == ()


def test_legal_cards_are_numbered_and_the_others_dim() -> None:
    seen = hearts_led()
    top, middle, _, numbers = view.hand_cards(seen, UNICODE, 80).renderables
    assert middle.plain == "│ 2♠ ││ Q♥ ││10♥ ││ A♣ │"
    assert numbers.plain.split() == ["2", "3"]
    assert [span.style for span in top.spans] == ["dim", "bold red", "bold red", "dim"]
    other = replace(seen.one, mover=1, legal=[], choices=[])
    others_turn = view.hand_cards(replace(seen, one=other), UNICODE, 80).renderables
    assert "dim" not in [span.style for span in others_turn[0].spans] and not others_turn[3].plain.strip()
    assert "2:Q♥  3:10♥  (you also hold 2♠ A♣)" in "\n".join(lines.decision_lines(seen, UNICODE))


def test_numbers_go_on_in_the_second_row_of_a_long_hand() -> None:
    """West is to lead from 13 cards, as West sees it."""
    match = played(of_blob(cards=13), stop=4)
    parts = view.hand_cards(look(match, match.mover), UNICODE, 50).renderables
    assert " ".join(part.plain for part in parts[3::4]).split() == [str(number) for number in range(1, 14)]


def test_the_screen_says_what_one_needs_to_know() -> None:
    record = Recorder()
    Screen(record.console, UNICODE, lambda prompt: "").decision(hearts_led())
    text = record.take()
    for part in ("Game 1 of 11", "4 cards each", "trump spades ♠", "You deal", "West led", "North winning so far"):
        assert part in text
    assert re.search(r"▸ │ You \(dealer\) +│ +0 │ +0 │ +0 │", text)
    assert "bids: 3 for 4 tricks" in text


@pytest.mark.parametrize("width", [100, 80, 79, 60, 50])
@pytest.mark.parametrize("viewer", [PERSON, None])
def test_screens_fit_their_width(width: int, viewer: int | None) -> None:
    for stop in (0, 3, 6, 30):
        seen = look(played(of_blob(cards=13, seed=1), stop=stop), viewer)
        record = Recorder(width)
        record.console.print(view.screen(seen, UNICODE, width, ["West leads A♠."]))
        text = record.take()
        rows = text.splitlines()
        assert max(map(len, rows)) <= width
        assert f"{seen.names[0]} (dealer)" in text and all(text.count(who) >= 2 for who in seen.names)
        assert all(row.count("╭") == row.count("╮") for row in rows)
    record.console.print(view.score_sheet(look(played(of_blob(cards=3)), viewer), UNICODE, width))
    assert max(map(len, record.take().splitlines())) <= width


@pytest.mark.parametrize(
    ("game", "height"),
    [
        *[(game, 24) for game in ("hearts", "whist", "spades", "doppelkopf", "euchre", "blob 4", "blob 7", "blob 8")],
        *[(game, 20) for game in ("hearts", "spades", "blob 4", "blob 7")],
    ],
)
def test_screens_fit_60_columns_and_their_height(game: str, height: int) -> None:
    """With all that one must know: the trick, the scores, one's cards and which of them may be played."""
    name, _, seats = game.partition(" ")
    match = begin(Settings(make_game(name, **({"players": int(seats), "cards": 6} if seats else {})), games=2, seed=3))
    record, rng, forced = Recorder(60), random.Random(0), 0
    record.console.size = (60, height)
    screen = Screen(record.console, UNICODE, lambda prompt: "")
    while not match.results:
        seen = look(match, match.mover)
        screen.log = ["North plays 10♣."] * (len(seen.names) - 1)
        screen.decision(seen)
        told = record.take()
        assert told.count("\n") + 1 <= height and lines.game_line(seen, UNICODE) in told.replace("\n", " ")
        hand = [UNICODE.card(match.game.layout, card) for card in seen.hand(seen.viewer)]
        numbers = [f"{number}:{hand[number - 1]}" for number in listed_choices(seen)] if seen.playable else []
        table = [UNICODE.card(match.game.layout, move.action) for move in (seen.trick.plays if seen.trick else ())]
        assert all(part in told for part in (*hand, *table, *seen.names))
        assert "╭────╮" in told or all(number in told for number in numbers)
        forced += seen.playable is not None and len(seen.legal) < len(hand)
        match = match.act(rng.choice(match.legal))
    assert forced > 3


def test_an_empty_line_draws_the_table_anew() -> None:
    """As after help or a hint, or in a terminal that has another size since."""
    record, typed, drawn = Recorder(60), iter(["?", "", "x"]), []

    def read(prompt: str) -> str:
        drawn.append(record.take())
        record.console.size = (60, 12)
        if (line := next(typed, None)) is None:
            raise EOFError
        return line

    sitting = Sitting(RuleBot(), PERSON, Screen(record.console, UNICODE, read), None)
    assert not sitting.play(begin(of_blob(seed=5)), "")
    first, helped, again, wrong = drawn
    assert "─ bidding ─" in first and "Enter makes the only choice" in helped
    assert "Bidding: " in again and "Type a move" in again and "Game 1 of" in again
    assert "Game 1 of" not in helped + wrong


def test_score_sheet_holds_every_game_and_the_sums() -> None:
    match, record = played(of_blob(cards=3, seed=5)), Recorder()
    record.console.print(view.score_sheet(look(match, PERSON), UNICODE, 80))
    rows = [re.split(r"\s*[│┃]\s*", row)[1:-1] for row in record.take().splitlines() if row[:1] in "│┃"]
    assert len(rows) == 1 + 9 + 1
    for row, result in zip(rows[1:-1], match.results, strict=True):
        assert row[1] == str(result.cards)
        assert row[3:] == [f"{p:g} ({w}/{b})" for p, w, b in zip(result.points, result.won, result.bids, strict=True)]
    assert rows[-1][3:] == [f"{total:g}" for total in match.totals]


@pytest.mark.parametrize("seats", range(2, 9))
def test_a_score_sheet_loses_no_points_for_want_of_columns(seats: int) -> None:
    """Rather the cards and trumps of its games, or tricks won and bid."""
    match = played(Settings(Blob(cards=5, players=seats), seed=2))
    for width in (60, 80):
        record = Recorder(width)
        record.console.print(view.score_sheet(look(match, PERSON), UNICODE, width))
        title, *sheet = record.take().splitlines()
        rows = [re.split(r"\s*[│┃]\s*", row)[1:-1] for row in sheet if row[:1] in "│┃"]
        assert "…" not in "".join(sheet) and max(map(len, sheet)) <= width
        assert len(rows) == 1 + len(match.results) + 1
        assert rows[0][-seats:] == list(look(match, PERSON).names)
        assert rows[-1][-seats:] == [f"{total:g}" for total in match.totals]
        for row, result in zip(rows[1:-1], match.results, strict=True):
            tallies = [f" ({w}/{b})" * ("won/bid" in title) for w, b in zip(result.won, result.bids, strict=True)]
            assert row[-seats:] == [f"{p:g}{tally}" for p, tally in zip(result.points, tallies, strict=True)]


def test_a_score_sheet_and_a_trick_take_the_columns_that_they_need() -> None:
    """In just so many all of it is shown, and in one less something else is left out or moved than the points."""
    match = played(of_blob(cards=5, seed=5))
    whole = printed(view.score_sheet(look(match, PERSON), UNICODE, 200), 200)
    width = max(map(len, whole))
    assert printed(view.score_sheet(look(match, PERSON), UNICODE, width), width) == whole
    less = printed(view.score_sheet(look(match, PERSON), UNICODE, width - 1), width - 1)
    assert max(map(len, less)) < width and "…" not in "".join(less) and less[0] == whole[0] != less[1]

    seen, beside = look(played(of_blob(cards=5, seed=1), stop=6), PERSON), []
    for width in range(60, 100):
        rows = printed(view.screen(seen, UNICODE, width, []), width)
        assert "…" not in "".join(rows) and max(map(len, rows)) <= width
        assert any(f"│ ▸ │ {seen.names[seen.mover]} " in row for row in rows)  # not even what points is cut off
        beside.append(rows[1].count("╭") == 2)
    assert beside == sorted(beside) and len(set(beside)) == 2


def printed(shown: object, width: int) -> list[str]:
    record = Recorder(width)
    record.console.print(shown)
    return [row.rstrip() for row in record.take().splitlines()]


def test_a_score_sheet_marks_every_trump_and_whoever_is_ahead() -> None:
    seen = look(played(of_blob(cards=3, seed=5)), PERSON)
    assert [result.trump for result in seen.results] == [number % 5 for number in range(9)]
    sheet = view.score_sheet(replace(seen, totals=(7, 1, 0, 7)), UNICODE, 200)
    (trumps,) = [column for column in sheet.columns if column.header == "trump"]
    assert [cell.plain for cell in trumps.cells][:5] == ["spades ♠", "hearts ♥", "clubs ♣", "diamonds ♦", "none"]
    assert [str(cell.style) for cell in trumps.cells][:5] == [*SUIT_STYLES, ""]
    assert [str(column.footer.style) for column in sheet.columns[-4:]] == ["bold green", "", "", "bold green"]


def test_ascii_terminals_get_ascii() -> None:
    assert glyphs_for("ANSI_X3.4-1968") is ASCII is glyphs_for(None)
    assert glyphs_for("utf-8") is UNICODE is glyphs_for("UTF8")
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, "ascii"), width=80, force_terminal=True)
    seen = look(played(of_blob(cards=5), stop=8), PERSON)
    console.print(view.screen(seen, ASCII, 80, ["West leads As."]))
    console.print(view.score_sheet(look(played(of_blob(cards=1)), PERSON), ASCII, 80))
    console.file.flush()
    assert b"+----+" in raw.getvalue() and raw.getvalue().isascii()


def test_sentences() -> None:
    match = position(["2c 3c", "Kc 2d", "4c 5d", "2h 6d"], trump=1, dealer=0, actions=[1, 1, 1])
    told = []
    for action in (0, name("Kc"), name("4c"), name("2h"), name("2c"), name("6d"), name("3c"), name("2d"), name("5d")):
        before, match = match, match.act(action)
        told += lines.narrate(look(before, PERSON), said(before, match, PERSON), look(match, PERSON), UNICODE)
    assert told == [
        "You bid 0.",
        "West leads K♣.",
        "North plays 4♣.",
        "East plays 2♥.",
        "You play 2♣.",
        "East takes the trick: 1 won, 1 bid.",
        "East leads 6♦.",
        "You play 3♣.",
        "West plays 2♦.",
        "North plays 5♦.",
        "East takes the trick: 2 won, 1 bid.",
    ]
    points, totals = lines.result_lines(look(match, PERSON))
    assert points.startswith("Points in game 1: You 10 (bid 0, won 0), West 0 (bid 1, won 0)")
    assert totals == "After 1 of 7 games: You 10, West 0, North 0, East 0."


def test_a_shared_win_is_said() -> None:
    seen = look(played(of_blob(cards=1)), PERSON)
    assert "You and East share the win with 7 points" in lines.final_line(replace(seen, totals=(7, 1, 0, 7)))
    assert "North wins with 9 points" in lines.final_line(replace(seen, totals=(7, 1, 9, 7)))
    fractions = replace(seen, totals=(0.3 + 0.2 + 0.2, 0.1, 0.5, 0.1 + 0.2 + 0.3 + 0.1))  # 0.7 and 0.7000000000000001
    assert fractions.totals[0] != fractions.totals[3] and "You and East share the win" in lines.final_line(fractions)

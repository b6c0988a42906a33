"""What is shown while work goes on, and that it can be read in 60 columns, in a pipe and where there is ASCII only."""

import io
import json
import math
import time

import pytest

from veclab.arena.evaluate import results_json, results_of, results_table
from veclab.arena.intervals import Interval
from veclab.arena.matches import MatchResult, together
from veclab.files import json_text
from veclab.progress import Display, Output, fitting, print_table

INTERVAL = Interval(105.43, 10.32)
MATCH = MatchResult(INTERVAL, INTERVAL, Interval(0.5, 0.4), 40)
NAMES = ("before training, search 3x8", "trained network alone")
OPPONENTS = ("random", "flat Monte Carlo", "cmd:/home/somebody/a/very/long/path/to/a/program --level [x]")
RESULTS = {player: dict.fromkeys(OPPONENTS, MATCH) for player in NAMES}


def shown(width: int, terminal: bool = True) -> tuple[Output, io.StringIO]:
    file = io.StringIO()
    return Output(file=file, width=width, force_terminal=terminal, color_system=None), file


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_results_are_never_broken_and_say_what_they_are(width: int, terminal: bool) -> None:
    console, file = shown(width, terminal)
    console.print(results_table(RESULTS, "40 games a pairing, 5 cards, each deal played from every seat"))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert sum("105.43 ± 10.32 : 105.43 ± 10.32 *" in line for line in lines) == 6
    text = " ".join(file.getvalue().split())
    assert "its own : an opponent's" in text and "points a game, the player's : one opponent's" in text
    assert "[x]" in text and "…" not in text


def test_where_each_plays_with_itself_nobody_is_an_opponent() -> None:
    console, file = shown(120)
    console.print(results_table(RESULTS, "40 games a pairing", together(2), "chips"))
    text = " ".join(file.getvalue().split())
    assert "beside the games of random" in text and "its own : the other's" in text and "opponent" not in text
    assert "chips a game, the player's with itself : the other's with itself, with 95% intervals" in text


def test_results_come_back_from_json() -> None:
    assert results_of(results_json(RESULTS)) == RESULTS
    unknown = {"one": {"other": MatchResult(INTERVAL, INTERVAL, Interval(0.5, math.inf), 4)}}  # of JSON, which has null
    assert results_of(json.loads(json_text(results_json(unknown)))) == unknown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_that_is_too_wide_is_a_list(width: int) -> None:
    console, file = shown(width)
    head = ("games", *(f"a long heading {number}" for number in range(5)))
    print_table(console, "the title", head, [("4,096", *(f"{1.5 + n:.2f} ± 0.25" for n in range(5)))])
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for number in range(5):
        assert f"{1.5 + number:.2f} ± 0.25" in text and f"a long heading {number}" in text
    assert text.count("\n") == (7 if width < 120 else 6)


def test_lines_break_between_words_on_a_terminal_and_nowhere_else() -> None:
    text = "pip install 'vecgame[peers]' :on: " + "word " * 30 + "end"
    for terminal in (True, False):
        console, file = shown(60, terminal)
        Display(console).line(text)
        lines = file.getvalue().splitlines()
        assert " ".join(line.strip() for line in lines).split() == text.split()
        assert len(lines) == (1 if not terminal else 4)
    console, file = shown(60)
    Display(console).line(text, whole=True)  # to be copied
    assert file.getvalue() == f"{text}\n"


def test_a_line_has_the_time_left_and_rates(monkeypatch) -> None:
    console, file = shown(80, terminal=False)
    with Display(console, verbose=True).task("self-play 1", 100, "games") as task:
        task.start -= 60
        task.last_line -= 1
        task.update(50, evaluations=1000)
    assert file.getvalue() == "  self-play 1: 50 of 100 games, 1 min 0 s left, 50 games/min, 17 evaluations/s\n"
    console, file = shown(80, terminal=False)
    with Display(console, quiet=True).task("self-play 1", 100, "games") as task:
        task.last_line -= 100
        task.update(50)
    assert file.getvalue() == ""


def test_a_bar_leaves_out_what_has_no_room() -> None:
    parts = ["1 min 3 s left", "50 games/min", "run: 3 h left", "17 evaluations/s"]
    assert fitting(parts, 5) == parts[0] and fitting(parts, 30) == ", ".join(parts[:2])
    assert fitting(parts, 100) == ", ".join(parts)
    console, file = shown(60)
    display = Display(console)
    display.run_left = "run: 5 h 3 min left"
    with display.task("policy gradient", 100, "updates") as task:
        task.start = time.monotonic() - 60
        task.update(50, games=1000)
    assert "1 min 0 s left" in file.getvalue() and "━" in file.getvalue()
    assert "…" not in file.getvalue()


def test_nobody_reads(monkeypatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    console = Output(file=Closed(), width=60)
    with pytest.raises(BrokenPipeError):
        console.print("something")
    console.print("more")  # is not tried again

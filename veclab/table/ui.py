"""Where a match is shown and where answers come from: a screen that is drawn anew, or plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.segment import SegmentLines
from rich.text import Text

from veclab.progress import Output
from veclab.table import lines, view
from veclab.table.glyphs import Glyphs, glyphs_for
from veclab.table.session import Move
from veclab.table.sight import Seen


class Interface(Protocol):
    """What the game loop needs of a terminal."""

    glyphs: Glyphs
    pauses: bool  # whether it waits for Enter between games

    def begin(self, seen: Seen, title: str) -> None:
        """The match is taken up, at its start or further on."""

    def moved(self, before: Seen, move: Move, after: Seen) -> None:
        """Somebody has moved, by a name that the viewer may know."""

    def went_back(self, seen: Seen) -> None:
        """The person has taken moves back."""

    def decision(self, seen: Seen) -> None:
        """The person is to decide."""

    def tell(self, *texts: str) -> None:
        """Lines of text."""

    def ask(self, prompt: str) -> str:
        """A typed line. Raises EOFError when there is none to come."""


class PlainLines:
    """A line for everything that happens: for pipes, dumb terminals and screen readers."""

    pauses = False

    def __init__(self, console: Console, glyphs: Glyphs, read: Callable[[str], str], delay: float = 0.0) -> None:
        self.console, self.glyphs, self.read, self.delay = console, glyphs, read, delay

    def begin(self, seen: Seen, title: str) -> None:
        self.tell(title)
        if seen.mover is None:
            self.tell(*lines.result_lines(seen))
        else:
            self._new_game(seen)

    def moved(self, before: Seen, move: Move, after: Seen) -> None:
        time.sleep(self.delay)
        self.tell(*lines.narrate(before, move, after, self.glyphs))
        if len(after.results) > len(before.results):
            self.tell(*lines.result_lines(after, len(before.results)))
        if after.mover is not None and (after.number, after.deal) != (before.number, before.deal):
            self._new_game(after)

    def _new_game(self, seen: Seen) -> None:
        self.tell("", lines.game_line(seen, self.glyphs))
        if seen.viewer is None:
            self.tell(*(lines.hand_line(seen, seat, self.glyphs) for seat in range(len(seen.names)) if seen.hands_in))
            self.tell(*(self.glyphs.say(line) for line in [lines.facts_line(seen)] if line))

    def went_back(self, seen: Seen) -> None:
        self.tell("Back at your last choice.", lines.game_line(seen, self.glyphs))

    def decision(self, seen: Seen) -> None:
        self.tell(*lines.decision_lines(seen, self.glyphs))

    def tell(self, *texts: str) -> None:
        for text in texts:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def ask(self, prompt: str) -> str:
        return self.read(prompt)


class Screen(PlainLines):
    """A terminal that is cleared and drawn anew after every move."""

    def __init__(
        self, console: Console, glyphs: Glyphs, read: Callable[[str], str], delay: float = 0.0, pauses: bool = True
    ) -> None:
        super().__init__(console, glyphs, read, delay)
        self.pauses = pauses
        self.log: list[str] = []  # what has happened since the person's last move

    def begin(self, seen: Seen, title: str) -> None:
        self.log = [title]
        if seen.mover is None:
            self._sheet(seen)
        else:
            self._draw(seen)

    def moved(self, before: Seen, move: Move, after: Seen) -> None:
        if before.own_turn or before.viewer is None:
            self.log = []
        self.log += lines.narrate(before, move, after, self.glyphs)
        if len(after.results) > len(before.results):
            self._sheet(after)
            self.log = []
        else:
            self._draw(after)
        if not after.own_turn:
            time.sleep(self.delay)

    def went_back(self, seen: Seen) -> None:
        self.log = ["Back at your last choice."]

    def decision(self, seen: Seen) -> None:
        self._draw(seen)

    def _draw(self, seen: Seen) -> None:
        """Cards are drawn if there is the height for them, that of the prompt included; else they are told in words."""
        prompt = Text(lines.prompt(seen, self.glyphs) if seen.own_turn else "")
        room = self.console.height - len(self.console.render_lines(prompt))
        for in_lines in range(3):
            screen = view.screen(seen, self.glyphs, self.console.width, self.log, in_lines)
            drawn = self.console.render_lines(screen, pad=False)
            if len(drawn) <= room:
                break
        self.console.clear()
        self.console.print(SegmentLines(drawn, new_lines=True), end="")

    def _sheet(self, seen: Seen) -> None:
        self.console.clear()
        self.tell(" ".join(self.log))
        self.console.print(view.score_sheet(seen, self.glyphs, self.console.width))
        if seen.mover is None:
            self.tell(lines.final_line(seen))

    def tell(self, *texts: str) -> None:
        for text in texts:
            self.console.print(text, markup=False, highlight=False)


def read_line(prompt: str) -> str:
    """A line from standard input; one that does not come from a terminal is shown after its prompt."""
    line = input(prompt)
    if not sys.stdin.isatty():
        print(line)
    return line


def open_interface(plain: bool, watch: bool, delay: float | None) -> Interface:
    """A screen where output (and input, for a person) is a terminal that can be cleared, plain lines elsewhere."""
    console = Output()
    glyphs = glyphs_for(console.encoding)
    terminal = sys.stdout.isatty() and (watch or sys.stdin.isatty())
    if plain or not terminal or console.is_dumb_terminal:
        return PlainLines(console, glyphs, read_line, delay or 0.0)
    return Screen(console, glyphs, read_line, 0.6 if delay is None else delay, pauses=not watch)

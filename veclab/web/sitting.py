"""A match that goes on while pages look at it: who decides, what is kept, and which version of it is shown.

What the pages show follows from one immutable `Sitting`. A `Table` holds the newest; whatever is asked of it, and what
agents decide on a thread of its own, puts another one there, so that every page comes to show the same.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from veclab.table.advice import Hint, give_hint, where_cards_lie
from veclab.table.agents import Agent, choose
from veclab.table.saving import load_match, save_match
from veclab.table.session import Match, begin, undo, walk
from veclab.table.sight import Seen, look, named
from veclab.web.files import held_alone, is_same, matches_in, new_file
from veclab.web.message import Json, card_told, hint_told, lies_told, move_told, seen_told

Seating = Callable[[Match], tuple[Agent, str]]
"""(match) -> the agents that play it, and who plays what in a line. Raises ValueError where they cannot."""

LOOKED_BACK = 12  # moves of which is told what was said when the match is shown as it was
WAIT = 1.0  # seconds that a page waits for news before it asks again


class RefusedError(ValueError):
    """What is asked for cannot be done now, and why, in a line for the person."""


@dataclass(frozen=True)
class Sitting:
    """A match with what stands around it on the page."""

    match: Match
    agent: Agent
    title: str  # who plays what
    log: tuple[str, ...] = ()  # what was said in this game
    resting: bool = False  # a game is over, and the person has not gone on to the next
    paused: bool = False  # agents wait until somebody goes on
    hint: Hint | None = None
    asked: bool = False  # a hint is being thought of
    lies: Tensor | None = None  # where the mover may think that cards lie, for spectators: [cards, seats] float32
    past: tuple[Match, ...] = ()  # for spectators: the match after so many moves, the newest last
    at: int | None = None  # how many of these moves are shown; None: all
    path: Path | None = None  # the file that keeps the match
    trouble: str = ""  # what keeps the match from going on, or from being kept

    @property
    def shown(self) -> Match:
        """The match as the pages show it, as it is or as it was."""
        return self.match if self.at is None else self.past[self.at]

    def told(self, person: int | None) -> dict[str, Json]:
        """What a page shows of it."""
        match, seen = self.shown, look(self.shown, person)
        told = seen_told(seen)
        if self.resting:  # of the next game nothing is shown yet
            trick = match.results[-1].tricks[-1:]
            plays = [move for one in trick for move in one.plays]
            cards = [{"who": seen.names[move.at], "card": card_told(seen, move.action)} for move in plays]
            kept = {name: told[name] for name in ("sheet", "over")}
            heading = f"{seen.what.capitalize()} {len(match.results)} is over"
            told = {**kept, "rest": {"heading": heading, "next": f"Next {seen.what}", "trick": cards}}
        if person is None:
            told |= self._looked_into(seen)
        return {
            **told,
            "title": self.title,
            "watching": person is None,
            "resting": self.resting,
            "paused": self.paused,
            "log": list(self.log) if self.at is None else list(_log(self.past[: self.at + 1][-LOOKED_BACK:], person)),
            "hint": None if self.hint is None else hint_told(self.hint),
            "asked": self.asked,
            "kept": None if self.path is None else self.path.name,
            "trouble": self.trouble,
        }

    def _looked_into(self, seen: Seen) -> dict[str, Json]:
        """For spectators: which move is shown, what was done then, and where the mover may think that cards lie."""
        moves = len(self.match.history)
        at = moves if self.at is None else self.at
        taken = self.past[at + 1].last.action if at < moves else None
        lies = None if self.lies is None else lies_told(seen, self.lies)
        return {"at": at, "moves": moves, "taken": taken, "lies": lies}


class Table:
    """The sitting that all pages show, and the thread on which agents think. No other process can go on with the file
    that keeps its match.

    Args:
        seating: gives the agents of a match that is opened.
        person: the seat that pages play; None when agents take all seats.
        path: the file that keeps the match, if one does.
        delay: seconds from one agent's move to the next.
        others: matches that can be opened beside those of the folder, by what they are called.
        held: what holds the right to ``path``, if it is held already; the table lets go of it.

    Raises:
        ValueError: as ``seating``, and when another process goes on with ``path``. OSError when the match cannot be
            written there.
    """

    def __init__(
        self,
        match: Match,
        seating: Seating,
        person: int | None,
        path: Path | None = None,
        delay: float = 0.6,
        others: Mapping[str, Match] | None = None,
        held: ExitStack | None = None,
    ) -> None:
        self.seating, self.person, self.delay, self.others = seating, person, delay, dict(others or {})
        self.folder = Path.cwd() if path is None else path.resolve().parent
        self._run = secrets.token_hex(4)  # a page of an earlier run is never taken for one of this
        self._news = threading.Condition()
        self._version = self._turn = 0
        self._closed = False
        self._told: dict[str, Json] | None = None  # of this version
        self._held = held_alone(path) if held is None else held
        self._sitting = self._open(match, path)
        self._thread = threading.Thread(target=self._think, name="agents", daemon=True)
        self._thread.start()

    # -- what pages ask for; each of these may be called from any thread ----------------------------------------------

    def told(self, since: str | None = None) -> dict[str, Json]:
        """What a page shows; of a page that shows version ``since`` only after a change, or some time without one."""
        with self._news:
            self._news.wait_for(lambda: self._closed or self._stamp(self._version) != since, WAIT)
            if self._told is None:
                stamps = {"version": self._stamp(self._version), "turn": self._stamp(self._turn)}
                again = self._sitting.match in self.others.values()  # what is left can be opened again
                self._told = {**stamps, **self._sitting.told(self.person), "again": again}
            return self._told

    def act(self, turn: str, action: object) -> None:
        """The person's ``action``, chosen where ``turn`` was shown.

        Raises:
            RefusedError: when the match has moved on, it is not the person's turn, or the action is not legal.
        """
        with self._news:
            match = self._at(turn).match
            if self._sitting.resting or match.over or match.mover != self.person:
                raise RefusedError("It is not your turn.")
            if type(action) is not int or action not in match.legal:
                raise RefusedError("That is not allowed here; choose one of the marked ones.")
            self._moved(match.act(action))

    def take_back(self, turn: str) -> None:
        """Back to the person's last choice. Raises RefusedError when there is none."""
        with self._news:
            sitting = self._at(turn)
            earlier = None if self.person is None else undo(sitting.match, self.person)
            if earlier is None:
                raise RefusedError("There is no choice of yours to take back.")
            log = tuple(_log(_past(earlier), self.person))
            self._put(replace(sitting, match=earlier, log=log, resting=False, hint=None, asked=False), keep=True)

    def ask_hint(self, turn: str) -> None:
        """A hint for the person's decision, which comes when it has been thought of."""
        with self._news:
            sitting = self._at(turn)
            if sitting.resting or sitting.match.over or sitting.match.mover != self.person:
                raise RefusedError("Hints are for your own turn.")
            if sitting.hint is None:
                self._put(replace(sitting, asked=True))

    def go_on(self) -> None:
        """On to the next game, or with agents that wait."""
        with self._news:
            going = replace(self._sitting, resting=False, paused=False, trouble="")
            self._put(going if self.person is not None else replace(going, at=None, hint=None, lies=None, asked=False))

    def pause(self) -> None:
        """Agents wait."""
        with self._news:
            sitting = self._sitting
            self._put(self._stepped(sitting, sitting.at) if self.person is None else replace(sitting, paused=True))

    def step(self, to: object) -> None:
        """Shows spectators the match as it was after so many moves, and what its mover thought; agents wait.

        Raises:
            RefusedError: at a match that a person plays, and on a number that is none.
        """
        with self._news:
            sitting = self._sitting
            if self.person is not None:
                raise RefusedError("Moves are looked at when agents are watched, or in a saved match by --look.")
            moves = len(sitting.match.history)
            if type(to) is not int or not 0 <= to <= moves:
                raise RefusedError(f"There are moves from 0 to {moves}.")
            self._put(self._stepped(sitting, None if to == moves else to))

    def keep(self) -> None:
        """Keeps the match, move by move, in a new file of the folder."""
        with self._news:
            sitting = self._sitting
            if sitting.path is None:
                path = new_file(self.folder)
                try:
                    self._turn_to(path, lambda: replace(sitting, path=path), keep=True)
                except (ValueError, OSError) as error:
                    raise RefusedError(f"The match cannot be kept: {error}") from None

    def open(self, name: object) -> None:
        """Goes on with a match that is `saved`, in its file where a person plays; the one on the table is left."""
        if name not in self.saved():
            raise RefusedError("There is no saved match of that name here.")
        file = None if name in self.others else self.folder / name
        path = None if self.person is None else file  # spectators only look at it
        try:
            with self._news:
                self._turn_to(path, lambda: self._open(self.others[name] if file is None else load_match(file), path))
        except (ValueError, NotImplementedError, OSError) as error:
            raise RefusedError(f"{name} cannot be opened: {error}") from None

    def begin(self) -> None:
        """Another match of the same settings, with other deals; the one on the table is left."""
        with self._news:
            settings = replace(self._sitting.match.settings, seed=secrets.randbelow(1_000_000))
            path = None if self._sitting.path is None else new_file(self.folder)
            try:
                self._turn_to(path, lambda: self._open(begin(settings), path))
            except (ValueError, OSError) as error:
                raise RefusedError(f"Another match cannot be kept: {error}") from None

    def saved(self) -> list[str]:
        """What can be opened: the other matches, and the names of the files in the folder that keep one."""
        return [*self.others, *matches_in(self.folder)]

    def close(self, patience: float = 2.5) -> bool:
        """Ends the thread, and lets go of the match's file; whether the thread has ended within so many seconds."""
        with self._news:
            self._closed = True
            self._held.close()
            self._news.notify_all()
        self._thread.join(patience)
        return not self._thread.is_alive()

    @property
    def path(self) -> Path | None:
        """The file that keeps the match."""
        return self._sitting.path

    # -- changes ------------------------------------------------------------------------------------------------------

    def _stamp(self, number: int) -> str:
        return f"{self._run}-{number}"

    def _at(self, turn: str) -> Sitting:
        """The sitting, if it still stands as it was shown by that turn."""
        if turn != self._stamp(self._turn):
            raise RefusedError("The match has moved on since; this is how it stands now.")
        return self._sitting

    def _open(self, match: Match, path: Path | None) -> Sitting:
        """The sitting of a match. A match that was played before is looked at by spectators, and not played on in its
        file."""
        agent, title = self.seating(match)
        past = _past(match)
        if self.person is None and match.history:
            return self._stepped(Sitting(match, agent, title, past=past), 0)
        if path is not None:
            save_match(path, match)
        log = tuple(_log(past, self.person))
        return Sitting(match, agent, title, log, path=path, past=past if self.person is None else ())

    def _turn_to(self, path: Path | None, sitting: Callable[[], Sitting], keep: bool = False) -> None:
        """Puts a sitting whose file is ``path`` on the table, once that is nobody else's, and lets go of the file of
        the one before; where either fails, all stays as it was."""
        if path is not None and self.path is not None and is_same(path, self.path):
            self._put(sitting(), keep)
            return
        with held_alone(path) as held:
            self._put(sitting(), keep)
            self._held.close()
            self._held = held.pop_all()

    def _stepped(self, sitting: Sitting, at: int | None) -> Sitting:
        """With those moves shown, and thoughts of the next one asked for."""
        stepped = replace(sitting, at=at, paused=True, hint=None, lies=None)
        return replace(stepped, asked=not stepped.shown.over)

    def _moved(self, after: Match) -> None:
        """A move has been made."""
        sitting, before = self._sitting, self._sitting.match
        ended = len(after.results) > len(before.results)
        log = sitting.log if before.moves else ()  # that of the game before stays until the first move
        log += tuple(move_told(before, after, self.person))
        rests = ended and self.person is not None and not after.over
        past = (*sitting.past, after) if self.person is None else ()
        after_it = replace(sitting, match=after, log=log, past=past, resting=rests, hint=None, lies=None, asked=False)
        self._put(after_it, keep=True)

    def _put(self, sitting: Sitting, keep: bool = False) -> None:
        """Makes it the one that is shown; with ``keep`` its match is written, where a file keeps it."""
        if keep and sitting.path is not None:
            try:
                save_match(sitting.path, sitting.match)
                sitting = replace(sitting, trouble="")
            except OSError as error:
                why = f"{sitting.path.name} cannot be written: {error.strerror or error}"
                sitting = replace(sitting, trouble=f"{why}. The next move tries again.")
        self._turn += sitting.match is not self._sitting.match or sitting.resting != self._sitting.resting
        self._version += 1
        self._sitting, self._told = sitting, None
        self._news.notify_all()

    # -- the thread of the agents -------------------------------------------------------------------------------------

    def _think(self) -> None:
        while (sitting := self._next_task()) is not None:
            begun = time.monotonic()
            try:
                if sitting.asked:
                    self._answer(sitting)
                else:
                    match = sitting.match
                    action = choose(sitting.agent, match) if match.mover != self.person else match.only
                    self._play(sitting, action, begun + self.delay)
            except Exception as error:  # a page must not wait for ever; the terminal gets the rest
                traceback.print_exc(file=sys.stderr)
                with self._news:
                    if self._sitting.match is sitting.match:
                        trouble = f"The agents have failed: {type(error).__name__}: {error}"
                        self._put(replace(self._sitting, trouble=trouble, paused=True, asked=False))

    def _next_task(self) -> Sitting | None:
        """Waits until agents are to decide or to give a hint; None at the end."""
        with self._news:
            self._news.wait_for(lambda: self._closed or self._agents_turn() or self._sitting.asked)
            return None if self._closed else self._sitting

    def _agents_turn(self) -> bool:
        sitting, match = self._sitting, self._sitting.match
        waits = sitting.paused or sitting.resting or match.over
        return not waits and (match.mover != self.person or match.only is not None)

    def _answer(self, asked: Sitting) -> None:
        """Gives a hint, unless something else is shown by then."""
        hint = named(give_hint(asked.agent, asked.shown), asked.shown, self.person)
        lies = where_cards_lie(asked.shown) if self.person is None else None
        with self._news:
            if self._sitting.shown is asked.shown and self._sitting.asked:
                self._put(replace(self._sitting, hint=hint, lies=lies, asked=False))

    def _play(self, asked: Sitting, action: int, when: float) -> None:
        """Makes an agent's move at a time of `time.monotonic`, unless something else has happened by then."""

        def gone() -> bool:
            return self._closed or self._sitting.match is not asked.match or not self._agents_turn()

        with self._news:
            if not self._news.wait_for(gone, max(0.0, when - time.monotonic())):
                self._moved(asked.match.act(action))


def _past(match: Match) -> tuple[Match, ...]:
    """The match before its first move and after each one."""
    return tuple(walk(match.settings, match.history))


def _log(past: Sequence[Match], viewer: int | None) -> Iterator[str]:
    """What has been said, as far as it is told, in the game that the last of these matches is in."""
    for before, after in pairwise(past[-len(past[-1].moves) - 1 :]):
        yield from move_told(before, after, viewer)

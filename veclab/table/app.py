"""The course of a match at a terminal: who decides, what is shown, and when it is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from veclab.table import lines
from veclab.table.advice import give_hint
from veclab.table.agents import Agent, choose
from veclab.table.commands import REQUESTS, Mistake, Request, parse
from veclab.table.session import Match, undo
from veclab.table.sight import Seen, look, named, said
from veclab.table.ui import Interface


class Sitting:
    """One sitting at the table, from taking up a match to its end or to the person's leaving.

    Args:
        agent: takes every seat but the person's.
        person: the seat that the interface is asked for; None when agents take all seats.
        save: called with the match after every change; None: nothing keeps it, so that leaving asks once.
    """

    def __init__(
        self, agent: Agent, person: int | None, interface: Interface, save: Callable[[Match], None] | None
    ) -> None:
        self.agent, self.person, self.interface = agent, person, interface
        self.kept, self.save = save is not None, save or (lambda match: None)

    def play(self, match: Match, title: str) -> bool:
        """Plays the match on, with ``title`` as the first line shown.

        Returns:
            Whether the match is over; False when the person has left before.
        """
        self.save(match)
        self.interface.begin(self._look(match), title)
        if match.results and not match.history and not match.over:  # of games that were over as they were dealt
            self.interface.tell(*lines.result_lines(self._look(match), 0))
        while not match.over:
            own = match.mover == self.person
            if own and match.only is None:
                after = self._decide(match)
            else:
                after = match.act(match.only if own else choose(self.agent, match))
            if after is not None and len(after.history) > len(match.history):
                after = self._show(match, after)
            if after is None:
                return False
            match = after
        return True

    def _look(self, match: Match) -> Seen:
        return look(match, self.person)

    def _show(self, match: Match, after: Match) -> Match | None:
        """Saves and shows a move; between games the person may take it back, or leave (None)."""
        self.save(after)
        self.interface.moved(self._look(match), said(match, after, self.person), self._look(after))
        ended = len(after.results) > len(match.results)
        return self._rest(after) if ended and self.interface.pauses and not after.over else after

    def _decide(self, match: Match) -> Match | None:
        """The match after the person's move, or an earlier one after an undo, or None when the person leaves."""
        seen, glyphs = self._look(match), self.interface.glyphs
        self.interface.decision(seen)
        answer = None
        while True:
            before = answer
            try:
                line = self.interface.ask(lines.prompt(seen, glyphs))
            except EOFError:
                return self._end_of_input()
            answer = parse(line, seen, glyphs)
            if isinstance(answer, Mistake) and not line.strip():  # as after help, or in a terminal of another size
                self.interface.decision(seen)
            if isinstance(answer, int):
                return match.act(answer)
            if answer is Request.QUIT and self._may_leave(match, before):
                return None
            if answer is Request.UNDO and (earlier := self._take_back(match)) is not None:
                return earlier
            self.interface.tell(*self._reply(answer, match))

    def _rest(self, match: Match) -> Match | None:
        """Waits between two games; as `_decide`."""
        answer = None
        while True:
            before = answer
            try:
                word = self.interface.ask(lines.rest_prompt(self._look(match))).strip().lower()
                answer = REQUESTS.get(word)
            except EOFError:
                return self._end_of_input()
            if not word:
                return match
            if answer is Request.QUIT:
                if self._may_leave(match, before):
                    return None
                self.interface.tell(*self._reply(answer, match))
            if answer is Request.UNDO and (earlier := self._take_back(match)) is not None:
                return earlier

    def _end_of_input(self) -> None:
        self.interface.tell("")  # ends the line of the prompt

    def _may_leave(self, match: Match, before: object) -> bool:
        """Whether the person may leave now: at once where nothing of its own would be lost, else by asking twice in a
        row, for an early Enter makes a request of a queen that is typed."""
        return self.kept or before is Request.QUIT or undo(match, self.person) is None

    def _take_back(self, match: Match) -> Match | None:
        """The match at the person's last choice, saved and shown, or None when there has been none."""
        earlier = undo(match, self.person)
        if earlier is not None:
            self.save(earlier)
            self.interface.went_back(self._look(earlier))
        return earlier

    def _reply(self, answer: Request | Mistake, match: Match) -> Sequence[str]:
        """What is said to an answer that changes nothing."""
        if isinstance(answer, Mistake):
            return [answer.text]
        if answer is Request.HINT:
            return lines.hint_lines(named(give_hint(self.agent, match), match, self.person), self.interface.glyphs)
        if answer is Request.QUIT:
            return ["Nothing keeps this match (--save FILE would): q again leaves it."]
        if answer is Request.UNDO:
            return ["There is no choice of yours to take back."]
        game = match.game
        told = lines.help_lines(self._look(match), game.lowest, game.highest, game.unit)
        return [self.interface.glyphs.say(line) for line in told]

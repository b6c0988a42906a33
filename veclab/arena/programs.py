"""Players in other programs, in any language, by a line protocol over their standard input and output.

``cmd:COMMAND`` on a command line, `ProgramPlayer("COMMAND")` here. Messages are JSON, one a line; docs/protocol.md is
their grammar. All decisions of a batch are in flight at once, and answered in their order. Whatever a program does
wrong ends it, and is told in one line with the last that it wrote to its standard error; if asked again it starts anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

from vecgame import Game, Purpose, State, Stream
from vecgame.lanes import has_choice
from vecgame.philox import check_seed
from veclab.arena.matches import deal_told
from veclab.arena.shown import Remembered
from veclab.arena.told import game_told, history_told, states_told
from vecmcts import Past

PROTOCOL = 1
PREFIX = "cmd:"
SECONDS = 10.0  # for a decision
START_SECONDS = 10.0  # at least, for the first answer
END_SECONDS = 1.0  # for ending by itself once its input is closed
MOST_BYTES = 1 << 16  # of an answer
KEPT_BYTES = 1 << 12  # of what it wrote to its standard error, the last
MOST_WAIT = 3600.0  # seconds, of one wait for a pipe: those of operating systems have an end, after days or weeks
SHOWN = 80  # characters of what a program wrote, in a message
LISTED = 12  # legal actions in a message, at most


class ProgramPlayer:
    """A program that plays by the protocol; it is started when it is first asked, anew for each game's rules and after
    whatever has ended it.

    Decisions with one legal action are not asked for. What a program draws should depend on what it is told only, which
    has a seed for each decision; then the same games come of the same seed.

    Args:
        command: the program and its arguments, split as a shell splits them; no shell is called.
        seconds: for each decision.

    Raises:
        ValueError: on an empty command, quotes that do not end, or a time that is none.
    """

    games_a_process = None  # two processes cannot talk with one program

    def __init__(self, command: str, seconds: float = SECONDS) -> None:
        self.name = f"{PREFIX}{command}"
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"{self.name} is no command: {error}") from None
        if not self.words:
            raise ValueError(f"{PREFIX}COMMAND needs a command")
        if not 0 < seconds < math.inf:
            raise ValueError(f"--program-seconds must be above 0 and finite, got {seconds:g}")
        self.seconds = seconds
        self.game: Game | None = None  # which the program that runs was told
        self.program: Program | None = None
        self.refusal: str | None = None
        self.wants_history, self.shown = True, Remembered()

    def refuses(self, game: Game) -> str | None:
        """Why it does not play a game, as the program says; None if it does.

        Raises:
            ValueError: in one line, when it cannot be started or does not keep to the protocol.
        """
        if self.game != game or self.program.ended:
            self._start(game)
        return self.refusal

    def act_after(self, game: Game, state: State, past: Past, seed: int) -> Tensor:
        """A legal action for the mover of every lane: [B] int64, see `veclab.arena.bots.HistoryPlayer`.

        Raises:
            ValueError: in one line, on whatever the program does wrong.
        """
        if (reason := self.refuses(game)) is not None:
            raise ValueError(reason)
        actions = game.legal_actions(state)
        action = actions[:, 0].clone()
        lanes = has_choice(actions).nonzero()[:, 0]
        if len(lanes):
            asked = self._asked(game, state.take(lanes).to("cpu"), past.take(lanes), seed)
            action[lanes] = self._answers(game, asked).to(action.device)
        return action

    def _asked(self, game: Game, state: State, past: Past, seed: int) -> list[dict[str, object]]:
        """The messages of K decisions."""
        past = Past(tuple(one.to("cpu") for one in past.states), past.actions.cpu())
        seat = game.mover(state)
        seeds = Stream(check_seed(seed), state.index, game.turn(state)).words(Purpose.ACTION, 1)[:, 0].tolist()
        seen = states_told(game, state, seat)
        history = history_told(game, past, seat, self.shown) if self.wants_history else None
        messages = []
        for lane, options in enumerate(game.legal_actions(state).tolist()):
            legal = [{"id": one, "name": game.action_name(one, state, lane)} for one in options if one >= 0]
            message = {"type": "decide", "id": self.program.asked + lane, "game": int(state.index[lane])}
            message |= {"seat": int(seat[lane]), "seed": seeds[lane], "legal": legal, "state": seen[lane]}
            messages.append(message if history is None else {**message, "history": history[lane]})
        return messages

    def _answers(self, game: Game, asked: list[dict[str, object]]) -> Tensor:
        """The program's actions: [K] int64."""
        answers = self.program.exchange(asked, self.seconds)
        chosen = []
        for message, answer in zip(asked, answers, strict=True):
            if answer.get("id") != message["id"]:
                self.program.fail(f"answered {_short(answer)} where the answer to id {message['id']} was due")
            action = _chosen(answer.get("action"), message["legal"])
            if action is None:
                listed = ", ".join(f"{one['id']} ({one['name']})" for one in message["legal"][:LISTED])
                more = f" and {len(message['legal']) - LISTED} more" if len(message["legal"]) > LISTED else ""
                self.program.fail(
                    f"took {_short(answer.get('action'))} in {game.name}, {deal_told(message['game'])}, seat "
                    f"{message['seat']}, which is not legal; legal there: {listed}{more}"
                )
            chosen.append(action)
        return torch.tensor(chosen)

    def _start(self, game: Game) -> None:
        self.close()
        self.program = Program(self.name, self.words)
        self._end = weakref.finalize(self, self.program.kill)  # also where Python ends
        hello = {"type": "hello", "protocol": PROTOCOL, **game_told(game)}
        answer = self.program.exchange([hello], max(self.seconds, START_SECONDS))[0]
        self.refusal, self.wants_history = None, answer.get("history", True)
        if answer.get("type") == "refuse":
            self.refusal = f"{self.name} does not play {game!r}: {_short(answer.get('reason'))}"
        elif answer.get("type") != "ready":
            self.program.fail(
                f'answered {_short(answer)} to hello; {{"type": "ready", "protocol": {PROTOCOL}}} was due'
            )
        elif answer.get("protocol") != PROTOCOL:
            self.program.fail(f"speaks protocol {_short(answer.get('protocol'))}; this is protocol {PROTOCOL}")
        elif not isinstance(self.wants_history, bool):
            self.program.fail(f"answered history={_short(self.wants_history)} to hello; it must be true or false")
        self.game = game

    def digest(self, game: Game | None = None) -> str:
        """SHA-256 of the command and of the files that it names, as far as they can be read, whatever the game."""
        found = hashlib.sha256(self.name.encode())
        for word in (shutil.which(self.words[0]) or self.words[0], *self.words[1:]):
            with suppress(OSError):
                found.update(Path(word).read_bytes())
        return found.hexdigest()

    def close(self) -> None:
        """Ends the program, if one runs."""
        if self.program is not None:
            self.program.close()
            self._end.detach()
        self.program = self.game = None


def is_program(name: str) -> bool:
    """Whether a command line means a program by a name."""
    return name.startswith(PREFIX)


def program_player(name: str, seconds: float | None) -> ProgramPlayer:
    """The program that a command line names; ``seconds`` for each decision, `SECONDS` if None. Raises ValueError."""
    return ProgramPlayer(name.removeprefix(PREFIX), SECONDS if seconds is None else seconds)


@contextmanager
def ending(players: Iterable[object]) -> Iterator[None]:
    """A block after which, however it is left, no program of these players runs, and those of one's own have closed
    what they have open."""
    try:
        yield
    finally:
        for player in players:
            getattr(player, "close", lambda: None)()


class Program:
    """A process that answers each line with a line. Raises ValueError when it cannot be started."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name, self.asked = name, 0  # how many lines it was sent
        self.ended = False  # and what it has started
        self.answers, self.errors = b"", b""  # read from it, and not yet used
        try:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl+C is for us; and what it starts itself ends with it
            )
        except OSError as error:
            raise ValueError(f"{name} cannot be started: {error.strerror or error}") from None
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            os.set_blocking(pipe.fileno(), False)

    def exchange(self, messages: Sequence[dict[str, object]], seconds: float) -> list[dict[str, object]]:
        """Sends messages, and reads as many answers.

        Args:
            seconds: for the first answer, and for each after the one before it.

        Raises:
            ValueError: in one line, when one does not come, or is no JSON object.
        """
        try:
            lines = self._exchange(messages, seconds)
        except BaseException:  # Ctrl+C among them
            self.kill()
            raise
        self.asked += len(messages)
        return [self._parsed(line) for line in lines]

    def _exchange(self, messages: Sequence[dict[str, object]], seconds: float) -> list[bytes]:
        process, lines = self.process, []
        unsent = memoryview("".join(_line(message) for message in messages).encode())
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            due = time.monotonic() + seconds
            while len(lines) < len(messages):
                if (left := due - time.monotonic()) <= 0:
                    self.fail(f"gave no answer within {seconds:g} s")
                for key, _ in selector.select(min(left, MOST_WAIT)):
                    if key.fileobj is process.stdin:
                        unsent = self._send(unsent)
                        if not unsent:
                            selector.unregister(process.stdin)
                    elif key.fileobj is process.stderr:
                        if not self._hear():
                            selector.unregister(process.stderr)
                    elif read := self._read():
                        lines += read
                        due = time.monotonic() + seconds
        if len(lines) > len(messages) or self.answers:
            self.fail(f"answered more than it was asked: {_short((lines[len(messages) :] or [self.answers])[0])}")
        return lines

    def _send(self, unsent: memoryview) -> memoryview:
        """Writes what the pipe takes; returns the rest, nothing if the program reads no more."""
        try:
            return unsent[os.write(self.process.stdin.fileno(), unsent[:MOST_BYTES]) :]
        except BlockingIOError:
            return unsent
        except BrokenPipeError:  # its answers will end, and say more
            return unsent[:0]

    def _read(self) -> list[bytes]:
        """The lines that it has written."""
        chunk = os.read(self.process.stdout.fileno(), MOST_BYTES)
        if not chunk:
            self.fail(self._ended())
        *lines, self.answers = (self.answers + chunk).split(b"\n")
        if max(map(len, (*lines, self.answers))) > MOST_BYTES:
            self.fail(f"answered a line of more than {MOST_BYTES:,} bytes")
        return lines

    def _hear(self) -> bool:
        """Keeps the end of what it has written to its standard error; whether there may be more."""
        with suppress(BlockingIOError):
            chunk = os.read(self.process.stderr.fileno(), MOST_BYTES)
            self.errors = (self.errors + chunk)[-KEPT_BYTES:]
            return bool(chunk)
        return True

    def _ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            status = self.process.wait(END_SECONDS)
            if status < 0:
                return f"was ended by {_signal_name(-status)} before it answered"
            return f"ended with status {status} before it answered"
        return "closed its output before it answered"

    def _parsed(self, line: bytes) -> dict[str, object]:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            self.fail(f"answered {_short(line) or 'an empty line'}, which is not JSON")
        if not isinstance(answer, dict):
            self.fail(f"answered {_short(answer)}, which is no JSON object")
        return answer

    def fail(self, what: str) -> None:
        """Ends it, and raises ValueError: in one line what it did, and the last line of its standard error."""
        self.kill()
        said = [line.strip() for line in self.errors.decode(errors="replace").splitlines() if line.strip()]
        raise ValueError(f"{self.name} {what}{f'; it said: {_short(said[-1])}' if said else ''}")

    def close(self) -> None:
        """Closes its input, on which it should end by itself, and kills it if it does not."""
        self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills it and what it has started, and waits for its end."""
        if self.ended:  # its number may be another's by now
            return
        self.ended = True
        with suppress(ProcessLookupError, PermissionError):  # what it has started may be there when it is not
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while not self.process.stderr.closed and self.errors_left():
            pass
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

    def errors_left(self) -> bool:
        """Hears what is left of its standard error; whether there may be more of it at once."""
        before = self.errors
        return self._hear() and self.errors != before


def _line(message: dict[str, object]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n"


def _chosen(action: object, legal: list[dict[str, object]]) -> int | None:
    """The id of the legal action that an answer means by id or name, the first of several of one name; else None."""
    if isinstance(action, bool) or not isinstance(action, int | str):
        return None
    key = "name" if isinstance(action, str) else "id"
    return next((one["id"] for one in legal if one[key] == action), None)


def _signal_name(number: int) -> str:
    """What a signal is called; those for real time have a number only."""
    named = number in {known.value for known in signal.Signals}
    return signal.Signals(number).name if named else f"signal {number}"


def _short(value: object) -> str:
    """What a program wrote, in one line that is not too long."""
    written = value.decode(errors="replace") if isinstance(value, bytes) else value
    shown = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
    shown = " ".join(shown.split())
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}.."

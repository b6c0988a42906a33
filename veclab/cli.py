"""The command `vecgame`, and what the scripts of a clone call.

Nothing here loads PyTorch, which takes seconds, before a command needs it.
"""

from __future__ import annotations

import atexit
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from shutil import get_terminal_size
from textwrap import indent
from typing import NamedTuple, NoReturn

from veclab.command_line import STOPPED, begin, ends_in_one_line, fitted
from veclab.files import printable


class Command(NamedTuple):
    """A command: the module whose ``main(arguments)`` it calls, and what it does."""

    module: str
    summary: str


COMMANDS = {
    "train": Command("veclab.training.command", "trains an agent by self-play, or goes on with a run"),
    "play": Command("veclab.play", "plays a game at the terminal or in a browser, you against agents"),
    "evaluate": Command("veclab.arena.evaluate", "plays a network against the known opponents"),
    "ladder": Command("veclab.arena.ladder", "rates a run's networks and the bots by Elo"),
    "best-response": Command("veclab.arena.best_response", "says how exploitable networks are, on small decks"),
    "solve": Command("veclab.solve", "says what a small game is worth where all play as well as can be"),
    "exploit": Command("veclab.exploit.command", "trains an exploiter of an agent, in games of any size"),
    "report": Command("veclab.report.page", "writes a run as one web page"),
    "export": Command("veclab.export", "writes a network as ONNX"),
    "bench": Command("veclab.bench.command", "measures throughput on this machine"),
    "games": Command("veclab.games", "lists the games, their rules and the rules' defaults"),
    "contract": Command("veclab.contract", "checks a game, as one of your own, for search and training"),
}


def usage() -> str:
    """What there is to ask for."""
    lines = [f"{name:<15}{command.summary}" for name, command in COMMANDS.items()]
    fitting = indent(fitted("\n".join(lines), get_terminal_size().columns - 4), "  ")
    return f"usage: vecgame COMMAND ..\n\n{fitting}\n\nvecgame COMMAND --help says more; --version"


def call(arguments: Sequence[str]) -> int:
    """Calls the command that the first argument names with the others; returns the exit status."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        return ends_in_one_line(print)(usage())
    if name not in COMMANDS and name != "--version":
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(COMMANDS)}"
        print(
            f"error: there is no command {printable(name)}; {hint} (vecgame --help says what they do)", file=sys.stderr
        )
        return 2
    if name == "--version":
        return ends_in_one_line(print)(f"vecgame {importlib.import_module('vecgame').__version__}")
    return importlib.import_module(COMMANDS[name].module).main(rest)


def end_process(main: Callable[[], int]) -> NoReturn:
    """Calls ``main`` and ends the process with the status that it returns.

    A process that torchrun has started ends without Python's clean-up. After a failure the connections to the others
    are still open then, and it was seen to wait for ever or to crash over them. Nor is there one after Ctrl+C, but for
    what was registered to be done at the end: to take the modules apart took seconds on a busy machine.
    """
    begin()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        if (status := main()) != STOPPED:
            sys.exit(status)
        atexit._run_exitfuncs()
        _end_at_once(status)
    try:
        status = main()
    except Exception:
        traceback.print_exc()
        status = 1
    _end_at_once(status)


def _end_at_once(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


def main(*before: str) -> NoReturn:
    """The process of a command, which is named on the command line or ``before`` it."""
    end_process(lambda: call([*before, *sys.argv[1:]]))


if __name__ == "__main__":
    main()

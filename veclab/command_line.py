"""What the command lines of all programs here have in common."""

import argparse
import difflib
import os
import re
import sys
from pathlib import Path


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the flags in one line, with the nearest one to one that is unknown, takes no abbreviated
    ones, and shows its description as it is."""

    def __init__(self, **options: object) -> None:
        options = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        super().__init__(**options)

    def error(self, message: str) -> None:
        wrong = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        near = difflib.get_close_matches(wrong[1], self._option_string_actions, n=1) if wrong else []
        hint = f"; the nearest is {near[0]}" if near else ""
        self.exit(2, f"error: {' '.join(message.split())}{hint} (--help lists all flags)\n")


def called(command: str) -> str:
    """How to ask for a command again: as the script of a clone if this process is one, else as ``vecgame COMMAND``."""
    script = sys.argv[0]
    return f"python {script}" if Path(script).name == f"{command}.py" else f"vecgame {command}"


def parser_of(command: str, description: str) -> Parser:
    """The parser of a command; where its description says ``vecgame COMMAND`` it shows how the command was called."""
    return Parser(prog=called(command), description=description.replace(f"vecgame {command}", called(command)))


def bound_spinning() -> None:
    """Bounds how long OpenMP's threads spin at a barrier, which is read as PyTorch loads.

    They spin for as long as they like, by default; beside another busy process that made a search over 5 times slower
    (measured, two cores). What is worth it works side by side instead, without barriers (`net.threads`), in programs
    that import the library as well; this is for what is left, small batches.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

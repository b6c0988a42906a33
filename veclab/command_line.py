"""What the command lines of all programs here have in common: their flags, and how they begin and end.

Whatever ends a command, it says so in one line and by its exit status. Nothing here loads PyTorch, which takes seconds.
"""

import argparse
import codecs
import difflib
import functools
import os
import re
import signal
import stat
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TextIO

from veclab.cores import allowed_cores, cores
from veclab.files import harmless, printable

WRONG, NO_MEMORY, STOPPED, NO_READER = 2, 3, 130, 141  # exit statuses; the last two as a shell counts signals
HANGUP = getattr(signal, "SIGHUP", None)  # a terminal is closed; Windows has none
STOPS = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else []))  # what asks a process to stop
A_RUN = "a run's folder (newest: the newest in runs/)"
PLAIN = {
    "±": "+-",
    "·": ".",
    "…": "...",
    "▸": ">",
    "→": "->",
    "•": "*",
    "█": "#",
}  # where there is ASCII only
WINDOWS = "vecgame runs on Linux and macOS; on Windows, run it within WSL (wsl --install)"
MARGIN = 24  # columns that are worth to be written in
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")  # PyTorch has no class for it


class Help(argparse.RawDescriptionHelpFormatter):
    """Shows a description as it is, or what of it is too wide for the terminal `fitted` to it."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return fitted(text, width)


def fitted(text: str, width: int) -> str:
    """A text of paragraphs, and of lines "command   what it does", whose lines are broken where they are too wide; in
    less than `MARGIN` columns as in so many."""
    width = max(width, MARGIN)
    if all(len(line) <= width for line in text.splitlines()):
        return text
    blocks: list[list[str]] = []  # of lines that belong together
    for line in text.splitlines():
        before = blocks[-1][0] if blocks else ""
        if not line or not before or (line[0] != " " and (_is_entry(line) or _is_entry(before))):
            blocks.append([])
        blocks[-1].append(line)
    return "\n".join(_broken(block, width) for block in blocks)


def _is_entry(line: str) -> bool:
    return re.search(r"\S {2,}\S", line) is not None


def _broken(block: list[str], width: int) -> str:
    """Lines that belong together: an entry and what follows of it, or a paragraph."""
    text = " ".join(line.strip() for line in block)
    gap = re.search(r"(?<=\S) {2,}(?=\S)", text)
    if gap is None:
        return textwrap.fill(text, width, break_on_hyphens=False)
    said = " ".join(text[gap.end() :].split())
    begun = text[: gap.end()] if gap.end() + MARGIN <= width else f"{text[: gap.start()]}\n    "
    column = len(begun.rpartition("\n")[2])
    lines = textwrap.wrap(said, width - column, break_on_hyphens=False)
    return begun + f"\n{' ' * column}".join(lines)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the flags in one line, with the nearest one to one that is unknown, takes no abbreviated
    ones, and shows its description as far as it fits."""

    def __init__(self, **options: object) -> None:
        options = {"formatter_class": Help, "allow_abbrev": False, **options}
        super().__init__(**options)

    def format_help(self) -> str:
        """With a usage that does not list the flags, which are listed below it."""
        named = [(action.metavar or action.dest.upper(), action.nargs) for action in self._get_positional_actions()]
        shown = {"?": "[{0}] ", "+": "{0} [{0} ..] "}
        wanted = "".join(shown.get(nargs, "{0} ").format(name) for name, nargs in named)
        self.usage = self.usage or f"%(prog)s {wanted}[FLAG ..]"
        return super().format_help()

    def error(self, message: str) -> None:
        wrong = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        near = difflib.get_close_matches(wrong[1], self._option_string_actions, n=1) if wrong else []
        hint = f"; the nearest is {near[0]}" if near else ""
        self.exit(2, f"error: {printable(message)}{hint} (--help lists all flags)\n")


def called(command: str) -> str:
    """How to ask for a command again: as the script of a clone if this process is one, else as ``vecgame COMMAND``."""
    script = sys.argv[0]
    return f"python {script}" if Path(script).name == f"{command}.py" else f"vecgame {command}"


def parser_of(command: str, description: str) -> Parser:
    """The parser of a command; where its description says ``vecgame COMMAND`` it shows how the command was called."""
    return Parser(prog=called(command), description=description.replace(f"vecgame {command}", called(command)))


class NoRunError(argparse.ArgumentTypeError, ValueError):
    """There is no newest run, or the name is none."""


def run_or_network(name: str) -> Path:
    """The path that an argument names; ``newest`` is the run in runs/ that was begun or gone on with last.

    Raises:
        NoRunError: in one line, where there is none.
    """
    if not name:  # as of a shell's variable that is not set; as a path it would be the folder that one is in
        raise NoRunError("an empty name is no run's; name its folder")
    if name != "newest" or Path(name).exists():
        return Path(name)
    runs = sorted(Path("runs").glob("*/config.json"), key=lambda config: config.stat().st_mtime)
    if not runs:
        raise NoRunError("newest is the newest run in runs/, and there is none; name a run's folder")
    return runs[-1].parent


def bound_threads() -> None:
    """Bounds how long OpenMP's threads spin at a barrier, and how many they are; both are read as PyTorch loads.

    They spin for as long as they like, by default; beside another busy process that made a search over 5 times slower
    (measured, two cores). What is worth it works side by side instead, without barriers (`net.threads`), in programs
    that import the library as well; this is for what is left, small batches.

    There are as many threads as cores that the process may run on, by default; where a container has less of their time
    they would stop each other.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if (usable := cores()) < allowed_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(usable))


# -- how a command begins ---------------------------------------------------------------------------------------------


def begin() -> None:
    """What a process does that is a command, before it loads anything that takes time.

    Ctrl+C ends it at once as long as it loads, streams that are closed lead nowhere, output that cannot be encoded is
    said in other characters, and what cannot work is refused in one line: Windows, and arguments that are no UTF-8.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _stop_while_loading)
    _open_closed_streams()
    codecs.register_error("plain", _in_plain_characters)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(errors="plain")
    bound_threads()
    if sys.platform == "win32":
        _refuse(WINDOWS)
    for argument in sys.argv:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            _refuse(f"{os.fsencode(argument)!r} is no UTF-8, which files here hold paths in; rename it")


def _open_closed_streams() -> None:
    """Opens nothing in the place of the standard streams that are closed, as by ``>&-``, which Python has as None: each
    gets its own number, which a file that is opened later would have, with whatever a library writes to it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode))


def _refuse(reason: str) -> NoReturn:
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(WRONG)


def _stop_while_loading(number: int, frame: object) -> NoReturn:
    """Ends the process while nothing is to lose: an import that it cuts off may turn it into another error."""
    os.write(2, b"stopped\n")
    os._exit(STOPPED)


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """What a stream's encoding lacks, in characters that it has; the handler ``plain`` of encoding errors."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wanted = error.object[error.start : error.end]
    return "".join(PLAIN.get(character) or _like(character) for character in wanted), error.end


def _like(character: str) -> str:
    """A letter without its accent, a line of a frame as one, else a question mark."""
    name = unicodedata.name(character, "")
    if name.startswith("BOX DRAWINGS"):
        return {"HORIZONTAL": "-", "VERTICAL": "|"}.get(name.rpartition(" ")[2] if "AND" not in name else "", "+")
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


# -- how it ends ------------------------------------------------------------------------------------------------------


def ends_in_one_line(
    main: Callable[..., int | None] | None = None, *, needs_less: str = "", package: str = ""
) -> Callable[..., int]:
    """Has a command's main function return an exit status whatever ends it, and say what that was in one line.

    | what ends it | status |
    |---|---|
    | it returns a status, or nothing | that, or 0 |
    | ValueError, OSError, or a module that is missing | 2 |
    | no memory | 3 |
    | Ctrl+C (``KeyboardInterrupt(what is kept)``) | 130 |
    | nobody reads its output any more (``BrokenPipeError``) | 141 |

    Args:
        needs_less: what to give less of when memory is out, such as "a smaller --deals".
        package: extra of the package whose modules it needs.
    """
    if main is None:
        return functools.partial(ends_in_one_line, needs_less=needs_less, package=package)

    @functools.wraps(main)
    def guarded(*arguments: object, **options: object) -> int:
        if signal.getsignal(signal.SIGINT) is _stop_while_loading:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            try:
                status = main(*arguments, **options)
            except SystemExit:  # of the parser, which has printed its help
                sys.stdout.flush()
                raise
            sys.stdout.flush()  # here, where it can be said that nobody reads it
            return status or 0
        except KeyboardInterrupt as stop:
            said, status = str(stop) or "stopped", STOPPED
        except BrokenPipeError as error:
            _stop_writing()
            said, status = _nobody_reads(error), NO_READER
        except ModuleNotFoundError as error:
            said, status = f"error{_notes(error)}: {_missing(error, package)}", WRONG
        except (ValueError, OSError) as error:
            said, status = f"error{_notes(error)}: {_first_line(error)}", WRONG
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            less = f"; {needs_less} needs less" if needs_less else ""
            said, status = f"error{_notes(error)}: out of memory: {what_was_needed(error)}{less}", NO_MEMORY
        with suppress(OSError):  # nobody reads that either, or the terminal is closed
            print(harmless(said), file=sys.stderr, flush=True)
        return status

    return guarded


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is out, the host's or a GPU's."""
    said = str(error).lower()
    gpu = type(error).__name__ == "OutOfMemoryError"  # of `torch`, which is not loaded here
    return isinstance(error, MemoryError) or gpu or any(words in said for words in OUT_OF_MEMORY)


def _notes(error: BaseException) -> str:
    """What was added to an error on its way: which process it is of."""
    return "".join(getattr(error, "__notes__", ()))


def what_was_needed(error: BaseException) -> str:
    """What an error says that memory was wanted for; of PyTorch's, which name the place in its code, how much."""
    bytes_ = re.search(r"tried to allocate (\d+) bytes", str(error))
    if bytes_:
        return f"{int(bytes_[1]) / 2**30:,.2f} GiB more could not be had"
    return _first_line(error) or "no more could be had"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__ * isinstance(error, ValueError | OSError)


def _missing(error: ModuleNotFoundError, package: str) -> str:
    """A missing module in words; one that was written for a person as it is."""
    if not str(error).startswith(("No module named", "import of")):
        return str(error)
    how = f": pip install 'vecgame[{package}]'" if package else ""
    return f"{error.name.partition('.')[0]} is not installed{how}"


def _nobody_reads(error: BrokenPipeError) -> str:
    kept = "" if error.errno else str(error)  # a program's own words have no number
    return "stopped, for nobody reads the output any more" + (f"; {kept}" if kept else "")


def _stop_writing(stream: TextIO | None = None) -> None:
    """Sends what is still to be written (to standard output, by default) nowhere, so that the end of the process does
    not fail over it."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, (stream or sys.stdout).fileno())
        os.close(nothing)


@contextmanager
def on_stop(handler: Callable[[int, object], None], numbers: Collection[int] = STOPS) -> Iterator[None]:
    """Has signals call ``handler`` within a `with` block of the main thread; that a closed terminal is ignored, as
    under nohup, stays so."""
    ignored = [HANGUP] if HANGUP and signal.getsignal(HANGUP) is signal.SIG_IGN else []
    before = {number: signal.signal(number, handler) for number in numbers if number not in ignored}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def showing(show: Callable[[], None], stopped: Callable[[], str]) -> Iterator[None]:
    """Long work after which what of it is finished is shown, however it ended; Ctrl+C ends in the line ``stopped``."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(stopped()) from None
    finally:
        show()


def leave_closed_terminal() -> None:
    """Sends what is written to a terminal nowhere once that is closed, for every write would fail."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            number = stream.fileno()
            if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
                _stop_writing(stream)


def check_least(flags: object, **least: int) -> None:
    """Raises ValueError, in one line, where an attribute of ``flags`` is below its ``least``; None is not given."""
    for name, bound in least.items():
        number = getattr(flags, name)
        if number is not None and not number >= bound:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {bound}, got {number}")


def check_place(flag: str, path: Path | None, *read: Path | None) -> None:
    """Raises ValueError in one line where a file could not be written, which is better known before the work, or where
    something else would be lost: a file of that name is replaced.

    Args:
        read: files that the command reads, which it must not write.
    """
    if path is None:
        return
    if path.suffix == ".py":  # perhaps that of one's own --game
        raise ValueError(f"{flag} {path} would be a Python program by its name; name a file with another ending")
    if not path.parent.is_dir():
        raise ValueError(f"{flag} {path}: there is no folder {path.parent}")
    if path.is_symlink():
        raise ValueError(f"{flag} {path} is a link, which a file would take the place of; name the file itself")
    if path.is_dir():
        raise ValueError(f"{flag} {path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{flag} {path} is a device, pipe or socket, which a file would take the place of; name a file"
        )
    if path.exists() and any(one is not None and one.exists() and path.samefile(one) for one in read):
        raise ValueError(f"{flag} {path} is read by this command; name another file to write")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{flag} {path}: the folder {path.parent} cannot be written to")


def check_folder(flag: str, path: Path | None) -> None:
    """Likewise, where files could not be written into a folder, which is made if need be."""
    if path is None:
        return
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir():
        raise ValueError(f"{flag} {path}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{flag} {path}: the folder {there} cannot be written to")

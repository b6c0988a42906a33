"""All figures from ten minutes on a GPU, in one archive.

bash benchmarks/gpu_all.sh FOLDER                                     GPU tests, all benchmarks, then training
bash benchmarks/gpu_all.sh FOLDER --parts training --seconds 560      training alone, for as long as that
bash benchmarks/gpu_all.sh FOLDER --smoke                             the same parts on a CPU, as small as can be

FOLDER then holds results.tar.gz, of less than 16 MiB and written anew after every part, and summary.txt. Exit status:
0 all parts are ok; 1 one has failed, was cut at its time, or could not be run; 2 bad arguments; 4 one is degraded:
something went on otherwise than asked, and the summary says what; 130 stopped by Ctrl+C or SIGTERM.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from veclab.bench.gpu import archive
from veclab.bench.gpu.driver import Driver
from veclab.bench.gpu.plan import Part

PLAN = "veclab.bench.gpu.plan"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="gpu_all.sh", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for the archive and the summary")
    parser.add_argument("--smoke", action="store_true", help="on a CPU, as small as can be: a check that it works")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--seconds", type=float, metavar="S", help="for all of it (default: 540)")
    parser.add_argument("--plan", default=PLAN, help=argparse.SUPPRESS)  # another module of parts, for tests
    return parser.parse_args(arguments)


def chosen(plan: ModuleType, names: list[str] | None) -> list[Part]:
    """The parts of these names in the plan's order, or all of them.

    Raises:
        ValueError: on an unknown name, with those that there are.
    """
    known = [part.name for part in plan.PARTS]
    for name in names or []:
        if name not in known:
            raise ValueError(f"--parts takes names of {', '.join(known)}; got {name!r}")
    return [part for part in plan.PARTS if names is None or part.name in names]


@ends_in_one_line
def main(arguments: list[str] | None = None, most: int = archive.MOST) -> int:
    """The command line; returns the exit status. ``most``: bytes of the archive."""
    options = parse(arguments)
    plan = importlib.import_module(options.plan)
    parts = chosen(plan, options.parts)
    seconds = plan.TOTAL if options.seconds is None else options.seconds
    if not 0 < seconds < float("inf"):
        raise ValueError(f"--seconds must be above 0, got {seconds}")
    if (options.folder / archive.NAME).exists():
        raise ValueError(f"{options.folder} already holds {archive.NAME}; name another folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    return Driver(options.folder.resolve(), parts, plan.WORK, options.smoke, seconds, most).run()


if __name__ == "__main__":
    sys.exit(main())

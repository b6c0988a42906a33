"""Trains an agent for Blob, or another card game, by batched self-play.

python train.py --games-per-iter 10000            the document's workload: 500 iterations on a large network
python train.py --preset quick                    a decent agent on a laptop in minutes
python train.py --preset quick --game hearts      the same for Hearts; spades, whist
python train.py --resume runs/NAME                goes on with a run
"""

import argparse
import os
import sys
import time
from pathlib import Path

# OpenMP's threads spin at every barrier for as long as they like, by default; beside another busy process that made a
# search over 5 times slower (measured, two cores). A bounded spin costs 4% on an idle machine. Read as torch loads.
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "20000")

import torch

from training.progress import Display
from training.run import Run, read_config
from training.settings import PRESETS, add_flags, for_resume, from_flags


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, object]]:
    """Flags of the command itself, and the settings that were given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--preset", choices=tuple(PRESETS), default="document", help="settings to begin with")
    parser.add_argument("--run", type=Path, help="folder of the new run (default: runs/ and the time)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    add_flags(parser)
    given = vars(parser.parse_args(arguments))
    own = argparse.Namespace(**{name: given.pop(name) for name in ("preset", "run", "resume")})
    return own, given


def open_run(own: argparse.Namespace, given: dict[str, object], display: Display) -> Run:
    """The run that the flags ask for."""
    if own.resume is not None:
        if own.run is not None or own.preset != "document":
            raise ValueError("--resume takes the run's own folder and settings; leave --run and --preset out")
        return Run.resume(own.resume, for_resume(read_config(own.resume), given), display)
    folder = own.run or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    return Run.create(folder, from_flags(own.preset, given), display)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    own, given = parse(arguments)
    try:
        finished = open_run(own, given, Display()).train()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        print(
            f"error: out of GPU memory; a smaller --chunk-games needs less. {str(error).splitlines()[0]}",
            file=sys.stderr,
        )
        return 3
    return 0 if finished is not None else 130


if __name__ == "__main__":
    sys.exit(main())

"""Trains an agent for Blob, or another card game, by batched self-play.

vecgame train --games-per-iter 10000            500 iterations on a large network: days, see --preset
vecgame train --preset quick                    a decent agent on a laptop in minutes
vecgame train --preset evening                  a strong one for 1 to 13 cards in some hours, or minutes of a GPU
vecgame train --learner policy-gradient         without search in learning, or with --learner search without the other
vecgame train --preset quick --game hearts      the same for Hearts; spades, whist, euchre
vecgame train --resume runs/NAME                goes on with a run
torchrun --nproc-per-node=2 -m veclab train --run-folder runs/NAME    several processes, one run
"""

import argparse
import os
import time
from dataclasses import asdict
from pathlib import Path

from veclab.agents.folder import holds_run, read_config
from veclab.command_line import A_RUN, STOPPED, WRONG, ends_in_one_line, parser_of, run_or_network
from veclab.going_on import for_restart, for_resume
from veclab.presets import PRESETS, from_flags
from veclab.progress import add_display_flags, display_of, silent
from veclab.setting_flags import add_flags, own_and_settings
from veclab.settings import Settings
from veclab.training.distributed import ALONE, Group, LeaderError, process_group, share_cores
from veclab.training.run import Run

ABOUT_PRESETS = (
    "settings to begin with, shown below as the defaults; document: the workload of the specification that this "
    "project was written to, by whose figures docs/performance.md measures it; quick: minutes on a laptop; evening: "
    "hours (default: document)"
)


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, object]]:
    """Flags of the command itself, and the settings that were given."""
    parser = parser_of("train", __doc__)
    parser.usage = "%(prog)s [--preset NAME | --resume RUN] [FLAG ..]"  # of so many, a list would be a page
    run = parser.add_argument_group("run")
    run.add_argument("--preset", choices=tuple(PRESETS), default="document", help=ABOUT_PRESETS)
    run.add_argument(
        "--run",
        "--run-folder",  # torchrun takes --run for its own --run-path, even after train.py
        type=Path,
        help="folder of the new run (default: runs/ and the time)",
    )
    run.add_argument("--resume", type=run_or_network, metavar="RUN", help=f"go on with the run in {A_RUN}")
    run.add_argument(
        "--resume-if-exists",
        action="store_true",
        help="go on with the run in the folder of --run if there is one: the same command begins and restarts a run",
    )
    add_display_flags(parser)
    add_flags(parser, preset=_preset_of(arguments))
    return own_and_settings(parser, arguments)


def _preset_of(arguments: list[str] | None) -> str:
    """The preset whose settings help shows; what is wrong with the flags is said by the whole parser."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="document")
    try:
        return parser.parse_known_args(arguments)[0].preset
    except argparse.ArgumentError:
        return "document"


def plan(own: argparse.Namespace, given: dict[str, object]) -> dict[str, object]:
    """What the flags ask for: the run's folder, its settings, and whether to go on with it."""
    if own.resume is not None:
        if own.run is not None or own.preset != "document" or own.resume_if_exists:
            raise ValueError(
                "--resume takes the run's own folder and settings; leave --run and --preset out, "
                "and --resume-if-exists too"
            )
        settings = for_resume(read_config(own.resume), given)
        return {"folder": str(own.resume), "settings": asdict(settings), "resume": True}
    if own.resume_if_exists and own.run is None:
        raise ValueError("--resume-if-exists needs --run FOLDER, to find the run again")
    if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) and not own.resume_if_exists:
        raise ValueError(
            "torchrun restarts this job (--max-restarts): give --run-folder FOLDER --resume-if-exists, or "
            "--resume FOLDER, so that it finds its run again"
        )
    folder = own.run or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    resume = own.resume_if_exists and holds_run(folder)
    settings = for_restart(read_config(folder), own.preset, given) if resume else from_flags(own.preset, given)
    return {"folder": str(folder), "settings": asdict(settings), "resume": resume}


def open_run(own: argparse.Namespace, given: dict[str, object], group: Group) -> Run:
    """The run that the flags ask for; those of the leader count."""
    planned = group.from_leader(lambda: plan(own, given))
    opened = Run.resume if planned["resume"] else Run.create
    display = display_of(own) if group.leader else silent()
    return opened(Path(planned["folder"]), Settings(**planned["settings"]), display, group)


@ends_in_one_line(needs_less="a smaller --chunk-games, --update-games, --batch-size or --replay-examples")
def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    own, given = parse(arguments)
    share_cores()
    group, run = ALONE, None
    try:
        with process_group() as group:
            run = open_run(own, given, group)
            finished = run.train()
    except LeaderError:
        return WRONG  # the leader has said why
    except Exception as error:
        error.add_note(group.label)
        raise
    except KeyboardInterrupt as stop:
        begun = run is not None or own.resume is not None or (own.run is not None and holds_run(own.run))
        what = str(stop) or ("the run goes on from its last checkpoint" if begun else "no run was begun")
        raise KeyboardInterrupt(f"stopped at once{group.label}; {what}") from None
    return STOPPED if finished is None else 0

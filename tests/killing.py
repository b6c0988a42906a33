"""Processes of train.py that kill themselves at a moment that is aimed at."""

import io
import json
import os
import signal
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vecgame.tricks import TrickGame
from veclab.training import command as train
from veclab.training import imitation, judge, metrics, policy_gradient
from veclab.training import run as run_at_work
from veclab.training.learner import Learner

AT_ONCE = 8  # games that are imitated between two points where a run can be saved, not a process's 2,048
# Where kills are aimed: within which function, as its caller knows it, and at the calls of which other function in it.
PHASES = {
    "imitation": ((imitation, "learn"), (Learner, "step_on")),
    "the play of an update": ((policy_gradient, "play"), (TrickGame, "step")),
    "an update": ((policy_gradient, "update"), (Learner, "step_on")),
    "self-play": ((run_at_work, "self_play"), (TrickGame, "step")),
    "learning": ((run_at_work, "learn"), (Learner, "step_on")),
    "the final evaluation": ((judge, "evaluate"), (TrickGame, "step")),
}
# In the order of a run, so that most hit it; what comes twice in a run is hit the first or the second time.
AIMS = ("imitation", "the play of an update", "an update", "a write", "self-play", "learning", "any time")
AIMS += ("the final evaluation",)


def shown_command_line(arguments: list[str]) -> None:
    """What a process does that somebody looks at: train.py with arguments, imitation `AT_ONCE` games at a time."""
    imitation.AT_ONCE = AT_ONCE
    sys.exit(train.main(arguments))


def command_line(arguments: list[str]) -> None:
    """What a process does: the same, shown to nobody."""
    sys.stdout = io.StringIO()
    shown_command_line(arguments)


def dying_command_line(arguments: list[str], event: int, share: float) -> None:
    """The same, killed within a write of a file: after ``share`` of its bytes, or before or after it is renamed.

    Every write syncs the file, renames it and syncs the folder, and each of the three is an event.
    """
    events = 0
    real_fsync, real_replace, real_sync = os.fsync, Path.replace, metrics.sync
    whole = False

    def count() -> bool:
        nonlocal events
        events += 1
        return events == event

    def fsync(descriptor: int) -> None:
        if count():
            if not whole and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, int(share * os.fstat(descriptor).st_size))
            os.kill(os.getpid(), signal.SIGKILL)
        real_fsync(descriptor)

    def replace(path: Path, target: Path) -> None:
        last = count()
        if last and share < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        real_replace(path, target)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    def sync(path: Path) -> None:
        nonlocal whole
        whole = True  # the lines are there already, most since the last time
        real_sync(path)
        whole = False

    os.fsync, Path.replace, metrics.sync = fsync, replace, sync
    command_line(arguments)


def counting_calls(phase: str, call: Callable[[], None]) -> None:
    """Has the function that is counted within a phase call ``call`` first."""
    (holder, name), (kind, method) = PHASES[phase]
    real, real_method, within = getattr(holder, name), getattr(kind, method), False

    def around(*arguments: object, **options: object) -> object:
        nonlocal within
        within = True
        try:
            return real(*arguments, **options)
        finally:
            within = False

    def counted(*arguments: object, **options: object) -> object:
        if within:
            call()
        return real_method(*arguments, **options)

    setattr(holder, name, around)
    setattr(kind, method, counted)


def counting_command_line(arguments: list[str], path: Path) -> None:
    """What a process does, with the calls in each phase counted: written to a file, as JSON."""
    counts = Counter()
    for phase in PHASES:
        counting_calls(phase, lambda phase=phase: counts.update([phase]))
    try:
        command_line(arguments)
    finally:
        path.write_text(json.dumps(counts))


def aimed_command_line(arguments: list[str], phase: str, event: int) -> None:
    """What a process does, killed within a phase: at the call number ``event`` that is counted there."""
    calls = 0

    def die() -> None:
        nonlocal calls
        calls += 1
        if calls == event:
            os.kill(os.getpid(), signal.SIGKILL)

    counting_calls(phase, die)
    command_line(arguments)


def evaluated_command_line(arguments: list[str], seconds: float) -> None:
    """What a process does, killed some time after an evaluation beside it has begun."""
    begin = judge.Judge._start_evaluation

    def die(*own: object) -> None:
        begin(*own)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    judge.Judge._start_evaluation = die
    command_line(arguments)

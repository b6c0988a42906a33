"""What comparisons of options have in common: runs that have gone to their end, the file that keeps them, and intervals
of a few numbers."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from veclab.arena.intervals import Interval, t_95
from veclab.progress import silent
from veclab.settings import Settings
from veclab.training.run import Run

R = TypeVar("R")  # a run and what it came to

TRIALS = (1, 4)  # updates, or iterations, of the two runs by which the time of each is told
OF_ONE_RUN = ("seed", "updates", "iterations", "initial_network")  # settings by which runs of an option may differ


def trained(folder: Path, settings: Settings) -> Run:
    """A run that has gone to its end, without anyone who looks at it.

    Raises:
        KeyboardInterrupt: when it was stopped before; a network that is half trained is no result.
    """
    run = Run.create(folder, settings, silent())
    if run.train(judge=False) is None:
        raise KeyboardInterrupt
    return run


def fitting(takes: Callable[[int], float], seconds: float) -> int:
    """How many updates, or iterations, a run has that takes about so many seconds; at least one. By what two trial runs
    take, for what comes once in each takes as long as several, after another for what comes once in a process.

    Args:
        takes: the number of them -> the seconds of a run.
    """
    takes(TRIALS[0])
    few, more = map(takes, TRIALS)
    each = (more - few) / (TRIALS[1] - TRIALS[0])
    if each <= 0:  # too short to be told from what else the machine does
        return max(1, round(seconds * TRIALS[1] / more))
    return max(1, round((seconds - few) / each + TRIALS[0]))


def shared_settings(settings: Settings) -> dict[str, object]:
    """The settings that all runs of an option have, as a JSON value: each of them, defaults too, which may change."""
    values = {name: value for name, value in asdict(settings).items() if name not in OF_ONE_RUN}
    return json.loads(json.dumps(values))  # as they are read again


def stored_runs(path: Path | None, kind: type[R], what: str) -> tuple[dict[str, object], list[R]]:
    """What a file of results holds, and its runs, each of a ``kind``; nothing where there is no file.

    Raises:
        ValueError: when the file is something else than ``what`` is written to.
    """
    if path is None or not path.exists():
        return {}, []
    try:
        stored = json.loads(path.read_text())
        return stored, [kind(**run) for run in stored["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} holds no {what}; name another --json") from None


def check_settings(path: Path, stored: dict[str, object], here: dict[str, dict[str, object] | None]) -> None:
    """Refuses to go on with runs that were made otherwise than they would be now.

    Args:
        path: of the file.
        stored: what it holds; ``settings`` has the `shared_settings` of its runs by their label.
        here: those that runs of the same labels have now; None of a label that is not known any more.

    Raises:
        ValueError: in one line.
    """
    told = stored.get("settings")
    for label, now in here.items():
        if now is None:
            raise ValueError(f"{path} has runs of {label!r}, which is no option here; name another --json")
        then = told.get(label) if isinstance(told, dict) else None
        if then is None:
            raise ValueError(f"{path} does not say by which settings {label!r} was run; name another --json")
        if different := differences(then, now):
            raise ValueError(f"{path} has runs of {label!r} by other settings: {different}; name another --json")


def differences(then: object, now: dict[str, object]) -> str:
    """What differs between a JSON object of a file and the same here, in words; nothing where they are the same."""
    then = then if isinstance(then, dict) else {}
    changed = [name for name in {**then, **now} if name not in then or name not in now or then[name] != now[name]]
    return ", ".join(f"{name} (file: {then.get(name)}, here: {now.get(name)})" for name in changed)


def half_interval(numbers: Sequence[float]) -> float:
    """Half the 95% interval of their mean (Student's t); infinite of one number."""
    if len(numbers) < 2:
        return math.inf
    return t_95(len(numbers) - 1) * statistics.stdev(numbers) / math.sqrt(len(numbers))


def interval_of_groups(samples: Tensor, group: Tensor) -> Interval:
    """The mean of samples [N] with its 95% interval where those of a group, [N] int64, such as the decisions of a game,
    depend on each other: the errors of a group are added up before they are squared, and Student's t is that of as many
    samples as there are groups; infinite of one group."""
    mean = float(samples.mean())
    names, place = group.unique(return_inverse=True)
    count = len(names)
    if count < 2:
        return Interval(mean, math.inf)
    errors = samples.new_zeros(count).index_add(0, place, samples - mean) / len(samples)
    deviation = math.sqrt(count / (count - 1) * float(errors.square().sum()))
    return Interval(mean, t_95(count - 1) * deviation)

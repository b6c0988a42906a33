"""Curves of a run while it is at work: TensorBoard event files in its folder, and a project of Weights & Biases.

Both are drawn from the entries of the metrics, which stay the truth: what a run that goes on has there and not in its
curves is added, and what was drawn beyond the checkpoint, which will be done again, is taken back.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from veclab.agents.checkpoint import write_atomically
from veclab.agents.folder import METRICS
from veclab.files import json_text, printable
from veclab.progress import Display
from veclab.settings import Settings
from veclab.training import metrics

COUNTERS = ("updates", "iteration")  # numbers of an entry that say when it was
WANDB_FILE = "wandb.json"  # which run of Weights & Biases the folder's is, and what it has been sent
EVENT_FILE = "events.out.tfevents.{stamp:010d}.{host}.{process}"

Point = tuple[int, dict[str, float]]
"""A step of the run, which counts updates and then iterations, and the values of curves there, by their names."""


def step_of(entry: metrics.Entry) -> int:
    """The step of the run that an entry is of."""
    return sum(int(entry.get(counter, 0)) for counter in COUNTERS)


def player_of(name: str, step: int) -> tuple[str, int]:
    """Name and step of a player of an evaluation at ``step``; those of the final one say which network they play."""
    if name.startswith("before training, "):
        return name.removeprefix("before training, "), 0
    return ("network alone" if name == "trained network alone" else name.removeprefix("trained, ")), step


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def points_of(entry: metrics.Entry) -> Iterator[Point]:
    """The points that an entry of the metrics adds: curves ``update/..``, ``iteration/..`` or ``evaluation/..``."""
    step, kind = step_of(entry), entry["kind"]
    for name, row in entry.get("results", {}).items():
        player, at = player_of(name, step)
        if at < step:  # "before training", known at the end: a late step makes TensorBoard forget all after it
            continue
        leads = {f"evaluation/lead over {other}, {player}": match["lead"]["mean"] for other, match in row.items()}
        yield step, {name: lead for name, lead in leads.items() if is_number(lead)}
    values = {f"{kind}/{key}": float(v) for key, v in entry.items() if is_number(v) and key not in COUNTERS}
    if values:
        yield step, values


class Drawing(Protocol):
    """Where curves are drawn."""

    def add(self, entry: metrics.Entry) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in a run's folder, one for each time that it was begun or gone on with.

    Raises:
        OSError: when they cannot be written.
        ModuleNotFoundError: where tensorboard is not installed.
    """

    def __init__(self, folder: Path, entries: Iterable[metrics.Entry]) -> None:
        # Loaded here, as it takes a second that no other command should wait for.
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2, summary_pb2
        wanted = [point for entry in entries for point in points_of(entry)]
        present = _present(folder)
        valid = {(name, step): _float32(value) for step, values in wanted for name, value in values.items()}
        stale = [step for (name, step), value in present.items() if not _same(valid.get((name, step)), value)]
        # Readers take files in the order of their names, whatever the clock says.
        stamp = max([int(time.time()), *(_stamp(path) + 1 for path in event_files(folder))])
        path = folder / EVENT_FILE.format(stamp=stamp, host=socket.gethostname(), process=os.getpid())
        self.writer = RecordWriter(path.open("xb"))
        self._write(file_version="brain.Event:2")
        latest = dict(sorted(present))  # of each curve the last step
        late = [step for name, step in valid if (name, step) not in present and step < latest.get(name, step)]
        first = min([*stale, *late], default=None)
        if first is not None:  # readers forget what they had from this step on
            self._write(step=first, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
        for step, values in wanted:
            again = first is not None and step >= first
            self._draw(step, {name: v for name, v in values.items() if again or (name, step) not in present})
        self.writer.flush()

    def add(self, entry: metrics.Entry) -> None:
        for step, values in points_of(entry):
            self._draw(step, values)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

    def _draw(self, step: int, values: dict[str, float]) -> None:
        if values:
            made = [self._summary.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
            self._write(step=step, summary=self._summary.Summary(value=made))

    def _write(self, **fields: object) -> None:
        self.writer.write(self._event.Event(wall_time=time.time(), **fields).SerializeToString())


def event_files(folder: Path) -> list[Path]:
    """A folder's event files, in the order in which readers take them."""
    return sorted(folder.glob("events.out.tfevents.*"))


def _stamp(path: Path) -> int:
    stamp = path.name.split(".")[3]
    return int(stamp) if stamp.isdecimal() else 0


def _present(folder: Path) -> dict[tuple[str, int], float]:
    """The values that a reader finds in a folder's event files, by the name of the curve and the step."""
    if not event_files(folder):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    logger = logging.getLogger("tensorboard")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of every step that was taken back
    try:
        reader.Reload()
    finally:
        logger.setLevel(level)
    return {(tag, event.step): event.value for tag in reader.Tags()[SCALARS] for event in reader.Scalars(tag)}


def _float32(value: float) -> float:
    """A value as event files hold it."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _same(first: float | None, second: float) -> bool:
    """Whether two values are equal; those that are not numbers are."""
    return first is not None and (first == second or (first != first and second != second))


class WandB:
    """A run of Weights & Biases, which nothing can be taken back from: of a step that is done again, it has the first.

    The folder keeps which run it is, and for each kind of entry the last step that was sent.

    Raises:
        ValueError: in one line, when Weights & Biases refuses the run.
    """

    def __init__(self, folder: Path, entries: Iterable[metrics.Entry], settings: Settings) -> None:
        import wandb

        self.path = folder / WANDB_FILE
        self.told = self._which(settings.wandb)
        try:
            self.run = wandb.init(
                project=settings.wandb,
                id=self.told["id"],
                name=folder.resolve().name,
                dir=str(folder),
                config=asdict(settings),
                resume="allow",
                settings=wandb.Settings(console="off"),  # the display is for people
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"--wandb {settings.wandb}: {reason}; with WANDB_MODE=offline it is kept here and sent by `wandb sync`"
            ) from None
        self.run.define_metric("*", step_metric="step")
        for entry in entries:
            self.add(entry)

    def add(self, entry: metrics.Entry) -> None:
        points = list(points_of(entry))
        kind, step = entry["kind"], step_of(entry)
        if step <= self.told["sent"].get(kind, -1):
            return
        for at, values in points:
            if values:
                self.run.log({"step": at, **values})
        self.told["sent"][kind] = step
        write_atomically(self.path, json_text(self.told).encode())

    def close(self) -> None:
        self.run.finish()

    def _which(self, project: str) -> dict[str, object]:
        """What the folder keeps: the project, the run's id there, and the last step sent of each kind of entry."""
        try:
            told = json.loads(self.path.read_text()) if self.path.is_file() else {"project": None}
            if told["project"] != project:
                return {"project": project, "id": secrets.token_hex(4), "sent": {}}
            if isinstance(told["id"], str) and all(isinstance(step, int) for step in told["sent"].values()):
                return told
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise ValueError(f"{self.path} is damaged; without it --wandb begins another run of that project")


def check(settings: Settings) -> None:
    """Raises ValueError, in one line, where the settings ask for Weights & Biases and it is not installed."""
    if settings.wandb and find_spec("wandb") is None:
        raise ValueError("--wandb needs the package wandb: pip install wandb")


class Curves:
    """All that a run draws; nothing until `open`."""

    def __init__(self) -> None:
        self.drawings: list[Drawing] = []
        self.display: Display | None = None

    def open(self, folder: Path, settings: Settings, display: Display) -> None:
        """Begins to draw what the settings ask for, with what the run's metrics have by now. Where that fails, a line
        says so, and the run goes on without those curves.

        Raises:
            ValueError: in one line, when Weights & Biases refuses the run.
        """
        self.display = display
        entries = metrics.read(folder / METRICS)
        if settings.tensorboard:
            said = f"curves: tensorboard --logdir {folder}"
            try:
                self.drawings.append(TensorBoard(folder, entries))
            except Exception as error:  # of packages that others have installed: it is no reason not to learn
                missing = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "tensorboard"
                why = ", which is not installed" if missing else f" ({_reason(error)})"
                said = f"no curves in TensorBoard{why}; the figures are in {METRICS} there"
            display.line(said)  # here, for nobody may read the output any more, which is an OSError too
        if settings.wandb:
            try:
                self.drawings.append(WandB(folder, entries, settings))
            except ValueError:
                raise
            except Exception as error:
                display.line(f"no curves in Weights & Biases ({_reason(error)}); the figures are in {METRICS} there")

    def add(self, entry: metrics.Entry) -> None:
        """Draws an entry of the metrics. Where that fails, the run goes on without those curves."""
        for drawing in tuple(self.drawings):
            try:
                drawing.add(entry)
            except Exception as error:
                self.drawings.remove(drawing)
                self.display.line(f"the curves of {type(drawing).__name__} end here: {_reason(error)}")

    def close(self) -> None:
        """Ends the drawing; what cannot be written any more is missing there, and in the metrics all the same."""
        while self.drawings:
            drawing = self.drawings.pop()
            try:
                drawing.close()
            except Exception as error:
                self.display.line(f"the curves of {type(drawing).__name__} end here: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Why a drawing has failed, in one line; a line of the program's own or the system's says it by itself."""
    said = printable(error)
    return said if isinstance(error, OSError) else f"{type(error).__name__}: {said}"

"""How a run's folder keeps it: created, gone on with, saved."""

from __future__ import annotations

import filecmp
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Self

from torch import Tensor

from veclab.agents.checkpoint import (
    load_network,
    load_tensors,
    save_network,
    save_tensors,
    write_atomically,
)
from veclab.agents.folder import (
    AHEAD,
    CHECKPOINT,
    CONFIG,
    DAMAGED,
    METRICS,
    NEWEST,
    PREVIOUS,
    RESULTS,
    as_named_today,
    holds_run,
    remove_unfinished,
)
from veclab.agents.networks import networks_beyond, newest_network, numbered, progress_of
from veclab.command_line import check_folder
from veclab.files import DamagedError, sealed
from veclab.game_flags import moved
from veclab.going_on import fixed_changes, of_saved
from veclab.lock import FolderLock
from veclab.machine import made_by
from veclab.progress import Display
from veclab.settings import Settings, check_saved
from veclab.training import curves, metrics
from veclab.training.checking import check_counters, check_state
from veclab.training.distributed import ALONE, Group
from veclab.training.imitation import Imitation
from veclab.training.state import Progress, RunState


class SavedRun(RunState):
    """Everything that a run is made of, in a folder:

    config.json          the settings, and the version and machine that wrote them last
    checkpoint.safetensors  weights, optimiser, replay buffer, counters, settings: all that it takes to go on exactly
    checkpoint-previous.safetensors  the one before it, to go on from where that is damaged
    metrics.jsonl        a line for each update of policy gradient, iteration and evaluation
    network-000000.safetensors  a network alone: the first
    network-update-NNNNNN.safetensors  those of policy gradient: one every ten times --eval-every updates, the last
    network-NNNNNN.safetensors  those after it: one every --eval-every iterations, the last
    network-newest.safetensors  that of the checkpoint, while none of these is it: the student's as long as it imitates
    network-*-ahead-N.safetensors  of work that was lost with a kill and, done again, came to something else
    results.json         the final evaluation
    events.out.tfevents.*  the metrics for TensorBoard
    lock                 names the process that works on the run, if one does

    Of several processes only the leader of their ``group`` touches the folder.
    """

    def __init__(self, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> None:
        curves.check(settings)
        super().__init__(folder, settings, display, group)
        self.curves = curves.Curves()
        self.lock: FolderLock | None = None
        self.saved_at = 0.0
        # The network that was written last, and how far the run was: as `veclab.agents.networks.progress_of` has it.
        self.network_written: tuple[Path, tuple[int, int]] | None = None

    @classmethod
    def create(cls, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> Self:
        """Begins a run in a new or empty folder."""
        run = cls(folder, settings, display, group)
        group.from_leader(run._refuse_another)
        group.from_leader(run._set_initial_weights)  # what is wrong with them leaves no folder behind
        run._open(run._begin)
        return run

    @classmethod
    def resume(cls, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> Self:
        """Goes on with the run in ``folder`` from its last checkpoint."""
        run = cls(folder, settings, display, group)
        run._open(run._restore)
        return run

    def _open(self, prepare: Callable[[], None]) -> None:
        """Takes the folder's lock, has the leader ``prepare`` the folder and the state, and shares the state out."""

        def as_leader() -> None:
            self.lock = FolderLock.take(self.folder)
            try:
                prepare()
            except BaseException:
                self.lock.release()
                raise

        self.group.from_leader(as_leader)
        self._share_out()

    def _refuse_another(self) -> None:
        check_folder("--run", self.folder)  # before anybody is imitated
        if holds_run(self.folder):
            raise ValueError(
                f"{self.folder} already holds a run; go on with it by --resume {self.folder}, or name another --run"
            )
        left = [*numbered(self.folder), *(self.folder / name for name in (NEWEST, METRICS, RESULTS))]
        if found := next((path for path in left if path.exists()), None):  # the run's would be mixed with it
            raise ValueError(
                f"{self.folder} already holds {found.name} of another run; move that away, or name another --run"
            )

    def _begin(self) -> None:
        self._refuse_another()  # that has begun since
        self._write_config()
        self._save_beginning()

    def _save_beginning(self) -> None:
        """The first save; the first network is not there before what it learns from others."""
        if self.imitation is None:
            self.save_network()
        self.save()

    def _restore(self) -> None:
        remove_unfinished(self.folder)
        saved = [self.folder / name for name in (CHECKPOINT, PREVIOUS)]
        if not any(path.exists() for path in (*saved, self.folder / METRICS)):
            self._set_initial_weights()
            self._save_beginning()  # it was stopped before its first save: begin again
        tensors, counters, before = self._read_either(*saved)
        if self.imitation is None:
            self._restore_first_network()
        self._load_state(tensors, counters)
        if self.imitation is not None:
            self.imitation.find_teachers(self.games)
        for unit, done in (("updates", self.updates), ("iterations", self.iteration)):
            if done > (steps := getattr(self.settings, unit)):
                raise ValueError(f"the run has done {done} {unit}, more than the {steps} of its settings")
            if (told := getattr(before, unit)) != steps:
                self.rates[unit] = self.rates[unit].from_here(done, told)
        if before.precision != (precision := self.settings.precision):
            self.display.line(
                f"from here on the network plays by --precision {precision}; before, by {before.precision}"
            )
        self._write_config()
        self._keep_metrics()
        self._put_aside_what_is_ahead()
        if self.imitation is not None:  # whose networks are told apart by no number of updates or iterations
            return
        with suppress(ValueError):  # there is none, or it is damaged: it will be written again
            newest = newest_network(self.folder)
            load_network(newest)
            if (far := progress_of(newest)) == (self.iteration, self.updates):
                self.network_written = newest, far

    def _put_aside_what_is_ahead(self) -> None:
        """Renames the networks of work that the checkpoint does not have, as after a kill, so that none of them is
        taken for the run's newest, or for what the run comes to now; says so."""
        ahead = networks_beyond(self.folder, self.iteration, self.updates)
        if ahead:
            self._write_network(self.folder / NEWEST)  # before, for those who read the newest one meanwhile
        for path in ahead:
            places = (path.with_name(f"{path.stem}{AHEAD}{number}{path.suffix}") for number in count(1))
            path.rename(place := next(place for place in places if not place.exists()))
            self.display.line(
                f"{path} is of work that the checkpoint does not have, and is kept as {place.name} until the run "
                "writes the same again"
            )

    def _restore_first_network(self) -> None:
        """Writes the initial network again where it is not what was written, for the last evaluation needs it."""
        path = self.network_path((0, 0))
        try:
            load_network(path)
        except ValueError as error:
            self._set_initial_weights()
            if self.imitation is not None:
                self._imitate_all(self.imitation)
            self._write_network(path)
            self.network_written = None
            self.display.line(f"{error}; it is written again from the settings")

    def _imitate_all(self, imitation: Imitation) -> None:
        """All that a run has learned from others, which it has behind it, once more: nothing of that is saved."""
        with self.display.task("games to imitate once more", self.settings.imitated_games, "games") as task:
            while not imitation.over:
                imitation.done = imitation.learn()
                task.update(imitation.done)
        self._end_imitation()

    def _read_either(self, path: Path, previous: Path) -> tuple[dict[str, Tensor], dict[str, object], Settings]:
        """The state of the last checkpoint, or where that is damaged, of the one before it, and says so.

        Returns:
            Its tensors, its counters, and the settings with which it was saved.

        Raises:
            ValueError: in one line, when neither is whole, or one is not of a run with these settings.
        """
        if not path.exists() and previous.exists():  # the process was killed between the two renames of a save
            return self._read_checkpoint(previous)
        try:
            return self._read_checkpoint(path)
        except DamagedError as damage:
            try:
                read = self._read_checkpoint(previous)
            except DamagedError as also:
                raise DamagedError(f"{damage}; nor can the run go on from the one before: {also}") from None
            path.replace(path.with_name(DAMAGED))
            self.display.line(
                f"{damage}. It is kept as {DAMAGED}; the run goes on from the checkpoint before it, {_how_far(read[1])}"
            )
            return read

    def _read_checkpoint(self, path: Path) -> tuple[dict[str, Tensor], dict[str, object], Settings]:
        """The state of a checkpoint, whose stage the run takes; see `_read_either`."""
        if not path.is_file():
            raise DamagedError(f"{path} is not a file")
        tensors, counters = load_tensors(path)
        try:
            check_counters(counters, len(self.games), self.settings.imitated_games)
            told = counters.get("settings")  # not so in checkpoints of early versions
            here = self.settings.game
            before = of_saved(moved(check_saved(as_named_today(told)), here)) if told else self.settings
        except ValueError as error:
            raise DamagedError(f"{path} is damaged: {error}") from None
        misfit = f"{path} does not fit the run's {CONFIG}"
        if changed := fixed_changes(self.settings, asdict(before)):
            listed = ", ".join(f"{flag} (config: {ours}, checkpoint: {theirs})" for flag, ours, theirs in changed)
            raise ValueError(f"{misfit}: {listed}")
        try:
            self._set_stage(counters)
            check_state(tensors, self.at_work, self.buffer, self.gate.state_dict())
        except ValueError as error:
            raise DamagedError(f"{misfit}: {error}") from None
        return tensors, counters, before

    def _keep_metrics(self) -> None:
        """Cuts the metrics back to what the state knows of; says so where there are none although there should be."""
        path = self.folder / METRICS
        if not path.exists() and self.progress > (0, 0):
            self.display.line(f"{path} is not there: the run goes on without what it told")
        metrics.check_whole(path, self.progress)
        if metrics.ends_within_a_line(path):
            self.display.line(f"the last line of {path} is not whole, and is left out")
        metrics.keep(path, self._is_done)

    def _write_config(self) -> None:
        told = {"settings": asdict(self.settings), "made_by": made_by(self.device)}
        write_atomically(self.folder / CONFIG, sealed(told))

    def save(self) -> None:
        """Writes the network and the checkpoint, once the metrics that belong to it are on the disk.

        The network comes first, as it is much the smaller: what ends the run within a checkpoint's write, as torchrun
        does with a process that is not gone 30 seconds after SIGTERM, leaves it there.
        """
        self.saved_at = time.monotonic()
        if self.group.leader:
            metrics.sync(self.folder / METRICS)
            self._write_network(self.folder / NEWEST)
            path = self.folder / CHECKPOINT
            save_tensors(path, *self._state(), previous=path.with_name(PREVIOUS))

    def save_if_due(self) -> None:
        if time.monotonic() - self.saved_at >= self.settings.checkpoint_seconds:
            self.save()

    def network_path(self, progress: Progress) -> Path:
        """The file of a network that is kept: named by its iteration, or its update before there was one."""
        updates, iteration = progress
        number = f"update-{updates:06d}" if updates and not iteration else f"{iteration:06d}"
        return self.folder / f"network-{number}.safetensors"

    def save_network(self) -> None:
        """Writes the network under the number of its update or iteration, in place of the checkpoint's."""
        if self.group.leader:
            self._write_network(self.network_path(self.progress))
            (self.folder / NEWEST).unlink(missing_ok=True)  # no newer than what has just been written

    def _write_network(self, path: Path) -> None:
        """Writes the network to ``path``, unless that file holds it already, or `NEWEST` would say it twice."""
        progress = self.iteration, self.updates
        if self.network_written is not None:
            written, then = self.network_written
            if then == progress and written.is_file() and (written == path or path.name == NEWEST):
                return
        metadata = {"iteration": self.iteration, "updates": self.updates, "games": self.identities}
        if self.imitation is not None:
            metadata["imitated"] = self.imitated
        save_network(path, self.at_work.averaged(), metadata)
        self.network_written = None if self.imitation is not None else (path, progress)
        for aside in self.folder.glob(f"{path.stem}{AHEAD}*{path.suffix}"):
            if filecmp.cmp(aside, path, shallow=False):
                aside.unlink()

    def record(self, kind: str, **numbers: object) -> None:
        """Adds a line to the metrics."""
        if self.group.leader:
            entry = {"kind": kind, "updates": self.updates, "iteration": self.iteration, **numbers}
            metrics.append(self.folder / METRICS, entry)
            self.curves.add(entry)

    def _is_done(self, entry: metrics.Entry) -> bool:
        """Whether the state has what an entry of the metrics tells of; what it has not will be done again."""
        progress = entry.get("updates", 0), entry.get("iteration", 0)
        if entry["kind"] == "final evaluation" and progress == self.progress and self.finished:
            return False
        return progress <= self.progress


def _how_far(counters: Mapping[str, object]) -> str:
    """Of a checkpoint's counters, how far the run was, in words."""
    if told := counters.get("imitation"):
        return f"after {told['games']:,} games of imitation"
    return f"at {counters['updates']:,} updates and {counters['iteration']:,} iterations"

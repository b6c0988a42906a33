"""How a training run is stopped: between steps or within one, by its user or an error, in several processes at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from veclab.agents.networks import newest_network
from veclab.command_line import HANGUP, leave_closed_terminal
from veclab.progress import Display, duration
from veclab.settings import Settings
from veclab.training.distributed import ALONE, Group, how_to_call
from veclab.training.saving import SavedRun

STEPS_PER_AGREEMENT = 8  # learning steps after which several processes ask each other whether to stop


class Interrupted(Exception):  # noqa: N818
    """The user has asked the run to stop."""


class StoppableRun(SavedRun):
    """A run that knows whether it has been asked to stop, and whether its state is one that could be saved."""

    def __init__(self, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> None:
        super().__init__(folder, settings, display, group)
        self.stopping = False
        self.whole = True  # the state is one between two steps, and so can be saved
        self.steps_checked = 0
        self.went_on = False  # it has done some of its work before this call

    def _tell_saved(self, what: str, started: float) -> None:
        """Says how to go on with the run, once it is saved, and where its network is."""
        if self.group.leader:
            self.display.line(f"{what}. {self._how_to_go_on()}", whole=True)
            self.display.line(f"{self.spent(started)}; the network: {newest_network(self.folder)}", whole=True)

    def _how_to_go_on(self) -> str:
        return f"Go on with: {how_to_call(self.group)} --resume {quote(str(self.folder))}"

    def spent(self, started: float) -> str:
        """The time since ``started`` (`time.monotonic`) in words; of a run that goes on it is not all."""
        return f"{duration(time.monotonic() - started)} {'since it went on' if self.went_on else 'in all'}"

    def _stop_at_once(self) -> str:
        """What is done and said after a second Ctrl+C, or when nobody reads the output any more. Either can come at any
        moment, and find a step half done."""
        if not self.group.leader:
            return "the first process says whether the run is saved"
        if self.whole:
            self.save()
            saved = "the run is saved"
        else:
            saved = "within a step, so the run goes on from its last checkpoint"
        return f"{saved}. {self._how_to_go_on()}; the network: {newest_network(self.folder)}"

    def _save_after_error(self, started: float) -> None:
        """Saves a run that an error ends, unless it is within a step; where that fails, the last checkpoint stands."""
        if not self.whole:
            return
        try:
            self.save()
        except (OSError, RuntimeError) as failure:
            self.display.line(f"Not saved, so the run goes on from its last checkpoint: {failure}")
        else:
            self._tell_saved("Saved", started)

    def _on_stop(self, signum: int, frame: object) -> None:
        """Ctrl+C, SIGTERM, or the end of the terminal, which comes twice: of the system and of its shell."""
        if signum == HANGUP:
            leave_closed_terminal()
        elif self.stopping:
            raise KeyboardInterrupt
        if not self.stopping:
            self.display.line("Stopping after the current step; once more to stop at once.")
        self.stopping = True

    def check(self) -> None:
        """Raises `Interrupted` once the user has asked the run to stop; called at every point where it can."""
        if self.stopping:
            raise Interrupted

    def _check_together(self) -> None:
        """As `check`, called by all processes after the same step of learning: now and then they agree on it."""
        self.steps_checked += 1
        if self.group.size == 1:
            self.check()
        elif self.steps_checked % STEPS_PER_AGREEMENT == 0 and self.group.any(self.stopping):
            raise Interrupted

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The state changes inside: what ends there, by whatever exception, leaves none that could be saved."""
        self.whole = False
        yield
        self.whole = True

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Puts the learner at work back as it was if the work inside does not come to its end, whatever the reason.

        It is the first thing that changes within `_changing`, so that the state is whole again then.
        """
        learner = self.at_work
        before = {name: tensor.detach().clone() for name, tensor in learner.state_dict().items()}
        try:
            yield
        except BaseException:
            learner.load_state_dict(before)
            learner.net.eval()
            self.whole = True
            raise

"""Has workers run parts within their times, and keeps one archive of what they find."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from veclab.bench.gpu import archive
from veclab.bench.gpu.plan import Part
from veclab.bench.gpu.process import Event, Worker, how_it_ended, last_line
from veclab.bench.gpu.summary import (
    CUT,
    DEGRADED,
    FAILED,
    NEEDS_GPU,
    NOT_RUN,
    OK,
    Outcome,
    as_json,
    exit_status,
    summary,
)
from veclab.bench.gpu.worker import LOG
from veclab.command_line import HANGUP, leave_closed_terminal, on_stop
from veclab.files import write_atomically

LEAST = 5.0  # seconds for which a part that wants more is not begun
LOADING = 180.0  # seconds that a worker may take to load PyTorch, which a new machine reads for the first time
ENDING = 1.0  # seconds that a worker without orders has to end
GRACE_WHEN_STOPPED = 8.0  # seconds that a part may take to end when the driver itself is stopped, at most
SUMMARY = "summary.txt"


class Driver:
    """One call of the script.

    Args:
        folder: for the archive and the summary.
        parts: to run, in this order.
        work: the module with their functions.
        smoke: on a CPU, as small as can be.
        seconds: for all of it.
        most: bytes of the archive.
    """

    def __init__(
        self, folder: Path, parts: Sequence[Part], work: str, smoke: bool, seconds: float, most: int = archive.MOST
    ) -> None:
        self.folder, self.work, self.smoke, self.most = folder, work, smoke, most
        self.begun = time.monotonic()
        self.deadline = self.begun + seconds
        self.outcomes = [Outcome(part) for part in parts]
        self.results = Path(tempfile.mkdtemp(prefix="gpu-all-"))
        self.worker: Worker | None = None
        self.workers = 0  # started so far
        self.facts: dict[str, object] = {}  # what a worker has said of the machine
        self.hopeless = False  # no worker has ever started
        self.stopped = ""  # the signal that has stopped the driver
        self.left_out: list[str] = []
        self.unwritten = False

    def run(self) -> int:
        """Runs the parts and returns the exit status: `summary.exit_status`, or 130 when a signal has stopped it."""
        with on_stop(self._stop):
            return self._run_all()

    def _run_all(self) -> int:
        try:
            for outcome in self.outcomes:
                self._run(outcome)
                self._say(outcome)
                self._keep()
            self._end_worker()
            print(f"\n{self._summary()}", end="", flush=True)
        finally:
            self._end_worker()
        if self.unwritten:
            print(f"what the parts have left is in {self.results}", file=sys.stderr)
            return 1
        shutil.rmtree(self.results, ignore_errors=True)
        return 130 if self.stopped else exit_status(self.outcomes)

    def _stop(self, number: int, frame: object) -> None:
        if number == HANGUP:
            leave_closed_terminal()
        self.stopped = signal.Signals(number).name

    # -- a part -------------------------------------------------------------------------------------------------------

    def _run(self, outcome: Outcome) -> None:
        """Runs a part, if it can be, and notes what has become of it."""
        part = outcome.part
        if self.smoke and part.smoke is None:
            return outcome.because(NEEDS_GPU)
        if self.stopped:
            return outcome.because(f"stopped by {self.stopped}")
        if part.fresh:
            self._end_worker()
        if self._left(part) < min(LEAST, part.seconds):
            return outcome.because("no time is left")
        if self.hopeless:
            return outcome.because("no worker could be started")
        if self.worker is None and (reason := self._start_worker()):
            self.hopeless = not self.facts  # the next one would fail alike
            outcome.state = NOT_RUN if self.stopped else FAILED
            return outcome.because(reason)
        if not self.smoke and not self.facts.get("cuda", True):
            return outcome.because("PyTorch sees no CUDA device here; --smoke is for a CPU")
        left = self._left(part)
        outcome.limit = left if part.open_ended else min(part.seconds, left)
        print(f"== {part.name}, at most {outcome.limit:.0f} s", flush=True)
        folder = self.results / part.name
        folder.mkdir()
        begun = time.monotonic()
        self.worker.order(
            work=part.work,
            commands=part.smoke if self.smoke else part.commands,
            folder=str(folder),
            device="cpu" if self.smoke else "cuda",
            tests=part.tests,
        )
        done = self._follow(outcome, begun + outcome.limit)
        outcome.seconds = time.monotonic() - begun
        self._judge(outcome, done, folder / LOG)
        if outcome.state != OK:  # an error of CUDA stays with its process, and so does a failed compile
            self._end_worker()

    def _left(self, part: Part) -> float:
        """Seconds that a part could have."""
        return self.deadline - time.monotonic() - part.grace

    def _follow(self, outcome: Outcome, deadline: float) -> Event | None:
        """Follows a part to its end: the worker's last word, or None if it has died or was killed.

        At the deadline, or when the driver is stopped, the part is interrupted, and killed when its grace is over.
        """
        grace = outcome.part.grace
        kill: float | None = None  # when, once it is interrupted
        while True:
            now = time.monotonic()
            if kill is None and (now >= deadline or self.stopped):
                grace = min(grace, GRACE_WHEN_STOPPED) if self.stopped else grace
                kill = now + grace
                outcome.state = CUT
                self.worker.interrupt()
            if kill is not None and now >= kill:
                self._end_worker(0.0)
                outcome.because(f"killed, for it did not end within {grace:g} s of being interrupted")
                return None
            until = deadline if kill is None else kill
            for event in self.worker.events(min(0.1, until - now)):
                if event["event"] == "done":
                    return event
                self._hear(outcome, event)
            if self.worker.ended:
                return None

    def _hear(self, outcome: Outcome, event: Event) -> None:
        """What a part tells while it runs."""
        if event["event"] == "row":
            if not outcome.part.tests and outcome.rows.get(event["number"]) != event["line"]:
                print(f"   {event['line']}", flush=True)
            outcome.rows[event["number"]] = event["line"]
        elif event["event"] == "headline":
            outcome.headline = event["text"]
        elif event["event"] == "degraded":
            print(f"   {event['reason']}", flush=True)
            outcome.because(event["reason"])

    def _judge(self, outcome: Outcome, done: Event | None, log: Path) -> None:
        """The part's state, from how it ended."""
        interrupted, ended = outcome.state == CUT, done and done["state"]
        if ended is None and self.worker is not None:  # it has died by itself
            outcome.state = FAILED
            outcome.because(how_it_ended(self._end_worker(2.0)))
            outcome.because(last_line(log))
        elif ended == "failed":
            outcome.state = FAILED
            outcome.reasons.insert(0, done["reason"])
        elif ended == "ok" and not (interrupted and self.stopped):  # an interrupt may be how it is meant to end
            outcome.state = DEGRADED if outcome.reasons else OK
        elif ended == "stopped" and not interrupted:
            outcome.state = FAILED
            outcome.because("it was interrupted, not by the driver")
        if interrupted and outcome.state not in (OK, DEGRADED):
            by = f"stopped by {self.stopped}" if self.stopped else "cut"
            count = f"{len(outcome.rows)} {'row' if len(outcome.rows) == 1 else 'rows'}"
            outcome.reasons.insert(0, f"{by} at {outcome.seconds:.0f} s of {outcome.limit:.0f} with {count}")

    def _say(self, outcome: Outcome) -> None:
        """How a part ended, as it ends."""
        after = f" after {outcome.seconds:.0f} s" if outcome.limit else ""
        reasons = f": {'; '.join(outcome.reasons)}" if outcome.reasons else ""
        print(f"== {outcome.part.name}: {outcome.state}{after}{reasons}", flush=True)

    # -- workers ------------------------------------------------------------------------------------------------------

    def _start_worker(self) -> str:
        """Starts a worker and waits until it is ready: nothing, or why there is none."""
        self.workers += 1
        log = self.results / f"worker-{self.workers}.txt"
        self.worker = Worker(self.work, log)
        give_up = min(time.monotonic() + LOADING, self.deadline)
        while time.monotonic() < give_up and not self.worker.ended and not self.stopped:
            for event in self.worker.events(0.1):
                self.facts = event["facts"]
                return ""
        ended = self.worker.ended
        status = self._end_worker(1.0 if ended else 0.0)
        why = how_it_ended(status) if ended else f"it took longer than {LOADING:.0f} s or all the time that is left"
        if self.stopped:
            why = f"stopped by {self.stopped}"
        return ", ".join(filter(None, (f"no worker could be started: {why}", last_line(log))))

    def _end_worker(self, seconds: float = ENDING) -> int:
        """Ends the worker, if there is one: its exit status."""
        worker, self.worker = self.worker, None
        return 0 if worker is None else worker.end(seconds)

    # -- what comes home ----------------------------------------------------------------------------------------------

    def _title(self) -> str:
        terms = [str(self.facts[name]) for name in ("device", "torch") if name in self.facts]
        where = f" on {', PyTorch '.join(terms)}" if terms else ""
        form = ", smoke test" if self.smoke else ""
        seconds = time.monotonic() - self.begun
        workers = f"{self.workers} {'worker' if self.workers == 1 else 'workers'}"
        return f"vecgame{where}{form}: {len(self.outcomes)} parts in {seconds:.0f} s by {workers}"

    def _summary(self) -> str:
        return summary(self._title(), self.outcomes, self.left_out)

    def _keep(self) -> None:
        """Writes archive and summary anew."""
        for _ in range(2):  # once more if the summary did not know yet what is left out
            texts = {SUMMARY: self._summary(), "summary.json": as_json(self._title(), self.outcomes, self.left_out)}
            data, left_out = archive.pack(self.results, texts, self.most)
            known, self.left_out = left_out == self.left_out, left_out
            if known:
                break
        try:
            write_atomically(self.folder / archive.NAME, data)
            write_atomically(self.folder / SUMMARY, texts[SUMMARY].encode())
            self.unwritten = False
        except OSError as error:  # the parts go on; what they find may fit later
            print(f"error: {error}", file=sys.stderr)
            self.unwritten = True

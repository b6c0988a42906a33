"""A training run: its folder, its state, and the loop of self-play, learning and evaluation."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from net import InferenceNet, parameter_count
from training import metrics, warmup
from training.checkpoint import (
    load_network,
    load_tensors,
    remove_temporaries,
    save_network,
    save_tensors,
    write_atomically,
)
from training.distributed import ALONE, Group
from training.evaluate import Results, choose_device
from training.folder import CHECKPOINT, CONFIG, METRICS
from training.gate import Gate
from training.judge import Judge
from training.learner import Learner, NotFiniteError, learn
from training.lock import FolderLock
from training.networks import network_config
from training.precision import check_precision, inference_net
from training.progress import Display, duration
from training.replay import Examples, ReplayBuffer
from training.selfplay import SelfPlay, largest_chunk, self_play, threads_for
from training.settings import Settings, fixed_changes
from vecgame import Blob

T = TypeVar("T")

WARMUP_INDEX = 1 << 40  # number of the first game of the warm-up; self-play counts from 0
STEPS_PER_AGREEMENT = 8  # learning steps after which several processes ask each other whether to stop


class Interrupted(Exception):  # noqa: N818
    """The user has asked the run to stop."""


class Run:
    """Everything that a run is made of, in a folder:

    config.json          the settings
    checkpoint.safetensors  weights, optimiser, replay buffer, counters, settings: all that it takes to go on exactly
    metrics.jsonl        a line for each warm-up update, iteration and evaluation
    network-*.safetensors   networks alone, one every --eval-every iterations
    results.json         the final evaluation
    lock                 names the process that works on the run, if one does

    Everything random is a function of the seed and the counters, so no generator has a state to save. Of several
    processes only the leader of their ``group`` touches the folder; all hold the same state.
    """

    def __init__(self, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> None:
        self.folder, self.settings, self.display, self.group = folder, settings, display, group
        self.device = choose_device(settings.device, group.local_rank)
        check_precision(settings.precision, self.device)
        if group.size > 1 and ":" in settings.device:
            raise ValueError(f"--device {settings.device} is one GPU; {group.size} processes take --device cuda")
        if group.size > settings.warmup_games:
            raise ValueError(
                f"{group.size} processes need at least as many --warmup-games, got {settings.warmup_games}"
            )
        if group.size > 1 and self.device.type == "cuda":
            torch.cuda.set_device(group.local_rank)
        self.games = settings.games()
        game = self.games[0]
        extras = settings.extras()
        config = network_config(settings.network, game, settings.values == 1, "tricks" in extras, "hidden" in extras)
        self.learner = Learner(settings, config, self.device, group)
        room = (game.features, game.num_actions, game.seats, extras)
        self.buffer = ReplayBuffer(settings.replay_examples, self.device, *room)
        self.gate = Gate(settings, self.learner.net, self.device)
        self.player: InferenceNet | None = None  # of self-play
        self.updates = 0  # of the warm-up, done
        self.iteration = 0  # iterations done
        # Figures of the next iteration's self-play, once its examples are in the buffer but not yet learned from.
        self.pending: dict[str, object] | None = None
        self.chunks = [self._chunk_games(game) for game in self.games]
        self.lock: FolderLock | None = None
        self.saved_at = 0.0
        self.stopping = False
        self.steps_checked = 0
        self.judge = Judge(self)

    def _chunk_games(self, game: Blob) -> int:
        """Games that self-play searches at a time. The run keeps to it, as a network's rounding, and so the choice
        between two nearly equal actions, varies with the size of its batches."""
        count = self.group.share(self.settings.games_per_iter // len(self.games))[1]
        workers = threads_for(count, self.device) * (self.group.local_size if self.device.type == "cpu" else 1)
        return largest_chunk(game, self.settings.search(self_play=True), self.device, workers)

    # -- its folder ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> Run:
        """Begins a run in a new or empty folder."""
        run = cls(folder, settings, display, group)
        group.from_leader(run._set_initial_weights)  # what is wrong with them leaves no folder behind
        run._open(run._begin)
        return run

    @classmethod
    def resume(cls, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> Run:
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
        if self.group.size > 1:
            tensors, counters = self._state()
            self._load_state(self.group.tensors_from_leader(tensors), self.group.from_leader(lambda: counters))

    def _begin(self) -> None:
        if (self.folder / CONFIG).exists():
            raise ValueError(
                f"{self.folder} already holds a run; go on with it by --resume {self.folder}, or name another --run"
            )
        self._write_config()
        self.save_network()
        self.save()

    def _set_initial_weights(self) -> None:
        if self.settings.initial_network:
            path = Path(self.settings.initial_network)
            self.learner.begin_with(load_network(path, self.device, self.settings.game))

    def _restore(self) -> None:
        remove_temporaries(self.folder)
        path = self.folder / CHECKPOINT
        if not path.exists() and not (self.folder / METRICS).exists():
            self._set_initial_weights()
            self.save_network()  # it was stopped before its first save: begin again
            self.save()
        tensors, counters = load_tensors(path)
        misfit = f"{path} does not fit the run's {CONFIG}"
        changed = fixed_changes(self.settings, counters.get("settings", {}))
        if changed:
            listed = ", ".join(f"{flag} (config: {ours}, checkpoint: {theirs})" for flag, ours, theirs in changed)
            raise ValueError(f"{misfit}: {listed}")
        try:
            self._load_state(tensors, counters)
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"{misfit}: {str(error).splitlines()[-1].strip()}") from None
        self._write_config()
        metrics.keep(self.folder / METRICS, self._is_done)

    def _write_config(self) -> None:
        write_atomically(self.folder / CONFIG, json.dumps(asdict(self.settings), indent=1).encode())

    def _state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """All that the run is: tensors, and plain values. It is a state between two steps of the loop."""
        replay = {f"replay.{name}": tensor for name, tensor in self.buffer.state_dict().items()}
        counters = {"updates": self.updates, "iteration": self.iteration, "pending": self.pending}
        counters |= {"device": self.device.type, "chunks": self.chunks, "settings": asdict(self.settings)}
        counters["gate"] = self.gate.counters()
        return self.learner.state_dict() | replay | self.gate.state_dict(), counters

    def _load_state(self, tensors: dict[str, Tensor], counters: dict[str, object]) -> None:
        replay = {name.removeprefix("replay."): t for name, t in tensors.items() if name.startswith("replay.")}
        self.learner.load_state_dict({n: t for n, t in tensors.items() if not n.startswith("replay.")})
        self.buffer.load_state_dict(replay)
        self.gate.load_state_dict(tensors, counters["gate"])
        self.updates, self.iteration, self.pending = (counters[k] for k in ("updates", "iteration", "pending"))
        if counters.get("device") == self.device.type:
            self.chunks = counters["chunks"]

    def save(self) -> None:
        """Writes the checkpoint, once the metrics that belong to it are on the disk."""
        self.saved_at = time.monotonic()
        if self.group.leader:
            metrics.sync(self.folder / METRICS)
            save_tensors(self.folder / CHECKPOINT, *self._state())

    def save_if_due(self) -> None:
        if time.monotonic() - self.saved_at >= self.settings.checkpoint_seconds:
            self.save()

    def network_path(self, iteration: int) -> Path:
        return self.folder / f"network-{iteration:06d}.safetensors"

    def save_network(self) -> None:
        if self.group.leader:
            metadata = {"iteration": self.iteration, "game": self.settings.game}
            save_network(self.network_path(self.iteration), self.learner.averaged(), metadata)

    def record(self, kind: str, **numbers: object) -> None:
        """Adds a line to the metrics."""
        if self.group.leader:
            entry = {"kind": kind, "updates": self.updates, "iteration": self.iteration, **numbers}
            metrics.append(self.folder / METRICS, entry)

    def _is_done(self, entry: metrics.Entry) -> bool:
        """Whether the state has what an entry of the metrics tells of; what it has not will be done again."""
        if entry["kind"] == "final evaluation" and entry["iteration"] == self.iteration >= self.settings.iterations:
            return False
        return (entry["updates"], entry["iteration"]) <= (self.updates, self.iteration)

    # -- its loop -----------------------------------------------------------------------------------------------------

    def train(self, judge: bool = True) -> Results | None:
        """Runs to the last iteration and the final evaluation; None when the user stopped it before.

        Args:
            judge: whether there is a final evaluation; without one the results are empty.
        """
        previous = {number: signal.signal(number, self._on_interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        started = time.monotonic()
        self._describe()
        try:
            self.judge.find_due()
            while self.updates < self.settings.warmup_updates:
                self._warm_up()
            self.save_if_due()
            first, begun = self.iteration, time.monotonic()
            while self.iteration < self.settings.iterations:
                self._iterate()
                left = (
                    (time.monotonic() - begun) / (self.iteration - first) * (self.settings.iterations - self.iteration)
                )
                self.display.run_left = f"run: {duration(left)} left"
                self.judge.after_iteration()
            self.display.run_left = ""
            self.save()
            self.save_network()
            if not self.group.leader:
                return {}
            self.judge.collect(wait=True)
            return self.judge.finish(started) if judge else {}
        except Interrupted:
            self.save()
            self.display.line(f"Stopped and saved. Go on with: python train.py --resume {self.folder}")
            return None
        except NotFiniteError as error:
            self.save()
            step = "the warm-up" if self.updates < self.settings.warmup_updates else f"iteration {self.iteration + 1}"
            raise NotFiniteError(f"in {step} {error}; the run is saved in {self.folder} as it was before") from None
        finally:
            self.judge.stop()
            if self.lock is not None:
                self.lock.release()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_interrupt(self, signum: int, frame: object) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        self.display.line("Stopping after the current step; once more to stop at once.")

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
    def _all_or_nothing(self) -> Iterator[None]:
        """Puts the learner back as it was if the work inside is interrupted or comes to nothing."""
        before = {name: tensor.detach().clone() for name, tensor in self.learner.state_dict().items()}
        try:
            yield
        except (Interrupted, NotFiniteError):
            self.learner.load_state_dict(before)
            raise

    def _seed(self, purpose: int) -> int:
        """A seed for the learner's order of examples, another for every step of the run."""
        return (self.settings.seed * 1_000_003 + 2 * (self.updates + self.iteration) + purpose) % 2**63

    def _describe(self) -> None:
        settings, net = self.settings, self.learner.net
        self.display.line(
            f"{self.folder}: {settings.describe()}, search of {settings.worlds} worlds x "
            f"{settings.simulations} simulations, network {settings.network} ({parameter_count(net):,} parameters) "
            f"on {self.device} in {str(self.learner.amp).removeprefix('torch.')}, PyTorch {torch.__version__}"
        )

    def _warm_up(self) -> None:
        """Updates of the warm-up, as many as are left."""
        settings = self.settings
        network = InferenceNet(self.learner.net, dtype=torch.float32)
        with self.display.task("warm-up", settings.warmup_updates - self.updates, "updates") as task:
            first = self.updates
            while self.updates < settings.warmup_updates:
                begun = time.monotonic()
                network.refresh(self.learner.net)
                self.learner.set_rate(self.updates / settings.warmup_updates)
                game = self.games[self.updates % len(self.games)]
                start, count = self.group.share(settings.warmup_games)
                index = WARMUP_INDEX + self.updates * settings.warmup_games + start
                rollout = warmup.play(
                    game,
                    network,
                    count,
                    settings.seed,
                    index,
                    self.device,
                    self.learner.symmetry,
                    settings.extras(),
                ).gather(self.group)
                self._check_together()
                with self._all_or_nothing():
                    numbers = warmup.update(
                        self.learner, rollout, settings.warmup_entropy, self._seed(0), self._check_together
                    )
                self.updates += 1
                self.record("warm-up", seconds=time.monotonic() - begun, **numbers)
                task.update(self.updates - first, games=(self.updates - first) * settings.warmup_games)
                self.save_if_due()
        self.display.line(
            f"warm-up: {self.updates} updates of {settings.warmup_games:,} games without search, "
            f"{numbers['score']:.2f} points a game against itself"
        )

    def _iterate(self) -> None:
        """Self-play, then learning."""
        if self.pending is None:
            self.pending = self._self_play()
            self.save_if_due()
        entry = self.pending | self._learn(self.pending["examples"])
        self.iteration += 1
        self.pending = None
        self.record("iteration", **entry)
        self.save_if_due()
        self.display.line(
            f"iteration {self.iteration} of {self.settings.iterations}: "
            f"{entry['games_per_minute']:,.0f} games/min, {entry['evaluations_per_second']:,.0f} evaluations/s, "
            f"{entry['examples_per_second']:,.0f} examples/s, policy loss {entry['policy_loss']:.3f}, "
            f"value loss {entry['value_loss']:.4f}" + (f", {self.display.run_left}" if self.display.run_left else "")
        )

    def _self_play(self) -> dict[str, object]:
        """Plays the iteration's games, shared out among the processes, and puts their examples into the buffer."""
        begun = time.monotonic()
        stopped, shares = False, []
        try:
            shares = self._play_share(self._player())
        except Interrupted:
            stopped = True
        if self.group.any(stopped):
            raise Interrupted
        played = [part for part in (share.gather(self.group) for share in shares) if len(part.scores)]
        finished, evaluations = self.settings.games_per_iter, sum(part.evaluations for part in played)
        seconds = time.monotonic() - begun
        examples = Examples.concatenate([part.examples for part in played])
        self.buffer.add(examples)
        weights = [len(part.scores) / finished for part in played]
        bids = {}  # there are games without
        if played[0].bids_met is not None:
            bids["bids_met"] = sum(w * part.bids_met for w, part in zip(weights, played, strict=True))
        return {
            **self.gate.figures,
            **bids,
            "games": finished,
            "examples": len(examples),
            "evaluations": evaluations,
            "self_play_seconds": seconds,
            "games_per_minute": 60 * finished / seconds,
            "evaluations_per_second": evaluations / seconds,
            "score": sum(w * float(part.scores.mean()) for w, part in zip(weights, played, strict=True)),
            "policy_entropy": sum(w * part.policy_entropy for w, part in zip(weights, played, strict=True)),
            "prior_divergence": sum(w * part.prior_divergence for w, part in zip(weights, played, strict=True)),
        }

    def _player(self) -> InferenceNet:
        """What plays self-play: the same object with other weights each time, for which graphs may be recorded."""
        net = self.gate.choose(self.learner.net, self.iteration, self.games, self.display, self.check, self._by_leader)
        if self.player is None:
            self.player = inference_net(net, self.settings.precision, self.games, self.settings.compile)
        else:
            self.player.refresh(net)
        return self.player

    def _by_leader(self, make: Callable[[], T]) -> T:
        """What the leader makes, plain JSON, for all processes; if it is interrupted, all are."""

        def attempt() -> dict[str, T]:
            try:
                return {"made": make()}
            except Interrupted:
                return {}

        answer = self.group.from_leader(attempt)
        if "made" not in answer:
            raise Interrupted
        return answer["made"]

    def _play_share(self, network: InferenceNet) -> list[SelfPlay]:
        """This process's games of the iteration: a part for each of the rules that it mixes."""
        settings, group = self.settings, self.group
        parts: list[SelfPlay] = []
        counts = [
            settings.games_per_iter // len(self.games) + (number < settings.games_per_iter % len(self.games))
            for number in range(len(self.games))
        ]
        total = sum(group.share(count)[1] for count in counts)
        first = self.iteration * settings.games_per_iter
        finished = evaluations = 0
        with self.display.task(f"self-play {self.iteration + 1}{group.label}", total, "games") as task:

            def report(done: float, judged: int) -> None:
                self.check()
                task.update(finished + done, evaluations=evaluations + judged)

            for game, count, chunk in zip(self.games, counts, self.chunks, strict=True):
                start, number = group.share(count)
                if number == 0:
                    parts.append(SelfPlay.nothing(game, self.device, settings.extras()))
                else:
                    part = self_play(
                        game,
                        network,
                        settings.search(self_play=True),
                        number,
                        settings.seed,
                        first + start,
                        self.device,
                        settings.sampled_share,
                        settings.policy_target,
                        settings.chunk_games or chunk,
                        settings.compile,
                        report=report,
                        cap=settings.playout_cap(),
                        extras=settings.extras(),
                    )
                    parts.append(part)
                    finished += number
                    evaluations += part.evaluations
                first += count
        return parts

    def _learn(self, new_examples: int) -> dict[str, object]:
        """Learns from the buffer, as much as so many new examples call for."""
        settings = self.settings
        begun = time.monotonic()
        self.learner.set_rate(self.iteration / settings.iterations)
        total = settings.epochs * min(new_examples, len(self.buffer))
        with self.display.task(f"learning {self.iteration + 1}", total, "examples") as task, self._all_or_nothing():

            def report(done: int, total: int) -> None:
                self._check_together()
                task.update(done, examples=done)

            numbers = learn(self.learner, self.buffer, new_examples, self._seed(1), report)
        seconds = time.monotonic() - begun
        return {**numbers, "learn_seconds": seconds, "examples_per_second": numbers["examples_learned"] / seconds}

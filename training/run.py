"""A training run: its folder, its state, and the loop of self-play, learning and evaluation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch

from net import PRESETS as NETWORKS
from net import InferenceNet, parameter_count
from training import warmup
from training.arena import seatings_of
from training.bots import NetworkPlayer, SearchPlayer
from training.checkpoint import load_network, load_tensors, save_network, save_tensors, write_atomically
from training.evaluate import Results, bots, choose_device, evaluate, results_json, results_table
from training.gate import Gate
from training.learner import Learner, learn
from training.precision import check_precision, inference_net
from training.progress import Display, duration
from training.replay import Examples, ReplayBuffer
from training.selfplay import SelfPlay, self_play
from training.settings import Settings

CHECKPOINT, CONFIG, METRICS, RESULTS = "checkpoint.safetensors", "config.json", "metrics.jsonl", "results.json"
WARMUP_INDEX = 1 << 40  # number of the first game of the warm-up; self-play counts from 0


def read_config(folder: Path) -> dict[str, object]:
    """The settings that a run's folder holds, or a ValueError in one line."""
    try:
        return json.loads((folder / CONFIG).read_text())
    except OSError:
        raise ValueError(f"{folder} holds no run: it has no {CONFIG}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from None


class Interrupted(Exception):  # noqa: N818
    """The user has asked the run to stop."""


class Run:
    """Everything that a run is made of, in a folder:

    config.json          the settings
    checkpoint.safetensors  weights, optimiser, replay buffer and counters: all that it takes to go on exactly
    metrics.jsonl        a line for each warm-up update, iteration and evaluation
    network-*.safetensors   networks alone, one every --eval-every iterations
    results.json         the final evaluation
    """

    def __init__(self, folder: Path, settings: Settings, display: Display) -> None:
        self.folder, self.settings, self.display = folder, settings, display
        self.device = choose_device(settings.device)
        check_precision(settings.precision, self.device)
        self.games = settings.games()
        game = self.games[0]
        sizes = {"observation": game.features, "actions": game.num_actions, "values": settings.values}
        self.learner = Learner(settings, replace(NETWORKS[settings.network], **sizes), self.device)
        self.buffer = ReplayBuffer(settings.replay_examples, self.device, game.features, game.num_actions)
        self.gate = Gate(settings, self.learner.net, self.device)
        self.updates = 0  # of the warm-up, done
        self.iteration = 0  # iterations done
        # Figures of the next iteration's self-play, once its examples are in the buffer but not yet learned from.
        self.pending: dict[str, object] | None = None
        self.saved_at = 0.0
        self.stopping = False
        self.evaluation: _BackgroundEvaluation | None = None

    # -- its folder ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, settings: Settings, display: Display) -> Run:
        """Begins a run in a new or empty folder."""
        if (folder / CONFIG).exists():
            raise ValueError(f"{folder} already holds a run; go on with it by --resume {folder}, or name another --run")
        run = cls(folder, settings, display)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CONFIG, json.dumps(asdict(settings), indent=1).encode())
        run.save_network()
        run.save()
        return run

    @classmethod
    def resume(cls, folder: Path, settings: Settings, display: Display) -> Run:
        """Goes on with the run in ``folder`` from its last checkpoint."""
        run = cls(folder, settings, display)
        tensors, metadata = load_tensors(folder / CHECKPOINT)
        replay = {name.removeprefix("replay."): t for name, t in tensors.items() if name.startswith("replay.")}
        try:
            run.learner.load_state_dict({n: t for n, t in tensors.items() if not n.startswith("replay.")})
            run.buffer.load_state_dict(replay)
            run.updates, run.iteration, run.pending = (metadata[k] for k in ("updates", "iteration", "pending"))
            run.gate.load_state_dict(tensors, metadata.get("gate", run.gate.counters()))
        except (RuntimeError, KeyError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"{folder / CHECKPOINT} does not fit the run's config.json: {reason}") from None
        write_atomically(folder / CONFIG, json.dumps(asdict(settings), indent=1).encode())
        run._forget_later_metrics()
        return run

    def save(self) -> None:
        """Writes the checkpoint. What it holds is the state between two steps of the loop, never in the middle."""
        tensors = self.learner.state_dict()
        tensors |= {f"replay.{name}": tensor for name, tensor in self.buffer.state_dict().items()}
        tensors |= self.gate.state_dict()
        counters = {"updates": self.updates, "iteration": self.iteration, "pending": self.pending}
        counters["gate"] = self.gate.counters()
        save_tensors(self.folder / CHECKPOINT, tensors, counters)
        self.saved_at = time.monotonic()

    def save_if_due(self) -> None:
        if time.monotonic() - self.saved_at >= self.settings.checkpoint_seconds:
            self.save()

    def network_path(self, iteration: int) -> Path:
        return self.folder / f"network-{iteration:06d}.safetensors"

    def save_network(self) -> None:
        metadata = {"iteration": self.iteration, "game": self.settings.game}
        save_network(self.network_path(self.iteration), self.learner.net, metadata)

    def record(self, kind: str, **numbers: object) -> None:
        """Adds a line to the metrics."""
        entry = {"kind": kind, "updates": self.updates, "iteration": self.iteration, **numbers}
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _forget_later_metrics(self) -> None:
        """Drops the metrics of work that the checkpoint does not know of: it will be done again."""
        path = self.folder / METRICS
        if not path.exists():
            return
        kept = []
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # a line that was being written when the machine stopped
            if (entry["updates"], entry["iteration"]) <= (self.updates, self.iteration):
                kept.append(line + "\n")
        write_atomically(path, "".join(kept).encode())

    # -- its loop -----------------------------------------------------------------------------------------------------

    def train(self) -> Results | None:
        """Runs to the last iteration and the final evaluation; None when the user stopped it before."""
        previous = signal.signal(signal.SIGINT, self._on_interrupt)
        started = time.monotonic()
        self._describe()
        try:
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
                self._evaluate_in_background()
            self.display.run_left = ""
            self.save()
            self.save_network()
            self._collect_evaluation(wait=True)
            return self._final_evaluation(started)
        except Interrupted:
            self.save()
            self.display.line(f"Stopped and saved. Go on with: python train.py --resume {self.folder}")
            return None
        finally:
            if self.evaluation is not None:
                self.evaluation.stop()
            signal.signal(signal.SIGINT, previous)

    def _on_interrupt(self, signum: int, frame: object) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        self.display.line("Stopping after the current step; once more to stop at once.")

    def _check(self) -> None:
        if self.stopping:
            raise Interrupted

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Puts the learner back as it was if the work inside is interrupted."""
        before = {name: tensor.detach().clone() for name, tensor in self.learner.state_dict().items()}
        try:
            yield
        except Interrupted:
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
                index = WARMUP_INDEX + self.updates * settings.warmup_games
                rollout = warmup.play(game, network, settings.warmup_games, settings.seed, index, self.device)
                self._check()
                with self._all_or_nothing():
                    numbers = warmup.update(self.learner, rollout, settings.warmup_entropy, self._seed(0), self._check)
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
        """Plays the iteration's games and puts their examples into the buffer."""
        settings = self.settings
        chosen = self.gate.choose(self.learner.net, self.iteration, self.games, self.display, self._check)
        network = inference_net(chosen, settings.precision, self.games)
        begun = time.monotonic()
        played: list[SelfPlay] = []
        first = self.iteration * settings.games_per_iter
        finished = evaluations = 0
        with self.display.task(f"self-play {self.iteration + 1}", settings.games_per_iter, "games") as task:

            def report(done: float, judged: int) -> None:
                self._check()
                task.update(finished + done, evaluations=evaluations + judged)

            for number, game in enumerate(self.games):
                count = settings.games_per_iter // len(self.games) + (
                    number < settings.games_per_iter % len(self.games)
                )
                if count == 0:
                    continue
                part = self_play(
                    game,
                    network,
                    settings.search(self_play=True),
                    count,
                    settings.seed,
                    first + finished,
                    self.device,
                    settings.sampled_share,
                    settings.policy_target,
                    settings.chunk_games,
                    settings.compile,
                    report,
                )
                played.append(part)
                finished += count
                evaluations += part.evaluations
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

    def _learn(self, new_examples: int) -> dict[str, object]:
        """Learns from the buffer, as much as so many new examples call for."""
        settings = self.settings
        begun = time.monotonic()
        self.learner.set_rate(self.iteration / settings.iterations)
        total = settings.epochs * min(new_examples, len(self.buffer))
        with self.display.task(f"learning {self.iteration + 1}", total, "examples") as task, self._all_or_nothing():

            def report(done: int, total: int) -> None:
                self._check()
                task.update(done, examples=done)

            numbers = learn(self.learner, self.buffer, new_examples, self._seed(1), report)
        seconds = time.monotonic() - begun
        return {**numbers, "learn_seconds": seconds, "examples_per_second": numbers["examples_learned"] / seconds}

    # -- its strength -------------------------------------------------------------------------------------------------

    def _evaluate_in_background(self) -> None:
        """Every few iterations, has another process play the bots and the first network; training goes on."""
        every = self.settings.eval_every
        self._collect_evaluation(wait=False)
        if every == 0 or self.iteration % every or self.iteration == self.settings.iterations:
            return
        self.save_network()
        if self.evaluation is None:
            self.evaluation = _BackgroundEvaluation(self, self.iteration)

    def _collect_evaluation(self, wait: bool) -> None:
        while self.evaluation is not None:
            results = self.evaluation.results()
            if results is not None:
                iteration, self.evaluation = self.evaluation.iteration, None
                self.record("evaluation", of=iteration, results=results)
                searcher = list(results)[-1]
                points = [
                    f"{m['player']['mean']:.2f} : {m['opponents']['mean']:.2f} {n}"
                    for n, m in results[searcher].items()
                ]
                self.display.line(f"evaluation of iteration {iteration}, {searcher}: {', '.join(points)}")
            elif wait:
                self._check()
                time.sleep(0.2)
            else:
                return

    def _final_evaluation(self, started: float) -> Results:
        """The table of points before and after training."""
        settings = self.settings
        first = load_network(self.network_path(0), self.device, settings.game)
        before, after = (inference_net(net, settings.precision, self.games) for net in (first, self.learner.net))
        name = f"search {settings.worlds}x{settings.simulations}"
        players = [
            SearchPlayer(before, settings.search(), f"before training, {name}"),
            NetworkPlayer(after, "trained network alone"),
            SearchPlayer(after, settings.search(), f"trained, {name}"),
        ]
        results = evaluate(
            self.games,
            players,
            bots(settings.game),
            settings.eval_deals,
            settings.seed,
            self.device,
            self.display,
            self._check,
        )
        self.record("final evaluation", results=results_json(results))
        write_atomically(self.folder / RESULTS, json.dumps(results_json(results), indent=1).encode())
        seatings = seatings_of(self.games[0])
        seats = "both sides" if self.games[0].partners else "all four seats"
        count = len(seatings) * settings.eval_deals
        title = f"{count:,} games a pairing, {settings.cards} cards, each deal played from {seats}"
        self.display.console.print(results_table(results, title, seatings))
        self.display.line(
            f"{duration(time.monotonic() - started)} in all; the network: {self.network_path(self.iteration)}"
        )
        return results


class _BackgroundEvaluation:
    """`python -m training.evaluate` in a process of its own, at low priority."""

    def __init__(self, run: Run, iteration: int) -> None:
        self.iteration = iteration
        self.output = run.folder / f"evaluation-{iteration:06d}.json"
        self.output.unlink(missing_ok=True)
        settings = run.settings
        flags = {
            "game": settings.game,
            "rules": settings.rules,
            "cards": settings.cards,
            "trump": settings.trump,
            "suits": settings.suits,
            "ranks": settings.ranks,
            "worlds": settings.worlds,
            "simulations": settings.simulations,
            "c-puct": settings.c_puct,
            "eval-deals": settings.eval_deals,
            "precision": settings.precision,
            "seed": settings.seed,
            "device": str(run.device),
        }
        command = [sys.executable, "-m", "training.evaluate", str(run.network_path(iteration))]
        command += ["--against", str(run.network_path(0)), "--json", str(self.output)]
        command += [f"--{name}={value}" for name, value in flags.items()]
        command += ["--hook" if settings.hook else "--no-hook"]
        self.log = (run.folder / "evaluation.log").open("ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,  # Ctrl+C is the training's to handle
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, 15)

    def results(self) -> dict[str, dict[str, dict[str, dict[str, float]]]] | None:
        """What it found, {} when it failed (its log says why), None while it is at work."""
        if self.process.poll() is None:
            return None
        self.log.close()
        if self.process.returncode != 0:
            raise ValueError(f"the evaluation of iteration {self.iteration} failed; see {self.log.name}")
        return json.loads(self.output.read_text())

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.log.close()

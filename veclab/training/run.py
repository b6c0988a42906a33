"""A training run at work: the loop of self-play, learning and evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from net import InferenceNet
from vecgame import identity
from veclab.agents.folder import UPDATE
from veclab.arena.evaluate import Results
from veclab.command_line import on_stop
from veclab.precision import inference_net
from veclab.progress import Display, duration
from veclab.settings import CFR, NEURD, PPO, RULE_PLAYERS, Settings
from veclab.shares import shares_in_turn
from veclab.training import all_actions, equilibrium, policy_gradient
from veclab.training.distributed import ALONE, Group
from veclab.training.drawing import Played
from veclab.training.heading import heading
from veclab.training.imitation import Imitation
from veclab.training.judge import Judge
from veclab.training.learner import learn
from veclab.training.mixing import shared_out
from veclab.training.replay import Examples
from veclab.training.selfplay import SelfPlay, self_play
from veclab.training.signs import Signs, spread_of
from veclab.training.steps import NotFiniteError
from veclab.training.stopping import Interrupted, StoppableRun

T = TypeVar("T")

RULES = {PPO: policy_gradient, NEURD: all_actions, CFR: equilibrium}
UPDATES_INDEX = 1 << 40  # number of the first game of policy gradient; searched self-play counts from 0


class Run(StoppableRun):
    """A run at work: it plays, learns, and has its networks evaluated.

    Everything random is a function of the seed and the counters. Several processes take the same steps.
    """

    def __init__(self, folder: Path, settings: Settings, display: Display, group: Group = ALONE) -> None:
        super().__init__(folder, settings, display, group)
        self.player: InferenceNet | None = None  # of self-play
        self.judge = Judge(self, lambda: self.check())
        self.signs = Signs(display)

    def train(self, judge: bool = True) -> Results | None:
        """Runs to the last iteration and the final evaluation; None when the user stopped it before.

        Args:
            judge: whether people look at the run: there are curves and a final evaluation; else the results are empty.
        """
        with on_stop(self._on_stop):
            return self._train(judge)

    def _train(self, judge: bool) -> Results | None:
        started = time.monotonic()
        self.went_on = max(self.imitated, self.updates, self.iteration) > 0 or self.pending is not None
        self._describe()
        try:
            if judge:
                self.group.from_leader(lambda: self.curves.open(self.folder, self.settings, self.display))
            self._work()
            if not self.group.leader:
                return {}
            self.judge.collect(wait=True)
            return self.judge.finish(started) if judge else {}
        except Interrupted:
            try:
                self.save()
            except KeyboardInterrupt:  # the second Ctrl+C: as anywhere, what is whole is saved
                self.save()
            self._tell_saved("Stopped and saved", started)
            return None
        except NotFiniteError as error:
            self.save()
            raise NotFiniteError(
                f"in {self._next_step()} {error}; the run is saved in {self.folder} as it was before"
            ) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._stop_at_once()) from None
        except BrokenPipeError:
            raise BrokenPipeError(self._stop_at_once()) from None
        except Exception:
            self._save_after_error(started)
            raise
        finally:
            self.judge.stop()
            self.curves.close()
            if self.lock is not None:
                self.lock.release()

    def _next_step(self) -> str:
        """What comes next, in words."""
        if self.imitation is not None:
            return "imitation"
        early = self.updates < self.settings.updates
        return f"update {self.updates + 1}" if early else f"iteration {self.iteration + 1}"

    def _work(self) -> None:
        """Imitation, the updates of policy gradient and the iterations of search, as many as are left."""
        if self.imitation is not None:
            self._imitate(self.imitation)
        self.judge.find_due()
        if self.updates < self.settings.updates:
            self._policy_gradient()
        if self.iteration == 0:
            self.save_network()
        self.save_if_due()
        first, begun = self.iteration, time.monotonic()
        while self.iteration < self.settings.iterations:
            self._iterate()
            left = (time.monotonic() - begun) / (self.iteration - first) * (self.settings.iterations - self.iteration)
            self.display.run_left = f"run: {duration(left)} left"
            self.judge.after_step()
        self.display.run_left = ""
        self.save_network()
        self.save()

    def _seed(self, purpose: int) -> int:
        """A seed for the learner's order of examples, another for every step of the run."""
        return (self.settings.seed * 1_000_003 + 2 * (self.updates + self.iteration) + purpose) % 2**63

    def _describe(self) -> None:
        self.display.line(heading(self.folder, self.settings, self.learner))
        try:
            identity(self.games[0])
        except ValueError as error:
            self.display.line(f"evaluations beside the run, and other commands, will not find the game: {error}")

    def _imitate(self, imitation: Imitation) -> None:
        """The games of others that are left, which make the first network. The leader learns from them, some at a time,
        and the other processes wait for it."""
        total, first = self.settings.imitated_games, imitation.done
        if first:
            self.display.line(f"imitation goes on after {first:,} of {total:,} games")
        with self.display.task("games to imitate", total - first, "games") as task:
            while not imitation.over:
                if self.group.any(self.stopping):
                    raise Interrupted
                imitation.done = self._by_leader(lambda: self._imitate_some(imitation))
                task.update(imitation.done - first)
                self.save_if_due()
        with self._changing():
            self._end_imitation()
        if imitation.buffer is not None:  # it is the leader's, of which the last games are left
            self._tell_if_collapsed(spread_of(self.learner.net, imitation.buffer.observations))
        self.save_network()
        self.save()
        self._share_out()
        by = "rule-based players" if self.settings.imitated == RULE_PLAYERS else self.settings.imitated
        self.display.line(f"begins by what {total:,} games of {by} taught it")

    def _imitate_some(self, imitation: Imitation) -> int:
        """Some games of others; returns how many are done then."""
        with self._changing():
            with self._all_or_nothing():
                done = imitation.learn(self.check)
            imitation.done = done
        return done

    def _policy_gradient(self) -> None:
        """Updates of policy gradient, as many as are left."""
        total, games = self.settings.updates, self.settings.update_games
        network = InferenceNet(self.learner.net)
        solves = self.settings.update_rule == CFR
        if solves:
            self._solve()
        with self.display.task(self._kind_of_updates, total - self.updates, "updates") as task:
            first = self.updates
            while self.updates < total:
                numbers = self._update(network)
                self._tell_if_collapsed(numbers["spread"])
                if not solves:  # where one action may well be the best nearly everywhere
                    self.signs.look_at_entropy(numbers["entropy"], self._learned)
                task.update(self.updates - first, games=(self.updates - first) * games)
                self.save_if_due()
                self.judge.after_step()
        learned = f"{self.updates:,} update{'s' * (self.updates != 1)} of {games:,} "
        learned += "decisions of the solution" if solves else "games without search"
        score = f"{numbers['score']:.2f} {self.games[0].unit} a game against itself"
        self.display.line(f"{self._kind_of_updates}: {learned}, {score}")

    @property
    def _kind_of_updates(self) -> str:
        return "equilibrium" if self.settings.update_rule == CFR else "policy gradient"

    def _solve(self) -> None:
        """Solves the games that updates learn from, the same in every process, and says how near it comes."""
        with self.display.task("solving", len(self.games), "games") as task:
            for number, game in enumerate(self.games):

                def report(done: int, share: float, number: int = number) -> None:
                    if self.group.size == 1:  # others would wait for this one
                        self.check()
                    task.update(number + share, iterations=done)

                lessons = equilibrium.lessons_of(game, self.device, report)
                if self.group.any(self.stopping):
                    raise Interrupted
                self.display.line(
                    f"{game!r} solved by {lessons.iterations:,} iterations of CFR+: a best response gains "
                    f"{lessons.gain:.4f} {game.unit} of who plays it by what a network sees"
                )

    def _update(self, network: InferenceNet) -> dict[str, float]:
        """One update: games of ``network``, which gets the learner's weights first, shared out among the processes,
        and what is learned from them. Returns the figures that the metrics have of it."""
        settings, begun = self.settings, time.monotonic()
        network.refresh(self.learner.net)
        share = self.rates["updates"].at(self.updates, settings.updates)
        self.learner.set_rate(share)
        index = UPDATES_INDEX + self.updates * settings.update_games
        symmetry, extras = self.learner.symmetry, settings.extras()
        rule = RULES[settings.update_rule]
        judged_by = {"gae_lambda": settings.gae_lambda} if settings.update_rule == PPO else {}
        parts = []
        for game, first, number in shared_out(self.games, settings.update_games, self.updates):
            start, count = self.group.share(number)
            parts.append(
                rule.play(
                    game,
                    network,
                    count,
                    settings.seed,
                    index + first + start,
                    self.device,
                    symmetry,
                    extras,
                    settings.graphs,
                    **judged_by,
                )
            )
        played = Played.concatenate(parts).gather(self.group)
        self._check_together()
        with self._changing():
            with self._all_or_nothing():
                numbers = rule.update(
                    self.learner, played, settings.entropy * share, self._seed(0), self._check_together
                )
                numbers["spread"] = spread_of(self.learner.net, played.observation)
            self.updates += 1
            self.record(UPDATE, seconds=time.monotonic() - begun, **numbers)
        return numbers

    def _tell_if_collapsed(self, spread: float | None) -> None:
        self.signs.look_at_spread(spread, self.settings.learning_rate, self._learned)

    @property
    def _learned(self) -> str:
        """What the network has learned from so far, in words."""
        counts = ((self.imitated, "imitated game"), (self.updates, "update"), (self.iteration, "iteration"))
        return " and ".join(f"{count:,} {unit}{'s' * (count != 1)}" for count, unit in counts if count)

    def _iterate(self) -> None:
        """Self-play, then learning."""
        if self.pending is None:
            self._self_play()
            self.save_if_due()
        with self._changing():
            entry = self.pending | self._learn(self.pending["examples"])
            self.iteration += 1
            self.pending = None
            self.record("iteration", **entry)
        self._tell_if_collapsed(entry["spread"])
        self.save_if_due()
        self.display.line(
            f"iteration {self.iteration} of {self.settings.iterations}: "
            f"{entry['games_per_minute']:,.0f} games/min, {entry['evaluations_per_second']:,.0f} evaluations/s, "
            f"{entry['examples_per_second']:,.0f} examples/s, policy loss {entry['policy_loss']:.3f}, "
            f"value loss {entry['value_loss']:.4f}" + (f", {self.display.run_left}" if self.display.run_left else "")
        )

    def _self_play(self) -> dict[str, object]:
        """Plays the iteration's games, shared out among the processes, and puts their examples into the buffer.

        Returns:
            The figures for the metrics, which are `pending` from then on.
        """
        stopped, shares = False, []
        try:
            player, begun = self._player(), time.monotonic()  # a gate's match is no self-play
            shares = self._play_share(player)
        except Interrupted:
            stopped = True
        if self.group.any(stopped):
            raise Interrupted
        played = [part for part in (share.gather(self.group) for share in shares) if len(part.scores)]
        finished, evaluations = self.settings.games_per_iter, sum(part.evaluations for part in played)
        seconds = time.monotonic() - begun
        examples = Examples.concatenate([part.examples for part in played])
        weights, decided = [len(part.scores) / finished for part in played], max(len(examples), 1)
        bids = {}  # there are games without
        if played[0].bids_met is not None:
            bids["bids_met"] = sum(w * part.bids_met for w, part in zip(weights, played, strict=True))
        figures = {
            **self.gate.figures,
            **bids,
            "games": finished,
            "examples": len(examples),
            "evaluations": evaluations,
            "self_play_seconds": seconds,
            "games_per_minute": 60 * finished / seconds,
            "evaluations_per_second": evaluations / seconds,
            "score": sum(w * float(part.scores.mean()) for w, part in zip(weights, played, strict=True)),
            "policy_entropy": sum(len(part.examples) * part.policy_entropy for part in played) / decided,
            "prior_divergence": sum(len(part.examples) * part.prior_divergence for part in played) / decided,
        }
        with self._changing():
            self.buffer.add(examples)
            self.pending = figures
        return figures

    def _player(self) -> InferenceNet:
        """What plays self-play: the same object with other weights each time, for which graphs may be recorded."""
        net = self.gate.choose(
            self.learner.net,
            self.iteration,
            self.games,
            self.display,
            self.check,
            self._by_leader,
            self._changing,
        )
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
        counts = shares_in_turn(settings.games_per_iter, len(self.games), self.iteration)
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
                        report=report,
                        cap=settings.playout_cap(),
                        extras=settings.extras(),
                        graphs=settings.graphs,
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
        self.learner.set_rate(self.rates["iterations"].at(self.iteration, settings.iterations))
        total = settings.epochs * min(new_examples, len(self.buffer))
        with self.display.task(f"learning {self.iteration + 1}", total, "examples") as task, self._all_or_nothing():

            def report(done: int, total: int) -> None:
                self._check_together()
                task.update(done, examples=done)

            numbers = learn(self.learner, self.buffer, new_examples, self._seed(1), report)
            numbers["spread"] = spread_of(self.learner.net, self.buffer.observations)
        seconds = time.monotonic() - begun
        return {**numbers, "learn_seconds": seconds, "examples_per_second": numbers["examples_learned"] / seconds}

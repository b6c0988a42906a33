"""How strong a run's networks are: evaluations beside it while it trains, and the table at its end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from shlex import quote

from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.folder import METRICS, RESULTS
from veclab.agents.networks import numbers_of_networks
from veclab.arena.bots import NetworkPlayer
from veclab.arena.evaluate import (
    Results,
    bots,
    bots_of,
    evaluate,
    make_players,
    results_json,
    results_of,
    results_table,
    terms,
)
from veclab.arena.matches import seatings_of
from veclab.arena.programs import ending
from veclab.command_line import called
from veclab.files import is_intact, read_json, sealed
from veclab.precision import inference_net
from veclab.training import metrics
from veclab.training.background import BackgroundEvaluation
from veclab.training.distributed import how_to_call
from veclab.training.saving import SavedRun
from veclab.training.state import Progress

UPDATES_PER_ITERATION = 10  # updates of policy gradient that --eval-every counts as one iteration


class Judge:
    """Has the networks of a run evaluated, and takes the results into its metrics.

    Args:
        check: called now and then while it waits or plays; ends it by an exception.
    """

    def __init__(self, run: SavedRun, check: Callable[[], None]) -> None:
        self.run, self.check = run, check
        self.due: list[Progress] = []  # networks whose evaluation waits for its turn
        self.evaluation: BackgroundEvaluation | None = None

    def stop(self) -> None:
        """Ends the evaluation that is running; it will be found due when the run goes on."""
        if self.evaluation is not None:
            self.evaluation.stop()

    def find_due(self) -> None:
        """Evaluations that the run owed when it was stopped."""
        if not self.run.group.leader:
            return
        run = self.run
        if self._is_due(run.progress):
            run.save_network()  # it may have been stopped between the checkpoint and this
        done = {
            (entry.get("updates", 0), entry.get("iteration", 0))
            for entry in metrics.read(run.folder / METRICS)
            if entry["kind"] == "evaluation"
        }
        # The last of policy gradient and the first of search are one network in two files.
        passed = [(number, 0) if early else (run.updates, number) for early, number in numbers_of_networks(run.folder)]
        self.due = [p for p in sorted(set(passed)) if p <= run.progress and self._is_due(p) and p not in done]

    def _is_due(self, progress: Progress) -> bool:
        """Whether a network is to be evaluated beside the run; that of the last step is evaluated at its end."""
        settings, (updates, iteration) = self.run.settings, progress
        every = settings.eval_every if iteration else settings.eval_every * UPDATES_PER_ITERATION
        step = iteration or updates
        return step > 0 and every > 0 and step % every == 0 and progress < (settings.updates, settings.iterations)

    def after_step(self) -> None:
        """Every few updates or iterations, has another process play the bots and the first network; training goes on.

        One at a time: those that come due meanwhile wait in line, so that which there are does not hang on the clock.
        """
        if not self.run.group.leader:
            return
        if self._is_due(self.run.progress):
            self.run.save_network()
            self.due.append(self.run.progress)
        self.collect(wait=False)

    def collect(self, wait: bool) -> None:
        """Takes in the results that are there, and starts the next evaluation that is due."""
        while self.evaluation is not None or self.due:
            if self.evaluation is None:
                self.evaluation = self._start_evaluation(self.due.pop(0))
            if self.evaluation.running:
                if not wait:
                    return
                self.check()
                time.sleep(0.2)
            else:
                evaluation, self.evaluation = self.evaluation, None
                self._take_in(evaluation)

    def _start_evaluation(self, progress: Progress) -> BackgroundEvaluation:
        networks = (self.run.network_path(progress), self.run.network_path((0, 0)))
        return BackgroundEvaluation(self.run.folder, progress, networks, self.run.settings, self.run.device)

    def _take_in(self, evaluation: BackgroundEvaluation) -> None:
        (updates, iteration), results = evaluation.progress, evaluation.results()
        step = f"iteration {iteration}" if iteration else f"update {updates}"
        if results is None:
            self.run.display.line(f"the evaluation of {step} failed; see {evaluation.log_path}")
            return
        self.run.record("evaluation", updates=updates, iteration=iteration, results=results)
        searcher = list(results)[-1]
        points = [f"{m['player']['mean']:.2f} : {m['opponents']['mean']:.2f} {n}" for n, m in results[searcher].items()]
        self.run.display.line(f"evaluation of {step}, {searcher}: {', '.join(points)}")

    def finish(self, started: float) -> Results:
        """The table of points before and after training; ``started`` is when it began (`time.monotonic`).

        Of a run that was finished before, on these terms, it is the table of then.
        """
        run, settings = self.run, self.run.settings
        if (results := self._results_of_before()) is not None:
            run.record("final evaluation", results=results_json(results))
            run.display.line("The run was finished before; its results of then:")
            self._show(results, started)
            return results
        first = load_network(run.network_path((0, 0)), run.device, run.games[0])
        nets = (first, run.learner.averaged())
        before, after = (inference_net(net, settings.precision, run.games) for net in nets)
        way = "search" if settings.judged_by_search else "policy"
        beginner, trained = (make_players(net, [way], settings)[0] for net in (before, after))
        # The rest of a name is that of evaluations beside the run: points of one curve (`curves.player_of`).
        beginner.name, trained.name = f"before training, {beginner.name}", f"trained, {trained.name}"
        players = [beginner, NetworkPlayer(after, "trained network alone"), trained]
        opponents = bots(run.games, settings.eval_opponents)
        deals, seed = settings.eval_deals, settings.seed
        with ending(opponents):
            results = evaluate(run.games, players, opponents, deals, seed, run.device, run.display, self.check)
        run.record("final evaluation", results=results_json(results))
        stored = {**self._about(), "results": results_json(results)}
        write_atomically(run.folder / RESULTS, sealed(stored))
        self._show(results, started)
        return results

    def _results_of_before(self) -> Results | None:
        """The results that the run already has of its last network, on the terms of now."""
        try:
            stored, about = read_json(self.run.folder / RESULTS), self._about()
            earlier = {"network": about["network"], "opponents": bots_of(self.run.games)}  # versions did not say
            told = {**earlier, **stored}
            same = is_intact(stored) and all(told.get(name) == value for name, value in about.items())
            return results_of(stored["results"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # there are none, or they are damaged
            return None

    def _about(self) -> dict[str, object]:
        """What results are of, beside the run's settings."""
        updates, iteration = self.run.progress
        network = hashlib.sha256(self.run.network_path(self.run.progress).read_bytes()).hexdigest()
        steps = {"updates": updates, "iteration": iteration}
        own = {"games": self.run.identities, "opponents": self.run.opponents, "terms": self._terms()}
        if self.run.players:
            own["players"] = self.run.players
        return {**own, **steps, "network": network}

    def _terms(self) -> str:
        return terms(self.run.games[0], self.run.settings)

    def _show(self, results: Results, started: float) -> None:
        run = self.run
        game = run.games[0]
        run.display.console.print(results_table(results, self._terms(), seatings_of(game), game.unit))
        network, folder = (quote(str(path)) for path in (run.network_path(run.progress), run.folder))
        run.display.line(f"{run.spent(started)}; the network: {network}", whole=True)
        lines = (
            f"play against it: {called('play')} --agent {folder}",
            f"look at the run: vecgame report {folder}",
            f"go on with it:   {how_to_call(run.group)} --resume {folder} --iterations {2 * run.settings.iterations}",
        )
        for line in lines if run.settings.iterations else lines[:2]:
            run.display.line(line, whole=True)

"""How strong a run's networks are: evaluations beside it while it trains, and the table at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.folder import METRICS, RESULTS
from veclab.arena.bots import NetworkPlayer, search_player
from veclab.arena.evaluate import Results, bots, evaluate, results_json, results_table, terms
from veclab.arena.matches import seatings_of
from veclab.precision import inference_net
from veclab.progress import duration
from veclab.training import metrics
from veclab.training.background import BackgroundEvaluation
from veclab.training.saving import SavedRun


class Judge:
    """Has the networks of a run evaluated, and takes the results into its metrics.

    Args:
        check: called now and then while it waits or plays; ends it by an exception.
    """

    def __init__(self, run: SavedRun, check: Callable[[], None]) -> None:
        self.run, self.check = run, check
        self.due: list[int] = []  # iterations whose evaluation waits for its turn
        self.evaluation: BackgroundEvaluation | None = None

    def stop(self) -> None:
        """Ends the evaluation that is running; it will be found due when the run goes on."""
        if self.evaluation is not None:
            self.evaluation.stop()

    def find_due(self) -> None:
        """Evaluations that the run owed when it was stopped."""
        if not self.run.group.leader:
            return
        if self._is_due(self.run.iteration):
            self.run.save_network()  # it may have been stopped between the checkpoint and this
        entries = metrics.read(self.run.folder / METRICS)
        done = {entry["of"] for entry in entries if entry["kind"] == "evaluation"}
        iterations = range(1, self.run.iteration + 1)
        self.due = [i for i in iterations if self._is_due(i) and i not in done and self.run.network_path(i).exists()]

    def _is_due(self, iteration: int) -> bool:
        every = self.run.settings.eval_every
        return every > 0 and iteration > 0 and iteration % every == 0 and iteration < self.run.settings.iterations

    def after_iteration(self) -> None:
        """Every few iterations, has another process play the bots and the first network; training goes on.

        One at a time: those that come due meanwhile wait in line, so that which there are does not hang on the clock.
        """
        if not self.run.group.leader:
            return
        if self._is_due(self.run.iteration):
            self.run.save_network()
            self.due.append(self.run.iteration)
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

    def _start_evaluation(self, iteration: int) -> BackgroundEvaluation:
        networks = (self.run.network_path(iteration), self.run.network_path(0))
        return BackgroundEvaluation(self.run.folder, iteration, networks, self.run.settings, self.run.device)

    def _take_in(self, evaluation: BackgroundEvaluation) -> None:
        iteration, results = evaluation.iteration, evaluation.results()
        if results is None:
            self.run.display.line(f"the evaluation of iteration {iteration} failed; see {evaluation.log.name}")
            return
        self.run.record("evaluation", iteration=iteration, of=iteration, results=results)
        searcher = list(results)[-1]
        points = [f"{m['player']['mean']:.2f} : {m['opponents']['mean']:.2f} {n}" for n, m in results[searcher].items()]
        self.run.display.line(f"evaluation of iteration {iteration}, {searcher}: {', '.join(points)}")

    def finish(self, started: float) -> Results:
        """The table of points before and after training; ``started`` is when it began (`time.monotonic`)."""
        run, settings = self.run, self.run.settings
        first = load_network(run.network_path(0), run.device, run.games[0])
        nets = (first, run.learner.averaged())
        before, after = (inference_net(net, settings.precision, run.games) for net in nets)
        name = f"search {settings.worlds}x{settings.simulations}"
        players = [
            search_player(before, settings.search(), f"before training, {name}"),
            NetworkPlayer(after, "trained network alone"),
            search_player(after, settings.search(), f"trained, {name}"),
        ]
        results = evaluate(
            run.games,
            players,
            bots(run.games),
            settings.eval_deals,
            settings.seed,
            run.device,
            run.display,
            self.check,
        )
        run.record("final evaluation", results=results_json(results))
        write_atomically(run.folder / RESULTS, json.dumps(results_json(results), indent=1).encode())
        run.display.console.print(results_table(results, terms(run.games[0], settings), seatings_of(run.games[0])))
        run.display.line(
            f"{duration(time.monotonic() - started)} in all; the network: {run.network_path(run.iteration)}"
        )
        return results

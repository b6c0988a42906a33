"""Evaluations beside training: `python -m veclab.arena.evaluate` in a process of its own, at low priority."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from veclab.files import open_own, read_json
from veclab.presets import without_effect
from veclab.setting_flags import OF_THE_SEARCH, as_flags
from veclab.settings import Settings, players_of
from veclab.training.metrics import check_results

# The settings that say what is played, and how it is searched.
PASSED_ON = ("game", "rules", "cards", "trump", "hook", "suits", "ranks")
PASSED_ON += ("worlds", "simulations", "c_puct", "leaves_per_step", "merge_equivalent")
PASSED_ON += ("root_selection", "considered_actions", "candidates", "trust", "precision", "eval_deals", "seed")


class BackgroundEvaluation:
    """A network of a run against the bots and the run's first network.

    Args:
        folder: the run's; the result and a log are written there.
        progress: updates and iterations of the network; its file lends its name to those of the evaluation.
        networks: the network to judge, and the first one.
    """

    def __init__(
        self,
        folder: Path,
        progress: tuple[int, int],
        networks: tuple[Path, Path],
        settings: Settings,
        device: torch.device,
    ) -> None:
        self.progress = progress
        network, first = networks
        self.output = folder / f"{network.stem.replace('network', 'evaluation', 1)}.json"
        self.output.unlink(missing_ok=True)
        command = [sys.executable, "-m", "veclab.arena.evaluate", str(network), "--against", str(first)]
        command += ["--json", str(self.output), "--device", str(device), "--parent", str(os.getpid())]
        if settings.eval_opponents:
            command += ["--opponents", *players_of(settings.eval_opponents)]
        idle = without_effect(settings, PASSED_ON)  # which are refused as flags
        if not settings.judged_by_search:
            command += ["--players", "alone", "policy"]
            idle = (*idle, *OF_THE_SEARCH)
        self.log_path = folder / "evaluation.log"
        self.log = open_own(self.log_path)
        self.process = subprocess.Popen(
            [*command, *as_flags(settings, [name for name in PASSED_ON if name not in idle])],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,  # Ctrl+C is the training's to handle
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, 15)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def results(self) -> dict[str, dict[str, dict[str, dict[str, float]]]] | None:
        """What it found, once it has ended; None when it failed (its log says why)."""
        self.log.close()
        if self.process.returncode != 0:
            return None
        try:
            results = read_json(self.output).get("results")
            check_results(results)
        except (OSError, ValueError):
            return None
        return results

    def stop(self) -> None:
        """Ends it, if it is still running."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.log.close()

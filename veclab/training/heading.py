"""What a run is, in the line that it begins with."""

from __future__ import annotations

from pathlib import Path

import torch

from net import default_inference_dtype, parameter_count
from veclab.precision import is_emulated
from veclab.settings import CFR, Settings
from veclab.training.learner import Learner


def heading(folder: Path, settings: Settings, learner: Learner) -> str:
    """The game, what is learned how long, the search and the network, on what, the arithmetic of both, and on a GPU how
    steps of learning are made."""
    device, parameters = learner.device, parameter_count(learner.net)
    usual = _name_of(default_inference_dtype(device))
    searched = usual if settings.precision == "auto" else settings.precision
    if is_emulated(searched, device):
        searched += f" (for which {device} has no instructions: auto is {usual})"
    learners = " and ".join(
        f"{count:,} {step}{'s' * (count != 1)} of {kind}"
        for count, step, kind in (
            (settings.updates, "update", "an equilibrium" if settings.update_rule == CFR else "policy gradient"),
            (settings.iterations, "iteration", "search"),
        )
        if count
    )
    played = dict.fromkeys([usual] * (settings.updates > 0) + [searched] * (settings.iterations > 0))
    learned = f"{_name_of(learner.amp)}{steps_of(learner)}"
    return (
        f"{folder}: {settings.describe()}, {learners}, search of {settings.worlds} worlds x "
        f"{settings.simulations} simulations, network {settings.network} ({parameters:,} parameters) on {device}, "
        f"played in {' and, searched, in '.join(played)} and learned in {learned}, PyTorch {torch.__version__}"
    )


def steps_of(learner: Learner) -> str:
    """How steps of learning are made, as the end of a phrase: nothing on a CPU, where there is one way."""
    if learner.device.type == "cpu":
        return ""
    if learner.recorded:
        return " by CUDA graphs"
    return " without CUDA graphs" + (
        f", as {learner.group.size} processes learn together" if learner.group.size > 1 else ""
    )


def _name_of(kind: torch.dtype | str) -> str:
    return str(kind).removeprefix("torch.")

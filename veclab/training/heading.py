"""What a run is, in the line that it begins with."""

from __future__ import annotations

from pathlib import Path

import torch

from net import default_inference_dtype
from veclab.settings import Settings


def heading(folder: Path, settings: Settings, parameters: int, device: torch.device, learned: torch.dtype) -> str:
    """The game, what is learned how long, the search and the network, on what, and the arithmetic of both.

    Args:
        parameters: of the network.
        learned: the type that it learns in; what it plays in is the settings' precision, or the device's own.
    """
    played = default_inference_dtype(device) if settings.precision == "auto" else settings.precision
    learners = " and ".join(
        f"{count:,} {step}{'s' * (count != 1)} of {kind}"
        for count, step, kind in (
            (settings.updates, "update", "policy gradient"),
            (settings.iterations, "iteration", "search"),
        )
        if count
    )
    return (
        f"{folder}: {settings.describe()}, {learners}, search of {settings.worlds} worlds x "
        f"{settings.simulations} simulations, network {settings.network} ({parameters:,} parameters) on {device}, "
        f"played in {_name_of(played)} and learned in {_name_of(learned)}, PyTorch {torch.__version__}"
    )


def _name_of(kind: torch.dtype | str) -> str:
    return str(kind).removeprefix("torch.")

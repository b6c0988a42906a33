"""Leaving out lanes that need no work, where that is cheap.

On a CPU a list of the lanes that do costs nothing, and the others' work is saved. On a GPU the host would have to wait
for the list's length, so all lanes are carried along and masks keep those that need no work as they are. The results
are the same; tests hold the two ways against each other.
"""

import torch
from torch import Tensor

COMPACT = {"cpu": True, "cuda": False}


def compacts(device: torch.device) -> bool:
    """Whether lanes without work are left out on this device."""
    return COMPACT[device.type]


def working(mask: Tensor) -> Tensor:
    """The lanes to work on: those marked in ``mask`` [B] bool, or all of them where none is left out: [K] int64."""
    if compacts(mask.device):
        return mask.nonzero()[:, 0]
    return torch.arange(mask.shape[0], device=mask.device)

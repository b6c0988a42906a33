"""A policy that the learning one is held near to: an earlier one, which follows it slowly or stays as it was.

Magnetic mirror descent (Sokota et al. 2023, arXiv:2206.05825) adds a multiple of KL(policy || magnet) to the loss, the
mean over the decisions that are learned from. A magnet that follows slowly damps the circles in which players chase one
another. One that stays keeps what the first network had learned otherwise, such as by imitation, and what a policy that
still plays it badly would give up.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from net import BlobNet
from net.threads import side_by_side
from vecgame.cards import unpack_mask

ROWS = 8192  # positions judged at a time


class Magnet:
    """Begins as a copy of ``net``."""

    def __init__(self, net: BlobNet) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False).eval()

    def begin_with(self, net: BlobNet) -> None:
        """Takes the weights of ``net``."""
        self.net.load_state_dict(net.state_dict())

    @torch.no_grad()
    def follow(self, net: BlobNet, share: float) -> None:
        """Goes so large a share of the way to the weights of ``net``, from 0 to 1."""
        torch._foreach_lerp_(list(self.net.parameters()), list(net.parameters()), share)

    @torch.no_grad()
    def log_policy(self, observation: Tensor, legal: Tensor) -> Tensor:
        """The logarithm of its policy, 0 where an action is illegal: [E, actions] float32.

        Args:
            observation: [E, features], in the type that products are computed in.
            legal: [E] int64 bitboards, see `Rollout`.
        """
        device, amp = observation.device, observation.dtype

        def judged(first: int, number: int) -> Tensor:
            with torch.no_grad(), torch.autocast(device.type, amp, enabled=amp != torch.float32):
                parts = [self.net(rows)[0] for rows in observation[first : first + number].split(ROWS)]
            return torch.cat(parts).float()

        with side_by_side(device) as threads:
            logits = torch.cat(threads.map(judged, threads.split(len(observation), ROWS)))
        mask = unpack_mask(legal, logits.shape[1])
        return logits.masked_fill(~mask, -torch.inf).log_softmax(-1).masked_fill(~mask, 0.0)

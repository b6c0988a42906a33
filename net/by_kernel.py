"""The network's kernel (`net.fused`) where there is one, and what to do where there is none or it does not work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from net.blobnet import NetConfig
from net.calibration import Pairs

if TYPE_CHECKING:
    from net.fused import Eighth

log = logging.getLogger("vecgame.fallback")

COMPARED = 64  # rows, by which the kernel is compared with the operations
LARGEST_ERROR = 0.1  # of its answers, beside one more than the largest: some ten times what bfloat16 leaves


class ByKernel:
    """A network's weights as its kernel has them. Nothing of Triton is loaded before there is one of these.

    Args:
        config: the network's sizes.
        pairs: `net.inference.folded_weights`.
        critic: `net.inference.critic_weights`.
        device: a GPU that multiplies bfloat16.
        otherwise: makes ready to go on operation by operation; what is another then, as words.
        eighths: `net.fused.Eighth` of each layer's products, where they are of 8-bit floats.
    """

    def __init__(
        self,
        config: NetConfig,
        pairs: Pairs,
        critic: Pairs,
        device: torch.device,
        otherwise: Callable[[], str],
        eighths: Sequence[Eighth] = (),
    ) -> None:
        self.config, self.device, self.otherwise, self.kernel, self.left = config, device, otherwise, None, None
        self._compared = set[bool]()  # with which of the value heads, the critic or not
        if find_spec("triton") is None:
            self._leave("Triton is not installed")
            return
        from net import fused

        if (reason := fused.why_not(config)) is not None:
            self._leave(reason)
            return
        shape = fused.shape_for(torch.cuda.get_device_capability(device))
        self.kernel = fused.Fused(config, pairs, critic, device, shape, eighths)

    def load(self, pairs: Pairs, critic: Pairs, eighths: Sequence[Eighth] = ()) -> None:
        """Takes other weights of the same sizes, in the same storage, which recorded graphs may read though the kernel
        has been left since."""
        for kernel in (self.kernel, self.left):
            if kernel is not None:
                kernel.load(pairs, critic, eighths)

    @torch.no_grad()
    def __call__(
        self,
        obs: Tensor,
        hidden: Tensor | None,
        live: Tensor | None,
        operations: Callable[[Tensor, Tensor | None], Tensor],
    ) -> tuple[Tensor, Tensor] | None:
        """Evaluates B positions; None, and a line in the log, where that turns out not to work on this device.

        When it is first used and nothing is being recorded the kernel is compared with the ``operations``.

        Args:
            obs: [B, observation], any floating dtype.
            hidden: [B, critic], likewise, for the critic's values.
            live: [B] bool, the rows to evaluate, the others being 0; None for all.
            operations: what the kernel is to do, (obs, hidden) in bfloat16 -> [B, actions + values].

        Returns:
            logits [B, actions] and values [B, values], float32.
        """
        new = torch.empty if live is None else torch.zeros
        logits = new(len(obs), self.config.actions, device=self.device)
        values = new(len(obs), self.config.values, device=self.device)
        if len(obs) == 0:
            return logits, values
        obs, hidden = (None if x is None else x.float().contiguous() for x in (obs, hidden))
        try:
            self.kernel(obs, hidden, live, logits, values)
        except torch.OutOfMemoryError:
            raise  # the caller tries a smaller batch
        except Exception as error:  # whatever a missing compiler or driver makes of itself
            return self._leave((str(error) or type(error).__name__).strip().splitlines()[0])
        if (hidden is not None) not in self._compared and not torch.cuda.is_current_stream_capturing():
            some = slice(0, COMPARED)
            expected = operations(*(None if x is None else x[some].bfloat16() for x in (obs, hidden)))
            off = (torch.cat([logits[some], values[some]], dim=1) - expected).abs().amax(1)
            fits = off < LARGEST_ERROR * (1 + expected.abs().amax(1))
            if not bool(fits.all() if live is None else (fits | ~live[some]).all()):
                return self._leave("it answers otherwise than the operations")
            self._compared.add(hidden is not None)
        return logits, values

    def _leave(self, reason: str) -> None:
        """Has the network go on operation by operation, and says why in one line."""
        self.left, self.kernel = self.kernel, None  # whose weights graphs that were recorded before may still read
        log.warning("the network on %s goes on without its kernel%s: %s", self.device, self.otherwise(), reason)

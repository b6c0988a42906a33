"""The learner: network, optimiser and the loss of policy and value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from net import BlobNet, NetConfig, default_inference_dtype
from training.replay import Examples, ReplayBuffer
from training.settings import Settings

FINAL_RATE = 0.1  # share of the learning rate that is left at the end of the run


@dataclass(frozen=True)
class Losses:
    """Mean losses over some examples; tensors [] so that reading them is the caller's synchronisation."""

    policy: Tensor  # cross-entropy of the target policy, nats
    value: Tensor  # squared error of the values, summed over the seats


class Learner:
    """A `BlobNet` with its AdamW."""

    def __init__(self, settings: Settings, net_config: NetConfig, device: torch.device) -> None:
        torch.manual_seed(settings.seed)  # of the initial weights
        self.settings = settings
        self.device = device
        self.net = BlobNet(net_config).to(device)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=device.type == "cuda",
        )
        self.amp = default_inference_dtype(device)

    def set_rate(self, progress: float) -> None:
        """Sets the learning rate for a share ``progress`` of the run: a cosine from full to `FINAL_RATE`."""
        share = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * share

    def forward(self, observation: Tensor, legal_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed-precision network: [E, features], [E, actions] -> float32 log policy [E, actions], -inf where illegal,
        and values [E, values]."""
        with torch.autocast(self.device.type, self.amp, enabled=self.amp != torch.float32):
            logits, values = self.net(observation.float(), legal_mask)
        return logits.float().masked_fill(~legal_mask, -torch.inf).log_softmax(-1), values.float()

    def losses(self, batch: Examples) -> Losses:
        """Losses of a batch; a network with one value learns the mover's."""
        log_policy, values = self.forward(batch.observation, batch.legal_mask)
        # An illegal action has log probability -inf and target 0; their product must be 0, not nan.
        cross_entropy = -(batch.policy.float() * log_policy.masked_fill(~batch.legal_mask, 0.0)).sum(-1)
        error = (values - batch.value[:, : values.shape[1]]).square().sum(-1)
        return Losses(cross_entropy.mean(), error.mean())

    def step(self, loss: Tensor) -> None:
        """One step of the optimiser down ``loss`` []."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.grad_clip)
        self.optimizer.step()

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and optimiser as a flat dict of tensors."""
        tensors = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()}
        return tensors

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.net.load_state_dict(
            {name.removeprefix("net."): tensor for name, tensor in tensors.items() if name.startswith("net.")}
        )
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".", 2)
                slots.setdefault(int(index), {})[slot] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})


def learn(
    learner: Learner,
    buffer: ReplayBuffer,
    new_examples: int,
    seed: int,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """``settings.epochs`` passes, each over ``new_examples`` examples drawn without replacement from the buffer.

    So every example is learned from about ``epochs`` times before the ring drops it, whatever the ring's size.

    Args:
        seed: of the order of examples.
        report: called after every step with (examples learned from, examples in all).

    Returns:
        Mean losses over all steps, and the number of examples learned from.
    """
    settings = learner.settings
    order = torch.Generator().manual_seed(seed)
    size = min(settings.batch_size, len(buffer))
    draws = min(new_examples, len(buffer))
    total = settings.epochs * draws
    policy, value, steps, done = torch.zeros((), device=learner.device), torch.zeros((), device=learner.device), 0, 0
    learner.net.train()
    for _ in range(settings.epochs):
        drawn = torch.randperm(len(buffer), generator=order)[:draws].to(learner.device)
        for index in drawn.split(size):
            losses = learner.losses(buffer.examples.take(index))
            learner.step(losses.policy + settings.value_weight * losses.value)
            policy += losses.policy.detach()
            value += losses.value.detach()
            steps, done = steps + 1, done + len(index)
            if report is not None:
                report(done, total)
    learner.net.eval()
    steps = max(steps, 1)
    return {"policy_loss": float(policy) / steps, "value_loss": float(value) / steps, "examples_learned": done}

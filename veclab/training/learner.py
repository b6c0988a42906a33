"""The learner: network, optimiser and the loss of policy and value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from net import BlobNet, NetConfig, default_inference_dtype
from net.threads import SideBySide, side_by_side
from vecgame import Stream
from vecgame.cards import unpack
from veclab.settings import Settings
from veclab.training.distributed import ALONE, Group
from veclab.training.replay import Examples, ReplayBuffer

MAX_SKIPPED = 8  # steps in a row whose loss or gradient is not finite, after which learning gives up
# Of a batch that a thread of its own is worth. Examples/s of the small network on two cores, in parts and with each
# operation split: batches of 256 14,000 and 25,000, of 2,048 58,000 and 63,000.
ROWS_PER_THREAD = 256
STEPS_PER_LOOK = 50  # steps between two looks at that count, each of which waits for the device


class NotFiniteError(ValueError):
    """Learning cannot go on: the loss is NaN or infinite in step after step."""


@dataclass(frozen=True)
class Losses:
    """Mean losses over some examples; tensors [] so that reading them is the caller's synchronisation."""

    policy: Tensor  # cross-entropy of the target policy, nats
    value: Tensor  # squared error of the values, summed over the seats
    tricks: Tensor | None = None  # cross-entropy of the numbers of tricks, nats, mean of the seats; None without a head
    critic: Tensor | None = None  # as ``value``, of the critic; None without one

    def stacked(self) -> Tensor:
        """The losses that there are, in the order of the fields: [2] to [4]."""
        every = (self.policy, self.value, self.tricks, self.critic)
        return torch.stack([loss for loss in every if loss is not None]).detach()

    def weighted(self, settings: Settings) -> Tensor:
        """What learning minimises: []."""
        total = self.policy + settings.value_weight * self.value
        if self.tricks is not None:
            total = total + settings.tricks_weight * self.tricks
        return total if self.critic is None else total + settings.value_weight * self.critic


@dataclass(frozen=True)
class Outputs:
    """What the network says of E examples, in float32."""

    log_policy: Tensor  # [E, actions], -inf where illegal
    values: Tensor  # [E, values]
    tricks: Tensor | None  # [E, seats, tricks], logits; None without a head for them
    critic: Tensor | None  # [E, values]; None without a critic


class Learner:
    """A `BlobNet` with its AdamW and, where ``settings.average_decay`` is above 0, its averaged weights.

    ``group`` names the processes that learn together: each brings its part of every batch's loss, and all take the same
    step down the sum.
    """

    def __init__(self, settings: Settings, net_config: NetConfig, device: torch.device, group: Group = ALONE) -> None:
        torch.manual_seed(settings.seed)  # of the initial weights
        self.settings = settings
        self.device = device
        self.group = group
        self.net = BlobNet(net_config).to(device)
        self.parameters = list(self.net.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,  # the fused form can leave a step out without the host's asking, see `step`
        )
        self.amp = default_inference_dtype(device)
        # On a CPU a compiled network learned 2 to 8% faster, after a minute or more of compiling: not worth it.
        self.compute = torch.compile(self.net) if settings.compile and device.type == "cuda" else self.net
        self.symmetry = settings.suit_symmetry()
        self.steps = 0
        self.average = {name: p.detach().clone() for name, p in self.net.named_parameters() if settings.average_decay}

    def begin_with(self, net: BlobNet) -> None:
        """Takes the weights of ``net`` for the initial ones, but for heads that one of the two has not.

        Raises:
            ValueError: when it has other sizes.
        """
        ours, theirs = (replace(config, tricks=0, critic=0).to_dict() for config in (self.net.config, net.config))
        if ours != theirs:
            listed = ", ".join(
                f"{name} {theirs[name]}, not {ours[name]}" for name in ours if ours[name] != theirs[name]
            )
            raise ValueError(f"the initial network has other sizes than the run's: {listed}")
        own, given = self.net.state_dict(), net.state_dict()
        self.net.load_state_dict({name: given.get(name, tensor) for name, tensor in own.items()})
        for name, average in self.average.items():
            average.copy_(self.net.get_parameter(name).detach())

    def set_rate(self, share: float) -> None:
        """Sets the learning rate to a share of ``settings.learning_rate`` (`veclab.training.schedule`)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * share

    def forward(self, observation: Tensor, legal_mask: Tensor, hidden: Tensor | None = None) -> Outputs:
        """Mixed-precision network.

        Args:
            observation: [E, features].
            legal_mask: [E, actions].
            hidden: [E, seats - 1] int64, the hands of the seats after the mover; needed by a critic, else unused.
        """
        config = self.net.config
        asked: dict[str, object] = {"tricks": True} if config.tricks else {}
        if config.critic:
            asked["hidden"] = unpack(hidden, self.amp, config.critic // hidden.shape[1]).flatten(1)
        with torch.autocast(self.device.type, self.amp, enabled=self.amp != torch.float32):
            logits, values, *rest = (
                output.float() for output in self.compute(observation.to(self.amp), legal_mask, **asked)
            )
        tricks = rest.pop(0) if config.tricks else None
        critic = rest.pop(0) if config.critic else None
        return Outputs(logits.masked_fill(~legal_mask, -torch.inf).log_softmax(-1), values, tricks, critic)

    def losses(self, batch: Examples, total: int | None = None) -> Losses:
        """Losses of a batch; a network with one value learns the mover's.

        Args:
            total: number of examples to take the mean over; more than the batch has where it is part of a larger one.
        """
        total = total or len(batch)
        outputs = self.forward(batch.observation, batch.legal_mask, batch.hidden)
        # An illegal action has log probability -inf and target 0; their product must be 0, not nan.
        cross_entropy = -(batch.policy.float() * outputs.log_policy.masked_fill(~batch.legal_mask, 0.0)).sum(-1)
        return Losses(
            cross_entropy.sum() / total,
            value_error(outputs.values, batch.value) / total,
            None if outputs.tricks is None else tricks_error(outputs.tricks, batch.tricks) / total,
            None if outputs.critic is None else value_error(outputs.critic, batch.value) / total,
        )

    def step(self, loss: Tensor) -> Tensor:
        """One step of the optimiser down ``loss`` [], summed over the processes of the group.

        A loss or gradient that is not finite leaves weights and optimiser as they are, without a wait for the device.

        Returns:
            [] bool: whether the step was taken.
        """
        return self._descend(loss.detach(), self._gradients(loss))

    def step_on(
        self, index: Tensor, loss_of: Callable[[Tensor], tuple[Tensor, Tensor]], threads: SideBySide
    ) -> tuple[Tensor, Tensor]:
        """As `step`, down a loss that is a sum over examples, of which each thread of each process takes a part.

        Args:
            index: [E] int64, the examples, of which this process works on its own.
            loss_of: gives for some of them, [K] int64, their share of the loss [] and of some figures [F].

        Returns:
            [] bool: whether the step was taken; and [F], the figures summed over this process's examples.
        """

        own = self.group.part(index)

        def work(first: int, number: int) -> tuple[Tensor, Tensor, list[Tensor | None]]:
            loss, figures = loss_of(own[first : first + number])
            return loss.detach(), figures.detach(), self._gradients(loss)

        (loss, figures, gradients), *others = threads.map(work, threads.split(len(own), ROWS_PER_THREAD))
        for more_loss, more_figures, more in others:  # in the order of the parts: the same sum in every run
            loss, figures = loss + more_loss, figures + more_figures
            used = [(ours, theirs) for ours, theirs in zip(gradients, more, strict=True) if ours is not None]
            torch._foreach_add_(*map(list, zip(*used, strict=True)))
        return self._descend(loss, gradients), figures

    def _gradients(self, loss: Tensor) -> list[Tensor | None]:
        """Of all parameters, in their order; None of one that the loss does not depend on."""
        if self.device.type != "cpu":  # where there is one part, whose gradients may be the parameters' own
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            return [parameter.grad for parameter in self.parameters]
        return list(torch.autograd.grad(loss, self.parameters, allow_unused=True))

    def _descend(self, loss: Tensor, gradients: list[Tensor | None]) -> Tensor:
        """The step for this process's part of the loss [] and of its gradients: [] bool, whether it was taken."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        loss = self.group.sum_gradients([gradient for gradient in gradients if gradient is not None], loss)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.grad_clip)
        taken = loss.isfinite() & norm.isfinite()
        self.optimizer.found_inf = (~taken).float()  # as torch.amp.GradScaler tells a fused optimiser
        self.optimizer.step()
        self.steps += 1
        if self.average:
            # The first steps average over fewer weights, as the initial ones are worth nothing.
            decay = min(self.settings.average_decay, (1 + self.steps) / (10 + self.steps))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.values()), self.parameters, 1 - decay)
        return taken

    def averaged(self) -> BlobNet:
        """The network to play with: a copy with the averaged weights, or the network itself if they are off."""
        if not self.average:
            return self.net
        net = copy.deepcopy(self.net)
        net.load_state_dict({**net.state_dict(), **self.average})
        return net

    def state_dict(self) -> dict[str, Tensor]:
        """Weights, averaged weights, optimiser and its number of steps as a flat dict of tensors."""
        tensors = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        return {**tensors, "steps": torch.tensor(self.steps)}

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
        self.steps = int(tensors.get("steps", 0))
        for name, tensor in self.average.items():
            tensor.copy_(tensors[f"average.{name}"])


def value_error(values: Tensor, targets: Tensor) -> Tensor:
    """Squared error of values [E, values] against as many of the targets [E, seats], summed over all of them: []."""
    return (values - targets[:, : values.shape[1]]).square().sum(-1).sum()


def tricks_error(logits: Tensor, tricks: Tensor) -> Tensor:
    """Cross-entropy of E examples' numbers of tricks, mean of the seats, summed over the examples: [].

    Args:
        logits: [E, seats, tricks] float.
        tricks: [E, seats] int8.
    """
    return F.cross_entropy(logits.flatten(0, 1), tricks.long().flatten(), reduction="sum") / tricks.shape[1]


class StepCount:
    """Steps of one stretch of learning, those that were skipped counted on the device."""

    def __init__(self, device: torch.device) -> None:
        self.steps = 0
        self._row = torch.zeros((), dtype=torch.int64, device=device)  # skipped in a row, up to now
        self._longest = self._row.clone()  # such row
        self._skipped = self._row.clone()  # in all

    def add(self, taken: Tensor) -> None:
        """Counts a step that was ``taken`` [] bool or not; looks at the counts now and then."""
        self.steps += 1
        self._row = torch.where(taken, 0, self._row + 1)
        self._longest = torch.maximum(self._longest, self._row)
        self._skipped = self._skipped + ~taken
        if self.steps % STEPS_PER_LOOK == 0:
            self.skipped()

    def skipped(self) -> int:
        """Number of skipped steps; waits for the device.

        Raises:
            NotFiniteError: when `MAX_SKIPPED` in a row were skipped, or all.
        """
        longest, skipped = torch.stack([self._longest, self._skipped]).tolist()
        if longest >= MAX_SKIPPED or skipped == self.steps > 0:
            raise NotFiniteError(f"the loss or its gradient was NaN or infinite in {longest} steps in a row")
        return skipped


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
        seed: of the order of examples, and of the orders of their suits.
        report: called after every step with (examples learned from, examples in all).

    Returns:
        Mean losses over the steps taken (0 without any), the number of examples learned from, and of steps skipped.

    Raises:
        NotFiniteError: see `StepCount.skipped`.
    """
    settings, group = learner.settings, learner.group
    config = learner.net.config
    names = [
        "policy_loss",
        "value_loss",
        *["tricks_loss"] * (config.tricks > 0),
        *["critic_loss"] * (config.critic > 0),
    ]
    order = torch.Generator().manual_seed(seed)
    size = min(settings.batch_size, len(buffer))
    draws = min(new_examples, len(buffer))
    if draws == 0:  # a playout cap has left none of an iteration's few decisions
        return {**dict.fromkeys(names, 0.0), "examples_learned": 0, "skipped_steps": 0}
    total = settings.epochs * draws
    sums, done = torch.zeros(len(names), device=learner.device), 0  # of the losses over the steps taken
    count = StepCount(learner.device)
    learner.net.train()
    with side_by_side(learner.device, worth=size >= 2 * ROWS_PER_THREAD) as threads:
        for _ in range(settings.epochs):
            drawn = torch.randperm(len(buffer), generator=order)[:draws].to(learner.device)
            for index in drawn.split(size):

                def loss_of(place: Tensor, index: Tensor = index, done: int = done) -> tuple[Tensor, Tensor]:
                    """Of the batch's examples at ``place`` [K] int64."""
                    batch = buffer.examples.take(index[place])
                    if learner.symmetry is not None:
                        stream = Stream(seed, done + place, torch.zeros_like(place))
                        batch = batch.in_orders(learner.symmetry.orders(stream, batch.observation))
                    losses = learner.losses(batch, len(index))
                    return losses.weighted(settings), losses.stacked()

                taken, losses = learner.step_on(torch.arange(len(index), device=learner.device), loss_of, threads)
                sums += torch.where(taken, losses, 0)
                count.add(taken)
                done += len(index)
                if report is not None:
                    report(done, total)
    learner.net.eval()
    skipped = count.skipped()
    means = (group.sum(sums) / max(count.steps - skipped, 1)).tolist()
    return {**dict(zip(names, means, strict=True)), "examples_learned": done, "skipped_steps": skipped}

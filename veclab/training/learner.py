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
from veclab.training.magnet import Magnet
from veclab.training.replay import Examples, ReplayBuffer
from veclab.training.steps import Stretch
from vecmcts import graphs

# Of a batch that a thread of its own is worth. Examples/s of the small network on two cores, in parts and with each
# operation split: batches of 256 14,000 and 25,000, of 2,048 58,000 and 63,000.
ROWS_PER_THREAD = 256

# Steps over which the learning rate of a deep network rises to that of the schedule, for AdamW's first ones have hardly
# seen how large the gradients are: without them the document's post-norm layers collapse (docs/learning.md, "The first
# steps"), as such layers do elsewhere (Xiong et al. 2020, arXiv:2002.04745). 30 were enough in each of nine runs.
WARM_UP = 50
SHALLOW = 3  # layers, of which no run has collapsed: it learns sooner at the whole rate


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


LossOf = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Some of a batch's examples [K, ..] int64, how many the batch has -> their share of the batch's mean loss [], and of
some figures [F]."""


class Learner:
    """A `BlobNet` with its AdamW and, where the settings ask for them, its averaged weights and a `Magnet`.

    ``group`` names the processes that learn together: each brings its part of every batch's loss, and all take the same
    step down the sum. On a GPU, where this is the only one, steps are recorded (`veclab.training.steps`): whatever they
    read and write stays where it is, and what differs from step to step is in tensors there.
    """

    def __init__(self, settings: Settings, net_config: NetConfig, device: torch.device, group: Group = ALONE) -> None:
        torch.manual_seed(settings.seed)  # of the initial weights
        self.settings = settings
        self.device = device
        self.group = group
        self.net = BlobNet(net_config).to(device)
        self.parameters = list(self.net.parameters())
        on_gpu = device.type == "cuda"
        self.recorded = on_gpu and settings.graphs and group.size == 1  # whether steps are
        self.rate = settings.learning_rate  # after the first steps
        self.warm_up = WARM_UP if net_config.layers > SHALLOW else 1  # steps, of which the last takes the whole rate
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=torch.tensor(self.rate, device=device) if on_gpu else self.rate,
            weight_decay=settings.weight_decay,
            fused=True,  # the fused form can leave a step out without the host's asking, see `step_on`
            capturable=on_gpu,
        )
        self.optimizer.found_inf = torch.zeros((), device=device)  # as torch.amp.GradScaler tells a fused optimiser
        # What the newest weights count for in the average at this step; a tensor on a GPU, as the rate is.
        self.newest: float | Tensor = torch.zeros((), device=device) if on_gpu else 0.0
        self.stretches: dict[str, Stretch] = {}
        self.amp = default_inference_dtype(device)
        # On a CPU a compiled network learned 2 to 8% faster, after a minute or more of compiling: not worth it.
        self.compute = torch.compile(self.net) if settings.compile and on_gpu else self.net
        self.symmetry = settings.suit_symmetry()
        self.steps = 0
        self.average = {name: p.detach().clone() for name, p in self.net.named_parameters() if settings.average_decay}
        self.magnet = Magnet(self.net) if settings.magnet else None

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
        if self.magnet is not None:
            self.magnet.begin_with(self.net)

    def set_rate(self, share: float) -> None:
        """Sets the learning rate to a share of ``settings.learning_rate`` (`veclab.training.schedule`); the first
        `WARM_UP` steps of a deep network take a part of that, step by step more."""
        self.rate = self.settings.learning_rate * share
        self._tell_rate()

    def _tell_rate(self) -> None:
        """Has the optimiser make its next step at the rate of that step."""
        rate = self.rate * min(1.0, (self.steps + 1) / self.warm_up)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def stretch(self, kind: str, figures: int, **numbers: torch.dtype) -> Stretch:
        """The steps of a kind, of which this learner has one `Stretch` after another; see there."""
        if kind not in self.stretches:
            self.stretches[kind] = Stretch(kind, self.net, figures, self.recorded, numbers)
        return self.stretches[kind]

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
            value_errors(outputs.values, batch.value).sum() / total,
            None if outputs.tricks is None else tricks_errors(outputs.tricks, batch.tricks).sum() / total,
            None if outputs.critic is None else value_errors(outputs.critic, batch.value).sum() / total,
        )

    def step_in(
        self, stretch: Stretch, index: Tensor, loss_of: LossOf, threads: SideBySide, usual: bool = True
    ) -> None:
        """A step of a stretch, by the examples ``index`` [E, ..] int64; see `step_on` and `Stretch.step`."""
        self._begin_step()
        stretch.step(index, lambda place: self.step_on(place, loss_of, threads), usual)
        self.steps += 1

    def _begin_step(self) -> None:
        """Tells a step which one it is; one that is recorded has no other way to know."""
        if self.steps < self.warm_up:
            self._tell_rate()
        if self.average:
            # The first steps average over fewer weights, as the initial ones are worth nothing.
            newest = 1 - min(self.settings.average_decay, (2 + self.steps) / (11 + self.steps))
            if isinstance(self.newest, Tensor):
                self.newest.fill_(newest)
            else:
                self.newest = newest

    def step_on(self, index: Tensor, loss_of: LossOf, threads: SideBySide) -> tuple[Tensor, Tensor]:
        """One step of the optimiser down a loss that is a sum over examples, of which each thread of each process takes
        a part; all that is done on the device.

        A loss or gradient that is not finite leaves weights and optimiser as they are, without a wait for the device.

        Args:
            index: [E, ..] int64, the examples, of which this process works on its own.

        Returns:
            [] bool: whether the step was taken; and [F], the figures summed over this process's examples.
        """

        own = self.group.part(index)

        def work(first: int, number: int) -> tuple[Tensor, Tensor, list[Tensor | None]]:
            loss, figures = loss_of(own[first : first + number], len(index))
            return loss.detach(), figures.detach(), self._gradients(loss)

        (loss, figures, gradients), *others = threads.map(work, threads.split(len(own), ROWS_PER_THREAD))
        for more_loss, more_figures, more in others:  # in the order of the parts: the same sum in every run
            loss, figures = loss + more_loss, figures + more_figures
            used = [(ours, theirs) for ours, theirs in zip(gradients, more, strict=True) if ours is not None]
            torch._foreach_add_(*map(list, zip(*used, strict=True)))
        taken = self._descend(loss, gradients)
        self.optimizer.zero_grad()  # a recording leaves nothing behind
        return taken, figures

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
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.grad_clip, foreach=True)
        taken = loss.isfinite() & norm.isfinite()
        self.optimizer.found_inf.copy_(~taken)
        self.optimizer.step()
        if self.average:
            self._average()
        return taken

    @torch.no_grad()
    def _average(self) -> None:
        """Takes the newest weights into the average."""
        averages = list(self.average.values())
        if not isinstance(self.newest, Tensor):
            torch._foreach_lerp_(averages, self.parameters, self.newest)
            return
        steps = torch._foreach_sub(self.parameters, averages)  # torch's lerp of many tensors takes no tensor [] for all
        torch._foreach_mul_(steps, self.newest)
        torch._foreach_add_(averages, steps)

    def averaged(self) -> BlobNet:
        """The network to play with: a copy with the averaged weights, or the network itself if they are off."""
        if not self.average:
            return self.net
        net = copy.deepcopy(self.net)
        net.load_state_dict({**net.state_dict(), **self.average})
        return net

    def state_dict(self) -> dict[str, Tensor]:
        """Weights, averaged weights, magnet, optimiser and its number of steps as a flat dict of tensors."""
        tensors = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        if self.magnet is not None:
            tensors |= {f"magnet.{name}": tensor for name, tensor in self.magnet.net.state_dict().items()}
        return {**tensors, "steps": torch.tensor(self.steps)}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.net.load_state_dict(_named("net.", tensors))
        if self.magnet is not None:
            self.magnet.net.load_state_dict(_named("magnet.", tensors))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".", 2)
                slots.setdefault(int(index), {})[slot] = tensor
        self._load_slots(slots)
        self.steps = int(tensors.get("steps", 0))
        self._tell_rate()
        for name, tensor in self.average.items():
            tensor.copy_(tensors[f"average.{name}"])

    @torch.no_grad()
    def _load_slots(self, slots: dict[int, dict[str, Tensor]]) -> None:
        """Gives the optimiser what it keeps of each parameter, by the parameter's number; in place where it has that,
        for recorded steps know the places."""
        for number, parameter in enumerate(self.parameters):
            own, saved = self.optimizer.state[parameter], slots.get(number, {})
            if own.keys() - saved.keys():  # those of steps that have been taken back
                own.clear()
                graphs.drop(self.net)
            for slot, tensor in saved.items():
                if slot in own:
                    own[slot].copy_(tensor)
                else:
                    own[slot] = tensor.detach().to(parameter.device, torch.float32, copy=True)


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def value_errors(values: Tensor, targets: Tensor) -> Tensor:
    """Squared errors of values [E, values] against as many of the targets [E, seats], each example's sum: [E]."""
    return (values - targets[:, : values.shape[1]]).square().sum(-1)


def tricks_errors(logits: Tensor, tricks: Tensor) -> Tensor:
    """Cross-entropy of E examples' numbers of tricks, mean of the seats: [E].

    Args:
        logits: [E, seats, tricks] float.
        tricks: [E, seats] int8.
    """
    errors = F.cross_entropy(logits.flatten(0, 1), tricks.long().flatten(), reduction="none")
    return errors.view(tricks.shape).mean(-1)


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
    stretch = learner.stretch("search", len(names), seed=torch.int64)
    stretch.begin((learner.amp,), buffer.examples.tensors().values(), seed=seed)

    def loss_of(batch: Tensor, total: int) -> tuple[Tensor, Tensor]:
        """Of examples [K, 2] int64: their places in the buffer, and their numbers among all that are drawn."""
        index, number = batch.unbind(1)
        examples = buffer.examples.take(index)
        if learner.symmetry is not None:
            stream = Stream(stretch.numbers["seed"], number, torch.zeros_like(number))
            examples = examples.in_orders(learner.symmetry.orders(stream, examples.observation))
        losses = learner.losses(examples, total)
        return losses.weighted(settings), losses.stacked()

    done = 0
    learner.net.train()
    with side_by_side(learner.device, worth=size >= 2 * ROWS_PER_THREAD) as threads:
        for _ in range(settings.epochs):
            drawn = torch.randperm(len(buffer), generator=order)[:draws]
            numbered = torch.stack([drawn, torch.arange(done, done + draws)], 1).to(learner.device)
            for batch in numbered.split(size):
                learner.step_in(stretch, batch, loss_of, threads, usual=len(batch) == size)
                done += len(batch)
                if report is not None:
                    report(done, settings.epochs * draws)
    learner.net.eval()
    skipped = stretch.count.skipped()
    means = (group.sum(stretch.sums) / max(stretch.count.steps - skipped, 1)).tolist()
    return {**dict(zip(names, means, strict=True)), "examples_learned": done, "skipped_steps": skipped}

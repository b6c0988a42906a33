"""Stretches of learning: steps made one after the other, counted and added up on the device, on a GPU as CUDA graphs.

A step is some hundreds of small kernels, forward, backward, clipping and AdamW, the same ones for each batch of a size.
Where a stretch is recorded (`vecmcts.graphs.repeated`), the first step of a size runs as it is, the second is recorded,
and later ones are that graph with another batch. So whatever differs from step to step lies in tensors that stay where
they are: the batch's index, what it is taken from, the numbers of the stretch; and those of the learner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from vecmcts import graphs

MAX_SKIPPED = 8  # steps in a row whose loss or gradient is not finite, after which learning gives up
STEPS_PER_LOOK = 50  # steps between two looks at that count, each of which waits for the device
STEPS = "learning steps"  # what is recorded, for the log
SPARE = 1.25  # room of what a stretch holds, times what it needs at first, so that it seldom has to be made anew

WAYS: Counter[str] = Counter()
"""Steps of this process, and decisions of policy gradient's games, by the way they were made: "eager" or "graph"."""

Work = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Index of a batch [E, ..] int64 -> whether the step was taken [] bool, and figures of it [F]."""


class NotFiniteError(ValueError):
    """Learning cannot go on: the loss is NaN or infinite in step after step."""


class StepCount:
    """Steps of one stretch of learning, those that were skipped counted on the device."""

    def __init__(self, device: torch.device) -> None:
        self.steps = 0
        self._row = torch.zeros((), dtype=torch.int64, device=device)  # skipped in a row, up to now
        self._longest = self._row.clone()  # such row
        self._skipped = self._row.clone()  # in all

    def begin(self) -> None:
        """Counts from nothing again."""
        self.steps = 0
        for number in (self._row, self._longest, self._skipped):
            number.zero_()

    def note(self, taken: Tensor) -> None:
        """Counts a step that was ``taken`` [] bool or not, in place on the device."""
        left_out = ~taken
        self._row.add_(1).mul_(left_out)
        torch.maximum(self._longest, self._row, out=self._longest)
        self._skipped.add_(left_out)

    def look(self) -> None:
        """The host's part of counting a step: a look at the counts now and then."""
        self.steps += 1
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


class Stretch:
    """The steps of one way to learn, of which there is one stretch after another.

    Args:
        kind: of learning, another one for each.
        net: that learns; graphs are kept as long as it lives.
        figures: number F of the figures of a step.
        recorded: whether steps are to be recorded.
        numbers: that a stretch begins with, by name, and the types that they have.
    """

    def __init__(
        self, kind: str, net: nn.Module, figures: int, recorded: bool, numbers: dict[str, torch.dtype]
    ) -> None:
        device = next(net.parameters()).device
        self.kind, self.net, self.device, self.recorded = kind, net, device, recorded
        self.sums = torch.zeros(figures, device=device)  # of the figures, over the steps taken
        self.count = StepCount(device)
        self.numbers = {name: torch.zeros((), dtype=dtype, device=device) for name, dtype in numbers.items()}
        self.key: tuple = ()
        self._places: dict[torch.Size, Tensor] = {}  # of a batch's index
        self._held: dict[str, Tensor] = {}

    def begin(self, key: tuple, reads: Collection[Tensor], **numbers: float) -> None:
        """Begins a stretch.

        Args:
            key: whatever else a step depends on; hashable.
            reads: the tensors that batches are taken from.
            numbers: the values of all ``numbers``, which steps read there.
        """
        self.key = (*key, *((tensor.data_ptr(), tensor.shape) for tensor in reads))
        self.sums.zero_()
        self.count.begin()
        for name, number in self.numbers.items():
            number.fill_(numbers[name])

    def hold(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors [N, ..] for steps to read, N their own: where steps are recorded, copies of them at the beginning of
        [R, ..], R at least N, that lie where those of earlier stretches lay. Of all R, for a recorded step knows the
        sizes of what it reads, too."""
        if not self.recorded:
            return tensors
        if any(not self._has_room(name, tensor) for name, tensor in tensors.items()):
            graphs.drop(self.net)  # which know the old places
            self._held = {}
            for name, tensor in tensors.items():
                self._held[name] = tensor.new_empty(int(SPARE * len(tensor)), *tensor.shape[1:])
        for name, tensor in tensors.items():
            self._held[name][: len(tensor)].copy_(tensor)
        return {name: self._held[name] for name in tensors}

    def _has_room(self, name: str, tensor: Tensor) -> bool:
        room = self._held.get(name)
        fits = room is not None and room.shape[1:] == tensor.shape[1:] and room.dtype == tensor.dtype
        return fits and len(room) >= len(tensor)

    def step(self, index: Tensor, work: Work, usual: bool = True) -> None:
        """A step by the batch ``index`` [E, ..] int64.

        Args:
            work: does it, whatever the index; depends on nothing but the stretch's numbers, key and what it reads.
            usual: whether the batch has a size that comes often; others are not recorded.
        """
        recorded = False
        if self.recorded and usual:
            if index.shape not in self._places:
                self._places[index.shape] = torch.empty_like(index)
            place = self._places[index.shape].copy_(index)
            key = (self.kind, index.shape, *self.key)
            recorded = graphs.repeated(self.net, key, lambda: self._add(place, work), self.device, STEPS)
        else:
            self._add(index, work)
        WAYS["graph" if recorded else "eager"] += 1
        self.count.look()

    def _add(self, index: Tensor, work: Work) -> None:
        """All of a step that is done on the device."""
        taken, figures = work(index)
        self.sums.add_(torch.where(taken, figures, 0))
        self.count.note(taken)

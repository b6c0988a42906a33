"""What every batched game state can do, whatever its fields."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, TypeVar

import torch
from torch import Tensor

StateT = TypeVar("StateT", bound="State")


@dataclass(frozen=True)
class State:
    """Base of game states: a frozen dataclass of tensors whose first axis is the batch of B lanes."""

    index: Tensor  # [B] int64, the game's number in its run: with the seed it fixes every random number of the game

    @property
    def batch_size(self) -> int:
        return self.index.shape[0]

    @property
    def device(self) -> torch.device:
        return self.index.device

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The state with ``function`` applied to every field."""
        return replace(self, **{name: function(tensor) for name, tensor in self.tensors().items()})

    def __getitem__(self, lanes: Tensor | slice) -> Self:
        """Some lanes: [K] int64, [B] bool or a slice."""
        return self.map(lambda tensor: tensor[lanes])

    def take(self, lanes: Tensor | None) -> Self:
        """The lanes [K] int64, in that order, or the state itself for None; faster than indexing."""
        return self if lanes is None else self.map(lambda tensor: tensor.index_select(0, lanes))

    def put(self, lanes: Tensor, other: Self) -> Self:
        """The state with its lanes [K] int64 replaced by the K lanes of ``other``."""
        return replace(
            self, **{name: tensor.index_copy(0, lanes, getattr(other, name)) for name, tensor in self.tensors().items()}
        )

    def where(self, mask: Tensor, other: Self) -> Self:
        """This state where ``mask`` [B] bool holds, ``other`` elsewhere."""

        def choose(a: Tensor, b: Tensor) -> Tensor:
            return a if a is b else torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b)

        return replace(self, **{name: choose(tensor, getattr(other, name)) for name, tensor in self.tensors().items()})

    def repeat(self, count: int) -> Self:
        """Every lane ``count`` times, the copies of a lane adjacent: B * count lanes."""
        return self.map(lambda tensor: tensor.repeat_interleave(count, dim=0))

    def to(self, device: str | torch.device) -> Self:
        return self.map(lambda tensor: tensor.to(device))


def concatenate(states: Sequence[StateT]) -> StateT:
    """The lanes of several states of one game as one state."""
    names = states[0].tensors()
    return replace(states[0], **{name: torch.cat([getattr(state, name) for state in states]) for name in names})

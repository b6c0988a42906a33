"""What every batched game state can do, whatever its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from vecgame import kinds, pictures, seeing, text

StateT = TypeVar("StateT", bound="State")
Lanes = Tensor | slice | int | Sequence[int] | Sequence[bool] | np.ndarray
START = "start"  # in the metadata of a field of a state: what it begins with


def starts(value: float | str, *axes: int | str, dtype: torch.dtype | None = None) -> Any:
    """Declares what a field of a state begins with, beside the field: ``won: Tensor = starts(0, "seats")``.

    A state is made with all its fields still; `first_values` makes these for who deals games.

    Args:
        value: of each entry. A word stands for an attribute of the game, such as "deck" or "rules.lives".
        axes: the sizes of the axes after the first, [B, *axes]; words as for ``value``, such as "seats".
        dtype: by default int64 for an integer, bool for a bool and float32 for a fraction.
    """
    return field(metadata={START: (value, axes, dtype)})


def first_values(state_type: type[State], game: object, lanes: Tensor) -> dict[str, Tensor]:
    """The fields of a game's states that say what they begin with, for as many games as ``lanes`` [B] and there."""
    values = {}
    for one in fields(state_type):
        if START in one.metadata:
            value, axes, dtype = one.metadata[START]
            value, *axes = (attrgetter(each)(game) if isinstance(each, str) else each for each in (value, *axes))
            usual = {bool: torch.bool, float: torch.float32}.get(type(value), torch.int64)
            shape = (len(lanes), *axes)
            values[one.name] = torch.full(shape, value, dtype=dtype or usual, device=lanes.device)
    return values


@dataclass(frozen=True)
class State:
    """Base of game states: a frozen dataclass of tensors whose first axis is the batch of B lanes.

    ``len``, iteration, ``==``, pickle and `torch.save` do what they do elsewhere; `torch.load` needs the class's module
    imported. For safetensors: ``save_file(state.clone().tensors(), path)``, ``from_tensors(load_file(path))``.
    """

    # What the fields of a class hold, beside those of the classes it extends, for text and networks: `seeing.kinds`.
    holds: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    # The fields that a table keeps to itself, as what a game counts for its own use; by default the marks of what hands
    # may hold (`vecgame.HandState`). Seats may know them as they do others, and text, pictures and networks tell them.
    untold: ClassVar[Sequence[str]] = seeing.MARKS

    index: Tensor  # [B] int64, the game's number in its run: with the seed it fixes every random number of the game

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        kinds.check_kinds(cls)
        for name in ("__eq__", "__hash__", "__repr__"):  # or `dataclass` would write its own, which compare tensors
            if name not in cls.__dict__:
                setattr(cls, name, getattr(cls, name))
        _may_be_loaded(cls)

    def __len__(self) -> int:
        return self.batch_size

    def __iter__(self) -> Iterator[Self]:
        """The lanes, each a state of one."""
        return (self[lane] for lane in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same class, with every field equal in dtype, shape and values, on any device."""
        if type(other) is not type(self):
            return NotImplemented
        pairs = zip(self.tensors().values(), other.tensors().values(), strict=True)
        return all(a.dtype == b.dtype and torch.equal(a, b.to(a.device)) for a, b in pairs)

    def __hash__(self) -> int:
        raise TypeError(f"unhashable type: {type(self).__name__}: states are equal by what their tensors hold")

    def __repr__(self) -> str:
        return text.state_text(self)

    def _repr_svg_(self) -> str | None:
        """A notebook's picture of the first game, all cards open; None where there is nothing to draw."""
        return pictures.state_picture(self)

    def __getstate__(self) -> dict[str, Tensor]:
        """What is pickled: a few lanes of a large batch do not bring its memory along."""
        return {n: t.clone() if t.nbytes < t.untyped_storage().nbytes() else t for n, t in self.tensors().items()}

    @property
    def batch_size(self) -> int:
        return self.index.shape[0]

    @property
    def device(self) -> torch.device:
        return self.index.device

    def tensors(self) -> dict[str, Tensor]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The inverse of `tensors`. Raises ValueError unless there is one of B lanes for every field."""
        if set(tensors) != (names := {field.name for field in fields(cls)}):
            raise ValueError(f"{cls.__name__} holds {', '.join(sorted(names))}; got {', '.join(sorted(tensors))}")
        if len({tensor.shape[:1] for tensor in tensors.values()}) > 1:
            raise ValueError(f"the tensors of a {cls.__name__} must have as many lanes each")
        return cls(**tensors)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The state with ``function`` applied to every field."""
        return replace(self, **{name: function(tensor) for name, tensor in self.tensors().items()})

    def clone(self) -> Self:
        """The state with every field in memory of its own, contiguous."""
        return self.map(lambda tensor: tensor.clone(memory_format=torch.contiguous_format))

    def __getitem__(self, lanes: Lanes) -> Self:
        """Some lanes: one number, K numbers, B bools or a slice, as Python, numpy or torch have them; always a state,
        of one lane for one number. Raises IndexError on anything else, and on a lane that is not there."""
        lanes = _checked(lanes, self.batch_size)
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
    """The lanes of several states of one game as one state.

    Raises:
        ValueError: unless there is one at least, all are of one class, and of one shape but for the number of lanes.
    """
    kinds = dict.fromkeys(map(type, states))  # as a set, but in their order
    if len(kinds) != 1 or not issubclass(*kinds, State):
        raise ValueError(f"states must be of one class, got {', '.join(kind.__name__ for kind in kinds) or 'none'}")
    joined = {}
    for name in states[0].tensors():
        tensors = [getattr(state, name) for state in states]
        shapes = dict.fromkeys(("B", *tensor.shape[1:]) for tensor in tensors)
        if len(shapes) > 1:
            told = " and ".join(f"[{', '.join(map(str, shape))}]" for shape in shapes)
            raise ValueError(f"states must be of one shape, got {name} of {told}")
        joined[name] = torch.cat(tensors)
    return replace(states[0], **joined)


def _may_be_loaded(cls: type) -> None:
    """Lets `torch.load` with weights_only=True make states of a class, which are nothing but tensors, and no longer
    those of an older class of the same name, from an earlier run of a notebook's cell."""
    others = [one for one in torch.serialization.get_safe_globals() if repr(one) != repr(cls)]
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([*others, cls])


def as_tensor(values: object) -> Tensor | None:
    """Numbers as Python or numpy have them, integers as int64 and others as they are; None for what is no array."""
    try:
        array = np.asarray(values)
        return torch.tensor(array.astype(np.int64) if array.dtype.kind in "iu" or not array.size else array)
    except (TypeError, ValueError):
        return None


def _checked(lanes: Lanes, size: int) -> Tensor | slice:
    """Lanes of ``size`` as torch takes them: [K] int64, [size] bool, or a slice that goes forwards."""
    if isinstance(lanes, slice):
        if lanes.step is None or lanes.step > 0:
            return lanes
        lanes = range(size)[lanes]
    chosen = lanes if isinstance(lanes, Tensor) else None if isinstance(lanes, tuple) else as_tensor(lanes)
    if chosen is None or chosen.is_floating_point() or chosen.is_complex() or chosen.ndim > 1:
        raise IndexError(f"lanes are numbers, bools or a slice along a state's one axis, got {type(lanes).__name__}")
    if chosen.dtype == torch.bool:
        if chosen.shape != (size,):
            raise IndexError(f"bools that choose lanes must be {size} of shape [{size}], got {list(chosen.shape)}")
        return chosen
    if chosen is not lanes and ((chosen < -size) | (chosen >= size)).any():
        raise IndexError(f"a state of {size} lanes has no lane {int(chosen[(chosen < -size) | (chosen >= size)][0])}")
    return chosen.long().reshape(-1)

"""What a GPU would say to an operation: torch's own rules for devices, dtypes and shapes, by tensors without data."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)

aten = torch.ops.aten
FAKE = FakeTensorMode(allow_non_fake_inputs=False)
# Results of which the others' dtypes differ on a GPU: mean and deviation of a bfloat16 row are float32 there.
FIRST_ONLY = {aten.native_layer_norm.default}

# Operations without a rule of their own for a tensor in the place of a number: that of the number, and the tensor's.
BY_NUMBER = {aten._fused_adamw_.tensor_lr: (aten._fused_adamw_.default, "lr")}

BY_SIZE = {aten._scaled_mm.default}  # their rules ask for multiples of a size; others' for equal sizes and 1 only

_known: dict[object, str | None] = {}  # by exact signature, and by pattern


def complaint(func: Any, args: tuple, kwargs: dict, result: object, signature: tuple) -> str | None:
    """What is wrong with an operation, None if nothing is; looked up where its like has been seen before.

    Args:
        args: of the operation, emulated tensors among them.
        result: what the emulation made of it.
        signature: the operation and everything of its arguments but the tensors' data; hashable.
    """
    if signature not in _known:
        pattern = signature if func in BY_SIZE else _pattern(signature, {})
        if pattern not in _known:
            _known[pattern] = _complaint(func, args, kwargs, result)
        _known[signature] = _known[pattern]
    return _known[signature]


def _pattern(signature: object, names: dict[int, str]) -> object:
    """The signature with a name for each size of the tensors from 2 on, and strides by their order."""
    if not isinstance(signature, tuple):
        return signature
    if len(signature) != 4 or not isinstance(signature[0], torch.Size):
        return tuple([_pattern(part, names) for part in signature])
    sizes, strides, *rest = signature
    order = sorted(set(strides))
    named = [size if size < 2 else names.setdefault(size, f"size {len(names)}") for size in sizes]
    return (*named, *[stride if stride < 2 else -order.index(stride) for stride in strides], *rest)


def _complaint(func: Any, args: tuple, kwargs: dict, result: object) -> str | None:
    if func in BY_NUMBER:
        func, name = BY_NUMBER[func]
        number = kwargs[name]
        if number.device.type != "cuda" or number.dtype != torch.float32 or number.dim():
            return f"{name} must be a number of float32 on the GPU, not {' '.join(_described(number))}"
        kwargs = {**kwargs, name: 1.0}
    try:
        with FAKE:
            expected = func(*pytree.tree_map(_fake, args), **pytree.tree_map(_fake, kwargs))
    except (DataDependentOutputException, DynamicOutputShapeException):
        devices = {x.device.type for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        mixed = len(devices) > 1 and func is not aten.index.Tensor  # by a mask of the CPU: slow, but allowed
        return "expected all tensors to be on the same device, but found cuda and cpu" if mixed else None
    except UnsupportedOperatorException as error:
        return f"torch has no rule for it: {error}"
    except Exception as error:  # whatever the operation would raise
        return f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}"
    ours, theirs = pytree.tree_leaves(result), pytree.tree_leaves(expected)
    if func in FIRST_ONLY:
        ours, theirs = ours[:1], theirs[:1]
    for mine, other in zip(ours, theirs, strict=True):
        if isinstance(mine, Tensor) and isinstance(other, Tensor) and _described(mine) != _described(other):
            return f"the result is {' '.join(_described(other))} on a GPU, {' '.join(_described(mine))} here"
    return None


def _fake(x: object) -> object:
    """A tensor of the same kind without data (in the mode that is on)."""
    if not isinstance(x, Tensor):
        return x
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)


def _described(x: Tensor) -> tuple[str, str, str]:
    return str(x.dtype), str(list(x.shape)), x.device.type

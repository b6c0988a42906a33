"""One operation of torch on the emulated GPU: computed on the CPU, checked, counted, recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor

from tests.emulated_gpu.record import project_lines
from tests.emulated_gpu.rules import complaint
from tests.emulated_gpu.tensors import CUDA, EmulatedTensor
from tests.emulated_gpu.traffic import of_operation

if TYPE_CHECKING:
    from tests.emulated_gpu.gpu import EmulatedGpu

aten = torch.ops.aten
CPU = torch.device("cpu")

WAITING = {  # the host reads their result, or their shape depends on data
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.item,
    aten.equal,
    aten.allclose,
    aten.nonzero,
    aten.nonzero_numpy,
    aten.argwhere,
    aten.masked_select,
    aten.unique_dim,
    aten.unique_consecutive,
    aten._unique,
    aten._unique2,
    aten.bincount,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
ALLOCATING = {aten.empty, aten.new_empty, aten.empty_like, aten.empty_strided, aten.new_empty_strided}
SHARING = {aten.detach, aten.alias, aten._unsafe_view, aten.lift_fresh, aten._reshape_alias}  # memory, without a kernel


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to know about an operation before its arguments are."""

    name: str
    changes: bool  # its arguments' data
    shares: bool  # its argument's memory: a view or the like
    launches: bool  # a kernel
    waits: bool  # whatever its arguments are
    repeats: bool  # repeat_interleave, which waits if it is not told the size of its result
    indexes: bool
    copies: bool  # from device to device, maybe

    @classmethod
    def of(cls, func: Any) -> Kind:
        packet = func.overloadpacket
        shares = func.is_view or packet in SHARING
        return cls(
            name=str(func),
            changes=func._schema.is_mutable,
            shares=shares,
            launches=not shares and packet not in ALLOCATING,
            waits=packet in WAITING,
            repeats=func is aten.repeat_interleave.Tensor,
            indexes=packet in INDEXING,
            copies=packet in (aten._to_copy, aten.copy_),
        )


_kinds: dict[object, Kind] = {}


def run(gpu: EmulatedGpu, func: Any, args: tuple, kwargs: dict) -> Any:
    """The operation's result: emulated tensors if it is one of the GPU's, else the CPU's."""
    if func is torch.ops.prim.device.default:
        return CUDA if isinstance(args[0], EmulatedTensor) else args[0].device
    ours: list[EmulatedTensor] = []
    inner_args = _inside(args, ours)
    inner_kwargs = {name: _inside(x, ours) for name, x in kwargs.items()} if kwargs else {}
    device = kwargs.get("device")
    device = torch.device(device) if device is not None else None
    made_on_gpu = device is not None and device.type == "cuda"
    if made_on_gpu:
        if device.index not in (None, 0):
            raise torch.AcceleratorError("CUDA error: invalid device ordinal")
        inner_kwargs["device"] = CPU
    if not ours and not made_on_gpu:
        return func(*inner_args, **inner_kwargs)  # of the CPU's
    kind = _kinds.get(func)
    if kind is None:
        kind = _kinds[func] = Kind.of(func)
    _wait(gpu, kind, args, kwargs, ours, made_on_gpu)
    if kind.changes and gpu.capturing is not None:
        gpu.changing(_written(func, inner_args, inner_kwargs))
    out = func(*inner_args, **inner_kwargs)
    if device is not None and not made_on_gpu:
        result = out  # copied to the CPU
    elif isinstance(out, Tensor):
        result = _around(gpu, kind, out, ours)
    elif isinstance(out, (tuple, list)):
        result = type(out)(_around(gpu, kind, x, ours) if isinstance(x, Tensor) else x for x in out)
    else:
        result = out
    if kind.shares:
        return result
    wrong = complaint(func, args, kwargs, result, (func, _signature(args), _signature(tuple(kwargs.items()))))
    if wrong is not None:
        gpu.record.errors[kind.name, project_lines(), wrong] += 1
    if kind.launches:
        gpu.record.launch(kind.name, lambda: of_operation(func, inner_args, inner_kwargs, out))
        gpu.launched(func, inner_args, inner_kwargs, out)
    return result


def _written(func: Any, args: tuple, kwargs: dict) -> list[Tensor]:
    """The tensors among an operation's arguments that it changes."""
    named = [*zip(func._schema.arguments, args, strict=False)]
    named += [(argument, kwargs[argument.name]) for argument in func._schema.arguments if argument.name in kwargs]
    changed = [value for argument, value in named if argument.alias_info is not None and argument.alias_info.is_write]
    return [x for x in pytree.tree_leaves(changed) if isinstance(x, Tensor)]


def _wait(
    gpu: EmulatedGpu, kind: Kind, args: tuple, kwargs: dict, ours: list[EmulatedTensor], made_on_gpu: bool
) -> None:
    """Has the host wait for the GPU if the operation calls for it."""
    if kind.copies:
        source, target = args[1 if kind.changes else 0], args[0]
        from_gpu = isinstance(source, EmulatedTensor)
        to_gpu = isinstance(target, EmulatedTensor) if kind.changes else made_on_gpu or "device" not in kwargs
        if from_gpu != to_gpu:
            how = "from the GPU" if from_gpu else "to the GPU"
            gpu.wait(f"{kind.name} {how}", copy=True, asynchronous=bool(kwargs.get("non_blocking")))
    elif ours and (kind.waits or (kind.repeats and kwargs.get("output_size") is None)):
        gpu.wait(kind.name)
    elif ours and kind.indexes:
        for index in args[1]:
            if index is None:
                continue
            if index.dtype in (torch.bool, torch.uint8):
                gpu.wait(f"{kind.name} by a mask")
            if not isinstance(index, EmulatedTensor) and index.dim() > 0:
                gpu.wait(f"{kind.name} by an index of the CPU", copy=True)


def _inside(x: Any, ours: list[EmulatedTensor]) -> Any:
    """The argument with the CPU's tensors for emulated ones, which are added to ``ours``."""
    kind = type(x)
    if kind is EmulatedTensor:
        ours.append(x)
        return x.inner
    if kind is tuple or kind is list:
        return kind([_inside(part, ours) for part in x])
    return x


def _around(gpu: EmulatedGpu, kind: Kind, out: Tensor, ours: list[EmulatedTensor]) -> EmulatedTensor:
    """The emulated tensor around a result: that of the argument which the operation has changed, or a new one."""
    if kind.changes or kind.shares:
        for tensor in ours:
            if tensor.inner is out:
                return tensor
        if kind.shares and ours:
            return EmulatedTensor(out, ours[0].block)
    return EmulatedTensor(out, gpu.memory.allocate(out.untyped_storage().nbytes()))


def _signature(x: Any) -> Any:
    """Everything about an argument but the data of its tensors, hashable."""
    kind = type(x)
    if kind is EmulatedTensor:
        x = x.inner
        return x.shape, x.stride(), x.dtype, True
    if kind is tuple or kind is list:
        return tuple([_signature(part) for part in x])
    if isinstance(x, Tensor):
        return x.shape, x.stride(), x.dtype, False
    return "generator" if kind is torch.Generator else (x, kind)  # 1, 1.0 and True are equal

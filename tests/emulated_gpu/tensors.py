"""Tensors of the emulated GPU."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tests.emulated_gpu.memory import Block

CUDA = torch.device("cuda:0")


class EmulatedTensor(Tensor):
    """A tensor that says it is on ``cuda:0``, around one on the CPU that has its data."""

    inner: Tensor
    block: Block

    @staticmethod
    def __new__(cls, inner: Tensor, block: Block) -> EmulatedTensor:
        made = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=CUDA, requires_grad=False
        )
        made.inner, made.block = inner, block
        return made

    def __init__(self, inner: Tensor, block: Block) -> None:
        pass

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Reached outside of the emulation's dispatch mode only, as in an older thread."""
        from tests.emulated_gpu.gpu import the_gpu
        from tests.emulated_gpu.operations import run

        return run(the_gpu(), func, args, kwargs or {})

    def tolist(self) -> Any:
        from tests.emulated_gpu.gpu import the_gpu

        the_gpu().wait("Tensor.tolist")
        return self.inner.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first.")
        return self.cpu().numpy()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"EmulatedTensor({self.inner!r})"

    def __deepcopy__(self, memo: dict[int, object]) -> EmulatedTensor:
        made = self.detach().clone()
        if isinstance(self, torch.nn.Parameter):
            made = torch.nn.Parameter(made, self.requires_grad)
        else:
            made.requires_grad_(self.requires_grad)
        made.grad = copy.deepcopy(self.grad, memo)
        memo[id(self)] = made
        return made

    def __tensor_flatten__(self) -> tuple[list[str], Block]:
        return ["inner"], self.block

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], block: Block, size: object, stride: object) -> EmulatedTensor:
        return EmulatedTensor(parts["inner"], block)

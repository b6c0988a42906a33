"""``loss.backward()`` without autograd's engine, which wants a driver for every CUDA device.

The graph's nodes are the real ones and can be called one by one, so that their operations are those of a GPU's backward
pass, and are checked and counted like all others.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from tests.emulated_gpu.tensors import EmulatedTensor

Node = Any  # torch.autograd.graph.Node
_engine = Tensor.backward


def backward(loss: Tensor, gradient: Tensor | None = None, **options: object) -> None:
    """`torch.Tensor.backward`: adds to the gradients of all leaves. The CPU's tensors are left to the engine.

    Args:
        loss: [], or of any shape with a ``gradient`` of that shape.
    """
    if not isinstance(loss, EmulatedTensor):
        _engine(loss, gradient, **options)
        return
    if options:
        raise NotImplementedError(f"backward of an emulated GPU's tensor takes no {', '.join(options)}")
    if loss.grad_fn is None:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    if gradient is None and loss.numel() != 1:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    waiting = _users(loss.grad_fn)
    inputs: dict[Node, list[Tensor | None]] = {}
    with torch.no_grad():
        _add(inputs, loss.grad_fn, loss.output_nr, torch.ones_like(loss) if gradient is None else gradient)
        ready = [loss.grad_fn]
        while ready:
            node = ready.pop()
            results = _call(node, inputs.pop(node, None))
            for (following, number), result in zip(node.next_functions, results, strict=True):
                if following is None:
                    continue
                if result is not None:
                    _add(inputs, following, number, result)
                waiting[following] -= 1
                if waiting[following] == 0:
                    ready.append(following)


def _users(root: Node) -> Counter[Node]:
    """How many edges lead to each node that the root reaches."""
    edges: Counter[Node] = Counter()
    found, seen = [root], {root}
    while found:
        for following, _ in found.pop().next_functions:
            if following is not None:
                edges[following] += 1
                if following not in seen:
                    seen.add(following)
                    found.append(following)
    return edges


def _call(node: Node, gradients: list[Tensor | None] | None) -> tuple[Tensor | None, ...]:
    """The gradients of a node's inputs; a leaf keeps its own and passes nothing on."""
    if hasattr(node, "variable"):  # AccumulateGrad
        leaf = node.variable
        if gradients is not None and gradients[0] is not None:
            leaf.grad = gradients[0].detach() if leaf.grad is None else leaf.grad + gradients[0]
        return ()
    if gradients is None or all(gradient is None for gradient in gradients):
        return (None,) * len(node.next_functions)
    results = node(*gradients)
    return results if isinstance(results, tuple) else (results,)


def _add(inputs: dict[Node, list[Tensor | None]], node: Node, number: int, gradient: Tensor) -> None:
    """Adds a gradient to those of a node's output ``number``, summed over what was broadcast and in its dtype, which
    the engine does for all formulas."""
    described = node._input_metadata
    slots = inputs.setdefault(node, [None] * len(described))
    shape, dtype = torch.Size(described[number].shape), described[number].dtype
    if gradient.shape != shape:
        gradient = gradient.sum_to_size(shape)
    if gradient.dtype != dtype:
        gradient = gradient.to(dtype)
    slots[number] = gradient if slots[number] is None else slots[number] + gradient

"""What `net.fused_kernel.evaluate_kernel` does, as functions of tensors on the CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.emulated_gpu.traffic import NARROWEST, filled


class Packed:
    """Reads matrices and vectors in the order in which they are used."""

    def __init__(self, matrices: Tensor, vectors: Tensor) -> None:
        self.matrices, self.vectors = matrices.float(), vectors

    def vector(self, width: int) -> Tensor:
        """[width]"""
        found, self.vectors = self.vectors[:width], self.vectors[width:]
        return found

    def linear(self, x: Tensor, width: int) -> Tensor:
        """x [K, inner], or fewer columns of an inner width that is filled up, through the next matrix and vector: [K,
        width] float32."""
        return self.matrix(x, width) + self.vector(width)

    def matrix(self, x: Tensor, width: int) -> Tensor:
        """Likewise, without the vector."""
        inner = filled(x.shape[1])
        found, self.matrices = self.matrices[: inner * width], self.matrices[inner * width :]
        return x @ found.view(inner, width)[: x.shape[1]]

    def norm(self, x: Tensor) -> Tensor:
        """[K, width] float32, rounded to bfloat16."""
        width = x.shape[1]
        return rounded(F.layer_norm(x, (width,), self.vector(width), self.vector(width)))


class Eighths:
    """Likewise of matrices of 8-bit floats, whose vectors are those of the others."""

    def __init__(self, others: Packed, matrices: Tensor, scales: Tensor) -> None:
        self.others, self.matrices, self.scales = others, matrices, scales

    def linear(self, x: Tensor, width: int) -> Tensor:
        """As `Packed.linear`, of an inner width that is not filled up."""
        size = x.shape[1] * width
        found, self.matrices = self.matrices[:size], self.matrices[size:]
        (before, after), self.scales = self.scales[:2], self.scales[2:]
        x = (x / before).clamp(-448, 448).to(torch.float8_e4m3fn).float()
        return after * (x @ found.float().view(width, -1).t()) + self.others.vector(width)


def rounded(x: Tensor) -> Tensor:
    """To bfloat16, as float32."""
    return x.bfloat16().float()


def evaluate(
    executor: object,
    observations: Tensor,
    beside: Tensor,
    rows: Tensor,
    count: Tensor,
    matrices: Tensor,
    vectors: Tensor,
    eighths: Tensor,
    scales: Tensor,
    logits: Tensor,
    values: Tensor,
    lanes: int,
    listed: int,
    **sizes: Any,
) -> None:
    """The kernel, with its arguments; ``executor`` would have interpreted it."""
    row = rows[: int(count)].long() if listed else torch.arange(lanes)
    weights, dim, actions = Packed(matrices, vectors), sizes["DIM"], sizes["ACTIONS"]
    x = weights.norm(weights.linear(rounded(observations[row]), dim))
    linear = Eighths(weights, eighths, scales).linear if sizes["EIGHT"] else weights.linear
    for _ in range(sizes["LAYERS"]):
        x = weights.norm(linear(x, dim) + x)
        inner = rounded(linear(x, sizes["FFN"]).relu())
        x = weights.norm(linear(inner, dim) + x)
    answers = weights.linear(rounded(weights.linear(x, sizes["HEADS"]).relu()), sizes["ANSWERS"])
    logits[row] = answers[:, :actions]
    value = answers[:, actions:]
    if sizes["HIDDEN"]:
        inner = weights.matrix(x, dim) + weights.linear(rounded(beside[row]), dim)
        inner = rounded(weights.linear(rounded(inner.relu()), dim).relu())
        value = weights.linear(inner, NARROWEST)
    values[row] = value[:, : sizes["VALUES"]]

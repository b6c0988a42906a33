"""What goes into the encoder's matrices at given positions: the ranges that fewer bits are spread over."""

import torch
import torch.nn.functional as F
from torch import Tensor

Pairs = list[tuple[Tensor, Tensor]]
"""Weights and biases of a network's blocks, as of `net.inference.folded_weights`."""

Span = tuple[float, float]
"""Least and greatest value of an activation."""

PER_LAYER = 5  # blocks of an encoder layer in `net.inference.folded_weights`: attention, norm1, linear1, linear2, norm2


@torch.no_grad()
def activation_spans(pairs: Pairs, observations: Tensor) -> list[tuple[Span, Span, Span]]:
    """What goes into attention, linear1 and linear2 of each encoder layer, in float32.

    Args:
        pairs: `net.inference.folded_weights` in float32, on one device.
        observations: [K, observation] float32, K > 0, on that device.
    """
    x = norm(F.linear(observations, *pairs[0]), *pairs[1])
    spans = []
    for attention, norm1, linear1, linear2, norm2 in encoder_layers(pairs):
        between = norm(x + F.linear(x, *attention), *norm1)
        hidden = F.linear(between, *linear1).relu_()
        spans.append(tuple((float(part.min()), float(part.max())) for part in (x, between, hidden)))
        x = norm(between + F.linear(hidden, *linear2), *norm2)
    return spans


def encoder_layers(pairs: Pairs) -> list[Pairs]:
    """The blocks of `net.inference.folded_weights`, encoder layer by encoder layer."""
    return [pairs[start : start + PER_LAYER] for start in range(2, len(pairs) - 2, PER_LAYER)]


def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer normalisation of x [B, dim] with weight and bias [dim]."""
    return F.layer_norm(x, weight.shape, weight, bias)

"""The whole network as one Triton kernel, for GPUs that multiply bfloat16: `net.inference.InferenceNet`'s function.

A program takes some rows through all layers, so that nothing between features and answers leaves the chip: operation
by operation that is 64 KB a position of the document's network. Weights come from the L2 cache, into which all of them
fit. Only rows that are listed on the device are computed, and a program beyond their number ends at once: in a search,
where a third of the leaves has nothing to judge, the host need not know how many there are (`live_rows`).

`net.float8.Float8Net`'s function is the same kernel with 8-bit floats in the products of the encoder layers: it rounds
what goes into them as it is made, where operations would read and write it once more.

Here weights are packed and programs launched; what a program does is in `net.fused_kernel`.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol

import torch
import triton
from torch import Tensor

from net.blobnet import NetConfig
from net.calibration import Pairs, encoder_layers
from net.fused_kernel import NARROWEST, STEP, evaluate_kernel, live_kernel

WIDTHS = (64, 128, 256)  # of a token
MOST_ANSWERS = 128  # logits and values
LISTED = 1024  # rows to a program of `live_rows`


class Eighth(Protocol):
    """The weights of a product of 8-bit floats."""

    weight: Tensor  # [out, in] float8_e4m3fn, divided by its scale
    weight_scale: Tensor  # [] float32
    input_scale: Tensor  # [] float32, by which what is multiplied is divided before it is rounded


@dataclass(frozen=True)
class Shape:
    """Of a kernel's programs."""

    block: int  # rows
    step: int  # hidden columns at a time
    warps: int
    stages: int  # of weights, which are loaded while others are multiplied


def shape_for(capability: tuple[int, int]) -> Shape:
    """By the shared memory of a multiprocessor: 227 KB of Hopper (9.0) and Blackwell (10.0), 99 KB of consumers' cards.

    As many rows as there is room for, since each program reads all weights: with 128 an H200 would ask its L2 cache for
    3.5 TB/s at 60 million positions a second.
    """
    return Shape(128, 64, 8, stages=2) if capability in ((9, 0), (10, 0)) else Shape(64, 32, 8, stages=2)


def why_not(config: NetConfig) -> str | None:
    """Why there is no kernel for networks of these sizes; None where there is one."""
    if config.dim not in WIDTHS:
        return f"its width is {config.dim}, none of {', '.join(map(str, WIDTHS))}"
    if config.actions + config.values > MOST_ANSWERS:
        return f"it has {config.actions + config.values} answers, more than {MOST_ANSWERS}"
    return None


class Fused:
    """The kernel with a network's weights, in fixed storage.

    Args:
        config: sizes, of which `why_not` has nothing to say.
        pairs: `net.inference.folded_weights`.
        critic: `net.inference.critic_weights`; none for a network without.
        device: a GPU.
        shape: of programs.
        eighths: of each layer attention, linear1 and linear2, where these are products of 8-bit floats.
    """

    def __init__(
        self,
        config: NetConfig,
        pairs: Pairs,
        critic: Pairs,
        device: torch.device,
        shape: Shape,
        eighths: Sequence[Eighth] = (),
    ) -> None:
        self.config, self.shape, self.eight = config, shape, len(eighths) > 0
        heads = pairs[-2][0].shape[0]
        self.sizes = {
            "FEATURES": config.observation,
            "DIM": config.dim,
            "LAYERS": config.layers,
            "FFN": filled(config.ffn),
            "HEADS": filled(heads),
            "ACTIONS": config.actions,
            "VALUES": config.values,
            "ANSWERS": triton.next_power_of_2(max(NARROWEST, config.actions + config.values)),
            "HIDDEN": config.critic,
        }
        types = torch.bfloat16, torch.float32, torch.uint8, torch.float32
        packed = self._packed(pairs, critic, eighths)
        storage = [x.to(device, dtype) for x, dtype in zip(packed, types, strict=True)]
        self.matrices, self.vectors, self.eighths, self.scales = storage
        self.none = torch.zeros(1, dtype=torch.int32, device=device)  # in place of a list of rows

    def load(self, pairs: Pairs, critic: Pairs, eighths: Sequence[Eighth] = ()) -> None:
        """Takes other weights of the same sizes."""
        ours = self.matrices, self.vectors, self.eighths, self.scales
        for tensor, new in zip(ours, self._packed(pairs, critic, eighths), strict=True):
            tensor.copy_(new)

    def _packed(self, pairs: Pairs, critic: Pairs, eighths: Sequence[Eighth]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All matrices [in, out] one after the other, and all vectors, in the order in which they are used, filled up
        with zeros; matrices of 8-bit floats [out, in], as bytes, and of each the input's scale and that of the product,
        [2 a matrix]."""
        dim, ffn, heads, answers = (self.sizes[name] for name in ("DIM", "FFN", "HEADS", "ANSWERS"))
        (embed, embed_bias), norm, *_, (hidden, hidden_bias), (out, out_bias) = pairs
        sizes = (dim, dim), (dim, ffn), (ffn, dim)  # of a layer's matrices, [in, out]
        matrices = [(embed, filled(self.config.observation), dim)]
        vectors = [(embed_bias, dim), *((vector, dim) for vector in norm)]
        for attention, norm1, linear1, linear2, norm2 in encoder_layers(pairs):
            if not eighths:
                layer = attention[0], linear1[0], linear2[0]
                matrices += [(weight, *size) for weight, size in zip(layer, sizes, strict=True)]
            vectors += [(attention[1], dim), *((vector, dim) for vector in norm1)]
            vectors += [(linear1[1], ffn), (linear2[1], dim), *((vector, dim) for vector in norm2)]
        matrices += [(hidden, dim, heads), (out, heads, answers)]
        vectors += [(hidden_bias, heads), (out_bias, answers)]
        if critic:
            (first, first_bias), (second, second_bias), (last, last_bias) = critic
            matrices += [(first[:, :dim], dim, dim), (first[:, dim:], filled(self.config.critic), dim)]
            matrices += [(second, dim, dim), (last, dim, NARROWEST)]
            vectors += [(first_bias, dim), (second_bias, dim), (last_bias, NARROWEST)]
        turned = [
            _filled_up(one.weight.view(torch.uint8), outer, inner)
            for one, (inner, outer) in zip(eighths, cycle(sizes), strict=False)
        ]
        scales = [scale for one in eighths for scale in (one.input_scale, one.input_scale * one.weight_scale)]
        return (
            torch.cat([_filled_up(weight.t(), inner, outer).flatten() for weight, inner, outer in matrices]),
            torch.cat([_filled_up(vector[None], 1, width).flatten() for vector, width in vectors]),
            torch.cat([weight.flatten() for weight in turned]) if turned else embed.new_empty(0).byte(),
            torch.stack(scales) if scales else embed.new_empty(0).float(),
        )

    def __call__(
        self, observations: Tensor, hidden: Tensor | None, live: Tensor | None, logits: Tensor, values: Tensor
    ) -> None:
        """Evaluates B positions.

        Args:
            observations: [B, observation] float32, contiguous.
            hidden: [B, critic] float32, contiguous: the values are the critic's then.
            live: [B] bool, the rows to evaluate; None for all.
            logits: [B, actions] float32, written; those of other rows stay.
            values: [B, values] float32, likewise.
        """
        count = len(observations)
        rows, number = live_rows(live) if live is not None else (self.none, self.none)
        with on(observations.device):
            evaluate_kernel[(triton.cdiv(count, self.shape.block),)](
                observations,
                observations if hidden is None else hidden,
                rows,
                number,
                self.matrices,
                self.vectors,
                self.eighths.view(torch.float8_e4m3fn) if self.eight else self.matrices,
                self.scales if self.eight else self.vectors,
                logits,
                values,
                count,
                int(live is not None),
                **{**self.sizes, "HIDDEN": 0 if hidden is None else self.config.critic},
                EIGHT=self.eight,
                STEP=self.shape.step,
                BLOCK=self.shape.block,
                num_warps=self.shape.warps,
                num_stages=self.shape.stages,
                enable_fp_fusion=True,
            )


def filled(columns: int) -> int:
    """The next multiple of `STEP`."""
    return -(-columns // STEP) * STEP


def _filled_up(matrix: Tensor, rows: int, columns: int) -> Tensor:
    return torch.nn.functional.pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))


def on(device: torch.device) -> torch.cuda.device | nullcontext:
    """Makes a device the current one, on which Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def live_rows(live: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that are marked in ``live`` [B] bool, without a wait: [B] int32, of which the first ones count, in an
    order that may be another each time, and how many they are, [1] int32."""
    rows = torch.empty(live.shape, dtype=torch.int32, device=live.device)
    count = torch.zeros(1, dtype=torch.int32, device=live.device)
    with on(live.device):
        live_kernel[(triton.cdiv(len(live), LISTED),)](live, rows, count, len(live), BLOCK=LISTED, num_warps=4)
    return rows, count

"""The whole network as one Triton kernel, for GPUs that multiply bfloat16: `net.inference.InferenceNet`'s function.

A program takes some rows through all layers, so that nothing between features and answers leaves the chip: operation
by operation that is 64 KB a position of the document's network. Weights come from the L2 cache, into which all of them
fit. Only rows that are listed on the device are computed, and a program beyond their number ends at once: in a search,
where a third of the leaves has nothing to judge, the host need not know how many there are (`live_rows`).

`net.float8.Float8Net`'s function is the same kernel with 8-bit floats in the products of the encoder layers: it rounds
what goes into them as it is made, where operations would read and write it once more.

A program's rows lie in two halves of their width, so that neither a norm nor a product needs more than half of a
weight matrix at a time. Products are of bfloat16 with sums in float32, norms in float32; between them values are
rounded to bfloat16 as the operations of PyTorch round them. A row's answer does not depend on others or on its place.
"""

# No `from __future__ import annotations`: Triton reads the annotations of kernels, as objects.
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol

import torch
import triton
import triton.language as tl
from torch import Tensor

from net.blobnet import NetConfig
from net.calibration import Pairs, encoder_layers

WIDTHS = (64, 128, 256)  # of a token
MOST_ANSWERS = 128  # logits and values
STEP = 64  # hidden columns, or features, that are worked on at a time; weights are filled up to multiples with zeros
NARROWEST = 16  # columns of a product
_STEP, _NARROWEST = tl.constexpr(STEP), tl.constexpr(NARROWEST)
LISTED = 1024  # rows to a program of `live_rows`
EPSILON = tl.constexpr(1e-5)  # of norms, PyTorch's
LARGEST = tl.constexpr(448.0)  # of E4M3


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


@triton.jit(do_not_specialize=["lanes"], do_not_specialize_on_alignment=["live"])
def live_kernel(live, rows, count, lanes, BLOCK: tl.constexpr):  # noqa: N803
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    alive = tl.load(live + lane, mask=lane < lanes, other=0).to(tl.int32)
    first = tl.atomic_add(count, tl.sum(alive, axis=0))
    tl.store(rows + first + tl.cumsum(alive, axis=0) - alive, lane, mask=alive != 0)


@triton.jit
def tile(
    matrix, row, column,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, TURNED: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Rows ``row`` .. and columns ``column`` .. of a matrix [.., WIDTH], [ROWS, COLUMNS]; if TURNED is not 0, of one
    that lies in memory as [WIDTH, TURNED], as matrix units want those of 8-bit floats."""
    row, column = row + tl.arange(0, ROWS), column + tl.arange(0, COLUMNS)
    if TURNED == 0:
        return tl.load(matrix + row[:, None] * WIDTH + column[None, :])
    else:
        return tl.load(matrix + row[:, None] + column[None, :] * TURNED)


@triton.jit
def product(
    x0, x1, matrix, column,
    WIDTH: tl.constexpr, HALF: tl.constexpr, COLUMNS: tl.constexpr, TURNED: tl.constexpr = 0,  # noqa: N803
):  # fmt: skip
    """x0, x1 [BLOCK, HALF], the halves of rows, times columns ``column`` .. of a matrix [2 * HALF, WIDTH]: [BLOCK,
    COLUMNS] float32."""
    out = tl.dot(x0, tile(matrix, 0, column, WIDTH, HALF, COLUMNS, TURNED))
    return tl.dot(x1, tile(matrix, HALF, column, WIDTH, HALF, COLUMNS, TURNED), out)


@triton.jit
def eighth(x, scale):
    """x by a scale as 8-bit floats, cut off at the largest."""
    return tl.minimum(tl.maximum(x.to(tl.float32) / scale, -LARGEST), LARGEST).to(tl.float8e4nv)


@triton.jit
def part_of(vector, first, COLUMNS: tl.constexpr):  # noqa: N803
    """Entries ``first`` .. of a vector, [1, COLUMNS]."""
    return tl.load(vector + first + tl.arange(0, COLUMNS))[None, :]


@triton.jit
def normed(y0, y1, scale, HALF: tl.constexpr):  # noqa: N803
    """Layer normalisation of rows y0, y1 [BLOCK, HALF] float32, by vectors ``scale`` and, after it, shift: bfloat16."""
    mean = ((tl.sum(y0, axis=1) + tl.sum(y1, axis=1)) / (2 * HALF))[:, None]
    y0 -= mean
    y1 -= mean
    spread = tl.rsqrt((tl.sum(y0 * y0, axis=1) + tl.sum(y1 * y1, axis=1)) / (2 * HALF) + EPSILON)[:, None]
    y0 = y0 * spread * part_of(scale, 0, HALF) + part_of(scale, 2 * HALF, HALF)
    y1 = y1 * spread * part_of(scale, HALF, HALF) + part_of(scale, 3 * HALF, HALF)
    return y0.to(tl.bfloat16), y1.to(tl.bfloat16)


@triton.jit
def through(
    y0, y1, x0, x1, first, bias, second, scales,
    INNER: tl.constexpr, HALF: tl.constexpr, STEP: tl.constexpr, EIGHT: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """y0, y1 [BLOCK, HALF] and what two products with a ReLU between them make of x0, x1: through ``first`` [2 * HALF,
    INNER] and its ``bias``, and ``second`` [INNER, 2 * HALF]. Those of 8-bit floats are summed in units of their
    scale, ``scales`` [4]."""
    turned_first: tl.constexpr = 2 * HALF if EIGHT else 0
    turned_second: tl.constexpr = INNER if EIGHT else 0
    if EIGHT:
        x0, x1 = eighth(x0, tl.load(scales)), eighth(x1, tl.load(scales))
        y0 /= tl.load(scales + 3)
        y1 /= tl.load(scales + 3)
    for at in range(0, INNER, STEP):
        inner = product(x0, x1, first, at, INNER, HALF, STEP, turned_first)
        if EIGHT:
            inner *= tl.load(scales + 1)
        inner = tl.maximum(inner + part_of(bias, at, STEP), 0.0)
        inner = eighth(inner, tl.load(scales + 2)) if EIGHT else inner.to(tl.bfloat16)
        y0 = tl.dot(inner, tile(second, at, 0, 2 * HALF, STEP, HALF, turned_second), y0)
        y1 = tl.dot(inner, tile(second, at, HALF, 2 * HALF, STEP, HALF, turned_second), y1)
    if EIGHT:
        y0 *= tl.load(scales + 3)
        y1 *= tl.load(scales + 3)
    return y0, y1


@triton.jit
def features_in(
    y0, y1, features, row, inside, matrix,
    COLUMNS: tl.constexpr, HALF: tl.constexpr, STEP: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """y0, y1 [BLOCK, HALF] and features [.., COLUMNS] float32 of some rows times a matrix [.., 2 * HALF]."""
    for at in range(0, COLUMNS, STEP):
        column = at + tl.arange(0, STEP)
        there = inside[:, None] & (column < COLUMNS)[None, :]
        part = tl.load(features + row[:, None] * COLUMNS + column[None, :], mask=there, other=0.0).to(tl.bfloat16)
        y0 = tl.dot(part, tile(matrix, at, 0, 2 * HALF, STEP, HALF, 0), y0)
        y1 = tl.dot(part, tile(matrix, at, HALF, 2 * HALF, STEP, HALF, 0), y1)
    return y0, y1


@triton.jit(
    do_not_specialize=["lanes", "listed"],
    do_not_specialize_on_alignment=["observations", "beside", "rows", "count", "logits", "values"],
)
def evaluate_kernel(
    observations,  # [lanes, FEATURES] float32
    beside,  # [lanes, HIDDEN] float32, for the critic
    rows,  # [lanes] int32, those to evaluate where they are listed
    count,  # [1] int32, how many they are then
    matrices,  # as `Fused` has packed them, likewise the next three
    vectors,
    eighths,
    scales,
    logits,  # [lanes, ACTIONS] float32
    values,  # [lanes, VALUES] float32
    lanes,
    listed,  # 0 or 1
    FEATURES: tl.constexpr,  # noqa: N803
    DIM: tl.constexpr,  # noqa: N803
    LAYERS: tl.constexpr,  # noqa: N803
    FFN: tl.constexpr,  # noqa: N803
    HEADS: tl.constexpr,  # noqa: N803
    ACTIONS: tl.constexpr,  # noqa: N803
    VALUES: tl.constexpr,  # noqa: N803
    ANSWERS: tl.constexpr,  # noqa: N803
    HIDDEN: tl.constexpr,  # noqa: N803
    EIGHT: tl.constexpr,  # noqa: N803
    STEP: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    half: tl.constexpr = DIM // 2
    padded: tl.constexpr = (FEATURES + _STEP - 1) // _STEP * _STEP
    lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if listed != 0:
        lanes = tl.load(count)
    if tl.program_id(0) * BLOCK >= lanes:
        return
    inside = lane < lanes
    row = lane
    if listed != 0:
        row = tl.load(rows + lane, mask=inside, other=0)
    row = row.to(tl.int64)

    y0 = tl.zeros([BLOCK, half], tl.float32) + part_of(vectors, 0, half)
    y1 = tl.zeros([BLOCK, half], tl.float32) + part_of(vectors, half, half)
    y0, y1 = features_in(y0, y1, observations, row, inside, matrices, FEATURES, half, STEP)
    x0, x1 = normed(y0, y1, vectors + DIM, half)
    weight, vector = matrices + padded * DIM, vectors + 3 * DIM
    layer = eighths if EIGHT else weight
    for _ in range(LAYERS):
        if EIGHT:
            q0, q1 = eighth(x0, tl.load(scales)), eighth(x1, tl.load(scales))
            y0 = product(q0, q1, layer, 0, DIM, half, half, DIM) * tl.load(scales + 1)
            y1 = product(q0, q1, layer, half, DIM, half, half, DIM) * tl.load(scales + 1)
        else:
            y0 = product(x0, x1, layer, 0, DIM, half, half)
            y1 = product(x0, x1, layer, half, DIM, half, half)
        y0 += part_of(vector, 0, half) + x0
        y1 += part_of(vector, half, half) + x1
        x0, x1 = normed(y0, y1, vector + DIM, half)
        layer += DIM * DIM
        vector += 3 * DIM
        y0 = x0 + part_of(vector + FFN, 0, half)
        y1 = x1 + part_of(vector + FFN, half, half)
        y0, y1 = through(y0, y1, x0, x1, layer, vector, layer + DIM * FFN, scales + 2, FFN, half, STEP, EIGHT)
        x0, x1 = normed(y0, y1, vector + FFN + DIM, half)
        layer += 2 * DIM * FFN
        vector += FFN + 3 * DIM
        scales += 6
    if not EIGHT:
        weight = layer

    answers = tl.zeros([BLOCK, ANSWERS], tl.float32) + part_of(vector + HEADS, 0, ANSWERS)
    for at in range(0, HEADS, STEP):
        inner = product(x0, x1, weight, at, HEADS, half, STEP) + part_of(vector, at, STEP)
        inner = tl.maximum(inner, 0.0).to(tl.bfloat16)
        answers = tl.dot(inner, tile(weight + DIM * HEADS, at, 0, ANSWERS, STEP, ANSWERS, 0), answers)
    column = tl.arange(0, ANSWERS)[None, :]
    tl.store(logits + row[:, None] * ACTIONS + column, answers, mask=inside[:, None] & (column < ACTIONS))
    if HIDDEN == 0:
        value = (column >= ACTIONS) & (column < ACTIONS + VALUES)
        tl.store(values + row[:, None] * VALUES + column - ACTIONS, answers, mask=inside[:, None] & value)
    else:
        weight += DIM * HEADS + HEADS * ANSWERS
        vector += HEADS + ANSWERS
        y0 = product(x0, x1, weight, 0, DIM, half, half) + part_of(vector, 0, half)
        y1 = product(x0, x1, weight, half, DIM, half, half) + part_of(vector, half, half)
        weight += DIM * DIM
        y0, y1 = features_in(y0, y1, beside, row, inside, weight, HIDDEN, half, STEP)
        x0, x1 = tl.maximum(y0, 0.0).to(tl.bfloat16), tl.maximum(y1, 0.0).to(tl.bfloat16)
        weight += (HIDDEN + _STEP - 1) // _STEP * _STEP * DIM
        vector += DIM
        y0 = product(x0, x1, weight, 0, DIM, half, half) + part_of(vector, 0, half)
        y1 = product(x0, x1, weight, half, DIM, half, half) + part_of(vector, half, half)
        x0, x1 = tl.maximum(y0, 0.0).to(tl.bfloat16), tl.maximum(y1, 0.0).to(tl.bfloat16)
        judged = product(x0, x1, weight + DIM * DIM, 0, _NARROWEST, half, _NARROWEST)
        judged += part_of(vector + DIM, 0, _NARROWEST)
        column = tl.arange(0, _NARROWEST)[None, :]
        tl.store(values + row[:, None] * VALUES + column, judged, mask=inside[:, None] & (column < VALUES))

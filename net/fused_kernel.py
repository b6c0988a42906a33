"""What a program of the network's kernel (`net.fused`) does on a GPU, and of the one that lists the rows to evaluate.

A program's rows lie in two halves of their width, so that neither a norm nor a product needs more than half of a
weight matrix at a time. Products are of bfloat16 with sums in float32, norms in float32; between them values are
rounded to bfloat16 as the operations of PyTorch round them. A row's answer does not depend on others or on its place.
"""

# No `from __future__ import annotations`: Triton reads the annotations of kernels, as objects.
import triton
import triton.language as tl

STEP = 64  # hidden columns, or features, that are worked on at a time; weights are filled up to multiples with zeros
NARROWEST = 16  # columns of a product
_STEP, _NARROWEST = tl.constexpr(STEP), tl.constexpr(NARROWEST)
EPSILON = tl.constexpr(1e-5)  # of norms, PyTorch's
LARGEST = tl.constexpr(448.0)  # of E4M3


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

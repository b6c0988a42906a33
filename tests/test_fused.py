"""The network's kernel, interpreted and built: the answers of the operations, for live rows only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from net import PRESETS, BlobNet, Float8Net, InferenceNet, NetConfig, float8_products
from net.by_kernel import ByKernel
from net.inference import critic_weights, folded_weights

triton = pytest.importorskip("triton", reason="the network's kernel is Triton's")
from triton.runtime import interpreter  # noqa: E402

from net import fused  # noqa: E402

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the interpreter is for machines without a GPU")

CPU = torch.device("cpu")
needs_float8 = pytest.mark.skipif(not float8_products(CPU), reason="this PyTorch has no 8-bit floating-point products")
SHAPE = fused.Shape(block=16, step=32, warps=4, stages=1)
TINY = NetConfig(
    dim=64,
    layers=2,
    heads=4,
    ffn=96,
    observation=77,
    actions=60,
    values=3,
    policy_hidden=40,
    value_hidden=24,
    critic=50,
)
_dot = interpreter.InterpreterBuilder.create_dot
_convert = interpreter.InterpreterBuilder.create_fp_to_fp


def dot_of_bfloat16(
    builder: object, a: object, b: object, sums: interpreter.TensorHandle, *others: object
) -> interpreter.TensorHandle:
    """The interpreter's product, which takes the bits of bfloat16 for whole numbers, of what they mean; and summed in
    float64, where sums of so short numbers are exact, as numpy's of float32 depend on a row's place on some CPUs."""

    def widened(x: interpreter.TensorHandle) -> interpreter.TensorHandle:
        if x.dtype.scalar != triton.language.bfloat16:
            return x
        return interpreter.TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), triton.language.float32)

    exact = interpreter.TensorHandle(sums.data.astype(np.float64), triton.language.float64)
    found = _dot(builder, widened(a), widened(b), exact, *others)
    return interpreter.TensorHandle(found.data.astype(sums.data.dtype), sums.dtype.scalar)


def to_nearest_eighth(builder: object, x: interpreter.TensorHandle, to: object, *others: object) -> object:
    """The interpreter's conversion, which cuts 8-bit floats off where a GPU rounds them to the nearest."""
    if to.scalar != triton.language.float8e4nv:
        return _convert(builder, x, to, *others)
    rounded = torch.from_numpy(x.data.astype(np.float32)).to(torch.float8_e4m3fn).view(torch.uint8)
    return interpreter.TensorHandle(rounded.numpy(), triton.language.float8e4nv)


@pytest.fixture(autouse=True)
def arithmetic_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", dot_of_bfloat16)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_fp_to_fp", to_nearest_eighth)


def network(config: NetConfig, seed: int = 0) -> BlobNet:
    """With biases and norms that are not those of a new network, so that each of them counts."""
    torch.manual_seed(seed)
    net = BlobNet(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


def positions(config: NetConfig, count: int) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.rand(count, config.critic, generator=generator) < 0.3 if config.critic else None
    return torch.randn(count, config.observation, generator=generator), None if hidden is None else hidden.float()


def answers(
    net: BlobNet, observations: Tensor, hidden: Tensor | None, live: Tensor | None, shape: fused.Shape = SHAPE
) -> tuple[Tensor, Tensor]:
    """The kernel's, in tensors of sevens."""
    kernel = fused.Fused(net.config, folded_weights(net), critic_weights(net), CPU, shape)
    logits = torch.full((len(observations), net.config.actions), 7.0)
    values = torch.full((len(observations), net.config.values), 7.0)
    kernel(observations, hidden, live, logits, values)
    return logits, values


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (TINY, SHAPE),
        (TINY, fused.Shape(32, 64, 4, 1)),
        (PRESETS["small"], fused.shape_for((9, 0))),
        pytest.param(PRESETS["document"], fused.shape_for((9, 0)), marks=pytest.mark.slow),
        pytest.param(replace(PRESETS["small"], critic=156), fused.shape_for((8, 9)), marks=pytest.mark.slow),
    ],
)
def test_the_kernel_is_as_near_to_the_network_as_the_operations_in_bfloat16(
    config: NetConfig, shape: fused.Shape
) -> None:
    net, count = network(config), 37
    observations, hidden = positions(config, count)
    exact = InferenceNet(net, torch.float64)(observations, None, hidden)
    by_operations = InferenceNet(net, torch.bfloat16)(observations, None, hidden)
    found = answers(net, observations, hidden, None, shape)
    for kernel, operations, truth in zip(found, by_operations, exact, strict=True):
        assert (kernel - truth).abs().max() <= 1.5 * (operations - truth).abs().max()
        assert truth.std() > 50 * (kernel - truth).abs().mean()  # they differ by much more from position to position


@needs_float8
@pytest.mark.parametrize("config", [TINY, pytest.param(PRESETS["small"], marks=pytest.mark.slow)])
def test_in_8_bits_it_is_as_near_as_those_operations(config: NetConfig) -> None:
    net, count = network(config), 37
    observations, hidden = positions(config, count)
    by_operations = Float8Net(net, observations)
    kernel = fused.Fused(config, folded_weights(net), critic_weights(net), CPU, SHAPE, by_operations._eighths())
    found = torch.zeros(count, config.actions), torch.zeros(count, config.values)
    kernel(observations, hidden, None, *found)
    exact = InferenceNet(net, torch.float64)(observations, None, hidden)
    for ours, operations, truth in zip(found, by_operations(observations, None, hidden), exact, strict=True):
        rounding = (operations - truth).abs().mean()
        assert 0.5 * rounding < (ours - truth).abs().mean() < 1.5 * rounding
        assert (ours - operations).abs().mean() < rounding


def test_without_the_critic_a_network_that_has_one_answers_by_its_own_values() -> None:
    net = network(TINY)
    observations, _ = positions(TINY, 5)
    found, expected = answers(net, observations, None, None), InferenceNet(net, torch.float64)(observations)
    assert all((x - y).abs().max() < 0.05 for x, y in zip(found, expected, strict=True))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_only_live_rows_are_answered_and_wherever_they_lie(live: list[bool]) -> None:
    marked = torch.tensor(live)
    net = network(TINY)
    observations, hidden = positions(TINY, len(live))
    every, found = (answers(net, observations, hidden, rows) for rows in (None, marked))
    for ours, all_of_them in zip(found, every, strict=True):
        assert torch.equal(ours[marked], all_of_them[marked]) and (ours[~marked] == 7).all()


@pytest.mark.parametrize("count", [1, 1024, 2500])
def test_live_rows_are_each_listed_once(count: int) -> None:
    live = torch.rand(count, generator=torch.Generator().manual_seed(2)) < 0.4
    rows, number = fused.live_rows(live)
    assert rows[: int(number)].sort().values.tolist() == live.nonzero()[:, 0].tolist()


def test_other_weights_take_the_place_of_the_first() -> None:
    first, second = network(TINY), network(TINY, seed=3)
    kernel = fused.Fused(TINY, folded_weights(first), critic_weights(first), CPU, SHAPE)
    storage = kernel.matrices.data_ptr(), kernel.vectors.data_ptr()
    kernel.load(folded_weights(second), critic_weights(second))
    fresh = fused.Fused(TINY, folded_weights(second), critic_weights(second), CPU, SHAPE)
    assert storage == (kernel.matrices.data_ptr(), kernel.vectors.data_ptr())
    assert torch.equal(kernel.matrices, fresh.matrices) and torch.equal(kernel.vectors, fresh.vectors)


def test_a_kernel_that_was_left_takes_other_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs that were recorded before may read them."""
    first, second = network(TINY), network(TINY, seed=3)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    ours = ByKernel(TINY, folded_weights(first), critic_weights(first), CPU, lambda: "")
    kernel = ours.kernel
    ours._leave("of some reason")
    assert ours.kernel is None
    ours.load(folded_weights(second), critic_weights(second))
    fresh = fused.Fused(TINY, folded_weights(second), critic_weights(second), CPU, SHAPE)
    assert torch.equal(kernel.matrices, fresh.matrices) and torch.equal(kernel.vectors, fresh.vectors)


def test_sizes_without_a_kernel_say_so() -> None:
    assert fused.why_not(PRESETS["document"]) is None
    assert fused.why_not(replace(TINY, dim=96)) == "its width is 96, none of 64, 128, 256"
    assert fused.why_not(replace(TINY, actions=126)) == "it has 129 answers, more than 128"

"""The network's kernel where networks are run: taken on a GPU, an emulated one too, and left where it does not work."""

from __future__ import annotations

import logging
from unittest import mock

import pytest
import torch
from torch import Tensor

from net import Float8Net, InferenceNet, float8_products
from tests.emulated_gpu import EmulatedGpu

pytest.importorskip("triton", reason="the network's kernel is Triton's")
from net import fused
from tests.test_fused import TINY, network, positions

CUDA_OR_CPU = torch.device("cuda" if torch.cuda.is_available() else "cpu")
needs_float8 = pytest.mark.skipif(
    not float8_products(CUDA_OR_CPU), reason="this PyTorch or GPU has no 8-bit floating-point products"
)


@pytest.mark.gpu
def test_networks_on_a_gpu_in_bfloat16_take_it(gpu: EmulatedGpu | None, caplog: pytest.LogCaptureFixture) -> None:
    net = network(TINY).to("cuda")
    observations, hidden = (x.to("cuda") for x in positions(TINY, 9))
    live = torch.arange(9, device="cuda") % 2 == 0
    by_kernel, plain = InferenceNet(net, torch.bfloat16), InferenceNet(net, torch.bfloat16, fused=False)
    assert by_kernel.skips_rows and not plain.skips_rows
    for beside in (None, hidden):
        found, expected = by_kernel(observations, None, beside, live), plain(observations, None, beside, live)
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours - theirs)[live].abs().max() < 0.05 and (ours[~live] == 0).all() and (theirs[~live] != 0).any()
    assert not InferenceNet(net, torch.float32).skips_rows
    assert not InferenceNet(net, torch.bfloat16, micro_batch=4).skips_rows
    other = network(TINY, seed=3).to("cuda")
    by_kernel.refresh(other)
    fresh = InferenceNet(other, torch.bfloat16)
    assert all(map(torch.equal, by_kernel(observations), fresh(observations)))
    assert caplog.records == []


@needs_float8
@pytest.mark.gpu
def test_8_bit_floats_on_a_gpu_take_it_and_go_on_in_bfloat16_without(
    gpu: EmulatedGpu | None, caplog: pytest.LogCaptureFixture
) -> None:
    net, other = network(TINY).to("cuda"), network(TINY, seed=3).to("cuda")
    observations, _ = (x.to("cuda") for x in positions(TINY, 9))
    form = Float8Net(net, observations)
    assert form.skips_rows and form.rounds
    form(observations)
    form.refresh(other)
    assert all(map(torch.equal, form(observations), Float8Net(other, observations)(observations)))
    assert caplog.records == []
    with mock.patch.object(fused.Fused, "__call__", side_effect=RuntimeError("no room")):
        left = Float8Net(net, observations)
        found = left(observations)
    assert not left.skips_rows and not left.rounds
    plain = InferenceNet(net, torch.bfloat16, fused=False)(observations)
    assert all((ours - theirs).abs().max() < 0.02 for ours, theirs in zip(found, plain, strict=True))
    said = f"the network on {left.device} goes on without its kernel in bfloat16: no room"
    assert [record.message for record in caplog.records] == [said]


@pytest.mark.gpu
@pytest.mark.parametrize("fault", ["fails", "is wrong"])
def test_a_kernel_that_does_not_work_is_left_in_one_line(
    fault: str, gpu: EmulatedGpu | None, caplog: pytest.LogCaptureFixture
) -> None:
    net = network(TINY).to("cuda")
    observations, _ = (x.to("cuda") for x in positions(TINY, 9))

    def faulty(
        self: object, observations: Tensor, hidden: object, live: object, logits: Tensor, values: Tensor
    ) -> None:
        if fault == "fails":
            raise RuntimeError("no room\nfor it")
        logits.fill_(5.0)
        values.fill_(0.0)

    tried, plain = InferenceNet(net, torch.bfloat16), InferenceNet(net, torch.bfloat16, fused=False)
    with mock.patch.object(fused.Fused, "__call__", faulty), caplog.at_level(logging.WARNING, "vecgame.fallback"):
        found = tried(observations)
    reason = "no room" if fault == "fails" else "it answers otherwise than the operations"
    said = f"the network on {tried.device} goes on without its kernel: {reason}"
    assert [record.message for record in caplog.records] == [said]
    assert not tried.skips_rows and all(map(torch.equal, found, plain(observations)))

"""The 8-bit form against its own arithmetic in integers, and against the network."""

import pytest
import torch

from net import PRESETS, BlobNet, InferenceNet, Int8Net, int8, int8_available
from net.calibration import activation_spans
from net.inference import folded_weights
from net.int8 import _Int8Linear
from tests.test_net import TINY, observations, random_net
from vecgame import Blob
from veclab.bench.agreement import agreement, available
from veclab.precision import check_precision, inference_net, positions
from vecmcts import SearchConfig

needs_int8 = pytest.mark.skipif(not int8_available(), reason="this CPU or PyTorch has no 8-bit products")
CPU = torch.device("cpu")


def exact_product(linear: _Int8Linear, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The layer's definition, in integers: levels of x and of the weights, their product, the scales."""
    levels = (x.double() / linear.scale + linear.zero).round().clamp(0, 255).long() - linear.zero
    weights = (weight.double() / linear.weight_scale[:, None].double()).round().long()
    return (levels @ weights.t()).double() * linear.scale * linear.weight_scale.double() + linear.bias.double()


@needs_int8
@pytest.mark.parametrize("span", [(-3.0, 5.0), (0.5, 4.0), (-6.0, -1.0)])
def test_a_layer_computes_what_it_says(span: tuple[float, float]) -> None:
    """Also for values beyond the span, which are cut off."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(48, 32, generator=generator), torch.randn(48, generator=generator)
    x = torch.randn(70, 32, generator=generator) * 3
    residual = torch.randn(70, 48, generator=generator)
    linear, following = _Int8Linear(weight, bias, span), _Int8Linear(torch.eye(48), torch.zeros(48), (0.0, 40.0))
    expected = exact_product(linear, weight, x)
    assert torch.allclose(linear.add(x, residual).double(), expected + residual, atol=1e-4)
    levels = (expected.clamp(min=0) / following.scale).round().clamp(max=255)
    found = linear.relu(x, following)
    assert found.dtype == torch.uint8 and (found.double() - levels).abs().max() <= 1  # a tie may go either way
    assert (found.double() == levels).double().mean() > 0.99


@needs_int8
@pytest.mark.parametrize("config", [TINY, PRESETS["small"]], ids=["tiny", "small"])
def test_it_is_near_the_network(config) -> None:
    net = random_net(config)
    rows = observations(config, 1500)
    quantised = Int8Net(net, rows[:500], micro_batch=256)
    logits, values = quantised(rows)
    exact_logits, exact_values = InferenceNet(net, torch.float32)(rows)
    assert logits.dtype == values.dtype == torch.float32
    # Bounds: 8 bits of a tensor's range are some 1% of its spread; six sums of such errors.
    assert (logits - exact_logits).std() < 0.06 * exact_logits.std()
    assert (values - exact_values).std() < 0.06 * exact_values.std(0).mean()
    assert not torch.equal(logits, exact_logits)


@needs_int8
def test_rows_do_not_see_each_other() -> None:
    net, rows = random_net(PRESETS["small"]), observations(PRESETS["small"], 200)
    quantised = Int8Net(net, rows[:50])
    logits, values = quantised(rows)
    for count in (1, 7, 130):
        part = quantised(rows[:count])
        assert torch.equal(part[0], logits[:count]) and torch.equal(part[1], values[:count])
    assert quantised(rows[:0])[0].shape == (0, 52)


@needs_int8
def test_refreshing_takes_new_weights_and_ranges() -> None:
    first, second = random_net(TINY, seed=0), random_net(TINY, seed=1)
    rows = observations(TINY, 300)
    quantised = Int8Net(first, rows)
    before = quantised(rows)[0]
    quantised.refresh(second)
    assert torch.equal(quantised(rows)[0], Int8Net(second, rows)(rows)[0])
    assert not torch.equal(quantised(rows)[0], before)


def test_spans_are_of_what_the_layers_are_given() -> None:
    """By hooks in the network itself."""
    net, rows = random_net(TINY), observations(TINY, 400)
    seen: list[tuple[float, float]] = []
    for layer in net.layers:
        for part in (layer.self_attn, layer.linear1, layer.linear2):
            part.register_forward_hook(lambda _, inputs, __: seen.append((inputs[0].min(), inputs[0].max())))
    with torch.no_grad():
        net(rows)
    pairs = [(weight.float(), bias.float()) for weight, bias in folded_weights(net)]
    found = [bound for layer in activation_spans(pairs, rows) for span in layer for bound in span]
    assert found == pytest.approx([float(bound) for span in seen for bound in span], abs=1e-5)


@needs_int8
def test_searches_by_precision_are_compared() -> None:
    net = random_net(PRESETS["small"])
    found = agreement(net, Blob(cards=3), SearchConfig(worlds=2, simulations=8), 40, available(CPU), CPU)
    rows = [row for row, _ in found]
    found = {row.precision: row for row in rows}
    assert list(found) == ["float32", "bfloat16", "int8"]
    assert found["float32"].same_action == 1 and found["float32"].divergence == 0
    assert found["int8"].positions > 100
    assert found["int8"].same_action > 0.9 and 0 < found["int8"].network_divergence < 0.01


@pytest.mark.parametrize("count", [1, 50, 1024])
def test_positions_are_of_all_games_and_the_same_every_time(count: int) -> None:
    games = [Blob(cards=2), Blob(cards=5)]
    rows = positions(games, count)
    assert rows.shape == (count, 256) and torch.equal(rows, positions(games, count))
    dealt = rows[:, 250] * 13
    assert int((dealt.round() == 2).sum()) == -(-count // 2)


def test_bad_input_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="precision must be one of auto, float32, bfloat16, float8, int8, got 'int4'"):
        inference_net(BlobNet(TINY), "int4", [Blob()])
    with pytest.raises(ValueError, match="for CPUs"):
        check_precision("int8", torch.device("cuda"))
    with pytest.raises(ValueError, match="float8 needs an NVIDIA GPU from Ada or Hopper on, not cpu"):
        check_precision("float8", CPU)
    monkeypatch.setattr("veclab.precision.int8_available", lambda: False)
    with pytest.raises(ValueError, match="needs a CPU with VNNI"):
        check_precision("int8", CPU)
    monkeypatch.setattr(int8, "int8_available", lambda: False)
    with pytest.raises(ValueError, match="VNNI"):
        Int8Net(BlobNet(TINY), observations(TINY, 3))


@needs_int8
def test_observations_are_needed() -> None:
    with pytest.raises(ValueError, match="observations"):
        Int8Net(BlobNet(TINY), observations(TINY, 0))

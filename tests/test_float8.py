"""The form in 8-bit floats against its own arithmetic, and against the network; and networks compiled into few kernels.
On a CPU, which computes the same function, and on a GPU if there is one that multiplies 8-bit floats."""

import logging
from types import SimpleNamespace

import pytest
import torch

from net import PRESETS, BlobNet, Float8Net, InferenceNet, float8_products
from net.float8 import E4M3, _Float8Linear, rounded
from tests.runs import changed, quiet
from tests.test_net import observations, random_net
from vecgame import Blob
from veclab import precision as precision_module
from veclab.bench import command as bench
from veclab.bench.agreement import agreement, available, comparable
from veclab.bench.measure import arithmetic
from veclab.training.run import Run
from vecmcts import SearchConfig

CPU = torch.device("cpu")
SMALL = PRESETS["small"]
needs_float8 = pytest.mark.skipif(not float8_products(CPU), reason="this PyTorch has no 8-bit floating-point products")


def test_rounding_by_hand() -> None:
    """E4M3 has 8 steps between powers of two, 448 as its largest value, and no infinity."""
    x = torch.tensor([1.0, 1.06, 1.07, -17.0, 440.0, 500.0, -1e9, 0.0])
    one = torch.ones(())
    assert rounded(x, one).float().tolist() == [1.0, 1.0, 1.125, -16.0, 448.0, 448.0, -448.0, 0.0]
    assert rounded(2 * x, 2 * one).float().equal(rounded(x, one).float())


@needs_float8
@pytest.mark.parametrize("span", [(-3.0, 5.0), (0.0, 4.0), (-600.0, 1.0)])
def test_a_layer_computes_what_it_says(span: tuple[float, float]) -> None:
    """Also for values beyond twice the span, which are cut off."""
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(48, 32, generator=generator), torch.randn(48, generator=generator)
    x = (torch.randn(70, 32, generator=generator) * 3).bfloat16().float()
    x[:, 0] *= 8
    layer = _Float8Linear(weight, bias, span, CPU)
    scale, weight_scale = 2 * max(-span[0], span[1]) / 448, weight.abs().max() / 448
    levels = (x / scale).clamp(-448, 448).to(E4M3).double()
    weights = (weight / weight_scale).to(E4M3).double()
    expected = levels @ weights.t() * (scale * float(weight_scale)) + bias.bfloat16().double()
    found = layer(x)
    assert found.dtype == torch.bfloat16
    # Rounded twice at the end: the product, and its sum with the bias.
    assert ((found.double() - expected).abs() <= 2.0**-8 * (expected.abs() + bias.abs() + 0.1)).all()


@needs_float8
def test_it_is_near_the_network() -> None:
    net, rows = random_net(SMALL), observations(SMALL, 300)
    logits, values = Float8Net(net, rows[:200], micro_batch=128)(rows)
    exact_logits, exact_values = InferenceNet(net, torch.float32)(rows)
    assert logits.dtype == values.dtype == torch.float32
    # Bounds: a mantissa of three bits is off by 2 to 3% of a factor; six sums of products of two of them.
    assert 0.005 < (logits - exact_logits).std() / exact_logits.std() < 0.12
    assert (values - exact_values).std() < 0.12 * exact_values.std(0).mean()


@needs_float8
def test_rows_do_not_see_each_other() -> None:
    net, rows = random_net(SMALL), observations(SMALL, 60)
    form = Float8Net(net, rows[:50])
    whole = form(rows)
    for count in (1, 7, 40):
        # bfloat16's sums may round otherwise in a batch of another size, and no more than that.
        for part, all_rows in zip(form(rows[:count]), whole, strict=True):
            assert part.allclose(all_rows[:count], atol=0.05 * float(all_rows.std()))
    assert form(rows[:0])[0].shape == (0, 52)


@needs_float8
def test_refreshing_takes_new_weights_and_scales_where_the_old_ones_lie() -> None:
    first, second = random_net(SMALL, seed=0), random_net(SMALL, seed=1)
    rows = observations(SMALL, 16)
    form = Float8Net(first, rows)
    before = form(rows)[0]
    places = [t.data_ptr() for layer in form._float8 for linear in layer for t in vars(linear).values()]
    form.refresh(second)
    assert form(rows)[0].equal(Float8Net(second, rows)(rows)[0]) and not form(rows)[0].equal(before)
    assert places == [t.data_ptr() for layer in form._float8 for linear in layer for t in vars(linear).values()]


@needs_float8
def test_searches_with_it_are_compared() -> None:
    """Though no CPU may be asked to play with it."""
    assert "float8" in comparable(CPU) and "float8" not in available(CPU)
    config = SearchConfig(worlds=1, simulations=4)
    found = agreement(random_net(SMALL), Blob(cards=2), config, 8, ["float32", "float8"], CPU)
    (exact, _), (rough, ways) = found
    assert ways == {"eager": 1}
    assert exact.same_action == 1 and exact.divergence == 0
    assert rough.same_action > 0.8 and 0 < rough.network_divergence < 0.05


@needs_float8
def test_bad_input_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = observations(SMALL, 3)
    with pytest.raises(ValueError, match="observations"):
        Float8Net(BlobNet(SMALL), rows[:0])
    monkeypatch.setattr("net.float8.float8_products", lambda device: False)
    with pytest.raises(ValueError, match="float8 needs a GPU of compute capability"):
        Float8Net(BlobNet(SMALL), rows)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float8"])
def test_a_compiled_network_is_the_same_function(precision: str) -> None:
    """For batches of several sizes, and after a refresh."""
    first, second = random_net(SMALL, seed=0), random_net(SMALL, seed=1)
    rows = observations(SMALL, 300)

    def form(net: BlobNet, compile: bool) -> InferenceNet:
        if precision == "float8":
            return Float8Net(net, rows, compile=compile)
        return InferenceNet(net, getattr(torch, precision), compile=compile)

    fused = form(first, True)
    for net in (first, second):
        fused.refresh(net)
        plain = form(net, False)
        for count in (300, 17, 64):
            for found, expected in zip(fused(rows[:count]), plain(rows[:count]), strict=True):
                tolerance = 1e-5 if precision == "float32" else 0.08 * float(expected.std())
                assert found.allclose(expected, atol=tolerance)
    assert fused._compiled is not None  # it did not fall back


def test_without_a_compiler_the_network_goes_on(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    def broken(function: object) -> object:
        def fail(*arguments: object) -> None:
            raise RuntimeError("no compiler\nand a long explanation")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    net, rows = random_net(SMALL), observations(SMALL, 20)
    form = InferenceNet(net, torch.float32, compile=True)
    with caplog.at_level(logging.WARNING):
        assert form(rows)[0].equal(InferenceNet(net, torch.float32)(rows)[0])
        form(rows)
    assert [r.getMessage() for r in caplog.records] == ["the network on cpu goes on uncompiled: no compiler"]
    assert not form.compiled and InferenceNet(net, torch.float32, compile=True).compiled

    rounded_form, caplog_before = Float8Net(net, rows, compile=True), len(caplog.records)
    assert arithmetic(rounded_form) == "float8"
    with caplog.at_level(logging.WARNING):  # unfused it would be slower than what it goes on in
        assert rounded_form(rows)[0].equal(InferenceNet(net, torch.bfloat16, compile=True)(rows)[0])
    said = caplog.records[caplog_before].getMessage()
    assert said == "the network on cpu goes on uncompiled in bfloat16: no compiler"
    assert arithmetic(rounded_form) == "bfloat16"


@pytest.mark.parametrize(
    "fused",
    [
        pytest.param(False, marks=pytest.mark.gpu),
        pytest.param(
            True, marks=[pytest.mark.slow, pytest.mark.gpu(emulated=False, reason="compiles kernels with Triton")]
        ),
    ],
)
def test_a_gpu_computes_what_a_cpu_does(fused: bool) -> None:
    gpu = torch.device("cuda")
    if not float8_products(gpu):
        pytest.skip("this GPU multiplies no 8-bit floats")
    net, rows = random_net(SMALL), observations(SMALL, 500)
    here = Float8Net(net, rows)(rows)
    form = Float8Net(net, rows, gpu, compile=fused)
    for found, expected in zip(form(rows.to(gpu)), here, strict=True):
        assert (found.cpu() - expected).std() < 0.02 * expected.std()
    assert form.compiled == fused  # it has not fallen back


def test_compile_reaches_the_network_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of a stand-in: no network is made."""
    asked: list[bool] = []
    monkeypatch.setattr(precision_module, "form_of", lambda net, name, games, compile: asked.append(compile))
    for device in ("cuda", "cpu"):
        for fused in (True, False):
            net = SimpleNamespace(position=SimpleNamespace(device=torch.device(device)))
            precision_module.inference_net(net, "float32", [Blob()], fused)
    assert asked == [True, False, False, False]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.slow
def test_a_run_and_the_benchmarks_pass_compile_on(fused: bool, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def spy(net: BlobNet, name: str, games: object, compile: bool = False) -> InferenceNet:
        asked.append(compile)
        return precision_module.inference_net(net, name, games, compile)

    for module in ("veclab.training.run", "veclab.bench.parts", "veclab.bench.command"):
        monkeypatch.setattr(f"{module}.inference_net", spy)
    monkeypatch.setattr("veclab.training.state.check_ways", lambda *_: None)  # which refuses --compile without a GPU
    Run.create(tmp_path / "run", changed(compile=fused, device="cpu"), quiet())._player()
    monkeypatch.setattr(bench, "check", lambda options, device: None)  # which refuses --compile without a GPU
    monkeypatch.setattr(bench, "is_emulated", lambda *_: False)  # which would leave one of them out on some CPUs
    flags = ["--device=cpu", "--quick", "--network=small", "--repeats=1", "--cards=1", "--simulations=1", "--batches=2"]
    for what in ("net", "self-play"):
        assert bench.main([what, *flags, *["--compile"] * fused]) == 0
    assert len(asked) >= 4 and set(asked) == {fused}


def test_a_compiled_network_that_has_no_memory_says_so_and_stays_compiled(monkeypatch) -> None:
    """Whoever called it tries a smaller batch then."""

    def full(function: object):
        def fail(*arguments: object) -> None:
            raise torch.OutOfMemoryError

        return fail

    monkeypatch.setattr(torch, "compile", full)
    form = InferenceNet(random_net(SMALL), torch.float32, compile=True)
    with pytest.raises(torch.OutOfMemoryError):
        form(observations(SMALL, 20))
    assert form.compiled

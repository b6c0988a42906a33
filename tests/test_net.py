"""The network against PyTorch's own encoder, and the inference form against the network."""

import copy
import dataclasses
import pickle
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from net import PRESETS, BlobNet, InferenceNet, NetConfig, default_inference_dtype, parameter_count
from net.inference import CPU_MICRO_BATCH

# Every size differs from every other, so that a swapped dimension cannot pass.
TINY = NetConfig(
    dim=24, layers=2, heads=3, ffn=40, observation=20, actions=9, values=4, policy_hidden=16, value_hidden=12
)


def random_net(config: NetConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> BlobNet:
    """A network as if trained: no bias is 0, no norm weight 1; logits spread by 2 points, values by 0.15."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = BlobNet(config)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
        logits, values = net(observations(config, 512))
        net.policy_out.weight.mul_(2.0 / logits.std(0).mean())
        net.value_out.weight.mul_(0.15 / values.std(0).mean())
    return net.to(dtype)


def observations(config: NetConfig, rows: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(rows, config.observation, generator=generator) < 0.3).to(dtype)


def torch_encoder(net: BlobNet) -> nn.TransformerEncoder:
    """PyTorch's encoder with the weights of `net`, in float64."""
    config = net.config
    layer = nn.TransformerEncoderLayer(
        config.dim, config.heads, config.ffn, dropout=0.0, activation="relu", batch_first=True, norm_first=False
    )
    encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False).double()
    for theirs, ours in zip(encoder.layers, net.layers, strict=True):
        theirs.load_state_dict(ours.state_dict())
    return encoder


def through_encoder(net: BlobNet, encoder: nn.TransformerEncoder, obs: torch.Tensor) -> torch.Tensor:
    """Logits and values side by side, with a sequence of one token through `encoder`."""
    x = F.layer_norm(F.linear(obs, net.embed.weight, net.embed.bias), (net.config.dim,)) * net.embed_norm.weight
    x = encoder((x + net.embed_norm.bias + net.position)[:, None])[:, 0]
    return torch.cat([net.policy_out(net.policy_hidden(x).relu()), net.value_out(net.value_hidden(x).relu())], 1)


# -- the network --


def test_parameter_counts():
    assert parameter_count(BlobNet(NetConfig(values=1))) == 4_917_301  # the document's
    assert parameter_count(BlobNet()) == 4_917_688
    assert parameter_count(BlobNet(PRESETS["document"])) == 4_917_688
    assert parameter_count(BlobNet(PRESETS["small"])) == 659_832


@pytest.mark.parametrize("config", [TINY, NetConfig(layers=2)], ids=["tiny", "document-width"])
def test_equals_torch_encoder_and_ignores_query_and_key(config):
    net = random_net(config, dtype=torch.float64)
    obs = observations(config, 17, torch.float64)
    for training in (True, False):  # eval mode takes PyTorch's fused fast path
        encoder = torch_encoder(net).train(training)
        with torch.no_grad():
            ours = torch.cat(net(obs), 1)
            torch.testing.assert_close(through_encoder(net, encoder, obs), ours, rtol=0, atol=1e-12)
            for layer in encoder.layers:
                layer.self_attn.in_proj_weight[: 2 * config.dim].normal_()
                layer.self_attn.in_proj_bias[: 2 * config.dim].normal_()
            torch.testing.assert_close(through_encoder(net, encoder, obs), ours, rtol=0, atol=1e-12)


def test_every_parameter_but_query_and_key_learns():
    net = random_net(TINY)
    obs = observations(TINY, 32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.0)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    logits, values = net(obs)
    (logits.logsumexp(1).mean() + values.square().mean()).backward()
    optimizer.step()
    for name, parameter in net.named_parameters():
        gradient, moved = parameter.grad, parameter.detach() - before[name]
        if "in_proj" in name:
            query_key = 2 * TINY.dim
            assert not gradient[:query_key].any() and not moved[:query_key].any(), name
            gradient, moved = gradient[query_key:], moved[query_key:]
        assert gradient.any() and moved.any(), name
        assert gradient.isfinite().all(), name


def test_outputs_and_first_guess():
    net = BlobNet()
    mask = torch.zeros(300, 52, dtype=torch.bool)
    logits, values = net(observations(net.config, 300, torch.float64), mask)  # any floating input; mask not applied
    assert logits.shape == (300, 52) and values.shape == (300, 4)
    assert logits.dtype == values.dtype == torch.float32 and logits.isfinite().all()
    probabilities = logits.softmax(1)
    assert probabilities.min() > 0.5 / 52 and probabilities.max() < 2 / 52
    assert values.min() > 0 and values.max() < 0.5


def test_scalar_head():
    config = dataclasses.replace(TINY, values=1)
    net = random_net(config)
    for evaluator in (net, InferenceNet(net), InferenceNet(net, torch.float32)):
        logits, values = evaluator(observations(config, 5), None)
        assert logits.shape == (5, 9) and values.shape == (5, 1)


@pytest.mark.parametrize(
    "change", [{"dim": 0}, {"layers": -1}, {"ffn": 2.5}, {"values": True}, {"dim": 30, "heads": 4}]
)
def test_bad_config(change):
    with pytest.raises(ValueError, match=f"^NetConfig.{list(change)[-1]} must .*$"):
        NetConfig(**change)


def test_config_round_trip():
    assert NetConfig.from_dict(TINY.to_dict()) == TINY
    assert NetConfig.from_dict({"layers": 2}) == NetConfig(layers=2)
    with pytest.raises(ValueError, match="NetConfig has no field depth, width"):
        NetConfig.from_dict({"width": 8, "depth": 2, "layers": 2})


# -- the inference form --


@pytest.mark.parametrize("config", [TINY, *PRESETS.values()], ids=["tiny", *PRESETS])
def test_folded_form_is_the_same_function(config):
    net = random_net(config, dtype=torch.float64)
    obs = observations(config, 33, torch.float64)
    logits, values = InferenceNet(net, torch.float64)(obs)
    assert logits.dtype == values.dtype == torch.float64
    with torch.no_grad():
        expected_logits, expected_values = net(obs)
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(values, expected_values, rtol=0, atol=1e-10)


# Mean and maximal KL divergence of the policy, mean and maximal error of a value, over 512 positions. Measured for the
# document network in bfloat16: 0.0005, 0.003, 0.002, 0.011.
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "dtype, tolerances",
    [(torch.bfloat16, (2e-3, 2e-2, 1e-2, 5e-2)), (torch.float32, (1e-6, 1e-6, 1e-5, 1e-5))],
    ids=["bfloat16", "float32"],
)
def test_precision(preset, dtype, tolerances):
    net = random_net(PRESETS[preset])
    obs = observations(net.config, 512)
    logits, values = InferenceNet(net, dtype)(obs)
    assert logits.dtype == values.dtype == torch.float32
    with torch.no_grad():
        expected_logits, expected_values = net(obs)
    kl = F.kl_div(logits.log_softmax(1), expected_logits.log_softmax(1), reduction="none", log_target=True).sum(1)
    error = (values - expected_values).abs()
    measured = (kl.mean().item(), kl.max().item(), error.mean().item(), error.max().item())
    assert all(m < t for m, t in zip(measured, tolerances, strict=True)), measured


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 21])
def test_micro_batches(rows):
    net = random_net(TINY, dtype=torch.float64)
    obs = observations(TINY, rows, torch.float64)
    whole = InferenceNet(net, torch.float64, micro_batch=1000)(obs)
    split = InferenceNet(net, torch.float64, micro_batch=7)(obs)
    assert whole[0].shape == (rows, 9) and whole[1].shape == (rows, 4)
    for a, b in zip(whole, split, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_rows_do_not_see_each_other():
    net = random_net(TINY)
    inference = InferenceNet(net, torch.bfloat16)  # pads the rows on a CPU with oneDNN's bfloat16
    obs = observations(TINY, 150)
    logits, values = inference(obs)
    shuffled = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    for rows in (slice(0, 1), slice(3, 6), slice(0, 64), slice(10, 75), shuffled):
        some_logits, some_values = inference(obs[rows])
        torch.testing.assert_close(some_logits, logits[rows], rtol=0, atol=0.05)
        torch.testing.assert_close(some_values, values[rows], rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_snapshot_and_refresh(dtype):
    source, other = random_net(TINY, dtype=dtype), random_net(TINY, seed=5, dtype=dtype)
    obs = observations(TINY, 64)
    inference = InferenceNet(source, dtype)
    assert not any(block.weight.requires_grad for block in inference._blocks)
    storage = [(block.weight.data_ptr(), block.bias.data_ptr()) for block in inference._blocks]
    before = inference(obs)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    assert all(torch.equal(a, b) for a, b in zip(inference(obs), before, strict=True))

    inference.refresh(other)
    assert storage == [(block.weight.data_ptr(), block.bias.data_ptr()) for block in inference._blocks]
    fresh = InferenceNet(other, dtype)(obs)
    assert all(torch.equal(a, b) for a, b in zip(inference(obs), fresh, strict=True))
    assert not torch.equal(fresh[0], before[0])
    with pytest.raises(ValueError, match="same configuration"):
        inference.refresh(BlobNet(dataclasses.replace(TINY, layers=3)))


def test_outputs_may_be_changed_in_place_and_carry_no_gradient():
    logits, values = InferenceNet(random_net(TINY))(observations(TINY, 4))
    logits.masked_fill_(torch.ones(4, 9, dtype=torch.bool), float("-inf"))
    values.mul_(2)
    assert not logits.requires_grad and not logits.is_inference()


@pytest.mark.parametrize("compile", [False, True])
def test_a_copy_runs_compiled_if_the_network_did(compile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    network = InferenceNet(random_net(TINY), torch.float32, compile=compile)
    for again in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert again.compiled == network.compiled == compile


def test_inference_arguments():
    net = random_net(TINY)
    assert default_inference_dtype("cpu") in (torch.bfloat16, torch.float32)
    assert InferenceNet(net).dtype == default_inference_dtype("cpu")
    assert InferenceNet(net).micro_batch == CPU_MICRO_BATCH
    with pytest.raises(ValueError, match="floating type"):
        InferenceNet(net, torch.int64)
    with pytest.raises(ValueError, match="micro_batch must be positive"):
        InferenceNet(net, micro_batch=0)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0)])
def test_gpus_infer_in_bfloat16_from_ampere_on(capability, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert default_inference_dtype("cuda") == (torch.float32 if capability < (8, 0) else torch.bfloat16)
    assert default_inference_dtype("meta") == torch.float32


def test_copies_of_a_compiled_network_are_compiled_themselves(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: lambda *inputs: function(*inputs))
    obs, inference = observations(TINY, 3), InferenceNet(random_net(TINY), torch.float32, compile=True)
    for again in (pickle.loads(pickle.dumps(inference)), copy.deepcopy(inference)):
        assert again.compiled and torch.equal(again(obs)[0], inference(obs)[0])
        again.refresh(random_net(TINY, seed=5))
        assert not torch.equal(again(obs)[0], inference(obs)[0])


def test_a_compiled_network_without_memory_says_so_and_stays_compiled():
    """The caller tries a smaller batch; only what else fails is given up."""
    inference = InferenceNet(random_net(TINY), torch.float32)
    inference._compiled = mock.Mock(side_effect=torch.OutOfMemoryError)  # as with compile=True
    with pytest.raises(torch.OutOfMemoryError):
        inference(observations(TINY, 3))
    assert inference.compiled
    inference._compiled.side_effect = RuntimeError("no compiler")
    assert inference(observations(TINY, 3))[0].shape == (3, 9) and not inference.compiled


@pytest.mark.gpu
def test_cuda_equals_cpu():
    net = random_net(TINY, dtype=torch.float64)
    obs = observations(TINY, 100, torch.float64)
    expected = InferenceNet(net, torch.float64)(obs)
    for a, b in zip(InferenceNet(net, torch.float64, device="cuda")(obs.cuda()), expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=0, atol=1e-10)
    bf16 = InferenceNet(net, torch.bfloat16, device="cuda")(obs.cuda())
    torch.testing.assert_close(bf16[1].cpu().double(), expected[1], rtol=0, atol=0.05)


@pytest.mark.gpu
def test_a_gpu_starts_six_kernels_a_layer(gpu):
    """Attention, its residual and norm; two products with ReLU and residual in their epilogues, and a norm."""
    if gpu is None:
        pytest.skip("kernels are counted on the emulated GPU")
    counts = []
    for layers in (1, 3):
        net = InferenceNet(random_net(dataclasses.replace(TINY, layers=layers)), torch.bfloat16, device="cuda")
        obs = observations(TINY, 5).cuda()
        before = gpu.record.launches
        net(obs)
        counts.append(gpu.record.launches - before)
    assert counts[1] - counts[0] == 2 * 6

"""ONNX files: the same function as the network, whatever the batch, and a command that says what went wrong."""

import json
import sys
from pathlib import Path

import pytest
import torch

from net import PRESETS, NetConfig
from net.onnx import described_columns, described_outputs, largest_difference, onnx_model
from tests.positions import mixed_batch
from tests.test_net import observations, random_net
from vecgame import Blob
from veclab import export as export_module
from veclab.agents import SHIPPED
from veclab.agents.checkpoint import load_metadata, load_network, save_network
from veclab.agents.folder import NEWEST
from veclab.agents.networks import newest_network
from veclab.arena.bots import NetworkPlayer
from veclab.export import TOLERANCE, main

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TINY = NetConfig(dim=32, layers=2, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


def session(data: bytes) -> "onnxruntime.InferenceSession":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def evaluate(runtime: "onnxruntime.InferenceSession", rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logits, values = runtime.run(["logits", "values"], {"observation": rows.numpy()})
    return torch.from_numpy(logits), torch.from_numpy(values)


@pytest.fixture(scope="module", params=PRESETS)
def pair(request):
    """A network of each preset, and its exported form."""
    net = random_net(PRESETS[request.param])
    return net, session(onnx_model(net).SerializeToString())


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder with two networks; by name the older one comes last."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_network(folder / "network-999999.safetensors", random_net(TINY, seed=1), {"iteration": 999_999})
    save_network(folder / "network-1000000.safetensors", random_net(TINY, seed=2), {"iteration": 1_000_000})
    (folder / "config.json").write_text(json.dumps({"cards": "5", "seed": 7}))
    return folder


# -- the function --


@pytest.mark.parametrize("rows", [1, 7, 2048])
def test_equals_pytorch_on_random_observations(pair, rows: int) -> None:
    net, runtime = pair
    inputs = observations(net.config, rows, seed=rows)
    with torch.no_grad():
        expected = net(inputs)
    for theirs, ours in zip(evaluate(runtime, inputs), expected, strict=True):
        assert theirs.dtype == torch.float32 and theirs.shape == ours.shape
        assert ours.std() > 0.05  # or equality says nothing
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize("cards", [5, 13])
def test_equals_pytorch_and_plays_alike_in_real_games(pair, cards: int) -> None:
    net, runtime = pair
    game = Blob(cards=cards)
    state = mixed_batch(game, 300, seed=3)
    inputs = game.observe(state)
    with torch.no_grad():
        expected = net(inputs)
    for theirs, ours in zip(evaluate(runtime, inputs), expected, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)
    exported = NetworkPlayer(lambda rows, mask: evaluate(runtime, rows))
    assert torch.equal(exported.act(game, state, 0), NetworkPlayer(lambda rows, mask: expected).act(game, state, 0))


def test_a_scalar_network(tmp_path) -> None:
    net = random_net(NetConfig(**{**TINY.to_dict(), "values": 1}))
    logits, values = evaluate(session(onnx_model(net).SerializeToString()), observations(TINY, 3))
    assert logits.shape == (3, 52) and values.shape == (3, 1)
    with torch.no_grad():
        torch.testing.assert_close(values, net(observations(TINY, 3))[1], rtol=0, atol=1e-5)


def test_later_training_does_not_reach_the_model() -> None:
    net = random_net(TINY)
    model = onnx_model(net)
    before = model.SerializeToString()
    with torch.no_grad():
        net.embed.weight.zero_()
    assert model.SerializeToString() == before


# -- the file --


def test_the_graph_is_small_and_free_in_its_batch() -> None:
    model = onnx_model(random_net(TINY))
    operators = [node.op_type for node in model.graph.node]
    assert set(operators) == {"Gemm", "Add", "Relu", "LayerNormalization", "Split"}
    assert operators.count("Gemm") == 1 + 3 * TINY.layers + 2  # folded; else 1 + 4 * layers + 4
    for tensor, width in zip([*model.graph.input, *model.graph.output], (256, 52, 4), strict=True):
        batch, columns = tensor.type.tensor_type.shape.dim
        assert batch.dim_param == "batch" and columns.dim_value == width
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)] and model.ir_version == 8


def test_the_file_explains_itself(run: Path, tmp_path) -> None:
    assert main([str(run), "--onnx", str(tmp_path / "agent.onnx")]) == 0
    model = onnx.load(tmp_path / "agent.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["source"] == "network-1000000.safetensors" and properties["iteration"] == "1000000"
    assert json.loads(properties["network"]) == TINY.to_dict()
    assert json.loads(properties["settings"]) == {"cards": "5", "seed": 7}
    assert properties["version"] == model.producer_version != ""


def test_the_model_says_what_the_games_columns_mean() -> None:
    game = Blob(cards=5)
    model = onnx_model(random_net(TINY), {}, described_columns(game), **described_outputs([game]))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert "| 212 | there is a trump suit |" in properties["observation"] == model.graph.input[0].doc_string
    assert properties["logits"] == model.graph.output[0].doc_string == described_outputs([game])["logits"]
    assert "0 is 0 points and 1 is 15" in properties["values"] == model.graph.output[1].doc_string


def test_the_documented_columns_are_the_networks() -> None:
    """`described_outputs` says in words what `Blob.policy_columns` computes."""
    game = Blob(cards=5)
    state = mixed_batch(game, 200, seed=1)
    assert "(card - 13 * first suit) mod 52" in described_outputs([game])["logits"]
    columns = game.policy_columns(state, game.legal_actions(state))
    for made, trump, actions, row in zip(
        state.made.tolist(), state.trump.tolist(), game.legal_actions(state).tolist(), columns.tolist(), strict=True
    ):
        for action, column in zip(actions, row, strict=True):
            bidding = made < 4 or trump == 4
            assert action < 0 or column == (action if bidding else (action - 13 * trump) % 52)


def test_the_same_network_gives_the_same_file(run: Path, tmp_path) -> None:
    for name in ("a", "b"):
        assert main([str(run), "--onnx", str(tmp_path / name)]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# -- the command --


def test_the_command_exports_and_compares(run: Path, tmp_path, capsys) -> None:
    target = tmp_path / "agent.onnx"
    assert main([str(run / "network-999999.safetensors"), "--onnx", str(target)]) == 0
    text = capsys.readouterr().out
    assert "differs from PyTorch by" in text and str(target) in text
    inputs = observations(TINY, 5)
    with torch.no_grad():
        expected = random_net(TINY, seed=1)(inputs)
    for theirs, ours in zip(evaluate(session(target.read_bytes()), inputs), expected, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=TOLERANCE)


def test_the_comparison_finds_another_network() -> None:
    data = onnx_model(random_net(TINY, seed=1)).SerializeToString()
    inputs = observations(TINY, 9)
    assert largest_difference(data, random_net(TINY, seed=1), inputs) < 1e-5
    for part in ("policy_out", "value_out"):
        other = random_net(TINY, seed=1)
        with torch.no_grad():
            getattr(other, part).bias[2] += 0.5
            answers = other(inputs)[part == "value_out"]
        expected = float((0.5 / (1 + answers.abs().amax(1))).max())
        assert largest_difference(data, other, inputs) == pytest.approx(expected, abs=1e-5)


def test_a_sharp_network_is_exported(tmp_path) -> None:
    """With logits of 100 float32 alone rounds by more than the tolerance."""
    shipped = SHIPPED / "blob-4-players.safetensors"
    net = load_network(shipped)
    with torch.no_grad():
        for part in (net.policy_out.weight, net.policy_out.bias):
            part.mul_(16)
    save_network(tmp_path / "network-000001.safetensors", net, {"games": load_metadata(shipped)["games"]})
    assert main([str(tmp_path / "network-000001.safetensors"), "--onnx", str(tmp_path / "a.onnx")]) == 0
    inputs = observations(net.config, 64)
    with torch.no_grad():
        expected = net(inputs)
    assert expected[0].abs().max() > 100
    logits, values = evaluate(session((tmp_path / "a.onnx").read_bytes()), inputs)
    torch.testing.assert_close(logits, expected[0], rtol=0, atol=TOLERANCE * float(expected[0].abs().max()))
    torch.testing.assert_close(values, expected[1], rtol=0, atol=TOLERANCE)


def test_a_graph_that_differs_is_not_written(run: Path, tmp_path, monkeypatch, capsys) -> None:
    target = tmp_path / "agent.onnx"
    target.write_text("old")
    for difference in (2 * TOLERANCE, float("nan")):
        monkeypatch.setattr(export_module, "largest_difference", lambda *_, d=difference: d)
        assert main([str(run), "--onnx", str(target)]) == 2
        assert "nothing written" in capsys.readouterr().err and target.read_text() == "old"


def test_without_onnxruntime_the_file_is_written_and_the_user_told(run: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main([str(run), "--onnx", str(tmp_path / "agent.onnx")]) == 0
    assert "onnxruntime is not installed" in capsys.readouterr().out
    onnx.checker.check_model(onnx.load(tmp_path / "agent.onnx"))


def test_without_onnx_there_is_one_clear_line(run: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main([str(run), "--onnx", str(tmp_path / "agent.onnx")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "vecgame[onnx]" in error
    assert not (tmp_path / "agent.onnx").exists()


def test_what_cannot_be_exported_gets_one_line(run: Path, tmp_path, capsys) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "network-best.safetensors").touch()
    (empty / "damaged.safetensors").touch()
    target = str(tmp_path / "agent.onnx")
    for checkpoint, file, message in [
        (empty, target, "holds no network"),
        (empty / "damaged.safetensors", target, "damaged"),
        (tmp_path / "none", target, "is not a file"),
        (run, str(tmp_path / "none" / "agent.onnx"), "there is no folder"),
    ]:
        assert main([str(checkpoint), "--onnx", file]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_the_newest_network_of_a_run(run: Path) -> None:
    assert newest_network(run).name == "network-1000000.safetensors"
    file = run / "network-999999.safetensors"
    assert newest_network(file) == file


def test_the_network_of_a_stopped_run(run: Path, tmp_path, capsys) -> None:
    save_network(run / NEWEST, random_net(TINY, seed=3), {"iteration": 1_000_001, "updates": 4})
    target = tmp_path / "agent.onnx"
    assert main([str(run), "--onnx", str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"{run / NEWEST} (iteration 1000001) -> {target} (")
    properties = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert [properties[name] for name in ("source", "iteration", "updates")] == [NEWEST, "1000001", "4"]


def test_flags_do_not_make_another_network_of_it(run: Path, tmp_path, capsys) -> None:
    """What the file says of values and games would be true of the flags, and not of what the network has learned."""
    assert main([str(run), "--onnx", str(tmp_path / "a.onnx"), "--rules", "exact_bonus=50"]) == 2
    assert "leave out the flags: by other rules than" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()

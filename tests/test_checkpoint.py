"""Files of a run: whole or not there, and never code."""

import hashlib
import json
import os
import pickle
import re
import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file

from net import BlobNet, NetConfig
from veclab.agents import SHIPPED, checkpoint
from veclab.agents.checkpoint import load_metadata, load_network, load_tensors, save_network, save_tensors
from veclab.agents.networks import settings_for
from veclab.agents.rounded import round_network
from veclab.files import DamagedError

SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


def test_tensors_and_metadata_come_back(tmp_path) -> None:
    path = tmp_path / "file.safetensors"
    tensors = {"a": torch.arange(6).view(2, 3), "b.c": torch.randn(4).half(), "n": torch.tensor(3)}
    save_tensors(path, tensors, {"iteration": 7})
    loaded, metadata = load_tensors(path)
    assert metadata == load_metadata(path) == {"iteration": 7}
    assert loaded.keys() == tensors.keys()
    assert all(
        torch.equal(loaded[name], tensors[name]) and loaded[name].dtype == tensors[name].dtype for name in tensors
    )


def test_equal_networks_are_equal_files(tmp_path) -> None:
    """The metadata are in one order, which safetensors itself draws anew each time."""
    net = BlobNet(SMALL)
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for path in files:
        save_network(path, net, {"iteration": 3})
    assert len({path.read_bytes() for path in files}) == 1
    with safe_open(files[0], "pt") as file:
        assert torch.equal(file.get_tensor("policy_out.weight"), net.policy_out.weight)


def as_safetensors_has_it(tensors: dict[str, torch.Tensor], metadata: dict[str, object], digest: str) -> bytes:
    """A file by safetensors' own writer, with its metadata in the order in which ours are."""
    plain = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    data = save(plain, {"format": "vecgame-2", "sha256": digest, "vecgame": json.dumps(metadata)})
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def test_a_file_is_what_safetensors_writes(tmp_path, monkeypatch) -> None:
    """Byte for byte, for all types of tensors, of any shape and layout, however it is cut into parts."""
    path, kinds = tmp_path / "file.safetensors", list(checkpoint.TYPES)
    tensors = {f"{i * 7 % 10}.{kind}": (99 * torch.rand(i, 3)).to(kind) for i, kind in enumerate(kinds)}
    tensors |= {f"n{i}": torch.tensor(i).to(kind) for i, kind in enumerate(reversed(kinds))}
    tensors |= {"turned": torch.rand(4, 5).T, "every other": torch.arange(9)[::2], "ä": torch.rand(2).bfloat16()}
    for part in (checkpoint.PART, 5):
        monkeypatch.setattr(checkpoint, "PART", part)
        save_tensors(path, tensors, {"iteration": 7})
        zeros = as_safetensors_has_it(tensors, {"iteration": 7}, "0" * 64)
        digest = hashlib.sha256(zeros).hexdigest()
        assert path.read_bytes() == as_safetensors_has_it(tensors, {"iteration": 7}, digest)


def test_a_file_is_written_without_a_copy_of_its_tensors(tmp_path) -> None:
    """A ring of examples may take half of the memory."""
    tensors = {name: torch.zeros(1 << 20) for name in "ab"}
    save_tensors(tmp_path / "file.safetensors", tensors, {})  # which imports what it needs
    tracemalloc.start()
    try:
        save_tensors(tmp_path / "file.safetensors", tensors, {})
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_every_byte_of_a_file_counts(tmp_path) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.zeros(2)}, {"iteration": 1})
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ValueError, match=str(path)) as caught:
            load_tensors(path)
        assert "\n" not in str(caught.value)


def test_files_of_earlier_versions_open_without_a_digest(tmp_path) -> None:
    path, net = tmp_path / "network.safetensors", BlobNet(SMALL)
    told = {"format": "vecgame-1", "vecgame": json.dumps({"net": SMALL.to_dict(), "iteration": 2})}
    save_file(net.state_dict(), path, told)
    assert torch.equal(load_network(path).policy_out.weight, net.policy_out.weight)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"iteration": -1}, "its metadata.iteration must be a whole number from 0 on, got -1"),
        ({"net": [1]}, "its metadata.net must be an object, got [1]"),
        ({"net": {**SMALL.to_dict(), "layers": 10**9}}, "layers is 1000000000"),
        ({"net": {**SMALL.to_dict(), "dim": 10**12}}, "dim is 1000000000000"),
        ({"net": {**SMALL.to_dict(), "\x1b[2J": 1}}, "a name in its metadata.net must be a text without control"),
        ({"games": [{"game": 5, "rules": {}}]}, "its metadata.games[0].game must be a text"),
    ],
)
def test_metadata_of_another_type_or_range_get_one_line(tmp_path, told: dict[str, object], message: str) -> None:
    path, net = tmp_path / "network.safetensors", BlobNet(SMALL)
    save_tensors(path, net.state_dict(), {"net": SMALL.to_dict(), **told})
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_network(path)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("change", [torch.Tensor.double, lambda t: t * torch.nan, lambda t: t[:-1]])
def test_weights_of_another_type_or_shape_or_nan_get_one_line(tmp_path, change) -> None:
    path, tensors = tmp_path / "network.safetensors", BlobNet(SMALL).state_dict()
    tensors["policy_out.weight"] = change(tensors["policy_out.weight"])
    save_tensors(path, tensors, {"net": SMALL.to_dict()})
    with pytest.raises(ValueError, match=r"does not fit its own sizes: policy_out\.weight"):
        load_network(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.zeros(3)}, {"iteration": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_tensors(path, {"a": torch.ones(3)}, {"iteration": 2})
    monkeypatch.undo()
    assert load_tensors(path)[1] == {"iteration": 1}


def test_the_new_file_is_on_disk_before_the_old_one_goes(tmp_path, monkeypatch) -> None:
    order: list[str] = []
    real_fsync, real_replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda d: (order.append("fsync"), real_fsync(d))[1])
    monkeypatch.setattr(type(tmp_path), "replace", lambda s, t: (order.append("replace"), real_replace(s, t))[1])
    checkpoint.write_atomically(tmp_path / "file", b"data")
    assert order == ["fsync", "replace", "fsync"]  # the file, the rename, the folder


def test_damaged_and_foreign_files_get_one_line(tmp_path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_network(whole, BlobNet(SMALL), {})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    evil = tmp_path / "evil.safetensors"
    evil.write_bytes(pickle.dumps(print))
    replay = tmp_path / "replay.safetensors"
    save_tensors(replay, {"a": torch.zeros(2)}, {"iteration": 1})
    for path, message in [
        (cut, "is damaged or no checkpoint"),
        (foreign, "not one of vecgame"),
        (evil, "is damaged or no checkpoint"),
        (replay, "holds no network"),
        (tmp_path / "none", "is not a file"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            load_network(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_file_that_is_moved_away_while_it_is_read_is_not_there(tmp_path, monkeypatch) -> None:
    """As a run does that saves: for a moment there is the checkpoint before only, by another name."""
    path, read = tmp_path / "checkpoint.safetensors", checkpoint._header_of

    def moved_after(path: Path) -> dict[str, str]:
        told = read(path)
        path.rename(tmp_path / "previous")
        return told

    def moved_before(path: Path) -> dict[str, str]:
        path.rename(tmp_path / "previous")
        return read(path)

    for moved in (moved_after, moved_before):
        save_tensors(path, {"a": torch.zeros(2)}, {})
        monkeypatch.setattr(checkpoint, "_header_of", moved)
        with pytest.raises(ValueError, match="is not a file") as caught:
            load_tensors(path)
        assert not isinstance(caught.value, DamagedError)
    monkeypatch.setattr(checkpoint, "_header_of", read)
    save_tensors(path, {"a": torch.zeros(2)}, {})
    monkeypatch.setattr(checkpoint, "safe_open", Mock(side_effect=RuntimeError("no memory\nfor it")))
    with pytest.raises(DamagedError, match="is damaged or no checkpoint: no memory for it"):
        load_tensors(path)


def test_a_network_of_another_shape_gets_one_line(tmp_path) -> None:
    path = tmp_path / "network.safetensors"
    net = BlobNet(SMALL)
    save_tensors(path, net.state_dict(), {"net": {**SMALL.to_dict(), "ffn": 32}})
    with pytest.raises(ValueError, match="does not fit its own sizes") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def test_a_network_comes_back(tmp_path) -> None:
    path = tmp_path / "network.safetensors"
    net = BlobNet(SMALL)
    save_network(path, net, {"iteration": 3})
    loaded = load_network(path)
    observation = torch.rand(5, 256)
    assert loaded.config == SMALL and not loaded.training
    assert all(torch.equal(a, b) for a, b in zip(loaded(observation), net(observation), strict=True))


def test_a_rounded_network_plays_the_same_without_its_dead_rows(tmp_path) -> None:
    """And a rounded file that is rounded again is the same file; a row less than the values' is damage."""
    whole, kept, again = (tmp_path / f"{name}.safetensors" for name in ("whole", "kept", "again"))
    net = BlobNet(SMALL)
    net.load_state_dict({name: tensor.bfloat16().float() for name, tensor in net.state_dict().items()})
    save_network(whole, net, {"game": "blob"})
    round_network(whole, kept)
    round_network(kept, again)
    assert kept.read_bytes() == again.read_bytes()
    assert load_tensors(kept)[0]["layers.0.self_attn.in_proj_weight"].shape == (32, 32)
    observation = torch.rand(16, SMALL.observation)
    for ours, theirs in zip(load_network(kept)(observation), net(observation), strict=True):
        assert torch.equal(ours, theirs)
    tensors, metadata = load_tensors(kept)
    name = "layers.0.self_attn.in_proj_bias"
    save_tensors(whole, {**tensors, name: tensors[name][1:].clone()}, metadata)
    with pytest.raises(ValueError, match=r"in_proj_bias is \[31\], not \[96\]"):
        load_network(whole)


def test_the_agents_that_come_with_the_program() -> None:
    """They open, each for a game that it names, and take at most 20 MB in all."""
    files = sorted(SHIPPED.rglob("*.safetensors"))
    assert {"blob-4-players", "blob-3-players", "blob-5", "hearts", "spades", "whist", "euchre", "wizard"} <= {
        f.stem for f in files
    }
    assert sum(file.stat().st_size for file in files) <= 20_000_000
    for file in files:
        settings = settings_for(file, {})
        net = load_network(file, game=settings.games()[0])
        logits, values = net(torch.rand(2, net.config.observation))
        assert logits.isfinite().all() and values.isfinite().all()

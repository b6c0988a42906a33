"""Tensors and networks in files, written atomically, and read without executing code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from net import BlobNet, NetConfig
from vecgame import Game
from veclab.files import cannot_write, remove_temporaries, write_atomically
from veclab.game_flags import is_named

__all__ = [
    "cannot_write",
    "load_network",
    "load_tensors",
    "remove_temporaries",
    "save_network",
    "save_tensors",
    "write_atomically",
]

FORMAT = "vecgame-1"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, object]) -> None:
    """Writes tensors and JSON-able metadata as one safetensors file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(plain, {"format": FORMAT, "vecgame": json.dumps(metadata)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Reads what `save_tensors` wrote, to the CPU.

    Raises:
        ValueError: in one line, when there is no such file, or it is damaged or from something else.
    """
    with _opened(path) as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def load_metadata(path: Path) -> dict[str, object]:
    """Reads the metadata alone of what `save_tensors` wrote, from the file's header: no tensor is read.

    Raises:
        ValueError: as `load_tensors`.
    """
    with _opened(path) as (_, metadata):
        return metadata


@contextmanager
def _opened(path: Path) -> Iterator[tuple[safe_open, dict[str, object]]]:
    """A file that `save_tensors` wrote, and its metadata; what is wrong with it is a ValueError in one line."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ValueError(f"{path} is a safetensors file, but not one of vecgame ({FORMAT})")
            yield file, json.loads(header["vecgame"])
    except (SafetensorError, json.JSONDecodeError, KeyError, OSError) as error:
        raise ValueError(f"{path} is damaged or no checkpoint: {error}") from None


def save_network(path: Path, net: BlobNet, metadata: dict[str, object]) -> None:
    """Writes a network alone, with its sizes."""
    save_tensors(path, net.state_dict(), {**metadata, "net": net.config.to_dict()})


def load_network(path: Path, device: str | torch.device = "cpu", game: Game | None = None) -> BlobNet:
    """Reads a network that `save_network` wrote.

    Args:
        game: that it shall play, if it is to be checked whether it can. Its rules may be others than those that the
            network was trained by, see `veclab.agents.networks.other_rules`.

    Raises:
        ValueError: as `load_tensors`, or when the network is for another game, or for rules with other observations,
            actions or seats, or the tensors do not fit the sizes that the file states.
    """
    tensors, metadata = load_tensors(path)
    if "net" not in metadata:
        raise ValueError(f"{path} holds no network; networks of a run are its network-*.safetensors")
    net = BlobNet(NetConfig.from_dict(metadata["net"]))
    if game is not None:
        _check_game(path, metadata, net.config, game)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit its own sizes: {str(error).splitlines()[-1].strip()}") from None
    return net.to(device).eval()


def _check_game(path: Path, metadata: dict[str, object], net: NetConfig, game: Game) -> None:
    """Raises ValueError, in one line, unless the network of a file can play a game."""
    (kept,) = {one["game"] for one in metadata.get("games", ())} or {metadata.get("game", "blob")}
    if not is_named(type(game), kept):
        raise ValueError(f"{path} is a network for {kept}, not for {game.name}")
    sizes = {
        "features": (net.observation, game.features),
        "actions": (net.actions, game.num_actions),
        "seats": (net.values if net.values != 1 else game.seats, game.seats),
    }
    for name, (has, needs) in sizes.items():
        if has != needs:
            raise ValueError(f"{path} is a network for {has} {name}, these rules have {needs}: {game!r}")

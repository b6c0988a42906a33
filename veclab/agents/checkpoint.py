"""Tensors and networks in files, written atomically, with a digest, and read without executing code. (A game of
one's own that the metadata name is loaded from its file where somebody plays by them, as `--game` would.)

A file is one of safetensors. Its metadata say the format, what the program tells of the tensors (JSON), and the SHA-256
of the file with zeros in the digest's place. Files of `OLD_FORMAT` have no digest. Equal tensors and metadata are equal
files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from net import BlobNet, NetConfig
from vecgame import Game
from veclab import typed
from veclab.files import DIGEST, DamagedError, cannot_write, json_text, parse_json, printable, write_atomically
from veclab.game_flags import is_named

__all__ = [
    "cannot_write",
    "load_network",
    "load_tensors",
    "save_network",
    "save_tensors",
    "write_atomically",
]

FORMAT, OLD_FORMAT = "vecgame-2", "vecgame-1"
ZEROS = "0" * 64  # in the digest's place
LARGEST_HEADER = 100_000_000  # bytes, as safetensors has it
PART = 1 << 26  # bytes of a tensor that are written at a time
TYPES = {  # their names in a file, in the opposite of the order in which safetensors lays tensors out
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
}

_IDENTITY = typed.record({"game": typed.text, "rules": typed.named(typed.anything)})
_METADATA = typed.record(
    {},
    {
        "iteration": typed.count,
        "updates": typed.count,
        "imitated": typed.count,
        "game": typed.text,
        "games": typed.listed(_IDENTITY),
        "net": typed.named(typed.count),
    },
)


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, object], previous: Path | None = None
) -> None:
    """Writes tensors and JSON-able metadata as one safetensors file, atomically, and without a copy of them.

    Args:
        tensors: of the types in `TYPES`, on any device.
        previous: where the file that it takes the place of is kept.
    """
    kinds = list(TYPES)
    names = sorted(tensors, key=lambda name: (-kinds.index(tensors[name].dtype), name))
    header: dict[str, object] = {"__metadata__": {"format": FORMAT, DIGEST: ZEROS, "vecgame": json_text(metadata)}}
    end = 0
    for name in names:
        first, end = end, end + tensors[name].nbytes
        kind, shape = TYPES[tensors[name].dtype], list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [first, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(start)
    for part in _contents(tensors, names):
        digest.update(part)
    start = start.replace(ZEROS.encode(), digest.hexdigest().encode(), 1)
    write_atomically(path, start, _contents(tensors, names), previous=previous)


def _contents(tensors: dict[str, Tensor], names: Sequence[str]) -> Iterator[memoryview]:
    """The bytes of tensors, one after the other, in parts: a ring of examples has no room beside it, and of one on a
    GPU no more than a part is on the host."""
    for name in names:
        for part in tensors[name].detach().contiguous().view(-1).view(torch.uint8).split(PART):
            yield memoryview(part.cpu().numpy())


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Reads what `save_tensors` wrote, to the CPU.

    Raises:
        ValueError: in one line, when there is no such file, or it is damaged or from something else.
    """
    with _opened(path) as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def load_metadata(path: Path) -> dict[str, object]:
    """Reads the metadata alone of what `save_tensors` wrote.

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
        told = _header_of(path)
        metadata = parse_json(told["vecgame"])
        _METADATA(metadata, "its metadata")
        with _mapped(path) as file:
            yield file, metadata
    except DamagedError:
        raise
    except FileNotFoundError:  # a run that saves has moved it away since (`write_atomically`)
        raise ValueError(f"{path} is not a file") from None
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise DamagedError(f"{path} is damaged or no checkpoint: {printable(error)}") from None


def _mapped(path: Path) -> safe_open:
    """The file in memory as far as it is read, by PyTorch, whose errors are no OSErrors. Raises OSError."""
    try:
        return safe_open(str(path), framework="pt")
    except RuntimeError as error:
        raise (OSError if path.is_file() else FileNotFoundError)(str(error)) from None


def _header_of(path: Path) -> dict[str, str]:
    """What the header of a file says beside its tensors, once the file's digest is found right.

    Raises:
        ValueError: if it is not, or it is no file of this program.
    """
    with path.open("rb") as file:
        size = file.read(8)
        length = int.from_bytes(size, "little")
        if len(size) < 8 or length > LARGEST_HEADER:
            raise ValueError("it has no header")
        text = file.read(length)
        header = parse_json(text)
        told = header.get("__metadata__") if isinstance(header, dict) else None
        told = told if isinstance(told, dict) else {}
        if told.get("format") not in (FORMAT, OLD_FORMAT):
            raise DamagedError(f"{path} is a safetensors file, but not one of vecgame ({FORMAT})")
        if told["format"] == OLD_FORMAT:
            return told
        written = told.get(DIGEST)
        if not isinstance(written, str) or not re.fullmatch("[0-9a-f]{64}", written):
            raise ValueError("it has no digest")
        digest = hashlib.sha256(size + text.replace(written.encode(), ZEROS.encode(), 1))
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != written:
        raise ValueError("its content is not what was written, as its digest shows")
    return told


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
            actions or seats, or the tensors do not fit the sizes that the file states, or are no finite numbers.
    """
    tensors, metadata = load_tensors(path)
    if "net" not in metadata:
        raise ValueError(f"{path} holds no network; networks of a run are its network-*.safetensors")
    try:
        config = NetConfig.from_dict(metadata["net"])
    except ValueError as error:
        raise DamagedError(f"{path} is damaged or no checkpoint: {printable(error)}") from None
    if game is not None:
        _check_game(path, metadata, config, game)
    kinds = (torch.float32,)
    if metadata.get("rounded") == "bfloat16":
        kinds, tensors = (torch.float32, torch.bfloat16), with_dead_rows(tensors, config.dim)
    try:
        check_tensors(tensors, _shapes_of(config, tensors), kinds)
    except ValueError as error:
        raise DamagedError(f"{path} does not fit its own sizes: {error}") from None
    net = BlobNet(config)
    net.load_state_dict(tensors)
    return net.to(device).eval()


# Query and key of an attention over one token, on which nothing depends (`net.blobnet.OneTokenAttention`).
_DEAD_ROWS = re.compile(r"layers\.\d+\.self_attn\.in_proj_(weight|bias)")


def without_dead_rows(tensors: dict[str, Tensor], dim: int) -> dict[str, Tensor]:
    """A network's tensors, those of `in_proj` without what nothing depends on: a sixth of the document's network."""
    return {
        name: tensor[2 * dim :].clone() if _DEAD_ROWS.fullmatch(name) else tensor for name, tensor in tensors.items()
    }


def with_dead_rows(tensors: dict[str, Tensor], dim: int) -> dict[str, Tensor]:
    """The inverse of `without_dead_rows`, zeros in their place; tensors that have them stay as they are."""
    return {
        name: torch.cat([tensor.new_zeros(2 * dim, *tensor.shape[1:]), tensor])
        if _DEAD_ROWS.fullmatch(name) and tensor.ndim and len(tensor) == dim
        else tensor
        for name, tensor in tensors.items()
    }


def _shapes_of(config: NetConfig, tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's tensors, which takes no memory; nor time, as no size is beyond what the file holds.

    Raises:
        ValueError: if one is.
    """
    most = sum(tensor.numel() for tensor in tensors.values())
    for name, size in config.to_dict().items():
        if size > (len(tensors) if name == "layers" else most):
            raise ValueError(f"{name} is {size}, and the file holds {most} numbers in {len(tensors)} tensors")
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in BlobNet(config).state_dict().items()}


def check_tensors(
    tensors: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], kinds: tuple[torch.dtype, ...] = (torch.float32,)
) -> None:
    """Raises ValueError, in one line, unless there is a tensor of each name and shape and no other, of one of some
    types, and every number is finite."""
    for names, said in ((shapes.keys() - tensors.keys(), "it lacks"), (tensors.keys() - shapes.keys(), "it also has")):
        if names:
            raise ValueError(f"{said} {printable(min(names))}")
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is {list(tensor.shape)}, not {list(shape)}")
        if tensor.dtype not in kinds:
            raise ValueError(f"{name} is {tensor.dtype}, not {' or '.join(map(str, kinds))}")
        check_finite(name, tensor)


def check_finite(name: str, tensor: Tensor) -> None:
    """Raises ValueError where a number of a tensor is NaN or infinite; takes no memory, as a mask would."""
    if tensor.is_floating_point() and tensor.numel() and not torch.stack(torch.aminmax(tensor)).isfinite().all():
        raise ValueError(f"{name} holds numbers that are NaN or infinite")


def _check_game(path: Path, metadata: dict[str, object], net: NetConfig, game: Game) -> None:
    """Raises ValueError, in one line, unless the network of a file can play a game."""
    kept = sorted({one["game"] for one in metadata.get("games", ())} or {metadata.get("game", "blob")})
    if len(kept) != 1 or not is_named(type(game), kept[0]):
        raise ValueError(f"{path} is a network for {' and '.join(kept)}, not for {game.name}")
    sizes = {
        "features": (net.observation, game.features),
        "actions": (net.actions, game.num_actions),
        "seats": (net.values if net.values != 1 else game.seats, game.seats),
    }
    for name, (has, needs) in sizes.items():
        if has != needs:
            raise ValueError(f"{path} is a network for {has} {name}, these rules have {needs}: {game!r}")

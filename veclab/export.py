"""A network as an ONNX file, for programs that have no PyTorch.

vecgame export runs/NAME --onnx agent.onnx          the run's newest network
vecgame export runs/NAME/network-000003.safetensors --onnx agent.onnx
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from net.onnx import largest_difference, onnx_model
from vecgame import Blob
from vecgame.games import blob_observation
from veclab.agents.checkpoint import load_metadata, load_network, write_atomically
from veclab.agents.folder import CONFIG, read_config
from veclab.agents.networks import how_far, newest_network, trained_by
from veclab.command_line import parser_of
from veclab.game_flags import DEFAULTS, games_of

TOLERANCE = 1e-4  # largest difference to PyTorch that an exported file may have
CHECKED_ROWS = 512


def export(checkpoint: Path, target: Path) -> str:
    """Writes a run's network to ``target``, compared with PyTorch before; returns what was done, in one line."""
    path = newest_network(checkpoint)
    source = f"{path}{how_far(path)}"  # now: a run that is at work may write another
    games = games_of(trained_by(path) or DEFAULTS)
    if not isinstance(games[0], Blob):
        raise ValueError(f"{path} is a network for {games[0].name}, not for blob")
    net = load_network(path, game=games[0])
    metadata = load_metadata(path)
    properties = {"source": path.name}
    properties |= {name: str(metadata.get(name, "unknown")) for name in ("iteration", "updates")}
    if (path.parent / CONFIG).is_file():
        properties["settings"] = json.dumps(read_config(path.parent))
    data = onnx_model(net, properties, blob_observation.__doc__).SerializeToString()
    rows = torch.rand(CHECKED_ROWS, net.config.observation, generator=torch.Generator().manual_seed(0))
    difference = largest_difference(data, net, rows)
    if difference is None:
        checked = "not compared with PyTorch, because onnxruntime is not installed"
    elif difference <= TOLERANCE:
        checked = f"differs from PyTorch by {difference:.1e} at most, over {CHECKED_ROWS} random observations"
    else:
        raise ValueError(f"the graph differs from PyTorch by {difference:.1e}, more than {TOLERANCE}; nothing written")
    write_atomically(target, data)
    return f"{source} -> {target} ({len(data) / 1e6:.1f} MB): {checked}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("export", __doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a network-*.safetensors of a run, or the run's folder")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")
    given = parser.parse_args(arguments)
    try:
        print(export(given.checkpoint, given.onnx))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

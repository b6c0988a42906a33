"""A network as an ONNX file, for programs that have no PyTorch.

vecgame export runs/NAME --onnx agent.onnx          the run's newest network
vecgame export runs/NAME/network-000003.safetensors --onnx agent.onnx
"""

from __future__ import annotations

from veclab.command_line import A_RUN, begin, check_place, ends_in_one_line, parser_of, run_or_network

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from net.onnx import described_columns, described_outputs, largest_difference, onnx_model
from veclab.agents.checkpoint import load_metadata, write_atomically
from veclab.agents.folder import CONFIG, read_config
from veclab.agents.networks import Saved, newest_network, read_saved, settings_for, settled
from veclab.game_flags import RULES, identities
from veclab.progress import Display
from veclab.setting_flags import add_flags
from veclab.settings import Settings

TOLERANCE = 1e-4  # largest difference to PyTorch, beside one more than the largest answer, that a file may have
CHECKED_ROWS = 512


def export(checkpoint: Path, target: Path, given: dict[str, object] | None = None) -> str:
    """Writes a run's network to ``target``, compared with PyTorch before; returns what was done, in two lines.

    Args:
        given: settings that say its game, where its file does not.
    """

    def read() -> tuple[Saved, dict[str, object], Settings]:
        path = newest_network(checkpoint)
        settings = settings_for(path, given or {})
        return read_saved(path, settings, "cpu", settings.games()[0]), load_metadata(path), settings

    saved, metadata, settings = settled([checkpoint], read)
    path, net, games = saved.path, saved.network, settings.games()
    if saved.other_rules:  # what the file would say of values and games would not be so
        raise ValueError(f"an exported network is told by its own rules; leave out the flags: {saved.other_rules}")
    properties = {"source": path.name, "games": json.dumps(identities(games))}
    properties |= {name: str(metadata.get(name, "unknown")) for name in ("iteration", "updates")}
    if (path.parent / CONFIG).is_file():
        properties["settings"] = json.dumps(read_config(path.parent))
    data = onnx_model(net, properties, described_columns(games[0]), **described_outputs(games)).SerializeToString()
    rows = torch.rand(CHECKED_ROWS, net.config.observation, generator=torch.Generator().manual_seed(0))
    difference = largest_difference(data, net, rows)
    if difference is None:
        checked = "not compared with PyTorch, because onnxruntime is not installed"
    elif difference <= TOLERANCE:
        checked = (
            f"differs from PyTorch by {difference:.1e} of (1 + the largest answer) at most, over {CHECKED_ROWS} random "
            "observations"
        )
    else:
        raise ValueError(
            f"the graph differs from PyTorch by {difference:.1e} of (1 + the largest answer), more than {TOLERANCE}; "
            "nothing written"
        )
    write_atomically(target, data)
    return f"{saved.told} -> {target} ({len(data) / 1e6:.1f} MB)\n{checked}"


@ends_in_one_line(package="onnx")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("export", __doc__)
    parser.add_argument("checkpoint", type=run_or_network, help=f"a network-*.safetensors of a run, or {A_RUN}")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")
    add_flags(parser, RULES)
    given = vars(parser.parse_args(arguments))
    checkpoint, target = given.pop("checkpoint"), given.pop("onnx")
    check_place("--onnx", target, settled([checkpoint], lambda: newest_network(checkpoint)))
    files, checked = export(checkpoint, target, given).split("\n")
    display = Display()
    display.line(files, whole=True)
    display.line(checked)
    return 0


if __name__ == "__main__":
    sys.exit(main())

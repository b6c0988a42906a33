"""A network with its weights rounded to bfloat16 and without those on which nothing depends, less than half the size:
so the agents of this folder are kept.

python -m veclab.agents.rounded RUN_OR_NETWORK FILE.safetensors
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from veclab.agents.checkpoint import load_metadata, load_network, save_tensors, without_dead_rows
from veclab.agents.networks import newest_network
from veclab.command_line import Parser, check_place, ends_in_one_line


def round_network(source: Path, target: Path) -> None:
    """Writes a network's file again, rounded and without its dead rows; the metadata say so.

    Raises:
        ValueError: in one line, when the source is no network's file.
    """
    net = load_network(source)
    tensors = without_dead_rows(net.state_dict(), net.config.dim)
    rounded = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    save_tensors(target, rounded, {**load_metadata(source), "rounded": "bfloat16"})


@ends_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.agents.rounded", description=__doc__)
    parser.add_argument("source", type=Path, help="a run's folder, for its newest network, or a network-*.safetensors")
    parser.add_argument("target", type=Path, metavar="FILE", help="where to write it")
    own = parser.parse_args(arguments)
    source = newest_network(own.source)
    check_place("FILE", own.target, source)
    round_network(source, own.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Self-play over a grid of settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from net import PRESETS, BlobNet
from vecgame import Blob
from veclab.bench.selfplay import Play
from veclab.precision import PRECISIONS, inference_net
from vecmcts import SearchConfig

Setting = int | float | str

# What can be swept, and its value where it is not.
DEFAULTS: dict[str, Setting] = {
    "games": 1024,
    "cards": 5,
    "worlds": 3,
    "simulations": 30,
    "leaves_per_step": 1,
    "c_puct": 0.6,
    "noise_fraction": 0.25,
    "network": "document",
    "precision": "auto",
    "threads": 0,  # of PyTorch; 0 = as they are
}


def read_grid(words: list[str], defaults: dict[str, Setting]) -> dict[str, list[Setting]]:
    """The grid that words such as ``cards=5,13`` span: values by name, in the order given.

    Raises:
        ValueError: on an unknown name, a value of another kind, or no value.
    """
    grid: dict[str, list[Setting]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or name not in defaults:
            raise ValueError(f"--set takes NAME=VALUE,.. with a name of {', '.join(defaults)}, got {word!r}")
        kind = type(defaults[name])
        try:
            grid[name] = [kind(value) for value in values.split(",")]
        except ValueError:
            raise ValueError(f"--set {name} takes {kind.__name__} values separated by commas, got {values!r}") from None
    return grid


def points(grid: dict[str, list[Setting]], defaults: dict[str, Setting]) -> list[dict[str, Setting]]:
    """Every combination of the grid's values, the last name running fastest, with the defaults of the others."""
    return [{**defaults, **dict(zip(grid, values, strict=True))} for values in itertools.product(*grid.values())]


@contextmanager
def prepared(point: dict[str, Setting], device: torch.device, compile: bool, graphs: bool) -> Iterator[Play]:
    """Self-play with the settings of one point, PyTorch's threads as it says within a `with` block.

    Raises:
        ValueError: on a setting out of range.
    """
    for name, known in (("network", PRESETS), ("precision", PRECISIONS)):
        if point[name] not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {point[name]!r}")
    if point["games"] < 1 or point["threads"] < 0:
        raise ValueError("games must be at least 1 and threads at least 0")
    game = Blob(cards=point["cards"])
    fields = ("worlds", "simulations", "leaves_per_step", "c_puct", "noise_fraction")
    config = SearchConfig(**{name: point[name] for name in fields})
    network = inference_net(BlobNet(PRESETS[point["network"]]).to(device), point["precision"], [game], compile)
    threads = torch.get_num_threads()
    torch.set_num_threads(point["threads"] or threads)
    try:
        yield Play(game, network, config, device, compile, graphs)
    finally:
        torch.set_num_threads(threads)


def named(grid: dict[str, list[Setting]], point: dict[str, Setting]) -> dict[str, Setting]:
    """What distinguishes a point: the values of the names that are swept."""
    return {name: point[name] for name in grid}

"""Self-play over a grid of settings."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from net import PRESETS, BlobNet
from vecgame import Game
from veclab.agents.networks import network_config
from veclab.bench.selfplay import Play
from veclab.precision import check_precision, inference_net
from vecmcts import SearchConfig

Setting = int | float | str

# What can be swept, and its value where it is not; of a game that deals any number of cards, these too.
DEFAULTS: dict[str, Setting] = {
    "games": 1024,
    "worlds": 3,
    "simulations": 30,
    "leaves_per_step": 1,
    "c_puct": 0.6,
    "noise_fraction": 0.25,
    "network": "document",
    "precision": "auto",
    "threads": 0,  # of PyTorch; 0 = as they are
}

FLAGS = ("worlds", "simulations", "leaves_per_step", "network", "precision")  # of these that a command line has, too


def read_grid(words: list[str], defaults: dict[str, Setting]) -> dict[str, list[Setting]]:
    """The grid that words such as ``cards=5,13`` span: values by name, in the order given.

    Raises:
        ValueError: on an unknown name or one given twice, a value of another kind, or no value.
    """
    grid: dict[str, list[Setting]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or name not in defaults:
            raise ValueError(f"--set takes NAME=VALUE,.. with a name of {', '.join(defaults)}, got {word!r}")
        if name in grid:  # or all but the last would be left out
            raise ValueError(f"--set has {name} twice; give all its values at once, as in {name}=V,V")
        kind = type(defaults[name])
        try:
            grid[name] = [kind(value) for value in values.split(",")]
        except ValueError:
            raise ValueError(f"--set {name} takes {kind.__name__} values separated by commas, got {values!r}") from None
    return grid


def defaults_of(options: argparse.Namespace, game: Game) -> dict[str, Setting]:
    """The values where a sweep of a game does not change them: those of the command line, and the game's cards."""
    given = {name: getattr(options, name) for name in FLAGS}
    cards = {"cards": game.cards} if hasattr(game.rules, "cards") else {}
    games = (options.batches or [16 if options.quick else DEFAULTS["games"]])[0]
    return {
        "games": games,
        **cards,
        **{name: given.get(name, value) for name, value in DEFAULTS.items() if name != "games"},
    }


def check_grid(grid: dict[str, list[Setting]], options: argparse.Namespace) -> None:
    """Raises ValueError where a flag gives one value to what the grid changes."""
    given = {f"--{name.replace('_', '-')}": name for name in FLAGS if getattr(options, name) != DEFAULTS[name]}
    given |= {"--batches": "games"} if options.batches else {}
    given |= {"--cards": "cards"} if options.cards is not None else {}
    for rule in (options.rules or "").split(","):
        given |= {f"--rules {rule}": "cards"} if rule.startswith("cards=") else {}
    for flag, name in given.items():
        if name in grid and options.set:
            raise ValueError(f"{flag} and --set {name} contradict each other; leave one of them out")


def points(grid: dict[str, list[Setting]], defaults: dict[str, Setting]) -> list[dict[str, Setting]]:
    """Every combination of the grid's values, the last name running fastest, with the defaults of the others."""
    return [{**defaults, **dict(zip(grid, values, strict=True))} for values in itertools.product(*grid.values())]


def game_at(game: Game, point: dict[str, Setting]) -> Game:
    """The game with the cards of a point, if it says any. Raises ValueError on a number that makes no game."""
    return type(game)(game.rules, cards=point["cards"]) if "cards" in point else game


def config_at(point: dict[str, Setting], merge_equivalent: bool = False) -> SearchConfig:
    """How the games of a point are searched. Raises ValueError on a setting out of range."""
    fields = ("worlds", "simulations", "leaves_per_step", "c_puct", "noise_fraction")
    return SearchConfig(**{name: point[name] for name in fields}, merge_equivalent=merge_equivalent)


def check_point(point: dict[str, Setting], game: Game, device: torch.device) -> None:
    """Raises ValueError, in one line, on a setting of a point that is out of range, or that the device has not."""
    if point["network"] not in PRESETS:
        raise ValueError(f"network must be one of {', '.join(PRESETS)}, got {point['network']!r}")
    check_precision(point["precision"], device)
    for name, least in (("games", 1), ("threads", 0)):
        if point[name] < least:
            raise ValueError(f"{name} must be at least {least}, got {point[name]}")
    game_at(game, point)
    config_at(point)


@contextmanager
def prepared(
    point: dict[str, Setting],
    game: Game,
    device: torch.device,
    compile: bool,
    graphs: bool,
    merge_equivalent: bool = False,
) -> Iterator[Play]:
    """Self-play with the settings of one point that is in order (`check_point`), PyTorch's threads as it says within a
    `with` block.

    Args:
        game: what is played, but for the cards where the point says how many.
        merge_equivalent: as in `SearchConfig`.
    """
    game, config = game_at(game, point), config_at(point, merge_equivalent)
    net = BlobNet(network_config(point["network"], game)).to(device)
    network = inference_net(net, point["precision"], [game], compile)
    threads = torch.get_num_threads()
    torch.set_num_threads(point["threads"] or threads)
    try:
        yield Play(game, network, config, device, graphs)
    finally:
        torch.set_num_threads(threads)


def named(grid: dict[str, list[Setting]], point: dict[str, Setting]) -> dict[str, Setting]:
    """What distinguishes a point: the values of the names that are swept."""
    return {name: point[name] for name in grid}

"""The command line of `vecgame bench`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from net import PRESETS
from vecgame import Game
from veclab.agents.networks import other_rules, settings_for
from veclab.bench.flags_of import (
    BATCHED,
    COMPILED,
    MERGED,
    RECORDED,
    REPEATED,
    SEARCHING,
    SEVERAL,
    TIMED,
    TRAINED,
    WITH_NETWORK,
)
from veclab.bench.people import WORLDS
from veclab.bench.plot import CHARTS
from veclab.command_line import parser_of
from veclab.game_flags import DEFAULTS, canonical, games_of
from veclab.precision import PRECISIONS, check_ways
from veclab.progress import add_display_flags


def parse(arguments: list[str] | None, description: str, names: Sequence[str]) -> argparse.Namespace:
    """The command line; ``names`` of the benchmarks."""
    parser = parser_of("bench", description)
    listed = f"one of {', '.join(names)} (default: self-play)"
    parser.add_argument("what", nargs="?", default="self-play", choices=tuple(names), metavar="WHAT", help=listed)
    parser.add_argument(
        "part",
        nargs="?",
        choices=("learn",),
        metavar="learn",
        help="peers: how fast others learn, not how fast they are",
    )
    parser.add_argument(
        "--game", metavar="NAME", help="the game by its name, or its address, FILE.py:CLASS (default: blob)"
    )
    parser.add_argument("--rules", metavar="NAME=V,..", help="other rules of the game, such as players=5")
    parser.add_argument("--cards", type=int, metavar="N", help="cards dealt to a seat (default: the game's own)")
    parser.add_argument("--worlds", type=int, help=f"worlds of a search (default: 3; people: {WORLDS})")
    parser.add_argument("--simulations", type=int, help="simulations in each (default: 30)")
    parser.add_argument("--leaves-per-step", type=int, default=1, help="leaves of a tree judged together (default: 1)")
    parser.add_argument("--merge-equivalent", action="store_true", help="cards that are the same move searched as one")
    parser.add_argument("--network", choices=tuple(PRESETS), help="size of the network (default: document)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="self-play, sweep: the network's arithmetic"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="agreement, people: the network")
    parser.add_argument("--batches", type=int, nargs="+", metavar="N", help="batch sizes (default: by benchmark)")
    parser.add_argument("--workers", type=int, nargs="+", metavar="N", help="strategies: processes and threads to try")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="S", help="strategies: time of a row")
    parser.add_argument(
        "--minutes", type=float, nargs="+", metavar="M", help="peers learn: after how many to play (default: 1 5 20)"
    )
    parser.add_argument("--set", nargs="+", metavar="NAME=V,..", default=[], help="sweep: the grid")
    parser.add_argument("--repeats", type=int, help="timed repeats of each part (default: 3; of self-play's games 1)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: auto)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file, row by row")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="also draw them: PNG charts in this folder")
    parser.add_argument(
        "--compile", action="store_true", help="self-play, sweep, net, on a GPU: the network compiled by torch.compile"
    )
    parser.add_argument(
        "--no-graphs",
        action="store_false",
        dest="graphs",
        help="self-play, search, sweep, train, on a GPU: searches and learning without CUDA graphs",
    )
    parser.add_argument(
        "--timing-only", action="store_true", help="self-play, sweep: games/min alone, no limits and no phases"
    )
    add_display_flags(parser)
    parser.add_argument("--quick", action="store_true", help="small batches only: a check that all of it works")
    options = parser.parse_args(arguments)
    usual = {
        "worlds": WORLDS if options.what == "people" else 3,
        "simulations": 30,
        "network": "document",
        "repeats": 3,
    }
    options.given = frozenset(name for name in usual if getattr(options, name) is not None)
    for name in usual.keys() - options.given:
        setattr(options, name, usual[name])
    return options


def check(options: argparse.Namespace, device: torch.device) -> None:
    """Raises ValueError on an option that is out of range, or would change nothing."""
    counts = {"repeats": [options.repeats], "batches": options.batches or [1], "workers": options.workers or [1]}
    for name, values in counts.items():
        if min(values) < 1:
            raise ValueError(f"--{name} must be at least 1, got {min(values)}")
    if not 0 <= options.seconds < float("inf"):
        raise ValueError(f"--seconds must be 0 or more, got {options.seconds}")
    if options.minutes is not None and options.part != "learn":
        raise ValueError("--minutes is for peers learn; it would change nothing else")
    if wrong := [minutes for minutes in options.minutes or [] if not 0 < minutes < float("inf")]:
        raise ValueError(f"--minutes must be above 0 and finite, got {wrong[0]}")
    if options.timing_only and options.plot is not None:
        raise ValueError("--plot draws limits and phases, which --timing-only leaves out")
    if options.part == "learn" and options.device not in ("auto", "cpu"):
        raise ValueError(f"all learn on the CPU in peers learn; leave out --device {options.device}")
    if options.plot is not None and (options.what not in CHARTS or (options.what == "peers" and options.part is None)):
        raise ValueError(
            f"--plot is for {', '.join(CHARTS).replace('peers', 'peers learn')}; no chart suits {options.what}"
        )
    what = "peers learn" if (options.what, options.part) == ("peers", "learn") else options.what
    only = {
        **{f"--{name}": (name in options.given, SEARCHING) for name in ("worlds", "simulations")},
        "--network": ("network" in options.given, WITH_NETWORK),
        "--repeats": ("repeats" in options.given, REPEATED),
        "--batches": (options.batches is not None, BATCHED),
        "--compile": (options.compile, COMPILED),
        "--no-graphs": (not options.graphs, RECORDED),
        "--timing-only": (options.timing_only, TIMED),
        "--precision": (options.precision != "auto", TIMED),
        "--leaves-per-step": (options.leaves_per_step != 1, (*MERGED, "peers")),
        "several --batches": (len(options.batches or []) > 1, SEVERAL),
        "--merge-equivalent": (options.merge_equivalent, MERGED),
        "--weights": (options.weights is not None, TRAINED),
        "--workers": (options.workers is not None, ("strategies",)),
        "--seconds": (options.seconds > 0, ("strategies",)),
        "--set": (bool(options.set), ("sweep",)),
        "learn": (options.part is not None and what != "peers learn", ("peers",)),
    }
    for flag, (given, names) in only.items():
        if given and what not in names:
            raise ValueError(f"{flag} is for {', '.join(names)}; it would change nothing of {what}")
    check_ways(options.compile, options.graphs, device)


def played(options: argparse.Namespace) -> tuple[dict[str, object], Game, str | None]:
    """What is measured: the flags that name the game (`canonical`), the game, and a line where a network to compare was
    trained by other rules. Without flags such a network plays by its own, with the game's usual cards if it knows them.

    Raises:
        ValueError: in one line, on a game that cannot be had, or flags that contradict each other.
    """
    given = {name: getattr(options, name) for name in ("game", "rules", "cards") if getattr(options, name) is not None}
    given |= {"cards": str(options.cards)} if options.cards is not None else {}
    if options.what not in TRAINED:
        flags = canonical({**DEFAULTS, **given})
        return flags, games_of(flags)[0], None
    if options.weights is None:
        raise ValueError(f"{options.what} searches with a trained network: --weights network-*.safetensors")
    settings = settings_for(options.weights, given)
    games = settings.games()
    usual = type(games[0])().cards
    chosen = next((game for game in games if game.cards == usual), games[0])
    return settings.game_flags(), chosen, other_rules(options.weights, settings)

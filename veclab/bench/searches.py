"""What searches best with one network: ways to search at about equal cost, on the same deals.

    python -m veclab.bench.searches veclab/agents/blob-1-13.safetensors --cards 5 --deals 500 --json searches.json

Each way plays every deal from all seats against three players of the network without search. Its figure is its lead
over them, and the gain of that over PUCT 3x30's in the same deals, with 95% intervals over the deals. Beside it the
processor time that a game took, and the evaluations of the player's own decisions.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from net import InferenceNet
from vecgame.philox import check_seed
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.arena.bots import HistoryPlayer, IsmctsPlayer, NetworkPlayer, Player, RolloutPlayer, search_player
from veclab.arena.matches import ONE_AGAINST_THREE, Interval, play_deals, side_points
from veclab.bench.measure import environment
from veclab.bench.selfplay import CountingNetwork
from veclab.files import json_text
from veclab.precision import inference_net
from veclab.progress import Display, add_display_flags, display_of, print_table
from veclab.settings import from_flags
from vecmcts import IsmctsConfig, RolloutConfig, SearchConfig
from vecmcts.evaluators import Network

Config = SearchConfig | IsmctsConfig | RolloutConfig
BASELINE = "PUCT 3x30"
PUCT = SearchConfig(worlds=3, simulations=30)
ROLLOUTS = RolloutConfig()
CONFIGS: dict[str, Config] = {
    BASELINE: PUCT,
    "PUCT 12x8": replace(PUCT, worlds=12, simulations=8),
    "PUCT 30x30": replace(PUCT, worlds=30, simulations=30),
    "shared 3x30": replace(PUCT, root_selection="shared"),
    "shared 12x8": replace(PUCT, root_selection="shared", worlds=12, simulations=8),
    "shared 30x3": replace(PUCT, root_selection="shared", worlds=30, simulations=3),
    "Gumbel 3x30": replace(PUCT, root_selection="gumbel", gumbel_scale=0.0),
    "Gumbel 12x8": replace(PUCT, root_selection="gumbel", gumbel_scale=0.0, worlds=12, simulations=8),
    "SO-ISMCTS 90": IsmctsConfig(simulations=90),
    "likelihood, 3 of 32, x30": replace(PUCT, candidates=32),
    "likelihood, 12 of 64, x8": replace(PUCT, candidates=64, worlds=12, simulations=8),
    "rollouts, 32": replace(ROLLOUTS, candidates=0),
    "rollouts, 32 of 128": ROLLOUTS,
}


@dataclass(frozen=True)
class Way:
    """One way to search and what it came to."""

    name: str
    lead: Tensor  # [deals] float64, points a game over one opponent
    milliseconds: float  # of processor time, a game
    evaluations: float  # a game


def player_of(network: Network, config: Config) -> Player | HistoryPlayer:
    """The player that searches so."""
    if isinstance(config, RolloutConfig):
        return RolloutPlayer(network, config)
    return IsmctsPlayer(network, config) if isinstance(config, IsmctsConfig) else search_player(network, config)


def measure(
    names: Sequence[str],
    network: InferenceNet,
    games: Sequence[object],
    deals: int,
    seed: int,
    display: Display,
    keep: Callable[[list[Way]], None],
) -> list[Way]:
    """Plays the deals in each way; ``keep`` is given those that are finished after each."""
    ways = []
    count = len(ONE_AGAINST_THREE) * deals
    with display.task("searches", count * len(names), "games") as task:
        for number, name in enumerate(names):
            counted = CountingNetwork(network)

            def report(share: float, number: int = number) -> None:
                task.update(count * (number + share))

            begun = time.process_time()
            players = (player_of(counted, CONFIGS[name]), NetworkPlayer(network))
            points = play_deals(games, players, ONE_AGAINST_THREE, deals, seed, "cpu", report)
            mine, theirs = side_points(points, ONE_AGAINST_THREE).unbind(-1)
            seconds = time.process_time() - begun
            ways.append(Way(name, mine - theirs, 1000 * seconds / count, sum(counted.batches) / count))
            lead = Interval.of(ways[-1].lead)
            display.news(f"{name}: lead {lead.mean:+.2f} ± {lead.half:.2f}, {ways[-1].milliseconds:.0f} ms a game")
            keep(ways)
    return ways


def rows_of(ways: Sequence[Way]) -> list[dict[str, object]]:
    """Plain numbers; the gain is over the first way."""
    rows = []
    for way in ways:
        lead, gain = Interval.of(way.lead), Interval.of(way.lead - ways[0].lead)
        rows.append(
            {
                "name": way.name,
                "config": asdict(CONFIGS[way.name]),
                "milliseconds": way.milliseconds,
                "evaluations": way.evaluations,
                "lead": asdict(lead),
                "gain": asdict(gain),
            }
        )
    return rows


def print_rows(console: Console, rows: Sequence[dict[str, object]], title: str) -> None:
    """The rows for people."""
    cells = []
    for row in rows:
        lead, gain = Interval(**row["lead"]), Interval(**row["gain"])
        gained = f"{gain.mean:+.2f} ± {gain.half:.2f}" if row is not rows[0] else ""
        figures = (f"{row['evaluations']:,.0f}", f"{row['milliseconds']:.0f}", f"{lead.mean:+.2f} ± {lead.half:.2f}")
        cells.append((row["name"], *figures, gained))
    print_table(console, title, ("search", "judged", "ms", "lead", "gain"), cells)
    console.print(
        f"a game: positions judged, processor time, points ahead; gain: over {rows[0]['name']}; 95% intervals"
    )


@ends_in_one_line(needs_less="a smaller --deals")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.searches", description=__doc__)
    parser.add_argument("network", type=Path, help="a network-*.safetensors for Blob")
    parser.add_argument("--searches", nargs="+", default=list(CONFIGS), choices=list(CONFIGS), metavar="NAME")
    parser.add_argument("--cards", default="5", help="as of vecgame train (default: 5)")
    parser.add_argument("--deals", type=int, default=250, help="each played four times (default: 250)")
    parser.add_argument("--seed", type=int, default=1, help="of the deals (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    names = list(dict.fromkeys([BASELINE, *own.searches]))
    if own.deals < 2:
        raise ValueError(f"--deals must be at least 2, got {own.deals}")
    check_seed(own.seed)
    check_place("--json", own.json)
    games = from_flags("document", {"cards": own.cards}).games()
    network = inference_net(load_network(own.network), "auto", games)
    games_count = len(ONE_AGAINST_THREE) * own.deals
    title = f"{own.network.name}, {own.cards} cards, {games_count:,} games each against 3 x network alone"
    display, rows = display_of(own), []

    def keep(ways: list[Way]) -> None:
        rows[:] = rows_of(ways)
        if own.json is not None:
            stored = {**environment(torch.device("cpu")), "title": title, "complete": len(ways) == len(names)}
            stored["results"] = rows
            stored["command"] = "python -m veclab.bench.searches " + shlex.join(arguments or sys.argv[1:])
            write_atomically(own.json, json_text(stored, indent=1).encode())

    try:
        measure(names, network, games, own.deals, own.seed, display, keep)
    except KeyboardInterrupt:
        if rows:
            print_rows(display.console, rows, title)
        kept = f", kept in {own.json} as incomplete" if own.json is not None and rows else ""
        raise KeyboardInterrupt(f"stopped after {len(rows)} of {len(names)} searches{kept}") from None
    print_rows(display.console, rows, title)
    return 0


if __name__ == "__main__":
    sys.exit(main())

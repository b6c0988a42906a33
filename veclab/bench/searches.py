"""What searches best with one network: ways to search at about equal cost, on the same deals.

    python -m veclab.bench.searches veclab/agents/blob-4-players.safetensors --cards 5 --deals 500 --json searches.json

Each way plays every deal of the network's game from all seats against players of the network without search. Its
figure is its lead over them, and the gain of that over PUCT 3x30's in the same deals, with 95% intervals over the
deals. Beside it the processor time that a game took, and the evaluations of the player's own decisions. Where cards
change hands, worlds by likelihood cannot be had, and ways that need them are left out.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_least, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from net import InferenceNet
from vecgame import Game, identity
from vecgame.philox import check_seed
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import settings_for
from veclab.arena.bots import HistoryPlayer, IsmctsPlayer, NetworkPlayer, Player, rollout_player, search_player, why_not
from veclab.arena.intervals import Interval, span_of, strata_of
from veclab.arena.matches import opposed, play_deals, seatings_of, side_points
from veclab.bench.selfplay import CountingNetwork
from veclab.files import json_text
from veclab.game_flags import RULES
from veclab.machine import command_of, environment
from veclab.precision import inference_net
from veclab.progress import Display, add_display_flags, display_of, print_table
from veclab.setting_flags import add_flags, own_and_settings
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
    strata: Sequence[int] | None = None  # of the deals, see `strata_of`; None: all are by the same rules
    span: float = math.inf  # how far apart leads can be


def player_of(network: Network, config: Config) -> Player | HistoryPlayer:
    """The player that searches so."""
    if isinstance(config, RolloutConfig):
        return rollout_player(network, config)
    return IsmctsPlayer(network, config) if isinstance(config, IsmctsConfig) else search_player(network, config)


def measure(
    makers: Mapping[str, Callable[[Network], Player | HistoryPlayer]],
    network: InferenceNet,
    games: Sequence[Game],
    deals: int,
    seed: int,
    display: Display,
    keep: Callable[[list[Way]], None] = lambda ways: None,
) -> list[Way]:
    """Plays the deals in each way, by the player made of a network; ``keep`` is given the ways that are finished
    after each."""
    ways, seatings = [], seatings_of(games[0])
    count, strata, span = len(seatings) * deals, strata_of(deals, len(games)), 2 * span_of(games)
    with display.task("searches", count * len(makers), "games") as task:
        for number, (name, make) in enumerate(makers.items()):
            counted = CountingNetwork(network)

            def report(share: float, number: int = number) -> None:
                task.update(count * (number + share))

            begun = time.process_time()
            players = (make(counted), NetworkPlayer(network))
            points = play_deals(games, players, seatings, deals, seed, "cpu", report)
            mine, theirs = side_points(points, seatings).unbind(-1)
            seconds = time.process_time() - begun
            ways.append(Way(name, mine - theirs, 1000 * seconds / count, sum(counted.batches) / count, strata, span))
            lead = Interval.of(ways[-1].lead, strata, span)
            display.news(f"{name}: lead {lead.mean:+.2f} ± {lead.half:.2f}, {ways[-1].milliseconds:.0f} ms a game")
            keep(ways)
    return ways


def rows_of(ways: Sequence[Way]) -> list[dict[str, object]]:
    """Plain numbers; the gain is over the first way."""
    rows = []
    for way in ways:
        lead = Interval.of(way.lead, way.strata, way.span)
        gain = Interval.of(way.lead - ways[0].lead, way.strata, 2 * way.span) if way is not ways[0] else Interval(0, 0)
        rows.append(
            {
                "name": way.name,
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
    parser.add_argument("network", type=Path, help="a network-*.safetensors; it says its game and rules")
    parser.add_argument("--searches", nargs="+", choices=list(CONFIGS), metavar="NAME")
    parser.add_argument("--deals", type=int, default=250, help="each played from all seats (default: 250)")
    parser.add_argument("--seed", type=int, default=1, help="of the deals (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    add_display_flags(parser)
    add_flags(parser, RULES)
    own, given = own_and_settings(parser, arguments)
    check_least(own, deals=2)
    check_seed(own.seed)
    check_place("--json", own.json, own.network)
    settings = settings_for(own.network, given)
    games = settings.games()
    network = inference_net(load_network(own.network, game=games[0]), "auto", games)
    refused = {name: why_not(player_of(network, config), *games) for name, config in CONFIGS.items()}
    for name in own.searches or ():
        if (reason := refused[name]) is not None:
            raise ValueError(f"no search {name!r} here: {reason}")
    names = list(dict.fromkeys([BASELINE, *(own.searches or [name for name in CONFIGS if refused[name] is None])]))
    seatings = seatings_of(games[0])
    against = f"{len(seatings) * own.deals:,} games each {opposed(seatings)}network alone"
    title = f"{own.network.name}, {settings.describe()}, {against}"
    command = command_of("python -m veclab.bench.searches", arguments)
    display, rows = display_of(own), []

    def keep(ways: list[Way]) -> None:
        rows[:] = [{**row, "config": asdict(CONFIGS[row["name"]])} for row in rows_of(ways)]
        if own.json is not None:
            stored = {**environment(torch.device("cpu"), command), "title": title, "complete": len(ways) == len(names)}
            stored |= {"games": [identity(game) for game in games], "results": rows}
            write_atomically(own.json, json_text(stored, indent=1).encode())

    try:
        makers = {name: partial(player_of, config=CONFIGS[name]) for name in names}
        measure(makers, network, games, own.deals, own.seed, display, keep)
    except KeyboardInterrupt:
        if rows:
            print_rows(display.console, rows, title)
        kept = f", kept in {own.json} as incomplete" if own.json is not None and rows else ""
        raise KeyboardInterrupt(f"stopped after {len(rows)} of {len(names)} searches{kept}") from None
    print_rows(display.console, rows, title)
    return 0


if __name__ == "__main__":
    sys.exit(main())

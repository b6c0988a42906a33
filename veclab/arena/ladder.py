"""A ladder of networks and bots: Elo ratings with 95% intervals.

vecgame ladder runs/NAME                       a run's networks and the bots
vecgame ladder runs/NAME --search              the networks search, as in evaluations
vecgame ladder runs/A runs/B/network-000010.safetensors --json ladder.json

Every two agents play the same deals, two against two: each deal six times, once for every way to give an agent two of
the four seats. Both thus hold the same cards in the same places. (One against three would measure two different things,
how one does among three others and how three do around one, at eight games a deal.) An agent wins from the other what
`veclab.arena.matches.win_shares` says: the share of all pairs of opposing seats, over a deal's games, in which it has
more points, equal points counting half. In a game of partners each deal is played twice, side against side.
`veclab.arena.elo` makes ratings of that; the rule-based bot is 0, or where there is none the random one.

The ladder's file keeps every deal's result, so that a new network plays its own pairings only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from net import InferenceNet
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import require_four_seats, saved_networks, settings_for
from veclab.arena.bots import NetworkPlayer, Player, RandomBot, RuleBot, search_player
from veclab.arena.elo import Rating, rate
from veclab.arena.evaluate import bots, bots_of, choose_device
from veclab.arena.matches import Report, Seatings, even_seatings_of, play_deals, win_shares
from veclab.command_line import parser_of
from veclab.game_flags import RULES
from veclab.progress import Display
from veclab.settings import Settings, add_flags

FORMAT = "vecgame-ladder-1"
FLAGS = (*RULES, "worlds", "simulations", "c_puct", "leaves_per_step", "root_selection", "considered_actions")
FLAGS += ("candidates", "trust", "eval_deals", "seed", "device")


@dataclass
class Ladder:
    """What has been played.

    terms: what the results depend on besides the two agents; a ladder has one set of them.
    agents: the name of each agent, with the SHA-256 of its network's file, or None for a bot.
    pairings: (a, b) -> half wins of a in each deal, [D] integers from 0 to `comparisons`.
    """

    terms: dict[str, object]
    seatings: Seatings  # in which a deal is played
    agents: dict[str, str | None] = field(default_factory=dict)
    pairings: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, terms: dict[str, object], seatings: Seatings) -> Ladder:
        """The ladder of a file, or a new one where there is none.

        Raises:
            ValueError: in one line, when the file is something else or was played on other terms.
        """
        if not path.exists():
            return cls(terms, seatings)
        try:
            stored = json.loads(path.read_text())
            if stored["format"] != FORMAT:
                raise ValueError(stored["format"])
            pairings = {(entry["a"], entry["b"]): entry["half_wins"] for entry in stored["pairings"]}
            ladder = cls(stored["terms"], seatings, stored["agents"], pairings)
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"{path} is no ladder of this version; name another --json") from None
        different = [name for name in terms if ladder.terms.get(name) != terms[name]]
        if different:
            listed = ", ".join(f"{name} (file: {ladder.terms.get(name)}, here: {terms[name]})" for name in different)
            raise ValueError(f"{path} was played on other terms: {listed}; name another --json")
        return ladder

    @property
    def anchor(self) -> str:
        """The agent that is 0."""
        return RuleBot.name if "rules" in bots_of(self.terms["game"]) else RandomBot.name

    @property
    def comparisons(self) -> int:
        """Half wins of a deal at most: results are stored as whole numbers."""
        return 2 * sum(a != b for seats in self.seatings for a, b in combinations(seats, 2))

    def add(self, name: str, digest: str | None) -> None:
        """Adds an agent, or finds it there.

        Raises:
            ValueError: when another network has its name.
        """
        if self.agents.setdefault(name, digest) != digest:
            raise ValueError(f"the ladder holds results of another network called {name}; name another --json")

    def missing(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The pairings among some agents that have not been played."""
        return [(a, b) for a, b in combinations(names, 2) if not self.pairings.keys() & {(a, b), (b, a)}]

    def ratings(self) -> dict[str, Rating]:
        """Elo of all agents, the best first.

        Raises:
            ValueError: when results do not connect them.
        """
        names = list(self.agents)
        numbers = {
            (names.index(a), names.index(b)): torch.tensor(half_wins) / self.comparisons
            for (a, b), half_wins in self.pairings.items()
        }
        rated = dict(zip(names, rate(len(names), numbers, names.index(self.anchor)), strict=True))
        return dict(sorted(rated.items(), key=lambda item: -item[1].elo))

    def save(self, path: Path, ratings: dict[str, Rating] | None = None) -> None:
        """Writes the ladder, with ratings once all is played."""
        pairings = [{"a": a, "b": b, "half_wins": half_wins} for (a, b), half_wins in self.pairings.items()]
        rated = {name: asdict(rating) for name, rating in (ratings or {}).items()}
        stored = {"format": FORMAT, "terms": self.terms, "ratings": rated, "agents": self.agents, "pairings": pairings}
        write_atomically(path, json.dumps(stored).encode())


def play_pairing(
    ladder: Ladder, settings: Settings, a: Player, b: Player, device: torch.device, report: Report | None = None
) -> list[int]:
    """Half wins of ``a`` in each deal: [D] integers."""
    games, deals = settings.games(), settings.eval_deals
    points = play_deals(games, (a, b), ladder.seatings, deals, settings.seed, device, report)
    return half_wins(ladder, points)


def half_wins(ladder: Ladder, points: Tensor) -> list[int]:
    """Points [D, K, 4] of games in a ladder's K seatings -> half wins of player 0 in each deal, integers."""
    return (win_shares(points, ladder.seatings) * ladder.comparisons).round().long().tolist()


def play_missing(
    ladder: Ladder, players: dict[str, Player], settings: Settings, device: torch.device, path: Path, display: Display
) -> None:
    """Plays the pairings that the ladder lacks, keeping each as soon as it is over."""
    missing = ladder.missing(list(players))
    games = len(ladder.seatings) * settings.eval_deals
    with display.task("ladder", games * len(missing), "games") as task:
        for number, (a, b) in enumerate(missing):

            def report(share: float, number: int = number) -> None:
                task.update(games * (number + share))

            ladder.pairings[a, b] = play_pairing(ladder, settings, players[a], players[b], device, report)
            ladder.save(path)


def ratings_table(ladder: Ladder, ratings: dict[str, Rating], title: str) -> Table:
    """Agents from the best down, with their share of wins against the anchor."""
    table = Table(title=title, title_justify="left", caption=f"{ladder.anchor} = 0; intervals by bootstrap over deals")
    table.add_column("agent", overflow="fold")
    for column in ("Elo", "95% interval", f"wins from {ladder.anchor}"):
        table.add_column(column, justify="right")
    for name, rating in ratings.items():
        interval = "" if name == ladder.anchor else f"{rating.low:+.0f} .. {rating.high:+.0f}"
        table.add_row(name, f"{rating.elo:+.0f}", interval, share_text(ladder, name, ladder.anchor))
    return table


def share_text(ladder: Ladder, name: str, other: str) -> str:
    """How much one agent won from another, as a percentage; nothing if they have not played."""
    if (name, other) in ladder.pairings:
        won = ladder.pairings[name, other]
        return f"{100 * sum(won) / (ladder.comparisons * len(won)):.1f}%"
    if (other, name) in ladder.pairings:
        lost = ladder.pairings[other, name]
        return f"{100 - 100 * sum(lost) / (ladder.comparisons * len(lost)):.1f}%"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("ladder", __doc__)
    parser.add_argument("agents", nargs="+", type=Path, metavar="RUN_OR_NETWORK", help="runs' folders, networks' files")
    parser.add_argument(
        "--most", type=int, default=8, metavar="N", help="networks of one run, evenly spaced (default: 8)"
    )
    parser.add_argument("--search", action="store_true", help="the networks search; else they play without (default)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the ladder's file (default: ladder.json in the run)")
    add_flags(parser, FLAGS)
    given = vars(parser.parse_args(arguments))
    own = argparse.Namespace(**{name: given.pop(name) for name in ("agents", "most", "search", "json")})
    display = Display()
    try:
        if own.most < 1:
            raise ValueError(f"--most must be at least 1, got {own.most}")
        networks = saved_networks(own.agents, own.most)
        settings = settings_for(own.agents[0], given)
        require_four_seats(settings, "a ladder")
        device = choose_device(settings.device)
        path = own.json or _default_file(own.agents[0])
        seatings = even_seatings_of(settings.games()[0])
        ladder = Ladder.load(path, _terms(settings, own.search), seatings)
        players: dict[str, Player] = {bot.name: bot for bot in bots(settings.game)}
        for name, file in networks.items():
            net = InferenceNet(load_network(file, device, settings.games()[0]))
            players[name] = search_player(net, settings.search()) if own.search else NetworkPlayer(net)
        for name in players:
            ladder.add(name, hashlib.sha256(networks[name].read_bytes()).hexdigest() if name in networks else None)
        play_missing(ladder, players, settings, device, path, display)
        ratings = ladder.ratings()
        ladder.save(path, ratings)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    how = f"search {settings.worlds}x{settings.simulations}" if own.search else "networks without search"
    times = len(ladder.seatings)
    title = f"{settings.describe()}, {how}, {settings.eval_deals:,} deals a pairing, each played {times} times"
    display.console.print(ratings_table(ladder, ratings, title))
    display.line(f"results: {path}")
    return 0


def _default_file(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / "ladder.json"


def _terms(settings: Settings, search: bool) -> dict[str, object]:
    """What the results of a pairing depend on besides the agents."""
    terms = {name: getattr(settings, name) for name in (*RULES, "eval_deals", "seed")}
    return {**terms, "search": asdict(settings.search()) if search else None}


if __name__ == "__main__":
    sys.exit(main())

"""A ladder of networks, bots, programs and players of your own: Elo ratings with 95% intervals.

vecgame ladder runs/NAME                       a run's networks and the bots
vecgame ladder runs/NAME --search              the networks search, as in evaluations
vecgame ladder runs/NAME --policy              they play actions drawn from their policy
vecgame ladder runs/A runs/B/network-000010.safetensors --json ladder.json
vecgame ladder runs/NAME 'cmd:node examples/bot.js' careful.py:Careful

Every two agents play the same deals, at as many seats each: of four two against two, each deal six times, once for
every way to give an agent two of the seats; else every other seat, turned through all places and exchanged. In a game
of partners each deal is played twice, side against side; in a cooperative game likewise, by each with itself. Both thus
hold the same cards in the same places. (One against three would measure two different things, how one does among three
others and how three do around one, at eight games a deal.) An agent wins from the other what
`veclab.arena.matches.win_shares` says: the share of all pairs of opposing seats, over a deal's games, in which it has
more points, equal points counting half. `veclab.arena.elo` makes ratings of that; the rule-based bot is 0, or where it
does not play the random one.

The ladder's file keeps every deal's result, so that a new network plays its own pairings only. A program is told from
others by its command and the files that this names; a command like ``vecbot --level 3`` whose program has changed
otherwise needs another file. A bot is told from what it was in another version by the source that it plays by, a
player of your own by its address, in full, and its file.
"""

from __future__ import annotations

from veclab.command_line import begin, check_least, check_place, ends_in_one_line, parser_of, run_or_network, showing

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import hashlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from net import InferenceNet
from veclab.agents.checkpoint import write_atomically
from veclab.agents.networks import Saved, read_saved, saved_networks, settings_for, settled
from veclab.arena.bots import HistoryPlayer, Player, RandomBot, RuleBot, any_told
from veclab.arena.elo import Rating, rate
from veclab.arena.evaluate import (
    ASKED,
    BOTS,
    add_program_flags,
    bots,
    check_flag_of,
    check_players,
    check_search_flags,
    choose_device,
    make_players,
)
from veclab.arena.forked import Report, most_processes
from veclab.arena.intervals import strata_of
from veclab.arena.matches import Seatings, even_seatings_of, play_deals, rivalries, win_shares
from veclab.arena.outsiders import OUTSIDERS, is_outsider, outsider
from veclab.arena.programs import PREFIX, ending, is_program
from veclab.arena.solved import get_ready
from veclab.files import json_text
from veclab.game_flags import RULES, identities
from veclab.lock import alone_at
from veclab.presets import from_flags
from veclab.progress import Display, add_display_flags, display_of, print_table
from veclab.room import check_match
from veclab.setting_flags import OF_THE_SEARCH, add_flags, own_and_settings
from veclab.settings import Settings

FORMAT, OLD_FORMATS = "vecgame-ladder-3", ("vecgame-ladder-1", "vecgame-ladder-2")
FLAGS = (*RULES, "worlds", "simulations", "c_puct", "leaves_per_step", "root_selection", "considered_actions")
FLAGS += ("candidates", "trust", "eval_deals", "seed", "device")


@dataclass
class Ladder:
    """What has been played.

    terms: what the results depend on besides the two agents; a ladder has one set of them.
    agents: the name of each agent, with the SHA-256 of its network's, program's or player's file or of a bot's source;
        None for a bot of a version that did not keep it, or another.
    pairings: (a, b) -> half wins of a in each deal, [D] integers from 0 to `comparisons`.
    other_rules: of a network that was trained by other rules than it plays by here, what these are.
    """

    terms: dict[str, object]
    seatings: Seatings  # in which a deal is played
    agents: dict[str, str | None] = field(default_factory=dict)
    pairings: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    other_rules: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, terms: dict[str, object], seatings: Seatings) -> Ladder:
        """The ladder of a file, or a new one where there is none.

        Raises:
            ValueError: in one line, when the file is something else, is damaged, or was played on other terms.
        """
        if not path.exists():
            return cls(terms, seatings)
        unreadable = f"{path} is no ladder of this version, or is damaged; name another --json"
        try:
            stored = json.loads(path.read_text())
            if stored["format"] != FORMAT:
                stored = _upgraded(stored)
            pairings = {(entry["a"], entry["b"]): entry["half_wins"] for entry in stored["pairings"]}
            if len({frozenset(pair) for pair in pairings}) < len(stored["pairings"]):
                raise ValueError("a pairing stands there twice")
            ladder = cls(
                dict(stored["terms"]), seatings, dict(stored["agents"]), pairings, stored.get("other_rules", {})
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(unreadable) from None
        different = [name for name in terms if ladder.terms.get(name) != terms[name]]
        if different:
            listed = ", ".join(f"{name} (file: {ladder.terms.get(name)}, here: {terms[name]})" for name in different)
            raise ValueError(f"{path} was played on other terms: {listed}; name another --json")
        if not ladder._is_whole():
            raise ValueError(unreadable)
        return ladder

    def _is_whole(self) -> bool:
        """Whether each pairing is of two of the agents and has a possible result for every deal."""
        possible, deals = range(self.comparisons + 1), self.terms.get("eval_deals")
        return isinstance(self.other_rules, dict) and all(
            a in self.agents
            and b in self.agents
            and a != b
            and isinstance(half_wins, list)
            and len(half_wins) == deals
            and all(type(won) is int and won in possible for won in half_wins)
            for (a, b), half_wins in self.pairings.items()
        )

    @property
    def anchor(self) -> str:
        """The agent that is 0."""
        return RuleBot.name if RuleBot.name in self.agents else RandomBot.name

    @property
    def comparisons(self) -> int:
        """Half wins of a deal at most: results are stored as whole numbers."""
        return 2 * (rivalries(self.seatings) or 1)

    def add(self, name: str, digest: str) -> bool:
        """Adds an agent, or finds it there; returns whether the file says which it was.

        Raises:
            ValueError: when another network has its name.
        """
        known = self.agents.setdefault(name, digest)
        if known not in (digest, None):
            raise ValueError(
                f"the ladder holds results of another network, program or version of a bot called {name}; name "
                "another --json"
            )
        return known is not None

    def missing(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The pairings among some agents that have not been played."""
        return [(a, b) for a, b in combinations(names, 2) if not self.pairings.keys() & {(a, b), (b, a)}]

    def ratings(self) -> dict[str, Rating]:
        """Elo of all agents that have played, the best first; one may be there that was stopped before it had.

        Raises:
            ValueError: when results do not connect them.
        """
        names = [name for name in self.agents if any(name in pair for pair in self.pairings)]
        numbers = {
            (names.index(a), names.index(b)): torch.tensor(half_wins) / self.comparisons
            for (a, b), half_wins in self.pairings.items()
        }
        strata = strata_of(self.terms["eval_deals"], len(self.terms["games"]))
        rated = dict(zip(names, rate(len(names), numbers, names.index(self.anchor), strata), strict=True))
        return dict(sorted(rated.items(), key=lambda item: -item[1].elo))

    def save(self, path: Path, ratings: dict[str, Rating] | None = None) -> None:
        """Writes the ladder, with ratings once all is played."""
        pairings = [{"a": a, "b": b, "half_wins": half_wins} for (a, b), half_wins in self.pairings.items()]
        rated = {name: asdict(rating) for name, rating in (ratings or {}).items()}
        stored = {"format": FORMAT, "terms": self.terms, "ratings": rated, "agents": self.agents, "pairings": pairings}
        stored |= {"other_rules": self.other_rules}
        write_atomically(path, json_text(stored).encode())


def play_pairing(
    ladder: Ladder, settings: Settings, a: Player, b: Player, device: torch.device, report: Report | None = None
) -> list[int]:
    """Half wins of ``a`` in each deal: [D] integers."""
    games, deals = settings.games(), settings.eval_deals
    processes = most_processes(device)
    points = play_deals(games, (a, b), ladder.seatings, deals, settings.seed, device, report, processes=processes)
    return half_wins(ladder, points)


def half_wins(ladder: Ladder, points: Tensor) -> list[int]:
    """Points [D, K, seats] of games in a ladder's K seatings -> half wins of player 0 in each deal, integers."""
    return (win_shares(points, ladder.seatings) * ladder.comparisons).round().long().tolist()


def play_missing(
    ladder: Ladder,
    players: dict[str, Player | HistoryPlayer],
    settings: Settings,
    device: torch.device,
    path: Path,
    display: Display,
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
            display.news(f"{a} wins {share_text(ladder, a, b)} from {b}")


def print_ratings(console: Console, ladder: Ladder, ratings: dict[str, Rating], title: str) -> None:
    """Agents from the best down, with their share of wins against the anchor."""
    rows = []
    for name, rating in ratings.items():
        interval = "" if name == ladder.anchor else rating.interval
        rows.append((name, f"{rating.elo:+.0f}", interval, share_text(ladder, name, ladder.anchor)))
    print_table(console, title, ("agent", "Elo", "95% interval", f"wins from {ladder.anchor}"), rows)
    console.print(f"{ladder.anchor} = 0; intervals by bootstrap over deals; to each pairing a drawn deal is added")
    if any(math.isinf(rating.low) or math.isinf(rating.high) for rating in ratings.values()):
        console.print("at least, at most: one side won every deal, or nearly, so nothing tells how much better it is")


def share_text(ladder: Ladder, name: str, other: str) -> str:
    """How much one agent won from another, as a percentage; nothing if they have not played."""
    if (name, other) in ladder.pairings:
        won = ladder.pairings[name, other]
        return f"{100 * sum(won) / (ladder.comparisons * len(won)):.1f}%"
    if (other, name) in ladder.pairings:
        lost = ladder.pairings[other, name]
        return f"{100 - 100 * sum(lost) / (ladder.comparisons * len(lost)):.1f}%"
    return ""


@ends_in_one_line(needs_less="a smaller --eval-deals")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("ladder", __doc__)
    parser.add_argument(
        "agents",
        nargs="+",
        metavar="AGENT",
        help=f"runs' folders (newest: the newest in runs/); networks' files; {', '.join(ASKED)}, the solution of a "
        f"game small enough; {OUTSIDERS}",
    )
    parser.add_argument(
        "--most", type=int, default=8, metavar="N", help="networks of one run, evenly spaced (default: 8)"
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--search", action="store_true", help="the networks search; else their best action (default)")
    ways.add_argument("--policy", action="store_true", help="the networks play actions drawn from their policy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the ladder's file (default: ladder.json in the run)")
    add_display_flags(parser)
    add_program_flags(parser)
    add_flags(parser, FLAGS)
    own, given = own_and_settings(parser, arguments)
    way = "search" if own.search else "policy" if own.policy else "alone"
    check_search_flags(given, OF_THE_SEARCH if own.search else (), "--search")
    display = display_of(own)
    check_least(own, most=1)
    check_flag_of(f"{PREFIX}COMMAND", "--program-seconds", own.program_seconds, any(map(is_program, own.agents)))
    if named := [name for name in own.agents if name in BOTS and not Path(name).exists()]:
        raise ValueError(f"{named[0]} is a bot, and all bots that play the game are in every ladder: leave it out")
    asked = [name for name in dict.fromkeys(own.agents) if name in ASKED and not Path(name).exists()]
    paths = [run_or_network(name) for name in own.agents if name not in asked and not is_outsider(name)]
    made = [ASKED[name]() for name in asked]
    made += [outsider(name, own.program_seconds) for name in own.agents if is_outsider(name)]
    outsiders = {player.name: player for player in made}

    def files() -> dict[str, Path]:
        return saved_networks(paths, own.most)

    settings = settled(paths, lambda: _settings_of(files(), given))
    games, device = settings.games(), choose_device(settings.device)
    path = own.json or _default_file(paths)
    check_place("--json", path, *settled(paths, files).values())
    seatings, config = even_seatings_of(games[0]), settings.search() if own.search else None
    check_match(device, games, settings.eval_deals, len(seatings), config, "--eval-deals", any_told(made))
    terms = _terms(settings, way)
    with alone_at(path):
        ladder = Ladder.load(path, terms, seatings)
        players: dict[str, Player | HistoryPlayer] = {bot.name: bot for bot in bots(games)}
        networks = settled(paths, lambda: _entrants(files(), settings, device))
        for name, (saved, _) in networks.items():
            if saved.other_rules:
                ladder.other_rules[name] = saved.other_rules
                display.line(f"{name} plays {saved.other_rules}")
            players[name] = make_players(InferenceNet(saved.network), [way], settings)[0]
        players |= outsiders
        digests = {name: player.digest(games[0]) for name, player in players.items() if name not in networks}
        digests |= {name: digest for name, (_, digest) in networks.items()}
        unknown = [name for name in players if not ladder.add(name, digests[name])]
        if unknown:
            display.line(f"{path} does not say which versions of {', '.join(unknown)} its results are of")
        hows = {"search": f"search {settings.worlds}x{settings.simulations}", "policy": "networks' policies drawn from"}
        how, times = hows.get(way, "networks without search"), len(ladder.seatings)
        title = f"{settings.describe()}, {how}, {settings.eval_deals:,} deals a pairing, each played {times} times"

        def show() -> None:
            if not ladder.pairings:
                return
            ratings, missing = ladder.ratings(), len(ladder.missing(list(players)))
            if not missing:
                ladder.save(path, ratings)
            unfinished = f"; {missing} {'pairing is' if missing == 1 else 'pairings are'} not played yet"
            print_ratings(display.console, ladder, ratings, title + unfinished * (missing > 0))
            display.line(f"results: {path}")

        with ending(made):
            check_players(made, games)
            said = f"stopped; the same command goes on after the pairings that are finished, which are in {path}"
            with showing(show, lambda: said):
                get_ready(made, games, display)
                play_missing(ladder, players, settings, device, path, display)
        return 0


def _settings_of(networks: dict[str, Path], given: dict[str, object]) -> Settings:
    """The settings that all the networks are played by; of a ladder without networks those that are given.

    Raises:
        ValueError: in one line, when they are for different games and the flags do not say which to play.
    """
    if not networks:
        return from_flags("document", given)
    settings = {name: settings_for(path, given) for name, path in networks.items()}
    first, *others = settings
    for other in others:
        if settings[other].games() != settings[first].games():
            raise ValueError(
                f"{first} is for {settings[first].describe()}, {other} for {settings[other].describe()}; a ladder is "
                "of one game: say which by --game, --rules and --cards"
            )
    return settings[first]


def _default_file(paths: Sequence[Path]) -> Path:
    """`ladder.json` in the first run. Raises ValueError where there is none."""
    if not paths:
        raise ValueError("a ladder without networks needs --json FILE for its results")
    return (paths[0] if paths[0].is_dir() else paths[0].parent) / "ladder.json"


def _entrants(files: dict[str, Path], settings: Settings, device: torch.device) -> dict[str, tuple[Saved, str]]:
    """The networks of files, by name, each with the SHA-256 of its file."""
    return {
        name: (read_saved(file, settings, device, settings.games()[0]), hashlib.sha256(file.read_bytes()).hexdigest())
        for name, file in files.items()
    }


def _terms(settings: Settings, way: str) -> dict[str, object]:
    """What the results of a pairing depend on besides the agents.

    Args:
        way: how the networks play, one of `veclab.arena.evaluate.PLAYERS`.
    """
    return {
        "games": identities(settings.games()),
        "eval_deals": settings.eval_deals,
        "seed": settings.seed,
        "players": way,
        "search": asdict(settings.search()) if way == "search" else None,
    }


def _upgraded(stored: dict[str, object]) -> dict[str, object]:
    """A ladder of a format before this one, whose digests of bots were of other files than they play by; the first also
    said its game by the flags of a run. Raises ValueError on another format."""
    if stored["format"] not in OLD_FORMATS:
        raise ValueError(stored["format"])
    names, terms = {bot().name for bot in BOTS.values()}, stored["terms"]
    agents = {name: None if name in names else digest for name, digest in dict(stored["agents"]).items()}
    if stored["format"] == OLD_FORMATS[0]:
        settings = from_flags("document", {name: terms[name] for name in (*RULES, "eval_deals", "seed")})
        way = "alone" if terms["search"] is None else "search"
        terms = {**_terms(settings, way), "search": terms["search"]}
    return {**stored, "agents": agents, "terms": terms}


if __name__ == "__main__":
    sys.exit(main())

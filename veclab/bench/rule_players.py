"""How strong the rule-based players are: against random players and flat Monte Carlo, game by game.

python -m veclab.bench.rule_players --deals 100 --json rule-players.json
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from vecgame import Blob, Euchre, Game, Hearts, Spades, Whist, identity
from veclab.arena.bots import FlatMonteCarlo, Player, RandomBot, RuleBot, name_of
from veclab.arena.matches import Report, play_match
from veclab.files import json_text, write_atomically
from veclab.machine import command_of, environment
from veclab.progress import Display, add_display_flags, display_of

PLAYERS, CARDS = (3, 4, 6), (1, 3, 5, 9, 13)
SEED = 3
OTHERS: tuple[Game, ...] = (Hearts(), Hearts(passing="left"), Spades(), Whist(), Euchre())


def games() -> list[Game]:
    """Blob for some numbers of players and cards, and the other games that have a rule-based player."""
    blob = [Blob(players=seats, cards=cards) for seats in PLAYERS for cards in CARDS if seats * cards <= 52]
    return [*blob, *OTHERS]


def row(game: Game, opponent: Player, deals: int, report: Report | None = None) -> dict[str, object]:
    """One match of the rule-based player against others at all other seats, or against the other side."""
    begun = time.process_time()
    match = play_match([game], RuleBot(), opponent, deals, SEED, report=report)
    seconds = round(time.process_time() - begun, 1)
    return {"game": identity(game), "opponent": name_of(opponent), "seconds": seconds, **match.to_dict()}


@ends_in_one_line(needs_less="a smaller --deals or --worlds")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.rule_players", description=__doc__)
    parser.add_argument("--deals", type=int, default=75, metavar="N", help="against flat Monte Carlo (default: 75)")
    parser.add_argument("--worlds", type=int, default=32, metavar="N", help="of flat Monte Carlo (default: 32)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file, as they come")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if own.deals < 2 or own.worlds < 1:
        raise ValueError(f"--deals must be 2 or more and --worlds 1 or more, got {own.deals} and {own.worlds}")
    check_place("--json", own.json)
    command = command_of("python -m veclab.bench.rule_players", arguments)
    measure(own.deals, own.worlds, own.json, command, display_of(own))
    return 0


def measure(deals: int, worlds: int, path: Path | None, command: str, display: Display) -> None:
    """All matches, each printed and written as it ends. KeyboardInterrupt says how many have."""
    rows = []
    matches = [
        (game, *other) for game in games() for other in ((RandomBot(), 4 * deals), (FlatMonteCarlo(worlds), deals))
    ]
    total = sum(count for *_, count in matches)
    played = 0
    try:
        with display.task("rule-based players", total, "deals") as task:
            for game, opponent, count in matches:

                def report(share: float, before: int = played, count: int = count) -> None:
                    task.update(before + share * count)

                rows.append(row(game, opponent, count, report))
                played += count
                lead = rows[-1]["lead"]
                display.line(f"{game!r} against {name_of(opponent)}: {lead['mean']:+.2f} ± {lead['half']:.2f}")
                if path is not None:
                    stored = {**environment(torch.device("cpu"), command), "seed": SEED, "rows": rows}
                    stored["complete"] = len(rows) == len(matches)
                    write_atomically(path, json_text(stored, indent=1).encode())
    except KeyboardInterrupt:
        kept = f", kept in {path} as incomplete" if path is not None and rows else ""
        raise KeyboardInterrupt(f"stopped after {len(rows)} of {len(matches)} matches{kept}") from None


if __name__ == "__main__":
    sys.exit(main())

"""What a game is worth to each seat where all play as well as can be, in games small enough to be laid out whole.

vecgame solve kuhn
vecgame solve blob --rules players=2,suits=2,ranks=4 --cards 3
vecgame solve mine.py:Mine --json FILE

All deals and all that may follow are laid out, and counterfactual regret minimisation brings a table of all that seats
may know near to an equilibrium. How near is exact: it is what a best response gains. It is told for who remembers all
that a seat has seen, and where a network sees less than that for who plays by what it sees. With three seats and more
an equilibrium need not be worth what another one is. A dealer that is no fixed seat is the last one.
"""

from __future__ import annotations

from veclab.command_line import begin, check_place, ends_in_one_line, parser_of

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from vecgame import Game, identity
from veclab.agents.checkpoint import write_atomically
from veclab.exact.solution import Solution, nodes_of, solve
from veclab.files import json_text
from veclab.game_flags import DEFAULTS, canonical, games_of
from veclab.machine import command_of, environment
from veclab.progress import Display, add_display_flags, display_of, print_table

CPU = torch.device("cpu")
ALL, OBSERVED = "all that a seat has seen", "what a network sees"


def solved(game: Game, display: Display) -> dict[str, tuple[Solution, float]]:
    """The solutions of a game by what is known, with the seconds that each took; one where a network sees all. Raises
    ValueError as `solve`."""
    nodes_of(game)
    found = {}
    for knowing in (OBSERVED, ALL):
        begun = time.monotonic()
        with display.task(f"{game.name}, by {knowing}", 1.0, "game") as task:
            by_observation = knowing == OBSERVED
            solution = solve(game, by_observation, lambda done, share: task.update(share, iterations=done))
        found[knowing] = solution, time.monotonic() - begun
        if by_observation and not solution.forgets:
            return {ALL: found[knowing]}
    return {knowing: found[knowing] for knowing in (ALL, OBSERVED)}


def shown(game: Game, found: dict[str, tuple[Solution, float]], display: Display) -> None:
    """Shows the solutions as a table."""
    rows = []
    for knowing, (solution, seconds) in found.items():
        points = " ".join(f"{value:.3f}" for value in solution.points.tolist())
        rows.append((knowing, points, f"{solution.gain:.4f}", f"{solution.iterations:,}", f"{seconds:.1f}"))
    head = ("who plays by", f"{game.unit} a game, by seat", "best response gains", "iterations", "s")
    print_table(display.console, repr(game), head, rows)


def told(game: Game, found: dict[str, tuple[Solution, float]]) -> dict[str, object]:
    """The solutions in plain values."""
    solutions = {
        knowing: {
            "points": solution.points.tolist(),
            "best_response": solution.response.tolist(),
            "mean_gain": solution.gain,
            "iterations": solution.iterations,
            "seconds": seconds,
        }
        for knowing, (solution, seconds) in found.items()
    }
    return {"game": identity(game), "nodes": nodes_of(game), "solutions": solutions}


@ends_in_one_line(needs_less="a smaller deck")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("solve", __doc__)
    parser.add_argument("game", metavar="GAME", help="by its name, see vecgame games, or your own: FILE.py:CLASS")
    parser.add_argument("--rules", default="", metavar="TEXT", help="of the game: NAME=VALUE,.. (default: its own)")
    parser.add_argument("--cards", default="auto", metavar="TEXT", help="dealt to a seat; of 1-2 or 1,2 each in turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    check_place("--json", own.json)
    display, results = display_of(own), []
    games = games_of(canonical({**DEFAULTS, "game": own.game, "rules": own.rules, "cards": own.cards}))
    for game in games:
        found = solved(game, display)
        shown(game, found, display)
        results.append(told(game, found))
        if own.json is not None:
            written = {"solved": results, "environment": environment(CPU, command_of("vecgame solve", arguments))}
            write_atomically(own.json, json_text({**written, "complete": len(results) == len(games)}).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

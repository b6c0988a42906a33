"""What a game is worth to each seat where all play as well as can be, in games small enough to be laid out whole.

vecgame solve blob --rules players=2,suits=2,ranks=4 --cards 3
vecgame solve mine.py:Mine --json FILE  also writes it to a file
vecgame solve kuhn --policy kuhn.csv    and what to do, a line for each thing that a seat may know

All deals and all that may follow are laid out, and counterfactual regret minimisation brings a table of all that seats
may know near to an equilibrium. How near is exact: it is what a best response gains. It is told for who remembers all
that a seat has seen, and where a network sees less than that for who plays by what it sees. With three seats and more
an equilibrium need not be worth what another one is. A dealer that is no fixed seat is the last one.

The lines of --policy are of all that a seat has seen, where it has a choice, those first that come up most often: how
often a game comes there, the moves before as the seat was shown them, what it sees now, the points to expect, and of
each action its probability and the points after it, all by the solution. Where nobody who plays by it ever comes the
points are those against others who once in a very long time do something else, each thing as often as another.
"""

from __future__ import annotations

from veclab.command_line import begin, check_place, ends_in_one_line, parser_of

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import csv
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vecgame import Game, State, identity
from vecgame.text import POINTER
from veclab.agents.checkpoint import write_atomically
from veclab.arena.shown import shown_to_seat
from veclab.exact.solution import Part, Solution, nodes_of, solve
from veclab.exact.table import Decisions, decisions_of
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


UNSEEN = "?"  # a move that a seat was not shown


def policy_page(solution: Solution, report: Callable[[int], None] = lambda done: None) -> str:
    """What to do, as CSV: a line for each thing that a seat may know where it has a choice, those first that come up
    most often.

    Args:
        solution: by all that a seat has seen.
        report: told how many lines there are so far.
    """
    game, rows = solution.game, []
    for part in solution.parts:
        for found in decisions_of(game, part):
            for row in _lines(game, part, found):
                rows.append(row)
                report(len(rows))
    rows.sort(key=lambda row: row[0], reverse=True)  # as they are in the game where they come up alike
    head = ["comes up", "seat", "moves", "sees", game.unit]
    for number in range(1, 1 + max(len(row) // 3 - 1 for row in rows)):
        head += [f"action {number}", f"probability {number}", f"{game.unit} {number}"]
    page = io.StringIO()
    csv.writer(page, lineterminator="\n").writerows([head, *rows])
    return page.getvalue()


def _lines(game: Game, part: Part, found: Decisions) -> Iterator[list[str]]:
    """The lines of the decisions of a level: how often, seat, moves, what it sees, worth, and of each action three."""
    state = part.states[found.level].take(found.places)
    seats, actions = game.mover(state).tolist(), game.legal_actions(state).tolist()
    values = (found.policy * found.worth).sum(-1)
    numbers = zip(*(x.tolist() for x in (found.comes_up, values, found.policy, found.worth)), strict=True)
    moves = _moves(game, part, found)
    for lane, (often, value, chances, worths) in enumerate(numbers):
        sees = _sees(game, state, lane, seats[lane])
        row = [f"{often:.6f}", str(seats[lane]), moves[lane], sees, _four_digits(value)]
        for action, chance, worth in zip(actions[lane], chances, worths, strict=True):
            if action >= 0:
                row += [game.action_name(action, state, lane), _four_digits(chance), _four_digits(worth)]
        yield row


def _moves(game: Game, part: Part, found: Decisions) -> list[str]:
    """The moves that lead to the decisions of a level, as who decides was shown them."""
    viewer = game.mover(part.states[found.level].take(found.places))
    nodes, told = found.places, []
    for number in reversed(range(found.level)):
        level, state = part.solver.levels[number], part.states[number]
        origin = level.origin[~level.over][nodes]
        nodes, slots = origin // level.legal.shape[1], origin % level.legal.shape[1]
        told.append(_named(game, state, nodes, slots, viewer))
    return [", ".join(names) for names in zip(*reversed(told), strict=True)] if told else [""] * len(viewer)


def _named(game: Game, state: State, nodes: Tensor, slots: Tensor, viewer: Tensor) -> list[str]:
    """Moves at some nodes of a level, in the words of a viewer each: "seat 0: bet"."""
    moves, which = torch.stack([nodes, slots, viewer], -1).unique(dim=0, return_inverse=True)
    before = state.take(moves[:, 0])
    action = game.legal_actions(before).gather(1, moves[:, 1:2])[:, 0]
    shown = torch.zeros(len(moves), dtype=torch.bool)
    for seat in moves[:, 2].unique().tolist():
        lanes = (moves[:, 2] == seat).nonzero()[:, 0]
        shown[lanes] = shown_to_seat(game, before.take(lanes), action[lanes], seat)
    rows = zip(game.mover(before).tolist(), action.tolist(), shown.tolist(), strict=True)
    names = [
        f"seat {seat}: {game.action_name(one, before, lane) if seen else UNSEEN}"
        for lane, (seat, one, seen) in enumerate(rows)
    ]
    return [names[number] for number in which.tolist()]


def _sees(game: Game, state: State, lane: int, seat: int) -> str:
    """What a seat sees of a game, in one line."""
    _, *lines = game.text(state, lane, seat).split("\n")  # the first one is the title
    kept = [line for line in lines if not line.startswith("  to move ")]
    return "; ".join(" ".join(line.replace(POINTER, " ").split()) for line in kept)


def _four_digits(value: float) -> str:
    """A number with as many decimals, never -0."""
    return f"{round(value, 4) + 0.0:.4f}"


@ends_in_one_line(needs_less="a smaller deck")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("solve", __doc__)
    parser.add_argument("game", metavar="GAME", help="by its name, see vecgame games, or your own: FILE.py:CLASS")
    parser.add_argument("--rules", default="", metavar="TEXT", help="of the game: NAME=VALUE,.. (default: its own)")
    parser.add_argument("--cards", default="auto", metavar="TEXT", help="dealt to a seat; of 1-2 or 1,2 each in turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="write what to do to this file, as CSV")
    add_display_flags(parser)
    own = parser.parse_args(arguments)
    check_place("--json", own.json)
    check_place("--policy", own.policy)
    display, results = display_of(own), []
    games = games_of(canonical({**DEFAULTS, "game": own.game, "rules": own.rules, "cards": own.cards}))
    if own.policy is not None and len(games) > 1:
        raise ValueError(f"--policy is of one game, not of {len(games)}: give --cards one number")
    for game in games:
        found = solved(game, display)
        shown(game, found, display)
        results.append(told(game, found))
        if own.json is not None:
            written = {"solved": results, "environment": environment(CPU, command_of("vecgame solve", arguments))}
            write_atomically(own.json, json_text({**written, "complete": len(results) == len(games)}).encode())
        if own.policy is not None:
            solution, _ = found[ALL]
            lines = sum(len(level.legal) for part in solution.parts for level in part.solver.levels)  # at most
            with display.task("what to do", lines, "lines") as task:
                write_atomically(own.policy, policy_page(solution, task.update).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

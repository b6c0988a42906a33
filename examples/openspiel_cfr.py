"""OpenSpiel's algorithms on games of vecgame: `python examples/openspiel_cfr.py`.

First CFR on a deck of Blob so small that NashConv, what the four players could gain together if each alone played its
best response, is exact; then on Kuhn poker, beside OpenSpiel's own. Then information-set MCTS with three cards of the
full deck of Blob against three random players.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import random
import sys
import time

import numpy as np

from veclab.progress import Display

BLOB, ANY = "python_vecgame_blob", "python_vecgame"  # which `veclab.doors.openspiel_game` registers


def solve(title: str, names: list[str], iterations: int, display: Display) -> None:
    """CFR with the games' states kept in trees, so that the rules are asked once a state only."""
    import pyspiel

    games = [pyspiel.convert_to_cached_tree(pyspiel.load_game(name)) for name in names]
    solvers = [pyspiel.CFRSolver(game) for game in games]
    display.line(f"CFR on {title}")
    with display.task("CFR", iterations, "iterations") as task:
        for iteration in range(1, iterations + 1):
            for solver in solvers:
                solver.evaluate_and_update_policy()
            task.update(iteration)
            if iteration in (1, 10, 100, 1_000, iterations):
                gaps = [pyspiel.nash_conv(game, s.average_policy()) for game, s in zip(games, solvers, strict=True)]
                told = " and ".join(f"{gap:.4f}" for gap in gaps)
                display.line(f"  {iteration:5} iterations: NashConv {told} points")


def search(games: int, simulations: int, seed: int, display: Display) -> None:
    """Games of one searching player, at each seat in turn, against three random ones."""
    import pyspiel
    from open_spiel.python.algorithms import ismcts, mcts

    game = pyspiel.load_game(f"{BLOB}(cards=3)")
    draws, worlds = np.random.RandomState(seed), random.Random(seed)
    bot = ismcts.ISMCTSBot(
        game, mcts.RandomRolloutEvaluator(1, draws), game.max_utility(), simulations, random_state=draws
    )
    bot.set_resampler(lambda state, player: state.resample(player, worlds))  # seeded; without it the clock seeds
    points = np.zeros((games, 4))
    with display.task("IS-MCTS", games, "games") as task:
        for number in range(games):
            state = game.new_initial_state()
            while not state.is_terminal():
                if state.is_chance_node():
                    outcomes, probabilities = zip(*state.chance_outcomes(), strict=True)
                    action = draws.choice(outcomes, p=probabilities)
                elif state.current_player() == number % 4:
                    action = bot.step(state)
                else:
                    action = draws.choice(state.legal_actions())
                state.apply_action(int(action))
            points[number] = np.roll(state.returns(), -(number % 4))
            task.update(number + 1)
    display.line(
        f"IS-MCTS, {simulations} simulations, {games} games of 3 cards, points a game: "
        f"searching {points[:, 0].mean():.2f}, random {points[:, 1:].mean():.2f}"
    )


@ends_in_one_line(package="openspiel")
def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=100, help="of CFR")
    parser.add_argument("--ranks", type=int, default=3, help="of the two suits of CFR's deck")
    parser.add_argument("--games", type=int, default=40, help="of IS-MCTS")
    parser.add_argument("--simulations", type=int, default=50, help="of IS-MCTS for each decision")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in ("iterations", "games", "simulations"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}")
    import veclab.doors.openspiel_game  # noqa: F401 - registers the games; here: help needs nothing installed

    begun, display = time.perf_counter(), Display()
    blob = f"{BLOB}(cards=1,suits=2,ranks={args.ranks},trump=spades,dealer=3)"
    solve(blob, [blob], args.iterations, display)
    kuhn = f"{ANY}(game=kuhn)"
    solve(f"{kuhn}, and on OpenSpiel's kuhn_poker", [kuhn, "kuhn_poker"], args.iterations, display)
    search(args.games, args.simulations, args.seed, display)
    display.line(f"{time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""OpenSpiel's algorithms on games of vecgame: `python examples/openspiel_cfr.py`.

First CFR on a deck of Blob so small that NashConv, what the four players could gain together if each alone played its
best response, is exact; then on Kuhn poker, beside OpenSpiel's own. Then information-set MCTS with three cards of the
full deck of Blob against three random players.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import numpy as np

BLOB, ANY = "python_vecgame_blob", "python_vecgame"  # which `veclab.doors.openspiel_game` registers


def solve(title: str, names: list[str], iterations: int) -> None:
    """CFR with the games' states kept in trees, so that the rules are asked once a state only."""
    import pyspiel

    games = [pyspiel.convert_to_cached_tree(pyspiel.load_game(name)) for name in names]
    solvers = [pyspiel.CFRSolver(game) for game in games]
    print(f"CFR on {title}")
    for iteration in range(1, iterations + 1):
        for solver in solvers:
            solver.evaluate_and_update_policy()
        if iteration in (1, 10, 100, 1_000, iterations):
            gaps = [pyspiel.nash_conv(game, s.average_policy()) for game, s in zip(games, solvers, strict=True)]
            told = " and ".join(f"{gap:.4f}" for gap in gaps)
            print(f"  {iteration:5} iterations: NashConv {told} points")


def search(games: int, simulations: int, seed: int) -> None:
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
    print(f"IS-MCTS, {simulations} simulations, {games} games of 3 cards, points a game: ", end="")
    print(f"searching {points[:, 0].mean():.2f}, random {points[:, 1:].mean():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--iterations", type=int, default=100, help="of CFR")
    parser.add_argument("--ranks", type=int, default=3, help="of the two suits of CFR's deck")
    parser.add_argument("--games", type=int, default=40, help="of IS-MCTS")
    parser.add_argument("--simulations", type=int, default=50, help="of IS-MCTS for each decision")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:  # after the flags are read: help needs nothing installed
        import pyspiel  # noqa: F401

        import veclab.doors.openspiel_game  # noqa: F401 - registers the games
    except ModuleNotFoundError:
        print("error: pyspiel is not installed: pip install -e '.[openspiel]'", file=sys.stderr)
        sys.exit(2)
    begun = time.perf_counter()
    blob = f"{BLOB}(cards=1,suits=2,ranks={args.ranks},trump=spades,dealer=3)"
    solve(blob, [blob], args.iterations)
    kuhn = f"{ANY}(game=kuhn)"
    solve(f"{kuhn}, and on OpenSpiel's kuhn_poker", [kuhn, "kuhn_poker"], args.iterations)
    search(args.games, args.simulations, args.seed)
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()

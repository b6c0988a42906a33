"""What determinised search gains from more worlds, and what no number of them cures: `python examples/strategy_fusion.py`.

The finding: Frank and Basin, "Search in games with incomplete information" (Artificial Intelligence 100, 1998), show
that a search which solves sampled worlds one by one plays a different strategy in each, though the player cannot tell
them apart (strategy fusion); more worlds or deeper search do not cure it. Long, Sturtevant, Buro and Furtak,
"Understanding the success of perfect information Monte Carlo sampling in game tree search" (AAAI 2010), explain why it
does well in trick-taking games all the same: there a little hidden information is left, and it soon comes out.

Both are measured at an equal budget of worlds x simulations: in a game of a hidden coin that strategy fusion decides,
and in Blob against rule-based players, beside SO-ISMCTS (one tree over all worlds) and a search that cheats.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from training.arena import Interval, play_match
from training.bots import IsmctsPlayer, RuleBot, SearchPlayer
from training.cheating import CheatingSearch
from vecgame import Blob, Game, Purpose, State, Stream
from vecmcts import IsmctsConfig, PlayoutEvaluator, SearchConfig, SearchResult, ismcts, search

SURE = 0.6  # what the coin game pays for not playing on


@dataclass(frozen=True)
class CoinState(State):
    """B games of the coin."""

    moves: Tensor  # [B, 2] int64, -1 = not yet made
    coin: Tensor  # [B] int64, the side that nobody sees


class CoinGame(Game):
    """One player takes `SURE` (action 0) or plays on (1); then it names the hidden coin's side: 1 if right, else 0.

    Playing on is worth 1/2. To a search that looks at one world at a time it is worth 1.
    """

    seats, num_actions, max_legal, decisions, max_forced_run = 1, 2, 2, 2, 1

    def new(self, batch: int) -> CoinState:
        index = torch.arange(batch)
        return CoinState(index, index.new_full((batch, 2), -1), torch.zeros_like(index))

    def mover(self, state: CoinState) -> Tensor:
        return torch.zeros_like(state.index)

    def turn(self, state: CoinState) -> Tensor:
        return (state.moves >= 0).sum(-1)

    def legal_mask(self, state: CoinState) -> Tensor:
        return torch.arange(2) < torch.where(self.is_terminal(state), 1, 2)[:, None]

    def step(self, state: CoinState, action: Tensor) -> CoinState:
        here = (torch.arange(2) == self.turn(state)[:, None]) & ~self.is_terminal(state)[:, None]
        return replace(state, moves=torch.where(here, action[:, None], state.moves))

    def is_terminal(self, state: CoinState) -> Tensor:
        return (state.moves[:, 0] == 0) | (state.moves[:, 1] >= 0)

    def values(self, state: CoinState, dtype: torch.dtype = torch.float32) -> Tensor:
        worth = torch.where(state.moves[:, 0] == 0, SURE, (state.moves[:, 1] == state.coin).to(dtype)).to(dtype)
        return torch.where(self.is_terminal(state), worth, 0)[:, None]

    def observe(self, state: CoinState, seat: Tensor | None = None) -> Tensor:
        return state.moves.float()

    def determinize(self, state: CoinState, count: int, seed: int) -> CoinState:
        coin = Stream.of_worlds(seed, state.index, self.turn(state), count).integers(Purpose.WORLD, 2)
        return replace(state.repeat(count), coin=coin)


def wrong(result: SearchResult) -> Interval:
    """Share of searches of the coin game that play on, in percent."""
    return Interval.of(100.0 * (result.visits.argmax(-1) == 1).double())


def measure(
    splits: list[int], budget: int, cards: int, deals: int, seed: int
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Of every search: how often it is wrong in the coin game, and points a game of Blob against three rule-based."""
    judge, coin, errors, points = PlayoutEvaluator(), CoinGame(), {}, {}
    players = {}
    for worlds in splits:
        config = SearchConfig(worlds=worlds, simulations=budget // worlds)
        name = f"{worlds}x{budget // worlds}"
        errors[name] = wrong(search(coin, coin.new(1000), judge, config, seed))
        players[name] = SearchPlayer(judge, config)
    config = IsmctsConfig(simulations=budget)
    errors["SO-ISMCTS"] = wrong(ismcts(coin, coin.new(1000), judge, config, seed))
    players["SO-ISMCTS"] = IsmctsPlayer(judge, config)
    players["cheating"] = CheatingSearch(judge, SearchConfig(worlds=1, simulations=budget))
    for name, player in players.items():
        points[name] = play_match([Blob(cards=cards)], player, RuleBot(), deals, seed).player
        print(f"{name:>10}  {points[name]} points" + (f", coin wrong {errors[name]} %" if name in errors else ""))
    return errors, points


def draw(path: Path, errors: dict[str, Interval], points: dict[str, Interval], title: str) -> None:
    """The two panels: errors in the coin game, points in Blob, each with its 95% intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    splits = [name for name in points if "x" in name]
    for panel, results, label in zip(
        panels, (errors, points), ("coin game: wrong decisions, %", "Blob: points a game"), strict=True
    ):
        means, halves = zip(*((results[name].mean, results[name].half) for name in splits), strict=True)
        panel.errorbar(splits, means, halves, marker="o", capsize=3, label="determinised search")
        for name, color in (("SO-ISMCTS", "C1"), ("cheating", "C3")):
            if name in results:
                mean, half = results[name].mean, results[name].half
                panel.axhline(mean, color=color, label="cheating search (true hands)" if name == "cheating" else name)
                panel.axhspan(mean - half, mean + half, color=color, alpha=0.15, linewidth=0)
        panel.set(xlabel="worlds x simulations", ylabel=label)
        panel.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--budget", type=int, default=90, help="worlds x simulations (default: 90)")
    parser.add_argument("--worlds", default="1,3,10,30,90", help="how many worlds to try, each a divisor of the budget")
    parser.add_argument("--cards", type=int, default=3, help="cards to each seat (default: 3)")
    parser.add_argument("--deals", type=int, default=100, help="deals of Blob, each played four times (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("strategy_fusion.png"), help="the chart's file")
    args = parser.parse_args()
    try:
        splits = [int(number) for number in args.worlds.split(",")]
        if any(worlds < 1 or args.budget % worlds for worlds in splits):
            raise ValueError(f"--worlds must be divisors of the budget {args.budget}, got {args.worlds}")
        if args.deals < 2:
            raise ValueError(f"--deals must be at least 2, got {args.deals}")
        errors, points = measure(splits, args.budget, args.cards, args.deals, args.seed)
        title = f"{args.budget} descents a decision, {args.cards} cards, {args.deals} deals x 4 seats, 95% intervals"
        draw(args.output, errors, points, title)
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"chart: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

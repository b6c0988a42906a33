"""What more worlds give a determinised search, and what they do not cure: `python examples/strategy_fusion.py`.

The finding: Frank and Basin, "Search in games with incomplete information" (Artificial Intelligence 100, 1998), show
that a search which solves sampled worlds one by one plays a different strategy in each, though the player cannot tell
them apart (strategy fusion); more worlds or deeper search do not cure it. Long, Sturtevant, Buro and Furtak,
"Understanding the success of perfect information Monte Carlo sampling in game tree search" (AAAI 2010), explain why it
does well in trick-taking games all the same: there a little hidden information is left, and it soon comes out.

Both are measured at an equal budget of worlds x simulations, beside SO-ISMCTS (one tree over all worlds): in a game of
a hidden coin that strategy fusion decides, and in Blob against rule-based players, there beside a search that cheats.
`--game`, `--rules` and `--cards` take another game in Blob's place, against players of flat Monte Carlo.
In the coin game trees of one size go wrong in one world and in thirty alike, as Frank and Basin say; at an equal budget
more worlds help all the same, for their trees become too small to see the coin.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vecgame import Blob, Game, Purpose, State, Stream
from veclab.arena.bots import FlatMonteCarlo, IsmctsPlayer, RuleBot, SearchPlayer
from veclab.arena.cheating import CheatingSearch
from veclab.arena.intervals import Interval
from veclab.arena.matches import play_match, seatings_of
from veclab.game_flags import DEFAULTS, canonical, games_of
from veclab.progress import Display
from vecmcts import IsmctsConfig, PlayoutEvaluator, SearchConfig, SearchResult, ismcts, search

SURE = 0.6  # what the coin game pays for not playing on
COIN_GAMES = 200


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

    def determinize(self, state: CoinState, count: int, seed: int) -> CoinState:
        coin = Stream.of_worlds(seed, state.index, self.turn(state), count).integers(Purpose.WORLD, 2)
        return replace(state.repeat(count), coin=coin)


def wrong(result: SearchResult) -> Interval:
    """Share of searches of the coin game that play on, in percent."""
    return Interval.of(100.0 * (result.visits.argmax(-1) == 1).double(), span=100.0)


def measure(
    splits: list[int], budget: int, game: Game, deals: int, seed: int, display: Display
) -> tuple[dict[str, Interval], dict[str, Interval], dict[str, Interval]]:
    """Of every search, by its name: errors in the coin game, in percent; the same with the whole budget spent in each
    world; the score of a game against known opponents at the other seats."""
    judge, coin, errors, points = PlayoutEvaluator(), CoinGame(), {}, {}
    deep, players = {}, {}
    for worlds in splits:
        config = SearchConfig(worlds=worlds, simulations=budget // worlds)
        name = f"{worlds}x{budget // worlds}"
        errors[name] = wrong(search(coin, coin.new(COIN_GAMES), judge, config, seed))
        deep[name] = wrong(search(coin, coin.new(COIN_GAMES), judge, replace(config, simulations=budget), seed))
        display.line(f"{name:>10}  coin wrong {errors[name]} %; with {budget} simulations in each world {deep[name]} %")
        players[name] = SearchPlayer(judge, config)
    config = IsmctsConfig(simulations=budget)
    errors["SO-ISMCTS"] = wrong(ismcts(coin, coin.new(COIN_GAMES), judge, config, seed))
    display.line(f" SO-ISMCTS  coin wrong {errors['SO-ISMCTS']} %")
    players["SO-ISMCTS"] = IsmctsPlayer(judge, config)
    opponent = FlatMonteCarlo()
    if type(game) is Blob:  # whose hands the search that cheats can open
        players["cheating"] = CheatingSearch(judge, SearchConfig(worlds=1, simulations=budget))
        opponent = RuleBot()
    count = deals * len(seatings_of(game))
    with display.task("matches", count * len(players), "games") as task:
        for number, (name, player) in enumerate(players.items()):

            def report(share: float, number: int = number) -> None:
                task.update(count * (number + share))

            points[name] = play_match([game], player, opponent, deals, seed, report=report).player
            display.line(f"{name:>10}  {points[name]} {game.unit} a game of {game.name} against {opponent.name}")
    return errors, deep, points


def draw(
    path: Path,
    errors: dict[str, Interval],
    deep: dict[str, Interval],
    points: dict[str, Interval],
    game: Game,
    title: str,
) -> None:
    """Two panels, of the coin game and of ``game``, with 95% intervals; arguments as `measure` takes and gives them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    splits = [name for name in points if "x" in name]
    for panel, results, label in zip(
        panels, (errors, points), ("coin game: wrong decisions, %", f"{game.name}: {game.unit} a game"), strict=True
    ):
        means, halves = zip(*((results[name].mean, results[name].half) for name in splits), strict=True)
        panel.set(xlabel="worlds x simulations", ylabel=label)
        panel.errorbar(splits, means, halves, marker="o", capsize=3, label="determinised, equal budget")
        if results is errors:
            means, halves = zip(*((deep[name].mean, deep[name].half) for name in splits), strict=True)
            label = "as many worlds, the whole budget in each"
            panel.errorbar(splits, means, halves, marker="s", linestyle="--", color="C4", capsize=3, label=label)
        for name, color in (("SO-ISMCTS", "C1"), ("cheating", "C3")):
            if name in results:
                mean, half = results[name].mean, results[name].half
                panel.axhline(mean, color=color, label="cheating search (true hands)" if name == "cheating" else name)
                if math.isfinite(half):
                    panel.axhspan(mean - half, mean + half, color=color, alpha=0.15, linewidth=0)
        panel.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


@ends_in_one_line(package="plot", needs_less="a smaller --deals")
def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--budget", type=int, default=90, help="worlds x simulations (default: 90)")
    parser.add_argument("--worlds", default="1,3,10,30,90", help="how many worlds to try, each a divisor of the budget")
    parser.add_argument("--game", default="blob", metavar="NAME", help="by its name or FILE.py:CLASS (default: blob)")
    parser.add_argument("--rules", default="", metavar="NAME=V,..", help="other rules of the game")
    parser.add_argument("--cards", help="cards to each seat (default: 3 in blob, else the game's own)")
    parser.add_argument("--deals", type=int, default=100, help="deals, each played from every seat (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("strategy_fusion.png"), help="the chart's file")
    args = parser.parse_args()
    splits = [int(number) for number in args.worlds.split(",")]
    if any(worlds < 1 or args.budget % worlds for worlds in splits):
        raise ValueError(f"--worlds must be divisors of the budget {args.budget}, got {args.worlds}")
    if args.deals < 2:
        raise ValueError(f"--deals must be at least 2, got {args.deals}")
    check_place("--output", args.output)
    usual = "3" if args.game == "blob" and "cards=" not in args.rules else "auto"
    flags = {**DEFAULTS, "game": args.game, "rules": args.rules, "cards": args.cards or usual}
    game = games_of(canonical(flags))[0]
    import matplotlib  # noqa: F401 - its absence is better known before minutes of work

    errors, deep, points = measure(splits, args.budget, game, args.deals, args.seed, Display())
    seats = len(seatings_of(game))
    title = f"{args.budget} descents a decision, {game!r}, {args.deals} deals x {seats} seatings, 95% intervals"
    draw(args.output, errors, deep, points, game, title)
    print(f"chart: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

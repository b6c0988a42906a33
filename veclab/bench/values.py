"""How much of the way a game ends is told by a network's values, and how much there is to tell.

    python -m veclab.bench.values NETWORK --cards 13 --json values.json

Games of the network's policy among itself are stopped after some decisions, and each is played on many times, so that
it is known what the mover may expect there. How games end differs by where the cards lie, which a critic that sees all
hands could know, and by what the policies will draw, which nobody can. The table has shares of the variance of the
mover's result: what the network's value explains, what its critic does, and what lies between positions, the most that
any value explains. The further a critic stays behind that, the more of an advantage that it gives is luck.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_least, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from net import BlobNet
from vecgame import Game, State, identity
from vecgame.cards import unpack
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import settings_for
from veclab.arena.intervals import Interval
from veclab.arena.matches import FIRST_INDEX
from veclab.files import json_text
from veclab.game_flags import RULES
from veclab.machine import command_of, environment
from veclab.progress import Display, add_display_flags, display_of, print_table
from veclab.setting_flags import add_flags, own_and_settings

HEAD = ("after", "positions", "value", "critic", "most")


@dataclass(frozen=True)
class Explained:
    """Of positions after so many decisions, the shares of the variance of the mover's result."""

    decisions: int
    positions: int  # that are not over, and that intervals are over
    value: Interval  # by the network's value
    critic: Interval | None  # by its critic's; None of a network without
    most: Interval  # by which of the positions it is


@torch.inference_mode()
def draw(net: BlobNet, game: Game, state: State, generator: torch.Generator) -> Tensor:
    """An action of the network's policy in each lane: [B] int64."""
    logits, _ = net(game.observe(state))
    actions = game.legal_actions(state)
    chances = game.slot_logits(state, actions, logits).softmax(-1)
    return actions.gather(1, torch.multinomial(chances, 1, generator=generator))[:, 0]


def results(net: BlobNet, game: Game, state: State, times: int, generator: torch.Generator) -> Tensor:
    """What the movers get in the end, each position played on so many times: [B, times] float32, as values."""
    mover, state = game.mover(state), state.repeat(times)
    while not bool(game.is_terminal(state).all()):
        state = game.step(state, draw(net, game, state, generator))
    return game.values(state).view(len(mover), times, -1).gather(2, mover[:, None, None].expand(-1, times, 1))[..., 0]


def share(errors: Tensor, spread: Tensor) -> Interval:
    """1 - mean errors / mean spread of positions, both [N], with a 95% interval over them (delta method)."""
    left = errors.mean() / spread.mean()
    return Interval(float(1 - left), Interval.of((errors - left * spread) / spread.mean()).half)


@torch.inference_mode()
def explained(
    net: BlobNet, game: Game, state: State, times: int, decisions: int, generator: torch.Generator
) -> Explained:
    """Of positions [B] that are not over, ``decisions`` of which have been made."""
    ends = results(net, game, state, times, generator)
    hidden = game.others_hands(state) if net.config.critic else None
    others = None if hidden is None else unpack(hidden, torch.float32, game.layout.size).flatten(1)
    answer = net(game.observe(state), hidden=others)
    spread = (ends - ends.mean()).square().mean(1)

    def by(values: Tensor) -> Interval:
        return share((ends - values[:, :1]).square().mean(1), spread)

    critic = None if others is None else by(answer[-1])
    return Explained(decisions, len(ends), by(answer[1]), critic, share(ends.var(1), spread))


def measure(net: BlobNet, game: Game, deals: int, times: int, every: int, display: Display) -> Iterator[Explained]:
    """A row for every so many decisions, as it comes."""
    generator = torch.Generator().manual_seed(0)
    state = game.deal(deals, first_index=FIRST_INDEX)
    with display.task("positions played on", game.decisions, "decisions") as task:
        for decisions in range(game.decisions):
            going = (~game.is_terminal(state)).nonzero()[:, 0]
            if len(going) < 2:
                return
            if decisions % every == 0:
                yield explained(net, game, state.take(going), times, decisions, generator)
            state = game.step(state, draw(net, game, state, generator))
            task.update(decisions + 1)


def print_rows(console: Console, rows: Sequence[Explained], title: str) -> None:
    """The rows for people."""

    def told(interval: Interval | None) -> str:
        return "" if interval is None else f"{interval.mean:.3f} ± {interval.half:.3f}"

    cells = [(str(r.decisions), str(r.positions), told(r.value), told(r.critic), told(r.most)) for r in rows]
    print_table(console, title, HEAD, cells)
    console.print("shares of the variance of the mover's result; 95% intervals over the positions")


@ends_in_one_line(needs_less="a smaller --deals or --times")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.values", description=__doc__)
    parser.add_argument("network", type=Path, help="a network-*.safetensors; it says its game and rules")
    parser.add_argument("--deals", type=int, default=256, help="games that are stopped (default: 256)")
    parser.add_argument("--times", type=int, default=32, help="that each is played on (default: 32)")
    parser.add_argument("--every", type=int, metavar="N", help="decisions between two rows (default: a seat's share)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    add_display_flags(parser)
    add_flags(parser, RULES)
    own, given = own_and_settings(parser, arguments)
    check_least(own, deals=2, times=2, every=1)
    check_place("--json", own.json, own.network)
    settings = settings_for(own.network, given)
    game, *more = settings.games()
    if more:
        raise ValueError(f"one number of cards at a time: --cards must be one of {settings.cards}")
    net = load_network(own.network, game=game)
    display, rows = display_of(own), []
    title = f"{own.network.name}, {settings.describe()}, {own.deals:,} games, each position played on {own.times} times"
    command = command_of("python -m veclab.bench.values", arguments)

    def keep(complete: bool) -> None:
        if own.json is not None:
            stored = {**environment(torch.device("cpu"), command), "title": title, "game": identity(game)}
            stored |= {"complete": complete, "results": [asdict(row) for row in rows]}
            write_atomically(own.json, json_text(stored, indent=1).encode())

    try:
        for row in measure(net, game, own.deals, own.times, own.every or game.seats, display):
            rows.append(row)
            keep(complete=False)
    except KeyboardInterrupt:
        if rows:
            print_rows(display.console, rows, title)
        kept = f", kept in {own.json} as incomplete" if own.json is not None and rows else ""
        raise KeyboardInterrupt(f"stopped after {len(rows)} rows{kept}") from None
    keep(complete=True)
    print_rows(display.console, rows, title)
    return 0


if __name__ == "__main__":
    sys.exit(main())

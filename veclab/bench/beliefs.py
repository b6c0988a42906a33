"""How well it can be told where the hidden cards lie, and what worlds by a learned network are worth in rollouts.

    python -m veclab.bench.beliefs veclab/agents/blob-4-players.safetensors --cards 13 --deals 100 --json beliefs.json

Games of a network among itself, every action drawn from its policy. At each decision stands for every card that the
mover does not see where it may lie: with one of the other seats, or with nobody. The loss is that of the logarithm of
the true places' probabilities, nats a card: by counting, by sampled worlds, uniform or weighed as `vecmcts.inference`
does, and by a network that sees what the mover observes. It has learned from other such games than it is judged on. A
game's decisions are all about the same deal, so that the 95% intervals are over games.

With ``--deals`` rollouts in worlds by likelihood and in worlds by that network play every deal from all seats against
the network without search.
"""

from __future__ import annotations

from veclab.command_line import Parser, begin, check_least, check_place, ends_in_one_line

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from einops import rearrange
from rich.console import Console
from torch import Tensor, nn

from net import InferenceNet
from vecgame import Game, State, identity
from vecgame.cards import popcount, unpack
from vecgame.philox import check_seed
from vecgame.worlds import opponents, unknown
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import settings_for
from veclab.arena.bots import NetworkPlayer, RolloutPlayer, rollout_player
from veclab.arena.matches import self_played
from veclab.bench.compared import interval_of_groups
from veclab.bench.searches import Way, measure, rows_of
from veclab.files import json_text
from veclab.game_flags import RULES
from veclab.machine import command_of, environment
from veclab.precision import inference_net
from veclab.progress import add_display_flags, display_of, print_table
from veclab.setting_flags import add_flags, own_and_settings
from vecmcts import RolloutConfig
from vecmcts.evaluators import Network, NetworkEvaluator
from vecmcts.inference import Past, drawn_by_weight, log_likelihood

AT_ONCE = 1024  # games that are learned from at a time
BATCH = 1024  # decisions in a step
RATE, WIDTH = 1e-3, 512
CANDIDATES = (128, 1024)  # worlds by likelihood
BY_BELIEF = 512  # uniform worlds of which those by the learned network are drawn
JUDGED_INDEX = 1 << 42  # of the games that all are judged on


@dataclass(frozen=True)
class Hidden:
    """Where the cards lie that E movers do not see, by place: the seats after the mover, then nobody."""

    share: Tensor  # [E, places, cards] float32, by counting alone: the places' needs, 0 where a card may not be
    place: Tensor  # [E, cards] int64, where it is; -1 of a card that is not hidden

    @classmethod
    def of(cls, game: Game, state: State) -> Hidden:
        """Those of B games at their decisions."""
        others, unseen, may = unknown(game, state)
        held = state.hands.gather(1, others)
        needs = popcount(held).float()
        left = popcount(unseen)[:, None] - needs.sum(-1, keepdim=True)
        may = unpack(may.t() & unseen[:, None], torch.float32, game.layout.size)
        out = unpack(unseen, torch.float32, game.layout.size)
        share = torch.cat([needs[:, :, None] * may, left[:, :, None] * out[:, None]], 1)
        holder = unpack(held, torch.float32, game.layout.size)
        place = torch.where(holder.any(1), holder.argmax(1), game.seats - 1)
        return cls(share / share.sum(1, keepdim=True).clamp(min=1e-9), torch.where(out > 0, place, -1))

    def loss(self, chance: Tensor) -> Tensor:
        """Of the places' probabilities [E, places, cards]: [E] nats a hidden card."""
        hidden = self.place >= 0
        told = chance.gather(1, self.place.clamp(min=0)[:, None])[:, 0].clamp(min=1e-9).log()
        return -(told * hidden).sum(-1) / hidden.sum(-1).clamp(min=1)


def check_game(game: Game) -> None:
    """Raises ValueError, in one line, on a game whose hidden cards `Hidden` does not tell."""
    if not game.fixed_hands:
        raise ValueError(f"{game.name}: where its cards lie is not asked, for they change hands")
    state = game.deal(1)
    seen, own = game.hidden(state)["hands"].seen_by(game.mover(state)), torch.arange(game.seats) == game.mover(state)
    if not torch.equal(seen, own[None]):
        raise ValueError(f"in this {game.name} the mover sees other hands than its own, which is not told")


def places_of(game: Game, worlds: State, count: int, hidden: Hidden) -> Tensor:
    """Where the cards lie in ``count`` worlds of each of B games: [B, count, places, cards] float32, 0 or 1."""
    others = opponents(game.mover(worlds), game.seats)
    held = unpack(worlds.hands.gather(1, others), torch.float32, game.layout.size)
    held = rearrange(held, "(b c) place card -> b c place card", c=count)
    out = (hidden.place >= 0).float()[:, None] - held.sum(2)
    return torch.cat([held, out[:, :, None]], 2)


def by_worlds(lies: Tensor, hidden: Hidden, log_weight: Tensor) -> Tensor:
    """The places' probabilities by weighed worlds, to which counting adds as much as one of them: [B, places, cards].

    Args:
        lies: [B, C, places, cards], see `places_of`.
        log_weight: [B, C].
    """
    weight = log_weight.float().softmax(-1)
    count = 1 / weight.square().sum(-1)[:, None, None]  # so many worlds of equal weight say as much
    return (count * torch.einsum("bc,bcpk->bpk", weight, lies) + hidden.share) / (count + 1)


def choices(
    game: Game, network: InferenceNet, games: int, seed: int, first: int
) -> Iterator[tuple[State, Past, Tensor]]:
    """Games ``first`` onwards in which every action is drawn from the policy: at each decision the games that have a
    choice there and are not over, their past, and what was observed, [L, features] float32."""
    player = NetworkPlayer(network, sample=True)
    for decision in self_played(game, player, games, seed, first_index=first, keep_past=True):
        lanes = ((game.legal_actions(decision.state)[:, 1:] >= 0).any(-1) & ~decision.over).nonzero()[:, 0]
        if len(lanes):
            choosing = decision.state.take(lanes)
            yield choosing, decision.past.take(lanes), game.observe(choosing)


class BeliefNet(nn.Module):
    """An observation [E, features] -> logits [E, places, cards] of where each card lies."""

    def __init__(self, game: Game) -> None:
        super().__init__()
        self.places, self.cards = game.seats, game.layout.size
        sizes = (game.features, WIDTH, WIDTH, self.places * self.cards)
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.layers = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]

    def forward(self, observation: Tensor, share: Tensor) -> Tensor:
        """The probabilities [E, places, cards]: what counting says, ``share``, times what was learned beside it."""
        logits = self.layers(observation).unflatten(-1, (self.places, self.cards))
        return (logits + share.clamp(min=1e-9).log()).softmax(1)


def learned(game: Game, network: InferenceNet, games: int, seed: int, report: Callable[[int], None]) -> BeliefNet:
    """A `BeliefNet` that has learned once from so many games of the network."""
    torch.manual_seed(seed)
    belief = BeliefNet(game)
    optimizer = torch.optim.AdamW(belief.parameters(), lr=RATE)
    order = torch.Generator().manual_seed(seed)
    for first in range(0, games, AT_ONCE):
        count = min(AT_ONCE, games - first)
        seen = [(x, Hidden.of(game, state)) for state, _, x in choices(game, network, count, seed, first)]
        observation = torch.cat([x for x, _ in seen])
        share, place = (torch.cat([getattr(hidden, name) for _, hidden in seen]) for name in ("share", "place"))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - 0.95 * first / games)
        for batch in torch.randperm(len(observation), generator=order).split(BATCH):
            loss = Hidden(share[batch], place[batch]).loss(belief(observation[batch], share[batch])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        report(first + count)
    return belief.eval()


def judge(
    game: Game, network: InferenceNet, belief: BeliefNet, games: int, seed: int, report: Callable[[int], None]
) -> tuple[dict[str, Tensor], Tensor]:
    """Of each way to tell, its loss in games that nobody has learned from: [decisions] float64, nats a card; and the
    game of each decision, [decisions] int64. Of worlds by likelihood the fewer are the first of the more."""
    found: dict[str, list[Tensor]] = {}
    of_game: list[Tensor] = []
    evaluator, most = NetworkEvaluator(network), max(CANDIDATES)
    for done, (state, past, observation) in enumerate(choices(game, network, games, seed, JUDGED_INDEX)):
        hidden = Hidden.of(game, state)
        worlds = game.determinize(state, most, seed)
        lies = places_of(game, worlds, most, hidden)
        weight = log_likelihood(game, state, worlds, past, evaluator, RolloutConfig.trust).view(-1, most)
        with torch.no_grad():
            told = belief(observation, hidden.share)
        chances = {"counting": hidden.share, f"{most:,} uniform worlds": by_worlds(lies, hidden, 0 * weight)}
        for count in CANDIDATES:
            chances[f"{count:,} worlds by likelihood"] = by_worlds(lies[:, :count], hidden, weight[:, :count])
        chances["learned network"] = told
        some = (hidden.place >= 0).any(-1)
        for name, chance in chances.items():
            found.setdefault(name, []).append(hidden.loss(chance)[some].double())
        of_game.append(state.index[some])
        report(done + 1)
    return {name: torch.cat(losses) for name, losses in found.items()}, torch.cat(of_game)


@dataclass(frozen=True)
class ByBelief:
    """Draws worlds from `BY_BELIEF` uniform ones, weighed by what a network thinks of each card's place over what
    counting says (a `vecmcts.rollouts.DrawWorlds`)."""

    belief: BeliefNet

    def __call__(self, game: Game, state: State, count: int, seed: int) -> tuple[State, Tensor]:
        """See `DrawWorlds`."""
        hidden = Hidden.of(game, state)
        with torch.no_grad():
            told = self.belief(game.observe(state), hidden.share)
        more = (told / hidden.share.clamp(min=1e-9)).clamp(min=1e-9).log() * (hidden.share > 0)
        worlds = game.determinize(state, BY_BELIEF, seed)
        weight = torch.einsum("bcpk,bpk->bc", places_of(game, worlds, BY_BELIEF, hidden), more)
        return drawn_by_weight(game, state, worlds, weight.double(), count, seed)


def ways_to_play(belief: BeliefNet) -> dict[str, Callable[[Network], RolloutPlayer]]:
    """Rollouts in worlds by likelihood and by the network."""
    config, draw = RolloutConfig(), ByBelief(belief)
    return {
        f"{config.worlds} of {config.candidates} by likelihood": lambda net: rollout_player(net, config),
        f"{config.worlds} of {BY_BELIEF} by the learned network": lambda net: rollout_player(
            net, replace(config, candidates=0), draw=draw
        ),
    }


def told_rows(losses: dict[str, Tensor], of_game: Tensor) -> list[dict[str, object]]:
    """What `judge` has found, as plain numbers."""
    count = {"decisions": len(of_game), "games": len(of_game.unique())}
    return [{"name": name, "loss": asdict(interval_of_groups(loss, of_game)), **count} for name, loss in losses.items()]


def print_told(console: Console, rows: Sequence[dict[str, object]], title: str) -> None:
    """Those for people."""
    print_table(console, title, ("known by", "nats a card"), [(row["name"], _shown(row["loss"], 4)) for row in rows])
    console.print("95% intervals over games")


def print_plays(console: Console, rows: Sequence[dict[str, object]]) -> None:
    """What rollouts came to, for people."""
    cells = [
        (row["name"], f"{row['milliseconds']:.0f}", _shown(row["lead"], 2), _shown(row["gain"], 2)) for row in rows
    ]
    print_table(console, "rollouts against the network alone", ("worlds", "ms", "lead", "gain"), cells)
    console.print("95% intervals over deals")


@ends_in_one_line(needs_less="a smaller --judged")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m veclab.bench.beliefs", description=__doc__)
    parser.add_argument("network", type=Path, help="a network-*.safetensors; it says its game and rules")
    parser.add_argument("--games", type=int, default=32_768, help="to learn from (default: 32768)")
    parser.add_argument("--judged", type=int, default=16, help="games to judge on (default: 16)")
    parser.add_argument("--deals", type=int, default=0, help="to play by rollouts, from all seats (default: none)")
    parser.add_argument("--seed", type=int, default=1, help="of all games (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, as they come")
    add_display_flags(parser)
    add_flags(parser, RULES)
    own, given = own_and_settings(parser, arguments)
    check_least(own, games=1, judged=2)
    if own.deals < 0 or own.deals == 1:
        raise ValueError(f"--deals must be at least 2, or 0 for none, got {own.deals}")
    check_seed(own.seed)
    check_place("--json", own.json, own.network)
    settings = settings_for(own.network, given)
    games = settings.games()
    if len(games) > 1:
        raise ValueError(f"one number of cards is judged, not {settings.describe()}: name --cards")
    check_game(games[0])
    game, display = games[0], display_of(own)
    network = inference_net(load_network(own.network, game=game), "auto", games)
    title = f"{own.network.name}, {settings.describe()}, {own.games:,} games learned from"
    command = command_of("python -m veclab.bench.beliefs", arguments)
    rows: list[dict[str, object]] = []
    plays: list[dict[str, object]] = []

    def keep(complete: bool) -> None:
        if own.json is not None:
            stored = {**environment(torch.device("cpu"), command), "title": title, "complete": complete}
            stored |= {"games": [identity(game)], "results": rows, "rollouts": plays}
            write_atomically(own.json, json_text(stored, indent=1).encode())

    def keep_plays(ways: list[Way]) -> None:
        plays[:] = rows_of(ways)
        keep(complete=len(ways) == len(makers))

    try:
        with display.task("learning", own.games, "games") as task:
            belief = learned(game, network, own.games, own.seed, task.update)
        with display.task("judging", game.decisions, "decisions") as task:
            rows += told_rows(*judge(game, network, belief, own.judged, own.seed, task.update))
        keep(complete=not own.deals)
        print_told(display.console, rows, title)
        if own.deals:
            makers = ways_to_play(belief)
            measure(makers, network, games, own.deals, own.seed, display, keep_plays)
            print_plays(display.console, plays)
    except KeyboardInterrupt:
        kept = f", kept in {own.json} as incomplete" if own.json is not None and rows else ""
        raise KeyboardInterrupt(f"stopped after {len(rows)} ways to tell and {len(plays)} to play{kept}") from None
    return 0


def _shown(interval: dict[str, float], places: int) -> str:
    return f"{interval['mean']:.{places}f} ± {interval['half']:.{places}f}"


if __name__ == "__main__":
    sys.exit(main())

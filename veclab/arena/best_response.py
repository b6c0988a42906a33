"""How much a best response gains against a policy, exactly, on decks small enough to enumerate.

vecgame best-response runs/NAME                                    by checkpoint, on the run's own rules
vecgame best-response NETWORK --suits 2 --ranks 2 --cards 1        one network

Three seats play the policy; the fourth plays whatever is best for it, knowing the policy but of the cards only what a
player knows. What it wins more a game than by playing the policy itself is its gain. Gains of 0 for every seat make an
equilibrium; their sum is called NashConv (Lanctot et al., "A Unified Game-Theoretic Approach to Multiagent
Reinforcement Learning", NeurIPS 2017), and here their mean is shown.

All deals and all sequences of actions are laid out as lanes, a level for each decision up to the last trick, which
nobody can change. A seat's information set is what it was dealt, trump, and the actions so far, all of them public;
nothing is forgotten, so the sets of one seat form a tree, and one pass from the last level to the first finds the best
response:

    at a node of another seat   value = sum of policy(action) * value(child)
    at one of the seat's own    value = value(child) by the action that maximises, over the nodes of the information
                                set, sum of reach(node) * value(child)

where reach is the probability of the deal and of what the *others* did. The dealer is seat 3 and so the first to bid
seat 0: players look at seats relative to their own, so another dealer would only rename the seats.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from net import InferenceNet
from vecgame import Blob, BlobState
from vecgame.cards import SEATS, TRUMP_NAMES
from vecgame.games.blob_rules import TURNED
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import require_four_seats, saved_networks, settings_for
from veclab.arena.bots import Player, RuleBot
from veclab.arena.evaluate import choose_device
from veclab.command_line import parser_of
from veclab.game_flags import RULES
from veclab.progress import Display
from veclab.settings import add_flags
from vecmcts.evaluators import Network

DEALER = SEATS - 1
MAX_LANES = 3_000_000  # nodes of one level; over 100 bytes each are kept
CHUNK = 4096  # information sets that the policy judges at a time

Policy = Callable[[Blob, BlobState], Tensor]
"""Probabilities of the mover's actions, by slot of `Blob.legal_actions`: [B, max_legal] float64, rows of sum 1."""


def uniform_policy(game: Blob, state: BlobState) -> Tensor:
    """Every legal action alike: [B, max_legal] float64."""
    legal = (game.legal_actions(state) >= 0).double()
    return legal / legal.sum(-1, keepdim=True)


def network_policy(network: Network) -> Policy:
    """The network's own policy, without search: the softmax of its logits over the legal actions."""

    def policy(game: Blob, state: BlobState) -> Tensor:
        logits, _ = network(game.observe(state), game.policy_mask(state))
        actions = game.legal_actions(state)
        slots = logits.gather(1, game.policy_columns(state, actions)).double()
        return slots.masked_fill(actions < 0, -torch.inf).softmax(-1)

    return policy


def player_policy(player: Player) -> Policy:
    """What a player that draws no random numbers does, with probability 1."""

    def policy(game: Blob, state: BlobState) -> Tensor:
        return (game.legal_actions(state) == player.act(game, state, 0)[:, None]).double()

    return policy


@dataclass(frozen=True)
class Level:
    """The L nodes before one decision, and what follows each."""

    mover: Tensor  # [L] int64
    policy: Tensor  # [L, A] float64, probabilities of the mover's actions by slot, 0 where there is none
    legal: Tensor  # [L, A] bool, slots that hold an action
    child: (
        Tensor  # [L, A] int64, node of the next level that an action leads to; -1 where there is none, for want of an
    )
    # action, or because no seat can get there against three others that play the policy
    information: Tensor  # [L] int64, number 0.. of the mover's information set
    reach: Tensor  # [L, 4] float64, for each seat: probability of the deal and of what the other three did


@dataclass(frozen=True)
class Gains:
    """Points a game of each seat, [4] float64; seat 0 bids first and leads, seat 3 deals and bids last."""

    policy: Tensor  # by playing the policy against three others that do
    response: Tensor  # by the best response to those three

    @property
    def gain(self) -> Tensor:
        return self.response - self.policy

    def to_dict(self) -> dict[str, object]:
        """Plain numbers for a JSON file."""
        by_seat = {name: getattr(self, name).tolist() for name in ("policy", "response", "gain")}
        return {"mean_gain": float(self.gain.mean()), **by_seat}


@torch.inference_mode()
def best_response(game: Blob, policy: Policy, device: str | torch.device = "cpu") -> Gains:
    """Points of the policy and of best responses to it, over all deals (and trumps, where the rules vary them).

    Raises:
        ValueError: in one line, when the rules are too large to enumerate.
    """
    if game.rules.trump == TURNED:
        raise ValueError("an exact best response needs a trump that is fixed or drawn, not 'turned'")
    names = game.rules.trumps if game.rules.trump in ("random", "rotate") else (game.rules.trump,)
    parts = [_of_trump(game, policy, TRUMP_NAMES.index(name), device) for name in names]
    return mean_gains(parts)


def mean_gains(parts: Sequence[Gains]) -> Gains:
    """The mean over equally likely parts."""
    return Gains(*(torch.stack([getattr(part, name) for part in parts]).mean(0) for name in ("policy", "response")))


def _of_trump(game: Blob, policy: Policy, trump: int, device: str | torch.device) -> Gains:
    levels, scores = expand(game, policy, all_deals(game, trump).to(device))
    chance = 1 / len(levels[0].mover)
    followed = scores
    for level in reversed(levels):
        followed = torch.einsum("la,las->ls", level.policy, _children(level, followed))
    responses = [_respond(levels, scores[:, seat], seat) for seat in range(SEATS)]
    return Gains(chance * followed.sum(0).cpu(), chance * torch.stack(responses).cpu())


def all_deals(game: Blob, trump: int) -> BlobState:
    """Every way to deal the hands, each once: D lanes before the first bid, dealer seat 3.

    Raises:
        ValueError: when there are more than can be enumerated.
    """
    rules = game.rules
    deck = rules.suits * rules.ranks
    count = math.prod(math.comb(deck - seat * rules.cards, rules.cards) for seat in range(SEATS))
    # The bidding alone gives so many nodes to each deal.
    if count * (rules.cards + 1) ** (SEATS - 1) > MAX_LANES:
        raise _too_large(game)
    ids = [13 * suit + rank for suit in range(rules.suits) for rank in range(rules.ranks)]
    hands = torch.tensor(list(_hands(tuple(ids), rules.cards, SEATS)))
    return game.from_hands(hands, dealer=DEALER, trump=trump)


def _too_large(game: Blob) -> ValueError:
    rules = game.rules
    return ValueError(
        f"{rules.cards} cards a seat from {rules.suits} suits x {rules.ranks} ranks are too many to enumerate (over "
        f"{MAX_LANES:,} nodes at a decision); take fewer, such as --suits 2 --ranks 4 --cards 2"
    )


def _hands(deck: tuple[int, ...], cards: int, seats: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """All ways to deal ``cards`` cards of a deck to each of some seats."""
    if seats == 0:
        yield ()
        return
    for hand in combinations(deck, cards):
        left = tuple(card for card in deck if card not in hand)
        for others in _hands(left, cards, seats - 1):
            yield (hand, *others)


def expand(game: Blob, policy: Policy, deals: BlobState) -> tuple[list[Level], Tensor]:
    """Lays out the whole game.

    Returns:
        A level for each decision, and the points of every end of the game, [E, 4] float64 by seat.
    """
    state = deals
    batch, device = deals.batch_size, deals.device
    dealt = torch.stack([deals.hands[:, seat].unique(return_inverse=True)[1] for seat in range(SEATS)], dim=-1)
    seats = torch.arange(SEATS, device=device)
    public = torch.zeros(batch, dtype=torch.int64, device=device)  # number of the sequence of actions so far
    reach = torch.ones(batch, SEATS, dtype=torch.float64, device=device)
    levels = []
    for _ in range(game.decisions - SEATS):
        mover = game.mover(state)
        hand = dealt.gather(1, mover[:, None])[:, 0]
        information, first = _number(public * (int(dealt.max()) + 1) + hand)
        chances = torch.cat([policy(game, state.take(part)) for part in first.split(CHUNK)])[information]
        actions = game.legal_actions(state)
        legal = actions >= 0
        # [L, A, 4]; taking an action costs the mover itself no probability
        after = reach[:, None] * torch.where(mover[:, None, None] == seats, 1.0, chances[..., None])
        parent, slot = (legal & (after > 0).any(-1)).nonzero().unbind(-1)
        if len(parent) > MAX_LANES:
            raise _too_large(game)
        child = torch.full_like(actions, -1)
        child[parent, slot] = torch.arange(len(parent), device=device)
        levels.append(Level(mover, chances, legal, child, information, reach))
        taken = actions[parent, slot]
        public, _ = _number(public[parent] * game.num_actions + taken)
        reach = after[parent, slot]
        state, dealt = game.step(state.take(parent), taken), dealt[parent]
    return levels, game.scores(game.play_forced(state)).double()


def _number(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers different keys 0..: [L] int64 -> ([L] int64 number of each, [K] int64 a place where each is found)."""
    different, number = keys.unique(return_inverse=True)
    place = torch.empty(len(different), dtype=torch.int64, device=keys.device)
    place[number] = torch.arange(len(keys), device=keys.device)
    return number, place


def _children(level: Level, value: Tensor) -> Tensor:
    """Values of the next level's nodes by the action that leads there, 0 where none does: [N, ...] -> [L, A, ...]."""
    return torch.cat([value, torch.zeros_like(value[:1])])[level.child]  # -1 finds the last one, a 0


def _respond(levels: list[Level], scores: Tensor, seat: int) -> Tensor:
    """Points of the seat's best response, summed over the deals: [] float64.

    Args:
        scores: [E] float64, points of the seat at every end.
    """
    value = scores
    for level in reversed(levels):
        after = _children(level, value)  # [L, A]
        worth = (level.reach[:, seat, None] * after).masked_fill(~level.legal, -torch.inf)
        # Every set has one mover, so the sums of the other seats' sets are of no consequence.
        sets = int(level.information.max()) + 1
        total = worth.new_zeros(sets, worth.shape[1]).index_add_(0, level.information, worth)
        chosen = after.gather(1, total.argmax(-1)[level.information, None])[:, 0]
        value = torch.where(level.mover == seat, chosen, (level.policy * after).sum(-1))
    return value.sum()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("best-response", __doc__)
    parser.add_argument(
        "networks", nargs="+", type=Path, metavar="RUN_OR_NETWORK", help="runs' folders, networks' files"
    )
    parser.add_argument(
        "--most", type=int, default=12, metavar="N", help="networks of a run, evenly spaced (default: 12)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file")
    add_flags(parser, (*(name for name in RULES if name != "game"), "device"))
    given = vars(parser.parse_args(arguments))
    own = argparse.Namespace(**{name: given.pop(name) for name in ("networks", "most", "json")})
    display = Display()
    try:
        if own.most < 1:
            raise ValueError(f"--most must be at least 1, got {own.most}")
        files = saved_networks(own.networks, own.most)
        settings = settings_for(own.networks[0], given, default={"suits": 2, "ranks": 2, "cards": "1"})
        if settings.game != "blob":
            raise ValueError(f"best responses are computed for blob, not for {settings.game}")
        require_four_seats(settings, "an exact best response")
        device = choose_device(settings.device)
        games = settings.games()
        policies = {"random": uniform_policy, RuleBot.name: player_policy(RuleBot())}
        for name, file in files.items():
            net = load_network(file, device, games[0])
            policies[name] = network_policy(InferenceNet(net, dtype=torch.float32))
        results = {}
        with display.task("best responses", len(policies), "policies") as task:
            for name, policy in policies.items():
                results[name] = mean_gains([best_response(game, policy, device) for game in games])
                task.update(len(results))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    title = f"{settings.cards} cards a seat from {settings.suits} suits x {settings.ranks} ranks"
    display.console.print(gains_table(results, title))
    if own.json is not None:
        write_atomically(own.json, json.dumps({name: gains.to_dict() for name, gains in results.items()}).encode())
    return 0


def gains_table(results: dict[str, Gains], title: str) -> Table:
    """Points a game of each policy and of a best response to it."""
    table = Table(title=title, title_justify="left", caption="means over the four seats; --json has each seat's")
    table.add_column("policy", overflow="fold")
    for column in ("points a game", "best response", "gain"):
        table.add_column(column, justify="right")
    for name, gains in results.items():
        points, response, gain = (float(tensor.mean()) for tensor in (gains.policy, gains.response, gains.gain))
        table.add_row(name, f"{points:.3f}", f"{response:.3f}", f"{gain:.3f}")
    return table


if __name__ == "__main__":
    sys.exit(main())

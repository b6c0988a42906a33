"""How much a best response gains against a policy, exactly, on decks small enough to enumerate.

vecgame best-response runs/NAME --suits 2 --ranks 4 --cards 2      by checkpoint, on a small deck
vecgame best-response NETWORK --suits 2 --ranks 2 --cards 1        one network
vecgame best-response runs/NAME                                    in the run's own game, if that is small: leduc

All seats but one play the policy; that one plays whatever is best for it, knowing the policy but of the cards only what
a player knows. What it wins more a game than by playing the policy itself is its gain. Gains of 0 for every seat make
an equilibrium; their sum is called NashConv (Lanctot et al., "A Unified Game-Theoretic Approach to Multiagent
Reinforcement Learning", NeurIPS 2017), and here their mean is shown.

All deals and all sequences of actions are laid out; see `veclab.exact`.
"""

from __future__ import annotations

from veclab.command_line import begin, check_least, check_place, ends_in_one_line, parser_of, run_or_network, showing

if __name__ == "__main__":  # before PyTorch is loaded, which takes seconds
    begin()

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from net import InferenceNet
from vecgame import Game, State, identity
from veclab.agents.checkpoint import load_network, write_atomically
from veclab.agents.networks import other_rules, saved_networks, settings_for, settled
from veclab.arena.bots import Player, RuleBot, rollout_config, rollouts_name, why_not
from veclab.arena.evaluate import choose_device
from veclab.exact.deals import every_deal, told_apart
from veclab.exact.tree import Policy, lay_out, uniform_policy, values_of
from veclab.files import json_text
from veclab.game_flags import RULES
from veclab.machine import command_of, environment
from veclab.progress import add_display_flags, display_of, print_table
from veclab.setting_flags import add_flags, own_and_settings
from vecmcts import Past, RolloutConfig, rollouts
from vecmcts.evaluators import Network


def network_policy(network: Network) -> Policy:
    """The network's own policy, without search: the softmax of its logits over the legal actions."""

    def policy(game: Game, state: State) -> Tensor:
        logits, _ = network(game.observe(state), game.policy_mask(state))
        actions = game.legal_actions(state)
        return game.slot_logits(state, actions, logits).double().softmax(-1)

    return policy


def player_policy(player: Player) -> Policy:
    """What a player that draws no random numbers does, with probability 1."""

    def policy(game: Game, state: State) -> Tensor:
        return (game.legal_actions(state) == player.act(game, state, 0)[:, None]).double()

    return policy


def rollout_policy(network: Network, config: RolloutConfig) -> Policy:
    """The network's policy as bettered by rollouts (`vecmcts.rollouts`), which draws worlds by seed 0."""

    def policy(game: Game, state: State, past: Past) -> Tensor:
        actions = game.legal_actions(state)
        wide = rollouts(game, state, network, config, past=past).policy.double()
        slots = torch.where(actions >= 0, wide.gather(1, actions.clamp(min=0)), 0.0)
        return slots / slots.sum(-1, keepdim=True)

    policy.told = True
    return policy


@dataclass(frozen=True)
class Gains:
    """Points a game of each seat, [P] float64. In a game with a dealer that is no fixed seat the last one deals."""

    policy: Tensor  # by playing the policy against others that do
    response: Tensor  # by the best response to those others

    @property
    def gain(self) -> Tensor:
        return self.response - self.policy

    def to_dict(self) -> dict[str, object]:
        """Plain numbers for a JSON file."""
        by_seat = {name: getattr(self, name).tolist() for name in ("policy", "response", "gain")}
        return {"mean_gain": float(self.gain.mean()), **by_seat}


@torch.inference_mode()
def best_response(game: Game, policy: Policy, device: str | torch.device = "cpu") -> Gains:
    """Points of the policy and of best responses to it, over all that `Game.deal` may deal.

    Raises:
        ValueError: in one line, when the game is too large to enumerate, or deals what cannot be listed.
    """
    deals = every_deal(game, device)
    total = torch.zeros(2, game.seats, dtype=torch.float64, device=deals.device)
    for lanes in told_apart(game, deals):
        part = values_of(lay_out(game, policy, deals.take(lanes)), game.seats)
        total += torch.stack(part) * (len(lanes) / len(deals))
    return Gains(*total.cpu())


def mean_gains(parts: Sequence[Gains]) -> Gains:
    """The mean over equally likely parts."""
    return Gains(*(torch.stack([getattr(part, name) for part in parts]).mean(0) for name in ("policy", "response")))


@ends_in_one_line(needs_less="a smaller deck, by --suits, --ranks and --cards,")
def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = parser_of("best-response", __doc__)
    parser.add_argument(
        "networks",
        nargs="+",
        type=run_or_network,
        metavar="RUN_OR_NETWORK",
        help="runs' folders (newest: the newest in runs/), networks' files",
    )
    parser.add_argument(
        "--most", type=int, default=12, metavar="N", help="networks of a run, evenly spaced (default: 12)"
    )
    parser.add_argument("--rollouts", action="store_true", help="also judge the networks as bettered by rollouts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as they come")
    add_display_flags(parser)
    add_flags(parser, (*RULES, "device"))
    own, given = own_and_settings(parser, arguments)
    display = display_of(own)
    check_least(own, most=1)

    def files() -> dict[str, Path]:
        return saved_networks(own.networks, own.most)

    check_place("--json", own.json, *settled(own.networks, files).values())
    settings = settled(own.networks, lambda: settings_for(next(iter(files().values())), given))
    device = choose_device(settings.device)
    games = sorted(settings.games(), key=lambda game: -game.decisions)  # what is too large comes first

    def read() -> tuple[dict[str, str], dict[str, Policy]]:
        networks = files()
        others = {name: told for name, file in networks.items() if (told := other_rules(file, settings))}
        return others, policies_of(games, networks, device, own.rollouts)

    others, policies = settled(own.networks, read)
    for told in others.values():
        display.line(told)
    where = environment(device, command_of("vecgame best-response", arguments))
    results: dict[str, Gains] = {}

    def keep() -> None:
        if own.json is not None:
            gains = {name: gains.to_dict() for name, gains in results.items()}
            written = {"games": [identity(game) for game in games], "other_rules": others, "gains": gains}
            written |= {"environment": where, "complete": len(results) == len(policies)}
            write_atomically(own.json, json_text(written).encode())

    def show() -> None:
        if results:
            print_gains(display.console, results, settings.describe(), games[0].unit)

    def stopped() -> str:
        kept = f", kept in {own.json} as incomplete" if own.json is not None and results else ""
        return f"stopped after {len(results)} of {len(policies)} policies{kept}"

    with showing(show, stopped), display.task("best responses", len(policies), "policies") as task:
        for name, policy in policies.items():
            results[name] = mean_gains([best_response(game, policy, device) for game in games])
            keep()
            display.news(f"{name}: a best response gains {float(results[name].gain.mean()):.3f} {games[0].unit}")
            task.update(len(results))
    return 0


def policies_of(
    games: Sequence[Game], files: Mapping[str, Path], device: str | torch.device, bettered: bool = False
) -> dict[str, Policy]:
    """What is compared, by name: random play, the rule-based player where it plays all of the games, saved networks.

    Args:
        bettered: also what rollouts make of each network.

    Raises:
        ValueError: in one line, on a network that cannot play the games.
    """
    policies = {"random": uniform_policy}
    if why_not(RuleBot(), *games) is None:
        policies[RuleBot.name] = player_policy(RuleBot())
    for name, file in files.items():
        network = InferenceNet(load_network(file, device, games[0]), dtype=torch.float32)
        policies[name] = network_policy(network)
        if bettered:
            config = rollout_config(games)
            policies[f"{name}, {rollouts_name(config)}"] = rollout_policy(network, config)
    return policies


def print_gains(console: Console, results: dict[str, Gains], title: str, unit: str) -> None:
    """Points a game, or what else is the game's ``unit``, of each policy and of a best response to it."""
    rows = []
    for name, gains in results.items():
        points, response, gain = (float(tensor.mean()) for tensor in (gains.policy, gains.response, gains.gain))
        rows.append((name, f"{points:.3f}", f"{response:.3f}", f"{gain:.3f}"))
    print_table(console, title, ("policy", f"{unit} a game", "best response", "gain"), rows)
    console.print("means over the seats; --json has each seat's")


if __name__ == "__main__":
    sys.exit(main())

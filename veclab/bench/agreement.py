"""How much the search's answer depends on the arithmetic of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from net import BlobNet, float8_products
from vecgame import Game, State, concatenate
from veclab.arena import matches
from veclab.arena.bots import NetworkPlayer
from veclab.bench.measure import counted_ways
from veclab.precision import PRECISIONS, check_precision, form_of
from vecmcts import SearchConfig, SearchResult, search

EXACT = "float32"


@dataclass(frozen=True)
class Agreement:
    """Searches with one arithmetic against the same searches in float32, over positions with a choice."""

    precision: str
    positions: int
    same_action: float  # share of positions with the same best action
    divergence: float  # mean Kullback-Leibler divergence of the improved policy from float32's, nats
    network_divergence: float  # likewise of the network's own policy
    value_error: float  # root mean square of the root's values, as a share of highest - lowest score


def available(device: torch.device) -> tuple[str, ...]:
    """The arithmetics that this device can be asked for."""
    return tuple(p for p in PRECISIONS if p != "auto" and _is_fit(p, device))


def comparable(device: torch.device) -> tuple[str, ...]:
    """Those, and float8 also where it is too slow for use, as on a CPU: a search answers the same there."""
    return tuple(
        p for p in PRECISIONS if p != "auto" and (_is_fit(p, device) or (p == "float8" and float8_products(device)))
    )


def _is_fit(precision: str, device: torch.device) -> bool:
    try:
        check_precision(precision, device)
    except ValueError:
        return False
    return True


def agreement(
    net: BlobNet, game: Game, config: SearchConfig, games: int, precisions: Sequence[str], device: torch.device
) -> Iterator[tuple[Agreement, dict[str, int]]]:
    """Compares searches of every decision of ``games`` games in which the float32 network plays its own policy: yields
    each arithmetic's figures and the ways that its searches ran. No search comes twice, so none is recorded."""
    exact = form_of(net, EXACT, [game])
    state = self_played(game, exact, games, device)
    expected = search(game, state, exact, config, graphs=False)
    for precision in precisions:
        with counted_ways() as ways:
            result = search(game, state, form_of(net, precision, [game]), config, graphs=False)
        yield compare(precision, expected, result), ways


def self_played(game: Game, network: object, games: int, device: torch.device) -> State:
    """The positions with a choice in games where every decision is drawn from the network's policy."""
    decisions = matches.self_played(game, NetworkPlayer(network, sample=True), games, 0, device)
    played = (decision.state for decision in decisions)
    return concatenate([state[game.chooses(state, game.legal_actions(state))] for state in played])


def compare(precision: str, expected: SearchResult, result: SearchResult) -> Agreement:
    """The figures of one arithmetic."""
    return Agreement(
        precision=precision,
        positions=len(expected.policy),
        same_action=float((expected.policy.argmax(-1) == result.policy.argmax(-1)).double().mean()),
        divergence=float(divergence(expected.policy, result.policy).mean()),
        network_divergence=float(divergence(expected.prior, result.prior).mean()),
        value_error=float((expected.value - result.value).square().mean().sqrt()),
    )


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Kullback-Leibler divergence of q [B, K] from p [B, K], distributions: [B], nats."""
    p, q = p.double(), q.double()
    return (p * (p.clamp(min=1e-12).log() - q.clamp(min=1e-12).log())).sum(-1)

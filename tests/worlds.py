"""Positions whose worlds are listed, and how often a sampler draws each of them."""

from dataclasses import replace
from functools import cache
from itertools import islice

import torch
from torch import Tensor

from tests.helpers import bits_of, play_randomly, to_reference
from vecgame import Blob
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference
from veclab.reference.worlds import World, consistent_worlds

MOST_WORLDS = 700


def shown_voids(rules: reference.Rules, state: reference.State) -> int:
    """Voids that the mover's opponents have shown."""
    return sum(map(len, state.voids)) - len(state.voids[reference.mover(rules, state)])


def shows_void_now(state: reference.State) -> bool:
    """Whether somebody failed to follow in the current trick."""
    return any(card // 13 != state.trick[0][1] // 13 for _, card in state.trick)


@cache
def positions(game: Blob) -> list[tuple[BlobState, reference.Rules, reference.State, list[World]]]:
    """At each decision the games with the most and the fewest voids shown, and three with one in the current trick.

    Those with too many worlds to list are left out.

    Returns:
        Tuples of a batch of one, the same as the reference's rules and state, and its consistent worlds.
    """
    found = []
    for batch, _ in play_randomly(game, game.deal(60, seed=3), seed=3)[:-1]:
        lanes = [to_reference(game, batch, lane) for lane in range(batch.batch_size)]
        most = sorted(range(len(lanes)), key=lambda lane: -shown_voids(*lanes[lane]))
        now = [lane for lane in most if shows_void_now(lanes[lane][1])]
        for lane in {most[0], most[-1], *now[:3]}:
            rules, state = lanes[lane]
            listed = list(islice(consistent_worlds(rules, state), MOST_WORLDS + 1))
            if 2 <= len(listed) <= MOST_WORLDS:
                found.append((batch[lane : lane + 1], rules, state, listed))
    return found


def as_games(lane: BlobState, count: int) -> BlobState:
    """One position as that of games number 0 .. count - 1."""
    return replace(lane.repeat(count), index=torch.arange(count))


def tally(sampled: BlobState, listed: list[World]) -> Tensor:
    """How often each listed world was sampled; every sampled world must be among them."""
    number = {tuple(map(bits_of, hands)): i for i, hands in enumerate(listed)}
    counts = torch.zeros(len(listed))
    drawn, times = sampled.hands.unique(dim=0, return_counts=True)
    for hands, count in zip(drawn.tolist(), times.tolist(), strict=True):
        assert tuple(hands) in number, "a world that the mover can rule out"
        counts[number[tuple(hands)]] = count
    return counts

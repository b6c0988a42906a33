"""Positions to search, and an evaluator that is the same function of them for tensors and for the scalar reference."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.helpers import bits_of
from vecgame import Blob, Purpose, State, Stream
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference
from vecmcts import random_action

MULTIPLIER, INCREMENT = 6364136223846793005, 1442695040888963407  # of Knuth's MMIX generator
FRACTION = (1 << 53) - 1


def mixed_batch(game: Blob, games: int, seed: int) -> BlobState:
    """Games at different decisions, from the first bid to the last trick, none of them over."""
    state = game.deal(games, seed)
    stop = Stream(seed, state.index, torch.full_like(state.index, 99)).integers(Purpose.PLAYOUT, game.decisions)
    for decision in range(game.decisions):
        stream = Stream(seed, state.index, torch.full_like(state.index, 100 + decision))
        action = random_action(game, state, stream.uniform(Purpose.PLAYOUT, 1)[:, 0])
        state = game.step(state, action).where(stop > decision, state)
    return state


def mix(h: Tensor | int, x: Tensor | int) -> Tensor | int:
    """A step of a 64-bit hash: on int64 tensors, which wrap, or on Python integers."""
    h = h * MULTIPLIER + x + INCREMENT
    h = h if isinstance(h, Tensor) else h & ((1 << 64) - 1)
    return h ^ ((h >> 29) & ((1 << 35) - 1))


def fraction(h: Tensor | int) -> Tensor | float:
    """The hash as a number in [0, 1), the same in float64 on both sides."""
    bits = (h >> 11) & FRACTION
    return bits.double() * 2.0**-53 if isinstance(bits, Tensor) else bits * 2.0**-53


class HashEvaluator:
    """Logits in [-2, 2) and values in [0, 1), a fixed pseudo-random function of what the mover sees, in float64."""

    sees_hidden = True  # so that it is asked once a world, as the reference is; it gives all worlds the same answer

    def evaluate(self, game: Blob, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
        mover = game.mover(state)
        h = torch.zeros_like(state.seen)
        for x in (state.hands.gather(1, mover[:, None])[:, 0], state.seen, mover, state.trump.long()):
            h = mix(h, x)
        for table in (state.trick, state.bids, state.won):
            for seat in range(4):
                h = mix(h, table[:, seat].long())
        actions = torch.arange(game.num_actions).expand(len(h), -1)
        logits = 4 * fraction(mix(mix(h[:, None], actions), 7)) - 2
        columns = game.policy_columns(state, actions)
        values = fraction(mix(mix(h[:, None], 1000 + torch.arange(4)), 7))
        return torch.zeros_like(logits).scatter(1, columns, logits), values


def hash_reference(rules: reference.Rules, state: reference.State) -> tuple[dict[int, float], list[float]]:
    """`HashEvaluator` for the reference."""
    mover = reference.mover(rules, state)
    trick = [-1] * 4
    for seat, card in state.trick:
        trick[seat] = card
    bids = [-1 if bid is None else bid for bid in state.bids]
    seen = bits_of([card for _, card in state.history[4:]]) if None not in state.bids else 0
    h = 0
    for x in (bits_of(state.hands[mover]), seen, mover, state.trump, *trick, *bids, *state.won):
        h = mix(h, x)
    logits = {a: 4 * fraction(mix(mix(h, a), 7)) - 2 for a in reference.legal_actions(rules, state)}
    return logits, [fraction(mix(mix(h, 1000 + seat), 7)) for seat in range(4)]


def counting(evaluator: object, calls: list[int]) -> object:
    """An evaluator that notes how many positions it is asked for at a time."""

    class Counting:
        sees_hidden = evaluator.sees_hidden

        def evaluate(self, game: Blob, state: State, stream: Stream) -> tuple[Tensor, Tensor]:
            calls.append(state.batch_size)
            return evaluator.evaluate(game, state, stream)

    return Counting()


Network = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def linear_network(values: int, seed: int = 0, features: int = 256, actions: int = 52) -> Network:
    """A network of one fixed random matrix in float64."""
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(features, actions + values, generator=random, dtype=torch.float64) / 4

    def network(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        # Row by row sums, so that a row's rounding does not depend on its batch.
        output = (observation.double()[:, :, None] * weight).sum(1)
        return output[:, :actions], output[:, actions:].sigmoid()

    return network

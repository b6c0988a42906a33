"""What is the same for rule-based players of partnerships: which card wins a trick for the side at the least cost.

A card is worth the chance that it, or the partner, wins the trick, less what it would be good for later. Where the side
wants no more tricks both are turned round. So the second to play keeps low unless it is sure, the third plays as high
as it takes, the last wins as cheaply as it can, nobody overtakes the partner without need, and trumps are kept for a
ruff.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vecgame import TrickGame
from vecgame.cards import DECK, RANKS
from veclab.arena.rules.odds import card_features, log_odds
from veclab.arena.rules.reading import Reading, Without, beaten, slots

KEEP = 0.9  # what a sure trick later is worth of one now
FIRST, PARTNER, SECOND = range(3)  # the others in the order of play: opponent, partner, opponent


def promise(reading: Reading, lacking: Without) -> Tensor:
    """The chance of each card of the hand to win a trick sooner or later, as tricks go to who can: [B, 52] float64."""
    even = torch.ones(len(reading.mover), dtype=torch.float64, device=reading.hand.device)
    return torch.sigmoid(log_odds(reading, card_features(reading, lacking, even, 0 * even)))


def best_slot(reading: Reading) -> Tensor:
    """The slot of the card that is winning the trick: [B] int64, any if there is none."""
    high = torch.where(reading.best >= 2 * RANKS, reading.trump, reading.led).clamp(min=0)
    return (RANKS * high + reading.best.clamp(min=0) % RANKS).clamp(max=DECK - 1)


def wins_for_side(reading: Reading, can: Tensor) -> tuple[Tensor, Tensor]:
    """The chances that each card wins the trick for the side, and that the mover itself wins it: [B, 52] float64 twice.

    Args:
        can: [B, 3, 52] float64, the chance that a seat can beat a card; see `beaten`.
    """
    takes = reading.takes
    held = can.gather(2, best_slot(reading)[:, None, None].expand(-1, 3, 1))
    against = torch.where(takes[:, None], can, held)  # of the card that is best once this one lies
    against = torch.where(reading.later[:, :, None], against, 0.0)
    first, partner, second = against[:, FIRST], against[:, PARTNER], against[:, SECOND]
    ours = takes | (reading.winner == (reading.mover + 2) % 4)[:, None] & (reading.led >= 0)[:, None]
    # A partner still to play makes it harder for the seat after it, and may win back what the one before it has taken.
    kept = (1 - first) * (1 - second * (1 - 0.5 * partner)) + first * 0.5 * partner * (1 - second)
    gained = partner * (1 - 0.5 * first) * (1 - second)
    alone = torch.where(takes, (1 - first) * (1 - partner) * (1 - second), 0.0)
    return torch.where(ours, kept, gained), alone


def choose(game: TrickGame, reading: Reading, worth: Tensor, mask: Tensor) -> Tensor:
    """The legal card that is worth most: [B] int64.

    Args:
        worth: [B, 52] float64 by slot.
        mask: [B, A] bool, the legal actions, cards first.
    """
    order = slots(game, reading.trump)
    legal = mask[:, :DECK] if order is None else mask[:, :DECK].gather(1, order)
    best = worth.masked_fill(~legal, -torch.inf).argmax(-1)
    return best if order is None else order.gather(1, best[:, None])[:, 0]


def trick_worths(reading: Reading, lacking: Without, value: Tensor) -> Tensor:
    """What each card is worth where a trick is worth ``value`` [B] float64 to the side, below 0 if it wants none:
    [B, 52] float64."""
    can, _ = beaten(reading, lacking)
    side, _ = wins_for_side(reading, can)
    return value[:, None] * (side - KEEP * promise(reading, lacking))

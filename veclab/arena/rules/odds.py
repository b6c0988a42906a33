"""The chance that a card wins a trick sooner or later, by what can be counted about it.

The logarithm of the odds is a sum of weighted counts, one set of weights for trumps and one for all other cards. The
weights come from logistic regression: whether each card in hand won a trick in the end, at bids and plays of games of
Blob between players of these rules, for 2 to 8 seats with 2 to 14 cards, fitted three times over.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from vecgame.cards import DECK, NO_TRUMP, RANKS
from veclab.arena.rules.reading import Reading, Without, ranks, suits

PLAIN = {
    "one": -1.491,
    "free": 0.138,
    "over": -0.442,
    "under": 0.523,
    "cut": -0.795,
    "own trumps": 1.06,
    "their trumps": -0.323,
    "length": -1.047,
    "few": -1.068,
    "demand": -1.793,
    "leads": -0.281,
    "no trump": 0.421,
    "free, few": -0.832,
    "free, seats": -0.18,
    "free, demand": -0.078,
    "free, leads": 0.37,
    "over, few": -0.705,
    "length, few": -0.065,
    "leads, few": 3.032,
    "rank": 0.487,
    "free squared": 1.04,
    "length, free": -0.797,
    "own trumps, free": -0.026,
}
TRUMP = {
    "one": -1.149,
    "free": 0.472,
    "over": -0.22,
    "under": 0.485,
    "own trumps": 1.23,
    "their trumps": -0.859,
    "length": 1.23,
    "few": -1.351,
    "seats": -0.099,
    "demand": -1.887,
    "leads": -0.037,
    "free, few": -0.21,
    "free, seats": 0.233,
    "free, demand": -0.636,
    "free, leads": -0.17,
    "over, few": -1.377,
    "length, few": -0.511,
    "leads, few": -0.148,
    "rank": 0.838,
    "free squared": 1.719,
    "length, free": -0.241,
    "own trumps, free": -0.241,
}


def card_features(reading: Reading, lacking: Without, demand: Tensor, leads: Tensor) -> dict[str, Tensor]:
    """What a card's chance to win a trick depends on: [B, 52] float64 each.

    Args:
        demand: [B] float64, tricks that the other seats want, over those that are left.
        leads: [B] float64, 1 for who leads the next trick.
    """
    chance, hand, batch = reading.chance, reading.hand.double(), len(reading.mover)
    suit, left = suits(hand.device), reading.left.clamp(min=1).double()[:, None]
    by_suit = chance.sum(1).view(batch, -1, RANKS)
    up = by_suit.cumsum(-1)
    trump = reading.is_trump.double()
    own = hand.view(batch, -1, RANKS).sum(-1)[:, suit]
    void = lacking.suit[:, :, suit]  # [B, J, 52]
    free = lacking.above.prod(1)
    one = torch.ones_like(free)
    cut = 1 - (1 - void * (1 - lacking.trump[:, :, None])).prod(1)
    few, seats = one / left, one * (chance.shape[1] - 3)
    return {
        "one": one,
        "free": free,  # nobody has a higher card of the suit
        "over": (up[..., -1:] - up).view(batch, DECK).clamp(max=6),  # higher ones that others are expected to hold
        "under": (up - by_suit).view(batch, DECK) / chance.shape[1],  # lower ones, of each other seat
        "cut": cut * (1 - trump),  # somebody has none of the suit, and a trump
        "own trumps": (hand * trump).sum(-1, keepdim=True) / left,
        "their trumps": (chance.sum(1) * trump).sum(-1, keepdim=True) / left / chance.shape[1],
        "length": own / left,
        "few": few,
        "seats": seats,
        "demand": one * (demand[:, None] - 1).clamp(-1, 2),
        "leads": one * leads[:, None],
        "no trump": one * (reading.trump == NO_TRUMP)[:, None],
        "free, few": free * few,
        "free, seats": free * seats,
        "free, demand": free * (demand[:, None] - 1).clamp(-1, 2),
        "free, leads": free * leads[:, None],
        "over, few": (up[..., -1:] - up).view(batch, DECK).clamp(max=6) * few,
        "length, few": own / left * few,
        "leads, few": one * leads[:, None] * few,
        "rank": one * ranks(hand.device) / 12,
        "free squared": free * free,
        "length, free": own / left * free,
        "own trumps, free": (hand * trump).sum(-1, keepdim=True) / left * free,
    }


def log_odds(reading: Reading, features: dict[str, Tensor]) -> Tensor:
    """Logarithm of the odds that each card of the hand wins a trick, whoever wants it to: [B, 52] float64."""
    plain = sum(weight * features[name] for name, weight in PLAIN.items())
    trump = sum(weight * features[name] for name, weight in TRUMP.items())
    return torch.where(reading.is_trump, trump, plain)


def counts(chance: Tensor) -> Tensor:
    """How likely each number of tricks is, of cards that win with these chances: [..., N] -> [..., N + 1] float64."""
    likely = pad(torch.ones_like(chance[..., :1]), (0, chance.shape[-1]))
    for number in range(chance.shape[-1]):
        card = chance[..., number, None]
        likely = likely * (1 - card) + pad(likely[..., :-1] * card, (1, 0))
    return likely

"""The rule-based player of Hearts.

A card costs the points of the trick that it is expected to win, and is worth getting rid of by the points that it may
bring later (`danger`): the queen of spades, the king and the ace while the queen is out, high cards without low ones of
their suit. So it leads low, keeps under what is on the table with the highest card that loses, throws the queen and
high hearts where it cannot follow, and passes what is most dangerous. Who has all points so far, `SHOOTS` or more,
goes on to take them all, by the cards that are likeliest to win; from `THREAT` on the others keep theirs from it.
"""

import torch
from torch import Tensor

from vecgame import Hearts
from vecgame.cards import DECK, RANKS
from vecgame.games.hearts import HEARTS, QUEEN_POINTS, SPADES, HeartsState
from veclab.arena.rules.reading import Reading, Without, beaten, ranks, read, suits, without
from veclab.arena.rules.sides import choose

QUEEN = RANKS * SPADES + 10  # the card
TAKING = 0.25  # how often a seat beats a card that it could keep below
RELIEF = 0.5  # what a point that may come later is worth of one now
HEART_TRICK, KING_OR_ACE = 2.5, 6.0  # points of a trick of hearts, and of one that the queen is thrown to, about
TRICK = 0.1  # what winning a trick costs beside its points: the lead
SHOOTS, THREAT = 5, 13  # points of who has all of them, with which it tries for the rest, and others think it does
SPARED = 2.0  # what it is then worth not to throw a point to that seat, in points


def act(game: Hearts, state: HeartsState) -> Tensor:
    """A legal action for the mover of every lane: [B] int64."""
    mask, reading, giving = game.legal_mask(state), read(game, state), game.giving(state)
    lacking, relief = without(reading), danger(reading)
    wins = winning(reading, lacking)
    worth = RELIEF * relief - cost(state, reading, lacking, wins)
    if game.rules.moon:
        worth = for_all_points(state, reading, wins, worth)
    if giving is not None:
        worth = torch.where(giving[:, None], relief, worth)
    return choose(game, reading, worth, mask)


def prices(device: torch.device) -> Tensor:
    """Points against who takes each card: [52] float64."""
    card = torch.arange(DECK, device=device)
    return torch.where(card == QUEEN, QUEEN_POINTS, (suits(device) == HEARTS).long()).double()


def danger(reading: Reading) -> Tensor:
    """Points that each card of the hand may bring to who keeps it: [B, 52] float64."""
    device, batch = reading.hand.device, len(reading.mover)
    suit, rank = suits(device), ranks(device)
    theirs = reading.chance.sum(1).view(batch, -1, RANKS)
    up = theirs.cumsum(-1)
    over, under = (up[..., -1:] - up).view(batch, DECK), (up - theirs).view(batch, DECK)
    own = reading.hand.double().view(batch, -1, RANKS)
    lower = (own.cumsum(-1) - own).view(batch, DECK)  # own cards that may be played before it
    takes = (under / (under + over).clamp(min=1e-9)).square()
    spade = suit == SPADES
    price = torch.where(suit == HEARTS, HEART_TRICK, torch.where(spade & (rank < 10), 0.3, 1.0))
    high = torch.where(
        spade & (rank > 10), KING_OR_ACE * reading.chance.sum(1)[:, QUEEN, None] / (1 + 0.3 * lower), 0.0
    )
    spades = own[:, SPADES].sum(-1, keepdim=True)
    queen = QUEEN_POINTS / (1 + 0.25 * (spades - 1).clamp(min=0))  # other spades are played before it
    return torch.where(torch.arange(DECK, device=device) == QUEEN, queen, price * takes / (1 + 0.5 * lower) + high)


def winning(reading: Reading, lacking: Without) -> Tensor:
    """The chance of each card to win the trick that is on: [B, 52] float64."""
    can, must = beaten(reading, lacking)
    beats = TAKING * can + (1 - TAKING) * must
    return torch.where(reading.takes, torch.where(reading.later[:, :, None], 1 - beats, 1.0).prod(1), 0.0)


def for_all_points(state: HeartsState, reading: Reading, wins: Tensor, worth: Tensor) -> Tensor:
    """What the cards are worth where a seat has all points so far and may take the rest, else ``worth``: [B, 52]
    float64."""
    total = state.points.long().sum(-1, keepdim=True)
    has_all = (state.points == total) & (total > 0)
    own = has_all.gather(1, reading.mover[:, None])
    winners = has_all.gather(1, reading.winner[:, None]) & (reading.led >= 0)[:, None]
    shoots, threatens = own & (total >= SHOOTS), winners & ~own & (total >= THREAT)
    device = worth.device
    rank, pointed = 0.01 * ranks(device), prices(device) > 0
    all_of_them = torch.where(reading.takes, wins + rank, -rank - pointed.double())
    thrown = torch.where(threatens & pointed, SPARED * (1 - wins), 0.0)
    return torch.where(shoots, all_of_them, worth - thrown)


def cost(state: HeartsState, reading: Reading, lacking: Without, wins: Tensor) -> Tensor:
    """Points against the mover that each card is expected to bring in the trick that is on: [B, 52] float64.

    Args:
        wins: [B, 52] float64, see `winning`.
    """
    device = reading.hand.device
    price, suit = prices(device), suits(device)
    table = torch.where(state.trick >= 0, price[state.trick.long().clamp(min=0)], 0.0).sum(-1, keepdim=True)
    # What those still to play may add: a heart where hearts are led or they cannot follow, and the queen.
    led = torch.where(reading.led[:, None] < 0, suit, reading.led[:, None])
    void = lacking.suit.gather(-1, led[:, None].expand(-1, lacking.suit.shape[1], -1))  # [B, J, 52]
    heart = torch.where((led == HEARTS)[:, None], 1 - void, 0.8 * void * (1 - lacking.suit[:, :, HEARTS, None]))
    over_queen = (suit == SPADES) & (ranks(device) > 10)
    falls = torch.where(led == SPADES, torch.where(over_queen, 0.65, 0.15), 0.0)[:, None] + 0.8 * void
    added = heart + QUEEN_POINTS * reading.chance[:, :, QUEEN, None] * falls
    return wins * (table + price + torch.where(reading.later[:, :, None], added, 0.0).sum(1) + TRICK)

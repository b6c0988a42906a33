"""The rule-based player of Euchre.

A suit is named, taken from the card turned up or played alone by how many tricks the hand promises with it as trump.
The dealer puts away the card that promises least; in play every trick counts the same.
"""

import torch
from torch import Tensor

from vecgame import Euchre
from vecgame.cards import NO_TRUMP, SUITS
from vecgame.games.euchre import ALONE, PASS, SECOND_ROUND, TOGETHER, EuchreState
from vecgame.lanes import none
from veclab.arena.rules.reading import read, without
from veclab.arena.rules.sides import choose, promise, trick_worths

# Tricks that the hand has to promise to take the suit of the card turned up, to name another one, and to play alone.
ORDER, NAME, LONE = 1.6, 1.4, 3.3
UPCARD = 0.8  # what the card turned up adds if the dealer is on the mover's side, and takes away if it is not


def act(game: Euchre, state: EuchreState) -> Tensor:
    """A legal action for the mover of every lane: [B] int64."""
    mask, reading = game.legal_mask(state), read(game, state)
    lacking = without(reading)
    one = torch.ones(len(reading.mover), dtype=torch.float64, device=state.device)
    worth = trick_worths(reading, lacking, one)
    giving, bidding = game.giving(state), game.bidding(state)
    if not none(giving):
        worth = torch.where(giving[:, None], -promise(reading, lacking), worth)
    card = choose(game, reading, worth, mask)
    return card if none(bidding) else torch.where(bidding, game.first_bid + bid(game, state, mask), card)


def bid(game: Euchre, state: EuchreState, mask: Tensor) -> Tensor:
    """[B] int64, 0 .. 6.

    Args:
        mask: [B, A] bool, the legal actions.
    """
    first = game.first_suit(state).long()  # trump, or the suit turned up before there is one
    tricks = torch.stack([promised(game, state, (first + turn) % SUITS) for turn in range(SUITS)], -1)  # [B, 4]
    ours = (game.mover(state) - state.dealer) % 2 == 0
    ordered = tricks[:, 0] + torch.where(ours, UPCARD, -UPCARD) >= ORDER
    most, suit = tricks[:, 1:].max(-1)
    named = torch.where((most >= NAME) | ~mask[:, game.first_bid + PASS], suit + 2, PASS)
    alone = torch.where(tricks[:, 0] >= LONE, ALONE, TOGETHER)
    calls = torch.where(state.made < SECOND_ROUND, ordered.long(), named)
    return torch.where(state.trump == NO_TRUMP, calls, alone)


def promised(game: Euchre, state: EuchreState, trump: Tensor) -> Tensor:
    """Tricks that the mover's hand promises if ``trump`` [B] int64 is trump: [B] float64."""
    reading = read(game, state, trump)
    return (promise(reading, without(reading)) * reading.hand).sum(-1)

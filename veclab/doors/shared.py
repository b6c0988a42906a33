"""What several doors need: the observation's bounds, actions in the observation's frame, names of cards.

An observation has its suits turned so that trump comes first (`vecgame.games.blob_observation`), and does not say which
suit of the deck that was. Actions of a door that gives such observations are therefore columns of the same frame, the
columns of a network's policy: bid b is column b, and the card that is trump's two is column 0 whatever suit is trump.
"""

import torch
from torch import Tensor

from vecgame import Blob, BlobState
from vecgame.cards import DECK, RANKS, SEATS
from vecgame.games.blob_observation import FEATURES, first_suit


def four_seats(game: Blob | None) -> Blob:
    """The game, Blob() by default. Raises ValueError on one for another number of players."""
    game = game if game is not None else Blob()
    if game.seats != SEATS:
        raise ValueError(f"this environment is for four players; the game has players={game.seats}")
    return game


def observation_bounds() -> tuple[Tensor, Tensor]:
    """The least and the greatest value of each feature in any game: two [256] float32.

    All lie in [0, 1] but the tricks that a seat still needs (at worst all have been won against a bid of none), the sum
    of four bids, and the tricks left less those that four seats need.
    """
    low, high = torch.zeros(FEATURES), torch.ones(FEATURES)
    low[225:229] = -1.0
    high[251] = SEATS
    low[255] = 1 - SEATS
    return low, high


def action_of_column(state: BlobState, column: Tensor) -> Tensor:
    """Which action a policy column stands for, the inverse of `Blob.policy_columns`: [B] int64 -> [B] int64."""
    card = torch.remainder(column + RANKS * first_suit(state).long(), DECK)
    return torch.where(state.made < SEATS, column, card)


def card_name(card: int) -> str:
    """A card as rank and suit, such as ``Ts`` for the ten of spades."""
    return "23456789TJQKA"[card % RANKS] + "shcd"[card // RANKS]

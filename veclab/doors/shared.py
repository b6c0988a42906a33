"""What several doors need: actions in the observation's frame, fresh seeds, what `render` shows.

Where a game turns the suits of its observations, so that trump comes first, an observation does not say which suit of
the deck that was. Actions of a door that gives such observations are therefore columns of the same frame, those of a
network's policy (`Game.policy_columns`): in Blob bid b is column b, and the card that is trump's two is column 0
whatever suit is trump.
"""

import secrets
from collections.abc import Mapping

import torch
from torch import Tensor

from vecgame import Blob, BlobState, Game, State, make_game
from vecgame.cards import DECK, RANKS, SEATS
from vecgame.games.blob_observation import FEATURES, first_suit
from vecgame.pictures import drawable, picture
from vecgame.text import see


def game_named(game: Game | str, rules: Mapping[str, object] | None = None) -> Game:
    """A game, or one by its name or address (FILE.py:CLASS) and what is changed of its rules.

    Raises:
        ValueError: in one line, on what is neither, rules that make no game, or rules beside a game that has its own.
    """
    if isinstance(game, str):
        return make_game(game, **(rules or {}))
    if not isinstance(game, Game):
        raise ValueError(f"game must be a game, or the name or address of one, got {game!r}")
    if rules:
        raise ValueError(f"rules belong to a game's name; {game!r} has its own")
    return game


def action_at(game: Game, state: State, column: Tensor) -> tuple[Tensor, Tensor]:
    """What policy columns stand for, the inverse of `Game.policy_columns` where something legal is asked for.

    Args:
        state: B games.
        column: [B] integers, of any value.

    Returns:
        actions [B] int64, and whether they are legal, [B] bool: no legal action has that column where they are not.
    """
    every = torch.arange(game.num_actions, device=column.device).expand(len(column), -1)
    hit = (game.policy_columns(state, every) == column[:, None]) & game.legal_mask(state)
    return hit.to(torch.int8).argmax(-1), hit.any(-1)


def fresh_seed() -> int:
    """A seed of which nobody knows the games, another in every process."""
    return secrets.randbits(63)


def render_modes(game: Game) -> list[str]:
    """Ways to show a game: printed, as text, and as a picture where there are hands to draw."""
    return ["human", "ansi", *(["svg"] if drawable(see(game, game.deal(1))) else [])]


def check_render_mode(mode: str | None, game: Game) -> None:
    """Raises ValueError unless a game can be shown in that way, or not at all (None)."""
    if mode is not None and mode not in (modes := render_modes(game)):
        known = ", ".join(repr(one) for one in modes)
        raise ValueError(f"render_mode must be None or one of {known}, got {mode!r}")


def shown(game: Game, state: State, lane: int, seat: int | None, mode: str) -> str:
    """A lane as ``seat`` sees it, or all of it for None: an SVG in the mode "svg", else text."""
    return picture(game, state, lane, seat) if mode == "svg" else game.text(state, lane, seat)


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

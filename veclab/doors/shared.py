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

from vecgame import Game, State, make_game
from vecgame.pictures import drawable, picture
from vecgame.seeing import see


def game_named(game: Game | str, rules: Mapping[str, object] | None = None) -> Game:
    """A game, or one by its name or address (FILE.py:CLASS) and what is changed of its rules.

    Raises:
        ValueError: in one line, on what is neither, rules that make no game, or rules beside a game that has its own.
    """
    if not isinstance(rules, Mapping | None):
        raise ValueError(f"rules must be a mapping such as {{'players': 3}}, got {rules!r}")
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

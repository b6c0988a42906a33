"""Whether work fits into memory, asked before it begins: where none is left, the system ends a process without a word.

Needs are estimates of what the work takes at least, so that nothing is refused that would have fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vecgame import Game
from vecgame.memory import free_memory
from vecmcts import SearchConfig
from vecmcts.tree import Tree

FLOAT = 4  # bytes


class NoRoomError(ValueError, MemoryError):
    """Work that would not fit into memory; as a ValueError, for something was asked for that cannot be."""


@dataclass(frozen=True)
class Need:
    """Memory that a piece of work takes, at least."""

    what: str  # takes it, in words
    bytes: int
    less: str  # what needs less, such as "a smaller --batch-size"


def check_room(device: torch.device, *needs: Need) -> None:
    """Raises NoRoomError, in one line that names the largest, where needs of one time do not fit in the free memory."""
    free, needed = free_memory(device), sum(need.bytes for need in needs)
    if free is None or needed <= free:
        return
    largest = max(needs, key=lambda need: need.bytes)
    others = f" of {_gibibytes(needed)} in all" if len(needs) > 1 and needed > 1.1 * largest.bytes else ""
    raise NoRoomError(
        f"{largest.what} would take {_gibibytes(largest.bytes)} of memory{others}, and {_gibibytes(free)} are free; "
        f"{largest.less} needs less"
    )


def of_search(games: int, game: Game, config: SearchConfig, flag: str = "") -> Need:
    """Trees of so many games that are searched at once; ``flag`` sets how many, if one does."""
    what = f"a search of {games:,} game{'s' * (games != 1)} at once in {config.worlds:,} worlds x "
    what += f"{config.simulations:,} simulations"
    less = f"a smaller {flag}{', ' * bool(flag)}--worlds or --simulations"
    needed = games * config.worlds * Tree.bytes_per_tree(game, config.simulations)
    drawn = games * config.candidates * game.features * FLOAT  # what the network sees of them
    if drawn > needed:
        return Need(f"{what}, drawn from {config.candidates:,} candidates,", drawn, "a smaller --candidates")
    return Need(what, needed, less)


def of_games(games: int, game: Game, flag: str) -> Need:
    """So many games that are played side by side: their states before and after a decision, and of a few of them what
    the mover sees."""
    needed = games * (2 * state_bytes(game) + game.features)
    return Need(f"{games:,} games of {game.name} at once", needed, f"a smaller {flag}")


def of_pasts(games: int, game: Game, flag: str) -> Need:
    """What so many games have been through by their end."""
    needed = games * game.decisions * state_bytes(game)
    return Need(f"what {games:,} games of {game.name} have been through", needed, f"a smaller {flag}")


def state_bytes(game: Game) -> int:
    """Of one game."""
    return sum(tensor.nbytes for tensor in game.deal(1).tensors().values())


def check_match(
    device: torch.device,
    games: Sequence[Game],
    deals: int,
    seatings: int,
    config: SearchConfig | None,
    flag: str,
    remembered: bool = False,
) -> None:
    """Raises NoRoomError where a match of deals, which ``flag`` counts, cannot be played, and ValueError where they are
    fewer than the rules that are mixed.

    Args:
        games: these rules, one after the other.
        seatings: times that each deal is played.
        config: of a player that searches, at one seat at least of each game; None where nobody does.
        remembered: whether a player is told what the games have been through, which is kept till their end.
    """
    check_deals(games, deals, flag)
    for game in games:
        count = -(-deals // len(games)) * seatings
        searched = [] if config is None else [of_search(-(-count // game.seats), game, config, flag)]
        kept = [of_pasts(count, game, flag)] if remembered else []
        check_room(device, of_games(count, game, flag), *searched, *kept)


def check_deals(games: Sequence[Game], deals: int, flag: str) -> None:
    """Raises ValueError, in one line, where there are not deals enough for each of the rules that a match mixes."""
    if deals < len(games):
        raise ValueError(
            f"{flag} must be at least {len(games)}, a deal by each of the rules that are mixed, got {deals}"
        )


def _gibibytes(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"

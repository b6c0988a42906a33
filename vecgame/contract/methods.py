"""What the methods of a game of hands give, each by its name, before any other method makes an error of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor

from vecgame.contract.played import GAMES, positions
from vecgame.contract.rules import changed, check_tensor, something_is_legal
from vecgame.game import Game
from vecgame.hands import HandGame, HandState
from vecgame.state import State


def methods_give_what_is_asked(game: Game) -> None:
    """The methods that a `HandGame` overrides give tensors of the shape and dtype that its own go on with."""
    if not isinstance(game, HandGame):
        return
    watched = copy(game)  # whose methods call each other as ever
    for name, check in (("over", _over), ("legal_cards", _cards), ("legal_others", _others), ("points", _points)):
        vars(watched)[name] = _checked(game, name, check)
    vars(watched)["act"] = _checked_act(game)
    for number, state in enumerate(positions(watched, GAMES)):
        something_is_legal(watched, state, watched.legal_mask(state), number)
        watched.scores(state)


def _checked(game: HandGame, name: str, check: Callable) -> Callable:
    method = getattr(game, name)

    def checked(state: HandState) -> object:
        given = method(state)
        check(game, state, given)
        return given

    return checked


def _is_tensor(what: str, given: object) -> None:
    assert isinstance(given, Tensor), f"{what} must give a tensor, not {_a(given)}"


def _over(game: HandGame, state: HandState, given: object) -> None:
    _is_tensor("over", given)
    check_tensor("over", given, torch.bool, state.batch_size)


def _cards(game: HandGame, state: HandState, given: object) -> None:
    _is_tensor("legal_cards", given)
    check_tensor("legal_cards, a set of cards for each game as a bitboard,", given, torch.int64, state.batch_size)


def _others(game: HandGame, state: HandState, given: object) -> None:
    count, games = len(game.others), state.batch_size
    if isinstance(given, Tensor):
        check_tensor("legal_others, where it is one tensor,", given, torch.bool, games, count)
        return
    assert isinstance(given, Sequence), f"legal_others must give a tensor for each of the others, not {_a(given)}"
    assert len(given) == count, f"legal_others gives {len(given)} tensors for {count} others"
    for name, one in zip(game.others, given, strict=True):
        _is_tensor(f"legal_others of {name!r}", one)
        check_tensor(f"legal_others of {name!r}", one, torch.bool, games)


def _points(game: HandGame, state: HandState, given: object) -> None:
    _is_tensor("points", given)
    wanted = state.batch_size, game.seats
    shown = f"points must be torch.float32 of shape {list(wanted)}, not {given.dtype} of {list(given.shape)}"
    assert _fits(given.shape, wanted) and torch.promote_types(given.dtype, torch.float32) == torch.float32, shown


def _checked_act(game: HandGame) -> Callable:
    """`act` as the game has it, of which each field has to fit into the state before it."""

    def act(state: HandState, action: Tensor, card: Tensor) -> HandState:
        after = game.act(state, action, card)
        assert isinstance(after, State), f"act must give the state after the action, not {_a(after)}"
        assert type(after) is type(state), f"act gives a {type(after).__name__}, not a {type(state).__name__}"
        for name, old in state.tensors().items():
            new = getattr(after, name)
            _is_tensor(f"act, which changes {name},", new)
            fits = _fits(new.shape, old.shape) and torch.promote_types(new.dtype, old.dtype) == old.dtype
            assert fits, f"act {changed(name, old, new)}"
        moves = after.to_move[~game.is_terminal(state)]
        for seat in moves[(moves < 0) | (moves >= game.seats)][:1].tolist():
            raise AssertionError(f"act has seat {seat} to_move, which is none of the {game.seats} seats")
        return after

    return act


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a tensor of a shape can be written where one of another is."""
    return len(shape) <= len(wanted) and all(
        one in (1, there) for one, there in zip(reversed(shape), reversed(wanted), strict=False)
    )


def _a(given: object) -> str:
    return "nothing (None)" if given is None else f"a {type(given).__name__}"

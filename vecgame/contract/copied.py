"""Where the cards of a game with copies are: all of them somewhere, and in worlds wherever the mover does not look."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from math import comb, prod

import torch
from torch import Tensor

from vecgame import copies
from vecgame.game import Game
from vecgame.hidden import Hidden, places
from vecgame.naming import card_name
from vecgame.seeing import kinds
from vecgame.state import State


def lie(game: Game, state: State) -> Tensor:
    """What lies in each hidden place, as numbers: [B, E] int64 bitboards, or the counts in a game with copies."""
    fields = game.hidden(state)
    if not game.copies:
        return places(fields, state)
    return copies.places(fields, state, len(game.copies)).flatten(1).long()


def copies_lie_somewhere(game: Game, state: State, where: str = "") -> None:
    """There are as many cards of each id in all places, open ones too, as in the deck; ``where`` begins the message."""
    fields, size = game.hidden(state), len(game.copies)
    for name, kind in kinds(state, fields).items():
        least = int(getattr(state, name).min()) if kind == "counts" and state.batch_size else 0
        assert least >= 0, f"{where}{name} holds {least} cards of an id: more are taken from it than there are"
    held = copies.places(fields, state, size)
    found, there = held.sum(1, dtype=torch.int64) + game.open_cards(state), torch.tensor(game.copies)
    for lane, card in (found != there).nonzero()[:1].tolist():
        number, name = int(found[lane, card]), card_name(game.layout, card)
        hint = (
            "cards out of play lie in a field too, and holds says so"
            if number < game.copies[card]
            else "one comes from nowhere, or a field that only tells of cards elsewhere lacks place=False in hidden"
        )
        raise AssertionError(f"{where}{name} is there {number} times, but has {game.copies[card]} copies: {hint}")


def varies(told: Hidden, field: Tensor) -> Tensor:
    """Which entries of a hidden field, as rows [B, E], hold a number that may be another: [B, E] bool."""
    if told.holds != "number" or told.weights is None:
        return torch.full_like(field, told.holds == "number", dtype=torch.bool)
    return ((told.weights > 0).sum(-1) > 1).reshape(field.shape)


def copies_moved(game: Game, before: State, drawn: State, again: State, count: int) -> dict[str, Tensor]:
    """As `_moved` of `vecgame.contract.worlds`, field by field: [4, E] int64."""
    fields, mover, size = game.hidden(before), game.mover(before), len(game.copies)
    rest, found = copies.unseen(game, before, fields, mover)[:, None], {}
    others = len(again.index) // (len(before.index) // count)
    for name, told in fields.items():
        old, new, anew = (getattr(state, name) for state in (before, drawn, again))
        if told.is_place:
            old, new, anew = (copies.held(field, told.holds, size).long() for field in (old, new, anew))
            unseen = ~copies.seen_places({name: told}, mover, size)
            could = unseen & (old.sum(-1) > 0) & (rest - old > 0).logical_and(old == 0).any(-1)
        else:
            old, new, anew = (field.reshape(len(field), -1, 1).long() for field in (old, new, anew))
            could = ~told.seen_by(mover).reshape(old.shape[:2]) & varies(told, old[..., 0])
        old, new, could = (field.unflatten(0, (-1, count)) for field in (old, new, could))
        anew = anew.unflatten(0, (-1, others))
        differs = (new != old).any(-1), (new != new[:, :1]).any(-1), (anew != new[:, :others]).any(-1)
        found[name] = torch.stack([part.any(1).sum(0) for part in (could, *differs)])
    return found


def copies_dealt(game: Game, first: State, viewer: Tensor, most: int) -> tuple[State, Tensor] | None:
    """A state [1] with every other deal of what the viewer [1] does not see: [N]; and in how many ways each comes
    about, each card by itself: [N] float64. None where there are more than ``most``."""
    fields, size = game.hidden(first), len(game.copies)
    held, seen = copies.places(fields, first, size)[0], copies.seen_places(fields, viewer, size)[0]
    left = tuple(copies.unseen(game, first, fields, viewer)[0].tolist())
    found = _fillings(left, tuple(torch.where(seen, 0, held.sum(-1)).tolist()), most)
    if found is None:
        return None
    dealt, ways = found
    return copies.with_places(fields, first.repeat(len(dealt)), torch.where(seen[:, None], held, dealt)), ways


def several_alike(game: Game, before: State, after: State, viewer: Tensor) -> bool:
    """Whether in some lane one of several cards that look alike leaves the places that who moves sees and the viewer
    [1] does not: its hand, and what it has drawn beside it."""
    if not game.copies:
        return False
    fields, size = game.hidden(before), len(game.copies)
    seat, mover = viewer.expand(before.batch_size), game.mover(before)
    own = copies.seen_places(fields, mover, size) & ~copies.seen_places(fields, seat, size)
    old, new = (torch.where(own[..., None], copies.places(fields, state, size), 0).sum(1) for state in (before, after))
    return bool(((new < old) & (new > 0)).any())


@lru_cache(maxsize=64)
def _fillings(left: tuple[int, ...], needs: tuple[int, ...], most: int) -> tuple[Tensor, Tensor] | None:
    """All ways to give places so many cards each of those that are ``left`` of each id: [N, E, size] int64, and how
    many each stands for, if all cards are different ones: [N] float64. None where there are more than ``most``."""
    found = [((), left, 1)]
    for need in needs:
        longer = (
            ((*given, some), tuple(map(operator.sub, rest, some)), ways * prod(map(comb, rest, some)))
            for given, rest, ways in found
            for some in _choices(rest, need)
        )
        found = list(islice(longer, most + 1))
        if len(found) > most:
            return None
    rows = torch.tensor([given for given, _, _ in found], dtype=torch.int64)
    return rows.view(len(found), len(needs), len(left)), torch.tensor([float(ways) for _, _, ways in found]).double()


def _choices(left: tuple[int, ...], need: int) -> Iterator[tuple[int, ...]]:
    """All ways to choose so many of the cards that are left of each id, as counts."""
    if not left:
        if need == 0:
            yield ()
        return
    for number in range(max(0, need - sum(left[1:])), min(left[0], need) + 1):
        for rest in _choices(left[1:], need - number):
            yield (number, *rest)

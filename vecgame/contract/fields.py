"""The fields that lie open: whether a card that comes into one of them has left another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise

import torch
from torch import Tensor

from vecgame import naming, seeing
from vecgame.cards import lowest_card, popcount, union
from vecgame.contract.played import GAMES, positions
from vecgame.game import Game
from vecgame.hands import HandGame
from vecgame.hidden import bits_of, places
from vecgame.state import State

NONE_IS_BELOW = ("cards", "seats", "suits", "ranks")  # what fields hold of which -1 is none


def open_cards_lie_once(game: Game) -> str | None:
    """Cards that come into an open field have left another or a hidden place; a note where they have not.

    A field may repeat what others hold, as the last cards played do, or mark cards: fields all of whose cards are
    always in others too are no places, nor are those with cards that lie hidden. Of the rest only the author knows
    whether one is a history.
    """
    if game.copies:  # of which each is in as many places as there are, or every decision has said so
        return None
    states = list(positions(game, GAMES))
    boards = [_boards(game, state) for state in states]
    held = [union(places(game.hidden(state), state)) for state in states]
    pairs = list(zip(boards, held, strict=True))
    names = [n for n in boards[0] if not any((board[n] & lies[:, None] != 0).any() for board, lies in pairs)]
    size = {name: sum(int(popcount(union(board[name])).sum()) for board in boards) for name in names}
    kinds = seeing.kinds(states[0], game.hidden(states[0]))
    names.sort(key=lambda name: (kinds[name] == "sets", -size[name]))
    for name in list(names):  # histories before the places whose cards they repeat
        rest = [[board[other] for other in names if other != name] for board in boards]
        covered = [union(torch.cat([lies[:, None], *others], -1)) for lies, others in zip(held, rest, strict=True)]
        if all((union(board[name]) & ~more == 0).all() for board, more in zip(boards, covered, strict=True)):
            names.remove(name)
    for (old, before), (new, after) in pairwise(pairs):
        gone = before & ~after
        for name in names:
            gone = gone | union(old[name]) & ~union(new[name])
        for (name, seat), (other, another) in combinations(_entries(new, names), 2):
            both, been = (side[name][:, seat] & side[other][:, another] for side in (new, old))
            twice = both & ~been
            if name != other:
                twice = twice & ~gone & (old[name][:, seat] | old[other][:, another])
            for card in lowest_card(twice)[twice != 0][:1].tolist():
                told = [
                    f"{field} of seat {of}" * (name == other) or field for field, of in ((name, seat), (other, another))
                ]
                shown = naming.card_name(game.layout, int(card))
                return f"cards: {shown} comes to lie in {told[0]} and in {told[1]} at once; of places it must leave one"
    return None


def fields_hold_something(game: Game) -> str | None:
    """Fields of a `HandGame` that hold cards, seats, suits or ranks do so at some decision; a note where one never
    does, as the last of a stock's places, which are as many as the deck has cards."""
    if not isinstance(game, HandGame):
        return None
    empty: set[str] | None = None
    for state in positions(game, GAMES):
        kinds = seeing.kinds(state, game.hidden(state))
        named = [name for name, kind in kinds.items() if kind in NONE_IS_BELOW]
        below = {name for name in named if bool((getattr(state, name) < 0).all())}
        empty = below if empty is None else empty & below
        if not empty:
            return None
    return f"fields: {sorted(empty)[0]} is -1, which is none, at every decision of {GAMES} games: is it ever set?"


def _boards(game: Game, state: State) -> Mapping[str, Tensor]:
    """The cards in each field of `State.holds` that all see: [B, E] int64, one entry of those that hold ids."""
    hidden, boards = game.hidden(state), {}
    said = {name for cls in type(state).__mro__ for name in vars(cls).get("holds", {})}
    for name, kind in seeing.kinds(state, hidden).items():
        if name in said and kind in ("sets", "cards") and name not in hidden and name not in seeing.MARKS:
            bits = bits_of(getattr(state, name).long(), kind)
            boards[name] = bits if kind == "sets" else union(bits)[:, None]
    return boards


def _entries(boards: Mapping[str, Tensor], names: list[str]) -> list[tuple[str, int]]:
    return [(name, entry) for name in names for entry in range(boards[name].shape[1])]

"""What a seat knows of a game, as JSON values: what players in other programs are told (docs/protocol.md).

All of it is made by way of `Game.hidden`, so that nothing that a seat does not see gets into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from vecgame import Game, State, concatenate, naming, seeing
from vecgame.cards import Layout
from veclab.arena.shown import shown_to
from veclab.game_flags import identities
from vecmcts import Past

Json = object
"""What `json.dumps` takes."""


def game_told(game: Game) -> dict[str, Json]:
    """What a player is told of a game before its first decision: names, numbers, and what its card ids stand for."""
    rules = {item.name: getattr(game.rules, item.name) for item in fields(game.rules_type)}
    return {
        "game": identities([game])[0],
        "rules": {name: getattr(value, "__name__", value) for name, value in rules.items()},
        "seats": game.seats,
        "partners": game.partners,
        "cooperative": game.cooperative,
        "suits": list(game.layout.suit_names[: game.layout.suits]) if game.deck else [],
        "cards": cards_told(game.layout) if game.deck else [],
        "deck": [naming.card_name(game.layout, card) for card in _deck(game)],
        "actions": [_stateless_name(game, action) for action in range(game.num_actions)],
    }


def _deck(game: Game) -> list[int]:
    """The ids of all cards in play, those of which there are several as often."""
    return seeing.ids_counted(game.copies) if game.copies else _cards(game.deck)


def cards_told(layout: Layout) -> list[dict[str, Json]]:
    """The cards by id: name, suit and rank as numbers from 0, the lowest rank first; null for a card of no suit."""
    suited = layout.suits * layout.ranks
    places = [divmod(card, layout.ranks) if card < suited else (None, None) for card in range(layout.size)]
    names = (naming.card_name(layout, card) for card in range(layout.size))
    return [{"name": name, "suit": suit, "rank": rank} for name, (suit, rank) in zip(names, places, strict=True)]


def _stateless_name(game: Game, action: int) -> str | None:
    """What people call an action, None where that depends on the state."""
    try:
        return game.action_name(action)
    except ValueError:
        return None


def states_told(game: Game, state: State, seat: Tensor) -> list[dict[str, Json]]:
    """What ``seat`` [B] int64 sees of each game, field by field: B values.

    A set of cards, or counts of them, is a list of names, a card is its name, null for none; a seat is its number, a
    suit and a rank its name, null for none and for a trump that is not named yet; what the seat does not see is
    ``{"hidden": N}`` of N cards, ``{"hidden": true}`` of anything else.
    """
    hidden, named, columns = game.hidden(state), game.trump_named(state), {}
    kinds = seeing.kinds(state, hidden)
    for name, tensor in state.tensors().items():
        if name == "index":
            continue
        if name == "trump" and named is not None:
            tensor = torch.where(named, tensor, -1)
        declared, field = hidden.get(name), tensor & game.layout.bits if kinds[name] == "sets" else tensor
        values, sees = seeing.listed(kinds[name], field, None if declared is None else declared.seen_by(seat))
        worded = _Worded(game.layout, kinds[name], declared is None or declared.is_place)
        columns[name] = [worded(value, sees is True or sees[lane]) for lane, value in enumerate(values)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


class _Worded:
    """The entries of a field as JSON values."""

    def __init__(self, layout: Layout, kind: str | tuple[str, ...], counted: bool) -> None:
        self.layout, self.kind = layout, kind
        self.counted = counted  # how many cards an entry holds is known also where they are not
        self.names = [naming.card_name(layout, card) for card in range(layout.size)] if kind in seeing.CARDS else []

    def __call__(self, value: Json, sees: Json) -> Json:
        if isinstance(value, list):
            every = sees if isinstance(sees, list) else [sees] * len(value)
            return [self(*pair) for pair in zip(value, every, strict=True)]
        return self.seen(value) if sees else {"hidden": self.count(value) if self.names and self.counted else True}

    def seen(self, value: int | float | bool) -> Json:
        if self.kind == "sets":
            return [self.names[card] for card in _cards(value)]
        if self.kind == "counts":
            return [self.names[card] for card in seeing.ids_counted(value)]
        if self.kind == "cards":
            return self.names[value] if value >= 0 else None
        if self.kind == "seats":
            return value if value >= 0 else None
        if self.kind == "suits":
            return self.layout.suit_names[value] if 0 <= value < self.layout.suits else None
        if self.kind == "ranks":
            return self.layout.rank_names[value] if 0 <= value < self.layout.ranks else None
        if isinstance(self.kind, tuple):
            return self.kind[value] if 0 <= value < len(self.kind) else None
        return value

    def count(self, value: int) -> int:
        """How many cards an entry holds."""
        if self.kind == "counts":
            return sum(value)
        return value.bit_count() if self.kind == "sets" else int(value >= 0)


def _cards(bits: int) -> list[int]:
    """The ids in a bitboard, ascending."""
    cards = []
    while bits:
        cards.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return cards


def history_told(
    game: Game, past: Past, seat: Tensor, shown: Callable[[Game, State, Tensor], Tensor] = shown_to
) -> list[list[tuple[int, int | None]]]:
    """The decisions of each game so far as they are told to ``seat`` [B] int64: (mover, action), with None for another
    seat's action that not all have seen, such as a card passed on. B lists; ``shown`` is `shown_to` or `Remembered`."""
    histories = [[] for _ in range(len(seat))]
    actions = past.actions[:, : len(past.states)].t().flatten().long()
    made = (actions >= 0).nonzero()[:, 0]  # games may be at different decisions, and beyond a game's own is anything
    if len(made) == 0:
        return histories
    states, actions, lanes = concatenate(past.states).take(made), actions[made], made % len(seat)
    movers = game.mover(states)
    told = shown(game, states, actions).all(-1) | (movers == seat[lanes])
    for lane, mover, action, known in zip(*(one.tolist() for one in (lanes, movers, actions, told)), strict=True):
        histories[lane].append((mover, action if known else None))
    return histories

"""What not everybody sees of a state, as its game declares it, and how hidden cards are dealt anew.

`Game.hidden` names every field that is not public and says which seat sees which entry of it. From that follow what a
seat knows, what the checks of `vecgame.contract` shuffle, and worlds in which any card may lie wherever a seat does not
look. Where more is known, as of a seat that did not follow suit, `vecgame.worlds` draws the hands.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from vecgame.cards import bit, lowest_card, popcount, unpack
from vecgame.philox import Purpose, Stream
from vecgame.state import StateT

NUMBERS_FROM = 64  # blocks of a stream for each hidden number, the first of which are for the cards


@dataclass(frozen=True)
class Hidden:
    """A field of a state that not everybody sees."""

    sees: Tensor  # [B, P, ...] bool: seat p sees the entry; the axes after the second are the field's after its first
    holds: Literal["sets", "cards", "number"] = "sets"  # bitboards, card ids (-1: none), or what later cards come from
    place: bool = True  # a card in it lies nowhere else; False for marks on cards that have their place elsewhere

    def seen_by(self, seat: Tensor) -> Tensor:
        """The entries that ``seat`` [B] int64 sees: [B, ...] bool."""
        return self.sees[torch.arange(len(seat), device=seat.device), seat]

    def bits(self, field: Tensor) -> Tensor:
        """The cards in each entry of the field, as bitboards: [B, E] int64, E = 1 for a field without further axes."""
        entries = field.reshape(len(field), -1)
        return entries if self.holds == "sets" else torch.where(entries >= 0, bit(entries.clamp(min=0)), 0)


def own(seats: int, batch_size: int, device: torch.device) -> Tensor:
    """Each seat sees its own entry of a field [B, P]: [B, P, P] bool, for `Hidden.sees`."""
    return torch.eye(seats, dtype=torch.bool, device=device).expand(batch_size, -1, -1)


def nobody(field: Tensor, seats: int) -> Tensor:
    """No seat sees any entry of a field [B, ...]: [B, P, ...] bool, for `Hidden.sees`."""
    return torch.zeros((), dtype=torch.bool, device=field.device).expand(len(field), seats, *field.shape[1:])


def dealt_anew(game, state: StateT, count: int, seed: int, given: Collection[str] = ()) -> StateT:
    """``count`` worlds of every game, each hidden card in any hidden place with the same probability.

    Entries that the mover sees stay; the others get as many cards as they had of those that the mover does not see, and
    hidden numbers are drawn. Draws depend on the seed, the game's number, the decision and the world's number only.

    Args:
        game: a `vecgame.Game`.
        state: B games.
        count: worlds a game, at least 1.
        given: hidden fields that are right as they are in ``state``; with these, ``state`` is B * count lanes already,
            the worlds of a game adjacent.

    Returns:
        B * count lanes, the worlds of a game adjacent.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    lanes = state if given else state.repeat(count)
    games = state.batch_size // count if given else state.batch_size
    if games == 0:
        return lanes
    first = lanes[::count]
    stream = Stream.of_worlds(seed, first.index, game.turn(first), count)
    hidden, mover = game.hidden(lanes), game.mover(lanes)
    kept = {  # [B, E] bool by field, entries that stay
        name: (field.seen_by(mover) if name not in given else torch.ones_like(getattr(lanes, name), dtype=torch.bool))
        for name, field in hidden.items()
    }
    drawn = {}
    places = [name for name, field in hidden.items() if field.place and field.holds != "number"]
    if not set(places) <= set(given):
        bits = [hidden[name].bits(getattr(lanes, name)) for name in places]
        stays = torch.cat([kept[name].reshape(b.shape) for name, b in zip(places, bits, strict=True)], -1)
        pool = game.deck & ~(torch.where(stays, torch.cat(bits, -1), 0).sum(-1) | game.open_cards(lanes))
        filled = _filled(stream, pool, torch.where(stays, 0, popcount(torch.cat(bits, -1))), game.layout.size)
        for name, part in zip(places, filled.split([b.shape[-1] for b in bits], -1), strict=True):
            field = getattr(lanes, name)
            values = part if hidden[name].holds == "sets" else lowest_card(part).clamp(min=-1).to(field.dtype)
            drawn[name] = torch.where(kept[name], field, values.view(field.shape))
    numbers = [name for name in hidden if hidden[name].holds == "number" and name not in given]
    for place, name in enumerate(numbers, start=1):
        field = getattr(lanes, name)
        words = stream.at(NUMBERS_FROM * place).words(Purpose.HIDDEN, 2 * field[0].numel()).view(*field.shape, 2)
        drawn[name] = torch.where(kept[name], field, (words[..., 0] << 24) | (words[..., 1] >> 8))
    return replace(lanes, **drawn)


def _filled(stream: Stream, pool: Tensor, needs: Tensor, size: int) -> Tensor:
    """Cards of a pool [B] int64 in random order, so many to each entry as it needs [B, E] int64: [B, E] int64."""
    keys = torch.where(unpack(pool, size=size), stream.uniform(Purpose.HIDDEN, size), 2.0)
    order = keys.argsort(-1)
    ends = needs.cumsum(-1)
    owner = (torch.arange(size, device=pool.device)[:, None] >= ends[:, None]).sum(-1)
    sets = torch.zeros(len(pool), needs.shape[1] + 1, dtype=torch.int64, device=pool.device)
    return sets.scatter_add(1, owner, bit(order))[:, :-1]

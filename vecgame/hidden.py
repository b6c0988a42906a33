"""What not everybody sees of a state, as its game declares it, and how hidden cards are dealt anew.

`Game.hidden` names every field that is not public and says which seat sees which entry of it. From that follow what a
seat knows, what the checks of `vecgame.contract` shuffle, and worlds in which any card may lie wherever a seat does not
look. Where more is known, as of a seat that did not follow suit, `vecgame.worlds` draws the hands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, Protocol

import torch
from torch import Tensor

from vecgame import copies
from vecgame.cards import Layout, bit, lowest_card, nth_card, pack, popcount, unpack
from vecgame.philox import Purpose, Stream, check_count
from vecgame.state import State, StateT

Who = Literal["own", "others", "all", "nobody"]
NUMBERS_FROM = 64  # blocks of a stream for each hidden number, the first of which are for the cards


@dataclass(frozen=True)
class Hidden:
    """A field of a state that not everybody sees.

    What it ``holds`` says how `dealt_anew` draws it for worlds: cards, which go into any hidden place, or a "number".
    That is one from which later chance comes: int64, from 0 to 2**56 - 1, each as likely as the other; or, with
    ``weights``, one of a few, such as a die's. What is drawn otherwise is so in a `determinize` of the game's own.

    In what `Game.hidden` returns ``sees`` may be a word: "own", each seat its own entry of a field [B, P, ...],
    "others", all but that, "all" or "nobody"; or lack axes at its end, [B] or [B, P], and then it is for all entries.
    Who is given it finds the whole tensor there, by `in_full`.

    "counts", [B, ..., size], are sets in a game with `copies`: their last axis is no entry, and all of it is seen or
    none of it.
    """

    sees: Tensor | Who  # [B, P, ...] bool: seat p sees the entry; further axes are the field's after its first
    # Bitboards, card ids (-1: none), how many there are of each id, or what later cards come from.
    holds: Literal["sets", "cards", "counts", "number"] = "sets"
    place: bool = True  # a card in it lies nowhere else; False for marks on cards that have their place elsewhere
    of: str = ""  # of marks: the field, of the same shape, in whose entry the marked cards lie; worlds mark any of them
    # Of a number: [B, ..., K], or what broadcasting makes that, how likely it is to be 0 .. K - 1, by what all know.
    weights: Tensor | None = None

    @property
    def is_place(self) -> bool:
        """Whether the field is a place of cards."""
        return self.place and self.holds != "number"

    def seen_by(self, seat: Tensor) -> Tensor:
        """The entries that ``seat`` [B] int64 sees: [B, ...] bool."""
        return self.sees[torch.arange(len(seat), device=seat.device), seat]

    def bits(self, field: Tensor) -> Tensor:
        """The cards in each entry of the field, as bitboards: [B, E] int64, E = 1 for a field without further axes."""
        return bits_of(field, self.holds)

    def count(self, field: Tensor) -> Tensor:
        """How many cards there are in the entry that each number of the field is of: [B, N] int64, 0 for numbers."""
        if self.holds == "counts":
            return field.sum(-1, keepdim=True, dtype=torch.int64).expand(field.shape).flatten(1)
        return popcount(self.bits(field)) * (self.holds != "number")


def bits_of(field: Tensor, holds: Literal["sets", "cards"]) -> Tensor:
    """The cards in each entry of a field [B, ...] that holds bitboards or card ids: [B, E] int64 bitboards."""
    entries = field.unsqueeze(-1).flatten(1)  # of no games too, of which a reshape could not tell how many there are
    return entries if holds == "sets" else torch.where(entries >= 0, bit(entries.clamp(min=0)), 0)


def own(seats: int, batch_size: int, device: torch.device) -> Tensor:
    """Each seat sees its own entry of a field [B, P]: [B, P, P] bool, for `Hidden.sees`."""
    return torch.eye(seats, dtype=torch.bool, device=device).expand(batch_size, -1, -1)


def nobody(field: Tensor, seats: int) -> Tensor:
    """No seat sees any entry of a field [B, ...]: [B, P, ...] bool, for `Hidden.sees`."""
    return torch.zeros((), dtype=torch.bool, device=field.device).expand(len(field), seats, *field.shape[1:])


def in_full(fields: Mapping[str, Hidden], state: State, seats: int) -> dict[str, Hidden]:
    """The fields with ``sees`` as tensors [B, P, ...], where words or fewer axes stood for these, and ``weights`` as
    tensors [B, ..., K]. Raises ValueError on another word, on "own" for a field that has no entry for each seat, and on
    weights that are no such tensor."""
    full = {}
    for name, told in fields.items():
        sees, weights = _seen(told.sees, name, state, seats), _weighed(told.weights, name, state)
        same = sees is told.sees and weights is told.weights
        full[name] = told if same else replace(told, sees=sees, weights=weights)
    return full


def _weighed(weights: Tensor | None, name: str, state: State) -> Tensor | None:
    field = getattr(state, name, None)
    if weights is None or field is None or weights.shape[:-1] == field.shape:
        return weights
    shape = (*field.shape, weights.shape[-1] if weights.ndim else 0)
    try:
        return weights.expand(shape)
    except RuntimeError:
        raise ValueError(f"weights of {name} are {list(weights.shape)}, where they are {list(shape)}") from None


def _seen(sees: Tensor | Who, name: str, state: State, seats: int) -> Tensor:
    field = getattr(state, name, None)
    if field is None:
        return sees  # for `vecgame.contract` to say so
    shape = (len(field), seats, *field.shape[1:])
    if isinstance(sees, str):
        if sees not in ("own", "others", "all", "nobody"):
            raise ValueError(f"{name} is seen by own, others, all, nobody or a tensor of bools, got {sees!r}")
        if sees in ("own", "others"):
            if field.ndim < 2 or field.shape[1] != seats:
                raise ValueError(f"{name} has no entry for each seat, so there is none that is its own: {sees!r}")
            mine = own(seats, len(field), field.device)
            sees = mine if sees == "own" else ~mine
        else:
            sees = torch.full((1,), sees == "all", device=field.device)
    if sees.ndim == len(shape) or any(a not in (1, b) for a, b in zip(sees.shape, shape, strict=False)):
        return sees  # whole, or wrong, which is the contract's to say
    return sees.view(*sees.shape, *[1] * (len(shape) - sees.ndim)).expand(shape)


def places(fields: Mapping[str, Hidden], state: State) -> Tensor:
    """The cards in every place that the fields are, one field's entries after the other's: [B, E] int64."""
    bits = [field.bits(getattr(state, name)) for name, field in fields.items() if field.is_place]
    return torch.cat(bits, -1) if bits else state.index.new_zeros(state.batch_size, 0)


def seen_places(fields: Mapping[str, Hidden], state: State, seat: Tensor, given: Collection[str] = ()) -> Tensor:
    """Which of these ``seat`` [B] int64 sees, those of the fields ``given`` among them: [B, E] bool."""
    seen = [
        field.seen_by(seat).unsqueeze(-1).flatten(1) | (name in given)
        for name, field in fields.items()
        if field.is_place
    ]
    return torch.cat(seen, -1) if seen else state.index.new_zeros(state.batch_size, 0).bool()


def with_places(fields: Mapping[str, Hidden], state: StateT, bits: Tensor) -> StateT:
    """The state with other cards [B, E] int64 in these places."""
    changed, start = {}, 0
    for name, field in fields.items():
        if field.is_place:
            old = getattr(state, name)
            part = bits[:, start : start + old[0].numel()].reshape(old.shape)
            changed[name] = part if field.holds == "sets" else lowest_card(part).clamp(min=-1).to(old.dtype)
            start += old[0].numel()
    return replace(state, **changed)


class Declares(Protocol):
    """A game that says what is hidden, as every `vecgame.Game` does; see there."""

    deck: int  # bitboard
    copies: Sequence[int]  # of each card, where there are several
    layout: Layout

    def turn(self, state: State) -> Tensor: ...

    def mover(self, state: State) -> Tensor: ...

    def hidden(self, state: State) -> Mapping[str, Hidden]: ...

    def open_cards(self, state: State) -> Tensor: ...

    def lot(self, state: State) -> Tensor | None: ...


def dealt_anew(game: Declares, state: StateT, count: int, seed: int, given: Collection[str] = ()) -> StateT:
    """``count`` worlds of every game, each hidden card in any hidden place with the same probability.

    Entries that the mover sees stay; the others get as many cards as they had of those that the mover does not see, and
    hidden numbers are drawn. Where the game knows of a `lot`, as many cards of it lie in each entry as did, and as many
    others. Draws depend on the seed, the game's number, the decision and the world's number only.

    Args:
        game: it declares what is hidden.
        state: B games.
        count: worlds a game, at least 1.
        given: hidden fields that are right as they are in ``state``; with these, ``state`` is B * count lanes already,
            the worlds of a game adjacent.

    Returns:
        B * count lanes, the worlds of a game adjacent.
    """
    count = check_count(count)
    lanes = state if given else state.repeat(count)
    games = state.batch_size // count if given else state.batch_size
    if games == 0:
        return lanes
    first = lanes[::count]
    stream = Stream.of_worlds(seed, first.index, game.turn(first), count)
    hidden, mover = game.hidden(lanes), game.mover(lanes)
    if game.copies:
        lanes = copies.dealt_anew(stream, game, lanes, hidden, mover, given)
    elif any(field.is_place and name not in given for name, field in hidden.items()):
        bits, stays = places(hidden, lanes), seen_places(hidden, lanes, mover, given)
        pool = _elsewhere(game, lanes, bits, stays)
        dealt = (
            _filled(stream, cards, torch.where(stays, 0, popcount(lie)), game.layout.size)
            for cards, lie in _lots(game.lot(lanes), pool, bits)
        )
        filled = reduce(torch.bitwise_or, dealt)
        lanes = with_places(hidden, lanes, torch.where(stays, bits, filled))
    drawn, offset = {}, max(NUMBERS_FROM, sum(game.copies) // 2 + 1)  # two words for each card
    for name, field in hidden.items():
        if field.holds == "number" and name not in given:
            drawn[name] = _number(stream.at(offset), field, getattr(lanes, name))
            offset += max(NUMBERS_FROM, -(-drawn[name][0].numel() // 2))  # of four words, two of them for each number
    for name, field in hidden.items():
        if field.of and name not in given:
            drawn[name] = _marked(stream.at(offset), field, getattr(lanes, name), getattr(lanes, field.of), game.layout)
            offset += max(NUMBERS_FROM, -(-drawn[name][0].numel() // 2)) * game.layout.size
    kept = {name: hidden[name].seen_by(mover) for name in drawn}
    return replace(lanes, **{name: torch.where(kept[name], getattr(lanes, name), new) for name, new in drawn.items()})


def _number(stream: Stream, told: Hidden, field: Tensor) -> Tensor:
    """Another number for each entry of a field [L, ...], in its dtype. One that none of its weights allows stays."""
    if told.weights is None:
        words = stream.words(Purpose.HIDDEN, 2 * field[0].numel()).view(*field.shape, 2)
        return (words[..., 0] << 24) | (words[..., 1] >> 8)
    ends = told.weights.double().cumsum(-1)  # [L, ..., K]
    uniform = stream.uniform(Purpose.HIDDEN, field[0].numel()).view(field.shape)
    number = (ends <= uniform[..., None] * ends[..., -1:]).sum(-1)
    return torch.where(ends[..., -1] > 0, number.to(field.dtype), field)


def _marked(stream: Stream, told: Hidden, field: Tensor, cards: Tensor, layout: Layout) -> Tensor:
    """As many marks in each entry of a field [L, ...] as there are, of any of the ``cards`` in that entry: bitboards
    [L, ...], or counts [L, ..., size]."""
    if told.holds == "cards" and cards.ndim > field.ndim:
        ends = cards.long().cumsum(-1)
        nth = stream.uniform(Purpose.HIDDEN, field[0].numel()).view(field.shape) * ends[..., -1]
        one = (ends <= nth.long()[..., None]).sum(-1).clamp(max=layout.size - 1)
        return torch.where(field >= 0, one.to(field.dtype), field)
    if told.holds == "cards":
        uniform = stream.uniform(Purpose.HIDDEN, field[0].numel()).view(field.shape)
        one = lowest_card(nth_card(cards, (uniform * popcount(cards)).long())).clamp(min=-1)
        return torch.where(field >= 0, one.to(field.dtype), field)
    uniform = stream.uniform(Purpose.HIDDEN, field[0].numel() * layout.size).view(*field.shape, layout.size)
    order = torch.where(unpack(cards, size=layout.size), uniform, 2.0).argsort(-1).argsort(-1)
    return pack(order < popcount(field)[..., None])


def unseen(game: Declares, state: State) -> Tensor:
    """The cards that the movers of B games do not see: [B] int64."""
    fields = game.hidden(state)
    return _elsewhere(game, state, places(fields, state), seen_places(fields, state, game.mover(state)))


def _elsewhere(game: Declares, state: State, bits: Tensor, seen: Tensor) -> Tensor:
    """The cards in none of the places [B, E] int64 that are ``seen`` [B, E] bool, nor open: [B] int64."""
    return game.deck & ~(torch.where(seen, bits, 0).sum(-1) | game.open_cards(state))


def _lots(lot: Tensor | None, pool: Tensor, bits: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The cards to be dealt [L] int64, and those that lie in each place [L, E] int64, of each set of which all know how
    many lie where: all in one, or a ``lot`` [L] int64 and the others."""
    return [(pool, bits)] if lot is None else [(pool & some, bits & some[:, None]) for some in (lot, ~lot)]


def _filled(stream: Stream, pool: Tensor, needs: Tensor, size: int) -> Tensor:
    """Cards of a pool [B] int64 in random order, so many to each entry as it needs [B, E] int64: [B, E] int64."""
    keys = torch.where(unpack(pool, size=size), stream.uniform(Purpose.HIDDEN, size), 2.0)
    order = keys.argsort(-1)
    ends = needs.cumsum(-1)
    owner = (torch.arange(size, device=pool.device)[:, None] >= ends[:, None]).sum(-1)
    sets = torch.zeros(len(pool), needs.shape[1] + 1, dtype=torch.int64, device=pool.device)
    return sets.scatter_add(1, owner, bit(order))[:, :-1]

"""What each seat has seen of a game so far, as two numbers of 64 bits, which are alike if and only if all of it is.

At every decision a seat sees all public fields of the state, its own entries of the hidden ones, how many cards lie in
the entries that it does not see, and who is to move. `Game.hidden` says which these are. Beside that it knows its own
actions. So an action of another seat is known by what it changes in what is seen, and is not where that is hidden: a
bid that is made at once with others, a card that is passed on. Nothing is forgotten: the numbers are made from those
before and what is seen now.

Two different pasts have the same two numbers with a probability of 2**-128 for a pair, so that among 10**8 pasts it
happens with less than 10**-22.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

from vecgame import Game, State
from vecgame.hidden import Hidden

UNSEEN = torch.iinfo(torch.int64).min  # and from there on: how many cards there are where a seat does not look
FIRST, SECOND = -0x61C8864680B583EB, -0x3B314601E57A13AD  # odd: Weyl's and a multiplier of SplitMix64's kind
PLACES = 4096  # words that are told apart by their places, half of them of public fields
CHUNK = 1 << 15  # lanes at a time: what is worked on stays in the caches


def beginning(state: State, seats: int) -> Tensor:
    """Nothing seen yet: [B, P, 2] int64."""
    return torch.zeros(state.batch_size, seats, 2, dtype=torch.int64, device=state.device)


def look(game: Game, state: State, known: Tensor) -> Tensor:
    """What seats know once they have seen ``state`` after ``known`` [B, P, 2] int64: [B, P, 2] int64."""
    parts = [slice(start, start + CHUNK) for start in range(0, state.batch_size, CHUNK)]
    return torch.cat([_look(game, state[part], known[part]) for part in parts])


def acted(known: Tensor, mover: Tensor, action: Tensor) -> Tensor:
    """What seats know, [B, P, 2] int64, once the mover [B] int64 has chosen an action [B] int64, as it knows itself."""
    place = torch.arange(len(mover), device=mover.device), mover
    return known.index_put(place, _mixed(known[place] + (action[:, None] + 1) * FIRST))


def number(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers different keys 0..: [L, 2] int64 -> ([L] int64 number of each, [K] int64 a place where each is found)."""
    different, numbers = keys[:, 0].unique(return_inverse=True)
    place = places(numbers, len(different))
    if not torch.equal(keys[place[numbers], 1], keys[:, 1]):  # the first of the two numbers does not tell them apart
        different, numbers = keys.unique(dim=0, return_inverse=True)
        place = places(numbers, len(different))
    return numbers, place


def places(numbers: Tensor, count: int) -> Tensor:
    """Where each of 0 .. count - 1 is found among numbers [L]: [count] int64."""
    place = torch.empty(count, dtype=torch.int64, device=numbers.device)
    place[numbers] = torch.arange(len(numbers), device=numbers.device)
    return place


def public(game: Game, state: State) -> Tensor:
    """Two numbers for what everybody sees of each lane: [B, 2] int64."""
    return _public(game, state, game.hidden(state)).t()


def digest(state: State, without: Collection[str] = ()) -> Tensor:
    """Two numbers for all fields of each lane but its index and those named: [B, 2] int64."""
    return _summed(_words([field for name, field in state.tensors().items() if name not in {"index", *without}])).t()


def kinds(*rows: Tensor) -> Tensor:
    """Numbers lanes 0.. by what stands in some tensors [B, ..], alike for those in which all is: [B] int64."""
    return number(numbers(*rows))[0]


def numbers(*rows: Tensor) -> Tensor:
    """Two numbers for what stands in some tensors [B, ..]: [B, 2] int64."""
    return _summed(_words(list(rows))).t()


def _look(game: Game, state: State, known: Tensor) -> Tensor:
    hidden, place = game.hidden(state), PLACES // 2
    seen = _public(game, state, hidden)[:, None]
    for name, field in hidden.items():
        shown, veiled, sees = _entries(getattr(state, name), field)
        told = [torch.stack(list(_each(numbers, place)))[:, None] for numbers in (shown, veiled)]
        seen = seen + torch.where(sees, *told).sum(2)
        place += len(shown)
    return _mixed(known.permute(2, 1, 0) * FIRST + seen).permute(2, 1, 0).contiguous()


def _public(game: Game, state: State, hidden: Mapping[str, Hidden]) -> Tensor:
    """Two numbers for what everybody sees: [2, B] int64."""
    fields = [field for name, field in state.tensors().items() if name not in hidden and name != "index"]
    return _summed(_words([*fields, game.mover(state)]))


def _words(tensors: list[Tensor]) -> Tensor:
    """All bytes of tensors [B, ...] of any dtype, as [W, B] int64."""
    rows = [tensor + 0.0 if tensor.is_floating_point() else tensor for tensor in tensors]  # 0.0 for -0.0
    rows = [row.reshape(len(row), -1).contiguous().view(torch.uint8) for row in rows]
    rest = -sum(row.shape[1] for row in rows) % 8
    words = torch.cat([*rows, torch.zeros_like(rows[0][:, :1]).expand(-1, rest)], -1).view(torch.int64)
    return words.t().contiguous()  # lanes last: from here on all is done by rows


def _entries(field: Tensor, hidden: Hidden) -> tuple[Tensor, Tensor, Tensor]:
    """Of a hidden field [B, ...] what a seat sees of an entry that it sees and of another, [E, B] int64 each; and which
    seat sees which: [P, E, B] bool."""
    value = field.double().view(torch.int64) if field.is_floating_point() else field.long()
    value = value.reshape(len(field), -1).t().contiguous()
    count = hidden.count(field).t().contiguous()
    return value, UNSEEN + count, hidden.sees.reshape(*hidden.sees.shape[:2], -1).permute(1, 2, 0)


def _summed(words: Tensor) -> Tensor:
    """One number by salt for the words [W, B] int64 of a lane, each at its place: [2, B] int64."""
    return torch.stack([each.sum(0) for each in _each(words, 0)])


def _each(words: Tensor, first: int) -> Iterator[Tensor]:
    """Each of some words [W, B] int64 stirred by its place ``first`` .. and, one after the other, by both salts:
    [W, B] int64 each."""
    for table in _constants(words.device):
        factors, shifts = table[:, first : first + len(words), None]
        stirred = (words * factors).add_(shifts)
        yield stirred.bitwise_xor_(stirred >> 32).mul_(SECOND)


def _mixed(numbers: Tensor) -> Tensor:
    """Each number with its bits stirred, different ones for different ones."""
    numbers = (numbers ^ (numbers >> 32)) * FIRST
    numbers = (numbers ^ (numbers >> 29)) * SECOND
    return numbers ^ (numbers >> 32)


@cache
def _constants(device: torch.device) -> Tensor:
    """An odd factor and a shift by salt and place: [2, 2, `PLACES`] int64."""
    generator, limits = torch.Generator().manual_seed(0), torch.iinfo(torch.int64)
    drawn = torch.randint(limits.min, limits.max, (2, 2, PLACES), generator=generator)
    drawn[:, 0] |= 1
    return drawn.to(device)

"""Where the cards of a game with copies are: all of them somewhere, and in worlds wherever the mover does not look."""

from __future__ import annotations

from functools import lru_cache
from math import comb, prod

import torch
from torch import Tensor

from vecgame import copies, piles
from vecgame.cards import unpack
from vecgame.game import Game
from vecgame.hidden import places
from vecgame.naming import card_name
from vecgame.seeing import ids_counted
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
    held = copies.places(fields, state, size)
    assert (held >= 0).all(), f"{where}a place holds less than no card of an id"
    found, there = held.sum(1, dtype=torch.int64) + game.open_cards(state), torch.tensor(game.copies)
    for lane, card in (found != there).nonzero()[:1].tolist():
        number, name = int(found[lane, card]), card_name(game.layout, card)
        hint = (
            "cards out of play lie in a field too, and holds says so"
            if number < game.copies[card]
            else "a field that only tells of cards elsewhere has place=False in hidden"
        )
        raise AssertionError(f"{where}{name} is there {number} times, but has {game.copies[card]} copies: {hint}")


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
            could = ~told.seen_by(mover).reshape(old.shape[:2]) & (told.holds == "number")
        old, new, could = (field.unflatten(0, (-1, count)) for field in (old, new, could))
        anew = anew.unflatten(0, (-1, others))
        differs = (new != old).any(-1), (new != new[:, :1]).any(-1), (anew != new[:, :others]).any(-1)
        found[name] = torch.stack([part.any(1).sum(0) for part in (could, *differs)])
    return found


def copies_dealt(game: Game, first: State, viewer: Tensor, most: int) -> State | None:
    """A state [1] with every other deal of what the viewer [1] does not see, each card by itself, so that some are the
    same: [N]; None where there are more than ``most``."""
    fields, size = game.hidden(first), len(game.copies)
    held, seen = copies.places(fields, first, size)[0], copies.seen_places(fields, viewer, size)[0]
    cards = ids_counted(copies.unseen(game, first, fields, viewer)[0].tolist())
    needs = tuple(torch.where(seen, 0, held.sum(-1)).tolist())
    if prod(comb(len(cards) - sum(needs[:place]), need) for place, need in enumerate(needs)) > most:
        return None
    filled = _fillings(len(cards), needs)
    kinds = torch.nn.functional.one_hot(torch.tensor(cards, dtype=torch.int64), size)
    dealt = (unpack(filled, torch.int64, max(len(cards), 1))[..., None] * kinds).sum(2)
    return copies.with_places(fields, first.repeat(len(dealt)), torch.where(seen[:, None], held, dealt))


def several_alike(game: Game, state: State, action: Tensor) -> bool:
    """Whether a card is played in some lane of which its seat holds another one that looks alike."""
    if not game.copies or state.hands.shape[-1] != len(game.copies):
        return False
    plays = action < game.first_other if game.plays_cards else torch.zeros_like(action, dtype=torch.bool)
    mine = piles.entry(state.hands, game.mover(state))
    return bool((plays & (mine.gather(1, action.clamp(max=len(game.copies) - 1)[:, None])[:, 0] > 1)).any())


@lru_cache(maxsize=64)
def _fillings(count: int, needs: tuple[int, ...]) -> Tensor:
    """Every way to give places so many of ``count`` things each, all of them: [N, E] int64 bitboards of these."""
    ways = [([], (1 << count) - 1)]
    for need in needs:
        ways = [([*given, some], left & ~some) for given, left in ways for some in _subsets(left, need)]
    return torch.tensor([given for given, _ in ways]).view(len(ways), len(needs))


def _subsets(bits: int, need: int) -> list[int]:
    """All sets of so many of the things in a bitboard."""
    if need == 0:
        return [0]
    if bits.bit_count() < need:
        return []
    low = bits & -bits
    return [low | some for some in _subsets(bits ^ low, need - 1)] + _subsets(bits ^ low, need)

"""What a seat does not see: that worlds keep the rest, and that nothing else tells of it."""

from __future__ import annotations

import torch
from torch import Tensor

from vecgame.cards import lowest_card, union
from vecgame.contract.copied import copies_moved, varies
from vecgame.contract.played import GAMES, SEED, random_action, same, some_positions
from vecgame.contract.rules import cards_lie_once
from vecgame.contract.views import lie_as_said, looks_alike, viewed_by
from vecgame.copies import ids_of
from vecgame.game import Game
from vecgame.hands import HandGame
from vecgame.hidden import Hidden, places, seen_places
from vecgame.naming import card_name
from vecgame.state import State

WORLDS = 16  # of a position, to see what differs between them
AGAIN = 4  # worlds of it by another seed
REMARKS = 16  # of moves that look alike to a seat, compared in each of some positions
FEWEST = 8  # positions in which something could have differed, to say that it never does
OFTEN = 0.4  # share of worlds: what happens in so many of each of `GAMES` games happens in one true deal at least
FAR_ABOVE = 256  # times the largest hidden number that was dealt: of so many bits no world's numbers are


def hands_are_as_said(game: Game) -> None:
    """Seats hold what the game or its state says that they may: otherwise there may be no world to draw."""
    for state in some_positions(game, GAMES) if hasattr(game, "may_hold") else ():
        lie = lie_as_said(game, state, state, game.mover(state)).all()
        assert lie, "a seat holds cards that may_hold or shows rule out"
    for state in some_positions(game, GAMES) if isinstance(game, HandGame) else ():
        held = ids_of(state.hands) if game.copies else state.hands
        may = not hasattr(state, "may") or (held & ~state.may == 0).all()
        assert may, "a seat holds cards that the state's field may rules out"


def worlds_keep_what_is_known(game: Game) -> None:
    """Worlds differ in nothing that is public or that the mover sees, move the deck's cards among the other places, and
    leave none of those as it is in every world, or alike in all worlds of a game or under all seeds; hidden numbers
    stay in their range."""
    moved: dict[str, Tensor] = {}
    largest: dict[str, tuple[int, int]] = {}  # hidden number that was dealt, and in a world
    shared: dict[str, Tensor] = {}
    examples: dict[str, str] = {}
    for state in some_positions(game, GAMES):
        drawn, before = game.determinize(state, WORLDS, SEED), state.repeat(WORLDS)
        assert drawn.batch_size == before.batch_size, "determinize must give B * count lanes"
        hidden, mover = game.hidden(before), game.mover(before)
        for name, old in before.tensors().items():
            new = getattr(drawn, name)
            kept = (new.dtype, new.shape) == (old.dtype, old.shape)
            assert kept, f"determinize changes the dtype or shape of {name}, {old.dtype}: draw numbers like that"
            if name not in hidden:
                public = f"determinize changes the public field {name}; if hidden, say so in hidden"
                assert torch.equal(new, old), public
                continue
            seen = hidden[name].seen_by(mover)
            assert torch.equal(new[seen], old[seen]), f"determinize changes what the mover sees of {name}"
            counts = torch.equal(*map(hidden[name].count, (old, new)))
            assert counts, f"determinize changes how many cards are in {name}"
            if hidden[name].holds == "number":
                found = (int(tensor.long().abs().max()) for tensor in (old, new))
                pair = zip(largest.get(name, (0, 0)), found, strict=True)
                largest[name] = tuple(map(max, pair))
        cards_lie_once(game, drawn, "in a world ")
        again = game.determinize(state, AGAIN, SEED + 1)
        also = {} if game.copies else _shared(game, before, drawn, examples)  # with copies all are somewhere
        for tally, found in ((moved, _moved(game, before, drawn, again)), (shared, also)):
            tally.update({name: tally.get(name, 0) + numbers for name, numbers in found.items()})
    for name, (could, did, varied, anew) in moved.items():
        assert not ((could >= FEWEST) & (did == 0)).any(), f"{name} is left in place in every world"
        assert not ((did >= FEWEST) & (varied == 0)).any(), f"{name} is the same in all worlds of a game"
        assert not ((varied >= 2 * FEWEST) & (anew == 0)).any(), f"{name} is the same in worlds of every seed"
    for name, (dealt, drawn) in largest.items():
        assert drawn < FAR_ABOVE * (dealt + 1), (
            f"{name} holds numbers up to {dealt} and in worlds up to {drawn}: draw them in determinize"
        )
    for name, (worlds, truth, number) in shared.items():
        share = (worlds / number.clamp(min=1)).sum() / GAMES
        assert truth.any() or share < OFTEN, (  # cards so often hidden would be so in some of the true deals
            f"{examples[name]}: say that it is hidden, or that its cards are open_cards"
        )


def _moved(game: Game, before: State, drawn: State, again: State) -> dict[str, Tensor]:
    """In how many positions each entry of each hidden field, and what is in no place, could differ from what it is, in
    how many it did, between worlds of a game, and under another seed: [4, E] int64."""
    if game.copies:
        return copies_moved(game, before, drawn, again, WORLDS)
    hidden, mover = game.hidden(before), game.mover(before)
    truth, world, other = (_entries(game, state) for state in (before, drawn, again))
    rest, held = truth[""], places(hidden, before)
    unseen = rest | torch.where(seen_places(hidden, before, mover), 0, held).sum(-1, keepdim=True)
    counts = {}
    for name, old in truth.items():
        if name:
            field, bits = hidden[name], hidden[name].bits(old)
            others = varies(field, old) if field.holds == "number" else (bits != 0) & (unseen & ~bits != 0)
            could = ~field.seen_by(mover).reshape(old.shape) & others
        else:
            could = (rest != 0) & (rest != unseen)
        here, could = (tensor.unflatten(0, (-1, WORLDS)) for tensor in (old, could))
        new, anew = world[name].unflatten(0, (-1, WORLDS)), other[name].unflatten(0, (-1, AGAIN))
        differs = could, new != here, new != new[:, :1], anew != new[:, :AGAIN]
        counts[name or "what nobody holds"] = torch.stack([part.any(1).sum(0) for part in differs])
    return counts


def _entries(game: Game, state: State) -> dict[str, Tensor]:
    """The entries of each hidden field, and as "" the cards in no place: [B, E]."""
    fields = game.hidden(state)
    rest = game.deck & ~(places(fields, state).sum(-1) | game.open_cards(state))
    return {"": rest[:, None], **{name: getattr(state, name).reshape(len(rest), -1) for name in fields}}


def _shared(game: Game, before: State, drawn: State, examples: dict[str, str]) -> dict[str, Tensor]:
    """For each public field that may be of cards: of each game the lanes in which worlds, and in which the true deal,
    hide some of them from the mover, and in which there are any: [3, GAMES] int64. To ``examples`` goes such a world.
    """
    hidden, mover = game.hidden(before), game.mover(before)
    world, truth = (torch.where(seen_places(hidden, s, mover), 0, places(hidden, s)) for s in (drawn, before))
    counts = {}
    for field in before.tensors().keys() - hidden.keys() - {"index"}:
        for holds in ("sets", "cards"):
            bits = Hidden(mover, holds).bits(getattr(before, field).long())
            if (bits & ~game.deck != 0).any():
                continue
            cards, name = union(bits), f"{field} (as {holds})"
            lanes = torch.stack([cards & union(world) != 0, cards & union(truth) != 0, cards != 0])
            counts[name] = torch.zeros(len(lanes), GAMES).long().index_add(1, before.index, lanes.long())
            if name not in examples and lanes[0].any():
                lane = int(lanes[0].nonzero()[0, 0])
                card, where = _common(game, before, world[lane] & cards[lane])
                examples[name] = f"a world has {card} in {where} and in the public field {name}"
    return counts


def _common(game: Game, state: State, found: Tensor) -> tuple[str, str]:
    """The name of the first of the cards found in each hidden place, [E] int64, and the field that this place is of."""
    hidden = {name: field for name, field in game.hidden(state).items() if field.is_place}
    fields = [name for name, field in hidden.items() for _ in range(field.bits(getattr(state, name)).shape[1])]
    place = int((found != 0).nonzero()[0, 0])
    return card_name(game.layout, int(lowest_card(found[place]))), fields[place]


def hidden_cards_are_hidden(game: Game) -> None:
    """With other cards where a seat does not look, it sees the same, may do the same, and draws the same worlds."""
    for state in some_positions(game, GAMES, most=6):
        for seat in range(game.seats):
            view = viewed_by(game, seat)
            other = view.determinize(state, 1, SEED + 1)
            alike = looks_alike(game, state, other, torch.full_like(state.index, seat))
            a, b, viewer = state[alike], other[alike], view.mover(state[alike])
            assert torch.equal(game.observe(a, viewer), game.observe(b, viewer)), "observe tells of hidden cards"
            if type(game).remark is not Game.remark:
                _remarks_are_of_what_is_seen(game, a, b, seat)
            mine = game.mover(a) == seat
            if mine.any():
                a, b = a[mine], b[mine]
                assert torch.equal(game.legal_mask(a), game.legal_mask(b)), "legal_mask tells of hidden cards"
                drawn = (game.determinize(s, 2, SEED) for s in (a, b))
                assert same(*drawn), "determinize looks at hidden cards"


def _remarks_are_of_what_is_seen(game: Game, a: State, b: State, seat: int) -> None:
    """What is remarked on the same move is the same in both of states that look alike to a seat before and after it."""
    action, names = random_action(game, a), [f"seat {number}" for number in range(game.seats)]
    both = game.legal_mask(b).gather(1, action[:, None])[:, 0] & ~game.is_terminal(a) & ~game.is_terminal(b)
    after = game.step(a, action), game.step(b, action)
    both &= looks_alike(game, *after, torch.full_like(a.index, seat))
    for lane in both.nonzero()[:REMARKS, 0].tolist():
        pairs = zip((a, b), after, strict=True)
        told = {game.remark(before[lane], int(action[lane]), later[lane], names) for before, later in pairs}
        assert len(told) == 1, f"remark tells seat {seat} of what it does not see: {' or '.join(map(repr, told))}"

"""What a seat does not see: that worlds keep the rest, that nothing else tells of it, and that worlds are uniform."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import comb, prod

import torch
from torch import Tensor

from vecgame.cards import lowest_card, popcount, union, unpack
from vecgame.contract.copied import copies_dealt, copies_moved, lie, several_alike, varies
from vecgame.contract.played import GAMES, SEED, numbered, positions, random_action, same, some_positions
from vecgame.contract.rules import cards_lie_once
from vecgame.contract.views import looks_alike, viewed_by
from vecgame.copies import ids_of
from vecgame.game import Game
from vecgame.hands import HandGame
from vecgame.hidden import Hidden, places, seen_places, unseen, with_places
from vecgame.naming import card_name
from vecgame.state import State, concatenate

WORLDS = 16  # of a position, to see what differs between them
AGAIN = 4  # worlds of it by another seed
TOLD = 6  # moves of a past in which worlds are wrong
REMARKS = 16  # of moves that look alike to a seat, compared in each of some positions
FEWEST = 8  # positions in which something could have differed, to say that it never does
OFTEN = 0.4  # share of worlds: what happens in so many of each of `GAMES` games happens in one true deal at least
PASTS = 2  # games in which worlds are compared, for each number of decisions before the end
MOST_DEALS = 1500  # that a test of the worlds' distribution lists
MOST_BEGINNINGS = 10_000  # likewise, of games that are played again from the first decision on
NUMBERS = 64  # hidden numbers, at least, with which a step leads where it does if it does not depend on them
DRAWS = 12  # worlds for each of them, and of these
MOST_DRAWN = 3000  # worlds of a position beyond the first `PASTS`, but for
FEWEST_DRAWS = 3  # for each deal
TOGETHER = 3  # are of one game
Z_LIMIT = 5.0  # standard errors: a right game fails with probability below 1e-5
FAR_ABOVE = 256  # times the largest hidden number that was dealt: of so many bits no world's numbers are
TOO_FEW = (
    "worlds: not enough positions to compare their distribution; there may be with more pasts, or in a small form of "
    "the game, with fewer cards by its rules or, in a subclass, in its deck"
)
NUMBERS_ONLY = "worlds: how often hidden numbers come is not compared, nor whether the past could have been with them"


def hands_are_as_said(game: Game) -> None:
    """Seats hold what the game or its state says that they may: otherwise there may be no world to draw."""
    for state in some_positions(game, GAMES) if hasattr(game, "may_hold") else ():
        agrees = _agrees(game, state, state, game.mover(state)).all()
        assert agrees, "a seat holds cards that may_hold or shows rule out"
    for state in some_positions(game, GAMES) if isinstance(game, HandGame) else ():
        held = ids_of(state.hands) if game.copies else state.hands
        agrees = not hasattr(state, "may") or (held & ~state.may == 0).all()
        assert agrees, "a seat holds cards that the state's field may rules out"


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


def worlds_are_uniform(game: Game, pasts: int = PASTS) -> str | None:
    """Worlds are all the deals in which the past looks to the mover as it did, each as likely as the other.

    Lists every way to fill the places that the mover does not see at some late decision of a game, plays the past again
    with each, and compares what is left with what `determinize` draws; for so many decisions before the end in
    ``pasts`` games.
    """
    hidden = game.hidden(game.deal(1, SEED))
    if not any(lie(game, state).any() for state in positions(game, GAMES)):  # as of dice or discs
        return NUMBERS_ONLY if any(field.holds == "number" for field in hidden.values()) else None
    tested = 0
    for past, first in _pasts(game, pasts):
        now = past[-1][0]
        found = _consistent(game, past)
        if found is None:
            continue
        deals, chances, even = found
        draws = DRAWS if first else min(max(MOST_DRAWN // max(len(deals), 1), FEWEST_DRAWS), DRAWS)
        games = max(draws // TOGETHER * len(deals), 1)
        many = replace(now.repeat(games), index=torch.arange(games))  # other numbers, other worlds
        drawn = game.determinize(many, TOGETHER, SEED)
        parts = deals, lie(game, now), lie(game, drawn)
        rows, which = numbered(torch.cat(parts)).unique(return_inverse=True)
        which = which.split([len(part) for part in parts])
        ways, truth, counts = (part.bincount(minlength=len(rows)) for part in which)
        assert (ways[truth > 0] > 0).all(), "the true deal is not among those in which the past is legal"
        if not (ways > 0).all():
            wrong = drawn[int((ways[which[2]] == 0).nonzero()[0])]
            raise AssertionError(
                f"a world is drawn in which the past would be illegal or look otherwise: {_told_of(game, past, wrong)}"
            )
        if len(rows) > 1 and even:
            weight = torch.zeros(len(rows), dtype=torch.float64).index_add(0, which[0], chances)
            expected = len(drawn) / chances.sum() * weight
            z = _standard_errors(*_pooled(counts, expected))
            if z >= Z_LIMIT:
                row = int(((counts - expected) ** 2 / expected).argmax())
                where = f"{int(counts[row])} of {len(drawn)} worlds, where {float(expected[row]):.0f} are right"
                some = (which[2] == row).nonzero()[:1, 0]
                where += f": {_told_of(game, past, drawn[some])}" if len(some) else f", {_moves(game, past)}"
                raise AssertionError(
                    f"worlds are not uniform: {z:.1f} standard errors over {len(rows)} deals, most of all {where}"
                )
            tested += 1
    return None if tested >= 3 else TOO_FEW


def _pooled(counts: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Counts and what is expected, with deals of which less than `FEWEST_DRAWS` are expected counted as one, as of few
    Pearson's statistic is not what it is taken for. With copies deals differ in how likely they are."""
    few = expected < FEWEST_DRAWS
    pair = (torch.cat([tensor[~few].double(), tensor[few].sum()[None].double()]) for tensor in (counts, expected))
    return tuple(pair) if few.any() else (counts, expected)


def _standard_errors(counts: Tensor, expected: Tensor) -> float:
    """Pearson's statistic as a standard normal one, by the cube root of Wilson and Hilferty, "The distribution of
    chi-square" (1931)."""
    freedom = max(len(counts) - 1, 1)
    spread = 2 / (9 * freedom)
    return ((float(((counts - expected) ** 2 / expected).sum()) / freedom) ** (1 / 3) - 1 + spread) / spread**0.5


Past = list[tuple[State, Tensor]]  # a game's states and actions, one lane each, up to the decision that is looked at


def _pasts(game: Game, each: int) -> Iterator[tuple[Past, bool]]:
    """Some games up to a decision late enough that the deals can be listed: for so many decisions before the end a game
    in which as much has been told of the hands as in most, one in which more has, and then others, ``each`` in all; and
    whether it is one of the first two."""
    states = list(positions(game, 200))
    actions = [random_action(game, state) for state in states]
    length = sum((~game.is_terminal(state)).long() for state in states)  # [200], decisions of each game
    for left in range(1, 9):
        lanes = (length >= left).nonzero()[:, 0].tolist()
        if not lanes:
            return
        at = [(int(length[lane]) - left, lane) for lane in lanes]
        told = _told(game, concatenate([states[when][lane : lane + 1] for when, lane in at]))
        order = sorted(range(len(at)), key=told.__getitem__)  # stable: of equals the first
        others = (number * len(order) // max(each - 2, 1) for number in range(each - 2))
        for place, number in enumerate(dict.fromkeys((len(order) // 2, len(order) * 7 // 8, *others))):
            when, lane = at[order[number]]
            one = slice(lane, lane + 1)
            yield [(states[t][one], actions[t][one]) for t in range(when + 1)], place < PASTS


def _told(game: Game, state: State) -> list[int]:
    """How many cards have been ruled out of hands, by what all know or for the mover of each lane, as far as the game
    says it."""
    if isinstance(game, HandGame) and hasattr(state, "may"):
        return popcount(game.deck & ~state.may).flatten(1).sum(-1).tolist()
    if not hasattr(game, "may_hold"):
        return [0] * state.batch_size
    return popcount(unseen(game, state) & ~game.may_hold(state, game.mover(state))).sum(0).tolist()


def _consistent(game: Game, past: Past) -> tuple[Tensor, Tensor, bool] | None:
    """The cards in each place now, in every deal with which the past would have looked the same to the mover: [N, E]
    int64, equal rows for different beginnings; in how many ways each came about, [N] float64; and whether each way is
    as likely as the other. None where they cannot be listed.

    Cards that came from one hidden place into another may have been any, so the past begins after that if the game says
    what is known then (`may_hold`), and else with the first decision. The cards played since are those they were. What
    others did in secret may have been any of what they might do, and each way is a row. Pasts in which chance came by a
    hidden number are not listed. With copies, who plays one of two cards that look alike might have played either, so
    that such a past tells which deals there may be, but not how likely they are.
    """
    now, seat = past[-1][0], int(game.mover(past[-1][0])[0])
    viewer = game.mover(now)
    dealt = _copies_dealt(game, past) if game.copies else _dealt(game, past)
    if dealt is None:
        return None
    begin, fixed, again, ways = dealt
    even, secret = True, _are_secret(game, [state for state, _ in past[begin:]], now, seat)
    for (state, action), was_secret in zip(past[begin:-1], secret, strict=True):
        alike = looks_alike(game, again, state.repeat(again.batch_size), viewer.expand(again.batch_size))
        alike &= game.mover(again) == game.mover(state)
        again, ways = again[alike], ways[alike]
        may = game.legal_mask(again)
        if int(game.mover(state)[0]) == seat or not was_secret:
            may = may & (torch.arange(game.num_actions) == action)
        lanes, actions = may.nonzero(as_tuple=True)
        again, ways = again[lanes], ways[lanes]
        if len(lanes) > MOST_BEGINNINGS or (not fixed and _draws_by_number(game, state, again, actions)):
            return None
        before, again = again, game.step(again, actions)
        even = even and not several_alike(game, before, again, viewer)
    alike = looks_alike(game, again, now.repeat(again.batch_size), viewer.expand(again.batch_size))
    return lie(game, again[alike]), ways[alike], even


def _told_of(game: Game, past: Past, world: State) -> str:
    """A world [1] drawn for who is to move after a past, and that past, in a line."""
    return f"{_moves(game, past)} {' '.join(game.text(world, 0).split())}"


def _moves(game: Game, past: Past) -> str:
    """For whom worlds are drawn after a past, and its last moves."""
    names = [game.action_name(int(action), state) for state, action in past[:-1]][-TOLD:]
    made = f"after {len(past) - 1} moves" + (f", the last of them {', '.join(names)}," if names else "")
    return f"for seat {int(game.mover(past[-1][0])[0])} {made}"


Dealt = tuple[int, bool, State, Tensor]
"""The number of the decision from which on a past is played again, whether all is known that left its place since and
there is nothing that came, all deals before it, [N], and in how many ways each comes about, [N] float64."""


def _copies_dealt(game: Game, past: Past) -> Dealt | None:
    """In a game with copies, from the first decision on; None where these are too many."""
    found = copies_dealt(game, past[0][0], game.mover(past[-1][0]), MOST_BEGINNINGS)
    return None if found is None else (0, False, *found)


def _dealt(game: Game, past: Past) -> Dealt | None:
    """In any other game; None where these are too many."""
    now = past[-1][0]
    fixed_since = _fixed_since(game, past)
    says = hasattr(game, "may_hold")
    begin = fixed_since if says else 0
    first = past[begin][0]
    hidden, viewer = game.hidden(first), game.mover(now)
    held, seen = places(hidden, first)[0], seen_places(hidden, first, viewer)[0]
    fixed = begin == fixed_since
    played = 0
    if fixed:
        played = held & ~places(game.hidden(now), now)[0]
        seen = seen | seen_places(game.hidden(now), now, viewer)[0]
    known = torch.where(seen, held, played)
    unseen = game.deck & ~int(known.sum() | game.open_cards(first)[0])
    needs = popcount(held & ~known).tolist()
    cards = tuple(card for card in range(unseen.bit_length()) if unseen >> card & 1)
    ways = prod(comb(len(cards) - sum(needs[:place]), need) for place, need in enumerate(needs))
    if ways > (MOST_DEALS if fixed else MOST_BEGINNINGS):
        return None
    filled = _filled(cards, tuple(needs))
    again = with_places(hidden, first.repeat(len(filled)), known | filled)
    again = again[_agrees(game, first, again, viewer)] if says else again
    return begin, fixed, again, torch.ones(len(again), dtype=torch.float64)


def _draws_by_number(game: Game, state: State, lanes: State, action: Tensor) -> bool:
    """Whether a step from some lanes [N] leads elsewhere with other hidden numbers, those of worlds of a state [1]."""
    if not lanes.batch_size or not any(field.holds == "number" for field in game.hidden(state).values()):
        return False
    often = -(-NUMBERS // lanes.batch_size)
    lanes, action = lanes.repeat(often), action.repeat_interleave(often)
    world = game.determinize(state, lanes.batch_size, SEED + 1)
    numbers = {name: getattr(world, name) for name, field in game.hidden(world).items() if field.holds == "number"}
    after, other = game.step(lanes, action), game.step(replace(lanes, **numbers), action)
    return not same(after, replace(other, **{name: getattr(after, name) for name in numbers}))


def _fixed_since(game: Game, past: Past) -> int:
    """The first decision since which cards have left their places for the table only, and come into none."""
    since = 0
    for number, ((before, _), (after, _)) in enumerate(itertools.pairwise(past), start=1):
        held, holds = (places(game.hidden(state), state) for state in (before, after))
        if (holds & ~held != 0).any() or (held & ~holds & ~game.open_cards(after)[:, None] != 0).any():
            since = number
    return since


def _agrees(game: Game, first: State, again: State, viewer: Tensor) -> Tensor:
    """Lanes whose cards lie as the game says at the first decision that they may, by `may_hold`, `shows` and `placed`:
    [N] bool. A card that all have seen from the beginning is an example."""
    after = (viewer[:, None] + torch.arange(1, game.seats)) % game.seats
    others = again.hands.gather(1, after.expand(again.batch_size, -1)).t()
    legal = (others & ~game.may_hold(first, viewer) == 0).all(0)
    shown, placed = (getattr(game, name, lambda state: None)(first) for name in ("shows", "placed"))
    if placed is not None:
        legal &= placed & ~places(game.hidden(again), again).sum(-1) == 0
    return legal if shown is None else legal & (shown & ~again.hands == 0).all(-1)


def _are_secret(game: Game, states: list[State], now: State, seat: int) -> list[bool]:
    """For each of a game's states [1] but the last, whether another action would have led where it looks to a seat as
    the next state does, and what it would have changed is not seen now."""
    if len(states) < 2:
        return []
    before, following = concatenate(states[:-1]), concatenate(states[1:])
    lanes, legal = game.legal_mask(before).nonzero(as_tuple=True)
    after = game.step(before[lanes], legal)
    alike = looks_alike(game, after, following[lanes], torch.full_like(lanes, seat))
    after, lanes = after[alike], lanes[alike]
    secret = torch.zeros(before.batch_size, dtype=torch.bool)
    for name, field in game.hidden(now).items():
        old = getattr(following, name)
        told = field.seen_by(torch.tensor([seat])) & (getattr(now, name) == old)
        changed = ((getattr(after, name) != old[lanes]) & ~told[lanes]).reshape(len(lanes), -1).any(-1)
        secret[lanes[changed]] = True
    return secret.tolist()


def _filled(cards: tuple[int, ...], needs: tuple[int, ...]) -> Tensor:
    """Every way to give places so many of the cards each: [N, E] int64 bitboards."""
    chosen = unpack(_by_number(len(cards), needs), torch.int64, max(len(cards), 1))
    return (chosen * (1 << torch.tensor(cards or (0,)))).sum(-1)


@lru_cache(maxsize=64)
def _by_number(count: int, needs: tuple[int, ...]) -> Tensor:
    """Likewise of the cards 0 .. ``count`` - 1."""
    return torch.tensor(list(_fillings(tuple(range(count)), list(needs))))


def _fillings(cards: tuple[int, ...], needs: list[int]) -> Iterator[list[int]]:
    """Every way to give places so many of the cards each, as bitboards."""
    if not needs:
        yield []
        return
    for chosen in itertools.combinations(cards, needs[0]):
        rest = tuple(card for card in cards if card not in chosen)
        for others in _fillings(rest, needs[1:]):
            yield [sum(1 << card for card in chosen), *others]

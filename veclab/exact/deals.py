"""Every deal of a game, each as likely as the others, for what is computed exactly on small decks.

A game is dealt by numbers of a `vecgame.Stream`: the order of its shuffled deck, and integers such as the dealer. A
stream that is told what to give deals one chosen game, so all that it can give deal all games, whatever the game makes
of them: who leads, which card is turned up, what is trump.

The order of the cards within a hand makes no difference, nor that of those left over. Which places of the deck may
change their cards is found by trying: two places are alike if in all orders of a small deck, or in `PROBES` random ones
of a larger one, a deal stays as it is when they change their cards. Then one order for each way to fill the places is
dealt. That nothing was missed is tried on `CHECKED` deals as the game makes them, which must be among those listed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from vecgame import Game, Purpose, State, Stream, concatenate, dealing
from veclab.exact import sight
from veclab.exact.sight import digest

MOST_DEALS = 3_000_000
PROBES, FEW = 4096, 16  # deals that are tried with two places changed, and so many at first
ALL_ORDERS = 5040  # of a deck with no more, all are probes
ROUND = math.lcm(*range(1, 9))  # what goes round with the games' numbers comes back after so many
CHECKED = 1000
WORLDS, LARGE = 8, 1 << 32  # one of so many numbers of 56 bits is that large, but for a chance of 2**-192
CHUNK = 1 << 17  # games that are dealt at a time
NUMBER = "the game's number"

Draw = tuple[Purpose, object] | str
"""What an integer is for, and where in its stream it is found; or `NUMBER`."""


class UnlistedError(Exception):
    """A deal draws random numbers that are no order of the deck and no integer of so many."""


@dataclass(frozen=True)
class Given(Stream):
    """A stream that gives what it is told to, 0 where it is told nothing, and notes what it is asked for."""

    order: Tensor = field(kw_only=True)  # [B, N] int64, the cards of the deck in the order in which they are dealt
    drawn: Mapping[Draw, Tensor] = field(default_factory=dict)  # [B] int64 each
    asked: dict[Draw, int] = field(default_factory=dict)  # how many numbers each could be
    later: Tensor | None = None  # [B] int64, the number of a later game of a match

    def keys(self, purpose: Purpose, count: int) -> Tensor:
        if purpose != Purpose.DEAL or not self.order.numel():
            raise UnlistedError("something else than the game's deck is shuffled")
        place = torch.arange(self.order.shape[1], device=self.game.device)
        last = torch.full((len(self.game), count), count, device=self.game.device)
        return last.scatter(1, self.order, place.expand_as(self.order))

    def integers(self, purpose: Purpose, bound: int) -> Tensor:
        return self._given((purpose, self.offset), bound)

    @property
    def number(self) -> Tensor:
        return self._given(NUMBER, ROUND) if self.later is None else self.later

    def words(self, purpose: Purpose, count: int) -> Tensor:
        if purpose != Purpose.MATCH:
            raise UnlistedError("they take other random numbers than `dealing.shuffled` and `Stream.integers` give")
        return torch.zeros(len(self.game), count, dtype=torch.int64, device=self.game.device)  # see `later_deals`

    def _given(self, draw: Draw, bound: int) -> Tensor:
        if self.asked.setdefault(draw, bound) != bound:
            raise UnlistedError("one random number is asked for with two bounds")
        return self.drawn.get(draw, torch.zeros_like(self.game))


Begin = Callable[[Given], State]
"""Deals the games that a stream of B lanes gives."""


@dataclass(frozen=True)
class Deals:
    """The ways in which a game is dealt, each as likely as the others: what fills each block of places of the shuffled
    deck, and each draw."""

    begin: Begin
    deck: Tensor  # [N] int64, card ids
    blocks: tuple[tuple[int, ...], ...]  # places of the shuffled deck that are alike
    bounds: Mapping[Draw, int]

    @property
    def count(self) -> int:
        ways = math.factorial(len(self.deck)) // math.prod(math.factorial(len(block)) for block in self.blocks)
        return ways * math.prod(self.bounds.values())

    def all(self, lanes: int = 1) -> State:
        """Every deal of each of some lanes, those of a lane adjacent: ``lanes`` * `count` games."""
        cards = self.deck[fillings(self.blocks).long().to(self.deck.device)]
        numbers = torch.arange(lanes * self.count, device=self.deck.device)
        return concatenate([self.begin(self._stream(cards, part)) for part in numbers.split(CHUNK)])

    def _stream(self, cards: Tensor, numbers: Tensor) -> Given:
        """The stream that gives deals ``numbers`` [B] int64, counted through all lanes. cards: [C, N] int64."""
        drawn, rest = {}, numbers % self.count
        for draw, bound in self.bounds.items():
            drawn[draw], rest = rest % bound, rest // bound
        return Given(0, numbers, torch.zeros_like(numbers), order=cards[rest], drawn=drawn)


def every_deal(game: Game, device: str | torch.device = "cpu", most: int = MOST_DEALS) -> State:
    """Every deal of a game, each as likely as the others; one may be there several times: D lanes.

    Where seats are looked at from one's own on, a dealer that is "random" or goes round is the last seat, for another
    one would only rename the seats (`with_last_dealer`).

    Raises:
        ValueError: in one line, when there are more than ``most``, or the game draws what cannot be listed.
    """
    try:
        _check_numbers(game)
        state = find_deals(game, _first_game(game, device), device, most).all()
    except UnlistedError as error:
        raise ValueError(f"the deals of {game!r} cannot be listed: {error}") from error
    _check(with_last_dealer(game), state)
    return state


def can_list(game: Game, most: int) -> bool:
    """Whether a game may have so few deals that `every_deal` lists them, as far as its hands tell: not a match, whose
    later deals are drawn as they come."""
    size, cards = game.deck_size, game.cards
    ways = math.prod(math.comb(size - seat * cards, cards) for seat in range(game.seats) if size >= seat * cards)
    return ways <= most and not hasattr(game, "later")


def told_apart(game: Game, deals: State) -> list[Tensor]:
    """The deals by what is public of them, such as trump, and so by games that no seat takes for one another: their
    numbers, [D'] int64 each."""
    part, _ = sight.number(sight.public(game, deals))
    order = part.argsort(stable=True)
    return list(order.split(part.bincount().tolist()))


def _check_numbers(game: Game) -> None:
    """Raises UnlistedError in a game that draws later by a hidden number, but that of a match's later games, all of
    which are listed when they are dealt (`later_deals`). Other hidden numbers, such as dice or bids that are made at
    once, have a range of their own in worlds."""
    dealt = game.deal(1)
    later = {"future"} if hasattr(game, "later") else set()
    numbers = {name for name, field in game.hidden(dealt).items() if field.holds == "number"} - later
    worlds = game.determinize(dealt, WORLDS, 0) if numbers else dealt
    for name in sorted(name for name in numbers if int(getattr(worlds, name).amax()) >= LARGE):
        raise UnlistedError(f"the hidden number {name}, by which chance comes in mid-game, may be any of 2**56")


def _first_game(game: Game, device: str | torch.device) -> Begin:
    """Deals as the game does when it begins."""
    view = copy(with_last_dealer(game))

    def begin(stream: Given) -> State:
        if hasattr(view, "later"):
            vars(view)["later"] = lambda future, number: replace(stream, later=number)
        try:
            return view.deal(len(stream.game), stream, device)
        except (TypeError, ValueError) as error:  # what is no seed to a game that makes a stream or generator of it
            raise UnlistedError("they take random numbers from elsewhere than `vecgame.dealing.numbers`") from error

    return begin


def with_last_dealer(game: Game) -> Game:
    """The game with the last seat as its dealer, if its rule `dealer` names no seat, and an observation is one of the
    library's that is counted from its viewer on. By default it tells which seat that is, and one of a game's own may:
    a network then does not have to play as well after every dealer, and all are listed."""
    rules, of = getattr(game, "rules", None), type(game).observe
    relative = of is not Game.observe and of.__module__.startswith(f"{Game.__module__.partition('.')[0]}.")
    if relative and getattr(rules, "dealer", None) in dealing.DEALER_CHOICES:
        return type(game)(replace(rules, dealer=game.seats - 1))
    return game


def later_deals(game: Game, before: State, action: Tensor, after: State, most: int) -> tuple[State, Tensor, Tensor]:
    """What a step may lead to in a match, whose steps deal the next game: all deals of it.

    Args:
        before: B games.
        action: [B] int64.
        after: the games after it, of which those dealt anew have one deal of many.
        most: games that there may be.

    Returns:
        C games; [C] int64, the lanes that they came from, ascending; [C] float64, the probability of each there.

    Raises:
        ValueError: in one line, when there are more than ``most``.
    """
    anew = _dealt_anew(game, before, after)
    old = (~anew).nonzero()[:, 0]
    states, origins, chances = [after.take(old)], [old], [torch.ones_like(old, dtype=torch.float64)]
    for number in after.number[anew].unique().tolist():
        lanes = (anew & (after.number == number)).nonzero()[:, 0]
        deals = _next_deals(game, before.take(lanes), action[lanes], most)
        if (total := sum(map(len, origins)) + len(lanes) * deals.count) > most:
            raise too_large(game, f"{total:,} nodes where game {number + 1} is dealt", most)
        states.append(deals.all(len(lanes)))
        origins.append(lanes.repeat_interleave(deals.count))
        chances.append(torch.full_like(origins[-1], 1 / deals.count, dtype=torch.float64))
    origin, order = torch.cat(origins).sort(stable=True)
    return concatenate(states).take(order), origin, torch.cat(chances)[order]


def deals_after(game: Game, before: State, action: Tensor, after: State, most: int) -> Tensor:
    """How many games `later_deals` would give for each: [B] int64."""
    anew, counts = _dealt_anew(game, before, after), torch.ones_like(action)
    for number in after.number[anew].unique().tolist():
        lanes = (anew & (after.number == number)).nonzero()[:, 0]
        counts[lanes] = _next_deals(game, before.take(lanes), action[lanes], most).count
    return counts


def _dealt_anew(game: Game, before: State, after: State) -> Tensor:
    """Which steps have dealt another game of a match: [B] bool."""
    return (after.number != before.number) & ~game.is_terminal(after)


def _next_deals(game: Game, before: State, action: Tensor, most: int) -> Deals:
    """The deals after ``action`` [B] int64 in matches ``before``, one step from the same number of finished games."""
    view, count = copy(game), None

    def begin(stream: Given) -> State:
        vars(view)["later"] = lambda future, number: replace(stream, later=number)
        lane = stream.game // (count or 1) % before.batch_size
        return view.step(before.take(lane), action[lane])

    deals = find_deals(game, begin, before.device, most)
    count = deals.count
    return deals


def find_deals(game: Game, begin: Begin, device: str | torch.device, most: int) -> Deals:
    """Finds in which ways ``begin`` deals.

    Raises:
        ValueError: in one line, when there are more than ``most``.
    """
    cards = range(game.deck_size) if game.copies else [c for c in range(game.layout.size) if game.deck >> c & 1]
    deck = torch.tensor(list(cards), device=device).long()
    probe = _probes(begin, deck)
    dealt = begin(probe)
    lanes = FEW
    blocks = _blocks(game, begin, probe, dealt, lanes, most)
    while not _may_change(begin, probe, dealt, _shuffled(blocks, probe.order), len(probe.game)):
        lanes = min(FEW * lanes, len(probe.game))  # so few did not tell two places apart that differ seldom
        blocks = _blocks(game, begin, probe, dealt, lanes, most)
    bounds = {draw: _period(begin, probe, dealt, draw, bound) for draw, bound in probe.asked.items()}
    deals = Deals(begin, deck, tuple(map(tuple, blocks)), bounds)
    if deals.count > most:
        raise too_large(game, f"{deals.count:,} deals", most)
    return deals


def _probes(begin: Begin, deck: Tensor) -> Given:
    """A stream of all orders of a small deck or of `PROBES` random ones, with random draws: M lanes."""
    size = len(deck)
    generator = torch.Generator().manual_seed(0)
    if math.factorial(size) <= ALL_ORDERS:
        orders = torch.tensor(list(itertools.permutations(range(size))), dtype=torch.int64)
        orders = orders.repeat(-(-PROBES // len(orders)), 1)  # several times, for the draws
    else:
        orders = torch.rand(PROBES, size, generator=generator).argsort(-1)
    game = torch.arange(len(orders), device=deck.device)
    stream = Given(0, game, torch.zeros_like(game), order=deck[orders.to(deck.device)])
    begin(_first(stream, 1))  # notes what is drawn
    drawn = {
        draw: torch.randint(bound, (len(orders),), generator=generator).to(deck.device)
        for draw, bound in stream.asked.items()
    }
    return replace(stream, drawn=drawn)


def _first(stream: Given, lanes: int) -> Given:
    """The first lanes of a stream."""
    drawn = {draw: numbers[:lanes] for draw, numbers in stream.drawn.items()}
    return replace(stream.take(torch.arange(lanes, device=stream.game.device)), order=stream.order[:lanes], drawn=drawn)


def _blocks(game: Game, begin: Begin, probe: Given, dealt: State, lanes: int, most: int) -> list[list[int]]:
    """The places of the deck that are alike in the first lanes, the largest block last, to be filled with what is left.

    Raises:
        ValueError: in one line, when there are so many that there are more than ``most`` deals.
    """
    blocks: list[list[int]] = []
    size = probe.order.shape[1]
    for place in range(size):
        for block in blocks:
            places = torch.arange(size, device=probe.order.device)
            places[place], places[block[0]] = block[0], place
            if _may_change(begin, probe, dealt, probe.order[:, places], lanes):
                block.append(place)
                break
        else:
            blocks.append([place])
            if math.factorial(len(blocks)) > most:
                raise too_large(game, f"over {math.factorial(len(blocks)):,} deals", most)
    return sorted(blocks, key=len)


def _shuffled(blocks: list[list[int]], order: Tensor) -> Tensor:
    """Orders [M, N] int64 with the cards within each block in another random order."""
    generator = torch.Generator().manual_seed(1)
    changed = order.clone()
    for block in blocks:
        places = torch.rand(len(order), len(block), generator=generator).argsort(-1).to(order.device)
        changed[:, block] = order[:, block].gather(1, places)
    return changed


def _may_change(begin: Begin, probe: Given, dealt: State, order: Tensor, lanes: int) -> bool:
    """Whether the first deals stay as they are with the deck in another order [M, N] int64."""
    return bool(_alike(begin(_first(replace(probe, order=order), lanes)), dealt[:lanes]).all())


def _period(begin: Begin, probe: Given, dealt: State, draw: Draw, bound: int) -> int:
    """After how many numbers of a draw the deals come back; 1 where it makes no difference."""
    for period in (number for number in range(1, bound) if bound % number == 0):
        reduced = replace(probe, drawn={**probe.drawn, draw: probe.drawn[draw] % period})
        if _alike(begin(reduced), dealt).all():
            return period
    return bound


def _alike(a: State, b: State) -> Tensor:
    """Which lanes are the same in all but their numbers: [B] bool."""
    pairs = ((x, getattr(b, name)) for name, x in a.tensors().items() if name != "index")
    return torch.stack([(x == y).reshape(len(x), -1).all(-1) for x, y in pairs]).all(0)


def fillings(blocks: Sequence[Sequence[int]]) -> Tensor:
    """All ways to put the numbers 0 .. N - 1 into blocks of N places, in ascending order within each: [C, N] int8."""
    count = sum(map(len, blocks))
    filled, left = torch.zeros(1, count, dtype=torch.int8), torch.arange(count, dtype=torch.int8)[None]
    for block in blocks:
        size = left.shape[1]
        chosen = torch.tensor(list(itertools.combinations(range(size), len(block))))
        others = torch.ones(len(chosen), size, dtype=torch.bool).scatter_(1, chosen, False)
        others = others.nonzero()[:, 1].view(len(chosen), size - len(block))
        filled = filled.repeat_interleave(len(chosen), 0)
        filled[:, list(block)] = left[:, chosen].flatten(0, 1)
        left = left[:, others].flatten(0, 1)
    return filled


def _check(game: Game, listed: State) -> None:
    """Raises ValueError, in one line, unless games as the game deals them are among those that are ``listed``."""
    drawn = [name for name, field in game.hidden(listed[:1]).items() if field.holds == "number"]  # a match's future
    dealt, known = (digest(state, drawn)[:, 0] for state in (game.deal(CHECKED, device=listed.device), listed))
    if not torch.isin(dealt, known).all():
        raise ValueError(f"the deals of {game!r} cannot be listed: they depend on more than its deck and its draws")


def too_large(game: Game, what: str, most: int) -> ValueError:
    """Says in one line what there is too much of, and which rules of the game make it smaller."""
    sizes = _sizes(game)
    smallest = game
    for name in sizes:
        smallest = _with_smaller(smallest, name, range(1, getattr(smallest.rules, name))) or smallest
    advice = "its rules offer none that is small enough"
    if sizes and _few_deals(smallest, most):
        advice = f"make smaller: {', '.join(f'{name} ({value})' for name, value in sizes.items())}"
    return ValueError(f"{game!r} is too large to enumerate: {what}, where {most:,} are the most; {advice}")


def _few_deals(game: Game, most: int) -> bool:
    """Whether a game that has no smaller one has few enough deals."""
    try:
        return find_deals(game, _first_game(game, "cpu"), "cpu", most).count <= most
    except ValueError:
        return False


def _sizes(game: Game) -> dict[str, int]:
    """The rules that are integers of which a smaller one makes a smaller game, with their values."""
    found = {}
    for rule in fields(game.rules) if hasattr(game, "rules") else ():
        value = getattr(game.rules, rule.name)
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        other = _with_smaller(game, rule.name, range(value - 1, 0, -1))
        before, after = ((g.decisions, g.deck_size, g.seats) for g in (game, other or game))
        if after != before and all(x <= y for x, y in zip(after, before, strict=True)):
            found[rule.name] = value
    return found


def _with_smaller(game: Game, name: str, numbers: Iterable[int]) -> Game | None:
    """The game with the first of some numbers that makes a game for one of its rules; None where none does."""
    for number in numbers:
        try:
            smaller = type(game)(replace(game.rules, **{name: number}))
            smaller.deal(1)  # a game of one's own may look at its rules then only, or be dealt too few cards
        except Exception:
            continue
        return smaller
    return None

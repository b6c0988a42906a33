"""What games without tricks share whose seats hold cards: a game of its own adds its rules to `HandGame`, in one file.

Cards are dealt, and from then on the seat ``to_move`` plays a card or does something else that the game has a name for.
What that does is the game's own; `vecgame.piles` moves cards between hands, stock and table.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import copies, counted, dealing, grouped, hidden, kinds, naming, piles, seeing, worlds
from vecgame.cards import Layout, Table, bit, pack, popcount, union, unpack
from vecgame.game import Game
from vecgame.hidden import Hidden
from vecgame.philox import MOST_DECISIONS, Stream, check_count, check_seed, turn_of, whole
from vecgame.state import State, first_values, starts


@dataclass(frozen=True)
class HandState(State):
    """B games for P seats. A game adds its own fields, says in `holds` which of them hold cards, seats or suits, and by
    `vecgame.starts` what they begin with.

    Of these some are known by their names: ``stock``, [B, N] int8 card ids, the next one first and then -1, and
    ``future``, [B] int64, by which cards are shuffled again (`vecgame.piles.stock_of`), are hidden; ``shown``, [B, P]
    int64, are cards that all know a seat to hold, beside those in ``hands``. What all know of the cards in ``hands`` is
    in ``may``, those that each entry of it may hold, as where a hint rules some out, and in ``needs``, of which it
    holds one at least in each of the game's `groups` that they are of, both int64 and of the shape of ``hands``.
    ``shuffled``, [B] int64, are cards that lay open when they were shuffled into the stock, below what was left of it,
    the last time: who draws and who plays since shows how many of them are where, and worlds keep to it. A ``dealer``,
    [B] int64, is drawn where the game begins (`HandGame.start`).

    In a game with `copies` hands are counts, and so is what is ``shown``, and its state says so: ``holds = {"hands":
    "counts"}``. There ``may``, [B, P] int64, are ids, and ``needs`` are not known.
    """

    holds: ClassVar = {
        **dict.fromkeys(("hands", "shown", *seeing.MARKS), "sets"),
        "stock": "cards",
        "to_move": "seats",
        "dealer": "seats",
    }

    hands: Tensor  # [B, P] int64 bitboards, the cards that each seat alone sees; or [B, P, size] int8 counts
    to_move: Tensor = starts(0)  # [B] int64, the seat that decides next
    made: Tensor = starts(0)  # [B] int64, decisions made


class HandGame(Game):
    """Deal and turns. A subclass sets the class attributes, or in `set_up` what depends on its rules, and overrides
    `act`, `points` and what else differs.

    A deck has one card of each id of its layout, or as many as ``copies`` says, [size]; then an id is all cards that
    look alike, and hands are counts of them (`vecgame.copies`).

    Actions are the cards by their ids, unless ``plays_cards`` is False, and then the ``others`` by their places, of
    which the first is number ``first_other``; "@1" in their names is the seat after who does it. Rules named
    ``players``, ``cards`` (dealt to a seat), ``suits``, ``ranks`` and ``decisions`` are taken for what they say; what
    has no rule is a class attribute, or set in `set_up`.
    A rule named ``dealer``, if its default is a seat, "random" or "rotate" (`vecgame.dealing.dealers`), must be one.
    The ``layout`` is that of its state's class, unless the game has one of its own.
    """

    state_type: ClassVar[type[HandState]] = HandState
    bare_states = (State, HandState)
    of_seats = "hands"
    plays_cards: ClassVar[bool] = True  # a card of the mover's is an action
    others: Sequence[str] = ()  # what else may be done, by name
    takes: Mapping[str, Sequence[int]] = {}  # the ids of the cards that some of them take out of the mover's hand
    groups: Sequence[int] = ()  # sets of cards, no two with one in common, of which more is known; else the ranks
    first_other: int

    def __init__(self, rules: object = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        own = type(self)
        self.seats = getattr(self.rules, "players", own.seats)
        self.cards = getattr(self.rules, "cards", own.cards)
        if hasattr(self.rules, "decisions"):
            self.decisions = self.rules.decisions
        self._lay_out()
        copied = sum(1 << card for card, copies in enumerate(self.copies) if copies)
        self.deck = self.deck or copied or self.layout.bits
        cards = [naming.card_name(self.layout, card) for card in range(self.layout.size)] if self.plays_cards else []
        self.action_names, self.first_other = (*cards, *self.others), len(cards)
        self.num_actions = len(self.action_names)
        self._check()
        taken = self._takings()
        self._ids = Table([sum(1 << card for card in cards) for cards in taken])  # [actions] int64
        ids = range(len(self.copies))
        self._counts = Table(torch.tensor([[cards[card] for card in ids] for cards in taken], dtype=torch.int8))
        self._numbers = copies.by_number(taken[self.first_other :])
        self.max_legal = getattr(self, "max_legal", self.num_actions)
        self.max_forced_run = getattr(self, "max_forced_run", self.decisions)

    def _lay_out(self) -> None:
        """Takes the suits and ranks that the rules say, and sets up what else they change. Raises ValueError where so
        many make no layout, and `set_up` has none of its own."""
        own, refused = type(self).layout, None
        self.layout = own = getattr(self.state_type, "layout", own) if own is Game.layout else own
        suits, ranks = (getattr(self.rules, name, getattr(own, name)) for name in ("suits", "ranks"))
        try:
            self.layout = own if (suits, ranks) == (own.suits, own.ranks) else Layout(suits, ranks)
        except ValueError as error:
            refused = error
        self.set_up()
        if refused is not None and self.layout is own:
            raise refused

    def _check(self) -> None:
        """Raises ValueError on numbers that make no game, and on a state that says what it holds of no field."""
        self._check_copies()
        self._check_shuffled()
        dealing.check_sizes(self)
        dealing.check_dealer_of(self)
        kinds.check_holds(self.state_type, self.bare_states)
        name = type(self).__name__
        if getattr(self, "decisions", None) is None:
            raise ValueError(f"{name} does not say how many decisions it has at most: set decisions")
        if whole(self.decisions, -1) != self.decisions:
            raise ValueError(f"decisions of {name} must be a whole number, got {self.decisions!r}")
        if not 1 <= self.decisions <= MOST_DECISIONS:
            raise ValueError(f"{name} has {self.decisions} decisions; there may be 1 to {MOST_DECISIONS}")

    def _check_copies(self) -> None:
        """Raises ValueError where hands are not held as the deck needs it."""
        name, holds = self.state_type.__name__, kinds.said(self.state_type)
        if not self.copies:
            if counted := [field for field, kind in holds.items() if kind == "counts"]:
                raise ValueError(f"{name} says that {counted[0]} holds counts, but {type(self).__name__} has no copies")
            return
        copies.check(self.copies, self.deck, self.layout.size)
        if "needs" in self._fields():
            raise ValueError(f"{name} has needs, which say nothing of hands that are counts, as copies make them")
        if sets := [field for field in sorted(self._fields() - {"may"}) if holds.get(field) == "sets"]:
            holds = f'holds = {{"{sets[0]}": "counts"}}'
            raise ValueError(f"{type(self).__name__} has copies, so that {sets[0]} is no bitboard: {name}.{holds}")
        if type(self).keeps is not HandGame.keeps:
            raise ValueError(f"{type(self).__name__} says what a seat keeps, which is not asked where hands are counts")

    def _check_shuffled(self) -> None:
        """Raises ValueError where the state says what was shuffled, and more that worlds are drawn by."""
        said = [name for name in ("may", "needs") if name in self._fields()]
        said += ["copies"] * bool(self.copies) + ["keeps"] * (type(self).keeps is not HandGame.keeps)
        if seeing.SHUFFLED in self._fields() and said:
            raise ValueError(f"{type(self).__name__} has shuffled and {said[0]}, of which worlds are drawn by one only")

    def _takings(self) -> list[Counter[int]]:
        """The cards that each action takes out of the mover's hand, by id. Raises ValueError where `takes` names none
        of the ``others``, or cards that nobody can hold in the game that says so; in a smaller form they may lack."""
        says = next(one for one in (self, *type(self).__mro__) if "takes" in vars(one))
        most = (says.copies or self.copies) if self.copies else (1,) * self.layout.size
        for name, cards in self.takes.items():
            if name not in self.others:
                raise ValueError(f"takes of {type(self).__name__} names {name!r}, which is none of its others")
            for card, number in Counter(cards).items():
                if card not in range(self.layout.size):
                    raise ValueError(f"{name!r} takes id {card}, which is no card")
                if number > most[card]:
                    raise ValueError(f"{name!r} takes {number} of id {card}, of which there are {most[card]}")
        cards = [Counter([card]) for card in range(self.first_other)]
        return cards + [Counter(self.takes.get(name, ())) for name in self.others]

    def set_up(self) -> None:
        """Sets what the rules change of the class attributes: ``layout``, ``copies`` and ``deck``, ``others``,
        ``decisions``, the lowest and highest score, and ``max_legal`` where not all actions can be legal at once."""

    def deal(
        self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0
    ) -> HandState:
        """`cards` cards of the shuffled deck to each seat, one seat after the other; the rest is the stock."""
        stream, dealt = dealing.numbers(batch_size, seed, device, first_index), self.seats * self.cards
        if self.copies:
            every = copies.of_deck(self.copies, stream.game.device).expand(len(stream.game), -1)
            deck = piles.stock_of(stream, every, self.deck_size)
            ends = self.cards * torch.arange(1, self.seats + 1, device=deck.device)
            hands = copies.cut(deck, ends.expand(len(deck), -1).contiguous(), self.layout.size)
        else:
            deck = dealing.shuffled(stream, self.deck, self.layout.size)
            hands = bit(deck[:, :dealt]).view(len(deck), self.seats, self.cards).sum(-1)
        place = torch.arange(deck.shape[1], device=deck.device)
        stock = torch.where(place < self.deck_size - dealt, deck.roll(-dealt, -1), -1).to(torch.int8)
        return self.begin(stream, hands, stock)

    def begin(self, stream: Stream, hands: Tensor, stock: Tensor) -> HandState:
        """The state before the first decision, made by `start`: by default with what all fields begin with.

        Args:
            stream: the games' random numbers, for what else is drawn.
            hands: [B, P] int64 bitboards, or [B, P, size] int8 counts in a game with copies.
            stock: [B, size] int8, the cards not dealt in random order, then -1: as many places as there are cards, in
                a game with copies as there are in its deck.
        """
        return self.start(stream, hands, **({"stock": stock} if "stock" in self._fields() else {}))

    def start(self, stream: Stream, hands: Tensor, **own: Tensor) -> HandState:
        """A state with these hands and nothing done yet, seat 0 to move unless ``to_move`` says another; ``own`` are
        other fields, as far as they do not begin with what `vecgame.starts` says. Of those known by their names
        ``future`` is drawn, nothing is ``shown``, and hands ``may`` hold all cards and have no ``needs``; a ``dealer``,
        [B] int64, is drawn, by a rule of that name if there is one, and the seat after it is the first to move."""
        names, zeros = self._fields(), torch.zeros_like(hands)
        deck = torch.full_like(hands[..., 0] if self.copies else hands, self.deck, dtype=torch.int64)
        known = {"shown": zeros, "may": deck, "shuffled": torch.zeros_like(stream.game)}
        known |= {} if self.copies else {"needs": zeros}
        if "future" in names - own.keys():
            known["future"] = dealing.future_of(stream)
        values = {name: value for name, value in known.items() if name in names}
        values |= first_values(self.state_type, self, stream.game)
        if "dealer" in names - own.keys() - values.keys():
            values["dealer"] = dealing.dealers(stream, getattr(self.rules, "dealer", "random"), self.seats)
            values["to_move"] = (values["dealer"] + 1) % self.seats
        values |= {"index": stream.game, "hands": hands, **own}
        if missing := sorted(names - values.keys()):
            kind = self.state_type.__name__
            raise ValueError(f"{kind}: {', '.join(missing)} begin with nothing: declare it by starts(..), or give it")
        return self.state_type(**values)

    def _fields(self) -> set[str]:
        return {field.name for field in fields(self.state_type)}

    def turn(self, state: HandState) -> Tensor:
        return turn_of(state.made)

    def mover(self, state: HandState) -> Tensor:
        return state.to_move

    def over(self, state: HandState) -> Tensor:
        """Whether the game ends before there have been `decisions` decisions: [B] bool. By default it never does."""
        return torch.zeros_like(state.made, dtype=torch.bool)

    def is_terminal(self, state: HandState) -> Tensor:
        return (state.made == self.decisions) | self.over(state)

    def held(self, state: HandState) -> Tensor:
        """All cards that each seat holds, those that are known too: [B, P] int64, or [B, P, size] int8 counts."""
        if not hasattr(state, "shown"):
            return state.hands
        return state.hands + state.shown if self.copies else state.hands | state.shown

    def legal_cards(self, state: HandState) -> Tensor:
        """The cards that the mover may play: [B] int64, by default all that it holds; in a game with copies the ids."""
        mine = piles.entry(self.held(state), self.mover(state))
        return copies.ids_of(mine) if self.copies else mine

    def legal_others(self, state: HandState) -> Sequence[Tensor] | Tensor:
        """Which of the ``others`` may be done: [B] bool each, or of hundreds in one tensor, [B, others]. By default all
        may be."""
        return [torch.ones_like(state.made, dtype=torch.bool)] * len(self.others)

    def legal_mask(self, state: HandState) -> Tensor:
        """Legal actions: [B, num_actions] bool; the first one where the game is over."""
        masks = [unpack(self.legal_cards(state), size=self.layout.size)] if self.plays_cards else []
        others = self.legal_others(state)
        others = others if isinstance(others, Tensor) else torch.stack([*others], -1) if others else None
        masks += [] if others is None else [others & self._holds(state) if self.takes else others]
        first = torch.arange(self.num_actions, device=state.device) == 0
        return torch.where(self.is_terminal(state)[:, None], first, torch.cat(masks, -1))

    def _holds(self, state: HandState) -> Tensor:
        """Whether the mover holds what each of the ``others`` takes: [B, others] bool. Raises ValueError where hands
        are places of cards, [B, P, H], from which the game itself takes them."""
        mine = piles.entry(self.held(state), self.mover(state))[:, None]
        if mine.ndim != 2 + bool(self.copies):
            raise ValueError(f"{type(self).__name__} says what its others take, but its hands are places of cards")
        if self.copies:
            asked = ((pack(mine >= number), ids.on(state.device)) for number, ids in self._numbers.items())
            return functools.reduce(torch.logical_and, (held & ids == ids for held, ids in asked))
        taken = self._ids.on(state.device)[self.first_other :]
        return mine & taken == taken

    def taken_by(self, action: Tensor) -> Tensor:
        """The cards that actions [B] int64 take out of the mover's hand, the card that is played or what `takes` says
        of one of the ``others``: [B] int64 bitboards, or [B, size] int8 counts in a game with copies."""
        return (self._counts if self.copies else self._ids)[action.clamp(0, self.num_actions - 1)]

    @abstractmethod
    def act(self, state: HandState, action: Tensor, card: Tensor) -> HandState:
        """What a decision does, whose turn it is then included: the state after it but for `made`. What this gives for
        a game that is over does not count.

        Args:
            state: with the card that is played no longer among those that its seat holds.
            action: [B] int64.
            card: [B] int64, the card that is played, as a bitboard of one, or those that one of the ``others``
                `takes`; 0 where none is. In a game with copies the ids are in it, see `taken_by`.
        """

    def step(self, state: HandState, action: Tensor) -> HandState:
        """As of any `Game`, by `act`."""
        going = ~self.is_terminal(state)
        card = self._ids[action.clamp(0, self.num_actions - 1)]
        after = self.act(self._without(state, self.taken_by(action)), action, card).where(going, state)
        return replace(after, made=state.made + going)

    def _without(self, state: HandState, cards: Tensor) -> HandState:
        """The state without the cards that the mover plays, [B] int64 or [B, size] int8, as far as it holds them."""
        if not self.plays_cards and not self.takes:
            return state
        if self.copies:
            left = piles.only(self.mover(state), cards, self.seats)
            fields = {}
            for name in ("shown", "hands"):  # of two that look alike, the one that all know of
                if hasattr(state, name):
                    taken = torch.minimum(getattr(state, name), left)
                    fields[name], left = getattr(state, name) - taken, left - taken
            return replace(state, **fields)
        held = ("hands", "shown") if hasattr(state, "shown") else ("hands",)
        return replace(state, **{name: getattr(state, name) & ~cards[:, None] for name in held})

    def action_name(self, action: int, state: HandState | None = None, lane: int = 0) -> str:
        """As of any `Game`; of one of the ``others`` with "@1" in its name, the seat that this is in this state."""
        name = super().action_name(action, state, lane)
        if "@" not in name:
            return name
        return naming.aimed(name, None if state is None else int(self.mover(state)[lane]), self.seats)

    @abstractmethod
    def points(self, state: HandState) -> Tensor:
        """Points of a finished game: [B, P] float32 by absolute seat."""

    def scores(self, state: HandState) -> Tensor:
        return torch.where(self.is_terminal(state)[:, None], self.points(state), 0.0)

    def hidden(self, state: HandState) -> Mapping[str, Hidden]:
        """A seat sees its own hand only, nobody the stock and what comes later."""
        hands = Hidden("own", "counts" if self.copies else "sets")
        known = {"hands": hands, "stock": Hidden("nobody", "cards"), "future": Hidden("nobody", "number")}
        known |= dict.fromkeys(seeing.MARKS, Hidden("all", place=False))
        return {name: told for name, told in known.items() if hasattr(state, name)}

    def lot(self, state: HandState) -> Tensor | None:
        """As of any `Game`: what was ``shuffled``, where the state says so."""
        return getattr(state, seeing.SHUFFLED, None)

    def keeps(self, cards: Tensor) -> Tensor:
        """Whether a seat may hold just these cards of one of the `groups`, shown ones among them: [...] int64 -> [...]
        bool. By default any; in a game in which four of a rank are laid down at once not all four. It is asked of
        cards that no seat sees, for worlds."""
        return torch.ones_like(cards, dtype=torch.bool)

    def determinize(self, state: HandState, count: int = 3, seed: int = 0) -> HandState:
        """As of any `Game`; where the state says what hands ``may`` hold, or which ``needs`` they have, or the game
        what a seat `keeps`, these are drawn by it."""
        by_group = hasattr(state, "needs") or type(self).keeps is not HandGame.keeps
        if not by_group and not hasattr(state, "may"):
            return super().determinize(state, count, seed)
        self.check_state(state)
        count, seed = check_count(count), check_seed(seed)
        if self.copies:
            return self._worlds_of_copies(state, count, seed)
        drawn = ~self.hidden(state)["hands"].seen_by(self.mover(state)) & (state.hands != 0)
        none, any_card = torch.zeros_like(state.hands), torch.full_like(state.hands, self.deck)
        needs, may = torch.where(drawn, popcount(state.hands), 0), getattr(state, "may", any_card)
        unseen, turn = hidden.unseen(self, state), self.turn(state)
        if by_group:
            known = [needs, may, getattr(state, "needs", none), getattr(state, "shown", none)]
            ranks = [self.layout.rank_bits(rank) for rank in range(self.layout.ranks)]
            rules = self.groups or ranks, self.keeps
            draw = functools.partial(grouped.draw_hands, unseen, *(field.flatten(1) for field in known), *rules)
        else:
            draw = functools.partial(worlds.draw_hands, unseen, needs.flatten(1).t(), may.flatten(1).t())
        hands = draw(index=state.index, turn=turn, count=count, seed=seed, layout=self.layout)
        lanes, hands = state.repeat(count), hands.permute(2, 1, 0).reshape(-1, *drawn.shape[1:])
        hands = torch.where(drawn.repeat_interleave(count, 0), hands, lanes.hands)
        return hidden.dealt_anew(self, replace(lanes, hands=hands), count, seed, given=("hands",))

    def _worlds_of_copies(self, state: HandState, count: int, seed: int) -> HandState:
        """As `determinize`, of a game with copies whose state says what hands ``may`` hold."""
        told, mover, lanes = self.hidden(state), self.mover(state), state.repeat(count)
        seen = told["hands"].seen_by(mover)[..., 0]
        needs = torch.where(seen, 0, state.hands.sum(-1, dtype=torch.int64)).flatten(1)
        unseen, place = copies.unseen(self, state, told, mover), {"index": state.index, "turn": self.turn(state)}
        hands = counted.draw_hands(unseen, needs, state.may.flatten(1), **place, count=count, seed=seed)
        hands = hands.flatten(0, 1).view(lanes.hands.shape)
        lanes = replace(lanes, hands=torch.where(seen.repeat_interleave(count, 0)[..., None], lanes.hands, hands))
        return hidden.dealt_anew(self, lanes, count, seed, given=("hands",))

    def open_cards(self, state: HandState) -> Tensor:
        """The cards in the fields that `hidden` does not name, but for those in a hidden place too, of which such a
        field tells something, such as which one was turned up: [B] int64. In a game with copies all in these fields,
        [B, size] int64, as there is no telling which of several is meant; there a mark is a field with ``place`` False.
        """
        told = self.hidden(state)
        apart = {*told, *seeing.MARKS}  # marks, which are no place in a game with a `hidden` of its own either
        held = {name: kind for name, kind in seeing.kinds(state, told).items() if name not in apart}
        if self.copies:
            size, none = self.layout.size, state.index.new_zeros(state.batch_size, self.layout.size)
            lying = (copies.of_all(getattr(state, at), kind, size) for at, kind in held.items() if kind in copies.KINDS)
            return sum(lying, none)
        bits = [hidden.bits_of(getattr(state, name), kind) for name, kind in held.items() if kind in ("sets", "cards")]
        named = union(torch.cat([state.index.new_zeros(state.batch_size, 1), *bits], -1))
        # No sum of the places: where some of them are dealt anew, a card may lie in two until the others are too.
        return named & ~union(hidden.places(told, state))

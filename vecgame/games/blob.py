"""Blob (Oh Hell) for two to eight seats, a trick game in which every seat bids how many tricks it will win."""

from copy import copy
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from vecgame import dealing, hidden
from vecgame.cards import DECK, NO_TRUMP, SUITS, TRUMP_NAMES, bit, deck_bits, list_cards, same_as_lower, suit_of
from vecgame.games import blob_observation
from vecgame.games.blob_rules import BIDDER, FOREHEAD, ONCE, OWN, TURNED, Rules, score
from vecgame.games.blob_state import BlobState
from vecgame.games.exact_bids import ExactBids
from vecgame.hidden import Hidden
from vecgame.lanes import around, entries, pick, place_of, working
from vecgame.philox import Purpose, Stream, check_seed
from vecgame.symmetry import SuitSymmetry

BIDS_FROM = 1 << 10  # in a world's random numbers: after those of its cards
DOWN_UP, UP_DOWN = "down-up", "up-down"


def schedule(cards: int, players: int, order: str = DOWN_UP, ones: int = 0) -> tuple[int, ...]:
    """Cards to a seat in each game of a match; ``ones`` games of one card in a row, 0 = as many as is usual."""
    if order == DOWN_UP:
        return (*range(cards, 1, -1), *[1] * (ones or players + 1), *range(2, cards + 1))
    end = [1] * (ones or 1)
    return (*end, *range(2, cards + 1), *range(cards - 1, 1, -1), *(end if cards > 1 else []))


class Blob(ExactBids):
    """The rules of Blob for a whole batch; see `Rules` for what can be changed.

    Action b is the bid b during the bidding and card b afterwards. ``Blob(cards=5, hook=False)`` and
    ``Blob(Rules(cards=5, hook=False))`` are the same, equal and hash alike.
    """

    name = "blob"
    rules_type = Rules
    state_type = BlobState

    def set_up(self) -> None:
        rules = self.rules
        self.deck = deck_bits(rules.suits, rules.ranks)
        self.bids = self.most_bids = self.cards + 1
        self.first_bid, self.opening, self.last_bid = 0, rules.opening, self.seats - 1
        if rules.trump == BIDDER:
            self.most_bids = max(self.most_bids, len(rules.trumps))
            self.bids = max(self.bids, NO_TRUMP + 1)
        self.lowest, self.highest = rules.range
        self.merges = False  # see `merged`

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.merges == other.merges

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.merges))

    def __repr__(self) -> str:
        return super().__repr__() + (".merged()" if self.merges else "")

    def merged(self) -> "Blob":
        """The same game on the same states, but of several cards that are the same move only the lowest is among the
        `legal_actions`, with the prior of them all.

        Cards of a suit in the mover's hand are the same move when no card between them lies on the table or is unseen
        by the mover: they win and lose against the same cards now and later. `legal_mask` and `step` know them all.
        """
        view = copy(self)
        view.merges = True
        return view

    def sitting(self, games: int = 0) -> tuple["Blob", ...]:
        """The games of a match, or the first so many. What would be drawn anew in each, dealer and trump, rotates."""
        drawn = {name: "rotate" for name in ("trump", "dealer") if getattr(self.rules, name) == "random"}
        hands = schedule(self.cards, self.seats)[: games or None]
        return tuple(type(self)(self.rules, cards=cards, **drawn) for cards in hands)

    # -- beginning a game ---------------------------------------------------------------------------------------------

    @property
    def turns(self) -> bool:
        """Whether a card is turned up for trump: not when all of them are dealt."""
        return self.rules.trump == TURNED and self.seats * self.cards < self.deck.bit_count()

    def chance(self) -> dict[str, int]:
        if self.rules.trump in (TURNED, BIDDER):
            return {**super().chance(), **({"turned": DECK - 1} if self.turns else {})}
        return {**super().chance(), "trump": NO_TRUMP}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        drawn = super().draw(stream, rest)
        if self.turns:
            return {**drawn, "turned": rest[:, 0]}
        if self.rules.trump in (TURNED, BIDDER):
            return drawn
        return {**drawn, "trump": dealing.trumps(stream, self.rules.trump, self.rules.trumps)}

    def from_hands(
        self,
        hands: Tensor,
        dealer: Tensor | int,
        trump: Tensor | int | None = None,
        index: Tensor | None = None,
        turned: Tensor | int | None = None,
    ) -> BlobState:
        """Games with given hands, before the first bid.

        Args:
            hands: [B, P, cards] integer card ids of each absolute seat, all different within a game.
            dealer: [B] integer seats (or one for all).
            trump: [B] integers, suit 0..3, 4 = none (or one for all). Not given under trump "turned" or "bidder".
            index: [B] integer game numbers, 0 .. 2**56 - 1, which fix the games' random numbers; 0.. by default.
            turned: [B] integer card ids of the cards turned up (or one for all); given under trump "turned" only.

        Raises:
            ValueError: on another shape, a card outside the deck or dealt twice, a seat or trump that is none.
        """
        given = {"trump": trump, "turned": turned}
        needed = set(self.chance()) - {"dealer"}
        if needed != {name for name, value in given.items() if value is not None}:
            raise ValueError(
                "give from_hands the cards `turned` up and no `trump`: these rules turn trump up"
                if self.turns
                else "give from_hands a `trump`, and no `turned`: these rules turn no card up"
                if needed
                else "give from_hands neither `trump` nor `turned`: all cards are dealt, so none is turned up for trump"
                if self.rules.trump == TURNED
                else "give from_hands neither `trump` nor `turned`: these rules leave trump to the play"
            )
        state = super().from_hands(hands, index, dealer=dealer, **{name: given[name] for name in needed})
        if ((state.trump >= self.rules.suits) & (state.trump != NO_TRUMP)).any():
            raise ValueError(f"trump must be a suit of this deck, 0..{self.rules.suits - 1}, or {NO_TRUMP} for none")
        return state

    def begin(
        self, hands: Tensor, index: Tensor, dealer: Tensor, trump: Tensor | None = None, turned: Tensor | None = None
    ) -> BlobState:
        turned = torch.full_like(index, -1) if turned is None else turned
        if trump is None:
            trump = torch.where(turned < 0, NO_TRUMP, suit_of(turned))
        return self.start(
            hands,
            index,
            leader=(dealer + 1) % self.seats,
            trump=trump.to(torch.int8),
            dealer=dealer.to(torch.int8),
            seen=torch.where(turned < 0, 0, bit(turned.clamp(min=0))),
        )

    # -- playing it ---------------------------------------------------------------------------------------------------

    def mover(self, state: BlobState) -> Tensor:
        mover = super().mover(state)
        return torch.where(self._naming(state), self._bidder(state), mover) if self.rules.trump == BIDDER else mover

    def _naming(self, state: BlobState) -> Tensor:
        """[B] bool, all have bid and the highest bidder says what is trump."""
        return state.made == self.seats

    def trump_named(self, state: BlobState) -> Tensor | None:
        return state.made > self.seats if self.rules.trump == BIDDER else None

    def _bidder(self, state: BlobState) -> Tensor:
        """The seat with the highest bid, of several the first to make it: [B] int64."""
        seat = torch.arange(self.seats, device=state.device)
        turn = around(seat - state.dealer[:, None] - 1, self.seats)
        return (state.bids.long() * self.seats - turn).argmax(-1)

    def legal_bids(self, state: BlobState) -> Tensor:
        bids = super().legal_bids(state)
        if self.rules.trump != BIDDER:
            return bids
        trumps = sum(1 << TRUMP_NAMES.index(name) for name in self.rules.trumps)
        return torch.where(self._naming(state), trumps, bids)

    def bid(self, state: BlobState, place: Tensor, bid: Tensor, bidding: Tensor) -> BlobState:
        if self.rules.trump == BIDDER:
            naming = self._naming(state)
            state = replace(state, trump=torch.where(naming, bid.clamp(max=NO_TRUMP), state.trump))
            bidding = bidding & ~naming
        return super().bid(state, place, bid, bidding)

    def bid_name(self, bid: int, state: BlobState | None = None) -> str:
        names = self.rules.trump == BIDDER and state is not None and bool(self._naming(state))
        return f"name {TRUMP_NAMES[bid].replace('none', 'no trump')}" if names else super().bid_name(bid, state)

    def hooked(self, state: BlobState) -> Tensor:
        bound, cards = super().hooked(state), self.cards_of(state)
        if (self.rules.hook_from, self.rules.hook_to) == (1, DECK):
            return bound
        return bound & (self.rules.hook_from <= cards) & (cards <= self.rules.hook_to)

    def moves(self, state: BlobState) -> Tensor:
        legal = self.legal_bits(state)
        return legal & ~self._repeats(state, legal) if self.merges else legal

    def _repeats(self, state: BlobState, legal: Tensor) -> Tensor:
        """Of the legal actions [B] those that are the same move as a lower one: [B] int64 bitboards."""
        hand = entries(state.hands, place_of(self.mover(state), self.seats))
        table = torch.where(state.trick >= 0, bit(state.trick.clamp(min=0)), 0).sum(-1)
        unseen = self.deck & ~(hand | state.seen)
        return torch.where(self.bidding(state), 0, same_as_lower(legal, unseen | table))

    def slot_logits(self, state: BlobState, actions: Tensor, logits: Tensor) -> Tensor:
        slots = super().slot_logits(state, actions, logits)
        if not self.merges:
            return slots
        lanes = working(self._repeats(state, self.legal_bits(state)) != 0)
        if lanes is not None and len(lanes) == 0:
            return slots
        summed = self._summed_logits(state.take(lanes), pick(actions, lanes), pick(logits, lanes))
        return summed if lanes is None else slots.index_copy(0, lanes, summed)

    def _summed_logits(self, state: BlobState, actions: Tensor, logits: Tensor) -> Tensor:
        """`slot_logits`, each the logarithm of the sum over the moves that are the same."""
        legal = self.legal_bits(state)
        every = list_cards(legal, self.max_legal)
        each = super().slot_logits(state, every, logits)
        repeat = (self._repeats(state, legal)[:, None] >> every.clamp(min=0)) & 1
        slot = ((every >= 0) & (repeat == 0)).cumsum(-1) - 1  # where each action's prior goes; fillers have none
        most = each.amax(-1, keepdim=True)
        share = torch.zeros_like(each).scatter_add(1, slot, (each - most).exp())
        share = share.clamp(min=torch.finfo(share.dtype).tiny)  # a legal action stays one, however improbable
        return torch.where(actions >= 0, share.log() + most, -torch.inf)

    # -- ending it ----------------------------------------------------------------------------------------------------

    def points(self, state: BlobState) -> Tensor:
        return score(self.rules, state.bids, state.won)

    # -- what a player knows ------------------------------------------------------------------------------------------

    def observe(self, state: BlobState, seat: Tensor | None = None) -> Tensor:
        """Features of what the mover (or ``seat``, [B] int64) knows: [B, F] float32, see `blob_observation`."""
        return blob_observation.observe(self, state, self.mover(state) if seat is None else seat)

    @cached_property
    def features(self) -> int:
        """Columns of an observation."""
        return blob_observation.features(self.seats, shown=self.rules.sight == FOREHEAD)

    def columns(self) -> list[tuple[int, str]]:
        return blob_observation.columns(self.seats, shown=self.rules.sight == FOREHEAD)

    def suit_symmetry(self) -> SuitSymmetry | None:
        """None in decks of fewer suits, where it is known which suits hold no cards, and where bids name suits."""
        alike = self.rules.suits == SUITS and self.rules.trump != BIDDER
        return blob_observation.symmetry(self.seats, self.rules.sight == FOREHEAD) if alike else None

    def unsighted(self, state: BlobState) -> Tensor | None:
        """[B] bool, games whose bids are made without a sight of one's cards; None under rules that have none such."""
        if self.rules.sight == OWN:
            return None
        return self._dealt(state) <= self.rules.sight_to

    def _dealt(self, state: BlobState) -> Tensor:
        """`cards_of` lane by lane: [B] int64, filled in on the device, as a number copied there would be waited for."""
        return torch.zeros_like(state.index) + self.cards_of(state)

    def veiled(self, state: BlobState) -> Tensor | None:
        """[B] bool, these bids are made now: seats do not see their own cards."""
        unsighted = self.unsighted(state)
        return None if unsighted is None else unsighted & (state.made < self.seats)

    def hidden(self, state: BlobState) -> dict[str, Hidden]:
        """A seat sees its own hand, and all bids; `Rules.bidding` changes that while bids are made, and `Rules.sight`,
        by which what was seen on the others' foreheads stays known."""
        fields, veiled = super().hidden(state), self.veiled(state)
        own = fields["hands"].sees
        if veiled is not None:
            sees = own & ~veiled[:, None, None]
            others = self.unsighted(state)[:, None, None] & ~own & (self.rules.sight == FOREHEAD)
            fields["hands"] = Hidden(sees | others)
        if self.rules.bidding == ONCE:
            fields["bids"] = Hidden(own | (state.made >= self.seats)[:, None, None], "number", place=False)
        return fields

    def determinize(self, state: BlobState, count: int = 3, seed: int = 0) -> BlobState:
        """As of any `TrickGame`. Of bids that the mover does not know yet any is as likely as the other."""
        drawn, seed = super().determinize(state, count, seed), check_seed(seed)
        if (self.rules.sight == OWN and self.rules.bidding != ONCE) or state.batch_size == 0:
            return drawn
        known = self.hidden(drawn)
        if self.rules.sight != OWN:  # any card that a seat has not seen may be anywhere, or all hands have been seen
            anew = hidden.dealt_anew(self, state.repeat(count), count, seed, given=["bids"])
            told = self.unsighted(drawn) if self.rules.sight == FOREHEAD else self.veiled(drawn)
            drawn = replace(drawn, hands=torch.where(told[:, None], anew.hands, drawn.hands))
        if self.rules.bidding == ONCE:
            stream = Stream.of_worlds(seed, state.index, self.turn(state), count).at(BIDS_FROM)
            bids = stream.uniform(Purpose.HIDDEN, self.seats) * (self._dealt(drawn)[:, None] + 1)
            unknown = ~known["bids"].seen_by(self.mover(drawn)) & (drawn.bids >= 0)
            drawn = replace(drawn, bids=torch.where(unknown, bids.to(torch.int8), drawn.bids))
        return drawn

"""Blob (Oh Hell) for three to seven seats, a trick game in which every seat bids how many tricks it will win."""

from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from vecgame import dealing
from vecgame.cards import DECK, NO_TRUMP, SUITS, bit, deck_bits, list_cards, same_as_lower, suit_of
from vecgame.games import blob_observation
from vecgame.games.blob_rules import TURNED, Rules, score
from vecgame.games.blob_state import BlobState
from vecgame.lanes import entries, none, pick, place_of, with_entries, working
from vecgame.philox import Stream
from vecgame.symmetry import SuitSymmetry
from vecgame.tricks import TrickGame


class Blob(TrickGame):
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
        self.first_bid, self.opening = 0, self.seats
        self.highest = rules.max_score
        self.merges = False  # see `merged`

    def __init__(self, rules: Rules | None = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        self.features = blob_observation.features(self.seats)

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

    # -- beginning a game ---------------------------------------------------------------------------------------------

    def chance(self) -> dict[str, int]:
        drawn = ("turned", DECK - 1) if self.rules.trump == TURNED else ("trump", NO_TRUMP)
        return {"dealer": self.seats - 1, **dict([drawn])}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        if self.rules.trump == TURNED:
            return {**super().draw(stream, rest), "turned": rest[:, 0]}
        trump = dealing.trumps(stream, self.rules.trump, self.rules.trumps)
        return {**super().draw(stream, rest), "trump": trump}

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
            trump: [B] integers, suit 0..3, 4 = none (or one for all). Not given under trump "turned".
            index: [B] int64 game numbers, which fix the games' random numbers; 0.. by default.
            turned: [B] integer card ids of the cards turned up (or one for all); given under trump "turned" only.

        Raises:
            ValueError: on another shape, a card outside the deck or dealt twice, a seat or trump that is none.
        """
        turning = self.rules.trump == TURNED
        if (trump is None) != turning or (turned is None) == turning:
            raise ValueError(
                "give from_hands the cards `turned` up and no `trump`: these rules turn trump up"
                if turning
                else "give from_hands a `trump`, and no `turned`: these rules turn no card up"
            )
        drawn = {"turned": turned} if turning else {"trump": trump}
        state = super().from_hands(hands, index, dealer=dealer, **drawn)
        if turning and (state.seen & (state.hands.sum(-1) | ~self.deck) != 0).any():
            raise ValueError("turned must be a card of the deck that is not dealt")
        if ((state.trump >= self.rules.suits) & (state.trump != NO_TRUMP)).any():
            raise ValueError(f"trump must be a suit of this deck, 0..{self.rules.suits - 1}, or {NO_TRUMP} for none")
        return state

    def begin(
        self, hands: Tensor, index: Tensor, dealer: Tensor, trump: Tensor | None = None, turned: Tensor | None = None
    ) -> BlobState:
        return self.start(
            hands,
            index,
            leader=(dealer + 1) % self.seats,
            bids=torch.full(hands.shape[:2], -1, dtype=torch.int8, device=hands.device),
            trump=(suit_of(turned) if trump is None else trump).to(torch.int8),
            dealer=dealer.to(torch.int8),
            seen=torch.zeros_like(index) if turned is None else bit(turned),
        )

    # -- playing it ---------------------------------------------------------------------------------------------------

    def cards_of(self, state: BlobState) -> int | Tensor:
        """Cards dealt to each seat: one number for all lanes, or [B] int64."""
        return self.cards

    def trump(self, state: BlobState) -> Tensor:
        return state.trump

    def legal_bids(self, state: BlobState) -> Tensor:
        return ((1 << (self.cards_of(state) + 1)) - 1) & ~self.hook_bits(state)

    def bid(self, state: BlobState, place: Tensor, bid: Tensor, bidding: Tensor) -> BlobState:
        made = torch.where(bidding, bid, entries(state.bids, place))
        return replace(state, bids=with_entries(state.bids, place, made))

    def hook_bits(self, state: BlobState) -> Tensor:
        """The bid that the hook forbids the dealer, as a bitboard: [B] int64, 0 where none is forbidden."""
        bound = state.made == self.seats - 1
        if not self.rules.hook or none(bound):
            return torch.zeros_like(state.seen)
        left = self.cards_of(state) - state.bids.clamp(min=0).sum(-1)  # the dealer's own bid is still -1
        return torch.where(bound & (left >= 0), bit(left.clamp(min=0)), 0)

    def moves(self, state: BlobState) -> Tensor:
        legal = self.legal_bits(state)
        return legal & ~self._repeats(state, legal) if self.merges else legal

    def _repeats(self, state: BlobState, legal: Tensor) -> Tensor:
        """Of the legal actions [B] those that are the same move as a lower one: [B] int64 bitboards."""
        hand = entries(state.hands, place_of(self.mover(state), self.seats))
        table = torch.where(state.trick >= 0, bit(state.trick.clamp(min=0)), 0).sum(-1)
        unseen = self.deck & ~(hand | state.seen)
        return torch.where(state.made < self.seats, 0, same_as_lower(legal, unseen | table))

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

    def bids_met(self, state: BlobState) -> Tensor:
        return state.bids == state.won

    # -- what a player knows ------------------------------------------------------------------------------------------

    def observe(self, state: BlobState, seat: Tensor | None = None) -> Tensor:
        """Features of what the mover (or ``seat``, [B] int64) knows: [B, F] float32, see `blob_observation`."""
        return blob_observation.observe(self, state, self.mover(state) if seat is None else seat)

    def first_suit(self, state: BlobState) -> Tensor:
        return blob_observation.first_suit(state)

    def suit_symmetry(self) -> SuitSymmetry | None:
        """None in decks of fewer suits, where it is known which suits hold no cards."""
        return blob_observation.symmetry(self.seats) if self.rules.suits == SUITS else None

"""Blob (Oh Hell) for three to seven seats: deal, legal moves, step and scores of many games at once."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from vecgame import dealing, hidden, worlds
from vecgame.cards import (
    DECK,
    NO_TRUMP,
    RANKS,
    SUITS,
    bit,
    deck_bits,
    list_cards,
    lowest_card,
    rotate_suits,
    same_as_lower,
    suit_bits,
    suit_of,
    trick_winner,
    unpack,
)
from vecgame.game import Game, actions_of
from vecgame.games import blob_observation
from vecgame.games.blob_rules import TURNED, Rules, score
from vecgame.games.blob_state import BlobState
from vecgame.hidden import Hidden
from vecgame.lanes import around, entries, none, pick, place_of, steps_while, with_entries, working
from vecgame.philox import check_seed
from vecgame.symmetry import SuitSymmetry


class Blob(Game):
    """The rules of Blob for a whole batch; see `Rules` for what can be changed.

    ``Blob(cards=5, hook=False)`` and ``Blob(Rules(cards=5, hook=False))`` are the same, equal and hash alike.
    """

    name = "blob"
    rules_type = Rules

    def __init__(self, rules: Rules | None = None, **changes: object) -> None:
        if rules is not None and not isinstance(rules, self.rules_type):
            kind = self.rules_type.__name__
            raise ValueError(f"rules must be a {kind}, got {rules!r}; for five cards a seat write Blob(cards=5)")
        self.rules = replace(rules, **changes) if rules is not None else self.rules_type(**changes)
        self.cards = self.rules.cards
        self.seats = self.rules.players
        self.features = blob_observation.features(self.seats)
        self.deck = deck_bits(self.rules.suits, self.rules.ranks)
        self.highest = self.rules.max_score
        self.num_actions = DECK
        self.max_legal = self.cards + 1
        self.decisions = self.rules.decisions
        self.merges = False  # see `merged`
        # At most all followers before a seat with two cards must choose a lead, then the last trick's cards.
        self.max_forced_run = (self.seats - 1) + self.seats

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.rules == other.rules and self.merges == other.merges

    def __hash__(self) -> int:
        return hash((self.rules, self.merges))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rules})" + (".merged()" if self.merges else "")

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

    def deal(
        self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0
    ) -> BlobState:
        """Deals games ``first_index`` .. ``first_index + batch_size - 1`` of the run that ``seed`` names.

        A game depends on its number and the seed only, so a run may be cut into batches anywhere. With ``rotate``,
        trump and dealer follow the game's number as in a match.

        Raises:
            ValueError: on a batch size below 1, a seed or device that is none.
        """
        stream = dealing.numbers(batch_size, seed, device, first_index)
        deck, index = dealing.shuffled(stream, self.deck), stream.game
        hands = dealing.hands_of(deck, self.cards, self.seats)
        dealer = dealing.dealers(stream, self.rules.dealer, self.seats)
        if self.rules.trump == TURNED:
            turned = deck[:, self.seats * self.cards]
            return self._begin(hands, dealer, suit_of(turned), index, bit(turned))
        return self._begin(hands, dealer, dealing.trumps(stream, self.rules.trump, self.rules.trumps), index)

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
        hands = dealing.checked_hands(hands, self.deck, self.cards, self.seats)
        batch = hands.shape[0]
        seats = dealing.per_game("dealer", dealer, batch, self.seats - 1, hands.device)
        if index is None:
            index = torch.arange(batch, device=hands.device)
        if turning:
            cards = dealing.per_game("turned", turned, batch, DECK - 1, hands.device)
            if ((bit(cards) & ~(self.deck & ~bit(hands).sum((-1, -2)))) != 0).any():
                raise ValueError("turned must be a card of the deck that is not dealt")
            return self._begin(hands, seats, suit_of(cards), index, bit(cards))
        trumps = dealing.per_game("trump", trump, batch, NO_TRUMP, hands.device)
        if ((trumps >= self.rules.suits) & (trumps != NO_TRUMP)).any():
            raise ValueError(f"trump must be a suit of this deck, 0..{self.rules.suits - 1}, or {NO_TRUMP} for none")
        return self._begin(hands, seats, trumps, index)

    def _begin(
        self, hands: Tensor, dealer: Tensor, trump: Tensor, index: Tensor, seen: Tensor | None = None
    ) -> BlobState:
        batch, device = hands.shape[0], hands.device
        zeros = torch.zeros(batch, self.seats, dtype=torch.int8, device=device)
        return BlobState(
            index=index,
            hands=bit(hands).sum(-1),
            seen=torch.zeros_like(index) if seen is None else seen,
            trick=zeros - 1,
            bids=zeros - 1,
            won=zeros,
            voids=zeros,
            trump=trump.to(torch.int8),
            dealer=dealer.to(torch.int8),
            leader=((dealer + 1) % self.seats).to(torch.int8),
            made=zeros[:, 0].clone(),
        )

    # -- playing it ---------------------------------------------------------------------------------------------------

    def mover(self, state: BlobState) -> Tensor:
        """Seat to move: [B] int64. Bids and plays alike go round from the leader."""
        return around(state.leader + state.made, self.seats).long()

    def cards_of(self, state: BlobState) -> int | Tensor:
        """Cards dealt to each seat: one number for all lanes, or [B] int64."""
        return self.cards

    def turn(self, state: BlobState) -> Tensor:
        return state.made.long()

    def is_terminal(self, state: BlobState) -> Tensor:
        return state.made == self.decisions

    def legal_bits(self, state: BlobState) -> Tensor:
        """Legal actions as bitboards: [B] int64. Bit b is the bid b during the bidding, card b afterwards; a finished
        game has bit 0, so that no mask is empty."""
        hand = entries(state.hands, place_of(self.mover(state), self.seats))
        led = entries(state.trick, place_of(state.leader, self.seats))
        following = hand & torch.where(led >= 0, suit_bits(suit_of(led).clamp(min=0)), -1)
        plays = torch.where(following != 0, following, hand) | self.is_terminal(state)
        bidding = state.made < self.seats
        if none(bidding):
            return plays
        return torch.where(bidding, ((1 << (self.cards_of(state) + 1)) - 1) & ~self.hook_bits(state), plays)

    def hook_bits(self, state: BlobState) -> Tensor:
        """The bid that the hook forbids the dealer, as a bitboard: [B] int64, 0 where none is forbidden."""
        bound = state.made == self.seats - 1
        if not self.rules.hook or none(bound):
            return torch.zeros_like(state.seen)
        left = self.cards_of(state) - state.bids.clamp(min=0).sum(-1)  # the dealer's own bid is still -1
        return torch.where(bound & (left >= 0), bit(left.clamp(min=0)), 0)

    def legal_mask(self, state: BlobState) -> Tensor:
        return unpack(self.legal_bits(state))

    def legal_actions(self, state: BlobState) -> Tensor:
        return list_cards(self._moves(state), self.max_legal)

    def _moves(self, state: BlobState) -> Tensor:
        """`legal_bits`, without those that `merged` leaves out: [B] int64."""
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

    def step(self, state: BlobState, action: Tensor, validate: bool = False) -> BlobState:
        """The state after one decision in every lane; a finished game stays as it is.

        Args:
            action: [B] integers, a bid 0..cards during the bidding, a card id afterwards.
            validate: check that every action is legal. Costs a host synchronisation; without it an illegal action
                gives a meaningless state in its own lane.

        Raises:
            ValueError: on an action tensor of another shape or dtype, or (with validate) an illegal action.
        """
        action = actions_of(action, state)
        if validate:
            self._check_legal(state, action)
        mover = place_of(self.mover(state), self.seats)
        bidding = state.made < self.seats
        playing = ~bidding & ~self.is_terminal(state)
        small = action.to(torch.int8)

        card = torch.where(playing, bit(action), 0)
        trick = with_entries(state.trick, mover, torch.where(playing, small, entries(state.trick, mover)))
        led = suit_of(entries(trick, place_of(state.leader, self.seats)))
        shown = torch.where(playing & (suit_of(small) != led), 1 << led.clamp(min=0), 0)
        complete = playing & (around(state.made, self.seats) == self.seats - 1)
        winner = trick_winner(trick, led, state.trump)
        taker = place_of(winner, self.seats)
        return replace(
            state,
            hands=with_entries(state.hands, mover, entries(state.hands, mover) ^ card),
            seen=state.seen | card,
            trick=trick | -complete.to(torch.int8)[:, None],  # every bit set is -1: no card
            bids=with_entries(state.bids, mover, torch.where(bidding, small, entries(state.bids, mover))),
            won=with_entries(state.won, taker, entries(state.won, taker) + complete.to(torch.int8)),
            voids=with_entries(state.voids, mover, entries(state.voids, mover) | shown.to(torch.int8)),
            leader=torch.where(complete, winner.to(torch.int8), state.leader),
            made=state.made + (bidding | playing).to(torch.int8),
        )

    def _check_legal(self, state: BlobState, action: Tensor) -> None:
        inside = (action >= 0) & (action < DECK)
        legal = inside & (self.legal_bits(state) >> action.clamp(0, DECK - 1).long() & 1).bool()
        if not legal.all():
            lane = int((~legal).nonzero()[0, 0])
            options = [a for a in self.legal_actions(state[lane : lane + 1])[0].tolist() if a >= 0]
            raise ValueError(f"action {int(action[lane])} is illegal in lane {lane}; legal there: {options}")

    def play_forced(self, state: BlobState) -> BlobState:
        """Plays on while the mover has one legal action: single moves of the followers, then the last trick at once."""
        bound = self.decisions - self.seats
        state = self._play_single_moves(state, self.seats - 1, lambda part: part.made < bound)
        last = (state.made >= bound) & ~self.is_terminal(state)
        lanes = working(last)
        if lanes is not None and len(lanes) == 0:
            return state
        ended = self._play_last_trick(state.take(lanes))
        return state.put(lanes, ended) if lanes is not None else ended.where(last, state)

    def _play_single_moves(self, state: BlobState, most: int, may: Callable[[BlobState], Tensor]) -> BlobState:
        """Up to ``most`` moves of each lane, as long as its mover has one legal action and ``may`` [K] bool holds."""

        def forced(part: BlobState) -> tuple[Tensor, Tensor]:
            legal = self._moves(part)
            return (legal & (legal - 1) == 0) & may(part), legal

        return steps_while(state, most, forced, lambda part, legal: self.step(part, lowest_card(legal)))

    def _play_last_trick(self, state: BlobState) -> BlobState:
        """The ends of games whose every seat has one card or none left: nobody has a choice any more."""
        card = lowest_card(state.hands).to(torch.int8)
        trick = torch.where(state.trick >= 0, state.trick, card)
        led = suit_of(entries(trick, place_of(state.leader, self.seats)))
        shown = torch.where((state.trick < 0) & (suit_of(trick) != led[:, None]), (1 << led)[:, None], 0)
        winner = trick_winner(trick, led, state.trump)
        taker = place_of(winner, self.seats)
        return replace(
            state,
            hands=torch.zeros_like(state.hands),
            seen=state.seen | state.hands.sum(-1),  # hands are disjoint, so the sum is their union
            trick=torch.full_like(trick, -1),
            won=with_entries(state.won, taker, entries(state.won, taker) + 1),
            voids=state.voids | shown.to(torch.int8),
            leader=winner.to(torch.int8),
            made=torch.full_like(state.made, self.decisions),
        )

    # -- ending it ----------------------------------------------------------------------------------------------------

    def scores(self, state: BlobState) -> Tensor:
        """Points of each absolute seat: [B, P] float32; 0 for all in a game that is not over."""
        points = score(self.rules, state.bids, state.won)
        return torch.where(self.is_terminal(state)[:, None], points, 0.0)

    def bids_met(self, state: BlobState) -> Tensor:
        return state.bids == state.won

    def tricks_won(self, state: BlobState) -> Tensor:
        return state.won

    # -- what a player knows ------------------------------------------------------------------------------------------

    def open_cards(self, state: BlobState) -> Tensor:
        return state.seen

    def hidden(self, state: BlobState) -> dict[str, Hidden]:
        """A seat sees its own hand only."""
        return {"hands": Hidden(hidden.own(self.seats, state.batch_size, state.device))}

    def hands(self, state: BlobState) -> Tensor:
        """The cards that each absolute seat still holds: [B, P, 52] bool."""
        return unpack(state.hands)

    def observe(self, state: BlobState, seat: Tensor | None = None) -> Tensor:
        """Features of what the mover (or ``seat``, [B] int64) knows: [B, F] float32, see `blob_observation`."""
        return blob_observation.observe(self, state, self.mover(state) if seat is None else seat)

    def others_hands(self, state: BlobState) -> Tensor:
        hands = state.hands.gather(1, worlds.opponents(self.mover(state), self.seats))
        return rotate_suits(hands, blob_observation.first_suit(state)[:, None])

    def policy_columns(self, state: BlobState, action: Tensor) -> Tensor:
        """Columns of actions [B, K] in a network's policy: bids as they are, cards with the trump suit first."""
        rotation = RANKS * blob_observation.first_suit(state).long()[:, None]
        turned = torch.remainder(action.clamp(min=0) - rotation, DECK)
        return torch.where((state.made < self.seats)[:, None], action.clamp(min=0), turned)

    def policy_mask(self, state: BlobState) -> Tensor:
        legal = self.legal_bits(state)
        turned = rotate_suits(legal, blob_observation.first_suit(state))
        return unpack(torch.where(state.made < self.seats, legal, turned))

    def suit_symmetry(self) -> SuitSymmetry | None:
        """None in decks of fewer suits, where it is known which suits hold no cards."""
        return blob_observation.symmetry(self.seats) if self.rules.suits == SUITS else None

    def may_hold(self, state: BlobState, viewer: Tensor) -> Tensor:
        """Cards of the suits that the seats after ``viewer`` [B] have not shown to be void in: [P - 1, B] int64."""
        others = worlds.opponents(viewer, self.seats)
        return worlds.suits_left(state.device)[state.voids.gather(1, others).long().t()]

    def determinize(self, state: BlobState, count: int = 3, seed: int = 0) -> BlobState:
        """Worlds drawn uniformly from all deals consistent with what the mover knows: B * count lanes, those of a game
        adjacent; see `vecgame.worlds`."""
        return worlds.determinize(self, state, count, check_seed(seed))

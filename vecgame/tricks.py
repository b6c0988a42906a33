"""What every trick-taking game for four seats shares: a game of its own adds its rules to `TrickGame`, in one file.

A deal, then an opening (bids, cards passed on or put away, or nothing), then tricks of four cards, each led by the
winner of the one before. What a game may add or change is told in `vecgame.own_rules`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vecgame import dealing, hidden, knowledge, worlds
from vecgame.cards import (
    DECK,
    DECK_BITS,
    RANKS,
    SEATS,
    bit,
    list_cards,
    lowest_card,
    rotate_suits,
    unpack,
)
from vecgame.game import actions_of
from vecgame.lanes import entries, none, place_of, steps_while, with_entries
from vecgame.own_rules import OwnRules, TrickState
from vecgame.philox import Stream, check_seed


class TrickGame(OwnRules):
    """Deal, opening, tricks. A subclass sets the class attributes and overrides the methods of `OwnRules`.

    Actions 0..51 are the cards; action 52 + b is bid b of the opening. ``Whist(cards=5)`` and
    ``Whist(WhistRules(cards=5))`` are the same, equal and hash alike.
    """

    def __init__(self, rules: object = None, **changes: object) -> None:
        if rules is not None and not isinstance(rules, self.rules_type):
            raise ValueError(f"rules must be a {self.rules_type.__name__}, got {rules!r}")
        self.rules = replace(rules, **changes) if rules is not None else self.rules_type(**changes)
        self.cards = getattr(self.rules, "cards", RANKS)
        self.deck = DECK_BITS
        self.bids = self.most_bids = self.opening = 0
        self.set_up()
        self.num_actions = DECK + self.bids
        self.max_legal = max(self.cards, self.most_bids)
        self.decisions = self.opening + SEATS * self.cards
        # At most three followers before a seat that has a choice leads, or the last trick's four cards.
        self.max_forced_run = (SEATS - 1) + SEATS * (1 + self.forced_leads)
        self.features = knowledge.FEATURES + self.own_features

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash((type(self), self.rules))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rules})"

    # -- beginning a game ---------------------------------------------------------------------------------------------

    def deal(
        self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0
    ) -> TrickState:
        """Deals games ``first_index`` .. ``first_index + batch_size - 1`` of the run that ``seed`` names.

        A game depends on its number and the seed only, so a run may be cut into batches anywhere.

        Raises:
            ValueError: on a batch size below 1, a seed or device that is none.
        """
        stream = dealing.numbers(batch_size, seed, device, first_index)
        return self.begin(dealing.dealt(stream, self.deck, self.cards), stream.game, **self.draw(stream))

    def from_hands(self, hands: Tensor, index: Tensor | None = None, **given: Tensor | int) -> TrickState:
        """Games with given hands, before the first decision.

        Args:
            hands: [B, 4, cards] integer card ids of each absolute seat, all different within a game.
            index: [B] int64 game numbers, which fix the games' random numbers; 0.. by default.
            given: what `chance` names, [B] integers or one for all; what is left out is drawn with seed 0.

        Raises:
            ValueError: on another shape, a card outside the deck or dealt twice, a name or number that is none.
        """
        hands = dealing.checked_hands(hands, self.deck, self.cards)
        if index is None:
            index = torch.arange(len(hands), device=hands.device)
        limits = self.chance()
        if unknown := sorted(set(given) - set(limits)):
            raise ValueError(
                f"{self.name} deals no {', '.join(unknown)}; beside the hands it deals {', '.join(limits) or 'nothing'}"
            )
        drawn = self.draw(Stream(0, index, torch.zeros_like(index)))
        for name, value in given.items():
            drawn[name] = dealing.per_game(name, value, len(hands), limits[name], hands.device)
        return self.begin(hands, index, **drawn)

    def start(self, hands: Tensor, index: Tensor, leader: Tensor, **own: Tensor) -> TrickState:
        """A state with nothing played yet; ``own`` are the fields that the game adds."""
        zeros = torch.zeros(len(hands), SEATS, dtype=torch.int8, device=hands.device)
        return self.state_type(
            index=index,
            hands=bit(hands).sum(-1),
            seen=torch.zeros_like(index),
            trick=zeros - 1,
            won=zeros,
            lacks=torch.zeros(len(hands), SEATS, dtype=torch.int64, device=hands.device),
            leader=leader.to(torch.int8),
            made=zeros[:, 0].clone(),
            **own,
        )

    # -- playing it ---------------------------------------------------------------------------------------------------

    def mover(self, state: TrickState) -> Tensor:
        """Seat to move: [B] int64. Bids and plays alike go round from the leader."""
        return ((state.leader + state.made) & (SEATS - 1)).long()

    def turn(self, state: TrickState) -> Tensor:
        return state.made.long()

    def is_terminal(self, state: TrickState) -> Tensor:
        return state.made == self.decisions

    def bidding(self, state: TrickState) -> Tensor:
        """[B] bool, the next decision is a bid."""
        return state.made < (self.opening if self.bids else 0)

    def legal_cards(self, state: TrickState) -> Tensor:
        """The cards that the mover may play: [B] int64. A finished game has card 0, so that no mask is empty."""
        hand = entries(state.hands, place_of(self.mover(state)))
        legal = hand
        for preferred in reversed(self.preferences(state, self.suit_led(state, state.trick))):
            choice = hand & preferred
            legal = torch.where(choice != 0, choice, legal)
        return torch.where(self.is_terminal(state), 1, legal)

    def legal_bits(self, state: TrickState) -> tuple[Tensor, Tensor]:
        """Legal cards [B] int64 and legal bids [B] int64; one of the two is 0 in each lane."""
        cards, bidding = self.legal_cards(state), self.bidding(state)
        if not self.bids or none(bidding):
            return cards, torch.zeros_like(cards)
        return torch.where(bidding, 0, cards), torch.where(bidding, self.legal_bids(state), 0)

    def legal_mask(self, state: TrickState) -> Tensor:
        return self._mask(*self.legal_bits(state))

    def _mask(self, cards: Tensor, bids: Tensor) -> Tensor:
        """[B] and [B] int64 -> [B, num_actions] bool."""
        mask = unpack(cards)
        return torch.cat([mask, unpack(bids)[:, : self.bids]], dim=-1) if self.bids else mask

    def legal_actions(self, state: TrickState) -> Tensor:
        cards, bids = self.legal_bits(state)
        listed = list_cards(cards | bids, self.max_legal)
        return torch.where((bids != 0)[:, None] & (listed >= 0), listed + DECK, listed)

    def step(self, state: TrickState, action: Tensor, validate: bool = False) -> TrickState:
        """The state after one decision in every lane; a finished game stays as it is.

        Args:
            action: [B] integers: a card id, or 52 + a bid during the opening.
            validate: check that every action is legal. Costs a host synchronisation; without it an illegal action
                gives a meaningless state in its own lane.

        Raises:
            ValueError: on an action tensor of another shape or dtype, or (with validate) an illegal action.
        """
        action = actions_of(action, state)
        if validate:
            self._check_legal(state, action)
        bidding, giving, going = self.bidding(state), self.giving(state), ~self.is_terminal(state)
        playing = ~bidding & going
        if self.bids and not none(bidding):
            bid = (action - DECK).clamp(0, self.bids - 1).to(torch.int8)
            bid_made = self.bid(state, place_of(self.mover(state)), bid, bidding)
            state, action = bid_made, torch.where(bidding, 0, action)
        if giving is not None:
            playing = playing & ~giving
            if not none(giving):
                state = self.give(state, place_of(self.mover(state)), torch.where(giving, bit(action), 0), giving)
        return self._play(state, action, playing, going)

    def _play(self, state: TrickState, action: Tensor, playing: Tensor, going: Tensor) -> TrickState:
        """Plays the card ``action`` [B] where ``playing`` [B] bool holds, and passes over a seat that sits out; where
        ``going`` [B] bool does, a decision counts."""
        seat = self.mover(state)
        mover, advance = place_of(seat), going.to(torch.int8)
        out = self.sits_out(state)
        if out is not None:
            advance = advance + (playing & ((seat + 1) & (SEATS - 1) == out)).to(torch.int8)
        card = torch.where(playing, bit(action), 0)
        shown = self._shown(self.preferences(state, self.suit_led(state, state.trick)), card)
        small = torch.where(playing, action.to(torch.int8), entries(state.trick, mover))
        trick = with_entries(state.trick, mover, small)
        complete = playing & ((state.made & (SEATS - 1)) + advance == SEATS)
        winner = self.winner(state, trick, self.suit_led(state, trick))
        taker = place_of(winner)
        after = replace(
            state,
            hands=with_entries(state.hands, mover, entries(state.hands, mover) & ~card),
            seen=state.seen | card,
            trick=trick | -complete.to(torch.int8)[:, None],  # every bit set is -1: no card
            won=with_entries(state.won, taker, entries(state.won, taker) + complete.to(torch.int8)),
            lacks=with_entries(state.lacks, mover, entries(state.lacks, mover) | torch.where(playing, shown, 0)),
            leader=torch.where(complete, winner.to(torch.int8), state.leader),
            made=state.made + advance,
        )
        return self.taken(after, trick, taker, complete)

    @staticmethod
    def _shown(preferences: list[Tensor], card: Tensor) -> Tensor:
        """What the play of ``card`` ([B] int64, one bit) tells that the hand does not hold: [B] int64.

        A set that comes before the first one with the card in it did not meet the hand; nor did any if none has it.
        """
        shown, passed = torch.zeros_like(card), torch.ones_like(card, dtype=torch.bool)
        for preferred in preferences:
            passed = passed & (preferred & card == 0)
            shown = shown | torch.where(passed, preferred, 0)
        return shown

    def _check_legal(self, state: TrickState, action: Tensor) -> None:
        inside = (action >= 0) & (action < self.num_actions)
        legal = inside & self.legal_mask(state).gather(1, action.long().clamp(0, self.num_actions - 1)[:, None])[:, 0]
        if not legal.all():
            lane = int((~legal).nonzero()[0, 0])
            options = [a for a in self.legal_actions(state[lane : lane + 1])[0].tolist() if a >= 0]
            raise ValueError(f"action {int(action[lane])} is illegal in lane {lane}; legal there: {options}")

    def play_forced(self, state: TrickState) -> TrickState:
        def forced(part: TrickState) -> tuple[Tensor, Tensor]:
            cards, bids = self.legal_bits(part)
            legal = cards | bids
            action = lowest_card(legal) + torch.where(bids != 0, DECK, 0)
            return (legal & (legal - 1) == 0) & ~self.is_terminal(part), action

        return steps_while(state, self.max_forced_run, forced, self.step)

    def tricks_won(self, state: TrickState) -> Tensor:
        return state.won

    # -- ending it ----------------------------------------------------------------------------------------------------

    def scores(self, state: TrickState) -> Tensor:
        """Points of each absolute seat: [B, 4] float32; 0 for all in a game that is not over."""
        return torch.where(self.is_terminal(state)[:, None], self.points(state), 0.0)

    # -- what a player knows ------------------------------------------------------------------------------------------

    def open_cards(self, state: TrickState) -> Tensor:
        return state.seen

    def hands(self, state: TrickState) -> Tensor:
        """The cards that each absolute seat still holds: [B, 4, 52] bool."""
        return unpack(state.hands)

    def observe(self, state: TrickState, seat: Tensor | None = None) -> Tensor:
        """What the mover (or ``seat``, [B] int64) knows: [B, features] float32, see `vecgame.knowledge`; then
        `own_block`."""
        return knowledge.observe(self, state, self.mover(state) if seat is None else seat)

    def others_hands(self, state: TrickState) -> Tensor:
        hands, first = state.hands.gather(1, worlds.opponents(self.mover(state))), self.first_suit(state)
        return hands if first is None else rotate_suits(hands, first[:, None])

    def policy_columns(self, state: TrickState, action: Tensor) -> Tensor:
        """Columns of actions [B, K] in a network's policy: bids as they are, cards with `first_suit` first."""
        action, first = action.clamp(min=0).long(), self.first_suit(state)
        if first is None:
            return action
        return torch.where(action < DECK, torch.remainder(action - RANKS * first.long()[:, None], DECK), action)

    def policy_mask(self, state: TrickState) -> Tensor:
        cards, bids = self.legal_bits(state)
        first = self.first_suit(state)
        return self._mask(cards if first is None else rotate_suits(cards, first), bids)

    def determinize(self, state: TrickState, count: int = 3, seed: int = 0) -> TrickState:
        """Worlds drawn uniformly from all deals consistent with what the mover knows: B * count lanes, those of a game
        adjacent; see `vecgame.worlds`."""
        seed, shown = check_seed(seed), self.shows(state)
        if shown is None:
            return self._others_drawn(worlds.determinize(self, state, count, seed), count, seed)
        # What all know to be in a hand is nobody's to draw: it lies open meanwhile.
        rest = replace(state, hands=state.hands & ~shown, seen=state.seen | shown.sum(-1))
        drawn = worlds.determinize(self, rest, count, seed)
        shown, seen = (tensor.repeat_interleave(count, dim=0) for tensor in (shown, state.seen))
        return self._others_drawn(replace(drawn, hands=drawn.hands | shown, seen=seen), count, seed)

    def _others_drawn(self, worlds: TrickState, count: int, seed: int) -> TrickState:
        """Worlds whose hands are drawn, with what else is hidden drawn too."""
        if all(name == "hands" or not field.place for name, field in self.hidden(worlds).items()):
            return worlds
        return hidden.dealt_anew(self, worlds, count, seed, given=["hands"])

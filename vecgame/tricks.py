"""What every trick-taking game shares: a game of its own adds its rules to `TrickGame`, in one file.

A deal, then an opening (bids, cards passed on or put away, or nothing), then tricks of a card from each seat, each led
by the winner of the one before. What a game may add or change is told in `vecgame.own_rules`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from vecgame import dealing, hidden, knowledge, stocks, trick_checks, worlds
from vecgame.cards import bit, list_cards, lowest_card, pack, unpack
from vecgame.lanes import around, entries, none, place_of, steps_while, with_added, with_entries, worth_listing
from vecgame.own_rules import OwnRules, TrickState
from vecgame.philox import Stream, check_seed
from vecgame.state import first_values
from vecgame.trick_checks import MOST_DECISIONS


class TrickGame(OwnRules):
    """Deal, opening, tricks. A subclass sets the class attributes and overrides the methods of `OwnRules`.

    Actions 0 .. ``layout.size`` - 1 are the cards; action ``first_bid`` + b is bid b of the opening, 52 + b in a game
    with the usual cards; from ``first_other`` on come the ``others``.

    Numbers are class attributes, or set in `set_up` where rules change them; for what is left out there is a default:

    - ``seats``, ``cards``: 4 seats and 13 cards to each, or what rules named ``players`` and ``cards`` say.
    - ``deck``: the cards in play, a bitboard; all of the layout, or as many suits and ranks of it as rules named
      ``suits`` and ``ranks`` say.
    - ``held``: most cards that a seat ever holds, such as those dealt after a bid; ``cards``.
    - ``tricks``: of a game; ``cards``, or with a stock what the deck has for each seat: it ends with no card in a hand.
    - ``opening``: decisions before the first trick, bids and cards given away; 0. A game that has fewer of them sets
      ``made`` to ``opening`` itself (to one less in `bid` and `give`, after which the decision is counted).
    - ``bids``: bids are 0 .. ``bids`` - 1; 0 for none. ``most_bids``: most of them that are legal at once; all.
    - ``first_bid``: the action that is bid 0; the number after the last card's. Or 0: bids have the numbers of cards.
    - ``led_suits``: suits that may be led; those of the layout.
    - ``lowest``, ``highest``: the least and the most that `points` can be; 0 and none.
    """

    def __init__(self, rules: object = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        own = type(self)
        self.layout = self.state_type.layout
        self.seats = getattr(self.rules, "players", own.seats)
        self.cards = getattr(self.rules, "cards", own.cards)
        self.deck, self.led_suits = own.deck or self.layout.part_of(self.rules), own.led_suits or self.layout.suits
        self.first_bid = getattr(own, "first_bid", self.layout.size)
        self.set_up()
        trick_checks.check_own(self, TrickGame)
        stocked = "stock" in self._own_fields()
        every, self.fixed_hands = self.deck.bit_count() // self.seats, self.fixed_hands and not stocked
        self.held, self.tricks = self.held or self.cards, self.tricks or (every if stocked else self.cards)
        self.most_bids = self.most_bids or self.bids
        self.first_other = max(self.layout.size, self.first_bid + self.bids)
        self.num_actions = self.first_other + len(self.others)
        self.max_legal = max(self.held + len(self.others), self.most_bids)
        self.length = self.opening + self.seats * self.tricks
        self.decisions = self.length + self.most_others
        # At most all followers before a seat that has a choice leads, or the last trick's cards.
        self.max_forced_run = (self.seats - 1) + self.seats * (1 + self.forced_leads)
        self.suits_turned = self.has_own("first_suit")
        self.own_suits = not self.has_own("suits_of_cards")
        self.follows = not self.has_own("preferences")
        self.plays_for_others = self.has_own("player_of") or self.has_own("dummy")
        # The last trick is a card of each seat, which nobody chooses.
        follows = self.follows and not self.has_own("giving") and not self.has_own("sits_out")
        self.plain = follows and self.tricks == self.cards and not self.others and not self.has_own("over")
        trick_checks.check(self, TrickGame)

    @property
    def other_bit(self) -> int:
        """Which bit of `legal_bits` is the first of the ``others``."""
        return self.first_other if not self.bids or self.first_bid == 0 else self.layout.size

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
        return self.deal_by(stream, stream.game)

    def deal_by(self, stream: Stream, index: Tensor, **given: Tensor) -> TrickState:
        """Games ``index`` [B] int64 with the cards that the stream's numbers deal, and what else they draw, where it is
        not ``given`` ([B] int64 each)."""
        hands, rest = self.cut(dealing.shuffled(stream, self.deck, self.layout.size), stream)
        return self.begin(hands, index, **{**dealing.drawn(self, stream, rest), **given})

    def cut(self, deck: Tensor, stream: Stream) -> tuple[Tensor, Tensor]:
        """Shuffled card ids [B, size] as hands [B, P, cards], -1 for none, and the cards not dealt [B, R]."""
        dealt, last = self.seats * self.cards, self.deck.bit_count()
        return deck[:, :dealt].reshape(-1, self.seats, self.cards), deck[:, dealt:last]

    def from_hands(self, hands: Tensor, index: Tensor | Stream | None = None, **given: Tensor | int) -> TrickState:
        """Games with given hands, before the first decision.

        Args:
            hands: [B, P, cards] integer card ids of each absolute seat, all different within a game.
            index: [B] game numbers below 2**56, which fix the games' random numbers, or a stream; 0.. by default.
            given: what `chance` names, [B] integers or one for all; what is left out is drawn with seed 0.

        Raises:
            ValueError: on another shape, fractions, a card outside the deck or dealt twice, an unknown name or number.
        """
        hands = dealing.checked_hands(hands, self.deck, self.cards, self.seats, self.layout)
        stream = dealing.given_games(index, hands)
        limits = self.chance()
        if unknown := sorted(set(given) - set(limits)):
            raise ValueError(
                f"{self.name} deals no {', '.join(unknown)}; beside the hands it deals {', '.join(limits) or 'nothing'}"
            )
        rest = dealing.shuffled(stream, self.deck & ~bit(hands).sum((-1, -2)), self.layout.size)
        drawn = dealing.drawn(self, stream, rest[:, : self.deck.bit_count() - self.seats * self.cards])
        for name, value in given.items():
            drawn[name] = dealing.per_game(name, value, len(hands), dealing.most(limits[name]), hands.device)
        return self.begin(hands, stream.game, **drawn)

    def start(self, hands: Tensor, index: Tensor, leader: Tensor, **own: Tensor) -> TrickState:
        """A state with nothing played yet; ``own`` are the fields that the game adds, as far as they do not begin with
        what `vecgame.starts` says."""
        zeros = torch.zeros(len(hands), self.seats, dtype=torch.int8, device=hands.device)
        return self.state_type(
            index=index,
            hands=torch.where(hands >= 0, bit(hands.clamp(min=0)), 0).sum(-1),
            trick=zeros - 1,
            won=zeros,
            lacks=torch.zeros(len(hands), self.seats, dtype=torch.int64, device=hands.device),
            leader=leader.to(torch.int8),
            made=zeros[:, 0].clone(),
            **({"done": zeros[:, 0].clone()} if self.others else {}),
            **{"seen": torch.zeros_like(index), **first_values(self.state_type, self, index), **own},
        )

    # -- playing it ---------------------------------------------------------------------------------------------------

    def mover(self, state: TrickState) -> Tensor:
        """Seat to move: [B] int64, that of `in_turn` unless another plays its cards."""
        return self.player_of(state, self.in_turn(state))

    def acting(self, state: TrickState) -> Tensor:
        return self.in_turn(state) if self.plays_for_others else self.mover(state)

    def in_turn(self, state: TrickState) -> Tensor:
        """Seat whose turn it is: [B] int64. Bids and plays alike go round from the leader."""
        leader = state.leader.short() if self.length + self.seats > MOST_DECISIONS else state.leader  # or it wraps
        return around(leader + self._played(state.made), self.seats).long()

    def _played(self, made: Tensor) -> Tensor:
        """Of decisions made [B] int8 a number that is one more with each, and at each lead a multiple of the seats'."""
        odd = self.opening % self.seats
        return made - torch.where(made >= self.opening, odd, 0).to(torch.int8) if odd else made

    def turn(self, state: TrickState) -> Tensor:
        return state.made.long() + state.done if self.others else state.made.long()

    def is_terminal(self, state: TrickState) -> Tensor:
        return state.made == self.length

    def stands_still(self, state: TrickState) -> Tensor:
        """[B] bool, no decision is left in the game, or in that one of a match which is on."""
        return self.is_terminal(state)

    def bidding(self, state: TrickState) -> Tensor:
        """[B] bool, the next decision is a bid: those of the opening in which no card is given away."""
        bidding, giving = state.made < (self.opening if self.bids else 0), self.giving(state) if self.bids else None
        return bidding if giving is None else bidding & ~giving

    def legal_cards(self, state: TrickState) -> Tensor:
        """The cards that the mover may play: [B] int64. A finished game has card 0 alone, so no mask is empty."""
        hand = entries(state.hands, place_of(self.acting(state), self.seats))
        legal = hand
        for preferred in reversed(self.preferences(state, self.suit_led(state, state.trick))):
            choice = binding = hand & preferred
            if self.free_cards:
                choice, binding = choice | hand & self.free_cards, binding & ~self.free_cards
            legal = torch.where(binding != 0, choice, legal)
        return torch.where(self.is_terminal(state), 1, legal)

    def legal_bits(self, state: TrickState) -> Tensor:
        """Legal actions as bitboards: [B] int64. Bit b is bid b where `bidding`, card b elsewhere, and from `other_bit`
        on one of the `others`."""
        cards, bidding = self.legal_cards(state), self.bidding(state)
        if self.others:
            giving, others = self.giving(state), pack(torch.stack(list(self.legal_others(state)), -1))
            may = ~self.is_terminal(state) if giving is None else ~(self.is_terminal(state) | giving)
            cards = cards | torch.where(may, others << self.other_bit, 0)
        return cards if not self.bids or none(bidding) else torch.where(bidding, self.legal_bids(state), cards)

    def moves(self, state: TrickState) -> Tensor:
        """`legal_bits`, but of moves that are alike perhaps only one: [B] int64. From these `legal_actions` are."""
        return self.legal_bits(state)

    def legal_mask(self, state: TrickState) -> Tensor:
        return self._mask(state, self.legal_bits(state))

    def _mask(self, state: TrickState, bits: Tensor) -> Tensor:
        """`legal_bits`, or these with the suits turned, [B] -> [B, num_actions] bool."""
        if self.first_bid < self.layout.size or not self.bids:
            return unpack(bits, size=self.num_actions)
        bidding = self.bidding(state)
        cards, bids = torch.where(bidding, 0, bits), torch.where(bidding, bits, 0)
        masks = [unpack(cards, size=self.layout.size), unpack(bids, size=self.bids)]
        if self.others:
            masks.append(unpack(cards >> self.other_bit, size=len(self.others)))
        return torch.cat(masks, dim=-1)

    def legal_actions(self, state: TrickState) -> Tensor:
        listed = list_cards(self.moves(state), self.max_legal)
        if not self.bids or not self.first_bid:
            return listed
        bidding = self.bidding(state)[:, None]
        actions = torch.where(bidding & (listed >= 0), listed + self.first_bid, listed)
        others = ~bidding & (listed >= self.other_bit) if self.others else None
        return actions if others is None else torch.where(others, listed + self.bids, actions)

    def step(self, state: TrickState, action: Tensor) -> TrickState:
        """As of any `Game`; actions are a card's id, or ``first_bid`` + a bid during the opening."""
        bidding, giving, seat = self.bidding(state), self.giving(state), self.acting(state)
        place, card = place_of(seat, self.seats), action.clamp(0, self.layout.size - 1)  # tables hold no more
        if self.bids and not none(bidding):
            bid = (action - self.first_bid if self.first_bid else action).clamp(0, self.bids - 1)
            state = self.bid(state, place, bid.to(torch.int8), bidding)
        if giving is not None and not none(giving):
            state = self.give(state, place, torch.where(giving, bit(card), 0), giving)
        going = ~self.stands_still(state)  # where a bid, or a card given away, has just ended it: not counted
        playing = ~bidding & going if giving is None else ~(bidding | giving) & going
        if self.others:
            doing = playing & (action >= self.first_other)
            state = self.do(state, place, (action - self.first_other).clamp(min=0), doing)
            state = replace(state, done=state.done + doing.to(torch.int8))
            playing, going = playing & ~doing, going & ~doing
        played = torch.where(playing, bit(card), 0)
        after = self._play(state, seat, place, card.to(torch.int8), played, playing, going)
        over = self.over(after)
        return after if over is None else replace(after, made=torch.where(over, self.length, after.made).to(torch.int8))

    def _play(
        self,
        state: TrickState,
        seat: Tensor,
        mover: Tensor,
        small: Tensor,
        card: Tensor,
        playing: Tensor,
        going: Tensor,
    ) -> TrickState:
        """Plays a card, as id ``small`` [B] int8 and as set ``card`` [B] int64, of ``seat`` [B], whose place in a
        [B, P] field is ``mover`` [B], where ``playing`` [B] bool holds, and passes over a seat that sits out; where
        ``going`` [B] bool does, a decision counts."""
        seats, advance, out = self.seats, going.to(torch.int8), self.sits_out(state)
        if out is not None:
            advance = advance + (playing & (around(seat + 1, seats) == out)).to(torch.int8)
        trick = with_entries(state.trick, mover, torch.where(playing, small, entries(state.trick, mover)))
        led = self.suit_led(state, trick)
        # A lead follows nothing; where one only ever follows suit, to follow the suit of one's own card is the same.
        before = led if self.follows else torch.where(seat == state.leader, -1, led)
        shown = self._shown(self.preferences(state, before), card, playing)
        made = state.made + advance
        complete = playing & (around(self._played(made), seats) == 0)
        winner = self.winner(state, trick, led)
        taker = place_of(winner, seats)
        after = replace(
            state,
            hands=with_entries(state.hands, mover, entries(state.hands, mover) ^ card),
            seen=state.seen | card,
            trick=trick | -complete.to(torch.int8)[:, None],  # every bit set is -1: no card
            won=with_added(state.won, taker, complete),
            lacks=with_entries(state.lacks, mover, entries(state.lacks, mover) | shown),
            leader=torch.where(complete, winner.to(torch.int8), state.leader),
            made=made,
        )
        return self.taken(after, trick, taker, complete)

    def _shown(self, preferences: list[Tensor], card: Tensor, played: Tensor) -> Tensor:
        """What the play of ``card`` ([B] int64, one bit), where it is ``played`` [B] bool, tells that the hand does not
        hold: [B] int64.

        A set that comes before the first one with the card in it did not meet the hand; nor did any if none has it.
        What a free card is played in place of is not told.
        """
        shown, passed = [], played & (card & self.free_cards == 0) if self.free_cards else played
        for preferred in preferences:
            passed = passed & (preferred & card == 0)
            shown.append(torch.where(passed, preferred & ~self.free_cards if self.free_cards else preferred, 0))
        return functools.reduce(torch.bitwise_or, shown)

    def play_forced(self, state: TrickState) -> TrickState:
        """Plays on while the mover has one legal action; where players only follow, the last trick all at once."""
        if not self.plain:
            return self.single_moves(state, self.max_forced_run, lambda part: ~self.is_terminal(part))
        bound = self.length - self.seats
        state = self.single_moves(state, self.seats - 1, lambda part: part.made < bound)
        last = (state.made >= bound) & ~self.is_terminal(state)
        lanes = worth_listing(last)
        if lanes is not None and len(lanes) == 0:
            return state
        ended = self._last_trick(state.take(lanes))
        return state.put(lanes, ended) if lanes is not None else ended.where(last, state)

    def single_moves(self, state: TrickState, most: int, may: Callable[[TrickState], Tensor]) -> TrickState:
        """Up to ``most`` moves of each lane, as long as its mover has one legal action and ``may`` [K] bool holds."""

        def forced(part: TrickState) -> tuple[Tensor, Tensor]:
            legal = self.moves(part)
            return (legal & (legal - 1) == 0) & may(part), legal

        def move(part: TrickState, legal: Tensor) -> TrickState:
            action = lowest_card(legal)
            if self.bids and self.first_bid:
                action = torch.where(self.bidding(part), action + self.first_bid, action)
            return self.step(part, action)

        return steps_while(state, most, forced, move)

    def _last_trick(self, state: TrickState) -> TrickState:
        """The ends of games whose every seat has one card or none left, of which it has to follow suit."""
        trick = torch.where(state.trick >= 0, state.trick, lowest_card(state.hands).to(torch.int8))
        led = self.suit_led(state, trick)
        suit = self.followed(state, led)[:, None]
        told = torch.where((state.trick < 0) & (suit & state.hands == 0), suit, 0)
        if self.free_cards:
            told = torch.where(state.hands & self.free_cards == 0, told & ~self.free_cards, 0)
        winner = self.winner(state, trick, led)
        taker = place_of(winner, self.seats)
        after = replace(
            state,
            hands=torch.zeros_like(state.hands),
            seen=state.seen | state.hands.sum(-1),  # hands are disjoint, so the sum is their union
            trick=torch.full_like(trick, -1),
            won=with_entries(state.won, taker, entries(state.won, taker) + 1),
            lacks=state.lacks | told,
            leader=winner.to(torch.int8),
            made=torch.full_like(state.made, self.length),
        )
        return self.taken(after, trick, taker, torch.ones_like(led, dtype=torch.bool))

    def tricks_won(self, state: TrickState) -> Tensor:
        return state.won

    # -- ending it ----------------------------------------------------------------------------------------------------

    def scores(self, state: TrickState) -> Tensor:
        """Points of each absolute seat: [B, P] float32; 0 for all in a game that is not over."""
        return torch.where(self.is_terminal(state)[:, None], self.points(state), 0.0)

    # -- what a player knows ------------------------------------------------------------------------------------------

    def open_cards(self, state: TrickState) -> Tensor:
        return stocks.open_cards(self, state)

    def observe(self, state: TrickState, seat: Tensor | None = None) -> Tensor:
        """What the mover (or ``seat``, [B] int64) knows: [B, features] float32, see `vecgame.knowledge`; then
        `own_block`."""
        return knowledge.observe(self, state, self.mover(state) if seat is None else seat)

    @functools.cached_property
    def features(self) -> int:
        """Columns of an observation."""
        own = sum(count for count, _ in self.own_columns()) if self.own_features is None else self.own_features
        return knowledge.features(self.layout, self.seats, self.led_suits) + own

    def columns(self) -> list[tuple[int, str]]:
        return [*knowledge.columns(self), *self.own_columns()]

    def others_hands(self, state: TrickState) -> Tensor:
        hands = state.hands.gather(1, worlds.opponents(self.mover(state), self.seats))
        first = self.first_suit(state)
        return hands if first is None else self.layout.rotate(hands, first[:, None])

    def policy_columns(self, state: TrickState, action: Tensor) -> Tensor:
        """Columns of actions [B, K] in a network's policy: bids as they are, cards with `first_suit` first."""
        action, first = action.clamp(min=0).long(), self.first_suit(state)
        if first is None:
            return action
        suited = self.layout.suits * self.layout.ranks
        turned = torch.remainder(action - self.layout.ranks * first.long()[:, None], suited)
        if self.bids and self.first_bid < suited:
            stays = self.bidding(state)[:, None]
            return torch.where(stays | (action >= suited) if self.others else stays, action, turned)
        return torch.where(action < suited, turned, action)

    def policy_mask(self, state: TrickState) -> Tensor:
        bits, first = self.legal_bits(state), self.first_suit(state)
        if first is not None:
            turned = self.layout.rotate(bits & self.layout.bits if self.others else bits, first)
            turned = turned | bits & ~self.layout.bits if self.others else turned
            bits = torch.where(self.bidding(state), bits, turned) if self.bids else turned
        return self._mask(state, bits)

    def determinize(self, state: TrickState, count: int = 3, seed: int = 0) -> TrickState:
        """Worlds drawn uniformly from all deals consistent with what the mover knows: B * count lanes, those of a game
        adjacent; see `vecgame.worlds`."""
        seed, shown = check_seed(seed), self.shows(state)
        if shown is None:
            drawn = worlds.determinize(self, state, count, seed)
        else:  # What all know to be in a hand is nobody's to draw: it lies open meanwhile.
            rest = replace(state, hands=state.hands & ~shown, seen=state.seen | shown.sum(-1))
            drawn = worlds.determinize(self, rest, count, seed)
            shown, seen = (tensor.repeat_interleave(count, dim=0) for tensor in (shown, state.seen))
            drawn = replace(drawn, hands=drawn.hands | shown, seen=seen)
        if all(name == "hands" or not field.place for name, field in self.hidden(drawn).items()):
            return drawn
        return hidden.dealt_anew(self, drawn, count, seed, given=["hands"])

"""Euchre: five cards each of twenty-four; one side names trump and has to win three tricks.

A card is turned up. In the first round each seat, the dealer last, passes or takes its suit as trump; then the dealer
picks the card up and puts another one away, face down. If all pass, the card is turned down, and in the second round
each seat passes or names another suit. Who has named trump then says whether it plays alone, its partner sitting out.

The jack of trump, the right bower, is the highest card; next comes the jack of the same colour, the left bower, which
belongs to the trump suit in every respect. That a seat which passes may still play alone against the makers, as some
play it, is not offered. The course of a game is that of OpenSpiel's `euchre`.

What the dealer has put away only the dealer knows. For the others it is any of the cards that nobody holds, so that
pairs of a deal and a card put away are uniform over all that agree with what they know. Where the rules let the dealer
put the card turned up away, it lies with the dealer or is the one put away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import knowledge
from vecgame.cards import DECK, NO_TRUMP, RANKS, SEATS, SUIT_NAMES, SUITS, bit, popcount, suit_of
from vecgame.games.checks import check_rules
from vecgame.hidden import Hidden
from vecgame.lanes import entries, place_of
from vecgame.own_rules import TrickState, partners
from vecgame.philox import Stream, check_seed
from vecgame.tricks import TrickGame
from vecgame.worlds import draw_hands, opponents

NINE, JACK = 7, 9  # ranks count from the two, 0
EUCHRE_DECK = sum(1 << RANKS * suit + rank for suit in range(SUITS) for rank in range(NINE, RANKS))
PASS, ALONE, TOGETHER = 0, 5, 6  # bids; 1 takes the suit of the card turned up, 2, 3, 4 the suits after it
BIDS = 7
# Places in the course of a game, of which some are jumped over: two rounds of bids, then these.
SECOND_ROUND, PICK_UP, LONER, PLAY = 4, 8, 9, 12
NEEDED = 3  # tricks
MADE_POINTS, ALL_POINTS, LONE_POINTS, EUCHRED_POINTS = 1, 2, 4, 2


@dataclass(frozen=True)
class EuchreRules:
    """What may be changed about Euchre. Raises ValueError on values that make no game."""

    dealer: str | int = "random"  # seat 0..3, "random" per game, or "rotate" with the game's number; bids last
    stick_the_dealer: bool = True  # who is last to bid may not pass again; if False nobody wins anything then
    alone: bool = True  # who names trump may play without its partner
    may_discard_upcard: bool = False  # the dealer may put away the card that it has picked up

    def __post_init__(self) -> None:
        check_rules(self)


@dataclass(frozen=True)
class EuchreState(TrickState):
    """B games of Euchre. The card turned up is in `seen` unless the dealer has it in hand or has put it away."""

    holds: ClassVar = {"upcard": "sets", "discarded": "sets"}

    dealer: Tensor  # [B] int8
    upcard: Tensor  # [B] int64, the card turned up (bitboard of one)
    trump: Tensor  # [B] int8, suit 0..3, 4 = none yet
    maker: Tensor  # [B] int8, the seat that has named trump, -1 = none yet
    alone: Tensor  # [B] bool, it plays without its partner
    discarded: Tensor  # [B, 4] int64, the card that the dealer has put away (bitboard of one), 0 for the others


class Euchre(TrickGame):
    """The seat after the dealer bids first and leads. A game is worth the points of one's partnership: 1 for three or
    four tricks, 2 for all five, 4 for all five alone, 2 against those who named trump and failed. The other side loses
    as many."""

    name = "euchre"
    partners = True
    fixed_hands = False  # the dealer picks the card up that is turned up
    rules_type = EuchreRules
    state_type = EuchreState
    own_features = 2 * DECK + 2 * SEATS + 4
    give_word = "put away"
    sum_of_scores = 0.0

    def set_up(self) -> None:
        self.cards, self.deck = 5, EUCHRE_DECK
        self.held = 6 if self.rules.may_discard_upcard else 5  # of which the mover may choose one
        self.bids, self.most_bids, self.opening = BIDS, SUITS, PLAY
        self.highest = float(LONE_POINTS if self.rules.alone else ALL_POINTS)
        self.lowest = -self.highest

    def chance(self) -> Mapping[str, int]:
        return {**super().chance(), "upcard": DECK - 1}

    def draw(self, stream: Stream, rest: Tensor) -> dict[str, Tensor]:
        return {**super().draw(stream, rest), "upcard": rest[:, 0]}

    def from_hands(self, hands: Tensor, index: Tensor | None = None, **given: Tensor | int) -> EuchreState:
        """As of any `TrickGame`; the card turned up is ``upcard`` [B], or one for all.

        Raises:
            ValueError: also if it is outside of the deck or in a hand.
        """
        state = super().from_hands(hands, index, **given)
        if (state.upcard & self.deck == 0).any():
            raise ValueError("upcard is no card of this deck; ids are 13 * suit + rank, rank 7 (nine) to 12 (ace)")
        if (state.upcard & state.hands.sum(-1) != 0).any():
            raise ValueError("upcard is in a hand of its game")
        return state

    def begin(self, hands: Tensor, index: Tensor, dealer: Tensor, upcard: Tensor) -> EuchreState:
        state = self.start(
            hands,
            index,
            leader=(dealer + 1) & (SEATS - 1),
            dealer=dealer.to(torch.int8),
            upcard=bit(upcard),
            trump=torch.full_like(dealer, NO_TRUMP, dtype=torch.int8),
            maker=torch.full_like(dealer, -1, dtype=torch.int8),
            alone=torch.zeros_like(dealer, dtype=torch.bool),
            discarded=torch.zeros_like(hands[:, :, 0]),
        )
        return replace(state, seen=state.upcard)

    # -- the opening --------------------------------------------------------------------------------------------------

    def mover(self, state: EuchreState) -> Tensor:
        """Seat to move: [B] int64. The dealer puts a card away, the maker says whether it plays alone."""
        mover = torch.where(state.made == PICK_UP, state.dealer.long(), super().mover(state))
        maker = state.maker & (SEATS - 1)  # a seat even where none has named trump, after an illegal pass
        return torch.where(state.made == LONER, maker.long(), mover)

    def legal_bids(self, state: EuchreState) -> Tensor:
        first, second = 1 << PASS | 1 << 1, 1 << PASS | 1 << 2 | 1 << 3 | 1 << 4
        bids = torch.where(state.made < SECOND_ROUND, first, second)
        if self.rules.stick_the_dealer:
            bids = torch.where(state.made == PICK_UP - 1, second & ~(1 << PASS), bids)
        return torch.where(state.made == LONER, 1 << ALONE | 1 << TOGETHER, bids)

    def bid(self, state: EuchreState, place: Tensor, bid: Tensor, bidding: Tensor) -> EuchreState:
        made, mover = state.made, self.mover(state).to(torch.int8)
        naming = bidding & (bid > PASS) & (bid < ALONE)
        ordered = naming & (made < SECOND_ROUND)
        alone = bidding & (bid == ALONE)
        suit = (suit_of(_card_of(state.upcard)) + bid - 1) & (SUITS - 1)
        dealer = torch.arange(SEATS, device=bid.device) == state.dealer[:, None]
        picked_up = torch.where(ordered, state.upcard, 0)
        # The place to go on from is one before the next: what `step` adds for every decision is still to come.
        after = torch.where(naming, torch.where(ordered, PICK_UP - 1, self._after_naming() - 1), made)
        after = torch.where(bidding & (made == LONER), PLAY - 1, after)
        if not self.rules.stick_the_dealer:
            after = torch.where(bidding & (made == PICK_UP - 1) & (bid == PASS), self.length - 1, after)
        # A partner that sits out does not lead either.
        leader = (state.leader + (alone & (self._partner(state) == state.leader)).to(torch.int8)) & (SEATS - 1)
        return replace(
            state,
            hands=state.hands | torch.where(dealer, picked_up[:, None], 0),
            seen=state.seen & ~picked_up,
            lacks=state.lacks | torch.where(dealer, 0, picked_up[:, None]),
            leader=leader,
            made=after.to(torch.int8),
            trump=torch.where(naming, suit.to(torch.int8), state.trump),
            maker=torch.where(naming, mover, state.maker),
            alone=state.alone | alone,
        )

    def bid_name(self, bid: int, state: EuchreState | None = None) -> str:
        if bid == PASS or bid >= ALONE:
            return {PASS: "pass", ALONE: "alone", TOGETHER: "with partner"}[bid]
        if state is None:
            return "order up" if bid == 1 else f"name the suit {bid - 1} after the card turned up"
        suit = SUIT_NAMES[(int(suit_of(_card_of(state.upcard))) + bid - 1) % SUITS]
        return f"order up {suit}" if bid == 1 else f"name {suit}"

    def giving(self, state: EuchreState) -> Tensor:
        return state.made == PICK_UP

    def give(self, state: EuchreState, place: Tensor, card: Tensor, giving: Tensor) -> EuchreState:
        """The dealer puts a card away."""
        mine = torch.where(torch.arange(SEATS, device=card.device) == state.dealer[:, None], card[:, None], 0)
        made = torch.where(giving, self._after_naming() - 1, state.made).to(torch.int8)
        return replace(state, hands=state.hands & ~mine, discarded=state.discarded | mine, made=made)

    def _after_naming(self) -> int:
        return LONER if self.rules.alone else PLAY

    # -- the play -----------------------------------------------------------------------------------------------------

    def preferences(self, state: EuchreState, led: Tensor) -> list[Tensor]:
        away = -1 if self.rules.may_discard_upcard else ~state.upcard
        return [torch.where(self.giving(state), away, self.followed(state, led))]

    def suits_of_cards(self) -> Tensor:
        """The left bower belongs to the trump suit."""
        own, trump = super().suits_of_cards(), torch.arange(NO_TRUMP + 1)[:, None]
        left = (torch.arange(DECK) % RANKS == JACK) & (own == _same_colour(trump)) & (trump != NO_TRUMP)
        return torch.where(left, trump, own)

    def strengths(self) -> Tensor:
        """The left bower stands above the ace of trump, the right bower above it."""
        suits, cards, trump = self.suits_of_cards(), torch.arange(DECK), torch.arange(NO_TRUMP + 1)[:, None]
        jack = (suits == trump) & (cards % RANKS == JACK)
        bower = torch.where(suit_of(cards) == trump, RANKS + 1, RANKS) - JACK
        return super().strengths() + torch.where(jack, bower, 0)[:, None]

    def sits_out(self, state: EuchreState) -> Tensor:
        return torch.where(state.alone, self._partner(state), -1)

    def _partner(self, state: EuchreState) -> Tensor:
        """The partner of the seat that has named trump: [B] int8."""
        return (state.maker + 2) & (SEATS - 1)

    def points(self, state: EuchreState) -> Tensor:
        makers = (torch.arange(SEATS, device=state.device) - state.maker[:, None]) & 1 == 0
        won = partners(state.won).gather(1, state.maker.clamp(min=0).long()[:, None])
        every = torch.where(state.alone[:, None], LONE_POINTS, ALL_POINTS)
        made = torch.where(won == self.cards, every, MADE_POINTS)
        points = torch.where(won >= NEEDED, made, -EUCHRED_POINTS).float()
        return torch.where(state.maker[:, None] < 0, 0.0, torch.where(makers, points, -points))

    # -- what a player knows ------------------------------------------------------------------------------------------

    def first_suit(self, state: EuchreState) -> Tensor:
        """Trump, and before it is named the suit of the card turned up, from which bids count the suits."""
        return torch.where(state.trump == NO_TRUMP, suit_of(_card_of(state.upcard)), state.trump)

    def own_block(self, state: EuchreState, viewer: Tensor) -> list[Tensor]:
        first = self.first_suit(state)
        maker = torch.where(state.maker < 0, -1, (state.maker - viewer) & (SEATS - 1))
        return [
            knowledge.cards(state.upcard, first),
            knowledge.cards(entries(state.discarded, place_of(viewer)), first),
            knowledge.one_hot((state.dealer - viewer) & (SEATS - 1)),
            knowledge.one_hot(maker),
            state.trump != NO_TRUMP,
            self._picked_up(state),
            state.alone,
            (state.made >= SECOND_ROUND) & (state.made < PICK_UP),
        ]

    def own_columns(self) -> list[tuple[int, str]]:
        return [
            (DECK, "the card turned up"),
            (DECK, "the card that the viewer has put away"),
            (SEATS, "who dealt"),
            (SEATS, "who named trump"),
            (1, "the first suit is trump"),
            (1, "trump was taken from the card turned up"),
            (1, "the maker plays alone"),
            (1, "the second round of bids is on"),
        ]

    def _picked_up(self, state: EuchreState) -> Tensor:
        """[B] bool, the dealer has picked up the card turned up. Only in the first round its suit can be named."""
        return state.trump == suit_of(_card_of(state.upcard))

    def placed(self, state: EuchreState) -> Tensor:
        """The dealer has the card that it picked up until it plays it, or has put it away."""
        return torch.where(self._picked_up(state), state.upcard & ~state.seen, 0)

    def shows(self, state: EuchreState) -> Tensor | None:
        """Where it may not be put away, the dealer holds the card that it picked up."""
        if self.rules.may_discard_upcard:
            return None
        held = self.placed(state)
        return torch.where(torch.arange(SEATS, device=held.device) == state.dealer[:, None], held[:, None], 0)

    def may_hold(self, state: EuchreState, viewer: Tensor) -> Tensor:
        """Nobody holds what the viewer has put away."""
        return super().may_hold(state, viewer) & ~entries(state.discarded, place_of(viewer))

    def hidden(self, state: EuchreState) -> dict[str, Hidden]:
        """The dealer knows what it has put away."""
        fields = super().hidden(state)
        return {**fields, "discarded": Hidden(fields["hands"].sees)}

    def determinize(self, state: EuchreState, count: int = 3, seed: int = 0) -> EuchreState:
        """As of any `TrickGame`. Where the card turned up may have been put away, the card put away is drawn with the
        hands, and what is left out by all of them is not the card turned up."""
        if not self.rules.may_discard_upcard:
            return super().determinize(state, count, seed)
        mover = self.mover(state)
        others, own = opponents(mover), place_of(mover)
        unseen = self.deck & ~(entries(state.hands, own) | entries(state.discarded, own) | state.seen)
        away = unseen & state.discarded.sum(-1)
        hands = state.hands.gather(1, others).t()
        needs = popcount(torch.stack([*hands, away, unseen & ~(hands.sum(0) | away)]))
        may = [*self.may_hold(state, mover), torch.full_like(unseen, -1), ~self.placed(state)]
        drawn = draw_hands(unseen, needs, torch.stack(may), state.index, self.turn(state), count, check_seed(seed))
        drawn = drawn.permute(2, 1, 0).flatten(0, 1)  # [B * count, 5]: three hands, the card put away, what is left
        worlds, away = state.repeat(count), drawn[:, SEATS - 1 : SEATS]
        dealer = torch.arange(SEATS, device=away.device) == worlds.dealer[:, None]
        return replace(
            worlds,
            hands=worlds.hands.scatter(1, others.repeat_interleave(count, dim=0), drawn[:, : SEATS - 1]),
            discarded=torch.where(dealer & (away != 0), away, worlds.discarded),
        )


def _card_of(bits: Tensor) -> Tensor:
    """The id of the card in each bitboard of one: [B] int64."""
    return (bits.double().view(torch.int64) >> 52) - 1023  # its bit is a power of two, and that is its exponent


def _same_colour(suit: Tensor) -> Tensor:
    return (suit + 2) & (SUITS - 1)

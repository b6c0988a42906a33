"""What the mover of each game knows of the cards, as chances: what the rules of all trick games reason with.

Cards are *slots*: 13 to a suit, a stronger card above a weaker one of its suit, so that "higher" is a comparison
whatever the game. Slots are card ids but where a game has another order, as Euchre with its bowers (`slots`). Where
the others' cards lie is told by chances that each of them has each card, taken as independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vecgame import TrickGame
from vecgame.cards import DECK, RANKS, SUITS, popcount, unpack
from vecgame.lanes import entries, place_of
from vecgame.own_rules import TrickState
from vecgame.worlds import opponents

ROUNDS = 3  # of fitting the chances of cards to hand sizes
SURE = 1 - 1e-9  # a chance is no more where its logarithm's complement is taken


@dataclass(frozen=True)
class Reading:
    """B games as their movers see them; J = seats - 1 others in the order in which they play after the mover."""

    mover: Tensor  # [B] int64
    hand: Tensor  # [B, 52] bool, the slots that the mover holds; none where it does not see them
    unseen: Tensor  # [B, 52] bool, the slots that may lie anywhere
    left: Tensor  # [B] int64, tricks still to be won: the cards that the mover holds
    chance: Tensor  # [B, J, 52] float64, that each other seat holds the card; 0 for a seat that sits out
    trump: Tensor  # [B] int64, 4 = none
    led: Tensor  # [B] int64, the suit to be followed, -1 for who leads
    best: Tensor  # [B] int64, what the winning card of the trick measures by `power`, -1 if there is none
    winner: Tensor  # [B] int64, who is winning it; the leader if nobody
    later: Tensor  # [B, J] bool, seats that play to this trick after the mover

    @property
    def is_trump(self) -> Tensor:
        """[B, 52] bool."""
        return suits(self.hand.device) == self.trump[:, None]

    def power(self, suit: Tensor, rank: Tensor) -> Tensor:
        """What cards measure in the trick: integers [B, X] twice, or what broadcasts, -> [B, X] int64."""
        led = self.led[:, None]
        return rank + torch.where(suit == self.trump[:, None], 2 * RANKS, torch.where(suit == led, RANKS, 0))

    @property
    def takes(self) -> Tensor:
        """[B, 52] bool, the card would be the best of the trick so far."""
        device = self.hand.device
        return (self.led < 0)[:, None] | (self.power(suits(device), ranks(device)) > self.best[:, None])


def suits(device: torch.device) -> Tensor:
    """The suit of each slot: [52] int64."""
    return torch.arange(DECK, device=device) // RANKS


def ranks(device: torch.device) -> Tensor:
    """The place of each slot in its suit, the lowest 0: [52] int64."""
    return torch.arange(DECK, device=device) % RANKS


@cache
def _slot_table(game: TrickGame, device: torch.device) -> Tensor:
    """The card of each slot under each trump: [T, 52] int64; the slots of a suit without a card have one outside of
    the deck."""
    rows = []
    inside = [card for card in range(DECK) if game.deck >> card & 1]
    for suit_of, strengths in zip(game.suits_of_cards().tolist(), game.strengths().tolist(), strict=True):
        groups = [[card for card in inside if suit_of[card] == suit] for suit in range(SUITS)]
        spare = [card for card in range(DECK) if card not in inside]
        for suit, group in enumerate(groups):
            group.sort(key=lambda card, suit=suit, strengths=strengths: strengths[suit][card])
            groups[suit] = group + [spare.pop() for _ in range(RANKS - len(group))]
        rows.append([card for group in groups for card in group])
    return torch.tensor(rows, device=device)


def slots(game: TrickGame, trump: Tensor) -> Tensor | None:
    """The card of each slot, [B, 52] int64, by the trump of each lane [B] int64; None where slots are card ids."""
    return None if game.own_suits else _slot_table(game, trump.device).index_select(0, trump)


def by_slot(bits: Tensor, order: Tensor | None) -> Tensor:
    """Bitboards [B] or [B, X] as masks of slots, [B, 52] or [B, X, 52] bool."""
    mask = unpack(bits)
    if order is None:
        return mask
    index = order if bits.ndim == 1 else order[:, None].expand(-1, bits.shape[1], -1)
    return mask.gather(-1, index)


def read(game: TrickGame, state: TrickState, trump: Tensor | None = None) -> Reading:
    """The position of each game as its mover sees it.

    Args:
        trump: [B] int64, to suppose another trump than the state's.
    """
    mover, seats = game.mover(state), game.seats
    others = opponents(mover, seats)  # [B, J]
    trump = (game.trump(state) if trump is None else trump).long()
    order = slots(game, trump)
    seen_hands = game.hidden(state)["hands"].seen_by(mover)  # [B, P]
    own = torch.where(entries(seen_hands, place_of(mover, seats)), entries(state.hands, place_of(mover, seats)), 0)
    left = popcount(entries(state.hands, place_of(mover, seats)))
    shown = torch.where(seen_hands.gather(1, others), state.hands.gather(1, others), 0)  # hands that it looks at
    held = popcount(state.hands).gather(1, others)  # how many, everybody knows
    unseen = game.deck & ~(own | state.seen | _sum(shown))
    may = game.may_hold(state, mover).t() & unseen[:, None]
    may = torch.where(shown != 0, shown, may)
    # That a dealer of Euchre holds the card it picked up is no more than likely here: taken as sure, the rules play
    # worse by 0.009 +- 0.005 points a game.
    chance = chances(by_slot(may, order), held, shown != 0)
    out = game.sits_out(state)
    plays = torch.ones_like(held, dtype=torch.bool) if out is None else others != out[:, None]
    chance = torch.where(plays[:, :, None], chance, 0.0)
    led = game.suit_led(state, state.trick).long()
    table = entries(state.trick, place_of(game.winner(state, state.trick, led.to(torch.int8)), seats)).long()
    winner = torch.where(led < 0, state.leader.long(), game.winner(state, state.trick, led.to(torch.int8)))
    best = torch.where(led < 0, -1, _measure(order, table.clamp(min=0), trump, led))
    later = (state.trick.gather(1, others) < 0) & plays
    hand = by_slot(own, order)
    return Reading(mover, hand, by_slot(unseen, order), left, chance, trump, led, best, winner, later)


def _sum(sets: Tensor) -> Tensor:
    """The union of disjoint sets [B, X] int64: [B] int64."""
    return sets.sum(-1)


def _measure(order: Tensor | None, card: Tensor, trump: Tensor, led: Tensor) -> Tensor:
    """`Reading.power` of one card [B] int64 a lane: [B] int64."""
    slot = card if order is None else (order == card[:, None]).to(torch.int8).argmax(-1)
    suit = slot // RANKS
    return slot % RANKS + torch.where(suit == trump, 2 * RANKS, torch.where(suit == led, RANKS, 0))


def chances(may: Tensor, held: Tensor, known: Tensor) -> Tensor:
    """The chance that each other seat holds each card, by who may hold it and how many cards each has.

    Proportional fitting: chances of a card add up to 1 over the seats and the stock of undealt cards, those of a seat
    to the cards it holds. What no seat may hold is undealt for sure, and no part of it. A few rounds leave the second a
    little short where many suits are known to be missing.

    Args:
        may: [B, J, 52] bool, the seat may hold the card.
        held: [B, J] int64, cards of each seat.
        known: [B, J] bool, the seat's cards are seen: ``may`` are those.

    Returns:
        [B, J, 52] float64.
    """
    apart = torch.where(known, 0, held).double()
    weight = apart.clone()
    free = torch.where(known[:, :, None], False, may)
    somewhere = free.any(1)
    stock = (somewhere.sum(-1) - apart.sum(-1)).clamp(min=0)
    chance = torch.zeros(may.shape, dtype=torch.float64, device=may.device)
    stock_weight = stock.clone()
    for _ in range(ROUNDS):
        each = torch.where(free, weight[:, :, None], 0.0)
        total = (each.sum(1) + torch.where(somewhere, stock_weight[:, None], 1.0)).clamp(min=1e-12)
        chance = each / total[:, None]
        size = chance.sum(-1)
        weight = weight * apart / size.clamp(min=1e-12)
        kept = torch.where(somewhere, stock_weight[:, None] / total, 0.0).sum(-1)
        stock_weight = torch.where(kept > 0, stock_weight * stock / kept.clamp(min=1e-12), stock_weight)
    return torch.where(known[:, :, None], may.double(), chance)


@dataclass(frozen=True)
class Without:
    """Chances that the other seats hold none of some cards: products over the cards, [B, J, 52] float64 for each card
    and [B, J, 4] for each suit."""

    above: Tensor  # none higher in the card's suit
    below: Tensor  # none lower in it
    suit: Tensor  # [B, J, 4], none of the suit
    trump: Tensor  # [B, J], none of trump; 1 without trump


def without(reading: Reading) -> Without:
    """See `Without`."""
    batch, others = reading.chance.shape[:2]
    miss = torch.log1p(-reading.chance.clamp(max=SURE)).view(batch, others, SUITS, RANKS)
    up = miss.cumsum(-1)
    whole = up[..., -1:]
    trumps = reading.trump.clamp(max=SUITS - 1)[:, None, None].expand(-1, others, 1)
    suit = whole[..., 0].exp()
    none = torch.where(reading.trump[:, None] < SUITS, suit.gather(-1, trumps)[..., 0], 1.0)
    above, below = (whole - up).exp(), (up - miss).exp()
    return Without(above.view(batch, others, DECK), below.view(batch, others, DECK), suit, none)


def beaten(reading: Reading, lacking: Without) -> tuple[Tensor, Tensor]:
    """For each card that the mover might play, the chance that a seat can beat it in this trick, and that it has to.

    To beat a card means a higher one of its suit, or to be without the suit led and ruff (or ruff higher). A seat has
    to that follows suit with nothing lower.

    Returns:
        [B, J, 52] float64 twice.
    """
    device = reading.hand.device
    suit = suits(device)
    led = torch.where(reading.led[:, None] < 0, suit, reading.led[:, None])  # [B, 52], what others will follow
    void = lacking.suit.gather(-1, led[:, None].expand(-1, lacking.suit.shape[1], -1))
    trump = reading.is_trump[:, None]
    follows = (led == suit)[:, None]
    higher = 1 - lacking.above
    ruffs = void * torch.where(trump, torch.where(follows, 0.0, higher), 1 - lacking.trump[:, :, None])
    can = (torch.where(follows, higher, 0.0) + ruffs).clamp(max=1)
    must = torch.where(follows, higher * lacking.below, 0.0)
    return can, must


def stands(reading: Reading, beats: Tensor) -> Tensor:
    """The chance that each card, once the best of the trick, stays it: [B, 52] float64.

    Args:
        beats: [B, J, 52] float64, the chance that a seat beats it if it plays after the mover.
    """
    return torch.where(reading.later[:, :, None], 1 - beats, 1.0).prod(1)


def listed(hand: Tensor, count: int) -> Tensor:
    """The slots of a hand [B, 52] bool in ascending order: [B, count] int64, filled up with -1."""
    order = hand.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :count]
    return torch.where(hand.gather(1, order), order, -1)

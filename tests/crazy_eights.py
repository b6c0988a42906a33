"""Crazy Eights: cards drawn in mid-game, a pile that is shuffled again, turns of several decisions, a suit to name.

Play a card of the suit or the rank of the last one, or an eight, and name the suit that is to follow it; or draw a
card, and then play or pass. Who is out first takes a chip of everybody; after so many decisions who has the fewest.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

import vecgame
from vecgame import Hidden, dealing, hidden
from vecgame.cards import Layout, bit, popcount, unpack
from vecgame.games.match import future_of
from vecgame.text import card_name

RANKS = ("8", "2", "3", "4", "5", "6", "7", "9", "10", "J", "Q", "K", "A")  # the eights first


@dataclass(frozen=True)
class CrazyEightsRules:
    """What may be changed."""

    players: int = 3
    cards: int = 5
    suits: int = 4
    ranks: int = 7  # of each suit, the eights among them
    decisions: int = 80


@dataclass(frozen=True)
class CrazyEightsState(vecgame.State):
    """B games for P seats, with N cards. The card played last is the last of the pile."""

    holds: ClassVar = {"pile": "sets", "top": "cards", "suit": "suits", "to_move": "seats"}

    hands: torch.Tensor  # [B, P] int64
    stock: torch.Tensor  # [B, N] int8, cards to draw, the next one first; then -1
    pile: torch.Tensor  # [B] int64, all that lie open
    top: torch.Tensor  # [B] int8, the card to match
    suit: torch.Tensor  # [B] int8, the suit to match; -1: the mover is to name it
    to_move: torch.Tensor  # [B] int64
    drawn: torch.Tensor  # [B] bool, the mover has drawn a card
    future: torch.Tensor  # [B] int64, a hidden number by which the pile is shuffled again
    made: torch.Tensor  # [B] int64, decisions


class CrazyEights(vecgame.Game):
    """Actions are the cards, then the suits to name, then to draw and to pass."""

    name, unit = "crazy-eights", "chips"
    rules_type, state_type = CrazyEightsRules, CrazyEightsState

    def __init__(self, rules=None, **changes):
        super().__init__(rules, **changes)
        of = self.rules
        self.seats, self.cards, self.decisions = of.players, of.cards, of.decisions
        self.layout = Layout(of.suits, of.ranks, rank_names=RANKS[: of.ranks])
        self.deck, self.size = self.layout.bits, self.layout.size
        if self.size <= self.seats * self.cards:
            raise ValueError(f"{self.size} cards are not enough for {self.seats} x {self.cards} and one to begin with")
        cards = (card_name(self.layout, card) for card in range(self.size))
        self.action_names = (*cards, *(f"name {suit}" for suit in self.layout.suit_names), "draw", "pass")
        self.draw, self.num_actions, self.max_legal = self.size + of.suits, len(self.action_names), self.size
        self.max_forced_run = self.decisions
        self.lowest, self.highest, self.sum_of_scores = -1.0, self.seats - 1.0, 0.0

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream, dealt = dealing.numbers(batch_size, seed, device, first_index), self.seats * self.cards
        deck = dealing.shuffled(stream, self.deck, self.size)
        hands, top = bit(deck[:, :dealt]).view(batch_size, self.seats, self.cards).sum(-1), deck[:, dealt]
        stock = torch.cat([deck[:, dealt + 1 :], torch.full_like(deck[:, : dealt + 1], -1)], -1).to(torch.int8)
        lies, zero = (bit(top), top.to(torch.int8), self.layout.suit_of(top).to(torch.int8)), torch.zeros_like(top)
        return CrazyEightsState(stream.game, hands, stock, *lies, zero, zero > 0, future_of(stream), zero)

    def turn(self, state):
        return state.made

    def mover(self, state):
        return state.to_move

    def is_terminal(self, state):
        return (state.made == self.decisions) | (state.hands == 0).any(-1)

    def legal_mask(self, state):
        card, naming = torch.arange(self.size, device=state.device), (state.suit < 0)[:, None]
        rank, suit = card % self.layout.ranks, self.layout.suit_of(card)
        fits = (rank == 0) | (suit == state.suit[:, None]) | (rank == state.top[:, None] % self.layout.ranks)
        held = unpack(state.hands.gather(1, state.to_move[:, None])[:, 0], size=self.size)
        some = (state.stock[:, :1] >= 0) | (popcount(state.pile)[:, None] > 1)
        draws = some & ~naming & ~state.drawn[:, None]
        return torch.cat([held & fits & ~naming, naming.expand(-1, self.layout.suits), draws, ~draws & ~naming], -1)

    def step(self, state, action):
        going, naming, place = ~self.is_terminal(state), state.suit < 0, torch.arange(self.size, device=state.device)
        plays, draws = going & (action < self.size), going & (action == self.draw)
        again = draws & (state.stock[:, 0] < 0)  # of an empty stock: all of the pile but its top are shuffled into it
        under = torch.where(again, state.pile & ~bit(state.top), 0)
        order = dealing.shuffled(vecgame.Stream(0, state.future, state.made), under, self.size)
        order = torch.where(place < popcount(under)[:, None], order, -1).to(torch.int8)
        stock = torch.where(again[:, None], order, state.stock)
        card = torch.where(plays, bit(action.clamp(max=self.size - 1)), 0)
        drawn = torch.where(draws, bit(stock[:, 0].clamp(min=0)), 0)
        mine = torch.arange(self.seats, device=state.device) == state.to_move[:, None]
        hands = torch.where(mine, state.hands & ~card[:, None] | drawn[:, None], state.hands)
        eight = plays & (action % self.layout.ranks == 0)
        suit = torch.where(eight & (hands != 0).all(-1), -1, self.layout.suit_of(action))
        suit = torch.where(plays, suit, torch.where(going & naming, action - self.size, state.suit))
        moves_on = going & ~draws & (suit >= 0)
        return replace(
            state,
            hands=hands,
            stock=torch.where(draws[:, None], torch.cat([stock[:, 1:], stock[:, :1] * 0 - 1], -1), stock),
            pile=state.pile & ~under | card,
            top=torch.where(plays, action, state.top).to(torch.int8),
            suit=suit.to(torch.int8),
            to_move=torch.where(moves_on, (state.to_move + 1) % self.seats, state.to_move),
            drawn=torch.where(going, draws, state.drawn),
            made=state.made + going,
        )

    def scores(self, state):
        left = popcount(state.hands)
        best = (left == left.amin(-1, keepdim=True)).float()
        won = best * self.seats / best.sum(-1, keepdim=True) - 1
        return torch.where(self.is_terminal(state)[:, None], won, 0.0)

    def hidden(self, state):
        hands = Hidden(hidden.own(self.seats, state.batch_size, state.device))
        stock = Hidden(hidden.nobody(state.stock, self.seats), holds="cards")
        return {"hands": hands, "stock": stock, "future": Hidden(hidden.nobody(state.future, self.seats), "number")}

    def open_cards(self, state):
        return state.pile

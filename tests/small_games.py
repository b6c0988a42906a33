"""Card games so small that every deal is listed: a poker, a stock to draw from, a count, tricks in five suits."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import Game, State, Stream, TrickGame, TrickState, dealing, hidden
from vecgame.cards import Layout, bit, unpack
from vecgame.hidden import Hidden


def orders(stream: Stream, cards: int) -> Tensor:
    """The cards 0 .. cards - 1 of each lane in random order: [B, cards] int64."""
    return dealing.shuffled(stream, (1 << cards) - 1, cards)


class Small(Game):
    """What the games below share: two seats, and any turn of a game a number of its own."""

    seats = 2
    fixed_hands = False

    def turn(self, state: State) -> Tensor:
        return state.made

    def scores(self, state: State) -> Tensor:
        return torch.where(self.is_terminal(state)[:, None], self.points(state), 0.0)

    def hidden(self, state: State) -> dict[str, Hidden]:
        return {"hands": Hidden(hidden.own(self.seats, state.batch_size, state.device))}


@dataclass(frozen=True)
class KuhnState(State):
    hands: Tensor  # [B, 2] int64, bitboards of one card
    bets: Tensor  # [B, 3] int8, 1 for a bet or call, 0 for a pass, -1 for not yet
    made: Tensor  # [B] int64


class Kuhn(Small):
    """Kuhn (1950): three cards, one each; pass or bet, and the other passes or bets too."""

    name = "small-kuhn"
    layout = Layout(suits=1, ranks=3)
    deck = layout.bits
    lowest, highest = -2.0, 2.0
    num_actions = max_legal = 2
    decisions = max_forced_run = 3

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        hands = bit(orders(stream, 3)[:, :2])
        return KuhnState(
            stream.game, hands, torch.full((batch_size, 3), -1, dtype=torch.int8), torch.zeros_like(stream.game)
        )

    def mover(self, state):
        return state.made % 2

    def is_terminal(self, state):
        """Over after a bet that was answered, or two passes."""
        answered = (state.bets[:, :2] == 1).any(-1) & (state.made >= 2) & ~self._checked(state)
        return answered | (state.bets[:, :2] == 0).all(-1) | (state.made == 3)

    def _checked(self, state):
        """The first passed and the second bet: one decision more."""
        return (state.bets[:, 0] == 0) & (state.bets[:, 1] == 1) & (state.made == 2)

    def legal_mask(self, state):
        return torch.ones(state.batch_size, 2, dtype=torch.bool)

    def step(self, state, action):
        going = ~self.is_terminal(state)
        here = (torch.arange(3) == state.made[:, None]) & going[:, None]
        bets = torch.where(here, action[:, None].to(torch.int8), state.bets)
        return replace(state, bets=bets, made=state.made + going)

    def points(self, state):
        first, second, third = state.bets.unbind(-1)
        answer = torch.where(first == 1, second, third)
        bet = (first == 1) | (second == 1)
        higher = torch.where(state.hands[:, 0] > state.hands[:, 1], 1.0, -1.0)
        folded = torch.where(first == 1, 1.0, -1.0)  # to who has bet
        won = torch.where(bet, torch.where(answer == 1, 2 * higher, folded), higher)
        return torch.stack([won, -won], -1)


@dataclass(frozen=True)
class DrawState(State):
    hands: Tensor  # [B, 2] int64
    shown: Tensor  # [B, 2] int64, cards that a seat has drawn face up and still holds
    stock: Tensor  # [B, stock] int8, cards to draw, the next one first; -1 where it was
    played: Tensor  # [B] int64, cards on the table
    last: Tensor  # [B] int8, the card played last, -1 at the beginning
    won: Tensor  # [B, 2] int8
    made: Tensor  # [B] int64


class Draw(Small):
    """Two cards each, some to draw, some out of play: play one, which scores if it beats the last, and draw the next.

    With ``face_up`` all see the next card, and who takes it.
    """

    name = "small-draw"
    max_legal = 2

    def __init__(self, face_up: bool = False, stock: int = 4, out: int = 0) -> None:
        self.face_up, self.stock = face_up, stock
        self.decisions = self.max_forced_run = 4 + stock
        self.num_actions = self.decisions + out
        self.layout = Layout(suits=1, ranks=self.num_actions)
        self.deck, self.highest = self.layout.bits, self.decisions / 2

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        stream = dealing.numbers(batch_size, seed, device, first_index)
        deck, empty = orders(stream, self.num_actions), torch.zeros(batch_size, 2, dtype=torch.int64)
        none = torch.full((batch_size,), -1, dtype=torch.int8)
        hands = bit(deck[:, :4]).view(-1, 2, 2).sum(-1)
        stock = deck[:, 4 : 4 + self.stock].to(torch.int8)
        return DrawState(stream.game, hands, empty, stock, empty[:, 0], none, empty.to(torch.int8), stream.game * 0)

    def mover(self, state):
        return state.made % 2

    def is_terminal(self, state):
        return state.made == self.decisions

    def held(self, state, seat):
        return (state.hands | state.shown).gather(1, seat[:, None])[:, 0]

    def legal_mask(self, state):
        return unpack(
            torch.where(self.is_terminal(state), 1, self.held(state, self.mover(state))), size=self.num_actions
        )

    def step(self, state, action):
        going = ~self.is_terminal(state)
        mine = (torch.arange(2) == self.mover(state)[:, None]) & going[:, None]
        card = torch.where(mine, bit(action)[:, None], 0)
        next_ = (torch.arange(self.stock) == state.made[:, None]) & going[:, None]  # as long as there are any
        drawn = torch.where(next_, bit(state.stock.clamp(min=0)), 0).sum(-1)[:, None] * mine
        takes = {"shown" if self.face_up else "hands": drawn}
        return replace(
            state,
            hands=state.hands & ~card | takes.get("hands", 0),
            shown=state.shown & ~card | takes.get("shown", 0),
            stock=torch.where(next_, -1, state.stock),
            played=state.played | card.sum(-1),
            last=torch.where(going, action.to(torch.int8), state.last),
            won=state.won + (mine & (action > state.last)[:, None]).to(torch.int8),
            made=state.made + going,
        )

    def points(self, state):
        return state.won.float()

    def hidden(self, state):
        next_ = torch.arange(self.stock) == state.made[:, None]
        sees = hidden.nobody(state.stock, 2) | (next_[:, None] & self.face_up)
        return {**super().hidden(state), "stock": Hidden(sees, holds="cards")}

    def open_cards(self, state):
        return state.played | state.shown.sum(-1)


@dataclass(frozen=True)
class CountState(State):
    made: Tensor  # [B] int64


class Count(Small):
    """Nothing is hidden: two seats add one by turns, as often as they are told to."""

    name = "small-count"
    highest = 1.0
    num_actions = max_legal = 1

    def __init__(self, decisions: int = 5) -> None:
        self.decisions = self.max_forced_run = decisions

    def deal(self, batch_size, seed=0, device="cpu", first_index=0):
        index = dealing.numbers(batch_size, seed, device, first_index).game
        return CountState(index, torch.zeros_like(index))

    def mover(self, state):
        return state.made % 2

    def is_terminal(self, state):
        return state.made == self.decisions

    def legal_mask(self, state):
        return torch.ones(state.batch_size, 1, dtype=torch.bool)

    def step(self, state, action):
        return replace(state, made=(state.made + 1).clamp(max=self.decisions))

    def points(self, state):
        return torch.tensor([1.0, 0.0]).expand(state.batch_size, -1)

    def hidden(self, state):
        return {}


@dataclass(frozen=True)
class FiveSuitsRules:
    cards: int = 3
    players: int = 4


@dataclass(frozen=True)
class FiveSuitsState(TrickState):
    layout: ClassVar[Layout] = Layout(suits=5, ranks=3, suit_names=("red", "green", "blue", "black", "white"))


class FiveSuits(TrickGame):
    """Four seats follow suit, a point a trick; three cards of fifteen stay out of play."""

    name = "small-five-suits"
    rules_type = FiveSuitsRules
    state_type = FiveSuitsState

    def set_up(self):
        self.highest = float(self.cards)

    def points(self, state):
        return state.won.float()

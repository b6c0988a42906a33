"""A card game that is no more than a table: any number of seats, any deck, a stock that nobody sees."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import Game, TrickState, hidden
from vecgame.cards import Layout, bit
from vecgame.hidden import Hidden

WIZARDS = Layout(extra=8, extra_names=(*(f"jester {n}" for n in range(1, 5)), *(f"wizard {n}" for n in range(1, 5))))
COINS = Layout(
    suits=3, ranks=10, suit_names=("coins", "cups & <swords>", "♣"), rank_names=(*"1234567", "fante", "10", "re")
)
SECRET = 3_141_592_653


@dataclass(frozen=True)
class TableState(TrickState):
    """B games."""

    holds: ClassVar = {"stock": "sets", "turned": "sets"}

    dealer: Tensor  # [B] int8
    bids: Tensor  # [B, P] int8
    stock: Tensor  # [B] int64, cards that nobody sees
    turned: Tensor  # [B] int64, the card turned up (bitboard of one)
    secret: Tensor  # [B] int64, a number that nobody knows


@dataclass(frozen=True)
class WizardState(TableState):
    """B games with jesters and wizards."""

    layout: ClassVar[Layout] = WIZARDS


@dataclass(frozen=True)
class CoinState(TableState):
    """B games with three suits of ten cards."""

    layout: ClassVar[Layout] = COINS


class TableGame(Game):
    """Each seat plays any card in turn; there is no more to it, and no end within a trick.

    Args:
        seats: 2..8.
        cards: to each seat.
        state_type: by whose layout the cards are named.
    """

    name = "table & <game>"
    highest = 1.0

    def __init__(self, seats: int, cards: int, state_type: type[TableState] = TableState) -> None:
        self.seats, self.cards, self.state_type = seats, cards, state_type
        self.layout = state_type.layout
        self.deck = self.layout.bits
        self.num_actions = self.layout.size

    def deal(self, batch_size: int, seed: int = 0, device: str = "cpu", first_index: int = 0) -> TableState:
        index = torch.arange(first_index, first_index + batch_size)
        generators = [torch.Generator().manual_seed(seed + number) for number in index.tolist()]
        order = torch.stack([torch.randperm(self.layout.size, generator=generator) for generator in generators])
        hands, rest = order.split([self.seats * self.cards, self.layout.size - self.seats * self.cards], dim=1)
        zeros = torch.zeros(batch_size, self.seats, dtype=torch.int8)
        return self.state_type(
            index=index,
            hands=bit(hands.reshape(batch_size, self.seats, self.cards)).sum(-1),
            seen=bit(rest[:, 0]),
            trick=zeros - 1,
            won=zeros,
            lacks=torch.zeros(batch_size, self.seats, dtype=torch.int64),
            leader=zeros[:, 0] + 1,
            made=zeros[:, 0],
            dealer=zeros[:, 0],
            bids=zeros - 1,
            stock=bit(rest[:, 1:]).sum(-1),
            turned=bit(rest[:, 0]),
            secret=torch.full_like(index, SECRET),
        )

    def mover(self, state: TableState) -> Tensor:
        return ((state.leader + state.made) % self.seats).long()

    def turn(self, state: TableState) -> Tensor:
        return state.made.long()

    def is_terminal(self, state: TableState) -> Tensor:
        return state.made == self.seats

    def legal_mask(self, state: TableState) -> Tensor:
        hand = state.hands.gather(1, self.mover(state)[:, None])
        return ((hand >> torch.arange(self.layout.size)) & 1).bool()

    def step(self, state: TableState, action: Tensor) -> TableState:
        mine = torch.arange(self.seats) == self.mover(state)[:, None]
        return replace(
            state,
            hands=torch.where(mine, state.hands & ~bit(action)[:, None], state.hands),
            seen=state.seen | bit(action),
            trick=torch.where(mine, action[:, None], state.trick).to(torch.int8),
            made=state.made + 1,
        )

    def hidden(self, state: TableState) -> dict[str, Hidden]:
        return {
            "hands": Hidden(hidden.own(self.seats, state.batch_size, state.device)),
            "stock": Hidden(hidden.nobody(state.stock, self.seats)),
            "secret": Hidden(hidden.nobody(state.secret, self.seats), holds="number"),
        }

    def played(self, cards: int, batch_size: int = 2) -> TableState:
        """Games in which the first seats have played their lowest cards to the trick."""
        state = self.deal(batch_size)
        for _ in range(cards):
            state = self.step(state, self.legal_mask(state).to(torch.int8).argmax(-1))
        return state

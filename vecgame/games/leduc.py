"""Leduc poker (Southey et al., "Bayes' bluff", 2005), with bets and turns as in OpenSpiel's `leduc_poker`."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing
from vecgame.cards import Layout
from vecgame.game import Game
from vecgame.hidden import Hidden
from vecgame.state import State

FOLD, CALL, RAISE = 0, 1, 2
ACTIONS = ("fold", "call", "raise")
RAISES, TURNS = 2, 4  # most in a round
PUBLIC = 2  # place of the card for both seats


@dataclass(frozen=True)
class LeducState(State):
    """B games of Leduc poker."""

    layout: ClassVar = Layout(suits=2, ranks=3, rank_names=("J", "Q", "K"))
    holds: ClassVar = {"cards": "cards", "history": ACTIONS}

    cards: Tensor  # [B, 3] int8, the card of each seat, and the one for both, turned up for the second round
    paid: Tensor  # [B, 2] int8, chips in the pot
    history: Tensor  # [B, 8] int8, actions, places 0..3 and 4..7 for the two rounds, -1 = none
    place: Tensor  # [B] int64, where the next action goes, 8 at the end


class Leduc(Game):
    """Two seats have paid a chip and hold one of six cards. In two rounds they fold, call, or raise by 2 chips and then
    by 4; in between a card is turned up. A pair with it wins, else the higher card. A game is worth the chips won."""

    name, state_type = "leduc", LeducState
    seats, layout, deck = 2, LeducState.layout, LeducState.layout.bits
    lowest, highest, sum_of_scores = -13.0, 13.0, 0.0
    action_names = ACTIONS
    num_actions = max_legal = len(ACTIONS)
    decisions = 2 * TURNS
    max_forced_run = 0
    unit = "chips"
    features = (PUBLIC + 1) * layout.size + decisions * num_actions

    def deal(self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0) -> State:
        stream = dealing.numbers(batch_size, seed, device, first_index)
        cards = dealing.shuffled(stream, self.deck, self.layout.size)[:, : PUBLIC + 1].to(torch.int8)
        paid, history = torch.ones_like(cards[:, :PUBLIC]), cards.new_full((batch_size, self.decisions), -1)
        return LeducState(stream.game, cards, paid, history, place=torch.zeros_like(stream.game))

    def turn(self, state: LeducState) -> Tensor:
        return state.place

    def mover(self, state: LeducState) -> Tensor:
        return state.place & 1

    def legal_mask(self, state: LeducState) -> Tensor:
        raises, behind = (state.history == RAISE).view(-1, 2, TURNS).sum(-1), state.paid.diff()[:, 0] != 0
        raises = torch.where(state.place < TURNS, raises[:, 0], raises[:, 1])
        return torch.stack([behind, torch.ones_like(behind), raises < RAISES], -1)

    def step(self, state: LeducState, action: Tensor) -> LeducState:
        action, place = action[:, None], state.place[:, None]
        goes_on = (action != FOLD) & (place < self.decisions)
        price = state.paid.amax(-1, keepdim=True) + (action == RAISE) * torch.where(place < TURNS, 2, 4)
        pays = goes_on & (torch.arange(self.seats, device=place.device) == place & 1)
        here = torch.arange(self.decisions, device=place.device) == place  # nowhere at the end
        after = torch.where((action == CALL) & (place % TURNS > 0), (place // TURNS + 1) * TURNS, place + 1)
        return replace(
            state,
            paid=torch.where(pays, price.to(torch.int8), state.paid),
            history=torch.where(here, action.to(torch.int8), state.history),
            place=torch.where(goes_on, after, self.decisions)[:, 0],
        )

    def is_terminal(self, state: LeducState) -> Tensor:
        return state.place == self.decisions

    def scores(self, state: LeducState) -> Tensor:
        rank, unpaid = state.cards % self.layout.ranks, state.paid.diff()  # [B, 1], 0 unless somebody has folded
        hand = rank + self.layout.ranks * (rank == rank[:, PUBLIC:])
        won = torch.where(unpaid != 0, unpaid, hand[:, :PUBLIC].diff()).sign() * state.paid.amin(-1, keepdim=True)
        return torch.where(self.is_terminal(state)[:, None], torch.cat([-won, won], -1).float(), 0.0)

    def hidden(self, state: LeducState) -> dict[str, Hidden]:
        card = torch.arange(PUBLIC + 1, device=state.device)
        second = (state.place >= TURNS) & ((state.place < self.decisions) | (state.history[:, TURNS] >= 0))
        compared = self.is_terminal(state) & (state.paid.diff()[:, 0] == 0)  # nobody has folded
        public = torch.where(card == PUBLIC, second[:, None], compared[:, None])[:, None]
        return {"cards": Hidden(public | (card == card[: self.seats, None]), holds="cards")}

    def observe(self, state: LeducState, seat: Tensor | None = None) -> Tensor:
        """`columns`, as far as the seat sees the cards: [B, features] float32."""
        seen = self.hidden(state)["cards"].seen_by(self.mover(state) if seat is None else seat)
        known = torch.where(seen, state.cards, -1)[..., None] == torch.arange(self.layout.size, device=state.device)
        return torch.cat([known.flatten(1), *(state.history == action for action in (FOLD, CALL, RAISE))], -1).float()

    def columns(self) -> list[tuple[int, str]]:
        places = ("the card of absolute seat 0", "the card of absolute seat 1", "the card for both")
        cards = [(self.layout.size, f"{place}, if it is seen") for place in places]
        return [*cards, *((self.decisions, f"places of `history` at which a seat did {action}") for action in ACTIONS)]

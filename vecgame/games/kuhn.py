"""Kuhn poker (Kuhn, "A simplified two-person poker", 1950), with two or more players as OpenSpiel's `kuhn_poker`."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from vecgame import dealing, hidden
from vecgame.cards import Layout
from vecgame.game import Game
from vecgame.games.checks import check_rules
from vecgame.hidden import Hidden
from vecgame.lanes import around
from vecgame.state import State

PASS, BET = 0, 1
ACTIONS = ("pass", "bet")


@dataclass(frozen=True)
class KuhnRules:
    """What may be changed about Kuhn poker. Raises ValueError on values that make no game."""

    players: int = 2  # 2 .. 8, with one card more: jack, queen, king; with more players up to the ace

    def __post_init__(self) -> None:
        check_rules(self, players=(2, 8))


@dataclass(frozen=True)
class KuhnState(State):
    """B games of Kuhn poker."""

    holds: ClassVar = {"history": ACTIONS}

    cards: Tensor  # [B, P] int8, the card of each seat
    history: Tensor  # [B, 2 P] int8, what was done at each decision, -1 = not yet; seat p's are number p and P + p


class Kuhn(Game):
    """Each seat has put a chip into the pot and passes or bets another. After a bet the others bet as well, or pass for
    good. The highest card of those who have bet, of all if nobody has, takes the pot. A game is worth the chips won."""

    name = "kuhn"
    rules_type, state_type, of_seats = KuhnRules, KuhnState, "cards"
    action_names = ACTIONS
    num_actions = max_legal = 2
    max_forced_run = 0
    sum_of_scores = 0.0
    unit = "chips"

    def __init__(self, rules: KuhnRules | None = None, **changes: object) -> None:
        super().__init__(rules, **changes)
        self.seats, cards = self.rules.players, self.rules.players + 1
        self.layout = Layout(suits=1, ranks=cards, rank_names=("J", "Q", "K") if cards == 3 else ())
        self.deck, self.decisions = self.layout.bits, 2 * self.seats - 1
        self.lowest, self.highest = -2.0, 2.0 * (self.seats - 1)
        self.features = self.seats * (cards + 2 * self.num_actions)

    def deal(self, batch_size: int, seed: int = 0, device: str | torch.device = "cpu", first_index: int = 0) -> State:
        stream = dealing.numbers(batch_size, seed, device, first_index)
        cards = dealing.shuffled(stream, self.deck, self.layout.size)[:, : self.seats].to(torch.int8)
        return KuhnState(stream.game, cards, history=torch.full_like(cards, -1).repeat(1, 2))

    def turn(self, state: KuhnState) -> Tensor:
        return (state.history >= 0).sum(-1)

    def mover(self, state: KuhnState) -> Tensor:
        return around(self.turn(state), self.seats)

    def legal_mask(self, state: KuhnState) -> Tensor:
        return torch.ones_like(state.history[:, : self.num_actions], dtype=torch.bool)

    def step(self, state: KuhnState, action: Tensor) -> KuhnState:
        now = torch.arange(2 * self.seats, device=state.device) == self.turn(state)[:, None]
        now = now & ~self.is_terminal(state)[:, None]
        return replace(state, history=torch.where(now, action.to(torch.int8)[:, None], state.history))

    def is_terminal(self, state: KuhnState) -> Tensor:
        """All have passed, or everybody has had a turn since the first bet."""
        first_bet = (state.history == BET).to(torch.int8).argmax(-1)  # 0 where there is none
        return self.turn(state) == self.seats + first_bet

    def scores(self, state: KuhnState) -> Tensor:
        bet = self._has_bet(state)
        paid = (1 + bet).float()
        best = torch.where(_in_for_the_pot(bet), state.cards, -1).argmax(-1, keepdim=True)
        won = torch.scatter_add(-paid, 1, best, paid.sum(-1, keepdim=True))
        return torch.where(self.is_terminal(state)[:, None], won, 0.0)

    def _has_bet(self, state: KuhnState) -> Tensor:
        """Which seats have bet: [B, P] bool."""
        return (state.history == BET).view(-1, 2, self.seats).any(1)

    def hidden(self, state: KuhnState) -> dict[str, Hidden]:
        """Each seat sees its own card, and at the end those that are compared, if more than one may take the pot."""
        compared = _in_for_the_pot(self._has_bet(state))
        compared = compared & ((compared.sum(-1) > 1) & self.is_terminal(state))[:, None]
        own = hidden.own(self.seats, state.batch_size, state.device)
        return {"cards": Hidden(own | compared[:, None], holds="cards")}

    def observe(self, state: KuhnState, seat: Tensor | None = None) -> Tensor:
        """`columns`, as far as ``seat`` sees the cards: [B, features] float32."""
        seen = self.hidden(state)["cards"].seen_by(self.mover(state) if seat is None else seat)
        known = torch.where(seen, state.cards, -1)[..., None] == torch.arange(self.layout.size, device=state.device)
        return torch.cat([known.flatten(1), state.history == PASS, state.history == BET], -1).float()

    def columns(self) -> list[tuple[int, str]]:
        cards = [(self.layout.size, f"the card of absolute seat {seat}, if it is seen") for seat in range(self.seats)]
        return [*cards, *((2 * self.seats, f"decisions at which a seat did {action}") for action in ACTIONS)]


def _in_for_the_pot(bet: Tensor) -> Tensor:
    """The seats that may take the pot: those that have ``bet`` [B, P] bool, all if nobody has."""
    return bet | ~bet.any(-1, keepdim=True)

"""A small game of hands with cards on the table, whose moves have words of their own."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from vecgame import DealerRules, HandGame, HandState, Hidden, Layout, hidden, piles, starts
from vecgame.cards import lowest_card, popcount


@dataclass(frozen=True)
class TrayState(HandState):
    """Cards on a tray between the seats, and those that each has laid aside."""

    holds: ClassVar = {"tray": "sets", "aside": "sets", "row": "cards", "out": "sets"}

    tray: torch.Tensor  # [B] int64
    aside: torch.Tensor  # [B, P] int64, of which a seat sees its own
    out: torch.Tensor  # [B, P] int64
    row: torch.Tensor  # [B, 3] int8, the newest first, -1 for none


@dataclass(frozen=True)
class TrayRules:
    """What may be changed."""

    players: int = 2
    cards: int = 3
    decisions: int = 6


class Tray(HandGame):
    """Each in turn lays a card aside for itself, then takes one from the tray; or swipes, which the game has a verb
    for, and nothing comes of it."""

    name = "tray"
    rules_type, state_type, highest = TrayRules, TrayState, 6.0
    layout = Layout(suits=2, ranks=5, suit_names=("spades", "hearts"), rank_names=("1", "2", "3", "4", "5"))
    others, verbs = ("swipe left", "sing", "carry"), ("swipe", "carry")

    def begin(self, stream, hands, stock):
        tray = torch.where(stock >= 0, 1 << stock.clamp(min=0).long(), 0).sum(-1)
        none, row = torch.zeros_like(hands), torch.full_like(stock[:, :3], -1)
        return self.start(stream, hands, tray=tray, aside=none, out=none, row=row)

    def legal_cards(self, state):
        return torch.where(state.made % 3 == 2, state.tray, super().legal_cards(state))

    def legal_others(self, state):
        return [state.made % 3 != 2] * 3

    def hidden(self, state):
        return super().hidden(state) | {"aside": Hidden(hidden.own(2, state.batch_size, state.device))}

    def act(self, state, action, card):
        take, plays = state.made % 3 == 2, card != 0
        mine = piles.only(state.to_move, card, 2)
        row = torch.cat([action.to(torch.int8)[:, None], state.row[:, :-1]], -1)
        return replace(
            state,
            tray=state.tray & ~card,
            out=state.out | torch.where(take[:, None], mine, 0),
            aside=state.aside | torch.where(take[:, None], 0, mine),
            row=torch.where((take & plays)[:, None], row, state.row),
            to_move=1 - state.to_move,
        )

    def action_name(self, action, state=None, lane=0):
        name = super().action_name(action, state, lane)
        if state is None or action >= self.first_other:
            return name
        return f"{'take' if state[lane].made % 3 == 2 else 'stow'} {name}"

    def remark(self, before, action, after, names):
        if action < self.first_other and before.made % 3 == 2 and action % 5 == 4:
            return f"A five for {names[int(before.to_move)]}."
        return "That is all." if self.is_terminal(after) else None

    def points(self, state):
        return popcount(state.aside | state.out).float()


@dataclass(frozen=True)
class RaiseRules(DealerRules):
    """What may be changed."""

    players: int = 3
    ranks: int = 3
    suits: int = 2


@dataclass(frozen=True)
class RaiseState(HandState):
    """What each has done."""

    holds: ClassVar = {"bets": ("fold", "bet")}

    dealer: torch.Tensor  # [B] int64
    bets: torch.Tensor = starts(-1, "seats", dtype=torch.int8)  # [B, P]


class Raise(HandGame):
    """A card each; the seat after the dealer is the first to bet on its own or not. A network sees which seat it is."""

    name, rules_type, state_type = "raise", RaiseRules, RaiseState
    plays_cards, others, max_forced_run = False, ("fold", "bet"), 0

    def set_up(self):
        self.decisions, self.lowest, self.highest = self.seats, -4.0, 4.0 * (self.seats - 1)

    def act(self, state, action, card):
        bets = piles.changed(state.bets, state.to_move, action)
        return replace(state, bets=bets, to_move=(state.to_move + 1) % self.seats)

    def points(self, state):
        bet = state.bets == 1
        paid, rank = 1 + 3 * bet, torch.where(bet, lowest_card(state.hands) % self.layout.ranks, -1)
        best = (rank == rank.amax(-1, keepdim=True)).float()
        return best * paid.sum(-1, keepdim=True) / best.sum(-1, keepdim=True) - paid

"""Hanabi: play each colour in order, from hands that all others see, by what hints have told."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from vecgame import HandGame, HandState, Hidden, piles, starts
from vecgame.cards import Layout, lowest_card, popcount


@dataclass(frozen=True)
class HanabiRules:
    players: int = 2
    suits: int = 2
    copies: tuple[int, ...] = (3, 2, 1)  # of the ones, twos, ..
    places: int = 3  # in a hand
    hints: int = 4
    lives: int = 2


@dataclass(frozen=True)
class HanabiState(HandState):
    holds: ClassVar = {"laid": "sets", "out": "sets"}
    untold: ClassVar = ()  # what hints have told is all that players have

    hands: torch.Tensor  # [B, P, H] int64 bitboards, the card in each place
    may: torch.Tensor  # [B, P, H] int64 bitboards, the cards that it may be by what hints have told
    stock: torch.Tensor  # [B, N] int8
    laid: torch.Tensor = starts(0)  # [B] int64, the cards that lie in order
    out: torch.Tensor = starts(0)  # [B] int64, those discarded, or played out of order
    hints: torch.Tensor = starts("rules.hints")  # [B] int64, that may be given
    lives: torch.Tensor = starts("rules.lives")  # [B] int64
    last: torch.Tensor = starts("seats")  # [B] int64, decisions from when the stock is empty


class Hanabi(HandGame):
    """Actions are to play the card in a place, to discard it, and to tell the next seat of a colour or a rank."""

    name, rules_type, state_type = "hanabi", HanabiRules, HanabiState
    cards, plays_cards, cooperative, lowest, max_forced_run = 0, False, True, 0.0, 0  # `begin` draws the hands

    def set_up(self):
        rules, places = self.rules, range(self.rules.places)
        of_id = [rank for rank, copies in enumerate(rules.copies) for _ in range(copies)]
        self.layout = Layout(rules.suits, len(of_id), rank_names=tuple(str(rank + 1) for rank in of_id))
        self.ranks, ids = torch.tensor(of_id * rules.suits), range(self.layout.size)
        suits = {f"hint {self.layout.suit_names[suit]}": self.layout.block(suit) for suit in range(rules.suits)}
        ranks = {f"hint {rank + 1}": sum(1 << i for i in ids if self.ranks[i] == rank) for rank in {*of_id}}
        self.told = torch.tensor([*suits.values(), *ranks.values()])  # the cards that each hint is about
        self.others = *(f"{do} {place + 1}" for do in ("play", "discard") for place in places), *suits, *ranks
        self.highest, self.decisions = float(rules.suits * len(ranks)), rules.hints + 2 * len(ids)

    def begin(self, stream, hands, stock):
        drawn, stock = piles.draw(stock, torch.ones_like(hands).repeat(1, self.rules.places))
        return self.start(stream, drawn.unflatten(1, (self.seats, -1)), stock=stock)

    def over(self, state):
        return (state.lives == 0) | (state.last == 0) | (popcount(state.laid) == self.highest)

    def legal_others(self, state):
        after = ((state.to_move + 1) % self.seats)[:, None, None].expand(-1, 1, self.rules.places)
        hints = (state.hands.gather(1, after) & self.told.to(state.device)[:, None] != 0).any(-1)
        mine = [may for may in (state.hints >= 0, state.hints < self.rules.hints) for _ in range(self.rules.places)]
        return [*mine, *(hints & (state.hints > 0)[:, None]).unbind(-1)]

    def act(self, state, action, card):
        size, seat, after = self.rules.places, state.to_move, (state.to_move + 1) % self.seats
        plays, gives = action < size, action >= 2 * size
        place = piles.only(seat * size + action % size, ~gives, self.seats * size).view_as(state.hands)
        card = torch.where(place, state.hands, 0).sum((1, 2))
        one, ranks, told = lowest_card(card).clamp(min=0), self.ranks.to(state.device), self.told.to(state.device)
        fits = plays & (popcount(state.laid & self.layout.suit_bits(self.layout.suit_of(one))) == ranks[one])
        drawn, stock = piles.draw(state.stock, place.flatten(1).long())
        told, hears = told[(action - 2 * size).clamp(min=0), None, None], piles.only(after, gives, self.seats)
        told = torch.where(state.hands & told != 0, told, ~told) | ~-hears[..., None].long()
        may = torch.where(place, self.layout.bits, state.may & told)
        lies = {"hands": torch.where(place, drawn.view_as(place), state.hands), "may": may, "stock": stock}
        lies |= {"laid": state.laid | torch.where(fits, card, 0), "out": state.out | torch.where(fits, 0, card)}
        left = {"lives": state.lives - (plays & ~fits).long(), "last": state.last - (state.stock[:, 0] < 0).long()}
        return replace(state, to_move=after, hints=state.hints + (~plays).long() - 2 * gives, **left, **lies)

    def points(self, state):
        return popcount(state.laid)[:, None].float().expand(-1, self.seats)

    def hidden(self, state):
        return super().hidden(state) | {"hands": Hidden("others")}

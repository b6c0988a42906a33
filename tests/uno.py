"""Uno: 108 cards of which most are there twice, reverses, cards that make others draw, wild ones, and a drawn card
that may be played. A wild card that makes the next one draw four may be played at any time, and is not challenged."""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import Hidden, piles, starts
from vecgame.cards import Layout, Table, bit
from vecgame.copies import counts_of, tallied

RANKS = (*map(str, range(10)), "skip", "reverse", "+2")
LAYOUT = Layout(4, 13, 2, ("red", "yellow", "green", "blue"), RANKS, ("wild", "wild +4"))
SKIP, REVERSE, TWO, WILD, FOUR, WILDS = 10, 11, 12, 52, 53, 3 << 52
WORTH = Table([*[*range(10), 20, 20, 20] * 4, 50, 50])


@dataclass(frozen=True)
class UnoRules:
    players: int = 4
    cards: int = 7
    decisions: int = 1000  # then nobody wins


@dataclass(frozen=True)
class UnoState(vecgame.HandState):
    layout, holds = LAYOUT, {"hands": "counts", "discards": "counts", "colour": "suits"}

    stock: torch.Tensor  # [B, 108] int8
    discards: torch.Tensor = starts(0, "layout.size", dtype=torch.int8)  # [B, 54] counts
    top: torch.Tensor  # [B] int8, the newest of these
    colour: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], to match; -1: the mover is to name one
    ahead: torch.Tensor = starts(1)  # [B], or -1: which way it goes
    drawn: torch.Tensor = starts(-1, "seats", dtype=torch.int8)  # [B, P], the card that the mover has drawn
    future: torch.Tensor


class Uno(vecgame.HandGame):
    """Whoever is first without cards gets what the others hold."""

    name, rules_type, state_type = "uno", UnoRules, UnoState
    copies = (*(1, *[2] * 12) * 4, 4, 4)
    others = ("draw", "keep", *(f"name {colour}" for colour in LAYOUT.suit_names))
    max_legal, lowest = 13 + 3 + 2 + 1, 0.0

    def set_up(self):
        self.highest = float(sum(copies * worth for copies, worth in zip(self.copies, WORTH.numbers, strict=True)))

    def begin(self, stream, hands, stock):
        """Turned up is the first card that makes nobody draw four, as if the dealer played it; the rest is shuffled."""
        top = stock.gather(1, (stock != FOUR).byte().argmax(-1, keepdim=True))[:, 0]
        stock = piles.stock_of(stream.at(64), tallied(stock, 54) - counts_of(bit(top), 54), self.deck_size)
        state = self.start(stream, hands, stock=stock, top=top, to_move=torch.full_like(stream.game, -1))
        state = self.act(state, top.long(), bit(top))
        return replace(state, to_move=torch.where(top == WILD, 0, state.to_move))

    def hidden(self, state):
        drawn = Hidden("own", "cards", place=False, of="hands")
        return super().hidden(state) | {"top": Hidden("all", "cards", place=False), "drawn": drawn}

    def over(self, state):
        return (state.hands.sum(-1) == 0).any(-1)

    def legal_cards(self, state):
        drawn, fits = piles.entry(state.drawn, state.to_move), self.layout.suit_bits(state.colour.clamp(min=0)) | WILDS
        fits = fits | torch.where(state.top < WILD, self.layout.rank_bits(state.top % 13), 0)
        mine = torch.where(drawn < 0, super().legal_cards(state), bit(drawn.clamp(min=0)))
        return torch.where(state.colour < 0, 0, mine & fits)

    def legal_others(self, state):
        names, drew = state.colour < 0, piles.entry(state.drawn, state.to_move) >= 0
        return [~names & ~drew, drew, *[names] * 4]

    def act(self, state, action, card):
        plays, draws, named = card != 0, action == self.first_other, action - self.first_other - 2
        rank, top = torch.where(plays & (action < WILD), action % 13, -1), torch.where(plays, action, state.top)
        ahead = torch.where(rank == REVERSE, -state.ahead, state.ahead)
        mover, after = state.to_move % self.seats, (state.to_move + ahead) % self.seats
        number = draws + 2 * (rank == TWO) + 4 * (action == FOUR)
        discards = state.discards + counts_of(card, 54)
        low = (state.stock >= 0).sum(-1) < number  # then all but the top are shuffled below what there is
        under = torch.where(low[:, None], discards - counts_of(bit(top), 54), 0)
        stock = piles.refilled(state.stock, under, vecgame.Stream(0, state.future, state.made))
        got, stock = piles.draw(stock, number, ids=54)
        drawn = torch.where(draws & (got.sum(-1) > 0), got.argmax(-1), -1).to(torch.int8)
        colour = torch.where(action < WILD, action // 13, torch.where(plays, -1, state.colour))
        colour = torch.where(named < 0, colour, named).to(torch.int8)
        skips = (rank == SKIP) | (rank == TWO) | (rank == REVERSE) & (self.seats == 2) | (named >= 0) & (top == FOUR)
        on = torch.where((colour < 0) | (drawn >= 0) | (named >= 0) & (state.made == 0), 0, 1 + skips.long())
        return replace(
            state, stock=stock, discards=discards - under, top=top.to(torch.int8), colour=colour, ahead=ahead,
            drawn=piles.changed(torch.full_like(state.drawn, -1), mover, drawn),
            hands=piles.added(state.hands, torch.where(draws, mover, after), got),
            to_move=(mover + ahead * on) % self.seats)  # fmt: skip

    def points(self, state):
        worth = (state.hands * WORTH.on(state.device)).sum(-1)
        return torch.where(state.hands.sum(-1) == 0, worth.sum(-1, keepdim=True), 0).float()

"""Mahjong of the plainest kind: no flowers, no kongs, any complete hand wins. Who draws what completes it has a point
from each other seat, by a discard as many from who discarded it. A discard is offered in turn, to win by or to make
three alike of ("pong"), which who says so first does unless a later one wins. Then the next makes a run or draws."""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import Layout, piles, starts
from vecgame.copies import tallied
from vecgame.tiles import TileMelding

HONOURS = ("east", "south", "west", "north", "red", "green", "white")
LAYOUT = Layout(3, 9, 7, ("bamboo", "circles", "characters"), tuple("123456789"), HONOURS)
HOLDS = dict.fromkeys(("hands", "melds", "discards"), "counts") | dict.fromkeys(("by", "wanted", "winner"), "seats")
WIN, PASS, PONG, CHOW, DRAW = 0, 1, 2, 3, 6  # by "chow low" the discard is the lowest of the run


@dataclass(frozen=True)
class MahjongRules:
    players: int = 4
    cards: int = 13


@dataclass(frozen=True)
class MahjongState(vecgame.HandState):
    layout, holds, untold = LAYOUT, HOLDS | {"offered": "cards"}, ("asked", "drawn")
    stock: torch.Tensor
    melds: torch.Tensor = starts(0, "seats", "layout.size", dtype=torch.int8)  # [B, P, 34] counts that lie open
    discards: torch.Tensor = starts(0, "layout.size", dtype=torch.int8)  # [B, 34] counts
    offered: torch.Tensor = starts(-1)  # [B], the newest discard, until it is taken or somebody draws
    by: torch.Tensor = starts(-1)  # [B], who discarded it
    asked: torch.Tensor = starts(0)  # [B], seats that have had it offered
    wanted: torch.Tensor = starts(-1)  # [B], who makes three alike of it if nobody wins
    drawn: torch.Tensor = starts(True)  # [B], whether the mover has just drawn
    winner: torch.Tensor = starts(-1)  # [B]


class Mahjong(vecgame.HandGame):
    name, rules_type, state_type = "mahjong", MahjongRules, MahjongState
    copies, decisions, max_legal, max_forced_run = (4,) * 34, 500, 15, 8
    others, verbs = ("win", "pass", "pong", "chow low", "chow middle", "chow high", "draw"), ("win", "pong", "chow")

    def set_up(self):
        if self.cards % 3 != 1:
            raise ValueError(f"a hand is of melds of three and one tile more, got cards={self.cards}")
        self.melding = TileMelding(self.layout, self.copies, melds=self.cards // 3)
        self.lowest, self.highest = 1.0 - self.seats, self.seats - 1.0

    def begin(self, stream, hands, stock):  # the first seat has drawn
        got, stock = piles.draw(stock, piles.only(torch.zeros_like(stream.game), 1, self.seats), ids=34)
        return self.start(stream, hands + got, stock=stock)

    def over(self, state):
        return (state.winner >= 0) | (state.offered >= 0) & (state.asked == self.seats - 1) & (state.stock < 0).all(-1)

    def legal_cards(self, state):
        return torch.where(state.offered < 0, super().legal_cards(state), 0)

    def legal_others(self, state):
        mine, offered = piles.entry(state.hands, state.to_move), state.offered
        needed = self.melding.melds - piles.entry(state.melds, state.to_move).sum(-1) // 3
        wins = self.melding.lacking(mine + tallied(offered, 34), needed) == 0
        asks = (offered >= 0) & (state.asked < self.seats - 1)

        def has(step, number=1):
            there = offered + step
            suited = (step == 0) | (offered < 27) & (there >= 0) & (there // 9 == offered // 9)
            return suited & (mine.gather(1, there.clamp(0, 33)[:, None])[:, 0] >= number)

        last, pairs = (offered >= 0) & ~asks, asks & has(0, 2) & (state.wanted < 0)
        chows = [last & has(one) & has(other) for one, other in ((1, 2), (-1, 1), (-2, -1))]
        return [wins & (asks | state.drawn), asks, pairs, *chows, last]

    def act(self, state, action, card):
        other, mover, tile = action - self.first_other, state.to_move, tallied(state.offered, 34)
        discards, pong, draws, chows = card != 0, other == PONG, other == DRAW, (other >= CHOW) & (other < DRAW)
        run = (state.offered - other + CHOW)[:, None] + torch.arange(3, device=other.device)
        takes = torch.where(chows[:, None], tallied(run.clamp(0, 33), 34) - tile, 2 * tile * pong[:, None])
        wanted, answers = torch.where(pong, mover, state.wanted), pong | (other == PASS)
        asked = answers & (state.asked == self.seats - 2)  # all of them
        taken = chows | asked & (wanted >= 0)
        got, stock = piles.draw(state.stock, draws, ids=34)
        after = torch.where(discards | answers, (mover + 1) % self.seats, mover)
        after = torch.where(asked, torch.where(wanted >= 0, wanted, (state.by + 1) % self.seats), after)
        melds = piles.added(piles.added(state.melds, mover, takes), after, tile, where=taken)
        return replace(
            state, stock=stock, hands=piles.added(state.hands, mover, got - takes), to_move=after, melds=melds,
            discards=state.discards + tile * draws[:, None], drawn=draws, by=torch.where(discards, mover, state.by),
            offered=torch.where(discards, action, torch.where(draws | taken, -1, state.offered)),
            asked=torch.where(discards, 0, state.asked + answers), wanted=torch.where(discards | taken, -1, wanted),
            winner=torch.where(other == WIN, mover, state.winner))  # fmt: skip

    def points(self, state):
        seat, most = torch.arange(self.seats, device=state.device), self.seats - 1
        paid = torch.where(state.offered[:, None] < 0, 1, most * (seat == state.by[:, None]))
        won = torch.where(seat == state.winner[:, None], most, -paid)
        return torch.where(state.winner[:, None] < 0, 0, won).float()

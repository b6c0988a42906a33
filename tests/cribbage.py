"""Cribbage for two, one deal: two cards each to the crib in secret, a starter, the play to 31, and the show."""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import Hidden, piles, starts
from vecgame.cards import Layout, Table, bit, list_cards

LAYOUT = Layout(rank_names=("A", *map(str, range(2, 11)), "J", "Q", "K"))
JACK = 10
WORTH = Table([min(rank + 1, 10) for rank in range(13)] * 4)
FITS = Table([sum(1 << card for card in range(52) if WORTH.numbers[card] <= room) for room in range(32)])
CHOICES = Table([[number >> place & 1 for place in range(5)] for number in range(32)])  # of five cards


@dataclass(frozen=True)
class CribbageState(vecgame.HandState):
    layout, holds = LAYOUT, {"played": "sets", "series": "cards", "last": "seats"}

    dealer: torch.Tensor  # [B]
    starter: torch.Tensor  # [B] int8
    crib: torch.Tensor = starts(0, "seats")  # [B, 2] bitboards, what each has put there
    played: torch.Tensor = starts(0, "seats")  # [B, 2] bitboards
    series: torch.Tensor = starts(-1, 8, dtype=torch.int8)  # [B, 8], the cards up to 31, the newest first
    count: torch.Tensor = starts(0)  # [B], of these
    last: torch.Tensor = starts(-1)  # [B], who played the newest
    gone: torch.Tensor = starts(False, "seats")  # [B, 2], who has said go
    pegged: torch.Tensor = starts(0, "seats")  # [B, 2]
    may: torch.Tensor  # [B, 2] bitboards: who says go holds no card that fits


class Cribbage(vecgame.HandGame):
    """Worth the points of the deal less those of the other."""

    name, rules_type, state_type = "cribbage", vecgame.DealerRules, CribbageState
    seats, cards, decisions, max_legal, others = 2, 6, 16, 6, ("go",)  # 4 discards, 8 cards, at most 4 goes
    lowest, highest, sum_of_scores = -90.0, 90.0, 0.0

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, starter=stock[:, 0])

    def hidden(self, state):
        return super().hidden(state) | {"crib": Hidden("own"), "starter": Hidden(state.made >= 4, "cards")}

    def legal_cards(self, state):
        return piles.entry(state.hands, state.to_move) & FITS[31 - state.count]  # all fit before the play

    def legal_others(self, state):
        return [self.legal_cards(state) == 0]

    def over(self, state):
        return (state.hands == 0).all(-1)

    def act(self, state, action, card):
        mover, discards, goes = state.to_move, state.made < 4, card == 0
        play = torch.where(discards, 0, card)
        count = state.count + self.layout.total(play, WORTH)
        series, last = piles.put_on(state.series, play), torch.where(play != 0, mover, state.last)
        gone = piles.joined(state.gone, mover, goes)
        stuck = gone | (state.hands == 0)
        end = ~discards & (stuck.all(-1) | (count == 31))
        pegged = piles.added(state.pegged, mover, self.pegs(series, count), where=play != 0)
        pegged = piles.added(pegged, last, 1, where=end & (count != 31))
        pegged = piles.added(pegged, state.dealer, 2, where=(state.made == 3) & (state.starter % 13 == JACK))
        turn = piles.seat_after(torch.where(end, last, mover), torch.where(end[:, None], state.hands != 0, ~stuck))
        return replace(
            state, count=torch.where(end, 0, count), series=torch.where(end[:, None], -1, series), last=last,
            to_move=torch.where(discards, (mover + state.made) % 2, turn), gone=gone & ~end[:, None], pegged=pegged,
            crib=piles.joined(state.crib, mover, card, where=discards), played=piles.joined(state.played, mover, play),
            may=state.may & ~piles.only(mover, torch.where(goes, FITS[31 - state.count], 0), 2))  # fmt: skip

    def pegs(self, series, count):
        """What the newest card of a series [B, 8] is worth."""
        ranks = torch.where(series < 0, -99, series % 13)
        alike = (ranks == ranks[:, :1]).long().cumprod(-1).sum(-1)
        runs = [n * (ranks[:, :n].sort(-1).values.diff(dim=-1) == 1).all(-1) for n in range(3, 8)]
        return 2 * ((count == 15) | (count == 31)) + alike * (alike - 1) + torch.stack(runs).amax(0)

    def show(self, hand, starter, crib):
        """What four cards [B] and the starter [B] are worth, in the hand or in the crib."""
        cards = torch.cat([list_cards(hand, 4), starter[:, None].long()], -1)
        fifteens = ((WORTH[cards][:, None] * CHOICES.on(hand.device)).sum(-1) == 15).sum(-1)
        each, run = self.layout.counts(hand | bit(starter)), torch.zeros_like(hand)
        for n in (3, 4, 5):
            runs = n * each.unfold(-1, n, 1).prod(-1).sum(-1)
            run = torch.where(runs > 0, runs, run)
        suits = self.layout.suit_of(cards)
        same = suits == suits[:, :1]
        flush = torch.where(same.all(-1), 5, torch.where(same[:, :4].all(-1) & (not crib), 4, 0))
        nobs = hand & bit(JACK + 13 * suits[:, 4]) != 0
        return 2 * fifteens + (each * (each - 1)).sum(-1) + run + flush + nobs

    def points(self, state):
        hands = torch.stack([self.show(state.played[:, seat], state.starter, False) for seat in range(2)], -1)
        crib = self.show(state.crib[:, 0] | state.crib[:, 1], state.starter, True)
        total = piles.added(state.pegged + hands, state.dealer, crib).float()
        return total - total.flip(-1)

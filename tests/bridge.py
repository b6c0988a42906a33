"""Contract bridge: an auction, dummy laid open and played by declarer, duplicate scoring.

An auction of more than `CALLS` calls is cut off: the last three must be passes.
"""

from dataclasses import dataclass, replace

import torch

import vecgame
from vecgame import Layout, starts
from vecgame.lanes import entries, with_entries
from vecgame.own_rules import partners, side_of
from vecgame.piles import entry

CALLS, ROUNDS, PASS, DOUBLE, REDOUBLE, BID = 75, 19, 0, 1, 2, 3  # bids are numbered from 1C, 3, to 7NT, 37
STRAINS = ("C", "D", "H", "S", "NT")
TRUMPS = torch.tensor([2, 3, 1, 0, 4], dtype=torch.int8)  # of the strains, as suits are numbered
NAMES = ("pass", "double", "redouble", *(f"{level}{strain}" for level in range(1, 8) for strain in STRAINS))
VULNERABLE = ("none", "ns", "ew", "both")


@dataclass(frozen=True)
class BridgeRules(vecgame.DealerRules):
    vulnerable: str = "random"  # "rotate", or one of `VULNERABLE`; seats 0 and 2 are North-South


@dataclass(frozen=True)
class BridgeState(vecgame.TrickState):
    layout, holds = Layout(), {"calls": NAMES}

    calls: torch.Tensor = starts(-1, "seats", ROUNDS, dtype=torch.int8)  # [B, 4, ROUNDS], -1 = not yet
    passes: torch.Tensor = starts(0, dtype=torch.int8)  # [B], calls since the last that was no pass
    doubled: torch.Tensor = starts(0, dtype=torch.int8)  # [B], 1 doubled, 2 redoubled
    vulnerable: torch.Tensor  # [B, 4] bool
    dealer: torch.Tensor  # [B] int8
    declarer: torch.Tensor = starts(-1, dtype=torch.int8)  # [B], -1 until the auction is over
    trump: torch.Tensor = starts(4, dtype=torch.int8)  # [B], 4 = none


class Bridge(vecgame.TrickGame):
    """A game is worth its duplicate score, which the other side loses."""

    name, partners, bid_names = "bridge", True, NAMES
    rules_type, state_type = BridgeRules, BridgeState
    bids, most_bids, opening = len(NAMES), 36, CALLS
    highest, lowest, sum_of_scores = 7600.0, -7600.0, 0.0

    def chance(self):
        return {**super().chance(), "vulnerable": VULNERABLE}

    def begin(self, hands, index, dealer, vulnerable):
        vulnerable = vulnerable[:, None] >> torch.arange(4, device=dealer.device) % 2 & 1 == 1
        return self.start(hands, index, leader=dealer, dealer=dealer.to(torch.int8), vulnerable=vulnerable)

    def bidder(self, calls):
        """Who has made the last bid, which is higher than those before: [B] int64, any seat where there is none."""
        return calls.flatten(1).argmax(-1) // ROUNDS

    def legal_bids(self, state):
        high, own = state.calls.amax((1, 2)).long(), entry(side_of(self.bidder(state.calls)), self.mover(state))
        doubles = torch.where(own, (state.doubled == 1).long() << REDOUBLE, (state.doubled == 0).long() << DOUBLE)
        higher = (1 << len(NAMES)) - (2 << high.clamp(min=REDOUBLE))
        return torch.where(state.made >= CALLS - 3, 1, 1 | higher | torch.where(high >= BID, doubles, 0))

    def bid(self, state, place, bid, bidding):
        at = place * ROUNDS + (state.made.long() // 4).clamp(max=ROUNDS - 1)
        calls = with_entries(state.calls, at, torch.where(bidding, bid, entries(state.calls, at)))
        passes = torch.where(bidding, torch.where(bid == PASS, state.passes + 1, 0), state.passes)
        state, high = replace(state, calls=calls, passes=passes), calls.amax((1, 2))
        over = bidding & (passes == torch.where(high >= BID, 3, 4))
        contract, strain = over & (high >= BID), (high.clamp(min=BID) - BID).long() % 5
        ours = (calls >= BID) & ((calls - BID) % 5 == strain[:, None, None]) & side_of(self.bidder(calls))[..., None]
        declarer = torch.where(ours, calls, len(NAMES)).amin(-1).argmin(-1)  # the lowest is the first that was made
        return replace(
            state,
            doubled=torch.where(bidding & (bid > PASS), torch.where(bid >= BID, 0, bid), state.doubled),
            declarer=torch.where(contract, declarer, state.declarer).to(torch.int8),
            trump=torch.where(contract, TRUMPS.to(bid.device)[strain], state.trump),
            leader=torch.where(contract, (declarer + 1) % 4, state.leader).to(torch.int8),
            made=torch.where(contract, CALLS - 1, torch.where(over, self.length - 1, state.made)).to(torch.int8),
        )

    def dummy(self, state):
        return torch.where((state.declarer >= 0) & (state.made > CALLS), (state.declarer.long() + 2) % 4, -1)

    def points(self, state):
        bid, declarer = (state.calls.amax((1, 2)).clamp(min=BID) - BID).long(), state.declarer.clamp(min=0).long()
        level, strain, doubled = bid // 5 + 1, bid % 5, state.doubled.long()
        vulnerable, over = entry(state.vulnerable, declarer), entry(partners(state.won), declarer) - level - 6
        each, more = torch.where(strain < 2, 20, 30), 50 * (1 + vulnerable)  # more of overtricks doubled, and down
        tricks = (level * each + 10 * (strain == 4)) << doubled
        bonus = torch.where(tricks >= 100, 300 + 200 * vulnerable, 50) + 50 * doubled
        slam = torch.where(level >= 6, 250 << (level - 5).clamp(min=0), 0) * (2 + vulnerable) // 2
        made = tricks + bonus + slam + over * torch.where(doubled > 0, more << doubled, each)
        fewer = torch.where(vulnerable, 0, 100 * over.clamp(min=-3))  # is lost of the first three
        lost = torch.where(doubled > 0, (300 * over + 100 - fewer) << doubled >> 1, more * over)
        score = torch.where(over >= 0, made, lost) * (state.declarer >= 0)
        return torch.where(side_of(declarer), score[:, None], -score[:, None]).float()

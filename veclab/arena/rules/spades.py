"""The rule-based player of Spades.

It bids a little less than its cards promise, as some tricks are promised to two seats; nil with a hand that can keep
below, unless the partner has. In play a trick is wanted while its own side needs one or the other side does: a bag
costs a tenth of a trick that keeps them from their bid. Otherwise it sheds its high cards. A nil ducks with the highest
card that loses; who has a partner with one plays what wins the trick in its place.
"""

import torch
from torch import Tensor

from vecgame import Spades
from vecgame.games.spades import SpadesState
from vecgame.lanes import entries, none, place_of
from vecgame.own_rules import partners
from veclab.arena.rules.reading import SURE, Reading, Without, beaten, listed, read, without
from veclab.arena.rules.sides import KEEP, choose, promise, wins_for_side

MARGIN = 0.2  # tricks that it bids less than its cards promise
FORCED = 0.55  # how often a card that promises a trick takes one though its player wants none
NIL = 0.35  # the chance of none from which on it bids nil, where that wins as much as it loses
COVER = 0.2  # what a sure trick later is worth of taking one in the place of a partner who has bid nil


def act(game: Spades, state: SpadesState) -> Tensor:
    """A legal action for the mover of every lane: [B] int64."""
    mask, reading, opening = game.legal_mask(state), read(game, state), state.made < game.opening
    lacking = without(reading)
    keep = promise(reading, lacking)
    card = choose(game, reading, card_worths(state, reading, lacking, keep), mask)
    if none(opening):
        return card
    worth = bid_worths(game, state, reading, lacking, keep).masked_fill(~mask[:, game.first_bid :], -torch.inf)
    return torch.where(opening, game.first_bid + worth.argmax(-1), card)


def bid_worths(game: Spades, state: SpadesState, reading: Reading, lacking: Without, keep: Tensor) -> Tensor:
    """The nearer to what the hand promises, the better a bid: [B, 14] float64.

    Args:
        keep: [B, 52] float64, see `promise`.
    """
    held = listed(reading.hand, game.cards)
    hand = torch.where(held >= 0, keep.gather(1, held.clamp(min=0)), 0.0)
    sure = reading.is_trump & (lacking.above.prod(1) > SURE)  # a trump that nobody beats takes a trick, wanted or not
    forced = torch.where(sure.gather(1, held.clamp(min=0)) & (held >= 0), 1.0, FORCED * hand)
    bids = torch.arange(game.bids, device=state.device)
    near = -(bids - (hand.sum(-1, keepdim=True) - MARGIN).clamp(min=1)).abs()
    partner = entries(state.bids, place_of((reading.mover + 2) % game.seats))
    nil = ((1 - forced).prod(-1) > NIL) & (partner != 0) & (game.rules.nil_points > 0)
    return torch.where(bids == 0, torch.where(nil, 1.0, -2.0 * len(bids))[:, None], near)


def card_worths(state: SpadesState, reading: Reading, lacking: Without, keep: Tensor) -> Tensor:
    """What each card is worth: [B, 52] float64."""
    can, _ = beaten(reading, lacking)
    side, alone = wins_for_side(reading, can)
    place = place_of(reading.mover)
    need = partners(state.bids.clamp(min=0) - state.won)
    wanted = (entries(need, place) > 0) | (entries(need.roll(1, -1), place) > 0)
    worth = torch.where(wanted[:, None], 1.0, -1.0) * (side - KEEP * keep)
    nil = (state.bids == 0) & (state.won == 0)  # not lost yet
    covers, ducks = entries(nil.roll(2, -1), place)[:, None], entries(nil, place)[:, None]
    worth = torch.where(covers, alone - COVER * keep, worth)
    return torch.where(ducks, KEEP * keep - alone, worth)

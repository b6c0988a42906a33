"""The rule-based player of Blob: bids and plays for the most points that it expects.

Every card of the hand has a chance to win a trick sooner or later (`odds`), by what beats it that others may hold, what
ruffs it, and how many tricks the others are after. From these follows how likely each number of tricks is, and from
that what a bid is worth under the scoring of the game (`bid_worths`). In play each card has a chance to win the trick
that is on, certain where nobody can beat it or nobody plays after; playing it is worth what the rest of the hand is
worth, with a trick more or without one (`card_worths`). So the player takes a trick when it needs one, with the card
that it will miss least, ducks under what is on the table, and throws away what would take tricks too many.

It knows what the mover sees and nothing else: no card of its own that it holds on its forehead, no bid made at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from vecgame import Blob, BlobState
from vecgame.cards import DECK, NO_TRUMP, RANKS, TRUMP_NAMES
from vecgame.games.blob_rules import BIDDER, ONCE, OWN, Rules, score
from vecgame.lanes import around, none
from veclab.arena.rules.odds import card_features, counts, log_odds
from veclab.arena.rules.reading import Reading, Without, beaten, listed, read, stands, without

# How often a seat beats a card that it can beat: one that wants tricks, and one that wants none and could keep below.
EAGER, SATED = 0.85, 0.1
# How far a player's cards follow what it needs: added to the logarithm of their odds where it needs every trick and
# expects none. Less before the first trick, as a bid cannot count on all of it.
BID_STEER, CARD_STEER = 1.5, 3.0


@cache
def points_table(rules: Rules, device: torch.device) -> Tensor:
    """What winning so many tricks scores for each bid: [C + 1 bids, C + 1 tricks] float64."""
    tricks = torch.arange(rules.cards + 1, device=device)
    return score(rules, tricks[:, None].expand(-1, len(tricks)), tricks.expand(len(tricks), -1)).double()


def aims(points: Tensor, won: Tensor, left: Tensor, expected: Tensor) -> Tensor:
    """How many more tricks score most: the nearest to what is expected where several do.

    Args:
        points: [..., K] float64, what each number of tricks in all scores.
        won: [...] int64, tricks won.
        left: [...] int64, tricks still to be won.
        expected: [...] float64, of which so many are expected.

    Returns:
        [...] float64.
    """
    tricks = torch.arange(points.shape[-1], device=points.device) - won[..., None]
    within = (tricks >= 0) & (tricks <= left[..., None])
    near = 1e-6 * (tricks - expected[..., None]).abs()
    return (points - near).masked_fill(~within, -torch.inf).argmax(-1) - won.double()


def only_trick(reading: Reading, lacking: Without, leader: Tensor) -> Tensor:
    """The chance that each card wins a game of one card, in which nobody has a choice: [B, 52] float64.

    Args:
        leader: [B] int64, the seat that leads.
    """
    chance = reading.chance
    batch, others = chance.shape[:2]
    by_suit = chance.view(batch, others, -1, RANKS)
    up = by_suit.cumsum(-1)
    higher = (up[..., -1:] - up).view(batch, others, DECK)
    lower = (up - by_suit).view(batch, others, DECK)
    trump = reading.is_trump[:, None]
    ruffed = (chance * trump).sum(-1, keepdim=True).expand_as(chance)
    holds = 1 - higher - torch.where(trump, 0.0, ruffed)
    seat = around(reading.mover[:, None] + torch.arange(1, others + 1, device=chance.device), others + 1)
    # A plain card wins only if its suit is led: by who has a lower one.
    holds = torch.where((seat == leader[:, None])[:, :, None] & ~trump, lower, holds)
    return holds.clamp(0, 1).prod(1)


def steered(odds: Tensor, aim: Tensor, left: Tensor, steer: float) -> Tensor:
    """The chances to win of the cards of a player who wants so many tricks of them.

    Args:
        odds: [..., N] float64, logarithms of their odds, -inf for no card.
        aim: [...] float64, tricks wanted.
        left: [...] int64, how many cards there are; of one alone nothing can be steered.
        steer: see `BID_STEER`.

    Returns:
        [..., N] float64.
    """
    off = ((aim - torch.sigmoid(odds).sum(-1)) / left.clamp(min=1)).clamp(-1, 1)
    return torch.sigmoid(odds + (steer * off * (left > 1))[..., None])


@dataclass(frozen=True)
class Needs:
    """The standing of each seat from the mover on, P seats: [B, P] int64 each."""

    bids: Tensor  # -1 where not made, or not known to the mover
    won: Tensor


def needs_of(game: Blob, state: BlobState, mover: Tensor) -> Needs:
    """The standing as the mover [B] int64 knows it."""
    seat = around(mover[:, None] + torch.arange(game.seats, device=mover.device), game.seats)
    bids = state.bids.long()
    if game.rules.bidding == ONCE:
        bids = torch.where((state.made < game.seats)[:, None], -1, bids)
    return Needs(bids.gather(1, seat), state.won.long().gather(1, seat))


def demand(game: Blob, state: BlobState, needs: Needs) -> Tensor:
    """Tricks that the other seats want over those that are left, a bid that is not known yet being the average: [B]
    float64."""
    cards = torch.zeros_like(state.index, dtype=torch.float64) + game.cards_of(state)
    wanted = torch.where(needs.bids < 0, cards[:, None] / game.seats, (needs.bids - needs.won).clamp(min=0).double())
    return wanted[:, 1:].sum(-1) / (cards - needs.won.sum(-1)).clamp(min=1)


def act(game: Blob, state: BlobState) -> Tensor:
    """A legal action for the mover of every lane: [B] int64."""
    mask, opening = game.legal_mask(state), state.made < game.opening
    reading = read(game, state)
    needs = needs_of(game, state, reading.mover)
    if none(~opening):
        worth = opening_worths(game, state, reading, needs)
    else:
        worth = card_worths(game, state, reading, needs)
        if not none(opening):
            worth = torch.where(opening[:, None], opening_worths(game, state, reading, needs), worth)
    return worth.masked_fill(~mask, -torch.inf).argmax(-1)


def opening_worths(game: Blob, state: BlobState, reading: Reading, needs: Needs) -> Tensor:
    """Expected points of each bid, or of naming each trump: [B, 52] float64, -inf for what is neither."""
    if game.rules.trump == BIDDER:
        worth = worths_before_trump(game, state, needs)
    else:
        worth = bid_worths(game, state, reading, needs)
    return pad(worth, (0, DECK - worth.shape[1]), value=-torch.inf)


def bid_worths(game: Blob, state: BlobState, reading: Reading, needs: Needs) -> Tensor:
    """Expected points of each bid: [B, C + 1] float64."""
    points, left = points_table(game.rules, state.device), reading.left
    lacking, leads = without(reading), (state.leader == reading.mover).double()
    odds = log_odds(reading, card_features(reading, lacking, demand(game, state, needs), leads))
    only = torch.logit(only_trick(reading, lacking, state.leader.long()), eps=1e-9)
    odds = torch.where((left == 1)[:, None], only, odds)
    held = listed(reading.hand, game.cards)
    hand = odds.gather(1, held.clamp(min=0)).masked_fill(held < 0, -torch.inf)  # [B, N]
    if game.rules.sight != OWN:  # Of a hand that is not seen each card is as likely as any that is not seen either.
        mean = (torch.sigmoid(odds) * reading.unseen).sum(-1) / reading.unseen.sum(-1).clamp(min=1)
        dealt = torch.arange(game.cards, device=held.device) < left[:, None]
        unknown = torch.logit(mean, eps=1e-9)[:, None].expand(-1, game.cards).masked_fill(~dealt, -torch.inf)
        hand = torch.where(reading.hand.any(-1, keepdim=True), hand, unknown)
    expected, bids = torch.sigmoid(hand).sum(-1, keepdim=True), torch.arange(game.cards + 1, device=held.device)
    left = left[:, None].expand(-1, len(bids))
    aim = aims(points, torch.zeros_like(left), left, expected)
    chance = steered(hand[:, None].expand(-1, len(bids), -1), aim, left, BID_STEER)
    return (counts(chance) * points).sum(-1)


def worths_before_trump(game: Blob, state: BlobState, needs: Needs) -> Tensor:
    """What bids are worth where the highest bidder names trump, and once all have bid what each trump is: [B, A]
    float64, A = the number of bids or of trumps, whichever is more; -inf for what is neither.

    A bid brings the best trump to who makes it if nobody bids higher, and any trump otherwise.
    """
    mover, names = game.mover(state), [TRUMP_NAMES.index(name) for name in game.rules.trumps]
    suppose = [read(game, state, torch.full_like(mover, trump)) for trump in names]
    worth = torch.stack([bid_worths(game, state, reading, needs) for reading in suppose], 1)  # [B, T, C + 1]
    bids, actions = game.cards + 1, max(game.cards, NO_TRUMP) + 1
    highest = torch.arange(bids, device=mover.device) > needs.bids.amax(-1, keepdim=True)
    # That a seat bids no more than so much, as if tricks were shared out by chance; each of those who are to bid.
    dealt = torch.zeros_like(mover) + game.cards_of(state)
    share = (torch.arange(game.cards, device=mover.device) < dealt[:, None]).to(worth.dtype) / game.seats  # [B, C]
    no_more = counts(share).cumsum(-1) ** (needs.bids[:, 1:] < 0).sum(-1, keepdim=True)
    naming = torch.where(highest, no_more, 0.0)
    bidding = pad(naming * worth.amax(1) + (1 - naming) * worth.mean(1), (0, actions - bids), value=-torch.inf)
    own = needs.bids[:, 0].clamp(min=0)[:, None, None].expand(-1, len(names), 1)
    each = dict(zip(names, worth.gather(2, own)[..., 0].unbind(1), strict=True))
    none_such = torch.full_like(worth[:, 0, 0], -torch.inf)
    named = torch.stack([each.get(action, none_such) for action in range(actions)], -1)
    return torch.where((state.made < game.seats)[:, None], bidding, named)


def card_worths(game: Blob, state: BlobState, reading: Reading, needs: Needs) -> Tensor:
    """Expected points of playing each card of the hand: [B, 52] float64, -inf for other cards."""
    points, lacking = points_table(game.rules, state.device), without(reading)
    held = listed(reading.hand, game.held)  # [B, N]
    wins = trick_chances(reading, lacking, needs).gather(1, held.clamp(min=0))
    wanted = demand(game, state, needs)
    worth = torch.zeros(held.shape, dtype=wins.dtype, device=held.device)
    for took, likely in ((0, 1 - wins), (1, wins)):
        features = card_features(reading, lacking, wanted, torch.full_like(wanted, took))
        odds = log_odds(reading, features).gather(1, held.clamp(min=0)).masked_fill(held < 0, -torch.inf)
        own = points[needs.bids[:, 0].clamp(min=0)]
        worth = worth + likely * rest_worths(odds, own, needs.won[:, 0] + took, (reading.left - 1).clamp(min=0))
    by_card = torch.full((len(held), DECK + 1), -torch.inf, dtype=worth.dtype, device=held.device)
    return by_card.scatter(1, torch.where(held >= 0, held, DECK), worth)[:, :DECK]


def trick_chances(reading: Reading, lacking: Without, needs: Needs) -> Tensor:
    """The chance that each card wins the trick that is on: [B, 52] float64."""
    can, must = beaten(reading, lacking)
    eager = torch.where(needs.bids > needs.won, EAGER, SATED)[:, 1:, None].double()
    return torch.where(reading.takes, stands(reading, eager * can + (1 - eager) * must), 0.0)


def rest_worths(odds: Tensor, points: Tensor, won: Tensor, left: Tensor) -> Tensor:
    """Expected points in the end, each card of the hand having been played: [B, N] float64.

    Args:
        odds: [B, N] float64, the logarithms of the odds of the cards of the hand, -inf for no card.
        points: [B, K] float64, what each number of tricks scores in the end.
        won: [B] int64, tricks won, the one that is on included.
        left: [B] int64, tricks after it.
    """
    size = odds.shape[1]
    rest = odds[:, None].masked_fill(torch.eye(size, dtype=torch.bool, device=odds.device), -torch.inf)  # [B, N, N]
    won, left = won[:, None].expand(-1, size), left[:, None].expand(-1, size)
    aim = aims(points[:, None], won, left, won + torch.sigmoid(rest).sum(-1))
    final = won[:, :1] + torch.arange(size + 1, device=odds.device)
    scored = points.gather(1, final.clamp(max=points.shape[1] - 1))
    return (counts(steered(rest, aim, left, CARD_STEER)) * scored[:, None]).sum(-1)

"""Deals of small decks in turn, of which policy gradient plays its games."""

import pytest
import torch

from tests.helpers import assert_same_state
from vecgame import Blob, BlobMatch, Kuhn, make_game
from vecgame.cards import unpack
from veclab.exact.deals import every_deal
from veclab.training import all_actions, listed, policy_gradient
from veclab.training.drawing import Terms
from veclab.training.listed import Listed

CPU = torch.device("cpu")
FIRST = (1 << 40) + 12345
SMALL = Blob(cards=2, players=2, suits=2, ranks=3)


def identities(listing: Listed, state) -> torch.Tensor:
    """Which of the listed deals each game is: [B] int64; of equal ones the first."""
    same = torch.ones(state.batch_size, listing.every.batch_size, dtype=torch.bool)
    for name in state.tensors():
        a, b = (getattr(part, name).reshape(part.batch_size, -1) for part in (state, listing.every))
        same &= (a[:, None] == b[None]).all(-1) | (name == "index")
    assert same.any(1).all()
    return same.to(torch.int8).argmax(1)


@pytest.mark.parametrize("together", [1, 2, 3])
def test_each_deal_comes_up_once_a_round_in_another_order(together: int) -> None:
    listing = Listed(every_deal(SMALL))
    deals = listing.every.batch_size
    assert len(set(identities(listing, listing.every).tolist())) == deals  # all different, so that they can be told
    span = deals * together
    start = -FIRST % span  # games up to the next round
    state = listing.deal(start + 3 * span, 5, FIRST, together)
    assert torch.equal(state.index, torch.arange(FIRST, FIRST + start + 3 * span))
    which = identities(listing, state)[start:].view(3, deals, together)
    assert bool((which == which[:, :, :1]).all())
    rounds = which[:, :, 0]
    assert torch.equal(rounds.sort(-1).values, torch.arange(deals).expand(3, deals))
    assert not torch.equal(rounds[0], rounds[1]) and not torch.equal(rounds[1], rounds[2])
    other_seed = identities(listing, listing.deal(span, 6, FIRST + start, together))
    assert not torch.equal(other_seed.view(deals, together), which[0])


@pytest.mark.parametrize("together", [1, 2])
def test_a_game_has_its_deal_in_any_batch(together: int) -> None:
    listing = Listed(every_deal(SMALL))
    whole = listing.deal(400, 3, FIRST, together)
    for start, count in ((0, 1), (1, 130), (131, 269)):
        assert_same_state(whole[start : start + count], listing.deal(count, 3, FIRST + start, together))


def test_places_of_a_round_are_alike() -> None:
    """The first game of a round has each of the deals as often as any other, by chi-square at an error rate of 1e-4."""
    listing = Listed(every_deal(Kuhn()))
    deals, rounds = listing.every.batch_size, 6000
    which = identities(listing, listing.deal(deals * rounds, 11, 0)).view(rounds, deals)
    for place in (0, deals - 1):
        observed = torch.bincount(which[:, place], minlength=deals).double()
        expected = rounds / deals
        assert ((observed - expected) ** 2 / expected).sum() < 25.8  # 5 degrees of freedom


def test_what_is_not_listed_is_dealt_at_random(monkeypatch) -> None:
    match = BlobMatch(players=2, suits=2, ranks=2, cards=1)
    for game in (Blob(cards=5), Blob(cards=3, players=2, suits=2, ranks=6), match):
        assert listed.listed(game, CPU) is None
        drawn = Terms(game, None, 3, CPU, None, False, False, False).deal(6, FIRST, together=4)
        assert_same_state(drawn, game.deal(6, 3, CPU, FIRST))
    listed.listed.cache_clear()

    def failing(*_):
        raise RuntimeError("this game makes something else of its numbers")

    monkeypatch.setattr(listed, "every_deal", failing)
    assert listed.listed(SMALL, CPU) is None
    listed.listed.cache_clear()


@pytest.mark.parametrize("rule", [policy_gradient, all_actions])
def test_policy_gradient_plays_deals_in_turn(rule, monkeypatch) -> None:
    """All actions judged, of each seat in every deal; of drawn actions every game has a deal of its own."""
    seen, deal = [], Listed.deal

    def noted(self, count, seed, first_index, together=1):
        seen.append((count, seed, first_index, together))
        return deal(self, count, seed, first_index, together)

    def even(observation, mask, hidden=None):
        return torch.zeros(mask.shape), torch.zeros(len(observation), SMALL.seats)

    monkeypatch.setattr(Listed, "deal", noted)
    played = rule.play(SMALL, even, 64, 7, FIRST, CPU, chunk_games=40)
    assert len(played.legal) and seen == [
        (count, 7, FIRST + start, SMALL.seats if rule is all_actions else 1) for start, count in ((0, 32), (32, 32))
    ]


def test_over_a_round_each_seat_is_judged_in_each_deal() -> None:
    """So a card is in the judged hands as often as any other: by deals that are drawn it would not be."""
    deals = listed.listed(SMALL, CPU).every.batch_size
    first, judged = -FIRST % (deals * SMALL.seats), []

    def even(observation, mask, hidden=None):
        return torch.zeros(mask.shape), torch.zeros(len(observation), SMALL.seats)

    class Bids(all_actions._Terms):
        def judges(self, state, choice, judging):
            if int(state.made[0]) == 0:
                judged.append(state.hands.gather(1, judging[:, None])[:, 0])
            return super().judges(state, choice, judging)

    terms = Bids(SMALL, even, 1, CPU, None, False, False, False)
    all_actions._Chunk(terms, FIRST + first, deals * SMALL.seats).play()
    held = unpack(torch.cat(judged), torch.int64, SMALL.layout.size).sum(0)
    assert len(judged[0]) == deals * SMALL.seats and set(held[held > 0].tolist()) == {int(held.max())}
    assert int((held > 0).sum()) == 6


def test_the_game_of_its_name_is_listed_once() -> None:
    assert listed.listed(make_game("kuhn"), CPU) is listed.listed(Kuhn(), CPU)

"""Deals of Blob: the same for a seed however they are cut up, and as likely as theory has them."""

import hashlib

import pytest
import torch
from torch import Tensor

from tests.helpers import SEATS, assert_same_state, bits_of, chi_square_p, reference_rules, to_reference
from vecgame import Blob, concatenate
from vecgame.cards import list_cards, unpack
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference

ERROR_RATE = 1e-4  # how often a correct implementation would fail a chi-square test for another seed

# Games 0..3 of seed 0: (dealer, trump, hands). A change of these is a change of every run that anyone has made.
GOLDEN = [
    (1, 2, [[4, 28, 36, 39, 50], [5, 16, 21, 25, 48], [0, 26, 27, 40, 42], [10, 34, 35, 44, 46]]),
    (1, 2, [[1, 12, 13, 15, 22], [6, 11, 14, 44, 45], [5, 35, 37, 38, 41], [7, 9, 24, 29, 39]]),
    (2, 1, [[0, 7, 8, 15, 48], [1, 27, 39, 43, 51], [6, 9, 35, 40, 50], [2, 13, 14, 26, 33]]),
    (1, 0, [[14, 26, 29, 33, 35], [8, 10, 13, 36, 49], [11, 12, 15, 17, 41], [2, 20, 25, 37, 42]]),
]


def test_golden_deals():
    state = Blob(cards=5).deal(4, seed=0)
    assert state.dealer.tolist() == [dealer for dealer, _, _ in GOLDEN]
    assert state.trump.tolist() == [trump for _, trump, _ in GOLDEN]
    assert state.hands.tolist() == [[bits_of(hand) for hand in hands] for _, _, hands in GOLDEN]


@pytest.mark.parametrize(("cards", "digest"), [(5, "4456da8520cd6172"), (13, "54294ca09d9e510f")])
def test_golden_digest_of_many_deals(cards, digest):
    """Four games may be the same under a scheme that is nearly the same; two thousand are not.

    A program of plain integers that sorts the deck by its Philox keys gave these digests.
    """
    state = Blob(cards=cards).deal(2_000, seed=0)
    rows = torch.cat([state.hands, state.dealer[:, None], state.trump[:, None]], dim=-1).tolist()
    assert hashlib.sha256(repr(rows).encode()).hexdigest()[:16] == digest


def test_a_new_game_is_at_its_first_bid():
    game = Blob(cards=5)
    state = game.deal(40, seed=3, first_index=7)
    dealt = game.from_hands(list_cards(state.hands.flatten(), 5).view(40, 4, 5), state.dealer, state.trump, state.index)
    assert_same_state(dealt, state)
    for lane in range(40):
        _, position = to_reference(game, state, lane)
        rules = reference_rules(game)
        assert position == reference.new_state(rules, position.hands, position.dealer, position.trump)
    assert state.index.tolist() == list(range(7, 47))
    assert not state.made.any() and not game.turn(state).any()
    assert game.mover(state).tolist() == ((state.dealer.long() + 1) % 4).tolist()


@pytest.mark.parametrize("changes", [{}, {"cards": 13}, {"trump": "rotate", "dealer": "rotate"}, {"suits": 3}])
def test_a_run_may_be_cut_anywhere(changes):
    game = Blob(**changes)
    whole = game.deal(100, seed=5)
    parts = [game.deal(33, seed=5), game.deal(1, seed=5, first_index=33), game.deal(66, seed=5, first_index=34)]
    assert_same_state(concatenate(parts), whole)
    assert_same_state(game.deal(100, seed=5), whole)
    far = game.deal(3, seed=5, first_index=2**40)
    assert far.index.tolist() == [2**40, 2**40 + 1, 2**40 + 2]
    assert_same_state(game.deal(1, seed=5, first_index=2**40 + 1), far[1:2])


def test_seeds_deal_different_games():
    hands = torch.cat([Blob(cards=5).deal(50, seed=seed).hands for seed in (0, 1, 2**32, 2**64 - 1)])
    assert len({tuple(row) for row in hands.tolist()}) == 200


@pytest.mark.parametrize(
    "game", [Blob(cards=1), Blob(cards=13), Blob(cards=3, suits=3, ranks=5), Blob(cards=2, suits=1)]
)
def test_hands_are_disjoint_and_of_the_deck(game):
    hands = unpack(game.deal(500, seed=6).hands)
    assert (hands.sum(-1) == game.cards).all()
    assert (hands.sum(-2) <= 1).all()
    outside = [13 * s + r for s in range(4) for r in range(13) if s >= game.rules.suits or r >= game.rules.ranks]
    assert not hands[:, :, outside].any()


def places(state: BlobState) -> Tensor:
    """Where each card is, seat 0..3 or 4 = undealt: [B, 52] int64."""
    hands = unpack(state.hands)
    return torch.where(hands.any(1), hands.to(torch.int8).argmax(1), SEATS)


@pytest.mark.parametrize("game", [Blob(cards=1), Blob(cards=5), Blob(cards=13), Blob(cards=3, suits=3, ranks=7)])
def test_every_card_goes_everywhere_alike(game):
    """A test a card, and one for each two neighbours in the deck; error rate 1e-4 for all cards together."""
    n, size = 20_000, game.rules.suits * game.rules.ranks
    where = places(game.deal(n, seed=7))
    deck = [13 * suit + rank for suit in range(game.rules.suits) for rank in range(game.rules.ranks)]
    room = torch.tensor([game.cards] * SEATS + [size - SEATS * game.cards], dtype=torch.float64)
    one = room / size
    two = room[:, None] * (room - torch.eye(5, dtype=torch.float64)) / (size * (size - 1))
    for card, following in zip(deck, deck[1:] + deck[:1], strict=True):
        counts = torch.bincount(where[:, card], minlength=5)
        pairs = torch.bincount(5 * where[:, card] + where[:, following], minlength=25).view(5, 5)
        for observed, share in ((counts, one), (pairs, two)):
            assert not observed[share == 0].any()  # no card is left of 52, or a seat cannot hold two
            assert chi_square_p(observed[share > 0], share[share > 0] * n) > ERROR_RATE / (2 * size)


def test_trump_and_dealer_are_uniform_and_independent():
    """The original dealt spades as trump and seat 0 as dealer, always. Three tests of error rate 1e-4."""
    n = 40_000
    state = Blob().deal(n, seed=8)
    both = torch.bincount(SEATS * state.trump.long() + state.dealer, minlength=20)
    assert len(both) == 20
    assert chi_square_p(both, [n / 20]) > ERROR_RATE
    # and independent of the cards: who holds the ace of the trump suit; who of the dealer and the others holds card 0
    ace = places(state).gather(1, (13 * state.trump.long().clamp(max=3) + 12)[:, None])[:, 0]
    cell = torch.bincount(5 * state.trump.long() + ace, minlength=25).view(5, 5)
    share = torch.tensor([5 / 52] * 4 + [32 / 52], dtype=torch.float64)
    assert chi_square_p(cell, share.repeat(5, 1) * n / 5) > ERROR_RATE
    cell = torch.bincount(5 * state.dealer.long() + places(state)[:, 0], minlength=20)
    assert chi_square_p(cell, share.repeat(4) * n / 4) > ERROR_RATE
    fewer = torch.bincount(Blob(suits=2, cards=2).deal(n, seed=8).trump.long(), minlength=5)
    assert fewer[[2, 3]].tolist() == [0, 0]
    assert chi_square_p(fewer[[0, 1, 4]], [n / 3]) > ERROR_RATE


def test_a_match_rotates_trump_and_dealer():
    state = Blob(trump="rotate", dealer="rotate").deal(20, seed=9, first_index=2)
    assert state.trump.tolist() == [number % 5 for number in range(2, 22)]
    assert state.dealer.tolist() == [number % 4 for number in range(2, 22)]
    state = Blob(trump="rotate", dealer=2, suits=3).deal(9, seed=9)
    assert state.trump.tolist() == [0, 1, 2, 4, 0, 1, 2, 4, 0]
    assert state.dealer.tolist() == [2] * 9


@pytest.mark.parametrize("number", range(5))
def test_fixed_trump_and_dealer(number):
    state = Blob(trump=number, dealer=number % 4).deal(50, seed=10)
    assert state.trump.tolist() == [number] * 50
    assert state.dealer.tolist() == [number % 4] * 50
    assert torch.equal(state.hands, Blob().deal(50, seed=10).hands)  # the cards do not depend on it

"""The tensor rules against the scalar reference, and the deals against theory and fixed hands."""

import hashlib
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.emulated_gpu import sized
from tests.helpers import (
    SEATS,
    assert_same_state,
    bits_of,
    chi_square_p,
    pack_mask,
    play_randomly,
    random_actions,
    reference_rules,
    to_reference,
)
from vecgame import Blob, BlobMatch, Game, concatenate
from vecgame import lanes as lanes_module
from vecgame.cards import DECK, list_cards, lowest_card, pack, popcount, rotate_suits, unpack
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference

NO_TRUMP = 4
ERROR_RATE = 1e-4  # how often a correct implementation would fail a chi-square test for another seed
SLOW_GAMES = int(os.environ.get("VECGAME_SLOW_GAMES", 1_000_000))
GAME_SIZES = range(1, 14)


def games_of(cards: int) -> list[Blob]:
    """Hook on and off with all 52 cards, then every smallest deck of 4, 3, 2 and 1 suits that gives the cards."""
    found = [Blob(cards=cards), Blob(cards=cards, hook=False)]
    for suits in (4, 3, 2, 1):
        ranks = -(-SEATS * cards // suits)
        if ranks <= 13:
            found.append(Blob(cards=cards, suits=suits, ranks=ranks, hook=suits % 2 == 0))
    return found


def begin(game: Blob, lanes: int, seed: int) -> BlobState:
    """Random hands for every combination of dealer and trump in turn."""
    lane = torch.arange(lanes)
    trump = lane // game.seats % (game.rules.suits + 1)
    return game.from_hands(
        list_cards(game.deal(lanes, seed).hands.flatten(), game.cards).view(lanes, game.seats, game.cards),
        dealer=lane % game.seats,
        trump=torch.where(trump == game.rules.suits, NO_TRUMP, trump),
    )


# --- against the reference ---


def compare_random_games(game: Blob, lanes: int, seed: int) -> None:
    """Plays on tensors, then again with the reference: mover, legal actions, end and scores at every decision."""
    rules = reference_rules(game)
    record = play_randomly(game, begin(game, lanes, seed), seed)
    states, actions = [state for state, _ in record], [actions.tolist() for _, actions in record[:-1]]
    for state in states[:-1]:
        assert not game.is_terminal(state).any() and not game.scores(state).any()
    first, last = states[0], states[-1]
    assert len(actions) == rules.players * (rules.cards + 1)
    assert game.is_terminal(last).all()
    movers = [game.mover(state).tolist() for state in states[:-1]]
    legal = [pack_mask(game.legal_mask(state)) for state in states[:-1]]
    hands, points = first.hands.tolist(), game.scores(last).tolist()
    dealers, trumps = first.dealer.tolist(), first.trump.tolist()
    by_game = zip(zip(*movers, strict=True), zip(*legal, strict=True), zip(*actions, strict=True), strict=True)
    for lane, decisions in enumerate(by_game):
        dealt = [[card for card in range(DECK) if bits >> card & 1] for bits in hands[lane]]
        state = reference.new_state(rules, dealt, dealers[lane], trumps[lane])
        for seat, options, action in zip(*decisions, strict=True):
            assert seat == reference.mover(rules, state), (game, seed, lane, state)
            assert options == bits_of(reference.legal_actions(rules, state)), (game, seed, lane, state)
            reference.apply_action(rules, state, action)
        assert reference.is_terminal(state), (game, seed, lane, state)
        assert points[lane] == reference.scores(rules, state), (game, seed, lane, state)


@pytest.mark.parametrize("cards", GAME_SIZES)
def test_random_games_agree_with_the_reference(cards):
    for game in games_of(cards):
        compare_random_games(game, lanes=60, seed=cards)


def test_other_scorings_agree_with_the_reference():
    for changes in ({"miss_penalty": 1.0}, {"miss_points_per_trick": 1.0, "exact_bonus": 5.0, "points_per_trick": 2.0}):
        compare_random_games(Blob(cards=4, **changes), lanes=60, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("cards", GAME_SIZES)
def test_a_million_random_games_agree_with_the_reference(cards):
    """VECGAME_SLOW_GAMES sets the number of games, all card counts together."""
    games, seed = games_of(cards), 1000
    left = -(-SLOW_GAMES // len(GAME_SIZES))
    while left > 0:
        lanes = min(left, 4_000)
        compare_random_games(games[seed % len(games)], lanes, seed)
        left, seed = left - lanes, seed + 1


def assert_is(game: Blob, state: BlobState, lane: int, expected: reference.State) -> None:
    """The lane is in the reference's position, field for field."""
    _, actual = to_reference(game, state, lane)
    assert int(state.made[lane]) == len(expected.history)
    assert sorted(card for _, card in actual.history[SEATS:]) == sorted(card for _, card in expected.history[SEATS:])
    actual.history = expected.history
    assert actual == expected


@pytest.mark.parametrize("cards", GAME_SIZES)
def test_every_field_agrees_with_the_reference(cards):
    for game in games_of(cards):
        record = play_randomly(game, begin(game, 20, seed=50), seed=cards)
        for lane in range(0, 20, 3):
            rules, state = to_reference(game, record[0][0], lane)
            for batch, actions in record[:-1]:
                assert_is(game, batch, lane, state)
                reference.apply_action(rules, state, int(actions[lane]))
            assert_is(game, record[-1][0], lane, state)


@pytest.mark.parametrize("cards", GAME_SIZES)
def test_play_forced_agrees_with_the_reference(cards):
    """All lanes at all decisions, the finished ones included."""
    moved = 0
    for game in games_of(cards):
        for batch, _ in play_randomly(game, begin(game, 8, seed=60), seed=cards):
            after = game.play_forced(batch)
            for lane in range(batch.batch_size):
                rules, state = to_reference(game, batch, lane)
                assert_is(game, after, lane, reference.play_forced(rules, state))
            moved += int((after.made > batch.made).sum())
    assert moved > 100


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("cards", [1, 2, 5, 13])
def test_play_forced_is_the_general_one_of_every_game(cards, compact, monkeypatch):
    """`Game.play_forced` makes single moves, `max_forced_run` at most; thousands of games at every decision.

    Both with lanes left out, as on a CPU, and with all of them carried along, as on a GPU.
    """
    monkeypatch.setitem(lanes_module.COMPACT, "cpu", compact)
    game = Blob(cards=cards)
    longest = 0
    for batch, _ in play_randomly(game, game.deal(1_000, seed=61), seed=61):
        after = Game.play_forced(game, batch)
        assert_same_state(game.play_forced(batch), after)
        assert ((game.legal_mask(after).sum(-1) > 1) | game.is_terminal(after)).all()
        longest = max(longest, int((after.made - batch.made).max()))
    assert longest <= game.max_forced_run
    if cards > 1:
        assert longest == game.max_forced_run  # the bound is met: no smaller one would do


def test_legal_actions_list_the_mask():
    for cards in (1, 5, 13):
        game = Blob(cards=cards)
        for batch, _ in play_randomly(game, game.deal(300, seed=62), seed=62):
            mask, listed = game.legal_mask(batch), game.legal_actions(batch)
            assert listed.shape == (300, game.max_legal) and listed.dtype == torch.int64
            assert torch.equal(listed, Game.legal_actions(game, batch))
            for row, options in zip(mask.tolist(), listed.tolist(), strict=True):
                actions = [action for action in range(DECK) if row[action]]
                assert actions and options == actions + [-1] * (game.max_legal - len(actions))


# --- lanes ---


def mixed(record: list[tuple[BlobState, Tensor]], decisions: Tensor) -> BlobState:
    """Lane i of the record at decision ``decisions[i]``."""
    return concatenate([record[t][0][i : i + 1] for i, t in enumerate(decisions.tolist())])


@pytest.mark.parametrize("cards", [1, 3, 5, 13])
def test_lanes_may_be_at_different_decisions(cards):
    game, lanes = Blob(cards=cards), 200
    record = play_randomly(game, game.deal(lanes, seed=70), seed=70)
    generator = torch.Generator().manual_seed(cards)
    decisions = torch.randint(game.decisions + 1, (lanes,), generator=generator)
    decisions[:2] = torch.tensor([0, game.decisions])
    batch = mixed(record, decisions)

    def of_record(function) -> Tensor:
        return torch.cat([function(record[t][0])[i : i + 1] for i, t in enumerate(decisions.tolist())])

    for function in (
        game.mover,
        game.turn,
        game.legal_mask,
        game.is_terminal,
        game.scores,
        game.observe,
        game.policy_mask,
    ):
        assert torch.equal(function(batch), of_record(function)), function
    assert game.turn(batch).tolist() == decisions.tolist()
    taken = [int(record[t][1][i]) if t < game.decisions else 7 for i, t in enumerate(decisions.tolist())]
    assert_same_state(game.step(batch, torch.tensor(taken)), mixed(record, (decisions + 1).clamp(max=game.decisions)))
    forced = [(game.play_forced(state), actions) for state, actions in record]
    assert_same_state(game.play_forced(batch), mixed(forced, decisions))
    # Played on from there, every lane comes to its own end.
    generator = torch.Generator().manual_seed(0)
    for _ in range(game.decisions):
        batch = game.step(batch, random_actions(game, batch, generator), validate=True)
    assert game.is_terminal(batch).all() and (batch.won.sum(-1) == cards).all()


def test_an_illegal_action_stays_in_its_lane():
    game = Blob(cards=5)
    record = play_randomly(game, game.deal(50, seed=71), seed=71)
    for state, actions in record[:-1]:
        wrong = actions.clone()
        wrong[::2] = 51 - wrong[::2]
        assert_same_state(game.step(state, wrong)[1::2], game.step(state, actions)[1::2])


def test_a_finished_game_stays_as_it_is():
    for cards in (1, 5, 13):
        game = Blob(cards=cards)
        final = play_randomly(game, game.deal(60, seed=72), seed=72)[-1][0]
        for action in (0, 1, 51):
            assert_same_state(game.step(final, torch.full((60,), action)), final)
        assert_same_state(game.step(final, torch.zeros(60, dtype=torch.long), validate=True), final)
        assert_same_state(game.play_forced(final), final)
        assert game.legal_mask(final).nonzero()[:, 1].tolist() == [0] * 60
        assert game.legal_actions(final)[:, 0].tolist() == [0] * 60


def test_step_does_not_change_its_argument():
    game = Blob(cards=3)
    for state, actions in play_randomly(game, game.deal(30, seed=73), seed=73)[:-1]:
        before = state.map(torch.clone)
        game.step(state, actions)
        game.play_forced(state)
        game.determinize(state, 2, seed=0)
        assert_same_state(state, before)


def test_lanes_can_be_taken_put_and_repeated():
    game = Blob(cards=4)
    a, b = game.deal(6, seed=1), game.deal(6, seed=2, first_index=6)
    lanes, mask = torch.tensor([4, 1]), torch.tensor([True, False, True, True, False, False])
    assert a.take(lanes).index.tolist() == a[lanes].index.tolist() == [4, 1]
    assert_same_state(a.take(lanes), a[lanes])
    assert a[mask].index.tolist() == [0, 2, 3]
    assert a[2:4].index.tolist() == [2, 3]
    assert_same_state(a.put(lanes, b[:2]), concatenate([a[:1], b[1:2], a[2:4], b[:1], a[5:]]))
    assert a.where(mask, b).index.tolist() == [0, 7, 2, 3, 10, 11]
    assert torch.equal(a.where(mask, b).hands[1], b.hands[1])
    assert a.repeat(3).index.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert (a.batch_size, a.device) == (6, torch.device("cpu"))


# --- deals ---

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


# --- given hands ---

HANDS = torch.tensor([[[0, 13], [1, 14], [2, 15], [3, 16]], [[51, 4], [5, 6], [7, 8], [9, 10]]])


def test_from_hands():
    game = Blob(cards=2)
    state = game.from_hands(HANDS, dealer=torch.tensor([3, 1]), trump=torch.tensor([4, 2]), index=torch.tensor([8, 5]))
    assert state.hands.tolist() == [[bits_of(hand) for hand in hands] for hands in HANDS.tolist()]
    assert (state.dealer.tolist(), state.trump.tolist()) == ([3, 1], [4, 2])
    assert (state.leader.tolist(), state.index.tolist()) == ([0, 2], [8, 5])
    alike = game.from_hands(HANDS.to(torch.int8).tolist(), dealer=2, trump=0)
    assert (alike.dealer.tolist(), alike.trump.tolist(), alike.index.tolist()) == ([2, 2], [0, 0], [0, 1])
    assert torch.equal(alike.hands, state.hands)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hands": HANDS[0]}, r"hands must be \[B, 4, 2\] card ids, got shape \[4, 2\]"),
        ({"hands": HANDS[:, :3]}, r"got shape \[2, 3, 2\]"),
        ({"hands": HANDS[:, :, :1]}, r"got shape \[2, 4, 1\]"),
        ({"hands": HANDS + 1}, r"an id that is no card of this deck; ids are 13 \* suit \+ rank, suit < 4, rank < 13"),
        ({"hands": HANDS - 1}, r"an id that is no card of this deck"),
        ({"hands": torch.where(HANDS == 4, 51, HANDS)}, r"deals a card twice within one game"),
        ({"hands": torch.where(HANDS == 16, 0, HANDS)}, r"deals a card twice within one game"),
        ({"dealer": 4}, r"dealer must be from 0 to 3, got 4$"),
        ({"dealer": torch.tensor([0, -1])}, r"dealer must be from 0 to 3, got -1$"),
        ({"dealer": "random"}, r"dealer must be from 0 to 3, got 'random'$"),
        ({"dealer": None}, r"dealer must be from 0 to 3, got None$"),
        ({"dealer": 2**64}, r"dealer must be from 0 to 3, got 18446744073709551616$"),
        ({"dealer": ["random", 0]}, r"dealer must be from 0 to 3, got \['random', 0\]$"),
        ({"dealer": np.array(["random" * 20, "rotate"])}, r"dealer must be from 0 to 3, got array"),
        ({"trump": "spades"}, r"trump must be from 0 to 4, got 'spades'$"),
        ({"dealer": torch.tensor([0, 1, 2])}, r"dealer must be one integer or \[2\], got shape \[3\]"),
        ({"dealer": torch.zeros(2, 1)}, r"dealer must be one integer or \[2\], got shape \[2, 1\]"),
        ({"trump": 5}, r"trump must be from 0 to 4"),
        ({"trump": torch.tensor([-1, 0])}, r"trump must be from 0 to 4"),
        ({"trump": torch.tensor([1])}, r"trump must be one integer or \[2\], got shape \[1\]"),
        ({"hands": [[[0, 1], [2]]]}, r"hands must be \[B, 4, \d+\] card ids, got \[\[\[0, 1\], \[2\]\]\]$"),
        ({"hands": "all"}, r"hands must be \[B, 4, \d+\] card ids, got 'all'$"),
        ({"index": "first"}, r"index must be \[2\] game numbers, got 'first'$"),
        ({"index": [[1], [2, 3]]}, r"index must be \[2\] game numbers, got \[\[1\], \[2, 3\]\]$"),
        ({"hands": HANDS + 0.5}, r"hands must be integers, got torch\.float32"),
        ({"hands": HANDS > 0}, r"hands must be integers, got torch\.bool"),
        ({"dealer": 1.5}, r"dealer must be integers, got torch\.float32"),
        ({"trump": 1j}, r"trump must be integers, got torch\.complex64"),
        ({"index": torch.arange(3)}, r"index must be \[2\] game numbers, got shape \[3\]"),
        ({"index": torch.tensor([0.0, 1.5])}, r"index must be integers, got torch\.float32"),
        ({"index": torch.tensor([0, -5])}, r"index must be game numbers from 0 to 2\*\*56 - 1, got -5"),
        ({"index": torch.tensor([2**56, 0])}, r"index must be game numbers from 0 to 2\*\*56 - 1, got 720575940"),
    ],
)
@pytest.mark.parametrize("game", [Blob(cards=2), BlobMatch(cards=2)], ids=lambda game: game.name)
def test_hands_that_make_no_game_are_refused(game, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        game.from_hands(**({"hands": HANDS, "dealer": 0, "trump": 0} | change))
    assert "\n" not in str(caught.value)


def test_a_reduced_deck_refuses_the_other_cards_and_suits():
    game = Blob(cards=1, suits=2, ranks=4)
    hands = torch.tensor([[[0], [3], [13], [16]]])
    assert int(game.from_hands(hands, 0, 4).trump) == 4
    for card in (4, 17, 26):
        with pytest.raises(ValueError, match=r"suit < 2, rank < 4"):
            game.from_hands(torch.where(hands == 3, card, hands), 0, 0)
    for trump in (2, 3):
        with pytest.raises(ValueError, match=r"trump must be a suit of this deck, 0\.\.1, or 4 for none"):
            game.from_hands(hands, 0, trump)


# --- what is refused ---


def test_deals_that_are_refused():
    game = Blob()
    for size in (0, -5):
        with pytest.raises(ValueError, match=f"batch_size must be at least 1, got {size}"):
            game.deal(size)
    for seed in (-1, 2**64, 1.5, "zero", None):
        with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 2\*\*64 - 1"):
            game.deal(2, seed=seed)
        with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 2\*\*64 - 1"):
            game.determinize(game.deal(2), 1, seed=seed)
    for device in ("tpu", "mps", "meta", "the GPU"):
        with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:N'"):
            game.deal(2, device=device)


def test_a_missing_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="sees no CUDA GPU; use device='cpu'"):
        Blob().deal(2, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"'cuda:1': this machine has 1 CUDA GPU"):
        Blob().deal(2, device="cuda:1")


@pytest.mark.parametrize(
    "action",
    [
        torch.zeros(3, dtype=torch.long),
        torch.zeros(2, 1, dtype=torch.long),
        torch.tensor(0),
        torch.zeros(2),
        torch.zeros(2, dtype=torch.bool),
    ],
)
@pytest.mark.parametrize("validate", [False, True])
def test_action_tensors_that_are_refused(action, validate):
    game = Blob()
    with pytest.raises(ValueError, match=r"action must be 2 integers of shape \[2\], got shape"):
        game.step(game.deal(2), action, validate=validate)


def test_actions_of_any_integer_dtype():
    game = Blob(cards=3)
    for state, actions in play_randomly(game, game.deal(20, seed=11), seed=11)[:-1]:
        for dtype in (torch.int8, torch.uint8, torch.int16, torch.int32):
            assert_same_state(game.step(state, actions.to(dtype), validate=True), game.step(state, actions))


def test_illegal_actions_are_refused_on_demand():
    """Every action of the space at every decision of some games."""
    game = Blob(cards=2)
    state = game.from_hands(HANDS, dealer=1, trump=0)
    with pytest.raises(ValueError, match=r"action 3 is illegal in lane 1; legal there: \[0, 1, 2\]"):
        game.step(state, torch.tensor([1, 3]), validate=True)
    for state, _ in play_randomly(game, game.deal(4, seed=12), seed=12):
        lane = state[2:3]
        for action in range(-2, 60):
            legal = 0 <= action < DECK and bool(game.legal_mask(lane)[0, action])
            if legal:
                game.step(lane, torch.tensor([action]), validate=True)
            else:
                with pytest.raises(ValueError, match=f"action {action} is illegal in lane 0"):
                    game.step(lane, torch.tensor([action]), validate=True)


# --- bitboards ---


def some_sets() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    random = torch.randint(1 << DECK, (500,), generator=generator) & torch.randint(
        1 << DECK, (500,), generator=generator
    )
    return torch.cat([torch.tensor([0, 1, 1 << 51, (1 << 52) - 1]), 1 << torch.arange(52), random])


def members(bits: int) -> list[int]:
    return [card for card in range(DECK) if bits >> card & 1]


def test_bitboards_and_their_lists():
    sets = some_sets()
    cards = [members(bits) for bits in sets.tolist()]
    mask = unpack(sets)
    assert mask.shape == (len(sets), DECK) and mask.dtype == torch.bool
    assert [row.nonzero()[:, 0].tolist() for row in mask] == cards
    assert torch.equal(unpack(sets.view(-1, 4), torch.float32).flatten(0, 1), mask.float())
    assert torch.equal(pack(mask), sets)
    assert popcount(sets).tolist() == [len(held) for held in cards]
    assert lowest_card(sets[sets != 0]).tolist() == [held[0] for held in cards if held]
    assert (lowest_card(sets[sets == 0]) < 0).all()
    assert list_cards(sets, 52).tolist() == [held + [-1] * (52 - len(held)) for held in cards]


def test_rotate_suits():
    sets = some_sets()
    for first in range(4):
        turned = rotate_suits(sets, torch.tensor(first)).tolist()
        expected = [bits_of([(card - 13 * first) % 52 for card in members(bits)]) for bits in sets.tolist()]
        assert turned == expected


# --- on a GPU ---


def to_both(game: Blob, lanes: int, seed: int) -> Iterator[tuple[BlobState, BlobState]]:
    """The same random play on CPU and GPU, decision by decision, dealt on each."""
    cpu, gpu = game.deal(lanes, seed), game.deal(lanes, seed, device="cuda")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(game.decisions):
        yield cpu, gpu
        actions = random_actions(game, cpu, generator)
        cpu, gpu = game.step(cpu, actions), game.step(gpu, actions.cuda(), validate=True)
    yield cpu, gpu


@pytest.mark.gpu
@pytest.mark.parametrize("cards", GAME_SIZES)
def test_a_gpu_deals_and_plays_the_same_games(cards):
    for game in games_of(cards)[: sized(6, 1)]:
        for number, (here, there) in enumerate(to_both(game, sized(500, 7), seed=13)):
            assert there.device.type == "cuda"
            assert_same_state(there.to("cpu"), here)
            if number % sized(1, cards):
                continue
            assert_same_state(game.play_forced(there).to("cpu"), game.play_forced(here))
            for function in (game.mover, game.legal_mask, game.legal_actions, game.is_terminal, game.scores):
                assert torch.equal(function(there).cpu(), function(here))
            torch.testing.assert_close(game.observe(there).cpu(), game.observe(here), rtol=0, atol=1e-6)
            assert torch.equal(game.policy_mask(there).cpu(), game.policy_mask(here))


@pytest.mark.gpu
@pytest.mark.parametrize("cards", [1, 3, 5, 8, 13])
def test_a_gpu_samples_the_same_worlds(cards):
    game = Blob(cards=cards)
    for number, (here, there) in enumerate(to_both(game, sized(300, 7), seed=14)):
        if number % sized(1, 2 * cards) == 0:
            assert_same_state(game.determinize(there, 3, seed=4).to("cpu"), game.determinize(here, 3, seed=4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.uint16, torch.uint32, torch.uint64, torch.int64])
def test_actions_of_any_integers(dtype: torch.dtype) -> None:
    game = Blob(cards=3, hook=False)
    state = game.deal(4, seed=1)
    assert game.step(state, torch.full((4,), 2, dtype=dtype)) == game.step(state, [2] * 4)

"""Blob as it is played elsewhere: each variant is a configuration of the rules, checked by a scalar account of it."""

import itertools
from dataclasses import replace

import pytest
import torch

from tests.helpers import cards_of, chi_square_p
from tests.test_search_sync import assert_no_wait
from vecgame import Blob, BlobMatch, Rules, State, contract, make_game
from vecgame.contract import random_action
from vecgame.games.blob_match import schedule
from vecgame.games.blob_rules import score
from vecmcts import PlayoutEvaluator, SearchConfig, search

ERROR_RATE = 1e-4

SCORINGS = {  # what the rules are in fields, and in words of arithmetic: bid, won -> points
    "ten and the square, five for zero": (
        {"points_per_trick": 0, "points_per_square": 1, "zero_bonus": 5},
        lambda bid, won: (10 + won * won if bid else 5) if bid == won else 0,
    ),
    "a miss costs 5 for the first, 10 for the second": (
        {"miss_step": 5},
        lambda bid, won: 10 + won if bid == won else -sum(5 * (i + 1) for i in range(abs(bid - won))),
    ),
    "a miss costs ten a trick": (
        {"miss_penalty": 10},
        lambda bid, won: 10 + won if bid == won else -10 * abs(bid - won),
    ),
    "tricks always count": (
        {"miss_points_per_trick": 1},
        lambda bid, won: won + 10 * (bid == won),
    ),
    "as in Wizard": (
        {"exact_bonus": 20, "points_per_trick": 10, "miss_penalty": 10},
        lambda bid, won: 20 + 10 * won if bid == won else -10 * abs(bid - won),
    ),
}


def steep(bids: torch.Tensor, won: torch.Tensor) -> torch.Tensor:
    """A scoring of one's own."""
    return torch.where(bids == won, 2.0**bids, -won)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORINGS)
def test_scorings_are_fields(name: str) -> None:
    fields, points = SCORINGS[name]
    rules = Rules(cards=5, hook=False, **fields)
    every = list(itertools.product(range(6), repeat=2))
    bids, won = (torch.tensor(column) for column in zip(*every, strict=True))
    expected = [float(points(bid, tricks)) for bid, tricks in every]
    assert score(rules, bids, won).tolist() == expected
    assert rules.range == (min(expected), max(expected))
    game = Blob(rules)
    assert (game.lowest, game.highest) == rules.range
    contract.check(Blob(replace(rules, cards=3, ranks=4)))


def test_a_scoring_of_ones_own_is_a_function(tmp_path, monkeypatch) -> None:
    game = Blob(cards=3, scoring=steep)
    assert (game.lowest, game.highest) == (-3, 8)
    state = game.deal(200, seed=1)
    while not game.is_terminal(state).all():
        state = game.step(state, random_action(game, state))
    expected = [
        [2.0**bid if bid == won else -won for bid, won in zip(*seats, strict=True)]
        for seats in zip(state.bids.tolist(), state.won.tolist(), strict=True)
    ]
    assert game.scores(state).tolist() == expected
    assert torch.allclose(game.values(state), (game.scores(state) + 3) / 11)
    (tmp_path / "mine.py").write_text("def points(bids, won):\n    return won - bids\n")
    monkeypatch.chdir(tmp_path)
    named = make_game("blob", cards=3, scoring="mine.py:points")
    assert named.rules.range == (-3, 3)
    assert torch.equal(named.scores(state), (state.won - state.bids).float())


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [(1, 52, {1, 2, 3, 4, 5}), (3, 52, {3, 4, 5}), (1, 3, {1, 2, 3}), (4, 4, {4}), (6, 9, set())],
)
def test_the_hook_from_and_up_to_a_number_of_cards(low: int, high: int, bound: set[int]) -> None:
    for cards in range(1, 6):
        game = Blob(cards=cards, hook_from=low, hook_to=high)
        state = game.deal(50, seed=cards)
        for _ in range(3):
            state = game.step(state, random_action(game, state))
        assert bool((game.hook_bits(state) != 0).any()) == (cards in bound)
        assert (game.legal_mask(state).sum(-1) < cards + 1).any() == (cards in bound)
    match = BlobMatch(cards=5, hook_from=low, hook_to=high)
    state, seen = match.deal(30, seed=2), set()
    while not match.is_terminal(state).all():
        if (match.hook_bits(state) != 0).any():
            seen |= set(match.cards_of(state)[match.hook_bits(state) != 0].tolist())
        state = match.step(state, random_action(match, state))
    assert seen == bound


@pytest.mark.slow
def test_schedules() -> None:
    assert schedule(3, 4) == (3, 2, 1, 1, 1, 1, 1, 2, 3)
    assert schedule(3, 4, ones=1) == (3, 2, 1, 2, 3)
    assert schedule(3, 4, ones=4) == (3, 2, 1, 1, 1, 1, 2, 3)
    assert schedule(3, 4, "up-down") == (1, 2, 3, 2, 1)
    assert schedule(3, 4, "up-down", ones=4) == (1, 1, 1, 1, 2, 3, 2, 1, 1, 1, 1)
    assert schedule(1, 4, "up-down") == (1,) and schedule(2, 4, "up-down") == (1, 2, 1)
    match = BlobMatch(cards=2, ranks=3, schedule="up-down", ones=4)
    assert match.games == 9 and match.decisions == 8 * 4 * 2 + 4 * 3
    contract.check(BlobMatch(cards=2, ranks=3, schedule="up-down"))
    with pytest.raises(ValueError, match="schedule must be down-up or up-down, got 'down'"):
        BlobMatch(schedule="down")


@pytest.mark.slow
def test_the_highest_bidder_names_trump() -> None:
    game = Blob(cards=4, trump="bidder")
    state = game.deal(300, seed=3)
    assert game.decisions == 4 + 1 + 16 and (state.trump == 4).all()
    for _ in range(4):
        state = game.step(state, random_action(game, state))
    for lane in range(300):
        turns = [(int(state.dealer[lane]) + 1 + turn) % 4 for turn in range(4)]
        bids = [int(state.bids[lane, seat]) for seat in turns]
        assert int(game.mover(state)[lane]) == turns[bids.index(max(bids))]
    assert game.legal_mask(state).sum(-1).eq(5).all() and game.legal_mask(state)[:, :5].all()
    named = random_action(game, state)
    after = game.step(state, named, validate=True)
    assert torch.equal(after.trump.long(), named) and torch.equal(after.bids, state.bids)
    assert torch.equal(game.mover(after), (state.dealer.long() + 1) % 4)
    while not game.is_terminal(after).all():
        after = game.step(after, random_action(game, after), validate=True)
    assert (after.won.sum(-1) == 4).all()
    contract.check(Blob(cards=3, ranks=4, trump="bidder"))
    contract.check(BlobMatch(cards=2, ranks=3, players=3, trump="bidder", games=3))


@pytest.mark.slow
def test_bids_at_once() -> None:
    game = Blob(cards=3, ranks=4, hook=False, bidding="once")
    contract.check(game)
    state = game.step(game.step(game.deal(400, seed=4), torch.full((400,), 3)), torch.full((400,), 3))
    other = replace(state, bids=torch.where(state.bids == 3, 0, state.bids))
    assert torch.equal(game.observe(state), game.observe(other))  # the third bidder knows neither of the bids
    drawn = game.determinize(state, 5, seed=1)
    bids = drawn.bids[state.repeat(5).bids == 3]
    assert chi_square_p(torch.bincount(bids.long(), minlength=4), [len(bids) / 4] * 4) > ERROR_RATE
    assert ((drawn.bids >= 0) == (state.repeat(5).bids >= 0)).all()
    done = game.step(game.step(state, torch.zeros(400, dtype=torch.long)), torch.ones(400, dtype=torch.long))
    assert torch.equal(game.determinize(done, 2, seed=1).bids, done.bids.repeat_interleave(2, 0))  # told to all now


@pytest.mark.slow
@pytest.mark.parametrize("sight", ["forehead", "blind"])
@pytest.mark.parametrize("cards", [1, 2])
def test_rounds_in_which_a_seat_does_not_see_its_cards(sight: str, cards: int) -> None:
    game = Blob(cards=cards, ranks=4, sight=sight, sight_to=2)
    contract.check(game)
    state = game.deal(600, seed=5)
    mover = game.mover(state)
    drawn = game.determinize(state, 4, seed=2)
    own = drawn.hands.gather(1, mover.repeat_interleave(4)[:, None])[:, 0]
    truth = state.hands.gather(1, mover[:, None])[:, 0].repeat_interleave(4)
    others = torch.arange(4) != mover.repeat_interleave(4)[:, None]
    same = (drawn.hands == state.hands.repeat_interleave(4, 0))[others]
    assert same.all() if sight == "forehead" else not same.all()
    assert (own != truth).any()
    if cards == 1:  # any card but those that are seen, each as likely as the other
        unseen = 16 - 3 * (sight == "forehead")
        share = float((own == truth).float().mean()) * unseen
        assert abs(share - 1) < 5 * (unseen / len(own)) ** 0.5
    for _ in range(4):
        state = game.step(state, random_action(game, state))
    now = game.determinize(state, 2, seed=3)  # the bids are made, and all look at their cards
    kept = now.hands.gather(1, game.mover(now)[:, None])[:, 0]
    assert torch.equal(kept, state.hands.gather(1, game.mover(state)[:, None])[:, 0].repeat_interleave(2))


@pytest.mark.parametrize("rules", [{"sight": "forehead"}, {"sight": "blind"}, {"bidding": "once"}], ids=str)
def test_what_is_not_seen_while_bidding_waits_for_no_gpu(rules: dict[str, str], monkeypatch) -> None:
    game = Blob(cards=1, hook=False, **rules)

    def work(state: State) -> None:
        game.observe(state), game.determinize(state, 2, seed=1)

    assert_no_wait(game.deal(4), work, monkeypatch)


def test_such_a_round_can_be_searched() -> None:
    """With an ace of trump on every other forehead a player bids nothing; with only small cards there it bids one."""
    game = Blob(cards=1, sight="forehead", hook=False, trump="spades", dealer=3)
    aces, low = [[3], [12], [11], [10]], [[3], [13], [26], [39]]
    state = game.from_hands(torch.tensor([aces, low]), dealer=3, trump=0)
    result = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=16, simulations=60), seed=1)
    assert result.policy.argmax(-1).tolist() == [0, 1]


def test_seventeen_cards_for_three_players() -> None:
    game = Blob(cards=17, players=3)
    state = game.deal(100, seed=6)
    held = [cards_of(hand) for hand in state.hands[0].tolist()]
    assert [len(hand) for hand in held] == [17] * 3 and len(set().union(*held)) == 51
    assert game.legal_mask(state).sum(-1).eq(18).all()
    while not game.is_terminal(state).all():
        state = game.step(state, random_action(game, state), validate=True)
    assert (state.won.sum(-1) == 17).all()
    with pytest.raises(ValueError, match="cards must be an integer from 1 to 17, got 18"):
        Blob(cards=18, players=3)


@pytest.mark.slow
@pytest.mark.parametrize("players", [2, 8])
def test_from_two_to_eight_players(players: int) -> None:
    contract.check(Blob(cards=2, ranks=5, players=players))

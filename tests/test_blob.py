"""Blob's tensor rules against the scalar reference, and lanes that know nothing of each other."""

import os

import pytest
import torch
from torch import Tensor

from tests.blob_games import GAME_SIZES, begin, compare_random_games, games_of
from tests.helpers import SEATS, assert_same_state, play_randomly, random_actions, to_reference
from vecgame import Blob, Game, concatenate
from vecgame import lanes as lanes_module
from vecgame.cards import DECK
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference

SLOW_GAMES = int(os.environ.get("VECGAME_SLOW_GAMES", 1_000_000))

# --- against the reference ---


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

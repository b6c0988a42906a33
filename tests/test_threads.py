"""Threads that work side by side: what they give is what one gives, in the same order in every run."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from net import BlobNet, InferenceNet, NetConfig
from net.threads import ALONE, current, side_by_side
from tests.test_learner import make_examples, make_learner
from vecgame import Blob
from veclab.arena import bots
from veclab.arena.bots import FlatMonteCarlo, IsmctsPlayer, SearchPlayer, rollout_player
from veclab.arena.matches import play_games
from veclab.training import learner as learner_module
from veclab.training import policy_gradient
from veclab.training.learner import Learner, learn
from veclab.training.policy_gradient import GRAIN, MANY, minibatch_size, play, update
from veclab.training.replay import ReplayBuffer
from vecmcts import IsmctsConfig, RolloutConfig, SearchConfig
from vecmcts.evaluators import play_out

CPU = torch.device("cpu")
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


@pytest.fixture
def two_threads(monkeypatch) -> Iterator[None]:
    """PyTorch has two threads, and few rows are worth one of their own."""
    monkeypatch.setattr(learner_module, "ROWS_PER_THREAD", 4)
    monkeypatch.setattr(policy_gradient, "ROWS_PER_THREAD", 4)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_parts(two_threads) -> None:
    def work(number: int) -> tuple[int, int, int]:
        time.sleep(0.02 * (3 - number))  # the last part is ready first
        return number, threading.get_ident(), torch.get_num_threads()

    with side_by_side(CPU) as threads:
        results = threads.map(work, [(number,) for number in range(3)])
        assert torch.get_num_threads() == 1
        with side_by_side(CPU) as inner:  # none are opened within
            assert inner is threads is current()
    assert [number for number, *_ in results] == [0, 1, 2] and {each for *_, each in results} == {1}
    assert results[0][1] == threading.get_ident() != results[1][1]
    assert torch.get_num_threads() == 2 and current() is ALONE


def test_a_part_that_fails_is_told_once_none_is_worked_on(two_threads) -> None:
    ended = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("the first part")
        time.sleep(0.1)
        ended.append(number)

    with side_by_side(CPU) as threads, pytest.raises(ValueError, match="the first part"):
        try:
            threads.map(work, [(0,), (1,)])
        finally:
            assert ended == [1]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (7, [7]), (8, [4, 4]), (9, [4, 5])])
def test_parts_are_nearly_even(two_threads, count: int, sizes: list[int]) -> None:
    with side_by_side(CPU) as threads:
        parts = threads.split(count, 4)
    assert [number for _, number in parts] == sizes and [first for first, _ in parts] == [0, *sizes[:-1]]


def weights_after_learning(threads: int) -> list[Tensor]:
    torch.set_num_threads(threads)
    learner, buffer = make_learner(epochs=2), ReplayBuffer(64, CPU)
    buffer.add(make_examples(40))
    learn(learner, buffer, 40, seed=1)
    return [parameter.detach() for parameter in learner.net.parameters()]


def test_learning_is_that_of_one_thread_and_the_same_in_every_run(two_threads) -> None:
    alone, *together = (weights_after_learning(threads) for threads in (1, 2, 2, 2))
    for again in together[1:]:
        assert all(torch.equal(first, second) for first, second in zip(together[0], again, strict=True))
    torch.testing.assert_close(together[0], alone, rtol=1e-3, atol=2e-5)


def weights_after_an_update(threads: int) -> tuple[list[Tensor], dict[str, float]]:
    torch.set_num_threads(threads)
    learner: Learner = make_learner(update_batch=32, update_epochs=1)
    rollout = play(Blob(cards=2), InferenceNet(learner.net, torch.float32), 30, seed=1, first_index=0, device=CPU)
    numbers = update(learner, rollout, 0.01, seed=2)
    return [parameter.detach() for parameter in learner.net.parameters()], numbers


def test_an_update_is_that_of_one_thread_and_the_same_in_every_run(two_threads) -> None:
    alone, first, second = (weights_after_an_update(threads) for threads in (1, 2, 2))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first[0], second[0], strict=True))
    assert first[1] == second[1] and first[1] == pytest.approx(alone[1], rel=1e-4, abs=1e-6)
    torch.testing.assert_close(first[0], alone[0], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("rows", [1, 127, 300])
def test_a_network_evaluates_rows_side_by_side(two_threads, rows: int) -> None:
    network = InferenceNet(BlobNet(SMALL), torch.float64, micro_batch=100)
    observation = torch.rand(rows, SMALL.observation, dtype=torch.float64)
    alone = network(observation)
    with side_by_side(CPU):
        together = network(observation)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 200_000), st.integers(1, 8192))
def test_minibatches_have_the_size_that_is_asked_for_or_one_near_it(decisions: int, wanted: int) -> None:
    """And leave few decisions out; of few decisions all are one, or equal parts, with fewer left over than parts."""
    size = minibatch_size(decisions, wanted)
    assert 1 <= size <= decisions and decisions % size <= max(decisions / MANY, decisions // size - 1)
    if decisions >= MANY * wanted:
        assert size == wanted
    elif decisions >= wanted:
        assert 0.6 * wanted - 1 < size < 1.5 * wanted  # parts are whole, which counts for little but in tiny ones
    else:
        assert size > 0.8 * decisions
    assert size == wanted or size < MANY * GRAIN or size % GRAIN == 0


@pytest.mark.parametrize(
    "player",
    [
        lambda network: rollout_player(network, RolloutConfig(worlds=4, candidates=8)),
        lambda network: SearchPlayer(network, SearchConfig(worlds=2, simulations=4)),
        lambda network: IsmctsPlayer(network, IsmctsConfig(simulations=4)),
    ],
    ids=["rollouts", "search", "ismcts"],
)
def test_who_thinks_about_many_games_thinks_side_by_side(two_threads, player) -> None:
    """As in one thread; of few games PyTorch splits the operations."""
    asked = []

    class Watched(InferenceNet):
        def __call__(self, *arguments, **named):
            asked.append(current().size)
            return super().__call__(*arguments, **named)

    game = Blob(cards=1)
    network = Watched(BlobNet(SMALL), torch.float64)
    points = []
    for threads, deals in ((1, 3), (2, 3), (2, 1)):
        torch.set_num_threads(threads)
        asked.clear()
        seats = torch.zeros(4 * deals, 4, dtype=torch.int64)
        state = game.deal(deals, 1).repeat(4)
        points.append(play_games(game, state, (player(network),), seats, seed=1))
        assert (2 in asked) == (threads == 2 and deals == 3)
    assert torch.equal(points[0], points[1])


def test_playouts_of_many_games_are_not_split(two_threads, monkeypatch) -> None:
    asked = []

    def watched(*arguments):
        asked.append(torch.get_num_threads())
        return play_out(*arguments)

    monkeypatch.setattr(bots, "play_out", watched)
    game = Blob(cards=2)
    many, few = (FlatMonteCarlo(4).act(game, game.deal(deals, 1), 1) for deals in (8, 7))
    assert asked == [1, 2] and torch.equal(many[:7], few)

"""Steps of learning replayed from recorded CUDA graphs against the same ones made one kernel at a time, on a GPU or an
emulated one."""

import logging
from collections.abc import Callable

import pytest
import torch

from net import InferenceNet, NetConfig
from tests.emulated_gpu import EmulatedGpu
from tests.test_gpu_training import on
from tests.test_learner import make_examples
from vecgame import Blob
from veclab.settings import Settings
from veclab.training import policy_gradient, steps
from veclab.training.distributed import Group
from veclab.training.heading import steps_of
from veclab.training.learner import Learner, learn
from veclab.training.policy_gradient import Rollout
from veclab.training.replay import ReplayBuffer
from vecmcts import graphs

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda", 0)
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)


def make_learner(recorded: bool, net: NetConfig = SMALL, **changes: object) -> Learner:
    few = {"batch_size": 8, "epochs": 2, "update_batch": 8, "update_epochs": 2, "average_decay": 0.9}
    learner = Learner(Settings(**{**few, "graphs": recorded, **changes}), net, CUDA)
    learner.amp = torch.float32
    return learner


def make_buffer(count: int = 20) -> ReplayBuffer:
    buffer = ReplayBuffer(24, CUDA)
    buffer.add(on(make_examples(count), "cuda"))
    return buffer


def ways_of(work: Callable[[], object]) -> dict[str, int]:
    """How the steps of a piece of work were made."""
    before = steps.WAYS.copy()
    work()
    return dict(steps.WAYS - before)


def assert_alike(ours: Learner, theirs: Learner) -> None:
    here, there = ours.state_dict(), theirs.state_dict()
    assert here.keys() == there.keys()
    assert [name for name in here if not torch.equal(here[name].cpu(), there[name].cpu())] == []


@pytest.mark.parametrize("augment", [False, True])
def test_recorded_steps_of_search_are_the_same(augment: bool) -> None:
    """Of batches that are left over too, with a step that is left out, other rates, seeds and examples."""
    both = [make_learner(recorded, augment_suits=augment) for recorded in (True, False)]
    found, ways = [], []
    for learner in both:
        buffer, numbers = make_buffer(), []

        def work(learner: Learner = learner, buffer: ReplayBuffer = buffer, numbers: list = numbers) -> None:
            for seed, share in ((1, 1.0), (2, 0.3)):
                learner.set_rate(share)
                numbers.append(learn(learner, buffer, 20, seed))
                buffer.add(on(make_examples(3, seed), "cuda"))
                buffer.examples.value[5, 2] = torch.nan

        ways.append(ways_of(work))
        found.append(numbers)
    assert ways == [{"eager": 5, "graph": 7}, {"eager": 12}]  # five batches of 8 and one of 4 or 7 in each pass
    assert found[0] == found[1] and found[0][1]["skipped_steps"] > 0
    assert_alike(*both)

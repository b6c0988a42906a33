"""Kernels that the host starts one by one for a step of learning, and for a decision of policy gradient's games.

    python -m tests.emulated_gpu.learning

Their number does not depend on the batch. An operation on all parameters at once counts as one kernel, of which CUDA
makes a few.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from net import PRESETS, InferenceNet
from tests.emulated_gpu.gpu import EmulatedGpu
from tests.emulated_gpu.install import emulated_gpu
from vecgame import Blob
from veclab.bench.parts import random_examples
from veclab.settings import Settings
from veclab.training import policy_gradient
from veclab.training.learner import WARM_UP, Learner, learn
from veclab.training.replay import ReplayBuffer

BATCH = 4  # of a step
BEFORE = 2  # steps that make what is made once, the graph among it
CUDA = torch.device("cuda", 0)


def begun(settings: Settings, network: str) -> Learner:
    """A learner past its first steps, which are told their rate by a kernel more."""
    learner = Learner(settings, PRESETS[network], CUDA)
    learner.steps = WARM_UP
    return learner


def of_search(gpu: EmulatedGpu, network: str, graphs: bool) -> int:
    """Of a step of learning from searched examples."""
    learner = begun(Settings(batch_size=BATCH, epochs=1, graphs=graphs), network)
    count = (BEFORE + 2) * BATCH
    buffer = ReplayBuffer(count, CUDA)
    buffer.add(random_examples(learner.net.config, count, CUDA))
    return _last(gpu, lambda report: learn(learner, buffer, count, 1, lambda done, total: report()))


def of_update(gpu: EmulatedGpu, network: str, graphs: bool) -> int:
    """Of a step of policy gradient."""
    settings = Settings(update_batch=BATCH, update_epochs=BEFORE + 2, graphs=graphs)
    learner = begun(settings, network)
    rollout = policy_gradient.play(Blob(cards=1), InferenceNet(learner.net), BATCH, 1, 0, CUDA)
    return _last(gpu, lambda report: policy_gradient.update(learner, rollout, 0.01, 1, report))


def of_decision(gpu: EmulatedGpu, network: str, graphs: bool) -> tuple[int, int]:
    """Of a decision of policy gradient's games at 5 cards, the last one; and how often the host waits for all of the
    games."""
    game, net = Blob(cards=5), InferenceNet(Learner(Settings(), PRESETS[network], CUDA).net)
    counts: list[int] = []
    policy_gradient.play(game, net, BATCH, 1, 0, CUDA, graphs=graphs)
    gpu.record.clear()
    real = policy_gradient._Terms.recorded

    def recorded(terms: object, body: object, state: object) -> object:
        before = gpu.record.launches
        result = real(terms, body, state)
        counts.append(gpu.record.launches - before)
        return result

    policy_gradient._Terms.recorded = recorded
    try:
        policy_gradient.play(game, net, BATCH, 1, 0, CUDA, graphs=graphs)
    finally:
        del policy_gradient._Terms.recorded  # which it has of `Terms`
    return counts[-1], gpu.record.waits.total()


def _last(gpu: EmulatedGpu, work: Callable[[Callable[[], None]], object]) -> int:
    """What the host has started for the last step of a piece of work, which calls what it is given after each."""
    counts: list[int] = []
    work(lambda: counts.append(gpu.record.launches))
    return counts[-1] - counts[-2]


def main() -> None:
    """Prints the table."""
    with emulated_gpu() as gpu:
        for network in PRESETS:
            for name, count in (("search", of_search), ("policy gradient", of_update)):
                alone, recorded = (count(gpu, network, graphs) for graphs in (False, True))
                print(f"{network}, a step of {name}: {alone:,} kernels; recorded: {recorded:,} and a graph")
            (alone, waits), (recorded, _) = (of_decision(gpu, network, graphs) for graphs in (False, True))
            print(f"{network}, a decision of games: {alone:,} kernels; recorded: {recorded:,} and a graph")
            print(f"{network}, games of policy gradient: the host waits {waits} times")
        gpu.record.raise_errors()


if __name__ == "__main__":
    main()

"""Steps of learning replayed from recorded CUDA graphs against the same ones made one kernel at a time, on a GPU or an
emulated one."""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch

from net import BlobNet, NetConfig
from tests.emulated_gpu import EmulatedGpu
from tests.test_gpu_training import on
from tests.test_learner import make_examples
from vecgame import Blob, State
from vecgame.lanes import carrying_all
from veclab.bench import parts
from veclab.bench.tables import deviations
from veclab.settings import Settings
from veclab.training import imitation, policy_gradient, steps
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
    few |= {"update_share": 0.25, "magnet": 0.1, "magnet_rate": 0.5}
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


def make_rollout(count: int, seed: int = 0) -> Rollout:
    """Decisions that were not played."""
    examples, random = make_examples(count, seed), torch.Generator().manual_seed(seed)
    column = torch.stack([(legal >> torch.arange(52) & 1).nonzero()[0, 0] for legal in examples.legal])
    chances, values = -torch.rand(count, generator=random) - 1, torch.rand(count, generator=random)
    fields = {"observation": examples.observation.float(), "legal": examples.legal, "value": examples.value}
    fields |= {"column": column, "log_prob": chances, "advantage": examples.value[:, 0] - values}
    return Rollout(**{name: tensor.to("cuda") for name, tensor in fields.items()}, score=1.0, games=count)


def test_recorded_steps_of_policy_gradient_are_the_same(gpu: EmulatedGpu | None) -> None:
    """Of rollouts of several sizes, the second with one more and minibatches as large, the last with more decisions
    than there was room for, and other weights of the entropy; nothing waits but an update's beginning and end."""
    both, found = [make_learner(recorded) for recorded in (True, False)], []
    rollouts = [make_rollout(count, count) for count in (64, 68, 72, 160)]
    ways = []
    for learner in both:
        updates = [
            lambda number=number, learner=learner: found.append(
                policy_gradient.update(learner, rollouts[number], 0.1 * number, seed=number)
            )
            for number in range(4)
        ]
        ways.append([ways_of(update) for update in updates])
    assert ways[0] == [{"eager": 1, "graph": 3}, {"graph": 4}, {"eager": 1, "graph": 3}, {"eager": 1, "graph": 9}]
    assert found[:4] == found[4:]
    assert_alike(*both)
    assert len(graphs.GRAPHS.kept) == 1  # those of rollouts with less room are gone


@pytest.mark.slow
def test_recorded_steps_of_imitation_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of games leave more and fewer examples, for which there is one buffer."""
    monkeypatch.setattr(imitation, "AT_ONCE", 2)
    game, found, ways = Blob(cards=2), [], []
    for recorded in (True, False):
        settings = Settings(imitated_games=6, cards="2", batch_size=4, graphs=recorded)
        start = make_learner(recorded, replace(SMALL, observation=game.features, actions=game.num_actions)).net

        def work(settings: Settings = settings, start: BlobNet = start) -> None:
            found.append(imitation.imitate(settings, start, [(game, imitation.by_rules)], CUDA))

        ways.append(ways_of(work))
    assert ways[0]["graph"] > ways[0]["eager"] and ways[1] == {"eager": sum(ways[0].values())}
    ours, theirs = (net.state_dict() for net in found)
    assert [name for name in ours if not torch.equal(ours[name].cpu(), theirs[name].cpu())] == []


def test_a_checkpoint_is_loaded_between_recorded_steps() -> None:
    """One of the same run, as when a step is taken back, and one of another, which has not begun to learn."""
    both, buffer = [make_learner(recorded) for recorded in (True, False)], make_buffer(16)
    fresh = {name: tensor.cpu() for name, tensor in both[0].state_dict().items()}
    for learner in both:
        learn(learner, buffer, 16, seed=1)
        saved = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        learn(learner, buffer, 16, seed=2)
        learner.load_state_dict(saved)
        assert ways_of(lambda learner=learner: learn(learner, buffer, 16, seed=3)) == {
            "graph" if learner.recorded else "eager": 4
        }
    assert_alike(*both)
    for learner in both:
        learner.load_state_dict(fresh)  # without what AdamW keeps, which the next step makes
        assert learner.state_dict().keys() == fresh.keys()
        learn(learner, buffer, 16, seed=1)
    assert_alike(*both)


def test_nothing_in_a_recorded_step_waits_and_the_host_starts_two_kernels(gpu: EmulatedGpu | None) -> None:
    """One that says what the newest weights count for, one that copies the index of the batch; and the graph."""
    learner, buffer = make_learner(True, epochs=1), make_buffer(24)
    learn(learner, buffer, 16, seed=1)
    seen: list[int] = []

    def report(done: int, total: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if done < total else "default")
        if gpu is not None:
            seen.append(gpu.record.launches)

    try:
        learn(learner, buffer, 24, seed=2, report=report)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [after - before for before, after in pairwise(seen)] == [2] * (len(seen) - 1)


def test_what_cannot_be_recorded_is_said_once_and_goes_on(caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    both, buffer = [make_learner(recorded) for recorded in (True, False)], make_buffer(16)
    real = Learner.losses

    def waiting(learner: Learner, *arguments: object) -> object:
        if torch.cuda.is_current_stream_capturing():
            float(learner.net.position.detach().sum())
        return real(learner, *arguments)

    monkeypatch.setattr(Learner, "losses", waiting)
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        assert ways_of(lambda: learn(both[0], buffer, 16, seed=1)) == {"eager": 4}
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("learning steps on cuda:0 go on without graphs: ") and "captur" in line
    learn(both[1], buffer, 16, seed=1)
    assert_alike(*both)


def test_a_run_says_how_its_steps_are_made() -> None:
    assert steps_of(make_learner(True)) == " by CUDA graphs"
    assert steps_of(make_learner(False)) == " without CUDA graphs"
    several = Learner(Settings(), SMALL, CUDA, Group(0, 2))
    assert not several.recorded
    assert steps_of(several) == " without CUDA graphs, as 2 processes learn together"
    assert steps_of(Learner(Settings(), SMALL, torch.device("cpu"))) == ""


# --- games of policy gradient ---


class RowByRow:
    """A network whose rows are the same in any batch, bit for bit."""

    capturable, has_critic = True, False

    def __call__(self, observation: torch.Tensor, mask: torch.Tensor, hidden: torch.Tensor | None = None):
        return 3 * observation[:, 30:82].sin(), observation[:, 100:104] + 0.5


def assert_same_rollout(ours: Rollout, theirs: Rollout) -> None:
    here, there = ours.tensors(), theirs.tensors()
    assert here.keys() == there.keys() and ours.games == theirs.games
    assert ours.score == pytest.approx(theirs.score, abs=1e-6)
    fine = 1e-6 if ours.legal.device != theirs.legal.device else 0.0  # each has functions of its own
    for name in here:
        torch.testing.assert_close(here[name].cpu(), there[name].cpu(), rtol=0, atol=fine)


def test_games_of_policy_gradient_are_the_same_in_any_chunks() -> None:
    """On a CPU, which lists the games that have a choice, and by a GPU's way, with all carried along."""
    game, network = Blob(cards=2), RowByRow()
    play = lambda chunk: policy_gradient.play(  # noqa: E731
        game, network, 13, 1, 5, torch.device("cpu"), None, ("tricks", "hidden"), chunk_games=chunk
    )
    whole = play(13)
    assert len(whole.legal) > 40
    assert_same_rollout(play(4), whole)
    with carrying_all():
        assert_same_rollout(play(13), whole)
        assert_same_rollout(play(5), whole)


class Forced(Blob):
    """Blob in which nobody has a choice."""

    def legal_actions(self, state: State) -> torch.Tensor:
        actions = super().legal_actions(state).clone()
        actions[:, 1:] = -1
        return actions


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_games_without_a_choice_are_refused_in_one_line(device: str) -> None:
    """Alone; beside games with choices they are some games more."""
    where = torch.device(device)
    forced = policy_gradient.play(Forced(cards=1), RowByRow(), 3, 1, 0, where, chunk_games=2)
    learner = Learner(Settings(), SMALL, where)
    with pytest.raises(ValueError, match=r"^in 3 games there was nothing to decide: nothing can be learned from them$"):
        policy_gradient.update(learner, forced, 0.0, 0)
    free = policy_gradient.play(Blob(cards=1), RowByRow(), 3, 1, 0, where)
    both = policy_gradient.Rollout.concatenate([forced, free])
    assert both.games == 6 and len(both.legal) == len(free.legal) > 0


def test_a_gpus_games_of_policy_gradient_are_replayed_and_wait_at_their_end(gpu: EmulatedGpu | None) -> None:
    game, network = Blob(cards=1), RowByRow()
    here, there = (
        policy_gradient.play(game, network, 6, 1, 0, torch.device(device), extras=("tricks",))
        for device in ("cpu", "cuda")
    )
    assert_same_rollout(there, here)
    if gpu is not None:
        gpu.record.clear()
    before = steps.WAYS.copy()
    again = policy_gradient.play(game, network, 6, 1, 6, CUDA, extras=("tricks",))
    assert dict(steps.WAYS - before) == {"graph": game.decisions}
    if gpu is not None:
        assert gpu.record.replays == game.decisions and gpu.record.waits.total() <= 4
    assert_same_rollout(again, policy_gradient.play(game, network, 6, 1, 6, torch.device("cpu"), extras=("tricks",)))
    here, there = (policy_gradient.play(game, network, 6, 2, 6, torch.device(device)) for device in ("cpu", "cuda"))
    assert_same_rollout(there, here)  # by another seed


def test_games_of_policy_gradient_that_do_not_fit_are_played_in_halves(gpu: EmulatedGpu | None, caplog) -> None:
    if gpu is None:
        pytest.skip("needs a memory that runs out when it shall")
    game, network = Blob(cards=1), RowByRow()
    whole = policy_gradient.play(game, network, 6, 1, 0, CUDA, graphs=False)
    gpu.memory.fail_at = 200
    with caplog.at_level(logging.WARNING, logger="vecgame.fallback"):
        cut = policy_gradient.play(game, network, 6, 1, 0, CUDA, graphs=False)
    assert [record.getMessage() for record in caplog.records] == [
        "out of GPU memory with 6 games at a time: going on with 3"
    ]
    assert_same_rollout(cut, whole)


def test_a_gpu_plays_as_many_games_at_once_as_fit(gpu: EmulatedGpu | None) -> None:
    if gpu is None:
        pytest.skip("needs a memory of a size that is known")
    game = Blob(cards=5)
    assert policy_gradient.largest_rollout(game, 10**6, CUDA) == policy_gradient.MOST_AT_ONCE
    gpu.memory.total = gpu.memory.taken_by_others + gpu.memory.reserved + (1 << 30)
    fits = policy_gradient.largest_rollout(game, 10**6, CUDA)
    row = 4 * game.features + 8 + 8 + 4 + 4 + 4 * game.seats + 8  # of a decision, its mover too
    assert fits & (fits - 1) == 0 and 1 << 28 < 2 * fits * game.decisions * row < 1 << 29
    assert policy_gradient.largest_rollout(game, 777, torch.device("cpu")) == 777


@pytest.mark.slow
def test_benches_of_learning_say_how_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "matmul_peak", lambda dtype, device: 1e9)
    game, found = Blob(cards=1), []
    for graphs_asked in (True, False):
        found += [
            parts.learning(SMALL, "small", 4, torch.float32, CUDA, 1, graphs_asked),
            parts.updates(game, SMALL, "small", 4, 6, CUDA, 1, graphs_asked),
            parts.games_of_policy_gradient(game, SMALL, "small", 4, CUDA, 1, graphs_asked),
        ]
    figures = [{**asdict(rate), "fell_back": []} for rate in found]
    assert [set(figure["ways"]) for figure in figures] == [{"graph"}] * 3 + [{"eager"}] * 3
    assert [deviations(figure) for figure in figures] == [[]] * 6
    said = deviations({**figures[0], "ways": {"eager": 2}})
    assert said == ["learning steps ran eager, not graph"]

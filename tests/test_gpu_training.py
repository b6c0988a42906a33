"""Self-play, learning and whole runs on a GPU: the same as on a CPU where that can be, and all of it on the device."""

import logging
from collections.abc import Sequence

import pytest
import torch

from net import NetConfig, float8_products
from tests.emulated_gpu import sized
from tests.runs import changed, metrics_of, quiet, tensors_of
from tests.test_gpu_searches import network
from tests.test_learner import make_examples, step
from vecgame import Blob
from veclab.playout_cap import PlayoutCap
from veclab.settings import Settings
from veclab.training.learner import Learner, learn
from veclab.training.replay import EXTRAS, Examples, ReplayBuffer
from veclab.training.run import Run
from veclab.training.selfplay import SelfPlay, self_play
from vecmcts import SearchConfig, search

pytestmark = pytest.mark.gpu
CONFIG = SearchConfig(worlds=2, simulations=2, noise_fraction=0.25)
SMALL = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
DEVICES = ("cpu", "cuda")


def make_learner(device: str, **changes: object) -> Learner:
    learner = Learner(Settings(batch_size=16, **changes), SMALL, torch.device(device))
    learner.amp = torch.float32
    return learner


def on(examples: Examples, device: str) -> Examples:
    moved = {name: None if tensor is None else tensor.to(device) for name, tensor in vars(examples).items()}
    return Examples(**moved)


def play(game: Blob, device: str, games: int, **options: object) -> SelfPlay:
    return self_play(game, network(game, device), CONFIG, games, seed=3, device=device, **options)


def blob() -> Blob:
    """With one card of a small deck, of which an emulation has enough to do."""
    return Blob(cards=sized(3, 1), ranks=sized(13, 2))


# --- learning ---


def test_a_step_is_the_cpus() -> None:
    """With averaged weights, over three steps; AdamW turns the rounding of a gradient near 0 into a whole step."""
    learners = [make_learner(device, average_decay=0.9) for device in DEVICES]
    for seed in range(3):
        losses = []
        for learner, device in zip(learners, DEVICES, strict=True):
            loss = learner.losses(on(make_examples(16, seed), device)).weighted(learner.settings)
            losses.append(float(loss.detach()))
            assert bool(step(learner, loss))
        assert losses[1] == pytest.approx(losses[0], abs=1e-3)
    here, there = (learner.state_dict() for learner in learners)
    for name, tensor in here.items():
        assert (there[name].cpu().double() - tensor.double()).abs().mean() < 1e-5, name


@pytest.mark.parametrize("amp", [torch.float32, torch.bfloat16])
def test_a_step_waits_for_nothing_even_if_it_is_left_out(amp: torch.dtype) -> None:
    learner = make_learner("cuda")
    learner.amp = amp
    batch = on(make_examples(16), "cuda")
    step(learner, learner.losses(batch).weighted(learner.settings))  # makes the optimiser's state
    before = {name: tensor.cpu() for name, tensor in learner.net.state_dict().items()}
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = learner.losses(batch).weighted(learner.settings)
        taken = step(learner, loss * float("nan"))
        after = {name: tensor.clone() for name, tensor in learner.net.state_dict().items()}
        taken_then = step(learner, learner.losses(batch).weighted(learner.settings))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not bool(taken) and bool(taken_then)
    assert all(torch.equal(after[name].cpu(), tensor) for name, tensor in before.items())


def test_learning_from_the_buffer_is_the_cpus() -> None:
    """The order of examples and of their suits is the same, and the buffer is a ring on both."""
    found = []
    for device in DEVICES:
        learner = make_learner(device, epochs=2, augment_suits=True)
        buffer = ReplayBuffer(24, learner.device, 256, 52, 4, ())
        for seed in (1, 2):
            buffer.add(on(make_examples(16, seed), device))
        found.append(learn(learner, buffer, 24, seed=4))
    here, there = found
    assert here.keys() == there.keys() and here["examples_learned"] == there["examples_learned"] == 48
    for name, number in here.items():
        assert there[name] == pytest.approx(number, abs=1e-3), name


# --- self-play ---


def assert_the_same_games(here: SelfPlay, there: SelfPlay) -> None:
    assert there.scores.device.type == "cuda" and torch.equal(there.scores.cpu(), here.scores)
    assert there.evaluations == here.evaluations and there.bids_met == pytest.approx(here.bids_met)
    assert there.policy_entropy == pytest.approx(here.policy_entropy, abs=1e-6)
    for name, tensor in vars(here.examples).items():
        other = getattr(there.examples, name)
        assert (other is None) == (tensor is None), name
        if tensor is not None:
            assert other.device.type == "cuda"
            torch.testing.assert_close(other.cpu(), tensor, rtol=0, atol=1e-3)  # halves, rounded


@pytest.mark.slow
def test_self_play_is_the_cpus() -> None:
    """In two chunks, with all that examples can have."""
    game, games = blob(), sized(100, 4)
    here, there = (play(game, device, games, chunk_games=games // 2, extras=EXTRAS) for device in DEVICES)
    assert_the_same_games(here, there)


def test_self_play_by_fast_searches_is_the_cpus() -> None:
    game, games = blob(), sized(100, 4)
    cap = PlayoutCap(0.5, SearchConfig(worlds=2, simulations=1))
    assert_the_same_games(*(play(game, device, games, cap=cap) for device in DEVICES))


@pytest.mark.slow
def test_what_does_not_fit_in_memory_is_played_in_smaller_chunks(caplog: pytest.LogCaptureFixture) -> None:
    game, games = blob(), sized(4000, 40)
    net = network(game, "cuda")

    def played() -> SelfPlay:
        return self_play(game, net, CONFIG, games, seed=3, device="cuda", graphs=False)

    self_play(game, net, CONFIG, 2, seed=3, device="cuda")  # makes the tables that are kept
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    expected = played()
    needed = torch.cuda.max_memory_allocated() - before
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved() + 0.6 * needed
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        with caplog.at_level(logging.WARNING):
            found = played()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert f"out of GPU memory with {games} games at a time: going on with {games // 2}" in caplog.text
    assert torch.equal(found.scores.cpu(), expected.scores.cpu()) and found.evaluations == expected.evaluations


@pytest.mark.gpu(emulated=False, reason="takes gigabytes of its memory")
def test_131072_games_are_searched_at_once() -> None:
    """Some of them compared with the same games on a CPU."""
    game, config = Blob(cards=5), SearchConfig(worlds=3, simulations=8, noise_fraction=0.25)
    state = game.deal(131_072, 1, "cuda")
    found = search(game, state, network(game, "cuda"), config, 2)
    some = torch.tensor([0, 1, 65_535, 65_536, 131_071])
    expected = search(game, state.to("cpu").take(some), network(game, "cpu"), config, 2)
    assert torch.equal(found.visits.cpu()[some], expected.visits)
    assert int(found.evaluations) > 131_072 * 3


# --- runs ---

RUNS = {
    "policy gradient and all heads": {
        "learner": "both",
        "updates": 1,
        "leaf_values": "world",
        "tricks_weight": 0.5,
        "augment_suits": True,
        "average_decay": 0.9,
    },
    "gate": {"gate": "test", "gate_deals": 30, "simulations": 1},
    "candidates, shared, visits": {"candidates": 3, "root_selection": "shared", "policy_target": "visits"},
    "playout cap, merged moves": {"full_share": 0.5, "fast_simulations": 1, "merge_equivalent": True},
    "gumbel": {"root_selection": "gumbel"},
    "three leaves, scalar values": {"leaves_per_step": 3, "values": 1},
    "float8": {"precision": "float8"},
    "mixed card counts, float32": {"cards": "1-2", "simulations": 1, "precision": "float32"},
}


def settings(**changes: object) -> Settings:
    few = {"games_per_iter": 6, "iterations": 1, "epochs": 1, "cards": "1", "worlds": 2, "simulations": 2}
    few |= {"ranks": 3}
    return changed(**{**few, "learner": "search", "update_games": 8, "device": "cuda", **changes})


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.slow
def test_an_iteration_of_a_run(name: str, tmp_path) -> None:
    if RUNS[name].get("precision") == "float8" and not float8_products(torch.device("cuda")):
        pytest.skip("this GPU multiplies no 8-bit floats")
    run = Run.create(tmp_path / "run", settings(**RUNS[name]), quiet())
    before = {name: tensor.cpu().clone() for name, tensor in run.learner.net.state_dict().items()}
    run.train(judge=False)
    assert run.iteration == 1 and run.updates == RUNS[name].get("updates", 0)
    kinds = [entry["kind"] for entry in metrics_of(tmp_path / "run")]
    assert kinds.count("iteration") == 1 and kinds.count("update") == run.updates
    weights = run.learner.net.state_dict()
    assert all(tensor.device.type == "cuda" and bool(tensor.isfinite().all()) for tensor in weights.values())
    assert not all(torch.equal(tensor.cpu(), before[name]) for name, tensor in weights.items())
    assert_saved(run)


def assert_saved(run: Run) -> None:
    """The checkpoint has the run's weights, and the newest network's file is a CPU's to load."""
    saved = tensors_of(run.folder)
    for name, tensor in run.learner.state_dict().items():
        found = [saved[full] for full in saved if full.endswith(name)]
        assert found and found[0].device.type == "cpu" and torch.equal(found[0], tensor.cpu()), name


@pytest.mark.slow
def test_a_checkpoint_goes_from_gpu_to_cpu_and_back(tmp_path) -> None:
    """Each resumption begins with what the last one ended with, and goes on."""
    last: dict[str, torch.Tensor] = {}
    for iterations, device in enumerate(("cuda", "cpu", "cuda"), 1):
        asked = settings(iterations=iterations, device=device, precision="float32", average_decay=0.9)
        run = (Run.create if iterations == 1 else Run.resume)(tmp_path / "run", asked, quiet())
        if last:
            assert_equal(run.learner.state_dict(), last)
        assert run.device.type == device and run.buffer.examples.observation.device.type == device
        run.train(judge=False)
        assert run.iteration == iterations
        last = {name: tensor.cpu().clone() for name, tensor in run.learner.state_dict().items()}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    different: Sequence[str] = [name for name in found if not torch.equal(found[name].cpu(), expected[name])]
    assert not different

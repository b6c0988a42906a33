"""A search that leaves no lane out makes the host wait for a GPU once, for what bounds the worlds that are drawn. After
that every shape is known, nothing is read back, no table or number travels from the host. Checked without a GPU in two
ways, and with one if there is one."""

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from net import BlobNet, InferenceNet, NetConfig
from tests.emulated_gpu import sized
from tests.emulated_gpu.operations import INDEXING, WAITING
from tests.every_game import EVERY, Named
from tests.positions import linear_network, mixed_batch
from tests.test_search_lanes import assert_same
from vecgame import Blob, State, concatenate, lanes, worlds
from vecgame.contract import mixed_positions
from vecgame.games.blob_state import BlobState
from vecmcts import Evaluator, IsmctsConfig, NetworkEvaluator, PlayoutEvaluator, SearchConfig, ismcts, search

search_module = importlib.import_module("vecmcts.search")  # the package's attribute of that name is the function
aten = torch.ops.aten
EVALUATORS = {
    "network": lambda device: NetworkEvaluator(small_network(device)),
    "scalar network": lambda device: NetworkEvaluator(small_network(device, values=1)),
    "playouts": lambda device: PlayoutEvaluator(),
}


class WaitError(AssertionError):
    """An operation that would make the host wait for a GPU."""


class NoWaiting(TorchDispatchMode):
    """Raises `WaitError` on every operation that would make the host wait if the tensors were on a GPU, but for those
    that find out what bounds the worlds, which it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.draws = 0

    def __enter__(self):
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch.object(worlds, "_sizes", self._counted(worlds._sizes)))
        return super().__enter__()

    def __exit__(self, *error):
        self.patches.close()
        return super().__exit__(*error)

    def _counted(self, sizes):
        def counted(numbers):
            self.draws += 1
            with _disable_current_modes():
                return sizes(numbers)

        return counted

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket
        indices = [tensor for tensor in args[1] if tensor is not None] if name in INDEXING else []
        if (
            name in WAITING
            or (func is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None)
            or any(tensor.dtype in (torch.bool, torch.uint8) for tensor in indices)
            or name is aten.lift_fresh  # torch.tensor(data): numbers from the host
        ):
            raise WaitError(str(func))
        result = func(*args, **kwargs)
        if name in (aten._to_copy, aten.copy_):
            source = args[1] if name is aten.copy_ else args[0]
            if source.device != result.device:
                raise WaitError(f"{func} from {source.device} to {result.device}")
        return result


def bounded(device: str, monkeypatch) -> None:
    """Lets worlds be drawn on tensors without data, whose batch cannot be asked for its bounds: by small ones."""
    monkeypatch.setitem(worlds.TABLE_BYTES, device, 1 << 30)
    monkeypatch.setattr(worlds, "_sizes", _small(worlds._sizes))


def _small(sizes: Callable[[Tensor], list[int]]) -> Callable[[Tensor], list[int]]:
    """The sampler's bounds; on tensors without data two items of each kind, a few axes, and no card too few."""

    def bounds(numbers: Tensor) -> list[int]:
        if numbers.device.type != "meta":
            return sizes(numbers)
        return [*(2 if row < 7 else 1 for row in range(len(numbers) - 1)), 0]

    return bounds


def assert_no_wait(state: State, work: Callable[[State], object], monkeypatch) -> None:
    """The work waits for no device: on a CPU in the GPU's way, and on tensors without data."""
    for device in ("cpu", "meta"):
        monkeypatch.setitem(lanes.COMPACT, device, False)
        bounded(device, monkeypatch)
        there = state.to(device)
        work(there)  # the first time makes the tables that are kept for a device
        with NoWaiting():
            work(there)


def small_network(device: str, values: int = 4) -> InferenceNet:
    torch.manual_seed(0)
    config = NetConfig(dim=32, layers=1, heads=4, ffn=64, policy_hidden=32, value_hidden=32, values=values)
    return InferenceNet(BlobNet(config), torch.float32, device)


def positions(game: Blob, count: int = 27) -> BlobState:
    """Games at all stages, three of them finished."""
    state = over = mixed_batch(game, count - 3, seed=1)
    for _ in range(game.decisions):
        over = game.step(over, game.legal_actions(over)[:, 0])
    return concatenate([state, over[:3]])


@pytest.fixture
def meta(monkeypatch) -> str:
    """A device that stands for a GPU: its tensors have no data to read, and refuse to be mixed with the host's."""
    monkeypatch.setitem(lanes.COMPACT, "meta", False)
    bounded("meta", monkeypatch)
    return "meta"


def search_twice(game: Blob, state: BlobState, evaluator: Evaluator, config: SearchConfig) -> None:
    """The first search makes the tables that are kept for a device; the second waits for the worlds' bounds only."""
    search(game, state, evaluator, config, seed=3)
    with NoWaiting() as waiting:
        search(game, state, evaluator, config, seed=3)
    assert waiting.draws == 1


CONFIGS = [
    SearchConfig(worlds=2, simulations=2, noise_fraction=0.25),
    SearchConfig(worlds=1, simulations=4, leaves_per_step=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=["one leaf, noise", "three leaves"])
@pytest.mark.parametrize("cards_dealt", [1, 5])
@pytest.mark.parametrize("name", EVALUATORS)
def test_no_operation_waits(name: str, cards_dealt: int, config: SearchConfig, monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    game = Blob(cards=cards_dealt)
    search_twice(game, positions(game), EVALUATORS[name]("cpu"), config)


LONG = ("match", "briscola")  # searches of them take seconds when every operation is looked at


@pytest.mark.parametrize(
    "named",
    [pytest.param(n, marks=[pytest.mark.slow] * any(name in str(n) for name in LONG), id=str(n)) for n in EVERY],
)
def test_a_search_of_every_game_waits_for_nothing_and_is_that_of_a_cpu(
    named: Named, tmp_path: Path, monkeypatch
) -> None:
    """The functions of tensors with all lanes carried along, which kernels and the CPU's way are compared with."""
    game, config = named.make(tmp_path), SearchConfig(worlds=1, simulations=4, noise_fraction=0.25)
    state = mixed_positions(game, 9)
    network = linear_network(game.seats, features=game.features, actions=game.num_actions)
    monkeypatch.setattr(lanes, "FEW", 0)
    compact = search(game, state, network, config, seed=3)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    drawn = game.determinize(state, config.worlds, seed=3)
    work = lambda: search_module._search(game, state, drawn, None, NetworkEvaluator(network), config, seed=3)  # noqa: E731
    assert_same(work(), compact, atol=1e-12)
    with NoWaiting():
        again = work()
    assert again.evaluations == compact.evaluations


@pytest.mark.parametrize("name", EVALUATORS)
def test_no_operation_of_one_tree_over_all_worlds_waits(name: str, monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    game, evaluator, config = Blob(cards=3), EVALUATORS[name]("cpu"), IsmctsConfig(simulations=6)
    state = positions(game)
    ismcts(game, state, evaluator, config, seed=3)
    with NoWaiting() as waiting:
        ismcts(game, state, evaluator, config, seed=3)
    assert waiting.draws == 1


@pytest.mark.parametrize("config", CONFIGS, ids=["one leaf, noise", "three leaves"])
@pytest.mark.parametrize("name", EVALUATORS)
def test_nothing_is_read_from_or_written_to_the_device(name: str, config: SearchConfig, meta: str) -> None:
    """On tensors without data, which know their device; games of one card are played out in half of the operations."""
    game = Blob(cards=1 if name == "playouts" else 2)
    search_twice(game, positions(game).to(meta), EVALUATORS[name](meta), config)


def _item(tree, node):
    tree.open.sum().item()


def _mask(tree, node):
    tree.value[tree.open]


def _branch(tree, node):
    return 1 if tree.open.all() else 2


def _from_host(tree, node):
    torch.tensor(node)


def _moved(tree, node):
    torch.arange(4).to(tree.open.device)


@pytest.mark.parametrize("fault", [_item, _mask, _branch, _from_host])
def test_a_wait_is_noticed(fault, monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    _break_descend(fault, monkeypatch)
    game = Blob(cards=2)
    with pytest.raises(WaitError), NoWaiting():
        search(game, positions(game), linear_network(4), CONFIGS[0], seed=3)


def test_a_copy_from_the_host_is_noticed(meta: str, monkeypatch) -> None:
    game = Blob(cards=2)
    state = positions(game).to(meta)
    evaluator = EVALUATORS["network"](meta)
    search(game, state, evaluator, CONFIGS[0])  # which makes the tables that are kept for a device
    _break_descend(_moved, monkeypatch)
    with pytest.raises(WaitError, match="from cpu to meta"), NoWaiting():
        search(game, state, evaluator, CONFIGS[0])


def _break_descend(fault, monkeypatch) -> None:
    """Makes a search's descents commit a fault first."""
    descend = search_module.descend

    def broken(game, tree, node, *others):
        fault(tree, node)
        return descend(game, tree, node, *others)

    monkeypatch.setattr(search_module, "descend", broken)


def test_leaving_lanes_out_would_wait() -> None:
    """The CPU's way, which is fast there, is none for a GPU."""
    game = Blob(cards=2)
    with pytest.raises(WaitError), NoWaiting():
        search(game, positions(game), linear_network(4), CONFIGS[0], seed=3)


@pytest.mark.gpu
@pytest.mark.parametrize("config", CONFIGS, ids=["one leaf, noise", "three leaves"])
@pytest.mark.parametrize("name", EVALUATORS)
def test_the_driver_sees_no_wait(name: str, config: SearchConfig) -> None:
    game = Blob(cards=sized(5, 1))
    state = positions(game).to("cuda")
    evaluator = EVALUATORS[name]("cuda")
    drawn = game.determinize(state, config.worlds, seed=3)
    search_module._search(game, state, drawn, None, evaluator, config, seed=3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        search_module._search(game, state, drawn, None, evaluator, config, seed=3)
    finally:
        torch.cuda.set_sync_debug_mode("default")

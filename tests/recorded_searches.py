"""Searches on a GPU, real or emulated, and how they are compared with those of other ways."""

from collections.abc import Callable

import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.positions import mixed_batch
from tests.test_search_lanes import assert_same
from vecgame import Blob, Game, State
from vecmcts import SearchConfig, SearchResult
from vecmcts.search import WAYS

CONFIG = SearchConfig(worlds=2, simulations=3, noise_fraction=0.25)
SMALL = {"dim": 32, "layers": 1, "heads": 4, "ffn": 64, "policy_hidden": 32, "value_hidden": 16}


def network(seed: int = 0, game: Game = Blob(cards=3), dtype: torch.dtype = torch.float64, **more) -> InferenceNet:
    """A network on the GPU."""
    torch.manual_seed(seed)
    config = NetConfig(
        **SMALL, observation=game.features, actions=game.num_actions, values=game.seats, critic=more.pop("critic", 0)
    )
    return InferenceNet(BlobNet(config).to("cuda"), dtype, **more)


def games_of(game: Game, count: int, seed: int = 1) -> State:
    """Positions on the GPU."""
    return mixed_batch(game, count, seed=seed).to("cuda")


def to_cpu(result: SearchResult) -> SearchResult:
    return result.map(lambda tensor: tensor.cpu())


def compare(ours: SearchResult, theirs: SearchResult, atol: float = 1e-9) -> None:
    ours, theirs = to_cpu(ours), to_cpu(theirs)
    assert_same(ours, theirs, atol)
    assert ours.evaluations == theirs.evaluations


def ways_of(work: Callable[[], object]) -> dict[str, int]:
    """How the searches of a piece of work ran."""
    before = WAYS.copy()
    work()
    return dict(WAYS - before)

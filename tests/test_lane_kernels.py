"""Kernels that are written from functions of lanes do what the functions do, bit for bit where numbers are integers, in
Triton's interpreter; what cannot be followed is refused."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import tests.emulated_gpu  # noqa: F401  has triton interpret its kernels, where there is no GPU
from tests.every_game import EVERY, Named
from tests.positions import linear_network, mixed_batch
from tests.test_search_lanes import assert_same
from vecgame import Blob, Game, State, lanes
from vecgame.cards import unpack
from vecgame.contract import mixed_positions
from vecgame.lanes import carrying_all, entries, place_of, steps_while, with_entries
from vecmcts import SearchConfig, kernels, search
from vecmcts.search import WAYS
from vecmcts.simulation import Leaves, grow, settle
from vecmcts.tree import Tree

pytest.importorskip("triton", reason="the kernels are Triton's")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="here tests marked gpu run the kernels themselves")

from vecmcts.kernels import leaves as parts  # noqa: E402  which loads triton
from vecmcts.kernels.lanes import LaneKernel  # noqa: E402
from vecmcts.kernels.writer import UnknownError  # noqa: E402

NUMBERS = torch.tensor([[-9, 0, 63, 5], [7, -128, 127, 64], [1, 1, -1, 3], [100, 90, 90, 100]])
WORDS = torch.tensor([-1, 1 << 62, -(1 << 63), 0x5555555555555555])
FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "remainders": lambda x, w: torch.stack([x % 7, x // 7, torch.div(x, 5, rounding_mode="floor")], dim=1),
    "shifts": lambda x, w: (w[:, None] >> x.clamp(0, 63)) ^ (1 << x.clamp(0, 63)),
    "int8 wraps": lambda x, w: x.to(torch.int8) + x.to(torch.int8),
    "types": lambda x, w: torch.stack([x > 3, x.bool(), ~(x == 1)], dim=-1).to(torch.int8).sum(-1),
    "the first of the best": lambda x, w: torch.stack([x.argmax(-1), x.argmin(-1), x.amax(-1)], dim=-1),
    "lowest bits": lambda x, w: ((w & -w).double().view(torch.int64) >> 52) - 1023,
    "sums": lambda x, w: torch.cat([x.sum(-1, keepdim=True), x.any(-1, keepdim=True), x[:, 1:3].abs()], dim=-1),
    "flat look-ups": lambda x, w: with_entries(x, place_of(w & 3), entries(x, place_of(w >> 62 & 3)) + 1),
    "tables": lambda x, w: torch.arange(10, 14)[:, None].expand(4, 2).index_select(0, w & 3),
    "bits": lambda x, w: unpack(x, torch.float32).sum(-1) + unpack(w & 0xFFFF)[:, 3:4],
    "columns": lambda x, w: x.gather(1, x & 3).roll(1, 1),
    "quotients": lambda x, w: torch.where(x > 0, x / 3, -torch.inf),
    "rounded": lambda x, w: torch.cat([(x / 7).floor(), x.sign(), (x > 0).float().mean(-1, True)], -1),
    "sorted": lambda x, w: torch.cat([*torch.sort(x % 5, stable=True), x.argsort(descending=True, stable=True)], -1),
    "one of each lane": lambda x, w: x[torch.arange(len(x)), w & 3] + x.amin(-1) / (1 / (1 + x[:, 0].abs())),
    "a sum at a place": lambda x, w: x.float().scatter_add(1, (w & 3)[:, None], (1 + (x > 0)).float().sum(-1, True)),
    "the same in all lanes": lambda x, w: torch.eye(4, dtype=torch.int64).expand(len(x), -1, -1) * x[:, None],
    "all of them, and each": lambda x, w: torch.stack([(x > 0).all(-1), (x != 1).all(-1), *(x > 2).unbind(-1)], -1),
    "a loop": lambda x, w: looped(x, w, 9),
    "a loop that ends before its lanes": lambda x, w: looped(x, w, 2),
}


@dataclass(frozen=True)
class Turning(State):
    """What goes round while there is something left."""

    left: Tensor  # [B] int64
    row: Tensor  # [B, 4] int64


def looped(numbers: Tensor, words: Tensor, most: int) -> Tensor:
    """Steps of which lanes make none, some, or more than there may be: [B, 5]."""
    odd = words & 1  # which the loop only reads

    def step(state: Turning, told: Tensor) -> Turning:
        return replace(state, left=state.left - told, row=state.row.roll(1, -1) + odd[:, None])

    state = Turning(words, left=numbers.amax(-1) % 6, row=numbers)
    state = steps_while(state, most, lambda part: (part.left > 0, 1 + (part.row[:, 0] > 90).long()), step)
    return torch.cat([state.left[:, None], state.row], -1)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What has gone on otherwise than asked."""
    return [record.getMessage() for record in caplog.records if record.name == "vecgame.fallback"]


def of(function: Callable[..., list[Tensor]], *examples: Tensor) -> list[Tensor]:
    """What a kernel written from the function makes of the arguments, lanes in reverse."""
    kernel = LaneKernel("test_kernel", function, examples, len(examples), 0, rows_given=True)
    rows = torch.arange(len(examples[0])).flip(0)
    outputs = [torch.empty(len(rows), *spec.shape, dtype=spec.dtype) for spec in kernel.outputs]
    kernel(examples, rows, [], outputs, 0, len(rows))
    return [output.flip(0) for output in outputs]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations(name: str) -> None:
    function = FUNCTIONS[name]
    found = of(lambda *arguments: [function(*arguments)], NUMBERS, WORDS)[0]
    with carrying_all():
        expected = function(NUMBERS, WORDS)
    assert found.dtype == expected.dtype and torch.equal(found, expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: [x.cumsum(0)], "cumsum"),
        (lambda x: [x - x.sum(0)], "the axis of the lanes"),
        (lambda x: [x.t().sum(-1)[:1].expand(len(x))], "the axis of the lanes"),
        (lambda x: [x.double().sum(-1)], "whose order is torch's"),
        (lambda x: [x + i for i in range(1300)], "more than 1,200 operations"),
        (lambda x: [torch.cat([x, x, x], -1).argsort(stable=True)], "12 numbers sorted"),
        (lambda x: [looped(x.to(torch.int8), x[:, 0], 3)], "a step makes left torch.int64"),
    ],
)
def test_what_cannot_be_followed(function, message: str) -> None:
    with pytest.raises(UnknownError, match=message):
        of(function, NUMBERS)


# Whose new leaves are made by tensors, and whether lines that say so are of moves: the next game is dealt by sorting
# 52 numbers; hands are melded by tables, and in more operations than a kernel has.
MATCHES = ("blob-match", "hearts-match", "spades-match", "whist-match", "euchre-match")
WITHOUT = {**{name: [True] for name in MATCHES}, "gin.py:Gin": [True, False, False]}


def planted(game: Game, games: int) -> tuple[Tree, Tree, Tensor]:
    """Two trees alike of games at all stages, and an action of each."""
    state = mixed_positions(game, games)
    trees = []
    for _ in range(2):
        tree = Tree.allocate(game, state, 1, torch.float64)
        tree.open[:games] = True
        for tensor in (*tree.state.tensors().values(), tree.value):
            tensor[games:] = 0
        trees.append(tree)
    return *trees, game.legal_actions(state)[:, 0]


def assert_equal_trees(mine: Tree, theirs: Tree) -> None:
    assert mine.state == theirs.state
    for name in ("actions", "mover", "value", "own_value", "open"):
        assert torch.equal(getattr(mine, name), getattr(theirs, name)), name
    assert mine.prior.allclose(theirs.prior, rtol=1e-14, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("named", EVERY, ids=str)
def test_every_game_has_the_same_leaves(named: Named, tmp_path: Path, caplog) -> None:
    assert_same_leaves(named.make(tmp_path), 40)
    assert [" moves" in line for line in told(caplog)] == WITHOUT.get(named.game, [])


@pytest.mark.parametrize("players", [2])
def test_leaves_are_the_same(players: int, caplog) -> None:
    assert_same_leaves(Blob(cards=2, players=players), 150)
    assert not told(caplog)


def assert_same_leaves(game: Game, games: int) -> None:
    """Leaves grown and settled by the game's kernels, as far as there are some, and by tensors."""
    mine, theirs, action = planted(game, games)
    parent, rows = torch.arange(games).flip(0), slice(games, 2 * games)
    new, action = torch.arange(games) % 5 > 0, action.flip(0)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(games, game.num_actions, generator=random, dtype=torch.float64)
    values = torch.rand(games, game.seats, generator=random, dtype=torch.float64)
    with carrying_all():
        leaves = grow(game, theirs, rows, new, parent, action)
        settle(game, theirs, leaves, logits, values)
    if growth := parts.part(game, mine, "moves"):
        found = growth(game, mine, rows, new, parent, action)
    else:
        with carrying_all():
            found = grow(game, mine, rows, new, parent, action)
    assert torch.equal(found.alive, leaves.alive) and found.state == leaves.state
    assert torch.equal(found.exact, leaves.exact)
    if observation := parts.part(game, mine, "features"):
        assert torch.equal(observation(game, found.state), game.observe(leaves.state))
    settled(game, mine, found, logits, values)
    assert_equal_trees(mine, theirs)


def test_a_kernel_observes_fields_that_a_step_left_in_another_order() -> None:
    game = Blob(cards=2, players=2)
    state = mixed_positions(game, 6)
    turned = state.map(lambda tensor: tensor.t().contiguous().t() if tensor.ndim == 2 else tensor)
    assert not turned.hands.is_contiguous()
    observed = parts.Observation.of(game, torch.float32)(game, turned)
    assert torch.equal(observed, game.observe(state))


def settled(game: Game, tree: Tree, leaves: Leaves, logits: Tensor, values: Tensor) -> None:
    with carrying_all():
        (parts.part(game, tree, "leaves' judgement") or settle)(game, tree, leaves, logits, values)


def test_searches_are_the_same(monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    game, before = Blob(cards=2, players=2), WAYS.copy()
    config = SearchConfig(worlds=2, simulations=5, noise_fraction=0.25)
    network = linear_network(game.seats, features=game.features)
    state = mixed_positions(game, 6)
    mine = search(game, state, network, config, seed=2)
    kernels.DEVICES.clear()
    theirs = search(game, state, network, config, seed=2)
    assert_same(mine, theirs, atol=1e-12)
    assert WAYS - before == Counter(kernels=1, eager=1)


def test_a_game_that_cannot_be_followed_goes_on_and_one_line_says_so(monkeypatch, caplog) -> None:
    class Peeking(Blob):
        def play_forced(self, state):
            return super().play_forced(state) if bool((state.made >= 0).all()) else state

    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    game, config = Peeking(cards=2, players=2), SearchConfig(worlds=1, simulations=2)
    network = linear_network(game.seats, features=game.features)
    found = [search(game, mixed_batch(Blob(cards=2, players=2), 4, 1), network, config) for _ in range(2)]
    assert_same(*found)
    assert told(caplog) == [
        "searches of blob go on without a kernel for its moves: they are other operations for other numbers"
    ]

"""Simulations compiled by torch's inductor: two graphs around the network's call, each a handful of fused kernels.

The *walk* is a descent, the moves up to the next choice and the leaf's features; *settling* writes the network's
judgement and backs it up. They are `vecmcts.simulation`'s own functions, traced once for tensors of given shapes with
all lanes carried along (`vecgame.lanes`). The number of the node is a tensor, so one pair of graphs serves all
simulations of a search, and every later search of as many trees.

Plain inductor, no CUDA graphs: those that torch captures by itself (mode "reduce-overhead") leave out graphs that
change their arguments in place, as these change a tree, unless the arguments lie at the same address in every call; a
search's trees do not. Nothing here waits for the device, so `vecmcts.graphs` records whole searches, these in them.

Inductor writes a sum over fewer than eight slots as a chain of terms, after which it can fuse a whole descent, all
depths of it, into one Triton kernel: 2,950 lines, six minutes to compile for an H200. Sums that stay sums keep the
depths apart: 837 lines, 15 s for each of the four forms that inductor tries. With at most 16 operations in a kernel
there are 50 kernels instead of 41, and the longest takes 5 s in all its forms. What has been compiled is also kept on
disk for later processes, in inductor's own cache (`TORCHINDUCTOR_CACHE_DIR`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch._guards import TracingContext, detect_fake_mode, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from vecgame.game import Game
from vecgame.lanes import compacts
from vecgame.memory import available_memory
from vecgame.state import State, concatenate
from vecmcts.config import SearchConfig
from vecmcts.evaluators import Evaluator, NetworkEvaluator, to_absolute
from vecmcts.kept import Kept
from vecmcts.root import Choose
from vecmcts.simulation import Descent, Leaves, back_up, descend, grow, settle
from vecmcts.tree import Tree

log = logging.getLogger("vecgame.fallback")

T = TypeVar("T")
Function = Callable[..., list[Tensor]]
"""Tensors -> tensors; may change its arguments in place."""

INDUCTOR = {  # settings for compiling within seconds, see above
    "unroll_reductions_threshold": 1,
    "max_fusion_size": 16,  # operations of a kernel
}
PAIR_BYTES = 32 << 20  # of the host's memory that a pair of graphs takes, about (14 MiB with 1 card, measured)
MEMORY_SHARE = 0.25  # of the host's available memory that they may take
_failed: set[str] = set()  # types of device for which nothing can be compiled here


def no_pairs() -> Kept[Simulator]:
    """Room for the pairs of graphs of a process, the least recently used dropped first."""
    pairs: Kept[Simulator] = Kept(lambda: int(MEMORY_SHARE * (pairs.bytes + (available_memory() or 0))))
    return pairs


PAIRS = no_pairs()


def usable(evaluator: Evaluator, state: State) -> bool:
    """Whether a search may be compiled: by a network, where all lanes are carried along, with a working compiler."""
    device = state.device
    return (
        isinstance(evaluator, NetworkEvaluator)
        and state.batch_size > 0
        and not compacts(device)
        and device.type not in _failed
    )


def simulator(game: Game, tree: Tree, evaluator: NetworkEvaluator, config: SearchConfig) -> Simulator:
    """Compiled simulations for trees of this shape: those kept from an earlier search, or new ones."""
    shape = (tree.trees, tree.nodes, tree.value.dtype, tree.open.device)
    key = (game, *shape, config.c_puct, config.root_selection, evaluator.needs_mask)
    pair = PAIRS.get(key)
    if pair is None:
        pair = Simulator(game, tree, config, evaluator.needs_mask)
        PAIRS.put(key, pair, PAIR_BYTES)
    return pair


class Simulator:
    """Simulations of trees of one shape as two graphs, each compiled when it is first called.

    Args:
        game: the rules.
        tree: trees of that shape; they are not kept.
        config: its ``c_puct`` and ``root_selection`` count.
        needs_mask: whether the network is given legal masks.
    """

    def __init__(self, game: Game, tree: Tree, config: SearchConfig, needs_mask: bool) -> None:
        self.game, self.config, self.needs_mask = game, config, needs_mask
        self.depth = min(tree.nodes - 1, game.decisions)
        self.graphs: dict[str, Function] = {}

    def run(
        self,
        tree: Tree,
        nodes: Sequence[int],
        evaluator: NetworkEvaluator,
        leaf_sum: Tensor,
        evaluations: Tensor,
        choose: Choose,
    ) -> None:
        """The simulations whose leaves are ``nodes``, judged together, in every tree.

        Args:
            tree: changed in place.
            leaf_sum: [T, seats], the leaves' values are added to it.
            evaluations: [] int64, the number of positions judged is added to it.
            choose: the root's slots; what it does is not part of a graph.
        """
        walks = [self._walk(tree, node, choose(tree, node)) for node in nodes]
        observations, masks, descents, leaves = zip(*walks, strict=True)
        state, mask = _joined(leaves), torch.cat(masks) if self.needs_mask else None
        logits, values = evaluator.judge(self.game, state, torch.cat(observations), mask)
        answers = zip(logits.chunk(len(nodes)), values.chunk(len(nodes)), strict=True)
        for descent, leaf, answer in zip(descents, leaves, answers, strict=True):
            self._settle(tree, descent, leaf, *answer, leaf_sum, evaluations)

    def _walk(self, tree: Tree, node: int, root_slot: Tensor | None) -> tuple[Tensor, Tensor | None, Descent, Leaves]:
        """A descent in every tree: features [T, F] and mask of the leaves, the descent, the leaves."""
        number = torch.full((), node, dtype=torch.int64, device=tree.open.device)
        given = [] if root_slot is None else [root_slot]

        def walk(*tensors: Tensor) -> list[Tensor]:
            parts, (number, *given) = _cut(tensors, [len(_tensors(tree))])
            trees = _rebuilt(tree, parts)
            descent = descend(self.game, trees, number, self.depth, self.config, *given)
            leaves = grow(self.game, trees, trees.rows(number), descent.new, descent.parent, descent.action)
            mask = [self.game.policy_mask(leaves.state)] if self.needs_mask else []
            return [*_tensors(descent), *_tensors(leaves), self.game.observe(leaves.state), *mask]

        outputs = self._call("walk", walk, [*_tensors(tree), number, *given])
        count = len(fields(Descent))
        descent = Descent(*outputs[:count])
        rows, *state, alive, exact = outputs[count : -2 if self.needs_mask else -1]
        leaves = Leaves(rows, _rebuilt(tree.state, state), alive, exact)
        return outputs[-2 if self.needs_mask else -1], outputs[-1] if self.needs_mask else None, descent, leaves

    def _settle(
        self,
        tree: Tree,
        descent: Descent,
        leaves: Leaves,
        logits: Tensor,
        values: Tensor,
        leaf_sum: Tensor,
        evaluations: Tensor,
    ) -> None:
        """Writes the network's answer, values [T, seats] by relative seat, and backs it up."""
        parts = (tree, descent, leaves)
        sizes = [len(_tensors(part)) for part in parts]

        def finish(*tensors: Tensor) -> list[Tensor]:
            *pieces, (logits, values, leaf_sum, evaluations) = _cut(tensors, sizes)
            trees, descent, leaves = (_rebuilt(part, piece) for part, piece in zip(parts, pieces, strict=True))
            settle(self.game, trees, leaves, logits, to_absolute(values, self.game.mover(leaves.state)))
            back_up(trees, descent, leaf_sum)
            evaluations += leaves.alive.sum()
            return []

        tensors = [tensor for part in parts for tensor in _tensors(part)]
        # The graph is made for one type and layout of the network's answer.
        answer = [tensor.detach().to(tree.value.dtype).contiguous() for tensor in (logits, values)]
        self._call("settle", finish, [*tensors, *answer, leaf_sum, evaluations])

    def _call(self, name: str, function: Function, tensors: list[Tensor]) -> list[Tensor]:
        """The function's graph on the tensors, or the function itself where it cannot be compiled."""
        if name not in self.graphs:
            self.graphs[name] = _compiled(function, tensors)
        graph = self.graphs[name]
        return function(*tensors) if graph is None else graph(*tensors)


def _compiled(function: Function, tensors: list[Tensor]) -> Function | None:
    """The function for tensors of these shapes as a graph; None, and a line in the log, where there is no compiler.

    Traced with tensors without data, which leaves the arguments alone, then handed to inductor without TorchDynamo,
    whose guards would be checked at every call and which keeps eight shapes of a function only. Inductor looks a graph
    up on disk only where its tensors' shapes could have been symbols, hence the (unused) environment for them.
    """
    device = tensors[0].device
    if device.type in _failed:
        return None
    mode = detect_fake_mode(tensors) or FakeTensorMode(
        shape_env=ShapeEnv(), static_shapes=True, allow_non_fake_inputs=True
    )
    try:
        with torch.no_grad(), torch._inductor.config.patch(INDUCTOR):
            fakes = [mode.from_tensor(tensor, static_shapes=True) for tensor in tensors]
            graph = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*fakes)
            with tracing(TracingContext(mode)):
                return torch._inductor.compile(graph, fakes)
    except torch.OutOfMemoryError:
        raise  # the caller tries a smaller batch
    except Exception as error:  # whatever a missing compiler makes of itself
        _failed.add(device.type)
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        log.warning("searches on %s go on uncompiled: %s", device.type, reason)
        return None


def _tensors(part: object) -> list[Tensor]:
    """The tensors of a dataclass of tensors and such dataclasses, in the order of its fields."""
    found = []
    for field in fields(part):
        value = getattr(part, field.name)
        found += [value] if isinstance(value, Tensor) else _tensors(value) if is_dataclass(value) else []
    return found


def _rebuilt(part: T, tensors: Sequence[Tensor]) -> T:
    """The dataclass with other tensors in the places of `_tensors`."""
    rest = list(tensors)

    def rebuild(old: object) -> object:
        changes = {}
        for field in fields(old):
            value = getattr(old, field.name)
            if isinstance(value, Tensor):
                changes[field.name] = rest.pop(0)
            elif is_dataclass(value):
                changes[field.name] = rebuild(value)
        return replace(old, **changes)

    return rebuild(part)


def _cut(tensors: Sequence[Tensor], sizes: list[int]) -> list[Sequence[Tensor]]:
    """Pieces of these sizes, and what is left."""
    pieces = []
    for size in sizes:
        pieces.append(tensors[:size])
        tensors = tensors[size:]
    return [*pieces, tensors]


def _joined(leaves: Sequence[Leaves]) -> State:
    return leaves[0].state if len(leaves) == 1 else concatenate([leaf.state for leaf in leaves])

"""A descent in every tree and the way back up, as a kernel each: `descend` and `back_up` of `vecmcts.simulation`.

Some trees share a program, in which a tree's slots lie side by side. The walk goes on until all of the program's trees
have ended theirs. No two trees share memory, and no walk meets a node twice, so nothing is added atomically, and what
is read was written by another kernel.

Visits, children and paths are those of the functions of tensors bit for bit, and so are values and bounds in float32
and float64: divisions and roots are rounded as IEEE 754 has it, which Triton's own are not. Values that are no numbers,
of which torch takes the first for the largest, are here never chosen before others; no lane reaches into another.
"""

# No `from __future__ import annotations`: Triton reads the annotations of kernels, as objects.
from dataclasses import dataclass, fields, replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from vecgame.game import Game
from vecmcts.config import SearchConfig
from vecmcts.kernels.launching import on
from vecmcts.simulation import End
from vecmcts.tree import Tree

PROGRAM_SLOTS = 512  # of all trees of a program together: 4 for each of 128 threads
PROGRAM_TREES = 128  # in a program of a kernel that has a thread for each tree
WARPS = 4
NUMBERS = ["node", "trees", "depth"]  # parameters of which Triton is not to make constants


@dataclass(frozen=True)
class Walk(End):
    """One walk from the root in each of the T trees: the edges that it took, level by level, and where it ended."""

    edge: Tensor  # [depth, T] int64, row * A + slot; not set from a tree's own length on
    length: Tensor  # [T] int32, edges taken


def build(tree: Tree) -> None:
    """Builds the kernels for trees of this kind. Raises whatever Triton does where it cannot."""
    rows = {field.name: getattr(tree, field.name) for field in fields(tree) if field.name not in ("state", "nodes")}
    none = replace(tree, **{name: tensor[:0] for name, tensor in rows.items()})
    back_up(none, _walk(none, 1, 1, 1.0, None), tree.value[:0])


def descend(
    game: Game,
    tree: Tree,
    node: int,
    depth: int,
    config: SearchConfig,
    root_slot: Tensor | None = None,
) -> Walk:
    """`vecmcts.simulation.descend`, with the same arguments."""
    return _walk(tree, node, depth, config.c_puct, root_slot)


def _walk(tree: Tree, node: int, depth: int, c_puct: float, root_slot: Tensor | None) -> Walk:
    trees, width = tree.trees, triton.next_power_of_2(tree.slots)
    block = max(1, PROGRAM_SLOTS // width)
    new = tree.mover.new_empty
    walk = Walk(
        leaf=new(trees),
        new=tree.open.new_empty(trees),
        parent=new(trees),
        action=new(trees),
        edge=new(depth, trees),
        length=new(trees, dtype=torch.int32),
    )
    with on(tree.open.device):
        descend_kernel[(triton.cdiv(trees, block),)](
            tree.prior,
            tree.visits,
            tree.value_sum,
            tree.own_value,
            tree.child,
            tree.open,
            tree.actions,
            tree.mover if root_slot is None else root_slot.contiguous(),
            walk.leaf,
            walk.new,
            walk.parent,
            walk.action,
            walk.edge,
            walk.length,
            node,
            trees,
            depth,
            C_PUCT=c_puct,
            SLOTS=tree.slots,
            WIDTH=width,
            ROOT_GIVEN=root_slot is not None,
            BLOCK=block,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )
    return walk


def back_up(tree: Tree, walk: Walk, leaf_sum: Tensor) -> None:
    """`vecmcts.simulation.back_up` of a walk that `descend` made."""
    trees, seats = tree.trees, tree.value.shape[1]
    with on(tree.open.device):
        back_up_kernel[(triton.cdiv(trees, PROGRAM_TREES),)](
            tree.value,
            tree.mover,
            tree.value_sum,
            leaf_sum,
            walk.leaf,
            walk.edge,
            walk.length,
            trees,
            SLOTS=tree.slots,
            SEATS=seats,
            WIDTH=triton.next_power_of_2(seats),
            BLOCK=PROGRAM_TREES,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )


@triton.jit
def quotient(a, b):
    """a / b, rounded to nearest."""
    return tl.div_rn(a, b) if a.dtype == tl.float32 else a / b


@triton.jit
def root(a):
    """The square root, rounded to nearest."""
    return tl.sqrt_rn(a) if a.dtype == tl.float32 else tl.sqrt(a)


@triton.jit
def best_slot(prior, visits, value_sum, own_value, C_PUCT: tl.constexpr):  # noqa: N803
    """`vecmcts.selection.puct`'s first best slot: [BLOCK] int64 of [BLOCK, WIDTH] and own_value [BLOCK]; beyond the
    slots that there are the prior is -inf."""
    total = tl.sum(visits, axis=1)
    q = quotient(value_sum + tl.where(visits == 0, own_value[:, None], 0.0), tl.maximum(visits, 1.0))
    bound = q + quotient(C_PUCT * prior * root(1.0 + total)[:, None], 1.0 + visits)
    bound = tl.where(bound == bound, bound, float("-inf"))  # or one that is no number might be beyond the slots
    return tl.argmax(bound, axis=1, tie_break_left=True).to(tl.int64)


@triton.jit(do_not_specialize=NUMBERS)
def descend_kernel(
    prior,  # [N * T, SLOTS], and so on, as in `Tree`
    visits,
    value_sum,
    own_value,
    child,
    opened,
    actions,
    root_slot,  # [T] int64 if ROOT_GIVEN
    leaf_out,  # [T], and so on, as in `Walk`
    new_out,
    parent_out,
    action_out,
    edge_out,
    length_out,
    node,
    trees,
    depth,
    C_PUCT: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    ROOT_GIVEN: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """A walk in each of the program's BLOCK trees."""
    tree = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    inside = tree < trees
    slot = tl.arange(0, WIDTH)
    new_row = tree + tl.cast(node, tl.int64) * trees
    row, leaf, last_edge = tree, tree, tree * SLOTS
    started = tl.load(opened + row, mask=inside, other=0).to(tl.int1)
    going, grown = started, started & False
    length = tl.zeros([BLOCK], tl.int32)
    level = tl.zeros([BLOCK], tl.int32)
    while tl.max((going & (level < depth)).to(tl.int32), axis=0) > 0:
        here = going[:, None] & (slot < SLOTS)[None, :]
        at = row[:, None] * SLOTS + slot[None, :]
        n = tl.load(visits + at, mask=here, other=0.0)
        chosen = best_slot(
            tl.load(prior + at, mask=here, other=float("-inf")),
            n,
            tl.load(value_sum + at, mask=here, other=0.0),
            tl.load(own_value + row, mask=going, other=0.0),
            C_PUCT,
        )
        if ROOT_GIVEN:
            given = tl.load(root_slot + tree, mask=inside, other=0)
            chosen = tl.where(level == 0, given, chosen)
        edge = row * SLOTS + chosen
        tl.store(edge_out + level.to(tl.int64) * trees + tree, edge, mask=going)
        tl.store(visits + at, n + 1.0, mask=here & (slot[None, :] == chosen[:, None]))
        below = tl.load(child + edge, mask=going, other=0)
        grows = going & (below == -1)
        below = tl.where(grows, new_row, below)
        last_edge = tl.where(going, edge, last_edge)
        leaf = tl.where(going, below, leaf)
        grown = grown | grows
        length += going.to(tl.int32)
        going = going & (below != new_row)
        going = going & tl.load(opened + below, mask=going, other=0).to(tl.int1)
        row = tl.where(going, below, row)
        level += 1
    tl.store(child + last_edge, leaf, mask=inside & grown)
    tl.store(leaf_out + tree, leaf, mask=inside)
    tl.store(new_out + tree, leaf == new_row, mask=inside)
    tl.store(parent_out + tree, last_edge // SLOTS, mask=inside)
    tl.store(action_out + tree, tl.load(actions + last_edge, mask=inside, other=0).to(tl.int64), mask=inside)
    tl.store(length_out + tree, length, mask=inside)


@triton.jit(do_not_specialize=["trees"])
def back_up_kernel(
    value,  # [N * T, SEATS], and so on, as in `Tree`
    mover,
    value_sum,
    leaf_sum,  # [T, SEATS]
    leaf,  # [T], and so on, as in `Walk`
    edge,
    length,
    trees,
    SLOTS: tl.constexpr,  # noqa: N803
    SEATS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Adds the leaf's values of each of the program's BLOCK trees to its sums."""
    tree = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    inside = tree < trees
    seat = tl.arange(0, WIDTH)
    seated = inside[:, None] & (seat < SEATS)[None, :]
    end = tl.load(leaf + tree, mask=inside, other=0)
    mine = tree[:, None] * SEATS + seat[None, :]
    worth = tl.load(value + end[:, None] * SEATS + seat[None, :], mask=seated, other=0.0)
    tl.store(leaf_sum + mine, tl.load(leaf_sum + mine, mask=seated, other=0.0) + worth, mask=seated)
    taken = tl.load(length + tree, mask=inside, other=0)
    level = tl.zeros([BLOCK], tl.int32)
    while tl.max(taken - level, axis=0) > 0:
        going = level < taken
        at = tl.load(edge + level.to(tl.int64) * trees + tree, mask=going, other=0)
        who = tl.load(mover + at // SLOTS, mask=going, other=0)
        own = tl.load(value + end * SEATS + who, mask=going, other=0.0)
        tl.store(value_sum + at, tl.load(value_sum + at, mask=going, other=0.0) + own, mask=going)
        level += 1

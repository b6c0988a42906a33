"""Dealing items into bins of places, every possible way with the same probability.

Places are told apart, so that every deal comes from equally many ways to fill them. With m_a places left in bin a, the
ways to place the items i, i+1, .. are

    N_i(m) = sum of m_a N_{i+1}(m - e_a) over the bins a that may take item i,    N_end = 1,

and an item goes to bin a with probability m_a N_{i+1}(m - e_a) / N_i(m): no deal is rejected. Items that every bin may
take go anywhere in equally many ways, whatever was done before. So they come last, and N_end stands for them.

The places left in all bins together are known at every item: the axis with the most places follows from the others and
takes no room. Counts are float64, exact below 2**53 and within a relative 1e-14 of exact above. They are added up in
the order of the axes, whichever takes no room, so that what one game draws does not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor


def deal_items(
    places: Tensor,
    takes: Tensor,
    counted: Tensor,
    axis: Tensor,
    sides: Sequence[int],
    uniform: Tensor,
    workspace: Tensor,
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Deals I items into n bins, item after item; those after the first N may go anywhere.

    Args:
        places: [n, B] int64, places in each bin.
        takes: [N, n, B] bool, the bin may take the item; none of them where the item is not the lane's.
        counted: [N, A, B] bool, the same of the bins that each axis counts together.
        axis: [A, n, B or 1] bool, which those are.
        sides, workspace: see `completions`.
        uniform: [I, W, B] float64 in [0, 1).

    Yields:
        For each item [n, W, B] int64, 1 for the bin that takes it, 0 for all if the lane has no such item; and how it
        was drawn: [W, B] float64, the draw; [n + 1, W, B], the bounds between the bins; [n, W, B], the ways for each
        of the bin's places. After the first N items the last bin, which gets what is left, is left out.
    """
    left = places.double()[:, None].repeat(1, uniform.shape[1], 1)  # [n, W, B]
    bounds = torch.zeros(len(left) + 1, *left.shape[1:], dtype=left.dtype, device=left.device)
    if len(takes):
        table, steps = completions(counted, places.sum(0), sides, workspace)
        step = sum(size * counts for size, counts in zip(steps, axis, strict=True))[:, None]  # [n, 1, B or 1]
        here = (places[:, None] * step).sum(0) + torch.arange(places.shape[1], device=left.device)  # N_i(m): [1, B]
        weight = takes.double()[:, :, None]
    for i, number in enumerate(uniform[: len(takes)]):
        # A bin that has no place left may lead to another bin's entry, or another game's. It counts 0 times.
        reached = (here - step).clamp_(min=0)
        each = table[i + 1].view(-1).index_select(0, reached.view(-1)).view(reached.shape).mul_(weight[i])
        torch.cumsum(left * each, 0, out=bounds[1:])
        draw = number * bounds[-1]
        taken = _filled(draw, bounds, left)
        yield taken, draw, bounds, each
        here = here - (taken * step).sum(0)
    remaining, left, bounds = left.sum(0), left[:-1], bounds[:-1]
    for i, number in enumerate(uniform[len(takes) :]):
        torch.cumsum(left, 0, out=bounds[1:])
        draw = number * (remaining - i)
        yield _filled(draw, bounds, left), draw, bounds, left


def _filled(draw: Tensor, bounds: Tensor, left: Tensor) -> Tensor:
    """The bin whose interval ``draw`` [W, B] is in: [n, W, B] int64, 1 for that one, else 0. It then has a place less
    in ``left`` [n, W, B]. In float64, as comparisons that give bool take twice as long on a CPU."""
    below = torch.lt(draw, bounds, out=torch.empty_like(bounds))
    taken = below[1:] - below[:-1]
    left -= taken
    return taken.long()


def table_size(items: int, sides: Sequence[int]) -> int:
    """Entries of a game's tables for so many items, see `completions`."""
    return (items + 1) * prod(sides) // max(sides)


def completions(counted: Tensor, places: Tensor, sides: Sequence[int], workspace: Tensor) -> tuple[Tensor, list[int]]:
    """The tables N_i of the module's docstring.

    Args:
        counted: [N, A, B] bool, the bins of the axis may take the item.
        places: [B] int64, in all bins together.
        sides: A, one more than the most places in the bins of each axis in the batch.
        workspace: [at least table_size(N, sides) * B] float64, overwritten.

    Returns:
        [N + 1, *sides, B] float64 in the workspace, but the longest side is 1. The batch comes last: the shifts then
        run over long rows. And for each axis how far apart in a table the entries for one place more and less are.
    """
    items, _, lanes = counted.shape
    implied = sides.index(max(sides))
    axes = [side if k != implied else 1 for k, side in enumerate(sides)]
    steps = [lanes * prod(axes[k + 1 :]) if k != implied else 0 for k in range(len(axes))]
    table = workspace[: (items + 1) * prod(axes) * lanes].view(items + 1, *axes, lanes)
    table[items].fill_(1)
    dealt, taken = (torch.arange(n, device=counted.device) for n in (items, sum(axes) - len(axes) + 1))
    left = places - dealt[:, None, None] - taken[:, None]  # of the bin without an axis, by those of all others together
    left = torch.where(counted.any(1)[:, None], left.clamp(min=0) * counted[:, implied, None], 1).double()
    terms = {implied: left.as_strided((items, *axes, lanes), (len(taken) * lanes, *[lanes] * len(axes), 1))}
    for k, side in enumerate(axes):
        if side > 1:
            weight = counted[:, k, None] * torch.arange(1, side, device=counted.device)[:, None]
            terms[k] = weight.double().view(items, side - 1, *[1] * (len(axes) - 1 - k), lanes)
    for i in reversed(range(items)):
        after, now = table[i + 1], table[i]
        for number, k in enumerate(sorted(terms)):  # in the same order whichever bin has no axis
            less = int(k != implied)
            source, target = after.narrow(k, 0, axes[k] - less), now.narrow(k, less, axes[k] - less)
            if number:
                target.addcmul_(source, terms[k][i])
            else:
                now.narrow(k, 0, less).zero_()
                torch.mul(source, terms[k][i], out=target)
    return table, steps

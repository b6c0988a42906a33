"""The network's inference form in the arithmetic that a setting names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from net import BlobNet, Float8Net, InferenceNet, Int8Net, default_inference_dtype, float8_products, int8_available
from vecgame import Game, Purpose, Stream
from veclab.shares import even_shares
from vecmcts import random_action

PRECISIONS = ("auto", "float32", "bfloat16", "float8", "int8")
CALIBRATION_POSITIONS = 1024
MOST_PLAYED = 1 << 16  # games for these


def inference_net(net: BlobNet, precision: str, games: Sequence[Game], compile: bool = False) -> InferenceNet:
    """A snapshot of the network on its own device.

    Args:
        precision: one of `PRECISIONS`; "auto" is `net.default_inference_dtype`.
        games: whose positions it will judge.
        compile: on a GPU, by `torch.compile` rather than by one kernel of our own (see `InferenceNet`). A CPU has
            oneDNN's fused kernels and gains nothing.

    Raises:
        ValueError: as `check_precision`.
    """
    check_precision(precision, net.position.device)
    return form_of(net, precision, games, compile and net.position.device.type == "cuda")


def form_of(net: BlobNet, precision: str, games: Sequence[Game], compile: bool = False) -> InferenceNet:
    """As `inference_net`, in whatever this device can compute, however slowly: float8 on a CPU too."""
    if precision == "int8":
        return Int8Net(net, positions(games, CALIBRATION_POSITIONS))
    if precision == "float8":
        return Float8Net(net, positions(games, CALIBRATION_POSITIONS), compile=compile)
    return InferenceNet(net, None if precision == "auto" else getattr(torch, precision), compile=compile)


def check_precision(precision: str, device: torch.device) -> None:
    """Raises ValueError in one line on an unknown precision, or one that cannot be computed there."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    goes_on = f"(a run that has {precision} goes on there with --precision auto)"
    if precision == "int8" and device.type != "cpu":
        raise ValueError(
            f"precision int8 is for CPUs, not for {device}; auto is bfloat16 on a GPU that has it {goes_on}"
        )
    if precision == "int8" and not int8_available():
        raise ValueError(
            f"precision int8 needs a CPU with VNNI and bfloat16 instructions; auto is the best one here {goes_on}"
        )
    if precision == "float8" and not (device.type == "cuda" and float8_products(device)):
        raise ValueError(
            f"precision float8 needs an NVIDIA GPU from Ada or Hopper on, not {device}; auto is the best here {goes_on}"
        )


def is_emulated(precision: str, device: torch.device) -> bool:
    """Whether the device has no instructions for such products, which may take a hundred times as long for it:
    bfloat16 on many processors."""
    return precision == "bfloat16" and default_inference_dtype(device) != torch.bfloat16


def check_ways(compile: bool, graphs: bool, device: torch.device) -> None:
    """Raises ValueError in one line where what is asked for is for GPUs only: a compiled network and learner, or
    searches and learning without graphs."""
    asked = [("--compile", "--no-compile")] * compile + [("--no-graphs", "--graphs")] * (not graphs)
    if device.type != "cuda" and asked:
        flag, without = asked[0]
        raise ValueError(
            f"{flag} is for GPUs; leave it out on {device}, where it would change nothing (a run that has it goes on "
            f"there with {without})"
        )


def positions(games: Sequence[Game], count: int) -> Tensor:
    """Positions of random play, from all decisions of all the games alike: [count, F] float32, the same every time."""
    parts = []
    for game, share in zip(games, even_shares(count, len(games)), strict=True):
        first, number = 0, -(-max(share, 1) // game.decisions)
        found = [_seen_at_random(game, first, number)]
        while sum(map(len, found)) < share and first < MOST_PLAYED:  # where games end before they have to, more of them
            first, number = first + number, 2 * number
            found.append(_seen_at_random(game, first, number))
        parts.append(torch.cat(found)[:share])
    return torch.cat(parts)


def _seen_at_random(game: Game, first: int, count: int) -> Tensor:
    """All positions of so many games of random play, one game after the other: [N, F] float32."""
    state, seen, going = game.deal(count, first_index=first), [], []
    for _ in range(game.decisions):
        going.append(~game.is_terminal(state))
        if not going[-1].any():
            break
        seen.append(game.observe(state))
        uniform = Stream(0, state.index, game.turn(state)).uniform(Purpose.ACTION, 1)[:, 0]
        state = game.step(state, random_action(game, state, uniform))
    return torch.stack(seen, 1)[torch.stack(going[: len(seen)], 1)]

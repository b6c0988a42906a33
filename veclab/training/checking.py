"""Whether a checkpoint is what a run with these settings would have saved: names, shapes, types, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from veclab import typed
from veclab.agents.checkpoint import check_tensors
from veclab.training.learner import Learner
from veclab.training.replay import ReplayBuffer
from veclab.training.schedule import Schedule

REPLAY = "replay."  # how the names of the buffer's tensors begin
SUM_ERROR = 0.01  # of a target policy's float16 probabilities, at most: far more than their rounding


def _nothing_or(check: typed.Check) -> typed.Check:
    return lambda value, name: None if value is None else check(value, name)


_SCHEDULE = typed.record(dict.fromkeys(asdict(Schedule()), typed.number))
_COUNTERS = typed.record(
    {
        "updates": typed.count,
        "iteration": typed.count,
        "pending": _nothing_or(typed.record({"examples": typed.count})),
        "gate": typed.record({"judged": typed.count, "figures": typed.named(typed.anything)}),
    },
    {
        "device": typed.text,
        "chunks": typed.listed(typed.count),
        "settings": typed.named(typed.anything),
        "rates": typed.named(_SCHEDULE),
        "imitation": typed.record({"games": typed.count, "teachers": typed.text}),
    },
)


def check_counters(counters: Mapping[str, object], card_counts: int, imitated_games: int) -> None:
    """Raises ValueError, in one line, unless these are the plain values of a checkpoint of a run that mixes so many
    card counts and imitates so many games."""
    _COUNTERS(counters, "its metadata")
    if others := typed.unknown(counters.get("rates", {}), ("updates", "iterations")):
        raise ValueError(f"its metadata.rates are of {others}")
    chunks = counters.get("chunks", [1] * card_counts)
    if len(chunks) != card_counts or 0 in chunks:
        raise ValueError(f"its metadata.chunks must be {card_counts} numbers of games, got {chunks}")
    if told := counters.get("imitation"):
        if told["games"] > imitated_games:
            raise ValueError(f"its metadata.imitation.games must be at most {imitated_games}, got {told['games']}")
        if counters["updates"] or counters["iteration"]:
            raise ValueError("its metadata.imitation is there, although the run's own games have begun")


def check_state(
    tensors: Mapping[str, Tensor], learner: Learner, buffer: ReplayBuffer, others: dict[str, Tensor]
) -> None:
    """Raises ValueError, in one line, unless the tensors of a checkpoint fit a fresh run's.

    Args:
        others: tensors beside the learner's and the buffer's, of the shapes that they should have.
    """
    optimiser = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer.")}
    replay = {name.removeprefix(REPLAY): tensor for name, tensor in tensors.items() if name.startswith(REPLAY)}
    steps = {name: tensor for name, tensor in tensors.items() if name == "steps"}  # earlier versions had none
    plain = {n: t for n, t in tensors.items() if n not in optimiser and n not in steps and not n.startswith(REPLAY)}
    fresh = {n: t for n, t in learner.state_dict().items() if n != "steps"} | others
    check_tensors(plain, {name: tuple(tensor.shape) for name, tensor in fresh.items()})
    check_tensors(optimiser, _optimiser_shapes(optimiser, learner))
    check_tensors(steps, dict.fromkeys(steps, ()), (torch.int64,))
    if any(int(tensor) < 0 for tensor in steps.values()):
        raise ValueError(f"steps must be at least 0, got {int(tensors['steps'])}")
    _check_replay(replay, buffer)


def _optimiser_shapes(optimiser: Mapping[str, Tensor], learner: Learner) -> dict[str, tuple[int, ...]]:
    """What AdamW keeps of the parameters that it has taken a step of."""
    stepped = {name.split(".")[1] for name in optimiser}
    shapes: dict[str, tuple[int, ...]] = {}
    for index, parameter in enumerate(learner.net.parameters()):
        if str(index) in stepped:
            own = tuple(parameter.shape)
            shapes |= {f"optimizer.{index}.{slot}": own for slot in ("exp_avg", "exp_avg_sq")}
            shapes[f"optimizer.{index}.step"] = ()
    return shapes


def _check_replay(replay: Mapping[str, Tensor], buffer: ReplayBuffer) -> None:
    """Raises ValueError unless the tensors are the filled part of the ring."""
    if "added" not in replay:
        raise ValueError(f"it lacks {REPLAY}added")
    check_tensors({"added": replay["added"]}, {"added": ()}, (torch.int64,))
    if (added := int(replay["added"])) < 0:
        raise ValueError(f"{REPLAY}added must be at least 0, got {added}")
    filled = min(added, buffer.capacity)
    fields = buffer.examples.tensors()
    if wrong := fields.keys() ^ (replay.keys() - {"added"}):
        raise ValueError(f"it {'lacks' if min(wrong) in fields else 'also has'} {REPLAY}{min(wrong)}")
    for name, room in fields.items():
        tensor, shape = replay[name], (filled, *room.shape[1:])
        check_tensors({REPLAY + name: tensor}, {REPLAY + name: shape}, (room.dtype,))
    if filled:
        legal = replay["legal"] if replay["legal"].dim() == 1 else replay["legal"].ne(0).any(-1)
        if not bool(legal.ne(0).all()):
            raise ValueError(f"{REPLAY}legal has decisions without a legal action")
        sums = replay["policy"].sum(-1, dtype=torch.float32)
        if float((sums - 1).abs().max()) > SUM_ERROR:
            raise ValueError(f"{REPLAY}policy has rows that are no probabilities: they do not add up to 1")

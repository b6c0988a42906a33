"""Ways to damage the files of a run, drawn at random; and what the program makes of a damaged one."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tests.runs import quiet
from veclab.agents.checkpoint import load_network, load_tensors, save_tensors
from veclab.agents.folder import CHECKPOINT, CONFIG, METRICS, RESULTS, read_config
from veclab.agents.networks import settings_for
from veclab.files import DIGEST, controls, sealed
from veclab.going_on import for_resume
from veclab.report.metrics import read_metrics, read_strength
from veclab.settings import Settings
from veclab.training import metrics
from veclab.training.run import Run

FILES = (CHECKPOINT, "network-000000.safetensors", "network-000002.safetensors", CONFIG, METRICS, RESULTS)
# What stands in the place of a value: of other types, out of range, nothing, dangerous for a terminal, endless.
WRONG = (None, True, -1, 10**9, 10**30, 0.5, "", "5", "\x1b[2J", "\u202e", [], [1], {}, {"a": 1}, float("nan"))
Damage = Callable[[Path, random.Random], str]
"""Damages a file and says how."""


# -- bytes ------------------------------------------------------------------------------------------------------------


def place(data: bytes, draw: random.Random) -> int:
    """A byte of a file, as often of its first and last hundreds as of all."""
    ends = {"first": range(min(len(data), 300)), "last": range(max(0, len(data) - 300), len(data))}
    return draw.choice({**ends, "any": range(len(data))}[draw.choice(("first", "last", "any", "any"))])


def flip(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    where, bit = place(data, draw), draw.randrange(8)
    data[where] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {where} flipped"


def cut(path: Path, draw: random.Random) -> str:
    data = path.read_bytes()
    where = place(data, draw)
    path.write_bytes(data[:where])
    return f"cut off at {where} of {len(data)}"


def zero(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    where, length = place(data, draw), draw.choice((1, 8, 512, 4096))
    data[where : where + length] = bytes(len(data[where : where + length]))
    path.write_bytes(data)
    return f"{length} bytes from {where} on zeroed"


def lengthen(path: Path, draw: random.Random) -> str:
    data = path.read_bytes()
    where, more = place(data, draw), draw.randbytes(draw.choice((1, 8, 1000)))
    path.write_bytes(data[:where] + more + data[where:])
    return f"{len(more)} bytes more at {where}"


def repeat(path: Path, draw: random.Random) -> str:
    data = path.read_bytes()
    where, length = place(data, draw), draw.choice((8, 300))
    path.write_bytes(data[:where] + data[where : where + length] * 2 + data[where + length :])
    return f"{length} bytes from {where} on twice"


BYTES: tuple[Damage, ...] = (flip, flip, cut, zero, lengthen, repeat)


# -- what is told, with digests that fit ------------------------------------------------------------------------------


def remade(path: Path, draw: random.Random) -> str:
    """Another tensor in a file that is otherwise as the program writes it."""
    tensors, told = load_tensors(path)
    name = draw.choice([name for name in tensors if tensors[name].dim() and tensors[name].numel() > 1])
    tensor, fractions = tensors[name], tensors[name].is_floating_point()
    ways = {
        "gone": None,
        "of another type": tensor.double() if tensor.dtype != torch.float64 else tensor.half(),
        "as integers": tensor.to(torch.int32),
        "shorter": tensor[:-1],
        "of one row": tensor[:1],
        "with one axis more": tensor[None],
        "flat": tensor.flatten() if tensor.dim() > 1 else tensor[:, None],
        **({"NaN": tensor * torch.nan, "infinite": tensor + torch.inf} if fractions else {}),
    }
    way = draw.choice([way for way, other in ways.items() if other is None or not same_tensor(other, tensor)])
    tensors[name] = ways[way]
    save_tensors(path, {n: t for n, t in tensors.items() if t is not None}, told)
    return f"{name} {way}"


def same_tensor(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and torch.equal(ours, theirs)


def mistold(path: Path, draw: random.Random) -> str:
    """Another value in the metadata of a file of tensors."""
    tensors, told = load_tensors(path)
    told, where = with_another(told, draw)
    save_tensors(path, tensors, told)
    return where


def with_another(told: object, draw: random.Random) -> tuple[object, str]:
    """The same JSON with another value at one place, and what that is."""
    places = list(places_of(told))
    steps = draw.choice(places)
    copied = json.loads(json.dumps(told))
    holder = copied
    for step in steps[:-1]:
        holder = holder[step]
    before = holder[steps[-1]]
    value = draw.choice([value for value in WRONG if type(value) is not type(before) or value != before])
    holder[steps[-1]] = value
    return copied, f"{'.'.join(map(str, steps))} is {value!r}"


def places_of(told: object, before: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The ways to every value of a JSON value."""
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for step, value in inner:
        yield (*before, step)
        yield from places_of(value, (*before, step))


def misconfigured(path: Path, draw: random.Random) -> str:
    """Another setting, by a person who has removed the digest or by one who has made a new one; or no such setting."""
    told = json.loads(path.read_text())
    del told[DIGEST]
    if draw.random() < 0.1:
        told["settings"]["itertions"], where = 5, "an unknown setting"
    else:
        told, where = with_another(told, draw)
    path.write_bytes(sealed(told) if draw.random() < 0.5 else json.dumps(told).encode())
    return where


def misjudged(path: Path, draw: random.Random) -> str:
    """Another value among the results."""
    told = json.loads(path.read_text())
    del told[DIGEST]
    told, where = with_another(told, draw)
    path.write_bytes(sealed(told))
    return where


def misreported(path: Path, draw: random.Random) -> str:
    """A line of the metrics that is another entry, or none, or gone."""
    lines = path.read_bytes().splitlines(keepends=True)
    number = draw.randrange(len(lines))
    entry = metrics.read(path)[number]
    if draw.random() < 0.2:
        gone = lines.pop(number)
        path.write_bytes(b"".join(lines))
        return f"line {number + 1} gone: {gone[:40]}"
    if draw.random() < 0.3:
        value = draw.choice(WRONG)
        line, where = json.dumps(value).encode() + b"\n", f"line {number + 1} is {value!r}"
    else:
        entry, where = with_another(entry, draw)
        line = metrics._line(entry)
    path.write_bytes(b"".join([*lines[:number], line, *lines[number + 1 :]]))
    return f"line {number + 1}: {where}"


TOLD: dict[str, tuple[Damage, ...]] = {
    CHECKPOINT: (remade, mistold),
    "network-000000.safetensors": (remade, mistold),
    "network-000002.safetensors": (remade, mistold),
    CONFIG: (misconfigured,),
    METRICS: (misreported,),
    RESULTS: (misjudged,),
}


# -- what comes of it -------------------------------------------------------------------------------------------------


def read_all(folder: Path) -> dict[str, object]:
    """All that a run's folder tells, read as going on and reporting read it, and what was said meanwhile."""
    settings = for_resume(read_config(folder), {})
    entries = read_metrics(folder)
    told = {
        "settings": settings,
        "metrics": entries,
        # As where the metrics were cut off before them, so that they are read.
        "results": read_strength(folder, [entry for entry in entries if entry["kind"] != "final evaluation"]),
    }
    return {**told, **state(folder, settings)}


def state(folder: Path, settings: Settings) -> dict[str, object]:
    """What a run that goes on has, its networks too."""
    display = quiet()
    run = Run.resume(folder, settings, display)
    run.lock.release()
    tensors, counters = run._state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    rules = []  # by which the networks were trained, as every command but going on reads it
    for number in (0, 2):
        path = folder / f"network-{number:06d}.safetensors"
        net = load_network(path, game=run.games[0])
        tensors |= {f"{number}.{name}": tensor for name, tensor in net.state_dict().items()}
        rules.append(settings_for(path, {}))
    return {"rules": rules, "tensors": tensors, "counters": counters, "said": display.console.file.getvalue()}


def alike(ours: dict[str, object], theirs: dict[str, object]) -> bool:
    """Whether two runs tell the same."""
    tensors = ours["tensors"].keys() == theirs["tensors"].keys() and all(
        same_tensor(tensor, theirs["tensors"][name]) for name, tensor in ours["tensors"].items()
    )
    return tensors and all(
        ours[name] == theirs[name] for name in ("settings", "metrics", "results", "counters", "rules")
    )


def outcome(folder: Path, whole: dict[str, object], named: str) -> str:
    """What comes of a damaged file: "a line", with which it is refused or mended, "harmless", or "silent", where other
    things are told without a word.

    Raises:
        AssertionError: if the line is none.
        Exception: whatever else the program raises, which a command would show as a traceback.
    """
    try:
        told = read_all(folder)
    except (ValueError, OSError) as error:
        line = str(error)
        assert "\n" not in line and not controls(line), line
        assert str(folder) in line or "settings" in line, line
        return "a line"
    if named in told["said"]:
        return "a line"
    return "harmless" if alike(told, whole) else "silent"

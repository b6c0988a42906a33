"""What the class of a state may say that its fields hold, see `vecgame.State.holds`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields

KINDS = ("sets", "cards", "counts", "seats", "suits", "ranks", "number")  # beside names of one's own


def said(cls: type) -> dict[str, str | tuple[str, ...]]:
    """What a state's class says that its fields hold, and those that it extends; a match's state extends two."""
    return {name: kind for one in reversed(cls.__mro__) for name, kind in vars(one).get("holds", {}).items()}


def check_kinds(cls: type) -> None:
    """Raises ValueError, in one line, where a state's class says in ``holds`` what no field can hold."""
    for name, kind in vars(cls).get("holds", {}).items():
        names = isinstance(kind, tuple | list) and kind and all(isinstance(one, str) for one in kind)
        if not names and kind not in KINDS:
            there = f"there are {', '.join(KINDS)}, and a tuple of the names that its numbers stand for"
            raise ValueError(f"holds of {cls.__name__} says that {name} holds {kind!r}; {there}")


def check_holds(cls: type, bare: Iterable[type]) -> None:
    """Raises ValueError, in one line, where ``holds`` of a state's class, or of one that it extends, names what is no
    field of it. The ``bare`` states that games extend name some that a game may leave out."""
    known = [field.name for field in fields(cls)]
    usual = {name for one in bare for name in vars(one).get("holds", {})}
    for one in cls.__mro__:
        for name in vars(one).get("holds", {}):
            if name in known or name in usual:
                continue
            if name in vars(one).get("__annotations__", {}) and "__dataclass_fields__" not in vars(one):
                raise ValueError(f"{one.__name__} is no dataclass, so it has no {name}: @dataclass(frozen=True)")
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(known)}"
            raise ValueError(f"holds of {one.__name__} names {name}, which is no field; {hint}")

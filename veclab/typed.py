"""Values that files tell, checked for their type and range before anything is done with them.

A check takes a value and what to call it, and raises ValueError, in one line, that names it, shows it, and says what
would be right.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real

from veclab.files import controls, printable, shown

Check = Callable[[object, str], None]

LARGEST = 2**63 - 1


def wrong(name: str, value: object, such: str) -> ValueError:
    """What to say of a value that is not ``such``."""
    return ValueError(f"{name} must be {such}, got {shown(value)}")


def count(value: object, name: str) -> None:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise wrong(name, value, "a whole number from 0 on")


def number(value: object, name: str) -> None:
    """A finite number, or None where there is none."""
    if value is not None and (type(value) not in (int, float) or not _is_finite(value)):
        raise wrong(name, value, "a number or null")


def flag(value: object, name: str) -> None:
    if type(value) is not bool:
        raise wrong(name, value, "true or false")


def text(value: object, name: str) -> None:
    """A text without control characters, which could reach a terminal."""
    if not isinstance(value, str) or controls(value):
        raise wrong(name, value, "a text without control characters")


def anything(value: object, name: str) -> None:
    """JSON as it is, but for control characters in its names and texts."""
    if isinstance(value, dict):
        named(anything)(value, name)
    elif isinstance(value, list):
        listed(anything)(value, name)
    elif isinstance(value, str):
        text(value, name)


def listed(check: Check) -> Check:
    """A list of what ``check`` passes."""

    def check_list(value: object, name: str) -> None:
        if not isinstance(value, list):
            raise wrong(name, value, "a list")
        for place, one in enumerate(value):
            check(one, f"{name}[{place}]")

    return check_list


def named(check: Check) -> Check:
    """An object of any names, each with what ``check`` passes."""

    def check_object(value: object, name: str) -> None:
        if not isinstance(value, dict):
            raise wrong(name, value, "an object")
        for key, one in value.items():
            text(key, f"a name in {name}")
            check(one, f"{name}.{key}")

    return check_object


def record(needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with the ``needed`` names, and perhaps the ``optional`` ones and others, which are not looked into."""

    def check_record(value: object, name: str) -> None:
        named(anything)(value, name)
        for key, check in needed.items():
            if key not in value:
                raise ValueError(f"{name} has no {key}")
            check(value[key], f"{name}.{key}")
        for key, check in (optional or {}).items():
            if key in value:
                check(value[key], f"{name}.{key}")

    return check_record


def like(default: object, value: object, name: str) -> object:
    """The value, of the type of ``default``: a number of another program's as Python's own.

    Raises:
        ValueError: if it is of another type, or not finite.
    """
    if isinstance(default, bool):
        flag(value, name)
    elif isinstance(default, int):
        if not isinstance(value, Integral) or isinstance(value, bool) or abs(value) >= 2**64:
            raise wrong(name, value, f"a whole number such as {default}")
        return int(value)
    elif isinstance(default, float):
        if not isinstance(value, Real) or isinstance(value, bool) or not _is_finite(value):
            raise wrong(name, value, f"a finite number such as {default}")
        return float(value)
    else:
        text(value, name)
    return value


def unknown(names: Iterable[object], known: Iterable[str]) -> str:
    """The names that are not known, and the nearest to the first that is; empty where all are."""
    known = list(known)
    others = sorted(printable(name) for name in names if name not in known)
    near = difflib.get_close_matches(others[0], known, n=1) if others else []
    return ", ".join(others) + (f"; the nearest is {near[0]}" if near else "")


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False

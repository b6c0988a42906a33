"""What is kept for later searches, the least recently used dropped first, within a number of bytes."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class _Entry(Generic[V]):
    value: V
    size: int  # bytes


class Kept(Generic[V]):
    """Values by key. When a new one would make them exceed a number of bytes, the least recently used go first.

    Args:
        most: key -> bytes that may be kept in all where such a key's value lies.
        dropped: called with the values that have gone.
    """

    def __init__(self, most: Callable[[], int], dropped: Callable[[list[V]], None] = lambda gone: None) -> None:
        self._most, self._dropped = most, dropped
        self._entries: OrderedDict[Hashable, _Entry[V]] = OrderedDict()  # the least recently used first

    def get(self, key: Hashable) -> V | None:
        """The key's value, which is the most recently used one from now on; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keeps a value of ``size`` bytes, and lets go of what there is no room for beside it; the newest stays."""
        self._entries.pop(key, None)
        self._entries[key] = _Entry(value, size)
        most, gone = self._most(), []
        while len(self._entries) > 1 and self.bytes > most:
            gone.append(self._entries.popitem(last=False)[1].value)
        if gone:
            self._dropped(gone)

    def drop(self, which: Callable[[Hashable], bool] = lambda key: True) -> None:
        """Lets go of the values of some keys, or of all."""
        self._dropped([self._entries.pop(key).value for key in list(self._entries) if which(key)])

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._entries)

    def values(self) -> list[V]:
        """The values, the least recently used first."""
        return [entry.value for entry in self._entries.values()]


class Names:
    """A name for each object that may be forgotten with it: an int that no other object ever gets.

    Args:
        gone: called with an object's name when the object has ceased to be.
    """

    def __init__(self, gone: Callable[[int], None]) -> None:
        self._gone, self._next = gone, 0
        self._names: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()

    def of(self, thing: object) -> int:
        if thing not in self._names:
            self._names[thing] = self._next
            weakref.finalize(thing, self._gone, self._next)
            self._next += 1
        return self._names[thing]

"""What is kept within a number of bytes."""

import gc

from hypothesis import given
from hypothesis import strategies as st

from vecmcts.kept import Kept, Names


def test_the_least_recently_used_goes_first() -> None:
    dropped: list[int] = []
    kept: Kept[str] = Kept(lambda: 10, lambda gone: dropped.append(len(kept)))
    for key in "abc":
        kept.put(key, key.upper(), 3)
    assert kept.get("a") == "A" and list(kept) == ["b", "c", "a"]
    kept.put("d", "D", 4)
    assert list(kept) == ["c", "a", "d"] and kept.bytes == 10 and dropped == [3]
    assert kept.get("b") is None
    kept.put("e", "E", 100)  # more than there is room for: kept all the same, alone
    assert list(kept) == ["e"] and kept.values() == ["E"]
    kept.drop()
    assert len(kept) == 0 and dropped == [3, 1, 0]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.booleans()), max_size=40), st.integers(0, 20))
def test_it_is_what_a_list_in_order_of_use_would_keep(steps: list[tuple[int, int, bool]], most: int) -> None:
    kept: Kept[int] = Kept(lambda: most)
    model: list[tuple[int, int]] = []  # (key, size), the least recently used first
    for key, size, look in steps:
        there = [entry for entry in model if entry[0] == key]
        model = [entry for entry in model if entry[0] != key]
        if look:
            assert kept.get(key) == (there[0][1] if there else None)
            model += there
            continue
        kept.put(key, size, size)
        model.append((key, size))
        while len(model) > 1 and sum(entry[1] for entry in model) > most:
            model.pop(0)
        assert [(k, v) for k, v in zip(kept, kept.values(), strict=True)] == model


class Thing:
    """Something that can be forgotten."""


def test_names_are_never_used_again() -> None:
    gone: list[int] = []
    names = Names(gone.append)
    first, second = Thing(), Thing()
    assert names.of(first) != names.of(second) and names.of(first) == names.of(first)
    name = names.of(first)
    del first
    gc.collect()
    assert gone == [name]
    assert names.of(Thing()) not in (name, names.of(second))

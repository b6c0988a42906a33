"""What the rules of several games share."""

from dataclasses import fields

from vecgame.dealing import check_dealer

MOST_POINTS = 1_000_000  # of any rule: float32 counts them exactly


def check_rules(rules: object, **limits: tuple[int, int]) -> None:
    """Checks a frozen dataclass of rules by their defaults: what is True or False, the points, the dealer; and the
    integers in ``limits``.

    Args:
        rules: its rule `dealer`, if it has one, may be a seat of as many as its `players` are, four by default.
        limits: lowest and highest of each integer.

    Raises:
        ValueError: in one line, on the first value that is none.
    """
    for name, default in ((field.name, field.default) for field in fields(rules)):
        value, (low, high) = getattr(rules, name), limits.get(name, (None, None))
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}")
        if name in limits and (type(value) is not int or not low <= value <= high):
            raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
        points = isinstance(default, float | None) and value is not default
        if points and (type(value) not in (int, float) or not -MOST_POINTS <= value <= MOST_POINTS):
            or_none = " or None" if default is None else ""
            raise ValueError(f"{name} must be a number of points up to {MOST_POINTS:,}{or_none}, got {value!r}")
        if name == "dealer":
            check_dealer(value, getattr(rules, "players", 4))

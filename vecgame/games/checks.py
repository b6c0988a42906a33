"""What the rules of several games share."""

from dataclasses import fields

from vecgame.dealing import check_dealer


def check_rules(rules: object, **limits: tuple[int, int]) -> None:
    """Checks a frozen dataclass of rules: what is True or False by default, the integers in ``limits``, the dealer.

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
        if name in limits and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
            raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
        if name == "dealer":
            check_dealer(value, getattr(rules, "players", 4))

"""Things shared out evenly, such as deals among the numbers of cards that a match mixes."""


def even_shares(count: int, size: int) -> list[int]:
    """``count`` things in ``size`` shares, the first ones of which are larger by one if it does not come out even."""
    return [count // size + (place < count % size) for place in range(size)]

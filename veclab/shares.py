"""Things shared out evenly, such as deals among the numbers of cards that a match mixes."""


def even_shares(count: int, size: int) -> list[int]:
    """``count`` things in ``size`` shares, the first ones of which are larger by one if it does not come out even."""
    return [count // size + (place < count % size) for place in range(size)]


def shares_in_turn(count: int, size: int, turn: int) -> list[int]:
    """`even_shares`; of fewer things than shares each share has some in its turn, where ``turn`` says how often there
    have been as many before."""
    shares, begin = even_shares(count, size), turn * count if count < size else 0
    return [shares[(place - begin) % size] for place in range(size)]

"""Hidden hands of a deck in which cards look alike, by what they may hold: against every deal, listed."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecgame.copies import ids_of
from vecgame.counted import draw_hands

CASES = {
    "none is bound": ([2, 2, 1], [2, 1], [7, 7]),
    "one is bound": ([2, 2, 1], [2, 1], [6, 7]),
    "one by one card": ([2, 2, 1], [2, 2], [1, 7]),
    "both, by other ids": ([3, 1, 2, 1], [2, 2], [3, 13]),
    "a hand that is known": ([2, 1, 2], [0, 2, 1], [0, 5, 3]),
    "ids of which there are none": ([0, 3, 0, 2], [2, 1], [10, 2]),
    "all are dealt": ([2, 2], [2, 2], [3, 3]),
    "three are bound": ([2, 2, 2, 1], [2, 1, 1], [3, 6, 12]),
    "bound to what nobody else lacks": ([4, 1], [2, 2], [1, 1]),
}


def deals(unseen: list[int], needs: list[int], may: list[int]) -> Counter[tuple[tuple[int, ...], ...]]:
    """Every way to deal the cards, each by itself, as counts of each hand."""
    cards = [card for card, number in enumerate(unseen) for _ in range(number)]
    found: Counter[tuple[tuple[int, ...], ...]] = Counter()
    for owner in itertools.product(range(len(needs) + 1), repeat=len(cards)):
        held = [[0] * len(unseen) for _ in needs]
        for seat, card in zip(owner, cards, strict=True):
            if seat < len(needs):
                held[seat][card] += 1
        if [sum(hand) for hand in held] == needs and not any(
            number and not may[seat] >> card & 1 for seat, hand in enumerate(held) for card, number in enumerate(hand)
        ):
            found[tuple(map(tuple, held))] += 1
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_deal_is_as_likely_as_it_has_ways(case: str, draws: int = 8_000) -> None:
    """Chi-square with n - 1 degrees of freedom: below n + 7 sqrt(2 n) + 20, in all but one of a million right draws."""
    unseen, needs, may = CASES[case]
    drawn = draw_hands(
        *(torch.tensor([row] * 2) for row in (unseen, needs, may)),
        index=torch.arange(2), turn=torch.full((2,), 3), count=draws // 2, seed=7,
    )  # fmt: skip
    found = Counter(tuple(map(tuple, hands)) for hands in drawn.flatten(0, 1).tolist())
    ways = deals(unseen, needs, may)
    assert found.keys() == ways.keys()
    expected = {deal: draws * number / ways.total() for deal, number in ways.items()}
    chi_square = sum((found[deal] - number) ** 2 / number for deal, number in expected.items())
    assert chi_square < len(ways) + 7 * (2 * len(ways)) ** 0.5 + 20


one_deal = st.tuples(  # what each of three hands holds, what else is unseen, and ids that hands may hold besides
    st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=3, max_size=3),
    st.lists(st.integers(0, 3), max_size=6),
    st.lists(st.integers(0, 15), min_size=3, max_size=3),
)


@settings(deadline=None)
@given(st.lists(one_deal, min_size=2, max_size=4), st.integers(0, 2**40))
def test_each_game_is_drawn_as_alone_and_by_what_it_may_hold(
    lanes: list[tuple[list[list[int]], list[int], list[int]]], seed: int
) -> None:
    unseen = torch.tensor([[[*itertools.chain(*hands), *rest].count(c) for c in range(4)] for hands, rest, _ in lanes])
    needs = torch.tensor([[len(hand) for hand in hands] for hands, _, _ in lanes])
    may = torch.tensor(
        [
            [also | sum(1 << card for card in {*hand}) for hand, also in zip(hands, more, strict=True)]
            for hands, _, more in lanes
        ]
    )
    index, turn = torch.arange(len(lanes)) + 5, torch.arange(len(lanes)) % 3
    drawn = draw_hands(unseen, needs, may, index=index, turn=turn, count=3, seed=seed)
    assert (drawn.sum(-1) == needs[:, None]).all() and (drawn.sum(2) <= unseen[:, None]).all() and (drawn >= 0).all()
    assert (ids_of(drawn) & ~may[:, None] == 0).all()
    for lane in range(len(lanes)):
        one = slice(lane, lane + 1)
        alone = draw_hands(unseen[one], needs[one], may[one], index=index[one], turn=turn[one], count=3, seed=seed)
        assert torch.equal(alone, drawn[one])


def test_what_cannot_be_dealt_is_refused() -> None:
    told = {"index": torch.arange(1), "turn": torch.zeros(1, dtype=torch.int64), "seed": 1}
    with pytest.raises(ValueError, match="hidden hands need 1 cards more than they may hold"):
        draw_hands(torch.tensor([[2, 2]]), torch.tensor([[3]]), torch.tensor([[1]]), count=2, **told)
    with pytest.raises(ValueError, match="hidden hands need 1 cards more than they may hold"):
        draw_hands(torch.tensor([[2, 1]]), torch.tensor([[2, 2]]), torch.tensor([[3, 3]]), count=2, **told)
    with pytest.raises(ValueError, match="count must be at least 1"):
        draw_hands(torch.tensor([[2, 1]]), torch.tensor([[2]]), torch.tensor([[3]]), count=0, **told)
    several = {"index": torch.arange(1), "turn": torch.zeros(1, dtype=torch.int64), "seed": 1, "count": 1}
    with pytest.raises(ValueError, match="hands of 14 x 14 x 14 x 14 x 14 x 14 x 14 cards may each not hold all"):
        draw_hands(torch.tensor([[50, 60]]), torch.tensor([[14] * 7]), torch.tensor([[1] * 3 + [2] * 4]), **several)

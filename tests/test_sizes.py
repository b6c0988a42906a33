"""The sizes that batches of recorded searches are filled up to."""

import pytest
import torch

from vecmcts.sizes import STEPS, filled, rounded


def test_quarters_between_powers_of_two() -> None:
    assert [rounded(n) for n in (0, 1, 7, 16, 17, 33, 1000, 1024, 1025)] == [0, 1, 7, 16, 20, 40, 1024, 1024, 1280]
    assert all(n <= rounded(n) <= max(n * 5 / 4, n) for n in range(1, 3000))
    assert len({rounded(n) for n in range(1025, 2049)}) == STEPS


@pytest.mark.parametrize("largest", [1, 3, 769, 3334, 10_000, 131_072])
def test_quarters_of_the_largest_batch(largest: int) -> None:
    sizes = [rounded(n, largest) for n in range(1, largest + 1)]
    assert all(n <= size <= largest for n, size in enumerate(sizes, 1))
    assert len(set(sizes)) == (STEPS if largest >= STEPS else largest - (largest == 3)) and sizes[-1] == largest


def test_more_than_the_largest_batch_is_rounded_as_without() -> None:
    assert rounded(1000, largest=900) == rounded(1000)


def test_the_last_game_fills_the_batch_up() -> None:
    lanes, live = filled(5, 8, torch.device("cpu"))
    assert lanes.tolist() == [0, 1, 2, 3, 4, 4] and live.tolist() == [True] * 5 + [False]


def test_a_mixed_run_needs_few_sizes() -> None:
    """Self-play of 769 games: lanes with a choice lie between a half and all of them at nearly all decisions."""
    assert {rounded(n, 769) for n in (769, 682, 702, 549, 613, 545)} == {769, 577}

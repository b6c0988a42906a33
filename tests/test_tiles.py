"""Melds of three and pairs of hands that are counts: what is lacking, against all complete hands."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecgame import Layout
from vecgame.tiles import NEVER, TileMelding

WINDS = tuple("ESWNRGP")
MAHJONG = TileMelding(Layout(3, 9, 7, tuple("bcd"), tuple("123456789"), WINDS), (4,) * 34)


def hand_of(text: str) -> list[int]:
    """Counts of Mahjong's tiles by their names: "123b EE"."""
    counts = [0] * 34
    for word in text.split():
        if word[0].isdigit():
            for rank in word[:-1]:
                counts["bcd".index(word[-1]) * 9 + int(rank) - 1] += 1
        else:
            for tile in word:
                counts[27 + WINDS.index(tile)] += 1
    return counts


def complete(melding: TileMelding, melds: int) -> set[tuple[int, ...]]:
    """All hands of so many melds and all pairs, as counts, in plain Python."""
    layout, found = melding.layout, set()
    sets = [(card,) * 3 for card in range(layout.size)]
    starts = range(max(layout.ranks - 2, 0))
    sets += [
        tuple(layout.ranks * suit + first + step for step in range(3))
        for suit in range(layout.suits)
        for first in starts
    ]
    for chosen in itertools.combinations_with_replacement(sets, melds):
        for pairs in itertools.combinations(range(layout.size), melding.pairs):
            counts = Counter(itertools.chain(*chosen, pairs, pairs))
            hand = tuple(counts[card] for card in range(layout.size))
            if all(number <= most for number, most in zip(hand, melding.copies, strict=True)):
                found.add(hand)
    return found


@st.composite
def meldings(draw) -> TileMelding:
    suits, ranks, extra = draw(st.integers(0, 2)), draw(st.integers(1, 5)), draw(st.integers(0, 2))
    ranks, extra = (ranks, extra) if suits else (0, extra + 1)
    layout = Layout(suits, ranks, extra, tuple("ab"[:suits]), tuple("12345"[:ranks]), tuple("xyz"[:extra]))
    copies = draw(st.lists(st.integers(0, 5), min_size=layout.size, max_size=layout.size).filter(any))
    return TileMelding(layout, copies, melds=draw(st.integers(0, 2)), pairs=draw(st.integers(0, 2)))


@given(meldings(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_what_is_lacking_is_the_least_that_any_complete_hand_has_more(melding: TileMelding, random) -> None:
    hands = [[random.randint(0, most) for most in melding.copies] for _ in range(6)]
    needed = [random.randint(0, melding.melds) for _ in hands]
    given = torch.tensor(hands, dtype=torch.int8)
    for melds, lacking in ((needed, melding.lacking(given, torch.tensor(needed))), (None, melding.lacking(given))):
        for lane, hand in enumerate(hands):
            wanted = complete(melding, melding.melds if melds is None else melds[lane])
            least = [sum(max(0, a - b) for a, b in zip(one, hand, strict=True)) for one in wanted]
            assert lacking[lane] == min(least, default=NEVER)


@pytest.mark.parametrize(
    "text, lacking",
    [
        ("111234567b EEE 99d", 0),
        ("1112345678999b", 1),  # nine gates: any of its suit completes it
        ("147b 147c 147d ESWN", 9),
        ("19b 19c 19d ESWNRGP", 9),
        ("123b 123b 123b 456c 77d", 0),
        ("123456789b 1122c", 1),
        ("1122334455667b", 1),
        ("1111b", 10),  # four alike are no meld and pair
    ],
)
def test_known_hands_of_mahjong(text: str, lacking: int) -> None:
    assert MAHJONG.lacking(torch.tensor(hand_of(text))) == lacking


def test_a_hand_with_open_melds_needs_fewer() -> None:
    hands = torch.tensor([hand_of("123b 55c"), hand_of("EEE 1c 55c"), hand_of("55c")], dtype=torch.int8)
    assert MAHJONG.lacking(hands, torch.tensor([1, 1, 0])).tolist() == [0, 0, 0]
    assert MAHJONG.lacking(hands[None, :], torch.tensor([[2, 2, 1]])).tolist() == [[3, 2, 3]]


def test_what_a_hand_waits_for_may_be_asked_with_a_tile_more_than_there_are() -> None:
    hand = torch.tensor(hand_of("1112345678999b"), dtype=torch.int8)
    assert (MAHJONG.lacking(hand + torch.eye(34, dtype=torch.int8)) == 0).nonzero()[:, 0].tolist() == list(range(9))
    hand = torch.tensor(hand_of("1111b 234567b EEE"))
    assert (MAHJONG.lacking(hand + torch.eye(34, dtype=torch.int64)) == 0).nonzero()[:, 0].tolist() == [
        3,
        6,
    ]  # no fifth 1
    many = torch.tensor(hand_of("WWWWWWW PPPPPPPP 9d"))
    assert MAHJONG.lacking(many) == MAHJONG.lacking(torch.tensor(hand_of("WWWW PPPP 9d")))


def test_seven_pairs_are_of_different_tiles() -> None:
    melding = TileMelding(MAHJONG.layout, MAHJONG.copies, melds=0, pairs=7)
    pairs = torch.tensor([hand_of("1122334455667b"), hand_of("1111b 223344556b"), hand_of("EESSWWNNRRGGPP")])
    assert melding.lacking(pairs).tolist() == [1, 3, 0]


def test_each_hand_is_judged_by_itself_and_a_pickled_game_knows_the_same() -> None:
    generator = torch.Generator().manual_seed(1)
    tiles = torch.stack([torch.randperm(136, generator=generator)[:14] // 4 for _ in range(300)])
    hands = torch.zeros(300, 34, dtype=torch.int8).scatter_add_(1, tiles, torch.ones(300, 14, dtype=torch.int8))
    all_at_once = MAHJONG.lacking(hands)
    assert all_at_once.tolist() == [int(MAHJONG.lacking(hand)) for hand in hands]
    pickled = pickle.dumps(MAHJONG)
    assert len(pickled) < 2000  # without its tables
    assert torch.equal(pickle.loads(pickled).lacking(hands.view(30, 10, 34)).flatten(), all_at_once)
    # A hand of 14 tiles has another one after each draw and discard, which changes what is lacking by one at most.
    drawn = hands.clone().scatter_add_(
        1, tiles[torch.randperm(300, generator=generator), :1], torch.ones(300, 1).char()
    )
    fits = (drawn <= 4).all(-1)
    assert (all_at_once - MAHJONG.lacking(drawn))[fits].unique().tolist() == [0, 1]


def test_numbers_that_make_no_game_are_refused() -> None:
    layout = MAHJONG.layout
    with pytest.raises(ValueError, match="9,765,625 counts, more than 2,097,152"):
        TileMelding(Layout(1, 10, 0, ("b",), tuple("0123456789")), (4,) * 10)
    with pytest.raises(ValueError, match="one number for each of the layout's 34 ids, got 3"):
        TileMelding(layout, (4, 4, 4))
    with pytest.raises(ValueError, match="melds of a hand are a number from 0 on, got -1"):
        TileMelding(layout, (4,) * 34, melds=-1)
    with pytest.raises(ValueError, match="8 melds and 7 pairs is too large"):
        TileMelding(layout, (4,) * 34, melds=8, pairs=7)

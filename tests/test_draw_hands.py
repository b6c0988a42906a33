"""Any number of hands from any sets of cards that they may hold, against lists of all deals, and what a draw keeps.

Chi-square tests have fixed seeds; a correct sampler fails one of them for another seed with probability 1e-4.
"""

import random
from collections.abc import Iterator
from itertools import combinations, islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.helpers import bits_of, chi_square_p
from vecgame import Blob, lanes, worlds
from vecgame.cards import Layout, nth_card, popcount

ERROR_RATE = 1e-4
FEW, MOST = 4, 300  # deals of a position that is compared
LAYOUTS = {
    "no suits": Layout(0, 0, 9, extra_names=tuple("abcdefghi")),
    "jokers": Layout(3, 3, 3, extra_names=("joker", "jester", "fool")),
    "twins": Layout(2, 8, rank_names=tuple("77889900")),  # two cards of each rank and suit
    "63 cards": Layout(4, 15, 3, rank_names=tuple(map(str, range(15))), extra_names=("x", "y", "z")),
}
Position = tuple[int, list[int], list[int]]  # the unseen cards, and of each hand: how many it gets, which it may hold


def positions(hands: int, layout: Layout, kind: str) -> list[Position]:
    """Sets that cut through suits, of `FEW` to `MOST` deals each; some hands get no cards, some may hold all."""
    rng, found = random.Random(f"{hands} {layout.size} {kind}"), []
    while len(found) < 4:
        unseen = rng.sample(range(layout.size), min(layout.size, rng.randint(4, 9)))
        if layout.size == 63:
            unseen = sorted({*unseen[1:], 62})
        needs = [rng.randint(0, 2 if hands > 2 else 4) for _ in range(hands)]
        if kind == "any sets":
            may = [rng.getrandbits(layout.size) for _ in range(hands)]
        else:  # few classes, which lie in several suits, so that cards of a class are alike
            group = [rng.getrandbits(layout.size) for _ in range(2)]
            may = [rng.choice([layout.bits, group[0], group[1], ~group[0] & layout.bits]) for _ in range(hands)]
        if layout.ranks == 8:  # twins are held alike
            may = [bits & 0x5555 | (bits & 0x5555) << 1 for bits in may]
        if sum(needs) <= len(unseen) and FEW <= len(list(islice(deals(unseen, needs, may), MOST + 1))) <= MOST:
            found.append((bits_of(unseen), needs, may))
    return found


def deals(unseen: list[int], needs: list[int], may: list[int]) -> Iterator[tuple[int, ...]]:
    """Every way to give hands so many of the unseen cards out of those that they may hold, as bitboards."""
    if not needs:
        yield ()
        return
    for hand in combinations([card for card in unseen if may[0] >> card & 1], needs[0]):
        for others in deals([card for card in unseen if card not in hand], needs[1:], may[1:]):
            yield (bits_of(hand), *others)


def drawn(found: list[Position], count: int, seed: int, layout: Layout, first: int = 0) -> Tensor:
    """Worlds of some positions as games number ``first`` on: [B, W, K] int64."""
    unseen = torch.tensor([unseen for unseen, _, _ in found])
    needs, may = (torch.tensor([position[part] for position in found]).t() for part in (1, 2))
    index = torch.arange(first, first + len(found))
    hands = worlds.draw_hands(unseen, needs, may, index, torch.full_like(index, 7), count, seed, layout)
    return hands.permute(2, 1, 0)


@pytest.mark.parametrize("kind", ["any sets", "few classes"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("hands", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("by_card", [True, False], ids=["cards", "needs"])
def test_every_deal_is_as_likely(by_card, hands, layout, kind, monkeypatch):
    monkeypatch.setattr(worlds, "BY_CARD", hands if by_card else 0)
    found = positions(hands, layout, kind)
    listed = [list(deals([c for c in range(63) if unseen >> c & 1], *rest)) for unseen, *rest in found]
    for sampled, all_deals in zip(drawn(found, 25 * max(map(len, listed)), 3, layout), listed, strict=True):
        number = {deal: i for i, deal in enumerate(all_deals)}
        counts = torch.zeros(len(all_deals))
        rows, times = sampled.unique(dim=0, return_counts=True)
        for row, count in zip(rows.tolist(), times.tolist(), strict=True):
            counts[number[tuple(row)]] = count
        assert chi_square_p(counts, [len(sampled) / len(all_deals)]) > ERROR_RATE


@st.composite
def batches(draw) -> tuple[Layout, list[Position]]:
    """Positions of a layout in which a deal is possible: hands are dealt first, and may hold what they do and more."""
    layout = draw(st.sampled_from(list(LAYOUTS.values())))
    hands = draw(st.integers(1, 7))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        cards = draw(st.lists(st.integers(0, layout.size - 1), min_size=1, max_size=11, unique=True))
        owners = [draw(st.integers(0, hands)) for _ in cards]  # the last one is the undealt pile
        dealt = [bits_of([card for card, owner in zip(cards, owners, strict=True) if owner == k]) for k in range(hands)]
        more = [draw(st.one_of(st.just(layout.bits), st.integers(0, layout.bits))) for _ in dealt]
        may = [bits | extra for bits, extra in zip(dealt, more, strict=True)]
        found.append((bits_of(cards), [bits.bit_count() for bits in dealt], may))
    return layout, found


@settings(max_examples=60, deadline=None)
@given(batches())
def test_what_a_draw_keeps(batch):
    layout, found = batch
    sampled = drawn(found, 3, 5, layout)
    for lane, ((unseen, needs, may), worlds_of_lane) in enumerate(zip(found, sampled.tolist(), strict=True)):
        for hands in worlds_of_lane:
            assert [hand.bit_count() for hand in hands] == needs
            assert all(hand & ~(unseen & held) == 0 for hand, held in zip(hands, may, strict=True))
            assert sum(hands).bit_count() == sum(needs)  # no card twice
        assert torch.equal(drawn(found[lane : lane + 1], 2, 5, layout, first=lane)[0], sampled[lane, :2])


@pytest.mark.parametrize("hands", [1, 3, 6])
def test_a_whole_deck_of_63_cards(hands):
    """Every card goes to the hands that may hold it; those alike in this equally often."""
    layout, n = LAYOUTS["63 cards"], 3_000
    needs, may = [63 // hands - 1] * hands, [layout.bits ^ layout.block(k % 5) for k in range(hands)]
    if hands == 1:
        needs = [40]
    (sampled,) = drawn([(layout.bits, needs, may)], n, 9, layout)
    for k in range(hands):
        assert (popcount(sampled[:, k]) == needs[k]).all() and not (sampled[:, k] & ~may[k]).any()
        for suit in range(5):
            held = torch.tensor(
                [int((sampled[:, k] >> card & 1).sum()) for card in range(63) if layout.block(suit) >> card & 1]
            )
            share = held.double().mean() / n
            assert ((held / n - share).abs() <= 5 * (share * (1 - share) / n) ** 0.5).all()


def test_nothing_to_draw():
    """Hands that are known, games without cards, no hands, and no games."""
    found = [(0b1011, [0] * 5, [0b1001] * 5), (0, [0] * 5, [1] * 5)]
    assert not drawn(found, 2, 1, Layout(1, 4)).any()
    assert not drawn([(7, [0] * 3, [1, 2, 4]), (0, [0] * 3, [0] * 3)], 2, 1, Layout(1, 4)).any()
    none = torch.zeros(0, dtype=torch.int64)
    assert worlds.draw_hands(torch.tensor([7]), none.view(0, 1), none.view(0, 1), none, none, 2, 1).shape == (0, 2, 0)
    assert worlds.draw_hands(none, none.view(3, 0), none.view(3, 0), none, none, 2, 1).shape == (3, 2, 0)


def test_all_cards_are_where_they_must_be():
    (sampled,) = drawn([(0b110110, [2, 1, 1, 0], [0b000110, 0b010000, 0b111111, 0b111111])], 5, 1, Layout(1, 6))
    assert sampled.tolist() == [[0b000110, 0b010000, 0b100000, 0]] * 5


@pytest.mark.parametrize(
    ("needs", "may", "short"),
    [([2, 2], [-1, -1], 1), ([1, 2], [7, 3], 0), ([0, 2], [7, 2], 1), ([1] * 3, [7, 7, 0], 1)],
)
def test_hands_that_cannot_be_filled(needs, may, short):
    if short:
        with pytest.raises(ValueError, match=f"hidden hands need {short} cards more than they may hold"):
            drawn([(7, needs, may)], 1, 1, Layout(1, 3))
    else:
        assert drawn([(7, needs, may)], 1, 1, Layout(1, 3)).sum() == 7


def test_a_mover_that_has_not_looked_draws_its_own_hand_too():
    """Blind bidding: nobody has seen a card. And each seat in turn sees all hands but its own."""
    game = Blob(cards=5)
    state = game.deal(50, seed=1)
    needs, every = popcount(state.hands).t(), torch.full((4, 50), -1)
    unseen = torch.full_like(state.index, game.deck)
    hands = worlds.draw_hands(unseen, needs, every, state.index, game.turn(state), 3, seed=1)
    assert hands.shape == (4, 3, 50) and (popcount(hands) == 5).all() and (popcount(hands.sum(0)) == 20).all()
    unseen = game.deck & ~state.hands[:, 1:].sum(-1)
    (own,) = worlds.draw_hands(unseen, needs[:1], every[:1], state.index, game.turn(state), 3, seed=1)
    assert (popcount(own) == 5).all() and not (own & ~unseen).any()
    assert len(own.flatten().unique()) > 140


def test_lanes_that_need_no_work_may_be_carried_along(monkeypatch):
    """The way of a GPU, where no host knows which classes there are."""
    layout = LAYOUTS["jokers"]
    found = positions(4, layout, "few classes")
    sampled = drawn(found, 5, 1, layout)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    assert torch.equal(drawn(found, 5, 1, layout), sampled)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20), st.integers(0, 70))
def test_the_nth_card_of_a_set(sets, nth):
    expected = []
    for bits in sets:
        cards = [1 << card for card in range(63) if bits >> card & 1]
        expected.append(cards[min(nth, len(cards) - 1)] if cards else 0)
    assert nth_card(torch.tensor(sets), torch.full((len(sets),), nth)).tolist() == expected


def test_suits_that_the_same_hands_may_hold_share_an_axis(monkeypatch):
    """One hand is void in spades: the other suits are one class, whose number follows from the needs dealt so far."""
    found, deal, layout = [], worlds.deal_items, Layout()
    monkeypatch.setattr(worlds, "deal_items", lambda *a: found.append(a) or deal(*a))
    drawn([(layout.bits, [5] * 4, [layout.bits ^ layout.block(0), *[layout.bits] * 3])], 1, 1, layout)
    ((places, takes, _, _, sides, *_),) = found
    assert places.flatten().tolist() == [13] * 3 and len(takes) == 5 and sides == [40]

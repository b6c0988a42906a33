"""Sets of cards as the bits of integers: their lists, counts and masks, and suits turned round."""

import torch
from torch import Tensor

from tests.helpers import bits_of
from vecgame.cards import DECK, list_cards, lowest_card, pack, popcount, rotate_suits, unpack


def some_sets() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    random = torch.randint(1 << DECK, (500,), generator=generator) & torch.randint(
        1 << DECK, (500,), generator=generator
    )
    return torch.cat([torch.tensor([0, 1, 1 << 51, (1 << 52) - 1]), 1 << torch.arange(52), random])


def members(bits: int) -> list[int]:
    return [card for card in range(DECK) if bits >> card & 1]


def test_bitboards_and_their_lists():
    sets = some_sets()
    cards = [members(bits) for bits in sets.tolist()]
    mask = unpack(sets)
    assert mask.shape == (len(sets), DECK) and mask.dtype == torch.bool
    assert [row.nonzero()[:, 0].tolist() for row in mask] == cards
    assert torch.equal(unpack(sets.view(-1, 4), torch.float32).flatten(0, 1), mask.float())
    assert torch.equal(pack(mask), sets)
    assert popcount(sets).tolist() == [len(held) for held in cards]
    assert lowest_card(sets[sets != 0]).tolist() == [held[0] for held in cards if held]
    assert (lowest_card(sets[sets == 0]) < 0).all()
    assert list_cards(sets, 52).tolist() == [held + [-1] * (52 - len(held)) for held in cards]


def test_rotate_suits():
    sets = some_sets()
    for first in range(4):
        turned = rotate_suits(sets, torch.tensor(first)).tolist()
        expected = [bits_of([(card - 13 * first) % 52 for card in members(bits)]) for bits in sets.tolist()]
        assert turned == expected

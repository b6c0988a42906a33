"""Sets of cards and random numbers within kernels: what `vecgame.cards` and `vecgame.philox` say of tensors."""

# No `from __future__ import annotations`: Triton reads the annotations of kernels, as objects.
import triton
import triton.language as tl

from vecgame.cards import DECK
from vecgame.philox import DECISION_BITS, MULTIPLIER, ROUNDS, WEYL, WORD, Purpose

_WORD = tl.constexpr(WORD)
_ROUNDS = tl.constexpr(ROUNDS)
_MULTIPLIER_0, _MULTIPLIER_1 = tl.constexpr(MULTIPLIER[0]), tl.constexpr(MULTIPLIER[1])
_WEYL_0, _WEYL_1 = tl.constexpr(WEYL[0]), tl.constexpr(WEYL[1])
_PURPOSE = tl.constexpr(int(Purpose.WORLD))
_DECISION_BITS = tl.constexpr(DECISION_BITS)
_DECK = tl.constexpr(DECK)


@triton.jit
def popcount(bits):
    """`vecgame.cards.popcount`."""
    bits = bits - ((bits >> 1) & 0x5555555555555555)
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    return (((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F) * 0x0101010101010101) >> 56


@triton.jit
def highest_bit(bits):
    """The highest card of a set; bit 63 is clear."""
    bits = bits | (bits >> 1)
    bits = bits | (bits >> 2)
    bits = bits | (bits >> 4)
    bits = bits | (bits >> 8)
    bits = bits | (bits >> 16)
    bits = bits | (bits >> 32)
    return bits ^ (bits >> 1)


@triton.jit
def uniform(first, second):
    """A number of `vecgame.philox.Stream.uniform` of two words."""
    return ((first << 21) | (second >> 11)).to(tl.float64) * 1.1102230246251565e-16  # 2**-53


@triton.jit
def fill_numbers(
    numbers,  # [cards, WORLDS] float64
    listed,
    free,
    first,
    number,
    decision,
    key_0,
    key_1,
    BLOCK: tl.constexpr,  # noqa: N803
    WORLDS: tl.constexpr,  # noqa: N803
):
    """The random numbers of ``listed`` cards and of ``free`` others in some worlds, two of each block of Philox's."""
    listed_blocks = (listed + 1) // 2
    size = (listed_blocks + (free + 1) // 2) * WORLDS
    begin = size * 0
    while begin < size:
        at = begin + tl.arange(0, BLOCK)
        block, world = at // WORLDS, at % WORLDS
        c0 = tl.where(block < listed_blocks, block, _DECK + block - listed_blocks).to(tl.int64)
        c1 = decision | ((first + world).to(tl.int64) << _DECISION_BITS)
        c2 = c0 * 0 + (number & _WORD)
        c3 = c0 * 0 + ((number >> 32) | (_PURPOSE << 24))
        k0, k1 = key_0, key_1
        for _ in tl.static_range(_ROUNDS):
            p0 = c0 * _MULTIPLIER_0
            p1 = c2 * _MULTIPLIER_1
            c0 = ((p1 >> 32) & _WORD) ^ c1 ^ k0
            c2 = ((p0 >> 32) & _WORD) ^ c3 ^ k1
            c1 = p1 & _WORD
            c3 = p0 & _WORD
            k0 = (k0 + _WEYL_0) & _WORD
            k1 = (k1 + _WEYL_1) & _WORD
        into = numbers + 2 * block * WORLDS + world
        tl.store(into, uniform(c0, c1), mask=at < size)
        tl.store(into + WORLDS, uniform(c2, c3), mask=at < size)
        begin += BLOCK

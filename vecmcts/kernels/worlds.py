"""Worlds drawn in two launches: `vecgame.worlds.draw_hands` of three hands, by the list of cards.

A program takes one game after the other. It fills the game's own tables, which `vecgame.counts` describes, level by
level in memory that it has for itself, and then draws the cards of all worlds of the game side by side, with the
numbers of `vecgame.philox`. A game's tables are as small as its own bounds allow. Sums are in the order of
`vecgame.counts`, and no product is fused with one, so that the hands are those of the functions of tensors.

What bounds the tables, and whether there are hands to be drawn at all, another kernel finds out first; for that the
host waits once.
"""

# No `from __future__ import annotations`: Triton reads the annotations of kernels, as objects.
import torch
import triton
import triton.language as tl
from torch import Tensor

from vecgame.cards import MOST_CARDS
from vecgame.memory import unused_memory
from vecmcts.kernels.launching import on
from vecmcts.kernels.numbers import fill_numbers, highest_bit, popcount

HANDS = 3
PROGRAMS = 2048  # at most: a game each at a time; 16 for each of an H200's 132 multiprocessors
SHARE = 0.25  # of the memory that is free, for their tables
BLOCK = 128
MOST_WORLDS = 128  # of a game side by side
WARPS = 4
CARD_NUMBERS = MOST_CARDS + 2  # of a world: two of each block, of both lists
GIVEN = [
    "games",
    "count",
    "room",
    "need_step",
    "need_lane",
    "may_step",
    "may_lane",
    "key_a",
    "key_b",
    "key_c",
    "key_d",
]


def draw_hands(
    unseen: Tensor, needs: Tensor, may: Tensor, index: Tensor, turn: Tensor, count: int, seed: int
) -> Tensor | None:
    """`vecgame.worlds.draw_hands` of three hands and at least one game, with the same arguments: [3, count, B] int64;
    None where hands need more cards than they may hold."""
    games, device = len(unseen), unseen.device
    unseen, index, turn = unseen.contiguous(), index.contiguous(), turn.contiguous()
    told = torch.empty(2, games, dtype=torch.int64, device=device)
    measure(unseen, needs, may, told)
    room, short = told.amax(1).tolist()
    if short > 0:
        return None
    width = min(triton.next_power_of_2(count), MOST_WORLDS)
    room += CARD_NUMBERS * width
    fit = games if device.type == "cpu" else int(SHARE * unused_memory(device)) // (8 * room)
    tables = torch.empty(max(1, min(games, PROGRAMS, fit)), room, dtype=torch.float64, device=device)
    hands = torch.empty(HANDS, count, games, dtype=torch.int64, device=device)
    deal(unseen, needs, may, index, turn, tables, hands, count, seed, width)
    return hands


def measure(unseen: Tensor, needs: Tensor, may: Tensor, told: Tensor) -> None:
    """Of each game, how many numbers its tables hold, and how many cards its hands are short of, into ``told`` [2, B]
    int64."""
    games = len(unseen)
    with on(unseen.device):
        measure_kernel[(triton.cdiv(games, BLOCK),)](
            unseen, needs, may, told, games, *needs.stride(), *may.stride(), BLOCK=BLOCK, num_warps=WARPS
        )


def deal(
    unseen: Tensor,
    needs: Tensor,
    may: Tensor,
    index: Tensor,
    turn: Tensor,
    tables: Tensor,
    hands: Tensor,
    count: int,
    seed: int,
    width: int,
) -> None:
    """The hands of ``count`` worlds of each game into ``hands`` [3, count, B] int64.

    Args:
        tables: [programs, room] float64 to work in: the games' largest table, then `CARD_NUMBERS` for ``width`` worlds.
        width: worlds that are drawn side by side, a power of 2.
    """
    # In words of 16 bits: Triton would build another kernel for a long seed.
    words = [seed >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
    with on(unseen.device):
        deal_kernel[(len(tables),)](
            unseen,
            needs,
            may,
            index,
            turn,
            tables,
            hands,
            len(unseen),
            count,
            tables.shape[1],
            *needs.stride(),
            *may.stride(),
            *words,
            BLOCK=BLOCK,
            WORLDS=width,
            NUMBERS=CARD_NUMBERS,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )


@triton.jit
def fill_tables(
    table,  # [listed + 1, size] float64
    restricted,
    listed,
    total,
    may0,
    may1,
    may2,
    implied,
    side1,
    side2,
    side3,
    step0,
    step1,
    step2,
    step3,
    size,
    BLOCK: tl.constexpr,  # noqa: N803
):
    """The ways to place the restricted cards from each one on, by the places left: `vecgame.counts.completions`."""
    begin = size * 0
    while (listed > 0) & (begin < size):  # behind the last card there is one way
        at = begin + tl.arange(0, BLOCK)
        tl.store(table + listed * size + at, tl.full([BLOCK], 1.0, tl.float64), mask=at < size)
        begin += BLOCK
    level, rest = listed - 1, restricted
    while level >= 0:
        card = highest_bit(rest)
        rest = rest ^ card
        takes0 = (card & may0 != 0).to(tl.float64)
        takes1 = (card & may1 != 0).to(tl.float64)
        takes2 = (card & may2 != 0).to(tl.float64)
        after = table + (level + 1) * size
        tl.debug_barrier()  # the level after this one has been written
        begin = size * 0
        while begin < size:
            at = begin + tl.arange(0, BLOCK)
            inside = at < size
            m3 = at % side3
            m2 = at // side3 % side2
            m1 = at // (side3 * side2) % side1
            m0 = at // (side3 * side2 * side1)
            left = tl.maximum(total - level - m0 - m1 - m2 - m3, 0)  # that of the implied axis is 0
            m0 = tl.where(implied == 0, left, m0)
            m1 = tl.where(implied == 1, left, m1)
            m2 = tl.where(implied == 2, left, m2)
            m3 = tl.where(implied == 3, left, m3)
            ways0 = tl.load(after + tl.maximum(at - step0, 0), mask=inside, other=0.0)
            ways1 = tl.load(after + tl.maximum(at - step1, 0), mask=inside, other=0.0)
            ways2 = tl.load(after + tl.maximum(at - step2, 0), mask=inside, other=0.0)
            ways3 = tl.load(after + tl.maximum(at - step3, 0), mask=inside, other=0.0)
            ways = ways0 * (m0.to(tl.float64) * takes0) + ways1 * (m1.to(tl.float64) * takes1)
            ways = ways + ways2 * (m2.to(tl.float64) * takes2)
            ways = ways + ways3 * m3.to(tl.float64)
            tl.store(table + level * size + at, ways, mask=inside)
            begin += BLOCK
        level -= 1


@triton.jit(do_not_specialize=GIVEN)
def measure_kernel(
    unseen,  # [B] int64
    needs,  # [3, B] int64, entries need_step and need_lane apart
    may,  # [3, B] int64, likewise
    told,  # [2, B] int64
    games,
    need_step,
    need_lane,
    may_step,
    may_lane,
    BLOCK: tl.constexpr,  # noqa: N803
):
    """`measure`, a thread for each game."""
    game = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    inside = game < games
    cards = tl.load(unseen + game, mask=inside, other=0)
    every, asked = cards, game * 0
    most, product, short = asked, asked + 1, asked
    for hand in tl.static_range(3):
        need = tl.load(needs + hand * need_step + game * need_lane, mask=inside, other=0)
        held = tl.load(may + hand * may_step + game * may_lane, mask=inside, other=0)
        short = tl.maximum(short, need - popcount(cards & held))
        every = every & held
        asked = asked + need
        most = tl.maximum(most, need + 1)
        product = product * (need + 1)
    total = popcount(cards)
    short = tl.maximum(short, asked - total)
    side = tl.maximum(total - asked, 0) + 1
    listed = total - popcount(every)
    entries = (listed + 1) * (product * side // tl.maximum(most, side))
    tl.store(told + game, tl.where(listed > 0, entries, 0), mask=inside)
    tl.store(told + games + game, short, mask=inside)


@triton.jit(do_not_specialize=GIVEN)
def deal_kernel(
    unseen,  # [B] int64
    needs,  # [3, B] int64, entries need_step and need_lane apart
    may,  # [3, B] int64, likewise
    index,  # [B] int64
    turn,  # [B] int64
    tables,  # [programs, room] float64
    hands,  # [3, count, B] int64
    games,
    count,
    room,
    need_step,
    need_lane,
    may_step,
    may_lane,
    key_a,
    key_b,
    key_c,
    key_d,
    BLOCK: tl.constexpr,  # noqa: N803
    WORLDS: tl.constexpr,  # noqa: N803
    NUMBERS: tl.constexpr,  # noqa: N803
):
    """`deal`, one game after the other in each program."""
    table = tables + tl.program_id(0).to(tl.int64) * room
    key_0 = tl.cast(key_a, tl.int64) | (tl.cast(key_b, tl.int64) << 16)
    key_1 = tl.cast(key_c, tl.int64) | (tl.cast(key_d, tl.int64) << 16)
    numbers = table + room - NUMBERS * WORLDS
    game = tl.program_id(0).to(tl.int64)
    while game < games:
        cards = tl.load(unseen + game)
        n0 = tl.load(needs + game * need_lane).to(tl.int32)
        n1 = tl.load(needs + need_step + game * need_lane).to(tl.int32)
        n2 = tl.load(needs + 2 * tl.cast(need_step, tl.int64) + game * need_lane).to(tl.int32)
        may0 = tl.load(may + game * may_lane)
        may1 = tl.load(may + may_step + game * may_lane)
        may2 = tl.load(may + 2 * tl.cast(may_step, tl.int64) + game * may_lane)
        free = cards & may0 & may1 & may2
        restricted = cards ^ free
        total, listed = popcount(cards).to(tl.int32), popcount(restricted).to(tl.int32)
        n3 = total - n0 - n1 - n2
        # The first of the longest axes follows from the others, and takes no room.
        most = tl.maximum(tl.maximum(n0, n1), tl.maximum(n2, n3))
        implied = tl.where(n0 == most, 0, tl.where(n1 == most, 1, tl.where(n2 == most, 2, 3)))
        side0 = tl.where(implied == 0, 1, n0 + 1)
        side1 = tl.where(implied == 1, 1, n1 + 1)
        side2 = tl.where(implied == 2, 1, n2 + 1)
        side3 = tl.where(implied == 3, 1, n3 + 1)
        step3 = tl.where(implied == 3, 0, 1)
        step2 = tl.where(implied == 2, 0, side3)
        step1 = tl.where(implied == 1, 0, side3 * side2)
        step0 = tl.where(implied == 0, 0, side3 * side2 * side1)
        size = side0 * side1 * side2 * side3

        tl.debug_barrier()  # all threads have drawn from the tables of the game before
        fill_tables(
            table,
            restricted,
            listed,
            total,
            may0,
            may1,
            may2,
            implied,
            side1,
            side2,
            side3,
            step0,
            step1,
            step2,
            step3,
            size,
            BLOCK=BLOCK,
        )
        number, decision = tl.load(index + game), tl.load(turn + game)
        first = 0
        while first < count:
            tl.debug_barrier()  # all threads have read the numbers of the worlds before
            fill_numbers(
                numbers, listed, total - listed, first, number, decision, key_0, key_1, BLOCK=BLOCK, WORLDS=WORLDS
            )
            tl.debug_barrier()  # all tables and numbers have been written
            slot = tl.arange(0, WORLDS)
            world = (first + slot).to(tl.int64)
            left0 = (slot * 0 + n0).to(tl.float64)
            left1 = (slot * 0 + n1).to(tl.float64)
            left2 = (slot * 0 + n2).to(tl.float64)
            left3 = (slot * 0 + n3).to(tl.float64)
            here = slot * 0 + n0 * step0 + n1 * step1 + n2 * step2 + n3 * step3
            hand0, hand1, hand2 = world * 0, world * 0, world * 0
            level, rest = listed * 0, restricted
            while level < listed:
                card = rest & -rest
                rest = rest ^ card
                after = table + (level + 1) * size
                ways0 = tl.load(after + tl.maximum(here - step0, 0)) * (card & may0 != 0).to(tl.float64)
                ways1 = tl.load(after + tl.maximum(here - step1, 0)) * (card & may1 != 0).to(tl.float64)
                ways2 = tl.load(after + tl.maximum(here - step2, 0)) * (card & may2 != 0).to(tl.float64)
                ways3 = tl.load(after + tl.maximum(here - step3, 0))
                bound0 = left0 * ways0
                bound1 = bound0 + left1 * ways1
                bound2 = bound1 + left2 * ways2
                bound3 = bound2 + left3 * ways3
                draw = tl.load(numbers + level * WORLDS + slot) * bound3
                to0 = draw < bound0
                to1 = (draw < bound1) & (draw >= bound0)
                to2 = (draw < bound2) & (draw >= bound1)
                to3 = draw >= bound2
                left0 -= to0.to(tl.float64)
                left1 -= to1.to(tl.float64)
                left2 -= to2.to(tl.float64)
                left3 -= to3.to(tl.float64)
                here -= tl.where(to0, step0, tl.where(to1, step1, tl.where(to2, step2, step3)))
                hand0 |= tl.where(to0, card, 0)
                hand1 |= tl.where(to1, card, 0)
                hand2 |= tl.where(to2, card, 0)
                level += 1
            level, rest = (listed + 1) // 2 * 2, free
            places = (total - listed).to(tl.float64)
            while rest != 0:  # these may go anywhere
                card = rest & -rest
                rest = rest ^ card
                bound1 = left0 + left1
                bound2 = bound1 + left2
                draw = tl.load(numbers + level * WORLDS + slot) * places
                to0 = draw < left0
                to1 = (draw < bound1) & (draw >= left0)
                to2 = (draw < bound2) & (draw >= bound1)
                left0 -= to0.to(tl.float64)
                left1 -= to1.to(tl.float64)
                left2 -= to2.to(tl.float64)
                hand0 |= tl.where(to0, card, 0)
                hand1 |= tl.where(to1, card, 0)
                hand2 |= tl.where(to2, card, 0)
                places -= 1.0
                level += 1
            into = hands + world * games + game
            asked = world < count
            plane = tl.cast(count, tl.int64) * games
            tl.store(into, hand0, mask=asked)
            tl.store(into + plane, hand1, mask=asked)
            tl.store(into + 2 * plane, hand2, mask=asked)
            first += WORLDS
        game += tl.num_programs(0)

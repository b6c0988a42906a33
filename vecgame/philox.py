"""Counter-based random numbers as tensor operations: Philox 4x32-10.

Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), and the Random123 library's
known-answer vectors, which the tests check. A number is a pure function of (seed, purpose, game, stream, position), so
the same game gets the same numbers on every device, at every place in every batch.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from operator import index

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
ROUNDS = 10
DECISION_BITS = 8  # a stream's low bits, for a game's decision
WORLD_BITS = 16  # above them, for the number of a world; what a turn has beyond is told apart again
LATER_BITS = DECISION_BITS + WORLD_BITS  # below what tells later decisions, or a match's games, apart
MOST_DECISIONS = 1 << 32 - WORLD_BITS  # of a game whose turns are `turn_of` their number
MULTIPLIER = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


class Purpose(IntEnum):
    """What a random number is for; two purposes never share a number."""

    DEAL = 0
    TRUMP = 1
    DEALER = 2
    WORLD = 3
    PLAYOUT = 4
    NOISE = 5
    ACTION = 6
    LEARNER = 7
    GUMBEL = 8
    EXPANSION = 9
    INFERENCE = 10
    DIRECTION = 11
    GIVEN = 12
    PLAYOUT_CAP = 13
    SUITS = 14
    MATCH = 15
    HIDDEN = 16
    SEAT = 17
    JUDGED = 18
    OWN = 19  # of a game of one's own, for what it draws beside its deck: nothing here draws by it
    LISTED = 20


def philox4x32(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int | Tensor, int | Tensor]
) -> tuple[Tensor, ...]:
    """Philox 4x32-10 of many counters under one key.

    Args:
        counter: four int64 tensors of one shape, each holding unsigned 32-bit words.
        key: two unsigned 32-bit integers, or tensors [] int64 of them.

    Returns:
        Four int64 tensors of that shape, each holding unsigned 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # A 32 x 32 bit product fills 64 bits; int64 multiplication wraps, so the bits are right whatever the sign.
        p0 = c0 * MULTIPLIER[0]
        p1 = c2 * MULTIPLIER[1]
        c0 = ((p1 >> 32) & WORD) ^ c1 ^ k0
        c2 = ((p0 >> 32) & WORD) ^ c3 ^ k1
        c1 = p1 & WORD
        c3 = p0 & WORD
        k0 = (k0 + WEYL[0]) & WORD
        k1 = (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Stream:
    """A source of random numbers for each lane of a batch of B.

    The Philox key is the seed; the counter's four words are (offset + block, stream, game, game's high bits and
    purpose), so lanes with different (game, stream) never share a number.
    """

    seed: int | Tensor  # 0 <= seed < 2**64; or below 2**63 as a tensor [] int64 on the games' device
    game: Tensor  # [B] int64, 0 <= game < 2**56: which game of the run
    stream: Tensor  # [B] int64, 0 <= stream < 2**32: which decision (and world) of the game
    offset: int | Tensor = 0  # where in the stream to begin, in blocks of four words; [B] int64 when lanes differ

    @property
    def number(self) -> Tensor:
        """[B] int64, what goes round with the games, such as the dealer, goes round by."""
        return self.game

    @classmethod
    def of_worlds(cls, seed: int, game: Tensor, turn: Tensor, count: int) -> "Stream":
        """A lane for each of ``count`` worlds of each game at its decision ``turn`` ([B] int64): B * count lanes, the
        worlds of a game adjacent. Raises ValueError unless there can be so many."""
        count = check_count(count)
        world = torch.arange(count, device=game.device).repeat(len(game))
        return cls(seed, game.repeat_interleave(count), turn.repeat_interleave(count) | (world << DECISION_BITS))

    def at(self, offset: int | Tensor) -> "Stream":
        """The same lanes, further on in their streams."""
        return replace(self, offset=offset)

    def take(self, lanes: Tensor | None) -> "Stream":
        """Some lanes ([K] int64, None for all) of the batch, with the numbers that they had in it."""
        if lanes is None:
            return self
        offset = self.offset[lanes] if isinstance(self.offset, Tensor) else self.offset
        return replace(self, game=self.game[lanes], stream=self.stream[lanes], offset=offset)

    def repeat(self, offsets: list[int]) -> "Stream":
        """All lanes once for each of some places in their streams: len(offsets) * B lanes."""
        if len(offsets) == 1:
            return self.at(offsets[0])
        lanes, count = len(self.game), len(offsets)
        places = torch.cat([torch.full_like(self.game, offset) for offset in offsets])
        return Stream(self.seed, self.game.repeat(count), self.stream.expand(lanes).repeat(count), places)

    def words(self, purpose: Purpose, count: int) -> Tensor:
        """``count`` random 32-bit words a lane: [B, count] int64."""
        blocks = -(-count // 4)
        first = self.offset[:, None] if isinstance(self.offset, Tensor) else self.offset
        block = (torch.arange(blocks, device=self.game.device) + first).expand(len(self.game), blocks)
        shape = block.shape
        low = (self.game & WORD)[:, None].expand(shape)
        high = ((self.game >> 32) | (int(purpose) << 24))[:, None].expand(shape)
        words = philox4x32(
            (block, self.stream[:, None].expand(shape), low, high), (self.seed & WORD, (self.seed >> 32) & WORD)
        )
        return torch.stack(words, dim=-1).flatten(1)[:, :count]

    def uniform(self, purpose: Purpose, count: int) -> Tensor:
        """``count`` numbers a lane, uniform on the 2**53 multiples of 2**-53 in [0, 1): [B, count] float64."""
        words = self.words(purpose, 2 * count)
        return ((words[:, 0::2] << 21) | (words[:, 1::2] >> 11)).double() * 2.0**-53

    def keys(self, purpose: Purpose, count: int) -> Tensor:
        """``count`` numbers of 63 bits a lane, whose order is a random one: [B, count] int64."""
        words = self.words(purpose, 2 * count)
        return (words[:, 0::2] << 31) | (words[:, 1::2] >> 1)

    def integers(self, purpose: Purpose, bound: int) -> Tensor:
        """One integer a lane, uniform on 0..bound-1 up to a bias of bound / 2**53: [B] int64."""
        return (self.uniform(purpose, 1)[:, 0] * bound).long()


def turn_of(number: Tensor) -> Tensor:
    """A turn for each decision of a game, which has up to `MOST_DECISIONS`, by its number [B] int64: that itself below
    256, and of later ones what is beyond above the bits that are a world's."""
    return number & ((1 << DECISION_BITS) - 1) | (number >> DECISION_BITS) << LATER_BITS


def check_seed(seed: int) -> int:
    """The seed as an int, or a ValueError that says what a seed is."""
    number = whole(seed, -1)
    if not 0 <= number < 2**64:
        raise ValueError(f"seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    return number


def check_count(count: int) -> int:
    """A count of worlds as an int, or a ValueError that says how many there may be."""
    number = whole(count, 0)
    if not 1 <= number <= 1 << (32 - DECISION_BITS):
        limit = "at least 1" if whole(count, 1) < 1 else "a whole number up to 2**24"
        raise ValueError(f"count must be {limit}, got {count!r}")
    return number


def whole(number: object, other: int) -> int:
    """An integer of Python's, numpy's or torch's as one of Python's; ``other`` where it is none."""
    try:
        return other if isinstance(number, bool) else index(number)
    except TypeError:
        return other


def dirichlet(stream: Stream, mask: Tensor, alpha: float) -> Tensor:
    """Symmetric Dirichlet noise over the marked columns of each lane.

    Gamma variates by Marsaglia and Tsang, "A simple method for generating gamma variables" (ACM TOMS 26, 2000), with
    the boost Gamma(a) = Gamma(a + 1) * U**(1 / a) for a < 1. Their rejection accepts over 95% of proposals; a fixed
    number of rounds keeps shapes static, and the chance that all of them fail is below 1e-10.

    Args:
        stream: B lanes.
        mask: [B, K] bool, the columns that take part; at least one a lane.
        alpha: concentration, > 0.

    Returns:
        [B, K] float64 that sums to 1 over the marked columns and is 0 elsewhere.
    """
    rounds = 8
    lanes, columns = mask.shape
    u = stream.uniform(Purpose.NOISE, columns * (3 * rounds + 1)).view(lanes, columns, 3 * rounds + 1)
    shape = alpha + 1 if alpha < 1 else alpha
    d = shape - 1 / 3
    c = (9 * d) ** -0.5
    radius = (-2 * torch.log(1 - u[..., 0 : 3 * rounds : 3])).sqrt()
    normal = radius * torch.cos(2 * torch.pi * u[..., 1 : 3 * rounds : 3])
    v = (1 + c * normal).clamp(min=0) ** 3
    log_u = torch.log(1 - u[..., 2 : 3 * rounds : 3])
    accepted = (v > 0) & (log_u < 0.5 * normal**2 + d - d * v + d * torch.log(v.clamp(min=1e-300)))
    first = accepted.to(torch.int8).argmax(-1, keepdim=True)  # argmax takes the first of equals
    gamma = (d * v).gather(-1, first).squeeze(-1)
    gamma = torch.where(accepted.any(-1), gamma, torch.full_like(gamma, shape))
    if alpha < 1:
        gamma = gamma * (1 - u[..., -1]) ** (1 / alpha)
    gamma = torch.where(mask, gamma.clamp(min=1e-300), torch.zeros_like(gamma))
    return gamma / gamma.sum(-1, keepdim=True)

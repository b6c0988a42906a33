"""Random numbers against published answers, a plain-integer Philox, and theory.

Every statistical test has a fixed seed and states how often a correct implementation would fail it for another one.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers import chi_square_p
from vecgame import Purpose, Stream
from vecgame.philox import DECISION_BITS, MOST_DECISIONS, WORLD_BITS, check_seed, dirichlet, philox4x32, turn_of

ERROR_RATE = 1e-4  # of each p-value's test
SIGMAS = 4.5  # a normal statistic is further out with probability 7e-6

# The file kat_vectors of Random123, lines "philox4x32 10": counter, key, result.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def hex_words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x32-10 with Python's integers, after the paper's figure."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 1 << 32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % (1 << 32), (k[1] + 0xBB67AE85) % (1 << 32)]
    return c


def stream(lanes: int, seed: int = 0, first: int = 0) -> Stream:
    games = torch.arange(first, first + lanes)
    return Stream(seed, games, torch.zeros_like(games))


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_published_known_answers(counter, key, answer):
    words = philox4x32(tuple(torch.tensor([word]) for word in hex_words(counter)), tuple(hex_words(key)))
    assert [int(word) for word in words] == hex_words(answer)
    assert plain_philox(hex_words(counter), hex_words(key)) == hex_words(answer)


def test_counters_of_a_batch_are_independent():
    counters = torch.tensor([hex_words(counter) for counter, _, _ in KNOWN_ANSWERS])
    words = torch.stack(philox4x32(tuple(counters.T), (0xA4093822, 0x299F31D0)), dim=-1)
    expected = [plain_philox(counter, [0xA4093822, 0x299F31D0]) for counter in counters.tolist()]
    assert words.tolist() == expected
    assert words[2].tolist() == hex_words(KNOWN_ANSWERS[2][2])


@pytest.mark.parametrize("seed", [0, 1, 0xFFFFFFFF, 1 << 32, 0x0123456789ABCDEF, 2**64 - 1])
@pytest.mark.parametrize("purpose", [Purpose.DEAL, Purpose.WORLD, Purpose.LEARNER])
def test_the_counter_is_block_stream_game_and_purpose(seed, purpose):
    """The documented layout, so that a run can be repeated by any other program."""
    games = [0, 1, 12345, 2**32 - 1, 2**32, 2**56 - 1]
    streams = [0, 7, 255, 256, 2**31, 2**32 - 1]
    words = Stream(seed, torch.tensor(games), torch.tensor(streams), offset=3).words(purpose, 8).tolist()
    for lane, (game, place) in enumerate(zip(games, streams, strict=True)):
        key = [seed % (1 << 32), seed >> 32]
        low, high = game % (1 << 32), (game >> 32) + (int(purpose) << 24)
        assert words[lane] == plain_philox([3, place, low, high], key) + plain_philox([4, place, low, high], key)


def test_purposes_keep_their_numbers():
    """Or games dealt before would be dealt otherwise; what is new comes last."""
    names = "DEAL TRUMP DEALER WORLD PLAYOUT NOISE ACTION LEARNER GUMBEL EXPANSION INFERENCE DIRECTION GIVEN"
    names += " PLAYOUT_CAP SUITS MATCH HIDDEN SEAT JUDGED OWN LISTED"
    assert [purpose.name for purpose in Purpose] == names.split()
    assert [int(purpose) for purpose in Purpose] == list(range(21))


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_lane_does_not_depend_on_the_batch(purpose):
    whole = stream(50, seed=9)
    lanes = torch.tensor([49, 0, 17, 17])
    for draw in (lambda s: s.words(purpose, 13), lambda s: s.uniform(purpose, 13), lambda s: s.integers(purpose, 5)):
        assert torch.equal(draw(whole.take(lanes)), draw(whole)[lanes])
        assert torch.equal(draw(stream(20, seed=9, first=30)), draw(whole)[30:])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 104])
def test_a_longer_draw_begins_with_the_shorter(count):
    assert torch.equal(stream(7).words(Purpose.DEAL, 120)[:, :count], stream(7).words(Purpose.DEAL, count))
    assert torch.equal(stream(7).uniform(Purpose.DEAL, 120)[:, :count], stream(7).uniform(Purpose.DEAL, count))


def test_offsets_continue_a_stream():
    whole = stream(5).words(Purpose.PLAYOUT, 40)
    for block in (1, 2, 9):
        assert torch.equal(stream(5).at(block).words(Purpose.PLAYOUT, 4), whole[:, 4 * block : 4 * block + 4])
    assert torch.equal(stream(5).at(4).at(1).words(Purpose.PLAYOUT, 4), whole[:, 4:8])  # absolute, not relative


def test_numbers_differ_between_seeds_purposes_games_streams_and_positions():
    games, places = torch.arange(40) % 8, torch.arange(40) // 8
    streams = [Stream(seed, games, places) for seed in (0, 1, 1 << 32)]
    drawn = torch.cat([s.uniform(purpose, 16).flatten() for s in streams for purpose in Purpose])
    assert len(drawn) == 3 * len(Purpose) * 40 * 16
    assert len(drawn.unique()) == len(drawn)  # by chance two are equal once in 15 million runs


def test_worlds_have_streams_of_their_own():
    games, turns = torch.tensor([4, 4, 9]), torch.tensor([0, 23, 55])
    worlds = Stream.of_worlds(3, games, turns, count=5)
    assert worlds.game.tolist() == [4] * 10 + [9] * 5
    assert worlds.stream.tolist() == [turn + 256 * world for turn in turns.tolist() for world in range(5)]
    longer = Stream.of_worlds(3, games, turns, count=7)
    assert longer.stream.view(3, 7)[:, :5].flatten().tolist() == worlds.stream.tolist()
    assert len(worlds.words(Purpose.WORLD, 8).flatten().unique()) == 15 * 8


class FixedWords(Stream):
    """A stream whose every word is the seed."""

    def words(self, purpose: Purpose, count: int) -> Tensor:
        return torch.full((len(self.game), count), self.seed)


def test_decisions_of_long_games_share_no_stream_with_others_or_with_worlds():
    number = torch.arange(MOST_DECISIONS)
    turn = turn_of(number)
    assert torch.equal(turn[:256], number[:256]) and int(turn.max()) < 2**32
    assert len(turn.unique()) == MOST_DECISIONS
    worlds = (2**WORLD_BITS - 1) << DECISION_BITS  # bits of a world's number, which no turn has
    assert (turn & worlds == 0).all()


def test_uniform_fills_the_half_open_interval():
    lane = torch.zeros(1, dtype=torch.int64)
    assert FixedWords(0, lane, lane).uniform(Purpose.DEAL, 3).tolist() == [[0.0] * 3]
    highest = FixedWords(0xFFFFFFFF, lane, lane).uniform(Purpose.DEAL, 3)
    assert highest.dtype == torch.float64
    assert highest.tolist() == [[1 - 2.0**-53] * 3]
    assert [int(FixedWords(0xFFFFFFFF, lane, lane).integers(Purpose.DEAL, bound)) for bound in (1, 4, 5)] == [0, 3, 4]
    draw = stream(10_000).uniform(Purpose.DEAL, 50)
    assert 0 <= float(draw.min()) < 1e-4 and 1 - 1e-4 < float(draw.max()) < 1


def test_uniform_is_made_of_two_words():
    words = stream(4).words(Purpose.WORLD, 6).tolist()
    expected = [[((a << 32 | b) >> 11) / 2**53 for a, b in zip(w[0::2], w[1::2], strict=True)] for w in words]
    assert stream(4).uniform(Purpose.WORLD, 3).tolist() == expected


@pytest.mark.parametrize("position", range(4))
def test_every_byte_of_a_word_is_uniform(position):
    """Four tests of error rate 1e-4."""
    words = stream(20_000, seed=2).words(Purpose.DEAL, 8)
    counts = torch.bincount((words >> 8 * position & 0xFF).flatten(), minlength=256)
    assert chi_square_p(counts, [words.numel() / 256]) > ERROR_RATE


@pytest.mark.parametrize("neighbour", ["position", "game", "stream", "seed", "purpose"])
def test_neighbours_are_independent(neighbour):
    """Pairs of neighbouring numbers fill a 16 x 16 grid evenly. Five tests of error rate 1e-4."""
    n = 100_000
    games, zeros = torch.arange(n), torch.zeros(n, dtype=torch.int64)
    a = Stream(5, games, zeros).uniform(Purpose.DEAL, 2)
    b = {
        "position": lambda: a[:, 1:],
        "game": lambda: Stream(5, games + 1, zeros).uniform(Purpose.DEAL, 1),
        "stream": lambda: Stream(5, games, zeros + 1).uniform(Purpose.DEAL, 1),
        "seed": lambda: Stream(6, games, zeros).uniform(Purpose.DEAL, 1),
        "purpose": lambda: Stream(5, games, zeros).uniform(Purpose.TRUMP, 1),
    }[neighbour]()
    cell = (16 * a[:, 0]).long() * 16 + (16 * b[:, 0]).long()
    assert chi_square_p(torch.bincount(cell, minlength=256), [n / 256]) > ERROR_RATE


@pytest.mark.parametrize("bound", [2, 3, 5, 52])
def test_integers_are_uniform(bound):
    """Four tests of error rate 1e-4."""
    counts = torch.bincount(stream(50_000, seed=4).integers(Purpose.ACTION, bound), minlength=bound)
    assert len(counts) == bound
    assert chi_square_p(counts, [50_000 / bound]) > ERROR_RATE


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, 3.0, True, None, "seven", float("nan")])
def test_what_is_no_seed(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0 to"):
        check_seed(seed)


def test_a_seed_may_be_a_tensor():
    game = torch.arange(5)
    for seed in (0, 3, 2**32 + 7, 2**63 - 1):
        here, there = (Stream(number, game, 2 * game) for number in (seed, torch.tensor(seed)))
        assert torch.equal(here.words(Purpose.SUITS, 6), there.words(Purpose.SUITS, 6))


def test_what_is_a_seed():
    assert [check_seed(seed) for seed in (0, 2**64 - 1, torch.tensor(3), np.uint32(4))] == [0, 2**64 - 1, 3, 4]


# --- Dirichlet noise ---

LANES, COLUMNS = 25_000, 8
ACTIVE = [1, 2, 4, 7]  # columns that take part below
ALPHAS = [0.3, 1.0, 3.0]


def noise(alpha: float, lanes: int = LANES, seed: int = 11) -> Tensor:
    mask = torch.zeros(lanes, COLUMNS, dtype=torch.bool)
    mask[:, ACTIVE] = True
    return dirichlet(stream(lanes, seed), mask, alpha)


@pytest.mark.parametrize("alpha", [0.01, *ALPHAS, 30.0])
def test_noise_is_a_distribution_over_the_mask(alpha):
    mask = torch.rand(5_000, COLUMNS, generator=torch.Generator().manual_seed(0)) < 0.4
    mask[:, 3] |= ~mask.any(-1)
    drawn = dirichlet(stream(5_000), mask, alpha)
    assert drawn.dtype == torch.float64 and drawn.isfinite().all()
    assert (drawn[~mask] == 0).all() and (drawn[mask] > 0).all() and (drawn <= 1).all()
    assert torch.allclose(drawn.sum(-1), torch.ones(5_000, dtype=torch.float64), rtol=0, atol=1e-12)
    single = mask.sum(-1) == 1
    assert single.any() and (drawn[single].max(-1).values == 1).all()


def test_noise_does_not_depend_on_the_batch():
    mask = torch.ones(10, COLUMNS, dtype=torch.bool)
    lanes = torch.tensor([9, 3])
    assert torch.equal(dirichlet(stream(10).take(lanes), mask[lanes], 0.3), dirichlet(stream(10), mask, 0.3)[lanes])


@pytest.mark.parametrize("alpha", ALPHAS)
def test_noise_has_the_moments_of_a_dirichlet(alpha):
    """Means, variances, mean logarithms and covariances within 4.5 standard errors of theory.

    At each alpha 4 + 4 + 4 + 3 numbers, each out of bounds with probability 7e-6: an error rate of 1e-4.
    """
    x = noise(alpha)[:, ACTIVE]
    k = len(ACTIVE)
    total = k * alpha

    def check(samples: Tensor, theory: float) -> None:
        error = (samples.mean(0) - theory).abs() / (samples.std(0) / math.sqrt(LANES))
        assert (error < SIGMAS).all(), (error, theory)

    check(x, 1 / k)
    check(x**2, alpha * (alpha + 1) / (total * (total + 1)))
    a, t = torch.tensor([alpha, total], dtype=torch.float64)
    check(x.log(), float(torch.digamma(a) - torch.digamma(t)))
    check(x[:, 1:] * x[:, :-1], alpha**2 / (total * (total + 1)))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_noise_has_the_spread_of_logarithms_of_a_dirichlet(alpha):
    """The variance of log x is trigamma(alpha) - trigamma(k alpha): sensitive to the left tail. Error rate 3e-5."""
    logs = noise(alpha, seed=12)[:, ACTIVE].log()
    a = torch.tensor([alpha, len(ACTIVE) * alpha], dtype=torch.float64)
    mean, variance = (-torch.polygamma(n, a).diff() for n in (0, 1))
    deviations = (logs - mean) ** 2
    error = (deviations.mean(0) - variance).abs() / (deviations.std(0) / math.sqrt(LANES))
    assert (error < SIGMAS).all()


def test_noise_of_alpha_one_over_two_columns_is_uniform():
    """Error rate 1e-4."""
    drawn = dirichlet(stream(LANES, 13), torch.ones(LANES, 2, dtype=torch.bool), 1.0)[:, 0]
    assert chi_square_p(torch.bincount((50 * drawn).long(), minlength=50), [LANES / 50]) > ERROR_RATE

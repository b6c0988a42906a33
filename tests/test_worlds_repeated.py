"""Worlds are the same whatever the batch, the chunks and the device, and others for another seed, game or decision."""

import hashlib
from itertools import pairwise

import pytest
import torch

from tests.emulated_gpu import EmulatedGpu
from tests.helpers import assert_same_state, play_randomly
from tests.worlds import as_games
from vecgame import Blob, Hearts, Spades, Whist, concatenate, counts, worlds
from vecgame.games.blob_state import BlobState


def at_every_decision(cards: int, lanes: int, seed: int) -> tuple[Blob, BlobState]:
    """A batch whose lanes are spread over all decisions of their games, the end included."""
    game = Blob(cards=cards)
    record = play_randomly(game, game.deal(lanes, seed), seed)
    return game, concatenate([record[i % len(record)][0][i : i + 1] for i in range(lanes)])


@pytest.mark.parametrize("cards", [1, 2, 5, 13])
def test_worlds_do_not_depend_on_the_batch(cards):
    game, state = at_every_decision(cards, lanes=2 * (5 + 4 * cards), seed=34)
    together = game.determinize(state, 3, seed=10)
    alone = [game.determinize(state[i : i + 1], 3, seed=10) for i in range(state.batch_size)]
    assert_same_state(concatenate(alone), together)
    order = torch.randperm(state.batch_size, generator=torch.Generator().manual_seed(0))
    shuffled = game.determinize(state.take(order), 3, seed=10)
    assert_same_state(shuffled, together.take((3 * order[:, None] + torch.arange(3)).flatten()))


@pytest.mark.parametrize("cards", [2, 5, 13])
def test_worlds_do_not_depend_on_the_chunks(cards, monkeypatch):
    game, state = at_every_decision(cards, lanes=100, seed=35)
    whole = game.determinize(state, 2, seed=11)
    largest = 8 * 53 * (cards + 1) ** 3
    for table_bytes in (1, 7 * largest, 1 << 40):
        monkeypatch.setitem(worlds.TABLE_BYTES, "cpu", table_bytes)
        assert_same_state(game.determinize(state, 2, seed=11), whole)


@pytest.fixture
def chunks(monkeypatch) -> list[int]:
    """The number of games in each chunk that is drawn."""
    sizes, deal = [], worlds.deal_items
    monkeypatch.setattr(worlds, "deal_items", lambda *a: sizes.append(a[0].shape[-1]) or deal(*a))
    return sizes


def test_chunks_are_as_large_as_the_tables_allow(chunks, monkeypatch):
    """The number of lanes a chunk follows `TABLE_BYTES`; otherwise the test above would prove nothing."""
    game = Blob(cards=2)
    state = game.deal(10, seed=0)
    monkeypatch.setitem(worlds.TABLE_BYTES, "cpu", 4 * 8 * 27)  # nothing restricted: one table of 3**3 numbers
    game.determinize(state, 2, seed=0)
    assert chunks == [4, 4, 2]


@pytest.mark.gpu
def test_a_gpu_draws_all_worlds_in_one_piece_where_they_fit(gpu: EmulatedGpu | None, chunks, monkeypatch):
    """In pieces where they do not, by tensors; the worlds are those of a CPU all the same."""
    monkeypatch.setattr(worlds, "DRAWN_BY", {})  # as without Triton
    game, state = at_every_decision(3, lanes=40, seed=36)
    bytes_, chunk = [], worlds.games_at_once
    monkeypatch.setattr(worlds, "games_at_once", lambda *a: bytes_.append(a[1]) or chunk(*a))
    here, there = game.determinize(state, 2, seed=12), state.to("cuda")
    chunks.clear()
    assert_same_state(game.determinize(there, 2, seed=12).to("cpu"), here)
    assert chunks == [40]
    if gpu is not None:
        chunks.clear()
        room = int(17 * bytes_[0] / worlds.TABLE_SHARE)
        gpu.memory.taken_by_others = gpu.memory.total - gpu.memory.allocated - room
        gpu.memory.limit = gpu.memory.total
        assert_same_state(game.determinize(there, 2, seed=12).to("cpu"), here)
        assert max(chunks) in (16, 17) and sum(chunks) == 40


@pytest.mark.parametrize("game", [Blob(cards=3), Blob(cards=3, players=5)], ids=["four seats", "five seats"])
def test_tables_are_as_small_as_the_batch_allows(game, monkeypatch):
    """Nothing is restricted in the bidding, so there is no table; later it is bounded by what the batch holds."""
    found, read = [], worlds._sizes
    monkeypatch.setattr(worlds, "_sizes", lambda numbers: found.append(read(numbers)) or found[-1])
    made, count = [], counts.completions
    monkeypatch.setattr(counts, "completions", lambda *a: made.append(a[2]) or count(*a))
    state = game.deal(20, seed=3)
    game.determinize(state, 1, seed=0)
    assert found[0][0] == 0 and not made
    for _ in range(game.decisions - game.seats - 1):  # until one trick and a card are left
        state = game.step(state, game.legal_actions(state)[:, 0])
    game.determinize(state, 1, seed=0)
    assert 0 < found[1][0] < (26 if game.seats == 4 else 5)
    assert max(made[0][:3]) == 2 if game.seats == 4 else counts.table_size(0, made[0]) < 14**2


GOLDEN = {
    Blob(cards=5): "9b4a1d70ed40b7de",
    Blob(cards=13): "67ad4e1221d8d057",
    Blob(players=3, cards=9, trump="turned"): "d68d0019b621fba7",
    Blob(players=5, cards=7): "7219eae02dd9e131",
    Blob(players=6, cards=8): "09b2fd171bc037de",
    Blob(players=7, cards=7): "bce8e1ab07418d4a",
    Hearts(): "715af128b475b388",
    Spades(): "83d9efd415e39ef1",
    Whist(): "f3932f8d3cfb66c2",
}


@pytest.mark.parametrize(("game", "digest"), GOLDEN.items(), ids=lambda value: getattr(value, "name", None))
def test_golden_worlds(game, digest):
    """Worlds of games 0 .. 49 of seed 0, everybody making the lowest action. They fix every search's result."""
    drawn = []
    state = game.deal(50, seed=0)
    for decision in range(game.decisions):
        if decision % 5 == 2:
            drawn += game.determinize(state, 3, seed=0).hands.tolist()
        state = game.step(state, game.legal_actions(state)[:, 0])
    assert hashlib.sha256(repr(drawn).encode()).hexdigest()[:16] == digest


def test_more_worlds_begin_with_the_fewer():
    game, state = at_every_decision(5, lanes=100, seed=36)
    three, five = game.determinize(state, 3, seed=12), game.determinize(state, 5, seed=12)
    first = (5 * torch.arange(100)[:, None] + torch.arange(3)).flatten()
    assert_same_state(five.take(first), three)
    assert_same_state(game.determinize(state, 3, seed=12), three)


def test_seeds_games_and_worlds_draw_differently():
    game = Blob(cards=5)
    state = as_games(game.deal(1, seed=37), 20)
    drawn = torch.cat([game.determinize(state, 10, seed=seed).hands for seed in (0, 1, 2**63)])
    assert len(drawn.unique(dim=0)) == 600
    assert game.determinize(state).batch_size == 3 * 20
    assert_same_state(game.determinize(state), game.determinize(state, count=3, seed=0))


def test_the_next_decision_draws_differently():
    """Card by card the same numbers would give the next bidder nearly the same deal of the others."""
    game = Blob(cards=1, suits=4, ranks=13)
    state = game.deal(2_000, seed=38)
    held = []
    for _ in range(4):
        held.append(game.determinize(state, 1, seed=0).hands.gather(1, ((state.dealer + 4) % 4).long()[:, None])[:, 0])
        state = game.step(state, torch.zeros(2_000, dtype=torch.long))
    for a, b in pairwise(held[:3]):  # what the dealer holds, drawn for the first three bidders
        assert float((a == b).double().mean()) < 0.04  # 1/51 are equal by chance; 0.04 is 6 standard errors above


@pytest.mark.parametrize("count", [0, -1])
def test_there_must_be_a_world(count):
    with pytest.raises(ValueError, match=f"count must be at least 1, got {count}"):
        Blob().determinize(Blob().deal(2), count)

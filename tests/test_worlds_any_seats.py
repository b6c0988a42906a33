"""Hidden hands of any number of opponents, against full enumeration and exact counts.

Chi-square tests have fixed seeds; a correct sampler fails one of them for another seed with probability 1e-4.
"""

from itertools import islice
from math import comb, factorial, prod

import pytest
import torch

from tests.helpers import assert_same_state, bits_of, chi_square_p, play_randomly, reshuffle, to_reference
from tests.worlds import as_games, positions, shown_voids, shows_void_now, tally
from vecgame import Blob, concatenate, counts, lanes, worlds
from vecgame.cards import popcount
from vecgame.games.blob_state import BlobState
from veclab.reference.rules import is_bidding
from veclab.reference.worlds import World, consistent_worlds, unseen_cards

ERROR_RATE = 1e-4
SMALL_DECKS = [
    Blob(players=3, cards=3, ranks=3),  # three cards undealt
    Blob(players=3, cards=4, ranks=3, hook=False),  # none undealt
    Blob(players=4, cards=3, suits=3, ranks=4),  # by the list of needs too
    Blob(players=5, cards=2, suits=4, ranks=3),
    Blob(players=5, cards=3, suits=4, ranks=4),
    Blob(players=6, cards=2, suits=3, ranks=5, hook=False),
    Blob(players=7, cards=2, suits=2, ranks=8),
    Blob(players=7, cards=2, suits=4, ranks=4),
]
LARGE = [Blob(players=3, cards=13), Blob(players=5, cards=9), Blob(players=6, cards=8), Blob(players=7, cards=7)]


@pytest.fixture
def by_needs(monkeypatch) -> None:
    """Three opponents' hands are drawn as other numbers of them are."""
    monkeypatch.setattr(worlds, "BY_CARD", 0)


def name(game: Blob) -> str:
    return f"{game.cards} of {game.rules.suits}x{game.rules.ranks} for {game.seats}"


def assert_uniform(game: Blob, lane: BlobState, listed: list[World]) -> None:
    """Worlds of one game, and one world each of many games, against the list of all."""
    count = 25 * len(listed)
    for sampled in (
        worlds.determinize(game, lane, count, seed=17),
        worlds.determinize(game, as_games(lane, count), 1, seed=18),
    ):
        assert chi_square_p(tally(sampled, listed), [25.0]) > ERROR_RATE


@pytest.mark.parametrize("game", SMALL_DECKS[1::2], ids=name)
def test_worlds_are_uniform_over_all_consistent_deals(game, by_needs):
    rows = play_randomly(game, game.deal(60, seed=3), seed=3)[game.seats : -1]
    for batch, _ in rows[:: max(1, len(rows) // 5)]:
        voids = [shown_voids(*to_reference(game, batch, lane)) for lane in range(batch.batch_size)]
        for lane in sorted(range(60), key=lambda lane: -voids[lane])[:2]:
            listed = list(islice(consistent_worlds(*to_reference(game, batch, lane)), 301))
            if 2 <= len(listed) <= 300:
                assert_uniform(game, batch[lane : lane + 1], listed)


@pytest.mark.slow
@pytest.mark.parametrize("game", SMALL_DECKS, ids=name)
def test_worlds_are_uniform_at_many_more_positions(game, by_needs):
    for lane, _, _, listed in positions(game):
        assert_uniform(game, lane, listed)


@pytest.mark.slow
def test_the_positions_above_cover_what_matters():
    found = [(rules, state) for game in SMALL_DECKS for _, rules, state, _ in positions(game)]
    voids = [shown_voids(rules, state) for rules, state in found]
    assert len(found) > 100 and max(voids) >= 6 and sum(shows_void_now(state) for _, state in found) > 50
    assert {rules.players for rules, state in found if not is_bidding(state)} == {3, 4, 5, 6, 7}


@pytest.mark.parametrize("game", LARGE, ids=name)
def test_tables_count_the_deals(game, monkeypatch):
    """The first table's entry, at every decision of a full deck, is the number of deals by recursion in integers.

    The places of a hand are told apart.
    """
    found, deal, tested = [], worlds.deal_items, 0
    monkeypatch.setattr(worlds, "deal_items", lambda *a: found.append(a) or deal(*a))
    for state, _ in play_randomly(game, game.deal(2, seed=5), seed=5)[game.seats : -1 : 7]:
        found.clear()
        game.determinize(state, 1, seed=0)
        if not found:
            continue
        ((places, _, counted, axis, sides, _, _),) = found
        workspace = torch.empty(counts.table_size(len(counted), sides) * state.batch_size, dtype=torch.float64)
        table, _ = counts.completions(counted, places.sum(0), sides, workspace)
        cards, longest = (axis * places).sum(1), sides.index(max(sides))  # [A, B], of each class
        cards[longest] = 0
        for lane in range(state.batch_size):
            rules, expected = to_reference(game, state, lane)
            unseen = [card // 13 for card in unseen_cards(rules, expected)]
            left, mover = tuple(unseen.count(suit) for suit in range(4)), int(game.mover(state)[lane])
            seats = [(mover + 1 + k) % game.seats for k in range(game.seats - 1)]
            hands = [
                (len(expected.hands[seat]), tuple(suit not in expected.voids[seat] for suit in range(4)))
                for seat in seats
                if any(left[suit] for suit in expected.voids[seat])
            ]
            told_apart = deals(tuple(hands), left) * prod(factorial(need) for need, _ in hands)
            assert abs(float(table[(0, *cards[:, lane].tolist(), lane)]) / told_apart - 1) < 1e-13
            tested += told_apart > 1
    assert tested > 5


def deals(hands: tuple[tuple[int, tuple[bool, ...]], ...], left: tuple[int, ...]) -> int:
    """Ways to give these hands (how many cards, which suits) out of so many cards of each suit."""
    memory: dict[tuple[int, tuple[int, ...]], int] = {}

    def ways(index: int, left: tuple[int, ...]) -> int:
        if index == len(hands):
            return 1
        if (index, left) not in memory:
            need, suits = hands[index]
            most = [min(n, need) if may else 0 for n, may in zip(left, suits, strict=True)]
            memory[index, left] = sum(
                comb(left[0], a)
                * comb(left[1], b)
                * comb(left[2], c)
                * comb(left[3], need - a - b - c)
                * ways(index + 1, (left[0] - a, left[1] - b, left[2] - c, left[3] - need + a + b + c))
                for a in range(most[0] + 1)
                for b in range(min(most[1], need - a) + 1)
                for c in range(min(most[2], need - a - b) + 1)
                if need - a - b - c <= most[3]
            )
        return memory[index, left]

    return ways(0, left)


@pytest.mark.parametrize("game", LARGE, ids=name)
def test_worlds_keep_all_that_the_mover_knows(game):
    """At every decision with the full deck: own hand, hand sizes, voids, and no card twice or from the table."""
    for state, _ in play_randomly(game, game.deal(3, seed=6), seed=6)[:-1:3]:
        sampled = game.determinize(state, 4, seed=6)
        for lane in range(state.batch_size):
            rules, expected = to_reference(game, state, lane)
            unseen = bits_of(unseen_cards(rules, expected))
            mover = int(game.mover(state)[lane])
            for hands in sampled.hands[4 * lane : 4 * lane + 4].tolist():
                assert hands[mover] == int(state.hands[lane, mover])
                others = [bits for seat, bits in enumerate(hands) if seat != mover]
                assert sum(others) & ~unseen == 0 and sum(map(int.bit_count, others)) == sum(others).bit_count()
                for seat, bits in enumerate(hands):
                    assert bits.bit_count() == len(expected.hands[seat])
                    for suit in expected.voids[seat] if seat != mover else ():
                        assert not bits >> 13 * suit & 0x1FFF


def test_each_unseen_card_goes_to_every_free_opponent_alike():
    """Six opponents during the bidding: an unseen card is in a given hand with probability 7 / 45."""
    game, n = Blob(players=7, cards=7), 20_000
    state = game.deal(1, seed=9)
    held = state.hands[0, int(game.mover(state))]
    drawn = game.determinize(state, n, seed=9).hands
    counts = torch.stack([(drawn >> card & 1).sum(0) for card in range(52) if not int(held) >> card & 1])
    others = [seat for seat in range(7) if seat != int(game.mover(state))]
    spread = (7 / 45 * 38 / 45 / n) ** 0.5
    assert ((counts[:, others] / n - 7 / 45).abs() < 5 * spread).all()  # 270 counts: fails for 1 in 6,000 seeds


@pytest.mark.parametrize("game", [LARGE[2], SMALL_DECKS[4]], ids=name)
def test_worlds_depend_on_nothing_but_what_is_known(game, monkeypatch):
    """Not on the batch, the chunks, the way of a GPU, or the hidden cards."""
    record = play_randomly(game, game.deal(game.decisions + 1, seed=7), seed=7)
    state = concatenate([state[lane : lane + 1] for lane, (state, _) in enumerate(record)])[::3]
    together = game.determinize(state, 3, seed=8)
    alone = [game.determinize(state[lane : lane + 1], 3, seed=8) for lane in range(state.batch_size)]
    assert_same_state(together, concatenate(alone))
    more = game.determinize(state, 5, seed=8).hands.view(-1, 5, game.seats)
    assert torch.equal(more[:, :3], together.hands.view(-1, 3, game.seats))
    going = state[~game.is_terminal(state)]
    other = reshuffle(game, going, game.mover(going), seed=8)
    assert torch.equal(game.determinize(going, 3, 8).hands, game.determinize(other, 3, 8).hands)
    monkeypatch.setitem(worlds.TABLE_BYTES, "cpu", 1 << 20)
    assert_same_state(together, game.determinize(state, 3, seed=8))
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    assert_same_state(together, game.determinize(state, 3, seed=8))


def test_finished_games_have_nothing_hidden():
    game = Blob(players=5, cards=3)
    end = play_randomly(game, game.deal(7, seed=1), seed=1)[-1][0]
    assert_same_state(game.determinize(end, 2, seed=1), end.repeat(2))
    assert game.determinize(end[:0], 2, seed=1).batch_size == 0


def test_there_must_be_a_world():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        Blob(players=3).determinize(Blob(players=3).deal(1), 0)


@pytest.mark.parametrize("players", [3, 7])
def test_seeds_and_worlds_draw_differently(players):
    game = Blob(players=players, cards=7)
    state = game.deal(50, seed=2)
    a, b = (game.determinize(state, 2, seed).hands.view(50, 2, players) for seed in (1, 2))
    assert (a != b).any(-1).float().mean() > 0.99 and (a[:, 0] != a[:, 1]).any(-1).float().mean() > 0.99
    assert int(popcount(a).sum()) == 100 * players * 7

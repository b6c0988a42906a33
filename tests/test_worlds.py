"""Sampled hidden hands against full enumeration, exact counts, and the rules.

Chi-square tests have fixed seeds; a correct sampler fails one of them for another seed with probability 1e-4.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice, pairwise

import pytest
import torch
from torch import Tensor

from tests.emulated_gpu import EmulatedGpu
from tests.helpers import (
    SEATS,
    assert_same_state,
    bits_of,
    cards_of,
    chi_square_p,
    play_randomly,
    reshuffle,
    to_reference,
)
from vecgame import Blob, Hearts, Spades, Whist, concatenate, counts, worlds
from vecgame.cards import unpack
from vecgame.games.blob_state import BlobState
from veclab.reference import rules as reference
from veclab.reference.worlds import World, consistent_worlds, unseen_cards

ERROR_RATE = 1e-4
SMALL_DECKS = [
    Blob(cards=2, suits=3, ranks=3),  # one card undealt
    Blob(cards=2, suits=4, ranks=3, hook=False),  # four undealt
    Blob(cards=2, suits=4, ranks=2),  # none undealt
    Blob(cards=3, suits=3, ranks=4),
    Blob(cards=3, suits=4, ranks=4, hook=False),
    Blob(cards=3, suits=3, ranks=5),
]
MOST_WORLDS = 700


def shown_voids(rules: reference.Rules, state: reference.State) -> int:
    """Voids that the mover's opponents have shown."""
    return sum(map(len, state.voids)) - len(state.voids[reference.mover(rules, state)])


def shows_void_now(state: reference.State) -> bool:
    """Whether somebody failed to follow in the current trick."""
    return any(card // 13 != state.trick[0][1] // 13 for _, card in state.trick)


@cache
def positions(game: Blob) -> list[tuple[BlobState, reference.Rules, reference.State, list[World]]]:
    """At each decision the games with the most and the fewest voids shown, and three with one in the current trick.

    Those with too many worlds to list are left out.

    Returns:
        Tuples of a batch of one, the same as the reference's rules and state, and its consistent worlds.
    """
    found = []
    for batch, _ in play_randomly(game, game.deal(60, seed=3), seed=3)[:-1]:
        lanes = [to_reference(game, batch, lane) for lane in range(batch.batch_size)]
        most = sorted(range(len(lanes)), key=lambda lane: -shown_voids(*lanes[lane]))
        now = [lane for lane in most if shows_void_now(lanes[lane][1])]
        for lane in {most[0], most[-1], *now[:3]}:
            rules, state = lanes[lane]
            listed = list(islice(consistent_worlds(rules, state), MOST_WORLDS + 1))
            if 2 <= len(listed) <= MOST_WORLDS:
                found.append((batch[lane : lane + 1], rules, state, listed))
    return found


def as_games(lane: BlobState, count: int) -> BlobState:
    """One position as that of games number 0 .. count - 1."""
    return replace(lane.repeat(count), index=torch.arange(count))


def tally(sampled: BlobState, listed: list[World]) -> Tensor:
    """How often each listed world was sampled; every sampled world must be among them."""
    number = {tuple(map(bits_of, hands)): i for i, hands in enumerate(listed)}
    counts = torch.zeros(len(listed))
    drawn, times = sampled.hands.unique(dim=0, return_counts=True)
    for hands, count in zip(drawn.tolist(), times.tolist(), strict=True):
        assert tuple(hands) in number, "a world that the mover can rule out"
        counts[number[tuple(hands)]] = count
    return counts


@pytest.mark.parametrize("sample", ["worlds of one game", "one world of many games"])
@pytest.mark.parametrize("game", SMALL_DECKS, ids=lambda game: f"{game.cards} of {game.rules.suits}x{game.rules.ranks}")
def test_worlds_are_uniform_over_all_consistent_deals(game, sample):
    for lane, _, state, listed in positions(game):
        count = 25 * len(listed)
        if sample == "worlds of one game":
            sampled = game.determinize(lane, count, seed=17)
        else:
            sampled = game.determinize(as_games(lane, count), 1, seed=18)
        assert chi_square_p(tally(sampled, listed), [25.0]) > ERROR_RATE, state


def test_the_positions_above_cover_what_matters():
    found = [(rules, state) for game in SMALL_DECKS for _, rules, state, _ in positions(game)]
    voids = [shown_voids(rules, state) for rules, state in found]
    assert len(found) > 60
    assert {len(state.trick) for _, state in found} == {0, 1, 2, 3}
    assert {state.bids.count(None) for _, state in found} == {0, 1, 2, 3, 4}
    assert sum(count > 0 for count in voids) > 30 and max(voids) >= 4
    assert sum(shows_void_now(state) for _, state in found) > 30
    assert {len(reference.deck(rules)) - SEATS * rules.cards for rules, _ in found} == {0, 1, 3, 4}  # undealt


def void_in_the_current_trick() -> tuple[Blob, BlobState]:
    """Seat 0 has led the 2S, seat 1 has no spade, seat 2 is to move; 3S and three other cards are unseen."""
    game = Blob(cards=2, suits=4, ranks=2, hook=False)
    hands = torch.tensor([[[0, 27], [13, 39], [14, 26], [1, 40]]])
    state = game.from_hands(hands, dealer=3, trump=4)
    for action in (0, 0, 0, 0, 0, 13):
        state = game.step(state, torch.tensor([action]), validate=True)
    return game, state


def test_a_void_shown_in_the_current_trick_counts():
    """Seats 0 and 1 hold one card each, seat 3 two. Seat 0 holds the 3S in 3 of the 9 worlds.

    Handing the 3S to seat 0 or 3 by a coin gives 1/2 (a greedy sampler; the original system's was alike), and not
    knowing that seat 1 has no spade gives 1/4.
    """
    game, state = void_in_the_current_trick()
    assert int(game.mover(state)) == 2
    listed = list(consistent_worlds(*to_reference(game, state, 0)))
    assert len(listed) == 9 and sum(1 in hands[0] for hands in listed) == 3
    n = 20_000
    hands = game.determinize(state, n, seed=1).hands
    share = ((hands >> 1) & 1).double().mean(0).tolist()
    assert share[1] == share[2] == 0
    assert abs(share[0] - 1 / 3) < 4.5 * (2 / 9 / n) ** 0.5  # 4.5 standard errors: fails once in 150,000 seeds
    assert abs(share[3] - 2 / 3) < 4.5 * (2 / 9 / n) ** 0.5
    assert chi_square_p(tally(game.determinize(state, n, seed=2), listed), [n / 9]) > ERROR_RATE


def test_the_worlds_of_a_game_are_independent():
    """Pairs of worlds of one game, pairs of games, and pairs of decisions: 9 x 9 cells each, 1e-4 each."""
    game, state = void_in_the_current_trick()
    listed = list(consistent_worlds(*to_reference(game, state, 0)))
    number = {tuple(map(bits_of, hands)): i for i, hands in enumerate(listed)}
    n = 8_000
    many = as_games(state, n)
    drawn = torch.tensor([number[tuple(row)] for row in game.determinize(many, 2, seed=5).hands.tolist()]).view(n, 2)
    other = torch.tensor([number[tuple(row)] for row in game.determinize(many, 1, seed=6).hands.tolist()])
    pairs = {
        "worlds": (drawn[:, 0], drawn[:, 1]),
        "games": (drawn[:-1, 0], drawn[1:, 0]),
        "seeds": (drawn[:, 0], other),
    }
    for name, (a, b) in pairs.items():
        assert chi_square_p(torch.bincount(9 * a + b, minlength=81), [len(a) / 81]) > ERROR_RATE, name


# --- decks too large to list ---


def counter(rules: reference.Rules, state: reference.State) -> tuple[list[int], Callable]:
    """The mover's three opponents, and a function that counts deals in Python's integers: of cards of given suits to
    the opponents who want so many each, the rest undealt."""
    me = reference.mover(rules, state)
    others = [(me + i) % SEATS for i in (1, 2, 3)]
    owners = {suit: [k for k, seat in enumerate(others) if suit not in state.voids[seat]] for suit in range(4)}

    @cache
    def ways(suits: tuple[int, ...], want: tuple[int, ...]) -> int:
        if sum(want) > len(suits):
            return 0
        if not suits:
            return 1
        return ways(suits[1:], want) + sum(ways(suits[1:], less(want, k)) for k in owners[suits[0]] if want[k] > 0)

    return others, ways


def less(want: tuple[int, ...], k: int) -> tuple[int, ...]:
    return tuple(n - (i == k) for i, n in enumerate(want))


def owner_shares(rules: reference.Rules, state: reference.State) -> dict[int, list[float]]:
    """By unseen card: the exact probability that seats 0..3, or nobody, hold it."""
    others, ways = counter(rules, state)
    want = tuple(len(state.hands[seat]) for seat in others)
    unseen = sorted(unseen_cards(rules, state))
    shares = {}
    for suit in {card // 13 for card in unseen}:
        rest = [card // 13 for card in unseen]
        rest.remove(suit)
        total = ways((suit, *rest), want)
        share = [0.0] * (SEATS + 1)
        share[SEATS] = ways(tuple(rest), want) / total
        for k, seat in enumerate(others):
            if suit not in state.voids[seat] and want[k] > 0:
                share[seat] = ways(tuple(rest), less(want, k)) / total
        shares |= {card: share for card in unseen if card // 13 == suit}
    return shares


def test_owner_shares_by_hand():
    game, state = void_in_the_current_trick()
    shares = owner_shares(*to_reference(game, state, 0))
    assert shares[1] == pytest.approx([1 / 3, 0, 0, 2 / 3, 0])
    assert shares[39] == pytest.approx([2 / 9, 1 / 3, 0, 4 / 9, 0])


@pytest.mark.parametrize(
    ("cards", "decision"), [(5, 0), (5, 6), (5, 11), (5, 17), (8, 14), (8, 23), (10, 25), (13, 4), (13, 18), (13, 31)]
)
def test_every_card_goes_to_its_owners_in_proportion(cards, decision):
    """In the game with the most voids shown of 300. One test a card, error rate 1e-4 for all of them together."""
    game, n = Blob(cards=cards), 6_000
    batch = play_randomly(game, game.deal(300, seed=21), seed=21)[decision][0]
    lane = max(range(300), key=lambda i: shown_voids(*to_reference(game, batch, i)))
    rules, state = to_reference(game, batch, lane)
    assert shown_voids(rules, state) >= (decision - 4) // 6
    hands = unpack(game.determinize(batch[lane : lane + 1], n, seed=22).hands)
    shares, tested = owner_shares(rules, state), 0
    for card, share in shares.items():
        share = torch.tensor(share, dtype=torch.float64)
        counts = hands[:, :, card].sum(0).double()
        counts = torch.cat([counts, n - counts.sum()[None]])
        assert not counts[share == 0].any(), (card, share)
        rare, top = share * n < 5, int(share.argmax())  # cells with few expected cards go to the largest
        counts[top] += counts[rare].sum()
        share[top] += share[rare].sum()
        if (~rare).sum() > 1:
            assert chi_square_p(counts[~rare], share[~rare] * n) > ERROR_RATE / len(shares), (card, share)
            tested += 1
    assert tested >= 5


@pytest.mark.parametrize(("cards", "decision"), [(13, 18), (13, 33), (11, 25), (5, 9), (5, 15)])
def test_completions_are_counted_to_fourteen_digits(cards, decision, monkeypatch):
    """The tables that `determinize` draws by, against Python's integers; up to 8e16 deals of 39 cards to three.

    A table counts the ways to put the restricted cards into places that are told apart. The free ones fill those that
    are left in any order, and a deal stands for all orders of the cards in its hands and in the undealt pile.
    """
    found, count = [], counts.completions
    monkeypatch.setattr(counts, "completions", lambda *a: found.append((a, count(*a))) or found[-1][1])
    game = Blob(cards=cards)
    batch = play_randomly(game, game.deal(6, seed=23), seed=23)[decision][0]
    game.determinize(batch, 1, seed=0)
    ((taken, _, sides, _), (table, _)), restricted = found[0], 0
    longest = sides.index(max(sides))
    for lane in range(6):
        rules, state = to_reference(game, batch, lane)
        others, ways = counter(rules, state)
        void = set().union(*(state.voids[seat] for seat in others))
        suits = tuple(sorted((card // 13 for card in unseen_cards(rules, state)), key=lambda s: (s not in void, s)))
        want = tuple(len(state.hands[seat]) for seat in others)
        listed = int(taken[:, :, lane].any(1).sum())  # tables' fillers for lanes with fewer cards change no count

        def counted(
            item: int, want: tuple[int, ...], *, lane: int = lane, number: int = len(suits), listed: int = listed
        ) -> float:
            places = [*want, number - item - sum(want)]
            entry = [0 if axis == longest else place for axis, place in enumerate(places)]
            orders = math.factorial(number - listed) / math.prod(map(math.factorial, places))
            return float(table[(item, *entry, lane)]) * orders

        assert counted(0, want) == pytest.approx(ways(suits, want), rel=1e-14, abs=0)
        if suits and suits[0] in void:
            assert counted(1, less(want, 0)) == pytest.approx(ways(suits[1:], less(want, 0)), rel=1e-14)
            restricted += 1
    assert restricted


# --- what a world keeps ---


@pytest.mark.parametrize("cards", range(1, 14))
def test_worlds_keep_all_that_the_mover_knows(cards):
    for game in (Blob(cards=cards), Blob(cards=cards, suits=4, ranks=cards)):
        for state, _ in play_randomly(game, game.deal(30, seed=31), seed=31):
            sampled, known = game.determinize(state, 3, seed=7), state.repeat(3)
            assert_same_state(replace(sampled, hands=known.hands), known)
            own = game.mover(known)[:, None]
            assert torch.equal(sampled.hands.gather(1, own), known.hands.gather(1, own))
            hands = unpack(sampled.hands)
            assert torch.equal(hands.sum(-1), unpack(known.hands).sum(-1))
            assert (hands.sum(1) <= 1).all()
            assert not (sampled.hands & ~game.deck).any()
            assert not (sampled.hands & known.seen[:, None]).any()
            held_suits = hands.unflatten(-1, (4, 13)).any(-1)
            shown = (known.voids[:, :, None] >> torch.arange(4)) & 1 == 1
            assert not (held_suits & shown).any()


@pytest.mark.parametrize("cards", range(1, 14))
def test_the_public_history_is_legal_in_every_world(cards):
    """The reference plays every game again from each world's first hands: what is left and what was played."""
    lanes, count = 8, 2
    for game in (Blob(cards=cards), Blob(cards=cards, hook=False, suits=4, ranks=cards)):
        record = play_randomly(game, game.deal(lanes, seed=32), seed=32)
        movers = [game.mover(state).tolist() for state, _ in record[:-1]]
        actions = [taken.tolist() for _, taken in record[:-1]]
        for decision, (state, _) in enumerate(record):
            hands = game.determinize(state, count, seed=8).hands.tolist()
            for i, world in enumerate(hands):
                lane = i // count
                rules, _ = to_reference(game, state, lane)
                history = [(movers[t][lane], actions[t][lane]) for t in range(decision)]
                dealt = [cards_of(bits) | {a for s, a in history[4:] if s == seat} for seat, bits in enumerate(world)]
                again = reference.new_state(rules, dealt, int(state.dealer[lane]), int(state.trump[lane]))
                for seat, action in history:
                    assert reference.mover(rules, again) == seat
                    assert action in reference.legal_actions(rules, again)
                    reference.apply_action(rules, again, action)
                assert again.hands == [cards_of(bits) for bits in world]


@pytest.mark.parametrize("cards", [1, 2, 5, 9, 13])
def test_worlds_do_not_depend_on_the_hidden_cards(cards):
    game = Blob(cards=cards)
    changed = 0
    for state, _ in play_randomly(game, game.deal(80, seed=33), seed=33)[:: 1 + cards // 4]:
        other = reshuffle(game, state, game.mover(state), seed=99)
        changed += int((other.hands != state.hands).any(-1).sum())
        assert_same_state(game.determinize(other, 3, seed=9), game.determinize(state, 3, seed=9))
    assert changed > 200


# --- repeatability ---


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
    bytes_, chunk = [], worlds._chunk
    monkeypatch.setattr(worlds, "_chunk", lambda *a: bytes_.append(a[1]) or chunk(*a))
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


@pytest.mark.parametrize("cards", [1, 5, 13])
def test_finished_games_have_nothing_hidden(cards):
    game = Blob(cards=cards)
    final = play_randomly(game, game.deal(20, seed=39), seed=39)[-1][0]
    assert_same_state(game.determinize(final, 4, seed=13), final.repeat(4))


@pytest.mark.parametrize("count", [0, -1])
def test_there_must_be_a_world(count):
    with pytest.raises(ValueError, match=f"count must be at least 1, got {count}"):
        Blob().determinize(Blob().deal(2), count)

"""Hearts with passing: by hand, against Hearts without, and its worlds against every past that there may have been.

Move by move it is compared with OpenSpiel in tests/test_openspiel_tricks.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, islice

import pytest
import torch

from tests import test_contract as on_every_game
from tests.helpers import bits_of, cards_of, chi_square_p
from tests.test_trick_games import CLUBS, DIAMONDS, HEARTS, SPADES, card, legal, play, suit
from vecgame import Hearts, TrickGame, contract, knowledge
from vecgame.cards import STANDARD, deck_bits, popcount, unpack
from vecgame.games.hearts import PassingState
from vecgame.lanes import entries, place_of

P_LIMIT = 1e-6  # a right sampler fails one of the dozen tests of distributions with probability below 2e-5
POINTS = knowledge.features(STANDARD, 4, 4)  # where the game's own block begins


def one_suit_each() -> torch.Tensor:
    return torch.tensor([[suit(CLUBS), suit(HEARTS), suit(SPADES), suit(DIAMONDS)]])


def passed_left() -> PassingState:
    """Everybody has passed the two, three and four of its suit to the left, one of them after the other."""
    names = [rank + letter for letter in "chsd" for rank in "423"]
    return play(Hearts(passing="left"), Hearts(passing="left").from_hands(one_suit_each()), *names)


def names_of(bits: int) -> str:
    return " ".join("23456789TJQKA"[c % 13] + "shcd"[c // 13] for c in sorted(cards_of(bits)))


# --- by hand ---


def test_passing_by_hand() -> None:
    game = Hearts(passing="left")
    state = game.from_hands(one_suit_each())
    assert game.decisions == 64 and not bool(game.broken(state))
    for number, name in enumerate(rank + letter for letter in "chsd" for rank in "423"):
        seat = number // 3
        assert int(game.mover(state)[0]) == seat and bool(game.giving(state)) and int(state.seen) == 0
        assert popcount(state.hands).tolist() == [[13] * 4]
        mine = cards_of(int(state.hands[0, seat])) - cards_of(int(state.passed[0, seat]))
        assert legal(game, state) == mine and len(mine) == 13 - number % 3
        state = play(game, state, name)
    assert not bool(game.giving(state)) and popcount(state.hands).tolist() == [[13] * 4]
    assert names_of(int(state.hands[0, 0])).startswith("5c 6c") and names_of(int(state.hands[0, 0])).endswith(
        "2d 3d 4d"
    )
    assert int(game.mover(state)[0]) == 1 and legal(game, state) == {card("2c")}  # it was passed on
    state = play(game, state, "2c")
    assert legal(game, state) == set(suit(SPADES)[3:]) - {card("Qs")}  # three hearts, and they are no first trick
    state = play(game, state, "5s", "2s", "Ac")  # seat 3, which was passed spades, has no club either
    assert int(game.mover(state)[0]) == 0 and game.turn(state).tolist() == [16]
    assert state.played.tolist() == [[1 << card(name) for name in ("Ac", "2c", "5s", "2s")]]


@pytest.mark.parametrize(
    ("passing", "givers"), [("left", [3, 0, 1, 2]), ("across", [2, 3, 0, 1]), ("right", [1, 2, 3, 0])]
)
def test_cards_go_where_the_direction_says(passing: str, givers: list[int]) -> None:
    game = Hearts(passing=passing)
    before = game.deal(50, seed=1)
    state = next(islice(contract.positions(game, 50, seed=1), 12, None))
    kept = before.hands & ~state.passed
    assert torch.equal(state.hands, kept | state.passed[:, givers]) and (kept & state.passed == 0).all()
    assert (popcount(state.passed) == 3).all() and (before.hands & state.passed == state.passed).all()
    assert ((entries(state.hands, place_of(game.mover(state))) >> card("2c")) & 1 == 1).all()
    drawn = Hearts(passing="random")
    direction = int(before.direction[0])
    given = drawn.from_hands(unpack(before.hands).nonzero()[:, 2].view(50, 4, 13), direction=direction)
    assert contract.same(given, before)


def test_what_a_seat_sees() -> None:
    game, state = Hearts(passing="left"), passed_left()

    def block(seat: int, start: int, row: int = 0) -> list[str]:
        columns = game.observe(state[:1], torch.tensor([seat]))[0, start + 52 * row : start + 52 * row + 52]
        return names_of(bits_of(columns.nonzero()[:, 0].tolist()))

    own = POINTS + 6
    assert block(1, own) == "2h 3h 4h" and block(1, own, 1) == "2c 3c 4c"
    assert block(0, own) == "2c 3c 4c" and block(0, own, 1) == "2d 3d 4d"
    assert game.observe(state)[0, own + 104 :].tolist() == [0, 1, 0, 0]
    unseen = [block(1, 52, row) for row in range(3)]  # that the seats after seat 1 may hold
    assert unseen[0].startswith("2s 3s 4s") and "2h 3h 4h" in unseen[0] and "2h" not in unseen[1] + unseen[2]
    worlds = game.determinize(state, 200, seed=3)
    assert (worlds.hands[:, 2] & bits_of([card("2h"), card("3h"), card("4h")])).unique().numel() == 1
    assert len(worlds.hands.unique(dim=0)) == 200
    early = Hearts(passing="left").from_hands(one_suit_each())
    early = play(game, early, "2c", "3c", "4c", "2h")
    assert game.observe(early)[0, own : own + 104].nonzero()[:, 0].tolist() == [card("2h")]
    assert (game.observe(early, torch.tensor([2]))[0, own : own + 104] == 0).all()


def test_directions() -> None:
    assert Hearts(passing="rotate").deal(8).direction.tolist() == [1, 3, 2, 0] * 2
    drawn = Hearts(passing="random").deal(4000, seed=5)
    counts = torch.bincount(drawn.direction.long(), minlength=4)
    assert chi_square_p(counts, [1000.0] * 4) > P_LIMIT
    assert torch.equal(drawn.made == 12, drawn.direction == 0) and ((drawn.made == 0) | (drawn.made == 12)).all()


def test_without_a_direction_it_is_hearts_without_passing() -> None:
    plain, game = Hearts(), Hearts(passing="random")
    hands = unpack(plain.deal(60, seed=7).hands).nonzero()[:, 2].view(60, 4, 13)
    a, b = plain.from_hands(hands), game.from_hands(hands, direction=0)
    for decision in range(52):
        assert torch.equal(plain.mover(a), game.mover(b)) and (b.made == decision + 12).all()
        assert torch.equal(plain.legal_mask(a), game.legal_mask(b)) and torch.equal(a.hands, b.hands)
        seen = game.observe(b)
        assert torch.equal(plain.observe(a), seen[:, : plain.features])
        assert (seen[:, plain.features : -4] == 0).all() and (seen[:, -4] == 1).all()
        action = contract.random_action(plain, a)
        a, b = plain.step(a, action), game.step(b, action, validate=True)
    assert game.is_terminal(b).all() and torch.equal(plain.scores(a), game.scores(b)) and (b.passed == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hearts(passing="up"), "passing must be one of none, left, across, right, random, rotate, got 'up'"),
        (lambda: Hearts(passing=1), "passing must be one of none, left"),
        (lambda: Hearts(passing="left").from_hands(one_suit_each(), direction=1), "hearts deals no direction"),
        (lambda: Hearts(passing="random").from_hands(one_suit_each(), direction=4), "direction must be from 0 to 3"),
        (
            lambda: play(Hearts(passing="left"), Hearts(passing="left").from_hands(one_suit_each()), "2c", "2c"),
            "action 26 is illegal in lane 0; legal there: .27, 28",
        ),
    ],
)
def test_bad_input_gets_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


# --- worlds ---


class SmallHearts(Hearts):
    """Four cards each of sixteen, so that all pasts can be listed."""

    def set_up(self) -> None:
        super().set_up()
        self.cards, self.deck = 4, deck_bits(4, 4)


Past = tuple[list[set[int]], list[set[int]]]  # hands as dealt and cards passed, by seat


def pasts(viewer: int, step: int, hand: set[int], gave: set[int], got: set[int]) -> Iterator[Past]:
    """Every way that the cards can have been dealt and passed, for a seat that was dealt ``hand``: its giver was dealt
    what it got from it, the rest is anybody's, and the other two passed anything."""
    giver = (viewer - step) % 4
    others = [seat for seat in range(4) if seat not in (viewer, giver)]
    rest = cards_of(deck_bits(4, 4)) - hand - got
    for more in combinations(sorted(rest), 1):
        for first in combinations(sorted(rest - {*more}), 4):
            hands = [set() for _ in range(4)]
            hands[viewer], hands[giver], hands[others[0]] = hand, got | {*more}, {*first}
            hands[others[1]] = rest - {*more} - {*first}
            for a in combinations(sorted(hands[others[0]]), 3):
                for b in combinations(sorted(hands[others[1]]), 3):
                    passed = [set() for _ in range(4)]
                    passed[viewer], passed[giver], passed[others[0]], passed[others[1]] = gave, got, {*a}, {*b}
                    yield hands, passed


def hands_after(past: Past, step: int, plays: list[tuple[int, int]]) -> list[set[int]] | None:
    """The hands after passing and the plays (seat, card), or None if one of them breaks the rules of Hearts."""
    dealt, passed = past
    hands = [dealt[seat] - passed[seat] | passed[(seat - step) % 4] for seat in range(4)]
    leader = next(seat for seat in range(4) if card("2c") in hands[seat])
    trick: list[int] = []
    broken = False
    for number, (seat, played) in enumerate(plays):
        hand = hands[seat]
        if seat != (leader + len(trick)) % 4 or played not in hand:
            return None
        if trick:
            options = {c for c in hand if c // 13 == trick[0] // 13}
            options = options or {c for c in hand if number >= 4 or c // 13 != HEARTS} or hand
        else:
            options = {c for c in hand if broken or c // 13 != HEARTS} or hand
        if number == 0:
            options = {card("2c")}
        if played not in options:
            return None
        broken = broken or played // 13 == HEARTS
        hand.remove(played)
        trick.append(played)
        if len(trick) == 4:
            best = max((c for c in trick if c // 13 == trick[0] // 13), key=lambda c: c)
            leader, trick = (leader + trick.index(best)) % 4, []
    return hands


def check_worlds(game: Hearts, index: int, decision: int, draws: int) -> int:
    """Compares the worlds at a decision of a random game with every past; returns how many of those there are."""
    state = start = game.deal(1, seed=17, first_index=index)
    plays = []
    for _ in range(decision):
        action = contract.random_action(game, state)
        if not bool(game.giving(state)):
            plays.append((int(game.mover(state)[0]), int(action[0])))
        state = game.step(state, action, validate=True)
    viewer, step = int(game.mover(state)[0]), int(state.direction[0])
    gave, got = (cards_of(int(state.passed[0, seat])) for seat in (viewer, (viewer - step) % 4))
    possible = set()
    for past in pasts(viewer, step, cards_of(int(start.hands[0, viewer])), gave, got):
        left = hands_after(past, step, plays)
        if left is not None:
            possible.add((*map(bits_of, left), *map(bits_of, past[1])))
    worlds = game.determinize(state, draws * len(possible), seed=decision)
    found, counts = torch.cat([worlds.hands, worlds.passed], -1).unique(dim=0, return_counts=True)
    assert (*state.hands[0].tolist(), *state.passed[0].tolist()) in possible
    assert {tuple(row) for row in found.tolist()} <= possible, "a world that the mover knows to be none"
    if len(possible) > 1:
        counts = torch.cat([counts, counts.new_zeros(len(possible) - len(found))])
        assert chi_square_p(counts, [float(draws)] * len(possible)) > P_LIMIT, "worlds are not uniform"
    return len(possible)


@pytest.mark.parametrize(("passing", "index", "decision"), [("left", 0, 12), ("across", 1, 14), ("right", 2, 15)])
def test_worlds_are_uniform_over_all_pasts(passing: str, index: int, decision: int) -> None:
    many = check_worlds(SmallHearts(passing=passing), index, decision, draws=6)
    assert many == 630 * 16 if decision == 12 else many > 100


@pytest.mark.slow
@pytest.mark.parametrize("passing", ["left", "across", "right"])
def test_worlds_are_uniform_over_all_pasts_at_every_decision(passing: str) -> None:
    for index in range(10, 14):
        for decision in range(12, 28):
            check_worlds(SmallHearts(passing=passing), index, decision, draws=10)


def test_while_cards_are_passed_the_choices_of_the_others_are_any() -> None:
    """Seat 2 has chosen one card of its own. Seats 0 and 1 have chosen any three of any hand, seat 3 nothing yet."""
    game = Hearts(passing="across")
    state = play(game, game.from_hands(one_suit_each()), "Ac", "Kc", "Qc", "Ah", "Kh", "Qh", "As")
    worlds = game.determinize(state, 286 * 30, seed=9)
    assert torch.equal(worlds.passed[:, 2:], state.passed[:, 2:].expand(len(worlds.passed), -1))
    assert (worlds.hands & worlds.passed == worlds.passed).all() and (popcount(worlds.passed[:, :2]) == 3).all()
    assert torch.equal(worlds.hands[:, 2], state.hands[:, 2].expand(len(worlds.hands)))
    triples = {places: number for number, places in enumerate(combinations(range(13), 3))}
    chosen = []
    for seat in (0, 1):
        held = unpack(worlds.hands[:, seat])
        places = (held.cumsum(-1) - 1)[unpack(worlds.passed[:, seat])].view(-1, 3)  # 0..12 among the cards of the hand
        chosen.append(torch.tensor([triples[tuple(row)] for row in places.tolist()]))
        assert chi_square_p(torch.bincount(chosen[-1], minlength=286), [30.0] * 286) > P_LIMIT
        cards = unpack(worlds.passed[:, seat]).sum(0)[unpack(state.hands[:, [0, 1, 3]].sum(-1))[0]]
        assert len(cards) == 39 and chi_square_p(cards, [286 * 30 * 3 / 39] * 39) > P_LIMIT
    together = torch.bincount(chosen[0] // 29 * 10 + chosen[1] // 29, minlength=100)  # 29 triples to a class, 25 to one
    shares = torch.tensor([29.0] * 9 + [25.0]) / 286
    assert chi_square_p(together, shares.outer(shares) * 286 * 30) > P_LIMIT


class ForgetsWhatItGave(SmallHearts):
    """Gives the cards that the mover has passed to anybody."""

    def may_hold(self, state, viewer):
        return TrickGame.may_hold(self, state, viewer)


class ForgetsItsChoice(SmallHearts):
    """Draws what the mover itself has passed, too."""

    def hidden(self, state):
        fields = super().hidden(state)
        return {**fields, "passed": replace(fields["passed"], sees=fields["passed"].sees & False)}


class ThinksInLowCards(SmallHearts):
    """Draws two worlds and takes the one in which lower cards have been passed."""

    def determinize(self, state, count=3, seed=0):
        a, b = super().determinize(state, count, seed), super().determinize(state, count, seed + 1)
        return a.where(a.passed.sum(-1) < b.passed.sum(-1), b)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (ForgetsWhatItGave, "knows to be none"),
        (ForgetsItsChoice, "knows to be none"),
        (ThinksInLowCards, "not uniform"),
    ],
)
def test_the_test_of_worlds_finds_what_is_broken(broken: type[Hearts], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_worlds(broken(passing="right"), 2, 15, draws=10)


# --- what every game promises, and is used for ---


class TellsWhatWasPassed(Hearts):
    """Shows the next player's choice."""

    def own_block(self, state, viewer):
        *block, direction = super().own_block(state, viewer)
        queen = entries(state.passed, place_of((viewer + 1) & 3)) & 1 << card("Qs")
        return [*block, direction | (queen != 0)]


class KnowsWhatWasPassed(Hearts):
    """Leaves the true choices of the others in the worlds."""

    def determinize(self, state, count=3, seed=0):
        return replace(super().determinize(state, count, seed), passed=state.repeat(count).passed)


@pytest.mark.parametrize(
    ("broken", "message"),
    [(TellsWhatWasPassed, "observe tells"), (KnowsWhatWasPassed, "passed is left in place in every world")],
)
def test_the_contract_finds_what_is_broken(broken: type[Hearts], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        for check in QUICK:
            check(broken(passing="left"))


QUICK = (contract.masks_do_as_lists, contract.worlds_keep_what_is_known, contract.hidden_cards_are_hidden)


@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.__name__)
def test_contract(check) -> None:
    check(Hearts(passing="rotate"))


@pytest.mark.slow
@pytest.mark.parametrize("passing", ["left", "across", "right", "random", "rotate"])
def test_whole_contract(passing: str) -> None:
    contract.check(Hearts(passing=passing))


@pytest.mark.parametrize(
    "test",
    [
        on_every_game.test_searches_do_not_depend_on_the_batch,
        on_every_game.test_rollouts_fit_the_game,
        pytest.param(on_every_game.test_examples_are_learned_from, marks=pytest.mark.slow),
        pytest.param(on_every_game.test_flat_monte_carlo_beats_random_players, marks=pytest.mark.slow),
        pytest.param(on_every_game.test_a_gpu_plays_the_same_games, marks=pytest.mark.gpu),
    ],
)
def test_it_is_searched_and_learned(test) -> None:
    test(Hearts(passing="rotate"))

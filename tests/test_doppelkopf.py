"""Doppelkopf against a scalar reference, by hand, and its worlds against every past that there may have been."""

import random
from itertools import combinations

import pytest
import torch

from tests.doppelkopf_reference import TRUMPS, Table, card, group, name_of
from tests.helpers import bits_of, cards_of, chi_square_p
from vecgame import contract
from vecgame.cards import popcount
from vecgame.games.doppelkopf import Doppelkopf, DoppelkopfState
from vecgame.own_rules import OwnRules

P_LIMIT = 1e-6


def hands_of(state: DoppelkopfState, lane: int) -> list[set[int]]:
    return [cards_of(bits) for bits in state.hands[lane].tolist()]


def given(*suits: str) -> torch.Tensor:
    """Hands by names; a name that comes twice is both copies, in the order of the seats."""
    used: set[int] = set()
    hands = []
    for names in suits:
        hands.append([])
        for name in names.split():
            number = card(name) if card(name) not in used else card(name, 1)
            used.add(number)
            hands[-1].append(number)
    return torch.tensor([hands])


def play(game: Doppelkopf, state: DoppelkopfState, *names: str) -> DoppelkopfState:
    """Plays cards by name in a batch of one, each of them legal: the lower copy that the mover holds."""
    for name in names:
        hand = hands_of(state, 0)[int(game.mover(state))]
        number = min(c for c in hand if name_of(c) == name)
        state = game.step(state, torch.tensor([number]), validate=True)
    return state


def test_every_move_agrees_with_the_reference() -> None:
    game, rng = Doppelkopf(), random.Random(1)
    state = game.deal(150, seed=1)
    tables = [Table(hands_of(state, lane), int(state.leader[lane])) for lane in range(150)]
    for _ in range(game.decisions):
        assert not game.is_terminal(state).any()
        assert game.mover(state).tolist() == [table.mover() for table in tables]
        legal = [table.legal() for table in tables]
        assert [set(row.nonzero()[:, 0].tolist()) for row in game.legal_mask(state)] == legal
        actions = [rng.choice(sorted(options)) for options in legal]
        for table, action in zip(tables, actions, strict=True):
            table.play(action)
        state = game.step(state, torch.tensor(actions), validate=True)
        assert state.card_points.tolist() == [table.card_points() for table in tables]
    assert game.is_terminal(state).all() and (state.card_points.sum(-1) == 240).all()
    scores = game.scores(state)
    assert scores.tolist() == [table.scores() for table in tables] and not scores.sum(-1).any()
    assert torch.equal(game.values(state), (scores + 15) / 30)
    alone = [sum(card("Qc") in hand and card("Qc", 1) in hand for hand in table.dealt) for table in tables]
    assert 10 < sum(alone) < 75 and len(scores.unique()) > 12  # some play alone; the outcomes differ


def test_the_last_trick_at_once_is_that_of_four_cards() -> None:
    game = Doppelkopf()
    state = game.deal(60, seed=2)
    for _ in range(game.decisions - 4):
        state = game.step(state, contract.random_action(game, state))
    forced, one_by_one = game.play_forced(state), state
    for _ in range(4):
        one_by_one = game.step(one_by_one, game.legal_actions(one_by_one)[:, 0])
    assert contract.same(forced, one_by_one) and (forced.queens.sum(-1) == 2).all()


SOLO = (
    "Qc Qc Th Th Qs Qs Qh Qh Qd Qd Jc Jc",
    "As As Ts Ts Ks Ks 9s 9s Js Js Jh Jh",
    "Ac Ac Tc Tc Kc Kc 9c 9c Jd Jd Ad Ad",
    "Ah Ah Kh Kh 9h 9h Td Td Kd Kd 9d 9d",
)


def played_out(game: Doppelkopf, state: DoppelkopfState, highest: bool) -> DoppelkopfState:
    """Everybody plays the strongest, or the weakest, legal card."""
    order = [rank + suit for suit in "shc" for rank in "9KTA" if rank + suit not in TRUMPS] + TRUMPS[::-1]
    while not game.is_terminal(state).all():
        options = game.legal_mask(state)[0].nonzero()[:, 0].tolist()
        best = (max if highest else min)(options, key=lambda c: order.index(name_of(c)))
        state = game.step(state, torch.tensor([best]))
    return state


def test_who_holds_both_queens_plays_alone() -> None:
    game = Doppelkopf()
    end = played_out(game, game.from_hands(given(*SOLO), dealer=3), highest=True)
    assert end.won.tolist() == [[12, 0, 0, 0]] and end.queens.tolist() == [[2, 0, 0, 0]]
    assert game.scores(end).tolist() == [[15.0, -5.0, -5.0, -5.0]] and game.values(end).tolist()[0][0] == 1.0


def scored(points: list[int], won: list[int], queens: list[int]) -> list[float]:
    game = Doppelkopf()
    state = game.deal(1)
    fields = {"card_points": (points, torch.int16), "won": (won, torch.int8), "queens": (queens, torch.int8)}
    tensors = {name: torch.tensor([row], dtype=dtype) for name, (row, dtype) in fields.items()}
    made = torch.full_like(state.made, game.decisions)
    return game.scores(DoppelkopfState(**{**state.tensors(), **tensors, "made": made})).tolist()[0]


@pytest.mark.parametrize(
    ("points", "won", "queens", "scores"),
    [
        ([60, 61, 60, 59], [3, 3, 3, 3], [1, 1, 0, 0], [1, 1, -1, -1]),  # 121 are enough
        ([60, 60, 60, 60], [3, 3, 3, 3], [1, 0, 1, 0], [-2, 2, -2, 2]),  # 120 are not, and the others beat two
        ([100, 51, 49, 40], [5, 3, 2, 2], [1, 1, 0, 0], [2, 2, -2, -2]),  # 89
        ([100, 50, 50, 40], [5, 3, 2, 2], [1, 1, 0, 0], [1, 1, -1, -1]),  # 90
        ([30, 29, 101, 80], [2, 2, 4, 4], [1, 1, 0, 0], [-4, -4, 4, 4]),  # 59, against two
        ([0, 29, 131, 80], [1, 2, 5, 4], [1, 1, 0, 0], [-5, -5, 5, 5]),
        ([0, 0, 140, 100], [1, 0, 6, 5], [1, 1, 0, 0], [-5, -5, 5, 5]),  # a trick without points is a trick
        ([0, 0, 140, 100], [0, 0, 6, 6], [1, 1, 0, 0], [-6, -6, 6, 6]),
        ([120, 40, 40, 40], [6, 2, 2, 2], [2, 0, 0, 0], [-3, 1, 1, 1]),  # alone: nobody beat two
        ([0, 80, 80, 80], [0, 4, 4, 4], [2, 0, 0, 0], [-15, 5, 5, 5]),
    ],
)
def test_points(points, won, queens, scores) -> None:
    assert scored(points, won, queens) == scores


def test_the_first_of_two_equal_cards_wins() -> None:
    game = Doppelkopf()
    hands = (
        "Ac Th As 9s 9s Ks Ks Ts Ts Js Js Qc",
        "9c Th Ah Ah Kh Kh 9h 9h Jh Jh Qh Qh",
        "Ac 9d 9d Kd Kd Td Td Ad Ad Jd Jd Qc",
        "9c As Kc Kc Tc Tc Jc Jc Qs Qs Qd Qd",
    )
    state = game.from_hands(given(*hands), dealer=3)
    state = play(game, state, "Ac", "9c", "Ac", "9c")  # the second ace of clubs takes nothing
    assert state.won.tolist() == [[1, 0, 0, 0]]
    state = play(game, state, "Th", "Th", "9d", "Jc")
    assert state.won.tolist() == [[2, 0, 0, 0]] and state.card_points.tolist() == [[22 + 22, 0, 0, 0]]
    state = play(game, state, "As", "Ah", "9d")  # hearts do not follow spades; the nine of diamonds takes the trick
    assert int(state.lacks[0, 1]) == bits_of({c for c in range(48) if group(name_of(c)) == "s"})
    assert int(game.winner(state, state.trick, game.suit_led(state, state.trick))) == 2
    assert {name_of(c) for c in game.legal_mask(state)[0].nonzero()[:, 0].tolist()} == {"As"}


def test_all_see_who_plays_a_queen_of_clubs() -> None:
    game = Doppelkopf()
    state = game.from_hands(given(*SOLO), dealer=3)
    first = game.features - game.own_features
    for played, seen in ((0, [0, 0, 0, 0]), (1, [0.5, 0, 0, 0]), (4, [0.5, 0, 0, 0]), (5, [1, 0, 0, 0])):
        while int(state.made) < played:
            names = {name_of(c) for c in game.legal_mask(state)[0].nonzero()[:, 0].tolist()}
            state = play(game, state, "Qc" if "Qc" in names else min(names))
        for seat in range(4):
            told = game.observe(state, torch.tensor([seat]))[0, first : first + 4].tolist()
            assert told == [seen[(seat + k) % 4] for k in range(4)]


# --- worlds ---


def possible_worlds(game: Doppelkopf, states: list[DoppelkopfState], actions: list[int]) -> set[tuple[int, ...]]:
    """Hands of every way to give the cards that the mover does not see, with which the play so far was legal."""
    now, start = states[-1], states[0]
    viewer = int(game.mover(now))
    played = [cards_of(int(bits)) for bits in (start.hands & ~now.hands)[0]]
    sizes = popcount(now.hands)[0].tolist()
    own = cards_of(int(now.hands[0, viewer]))
    others = [seat for seat in range(4) if seat != viewer]
    found = set()

    def give(rest: set[int], hands: dict[int, set[int]]) -> None:
        if len(hands) == 4:
            table = Table([hands[k] | played[k] for k in range(4)], int(start.leader))
            for action in actions:
                if action not in table.legal():
                    return
                table.play(action)
            found.add(tuple(bits_of(hands[k]) for k in range(4)))
            return
        seat = next(seat for seat in others if seat not in hands)
        for chosen in combinations(sorted(rest), sizes[seat]):
            give(rest - {*chosen}, {**hands, seat: {*chosen}})

    give(set(range(48)) - own - set().union(*played), {viewer: own})
    return found


def check_worlds(game: Doppelkopf, index: int, left: int, draws: int) -> set[str]:
    """Compares the worlds of a random game, ``left`` decisions before its end, with every past; returns what the mover
    knows of the queens of clubs that are out. Everybody keeps these for as long as may be."""
    state = game.deal(1, seed=7, first_index=index)
    states, actions, rng = [state], [], random.Random(index)
    while int(state.made) < game.decisions - left:
        options = game.legal_mask(state)[0].nonzero()[:, 0].tolist()
        actions.append(rng.choice([c for c in options if name_of(c) != "Qc"] or options))
        state = game.step(state, torch.tensor(actions[-1:]))
        states.append(state)
    possible = possible_worlds(game, states, actions)
    found, counts = game.determinize(state, draws * len(possible), seed=left).hands.unique(dim=0, return_counts=True)
    assert tuple(state.hands[0].tolist()) in possible
    assert {tuple(row) for row in found.tolist()} <= possible, "a world that the mover knows to be none"
    if len(possible) > 1:
        counts = torch.cat([counts, counts.new_zeros(len(possible) - len(found))])
        assert chi_square_p(counts, [float(draws)] * len(possible)) > P_LIMIT, "worlds are not uniform"
    mover = int(game.mover(state))
    queens = {card("Qc"), card("Qc", 1)} - cards_of(int(state.seen | state.hands[0, mover]))
    holders = [{seat for seat in range(4) for world in possible if world[seat] >> queen & 1} for queen in queens]
    return {f"{len(who)} may hold it" for who in holders} | ({f"{2 - len(queens)} known"} if holders else set())


@pytest.mark.slow
def test_worlds_are_uniform_over_all_pasts() -> None:
    kinds = set().union(*(check_worlds(Doppelkopf(), index, left, 8) for index in range(16) for left in (5, 7)))
    assert kinds >= {"1 may hold it", "2 may hold it", "3 may hold it", "0 known", "1 known"}


class TrumpsByPrint(Doppelkopf):
    """Takes a queen of clubs for a club, when voids are noted."""

    def _shown(self, preferences, card_played, played):
        queens = bits_of([card("Qc"), card("Qc", 1)])
        return super()._shown([p & ~queens for p in preferences], card_played, played)


def test_the_test_of_worlds_finds_what_is_broken() -> None:
    """Who does not follow trump holds no queen of clubs."""
    with pytest.raises(AssertionError, match=r"not uniform|to be none"):
        for index in range(30):
            check_worlds(TrumpsByPrint(), index, 6, draws=8)


def test_the_order_of_cards() -> None:
    """In every suit led: trumps from the highest, then the suit; both copies alike."""
    strengths = Doppelkopf().strengths()[OwnRules.state_type.layout.suits]
    for led, suit in enumerate("shc"):
        order = TRUMPS + [rank + suit for rank in "ATK9" if rank + suit not in TRUMPS]
        by_name = [[int(strengths[led, card(name, copy)]) for name in order] for copy in (0, 1)]
        assert by_name[0] == by_name[1] == sorted(set(by_name[0]), reverse=True)
        rest = {int(strengths[led, c]) for c in range(48) if name_of(c) not in order}
        assert max(rest) < by_name[0][-1]


def test_a_dealer_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dealer must be a seat 0\.\.3, 'random' or 'rotate', got 4"):
        Doppelkopf(dealer=4)

"""Skat's rules by hand, and what its soloist alone knows; against OpenSpiel in test_openspiel_tricks."""

import itertools
from collections import Counter

import pytest
import torch

from vecgame.games.skat import LAYOUT, Skat, SkatState

GAME = Skat()
PASS, SUITS = GAME.first_bid, "dhsc"
BIDS = {"pass": 0, **{suit: 1 + number for number, suit in enumerate(SUITS)}, "grand": 5, "null": 6}


def card(name: str) -> int:
    """The id of a card written like "cJ" or "d10"."""
    return 8 * SUITS.index(name[0]) + LAYOUT.rank_names.index(name[1:])


def bits(names: str) -> int:
    return sum(1 << card(name) for name in names.split())


def dealt(hands: list[str], dealer: int = 2) -> SkatState:
    """Hands of some cards, filled up to ten from what is left, suit by suit; the last two are the skat."""
    given = [[card(name) for name in hand.split()] for hand in hands]
    rest = [c for c in range(32) if c not in itertools.chain(*given)]
    full = [hand + [rest.pop(0) for _ in range(10 - len(hand))] for hand in given]
    return GAME.from_hands(torch.tensor([full]), dealer=dealer)


def step(state: SkatState, *moves: str) -> SkatState:
    for move in moves:
        action = PASS + BIDS[move] if move in BIDS else card(move)
        state = GAME.step(state, torch.tensor([action]), validate=True)
    return state


def legal(state: SkatState) -> int:
    """The cards that may be played."""
    return int(GAME.legal_bits(state)[0])


def test_the_soloist_takes_up_the_skat_and_puts_two_cards_away() -> None:
    state = dealt(["c7", "s7", "h7"])
    skat, hand = int(state.skat[0]), int(state.hands[0, 1])
    assert skat == bits("cA cJ")
    state = step(state, "pass", "grand")
    assert state.soloist.tolist() == [1] and state.skat.tolist() == [0] and int(state.hands[0, 1]) == skat | hand
    assert legal(state) == skat | hand and GAME.mover(state).tolist() == [1]
    low = [c for c in range(32) if (skat | hand) >> c & 1][:2]
    for number in low:
        state = GAME.step(state, torch.tensor([number]), validate=True)
    assert int(state.skat[0]) == sum(1 << c for c in low) and int(state.hands[0, 1]).bit_count() == 10
    assert GAME.mover(state).tolist() == [0] and not GAME.bidding(state)  # the seat after the dealer leads


def test_only_the_soloist_sees_what_it_has_put_away() -> None:
    state = step(dealt(["c7 cJ", "s7", "h7"]), "grand", "c7", "cJ")
    assert int(state.skat[0]) == bits("c7 cJ")
    others = int(state.hands[0, 1])
    lowest = others & -others
    hands = state.hands.clone()
    hands[0, 1] ^= lowest | bits("c7")
    other = SkatState(**{**state.tensors(), "hands": hands, "skat": state.skat ^ lowest ^ bits("c7")})
    for seat, same in ((0, False), (2, True)):
        seats = torch.tensor([seat])
        assert torch.equal(GAME.observe(state, seats), GAME.observe(other, seats)) == same


@pytest.mark.parametrize(
    ("game", "led", "hand", "follows"),
    [
        ("grand", "dJ", "hJ s7 d7", "hJ"),  # the jacks are a suit of their own
        ("grand", "d7", "dJ s7 d8", "d8"),
        ("s", "dJ", "hJ s7 d7", "hJ s7"),  # they belong to trump,
        ("s", "s8", "hJ s7 d7", "hJ s7"),
        ("s", "d8", "dJ s7 d7", "d7"),  # and not to what is printed on them
        ("null", "dJ", "hJ s7 d7", "d7"),  # but for null
    ],
)
def test_what_follows(game: str, led: str, hand: str, follows: str) -> None:
    number = torch.tensor([BIDS[game] - 1], dtype=torch.int8)
    state = SkatState(**{**dealt([led, hand, ""]).tensors(), "trump": number})
    suit = GAME.suit_of(state, torch.tensor([card(led)], dtype=torch.int8))
    assert int(GAME.followed(state, suit)[0]) & bits(hand) == bits(follows)


@pytest.mark.parametrize(
    ("game", "trick", "winner"),
    [
        ("grand", "dJ cJ hJ", 1),  # clubs, spades, hearts, diamonds
        ("grand", "dA d10 sA", 0),
        ("grand", "dK d10 dQ", 1),  # the ten stands between king and ace
        ("h", "dA h7 dJ", 2),
        ("h", "hA hJ dJ", 1),
        ("h", "dA h7 h10", 2),
        ("null", "d10 dJ d9", 1),  # and in null between nine and jack
        ("null", "dA d10 hA", 0),
    ],
)
def test_who_wins_a_trick(game: str, trick: str, winner: int) -> None:
    number = torch.tensor([BIDS[game] - 1], dtype=torch.int8)
    for leader in range(3):
        cards = [card(trick.split()[(seat - leader) % 3]) for seat in range(3)]
        fields = {"trump": number, "leader": torch.tensor([leader], dtype=torch.int8)}
        state = SkatState(**{**dealt(["", "", ""]).tensors(), **fields})
        table = torch.tensor([cards], dtype=torch.int8)
        assert GAME.winner(state, table, GAME.suit_led(state, table)).tolist() == [(leader + winner) % 3]


def test_null_ends_with_the_soloists_first_trick_and_all_pass_with_nothing() -> None:
    state = step(dealt(["d7 dA", "d8 hA", "d9"]), "null", "cA", "cJ")
    state = step(state, "dA", "d8", "d9")
    assert GAME.is_terminal(state).all()
    assert GAME.scores(state).tolist() == [[-0.25, 0.125, 0.125]] and GAME.values(state).tolist() == [
        [0.25, 0.625, 0.625]
    ]
    state = step(dealt(["", "", ""]), "pass", "pass", "pass")
    assert GAME.is_terminal(state).all() and GAME.scores(state).tolist() == [[0, 0, 0]]


def test_worlds_of_what_is_put_away() -> None:
    """To a seat that does not play alone all deals of the unseen cards, two of them put away, are as likely."""
    draws = 4000
    state = step(dealt(["", "", ""]), "d", "d8", "d9")
    while int(state.made[0]) < GAME.decisions - 5 or int(GAME.mover(state)[0]) == 0:  # in its last but one trick
        state = GAME.step(state, GAME.legal_actions(state)[:, 0])
    mover = int(GAME.mover(state)[0])
    worlds = GAME.determinize(state, draws, seed=2)
    places = torch.cat([worlds.hands, worlds.skat[:, None]], -1)
    counts = Counter(map(tuple, places.tolist()))
    seen = int(state.seen[0] | state.hands[0, mover])
    unseen = [c for c in range(32) if not seen >> c & 1]
    others = [(mover + 1) % 3, (mover + 2) % 3]
    may = GAME.may_hold(state, torch.tensor([mover]))[:, 0].tolist()
    possible = set()
    for order in itertools.permutations(unseen):
        world, start = [*state.hands[0].tolist(), 0], 0
        for place in (*others, 3):
            size = 2 if place == 3 else int(state.hands[0, place]).bit_count()
            world[place] = sum(1 << c for c in order[start : start + size])
            start += size
        if not any(world[seat] & ~allowed for seat, allowed in zip(others, may, strict=True)):
            possible.add(tuple(world))
    assert set(counts) == possible and len(possible) > 3
    mean = draws / len(possible)
    assert sum((n - mean) ** 2 / mean for n in counts.values()) < len(possible) + 5 * (2 * len(possible)) ** 0.5

"""Bridge against a plain Python game of its rules, its scores by the tables of the laws, and its dummy."""

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.bridge import BID, CALLS, NAMES, Bridge
from vecgame import contract

GAME, FIRST = Bridge(), 52
SUITS = [2, 3, 1, 0, None]  # clubs, diamonds, hearts, spades, no trump


class Reference:
    """One game, call by call and card by card."""

    def __init__(self, hands: list[set[int]], dealer: int, vulnerable: list[bool]) -> None:
        self.hands, self.dealer, self.vulnerable = hands, dealer, vulnerable
        self.calls: list[str] = []
        self.contract = None  # level, strain, doubled
        self.trick: list[tuple[int, int]] = []  # seat, card
        self.won, self.played, self.over = [0, 0], 0, False

    def turn(self) -> int:
        return (self.dealer + len(self.calls)) % 4 if self.contract is None else (self.leader + len(self.trick)) % 4

    def mover(self) -> int:
        dummy = self.contract is not None and self.played > 0 and self.turn() == (self.declarer + 2) % 4
        return self.declarer if dummy else self.turn()

    def high(self) -> tuple[int, int, int]:
        """Number of the last bid, its seat, and whether it is doubled or redoubled; -1 where there is none."""
        made = [number for number, call in enumerate(self.calls) if NAMES.index(call) >= BID]
        if not made:
            return -1, -1, 0
        after = self.calls[made[-1] :]
        return NAMES.index(self.calls[made[-1]]) - BID, (self.dealer + made[-1]) % 4, len({*after} & {*NAMES[1:3]})

    def legal(self) -> set[int]:
        hand = self.hands[self.turn()]
        if self.contract is not None:
            return {card for card in hand if self.trick and card // 13 == self.trick[0][1] // 13} or hand
        if len(self.calls) >= CALLS - 3:
            return {FIRST}
        bid, seat, doubled = self.high()
        calls = {"pass", *NAMES[BID + bid + 1 :]}
        if bid >= 0 and doubled < 2 and (seat - self.turn()) % 2 != doubled:
            calls.add(NAMES[1 + doubled])
        return {FIRST + NAMES.index(call) for call in calls}

    def step(self, action: int) -> None:
        if self.contract is None:
            self.calls.append(NAMES[action - FIRST])
            if len(self.calls) > 3 and self.calls[-3:] == ["pass"] * 3:
                self.close()
            return
        seat = self.turn()
        self.hands[seat].remove(action)
        self.played += 1
        self.trick.append((seat, action))
        if len(self.trick) == 4:
            led, trump = self.trick[0][1] // 13, SUITS[self.contract[1]]
            order = {led: 1, trump: 2} | ({} if led != trump else {led: 2})
            self.leader, _ = max(self.trick, key=lambda play: (order.get(play[1] // 13, 0), play[1] % 13))
            self.won[self.leader % 2] += 1
            self.trick, self.over = [], self.played == 52

    def close(self) -> None:
        bid, seat, doubled = self.high()
        self.over = bid < 0
        if self.over:
            return
        self.contract = bid // 5 + 1, bid % 5, doubled
        strain = {f"{level}{NAMES[BID + bid % 5][1:]}" for level in range(1, 8)}
        callers = [(self.dealer + number) % 4 for number, call in enumerate(self.calls) if call in strain]
        self.declarer = next(caller for caller in callers if (caller - seat) % 2 == 0)
        self.leader = (self.declarer + 1) % 4

    def scores(self) -> list[int]:
        if self.contract is None:
            return [0] * 4
        score = duplicate(*self.contract, self.vulnerable[self.declarer], self.won[self.declarer % 2])
        return [score if (seat - self.declarer) % 2 == 0 else -score for seat in range(4)]


def duplicate(level: int, strain: int, doubled: int, vulnerable: bool, tricks: int) -> int:
    """Declarer's score, by Law 77."""
    down = level + 6 - tricks
    if down > 0:
        if doubled == 0:
            return -(100 if vulnerable else 50) * down
        each = [200] + 12 * [300] if vulnerable else [100, 200, 200] + 10 * [300]
        return -doubled * sum(each[:down])
    minor, factor = strain < 2, 2**doubled
    below = factor * (level * (20 if minor else 30) + 10 * (strain == 4))
    game = 50 if below < 100 else 500 if vulnerable else 300
    slam = {6: 750 if vulnerable else 500, 7: 1500 if vulnerable else 1000}.get(level, 0)
    over = (20 if minor else 30) if doubled == 0 else 50 * factor * (2 if vulnerable else 1)
    return below + game + slam + 50 * doubled - down * over


def references(state) -> list[Reference]:
    lanes = zip(state.hands.tolist(), state.dealer.tolist(), state.vulnerable.tolist(), strict=True)
    return [
        Reference([{card for card in range(52) if bits >> card & 1} for bits in hands], dealer, vulnerable)
        for hands, dealer, vulnerable in lanes
    ]


def call_at_random(rng: random.Random, game: Reference, way: int, legal: list[int]) -> int:
    """In one of several ways, so that auctions are short and long, and end doubled or not."""
    if way == 0:
        return rng.choice(legal)
    if way == 1:
        return rng.choice(legal[:3])
    if way == 2:  # as long as may be
        stays = game.calls[-2:] == ["pass"] * 2 or rng.random() < 0.6
        return legal[min(1, len(legal) - 1)] if stays else legal[0]
    return legal[0] if rng.random() < 0.5 else rng.choice(legal[:6])


def test_it_plays_as_the_reference_does() -> None:
    """In 400 games at random."""
    state, rng, found = GAME.deal(400, seed=5), random.Random(4), Counter()
    games = references(state)
    for _ in range(GAME.decisions):
        masks, movers, over = GAME.legal_mask(state), GAME.mover(state).tolist(), GAME.is_terminal(state).tolist()
        acting, actions = GAME.acting(state).tolist(), []
        for lane, game in enumerate(games):
            assert over[lane] == game.over
            if game.over:
                actions.append(0)
                continue
            legal = sorted(game.legal())
            assert masks[lane].nonzero()[:, 0].tolist() == legal
            assert (movers[lane], acting[lane]) == (game.mover(), game.turn())
            calling = game.contract is None
            actions.append(call_at_random(rng, game, lane % 4, legal) if calling else rng.choice(legal))
            game.step(actions[-1])
        state = GAME.step(state, torch.tensor(actions))
    assert GAME.is_terminal(state).all()
    for game, scores in zip(games, GAME.scores(state).tolist(), strict=True):
        assert scores == game.scores()
        ended = "passed" if game.contract is None else game.contract[2]
        found[ended] += 1
        found["cut off"] += len(game.calls) == CALLS
        found["made"] += game.contract is not None and scores[game.declarer] > 0
    assert {0, 1, 2, "passed", "cut off", "made"} == {what for what, count in found.items() if count > 0}


def finished(contract: str, doubled: int, vulnerable: bool, tricks: list[int]):
    """Games that seat 0 has played with so many tricks to its side."""
    count = len(tricks)
    state = GAME.deal(1).repeat(count)
    calls = torch.full_like(state.calls, -1)
    calls[:, 0, 0] = NAMES.index(contract)
    won = torch.tensor([[own, 0, 0, 13 - own] for own in tricks], dtype=torch.int8)
    numbers = {"doubled": doubled, "declarer": 0}
    fields = {name: torch.full((count,), number, dtype=torch.int8) for name, number in numbers.items()}
    return replace(state, calls=calls, won=won, vulnerable=torch.full((count, 4), vulnerable), **fields)


@pytest.mark.parametrize(
    ("contract", "doubled", "vulnerable", "tricks", "score"),
    [
        ("1C", 0, False, 7, 70),
        ("2H", 0, False, 9, 140),
        ("3NT", 0, True, 9, 600),
        ("3NT", 0, False, 9, 400),
        ("4S", 0, True, 11, 650),
        ("1NT", 1, False, 5, -300),
        ("1NT", 1, False, 7, 180),
        ("2S", 1, True, 8, 670),
        ("2S", 1, True, 9, 870),
        ("4H", 1, False, 6, -800),
        ("4H", 1, True, 6, -1100),
        ("5D", 2, False, 9, -600),
        ("6NT", 0, False, 12, 990),
        ("6C", 0, True, 12, 1370),
        ("7NT", 2, True, 13, 2980),
        ("7NT", 2, True, 0, -7600),
    ],
)
def test_scores_as_players_know_them(contract: str, doubled: int, vulnerable: bool, tricks: int, score: int) -> None:
    assert GAME.points(finished(contract, doubled, vulnerable, [tricks])).tolist() == [[score, -score, score, -score]]


def test_every_score() -> None:
    for number, name in enumerate(NAMES[BID:]):
        for doubled in range(3):
            for vulnerable in (False, True):
                points = GAME.points(finished(name, doubled, vulnerable, list(range(14))))[:, 0].tolist()
                assert points == [duplicate(number // 5 + 1, number % 5, doubled, vulnerable, own) for own in range(14)]


def test_rules_say_who_is_vulnerable() -> None:
    sides = {"none": [0, 0, 0, 0], "ns": [1, 0, 1, 0], "ew": [0, 1, 0, 1], "both": [1, 1, 1, 1]}
    for rule, seats in sides.items():
        assert Bridge(vulnerable=rule).deal(3).vulnerable.tolist() == [[bool(seat) for seat in seats]] * 3
    assert len(GAME.deal(100).vulnerable.unique(dim=0)) == 4


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    assert contract.check(GAME) == ()

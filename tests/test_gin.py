"""Gin Rummy, written on `HandGame` as anybody would: OpenSpiel's, move by move, worlds, search and training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch

from tests.gin import DRAW, DRAWN, KNOCK, LAYOUT, OVER, PASS, TAKE, Gin, GinState
from tests.hand_references import cards_of
from tests.helpers import bits_of
from vecgame import contract
from vecgame.cards import bit, list_cards
from vecgame.contract.uniform import TOO_FEW

pyspiel = pytest.importorskip("pyspiel")
UTILS, PHASE = pyspiel.gin_rummy.GinRummyUtils(13, 4, 10), pyspiel.gin_rummy.Phase
OURS = {52: TAKE, 53: DRAW, 54: PASS, 55: KNOCK}  # by OpenSpiel's actions
THEIRS = {ours: theirs for theirs, ours in OURS.items()}
FIRST_MELD = 56  # of its actions


class OpenSpielGin:
    """A game of OpenSpiel with the cards of one of ours. Its player 0 is the seat after the dealer.

    It allows a knock where of eleven cards, melded as well as can be, the highest that is left over may go, which is
    not always the best discard. So whether there is one is asked of the hands of ten; a game in which it then does not
    allow a knock does without.
    """

    def __init__(self, state: GinState) -> None:
        self.first = int(state.to_move)
        self.table = pyspiel.load_game("gin_rummy").new_initial_state()
        hands = [sorted(cards_of(state.hands[0, (self.first + player) % 2])) for player in range(2)]
        for card in (*hands[0], *hands[1], int(state.top)):
            self.table.apply_action(card)
        self.stock = [card for card in state.stock[0].tolist() if card >= 0]

    @property
    def turn(self) -> int:
        return (self.table.current_player() + self.first) % 2

    def hand(self, seat: int) -> list[int]:
        return [UTILS.card_int(card) for card in self.table.to_dict()["hands"][(seat - self.first) % 2]]

    def legal(self) -> set[int]:
        theirs, phase = {OURS.get(action, action) for action in self.table.legal_actions()}, self.table.current_phase()
        hand = self.hand(self.turn) + [self.table.upcard()] * (phase == PHASE.WALL)
        if len(hand) == 10:
            return theirs
        low = {card for card in hand if UTILS.min_deadwood([one for one in hand if one != card]) <= 10}
        if phase == PHASE.KNOCK:
            assert theirs == low
            return theirs
        assert low or KNOCK not in theirs
        return theirs | {KNOCK} if low else theirs

    def play(self, action: int) -> None:
        self.table.apply_action(THEIRS.get(action, action))
        if self.table.is_chance_node():
            self.table.apply_action(self.stock.pop(0))

    def scores(self, melds: list[list[int]]) -> list[float]:
        """What comes of it at best for the other, if these melds are laid by who has knocked."""
        for meld in melds:
            self.table.apply_action(FIRST_MELD + UTILS.meld_to_int(meld))
        self.table.apply_action(54)
        other = self.table.current_player()
        best = max((end.returns() for end in ends(self.table, other)), key=lambda returns: returns[other])
        return [best[(seat - self.first) % 2] for seat in range(2)]


def ends(table: pyspiel.State, other: int) -> Iterator[pyspiel.State]:
    """The ends of a game after each way to lay cards off, with the rest melded as well as can be."""
    for card in table.legal_actions():
        if card < 52:
            yield from ends(table.child(card), other)
    end = table.clone()
    if not end.finished_layoffs():
        end.apply_action(54)
    for meld in UTILS.best_meld_group([UTILS.card_int(card) for card in end.to_dict()["hands"][other]]):
        end.apply_action(FIRST_MELD + UTILS.meld_to_int(sorted(meld)))
    end.apply_action(54)
    assert end.is_terminal()
    yield end


def one_by_one(sets: int, runs: int) -> list[list[int]]:
    """Melds as OpenSpiel lays them, of five cards at most."""
    melds = [[card for card in range(rank, 52, 13) if sets >> card & 1] for rank in range(13)]
    run: list[int] = []
    for card in range(53):
        if run and (card % 13 == 0 or not runs >> card & 1):
            melds += [run] if len(run) < 6 else [run[:3], run[3:]] if len(run) < 9 else [run[:3], run[3:6], run[6:]]
            run = []
        if runs >> card & 1:
            run = [*run, card]
    return [meld for meld in melds if meld]


def best_discards(game: Gin, state: GinState) -> list[int]:
    """The card of each mover without which the least is left over."""
    mine = game.held(state).gather(1, state.to_move[:, None])[:, 0]
    cards = list_cards(mine, 11)
    left = game.melding.deadwood(mine[:, None] & ~bit(cards.clamp(min=0)))
    return cards.gather(1, torch.where(cards >= 0, left, 999).argmin(-1, keepdim=True))[:, 0].tolist()


@dataclass(frozen=True)
class Manner:
    """How often a player does what it may: knock, put back what it has taken, discard the best card, take the top."""

    knock: float
    back: float
    best: float
    take: float

    def choose(self, rng: random.Random, legal: list[int], taken: int, best: int) -> int:
        knock = 0.5 if PASS in legal else self.knock  # at the wall
        for action, often in ((KNOCK, knock), (taken, self.back), (best, self.best), (TAKE, self.take)):
            if action in legal and rng.random() < often and (action != taken or rng.random() < self.back):
                return action
        return rng.choice([action for action in legal if action not in (KNOCK, TAKE, taken)])


MANNERS = (Manner(0.6, 0, 0.8, 0.4), Manner(0, 0, 0.9, 0.1), Manner(0.1, 0.9, 0.5, 0.7), Manner(0.9, 0, 1, 0.2))


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_it_is_as_openspiels(count: int) -> None:
    game, rng = Gin(), random.Random(count)
    state = game.deal(count, seed=11)
    others, met = [OpenSpielGin(one) for one in state], set()
    while not game.is_terminal(state).all():
        mask, over, best = game.legal_mask(state), game.is_terminal(state), best_discards(game, state)
        mover, held, actions = state.to_move.tolist(), game.held(state).tolist(), []
        for lane, other in enumerate(others):
            legal = mask[lane].nonzero()[:, 0].tolist()
            if over[lane]:
                actions.append(legal[0])
                continue
            assert not other.table.is_terminal() and mover[lane] == other.turn
            assert legal == sorted(other.legal()), game.text(state, lane)
            assert [bits_of(other.hand(seat)) for seat in range(2)] == held[lane]
            top, upcard = int(state.top[lane]), other.table.upcard()
            assert top == (top if upcard is None else upcard) and not (
                top >= 0 and (held[lane][0] | held[lane][1]) >> top & 1
            )
            if KNOCK in legal and THEIRS[KNOCK] not in other.table.legal_actions():
                legal.remove(KNOCK)
            actions.append(MANNERS[lane % 4].choose(rng, legal, int(state.taken[lane]), best[lane]))
            met.add((int(state.phase[lane]), max(actions[-1], 51)))
            other.play(actions[-1])
        state = game.step(state, actions)
    assert {phase for phase, _ in met} == set(range(7)) and (6, KNOCK) in met
    held, melds = game.held(state), game.melding.arranged(game.held(state))
    points: list[list[float]] = []
    for lane, other in enumerate(others):
        knocker = mover[lane] = int(state.to_move[lane])
        assert other.table.is_terminal() == (state.phase[lane] == DRAWN)
        laid = one_by_one(int(melds.sets[lane, knocker]), int(melds.runs[lane, knocker]))
        points.append(other.table.returns() if other.table.is_terminal() else other.scores(laid))
    assert game.scores(state).tolist() == points
    worth = {abs(one[0]) for one in points}
    assert 0 in worth and max(worth) > 40 and (state.phase == OVER).sum() > count // 3
    undercut = [one for one, seat in zip(points, mover, strict=True) if one[seat] < 0]
    assert undercut and all(abs(one[0]) > 25 for one in undercut)


def ids(names: str) -> list[int]:
    """Cards: "5♠ J♥"."""
    cards = [f"{rank}{suit}" for suit in "♠♥♣♦" for rank in LAYOUT.rank_names]
    return [cards.index(name) for name in names.split()]


@pytest.mark.parametrize(
    ("mine", "other", "lead"),
    [
        ("A♠ 2♠ 3♠ 5♥ 5♣ 5♦ 7♠ 8♠ 9♠ 10♠", "K♠ K♥ Q♦ J♦ 9♥ 8♥ 6♣ 4♣ 4♠ J♠", 81 + 25),  # gin, nothing is laid off
        ("A♠ 2♠ 3♠ 5♥ 5♣ 5♦ 7♠ 8♠ 9♠ 2♦", "K♠ K♥ Q♦ J♦ 9♥ 8♥ 6♣ 10♠ J♠ 5♠", 63 - 2),  # four and five, ten and jack are
        ("A♠ 2♠ 3♠ 5♥ 5♣ 5♦ 7♠ 8♠ 9♠ 3♥", "K♠ K♥ K♦ 6♦ 7♦ 8♦ J♠ Q♥ 10♠ 5♠", 10 - 3),
        ("A♠ 2♠ 3♠ 5♥ 5♣ 5♦ 7♠ 8♠ 9♠ 3♥", "K♠ K♥ K♦ 6♦ 7♦ 8♦ J♠ 3♦ 10♠ 5♠", 0),  # as much is no less
        ("A♠ 2♠ 3♠ 5♥ 5♣ 5♦ 7♠ 8♠ 9♠ 3♥", "K♠ K♥ K♦ 6♦ 7♦ 8♦ J♠ 2♦ 10♠ 5♠", -1 - 25),
    ],
)
def test_known_ends(mine: str, other: str, lead: float) -> None:
    game = Gin()
    hands = torch.tensor([[bits_of(ids(other)), bits_of(ids(mine))]])
    state = replace(game.deal(1), hands=hands, to_move=torch.tensor([1]), phase=torch.tensor([OVER], dtype=torch.int8))
    assert game.scores(state).tolist() == [[-lead, lead]]
    assert game.scores(replace(state, phase=state.phase - 1)).tolist() == [[0, 0]]


class SmallGin(Gin):
    """With twelve cards."""

    name = "small-gin"
    deck = bits_of([13 * suit + rank for suit in range(4) for rank in (0, 1, 2)])


@pytest.mark.slow
def test_a_small_form_keeps_the_contract_with_exact_worlds() -> None:
    assert contract.check(SmallGin(cards=3, decisions=6, knock=2)) == ()


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    assert contract.check(Gin(decisions=60)) == (TOO_FEW,)

"""Uno, a game of 108 cards, written on `HandGame` as anybody would: scalar rules, worlds, search, training, tables."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
import torch

from tests.hand_references import played_beside
from tests.uno import FOUR, LAYOUT, TWO, WILD, Uno, UnoState
from tests.uno_reference import ScalarUno
from vecgame import contract, piles
from vecgame.contract.uniform import TOO_FEW
from vecgame.copies import ids_of, tallied
from veclab.arena.told import game_told, states_told
from veclab.table.lines import _more


class SmallUno(Uno):
    """With nine cards, some of them twice."""

    name = "small-uno"
    copies = tuple({1: 2, 2: 1, TWO: 1, 14: 1, 15: 2, WILD: 1, WILD + 1: 1}.get(card, 0) for card in range(54))


@dataclass(frozen=True)
class StrictState(UnoState):
    may: torch.Tensor  # [B, P] ids


class Strict:
    """The wild card that makes the next one draw four is for who has no card of the colour, as all then know."""

    state_type = StrictState

    def legal_cards(self, state):
        wanted = self.layout.suit_bits(state.colour.clamp(min=0))
        has = piles.entry(ids_of(state.hands), state.to_move) & wanted != 0
        return super().legal_cards(state) & ~torch.where(has, 1 << FOUR, 0)

    def act(self, state, action, card):
        after, mover = super().act(state, action, card), state.to_move % self.seats
        left = piles.entry(state.may, mover) & ~self.layout.suit_bits(state.colour.clamp(min=0))
        may = piles.changed(state.may, mover, left, where=action == FOUR)
        drew = after.hands.sum(-1) > state.hands.sum(-1)  # any card, that nobody else sees
        return replace(after, may=torch.where(drew, self.deck, may))


class StrictUno(Strict, Uno):
    name = "strict-uno"


class SmallStrict(Strict, Uno):
    """With twelve cards, of which five are in the stock to begin with."""

    name = "small-strict-uno"
    copies = tuple({1: 3, 14: 6, FOUR: 3}.get(card, 0) for card in range(54))


class Unsaid(SmallStrict):
    """Does not say what a hand lacks."""

    def act(self, state, action, card):
        return replace(super().act(state, action, card), may=state.may)


class Wrong(SmallStrict):
    """Says that it lacks another colour."""

    def act(self, state, action, card):
        after = super().act(state, action, card)
        return replace(after, may=torch.where(action[:, None] == FOUR, state.may & ~RED, after.may))


RED = LAYOUT.suit_bits(torch.zeros((), dtype=torch.int64))
SMALL = {"players": 2, "cards": 2, "decisions": 6}  # the stock lasts so long: what is shuffled again all have seen


@pytest.mark.parametrize(("players", "cards", "most"), [(4, 7, 1000), (2, 7, 1000), (3, 25, 1000), (8, 12, 1000)])
def test_it_is_as_in_plain_python(players: int, cards: int, most: int, count: int = 40) -> None:
    game, rng = Uno(players=players, cards=cards, decisions=most), random.Random(5)
    state = game.deal(count, seed=11)
    others = [ScalarUno(one) for one in state]

    def choose(legal: list[int]) -> int:
        plays = [card for card in legal if card < game.first_other]  # drawing as often, few games end
        return rng.choice(plays if plays and rng.random() < 0.9 else legal)

    def look(made: int, state: UnoState) -> None:
        for lane in (~game.is_terminal(state)).nonzero()[:, 0].tolist() if made % 20 == 0 else ():
            held = [[hand[card] for card in range(54)] for hand in others[lane].hands]
            assert state.hands[lane].tolist() == held

    state = played_beside(game, state, others, choose, look)
    finished = [other.over() for other in others]
    assert sum(finished) > count // 4
    scores = [other.scores() if over else [0.0] * players for other, over in zip(others, finished, strict=True)]
    assert game.scores(state).tolist() == scores
    assert players * cards < 60 or sum(other.shuffles for other in others) > count // 4


def test_what_is_turned_up_to_begin_with_does_what_it_does_when_it_is_played() -> None:
    game = Uno()
    state = game.deal(4000, seed=2)
    top, held, rank = state.top.long(), state.hands.sum(-1), state.top.long() % 13
    assert (top != WILD + 1).all() and (top == WILD).any()
    plain = (top < WILD) & (rank < 10)
    assert (state.to_move[plain] == 0).all() and (held[plain] == 7).all()
    assert (state.to_move[(top < WILD) & (rank == 10)] == 1).all()
    backwards = (top < WILD) & (rank == 11)
    assert (state.to_move[backwards] == 2).all() and (state.ahead[backwards] == -1).all()
    two = (top < WILD) & (rank == TWO)
    assert (state.to_move[two] == 1).all() and (held[two] == torch.tensor([9, 7, 7, 7])).all()
    wild = state[top == WILD]
    assert (wild.to_move == 0).all() and (wild.colour == -1).all()
    named = game.step(wild, torch.full((len(wild),), game.first_other + 3))
    assert (named.to_move == 0).all() and (named.colour == 1).all()


def test_the_deck_is_the_known_one() -> None:
    game = Uno()
    assert game.deck_size == 108 == sum(game.copies) and game.deck.bit_count() == 54
    assert [copies for card, copies in enumerate(game.copies) if card % 13 == 0 and card < WILD] == [1] * 4
    assert game.highest == 4 * (2 * 45 + 6 * 20) + 8 * 50


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    assert contract.check(Uno(decisions=40)) == (TOO_FEW,)


def test_worlds_of_a_small_form_are_uniform() -> None:
    assert contract.check(SmallUno(**SMALL)) == ()


FEW_DECISIONS = {
    "players": 3,
    "cards": 2,
    "decisions": 3,
}  # then nobody draws and moves again, or needs the stock twice


@pytest.mark.slow
def test_worlds_know_what_a_hand_lacks() -> None:
    assert contract.check(StrictUno(decisions=40)) == (TOO_FEW,)
    assert contract.check(SmallStrict(**FEW_DECISIONS), pasts=30) == ()
    with pytest.raises(AssertionError, match="a world is drawn in which the past would be illegal"):
        contract.check(Unsaid(**FEW_DECISIONS), pasts=30)


def test_a_field_that_rules_out_what_a_seat_holds_is_found() -> None:
    with pytest.raises(AssertionError, match="a seat holds cards that the state's field may rules out"):
        contract.check(Wrong(**FEW_DECISIONS))


class Forgets(SmallUno):
    """Does not say that the card drawn lies in a hand."""

    def hidden(self, state):
        return {name: told for name, told in super().hidden(state).items() if name != "drawn"}


class Names(SmallUno):
    """Does not say that the top is one of the cards thrown away."""

    def hidden(self, state):
        return {name: told for name, told in super().hidden(state).items() if name != "top"}

    def open_cards(self, state):
        return super().open_cards(state) + tallied(state.top[:, None], 54)


class Loses(SmallUno):
    """Cards played are nowhere."""

    def act(self, state, action, card):
        return replace(super().act(state, action, card), discards=torch.zeros_like(state.discards))


class Peeks(SmallUno):
    """Worlds leave the others' hands as they are."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        return replace(drawn, hands=state.repeat(count).hands, stock=state.repeat(count).stock)


class Sorts(SmallUno):
    """Worlds know the order of the stock."""

    def determinize(self, state, count=3, seed=0):
        drawn = super().determinize(state, count, seed)
        ordered = torch.where(drawn.stock < 0, 99, drawn.stock).sort(-1).values
        return replace(drawn, stock=torch.where(ordered == 99, -1, ordered).to(torch.int8))


class Tells(SmallUno):
    """Who can play may not draw, which tells what a seat does not have; with a card more."""

    copies = tuple(int(count or card == 3) for card, count in enumerate(SmallUno.copies))

    def legal_others(self, state):
        draw, *others = super().legal_others(state)
        return [draw & (self.legal_cards(state) == 0), *others]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forgets, "a world is drawn in which the past would be illegal or look otherwise"),
        (Names, "copies: one comes from nowhere, or a field that only tells of cards elsewhere lacks place=False"),
        (Loses, "copies: cards out of play lie in a field too"),
        (Peeks, "hands is left in place in every world"),
        (Sorts, r"worlds are not uniform: .* of \d+ worlds, where \d+ are right: for seat \d after \d+ moves"),
        pytest.param(
            Tells, "a world is drawn in which the past would be illegal or look otherwise", marks=pytest.mark.slow
        ),
    ],
    ids=lambda kind: getattr(kind, "__name__", None),
)
def test_the_contract_finds_what_is_wrong(kind: type[Uno], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        contract.check(kind(**SMALL), pasts=10)


def test_hands_are_told_card_by_card() -> None:
    game = Uno()
    state = game.deal(40, seed=1)
    told = states_told(game, state, torch.zeros(40, dtype=torch.int64))
    assert all(len(one["hands"][0]) == int(state.hands[lane, 0].sum()) for lane, one in enumerate(told))
    assert any(len(set(one["hands"][0])) < 7 for one in told)  # two that look alike are told as two
    assert told[0]["hands"][1] == {"hidden": int(state.hands[0, 1].sum())}
    assert len(game_told(game)["deck"]) == 108 and game_told(game)["deck"].count("wild") == 4
    lane = next(lane for lane in range(40) if int(state.hands[lane, 0].max()) > 1)
    twice = LAYOUT.rank_names[int(state.hands[lane, 0, :WILD].argmax()) % 13]
    row = next(line for line in game.text(state, lane, 0).splitlines() if "(you)" in line)
    assert row.split().count(twice) >= 2 or "wild wild" in row
    assert "cards" in game.text(state, lane, 0) and "wild" not in game.text(state, lane, 0).splitlines()[2]


def test_a_card_drawn_is_told_though_one_like_it_is_held() -> None:
    assert _more((3, 5, 5), (5, 3, 5, 5, 7)) == [5, 7] and _more((3, 5), (3,)) == []

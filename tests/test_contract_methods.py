"""What the methods and declarations of a game of hands give is refused by their own names."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

import vecgame
from tests.crazy_eights import CrazyEights, CrazyEightsState
from tests.small_games import Count, Kuhn
from vecgame import Whist, contract, kinds
from vecgame.games.whist import WhistState

SMALL = {"players": 2, "cards": 2, "suits": 2, "ranks": 4}


def changed(**methods: object) -> CrazyEights:
    """The game with other methods or attributes."""
    return type("Changed", (CrazyEights,), methods)(**SMALL)


def acts(**fields: object) -> CrazyEights:
    """The game, `act` of which makes fields of those that it should have."""

    def act(self, state, action, card):
        after = CrazyEights.act(self, state, action, card)
        return replace(after, **{name: make(getattr(after, name)) for name, make in fields.items()})

    return changed(act=act)


def others(self, state):
    return CrazyEights.legal_others(self, state)


class NoScale(Kuhn):
    highest = None


class Random(CrazyEights):
    """Draws in a step what no seed gives again."""

    def act(self, state, action, card):
        after = super().act(state, action, card)
        return replace(after, drawn=after.drawn & (torch.rand(len(after)) < 0.5))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            changed(over=lambda self, s: (s.hands == 0).any(-1, keepdim=True)),
            r"^over must be .*\[24\], not .*\[24, 1\]",
        ),
        (changed(over=lambda self, s: False), "^over must give a tensor, not a bool"),
        (
            changed(legal_cards=lambda self, s: s.hands != 0),
            r"^legal_cards.* torch.int64 .*, not torch.bool of \[24, 2\]",
        ),
        (changed(legal_others=lambda self, s: others(self, s)[1:]), "legal_others gives 3 tensors for 4 others"),
        (
            changed(legal_others=lambda self, s: others(self, s)[0]),
            r"legal_others.*\[24, 4\], not torch.bool of \[24\]",
        ),
        (
            changed(legal_others=lambda self, s: [one.long() for one in others(self, s)]),
            "legal_others of 'name spades' must be torch.bool",
        ),
        (changed(legal_others=lambda self, s: None), r"legal_others must give .*, not nothing \(None\)"),
        (changed(legal_others=lambda self, s: [s.drawn & False] * 4), "is to move after 0 moves, and nothing is legal"),
        (changed(points=lambda self, s: s.hands[:, 0].float()), r"points must be .*\[24, 2\], not .* \[24\]"),
        (changed(points=lambda self, s: s.hands.double()), "points must be torch.float32 .* not torch.float64"),
        (changed(act=lambda self, s, action, card: None), r"act must give the state .*, not nothing \(None\)"),
        (acts(suit=torch.Tensor.float), "act changes the shape or dtype of suit: from torch.int8 .* to torch.float32"),
        (
            acts(drawn=lambda field: field[:, None]),
            r"act changes .* of drawn: from torch.bool of \[24\] to .*\[24, 1\]",
        ),
        (acts(to_move=lambda field: field + 1), "act has seat 2 to_move, which is none of the 2 seats"),
        (acts(to_move=lambda field: 0), "act, which changes to_move, must give a tensor, not a int"),
        (Random(**SMALL), "two equal steps differ: random numbers come from Stream"),
        (NoScale(), "the game does not say its highest score: set highest, got None"),
    ],
)
def test_the_contract_names_the_method(broken, message: str) -> None:
    with pytest.raises(AssertionError, match=message) as error:
        contract.check(broken)
    assert "\n" not in str(error.value)


def test_what_fits_into_the_state_passes() -> None:
    """Numbers of a smaller type, which the step makes what they were, and points that are the same in every game."""
    fits = acts(made=lambda field: field.to(torch.int8))
    assert contract.methods.methods_give_what_is_asked(fits) is None
    same = changed(points=lambda self, state: torch.zeros(1, 2, dtype=torch.int64))
    assert contract.methods.methods_give_what_is_asked(same) is None


def test_two_others_of_one_name() -> None:
    class Twice(CrazyEights):
        def set_up(self):
            super().set_up()
            self.others = (*self.others[:-2], "draw", "draw")

    with pytest.raises(AssertionError, match="two of others are named 'draw'"):
        contract.check(Twice(**SMALL))


def test_a_game_without_a_name_is_not_registered() -> None:
    class Nameless(CrazyEights):
        name = None

    with pytest.raises(ValueError, match=r"^Nameless has no name, by which it would be known: name = 'nameless'$"):
        vecgame.register(Nameless)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [(None, "does not say how many decisions it has at most"), (2.5, "must be a whole number, got 2.5")],
)
def test_decisions_that_are_none(decisions: object, message: str) -> None:
    class Endless(vecgame.HandGame):
        pass

    Endless.decisions = decisions
    Endless.__abstractmethods__ = frozenset()
    with pytest.raises(ValueError, match=message):
        Endless()


@dataclass(frozen=True)
class Misspelt(CrazyEightsState):
    holds: ClassVar = {"pyle": "sets", "may": "sets"}


@dataclass(frozen=True)
class OfTricks(WhistState):
    holds: ClassVar = {"fan": "cards"}


class Undecorated(CrazyEightsState):
    holds: ClassVar = {"marked": "cards"}

    marked: torch.Tensor


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        (CrazyEights, Misspelt, "holds of Misspelt names pyle, which is no field; the nearest is pile"),
        (Whist, OfTricks, "holds of OfTricks names fan, which is no field; there are index, hands, seen, "),
        (CrazyEights, Undecorated, "Undecorated is no dataclass, so it has no marked: @dataclass.frozen=True."),
    ],
)
def test_what_a_state_holds_are_fields_of_it(kind: type, state: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        type("Changed", (kind,), {"state_type": state})()


def test_the_contract_asks_it_of_a_game_that_checks_nothing() -> None:
    @dataclass(frozen=True)
    class Wrong(type(Count().deal(1))):
        holds: ClassVar = {"mode": "number"}

    class Plain(Count):
        def deal(self, *args, **kwargs):
            return Wrong(**super().deal(*args, **kwargs).tensors())

    with pytest.raises(AssertionError, match="holds of Wrong names mode, which is no field; the nearest is made"):
        contract.check(Plain())


@pytest.mark.parametrize("kind", ["set", 3, (), ("a", 2)])
def test_a_kind_that_there_is_not_is_refused_when_the_class_is_made(kind: object) -> None:
    with pytest.raises(
        ValueError, match=r"says that pile holds .*; there are sets, cards, counts, seats, suits, ranks, number, and a"
    ):
        type("Wrong", (CrazyEightsState,), {"holds": {"pile": kind}})


def test_all_kinds_are_taken() -> None:
    for kind in (*kinds.KINDS, ("low", "high")):
        type("Right", (CrazyEightsState,), {"holds": {"pile": kind}})

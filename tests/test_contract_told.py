"""The contract finds what is wrong in what a game tells networks and has them learn."""

from dataclasses import replace

import pytest

from tests.small_games import FiveSuits, Kuhn
from tests.test_symmetry import BidsAmongCards
from vecgame import Whist, contract, knowledge
from vecgame.cards import DECK, RANKS
from vecgame.contract import told
from vecgame.symmetry import SuitSymmetry

LED = 6 * DECK  # first of the columns of the suit led, of four seats and the usual cards
WON = LED + 4 + 4 + 4  # likewise of the tricks won, which are fractions


class NamesTooFewColumns(Kuhn):
    def columns(self):
        return [(self.features - 1, "cards and bets")]


class GivesTooManyColumns(Whist):
    """Counts a row [n, B] as one."""

    own_features = Whist.own_features + 1

    def own_block(self, state, viewer):
        return [*super().own_block(state, viewer), knowledge.by_seat(state.won, viewer)]


class NamesTooManyActions(Kuhn):
    def action_columns(self):
        return [(1, "pass"), (1, "bet"), (1, "fold")]


class TellsNoTrump(Whist):
    """Has another trump from game to game, and suits by their names."""

    def first_suit(self, state):
        return None

    def suit_symmetry(self):
        return None


class TellsTrump(TellsNoTrump):
    own_features = Whist.own_features + 4

    def own_block(self, state, viewer):
        return [*super().own_block(state, viewer), knowledge.one_hot(state.trump)]

    def own_columns(self):
        return [*super().own_columns(), (4, "the trump suit")]


class TeachesOtherHands(FiveSuits):
    """Gives the hands of the last seats in place of those after the mover."""

    def others_hands(self, state):
        return state.hands[:, 1:]


class TeachesPoints(FiveSuits):
    def tricks_won(self, state):
        return 10 * state.won


class ForgetsBids(BidsAmongCards):
    def suit_symmetry(self):
        return replace(super().suit_symmetry(), bidding=None)


def symmetry(boards: tuple[int, ...] = (0,), suits: tuple[int, ...] = (), trump: int = WON + 5) -> Whist:
    """Whist with other columns that are said to follow their suit."""
    kind = type("OtherColumns", (Whist,), {"suit_symmetry": lambda self: SuitSymmetry(boards, suits, trump)})
    return kind(cards=3, trump="random")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (NamesTooFewColumns(), "columns names 27 columns, but features is 28"),
        (GivesTooManyColumns(), "^own_block gives 60 columns, own_features says 57$"),
        (NamesTooManyActions(), "action_columns names 3 columns, but num_actions is 2"),
        (TellsNoTrump(cards=3, trump="random"), "observe does not tell trump 1 from trump 0"),
        (TeachesOtherHands(), "others_hands are not the hands of the seats after the mover"),
        (TeachesPoints(), "tricks_won is not from 0 to 3"),
        (ForgetsBids(cards=2), "suit_symmetry must name the column that is 1 while bidding"),
        (symmetry(boards=(WON + 8 + 20,)), "suit_symmetry names columns beyond the observation's"),
        (symmetry(boards=(0, DECK - RANKS)), "blocks of suit_symmetry lie over each other"),
        (symmetry(suits=(WON,)), "suit_symmetry names a column that is no card or suit, but a number"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_the_contract_names_what_is_broken(broken, message: str) -> None:
    with pytest.raises(AssertionError, match=message) as error:
        contract.check(broken)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("game", [TellsTrump(cards=3, trump="random"), BidsAmongCards(cards=2), symmetry()], ids=repr)
def test_what_is_right_passes(game) -> None:
    for check in (told.columns_are_named, told.trumps_are_told_apart, told.teaches_what_is_so):
        check(game)

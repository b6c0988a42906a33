"""The contract finds numbers of a game's own that are too small for it, and says what it has met."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.crazy_eights import CrazyEights, CrazyEightsRules
from tests.small_games import Kuhn
from vecgame import HandGame, HandState, contract
from vecgame.contract import sizes


@dataclass(frozen=True)
class PairState(HandState):
    holds: ClassVar = {"played": "sets"}

    played: torch.Tensor  # [B] int64


class Pair(HandGame):
    """Two seats play their cards one by one until all have none: eight decisions, which are no rule."""

    name, state_type, cards, seats, decisions = "pair", PairState, 4, 2, 8
    lowest, highest = 0.0, 1.0

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, played=hands[:, 0] * 0)

    def over(self, state):
        return (state.hands == 0).all(-1)

    def act(self, state, action, card):
        return replace(state, played=state.played | card, to_move=1 - state.to_move)

    def points(self, state):
        return (state.played[:, None] & torch.tensor([1, 2]) != 0).float()


def pair(**own: object) -> Pair:
    return type("Changed", (Pair,), own)()


class RareMoves(Pair):
    """Each seat has a move more in one of some hundred games, and else those of its four cards."""

    others, max_legal = ("pass",), 4

    def legal_others(self, state):
        return [(state.index % 256 == 255) & (state.made < 2)]


def shorter(state):
    """A seat that has the lowest card ends the game with its third card."""
    return (state.made == 7) & (state.hands[:, 1] & 0xFFFFFFF != 0)


def test_decisions_that_cut_games_off() -> None:
    message = (
        r"100% of games are ended by decisions=6, not by over\(\): with more they end by themselves, after up to 8; if "
        "it is meant, make it a rule"
    )
    with pytest.raises(AssertionError, match=message) as error:
        contract.check(pair(decisions=6))
    assert "\n" not in str(error.value)


def test_decisions_that_cut_some_games_off_are_a_note() -> None:
    some = pair(decisions=7, over=lambda self, state: Pair.over(self, state) | shorter(state))
    note = sizes.sizes_hold(some)
    share = float(note.split()[1].rstrip("%"))
    assert note.endswith("% of games are ended by decisions=7, not by over()") and 2 < share < 50


def test_decisions_after_which_no_game_could_go_on_are_a_note() -> None:
    """As with the last of as many rounds, after which nothing is left to do, where a game may end before."""
    never = pair(over=lambda self, state: state.made > 20)
    assert sizes.sizes_hold(never) == "decisions: 100.0% of games are ended by decisions=8, not by over()"


def test_decisions_that_are_a_rule_or_all_of_them_are_meant() -> None:
    cut = CrazyEights(players=2, cards=2, suits=2, ranks=4, decisions=9)
    assert "decisions" in CrazyEightsRules.__dataclass_fields__ and contract.met(cut).cut_off > 0.1
    assert sizes.sizes_hold(cut) is None
    assert sizes.sizes_hold(pair(over=HandGame.over)) is None and contract.met(pair(over=HandGame.over)).cut_off is None
    assert sizes.sizes_hold(Pair()) is None and sizes.sizes_hold(Kuhn()) is None


def test_more_legal_actions_than_are_listed_in_few_games() -> None:
    with pytest.raises(AssertionError, match="more than max_legal=4 actions are legal: 5 are at once"):
        contract.check(RareMoves())


def test_more_forced_moves_than_are_said() -> None:
    with pytest.raises(AssertionError, match="more than max_forced_run=1 moves are forced: 2 are in a row"):
        sizes.sizes_hold(pair(max_forced_run=1))


def test_what_was_met_is_told() -> None:
    met = contract.met(Pair(), games=50)
    assert (met.games, met.decisions, met.max_legal, met.max_forced_run) == (50, 8, 4, 2)
    assert str(met).splitlines() == [
        "met in 50 games played at random",
        "  decisions of the longest game: 8 (decisions=8)",
        "  most legal actions: 4 (max_legal=52)",
        "  longest run of forced moves: 2 (max_forced_run=8)",
    ]

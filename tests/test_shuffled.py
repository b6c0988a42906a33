"""Cards that all have seen and that are shuffled into the stock again: worlds know how many of them lie where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import comb

import pytest
import torch
from torch import Tensor

from tests.crazy_eights import CrazyEights, CrazyEightsState
from vecgame import piles
from vecgame.cards import popcount
from vecgame.contract import random_action
from vecgame.contract.shuffles import shuffled_are_counted
from vecgame.games.kuhn import Kuhn, KuhnState
from vecgame.state import concatenate


def after_a_shuffle(game: CrazyEights, count: int = 400) -> CrazyEightsState:
    """Games in which the pile has been shuffled into the stock, at whatever decision after that."""
    state, found = game.deal(count, seed=5), []
    for decision in range(60):
        state = game.step(state, random_action(game, state, seed=decision))
        found.append(state[(state.shuffled != 0) & ~game.is_terminal(state)])
    return concatenate(found)


def test_two_players_know_what_the_other_held_when_the_stock_ran_out() -> None:
    """All cards but the other's lay open then. What it has drawn since is one of these; how many, all have counted."""
    game = CrazyEights(players=2, cards=4)
    state = after_a_shuffle(game)
    assert len(state) > 500 and (popcount(state.shuffled) > 0).all()
    worlds, true = game.determinize(state, 6, seed=1), state.repeat(6)
    lot = true.shuffled[:, None]
    kept, drawn = true.hands & ~lot, true.hands & lot
    assert (worlds.hands & ~lot == kept).all() and (kept != 0).any()
    assert (popcount(worlds.hands & lot) == popcount(drawn)).all() and (worlds.hands & lot != drawn).any()


def test_worlds_are_uniform_over_what_is_known() -> None:
    """Of three seats: two hidden hands with so many cards of the pile, and so many others, each way as likely."""
    game = CrazyEights(players=3, cards=2, suits=2, ranks=5)
    states = after_a_shuffle(game)
    ways = ways_of(game, states)
    lane = int(torch.where(ways < 60, ways, 0).argmax())
    one, number = states[lane : lane + 1], int(ways[lane])
    worlds = game.determinize(one, 300 * number, seed=2)
    found = Counter(map(tuple, worlds.hands.tolist()))
    assert len(found) == number > 5
    assert sum((times - 300) ** 2 / 300 for times in found.values()) < number + 7 * (2 * number) ** 0.5 + 20


def ways_of(game: CrazyEights, state: CrazyEightsState) -> Tensor:
    """In how many ways the others' hands may lie: [B] int64."""
    others = state.hands.clone().scatter_(1, state.to_move[:, None], 0)
    seen = state.pile | piles.entry(state.hands, state.to_move)
    ways = []
    for lane in range(len(state)):
        number = 1
        for lot in (int(state.shuffled[lane]), ~int(state.shuffled[lane])):
            left = (game.deck & ~int(seen[lane]) & lot).bit_count()
            for hand in others[lane].tolist():
                number *= comb(left, (hand & lot).bit_count())
                left -= (hand & lot).bit_count()
        ways.append(number)
    return torch.tensor(ways)


class Slips(CrazyEights):
    """An eight is slipped to the next seat, and nobody else sees which."""

    def act(self, state, action, card):
        slips, after = (card != 0) & (action % self.layout.ranks == 0), (state.to_move + 1) % self.seats
        hands = piles.joined(state.hands, after, card)
        slipped = replace(state, hands=hands, to_move=after, drawn=torch.zeros_like(state.drawn))
        return slipped.where(slips, super().act(state, action, card))


def test_the_contract_finds_cards_that_nobody_can_count() -> None:
    assert shuffled_are_counted(CrazyEights()) is None
    with pytest.raises(
        AssertionError, match=r"seat \d cannot know how many of the cards in shuffled lie where, as after '8.'"
    ):
        shuffled_are_counted(Slips())


def test_it_is_told_apart_from_what_else_worlds_are_drawn_by() -> None:
    @dataclass(frozen=True)
    class BothState(CrazyEightsState):
        may: Tensor

    class Both(CrazyEights):
        state_type = BothState

    class Keeps(CrazyEights):
        def keeps(self, cards):
            return cards >= 0

    for kind, other in ((Both, "may"), (Keeps, "keeps")):
        with pytest.raises(ValueError, match=f"{kind.__name__} has shuffled and {other}, of which worlds are drawn by"):
            kind()


def test_networks_see_what_was_shuffled() -> None:
    game = CrazyEights()
    state = replace(game.deal(1), shuffled=torch.tensor([7]))
    assert game.columns()[-1] == (game.layout.size, "shuffled: cards, if seen")
    assert game.observe(state)[0, -game.layout.size :].tolist() == [1.0] * 3 + [0.0] * (game.layout.size - 3)


@dataclass(frozen=True)
class MarkedState(KuhnState):
    shuffled: Tensor  # [B] bool


class Marked(Kuhn):
    """No game of hands: a field of that name is what the game takes it for."""

    state_type = MarkedState

    def deal(self, *numbers, **more):
        state = super().deal(*numbers, **more)
        return MarkedState(**state.tensors(), shuffled=torch.ones_like(state.index, dtype=torch.bool))


def test_the_name_says_nothing_in_other_games() -> None:
    game, other = Marked(), Kuhn()
    worlds = game.determinize(game.deal(50, seed=1), 4, seed=2)
    assert torch.equal(worlds.cards, other.determinize(other.deal(50, seed=1), 4, seed=2).cards)

"""Trick games whose cards come from a stock: what is dealt, drawn and known."""

from dataclasses import dataclass

import pytest
import torch

from vecgame import DealerRules, Layout, TrickGame, TrickState, contract, stocks
from vecgame.cards import bit, popcount


@dataclass(frozen=True)
class StockState(TrickState):
    layout = Layout(suits=2, ranks=4)

    stock: torch.Tensor  # [B, 4] int8


@dataclass(frozen=True)
class TurnedState(StockState):
    turned: torch.Tensor  # [B] int8
    dealer: torch.Tensor  # [B] int8


@dataclass(frozen=True)
class ShownState(TurnedState):
    shown: torch.Tensor  # [B, 2] int64


class Covered(TrickGame):
    """Two cards for each of two seats, who draw after each of four tricks, who wins it first; no suit is followed."""

    name, rules_type, state_type, seats, cards = "covered", DealerRules, StockState, 2, 2
    highest = 4.0

    def preferences(self, state, led):
        return [torch.full_like(state.seen, -1)]

    def taken(self, state, trick, place, complete):
        return stocks.draw(state, complete, state.leader)

    def points(self, state):
        return state.won.float()


class Turned(Covered):
    """The last card of the stock lies face up."""

    name, state_type, turned_up = "turned", TurnedState, -1


class Shown(Turned):
    """The first lies face up, so that cards are undealt when it is drawn."""

    name, state_type, turned_up = "shown", ShownState, 0

    def start(self, hands, index, leader, **own):
        return super().start(hands, index, leader, shown=torch.zeros_like(hands[:, :, 0]), **own)


@pytest.mark.parametrize("game", [Covered(), Turned(), Shown()], ids=repr)
def test_games_with_a_stock_keep_the_contract(game) -> None:
    assert contract.check(game) == ()


def test_cards_not_dealt_are_the_stock_which_nobody_sees_but_the_one_turned_up() -> None:
    for game, place in ((Covered(), None), (Turned(), 3), (Shown(), 0)):
        state = game.deal(50, seed=1)
        assert state.stock.dtype == torch.int8 and (bit(state.stock).sum(-1) == game.deck & ~state.hands.sum(-1)).all()
        seen = torch.arange(4) == (-1 if place is None else place)
        assert torch.equal(game.hidden(state)["stock"].sees, seen.expand(50, 2, 4))
        assert (game.open_cards(state) == 0).all()  # what all see lies in the stock
        if place is not None:
            assert torch.equal(state.turned, state.stock[:, place]) and torch.equal(state.seen, bit(state.turned))
            assert torch.equal((state.dealer + 1) % 2, state.leader) and len(state.dealer.unique()) == 2


def test_who_has_the_card_turned_up_is_known() -> None:
    """Seat 1 draws first: of a state with a field for it the card is shown, of any other the other seat lacks it."""
    ends, first = Turned().deal(20, seed=2), torch.ones(20, dtype=torch.int8)
    after = stocks.draw(ends, torch.full((20,), 2), first)
    dealt = [bit(ends.stock[:, two]).sum(-1) for two in (slice(2, 4), slice(0, 2))]
    assert torch.equal(after.hands, ends.hands | torch.stack(dealt, -1)) and (after.stock == -1).all()
    assert torch.equal(after.lacks[:, 1], bit(ends.turned)) and not after.lacks[:, 0].any() and not after.seen.any()
    starts = Shown().deal(20, seed=2)
    after = stocks.draw(starts, torch.tensor([[0, 1]]).expand(20, -1))
    assert torch.equal(after.shown[:, 1], bit(starts.turned)) and not after.shown[:, 0].any()
    assert not after.lacks.any() and torch.equal(Shown().shows(after), after.shown)
    assert torch.equal(after.stock[:, :3], starts.stock[:, 1:]) and (after.stock[:, 3] == -1).all()
    assert (stocks.draw(after, torch.zeros(20, dtype=torch.bool)) == after) and (
        popcount(after.hands) == torch.tensor([2, 3])
    ).all()
    none = stocks.draw(stocks.draw(after, torch.ones(20, dtype=torch.bool)), torch.ones(20, dtype=torch.bool))
    assert (none.stock == -1).all() and (popcount(none.hands).sum(-1) == 8).all()  # no more than there are


def test_a_card_turned_up_needs_its_fields() -> None:
    class Bare(Covered):
        turned_up = 0

    with pytest.raises(ValueError, match="Bare has turned_up, so its StockState needs a field turned"):
        Bare()


def test_what_follows_from_a_stock() -> None:
    """As many tricks as there are cards for each seat, and hands into which cards come."""
    game = Turned()
    assert game.tricks == 4 and not game.fixed_hands
    state = game.deal(30, seed=4)
    assert torch.equal(game.trump(state), game.layout.suit_of(state.turned))

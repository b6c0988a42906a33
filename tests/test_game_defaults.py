"""What a game need not say, as it follows from its fields and rules, or from what it names."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.belote import Belote
from tests.bridge import VULNERABLE, Bridge
from tests.cribbage import Cribbage
from vecgame import DealerRules, HandGame, HandState, Layout, TrickGame, TrickState, Whist, contract, starts
from vecgame.cards import deck_bits
from vecgame.contract import random_action

GAMES = (
    "belote",
    "bridge",
    "crazy_eights",
    "cribbage",
    "durak",
    "gin",
    "go_fish",
    "hanabi",
    "schnapsen",
    "scopa",
    "uno",
)


@pytest.mark.parametrize("name", GAMES)
def test_games_are_written_in_less_than_a_hundred_lines(name: str) -> None:
    lines = (Path(__file__).parent / f"{name}.py").read_text().splitlines()
    assert len(lines) < 100 and max(map(len, lines)) <= 120


def test_trump_is_named_once_somebody_has() -> None:
    for game, calls in ((Belote(), [1]), (Bridge(), [1, 0, 0, 0])):  # beside to pass the lowest bid, then to pass
        state, named = game.deal(6, seed=3), []
        for call in calls:
            named.append(game.trump_named(state).any())
            state = game.step(state, game.legal_actions(state)[:, call])
        assert not any(named) and game.trump_named(state).all()
    assert Whist().trump_named(Whist().deal(1)) is None


def test_a_rule_says_what_else_is_drawn() -> None:
    def drawn(rule: str) -> list[str]:
        sides = Bridge(vulnerable=rule).deal(8, first_index=1).vulnerable[:, :2].long() @ torch.tensor([1, 2])
        return [VULNERABLE[side] for side in sides.tolist()]

    assert drawn("ew") == ["ew"] * 8 and drawn("rotate") == ["ns", "ew", "both", "none"] * 2
    assert len(Bridge().deal(100).vulnerable.unique(dim=0)) == 4
    for rule in ("EW", 1, True):
        with pytest.raises(ValueError, match="vulnerable must be one of none, ns, ew, both, random, rotate, got"):
            Bridge(vulnerable=rule)


@dataclass(frozen=True)
class PricedRules(DealerRules):
    price: int | str = "random"
    ranks: int = 3
    suits: int = 2


@dataclass(frozen=True)
class PricedState(TrickState):
    layout = Layout(suits=3, ranks=4)

    dealer: torch.Tensor
    price: torch.Tensor
    points: torch.Tensor = starts(0, "seats", dtype=torch.int16)  # [B, 2]


class Priced(TrickGame):
    """The ace of a suit counts four; who has five points has won."""

    name, rules_type, state_type, seats, cards, highest = "priced", PricedRules, PricedState, 2, 3, 12.0
    card_points = (0, 0, 3, 4) * 3

    def chance(self):
        return {**super().chance(), "price": 300}

    def over(self, state):
        return (state.points >= 5).any(-1)

    def points(self, state):
        return state.points.float()


def test_numbers_drawn_go_into_the_fields_of_their_names() -> None:
    state = Priced().deal(400, seed=2)
    assert state.price.dtype == torch.int64 and state.price.max() > 127 and state.price.min() >= 0  # no int8
    assert state.dealer.dtype == torch.int8 and torch.equal((state.dealer + 1) % 2, state.leader)
    assert Priced(price=7, dealer="rotate").deal(4).price.tolist() == [7] * 4
    assert Priced(dealer="rotate").deal(4).dealer.tolist() == [0, 1, 0, 1]
    given = Priced().from_hands([[[0, 1, 2], [4, 5, 6]]], price=300, dealer=1)
    assert (given.price.tolist(), given.dealer.tolist()) == ([300], [1])


def test_rules_say_how_many_suits_and_ranks_are_played_with() -> None:
    assert Priced().deck == 0b0111_0111 and Priced(suits=3, ranks=4).deck == (1 << 12) - 1
    for suits, ranks in ((1, 13), (3, 2)):
        assert Layout().part_of(PricedRules(suits=suits, ranks=ranks)) == deck_bits(suits, ranks)
    jokers = Layout(suits=1, ranks=2, extra=2, extra_names=("big", "small"))
    assert jokers.part_of(DealerRules()) == 0b1111
    with pytest.raises(ValueError, match="Priced has card 12 in its deck; its layout has 0 to 11"):
        Priced(suits=4)


def test_cards_count_for_who_takes_them_and_a_game_may_be_over_early() -> None:
    game = Priced(suits=3, ranks=4, price=0)
    state, worth, ends = game.deal(300, seed=5), torch.tensor(game.card_points), set()
    assert not game.plain
    counted = torch.zeros(300, 2, dtype=torch.int64)
    for _ in range(game.decisions):
        before, action, going = state, random_action(game, state), ~game.is_terminal(state)
        state = game.step(state, action)
        takes = going & (before.trick >= 0).any(-1)
        both = worth[action] + worth[before.trick.amax(-1).clamp(min=0).long()]
        counted += torch.where(takes, both, 0)[:, None] * (torch.arange(2) == state.leader[:, None])
        assert torch.equal(state.points.long(), counted)
        assert torch.equal(game.is_terminal(state), (state.made == game.length))
        over = (counted >= 5).any(-1) | (state.hands == 0).all(-1)
        assert torch.equal(game.is_terminal(state), over)
        ends |= set((state.hands[over] != 0).any(-1).tolist())  # with cards in hand or without
    assert ends == {True, False} and torch.equal(game.scores(state), counted.float())
    assert contract.check(game) == ()


def test_points_of_cards_need_a_field_and_one_for_each_card() -> None:
    class Unkept(Whist):
        card_points = (1,) * 52

    class Short(Priced):
        card_points = (1, 2)

    for game, told in ((Unkept, "Unkept has card_points, so its WhistState needs a field points"), (Short, "2 card_p")):
        with pytest.raises(ValueError, match=told):
            game()


class DummyWhist(Whist):
    """The dealer's partner lays its hand open once a card is played, and the dealer plays it."""

    name = "dummy-whist"

    def dummy(self, state):
        return torch.where(state.made > 0, (state.dealer.long() + 2) % 4, -1)


def test_a_dummy_lies_open_and_is_played_by_the_seat_opposite() -> None:
    game = DummyWhist(cards=2, trump="hearts", dealer=1)
    state, movers = game.deal(20, seed=6), []
    assert not game.lies_open(state).any()
    for _ in range(4):
        movers.append((game.in_turn(state)[0].item(), game.mover(state)[0].item()))
        state = game.step(state, random_action(game, state))
        assert game.lies_open(state).tolist() == [[False, False, False, True]] * 20
    assert movers == [(2, 2), (3, 1), (0, 0), (1, 1)]
    assert contract.check(DummyWhist(cards=2, trump="hearts")) == ()


def test_hand_games_have_a_dealer_and_the_layout_of_their_state() -> None:
    state = Cribbage(dealer="rotate").deal(4)
    assert state.dealer.tolist() == [0, 1, 0, 1] and state.to_move.tolist() == [1, 0, 1, 0]
    assert len(Cribbage().deal(50).dealer.unique()) == 2
    assert Cribbage().layout is type(state).layout

    @dataclass(frozen=True)
    class EldestState(HandState):
        layout = Layout(suits=2, ranks=3)
        dealer: torch.Tensor

    class Eldest(HandGame):
        name, state_type, decisions, highest = "eldest", EldestState, 3, 1.0

        def act(self, state, action, card):
            return state

        def points(self, state):
            return torch.zeros(len(state), self.seats)

    class Own(Eldest):
        name, layout = "own", Layout(suits=1, ranks=8)

    assert Eldest().layout.size == 6 and Own().layout.size == 8 and len(Eldest().deal(60).dealer.unique()) == 4
    with pytest.raises(ValueError, match=re.escape("dealer must be a seat 0..1, 'random' or 'rotate', got 2")):
        Cribbage(dealer=2)

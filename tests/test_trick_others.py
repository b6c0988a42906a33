"""What a seat of a trick game may do before it plays a card: to double, to close a stock, to announce a marriage."""

from dataclasses import dataclass, replace

import pytest
import torch

from tests.schnapsen import KING, QUEEN, Schnapsen
from vecgame import Spades, Whist, WhistMatch, contract
from vecgame.cards import bit
from vecgame.contract import random_action
from vecgame.games.matches import WhistMatchState
from vecgame.games.spades import SpadesState
from vecgame.games.whist import WhistState
from vecgame.hidden import Hidden, own
from vecgame.lanes import with_added
from vecgame.tricks import TrickGame
from veclab.arena.told import shown_to
from veclab.table import lines
from veclab.table.glyphs import UNICODE
from veclab.table.session import Settings, begin
from veclab.table.sight import look, said


@dataclass(frozen=True)
class DoubledState(WhistState):
    doubled: torch.Tensor  # [B] bool
    done: torch.Tensor  # [B] int8


@dataclass(frozen=True)
class DoubledSpadesState(SpadesState):
    doubled: torch.Tensor
    done: torch.Tensor


@dataclass(frozen=True)
class DoubledMatchState(WhistMatchState):
    doubled: torch.Tensor
    done: torch.Tensor


class Doubles(TrickGame):
    """Whoever leads may double, and then one that leads redouble; what that is worth does not matter here."""

    others, most_others = ("double", "redouble"), 2

    def start(self, hands, index, leader, **fields):
        return super().start(hands, index, leader, **{"doubled": torch.zeros_like(index).bool(), **fields})

    def legal_others(self, state):
        leads = (state.trick < 0).all(-1)
        return [leads & (state.done == 0), leads & state.doubled & (state.done == 1)]

    def do(self, state, place, other, doing):
        return replace(state, doubled=state.doubled | doing)


class Doubled(Doubles, Whist):
    """First suit trump, so that policies are turned."""

    state_type, own_features = DoubledState, Whist.own_features + 2

    def own_block(self, state, viewer):
        return [*super().own_block(state, viewer), state.doubled, state.done / 2]

    def own_columns(self):
        return [*super().own_columns(), (1, "doubled"), (1, "how often, of twice")]


class DoubledSpades(Doubles, Spades):
    """With bids, whose columns come between the cards and the others."""

    state_type = DoubledSpadesState


class SharedColumns(DoubledSpades):
    """Bids have the columns of cards, and suits are turned."""

    def set_up(self):
        super().set_up()
        self.first_bid = 0

    def first_suit(self, state):
        return torch.ones_like(state.leader)


@dataclass(frozen=True)
class SecretState(WhistState):
    choice: torch.Tensor  # [B, 4] int8, that only the seat itself sees
    done: torch.Tensor


class Secret(Whist):
    """Who leads first chooses something in secret."""

    state_type, others, most_others = SecretState, ("this", "that"), 1

    def start(self, hands, index, leader, **fields):
        choice = torch.zeros(len(index), 4, dtype=torch.int8)
        return super().start(hands, index, leader, choice=choice, **fields)

    def do(self, state, place, other, doing):
        return replace(state, choice=with_added(state.choice, place, torch.where(doing, other + 1, 0)))

    def hidden(self, state):
        hands = super().hidden(state)["hands"]
        return {"hands": hands, "choice": Hidden(hands.sees, holds="number")}


class DoubledMatch(Doubles, WhistMatch):
    """A match, in which each game is doubled for itself."""

    state_type = DoubledMatchState


class Forgetful(Doubles, Whist):
    """Its state has no count."""

    def start(self, hands, index, leader, **fields):
        return TrickGame.start(self, hands, index, leader, **fields)


GAMES = (
    Doubled(cards=3, trump="random"),
    pytest.param(DoubledSpades(cards=3), marks=pytest.mark.slow),
    pytest.param(DoubledMatch(cards=3, trump="random", games=2, target=4), marks=pytest.mark.slow),
    Schnapsen(cards=2, suits=2, needed=30),
    pytest.param(Schnapsen(), marks=pytest.mark.slow),
)


@pytest.mark.parametrize("game", GAMES, ids=str)
def test_games_keep_the_contract(game) -> None:
    contract.check(game)


@pytest.mark.parametrize("game", [*GAMES[:4], SharedColumns(cards=3)], ids=repr)
def test_the_lists_masks_and_columns_of_actions_agree(game) -> None:
    state = contract.mixed_positions(game, 200)
    mask, listed = game.legal_mask(state), game.legal_actions(state)
    assert mask.shape[1] == game.num_actions == game.first_other + len(game.others)
    assert mask[:, game.first_other :].any()
    there = torch.zeros_like(mask).scatter(1, listed.clamp(min=0), True)
    there[:, 0] &= (listed == 0).any(-1)  # where the list is filled up
    assert torch.equal(there, mask)
    columns = torch.zeros_like(mask).scatter(1, game.policy_columns(state, listed), True)
    policy = game.policy_mask(state)
    assert (policy <= columns).all() and torch.equal(policy.sum(-1), mask.sum(-1))
    assert torch.equal(policy[:, game.first_other :], mask[:, game.first_other :])
    assert [told for _, told in game.action_columns()][-len(game.others) :] == list(game.others)
    assert game.action_name(game.num_actions - 1, state) == game.others[-1]


def test_who_has_done_it_goes_on() -> None:
    game = DoubledSpades(cards=3)
    state = game.deal(50, seed=2)
    for _ in range(4):
        assert not game.legal_mask(state)[:, game.first_other :].any()
        state = game.step(state, random_action(game, state))
    after = game.step(state, torch.full((50,), game.first_other), validate=True)
    assert torch.equal(game.mover(after), game.mover(state)) and after.doubled.all() and (after.done == 1).all()
    same = [name for name in state.tensors() if name not in ("doubled", "done")]
    assert all(torch.equal(getattr(after, name), getattr(state, name)) for name in same)
    assert (game.turn(after) == game.turn(state) + 1).all()
    assert game.legal_mask(after)[:, game.first_other :].tolist() == [[False, True]] * 50
    with pytest.raises(ValueError, match="illegal"):
        game.step(after, torch.full((50,), game.first_other), validate=True)


def test_a_last_card_is_not_forced_where_there_is_something_else_to_do() -> None:
    game = Doubled(cards=1, trump="none")
    state = game.deal(20)
    assert game.play_forced(state) == state
    assert game.is_terminal(game.play_forced(game.step(game.step(state, [game.first_other] * 20), [53] * 20))).all()


def test_what_is_done_in_secret_is_told_to_nobody() -> None:
    game = Secret(cards=2, trump="none")
    state = game.deal(30)
    own_seat = torch.arange(4) == game.mover(state)[:, None]
    assert torch.equal(shown_to(game, state, torch.full((30,), game.first_other)), own_seat)
    assert shown_to(game, state, game.legal_actions(state)[:, 0]).all()  # a card, which all see


def test_a_state_without_the_count_is_refused() -> None:
    with pytest.raises(ValueError, match="Forgetful has others, so its WhistState needs a field done"):
        Forgetful()


def test_at_the_table_it_is_no_card() -> None:
    match = begin(Settings(Doubled(cards=2, trump="random"), games=1, seed=1))
    after = match.act(match.game.first_other)
    assert not after.last.plays and after.tricks == match.tricks
    told = lines.narrate(look(match, None), said(match, after, None), look(after, None), UNICODE)
    assert [line.partition(" ")[2].removeprefix("say ").removeprefix("says ") for line in told] == ["double."]
    assert after.act(after.legal[0]).last.plays


def schnapsen(mine: list[int], theirs: list[int], stock: list[int]):
    """A game in which seat 0 leads from these cards, with such a stock, the last of it turned up."""
    game = Schnapsen(cards=len(mine))
    hands = torch.tensor([[mine, theirs]])
    state = game.begin(hands, torch.tensor([0]), torch.tensor([1]), torch.tensor([stock], dtype=torch.int8))
    assert torch.equal(game.hidden(state)["hands"].sees, own(2, 1, state.device))
    return game, state


def card(suit: int, rank: int) -> int:
    return 5 * suit + rank


def test_marriages_count_once_a_trick_is_won() -> None:
    game, state = schnapsen(
        [card(0, KING), card(0, QUEEN), card(1, 4)],
        [card(1, 0), card(1, 1), card(2, 0)],
        [card(3, 1), card(3, 2), card(3, 4), card(0, 0)],
    )
    state = game.step(state, [game.others.index("marry in spades") + game.first_other], validate=True)
    assert state.points.tolist() == [[40, 0]] and game.total(state).tolist() == [[0, 0]]
    assert game.legal_mask(state)[0].nonzero()[:, 0].tolist() == [card(0, QUEEN), card(0, KING)]  # one of the two
    assert torch.equal(game.determinize(state, 20).hands[:, 0], state.hands[:, 0].repeat(20))
    state = game.step(game.step(state, [card(0, KING)]), [card(1, 0)])  # ♠ is trump; nobody has to follow
    assert game.total(state).tolist() == [[40 + 4 + 2, 0]]
    assert state.shown.tolist() == [[int(bit(torch.tensor(card(0, QUEEN)))), 0]]
    assert state.hands[0, 0] & 1 << card(3, 1) and state.hands[0, 1] & 1 << card(3, 2)  # the winner has drawn first


def test_who_has_closed_and_fails_loses() -> None:
    game, state = schnapsen(
        [card(0, 0), card(1, 0)], [card(0, 4), card(1, 4)], [card(3, 1), card(3, 2), card(3, 4), card(2, 0)]
    )
    state = game.step(state, [game.first_other], validate=True)
    assert state.closer.tolist() == [0] and state.behind.tolist() == [3]
    state = game.step(state, [card(0, 0)])
    assert game.legal_mask(state)[0].nonzero()[:, 0].tolist() == [card(0, 4)]  # follow suit, and higher
    for action in (card(0, 4), card(1, 4), card(1, 0)):
        state = game.step(state, [action])
    assert game.is_terminal(state).all() and game.scores(state).tolist() == [[-3, 3]]


def test_the_jack_is_exchanged_for_the_card_turned_up() -> None:
    game, state = schnapsen([card(2, 0), card(1, 0)], [card(0, 4), card(1, 4)], [card(3, 1), card(3, 2), card(2, 4)])
    assert game.legal_mask(state)[0, game.first_other :].tolist() == [True, True, *[False] * 4]
    state = game.step(state, [game.first_other + 1], validate=True)
    assert state.turned.tolist() == [card(2, 0)] and state.stock[0].tolist() == [card(3, 1), card(3, 2), card(2, 0)]
    assert state.shown[0, 0] == 1 << card(2, 4) and state.hands[0, 0] == 1 << card(2, 4) | 1 << card(1, 0)
    worlds = game.determinize(state, 50)
    assert (worlds.hands[:, 1] & 1 << card(2, 0) == 0).all() and (worlds.hands[:, 0] == state.hands[0, 0]).all()

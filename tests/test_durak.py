"""Durak, written on `HandGame` as anybody would, and a form in which attacks are passed on: scalar rules and worlds."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.durak import Durak, DurakState
from tests.durak_reference import ScalarDurak, ScalarTransfer
from tests.hand_references import cards_of, played_beside
from vecgame import contract, piles, starts
from vecgame.cards import bit, lowest_card, popcount, unpack
from vecgame.contract import random_action
from vecgame.contract.uniform import TOO_FEW


@dataclass(frozen=True)
class TransferState(DurakState):
    holds: ClassVar = {"rest": "sets"}

    rest: torch.Tensor = starts(0)  # [B] bitboard, what is to be beaten after the target


class Transfer(Durak):
    """Perevodnoy: while nothing is beaten the defender may add a card of the rank, and the next one defends."""

    name, state_type, verbs = "transfer-durak", TransferState, ("transfer",)

    def set_up(self):
        super().set_up()
        cards = [f"{suit} {rank}" for suit in self.layout.suit_names for rank in self.layout.rank_names]
        self.takes = {f"transfer {card}": (number,) for number, card in enumerate(cards)}
        self.others = (*Durak.others, *self.takes)

    def after(self, state):
        """Who would defend, and how many attacks there could be: [B] each."""
        seat = piles.seat_after(state.defender, self.held(state) != 0)
        return seat, popcount(piles.entry(self.held(state), seat)).clamp(max=self.rules.most)

    def legal_others(self, state):
        (seat, most), attacks = self.after(state), state.rest | bit(state.target.clamp(min=0))
        may = (state.target >= 0) & (attacks == state.table) & (seat != state.defender) & (most > popcount(attacks))
        alike = unpack(torch.where(may, self.layout.same_rank(attacks), 0), size=self.layout.size)
        return torch.cat([torch.stack(super().legal_others(state), -1), alike], -1)

    def act(self, state, action, card):
        transfers, (seat, most) = action > self.first_other + 1, self.after(state)
        due = torch.where(transfers, state.table | card, torch.where(action == self.first_other, 0, state.rest))
        begun = replace(state, attacker=state.to_move, defender=seat, left=most - popcount(state.table))
        after = super().act(begun.where(transfers, state), torch.where(transfers, lowest_card(card), action), card)
        after = after.where(transfers | (due == 0), replace(state, table=state.table | card))
        target = torch.where(due != 0, lowest_card(due).to(torch.int8), after.target)
        return replace(after, target=target, rest=due & due - 1)


SMALL = {"players": 3, "cards": 2, "suits": 2, "ranks": 4}
FEW = {"players": 3, "cards": 3, "suits": 3, "ranks": 5, "most": 2, "decisions": 60}
QUICK = [
    (Durak, {"players": 2}),
    (Durak, {"players": 3}),
    (Durak, {"players": 4}),
    (Durak, {"players": 4, "ranks": 13}),
    (Durak, SMALL),
    (Durak, FEW),
    (Transfer, {"players": 3}),
    (Transfer, FEW),
]
LONG = [
    (Durak, {"players": 8, "ranks": 13, "decisions": 1500}),
    (Transfer, {"players": 2}),
    (Transfer, {"players": 4, "ranks": 13}),
    (Transfer, SMALL),
    (Transfer, {"players": 8, "ranks": 13, "decisions": 1500}),
]


def beside(game: Durak, reference: type[ScalarDurak], count: int, seed: int = 5) -> list[ScalarDurak]:
    """Plays games beside scalar ones, and compares what all hold, know and get too."""
    rules, state, rng = game.rules, game.deal(count, seed=seed), random.Random(seed)
    others = [reference(one, rules.suits, rules.ranks, rules.cards, rules.most) for one in state]

    def choose(legal: list[int]) -> int:
        cards = [action for action in legal if action not in (game.first_other, game.first_other + 1)]
        return rng.choice(cards if cards and rng.random() < 0.7 else legal)

    def look(made: int, state: DurakState) -> None:
        for lane in range(count) if made % 7 == 0 else ():
            other = others[lane]
            assert [cards_of(hand) for hand in game.held(state)[lane]] == other.hands
            assert [cards_of(shown) for shown in state.shown[lane]] == other.open
            assert [card for card in state.stock[lane].tolist() if card >= 0] == other.stock
            assert cards_of(state.out[lane]) == other.beaten

    state = played_beside(game, state, others, choose, look)
    assert torch.allclose(game.scores(state), torch.tensor([other.scores() for other in others]))
    return others


@pytest.mark.parametrize(("kind", "sizes"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in LONG)])
def test_it_is_as_in_plain_python(kind: type[Durak], sizes: dict[str, int], count: int = 8) -> None:
    game, reference = kind(**sizes), ScalarTransfer if kind is Transfer else ScalarDurak
    others = beside(game, reference, count)
    assert any(other.over() for other in others) and any(other.taken for other in others)
    assert (sum(other.transfers for other in others) > 0) == (kind is Transfer)
    assert max(other.most_attacks for other in others) == game.first_left  # and no more


CARDS = [f"{rank}{suit}" for suit in "♠♥♣♦" for rank in ("6", "7", "8", "9", "10", "J", "Q", "K", "A")]


def ids(names: str) -> list[int]:
    """Cards of the usual 36: "6♠ 10♥"."""
    return [CARDS.index(name) for name in names.split()]


def bits(names: str) -> int:
    return sum(1 << card for card in ids(names))


def laid(*hands: str, stock: str = "", turned: str = "A♦", kind: type[Durak] = Durak) -> tuple[Durak, DurakState]:
    """A game of these hands and this stock, in which seat 0 attacks."""
    game = kind(players=len(hands))
    held, left = torch.tensor([[bits(hand) for hand in hands]]), min(6, len(ids(hands[1])))
    lies = torch.tensor([ids(stock) + [-1] * (36 - len(ids(stock)))], dtype=torch.int8)
    trump = torch.tensor(ids(turned), dtype=torch.int8)
    return game, replace(game.deal(1), hands=held, stock=lies, turned=trump, left=torch.tensor([left]))


def done(game: Durak, state: DurakState, moves: str) -> DurakState:
    """The state after cards, "take" and "pass", each of which has to be legal."""
    for move in moves.split():
        action = game.others.index(move) + game.first_other if move in game.others else ids(move)[0]
        assert game.legal_mask(state)[0, action], move
        state = game.step(state, [action])
    return state


def legal(game: Durak, state: DurakState) -> str:
    names = [*CARDS, *game.others]
    return " ".join(names[action] for action in game.legal_mask(state)[0].nonzero()[:, 0].tolist())


def test_a_card_is_beaten_by_a_higher_one_of_its_suit_or_a_trump() -> None:
    game, state = laid("8♠ 8♥ K♦", "7♠ 9♠ 10♥ 6♦ Q♦ A♦", "A♠ 8♣ 6♠")
    assert legal(game, state) == "8♠ 8♥ K♦"  # who begins plays any card, and has to
    assert legal(game, done(game, state, "8♠")) == "9♠ 6♦ Q♦ A♦ take"
    assert legal(game, done(game, state, "K♦")) == "A♦ take"
    assert legal(game, done(game, state, "8♠ 9♠")) == "8♥ pass"
    assert legal(game, done(game, state, "8♠ 6♦ pass")) == "6♠ 8♣ pass"  # of the ranks there, the defender's too


def test_who_takes_up_is_known_to_hold_it_and_is_passed_over() -> None:
    game, state = laid("8♠ 8♥ K♦", "7♠ 9♠ 10♥ 6♦", "A♠ 8♣ 6♠")
    state = done(game, state, "8♠ 9♠ 8♥ take pass 8♣")  # others throw in after that, and it is not asked to beat these
    assert (state.to_move.item(), state.table.item()) == (2, bits("8♠ 9♠ 8♥ 8♣"))
    state = done(game, state, "pass")
    assert state.shown[0].tolist() == [0, bits("8♠ 9♠ 8♥ 8♣"), 0] and state.out.item() == state.table.item() == 0
    assert (state.to_move.item(), state.attacker.item(), state.defender.item(), state.left.item()) == (2, 2, 0, 1)
    worlds = game.determinize(state, 20, seed=1)
    assert (worlds.shown == state.shown).all() and (worlds.hands[:, 1] & bits("8♠ 9♠ 8♥ 8♣") == 0).all()


def test_attacks_are_at_most_six_and_as_many_as_the_defender_holds() -> None:
    game, state = laid("6♠ 6♥ 6♣ 9♣", "K♠ A♠", "6♦ 9♠")
    state = done(game, state, "6♠ take 6♥")
    assert (state.shown[0, 1].item(), state.to_move.item(), state.left.item()) == (bits("6♠ 6♥"), 2, 2)
    game, state = laid("6♠ 6♥ 6♣ 6♦ 7♣ 7♦ 9♣", "7♠ 10♠ J♠ Q♠ K♠ A♠ A♥ K♥", "7♥ 9♠")
    state = done(game, state, "6♠ 7♠ 6♥ take 6♣ 6♦ 7♣ 7♦")
    assert (popcount(state.shown[0, 1]).item(), state.hands[0, 2].item()) == (7, bits("7♥ 9♠"))


def test_who_began_draws_first_and_the_defender_last() -> None:
    hands = "6♠ 8♠ 8♥ 9♥ 9♣ 10♥", "7♠ 7♥ K♠ K♥ K♣ K♦", "6♥ Q♥ Q♣ J♣ J♦ A♠"
    game, state = laid(*hands, stock="10♠ J♠ Q♠", turned="Q♠")
    state = done(game, state, "6♠ 7♠ pass 6♥ 7♥")
    assert state.to_move.item() == 0  # asked again, as something more was beaten
    state = done(game, state, "pass pass")
    assert state.hands[0].tolist() == [bits("8♠ 8♥ 9♥ 9♣ 10♥ 10♠"), bits("K♠ K♥ K♣ K♦"), bits("J♠ Q♥ Q♣ J♣ J♦ A♠")]
    assert state.shown[0].tolist() == [0, bits("Q♠"), 0]  # all have seen the last card of the stock
    assert state.out.item() == bits("6♠ 7♠ 6♥ 7♥") and (state.stock == -1).all()
    assert (state.attacker.item(), state.defender.item()) == (1, 2)


def test_the_card_turned_up_is_drawn_last_and_all_know_where_it_is() -> None:
    game, drawn = Durak(), 0
    state = game.deal(60, seed=3)
    for _ in range(150):
        some, before = state.stock[:, 0] >= 0, state
        last = state.stock.gather(1, ((state.stock >= 0).sum(-1, keepdim=True) - 1).clamp(min=0))[:, 0]
        assert (last == state.turned)[some].all()
        worlds, lies = game.determinize(state, 1, seed=1), state.stock == state.turned[:, None]
        assert torch.equal(worlds.stock == state.turned[:, None], lies)
        state = game.step(state, random_action(game, state))
        at_last = some & (state.stock[:, 0] < 0)
        assert (state.shown & bit(state.turned)[:, None] != 0).any(-1)[at_last].all()
        assert (game.held(before) & bit(state.turned)[:, None] == 0).all(-1)[some].all()
        drawn += int(at_last.sum())
    assert drawn > 40


@pytest.mark.parametrize(
    ("hands", "moves", "scores"),
    [
        (("6♠", "7♠"), "6♠ 7♠", [0, 0]),  # nobody has cards left
        (("6♠", "7♠ 8♠"), "6♠ 7♠", [1, -1]),
        (("6♠", "7♥ 8♠"), "6♠ take", [1, -1]),
        (("6♠", "7♠", "6♥"), "6♠ 7♠", [1, 1, -2]),  # who has nothing left is not attacked
        (("6♠", "7♥ 7♠", "6♥"), "6♠ 7♠ 6♥ 7♥", [0, 0, 0]),
    ],
)
def test_who_is_left_with_cards_pays(hands: tuple[str, ...], moves: str, scores: list[int]) -> None:
    game, state = laid(*hands)
    state = done(game, state, moves)
    assert game.is_terminal(state).all() and game.scores(state)[0].tolist() == scores


def test_an_attack_is_passed_on() -> None:
    game, state = laid("6♠ 9♠ 9♥ 9♦", "6♥ 9♣ 10♠", "6♣ 7♥ K♠ K♥", kind=Transfer)
    state = game.step(done(game, state, "6♠"), [game.action_names.index("transfer hearts 6")])
    assert (state.attacker.item(), state.defender.item(), state.to_move.item(), state.left.item()) == (1, 2, 2, 2)
    assert legal(game, state) == "K♠ take transfer clubs 6"  # the lowest is beaten first
    few = replace(state, hands=state.hands & ~bits("9♦"))
    assert legal(game, few) == "K♠ take"  # seat 0 could not beat three of them
    state = done(game, state, "K♠ 7♥")
    assert (state.to_move.item(), state.rest.item(), state.target.item()) == (1, 0, -1)


def test_more_cards_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="36 cards are not enough for 6 x 6 and a trump"):
        Durak(players=6)


def test_worlds_of_a_small_form_are_uniform() -> None:
    assert contract.check(Durak(**SMALL, decisions=8)) == ()


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    assert contract.check(Durak(decisions=40)) == (TOO_FEW,)
    assert contract.check(Durak(**SMALL)) == ()


@pytest.mark.slow
def test_passing_on_keeps_the_contract() -> None:
    assert contract.check(Transfer(decisions=40)) == (TOO_FEW,)
    assert contract.check(Transfer(**SMALL, decisions=12)) == ()

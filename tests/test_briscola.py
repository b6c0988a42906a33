"""Briscola beside a scalar reference, move by move; worlds beside all deals and orders of the stock that agree."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
import torch

from tests.helpers import assert_same_state, chi_square_p
from vecgame import Briscola, State, concatenate
from vecgame.contract import positions, random_action
from vecmcts import PlayoutEvaluator, SearchConfig, search

ORDER = ["2", "4", "5", "6", "7", "J", "Q", "K", "3", "A"]
WORTH = {"A": 11, "3": 10, "K": 4, "Q": 3, "J": 2}
BOTH = pytest.mark.parametrize("players", [2, 4])


def card_of(number: int) -> tuple[int, str]:
    return number // 10, ORDER[number % 10]


def cards_in(bits: int) -> set[tuple[int, str]]:
    return {card_of(number) for number in range(40) if bits >> number & 1}


class Reference:
    """One game, as the rules are told: the last card of the stock is the one turned up."""

    def __init__(self, hands: list[set], stock: list, leader: int) -> None:
        self.hands, self.stock, self.trump = hands, stock, stock[-1][0]
        self.points, self.played, self.trick, self.mover = [0] * len(hands), set(), [], leader

    @property
    def over(self) -> bool:
        return not any(self.hands)

    def play(self, card: tuple[int, str]) -> None:
        self.hands[self.mover].remove(card)
        self.played.add(card)
        self.trick.append((self.mover, card))
        self.mover = (self.mover + 1) % len(self.hands)
        if len(self.trick) == len(self.hands):
            self.take_trick()

    def take_trick(self) -> None:
        winner, best = self.trick[0]
        for seat, card in self.trick[1:]:
            higher = card[0] == best[0] and ORDER.index(card[1]) > ORDER.index(best[1])
            if higher or (card[0] == self.trump and best[0] != self.trump):
                winner, best = seat, card
        self.points[winner] += sum(WORTH.get(rank, 0) for _, (_, rank) in self.trick)
        self.trick, self.mover = [], winner
        for turn in range(len(self.hands) if self.stock else 0):
            self.hands[(winner + turn) % len(self.hands)].add(self.stock.pop(0))


def reference_of(state: State, lane: int) -> Reference:
    """The reference's game of a lane that has just been dealt."""
    hands = [cards_in(bits) for bits in state.hands[lane].tolist()]
    stock = [card_of(number) for number in (*state.stock[lane].tolist(), int(state.turned[lane]))]
    return Reference(hands, stock, int(state.leader[lane]))


def assert_alike(game: Briscola, state: State, lane: int, one: Reference) -> None:
    assert [cards_in(bits) for bits in state.hands[lane].tolist()] == one.hands
    assert state.points[lane].tolist() == one.points
    assert [card_of(number) for number in state.stock[lane].tolist() if number >= 0] == one.stock[:-1]
    assert cards_in(int(state.seen[lane])) == one.played | set(one.stock[-1:])
    assert bool(game.is_terminal(state)[lane]) == one.over
    if not one.over:
        assert int(game.mover(state)[lane]) == one.mover
        legal = game.legal_mask(state)[lane].nonzero()[:, 0].tolist()
        assert {card_of(number) for number in legal} == one.hands[one.mover]


@BOTH
def test_every_move_is_that_of_the_reference(players: int) -> None:
    game = Briscola(players=players)
    state = game.deal(60, seed=4)
    ours = [reference_of(state, lane) for lane in range(60)]
    for _ in range(game.decisions):
        action = random_action(game, state)
        for lane, one in enumerate(ours):
            assert_alike(game, state, lane, one)
            one.play(card_of(int(action[lane])))
        state = game.step(state, action, validate=True)
    scores = game.scores(state)
    for lane, one in enumerate(ours):
        assert_alike(game, state, lane, one)
        points = one.points
        sides = points if players == 2 else [points[seat] + points[seat - 2] for seat in range(4)]
        assert scores[lane].tolist() == sides and sum(points) == 120
    torch.testing.assert_close(game.values(state), scores / 120)


@BOTH
def test_cards_are_conserved_in_every_world(players: int) -> None:
    """Hands, stock, what was played and the card turned up are the deck, each card in one place."""
    game = Briscola(players=players)
    for state in positions(game, 20):
        for one in (state, game.determinize(state, 3, seed=5)):
            stock = torch.where(one.stock >= 0, 1 << one.stock.clamp(min=0).long(), 0)
            parts = torch.cat([one.hands, stock, one.seen[:, None]], -1)
            assert (parts.sum(-1) == game.deck).all()  # of disjoint sets the sum is the union
            assert torch.equal(one.stock >= 0, state.stock.repeat_interleave(len(one.stock) // 20, 0) >= 0)


def many_of(state: State, lane: int, count: int) -> State:
    """A lane so often, under other numbers, so that its worlds differ."""
    many = state[torch.full((count,), lane)]
    return type(many)(**{**many.tensors(), "index": torch.arange(count)})


@pytest.mark.parametrize("made", [30, 31, 32, 33])
def test_worlds_are_all_hands_and_orders_of_the_stock(made: int) -> None:
    """Near the end of the stock; nothing that was played tells anything, as all may play what they like."""
    game, draws = Briscola(), 30
    state = list(positions(game, 6))[made]
    for lane in range(3):
        mover = int(game.mover(state)[lane])
        hand, known = state.hands[lane].tolist(), int(state.seen[lane]) | int(state.hands[lane, mover])
        unseen = [card for card in range(40) if not known >> card & 1]
        held = hand[1 - mover].bit_count()
        agree = set()
        for order in itertools.permutations(unseen):
            if list(order[:held]) == sorted(order[:held]):
                agree.add((sum(1 << card for card in order[:held]), *order[held:]))
        worlds = game.determinize(many_of(state, lane, draws * len(agree)), 1, seed=6)
        rows = zip(worlds.hands[:, 1 - mover].tolist(), worlds.stock.tolist(), strict=True)
        counts = Counter((bits, *(card for card in stock if card >= 0)) for bits, stock in rows)
        assert set(counts) == agree and len(agree) in (120, 60, 4, 3)
        assert chi_square_p(list(counts.values()), [draws] * len(agree)) > 1e-4
        assert (worlds.hands[:, mover] == hand[mover]).all()


def test_a_stock_is_never_left_in_place() -> None:
    game = Briscola()
    for state in list(positions(game, 200))[:30]:  # at least three cards that nobody knows
        worlds = game.determinize(state, 4, seed=7)
        same = (worlds.stock == state.repeat(4).stock).all(-1).view(-1, 4)
        assert not same.all(-1).any() and same.float().mean() < 0.1


def test_all_know_who_has_drawn_the_card_turned_up() -> None:
    """Worlds leave it in that hand, and deal the rest of the cards uniformly: 2, 2 and 1 of five."""
    game, draws, tested = Briscola(players=4), 30, 0
    state = list(positions(game, 40))[32]
    turned = 1 << state.turned.long()
    for lane in range(40):
        mover = int(game.mover(state)[lane])
        holds = (state.hands[lane] & turned[lane] != 0).tolist()
        if holds[mover] or not any(holds):
            continue
        tested += 1
        worlds = game.determinize(many_of(state, lane, 30 * draws), 1, seed=8)
        assert ((worlds.hands & turned[lane] != 0) == torch.tensor(holds)).all()
        counts = Counter(map(tuple, worlds.hands.tolist()))
        assert len(counts) == 30 and chi_square_p(list(counts.values()), [draws] * 30) > 1e-4
        lacks = (state.lacks[lane] & turned[lane] != 0).tolist()
        assert lacks == [not one for one in holds]
    assert tested > 5


@BOTH
def test_a_game_does_not_depend_on_its_batch(players: int) -> None:
    game = Briscola(players=players)
    state = concatenate([one[lane : lane + 1] for lane, one in enumerate(positions(game, game.decisions + 1))])
    for together, alone in (
        (game.determinize(state, 2, seed=1), [game.determinize(one, 2, seed=1) for one in lanes_of(state)]),
        (game.play_forced(state), [game.play_forced(one) for one in lanes_of(state)]),
    ):
        assert_same_state(together, concatenate(alone))
    config = SearchConfig(worlds=2, simulations=4)
    policy = search(game, state, PlayoutEvaluator(), config, seed=2).policy
    for lane in random.Random(0).sample(range(game.decisions), 3):
        one = search(game, state[lane : lane + 1], PlayoutEvaluator(), config, seed=2).policy
        assert torch.equal(one[0], policy[lane])


def lanes_of(state: State) -> list[State]:
    return [state[lane : lane + 1] for lane in range(state.batch_size)]


def test_search_plays_the_better_of_the_last_cards() -> None:
    """One is led, the mover has two left and knows what the other holds: each choice leads to one end."""
    game = Briscola()
    state = list(positions(game, 400))[37]
    actions, mover = game.legal_actions(state), game.mover(state)[:, None]
    ends = [game.play_forced(game.step(state, actions[:, slot])) for slot in range(2)]
    first, second = (game.scores(end).gather(1, mover)[:, 0] for end in ends)
    best = torch.where(first > second, actions[:, 0], actions[:, 1])
    chosen = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=1, simulations=32), seed=3).policy.argmax(-1)
    differ = first != second
    assert differ.sum() > 100 and torch.equal(chosen[differ], best[differ])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Briscola(players=3), "players must be 2 or 4, got 3"),
        (lambda: Briscola(players=2.0), r"players must be 2 or 4, got 2\.0"),
        (lambda: Briscola(dealer=2), "dealer must be a seat 0..1, 'random' or 'rotate', got 2"),
        (lambda: Briscola().from_hands(torch.zeros(1, 2, 4)), r"hands must be \[B, 2, 3\] card ids"),
        (lambda: Briscola().from_hands(torch.tensor([[[0, 1, 2], [3, 4, 40]]])), "hands holds an id that is no card"),
    ],
)
def test_bad_input_gets_one_line(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)

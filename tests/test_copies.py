"""Decks in which cards look alike: counts in place of bitboards, dealt, moved, hidden, observed and solved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vecgame
from tests.hanabi import Hanabi
from vecgame import Hidden, Layout, Stream, contract, copies, piles, starts
from vecgame.cards import popcount
from vecgame.contract.rules import every_decision
from veclab.arena.bots import RandomBot
from veclab.exact.solution import solve

RANKS = ("J", "Q", "K")


@dataclass(frozen=True)
class PairsRules:
    """What may be changed."""


@dataclass(frozen=True)
class PairsState(vecgame.HandState):
    """A hand of two cards for each of two; who bets adds a chip, and who does not call a bet folds."""

    holds = {"hands": "counts", "bets": ("check", "bet")}  # noqa: RUF012

    bets: Tensor = starts(-1, "seats", dtype=torch.int8)  # [B, 2]
    rest: Tensor  # [B, 3] int8 counts, or a bitboard [B], the cards not dealt


@dataclass(frozen=True)
class PairsStateById(PairsState):
    holds = {"hands": "sets"}  # noqa: RUF012


class Pairs(vecgame.HandGame):
    """A pair beats none, and then the higher cards: six cards, of which each rank is there twice, as one id."""

    name, rules_type, state_type = "pairs", PairsRules, PairsState
    layout, copies = Layout(1, 3, rank_names=RANKS), (2, 2, 2)
    seats, cards, decisions, plays_cards, others = 2, 2, 2, False, ("check", "bet")
    lowest, highest, sum_of_scores, max_forced_run = -2.0, 2.0, 0.0, 0

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, rest=copies.tallied(stock, 3))

    def hidden(self, state):
        return super().hidden(state) | {"rest": Hidden("nobody", "counts" if self.copies else "sets")}

    def act(self, state, action, card):
        return replace(state, bets=piles.changed(state.bets, state.to_move, action), to_move=1 - state.to_move)

    def strength(self, hands):
        return (hands * torch.tensor([1, 4, 13])).sum(-1) + 100 * (hands == 2).any(-1)

    def points(self, state):
        strength, bets = self.strength(state.hands), state.bets.long()
        ahead = (strength[:, 0] > strength[:, 1]).long() - (strength[:, 0] < strength[:, 1]).long()
        folds = (bets[:, 0] == 1) & (bets[:, 1] == 0)
        won = torch.where(folds, 1, ahead * (1 + (bets == 1).all(-1))).float()
        return torch.stack([won, -won], -1)


class PairsById(Pairs):
    """The same with an id for each card: J Q K J Q K."""

    name, state_type, copies = "pairs-by-id", PairsStateById, ()
    layout = Layout(2, 3, suit_names=("a", "b"), rank_names=RANKS)

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, rest=self.deck & ~hands.sum(-1))

    def strength(self, hands):
        return super().strength(self.layout.counts(hands))


counts = st.lists(st.integers(0, 4), min_size=1, max_size=9)


@settings(deadline=None)
@given(counts, st.integers(0, 2**32), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_cards_in_order_are_all_of_them_and_cut_where_they_are_cut(
    held: list[int], seed: int, parts: list[int]
) -> None:
    most = sum(held) + 3
    stream = Stream(seed, torch.arange(5), torch.zeros(5, dtype=torch.int64))
    order = piles.stock_of(stream, torch.tensor(held).expand(5, -1), most)
    ends = torch.tensor(parts).cumsum(0).expand(5, -1).contiguous()
    cut = copies.cut(order, ends, len(held))
    for row, found in zip(order.tolist(), cut.tolist(), strict=True):
        assert Counter(row[: sum(held)]) == Counter(dict(enumerate(held))) and set(row[sum(held) :]) <= {-1}
        begin = 0
        for part, told in zip(parts, found, strict=True):
            there = Counter(card for card in row[begin : begin + part] if card >= 0)
            assert told == [there[card] for card in range(len(held))]
            begin += part
    assert copies.tallied(order, len(held)).tolist() == [held] * 5
    drawn, left = piles.draw(order, torch.tensor([[2, 1]] * 5), torch.tensor([[1, 0]] * 5), ids=len(held))
    for row, found, rest in zip(order.tolist(), drawn.tolist(), left.tolist(), strict=True):
        first, second = (Counter(card for card in row[a:b] if card >= 0) for a, b in ((0, 1), (1, 3)))
        assert [Counter({card: n for card, n in enumerate(one) if n}) for one in found] == [second, first]
        assert [card for card in rest if card >= 0] == [card for card in row[3:] if card >= 0]


def test_an_order_is_as_likely_as_any_other() -> None:
    """Of two cards of one id and one each of two others: 12 orders of 2,000 each; chi-square of 11, p = 1e-6 at 48."""
    stream = Stream(3, torch.arange(24_000), torch.zeros(24_000, dtype=torch.int64))
    order = piles.stock_of(stream, torch.tensor([2, 1, 1]).expand(24_000, -1), 4)
    number = (order * torch.tensor([27, 9, 3, 1])).sum(-1).unique(return_counts=True)[1].double()
    assert len(number) == 12 and float(((number - 2000) ** 2 / 2000).sum()) < 48


def test_hands_are_dealt_as_from_a_deck_of_cards() -> None:
    """How many kings seat 0 has of 2 cards: hypergeometric, of 30,000 deals; chi-square of 2, p = 1e-6 at 28."""
    state = Pairs().deal(30_000, seed=4)
    found = state.hands[:, 0, 2].long().bincount(minlength=3).double()
    expected = torch.tensor([comb(2, k) * comb(4, 2 - k) / comb(6, 2) for k in range(3)]).double() * 30_000
    assert float(((found - expected) ** 2 / expected).sum()) < 28
    assert (state.hands.sum(1) + state.rest == 2).all()


@pytest.mark.parametrize("game", [Pairs(), PairsById()], ids=repr)
def test_both_forms_keep_the_contract(game: Pairs) -> None:
    assert contract.check(game, pasts=20) == ()


def test_worlds_are_as_likely_as_with_an_id_for_each_card() -> None:
    """Seat 0's worlds of seat 1's hand from J J: of Q, Q, K, K six pairs, of which QK are four."""
    game = Pairs()
    state = game.deal(200, seed=1)
    mine = state[state.hands[:, 0, 0] == 2]
    other = game.determinize(mine, 500, seed=2).hands[:, 1].long()
    share = (other == torch.tensor([0, 1, 1])).all(-1).double().mean()
    assert abs(float(share) - 4 / 6) < 5 * (2 / 9 / len(other)) ** 0.5


def test_a_game_is_worth_the_same_with_copies_as_with_an_id_for_each_card() -> None:
    by_count, by_id = (solve(game) for game in (Pairs(), PairsById()))
    assert by_count.gain < 2e-3 > by_id.gain
    assert by_count.points.tolist() == pytest.approx(by_id.points.tolist(), abs=4e-3)
    assert abs(float(by_count.points[0])) > 0.02  # or the two would agree whatever they are


def test_a_network_sees_how_many_there_are_of_each_card() -> None:
    game, by_id = Pairs(), PairsById()
    state = game.deal(300, seed=5)
    assert any(words.startswith("hands: the share of each card's copies") for _, words in game.columns())
    seen = game.observe(state, torch.zeros(300, dtype=torch.int64))
    kinds = {tuple(hand.tolist()) for hand in state.hands[:, 0]}
    assert len(seen.unique(dim=0)) == len(kinds) == 6
    assert len(by_id.observe(by_id.deal(300, seed=5)).unique(dim=0)) == 15  # the same hands, told apart


def test_cards_that_are_played_leave_one_less() -> None:
    class Plays(Pairs):
        name, plays_cards = "plays", True

        def act(self, state, action, card):
            rest = state.rest + copies.counts_of(card, 3)
            return super().act(replace(state, rest=rest), (action >= 3).long(), card)

    game = Plays()
    state = game.deal(50, seed=1)
    mask, held = game.legal_mask(state), state.hands[:, 0] > 0
    assert torch.equal(mask[:, :3], held) and mask[:, 3:].all()
    after = game.step(state, held.long().argmax(-1))
    assert (after.hands.sum(-1) == torch.tensor([1, 2])).all() and (after.hands >= 0).all()
    assert (after.hands.sum(1) + after.rest == 2).all()
    with pytest.raises(ValueError, match="illegal"):
        game.step(state, (~held).long().argmax(-1)[:1].expand(50), validate=True)


def test_a_game_may_have_more_decisions_than_a_byte_counts() -> None:
    class Long(Pairs):
        name, decisions = "long", 300

    game = Long()
    every_decision(game)
    ends = type("Ends", (Long,), {"name": "ends", "over": lambda self, state: state.made >= 3})
    assert contract.check(ends()) == ()  # whose games never are as long
    state = game.deal(2000, seed=1)
    drawn = []
    for made in range(300):
        if made in (40, 296):
            drawn.append(RandomBot().act(game, state, seed=3))
        state = game.step(state, torch.zeros(2000, dtype=torch.int64))
    assert game.is_terminal(state).all() and abs(float((drawn[0] == drawn[1]).float().mean()) - 0.5) < 0.06


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"copies": (2, 2)}, "copies are one number for each of the layout's 3 ids, got 2"),
        ({"copies": (2, 2, -1)}, "copies of an id are 0 to 127, got -1 of id 2"),
        ({"copies": (2, 2, 200)}, "copies of an id are 0 to 127, got 200 of id 2"),
        ({"copies": (2, 2, 2), "deck": 0b11}, "the deck lacks id 2, of which there are 2 copies"),
        ({"copies": ()}, "says that hands holds counts, but Changed has no copies"),
        ({"state_type": PairsStateById}, "Changed has copies, so that hands is no bitboard"),
        (
            {"keeps": lambda self, cards: cards != 0},
            "says what a seat keeps, which is not asked where hands are counts",
        ),
        ({"cards": 4}, "Changed deals 8 cards, but its deck has 6"),
    ],
)
def test_what_makes_no_such_game_is_refused_in_one_line(change: dict[str, object], message: str) -> None:
    kind = type("Changed", (Pairs,), change)
    with pytest.raises(ValueError, match=message):
        kind()


@dataclass(frozen=True)
class KnownState(PairsState):
    holds = {"hands": "counts", "shown": "counts", "played": "counts"}  # noqa: RUF012

    shown: Tensor  # [B, 2, 3] int8
    played: Tensor = starts(0, 3, dtype=torch.int8)  # [B, 3]


class Known(Pairs):
    """The first card of each hand lies open, and two cards are played by each."""

    name, state_type, plays_cards, others, decisions = "known", KnownState, True, (), 4
    max_forced_run = 4

    def begin(self, stream, hands, stock):
        first = copies.counts_of(1 << (hands > 0).long().argmax(-1), 3)
        return self.start(stream, hands - first, shown=first, rest=copies.tallied(stock, 3))

    def act(self, state, action, card):
        return replace(state, played=state.played + copies.counts_of(card, 3), to_move=1 - state.to_move)

    def points(self, state):
        ahead = (state.made % 2).float()  # whatever a game is worth
        return torch.stack([1 - ahead, ahead - 1], -1)


def test_of_two_cards_that_look_alike_the_one_that_lies_open_is_played() -> None:
    game = Known()
    state = game.deal(300, seed=1)
    twice = state[(state.shown + state.hands)[:, 0].amax(-1) == 2]
    after = game.step(twice, twice.shown[:, 0].long().argmax(-1))
    assert len(twice) > 30 and (after.shown[:, 0] == 0).all() and torch.equal(after.hands[:, 0], twice.hands[:, 0])
    assert torch.equal(game.held(state), state.hands + state.shown)
    assert (game.legal_mask(state)[:, :3] == (game.held(state)[:, 0] > 0)).all()


class Named(Known):
    """Its cards are played by moves with names of their own, which the game takes out of the hand itself."""

    name, plays_cards, others = "named", False, ("play J", "play Q", "play K")

    def legal_others(self, state):
        return piles.entry(self.held(state), state.to_move) > 0

    def act(self, state, action, card):
        card = copies.counts_of(1 << action, 3)
        own = piles.entry(state.shown, state.to_move)
        from_shown = torch.minimum(own, card)
        shown = piles.added(state.shown, state.to_move, -from_shown)
        hands = piles.added(state.hands, state.to_move, from_shown - card)
        return replace(state, shown=shown, hands=hands, played=state.played + card, to_move=1 - state.to_move)


@pytest.mark.parametrize("kind", [Known, Named])
def test_what_moves_are_called_makes_no_difference_to_the_contract(kind: type[Pairs]) -> None:
    """Who plays one of two kings has chosen among them, by a card's number as by a name."""
    assert contract.check(kind(), pasts=60) == ()


class Lays(Known):
    """Pairs may be laid down at once, or nothing done."""

    name, decisions, others = "lays", 6, ("lay J J", "lay Q Q", "lay K K", "pass")
    takes = {f"lay {rank} {rank}": (number, number) for number, rank in enumerate(RANKS)}  # noqa: RUF012
    max_forced_run = 6

    def act(self, state, action, card):
        return replace(state, played=state.played + self.taken_by(action), to_move=1 - state.to_move)


class LaysById(PairsById):
    """The same with an id for each card."""

    name, plays_cards, decisions, others = "lays-by-id", True, 6, ("lay J J", "lay Q Q", "lay K K", "pass")
    takes = {f"lay {rank} {rank}": (number, number + 3) for number, rank in enumerate(RANKS)}  # noqa: RUF012
    max_forced_run, lowest, highest = 6, -6.0, 6.0

    @dataclass(frozen=True)
    class State(PairsStateById):
        holds = {"played": "sets"}  # noqa: RUF012

        played: Tensor = starts(0)  # [B]

    state_type = State

    def act(self, state, action, card):
        return replace(state, played=state.played | card, to_move=1 - state.to_move)

    def points(self, state):
        left = popcount(state.hands).float()
        return left - left.flip(-1)


@pytest.mark.parametrize("game", [Lays(), LaysById()], ids=repr)
def test_moves_may_take_several_cards_out_of_a_hand(game: Pairs) -> None:
    assert contract.check(game, pasts=20) == ()
    state = game.deal(200, seed=2)
    held = game.held(state)[:, 0]
    held = held if game.copies else game.layout.counts(held)
    mask = game.legal_mask(state)
    assert torch.equal(mask[:, game.first_other : game.first_other + 3], held == 2) and mask[:, -1].all()
    pairs = (held == 2).any(-1).nonzero()[:, 0]
    after = game.step(state[pairs], game.first_other + (held[pairs] == 2).long().argmax(-1))
    assert len(pairs) > 20 and (game.held(after)[:, 0] == 0).all() and after.played.any()
    assert torch.equal(game.step(state, torch.full((200,), game.num_actions - 1)).hands, state.hands)


def test_what_moves_take_is_refused_where_hands_are_places() -> None:
    game = type("Changed", (Hanabi,), {"takes": {"hint spades": (0,)}})()
    with pytest.raises(ValueError, match="Changed says what its others take, but its hands are places of cards"):
        game.legal_mask(game.deal(2))


@pytest.mark.parametrize(
    ("takes", "message"),
    [
        ({"lay": (0, 0)}, "takes of Changed names 'lay', which is none of its others"),
        ({"pass": (0, 0, 0)}, "'pass' takes 3 of id 0, of which there are 2"),
        ({"pass": (7,)}, "'pass' takes id 7, which is no card"),
    ],
)
def test_moves_that_take_what_there_is_not_are_refused(takes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        type("Changed", (Lays,), {"takes": takes})()


def test_what_a_smaller_form_lacks_cards_for_is_never_legal() -> None:
    game = type("Fewer", (Lays,), {"name": "fewer", "copies": (2, 1, 2)})()
    mask = torch.cat([game.legal_mask(state) for state in contract.positions(game, 200)])
    legal = dict(zip(game.action_names, mask.any(0).tolist(), strict=True))
    lays = [name for name in game.takes if 2 in Counter(game.takes[name]).values()]
    assert [legal[name] for name in lays] == [True, False, True]


class TwoCoins(Pairs):
    """Beside the cards each seat has a coin that it alone sees, and that of seat 0 is known."""

    name = "two-coins"

    @dataclass(frozen=True)
    class State(PairsState):
        coin: Tensor = starts(False, "seats")

    state_type = State

    def begin(self, stream, hands, stock):
        coin = (stream.uniform(vecgame.Purpose.OWN, 2) < 0.5) & torch.tensor([False, True])
        return self.start(stream, hands, rest=copies.tallied(stock, 3), coin=coin)

    def hidden(self, state):
        weights = torch.tensor([[1, 0], [1, 1]]).expand(len(state), -1, -1)
        return super().hidden(state) | {"coin": Hidden("own", "number", weights=weights)}


def test_a_hidden_number_that_can_be_one_only_is_left_as_it_is() -> None:
    assert contract.check(TwoCoins()) == ()


def test_counts_are_added_and_not_joined() -> None:
    hands = Pairs().deal(3).hands
    with pytest.raises(TypeError, match="counts of them are added"):
        piles.joined(hands, torch.zeros(3, dtype=torch.int64), hands[:, 1])
    with pytest.raises(TypeError, match=r"counts \[B, size\] are added, as draw\(.., ids=size\) gives"):
        piles.added(hands, torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64))
    more = piles.added(hands, torch.tensor([0, 1, 0]), hands[:, 1], where=torch.tensor([True, True, False]))
    assert (more.sum(-1) == torch.tensor([[4, 2], [2, 4], [2, 2]])).all() and more.dtype == torch.int8
    assert torch.equal(piles.entry(hands, torch.tensor([1, 0, 1])), hands[torch.arange(3), torch.tensor([1, 0, 1])])


def test_a_stock_is_filled_up_from_below() -> None:
    stock = torch.tensor([[2, 0, -1, -1], [1, -1, -1, -1], [-1, -1, -1, -1]], dtype=torch.int8)
    stream = Stream(0, torch.arange(3), torch.zeros(3, dtype=torch.int64))
    more = torch.tensor([[0, 0, 0], [0, 2, 1], [1, 1, 1]])
    after = piles.refilled(stock, more, stream)
    assert after[0].tolist() == [2, 0, -1, -1] and after[1, 0] == 1 and sorted(after[1, 1:].tolist()) == [1, 1, 2]
    assert sorted(after[2].tolist()) == [-1, 0, 1, 2] and after[2, 3] == -1
    bits = torch.tensor([0, 0b1100, 0b111])
    by_id = piles.refilled(stock, bits, stream)
    assert by_id[0].tolist() == stock[0].tolist() and sorted(by_id[1].tolist()) == [-1, 1, 2, 3]
    assert (popcount(bits) == torch.tensor([0, 2, 3])).all()


def test_a_trick_game_has_no_copies() -> None:
    kind = type("Twice", (vecgame.game_class("briscola"),), {"copies": (2,) * 40})
    with pytest.raises(ValueError, match="Twice has copies, but cards of a trick game have an id each"):
        kind()


@dataclass(frozen=True)
class KeptState(vecgame.HandState):
    """One card in each hand, and one that the mover has drawn beside it."""

    layout = Layout(0, 0, 4, extra_names=tuple("abcd"))
    holds = {"hands": "counts", "pile": "counts"}  # noqa: RUF012

    stock: Tensor
    drawn: Tensor = starts(-1, dtype=torch.int8)  # [B]
    pile: Tensor = starts(0, "layout.size", dtype=torch.int8)  # [B, 4]


class Kept(vecgame.HandGame):
    """Who moves draws a card and plays one of the two; the other is its hand."""

    name, state_type, copies = "kept", KeptState, (3, 2, 2, 1)
    seats, cards, decisions, lowest, highest, max_forced_run = 2, 1, 5, 0.0, 3.0, 5

    def begin(self, stream, hands, stock):
        return self.draws(self.start(stream, hands, stock=stock))

    def draws(self, state):
        got, stock = piles.draw(state.stock, torch.ones_like(state.made, dtype=torch.bool), ids=4)
        drawn = torch.where(got.sum(-1) > 0, got.argmax(-1), -1).to(torch.int8)
        return replace(state, stock=stock, drawn=drawn)

    def hidden(self, state):
        mine = torch.arange(2, device=state.device) == state.to_move[:, None]
        return super().hidden(state) | {"drawn": Hidden(mine, "cards")}

    def legal_cards(self, state):
        return super().legal_cards(state) | torch.where(state.drawn < 0, 0, 1 << state.drawn.clamp(min=0).long())

    def act(self, state, action, card):
        kept = copies.tallied(state.drawn, 4) * (piles.entry(state.hands, state.to_move).sum(-1) == 0)[:, None]
        hands = piles.added(state.hands, state.to_move, kept)
        pile = state.pile + copies.counts_of(card, 4)
        return self.draws(replace(state, hands=hands, pile=pile, to_move=1 - state.to_move))

    def points(self, state):
        return state.hands.argmax(-1).float()


def test_who_has_two_alike_in_two_places_has_played_either() -> None:
    """One in its hand and one that it has drawn: of such a past no worlds are compared."""
    assert contract.check(Kept(), pasts=40) == ()

"""What games of hands are made of: what fields begin with, tables of cards, piles, who sees what, and worlds of it."""

from __future__ import annotations

import itertools
import pickle
import random
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from vecgame import HandGame, HandState, Hidden, Layout, contract, grouped, piles, starts
from vecgame.cards import Table, bit, highest_card, popcount
from vecgame.contract import random_action
from vecgame.contract.pasts import NOT_ASKED

EXTRA = Layout(suits=2, ranks=5, extra=3, extra_names=("x", "y", "z"))


# --- what fields begin with ---


@dataclass(frozen=True)
class DraftRules:
    players: int = 3
    cards: int = 3
    lives: int = 4


@dataclass(frozen=True)
class DraftState(HandState):
    """All mark a card in secret, then lay it down and pass the rest to the left, until they have one left."""

    holds: ClassVar = {"laid": "sets"}

    lives: torch.Tensor = starts("rules.lives", "seats", dtype=torch.int8)
    pick: torch.Tensor = starts(-1, "seats", dtype=torch.int8)
    laid: torch.Tensor = starts(0, "seats")
    rate: torch.Tensor = starts(0.5)
    over: torch.Tensor = starts(False, "seats", 2)


class Draft(HandGame):
    name, rules_type, state_type, layout = "draft", DraftRules, DraftState, Layout(suits=2, ranks=5)
    lowest, highest = 0.0, 20.0

    def set_up(self):
        self.decisions = self.seats * (self.cards - 1)

    def hidden(self, state):
        seat = torch.arange(self.seats)
        known = (seat - seat[:, None]) % self.seats <= (state.made // self.seats)[:, None, None]  # those passed on
        return {"hands": Hidden(known), "pick": Hidden("own", "cards", place=False, of="hands")}

    def act(self, state, action, card):
        hands = piles.joined(state.hands, state.to_move, card)  # where it stays until all have picked
        pick = piles.changed(state.pick, state.to_move, action)
        all_have, picked = (pick >= 0).all(-1, keepdim=True), bit(pick.clamp(min=0))
        return replace(
            state,
            to_move=(state.to_move + 1) % self.seats,
            pick=torch.where(all_have, -1, pick),
            hands=torch.where(all_have, (hands & ~picked).roll(1, -1), hands),
            laid=torch.where(all_have, state.laid | picked, state.laid),
        )

    def points(self, state):
        return self.layout.total(state.laid, [0, 1, 2, 3, 4] * 2).float()


def test_fields_begin_with_what_is_declared() -> None:
    state = Draft(lives=3).deal(5, seed=1)
    assert state.lives.dtype == state.pick.dtype == torch.int8 and state.laid.dtype == torch.int64
    assert (state.lives == 3).all() and state.lives.shape == (5, 3) and (state.pick == -1).all()
    assert state.rate.dtype == torch.float32 and state.rate.tolist() == [0.5] * 5
    assert state.over.dtype == torch.bool and state.over.shape == (5, 3, 2) and not state.over.any()
    assert state.to_move.tolist() == state.made.tolist() == [0] * 5


def test_states_with_such_fields_are_what_other_states_are() -> None:
    state = Draft().deal(6, seed=1)
    other = replace(state, rate=state.rate + 1)
    assert DraftState.from_tensors(state.tensors()) == state != other
    assert state.put(torch.tensor([1]), other[1]).rate.tolist() == [0.5, 1.5, *[0.5] * 4]
    assert state.where(state.index < 3, other).rate.tolist() == [0.5] * 3 + [1.5] * 3
    assert state.take(torch.tensor([4, 2])).index.tolist() == [4, 2] and pickle.loads(pickle.dumps(state)) == state
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'over'"):
        DraftState(**{name: field for name, field in state.tensors().items() if name != "over"})


def test_a_field_that_begins_with_nothing_is_named() -> None:
    @dataclass(frozen=True)
    class MoreState(DraftState):
        chips: torch.Tensor

    class More(Draft):
        state_type = MoreState

    class Given(More):
        def begin(self, stream, hands, stock):
            return self.start(stream, hands, chips=hands + 7, rate=hands[:, 0] * 0.0)

    with pytest.raises(ValueError, match=r"^MoreState: chips begin with nothing: declare it by starts\(..\), or give"):
        More().deal(1)
    assert Given().deal(2).rate.tolist() == [0, 0]


def test_fields_known_by_their_names_begin_by_themselves() -> None:
    @dataclass(frozen=True)
    class AllState(HandState):
        stock: torch.Tensor
        future: torch.Tensor
        shown: torch.Tensor
        may: torch.Tensor
        needs: torch.Tensor

    class All(Draft):
        state_type, hidden = AllState, HandGame.hidden

    game = All()
    state = game.deal(4, seed=1)
    told = game.hidden(state)
    assert (state.stock >= 0).sum(-1).tolist() == [1] * 4 and (state.future > 0).all()
    assert (state.shown == 0).all() and (state.needs == 0).all() and (state.may == game.deck).all()
    assert set(told) == {"hands", "stock", "future", "may", "needs"} and (game.open_cards(state) == 0).all()
    assert not told["stock"].sees.any() and told["needs"].sees.all() and not told["needs"].is_place


# --- tables of cards ---


@pytest.mark.parametrize("layout", [Layout(), EXTRA, Layout(suits=7, ranks=9, suit_names=tuple("abcdefg"))], ids=str)
def test_ranks_counts_and_sums_are_as_in_plain_python(layout: Layout) -> None:
    rng, suited = random.Random(1), layout.suits * layout.ranks
    worth = [rng.randint(-5, 20) for _ in range(layout.size)]
    for number in range(60):
        cards = rng.sample(range(layout.size), min(number, rng.randint(0, layout.size)))
        bits, ranks = torch.tensor([sum(1 << card for card in cards)]), [c % layout.ranks for c in cards if c < suited]
        assert layout.counts(bits)[0].tolist() == [ranks.count(rank) for rank in range(layout.ranks)]
        assert layout.grid(bits)[0].sum() == len(ranks)
        total = sum(worth[card] for card in cards)
        halves = [one / 2 for one in worth]
        for table in (worth, tuple(worth), Table(worth), torch.tensor(worth)):
            assert layout.total(bits, table).tolist() == [total] and layout.total(bits, table).dtype == torch.int64
        assert layout.total(bits, halves).tolist() == [total / 2]
        assert int(highest_card(bits)) == max(cards) if cards else int(highest_card(bits)) < 0
    for rank in range(layout.ranks):
        expected = sum(1 << card for card in range(suited) if card % layout.ranks == rank)
        assert layout.rank_bits(rank) == expected == int(layout.rank_bits(torch.tensor(rank, dtype=torch.int8)))
    told = layout.rank_of(torch.arange(-1, layout.size, dtype=torch.int8))
    assert told.dtype == torch.int8 and told[0] == -1 and (told[suited + 1 :] == layout.ranks).all()
    assert told[1 : suited + 1].tolist() == [card % layout.ranks for card in range(suited)]


def test_the_highest_card_is_not_rounded_up() -> None:
    bits = torch.tensor([(1 << top + 1) - 1 for top in range(63)])
    assert highest_card(bits).tolist() == list(range(63)) == highest_card(bits & ~(bits >> 2)).tolist()


def test_a_table_is_looked_up_by_any_integers() -> None:
    table = Table([[1, 2], [3, 4]])
    assert table[torch.tensor([1, -1, 0], dtype=torch.int8)].tolist() == [[3, 4], [3, 4], [1, 2]]
    assert table.on(torch.device("cpu")) is table.on(torch.device("cpu"))
    again = pickle.loads(pickle.dumps(table))
    assert torch.equal(again.numbers, table.numbers) and again[torch.tensor(0)].tolist() == [1, 2]


# --- piles ---


def test_cards_are_drawn_for_no_seat() -> None:
    stock = torch.tensor([[3, 1, 0, -1], [2, 5, 4, 6]], dtype=torch.int8)
    drawn, left = piles.draw(stock, 2)
    assert drawn.tolist() == [0b1010, 0b100100] and left.tolist() == [[0, -1, -1, -1], [4, 6, -1, -1]]
    drawn, left = piles.draw(stock, torch.tensor([False, True]))
    assert drawn.tolist() == [0, 0b100] and torch.equal(left[0], stock[0])
    drawn, left = piles.draw(stock, torch.tensor([4, 0]))
    assert drawn.tolist() == [0b1011, 0] and (left[0] == -1).all()


@pytest.mark.parametrize("ids", [None, 9])
def test_a_card_or_none_is_drawn_as_one_or_no_cards_are(ids: int | None) -> None:
    stock = torch.tensor([[3, 1, 0, -1], [2, 5, 5, 6], [-1] * 4, [8, -1, -1, -1]], dtype=torch.int8)
    for draws in itertools.product((False, True), repeat=4):
        one = piles.draw(stock, torch.tensor(draws), ids=ids)
        for a, b in zip(one, piles.draw(stock, torch.tensor(draws).long(), ids=ids), strict=True):
            assert a.dtype == b.dtype and torch.equal(a, b)


def test_entries_of_seats_are_added_to_joined_and_changed() -> None:
    seat, where = torch.tensor([2, 0, -1]), torch.tensor([True, False, True])
    field = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=torch.int8)
    number = torch.tensor([10, 20, 30])
    assert piles.added(field, seat, number).tolist() == [[1, 2, 13], [24, 5, 6], [7, 8, 9]]
    assert piles.added(field, seat, 1, where).tolist() == [[1, 2, 4], [4, 5, 6], [7, 8, 9]]
    assert piles.added(field, seat, where).tolist() == [[1, 2, 4], [4, 5, 6], [7, 8, 9]]
    assert piles.joined(field.long(), seat, number).tolist() == [[1, 2, 11], [20, 5, 6], [7, 8, 9]]
    assert piles.changed(field, seat, number, where).tolist() == [[1, 2, 10], [4, 5, 6], [7, 8, 9]]
    assert piles.changed(field, seat, -1).tolist() == [[1, 2, -1], [-1, 5, 6], [7, 8, 9]]
    assert piles.added(field, seat, number).dtype == piles.changed(field, seat, number).dtype == torch.int8
    marks = piles.joined(field > 7, seat, where)
    assert marks.dtype == torch.bool and marks.tolist() == [[False, False, True], [False] * 3, [False, True, True]]


def test_a_card_is_put_on_a_pile() -> None:
    pile = torch.tensor([[4, -1, -1], [3, 2, 1], [5, 6, -1]], dtype=torch.int8)
    after = piles.put_on(pile, torch.tensor([1 << 62, 1, 0]))
    assert after.dtype == torch.int8 and after.tolist() == [[62, 4, -1], [0, 3, 2], [5, 6, -1]]


# --- who sees what ---


def test_who_sees_a_field_is_said_in_a_word_or_by_fewer_axes() -> None:
    class Told(Draft):
        sees: object

        def hidden(self, state):
            return {"over": Hidden(self.sees, "number"), "rate": Hidden(state.index > 1, "number")}

    game, eye = Told(), torch.eye(3, dtype=torch.bool)[None, ..., None].expand(4, -1, -1, 2)
    state = game.deal(4)
    expected = {"own": eye, "others": ~eye, "all": eye | True, "nobody": eye & False}
    for game.sees, sees in expected.items():
        assert torch.equal(game.hidden(state)["over"].sees, sees)
    assert game.hidden(state)["rate"].sees.tolist() == [[False] * 3] * 2 + [[True] * 3] * 2
    game.sees = eye[..., 0]
    assert torch.equal(game.hidden(state)["over"].sees, eye)
    game.sees = "mine"
    with pytest.raises(ValueError, match="over is seen by own, others, all, nobody or a tensor of bools, got 'mine'"):
        game.hidden(state)


def test_only_a_field_of_seats_has_an_own_entry() -> None:
    class Wrong(Draft):
        def hidden(self, state):
            return {"rate": Hidden("own", "number")}

    with pytest.raises(ValueError, match="rate has no entry for each seat, so there is none that is its own: 'own'"):
        Wrong().hidden(Wrong().deal(1))


# --- worlds of marks and of numbers ---


def test_secret_choices_keep_the_contract_and_are_any_card_of_the_hand_that_they_are_of() -> None:
    assert contract.check(Draft(), pasts=20) == (NOT_ASKED,)
    game = Draft()
    state, drawn = game.deal(2000, seed=1), []
    for _ in range(5):  # all have picked and passed once; then two have picked
        state = game.step(state, random_action(game, state))
    assert (game.mover(state) == 2).all() and ((state.pick >= 0).sum(-1) == 2).all()
    worlds = game.determinize(state, 8, seed=1)
    picked = bit(worlds.pick.clamp(min=0).long())
    assert (picked[:, :2] & ~worlds.hands[:, :2] == 0).all() and (worlds.pick[:, 2] == -1).all()
    assert (worlds.hands[:, 0] == state.hands[:, 0].repeat_interleave(8)).all()  # which seat 2 has passed on

    class Longer(Draft):
        layout = Layout(suits=3, ranks=4)

    game = Longer(cards=4)
    state = game.deal(3000, seed=1)
    for _ in range(4):
        state = game.step(state, random_action(game, state))
    worlds = game.determinize(state, 4, seed=1)  # seat 1 is to move, and seat 0 has picked one of three
    theirs = bit(worlds.pick[:, 0].long())
    place = popcount(worlds.hands[:, 0] & theirs - 1)
    drawn = place.bincount(minlength=3)
    assert len(drawn) == 3 and ((drawn - 4000).abs() < 5 * (12000 * 2 / 9) ** 0.5).all()


def test_marks_of_several_cards_are_as_many_of_the_hand() -> None:
    @dataclass(frozen=True)
    class SetState(HandState):
        marks: torch.Tensor = starts(0, "seats")

    class Sets(Draft):
        state_type, cards, layout = SetState, 3, Layout(suits=3, ranks=4)

        def hidden(self, state):
            return HandGame.hidden(self, state) | {"marks": Hidden("own", place=False, of="hands")}

    game = Sets(cards=3)
    state = game.deal(2000, seed=1)
    state = replace(state, marks=state.hands & (state.hands - 1) & torch.tensor([-1, -1, 0]))  # two, two, none
    worlds = game.determinize(state, 4, seed=1)
    assert torch.equal(worlds.marks[:, 0], state.marks[:, 0].repeat_interleave(4))
    assert (popcount(worlds.marks) == torch.tensor([2, 2, 0])).all() and (worlds.marks & ~worlds.hands == 0).all()
    left = popcount(worlds.hands[:, 1] & (worlds.hands[:, 1] & ~worlds.marks[:, 1]) - 1).bincount(minlength=3)
    assert ((left - 8000 / 3).abs() < 5 * (8000 * 2 / 9) ** 0.5).all()


@dataclass(frozen=True)
class DiceState(HandState):
    dice: torch.Tensor = starts(1, "seats", 2, dtype=torch.int8)
    made_of: torch.Tensor = starts(0, "seats", 2)  # which dice: of four faces, or with more sixes


class Dice(Draft):
    state_type = DiceState
    CHANCES = Table([[0, 1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 3], [0] * 7])

    def hidden(self, state):
        weights = self.CHANCES[state.made_of]
        return HandGame.hidden(self, state) | {"dice": Hidden("own", "number", weights=weights)}


def test_hidden_numbers_are_drawn_by_their_weights() -> None:
    game = Dice()
    state = game.deal(2000, seed=1)
    state = replace(state, made_of=torch.tensor([[0, 0], [0, 1], [2, 0]]).expand(2000, -1, -1))
    worlds = game.determinize(state, 4, seed=1)
    assert worlds.dice.dtype == torch.int8 and (worlds.dice[:, 0] == 1).all() and (worlds.dice[:, 2, 0] == 1).all()
    for seat, die, chances in ((1, 0, [0, 1, 1, 1, 1, 0, 0]), (1, 1, [0, 1, 1, 1, 1, 1, 3])):
        found, chance = worlds.dice[:, seat, die].long().bincount(minlength=7), torch.tensor(chances) / sum(chances)
        assert ((found - 8000 * chance).abs() <= 5 * (8000 * chance * (1 - chance)) ** 0.5).all()
    pairs = worlds.dice[:, 1].long()
    assert (pairs[:, 0] * 7 + pairs[:, 1]).unique().numel() == 4 * 6  # each by itself
    assert not torch.equal(worlds.dice, game.determinize(state, 4, seed=2).dice)
    half = game.determinize(state[1000:], 4, seed=1)
    assert torch.equal(half.dice, worlds.dice[4000:])  # whatever other games are beside it


# --- hands of which is known that they hold one of some cards ---


def brute(cards: list[int], counts: list[int], fits) -> list[tuple[int, ...]]:
    """Every way to give so many of the cards to each hand that fits."""
    if not counts:
        return [()]
    ways = []
    for chosen in itertools.combinations(cards, counts[0]):
        hand = sum(1 << card for card in chosen)
        if fits[0](hand):
            rest = [card for card in cards if card not in chosen]
            ways += [(hand, *others) for others in brute(rest, counts[1:], fits[1:])]
    return ways


@pytest.mark.parametrize("extra", [0, 2])
def test_hands_by_groups_are_uniform_over_all_that_fit(extra: int) -> None:
    layout = Layout(suits=4, ranks=3, extra=extra, extra_names=("x", "y")[:extra])
    ranks, size = [layout.rank_bits(rank) for rank in range(3)], layout.size
    rng, hands, tested, refused = random.Random(extra), 3, 0, 0

    def keeps(cards):
        return torch.stack([cards & rank != rank for rank in ranks]).all(0)

    def fitting(place: int):
        needed, allowed, shows = needs[place], may[place], shown[place]
        return lambda hand: (
            not hand
            or (
                hand & ~allowed == 0
                and all(not needed & rank or hand & needed & rank for rank in ranks)
                and all((hand | shows) & rank != rank for rank in ranks)
            )
        )

    while tested < 25:
        cards = rng.sample(range(size), rng.randint(5, 9))
        counts = [rng.randint(0, 3) for _ in range(hands)]
        rest = [card for card in range(size) if card not in cards]
        shown = [
            sum(1 << card for card in rest if card % hands == place and rng.random() < 0.5) for place in range(hands)
        ]
        may = [sum(1 << card for card in range(size) if rng.random() < 0.85) for _ in range(hands)]
        needs = [rng.choice([0, *ranks, ranks[0] & may[place], ranks[1] | ranks[2]]) for place in range(hands)]
        if sum(counts) > len(cards):
            continue
        ways = brute(cards, counts, [fitting(place) for place in range(hands)])
        games = max(len(ways), 4)
        unseen, *fields = (
            torch.tensor([row]).repeat(games, 1) for row in ([sum(map(bits_of, cards))], counts, may, needs, shown)
        )
        draw = {
            "index": torch.arange(games),
            "turn": torch.zeros(games, dtype=torch.int64),
            "count": 12,
            "seed": tested,
        }
        try:
            drawn = grouped.draw_hands(unseen[:, 0], *fields, ranks, keeps, layout=layout, **draw)
        except ValueError:
            assert not ways
            refused += 1
            continue
        rows = drawn.permute(2, 1, 0).reshape(-1, hands)
        found, times = rows.unique(dim=0, return_counts=True)
        number = dict(zip(map(tuple, found.tolist()), times.tolist(), strict=True))
        assert set(number) <= set(ways)
        if len(ways) > 1:
            expected = len(rows) / len(ways)
            chi = sum((number.get(way, 0) - expected) ** 2 / expected for way in ways)
            spread = 2 / (9 * (len(ways) - 1))
            assert ((chi / (len(ways) - 1)) ** (1 / 3) - 1 + spread) / spread**0.5 < 4.5
            tested += 1
    assert refused > 0


def bits_of(card: int) -> int:
    return 1 << card


def test_hands_by_groups_are_the_same_in_any_batch_and_refuse_what_cannot_be_listed() -> None:
    layout = Layout()
    unseen = torch.full((6,), layout.bits)
    counts, zero = torch.tensor([[5, 0, 7]]).repeat(6, 1), torch.zeros(6, 3, dtype=torch.int64)
    needs = zero + torch.tensor([layout.rank_bits(3) | layout.rank_bits(4), 0, layout.rank_bits(5)])
    ranks = [layout.rank_bits(rank) for rank in range(13)]

    def draw(lanes: slice, groups: list[int]) -> torch.Tensor:
        index = torch.arange(6)[lanes]
        fields = (field[lanes] for field in (unseen, counts, zero + layout.bits, needs, zero))
        named = {"index": index, "turn": index * 0 + 3, "count": 4, "seed": 1}
        return grouped.draw_hands(*fields, groups, lambda cards: cards >= 0, layout=layout, **named)

    hands = draw(slice(None), ranks)
    assert torch.equal(draw(slice(2, 5), ranks), hands[..., 2:5])
    assert (popcount(hands) == torch.tensor([5, 0, 7])[:, None, None]).all()
    assert (hands[0] & layout.rank_bits(3) != 0).all() and (hands[2] & layout.rank_bits(5) != 0).all()
    with pytest.raises(ValueError, match="13 unseen cards of a group can lie in 1594323 ways; there may be 16384"):
        draw(slice(None), [layout.block(0)])

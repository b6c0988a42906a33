"""Games without tricks whose seats hold cards: piles against plain Python, and what `HandGame` makes of rules."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.crazy_eights import CrazyEights, CrazyEightsState
from tests.small_games import Draw
from vecgame import HandGame, HandState, Hidden, Layout, Stream, contract, naming, piles
from vecgame.cards import bit, popcount, unpack
from vecgame.contract import random_action
from veclab.table import lines, rows
from veclab.table.commands import parse
from veclab.table.glyphs import UNICODE
from veclab.table.session import PERSON, Settings, begin
from veclab.table.sight import look

LAYOUTS = (
    Layout(),
    Layout(suits=3, ranks=4),
    Layout(suits=2, ranks=5, extra=3, extra_names=("x", "y", "z")),
    Layout(suits=7, ranks=9, suit_names=tuple("abcdefg")),
)


def test_draw_is_as_in_plain_python() -> None:
    rng, seats, size = random.Random(1), 3, 9
    for ordered in (False, True):
        stocks, counts, orders, given, left = [], [], [], [], []
        for _ in range(200):
            cards = rng.sample(range(20), rng.randint(0, size))
            need, order = [rng.randint(0, 4) for _ in range(seats)], rng.sample(range(seats), seats)
            rest, drawn = list(cards), [0] * seats
            for seat in order if ordered else range(seats):
                for _ in range(min(need[seat], len(rest))):
                    drawn[seat] |= 1 << rest.pop(0)
            stocks.append(cards + [-1] * (size - len(cards)))
            left.append(rest + [-1] * (size - len(rest)))
            counts.append(need), orders.append(order), given.append(drawn)
        stock = torch.tensor(stocks, dtype=torch.int8)
        drawn, after = piles.draw(stock, torch.tensor(counts), torch.tensor(orders) if ordered else None)
        assert torch.equal(drawn, torch.tensor(given))
        assert after.dtype == torch.int8 and torch.equal(after.long(), torch.tensor(left))


def test_seats_of_fields() -> None:
    field, seat = torch.tensor([[5, 6, 7], [8, 9, 10]]), torch.tensor([2, 0])
    assert piles.entry(field, seat).tolist() == [7, 8]
    assert piles.only(seat, torch.tensor([3, 4]), 3).tolist() == [[0, 0, 3], [4, 0, 0]]
    marked = piles.only(seat, torch.tensor([True, False]), 3)
    assert marked.dtype == torch.bool and marked.tolist() == [[False, False, True], [False] * 3]
    number = piles.only(seat, 5, 3)
    assert number.dtype == torch.int64 and number.tolist() == [[0, 0, 5], [5, 0, 0]]
    nobody = piles.only(torch.tensor([-1, 1]), True, 3)
    assert nobody.dtype == torch.bool and nobody.tolist() == [[False] * 3, [False, True, False]]


def test_the_next_seat_is_one_that_plays() -> None:
    playing = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]]).bool()
    seat = torch.tensor([2, 0, 1, 1, 2])
    assert piles.seat_after(seat, playing).tolist() == [0, 2, 1, 2, 0]


def test_a_stock_is_shuffled_by_its_stream() -> None:
    cards = torch.tensor([0b1011, 0, 0b111111]).repeat(400)
    lane = torch.arange(len(cards))
    stock = piles.stock_of(Stream(0, lane, torch.zeros_like(lane)), cards, 6)
    assert stock.dtype == torch.int8 and stock.shape == (len(cards), 6)
    sets = torch.where(stock >= 0, bit(stock.clamp(min=0)), 0)
    assert torch.equal(sets.sum(-1), cards)
    assert ((stock < 0).diff(dim=-1).sum(-1) <= 1).all()  # what is none comes last
    first = stock[0::3, 0].bincount(minlength=6)
    assert (first[[0, 1, 3]] > 90).all() and first[[2, 4, 5]].sum() == 0
    again = piles.stock_of(Stream(0, lane, torch.ones_like(lane)), cards, 6)
    assert (again != stock).any(-1)[2::3].float().mean() > 0.9


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.suits}x{layout.ranks}+{layout.extra}")
def test_higher_cards_and_cards_of_a_rank(layout: Layout) -> None:
    suited, ranks = layout.suits * layout.ranks, layout.ranks
    for card in range(-1, layout.size):
        higher = range(card + 1, (card // ranks + 1) * ranks) if 0 <= card < suited else ()
        assert int(layout.above(torch.tensor([card]).to(torch.int8))) == sum(1 << other for other in higher)
    rng = random.Random(2)
    for _ in range(50):
        cards = rng.sample(range(layout.size), rng.randint(0, 3))
        there = {card % ranks for card in cards if card < suited}
        bits = torch.tensor([sum(1 << card for card in cards)])
        expected = sum(1 << card for card in range(suited) if card % ranks in there)
        assert int(layout.same_rank(bits)) == expected


def test_crazy_eights_is_the_game_that_it_was() -> None:
    """Recorded before the game was written on `HandGame`: deals, what is shuffled again, and results."""
    game = CrazyEights(ranks=5, cards=3)
    state = game.deal(300, seed=11)
    assert int(state.future.sum() % 1_000_003) == 66_581
    while not game.is_terminal(state).all():
        state = game.step(state, random_action(game, state))
    assert state.made.sum() == 13_608
    place = torch.arange(1, game.size + 1)
    assert int((state.stock * place).sum()) == 13_996
    assert game.scores(state)[:, 0].sum().item() == -6


@dataclass(frozen=True)
class PickRules:
    players: int = 2
    cards: int = 2
    suits: int = 2
    ranks: int = 3
    decisions: int = 6


@dataclass(frozen=True)
class PickState(HandState):
    holds: ClassVar = {"marked": "cards", "away": "sets"}

    shown: torch.Tensor
    stock: torch.Tensor
    marked: torch.Tensor  # [B] int8, the last card of the stock, which all see, and of which all know where it goes
    away: torch.Tensor  # [B] int64


class Pick(HandGame):
    """Throw a card away, or draw one; who holds more cards in the end wins."""

    name, rules_type, state_type = "pick", PickRules, PickState
    others = ("draw",)
    lowest, highest = -1.0, 1.0

    def begin(self, stream, hands, stock):
        zero = torch.zeros_like(stream.game)
        return self.start(stream, hands, shown=hands * 0, stock=stock, marked=stock[:, 1], away=zero)

    def over(self, state):
        return (self.held(state) == 0).any(-1)

    def legal_others(self, state):
        return [state.stock[:, 0] >= 0]

    def act(self, state, action, card):
        draws = piles.only(state.to_move, (action == self.first_other).long(), self.seats)
        drawn, stock = piles.draw(state.stock, draws)
        marked = bit(state.marked)[:, None]
        to_move, hands, shown = (state.to_move + 1) % self.seats, drawn & ~marked, drawn & marked
        fields = {"hands": state.hands | hands, "shown": state.shown | shown, "away": state.away | card}
        return replace(state, stock=stock, to_move=to_move, **fields)

    def points(self, state):
        held = unpack(self.held(state), torch.float32, self.layout.size).sum(-1)
        return (held - held.flip(-1)).sign()

    def hidden(self, state):
        told = super().hidden(state)
        sees = told["stock"].sees | (state.stock == state.marked[:, None])[:, None]
        return {**told, "stock": Hidden(sees, holds="cards")}


def test_a_game_of_some_lines_keeps_the_contract() -> None:
    game = Pick()
    assert contract.check(game) == ()
    assert (game.seats, game.cards, game.decisions, game.num_actions, game.first_other) == (2, 2, 6, 7, 6)
    assert game.action_names[-2:] == ("A♥", "draw") and game.max_legal == 7


def test_open_cards_are_those_of_public_fields_that_lie_in_no_hidden_place() -> None:
    game = Pick()
    state = game.deal(3, seed=1)
    assert (game.open_cards(state) == 0).all()  # the card marked is in the stock still
    state = game.step(game.step(state, [6, 6, 6]), [6, 6, 6])
    assert torch.equal(game.open_cards(state), bit(state.marked)) and torch.equal(state.shown[:, 1], bit(state.marked))
    card = state.hands[:, 0].double().log2().floor().long()
    assert torch.equal(game.open_cards(game.step(state, card)), bit(state.marked) | bit(card))


def test_what_else_may_be_done_is_told_in_a_list_or_in_one_tensor() -> None:
    class InOne(CrazyEights):
        def legal_others(self, state):
            return torch.stack(super().legal_others(state), -1)

    rules = {"players": 2, "cards": 2, "suits": 2, "ranks": 4}
    for state in contract.positions(CrazyEights(**rules), 20):
        assert torch.equal(InOne(**rules).legal_mask(state), CrazyEights(**rules).legal_mask(state))


def test_known_cards_may_be_played_and_finished_games_stay_as_they_are() -> None:
    game = Pick()
    state = game.step(game.step(game.deal(2), [6, 6]), [6, 6])
    state = game.step(state, state.hands[:, 0].double().log2().floor().long())
    assert game.legal_mask(state)[torch.arange(2), state.marked.long()].all()
    state = game.step(state, state.marked.long())
    assert (state.shown == 0).all()
    while not game.is_terminal(state).all():
        state = game.step(state, random_action(game, state))
    assert game.step(state, [0, 6]) == state
    assert game.legal_mask(state).sum(-1).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"players": 4}, "Pick deals 8 cards, but its deck has 6"),
        ({"decisions": 65_537}, "Pick has 65537 decisions; there may be 1 to 65536"),
        ({"players": 1}, "Pick has 1 seats; there may be 2 to 8"),
    ],
    ids=str,
)
def test_rules_that_make_no_game_are_refused(rules: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pick(**rules)


def test_suits_that_have_no_names_are_laid_out_by_the_game_itself() -> None:
    class Colours(Pick):
        def set_up(self):
            self.layout = Layout(self.rules.suits, self.rules.ranks, suit_names=tuple("abcde"))

    assert Colours(suits=5).layout.suit_names == tuple("abcde") and contract.check(Colours(suits=5, ranks=2)) == ()
    with pytest.raises(ValueError, match="suit_names must be 5 names, got 4"):
        Pick(suits=5)


def test_a_card_beyond_the_layout_is_named() -> None:
    class Beyond(Pick):
        deck = 0b11000011

    with pytest.raises(ValueError, match=r"^Beyond has card 6 in its deck; its layout has 0 to 5$"):
        Beyond()


def test_a_game_says_how_many_decisions_it_has() -> None:
    @dataclass(frozen=True)
    class NoEnd:
        players: int = 2

    class Endless(Pick):
        rules_type = NoEnd

    with pytest.raises(ValueError, match="Endless does not say how many decisions it has at most: set decisions"):
        Endless()


def test_states_print_without_their_game_by_number_or_by_the_layout_of_their_class() -> None:
    """A layout that depends on the rules is told by no class: other decks' names would be wrong."""
    for game in (CrazyEights(), Pick(), Draw()):
        hand = repr(state := game.deal(1)).splitlines()[2]
        held = [card for card in range(game.layout.size) if int(state.hands[0, 0]) >> card & 1]
        assert hand.split()[2 : 2 + len(held)] == [str(card) for card in held[::-1]]
        assert "<svg" in state._repr_svg_()

    class Named(CrazyEightsState):
        layout = CrazyEights().layout

    shown = repr(Named(**CrazyEights().deal(1).tensors())).splitlines()
    assert shown[2].startswith("  seat 0  ♠ ") and any(line.split() == ["suit", "spades", "♠"] for line in shown)
    contract.check(of_states(CrazyEights(players=2, cards=2, suits=2, ranks=4, decisions=9), None))
    with pytest.raises(AssertionError, match="the state's layout of cards is not the game's: where rules change it"):
        contract.check(of_states(CrazyEights(players=2, cards=2, suits=2, ranks=4, decisions=9), Named.layout))


def of_states(game: HandGame, layout: Layout | None) -> HandGame:
    """The game, with states of a class that has that layout."""
    game.state_type = type("Other", (game.state_type,), {"layout": layout})
    return game


def test_a_table_tells_trump_where_there_are_no_tricks() -> None:
    @dataclass(frozen=True)
    class TrumpState(PickState):
        holds: ClassVar = {"trump": "suits"}

        trump: torch.Tensor

    class Trumped(Pick):
        state_type = TrumpState

        def start(self, stream, hands, **own):
            return super().start(stream, hands, trump=torch.ones_like(stream.game), **own)

    facts = look(begin(Settings(Trumped(), games=1, seed=1)), PERSON).facts
    assert "trump hearts ♥" in facts and not any(fact.startswith("to move") for fact in facts)


def test_whose_turn_it_is_is_told_once() -> None:
    game = CrazyEights()
    state = game.deal(1)
    told = game.text(state, seat=0)
    assert told.count("to move") == 1 and "to_move" not in told
    assert "to move         seat 0" in repr(state)
    drawn, alone = game.view(state, seat=0)._repr_svg_(), state._repr_svg_()
    assert "to_move" not in drawn + alone and ">to move" not in drawn and ">to move<" in alone
    assert issubclass(CrazyEightsState, HandState)


def test_as_many_numbers_as_seats_that_are_not_theirs_have_an_axis_before_them() -> None:
    @dataclass(frozen=True)
    class TwoState(PickState):
        chips: torch.Tensor  # [B, P]
        heights: torch.Tensor  # [B, 1, 2]

    class Two(Pick):
        state_type = TwoState

        def start(self, stream, hands, **own):
            pair = torch.tensor([3, 7]).expand(len(hands), 2)
            return super().start(stream, hands, chips=pair, heights=pair[:, None], **own)

    game = Two()
    state, columns = game.deal(1), game.columns()
    first, second = (game.observe(state, torch.tensor([seat]))[0].split([n for n, _ in columns]) for seat in (0, 1))
    same = {
        words.partition(":")[0]: torch.equal(*pair) for (_, words), *pair in zip(columns, first, second, strict=True)
    }
    told = game.text(state)
    assert same["heights"] and not same["chips"] and "  heights         3 7\n" in told and "chips 3" in told


@dataclass(frozen=True)
class AskState(HandState):
    """B games."""

    may: torch.Tensor  # [B, 3] int64
    shown: torch.Tensor  # [B, 3] int64


class Ask(HandGame):
    """Seats in turn ask the one after them for all its cards of a rank, which it gives, or then has none of it."""

    name, state_type, seats, cards, decisions = "ask", AskState, 3, 2, 6
    layout = Layout(suits=2, ranks=4)
    plays_cards, others = False, ("0", "1", "2", "3")
    lowest, highest = 0.0, 8.0

    def begin(self, stream, hands, stock):
        return self.start(stream, hands, may=torch.full_like(hands, self.deck), shown=torch.zeros_like(hands))

    def act(self, state, action, card):
        after, rank = (state.to_move + 1) % 3, self.layout.same_rank(bit(action))
        asked = piles.only(after, rank, 3)
        given = (self.held(state) & asked).sum(-1)
        shown = state.shown & ~asked | piles.only(state.to_move, given, 3)
        return replace(state, hands=state.hands & ~asked, may=state.may & ~asked, shown=shown, to_move=after)

    def points(self, state):
        return popcount(self.held(state)).float()


def test_worlds_keep_to_what_questions_have_told() -> None:
    game, told = Ask(), 0
    assert contract.check(game) == ()
    state = game.deal(200, seed=3)
    for _ in range(4):
        worlds = game.determinize(state, 5, seed=1)
        assert (worlds.hands & ~worlds.may == 0).all()
        told += int((worlds.hands != state.repeat(5).hands).any(-1).sum())
        state = game.step(state, random_action(game, state))
    assert told > 0


def test_what_is_so_of_a_seat_is_told_by_who_knows_it() -> None:
    @dataclass(frozen=True)
    class BluffState(AskState):
        bluffs: torch.Tensor  # [B, 3] bool

    class Bluff(Ask):
        state_type = BluffState

        def start(self, stream, hands, **own):
            return super().start(
                stream, hands, bluffs=torch.tensor([[False, True, False]]).expand(len(hands), 3), **own
            )

        def hidden(self, state):
            told = super().hidden(state)
            return {**told, "bluffs": Hidden(told["hands"].sees, holds="number")}

        def determinize(self, state, count=3, seed=0):
            return state.repeat(count)

    match = begin(Settings(Bluff(), games=1, seed=1))
    assert [lines.tally_line(look(match, viewer)) for viewer in (0, 1, None)] == [
        "Bluffs: You no, West ?, East ?.",
        "Bluffs: South ?, You yes, East ?.",
        "Bluffs: West.",
    ]


def test_what_hands_may_hold_lies_nowhere_in_a_game_that_says_alone_what_is_hidden() -> None:
    class Alone(Ask):
        def hidden(self, state):
            return {"hands": super().hidden(state)["hands"]}

    for state in contract.positions(Ask(), 20):
        assert (Alone().open_cards(state) == Ask().open_cards(state)).all()
        assert Alone().determinize(state, 3, seed=1) == Ask().determinize(state, 3, seed=1)


def test_what_hands_may_hold_is_told_once_something_is_ruled_out() -> None:
    game = Ask()
    state = game.deal(1, seed=1)
    assert "may" not in game.text(state) and "may" in state.tensors()
    after = game.step(state, torch.tensor([1]))
    assert "  may             seat 1: ♠ A K J  ♥ A K J\n" in game.text(after)
    assert "may             seat 0: 7 6 5 4 3 2 1 0, seat 1: 7 6 4 3 2 0, " in str(after)  # without its game


def test_the_table_tells_what_hands_may_hold_of_those_of_whom_something_is_ruled_out() -> None:
    """In a game that says so; by default that, which everybody could have counted, is kept off it."""

    @dataclass(frozen=True)
    class Told(AskState):
        untold: ClassVar = ()

    class Telling(Ask):
        state_type = Told

    assert not any(
        fact.startswith("may") for fact in look(begin(Settings(Ask(), games=1, seed=1)).act(1), PERSON).facts
    )
    match = begin(Settings(Telling(), games=1, seed=1))
    assert not any(fact.startswith("may") for fact in look(match, PERSON).facts)
    match = match.act(1)
    assert [fact for fact in look(match, PERSON).facts if fact.startswith("may")] == ["may West: ♠ A K J  ♥ A K J"]


def test_what_a_hand_may_hold_has_to_be_so() -> None:
    class Wrong(Ask):
        def act(self, state, action, card):
            after = super().act(state, action, card)
            return replace(after, may=after.may & ~bit(action)[:, None])

    with pytest.raises(AssertionError, match="a seat holds cards that the state's field may rules out"):
        contract.check(Wrong())


def test_the_table_holds_cards_that_all_know_in_the_hand_and_lists_choices_that_are_in_none() -> None:
    """A card drawn in the open is chosen from the hand like the others; one that lies elsewhere from a list."""

    class Only(Pick):
        def legal_others(self, state):
            return [super().legal_others(state)[0] & (state.made < 2)]

    class Elsewhere(Only):
        def legal_cards(self, state):
            return bit(state.marked)

    for kind in (Only, Elsewhere):
        match = begin(Settings(kind(), games=1, agent="random", seed=1))
        before = look(match, PERSON)
        match = match.act(6).act(6)  # each draws, the second the card that all see
        seen, other = look(match, PERSON), look(match, 1)
        assert len(seen.hand(1)) == 1 and seen.unseen(1) == 2 and len(other.hand(1)) == 3
        assert not any(fact.startswith("shown") for fact in seen.facts)
        drawn = f"You get {naming.card_name(kind().layout, *set(seen.hand(0)) - set(before.hand(0)))}."
        first = begin(Settings(kind(), games=1, agent="random", seed=1)).act(6)
        assert lines.narrate(before, first.last, look(first, PERSON), UNICODE) == ["You draw.", drawn]
        if kind is Only:
            assert set(seen.playable) == set(seen.hand(0)) and parse("1", seen, UNICODE) == seen.hand(0)[0]
        else:
            assert seen.playable is None and parse("1", seen, UNICODE) == int(match.state.marked)


def test_combinations_of_cards_are_played_and_what_else_is_called_is_said() -> None:
    class Pairs(Ask):
        others = ("A♠ A♥", "K♥", "A♠ up", "high")

    told = []
    for action in range(4):
        match = begin(Settings(Pairs(), games=1, agent="random", seed=1))
        after = match.act(action)
        told += lines.narrate(look(match, PERSON), after.last, look(after, PERSON), UNICODE)[:1]
    assert told == ["You play A♠ A♥.", "You play K♥.", "You say A♠ up.", "You say high."]


def test_what_seats_do_to_each_other_is_told_by_their_names() -> None:
    @dataclass(frozen=True)
    class MetState(PickState):
        met: torch.Tensor  # [B, P, P] bool
        tried: torch.Tensor  # [B, P, 3] bool
        paid: torch.Tensor  # [B, P, 2] int64
        ready: torch.Tensor  # [B, P] bool

    class Met(Pick):
        state_type = MetState

        def start(self, stream, hands, **own):
            met, tried = torch.tensor([[False, True], [False, False]]), torch.tensor([[False] * 3, [True, False, True]])
            own |= {"met": met[None], "tried": tried[None], "paid": torch.tensor([[[1, 2], [0, 4]]])}
            return super().start(stream, hands, **own, ready=met[None, 0])

    match = begin(Settings(Met(), games=1, agent="random", seed=1))
    told, (seen, one) = Met().text(match.state), (look(match, seat) for seat in (PERSON, 1))
    assert "  met seat 1  paid 1 2\n" in told and "  tried 1, 3  paid 0 4  ready\n" in told
    assert {"met You: North", "tried North: 1, 3", "paid You: 1 2, North: 0 4"} <= set(seen.facts)
    assert "met South: You" in one.facts and "Ready: North." in lines.decision_lines(seen, UNICODE)
    assert [row[1] for row in rows.score_rows(seen, UNICODE)] == ["ready", "·", "yes"]

"""What a trick game that writes no block of its own tells: its own fields as far as a seat sees them, nothing else."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tests.test_search_sync import assert_no_wait
from vecgame import Hearts, Layout, TrickGame, TrickState, Whist, concatenate, contract, knowledge
from vecgame.cards import bit
from vecgame.games.match import Limits, Match, Standing
from vecgame.hidden import Hidden, nobody, own
from vecgame.lanes import entries, place_of, with_added

SUITS, RANKS, BIDS = 3, 4, ("low", "high")
LAYOUT = Layout(suits=SUITS, ranks=RANKS)


@dataclass(frozen=True)
class TellingRules:
    """Nothing may be changed, but a match has limits."""


@dataclass(frozen=True)
class TellingState(TrickState):
    """A field of each kind."""

    layout = LAYOUT
    holds: ClassVar = {
        "pile": "sets",
        "turned": "cards",
        "last": "seats",
        "named": BIDS,
        "aside": "cards",
        "kept": "cards",
    }

    pile: torch.Tensor  # [B, 2] int64, cards that each seat has taken
    turned: torch.Tensor  # [B] int8
    trump: torch.Tensor  # [B] int8
    last: torch.Tensor  # [B] int8, -1 before a trick is taken
    named: torch.Tensor  # [B] int8, the last bid
    aside: torch.Tensor  # [B, 2] int8, a card of each seat, which it alone sees
    kept: torch.Tensor  # [B, 5] int8, cards that nobody sees
    points: torch.Tensor  # [B, 2] int16
    even: torch.Tensor  # [B] bool


class Telling(TrickGame):
    """Two bids, two tricks."""

    name, rules_type, state_type, bid_names = "telling", TellingRules, TellingState, BIDS
    highest = 20.0

    def set_up(self):
        self.seats, self.cards, self.bids, self.most_bids, self.opening = 2, 2, 2, 2, 2

    def draw(self, stream, rest):
        return {**super().draw(stream, rest), "rest": rest}

    def begin(self, hands, index, dealer, rest):
        none, turned = torch.zeros_like(hands[:, :, 0]), rest[:, 0].to(torch.int8)
        own = {"pile": none, "turned": turned, "seen": bit(turned), "trump": turned // RANKS, "even": dealer == 2}
        own |= {"aside": rest[:, 1:3].to(torch.int8), "kept": rest[:, 3:].to(torch.int8), "points": none.short()}
        start, unknown = 1 - dealer % 2, turned * 0 - 1
        return self.start(hands, index, start, last=unknown, named=unknown, **own)

    def bid(self, state, place, bid, bidding):
        return replace(state, named=torch.where(bidding, bid, state.named))

    def taken(self, state, trick, place, complete):
        cards = torch.where(complete, bit(trick.clamp(min=0)).sum(-1), 0)
        worth = torch.where(complete, (trick % RANKS).sum(-1), 0)
        return replace(
            state,
            pile=with_added(state.pile, place, cards),
            last=torch.where(complete, place % 2, state.last).to(torch.int8),
            points=with_added(state.points, place, worth),
            even=state.even ^ complete,
        )

    def points(self, state):
        return state.points.float()

    def hidden(self, state):
        seats = own(2, state.batch_size, state.device)
        kept = Hidden(nobody(state.kept, 2), holds="cards")
        return {**super().hidden(state), "aside": Hidden(seats, holds="cards"), "kept": kept}

    def may_hold(self, state, viewer):
        return super().may_hold(state, viewer) & ~bit(entries(state.aside, place_of(viewer, 2)))


class Turned(Telling):
    """Trump comes first, whatever it is called."""

    def first_suit(self, state):
        return state.trump


class Mute(Turned):
    """Tells no field of its own."""

    own_features = 0


@dataclass(frozen=True)
class MatchState(TellingState, Standing):
    dealer: torch.Tensor  # [B] int8


@dataclass(frozen=True)
class MatchRules(TellingRules, Limits):
    target: int = 20
    games: int = 3


class TellingMatch(Match, Telling):
    name, rules_type, state_type = "telling-match", MatchRules, MatchState

    def start(self, hands, index, leader, **own):
        later = {"totals": torch.zeros(len(index), 2), "number": own["turned"] * 0, "future": index * 0}
        return super().start(hands, index, leader, dealer=1 - leader.to(torch.int8), **later, **own)


def described(game, state, seat: int) -> list[tuple]:
    """What a seat sees of the fields of a `TellingState`, in Python, suits counted from the first one on."""
    first = game.first_suit(state)
    told = []
    for lane in range(state.batch_size):
        turn = 0 if first is None else int(first[lane])
        value = {name: tensor[lane].tolist() for name, tensor in state.tensors().items()}

        def named(card: int, turn: int = turn) -> int:
            return card if card < 0 else (card // RANKS - turn) % SUITS * RANKS + card % RANKS

        def cards(bits: int, named=named) -> tuple:
            return tuple(sorted(named(card) for card in range(LAYOUT.size) if bits >> card & 1))

        def by_seat(name: str, value=value) -> list:
            return [value[name][seat], value[name][1 - seat]]

        told.append(
            (
                min(value["made"], 2),
                int(game.mover(state[lane])) == seat,
                *map(cards, by_seat("pile")),
                named(value["turned"]),
                (value["trump"] - turn) % SUITS,
                None if value["last"] < 0 else value["last"] == seat,
                value["named"],
                named(value["aside"][seat]),
                *by_seat("points"),
                value["even"],
                tuple(card >= 0 for card in value["kept"]),
            )
        )
    return told


@pytest.mark.parametrize("game", [Telling(), Turned()], ids=lambda game: type(game).__name__)
def test_two_own_blocks_are_equal_where_the_same_is_seen(game: Telling) -> None:
    state = concatenate(list(contract.positions(game, 300)))
    first = knowledge.features(game.layout, 2, SUITS)
    for seat in range(2):
        rows = game.observe(state, torch.full_like(state.index, seat))[:, first:]
        views = rows.unique(dim=0, return_inverse=True)[1].tolist()
        numbers = {}
        known = [numbers.setdefault(told, len(numbers)) for told in described(game, state, seat)]
        assert len(set(zip(views, known, strict=True))) == len(set(views)) == len(set(known)) > 100


@pytest.mark.parametrize("game", [Telling(), Turned(), Mute(), TellingMatch()], ids=lambda game: type(game).__name__)
def test_it_keeps_the_contract(game: Telling) -> None:
    contract.check(game)


def test_nothing_hidden_is_told() -> None:
    """With other entries where the viewer does not look, of as many cards, it is told the same."""
    game = Telling()
    state = concatenate(list(contract.positions(game, 100)))
    for seat in range(2):
        viewer, other = torch.full_like(state.index, seat), torch.arange(2) != seat
        aside = torch.where(other, state.kept[:, :1], state.aside)
        changed = replace(state, kept=state.kept.flip(-1), aside=aside)
        assert torch.equal(game.observe(state, viewer), game.observe(changed, viewer))
        assert not torch.equal(game.observe(state, viewer), game.observe(changed, 1 - viewer))


def test_columns_are_in_words() -> None:
    shared = len(knowledge.columns(Telling()))
    assert [told for _, told in Telling().columns()[shared:]] == [
        "to move, the viewer first",
        "decisions of the opening made: numbers x as x / (s + |x|), s = 1, 8, 64",
        "pile: cards, the viewer's first",
        "turned: the card in each place",
        "trump: suits, and none",
        "last: seats, the viewer first",
        "named: low, high",
        "aside: which places hold a card, the viewer's first",
        "aside: the card in each place, the viewer's first, if seen",
        "kept: which places hold a card",
        "kept: the card in each place, if seen",
        "points: numbers x as x / (s + |x|), s = 1, 8, 64, the viewer's first",
        "even: whether it is so",
    ]
    assert Mute().columns() == knowledge.columns(Mute())


def test_a_match_tells_its_standing_once() -> None:
    game, one = TellingMatch(), Telling()
    told = [told for _, told in game.columns()]
    assert "dealer: seats, the viewer first" in told
    assert not [words for words in told if words.startswith(("totals", "number", "future"))]
    assert game.features == one.features + 2 + 2 + 2  # the dealer; totals and what is left


class Counted(Turned):
    """Writes its block, and counts nothing."""

    def own_block(self, state, viewer):
        return [knowledge.by_seat(state.points, viewer) / 20, state.even]


def test_a_block_of_ones_own_is_counted() -> None:
    game = Counted()
    assert game.features == knowledge.features(game.layout, 2, SUITS) + 3
    assert game.columns()[-1] == (3, "what telling adds")
    contract.check(game)


def test_games_without_fields_of_their_own_tell_what_all_trick_games_do() -> None:
    class Plain(TrickGame):
        name, highest = "plain", 13.0

        def points(self, state):
            return state.won.float()

    assert Plain().features == knowledge.features(Plain().layout, 4, 4) and Plain().own_columns() == []


def test_games_of_the_package_count_what_they_did() -> None:
    assert (Whist().features, Hearts().features) == (388, 338)


def test_no_host_waits(monkeypatch) -> None:
    game = Turned()
    assert_no_wait(
        game.deal(4), lambda there: game.observe(there, torch.arange(4, device=there.device) % 2), monkeypatch
    )

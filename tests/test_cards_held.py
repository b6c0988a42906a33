"""How many cards a seat holds and which of them are known: in words, in pictures and at the table."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from tests.crazy_eights import CrazyEights, CrazyEightsState
from tests.cribbage import Cribbage
from tests.gin import Gin, GinState
from tests.go_fish import GoFish
from tests.schnapsen import Schnapsen
from tests.uno import Uno
from vecgame import Game, HandGame, Hearts, pictures, piles, text
from vecgame.cards import popcount
from vecgame.contract.fields import fields_hold_something
from veclab.table.glyphs import UNICODE
from veclab.table.lines import tally_line
from veclab.table.rows import score_rows
from veclab.table.session import Match, Settings, begin
from veclab.table.sight import look
from veclab.web.message import seen_told

pytestmark = pytest.mark.usefixtures("in_a_folder_of_ones_own")
GAMES = (CrazyEights(), GoFish(), Schnapsen(), Uno(decisions=60), Cribbage())


def played(game: Game, seed: int) -> Iterator[Match]:
    match, rng = begin(Settings(game=game, games=1, seed=seed)), random.Random(seed)
    while not match.over:
        yield match
        match = match.act(rng.choice(match.legal))


def held(match: Match) -> list[int]:
    state = match.state
    if not isinstance(match.game, HandGame):
        return popcount(state.hands)[0].tolist()
    cards = match.game.held(state)[0]
    return (cards.sum(-1) if match.game.copies else popcount(cards)).tolist()


@pytest.mark.parametrize("game", GAMES, ids=repr)
def test_a_seat_holds_as_many_cards_as_it_does(game: Game) -> None:
    """What is ``shown`` lies beside the hands of a game without tricks, and is some of those of one with tricks."""
    for match in played(game, seed=3):
        for viewer in (0, None):
            seen = look(match, viewer)
            for seat, number in enumerate(held(match)):
                assert len(seen.hand(seat)) + seen.unseen(seat) == seen.holds(seat) == number
                cards, count = seen.one.hand(seat)
                assert count == number and (viewer is not None or len(cards) == number)
                words = text.hand_words(seen.one, seat)
                assert (words == "") == (number == 0)


def test_cards_that_are_known_are_told_with_a_hand() -> None:
    game = GoFish()
    known = [match for match in played(game, seed=3) if (match.state.shown[0, 1:] != 0).any()]
    match = known[len(known) // 2]
    seat = int((match.state.shown[0, 1:] != 0).to(torch.int8).argmax()) + 1
    shown, hidden = (int(popcount(field[0, seat])) for field in (match.state.shown, match.state.hands))
    row = game.text(match.state, 0, 0).splitlines()[1 + seat]
    assert "no cards" not in row and ("card" in row) == (hidden > 0)
    drawn, (cards, count) = pictures.picture(game, match.state, 0, 0), look(match, 0).one.hand(seat)
    assert len(cards) == shown and count == shown + hidden
    assert (f">{hidden} card" in drawn or f"  {hidden} card" in drawn) == (hidden > 0)


def test_hands_of_unequal_size_are_counted_at_the_table() -> None:
    first, *_, last = played(Uno(decisions=60), seed=4)
    for match, told in ((first, False), (last, True)):
        seen = look(match, 0)
        counted = ", ".join(f"{name} {number}" for name, number in zip(seen.names, held(match), strict=True))
        assert (f"Cards: {counted}." in tally_line(seen)) == told
        head, *rows = score_rows(seen, UNICODE)
        assert ("cards" in head) == told
        if told:
            assert [row[head.index("cards")] for row in rows] == list(map(str, held(match)))
            assert all(
                f"cards {n}" in seat["notes"] for n, seat in zip(held(match), seen_told(seen)["seats"], strict=True)
            )


def test_hands_of_a_trick_game_are_not_counted() -> None:
    assert all("cards" not in look(match, 0).columns for match in played(Hearts(), seed=1))


def test_places_that_are_not_seen_are_counted_where_they_are_many() -> None:
    game = Schnapsen()
    state = game.deal(1, seed=1)
    line = next(line for line in game.text(state, 0, 0).splitlines() if line.split()[0] == "stock")
    stock = (state.stock[0] >= 0).sum()
    assert line.split(None, 1)[1].startswith(f"({int(stock) - 1} cards) ")


def test_the_last_card_of_a_stock() -> None:
    stock = torch.tensor([[4, 2, 9, -1, -1], [3, -1, -1, -1, -1], [-1] * 5, [1, 2, 3, 4, 5]], dtype=torch.int8)
    assert piles.last(stock).tolist() == [9, 3, -1, 5]


@dataclass(frozen=True)
class ToldState(GinState):
    untold: ClassVar = ()


class Told(Gin):
    state_type = ToldState


def test_a_field_that_names_a_card_in_a_hand_is_no_pile() -> None:
    """What has been taken from the pile lies in the hand, where it is chosen."""
    game = Told()
    take = game.first_other + game.others.index("take")
    match = next(one for one in played(game, seed=2) if one.mover == 0 and take in one.legal)
    top = int(match.state.top)
    taken = look(match.act(take), 0)
    assert top in taken.hand(0) and "taken" in taken.one.values and "taken" not in taken.piles
    assert "top" in look(match, 0).piles and "pile" in look(match, 0).piles


@dataclass(frozen=True)
class TurnedState(CrazyEightsState):
    holds: ClassVar = {"turned": "cards"}

    turned: torch.Tensor  # [B] int8


TOLD = "fields: turned is -1, which is none, at every decision of 24 games: is it ever set?"


class Unturned(CrazyEights):
    """Takes the last place of the stock for its last card."""

    state_type = TurnedState

    def start(self, stream, hands, **own):
        return super().start(stream, hands, turned=own["stock"][:, -1], **own)


def test_a_field_that_never_holds_a_card_is_noted() -> None:
    game = Unturned(players=2, cards=2, suits=2, ranks=4, decisions=14)
    assert fields_hold_something(game) == TOLD

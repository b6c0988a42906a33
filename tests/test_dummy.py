"""A seat whose cards another plays, and hands that lie open: what is played, known, sampled, told and shown."""

import io

import pytest
import torch
from rich.console import Console

from tests.bridge import NAMES, Bridge
from vecgame import Layout, TrickGame, TrickState, Whist, contract, naming, pictures
from vecgame.cards import bit
from vecgame.lanes import place_of
from veclab.arena.told import states_told
from veclab.table import lines, view
from veclab.table.commands import Mistake, listed_choices, parse
from veclab.table.glyphs import UNICODE
from veclab.table.session import PERSON, Match, Settings, begin
from veclab.table.sight import look, said
from veclab.web.message import seen_told
from vecmcts import PlayoutEvaluator, SearchConfig, search

GAME, FIRST = Bridge(dealer=0), 52
SOUTH, WEST, NORTH, EAST = range(4)


def declared(call: str = "1NT", plays: int = 1, seed: int = 3) -> Match:
    """South declares at a table, and so many of the lowest cards are played; South is the person."""
    match = begin(Settings(GAME, games=1, agent="random", seed=seed))
    for name in (call, "pass", "pass", "pass"):
        match = match.act(FIRST + NAMES.index(name))
    for _ in range(plays):
        match = match.act(match.legal[0])
    return match


def test_declarer_decides_for_dummy_whose_card_and_lack_it_is() -> None:
    match, lacking = declared(plays=0), 0
    while not match.over:
        state, acting = match.state, int(GAME.acting(match.state))
        dummys = acting == NORTH and len(match.moves) > 4
        assert match.mover == (SOUTH if dummys else acting)
        assert match.moves[-1].at == match.moves[-1].seat or match.moves[-1].acting == NORTH
        action, led = match.legal[0], int(GAME.suit_led(state, state.trick))
        assert int(state.hands[0, acting]) >> action & 1
        match = match.act(action)
        assert not int(match.state.hands[0, acting]) >> action & 1
        if led >= 0 and action // 13 != led and not match.over:
            lacks = int(match.state.lacks[0, acting])
            lacking += dummys
            assert lacks >> 13 * led & 0x1FFF == 0x1FFF
    assert lacking
    assert [move.at for trick in match.results[0].tricks for move in trick.plays] != [
        move.seat for trick in match.results[0].tricks for move in trick.plays
    ]


def test_a_hand_that_lies_open_is_known_to_all_from_then_on() -> None:
    before, after = declared(plays=0).state, declared(plays=1).state
    assert GAME.lies_open(before).tolist() == [[False] * 4]
    assert GAME.lies_open(after).tolist() == [[seat == NORTH for seat in range(4)]]
    own = torch.eye(4, dtype=torch.bool)
    assert torch.equal(GAME.hidden(before)["hands"].sees[0], own)
    assert torch.equal(GAME.hidden(after)["hands"].sees[0], own | (torch.arange(4) == NORTH))
    for viewer in (SOUTH, WEST, EAST):
        may = GAME.may_hold(after, torch.tensor([viewer]))[:, 0].tolist()
        for seat, cards in zip(((viewer + turn) % 4 for turn in (1, 2, 3)), may, strict=True):
            unseen = cards & GAME.deck & ~int(after.seen)
            assert (unseen == int(after.hands[0, NORTH])) if seat == NORTH else not unseen & int(after.hands[0, NORTH])


def test_worlds_leave_it_where_it_is() -> None:
    """In all positions of a game, whoever is to move; the other hands are drawn."""
    moved = set()
    for state in contract.positions(GAME, 20):
        laid = GAME.lies_open(state)
        going = laid.any(-1) & ~GAME.is_terminal(state)
        if not going.any():
            continue
        state, laid = state[going], laid[going]
        worlds, mover = GAME.determinize(state, 8, 1), GAME.mover(state)
        old, new = state.hands.repeat_interleave(8, 0), worlds.hands
        stays = laid | (torch.arange(4) == mover[:, None])
        changed = old != new
        assert not changed[stays.repeat_interleave(8, 0)].any()
        moved |= set(changed.any(-1).tolist())
        assert torch.equal(new.sum(-1), old.sum(-1)) and torch.equal(worlds.seen, state.seen.repeat_interleave(8))
    assert moved == {True, False}


def test_a_network_is_told_both_hands() -> None:
    state = declared(plays=1).state
    row, size = GAME.observe(state)[0], 52
    own, others = (row[size * part : size * (part + 1)] for part in (0, 2))
    for told, seat in ((own, SOUTH), (others, NORTH)):  # columns of the viewer's hand, and of what its partner may hold
        assert int((bit(torch.arange(size)) * told.long()).sum()) == int(state.hands[0, seat])
    assert row.shape[0] == GAME.features


def test_it_is_searched() -> None:
    state = declared(plays=1).state
    found = search(GAME, state.repeat(2), PlayoutEvaluator(), SearchConfig(worlds=2, simulations=4), seed=0)
    assert set(found.policy.nonzero()[:, 1].tolist()) <= set(GAME.legal_mask(state)[0].nonzero()[:, 0].tolist())


def test_the_table_says_whose_card_it_is() -> None:
    match = declared(plays=1)
    seen = look(match, PERSON)
    assert seen.own_turn and seen.acting == NORTH and set(seen.playable) == set(match.legal)
    north = seen.hand(NORTH)
    assert listed_choices(seen) == {place: card for place, card in enumerate(north, 1) if card in match.legal}
    told = lines.decision_lines(seen, UNICODE)
    assert told[-2].startswith("You hold ") and told[-1].startswith("You may play North's  ")
    assert "(North holds " in told[-1]
    assert lines.prompt(seen, UNICODE).startswith("North's card")
    card = naming.card_name(GAME.layout, match.legal[0])
    assert parse(card, seen, UNICODE) == match.legal[0]
    missing = naming.card_name(GAME.layout, seen.hand(SOUTH)[0])
    assert parse(missing, seen, UNICODE) == Mistake(f"North does not hold {missing}.")
    after = match.act(match.legal[0])
    for viewer, line in ((SOUTH, "You play North's"), (NORTH, "South plays your"), (WEST, "South plays North's")):
        move = said(match, after, viewer)
        assert lines.narrate(look(match, viewer), move, look(after, viewer), UNICODE) == [f"{line} {card}."]
    assert not look(match, NORTH).own_turn and f"North {card}" in lines.table_line(look(after, EAST))
    assert look(after, PERSON).trick.plays[-1].at == NORTH


@pytest.mark.parametrize("in_lines", [0, 1, 2])
def test_a_screen_numbers_dummys_cards_and_lays_them_at_its_seat(in_lines: int) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    match = declared(plays=1)
    for shown in (match, match.act(match.legal[0])):
        console.print(view.screen(look(shown, PERSON), UNICODE, 100, [], in_lines))
    first, second = console.export_text().split("Game 1 of 1")[1:]
    seen, card = look(match, PERSON), naming.card_name(GAME.layout, match.legal[0])
    number = seen.hand(NORTH).index(match.legal[0]) + 1
    assert f"{number}:{card}" in first and not any(f"{number}:" in line for line in second.splitlines())
    assert card in second.split("North:")[0]


def test_a_page_offers_dummys_cards() -> None:
    match = declared(plays=1)
    told = seen_told(look(match, PERSON))
    assert told["prompt"].startswith("North's card") and told["choices"] == []
    assert [card["action"] for card in told["hand"]] == [None] * 13
    offered = {card["action"] for card in told["seats"][NORTH]["hand"]} - {None}
    assert offered == set(match.legal) and all("action" not in card for card in told["seats"][WEST]["hand"])
    after = seen_told(look(match.act(match.legal[0]), PERSON))
    assert after["seats"][NORTH]["played"]["name"] == naming.card_name(GAME.layout, match.legal[0])
    assert after["seats"][SOUTH]["played"] is None
    other = seen_told(look(match, EAST))
    assert all("action" not in card for card in other["seats"][NORTH]["hand"]) and other["prompt"] == ""


def test_words_and_pictures_say_who_plays_for_whom() -> None:
    state = declared(plays=1).state
    assert "to move         seat 0 for seat 2: " in GAME.text(state)
    assert "seat 0 (you) for seat 2" in pictures.picture(GAME, state, 0, SOUTH)
    assert " for seat" not in Whist().text(Whist().deal(1))
    (seen,) = states_told(GAME, state, torch.tensor([WEST]))
    assert len(seen["hands"][NORTH]) == 13 and seen["hands"][SOUTH] == {"hidden": 13}


def test_a_game_says_in_one_place_who_comes_next() -> None:
    class Two(Bridge):
        def mover(self, state):
            return super().mover(state)

    with pytest.raises(ValueError, match="Two has player_of, so who comes next it must say in in_turn, not in mover"):
        Two()


def test_others_play_their_own() -> None:
    game = Whist()
    state = game.deal(3)
    assert torch.equal(game.acting(state), game.mover(state)) and game.lies_open(state) is None
    assert place_of(game.acting(state)).tolist() == [
        int(seat) + 4 * lane for lane, seat in enumerate(game.mover(state))
    ]


class OuvertState(TrickState):
    layout = Layout(suits=3, ranks=5)


class Ouvert(TrickGame):
    """Seat 1 plays with open cards from the first card on, and for itself; three cards are left over."""

    name, state_type, highest = "ouvert", OuvertState, 3.0

    def set_up(self):
        self.cards = 3

    def lies_open(self, state):
        return (state.made > 0)[:, None] & (torch.arange(4, device=state.device) == 1)

    def points(self, state):
        return state.won.float()


def test_who_plays_with_open_cards_keeps_the_contract() -> None:
    assert contract.check(Ouvert()) == ()

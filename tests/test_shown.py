"""Which moves a seat is shown, and that players in other programs are told no more of the past."""

import pytest
import torch

from tests.crazy_eights import CrazyEights
from tests.cribbage import Cribbage
from tests.go_fish import GoFish
from tests.hanabi import Hanabi
from tests.small_hands import Tray
from vecgame import HandGame, Hearts, Hidden
from vecgame.contract.views import looks_alike
from veclab.arena import shown
from veclab.arena.bots import RandomBot
from veclab.arena.matches import self_played
from veclab.arena.shown import Remembered, alike, shown_to
from veclab.arena.told import history_told
from vecmcts import Past

SWIPE = Tray().first_other


class Covered(Tray):
    """With cards on the tray that nobody sees."""

    def hidden(self, state):
        return super().hidden(state) | {"tray": Hidden("nobody")}


GAMES = (Tray(cards=1), Tray(), CrazyEights(decisions=40), GoFish(ranks=5), Cribbage(), Hanabi())


def test_who_has_one_card_left_might_have_had_another() -> None:
    """It may lay it aside or swipe, which looks different; but another card laid aside would look the same. The other
    seat was told which one it was."""
    game = Covered(cards=1)
    state = game.deal(8, seed=1)
    card = game.legal_actions(state)[:, 0]
    assert shown_to(game, state, card).tolist() == [[True, False]] * 8
    past, after = Past.none(game, 8).then(state, card), game.step(state, card)
    assert history_told(game, past, game.mover(after)) == [[(0, None)]] * 8
    assert history_told(game, past, torch.zeros(8, dtype=int)) == [[(0, one)] for one in card.tolist()]


def test_what_a_seat_can_conclude_is_told() -> None:
    """Where all other cards lie open on the tray, it can only be the one that does not."""
    game = Tray(cards=1)
    state = game.deal(8, seed=1)
    card = game.legal_actions(state)[:, 0]
    assert shown_to(game, state, card).tolist() == [[True, True]] * 8
    of_others = alike(Covered(cards=1), state, card, viewer=1)
    found = [sum(1 << one for one in lane.nonzero()[:, 0].tolist()) for lane in of_others]
    unseen = (game.deck & ~state.hands[:, 1]).tolist()
    assert all(not bits & ~most and bits.bit_count() > 6 for bits, most in zip(found, unseen, strict=True))


def test_a_decision_is_looked_at_once(monkeypatch) -> None:
    looked, once = [], Remembered()

    def recorded(game, state, action):
        looked.append(len(action))
        return shown_to(game, state, action)

    monkeypatch.setattr(shown, "shown_to", recorded)
    for game in (Tray(cards=2), Hearts(passing="left")):
        for step in self_played(game, RandomBot(), 3, seed=1, keep_past=True):
            told = history_told(game, step.past, step.seat, once)
            assert told == history_told(game, step.past, step.seat)
        assert sum(looked) <= 3 * (game.decisions - 1) and looked.clear() is None
    once(Tray(cards=1), Tray(cards=1).deal(2), torch.full((2,), SWIPE))
    assert looked == [2]  # of other rules anew


@pytest.mark.parametrize("game", GAMES, ids=[f"{game.name} {number}" for number, game in enumerate(GAMES)])
def test_moves_that_look_alike_in_another_deal_are_not_told(game: HandGame) -> None:
    """In deals that a seat takes for possible, which are other ones than those that `shown_to` draws."""
    compared = 0
    for step in self_played(game, RandomBot(), 4, seed=2):
        playing = (~step.over).nonzero()[:, 0]
        told_to = torch.ones(len(step.over), game.seats, dtype=bool)
        told_to[playing] = shown_to(game, step.state.take(playing), step.action[playing])
        for viewer in range(game.seats):
            lanes = playing[step.seat[playing] != viewer]
            if not len(lanes):
                continue
            state, action, told = step.state.take(lanes), step.action[lanes], told_to[lanes, viewer]
            worlds = shown.viewed_by(game, viewer).determinize(state, 4, seed=5)
            of, others = game.legal_mask(worlds).nonzero(as_tuple=True)
            after = game.step(state, action).take(of // 4)
            same = looks_alike(game, after, game.step(worlds.take(of), others), torch.full_like(of, viewer))
            other = same & (others != action[of // 4])
            assert not told[of[other] // 4].any()
            compared += int(same.sum())
    assert compared

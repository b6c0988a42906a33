"""What beats a trick as it lies, an order of ranks of trumps alone, and the two seats of a side."""

import pytest
import torch

from vecgame import Briscola, Doppelkopf, Euchre, Layout, Skat, TrickGame, TrickState, Whist
from vecgame.contract import positions
from vecgame.lanes import place_of, with_entries
from vecgame.own_rules import side_of

FRENCH = Layout(ranks=8, rank_names=("7", "8", "9", "J", "Q", "K", "10", "A"))
JASS = ("J", "9", "A", "10", "K", "Q", "8", "7")


class FrenchState(TrickState):
    layout = FRENCH


class French(TrickGame):
    """Jacks and nines are the highest trumps."""

    name, state_type, trump_order, highest = "french", FrenchState, JASS, 1.0

    def set_up(self):
        self.cards = 8

    def trump(self, state):
        return torch.ones_like(state.leader)  # hearts

    def points(self, state):
        return state.won / 8


@pytest.mark.parametrize("game", [Whist(trump="random"), Euchre(), Doppelkopf(), Skat(), Briscola(), French()], ids=str)
def test_cards_that_beat_a_trick_are_those_that_would_win_it(game: TrickGame) -> None:
    """Each card of the mover's hand, laid to every trick that has begun, against the winner then."""
    found = set()
    for state in positions(game, 200, seed=3):
        led = game.suit_led(state, state.trick)
        beating, mover = game.beating(state, state.trick, led), game.mover(state)
        assert (beating[(state.trick < 0).all(-1)] == game.layout.bits).all()
        some = (state.trick >= 0).any(-1) & ~game.is_terminal(state) & ~game.bidding(state)
        hands = state.hands.gather(1, mover[:, None])[:, 0]
        for card in range(game.layout.size):
            lanes = some & (hands >> card & 1 == 1)
            laid = with_entries(state.trick, place_of(mover, game.seats), torch.full_like(state.trick[:, 0], card))
            wins = game.winner(state, laid, led) == mover
            assert torch.equal((beating >> card & 1 == 1)[lanes], wins[lanes])
            found |= set(wins[lanes].tolist())
    assert found == {True, False}


def test_trumps_have_an_order_of_their_own() -> None:
    strengths = French().strengths()[1]  # hearts are trump
    ranks = {rank: place for place, rank in enumerate(FRENCH.rank_names)}
    trumps, spades = ([int(strengths[0, 8 * suit + ranks[rank]]) for rank in JASS] for suit in (1, 0))
    assert trumps == sorted(trumps, reverse=True) and min(trumps) > max(spades)
    led = [strengths[0, 8 * 0 + place].item() for place in range(8)]
    assert led == sorted(led) and min(led) > strengths[0, 16:].max()
    assert torch.equal(
        French().strengths()[4, 1], TrickGame.strengths(type("Plain", (French,), {"trump_order": ()})())[4, 1]
    )


def test_an_order_of_trumps_names_each_rank_once() -> None:
    game = type("Short", (French,), {"trump_order": JASS[:-1]})()
    with pytest.raises(ValueError, match="Short has trump_order J, 9, A, 10, K, Q, 8; it must name each rank once"):
        game.deal(1) and game.strengths()


def test_the_seats_of_a_side() -> None:
    sides = [[True, False, True, False], [False, True, False, True]]
    assert side_of(torch.tensor([0, 1, 2, 3])).tolist() == [*sides, *sides]
    assert side_of(torch.tensor([3], dtype=torch.int8)).tolist() == [sides[1]]

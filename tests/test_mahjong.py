"""Mahjong, a game of 136 tiles, written on `HandGame` as anybody would: scalar rules, worlds, search and training."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.hand_references import played_beside
from tests.mahjong import WIN, Mahjong
from tests.mahjong_reference import DRAW, PASS, ScalarMahjong
from tests.mahjong_reference import WIN as WINS
from vecgame import contract
from vecgame.contract.uniform import TOO_FEW
from vecgame.state import concatenate
from veclab.cli import call
from vecmcts import PlayoutEvaluator, SearchConfig, search


class SmallMahjong(Mahjong):
    """With eleven tiles of a suit and three of a wind."""

    name, decisions, max_forced_run = "small-mahjong", 60, 60
    copies = (3, 3, 3, 2, *[0] * 23, 3, *[0] * 6)


@pytest.mark.parametrize(("players", "cards"), [(4, 13), (2, 13), (3, 7), (4, 4)])
def test_it_is_as_in_plain_python(players: int, cards: int, count: int = 60) -> None:
    game, rng = Mahjong(players=players, cards=cards), random.Random(5)
    state = game.deal(count, seed=11)
    others = [ScalarMahjong(one) for one in state]

    def choose(legal: list[int]) -> int:
        """Who can win does, and who can meld does in two of three cases, or few games were won."""
        melds = [action for action in legal if action > PASS and action != DRAW]
        if WINS in legal:
            return WINS
        return rng.choice(melds if melds and rng.random() < 2 / 3 else legal)

    def look(made: int, state) -> None:
        for lane in (~game.is_terminal(state)).nonzero()[:, 0].tolist() if made % 20 == 0 else ():
            held = [[hand[tile] for tile in range(34)] for hand in others[lane].hands]
            assert state.hands[lane].tolist() == held

    state = played_beside(game, state, others, choose, look)
    assert game.is_terminal(state).all()
    assert game.scores(state).tolist() == [other.scores() for other in others]
    drew, won = [sum(other.winner is not None and (other.offered is None) == own for other in others) for own in (1, 0)]
    assert min(drew, won) > 0 and (game.scores(state) == 0).all(-1).any() == any(o.winner is None for o in others)


@pytest.mark.parametrize("pasts", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_worlds_of_a_small_form_are_uniform(pasts: int) -> None:
    assert contract.check(SmallMahjong(players=3, cards=4), pasts) == ()


@pytest.mark.slow
def test_as_four_play_it_it_keeps_the_contract() -> None:
    assert contract.check(Mahjong()) == (TOO_FEW,)


@pytest.mark.slow
def test_a_search_takes_what_wins() -> None:
    """Of hands that can be completed at once, by a drawn tile or by a discard."""
    game = SmallMahjong(players=2, cards=4)
    states = [state[game.legal_mask(state)[:, game.first_other + WIN]] for state in contract.positions(game, 200)]
    state = concatenate([state for state in states if len(state)])
    advice = search(game, state, PlayoutEvaluator(), SearchConfig(worlds=4, simulations=32), seed=0).policy
    assert len(state) > 10 and (advice.argmax(-1) == game.first_other + WIN).all()


def test_hands_that_could_never_be_complete_are_refused() -> None:
    with pytest.raises(ValueError, match="a hand is of melds of three and one tile more, got cards=12"):
        Mahjong(cards=12)


@pytest.mark.slow
def test_it_is_learned_and_played_from_the_command_line(tmp_path: Path, capsys) -> None:
    file = Path(__file__).with_name("mahjong.py")
    flags = f"train --game {file}:Mahjong --preset quick --updates 2 --update-games 16 --eval-deals 1"
    call(
        [
            *flags.split(),
            "--learner",
            "policy-gradient",
            "--eval-opponents",
            "random",
            "--rules",
            "cards=4",
            "--run",
            str(tmp_path / "run"),
        ]
    )
    assert "against random" in capsys.readouterr().out

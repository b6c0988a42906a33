"""Hearts, Spades, Whist, Euchre and Skat against games of OpenSpiel: every mover, every legal mask, every result."""

import os
import random
from functools import partial

import pytest
import torch

from tests.openspiel_tricks import OracleGame, card_of, euchre, hearts, passed_hearts, play_games, skat, spades, whist
from vecgame import Euchre, Hearts, Skat, Spades, TrickGame, Whist

pytest.importorskip("pyspiel")

SLOW_GAMES = min(10_000, int(os.environ.get("VECGAME_SLOW_GAMES", 600_000)) // 60)
# OpenSpiel's spades never become led freely, once played or not: our lead_spades="last". Its partners bid 13 at most.
KINDS = {
    "hearts": (Hearts(), hearts),
    "hearts, queen does not break": (Hearts(queen_breaks=False), partial(hearts, qs_breaks_hearts=False)),
    "hearts, points on the first trick": (
        Hearts(safe_first_trick=False),
        partial(hearts, no_pts_on_first_trick=False),
    ),
    "hearts, passing": (Hearts(passing="random"), passed_hearts),
    "hearts, passing, other rules": (
        Hearts(passing="random", queen_breaks=False, safe_first_trick=False),
        partial(passed_hearts, qs_breaks_hearts=False, no_pts_on_first_trick=False),
    ),
    "spades": (Spades(lead_spades="last", capped_bids=True), spades),
    "whist": (Whist(trump="random"), whist),
    "euchre": (Euchre(), euchre),
    "euchre, the dealer may pass": (Euchre(stick_the_dealer=False), partial(euchre, stick_the_dealer=False)),
    "skat": (Skat(), skat),
}


def compare(game: TrickGame, records: list[OracleGame]) -> None:
    """Plays finished games again, all of a length at once: those in which no cards are passed are shorter."""
    for length in {len(record.decisions) for record in records}:
        compare_batch(game, [record for record in records if len(record.decisions) == length])


def compare_batch(game: TrickGame, records: list[OracleGame]) -> None:
    given = {name: torch.tensor([record.given[name] for record in records]) for name in records[0].given}
    state = game.from_hands(torch.tensor([record.hands for record in records]), **given)
    for decisions in zip(*(record.decisions for record in records), strict=True):
        movers, legal, actions = zip(*decisions, strict=True)
        assert not game.is_terminal(state).any()
        assert game.mover(state).tolist() == list(movers)
        expected = torch.zeros(len(records), game.num_actions, dtype=torch.bool)
        for lane, options in enumerate(legal):
            expected[lane, options] = True
        assert torch.equal(game.legal_mask(state), expected)
        state = game.step(state, torch.tensor(actions), validate=True)
    assert game.is_terminal(state).all()
    assert torch.equal(game.scores(state), torch.tensor([record.returns for record in records]))


@pytest.mark.parametrize("kind", KINDS)
def test_games_agree(kind):
    game, oracle = KINDS[kind]
    compare(game, list(play_games(oracle, random.Random(400), 150)))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_many_games_agree(kind):
    """10,000 games of each kind; VECGAME_SLOW_GAMES, sixty times that by default, can only lower it."""
    game, oracle = KINDS[kind]
    rng = random.Random(500)
    for first in range(0, SLOW_GAMES, 1_000):
        compare(game, list(play_games(oracle, rng, min(1_000, SLOW_GAMES - first))))


def test_the_oracles_cover_what_matters():
    """Otherwise the comparisons above would prove little."""
    rng = random.Random(401)
    trumps = {(game.given["trump"], game.given["dealer"]) for game in play_games(whist, rng, 150)}
    assert {trump for trump, _ in trumps} == set(range(5)) and {dealer for _, dealer in trumps} == set(range(4))
    bids = {action - 52 for game in play_games(spades, rng, 100) for _, _, action in game.decisions[:4]}
    assert bids == set(range(14))
    passed = list(play_games(passed_hearts, rng, 30))
    assert {game.given["direction"] for game in passed} == set(range(4))
    assert {len(game.decisions) for game in passed} == {52, 64}
    played = list(play_games(partial(euchre, stick_the_dealer=False), rng, 200))
    openings = [tuple(action for _, _, action in game.decisions[:9] if action >= 52) for game in played]
    assert {len(game.decisions) for game in played} >= {8, 18, 23}  # all pass; alone and together after the first bid
    assert {bids[4:5] for bids in openings} >= {(52,), (54,), (55,), (56,)}  # a second round, with each suit
    assert {game.given["dealer"] for game in played} == set(range(4))
    assert {abs(points) for game in played for points in game.returns} == {0, 1, 2, 4}
    assert {game.decisions[0][0] for game in play_games(hearts, rng, 30)} == set(range(4))
    played = list(play_games(skat, rng, 200))
    assert {game.given["dealer"] for game in played} == set(range(3))
    games = {next((bid for _, _, bid in game.decisions[:3] if bid > 32), 32): game for game in played}
    assert set(games) == set(range(32, 39))  # all pass; four suits, grand and null
    null = [game for game in played if 38 in (bid for _, _, bid in game.decisions[:3])]
    assert {max(game.returns) for game in null} == {0.125, 0.25}  # lost early, and won
    assert [card_of(text) for text in ("S2", "2S", "AH", "♣10", "KD")] == [0, 0, 25, 34, 50]

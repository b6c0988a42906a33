"""The tensor rules against games played by OpenSpiel: every mover, every legal mask, every score."""

import os
import random

import pytest
import torch

from tests.helpers import bits_of, pack_mask
from tests.openspiel_oracle import OracleGame, play_games, rules_kwargs
from vecgame import Blob
from veclab.arena.oh_hell import max_cards

pytest.importorskip("pyspiel")

SLOW_GAMES = min(20_000, int(os.environ.get("VECGAME_SLOW_GAMES", 20_000)))
# (cards, off_bid_penalty, no_trump): all that OpenSpiel can deal
KINDS = [(cards, penalty, False) for cards in range(1, 13) for penalty in (True, False)]
KINDS += [(cards, penalty, True) for cards in range(1, 10) for penalty in (True, False)]


def compare(games: list[OracleGame], off_bid_penalty: bool, players: int = 4) -> None:
    """Plays finished games of one card count again, all at once."""
    cards = games[0].cards
    game = Blob(**rules_kwargs(cards, off_bid_penalty, players))
    dealer, trump = (torch.tensor([getattr(record, name) for record in games]) for name in ("dealer", "trump"))
    state = game.from_hands(torch.tensor([record.hands for record in games]), dealer, trump)
    plain = Blob(cards=cards, players=players)
    for decisions in zip(*(record.decisions for record in games), strict=True):
        movers, legal, actions = zip(*decisions, strict=True)
        assert not game.is_terminal(state).any()
        assert game.mover(state).tolist() == list(movers)
        assert pack_mask(game.legal_mask(state)) == [bits_of(options) for options in legal]
        state = game.step(state, torch.tensor(actions), validate=True)
    assert game.is_terminal(state).all()
    returns = torch.tensor([record.returns for record in games])
    assert torch.equal(game.scores(state), returns)
    if off_bid_penalty:  # our default scoring pays nothing for any miss
        assert torch.equal(plain.scores(state), returns.clamp(min=0))


@pytest.mark.parametrize(("cards", "off_bid_penalty", "no_trump"), KINDS)
def test_games_agree(cards, off_bid_penalty, no_trump):
    compare(list(play_games(random.Random(200 + cards), 25, cards, off_bid_penalty, no_trump)), off_bid_penalty)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("cards", "off_bid_penalty", "no_trump"), KINDS)
def test_many_games_agree(cards, off_bid_penalty, no_trump):
    """20,000 games, all kinds together; VECGAME_SLOW_GAMES can only lower it."""
    left, rng = -(-SLOW_GAMES // len(KINDS)), random.Random(300 + cards)
    while left > 0:
        count = min(left, 1_000)
        compare(list(play_games(rng, count, cards, off_bid_penalty, no_trump)), off_bid_penalty)
        left -= count


@pytest.mark.parametrize("off_bid_penalty", [True, False])
@pytest.mark.parametrize("players", [3, 5, 6, 7])
def test_games_of_other_numbers_of_players_agree(players, off_bid_penalty):
    for cards in (1, 4, max_cards(players)):
        rng = random.Random(400 + players)
        compare(list(play_games(rng, 15, cards, off_bid_penalty, players=players)), off_bid_penalty, players)
    compare(list(play_games(rng, 15, 3, off_bid_penalty, True, players)), off_bid_penalty, players)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("players", [3, 5, 6, 7])
def test_many_games_of_other_numbers_of_players_agree(players):
    """20,000 games, all kinds together; VECGAME_SLOW_GAMES can only lower it."""
    kinds = [(cards, penalty) for cards in range(1, max_cards(players) + 1) for penalty in (True, False)]
    for cards, penalty in kinds:
        rng = random.Random(500 + cards)
        compare(
            list(play_games(rng, -(-SLOW_GAMES // 4 // len(kinds)), cards, penalty, False, players)), penalty, players
        )


def test_the_games_cover_every_dealer_and_trump():
    """Otherwise the comparisons above would prove little."""
    games = list(play_games(random.Random(202), 25, 2))
    assert {game.dealer for game in games} == {0, 1, 2, 3} == {game.trump for game in games}
    assert {game.trump for game in play_games(random.Random(202), 5, 2, no_trump=True)} == {4}

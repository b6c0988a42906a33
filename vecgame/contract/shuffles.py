"""What is known of cards that were shuffled into the stock: how many of them lie where, as worlds keep to."""

from __future__ import annotations

import torch

from vecgame.cards import popcount
from vecgame.contract.played import GAMES, SEED, random_action, some_positions
from vecgame.contract.views import looks_alike, viewed_by
from vecgame.game import Game
from vecgame.hidden import places
from vecgame.seeing import SHUFFLED

POSITIONS = 24  # of each game, of which those after a shuffle are looked at
WORLDS = 4  # of each, for each seat


def shuffled_are_counted(game: Game) -> None:
    """Whatever others may have done by all that a seat has seen, as many cards of the game's `lot`, those that were
    ``shuffled``, lie in each hidden place: otherwise worlds, which leave as many there, would tell of what was done in
    secret."""
    if game.lot(game.deal(1, SEED)) is None:
        return
    for state in some_positions(game, GAMES, most=POSITIONS):
        state = state[game.lot(state) != 0]
        for seat in range(game.seats if state.batch_size else 0):
            truth, worlds = state.repeat(WORLDS), viewed_by(game, seat).determinize(state, WORLDS, SEED + 1)
            done = game.step(truth, random_action(game, truth))
            lanes, actions = game.legal_mask(worlds).nonzero(as_tuple=True)
            led, done = game.step(worlds.take(lanes), actions), done.take(lanes)
            alike = looks_alike(game, led, done, torch.full_like(lanes, seat))
            lie = [popcount(places(game.hidden(s), s) & game.lot(s)[:, None])[alike] for s in (led, done)]
            differs = (lie[0] != lie[1]).any(-1)
            if differs.any():
                action = int(actions[alike][int(differs.to(torch.int8).argmax())])
                raise AssertionError(
                    f"seat {seat} cannot know how many of the cards in {SHUFFLED} lie where, as after "
                    f"{game.action_names[action]!r}, which is done in secret: leave that field out"
                )

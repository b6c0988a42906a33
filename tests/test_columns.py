"""Every game says what its columns mean: as many as there are, and what stands in them."""

import pytest
import torch

from net.onnx import described_columns, described_outputs
from tests.every_game import EVERY, Named
from vecgame import Blob, Euchre, Game, Hearts, HeartsMatch, Kuhn
from vecgame.cards import bit
from vecmcts import random_action


@pytest.fixture(params=EVERY, ids=str)
def game(request, own_games) -> Game:
    return request.param.make()


def blocks(game: Game) -> dict[str, slice]:
    """The columns of an observation by what they tell."""
    found, first = {}, 0
    for count, told in game.columns():
        found[told] = slice(first, first + count)
        first += count
    return found


def positions(game: Game, decisions: int, games: int = 16) -> object:
    """Games after so many random decisions."""
    state, random = game.deal(games, seed=3), torch.Generator().manual_seed(1)
    for _ in range(decisions):
        state = game.step(state, random_action(game, state, torch.rand(games, generator=random)))
    return state


def test_every_column_is_told_once(game: Game) -> None:
    observed, policy = game.columns(), game.action_columns()
    assert sum(count for count, _ in observed) == game.features == game.observe(game.deal(1)).shape[1]
    assert sum(count for count, _ in policy) == game.num_actions
    assert all(count > 0 and told and told == told.strip() for count, told in (*observed, *policy))
    assert len(blocks(game)) == len(observed)  # no two blocks say the same


def test_the_description_counts_the_columns(game: Game) -> None:
    lines = described_columns(game).splitlines()
    assert lines[-1].split("|")[1].strip().rpartition("-")[2] == str(game.features - 1)
    outputs = described_outputs([game])
    assert outputs["logits"].splitlines()[-1].split("|")[1].strip().rpartition("-")[2] == str(game.num_actions - 1)
    assert f"0 is {game.lowest:g} {game.unit} and 1 is {game.highest:g}" in outputs["values"]
    assert ("(card - " in "".join(lines)) == game.suits_turned


def test_columns_stand_where_they_are_said_to() -> None:
    """Some of each kind, read off real positions."""
    blob = Blob(players=5, cards=3)
    state = positions(blob, 5 + 7)
    seen, at = blob.observe(state), blocks(blob)
    mover = blob.mover(state)[:, None]
    bids = state.bids.gather(1, (mover + torch.arange(5)) % 5) / 3
    assert torch.equal(seen[:, at["bid of each seat as a fraction, 0 before it is made"]], bids.float())
    assert torch.equal(seen[:, at["there is a trump suit"]][:, 0], (state.trump != 4).float())

    hearts = Hearts(passing="rotate")
    state = positions(hearts, 12 + 20)
    at = blocks(hearts)["the queen of spades has been played"]
    assert torch.equal(hearts.observe(state)[:, at][:, 0], (state.seen & bit(torch.tensor(10)) != 0).float())

    euchre = Euchre()
    state = euchre.deal(16)
    upcard = euchre.observe(state)[:, blocks(euchre)["the card turned up"]]
    assert (upcard.sum(-1) == 1).all() and (upcard[:, :13].sum(-1) == 1).all()  # its suit comes first

    match = HeartsMatch(games=4)
    state = match.deal(16)
    assert (
        match.observe(state)[:, blocks(match)["games that may be left after this one, as a share of all"]] == 0.75
    ).all()

    kuhn = Kuhn()
    state = positions(kuhn, 1)
    cards = kuhn.observe(state)[:, blocks(kuhn)["the card of absolute seat 1, if it is seen"]]
    assert torch.equal(cards.argmax(-1), state.cards[:, 1].long())
    assert kuhn.observe(state)[:, blocks(kuhn)["the card of absolute seat 0, if it is seen"]].sum() == 0


class Silent(Kuhn):
    def observe(self, state, seat=None):
        return super().observe(state, seat)

    columns = Game.columns


def test_a_game_that_says_nothing_has_the_words_of_its_observe(own_games) -> None:
    assert Silent().columns() == [(Silent().features, "features of the game's own")]
    bluff = Named("bluff.py:Bluff").make()
    assert bluff.action_columns() == [(1, "fold"), (1, "bet")]
    outputs = described_outputs([Blob(cards=1), Blob(cards=2)])
    assert outputs["values"].endswith("0 is 0 points and 1 is 11; or, by cards dealt, 0 is 0 points and 1 is 12.")
    assert "(card - 13 * first suit) mod 52" in outputs["logits"] and "bid 0" in outputs["logits"]

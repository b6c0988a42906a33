"""Games that the contract plays once, and looks at many decisions at a time."""

from __future__ import annotations

from itertools import zip_longest

import pytest

from tests.crazy_eights import CrazyEights
from vecgame import Blob, Game, State, contract
from vecgame.contract.played import AT_ONCE, in_each, positions, same, some_positions


@pytest.mark.parametrize("game", [Blob(cards=2), CrazyEights()], ids=repr)
@pytest.mark.parametrize("games", [1, 24, 100, 300])
def test_positions_that_are_kept_are_those_of_as_many_games_by_themselves(game: Game, games: int) -> None:
    kept = contract.keeping_positions(game)
    list(positions(kept, 24))
    alone = list(positions(game, games))
    assert all(same(a, b) for a, b in zip_longest(positions(kept, games), alone))
    assert game.is_terminal(alone[-1]).all() and not game.is_terminal(alone[-2]).all()


def test_a_game_is_played_once_and_a_copy_of_it_by_itself() -> None:
    class Counted(Blob):
        steps = 0

        def step(self, state, action):
            Counted.steps += 1
            return super().step(state, action)

    game = contract.keeping_positions(Counted(cards=2))
    for games in (24, 40, 100):
        list(positions(game, games))
    assert Counted.steps == game.decisions
    list(positions(contract.keeping_positions(game), 24))
    assert Counted.steps == 2 * game.decisions


def test_positions_are_spread_over_the_games_that_are_played_not_over_the_longest_that_could_be() -> None:
    game = CrazyEights(decisions=5000)
    longest = len(list(positions(game, 24)))
    made = [int(state.made.max()) for state in some_positions(game, 24, most=6)]
    assert longest < 500 and made[0] == 0 and longest / 2 < made[-1] < longest and len(made) == 6


def test_states_are_looked_at_together_and_the_first_that_is_wrong_is_named() -> None:
    states, seen = list(positions(Blob(cards=13), 24)), []

    def look(first: int, state: State) -> None:
        seen.append((first, len(state)))
        assert not (state.bids >= 0).all(-1).any(), f"after {first} decisions"

    with pytest.raises(AssertionError, match="after 4 decisions"):
        in_each(look, states)
    few = AT_ONCE // 24
    assert seen == [(0, 24 * few), *((number, 24) for number in range(5))]
    del seen[:]
    in_each(lambda first, before, after: seen.append((first, len(before), len(after))), states[:-1], states[1:])
    assert sum(lanes for _, lanes, _ in seen) == 24 * (len(states) - 1) and len(seen) == 2

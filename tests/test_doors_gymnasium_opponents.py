"""The opponents in the Gymnasium environments: where they sit, what they are told, how they move."""

import pickle
import sys
import warnings
from pathlib import Path

import pytest
import torch

from net import BlobNet, InferenceNet
from tests.doors_docs import choices
from vecgame import Blob, Game, Kuhn, State, Whist, identity
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena.bots import NetworkPlayer, RandomBot
from veclab.arena.told import history_told

pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import data_equivalence

from veclab.doors.gymnasium_vector import GameVectorEnv


class Recorder(RandomBot):
    """A random player that notes the seats that it is asked for."""

    def __init__(self, name: str) -> None:
        self.name, self.seats = name, set()

    def act(self, game: Game, state: State, seed: int) -> torch.Tensor:
        self.seats |= set(game.mover(state).tolist())
        return super().act(game, state, seed)


def test_opponents_sit_in_their_order_after_the_own_seat() -> None:
    players = [Recorder(name) for name in "abc"]
    tables = GameVectorEnv(8, Blob(cards=2), seat=2, opponents=players)
    observations, infos = tables.reset(seed=1)
    for _ in range(6):
        observations, *_, infos = tables.step(choices(observations, infos))
    assert [player.seats for player in players] == [{3}, {0}, {1}]


def test_seats_and_moves_are_by_the_seed() -> None:
    told = set()

    class Noted(RandomBot):
        def act(self, game: Game, state: State, seed: int) -> torch.Tensor:
            told.add(seed)
            return super().act(game, state, seed)

    tables, seats = GameVectorEnv(32, Kuhn(), seat="random", opponents=Noted()), []
    for seed in (7, 8, 7):
        tables.reset(seed=seed)
        seats.append(tables.table.seat.tolist())
    assert told == {7, 8} and seats[0] == seats[2] != seats[1]


@pytest.mark.parametrize("size", [4, 32])
def test_opponents_move_for_all_games_at_once(monkeypatch, size: int) -> None:
    """As many calls for many games as for few."""
    game, calls = Blob(cards=3), []
    step = Blob.step
    monkeypatch.setattr(Blob, "step", lambda *given: calls.append(1) or step(*given))
    tables = GameVectorEnv(size, game, seat=0)
    observations, infos = tables.reset(seed=1)
    calls.clear()
    observations, *_, infos = tables.step(choices(observations, infos))
    assert len(calls) <= 2 * game.seats  # its own, and up to seven of the others between two bids and plays


def test_an_opponent_that_cheats_is_found_out() -> None:
    class Ace(RandomBot):
        name = "ace"

        def act(self, game: Game, state: State, seed: int) -> torch.Tensor:
            return torch.full_like(state.index, 51)

    with pytest.raises(ValueError, match=r"ace took action 51 in game \d of whist after \d moves, which is not legal"):
        tables = GameVectorEnv(8, Whist(cards=3, trump="random"), opponents=Ace())
        tables.step(choices(*tables.reset(seed=1)))


@pytest.mark.parametrize(
    ("action", "said"),
    [(None, "Nameless in whist: action must be .* got a NoneType"), (51, "Nameless took action 51 in game 0 of whist")],
)
def test_what_a_player_without_a_name_does_wrong_is_told_by_its_class(action: int | None, said: str) -> None:
    class Nameless:
        def act(self, game: Game, state: State, seed: int) -> object:
            return action if action is None else torch.full_like(state.index, action)

    with pytest.raises(ValueError, match=said):
        GameVectorEnv(1, Whist(cards=1, trump="clubs", dealer=3), seat=1, opponents=Nameless()).reset(seed=1)


class Historian:
    """A random player that checks that it is told all that has happened."""

    name = "historian"
    asked = 0

    def act_after(self, game: Game, state: State, past, seed: int) -> torch.Tensor:
        told = history_told(game, past, game.mover(state))
        for lane in range(state.batch_size):
            replayed = game.deal(1, seed, first_index=int(state.index[lane]))
            moves, movers = [move for move in past.actions[lane].tolist() if move >= 0], []
            for number, move in enumerate(moves):
                assert past.states[number][lane] == replayed
                movers.append(int(game.mover(replayed)))
                replayed = game.step(replayed, torch.tensor([move]))
            assert replayed == state[lane]
            assert told[lane] == list(zip(movers, moves, strict=True))  # in these games all see all moves
            self.asked += len(moves)
        return RandomBot().act(game, state, seed)


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("game", [Kuhn(players=3), Blob(cards=2)], ids=repr)
def test_a_player_that_wants_the_past_gets_it(game: Game, others: int) -> None:
    """Also when the games of a batch are at different decisions, and beside one that does not want it."""
    player = Historian()
    opponents = [*["random"] * others, *[player] * (game.seats - 1 - others)]
    tables = GameVectorEnv(3, game, seat="random", opponents=opponents)
    observations, infos = tables.reset(seed=2)
    for _ in range(8):
        observations, *_, infos = tables.step(choices(observations, infos))
    assert player.asked > 10


def test_a_saved_network_has_a_seat_and_says_if_it_learned_other_rules(tmp_path: Path) -> None:
    game, path = Blob(cards=2), tmp_path / "network-000003.safetensors"
    net = BlobNet(network_config("small", game))
    save_network(path, net, {"games": [identity(game)], "game": "blob"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = GameVectorEnv(4, game, opponents=["random", path, str(tmp_path)])
    assert [player.name for player in tables.table.players] == ["random", "network-000003", "network-000003"]
    tables.reset(seed=1)
    state = game.deal(4, seed=1)
    direct = NetworkPlayer(InferenceNet(net))
    while not (mine := game.mover(state) == 0).all():  # the own seat's first decision, played without the environment
        moves = torch.where(game.mover(state) == 1, RandomBot().act(game, state, 1), direct.act(game, state, 1))
        state = state.where(mine, game.step(state, moves))
    assert tables.table.state == state
    other = pickle.loads(pickle.dumps(tables))
    actions = choices(*tables.reset(seed=2))
    other.reset(seed=2)
    assert data_equivalence(tables.step(actions), other.step(actions), exact=True)
    with pytest.warns(UserWarning, match="by other rules than .*network-000003.safetensors was trained by: "):
        GameVectorEnv(4, Blob(cards=2, miss_penalty=10), opponents=path)
    for other in (Blob(players=5), Whist()):
        with pytest.raises(ValueError, match=r"network-000003\.safetensors is a network for"):
            GameVectorEnv(4, other, opponents=path)


def test_a_program_in_another_language_has_a_seat() -> None:
    tables = GameVectorEnv(4, Blob(cards=2), opponents=["random", f"cmd:{sys.executable} examples/bot.py", "random"])
    observations, infos = tables.reset(seed=1)
    for _ in range(4):
        observations, *_, infos = tables.step(choices(observations, infos))
    (program,) = (player for player in tables.table.players if player.name.startswith("cmd:"))
    assert program.program is not None
    tables.close()
    assert program.program is None


@pytest.mark.parametrize("beyond", [-1, 2])
def test_an_action_that_no_game_has_is_not_taken_for_the_nearest(beyond: int) -> None:
    """In Kuhn, whose two actions are always legal."""

    class Beyond(RandomBot):
        def act(self, game: Game, state: State, seed: int) -> torch.Tensor:
            return torch.full_like(state.index, beyond)

    with pytest.raises(ValueError, match=f"random took action {beyond} in game 0 of kuhn after 0 moves, which is not"):
        GameVectorEnv(1, Kuhn(), seat=1, opponents=Beyond()).reset(seed=1)

"""The library inside of another program, which has settings, numbers, threads and processes of its own."""

import copy
import json
import multiprocessing
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from net import BlobNet, InferenceNet, Int8Net, NetConfig, int8_available
from tests.every_game import EVERY, OWN, Named
from vecgame import (
    Blob,
    BlobMatch,
    EuchreMatch,
    Game,
    Hearts,
    HeartsMatch,
    Kuhn,
    Leduc,
    SpadesMatch,
    State,
    Whist,
    WhistMatch,
    identity,
)
from vecgame.contract import random_action
from veclab.arena.bots import FlatMonteCarlo, NetworkPlayer, RandomBot, search_player
from veclab.training.selfplay import self_play
from vecmcts import (
    IsmctsConfig,
    NetworkEvaluator,
    Past,
    PlayoutEvaluator,
    RolloutConfig,
    SearchConfig,
    ismcts,
    rollouts,
    search,
)
from vecmcts.endgame import solve
from vecmcts.inference import log_likelihood

SEARCH = SearchConfig(worlds=2, simulations=4)


def everything(game) -> list[torch.Tensor]:
    """Tensors of all kinds that a game and a search of it give."""
    state: State = game.deal(3, seed=1)
    found = []
    for _ in range(min(game.decisions, 9)):
        found += [game.observe(state), game.values(state), game.scores(state), game.policy_mask(state)]
        found += game.determinize(state, 2, seed=3).tensors().values()
        state = game.step(state, random_action(game, state))
    result = search(game, game.deal(3, seed=1), PlayoutEvaluator(), SEARCH, seed=2)
    return [*found, *state.tensors().values(), result.policy, result.visits]


STRANGERS = (Blob(), Blob(players=5), Hearts(), Whist(), Kuhn(), Kuhn(players=3), Leduc())
STRANGERS += (Hearts(passing="left"), BlobMatch(), HeartsMatch(), HeartsMatch(passing="none"), WhistMatch())


@pytest.mark.parametrize(("game", "other"), list(permutations(STRANGERS, 2)), ids=repr)
def test_a_state_of_another_game_is_refused_in_one_line(game: Game, other: Game) -> None:
    """Games of tricks have fields of the same names, and would go on in silence; one of more seats fails in torch."""
    state = other.deal(2)
    calls = (
        lambda: game.step(state, [0, 0]),
        lambda: game.observe(state),
        lambda: game.legal_mask(state),
        lambda: game.determinize(state, 2),
        lambda: game.scores(state),
        lambda: game.text(state),
        lambda: search(game, state, PlayoutEvaluator(), SEARCH),
        lambda: ismcts(game, state, PlayoutEvaluator()),
        lambda: rollouts(game, state, BlobNet()),
        lambda: solve(game, state),
    )
    for call in calls:
        with pytest.raises(ValueError, match=re.escape(f"{game!r} ")) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_what_is_no_state_no_seats_or_no_evaluator_is_refused_in_one_line() -> None:
    game = Blob()
    state = game.deal(2)
    assert torch.equal(game.observe(state, [1, 2]), game.observe(state, torch.tensor([1, 2])))
    for call, message in (
        (lambda: game.step(None, [0]), "plays on a BlobState, got a NoneType"),
        (lambda: search(game, "state", PlayoutEvaluator()), "plays on a BlobState, got a str"),
        (lambda: game.observe(state, 5), "seat must be 2 integers"),
        (lambda: search(game, state, None), "an evaluator, or a network that can be called, is needed; got a NoneType"),
        (lambda: search(game, state, PlayoutEvaluator(), {"worlds": 3}), "config must be of SearchConfig, got a dict"),
        (lambda: ismcts(game, state, PlayoutEvaluator(), SEARCH), "must be of IsmctsConfig, got a SearchConfig"),
        (lambda: rollouts(game, state, BlobNet(), None), "config must be of RolloutConfig, got a NoneType"),
        (lambda: game.step(state, ["a", "b"]), "action must be 2 integers"),
        (lambda: game.deal(1.5), "batch_size must be a whole number"),
        (lambda: game.deal(2**40), "batch_size must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("named", [named for named in EVERY if named not in OWN], ids=str)
def test_another_default_type_changes_nothing(named: Named) -> None:
    game = named.make()
    expected = everything(game)
    torch.set_default_dtype(torch.float64)
    try:
        found = everything(game)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("named", [named for named in EVERY if named not in OWN], ids=str)
def test_another_default_device_changes_nothing(named: Named) -> None:
    game = named.make()
    expected = everything(game)
    with torch.device("meta"):  # a tensor of which holds nothing
        found = everything(game)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


class Plain(nn.Module):
    """A network of somebody's own, which does not say that it is for inference."""

    def __init__(self, game: Blob) -> None:
        super().__init__()
        self.policy, self.values = nn.Linear(game.features, game.num_actions), nn.Linear(game.features, game.seats)
        self.kept = 0

    def forward(self, observation: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.policy(observation)
        self.kept += logits.requires_grad
        return logits, self.values(observation)


def test_a_search_keeps_no_graph_of_its_evaluations() -> None:
    game = Blob(cards=2)
    network = Plain(game)
    state = game.deal(4)
    past = Past.none(game, 4).then(state, game.legal_actions(state)[:, 0])
    later = game.step(state, past.actions[:, 0].long())
    few = RolloutConfig(worlds=2, candidates=2, least_prior=0.0)
    for result in (
        search(game, state, network, SEARCH),
        ismcts(game, state, network, IsmctsConfig(simulations=4)),
        rollouts(game, later, network, few, past=past),
        rollouts(game, state, network, replace(few, candidates=0)),
    ):
        assert not any(tensor.requires_grad for tensor in vars(result).values()) and network.kept == 0
    worlds = game.determinize(later, 2)
    assert not log_likelihood(game, later, worlds, past, NetworkEvaluator(network), 0.9).requires_grad
    played = self_play(game, network, SEARCH, games=4, seed=1)
    assert not played.examples.policy.requires_grad and network.kept == 0
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("wrong", ["logits", "values"])
def test_a_network_that_answers_nan_is_named(wrong: str) -> None:
    class Broken(Plain):
        def forward(self, observation, mask):
            logits, values = super().forward(observation, mask)
            return (logits * torch.nan, values) if wrong == "logits" else (logits, values * torch.nan)

    game = Blob(cards=2)
    with pytest.raises(ValueError, match=f"Broken has answered {wrong} that are not finite") as error:
        search(game, game.deal(4), Broken(game), SEARCH)
    assert "\n" not in str(error.value)


# -- pickles, copies, processes and threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("named", EVERY, ids=str)
def test_games_and_states_survive_pickle_and_copy(named: Named, own_games) -> None:
    game = named.make()
    state = game.deal(3, seed=1)
    for again in (pickle.loads(pickle.dumps((game, state))), copy.deepcopy((game, state)), copy.copy((game, state))):
        assert again[0] == game and type(again[1]) is type(state)
        tensors = again[1].tensors()
        assert all(torch.equal(tensors[name], tensor) for name, tensor in state.tensors().items())
        assert torch.equal(again[0].observe(again[1]), game.observe(state))


FORMS = {
    "float32": lambda net: InferenceNet(net, torch.float32),
    "bfloat16": lambda net: InferenceNet(net, torch.bfloat16),
    "int8": lambda net: Int8Net(net, torch.rand(64, net.config.observation)),
}


@pytest.mark.parametrize("form", FORMS)
def test_players_with_networks_survive_pickle_and_copy(form: str) -> None:
    """Weights that oneDNN has in a layout of its own among them."""
    if form == "int8" and not int8_available():
        pytest.skip("int8 needs another CPU")
    game = Blob(cards=2)
    network = FORMS[form](small_network(game))
    player, state = search_player(network, SEARCH), game.deal(4, seed=1)
    observed = game.observe(state)
    expected = network(observed)
    for again in (pickle.loads(pickle.dumps(player)), copy.deepcopy(player)):
        assert torch.equal(again.act(game, state, 0), player.act(game, state, 0))
    for again in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert all(torch.equal(one, other) for one, other in zip(again(observed), expected, strict=True))
        again.refresh(small_network(game, seed=1))  # and has weights of its own
        assert not torch.equal(again(observed)[0], expected[0]) and torch.equal(network(observed)[0], expected[0])


def small_network(game: Game, seed: int = 0) -> BlobNet:
    torch.manual_seed(seed)
    return BlobNet(NetConfig(32, 1, 2, 64, game.features, game.num_actions, game.seats, 32, 16)).eval()


def searched(game: Game, network: InferenceNet, state: State, seed: int) -> torch.Tensor:
    torch.set_num_threads(1)
    return search(game, state, network, SEARCH, seed=seed).visits


@pytest.mark.slow
def test_a_spawned_process_searches_alike() -> None:
    game = Blob(cards=2)
    network, state = InferenceNet(small_network(game)), game.deal(4, seed=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert torch.equal(pool.submit(searched, game, network, state, 3).result(), searched(game, network, state, 3))


def test_several_threads_search_at_once() -> None:
    game = Blob(cards=3)
    network, state = InferenceNet(small_network(game)), game.deal(6, seed=1)
    expected = [searched(game, network, state, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(lambda s: searched(game, network, state, s), range(8)), expected, strict=True):
            assert torch.equal(one, other)


# -- numbers and arguments --------------------------------------------------------------------------------------------


def test_numbers_may_be_numpys() -> None:
    game = Blob(cards=np.int64(2), exact_bonus=np.float32(5))
    assert game == Blob(cards=2, exact_bonus=5.0) and json.dumps(identity(game))
    dealt = game.deal(np.int32(3), np.uint64(1), "cpu", np.int64(7))
    assert torch.equal(game.observe(dealt), game.observe(game.deal(3, 1, "cpu", 7)))
    worlds = game.determinize(dealt, np.int64(2), np.int64(3))
    assert torch.equal(game.observe(worlds), game.observe(game.determinize(dealt, 2, 3)))
    config = SearchConfig(worlds=np.int64(2), simulations=np.int16(4), c_puct=np.float32(0.5))
    assert config == SearchConfig(worlds=2, simulations=4, c_puct=0.5) and json.dumps(vars(config))
    found = search(game, dealt, PlayoutEvaluator(), config, seed=np.int64(2))
    assert torch.equal(found.visits, search(game, dealt, PlayoutEvaluator(), config, seed=2).visits)


@pytest.mark.parametrize(
    "game",
    [
        Blob(cards=2, bidding="once", hook=False),
        Hearts(passing="left"),
        HeartsMatch(games=2),
        BlobMatch(cards=2),
        EuchreMatch(games=2),
        SpadesMatch(games=2),
        WhistMatch(games=2),
        Kuhn(),
        Leduc(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", [np.int32, np.uint8])
def test_seeds_may_be_small_numbers_of_numpys(game: Game, kind: type) -> None:
    seed, state = kind(5), game.deal(4, seed=kind(1))
    assert torch.equal(*(FlatMonteCarlo(2).act(game, state, number) for number in (seed, 5)))
    for _ in range(min(5, game.decisions)):  # in Hearts a seat has passed its cards, and another has not seen them
        assert game.determinize(state, 3, seed) == game.determinize(state, 3, 5)
        assert torch.equal(*(RandomBot().act(game, state, number) for number in (seed, 5)))
        action = random_action(game, state, seed)
        assert torch.equal(action, random_action(game, state, 5))
        state = game.step(state, action)


def test_players_with_networks_take_such_seeds_too() -> None:
    game = Blob(cards=2)
    state, network = game.deal(4, seed=1), small_network(game)
    player = NetworkPlayer(network, sample=True)
    assert torch.equal(player.act(game, state, np.int32(5)), player.act(game, state, 5))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda game: game.deal(1.5), "batch_size must be a whole number below 4,294,967,296, got 1.5"),
        (lambda game: game.deal(2**40), "batch_size must be a whole number below 4,294,967,296, got 1099511627776"),
        (lambda game: game.deal(2, 0, "cpu", -1), "first_index must be a whole number from 0 to 2**56 - 2, got -1"),
        (lambda game: game.deal(2, 0, "cpu", 2**56 - 1), "from 0 to 2**56 - 2, got 72057594037927935"),
        (lambda game: game.deal(2, 0, "cpu", 2**63), "from 0 to 2**56 - 2, got 9223372036854775808"),
        (lambda game: game.deal(2, 0, "cpu", 0.5), "from 0 to 2**56 - 2, got 0.5"),
        (lambda game: game.determinize(game.deal(1), 1.5, 0), "count must be a whole number up to 2**24, got 1.5"),
        (lambda game: game.step(game.deal(2), [1.0, 2.0]), "action must be 2 integers of shape [2], got shape [2] of"),
        (lambda game: game.step(game.deal(2), [1]), "action must be 2 integers of shape [2], got shape [1] of"),
        (lambda game: game.step(game.deal(2), ["a", "b"]), "action must be 2 integers of shape [2], got a list"),
        (lambda game: game.deal(1, 0, "mps"), "got 'mps' (Apple's mps has no float64"),
    ],
)
def test_what_cannot_be_is_said(wrong: Callable[[Game], object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        wrong(Blob(cards=2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("game", [Whist(), Blob(cards=2, sight="blind"), BlobMatch(cards=2), Kuhn()], ids=repr)
@pytest.mark.parametrize("count", [2.5, True, "3", None, 2**25, 0])
def test_what_is_no_count_of_worlds_is_said_by_every_game(game: Game, count: object) -> None:
    with pytest.raises(ValueError, match=f"^count must be .*, got {count!r}$"):
        game.determinize(game.deal(2), count)
    assert game.determinize(game.deal(2), torch.tensor(3)) == game.determinize(game.deal(2), 3)


@pytest.mark.parametrize("rule", [{"dealer": np.array([1, 2])}, {"trump": np.array(["none", "random"])}])
def test_an_array_is_no_rule(rule: dict[str, np.ndarray]) -> None:
    for game in (Whist, Blob):
        with pytest.raises(ValueError, match=r"(dealer|trump) must be .*, got \[(1, 2|'none', 'random')\]$"):
            game(**rule)
    assert Whist(dealer=np.array(2)) == Whist(dealer=2)


def test_the_last_games_have_random_numbers_of_their_own() -> None:
    game = Blob(cards=2)
    last = game.deal(2, 0, "cpu", 2**56 - 2)
    assert not torch.equal(last.tensors()["hands"], game.deal(2, 0).tensors()["hands"])


@pytest.mark.parametrize("form", [BlobNet.eval, *FORMS.values()], ids=["itself", *FORMS])
def test_a_network_of_another_game_is_one_line(form: Callable[[BlobNet], object]) -> None:
    if form is FORMS["int8"] and not int8_available():
        pytest.skip("int8 needs another CPU")
    game, network = Blob(cards=2), form(small_network(Hearts()))
    with pytest.raises(ValueError, match=r"^this network takes positions of \d+ features, got 256: it is for another"):
        search(game, game.deal(4), network, SEARCH)

"""Blob for 3, 5, 6 and 7 players: rules against the reference, the contract, search, learning, matches, commands."""

import json
import random
from collections import Counter

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.blob_games import compare_random_games
from tests.helpers import chi_square_p
from tests.test_contract import CountsTricks
from tests.test_search_sync import assert_no_wait, positions
from vecgame import Blob, Rules, State, contract, make_game
from veclab.agents.checkpoint import load_network, save_network
from veclab.agents.networks import settings_for
from veclab.arena import best_response, evaluate, ladder
from veclab.arena.bots import FlatMonteCarlo, RandomBot, RuleBot
from veclab.arena.matches import even_seatings_of, play_deals, play_match, seatings_of, side_points
from veclab.bench import command as bench
from veclab.reference import rules as reference
from veclab.reference.worlds import consistent_worlds, sample_world
from veclab.training import command as train
from veclab.training.selfplay import self_play
from vecmcts import SearchConfig, search

PLAYERS = (3, 5, 6, 7)
CONTRACT = [
    {"players": 3, "cards": 4, "ranks": 4},
    {"players": 5, "cards": 3, "ranks": 4},
    {"players": 6, "cards": 2, "ranks": 4, "suits": 3},
    {"players": 7, "cards": 7},
]


def largest(players: int) -> int:
    return min(52 // players, 13)


@pytest.mark.parametrize("players", PLAYERS)
def test_random_games_agree_with_the_reference(players):
    for cards in (1, 2, 4, largest(players)):
        compare_random_games(Blob(players=players, cards=cards, hook=cards != 2), lanes=40, seed=players)


@pytest.mark.slow
@pytest.mark.parametrize("players", PLAYERS)
def test_many_random_games_agree_with_the_reference(players):
    for cards in range(1, largest(players) + 1):
        for hook in (True, False):
            compare_random_games(Blob(players=players, cards=cards, hook=hook), lanes=300, seed=cards)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(Blob(players=7, cards=2, ranks=4))


@pytest.mark.slow
@pytest.mark.parametrize("rules", CONTRACT, ids=str)
def test_contract_under_other_rules(rules):
    contract.check(make_game("blob", **rules))


@pytest.mark.parametrize("players", [3, 5])
def test_the_reference_samples_worlds_uniformly(players):
    """Two positions with voids; a correct sampler fails for another seed with probability 4e-4 in all."""
    rules, rng, tested = reference.Rules(players=players, cards=3, ranks=4), random.Random(players), 0
    while tested < 2:
        state = reference.deal(rules, rng)
        for _ in range(rng.randrange(2 * players, 3 * players)):
            reference.apply_action(rules, state, rng.choice(reference.legal_actions(rules, state)))
        listed = list(consistent_worlds(rules, state))
        if sum(map(len, state.voids)) >= 2 and 2 <= len(listed) <= 150:
            counts = Counter(tuple(sample_world(rules, state, rng).hands) for _ in range(20 * len(listed)))
            assert set(counts) <= set(listed)
            assert chi_square_p([counts[world] for world in listed], [20.0]) > 1e-4
            tested += 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"players": 1}, "players must be an integer from 2 to 8, got 1"),
        ({"players": 9}, "players must be an integer from 2 to 8, got 9"),
        ({"players": "5"}, "players must be an integer from 2 to 8, got '5'"),
        ({"players": 6, "cards": 9}, "cards=9 to each of 6 seats needs 54 cards, but the deck has .* = 52"),
        ({"players": 3, "dealer": 3}, "dealer must be a seat 0..2"),
    ],
)
def test_rules_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Rules(**changes)


def test_hands_of_another_number_of_players_are_refused():
    with pytest.raises(ValueError, match=r"hands must be \[B, 5, 2\] card ids, got shape \[1, 4, 2\]"):
        Blob(players=5, cards=2).from_hands(torch.arange(8).view(1, 4, 2), 0, 4)
    with pytest.raises(ValueError, match="dealer must be from 0 to 4"):
        Blob(players=5, cards=2).from_hands(torch.arange(10).view(1, 5, 2), 5, 4)


@pytest.mark.parametrize("players", PLAYERS)
def test_dealers_are_uniform_and_rotate(players):
    game = Blob(players=players, cards=1)
    counts = torch.bincount(game.deal(7_000, seed=1).dealer.long(), minlength=players)
    assert chi_square_p(counts, [7_000 / players] * players) > 1e-4
    assert Blob(players=players, dealer="rotate").deal(9).dealer.tolist() == [i % players for i in range(9)]


@pytest.mark.parametrize("players", [3, 7])
def test_searches_do_not_depend_on_the_batch(players):
    game = Blob(players=players, cards=3)
    state = contract.mixed_positions(game, 8)
    config = SearchConfig(worlds=2, simulations=6)
    together = search(game, state, CountsTricks(), config, seed=1)
    assert together.value.shape == (8, players)
    alone = search(game, state[3:4], CountsTricks(), config, seed=1)
    assert torch.equal(alone.visits[0], together.visits[3]) and torch.equal(alone.policy[0], together.policy[3])


@pytest.mark.parametrize("players", [3, 5])
def test_nothing_waits_for_a_gpu(players, monkeypatch):
    """Nothing is read back, and no number comes from the host; see `tests.test_search_sync`."""
    game = Blob(players=players, cards=2)
    state = positions(game, 9)

    def work(there: State) -> None:
        forced = game.play_forced(game.step(there, game.legal_actions(there)[:, 0]))
        game.determinize(forced, 2, seed=3)
        game.observe(forced), game.policy_mask(forced), game.values(forced)

    assert_no_wait(state, work, monkeypatch)


def test_self_play_stores_a_value_for_each_seat():
    game = Blob(players=5, cards=2)
    net = NetConfig(32, 1, 2, 64, game.features, 52, game.seats, 32, 16)
    played = self_play(game, InferenceNet(BlobNet(net)), SearchConfig(worlds=1, simulations=4), 6, seed=2)
    assert game.features == 266 and played.examples.observation.shape[1] == 266
    assert played.examples.value.shape[1] == played.scores.shape[1] == 5
    values = played.scores / game.rules.range[1]
    for row in played.examples.value:  # some game's values, turned so that the mover's comes first
        assert any(torch.equal(row, game_values.roll(turn)) for game_values in values for turn in range(5))


@pytest.mark.parametrize("players", PLAYERS)
def test_every_player_sits_everywhere_alike(players):
    game = Blob(players=players)
    alone, even = torch.tensor(seatings_of(game)), torch.tensor(even_seatings_of(game))
    assert alone.shape == (players, players) and (alone == 0).sum(0).tolist() == [1] * players
    assert ((even == 0).sum(0) == (even == 1).sum(0)).all()
    assert set((even == 0).sum(1).tolist()) == {players // 2, -(-players // 2)}
    assert players == 4 or ((even[:, 1:] != even[:, :-1]).sum(1) >= players - 2).all()  # every other seat


def test_equal_players_are_equal_in_every_deal():
    game = Blob(players=5, cards=2)
    for seatings in (seatings_of(game), even_seatings_of(game)):
        points = play_deals([game], (RuleBot(), RuleBot()), seatings, 6, seed=1)
        assert points.shape == (6, len(seatings), 5) and (points == points[:, :1]).all()
    mine, theirs = side_points(points, even_seatings_of(game)).unbind(-1)
    assert torch.allclose(mine, theirs)


@pytest.mark.parametrize("players", [3, 7])
def test_the_rule_based_player_beats_random_ones(players):
    match = play_match([Blob(players=players)], RuleBot(), RandomBot(), 60, seed=3)
    assert match.significant and match.games == 60 * players


@pytest.mark.slow
@pytest.mark.parametrize("players", [3, 5, 7])
def test_flat_monte_carlo_beats_random_players(players):
    assert play_match([Blob(players=players)], FlatMonteCarlo(4), RandomBot(), 25, seed=3).significant


TINY = ("--games-per-iter=8", "--iterations=1", "--epochs=1", "--batch-size=16", "--worlds=1", "--simulations=3")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "five"
    flags = (
        "--rules=players=5",
        "--cards=2",
        "--network=small",
        "--eval-deals=2",
        "--device=cpu",
        "--updates=1",
    )
    assert train.main([*TINY, *flags, "--update-games=8", f"--run={folder}"]) == 0
    return folder


@pytest.mark.slow
def test_a_run_for_five_players(run):
    results = json.loads((run / "results.json").read_text())["results"]
    games = {match["games"] for row in results.values() for match in row.values()}
    assert games == {2 * 5}
    net = load_network(run / "network-000001.safetensors")
    assert (net.config.observation, net.config.values) == (266, 5)
    assert settings_for(run / "network-000001.safetensors", {}).games()[0] == Blob(players=5, cards=2)


def test_a_network_for_another_number_of_players_is_refused(run, capsys):
    network = str(run / "network-000001.safetensors")
    assert evaluate.main([network, "--rules=players=4", "--eval-deals=2"]) == 2
    assert "is a network for 266 features, these rules have 256: Blob(cards=2)" in capsys.readouterr().err
    assert evaluate.main([network, "--eval-deals=2", "--players=alone"]) == 0  # by the rules of its run
    assert "against 4 x" in capsys.readouterr().out


@pytest.mark.slow
def test_a_ladder_of_five_players(run, capsys):
    assert ladder.main([str(run), "--eval-deals=2", "--device=cpu"]) == 0
    assert "each played 10 times" in capsys.readouterr().out


def test_five_players_with_fifty_two_cards_are_too_many_to_enumerate(run, capsys):
    assert best_response.main([str(run)]) == 2
    error = capsys.readouterr().err
    assert "is too large to enumerate" in error and error.count("\n") == 1


def test_too_many_cards_on_the_command_line(tmp_path, capsys):
    assert train.main(["--rules=players=7", "--cards=8", f"--run={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "cards=8 to each of 7 seats needs 56 cards" in error and error.count("\n") == 1


def test_bench_measures_any_number_of_players(capsys):
    assert bench.main(["engine", "--rules=players=6", "--cards=2", "--batches=5", "--repeats=1", "--quick"]) == 0
    assert "players=6" in capsys.readouterr().out
    assert bench.main(["strategies", "--rules=players=6"]) == 2
    error = capsys.readouterr().err
    assert "strategies" in error and "Blob" in error and error.count("\n") == 1


def test_networks_keep_their_size(tmp_path):
    net = BlobNet(NetConfig(32, 1, 2, 64, Blob(players=3).features, 52, 3, 32, 16))
    save_network(tmp_path / "three.safetensors", net, {})
    assert load_network(tmp_path / "three.safetensors", game=Blob(players=3)).config.values == 3
    with pytest.raises(ValueError, match="is a network for 246 features, these rules have 256"):
        load_network(tmp_path / "three.safetensors", game=Blob())

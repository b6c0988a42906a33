"""Worlds by likelihood: weights against a replay of every deal, draws against the exact posterior, and the errors."""

import functools
import math
from dataclasses import replace

import pytest
import torch

from tests.helpers import bits_of, chi_square_p, to_reference
from tests.positions import HashEvaluator, linear_network
from tests.test_search_lanes import assert_same, lanes_of
from tests.test_search_sync import NoWaiting
from tests.worlds import as_games
from vecgame import Blob, Euchre, Purpose, Spades, Stream, Wizard, lanes
from vecgame.state import concatenate
from veclab.arena.bots import InferringPlayer, RandomBot, search_player
from veclab.arena.matches import play_match
from veclab.reference.worlds import consistent_worlds
from veclab.settings import Settings
from veclab.training.selfplay import self_play
from vecmcts import NetworkEvaluator, Past, SearchConfig, inference, random_action, search
from vecmcts.inference import _log_chance, drawn_by_weight, infer, log_likelihood, resample
from vecmcts.search import _worlds

NETWORK = NetworkEvaluator(linear_network(4))
ERROR_RATE = 1e-4


def played(game, games: int, decisions: int, seed: int):
    """Games after some random decisions, with their past."""
    state = game.deal(games, seed)
    past = Past.none(game, games)
    for decision in range(decisions):
        stream = Stream(seed, state.index, torch.full_like(state.index, decision))
        action = random_action(game, state, stream.uniform(Purpose.PLAYOUT, 1)[:, 0])
        past = past.then(state, action)
        state = game.step(state, action)
    return state, past


def replayed(game: Blob, state, world, past: Past, trust: float) -> float:
    """The logarithm of a world's weight, by playing one game again from its deal. All of one lane."""
    actions = [a for a in past.actions[0].tolist() if a >= 0]
    left = past.states[0].hands[0] & ~state.hands[0] if past.states else torch.zeros(4, dtype=torch.int64)
    hands = [[card for card in range(52) if bits >> card & 1] for bits in (world.hands[0] | left).tolist()]
    again = game.from_hands(torch.tensor([hands]), int(state.dealer), int(state.trump))
    me, total = int(game.mover(state)), 0.0
    for action in actions:
        if int(game.mover(again)) != me:
            logits, _ = NETWORK.evaluate(game, again, Stream(0, again.index, again.index))
            legal = game.legal_mask(again)
            assert legal[0, action]
            columns = game.policy_columns(again, torch.arange(game.num_actions)[None])
            policy = logits.gather(1, columns).masked_fill(~legal, -math.inf).softmax(-1)[0, action]
            total += math.log(trust * float(policy) + (1 - trust) / int(legal.sum()))
        again = game.step(again, torch.tensor([action]))
    assert again.seen.equal(state.seen) and again.won.equal(state.won)
    return total


@pytest.mark.parametrize("decisions", [0, 2, 3, 6, 11, 17])
def test_weights_are_those_of_a_replay(decisions: int) -> None:
    game = Blob(cards=5)
    state, past = played(game, 8, decisions, seed=decisions)
    worlds = game.determinize(state, 3, seed=1)
    weights = log_likelihood(game, state, worlds, past, NETWORK, trust=0.8)
    for lane in range(8):
        one = torch.tensor([lane])
        for world in range(3):
            expected = replayed(game, state.take(one), worlds.take(3 * one + world), past.take(one), 0.8)
            assert float(weights[3 * lane + world]) == pytest.approx(expected, abs=1e-9)
    assert decisions == 0 or len(weights.unique()) > 8  # worlds differ


@pytest.mark.parametrize("game", [Blob(cards=3), Wizard(cards=3)], ids=lambda game: game.name)
def test_lanes_at_different_decisions_and_finished_ones(game) -> None:
    """A lane's weights depend on its own past up to its own decision. In Wizard `turn` is one more than the decisions
    made, but where trump is named."""
    network = NETWORK if game.name == "blob" else NetworkEvaluator(_network_of(game))
    state, past = played(game, 6, game.decisions, seed=1)
    worlds_of = functools.partial(game.determinize, count=4, seed=5)
    stopped = concatenate([past.states[turn].take(torch.tensor([turn % 6])) for turn in range(game.decisions)])
    lane, turns = torch.arange(game.decisions) % 6, torch.arange(game.decisions)
    others = [before.take((lane + 1) % 6) for before in past.states]  # what a lane has beyond its own decisions
    states = [before.take(lane).where(turns > n, others[n]) for n, before in enumerate(past.states)]
    so_far = Past(tuple(states), past.actions[lane].masked_fill(turns >= turns[:, None], -1))
    weights = log_likelihood(game, stopped, worlds_of(stopped), so_far, network, trust=0.9)
    for turn in range(game.decisions):
        one = torch.tensor([turn])
        short = Past(past.states[:turn], past.actions).take(lane[one])
        alone = log_likelihood(game, stopped.take(one), worlds_of(stopped.take(one)), short, network, trust=0.9)
        assert weights[4 * turn : 4 * turn + 4].tolist() == pytest.approx(alone.tolist(), abs=1e-9)
    assert (log_likelihood(game, state, worlds_of(state), past, network, trust=0.9) == 0).all()


def fast_network(observation, mask):
    """As `linear_network`, by one matrix product, whose rounding may depend on the batch."""
    output = observation @ WEIGHT
    return output[:, :52], output[:, 52:].sigmoid()


WEIGHT = torch.randn(256, 56, generator=torch.Generator().manual_seed(0)) / 4


@pytest.mark.slow
@pytest.mark.parametrize("decisions", [2, 5, 7])
def test_draws_follow_the_posterior(decisions: int) -> None:
    """Two cards of a deck of twelve; every consistent deal is listed and weighed."""
    game = Blob(cards=2, suits=3, ranks=4, hook=False)
    state, past = played(game, 1, decisions, seed=2)
    rules, scalar = to_reference(game, state, 0)
    listed = [tuple(map(bits_of, hands)) for hands in consistent_worlds(rules, scalar)]
    every = replace(state.repeat(len(listed)), hands=torch.tensor(listed))
    network = NetworkEvaluator(fast_network)
    weights = log_likelihood(game, state, every, past, network, trust=0.9).softmax(0)
    assert weights.max() > 1.5 * weights.min()
    games = 1000
    config = SearchConfig(worlds=1, candidates=150)
    many = past.take(torch.zeros(games, dtype=torch.int64))
    worlds, _ = infer(game, as_games(state, games), many, network, config, seed=3)
    drawn = worlds.hands
    number = {hands: i for i, hands in enumerate(listed)}
    counts = torch.zeros(len(listed))
    for hands in drawn.tolist():
        counts[number[tuple(hands)]] += 1
    # Twelve groups of about one probability, from the unlikeliest deals to the likeliest.
    order = weights.argsort()
    group = torch.empty_like(order)
    group[order] = (12 * (weights[order].cumsum(0) - weights[order] / 2)).long()
    grouped = functools.partial(torch.bincount, group, minlength=12)
    assert chi_square_p(grouped(counts), games * grouped(weights)) > ERROR_RATE
    assert chi_square_p(grouped(counts), games * grouped(torch.ones(len(listed)).double() / len(listed))) < ERROR_RATE


def test_systematic_draws() -> None:
    weights = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 1.0], [0.1, 0.2, 0.3, 0.4]]).double()
    for u in (0.0, 0.3, 0.999):
        chosen = resample(weights.log(), torch.full((3, 1), u), 20)
        assert chosen[0].bincount(minlength=4).tolist() == [10, 5, 5, 0] and (chosen[1] == 3).all()
        assert (chosen[2].bincount(minlength=4) - 20 * weights[2]).abs().max() < 1
    largest = torch.tensor([[1 - 2.0**-53]]).double()  # 19 and this are 20 by rounding
    assert resample(weights[2:].log(), largest, 20).max() == 3
    # By one number uniform in [0, 1): each candidate by its share on average.
    u = (torch.arange(1000).double() + 0.5)[:, None] / 1000
    one = resample(weights[2].log().expand(1000, 4), u, 1)
    assert one.flatten().bincount().tolist() == [100, 200, 300, 400]
    hopeless = resample(torch.full((1, 5), -torch.inf), torch.tensor([[0.5]]), 5)
    assert hopeless.tolist() == [[0, 1, 2, 3, 4]]


def test_every_game_and_decision_draws_by_a_number_of_its_own() -> None:
    game = Blob(cards=2)
    start = game.deal(20)
    later = game.step(start, game.legal_actions(start)[:, 0])
    first, second = (
        drawn_by_weight(game, state, state.repeat(20), torch.zeros(20, 20), 3, seed=1)[1] for state in (start, later)
    )
    assert (first != second).any(-1).sum() > 10 and len(first.unique(dim=0)) > 10


CONFIG = SearchConfig(worlds=3, simulations=6, candidates=10)


@pytest.mark.parametrize("game", [Blob(cards=4), Spades(cards=4)], ids=lambda game: game.name)
def test_lanes_are_independent(game, monkeypatch) -> None:
    """Alone, in another order, a few at a time, and with all lanes carried along: every game is searched alike."""
    network = linear_network(4) if game.name == "blob" else _network_of(game)
    state, past = played(game, 12, 9, seed=3)
    whole = search(game, state, network, CONFIG, seed=2, past=past)
    for order in (torch.randperm(12, generator=torch.Generator().manual_seed(0)), torch.tensor([7])):
        some = search(game, state.take(order), network, CONFIG, seed=2, past=past.take(order))
        assert_same(some, lanes_of(whole, order), atol=1e-6)
    monkeypatch.setitem(inference.LANES, "cpu", 25)
    assert_same(search(game, state, network, CONFIG, seed=2, past=past), whole, atol=1e-6)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    assert_same(search(game, state, network, CONFIG, seed=2, past=past), whole, atol=1e-6)
    uniform = search(game, state, network, SearchConfig(worlds=3, simulations=6), seed=2)
    assert not whole.visits.equal(uniform.visits)


def _network_of(game):
    weight = torch.randn(game.features, game.num_actions + 4, generator=torch.Generator().manual_seed(1)).double()

    def network(observation, mask):
        output = (observation.double()[:, :, None] * weight / 4).sum(1)
        return output[:, : game.num_actions], output[:, game.num_actions :].sigmoid()

    return network


def test_no_operation_waits(monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    game = Blob(cards=3)
    state, past = played(game, 6, 8, seed=1)
    search(game, state, linear_network(4), CONFIG, seed=3, past=past)
    with NoWaiting():
        search(game, state, linear_network(4), CONFIG, seed=3, past=past)


def test_carrying_all_lanes_along_changes_nothing(monkeypatch) -> None:
    game = Blob(cards=3)
    state, past = played(game, 17, 8, seed=1)
    compact = search(game, state, linear_network(4), CONFIG, seed=3, past=past)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    assert_same(search(game, state, linear_network(4), CONFIG, seed=3, past=past), compact, atol=1e-12)


def test_merged_moves_are_judged_as_they_were_played(monkeypatch) -> None:
    game, rules = Blob(cards=5), []
    state, past = played(game, 6, 14, seed=4)
    weigh = inference.log_likelihood
    monkeypatch.setattr(inference, "log_likelihood", lambda game, *rest: rules.append(game) or weigh(game, *rest))
    merged = replace(CONFIG, merge_equivalent=True)
    result = search(game, state, linear_network(4), merged, seed=1, past=past)
    assert (result.visits.sum(-1) == 18).all()
    assert len(rules) == 1 and rules[0] is game
    worlds = _worlds(game, game.merged(), state, NETWORK, merged, 1, past)
    assert torch.equal(worlds.hands, infer(game, state, past, NETWORK, CONFIG, 1)[0].hands)


def test_what_is_not_legal_in_a_world_has_no_chance() -> None:
    """Where there is one other action, and where there are more."""
    game = Blob(cards=1)
    state = played(game, 6, 4, seed=1)[0]
    (only,) = game.legal_actions(state)[:, :1].t()
    assert (_log_chance(game, state, only, NETWORK, 0.8) == 0).all()
    assert (_log_chance(game, state, (only + 1) % 52, NETWORK, 0.8) == -math.inf).all()
    start = game.deal(6)
    assert (_log_chance(game, start, torch.full((6,), 7), NETWORK, 0.8) == -math.inf).all()


@pytest.mark.slow
def test_self_play_and_matches() -> None:
    game, network = Blob(cards=2), linear_network(4)
    whole, parts = (self_play(game, network, CONFIG, 10, seed=1, chunk_games=size) for size in (10, 4))
    assert whole.scores.equal(parts.scores)
    assert whole.evaluations == parts.evaluations
    assert whole.evaluations != self_play(game, network, replace(CONFIG, candidates=0), 10, seed=1).evaluations
    player = search_player(network, CONFIG)
    assert isinstance(player, InferringPlayer) and player.name == "search 3 of 10x6"
    result = play_match([game], player, RandomBot(), 3, seed=1)
    assert result.games == 12  # and the player was told the past, without which its search would refuse


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": 2}, "candidates must be 0, or an integer from worlds=3 to"),
        ({"candidates": True}, "candidates must be 0, or an integer"),
        ({"trust": 1.0}, "trust must be from 0 to below 1"),
    ],
)
def test_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SearchConfig(**change)
    assert "\n" not in str(caught.value)


def test_what_it_needs() -> None:
    game = Blob(cards=2)
    state, past = played(game, 2, 3, seed=1)
    with pytest.raises(ValueError, match="candidates=10 needs the games' past"):
        search(game, state, linear_network(4), CONFIG)
    with pytest.raises(ValueError, match="candidates=10 needs a network"):
        search(game, state, HashEvaluator(), CONFIG, past=past)


def test_settings_of_a_run() -> None:
    settings = Settings(candidates=24, trust=0.7)
    assert (settings.search().candidates, settings.search(self_play=True).trust) == (24, 0.7)
    with pytest.raises(ValueError, match="candidates must be 0"):
        Settings(candidates=2)
    Settings(game="hearts", candidates=8)
    for game, rules in (("hearts", "passing=left"), ("euchre", "")):
        with pytest.raises(ValueError, match="--candidates is for games whose cards do not change hands"):
            Settings(game=game, rules=rules, candidates=8)


def test_cards_that_change_hands_are_refused() -> None:
    game = Euchre()
    state, past = played(game, 2, 3, seed=1)
    with pytest.raises(ValueError, match="in this euchre cards change hands"):
        search(game, state, _network_of(game), CONFIG, past=past)


@pytest.mark.parametrize("trump", ["random", "none"])
def test_bids_that_are_still_hidden_say_nothing(trump: str) -> None:
    """Whatever others have bid unseen, the worlds are the same; once all have bid it counts."""
    game = Blob(cards=3, bidding="once", hook=False, trump=trump)
    start = game.deal(40, seed=5)
    legal = game.legal_actions(start)
    bids = torch.stack([legal[:, 0], legal[:, 3]])  # none, and as many as there can be
    for decisions in (1, 2, 3, 4):
        weights = []
        for first in bids:
            state, past = start, Past.none(game, 40)
            for decision in range(decisions):
                action = first if decision == 0 else bids[0] + 1
                past, state = past.then(state, action), game.step(state, action)
            worlds = game.determinize(state, 8, seed=2)
            weights.append(log_likelihood(game, state, worlds, past, NETWORK, trust=0.8))
        if decisions < 4:
            assert (weights[0] == 0).all() and (weights[1] == 0).all()
        else:  # to the first bidder, who leads, the others' bids are known now
            assert len(weights[0].unique()) > 8


def test_open_bids_count_at_once() -> None:
    game = Blob(cards=3)
    state, past = played(game, 8, 2, seed=1)
    assert len(log_likelihood(game, state, game.determinize(state, 8, seed=2), past, NETWORK, 0.8).unique()) > 8

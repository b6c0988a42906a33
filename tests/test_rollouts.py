"""Rollouts by the policy: against a scalar player of the same worlds, lane by lane, and what they make of a policy."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from net import BlobNet, InferenceNet
from tests.every_game import EVERY
from tests.helpers import to_reference
from tests.positions import HashEvaluator, hash_reference, mixed_batch
from tests.test_inference import played
from tests.test_search_lanes import assert_same, lanes_of
from tests.test_search_sync import NoWaiting
from vecgame import Blob, Game, Kuhn, Purpose, Spades, Stream, identity, lanes
from vecgame.games.whist import Whist
from veclab.agents.checkpoint import save_network
from veclab.agents.networks import network_config
from veclab.arena import bots, evaluate
from veclab.arena.bots import NetworkPlayer, rollout_player
from veclab.arena.matches import play_match
from veclab.reference import rules as reference
from vecmcts import NetworkEvaluator, PlayoutEvaluator, RolloutConfig, rollouts
from vecmcts.evaluators import policy_of as policy_of_evaluator
from vecmcts.rollouts import bettered, drawn_action, standard_error

CONFIG = RolloutConfig(worlds=5, actions=3, candidates=0, least_prior=0.05)
INFERRED = replace(CONFIG, candidates=12)


class HashPolicy(HashEvaluator):
    """Which sees what the mover does, as its policy always did."""

    sees_hidden = False


def policy_of(rules: reference.Rules, state: reference.State) -> dict[int, float]:
    """The probabilities of `HashPolicy` by legal action, in ascending order."""
    logits = hash_reference(rules, state)[0]
    weight = {action: math.exp(logits[action]) for action in sorted(logits)}
    return {action: each / sum(weight.values()) for action, each in weight.items()}


def scalar_value(rules: reference.Rules, world: reference.State, action: int, uniform: list[float]) -> list[float]:
    """Scores on the scale of values after an action in a world, by seat."""
    state, numbers = world.copy(), iter(uniform)
    reference.apply_action(rules, state, action)
    while legal := reference.legal_actions(rules, state):
        if len(legal) > 1:
            at, share = next(numbers), 0.0
            for action, chance in policy_of(rules, state).items():  # noqa: B007, the last one is taken
                share += chance
                if share >= at:
                    break
        else:
            (action,) = legal
        reference.apply_action(rules, state, action)
    return [score / rules.max_score for score in reference.scores(rules, state)]


@pytest.mark.parametrize("cards", [1, 2, 4])
def test_a_scalar_player_reaches_the_same_values(cards: int) -> None:
    game = Blob(cards=cards)
    state = mixed_batch(game, 8, seed=cards)
    result = rollouts(game, state, HashPolicy(), CONFIG, seed=3)
    worlds = game.determinize(state, CONFIG.worlds, 3)
    streams = Stream.of_worlds(3, state.index, game.turn(state), CONFIG.worlds)
    uniform = [streams.at(k).uniform(Purpose.PLAYOUT, 1)[:, 0].tolist() for k in range(game.decisions)]
    for lane in range(state.batch_size):
        rules, root = to_reference(game, state, lane)
        prior, seat = policy_of(rules, root), reference.mover(rules, root)
        assert result.prior[lane].nonzero()[:, 0].tolist() == list(prior)
        best = sorted(prior, key=lambda action, prior=prior: -prior[action])[: CONFIG.actions]
        tried = [action for action in best if prior[action] >= CONFIG.least_prior]
        tried = tried if len(tried) > 1 else []
        assert result.visits[lane].nonzero()[:, 0].tolist() == sorted(tried)
        gain = dict.fromkeys(prior, 0.0)
        error = dict.fromkeys(prior, 0.0)
        reached = {}
        for action in tried:
            mine = [CONFIG.worlds * lane + number for number in range(CONFIG.worlds)]
            ends = [
                scalar_value(rules, to_reference(game, worlds, w)[1], action, [row[w] for row in uniform]) for w in mine
            ]
            reached[action] = torch.tensor(ends, dtype=torch.float64)
            assert float(result.q[lane, action]) == pytest.approx(float(reached[action][:, seat].mean()), abs=1e-6)
            more = reached[action][:, seat] - reached[tried[0]][:, seat]
            gain[action], error[action] = float(more.mean()), float(more.std()) / math.sqrt(len(more))
        if tried:
            assert result.value[lane].tolist() == pytest.approx(reached[tried[0]].mean(0).tolist(), abs=1e-6)
        sure = {a: math.copysign(max(0.0, abs(gain[a]) - CONFIG.caution * error[a]), gain[a]) for a in prior}
        weight = {action: prior[action] * math.exp(CONFIG.scale * sure[action]) for action in prior}
        policy = {action: weight[action] / sum(weight.values()) for action in prior}
        assert result.policy[lane, list(prior)].tolist() == pytest.approx(list(policy.values()), abs=1e-4)
    assert result.visits.sum() > 0


def network_of(game: Game):
    """A network of one fixed random matrix, in float64, so that rounding by its batch changes no draw."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(game.features, game.num_actions + game.seats, generator=generator, dtype=torch.float64) / 4

    def network(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        output = observation.double() @ weight
        return output[:, : game.num_actions], output[:, game.num_actions :].sigmoid()

    return network


@pytest.mark.parametrize("config", [CONFIG, INFERRED], ids=["uniform", "inferred"])
@pytest.mark.parametrize("game", [Blob(cards=4), Spades(cards=4)], ids=lambda game: game.name)
def test_lanes_are_independent(game: Game, config: RolloutConfig, monkeypatch) -> None:
    """Alone, in another order, a few at a time, and with all lanes carried along: every game is judged alike."""
    network = network_of(game)
    state, past = played(game, 12, 9, seed=3)
    whole = rollouts(game, state, network, config, seed=2, past=past)
    assert (whole.visits > 0).any(-1).sum() > 3
    for order in (torch.randperm(12, generator=torch.Generator().manual_seed(0)), torch.tensor([7])):
        some = rollouts(game, state.take(order), network, config, seed=2, past=past.take(order))
        assert_same(some, lanes_of(whole, order), atol=1e-6)
    with monkeypatch.context() as small:
        small.setitem(standard_error.__globals__["LANES"], "cpu", 60)
        assert_same(rollouts(game, state, network, config, seed=2, past=past), whole, atol=1e-6)
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    again = rollouts(game, state, network, config, seed=2, past=past)
    assert_same(again, whole, atol=1e-6)
    assert again.evaluations == whole.evaluations


@pytest.mark.parametrize("config", [CONFIG, INFERRED], ids=["uniform", "inferred"])
def test_a_network_with_one_value_is_asked_for_the_movers_view_alone(config: RolloutConfig) -> None:
    """In playing on and in weighing worlds, which take its policy; only at the root all seats' values are wanted."""
    game = Blob(cards=3)
    state, past = played(game, 6, 6, seed=3)
    full, asked = network_of(game), {"one": 0, "four": 0}

    def four(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        asked["four"] += 1
        return full(observation, mask)

    def one(observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        asked["one"] += 1
        logits, values = full(observation, mask)
        return logits, values[:, :1]

    expected, found = (rollouts(game, state, network, config, seed=2, past=past) for network in (four, one))
    assert asked["one"] == asked["four"] + game.seats - 1 and asked["four"] > 2
    for name in ("visits", "policy", "prior", "q", "evaluations"):
        assert torch.equal(getattr(found, name).nan_to_num(9), getattr(expected, name).nan_to_num(9)), name


def test_an_evaluators_own_way_to_judge_is_the_way_to_its_policy() -> None:
    class Own(NetworkEvaluator):
        def evaluate(self, game: Game, state, stream: Stream) -> tuple[Tensor, Tensor]:
            logits, values = super().evaluate(game, state, stream)
            return -logits, values

    game = Blob(cards=3)
    state, stream = game.deal(4), Stream(1, torch.arange(4), torch.zeros(4, dtype=torch.int64))
    for judge in (NetworkEvaluator(network_of(game)), Own(network_of(game)), HashPolicy()):
        assert torch.equal(policy_of_evaluator(judge, game, state, stream), judge.evaluate(game, state, stream)[0])


def test_no_operation_waits(monkeypatch) -> None:
    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    game = Blob(cards=3)
    state, past = played(game, 6, 8, seed=1)
    for config in (CONFIG, INFERRED):
        rollouts(game, state, network_of(game), config, seed=3, past=past)
        with NoWaiting():
            rollouts(game, state, network_of(game), config, seed=3, past=past)


def test_a_game_that_never_leaves_a_choice() -> None:
    game = Whist(cards=1, trump="random")
    result = rollouts(game, game.deal(3), network_of(game), RolloutConfig(worlds=4, candidates=0))
    assert not result.visits.any() and torch.equal(result.policy > 0, game.legal_mask(game.deal(3)))


def test_an_action_is_tried_where_it_is_legal_though_lanes_are_carried_along(monkeypatch) -> None:
    class Strict(Blob):
        def step(self, state, action: Tensor, validate: bool = False):
            legal = (self.legal_actions(state) == action[:, None]).any(-1)
            assert (legal & (action >= 0) | self.is_terminal(state)).all()
            return super().step(state, action, validate)

    monkeypatch.setitem(lanes.COMPACT, "cpu", False)
    game = Strict(cards=2)
    assert (rollouts(game, mixed_batch(game, 8, seed=3), HashPolicy(), CONFIG).visits > 0).any()


def test_games_that_are_over_and_no_games() -> None:
    game = Blob(cards=2)
    state, past = played(game, 4, game.decisions, seed=1)
    result = rollouts(game, state, network_of(game), INFERRED, past=past)
    assert not result.visits.any() and torch.allclose(result.value.float(), game.values(state))
    ended, _ = played(Kuhn(), 4, Kuhn().decisions, seed=1)  # whose masks still have several actions
    assert not rollouts(Kuhn(), ended, network_of(Kuhn()), CONFIG).visits.any()
    none = torch.tensor([], dtype=torch.int64)
    assert rollouts(game, state.take(none), network_of(game), INFERRED, past=past.take(none)).policy.shape == (0, 52)


def test_standard_error() -> None:
    gain = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    apart = torch.arange(6).expand(2, -1)
    assert torch.allclose(standard_error(gain, apart), gain.std(1) / math.sqrt(6))
    twice = gain[:, :3].repeat_interleave(2, dim=1)  # three worlds, each drawn twice, are three observations
    assert torch.allclose(standard_error(twice, apart // 2), gain[:, :3].std(1) / math.sqrt(3))
    assert (standard_error(gain[:, :1].expand(-1, 6, -1), torch.zeros_like(apart)) == math.inf).all()
    half = torch.randn(200, 3, 1, generator=torch.Generator().manual_seed(0))
    alike = torch.cat([half, half.flip(1)], 1)  # two groups of one mean, though by rounding some differ by less than 0
    assert (standard_error(alike, apart[:1] // 3) < 1e-6).all()


def test_what_is_left_of_a_gain() -> None:
    log_prior = torch.tensor([[0.6, 0.3, 0.1]]).log()
    config = RolloutConfig(caution=2.0, scale=10.0)

    def odds(gain: float, error: float) -> float:
        policy = bettered(log_prior, torch.tensor([[0.0, gain, 0.0]]), torch.tensor([[0.0, error, 0.0]]), config)
        return float(policy[0, 1] / policy[0, 0])

    assert odds(0.5, 0.1) == pytest.approx(0.5 * math.exp(10 * 0.3), rel=1e-5)
    assert odds(-0.5, 0.1) == pytest.approx(0.5 * math.exp(-10 * 0.3), rel=1e-5)
    assert odds(0.15, 0.1) == odds(0.5, math.inf) == odds(0.0, math.inf) == pytest.approx(0.5, rel=1e-5)


def test_one_world_says_nothing_even_without_caution() -> None:
    log_prior, gain = torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.0, 0.5]])
    policy = bettered(log_prior, gain, torch.tensor([[0.0, math.inf]]), RolloutConfig(caution=0.0))
    assert torch.allclose(policy, log_prior.exp())


def test_a_critic_tells_nothing_of_hidden_cards() -> None:
    """The values of positions in which nothing is tried are of what the mover knows, whatever the others hold."""
    game = Blob(cards=3)
    torch.manual_seed(0)
    network = InferenceNet(BlobNet(network_config("small", game, critic=True)), dtype=torch.float32)
    state = game.deal(4, seed=1)
    worlds = game.determinize(state, 1, seed=2)
    assert not worlds.hands.equal(state.hands)
    config = replace(CONFIG, least_prior=0.5)
    found, again = (rollouts(game, which, network, config) for which in (state, worlds))
    assert not found.visits.any() and found.value.equal(again.value)


def test_draws_follow_the_policy() -> None:
    game = Blob(cards=5)
    state = game.deal(1).repeat(4000)
    logits = torch.linspace(0, 3, 52)[None].expand(4000, -1)
    uniform = Stream(0, torch.arange(4000), torch.zeros(4000, dtype=torch.int64)).uniform(Purpose.ACTION, 1)
    share = drawn_action(game, state, logits, uniform).bincount(minlength=6) / 4000
    actions = game.legal_actions(state[0])
    expected = game.slot_logits(state[0], actions, logits[:1]).softmax(-1)[0, :6]
    assert torch.allclose(share, expected, atol=0.03)


def test_the_largest_number_draws_an_action_too() -> None:
    """Though shares add up to a little less than 1 in some lanes."""
    game, random = Blob(cards=5), torch.Generator().manual_seed(0)
    state = game.deal(1).repeat(1000)
    logits, largest = torch.randn(1000, 52, generator=random), torch.tensor([[1 - 2.0**-53]]).double()
    drawn = drawn_action(game, state, logits, largest)
    assert game.legal_mask(state).gather(1, drawn[:, None]).all()


@pytest.mark.slow
def test_it_betters_a_poor_policy() -> None:
    """Of a random network, in worlds drawn by likelihood and in uniform ones."""
    game = Blob(cards=2)
    network = network_of(game)
    for candidates in (0, 64):
        player = rollout_player(network, RolloutConfig(worlds=16, candidates=candidates, least_prior=0.0, actions=9))
        result = play_match([game], player, NetworkPlayer(network), 40, seed=1)
        assert result.lead.mean - result.lead.half > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("named", EVERY, ids=str)
def test_every_game(named, tmp_path) -> None:
    """A legal action at the start and later on; in games whose hands are not fixed in uniform worlds only, and else in
    one line."""
    game = named.make(tmp_path)
    network = network_of(game)
    player = rollout_player(network, RolloutConfig(worlds=2, candidates=4 if game.fixed_hands else 0, least_prior=0.0))
    for decisions in (0, game.decisions // 2):
        state, past = played(game, 2, decisions, seed=1)
        action = player.act_after(game, state, past, seed=1)
        assert game.legal_mask(state).gather(1, action[:, None]).all()
    refusal = rollout_player(network).refuses(game)
    assert refusal is None if game.fixed_hands else "use candidates=0" in refusal


def test_its_worlds_are_of_the_seed_and_the_past_of_the_games_that_choose(monkeypatch) -> None:
    asked = []

    def spy(game, state, evaluator, config, seed, past, draw):
        asked.append((state.index.tolist(), seed, past.actions.shape[0], len(past.states)))
        return rollouts(game, state, evaluator, config, seed, past, draw)

    monkeypatch.setattr(bots, "rollouts", spy)
    game = Blob(cards=2, hook=True)
    state, past = played(game, 9, 3, seed=1)  # the dealer's bids, of which the hook leaves some a choice of two
    choosing = (game.legal_actions(state)[:, 1] >= 0).nonzero()[:, 0].tolist()
    rollout_player(network_of(game), RolloutConfig(worlds=2, candidates=4)).act_after(game, state, past, seed=5)
    assert asked == [(state.index[choosing].tolist(), 5, len(choosing), 3)]


def test_what_it_needs() -> None:
    game = Spades(cards=3)
    state, _ = played(game, 2, 1, seed=1)
    with pytest.raises(ValueError, match=r"^rollouts need a network, whose policy is of what the mover knows$"):
        rollouts(game, state, PlayoutEvaluator(), CONFIG)
    with pytest.raises(ValueError, match=r"^candidates=12 needs the games' past$"):
        rollouts(game, state, network_of(game), INFERRED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worlds": 1}, "worlds must be an integer from 2 to 32767, got 1"),
        ({"actions": True}, "actions must be an integer from 2"),
        ({"least_prior": 0.6}, "least_prior must be from 0 to 0.5, got 0.6"),
        ({"caution": -1.0}, "caution must be a finite number of at least 0, got -1.0"),
        ({"scale": math.inf}, "scale must be a finite number"),
        ({"candidates": 8}, "candidates must be 0, or an integer from worlds=32 to 32767, got 8"),
        ({"trust": 1.0}, "trust must be from 0 to below 1, got 1.0"),
    ],
)
def test_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        RolloutConfig(**change)


WORLDS = {Blob(cards=1): "32 of 128 worlds", Kuhn(): "32 worlds"}


@pytest.mark.parametrize(("game", "worlds"), WORLDS.items(), ids=("blob", "kuhn"))
def test_evaluations(game: Game, worlds: str, tmp_path) -> None:
    """By `vecgame evaluate`, which says in which worlds."""
    path, out = tmp_path / "network-000001.safetensors", tmp_path / "strength.json"
    save_network(path, BlobNet(network_config("small", game)), {"games": [identity(game)]})
    flags = ["--players", "rollouts", "--opponents", "random", "--eval-deals", "2", "--device", "cpu"]
    assert evaluate.main([str(path), *flags, "--json", str(out)]) == 0
    assert list(json.loads(out.read_text())["results"]) == [f"rollouts in {worlds}"]

"""Self-play of the scalar reference: what it tells the network, the search, and games that take turns."""

import random
from array import array

import pytest
import torch

from tests.helpers import one_lane, play_randomly, to_reference
from tests.reference_selfplay import PLAY, THREE, TOGETHER, assert_same_games, inference_net
from vecgame import Blob
from veclab.reference import mcts, observation, selfplay
from veclab.reference.network import DirectNetwork, NetworkJudge
from veclab.reference.rules import NO_TRUMP, Rules, State, apply_action, deal, is_terminal, legal_actions, mover
from veclab.reference.selfplay import PlayConfig, game_rng, game_steps, one_by_one, play_game, play_games
from vecmcts import SearchConfig, search

# --- observation ---


def random_states(rules: Rules, rng: random.Random, trump: int) -> list[State]:
    """All positions of a random game, the end included."""
    states = [deal(rules, rng)]
    states[0].trump = trump
    while not is_terminal(states[-1]):
        states.append(states[-1].copy())
        apply_action(rules, states[-1], rng.choice(legal_actions(rules, states[-1])))
    return states


@pytest.mark.parametrize("game", [*(Blob(cards=cards) for cards in range(1, 14)), Blob(cards=3, ranks=5, hook=False)])
def test_observation_is_the_tensor_code_s(game: Blob) -> None:
    """Every seat's view of every position. Only the last bit of a fraction may differ."""
    rng = random.Random(game.cards)
    rules = to_reference(game, game.deal(1), 0)[0]
    for trump in (0, 1, 2, 3, NO_TRUMP):
        for state in random_states(rules, rng, trump):
            lane = one_lane(game, state)
            expected = game.observe(lane.repeat(4), torch.arange(4))
            features = [observation.observe(rules, state, viewer) for viewer in range(4)]
            assert torch.allclose(torch.tensor(features), expected, rtol=0, atol=3e-7)
            for viewer in range(4):
                assert observation.observe_float32(rules, state, viewer) == array("f", features[viewer])
            actions = legal_actions(rules, state)
            if actions:
                columns = game.policy_columns(lane, torch.tensor([actions]))[0].tolist()
                assert [observation.policy_column(state, action) for action in actions] == columns


# --- search ---


@pytest.mark.parametrize(
    ("cards", "leaves_per_step", "together"),
    [pytest.param(5, 1, False, marks=pytest.mark.slow), (5, 4, True), (3, 3, False)],
)
def test_scalar_and_batched_search_make_the_same_visits(cards: int, leaves_per_step: int, together: bool) -> None:
    """The same worlds, the same float64 network, every decision of some games."""
    game, network = Blob(cards=cards), inference_net()
    config = SearchConfig(worlds=3, simulations=20, leaves_per_step=leaves_per_step)
    scalar = mcts.SearchConfig(20, config.c_puct, leaves_per_step)
    compared = 0
    for state, _ in play_randomly(game, game.deal(2, seed=cards), seed=cards)[:-1]:
        result = search(game, state, network, config, seed=7)
        worlds = game.determinize(state, 3, seed=7)
        evaluations = 0
        for lane in range(2):
            rules, _ = to_reference(game, state, lane)
            judge = NetworkJudge(rules, DirectNetwork(network))
            steps = mcts.search_worlds_steps(
                rules, [to_reference(game, worlds, 3 * lane + k)[1] for k in range(3)], scalar, together=together
            )
            expected = drive(steps, judge)
            evaluations += expected.evaluations
            assert judge.network.traffic.rows == expected.evaluations
            assert {a: int(result.visits[lane, a]) for a in expected.visits} == expected.visits
            assert result.value[lane].tolist() == pytest.approx(expected.value, abs=1e-6)
            compared += len(expected.visits) > 1
        assert int(result.evaluations) == evaluations
    assert compared >= 10


def drive(steps: mcts.Steps, judge: selfplay.Judge):
    reply = None
    while True:
        try:
            nodes = steps.send(reply)
        except StopIteration as end:
            return end.value
        reply = judge(nodes)


def test_one_value_network_is_asked_for_each_seat() -> None:
    network = inference_net(values=1)
    judge = NetworkJudge(THREE, DirectNetwork(network), views=4)
    steps = game_steps(THREE, TOGETHER, game_rng(0, 0))
    nodes = next(steps)
    for _ in range(20):
        judged = judge(nodes)
        for node, (logits, values) in zip(nodes, judged, strict=True):
            views = torch.tensor([observation.observe(THREE, node.state, seat) for seat in range(4)])
            all_logits, alone = network(views)
            assert values == pytest.approx(alone[:, 0].tolist())
            columns = [observation.policy_column(node.state, action) for action in node.actions]
            assert list(logits.values()) == pytest.approx(all_logits[node.mover, columns].tolist())
        nodes = steps.send(judged)


# --- self-play ---


def test_a_game() -> None:
    rules, seen = Rules(cards=4), []
    judge = NetworkJudge(rules, DirectNetwork(inference_net()))

    def record(nodes: list[mcts.Node]) -> list[mcts.Evaluation]:
        seen.append(len(nodes))
        assert all(len(node.actions) > 1 for node in nodes)
        return judge(nodes)

    result = play_game(rules, record, PLAY, game_rng(3, 5))
    assert set(seen) == {1} and len(seen) == result.evaluations
    assert all(score == 0 or 10 <= score <= 14 for score in result.scores)
    assert 4 <= len(result.decisions) <= 4 + 4 * 3
    for decision, example in zip(result.decisions, result.examples, strict=True):
        assert len(decision.visits) > 1 and sum(decision.visits.values()) == 2 * 8
        assert decision.action in decision.visits
        assert len(example.observation) == 256 and len(example.policy) == 52
        assert sum(example.policy) == pytest.approx(1)
        assert {column for column, p in enumerate(example.policy) if p > 0} <= set(example.columns)
        assert example.value == pytest.approx([result.scores[(decision.seat + k) % 4] / 14 for k in range(4)])
    again = play_game(rules, judge, PLAY, game_rng(3, 5))
    assert again == result
    assert play_game(rules, judge, PLAY, game_rng(3, 6)) != result


def test_late_decisions_take_the_best_action_and_visits_can_be_the_target() -> None:
    judge = NetworkJudge(THREE, DirectNetwork(inference_net()))
    greedy = PlayConfig(worlds=2, search=PLAY.search, sampled_share=0.0, policy_target="visits")
    for number in range(5):
        for decision in play_game(THREE, judge, greedy, game_rng(0, number)).decisions:
            assert decision.visits[decision.action] == max(decision.visits.values())
            assert sorted(p for p in decision.policy if p > 0) == pytest.approx(
                sorted(n / 16 for n in decision.visits.values() if n > 0)
            )


def test_noise_changes_the_search() -> None:
    judge = one_by_one(THREE, lambda rules, state: (dict.fromkeys(legal_actions(rules, state), 0.0), [0.5] * 4))
    first = [
        play_game(THREE, judge, PlayConfig(search=PLAY.search, noise_fraction=f), game_rng(0, 0)).decisions[0].visits
        for f in (0.0, 0.9)
    ]
    assert first[0] != first[1]


@pytest.mark.parametrize("concurrent", [1, 3, 20])
def test_games_taking_turns_do_not_see_each_other(concurrent: int) -> None:
    judge = NetworkJudge(THREE, DirectNetwork(inference_net()))
    alone = {i: play_game(THREE, judge, PLAY, game_rng(0, i)) for i in range(6)}
    results = {}
    games = ((i, game_rng(0, i)) for i in range(6))
    evaluations = play_games(THREE, judge, TOGETHER, games, results.__setitem__, concurrent)
    assert_same_games(results, alone)
    assert evaluations == sum(result.evaluations for result in alone.values())


def test_games_stop_when_told() -> None:
    judge = NetworkJudge(THREE, DirectNetwork(inference_net()))
    answers = iter([False] * 10)
    ended = {}
    games = ((i, game_rng(0, i)) for i in range(6))
    evaluations = play_games(THREE, judge, PLAY, games, ended.__setitem__, 2, lambda: next(answers, True))
    assert evaluations == 20 and not ended


def test_the_mover_is_the_viewer() -> None:
    """Nodes that a game asks for are seen through the eyes of whoever is to move there."""
    steps = game_steps(THREE, TOGETHER, game_rng(0, 0))
    for node in next(steps):
        assert node.mover == mover(THREE, node.state)

"""The document's strategies 1 to 3: the same games in all of them, real batches, honest counts, clean ends."""

import ast
import math
import multiprocessing
import random
import signal
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path

import pytest
import torch

from net import BlobNet, InferenceNet, NetConfig
from tests.helpers import one_lane, play_randomly, to_reference
from vecgame import Blob
from vecgame.memory import available_memory, max_workers, private_memory
from veclab import reference
from veclab.reference import mcts, observation, processes, selfplay, strategies
from veclab.reference.batched_evaluator import BatchedEvaluator
from veclab.reference.measure import Budget, Settings, StrategyResult
from veclab.reference.network import DirectNetwork, NetworkJudge
from veclab.reference.rules import NO_TRUMP, Rules, State, apply_action, deal, is_terminal, legal_actions, mover
from veclab.reference.selfplay import PlayConfig, game_rng, game_steps, one_by_one, play_game, play_games
from veclab.reference.strategies import run
from vecmcts import SearchConfig, search

TINY = NetConfig(dim=32, layers=1, heads=2, ffn=64, policy_hidden=32, value_hidden=16)
PLAY = PlayConfig(worlds=2, search=mcts.SearchConfig(simulations=8))
TOGETHER = PlayConfig(worlds=2, search=mcts.SearchConfig(simulations=8), worlds_together=True)
THREE = Rules(cards=3)


def tiny_net(seed: int = 0, **changes: int) -> BlobNet:
    """A network with opinions: as it begins, its policy is nearly uniform and its values nearly equal."""
    torch.manual_seed(seed)
    net = BlobNet(NetConfig(**(TINY.to_dict() | changes)))
    with torch.no_grad():
        net.policy_out.weight.mul_(30)
        net.value_out.weight.mul_(10)
    return net


def inference_net(dtype: torch.dtype = torch.float64, **changes: int) -> InferenceNet:
    return InferenceNet(tiny_net(**changes), dtype)


def random_states(rules: Rules, rng: random.Random, trump: int) -> list[State]:
    """All positions of a random game, the end included."""
    states = [deal(rules, rng)]
    states[0].trump = trump
    while not is_terminal(states[-1]):
        states.append(states[-1].copy())
        apply_action(rules, states[-1], rng.choice(legal_actions(rules, states[-1])))
    return states


# --- observation ---


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


def assert_same_games(games: dict[int, selfplay.GameResult], expected: dict[int, selfplay.GameResult]) -> None:
    assert games.keys() == expected.keys()
    for number, game in expected.items():
        other = games[number]
        assert other.scores == game.scores and other.evaluations == game.evaluations
        assert [(d.action, d.visits) for d in other.decisions] == [(d.action, d.visits) for d in game.decisions]
        for one, two in zip(other.examples, game.examples, strict=True):
            assert one.observation == two.observation
            assert one.policy == pytest.approx(two.policy, abs=1e-4)


# --- strategies ---


def settings(play: PlayConfig = PLAY, **changes: object) -> Settings:
    return Settings(**({"rules": THREE, "play": play, "seed": 3, "dtype": torch.float64} | changes))


def check_counts(result: StrategyResult) -> None:
    assert result.calls <= result.requests <= result.evaluations
    assert result.mean_batch == pytest.approx(result.evaluations / result.calls)
    assert result.mean_batch <= result.max_batch
    assert result.seconds > 0 and result.cpu_seconds > 0
    assert result.evaluations == sum(game.evaluations for game in result.results.values())
    assert result.decisions == sum(len(game.decisions) for game in result.results.values())
    assert result.games_per_minute() == pytest.approx(60 * result.games / result.seconds)


@pytest.fixture(scope="module")
def played_sequentially() -> StrategyResult:
    return run("sequential", tiny_net(), settings(), games=6, keep_games=True)


def test_sequential(played_sequentially: StrategyResult) -> None:
    check_counts(played_sequentially)
    assert played_sequentially.workers == 1 and played_sequentially.games == 6
    assert played_sequentially.max_batch == 1 and played_sequentially.calls == played_sequentially.requests
    together = run("sequential", tiny_net(), settings(TOGETHER), games=6, keep_games=True)
    assert_same_games(together.results, played_sequentially.results)
    assert together.max_batch == 2
    with pytest.raises(ValueError, match="one worker"):
        run("sequential", tiny_net(), settings(workers=2), games=1)


def test_threads_play_the_same_games(played_sequentially: StrategyResult) -> None:
    before = threading.active_count(), torch.get_num_threads()
    result = run("threads", tiny_net(), settings(workers=4), games=6, keep_games=True)
    check_counts(result)
    assert_same_games(result.results, played_sequentially.results)
    assert result.workers == 4 and result.games == 6
    assert result.max_batch == 1 and result.requests == result.calls == result.evaluations
    assert (threading.active_count(), torch.get_num_threads()) == before


def test_threads_with_a_shared_evaluator_play_the_same_games(played_sequentially: StrategyResult) -> None:
    before = threading.active_count()
    options = settings(TOGETHER, workers=4, batched=True, batch_size=7, timeout_ms=200)
    result = run("threads", tiny_net(), options, games=6, keep_games=True)
    check_counts(result)
    assert_same_games(result.results, played_sequentially.results)
    assert 2 < result.max_batch <= 7 and result.mean_batch > 2 and result.requests > result.calls
    assert threading.active_count() == before


def test_single_rows_in_float32_are_the_same_bit_for_bit() -> None:
    """Batches may round differently, and a near-tie may then fall the other way; single rows do not."""
    one, two = (
        run(strategy, tiny_net(), settings(workers=workers, dtype=torch.float32), games=3, keep_games=True)
        for strategy, workers in (("sequential", 1), ("threads", 3))
    )
    assert one.results == two.results


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.slow
def test_processes_play_the_same_games(played_sequentially: StrategyResult, batched: bool) -> None:
    options = {"play": TOGETHER, "batched": True, "games_per_worker": 5} if batched else {}
    result = run("processes", tiny_net(), settings(workers=2, **options), games=6, keep_games=True)
    check_counts(result)
    assert_same_games(result.results, played_sequentially.results)
    assert result.workers == 2 and result.games == 6 and not result.note
    assert result.max_batch == (2 * 3 if batched else 1)  # worlds x games: no worker takes more than its half of them
    if private_memory() is not None:
        assert 10 << 20 < result.bytes_per_worker < 4 << 30
    assert not multiprocessing.active_children()


def test_playing_for_a_time_counts_unfinished_games() -> None:
    result = run("sequential", tiny_net(), settings(rules=Rules(cards=13)), seconds=0.2)
    assert 0.2 <= result.seconds < 2
    assert result.evaluations > 0 and not result.results
    assert result.games_per_minute(100) == pytest.approx(60 * result.evaluations / 100 / result.seconds)
    if result.games == 0:
        assert math.isnan(result.games_per_minute())


def test_a_failing_thread_ends_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    play_share, calls = strategies.play_share, []

    def fail_in_the_third(*args: object) -> object:
        calls.append(None)
        if len(calls) == 3:
            raise OSError("the third thread")
        return play_share(*args)

    monkeypatch.setattr(strategies, "play_share", fail_in_the_third)
    before = threading.active_count()
    for batched in (False, True):
        calls.clear()
        with pytest.raises(OSError, match="the third thread"):
            run("threads", tiny_net(), settings(workers=4, batched=batched), seconds=60)
        assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
@pytest.mark.parametrize("batched", [False, True])
def test_an_interrupt_leaves_no_thread(batched: bool) -> None:
    before = threading.active_count()
    main = threading.main_thread().ident
    over = threading.Event()

    def interrupt() -> None:  # again when the first came where Python drops exceptions, as in a callback of torch
        over.wait(0.5)
        while not over.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            over.wait(5.0)

    timer = threading.Thread(target=interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run("threads", tiny_net(), settings(workers=4, batched=batched), seconds=60)
    over.set()
    timer.join()
    assert threading.active_count() == before


@pytest.mark.slow
def test_a_failing_worker_ends_them_all() -> None:
    with pytest.raises(processes.WorkerError, match="floating type"):
        run("processes", tiny_net(), settings(workers=2, dtype=torch.int32), games=1)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_an_interrupt_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C comes when the only worker has begun to play without end."""

    def interrupt(pipes: list) -> list:
        time.sleep(0.2)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("processes", tiny_net(), settings(), seconds=3600)
    assert not multiprocessing.active_children()


PLAYING = """
import multiprocessing, time
from tests.test_strategies import processes, run, settings, tiny_net

def told(pipes):
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(600)

processes.wait = told
run("processes", tiny_net(), settings(), seconds=3600)
"""


@pytest.mark.slow
def test_a_worker_ends_with_its_parent() -> None:
    """Killed as it waits for the worker, which plays without end."""
    command, root = [sys.executable, "-c", PLAYING], Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root) as process:
        worker = Path("/proc") / process.stdout.readline().decode().strip()
        assert worker.exists()
        process.kill()
    deadline = time.monotonic() + 20
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


@pytest.mark.slow
def test_processes_are_capped_to_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "available_memory", lambda: 1 << 20)
    result = run("processes", tiny_net(), settings(workers=64), games=2)
    assert result.workers == 1 and result.games == 2
    assert result.note.startswith("64 workers asked for, 1 fit") or result.bytes_per_worker is None


def test_memory_guard() -> None:
    assert max_workers(100, 1000) == 9  # a tenth is left alone
    assert max_workers(100, 50) == 0
    with pytest.raises(ValueError, match="at least 1"):
        max_workers(0, 1000)
    if Path("/proc/meminfo").exists():
        assert available_memory() > 1 << 20
        assert 1 << 20 < private_memory() < 1 << 40

    def fitting(asked: int, *free_on_device: int) -> tuple[int, str]:
        return processes._fitting(asked, [processes._Ready(1, free) for free in free_on_device])

    assert fitting(8, None) == (8, "")
    count, note = fitting(100, 1000, 900)  # of the 900 that two have left, 810 may be used by workers of 100
    assert count == 10 and "GPU" in note
    assert fitting(10, 1000, 900) == (10, "")
    assert processes._fitting(5, [processes._Ready(None, None)])[0] == 5
    if available_memory() is not None:
        count, note = processes._fitting(1000, [processes._Ready(available_memory() // 10, None)])
        assert 9 <= count <= 10 and note.startswith("1000 workers asked for, ")


def test_wrong_settings_are_refused() -> None:
    for changes in ({"workers": 0}, {"games_per_worker": 2}, {"batch_size": 0}, {"torch_threads": 0}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            settings(**changes)
    for budget in ({}, {"games": 1, "seconds": 1.0}, {"games": 0}, {"seconds": -1.0}):
        with pytest.raises(ValueError, match="games"):
            Budget(**budget)
    with pytest.raises(ValueError, match="sequential, processes, threads"):
        run("magic", tiny_net(), settings(), games=1)
    with pytest.raises(ValueError, match="policy_target"):
        PlayConfig(policy_target="best")
    with pytest.raises(ValueError, match="worlds"):
        PlayConfig(worlds=0)
    with pytest.raises(ValueError, match="views"):
        NetworkJudge(THREE, DirectNetwork(inference_net()), views=2)


# --- BatchedEvaluator ---


class Echo:
    """Instead of a network: answers each row with its own first two features, fails at a row that begins with -1."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def compute(self, rows: array, count: int) -> tuple[list[list[float]], list[list[float]]]:
        self.gate.wait(10)
        self.batches.append(count)
        assert len(rows) == 256 * count
        firsts = rows[::256]
        if -1.0 in firsts:
            raise ArithmeticError("a row of -1")
        return [[x] for x in firsts], [[x] for x in rows[1::256]]


def rows_of(*numbers: float) -> array:
    rows = array("f")
    for number in numbers:
        rows.extend([number, -number, *[0.0] * 254])
    return rows


def ask_at_once(evaluator: BatchedEvaluator, requests: list[list[float]]) -> list[object]:
    """Each request from a thread of its own: the answers or errors."""
    answers: list[object] = [None] * len(requests)

    def ask(i: int) -> None:
        try:
            answers[i] = evaluator(rows_of(*requests[i]), len(requests[i]))
        except Exception as error:
            answers[i] = error

    workers = [threading.Thread(target=ask, args=(i,)) for i in range(len(requests))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
        assert not worker.is_alive()
    return answers


@pytest.mark.parametrize("clients", [0, 8])
def test_requests_are_batched_and_answered_each_with_its_own(clients: int) -> None:
    network = Echo()
    requests = [[float(10 * i + k) for k in range(1 + i % 3)] for i in range(8)]
    rows = sum(map(len, requests))
    with BatchedEvaluator(network, rows if clients == 0 else 1000, timeout_ms=10_000, clients=clients) as evaluator:
        start = time.monotonic()
        answers = ask_at_once(evaluator, requests)
        assert time.monotonic() - start < 8  # a full batch, or one with all clients in it, does not wait
    assert answers == [([[x] for x in request], [[-x] for x in request]) for request in requests]
    assert network.batches == [rows]
    traffic = evaluator.traffic
    assert (traffic.requests, traffic.calls, traffic.rows, traffic.largest) == (8, 1, rows, rows)


def test_batch_size_is_the_limit() -> None:
    network = Echo()
    with BatchedEvaluator(network, batch_size=5, timeout_ms=50) as evaluator:
        answers = ask_at_once(evaluator, [[float(i), float(i)] for i in range(7)] + [[float(i) for i in range(9)]])
    assert [len(logits) for logits, _ in answers] == [2] * 7 + [9]
    assert sum(network.batches) == 2 * 7 + 9
    assert sorted(set(network.batches) - {2, 4}) == [9]  # requests are not split, and the large one is alone


def test_a_lone_request_waits_for_the_timeout_only() -> None:
    with BatchedEvaluator(Echo(), batch_size=100, timeout_ms=200, clients=2) as evaluator:
        start = time.monotonic()
        assert evaluator(rows_of(3.0), 1) == ([[3.0]], [[-3.0]])
        assert 0.2 <= time.monotonic() - start < 10
    with BatchedEvaluator(Echo(), batch_size=100, timeout_ms=60_000, clients=2) as evaluator:
        evaluator.leave()
        start = time.monotonic()
        evaluator(rows_of(3.0), 1)
        assert time.monotonic() - start < 10  # nobody is left to wait for


def test_an_error_of_the_network_reaches_all_who_wait_for_it() -> None:
    with BatchedEvaluator(Echo(), batch_size=3, timeout_ms=10_000) as evaluator:
        assert [type(answer) for answer in ask_at_once(evaluator, [[1.0], [-1.0], [2.0]])] == [ArithmeticError] * 3
        assert [type(answer) for answer in ask_at_once(evaluator, [[1.0], [3.0], [2.0]])] == [tuple] * 3
    assert evaluator.traffic.calls == 1


def test_closing_answers_what_was_asked_and_refuses_the_rest() -> None:
    network, before = Echo(), threading.active_count()
    network.gate.clear()
    evaluator = BatchedEvaluator(network, batch_size=1, timeout_ms=10_000)
    answers: list[object] = []
    askers = [threading.Thread(target=lambda: answers.append(evaluator(rows_of(1.0), 1))) for _ in range(3)]
    for asker in askers:
        asker.start()
    while evaluator._queue.qsize() < 2:  # the third is with the network
        time.sleep(0.001)
    closer = threading.Thread(target=evaluator.close)
    closer.start()
    network.gate.set()
    for thread in (closer, *askers):
        thread.join(10)
    assert answers == [([[1.0]], [[-1.0]])] * 3
    evaluator.close()
    with pytest.raises(RuntimeError, match="closed"):
        evaluator(rows_of(1.0), 1)
    assert threading.active_count() == before
    for wrong in ({"batch_size": 0, "timeout_ms": 1}, {"batch_size": 1, "timeout_ms": -1}):
        with pytest.raises(ValueError, match="must be at least"):
            BatchedEvaluator(network, **wrong)


# --- the package ---


MEMORY = "vecgame.memory"  # how much there is, which judges no game


def imports_of(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    kept = {name for name in names if name == MEMORY}
    own = {name for name in names if name.startswith("veclab.reference")}
    return kept | {name.split(".")[0] for name in names - kept - own}


def test_reference_imports_nothing_that_it_judges() -> None:
    for path in Path(reference.__file__).parent.glob("*.py"):
        allowed = set(sys.stdlib_module_names)
        if path.stem in {"network", "batched_evaluator", "measure", "processes", "strategies"}:
            allowed |= {"torch", "net", MEMORY}
        assert imports_of(path) <= allowed, path.name


def test_the_mover_is_the_viewer() -> None:
    """Nodes that a game asks for are seen through the eyes of whoever is to move there."""
    steps = game_steps(THREE, TOGETHER, game_rng(0, 0))
    for node in next(steps):
        assert node.mover == mover(THREE, node.state)
